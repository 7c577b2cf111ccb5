-- Forecasts in any query: what is refused, known parameters found again, and
-- what the models say of customers.
SET client_min_messages = warning;
SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE SCHEMA forecast_test;
SET search_path = forecast_test, pg_catalog;

-- ---------------------------------------------------------------------------
-- Customers simulated with known parameters
-- ---------------------------------------------------------------------------

-- A generator of its own, so that every version of PostgreSQL draws alike.
CREATE FUNCTION uniform(INOUT seed bigint, OUT u double precision) LANGUAGE sql IMMUTABLE
AS $$SELECT s, (s + 0.5) / 2147483647.0 FROM (SELECT seed * 48271 % 2147483647 AS s) AS next$$;
-- Gamma with shape k, by Marsaglia and Tsang; below 1 by the power of a uniform.
CREATE FUNCTION draw(INOUT seed bigint, shape double precision, OUT g double precision) LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
	d double precision := CASE WHEN shape < 1 THEN shape + 1 ELSE shape END - 1.0 / 3;
	c double precision := 1 / sqrt(9 * d);
	u double precision;
	w double precision;
	z double precision;
	v double precision;
BEGIN
	LOOP
		SELECT a.seed, a.u INTO seed, u FROM forecast_test.uniform(seed) a;
		SELECT a.seed, a.u INTO seed, w FROM forecast_test.uniform(seed) a;
		z := sqrt(-2 * ln(u)) * cos(2 * pi() * w);
		v := (1 + c * z) ^ 3;
		SELECT a.seed, a.u INTO seed, u FROM forecast_test.uniform(seed) a;
		EXIT WHEN v > 0 AND ln(u) < z * z / 2 + d - d * v + d * ln(v);
	END LOOP;
	g := d * v;
	IF shape < 1 THEN
		SELECT a.seed, a.u INTO seed, u FROM forecast_test.uniform(seed) a;
		g := g * u ^ (1 / shape);
	END IF;
END
$$;
-- A customer's purchases until age, and their mean value; modified: may leave after the first.
CREATE FUNCTION live(seed bigint, r float8, alpha float8, a float8, b float8, modified boolean, age float8,
	OUT frequency bigint, OUT recency float8, OUT mean_value numeric) LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
	rate float8;
	x float8;
	y float8;
	leaves float8;
	u float8;
	t float8 := 0;
BEGIN
	SELECT d.seed, d.g INTO seed, rate FROM forecast_test.draw(seed, r) d;
	rate := rate / alpha;
	SELECT d.seed, d.g INTO seed, x FROM forecast_test.draw(seed, a) d;
	SELECT d.seed, d.g INTO seed, y FROM forecast_test.draw(seed, b) d;
	leaves := x / (x + y);
	frequency := 0;
	recency := 0;
	LOOP
		IF frequency > 0 OR modified THEN
			SELECT d.seed, d.u INTO seed, u FROM forecast_test.uniform(seed) d;
			EXIT WHEN u < leaves;
		END IF;
		SELECT d.seed, d.u INTO seed, u FROM forecast_test.uniform(seed) d;
		t := t - ln(u) / rate;
		EXIT WHEN t > age;
		frequency := frequency + 1;
		recency := t;
	END LOOP;
	-- Gamma-Gamma with p 6, q 4, gamma 15: a sum of frequency gammas is one.
	IF frequency > 0 THEN
		SELECT d.seed, d.g INTO seed, x FROM forecast_test.draw(seed, 4) d;
		SELECT d.seed, d.g INTO seed, y FROM forecast_test.draw(seed, 6 * frequency) d;
		mean_value := round((y / (x / 15) / frequency)::numeric, 2);
	END IF;
END
$$;
-- Ages of 26 to 52 weeks.
CREATE TABLE simulated AS
SELECT n, 26 + n % 183 / 7.0::float8 AS age, plain.frequency, plain.recency, plain.mean_value,
	modified.frequency AS modified_frequency, modified.recency AS modified_recency
FROM generate_series(1, 4000) AS n
CROSS JOIN LATERAL (SELECT (n * 104729::bigint + 12345) % 2147483647 AS seed) AS s
CROSS JOIN LATERAL live(s.seed, 0.5, 4, 0.8, 2.5, false, 26 + n % 183 / 7.0) AS plain
CROSS JOIN LATERAL live(s.seed, 0.5, 4, 0.8, 2.5, true, 26 + n % 183 / 7.0) AS modified;
SELECT count(*) AS customers, count(*) FILTER (WHERE frequency > 0) > 1500 AS "many buy again", max(frequency) > 30 AS "some often" FROM simulated;

-- Within three standard errors, which are themselves small.
CREATE TABLE fitted AS
SELECT retention.bgnbd_fit(frequency, recency, age) AS bg, retention.mbgnbd_fit(modified_frequency, modified_recency, age) AS mbg,
	retention.gamma_gamma_fit(frequency, mean_value::float8) AS worth
FROM simulated;
SELECT (m).model, (m).converged, (m).customers,
	abs((m).r - 0.5) < 3 * (m).r_error AND (m).r_error < 0.1 AS r,
	abs((m).alpha - 4) < 3 * (m).alpha_error AND (m).alpha_error < 1 AS alpha,
	abs((m).a - 0.8) < 3 * (m).a_error AND (m).a_error < 0.4 AS a,
	abs((m).b - 2.5) < 3 * (m).b_error AND (m).b_error < 2 AS b
FROM (SELECT bg FROM fitted UNION ALL SELECT mbg FROM fitted) AS f (m);
SELECT (worth).converged, abs((worth).p - 6) < 3 * (worth).p_error AS p, abs((worth).q - 4) < 3 * (worth).q_error AS q,
	abs((worth).gamma - 15) < 3 * (worth).gamma_error AS gamma, (worth).gamma_error < 5 AS precisely
FROM fitted;
-- The true parameters are less likely than those found, but by a chi-squared of 4 degrees.
SELECT (bg).log_likelihood - sum(retention.log_likelihood(retention.bgnbd(0.5, 4, 0.8, 2.5), frequency, recency, age)) BETWEEN 0 AND 10 AS bg,
	(mbg).log_likelihood - sum(retention.log_likelihood(retention.mbgnbd(0.5, 4, 0.8, 2.5), modified_frequency, modified_recency, age)) BETWEEN 0 AND 10 AS mbg
FROM simulated, fitted GROUP BY bg, mbg;

-- At the edge: customers who are all alike, of whom none leaves.  No parameter
-- is told by them, but what is to be expected is: five purchases in 50 weeks.
SELECT (m).model, (m).converged, (m).a / ((m).a + (m).b) < 0.001 AS "nobody leaves",
	round(retention.expected_purchases(m, 5, 45, 50, 50)::numeric, 1) AS expected
FROM (
	SELECT retention.bgnbd_fit(4 + n % 3, 48, 50) FROM simulated
	UNION ALL SELECT retention.mbgnbd_fit(4 + n % 3, 48, 50) FROM simulated
) AS f (m);
-- And who spend nearly alike.
SELECT (m).converged, round(retention.expected_value(m, 0, NULL)) AS expected
FROM (SELECT retention.gamma_gamma_fit(10, 20 + n % 2) FROM simulated) AS f (m);

-- ---------------------------------------------------------------------------
-- Too little
-- ---------------------------------------------------------------------------

-- No customers, all of them unknown.
SELECT retention.bgnbd_fit(frequency, recency, age) FROM simulated WHERE n < 0;
SELECT retention.gamma_gamma_fit(NULL::float8, 10) FROM simulated;
SELECT retention.bgnbd_fit(2, 3, 4);
SELECT retention.mbgnbd_fit(frequency, recency, age) FROM simulated WHERE n < 100;
SELECT retention.bgnbd_fit(0, 0, 0) FROM simulated;
SELECT retention.bgnbd_fit(frequency, recency, age) FROM simulated WHERE frequency = 0;
SELECT retention.bgnbd_fit(1, 1, 2) FROM simulated;
SELECT retention.bgnbd_fit(n % 3, 0, 0) FROM simulated;
SELECT retention.gamma_gamma_fit(frequency, mean_value::float8) FROM simulated WHERE n < 20;
SELECT retention.gamma_gamma_fit(n, 0) FROM simulated;
SELECT retention.gamma_gamma_fit(n, 5) FROM simulated;

-- ---------------------------------------------------------------------------
-- Numbers that cannot be
-- ---------------------------------------------------------------------------

\set VERBOSITY terse
SELECT retention.bgnbd_fit(-1, 0, 1);
SELECT retention.bgnbd_fit(1.5, 0, 1);
SELECT retention.bgnbd_fit('NaN', 0, 1);
SELECT retention.bgnbd_fit('Infinity', 0, 1);
SELECT retention.bgnbd_fit(1, '-Infinity', 1);
SELECT retention.bgnbd_fit(1, 1, 'NaN');
SELECT retention.bgnbd_fit(1, 1, 'Infinity');
SELECT retention.mbgnbd_fit(1, 2, 1);
SELECT retention.mbgnbd_fit(0, 1, 2);
SELECT retention.mbgnbd_fit(1, 1, -2);
SELECT retention.gamma_gamma_fit(1, -5);
SELECT retention.gamma_gamma_fit(1, 'NaN');
SELECT retention.gamma_gamma_fit(0.5, 5);
SELECT retention.bgnbd_fit(1, 1e308, 1e308) FROM generate_series(1, 200) AS n HAVING count(*) > 0;
SELECT retention.bgnbd_fit(n % 5, CASE WHEN n % 5 > 0 THEN 1e308 ELSE 0 END, 1.7e308) FROM generate_series(1, 200) AS n;
SELECT retention.bgnbd(0, 1, 1, 1);
SELECT retention.bgnbd(1, 'NaN', 1, 1);
SELECT retention.mbgnbd(1, 1, 'Infinity', 1);
SELECT retention.gamma_gamma(1, 1, -1);
SELECT retention.p_alive(retention.bgnbd(1, 1, 1, 1), 1, 3, 2);
SELECT retention.p_alive(ROW('pareto', 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, true)::retention.purchase_model, 1, 1, 2);
SELECT retention.p_alive(ROW('bgnbd', 1, 1, 1, NULL, 0, 0, 0, 0, 0, 0, 0, true)::retention.purchase_model, 1, 1, 2);
SELECT retention.expected_purchases(retention.bgnbd(1, 1, 1, 1), 1, 1, 2, -1);
SELECT retention.expected_purchases(retention.bgnbd(1, 1, 1, 1), 1, 1, 2, 'Infinity');
SELECT retention.expected_purchases(retention.bgnbd(1, 1, 1, 1), 1, 1, 2, 1e300);
SELECT retention.next_purchase_expected(retention.bgnbd(1, 1, 1, 1), 1, 1, 2, 1);
SELECT retention.expected_value(retention.gamma_gamma(6, 4, 15), 2, -1);
SELECT retention.expected_value(retention.gamma_gamma(6, 4, 15), 2, 'NaN');
SELECT retention.clv(retention.bgnbd(1, 1, 1, 1), retention.gamma_gamma(6, 4, 15), 1, 1, 2, 5, 52, -0.1);
SELECT retention.purchase_summary('{}', '1 month', 'UTC');
SELECT retention.bgnbd_fit(retention.append('{}', '2024-01-01', 5), '-7 days', 'UTC');
SELECT retention.bgnbd_fit(retention.append('{}', '2024-01-01', 5), '7 days', 'Nowhere');
SELECT retention.bgnbd_fit(retention.append('{}', '2024-01-01', 5), '7 days', NULL);
SELECT retention.bgnbd_fit(retention.append('{}', '2024-01-01', 5), '7 days', 'UTC', 'infinity');
SELECT retention.gamma_gamma_fit(retention.purchases_collect(1, 1, 2));
SELECT retention.merge(s) FROM (SELECT retention.purchases_collect(1, 1, 2) UNION ALL SELECT retention.values_collect(1, 1)) AS u (s);
SELECT 'x'::retention.customer_sample;
SELECT ''::retention.customer_sample;
SELECT '0201'::retention.customer_sample;
SELECT overlay(retention.purchases_collect(1, 1, 2)::text PLACING 'ff' FROM 3 FOR 2)::retention.customer_sample;
SELECT (retention.purchases_collect(1, 1, 2)::text || '00')::retention.customer_sample;
-- recency 2, age 1: of the text of recency 1, age 2 with both exchanged.
SELECT (left(t, 36) || substr(t, 53, 16) || substr(t, 37, 16) || right(t, 16))::retention.customer_sample
FROM (SELECT retention.purchases_collect(1, 1, 2)::text) AS s (t);
\set VERBOSITY default

-- ---------------------------------------------------------------------------
-- A history as forecasts see it
-- ---------------------------------------------------------------------------

-- Purchases of a day are one; days are the zone's; later purchases do not count.
CREATE TABLE history AS
SELECT retention.purchase_history(at, amount) AS h
FROM (VALUES ('2024-01-01 10:00+00'::timestamptz, 10.00), ('2024-01-01 20:00+00', 5), ('2024-01-08 09:00+00', 20.10),
	('2024-01-08 12:00+00', 1), ('2024-01-20 23:00+00', 9), ('2024-02-01 00:00+00', 100)) AS v (at, amount);
SELECT * FROM history, retention.purchase_summary(h, '7 days', 'UTC', '2024-01-29 12:00+00');
SELECT * FROM history, retention.purchase_summary(h, '1 day', 'Asia/Shanghai', '2024-01-29 12:00+00');
SELECT * FROM history, retention.purchase_summary(h, '1 day', 'UTC', '2024-01-01 12:00+00');
SELECT retention.purchase_summary(h, '1 day', 'UTC', '2023-12-31') FROM history;
SELECT retention.purchase_summary(NULL, '1 day', 'UTC', '2023-12-31'), retention.purchase_summary('{}', '1 day', 'UTC', '2023-12-31');
SET retention.clock = '2024-03-01 00:00+00';
SELECT * FROM history, retention.purchase_summary(h, '1 day', 'UTC');
SELECT retention.purchases_collect(h, '1 day', 'UTC', NULL)::text = retention.purchases_collect(s.frequency, s.recency, s.age)::text AS purchases,
	retention.values_collect(h, 'UTC', NULL)::text = retention.values_collect(s.frequency, s.mean_value::float8)::text AS amounts
FROM history, retention.purchase_summary(h, '1 day', 'UTC') AS s;
RESET retention.clock;

-- ---------------------------------------------------------------------------
-- What models say
-- ---------------------------------------------------------------------------

-- By BG/NBD nobody leaves after a single purchase; by MBG/NBD they may.
SELECT x, tx, round(retention.p_alive(retention.bgnbd(.25, 4.5, .8, 2.4), x, tx, 40)::numeric, 4) AS bg,
	round(retention.p_alive(retention.mbgnbd(.5, 6, .9, 1.6), x, tx, 40)::numeric, 4) AS mbg
FROM (VALUES (0, 0), (1, 1), (1, 39), (5, 5), (5, 39), (500, 1), (500, 40)) AS v (x, tx);

-- Equation 10 of Fader, Hardie and Lee, with the hypergeometric function as its
-- plain series (b below is b + 1 for MBG/NBD), which serves where nothing cancels.
CREATE FUNCTION plain_expected(r float8, alpha float8, a float8, b float8, x float8, tx float8, age float8, t float8, modified integer) RETURNS float8 LANGUAGE plpgsql
AS $$
DECLARE
	k float8 := x + modified;
	z float8 := t / (alpha + age + t);
	term float8 := 1;
	f float8 := 1;
BEGIN
	FOR j IN 0..5000 LOOP
		term := term * (r + x + j) * (b + k + j) / (a + b + k - 1 + j) / (j + 1) * z;
		f := f + term;
		EXIT WHEN term < 1e-17 * f;
	END LOOP;
	RETURN (a + b + k - 1) / (a - 1) * (1 - ((alpha + age) / (alpha + age + t)) ^ (r + x) * f)
		/ (1 + CASE WHEN k > 0 THEN a / (b + k - 1) * ((alpha + age) / (alpha + tx)) ^ (r + x) ELSE 0 END);
END
$$;
SELECT count(*) AS cases, count(*) FILTER (WHERE abs(ours / plain - 1) > 1e-8) AS "different"
FROM (
	SELECT plain_expected(r, alpha, a, b, x, tx, age, t, modified) AS plain,
		retention.expected_purchases(CASE modified WHEN 0 THEN retention.bgnbd(r, alpha, a, b) ELSE retention.mbgnbd(r, alpha, a, b) END, x, tx, age, t) AS ours
	FROM (VALUES (.25, 4.4, .8, 2.4), (1.5, 10, 2.5, 7), (3, 2, .1, .5)) AS m (r, alpha, a, b),
		(VALUES (0, 0, 5), (1, 3, 9), (7, 20, 38)) AS c (x, tx, age),
		(VALUES (1.0), (39), (120)) AS h (t),
		(VALUES (0), (1)) AS k (modified)
) AS both_ways;
-- Where it cancels, computed with 60 digits.
SELECT model, round((expected_purchases - exact)::numeric, 10) AS difference
FROM (VALUES (retention.bgnbd(.25, 4.4, .8, 2.4), 75.952138671843), (retention.mbgnbd(.25, 4.4, .8, 2.4), 76.395113546272),
	(retention.bgnbd(1.5, 10, 2.5, 7), 32.3421895404631), (retention.mbgnbd(1.5, 10, 2.5, 7), 32.732029672547),
	(retention.bgnbd(3, 2, .1, .5), 131.913886288281), (retention.mbgnbd(3, 2, .1, .5), 132.030491252867)) AS v (m, exact),
	retention.expected_purchases(m, 60, 50, 51, 120), LATERAL (SELECT (m).model) AS name;
-- Nothing happens at a = 1, where that formula has no value; no horizon, no purchases.
SELECT round(retention.expected_purchases(retention.bgnbd(.25, 4.4, a, 2.4), 2, 30, 39, 39)::numeric, 6) AS expected
FROM (VALUES (1 - 1e-9), (1), (1 + 1e-9)) AS v (a);
SELECT retention.expected_purchases(retention.bgnbd(.25, 4.4, .8, 2.4), 2, 30, 39, 0) AS nothing;
-- Very long and very short horizons, very many purchases.
SELECT round(retention.expected_purchases(retention.bgnbd(.25, 4.4, .8, 2.4), 0, 0, 0, 5000)::numeric, 4) AS long,
	round((retention.expected_purchases(retention.bgnbd(.25, 4.4, .8, 2.4), 2, 30, 39, 1e-9) * 1e9
		- retention.p_alive(retention.bgnbd(.25, 4.4, .8, 2.4), 2, 30, 39) * 2.25 / 43.4)::numeric, 7) AS "rate at once",
	round(retention.expected_purchases(retention.bgnbd(.25, 4.4, .001, 100000), 100000, 50, 50, 50)::numeric, 0) AS many;

-- The day of the next purchase: as likely as not by then; never for those who are probably gone.
WITH m AS (SELECT retention.mbgnbd(.5, 6, .9, 1.6) AS m)
SELECT x, tx, round(retention.p_alive(m, x, tx, 40)::numeric, 3) AS p_alive,
	round(retention.next_purchase_expected(m, x, tx, 40)::numeric, 3) AS "even odds",
	round(retention.next_purchase_expected(m, x, tx, 40, 0.2)::numeric, 3) AS "one in five"
FROM m, (VALUES (0, 0), (1, 39), (5, 5), (20, 39)) AS v (x, tx);
WITH m AS (SELECT retention.mbgnbd(.5, 6, .9, 1.6) AS m)
SELECT round((retention.p_alive(m, 5, 39, 40) * (1 - (46 / (46 + retention.next_purchase_expected(m, 5, 39, 40, 0.3))) ^ 5.5))::numeric, 9) AS probability
FROM m;

-- Values: without a purchase the mean of all, then one's own more and more.
SELECT x, round(retention.expected_value(retention.gamma_gamma(6, 4, 15), x, 100), 4) AS expected
FROM (VALUES (0), (1), (10), (1000)) AS v (x);
SELECT retention.expected_value(retention.gamma_gamma(6, 4, 15), 0, NULL) AS anybody,
	retention.expected_value(retention.gamma_gamma(6, 4, 15), 1, NULL) AS unknown,
	retention.expected_value(retention.gamma_gamma(6, 0.9, 15), 0, NULL) AS "no mean";

-- Lifetime value: without discount purchases times value; with one between that
-- and what it would be if all purchases were made at the end; the sum of many short spans.
WITH m AS (SELECT retention.mbgnbd(.5, 6, .9, 1.6) AS m, retention.gamma_gamma(6, 4, 15) AS v)
SELECT round(retention.clv(m, v, 5, 30, 40, 50, 52), 6) = round((retention.expected_purchases(m, 5, 30, 40, 52)::numeric * retention.expected_value(v, 5, 50)), 6) AS plain,
	round(retention.clv(m, v, 5, 30, 40, 50, 52, 0.002), 4) AS discounted,
	round((retention.expected_value(v, 5, 50)::float8 * (
		SELECT sum((retention.expected_purchases(m, 5, 30, 40, s / 100.0) - retention.expected_purchases(m, 5, 30, 40, (s - 1) / 100.0)) * 1.002 ^ (- (s - 0.5) / 100))
		FROM generate_series(1, 5200) AS s))::numeric, 4) AS "by spans",
	retention.clv(m, v, 5, 30, 40, NULL, 52) AS unknown
FROM m;

DROP SCHEMA forecast_test CASCADE;
