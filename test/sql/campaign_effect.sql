-- What campaigns brought: by step and arm, against those held out, one order
-- credited once, refunds taken back.
\set ECHO none
\i test/include/start.sql
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA shop;
CREATE TABLE shop.orders (id integer PRIMARY KEY, customer text, total numeric, paid timestamptz, refunded numeric NOT NULL DEFAULT 0);
SELECT retention.create_shop('Tea House', 'UTC');
UPDATE retention.shop SET language = 'en', marketing_consent = 'opt_out', marketing_cap_days = NULL;
SELECT retention.attach_orders('shop.orders', 'id', 'customer', 'total', paid_at => 'paid', refunded => 'refunded');
RESET client_min_messages;
SET retention.clock = '2024-05-01 10:00+00';
INSERT INTO retention.customer (shop_id, customer_id, name, phone) SELECT 1, 'c' || n, 'N' || n, CASE WHEN n <> 9 THEN '138' END FROM generate_series(1, 10) AS n;
SELECT retention.define_audience('everybody', 'true');
CREATE FUNCTION pg_temp.send(at timestamptz) RETURNS TABLE (rule text, sent bigint) LANGUAGE sql AS $$
	SELECT c.rule, count(*) FILTER (WHERE retention.mark_sent(c.token, c.rule || c.customer_id, at) = 'sent') FROM retention.claim_messages('sms', at => send.at) AS c GROUP BY 1 ORDER BY 1 $$;

-- ---------------------------------------------------------------------------
-- Before anything has happened
-- ---------------------------------------------------------------------------

SELECT retention.create_campaign('a', 'everybody', 0.3, ends_at => '2024-05-10 10:00+00', cost => 10, segment_cost => 0.1);
SELECT retention.add_campaign_step('a', text => 'Teaser'), retention.add_campaign_step('a', text => 'Invitation', delay => '3 days');
SELECT * FROM retention.campaign_effect('a');
SELECT measure, treated, holdout, sentence FROM retention.campaign_lift('a');
SELECT name, state, treated_customers, sent, conversion, lift, cost, conclusion FROM retention.campaigns;
SELECT retention.campaign_effect('b');
SELECT retention.campaign_lift('b');

-- ---------------------------------------------------------------------------
-- Two steps are sent; c9 has no phone, c1's first fails for good, c3 answers;
-- c2, c4 and c7 are held out
-- ---------------------------------------------------------------------------

SELECT retention.start_campaign('a');
SELECT string_agg(customer_id, ' ' ORDER BY customer_id) FILTER (WHERE arm = 'treated') AS treated, string_agg(customer_id, ' ' ORDER BY customer_id) FILTER (WHERE arm = 'holdout') AS held_out FROM retention.campaign_member;
SELECT count(retention.mark_failed(token, 'no such number', true)) FROM retention.claim_messages('sms', 1) AS c;
SELECT customer_id, state, reason FROM retention.care_message WHERE state = 'failed';
SELECT * FROM pg_temp.send('2024-05-01 10:00+00');
CALL retention.run('2024-05-04 10:00+00');
SELECT * FROM pg_temp.send('2024-05-04 12:00+00');
SELECT retention.record_response(customer, 'click', '2024-05-04 13:00+00') FROM unnest('{campaign:a:2c3,campaign:a:2c4}'::text[]) AS customer;
SELECT customer_id, rule, state FROM retention.care_message ORDER BY 1, 2;

-- Orders: before the start, by the second, after each step, on the window's
-- last moment (7 days after the end) and after it; unpaid; by those held out.
SET retention.clock = '2024-06-01 00:00+00';
INSERT INTO shop.orders VALUES
	(1, 'c1', 1, '2024-05-01 09:59:59+00'), (2, 'c1', 10, '2024-05-01 10:00:00+00'), (3, 'c1', 100, '2024-05-01 10:00:01+00'),
	(4, 'c3', 200, '2024-05-03 10:00+00'), (5, 'c3', 300, '2024-05-04 12:00:01+00'), (6, 'c3', 400, '2024-05-11 12:00+00'), (7, 'c3', 500, '2024-05-11 12:00:01+00'),
	(8, 'c8', 600, '2024-05-17 09:59:59+00'), (9, 'c8', 700, '2024-05-17 10:00+00'), (10, 'c8', 800, NULL);
INSERT INTO shop.orders SELECT 20 + row_number() OVER (ORDER BY customer_id), customer_id, 50, '2024-05-05' FROM retention.campaign_member WHERE arm = 'holdout' ORDER BY customer_id LIMIT 1;
SELECT customer_id, order_id, step, value, paid_at FROM retention.campaign_credits ORDER BY order_id::integer;
\x
SELECT * FROM retention.campaign_effect('a');
SELECT * FROM retention.campaign_lift('a');
SELECT * FROM retention.campaigns;
\x
-- Another window.
UPDATE retention.campaign SET attribution_days = 1;
SELECT order_id, step FROM retention.campaign_credits ORDER BY order_id::integer;
SELECT arm, buyers, orders, sales, credited_orders FROM retention.campaign_effect('a') WHERE step IS NULL;
UPDATE retention.campaign SET attribution_days = NULL;
-- As of an earlier moment.
SELECT step, arm, buyers, orders, sales, credited_orders, credited_sales FROM retention.campaign_effect('a', at => '2024-05-04 12:00+00');

-- ---------------------------------------------------------------------------
-- A refund takes credit back, in part or all; undone, it comes back
-- ---------------------------------------------------------------------------

UPDATE shop.orders SET refunded = 100 WHERE id = 5;
UPDATE shop.orders SET refunded = total WHERE id IN (4, 8);
SELECT arm, buyers, orders, sales, conversion, credited_orders, credited_sales FROM retention.campaign_effect('a') WHERE step IS NULL;
SELECT order_id, value FROM retention.campaign_credits ORDER BY order_id::integer;
UPDATE shop.orders SET refunded = 0;
SELECT buyers, orders, sales, credited_orders, credited_sales FROM retention.campaign_effect('a') WHERE step IS NULL AND arm = 'treated';

-- ---------------------------------------------------------------------------
-- One order, one campaign: the last that wrote; ties by name
-- ---------------------------------------------------------------------------

SET retention.clock = '2024-05-12 10:00+00';
SELECT retention.create_campaign('c', 'everybody', 0), retention.add_campaign_step('c', text => 'C'),
	retention.create_campaign('b', 'everybody', 0), retention.add_campaign_step('b', text => 'B'), retention.add_campaign_step('b', text => 'B', channel => 'sms');
SELECT retention.start_campaign('c'), retention.start_campaign('b');
SELECT * FROM pg_temp.send('2024-05-12 10:00+00');
SET retention.clock = '2024-06-01 00:00+00';
SELECT DISTINCT k.campaign, k.step, k.order_id FROM retention.campaign_credits k WHERE k.order_id IN ('8', '9') ORDER BY 3;
SELECT count(*) = count(DISTINCT order_id) AS once FROM retention.campaign_credits;
SELECT name, credited_orders, credited_sales FROM retention.campaigns ORDER BY 1;
-- Every paid order lies in each campaign's comparison all the same.
SELECT name, orders, sales FROM retention.campaigns ORDER BY 1;
-- Written to a second later, the other has it.
UPDATE retention.care_message SET sent_at = sent_at + interval '1 second' WHERE rule = 'campaign:c:1' AND customer_id = 'c8';
SELECT DISTINCT k.campaign, k.step, k.order_id FROM retention.campaign_credits k WHERE k.order_id IN ('8', '9') ORDER BY 3;

-- ---------------------------------------------------------------------------
-- What it says in words
-- ---------------------------------------------------------------------------

SELECT retention.lift_sentence(m, l, t, h, low, high, n) FROM (VALUES
	('conversion', 0.12::float8, 0.08::float8, 0.01::float8, 0.07::float8, NULL::bigint), ('conversion', 0.08, 0.12, -0.07, -0.01, NULL), ('conversion', 0.12, 0.11, -0.02, 0.04, 312), ('conversion', 0.12, 0.12, -0.02, 0.02, NULL),
	('conversion', 0, 0, -0.02, 0.02, NULL), ('conversion', 0.1, NULL, NULL, NULL, NULL), ('spend', 12, 8, 1.25, 6.75, NULL), ('spend', 8, 12, -6.75, -1.25, NULL), ('spend', 12, 11, -1, 3, 312), ('spend', 12, 11, NULL, NULL, NULL)) AS v (m, t, h, low, high, n),
	unnest('{en,zh}'::text[]) AS l ORDER BY l, m;
UPDATE retention.shop SET language = 'zh';
SELECT sentence FROM retention.campaign_lift('a');
-- A number of customers named is enough: were the arms so much larger and bought
-- alike, the difference would show.
WITH lift AS (SELECT * FROM retention.campaign_lift('a') WHERE measure = 'conversion'),
larger AS (SELECT l.*, 1 + l.more_customers::numeric / (l.treated_customers + l.holdout_customers) AS times FROM lift l)
SELECT more_customers > 0 AS needed, d.low > 0 OR d.high < 0 AS would_show
FROM larger, LATERAL retention.difference_of_shares(round(treated * treated_customers * times)::bigint, round(treated_customers * times)::bigint,
	round(holdout * holdout_customers * times)::bigint, round(holdout_customers * times)::bigint) AS d;

-- ---------------------------------------------------------------------------
-- Who may what
-- ---------------------------------------------------------------------------

SET ROLE retention_reader;
SELECT name, sent FROM retention.campaigns ORDER BY 1;
SELECT count(*) FROM retention.campaign_credits;
SELECT count(*) FROM retention.campaign_effect('a');
SELECT retention.stop_campaign('a');
SELECT code FROM retention.offer_code;
RESET ROLE;
CREATE ROLE retention_test_marketing;
GRANT retention_operator TO retention_test_marketing;
SET ROLE retention_test_marketing;
SELECT retention.define_audience('mine', 'true');
SELECT retention.create_campaign('mine', 'mine'), retention.add_campaign_step('mine', text => 'Hi {{offer_code}}'), retention.set_campaign_offer('mine', 'tea');
SELECT customers FROM retention.preview_campaign('mine');
SELECT retention.start_campaign('mine');
SELECT retention.pause_campaign('mine'), retention.resume_campaign('mine'), retention.stop_campaign('mine'), retention.delete_campaign('mine');
UPDATE retention.campaign SET holdout = 0;
RESET ROLE;
DELETE FROM retention.audience;
REVOKE retention_operator FROM retention_test_marketing;

DROP SCHEMA shop CASCADE;
\set ECHO none
\i test/include/stop.sql
DROP ROLE retention_test_marketing;
