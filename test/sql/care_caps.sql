-- Frequency caps: put off, not lost; priority decides.
SET timezone = 'Asia/Shanghai';
SET retention.clock = '2024-05-01 12:00+08';
INSERT INTO retention.shop (shop_id, name, time_zone, marketing_consent, suppress_unanswered) VALUES (1, 'Tea House', 'Asia/Shanghai', 'opt_out', 3);
INSERT INTO retention.care_template (shop_id, name, language, text) VALUES (1, 'greeting', 'zh', '你好 {{customer.name|亲}}');
INSERT INTO retention.care_rule (shop_id, name, event, channel, purpose, priority)
VALUES (1, 'news', 'season', 'sms', 'marketing', 10), (1, 'sale', 'festival', 'sms', 'marketing', 30),
	(1, 'mail', 'season', 'email', 'marketing', 10), (1, 'hello', 'birthday', 'sms', 'care', 20), (1, 'shipped', 'shipped', 'sms', 'transactional', 60);

UPDATE retention.care_rule SET template = 'greeting';
CREATE SCHEMA care_caps_test;
SET search_path = care_caps_test, public;
CREATE FUNCTION queue(rule text, customer text, subject text DEFAULT 'once', due timestamptz DEFAULT retention.now(), valid interval DEFAULT '30 days') RETURNS void LANGUAGE sql AS $$
	INSERT INTO retention.care_message (shop_id, customer_id, rule, subject, channel, purpose, priority, due_at, expires_at, queued_at, changed_at)
	SELECT 1, customer, r.name, subject, r.channel, r.purpose, r.priority, due, due + valid, due, due FROM retention.care_rule r WHERE r.name = rule $$;
-- Claims and sends all there is at a moment.
CREATE FUNCTION send(at timestamptz, channel text DEFAULT 'sms') RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE m record;
BEGIN
	FOR m IN SELECT c.*, retention.mark_sent(c.token, at => send.at) AS outcome FROM retention.claim_messages(channel, 100, at => send.at) c LOOP
		RETURN NEXT format('%s %s %s: %s', m.rule, m.customer_id, m.subject, m.outcome);
	END LOOP;
END $$;

-- One marketing message in 7 days, of any channel; the more important first.
-- Care and transactional messages are not marketing.
SELECT queue('news', 'ann'), queue('sale', 'ann'), queue('news', 'bob', 'a'), queue('news', 'bob', 'b', retention.now() - interval '1 minute'), queue('hello', 'ann'), queue('shipped', 'ann'), queue('mail', 'ann');
SELECT send('2024-05-01 12:00+08');
SELECT send('2024-05-01 12:00+08', 'email') AS no_email;
SELECT customer_id, rule, subject, outcome, reason, until FROM retention.care_skipped ORDER BY customer_id, rule;
SELECT send('2024-05-08 11:59:59+08') AS too_early;
SELECT send('2024-05-08 12:00+08');
SELECT customer_id, rule, subject, until FROM retention.care_skipped ORDER BY customer_id, rule;
SELECT send('2024-05-15 12:00+08', 'email');

-- What failed or was given back was not received: it does not count.
SELECT queue('news', 'cat', 'a', '2024-06-01 12:00+08'), queue('news', 'cat', 'b', '2024-06-01 12:01+08');
SELECT subject, retention.mark_failed(token, 'x', true, '2024-06-01 12:00+08') FROM retention.claim_messages('sms', 1, at => '2024-06-01 12:00+08');
SELECT send('2024-06-01 12:01+08');
-- What a worker holds counts: it may have been sent.
SELECT queue('news', 'dan', 'a', '2024-06-01 12:00+08'), queue('news', 'dan', 'b', '2024-06-01 12:00+08');
SELECT count(*) FROM retention.claim_messages('sms', 1, at => '2024-06-01 12:02+08');
SELECT count(*) FROM retention.claim_messages('sms', 1, at => '2024-06-01 12:02+08');
-- A message whose worker died does not stand in its own way.
SELECT subject, attempt FROM retention.claim_messages('sms', 100, at => '2024-06-01 13:00+08');
-- Nor does a message outlive its own validity.
SELECT queue('news', 'eve', 'a', '2024-06-01 12:00+08'), queue('news', 'eve', 'b', '2024-06-01 12:00+08', '3 days');
SELECT send('2024-06-01 12:03+08');
SELECT send('2024-06-04 12:00+08');
SELECT explanation FROM retention.care_skipped WHERE customer_id = 'eve';

-- Further caps, by purpose and channel: two texts of any kind a day.
DELETE FROM retention.care_message;
INSERT INTO retention.care_cap (shop_id, purpose, channel, period, messages) VALUES (1, 'any', 'sms', '1 day', 2);
SELECT queue('shipped', 'fay', n::text, '2024-07-01 12:00+08') FROM generate_series(1, 3) AS n;
SELECT queue('hello', 'fay', 'x', '2024-07-01 12:00+08'), queue('mail', 'fay', 'x', '2024-07-01 12:00+08');
SELECT send('2024-07-01 12:00+08');
SELECT send('2024-07-01 12:00+08', 'email');
SELECT rule, subject, until FROM retention.care_skipped WHERE customer_id = 'fay' ORDER BY rule, subject;
SELECT send('2024-07-02 12:00+08');
DELETE FROM retention.care_cap;

-- A rule may ignore the caps, and may not count towards them.
UPDATE retention.care_rule SET ignores_caps = true WHERE name = 'sale';
UPDATE retention.care_rule SET counts_towards_caps = false WHERE name = 'mail';
SELECT queue('news', 'gus', 'a', '2024-08-01 12:00+08'), queue('sale', 'gus', n::text, '2024-08-02 12:00+08'), queue('mail', 'hal', n::text, '2024-08-01 12:00+08') FROM generate_series(1, 2) AS n WHERE n = 1;
SELECT queue('sale', 'gus', '2', '2024-08-02 12:00+08'), queue('mail', 'hal', '2', '2024-08-02 12:00+08'), queue('news', 'hal', 'a', '2024-08-02 12:00+08');
SELECT send('2024-08-01 12:00+08'), send('2024-08-01 12:00+08', 'email');
SELECT send('2024-08-02 12:00+08');
SELECT send('2024-08-02 12:00+08', 'email');

-- Suppression: who answered none of the last three marketing messages gets no
-- more, until they buy; who left a bad review gets none for a time.
DELETE FROM retention.care_message;
UPDATE retention.shop SET marketing_cap_days = NULL;
SELECT queue('news', c, n::text, timestamptz '2024-09-01 12:00+08' + n * interval '1 day', '1 hour') FROM generate_series(1, 4) AS n, unnest('{ida,jim,kim}'::text[]) AS c;
SELECT send('2024-09-02 12:00+08');
SELECT count(*) FROM send('2024-09-03 12:00+08') UNION ALL SELECT count(*) FROM send('2024-09-04 12:00+08');
UPDATE retention.care_message SET responded_at = sent_at, response = 'click' WHERE customer_id = 'jim' AND subject = '2';
INSERT INTO retention.customer_stats (shop_id, customer_id, last_purchase_at) VALUES (1, 'kim', '2024-09-03 15:00+08');
SELECT send('2024-09-05 12:00+08');
SELECT customer_id, subject, reason, explanation FROM retention.care_skipped;
INSERT INTO retention.feedback (shop_id, customer_id, kind, reference, score, happened_at, recorded_at)
VALUES (1, 'lea', 'review', '1', 1, '2024-09-01', '2024-09-01'), (1, 'max', 'review', '2', 5, '2024-09-01', '2024-09-01'), (1, 'ned', 'review', '3', 1, '2024-01-01', '2024-01-01');
SELECT queue('news', c, 'x', '2024-09-06 12:00+08'), queue('hello', c, 'x', '2024-09-06 12:00+08') FROM unnest('{lea,max,ned}'::text[]) AS c;
SELECT send('2024-09-06 12:00+08');
SELECT customer_id, explanation FROM retention.care_skipped WHERE customer_id = 'lea';

-- Who is beyond recall by the forecast gets no marketing, where the shop says
-- so; but for those who have bought since it was made, or have none.
DELETE FROM retention.care_message;
INSERT INTO retention.forecast (shop_id, forecast_at) VALUES (1, '2024-09-10 00:00+08');
INSERT INTO retention.customer_forecast (shop_id, customer_id, p_alive, expected_purchases)
VALUES (1, 'oda', 0.09, 0.1), (1, 'pia', 0.1, 0.1), (1, 'quy', 0.01, 0), (1, 'roy', 0.01, 0);
INSERT INTO retention.customer_stats (shop_id, customer_id, last_purchase_at)
VALUES (1, 'oda', '2023-09-10 12:00+08'), (1, 'pia', '2023-09-10 12:00+08'), (1, 'quy', '2024-09-10 12:00+08');
SELECT queue('news', c, 'off', '2024-09-10 13:00+08') FROM unnest('{oda,roy}'::text[]) AS c;
SELECT send('2024-09-10 13:00+08') AS off_by_default;
UPDATE retention.shop SET suppress_p_alive = 0.1;
SELECT queue('news', c, 'x', '2024-09-11 12:00+08'), queue('hello', c, 'x', '2024-09-11 12:00+08') FROM unnest('{oda,pia,quy,roy,sue}'::text[]) AS c;
SELECT send('2024-09-11 12:00+08');
SELECT customer_id, rule, reason, explanation FROM retention.care_skipped ORDER BY customer_id;
\set VERBOSITY terse
UPDATE retention.shop SET suppress_p_alive = 0;
\set VERBOSITY default
UPDATE retention.shop SET suppress_p_alive = NULL;
DELETE FROM retention.customer_forecast;
DELETE FROM retention.forecast;

-- However often one claims, no customer is written to twice within the cap.
DELETE FROM retention.care_message;
UPDATE retention.shop SET marketing_cap_days = 7, suppress_unanswered = NULL;
SELECT count(*) FROM generate_series(1, 20) AS c, generate_series(1, 10) AS s, unnest('{news,sale,mail}'::text[]) AS r,
	LATERAL queue(r, 'c' || c, s::text, timestamptz '2024-10-01 00:00+08' + c * s * interval '7 hours', '40 days');
UPDATE retention.care_rule SET ignores_caps = false, counts_towards_caps = true;
DO $$ BEGIN
	FOR hours IN 0..1800 BY 9 LOOP
		PERFORM send(timestamptz '2024-10-01 00:00+08' + hours * interval '1 hour', CASE WHEN hours % 2 = 0 THEN 'sms' ELSE 'email' END);
	END LOOP;
END $$;
SELECT min(gap) >= interval '7 days' AS capped, bool_and(sent_at::time >= '08:00' AND sent_at::time < '21:00') AS not_at_night, count(*) > 100 AS many
FROM (SELECT sent_at, sent_at - lag(sent_at) OVER (PARTITION BY customer_id ORDER BY sent_at) AS gap FROM retention.care_message WHERE state = 'sent') AS sent;
SELECT count(*) AS lost FROM retention.care_message WHERE state NOT IN ('sent', 'queued') AND (state <> 'skipped' OR reason IS NULL);

SET client_min_messages = warning;
DROP SCHEMA care_caps_test CASCADE;
RESET client_min_messages;
DELETE FROM retention.feedback;
DELETE FROM retention.care_message;
DELETE FROM retention.care_contact;
DELETE FROM retention.customer_stats;
DELETE FROM retention.care_rule;
DELETE FROM retention.care_template;
DELETE FROM retention.shop;
RESET search_path;
RESET retention.clock;
RESET timezone;
