-- Who may what: the shop's roles write orders without any right on retention's
-- tables; the shop's SQL runs as the table's owner and only reads.
\set ECHO none
\i test/include/start.sql
SET client_min_messages = error;
DROP ROLE IF EXISTS retention_test_owner, retention_test_clerk, retention_test_other;
RESET client_min_messages;

CREATE ROLE retention_test_owner;
CREATE ROLE retention_test_clerk;
CREATE ROLE retention_test_other;
CREATE SCHEMA privileges AUTHORIZATION retention_test_owner;
SET ROLE retention_test_owner;
CREATE TABLE privileges.orders (id integer PRIMARY KEY, customer text, total numeric, paid_at timestamptz);
CREATE TABLE privileges.log (entry text);
GRANT USAGE ON SCHEMA privileges TO retention_test_clerk, retention_test_other;
GRANT SELECT, INSERT, UPDATE, DELETE ON privileges.orders TO retention_test_clerk;
-- An owner without a grant may not attach.
SELECT retention.attach_orders('privileges.orders', 'id', 'customer', 'total', paid_at => 'paid_at', completed_at => 'paid_at');
RESET ROLE;

-- ---------------------------------------------------------------------------
-- Attaching takes the right to call it and the table's ownership
-- ---------------------------------------------------------------------------

GRANT EXECUTE ON ROUTINE retention.attach_orders, retention.attach_source, retention.watch, retention.detach,
	retention.resync, retention.backfill TO retention_test_owner, retention_test_other;
SET ROLE retention_test_other;
SELECT retention.attach_orders('privileges.orders', 'id', 'customer', 'total', paid_at => 'paid_at', completed_at => 'paid_at');
RESET ROLE;
SET ROLE retention_test_owner;
SELECT retention.attach_orders('privileges.orders', 'id', 'customer', 'total', paid_at => 'paid_at', completed_at => 'paid_at',
	staff => 'current_user::text', channel => 'lower(''WEB'')');
INSERT INTO privileges.orders VALUES (0, 'a', 1, '2024-04-01 12:00+00');
-- Its owner may backfill and resync.
CALL retention.backfill('no such source');
SET client_min_messages = warning;
CALL retention.backfill('privileges.orders');
RESET client_min_messages;
SELECT retention.resync('privileges.orders', everything => true);
RESET ROLE;
-- Nobody else may watch it, or detach it.
SET ROLE retention_test_other;
SELECT retention.watch('privileges.orders', 'privileges.orders', 'id + 1');
SELECT retention.detach('privileges.orders');
RESET ROLE;

-- ---------------------------------------------------------------------------
-- A clerk writes orders, and sees nothing of retention
-- ---------------------------------------------------------------------------

SET retention.clock = '2024-05-02 12:00+00';
SET ROLE retention_test_clerk;
INSERT INTO privileges.orders VALUES (1, 'a', 10, '2024-05-02 12:00+00');
BEGIN;
UPDATE privileges.orders SET total = 20;
SET CONSTRAINTS ALL IMMEDIATE;
COMMIT;
SELECT current_user;
SELECT * FROM retention.purchase;
SELECT * FROM retention.customer_stats;
SELECT * FROM retention.points_entry;
SELECT * FROM retention.source;
UPDATE retention.shop SET points_rate = 100;
SELECT retention.points_balance('a');
SELECT retention.resync('privileges.orders');
SELECT retention.attach_orders('privileges.orders', 'id', 'customer', 'total', paid_at => 'paid_at');
SELECT retention.detach('privileges.orders');
SELECT retention.create_shop('mine');
SELECT retention.accrue_due(1, '2030-01-01');
CALL retention.run('2030-01-01');
SET retention.clock = '2030-01-01';
-- The triggers' functions cannot be called, nor put on a table of one's own.
SELECT retention.sync_changed();
CREATE TEMP TABLE mine (id integer);
CREATE TRIGGER mine AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION retention.note_change('1');
DROP TABLE mine;
RESET ROLE;
SELECT order_id, value, staff, channel FROM retention.purchase;

-- A reader sees balances and progress, not how the shop is attached.
SET ROLE retention_reader;
SELECT retention.points_balance('a');
SELECT source, percent FROM retention.backfills;
SELECT * FROM retention.source;
RESET ROLE;

-- Every table, view, sequence and function of ours that PUBLIC may use.
SELECT c.relname, c.relkind
FROM pg_class c
CROSS JOIN LATERAL aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) AS a
WHERE c.relnamespace = 'retention'::regnamespace AND a.grantee = 0
ORDER BY 1;
SELECT DISTINCT p.proname
FROM pg_proc p
CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
WHERE p.pronamespace = 'retention'::regnamespace AND a.grantee = 0 AND p.provolatile = 'v'
ORDER BY 1;
-- Every function of ours that is run as its owner pins its search path.
SELECT p.oid::regprocedure
FROM pg_proc p
WHERE p.pronamespace = 'retention'::regnamespace
	AND p.prosecdef
	AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false);

-- ---------------------------------------------------------------------------
-- The search path of whoever writes does not count
-- ---------------------------------------------------------------------------

CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'caught'; END $$;
CREATE FUNCTION public.always_true(integer, integer) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'caught'; END $$;
CREATE OPERATOR public.= (FUNCTION = public.always_true, LEFTARG = integer, RIGHTARG = integer);
CREATE TEMP TABLE orders AS SELECT 1 AS id, 'evil' AS customer, 1000000.0 AS total, now() AS paid_at;
GRANT SELECT ON orders TO PUBLIC;
SET ROLE retention_test_clerk;
SET search_path = public, privileges, pg_catalog;
UPDATE privileges.orders SET total = 30 WHERE privileges.orders.id OPERATOR(pg_catalog.=) 1;
INSERT INTO privileges.orders VALUES (2, 'a', 5, '2024-05-02 12:00+00');
RESET ROLE;
RESET search_path;
SELECT order_id, customer_id, value, channel FROM retention.purchase ORDER BY 1;
DROP OPERATOR public.= (integer, integer);
DROP FUNCTION public.lower(text), public.always_true(integer, integer);
DROP TABLE orders;

-- ---------------------------------------------------------------------------
-- The shop's SQL runs as the table's owner, not as retention's, and only reads
-- ---------------------------------------------------------------------------

SET ROLE retention_test_owner;
CREATE FUNCTION privileges.spy(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT rolpassword FROM pg_catalog.pg_authid LIMIT 1); END $$;
CREATE FUNCTION privileges.writes(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN INSERT INTO privileges.log VALUES ($1); RETURN $1; END $$;
CREATE FUNCTION privileges.unlocks(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN SET transaction_read_only = off; INSERT INTO privileges.log VALUES ($1); RETURN $1; END $$;
CREATE FUNCTION privileges.becomes(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RESET ROLE; RETURN $1; END $$;
CREATE FUNCTION privileges.creates(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN CREATE TEMP TABLE planted (x integer); RETURN $1; END $$;
CREATE FUNCTION privileges.commits(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN COMMIT; RETURN $1; END $$;
CREATE FUNCTION privileges.sets(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('search_path', 'privileges', false); RETURN $1; END $$;
RESET ROLE;
CREATE FUNCTION privileges.try_fact(expression text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	UPDATE retention.source SET facts = format('SELECT id AS order_id, customer, total, paid_at, paid_at AS completed_at, %s AS staff FROM privileges.orders', expression);
	UPDATE privileges.orders SET total = total + 1 WHERE id = 1;
	SET CONSTRAINTS ALL IMMEDIATE;
	SET CONSTRAINTS ALL DEFERRED;
	SELECT coalesce(e.message, p.staff) INTO result
	FROM retention.purchase p
	LEFT JOIN retention.sync_error e USING (source_id, order_id)
	WHERE p.order_id = '1';
	RETURN result;
END
$$;
SET client_min_messages = error;
SELECT e AS fact, privileges.try_fact(e) AS "what became of it"
FROM unnest('{current_user::text,privileges.spy(customer),privileges.writes(customer),privileges.unlocks(customer),privileges.becomes(customer),privileges.creates(customer),privileges.commits(customer),privileges.sets(customer),session_user::text}'::text[]) AS e;
RESET client_min_messages;
SELECT count(*) FROM privileges.log;
SHOW search_path;
SELECT current_user = session_user AS same, current_setting('transaction_read_only') AS read_only;
-- At attach too, nothing of it is run with more rights.
SET ROLE retention_test_owner;
CREATE FUNCTION privileges.planted(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE NOTICE 'run as %', current_user; RETURN $1; END $$;
CREATE TABLE privileges.second (id integer PRIMARY KEY, customer text, total numeric, paid_at timestamptz);
SELECT retention.attach_orders('privileges.second', 'id', 'customer', 'total * privileges.planted(1)', paid_at => 'paid_at', completed_at => 'paid_at');
INSERT INTO privileges.second VALUES (1, 'b', 1, '2024-05-02 12:00+00');
RESET ROLE;

-- ---------------------------------------------------------------------------
-- Row-level security of the shop
-- ---------------------------------------------------------------------------

SET ROLE retention_test_owner;
ALTER TABLE privileges.second ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY clerk ON privileges.second TO retention_test_clerk USING (customer = 'mine') WITH CHECK (true);
GRANT SELECT, INSERT ON privileges.second TO retention_test_clerk;
RESET ROLE;
SET client_min_messages = warning;
SET ROLE retention_test_clerk;
INSERT INTO privileges.second VALUES (2, 'others', 1, '2024-05-02 12:00+00');
SELECT count(*) FROM privileges.second;
RESET ROLE;
SELECT order_id, value FROM retention.purchase WHERE customer_id = 'others';

-- An operator keeps the settings, runs what falls due and mends, and sees no profile.
CREATE ROLE retention_test_operator;
GRANT retention_operator TO retention_test_operator;
SET ROLE retention_test_operator;
UPDATE retention.shop SET points_rate = 2;
INSERT INTO retention.tier (shop_id, rung, name, min_spent) VALUES (1, 1, 'base', 0);
UPDATE retention.shop SET rfm_cuts = retention.rfm_cuts();
INSERT INTO retention.rfm_segment_override (shop_id, scheme, recency, frequency, monetary, segment) VALUES (1, 'global', 1, 1, 1, 'Strangers');
SELECT customer_id, rfm, segment FROM retention.customers WHERE customer_id = 'others';
UPDATE retention.care_rules SET enabled = true WHERE shop_id = 1 AND name = 'unpaid_reminder';
UPDATE retention.care_templates SET text = '{{nickname|亲}}，订单还在等您' WHERE shop_id = 1 AND name = 'unpaid_reminder' AND language = 'zh';
CALL retention.run();
SELECT name, enabled FROM retention.care_rules WHERE shop_id = 1 AND enabled;
SELECT count(*) FROM retention.customer;
UPDATE retention.purchase SET value = 0;
INSERT INTO retention.points_entry (shop_id) VALUES (1);
RESET ROLE;

SELECT * FROM wrong;

\set ECHO none
\i test/include/stop.sql
DROP SCHEMA privileges CASCADE;
DROP ROLE retention_test_owner, retention_test_clerk, retention_test_other, retention_test_operator;
