import { card, chart, colors, day, figures, page, percent, Plot, whole } from './parts.js';
import { words } from './words.js';

export function overview(data, language) {
	const t = words(language);
	const [shop] = data.shop;
	const [is] = data.figures;
	const sales = data.months.flatMap((m) => [
		{ month: day(m.period), kind: t('first purchases'), value: m.first_value },
		{ month: day(m.period), kind: t('repeat purchases'), value: m.repeat_value },
	]).filter((d) => d.value !== null);
	const buyers = data.months.flatMap((m) => [
		{ month: day(m.period), kind: t('new customers'), value: m.new_customers },
		{ month: day(m.period), kind: t('returning customers'), value: m.returning_customers },
	]).filter((d) => d.value !== null);
	const rates = data.repurchase.filter((m) => m.rate !== null).map((m) => ({ month: day(m.period), rate: m.rate }));
	const groupName = (d) => (language === 'zh' ? d.customer_group_zh : d.customer_group);
	const channels = data.channels.filter((d) => d.value !== null)
		.map((d) => ({ month: day(d.period_start), channel: d.channel ?? t('other'), value: d.value }));
	const stacked = (rows) => ({
		x: { type: 'utc', label: null },
		y: { grid: true, label: null, tickFormat: '~s' },
		color: { legend: true, domain: [...new Set(rows.map((d) => d.kind))] },
		marks: [Plot.rectY(rows, { x: 'month', y: 'value', interval: 'month', fill: 'kind', inset: 1, tip: true }), Plot.ruleY([0])],
	});

	return page(
		`${shop.shop} · ${t('Overview')}`,
		`${t('as of')} ${shop.today} · ${shop.currency}`,
		card({ title: t('Overview'), wide: true }, figures([
			[whole(is.customers), t('customers who bought')],
			[whole(is.purchases), t('purchases')],
			[whole(is.spent), t('sales, refunds taken off')],
			[percent(is.repurchase_rate), t('bought at least twice')],
			[percent(data.best[0].share), t('of sales by the best fifth of customers')],
			[whole(is.unpaid_orders), t('orders wait to be paid')],
			[whole(is.points), t('points customers may spend')],
		])),
		card({ title: t('Sales by month'), note: t('First purchases and purchases of customers who had bought before.') },
			chart(sales, t('nothing yet'), stacked(sales))),
		card({ title: t('Buyers by month') }, chart(buyers, t('nothing yet'), stacked(buyers))),
		card({ title: t('Repurchase rate by month'), note: t('Of the customers who bought in a month, the share who bought twice in it.') },
			chart(rates, t('nothing yet'), {
				x: { type: 'utc', label: null },
				y: { grid: true, percent: true, label: '%', zero: true },
				marks: [Plot.lineY(rates, { x: 'month', y: 'rate', stroke: colors[0], strokeWidth: 2, marker: true, tip: true }), Plot.ruleY([0])],
			})),
		card({ title: t('Sales by channel') },
			chart(channels, t('nothing yet'), {
				x: { type: 'utc', label: null },
				y: { grid: true, label: null, tickFormat: '~s', zero: true },
				color: { legend: true },
				marks: [Plot.lineY(channels, { x: 'month', y: 'value', stroke: 'channel', strokeWidth: 2, tip: true }), Plot.ruleY([0])],
			})),
		card({ title: t('Customer groups'), note: t('What calls for the next step comes first.') },
			chart(data.groups, t('nothing yet'), {
				marginLeft: 100,
				marginRight: 50,
				x: { grid: true, label: t('customers') },
				y: { label: null },
				marks: [
					Plot.barX(data.groups, { x: 'customers', y: groupName, fill: colors[0], sort: { y: '-x' } }),
					Plot.text(data.groups, { x: 'customers', y: groupName, text: (d) => whole(d.customers), dx: 4, textAnchor: 'start' }),
				],
			})),
		card({ title: t('From order to completion') },
			chart(data.funnel, t('nothing yet'), {
				marginLeft: 100,
				marginRight: 90,
				x: { grid: true, label: t('orders') },
				y: { label: null, domain: data.funnel.map((d) => t(d.stage)) },
				marks: [
					Plot.barX(data.funnel, { x: 'orders', y: (d) => t(d.stage), fill: colors[2] }),
					Plot.text(data.funnel, { x: 'orders', y: (d) => t(d.stage), text: (d) => `${whole(d.orders)} · ${percent(d.share)}`, dx: 4, textAnchor: 'start' }),
				],
			})),
	);
}
