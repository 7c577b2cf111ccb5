-- Rows of our own tables are written without statements; whatever has been done
-- to the tables meanwhile must hold all the same.
\set ECHO none
\i test/include/start.sql
SET client_min_messages = warning;
SET retention.clock = '2024-04-01 12:00:00+00';
CREATE SCHEMA own_table;
SET search_path = own_table;

CREATE TABLE orders (
	id integer PRIMARY KEY, customer_id integer, total numeric, refund_of integer,
	placed_at timestamptz DEFAULT '2024-05-01 10:00+00', paid_at timestamptz, completed_at timestamptz
);
SELECT retention.attach_orders('own_table.orders', order_id => 'id', customer => 'customer_id', total => 'total',
	refund_of => 'refund_of', placed_at => 'placed_at', paid_at => 'paid_at', completed_at => 'completed_at') AS source \gset
SET retention.clock = '2024-06-01 12:00:00+00';

CREATE VIEW recorded AS
SELECT s.customer_id, s.purchases, s.spent, s.points_posted, s.tier,
	(SELECT count(*) FROM retention.purchase p WHERE p.customer_id = s.customer_id) AS orders,
	(SELECT sum(e.points) FROM retention.points_entry e WHERE e.customer_id = s.customer_id) AS entries,
	(SELECT sum(l.remaining) FROM retention.points_lot l WHERE l.customer_id = s.customer_id) AS lots
FROM retention.customer_stats s ORDER BY s.customer_id;

-- As the tables are made.
INSERT INTO orders VALUES (1, 1, 30, NULL, DEFAULT, '2024-05-02', '2024-05-09');
INSERT INTO orders VALUES (2, 1, 20, NULL, DEFAULT, '2024-05-03', '2024-05-10');
SELECT * FROM recorded;

-- Columns that stand elsewhere, as in a table that was upgraded: what counts is
-- their names.  What else there is stays.
ALTER TABLE retention.customer_stats RENAME COLUMN points_as_of TO swapped;
ALTER TABLE retention.customer_stats RENAME COLUMN tier_since TO points_as_of;
ALTER TABLE retention.customer_stats RENAME COLUMN swapped TO tier_since;
ALTER TABLE retention.customer_stats ADD COLUMN note text DEFAULT 'as it was';
ALTER TABLE retention.purchase RENAME COLUMN closed_at TO swapped;
ALTER TABLE retention.purchase RENAME COLUMN accrued_at TO closed_at;
ALTER TABLE retention.purchase RENAME COLUMN swapped TO accrued_at;
ALTER TABLE retention.purchase ADD COLUMN dropped text, ADD COLUMN note text;
ALTER TABLE retention.purchase DROP COLUMN dropped;
INSERT INTO orders VALUES (3, 3, 7, NULL, DEFAULT, '2024-05-04', '2024-05-11');
UPDATE retention.customer_stats SET note = 'by hand' WHERE customer_id = '3';
INSERT INTO orders VALUES (4, 3, 8, NULL, DEFAULT, '2024-05-05', '2024-05-12');
INSERT INTO orders VALUES (5, 4, 9, NULL, DEFAULT, '2024-05-05', '2024-05-12'), (6, 5, 9, NULL, DEFAULT, '2024-05-05', '2024-05-12');
SELECT customer_id, purchases, points_posted, points_as_of, tier_since, note FROM retention.customer_stats
WHERE customer_id > '2' ORDER BY 1;
SELECT order_id, closed_at, accrued_at, note FROM retention.purchase WHERE customer_id > '2' ORDER BY 1;
ALTER TABLE retention.customer_stats RENAME COLUMN points_as_of TO swapped;
ALTER TABLE retention.customer_stats RENAME COLUMN tier_since TO points_as_of;
ALTER TABLE retention.customer_stats RENAME COLUMN swapped TO tier_since;
ALTER TABLE retention.purchase RENAME COLUMN closed_at TO swapped;
ALTER TABLE retention.purchase RENAME COLUMN accrued_at TO closed_at;
ALTER TABLE retention.purchase RENAME COLUMN swapped TO accrued_at;
UPDATE retention.purchase SET accrued_at = closed_at, closed_at = accrued_at WHERE customer_id > '2';
UPDATE retention.customer_stats SET tier_since = points_as_of, points_as_of = tier_since WHERE customer_id > '2';

-- A column whose default is not ours to know.
ALTER TABLE retention.purchase ALTER COLUMN note SET DEFAULT 'by default';
INSERT INTO orders VALUES (9, 2, 1, NULL, DEFAULT, '2024-05-06', '2024-05-13');
SELECT order_id, note FROM retention.purchase WHERE order_id IN ('5', '9') ORDER BY 1;
ALTER TABLE retention.purchase DROP COLUMN note;

-- Somebody's own triggers and rules fire.
CREATE TABLE seen (what text);
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO own_table.seen VALUES (format('%s of %s', TG_OP, TG_TABLE_NAME));
	RETURN NULL;
END
$$;
CREATE TRIGGER see AFTER INSERT ON retention.purchase FOR EACH ROW EXECUTE FUNCTION see();
CREATE TRIGGER see AFTER UPDATE ON retention.customer_stats FOR EACH STATEMENT EXECUTE FUNCTION see();
CREATE RULE see AS ON INSERT TO retention.points_entry DO ALSO INSERT INTO own_table.seen VALUES ('an entry');
INSERT INTO orders VALUES (7, 2, 4, NULL, DEFAULT, '2024-05-07', '2024-05-14');
INSERT INTO orders VALUES (8, 2, 4, NULL, DEFAULT, '2024-05-08', '2024-05-15'), (10, 1, 4, NULL, DEFAULT, '2024-05-08', '2024-05-15');
SELECT what, count(*) FROM seen GROUP BY what ORDER BY what;
DROP TRIGGER see ON retention.purchase;
DROP TRIGGER see ON retention.customer_stats;
DROP RULE see ON retention.points_entry;

-- A table that Citus may have distributed is left to statements.  There is no
-- Citus here: an entry that says so, and a trigger such as it puts on tables.
CREATE TABLE writes (what text, by_statement boolean);
CREATE FUNCTION written(what text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	context text;
BEGIN
	GET DIAGNOSTICS context = PG_CONTEXT;
	INSERT INTO own_table.writes VALUES (what, context LIKE '%SQL statement%');
	RETURN true;
END
$$;
ALTER TABLE retention.purchase ADD CONSTRAINT written CHECK (own_table.written('purchase')) NOT VALID;
ALTER TABLE retention.customer_stats ADD CONSTRAINT written CHECK (own_table.written('customer_stats')) NOT VALID;
INSERT INTO orders VALUES (13, 2, 4, NULL, DEFAULT, '2024-05-07', '2024-05-14');
SELECT what, by_statement, count(*) FROM writes GROUP BY 1, 2 ORDER BY 1, 2;
TRUNCATE writes;
BEGIN;
INSERT INTO pg_catalog.pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
SELECT 4000000000, 'citus', extowner, extnamespace, false, '1.0' FROM pg_catalog.pg_extension WHERE extname = 'plpgsql';
CREATE TRIGGER distributed AFTER TRUNCATE ON retention.purchase FOR EACH STATEMENT EXECUTE FUNCTION see();
CREATE TRIGGER distributed AFTER TRUNCATE ON retention.customer_stats FOR EACH STATEMENT EXECUTE FUNCTION see();
SET CONSTRAINTS ALL IMMEDIATE;
INSERT INTO orders VALUES (14, 2, 4, NULL, DEFAULT, '2024-05-07', '2024-05-14');
UPDATE orders SET total = 5 WHERE id = 14;
SELECT what, by_statement, count(*) > 0 AS written FROM writes GROUP BY 1, 2 ORDER BY 1, 2;
SELECT order_id, total FROM retention.purchase WHERE order_id = '14';
ROLLBACK;
TRUNCATE writes;
INSERT INTO orders VALUES (15, 2, 4, NULL, DEFAULT, '2024-05-07', '2024-05-14');
SELECT what, by_statement, count(*) FROM writes GROUP BY 1, 2 ORDER BY 1, 2;
ALTER TABLE retention.purchase DROP CONSTRAINT written;
ALTER TABLE retention.customer_stats DROP CONSTRAINT written;

-- Constraints are checked, whatever they are.
ALTER TABLE retention.purchase ADD CONSTRAINT small CHECK (total < 1000);
INSERT INTO orders VALUES (11, 2, 2000, NULL, DEFAULT, '2024-05-07', NULL);
INSERT INTO orders VALUES (11, 2, 2000, NULL, DEFAULT, '2024-05-07', NULL), (12, 1, 4, NULL, DEFAULT, '2024-05-08', NULL);
ALTER TABLE retention.purchase DROP CONSTRAINT small;

-- Many at once, in every index: of the customer, of refunds, of what is due.
INSERT INTO orders
SELECT 100 + g, g % 7, 10, NULL, '2024-05-19', '2024-05-20',
	CASE WHEN g % 5 = 0 THEN timestamptz '2024-07-01' WHEN g % 2 = 0 THEN timestamptz '2024-05-21' END
FROM generate_series(0, 2499) AS g;
INSERT INTO orders SELECT 10000 + g, g % 7, -4, 100 + g, '2024-05-21', '2024-05-22', NULL FROM generate_series(0, 99) AS g;
CREATE INDEX by_words ON retention.purchase (upper(customer_id));
INSERT INTO orders SELECT 20000 + g, g % 7, 3, NULL, '2024-05-23', '2024-05-23', NULL FROM generate_series(0, 9) AS g;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT count(*), count(p.order_id) AS by_key
FROM orders o LEFT JOIN LATERAL (SELECT order_id FROM retention.purchase WHERE source_id = 1 AND order_id = o.id::text) AS p ON true;
SELECT count(*) AS by_customer FROM retention.purchase WHERE shop_id = 1 AND customer_id BETWEEN '0' AND '9';
SELECT count(*) AS refunds FROM retention.purchase WHERE is_refund AND source_id = 1 AND refund_of BETWEEN '0' AND '9999';
SELECT count(*) AS due FROM retention.purchase WHERE accrual_due_at > '2024-06-01';
SELECT count(*) AS by_words FROM retention.purchase WHERE upper(customer_id) BETWEEN '0' AND '9';
RESET enable_seqscan;
RESET enable_bitmapscan;
SELECT * FROM recorded;
SELECT * FROM retention.check_ledger();

-- A transaction that has become read-only writes nothing of ours either.
BEGIN;
INSERT INTO orders VALUES (30000, 2, 4, NULL, DEFAULT, '2024-05-07', NULL);
SET TRANSACTION READ ONLY;
COMMIT;
SELECT count(*) FROM orders WHERE id = 30000;

-- Nothing kept is wrong.
SELECT * FROM wrong;

\set ECHO none
\i test/include/stop.sql
DROP SCHEMA own_table CASCADE;
