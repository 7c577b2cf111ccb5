-- The shop, its settings and defaults; the clock.
\set ECHO none
\i test/include/start.sql

-- ---------------------------------------------------------------------------
-- Shops
-- ---------------------------------------------------------------------------

-- None yet.
SELECT retention.shop_id();
SELECT retention.shop_id('Tea House');
SELECT retention.points_balance('a');
-- The first one, with the defaults.
SELECT retention.create_shop('Tea House', time_zone => 'Asia/Shanghai');
SELECT shop_id, name, time_zone, currency, on_error, points_rate, accrue_on, accrue_after_days, debt_policy, tier_window FROM retention.shop \gx
SELECT retention.shop_id(), retention.shop_id('Tea House');
SELECT retention.shop_id('Coffee House');
-- A second: from now on one must say which.
SELECT retention.create_shop('Coffee House', 'Europe/Paris', 'EUR', 'Café');
SELECT retention.shop_id();
SELECT retention.shop_id('Coffee House');
SELECT retention.points_balance('a');
SELECT retention.points_balance('a', shop => 'Coffee House'), retention.points_balance(42, shop => 'Coffee House');

-- ---------------------------------------------------------------------------
-- Values that make no sense
-- ---------------------------------------------------------------------------

\set VERBOSITY terse
UPDATE retention.shop SET time_zone = 'Nowhere';
UPDATE retention.shop SET on_error = 'ignore';
UPDATE retention.shop SET points_rate = -1;
UPDATE retention.shop SET accrue_on = 'shipped';
UPDATE retention.shop SET accrue_after_days = -1;
UPDATE retention.shop SET debt_policy = 'sue';
UPDATE retention.shop SET tier_window = '0';
UPDATE retention.shop SET new_customer_days = 0;
UPDATE retention.shop SET points_rate = 'NaN';
UPDATE retention.shop SET points_rate = 'infinity';
UPDATE retention.shop SET accrue_after_days = 2000000000;
UPDATE retention.shop SET tier_window = '200000 years';
UPDATE retention.shop SET rfm_cuts = ROW('{2024-01-01,2024-02-01,2024-03-01,2024-04-01}', '{2,3,4,5}', NULL, '2024-05-01');
UPDATE retention.shop SET rfm_cuts = ROW(NULL, NULL, NULL, '2024-05-01');
UPDATE retention.shop SET rfm_cuts = ROW('{2024-01-01,2024-02-01,2024-03-01,2024-04-01}', '{2,3,4,3}', '{1,2,3,4}', '2024-05-01');
\set VERBOSITY default

-- ---------------------------------------------------------------------------
-- A change counts at once, and is forgotten on rollback
-- ---------------------------------------------------------------------------

CREATE SCHEMA settings;
CREATE TABLE settings.orders (id integer PRIMARY KEY, customer text, total numeric, paid_at timestamptz);
SELECT retention.attach_orders('settings.orders', 'id', 'customer', 'total', paid_at => 'paid_at', completed_at => 'paid_at', for_shop => 'Tea House');
SET retention.clock = '2024-05-01 12:00+00';
INSERT INTO settings.orders VALUES (1, 'a', 10, '2024-05-01 12:00+00');
BEGIN;
UPDATE retention.shop SET points_rate = 3;
INSERT INTO settings.orders VALUES (2, 'a', 10, '2024-05-01 12:00+00');
SET CONSTRAINTS ALL IMMEDIATE;
SELECT order_id, accrued_points FROM retention.purchase ORDER BY 1;
ROLLBACK;
INSERT INTO settings.orders VALUES (3, 'a', 10, '2024-05-01 12:00+00');
BEGIN;
SAVEPOINT s;
UPDATE retention.shop SET points_rate = 4;
ROLLBACK TO s;
INSERT INTO settings.orders VALUES (4, 'a', 10, '2024-05-01 12:00+00');
COMMIT;
SELECT order_id, accrued_points FROM retention.purchase ORDER BY 1;

-- ---------------------------------------------------------------------------
-- The clock
-- ---------------------------------------------------------------------------

SELECT retention.now();
SET retention.clock = 'tomorrowish';
SET retention.clock = '2024-06-01 00:00+08';
SELECT retention.now();
BEGIN;
SET LOCAL retention.clock = '2024-07-01 00:00+00';
SELECT retention.now();
COMMIT;
SELECT retention.now();
SET retention.clock = '';
SELECT retention.now() = now() AS transaction_start;
RESET retention.clock;
SELECT retention.now() = now() AS transaction_start;
-- No other setting goes by our name.
SET retention.clocks = '1';

\set ECHO none
\i test/include/stop.sql
DROP SCHEMA settings CASCADE;
