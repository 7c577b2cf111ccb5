-- similar_customers(): a planted group is found again from a third of it.
\set ECHO none
\i test/include/start.sql
SET client_min_messages = warning;
SELECT retention.create_shop('Tea House', 'Asia/Shanghai');
CREATE SCHEMA shop;
CREATE TABLE shop.orders (id integer PRIMARY KEY, customer text, total numeric, paid timestamptz);
SELECT retention.attach_orders('shop.orders', 'id', 'customer', 'total', paid_at => 'paid', completed_at => 'paid');
RESET client_min_messages;
SET retention.clock = '2024-05-01 12:00+08';

-- A number from 0 up to 1 that looks random and is not.
CREATE FUNCTION pg_temp.chance(n integer, of_what text) RETURNS double precision LANGUAGE sql IMMUTABLE AS
	$$ SELECT (('x' || substr(md5(of_what || n), 1, 7))::bit(28)::integer)::double precision / 268435456 $$;
-- 60 who come every month or so, spend about 300 and were lately here; 600 of
-- all kinds, each of whom may well be like them in one thing or another.
CREATE TABLE shop.lives AS
SELECT 'planted ' || n AS customer, n,
	5 + floor(pg_temp.chance(n, 'f') * 4)::integer AS purchases,
	250 + pg_temp.chance(n, 'm') * 100 AS amount,
	25 + pg_temp.chance(n, 'i') * 12 AS gap,
	5 + pg_temp.chance(n, 'r') * 20 AS last
FROM generate_series(1, 60) AS n
UNION ALL
SELECT 'other ' || n, n,
	1 + floor(pg_temp.chance(n, 'F') ^ 2 * 15)::integer,
	exp(pg_temp.chance(n, 'M') * 5 + 2.5),
	exp(pg_temp.chance(n, 'I') * 4 + 1),
	exp(pg_temp.chance(n, 'R') * 6)
FROM generate_series(1, 600) AS n;
INSERT INTO shop.orders
SELECT row_number() OVER (ORDER BY customer, k), customer, round((amount * (0.8 + 0.4 * pg_temp.chance(n * 100 + k, 'o')))::numeric, 2),
	retention.now() - make_interval(secs => 86400 * (last + gap * (k - 1)))
FROM shop.lives CROSS JOIN LATERAL generate_series(1, purchases) AS k;
SELECT retention.tag_customer(customer, 'seed') IS NOT NULL AS tagged FROM shop.lives WHERE customer LIKE 'planted %' AND n % 3 = 0 GROUP BY 1;
SELECT retention.define_audience('seeds', '''seed'' = ANY (tags)');
SELECT retention.audience_count('seeds') AS seeds, count(*) AS buyers FROM retention.customer_stats WHERE purchases > 0;

-- Of the 40 nearest nearly all are the other 40 of the group; chance would
-- give 3 of them.
SELECT count(*) AS found, count(*) FILTER (WHERE customer_id LIKE 'planted %') >= 36 AS nearly_all_planted, bool_or(tag.tag IS NOT NULL) AS seeds_among_them
FROM retention.similar_customers('seeds', 40) AS s
LEFT JOIN retention.customer_tag AS tag USING (customer_id);
-- The wider the net the more strangers, but none of the group is left out.
SELECT count(*) FILTER (WHERE customer_id LIKE 'planted %') AS planted, count(*) FILTER (WHERE distance < 2 AND customer_id LIKE 'planted %') >= 30 AS most_within_2 FROM retention.similar_customers('seeds', 100);
-- Nearest first, and the same again however rows lie.
SELECT array_agg(s.customer_id) AS nearest, bool_and(ordered) AS ordered FROM (SELECT s.*, distance >= lag(distance, 1, 0::numeric) OVER () AS ordered FROM retention.similar_customers('seeds', 660) AS s) AS s \gset
CREATE INDEX seeds_by_spent ON retention.customer_stats (spent);
CLUSTER retention.customer_stats USING seeds_by_spent;
DROP INDEX retention.seeds_by_spent;
SET enable_hashjoin = off;
SELECT :'ordered' AS ordered, array_agg(s.customer_id)::text = :'nearest' AS same FROM retention.similar_customers('seeds', 660) AS s;
RESET enable_hashjoin;

-- The distance is what the comment says, computed here from the orders.
WITH life AS (
	SELECT o.customer, ('2024-05-01'::date - max(timezone('Asia/Shanghai', o.paid)::date))::float8 AS recency, count(*)::float8 AS purchases, avg(o.total)::float8 AS average,
		CASE WHEN count(*) > 1 THEN (max(timezone('Asia/Shanghai', o.paid)::date) - min(timezone('Asia/Shanghai', o.paid)::date))::float8 / (count(*) - 1)
			ELSE ('2024-05-01'::date - min(timezone('Asia/Shanghai', o.paid)::date))::float8 END AS gap,
		EXISTS (SELECT FROM retention.customer_tag t WHERE t.customer_id = o.customer) AS seed
	FROM shop.orders o GROUP BY o.customer
), feature AS (
	SELECT l.customer, l.seed, x.k, x.v FROM life l
	CROSS JOIN LATERAL (VALUES ('r', ln(1 + recency)), ('f', ln(purchases)), ('m', ln(1 + average)), ('i', ln(1 + gap))) AS x (k, v)
), centre AS (
	SELECT k, avg(v) FILTER (WHERE seed) AS mean, greatest(stddev_samp(v) FILTER (WHERE seed), stddev_samp(v) / 4) AS spread FROM feature GROUP BY k
), expected AS (
	SELECT customer, sqrt(sum(((v - mean) / spread) ^ 2)) AS distance FROM feature JOIN centre USING (k) WHERE NOT seed GROUP BY customer
)
SELECT count(*) AS compared, count(*) FILTER (WHERE abs(e.distance - s.distance::float8) > 0.00001) AS different
FROM expected e JOIN retention.similar_customers('seeds', 1000) AS s ON s.customer_id = e.customer;

-- Another moment, other days: a year later nobody was lately here, and the
-- group still is found, as its own days went by too.
SELECT count(*) FILTER (WHERE customer_id LIKE 'planted %') >= 36 AS nearly_all_planted, min(recency_days) > 365 AS a_year FROM retention.similar_customers('seeds', 40, at => '2025-05-01 12:00+08');

-- Who is forgotten is not proposed.
SELECT customer_id AS nearest FROM retention.similar_customers('seeds', 1) \gset
SELECT retention.forget_customer(:'nearest');
SELECT count(*) FROM retention.similar_customers('seeds', 1000) WHERE customer_id = :'nearest';

-- All alike in one thing: it tells nothing, and is left out.
SELECT retention.create_shop('Twins');
INSERT INTO retention.customer (shop_id, customer_id) SELECT 2, n::text FROM generate_series(1, 10) AS n;
INSERT INTO retention.customer_stats (shop_id, customer_id, first_purchase_at, last_purchase_at, purchases, spent)
SELECT 2, n::text, '2024-04-01', '2024-04-01', 1, n * 10 FROM generate_series(1, 10) AS n;
SELECT retention.define_audience('low', 'spent <= 60', shop => 'Twins');
SELECT customer_id, round(distance, 3) AS distance, recency_days, purchases, average_value, interval_days FROM retention.similar_customers('low', shop => 'Twins');

-- What cannot be.
SELECT * FROM retention.similar_customers('nobody', shop => 'Twins');
SELECT retention.define_audience('few', 'spent <= 40', shop => 'Twins');
SELECT * FROM retention.similar_customers('few', shop => 'Twins');
SELECT * FROM retention.similar_customers('low', 0, shop => 'Twins');
SELECT * FROM retention.similar_customers('low', NULL, shop => 'Twins');

SET client_min_messages = warning;
DROP SCHEMA shop CASCADE;
\set ECHO none
\i test/include/stop.sql
