import { answer } from './database.js';

await answer({
	segments: `
		SELECT scheme, segment, segment_zh, customers, share, spent, spent_share
		FROM retention.rfm_segments
		ORDER BY scheme, spent DESC`,
	grid: `
		SELECT recency, ceil((frequency + monetary) / 2.0)::integer AS value, sum(customers) AS customers, sum(spent) AS spent
		FROM retention.rfm_grid()
		GROUP BY 1, 2
		ORDER BY 1, 2`,
	movement: `
		SELECT moved.from_segment, moved.to_segment, moved.customers,
			before.segment_zh AS from_segment_zh, after.segment_zh AS to_segment_zh
		FROM retention.rfm_movement(retention.now() - interval '60 days') AS moved
		LEFT JOIN retention.rfm_segments AS before ON before.scheme = 'global' AND before.segment = moved.from_segment
		LEFT JOIN retention.rfm_segments AS after ON after.scheme = 'global' AND after.segment = moved.to_segment
		ORDER BY 1, 2`,
	bands: `SELECT * FROM retention.customer_value_bands() ORDER BY from_value NULLS FIRST`,
	tiers: `SELECT * FROM retention.tier_distribution()`,
	best: `
		SELECT customer_id, coalesce(nickname, name, customer_id) AS name, tier, segment, segment_cn8, purchases, spent,
			recency_days, points, p_alive, clv
		FROM retention.customers
		ORDER BY spent DESC, customer_id
		LIMIT 25`,
	alive: `
		SELECT least(width_bucket(p_alive, 0, 1, 10), 10) / 10.0 - 0.05 AS p_alive, count(*) AS customers, sum(clv) AS clv
		FROM retention.customers
		WHERE p_alive IS NOT NULL
		GROUP BY 1
		ORDER BY 1`,
	win_back: `
		SELECT customer_id, coalesce(nickname, name, customer_id) AS name, purchases, spent, recency_days, p_alive
		FROM retention.customers
		WHERE p_alive < 0.5
		ORDER BY spent * p_alive DESC, customer_id
		LIMIT 25`,
	call_back: `
		SELECT customer_id, coalesce(nickname, name, customer_id) AS name, unpaid_orders, purchases, spent, tier
		FROM retention.customers
		WHERE unpaid_orders > 0
		ORDER BY spent DESC, customer_id
		LIMIT 25`,
});
