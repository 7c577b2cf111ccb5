-- After each test: the next finds nothing of it.
SET client_min_messages = warning;
RESET retention.clock;
DROP EXTENSION retention CASCADE;
CREATE EXTENSION retention;
\set ECHO all
