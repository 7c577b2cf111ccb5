-- repurchase_rate() on real orders, against its definition in plain SQL.
CREATE SCHEMA repurchase_real;
SET search_path = repurchase_real, pg_catalog;

CREATE TABLE cdnow (
	transaction_id integer, customer_id integer, order_date date, cd_count integer, amount numeric, sample_id integer
);
\copy cdnow FROM PROGRAM 'zcat "$RETENTION_DATA"/cdnow.csv.gz' WITH (FORMAT csv, HEADER)
CREATE TABLE online_retail (
	invoice text, customer_id integer, invoice_date timestamp, amount numeric, quantity bigint, line_count integer, country text, is_cancellation boolean
);
\copy online_retail FROM PROGRAM 'zcat "$RETENTION_DATA"/online_retail_invoices.csv.gz' WITH (FORMAT csv, HEADER)
ANALYZE cdnow;
ANALYZE online_retail;

-- CDNOW: 11,662 of 23,570 customers bought twice.
SELECT retention.repurchase_rate(customer_id), retention.repurchase_rate(customer_id) = 11662 / 23570::numeric AS as_published
FROM cdnow;

-- The same by every kind of key.
SELECT
	retention.repurchase_rate(customer_id::text) = 11662 / 23570::numeric AS text,
	retention.repurchase_rate(customer_id::bigint) = 11662 / 23570::numeric AS bigint,
	retention.repurchase_rate(customer_id::numeric) = 11662 / 23570::numeric AS numeric,
	retention.repurchase_rate(md5(customer_id::text)::uuid) = 11662 / 23570::numeric AS uuid
FROM cdnow;

-- By month; the definition gives not one row more or less.
SELECT to_char(order_date, 'YYYY-MM') AS month, round(retention.repurchase_rate(customer_id), 4) AS repurchase_rate
FROM cdnow GROUP BY 1 ORDER BY 1;
CREATE VIEW by_month AS
	SELECT date_trunc('month', order_date) AS month, retention.repurchase_rate(customer_id) AS rate,
		retention.repurchase_rate(customer_id::text) AS text_rate
	FROM cdnow GROUP BY 1;
CREATE VIEW plain_by_month AS
	SELECT month, (count(*) FILTER (WHERE purchases >= 2))::numeric / count(*) AS rate,
		(count(*) FILTER (WHERE purchases >= 2))::numeric / count(*) AS text_rate
	FROM (
		SELECT date_trunc('month', order_date) AS month, customer_id, count(*) AS purchases FROM cdnow GROUP BY 1, 2
	) AS customers
	GROUP BY month;
(TABLE by_month EXCEPT TABLE plain_by_month) UNION ALL (TABLE plain_by_month EXCEPT TABLE by_month);

-- Months kept as states merge into the whole.
SELECT retention.repurchase_rate(retention.merge(customers)) = 11662 / 23570::numeric AS merged
FROM (
	SELECT retention.repurchase_collect(customer_id) AS customers FROM cdnow GROUP BY date_trunc('month', order_date)
) AS months;

-- Online Retail: invoices of known customers that are no cancellations.
CREATE VIEW by_country AS
	SELECT country, retention.repurchase_rate(customer_id) FILTER (WHERE NOT is_cancellation) AS rate
	FROM online_retail GROUP BY ROLLUP (country);
CREATE VIEW plain_by_country AS
	SELECT c.country, CASE WHEN count(customer_id) > 0 THEN (count(*) FILTER (WHERE purchases >= 2))::numeric / count(customer_id) END AS rate
	FROM (SELECT DISTINCT country FROM online_retail) AS c
		LEFT JOIN (
			SELECT country, customer_id, count(*) AS purchases
			FROM online_retail WHERE NOT is_cancellation AND customer_id IS NOT NULL GROUP BY 1, 2
		) AS k ON k.country = c.country
	GROUP BY c.country
	UNION ALL
	SELECT NULL, (count(*) FILTER (WHERE purchases >= 2))::numeric / count(*)
	FROM (
		SELECT count(*) AS purchases FROM online_retail
		WHERE NOT is_cancellation AND customer_id IS NOT NULL GROUP BY customer_id
	) AS k;
SELECT rate, (SELECT count(*) FROM by_country) AS countries FROM by_country WHERE country IS NULL;
(TABLE by_country EXCEPT TABLE plain_by_country) UNION ALL (TABLE plain_by_country EXCEPT TABLE by_country);

-- In parallel, and with little memory.
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
SET work_mem = '64kB';
EXPLAIN (COSTS OFF) SELECT retention.repurchase_rate(customer_id) FROM cdnow;
SELECT
	retention.repurchase_rate(customer_id) = 11662 / 23570::numeric AS integer,
	retention.repurchase_rate(customer_id::text) = 11662 / 23570::numeric AS text,
	retention.repurchase_rate(customer_id::numeric) = 11662 / 23570::numeric AS numeric,
	retention.repurchase_rate(md5(customer_id::text)::uuid) = 11662 / 23570::numeric AS uuid
FROM cdnow;
(TABLE by_month EXCEPT TABLE plain_by_month) UNION ALL (TABLE plain_by_month EXCEPT TABLE by_month);
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather;
RESET work_mem;

-- As a window aggregate: the rate up to each day.
SELECT count(*) AS days_that_differ
FROM (
	SELECT DISTINCT order_date, retention.repurchase_rate(customer_id) OVER (ORDER BY order_date) AS rate FROM cdnow
) AS w
WHERE order_date IN ('1997-01-01', '1997-03-31', '1998-06-30')
	AND rate IS DISTINCT FROM (
		SELECT (count(*) FILTER (WHERE purchases >= 2))::numeric / count(*)
		FROM (SELECT count(*) AS purchases FROM cdnow AS c WHERE c.order_date <= w.order_date GROUP BY customer_id) AS k);

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA repurchase_real CASCADE;
