-- The BI views, on two small shops that can be checked by hand.
SET client_min_messages = warning;
SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE SCHEMA views_test;
CREATE TABLE views_test.tea (id integer PRIMARY KEY, customer text, total numeric, placed_at timestamptz, paid_at timestamptz, refunded numeric NOT NULL DEFAULT 0);
CREATE TABLE views_test.gifts (LIKE views_test.tea INCLUDING ALL);

-- With no shop there are no rows, and with no order none but the groups.
SELECT count(*) FROM retention.customer_groups;
SET retention.clock = '2023-01-01 00:00+08';
SELECT retention.create_shop('Tea House', 'Asia/Shanghai'), retention.create_shop('Gift Shop', 'America/New_York');
SELECT * FROM retention.customer_groups;
SELECT scheme, count(*), sum(customers) AS customers, count(share) AS shares FROM retention.rfm_segments WHERE shop = 'Tea House' GROUP BY scheme ORDER BY scheme;
SELECT (SELECT count(*) FROM retention.customers) AS customers, (SELECT count(*) FROM retention.repurchase_monthly) AS months, (SELECT count(*) FROM retention.cohort_monthly) AS cohorts;

-- A ladder of two rungs; the tea house earns points.
INSERT INTO retention.tier (shop_id, rung, name, min_spent) VALUES (1, 1, 'guest', NULL), (1, 2, 'regular', 300);
UPDATE retention.shop SET accrue_on = 'paid';
SELECT retention.attach_orders('views_test.tea', 'id', 'customer', 'total', placed_at => 'placed_at', paid_at => 'paid_at', refunded => 'refunded', for_shop => 'Tea House');
SELECT retention.attach_orders('views_test.gifts', 'id', 'customer', 'total', placed_at => 'placed_at', paid_at => 'paid_at', refunded => 'refunded', for_shop => 'Gift Shop');

SET retention.clock = '2024-05-15 12:00+08';
INSERT INTO views_test.tea VALUES
	(1, 'ann', 100, '2024-01-31 23:00+08', '2024-01-31 23:30+08'),
	(2, 'ann', 50, '2024-02-29 16:50+00', '2024-02-29 17:00+00'),	-- already March in Shanghai
	(3, 'ann', 200, '2024-03-10 10:00+08', '2024-03-10 10:00+08'),
	(4, 'bob', 80, '2024-03-05 10:00+08', '2024-03-05 10:00+08'),
	(5, 'bob', 120, '2024-03-20 10:00+08', '2024-03-20 10:00+08'),
	(6, 'cat', 30, '2024-05-02 10:00+08', '2024-05-02 10:00+08'),
	(7, 'cat', 40, '2024-05-10 10:00+08', '2024-05-10 10:00+08'),
	(8, 'dan', 90, '2024-05-14 10:00+08', NULL),
	(9, 'eve', 500, '2023-10-01 10:00+08', '2023-10-01 10:00+08'),
	(10, 'eve', 20, '2024-05-14 10:00+08', NULL),
	(11, 'fay', 60, '2024-03-03 10:00+08', '2024-03-03 10:00+08'),
	(12, 'gil', 70, '2024-04-15 00:10+08', '2024-04-15 00:10+08'),	-- 30 days ago
	(13, 'hal', 70, '2024-04-16 23:50+08', '2024-04-16 23:50+08'),	-- 29 days ago
	(14, 'ivy', 10, '2023-11-17 23:50+08', '2023-11-17 23:50+08'),	-- 180 days ago
	(15, 'joy', 10, '2023-11-18 00:10+08', '2023-11-18 00:10+08');	-- 179 days ago
INSERT INTO views_test.gifts VALUES
	(1, 'zoe', 10, '2024-03-01 04:30+00', '2024-03-01 04:30+00'),	-- still February in New York
	(2, 'zoe', 20, '2024-05-01 03:00+00', '2024-05-01 03:00+00'),	-- still April
	(3, 'zoe', 30, '2024-05-05 12:00+00', '2024-05-05 12:00+00'),
	(4, 'ann', 40, '2024-04-20 12:00+00', '2024-04-20 12:00+00');

-- A purchase wholly refunded is none; one refunded in part counts for the rest.
UPDATE views_test.tea SET refunded = total WHERE id IN (5, 11);
UPDATE views_test.tea SET refunded = 5 WHERE id = 6;
UPDATE retention.customer SET name = 'Ann Li', nickname = 'Annie' WHERE shop_id = 1 AND customer_id = 'ann';
INSERT INTO retention.customer (shop_id, customer_id) VALUES (1, 'kim');

-- customers: those who never bought have no scores, no segment and no recency.
SELECT shop_id, customer_id, name, nickname, first_purchase_at, last_purchase_at, purchases, spent, round(average_value, 2) AS average_value, unpaid_orders
FROM retention.customers ORDER BY shop_id, customer_id;
SELECT customer_id, recency_days, recency, frequency, monetary, rfm, segment, segment_cn8, tier, points, customer_group, customer_groups
FROM retention.customers WHERE shop = 'Tea House' ORDER BY customer_id;
SELECT customer_id, recency_days, rfm, segment, tier, customer_groups FROM retention.customers WHERE shop = 'Gift Shop' ORDER BY customer_id;
SELECT count(*) AS other_balances FROM retention.customers WHERE points <> retention.points_balance(customer_id, shop => shop);

-- Each group on its own: eve is long absent and has an order to pay.
SELECT shop, customer_group, customer_group_zh, customers, round(share, 3) AS share, spent FROM retention.customer_groups;

-- Segments, by each scheme; one of your own may leave cells without a name.
INSERT INTO retention.rfm_segment_override VALUES
	('global', 4, 1, 2, 'Newcomers', NULL), ('ours', 4, 1, 2, 'Welcome', '欢迎'), ('ours', 1, 1, 1, 'Goodbye', '再见');
SELECT shop, scheme, segment, segment_zh, customers, round(share, 3) AS share, spent, round(spent_share, 3) AS spent_share,
	round(average_purchases, 2) AS purchases, round(average_recency_days, 1) AS days
FROM retention.rfm_segments WHERE customers > 0 ORDER BY shop_id, scheme, segment COLLATE "C";
SELECT scheme, count(*) AS segments, count(*) FILTER (WHERE customers = 0 AND average_purchases IS NULL AND share = 0) AS empty
FROM retention.rfm_segments WHERE shop = 'Tea House' GROUP BY scheme ORDER BY scheme;
SELECT count(*) AS named_otherwise
FROM (
	SELECT shop_id, segment, count(*) FROM retention.customers WHERE segment IS NOT NULL GROUP BY shop_id, segment
	EXCEPT
	SELECT shop_id, segment, customers FROM retention.rfm_segments WHERE scheme = 'global'
) AS differences;
-- Advice goes with the name: where you rename a cell you advise.
INSERT INTO retention.rfm_segment_override VALUES ('ours', 5, 5, 5, 'Friends', '朋友', 'Friends', 'Give a party.', '请客吃饭。'), ('global', 5, 5, 5, 'Loyal Customers', NULL, NULL, NULL, NULL);
SELECT scheme, segment, segment_zh, segment_en, advice, advice_zh FROM retention.rfm_segments
WHERE shop = 'Tea House' AND segment IN ('Friends', 'Welcome', 'Newcomers', 'Loyal Customers', 'Lost', '重要价值客户') ORDER BY scheme, segment COLLATE "C";
DELETE FROM retention.rfm_segment_override;

-- Purchases lie in the months of the shop's own calendar; a month without any
-- has zeros; the present one has no rate yet.
SELECT shop, month, buyers, repeat_buyers, round(repurchase_rate, 3) AS repurchase_rate, new_buyers, returning_buyers, purchases, sales FROM retention.repurchase_monthly;
SELECT shop, cohort, size, months_since, month, customers, round(retention, 3) AS retention, value FROM retention.cohort_monthly;

-- June has begun in Shanghai and not in New York: May is over there alone.
SET retention.clock = '2024-06-01 00:00+08';
SELECT shop, month, round(repurchase_rate, 3) AS repurchase_rate FROM retention.repurchase_monthly WHERE month = '2024-05-01';
SELECT shop, cohort, months_since, month, customers, round(retention, 3) AS retention, value FROM retention.cohort_monthly WHERE month >= '2024-05-01' AND cohort >= '2024-04-01';
-- At a moment before them, purchases are in no cohort, and their months have no rate.
SET retention.clock = '2024-03-15 00:00+08';
SELECT shop, count(*) AS months, count(repurchase_rate) AS rates FROM retention.repurchase_monthly GROUP BY shop ORDER BY shop;
SELECT shop, max(cohort) AS cohort, max(month) AS month, max(month) FILTER (WHERE customers IS NOT NULL) AS "last that is over" FROM retention.cohort_monthly GROUP BY shop ORDER BY shop;
SET retention.clock = '2024-05-15 12:00+08';

-- The session's own time zone makes no difference.
CREATE TABLE views_test.seen AS
	SELECT c::text AS row FROM retention.repurchase_monthly AS c UNION ALL SELECT c::text FROM retention.cohort_monthly AS c
	UNION ALL SELECT concat(shop_id, customer_id, recency_days, tier, customer_groups) FROM retention.customers;
SET timezone = 'America/New_York';
SELECT count(*) AS differences FROM (
	SELECT c::text AS row FROM retention.repurchase_monthly AS c UNION ALL SELECT c::text FROM retention.cohort_monthly AS c
	UNION ALL SELECT concat(shop_id, customer_id, recency_days, tier, customer_groups) FROM retention.customers
	EXCEPT SELECT row FROM views_test.seen
) AS differences;

-- Tiers over a window, which reaches back to the same hour by the shop's clock
-- though New York has put its clocks on since: zoe's first purchase lies in it
-- until 23:30, and the session's time zone makes no difference.
UPDATE retention.shop SET tier_window = '3 months' WHERE shop_id = 1;
UPDATE retention.shop SET tier_window = '70 days' WHERE shop_id = 2;
INSERT INTO retention.tier (shop_id, rung, name, min_spent) VALUES (2, 1, 'guest', NULL), (2, 2, 'regular', 60);
SELECT customer_id, tier FROM retention.customers WHERE shop = 'Tea House' AND purchases > 0 ORDER BY customer_id;
SET retention.clock = '2024-05-09 23:29-04';
SELECT tier, retention.customer_tier(customer_id, shop) FROM retention.customers WHERE shop = 'Gift Shop' AND customer_id = 'zoe';
SET timezone = 'UTC';
SELECT tier, retention.customer_tier(customer_id, shop) FROM retention.customers WHERE shop = 'Gift Shop' AND customer_id = 'zoe';
SET retention.clock = '2024-05-09 23:31-04';
SELECT tier, retention.customer_tier(customer_id, shop) FROM retention.customers WHERE shop = 'Gift Shop' AND customer_id = 'zoe';
SET retention.clock = '2024-05-15 12:00+08';

-- A customer with a long history: its older purchases lie in chunks.
INSERT INTO views_test.tea
SELECT 1000 + n, 'lee', n % 97 + 0.01, at, at
FROM generate_series(1, 900) AS n, LATERAL (SELECT timestamptz '2023-06-01 00:00+08' + n * interval '9 hours 17 seconds') AS v (at);
SELECT count(*) > 0 AS chunks FROM retention.customer_history WHERE customer_id = 'lee';
SELECT count(*) AS differences FROM (
	(SELECT customer, paid_at, (paid_at AT TIME ZONE 'Asia/Shanghai')::date, total - refunded FROM views_test.tea WHERE total > refunded AND paid_at IS NOT NULL
		EXCEPT ALL SELECT customer_id, paid_at, paid_on, amount FROM retention.customer_purchases WHERE shop = 'Tea House')
	UNION ALL
	(SELECT customer_id, paid_at, paid_on, amount FROM retention.customer_purchases WHERE shop = 'Tea House'
		EXCEPT ALL SELECT customer, paid_at, (paid_at AT TIME ZONE 'Asia/Shanghai')::date, total - refunded FROM views_test.tea WHERE total > refunded AND paid_at IS NOT NULL)
) AS differences;
UPDATE retention.tier SET min_spent = 28900 WHERE shop_id = 1 AND rung = 2;
UPDATE retention.shop SET tier_window = '8 months' WHERE shop_id = 1;
SELECT c.tier, retention.customer_tier('lee', 'Tea House'), sum(p.amount) AS within
FROM retention.customers AS c JOIN retention.customer_purchases AS p USING (shop, customer_id)
WHERE c.customer_id = 'lee' AND p.paid_at >= '2023-09-15 12:00+08' GROUP BY c.tier;
UPDATE retention.shop SET tier_window = '7 months 29 days' WHERE shop_id = 1;
SELECT c.tier, retention.customer_tier('lee', 'Tea House'), sum(p.amount) AS within
FROM retention.customers AS c JOIN retention.customer_purchases AS p USING (shop, customer_id)
WHERE c.customer_id = 'lee' AND p.paid_at >= '2023-09-16 12:00+08' GROUP BY c.tier;

-- A reader needs no right on the tables, and gets none; others get nothing.
CREATE ROLE views_test_reader;
SET ROLE views_test_reader;
SELECT count(*) FROM retention.customers;
RESET ROLE;
GRANT retention_reader TO views_test_reader;
SET ROLE views_test_reader;
SELECT count(*), count(segment) AS segments, count(tier) AS tiers FROM retention.customers;
SELECT count(*) FROM retention.customer_groups;
SELECT count(*) FROM retention.customer_purchases;
SELECT count(*) FROM retention.rfm_segments;
SELECT count(*) FROM retention.repurchase_monthly;
SELECT count(*) FROM retention.cohort_monthly;
SELECT count(*) FROM retention.customer_stats;
RESET ROLE;
REVOKE retention_reader FROM views_test_reader;
DROP ROLE views_test_reader;

-- The shop's own DDL goes on working: no view stands on its tables.
ALTER TABLE views_test.tea ALTER COLUMN total TYPE double precision;
DROP TABLE views_test.gifts;
SELECT count(*) FROM retention.customers WHERE shop = 'Gift Shop';

-- Everything has a comment for BI tools to show: members of the extension, and
-- every column of its tables, views and composite types.
SELECT pg_describe_object(d.classid, d.objid, 0) AS without_comment
FROM pg_depend d
WHERE d.refclassid = 'pg_extension'::regclass
	AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'retention')
	AND d.deptype = 'e'
	AND obj_description(d.objid, (SELECT relname FROM pg_class WHERE oid = d.classid)) IS NULL
	-- From 17 on arrays, and the row types of tables, are members too.
	AND NOT EXISTS (
		SELECT
		FROM pg_type t
		LEFT JOIN pg_class c ON c.oid = t.typrelid
		WHERE d.classid = 'pg_type'::regclass AND t.oid = d.objid AND (t.typelem <> 0 OR c.relkind <> 'c')
	)
UNION ALL
SELECT pg_describe_object('pg_class'::regclass, a.attrelid, a.attnum)
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'retention'::regnamespace
	AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
	AND a.attnum > 0
	AND NOT a.attisdropped
	AND col_description(a.attrelid, a.attnum) IS NULL;

DROP EXTENSION retention CASCADE;
DROP SCHEMA views_test CASCADE;
CREATE EXTENSION retention;
RESET retention.clock;
RESET timezone;
