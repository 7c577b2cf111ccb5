// Nothing is fetched from another host: no fonts, no search index; serve.mjs switches telemetry off.
const pages = [
	['index', 'Overview', '概览'],
	['customers', 'Customers', '客户'],
	['repurchase', 'Repurchase', '复购'],
	['points', 'Points', '积分'],
	['care', 'Care and campaigns', '关怀与活动'],
	['products', 'Products', '商品'],
];

export default {
	root: 'src',
	output: 'dist',
	title: 'retention',
	style: 'style.css',
	globalStylesheets: [],
	search: false,
	toc: false,
	pager: false,
	head: '<link rel="icon" href="data:,">',
	footer: '',
	home: 'retention',
	pages: [
		{ name: 'English', open: true, pages: pages.map(([file, name]) => ({ name, path: `/${file}` })) },
		{ name: '中文', open: true, pages: pages.map(([file, , name]) => ({ name, path: `/zh/${file}` })) },
	],
};
