-- The condition of a care rule: checked when it is written, evaluated when a
-- message is claimed, for the customer and the order as they are then.
\set ECHO none
\i test/include/start.sql
SET timezone = 'Asia/Shanghai';
SET retention.clock = '2024-05-01 12:00+08';
SET client_min_messages = error;
DROP ROLE IF EXISTS care_condition_operator;
SET client_min_messages = warning;
CREATE ROLE care_condition_operator;
GRANT retention_operator TO care_condition_operator;
CREATE SCHEMA care_condition;
CREATE TABLE care_condition.orders (id integer PRIMARY KEY, customer text, total numeric, source text, placed_at timestamptz, paid_at timestamptz);
SELECT retention.create_shop('Tea House', 'Asia/Shanghai');
SELECT retention.attach_orders('care_condition.orders', order_id => 'id', customer => 'customer', total => 'total', channel => 'source',
	placed_at => 'placed_at', paid_at => 'paid_at', completed_at => 'paid_at');
SELECT retention.enable_rule('unpaid_reminder'), retention.enable_rule('birthday');
CREATE FUNCTION care_condition.take(at timestamptz)
	RETURNS TABLE (rule text, customer text, order_id text)
	LANGUAGE sql
AS $$
	SELECT c.rule, c.customer_id, c.order_id
	FROM retention.claim_messages('sms', 100, at => at) AS c
	WHERE retention.mark_sent(c.token, at => at) = 'sent'
	ORDER BY 1, 2, 3
$$;
CREATE VIEW care_condition.skipped AS
	SELECT s.customer_id, s.rule, s.outcome, s.reason, s.explanation, s.until
	FROM retention.care_skipped s
	ORDER BY s.rule, s.customer_id;
RESET client_min_messages;
\set ECHO all

-- Of the order and of the customer; what is not true, or not known, is skipped.
UPDATE retention.care_rules SET condition = 'purchase.total >= 100 AND purchase.channel = ''app'' OR customers.purchases > 0' WHERE name = 'unpaid_reminder';
SELECT name, condition, condition_by = current_user AS mine FROM retention.care_rules WHERE condition IS NOT NULL;
INSERT INTO care_condition.orders (id, customer, total, source, placed_at, paid_at)
VALUES (1, 'ann', 100, 'app', retention.now(), NULL), (2, 'ann', 99, 'app', retention.now(), NULL), (3, 'bob', 200, 'web', retention.now(), NULL),
	(4, 'cat', 200, NULL, retention.now(), NULL), (5, 'dan', 1, 'web', retention.now(), NULL);
SELECT count(*) AS queued FROM retention.care_message;
-- It is the moment of the claim that counts: dan buys something before.
SET retention.clock = '2024-05-01 12:10+08';
INSERT INTO care_condition.orders (id, customer, total, source, placed_at, paid_at) VALUES (6, 'dan', 5, 'web', retention.now(), retention.now());
SELECT * FROM care_condition.take('2024-05-01 12:30+08');
SELECT customer_id, outcome, reason, explanation FROM care_condition.skipped;

-- Where the event is not an order's state, of the customer alone; and at the
-- moment that is asked for.
UPDATE retention.care_rules SET condition = 'recency_days <= 11' WHERE name = 'birthday';
INSERT INTO retention.customer (shop_id, customer_id, birthday) VALUES (1, 'ann', '1990-05-12'), (1, 'dan', '1990-05-12'), (1, 'eve', '1990-05-12')
ON CONFLICT (shop_id, customer_id) DO UPDATE SET birthday = EXCLUDED.birthday;
SELECT retention.care_due('2024-05-12 08:00+08');
SELECT * FROM care_condition.take('2024-05-12 09:00+08');
SELECT customer_id, reason FROM care_condition.skipped WHERE rule = 'birthday';

-- What is wrong is told when it is written.
\set VERBOSITY terse
UPDATE retention.care_rules SET condition = 'purchase.total > 1' WHERE name = 'birthday';
UPDATE retention.care_rules SET condition = 'no_such > 1' WHERE name = 'unpaid_reminder';
UPDATE retention.care_rules SET condition = 'true; DROP TABLE care_condition.orders' WHERE name = 'unpaid_reminder';
UPDATE retention.care_rules SET condition = '' WHERE name = 'unpaid_reminder';
INSERT INTO retention.care_rules (name, event, condition) VALUES ('x', 'paid', 'random() < 0.5');
UPDATE retention.care_rules SET event = 'birthday' WHERE name = 'unpaid_reminder';
\set VERBOSITY default
SELECT name, condition FROM retention.care_rules WHERE condition IS NOT NULL ORDER BY name;

-- It is signed by who writes it, whatever is claimed, and stays so when somebody
-- else changes the rest.
SET ROLE care_condition_operator;
UPDATE retention.care_rules SET condition = 'current_user = ''care_condition_operator''', condition_by = 'postgres' WHERE name = 'birthday';
RESET ROLE;
SELECT retention.disable_rule('birthday'), retention.enable_rule('birthday');
UPDATE retention.care_rules SET delay = '9 hours 1 minute' WHERE name = 'birthday';
SELECT condition, condition_by FROM retention.care_rules WHERE name = 'birthday';
SELECT retention.care_due('2025-05-12 08:00+08');
SELECT * FROM care_condition.take('2025-05-12 09:01+08');
-- A superuser has no more rights in it than retention_reader.
UPDATE retention.care_rules SET condition = 'current_user = ''retention_reader''' WHERE name = 'birthday';
SELECT retention.care_due('2026-05-12 08:00+08');
SELECT * FROM care_condition.take('2026-05-12 09:01+08');

-- A condition that breaks keeps only its own rule's messages, and loses none:
-- they wait, with one warning in each claim, and go once it is mended.
UPDATE retention.care_rules SET condition = '1 / (purchases - 1) >= 0' WHERE name = 'birthday';
UPDATE retention.care_rules SET delay = '9 hours', enabled = true WHERE name = 'birthday_soon';
UPDATE retention.care_rules SET validity = '1 hour' WHERE name = 'birthday';
SET retention.clock = '2027-05-12 00:00+08';
INSERT INTO retention.customer (shop_id, customer_id, birthday) VALUES (1, 'fay', '1990-05-12');
SELECT retention.care_due('2027-05-12 08:00+08');
\set VERBOSITY terse
SELECT rule, customer FROM care_condition.take('2027-05-12 09:01+08');
SELECT customer_id, outcome, reason, explanation, until FROM care_condition.skipped WHERE rule = 'birthday' AND outcome = 'put off';
SELECT count(*) AS not_before FROM care_condition.take('2027-05-12 09:05+08');
UPDATE retention.care_rules SET condition = 'purchases <> 1' WHERE name = 'birthday';
SELECT rule, customer FROM care_condition.take('2027-05-12 09:11+08');
SELECT count(last_error) AS errors_left FROM retention.care_message WHERE state = 'sent';
-- Broken until they are out of date.
UPDATE retention.care_rules SET condition = '1 / (purchases - 1) >= 0' WHERE name = 'birthday';
SELECT retention.care_due('2028-05-12 08:00+08');
SELECT rule, customer FROM care_condition.take('2028-05-12 09:55+08');
SELECT rule, customer FROM care_condition.take('2028-05-12 10:05+08');
SELECT DISTINCT outcome, reason, explanation FROM care_condition.skipped WHERE reason LIKE 'expired%';
-- Nor does a role that is gone stop the queue.
SET ROLE care_condition_operator;
UPDATE retention.care_rules SET condition = 'true' WHERE name = 'birthday';
RESET ROLE;
SELECT retention.care_due('2029-05-12 08:00+08');
DROP OWNED BY care_condition_operator;
DROP ROLE care_condition_operator;
SELECT rule, customer FROM care_condition.take('2029-05-12 09:01+08');
-- What is no fault of the condition, such as a timeout, stops the claim and loses nothing.
SET client_min_messages = error;
UPDATE retention.care_rules SET condition = '(SELECT count(*) FROM generate_series(1, 1000000000) AS a, generate_series(1, 1000000000) AS b) > 0' WHERE name = 'birthday';
SET statement_timeout = '200ms';
SELECT rule, customer FROM care_condition.take('2029-05-12 09:11+08');
RESET statement_timeout;
SELECT count(*) AS still_waiting FROM retention.care_message WHERE subject = 'birthday:2029' AND state = 'queued';

\set ECHO none
SET client_min_messages = error;
DROP SCHEMA care_condition CASCADE;
\i test/include/stop.sql
