import { answer } from './database.js';

await answer({
	daily: `
		SELECT day, accrued + granted + adjusted AS earned, -(redeemed + cancelled) AS redeemed, -lapsed AS lapsed, -reversed AS reversed
		FROM retention.points_daily
		ORDER BY day`,
	liability: `SELECT expiry_month, customers, points, held, value FROM retention.points_liability() ORDER BY expiry_month`,
	holders: `
		SELECT tier, count(*) AS customers, sum(points) AS points
		FROM retention.customers
		WHERE points > 0
		GROUP BY tier
		ORDER BY points DESC`,
	balances: `
		SELECT width_bucket(points, ARRAY[1, 50, 100, 200, 500, 1000, 2000]) AS band, count(*) AS customers
		FROM retention.customers
		WHERE points > 0
		GROUP BY 1
		ORDER BY 1`,
});
