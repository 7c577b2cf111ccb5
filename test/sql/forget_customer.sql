-- forget_customer(): the person goes, the figures stay.
\set ECHO none
\i test/include/start.sql
SET client_min_messages = warning;
CREATE SCHEMA shop;
CREATE TABLE shop.customers (id integer PRIMARY KEY, name text, phone text, born date, sms boolean, city text);
CREATE TABLE shop.orders (id integer PRIMARY KEY, customer integer, total numeric, placed timestamptz, paid timestamptz, address text);
CREATE TABLE shop.reviews (id integer PRIMARY KEY, order_id integer, stars integer, body text, at timestamptz);
SELECT retention.create_shop('Tea House');
UPDATE retention.shop SET accrue_on = 'paid';
SELECT retention.attach_orders('shop.orders', 'id', 'customer', 'total', placed_at => 'placed', paid_at => 'paid',
	attributes => $$jsonb_build_object('address', address)$$);
SELECT retention.attach_customers('shop.customers', 'id', name => 'name', phone => 'phone', birthday => 'born',
	consents => $$jsonb_build_object('sms', sms)$$, attributes => $$jsonb_build_object('city', city)$$);
SELECT retention.attach_reviews('shop.reviews', 'at', order_id => 'order_id', score => 'stars', content => 'body');
SELECT retention.enable_rule('unpaid_reminder');
INSERT INTO shop.customers VALUES (1, 'Li Lei', '13800000001', '1990-02-28', true, 'Beijing'), (2, 'Lucy', '13800000002', NULL, true, 'Wuhan');
INSERT INTO shop.orders VALUES
	(1, 1, 100, '2024-05-01 00:00+00', '2024-05-01 00:00+00', '1 Long Street'), (2, 1, 50, '2024-05-01 00:00+00', NULL, '1 Long Street'),
	(3, 2, 70, '2024-05-01 00:00+00', NULL, '2 Short Street');
INSERT INTO shop.reviews VALUES (1, 1, 5, 'It is me, Li Lei', '2024-05-01');

SET retention.clock = '2024-05-01 00:10+00';
SELECT retention.forget_customer('99');
UPDATE retention.care_message SET subject_line = 'Li Lei, your order', text = 'Li Lei, please pay', last_error = 'no such number: 13800000001';
SELECT retention.forget_customer(1);
SELECT customer_id, name, phone, birthday, attributes, consents, forgotten_at FROM retention.customer ORDER BY 1;
SELECT customer_id, count(*), bool_or(granted) AS any_granted FROM retention.customer_consent GROUP BY 1 ORDER BY 1;
SELECT customer_id, order_id, value, attributes FROM retention.purchase ORDER BY 2;
SELECT customer_id, score, content FROM retention.feedback;
SELECT customer_id, state, reason, subject_line, text, last_error FROM retention.care_message ORDER BY 1;
SELECT customer_id, purchases, spent, retention.points_balance(customer_id) FROM retention.customer_stats ORDER BY 1;
SELECT * FROM wrong;

-- Nothing of the person comes back: a changed row, a backfill, a later review;
-- orders go on.
UPDATE shop.customers SET city = 'Tianjin', sms = NOT sms;
CALL retention.backfill('shop.customers');
UPDATE shop.reviews SET body = 'Still me';
INSERT INTO shop.orders VALUES (4, 1, 20, '2024-05-02', '2024-05-02', NULL);
SELECT customer_id, name, attributes FROM retention.customer ORDER BY 1;
SELECT customer_id, granted, how FROM retention.customer_consent WHERE channel = 'sms' AND purpose = 'marketing' ORDER BY 1;
SELECT customer_id, score, content FROM retention.feedback;
SELECT purchases, spent FROM retention.customer_stats WHERE customer_id = '1';
SELECT retention.forget_customer('1');

DROP SCHEMA shop CASCADE;
\set ECHO none
\i test/include/stop.sql
