-- The library and the SQL objects of two versions: the shop goes on, nothing
-- is read or written by what may not fit, and an update with resync() settles
-- all.  What the library is can't be changed here; what the SQL objects say
-- they are can.
\set ECHO none
\i test/include/start.sql

CREATE SCHEMA version;
CREATE TABLE version.orders (id integer PRIMARY KEY, customer text, total numeric, paid_at timestamptz);
CREATE TABLE version.payments (order_id integer, at timestamptz);
SELECT retention.attach_orders('version.orders', 'id', 'customer', 'total', paid_at => 'paid_at', completed => 'true');
SELECT retention.watch('version.orders', 'version.payments', 'order_id');
SET retention.clock = '2024-05-01 12:00+00';
INSERT INTO version.orders VALUES (1, 'a', 10, '2024-05-01 12:00+00');

SELECT extversion AS sql_version FROM pg_extension WHERE extname = 'retention' \gset
SELECT retention.library_version() = :'sql_version' AS same, retention.library_fits();

-- No message of this test names the present version.
CREATE FUNCTION version.raised(statement text)
	RETURNS text
	LANGUAGE plpgsql
AS $$
DECLARE
	said text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION
	WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
		RETURN format('%s %s (%s)', SQLSTATE, replace(said, retention.library_version(), 'LIBRARY'), hint);
END
$$;

CREATE VIEW version.problems AS
SELECT check_name, status, replace(found, retention.library_version(), 'LIBRARY') AS found, to_do
FROM retention.health()
WHERE status <> 'OK' AND check_name <> 'run';

-- ---------------------------------------------------------------------------
-- Another last number: they work together, and health() says so
-- ---------------------------------------------------------------------------

UPDATE pg_extension SET extversion = regexp_replace(extversion, '[0-9]*$', '999') WHERE extname = 'retention';
SELECT retention.library_fits();
INSERT INTO version.orders VALUES (2, 'a', 20, '2024-05-01 12:00+00');
SELECT order_id, value FROM retention.purchase ORDER BY 1;
SELECT check_name, status, to_do FROM retention.health() WHERE check_name = 'versions';

-- ---------------------------------------------------------------------------
-- Another version: functions refuse, the shop's writes go through
-- ---------------------------------------------------------------------------

UPDATE pg_extension SET extversion = '999.0.0' WHERE extname = 'retention';
SELECT retention.library_fits();
SELECT version.raised($$SELECT retention.points_balance('a')$$);
SELECT version.raised($$SELECT retention.redeem('a', 1, 'r1')$$);
SELECT version.raised($$SELECT * FROM retention.claim_messages('sms')$$);
SELECT version.raised($$SELECT retention.resync('version.orders')$$);
SELECT version.raised($$CALL retention.run()$$);
-- What computes with its arguments alone goes on.
SELECT retention.purchases(retention.purchase_history('2024-05-01'::timestamptz, 1));

\set VERBOSITY sqlstate
INSERT INTO version.orders VALUES (3, 'b', 30, '2024-05-01 12:00+00'), (4, 'b', 40, '2024-05-01 12:00+00');
UPDATE version.orders SET total = 11 WHERE id = 1;
DELETE FROM version.orders WHERE id = 4;
-- In a savepoint that is rolled back, and after it.
BEGIN;
INSERT INTO version.orders VALUES (5, 'c', 50, '2024-05-01 12:00+00');
SAVEPOINT s;
SET CONSTRAINTS ALL IMMEDIATE;
ROLLBACK TO s;
COMMIT;
\set VERBOSITY default
SELECT order_id, value FROM retention.purchase ORDER BY 1;
SELECT order_id, sqlstate, replace(message, retention.library_version(), 'LIBRARY') AS message, attempts FROM retention.sync_error;
SELECT * FROM version.problems;

-- A shop that would rather stop.
UPDATE retention.shop SET on_error = 'raise';
SELECT version.raised($$SET CONSTRAINTS ALL IMMEDIATE; INSERT INTO version.orders VALUES (6, 'c', 60, '2024-05-01 12:00+00')$$);
SELECT version.raised($$TRUNCATE version.payments$$);
UPDATE retention.shop SET on_error = 'warn';

-- Mended.
UPDATE pg_extension SET extversion = :'sql_version' WHERE extname = 'retention';
SELECT * FROM version.problems;
SELECT retention.resync('version.orders');
SELECT order_id, value FROM retention.purchase ORDER BY 1;
SELECT * FROM version.problems;
SELECT * FROM wrong;

-- ---------------------------------------------------------------------------
-- It changes in the middle of the shop's transaction
-- ---------------------------------------------------------------------------

\set VERBOSITY sqlstate
BEGIN;
INSERT INTO version.orders VALUES (7, 'd', 70, '2024-05-01 12:00+00');
UPDATE pg_extension SET extversion = '999.0.0' WHERE extname = 'retention';
COMMIT;
\set VERBOSITY default
SELECT order_id, value FROM retention.purchase WHERE order_id = '7';
SELECT order_id FROM retention.sync_error;
DELETE FROM retention.sync_error;

\set VERBOSITY sqlstate
BEGIN;
INSERT INTO version.orders VALUES (8, 'd', 80, '2024-05-01 12:00+00');
UPDATE pg_extension SET extversion = :'sql_version' WHERE extname = 'retention';
COMMIT;
\set VERBOSITY default
SELECT order_id FROM retention.sync_error;
SELECT retention.resync('version.orders');
SELECT order_id, value FROM retention.purchase WHERE order_id IN ('7', '8');

-- TRUNCATE.
UPDATE pg_extension SET extversion = '999.0.0' WHERE extname = 'retention';
\set VERBOSITY sqlstate
TRUNCATE version.orders;
\set VERBOSITY default
SELECT order_id FROM retention.sync_error;
UPDATE pg_extension SET extversion = :'sql_version' WHERE extname = 'retention';
SELECT retention.resync('version.orders');
SELECT count(*) FROM retention.sync_error;

\set ECHO none
\i test/include/stop.sql
DROP SCHEMA version CASCADE;
