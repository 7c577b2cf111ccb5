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

-- rfm_cuts_of() tells where each score begins, if anybody has it or a better one.
CREATE VIEW edges AS
SELECT kind, n, ROW(array_agg(last ORDER BY s), array_agg(purchases ORDER BY s), array_agg(spent ORDER BY s), '2024-06-01 00:00+00')::retention.rfm_cuts AS cuts
FROM (
	SELECT kind, n, s, coalesce(min(last) FILTER (WHERE recency >= s), 'infinity') AS last,
		coalesce(min(purchases) FILTER (WHERE frequency >= s), 9223372036854775807) AS purchases, coalesce(min(spent) FILTER (WHERE monetary >= s), 'infinity') AS spent
	FROM defined, generate_series(2, 5) AS s
	GROUP BY kind, n, s
) AS edge
GROUP BY kind, n;
SELECT kind, n, ours.cuts, edges.cuts AS plain
FROM (SELECT kind, n, retention.rfm_cuts_of(retention.rfm_collect(last, purchases, spent), '2024-06-01 00:00+00') AS cuts FROM customer WHERE kind <> 'large' GROUP BY kind, n) AS ours
JOIN edges USING (kind, n)
WHERE ours.cuts IS DISTINCT FROM edges.cuts;
SELECT cuts FROM edges WHERE kind = 'two values' AND n = 5;

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

-- And so their cut points, by which all get the scores they have.
SELECT kind, n, count(*)
FROM (
	SELECT kind, n, max(e.paid_at) AS last, count(*) AS purchases, sum(e.amount) AS spent,
		retention.rfm_score(max(e.paid_at), count(*), sum(e.amount)) OVER (PARTITION BY kind, n) AS score
	FROM history, retention.entries(history) AS e
	GROUP BY kind, n, c
) AS scored
JOIN (SELECT kind, n, retention.rfm_cuts_of(retention.rfm_collect(history, '2100-01-01')) AS cuts FROM history GROUP BY kind, n) AS frozen USING (kind, n)
WHERE retention.rfm_score(last, purchases, spent, cuts) <> score
GROUP BY kind, n;

-- Seen from now, when nothing else is said.
SET retention.clock = '2024-01-01 00:00:30';
SELECT retention.rfm_matrix(history) = retention.rfm_matrix(history, '2024-01-01 00:00:30') AS now,
	retention.rfm_matrix(history, NULL) = retention.rfm_matrix(history, '2024-01-01 00:00:30') AS null_is_now
FROM history WHERE kind = 'in order' AND n = 99;
SELECT (retention.rfm_cuts_of(state)).at AS now, (retention.rfm_cuts_of(state, NULL)).at AS null_is_now, (retention.rfm_cuts_of(state, at => '2024-02-03')).at AS other
FROM (SELECT retention.rfm_collect('2024-01-01'::timestamptz, 1, 1) AS state) AS s;
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
SELECT retention.rfm_cuts_of(NULL::retention.rfm_totals) IS NULL AS null_state, retention.rfm_cuts_of(NULL::retention.rfm_orders) IS NULL AS null_state,
	retention.rfm_cuts_of(retention.rfm_collect('{}'::retention.purchase_history, '2024-01-01'), '2024-01-01') AS nobody;
SELECT retention.rfm_cuts_of(retention.rfm_collect('2024-01-01'::timestamptz, 1, 1), 'infinity');
SELECT retention.rfm_matrix(last, 1, 1) FROM (VALUES ('infinity'::timestamptz)) AS v (last);
-- Money owed that needs more than 64 bits, once others have cents.
SELECT retention.rfm_matrix('2024-01-01', 1, spent), (retention.rfm_cuts_of(retention.rfm_collect('2024-01-01', 1, spent))).monetary
FROM (VALUES (-9000000000000000000), (-8999999999999999999), (0.01)) AS v (spent);
SELECT retention.rfm_matrix('2024-01-01', 1, spent) FROM (VALUES ('NaN'::numeric)) AS v (spent);
SELECT retention.rfm_matrix('2024-01-01', 1, spent) FROM (VALUES (1e30)) AS v (spent);
SELECT retention.rfm_matrix('{2024-01-01=1}'::retention.purchase_history, 'infinity');

-- Any byte changed or cut off: an error or a state, never a crash.
SELECT ''::retention.rfm_totals;
SELECT 'zz'::retention.rfm_totals;
CREATE FUNCTION little_endian(n bigint, bytes integer) RETURNS text
	LANGUAGE SQL
RETURN (SELECT string_agg(substr(lpad(to_hex(n), 16, '0'), 17 - 2 * i, 2), '' ORDER BY i) FROM generate_series(1, bytes) AS i);
-- A column's head, and a block of customers with four columns and their bits.
CREATE FUNCTION head(width integer, low bigint DEFAULT 0, high bigint DEFAULT 0) RETURNS text
	LANGUAGE SQL
RETURN little_endian(width, 1) || little_endian(low, 8) || little_endian(high, 8);
CREATE FUNCTION block(customers integer DEFAULT 1, scale integer DEFAULT 0, unit integer DEFAULT 5,
	customer text DEFAULT head(0), last text DEFAULT head(0), purchases text DEFAULT head(0, 1, 1), units text DEFAULT head(0), bits text DEFAULT '') RETURNS text
	LANGUAGE SQL
RETURN little_endian(customers, 2) || little_endian(scale, 1) || little_endian(unit, 1) || customer || last || purchases || units || bits || repeat('00', 7);
CREATE FUNCTION totals(scale integer, customers integer, blocks text DEFAULT '') RETURNS retention.rfm_totals
	LANGUAGE SQL
RETURN ('01' || little_endian(scale, 1) || lpad(to_hex(customers), 16, '0') || blocks)::retention.rfm_totals;
SELECT retention.rfm_matrix(totals(0, 0)) AS nobody, retention.rfm_matrix(totals(0, 1, block())) AS one,
	retention.rfm_matrix(totals(0, 3, block(3, units => head(2, 0, 2), bits => '24'))) AS three;
-- A version and a scale that there are not, and a scale with nothing to scale.
SELECT ('02' || repeat('00', 9))::retention.rfm_totals;
SELECT totals(19, 0);
SELECT totals(5, 0);
-- More customers than there are, and fewer.
SELECT totals(0, 5);
SELECT totals(0, 0, block());
-- Nobody in a block, too many, and a scale that is greater than that of all.
SELECT totals(0, 0, block(0));
SELECT totals(0, 1025, block(1025));
SELECT totals(0, 1, block(scale => 1));
SELECT totals(0, 1, block(scale => 19));
-- An unknown unit, numbers of unknown length, and ends that are not in order.
SELECT totals(0, 1, block(unit => 6));
SELECT totals(0, 1, block(purchases => head(57), bits => repeat('00', 8)));
SELECT totals(0, 1, block(last => head(128), bits => repeat('00', 16)));
SELECT totals(0, 1, block(purchases => head(0, 1, 0)));
-- Times that no timestamp can be.
SELECT totals(0, 1, block(last => head(0, 9223372036854775807, 9223372036854775807)));
SELECT totals(0, 1, block(last => head(0, -9223372036854775808, 0)));
-- Columns that end too early, and a number beyond the greatest.
SELECT totals(0, 100, block(100, purchases => head(56, 0, 1)));
SELECT totals(0, 3, block(3, units => head(2, 0, 2), bits => '3f'));
SELECT totals(0, 3, block(3, unit => 0, last => head(2, 211813488000000000 - 1, 211813488000000000), bits => '3f'));
-- Written as short as can be, from the least number, with no bits beside.
SELECT totals(0, 1, block(units => head(2), bits => '00'));
SELECT totals(0, 3, block(3, units => head(2, 0, 3), bits => '24'));
SELECT totals(0, 3, block(3, unit => 0, units => head(2, 0, 2), bits => '24'));
SELECT totals(0, 3, block(3, units => head(2, 0, 2), bits => 'e4'));
SELECT totals(0, 2, block() || block());
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

-- ---------------------------------------------------------------------------
-- From one row an order
-- ---------------------------------------------------------------------------

RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
SELECT setseed(0.25);
CREATE TABLE orders AS
SELECT n, CASE WHEN n % 50 > 0 THEN floor(3000 * random() ^ 2)::integer END AS customer,
	CASE WHEN n % 60 > 0 THEN timestamptz '2023-01-01' + floor(random() * 365 * 24) * interval '1 hour' END AS paid_at,
	CASE WHEN n % 70 > 0 THEN round((random() * 100)::numeric, n % 4) END AS amount
FROM generate_series(1, 30000) AS n;
CREATE TABLE one_pass AS
WITH totals AS (
	SELECT customer, max(paid_at) AS last, count(*) AS purchases, sum(amount) AS spent
	FROM orders WHERE customer IS NOT NULL AND paid_at IS NOT NULL AND amount IS NOT NULL GROUP BY customer
)
SELECT retention.rfm_matrix(last, purchases, spent) AS cells FROM totals;
SELECT
	retention.rfm_matrix(customer, paid_at, amount) = cells AS integer,
	retention.rfm_matrix(customer::bigint * 4294967296, paid_at, amount) = cells AS bigint,
	retention.rfm_matrix('customer ' || customer, paid_at, amount) = cells AS text,
	retention.rfm_matrix(repeat('customer', 30) || customer, paid_at, amount) = cells AS long_text,
	retention.rfm_matrix(lpad(customer::text, 32, '0')::uuid, paid_at, amount) = cells AS uuid,
	retention.rfm_matrix(customer::numeric / 7, paid_at, amount) = cells AS numeric
FROM orders, one_pass GROUP BY cells;
SELECT integer = totals AS integer, text = totals AS text, merged = totals AS merged, (totals).at
FROM (
	SELECT retention.rfm_cuts_of(retention.rfm_collect(customer, paid_at, amount), '2024-01-01 00:00+00') AS integer,
		retention.rfm_cuts_of(retention.rfm_collect('customer ' || customer, paid_at, amount), '2024-01-01 00:00+00') AS text
	FROM orders
) AS of_orders, (
	SELECT retention.rfm_cuts_of(retention.merge(part), '2024-01-01 00:00+00') AS merged FROM (SELECT retention.rfm_collect(customer, paid_at, amount) AS part FROM orders GROUP BY n % 7) AS parts
) AS of_parts, (
	SELECT retention.rfm_cuts_of(retention.rfm_collect(last, purchases, spent), '2024-01-01 00:00+00') AS totals
	FROM (
		SELECT max(paid_at) AS last, count(*) AS purchases, sum(amount) AS spent
		FROM orders WHERE customer IS NOT NULL AND paid_at IS NOT NULL AND amount IS NOT NULL GROUP BY customer
	) AS t
) AS of_totals;
SELECT (retention.rfm_matrix(retention.merge(part))) = cells AS merged, (retention.rfm_matrix(retention.merge(part::text::retention.rfm_orders))) = cells AS merged_as_text
FROM (SELECT retention.rfm_collect(customer, paid_at, amount) AS part FROM orders GROUP BY n % 7) AS parts, one_pass GROUP BY cells;
SELECT (retention.rfm_matrix(retention.merge(part::text::retention.rfm_orders))) = cells AS merged_as_text
FROM (SELECT retention.rfm_collect('customer ' || customer, paid_at, amount) AS part FROM orders GROUP BY n % 3) AS parts, one_pass GROUP BY cells;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
ALTER TABLE orders SET (parallel_workers = 2);
SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT retention.rfm_matrix(customer, paid_at, amount) FROM orders;
SELECT (SELECT retention.rfm_matrix(customer, paid_at, amount) FROM orders) = cells AS integer,
	(SELECT retention.rfm_matrix('customer ' || customer, paid_at, amount) FROM orders) = cells AS text
FROM one_pass;

-- Among so many customers some have one hash; each is in two of three parts, of which one has finer amounts.
WITH parts AS (
	SELECT retention.rfm_collect(c, timestamptz '2024-01-01' + c * interval '1 minute', CASE part WHEN 0 THEN 1 ELSE 0.25 * part END) AS state
	FROM generate_series(1, 300000) AS c, generate_series(0, 2) AS part
	WHERE c % 3 <> part
	GROUP BY part
)
SELECT sum(customers) AS customers, sum(spent) AS spent, sum(customers) FILTER (WHERE recency = 5) AS latest
FROM (SELECT (unnest(retention.rfm_matrix(retention.merge(state)))).* FROM parts) AS cells;
SELECT (retention.rfm_matrix(c, '2024-01-01'::timestamptz, 1))[1].customers AS customers FROM generate_series(1, 300000) AS c;
SELECT retention.rfm_matrix(c, '2024-01-01'::timestamptz + c * interval '1 hour', c % 1000) =
	retention.rfm_matrix('customer ' || c, '2024-01-01'::timestamptz + c * interval '1 hour', c % 1000) AS as_text
FROM generate_series(1, 300000) AS c;

-- However the customers' numbers lie, and in whatever order they come.
CREATE TABLE numbered AS
SELECT pattern, part, customer, timestamptz '2024-01-01' + c % 90000 * interval '1 hour' AS paid_at, c % 1000 + part AS amount
FROM generate_series(1, 2) AS part, generate_series(1, 110000) AS c, LATERAL (VALUES
	('one after the other', 60000 + c::bigint),
	('from above', 1000000000 - c::bigint),
	('to both sides', 1000000000 + CASE c % 2 WHEN 0 THEN c ELSE -c END),
	('gaps', 5 * c::bigint),
	('far ones late', CASE WHEN c > 109990 THEN 1000000000 * c::bigint ELSE c END),
	('around zero', c::bigint - 55000),
	('up to the greatest', -c::bigint)
) AS p (pattern, customer)
ORDER BY pattern, part, CASE part WHEN 1 THEN c ELSE c % 1000 END;
SELECT pattern, retention.rfm_matrix(customer, paid_at, amount) = retention.rfm_matrix(customer::text, paid_at, amount) AS as_text
FROM numbered GROUP BY pattern ORDER BY pattern;
-- States of numbers side by side, and of others, with customers of both, merged in any order.
WITH parts AS (
	SELECT retention.rfm_collect(customer, paid_at, amount) AS state, part
	FROM numbered WHERE pattern = 'one after the other' GROUP BY part
	UNION ALL
	SELECT retention.rfm_collect(customer, paid_at, amount), NULL
	FROM numbered WHERE pattern IN ('gaps', 'up to the greatest') AND customer % 100 = 0
)
SELECT retention.rfm_matrix(retention.merge(state ORDER BY part)) = whole.cells AS numbers_first,
	retention.rfm_matrix(retention.merge(state ORDER BY part NULLS FIRST)) = whole.cells AS others_first
FROM parts, (
	SELECT retention.rfm_matrix(customer::text, paid_at, amount) AS cells FROM numbered
	WHERE pattern = 'one after the other' OR (pattern IN ('gaps', 'up to the greatest') AND customer % 100 = 0)
) AS whole
GROUP BY whole.cells;
-- Numbers side by side are passed on in fewer bytes.
SELECT pg_column_size(retention.rfm_collect(customer, paid_at, 1)) * 3 < pg_column_size(retention.rfm_collect(1000003 * customer, paid_at, 1)) * 2 AS fewer_bytes
FROM numbered WHERE pattern = 'one after the other';

-- A finer amount that comes late; the state goes on after each result, and after each copy of it.
SELECT n, retention.rfm_matrix(customer, timestamptz '2024-01-01', amount) OVER (ORDER BY n)
FROM (VALUES (1, 'a', 10), (2, 'b', 10.001), (3, 'a', 0.25), (4, 'c', 100000)) AS v (n, customer, amount);
SELECT n, retention.rfm_matrix(state)
FROM (
	SELECT n, retention.rfm_collect(customer, timestamptz '2024-01-01', amount) OVER (ORDER BY n) AS state
	FROM (VALUES (1, 'a', 10), (2, 'b', 10.001), (3, 'a', 0.25), (4, 'c', 100000)) AS v (n, customer, amount)
) AS states;

SELECT retention.rfm_matrix(customer, paid_at, amount) IS NULL AS nothing FROM orders WHERE customer IS NULL;
SELECT retention.rfm_matrix(1, 'infinity'::timestamptz, 1.0);
SELECT retention.rfm_matrix(1, '2024-01-01'::timestamptz, -1.0);
SELECT retention.rfm_matrix(1, '2024-01-01'::timestamptz, 'NaN'::numeric);
SELECT retention.rfm_matrix(1, '2024-01-01'::timestamptz, amount) FROM (VALUES (9000000000000000000.0), (9000000000000000000.0)) AS v (amount);
SELECT retention.rfm_matrix(c, '2024-01-01'::timestamptz, 1.0) FROM (VALUES ('(1,1)'::point)) AS v (c);
SELECT retention.rfm_matrix(retention.merge(s ORDER BY n))
FROM (SELECT 1 AS n, retention.rfm_collect(1, '2024-01-01'::timestamptz, 1.0) AS s UNION ALL SELECT 2, retention.rfm_collect('a'::text, '2024-01-01'::timestamptz, 1.0)) AS two;
SELECT ''::retention.rfm_orders;
SELECT '02'::retention.rfm_orders;
CREATE FUNCTION read_orders(bytes bytea) RETURNS text
	LANGUAGE plpgsql
	AS $$
DECLARE
	s retention.rfm_orders;
BEGIN
	s := encode(bytes, 'hex')::retention.rfm_orders;
	PERFORM retention.rfm_matrix(s), retention.rfm_matrix(retention.merge(v)) FROM unnest(ARRAY[s, s]) AS v;
	RETURN 'state';
EXCEPTION WHEN others THEN
	-- Names of types and collations may be misspelt in many ways.
	RETURN CASE WHEN SQLSTATE ~ '^XX' THEN SQLERRM ELSE 'error' END;
END
$$;
SELECT read_orders(substr(bytes, 1, length(bytes) - 1)) AS cut, read_orders(bytes || '\x00') AS longer, read_orders(bytes) AS whole,
	(SELECT array_agg(DISTINCT read_orders(set_byte(bytes, i, b))) FROM generate_series(0, length(bytes) - 1) AS i, unnest('{0,1,5,127,128,255}'::integer[]) AS b) AS one_byte,
	(SELECT array_agg(DISTINCT read_orders(substr(bytes, 1, i))) FROM generate_series(1, length(bytes) - 1) AS i) AS prefixes
FROM (
	SELECT retention.rfm_orders_send(retention.rfm_collect(customer, paid_at, amount)) AS bytes FROM orders WHERE n <= 20
	UNION ALL
	SELECT retention.rfm_orders_send(retention.rfm_collect(customer::text, paid_at, amount)) FROM orders WHERE n <= 20
) AS s;

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA rfm_matrix_test CASCADE;
