-- The answers do not depend on the plan, the memory, the session's time zone
-- or its locale: every aggregate and every analytic function, on all of CDNOW
-- and Online Retail, under settings that change each of these.
SET client_min_messages = warning;
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET jit = off;
CREATE SCHEMA any_plan;
SET search_path = any_plan, pg_catalog;

CREATE TABLE cdnow (
	transaction_id integer PRIMARY KEY, customer_id integer NOT NULL, order_date date NOT NULL, cd_count integer, amount numeric NOT NULL, sample_id integer
);
\copy cdnow FROM PROGRAM 'zcat "$RETENTION_DATA"/cdnow.csv.gz' WITH (FORMAT csv, HEADER)
CREATE TABLE invoices (
	invoice text, customer_id integer, invoice_date timestamp, amount numeric, quantity bigint, line_count integer, country text, is_cancellation boolean
);
\copy invoices FROM PROGRAM 'zcat "$RETENTION_DATA"/online_retail_invoices.csv.gz' WITH (FORMAT csv, HEADER)

-- In partitions, so that aggregates may be computed by partition first.
CREATE TABLE orders (shop text, customer_id integer, day date, paid_at timestamptz, amount numeric, country text) PARTITION BY HASH (customer_id);
CREATE TABLE orders_0 PARTITION OF orders FOR VALUES WITH (MODULUS 3, REMAINDER 0) WITH (parallel_workers = 2);
CREATE TABLE orders_1 PARTITION OF orders FOR VALUES WITH (MODULUS 3, REMAINDER 1) WITH (parallel_workers = 2);
CREATE TABLE orders_2 PARTITION OF orders FOR VALUES WITH (MODULUS 3, REMAINDER 2) WITH (parallel_workers = 2);
INSERT INTO orders
	SELECT 'cdnow', customer_id, order_date, order_date::timestamp AT TIME ZONE 'UTC', amount, 'web' FROM cdnow
	UNION ALL
	SELECT 'retail', customer_id, invoice_date::date, invoice_date AT TIME ZONE 'Europe/London', amount, country
	FROM invoices WHERE NOT is_cancellation AND customer_id IS NOT NULL AND amount >= 0;
CREATE TABLE histories WITH (parallel_workers = 2) AS
	SELECT shop, customer_id, retention.purchase_history(paid_at, amount) AS history FROM orders GROUP BY 1, 2;
ANALYZE;

\setenv PGDATABASE :DBNAME
\setenv PGOPTIONS '-c retention.clock=1998-06-15\\ 12:00+08'
SET retention.clock = '1998-06-15 12:00+08';
SELECT retention.create_shop('CDNOW', 'Asia/Shanghai', 'USD');
SELECT retention.attach_orders('cdnow', order_id => 'transaction_id', customer => 'customer_id', total => 'amount', paid_at => 'order_date',
	channel => 'sample_id % 3', attributes => $$jsonb_build_object('region', cd_count)$$);
SELECT retention.attach_lines('cdnow', 'transaction_id', $$'CD' || cd_count$$);
SELECT retention.attach_events('cdnow', 'customer_id', 'order_date', $$'visit'$$);
\! psql -X -q -c "CALL retention.backfill('any_plan.cdnow')" 2>/dev/null
ALTER TABLE retention.customer_stats SET (parallel_workers = 2);
ALTER TABLE retention.purchase SET (parallel_workers = 2);
ANALYZE retention.customer_stats, retention.purchase, retention.customer;

CREATE TABLE questions (name text PRIMARY KEY, query text);
INSERT INTO questions
	SELECT name, format('SELECT shop, retention.%s AS answer FROM histories GROUP BY shop', replace(call, 'ASK', $$'Asia/Shanghai', '2011-10-01 12:00+00'$$))
	FROM (VALUES
		('cohort_matrix', 'cohort_matrix(history, ''month'', ASK)'), ('new_vs_returning', 'new_vs_returning(history, ''week'', ASK)'),
		('next_period_rates', 'next_period_rates(history, ''quarter'', 2, ASK)'), ('next_period_rate', 'next_period_rate(history, ''month'', ''1998-01-15'', 1, ASK)'),
		('repurchase_rates', 'repurchase_rates(history, ''day'', ASK)'), ('x_order_rates', 'x_order_rates(history, ''30 days'', ''2011-10-01 12:00+00'')'),
		('magic_number', 'magic_number(history, NULL, ''2011-10-01 12:00+00'')'), ('retention_rate', 'retention_rate(history, ''rolling'', 30, ASK)'),
		('retention_curve', 'retention_curve(history, ''classic'', ''{1,7,30}'', ASK)'), ('purchase_gaps', 'purchase_gaps(history, NULL, ''{0.5,0.9}'', ''2011-10-01 12:00+00'')'),
		('pareto_share', 'pareto_share(history, 0.2, ''2011-10-01 12:00+00'')'), ('merge', 'merge(history)'),
		('cohort_collect', 'cohort_collect(history, ''week'', ASK)::text'), ('retention_collect', 'retention_collect(history, ASK)::text')) AS v (name, call)
	UNION ALL
	SELECT 'shop: ' || call, 'SELECT * FROM retention.' || call
	FROM unnest(ARRAY[
		'cohorts(''week'', ''value'')', 'cohort_customers(''1997-01-01'', 5)', 'repurchase(''quarter'')', 'new_vs_returning()', 'period_customers(''1997-05-01'')', 'next_period()',
		'next_period_customers(''1997-03-01'')', 'x_order(''60 days'')', 'x_order_customers(3, ''60 days'')', 'magic_number()', 'retention_curve()', 'retention_curve_customers(30)',
		'gap_to_next()', 'gap_to_next_customers(2)', 'pareto()', 'pareto_customers()', 'sales_by_channel()', 'sales_by_channel_customers(''1997-05-01'', ''1'')', 'sales_by_region()',
		'sales_by_region_customers(''1997-05-01'', ''2'')', 'sales_monthly()', 'order_funnel()', 'order_funnel_customers(''paid'')', 'customer_totals(''1997-09-01 00:00+08'')', 'rfm_scores()', 'rfm_cuts()', 'rfm_grid()',
		'rfm_grid_customers(5, 5, NULL)', 'rfm_movement(''1997-09-01 00:00+08'')', 'rfm_movement_customers(''1997-09-01 00:00+08'', ''cn8'')', 'customer_value_bands()', 'customer_value_band_customers(100, 500)',
		'tier_distribution()', 'tier_distribution_customers(''gold'')', 'product_repurchase()', 'product_repurchase_customers(''CD7'')', 'product_pairs()', 'event_retention(''visit'')',
		'event_retention_customers(30, ''visit'')', 'visit_conversion()', 'visit_conversion_customers(''1997-05-01'')', 'customers', 'rfm_segments', 'repurchase_monthly', 'cohort_monthly', 'customer_groups']) AS call;
INSERT INTO questions VALUES
	('repurchase_rate', 'SELECT shop, extract(year FROM day), extract(month FROM day) AS month, retention.repurchase_rate(customer_id) AS by_number, retention.repurchase_rate(customer_id::text) AS by_text FROM orders GROUP BY 1, 2, 3'),
	('repurchase_rate of all', 'SELECT retention.repurchase_rate(customer_id), retention.repurchase_rate(country || customer_id) AS by_text FROM orders'),
	('purchase_history', 'SELECT shop, customer_id, retention.purchase_history(paid_at, amount) AS history FROM orders GROUP BY 1, 2'),
	('purchase_history of all', 'SELECT country, retention.purchase_history(paid_at, amount) AS history FROM orders GROUP BY 1'),
	('text of a history', 'SELECT shop, customer_id, history::text, history::text::retention.purchase_history AS again FROM histories'),
	('from orders', $$SELECT shop, retention.cohort_matrix(history, 'month', 'Europe/London', '2011-12-09 12:00+00') AS answer
		FROM (SELECT shop, customer_id, retention.purchase_history(paid_at, amount) AS history FROM orders GROUP BY 1, 2) AS h GROUP BY 1$$),
	('rfm_score', 'SELECT shop, customer_id, retention.rfm_score(max(paid_at), count(*), sum(amount)) OVER (PARTITION BY shop) AS score FROM orders GROUP BY 1, 2'),
	('order_funnel', 'SELECT country, retention.order_funnel(paid_at, CASE WHEN amount > 20 THEN paid_at END, NULL, NULL, NULL, NULL) AS answer FROM orders GROUP BY 1'),
	('retention_rate of events', $$SELECT shop, retention.retention_rate(first_at, times, 'within', 30, 'UTC', '2011-12-09 12:00+00') AS answer
		FROM (SELECT shop, customer_id, min(paid_at) AS first_at, array_agg(paid_at) AS times FROM orders GROUP BY 1, 2) AS e GROUP BY 1$$);

-- The first time the answers are kept, later they are compared.
CREATE FUNCTION ask() RETURNS TABLE (asked bigint, answers bigint, different text)
	LANGUAGE plpgsql
	AS $$
DECLARE
	question questions;
	kept text;
	n bigint;
BEGIN
	asked := 0;
	answers := 0;
	FOR question IN SELECT * FROM questions ORDER BY name COLLATE "C" LOOP
		kept := 'answer_' || asked;
		asked := asked + 1;
		EXECUTE format('CREATE TEMPORARY TABLE answer AS %s', question.query);
		IF to_regclass(kept) IS NULL THEN
			EXECUTE format('CREATE TABLE any_plan.%I AS TABLE answer', kept);
		END IF;
		EXECUTE format('SELECT count(*) FROM ((TABLE answer EXCEPT ALL TABLE %1$I) UNION ALL (TABLE %1$I EXCEPT ALL TABLE answer)) AS d', kept) INTO n;
		IF n > 0 THEN
			different := concat_ws(', ', different, question.name);
		END IF;
		EXECUTE 'SELECT count(*) FROM answer' INTO n;
		answers := answers + n;
		DROP TABLE answer;
	END LOOP;
	RETURN NEXT;
END
$$;
CREATE FUNCTION is_partial(query text) RETURNS boolean
	LANGUAGE plpgsql
	AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		IF line LIKE '%Partial%Aggregate%' THEN
			RETURN true;
		END IF;
	END LOOP;
	RETURN false;
END
$$;

SET max_parallel_workers_per_gather = 0;
SELECT asked, answers > 100000 AS many, different FROM ask();

-- Partial aggregation: by workers, and by partitions.
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT count(*) FILTER (WHERE is_partial(query)) >= 14 AS partial FROM questions WHERE name NOT LIKE 'shop:%';
SET parallel_leader_participation = off;
SELECT different FROM ask();
RESET parallel_leader_participation;
-- A worker for every plan that may have one; the setting has two names.
SELECT count(set_config(name, 'on', false)) AS forced FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SELECT different FROM ask();
SELECT count(set_config(name, 'off', false)) AS forced FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SET max_parallel_workers_per_gather = 0;
SET enable_partitionwise_aggregate = on;
SET enable_hashagg = off;
SELECT is_partial(query) AS partial FROM questions WHERE name = 'repurchase_rate of all';
SELECT different FROM ask();
RESET enable_partitionwise_aggregate;

-- Little memory: everything that sorts or hashes spills.
SET work_mem = '64kB';
SELECT different FROM ask();
RESET work_mem;
RESET enable_hashagg;

-- Another place, other customs.
SET TimeZone = 'Pacific/Apia';
SET DateStyle = 'SQL, DMY';
SET IntervalStyle = 'iso_8601';
SET bytea_output = 'escape';
SET extra_float_digits = -5;
SET lc_numeric = 'POSIX';
SET lc_monetary = 'POSIX';
SET lc_time = 'POSIX';
SET max_parallel_workers_per_gather = 2;
SELECT different FROM ask();

SET DateStyle = 'ISO';
DROP EXTENSION retention CASCADE;
DROP SCHEMA any_plan CASCADE;
CREATE EXTENSION retention;
RESET ALL;
