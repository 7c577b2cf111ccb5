import { card, chart, colors, page, percent, Plot, table, whole } from './parts.js';
import { words } from './words.js';

export function customers(data, language) {
	const t = words(language);
	const segments = (scheme) => data.segments.filter((d) => d.scheme === scheme);
	const named = (d) => (language === 'zh' ? d.segment_zh : d.segment);
	const segmentChart = (rows) => chart(rows, t('nothing yet'), {
		marginLeft: 140,
		height: 60 + 24 * rows.length,
		x: { grid: true, percent: true, label: `${t('share')} %` },
		y: { label: null, domain: rows.map(named) },
		marks: [
			Plot.barX(rows, { x: 'share', y: named, fill: colors[0], tip: true }),
			Plot.dot(rows, { x: 'spent_share', y: named, fill: colors[1], r: 5 }),
			Plot.ruleX([0]),
		],
	});
	const from = (d) => (d.from_segment === null ? t('not yet a customer') : (language === 'zh' ? d.from_segment_zh : d.from_segment));
	const to = (d) => (language === 'zh' ? d.to_segment_zh : d.to_segment) ?? t('not yet a customer');
	const moved = data.movement.filter((d) => d.from_segment !== d.to_segment);
	const band = (d) => (d.to_value === null ? `${whole(d.from_value)} ${t('and more')}` : `${whole(d.from_value)}–${whole(d.to_value)}`);
	const bands = data.bands.flatMap((d) => [
		{ band: band(d), kind: t('share of customers'), share: d.customer_share },
		{ band: band(d), kind: t('share of sales'), share: d.spent_share },
	]).filter((d) => d.share !== null);
	const tierName = (d) => d.tier ?? t('no tier');

	return page(
		t('Customers'),
		null,
		card({ title: t('Segments'), note: t('RFM: how lately, how often, for how much. The bar is the share of customers, the dot the share of sales.') },
			segmentChart(segments('global'))),
		card({ title: t('Eight classes') }, segmentChart(segments('cn8'))),
		card({ title: t('Recency against frequency and value'), note: t('Customers in each cell; 5 is best.') },
			chart(data.grid, t('nothing yet'), {
				height: 300,
				padding: 0.02,
				x: { label: t('recency'), type: 'band', domain: [1, 2, 3, 4, 5] },
				y: { label: t('frequency and value'), type: 'band', domain: [5, 4, 3, 2, 1] },
				color: { scheme: 'blues', type: 'sqrt' },
				marks: [
					Plot.cell(data.grid, { x: 'recency', y: 'value', fill: 'customers', rx: 4 }),
					Plot.text(data.grid, { x: 'recency', y: 'value', text: (d) => whole(d.customers), fill: 'black', stroke: 'white' }),
				],
			})),
		card({ title: t('Moved in 60 days'), note: t('From the segment on the left to the one above.') },
			chart(moved, t('nothing yet'), {
				height: 340,
				marginLeft: 140,
				marginTop: 90,
				padding: 0.02,
				x: { label: t('now'), axis: 'top', tickRotate: -40, domain: [...new Set(moved.map(to))] },
				y: { label: t('before'), domain: [...new Set(moved.map(from))] },
				color: { scheme: 'oranges', type: 'sqrt' },
				marks: [
					Plot.cell(moved, { x: to, y: from, fill: 'customers', rx: 3 }),
					Plot.text(moved, { x: to, y: from, text: (d) => whole(d.customers), fill: 'black', stroke: 'white' }),
				],
			})),
		card({ title: t('Value bands'), note: t('Share of customers and of sales by what a customer has spent.') },
			chart(bands, t('nothing yet'), {
				x: { axis: null },
				fx: { label: null, domain: [...new Set(bands.map((d) => d.band))] },
				y: { grid: true, percent: true, label: '%' },
				color: { legend: true },
				marks: [Plot.barY(bands, { fx: 'band', x: 'kind', y: 'share', fill: 'kind', tip: true }), Plot.ruleY([0])],
			})),
		card({ title: t('Tiers') },
			chart(data.tiers, t('nothing yet'), {
				marginLeft: 80,
				marginRight: 60,
				x: { grid: true, label: t('customers') },
				y: { label: null, domain: data.tiers.map(tierName) },
				marks: [
					Plot.barX(data.tiers, { x: 'customers', y: tierName, fill: colors[4] }),
					Plot.text(data.tiers, { x: 'customers', y: tierName, text: (d) => whole(d.customers), dx: 4, textAnchor: 'start' }),
				],
			})),
		card({ title: t('Best customers'), wide: true }, table(data.best, [
			{ name: t('customer'), of: (d) => d.name },
			{ name: t('tier'), of: (d) => d.tier },
			{ name: t('segment'), of: (d) => (language === 'zh' ? d.segment_cn8 : d.segment) },
			{ name: t('purchases'), of: (d) => whole(d.purchases), number: true },
			{ name: t('spent'), of: (d) => whole(d.spent), number: true },
			{ name: t('days since'), of: (d) => whole(d.recency_days), number: true },
			{ name: t('points'), of: (d) => whole(d.points), number: true },
			{ name: t('still a customer'), of: (d) => percent(d.p_alive), number: true },
			{ name: t('expected in a year'), of: (d) => whole(d.clv), number: true },
		])),
		card({ title: t('Who is still a customer?'), note: t('By the forecast: customers by the probability that they are, and what they are expected to spend in a year.') },
			chart(data.alive, t('nothing yet'), {
				x: { label: t('still a customer'), tickFormat: '%', domain: [0, 1] },
				y: { grid: true, label: t('customers') },
				marks: [
					Plot.rectY(data.alive, { x1: (d) => d.p_alive - 0.05, x2: (d) => d.p_alive + 0.05, y: 'customers', fill: colors[0], inset: 1 }),
					Plot.text(data.alive, { x: 'p_alive', y: 'customers', text: (d) => whole(d.clv), dy: -8, fill: colors[1] }),
					Plot.ruleY([0]),
				],
			})),
		card({ title: t('Worth winning back'), note: t('More likely gone than not, by what they spent and how much hope is left.') }, table(data.win_back, [
			{ name: t('customer'), of: (d) => d.name },
			{ name: t('purchases'), of: (d) => whole(d.purchases), number: true },
			{ name: t('spent'), of: (d) => whole(d.spent), number: true },
			{ name: t('days since'), of: (d) => whole(d.recency_days), number: true },
			{ name: t('still a customer'), of: (d) => percent(d.p_alive), number: true },
		])),
		card({ title: t('To call back'), note: t('They have an unpaid order.'), wide: true }, table(data.call_back, [
			{ name: t('customer'), of: (d) => d.name },
			{ name: t('tier'), of: (d) => d.tier },
			{ name: t('unpaid orders'), of: (d) => whole(d.unpaid_orders), number: true },
			{ name: t('purchases'), of: (d) => whole(d.purchases), number: true },
			{ name: t('spent'), of: (d) => whole(d.spent), number: true },
		])),
	);
}
