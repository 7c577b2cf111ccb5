-- care_due: the messages that fall due by date
CREATE SCHEMA care_due;
SET search_path = care_due;
SET TimeZone = 'Asia/Shanghai';
SET retention.clock = '2023-01-01 00:00+08';

CREATE TABLE orders (id integer PRIMARY KEY, customer text, total numeric, paid_at timestamptz, referrer text, refunded numeric NOT NULL DEFAULT 0);
SELECT retention.attach_orders('orders', order_id => 'id', customer => 'customer', total => 'total', refunded => 'refunded',
	placed_at => 'paid_at', paid_at => 'paid_at', completed_at => 'paid_at', referrer => 'referrer') AS source;

-- What a run at a moment adds, and how many it says it does.
CREATE FUNCTION due(at timestamptz)
	RETURNS TABLE (customer text, rule text, subject text, due text, expires text)
	LANGUAGE plpgsql
AS $$
DECLARE
	told bigint := retention.care_due(at);
	seen bigint;
BEGIN
	SELECT count(*) INTO seen FROM retention.care_message m WHERE m.queued_at = at;
	IF told <> seen THEN
		RAISE EXCEPTION 'told % but queued %', told, seen;
	END IF;
	RETURN QUERY
	SELECT m.customer_id COLLATE "default", m.rule, m.subject COLLATE "default", to_char(m.due_at, 'YYYY-MM-DD HH24:MI'), to_char(m.expires_at, 'MM-DD HH24:MI')
	FROM retention.care_message m
	WHERE m.queued_at = at
	ORDER BY m.due_at, m.rule, m.customer_id, m.subject;
END
$$;

-- No rule is on, and nothing is due.
INSERT INTO retention.customer (shop_id, customer_id, birthday)
VALUES (1, 'may', '1990-05-02'), (1, 'leap', '2000-02-29'), (1, 'first', '1985-01-01'), (1, 'unborn', '2031-05-02'), (1, 'unknown', NULL);
SELECT * FROM due('2024-05-01 12:00+08');

-- Birthdays: on the day and days before, queued a day ahead, never twice.
SELECT retention.enable_rule('birthday'), retention.enable_rule('birthday_soon');
SELECT * FROM due('2024-05-01 12:00+08');
SELECT * FROM due('2024-05-01 12:01+08');
-- Whatever way a session writes dates.
SET DateStyle = 'German';
SELECT * FROM due('2024-05-02 13:00+08');
SET DateStyle = 'ISO';
-- Too late for this year once the day is nearly over.
DELETE FROM retention.care_message;
SELECT * FROM due('2024-05-02 21:00+08');
-- 29 February is kept on the 28th in other years, and on the 29th in its own.
SELECT * FROM due('2025-02-27 12:00+08');
SELECT * FROM due('2025-02-28 12:00+08');
SELECT * FROM due('2028-02-27 12:00+08');
SELECT * FROM due('2028-02-28 12:00+08');
-- A year is the birthday's own, also when the message goes out the year before.
SELECT * FROM due('2025-12-28 12:00+08');
-- The days are the shop's: at this moment it is still the first in New York.
UPDATE retention.shop SET time_zone = 'America/New_York';
SELECT * FROM due('2026-05-02 06:00+08');
SELECT * FROM due('2026-05-02 12:00+08');
-- Nine o'clock is nine o'clock in summer and in winter.
SELECT to_char(due_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI') AS utc FROM retention.care_message WHERE subject = 'birthday:2026' AND rule = 'birthday';
UPDATE retention.shop SET time_zone = 'Asia/Shanghai';
SELECT retention.disable_rule('birthday'), retention.disable_rule('birthday_soon');

-- Days after the last purchase, and the steps of a long silence.
SELECT retention.enable_rule(name) FROM retention.care_rules WHERE event = 'last_purchase';
SET retention.clock = '2024-01-10 20:00+08';
INSERT INTO orders (id, customer, total, paid_at) VALUES (1, 'a', 100, '2024-01-10 20:00+08'), (2, 'b', 100, '2024-01-10 23:30+08');
SELECT * FROM due('2024-01-24 09:00+08');
SELECT * FROM due('2024-01-24 10:00+08');
-- Bought again: the old message dies with the purchase, and the days count anew.
SET retention.clock = '2024-01-24 18:00+08';
INSERT INTO orders (id, customer, total, paid_at) VALUES (3, 'a', 100, '2024-01-24 18:00+08');
SELECT customer_id, subject, state, reason FROM retention.care_message WHERE rule = 'after_purchase_15_days' ORDER BY 1, 2;
SELECT * FROM due('2024-02-08 12:00+08');
-- Given back: no thanks for a purchase that is none.
UPDATE orders SET refunded = 100 WHERE id = 3;
SELECT customer_id, subject, state, reason FROM retention.care_message WHERE rule = 'after_purchase_15_days' ORDER BY 1, 2;
-- A run that knew no better is put right by the next.
UPDATE retention.care_message SET state = 'queued', reason = NULL WHERE customer_id = 'a';
SELECT * FROM due('2024-02-08 13:00+08');
SELECT customer_id, subject, state, reason FROM retention.care_message WHERE customer_id = 'a' ORDER BY 1, 2;
-- After days of no run: what is still worth saying, and no more.
SELECT * FROM due('2024-04-14 12:00+08');
SET DateStyle = 'German';
SELECT * FROM due('2024-04-14 12:01+08');
SET DateStyle = 'ISO';
SELECT * FROM due('2024-08-01 12:00+08');
SELECT * FROM due('2025-01-10 12:00+08');
SELECT retention.disable_rule(name) FROM retention.care_rules WHERE event = 'last_purchase';

-- The customer's own interval: the median of 30, 20 and 40 days, not counting
-- what was bought within the day.
SELECT retention.usual_interval('{}') IS NULL AS none,
	retention.usual_interval(h) AS usual
FROM (
	SELECT retention.purchase_history(paid_at, 1) AS h
	FROM unnest('{2024-01-01 10:00+08,2024-01-01 15:00+08,2024-01-31 10:00+08,2024-02-20 10:00+08,2024-03-31 10:00+08}'::timestamptz[]) AS paid_at
) AS history;
SELECT retention.enable_rule('repurchase');
SET retention.clock = '2024-04-01 10:00+08';
INSERT INTO orders (id, customer, total, paid_at)
VALUES
	(11, 'habit', 10, '2024-01-01 10:00+08'), (12, 'habit', 10, '2024-01-01 15:00+08'), (13, 'habit', 10, '2024-01-31 10:00+08'),
	(14, 'habit', 10, '2024-02-20 10:00+08'), (15, 'habit', 10, '2024-03-31 10:00+08'),
	(16, 'twice', 10, '2024-03-01 10:00+08'), (17, 'twice', 10, '2024-03-31 10:00+08'),
	(18, 'daily', 10, '2024-03-28 10:00+08'), (19, 'daily', 10, '2024-03-29 10:00+08'), (20, 'daily', 10, '2024-03-30 10:00+08'), (21, 'daily', 10, '2024-03-31 10:00+08');
SELECT * FROM due('2024-04-05 12:00+08');
SELECT * FROM due('2024-04-29 12:00+08');
SELECT * FROM due('2024-04-30 12:00+08');
SELECT retention.disable_rule('repurchase');

-- Milestones: the purchase that reached the sum, even when others followed.
SELECT retention.enable_rule('spend_milestone');
SET retention.clock = '2024-06-03 10:00+08';
INSERT INTO orders (id, customer, total, paid_at)
VALUES
	(31, 'big', 4999, '2024-05-01 10:00+08'), (32, 'big', 2, '2024-06-01 10:00+08'), (33, 'big', 6000, '2024-06-02 10:00+08'), (34, 'big', 1, '2024-06-03 10:00+08'),
	(35, 'was big', 30000, '2023-06-01 10:00+08'), (36, 'was big', 5, '2024-06-02 10:00+08');
SELECT * FROM due('2024-06-03 12:00+08');
UPDATE orders SET refunded = 6000 WHERE id = 33;
SELECT * FROM due('2024-06-03 13:00+08');
SELECT subject, state, reason FROM retention.care_message WHERE customer_id = 'big' ORDER BY subject;
SELECT retention.disable_rule('spend_milestone');

-- Points that expire.
SELECT retention.enable_rule('points_expiring');
UPDATE retention.points_lot SET expires_at = '2024-12-31 23:59:59+08' WHERE customer_id = 'habit';
UPDATE retention.points_lot SET expires_at = '2024-12-31 23:59:59+08', remaining = 0, is_open = false WHERE customer_id = 'twice';
SELECT * FROM due('2024-11-29 12:00+08');
SELECT * FROM due('2024-12-01 12:00+08');
SELECT * FROM retention.render_message(1, 'habit', 'points_expiring', 'expiry:2024-12-31', NULL, NULL, '2024-12-01 12:00+08');
SELECT * FROM retention.render_message(1, 'twice', 'points_expiring', 'expiry:2024-12-31', NULL, NULL, '2024-12-01 12:00+08');
SELECT retention.disable_rule('points_expiring');

-- Festivals and seasons: those who have bought, on the days the shop greets.
SELECT retention.enable_rule('festival'), retention.enable_rule('season_change');
SELECT rule, subject, count(*), min(due) AS due FROM due('2024-09-16 12:00+08') GROUP BY rule, subject;
SELECT count(*) AS customers FROM retention.customer_stats WHERE purchases > 0;
SELECT rule, subject, count(*), min(due) AS due FROM due('2024-11-07 12:00+08') GROUP BY rule, subject;
SELECT rule, subject, count(*), min(due) AS due FROM due('2024-12-25 08:00+08') GROUP BY rule, subject;
UPDATE retention.care_rules SET parameters = '{"festivals": ["christmas"], "purchases": 4}' WHERE name = 'festival';
SELECT * FROM due('2024-12-25 09:00+08');
SELECT retention.disable_rule('festival'), retention.disable_rule('season_change');

-- Referral: thanks to both the same day, to nobody for himself.
SELECT retention.enable_rule('referral_thanks'), retention.enable_rule('referral_welcome');
SET retention.clock = '2024-07-01 10:00+08';
INSERT INTO orders (id, customer, total, paid_at, referrer)
VALUES
	(41, 'friend', 10, '2024-07-01 10:00+08', 'a'), (42, 'friend', 10, '2024-07-01 11:00+08', 'b'),
	(43, 'self', 10, '2024-07-01 10:00+08', 'self'), (44, 'stranger', 10, '2024-07-01 10:00+08', 'nobody here'),
	(45, 'habit', 10, '2024-07-01 10:00+08', 'a');
SELECT * FROM due('2024-07-01 12:00+08');
SELECT retention.disable_rule('referral_thanks'), retention.disable_rule('referral_welcome');

-- The year's best, chosen once.
SELECT retention.enable_rule('best_customer_visit');
UPDATE retention.care_rules SET parameters = '{"top": 2}' WHERE name = 'best_customer_visit';
SELECT * FROM due('2024-12-31 12:00+08');
SELECT * FROM due('2025-01-14 12:00+08');
UPDATE orders SET refunded = 4999 WHERE id = 31;
SELECT * FROM due('2025-01-15 12:00+08');
SELECT retention.disable_rule('best_customer_visit');

-- Reviews: thanks for good ones, neutral and bad ones to the shopkeeper.
SELECT retention.enable_rule('review_thanks'), retention.enable_rule('bad_review');
INSERT INTO retention.feedback (shop_id, customer_id, kind, reference, source_id, order_id, score, content, happened_at, recorded_at)
VALUES
	(1, 'a', 'review', 'r5', 1, '1', 5, 'good', '2025-02-01 10:00+08', '2025-02-01 10:00+08'),
	(1, 'b', 'review', 'r3', 1, '2', 3, 'so so', '2025-02-01 10:00+08', '2025-02-01 10:00+08'),
	(1, 'b', 'review', 'r1', 1, '2', 1, 'old', '2024-02-01 10:00+08', '2025-02-01 10:00+08'),
	(1, 'b', 'review', 'r', 1, '2', NULL, 'no score', '2025-02-01 10:00+08', '2025-02-01 10:00+08'),
	(1, 'b', 'complaint', 'c', 1, '2', 1, 'not a review', '2025-02-01 10:00+08', '2025-02-01 10:00+08');
SELECT * FROM due('2025-02-01 10:01+08');
SELECT channel, source_id, order_id FROM retention.care_message WHERE rule = 'bad_review';
SELECT retention.disable_rule('review_thanks'), retention.disable_rule('bad_review');

-- A tier about to be lost, where purchases count for a year.
SELECT retention.enable_rule('tier_at_risk');
SELECT * FROM due('2025-01-05 12:00+08');
UPDATE retention.shop SET tier_window = '1 year';
SET retention.clock = '2024-08-01 10:00+08';
INSERT INTO orders (id, customer, total, paid_at)
VALUES (51, 'silver', 900, '2024-02-01 10:00+08'), (52, 'silver', 200, '2024-08-01 10:00+08');
SELECT * FROM due('2024-12-31 12:00+08');
SELECT * FROM due('2025-01-01 12:00+08');
SELECT * FROM retention.render_message(1, 'silver', 'tier_at_risk', 'tier:silver:2024-08-01', NULL, NULL, '2025-01-02 12:00+08');
SELECT retention.disable_rule('tier_at_risk');

-- run() does it too, and a second run adds nothing.
SELECT retention.enable_rule('birthday');
CALL retention.run('2030-05-02 08:00+08');
SELECT customer_id, rule, subject, queued_at FROM retention.care_message WHERE subject = 'birthday:2030';
SELECT retention.care_due('2030-05-02 08:30+08');

-- Leave nothing behind.
RESET search_path;
RESET retention.clock;
SET client_min_messages = error;
DROP SCHEMA care_due CASCADE;
DROP EXTENSION retention CASCADE;
CREATE EXTENSION retention;
