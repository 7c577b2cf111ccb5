import { card, chart, colors, day, page, Plot, table, whole } from './parts.js';
import { words } from './words.js';

const edges = [1, 50, 100, 200, 500, 1000, 2000];

export function points(data, language) {
	const t = words(language);
	const kinds = ['earned', 'redeemed', 'lapsed', 'reversed'];
	const daily = data.daily.flatMap((d) => kinds.map((kind) => ({ day: day(d.day), kind: t(kind), points: kind === 'earned' ? d[kind] : -Math.abs(d[kind]) })))
		.filter((d) => d.points !== 0);
	const lapses = (d) => (d.expiry_month === null ? t('never') : d.expiry_month.slice(0, 7));
	const band = (n) => (n >= edges.length ? `${whole(edges.at(-1))}+` : `${whole(edges[n - 1])}–${whole(edges[n] - 1)}`);
	const tierName = (d) => d.tier ?? t('no tier');

	return page(
		t('Points'),
		null,
		card({ title: t('Points by week'), wide: true },
			chart(daily, t('nothing yet'), {
				width: 1240,
				x: { type: 'utc', label: null },
				y: { grid: true, label: null, tickFormat: '~s' },
				color: { legend: true, domain: kinds.map(t) },
				marks: [
					Plot.rectY(daily, Plot.binX({ y: 'sum' }, { x: 'day', y: 'points', interval: 'week', fill: 'kind', inset: 0.5, tip: true })),
					Plot.ruleY([0]),
				],
			})),
		card({ title: t('What the points still owe'), note: t('Points by the month in which they lapse.') },
			chart(data.liability, t('nothing yet'), {
				marginLeft: 80,
				marginRight: 100,
				x: { grid: true, label: t('points'), tickFormat: '~s' },
				y: { label: null, domain: data.liability.map(lapses) },
				marks: [
					Plot.barX(data.liability, { x: 'points', y: lapses, fill: colors[0] }),
					Plot.text(data.liability, { x: 'points', y: lapses, text: (d) => `${t('worth')} ${whole(d.value)}`, dx: 4, textAnchor: 'start' }),
				],
			})),
		card({ title: t('How many points customers hold') },
			chart(data.balances, t('nothing yet'), {
				x: { label: t('points held'), domain: data.balances.map((d) => band(d.band)) },
				y: { grid: true, label: t('customers') },
				marks: [Plot.barY(data.balances, { x: (d) => band(d.band), y: 'customers', fill: colors[2], tip: true }), Plot.ruleY([0])],
			})),
		card({ title: t('By tier'), wide: true }, table(data.holders, [
			{ name: t('tier'), of: tierName },
			{ name: t('customers'), of: (d) => whole(d.customers), number: true },
			{ name: t('points'), of: (d) => whole(d.points), number: true },
		])),
	);
}
