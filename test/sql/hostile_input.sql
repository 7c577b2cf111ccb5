-- What anybody may hand to a type or to a part of an aggregate: garbage, and
-- values with bytes changed, cut off or added. It is refused or it is a value,
-- and a value may be asked anything; nothing crashes and nothing is read that
-- is not there.
\set ECHO none
\i test/include/start.sql

CREATE TEMP TABLE sample (kind text, bytes bytea);
WITH h AS (
	SELECT c, retention.purchase_history('2024-01-01 08:00+00'::timestamptz + i * c * interval '1 day', i * 1.5 + c) AS history
	FROM generate_series(1, 5) AS c
	CROSS JOIN LATERAL generate_series(0, c) AS i
	GROUP BY c
)
INSERT INTO sample
SELECT 'purchase_history', history::bytea FROM h
UNION ALL
SELECT 'purchase_history', retention.purchase_history('{}')::bytea
UNION ALL
SELECT 'history_counts', retention.history_counts_send(s)
FROM (
	SELECT unnest(ARRAY[
		retention.cohort_collect(history, 'month', 'Asia/Shanghai', '2024-02-01'),
		retention.new_vs_returning_collect(history, 'week', 'UTC', '2024-02-01'),
		retention.next_period_collect(history, 'day', 1, 'UTC', '2024-01-20'),
		retention.repurchase_rates_collect(history, 'month', 'UTC', '2024-02-01'),
		retention.x_order_collect(history, '7 days', '2024-02-01'),
		retention.retention_collect(history, 'UTC', '2024-01-20'),
		retention.purchase_gaps_collect(history, 1, '{0.5,0.9}', '2024-02-01'),
		retention.pareto_collect(history, 0.2, '2024-02-01')
	]) AS s
	FROM h
) AS states
UNION ALL
SELECT 'customer_sample', retention.customer_sample_send(s)
FROM (
	SELECT unnest(ARRAY[
		retention.purchases_collect(history, '1 day', 'UTC', '2024-02-01'),
		retention.values_collect(history, 'UTC', '2024-02-01')
	]) AS s
	FROM h
) AS states
UNION ALL
SELECT 'repurchase_state', retention.repurchase_state_send(s)
FROM (
	SELECT retention.repurchase_collect(c) FROM h
	UNION ALL
	SELECT retention.repurchase_collect('customer ' || c) FROM h
	UNION ALL
	SELECT retention.repurchase_collect(c * 1.5) FROM h
	UNION ALL
	SELECT retention.repurchase_collect(ARRAY[c, c]) FROM h
	UNION ALL
	SELECT retention.repurchase_collect(int4send(c)) FROM h
	UNION ALL
	SELECT retention.repurchase_collect(int4range(c, c + 1)) FROM h
) AS states (s);

INSERT INTO sample
WITH h AS (
	SELECT c, retention.purchase_history('2024-01-01 08:00+00'::timestamptz + i * c * interval '1 day', i * 1.5 + c) AS history
	FROM generate_series(1, 5) AS c
	CROSS JOIN LATERAL generate_series(0, c) AS i
	GROUP BY c
)
SELECT 'rfm_totals', retention.rfm_totals_send(retention.rfm_collect(history, '2024-02-01'))
FROM h
UNION ALL
SELECT 'rfm_orders', retention.rfm_orders_send(s)
FROM (
	SELECT retention.rfm_collect(c, '2024-01-01'::timestamptz + c * interval '1 hour', c * 1.25) FROM h
	UNION ALL
	SELECT retention.rfm_collect('customer ' || c, '2024-01-01'::timestamptz + c * interval '1 hour', c * 1.25) FROM h
) AS orders (s)
UNION ALL
SELECT 'retention_logins', retention.retention_logins_send(s)
FROM (
	SELECT retention.retention_collect(c, '2024-01-01'::timestamptz + c * interval '1 hour', '2024-01-08'::timestamptz, 'rolling', '{1,7,30}', 'UTC', '2024-02-01') FROM h
	UNION ALL
	SELECT retention.retention_collect('customer ' || c, '2024-01-01'::timestamptz, '2024-01-01'::timestamptz + c * interval '1 day', 'classic', '{7}', 'Asia/Shanghai', '2024-02-01') FROM h
) AS logins (s);

-- Everything that can be asked of a value alone: functions, aggregates, comparisons.
CREATE TEMP TABLE question AS
SELECT t.typname::text AS kind, format('SELECT %s FROM (VALUES ($1, 1), ($1, 2)) AS v (x, n)', string_agg(
	CASE
		WHEN p.proretset THEN NULL
		ELSE format('retention.%I(%sx)', p.proname, CASE WHEN p.prokind = 'a' THEN 'ALL ' ELSE '' END)
	END, ', ' ORDER BY p.oid)) AS statement
FROM pg_type t
JOIN pg_proc p ON p.pronargs = 1 AND p.proargtypes[0] = t.oid
WHERE t.typname IN (SELECT s.kind FROM sample s) AND t.typnamespace = 'retention'::regnamespace
	AND p.pronamespace = 'retention'::regnamespace AND p.prokind IN ('f', 'a')
GROUP BY t.typname, p.prokind, p.oid
HAVING NOT bool_or(p.proretset)
UNION ALL
VALUES
	('purchase_history', 'SELECT count(e) FROM retention.entries($1) AS e'),
	('purchase_history', 'SELECT $1 = $1, $1 < $1, $1::text::retention.purchase_history = $1, retention.bought($1, ''2024-01-03'', ''2024-01-09''), retention.spent_between($1, ''2024-01-03'', ''2024-01-09'')'),
	('purchase_history', 'SELECT retention.cohort_matrix($1, ''month'', ''UTC'', ''2024-02-01''), retention.x_order_rates($1, ''7 days'', ''2024-02-01''), retention.retention_rate($1, ''within'', 7, ''UTC'', ''2024-02-01''), retention.pareto_share($1, 0.5, ''2024-05-01'')');

-- A value's fate: refused when read, or the number of questions that failed and were answered.
CREATE FUNCTION pg_temp.ask(kind text, bytes bytea) RETURNS text LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
	one record;
	value text;
BEGIN
	BEGIN
		value := CASE WHEN kind = 'purchase_history' THEN bytes::retention.purchase_history::text ELSE encode(bytes, 'hex') END;
		EXECUTE format('SELECT retention.%I($1::retention.%I)', kind || '_send', kind) INTO bytes USING value;
	EXCEPTION WHEN OTHERS THEN
		IF SQLSTATE ~ '^(XX|57|53)' THEN
			RAISE WARNING '% %: % %', kind, bytes, SQLSTATE, SQLERRM;
		END IF;
		RETURN 'refused';
	END;
	FOR one IN SELECT q.statement FROM question q WHERE q.kind = ask.kind LOOP
		BEGIN
			EXECUTE regexp_replace(one.statement, '\$1', format('%L::retention.%I', value, kind), 'g');
		EXCEPTION WHEN OTHERS THEN
			IF SQLSTATE ~ '^(XX|57|53)' THEN
				RAISE WARNING '% % %: % %', kind, bytes, one.statement, SQLSTATE, SQLERRM;
			END IF;
		END;
	END LOOP;
	RETURN 'a value';
END
$$;

CREATE FUNCTION pg_temp.is_refused(value text, kind text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SELECT $1::retention.%I', kind) USING value;
	RETURN false;
EXCEPTION WHEN OTHERS THEN
	IF SQLSTATE ~ '^(XX|57|53)' THEN
		RAISE WARNING '% %: % %', kind, left(value, 50), SQLSTATE, SQLERRM;
	END IF;
	RETURN true;
END
$$;
\set ECHO all

-- Each type of ours that has an input function of its own is tried.
SELECT t.typname
FROM pg_type t
WHERE t.typnamespace = 'retention'::regnamespace AND t.typtype = 'b' AND t.typelem = 0
	AND t.typname NOT IN (SELECT kind FROM sample);

-- Samples, and questions for each type: none of them fails on what is whole.
SELECT kind, count(*) AS samples, count(DISTINCT bytes) AS different FROM sample GROUP BY kind ORDER BY 1;
SELECT kind, count(*) > 2 AS asked FROM question GROUP BY kind ORDER BY 1;
SELECT kind, pg_temp.ask(kind, bytes) AS fate, count(*) FROM sample GROUP BY 1, 2 ORDER BY 1, 2;

-- Cut off anywhere, and gone on.
SELECT kind, count(*) FILTER (WHERE fate <> 'refused') AS not_refused
FROM sample
CROSS JOIN LATERAL generate_series(0, length(bytes) - 1) AS i
CROSS JOIN LATERAL (SELECT pg_temp.ask(kind, substr(bytes, 1, i)) AS fate OFFSET 0) AS f
GROUP BY kind
ORDER BY kind;
SELECT kind, pg_temp.ask(kind, bytes || more) AS fate
FROM sample
CROSS JOIN (VALUES ('\x00'::bytea), ('\xffffffffffffffffffff')) AS m (more)
GROUP BY 1, 2
ORDER BY 1, 2;

-- Every byte changed, to what lengths, counts and signs are afraid of.
SELECT kind, count(*) > 100 AS many, count(*) FILTER (WHERE fate = 'refused') > 0 AS some_refused
FROM (SELECT DISTINCT ON (kind, length(bytes)) kind, bytes FROM sample ORDER BY kind, length(bytes), bytes) AS s
CROSS JOIN LATERAL generate_series(0, least(length(bytes), 300) - 1) AS i
CROSS JOIN LATERAL unnest('{0,127,255}'::integer[]) AS b
CROSS JOIN LATERAL (SELECT pg_temp.ask(kind, set_byte(bytes, i, b)) AS fate OFFSET 0) AS f
GROUP BY kind
ORDER BY kind;

-- Parts of one put into another; two bytes changed at once.
SELECT kind, count(*) > 3 AS many
FROM (SELECT kind, bytes, row_number() OVER (PARTITION BY kind ORDER BY bytes) AS no FROM sample) AS s
JOIN (SELECT kind AS other_kind, bytes AS other, row_number() OVER (PARTITION BY kind ORDER BY bytes) AS other_no FROM sample) AS o ON other_kind = kind AND other_no <> no
CROSS JOIN LATERAL (VALUES (1), (3), (7), (20)) AS c (cut)
CROSS JOIN LATERAL (SELECT pg_temp.ask(kind, substr(bytes, 1, cut) || substr(other, cut + 1)) AS fate OFFSET 0) AS f
GROUP BY kind
ORDER BY kind;
SELECT kind, count(*) > 3 AS many
FROM (SELECT DISTINCT ON (kind, length(bytes)) kind, bytes FROM sample ORDER BY kind, length(bytes), bytes) AS s
CROSS JOIN LATERAL generate_series(0, 59) AS i
CROSS JOIN LATERAL (SELECT hashint4(i) & 2147483647 AS a, hashint4(i + 1000) & 2147483647 AS b) AS r
CROSS JOIN LATERAL (SELECT pg_temp.ask(kind, set_byte(set_byte(bytes, a % length(bytes), a % 256), b % length(bytes), b % 251)) AS fate OFFSET 0) AS f
GROUP BY kind
ORDER BY kind;

-- Text that is none.
SELECT kind, count(*) AS refused
FROM (SELECT DISTINCT kind FROM sample) AS s
CROSS JOIN LATERAL unnest(ARRAY['{', '{}}', '{,}', '{=}', '{2024-01-01=}', '{2024-01-01=1', '{2024-01-01=1e400}', '{2024-01-01=1e-400}', '{2024-13-01=1}', '{999999-01-01=1}', '{-infinity=1}',
	'{2024-01-01=NaN}', '{2024-01-01=-1}', repeat('{', 1000), '{2024-01-01=' || repeat('9', 5000) || '}', '\x00', '0', '0g', repeat('f', 9999), 'ff', '01', '01ff', '(', 'null', U&'\FFFF']) AS t (value)
CROSS JOIN LATERAL (SELECT pg_temp.is_refused(value, kind) AS refused OFFSET 0) AS f
WHERE refused
GROUP BY kind
ORDER BY kind;

-- A part of an aggregate is in anybody's hands: another aggregate starts it
-- with another state, or calls it alone.
SELECT retention.repurchase_collect(c) AS words, retention.repurchase_collect('customer ' || c) AS texts FROM generate_series(1, 5) AS c \gset
SELECT encode(bytes, 'hex') AS cohorts FROM sample WHERE kind = 'history_counts' AND position('Shanghai'::bytea IN bytes) > 0 \gset
SELECT format('CREATE AGGREGATE pg_temp.add_to_texts(anyelement) (SFUNC = retention.repurchase_add, STYPE = retention.repurchase_state, INITCOND = %L)', :'texts') AS make \gset
:make;
SELECT format('CREATE AGGREGATE pg_temp.add_to_words(anyelement) (SFUNC = retention.repurchase_add, STYPE = retention.repurchase_state, INITCOND = %L)', :'words') AS make \gset
:make;
SELECT format('CREATE AGGREGATE pg_temp.add_to_cohorts(retention.purchase_history, interval) (SFUNC = retention.x_order_transition, STYPE = retention.history_counts, INITCOND = %L)', :'cohorts') AS make \gset
:make;
SELECT pg_temp.add_to_texts(42);
SELECT pg_temp.add_to_texts(42.5);
SELECT pg_temp.add_to_texts(ARRAY[1]);
SELECT retention.repurchase_rate(pg_temp.add_to_texts('customer 1'::text));
SELECT pg_temp.add_to_words('customer 1'::text);
SELECT pg_temp.add_to_words(1::bigint);
SELECT retention.repurchase_rate(pg_temp.add_to_words(1));
SELECT retention.repurchase_rate(pg_temp.add_to_words(n)) FROM generate_series(1, 20000) AS n;
SELECT retention.rfm_collect('customer ' || c, '2024-01-01'::timestamptz, c) AS orders FROM generate_series(1, 5) AS c \gset
SELECT format('CREATE AGGREGATE pg_temp.add_to_orders(anyelement, timestamptz, numeric) (SFUNC = retention.rfm_orders_add, STYPE = retention.rfm_orders, INITCOND = %L)', :'orders') AS make \gset
:make;
SELECT pg_temp.add_to_orders(42, '2024-01-01', 1);
SELECT pg_temp.add_to_orders('customer 1'::text, '2024-01-01', 1) IS NOT NULL AS added;
SELECT retention.retention_collect('customer ' || c, '2024-01-01'::timestamptz, NULL, 'within', '{1}', 'UTC', '2024-02-01') AS logins FROM generate_series(1, 5) AS c \gset
SELECT format('CREATE AGGREGATE pg_temp.add_to_logins(anyelement, timestamptz, timestamptz, text, integer, text, timestamptz) (SFUNC = retention.retention_logins_add, STYPE = retention.retention_logins, INITCOND = %L)', :'logins') AS make \gset
:make;
SELECT pg_temp.add_to_logins(42, '2024-01-01', '2024-01-02', 'within', 1, 'UTC', '2024-02-01');
SELECT pg_temp.add_to_logins('customer 1'::text, '2024-01-01', '2024-01-02', 'within', 2, 'UTC', '2024-02-01');
SELECT retention.retention_rate(pg_temp.add_to_logins('customer 1'::text, '2024-01-01', '2024-01-02', 'within', 1, 'UTC', '2024-02-01'));
SELECT pg_temp.add_to_cohorts('{2024-01-01=1, 2024-01-05=2}', '7 days');
SELECT retention.merge(s) FROM (VALUES (:'words'::retention.repurchase_state), (:'texts')) AS v (s);
CREATE AGGREGATE pg_temp.bare(retention.purchase_history) (SFUNC = retention.x_order_transition, STYPE = retention.history_counts);
SELECT retention.x_order_rates(pg_temp.bare('{2024-01-01=1, 2024-01-05=2}'));
CREATE AGGREGATE pg_temp.mixed(double precision, double precision) (SFUNC = retention.values_transition, STYPE = retention.customer_sample);
SELECT pg_temp.mixed(1, 2) IS NOT NULL AS collected;

\i test/include/stop.sql
