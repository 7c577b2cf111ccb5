-- retention_rate(customer, signed_up_at, logged_in_at, ...): of those who signed
-- up, who logged in N days later, from one row a log-in.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
CREATE SCHEMA logins_test;
SET search_path = logins_test, pg_catalog;

-- Four join on one day: one comes on the next day and twice on the seventh, one
-- on the third, one only within the first, one never.
CREATE TABLE users (id integer, signed_up_at timestamptz);
CREATE TABLE logins (user_id integer, at timestamptz);
INSERT INTO users VALUES (1, '2024-01-01 09:00'), (2, '2024-01-01 23:30'), (3, '2024-01-01 00:00'), (4, '2024-01-01 12:00'), (5, '2024-02-20 10:00');
INSERT INTO logins VALUES (1, '2024-01-02 08:00'), (1, '2024-01-08 08:00'), (1, '2024-01-08 21:00'), (2, '2024-01-04 00:10'), (3, '2024-01-01 18:00'), (5, '2024-02-21 00:00'), (NULL, '2024-01-02');
SELECT month, c.*
FROM (
	SELECT date_trunc('month', signed_up_at)::date AS month, retention.retention_curve(id, signed_up_at, at, 'classic', '{1,3,7,30,0,7}', 'UTC', '2024-02-22 12:00') AS curve
	FROM users LEFT JOIN logins ON user_id = id GROUP BY 1
) AS months, unnest(curve) WITH ORDINALITY AS c (days, customers, returned, rate, n)
ORDER BY month, n;
SELECT mode, days, retention.retention_rate(id, signed_up_at, at, mode, days, 'UTC', '2024-02-22 12:00')
FROM users LEFT JOIN logins ON user_id = id, (VALUES ('classic', 1), ('Rolling', 3), ('within', 0), ('within', 3), ('rolling', 60)) AS m (mode, days)
GROUP BY 1, 2 ORDER BY mode COLLATE "C", days;
-- Seen from another moment, from now, and by another clock.
SELECT retention.retention_rate(id, signed_up_at, at, 'classic', 7, 'UTC', '2024-01-08 23:59') AS not_over,
	retention.retention_rate(id, signed_up_at, at, 'classic', 7, 'UTC', '2024-01-09') AS over,
	retention.retention_rate(id, signed_up_at, at, 'classic', 7, 'America/New_York', '2024-01-09') AS over_for_one_there,
	retention.retention_rate(id, signed_up_at, at, 'rolling', 1, 'UTC', '2023-01-01') AS nobody_yet
FROM users LEFT JOIN logins ON user_id = id;
SET retention.clock = '2024-01-09';
SELECT retention.retention_rate(id, signed_up_at, at, 'classic', 7, 'UTC') AS now, retention.retention_rate(id, signed_up_at, at, 'classic', 7, 'UTC', NULL) AS null_is_now,
	(retention.retention_curve(id, signed_up_at, at, 'classic', '{7}', 'UTC'))[1].rate AS curve
FROM users LEFT JOIN logins ON user_id = id;
RESET retention.clock;
-- The form over arrays is another one.
SELECT retention.retention_rate(id, signed_up_at, at, 'within', 7, 'UTC', '2024-03-01') AS one_row_a_login
FROM users LEFT JOIN logins ON user_id = id;
SELECT retention.retention_rate(signed_up_at, ats, 'within', 7, 'UTC', '2024-03-01') AS one_row_a_customer
FROM (SELECT id, signed_up_at, array_agg(at) AS ats FROM users LEFT JOIN logins ON user_id = id GROUP BY 1, 2) AS u;

-- Nothing, and what is left out.
SELECT retention.retention_rate(NULL::integer, '2024-01-01', '2024-01-02'::timestamptz, 'within', 1, 'UTC', '2024-02-01') AS no_customer,
	retention.retention_rate(1, NULL::timestamptz, '2024-01-02'::timestamptz, 'within', 1, 'UTC', '2024-02-01') AS no_signup,
	retention.retention_curve(1, NULL::timestamptz, '2024-01-02'::timestamptz, 'within', '{1}', 'UTC', '2024-02-01') IS NULL AS no_curve,
	retention.retention_rate(1, '2024-01-01', NULL::timestamptz, 'within', 1, 'UTC', '2024-02-01') AS no_login,
	retention.retention_rate(1, '2024-01-01', 'infinity'::timestamptz, 'rolling', 1, 'UTC', '2024-02-01') AS endless_login,
	retention.retention_rate(1, '2024-01-01', '-infinity'::timestamptz, 'within', 1, 'UTC', '2024-02-01') AS endless_login,
	retention.retention_curve(1, '2024-03-01'::timestamptz, NULL, 'within', '{1}', 'UTC', '2024-02-01') AS later,
	retention.retention_curve(1, '2024-01-01'::timestamptz, NULL, 'within', '{}', 'UTC', '2024-02-01') AS no_days;

-- A second time of sign-up is an error, in whatever order the rows come, unless
-- it lies after the moment.
SELECT retention.retention_rate(c, s, NULL::timestamptz, 'within', 1, 'UTC', '2024-02-01' ORDER BY n) FROM (VALUES (1, 'ann', timestamptz '2024-01-01'), (2, 'bob', '2024-01-02'), (3, 'bob', '2024-01-01')) AS v (n, c, s);
SELECT retention.retention_rate(c, s, NULL::timestamptz, 'within', 1, 'UTC', '2024-02-01' ORDER BY n DESC) FROM (VALUES (1, 'ann', timestamptz '2024-01-01'), (2, 'bob', '2024-01-02'), (3, 'bob', '2024-01-01')) AS v (n, c, s);
SELECT retention.retention_rate(c, s, NULL::timestamptz, 'within', 1, 'UTC', '2024-02-01') FROM (VALUES ('ann', timestamptz '2024-01-01'), ('ann', '2024-02-02'), ('ann', NULL)) AS v (c, s);
SELECT retention.retention_rate(retention.merge(state))
FROM (SELECT retention.retention_collect(42, s, NULL::timestamptz, 'within', '{1}', 'UTC', '2024-02-01') AS state FROM (VALUES (timestamptz '2024-01-01'), ('2024-01-02')) AS v (s) GROUP BY s) AS states;
-- The way out that the error tells.
SELECT retention.retention_rate(c, first_at, at, 'within', 1, 'UTC', '2024-02-01')
FROM (SELECT c, at, min(s) OVER (PARTITION BY c) AS first_at FROM (VALUES ('ann', timestamptz '2024-01-01', timestamptz '2024-01-02'), ('bob', '2024-01-02', NULL), ('bob', '2024-01-01', NULL)) AS v (c, s, at)) AS u;

-- What is no question.
SELECT retention.retention_rate(1, 'infinity'::timestamptz, NULL, 'within', 1, 'UTC', '2024-02-01');
SELECT retention.retention_rate(1, '2024-01-01'::timestamptz, NULL, 'ever', 1, 'UTC', '2024-02-01');
SELECT retention.retention_rate(1, '2024-01-01'::timestamptz, NULL, NULL, 1, 'UTC', '2024-02-01');
SELECT retention.retention_rate(1, '2024-01-01'::timestamptz, NULL, 'within', -1, 'UTC', '2024-02-01');
SELECT retention.retention_rate(1, '2024-01-01'::timestamptz, NULL, 'within', NULL::integer, 'UTC', '2024-02-01');
SELECT retention.retention_rate(1, '2024-01-01'::timestamptz, NULL, 'within', 1, 'Mars', '2024-02-01');
SELECT retention.retention_rate(1, '2024-01-01'::timestamptz, NULL, 'within', 1, NULL, '2024-02-01');
SELECT retention.retention_rate(1, '2024-01-01'::timestamptz, NULL, 'within', 1, 'UTC', 'infinity');
SELECT retention.retention_rate(point(1, 2), '2024-01-01'::timestamptz, NULL, 'within', 1, 'UTC', '2024-02-01');
SELECT retention.retention_curve(1, '2024-01-01'::timestamptz, NULL, 'within', '{1,NULL}', 'UTC', '2024-02-01');
SELECT retention.retention_curve(1, '2024-01-01'::timestamptz, NULL, 'within', '{1,-7}', 'UTC', '2024-02-01');
SELECT retention.retention_curve(1, '2024-01-01'::timestamptz, NULL, 'within', NULL::integer[], 'UTC', '2024-02-01');
SELECT retention.retention_curve(1, '2024-01-01'::timestamptz, NULL, 'within', array_fill(1, '{65}'), 'UTC', '2024-02-01');
SELECT retention.retention_curve(1, '2024-01-01'::timestamptz, NULL, 'within', array_fill(1000000000, '{40}'), 'UTC', '2024-02-01');
SELECT retention.retention_rate(n, '2024-01-01'::timestamptz, NULL, 'within', n, 'UTC', '2024-02-01') FROM generate_series(1, 2) AS n;
SELECT count(*) OVER () AS sixty_four, days, returned
FROM (SELECT retention.retention_curve(1, '2024-01-01'::timestamptz, '2024-03-04'::timestamptz, 'rolling', n, 'UTC', '2024-04-01') AS curve FROM (SELECT array_agg(n) AS n FROM generate_series(1, 64) AS n) AS d GROUP BY n) AS s, unnest(curve)
ORDER BY days DESC LIMIT 2;

-- ---------------------------------------------------------------------------
-- Against the definition, on events about changes of clocks
-- ---------------------------------------------------------------------------

SELECT setseed(0.5);
CREATE TABLE events AS
WITH people AS (
	SELECT n, CASE WHEN n % 40 > 0 THEN n END AS customer,
		CASE WHEN n % 50 > 0 THEN timestamptz '2024-03-01' + floor(random() * 45 * 24 * 4) * interval '15 minutes' END AS signed_up_at
	FROM generate_series(1, 2000) AS n
)
SELECT customer, signed_up_at,
	CASE WHEN i > 0 THEN CASE floor(random() * 60) WHEN 0 THEN 'infinity' WHEN 1 THEN '-infinity'
		ELSE coalesce(signed_up_at, '2024-03-01') + floor(random() ^ 2 * 45 * 24 * 4 - 96) * interval '15 minutes' END END AS at
FROM people, generate_series(0, (random() * 6)::integer) AS i
WHERE i > 0 OR n % 2 = 0
ORDER BY md5(n::text || i);
CREATE TABLE moments (zone text, at timestamptz);
INSERT INTO moments VALUES ('UTC', '2024-04-10'), ('Europe/London', '2024-03-31 01:30'), ('Europe/London', '2024-06-01'), ('America/New_York', '2024-03-25 03:59:59.999999'),
	('America/St_Johns', '2024-05-01'), ('Asia/Kathmandu', '2024-03-20 18:15'), ('Australia/Lord_Howe', '2024-04-10 12:00'), ('UTC', '2024-01-01');
CREATE TABLE asked AS SELECT * FROM moments, unnest('{classic,rolling,within}'::text[]) AS mode;
CREATE TABLE people AS
SELECT zone, m.at, customer, timezone(zone, signed_up_at)::date AS first_day, timezone(zone, m.at)::date AS today,
	array_agg(DISTINCT timezone(zone, e.at)::date - timezone(zone, signed_up_at)::date) FILTER (WHERE isfinite(e.at) AND e.at > signed_up_at AND e.at <= m.at) AS days_back
FROM events AS e, moments AS m
WHERE customer IS NOT NULL AND signed_up_at <= m.at
GROUP BY zone, m.at, customer, signed_up_at;
CREATE TABLE plain AS
SELECT a.zone, a.at, a.mode, days, count(p.customer) AS customers,
	CASE WHEN count(p.customer) > 0 THEN count(*) FILTER (WHERE CASE a.mode WHEN 'classic' THEN days = ANY (days_back) WHEN 'rolling' THEN days <= ANY (days_back) ELSE days >= ANY (days_back) END) END AS returned
FROM asked AS a CROSS JOIN unnest('{0,1,3,7,30}'::integer[]) AS days
LEFT JOIN people AS p ON p.zone = a.zone AND p.at = a.at AND p.first_day + days < p.today
GROUP BY 1, 2, 3, 4;
CREATE TABLE ours AS
SELECT a.*, (unnest(c)).* FROM asked AS a, LATERAL (SELECT retention.retention_curve(customer, signed_up_at, e.at, mode, '{0,1,3,7,30}', zone, a.at) AS c FROM events AS e) AS curve;
SELECT count(*), sum(customers) > 100000 AS many, sum(returned) > 50000 AS many_returned, count(*) FILTER (WHERE rate IS DISTINCT FROM returned::numeric / nullif(customers, 0)) AS other_rates FROM ours;
(TABLE plain EXCEPT SELECT zone, at, mode, days, customers, returned FROM ours) UNION ALL (SELECT zone, at, mode, days, customers, returned FROM ours EXCEPT TABLE plain);
-- One by one, and by the form over arrays.
CREATE VIEW arrays AS SELECT signed_up_at, array_agg(at) AS ats FROM events WHERE customer IS NOT NULL GROUP BY customer, signed_up_at;
SELECT count(*), count(*) FILTER (WHERE rate IS DISTINCT FROM (SELECT retention.retention_rate(customer, signed_up_at, e.at, mode, days, zone, o.at) FROM events AS e)) AS different,
	count(*) FILTER (WHERE rate IS DISTINCT FROM (SELECT retention.retention_rate(signed_up_at, ats, mode, days, zone, o.at) FROM arrays)) AS different_by_arrays
FROM ours AS o;

-- Every kind of key, one answer.
CREATE TYPE pair AS (a integer, b text);
CREATE COLLATION either_case (PROVIDER = icu, LOCALE = 'und-u-ks-level2', DETERMINISTIC = false);
SELECT DISTINCT rate
FROM (
	SELECT unnest(ARRAY[
		retention.retention_rate(customer, signed_up_at, at, 'within', 3, 'Europe/London', '2024-06-01'),
		retention.retention_rate(customer::smallint, signed_up_at, at, 'within', 3, 'Europe/London', '2024-06-01'),
		retention.retention_rate(customer - 9223372036854775807, signed_up_at, at, 'within', 3, 'Europe/London', '2024-06-01'),
		retention.retention_rate(date '2000-01-01' + customer, signed_up_at, at, 'within', 3, 'Europe/London', '2024-06-01'),
		retention.retention_rate('customer ' || customer, signed_up_at, at, 'within', 3, 'Europe/London', '2024-06-01'),
		retention.retention_rate(repeat('customer', 30) || customer, signed_up_at, at, 'within', 3, 'Europe/London', '2024-06-01'),
		retention.retention_rate(lpad(customer::text, 32, '0')::uuid, signed_up_at, at, 'within', 3, 'Europe/London', '2024-06-01'),
		retention.retention_rate(customer::float8, signed_up_at, at, 'within', 3, 'Europe/London', '2024-06-01'),
		retention.retention_rate(round(customer::numeric, extract(second FROM at)::integer % 3), signed_up_at, at, 'within', 3, 'Europe/London', '2024-06-01'),
		retention.retention_rate(CASE WHEN customer IS NOT NULL THEN ARRAY[customer, NULL] END, signed_up_at, at, 'within', 3, 'Europe/London', '2024-06-01'),
		retention.retention_rate(CASE WHEN customer IS NOT NULL THEN ROW(customer, 'x')::pair END, signed_up_at, at, 'within', 3, 'Europe/London', '2024-06-01'),
		retention.retention_rate((CASE WHEN at > '2024-04-01' THEN 'A' ELSE 'a' END || customer) COLLATE either_case, signed_up_at, at, 'within', 3, 'Europe/London', '2024-06-01')
	]) AS rate
	FROM events WHERE at IS NULL OR isfinite(at)
) AS rates;

-- By group, in a hash that does not fit its memory, as a window, and in parallel.
SET work_mem = '64kB';
SELECT count(*), count(*) FILTER (WHERE g.curve IS DISTINCT FROM (
	SELECT retention.retention_curve(customer, signed_up_at, at, 'rolling', '{1,7}', 'UTC', '2024-06-01') FROM events AS e WHERE e.customer % 400 = g.n)) AS different
FROM (SELECT customer % 400 AS n, retention.retention_curve(customer, signed_up_at, at, 'rolling', '{1,7}', 'UTC', '2024-06-01') AS curve FROM events WHERE customer IS NOT NULL GROUP BY 1) AS g;
RESET work_mem;
SELECT n, customer, retention.retention_rate(customer, signed_up_at, at, 'within', 1, 'UTC', '2024-02-01') OVER (ORDER BY n) AS so_far,
	retention.retention_rate(customer, signed_up_at, at, 'within', 1, 'UTC', '2024-02-01') OVER (ORDER BY n ROWS 1 PRECEDING) AS two_rows
FROM (VALUES (1, 'a', timestamptz '2024-01-01', NULL), (2, 'b', '2024-01-01', timestamptz '2024-01-01 00:01'), (3, NULL, NULL, NULL), (4, 'a', '2024-01-01', '2024-01-02'), (5, 'c', '2024-01-09', NULL)) AS v (n, customer, signed_up_at, at)
ORDER BY n;
CREATE TABLE answer AS SELECT
	retention.retention_curve(customer, signed_up_at, at, 'classic', '{1,7}', 'Europe/London', '2024-06-01') AS by_number,
	retention.retention_curve('customer ' || customer, signed_up_at, at, 'classic', '{1,7}', 'Europe/London', '2024-06-01') AS by_text
FROM events;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
ALTER TABLE events SET (parallel_workers = 2);
EXPLAIN (COSTS OFF) SELECT retention.retention_rate(customer, signed_up_at, at, 'classic', 7, 'Europe/London', '2024-06-01') FROM events;
SELECT (SELECT retention.retention_curve(customer, signed_up_at, at, 'classic', '{1,7}', 'Europe/London', '2024-06-01') FROM events) = by_number AS by_number,
	(SELECT retention.retention_curve('customer ' || customer, signed_up_at, at, 'classic', '{1,7}', 'Europe/London', '2024-06-01') FROM events) = by_text AS by_text
FROM answer;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather;

-- Many customers, of whom some wait when the answer is asked for; each log-in twice.
CREATE TABLE many AS SELECT c, 'customer ' || c || CASE WHEN c % 50 = 1 THEN repeat('x', 60) ELSE '' END AS name FROM generate_series(1, 30000) AS c, generate_series(1, 2);
SELECT retention.retention_rate(c, '2024-01-01'::timestamptz, CASE WHEN c % 4 = 0 THEN timestamptz '2024-01-08' END, 'classic', 7, 'UTC', '2024-02-01') AS by_number,
	retention.retention_rate(name, '2024-01-01'::timestamptz, CASE WHEN c % 4 = 0 THEN timestamptz '2024-01-08' END, 'classic', 7, 'UTC', '2024-02-01') AS by_text,
	retention.retention_rate(md5(name)::uuid, '2024-01-01'::timestamptz, CASE WHEN c % 4 = 0 THEN timestamptz '2024-01-08' END, 'classic', 7, 'UTC', '2024-02-01') AS by_uuid,
	retention.retention_rate(c::float8, '2024-01-01'::timestamptz, CASE WHEN c % 4 = 0 THEN timestamptz '2024-01-08' END, 'classic', 7, 'UTC', '2024-02-01') AS by_float
FROM many;
SELECT retention.retention_rate(c, CASE WHEN n = 2 AND c = 30000 THEN timestamptz '2024-01-02' ELSE '2024-01-01' END, NULL, 'classic', 7, 'UTC', '2024-02-01') FROM (SELECT c, row_number() OVER (PARTITION BY c) AS n FROM many) AS m;

-- ---------------------------------------------------------------------------
-- States, kept and merged
-- ---------------------------------------------------------------------------

CREATE TABLE kept AS
SELECT customer % 7 AS part, retention.retention_collect(customer, signed_up_at, at, 'classic', '{1,7}', 'Europe/London', '2024-06-01') AS by_number,
	retention.retention_collect('customer ' || customer, signed_up_at, at, 'classic', '{1,7}', 'Europe/London', '2024-06-01') AS by_text
FROM (SELECT *, row_number() OVER () AS n FROM events) AS e GROUP BY customer % 7, n % 3;
SELECT retention.retention_curve(retention.merge(k.by_number)) = a.by_number AS by_number, retention.retention_curve(retention.merge(k.by_text)) = a.by_text AS by_text,
	retention.retention_curve(retention.merge(k.by_text::text::retention.retention_logins)) = a.by_text AS as_text
FROM kept AS k, answer AS a GROUP BY a.by_number, a.by_text;
SELECT retention.retention_curve(by_number) = retention.retention_curve(by_number::text::retention.retention_logins) AS same FROM kept WHERE part = 1;
SELECT retention.retention_rate(by_number) FROM kept LIMIT 1;
SELECT retention.retention_rate(retention.retention_collect(1, '2024-01-01'::timestamptz, '2024-01-02'::timestamptz, 'within', '{1}', 'UTC', '2024-02-01')),
	retention.merge(NULL::retention.retention_logins) IS NULL AS nothing;
SELECT retention.retention_collect('ab'::text, '2024-01-01'::timestamptz, '2024-01-02'::timestamptz, 'within', '{1,7}', 'UTC', '2024-02-01') AS state;
SELECT retention.merge(s) FROM (SELECT by_text AS s FROM kept UNION ALL SELECT by_number FROM kept) AS both_types;
SELECT retention.merge(s)
FROM (SELECT retention.retention_collect(1, '2024-01-01'::timestamptz, NULL, 'within', ARRAY[n], 'UTC', '2024-02-01') AS s FROM generate_series(1, 2) AS n GROUP BY n) AS questions;

-- What is read is checked.
SELECT ''::retention.retention_logins;
SELECT 'hello'::retention.retention_logins;
SELECT '02'::retention.retention_logins;
CREATE FUNCTION forged(customers bytea, count bigint DEFAULT 1, mode text DEFAULT '01', at bigint DEFAULT 1000000, zone text DEFAULT 'UTC', days text DEFAULT '{1,7}', type text DEFAULT 'pg_catalog.int4') RETURNS retention.retention_logins
	LANGUAGE sql
	RETURN ('01' || mode || encode(int8send(at) || convert_to(zone, 'UTF8') || '\x00' || convert_to(days, 'UTF8') || '\x00' || convert_to(type, 'UTF8') || '\x0000' || int8send(count) || customers, 'hex'))::retention.retention_logins;
CREATE FUNCTION customer(id integer, signed_up_at bigint DEFAULT 0, returned bigint DEFAULT 0) RETURNS bytea
	LANGUAGE sql
	RETURN int8send(signed_up_at) || int8send(returned) || int4send(4) || int4send(id);
SELECT retention.retention_curve(forged(customer(1) || customer(2, returned => 3), 2, at => 86400000000 * 9)) AS whole, retention.retention_curve(forged('', 0)) AS nobody;
SELECT forged(customer(1), mode => '00');
SELECT forged(customer(1), mode => '04');
SELECT forged(customer(1), at => 9223372036854775807);
SELECT forged(customer(1), zone => 'Mars');
SELECT forged(customer(1), zone => repeat('x', 300));
SELECT forged(customer(1), days => '');
SELECT forged(customer(1), days => '{1, 7}');
SELECT forged(customer(1), days => '{1,-7}');
SELECT forged(customer(1), days => '{1' || repeat(',1', 64) || '}');
SELECT forged(customer(1), type => 'pg_catalog.point');
SELECT forged(customer(1), 2);
SELECT forged(customer(1), -1);
SELECT forged(customer(1) || customer(1), 2);
SELECT forged(customer(1) || customer(1, 5), 2);
SELECT forged(customer(1) || '\x00');
SELECT forged(customer(1, signed_up_at => 1000001));
SELECT forged(customer(1, signed_up_at => -9223372036854775808));
SELECT forged(customer(1, returned => 4));
SELECT forged(customer(1, returned => -1));

-- The transition functions belong to aggregates.
SELECT retention.retention_logins_add(NULL, 1, '2024-01-01'::timestamptz, NULL, 'within', 1, 'UTC');
SELECT retention.retention_logins_merge(NULL, NULL);

RESET search_path;
DROP SCHEMA logins_test CASCADE;
