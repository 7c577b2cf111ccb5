-- The drain: what a transaction changed is synced at its commit, whatever way
-- the rows were written.
\set ECHO none
\i test/include/start.sql

CREATE SCHEMA drain;
CREATE TABLE drain.orders (
	id integer PRIMARY KEY,
	customer text,
	total numeric NOT NULL,
	paid_at timestamptz,
	completed_at timestamptz
);
SELECT retention.attach_orders('drain.orders', 'id', 'customer', 'total', paid_at => 'paid_at', completed_at => 'completed_at');
SET retention.clock = '2024-05-01 12:00+00';

CREATE VIEW drain.customers AS
SELECT customer_id, purchases, spent, unpaid_orders, points_posted
FROM retention.customer_stats
ORDER BY 1;

-- ---------------------------------------------------------------------------
-- Every way to write rows
-- ---------------------------------------------------------------------------

-- INSERT of many rows, UPDATE of many, one statement each.
INSERT INTO drain.orders
SELECT i, 'c' || i % 3, i, '2024-05-01 10:00+00', '2024-05-01 11:00+00'
FROM generate_series(1, 9) AS i;
SELECT * FROM drain.customers;
UPDATE drain.orders SET total = total + 1;
SELECT * FROM drain.customers;

-- ON CONFLICT: doing nothing changes nothing, doing an update does.
SELECT pg_temp.recorded() AS before \gset
INSERT INTO drain.orders VALUES (1, 'c1', 1000) ON CONFLICT DO NOTHING;
SELECT pg_temp.recorded() = :'before' AS unchanged;
INSERT INTO drain.orders VALUES (1, 'c1', 100, '2024-05-01 10:00+00'), (10, 'c1', 7, '2024-05-01 10:00+00')
ON CONFLICT (id) DO UPDATE SET total = EXCLUDED.total;
SELECT * FROM drain.customers WHERE customer_id = 'c1';

-- COPY.
COPY drain.orders FROM stdin;
11	copied	20	2024-05-01 10:00+00	2024-05-01 11:00+00
12	copied	22	2024-05-01 10:00+00	2024-05-01 11:00+00
\.
SELECT * FROM drain.customers WHERE customer_id = 'copied';

-- MERGE.
MERGE INTO drain.orders o
USING (VALUES (11, 30), (13, 5)) AS v (id, total) ON v.id = o.id
WHEN MATCHED THEN UPDATE SET total = v.total
WHEN NOT MATCHED THEN INSERT VALUES (v.id, 'copied', v.total, '2024-05-01 10:00+00', '2024-05-01 11:00+00');
SELECT * FROM drain.customers WHERE customer_id = 'copied';

-- A write hidden in a CTE, and one by a function.
WITH written AS (UPDATE drain.orders SET total = 31 WHERE id = 11 RETURNING id)
SELECT * FROM written;
DO $$
BEGIN
	UPDATE drain.orders SET total = 32 WHERE id = 11;
	DELETE FROM drain.orders WHERE id = 10;
EXCEPTION WHEN others THEN
	NULL;
END
$$;
SELECT * FROM drain.customers WHERE customer_id IN ('copied', 'c1');

-- ---------------------------------------------------------------------------
-- One order, many statements, one sync at commit
-- ---------------------------------------------------------------------------

BEGIN;
INSERT INTO drain.orders VALUES (20, 'steps', 10);
UPDATE drain.orders SET total = 0 WHERE id = 20;
UPDATE drain.orders SET total = 50, paid_at = '2024-05-01 12:00+00' WHERE id = 20;
-- Nothing yet.
SELECT count(*) FROM retention.purchase WHERE order_id = '20';
-- Shown earlier on request.
SET CONSTRAINTS ALL IMMEDIATE;
SELECT total, value FROM retention.purchase WHERE order_id = '20';
-- From now on each statement is synced at its end.
UPDATE drain.orders SET total = 60 WHERE id = 20;
SELECT total, value FROM retention.purchase WHERE order_id = '20';
SET CONSTRAINTS ALL DEFERRED;
UPDATE drain.orders SET completed_at = '2024-05-01 12:00+00' WHERE id = 20;
COMMIT;
SELECT entry_no, kind, points FROM retention.points_entry WHERE customer_id = 'steps';

-- Inserted and deleted again: as if it had never been.
BEGIN;
INSERT INTO drain.orders VALUES (21, 'never', 10, '2024-05-01 10:00+00');
DELETE FROM drain.orders WHERE id = 21;
COMMIT;
SELECT * FROM drain.customers WHERE customer_id = 'never';

-- Rolled back whole.
SELECT pg_temp.recorded() AS before \gset
BEGIN;
INSERT INTO drain.orders VALUES (22, 'never', 10, '2024-05-01 10:00+00');
SET CONSTRAINTS ALL IMMEDIATE;
SELECT * FROM drain.customers WHERE customer_id = 'never';
ROLLBACK;
SELECT pg_temp.recorded() = :'before' AS unchanged;

-- ---------------------------------------------------------------------------
-- Savepoints
-- ---------------------------------------------------------------------------

BEGIN;
INSERT INTO drain.orders VALUES (30, 'kept', 10, '2024-05-01 10:00+00');
SAVEPOINT s;
INSERT INTO drain.orders VALUES (31, 'undone', 10, '2024-05-01 10:00+00');
UPDATE drain.orders SET total = 99 WHERE id = 30;
ROLLBACK TO s;
COMMIT;
SELECT order_id, customer_id, value FROM retention.purchase WHERE order_id IN ('30', '31');

-- A drain undone with its savepoint happens again at commit.
BEGIN;
INSERT INTO drain.orders VALUES (32, 'kept', 11, '2024-05-01 10:00+00');
SAVEPOINT s;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT order_id, value FROM retention.purchase WHERE order_id = '32';
ROLLBACK TO s;
SELECT order_id, value FROM retention.purchase WHERE order_id = '32';
COMMIT;
SELECT order_id, value FROM retention.purchase WHERE order_id = '32';

-- The same, with nested savepoints, one released, and more rows on the way.
BEGIN;
SAVEPOINT a;
INSERT INTO drain.orders VALUES (33, 'kept', 12, '2024-05-01 10:00+00');
SAVEPOINT b;
SET CONSTRAINTS ALL IMMEDIATE;
INSERT INTO drain.orders VALUES (34, 'kept', 13, '2024-05-01 10:00+00');
SAVEPOINT c;
UPDATE drain.orders SET total = 1 WHERE id IN (33, 34);
RELEASE c;
SELECT order_id, value FROM retention.purchase WHERE order_id IN ('33', '34') ORDER BY 1;
ROLLBACK TO b;
RELEASE a;
COMMIT;
SELECT order_id, value FROM retention.purchase WHERE order_id IN ('33', '34') ORDER BY 1;

-- An error caught by the shop's own function.
DO $$
BEGIN
	INSERT INTO drain.orders VALUES (35, 'kept', 14, '2024-05-01 10:00+00');
	BEGIN
		INSERT INTO drain.orders VALUES (36, 'kept', 15, '2024-05-01 10:00+00');
		SET CONSTRAINTS ALL IMMEDIATE;
		RAISE EXCEPTION 'undo';
	EXCEPTION WHEN raise_exception THEN
		NULL;
	END;
END
$$;
SELECT order_id, value FROM retention.purchase WHERE order_id IN ('35', '36') ORDER BY 1;

-- ---------------------------------------------------------------------------
-- Two-phase commit, where the server allows it: synced when prepared
-- ---------------------------------------------------------------------------

SELECT current_setting('max_prepared_transactions')::integer > 0 AS two_phase \gset
BEGIN;
INSERT INTO drain.orders VALUES (37, 'prepared', 16, '2024-05-01 10:00+00');
\if :two_phase
	PREPARE TRANSACTION 'retention drain';
	COMMIT PREPARED 'retention drain';
\else
	COMMIT;
\endif
SELECT order_id, value FROM retention.purchase WHERE order_id = '37';
BEGIN;
UPDATE drain.orders SET total = 17 WHERE id = 37;
\if :two_phase
	PREPARE TRANSACTION 'retention drain';
	ROLLBACK PREPARED 'retention drain';
\else
	ROLLBACK;
\endif
SELECT order_id, value FROM retention.purchase WHERE order_id = '37';

-- ---------------------------------------------------------------------------
-- Orders that move and go
-- ---------------------------------------------------------------------------

-- To another customer: purchases, spent and points go along.
INSERT INTO drain.orders VALUES (40, 'from', 70, '2024-05-01 12:00+00', '2024-05-01 12:00+00'), (41, 'from', 5, NULL, NULL);
SELECT * FROM drain.customers WHERE customer_id IN ('from', 'to');
UPDATE drain.orders SET customer = 'to' WHERE customer = 'from';
SELECT * FROM drain.customers WHERE customer_id IN ('from', 'to');
SELECT customer_id, entry_no, kind, points, reason FROM retention.points_entry WHERE order_id = '40' ORDER BY posted_at, customer_id, entry_no;
-- To nobody.
UPDATE drain.orders SET customer = NULL WHERE id = 40;
SELECT * FROM drain.customers WHERE customer_id IN ('from', 'to');

-- Deleted: a completed order is kept (old orders are archived), any other goes.
INSERT INTO drain.orders VALUES
	(50, 'deleted', 10, '2024-05-01 12:00+00', '2024-05-01 12:00+00'),
	(51, 'deleted', 20, '2024-05-01 12:00+00', NULL),
	(52, 'deleted', 40, NULL, NULL);
SELECT * FROM drain.customers WHERE customer_id = 'deleted';
DELETE FROM drain.orders WHERE customer = 'deleted';
SELECT * FROM drain.customers WHERE customer_id = 'deleted';
SELECT order_id, value FROM retention.purchase WHERE customer_id = 'deleted';
-- It stays so when everything is synced again.
SELECT pg_temp.recorded() AS before \gset
SELECT retention.resync('drain.orders', everything => true) > 0;
SELECT pg_temp.recorded() = :'before' AS unchanged;

-- on_delete => 'reverse' takes it all back.
CREATE TABLE drain.reversing (LIKE drain.orders INCLUDING ALL);
SELECT retention.attach_orders('drain.reversing', 'id', 'customer', 'total', paid_at => 'paid_at', completed_at => 'completed_at', on_delete => 'reverse');
INSERT INTO drain.reversing VALUES
	(1, 'reversed', 10, '2024-05-01 12:00+00', '2024-05-01 12:00+00'),
	(2, 'reversed', 20, '2024-05-01 12:00+00', '2024-05-01 12:00+00');
SELECT * FROM drain.customers WHERE customer_id = 'reversed';
DELETE FROM drain.reversing WHERE id = 1;
SELECT * FROM drain.customers WHERE customer_id = 'reversed';

-- Without a completed state the days after payment stand for it.
CREATE TABLE drain.simple (id integer PRIMARY KEY, customer text, total numeric, paid_at timestamptz);
SELECT retention.attach_orders('drain.simple', 'id', 'customer', 'total', paid_at => 'paid_at');
INSERT INTO drain.simple VALUES (1, 'simple', 10, '2024-04-20 12:00+00'), (2, 'simple', 20, '2024-04-28 12:00+00');
DELETE FROM drain.simple;
SELECT order_id, value FROM retention.purchase WHERE customer_id = 'simple';

-- TRUNCATE marks the source; the next order settles it.
INSERT INTO drain.reversing VALUES (3, 'truncated', 10, '2024-05-01 12:00+00', NULL);
TRUNCATE drain.reversing;
SELECT * FROM drain.customers WHERE customer_id IN ('reversed', 'truncated');
SELECT name FROM retention.source WHERE truncated_at IS NOT NULL;
INSERT INTO drain.reversing VALUES (4, 'next', 1, '2024-05-01 12:00+00', NULL);
SELECT * FROM drain.customers WHERE customer_id IN ('reversed', 'truncated', 'next');
SELECT name FROM retention.source WHERE truncated_at IS NOT NULL;
-- Or resync() does; an order of the same transaction too.
TRUNCATE drain.reversing;
SELECT retention.resync('drain.reversing');
SELECT * FROM drain.customers WHERE customer_id = 'next';
BEGIN;
INSERT INTO drain.reversing VALUES (5, 'next', 5, '2024-05-01 12:00+00', NULL);
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
TRUNCATE drain.reversing;
INSERT INTO drain.reversing VALUES (6, 'next', 6, '2024-05-01 12:00+00', NULL);
COMMIT;
SELECT order_id, value FROM retention.purchase WHERE customer_id = 'next';
-- Rolled back, it never was.
BEGIN;
TRUNCATE drain.reversing;
ROLLBACK;
SELECT name FROM retention.source WHERE truncated_at IS NOT NULL;

-- ---------------------------------------------------------------------------
-- Partitioned orders
-- ---------------------------------------------------------------------------

CREATE TABLE drain.partitioned (id integer, customer text, total numeric, placed date, paid_at timestamptz, PRIMARY KEY (id, placed))
PARTITION BY RANGE (placed);
CREATE TABLE drain.partitioned_1 PARTITION OF drain.partitioned FOR VALUES FROM ('2024-01-01') TO ('2024-04-01');
CREATE TABLE drain.partitioned_2 PARTITION OF drain.partitioned FOR VALUES FROM ('2024-04-01') TO ('2024-07-01');
SELECT retention.attach_orders('drain.partitioned', 'id', 'customer', 'total', paid_at => 'paid_at', completed_at => 'paid_at');
INSERT INTO drain.partitioned VALUES (1, 'part', 1, '2024-03-31', '2024-05-01 12:00+00'), (2, 'part', 2, '2024-04-01', '2024-05-01 12:00+00');
SELECT * FROM drain.customers WHERE customer_id = 'part';
-- Moved to another partition: the same order still.
SELECT pg_temp.recorded() AS before \gset
UPDATE drain.partitioned SET placed = '2024-04-02' WHERE id = 1;
SELECT pg_temp.recorded() = :'before' AS unchanged;
-- Written to the partition itself.
INSERT INTO drain.partitioned_2 VALUES (3, 'part', 4, '2024-05-01', '2024-05-01 12:00+00');
SELECT * FROM drain.customers WHERE customer_id = 'part';
-- A partition that comes with rows brings its triggers, not its past.
CREATE TABLE drain.partitioned_3 (customer text, id integer NOT NULL, placed date NOT NULL, total numeric, paid_at timestamptz);
INSERT INTO drain.partitioned_3 VALUES ('part', 4, '2024-07-01', 8, '2024-05-01 12:00+00');
ALTER TABLE drain.partitioned ATTACH PARTITION drain.partitioned_3 FOR VALUES FROM ('2024-07-01') TO ('2024-10-01');
INSERT INTO drain.partitioned VALUES (5, 'part', 16, '2024-07-02', '2024-05-01 12:00+00');
SELECT * FROM drain.customers WHERE customer_id = 'part';
SET client_min_messages = warning;
CALL retention.backfill('drain.partitioned', points => true);
RESET client_min_messages;
SELECT * FROM drain.customers WHERE customer_id = 'part';
-- A partition detached or dropped: its completed orders are kept.
ALTER TABLE drain.partitioned DETACH PARTITION drain.partitioned_3;
DROP TABLE drain.partitioned_2;
SELECT retention.resync('drain.partitioned', everything => true);
SELECT * FROM drain.customers WHERE customer_id = 'part';
-- The detached partition is no part of the shop any more.
INSERT INTO drain.partitioned_3 VALUES ('part', 6, '2024-07-03', 32, '2024-05-01 12:00+00');
SELECT * FROM drain.customers WHERE customer_id = 'part';
TRUNCATE drain.partitioned;
SELECT name FROM retention.source WHERE truncated_at IS NOT NULL;

-- ---------------------------------------------------------------------------
-- The shop's own DDL keeps working
-- ---------------------------------------------------------------------------

CREATE TABLE drain.changing (id integer PRIMARY KEY, customer varchar(20), total numeric(8,2), paid_at timestamptz, note text);
SELECT retention.attach_orders('drain.changing', 'id', 'customer', 'total', paid_at => 'paid_at', completed_at => 'paid_at');
INSERT INTO drain.changing VALUES (1, 'ddl', 1, '2024-05-01 12:00+00');
ALTER TABLE drain.changing DROP COLUMN note;
INSERT INTO drain.changing VALUES (2, 'ddl', 2, '2024-05-01 12:00+00');
ALTER TABLE drain.changing ALTER COLUMN id TYPE bigint;
INSERT INTO drain.changing VALUES (30000000000, 'ddl', 4, '2024-05-01 12:00+00');
ALTER TABLE drain.changing ALTER COLUMN total TYPE numeric(12,4);
INSERT INTO drain.changing VALUES (4, 'ddl', 8.0001, '2024-05-01 12:00+00');
ALTER TABLE drain.changing ADD COLUMN added text DEFAULT 'x';
ALTER TABLE drain.changing ALTER COLUMN customer TYPE text;
INSERT INTO drain.changing VALUES (5, 'ddl', 16, '2024-05-01 12:00+00');
SELECT * FROM drain.customers WHERE customer_id = 'ddl';
BEGIN;
INSERT INTO drain.changing VALUES (6, 'ddl', 32, '2024-05-01 12:00+00');
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE drain.changing ALTER COLUMN id TYPE text;
INSERT INTO drain.changing VALUES ('A-7', 'ddl', 64, '2024-05-01 12:00+00');
COMMIT;
SELECT * FROM drain.customers WHERE customer_id = 'ddl';
-- As with any deferred constraint, orders written in a transaction must be
-- synced before it alters their table.
BEGIN;
UPDATE drain.changing SET total = total;
ALTER TABLE drain.changing ADD COLUMN later text;
ROLLBACK;
BEGIN;
UPDATE drain.changing SET total = total;
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE drain.changing ADD COLUMN later text;
COMMIT;
-- A renamed table is found by what it is; the facts, being text, are not.
ALTER TABLE drain.changing RENAME TO changed;
INSERT INTO drain.changed VALUES ('A-8', 'ddl', 128, '2024-05-01 12:00+00');
SELECT order_id, sqlstate, message FROM retention.sync_error;
SELECT retention.detach('drain.changing');
SELECT retention.attach_orders('drain.changed', 'id', 'customer', 'total', paid_at => 'paid_at', completed_at => 'paid_at');
-- Dropping the table takes the triggers along; what was recorded stays.
DROP TABLE drain.changed;
SELECT count(*) FROM retention.purchase WHERE customer_id = 'ddl';
SELECT retention.detach('drain.changed');

-- Nothing kept is wrong.
SELECT * FROM wrong;

\set ECHO none
\i test/include/stop.sql
DROP SCHEMA drain CASCADE;
