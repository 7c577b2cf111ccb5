-- Real orders, half a year of messages, a worker that looks every three hours:
-- what went out and when, against plain SQL.
SET timezone = 'Europe/Berlin';
SET retention.clock = '1997-01-01 00:00+01';
CREATE SCHEMA real_care_queue;
SET search_path = real_care_queue, public;
CREATE TABLE cdnow (
	transaction_id integer, customer_id integer, bought_on date, quantity integer, amount numeric, sample_id integer
);
\copy cdnow FROM PROGRAM 'zcat "$RETENTION_DATA"/cdnow.csv.gz' WITH (FORMAT csv, HEADER)
INSERT INTO retention.shop (shop_id, name, time_zone, marketing_consent, suppress_unanswered) VALUES (1, 'CD shop', 'Europe/Berlin', 'opt_out', NULL);
INSERT INTO retention.care_template (shop_id, name, language, text) VALUES (1, 'greeting', 'en', 'Hello {{nickname|dear}}'), (1, 'greeting', 'zh', '你好');
INSERT INTO retention.care_rule (shop_id, name, event, channel, purpose, priority, template)
VALUES (1, 'thanks', 'last_purchase', 'sms', 'care', 30, 'greeting'), (1, 'news', 'season', 'sms', 'marketing', 10, 'greeting'), (1, 'mail', 'season', 'email', 'marketing', 20, 'greeting');

-- One customer in thirty: thanks 15 days after each order, news by SMS and by mail each week.
INSERT INTO retention.care_message (shop_id, customer_id, rule, subject, channel, purpose, priority, due_at, expires_at, queued_at, changed_at)
SELECT DISTINCT 1, customer_id, 'thanks', bought_on, 'sms', 'care', 30, due, due + interval '5 days', due, due
FROM cdnow, LATERAL (SELECT (bought_on + 15) + customer_id % 24 * interval '1 hour' AS due) AS d
WHERE customer_id % 30 = 0 AND bought_on < '1997-05-15';
INSERT INTO retention.care_message (shop_id, customer_id, rule, subject, channel, purpose, priority, due_at, expires_at, queued_at, changed_at)
SELECT 1, customer_id, r.name, week, r.channel, r.purpose, r.priority, due, due + interval '10 days', due, due
FROM (SELECT customer_id, min(bought_on) AS first FROM cdnow WHERE customer_id % 30 = 0 GROUP BY customer_id) AS c, retention.care_rule r,
	generate_series(1, 6) AS week, LATERAL (SELECT first + week * interval '1 week' + customer_id % 24 * interval '1 hour' AS due) AS d
WHERE r.purpose = 'marketing';
SELECT rule, count(*) FROM retention.care_message GROUP BY rule ORDER BY rule;

-- Every seventh customer refuses texts at some moment.
CREATE TABLE refusal AS SELECT customer_id, '1997-02-01'::timestamptz + customer_id % 90 * interval '25 hours' AS at FROM cdnow WHERE customer_id % 210 = 0 GROUP BY customer_id;
DO $$
DECLARE
	look timestamptz := '1997-01-01 00:00';
BEGIN
	WHILE look < '1997-06-20' LOOP
		PERFORM retention.record_consent(r.customer_id, 'sms', NULL, false, at => r.at)
		FROM refusal r WHERE r.at > look - interval '3 hours' AND r.at <= look;
		PERFORM retention.mark_sent(c.token, at => look)
		FROM unnest('{sms,email}'::text[]) AS channel, LATERAL retention.claim_messages(channel, 10000, at => look) AS c;
		COMMIT;
		look := look + interval '3 hours';
	END LOOP;
END $$;

-- Never two in a week, never at night, never after a refusal; nothing without an end.
CREATE VIEW sent AS SELECT *, sent_at - lag(sent_at) OVER (PARTITION BY customer_id, purpose ORDER BY sent_at) AS gap FROM retention.care_message WHERE state = 'sent';
SELECT count(*) FILTER (WHERE purpose = 'marketing' AND gap < interval '7 days') AS above_the_cap,
	count(*) FILTER (WHERE sent_at::time < '08:00' OR sent_at::time >= '21:00') AS at_night,
	count(*) FILTER (WHERE channel = 'sms' AND EXISTS (SELECT FROM refusal r WHERE r.customer_id::text = s.customer_id AND r.at <= s.sent_at)) AS after_a_refusal,
	count(*) FILTER (WHERE sent_at < due_at OR sent_at >= expires_at) AS out_of_time
FROM sent s;
SELECT count(*) AS without_an_end FROM retention.care_message WHERE state IN ('queued', 'claimed') OR (state <> 'sent' AND reason IS NULL);

-- Thanks have no cap: each went at the worker's first look after it fell due
-- that was not at night, unless the customer had refused by then.
CREATE TABLE looks AS SELECT at FROM generate_series(timestamptz '1997-01-01 00:00', '1997-06-20', '3 hours') AS at WHERE at::time >= '08:00' AND at::time < '21:00';
SELECT count(*) FILTER (WHERE m.state = 'sent') AS sent, count(*) FILTER (WHERE m.state = 'skipped') AS skipped,
	count(*) FILTER (WHERE m.sent_at IS DISTINCT FROM CASE WHEN r.at IS NULL OR r.at > l.at THEN l.at END) AS differently
FROM retention.care_message m
CROSS JOIN LATERAL (SELECT at FROM looks WHERE looks.at >= m.due_at ORDER BY at LIMIT 1) AS l
LEFT JOIN refusal r ON r.customer_id::text = m.customer_id
WHERE m.rule = 'thanks';

-- News and mail share the cap, and the worker asks for texts first.
SELECT rule, state, reason, count(*) FROM retention.care_message WHERE purpose = 'marketing' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT rule, sum(sent) AS sent, sum(skipped) AS skipped FROM retention.care_effect GROUP BY rule ORDER BY rule;

SET client_min_messages = warning;
DROP SCHEMA real_care_queue CASCADE;
RESET client_min_messages;
DELETE FROM retention.customer_consent;
DELETE FROM retention.care_message;
DELETE FROM retention.care_contact;
DELETE FROM retention.care_rule;
DELETE FROM retention.care_template;
DELETE FROM retention.shop;
RESET search_path;
RESET retention.clock;
RESET timezone;
