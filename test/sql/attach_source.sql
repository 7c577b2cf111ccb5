-- attach_source() and watch(): a shop of several tables.
\set ECHO none
\i test/include/start.sql

-- Payments belong to orders by a link table, refunds to payments; lines make
-- the total; the customer stands in an account.
CREATE SCHEMA shop;
CREATE TABLE shop.accounts (id integer PRIMARY KEY, email text);
CREATE TABLE shop.orders (id uuid PRIMARY KEY, account_id integer, state text NOT NULL DEFAULT 'cart', placed_at timestamptz, "returnOf" uuid);
CREATE TABLE shop.lines (id serial PRIMARY KEY, order_id uuid, quantity integer, price numeric);
CREATE TABLE shop.payments (id serial PRIMARY KEY, amount numeric, at timestamptz);
CREATE TABLE shop.order_payments (payment_id integer, order_id uuid);
CREATE TABLE shop.refunds (id serial PRIMARY KEY, payment_id integer, amount numeric);
CREATE TABLE shop.invoices (number serial PRIMARY KEY, order_id char(40));
CREATE TABLE shop.shipments (id serial PRIMARY KEY, order_ids uuid[], shipped_at timestamptz);

SELECT retention.attach_source('web shop', facts => $$
	SELECT
		o.id AS order_id,
		a.email AS customer,
		coalesce(l.total, 0) AS total,
		p.paid,
		p.refunded,
		o.state <> 'cart' AS placed,
		o.placed_at,
		s.shipped_at,
		o.state = 'complete' AS completed,
		jsonb_build_object('lines', l.lines) AS attributes
	FROM shop.orders o
	LEFT JOIN shop.accounts a ON a.id = o.account_id
	LEFT JOIN LATERAL (
		SELECT sum(l.quantity * l.price) AS total, count(*) AS lines
		FROM shop.lines l
		WHERE l.order_id = o.id
	) AS l ON true
	LEFT JOIN LATERAL (
		SELECT sum(p.amount) AS paid, sum(r.amount) AS refunded
		FROM shop.order_payments op
		JOIN shop.payments p ON p.id = op.payment_id
		LEFT JOIN (
			SELECT r.payment_id, sum(r.amount) AS amount
			FROM shop.refunds r
			GROUP BY r.payment_id
		) AS r ON r.payment_id = p.id
		WHERE op.order_id = o.id
	) AS p ON true
	LEFT JOIN LATERAL (
		SELECT min(s.shipped_at) AS shipped_at
		FROM shop.shipments s
		WHERE o.id = ANY (s.order_ids)
	) AS s ON true
$$);
-- A column, an expression, subqueries that lead there, an array.
SELECT retention.watch('web shop', 'shop.orders', order_id => 'id');
SELECT retention.watch('web shop', 'shop.lines', order_id => 'order_id');
SELECT retention.watch('web shop', 'shop.order_payments', order_id => 'order_id');
SELECT retention.watch('web shop', 'shop.payments', order_id => 'SELECT op.order_id FROM shop.order_payments op WHERE op.payment_id = payments.id');
SELECT retention.watch('web shop', 'shop.refunds', order_id => '
	SELECT op.order_id
	FROM shop.payments p
	JOIN shop.order_payments op ON op.payment_id = p.id
	WHERE p.id = refunds.payment_id -- of the payment');
SELECT retention.watch('web shop', 'shop.shipments', order_id => 'order_ids');
SELECT retention.watch('web shop', 'shop.invoices', order_id => 'order_id');
SELECT retention.watch('web shop', 'shop.accounts', order_id => 'SELECT o.id FROM shop.orders o WHERE o.account_id = accounts.id');
SET retention.clock = '2024-05-01 12:00+00';

CREATE VIEW shop.recorded AS
SELECT right(order_id, 1) AS "order", customer_id, total, paid, refunded, value, accrued_points AS points,
	paid_at IS NOT NULL AS is_paid, shipped_at IS NOT NULL AS is_shipped, completed_at IS NOT NULL AS is_done
FROM retention.purchase
ORDER BY 1;

-- ---------------------------------------------------------------------------
-- An order's life over many statements and tables
-- ---------------------------------------------------------------------------

INSERT INTO shop.accounts VALUES (1, 'mei@example.org'), (2, 'li@example.org');
INSERT INTO shop.orders VALUES ('00000000-0000-0000-0000-000000000001', 1);
INSERT INTO shop.lines (order_id, quantity, price) VALUES
	('00000000-0000-0000-0000-000000000001', 2, 30),
	('00000000-0000-0000-0000-000000000001', 1, 40);
-- A cart so far.
SELECT * FROM shop.recorded;
UPDATE shop.orders SET state = 'placed', placed_at = '2024-05-01 11:00+00';
SELECT * FROM shop.recorded;
-- The payment comes before it knows its order.
BEGIN;
INSERT INTO shop.payments (amount, at) VALUES (60, '2024-05-01 11:30+00');
INSERT INTO shop.order_payments VALUES (1, '00000000-0000-0000-0000-000000000001');
COMMIT;
SELECT * FROM shop.recorded;
-- In two transactions.
INSERT INTO shop.payments (amount, at) VALUES (40, '2024-05-01 11:40+00');
SELECT * FROM shop.recorded;
INSERT INTO shop.order_payments VALUES (2, '00000000-0000-0000-0000-000000000001');
SELECT * FROM shop.recorded;
INSERT INTO shop.shipments (order_ids, shipped_at) VALUES ('{00000000-0000-0000-0000-000000000001,00000000-0000-0000-0000-000000000009,NULL}', '2024-05-01 11:50+00');
UPDATE shop.orders SET state = 'complete';
SELECT * FROM shop.recorded;
-- A refund leads to its payment, and that to the order.
INSERT INTO shop.refunds (payment_id, amount) VALUES (1, 10), (2, 5.5);
SELECT * FROM shop.recorded;
UPDATE shop.refunds SET amount = 20 WHERE payment_id = 1;
DELETE FROM shop.refunds WHERE payment_id = 2;
SELECT * FROM shop.recorded;
-- Lines changed after payment change the total, not what was paid.
UPDATE shop.lines SET price = 0;
SELECT * FROM shop.recorded;
SELECT attributes FROM retention.purchase;

-- ---------------------------------------------------------------------------
-- Rows that go away, or to another order
-- ---------------------------------------------------------------------------

INSERT INTO shop.orders VALUES ('00000000-0000-0000-0000-000000000002', 2, 'complete', '2024-05-01 11:00+00');
INSERT INTO shop.lines (order_id, quantity, price) VALUES ('00000000-0000-0000-0000-000000000002', 1, 40);
SELECT * FROM shop.recorded;
-- A payment linked to another order: both are synced.
UPDATE shop.order_payments SET order_id = '00000000-0000-0000-0000-000000000002' WHERE payment_id = 2;
SELECT * FROM shop.recorded;
-- A link row deleted.
DELETE FROM shop.order_payments WHERE payment_id = 2;
SELECT * FROM shop.recorded;
-- The way from a refund to its order vanishes in the statement that deletes it.
BEGIN;
DELETE FROM shop.refunds;
DELETE FROM shop.order_payments;
DELETE FROM shop.payments;
COMMIT;
SELECT * FROM shop.recorded;
BEGIN;
INSERT INTO shop.payments VALUES (10, 100, '2024-05-01 12:00+00');
INSERT INTO shop.order_payments VALUES (10, '00000000-0000-0000-0000-000000000001');
INSERT INTO shop.refunds VALUES (10, 10, 1);
COMMIT;
BEGIN;
DELETE FROM shop.order_payments;
DELETE FROM shop.refunds;
ROLLBACK;
SELECT * FROM shop.recorded;
-- An account's new address is another customer: all its orders move.
UPDATE shop.accounts SET email = 'mei@example.com' WHERE id = 1;
SELECT * FROM shop.recorded;
-- An array that loses an order.
UPDATE shop.shipments SET order_ids = '{00000000-0000-0000-0000-000000000002}';
SELECT * FROM shop.recorded;
-- TRUNCATE of a child table.
TRUNCATE shop.refunds;
SELECT name FROM retention.source WHERE truncated_at IS NOT NULL;
SELECT retention.resync('web shop');
SELECT * FROM shop.recorded;

-- ---------------------------------------------------------------------------
-- Rows by the thousand, savepoints
-- ---------------------------------------------------------------------------

BEGIN;
SAVEPOINT a;
INSERT INTO shop.refunds (payment_id, amount) SELECT 10, 0.01 FROM generate_series(1, 2500);
SAVEPOINT b;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT refunded, value FROM shop.recorded WHERE "order" = '1';
INSERT INTO shop.refunds (payment_id, amount) VALUES (10, 5);
SELECT refunded, value FROM shop.recorded WHERE "order" = '1';
ROLLBACK TO b;
SELECT refunded, value FROM shop.recorded WHERE "order" = '1';
COMMIT;
SELECT refunded, value FROM shop.recorded WHERE "order" = '1';
-- A row updated twice in one transaction, its first version on the way out.
BEGIN;
UPDATE shop.payments SET amount = 200;
UPDATE shop.payments SET amount = 300;
SAVEPOINT a;
UPDATE shop.payments SET amount = 400;
ROLLBACK TO a;
COMMIT;
SELECT paid, refunded, value FROM shop.recorded WHERE "order" = '1';

-- ---------------------------------------------------------------------------
-- A watch that breaks never stops the shop
-- ---------------------------------------------------------------------------

ALTER TABLE shop.payments RENAME COLUMN id TO number;
INSERT INTO shop.refunds (payment_id, amount) VALUES (10, 1);
SELECT order_id, sqlstate, message FROM retention.sync_error ORDER BY 1;
ALTER TABLE shop.payments RENAME COLUMN number TO id;
SELECT retention.resync('web shop');
SELECT refunded, value FROM shop.recorded WHERE "order" = '1';
SELECT count(*) FROM retention.sync_error;

-- ---------------------------------------------------------------------------
-- Watched tables with partitions, expressions, domains
-- ---------------------------------------------------------------------------

CREATE TABLE shop.notes (region text, order_no text, text text) PARTITION BY LIST (region);
CREATE TABLE shop.notes_north (text text, order_no text, region text);
ALTER TABLE shop.notes ATTACH PARTITION shop.notes_north FOR VALUES IN ('north');
SELECT retention.watch('web shop', 'shop.notes', order_id => $$replace(lower(order_no), 'order-', '')$$);
ALTER TABLE shop.orders DISABLE TRIGGER ALL;
UPDATE shop.orders SET state = 'placed' WHERE id = '00000000-0000-0000-0000-000000000002';
ALTER TABLE shop.orders ENABLE TRIGGER ALL;
SELECT "order", is_done FROM shop.recorded WHERE "order" = '2';
INSERT INTO shop.notes VALUES ('north', 'ORDER-00000000-0000-0000-0000-000000000002', 'check');
SELECT "order", is_done FROM shop.recorded WHERE "order" = '2';
-- A column of another type than the order's id.
ALTER TABLE shop.orders DISABLE TRIGGER ALL;
UPDATE shop.orders SET state = 'complete' WHERE id = '00000000-0000-0000-0000-000000000002';
ALTER TABLE shop.orders ENABLE TRIGGER ALL;
INSERT INTO shop.invoices (order_id) VALUES ('00000000-0000-0000-0000-000000000002');
SELECT "order", is_done FROM shop.recorded WHERE "order" = '2';
-- A way to what is no order, or no id at all.
INSERT INTO shop.notes VALUES ('north', 'ORDER-00000000-0000-0000-0000-00000000000f', 'no such order');
SELECT count(*) FROM retention.sync_error;
INSERT INTO shop.notes VALUES ('north', 'hello', 'no id');
SELECT order_id, sqlstate, message FROM retention.sync_error;
DELETE FROM retention.sync_error;

-- ---------------------------------------------------------------------------
-- Everything backfilled and synced again changes nothing
-- ---------------------------------------------------------------------------

SELECT pg_temp.recorded() AS before \gset
SELECT retention.resync('web shop', everything => true);
SET client_min_messages = warning;
CALL retention.backfill('web shop');
RESET client_min_messages;
SELECT pg_temp.recorded() = :'before' AS unchanged;
SELECT * FROM wrong;

-- Detached: all triggers gone.
SELECT retention.detach('web shop');
SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'retention%';
UPDATE shop.orders SET state = 'placed';
SELECT count(*) FILTER (WHERE is_done) AS done FROM shop.recorded;

\set ECHO none
\i test/include/stop.sql
DROP SCHEMA shop CASCADE;
