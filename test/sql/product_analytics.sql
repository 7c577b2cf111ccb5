-- Products, log-ins and visits of an attached shop.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
SET retention.clock = '2024-04-10 00:00+08';
CREATE SCHEMA products_test;
SET search_path = products_test, pg_catalog;
SELECT retention.create_shop('Tea House', 'Asia/Shanghai');
CREATE TABLE orders (id integer PRIMARY KEY, customer text, total numeric, paid_at timestamptz);
CREATE TABLE items (order_id integer, sku text, quantity integer, amount numeric);
CREATE TABLE visits (customer text, at timestamptz, kind text, sku text, app text);
SELECT retention.attach_orders('orders', order_id => 'id', customer => 'customer', total => 'total', paid_at => 'paid_at');
SELECT retention.attach_lines('items', 'order_id', 'sku', quantity => 'quantity', amount => 'amount');
SELECT retention.attach_events('visits', 'customer', 'at', 'kind', product => 'sku', channel => 'app');

-- a starts with tea and comes back for tea and a cup, b only with a cup; c's
-- order is not paid.
INSERT INTO orders VALUES (1, 'a', 10, '2024-01-05'), (2, 'a', 15, '2024-02-06'), (3, 'b', 5, '2024-02-07'), (4, 'c', 9, NULL), (5, 'd', 15, '2024-03-31 16:30');
INSERT INTO items VALUES (1, 'tea', 1, 10), (2, 'tea', 1, 5), (2, 'tea', 1, 5), (2, 'cup', 1, 5), (3, 'cup', 1, 5), (4, 'pot', 1, 9), (5, 'tea', 1, 10), (5, 'cup', 1, 5);
INSERT INTO visits VALUES
	('a', '2024-01-04', 'view', 'tea', 'web'), ('b', '2024-02-01', 'view', 'tea', 'web'), ('c', '2024-02-02', 'view', 'pot', 'web'), ('c', '2024-02-03', 'view', 'pot', 'web'),
	(NULL, '2024-02-03', 'view', 'tea', 'web'),
	('a', '2024-01-04', 'visit', NULL, 'web'), ('a', '2024-02-05', 'visit', NULL, 'web'), ('b', '2024-02-01', 'visit', NULL, 'app'), ('c', '2024-02-01', 'visit', NULL, 'app'),
	('c', '2024-03-31 17:00', 'visit', NULL, 'app'),
	-- 23:30 on the first of March in Shanghai; half an hour later is day 1.
	('a', '2024-03-01 15:30', 'login', NULL, 'ios'), ('a', '2024-03-01 16:00', 'login', NULL, 'web'), ('a', '2024-03-08 20:00', 'login', NULL, 'web'),
	('b', '2024-03-02 15:30', 'login', NULL, 'ios'), ('c', '2024-03-02 01:00', 'login', NULL, 'web'), ('d', '2024-04-09 01:00', 'login', NULL, 'ios');

SELECT product, buyers, bought_again, round(repurchase_rate, 3) AS repurchase_rate, first_buyers, first_returned, round(first_return_rate, 3) AS first_return_rate, viewers_not_buyers
FROM retention.product_repurchase();
SELECT product, buyers, bought_again, first_buyers, first_returned FROM retention.product_repurchase('2024-02-06 12:00');
SELECT product, other, orders, round(confidence, 3) AS confidence, round(lift, 3) AS lift FROM retention.product_pairs();
SELECT count(*) FROM retention.product_pairs(3);
SELECT channel, day, customers, returned, round(rate, 3) AS rate FROM retention.event_retention();
SELECT channel, day, customers, returned FROM retention.event_retention('login', 'within', '{2,7}', '2024-03-10');
-- New is who joined, when that is known; then the first log-in came later, so its channel is not asked for.
UPDATE retention.customer SET joined_at = '2024-02-29 00:00+08' WHERE customer_id = 'a';
SELECT channel, day, customers, returned FROM retention.event_retention(days => '{1,2}');
SELECT period_start, visitors, returning_visitors, round(returning_share, 3) AS returning_share, buyers, round(conversion, 3) AS conversion FROM retention.visit_conversion();
-- Who they are.
SELECT * FROM retention.product_repurchase_customers('tea') ORDER BY customer_id;
SELECT * FROM retention.product_repurchase_customers('pot') ORDER BY customer_id;
SELECT * FROM retention.product_pair_customers('cup', 'tea') ORDER BY customer_id;
SELECT * FROM retention.event_retention_customers(1) ORDER BY customer_id;
SELECT * FROM retention.visit_conversion_customers('2024-02-15') ORDER BY customer_id;
-- From an earlier moment what came later is not seen, to the microsecond.
SELECT product, viewers_not_buyers FROM retention.product_repurchase('2024-02-02 00:00') WHERE product = 'pot';
SELECT product, viewers_not_buyers FROM retention.product_repurchase('2024-02-01 23:59:59.999999') WHERE product = 'pot';
SELECT sum(customers) FROM retention.event_retention(days => '{0}', at => '2024-03-07 00:00');

-- Arguments: named when wrong.
\set SHOW_CONTEXT never
SELECT retention.retention_curve_customers(-1);
SELECT retention.retention_curve_customers(7, 'ever');
SELECT retention.event_retention_customers(NULL);
SELECT retention.order_funnel_customers('lost');
SELECT retention.pareto_customers(1.5);
SELECT retention.sales_by_channel_customers('2024-01-01', 'web', 'moon');

SET ROLE retention_reader;
SELECT count(*) FROM retention.visit_conversion('week');
SELECT count(*) FROM retention.product_pairs(1);
SELECT count(*) FROM retention.product_pair_customers('cup', 'tea');
SELECT count(*) FROM retention.pareto_customers();
RESET ROLE;

DROP EXTENSION retention CASCADE;
DROP SCHEMA products_test CASCADE;
CREATE EXTENSION retention;
RESET retention.clock;
RESET search_path;
