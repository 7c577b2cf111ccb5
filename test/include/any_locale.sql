-- Questions over text to be asked in a database, and :digests, a digest of the
-- answers to each: what is ordered or grouped by a locale would show.
SET client_min_messages = warning;
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET jit = off;
SET retention.clock = '2011-11-15 12:00+00';
CREATE EXTENSION IF NOT EXISTS retention;
CREATE SCHEMA any_locale;
SET search_path = any_locale, pg_catalog;
CREATE TABLE invoices (
	invoice text PRIMARY KEY, customer_id integer, invoice_date timestamp, amount numeric, quantity bigint, line_count integer, country text, is_cancellation boolean
);
\copy invoices FROM PROGRAM 'zcat "$RETENTION_DATA"/online_retail_invoices.csv.gz' WITH (FORMAT csv, HEADER)

-- Names that a locale sorts otherwise than bytes: case, accents, marks.
CREATE TABLE orders AS
	SELECT invoice, amount, country, invoice_date AT TIME ZONE 'Europe/London' AS paid_at,
		(ARRAY['a', 'A', 'é', 'z', '-', '_', 'ß'])[1 + customer_id % 7] || customer_id AS customer,
		(ARRAY['b', 'B', 'é', 'É', 'z-', '-z', 'ss', 'ß'])[1 + line_count % 8] || line_count % 5 AS product
	FROM invoices WHERE NOT is_cancellation AND customer_id IS NOT NULL AND amount >= 0;
ALTER TABLE orders ADD PRIMARY KEY (invoice);
CREATE TABLE lines AS
	SELECT invoice, product FROM orders
	UNION
	SELECT invoice, (ARRAY['b', 'B', 'é', 'É', 'z-', '-z', 'ss', 'ß'])[1 + line_count * 3 % 8] || line_count % 5 FROM orders JOIN invoices USING (invoice);
CREATE TABLE histories AS
	SELECT customer, retention.purchase_history(paid_at, amount) AS history FROM orders GROUP BY 1;
CREATE INDEX ON lines (invoice);
ANALYZE;
SELECT retention.create_shop('Retail', 'Europe/London', 'GBP') AS shop \gset
SELECT retention.attach_orders('orders', order_id => 'invoice', customer => 'customer', total => 'amount', paid_at => 'paid_at') AS source \gset
SELECT retention.attach_lines('lines', 'invoice', 'product') AS source \gset
\setenv PGDATABASE :DBNAME
\setenv PGOPTIONS '-c retention.clock=2011-11-15\\ 12:00+00'
\! psql -X -q -c "CALL retention.backfill('any_locale.orders')" 2>/dev/null
CREATE TABLE cuts AS SELECT retention.rfm_cuts('2011-06-15 00:00+00') AS cuts;

CREATE FUNCTION digest(query text) RETURNS text
	LANGUAGE plpgsql
	AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('SELECT count(*) || '' '' || left(md5(string_agg(q::text, E''\n'' ORDER BY q::text COLLATE "C")), 8) FROM (%s) AS q', query) INTO result;
	RETURN result;
END
$$;
SELECT string_agg(name || ': ' || digest(query), E'\n' ORDER BY name COLLATE "C") AS digests
FROM (
	VALUES
		('repurchase_rate', 'SELECT country, retention.repurchase_rate(customer) FROM orders GROUP BY 1'),
		('repurchase_collect', 'SELECT retention.repurchase_rate(retention.merge(part)) FROM (SELECT country, retention.repurchase_collect(customer) AS part FROM orders GROUP BY 1) AS p'),
		('rfm_matrix of orders', 'SELECT country, retention.rfm_matrix(customer, paid_at, amount) FROM orders GROUP BY 1'),
		('rfm_collect of orders', 'SELECT retention.rfm_matrix(retention.merge(part)) FROM (SELECT country, retention.rfm_collect(customer, paid_at, amount) AS part FROM orders GROUP BY 1) AS p'),
		('rfm_score', 'SELECT customer, retention.rfm_score(max(paid_at), count(*), sum(amount)) OVER () FROM orders GROUP BY 1'),
		('rfm_score of bytes', 'SELECT customer, retention.rfm_score(customer COLLATE "C", 1, 1) OVER () FROM histories'),
		('rfm_segment', 'SELECT r, f, m, retention.rfm_segment(r, f, m), retention.rfm_segment(r, f, m, ''cn8'') FROM generate_series(1, 5) AS r, generate_series(1, 5) AS f, generate_series(1, 5) AS m'),
		('cohort_matrix', 'SELECT retention.cohort_matrix(history, ''month'', ''Europe/London'', ''2011-11-15'') FROM histories'),
		('text of a history', 'SELECT customer, history::text FROM histories')
	UNION ALL
	SELECT call, 'SELECT * FROM retention.' || call
	FROM unnest(ARRAY[
		'cohorts(''week'', ''value'')', 'cohort_customers(''2011-01-01'', 3)', 'cohort_monthly', 'customers', 'rfm_segments', 'rfm_scores()', 'rfm_cuts()', 'rfm_grid()', 'rfm_grid_customers(5, NULL, 5)',
		'rfm_scores((SELECT cuts FROM any_locale.cuts))', 'rfm_movement(''2011-06-15'')', 'rfm_movement(''2011-06-15'', ''cn8'', (SELECT cuts FROM any_locale.cuts))',
		'rfm_movement_customers(''2011-06-15'')', 'product_repurchase()', 'product_repurchase_customers(''É1'')', 'product_pairs()', 'product_pair_customers(''B1'', ''b1'')']) AS call
) AS question (name, query) \gset
DROP EXTENSION retention CASCADE;
DROP SCHEMA any_locale CASCADE;
CREATE EXTENSION retention;
