-- The state of aggregates over histories by its laws: on random customers,
-- whatever their order, however they are split into parts, kept as text or in
-- binary and merged, the answer is one, and it is that of plain SQL.
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET client_min_messages = warning;
CREATE SCHEMA counts_test;
SET search_path = counts_test, pg_catalog;

-- Customers of many kinds: dates from 1970 to 2100 in clusters and spread wide,
-- purchases at one instant, amounts from nothing over cents to the largest.
SELECT setseed(0.45);
CREATE TABLE purchases AS
	SELECT world, customer, paid_at, amount
	FROM generate_series(1, 60) AS world
		CROSS JOIN LATERAL (SELECT (ARRAY[3, 40, 400, 47000])[1 + world % 4] AS days, (ARRAY[1, 60, 3600, 86400])[1 + world % 3] AS seconds, world % 5 AS places) AS style
		CROSS JOIN LATERAL generate_series(1, 30) AS customer
		CROSS JOIN LATERAL (
			SELECT CASE WHEN j % 3 = 0 THEN timestamptz '1999-12-31 20:00+00' + world * interval '1 day'
					ELSE timestamptz '1970-01-01 00:00+00' + (world % 4 + 1) * 3000 * interval '1 day'
						+ floor((random() + 0 * j) * days * 86400 / seconds) * seconds * interval '1 second' END AS paid_at,
				CASE WHEN random() < 0.1 THEN 0 WHEN random() < 0.02 THEN trunc(9223372036854775807 * ('1e-' || places)::numeric, places)
					ELSE round((random() * 10 ^ (j % 5))::numeric, places) END AS amount
			FROM generate_series(1, floor(1 + 12 * random() ^ 3 + 0 * customer)::integer) AS j
		) AS drawn
	WHERE paid_at < '2100-01-01';
SELECT count(*) > 4000 AS many, min(paid_at) < '1980-01-01' AS early, max(paid_at) > '2090-01-01' AS late, count(*) FILTER (WHERE amount = 0) > 100 AS free,
	max(amount) = 9223372036854775807 AS largest, count(*) - count(DISTINCT (world, customer, paid_at)) > 100 AS at_one_instant
FROM purchases;
CREATE TABLE questions AS
	SELECT world, (ARRAY['day', 'week', 'month', 'quarter', 'year', 'week from sunday'])[1 + world % 6] AS period,
		(ARRAY['UTC', 'Asia/Shanghai', 'America/St_Johns'])[1 + world % 3] AS zone,
		-- Days of a century would make matrices of millions of cells.
		CASE WHEN max(paid_at) - min(paid_at) > interval '2000 days' THEN 'year' ELSE '' END AS coarse,
		CASE WHEN world % 2 = 0 THEN interval '30 days' END AS horizon,
		min(paid_at) + (max(paid_at) - min(paid_at)) * 0.8 AS at
	FROM purchases GROUP BY world;
UPDATE questions SET period = coarse WHERE coarse <> '';
CREATE TABLE histories AS
	SELECT world, customer, retention.purchase_history(paid_at, amount) AS history FROM purchases GROUP BY 1, 2;

-- Each question of the whole, and of two to four parts in any order; the parts
-- pass through the text form, or through the binary one by way of COPY.
CREATE TABLE collected AS
	SELECT world, split, part,
		retention.cohort_collect(history, period, zone, at) AS cohort,
		retention.new_vs_returning_collect(history, period, zone, at) AS new_vs_returning,
		retention.next_period_collect(history, period, 1 + world % 3, zone, at) AS next_period,
		retention.repurchase_rates_collect(history, period, zone, at) AS repurchase,
		retention.x_order_collect(history, horizon, at) AS x_order,
		retention.retention_collect(history, zone, at) AS retained,
		retention.purchase_gaps_collect(history, NULL, '{0,0.3,0.5,1}', at) AS gaps,
		retention.pareto_collect(history, 0.2, at) AS pareto
	FROM (
		SELECT *, CASE split WHEN 0 THEN 0 ELSE floor(random() * (1 + split)) END AS part
		FROM histories JOIN questions USING (world) CROSS JOIN generate_series(0, 3) AS split
		ORDER BY random()
	) AS shuffled
	GROUP BY world, split, part;
CREATE TABLE copied (LIKE collected);
\copy collected TO 'results/history_counts.bin' WITH (FORMAT binary)
\copy copied FROM 'results/history_counts.bin' WITH (FORMAT binary)
\! rm -f results/history_counts.bin
SELECT count(*) AS states, count(*) FILTER (WHERE c::text <> k::text) AS different
FROM collected AS c JOIN copied AS k USING (world, split, part);
CREATE TABLE merged AS
	SELECT world, split, way, retention.merge(cohort ORDER BY random()) AS cohort, retention.merge(new_vs_returning ORDER BY random()) AS new_vs_returning,
		retention.merge(next_period ORDER BY random()) AS next_period, retention.merge(repurchase ORDER BY random()) AS repurchase,
		retention.merge(x_order ORDER BY random()) AS x_order, retention.merge(retained ORDER BY random()) AS retained,
		retention.merge(gaps ORDER BY random()) AS gaps, retention.merge(pareto ORDER BY random()) AS pareto
	FROM (
		SELECT 'as it was' AS way, * FROM collected
		UNION ALL
		SELECT 'by binary', * FROM copied
		UNION ALL
		SELECT 'by text', world, split, part, cohort::text::retention.history_counts, new_vs_returning::text::retention.history_counts,
			next_period::text::retention.history_counts, repurchase::text::retention.history_counts, x_order::text::retention.history_counts,
			retained::text::retention.history_counts, gaps::text::retention.history_counts, pareto::text::retention.history_counts
		FROM collected
	) AS parts
	GROUP BY world, split, way;
-- One state, byte by byte, and so one answer.
SELECT count(*) AS merged, count(DISTINCT world) AS worlds,
	count(DISTINCT (world, cohort::text, new_vs_returning::text, next_period::text, repurchase::text, x_order::text, retained::text, gaps::text, pareto::text)) AS states
FROM merged;
SELECT count(*) AS worlds, count(*) FILTER (WHERE (retention.cohort_matrix(m.cohort), retention.new_vs_returning(m.new_vs_returning), retention.next_period_rates(m.next_period),
		retention.repurchase_rates(m.repurchase), retention.x_order_rates(m.x_order), retention.retention_curve(m.retained, 'rolling', '{0,1,30}'),
		retention.purchase_gaps(m.gaps), retention.pareto_share(m.pareto))
	IS DISTINCT FROM (w.cohort, w.new_vs_returning, w.next_period, w.repurchase, w.x_order, w.retained, w.gaps, w.pareto)) AS different
FROM merged AS m JOIN (
	SELECT world, retention.cohort_matrix(history, period, zone, at) AS cohort, retention.new_vs_returning(history, period, zone, at) AS new_vs_returning,
		retention.next_period_rates(history, period, 1 + world % 3, zone, at) AS next_period, retention.repurchase_rates(history, period, zone, at) AS repurchase,
		retention.x_order_rates(history, horizon, at) AS x_order, retention.retention_curve(history, 'rolling', '{0,1,30}', zone, at) AS retained,
		retention.purchase_gaps(history, NULL, '{0,0.3,0.5,1}', at) AS gaps, retention.pareto_share(history, 0.2, at) AS pareto
	FROM histories JOIN questions USING (world) GROUP BY world
) AS w USING (world)
WHERE m.split = 3 AND m.way = 'by text';

-- Histories that went through removal and adding again answer the same.
SELECT count(*) AS worlds, count(*) FILTER (WHERE again IS DISTINCT FROM m.cohort::text) AS different
FROM (
	SELECT world, retention.cohort_collect(retention.append(retention.remove(history, retention.first_purchase(history), e.amount), retention.first_purchase(history), e.amount), period, zone, at)::text AS again
	FROM histories JOIN questions USING (world) CROSS JOIN LATERAL (SELECT amount FROM retention.entries(history) LIMIT 1) AS e
	GROUP BY world
) AS a JOIN merged AS m USING (world) WHERE m.split = 0 AND m.way = 'as it was';

-- Plain SQL over the purchases.
CREATE FUNCTION plain_period(period text, zone text, at timestamptz) RETURNS date
	LANGUAGE sql IMMUTABLE
	RETURN CASE period
		WHEN 'week from sunday' THEN date_trunc('week', timezone(zone, at) + interval '1 day') - interval '1 day'
		ELSE date_trunc(period, timezone(zone, at))
	END::date;
CREATE TABLE seen AS
	SELECT world, customer, paid_at, amount, at, zone, horizon, plain_period(period, zone, paid_at) AS bought_in, plain_period(period, zone, at) AS current,
		timezone(zone, paid_at)::date AS day, timezone(zone, at)::date AS today,
		row_number() OVER w AS x, first_value(plain_period(period, zone, paid_at)) OVER w AS cohort, first_value(timezone(zone, paid_at)::date) OVER w AS first_day,
		lead(paid_at) OVER w AS next_at
	FROM purchases JOIN questions USING (world) WHERE paid_at <= at
	WINDOW w AS (PARTITION BY world, customer ORDER BY paid_at, amount);
CREATE VIEW answers AS
	SELECT 'cohort_matrix' AS question, world, cohort::text AS a, NULL::numeric AS b, customers::numeric AS c, purchases::numeric AS d, value AS e
	FROM (SELECT world, (unnest(retention.cohort_matrix(cohort))).* FROM merged WHERE split = 2 AND way = 'by binary') AS r WHERE periods_since > 0 AND customers > 0
	UNION ALL
	SELECT 'new_vs_returning', world, period::text, new_customers, returning_customers, first_value, repeat_value
	FROM (SELECT world, (unnest(retention.new_vs_returning(new_vs_returning))).* FROM merged WHERE split = 2 AND way = 'by binary') AS r WHERE first_purchases + repeat_purchases > 0
	UNION ALL
	SELECT 'repurchase_rates', world, period::text, customers, repeaters, rate, NULL
	FROM (SELECT world, (unnest(retention.repurchase_rates(repurchase))).* FROM merged WHERE split = 2 AND way = 'by binary') AS r WHERE customers IS NOT NULL
	UNION ALL
	SELECT 'x_order_rates', world, NULL, x, customers, returned, rate
	FROM (SELECT world, (unnest(retention.x_order_rates(x_order))).* FROM merged WHERE split = 2 AND way = 'by binary') AS r
	UNION ALL
	SELECT 'retention_curve', world, 'within', days, customers, returned, rate
	FROM (SELECT world, (unnest(retention.retention_curve(retained, 'within', '{0,1,30,1000}'))).* FROM merged WHERE split = 2 AND way = 'by binary') AS r WHERE customers > 0
	UNION ALL
	SELECT 'purchase_gaps', world, gap::text, x, customers, fraction, NULL
	FROM (SELECT world, (unnest(retention.purchase_gaps(gaps))).* FROM merged WHERE split = 2 AND way = 'by binary') AS r
	UNION ALL
	SELECT 'pareto_share', world, NULL, retention.pareto_share(pareto), NULL, NULL, NULL FROM merged WHERE split = 2 AND way = 'by binary';
CREATE VIEW plain AS
	SELECT 'cohort_matrix' AS question, world, cohort::text AS a, NULL::numeric AS b, count(DISTINCT customer)::numeric AS c, count(*)::numeric AS d, sum(amount) AS e
	FROM seen WHERE bought_in > cohort AND bought_in < current GROUP BY world, cohort, bought_in
	UNION ALL
	SELECT 'new_vs_returning', world, bought_in::text, count(DISTINCT customer) FILTER (WHERE bought_in = cohort), count(DISTINCT customer) FILTER (WHERE bought_in > cohort),
		coalesce(sum(amount) FILTER (WHERE x = 1), 0), coalesce(sum(amount) FILTER (WHERE x > 1), 0)
	FROM seen WHERE bought_in < current GROUP BY world, bought_in
	UNION ALL
	SELECT 'repurchase_rates', world, bought_in::text, count(*), count(*) FILTER (WHERE n > 1), (count(*) FILTER (WHERE n > 1))::numeric / count(*), NULL
	FROM (SELECT world, bought_in, customer, count(*) AS n FROM seen WHERE bought_in < current GROUP BY 1, 2, 3) AS c GROUP BY world, bought_in
	UNION ALL
	SELECT 'x_order_rates', world, NULL, x, count(*), count(*) FILTER (WHERE back), (count(*) FILTER (WHERE back))::numeric / count(*)
	FROM (SELECT *, next_at IS NOT NULL AND (horizon IS NULL OR next_at - paid_at <= horizon) AS back FROM seen WHERE horizon IS NULL OR paid_at <= at - horizon) AS s GROUP BY world, x
	UNION ALL
	SELECT 'retention_curve', world, 'within', days, count(*), count(*) FILTER (WHERE back), (count(*) FILTER (WHERE back))::numeric / count(*)
	FROM (SELECT world, customer, days, coalesce(bool_or(x > 1 AND day - first_day <= days), false) AS back FROM seen, unnest('{0,1,30,1000}'::integer[]) AS days
		WHERE first_day + days < today GROUP BY 1, 2, 3) AS c GROUP BY world, days
	UNION ALL
	SELECT 'purchase_gaps', world, gap::text, x, n, fraction, NULL
	FROM (SELECT world, x, count(*) AS n, percentile_disc('{0,0.3,0.5,1}'::float8[]) WITHIN GROUP (ORDER BY next_at - paid_at) AS gaps FROM seen WHERE next_at IS NOT NULL GROUP BY 1, 2) AS g,
		unnest(gaps, '{0,0.3,0.5,1}'::numeric[]) AS u (gap, fraction)
	UNION ALL
	SELECT 'pareto_share', world, NULL, sum(spent) FILTER (WHERE place <= greatest(1, ceil(0.2 * n))) / nullif(sum(spent), 0), NULL, NULL, NULL
	FROM (SELECT world, sum(amount) AS spent, row_number() OVER (PARTITION BY world ORDER BY sum(amount) DESC) AS place, count(*) OVER (PARTITION BY world) AS n FROM seen GROUP BY world, customer) AS c
	GROUP BY world;
CREATE TABLE ours AS TABLE answers;
CREATE TABLE theirs AS TABLE plain;
SELECT o.question, o.rows > 50 AS many, coalesce(d.different, 0) AS different
FROM (SELECT question, count(*) AS rows FROM ours GROUP BY 1) AS o
	LEFT JOIN (SELECT question, count(*) AS different FROM ((TABLE ours EXCEPT ALL TABLE theirs) UNION ALL (TABLE theirs EXCEPT ALL TABLE ours)) AS d GROUP BY 1) AS d USING (question)
ORDER BY 1;

DROP SCHEMA counts_test CASCADE;
