-- health(): each check is turned red by really making its condition, and is
-- well again after what it says to do.
\set ECHO none
\i test/include/start.sql

CREATE SCHEMA health;
CREATE TABLE health.orders (id integer PRIMARY KEY, customer text, total numeric, divisor integer DEFAULT 1, placed_at timestamptz, paid_at timestamptz);
CREATE TABLE health.sales (day date, no integer, customer text, amount numeric, PRIMARY KEY (no, day)) PARTITION BY RANGE (day);
CREATE TABLE health.sales_2024 PARTITION OF health.sales FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE VIEW health.problems AS SELECT * FROM retention.health() WHERE status <> 'OK';

-- ---------------------------------------------------------------------------
-- Nothing attached, nothing wrong
-- ---------------------------------------------------------------------------

SELECT check_name, status, found, to_do FROM retention.health();

-- ---------------------------------------------------------------------------
-- run() is late, or was never called
-- ---------------------------------------------------------------------------

SET retention.clock = '2024-05-01 12:00+00';
SET client_min_messages = warning;
SELECT retention.attach_orders('health.orders', 'id', 'customer', 'total / divisor', placed_at => 'placed_at', paid_at => 'paid_at');
SELECT retention.attach_orders('health.sales', 'no', 'customer', 'amount', paid_at => 'day', completed_at => 'day');
RESET client_min_messages;
SELECT * FROM health.problems;
CALL retention.run();
SELECT * FROM health.problems;
SELECT check_name, status, found, to_do FROM retention.health('2024-05-02 13:00+00') WHERE status <> 'OK';
SELECT check_name, status, found, to_do FROM retention.health('2024-05-02 13:01+00') WHERE status <> 'OK';

-- pg_cron without the job, with it, and with it switched off.
BEGIN;
INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
SELECT 1, 'pg_cron', oid, 'public'::regnamespace, false, '1.6' FROM pg_roles WHERE rolname = current_user;
CREATE SCHEMA cron;
CREATE TABLE cron.job (jobname text, active boolean);
SELECT * FROM health.problems;
INSERT INTO cron.job VALUES ('retention ' || current_database(), true);
SELECT * FROM health.problems;
UPDATE cron.job SET active = false;
SELECT * FROM health.problems;
ROLLBACK;

-- ---------------------------------------------------------------------------
-- Orders that could not be synced
-- ---------------------------------------------------------------------------

SET client_min_messages = error;
INSERT INTO health.orders VALUES (1, 'a', 10, 0, '2024-05-01', '2024-05-01'), (2, 'b', 10, 0, '2024-05-01', '2024-05-01');
RESET client_min_messages;
SELECT * FROM health.problems;
UPDATE health.orders SET divisor = 1 WHERE id = 1;
SELECT found FROM health.problems;
UPDATE health.orders SET divisor = 1 WHERE id = 2;
SELECT * FROM health.problems;

-- A watch that breaks: nobody knows which orders changed.
SET client_min_messages = error;
SELECT retention.watch('health.orders', 'health.sales', 'no / (amount - 13)::integer') IS NOT NULL;
INSERT INTO health.sales VALUES ('2024-04-01', 1, 'a', 13);
RESET client_min_messages;
SELECT * FROM health.problems;
DELETE FROM health.sales;
SELECT retention.resync('health.orders');
SELECT * FROM health.problems;

-- TRUNCATE.
INSERT INTO health.sales VALUES ('2024-04-01', 2, 'a', 20);
TRUNCATE health.sales;
SELECT * FROM health.problems;
SELECT retention.resync('health.orders'), retention.resync('health.sales');
SELECT * FROM health.problems;

-- ---------------------------------------------------------------------------
-- Triggers disabled, missing; tables dropped; a source that watches nothing
-- ---------------------------------------------------------------------------

ALTER TABLE health.sales_2024 DISABLE TRIGGER retention_sync_2;
ALTER TABLE health.orders ENABLE REPLICA TRIGGER retention_note_1;
ALTER TABLE retention.points_entry DISABLE TRIGGER ALL;
SELECT * FROM health.problems;
ALTER TABLE health.sales_2024 ENABLE TRIGGER retention_sync_2;
ALTER TABLE health.orders ENABLE TRIGGER retention_note_1;
ALTER TABLE retention.points_entry ENABLE TRIGGER ALL;
SELECT * FROM health.problems;

BEGIN;
DROP TRIGGER retention_note_1 ON health.orders;
DROP TRIGGER retention_truncate_1 ON health.orders;
SELECT * FROM health.problems;
ROLLBACK;

BEGIN;
DROP TABLE health.sales;
SELECT * FROM health.problems;
ROLLBACK;

SELECT retention.attach_source('half', 'SELECT 1 AS order_id, ''a'' AS customer, 1.0 AS total, true AS paid_in_full');
SELECT * FROM health.problems;
SELECT retention.detach('half');
SELECT * FROM health.problems;

-- ---------------------------------------------------------------------------
-- A backfill that was interrupted
-- ---------------------------------------------------------------------------

SELECT retention.backfill_start(1, 1, NULL), retention.backfill_step(1);
SELECT check_name, status, regexp_replace(found, 'last at .*', 'last at ...') AS found, to_do FROM health.problems;
SET client_min_messages = warning;
CALL retention.backfill('health.orders');
RESET client_min_messages;
SELECT * FROM health.problems;

-- ---------------------------------------------------------------------------
-- What run() should have done: accruals and holds
-- ---------------------------------------------------------------------------

SELECT p.order_id, p.accrual_due_at FROM retention.purchase p WHERE p.accrual_due_at IS NOT NULL ORDER BY 1;
SELECT retention.grant('a', 100, 'a present', 'g1', at => '2024-05-01 12:00+00') IS NOT NULL;
SELECT retention.hold('a', 10, 'basket', at => '2024-05-01 12:00+00') IS NOT NULL;
SET retention.clock = '2024-05-10 12:00+00';
UPDATE retention.last_run SET ran_for = '2024-05-10 12:00+00';
SELECT * FROM health.problems;
CALL retention.run();
SELECT * FROM health.problems;

-- ---------------------------------------------------------------------------
-- Forecasts that are old, or made by an old model
-- ---------------------------------------------------------------------------

SELECT purchase_problem IS NOT NULL AS too_few FROM retention.forecast;
BEGIN;
UPDATE retention.forecast SET purchase_model = retention.bgnbd(0.5, 2, 1, 3), forecast_at = '2024-05-10 12:00+00', purchase_problem = NULL;
SELECT * FROM health.problems;
UPDATE retention.last_run SET ran_for = '2024-05-12 14:00+00';
SELECT check_name, status, found, to_do FROM retention.health('2024-05-12 14:00+00') WHERE status <> 'OK';
UPDATE retention.forecast SET purchase_problem = 'the fit did not converge';
SELECT * FROM health.problems;
ROLLBACK;

-- ---------------------------------------------------------------------------
-- A ledger that was tampered with
-- ---------------------------------------------------------------------------

BEGIN;
UPDATE retention.points_lot SET remaining = remaining - 1 WHERE customer_id = 'a' AND accrued = 100;
SELECT * FROM health.problems;
SELECT check_name, status, found, to_do FROM retention.health(ledger => false) WHERE status <> 'OK';
ROLLBACK;

-- ---------------------------------------------------------------------------
-- Messages: nobody claims, a worker died, one was given up
-- ---------------------------------------------------------------------------

SELECT retention.enable_rule('unpaid_reminder');
UPDATE retention.shop SET quiet_from = NULL, care_max_attempts = 1;
INSERT INTO retention.care_template (shop_id, name, language, text) VALUES (1, 'unpaid_reminder', 'zh', '还在等您');
INSERT INTO health.orders VALUES (3, 'c', 10, 1, '2024-05-10 12:00+00', NULL), (4, 'd', 10, 1, '2024-05-10 12:00+00', NULL);
SELECT channel, count(*), min(due_at) FROM retention.care_message WHERE state = 'queued' GROUP BY 1;
SET retention.clock = '2024-05-10 13:30+00';
SELECT * FROM health.problems;
SET retention.clock = '2024-05-10 13:31+00';
SELECT * FROM health.problems;
SELECT count(*) FROM retention.claim_messages('sms', 1, '10 minutes', 'mei');
SELECT count(*) FROM retention.claim_messages('sms', 1, '10 minutes', 'mei');
SELECT * FROM health.problems;
SET retention.clock = '2024-05-10 13:47+00';
SELECT * FROM health.problems;
SELECT retention.mark_failed(token, 'number unknown', permanent => true) FROM retention.care_message ORDER BY customer_id;
SELECT * FROM health.problems;
SELECT check_name, status, found, to_do FROM retention.health('2024-05-18 12:00+00', ledger => false) WHERE check_name = 'dead letters';
SELECT retention.requeue_dead();
SELECT * FROM health.problems;

-- ---------------------------------------------------------------------------
-- Who may ask
-- ---------------------------------------------------------------------------

SET ROLE retention_reader;
SELECT count(*) > 10 FROM retention.health();
RESET ROLE;
CREATE ROLE retention_test_nobody;
SET ROLE retention_test_nobody;
SELECT count(*) FROM retention.health();
RESET ROLE;
DROP ROLE retention_test_nobody;

\set ECHO none
\i test/include/stop.sql
DROP SCHEMA health CASCADE;
