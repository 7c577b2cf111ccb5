-- The figures of the attached shop, and the customers behind them, each as a
-- whole table against its definition in plain SQL: for the moments of "asked"
-- and every period.  The purchases are the table "sold" (customer_id text,
-- paid_at timestamptz, value numeric), the zone :zone; weeks begin on Sunday.
CREATE FUNCTION starts_in(unit text, at timestamptz, zone text) RETURNS date
	LANGUAGE sql IMMUTABLE
	RETURN CASE unit
		WHEN 'week' THEN date_trunc('week', timezone(zone, at) + interval '1 day') - interval '1 day'
		ELSE date_trunc(unit, timezone(zone, at))
	END::date;
CREATE FUNCTION later(unit text, start date, k integer) RETURNS date
	LANGUAGE sql IMMUTABLE
	RETURN (start + k * CASE unit WHEN 'quarter' THEN interval '3 months' ELSE ('1 ' || unit)::interval END)::date;

-- Every purchase until each moment, with its period and that of the first one.
-- Days make very many cells: one moment will do.
CREATE TABLE asked_by AS
	SELECT at, unit FROM asked, unnest('{week,month,quarter,year}'::text[]) AS unit UNION ALL SELECT min(at), 'day' FROM asked;
CREATE TABLE seen AS
	SELECT a.at, a.unit, s.customer_id, s.paid_at, s.value, starts_in(a.unit, s.paid_at, :'zone') AS bought_in, starts_in(a.unit, a.at, :'zone') AS current,
		row_number() OVER by_time AS x, lead(s.paid_at) OVER by_time AS next_at, starts_in(a.unit, min(s.paid_at) OVER by_time, :'zone') AS cohort
	FROM asked_by AS a JOIN sold AS s ON s.paid_at <= a.at
	WINDOW by_time AS (PARTITION BY a.at, a.unit, s.customer_id ORDER BY s.paid_at, s.value);
CREATE TABLE axis AS
	WITH RECURSIVE step AS (
		SELECT at, unit, min(bought_in) AS start, min(current) AS current, 0 AS i FROM seen GROUP BY 1, 2
		UNION ALL
		SELECT at, unit, later(unit, start, 1), current, i + 1 FROM step WHERE start < current
	)
	SELECT * FROM step;
CREATE TABLE totals AS SELECT at, customer_id, count(*) AS purchases, sum(value) AS spent FROM seen WHERE unit = 'year' GROUP BY 1, 2;
ANALYZE seen, axis, totals;
SELECT count(*) AS purchases, count(DISTINCT at) AS moments FROM seen WHERE unit = 'month';

SELECT differ('SELECT a.at, unit, measure, c.* FROM asked_by AS a, unnest(''{customers,purchases,value,rate}''::text[]) AS measure, retention.cohorts(unit, measure, a.at) AS c', $$
	SELECT c.at, c.unit, measure, c.start, s.i - c.i, CASE WHEN s.start < s.current THEN
		CASE measure WHEN 'customers' THEN coalesce(n.customers, 0) WHEN 'purchases' THEN coalesce(n.purchases, 0)
			WHEN 'value' THEN coalesce(n.value, 0) ELSE coalesce(n.customers, 0)::numeric / size.customers END END
	FROM axis AS c
		JOIN (SELECT at, unit, cohort, count(*) AS customers FROM seen WHERE x = 1 GROUP BY 1, 2, 3) AS size ON (size.at, size.unit, size.cohort) = (c.at, c.unit, c.start)
		JOIN axis AS s ON (s.at, s.unit) = (c.at, c.unit) AND s.i >= c.i
		LEFT JOIN (
			SELECT at, unit, cohort, bought_in, count(DISTINCT customer_id) AS customers, count(*) AS purchases, sum(value) AS value FROM seen GROUP BY 1, 2, 3, 4
		) AS n ON (n.at, n.unit, n.cohort, n.bought_in) = (c.at, c.unit, c.start, s.start)
		CROSS JOIN unnest('{customers,purchases,value,rate}'::text[]) AS measure$$) AS cohorts;
SELECT differ('SELECT a.at, unit, r.* FROM asked_by AS a, retention.repurchase(unit, a.at) AS r', $$
	SELECT at, unit, bought_in, CASE WHEN bought_in < current THEN count(*) END, CASE WHEN bought_in < current THEN count(*) FILTER (WHERE n >= 2) END,
		CASE WHEN bought_in < current THEN (count(*) FILTER (WHERE n >= 2))::numeric / count(*) END
	FROM (SELECT at, unit, bought_in, current, customer_id, count(*) AS n FROM seen GROUP BY 1, 2, 3, 4, 5) AS c GROUP BY at, unit, bought_in, current$$) AS repurchase;
CREATE TABLE fresh_and_old AS
	SELECT a.at, a.unit, a.start, a.start < a.current AS is_over,
		count(DISTINCT s.customer_id) FILTER (WHERE s.cohort = s.bought_in) AS fresh, count(DISTINCT s.customer_id) FILTER (WHERE s.cohort < s.bought_in) AS old,
		count(*) FILTER (WHERE s.x = 1) AS first, count(*) FILTER (WHERE s.x > 1) AS repeat,
		coalesce(sum(s.value) FILTER (WHERE s.x = 1), 0) AS first_value, coalesce(sum(s.value) FILTER (WHERE s.x > 1), 0) AS repeat_value
	FROM axis AS a LEFT JOIN seen AS s ON (s.at, s.unit, s.bought_in) = (a.at, a.unit, a.start)
	GROUP BY 1, 2, 3, 4;
SELECT differ('SELECT a.at, unit, r.* FROM asked_by AS a, retention.new_vs_returning(unit, a.at) AS r', $$
	SELECT at, unit, start, CASE WHEN is_over THEN fresh END, CASE WHEN is_over THEN old END, CASE WHEN is_over THEN old::numeric / nullif(fresh + old, 0) END,
		CASE WHEN is_over THEN first END, CASE WHEN is_over THEN repeat END, CASE WHEN is_over THEN first_value END, CASE WHEN is_over THEN repeat_value END
	FROM fresh_and_old$$) AS new_vs_returning;
SELECT differ('SELECT a.at, unit, k, r.* FROM asked_by AS a, unnest(''{1,5}''::integer[]) AS k, retention.next_period(unit, k, a.at) AS r', $$
	WITH buyer AS (SELECT DISTINCT at, unit, bought_in, current, customer_id FROM seen)
	SELECT b.at, b.unit, k, b.bought_in, CASE WHEN b.bought_in < b.current THEN count(*) END, CASE WHEN later(b.unit, b.bought_in, k) < b.current THEN count(l.customer_id) END,
		CASE WHEN later(b.unit, b.bought_in, k) < b.current THEN count(l.customer_id)::numeric / count(*) END
	FROM buyer AS b CROSS JOIN unnest('{1,5}'::integer[]) AS k
		LEFT JOIN buyer AS l ON (l.at, l.unit, l.customer_id, l.bought_in) = (b.at, b.unit, b.customer_id, later(b.unit, b.bought_in, k))
	GROUP BY b.at, b.unit, k, b.bought_in, b.current$$) AS next_period;

CREATE TABLE horizons (horizon interval);
INSERT INTO horizons VALUES (NULL), ('0'), ('30 days'), ('90 days 12:00');
CREATE TABLE steps AS
	SELECT at, horizon, x, count(*) AS customers, count(*) FILTER (WHERE next_at IS NOT NULL AND (horizon IS NULL OR next_at - paid_at <= horizon)) AS returned
	FROM seen JOIN horizons ON horizon IS NULL OR paid_at + extract(epoch FROM horizon) * interval '1 second' <= at
	WHERE unit = 'year' GROUP BY 1, 2, 3;
SELECT differ('SELECT a.at, horizon, r.* FROM asked AS a, horizons, retention.x_order(horizon, a.at) AS r',
	'SELECT at, horizon, x, customers, returned, returned::numeric / customers FROM steps') AS x_order;
-- The magic number is the X that the last of the steps that rise leads to.
SELECT differ('SELECT a.at, horizon, least, retention.magic_number(horizon, 0.02, least, a.at) FROM asked AS a, horizons, unnest(''{10,100}''::bigint[]) AS least', $$
	SELECT at, horizon, least, CASE WHEN bool_or(next_customers >= least) THEN coalesce(max(x + 1) FILTER (WHERE next_customers >= least AND rise >= 0.02), 1) END
	FROM (
		SELECT *, lead(customers) OVER by_x AS next_customers, lead(returned::numeric / customers) OVER by_x - returned::numeric / customers AS rise
		FROM steps WINDOW by_x AS (PARTITION BY at, horizon ORDER BY x)
	) AS s CROSS JOIN unnest('{10,100}'::bigint[]) AS least
	GROUP BY 1, 2, 3$$) AS magic_number;
SELECT differ('SELECT a.at, of_x, g.* FROM asked AS a, unnest(''{NULL,2}''::integer[]) AS of_x, retention.gap_to_next(''{0,0.25,0.5,1}'', of_x, a.at) AS g', $$
	SELECT at, of_x, x, customers, fraction, gaps[array_position('{0,0.25,0.5,1}'::numeric[], fraction)]
	FROM (
		SELECT at, x, count(*) AS customers, percentile_disc('{0,0.25,0.5,1}'::float8[]) WITHIN GROUP (ORDER BY next_at - paid_at) AS gaps
		FROM seen WHERE unit = 'year' AND next_at IS NOT NULL GROUP BY 1, 2
	) AS g, unnest('{NULL,2}'::bigint[]) AS of_x, unnest('{0,0.25,0.5,1}'::numeric[]) AS fraction
	WHERE of_x IS NULL OR of_x = x$$) AS gap_to_next;
SELECT differ('SELECT a.at, mode, r.* FROM asked AS a, unnest(''{classic,rolling,within}''::text[]) AS mode, retention.retention_curve(mode, ''{0,1,7,90,1000}'', a.at) AS r', format($$
	WITH returns AS (
		SELECT at, customer_id, min(starts_in('day', at, %1$L)) AS today, min(starts_in('day', paid_at, %1$L)) AS first_day,
			array_agg(starts_in('day', paid_at, %1$L)) FILTER (WHERE x > 1) AS came
		FROM seen WHERE unit = 'year' GROUP BY 1, 2
	), observed AS (
		SELECT at, mode, days, CASE mode WHEN 'classic' THEN first_day + days = ANY (came) WHEN 'rolling' THEN first_day + days <= ANY (came) ELSE first_day + days >= ANY (came) END AS back
		FROM returns, unnest('{classic,rolling,within}'::text[]) AS mode, unnest('{0,1,7,90,1000}'::integer[]) AS days WHERE first_day + days < today
	)
	SELECT a.at, m, d, count(o.mode), CASE WHEN count(o.mode) > 0 THEN count(*) FILTER (WHERE back) END, (count(*) FILTER (WHERE back))::numeric / nullif(count(o.mode), 0)
	FROM asked AS a CROSS JOIN unnest('{classic,rolling,within}'::text[]) AS m CROSS JOIN unnest('{0,1,7,90,1000}'::integer[]) AS d
		LEFT JOIN observed AS o ON (o.at, o.mode, o.days) = (a.at, m, d)
	GROUP BY 1, 2, 3$$, :'zone')) AS retention_curve;
SELECT differ('SELECT a.at, best, retention.pareto(best, a.at) FROM asked AS a, unnest(''{0,0.001,0.2,1}''::numeric[]) AS best', $$
	SELECT at, best, sum(spent) FILTER (WHERE place <= greatest(ceil(best * n), 1)) / sum(spent)
	FROM (SELECT at, spent, row_number() OVER (PARTITION BY at ORDER BY spent DESC) AS place, count(*) OVER (PARTITION BY at) AS n FROM totals) AS t, unnest('{0,0.001,0.2,1}'::numeric[]) AS best
	GROUP BY 1, 2$$) AS pareto;
SELECT differ('SELECT a.at, b.* FROM asked AS a, retention.customer_value_bands(''{50,10,500,50}'', a.at) AS b', $$
	SELECT a.at, b.low, b.high, count(customer_id), coalesce(sum(spent), 0), count(customer_id) / (SELECT count(*)::numeric FROM totals AS t WHERE t.at = a.at),
		coalesce(sum(spent), 0) / (SELECT sum(spent) FROM totals AS t WHERE t.at = a.at)
	FROM asked AS a CROSS JOIN (VALUES (NULL::numeric, 10::numeric), (10, 50), (50, 500), (500, NULL)) AS b (low, high)
		LEFT JOIN totals AS t ON t.at = a.at AND coalesce(spent >= low, true) AND coalesce(spent < high, true)
	GROUP BY 1, 2, 3$$) AS customer_value_bands;

-- Who they are.
SELECT differ('SELECT c.at, c.unit, cohort, k, d.* FROM (SELECT DISTINCT at, unit, cohort FROM seen WHERE unit IN (''month'', ''year'')) AS c, generate_series(0, 3) AS k, retention.cohort_customers(cohort, k, unit, c.at) AS d',
	'SELECT at, unit, cohort, k, customer_id, count(*), sum(value) FROM seen, generate_series(0, 3) AS k WHERE unit IN (''month'', ''year'') AND bought_in = later(unit, cohort, k) GROUP BY 1, 2, 3, 4, 5') AS cohort_customers;
-- Any day of the period will do.
CREATE TABLE behind AS
	SELECT a.at, a.unit, start, d.* FROM axis AS a, retention.period_customers(later(unit, start, 1) - 1, unit, a.at) AS d WHERE unit = :'drill_unit';
SELECT differ('TABLE behind', format('SELECT at, unit, bought_in, customer_id, bool_or(x = 1), count(*), sum(value), count(*) FILTER (WHERE x = 1), coalesce(sum(value) FILTER (WHERE x = 1), 0) FROM seen WHERE unit = %L GROUP BY 1, 2, 3, 4', :'drill_unit')) AS period_customers;
-- Every cell of new_vs_returning() is a sum of what stands behind it.
SELECT differ(format('SELECT a.at, r.period, new_customers, returning_customers, first_purchases, repeat_purchases, first_value, repeat_value FROM asked AS a, retention.new_vs_returning(%L, a.at) AS r WHERE new_customers + returning_customers > 0', :'drill_unit'), $$
	SELECT b.at, start, count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new), sum(first_purchases), sum(b.purchases - first_purchases), sum(b.first_value), sum(b.value - b.first_value)
	FROM behind AS b JOIN fresh_and_old AS f USING (at, unit, start) WHERE f.is_over GROUP BY 1, 2$$) AS new_vs_returning_by_customers;
SELECT differ('SELECT c.at, c.unit, bought_in, k, d.* FROM (SELECT DISTINCT at, unit, bought_in FROM seen WHERE unit IN (''quarter'', ''year'')) AS c, generate_series(1, 2) AS k, retention.next_period_customers(bought_in, unit, k, c.at) AS d', $$
	WITH buyer AS (SELECT DISTINCT at, unit, bought_in, customer_id FROM seen WHERE unit IN ('quarter', 'year'))
	SELECT b.at, b.unit, b.bought_in, k, b.customer_id, l.at IS NOT NULL
	FROM buyer AS b CROSS JOIN generate_series(1, 2) AS k LEFT JOIN buyer AS l ON (l.at, l.unit, l.customer_id, l.bought_in) = (b.at, b.unit, b.customer_id, later(b.unit, b.bought_in, k))$$) AS next_period_customers;
SELECT differ('SELECT a.at, x, horizon, d.* FROM asked AS a, horizons, unnest(''{1,2,7}''::bigint[]) AS x, retention.x_order_customers(x, horizon, a.at) AS d WHERE horizon IS NULL OR horizon = ''30 days''', $$
	SELECT at, x, horizon, customer_id, paid_at, next_at, next_at IS NOT NULL AND (horizon IS NULL OR next_at - paid_at <= horizon)
	FROM seen JOIN horizons ON horizon IS NULL OR paid_at + extract(epoch FROM horizon) * interval '1 second' <= at
	WHERE unit = 'year' AND x IN (1, 2, 7) AND (horizon IS NULL OR horizon = '30 days')$$) AS x_order_customers;
