-- The answers do not depend on the plan, the memory or the session's time zone:
-- every aggregate and every analytic function, on all of CDNOW and Online Retail,
-- under settings that change each of these.  Locales: real_any_locale.sql.
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
CREATE TABLE orders (shop text, customer_id integer, day date, paid_at timestamptz, amount numeric, country text, first_at timestamptz) PARTITION BY HASH (customer_id);
CREATE TABLE orders_0 PARTITION OF orders FOR VALUES WITH (MODULUS 3, REMAINDER 0) WITH (parallel_workers = 2);
CREATE TABLE orders_1 PARTITION OF orders FOR VALUES WITH (MODULUS 3, REMAINDER 1) WITH (parallel_workers = 2);
CREATE TABLE orders_2 PARTITION OF orders FOR VALUES WITH (MODULUS 3, REMAINDER 2) WITH (parallel_workers = 2);
INSERT INTO orders
	SELECT *, min(paid_at) OVER (PARTITION BY shop, customer_id)
	FROM (
		SELECT 'cdnow' AS shop, customer_id, order_date, order_date::timestamp AT TIME ZONE 'UTC' AS paid_at, amount, 'web' FROM cdnow
		UNION ALL
		SELECT 'retail', customer_id, invoice_date::date, invoice_date AT TIME ZONE 'Europe/London', amount, country
		FROM invoices WHERE NOT is_cancellation AND customer_id IS NOT NULL AND amount >= 0
	) AS o;
CREATE TABLE histories WITH (parallel_workers = 2) AS
	SELECT shop, customer_id, retention.purchase_history(paid_at, amount) AS history FROM orders GROUP BY 1, 2;
CREATE TABLE totals WITH (parallel_workers = 2) AS
	SELECT shop, customer_id, max(paid_at) AS last_at, count(*) AS n, sum(amount) AS spent FROM orders GROUP BY 1, 2;
ANALYZE;

-- Two shops, one of them seen from amid its orders.
DELETE FROM invoices WHERE is_cancellation OR customer_id IS NULL OR amount < 0;
ALTER TABLE invoices ADD PRIMARY KEY (invoice);
CREATE TABLE lines AS
	SELECT transaction_id, 'CD' || cd_count AS product FROM cdnow
	UNION ALL
	SELECT transaction_id, 'CD' || sample_id % 7 FROM cdnow WHERE transaction_id % 3 = 0;
CREATE INDEX ON lines (transaction_id);
\setenv PGDATABASE :DBNAME
\setenv PGOPTIONS '-c retention.clock=2011-11-15\\ 12:00+08'
SET retention.clock = '2011-11-15 12:00+08';
SELECT retention.create_shop('CDNOW', 'Asia/Shanghai', 'USD'), retention.create_shop('Retail', 'Europe/London', 'GBP');
SELECT retention.attach_orders('cdnow', order_id => 'transaction_id', customer => 'customer_id', total => 'amount', paid_at => 'order_date',
	channel => 'sample_id % 3', attributes => $$jsonb_build_object('region', cd_count)$$, for_shop => 'CDNOW');
SELECT retention.attach_lines('lines', 'transaction_id', 'product', orders => 'any_plan.cdnow');
SELECT retention.attach_events('cdnow', 'customer_id', 'order_date', $$'visit'$$, for_shop => 'CDNOW');
SELECT retention.attach_orders('invoices', order_id => 'invoice', customer => 'customer_id', total => 'amount', paid_at => 'invoice_date',
	channel => 'line_count % 3', attributes => $$jsonb_build_object('region', country)$$, for_shop => 'Retail');
SELECT retention.attach_lines('invoices', 'invoice', $$'CD' || line_count % 20$$, orders => 'any_plan.invoices');
SELECT retention.attach_events('invoices', 'customer_id', 'invoice_date', $$'visit'$$, for_shop => 'Retail');
\! psql -X -q -c "CALL retention.backfill('any_plan.cdnow')" -c "CALL retention.backfill('any_plan.invoices')" 2>/dev/null
ALTER TABLE retention.customer_stats SET (parallel_workers = 2);
ALTER TABLE retention.purchase SET (parallel_workers = 2);
ANALYZE retention.customer_stats, retention.purchase, retention.customer;

CREATE TABLE cuts AS SELECT retention.rfm_cuts('1997-09-01 00:00+08', 'CDNOW') AS cuts;

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
		('rfm_matrix', 'rfm_matrix(history, ''2011-10-01 12:00+00'')'),
		('usual_interval', 'merge(history) IS NOT NULL, max(retention.usual_interval(history)), sum(retention.usual_interval(history))')) AS v (name, call)
	UNION ALL
	-- States: as they are, and merged of parts.
	SELECT way || call, format(query, replace(call, 'ASK', $$'Asia/Shanghai', '2011-10-01 12:00+00'$$))
	FROM (VALUES ('', 'SELECT shop, retention.%s::text AS answer FROM histories GROUP BY shop'),
		('merged: ', 'SELECT shop, retention.merge(part)::text AS answer FROM (SELECT shop, customer_id %% 5 AS n, retention.%s AS part FROM histories GROUP BY 1, 2) AS p GROUP BY 1')) AS v (way, query), unnest(ARRAY[
		'cohort_collect(history, ''week'', ASK)', 'new_vs_returning_collect(history, ''month'', ASK)', 'next_period_collect(history, ''month'', 1, ASK)', 'repurchase_rates_collect(history, ''month'', ASK)',
		'x_order_collect(history, ''30 days'', ''2011-10-01 12:00+00'')', 'retention_collect(history, ASK)', 'purchase_gaps_collect(history, NULL, ''{0.5}'', ''2011-10-01 12:00+00'')',
		'pareto_collect(history, 0.2, ''2011-10-01 12:00+00'')']) AS call
	UNION ALL
	SELECT concat('shop: ', name, ' ', call), 'SELECT * FROM retention.' || CASE
			WHEN call LIKE '%()' THEN replace(call, '()', format('(shop => %L)', name))
			ELSE regexp_replace(replace(call, '1997', year), '\)$', format(', shop => %L)', name))
		END
	FROM (VALUES ('CDNOW', '1997'), ('Retail', '2011')) AS shop (name, year), unnest(ARRAY[
		'cohorts(''week'', ''value'')', 'cohort_customers(''1997-01-01'', 5)', 'repurchase(''quarter'')', 'new_vs_returning()', 'period_customers(''1997-05-01'')', 'next_period()',
		'next_period_customers(''1997-03-01'')', 'x_order(''60 days'')', 'x_order_customers(3, ''60 days'')', 'magic_number()', 'retention_curve()', 'retention_curve_customers(30)',
		'gap_to_next()', 'gap_to_next_customers(2)', 'pareto()', 'pareto_customers()', 'sales_by_channel()', 'sales_by_channel_customers(''1997-05-01'', ''1'')', 'sales_by_region()',
		'sales_by_region_customers(''1997-05-01'', ''2'')', 'sales_monthly()', 'order_funnel()', 'order_funnel_customers(''paid'')', 'customer_totals(''1997-09-01 00:00+08'')', 'rfm_scores()', 'rfm_cuts()', 'rfm_grid()',
		'rfm_grid_customers(5, 5, NULL)', 'rfm_movement(''1997-09-01 00:00+08'')', 'rfm_movement_customers(''1997-09-01 00:00+08'', ''cn8'')',
		'rfm_scores((SELECT cuts FROM cuts), ''1997-12-01 00:00+08'')', 'rfm_grid((SELECT cuts FROM cuts), ''1997-12-01 00:00+08'')', 'rfm_movement(''1997-09-01 00:00+08'', ''global'', (SELECT cuts FROM cuts))', 'customer_value_bands()', 'customer_value_band_customers(100, 500)',
		'tier_distribution()', 'tier_distribution_customers(''gold'')', 'product_repurchase()', 'product_repurchase_customers(''CD7'')', 'product_pairs()', 'product_pair_customers(''CD1'', ''CD2'')', 'event_retention(''visit'')',
		'event_retention_customers(30, ''visit'')', 'visit_conversion()', 'visit_conversion_customers(''1997-05-01'')']) AS call
	UNION ALL
	SELECT 'view: ' || name, 'SELECT * FROM retention.' || name
	FROM unnest(ARRAY['customers', 'rfm_segments', 'repurchase_monthly', 'cohort_monthly', 'customer_groups', 'purchase_histories']) AS name;
INSERT INTO questions VALUES
	('repurchase_rate', 'SELECT shop, extract(year FROM day), extract(month FROM day) AS month, retention.repurchase_rate(customer_id) AS by_number, retention.repurchase_rate(customer_id::text) AS by_text FROM orders GROUP BY 1, 2, 3'),
	('repurchase_rate of all', 'SELECT retention.repurchase_rate(customer_id), retention.repurchase_rate(country || customer_id) AS by_text FROM orders'),
	('purchase_history', 'SELECT shop, customer_id, retention.purchase_history(paid_at, amount) AS history FROM orders GROUP BY 1, 2'),
	('purchase_history of all', 'SELECT country, retention.purchase_history(paid_at, amount) AS history FROM orders GROUP BY 1'),
	('text of a history', 'SELECT shop, customer_id, history::text, history::text::retention.purchase_history AS again FROM histories'),
	('from orders', $$SELECT shop, retention.cohort_matrix(history, 'month', 'Europe/London', '2011-12-09 12:00+00') AS answer
		FROM (SELECT shop, customer_id, retention.purchase_history(paid_at, amount) AS history FROM orders GROUP BY 1, 2) AS h GROUP BY 1$$),
	('repurchase_collect', 'SELECT shop, retention.repurchase_rate(retention.merge(by_number)) AS by_number, retention.repurchase_rate(retention.merge(by_text)) AS by_text
		FROM (SELECT shop, country, retention.repurchase_collect(customer_id) AS by_number, retention.repurchase_collect(customer_id::text) AS by_text FROM orders GROUP BY 1, 2) AS c GROUP BY 1'),
	('rfm_matrix of orders', 'SELECT shop, retention.rfm_matrix(customer_id, paid_at, amount) AS by_number, retention.rfm_matrix(customer_id || shop, paid_at, amount) AS by_text FROM orders GROUP BY 1'),
	('rfm_matrix of all orders', 'SELECT retention.rfm_matrix(customer_id, paid_at, amount) AS by_number, retention.rfm_matrix(country || customer_id, paid_at, amount) AS by_text FROM orders'),
	('rfm_collect of orders', 'SELECT shop, retention.rfm_matrix(retention.merge(by_number)) AS by_number, retention.rfm_matrix(retention.merge(by_text)) AS by_text
		FROM (SELECT shop, country, retention.rfm_collect(customer_id, paid_at, amount) AS by_number, retention.rfm_collect(customer_id::text, paid_at, amount) AS by_text FROM orders GROUP BY 1, 2) AS c GROUP BY 1'),
	('rfm_collect of histories', $$SELECT shop, retention.rfm_matrix(retention.merge(part)) AS answer
		FROM (SELECT shop, customer_id % 7 AS n, retention.rfm_collect(history, '2011-10-01 12:00+00') AS part FROM histories GROUP BY 1, 2) AS c GROUP BY 1$$),
	('rfm_matrix of totals', 'SELECT shop, retention.rfm_matrix(last_at, n, spent) AS answer FROM totals GROUP BY 1'),
	('rfm_cuts_of', 'SELECT shop, retention.rfm_cuts_of(retention.rfm_collect(customer_id, paid_at, amount), ''2012-01-01 00:00+00'') AS by_number,
		retention.rfm_cuts_of(retention.rfm_collect(customer_id || shop, paid_at, amount), ''2012-01-01 00:00+00'') AS by_text FROM orders GROUP BY 1'),
	('rfm_score by cut points', 'SELECT shop, customer_id, retention.rfm_score(last_at, n, spent, cuts, at => last_at + n * interval ''7 days'') AS score FROM totals, cuts'),
	('order_funnel_collect', 'SELECT shop, retention.order_funnel(retention.merge(part)) AS answer
		FROM (SELECT shop, country, retention.order_funnel_collect(paid_at, CASE WHEN amount > 20 THEN paid_at END, NULL, NULL, NULL, NULL) AS part FROM orders GROUP BY 1, 2) AS c GROUP BY 1'),
	('retention_collect of events', $$SELECT shop, retention.retention_collect(first_at, times, 'UTC', '2011-12-09 12:00+00')::text AS answer
		FROM (SELECT shop, customer_id, min(paid_at) AS first_at, array_agg(paid_at) AS times FROM orders GROUP BY 1, 2) AS e GROUP BY 1$$),
	('retention_rate of log-ins', $$SELECT shop, retention.retention_rate(customer_id, first_at, paid_at, 'within', 30, 'UTC', '2011-12-09 12:00+00') AS by_number,
		retention.retention_rate(customer_id || shop, first_at, paid_at, 'rolling', 7, 'UTC', '2011-12-09 12:00+00') AS by_text FROM orders GROUP BY 1$$),
	('retention_curve of all log-ins', $$SELECT retention.retention_curve(shop || customer_id, first_at, paid_at, 'classic', '{1,3,7,30}', 'Asia/Shanghai', '2011-10-01 12:00+00') AS answer FROM orders$$),
	('retention_collect of log-ins', $$SELECT shop, retention.retention_curve(retention.merge(by_number)) AS by_number, retention.retention_curve(retention.merge(by_text)) AS by_text
		FROM (SELECT shop, country, retention.retention_collect(customer_id, first_at, paid_at, 'classic', '{1,7}', 'Europe/London', '2011-12-09 12:00+00') AS by_number,
			retention.retention_collect(customer_id::text, first_at, paid_at, 'classic', '{1,7}', 'Europe/London', '2011-12-09 12:00+00') AS by_text FROM orders GROUP BY 1, 2) AS c GROUP BY 1$$),
	('rfm_score', 'SELECT shop, customer_id, retention.rfm_score(max(paid_at), count(*), sum(amount)) OVER (PARTITION BY shop) AS score FROM orders GROUP BY 1, 2'),
	('order_funnel', 'SELECT country, retention.order_funnel(paid_at, CASE WHEN amount > 20 THEN paid_at END, NULL, NULL, NULL, NULL) AS answer FROM orders GROUP BY 1'),
	('retention_rate of events', $$SELECT shop, retention.retention_rate(first_at, times, 'within', 30, 'UTC', '2011-12-09 12:00+00') AS answer
		FROM (SELECT shop, customer_id, min(paid_at) AS first_at, array_agg(paid_at) AS times FROM orders GROUP BY 1, 2) AS e GROUP BY 1$$);

-- Without workers, whose start takes longer than the comparison.
CREATE FUNCTION differs(kept text) RETURNS boolean
	LANGUAGE plpgsql
	SET max_parallel_workers_per_gather = 0
	AS $$
DECLARE
	result boolean;
BEGIN
	EXECUTE format('SELECT EXISTS ((TABLE answer EXCEPT ALL TABLE any_plan.%1$I) UNION ALL (TABLE any_plan.%1$I EXCEPT ALL TABLE answer))', kept) INTO result;
	RETURN result;
END
$$;

-- The first time the answers are kept, later they are compared.
CREATE FUNCTION ask(unasked text DEFAULT 'none') RETURNS TABLE (asked bigint, answers bigint, different text)
	LANGUAGE plpgsql
	AS $$
DECLARE
	question questions;
	kept text;
	n bigint;
BEGIN
	asked := 0;
	answers := 0;
	FOR question IN SELECT * FROM questions WHERE name !~ unasked ORDER BY name COLLATE "C" LOOP
		kept := 'answer to ' || left(md5(question.name), 9);
		asked := asked + 1;
		EXECUTE format('CREATE TEMPORARY TABLE answer AS %s', question.query);
		GET DIAGNOSTICS n = ROW_COUNT;
		answers := answers + n;
		IF to_regclass(quote_ident(kept)) IS NULL THEN
			EXECUTE format('CREATE TABLE any_plan.%I AS TABLE answer', kept);
		END IF;
		IF differs(kept) THEN
			different := concat_ws(', ', different, question.name);
		END IF;
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

-- Whether an aggregate by hash did not fit, and went to disk.
CREATE FUNCTION is_spilling(query text) RETURNS boolean
	LANGUAGE plpgsql
	AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) ' || query LOOP
		IF line ~ 'Batches: .*Disk Usage' THEN
			RETURN true;
		END IF;
	END LOOP;
	RETURN false;
END
$$;

SET max_parallel_workers_per_gather = 0;
SELECT asked, answers > 100000 AS many, different FROM ask();

-- Partial aggregation: by workers, and by partitions.  From here on the second
-- shop is asked only where memory is little.
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT count(*) FILTER (WHERE is_partial(query)) >= 30 AS partial FROM questions WHERE name !~ '^(shop|view):';
SET parallel_leader_participation = off;
SELECT different FROM ask('^shop: Retail');
RESET parallel_leader_participation;
-- A worker for every plan that may have one; the setting has two names.
SELECT count(set_config(name, 'on', false)) AS forced FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SELECT different FROM ask('^shop: Retail');
SELECT count(set_config(name, 'off', false)) AS forced FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SET max_parallel_workers_per_gather = 0;
SET enable_partitionwise_aggregate = on;
SET enable_hashagg = off;
SELECT is_partial(query) AS partial FROM questions WHERE name = 'repurchase_rate of all';
SELECT different FROM ask('^(shop|view):');
RESET enable_partitionwise_aggregate;

-- Little memory: all that sorts spills, then all that hashes, then what the plans
-- of the first shop's functions choose by themselves.
SET work_mem = '64kB';
SELECT different FROM ask('^(shop: CDNOW|view:)');
RESET enable_hashagg;
SET enable_sort = off;
SELECT bool_and(is_spilling(query)) AS spilling FROM questions WHERE name IN ('purchase_history', 'from orders', 'repurchase_collect', 'rfm_collect of orders');
SELECT different FROM ask('^(shop|view):');
RESET enable_sort;
SELECT different FROM ask('^(?!shop: CDNOW|view:)');
RESET work_mem;

-- Another place, other customs.
SET TimeZone = 'Pacific/Apia';
SET DateStyle = 'SQL, DMY';
SET IntervalStyle = 'iso_8601';
SET bytea_output = 'escape';
SET extra_float_digits = -5;
SET max_parallel_workers_per_gather = 2;
SELECT different FROM ask('^shop: Retail');

SET DateStyle = 'ISO';
DROP EXTENSION retention CASCADE;
DROP SCHEMA any_plan CASCADE;
CREATE EXTENSION retention;
RESET ALL;
