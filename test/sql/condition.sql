-- Conditions: one boolean expression that only reads, evaluated as the role
-- that wrote it, whoever asks.
\set ECHO none
\i test/include/start.sql
SET client_min_messages = error;
DROP ROLE IF EXISTS condition_writer, condition_other, condition_gone;
RESET client_min_messages;
CREATE ROLE condition_writer;
CREATE ROLE condition_other;
CREATE ROLE condition_gone;
GRANT retention_operator TO condition_writer, condition_gone;
CREATE SCHEMA shop;
GRANT CREATE, USAGE ON SCHEMA shop, public TO condition_writer, condition_other;
GRANT USAGE ON SCHEMA shop TO retention_reader;
CREATE TABLE shop.orders (id integer PRIMARY KEY, customer text, total numeric, paid timestamptz);
CREATE TABLE shop.secret (customer text);
CREATE TABLE shop.log (entry text);
CREATE SEQUENCE shop.numbers;
CREATE VIEW shop.writer_may AS SELECT 'ann' AS customer;
GRANT SELECT ON shop.writer_may TO condition_writer;
GRANT INSERT, UPDATE, DELETE, SELECT ON shop.log TO condition_writer;
GRANT ALL ON SEQUENCE shop.numbers TO condition_writer;
INSERT INTO shop.secret VALUES ('ann');
SELECT retention.create_shop('Tea House');
SELECT retention.attach_orders('shop.orders', 'id', 'customer', 'total', paid_at => 'paid', completed_at => 'paid');
INSERT INTO shop.orders VALUES (1, 'ann', 10, '2024-04-30'), (2, 'bob', 20, '2024-04-30');

CREATE FUNCTION shop.try(condition text, name text DEFAULT 'tried') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	hint text;
BEGIN
	PERFORM retention.define_audience(name, condition);
	RETURN (SELECT count(*)::text FROM retention.audience_customers(name));
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(E'\n  ', SQLSTATE || ' ' || SQLERRM, nullif(hint, ''));
END
$$;
GRANT EXECUTE ON FUNCTION shop.try TO PUBLIC;

-- ---------------------------------------------------------------------------
-- One boolean expression, and nothing else
-- ---------------------------------------------------------------------------

SELECT c AS condition, shop.try(c) FROM unnest(ARRAY[
	'purchases >= 1',
	'', ' ', 'purchases >=', 'purchases', '''yes''', '1 = 1; DROP TABLE shop.log', 'true;',
	'true) OR (true', 'false) UNION (SELECT customer FROM shop.secret', 'true ORDER BY 1', 'true LIMIT 1', 'true FROM shop.log',
	'true AS x', 'true, true', 'false -- ) OR true', 'false /* ', 'false */', 'true WHERE true', 'true GROUP BY 1', 'true FOR UPDATE',
	'SELECT true', 'DELETE FROM shop.log', 'DO $x$ BEGIN END $x$', 'SET ROLE postgres', '$1 = 1', ':x', '*',
	'count(*) > 0', 'row_number() OVER () = 1', 'unnest(ARRAY[true])', 'no_such_column > 1', 'no_such_function(1)', 'purchases > ''many''',
	'1 / 0 = 1', '1 / (purchases - 1) = 1',
	'EXISTS (WITH x AS (INSERT INTO shop.log VALUES (1) RETURNING 1) SELECT FROM x)',
	'EXISTS (SELECT 1 INTO shop.log2)']) AS c;
-- Nor is it another expression with other settings.
SET standard_conforming_strings = off;
SET backslash_quote = on;
SET escape_string_warning = off;
SELECT shop.try($c$name = '\' OR true OR name = ' '$c$), shop.try($c$name = '\'$c$);
RESET standard_conforming_strings;
RESET backslash_quote;
RESET escape_string_warning;

-- ---------------------------------------------------------------------------
-- It changes nothing
-- ---------------------------------------------------------------------------

CREATE FUNCTION shop.writes() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO shop.log VALUES ('volatile'); RETURN true; END $$;
CREATE FUNCTION shop.lies() RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM shop.writes(); RETURN true; END $$;
CREATE FUNCTION shop.becomes() RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM set_config('role', 'none', false); RETURN true; END $$;
CREATE FUNCTION shop.unlocks() RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM set_config('transaction_read_only', 'off', false); RETURN true; END $$;
CREATE FUNCTION shop.who() RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RAISE EXCEPTION 'run as %', current_user; END $$;
CREATE VIEW shop.volatile_view AS SELECT shop.writes() AS wrote;
GRANT SELECT ON shop.volatile_view TO condition_writer;
SELECT c AS condition, shop.try(c) FROM unnest(ARRAY[
	'random() < 2', 'clock_timestamp() > now()', 'nextval(''shop.numbers'') > 0', 'setval(''shop.numbers'', 9) > 0', 'pg_notify(''x'', ''y'') IS NULL',
	'set_config(''role'', ''none'', true) IS NULL', 'pg_advisory_lock(1) IS NULL', 'pg_sleep(0) IS NULL', 'lo_create(0) > 0', 'pg_read_file(''x'') IS NULL',
	'query_to_xml(''SELECT 1'', true, true, '''') IS NULL', 'pg_terminate_backend(1)', 'EXISTS (SELECT FROM pg_ls_dir(''.''))',
	'retention.redeem(''ann'', 1, ''x'') IS NULL', 'shop.writes()', 'shop.lies()', 'shop.becomes()', 'shop.unlocks()', 'shop.who()',
	'(SELECT wrote FROM shop.volatile_view)',
	'EXISTS (SELECT FROM retention.customers FOR UPDATE)',
	'customer_id IN (SELECT c.customer_id FROM retention.customers AS c WHERE random() < 2)']) AS c;
SELECT count(*) FROM shop.log;
SELECT is_called FROM shop.numbers;
SHOW transaction_read_only;

-- ---------------------------------------------------------------------------
-- A superuser's runs without a superuser's rights, the writer's with its own
-- ---------------------------------------------------------------------------

SELECT shop.try('customer_id IN (SELECT customer FROM shop.secret)');
SELECT shop.try('current_user = ''retention_reader''');
SET ROLE condition_writer;
SELECT shop.try('customer_id IN (SELECT customer FROM shop.secret)'), shop.try('customer_id IN (SELECT customer FROM shop.writer_may)', 'by writer');
SELECT shop.try('current_user = ''condition_writer''');
SELECT shop.try('customer_id IN (SELECT rolname FROM pg_authid)');
-- Its tables are not written directly, so nobody signs with another's name.
UPDATE retention.audience SET written_by = 'postgres';
INSERT INTO retention.audience VALUES (1, 'forged', 'true', 'postgres');
SELECT * FROM retention.customers_where(1, 'true', 'postgres');
RESET ROLE;
SELECT name, written_by = current_user AS mine, written_by FROM retention.audience WHERE name = 'by writer';
SET ROLE condition_other;
SELECT retention.define_audience('mine', 'true');
SELECT retention.check_condition('true');
SELECT retention.audience_count('loyal');
RESET ROLE;
GRANT EXECUTE ON FUNCTION retention.define_audience TO condition_other;
SET ROLE condition_other;
SELECT retention.define_audience('mine', 'true');
RESET ROLE;

-- ---------------------------------------------------------------------------
-- A hostile writer gains nothing when somebody else asks
-- ---------------------------------------------------------------------------

-- Its own functions, operators, domains and views are not run at all.
SET ROLE condition_writer;
CREATE FUNCTION public.evil() RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RAISE EXCEPTION 'evil ran as %', current_user; END $$;
CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RAISE EXCEPTION 'evil ran as %', current_user; END $$;
CREATE FUNCTION public.evil_equals(text, integer) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RAISE EXCEPTION 'evil ran as %', current_user; END $$;
CREATE OPERATOR public.= (FUNCTION = public.evil_equals, LEFTARG = text, RIGHTARG = integer);
CREATE DOMAIN public.evil_domain AS integer CHECK (public.evil());
CREATE VIEW public.evil_view AS SELECT public.evil() AS x;
CREATE VIEW public.evil_shape AS SELECT 'ann'::text AS customer;
SELECT c AS condition, shop.try(c) FROM unnest(ARRAY[
	'public.evil()', 'lower(customer_id) = ''ann''', 'public.lower(customer_id) = ''ann''', 'customer_id = 1', 'customer_id OPERATOR(public.=) 1',
	'purchases::integer::public.evil_domain = 1', '(SELECT x FROM public.evil_view)', 'EXISTS (SELECT FROM unnest(ARRAY[1]) AS u (x) WHERE public.evil())',
	'customer_id IN (SELECT customer FROM public.evil_shape)']) AS c;
-- Nor once what it names has been changed behind it.
SELECT retention.define_audience('later', 'customer_id IN (SELECT customer FROM public.evil_shape)');
CREATE OR REPLACE VIEW public.evil_shape AS SELECT CASE WHEN public.evil() THEN 'ann' END AS customer;
RESET ROLE;
SELECT retention.audience_count('later');
-- What no query shows, the constraint of a domain in a row type, runs as the
-- writer, whoever asks, and can leave that role no more than it can write.
SET ROLE condition_writer;
CREATE OR REPLACE FUNCTION public.evil() RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN true; END $$;
CREATE TYPE public.evil_row AS (x public.evil_domain);
SELECT retention.define_audience('hidden', '(jsonb_populate_record(NULL::public.evil_row, ''{"x": 1}'')).x = purchases');
RESET ROLE;
SELECT retention.audience_count('hidden');
SET ROLE condition_writer;
CREATE OR REPLACE FUNCTION public.evil() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$ BEGIN RESET ROLE; RETURN true; END $$;
RESET ROLE;
SELECT retention.audience_count('hidden');
SET ROLE condition_writer;
CREATE OR REPLACE FUNCTION public.evil() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$ BEGIN DELETE FROM shop.log; RETURN true; END $$;
RESET ROLE;
SELECT retention.audience_count('hidden');
SET ROLE condition_writer;
CREATE OR REPLACE FUNCTION public.evil() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$ BEGIN CREATE TEMP TABLE planted (x integer); RETURN true; END $$;
RESET ROLE;
SELECT retention.audience_count('hidden');
SET ROLE condition_writer;
CREATE OR REPLACE FUNCTION public.evil() RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RAISE EXCEPTION 'evil ran as %', current_user; END $$;
RESET ROLE;
SELECT retention.audience_count('hidden');
-- A table that is only the writer's session's.
SET ROLE condition_writer;
CREATE TEMP TABLE mine AS SELECT 'ann' AS customer;
SELECT shop.try('customer_id IN (SELECT customer FROM mine)');
DROP TABLE mine;
RESET ROLE;
-- Whoever asks is itself again afterwards, with its own settings, also after
-- an error.
SET search_path = public, pg_catalog;
SELECT retention.audience_count('by writer'), current_user = session_user AS myself, current_setting('search_path'), current_setting('transaction_read_only');
BEGIN;
SAVEPOINT before;
SELECT retention.audience_count('later');
ROLLBACK TO before;
SELECT current_user = session_user AS myself, current_setting('search_path'), current_setting('transaction_read_only');
INSERT INTO shop.log VALUES ('can still write');
COMMIT;
RESET search_path;

-- A writer in the dark: a function of an attacker that runs as its owner
-- signs as that owner, not as who called it.
SET ROLE condition_writer;
CREATE FUNCTION public.innocent() RETURNS void LANGUAGE sql SECURITY DEFINER AS $$ SELECT retention.define_audience('whose', 'current_user = ''condition_writer''') $$;
RESET ROLE;
SELECT public.innocent();
SELECT written_by, retention.audience_count('whose') FROM retention.audience WHERE name = 'whose';

-- ---------------------------------------------------------------------------
-- Rights lost, roles gone, circles
-- ---------------------------------------------------------------------------

SET ROLE condition_gone;
SELECT retention.define_audience('of one gone', 'purchases > 0');
RESET ROLE;
SELECT retention.audience_count('of one gone');
REVOKE retention_operator FROM condition_gone;
SELECT retention.audience_count('of one gone');
DROP ROLE condition_gone;
SELECT retention.audience_count('of one gone');

SELECT retention.define_audience('a', 'true');
SELECT retention.define_audience('b', 'customer_id IN (SELECT customer_id FROM retention.audience_customers(''a''))');
SELECT retention.define_audience('a', 'customer_id IN (SELECT customer_id FROM retention.audience_customers(''b''))');
SELECT retention.audience_count('a');
SELECT retention.audience_count('b'), retention.audience_count('loyal');

-- What is no fault of the condition is raised as it is.
SELECT retention.define_audience('slow', '(SELECT count(*) FROM generate_series(1, 1000000000) AS a, generate_series(1, 1000000000) AS b) > 0');
SET statement_timeout = '100ms';
SELECT retention.audience_count('slow');
RESET statement_timeout;

SET client_min_messages = warning;
DROP SCHEMA shop CASCADE;
DROP OWNED BY condition_writer, condition_other CASCADE;
DROP ROLE condition_writer, condition_other;
\set ECHO none
\i test/include/stop.sql
