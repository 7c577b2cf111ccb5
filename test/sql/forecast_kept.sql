-- The forecast kept for each customer by run(), and how it is checked.
\set ECHO none
\i test/include/start.sql
SET client_min_messages = warning;
CREATE SCHEMA forecast_kept;
SET search_path = forecast_kept, public;

-- Customer n joins on day n % 150 and then buys every n % 9 * 4 + 3 days until
-- leaving: after n % 7 repeat purchases, every eighth never.
CREATE TABLE orders (id serial PRIMARY KEY, customer text, total numeric, refunded numeric NOT NULL DEFAULT 0, paid_at timestamptz);
INSERT INTO orders (customer, total, paid_at)
SELECT n, 20 + n % 30 + k % 5, '2023-01-01 12:00+08'::timestamptz + (n % 150 + k * (n % 9 * 4 + 3)) * interval '1 day'
FROM generate_series(1, 60) AS n, generate_series(0, 120) AS k
WHERE (k <= n % 7 OR n % 8 = 0) AND n % 150 + k * (n % 9 * 4 + 3) < 480;

SELECT retention.create_shop('Tea House', time_zone => 'Asia/Shanghai');
SELECT retention.attach_orders('orders', order_id => 'id', customer => 'customer', total => 'total', refunded => 'refunded', paid_at => 'paid_at');

-- ---------------------------------------------------------------------------
-- Too little to fit is a state, not an error
-- ---------------------------------------------------------------------------

CALL retention.run();
SELECT fitted_at, forecast_at, model, purchase_problem, value_problem FROM retention.forecasts;
CALL retention.backfill('forecast_kept.orders');
-- The same day it is not tried again, the next it is.
CALL retention.run();
SELECT purchase_problem, value_problem FROM retention.forecasts;
SET retention.clock = '2024-05-02 00:00+08';
CALL retention.run();
SELECT fitted_at, forecast_at, model, purchase_problem, value_problem FROM retention.forecasts;
SELECT count(*) AS customers, count(p_alive) AS forecast FROM retention.customers;

-- ---------------------------------------------------------------------------
-- Enough
-- ---------------------------------------------------------------------------

INSERT INTO orders (customer, total, paid_at)
SELECT n, 20 + n % 30 + k % 5, '2023-01-01 12:00+08'::timestamptz + (n % 150 + k * (n % 9 * 4 + 3)) * interval '1 day'
FROM generate_series(61, 600) AS n, generate_series(0, 120) AS k
WHERE (k <= n % 7 OR n % 8 = 0) AND n % 150 + k * (n % 9 * 4 + 3) < 480;
SET retention.clock = '2024-05-03 00:00+08';
CALL retention.run();
SELECT shop, fitted_at, forecast_at, model, customers, r > 0 AND r_error > 0 AS fitted, average_value > 20 AS worth, purchase_problem, value_problem FROM retention.forecasts;
-- What is kept is what the functions say of the kept histories.
SELECT count(*) AS customers, count(p_alive) AS forecast,
	count(*) FILTER (WHERE c.p_alive IS DISTINCT FROM retention.p_alive(f.purchase_model, s.frequency, s.recency, s.age)) AS p_alive,
	count(*) FILTER (WHERE c.expected_purchases IS DISTINCT FROM retention.expected_purchases(f.purchase_model, s.frequency, s.recency, s.age, 365 / 7.0)) AS expected_purchases,
	count(*) FILTER (WHERE c.expected_value IS DISTINCT FROM round(retention.expected_value(f.value_model, s.frequency, s.mean_value), 2)) AS expected_value,
	count(*) FILTER (WHERE c.clv IS DISTINCT FROM round(retention.clv(f.purchase_model, f.value_model, s.frequency, s.recency, s.age, s.mean_value, 365 / 7.0, 1.1 ^ (7 / 365.25) - 1), 2)) AS clv,
	count(*) FILTER (WHERE (c.p_alive > 0.5) <> (c.next_purchase_expected IS NOT NULL)) AS next_purchase
FROM retention.customers c
JOIN retention.purchase_histories h USING (shop_id, customer_id)
JOIN retention.forecast f USING (shop_id)
CROSS JOIN LATERAL retention.purchase_summary(h.history, '7 days', 'Asia/Shanghai', retention.now()) AS s;
-- Who always came back is expected again, and sooner than who stopped long ago.
SELECT customer_id, recency_days, round(p_alive::numeric, 1) AS p_alive, expected_purchases > 1 AS "will buy", next_purchase_expected - current_date_there AS days
FROM retention.customers, (SELECT date '2024-05-03') AS d (current_date_there)
WHERE customer_id IN ('16', '73')
ORDER BY customer_id;

-- Run twice: nothing is written again; a day later all look ahead from there, by the same models.
CREATE TEMP TABLE written AS SELECT customer_id, ctid AS place, xmin::text AS writer, p_alive FROM retention.customer_forecast;
CALL retention.run();
SELECT count(*) FILTER (WHERE f.ctid <> w.place OR f.xmin::text <> w.writer) AS "written again" FROM retention.customer_forecast f JOIN written w USING (customer_id);
SET retention.clock = '2024-05-04 00:00+08';
CALL retention.run();
SELECT fitted_at, forecast_at FROM retention.forecasts;
SELECT count(*) FILTER (WHERE f.p_alive > w.p_alive) AS "more alive", count(*) FILTER (WHERE f.p_alive < w.p_alive) > 500 AS "mostly less"
FROM retention.customer_forecast f JOIN written w USING (customer_id);

-- After forecast_refit_days, and when another model is asked for, they are fitted again.
UPDATE retention.shop SET forecast_model = 'bgnbd', forecast_days = 28, forecast_discount = 0;
CALL retention.run();
SELECT fitted_at, forecast_at, model FROM retention.forecasts;
SELECT bool_and(p_alive = 1) AS "nobody leaves after one purchase" FROM retention.customers WHERE purchases = 1;
SELECT bool_and(abs(c.clv - c.expected_purchases::numeric * retention.expected_value(f.value_model, s.frequency, s.mean_value)) <= 0.005) AS "not discounted",
	bool_and(c.expected_purchases = retention.expected_purchases(f.purchase_model, s.frequency, s.recency, s.age, 4)) AS "four weeks"
FROM retention.customers c
JOIN retention.purchase_histories h USING (shop_id, customer_id)
JOIN retention.forecast f USING (shop_id)
CROSS JOIN LATERAL retention.purchase_summary(h.history, '7 days', 'Asia/Shanghai', retention.now()) AS s;
SET retention.clock = '2024-05-10 00:00+08';
CALL retention.run();
SELECT fitted_at, forecast_at FROM retention.forecasts;
SET retention.clock = '2024-05-11 00:00+08';
CALL retention.run();
SELECT fitted_at, forecast_at FROM retention.forecasts;

-- A refund counts, and whose purchases are all gone has no forecast.
SELECT expected_purchases AS before FROM retention.customers WHERE customer_id = '16' \gset
UPDATE orders SET refunded = total WHERE customer = '73';
UPDATE orders SET refunded = total WHERE customer = '16' AND paid_at > '2023-06-01';
SET retention.clock = '2024-05-12 00:00+08';
CALL retention.run();
SELECT customer_id, p_alive IS NULL AS nothing FROM retention.customers WHERE customer_id = '73';
SELECT expected_purchases < :before / 10 AS "much less" FROM retention.customers WHERE customer_id = '16';

-- A fit that fails leaves the model before, and says so.
BEGIN;
UPDATE orders SET refunded = total WHERE customer::integer > 80;
SET CONSTRAINTS ALL IMMEDIATE;
SET retention.clock = '2024-05-19 00:00+08';
CALL retention.run();
SELECT fitted_at, forecast_at, model, customers, purchase_problem, value_problem FROM retention.forecasts;
SELECT count(*) AS forecast FROM retention.customer_forecast;
ROLLBACK;

-- ---------------------------------------------------------------------------
-- forecast_check
-- ---------------------------------------------------------------------------

-- Four months held back; what is counted is what plain SQL counts.
SELECT repeat_purchases, customers, actual, actual_each, predicted > 0 AS predicted, verdict ~ '^(good|fair|poor): \d+ purchases predicted, \d+ made, ' AS verdict
FROM retention.forecast_check('2023-12-31', '2024-04-30');
SELECT least(before - 1, 7) AS repeat_purchases, count(*) AS customers, sum(after) AS actual
FROM (
	SELECT customer, count(*) FILTER (WHERE paid_at < '2024-01-01 00:00+08') AS before,
		count(*) FILTER (WHERE paid_at >= '2024-01-01 00:00+08' AND paid_at < '2024-05-01 00:00+08') AS after
	FROM orders
	WHERE refunded < total
	GROUP BY customer
) AS o
WHERE before > 0
GROUP BY least(before - 1, 7)
ORDER BY 1;
-- Until today, when not told; its model the shop's.
SELECT c.verdict = d.verdict AS "the same" FROM retention.forecast_check('2023-12-31') AS c, retention.forecast_check('2023-12-31', '2024-05-12', 'bgnbd') AS d
WHERE c.repeat_purchases = 'all' AND d.repeat_purchases = 'all';
SELECT verdict FROM retention.forecast_check('2024-05-10', '2024-05-11') WHERE verdict IS NOT NULL;
SELECT retention.forecast_check('2024-05-12');
SELECT retention.forecast_check('2024-05-12', '2024-05-11');
SELECT retention.forecast_check(NULL);
SELECT retention.forecast_check('-infinity');
SELECT retention.forecast_check('2022-12-31');
SELECT retention.forecast_check('2023-01-05');
SELECT retention.forecast_check('2023-12-31', model => 'pareto');
SELECT retention.forecast_check('2023-12-31', shop => 'Nowhere');

-- ---------------------------------------------------------------------------
-- Settings, and who may
-- ---------------------------------------------------------------------------

\set VERBOSITY terse
UPDATE retention.shop SET forecast_model = 'pareto';
UPDATE retention.shop SET forecast_days = 0;
UPDATE retention.shop SET forecast_discount = -0.1;
UPDATE retention.shop SET forecast_discount = 'NaN';
UPDATE retention.shop SET forecast_refit_days = 0;
CREATE ROLE regress_forecast_reader IN ROLE retention_reader;
CREATE ROLE regress_forecast_nobody;
SET ROLE regress_forecast_reader;
SELECT count(*) FROM retention.forecasts;
SELECT count(*) FROM retention.forecast_check('2023-12-31', '2024-04-30');
SELECT retention.run_forecast(retention.now());
SET ROLE regress_forecast_nobody;
SELECT count(*) FROM retention.forecasts;
-- What only computes is everybody's.
SELECT round(retention.p_alive(retention.bgnbd(1, 1, 1, 1), 1, 1, 2)::numeric, 3) AS p_alive;
SELECT retention.mbgnbd_fit(1, 1, 2);
SELECT retention.bgnbd_fit(retention.append('{}', '2024-01-01', 5), '7 days', 'UTC');
RESET ROLE;
DROP ROLE regress_forecast_reader, regress_forecast_nobody;
\set VERBOSITY default
\set ECHO none
DROP SCHEMA forecast_kept CASCADE;
\i test/include/stop.sql
