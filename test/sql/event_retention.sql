-- Retention by log-in (留存率): of those new on a day, who logged in on day N.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
SET retention.clock = '2024-04-10 00:00+08';
CREATE SCHEMA login_test;
SET search_path = login_test, pg_catalog;
SELECT retention.create_shop('Tea House', 'Asia/Shanghai');
UPDATE retention.shop SET week_start = 'sunday';
CREATE TABLE members (id integer PRIMARY KEY, joined_at timestamptz, came_by text);
CREATE TABLE logins (member integer, at timestamptz, app text);
SELECT retention.attach_customers('members', 'id', joined_at => 'joined_at', attributes => $$jsonb_strip_nulls(jsonb_build_object('channel', came_by))$$);

-- Without events, or with none attached, a wrong argument is one all the same.
SELECT * FROM retention.event_retention();
\set SHOW_CONTEXT never
SELECT * FROM retention.event_retention(mode => 'moo');
SELECT * FROM retention.event_retention(mode => NULL);
SELECT * FROM retention.event_retention(days => NULL);
SELECT * FROM retention.event_retention(days => '{1,-3}');
SELECT * FROM retention.event_retention(period => 'moon');
SELECT * FROM retention.event_retention(at => 'infinity');
SELECT * FROM retention.event_retention_customers(1, mode => 'moo');
SELECT * FROM retention.event_retention_customers(NULL);
SELECT * FROM retention.event_retention_customers(-1);
SELECT * FROM retention.event_retention_customers(1, period => 'moon');
SELECT * FROM retention.event_retention_customers(2147483647);

-- Ten join on one day, two of them log in on the next: that is a fifth.
SELECT retention.attach_events('logins', 'member', 'at', $$'login'$$, channel => 'app');
INSERT INTO members SELECT i, '2024-03-01 10:00+08' FROM generate_series(1, 10) AS i;
INSERT INTO logins SELECT i, '2024-03-02 09:00+08', 'ios' FROM generate_series(1, 2) AS i;
SELECT * FROM retention.event_retention(days => '{0,1,3}');
SELECT channel, customer_id, new_at, returned FROM retention.event_retention_customers(1) ORDER BY customer_id::integer;
-- Nobody at all came back: the rate is 0, not missing.
SELECT * FROM retention.event_retention('visit', days => '{1}');

-- The channel is where they came from, never by what they came back: that of
-- a first event on the first day or before, else what the shop says.
INSERT INTO members VALUES (11, '2024-03-01 11:00+08', 'web'), (12, '2024-03-01 11:00+08', 'web'), (13, '2024-03-01 11:00+08', 'web');
INSERT INTO logins VALUES (11, '2024-03-02 09:00+08', 'ios'), (12, '2024-03-01 23:59:59+08', 'ios'), (12, '2024-03-02 00:00+08', 'web'), (13, '2024-02-20 09:00+08', NULL);
SELECT * FROM retention.event_retention(days => '{1}');
SELECT channel, customer_id, new_at, returned FROM retention.event_retention_customers(1) WHERE customer_id::integer > 10 ORDER BY customer_id;

-- By the day, week or month in which they were new: the shop's, whose weeks
-- begin on Sunday, 3 March.  Some have no date of joining: the first event is it.
DELETE FROM logins WHERE member > 10;
DELETE FROM members WHERE id > 10;
INSERT INTO members VALUES
	(21, '2024-03-02 23:59:59+08'), (22, '2024-03-03 00:00+08'), (23, '2024-03-09 12:00+08'), (24, '2024-04-08 12:00+08'), (25, NULL), (26, NULL);
INSERT INTO logins VALUES
	(21, '2024-03-03 00:00+08', NULL), (22, '2024-03-05 00:00+08', NULL), (23, '2024-03-10 12:00+08', NULL), (24, '2024-04-09 12:00+08', NULL), (25, '2024-03-03 00:00+08', NULL), (25, '2024-03-04 00:00+08', NULL), (99, '2024-03-04 00:00+08', NULL);
SELECT cohort, day, customers, returned, round(rate, 3) AS rate FROM retention.event_retention(days => '{1,2,30}', period => 'day');
SELECT cohort, day, customers, returned, round(rate, 3) AS rate FROM retention.event_retention(days => '{1,2,30}', period => 'Week');
SELECT cohort, day, customers, returned, round(rate, 3) AS rate FROM retention.event_retention(days => '{1,2,30}', period => 'month');
SELECT cohort, customer_id, new_at, returned FROM retention.event_retention_customers(1, period => 'week') ORDER BY cohort, customer_id::integer;
-- The rows of a period add up to those of all together, in each way and at each moment.
SELECT count(*) AS cells, count(*) FILTER (WHERE (a.customers, coalesce(a.returned, 0)) IS DISTINCT FROM (p.customers, p.returned)) AS different
FROM unnest('{classic,rolling,within}'::text[]) AS mode
	CROSS JOIN unnest('{2024-03-03 08:00+08,2024-03-20 08:00+08,2024-04-10 00:00+08}'::timestamptz[]) AS moment
	CROSS JOIN unnest('{day,week,month,quarter,year}'::text[]) AS unit
	CROSS JOIN LATERAL retention.event_retention(mode => mode, at => moment) AS a
	CROSS JOIN LATERAL (
		SELECT sum(e.customers)::bigint AS customers, coalesce(sum(e.returned), 0)::bigint AS returned
		FROM retention.event_retention(mode => mode, at => moment, period => unit) AS e
		WHERE e.day = a.day AND e.channel IS NOT DISTINCT FROM a.channel
	) AS p;

-- At a moment before somebody joined, the first event is all that is known.
UPDATE members SET joined_at = '2024-04-01' WHERE id = 25;
SELECT customer_id, new_at, returned FROM retention.event_retention_customers(0, at => '2024-03-10 08:00+08') WHERE customer_id = '25';
SELECT customer_id, new_at, returned FROM retention.event_retention_customers(0) WHERE customer_id = '25';

-- One infinite time, of an event or of joining, is left out and spoils nothing.
CREATE TABLE before AS
	SELECT 1 AS part, e::text AS row FROM retention.event_retention(period => 'week') AS e UNION ALL SELECT 2, e::text FROM retention.event_retention_customers(1) AS e
	UNION ALL SELECT 3, v::text FROM retention.visit_conversion('week', 'login') AS v UNION ALL SELECT 4, v::text FROM retention.visit_conversion_customers('2024-03-03', 'week', 'login') AS v;
SELECT part, count(*) FROM before GROUP BY part ORDER BY part;
INSERT INTO logins VALUES (1, 'infinity', 'ios'), (2, '-infinity', 'ios'), (25, '-infinity', 'ios'), (98, '-infinity', 'ios'), (97, 'infinity', NULL);
UPDATE retention.customer SET joined_at = 'infinity' WHERE customer_id = '26';
INSERT INTO retention.customer (shop_id, customer_id, joined_at) VALUES (1, 'eternal', '-infinity');
CREATE TABLE after AS
	SELECT 1 AS part, e::text AS row FROM retention.event_retention(period => 'week') AS e UNION ALL SELECT 2, e::text FROM retention.event_retention_customers(1) AS e
	UNION ALL SELECT 3, v::text FROM retention.visit_conversion('week', 'login') AS v UNION ALL SELECT 4, v::text FROM retention.visit_conversion_customers('2024-03-03', 'week', 'login') AS v;
(TABLE before EXCEPT ALL TABLE after) UNION ALL (TABLE after EXCEPT ALL TABLE before);

SET ROLE retention_reader;
SELECT count(*) FROM retention.event_retention(period => 'day');
SELECT count(*) FROM retention.event_retention_customers(1, period => 'day');
SELECT count(*) FROM retention.new_with_events('login', NULL, now(), NULL);
RESET ROLE;

DROP EXTENSION retention CASCADE;
DROP SCHEMA login_test CASCADE;
CREATE EXTENSION retention;
RESET retention.clock;
RESET search_path;
