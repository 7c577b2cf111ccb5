import { card, chart, colors, day, page, percent, Plot, table, whole } from './parts.js';
import { ruleNames, words } from './words.js';

export function care(data, language) {
	const t = words(language);
	const ruleName = (rule) => (language === 'zh' ? ruleNames[rule] ?? rule : rule.replaceAll('_', ' '));
	const lifts = data.campaigns.filter((d) => d.lift_low !== null);
	const outcomes = ['sent', 'skipped', 'failed'];
	const months = data.months.flatMap((d) => outcomes.map((kind) => ({ month: day(d.month), kind: t(kind), messages: d[kind] })));

	return page(
		t('Care and campaigns'),
		null,
		card({ title: t('Campaigns'), note: t('How many more of those written to bought than of those held out, with a 95 % interval.'), wide: true },
			chart(lifts, t('nothing yet'), {
				width: 1240,
				height: 60 + 40 * lifts.length,
				marginLeft: 200,
				marginRight: 120,
				x: { grid: true, percent: true, label: '%' },
				y: { label: null },
				marks: [
					Plot.ruleX([0]),
					Plot.ruleY(lifts, { y: 'name', x1: 'lift_low', x2: 'lift_high', stroke: colors[0], strokeWidth: 4 }),
					Plot.dot(lifts, { y: 'name', x: 'lift', fill: colors[1], r: 6 }),
				],
			}),
			table(data.campaigns, [
				{ name: t('campaign'), of: (d) => d.name },
				{ name: t('written to'), of: (d) => whole(d.treated_customers), number: true },
				{ name: t('held out'), of: (d) => whole(d.holdout_customers), number: true },
				{ name: t('sent'), of: (d) => whole(d.sent), number: true },
				{ name: t('bought'), of: (d) => percent(d.conversion), number: true },
				{ name: t('bought, held out'), of: (d) => percent(d.holdout_conversion), number: true },
				{ name: t('sales'), of: (d) => whole(d.sales), number: true },
				{ name: t('cost'), of: (d) => whole(d.cost), number: true },
				{ name: t('conclusion'), of: (d) => d.conclusion },
			])),
		card({ title: t('Messages by month') },
			chart(months, t('nothing yet'), {
				x: { type: 'utc', label: null, interval: 'month' },
				y: { grid: true, label: t('messages') },
				color: { legend: true, domain: outcomes.map(t) },
				marks: [Plot.rectY(months, { x: 'month', y: 'messages', interval: 'month', fill: 'kind', inset: 8, tip: true }), Plot.ruleY([0])],
			})),
		card({ title: t('Why messages were not sent') }, table(data.skipped, [
			{ name: t('reason'), of: (d) => (language === 'zh' ? d.explanation_zh : d.explanation) },
			{ name: t('messages'), of: (d) => whole(d.messages), number: true },
		])),
		card({ title: t('What each rule did'), note: t('Responses within the message, sales within the attribution window.'), wide: true }, table(data.rules, [
			{ name: t('rule'), of: (d) => ruleName(d.rule) },
			{ name: t('queued'), of: (d) => whole(d.queued), number: true },
			{ name: t('sent'), of: (d) => whole(d.sent), number: true },
			{ name: t('skipped'), of: (d) => whole(d.skipped), number: true },
			{ name: t('failed'), of: (d) => whole(d.failed), number: true },
			{ name: t('responses'), of: (d) => whole(d.responses), number: true },
			{ name: t('response rate'), of: (d) => percent(d.response_rate), number: true },
			{ name: t('orders'), of: (d) => whole(d.orders), number: true },
			{ name: t('sales'), of: (d) => whole(d.sales), number: true },
		])),
		card({ title: t('Calls') }, table(data.staff, [
			{ name: t('staff'), of: (d) => d.staff },
			{ name: t('calls'), of: (d) => whole(d.calls), number: true },
			{ name: t('customers'), of: (d) => whole(d.customers), number: true },
			{ name: t('reached'), of: (d) => percent(d.reach_rate), number: true },
		])),
		card({ title: t('Tasks waiting') }, table(data.tasks, [
			{ name: t('rule'), of: (d) => ruleName(d.rule) },
			{ name: t('channel'), of: (d) => d.channel },
			{ name: t('tasks'), of: (d) => whole(d.tasks), number: true },
		])),
	);
}
