SELECT to_char(month, 'YYYY-MM') AS month, buyers, repeat_buyers AS "bought twice",
	round(100 * repurchase_rate, 1) AS "% repurchase", new_buyers AS new, returning_buyers AS returning,
	purchases, round(sales) AS sales
FROM (SELECT * FROM retention.repurchase_monthly ORDER BY month DESC LIMIT 13) AS latest
ORDER BY month;
