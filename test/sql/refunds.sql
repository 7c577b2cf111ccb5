-- Refunds: as money on the order, by closing it, and as negative orders of
-- their own, linked or not.  Points follow what is left of the money.
\set ECHO none
\i test/include/start.sql

CREATE SCHEMA refunds;
CREATE TABLE refunds.orders (
	id text PRIMARY KEY,
	customer text,
	total numeric,
	paid_at timestamptz DEFAULT '2024-05-01 12:00+00',
	refunded numeric DEFAULT 0,
	refund_of text
);
SELECT retention.attach_orders('refunds.orders', 'id', 'customer', 'total', paid_at => 'paid_at', completed_at => 'paid_at',
	refunded => 'refunded', refund_of => 'refund_of', on_delete => 'reverse');
SET retention.clock = '2024-05-20 12:00+00';
CREATE VIEW refunds.recorded AS
SELECT customer_id, order_id, is_refund, paid, refunded, refunded_by_orders AS by_orders, value, accrued_points AS points
FROM retention.purchase;
CREATE VIEW refunds.customers AS
SELECT customer_id, purchases, spent, points_posted, unlinked_refunds AS unlinked
FROM retention.customer_stats;

-- ---------------------------------------------------------------------------
-- Partial refunds
-- ---------------------------------------------------------------------------

-- Thirds, one after the other: the points end at exactly zero.
INSERT INTO refunds.orders VALUES ('A', 'thirds', 100);
UPDATE refunds.orders SET refunded = 33.33 WHERE id = 'A';
UPDATE refunds.orders SET refunded = 66.66 WHERE id = 'A';
SELECT * FROM refunds.recorded;
UPDATE refunds.orders SET refunded = 99.99 WHERE id = 'A';
UPDATE refunds.orders SET refunded = 100 WHERE id = 'A';
SELECT entry_no, kind, points, amount, rate, multiplier FROM retention.points_entry ORDER BY 1;
SELECT entry_no, accrued, remaining FROM retention.points_lot;
SELECT * FROM refunds.customers;
-- A refund taken back.
UPDATE refunds.orders SET refunded = 40 WHERE id = 'A';
SELECT * FROM refunds.customers;

-- Cent by cent, synced many times.
INSERT INTO refunds.orders VALUES ('B', 'cents', 12.34);
DO $$
BEGIN
	FOR i IN 1..1234 LOOP
		UPDATE refunds.orders SET refunded = i / 100.0 WHERE id = 'B';
		IF i % 100 = 0 OR i > 1230 THEN
			SET CONSTRAINTS ALL IMMEDIATE;
			SET CONSTRAINTS ALL DEFERRED;
		END IF;
	END LOOP;
END
$$;
SELECT * FROM refunds.customers WHERE customer_id = 'cents';
SELECT count(*), sum(points) FROM retention.points_entry WHERE customer_id = 'cents';

-- The rate of the accrual is the rate of its refund, whatever it is by then.
INSERT INTO refunds.orders VALUES ('C', 'rate', 100);
UPDATE retention.shop SET points_rate = 5;
UPDATE refunds.orders SET refunded = 50 WHERE id = 'C';
INSERT INTO refunds.orders VALUES ('D', 'rate', 100);
UPDATE refunds.orders SET refunded = 100 WHERE id = 'C';
SELECT order_id, kind, points, rate FROM retention.points_entry WHERE customer_id = 'rate' ORDER BY entry_no;
UPDATE retention.shop SET points_rate = 1;

-- ---------------------------------------------------------------------------
-- Where a shop records no refunds, closing a paid order is one
-- ---------------------------------------------------------------------------

CREATE TABLE refunds.closing (id integer PRIMARY KEY, customer text, total numeric, paid_at timestamptz, closed_at timestamptz);
SELECT retention.attach_orders('refunds.closing', 'id', 'customer', 'total', paid_at => 'paid_at', completed_at => 'paid_at', closed_at => 'closed_at');
INSERT INTO refunds.closing VALUES (1, 'closing', 50, '2024-05-01 12:00+00'), (2, 'closing', 70, '2024-05-01 12:00+00');
UPDATE refunds.closing SET closed_at = '2024-05-02 12:00+00' WHERE id = 1;
SELECT * FROM refunds.recorded WHERE customer_id = 'closing' ORDER BY order_id;
-- The total zeroed before the cancel, in a statement or a transaction of its own.
UPDATE refunds.closing SET total = 0 WHERE id = 2;
UPDATE refunds.closing SET closed_at = '2024-05-02 12:00+00' WHERE id = 2;
SELECT * FROM refunds.recorded WHERE customer_id = 'closing' ORDER BY order_id;
SELECT * FROM refunds.customers WHERE customer_id = 'closing';
-- A free order closed is no purchase either.
INSERT INTO refunds.closing VALUES (3, 'closing', 0, '2024-05-01 12:00+00');
SELECT * FROM refunds.customers WHERE customer_id = 'closing';
UPDATE refunds.closing SET closed_at = '2024-05-02 12:00+00' WHERE id = 3;
SELECT * FROM refunds.customers WHERE customer_id = 'closing';
-- Opened again.
UPDATE refunds.closing SET total = 70, closed_at = NULL WHERE id = 2;
SELECT * FROM refunds.customers WHERE customer_id = 'closing';

-- ---------------------------------------------------------------------------
-- Negative orders that name the order they refund
-- ---------------------------------------------------------------------------

INSERT INTO refunds.orders VALUES ('E', 'linked', 100, '2024-05-01 12:00+00');
INSERT INTO refunds.orders VALUES ('E-1', 'linked', -30, '2024-05-02 12:00+00', 0, 'E');
SELECT * FROM refunds.recorded WHERE customer_id = 'linked' ORDER BY order_id;
SELECT * FROM refunds.customers WHERE customer_id = 'linked';
-- A second one, changed, deleted again.
INSERT INTO refunds.orders VALUES ('E-2', 'linked', -20, '2024-05-02 12:00+00', 0, 'E');
UPDATE refunds.orders SET total = -25 WHERE id = 'E-2';
SELECT * FROM refunds.recorded WHERE order_id = 'E';
DELETE FROM refunds.orders WHERE id = 'E-2';
SELECT * FROM refunds.recorded WHERE customer_id = 'linked' ORDER BY order_id;
-- A refund that is not paid out yet gives nothing back.
INSERT INTO refunds.orders VALUES ('E-3', 'linked', -70, NULL, 0, 'E');
SELECT * FROM refunds.recorded WHERE order_id = 'E';
UPDATE refunds.orders SET paid_at = '2024-05-03 12:00+00' WHERE id = 'E-3';
SELECT * FROM refunds.recorded WHERE order_id = 'E';
SELECT * FROM refunds.customers WHERE customer_id = 'linked';
-- More than there was.
INSERT INTO refunds.orders VALUES ('E-4', 'linked', -5, '2024-05-03 12:00+00', 0, 'E');
SELECT * FROM refunds.recorded WHERE order_id = 'E';

-- The refund recorded before its order, in one transaction and in two.
BEGIN;
INSERT INTO refunds.orders VALUES ('F-1', 'before', -40, '2024-05-02 12:00+00', 0, 'F');
INSERT INTO refunds.orders VALUES ('F', 'before', 100, '2024-05-01 12:00+00');
COMMIT;
INSERT INTO refunds.orders VALUES ('G-1', 'before', -40, '2024-05-02 12:00+00', 0, 'G');
INSERT INTO refunds.orders VALUES ('G', 'before', 100, '2024-05-01 12:00+00');
SELECT * FROM refunds.recorded WHERE customer_id = 'before' ORDER BY order_id;
-- Pointed at another order: both are put right.
UPDATE refunds.orders SET refund_of = 'G' WHERE id = 'F-1';
SELECT * FROM refunds.recorded WHERE customer_id = 'before' ORDER BY order_id;
-- Away and there again.
BEGIN;
DELETE FROM refunds.orders WHERE id = 'G';
SET CONSTRAINTS ALL IMMEDIATE;
SELECT * FROM refunds.customers WHERE customer_id = 'before';
SET CONSTRAINTS ALL DEFERRED;
INSERT INTO refunds.orders VALUES ('G', 'before', 200, '2024-05-01 12:00+00');
COMMIT;
SELECT * FROM refunds.recorded WHERE customer_id = 'before' ORDER BY order_id;
-- By another customer: a gift sent back.
INSERT INTO refunds.orders VALUES
	('H', 'giver', 100, '2024-05-01 12:00+00', 0, NULL),
	('H-1', 'receiver', -100, '2024-05-02 12:00+00', 0, 'H');
SELECT * FROM refunds.customers WHERE customer_id IN ('giver', 'receiver') ORDER BY 1;
-- The refunded order deleted; the refund deleted.
DELETE FROM refunds.orders WHERE id = 'F';
DELETE FROM refunds.orders WHERE id = 'H-1';
SELECT * FROM refunds.customers WHERE customer_id IN ('giver', 'receiver') ORDER BY 1;

-- ---------------------------------------------------------------------------
-- Negative orders that name none: newest first, what exceeds is kept
-- ---------------------------------------------------------------------------

INSERT INTO refunds.orders VALUES
	('K1', 'unlinked', 10, '2024-05-01 12:00+00'),
	('K2', 'unlinked', 20, '2024-05-02 12:00+00'),
	('K3', 'unlinked', 40, '2024-05-03 12:00+00'),
	('K5', 'unlinked', 80, '2024-05-05 12:00+00');
INSERT INTO refunds.orders VALUES ('K4', 'unlinked', -45, '2024-05-04 12:00+00');
-- Of what was bought before it: 40 of K3, 5 of K2; K5 came later.
SELECT * FROM refunds.recorded WHERE customer_id = 'unlinked' ORDER BY order_id;
SELECT * FROM refunds.customers WHERE customer_id = 'unlinked';
-- More than all of them: 30 remain, to be applied when such a purchase turns up.
UPDATE refunds.orders SET total = -100 WHERE id = 'K4';
SELECT * FROM refunds.recorded WHERE customer_id = 'unlinked' ORDER BY order_id;
INSERT INTO refunds.orders VALUES ('K0', 'unlinked', 50, '2024-04-30 12:00+00');
SELECT * FROM refunds.recorded WHERE customer_id = 'unlinked' ORDER BY order_id;
-- Linked later: the others get theirs back.
UPDATE refunds.orders SET refund_of = 'K5' WHERE id = 'K4';
SELECT * FROM refunds.recorded WHERE customer_id = 'unlinked' ORDER BY order_id;
SELECT * FROM refunds.customers WHERE customer_id = 'unlinked';
-- And unlinked again, deleted at last.
UPDATE refunds.orders SET refund_of = NULL WHERE id = 'K4';
SELECT * FROM refunds.customers WHERE customer_id = 'unlinked';
DELETE FROM refunds.orders WHERE id = 'K4';
SELECT * FROM refunds.recorded WHERE customer_id = 'unlinked' ORDER BY order_id;
SELECT * FROM refunds.customers WHERE customer_id = 'unlinked';

-- All in one transaction, the refund first; then again by resync: no change.
BEGIN;
INSERT INTO refunds.orders VALUES ('L2', 'together', -15, '2024-05-02 12:00+00');
INSERT INTO refunds.orders VALUES ('L1', 'together', 20, '2024-05-01 12:00+00'), ('L3', 'together', 7, '2024-05-03 12:00+00');
COMMIT;
SELECT * FROM refunds.recorded WHERE customer_id = 'together' ORDER BY order_id;
-- Moved to another customer, the refund alone.
UPDATE refunds.orders SET customer = 'other' WHERE id = 'L2';
SELECT * FROM refunds.customers WHERE customer_id IN ('together', 'other') ORDER BY 1;
UPDATE refunds.orders SET customer = 'together' WHERE id = 'L2';
SELECT * FROM refunds.customers WHERE customer_id IN ('together', 'other') ORDER BY 1;

SELECT pg_temp.recorded() AS before \gset
SELECT retention.resync('refunds.orders', everything => true) > 0 AS synced;
SELECT pg_temp.recorded() = :'before' AS unchanged;

-- ---------------------------------------------------------------------------
-- Points already spent
-- ---------------------------------------------------------------------------

-- debt: the balance goes below zero, the next accruals repay it.
INSERT INTO refunds.orders VALUES ('M', 'debt', 100);
UPDATE retention.points_lot SET remaining = 0, is_open = false WHERE customer_id = 'debt';
ALTER TABLE retention.points_entry DISABLE TRIGGER append_only;
INSERT INTO retention.points_entry (shop_id, customer_id, entry_no, kind, points, effective_at, posted_at)
VALUES (1, 'debt', 2, 'redemption', -100, '2024-05-20', '2024-05-20');
ALTER TABLE retention.points_entry ENABLE TRIGGER append_only;
UPDATE retention.customer_stats SET points_posted = 0, last_entry_no = 2 WHERE customer_id = 'debt';
UPDATE refunds.orders SET refunded = 60 WHERE id = 'M';
SELECT retention.points_balance('debt');
SELECT points_posted, points_debt FROM retention.customer_stats WHERE customer_id = 'debt';
INSERT INTO refunds.orders VALUES ('N', 'debt', 45);
SELECT points_posted, points_debt FROM retention.customer_stats WHERE customer_id = 'debt';
INSERT INTO refunds.orders VALUES ('O', 'debt', 45);
SELECT entry_no, kind, points, debt, allocations FROM retention.points_entry WHERE customer_id = 'debt' ORDER BY 1;
SELECT entry_no, accrued, remaining FROM retention.points_lot WHERE customer_id = 'debt' ORDER BY 1;
SELECT points_posted, points_debt FROM retention.customer_stats WHERE customer_id = 'debt';
-- forgive: the shortfall is written off by an entry of its own.
UPDATE retention.shop SET debt_policy = 'forgive';
UPDATE retention.points_lot SET remaining = 0, is_open = false WHERE customer_id = 'debt';
INSERT INTO retention.points_entry (shop_id, customer_id, entry_no, kind, points, effective_at, posted_at)
VALUES (1, 'debt', 6, 'redemption', -30, '2024-05-20', '2024-05-20');
UPDATE retention.customer_stats SET points_posted = 0, last_entry_no = 6 WHERE customer_id = 'debt';
UPDATE refunds.orders SET refunded = 45 WHERE id = 'O';
SELECT entry_no, kind, points, debt, reason FROM retention.points_entry WHERE customer_id = 'debt' AND entry_no > 6 ORDER BY 1;
SELECT retention.points_balance('debt');

-- The ledger only grows.
UPDATE retention.points_entry SET points = 0;
DELETE FROM retention.points_entry;
TRUNCATE retention.points_entry;

SELECT * FROM wrong;

\set ECHO none
\i test/include/stop.sql
DROP SCHEMA refunds CASCADE;
