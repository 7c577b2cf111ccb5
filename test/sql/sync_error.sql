-- What goes wrong in the shop's own SQL never stops the shop's write: the
-- order is remembered in sync_error, and resync() mends it.
\set ECHO none
\i test/include/start.sql

CREATE SCHEMA sync_error;
CREATE TABLE sync_error.orders (id integer PRIMARY KEY, customer text, total numeric, divisor integer DEFAULT 1, paid_at timestamptz);
CREATE FUNCTION sync_error.paid(at timestamptz) RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at';
SELECT retention.attach_orders('sync_error.orders', 'id', 'customer', 'total / divisor', paid_at => 'sync_error.paid(paid_at)', completed => 'true');
SET retention.clock = '2024-05-01 12:00+00';

CREATE VIEW sync_error.state AS
SELECT o.id, p.value, e.sqlstate, e.message, e.attempts
FROM sync_error.orders o
LEFT JOIN retention.purchase p ON p.order_id = o.id::text
LEFT JOIN retention.sync_error e ON e.order_id = o.id::text
ORDER BY 1;

-- ---------------------------------------------------------------------------
-- One bad order does not keep the others of its statement back
-- ---------------------------------------------------------------------------

INSERT INTO sync_error.orders VALUES
	(1, 'a', 10, 1, '2024-05-01 12:00+00'),
	(2, 'b', 10, 0, '2024-05-01 12:00+00'),
	(3, 'c', 10, 2, '2024-05-01 12:00+00');
SELECT * FROM sync_error.state;
-- Again: the same order, one more attempt.
UPDATE sync_error.orders SET total = 20;
SELECT * FROM sync_error.state;
SELECT retention.resync('sync_error.orders');
SELECT * FROM sync_error.state;
-- An order recorded before keeps what was recorded.
UPDATE sync_error.orders SET divisor = 0 WHERE id = 1;
SELECT * FROM sync_error.state;
-- Mended by the shop: the next change of the order clears it, and resync() does.
UPDATE sync_error.orders SET divisor = 5 WHERE id = 2;
ALTER TABLE sync_error.orders DISABLE TRIGGER ALL;
UPDATE sync_error.orders SET divisor = 4 WHERE id = 1;
ALTER TABLE sync_error.orders ENABLE TRIGGER ALL;
SELECT * FROM sync_error.state;
SELECT retention.resync('sync_error.orders');
SELECT * FROM sync_error.state;
SELECT retention.resync('sync_error.orders');
-- A bad order that is deleted is no error any more.
UPDATE sync_error.orders SET divisor = 0 WHERE id = 3;
DELETE FROM sync_error.orders WHERE id = 3;
SELECT count(*) FROM retention.sync_error;

-- ---------------------------------------------------------------------------
-- A facts query broken for all
-- ---------------------------------------------------------------------------

-- A renamed column.
ALTER TABLE sync_error.orders RENAME COLUMN total TO amount;
INSERT INTO sync_error.orders VALUES (4, 'd', 8, 1, '2024-05-01 12:00+00'), (5, 'd', 8, 1, '2024-05-01 12:00+00');
UPDATE sync_error.orders SET amount = 9 WHERE id = 4;
DELETE FROM sync_error.orders WHERE id = 5;
SELECT * FROM sync_error.state;
SELECT order_id FROM retention.sync_error ORDER BY 1;
ALTER TABLE sync_error.orders RENAME COLUMN amount TO total;
SELECT retention.resync('sync_error.orders');
SELECT * FROM sync_error.state;
SELECT count(*) FROM retention.sync_error;

-- A dropped function; a new one of another type.
DROP FUNCTION sync_error.paid(timestamptz);
INSERT INTO sync_error.orders VALUES (6, 'e', 6, 1, '2024-05-01 12:00+00');
CREATE FUNCTION sync_error.paid(at timestamptz) RETURNS text LANGUAGE sql STABLE AS 'SELECT at::text';
UPDATE sync_error.orders SET total = 7 WHERE id = 6;
DROP FUNCTION sync_error.paid(timestamptz);
CREATE FUNCTION sync_error.paid(at timestamptz) RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at';
SELECT retention.resync('sync_error.orders', '6');
SELECT * FROM sync_error.state WHERE id = 6;

-- A function that raises what it likes.
CREATE OR REPLACE FUNCTION sync_error.paid(at timestamptz) RETURNS timestamptz LANGUAGE plpgsql STABLE AS
$$ BEGIN RAISE EXCEPTION 'not today' USING ERRCODE = 'ZZ999'; END $$;
UPDATE sync_error.orders SET total = 8 WHERE id = 6;
CREATE OR REPLACE FUNCTION sync_error.paid(at timestamptz) RETURNS timestamptz LANGUAGE plpgsql STABLE AS
$$ BEGIN ASSERT false; END $$;
UPDATE sync_error.orders SET total = 9 WHERE id = 6;
SELECT sqlstate, message, attempts FROM retention.sync_error;

-- ---------------------------------------------------------------------------
-- What is not swallowed
-- ---------------------------------------------------------------------------

-- A cancelled statement, and a shop that means to be tried again.
CREATE OR REPLACE FUNCTION sync_error.paid(at timestamptz) RETURNS timestamptz LANGUAGE plpgsql STABLE AS
$$ BEGIN PERFORM pg_sleep(10); RETURN at; END $$;
BEGIN;
UPDATE sync_error.orders SET total = 10 WHERE id = 6;
SET LOCAL statement_timeout = '200ms';
SET CONSTRAINTS ALL IMMEDIATE;
ROLLBACK;
CREATE OR REPLACE FUNCTION sync_error.paid(at timestamptz) RETURNS timestamptz LANGUAGE plpgsql STABLE AS
$$ BEGIN RAISE EXCEPTION 'try again' USING ERRCODE = 'serialization_failure'; END $$;
UPDATE sync_error.orders SET total = 11 WHERE id = 6;
CREATE OR REPLACE FUNCTION sync_error.paid(at timestamptz) RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at';
SELECT total FROM sync_error.orders WHERE id = 6;

-- on_error = 'raise': the shop's write fails with its own error.
UPDATE retention.shop SET on_error = 'raise';
UPDATE sync_error.orders SET divisor = 0 WHERE id = 6;
SELECT divisor FROM sync_error.orders WHERE id = 6;
UPDATE sync_error.orders SET total = 'NaN' WHERE id = 6;
SELECT total FROM sync_error.orders WHERE id = 6;
UPDATE retention.shop SET on_error = 'warn';
UPDATE sync_error.orders SET total = 12 WHERE id = 6;
SELECT * FROM sync_error.state;

-- ---------------------------------------------------------------------------
-- Facts that do not make sense
-- ---------------------------------------------------------------------------

-- Two rows for one order.
CREATE TABLE sync_error.parts (order_id integer, customer text, total numeric);
SELECT retention.attach_orders('sync_error.parts', 'order_id', 'customer', 'total', paid_in_full => 'true', completed => 'true');
INSERT INTO sync_error.parts VALUES (100, 'p', 1), (100, 'p', 2), (101, 'p', 4), (NULL, 'p', 8);
SELECT order_id, sqlstate, message FROM retention.sync_error;
SELECT order_id, value FROM retention.purchase WHERE customer_id = 'p';
DELETE FROM sync_error.parts WHERE total = 1;
SELECT order_id, value FROM retention.purchase WHERE customer_id = 'p' ORDER BY 1;
SELECT count(*) FROM retention.sync_error;

-- Savepoints and errors together.
BEGIN;
INSERT INTO sync_error.orders VALUES (7, 'g', 10, 0, '2024-05-01 12:00+00');
SAVEPOINT s;
SET CONSTRAINTS ALL IMMEDIATE;
ROLLBACK TO s;
UPDATE sync_error.orders SET divisor = 1 WHERE id = 7;
COMMIT;
SELECT * FROM sync_error.state WHERE id = 7;

SELECT * FROM wrong;

\set ECHO none
\i test/include/stop.sql
DROP SCHEMA sync_error CASCADE;
