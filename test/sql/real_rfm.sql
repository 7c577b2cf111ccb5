-- rfm_score() on real orders, against its definition in plain SQL.
CREATE SCHEMA rfm_real;
SET search_path = rfm_real, pg_catalog;

CREATE TABLE cdnow (
	transaction_id integer, customer_id integer, order_date date, cd_count integer, amount numeric, sample_id integer
);
\copy cdnow FROM PROGRAM 'zcat "$RETENTION_DATA"/cdnow.csv.gz' WITH (FORMAT csv, HEADER)
CREATE TABLE online_retail (
	invoice text, customer_id integer, invoice_date timestamp, amount numeric, quantity bigint, line_count integer, country text, is_cancellation boolean
);
\copy online_retail FROM PROGRAM 'zcat "$RETENTION_DATA"/online_retail_invoices.csv.gz' WITH (FORMAT csv, HEADER)

CREATE VIEW customers AS
	SELECT 'cdnow' AS shop, customer_id, max(order_date)::timestamp AS last_purchase, count(*) AS purchases, sum(amount) AS spent
	FROM cdnow GROUP BY customer_id
	UNION ALL
	SELECT 'online_retail', customer_id, max(invoice_date), count(*), sum(amount)
	FROM online_retail WHERE NOT is_cancellation AND customer_id IS NOT NULL GROUP BY customer_id;

CREATE TABLE scored AS
	SELECT shop, customer_id, (score).recency, (score).frequency, (score).monetary
	FROM (
		SELECT shop, customer_id, retention.rfm_score(last_purchase, purchases, spent) OVER (PARTITION BY shop) AS score FROM customers
	) AS s;
CREATE TABLE definition AS
	SELECT shop, customer_id,
		(1 + 5 * (rank() OVER (PARTITION BY shop ORDER BY last_purchase) - 1) / count(*) OVER (PARTITION BY shop))::integer AS recency,
		(1 + 5 * (rank() OVER (PARTITION BY shop ORDER BY purchases) - 1) / count(*) OVER (PARTITION BY shop))::integer AS frequency,
		(1 + 5 * (rank() OVER (PARTITION BY shop ORDER BY spent) - 1) / count(*) OVER (PARTITION BY shop))::integer AS monetary
	FROM customers;

-- Not one customer differs.
SELECT shop, count(*) FROM scored GROUP BY shop ORDER BY shop;
(TABLE scored EXCEPT TABLE definition) UNION ALL (TABLE definition EXCEPT TABLE scored);

-- Nor one cell of rfm_matrix(), from totals, from histories or from orders, at
-- once or from states merged: of histories by customer, of orders by month.
CREATE VIEW cells AS
	SELECT s.shop, s.recency, s.frequency, s.monetary, count(*) AS customers, sum(c.spent) AS spent
	FROM scored AS s JOIN customers AS c USING (shop, customer_id)
	GROUP BY s.shop, s.recency, s.frequency, s.monetary;
CREATE VIEW of_totals AS
	SELECT shop, (unnest(retention.rfm_matrix(last_purchase AT TIME ZONE 'UTC', purchases, spent))).* FROM customers GROUP BY shop;
CREATE VIEW of_histories AS
	SELECT shop, (unnest(retention.rfm_matrix(history, '2024-01-01 00:00+00'))).*
	FROM (
		SELECT 'cdnow' AS shop, retention.purchase_history(order_date AT TIME ZONE 'UTC', amount) AS history FROM cdnow GROUP BY customer_id
		UNION ALL
		SELECT 'online_retail', retention.purchase_history(invoice_date AT TIME ZONE 'UTC', amount)
		FROM online_retail WHERE NOT is_cancellation AND customer_id IS NOT NULL GROUP BY customer_id
	) AS h
	GROUP BY shop;
CREATE VIEW orders AS
	SELECT 'cdnow' AS shop, customer_id, order_date::timestamp AT TIME ZONE 'UTC' AS paid_at, amount FROM cdnow
	UNION ALL
	SELECT 'online_retail', customer_id, invoice_date AT TIME ZONE 'UTC', amount FROM online_retail WHERE NOT is_cancellation AND customer_id IS NOT NULL;
CREATE VIEW of_orders AS
	SELECT shop, (unnest(retention.rfm_matrix(customer_id, paid_at, amount))).* FROM orders GROUP BY shop;
CREATE VIEW of_orders_by_text AS
	SELECT shop, (unnest(retention.rfm_matrix(md5(customer_id::text), paid_at, amount))).* FROM orders GROUP BY shop;
CREATE VIEW of_states AS
	SELECT shop, (unnest(retention.rfm_matrix(retention.merge(state)))).*
	FROM (
		SELECT shop, date_trunc('month', paid_at), retention.rfm_collect(customer_id::text, paid_at, amount) AS state FROM orders GROUP BY 1, 2
	) AS s
	GROUP BY shop;
CREATE VIEW of_history_states AS
	SELECT shop, (unnest(retention.rfm_matrix(retention.merge(state)))).*
	FROM (
		SELECT shop, customer_id % 10, retention.rfm_collect(history, '2024-01-01 00:00+00') AS state
		FROM (SELECT shop, customer_id, retention.purchase_history(paid_at, amount) AS history FROM orders GROUP BY 1, 2) AS h
		GROUP BY 1, 2
	) AS s
	GROUP BY shop;
SELECT shop, count(*) FROM cells GROUP BY shop ORDER BY shop;
(TABLE cells EXCEPT TABLE of_totals) UNION ALL (TABLE of_totals EXCEPT TABLE cells);
(TABLE cells EXCEPT TABLE of_histories) UNION ALL (TABLE of_histories EXCEPT TABLE cells);
(TABLE cells EXCEPT TABLE of_orders) UNION ALL (TABLE of_orders EXCEPT TABLE cells);
(TABLE cells EXCEPT TABLE of_orders_by_text) UNION ALL (TABLE of_orders_by_text EXCEPT TABLE cells);
(TABLE cells EXCEPT TABLE of_states) UNION ALL (TABLE of_states EXCEPT TABLE cells);
(TABLE cells EXCEPT TABLE of_history_states) UNION ALL (TABLE of_history_states EXCEPT TABLE cells);

-- Nor one cut point, by each of these ways; by them everybody has the same scores,
-- and where nobody has another's amount they are where ntile() begins its fifths.
CREATE TABLE edges AS
	SELECT shop, s, coalesce(min(last_purchase) FILTER (WHERE recency >= s), 'infinity') AT TIME ZONE 'UTC' AS recency,
		coalesce(min(purchases) FILTER (WHERE frequency >= s), 9223372036854775807) AS frequency, coalesce(min(spent) FILTER (WHERE monetary >= s), 'infinity') AS monetary
	FROM scored JOIN customers USING (shop, customer_id), generate_series(2, 5) AS s GROUP BY shop, s;
CREATE TABLE cuts AS
	SELECT 'totals' AS way, shop, retention.rfm_cuts_of(retention.rfm_collect(last_purchase AT TIME ZONE 'UTC', purchases, spent), '2024-01-01 00:00+00') AS cuts FROM customers GROUP BY shop
	UNION ALL
	SELECT 'orders', shop, retention.rfm_cuts_of(retention.rfm_collect(customer_id, paid_at, amount), '2024-01-01 00:00+00') FROM orders GROUP BY shop
	UNION ALL
	SELECT 'orders by text', shop, retention.rfm_cuts_of(retention.rfm_collect(md5(customer_id::text), paid_at, amount), '2024-01-01 00:00+00') FROM orders GROUP BY shop
	UNION ALL
	SELECT 'orders merged', shop, retention.rfm_cuts_of(retention.merge(state), '2024-01-01 00:00+00')
	FROM (SELECT shop, date_trunc('month', paid_at), retention.rfm_collect(customer_id, paid_at, amount) AS state FROM orders GROUP BY 1, 2) AS s GROUP BY shop
	UNION ALL
	SELECT 'histories', shop, retention.rfm_cuts_of(retention.rfm_collect(history, '2024-01-01 00:00+00'), '2024-01-01 00:00+00')
	FROM (SELECT shop, customer_id, retention.purchase_history(paid_at, amount) AS history FROM orders GROUP BY 1, 2) AS h GROUP BY shop;
SELECT count(*) AS ways, count(*) FILTER (WHERE cuts <> plain) AS different
FROM cuts JOIN (SELECT shop, ROW(array_agg(recency ORDER BY s), array_agg(frequency ORDER BY s), array_agg(monetary ORDER BY s), '2024-01-01 00:00+00')::retention.rfm_cuts AS plain FROM edges GROUP BY shop) AS e USING (shop);
SELECT count(*) AS customers, count(*) FILTER (WHERE retention.rfm_score(last_purchase AT TIME ZONE 'UTC', purchases, spent, cuts, at => '2024-01-01 00:00+00') <> (recency, frequency, monetary)::retention.rfm_score) AS different
FROM customers JOIN scored USING (shop, customer_id) JOIN cuts USING (shop) WHERE way = 'orders';
CREATE TABLE amounts AS
	SELECT shop, spent, ntile(5) OVER (PARTITION BY shop ORDER BY spent) AS fifth
	FROM (SELECT shop, spent, row_number() OVER (PARTITION BY shop ORDER BY spent) AS place, count(*) OVER (PARTITION BY shop) AS n FROM (SELECT DISTINCT shop, spent FROM customers) AS d) AS a
	WHERE place <= n / 5 * 5;
SELECT shop, ((retention.rfm_cuts_of(retention.rfm_collect('2024-01-01 00:00+00', 1, spent))).monetary)::numeric[]
	= (SELECT array_agg(least ORDER BY fifth) FROM (SELECT fifth, min(spent) AS least FROM amounts AS o WHERE o.shop = a.shop AND fifth > 1 GROUP BY fifth) AS f) AS as_ntile
FROM amounts AS a GROUP BY shop ORDER BY shop;

-- What it says of them.
SELECT shop, score,
	count(*) FILTER (WHERE recency = score) AS recency,
	count(*) FILTER (WHERE frequency = score) AS frequency,
	count(*) FILTER (WHERE monetary = score) AS monetary
FROM scored, generate_series(1, 5) AS score GROUP BY shop, score ORDER BY shop, score;
SELECT retention.rfm_segment(recency, frequency, monetary) AS segment,
	count(*) FILTER (WHERE shop = 'cdnow') AS cdnow, count(*) FILTER (WHERE shop = 'online_retail') AS online_retail
FROM scored GROUP BY 1 ORDER BY 1;
SELECT retention.rfm_segment(recency, frequency, monetary, 'cn8') COLLATE "C" AS class,
	count(*) FILTER (WHERE shop = 'cdnow') AS cdnow, count(*) FILTER (WHERE shop = 'online_retail') AS online_retail
FROM scored GROUP BY 1 ORDER BY 1;

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA rfm_real CASCADE;
