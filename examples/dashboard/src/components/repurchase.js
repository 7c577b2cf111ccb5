import { card, chart, colors, day, figures, page, percent, Plot } from './parts.js';
import { words } from './words.js';

export function repurchase(data, language) {
	const t = words(language);
	const month = (d) => d.cohort.slice(0, 7);
	const later = data.cohorts.filter((d) => d.periods_since > 0 && d.rate !== null);
	const next = data.next_month.map((d) => ({ month: day(d.period), rate: d.rate }));
	const modes = { classic: t('on the day'), within: t('up to the day'), rolling: t('on or after') };
	const curve = data.curve.filter((d) => d.rate !== null).map((d) => ({ ...d, mode: modes[d.mode] }));
	const gap = new Map();
	for (const d of data.gaps) {
		gap.set(d.x, { ...gap.get(d.x), x: d.x, [d.fraction]: d.days });
	}
	const gaps = [...gap.values()];
	const magic = data.magic[0].x;

	return page(
		t('Repurchase'),
		null,
		card({ title: t('Cohorts'), note: t('Of the customers whose first purchase was in a month, the share who bought N months later.'), wide: true },
			chart(later, t('nothing yet'), {
				width: 1240,
				height: 60 + 20 * new Set(later.map(month)).size,
				marginLeft: 70,
				padding: 0.03,
				x: { label: t('months later'), axis: 'top', type: 'band' },
				y: { label: t('first purchase'), type: 'band' },
				color: { scheme: 'blues', percent: true, legend: false },
				marks: [
					Plot.cell(later, { x: 'periods_since', y: month, fill: 'rate', rx: 3 }),
					Plot.text(later, { x: 'periods_since', y: month, text: (d) => (100 * d.rate).toFixed(0), fill: 'black', stroke: 'white', strokeWidth: 2 }),
				],
			})),
		card({ title: t('Bought again the next month') },
			chart(next, t('nothing yet'), {
				x: { type: 'utc', label: null },
				y: { grid: true, percent: true, zero: true, label: '%' },
				marks: [Plot.lineY(next, { x: 'month', y: 'rate', stroke: colors[0], strokeWidth: 2, marker: true, tip: true }), Plot.ruleY([0])],
			})),
		card({ title: t('After how many orders do they stay?'), note: t('Of the customers with an X-th purchase, the share who made another.') },
			chart(data.x_order, t('nothing yet'), {
				x: { label: t('X-th purchase'), type: 'band' },
				y: { grid: true, percent: true, label: '%' },
				marks: [
					Plot.barY(data.x_order, { x: 'x', y: 'rate', fill: (d) => (d.x === magic ? colors[1] : colors[0]), tip: true }),
					Plot.ruleY([0]),
				],
			}),
			figures([[magic ?? '–', t('magic number')]])),
		card({ title: t('When do they come back?'), note: t('Share of customers who bought on a day, up to it, or on or after it.') },
			chart(curve, t('nothing yet'), {
				x: { label: t('days after the first purchase'), type: 'log' },
				y: { grid: true, percent: true, label: '%', zero: true },
				color: { legend: true, domain: Object.values(modes) },
				marks: [Plot.lineY(curve, { x: 'days', y: 'rate', stroke: 'mode', strokeWidth: 2, marker: true, tip: true }), Plot.ruleY([0])],
			})),
		card({ title: t('Days between two purchases'), note: t('A quarter, half and three quarters come back within so many days.') },
			chart(gaps, t('nothing yet'), {
				x: { label: t('after purchase'), type: 'band' },
				y: { grid: true, label: t('days') },
				marks: [
					Plot.ruleX(gaps, { x: 'x', y1: '0.25', y2: '0.75', stroke: colors[0], strokeWidth: 12, strokeOpacity: 0.4 }),
					Plot.dot(gaps, { x: 'x', y: '0.5', fill: colors[1], r: 5, tip: true }),
					Plot.ruleY([0]),
				],
			})),
	);
}
