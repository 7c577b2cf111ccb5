-- What attaching refuses: each error names the argument and the way out.
\set ECHO none
\i test/include/start.sql

CREATE SCHEMA attach_errors;
CREATE TABLE attach_errors.orders (
	id integer PRIMARY KEY,
	"customerId" text,
	total numeric,
	note text,
	created_at timestamptz,
	paid_at timestamptz
);
CREATE VIEW attach_errors.orders_view AS SELECT * FROM attach_errors.orders;
CREATE TEMP TABLE temporary_orders (id integer PRIMARY KEY, customer text, total numeric, paid_at timestamptz);

-- ---------------------------------------------------------------------------
-- The relation
-- ---------------------------------------------------------------------------

SELECT retention.attach_orders('attach_errors.nothing', 'id', 'customer', 'total');
SELECT retention.attach_orders(NULL, 'id', 'customer', 'total');
SELECT retention.attach_orders(1::regclass, 'id', 'customer', 'total');
SELECT retention.attach_orders('attach_errors.orders_view', 'id', 'note', 'total', paid_at => 'paid_at');
SELECT retention.attach_orders('temporary_orders', 'id', 'customer', 'total', paid_at => 'paid_at');
SELECT retention.attach_orders('retention.purchase', 'order_id', 'customer_id', 'total', paid_at => 'paid_at');
SELECT retention.attach_orders('pg_catalog.pg_class', 'oid', 'relname::text', 'reltuples', paid_in_full => 'true');

-- ---------------------------------------------------------------------------
-- The required arguments
-- ---------------------------------------------------------------------------

SELECT retention.attach_orders('attach_errors.orders', NULL, 'note', 'total', paid_at => 'paid_at');
SELECT retention.attach_orders('attach_errors.orders', 'id', NULL, 'total', paid_at => 'paid_at');
SELECT retention.attach_orders('attach_errors.orders', 'id', 'note', NULL, paid_at => 'paid_at');
SELECT retention.attach_orders('attach_errors.orders', 'id', 'note', 'total');
SELECT retention.attach_orders('attach_errors.orders', '', 'note', 'total', paid_at => 'paid_at');

-- ---------------------------------------------------------------------------
-- Expressions that are none
-- ---------------------------------------------------------------------------

SELECT retention.attach_orders('attach_errors.orders', 'id', 'customer', 'total', paid_at => 'paid_at');
SELECT retention.attach_orders('attach_errors.orders', 'id', 'customerId', 'total', paid_at => 'paid_at');
SELECT retention.attach_orders('attach_errors.orders', 'id', 'note', 'total +', paid_at => 'paid_at');
SELECT retention.attach_orders('attach_errors.orders', 'id', 'note', 'no_such_function(total)', paid_at => 'paid_at');
SELECT retention.attach_orders('attach_errors.orders', 'id', 'note', 'total, id', paid_at => 'paid_at');
SELECT retention.attach_orders('attach_errors.orders', 'id', 'note', 'sum(total)', paid_at => 'paid_at');
SELECT retention.attach_orders('attach_errors.orders', 'id', 'note', 'generate_series(1, 2)', paid_at => 'paid_at');
SELECT retention.attach_orders('attach_errors.orders', 'id', 'note', 'total', paid_at => '$1');
SELECT retention.attach_orders('attach_errors.orders', 'id', 'note', 'total', paid_at => 'paid_at AS done');
SELECT retention.attach_orders('attach_errors.orders', 'id', 'note', 'DISTINCT total', paid_at => 'paid_at');
SELECT retention.attach_orders('attach_errors.orders', 'id', 'note', 'total', paid_at => '''yesterday''');

-- Of a type that does not fit.
SELECT retention.attach_orders('attach_errors.orders', 'id', 'note', 'note', paid_at => 'paid_at');
SELECT retention.attach_orders('attach_errors.orders', 'id', 'note', 'total', paid_at => 'note');
SELECT retention.attach_orders('attach_errors.orders', 'id', 'note', 'total', paid_in_full => '1');
SELECT retention.attach_orders('attach_errors.orders', 'id', 'note', 'total', paid_at => 'paid_at', attributes => 'note');
SELECT retention.attach_orders('attach_errors.orders', 'point(id, id)', 'note', 'total', paid_at => 'paid_at', completed_at => 'paid_at');
SELECT retention.attach_orders('attach_errors.orders', 'ROW(id, note)', 'note', 'total', paid_at => 'paid_at', completed_at => 'paid_at');

-- ---------------------------------------------------------------------------
-- Attempts to slip other SQL in
-- ---------------------------------------------------------------------------

SELECT retention.attach_orders('attach_errors.orders', 'id', 'note', 'total) FROM attach_errors.orders; DROP TABLE attach_errors.orders; --', paid_at => 'paid_at');
SELECT retention.attach_orders('attach_errors.orders', 'id', 'note', 'total) AS x, (id', paid_at => 'paid_at');
SELECT retention.attach_orders('attach_errors.orders', 'id', 'note', 'total); SELECT (1', paid_at => 'paid_at');
SELECT retention.attach_orders('attach_errors.orders', 'id', 'note', 'total) FROM attach_errors.orders UNION SELECT (1', paid_at => 'paid_at');
SELECT retention.attach_orders('attach_errors.orders', 'id', 'note', 'total /* ', paid_at => 'paid_at');
SELECT retention.attach_orders('attach_errors.orders', 'id', 'note', 'total) INTO attach_errors.stolen FROM attach_errors.orders --', paid_at => 'paid_at');
SELECT retention.attach_orders('attach_errors.orders', 'id', 'note', 'total) FROM attach_errors.orders WHERE (id > 0', paid_at => 'paid_at');
SELECT retention.attach_orders('attach_errors.orders', $$id) FROM pg_catalog.pg_authid --$$, 'note', 'total', paid_at => 'paid_at');

-- ---------------------------------------------------------------------------
-- The other settings
-- ---------------------------------------------------------------------------

SELECT retention.attach_orders('attach_errors.orders', 'id', 'note', 'total', paid_at => 'paid_at', on_delete => 'forget');
SELECT retention.attach_orders('attach_errors.orders', 'id', 'note', 'total', paid_at => 'paid_at', on_delete => NULL);
SELECT retention.create_shop('');
SELECT retention.create_shop('Moon', time_zone => 'Moon/Tranquility');
SELECT retention.create_shop('Tea House');
SELECT retention.create_shop('Tea House');
SELECT retention.attach_orders('attach_errors.orders', 'id', 'note', 'total', paid_at => 'paid_at', for_shop => 'Coffee House');
SELECT retention.create_shop('Coffee House');
SELECT retention.attach_orders('attach_errors.orders', 'id', 'note', 'total', paid_at => 'paid_at');

-- After all these nothing is left half attached.
SELECT count(*) FROM retention.source;
SELECT count(*) FROM retention.watch;
SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'retention%';
SELECT to_regclass('attach_errors.stolen'), to_regclass('attach_errors.orders');

-- ---------------------------------------------------------------------------
-- Attached twice, watched twice, not attached
-- ---------------------------------------------------------------------------

SELECT retention.attach_orders('attach_errors.orders', 'id', 'note', 'total', paid_at => 'paid_at', for_shop => 'Tea House');
SELECT retention.attach_orders('attach_errors.orders', 'id', 'note', 'total', paid_at => 'paid_at', for_shop => 'Tea House');
SELECT retention.watch('attach_errors.orders', 'attach_errors.orders', 'id');
SELECT retention.detach('attach_errors.orders');
SELECT retention.detach('attach_errors.orders');
SELECT retention.resync('attach_errors.orders');
SELECT retention.resync(NULL);
SELECT retention.resync('no such table');
CALL retention.backfill('attach_errors.orders');
CALL retention.backfill(NULL);
CALL retention.backfill('attach_errors.orders', batch => 0);

-- ---------------------------------------------------------------------------
-- attach_source and watch
-- ---------------------------------------------------------------------------

SELECT retention.attach_source(NULL, 'SELECT 1');
SELECT retention.attach_source('', 'SELECT 1');
SELECT retention.attach_source('s', NULL);
SELECT retention.attach_source('s', 'SELEC 1');
SELECT retention.attach_source('s', 'SELECT 1 AS order_id');
SELECT retention.attach_source('s', 'SELECT 1 AS order_id, 2 AS customer, 3 AS total');
SELECT retention.attach_source('s', 'SELECT 1 AS order_id, 2 AS customer, 3 AS total, true AS paid_in_full, 4 AS colour');
SELECT retention.attach_source('s', 'SELECT 1 AS order_id, 2 AS customer, 3 AS total, true AS paid_in_full, 4 AS total');
SELECT retention.attach_source('s', 'SELECT 1 AS order_id, 2 AS customer, 3 AS total, true AS paid_in_full; SELECT 2');
SELECT retention.attach_source('s', 'DELETE FROM attach_errors.orders RETURNING id AS order_id, note AS customer, total, true AS paid_in_full');
SELECT retention.attach_source('s', 'WITH gone AS (DELETE FROM attach_errors.orders RETURNING *) SELECT id AS order_id, note AS customer, total, true AS paid_in_full FROM gone', for_shop => 'Tea House');
SELECT retention.attach_source('s', 'SELECT id AS order_id, note AS customer, total, true AS paid_in_full FROM orders');
SELECT retention.attach_source('s', 'SELECT id AS order_id, note AS customer, total, true AS paid_in_full FROM attach_errors.orders FOR UPDATE', for_shop => 'Tea House');
SELECT retention.attach_source('s', 'SELECT id AS order_id, note AS customer, total, true AS paid_in_full INTO attach_errors.stolen FROM attach_errors.orders');
SELECT retention.attach_source('s', 'SELECT id AS order_id, note AS customer, total, true AS paid_in_full FROM attach_errors.orders', for_shop => 'Tea House');
SELECT retention.attach_source('s', 'SELECT id AS order_id, note AS customer, total, true AS paid_in_full FROM attach_errors.orders', for_shop => 'Tea House');
-- Nothing watched yet.
SELECT retention.resync('s', '1');
SELECT retention.watch('t', 'attach_errors.orders', 'id');
SELECT retention.watch('s', NULL, 'id');
SELECT retention.watch('s', 'attach_errors.orders', NULL);
SELECT retention.watch('s', 'attach_errors.orders_view', 'id');
SELECT retention.watch('s', 'attach_errors.orders', 'order_id');
SELECT retention.watch('s', 'attach_errors.orders', 'SELECT id, total');
SELECT retention.watch('s', 'attach_errors.orders', 'id) AS w (order_id); DROP TABLE attach_errors.orders; --');
SELECT retention.watch('s', 'attach_errors.orders', 'id');
SELECT retention.watch('s', 'attach_errors.orders', 'id');

-- ---------------------------------------------------------------------------
-- The triggers and functions beneath
-- ---------------------------------------------------------------------------

CREATE TRIGGER mine AFTER INSERT ON attach_errors.orders FOR EACH ROW EXECUTE FUNCTION retention.note_change();
INSERT INTO attach_errors.orders (id) VALUES (1);
DROP TRIGGER mine ON attach_errors.orders;
CREATE TRIGGER mine BEFORE INSERT ON attach_errors.orders FOR EACH ROW EXECUTE FUNCTION retention.note_change('1');
INSERT INTO attach_errors.orders (id) VALUES (1);
DROP TRIGGER mine ON attach_errors.orders;
CREATE TRIGGER mine AFTER INSERT ON attach_errors.orders FOR EACH ROW EXECUTE FUNCTION retention.note_change('one');
INSERT INTO attach_errors.orders (id) VALUES (1);
DROP TRIGGER mine ON attach_errors.orders;
SELECT retention.check_source(99);
SELECT retention.check_watch(99);
SELECT retention.backfill_start(99, 10, NULL);
SELECT retention.backfill_start(NULL, NULL, NULL);
SELECT retention.points_balance(1.5);

\set ECHO none
\i test/include/stop.sql
DROP SCHEMA attach_errors CASCADE;
