-- RFM of two attached shops, on all of CDNOW and of Online Retail, against
-- plain SQL over the shops' own tables: by the fifths of a moment, by frozen cut
-- points, and by those that a shop keeps; each shop with its own names.
SET client_min_messages = warning;
SET timezone = 'America/New_York';
SET datestyle = 'ISO';
SET jit = off;
CREATE SCHEMA rfm_shop;
SET search_path = rfm_shop, pg_catalog;

CREATE TABLE cdnow (
	transaction_id integer PRIMARY KEY, customer_id integer, order_date date, cd_count integer, amount numeric, sample_id integer
);
\copy cdnow FROM PROGRAM 'zcat "$RETENTION_DATA"/cdnow.csv.gz' WITH (FORMAT csv, HEADER)
CREATE TABLE invoices (
	invoice text PRIMARY KEY, customer_id integer, invoice_date timestamp, amount numeric, quantity bigint, line_count integer, country text, is_cancellation boolean
);
\copy invoices FROM PROGRAM 'zcat "$RETENTION_DATA"/online_retail_invoices.csv.gz' WITH (FORMAT csv, HEADER)
DELETE FROM invoices WHERE is_cancellation OR customer_id IS NULL OR amount < 0;
ANALYZE;

\setenv PGDATABASE :DBNAME
\setenv PGOPTIONS '-c retention.clock=2011-12-10\\ 00:00+00'
SET retention.clock = '2011-12-10 00:00+00';
SELECT retention.create_shop('CDNOW', 'America/New_York', 'USD'), retention.create_shop('Retail', 'Europe/London', 'GBP');
SELECT retention.attach_orders('cdnow', order_id => 'transaction_id', customer => 'customer_id', total => 'amount', paid_at => 'order_date', for_shop => 'CDNOW'),
	retention.attach_orders('invoices', order_id => 'invoice', customer => 'customer_id', total => 'amount', paid_at => 'invoice_date', for_shop => 'Retail');
\! psql -X -q -c "CALL retention.backfill('rfm_shop.cdnow')" -c "CALL retention.backfill('rfm_shop.invoices')" 2>/dev/null
ANALYZE retention.purchase, retention.customer, retention.customer_stats;

-- ---------------------------------------------------------------------------
-- Plain SQL
-- ---------------------------------------------------------------------------

-- Two moments of each shop: one to freeze cut points at, and a later one.
CREATE TABLE moments (shop text, since timestamptz, at timestamptz);
INSERT INTO moments VALUES ('CDNOW', '1997-09-30 12:00-04', '1998-07-01 00:00-04'), ('Retail', '2011-06-15 00:00+00', '2011-12-10 00:00+00');
CREATE VIEW looked AS SELECT shop, since AS at FROM moments UNION ALL SELECT shop, at FROM moments;
CREATE TABLE bought AS
	SELECT 'CDNOW' AS shop, customer_id::text, order_date::timestamp AT TIME ZONE 'America/New_York' AS paid_at, amount FROM cdnow
	UNION ALL
	SELECT 'Retail', customer_id::text, invoice_date AT TIME ZONE 'Europe/London', amount FROM invoices;
CREATE TABLE fifths AS
	SELECT *,
		(1 + 5 * (rank() OVER (PARTITION BY shop, at ORDER BY last_at) - 1) / count(*) OVER (PARTITION BY shop, at))::integer AS r,
		(1 + 5 * (rank() OVER (PARTITION BY shop, at ORDER BY purchases) - 1) / count(*) OVER (PARTITION BY shop, at))::integer AS f,
		(1 + 5 * (rank() OVER (PARTITION BY shop, at ORDER BY spent) - 1) / count(*) OVER (PARTITION BY shop, at))::integer AS m
	FROM (
		SELECT shop, at, customer_id, max(paid_at) AS last_at, count(*) AS purchases, sum(amount) AS spent
		FROM looked JOIN bought USING (shop) WHERE paid_at <= at GROUP BY 1, 2, 3
	) AS spent;
CREATE TABLE edges AS
	SELECT shop, at, s, coalesce(min(last_at) FILTER (WHERE r >= s), 'infinity') AS last_at,
		coalesce(min(purchases) FILTER (WHERE f >= s), 9223372036854775807) AS purchases, coalesce(min(spent) FILTER (WHERE m >= s), 'infinity') AS spent
	FROM fifths, generate_series(2, 5) AS s GROUP BY 1, 2, 3;
-- By the cut points of the earlier moment: as many seconds before each moment.
CREATE TABLE frozen AS
	SELECT c.shop, c.at, customer_id, c.last_at, c.purchases, c.spent,
		1 + count(*) FILTER (WHERE extract(epoch FROM c.at) - extract(epoch FROM c.last_at) <= extract(epoch FROM e.at) - extract(epoch FROM e.last_at))::integer AS r,
		1 + count(*) FILTER (WHERE c.purchases >= e.purchases)::integer AS f,
		1 + count(*) FILTER (WHERE c.spent >= e.spent)::integer AS m
	FROM fifths AS c JOIN moments AS w USING (shop) JOIN edges AS e ON e.shop = c.shop AND e.at = w.since
	GROUP BY 1, 2, 3, 4, 5, 6;

-- Rows of one query that the other has not; both with as many rows.
CREATE FUNCTION differ(ours text, plain text) RETURNS TABLE (rows bigint, different bigint)
	LANGUAGE plpgsql
	AS $$
BEGIN
	EXECUTE format('CREATE TEMPORARY TABLE ours AS %s', ours);
	EXECUTE format('CREATE TEMPORARY TABLE plain AS %s', plain);
	RETURN QUERY SELECT (SELECT count(*) FROM ours), (
		SELECT count(*) FROM ((TABLE ours EXCEPT ALL TABLE plain) UNION ALL (TABLE plain EXCEPT ALL TABLE ours)) AS d);
	DROP TABLE ours, plain;
END
$$;

-- ---------------------------------------------------------------------------
-- Fifths, and frozen cut points
-- ---------------------------------------------------------------------------

SELECT 'rfm_cuts' AS what, * FROM differ('SELECT shop, (c).at, s, (c).recency[s - 1], (c).frequency[s - 1], (c).monetary[s - 1] FROM looked, retention.rfm_cuts(at, shop) AS c, generate_series(2, 5) AS s',
	'SELECT shop, at, s, last_at, purchases, spent FROM edges');
-- The same without an attached shop: of any query.
SELECT count(*) AS frozen, count(*) FILTER (WHERE retention.rfm_cuts(at, shop) <> of_query) AS different
FROM (
	SELECT shop, at, retention.rfm_cuts_of(retention.rfm_collect(customer_id, paid_at, amount), at) AS of_query
	FROM looked JOIN bought USING (shop) WHERE paid_at <= at GROUP BY shop, at
) AS q;
CREATE TABLE cuts AS SELECT shop, retention.rfm_cuts(since, shop) AS cuts FROM moments;
-- Without cut points, with them, and with those that the shop keeps.
CREATE PROCEDURE compare(how text, given text)
	LANGUAGE plpgsql
	AS $$
BEGIN
	CREATE TEMPORARY TABLE compared (what text, rows bigint, different bigint);
	EXECUTE format('CREATE TEMPORARY VIEW defined AS SELECT * FROM rfm_shop.%I', how);
	INSERT INTO compared
		SELECT 'rfm_scores', d.* FROM differ(format('SELECT shop, at, customer_id, last_purchase_at, purchases, spent, (score).recency, (score).frequency, (score).monetary
			FROM looked JOIN cuts USING (shop), retention.rfm_scores(%s, at, shop) AS s', given), 'TABLE defined') AS d;
	INSERT INTO compared
		SELECT 'rfm_grid', d.* FROM differ(format('SELECT shop, at, g.* FROM looked JOIN cuts USING (shop), retention.rfm_grid(%s, at, shop) AS g', given),
			'SELECT shop, at, r, f, m, count(*), sum(spent) FROM defined GROUP BY 1, 2, 3, 4, 5') AS d;
	INSERT INTO compared
		SELECT 'rfm_grid_customers', d.* FROM differ(format('SELECT shop, at, f, c.* FROM looked JOIN cuts USING (shop), generate_series(1, 5) AS f, retention.rfm_grid_customers(NULL, f, NULL, %s, at, shop) AS c', given),
			'SELECT shop, at, f, customer_id, last_at, purchases, spent FROM defined') AS d;
	INSERT INTO compared
		SELECT 'rfm_movement_customers', d.* FROM differ(format('SELECT shop, c.* FROM moments JOIN cuts USING (shop), retention.rfm_movement_customers(since, %L, %s, at, shop) AS c', 'cn8', given),
			format('SELECT w.shop, n.customer_id, retention.rfm_segment(p.r, p.f, p.m, %1$L, w.shop) AS was, retention.rfm_segment(n.r, n.f, n.m, %1$L, w.shop) AS now
				FROM moments AS w JOIN defined AS n USING (shop, at) LEFT JOIN defined AS p ON p.shop = w.shop AND p.at = since AND p.customer_id = n.customer_id', 'cn8')) AS d;
	INSERT INTO compared
		SELECT 'rfm_movement', d.* FROM differ(format('SELECT shop, c.* FROM moments JOIN cuts USING (shop), retention.rfm_movement(since, %L, %s, at, shop) AS c', 'global', given),
			format('SELECT w.shop, retention.rfm_segment(p.r, p.f, p.m, %1$L, w.shop) AS was, retention.rfm_segment(n.r, n.f, n.m, %1$L, w.shop) AS now, count(*)
				FROM moments AS w JOIN defined AS n USING (shop, at) LEFT JOIN defined AS p ON p.shop = w.shop AND p.at = since AND p.customer_id = n.customer_id
				GROUP BY 1, 2, 3', 'global')) AS d;
	DROP VIEW defined;
END
$$;
CALL compare('fifths', 'NULL');
TABLE compared;
DROP TABLE compared;
CALL compare('frozen', 'cuts');
TABLE compared;
DROP TABLE compared;

-- Who did not come back for half a year slips: by the fifths somebody rises for
-- each who falls, by frozen cut points the shop sees how it is.
CREATE TABLE scored AS
	SELECT shop, at, customer_id, (score).recency FROM looked JOIN cuts USING (shop), retention.rfm_scores(cuts, at, shop);
SELECT shop, sign(n.recency - p.recency) AS direction, count(*) AS customers
FROM moments JOIN scored AS n USING (shop, at) JOIN scored AS p USING (shop, customer_id) WHERE p.at = since GROUP BY 1, 2 ORDER BY 1, 2;
SELECT from_segment, to_segment, customers FROM moments JOIN cuts USING (shop), retention.rfm_movement(since, 'global', cuts, at, shop)
WHERE shop = 'Retail' AND from_segment = 'Champions' ORDER BY 2;

-- ---------------------------------------------------------------------------
-- The cut points of one shop
-- ---------------------------------------------------------------------------

CREATE TABLE before AS TABLE retention.customers;
UPDATE retention.shop SET rfm_cuts = (SELECT cuts FROM cuts WHERE cuts.shop = shop.name) WHERE name = 'Retail';
CREATE VIEW shown AS
	SELECT shop, customer_id, recency, frequency, monetary, segment, segment_cn8 FROM retention.customers;
SELECT 'customers' AS what, * FROM differ('TABLE shown', $$
	SELECT shop, customer_id, recency, frequency, monetary, segment, segment_cn8 FROM before WHERE shop = 'CDNOW'
	UNION ALL
	SELECT shop, customer_id, r, f, m, retention.rfm_segment(r, f, m), retention.rfm_segment(r, f, m, 'cn8') FROM frozen JOIN moments USING (shop, at) WHERE shop = 'Retail'$$);
SELECT 'rfm_segments' AS what, * FROM differ($$SELECT shop, scheme, segment, customers FROM retention.rfm_segments WHERE customers > 0$$, $$
	SELECT shop, 'global', segment, count(*) FROM shown GROUP BY 1, 3 UNION ALL SELECT shop, 'cn8', segment_cn8, count(*) FROM shown GROUP BY 1, 3$$);
-- What is frozen next does not hang on what is frozen now.
SELECT shop, retention.rfm_cuts(since, shop) = cuts AS the_same FROM moments JOIN cuts USING (shop) ORDER BY shop;
UPDATE retention.shop SET rfm_cuts = (SELECT cuts FROM cuts WHERE cuts.shop = shop.name);
CALL compare('frozen', 'NULL');
TABLE compared;
DROP TABLE compared;
UPDATE retention.shop SET rfm_cuts = NULL;
SELECT 'customers' AS what, * FROM differ('TABLE retention.customers', 'TABLE before');

-- ---------------------------------------------------------------------------
-- The names of one shop
-- ---------------------------------------------------------------------------

INSERT INTO retention.rfm_segment_override (shop_id, scheme, recency, frequency, monetary, segment)
SELECT shop_id, scheme, r, f, m, segment
FROM (
	VALUES (NULL, 'global', 'of all'), ('Retail', 'global', 'of Retail'), ('Retail', 'only here', 'ours')
) AS v (shop, scheme, segment)
	LEFT JOIN retention.shop ON shop.name = v.shop
	JOIN generate_series(1, 5) AS r ON v.shop IS NULL OR r > 3
	CROSS JOIN generate_series(1, 5) AS f
	JOIN generate_series(1, 5) AS m ON f = 5 AND m = 5;
SELECT shop, segment, count(*) FROM retention.customers WHERE segment LIKE 'of%' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT shop, scheme, segment, customers FROM retention.rfm_segments WHERE segment LIKE 'o%' ORDER BY 1, 2, 3;
SELECT w.shop, m.* FROM moments AS w, retention.rfm_movement(since, at => w.at, shop => w.shop) AS m WHERE from_segment LIKE 'of%' AND to_segment LIKE 'of%' ORDER BY 1, 2, 3;
SELECT retention.rfm_segment(5, 5, 5) AS any_shop, retention.rfm_segment(5, 5, 5, shop => 'CDNOW') AS cdnow, retention.rfm_segment(5, 5, 5, shop => 'Retail') AS retail,
	retention.rfm_segment(1, 5, 5, shop => 'Retail') AS of_all, retention.rfm_segment(5, 5, 4, shop => 'Retail') AS shipped, retention.rfm_segment(ROW(4, 5, 5)::retention.rfm_score, 'only here', 'Retail') AS own_scheme;
SELECT retention.rfm_segment(5, 5, 5, 'only here');
SELECT retention.rfm_segment(5, 5, 5, 'only there', 'Retail');

RESET search_path;
DROP EXTENSION retention CASCADE;
DROP SCHEMA rfm_shop CASCADE;
CREATE EXTENSION retention;
RESET ALL;
