-- A role that may create objects where others look for theirs: its functions,
-- operators, types and tables bear the names of PostgreSQL's own, and raise an
-- error that begins with "trapped". Nothing of ours ever calls one, whoever
-- asks. What is not written by us runs as who wrote it and stays there.
\set ECHO none
\i test/include/start.sql
SET client_min_messages = error;
DROP ROLE IF EXISTS hostile, hostile_shop, hostile_clerk;
CREATE ROLE hostile;
CREATE ROLE hostile_shop;
CREATE ROLE hostile_clerk;
CREATE SCHEMA trap AUTHORIZATION hostile;
CREATE SCHEMA shop AUTHORIZATION hostile_shop;
GRANT USAGE ON SCHEMA trap, shop TO PUBLIC;
GRANT EXECUTE ON ROUTINE retention.attach_orders, retention.attach_source, retention.attach_customers, retention.watch,
	retention.attach_lines, retention.resync, retention.backfill TO hostile_shop;

-- A trap for every function and operator of PostgreSQL with plain arguments,
-- and one that fits better where PostgreSQL's own takes any type.
CREATE FUNCTION pg_temp.set_traps() RETURNS TABLE (functions bigint, operators bigint, aggregates bigint, types bigint) LANGUAGE plpgsql AS $$
DECLARE
	one record;
BEGIN
	functions := 0;
	operators := 0;
	aggregates := 0;
	types := 0;
	FOR one IN
		SELECT p.proname, p.oid, p.proretset, p.prorettype::regtype AS result,
			(SELECT string_agg(t::regtype::text, ', ' ORDER BY n) FROM unnest(p.proargtypes) WITH ORDINALITY AS a (t, n)) AS arguments
		FROM pg_proc p
		WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f'
			AND p.prorettype::regtype::text NOT IN ('internal', 'trigger', 'event_trigger', 'pg_ddl_command', 'language_handler', 'fdw_handler', 'index_am_handler', 'table_am_handler', 'tsm_handler', 'cstring')
			AND NOT EXISTS (
				SELECT FROM unnest(p.proargtypes) AS a (t)
				WHERE a.t IN ('internal'::regtype, 'cstring'::regtype, '"any"'::regtype))
			AND (p.proallargtypes IS NULL)
	LOOP
		BEGIN
			EXECUTE format('CREATE FUNCTION trap.%I(%s) RETURNS %s%s LANGUAGE plpgsql AS $trap$BEGIN RAISE EXCEPTION USING MESSAGE = %L; END$trap$',
				one.proname, one.arguments, CASE WHEN one.proretset THEN 'SETOF ' ELSE '' END, one.result, 'trapped: ' || one.proname);
			functions := functions + 1;
		EXCEPTION WHEN OTHERS THEN
			NULL;
		END;
	END LOOP;
	FOR one IN
		SELECT o.oprname, o.oprleft::regtype AS l, o.oprright::regtype AS r, o.oprresult::regtype AS result, o.oid
		FROM pg_operator o
		WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprleft <> 0 AND o.oprright <> 0
	LOOP
		EXECUTE format('CREATE FUNCTION trap.%I(%s, %s) RETURNS %s LANGUAGE plpgsql AS $trap$BEGIN RAISE EXCEPTION USING MESSAGE = %L; END$trap$',
			'operator_' || one.oid, one.l, one.r, one.result, 'trapped: operator ' || one.oprname);
		EXECUTE format('CREATE OPERATOR trap.%s (FUNCTION = trap.%I, LEFTARG = %s, RIGHTARG = %s)',
			one.oprname, 'operator_' || one.oid, one.l, one.r);
		operators := operators + 1;
	END LOOP;
	CREATE FUNCTION trap.trapped(bigint) RETURNS bigint LANGUAGE plpgsql AS $trap$BEGIN RAISE EXCEPTION 'trapped: an aggregate'; END$trap$;
	CREATE FUNCTION trap.trapped(bigint, anyelement) RETURNS bigint LANGUAGE plpgsql AS $trap$BEGIN RAISE EXCEPTION 'trapped: an aggregate'; END$trap$;
	CREATE AGGREGATE trap.count(*) (SFUNC = trap.trapped, STYPE = bigint, INITCOND = '0');
	FOR one IN SELECT unnest('{count,sum,min,max,avg,array_agg,bool_or,bool_and,every,jsonb_agg}'::text[]) AS name LOOP
		EXECUTE format('CREATE AGGREGATE trap.%I(anyelement) (SFUNC = trap.trapped, STYPE = bigint, INITCOND = %L)', one.name, '0');
		aggregates := aggregates + 1;
	END LOOP;
	CREATE FUNCTION trap.never() RETURNS boolean LANGUAGE plpgsql AS $trap$BEGIN RAISE EXCEPTION 'trapped: a type'; END$trap$;
	FOR one IN SELECT unnest('{text,int4,int8,bool,numeric,timestamptz,date,interval,jsonb,uuid,float8,regclass,regprocedure,name,oid}'::text[]) AS name LOOP
		EXECUTE format('CREATE DOMAIN trap.%I AS pg_catalog.%I CHECK (trap.never())', one.name, one.name);
		types := types + 1;
	END LOOP;
	RETURN NEXT;
END
$$;
GRANT ALL ON SCHEMA trap TO hostile;
-- The names of our tables and of PostgreSQL's, in trap and as temporary ones.
CREATE FUNCTION pg_temp.set_table_traps() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	one text;
BEGIN
	CREATE VIEW trap.bait AS SELECT trap.never() AS oid, trap.never() AS relname, trap.never() AS shop_id, trap.never() AS customer_id;
	GRANT SELECT ON trap.bait TO PUBLIC;
	FOR one IN
		SELECT relname FROM pg_class WHERE relnamespace = 'retention'::regnamespace AND relkind IN ('r', 'v')
		UNION
		SELECT unnest('{pg_class,pg_attribute,pg_type,pg_proc,pg_namespace,pg_extension,pg_constraint,pg_trigger,pg_roles,pg_timezone_names,pg_index,pg_settings,pg_database}'::text[])
	LOOP
		EXECUTE format('CREATE VIEW trap.%I AS SELECT * FROM trap.bait', one);
		EXECUTE format('CREATE TEMP VIEW %I AS SELECT * FROM trap.bait', one);
	END LOOP;
END
$$;
RESET client_min_messages;
\set ECHO all

-- ---------------------------------------------------------------------------
-- A shop, and everything that can be asked without an argument
-- ---------------------------------------------------------------------------

SELECT retention.create_shop('Tea House');
SET ROLE hostile_shop;
CREATE TABLE shop.users (id text PRIMARY KEY, name text, phone text, birthday date, joined timestamptz, sms boolean);
CREATE TABLE shop.orders (id integer PRIMARY KEY, customer text, total numeric, placed timestamptz, paid timestamptz);
CREATE TABLE shop.items (order_id integer, sku text, quantity integer, amount numeric);
SELECT retention.attach_orders('shop.orders', 'id', 'customer', 'total', placed_at => 'placed', paid_at => 'paid', completed_at => 'paid');
SELECT retention.attach_customers('shop.users', customer => 'id', name => 'name', phone => 'phone', birthday => 'birthday', joined_at => 'joined',
	consents => 'jsonb_build_object(''sms'', sms)');
SELECT retention.attach_lines('shop.items', order_id => 'order_id', product => 'sku', quantity => 'quantity', amount => 'amount');
RESET ROLE;
CREATE TEMP TABLE rule AS SELECT name FROM retention.care_rules;
SELECT count(*) > 20 AS enabled FROM rule CROSS JOIN LATERAL retention.enable_rule(name) AS e;
SELECT retention.define_audience('spenders', 'spent > 100 AND customer_id ~ ''^a'' AND lower(customer_id) <> ''x''');

SET retention.clock = '2024-05-03 00:00+00';

-- Every view, and every function that reads and can be called without arguments or with a customer alone.
CREATE TEMP TABLE todo (statement text);
INSERT INTO todo
SELECT format('TABLE %s', c.oid::regclass)
FROM pg_class c
WHERE c.relnamespace = 'retention'::regnamespace AND c.relkind = 'v'
ORDER BY 1;
INSERT INTO todo
SELECT format('SELECT * FROM retention.%I(%s)', p.proname, CASE WHEN p.pronargs = p.pronargdefaults THEN '' ELSE '''ann''' END)
FROM pg_proc p
WHERE p.pronamespace = 'retention'::regnamespace AND p.prokind = 'f' AND p.provolatile = 's'
	AND p.prorettype NOT IN ('trigger'::regtype, 'internal'::regtype)
	AND (p.pronargs = p.pronargdefaults
		OR p.pronargs = p.pronargdefaults + 1 AND p.proargtypes[0] = 'text'::regtype AND p.proargnames[1] = 'customer')
ORDER BY 1;
SELECT count(*) > 60 AS enough FROM todo;

SELECT functions > 1500 AS functions, operators > 500 AS operators, aggregates, types FROM pg_temp.set_traps();
SELECT pg_temp.set_table_traps();

-- The traps are set: whoever looks there first is caught.
SET search_path = pg_temp, trap, pg_catalog;
SELECT 1 = 1;
SELECT lower('A');
SELECT count(*) FROM shop.orders;
SELECT '1'::text;
TABLE pg_class;

-- ---------------------------------------------------------------------------
-- A superuser works
-- ---------------------------------------------------------------------------

INSERT INTO shop.users VALUES ('ann', 'Ann', '13800000000', '1990-05-03', '2024-01-01', true), ('bob', 'Bob', '13800000001', '1990-06-01', '2024-01-01', false);
INSERT INTO shop.orders VALUES
	(1, 'ann', 300, '2024-05-01', '2024-05-01'), (2, 'ann', 200, '2024-05-02', '2024-05-02'), (3, 'bob', 50, '2024-05-02 23:00', NULL);
INSERT INTO shop.items VALUES (1, 'tea', 1, 300), (2, 'pot', 1, 200);
BEGIN;
UPDATE shop.orders SET total = 310;
SET CONSTRAINTS ALL IMMEDIATE;
COMMIT;
DELETE FROM shop.items;
CALL retention.run('2024-05-04 12:00+00');
CALL retention.run();
SELECT customer_id, points FROM retention.redeem('ann', 5, 'a cup'), retention.purchase LIMIT 1;
SELECT points FROM retention.hold('ann', 5, 'a cart');
SELECT points FROM retention.capture('ann', 'a cart');
SELECT points FROM retention.cancel_redemption('ann', 'a cart');
SELECT points FROM retention.adjust('ann', 5, 'counted again', 'a ticket');
SELECT points FROM retention.grant('bob', 5, 'an apology', 'another ticket');
SELECT points FROM retention.transfer('ann', 'bob', 1, 'a gift');
SELECT retention.resync('shop.orders', everything => true);
SELECT retention.audience_count('spenders');
SELECT retention.record_consent('bob', 'sms', 'marketing', true);
\o /dev/null
SELECT retention.claim_messages('sms', 100);
SELECT retention.claim_messages('sms', 100, at => '2024-05-04 12:00+00');
\set ECHO none
SELECT statement FROM todo \gexec
\set ECHO all
\o
SET client_min_messages = warning;
CALL retention.backfill('shop.orders');
CALL retention.backfill('shop.orders', points => true);
RESET client_min_messages;
SELECT retention.detach('shop.items');
SELECT retention.forget_customer('bob');

-- The same of the shop's own roles, and of a reader.
GRANT SELECT, INSERT, UPDATE ON shop.orders TO hostile_clerk;
SET ROLE hostile_clerk;
INSERT INTO shop.orders VALUES (4, 'ann', 40, '2024-05-02', '2024-05-02');
UPDATE shop.orders SET total = 41;
SET ROLE retention_reader;
SELECT retention.points_balance('ann') IS NOT NULL AS known;
SELECT retention.audience_count('spenders');
RESET ROLE;

-- The extension is made and dropped there as well.
BEGIN;
SET LOCAL client_min_messages = warning;
DROP EXTENSION retention CASCADE;
CREATE EXTENSION retention;
SELECT retention.create_shop('Tea House');
ROLLBACK;
RESET search_path;
SELECT order_id, customer_id, value FROM retention.purchase ORDER BY 1;
SELECT * FROM retention.sync_error;
SELECT * FROM wrong;
SELECT * FROM retention.check_ledger();

-- ---------------------------------------------------------------------------
-- A clerk who writes orders reads no phone number and writes no ledger
-- ---------------------------------------------------------------------------

SET ROLE hostile_clerk;
SELECT retention.adjust('ann', 1000, 'for me', 'x');
SELECT retention.redeem('ann', 1, 'x');
SELECT phone FROM retention.customer;
SELECT * FROM retention.claim_messages('sms');
UPDATE retention.points_entry SET points = 1000;
INSERT INTO retention.points_lot DEFAULT VALUES;
DELETE FROM retention.care_message;
SET retention.clock = '2030-01-01';
ALTER TABLE retention.points_entry DISABLE TRIGGER ALL;
CREATE TRIGGER mine BEFORE INSERT ON retention.points_entry FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE RULE mine AS ON INSERT TO retention.points_entry DO INSTEAD NOTHING;
CREATE FUNCTION retention.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1';
LOCK TABLE retention.purchase;
RESET ROLE;
SET ROLE retention_reader;
SELECT phone FROM retention.customer;
SELECT retention.adjust('ann', 1000, 'for me', 'x');
RESET ROLE;
SET ROLE retention_operator;
SELECT phone FROM retention.customer;
UPDATE retention.points_entry SET points = 1000;
RESET ROLE;

-- ---------------------------------------------------------------------------
-- A facts query that tries to become somebody else
-- ---------------------------------------------------------------------------

SET ROLE hostile_shop;
CREATE TABLE shop.log (entry text);
CREATE FUNCTION shop.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO shop.log VALUES (current_user); RETURN NULL; END $$;
CREATE FUNCTION shop.tries(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'done as ' || current_user;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
CREATE FUNCTION shop.definer() RETURNS text LANGUAGE sql SECURITY DEFINER AS $$ SELECT shop.tries('RESET ROLE') || ', ' || shop.tries('SET ROLE retention_operator') $$;
CREATE TEMP TABLE planted (entry text);
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON planted DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION shop.note();
GRANT ALL ON planted TO PUBLIC;
RESET ROLE;
CREATE FUNCTION shop.try_fact(expression text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	UPDATE retention.source
	SET facts = format('SELECT id AS order_id, customer, total, paid AS paid_at, paid AS completed_at, %s AS staff FROM shop.orders', expression)
	WHERE name = 'shop.orders';
	UPDATE shop.orders SET total = total + 1 WHERE id = 1;
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
SELECT s AS statement, shop.try_fact(format('shop.tries(%L)', s)) AS "what became of it"
FROM unnest(ARRAY[
	'SELECT 1', 'RESET ROLE', 'SET ROLE retention_operator', 'SET LOCAL ROLE NONE', 'SET SESSION AUTHORIZATION DEFAULT', 'RESET SESSION AUTHORIZATION',
	'SET LOCAL SESSION AUTHORIZATION hostile', 'SELECT set_config(''role'', ''none'', false)', 'SELECT set_config(''session_authorization'', ''default'', false)',
	'SET transaction_read_only = off', 'SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE; INSERT INTO shop.log VALUES (1)',
	'INSERT INTO shop.log VALUES (''x'')', 'INSERT INTO planted VALUES (''x'')', 'CREATE TEMP TABLE more (x integer)',
	'CREATE FUNCTION pg_temp.f() RETURNS integer LANGUAGE sql AS ''SELECT 1''', 'DECLARE held CURSOR WITH HOLD FOR SELECT shop.note()',
	'PREPARE p AS SELECT 1', 'LISTEN x', 'NOTIFY x', 'SET retention.clock = ''2030-01-01''', 'SET search_path = trap', 'LOCK TABLE shop.log',
	'SELECT retention.adjust(''ann'', 1000, ''for me'', ''x'')', 'TABLE retention.customer', 'ALTER TABLE shop.orders DISABLE TRIGGER ALL',
	'COMMIT', 'SET CONSTRAINTS ALL IMMEDIATE', 'CLOSE ALL', 'DO $x$BEGIN RESET ROLE; END$x$', 'ANALYZE shop.orders']) AS s;
SELECT shop.try_fact('shop.definer()'), shop.try_fact('current_user::text');
RESET client_min_messages;
SELECT * FROM shop.log;
SELECT current_user = session_user AS myself, current_setting('search_path') AS search_path,
	current_setting('transaction_read_only') AS read_only, retention.now();
SELECT count(*) FROM pg_cursors;

-- So it is when an administrator asks for it: resync, backfill, and the preview of one.
SELECT shop.try_fact('shop.tries(''RESET ROLE'') || '' / '' || current_user');
SELECT retention.resync('shop.orders', everything => true);
SELECT DISTINCT staff FROM retention.purchase;
DELETE FROM shop.orders WHERE id = 4;
SET client_min_messages = warning;
CALL retention.backfill('shop.orders');
SELECT count(*) FROM retention.backfill_preview('shop.orders');
RESET client_min_messages;
SELECT current_user = session_user AS myself;

-- A path from a watched row to its order runs as the table's owner too.
SET ROLE hostile_shop;
CREATE TABLE shop.payments (id integer PRIMARY KEY, order_no text);
SELECT retention.watch('shop.orders', 'shop.payments', order_id => 'SELECT o.id FROM shop.orders o WHERE o.id::text = payments.order_no AND shop.tries(''RESET ROLE'') IS NOT NULL AND shop.tries(''INSERT INTO planted VALUES (1)'') IS NOT NULL');
RESET ROLE;
INSERT INTO shop.payments VALUES (1, '1');
DELETE FROM shop.payments;
SELECT * FROM shop.log;
SELECT * FROM planted;

-- An index on an attached table whose expression is the owner's function: it runs for our statements with no more rights.
SET ROLE hostile_shop;
CREATE FUNCTION shop.indexed(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN IF current_user <> 'hostile_shop' THEN RAISE WARNING 'indexed ran as %', current_user; END IF; RETURN $1; END $$;
CREATE INDEX ON shop.orders (shop.indexed(id));
RESET ROLE;
SELECT retention.resync('shop.orders', everything => true);
SELECT * FROM retention.sync_error;
SELECT * FROM wrong;
SELECT * FROM retention.check_ledger();

-- A setting that it leaves behind is not followed by our own next statements, made as the extension's owner.
\c -
SET client_min_messages = error;
SET ROLE hostile_shop;
CREATE FUNCTION shop.leaves() RETURNS text LANGUAGE plpgsql AS $$ BEGIN SET search_path = trap, pg_catalog; RETURN 'left'; END $$;
RESET ROLE;
CREATE FUNCTION pg_temp.sync_in_a_new_session() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	UPDATE retention.source
	SET facts = 'SELECT id AS order_id, customer, total, paid AS paid_at, paid AS completed_at, shop.leaves() AS staff FROM shop.orders'
	WHERE name = 'shop.orders';
	INSERT INTO shop.orders VALUES (5, 'eve', 10, '2024-05-02', NULL);
	SET CONSTRAINTS ALL IMMEDIATE;
	-- The facts are planned by now; what a payment and a refund call for is not.
	UPDATE shop.orders SET paid = '2024-05-02' WHERE id = 5;
	UPDATE shop.orders SET total = 1 WHERE id = 5;
END
$$;
SELECT pg_temp.sync_in_a_new_session();
SELECT value, accrued_points, staff FROM retention.purchase WHERE order_id = '5';
SELECT * FROM retention.sync_error;
RESET client_min_messages;
SELECT * FROM retention.check_ledger();

\set ECHO none
SET client_min_messages = warning;
DROP SCHEMA shop, trap CASCADE;
DROP OWNED BY hostile, hostile_shop, hostile_clerk;
DROP ROLE hostile, hostile_shop, hostile_clerk;
\i test/include/stop.sql
