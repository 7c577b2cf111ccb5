-- Care rules: which messages an order's life calls for, and which it cancels
CREATE SCHEMA care_rules;
SET search_path = care_rules;
SET TimeZone = 'Asia/Shanghai';
SET retention.clock = '2024-05-01 12:00+08';

CREATE TABLE orders (
	id integer PRIMARY KEY,
	customer text,
	total numeric,
	refunded numeric NOT NULL DEFAULT 0,
	placed_at timestamptz,
	paid_at timestamptz,
	shipped_at timestamptz,
	delivered_at timestamptz,
	completed_at timestamptz,
	closed_at timestamptz,
	why text
);
-- An order from before: shipped while nobody was attached.
INSERT INTO orders (id, customer, total, placed_at, paid_at, shipped_at)
VALUES (1, 'old', 50, '2024-04-30 10:00+08', '2024-04-30 10:05+08', '2024-04-30 18:00+08');

SELECT retention.attach_orders('orders', order_id => 'id', customer => 'customer', total => 'total',
	refunded => 'refunded', placed_at => 'placed_at', paid_at => 'paid_at', shipped_at => 'shipped_at',
	delivered_at => 'delivered_at', completed_at => 'completed_at', closed_at => 'closed_at', close_reason => 'why') AS source;
-- What backfill() calls, which also prints its speed.
SELECT retention.backfill_start(1, 1000, NULL) AS batches, retention.backfill_step(1) AS orders;

CREATE VIEW messages AS
	SELECT order_id, rule, state, to_char(due_at, 'MM-DD HH24:MI') AS due, to_char(expires_at, 'MM-DD HH24:MI') AS expires, reason
	FROM retention.care_message
	ORDER BY order_id COLLATE "C", rule, subject;

-- All shipped rules are off, and an order's life leaves no message.
SELECT count(*) AS rules, count(*) FILTER (WHERE enabled) AS enabled, bool_and(shipped) AS shipped FROM retention.care_rules;
INSERT INTO orders (id, customer, total, placed_at) VALUES (2, 'a', 10, '2024-05-01 12:00+08');
SELECT count(*) FROM messages;

-- Each is switched on by one call, or one UPDATE.
SELECT retention.enable_rule(name)
FROM retention.care_rules
WHERE event IN ('unpaid', 'closed_unpaid', 'paid', 'unshipped', 'shipped', 'delivered');
UPDATE retention.care_rules SET enabled = true WHERE name = 'refunded';
SELECT name, shipped FROM retention.care_rules WHERE enabled ORDER BY name;

-- Switching on writes to nobody about what was before.
SELECT count(*) FROM messages;

-- A life: unpaid, paid, shipped, delivered, completed.
SET retention.clock = '2024-05-01 13:00+08';
INSERT INTO orders (id, customer, total, placed_at) VALUES (3, 'a', 2500, retention.now());
SELECT * FROM messages WHERE order_id = '3';
SET retention.clock = '2024-05-01 13:10+08';
UPDATE orders SET paid_at = retention.now() WHERE id = 3;
SELECT * FROM messages WHERE order_id = '3';
SET retention.clock = '2024-05-02 09:00+08';
UPDATE orders SET shipped_at = retention.now() WHERE id = 3;
SELECT * FROM messages WHERE order_id = '3' AND rule IN ('shipped', 'shipping_late', 'paid_thanks');
SET retention.clock = '2024-05-04 09:00+08';
UPDATE orders SET delivered_at = retention.now() WHERE id = 3;
SELECT * FROM messages WHERE order_id = '3' AND rule IN ('shipped', 'arrived', 'confirm_receipt');
SET retention.clock = '2024-05-05 09:00+08';
UPDATE orders SET completed_at = retention.now() WHERE id = 3;
SELECT * FROM messages WHERE order_id = '3' AND rule IN ('arrived', 'confirm_receipt', 'big_order_call', 'paid_thanks');

-- Changing nothing changes nothing.
CREATE TEMPORARY TABLE before AS SELECT * FROM retention.care_message;
UPDATE orders SET total = total;
SELECT retention.resync('care_rules.orders', everything => true);
SELECT count(*) FROM (TABLE before EXCEPT TABLE retention.care_message) AS changed;
SELECT count(*) FROM (TABLE retention.care_message EXCEPT TABLE before) AS changed;
DROP TABLE before;

-- A refund is told once for each sum; a call about a big order dies when the
-- rest of it is below the amount.
UPDATE orders SET refunded = 100 WHERE id = 3;
UPDATE orders SET refunded = 100.00 WHERE id = 3;
UPDATE orders SET refunded = 700 WHERE id = 3;
SELECT * FROM messages WHERE order_id = '3' AND rule IN ('refunded', 'big_order_call');

-- A state that ends and begins again.
SET retention.clock = '2024-05-06 09:00+08';
INSERT INTO orders (id, customer, total, placed_at) VALUES (4, 'b', 20, retention.now());
UPDATE orders SET closed_at = retention.now() + interval '1 minute', why = 'found it cheaper' WHERE id = 4;
SELECT * FROM messages WHERE order_id = '4';
-- The customer's reason is kept, and texts may name it.
SELECT text FROM retention.preview_template('{{order.id}}: {{order.close_reason}}', 'b', '4');
UPDATE orders SET closed_at = NULL WHERE id = 4;
SELECT * FROM messages WHERE order_id = '4';

-- An order that goes to another customer takes its messages along.
UPDATE orders SET customer = 'c' WHERE id = 4;
SELECT customer_id, rule, state, reason FROM retention.care_message WHERE order_id = '4' ORDER BY 1, 2;
DELETE FROM orders WHERE id = 4;
SELECT customer_id, rule, state, reason FROM retention.care_message WHERE order_id = '4' ORDER BY 1, 2;

-- Paid and shipped in one transaction: nothing was late.
BEGIN;
INSERT INTO orders (id, customer, total, placed_at) VALUES (5, 'd', 30, retention.now());
UPDATE orders SET paid_at = placed_at WHERE id = 5;
UPDATE orders SET shipped_at = placed_at WHERE id = 5;
COMMIT;
SELECT * FROM messages WHERE order_id = '5';

-- A message dies with its transaction.
BEGIN;
INSERT INTO orders (id, customer, total, placed_at) VALUES (6, 'd', 30, retention.now());
SET CONSTRAINTS ALL IMMEDIATE;
SELECT count(*) FROM messages WHERE order_id = '6';
ROLLBACK;
SELECT count(*) FROM messages WHERE order_id = '6';

-- Nothing is said of what is past its validity, nor of an order first seen now
-- but placed before the source was attached; what happens to a recorded old
-- order from now on is news.
INSERT INTO orders (id, customer, total, placed_at, paid_at, shipped_at)
VALUES
	(7, 'e', 30, '2024-05-02 09:00+08', '2024-05-02 09:00+08', '2024-05-04 09:00+08'),
	(8, 'e', 30, '2024-04-02 09:00+08', '2024-05-06 09:00+08', '2024-05-06 09:00+08');
UPDATE orders SET delivered_at = retention.now() WHERE id = 1;
SELECT * FROM messages WHERE order_id IN ('1', '7', '8');

-- A backfill writes to nobody, even where the shop does not say when.
CREATE TABLE undated (id integer PRIMARY KEY, customer text, total numeric, is_paid boolean, is_shipped boolean);
INSERT INTO undated VALUES (1, 'u', 10, true, true);
SET client_min_messages = warning;
SELECT retention.attach_orders('undated', order_id => 'id', customer => 'customer', total => 'total',
	paid_in_full => 'is_paid', shipped => 'is_shipped') AS source;
SELECT retention.backfill_start(2, 1000, NULL) AS batches, retention.backfill_step(2) AS orders;
RESET client_min_messages;
INSERT INTO undated VALUES (2, 'u', 10, true, false);
UPDATE undated SET is_shipped = true WHERE id = 2;
SELECT m.order_id, m.rule, m.state
FROM retention.care_message m
WHERE m.customer_id = 'u'
ORDER BY m.order_id, m.rule;
SELECT retention.detach('care_rules.undated');

-- Switching a rule off cancels what it had queued: nobody would when the order
-- is paid meanwhile.
INSERT INTO orders (id, customer, total, placed_at) VALUES (9, 'f', 30, retention.now());
SELECT retention.disable_rule('unpaid_reminder');
UPDATE orders SET paid_at = retention.now() WHERE id = 9;
SELECT retention.enable_rule('unpaid_reminder');
SELECT rule, state, reason FROM messages WHERE order_id = '9' AND rule LIKE '%unpaid%';

-- A rule of one's own, and a shipped one changed for the shop.
INSERT INTO retention.care_rules (name, event, delay, parameters, channel, purpose)
VALUES ('vip_thanks', 'completed', '1 hour', '{}', 'wechat', 'care');
UPDATE retention.care_rules SET delay = '2 hours', parameters = '{"amount": 100}' WHERE name = 'paid_thanks';
INSERT INTO orders (id, customer, total, placed_at, paid_at, completed_at)
VALUES
	(10, 'g', 99, retention.now(), retention.now(), retention.now()),
	(11, 'g', 100, retention.now(), retention.now(), retention.now());
SELECT order_id, rule, due FROM messages WHERE order_id IN ('10', '11');
SELECT name, event, delay, parameters, shipped FROM retention.care_rules WHERE NOT shipped AND (name = 'vip_thanks' OR name = 'paid_thanks') ORDER BY name;
DELETE FROM retention.care_rules WHERE name = 'paid_thanks';
SELECT name, delay, parameters, enabled, shipped FROM retention.care_rules WHERE name = 'paid_thanks';

-- What cannot be.
\set VERBOSITY terse
DELETE FROM retention.care_rules WHERE name = 'paid_thanks';
SELECT retention.enable_rule('birthdy');
INSERT INTO retention.care_rules (name, event) VALUES ('x', 'full moon');
INSERT INTO retention.care_rules (name, event, delay) VALUES ('x', 'paid', '-1 day');
INSERT INTO retention.care_rules (name, event, parameters) VALUES ('x', 'paid', '{"ammount": 5}');
INSERT INTO retention.care_rules (name, event, parameters) VALUES ('x', 'paid', '{"amount": "many"}');
INSERT INTO retention.care_rules (name, event, channel) VALUES ('x', 'paid', 'pigeon');
SELECT retention.order_event_at('birthday', p) FROM retention.purchase p LIMIT 1;

-- order_event_at says what the queue needs to ask again.
SELECT p.order_id, e.event, retention.order_event_at(e.event, p) IS NOT NULL AS holds
FROM retention.purchase p
CROSS JOIN unnest(ARRAY['unpaid', 'closed_unpaid', 'paid', 'unshipped', 'shipped', 'delivered', 'completed']) AS e (event)
WHERE p.order_id IN ('2', '3', '5')
	AND retention.order_event_at(e.event, p) IS NOT NULL
ORDER BY p.order_id, p.source_id, e.event;

-- Leave nothing behind.
\set VERBOSITY default
RESET search_path;
RESET retention.clock;
SET client_min_messages = error;
DROP SCHEMA care_rules CASCADE;
DROP EXTENSION retention CASCADE;
CREATE EXTENSION retention;
