-- After the lives: nothing failed, nothing is wrong, and syncing all again
-- changes nothing.
SELECT * FROM retention.sync_error;
SELECT * FROM wrong;
SELECT * FROM retention.check_ledger();
SELECT pg_temp.recorded() AS before \gset
SELECT retention.resync(name, everything => true) > 0 AS synced FROM retention.source WHERE kind = 'orders' AND detached_at IS NULL ORDER BY source_id;
SELECT pg_temp.recorded() = :'before' AS unchanged;

-- Attached only now, as if all tables were large, a backfill finds what was
-- recorded step by step; a warning would name a table that lacks an index.
\set ECHO none
SET client_min_messages = warning;
CREATE TEMP TABLE recorded AS SELECT h FROM pg_temp.history() h;
DROP EXTENSION retention CASCADE;
CREATE EXTENSION retention;
UPDATE pg_class SET reltuples = 1000000, relpages = 20000 WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r';
\if :{?arguments}
\else
	\set arguments ''
\endif
SELECT count(*) FROM retention.attach_shop(:'system' :arguments);
SELECT format('CALL retention.backfill(%L)', name) FROM retention.source WHERE kind = 'orders' ORDER BY source_id \gexec
\set ECHO all
SELECT h AS only_by_triggers FROM recorded EXCEPT SELECT h FROM pg_temp.history() h ORDER BY 1;
SELECT h AS only_by_backfill FROM pg_temp.history() h EXCEPT SELECT h FROM recorded ORDER BY 1;
\set ECHO none
-- The next test finds nothing of it: what hangs on the clock goes with the extension.
RESET search_path;
RESET retention.clock;
DROP EXTENSION retention CASCADE;
CREATE EXTENSION retention;
