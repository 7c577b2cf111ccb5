-- rfm_matrix(), and how rfm_score() finds where each score begins.
CREATE SCHEMA rfm_matrix_test;
SET search_path = rfm_matrix_test, pg_catalog;
SET timezone = 'UTC';

-- Customers of every kind: few and many, equal values, far apart, heavy tails,
-- the ends of the range, cents and no cents, and what does not fit 64 bits.
CREATE TABLE customer AS
SELECT kind, n, c, timestamptz '2024-01-01' + last * interval '1 second' AS last, trunc(purchases::numeric)::bigint AS purchases, spent
FROM (VALUES (1), (4), (5), (6), (99), (5000)) AS size (n),
	generate_series(1, n) AS c,
	setseed(0.5),
	LATERAL (VALUES
		('equal', 7, 3, 10.50),
		('two values', c % 2, c % 2, c % 2),
		('in order', c, c, c + 0.25),
		('backwards', -c, -c, -c),
		('heavy tail', 9000000 / c, 1000000000000 / c::numeric ^ 2, round(100000000000 / c::numeric ^ 3, 2)),
		('one far away', CASE c WHEN 1 THEN 900000000 ELSE c % 7 END, CASE c WHEN 1 THEN 9223372036854775807 WHEN 2 THEN -9223372036854775808 ELSE c % 7 END, CASE c WHEN 1 THEN 92233720368547758 ELSE c % 7 END),
		('random', floor(random() * 100000000), floor(random() * 9)::numeric, round((random() * 5000)::numeric, 2)),
		('fine', c % 100, c, c::numeric / 1024),
		('large', c, c % 50, c * 1000000000000000000.5)
	) AS v (kind, last, purchases, spent);

-- rfm_score() as rank() has it.
CREATE VIEW defined AS
SELECT kind, n, c, last, purchases, spent,
	(1 + 5 * (rank() OVER (PARTITION BY kind, n ORDER BY last) - 1) / n)::integer AS recency,
	(1 + 5 * (rank() OVER (PARTITION BY kind, n ORDER BY purchases) - 1) / n)::integer AS frequency,
	(1 + 5 * (rank() OVER (PARTITION BY kind, n ORDER BY spent) - 1) / n)::integer AS monetary
FROM customer;
SELECT kind, n, count(*)
FROM (
	SELECT *, retention.rfm_score(last, purchases, spent) OVER (PARTITION BY kind, n) AS score FROM defined
) AS scored
WHERE score <> (recency, frequency, monetary)::retention.rfm_score
GROUP BY kind, n;

-- rfm_matrix() of totals, where the amounts are within its range.
CREATE VIEW expected AS
SELECT kind, n, recency, frequency, monetary, count(*) AS customers, sum(spent) AS spent
FROM defined
GROUP BY kind, n, recency, frequency, monetary;
CREATE VIEW found AS
SELECT kind, n, (cell).recency, (cell).frequency, (cell).monetary, (cell).customers, (cell).spent
FROM (
	SELECT kind, n, unnest(retention.rfm_matrix(last, purchases, spent)) AS cell
	FROM customer
	WHERE kind <> 'large'
	GROUP BY kind, n
) AS cells;
SELECT count(*) > 100 AS many FROM found;
(SELECT * FROM expected WHERE kind <> 'large' EXCEPT TABLE found) UNION ALL (TABLE found EXCEPT SELECT * FROM expected WHERE kind <> 'large');

-- Of histories: sums may be larger than any one amount.
CREATE TABLE history AS
SELECT kind, n, c, retention.purchase_history(last - i * interval '1 day', part) AS history
FROM customer, generate_series(0, c % 4) AS i,
	LATERAL (SELECT CASE WHEN kind = 'large' THEN 9000000000000000000 - c % 20 ELSE abs(spent) END) AS p (part)
WHERE n < 5000
GROUP BY kind, n, c;
CREATE FUNCTION differences(at timestamptz)
	RETURNS TABLE (kind text, n integer, recency integer, frequency integer, monetary integer, customers bigint, spent numeric)
	LANGUAGE SQL
AS $$
	WITH totals AS (
		SELECT kind, n, c, max(e.paid_at) AS last, count(*) AS purchases, sum(e.amount) AS spent
		FROM rfm_matrix_test.history, retention.entries(history) AS e
		WHERE e.paid_at <= at
		GROUP BY kind, n, c
	), scored AS (
		SELECT kind, n, spent, retention.rfm_score(last, purchases, spent) OVER (PARTITION BY kind, n) AS score FROM totals
	), expected AS (
		SELECT kind, n, (score).recency, (score).frequency, (score).monetary, count(*), sum(spent)
		FROM scored GROUP BY kind, n, score
	), found AS (
		SELECT kind, n, (cell).recency, (cell).frequency, (cell).monetary, (cell).customers, (cell).spent
		FROM (SELECT kind, n, unnest(retention.rfm_matrix(history, at)) AS cell FROM rfm_matrix_test.history GROUP BY kind, n) AS cells
	)
	(TABLE expected EXCEPT TABLE found) UNION ALL (TABLE found EXCEPT TABLE expected);
$$;
SELECT * FROM differences('2100-01-01');
SELECT * FROM differences('2024-01-01 00:00:30');
SELECT * FROM differences('2000-01-01');

-- Seen from now, when nothing else is said.
SET retention.clock = '2024-01-01 00:00:30';
SELECT retention.rfm_matrix(history) = retention.rfm_matrix(history, '2024-01-01 00:00:30') AS now,
	retention.rfm_matrix(history, NULL) = retention.rfm_matrix(history, '2024-01-01 00:00:30') AS null_is_now
FROM history WHERE kind = 'in order' AND n = 99;
RESET retention.clock;

-- Parts are merged in any order, and by parallel workers.
SELECT kind, count(*)
FROM (
	SELECT kind, n, retention.rfm_matrix(retention.merge(part)) AS merged
	FROM (SELECT kind, n, retention.rfm_collect(history, '2100-01-01') AS part FROM history GROUP BY kind, n, c % 3) AS parts
	GROUP BY kind, n
) AS a
JOIN (SELECT kind, n, retention.rfm_matrix(history, '2100-01-01') AS whole FROM history GROUP BY kind, n) AS b USING (kind, n)
WHERE merged <> whole
GROUP BY kind;
SELECT count(*) > 0 AS some, count(*) FILTER (WHERE s::text::retention.rfm_totals::text <> s::text) AS changed
FROM (SELECT retention.rfm_collect(history, '2100-01-01') AS s FROM history GROUP BY kind, n) AS states;
CREATE TABLE answer AS SELECT retention.rfm_matrix(history, '2100-01-01') AS serial FROM history WHERE kind <> 'large';
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
ALTER TABLE history SET (parallel_workers = 2);
EXPLAIN (COSTS OFF) SELECT retention.rfm_matrix(history, '2100-01-01') FROM history WHERE kind <> 'large';
SELECT (SELECT retention.rfm_matrix(history, '2100-01-01') FROM history WHERE kind <> 'large') = serial AS equal FROM answer;
RESET max_parallel_workers_per_gather;

-- As a window aggregate: the state goes on after each result.
SELECT c, cardinality(retention.rfm_matrix(history, '2100-01-01') OVER (ORDER BY c)) AS cells
FROM history WHERE kind = 'in order' AND n = 6 ORDER BY c;

-- Nothing.
SELECT retention.rfm_matrix(NULL::retention.purchase_history, '2024-01-01') IS NULL AS null_history,
	retention.rfm_matrix('{}'::retention.purchase_history, '2024-01-01') AS empty_history,
	retention.rfm_matrix(NULL::timestamptz, 1, 1) IS NULL AS null_totals;
SELECT retention.rfm_matrix(last, 1, 1) FROM (VALUES ('infinity'::timestamptz)) AS v (last);
SELECT retention.rfm_matrix('2024-01-01', 1, spent) FROM (VALUES ('NaN'::numeric)) AS v (spent);
SELECT retention.rfm_matrix('2024-01-01', 1, spent) FROM (VALUES (1e30)) AS v (spent);
SELECT retention.rfm_matrix('{2024-01-01=1}'::retention.purchase_history, 'infinity');

-- Any byte changed or cut off: an error or a state, never a crash.
SELECT ''::retention.rfm_totals;
SELECT 'zz'::retention.rfm_totals;
CREATE FUNCTION read(bytes bytea) RETURNS text
	LANGUAGE plpgsql
	AS $$
DECLARE
	s retention.rfm_totals;
BEGIN
	s := encode(bytes, 'hex')::retention.rfm_totals;
	PERFORM retention.rfm_matrix(s), retention.rfm_matrix(retention.merge(v)) FROM unnest(ARRAY[s, s]) AS v;
	RETURN 'state';
EXCEPTION WHEN invalid_binary_representation OR numeric_value_out_of_range THEN
	RETURN 'error';
END
$$;
SELECT read(substr(bytes, 1, length(bytes) - 1)) AS cut, read(bytes || '\x00') AS longer, read(bytes) AS whole,
	(SELECT array_agg(DISTINCT read(set_byte(bytes, i, b))) FROM generate_series(0, length(bytes) - 1) AS i, unnest('{0,1,5,127,128,255}'::integer[]) AS b) AS one_byte,
	(SELECT array_agg(DISTINCT read(substr(bytes, 1, i))) FROM generate_series(1, length(bytes) - 1) AS i) AS prefixes
FROM (SELECT retention.rfm_totals_send(retention.rfm_collect(history, '2024-04-01')) AS bytes FROM history WHERE kind = 'random' AND n = 6) AS s;

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA rfm_matrix_test CASCADE;
