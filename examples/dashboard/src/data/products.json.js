import { answer } from './database.js';

await answer({
	products: `SELECT * FROM retention.product_repurchase() ORDER BY buyers DESC, product LIMIT 30`,
	pairs: `
		SELECT product, other, orders, confidence, lift
		FROM retention.product_pairs(10)
		WHERE confidence IS NOT NULL
		ORDER BY product, other`,
	visits: `SELECT * FROM retention.visit_conversion() WHERE visitors IS NOT NULL ORDER BY period_start`,
	regions: `SELECT region, sum(purchases) AS purchases, sum(value) AS value FROM retention.sales_by_region() GROUP BY region ORDER BY 3 DESC`,
});
