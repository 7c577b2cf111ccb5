-- Aggregates over purchase histories: the rules, on few rows.
CREATE SCHEMA aggregates_test;
SET search_path = aggregates_test, pg_catalog;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
SET IntervalStyle = 'postgres';

CREATE TABLE h (customer text, history retention.purchase_history);
INSERT INTO h VALUES
	('a', '{2024-01-05 10:00=10, 2024-01-05 10:00=10, 2024-02-10=20.5, 2024-04-01=5}'),
	('b', '{2024-01-31 17:00=100}'),
	('c', '{2024-02-29=7, 2024-03-30=7}'),
	('without', '{}'),
	('null', NULL);

-- A period that is not over is NULL, one without purchases 0.
SELECT (unnest(retention.cohort_matrix(history, 'month', 'UTC', '2024-04-15'))).* FROM h;
-- 17:00 in London is the next day, and month, in Shanghai; the moment counts.
SELECT (unnest(retention.cohort_matrix(history, 'month', 'Asia/Shanghai', '2024-02-29 15:59:59'))).* FROM h;
SELECT (unnest(retention.cohort_matrix(history, 'month', 'Asia/Shanghai', '2024-02-29 16:00'))).* FROM h;
SELECT (unnest(retention.new_vs_returning(history, 'month', 'UTC', '2024-04-15'))).* FROM h;
SELECT (unnest(retention.next_period_rates(history, 'month', 1, 'UTC', '2024-04-15'))).* FROM h;
SELECT (unnest(retention.next_period_rates(history, 'month', 2, 'UTC', '2024-04-15'))).* FROM h;
SELECT retention.next_period_rate(history, 'quarter', '2024-02-20', 1, 'UTC', '2024-07-01') FROM h;
SELECT retention.next_period_rate(history, 'quarter', '2024-02-20', 1, 'UTC', '2024-06-30') FROM h;
SELECT retention.next_period_rate(history, 'quarter', '2023-02-20', 1, 'UTC', '2024-07-01') FROM h;
SELECT (unnest(retention.repurchase_rates(history, 'week', 'UTC', '2024-04-15'))).* FROM h;
SELECT (unnest(retention.repurchase_rates(history, 'week from saturday', 'UTC', '2024-04-15'))).period FROM h;
SELECT (unnest(retention.x_order_rates(history, NULL, '2024-04-15'))).* FROM h;
SELECT (unnest(retention.x_order_rates(history, '30 days', '2024-04-15'))).* FROM h;
-- Two purchases at one instant lie within any horizon.
SELECT (unnest(retention.x_order_rates(history, '0', '2024-01-05 10:00'))).* FROM h;
SELECT mode, days, retention.retention_rate(history, mode, days, 'UTC', '2024-04-15')
FROM h, (VALUES ('classic', 0), ('classic', 30), ('classic', 36), ('rolling', 1), ('rolling', 40), ('within', 0), ('within', 30), ('within', 500)) AS m (mode, days)
GROUP BY 1, 2 ORDER BY 1, 2;
SELECT (unnest(retention.purchase_gaps(history, NULL, '{0.5,1}', '2024-04-15'))).* FROM h;
SELECT retention.pareto_share(history, 0.2, '2024-04-15') AS best, retention.pareto_share(history, 1, '2024-04-15') AS everybody FROM h;
SELECT retention.pareto_share('{2024-01-01=0}'::retention.purchase_history) AS nothing_spent;

-- The magic number: 40, 30, 25 of 100, 40, 30 customers come back.
CREATE TABLE loyal AS
	SELECT (SELECT retention.purchase_history('2024-01-01'::timestamptz + x * interval '1 day', 1) FROM generate_series(1, purchases) AS x) AS history
	FROM (VALUES (60, 1), (10, 2), (5, 3), (25, 4)) AS v (customers, purchases), generate_series(1, customers);
SELECT (unnest(retention.x_order_rates(history))).* FROM loyal;
SELECT retention.magic_number(history), retention.magic_number(history, NULL, '2024-01-03'), retention.magic_number(history, NULL, '2024-01-02') FROM loyal;
SELECT retention.magic_number(retention.x_order_collect(history, NULL, '2024-06-01'), 0.5, 30) AS half,
	retention.magic_number(retention.x_order_collect(history, NULL, '2024-06-01'), 0.05, 31) AS fewer_steps,
	retention.magic_number(retention.x_order_collect(history, NULL, '2024-06-01'), 0.35, 30) AS exactly_35_points
FROM loyal;
SELECT retention.magic_number(retention.x_order_collect(history, NULL, '2024-06-01'), 'NaN', 30) FROM loyal;
SELECT retention.magic_number(retention.x_order_collect(history, NULL, '2024-06-01'), -0.01, 30) FROM loyal;

-- Events: one row a customer, whatever their order, on any table.
SELECT mode, days, retention.retention_rate(signed_up_at, logged_in_at, mode, days, 'UTC', '2024-03-01')
FROM (VALUES
	(timestamptz '2024-01-01 23:00', '{2024-01-08 01:00, 2024-01-02 00:30, NULL, infinity, 2023-12-31}'::timestamptz[]),
	('2024-01-01 01:00', '{2024-01-01 00:30}'),
	('2024-01-01 01:00', NULL),
	('2024-02-28 01:00', '{2024-02-29}'),
	(NULL, '{2024-01-02}')) AS v (signed_up_at, logged_in_at),
	(VALUES ('classic', 1), ('classic', 7), ('rolling', 3), ('within', 3)) AS m (mode, days)
GROUP BY 1, 2 ORDER BY 1, 2;

-- Order states: what is not recorded was passed with the next.
SELECT (unnest(retention.order_funnel(placed, paid, NULL, delivered, completed, closed))).*
FROM (VALUES
	(timestamptz '2024-01-01', timestamptz '2024-01-01', timestamptz '2024-01-03', timestamptz '2024-01-09', NULL::timestamptz),
	('2024-01-01', '2024-01-01', '2024-01-03', NULL, NULL),
	('2024-01-01', '2024-01-02', NULL, NULL, '2024-01-05'),
	('2024-01-01', NULL, NULL, NULL, '2024-01-05'),
	('2024-01-01', NULL, NULL, NULL, NULL),
	(NULL, '2024-01-01', NULL, NULL, NULL)) AS v (placed, paid, delivered, completed, closed);
-- An infinite time is none: not reached, not closed, or not placed.
SELECT (unnest(retention.order_funnel(placed, paid, NULL, NULL, completed, closed))).*
FROM (VALUES
	(timestamptz '2024-01-01', timestamptz '2024-01-01', timestamptz 'infinity', timestamptz 'infinity'),
	('2024-01-01', '-infinity', NULL, 'infinity'),
	('infinity', '2024-01-01', '2024-01-01', NULL)) AS v (placed, paid, completed, closed);
SELECT retention.order_funnel('infinity', now(), NULL, NULL, NULL, NULL);

-- Nothing in, NULL out; no purchase yet is a customer of no cell.
SELECT retention.cohort_matrix(history, 'month', 'UTC') AS cohorts, retention.x_order_rates(history) AS x_order, retention.magic_number(history) AS magic,
	retention.retention_rate(history, 'within', 7, 'UTC') AS retained, retention.pareto_share(history) AS pareto
FROM h WHERE customer = 'null';
SELECT retention.cohort_matrix(history, 'month', 'UTC') AS cohorts, retention.new_vs_returning(history, 'month', 'UTC') AS new_vs_returning,
	retention.x_order_rates(history) AS x_order, retention.magic_number(history) AS magic, retention.retention_rate(history, 'within', 7, 'UTC') AS retained,
	retention.purchase_gaps(history, 1, '{0.5}') AS gaps, retention.pareto_share(history) AS pareto
FROM h WHERE customer = 'without';

-- Left out, the moment is now.
SET retention.clock = '2024-02-29 16:00Z';
SELECT retention.cohort_matrix(history, 'month', 'Asia/Shanghai') = retention.cohort_matrix(history, 'month', 'Asia/Shanghai', '2024-02-29 16:00') AS now FROM h;
RESET retention.clock;

-- Sums are exact whatever the decimal places, up to 128 bits.
SELECT (unnest(retention.cohort_matrix(history, 'year', 'UTC', '2026-01-01'))).value
FROM (VALUES ('{2024-01-01=9223372036854775807, 2024-01-02=9223372036854775807}'::retention.purchase_history), ('{2024-01-01=0.001}'), ('{2024-01-01=1.5}')) AS v (history);
SELECT retention.pareto_share(history, 0.5, '2026-01-01')
FROM (VALUES ('{2024-01-01=9223372036854775807, 2024-01-02=9223372036854775807}'::retention.purchase_history), ('{2024-01-01=9223372036854775.807}')) AS v (history);
SELECT retention.cohort_matrix(history, 'year', 'UTC', '2026-01-01')
FROM (SELECT '{2024-01-01=9223372036854775807}'::retention.purchase_history AS history FROM generate_series(1, 30) UNION ALL SELECT '{2024-01-01=0.000000000000000001}') AS v;

-- Far from the present, and where clocks change.
SELECT (unnest(retention.cohort_matrix('{0005-12-31 17:00+00 BC=1}'::retention.purchase_history, 'year', 'Asia/Shanghai', '0003-06-01 BC'))).*;
CREATE TABLE instants AS
	SELECT timestamptz '1970-01-01 00:00+00' + i * interval '5 days 23:17:31' AS at FROM generate_series(0, 8000) AS i
	UNION ALL
	SELECT timestamptz '1988-04-03 00:00+00' + i * interval '37 seconds' FROM generate_series(0, 5000) AS i
	UNION ALL
	SELECT timestamptz '2006-10-28 12:00+00' + i * interval '37 seconds' FROM generate_series(0, 3000) AS i
	UNION ALL
	SELECT timestamptz '2011-12-29 00:00+00' + i * interval '67 seconds' FROM generate_series(0, 3000) AS i
	UNION ALL
	SELECT unnest('{1850-01-01,1899-12-31 23:59:59,1900-01-01,2199-12-31 23:59,2200-01-01,2500-07-01}'::timestamptz[]);
SELECT zone, sum(ours.customers) AS instants, count(*) AS days, count(*) FILTER (WHERE ours.customers IS DISTINCT FROM plain.customers) AS different
FROM unnest('{America/St_Johns,Asia/Beirut,America/Sao_Paulo,Asia/Shanghai,Pacific/Apia,+05:30,EST,Antarctica/Troll}'::text[]) AS zone
	CROSS JOIN LATERAL (
		SELECT (unnest(retention.repurchase_rates(retention.append('{}', at, 1), 'day', zone, '2600-01-01'))).* FROM instants
	) AS ours
	FULL JOIN (
		SELECT zone, timezone(zone, at)::date AS period, count(*) AS customers
		FROM instants, unnest('{America/St_Johns,Asia/Beirut,America/Sao_Paulo,Asia/Shanghai,Pacific/Apia,+05:30,EST,Antarctica/Troll}'::text[]) AS zone
		GROUP BY 1, 2
	) AS plain USING (zone, period)
GROUP BY zone ORDER BY zone;

-- Arguments: named when wrong.
SELECT retention.cohort_matrix(history, 'fortnight', 'UTC') FROM h;
SELECT retention.cohort_matrix(history, NULL, 'UTC') FROM h;
SELECT retention.cohort_matrix(history, 'month', 'Atlantis') FROM h;
SELECT retention.cohort_matrix(history, 'month', NULL) FROM h;
SELECT retention.cohort_matrix(history, 'month', 'UTC', 'infinity') FROM h;
SELECT retention.next_period_rates(history, 'month', 0, 'UTC') FROM h;
SELECT retention.x_order_rates(history, '1 month') FROM h;
SELECT retention.x_order_rates(history, '-1 day') FROM h;
SELECT retention.retention_rate(history, 'ever', 7, 'UTC') FROM h;
SELECT retention.retention_rate(history, 'within', -1, 'UTC') FROM h;
SELECT retention.purchase_gaps(history, 0, '{0.5}') FROM h;
SELECT retention.purchase_gaps(history, 1, '{1.5}') FROM h;
SELECT retention.pareto_share(history, 'NaN', '2024-01-01') FROM h;
SELECT retention.cohort_matrix(history, CASE WHEN customer = 'a' THEN 'month' ELSE 'year' END, 'UTC') FROM h;
-- They may differ between groups.
SELECT period, retention.next_period_rate(history, period, '2024-01-01', 1, 'UTC', '2026-01-01')
FROM h, (VALUES ('month'), ('quarter'), ('year')) AS p (period) GROUP BY period ORDER BY period;

-- States: kept, merged, as text and in binary; what is read is checked.
SELECT retention.merge(s)
FROM (SELECT retention.x_order_collect(history, '7 days', '2024-01-01') AS s FROM h UNION ALL SELECT retention.x_order_collect(history, '8 days', '2024-01-01') FROM h) AS two;
SELECT retention.cohort_matrix(retention.x_order_collect(history, NULL, '2024-01-01')) FROM h;
SELECT retention.merge(NULL::retention.history_counts) IS NULL AS nothing;
SELECT retention.history_counts_merge(NULL, NULL);
SELECT ''::retention.history_counts;
SELECT '00'::retention.history_counts;
SELECT 'zz'::retention.history_counts;
-- Any byte changed or cut off: an error or a state, never a crash.
CREATE FUNCTION read(bytes bytea) RETURNS text
	LANGUAGE plpgsql
	AS $$
DECLARE
	s retention.history_counts;
BEGIN
	s := encode(bytes, 'hex')::retention.history_counts;
	IF encode(bytes, 'hex') <> s::text THEN
		RETURN 'changed';
	END IF;
	-- Days are few here, so that a forged one does not fill a screen.
	PERFORM retention.x_order_rates(s), retention.magic_number(s);
	RETURN 'state';
EXCEPTION WHEN invalid_binary_representation OR invalid_parameter_value OR protocol_violation OR character_not_in_repertoire THEN
	RETURN 'error';
END
$$;
SELECT read(substr(bytes, 1, length(bytes) - 1)) AS cut, read(bytes || '\x00') AS longer, read(bytes) AS whole,
	(SELECT array_agg(DISTINCT read(set_byte(bytes, i, b))) FROM generate_series(0, length(bytes) - 1) AS i, unnest('{0,1,5,127,128,255}'::integer[]) AS b) AS one_byte,
	(SELECT array_agg(DISTINCT read(substr(bytes, 1, i))) FROM generate_series(1, length(bytes) - 1) AS i) AS prefixes
FROM (SELECT retention.history_counts_send(retention.x_order_collect(history, '7 days', '2024-04-01')) AS bytes FROM h) AS s;

-- Money beyond 63 bits keeps its value on the way through bytes.
SELECT (unnest(retention.cohort_matrix(s::text::retention.history_counts))).value AS three_times_the_largest_amount,
	retention.history_counts_send(s) = retention.history_counts_send(s::text::retention.history_counts) AS same_bytes
FROM (
	SELECT retention.cohort_collect('{2023-07-01=92233720368547758.07}'::retention.purchase_history, 'year', 'UTC', '2024-05-01') AS s
	FROM generate_series(1, 3)
) AS c;
-- Bytes that leave out an X, or take more of themselves than a number needs, are no state.
SELECT read(bytes) AS whole,
	read(overlay(bytes PLACING '\x04' FROM length(bytes) - 3 FOR 1)) AS x_left_out,
	read(overlay(bytes PLACING '\x0100' FROM length(bytes) FOR 1)) AS money_of_zeros
FROM (SELECT retention.history_counts_send(retention.x_order_collect('{2024-01-01=1,2024-01-02=1}'::retention.purchase_history, '7 days', '2024-04-01')) AS bytes) AS s;

-- A state of 8000 X fits a worker's queue of 64 kB, so that it need not wait to be read.
SELECT pg_column_size(retention.x_order_collect(history, NULL, '2026-01-01')) < 65536 AS fits
FROM (
	SELECT retention.purchase_history(timestamptz '2024-01-01' + n * interval '1 hour', 1) AS history
	FROM generate_series(1, 300) AS c, generate_series(1, 8000) AS n
	WHERE n % c = 0
	GROUP BY c
) AS h;

-- Asking for a period without customers leaves the state as it was.
SELECT retention.next_period_rate(s, '1999-01-01') AS rate, retention.next_period_rates(s) AS rates, retention.next_period_rate(s, '1999-01-01') AS again
FROM (SELECT retention.next_period_collect(history, 'year', 1, 'UTC', '2026-01-01') AS s FROM h OFFSET 0) AS kept;
-- A matrix that no array can hold is refused, before it fills the memory.
SELECT retention.new_vs_returning('{2024-01-01=1}'::retention.purchase_history, 'day', 'UTC', '290000-01-01');
SELECT retention.cohort_matrix('{2024-01-01=1}'::retention.purchase_history, 'day', 'UTC', '290000-01-01');

-- As a window aggregate: the state goes on after each result.
SELECT customer, retention.pareto_share(history, 0.5, '2024-05-01') OVER (ORDER BY customer),
	retention.retention_rate(history, 'within', 30, 'UTC', '2024-05-01') OVER (ORDER BY customer ROWS 1 PRECEDING)
FROM h ORDER BY customer;

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA aggregates_test CASCADE;
