-- backfill(): the orders that were there before; resync(); detach and attach
-- again.
\set ECHO none
\i test/include/start.sql

CREATE SCHEMA backfill;
CREATE TABLE backfill.orders (
	id integer PRIMARY KEY,
	customer text,
	total numeric,
	placed_at timestamptz,
	paid_at timestamptz,
	done boolean
);
-- A year of orders: some unpaid, some nobody's, one that cannot be read.
INSERT INTO backfill.orders
SELECT
	i,
	CASE WHEN i % 50 <> 0 THEN 'c' || i % 17 END,
	i % 90 + 0.5,
	timestamptz '2023-05-01 08:00+00' + i * interval '1 day',
	CASE WHEN i % 7 <> 0 THEN timestamptz '2023-05-01 09:00+00' + i * interval '1 day' END,
	i % 7 <> 0
FROM generate_series(1, 360) AS i;
UPDATE backfill.orders SET total = 'NaN' WHERE id = 102;
UPDATE backfill.orders SET customer = '' WHERE id = 101;

SELECT retention.attach_orders('backfill.orders', 'id', 'customer', 'total', placed_at => 'placed_at', paid_at => 'paid_at', completed => 'done');
SELECT retention.enable_rule('unpaid_reminder');
SET retention.clock = '2024-05-02 12:00+00';
SELECT count(*) FROM retention.purchase;

-- ---------------------------------------------------------------------------
-- A baseline: statistics, no points, no messages
-- ---------------------------------------------------------------------------

SET client_min_messages = warning;
CALL retention.backfill('backfill.orders', batch => 100);
RESET client_min_messages;
SELECT total_orders, done_orders, without_customer, failed_orders, percent, finished_at IS NOT NULL AS finished FROM retention.backfills;
SELECT order_id, message FROM retention.sync_error;
-- What is kept equals plain SQL over the shop's table.
SELECT count(*) AS customers, sum(purchases) AS purchases, sum(spent) AS spent, sum(unpaid_orders) AS unpaid, sum(points_posted) AS points
FROM retention.customer_stats;
SELECT count(DISTINCT customer) AS customers, count(paid_at) AS purchases, sum(total) FILTER (WHERE paid_at IS NOT NULL) AS spent, count(*) - count(paid_at) AS unpaid
FROM backfill.orders
WHERE customer <> '' AND id <> 102;
SELECT count(*) FROM retention.points_entry;
SELECT count(*) FROM retention.care_message;
SELECT * FROM wrong;

-- The bad order gone, a second one changes not one row.
DELETE FROM backfill.orders WHERE id = 102;
SELECT retention.resync('backfill.orders');
SELECT pg_temp.recorded() AS before \gset
SET client_min_messages = warning;
CALL retention.backfill('backfill.orders', batch => 7);
RESET client_min_messages;
SELECT pg_temp.recorded() = :'before' AS unchanged;
SELECT retention.resync('backfill.orders', everything => true);
SELECT pg_temp.recorded() = :'before' AS unchanged;

-- A backfilled order that goes on: completed states it has had earn nothing,
-- what it earns from now on it does.
UPDATE backfill.orders SET paid_at = '2024-05-02 11:00+00', done = true WHERE id = 7;
UPDATE backfill.orders SET total = 1000 WHERE id = 8;
SELECT order_id, accrued_points FROM retention.purchase WHERE order_id IN ('7', '8');

-- ---------------------------------------------------------------------------
-- With points, on request
-- ---------------------------------------------------------------------------

-- For accruals from a moment on ...
CREATE TABLE backfill.dated (id integer PRIMARY KEY, customer text, total numeric, paid_at timestamptz, done_at timestamptz);
INSERT INTO backfill.dated VALUES
	(1, 'dated', 10, '2023-12-30 12:00+00', '2023-12-31 12:00+00'),
	(2, 'dated', 20, '2023-12-31 12:00+00', '2024-01-01 00:00+00'),
	(3, 'dated', 40, '2024-04-30 12:00+00', NULL);
SELECT retention.attach_orders('backfill.dated', 'id', 'customer', 'total', paid_at => 'paid_at', completed_at => 'done_at');
SET client_min_messages = warning;
CALL retention.backfill('backfill.dated');
SELECT retention.points_balance('dated');
CALL retention.backfill('backfill.dated', points => true, points_from => '2024-01-01 00:00+00');
SELECT retention.points_balance('dated');
-- ... or for all there ever were.
CALL retention.backfill('backfill.dated', points => true);
RESET client_min_messages;
SELECT retention.points_balance('dated');
SELECT order_id, kind, points, effective_at FROM retention.points_entry WHERE customer_id = 'dated' ORDER BY entry_no;
-- Order 3, completed after the attachment, needs no asking.
UPDATE backfill.dated SET done_at = '2024-05-02 11:00+00' WHERE id = 3;
SELECT retention.points_balance('dated');
SELECT count(*) FROM retention.care_message;

-- A shop that dates nothing: its old orders earn nothing either.
CREATE TABLE backfill.flags (id integer PRIMARY KEY, customer text, total numeric, is_paid boolean);
INSERT INTO backfill.flags VALUES (1, 'flags', 10, true), (2, 'flags', 10, false);
SELECT retention.attach_orders('backfill.flags', 'id', 'customer', 'total', paid_in_full => 'is_paid', completed => 'is_paid');
SET client_min_messages = warning;
CALL retention.backfill('backfill.flags');
SELECT order_id, placed_at, paid_at, accrued_points FROM retention.purchase WHERE customer_id = 'flags' ORDER BY 1;
-- Paid from now on, an order does.
UPDATE backfill.flags SET is_paid = true WHERE id = 2;
SELECT order_id, placed_at, paid_at, accrued_points FROM retention.purchase WHERE customer_id = 'flags' ORDER BY 1;
CALL retention.backfill('backfill.flags', points => true);
RESET client_min_messages;
SELECT retention.points_balance('flags');

-- ---------------------------------------------------------------------------
-- Interrupted, resumed; inside a transaction block; nothing to do
-- ---------------------------------------------------------------------------

CREATE TABLE backfill.resumed AS SELECT i AS id, 'r' || i % 3 AS customer, 1.0 AS total, true AS is_paid FROM generate_series(1, 10) AS i;
SELECT retention.attach_orders('backfill.resumed', 'id', 'customer', 'total', paid_in_full => 'is_paid', completed => 'is_paid') AS name \gset
SELECT source_id FROM retention.source WHERE name = :'name' \gset
SELECT retention.backfill_start(:source_id, 4, NULL);
SELECT retention.backfill_step(:source_id);
SELECT total_orders, done_orders, percent, finished_at IS NOT NULL AS finished FROM retention.backfills WHERE source = :'name';
-- Changed meanwhile: one deleted, one new, one changed.
DELETE FROM backfill.resumed WHERE id = 10;
INSERT INTO backfill.resumed VALUES (11, 'r1', 1.0, true);
UPDATE backfill.resumed SET total = 5 WHERE id = 9;
\setenv PGDATABASE :DBNAME
\setenv BACKFILLED :name
\! psql -X -q -c "CALL retention.backfill('$BACKFILLED', batch => 2)" 2>&1 | grep -v '^NOTICE:  backfill of'
SELECT total_orders, done_orders, percent, finished_at IS NOT NULL AS finished FROM retention.backfills WHERE source = :'name';
SELECT customer_id, purchases, spent FROM retention.customer_stats WHERE customer_id LIKE 'r%' ORDER BY 1;
SELECT count(*) FROM retention.backfill_batch;

-- Inside a transaction block it does the same in one piece, and says so.
\! psql -X -q -1 -c "CALL retention.backfill('$BACKFILLED')" 2>&1 | grep -v '^NOTICE:  backfill of'

-- Nothing there at all.
CREATE TABLE backfill.empty (id integer PRIMARY KEY, customer text, total numeric, is_paid boolean);
SELECT retention.attach_orders('backfill.empty', 'id', 'customer', 'total', paid_in_full => 'is_paid', completed => 'is_paid');
SET client_min_messages = warning;
CALL retention.backfill('backfill.empty');
RESET client_min_messages;
SELECT total_orders, percent, finished_at IS NOT NULL AS finished FROM retention.backfills WHERE source = 'backfill.empty';

-- ---------------------------------------------------------------------------
-- Detached and attached again: it goes on where it was
-- ---------------------------------------------------------------------------

SELECT retention.detach('backfill.dated');
INSERT INTO backfill.dated VALUES (4, 'dated', 80, '2024-05-02 11:00+00', '2024-05-02 11:00+00');
UPDATE backfill.dated SET total = 1 WHERE id = 3;
SELECT retention.points_balance('dated');
SELECT retention.attach_orders('backfill.dated', 'id', 'customer', 'total', paid_at => 'paid_at', completed_at => 'done_at', on_delete => 'reverse');
SELECT retention.points_balance('dated');
SET client_min_messages = warning;
CALL retention.backfill('backfill.dated');
RESET client_min_messages;
SELECT retention.points_balance('dated');
DELETE FROM backfill.dated;
SELECT retention.points_balance('dated');

-- resync() of one order, by its id in any spelling.
ALTER TABLE backfill.orders DISABLE TRIGGER ALL;
UPDATE backfill.orders SET total = 2000 WHERE id = 8;
ALTER TABLE backfill.orders ENABLE TRIGGER ALL;
SELECT retention.resync('backfill.orders', ' 008');
SELECT value FROM retention.purchase WHERE order_id = '8' AND source_id = 1;
SELECT retention.resync('backfill.orders', '99999');
SELECT * FROM wrong;

\set ECHO none
\i test/include/stop.sql
DROP SCHEMA backfill CASCADE;
