-- care_effect: what messages brought; purging keeps the figures.
SET timezone = 'Asia/Shanghai';
SET retention.clock = '2024-06-20 12:00+08';
INSERT INTO retention.shop (shop_id, name, time_zone) VALUES (1, 'Tea House', 'Asia/Shanghai');
INSERT INTO retention.care_message (shop_id, customer_id, rule, subject, channel, purpose, priority, state, reason, due_at, expires_at, queued_at, changed_at, sent_at, segments, responded_at)
SELECT 1, customer, rule, subject, 'sms', 'care', 1, state, reason, due, due + interval '1 day', due, due, CASE WHEN state = 'sent' THEN due + interval '1 hour' END, 2, CASE WHEN answered THEN due + interval '2 hours' END
FROM (VALUES
	('ann', 'hello', '1', 'sent', NULL, timestamptz '2024-05-01 00:00+08', true),
	('ann', 'hello', '2', 'sent', NULL, '2024-05-03 12:00+08', false),
	('bob', 'hello', '1', 'sent', NULL, '2024-05-31 23:59+08', false),
	('cat', 'hello', '1', 'skipped', 'opted out', '2024-05-05 12:00+08', false),
	('dan', 'hello', '1', 'skipped', 'opted out', '2024-05-05 12:00+08', false),
	('eve', 'hello', '1', 'cancelled', 'the order was paid', '2024-05-05 12:00+08', false),
	('fay', 'hello', '1', 'failed', 'gave up', '2024-05-05 12:00+08', false),
	('ann', 'hello', '3', 'sent', NULL, '2024-06-01 00:00+08', false),
	-- Somebody who asked to be called again has answered, but the call is not done.
	('gus', 'other', '1', 'queued', NULL, '2024-06-19 12:00+08', true)) AS v (customer, rule, subject, state, reason, due, answered);
-- ann buys twice in reach of both her messages in May, once too late; a refunded order is no purchase.
INSERT INTO retention.purchase (source_id, order_id, shop_id, customer_id, paid_at, total, paid, refunded, value)
VALUES (1, '1', 1, 'ann', '2024-05-04 12:00+08', 100, 100, 0, 100), (1, '2', 1, 'ann', '2024-05-05 12:00+08', 50, 50, 20, 30),
	(1, '3', 1, 'ann', '2024-05-10 13:00:01+08', 70, 70, 0, 70), (1, '4', 1, 'ann', '2024-05-03 12:00+08', 9, 9, 9, NULL),
	(1, '5', 1, 'bob', '2024-06-08 00:59+08', 11, 11, 0, 11), (1, '6', 1, 'bob', '2024-05-31 23:59+08', 13, 13, 0, 13),
	(1, '7', 1, 'cat', '2024-05-06 12:00+08', 500, 500, 0, 500);
SELECT * FROM retention.care_effect ORDER BY rule, month;
SELECT * FROM retention.customer_contacts ORDER BY customer_id;

-- A longer window.
UPDATE retention.shop SET attribution_days = 30;
SELECT month, buyers, orders, sales FROM retention.care_effect WHERE rule = 'hello' ORDER BY month;
UPDATE retention.shop SET attribution_days = 7;

-- Whole months that are done with go; the figures stay.
CREATE TABLE before AS SELECT * FROM retention.care_effect;
CREATE TABLE contacts_before AS SELECT customer_id, sent, responses, response_rate FROM retention.customer_contacts;
SELECT retention.purge_messages('2024-06-30') AS purged, retention.purge_messages('2024-06-30') AS again;
SELECT customer_id, rule, due_at, state FROM retention.care_message ORDER BY due_at;
SELECT count(*) AS different FROM ((TABLE before EXCEPT TABLE retention.care_effect) UNION ALL (TABLE retention.care_effect EXCEPT TABLE before)) AS d WHERE rule = 'hello';
SELECT count(*) AS different FROM ((TABLE contacts_before EXCEPT SELECT customer_id, sent, responses, response_rate FROM retention.customer_contacts)) AS d;
SELECT retention.purge_messages('2024-12-01', '2024-12-01') AS later;
SELECT count(*) AS left FROM retention.care_message;
SELECT rule, month, queued, sent, skipped, reasons, sales FROM retention.care_effect ORDER BY rule, month;
SELECT retention.purge_messages(NULL);

DROP TABLE before, contacts_before;
DELETE FROM retention.care_effect_kept;
DELETE FROM retention.care_contact;
DELETE FROM retention.purchase;
DELETE FROM retention.shop;
RESET retention.clock;
RESET timezone;
