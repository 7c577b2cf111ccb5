-- rfm_score() and rfm_segment().
CREATE SCHEMA rfm_test;
SET search_path = rfm_test, pg_catalog;

-- Ten customers: the worst fifth of each scores 1, the best 5.
SELECT c, retention.rfm_score(date '2024-01-01' + c, c, 100.0 * c) OVER () AS score FROM generate_series(1, 10) AS c ORDER BY c;

-- Equal values get equal scores, by the place of the first of them.
SELECT c, retention.rfm_score(date '2024-01-01', least(c, 3), greatest(c, 8)) OVER () AS score
FROM generate_series(1, 10) AS c ORDER BY c;

-- One customer alone; four; no rows.
SELECT retention.rfm_score(now(), 1, 1) OVER ();
SELECT retention.rfm_score(c, c, c) OVER () FROM generate_series(1, 4) AS c ORDER BY c;
SELECT retention.rfm_score(c, c, c) OVER () FROM generate_series(1, 0) AS c;

-- What is NULL has no score and is not counted.
SELECT c, retention.rfm_score(CASE WHEN c > 5 THEN c END, c, CASE WHEN false THEN c END) OVER () AS score
FROM generate_series(1, 10) AS c ORDER BY c;

-- Partitions stand for themselves; order and frame do not matter.
SELECT shop, c, retention.rfm_score(c, -c, c % 2) OVER (PARTITION BY shop) AS score,
	retention.rfm_score(c, -c, c % 2) OVER (PARTITION BY shop ORDER BY c DESC ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS same
FROM (VALUES ('a', 1), ('a', 2), ('a', 3), ('a', 4), ('a', 5), ('b', 9), ('b', 8), ('c', 7)) AS v(shop, c)
ORDER BY shop, c;

-- Every type has its own order.
SELECT c,
	retention.rfm_score(timestamp '2024-01-01' + c * interval '1 day', c::smallint, c::float8 / 3) OVER () AS ts_int2_float8,
	retention.rfm_score(timestamptz '2024-01-01' + c * interval '1 day', c::bigint, c::money) OVER () AS tstz_int8_money,
	retention.rfm_score('0000'::text || chr(64 + c), c::float4, (c - 3)::numeric / 7) OVER () AS text_float4_numeric,
	retention.rfm_score(c * interval '1 day', ARRAY[1, c], ROW(1, c)) OVER () AS interval_array_row,
	retention.rfm_score(c > 3, md5('')::uuid, (c - 3)::numeric(3) * 1e30) OVER () AS bool_uuid_numeric
FROM generate_series(1, 5) AS c ORDER BY c;
SELECT f, retention.rfm_score(-1, f, f::numeric) OVER () AS score
FROM (VALUES ('NaN'::float8), ('Infinity'), (0), ('-0'), ('-Infinity')) AS v(f) ORDER BY f, score;
SELECT t, retention.rfm_score(t, t COLLATE "C", 1) OVER () AS score FROM (VALUES ('B'), ('a'), ('b'), ('A'), ('aa')) AS v(t) ORDER BY t COLLATE "C";

SELECT retention.rfm_score(point(1, 2), 1, 1) OVER ();
SELECT retention.rfm_score(1, 1, '{}'::json) OVER ();
SELECT retention.rfm_score(1, '7', 1) OVER ();
SELECT retention.rfm_score(1, 1, 1);

-- By definition, on 20000 rows with ties and NULLs; a partition of 1 is one too.
CREATE TABLE customers AS
	SELECT n, n % 3 AS shop, timestamptz '2024-01-01 00:00:00+00' + (n * 7919 % 1000) * interval '1 hour' AS last_purchase,
		n * 31 % 17 AS purchases, CASE WHEN n % 10 > 0 THEN (n * 104729 % 5003) / 100.0 END AS spent
	FROM generate_series(1, 20000) AS n
	UNION ALL
	SELECT 0, 3, 'infinity', 1, 'NaN';
CREATE VIEW definition AS
	SELECT n,
		1 + 5 * (rank() OVER (PARTITION BY shop ORDER BY last_purchase) - 1) / count(last_purchase) OVER (PARTITION BY shop) AS recency,
		1 + 5 * (rank() OVER (PARTITION BY shop ORDER BY purchases) - 1) / count(purchases) OVER (PARTITION BY shop) AS frequency,
		CASE WHEN spent IS NOT NULL THEN
			1 + 5 * (rank() OVER (PARTITION BY shop ORDER BY spent) - 1) / count(spent) OVER (PARTITION BY shop) END AS monetary
	FROM customers;
CREATE VIEW scored AS
	SELECT n, (score).recency::bigint, (score).frequency::bigint, (score).monetary::bigint
	FROM (SELECT n, retention.rfm_score(last_purchase, purchases, spent) OVER (PARTITION BY shop) AS score FROM customers) AS s;
(TABLE scored EXCEPT TABLE definition) UNION ALL (TABLE definition EXCEPT TABLE scored);
SET work_mem = '64kB';
(TABLE scored EXCEPT TABLE definition) UNION ALL (TABLE definition EXCEPT TABLE scored);
RESET work_mem;

-- Fixed cut points: a value on a cut point scores one more.
CREATE TABLE cuts (cuts retention.rfm_cuts);
INSERT INTO cuts VALUES (ROW(
	ARRAY['2024-01-01 00:00+00', '2024-02-01 00:00+00', '2024-03-01 00:00+00', '2024-04-01 00:00+00']::timestamptz[],
	ARRAY[2, 3, 5, 10],
	ARRAY[100, 200, 500, 1000.50],
	'2024-05-01 00:00+00'));
SELECT purchases, spent, retention.rfm_score(at, purchases, spent, cuts) AS score
FROM cuts, (
	VALUES
		(timestamptz '2023-12-31 23:59:59+00', 0, 99.99),
		('2024-01-01 00:00+00', 2, 100),
		('2024-03-15 00:00+00', 9, 1000.49),
		('2025-01-01 00:00+00', 10, 1000.50),
		(NULL, 1, NULL)
	) AS v (at, purchases, spent);
SELECT retention.rfm_score(now(), 3, 1, NULL) AS no_cuts;
SELECT ROW(NULL, ARRAY[2, 3, 5], NULL, NULL)::retention.rfm_cuts;
SELECT ROW(NULL, ARRAY[2, 3, 5, 4], NULL, NULL)::retention.rfm_cuts;
SELECT ROW(NULL, NULL, ARRAY[2, NULL, 5, 6], NULL)::retention.rfm_cuts;
SELECT ROW(NULL, NULL, '{}'::numeric[], NULL)::retention.rfm_cuts;

-- Cut points of recency go with the moment: as long ago as then scores as then.
-- Days are of 24 hours, whatever the session's clocks do meanwhile.
SET timezone = 'America/New_York';
SELECT passed, at, retention.rfm_score('2024-03-01 00:00+00'::timestamptz + passed, 1, 1, cuts, at => '2024-05-01 00:00+00'::timestamptz + passed) AS on_a_cut_point,
	retention.rfm_score('2024-03-01 00:00+00'::timestamptz + passed - interval '1 microsecond', 1, 1, cuts, at => '2024-05-01 00:00+00'::timestamptz + passed) AS before_it
FROM cuts, LATERAL (SELECT h * interval '1 hour' AS passed, '2024-05-01 00:00+00'::timestamptz + h * interval '1 hour' AS at FROM unnest('{0,1,4799,-2399}'::integer[]) AS h) AS m;
RESET timezone;
-- Who does not buy scores less and less.
SELECT m AS months, (retention.rfm_score('2024-04-20 00:00+00', 1, 1, cuts, '2024-05-01 00:00+00'::timestamptz + m * interval '1 month')).recency
FROM cuts, generate_series(0, 4) AS m ORDER BY m;
-- Where a moment is not known, or is none, nothing moves.
SELECT at, at_of_cuts, retention.rfm_score('2024-03-15 00:00+00', 9, 1000.49, ROW((cuts).recency, (cuts).frequency, (cuts).monetary, at_of_cuts)::retention.rfm_cuts, at) AS score
FROM cuts, (
	VALUES
		(NULL::timestamptz, '2024-05-01 00:00+00'::timestamptz),
		('2025-05-01 00:00+00', NULL),
		('infinity', '2024-05-01 00:00+00'),
		('2025-05-01 00:00+00', '-infinity'),
		('2025-05-01 00:00+00', '2024-05-01 00:00+00')
	) AS v (at, at_of_cuts);
-- Scores that nobody reached begin at infinity, at any moment.
SELECT retention.rfm_score('2030-01-01 00:00+00', 9, 9, ROW('{2024-01-01 00:00+00,infinity,infinity,infinity}'::timestamptz[], NULL, NULL, '2024-05-01 00:00+00')::retention.rfm_cuts, '2030-01-02 00:00+00') AS score;
-- A date is read in the session's time zone, as the comment says.
SET timezone = 'Asia/Tokyo';
SELECT retention.rfm_score(date '2024-03-01', 1, 1, cuts) AS in_tokyo, retention.rfm_score(date '2024-03-01'::timestamp AT TIME ZONE 'UTC', 1, 1, cuts) AS by_utc FROM cuts;
RESET timezone;

-- The global grid: recency down, (frequency + monetary) / 2 rounded up across.
SELECT r AS recency, retention.rfm_segment(r, 1, 1) AS "1", retention.rfm_segment(r, 2, 2) AS "2", retention.rfm_segment(r, 3, 3) AS "3",
	retention.rfm_segment(r, 4, 4) AS "4", retention.rfm_segment(r, 5, 5) AS "5"
FROM generate_series(5, 1, -1) AS r;
SELECT retention.rfm_segment(5, 3, 4) AS rounded_up, retention.rfm_segment(5, 1, 5) AS three, retention.rfm_segment(2, 4, 5) AS five;
SELECT scheme, count(*) AS cells, count(DISTINCT segment) AS segments FROM retention.rfm_segment_default GROUP BY 1 ORDER BY 1;
-- Both schemes have Chinese and English names, and a line of advice in both.
SELECT scheme, segment_zh, segment_en, min(advice) AS advice, min(advice_zh) AS advice_zh
FROM retention.rfm_segment_default GROUP BY 1, 2, 3 ORDER BY 1, 3;
SELECT scheme, count(DISTINCT segment_en) AS names, count(DISTINCT advice) AS advice, count(DISTINCT advice_zh) AS advice_zh, bool_and(advice !~ E'[\n。]' AND advice_zh !~ E'\n') AS one_line
FROM retention.rfm_segment_default GROUP BY 1 ORDER BY 1;

-- The eight classes: a score above 3 is high.
SELECT r, f, m, retention.rfm_segment(r, f, m, 'cn8') AS class
FROM (VALUES (3), (4)) AS r(r), (VALUES (3), (4)) AS f(f), (VALUES (3), (4)) AS m(m) ORDER BY r DESC, m DESC, f DESC;

-- A score as such; NULL in, NULL out; what is not a score or a scheme.
SELECT retention.rfm_segment(ROW(5, 5, 5)::retention.rfm_score), retention.rfm_segment(ROW(1, 1, 1)::retention.rfm_score, 'cn8'),
	retention.rfm_segment(ROW(1, NULL, 1)::retention.rfm_score) AS no_frequency, retention.rfm_segment(1, NULL, 1) AS no_frequency,
	retention.rfm_segment(NULL::retention.rfm_score) AS no_score;
SELECT retention.rfm_segment(retention.rfm_score(c, c, c) OVER (), scheme => 'cn8') FROM generate_series(1, 2) AS c;
SELECT retention.rfm_segment(6, 1, 1);
SELECT retention.rfm_segment(1, 0, 1);
SELECT retention.rfm_segment(ROW(1, 1, -1)::retention.rfm_score);
SELECT retention.rfm_segment(1, 1, 1, 'cn9');
SELECT retention.rfm_segment(1, 1, 1, 'cn');
SELECT retention.rfm_segment(1, 1, 1, '');

-- A shop's own names count at once, and are forgotten when rolled back.
BEGIN;
INSERT INTO retention.rfm_segment_override VALUES ('global', 5, 5, 5, 'Best Friends', '好友');
SELECT retention.rfm_segment(5, 5, 5), retention.rfm_segment(5, 5, 4);
SAVEPOINT renamed;
UPDATE retention.rfm_segment_override SET segment = 'Best Friends For Ever';
SELECT retention.rfm_segment(5, 5, 5);
ROLLBACK TO renamed;
SELECT retention.rfm_segment(5, 5, 5);
INSERT INTO retention.rfm_segment_override VALUES ('mine', 1, 1, 1, 'Strangers', NULL);
SELECT retention.rfm_segment(1, 1, 1, 'mine'), retention.rfm_segment(1, 1, 2, 'mine') AS unnamed;
ROLLBACK;
SELECT retention.rfm_segment(5, 5, 5);
SELECT retention.rfm_segment(1, 1, 1, 'mine');
INSERT INTO retention.rfm_segment_override VALUES ('global', 6, 5, 5, 'Off the grid', NULL);

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA rfm_test CASCADE;
