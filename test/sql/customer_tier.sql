-- customer_tier(): a customer's own tier, from what sync keeps.
SET retention.clock = '2024-06-01 12:00:00+00';
SET timezone = 'UTC';
INSERT INTO retention.shop (shop_id, name) VALUES (1, 'Tea House');

-- Customer 42: 600 in January and 600 in May; chunks as a long history has.
INSERT INTO retention.customer_stats (shop_id, customer_id, purchases, spent, history)
SELECT 1, '42', 2, 1200, retention.purchase_history(at, 600)
FROM (VALUES (timestamptz '2024-01-10 00:00+00'), ('2024-05-10 00:00+00')) AS v(at);
INSERT INTO retention.customer_stats (shop_id, customer_id, purchases, spent, history_from, history)
SELECT 1, 'long', 24, 240, '2024-01-01 00:00+00', retention.purchase_history(at, 10)
FROM generate_series(timestamptz '2024-01-15 00:00+00', '2024-12-15 00:00+00', '1 month') AS at WHERE at < '2024-06-01';
INSERT INTO retention.customer_history
SELECT 1, 'long', date_trunc('month', min(at)), retention.purchase_history(at, 10)
FROM generate_series(timestamptz '2022-06-15 00:00+00', '2023-12-15 00:00+00', '1 month') AS at
GROUP BY date_trunc('year', at);
UPDATE retention.customer_history SET starts_at = '-infinity' WHERE starts_at < '2023-01-01';
INSERT INTO retention.customer_stats (shop_id, customer_id) VALUES (1, 'ordered'), (1, '7d444840-9dc0-11d1-b245-5ffdce74fad2');
INSERT INTO retention.customer (shop_id, customer_id) VALUES (1, 'joined');

-- Every way to give the customer; nobody known gives NULL, no purchase the bottom.
SELECT retention.customer_tier('42') AS literal, retention.customer_tier('42'::text) AS text, retention.customer_tier('42'::varchar) AS varchar,
	retention.customer_tier(42) AS integer, retention.customer_tier(42::bigint) AS bigint, retention.customer_tier(42.0) AS numeric,
	retention.customer_tier(uuid '7d444840-9dc0-11d1-b245-5ffdce74fad2') AS uuid;
SELECT retention.customer_tier('042') AS unknown, retention.customer_tier(NULL::text) AS nobody, retention.customer_tier('ordered') AS ordered,
	retention.customer_tier('joined') AS joined, retention.customer_tier('long') AS long;
SELECT retention.customer_tier('42', 'Tea House'), retention.customer_tier(42, shop => 'Tea House');
SELECT retention.customer_tier('42', 'Coffee House');
SELECT retention.customer_tier(date '2024-01-01');

-- As of another moment: what was paid by then, at that moment included.
SELECT at, retention.customer_tier('42', at => at) AS "42", retention.customer_tier('long', at => at) AS long
FROM (
	VALUES
		(timestamptz '2022-01-01 00:00+00'), ('2022-10-15 00:00+00'), ('2022-10-14 23:59:59.999999+00'),
		('2024-01-14 00:00+00'), ('2024-01-15 00:00+00'), ('2024-05-10 00:00+00'), ('infinity')
	) AS v(at);

-- Within a window only what lies in it counts.
UPDATE retention.shop SET tier_window = '3 months';
SELECT retention.customer_tier('42') AS "42", retention.customer_tier('long') AS long;
UPDATE retention.shop SET tier_window = '5 months';
SELECT retention.customer_tier('42') AS "42", retention.customer_tier('long') AS long;
UPDATE retention.shop SET tier_window = '1 year';
SELECT at, retention.customer_tier('42', at => at) AS "42", retention.customer_tier('long', at => at) AS long
FROM (VALUES (timestamptz '2022-09-01 00:00+00'), ('2023-05-15 00:00+00'), ('2024-05-10 00:00+00'), ('2025-06-01 00:00+00')) AS v(at);

-- A reader may ask; anybody else may not.
CREATE ROLE customer_tier_test_anyone;
GRANT USAGE ON SCHEMA retention TO customer_tier_test_anyone;
SET ROLE customer_tier_test_anyone;
SELECT retention.customer_tier('42');
RESET ROLE;
GRANT retention_reader TO customer_tier_test_anyone;
SET ROLE customer_tier_test_anyone;
SELECT retention.customer_tier('42'), retention.customer_tier(42);
RESET ROLE;
REVOKE USAGE ON SCHEMA retention FROM customer_tier_test_anyone;
DROP ROLE customer_tier_test_anyone;

DELETE FROM retention.customer;
DELETE FROM retention.customer_history;
DELETE FROM retention.customer_stats;
SELECT retention.customer_tier('42', at => now()) AS known_no_more;
DELETE FROM retention.shop;
SELECT retention.customer_tier('42') AS no_shop;
RESET retention.clock;
RESET timezone;
