SELECT tier, count(*) AS customers, round(100.0 * count(*) / sum(count(*)) OVER (), 1) AS "% customers",
	round(sum(spent)) AS spent, round(avg(spent)) AS "spent each", round(avg(purchases), 1) AS purchases
FROM retention.customers
GROUP BY tier
ORDER BY "spent each" DESC NULLS LAST;
