-- Forecasts on the CDNOW 1/10 sample, against the published values: BG/NBD of
-- Fader, Hardie and Lee (2005), MBG/NBD of Batislam et al. (2007), Gamma-Gamma
-- of Fader and Hardie (2013).
\set ECHO none
\i test/include/start.sql
SET client_min_messages = warning;
CREATE SCHEMA forecast_real;
SET search_path = forecast_real, pg_catalog;
CREATE TABLE cdnow (
	transaction_id integer PRIMARY KEY, customer_id integer NOT NULL, order_date date NOT NULL, cd_count integer, amount numeric NOT NULL, sample_id integer
);
\copy cdnow FROM PROGRAM 'zcat "$RETENTION_DATA"/cdnow.csv.gz' WITH (FORMAT csv, HEADER)
CREATE TABLE sample AS
SELECT customer_id, retention.purchase_history(order_date, amount) AS history
FROM cdnow
WHERE sample_id IS NOT NULL
GROUP BY customer_id;

-- ---------------------------------------------------------------------------
-- Histories give the numbers that plain SQL over the orders gives
-- ---------------------------------------------------------------------------

CREATE TABLE plain AS
SELECT
	o.customer_id,
	count(DISTINCT o.order_date) - 1 AS frequency,
	(max(o.order_date) - f.first_date) / 7.0 AS recency,
	('1997-09-30' - f.first_date) / 7.0 AS age,
	sum(o.amount) FILTER (WHERE o.order_date > f.first_date) / nullif(count(DISTINCT o.order_date) - 1, 0) AS mean_value
FROM cdnow o
JOIN (SELECT customer_id, min(order_date) AS first_date FROM cdnow GROUP BY customer_id) f USING (customer_id)
WHERE o.sample_id IS NOT NULL AND o.order_date <= '1997-09-30'
GROUP BY o.customer_id, f.first_date;
SELECT count(*) AS customers, count(*) FILTER (WHERE p.frequency > 0) AS repeaters, sum(p.frequency) AS repeats,
	count(*) FILTER (WHERE s.frequency IS DISTINCT FROM p.frequency OR abs(s.recency - p.recency) > 1e-12
		OR abs(s.age - p.age) > 1e-12 OR s.mean_value IS DISTINCT FROM p.mean_value) AS wrong
FROM plain p
JOIN sample USING (customer_id)
CROSS JOIN LATERAL retention.purchase_summary(history, '7 days', 'UTC', '1997-09-30 23:59+00') s;

-- ---------------------------------------------------------------------------
-- Fits
-- ---------------------------------------------------------------------------

-- r .2426 alpha 4.414 a .793 b 2.426, log-likelihood -9582.43.
SELECT (fit).model, round((fit).r::numeric, 4) AS r, round((fit).alpha::numeric, 3) AS alpha, round((fit).a::numeric, 3) AS a,
	round((fit).b::numeric, 3) AS b, round((fit).log_likelihood::numeric, 2) AS log_likelihood, (fit).customers, (fit).converged
FROM (SELECT retention.bgnbd_fit(history, '7 days', 'UTC', '1997-09-30 23:59+00') AS fit FROM sample) f;
-- .525, 6.183, .891, 1.614.
SELECT (fit).model, round((fit).r::numeric, 3) AS r, round((fit).alpha::numeric, 3) AS alpha, round((fit).a::numeric, 3) AS a,
	round((fit).b::numeric, 3) AS b, round((fit).log_likelihood::numeric, 2) AS log_likelihood, (fit).customers, (fit).converged
FROM (SELECT retention.mbgnbd_fit(history, '7 days', 'UTC', '1997-09-30 23:59+00') AS fit FROM sample) f;
-- p 6.25, q 3.74, gamma 15.44, of the 946 who bought again.
SELECT round((fit).p::numeric, 2) AS p, round((fit).q::numeric, 2) AS q, round((fit).gamma::numeric, 2) AS gamma,
	round((fit).log_likelihood::numeric, 1) AS log_likelihood, (fit).customers, (fit).converged
FROM (SELECT retention.gamma_gamma_fit(history, 'UTC', '1997-09-30 23:59+00') AS fit FROM sample) f;

-- The numbers of plain SQL give the same; the unit of time is a matter of scale.
CREATE TABLE fit AS
SELECT retention.bgnbd_fit(frequency, recency, age) AS weeks, retention.bgnbd_fit(frequency, recency * 7, age * 7) AS days,
	retention.mbgnbd_fit(frequency, recency, age) AS modified, retention.gamma_gamma_fit(frequency, mean_value::float8) AS worth
FROM plain;
SELECT round((weeks).r::numeric, 4) AS r, round((weeks).alpha::numeric, 3) AS alpha, round((days).alpha::numeric / 7, 3) AS alpha_of_days,
	round((days).b::numeric, 3) AS b_of_days, round((worth).gamma::numeric, 2) AS gamma
FROM fit;
-- Log-likelihoods of single customers add up to the fit's.
SELECT round((sum(retention.log_likelihood(weeks, frequency, recency, age)) - (weeks).log_likelihood)::numeric, 6) AS purchases,
	round((sum(retention.log_likelihood(worth, frequency, mean_value)) - (worth).log_likelihood)::numeric, 6) AS amounts
FROM plain, fit GROUP BY fit.*, weeks, worth;

-- At the maximum every step along a parameter leads down.
SELECT parameter, up < 0 AND down < 0 AS falls, round(((up - down) / (2 * step))::numeric, 3) AS gradient
FROM (
	SELECT parameter, step,
		sum(retention.log_likelihood(above, frequency, recency, age)) - (weeks).log_likelihood AS up,
		sum(retention.log_likelihood(below, frequency, recency, age)) - (weeks).log_likelihood AS down
	FROM fit
	CROSS JOIN LATERAL (VALUES
		('r', 1e-5, retention.bgnbd((weeks).r + 1e-5, (weeks).alpha, (weeks).a, (weeks).b), retention.bgnbd((weeks).r - 1e-5, (weeks).alpha, (weeks).a, (weeks).b)),
		('alpha', 1e-4, retention.bgnbd((weeks).r, (weeks).alpha + 1e-4, (weeks).a, (weeks).b), retention.bgnbd((weeks).r, (weeks).alpha - 1e-4, (weeks).a, (weeks).b)),
		('a', 1e-4, retention.bgnbd((weeks).r, (weeks).alpha, (weeks).a + 1e-4, (weeks).b), retention.bgnbd((weeks).r, (weeks).alpha, (weeks).a - 1e-4, (weeks).b)),
		('b', 1e-4, retention.bgnbd((weeks).r, (weeks).alpha, (weeks).a, (weeks).b + 1e-4), retention.bgnbd((weeks).r, (weeks).alpha, (weeks).a, (weeks).b - 1e-4))
	) AS v (parameter, step, above, below)
	CROSS JOIN plain
	GROUP BY parameter, step, fit.*, weeks
) AS steps
ORDER BY parameter;

-- Standard errors.
SELECT round((weeks).r_error::numeric, 4) AS r, round((weeks).alpha_error::numeric, 3) AS alpha, round((weeks).a_error::numeric, 3) AS a, round((weeks).b_error::numeric, 3) AS b
FROM fit;

-- ---------------------------------------------------------------------------
-- What the models say
-- ---------------------------------------------------------------------------

-- 1.226 in Fader, Hardie and Lee.
SELECT round(retention.expected_purchases(weeks, 2, 30.43, 38.86, 39)::numeric, 3) AS expected,
	round(retention.p_alive(weeks, 2, 30.43, 38.86)::numeric, 3) AS p_alive
FROM fit;
-- A customer's own mean counts the more, the more often they bought.
SELECT round(retention.expected_value(worth, 0, NULL), 1) AS anybody, round(retention.expected_value(worth, 1, 22.35), 1) AS once,
	round(retention.expected_value(worth, 7, 73.74), 1) AS often
FROM fit;
-- Predicted and actual purchases of the 39 weeks that follow.
SELECT least(frequency, 7) AS frequency, count(*) AS customers, round(avg(predicted)::numeric, 2) AS predicted, round(avg(actual), 2) AS actual
FROM (
	SELECT p.frequency, retention.expected_purchases(weeks, p.frequency, p.recency, p.age, 39) AS predicted,
		(retention.purchase_summary(history, '7 days', 'UTC', '1998-06-30 23:59+00')).frequency - p.frequency AS actual
	FROM fit, plain p JOIN sample USING (customer_id)
) AS forecast
GROUP BY least(frequency, 7)
ORDER BY 1;

-- ---------------------------------------------------------------------------
-- The same bits, whatever the order of rows and the number of processes
-- ---------------------------------------------------------------------------

CREATE TABLE shuffled AS SELECT * FROM sample ORDER BY customer_id;
CREATE VIEW fits AS
SELECT retention.mbgnbd_fit(history, '7 days', 'UTC', '1997-09-30 23:59+00')::text AS purchases,
	retention.gamma_gamma_fit(history, 'UTC', '1997-09-30 23:59+00')::text AS amounts
FROM shuffled;
SET max_parallel_workers_per_gather = 0;
CREATE TABLE in_order AS SELECT * FROM fits;
TRUNCATE shuffled;
INSERT INTO shuffled SELECT * FROM sample ORDER BY md5(customer_id::text);
SELECT f = o AS "the same" FROM fits f, in_order o;
SET max_parallel_workers_per_gather = 4;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
ALTER TABLE shuffled SET (parallel_workers = 4);
EXPLAIN (COSTS OFF) SELECT * FROM fits;
SELECT f = o AS "the same" FROM fits f, in_order o;
-- Kept by thirds, as text, and merged.
SELECT retention.mbgnbd_fit(retention.merge(p::text::retention.customer_sample))::text = o.purchases AS purchases,
	retention.gamma_gamma_fit(retention.merge(v::text::retention.customer_sample))::text = o.amounts AS amounts
FROM (
	SELECT retention.purchases_collect(history, '7 days', 'UTC', '1997-09-30 23:59+00') AS p,
		retention.values_collect(history, 'UTC', '1997-09-30 23:59+00') AS v
	FROM sample GROUP BY customer_id % 3
) AS part, in_order o
GROUP BY o.purchases, o.amounts;

-- ---------------------------------------------------------------------------
-- forecast_check: an attached shop's forecast against what came
-- ---------------------------------------------------------------------------

SET retention.clock = '1998-07-01 00:00-04';
SELECT retention.create_shop('CDNOW', 'America/New_York', 'USD');
CREATE TABLE orders AS SELECT * FROM cdnow WHERE sample_id IS NOT NULL;
ALTER TABLE orders ADD PRIMARY KEY (transaction_id);
SELECT retention.attach_orders('orders', order_id => 'transaction_id', customer => 'customer_id', total => 'amount', paid_at => 'order_date', completed_at => 'order_date');
CALL retention.backfill('forecast_real.orders');
SELECT repeat_purchases, customers, predicted, actual, predicted_each, actual_each, off_by FROM retention.forecast_check('1997-09-30', '1998-06-30', 'bgnbd');
-- The same as from the orders above, and the rows add up.
SELECT round(c.predicted - s.predicted, 0) AS predicted, c.actual - s.actual AS actual, c.customers - s.customers AS customers
FROM retention.forecast_check('1997-09-30', '1998-06-30', 'bgnbd') AS c, (
	SELECT count(*) AS customers, round(sum(retention.expected_purchases(weeks, p.frequency, p.recency, p.age, 39))::numeric, 1) AS predicted,
		(SELECT count(DISTINCT (customer_id, order_date)) FROM cdnow WHERE sample_id IS NOT NULL AND order_date > '1997-09-30') AS actual
	FROM fit, plain p
) AS s
WHERE c.repeat_purchases = 'all';
SELECT sum(customers) FILTER (WHERE repeat_purchases <> 'all') = sum(customers) FILTER (WHERE repeat_purchases = 'all') AS customers,
	sum(actual) FILTER (WHERE repeat_purchases <> 'all') = sum(actual) FILTER (WHERE repeat_purchases = 'all') AS actual
FROM retention.forecast_check('1997-09-30', '1998-06-30', 'bgnbd');
SELECT m AS model, verdict FROM (VALUES ('bgnbd'), ('mbgnbd')) AS v (m), retention.forecast_check('1997-09-30', '1998-06-30', m) WHERE verdict IS NOT NULL;
-- Too little was known by then.
SELECT verdict FROM retention.forecast_check('1997-01-03', '1998-06-30') WHERE verdict IS NOT NULL;

-- All of a shop at once: what run() keeps.
CALL retention.run();
SELECT model, customers, round(r::numeric, 3) AS r, round(alpha::numeric, 2) AS alpha, average_value, purchase_problem, value_problem FROM retention.forecasts;
SELECT count(*) AS customers, count(p_alive) AS forecast, min(p_alive) >= 0 AND max(p_alive) <= 1 AS probable, round(avg(p_alive)::numeric, 3) AS p_alive,
	round(sum(expected_purchases)::numeric) AS purchases, sum(clv) AS clv
FROM retention.customers;

\set ECHO none
DROP SCHEMA forecast_real CASCADE;
\i test/include/stop.sql
