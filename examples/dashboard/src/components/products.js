import { card, chart, colors, day, page, percent, Plot, whole } from './parts.js';
import { words } from './words.js';

export function products(data, language) {
	const t = words(language);
	const rated = (rate, count) => (rows) => chart(rows, t('nothing yet'), {
		height: 60 + 24 * rows.length,
		marginLeft: 150,
		marginRight: 60,
		x: { grid: true, percent: true, label: '%', zero: true },
		y: { label: null, domain: rows.toSorted((a, b) => b[rate] - a[rate]).map((d) => d.product) },
		marks: [
			Plot.barX(rows, { x: rate, y: 'product', fill: colors[0] }),
			Plot.text(rows, { x: rate, y: 'product', text: (d) => whole(d[count]), dx: 4, textAnchor: 'start' }),
			Plot.ruleX([0]),
		],
	});
	const again = data.products.filter((d) => d.repurchase_rate !== null);
	const first = data.products.filter((d) => d.first_return_rate !== null);
	const visits = data.visits.flatMap((d) => [
		{ month: day(d.period_start), kind: t('conversion'), rate: d.conversion },
		{ month: day(d.period_start), kind: t('returning visitors'), rate: d.returning_share },
	]).filter((d) => d.rate !== null);

	return page(
		t('Products'),
		null,
		card({ title: t('Which products bring customers back'), note: t('Buyers of a product, and the share who bought it again.') },
			rated('repurchase_rate', 'buyers')(again)),
		card({ title: t('Bought first by those who stay'), note: t('Of those whose first purchase held the product, the share who came back for anything.') },
			rated('first_return_rate', 'first_buyers')(first)),
		card({ title: t('Bought together'), note: t('Of the orders with the product on the left, the share that held the one above too.') },
			chart(data.pairs, t('nothing yet'), {
				height: 380,
				marginLeft: 150,
				marginTop: 100,
				padding: 0.02,
				x: { label: null, axis: 'top', tickRotate: -40 },
				y: { label: null },
				color: { scheme: 'blues', percent: true },
				marks: [
					Plot.cell(data.pairs, { x: 'other', y: 'product', fill: 'confidence', rx: 3 }),
					Plot.text(data.pairs, { x: 'other', y: 'product', text: (d) => (100 * d.confidence).toFixed(0), fill: 'black', stroke: 'white' }),
				],
			})),
		card({ title: t('Visits that became purchases') },
			chart(visits, t('nothing yet'), {
				x: { type: 'utc', label: null },
				y: { grid: true, percent: true, zero: true, label: '%' },
				color: { legend: true },
				marks: [Plot.lineY(visits, { x: 'month', y: 'rate', stroke: 'kind', strokeWidth: 2, tip: true }), Plot.ruleY([0])],
			})),
		card({ title: t('Sales by region') },
			chart(data.regions, t('nothing yet'), {
				marginLeft: 80,
				marginRight: 60,
				x: { grid: true, label: t('sales'), tickFormat: '~s' },
				y: { label: null, domain: data.regions.map((d) => d.region ?? t('other')) },
				marks: [
					Plot.barX(data.regions, { x: 'value', y: (d) => d.region ?? t('other'), fill: colors[3] }),
					Plot.text(data.regions, { x: 'value', y: (d) => d.region ?? t('other'), text: (d) => percent(d.value / data.regions.reduce((sum, r) => sum + r.value, 0)), dx: 4, textAnchor: 'start' }),
				],
			})),
	);
}
