-- attach_events() and events(): log-ins, visits, favourites, read in place.
\set ECHO none
\i test/include/start.sql
CREATE SCHEMA shop;
SELECT retention.create_shop('Tea House', 'Asia/Shanghai');

CREATE TABLE shop.logins (user_id integer, at timestamptz, app text);
CREATE TABLE shop.visits (visitor text, at timestamp, what text, sku text);
CREATE TABLE shop.favourites (user_id integer, day date, sku text);

-- Before anything is attached there are none.
SELECT * FROM retention.events();
SELECT retention.attach_events('shop.logins', 'user_id', 'at', NULL);
SELECT retention.attach_events('shop.logins', 'user_id', 'app = 1', $$'login'$$);
SELECT retention.attach_events('shop.logins', 'user_id', 'user_id', $$'login'$$);
SELECT retention.attach_events('shop.logins', 'user_id', 'at', $$'login'$$, channel => 'app');
SELECT retention.attach_events('shop.visits', 'visitor', 'at', 'what', product => 'sku');
SELECT retention.attach_events('shop.favourites', 'user_id', 'day', $$'favourite'$$, product => 'sku');
SELECT count(*) FROM pg_trigger WHERE tgrelid::regclass::text LIKE 'shop.%';

INSERT INTO shop.logins VALUES
	(1, '2024-05-01 00:00+00', 'ios'), (1, '2024-05-02 00:00+00', 'ios'), (2, '2024-05-02 00:00+00', 'web');
INSERT INTO shop.visits VALUES ('1', '2024-05-02 08:00', 'view', 'tea'), ('2', '2024-05-02 07:59:59', 'view', 'cup'), (NULL, '2024-05-02 08:00', 'view', 'tea');
INSERT INTO shop.favourites VALUES (2, '2024-05-03', 'tea');

-- Times without zone, and dates, are the shop's.
SELECT * FROM retention.events() ORDER BY happened_at, customer_id, kind;
SELECT * FROM retention.events('2024-05-02 00:00+00', '2024-05-02 16:00+00') ORDER BY happened_at, customer_id, kind;
SELECT * FROM retention.events('2024-05-02 16:00+00') ORDER BY happened_at, customer_id, kind;
SELECT * FROM retention.events(to_time => '2024-05-02 00:00+00') ORDER BY happened_at, customer_id, kind;
SELECT * FROM retention.events(of_kind => 'view') ORDER BY happened_at, customer_id;
SELECT count(*) FROM retention.events('-infinity', 'infinity');
SELECT count(*) FROM retention.events('2025-01-01', '2024-01-01');
SET TimeZone = 'America/New_York';
SELECT count(*) FROM retention.events('2024-05-02 00:00+00', '2024-05-02 16:00+00');
SET TimeZone = 'UTC';

-- Retention by log-in: of those new on a day, who logged in the day after.
WITH first AS (
	SELECT customer_id, min(happened_at) AS at
	FROM retention.events(of_kind => 'login')
	GROUP BY customer_id
)
SELECT f.at::date AS day, count(DISTINCT f.customer_id) AS new, count(DISTINCT e.customer_id) AS next_day
FROM first f
LEFT JOIN retention.events(of_kind => 'login') e
	ON e.customer_id = f.customer_id AND e.happened_at::date = f.at::date + 1
GROUP BY 1
ORDER BY 1;

-- A range is found by the column's index, with and without time zone.
INSERT INTO shop.visits SELECT i, timestamp '2020-01-01' + i * interval '1 minute', 'view' FROM generate_series(1, 20000) AS i;
INSERT INTO shop.logins SELECT i, timestamptz '2020-01-01 00:00+08' + i * interval '1 minute' FROM generate_series(1, 20000) AS i;
CREATE INDEX ON shop.visits (at);
CREATE INDEX ON shop.logins (at);
ANALYZE shop.visits, shop.logins;
SELECT pg_stat_force_next_flush();
SELECT count(pg_stat_reset_single_table_counters(c)) FROM unnest(ARRAY['shop.visits', 'shop.logins']::regclass[]) AS c;
SELECT kind, count(*)
FROM retention.events('2020-01-03 00:00+08', '2020-01-03 00:10+08')
GROUP BY kind
ORDER BY kind;
SELECT pg_stat_force_next_flush();
SELECT relname, seq_scan, idx_scan > 0 AS by_index FROM pg_stat_user_tables WHERE schemaname = 'shop' AND relname <> 'favourites' ORDER BY 1;

SELECT retention.detach('shop.visits'), retention.detach('shop.logins');
SELECT * FROM retention.events();

SET client_min_messages = warning;
DROP SCHEMA shop CASCADE;
\set ECHO none
\i test/include/stop.sql
