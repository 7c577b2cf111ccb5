-- The reminder of an unpaid order: queued when it is placed, gone in the
-- transaction that records the payment.
\set ECHO none
\i test/include/start.sql

CREATE SCHEMA unpaid_reminder;
CREATE TABLE unpaid_reminder.orders (
	id integer PRIMARY KEY,
	customer text,
	total numeric DEFAULT 10,
	placed_at timestamptz DEFAULT '2024-05-02 12:00+00',
	paid_at timestamptz,
	closed_at timestamptz
);
SELECT retention.attach_orders('unpaid_reminder.orders', 'id', 'customer', 'total', placed_at => 'placed_at', paid_at => 'paid_at', completed_at => 'paid_at', closed_at => 'closed_at');
SET retention.clock = '2024-05-02 12:00+00';
CREATE VIEW unpaid_reminder.messages AS
SELECT order_id, customer_id, rule, state, reason, due_at, expires_at
FROM retention.care_message
ORDER BY source_id, order_id, customer_id, due_at;

-- Off by default.
INSERT INTO unpaid_reminder.orders VALUES (1, 'a');
SELECT * FROM unpaid_reminder.messages;
SELECT name, event, delay, validity, channel, purpose, enabled, shipped FROM retention.care_rules ORDER BY name;
-- Switched on, it does not reach back to orders already there.
SELECT retention.enable_rule('unpaid_reminder');
SELECT retention.resync('unpaid_reminder.orders', everything => true);
SELECT * FROM unpaid_reminder.messages;

-- Queued at placing; paid: cancelled.
INSERT INTO unpaid_reminder.orders VALUES (2, 'b'), (3, 'b'), (4, 'b'), (5, 'b');
SELECT * FROM unpaid_reminder.messages;
UPDATE unpaid_reminder.orders SET paid_at = '2024-05-02 12:10+00' WHERE id = 2;
UPDATE unpaid_reminder.orders SET closed_at = '2024-05-02 12:10+00' WHERE id = 3;
DELETE FROM unpaid_reminder.orders WHERE id = 4;
SELECT * FROM unpaid_reminder.messages;
-- Paid and rolled back: still queued.
BEGIN;
UPDATE unpaid_reminder.orders SET paid_at = '2024-05-02 12:10+00' WHERE id = 5;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT state, reason FROM unpaid_reminder.messages WHERE order_id = '5';
ROLLBACK;
SELECT state, reason FROM unpaid_reminder.messages WHERE order_id = '5';
-- Placed and rolled back; placed and paid at once: no message at all.
BEGIN;
INSERT INTO unpaid_reminder.orders VALUES (6, 'b');
SET CONSTRAINTS ALL IMMEDIATE;
ROLLBACK;
BEGIN;
INSERT INTO unpaid_reminder.orders VALUES (7, 'b');
UPDATE unpaid_reminder.orders SET paid_at = '2024-05-02 12:00+00' WHERE id = 7;
COMMIT;
SELECT count(*) FROM unpaid_reminder.messages WHERE order_id IN ('6', '7');
-- Moved to another customer: the reminder goes along.
UPDATE unpaid_reminder.orders SET customer = 'c' WHERE id = 5;
SELECT * FROM unpaid_reminder.messages WHERE order_id = '5';
-- And back: the cancelled one comes to life again.
UPDATE unpaid_reminder.orders SET customer = 'b' WHERE id = 5;
SELECT * FROM unpaid_reminder.messages WHERE order_id = '5';
-- To nobody.
UPDATE unpaid_reminder.orders SET customer = NULL WHERE id = 5;
SELECT * FROM unpaid_reminder.messages WHERE order_id = '5';
-- The payment bounces.
UPDATE unpaid_reminder.orders SET paid_at = NULL WHERE id = 2;
SELECT * FROM unpaid_reminder.messages WHERE order_id = '2';
-- Placed anew at another time.
UPDATE unpaid_reminder.orders SET placed_at = '2024-05-02 12:20+00' WHERE id = 2;
SELECT * FROM unpaid_reminder.messages WHERE order_id = '2';
-- Each state once: syncing again changes nothing.
SELECT pg_temp.recorded() AS before \gset
UPDATE unpaid_reminder.orders SET total = total;
SELECT retention.resync('unpaid_reminder.orders', everything => true) > 0 AS synced;
SELECT pg_temp.recorded() = :'before' AS unchanged;

-- A message past its validity is never queued: no flood of old orders.
INSERT INTO unpaid_reminder.orders VALUES (10, 'd', 1, '2024-05-01 23:29+00'), (11, 'd', 1, '2024-05-01 23:31+00'), (12, 'd', 1, '2024-04-01 12:00+00');
SELECT * FROM unpaid_reminder.messages WHERE customer_id = 'd';

-- A second reminder, and a rule of the shop's own.
SELECT retention.enable_rule('second_unpaid_reminder');
UPDATE retention.care_rules SET delay = '1 hour', channel = 'wechat' WHERE name = 'unpaid_reminder';
INSERT INTO unpaid_reminder.orders VALUES (20, 'e');
SELECT rule, due_at, expires_at FROM unpaid_reminder.messages WHERE order_id = '20';
UPDATE unpaid_reminder.orders SET paid_at = '2024-05-02 12:10+00' WHERE id = 20;
SELECT rule, state, reason FROM unpaid_reminder.messages WHERE order_id = '20';
-- Switched off again: what is queued stays, nothing new.
SELECT retention.disable_rule('unpaid_reminder'), retention.disable_rule('second_unpaid_reminder');
INSERT INTO unpaid_reminder.orders VALUES (21, 'e');
SELECT count(*) FROM unpaid_reminder.messages WHERE order_id = '21';
SELECT retention.enable_rule('no such rule');

-- A backfill queues nothing; neither does a source attached to old orders.
SELECT retention.enable_rule('unpaid_reminder');
CREATE TABLE unpaid_reminder.old (LIKE unpaid_reminder.orders INCLUDING ALL);
INSERT INTO unpaid_reminder.old VALUES (30, 'f', 1, '2024-05-02 11:59+00');
SELECT retention.attach_orders('unpaid_reminder.old', 'id', 'customer', 'total', placed_at => 'placed_at', paid_at => 'paid_at', completed_at => 'paid_at');
SET client_min_messages = warning;
CALL retention.backfill('unpaid_reminder.old', points => true);
RESET client_min_messages;
SELECT count(*) FROM unpaid_reminder.messages WHERE customer_id = 'f';
SELECT unpaid_orders FROM retention.customer_stats WHERE customer_id = 'f';
-- Nor an order without a time of placing that was there before.
CREATE TABLE unpaid_reminder.undated (id integer PRIMARY KEY, customer text, total numeric, paid_at timestamptz);
INSERT INTO unpaid_reminder.undated VALUES (40, 'g', 1);
SELECT retention.attach_orders('unpaid_reminder.undated', 'id', 'customer', 'total', paid_at => 'paid_at', completed_at => 'paid_at');
SET retention.clock = '2024-05-02 12:05+00';
SET client_min_messages = warning;
CALL retention.backfill('unpaid_reminder.undated');
RESET client_min_messages;
SELECT count(*) FROM unpaid_reminder.messages WHERE customer_id = 'g';
INSERT INTO unpaid_reminder.undated VALUES (41, 'g', 1);
SELECT order_id, due_at FROM unpaid_reminder.messages WHERE customer_id = 'g';

-- Detached: nobody would cancel them any more.
SELECT retention.detach('unpaid_reminder.undated');
SELECT order_id, state, reason FROM unpaid_reminder.messages WHERE customer_id = 'g';

SELECT * FROM wrong;

\set ECHO none
\i test/include/stop.sql
DROP SCHEMA unpaid_reminder CASCADE;
