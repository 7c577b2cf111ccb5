-- What a shop's own migrations do to watched tables, and what becomes of the sync
\set ECHO none
\i test/include/start.sql
\set ECHO all

CREATE SCHEMA shop;
CREATE TABLE shop.orders (id integer PRIMARY KEY, customer text, total numeric, placed_at timestamptz DEFAULT '2024-05-01');
CREATE TABLE shop.payments (id integer PRIMARY KEY, order_id integer, amount numeric, paid_at timestamptz DEFAULT '2024-05-01');
CREATE INDEX ON shop.payments (order_id);
CREATE TABLE shop.notes (order_id integer, note text);
INSERT INTO retention.shop (shop_id, name, accrue_on) VALUES (1, 'Tea House', 'paid');
SELECT retention.attach_source('shop', $$
	SELECT o.id AS order_id, o.customer, o.total, o.placed_at, p.amount AS paid, p.paid_at
	FROM shop.orders o LEFT JOIN shop.payments p ON p.order_id = o.id
$$);
SELECT retention.watch('shop', 'shop.orders', 'id');
SELECT retention.watch('shop', 'shop.payments', 'order_id');
SELECT retention.watch('shop', 'shop.notes', 'order_id');
SELECT retention.enable_rule('unpaid_reminder');
INSERT INTO shop.orders (id, customer, total) VALUES (9, 'eve', 90);
CREATE VIEW shop.recorded AS
SELECT order_id, customer_id, total, paid, value FROM retention.purchase ORDER BY order_id::integer;

-- Indexes built beside running traffic, constraints, statistics, clustering.
INSERT INTO shop.orders (id, customer, total) VALUES (1, 'ann', 10);
INSERT INTO shop.payments (id, order_id, amount) VALUES (1, 1, 10);
CREATE INDEX CONCURRENTLY orders_customer ON shop.orders (customer);
REINDEX INDEX CONCURRENTLY shop.orders_customer;
ALTER TABLE shop.orders ADD CONSTRAINT total_is_positive CHECK (total > 0) NOT VALID;
ALTER TABLE shop.orders VALIDATE CONSTRAINT total_is_positive;
ALTER TABLE shop.payments ADD FOREIGN KEY (order_id) REFERENCES shop.orders DEFERRABLE INITIALLY DEFERRED;
CLUSTER shop.orders USING orders_customer;
VACUUM FULL shop.payments;
DROP INDEX CONCURRENTLY shop.orders_customer;
-- A payment before its order, as the deferred key allows.
BEGIN;
INSERT INTO shop.payments (id, order_id, amount) VALUES (2, 2, 20);
INSERT INTO shop.orders (id, customer, total) VALUES (2, 'ann', 20);
COMMIT;
SELECT * FROM shop.recorded;

-- A table rewritten in between, in the way of online schema changes: a copy
-- takes the place and the name.  The watch goes with the table it was put on.
BEGIN;
CREATE TABLE shop.payments_new (LIKE shop.payments INCLUDING ALL);
INSERT INTO shop.payments_new SELECT * FROM shop.payments;
ALTER TABLE shop.payments RENAME TO payments_old;
ALTER TABLE shop.payments_new RENAME TO payments;
COMMIT;
UPDATE shop.payments SET amount = 25 WHERE id = 2;
SELECT * FROM shop.recorded;
SELECT retention.watch('shop', 'shop.payments', 'order_id');
UPDATE shop.payments SET amount = 26 WHERE id = 2;
SELECT * FROM shop.recorded;
DROP TABLE shop.payments_old;

-- A watched table that is dropped is watched no more, and nothing else stops.
DROP TABLE shop.notes;
INSERT INTO shop.orders (id, customer, total) VALUES (3, 'bob', 30);
INSERT INTO shop.payments (id, order_id, amount) VALUES (3, 3, 30);
SELECT * FROM shop.recorded;

-- A column the facts need, renamed: the shop goes on, the order is remembered,
-- and the mended facts bring it back.
ALTER TABLE shop.payments RENAME COLUMN amount TO value;
UPDATE shop.payments SET value = 35 WHERE id = 3;
SELECT order_id, sqlstate, message FROM retention.sync_error;
SELECT retention.change_facts('shop', 'SELECT id AS order_id FROM shop.orders');
SELECT retention.change_facts('shop', $$
	SELECT o.id AS order_id, o.customer, o.total, o.placed_at, p.value AS paid, p.paid_at
	FROM shop.orders o LEFT JOIN shop.payments p ON p.order_id = o.id
$$);
SELECT retention.resync('shop');
SELECT count(*) AS errors FROM retention.sync_error;
SELECT * FROM shop.recorded;
SELECT order_id, rule, state FROM retention.care_message WHERE state = 'queued';

-- The order's own table dropped: as with every order deleted, what was completed is kept.
DROP TABLE shop.orders CASCADE;
SELECT retention.detach('shop');
SELECT count(*) FROM retention.purchase;
SELECT * FROM wrong;
SELECT count(*) FROM retention.check_ledger();

DROP SCHEMA shop CASCADE;

\set ECHO none
\i test/include/stop.sql
