import { answer } from './database.js';

await answer({
	rules: `
		SELECT rule, sum(queued) AS queued, sum(sent) AS sent, sum(skipped) AS skipped, sum(failed) AS failed,
			sum(responses) AS responses, sum(orders) AS orders, sum(sales) AS sales, sum(segments) AS segments,
			sum(responses) / nullif(sum(sent), 0) AS response_rate
		FROM retention.care_effect
		GROUP BY rule
		ORDER BY sum(queued) DESC, rule`,
	months: `
		SELECT month, sum(sent) AS sent, sum(skipped) AS skipped, sum(failed) AS failed
		FROM retention.care_effect
		GROUP BY month
		ORDER BY month`,
	campaigns: `
		SELECT name, state, treated_customers, holdout_customers, sent, conversion, holdout_conversion,
			lift, lift_low, lift_high, sales, cost, conclusion
		FROM retention.campaigns
		WHERE state <> 'draft'
		ORDER BY starts_at`,
	skipped: `
		SELECT reason, min(explanation) AS explanation, min(explanation_zh) AS explanation_zh, count(*) AS messages
		FROM retention.care_skipped
		GROUP BY reason
		ORDER BY count(*) DESC, reason`,
	tasks: `
		SELECT rule, channel, count(*) AS tasks, min(due_at) AS oldest
		FROM retention.care_tasks
		GROUP BY rule, channel
		ORDER BY count(*) DESC`,
	staff: `
		SELECT staff, sum(calls) AS calls, sum(customers) AS customers, sum(reached) AS reached,
			sum(reached)::numeric / nullif(sum(calls), 0) AS reach_rate
		FROM retention.staff_followups
		GROUP BY staff
		ORDER BY staff`,
});
