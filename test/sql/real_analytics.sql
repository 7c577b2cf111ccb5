-- Analytics of an attached shop: all of CDNOW, and a walk-in customer whose
-- history lies in chunks.  Each answer against the same question on the
-- orders, and each cell against the customers behind it.
SET client_min_messages = warning;
SET timezone = 'America/New_York';
SET datestyle = 'ISO';
SET jit = off;
CREATE SCHEMA analytics_real;
SET search_path = analytics_real, pg_catalog;

CREATE TABLE cdnow (
	transaction_id integer PRIMARY KEY, customer_id integer NOT NULL, order_date date NOT NULL, cd_count integer, amount numeric NOT NULL, sample_id integer
);
\copy cdnow FROM PROGRAM 'zcat "$RETENTION_DATA"/cdnow.csv.gz' WITH (FORMAT csv, HEADER)
CREATE TABLE orders (order_id integer PRIMARY KEY, customer_id text, paid_at timestamptz, amount numeric, channel text);
INSERT INTO orders
	SELECT transaction_id, customer_id::text, order_date::timestamp AT TIME ZONE 'Asia/Shanghai' + transaction_id % 86400 * interval '1 second',
		amount, CASE WHEN sample_id IS NULL THEN 'web' WHEN sample_id % 2 = 0 THEN 'app' END
	FROM cdnow
	UNION ALL
	SELECT 100000 + i, 'walk-in', timestamptz '1997-01-01 09:00+08' + i * interval '02:17:31', i % 90 / 10.0, 'store' FROM generate_series(1, 5000) AS i;
ANALYZE orders;

\setenv PGDATABASE :DBNAME
\setenv PGOPTIONS '-c retention.clock=1998-06-15\\ 12:00+08'
SET retention.clock = '1998-06-15 12:00+08';
SELECT retention.create_shop('CDNOW', 'Asia/Shanghai', 'USD');
UPDATE retention.shop SET week_start = 'sunday';
SELECT retention.attach_orders('orders', order_id => 'order_id', customer => 'customer_id', total => 'amount', paid_at => 'paid_at', channel => 'channel');
\! psql -X -q -c "CALL retention.backfill('analytics_real.orders')" 2>/dev/null
SELECT count(*) > 5 AS in_chunks, (SELECT count(*) FROM retention.customer_stats WHERE history_from IS NOT NULL) AS customers_with_chunks FROM retention.customer_history;

-- What counts is value: orders of nothing are purchases like others.
CREATE TABLE histories AS
	SELECT customer_id, retention.purchase_history(paid_at, amount) AS history FROM orders WHERE amount >= 0 GROUP BY 1;
SELECT count(*) AS customers, count(*) FILTER (WHERE h.history::text IS DISTINCT FROM k.history::text) AS different
FROM histories AS h FULL JOIN retention.purchase_histories AS k USING (customer_id);

-- The same answers as from the orders, at the clock's moment.
CREATE FUNCTION differ(ours text, plain text) RETURNS text
	LANGUAGE plpgsql
	AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('WITH ours AS (%s), plain AS (%s) SELECT (SELECT count(*) FROM ours) || '' rows, '' || count(*) || '' different''
		FROM ((TABLE ours EXCEPT ALL TABLE plain) UNION ALL (TABLE plain EXCEPT ALL TABLE ours)) AS d', ours, plain) INTO result;
	RETURN result;
END
$$;
SELECT period,
	differ(format('SELECT cohort, periods_since, result FROM retention.cohorts(%L, ''value'')', period),
		format($$SELECT (r).cohort, (r).periods_since, (r).value FROM (SELECT unnest(retention.cohort_matrix(history, %L, 'Asia/Shanghai', '1998-06-15 12:00+08')) AS r FROM histories) AS c$$, unit)) AS cohorts,
	differ(format('SELECT * FROM retention.repurchase(%L)', period),
		format($$SELECT (unnest(retention.repurchase_rates(history, %L, 'Asia/Shanghai', '1998-06-15 12:00+08'))).* FROM histories$$, unit)) AS repurchase,
	differ(format('SELECT * FROM retention.new_vs_returning(%L)', period),
		format($$SELECT (unnest(retention.new_vs_returning(history, %L, 'Asia/Shanghai', '1998-06-15 12:00+08'))).* FROM histories$$, unit)) AS new_vs_returning,
	differ(format('SELECT * FROM retention.next_period(%L, 2)', period),
		format($$SELECT (unnest(retention.next_period_rates(history, %L, 2, 'Asia/Shanghai', '1998-06-15 12:00+08'))).* FROM histories$$, unit)) AS next_period
FROM (VALUES ('week', 'week from sunday'), ('month', 'month'), ('quarter', 'quarter')) AS p (period, unit);
SELECT
	differ('SELECT * FROM retention.x_order(''30 days'')', 'SELECT (unnest(retention.x_order_rates(history, ''30 days'', ''1998-06-15 12:00+08''))).* FROM histories') AS x_order,
	differ('SELECT retention.magic_number()', 'SELECT retention.magic_number(history, NULL, ''1998-06-15 12:00+08'') FROM histories') AS magic_number,
	differ('SELECT * FROM retention.retention_curve(''within'')', $$SELECT (unnest(retention.retention_curve(retention.retention_collect(history, 'Asia/Shanghai', '1998-06-15 12:00+08'), 'within', '{1,3,7,14,30,60,90,180,365}'))).* FROM histories$$) AS retention_curve,
	differ('SELECT * FROM retention.gap_to_next()', $$SELECT (unnest(retention.purchase_gaps(history, NULL, '{0.25,0.5,0.75,0.9}', '1998-06-15 12:00+08'))).* FROM histories$$) AS gap_to_next,
	differ('SELECT retention.pareto()', 'SELECT retention.pareto_share(history, 0.2, ''1998-06-15 12:00+08'') FROM histories') AS pareto;

-- Sales, counted from the orders.
CREATE VIEW sold AS
	SELECT date_trunc('month', timezone('Asia/Shanghai', paid_at))::date AS month, channel, customer_id, amount
	FROM orders WHERE paid_at <= '1998-06-15 12:00+08';
SELECT
	differ('SELECT * FROM retention.sales_by_channel()', $$SELECT month, channel,
		CASE WHEN month < '1998-06-01' THEN count(DISTINCT customer_id) END, CASE WHEN month < '1998-06-01' THEN count(*) END, CASE WHEN month < '1998-06-01' THEN sum(amount) END
		FROM sold GROUP BY 1, 2$$) AS sales_by_channel,
	differ('SELECT * FROM retention.sales_monthly()', $$SELECT month,
		CASE WHEN month < '1998-06-01' THEN count(DISTINCT customer_id) END, CASE WHEN month < '1998-06-01' THEN count(*) END, CASE WHEN month < '1998-06-01' THEN sum(amount) END
		FROM sold GROUP BY 1$$) AS sales_monthly,
	differ('SELECT region, sum(purchases)::numeric FROM retention.sales_by_region() GROUP BY 1', 'SELECT NULL::text, sum(1)::numeric FROM sold WHERE month < ''1998-06-01''') AS sales_by_region;

-- Behind each cell stand as many customers as it counts.
SELECT 'cohort_customers' AS drill_down, count(*) AS cells, count(*) FILTER (WHERE result <> (SELECT count(*) FROM retention.cohort_customers(c.cohort, periods_since, 'quarter'))) AS different
FROM retention.cohorts('quarter') AS c WHERE result IS NOT NULL;
SELECT 'period_customers' AS drill_down, count(*) AS cells, count(*) FILTER (WHERE customers <> n OR repeaters <> twice) AS different
FROM retention.repurchase('quarter') AS r
	CROSS JOIN LATERAL (SELECT count(*) AS n, count(*) FILTER (WHERE purchases >= 2) AS twice FROM retention.period_customers(r.period, 'quarter')) AS c
WHERE customers IS NOT NULL;
SELECT 'period_customers' AS drill_down, count(*) AS cells, count(*) FILTER (WHERE new_customers <> n OR returning_customers <> old) AS different
FROM retention.new_vs_returning('quarter') AS r
	CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE is_new) AS n, count(*) FILTER (WHERE NOT is_new) AS old FROM retention.period_customers(r.period, 'quarter')) AS c
WHERE new_customers IS NOT NULL;
SELECT 'next_period_customers' AS drill_down, count(*) AS cells, count(*) FILTER (WHERE customers <> n OR r.returned <> back) AS different
FROM retention.next_period('quarter') AS r
	CROSS JOIN LATERAL (SELECT count(*) AS n, count(*) FILTER (WHERE c.returned) AS back FROM retention.next_period_customers(r.period, 'quarter') AS c) AS c
WHERE r.returned IS NOT NULL;
SELECT 'x_order_customers' AS drill_down, count(*) AS cells, count(*) FILTER (WHERE customers <> n OR r.returned <> back) AS different
FROM retention.x_order('30 days') AS r
	CROSS JOIN LATERAL (SELECT count(*) AS n, count(*) FILTER (WHERE c.returned) AS back FROM retention.x_order_customers(r.x, '30 days') AS c) AS c
WHERE r.x <= 4;

-- RFM: frozen cut points give the same scores; later, those of then.
SELECT count(*) AS customers, count(*) FILTER (WHERE s.score IS DISTINCT FROM f.score) AS different,
	count(*) FILTER (WHERE (s.last_purchase_at, s.purchases, s.spent) IS DISTINCT FROM (o.last_purchase_at, o.purchases, o.spent)) AS other_totals
FROM retention.rfm_scores() AS s
	JOIN retention.rfm_scores(retention.rfm_cuts()) AS f USING (customer_id)
	FULL JOIN (
		SELECT customer_id, max(paid_at) AS last_purchase_at, count(*) AS purchases, sum(amount) AS spent
		FROM orders WHERE paid_at <= '1998-06-15 12:00+08' GROUP BY 1
	) AS o USING (customer_id);
SELECT count(*) AS customers, count(*) FILTER (WHERE s.score IS DISTINCT FROM o.score) AS different
FROM retention.rfm_scores(NULL, '1997-06-30 20:00+08') AS s
	FULL JOIN (
		SELECT customer_id, retention.rfm_score(max(paid_at), count(*), sum(amount)) OVER () AS score
		FROM orders WHERE paid_at <= '1997-06-30 20:00+08' GROUP BY 1
	) AS o USING (customer_id);
SELECT sum(customers), sum(spent) FROM retention.rfm_grid();
SELECT from_segment, to_segment, customers FROM retention.rfm_movement('1997-09-01') WHERE from_segment = 'Champions' ORDER BY 3 DESC, 2;
SELECT from_value, to_value, customers, spent, round(customer_share, 4) AS customer_share, round(spent_share, 4) AS spent_share FROM retention.customer_value_bands();
SELECT tier, customers, spent FROM retention.tier_distribution();
SELECT stage, orders, waiting FROM retention.order_funnel() ORDER BY position;

-- Readers may ask, without a right on the tables.
SET ROLE retention_reader;
SELECT count(*) AS cells FROM retention.cohorts('quarter');
SELECT retention.magic_number(retention.x_order_collect(history, NULL, '1998-06-15 12:00+08')) IS NOT NULL AS by_view FROM retention.purchase_histories;
SELECT count(*) FROM retention.purchase;
RESET ROLE;

-- Arguments: named when wrong.
SELECT retention.cohorts('month', 'hearts');
SELECT retention.cohorts('moon');
SELECT retention.cohorts(shop => 'Nowhere');
SELECT retention.period_start('month', 'UTC', 'infinity');

DROP EXTENSION retention CASCADE;
DROP SCHEMA analytics_real CASCADE;
CREATE EXTENSION retention;
RESET retention.clock;
RESET search_path;
RESET timezone;
