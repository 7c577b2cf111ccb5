-- repurchase_rate(customer): who bought twice, of those who bought at all.
CREATE SCHEMA repurchase_test;
SET search_path = repurchase_test, pg_catalog;

-- One row is one purchase, NULL is no customer, an empty group has no rate.
SELECT retention.repurchase_rate(c) FROM (VALUES (1), (1), (2), (3)) AS v(c);
SELECT retention.repurchase_rate(c) FROM (VALUES (1), (1), (2), (3), (NULL), (NULL)) AS v(c);
SELECT retention.repurchase_rate(c) AS once FROM (VALUES (1), (2)) AS v(c);
SELECT retention.repurchase_rate(c) AS all_twice FROM (VALUES (1), (2), (2), (2), (1)) AS v(c);
SELECT retention.repurchase_rate(NULL::integer) AS only_null FROM generate_series(1, 3);
SELECT retention.repurchase_rate(1) AS no_rows WHERE false;

-- 3000 customers; customer n has n % 4 purchases.
CREATE TABLE purchases AS
	SELECT n, i, pg_catalog.md5(n::text) AS hash
	FROM generate_series(1, 3000) AS n, generate_series(1, n % 4) AS i
	ORDER BY i, hash;
ANALYZE purchases;

-- Every kind of key: 1500 / 2250 whatever the type.
CREATE DOMAIN customer_number AS integer;
CREATE TYPE pair AS (a integer, b text);
CREATE COLLATION either_case (PROVIDER = icu, LOCALE = 'und-u-ks-level2', DETERMINISTIC = false);
SELECT
	retention.repurchase_rate(n) AS int4,
	retention.repurchase_rate(n::smallint) AS int2,
	retention.repurchase_rate(n - 9223372036854775807) AS int8,
	retention.repurchase_rate(n::oid) AS oid,
	retention.repurchase_rate(date '2000-01-01' + n) AS date,
	retention.repurchase_rate(n::customer_number) AS domain
FROM purchases;
SELECT
	retention.repurchase_rate(hash) AS text,
	retention.repurchase_rate(repeat(hash, i * 100) || repeat(hash, 300 - i * 100)) AS long_text,
	retention.repurchase_rate(hash::varchar) AS varchar,
	retention.repurchase_rate(hash::bytea) AS bytea,
	retention.repurchase_rate(hash::uuid) AS uuid
FROM purchases;
SELECT
	retention.repurchase_rate(round(n::numeric, i)) AS numeric,
	retention.repurchase_rate(n::float8) AS float8,
	retention.repurchase_rate((n || repeat(' ', i))::char(8)) AS bpchar,
	retention.repurchase_rate(('c' || n)::name) AS name,
	retention.repurchase_rate(ARRAY[n, NULL]) AS int_array,
	retention.repurchase_rate(ARRAY[hash]) AS text_array,
	retention.repurchase_rate(int4range(n, n + 1)) AS range,
	retention.repurchase_rate(pg_catalog.jsonb_build_object('id', n)) AS jsonb,
	retention.repurchase_rate(ROW(n, hash)::pair) AS composite,
	retention.repurchase_rate(CASE WHEN i = 1 THEN upper(hash) ELSE hash END COLLATE either_case) AS any_case,
	retention.repurchase_rate(CASE WHEN i = 1 THEN upper('a' || hash) ELSE 'a' || hash END) AS own_case
FROM purchases;
SELECT retention.repurchase_rate(n % 2 = 0) AS boolean FROM purchases;

-- Equality is the type's own: 0 and -0 are one, so are 1.0 and 1.00.
SELECT
	retention.repurchase_rate(f) AS float8,
	retention.repurchase_rate(m) AS numeric,
	retention.repurchase_rate(t) AS text
FROM (VALUES ('0'::float8, 1.0, 'a'), ('-0', 1.00, 'A'), ('NaN', 2, 'a '), ('NaN', 3, 'b')) AS v(f, m, t);

-- Types that cannot be told apart by hash are refused, by name.
SELECT retention.repurchase_rate(point(1, 2));
SELECT retention.repurchase_rate(ARRAY[point(1, 2)]);
SELECT retention.repurchase_rate('x'::xml);

-- By group, and by group in a hash that does not fit its memory.
SELECT n % 4 AS purchases, retention.repurchase_rate(n) FROM purchases GROUP BY 1 ORDER BY 1;
SELECT i, retention.repurchase_rate(n) AS within_i, retention.repurchase_rate(n % 1000) AS thousands
FROM purchases GROUP BY ROLLUP (i) ORDER BY 1;
SET work_mem = '64kB';
SELECT count(*), sum(rate) FROM (SELECT retention.repurchase_rate(n % 5) AS rate FROM purchases GROUP BY n % 701) AS g;
SELECT count(*), sum(rate) FROM (
	SELECT count(*) FILTER (WHERE k >= 2)::numeric / count(*) AS rate
	FROM (SELECT n % 701 AS g, n % 5 AS c, count(*) AS k FROM purchases GROUP BY 1, 2) AS per_customer
	GROUP BY g) AS g;
RESET work_mem;

-- As a window aggregate the rate so far, and over a moving frame.
SELECT day, customer,
	round(retention.repurchase_rate(customer) OVER (ORDER BY day), 3) AS so_far,
	round(retention.repurchase_rate(customer) OVER (ORDER BY day ROWS 2 PRECEDING), 3) AS three_rows,
	round(retention.repurchase_rate(name) OVER (ORDER BY day), 3) AS so_far_text
FROM (VALUES (1, 7, 'a'), (2, 8, 'b'), (3, 7, 'a'), (4, NULL, NULL), (5, 8, 'b'), (6, 9, 'c')) AS v(day, customer, name)
ORDER BY day;
-- Large enough for keys to be waiting when the result is asked for.
SELECT count(*), sum(rate) = sum(plain) AS equal
FROM (
	SELECT retention.repurchase_rate(g % 9001) OVER (ORDER BY g) AS rate,
		greatest(g - 9001, 0)::numeric / least(g, 9001) AS plain
	FROM generate_series(1, 10000) AS g
) AS w;

SELECT count(*), sum(rate) = sum(plain) AS equal
FROM (
	SELECT retention.repurchase_rate('customer ' || g % 9001 || CASE WHEN g % 9001 % 50 = 1 THEN repeat('x', 60) ELSE '' END) OVER (ORDER BY g) AS rate,
		greatest(g - 9001, 0)::numeric / least(g, 9001) AS plain
	FROM (SELECT g FROM generate_series(1, 9050) AS g) AS g
) AS w;

-- DISTINCT, FILTER and ORDER BY inside the call.
SELECT
	retention.repurchase_rate(DISTINCT n) AS distinct,
	retention.repurchase_rate(n) FILTER (WHERE n % 4 <> 1) AS filtered,
	retention.repurchase_rate(n ORDER BY hash) AS ordered
FROM purchases;

-- Parallel: each worker's customers are merged whole.
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
ALTER TABLE purchases SET (parallel_workers = 2);
EXPLAIN (COSTS OFF)
SELECT retention.repurchase_rate(n) FROM purchases;
SET parallel_leader_participation = off;
SELECT
	retention.repurchase_rate(n) AS int4,
	retention.repurchase_rate(n::bigint) AS int8,
	retention.repurchase_rate(hash) AS text,
	retention.repurchase_rate(hash::uuid) AS uuid,
	retention.repurchase_rate(repeat(hash, 50)) AS long_text,
	retention.repurchase_rate(n::float8) AS float8,
	retention.repurchase_rate(n::numeric) AS numeric,
	retention.repurchase_rate(ARRAY[n]) AS int_array,
	retention.repurchase_rate(CASE WHEN i = 1 THEN upper(hash) ELSE hash END COLLATE either_case) AS any_case,
	retention.repurchase_rate(NULL::text) AS only_null,
	retention.repurchase_rate(ROW(n, hash)::pair) AS composite
FROM purchases;
SELECT i, retention.repurchase_rate(n % 1000) FROM purchases GROUP BY i ORDER BY i;
SET parallel_leader_participation = on;
SELECT retention.repurchase_rate(n), retention.repurchase_rate(hash) FROM purchases;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather;
RESET parallel_leader_participation;

-- States can be kept, and merged later: months into quarters.
CREATE TABLE kept AS
	SELECT i, retention.repurchase_collect(n % 1000) AS numbers, retention.repurchase_collect(hash) AS names
	FROM purchases GROUP BY i;
SELECT i, retention.repurchase_rate(numbers), retention.repurchase_rate(names) FROM kept ORDER BY i;
SELECT retention.repurchase_rate(retention.merge(numbers)), retention.repurchase_rate(retention.merge(names)) FROM kept;
SELECT retention.repurchase_rate(n % 1000), retention.repurchase_rate(hash) FROM purchases;
SELECT retention.merge(NULL::retention.repurchase_state) IS NULL AS nothing FROM kept;
SELECT retention.merge(s)
FROM (SELECT names AS s FROM kept UNION ALL SELECT numbers FROM kept) AS both_types;
SELECT retention.repurchase_rate(retention.merge(s))
FROM (
	SELECT retention.repurchase_collect(text 'a' COLLATE either_case) AS s
	UNION ALL
	SELECT retention.repurchase_collect(text 'A')
) AS both_collations;

-- As text and in binary, for other databases; what is read is checked.
SELECT retention.repurchase_collect(c) AS state FROM (VALUES ('ab'), ('ab')) AS v(c);
SELECT retention.repurchase_rate(retention.merge(s::text::retention.repurchase_state)) AS rate,
	sum(length(retention.repurchase_state_send(s::text::retention.repurchase_state)) - length(retention.repurchase_state_send(s))) AS lost
FROM (
	SELECT numbers AS s FROM kept
) AS k;
SELECT retention.repurchase_rate(retention.repurchase_collect(c)::text::retention.repurchase_state)
FROM (VALUES ('x' COLLATE either_case), ('X'), ('y')) AS v(c);
SELECT retention.repurchase_rate(retention.repurchase_collect(c)::text::retention.repurchase_state)
FROM (VALUES (1.0), (1.00), (2)) AS v(c);
SELECT ''::retention.repurchase_state;
SELECT 'hello'::retention.repurchase_state;
SELECT '02'::retention.repurchase_state;
CREATE FUNCTION forged(type text, count bigint, customers bytea) RETURNS retention.repurchase_state
	LANGUAGE sql
	RETURN encode('\x01'::bytea || convert_to(type, 'UTF8') || '\x0000' || int8send(count) || customers, 'hex')::retention.repurchase_state;
SELECT retention.repurchase_rate(forged('pg_catalog.int4', 2, '\x0100000004000000070200000004000000080000'));
SELECT retention.repurchase_rate(forged('pg_catalog.int4', 2, '\x010000000400000007020000000400000008'));
SELECT forged('pg_catalog.int4', 2, '\x010000000400000007020000000400000007');
SELECT forged('pg_catalog.int4', 1, '\x030000000400000007');
SELECT forged('pg_catalog.int4', 1, '\x0100000005000000070707');
SELECT forged('pg_catalog.int4', 1, '\x01000000050000000707');
SELECT forged('pg_catalog.int4', 1, '\x0100000002000700');
SELECT forged('pg_catalog.int4', 9, '\x010000000400000007');
SELECT forged('pg_catalog.int4', -1, '');
SELECT forged('pg_catalog.point', 1, '\x010000000400000007');
SELECT forged('pg_catalog.anyelement', 1, '\x010000000400000007');
SELECT forged('nothing_like_it', 1, '\x010000000400000007');

-- The transition functions belong to aggregates.
SELECT retention.repurchase_add(NULL, 1);
SELECT retention.repurchase_merge(NULL, NULL);

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA repurchase_test CASCADE;
