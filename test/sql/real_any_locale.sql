-- The answers do not depend on the locale of the database: the same questions
-- over text, on all of Online Retail, in a database that sorts by bytes and in
-- one that sorts as people do.  (What has no ICU has no such database.)
SELECT count(*) > 0 AS icu FROM pg_collation WHERE collprovider = 'i' \gset
\if :icu
\set home :DBNAME
\set ECHO none
\i test/include/any_locale.sql
\set ECHO all
\set in_bytes :digests
CREATE DATABASE retention_any_locale TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US';
\connect retention_any_locale
SELECT 'a' < 'B' AS as_people_do;
\set ECHO none
\i test/include/any_locale.sql
\set ECHO all
SELECT question AS different
FROM string_to_table(:'digests', E'\n') AS question
EXCEPT
SELECT question
FROM string_to_table(:'in_bytes', E'\n') AS question
ORDER BY 1;
-- Every question has an answer.
SELECT count(*) AS questions, count(*) FILTER (WHERE split_part(question, ': ', 2) ~ '^[1-9]') AS answered FROM string_to_table(:'digests', E'\n') AS question;
\connect :home
DROP DATABASE retention_any_locale;
\endif
