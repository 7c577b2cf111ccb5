-- One order's life.  The clock is set by hand, so that days can pass.

-- A customer of middling habits who owes nothing.
SELECT customer_id AS customer
FROM retention.customers
WHERE purchases BETWEEN 2 AND 4 AND unpaid_orders = 0 AND points > 0
ORDER BY last_purchase_at DESC, customer_id
LIMIT 1
\gset
SELECT date_trunc('day', retention.now()) + interval '34 hours' AS day_1
\gset
SELECT timestamptz :'day_1' + interval '6 hours' AS later, timestamptz :'day_1' + interval '6 days' AS day_7,
	timestamptz :'day_1' + interval '8 days' AS day_9, 900000001 AS id
\gset

\echo Customer :customer, before:
\echo
\set ECHO queries
SELECT purchases, spent, segment, tier, points, customer_group
FROM retention.customers WHERE customer_id = :'customer';

SELECT retention.enable_rule('unpaid_reminder');
\set ECHO none

\echo -- 1. An order is placed, and not paid.
\echo
SET retention.clock = :'day_1';
\set ECHO queries
INSERT INTO public.orders (id, customer_id, total, created_at, channel)
VALUES (:'id', :'customer', 300.00, retention.now(), 'web');

SELECT rule, subject, state, due_at, reason FROM retention.care_message;

SELECT unpaid_orders, customer_group FROM retention.customers WHERE customer_id = :'customer';
\set ECHO none

\echo -- 2. It is paid: the reminder is gone, the points are pending.
\echo
SET retention.clock = :'later';
\set ECHO queries
UPDATE public.orders SET paid_at = retention.now() WHERE id = :'id';

SELECT rule, subject, state, due_at, reason FROM retention.care_message;

SELECT paid_at, completed_at, value, floor(value * points_rate) AS "points pending", accrued_points
FROM retention.purchase JOIN retention.shop USING (shop_id)
WHERE order_id = :'id';

SELECT retention.points_balance(:'customer');
\set ECHO none

\echo -- 3. It is completed: the points are there.
\echo
SET retention.clock = :'day_7';
\set ECHO queries
UPDATE public.orders SET shipped_at = created_at + interval '1 day', completed_at = retention.now()
WHERE id = :'id';

SELECT retention.points_balance(:'customer');
\set ECHO none

\echo -- 4. It is partly refunded: 100 of 300 go back, and a third of the points.
\echo
SET retention.clock = :'day_9';
\set ECHO queries
UPDATE public.orders SET refunded = 100.00 WHERE id = :'id';

SELECT retention.points_balance(:'customer');

SELECT entry_no, kind, points, effective_at, amount, rate, multiplier
FROM retention.points_entry WHERE customer_id = :'customer' AND order_id = :'id'
ORDER BY entry_no;

SELECT purchases, spent, segment, tier, points, customer_group
FROM retention.customers WHERE customer_id = :'customer';
\set ECHO none
