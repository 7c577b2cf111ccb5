-- Aggregates over purchase histories, on all of CDNOW and Online Retail, each
-- against its definition in plain SQL.  A line says how many rows there are
-- and how many of them differ.
CREATE SCHEMA aggregates_real;
SET search_path = aggregates_real, pg_catalog;

CREATE TABLE cdnow (
	transaction_id integer, customer_id integer, order_date date, cd_count integer, amount numeric, sample_id integer
);
\copy cdnow FROM PROGRAM 'zcat "$RETENTION_DATA"/cdnow.csv.gz' WITH (FORMAT csv, HEADER)
CREATE TABLE online_retail (
	invoice text, customer_id integer, invoice_date timestamp, amount numeric, quantity bigint, line_count integer, country text, is_cancellation boolean
);
\copy online_retail FROM PROGRAM 'zcat "$RETENTION_DATA"/online_retail_invoices.csv.gz' WITH (FORMAT csv, HEADER)

CREATE TABLE orders AS
	SELECT 'cdnow' AS shop, customer_id, order_date::timestamp AT TIME ZONE 'UTC' AS paid_at, amount FROM cdnow
	UNION ALL
	SELECT 'retail', customer_id, invoice_date AT TIME ZONE 'Europe/London', amount
	FROM online_retail WHERE NOT is_cancellation AND customer_id IS NOT NULL AND amount >= 0;
CREATE TABLE histories AS
	SELECT shop, customer_id, retention.purchase_history(paid_at, amount) AS history
	FROM orders GROUP BY 1, 2;
ANALYZE orders;
ANALYZE histories;

-- What is asked: whole data sets and moments within, in several zones.
CREATE TABLE moments (shop text, zone text, at timestamptz);
INSERT INTO moments VALUES
	('cdnow', 'UTC', '1998-07-01 00:00+00'),
	('cdnow', 'Asia/Shanghai', '1998-03-15 10:30+00'),
	('cdnow', 'America/New_York', '2001-01-01 00:00+00'),
	('retail', 'Europe/London', '2011-12-10 00:00+00'),
	('retail', 'Asia/Shanghai', '2011-10-30 01:30+00'),
	('retail', 'America/St_Johns', '2011-11-06 03:00+00');
-- Days of every moment, other periods where that moment is apt.
CREATE TABLE periods (zone text, at timestamptz, period text);
INSERT INTO periods SELECT zone, at, 'day' FROM moments;
INSERT INTO periods SELECT zone, at, unnest('{month,week,year}'::text[]) FROM moments WHERE at = '1998-07-01 00:00+00';
INSERT INTO periods SELECT zone, at, unnest('{quarter,week from sunday}'::text[]) FROM moments WHERE at = '1998-03-15 10:30+00';
INSERT INTO periods SELECT zone, at, unnest('{month,week,week from sunday,quarter,year}'::text[]) FROM moments WHERE zone = 'Asia/Shanghai' AND shop = 'retail';
INSERT INTO periods SELECT zone, at, unnest('{month,week}'::text[]) FROM moments WHERE zone = 'America/St_Johns';

CREATE FUNCTION plain_period(period text, zone text, at timestamptz) RETURNS date
	LANGUAGE sql IMMUTABLE
	RETURN CASE period
		WHEN 'week from sunday' THEN date_trunc('week', timezone(zone, at) + interval '1 day') - interval '1 day'
		ELSE date_trunc(period, timezone(zone, at))
	END::date;
CREATE FUNCTION next_start(period text, start date, k integer) RETURNS date
	LANGUAGE sql IMMUTABLE
	RETURN (start + k * CASE period
		WHEN 'week from sunday' THEN interval '1 week'
		WHEN 'quarter' THEN interval '3 months'
		ELSE ('1 ' || period)::interval
	END)::date;

-- Every order until the moment, with its period and that of the first one.
CREATE TABLE seen AS
	SELECT m.shop, zone, at, p.period, o.customer_id, o.paid_at, o.amount,
		plain_period(p.period, m.zone, o.paid_at) AS bought_in,
		plain_period(p.period, m.zone, m.at) AS current,
		row_number() OVER (PARTITION BY m.shop, m.zone, p.period, o.customer_id ORDER BY o.paid_at, o.amount) AS x,
		first_value(plain_period(p.period, m.zone, o.paid_at)) OVER (PARTITION BY m.shop, m.zone, p.period, o.customer_id ORDER BY o.paid_at, o.amount) AS cohort
	FROM moments AS m
		JOIN periods AS p USING (zone, at)
		JOIN orders AS o ON o.shop = m.shop AND o.paid_at <= m.at;
ANALYZE seen;
-- All periods from the first order to the moment's own, numbered.
CREATE TABLE axis AS
	WITH RECURSIVE step AS (
		SELECT shop, zone, at, period, min(bought_in) AS start, min(current) AS current, 0 AS i FROM seen GROUP BY 1, 2, 3, 4
		UNION ALL
		SELECT shop, zone, at, period, next_start(period, start, 1), current, i + 1 FROM step WHERE start < current
	)
	SELECT * FROM step;
ANALYZE axis;

-- cohort_matrix()
CREATE TABLE ours AS
	SELECT m.shop, m.zone, p.period, (r).*
	FROM moments AS m JOIN periods AS p USING (zone, at)
		CROSS JOIN LATERAL (
			SELECT unnest(retention.cohort_matrix(history, p.period, m.zone, m.at)) AS r FROM histories AS h WHERE h.shop = m.shop
		) AS c;
CREATE TABLE plain AS
	SELECT c.shop, c.zone, c.period, c.start AS cohort, s.i - c.i AS periods_since,
		CASE WHEN s.start < s.current THEN coalesce(n.customers, 0) END AS customers,
		CASE WHEN s.start < s.current THEN coalesce(n.purchases, 0) END AS purchases,
		CASE WHEN s.start < s.current THEN coalesce(n.value, 0) END AS value,
		CASE WHEN s.start < s.current THEN coalesce(n.customers, 0)::numeric / size.customers END AS rate
	FROM axis AS c
		JOIN (
			SELECT shop, zone, period, cohort, count(*) AS customers FROM seen WHERE x = 1 GROUP BY 1, 2, 3, 4
		) AS size ON (size.shop, size.zone, size.period, size.cohort) = (c.shop, c.zone, c.period, c.start)
		JOIN axis AS s ON (s.shop, s.zone, s.period) = (c.shop, c.zone, c.period) AND s.i >= c.i
		LEFT JOIN (
			SELECT shop, zone, period, cohort, bought_in, count(DISTINCT customer_id) AS customers, count(*) AS purchases, sum(amount) AS value
			FROM seen GROUP BY 1, 2, 3, 4, 5
		) AS n ON (n.shop, n.zone, n.period, n.cohort, n.bought_in) = (c.shop, c.zone, c.period, c.start, s.start);
SELECT 'cohort_matrix' AS question, (SELECT count(*) FROM ours) AS rows,
	(SELECT count(*) FROM ((TABLE ours EXCEPT ALL TABLE plain) UNION ALL (TABLE plain EXCEPT ALL TABLE ours)) AS d) AS different;
SELECT cohort, periods_since, customers, purchases, value, round(rate, 4) AS rate
FROM ours WHERE shop = 'cdnow' AND zone = 'Asia/Shanghai' AND period = 'quarter' ORDER BY 1, 2;
DROP TABLE ours, plain;

-- new_vs_returning()
CREATE TABLE ours AS
	SELECT m.shop, m.zone, p.period AS by, (r).*
	FROM moments AS m JOIN periods AS p USING (zone, at)
		CROSS JOIN LATERAL (
			SELECT unnest(retention.new_vs_returning(history, p.period, m.zone, m.at)) AS r FROM histories AS h WHERE h.shop = m.shop
		) AS c;
CREATE TABLE plain AS
	SELECT shop, zone, period AS by, start AS period, new_customers, returning_customers,
		returning_customers::numeric / nullif(new_customers + returning_customers, 0) AS returning_share,
		first_purchases, repeat_purchases, first_value, repeat_value
	FROM (
		SELECT a.shop, a.zone, a.period, a.start,
			CASE WHEN a.start < a.current THEN count(DISTINCT s.customer_id) FILTER (WHERE s.cohort = s.bought_in) END AS new_customers,
			CASE WHEN a.start < a.current THEN count(DISTINCT s.customer_id) FILTER (WHERE s.cohort < s.bought_in) END AS returning_customers,
			CASE WHEN a.start < a.current THEN count(*) FILTER (WHERE s.x = 1) END AS first_purchases,
			CASE WHEN a.start < a.current THEN count(*) FILTER (WHERE s.x > 1) END AS repeat_purchases,
			CASE WHEN a.start < a.current THEN coalesce(sum(s.amount) FILTER (WHERE s.x = 1), 0) END AS first_value,
			CASE WHEN a.start < a.current THEN coalesce(sum(s.amount) FILTER (WHERE s.x > 1), 0) END AS repeat_value
		FROM axis AS a
			LEFT JOIN seen AS s ON (s.shop, s.zone, s.period, s.bought_in) = (a.shop, a.zone, a.period, a.start)
		GROUP BY a.shop, a.zone, a.period, a.start, a.current
	) AS counted;
SELECT 'new_vs_returning' AS question, (SELECT count(*) FROM ours) AS rows,
	(SELECT count(*) FROM ((TABLE ours EXCEPT ALL TABLE plain) UNION ALL (TABLE plain EXCEPT ALL TABLE ours)) AS d) AS different;
DROP TABLE ours, plain;

-- next_period_rates(), next_period_rate()
CREATE TABLE ours AS
	SELECT m.shop, m.zone, p.period AS by, k, (r).*
	FROM moments AS m JOIN periods AS p USING (zone, at) JOIN generate_series(1, 3) AS k ON true
		CROSS JOIN LATERAL (
			SELECT unnest(retention.next_period_rates(history, p.period, k, m.zone, m.at)) AS r FROM histories AS h WHERE h.shop = m.shop
		) AS c;
CREATE TABLE buyers AS SELECT DISTINCT shop, zone, period, bought_in, current, customer_id FROM seen;
CREATE TABLE followed AS
	SELECT period, bought_in, k, next_start(period, bought_in, k) AS next_in
	FROM (SELECT DISTINCT period, bought_in FROM buyers) AS b, generate_series(1, 3) AS k;
ANALYZE buyers, followed;
CREATE TABLE plain AS
	SELECT b.shop, b.zone, b.period AS by, k, b.bought_in AS period,
		CASE WHEN b.bought_in < b.current THEN count(*) END AS customers,
		CASE WHEN next_in < b.current THEN count(l.customer_id) END AS returned,
		CASE WHEN next_in < b.current THEN count(l.customer_id)::numeric / count(*) END AS rate
	FROM buyers AS b JOIN followed USING (period, bought_in)
		LEFT JOIN buyers AS l ON (l.shop, l.zone, l.period, l.customer_id, l.bought_in) = (b.shop, b.zone, b.period, b.customer_id, next_in)
	GROUP BY b.shop, b.zone, b.period, k, b.bought_in, b.current, next_in;
SELECT 'next_period_rates' AS question, (SELECT count(*) FROM ours) AS rows,
	(SELECT count(*) FROM ((TABLE ours EXCEPT ALL TABLE plain) UNION ALL (TABLE plain EXCEPT ALL TABLE ours)) AS d) AS different;
SELECT 'next_period_rate' AS question, count(*) AS rows,
	count(*) FILTER (WHERE rate IS DISTINCT FROM (
		SELECT retention.next_period_rate(history, by, period + 1, k, zone, (SELECT at FROM moments AS m WHERE m.shop = o.shop AND m.zone = o.zone))
		FROM histories AS h WHERE h.shop = o.shop)) AS different
FROM (SELECT * FROM ours WHERE by IN ('quarter', 'year')) AS o;
DROP TABLE ours, plain;

-- repurchase_rates()
CREATE TABLE ours AS
	SELECT m.shop, m.zone, p.period AS by, (r).*
	FROM moments AS m JOIN periods AS p USING (zone, at)
		CROSS JOIN LATERAL (
			SELECT unnest(retention.repurchase_rates(history, p.period, m.zone, m.at)) AS r FROM histories AS h WHERE h.shop = m.shop
		) AS c;
CREATE TABLE plain AS
	SELECT shop, zone, period AS by, bought_in AS period,
		CASE WHEN bought_in < current THEN count(*) END AS customers,
		CASE WHEN bought_in < current THEN count(*) FILTER (WHERE purchases >= 2) END AS repeaters,
		CASE WHEN bought_in < current THEN (count(*) FILTER (WHERE purchases >= 2))::numeric / count(*) END AS rate
	FROM (SELECT shop, zone, period, bought_in, current, customer_id, count(*) AS purchases FROM seen GROUP BY 1, 2, 3, 4, 5, 6) AS c
	GROUP BY shop, zone, period, bought_in, current;
SELECT 'repurchase_rates' AS question, (SELECT count(*) FROM ours) AS rows,
	(SELECT count(*) FROM ((TABLE ours EXCEPT ALL TABLE plain) UNION ALL (TABLE plain EXCEPT ALL TABLE ours)) AS d) AS different;
DROP TABLE ours, plain;

-- x_order_rates(), magic_number()
CREATE TABLE horizons (horizon interval);
INSERT INTO horizons VALUES (NULL), ('7 days'), ('30 days'), ('90 days 12:00'), ('0');
CREATE TABLE ours AS
	SELECT m.shop, m.at, z.horizon, (r).*
	FROM moments AS m JOIN horizons AS z ON true
		CROSS JOIN LATERAL (
			SELECT unnest(retention.x_order_rates(history, z.horizon, m.at)) AS r FROM histories AS h WHERE h.shop = m.shop
		) AS c;
CREATE TABLE plain AS
	SELECT shop, at, horizon, x, count(*) AS customers,
		count(*) FILTER (WHERE next_at IS NOT NULL AND (horizon IS NULL OR next_at - paid_at <= horizon)) AS returned,
		(count(*) FILTER (WHERE next_at IS NOT NULL AND (horizon IS NULL OR next_at - paid_at <= horizon)))::numeric / count(*) AS rate
	FROM (
		SELECT shop, at, x, paid_at, lead(paid_at) OVER (PARTITION BY shop, at, customer_id ORDER BY x) AS next_at
		FROM seen WHERE period = 'day'
	) AS s JOIN horizons AS z ON z.horizon IS NULL OR s.paid_at <= s.at - z.horizon
	GROUP BY shop, at, horizon, x;
SELECT 'x_order_rates' AS question, (SELECT count(*) FROM ours) AS rows,
	(SELECT count(*) FROM ((TABLE ours EXCEPT ALL TABLE plain) UNION ALL (TABLE plain EXCEPT ALL TABLE ours)) AS d) AS different;
-- The magic number, tried for every X, as the definition says.
CREATE TABLE steps AS
	SELECT *, lead(customers) OVER w AS next_customers, lead(rate) OVER w - rate AS rise
	FROM plain WINDOW w AS (PARTITION BY shop, at, horizon ORDER BY x);
CREATE TABLE magic AS
	SELECT m.shop, m.at, z.horizon,
		(SELECT retention.magic_number(history, z.horizon, m.at) FROM histories AS h WHERE h.shop = m.shop) AS ours,
		(SELECT retention.magic_number(retention.x_order_collect(history, z.horizon, m.at), 0.02, 100) FROM histories AS h WHERE h.shop = m.shop) AS ours_strict,
		(
			SELECT min(x) FROM steps AS c
			WHERE (c.shop, c.at) = (m.shop, m.at) AND c.horizon IS NOT DISTINCT FROM z.horizon
				AND EXISTS (SELECT FROM steps AS s WHERE (s.shop, s.at) = (m.shop, m.at) AND s.horizon IS NOT DISTINCT FROM z.horizon
					AND s.next_customers >= 30)
				AND NOT EXISTS (SELECT FROM steps AS s WHERE (s.shop, s.at) = (m.shop, m.at) AND s.horizon IS NOT DISTINCT FROM z.horizon
					AND s.x >= c.x AND s.next_customers >= 30 AND s.rise >= 0.05)
		) AS plain,
		(
			SELECT min(x) FROM steps AS c
			WHERE (c.shop, c.at) = (m.shop, m.at) AND c.horizon IS NOT DISTINCT FROM z.horizon
				AND EXISTS (SELECT FROM steps AS s WHERE (s.shop, s.at) = (m.shop, m.at) AND s.horizon IS NOT DISTINCT FROM z.horizon
					AND s.next_customers >= 100)
				AND NOT EXISTS (SELECT FROM steps AS s WHERE (s.shop, s.at) = (m.shop, m.at) AND s.horizon IS NOT DISTINCT FROM z.horizon
					AND s.x >= c.x AND s.next_customers >= 100 AND s.rise >= 0.02)
		) AS plain_strict
	FROM moments AS m JOIN horizons AS z ON true;
SELECT 'magic_number' AS question, count(*) AS rows,
	count(*) FILTER (WHERE ours IS DISTINCT FROM plain OR ours_strict IS DISTINCT FROM plain_strict) AS different
FROM magic;
SELECT shop, horizon, ours, ours_strict FROM magic
WHERE at IN ('1998-07-01 00:00+00', '2011-12-10 00:00+00') ORDER BY 1, 2;
DROP TABLE magic, ours, plain;

-- retention_rate(), retention_curve(): observed are those whose day N is over.
CREATE TABLE days (days integer);
INSERT INTO days VALUES (0), (1), (3), (7), (30), (365), (1000);
CREATE TABLE ours AS
	SELECT m.shop, m.zone, mode, (r).*
	FROM moments AS m
		CROSS JOIN (VALUES ('classic'), ('rolling'), ('within')) AS modes (mode)
		CROSS JOIN LATERAL (
			SELECT unnest(retention.retention_curve(retention.retention_collect(history, m.zone, m.at), mode, (SELECT array_agg(days) FROM days))) AS r
			FROM histories AS h WHERE h.shop = m.shop
		) AS c;
CREATE TABLE returns AS
	SELECT shop, zone, customer_id, min(cohort) AS first_day, min(current) AS today,
		array_agg(bought_in - cohort ORDER BY x) FILTER (WHERE x > 1) AS later
	FROM seen WHERE period = 'day' GROUP BY 1, 2, 3;
CREATE TABLE plain AS
	SELECT c.shop, c.zone, mode, n.days, count(customer_id) AS customers,
		CASE WHEN count(customer_id) > 0 THEN count(*) FILTER (WHERE back) END AS returned,
		(count(*) FILTER (WHERE back))::numeric / nullif(count(customer_id), 0) AS rate
	FROM (SELECT shop, zone, mode, days FROM moments CROSS JOIN (VALUES ('classic'), ('rolling'), ('within')) AS modes (mode) CROSS JOIN days) AS c
		JOIN days AS n ON n.days = c.days
		LEFT JOIN LATERAL (
			SELECT r.customer_id, CASE c.mode
				WHEN 'classic' THEN c.days = ANY (r.later)
				WHEN 'rolling' THEN c.days <= ANY (r.later)
				ELSE c.days >= ANY (r.later)
			END AS back
			FROM returns AS r WHERE (r.shop, r.zone) = (c.shop, c.zone) AND r.first_day + c.days < r.today
		) AS observed ON true
	GROUP BY c.shop, c.zone, mode, n.days;
SELECT 'retention_curve' AS question, (SELECT count(*) FROM ours) AS rows,
	(SELECT count(*) FROM ((TABLE ours EXCEPT ALL TABLE plain) UNION ALL (TABLE plain EXCEPT ALL TABLE ours)) AS d) AS different;
SELECT 'retention_rate' AS question, count(*) AS rows,
	count(*) FILTER (WHERE rate IS DISTINCT FROM (
		SELECT retention.retention_rate(history, mode, days, zone, at) FROM histories AS h WHERE h.shop = m_shop)) AS different,
	count(*) FILTER (WHERE rate IS DISTINCT FROM (
		SELECT (retention.retention_curve(history, mode, ARRAY[1000, days], zone, at))[2].rate FROM histories AS h WHERE h.shop = m_shop)) AS different_in_curve,
	-- A second purchase at the very instant of the first is no later event.
	count(*) FILTER (WHERE mode <> 'within' AND rate IS DISTINCT FROM (
		SELECT retention.retention_rate(first_at, times, mode, days, zone, at)
		FROM (SELECT min(paid_at) AS first_at, array_agg(paid_at ORDER BY amount) AS times FROM orders AS o WHERE o.shop = m_shop GROUP BY customer_id) AS e)) AS different_by_events
FROM ours AS o JOIN (SELECT shop AS m_shop, * FROM moments) AS m USING (shop, zone) WHERE days > 0 AND (shop, zone) = ('retail', 'Asia/Shanghai');
SELECT mode, days, customers, returned, round(rate, 4) AS rate FROM ours WHERE shop = 'retail' AND zone = 'Europe/London' ORDER BY 1, 2;
DROP TABLE ours, plain;
-- By events: what is later than the first one, in every mode.
CREATE TABLE events AS
	SELECT shop, customer_id, min(paid_at) AS first_at, array_agg(paid_at ORDER BY amount) AS times FROM orders GROUP BY 1, 2;
CREATE TABLE came_back AS
	SELECT m.shop, m.zone, timezone(m.zone, e.first_at)::date AS first_day, timezone(m.zone, m.at)::date AS today,
		ARRAY(SELECT DISTINCT timezone(m.zone, t)::date - timezone(m.zone, e.first_at)::date FROM unnest(e.times) AS t WHERE t > e.first_at AND t <= m.at) AS later
	FROM moments AS m JOIN events AS e ON e.shop = m.shop AND e.first_at <= m.at;
SELECT 'retention_rate of events' AS question, count(*) AS rows, count(rate) AS rates, count(*) FILTER (WHERE rate IS DISTINCT FROM plain) AS different
FROM (
	SELECT (SELECT retention.retention_rate(first_at, times, mode, days, m.zone, m.at) FROM events AS e WHERE e.shop = m.shop) AS rate,
		(
			SELECT count(*) FILTER (WHERE CASE mode WHEN 'classic' THEN days = ANY (later) WHEN 'rolling' THEN days <= ANY (later) ELSE days >= ANY (later) END)::numeric / nullif(count(*), 0)
			FROM came_back AS c WHERE (c.shop, c.zone) = (m.shop, m.zone) AND c.first_day + days < c.today
		) AS plain
	FROM moments AS m CROSS JOIN unnest('{classic,rolling,within}'::text[]) AS mode CROSS JOIN days
) AS rates;
-- The same by one row a log-in, of all and of those who were new in a month.
CREATE TABLE logins AS
	SELECT shop, customer_id, min(paid_at) OVER (PARTITION BY shop, customer_id) AS first_at, paid_at AS at FROM orders;
CREATE TABLE ours AS
	SELECT m.shop, m.zone, mode, date_trunc('month', timezone(m.zone, first_at))::date AS month,
		unnest(retention.retention_curve(customer_id, first_at, l.at, mode, (SELECT array_agg(days) FROM days), m.zone, m.at)) AS r
	FROM moments AS m JOIN logins AS l ON l.shop = m.shop AND first_at <= m.at CROSS JOIN unnest('{classic,rolling,within}'::text[]) AS mode
	GROUP BY m.shop, m.zone, mode, GROUPING SETS ((), (4));
CREATE TABLE plain AS
	SELECT *, returned::numeric / nullif(customers, 0) AS rate
	FROM (
		SELECT shop, zone, mode, month, days, count(*) FILTER (WHERE observed) AS customers,
			CASE WHEN bool_or(observed) THEN count(*) FILTER (WHERE observed AND CASE mode WHEN 'classic' THEN days = ANY (later) WHEN 'rolling' THEN days <= ANY (later) ELSE days >= ANY (later) END) END AS returned
		FROM came_back CROSS JOIN unnest('{classic,rolling,within}'::text[]) AS mode CROSS JOIN days,
			LATERAL (SELECT date_trunc('month', first_day)::date AS month, first_day + days < today AS observed) AS o
		GROUP BY shop, zone, mode, days, GROUPING SETS ((), (month))
	) AS c;
SELECT 'retention_curve of log-ins' AS question, (SELECT count(*) FROM ours) AS rows, (SELECT count(DISTINCT month) FROM ours) AS months,
	(SELECT count(*) FROM ((SELECT shop, zone, mode, month, (r).* FROM ours EXCEPT ALL TABLE plain) UNION ALL (TABLE plain EXCEPT ALL SELECT shop, zone, mode, month, (r).* FROM ours)) AS d) AS different;
SELECT 'retention_rate of log-ins' AS question, count(*) AS rows,
	count(*) FILTER (WHERE rate IS DISTINCT FROM (SELECT retention.retention_rate(customer_id, first_at, l.at, mode, days, m.zone, m.at) FROM logins AS l WHERE l.shop = m.shop)) AS different,
	count(*) FILTER (WHERE rate IS DISTINCT FROM (SELECT retention.retention_rate(first_at, times, mode, days, m.zone, m.at) FROM events AS e WHERE e.shop = m.shop)) AS different_by_events
FROM moments AS m JOIN plain AS p USING (shop, zone) WHERE month IS NULL AND days IN (0, 7, 30);
DROP TABLE events, came_back, logins, ours, plain;

-- purchase_gaps()
CREATE TABLE ours AS
	SELECT m.shop, m.at, (r).*
	FROM moments AS m
		CROSS JOIN LATERAL (
			SELECT unnest(retention.purchase_gaps(history, NULL, '{0,0.25,0.5,0.9,1}', m.at)) AS r FROM histories AS h WHERE h.shop = m.shop
		) AS c;
CREATE TABLE plain AS
	SELECT shop, at, x, customers, fraction, gap
	FROM (
		SELECT shop, at, x, count(*) AS customers,
			percentile_disc('{0,0.25,0.5,0.9,1}'::float8[]) WITHIN GROUP (ORDER BY next_at - paid_at) AS gaps
		FROM (
			SELECT shop, at, x, paid_at, lead(paid_at) OVER (PARTITION BY shop, at, customer_id ORDER BY x) AS next_at
			FROM seen WHERE period = 'day'
		) AS s
		WHERE next_at IS NOT NULL
		GROUP BY 1, 2, 3
	) AS g CROSS JOIN LATERAL unnest(gaps, '{0,0.25,0.5,0.9,1}'::numeric[]) AS u (gap, fraction);
SELECT 'purchase_gaps' AS question, (SELECT count(*) FROM ours) AS rows,
	(SELECT count(*) FROM ((TABLE ours EXCEPT ALL TABLE plain) UNION ALL (TABLE plain EXCEPT ALL TABLE ours)) AS d) AS different;
SELECT 'one x' AS question, count(*) AS rows, count(*) FILTER (WHERE gap IS DISTINCT FROM
	(SELECT (retention.purchase_gaps(history, x::integer, ARRAY[fraction], at))[1].gap FROM histories AS h WHERE h.shop = o.shop)) AS different
FROM ours AS o WHERE x IN (1, 2, 10) AND at = '2011-12-10 00:00+00';
DROP TABLE ours, plain;

-- pareto_share()
SELECT 'pareto_share' AS question, count(*) AS rows,
	count(*) FILTER (WHERE ours IS DISTINCT FROM plain) AS different,
	min(round(ours, 4)) FILTER (WHERE at = '1998-07-01 00:00+00' AND best = 0.2) AS cdnow,
	min(round(ours, 4)) FILTER (WHERE at = '2011-12-10 00:00+00' AND best = 0.2) AS retail
FROM (
	SELECT m.at, best,
		(SELECT retention.pareto_share(history, best, m.at) FROM histories AS h WHERE h.shop = m.shop) AS ours,
		(
			SELECT sum(spent) FILTER (WHERE rank <= greatest(ceil(best * n), 1)) / sum(spent)
			FROM (
				SELECT sum(amount) AS spent, row_number() OVER (ORDER BY sum(amount) DESC) AS rank, count(*) OVER () AS n
				FROM orders AS o WHERE o.shop = m.shop AND o.paid_at <= m.at GROUP BY customer_id
			) AS c
		) AS plain
	FROM moments AS m, unnest('{0,0.01,0.2,0.5,1}'::numeric[]) AS best
) AS p;

-- The same answers from workers, from parts that were kept, with little
-- memory, whatever the session's zone and the order of rows.
CREATE FUNCTION answers(source text) RETURNS text
	LANGUAGE plpgsql
	AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format($q$
		SELECT md5(concat_ws('/',
			retention.cohort_matrix(history, 'month', 'Asia/Shanghai', '2011-10-01 00:00+00'),
			retention.new_vs_returning(history, 'week', 'Asia/Shanghai', '2011-10-01 00:00+00'),
			retention.next_period_rates(history, 'quarter', 1, 'Asia/Shanghai', '2011-10-01 00:00+00'),
			retention.repurchase_rates(history, 'day', 'Asia/Shanghai', '2011-10-01 00:00+00'),
			retention.x_order_rates(history, '30 days', '2011-10-01 00:00+00'),
			retention.magic_number(history, '30 days', '2011-10-01 00:00+00'),
			retention.retention_rate(history, 'within', 30, 'Asia/Shanghai', '2011-10-01 00:00+00'),
			retention.purchase_gaps(history, NULL, '{0.5}', '2011-10-01 00:00+00'),
			retention.pareto_share(history, 0.2, '2011-10-01 00:00+00')))
		FROM %s AS h$q$, source) INTO result;
	RETURN result;
END
$$;
SET DateStyle = 'ISO';
SET TimeZone = 'UTC';
CREATE TABLE expected AS SELECT answers('histories') AS answer;
SELECT answers('(SELECT * FROM histories ORDER BY md5(customer_id::text)) ') = answer AS shuffled FROM expected;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
ALTER TABLE histories SET (parallel_workers = 2);
EXPLAIN (COSTS OFF) SELECT retention.magic_number(history, '30 days', '2011-10-01 00:00+00') FROM histories;
SELECT answers('histories') = answer AS parallel FROM expected;
SET parallel_leader_participation = off;
SELECT answers('histories') = answer AS workers_only FROM expected;
RESET parallel_leader_participation;
RESET max_parallel_workers_per_gather;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
SET TimeZone = 'America/New_York';
SELECT answers('histories') = answer AS other_zone FROM expected;
SET work_mem = '64kB';
SELECT answers('(SELECT shop, customer_id, retention.purchase_history(paid_at, amount) AS history FROM orders GROUP BY 1, 2)') = answer AS from_orders FROM expected;
SET enable_hashagg = off;
SELECT answers('(SELECT shop, customer_id, retention.purchase_history(paid_at, amount) AS history FROM orders GROUP BY 1, 2)') = answer AS sorted FROM expected;
RESET enable_hashagg;
RESET work_mem;
RESET TimeZone;
RESET DateStyle;

-- Kept in parts, merged into the whole, by way of text too.
CREATE TABLE parts AS
	SELECT customer_id % 7 AS part,
		retention.cohort_collect(history, 'month', 'Asia/Shanghai', '2011-10-01 00:00+00') AS cohort,
		retention.new_vs_returning_collect(history, 'month', 'Asia/Shanghai', '2011-10-01 00:00+00') AS new_vs_returning,
		retention.next_period_collect(history, 'month', 2, 'Asia/Shanghai', '2011-10-01 00:00+00') AS next_period,
		retention.repurchase_rates_collect(history, 'month', 'Asia/Shanghai', '2011-10-01 00:00+00') AS repurchase,
		retention.x_order_collect(history, '60 days', '2011-10-01 00:00+00') AS x_order,
		retention.retention_collect(history, 'Asia/Shanghai', '2011-10-01 00:00+00') AS retained,
		retention.purchase_gaps_collect(history, NULL, '{0.25,0.75}', '2011-10-01 00:00+00') AS gaps,
		retention.pareto_collect(history, 0.1, '2011-10-01 00:00+00') AS pareto
	FROM histories GROUP BY 1;
SELECT
	retention.cohort_matrix(p.cohort) = retention.cohort_matrix(w.cohort) AS cohort,
	retention.new_vs_returning(p.new_vs_returning) = retention.new_vs_returning(w.new_vs_returning) AS new_vs_returning,
	retention.next_period_rates(p.next_period) = retention.next_period_rates(w.next_period) AS next_period,
	retention.repurchase_rates(p.repurchase) = retention.repurchase_rates(w.repurchase) AS repurchase,
	retention.x_order_rates(p.x_order) = retention.x_order_rates(w.x_order) AS x_order,
	p.retained::text = w.retained::text AS retained,
	retention.purchase_gaps(p.gaps) = retention.purchase_gaps(w.gaps) AS gaps,
	retention.pareto_share(p.pareto) = retention.pareto_share(w.pareto) AS pareto
FROM (
	SELECT retention.merge(cohort::text::retention.history_counts) AS cohort, retention.merge(new_vs_returning) AS new_vs_returning,
		retention.merge(next_period) AS next_period, retention.merge(repurchase) AS repurchase,
		retention.merge(x_order::text::retention.history_counts) AS x_order, retention.merge(retained) AS retained,
		retention.merge(gaps::text::retention.history_counts) AS gaps, retention.merge(pareto) AS pareto
	FROM parts
) AS p, (
	SELECT
		retention.cohort_collect(history, 'month', 'Asia/Shanghai', '2011-10-01 00:00+00') AS cohort,
		retention.new_vs_returning_collect(history, 'month', 'Asia/Shanghai', '2011-10-01 00:00+00') AS new_vs_returning,
		retention.next_period_collect(history, 'month', 2, 'Asia/Shanghai', '2011-10-01 00:00+00') AS next_period,
		retention.repurchase_rates_collect(history, 'month', 'Asia/Shanghai', '2011-10-01 00:00+00') AS repurchase,
		retention.x_order_collect(history, '60 days', '2011-10-01 00:00+00') AS x_order,
		retention.retention_collect(history, 'Asia/Shanghai', '2011-10-01 00:00+00') AS retained,
		retention.purchase_gaps_collect(history, NULL, '{0.25,0.75}', '2011-10-01 00:00+00') AS gaps,
		retention.pareto_collect(history, 0.1, '2011-10-01 00:00+00') AS pareto
	FROM histories
) AS w;

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA aggregates_real CASCADE;
