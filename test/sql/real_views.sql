-- The BI views on real orders, each compared whole with a definition in plain
-- SQL over the shops' own tables.
SET client_min_messages = warning;
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET jit = off;
CREATE SCHEMA views_real;
SET search_path = views_real, pg_catalog;

CREATE TABLE cdnow (
	transaction_id integer PRIMARY KEY, customer_id integer NOT NULL, order_date date NOT NULL, cd_count integer, amount numeric NOT NULL, sample_id integer
);
\copy cdnow FROM PROGRAM 'zcat "$RETENTION_DATA"/cdnow.csv.gz' WITH (FORMAT csv, HEADER)
CREATE TABLE invoices (
	invoice text, customer_id integer, invoice_date timestamp, amount numeric, quantity bigint, line_count integer, country text, is_cancellation boolean
);
\copy invoices FROM PROGRAM 'zcat "$RETENTION_DATA"/online_retail_invoices.csv.gz' WITH (FORMAT csv, HEADER)

-- The invoices of named customers are the shop's orders as they are: a
-- cancellation is a negative order that does not say which one it cancels.
CREATE TABLE retail (invoice text PRIMARY KEY, customer_id integer NOT NULL, invoice_date timestamp NOT NULL, amount numeric NOT NULL);
INSERT INTO retail SELECT invoice, customer_id, invoice_date, amount FROM invoices WHERE customer_id IS NOT NULL;
SELECT count(*) AS invoices, count(*) FILTER (WHERE amount < 0) AS negative, count(*) FILTER (WHERE amount = 0) AS free FROM retail;

-- CDNOW earns points, with the shipped ladder's multipliers; the facts do not
-- know when an order is completed, so they accrue 7 days after payment.
-- Backfill tells its speed, which is another each time: that goes unseen.
\setenv PGDATABASE :DBNAME
\setenv PGOPTIONS '-c retention.clock=1998-07-01\\ 00:00-04'
SET retention.clock = '1998-07-01 00:00-04';
SELECT retention.create_shop('CDNOW', 'America/New_York', 'USD');
SELECT retention.attach_orders('cdnow', order_id => 'transaction_id', customer => 'customer_id', total => 'amount', paid_at => 'order_date', for_shop => 'CDNOW');
\! psql -X -q -c "CALL retention.backfill('views_real.cdnow', points => true)" 2>/dev/null

-- Online Retail does not; its timestamps are wall-clock time in London.
\setenv PGOPTIONS '-c retention.clock=2011-12-10\\ 00:00+00'
SET retention.clock = '2011-12-10 00:00+00';
SELECT retention.create_shop('Online Retail', 'Europe/London', 'GBP');
SELECT retention.attach_orders('retail', order_id => 'invoice', customer => 'customer_id', total => 'amount', paid_at => 'invoice_date', for_shop => 'Online Retail');
\! psql -X -q -c "CALL retention.backfill('views_real.retail', batch => 3000)" 2>/dev/null
SELECT source, total_orders, done_orders, without_customer, failed_orders, percent FROM retention.backfills ORDER BY source;

-- ---------------------------------------------------------------------------
-- Definitions
-- ---------------------------------------------------------------------------

-- What remains of each invoice: each cancellation, the oldest first, takes
-- back the newest purchases made before it; what exceeds them takes nothing.
CREATE TABLE netted AS
	SELECT customer_id, invoice, invoice_date, amount, 0::numeric AS refunded,
		row_number() OVER (PARTITION BY customer_id ORDER BY invoice_date, invoice COLLATE "C") AS position
	FROM retail;
CREATE INDEX ON netted (customer_id, position);
ANALYZE netted;
DO $$
DECLARE
	cancellation netted;
	bought netted;
	owed numeric;
BEGIN
	FOR cancellation IN SELECT * FROM netted WHERE amount < 0 ORDER BY customer_id, position LOOP
		owed := - cancellation.amount;
		FOR bought IN
			SELECT * FROM netted
			WHERE customer_id = cancellation.customer_id AND position < cancellation.position AND amount > refunded
			ORDER BY position DESC
		LOOP
			EXIT WHEN owed = 0;
			UPDATE netted SET refunded = bought.refunded + least(owed, bought.amount - bought.refunded)
			WHERE customer_id = bought.customer_id AND position = bought.position;
			owed := owed - least(owed, bought.amount - bought.refunded);
		END LOOP;
	END LOOP;
END
$$;
SELECT count(*) FILTER (WHERE amount >= 0 AND refunded = 0) AS whole, count(*) FILTER (WHERE refunded > 0 AND refunded < amount) AS "in part",
	count(*) FILTER (WHERE refunded > 0 AND refunded = amount) AS none, sum(refunded) AS refunded, -sum(amount) FILTER (WHERE amount < 0) AS cancelled
FROM netted;

CREATE TABLE shops (shop_id integer, shop text, time_zone text, day date, tier_from timestamptz);
INSERT INTO shops VALUES (1, 'CDNOW', 'America/New_York'), (2, 'Online Retail', 'Europe/London');

CREATE TABLE purchases AS
	SELECT 'CDNOW' AS shop, customer_id::text, order_date AS day, order_date::timestamp AT TIME ZONE 'America/New_York' AS paid_at, amount
	FROM cdnow
	UNION ALL
	SELECT 'Online Retail', customer_id::text, invoice_date::date, invoice_date AT TIME ZONE 'Europe/London', amount - refunded
	FROM netted WHERE amount >= 0 AND NOT (refunded > 0 AND refunded = amount);
CREATE TABLE known AS
	SELECT DISTINCT 'CDNOW' AS shop, customer_id::text FROM cdnow UNION ALL SELECT DISTINCT 'Online Retail', customer_id::text FROM retail;
ANALYZE purchases, known, retail;

-- Points: each purchase times the multiplier of the tier reached by all before,
-- seven days after it was paid.
CREATE TABLE points AS
	SELECT customer_id::text, (order_date + 7)::timestamp AT TIME ZONE 'America/New_York' AS accrued_at,
		floor(amount * CASE
			WHEN spent >= 20000 THEN 1.5
			WHEN spent >= 5000 OR bought >= 20 THEN 1.2
			WHEN spent >= 1000 OR bought >= 5 THEN 1.1
			ELSE 1 END)::bigint AS points
	FROM (
		SELECT customer_id, order_date, amount,
			coalesce(sum(amount) OVER before, 0) AS spent, coalesce(count(*) OVER before, 0) AS bought
		FROM cdnow
		WINDOW before AS (PARTITION BY customer_id ORDER BY order_date RANGE BETWEEN UNBOUNDED PRECEDING AND interval '1 day' PRECEDING)
	) AS purchase
	WHERE order_date + 7 <= '1998-07-01';

CREATE MATERIALIZED VIEW customers AS
	WITH customer AS (
		SELECT s.shop_id, s.shop, k.customer_id, min(p.paid_at) AS first_purchase_at, max(p.paid_at) AS last_purchase_at,
			count(p.amount) AS purchases, coalesce(sum(p.amount), 0) AS spent,
			s.day - max(p.day) AS recency_days, s.day - min(p.day) AS age,
			count(p.amount) FILTER (WHERE s.tier_from IS NULL OR p.paid_at >= s.tier_from) AS tier_purchases,
			coalesce(sum(p.amount) FILTER (WHERE s.tier_from IS NULL OR p.paid_at >= s.tier_from), 0) AS tier_spent
		FROM shops s JOIN known k USING (shop) LEFT JOIN purchases p USING (shop, customer_id)
		GROUP BY s.shop_id, s.shop, k.customer_id, s.day
	), scored AS (
		SELECT shop, customer_id,
			1 + 5 * (rank() OVER (PARTITION BY shop ORDER BY last_purchase_at) - 1) / count(*) OVER (PARTITION BY shop) AS r,
			1 + 5 * (rank() OVER (PARTITION BY shop ORDER BY purchases) - 1) / count(*) OVER (PARTITION BY shop) AS f,
			1 + 5 * (rank() OVER (PARTITION BY shop ORDER BY spent) - 1) / count(*) OVER (PARTITION BY shop) AS m
		FROM customer WHERE purchases > 0
	)
	SELECT c.shop_id, c.shop, c.customer_id, NULL::text AS name, NULL::text AS nickname, c.first_purchase_at, c.last_purchase_at, c.purchases, c.spent,
		CASE WHEN c.purchases > 0 THEN c.spent / c.purchases END AS average_value, 0::bigint AS unpaid_orders, c.recency_days,
		s.r::integer AS recency, s.f::integer AS frequency, s.m::integer AS monetary, s.r || '' || s.f || s.m AS rfm,
		CASE ceil((s.f + s.m) / 2.0)
			WHEN 1 THEN (ARRAY['Lost', 'Hibernating', 'About To Sleep', 'Promising', 'New Customers'])[s.r]
			WHEN 2 THEN (ARRAY['Lost', 'Hibernating', 'About To Sleep', 'Potential Loyalists', 'Potential Loyalists'])[s.r]
			WHEN 3 THEN (ARRAY['At Risk', 'At Risk', 'Need Attention', 'Potential Loyalists', 'Potential Loyalists'])[s.r]
			WHEN 4 THEN (ARRAY['At Risk', 'At Risk', 'Loyal Customers', 'Loyal Customers', 'Champions'])[s.r]
			WHEN 5 THEN (ARRAY['Can''t Lose Them', 'Can''t Lose Them', 'Loyal Customers', 'Loyal Customers', 'Champions'])[s.r]
		END AS segment,
		CASE WHEN s.m > 3 THEN '重要' WHEN s.m <= 3 THEN '一般' END
			|| CASE WHEN s.r > 3 AND s.f > 3 THEN '价值' WHEN s.r > 3 THEN '发展' WHEN s.f > 3 THEN '保持' ELSE '挽留' END || '客户' AS segment_cn8,
		CASE
			WHEN c.tier_spent >= 20000 THEN 'diamond'
			WHEN c.tier_spent >= 5000 OR c.tier_purchases >= 20 THEN 'gold'
			WHEN c.tier_spent >= 1000 OR c.tier_purchases >= 5 THEN 'silver'
			ELSE 'member'
		END AS tier,
		coalesce(p.points, 0) AS points,
		CASE WHEN c.recency_days >= 180 THEN 'long absent' WHEN c.age < 30 THEN 'new' WHEN c.purchases >= 2 THEN 'loyal' END AS customer_group,
		CASE WHEN c.recency_days >= 180 THEN ARRAY['long absent'] ELSE '{}' END
			|| CASE WHEN c.age < 30 THEN ARRAY['new'] ELSE '{}' END
			|| CASE WHEN c.purchases >= 2 THEN ARRAY['loyal'] ELSE '{}' END AS customer_groups,
		-- run() was not called.
		NULL::float8 AS p_alive, NULL::float8 AS expected_purchases, NULL::numeric AS expected_value, NULL::numeric AS clv, NULL::date AS next_purchase_expected
	FROM customer c LEFT JOIN scored s USING (shop, customer_id)
	LEFT JOIN (
		SELECT customer_id, sum(points)::bigint AS points
		FROM points
		WHERE accrued_at <= retention.now()
		GROUP BY customer_id
	) AS p ON p.customer_id = c.customer_id AND c.shop = 'CDNOW'
	WITH NO DATA;

CREATE VIEW customer_groups AS
	SELECT s.shop_id, s.shop, g.customer_group, g.customer_group_zh, count(*) FILTER (WHERE g.belongs) AS customers,
		count(*) FILTER (WHERE g.belongs) / count(*)::numeric AS share, coalesce(sum(c.spent) FILTER (WHERE g.belongs), 0) AS spent
	FROM shops s JOIN customers c USING (shop), LATERAL (
		VALUES
			('loyal', '忠实客户', c.purchases >= 2),
			('new', '新客户', c.first_purchase_at >= (s.day - 29)::timestamp AT TIME ZONE s.time_zone),
			('to call back', '待回访', false),
			('long absent', '久未来访', c.last_purchase_at < (s.day - 179)::timestamp AT TIME ZONE s.time_zone)
		) AS g (customer_group, customer_group_zh, belongs)
	GROUP BY s.shop_id, s.shop, g.customer_group, g.customer_group_zh;

-- Those with somebody in them; the others are in no order.
CREATE VIEW rfm_segments AS
	SELECT c.shop_id, c.shop, n.scheme, n.segment, count(*) AS customers, count(*) / max(e.customers)::numeric AS share, sum(c.spent) AS spent,
		sum(c.spent) / max(e.spent) AS spent_share, avg(c.purchases) AS average_purchases, avg(c.recency_days) AS average_recency_days
	FROM customers c JOIN (SELECT shop, count(*) AS customers, sum(spent) AS spent FROM customers WHERE purchases > 0 GROUP BY shop) AS e USING (shop),
		LATERAL (VALUES ('global', c.segment), ('cn8', c.segment_cn8)) AS n (scheme, segment)
	WHERE c.purchases > 0
	GROUP BY c.shop_id, c.shop, n.scheme, n.segment;

CREATE VIEW months AS
	SELECT s.shop_id, s.shop, m::date AS month, (m + interval '1 month')::date <= s.day AS over
	FROM shops s, generate_series('1997-01-01'::timestamp, '2012-12-01', '1 month') AS m;

CREATE VIEW repurchase_monthly AS
	WITH first AS (
		SELECT shop, customer_id, min(day) AS day FROM purchases GROUP BY shop, customer_id
	), buyer AS (
		SELECT m.shop, m.month, p.customer_id, count(*) AS n, sum(p.amount) AS spent, bool_or(f.day >= m.month) AS is_new
		FROM purchases p JOIN months m ON m.shop = p.shop AND m.month = p.day - extract(day FROM p.day)::integer + 1
		JOIN first f ON f.shop = p.shop AND f.customer_id = p.customer_id
		GROUP BY m.shop, m.month, p.customer_id
	), bounds AS (
		SELECT shop, to_char(min(day), 'YYYY-MM-01')::date AS first, max(day) AS last FROM purchases GROUP BY shop
	)
	SELECT m.shop_id, m.shop, m.month, count(b.n) AS buyers, count(*) FILTER (WHERE b.n > 1) AS repeat_buyers,
		CASE WHEN m.over AND count(b.n) > 0 THEN count(*) FILTER (WHERE b.n > 1) / count(b.n)::numeric END AS repurchase_rate,
		count(*) FILTER (WHERE b.is_new) AS new_buyers, count(*) FILTER (WHERE NOT b.is_new) AS returning_buyers,
		coalesce(sum(b.n), 0)::bigint AS purchases, coalesce(sum(b.spent), 0) AS sales
	FROM months m JOIN bounds USING (shop) LEFT JOIN buyer b USING (shop, month)
	WHERE m.month BETWEEN bounds.first AND bounds.last
	GROUP BY m.shop_id, m.shop, m.month, m.over;

CREATE VIEW cohort_monthly AS
	WITH first AS (
		SELECT shop, customer_id, to_char(min(day), 'YYYY-MM-01')::date AS cohort FROM purchases GROUP BY shop, customer_id
	), cohort AS (
		SELECT shop, cohort, count(*) AS size FROM first GROUP BY shop, cohort
	), active AS (
		SELECT shop, f.cohort, to_char(p.day, 'YYYY-MM-01')::date AS month, count(DISTINCT customer_id) AS customers, sum(p.amount) AS value
		FROM first f JOIN purchases p USING (shop, customer_id) GROUP BY 1, 2, 3
	)
	SELECT m.shop_id, m.shop, c.cohort, c.size, row_number() OVER (PARTITION BY m.shop, c.cohort ORDER BY m.month)::integer - 1 AS months_since, m.month,
		CASE WHEN m.over THEN coalesce(a.customers, 0) END AS customers,
		CASE WHEN m.over THEN coalesce(a.customers, 0) / c.size::numeric END AS retention,
		CASE WHEN m.over THEN coalesce(a.value, 0) END AS value
	FROM cohort c JOIN shops s USING (shop) JOIN months m ON m.shop = c.shop AND m.month >= c.cohort AND m.month <= s.day
	LEFT JOIN active a ON a.shop = c.shop AND a.cohort = c.cohort AND a.month = m.month;

-- ---------------------------------------------------------------------------
-- Not one row differs
-- ---------------------------------------------------------------------------

CREATE FUNCTION compare(clock timestamptz) RETURNS TABLE (name text, row_count bigint, differences bigint) LANGUAGE plpgsql AS $$
DECLARE
	mine text;
BEGIN
	PERFORM set_config('retention.clock', clock::text, false);
	UPDATE shops SET day = (clock AT TIME ZONE time_zone)::date, tier_from = clock - (SELECT tier_window FROM retention.shop WHERE shop.name = shop);
	REFRESH MATERIALIZED VIEW customers;
	FOREACH name IN ARRAY '{customers,customer_groups,rfm_segments,repurchase_monthly,cohort_monthly}'::text[] LOOP
		mine := CASE name
			WHEN 'rfm_segments' THEN
				'SELECT shop_id, shop, scheme, segment, customers, share, spent, spent_share, average_purchases, average_recency_days'
				' FROM retention.rfm_segments WHERE customers > 0'
			ELSE 'TABLE retention.' || name
		END;
		EXECUTE format('CREATE TEMPORARY TABLE mine AS %s', mine);
		EXECUTE format('CREATE TEMPORARY TABLE definition AS TABLE views_real.%I', name);
		SELECT count(*) INTO row_count FROM mine;
		SELECT count(*) INTO differences
		FROM ((TABLE mine EXCEPT ALL TABLE definition) UNION ALL (TABLE definition EXCEPT ALL TABLE mine)) AS d;
		DROP TABLE mine, definition;
		RETURN NEXT;
	END LOOP;
END
$$;

SELECT shop, count(*) AS customers, sum(purchases) AS purchases, count(*) FILTER (WHERE purchases >= 2) AS "at least two", sum(spent) AS spent, sum(points) AS points
FROM retention.customers GROUP BY shop ORDER BY shop;
SELECT * FROM compare('1998-07-01 00:00-04');
SELECT * FROM compare('2011-12-10 00:00+00');
UPDATE retention.shop SET tier_window = CASE name WHEN 'CDNOW' THEN interval '100 days' ELSE interval '200 days' END;
SELECT * FROM compare('1997-04-20 18:00+00');
SELECT * FROM compare('2011-06-30 23:30+00');

-- What they say.
SET retention.clock = '2011-12-10 00:00+00';
UPDATE retention.shop SET tier_window = NULL;
SELECT month, buyers, repeat_buyers, round(repurchase_rate, 4) AS repurchase_rate, new_buyers, returning_buyers, purchases, sales
FROM retention.repurchase_monthly WHERE shop = 'Online Retail';
SELECT cohort, size, string_agg(coalesce(round(100 * retention)::text, '-'), ' ' ORDER BY months_since) AS "per cent retained"
FROM retention.cohort_monthly WHERE shop = 'Online Retail' GROUP BY cohort, size ORDER BY cohort;
SELECT month, buyers, repeat_buyers, round(repurchase_rate, 4) AS repurchase_rate, new_buyers, returning_buyers, purchases, sales
FROM retention.repurchase_monthly WHERE shop = 'CDNOW';
SET retention.clock = '1998-07-01 00:00-04';
SELECT cohort, size, string_agg(coalesce(round(100 * retention)::text, '-'), ' ' ORDER BY months_since) AS "per cent retained"
FROM retention.cohort_monthly WHERE shop = 'CDNOW' GROUP BY cohort, size ORDER BY cohort;
SELECT customer_group, customers, round(share, 4) AS share, spent FROM retention.customer_groups WHERE shop = 'CDNOW';
SELECT segment, customers, round(share, 4) AS share, spent, round(spent_share, 4) AS spent_share, round(average_purchases, 2) AS purchases, round(average_recency_days) AS days
FROM retention.rfm_segments WHERE shop = 'CDNOW' AND scheme = 'global';

DROP EXTENSION retention CASCADE;
DROP SCHEMA views_real CASCADE;
CREATE EXTENSION retention;
RESET retention.clock;
RESET search_path;
RESET timezone;
