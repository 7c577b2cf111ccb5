SELECT customer_group AS "group", customer_group_zh AS "分组", customers,
	round(100 * share, 1) AS "% customers", round(spent) AS spent
FROM retention.customer_groups;
