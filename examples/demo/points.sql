SELECT kind, count(*) AS entries, count(DISTINCT customer_id) AS customers, sum(points) AS points
FROM retention.points_entry
GROUP BY kind
ORDER BY kind;

SELECT customer_id, tier, purchases, spent, points AS "points posted",
	retention.points_balance(customer_id) AS "points available"
FROM retention.customers
ORDER BY spent DESC NULLS LAST, customer_id
LIMIT 5;
