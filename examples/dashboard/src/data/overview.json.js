import { answer } from './database.js';

await answer({
	shop: `
		SELECT shop, currency, today
		FROM retention.shops`,
	figures: `
		SELECT count(*) FILTER (WHERE purchases > 0) AS customers,
			sum(spent) AS spent,
			sum(purchases) AS purchases,
			count(*) FILTER (WHERE purchases >= 2)::numeric / nullif(count(*) FILTER (WHERE purchases > 0), 0) AS repurchase_rate,
			sum(unpaid_orders) AS unpaid_orders,
			sum(points) AS points
		FROM retention.customers`,
	months: `SELECT * FROM retention.new_vs_returning() ORDER BY period`,
	repurchase: `SELECT period, customers, rate FROM retention.repurchase() ORDER BY period`,
	groups: `
		SELECT customer_group, customer_group_zh, customers
		FROM retention.customer_groups
		ORDER BY customers DESC`,
	funnel: `SELECT stage, orders, share FROM retention.order_funnel() ORDER BY position`,
	channels: `SELECT * FROM retention.sales_by_channel() ORDER BY period_start, channel`,
	best: `SELECT retention.pareto() AS share`,
});
