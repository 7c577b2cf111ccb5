-- The type purchase_history by example: what it takes, what it says, what it
-- refuses.
SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE SCHEMA history_test;
SET search_path = history_test, pg_catalog;

-- ---------------------------------------------------------------------------
-- From orders
-- ---------------------------------------------------------------------------

CREATE TABLE orders (
	customer_id integer,
	paid_at timestamptz,
	amount numeric
);

INSERT INTO orders VALUES
	(1, '2024-03-01 10:00:00+00', 20),
	(1, '2024-01-01 00:00:00+00', 12.5),
	(1, NULL, 99),
	(2, '2024-02-29 23:59:59.999999+00', 0.00),
	(2, '2024-01-15 08:00:00+08', NULL),
	(3, NULL, 5),
	(4, '2024-05-05 12:00:00+00', 7),
	(4, '2024-05-05 12:00:00+00', 7),
	(4, '2024-05-05 12:00:00+00', 3);

-- Orders that are not paid, or without an amount, do not count; equal orders
-- are separate purchases; no order at all makes no history.
SELECT customer_id, retention.purchase_history(paid_at, amount)
FROM orders
GROUP BY customer_id
ORDER BY customer_id;

SELECT retention.purchase_history(paid_at, amount) IS NULL AS none
FROM orders
WHERE false;

-- Any order of rows gives the same history.
SELECT DISTINCT h
FROM (
	SELECT retention.purchase_history(paid_at, amount ORDER BY paid_at) FROM orders
	UNION ALL
	SELECT retention.purchase_history(paid_at, amount ORDER BY paid_at DESC) FROM orders
	UNION ALL
	SELECT retention.purchase_history(paid_at, amount ORDER BY amount) FROM orders
) AS made (h);

-- It can run over a window: what a customer had bought up to each order.
SELECT paid_at, retention.spent(retention.purchase_history(paid_at, amount) OVER (ORDER BY paid_at)) AS spent_so_far
FROM orders
WHERE customer_id = 1;

-- Dates and timestamps without time zone are in the session's zone.
SET timezone = 'Asia/Shanghai';
SELECT retention.purchase_history(day, amount)
FROM (VALUES (date '2024-01-01', 10), (date '2024-01-02', 20)) AS shop (day, amount);
SELECT retention.purchase_history(at, amount)
FROM (VALUES (timestamp '2024-01-01 08:00', 10)) AS shop (at, amount);
SET timezone = 'UTC';

-- ---------------------------------------------------------------------------
-- Questions
-- ---------------------------------------------------------------------------

CREATE TABLE history (
	name text PRIMARY KEY,
	h retention.purchase_history
);

INSERT INTO history VALUES
	('several', '{2024-01-01=12.50, 2024-02-01 08:30:00+00=20, 2024-02-01 08:30:00+00=3.25, 2024-03-01=0}'),
	('one', '{2024-01-01=7}'),
	('empty', '{}'),
	('null', NULL);

SELECT name, retention.purchases(h), retention.spent(h), retention.last_amount(h)
FROM history
ORDER BY name;

SELECT name, retention.first_purchase(h), retention.last_purchase(h)
FROM history
ORDER BY name;

-- From the first bound on and before the second; a NULL bound is no bound.
SELECT name, range, retention.bought(h, from_time, to_time), retention.spent_between(h, from_time, to_time)
FROM history, (VALUES
	(1, 'all', NULL, NULL),
	(2, 'from February', '2024-02-01 08:30:00+00', NULL),
	(3, 'before February', NULL, '2024-02-01 08:30:00+00'),
	(4, 'the instant', '2024-02-01 08:30:00+00', '2024-02-01 08:30:00.000001+00'),
	(5, 'nothing', '2024-02-01 08:30:00+00', '2024-02-01 08:30:00+00'),
	(6, 'backwards', '2024-03-01 00:00:00+00', '2024-01-01 00:00:00+00'),
	(7, 'infinite', '-infinity', 'infinity')
) AS ranges (no, range, from_text, to_text),
	LATERAL (SELECT from_text::timestamptz, to_text::timestamptz) AS bounds (from_time, to_time)
WHERE name <> 'one'
ORDER BY name, no;

-- Of purchases at one instant the largest comes last.
SELECT retention.last_amount('{2024-01-01=7, 2024-01-01=300, 2024-01-01=20}');

SELECT name, entries.*
FROM history, retention.entries(h)
ORDER BY name, paid_at, amount;

SELECT name, retention.entries(h)
FROM history
WHERE name = 'several';

-- Sums are exact, whatever their size.
SELECT retention.spent(retention.purchase_history(timestamptz '2024-01-01 00:00:00+00', 9223372036854775807)) AS spent,
	retention.spent_between(retention.purchase_history(timestamptz '2024-01-01 00:00:00+00', 9223372036854775807), NULL, NULL) AS spent_between
FROM generate_series(1, 3);

-- ---------------------------------------------------------------------------
-- Changes
-- ---------------------------------------------------------------------------

SELECT retention.append('{}', '2024-01-01 00:00:00+00', 5);
SELECT retention.append('{2024-01-01=5}', '2024-02-01 00:00:00+00', 7.25);
SELECT retention.append('{2024-02-01=7.25}', '2024-01-01 00:00:00+00', 5);
SELECT retention.append(NULL, '2024-01-01 00:00:00+00', 5) IS NULL AS "null history",
	retention.append('{}', NULL, 5) IS NULL AS "null time",
	retention.append('{}', '2024-01-01 00:00:00+00', NULL) IS NULL AS "null amount";

-- One of two equal purchases goes; the rest is as if it never had been there.
SELECT retention.remove('{2024-01-01=5, 2024-01-01=5, 2024-02-01=7.25}', '2024-01-01 00:00:00+00', 5.00);
SELECT retention.remove('{2024-01-01=5, 2024-02-01=7.25}', '2024-02-01 00:00:00+00', 7.25);
SELECT retention.remove('{2024-01-01=5}', '2024-01-01 00:00:00+00', 5);
SELECT retention.remove(NULL, '2024-01-01 00:00:00+00', 5) IS NULL AS "null history";

SELECT retention.remove('{2024-01-01=5}', '2024-01-01 00:00:00+00', 5.01);
SELECT retention.remove('{2024-01-01=5}', '2024-01-01 00:00:01+00', 5);
SELECT retention.remove('{2024-01-01=5}', '2024-01-01 00:00:00+00', -5);
SELECT retention.remove('{2024-01-01=5}', '2024-01-01 00:00:00+00', 1e30);
-- 10 times this is 6 in 64 bits, the units of 0.6.
SELECT retention.remove('{2024-01-01=0.6}', '2024-01-01 00:00:00+00', 7378697629483820647);
SELECT retention.remove('{}', '2024-01-01 00:00:00+00', 5);

-- Two into one: by function, by operator, by aggregate.
SELECT retention.merge('{2024-01-01=5, 2024-03-01=1}', '{2024-02-01=2.5, 2024-03-01=1}');
SELECT a.h OPERATOR(retention.||) b.h AS merged
FROM history AS a, history AS b
WHERE a.name = 'one' AND b.name = 'several';
SELECT retention.merge(h) FROM history;
SELECT retention.merge(h) FROM history WHERE name = 'empty';
SELECT retention.merge(h) IS NULL AS none FROM history WHERE name = 'null';
SELECT retention.merge(h, NULL) IS NULL AS "null" FROM history WHERE name = 'one';

-- ---------------------------------------------------------------------------
-- Text
-- ---------------------------------------------------------------------------

-- Times without offset are in UTC; output is in UTC; no setting matters.
SET timezone = 'America/New_York';
SET datestyle = 'German, DMY';
SELECT '{2024-07-01=1, 2024-07-01 12:00=2, 2024-07-01T12:00:30Z=3, 2024-07-01 12:00:00.25+02=4, 2024-07-01 12:00:00-03:30=5, 2024-07-01 00:00:00+08:05:43=6}'::retention.purchase_history;
SELECT ' { 2024-07-01  =  1 ,2024-06-01=2 } '::retention.purchase_history;
SET datestyle = 'ISO';
SET timezone = 'UTC';

-- The whole range of timestamptz.
SELECT '{4714-11-24 BC=1, 0001-12-31 23:59:59 BC=2, 0001-01-01=3, 1582-10-15=4, 1999-12-31 23:59:59.999999=5, 2000-01-01=6, 294276-12-31 23:59:59.999999=7}'::retention.purchase_history;

-- What is not a history, and why.
CREATE FUNCTION refusal(statement text)
	RETURNS TABLE (code text, message text, detail text, hint text)
	LANGUAGE plpgsql
AS $$
BEGIN
	EXECUTE statement;
	message := 'taken';
	RETURN NEXT;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS
		code = RETURNED_SQLSTATE,
		message = MESSAGE_TEXT,
		detail = PG_EXCEPTION_DETAIL,
		hint = PG_EXCEPTION_HINT;
	RETURN NEXT;
END
$$;

SELECT text, code, message, detail
FROM pg_catalog.unnest(ARRAY[
	'',
	'2024-01-01=5',
	'{',
	'{2024-01-01=5',
	'{2024-01-01=5,',
	'{2024-01-01=5,}',
	'{,2024-01-01=5}',
	'{2024-01-01=5} x',
	'{2024-01-01}',
	'{2024-01-01=}',
	'{2024-01-01=five}',
	'{2024-01-01=5; 2024-01-02=6}',
	'{2024-01-01=5 2024-01-02=6}',
	'{today=5}',
	'{infinity=5}',
	'{01/02/2024=5}',
	'{2024-1-1=5}',
	'{2024-02-30=5}',
	'{2023-02-29=5}',
	'{2024-13-01=5}',
	'{2024-00-01=5}',
	'{0000-01-01=5}',
	'{2024-01-01 24:00=5}',
	'{2024-01-01 12:60=5}',
	'{2024-01-01 12:00:60=5}',
	'{2024-01-01 12:00:00.1234567=5}',
	'{2024-01-01 12:00:00+16=5}',
	'{2024-01-01 12:00:00 Europe/Paris=5}',
	'{4714-11-23 BC=5}',
	'{294277-01-01=5}',
	'{2024-01-01=-5}',
	'{2024-01-01=NaN}',
	'{2024-01-01=Infinity}'
]) AS text, refusal(pg_catalog.format('SELECT %L::retention.purchase_history', text));

SELECT '{2024-01-01 5}'::retention.purchase_history;

-- ---------------------------------------------------------------------------
-- What no purchase may be
-- ---------------------------------------------------------------------------

SELECT retention.purchase_history(now(), -5);
SELECT retention.purchase_history(now(), -5) FILTER (WHERE false);
SELECT retention.purchase_history(now(), 'NaN');
SELECT retention.purchase_history(now(), 'Infinity');
SELECT retention.purchase_history('infinity', 5);
SELECT retention.purchase_history('-infinity', 5);
SELECT retention.append('{}', now(), -0.01);

-- Eighteen decimal places and 64 bits, together: the common scale of all
-- amounts of a history decides.
SELECT retention.append('{}', '2024-01-01 00:00:00+00', 0.000000000000000001);
SELECT retention.append('{}', '2024-01-01 00:00:00+00', 0.0000000000000000010000000000);
SELECT retention.append('{}', '2024-01-01 00:00:00+00', 0.0000000000000000011);
SELECT retention.append('{}', '2024-01-01 00:00:00+00', 92233720368547758.07);
SELECT retention.append('{}', '2024-01-01 00:00:00+00', 92233720368547758.08);
SELECT retention.append('{}', '2024-01-01 00:00:00+00', 1e100);
SELECT retention.append('{2024-01-01=92233720368547758.07}', '2024-01-01 00:00:00+00', 0.001);
SELECT retention.append('{2024-01-01=0.001}', '2024-01-01 00:00:00+00', 92233720368547758.07);
SELECT retention.merge('{2024-01-01=0.001}', '{2024-01-01=92233720368547758.07}');
SELECT retention.merge('{2024-01-01=92233720368547758.07}', '{2024-01-01=0.001}');

-- ---------------------------------------------------------------------------
-- Comparison
-- ---------------------------------------------------------------------------

-- A set of purchases is one value, however it was written.

SELECT '{2024-01-01=5.00, 2024-01-02 08:00+08=7}'::retention.purchase_history OPERATOR(retention.=)
	'{2024-01-02=7, 2024-01-01=5}' AS equal,
	'{2024-01-01=5}'::retention.purchase_history OPERATOR(retention.<>) '{2024-01-01=5, 2024-01-01=5}' AS different;

SET search_path = history_test, retention, pg_catalog;

SELECT a.name, b.name,
	a.h = b.h AS eq, a.h <> b.h AS ne,
	(a.h < b.h) = (b.h > a.h) AND (a.h <= b.h) = (b.h >= a.h)
		AND (a.h < b.h) = NOT (a.h >= b.h) AND (a.h <= b.h) = (a.h < b.h OR a.h = b.h) AS "order"
FROM history AS a, history AS b
WHERE a.h IS NOT NULL AND b.h IS NOT NULL
ORDER BY a.name, b.name;

INSERT INTO history SELECT name || ' again', h FROM history;
SELECT count(DISTINCT h) FROM history;
SELECT h FROM history EXCEPT SELECT '{}' ORDER BY h;
SELECT h, count(*) FROM history GROUP BY h ORDER BY h;

CREATE INDEX ON history (h);
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT name FROM history WHERE h = '{2024-01-01=7}' ORDER BY name;
RESET enable_bitmapscan;
RESET enable_seqscan;

SET enable_mergejoin = off;
SET enable_nestloop = off;
SELECT count(*) FROM history AS a JOIN history AS b USING (h);
RESET enable_mergejoin;
RESET enable_nestloop;

CREATE TABLE by_history (h purchase_history) PARTITION BY HASH (h);
CREATE TABLE by_history_0 PARTITION OF by_history FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE by_history_1 PARTITION OF by_history FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO by_history SELECT h FROM history;
SELECT count(*) FROM by_history WHERE h = '{}';

SET search_path = history_test, pg_catalog;

-- ---------------------------------------------------------------------------
-- The bytes
-- ---------------------------------------------------------------------------

-- Version; three bytes of units, scale and widths; count, first instant; the
-- bits of deltas and amounts.  Dates of a shop eight hours from UTC: the first
-- instant in hours, the deltas in days.
SELECT text, text::retention.purchase_history::bytea
FROM pg_catalog.unnest(ARRAY[
	'{}',
	'{2000-01-01=0}',
	'{2000-01-02=1}',
	'{1999-12-31=1}',
	'{2000-01-01=5, 2000-01-01=5}',
	'{2024-01-01 00:00+08=19.90, 2024-01-02 00:00+08=5, 2024-06-01 00:00+08=1}',
	'{2024-01-01=100, 2024-01-02 03:04:05=100}',
	'{2024-01-01=100, 2024-01-02 03:04:05.006=100}',
	'{2024-01-01=100, 2024-01-02 03:04:05.000006=100}'
]) AS text;

SELECT '\x01ad182802fc8801a4af5a'::bytea::retention.purchase_history;

SELECT what, code, message, detail
FROM (VALUES
	('nothing', ''),
	('a later version', '022d000000'),
	('a unit that there is not', '012e000000'),
	('a unit that there is not', '013d000000'),
	('19 decimal places', '01ed040000'),
	('a delta of 65 bits', '012d080200'),
	('empty, yet it goes on', '012d00000000'),
	('empty, not the coarsest scale', '01ad000000'),
	('more purchases than bits', '012d00040900ff'),
	('more purchases than memory', '012d0004ffffffffffffffff7f00000101'),
	('purchases without bits', '012d00000500'),
	('a long 0', '012d000401800001'),
	('a number of 71 bits', '012d0004018080808080808080800201'),
	('a number of 65 bits', '012d0004ffffffffffffffffff020001'),
	('not the coarsest scale', '016d001001000a'),
	('not the coarsest unit', '01252804020078'),
	('times wider than needed', '012d100402000d'),
	('amounts wider than needed', '012d080802000b'),
	('amounts out of order', '012d0008020006'),
	('a first time beyond the range', '012d000401ffffffffffffffffff0101'),
	('a later time beyond the range', '012d00060200ffffffffffffffff03'),
	('the last time too late', '0100080402feff94bbf6d6ffffff0107'),
	('cut off', '01ad182802fc8801a4af'),
	('goes on, in bits', '01ad182802fc8801a4afda'),
	('goes on, in bytes', '01ad182802fc8801a4af5a00'),
	('good', '01ad182802fc8801a4af5a')
) AS bytes (what, hex),
	refusal(pg_catalog.format('SELECT pg_catalog.decode(%L, ''hex'')::retention.purchase_history', hex));

-- Through the binary protocol's functions, as a client or a dump would.
\set file `mktemp`
\setenv HISTORY_FILE :file
CREATE TABLE copied (LIKE history);
\copy history TO PROGRAM 'cat > "$HISTORY_FILE"' WITH (FORMAT binary)
\copy copied FROM PROGRAM 'cat "$HISTORY_FILE"' WITH (FORMAT binary)
\! rm "$HISTORY_FILE"
SELECT pg_catalog.count(*) FROM copied;
TABLE history EXCEPT ALL TABLE copied;

-- Small histories are stored with a header of one byte, large ones out of line.
INSERT INTO copied
SELECT 'large', retention.purchase_history(timestamptz '2020-01-01 00:00:00+00' + i * interval '1 hour 1 second', i)
FROM pg_catalog.generate_series(1, 20000) AS i;

SELECT name, pg_catalog.pg_column_size(h) AS stored, pg_catalog.octet_length(h::bytea) AS bytes
FROM copied
WHERE name IN ('several', 'empty')
ORDER BY name;

SELECT retention.purchases(h), retention.spent(h), retention.last_purchase(h), retention.last_amount(h),
	retention.bought(h, '2021-01-01 00:00:00+00', '2022-01-01 00:00:00+00'),
	(SELECT pg_catalog.sum(amount) FROM retention.entries(h))
FROM copied
WHERE name = 'large';

-- ---------------------------------------------------------------------------
-- Everything is commented
-- ---------------------------------------------------------------------------

SELECT p.oid::pg_catalog.regprocedure AS "function without comment"
FROM pg_catalog.pg_proc AS p
WHERE 'retention.purchase_history'::pg_catalog.regtype = ANY (p.proargtypes::pg_catalog.oid[] || p.prorettype)
	AND pg_catalog.obj_description(p.oid, 'pg_proc') IS NULL;

SET client_min_messages = warning;
DROP SCHEMA history_test CASCADE;
