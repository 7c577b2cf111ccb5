SELECT segment, customers, round(100 * share, 1) AS "% customers",
	round(spent) AS spent, round(100 * spent_share, 1) AS "% spent",
	round(average_purchases, 1) AS purchases, round(average_recency_days) AS "days since"
FROM retention.rfm_segments
WHERE scheme = 'global'
ORDER BY spent DESC;
