-- Before each test of an attached shop: a fresh extension, so that numbers do
-- not depend on the tests before, fixed settings, and a check of what is kept.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET retention.clock = '2024-05-01 00:00+00';
DROP EXTENSION IF EXISTS retention CASCADE;
-- With RETENTION_FROM, on objects that were updated from an earlier version.
\getenv from RETENTION_FROM
\if :{?from}
CREATE EXTENSION retention VERSION :'from';
ALTER EXTENSION retention UPDATE;
\else
CREATE EXTENSION retention;
\endif

\i test/include/wrong.sql

-- All that is recorded, as one short text: the same before and after what
-- must change nothing.  With ctid and xmin, so that a row written again with
-- the same content shows too.
CREATE FUNCTION pg_temp.recorded()
	RETURNS text
	LANGUAGE plpgsql
AS $$
DECLARE
	name text;
	part text;
	result text := '';
BEGIN
	FOREACH name IN ARRAY '{customer,customer_stats,customer_history,purchase,points_entry,points_lot,care_message,sync_error}'::text[]
	LOOP
		EXECUTE format('SELECT coalesce(string_agg(concat(t.ctid, t.xmin, t), E''\n'' ORDER BY t.ctid), '''') FROM retention.%I t', name)
		INTO part;
		result := result || name || E'\n' || part;
	END LOOP;
	RETURN md5(result);
END
$$;
RESET client_min_messages;
\set ECHO all
