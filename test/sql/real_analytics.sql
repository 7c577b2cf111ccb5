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

CREATE FUNCTION differ(ours text, plain text) RETURNS text
	LANGUAGE plpgsql
	AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('CREATE TEMPORARY TABLE ours AS %s', ours);
	CREATE TEMPORARY TABLE plain (LIKE ours);
	EXECUTE format('INSERT INTO plain %s', plain);
	SELECT (SELECT count(*) FROM ours) || ' rows, ' || count(*) || ' different' INTO result
	FROM ((TABLE ours EXCEPT ALL TABLE plain) UNION ALL (TABLE plain EXCEPT ALL TABLE ours)) AS d;
	DROP TABLE ours, plain;
	RETURN result;
END
$$;
-- At the clock's moment, and when a month was just over.
CREATE TABLE asked (at timestamptz);
INSERT INTO asked VALUES ('1998-06-15 12:00+08'), ('1997-07-01 00:00+08');
CREATE VIEW sold AS SELECT customer_id, paid_at, amount AS value FROM orders;
\set zone Asia/Shanghai
\set drill_unit quarter
\i test/include/plain_analytics.sql

-- Sales, counted from the orders.
CREATE VIEW sold_in AS
	SELECT date_trunc('month', timezone('Asia/Shanghai', paid_at))::date AS month, channel, customer_id, amount
	FROM orders WHERE paid_at <= '1998-06-15 12:00+08';
SELECT
	differ('SELECT * FROM retention.sales_by_channel()', $$SELECT month, channel,
		CASE WHEN month < '1998-06-01' THEN count(DISTINCT customer_id) END, CASE WHEN month < '1998-06-01' THEN count(*) END, CASE WHEN month < '1998-06-01' THEN sum(amount) END
		FROM sold_in GROUP BY 1, 2$$) AS sales_by_channel,
	differ('SELECT * FROM retention.sales_monthly()', $$SELECT month,
		CASE WHEN month < '1998-06-01' THEN count(DISTINCT customer_id) END, CASE WHEN month < '1998-06-01' THEN count(*) END, CASE WHEN month < '1998-06-01' THEN sum(amount) END
		FROM sold_in GROUP BY 1$$) AS sales_monthly,
	differ('SELECT region, sum(purchases)::numeric FROM retention.sales_by_region() GROUP BY 1', 'SELECT NULL::text, sum(1)::numeric FROM sold_in WHERE month < ''1998-06-01''') AS sales_by_region;

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
-- Nobody says when a customer joined: the first purchase is when they came.
CREATE VIEW tiers AS
	SELECT a.at, k.customer_id, coalesce(t.purchases, 0) AS purchases, coalesce(t.spent, 0) AS spent,
		CASE WHEN t.spent >= 20000 THEN 'diamond' WHEN t.spent >= 5000 OR t.purchases >= 20 THEN 'gold' WHEN t.spent >= 1000 OR t.purchases >= 5 THEN 'silver' ELSE 'member' END AS tier
	FROM asked AS a CROSS JOIN (SELECT customer_id, min(paid_at) AS first_at FROM orders GROUP BY 1) AS k LEFT JOIN totals AS t USING (at, customer_id)
	WHERE k.first_at <= a.at;
SELECT differ('SELECT a.at, s.* FROM asked AS a, retention.tier_distribution(a.at) AS s', 'SELECT at, tier, count(*), count(*) / sum(count(*)) OVER (PARTITION BY at), sum(spent) FROM tiers GROUP BY 1, 2') AS tier_distribution,
	differ('SELECT a.at, s.tier, c.* FROM asked AS a, retention.tier_distribution(a.at) AS s, retention.tier_distribution_customers(s.tier, a.at) AS c', 'SELECT at, tier, customer_id, purchases, spent FROM tiers') AS tier_distribution_customers;
SELECT differ('SELECT a.at, f.* FROM asked AS a, retention.order_funnel(''1997-03-01 00:00+08'', ''1998-01-01 00:00+08'', a.at) AS f', $$
	SELECT at, position, stage, n, 0, CASE position WHEN 2 THEN n ELSE 0 END, CASE position WHEN 1 THEN NULL WHEN 2 THEN 1 WHEN 3 THEN 0 END, CASE WHEN position <= 2 THEN 1 ELSE 0 END
	FROM (
		SELECT at, position, stage, count(*) FILTER (WHERE position <= 2) AS n
		FROM asked JOIN orders ON paid_at >= '1997-03-01 00:00+08' AND paid_at < '1998-01-01 00:00+08' AND paid_at <= at
			CROSS JOIN (VALUES (1, 'placed'), (2, 'paid'), (3, 'shipped'), (4, 'delivered'), (5, 'completed')) AS s (position, stage)
		GROUP BY 1, 2, 3
	) AS f$$) AS order_funnel;

-- Readers may ask, without a right on the tables.
SET ROLE retention_reader;
SELECT count(*) AS cells FROM retention.cohorts('quarter');
SELECT retention.magic_number(retention.x_order_collect(history, NULL, '1998-06-15 12:00+08')) IS NOT NULL AS by_view FROM retention.purchase_histories;
SELECT count(*) FROM retention.purchase;
RESET ROLE;

-- Arguments: named when wrong.
\set SHOW_CONTEXT never
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
