-- When an order earns points, and how many.
\set ECHO none
\i test/include/start.sql

CREATE SCHEMA points_accrual;
CREATE TABLE points_accrual.orders (
	id integer PRIMARY KEY,
	customer text,
	total numeric,
	paid_at timestamptz,
	completed_at timestamptz
);
CREATE VIEW points_accrual.recorded AS
SELECT order_id, value, accrual_due_at AS due_at, accrued_at, accrued_points AS points
FROM retention.purchase
ORDER BY source_id, order_id;

-- ---------------------------------------------------------------------------
-- At completion, the default
-- ---------------------------------------------------------------------------

SELECT retention.attach_orders('points_accrual.orders', 'id', 'customer', 'total', paid_at => 'paid_at', completed_at => 'completed_at');
SET retention.clock = '2024-05-02 12:00+00';
INSERT INTO points_accrual.orders VALUES (1, 'a', 19.99, '2024-05-02 10:00+00');
SELECT * FROM points_accrual.recorded;
UPDATE points_accrual.orders SET completed_at = '2024-05-02 11:00+00';
SELECT * FROM points_accrual.recorded;
SELECT kind, points, effective_at, posted_at, amount, rate, multiplier, order_id FROM retention.points_entry;
SELECT entry_no, accrued, remaining, effective_at, expires_at, order_id FROM retention.points_lot;
SELECT retention.points_balance('a') AS known, retention.points_balance('nobody') AS unknown, retention.points_balance(NULL::text) AS "null";
-- A completion that lies ahead waits for its moment.
INSERT INTO points_accrual.orders VALUES (2, 'a', 30, '2024-05-02 10:00+00', '2024-05-04 00:00+00');
SELECT * FROM points_accrual.recorded WHERE order_id = '2';
CALL retention.run('2024-05-03 23:59:59+00');
SELECT retention.points_balance('a', '2024-06-01');
CALL retention.run('2024-05-04 00:00+00');
SELECT retention.points_balance('a', '2024-06-01');
SELECT * FROM points_accrual.recorded WHERE order_id = '2';
-- Completion taken back leaves the points: they follow the money.
UPDATE points_accrual.orders SET completed_at = NULL WHERE id = 1;
SELECT retention.points_balance('a', '2024-06-01');
-- A later rise in what was paid adds the difference, a fall takes it.
UPDATE points_accrual.orders SET total = 25 WHERE id = 1;
UPDATE points_accrual.orders SET total = 20.5 WHERE id = 1;
SELECT entry_no, kind, points, amount FROM retention.points_entry WHERE order_id = '1' ORDER BY 1;

-- ---------------------------------------------------------------------------
-- At payment
-- ---------------------------------------------------------------------------

UPDATE retention.shop SET accrue_on = 'paid';
INSERT INTO points_accrual.orders VALUES (3, 'b', 10, '2024-05-02 12:00+00'), (4, 'b', 10, NULL);
SELECT * FROM points_accrual.recorded WHERE order_id IN ('3', '4');

-- N days after it.
UPDATE retention.shop SET accrue_after_days = 3;
INSERT INTO points_accrual.orders VALUES (5, 'b', 7, '2024-05-02 12:00+00');
SELECT * FROM points_accrual.recorded WHERE order_id = '5';
CALL retention.run('2024-05-05 11:00+00');
SELECT retention.points_balance('b', '2024-06-01');
CALL retention.run('2024-05-05 12:00+00');
SELECT retention.points_balance('b', '2024-06-01');
-- Run again, and late: nothing more.
SELECT pg_temp.recorded() AS before \gset
CALL retention.run('2024-05-05 12:00+00');
CALL retention.run('2024-06-05 12:00+00');
SELECT pg_temp.recorded() = :'before' AS unchanged;
-- Refunded, deleted or changed while it waits: what is left when it falls due.
INSERT INTO points_accrual.orders VALUES
	(6, 'c', 7, '2024-05-02 12:00+00'), (7, 'c', 9, '2024-05-02 12:00+00'), (8, 'c', 11, '2024-05-02 12:00+00');
UPDATE points_accrual.orders SET paid_at = NULL WHERE id = 6;
DELETE FROM points_accrual.orders WHERE id = 7;
UPDATE points_accrual.orders SET total = 5 WHERE id = 8;
SELECT * FROM points_accrual.recorded WHERE order_id IN ('6', '7', '8');
CALL retention.run('2024-05-10 12:00+00');
SELECT retention.points_balance('c', '2024-06-01');
-- The days are the shop's: a day with the clocks put forward has 23 hours.
UPDATE retention.shop SET time_zone = 'Europe/Berlin', accrue_after_days = 1;
CREATE TABLE points_accrual.berlin (id integer PRIMARY KEY, customer text, total numeric, paid_at timestamp);
SET retention.clock = '2024-03-01 12:00+00';
SELECT retention.attach_orders('points_accrual.berlin', 'id', 'customer', 'total', paid_at => 'paid_at');
SET retention.clock = '2024-03-30 20:00+00';
INSERT INTO points_accrual.berlin VALUES (1, 'd', 1, '2024-03-30 12:00');
SELECT paid_at, accrual_due_at FROM retention.purchase WHERE customer_id = 'd';

-- The moment given to run() means the same whatever the session's settings.
SET timezone = 'Asia/Shanghai';
SET datestyle = 'SQL, DMY';
CALL retention.run('2024-03-31 17:59:59+08');
SELECT accrued_points FROM retention.purchase WHERE customer_id = 'd';
CALL retention.run('2024-03-31 18:00+08');
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SELECT paid_at, accrual_due_at, accrued_points FROM retention.purchase WHERE customer_id = 'd';
SHOW retention.clock;

-- ---------------------------------------------------------------------------
-- No completed state: 7 days after payment
-- ---------------------------------------------------------------------------

UPDATE retention.shop SET time_zone = 'UTC', accrue_on = 'completed', accrue_after_days = 0;
CREATE TABLE points_accrual.simple (id integer PRIMARY KEY, customer text, total numeric, paid_at timestamptz);
SELECT retention.attach_orders('points_accrual.simple', 'id', 'customer', 'total', paid_at => 'paid_at');
SET retention.clock = '2024-05-02 12:00+00';
INSERT INTO points_accrual.simple VALUES (1, 'e', 12, '2024-05-02 12:00+00');
SELECT * FROM points_accrual.recorded WHERE due_at IS NOT NULL;
CALL retention.run('2024-05-09 12:00+00');
SELECT retention.points_balance('e', '2024-06-01');

-- ---------------------------------------------------------------------------
-- How many: floor((paid - refunded) * rate * multiplier)
-- ---------------------------------------------------------------------------

-- The rate applies to what accrues from now on, and never to what has.
UPDATE retention.shop SET points_rate = 2.5;
INSERT INTO points_accrual.orders VALUES (10, 'f', 9.99, '2024-05-02 12:00+00', '2024-05-02 12:00+00');
UPDATE retention.shop SET points_rate = 0;
INSERT INTO points_accrual.orders VALUES (11, 'f', 9.99, '2024-05-02 12:00+00', '2024-05-02 12:00+00');
UPDATE retention.shop SET points_rate = 1;
UPDATE points_accrual.orders SET total = total + 1;
SELECT order_id, accrual_rate, accrued_points FROM retention.purchase WHERE customer_id = 'f' ORDER BY 1;
-- A free order is a purchase without points.
INSERT INTO points_accrual.orders VALUES (12, 'free', 0, '2024-05-02 12:00+00', '2024-05-02 12:00+00');
SELECT purchases, spent, points_posted, last_entry_no FROM retention.customer_stats WHERE customer_id = 'free';
-- Less than a point is none.
INSERT INTO points_accrual.orders VALUES (13, 'free', 0.99, '2024-05-02 12:00+00', '2024-05-02 12:00+00');
SELECT purchases, spent, points_posted, last_entry_no FROM retention.customer_stats WHERE customer_id = 'free';

-- The tier's multiplier as of then: by the purchases paid before, this one not.
SELECT retention.tier_of(spent => 0, purchases => 0) AS first, retention.tier_of(spent => 6000, purchases => 1) AS later;
INSERT INTO points_accrual.orders VALUES (20, 'g', 6000, '2024-05-02 08:00+00', '2024-05-02 12:00+00');
INSERT INTO points_accrual.orders VALUES (21, 'g', 100, '2024-05-02 09:00+00', '2024-05-02 12:00+00');
-- A purchase dated back to before the first had no tier yet.
INSERT INTO points_accrual.orders VALUES (22, 'g', 100, '2024-05-02 07:00+00', '2024-05-02 12:00+00');
-- The first refunded later: the second keeps its multiplier.
UPDATE points_accrual.orders SET total = 1 WHERE id = 20;
SELECT order_id, value, accrual_multiplier, accrued_points FROM retention.purchase WHERE customer_id = 'g' ORDER BY 1;
-- In one statement: the order of payment counts, not that of the rows.
INSERT INTO points_accrual.orders VALUES
	(31, 'h', 100, '2024-05-02 09:00+00', '2024-05-02 12:00+00'),
	(30, 'h', 6000, '2024-05-02 08:00+00', '2024-05-02 12:00+00');
SELECT order_id, value, accrual_multiplier, accrued_points FROM retention.purchase WHERE customer_id = 'h' ORDER BY 1;
-- Within the shop's window.
UPDATE retention.shop SET tier_window = '1 day';
INSERT INTO points_accrual.orders VALUES (32, 'h', 100, '2024-05-04 09:00+00', '2024-05-02 12:00+00');
SELECT order_id, value, accrual_multiplier, accrued_points FROM retention.purchase WHERE order_id = '32';

-- ---------------------------------------------------------------------------
-- Orders from before
-- ---------------------------------------------------------------------------

-- No points for what fell due before the source was attached, until asked.
INSERT INTO points_accrual.orders VALUES (40, 'old', 10, '2024-04-20 12:00+00', '2024-04-29 12:00+00'), (41, 'old', 10, '2024-04-20 12:00+00', '2024-05-01 12:00+00');
SELECT * FROM points_accrual.recorded WHERE order_id IN ('40', '41');

CALL retention.run('infinity');
SELECT * FROM wrong;

\set ECHO none
\i test/include/stop.sql
DROP SCHEMA points_accrual CASCADE;
