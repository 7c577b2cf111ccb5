-- Campaigns: an audience in two arms, written to in steps.
\set ECHO none
\i test/include/start.sql
SET timezone = 'Asia/Shanghai';
SET retention.clock = '2024-05-01 12:00+08';
INSERT INTO retention.shop (shop_id, name, time_zone, language, marketing_consent) VALUES (1, 'Tea House', 'Asia/Shanghai', 'en', 'opt_out');
INSERT INTO retention.customer (shop_id, customer_id, name, nickname, phone)
SELECT 1, 'c' || to_char(n, 'FM00'), 'Name', 'N' || n, CASE WHEN n <> 7 THEN '138' || n END FROM generate_series(1, 20) AS n;
SELECT retention.define_audience('everybody', 'true');
SELECT retention.define_audience('nobody', 'false');
CREATE VIEW pg_temp.messages AS
	SELECT rule, state, reason, held_until, count(*) FROM retention.care_message GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4;
CREATE FUNCTION pg_temp.take(max integer DEFAULT 100, at timestamptz DEFAULT retention.now(), channel text DEFAULT 'sms') RETURNS TABLE (rule text, customers bigint, sent bigint) LANGUAGE sql AS $$
	SELECT c.rule, count(*), count(*) FILTER (WHERE retention.mark_sent(c.token, at => take.at) = 'sent')
	FROM retention.claim_messages(channel, max, at => take.at) AS c GROUP BY 1 ORDER BY 1 $$;

-- ---------------------------------------------------------------------------
-- Making one; what does not fit is refused
-- ---------------------------------------------------------------------------

SELECT retention.create_campaign('spring', 'everybody', holdout => 0.3, segment_cost => 0.05, cost => 20);
SELECT retention.create_campaign('spring', 'everybody');
SELECT retention.create_campaign(' ', 'everybody');
SELECT retention.create_campaign('summer', 'everyone');
SELECT retention.create_campaign('summer', 'everybody', holdout => 1);
SELECT retention.create_campaign('summer', 'everybody', holdout => 'NaN');
SELECT retention.create_campaign('summer', 'everybody', cost => 'NaN');
SELECT retention.create_campaign('summer', 'everybody', starts_at => '2024-05-02', ends_at => '2024-05-02');
SELECT retention.start_campaign('spring');
SELECT retention.start_campaign('autumn');
SELECT retention.add_campaign_step('spring', text => 'Hi {{nickname}}, {{campaign}} is near');
SELECT retention.add_campaign_step('spring', 'invitation', delay => '3 days', ignores_caps => true);
INSERT INTO retention.care_template VALUES (1, 'invitation', 'en', 'Dear {{nickname}}, come to us.'), (1, 'invitation', 'zh', '{{nickname}}，欢迎光临。');
SELECT retention.add_campaign_step('spring', 'invitation', delay => '3 days', ignores_caps => true);
SELECT retention.add_campaign_step('spring', 'invitation', text => 'Both');
SELECT retention.add_campaign_step('spring');
SELECT retention.add_campaign_step('spring', text => 'Dear {{nick}}');
SELECT retention.add_campaign_step('spring', text => 'Dear', channel => 'pigeon');
SELECT retention.add_campaign_step('spring', text => 'Dear', purpose => 'transactional');
SELECT retention.add_campaign_step('spring', text => 'Dear', delay => '-1 day');
SELECT retention.add_campaign_step('spring', text => ' ');
-- No rule of the shop may pass for a step.
INSERT INTO retention.care_rule (shop_id, name, event) VALUES (1, 'campaign:spring:1', 'paid');

-- ---------------------------------------------------------------------------
-- Arms: by a hash that anybody can compute
-- ---------------------------------------------------------------------------

CREATE FUNCTION pg_temp.place(campaign text, shop integer, customer text) RETURNS numeric LANGUAGE sql AS $$
	SELECT (('x' || left(encode(sha256(convert_to(campaign, 'UTF8') || '\x00'::bytea || convert_to(shop::text, 'UTF8') || '\x00'::bytea || convert_to(customer, 'UTF8')), 'hex'), 16))::bit(64) >> 11)::bigint::numeric / 9007199254740992 $$;
SELECT campaign, shop, customer, retention.holdout_place(campaign, shop, customer), retention.holdout_place(campaign, shop, customer) = pg_temp.place(campaign, shop, customer)::double precision AS as_documented
FROM (VALUES ('spring', 1, 'c01'), ('spring', 2, 'c01'), ('Spring', 1, 'c01'), ('春', 1, '王 小明'), ('', 1, ''), ('a', 11, 'b'), ('a1', 1, 'b')) AS v (campaign, shop, customer);
SELECT retention.campaign_arm('spring', 1, 'c01', 0) AS none, retention.campaign_arm('spring', 1, 'c01', 0.99999999) AS nearly_all, retention.holdout_place('spring', 1, NULL);
-- Evenly spread, also over customers numbered in a row: chi-squared over 20 parts, 19 degrees of freedom, 0.1 % is 43.8.
SELECT round(sum((n - 5000) ^ 2 / 5000.0)) < 43.8 AS even, max(n) FROM (
	SELECT floor(retention.holdout_place('spring', 1, n::text) * 20) AS part, count(*) AS n FROM generate_series(1, 100000) AS n GROUP BY 1) AS parts;
-- The share held out is right within the sampling error of 99.9 %, whatever the campaign.
SELECT holdout, max(abs(held_out - holdout) / sqrt(holdout * (1 - holdout) / 20000)) < 3.29 AS right_share
FROM (
	SELECT h.holdout, c.campaign, avg((retention.campaign_arm(c.campaign, 1, n::text, h.holdout) = 'holdout')::integer) AS held_out
	FROM unnest('{0.05,0.1,0.5}'::numeric[]) AS h (holdout), unnest('{spring,summer,秋,winter}'::text[]) AS c (campaign), generate_series(1, 20000) AS n
	GROUP BY 1, 2) AS shares
GROUP BY 1 ORDER BY 1;
-- Two campaigns hold out different customers: of a tenth in each, a hundredth in both.
SELECT count(*) BETWEEN 130 AND 270 AS independent FROM generate_series(1, 20000) AS n
WHERE retention.campaign_arm('spring', 1, n::text, 0.1) = 'holdout' AND retention.campaign_arm('summer', 1, n::text, 0.1) = 'holdout';

-- ---------------------------------------------------------------------------
-- A preview says whom it would reach, and writes nothing
-- ---------------------------------------------------------------------------

SELECT retention.record_consent('c02', 'sms', 'marketing', false, 'by phone');
SELECT retention.record_feedback('c03', 'review', score => 1, reference => 'r', happened_at => '2024-04-30');
UPDATE retention.customer SET nickname = NULL WHERE customer_id = 'c05';
INSERT INTO retention.care_message (shop_id, customer_id, rule, subject, channel, purpose, priority, state, due_at, expires_at, queued_at, changed_at, counted_at, sent_at)
VALUES (1, 'c08', 'news', '1', 'sms', 'marketing', 1, 'sent', '2024-04-29', '2024-04-30', '2024-04-29', '2024-04-29', '2024-04-29', '2024-04-29');
CREATE TEMP TABLE before AS SELECT pg_temp.recorded() AS recorded;
\x
SELECT * FROM retention.preview_campaign('spring');
SELECT step, due_at, send, put_off, reasons, example_text FROM retention.preview_campaign('spring', at => '2024-05-01 22:00+08');
\x
SELECT * FROM retention.preview_campaign_customers('spring') WHERE outcome <> 'send' ORDER BY 1;
SELECT p.outcome, count(*) FROM retention.preview_campaign_customers('spring', 2) AS p GROUP BY 1 ORDER BY 1;
SELECT retention.preview_campaign_customers('spring', 3);
SELECT recorded = pg_temp.recorded() AS nothing_written FROM before;
SELECT count(*) FROM retention.campaign_member;

-- ---------------------------------------------------------------------------
-- Starting, once; running; what was foreseen happens
-- ---------------------------------------------------------------------------

CREATE TEMP TABLE foreseen AS SELECT * FROM retention.preview_campaign_customers('spring');
SELECT retention.pause_campaign('spring');
SELECT retention.stop_campaign('spring');
SELECT retention.start_campaign('spring'), retention.start_campaign('spring');
SELECT retention.add_campaign_step('spring', text => 'One more');
SELECT arm, count(*) FROM retention.campaign_member GROUP BY 1 ORDER BY 1;
SELECT count(*) AS different FROM foreseen f FULL JOIN retention.campaign_member m USING (customer_id) WHERE f.arm IS DISTINCT FROM m.arm;
SELECT name, state, starts_at FROM retention.campaign;
SELECT rule, subject, channel, purpose, priority, due_at, expires_at, count(*) FROM retention.care_message WHERE rule <> 'news' GROUP BY 1, 2, 3, 4, 5, 6, 7;
-- Who joins the audience later is no member.
INSERT INTO retention.customer (shop_id, customer_id, nickname, phone) VALUES (1, 'late', 'Late', '139');
CALL retention.run();
CALL retention.run();
SELECT * FROM messages;
SELECT * FROM pg_temp.take();
SELECT m.customer_id, m.state, m.reason, f.outcome, f.reason AS foreseen FROM retention.care_message m JOIN foreseen f USING (customer_id)
WHERE rule = 'campaign:spring:1' AND (CASE f.outcome WHEN 'send' THEN 'sent' WHEN 'skip' THEN 'skipped' ELSE 'queued' END, f.reason) IS DISTINCT FROM (m.state, m.reason);
-- Nobody held out was written to.
SELECT count(*) FROM retention.care_message m JOIN retention.campaign_member c USING (shop_id, customer_id) WHERE c.arm = 'holdout' AND m.rule LIKE 'campaign:%';
-- The second step, queued a day ahead, by the template in the shop's language, past the cap.
CALL retention.run('2024-05-03 11:59+08');
SELECT count(*) FROM retention.care_message WHERE rule = 'campaign:spring:2';
CALL retention.run('2024-05-03 12:00+08');
SELECT due_at, count(*) FROM retention.care_message WHERE rule = 'campaign:spring:2' GROUP BY 1;
SELECT * FROM pg_temp.take(1, '2024-05-04 11:59+08');
SELECT customer_id, text FROM retention.claim_messages('sms', 1, '2 hours', 'w', '2024-05-04 12:00+08');

-- ---------------------------------------------------------------------------
-- Paused: not handed out; resumed: due again; stopped: cancelled
-- ---------------------------------------------------------------------------

SET retention.clock = '2024-05-04 13:00+08';
SELECT retention.pause_campaign('spring'), retention.pause_campaign('spring');
SELECT * FROM messages WHERE rule = 'campaign:spring:2';
SELECT * FROM pg_temp.take();
SELECT outcome, explanation, count(*) FROM retention.care_skipped WHERE rule = 'campaign:spring:2' GROUP BY 1, 2;
-- Also what comes back to the queue while it is paused.
SELECT retention.mark_failed(token, 'no route', at => '2024-05-04 13:00+08') FROM retention.care_message WHERE state = 'claimed';
SELECT * FROM pg_temp.take(at => '2024-05-04 13:30+08');
SELECT * FROM messages WHERE rule = 'campaign:spring:2';
SELECT retention.resume_campaign('spring'), retention.resume_campaign('spring');
SELECT * FROM messages WHERE rule = 'campaign:spring:2';
SELECT * FROM pg_temp.take(2);
SELECT count(*) FROM retention.claim_messages('sms', 2, worker => 'w');
SELECT retention.stop_campaign('spring'), retention.stop_campaign('spring');
SELECT state, reason, count(*) FROM retention.care_message WHERE rule = 'campaign:spring:2' GROUP BY 1, 2 ORDER BY 1, 2;
-- A worker is told, and what is queued again by hand does not go.
SELECT DISTINCT retention.extend_lease(token) FROM retention.care_message WHERE worker = 'w' AND state = 'cancelled' AND token IS NOT NULL;
UPDATE retention.care_message SET state = 'queued', reason = NULL, held_until = NULL WHERE rule = 'campaign:spring:2' AND state = 'cancelled';
SELECT * FROM pg_temp.take();
SELECT state, reason FROM retention.care_message WHERE rule = 'campaign:spring:2' AND state = 'skipped' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT retention.start_campaign('spring');
SELECT retention.resume_campaign('spring');
SELECT name, state, stopped_at FROM retention.campaign;

-- ---------------------------------------------------------------------------
-- Ends: of the campaign, of what is worth sending; empty audiences
-- ---------------------------------------------------------------------------

SET retention.clock = '2024-06-01 12:00+08';
SELECT retention.create_campaign('june', 'everybody', 0, starts_at => '2024-06-03 09:00+08', ends_at => '2024-06-05 09:00+08');
SELECT retention.add_campaign_step('june', text => 'Hello', channel => 'email'), retention.add_campaign_step('june', text => 'Bye', delay => '2 days');
SELECT retention.start_campaign('june');
SELECT retention.delete_campaign('june');
SELECT retention.create_campaign('june', 'everybody', 0, starts_at => '2024-06-03 09:00+08', ends_at => '2024-06-05 09:00+08');
SELECT retention.add_campaign_step('june', text => 'Hello', validity => '1 day'), retention.add_campaign_step('june', text => 'Bye', delay => '1 day 12 hours');
SELECT retention.start_campaign('june');
SELECT retention.delete_campaign('june');
SELECT count(*) FROM retention.care_message WHERE rule LIKE 'campaign:june:%';
-- No run for three days: the first step is past, the second goes, until the end.
CALL retention.run('2024-06-04 10:00+08');
SELECT rule, due_at, expires_at, count(*) FROM retention.care_message WHERE rule LIKE 'campaign:june:%' GROUP BY 1, 2, 3;
CALL retention.run('2024-06-05 09:00+08');
SELECT rule, state, reason, count(*) FROM retention.care_message WHERE rule LIKE 'campaign:june:%' GROUP BY 1, 2, 3;
SELECT name, state, stopped_at FROM retention.campaign WHERE name = 'june';
SELECT retention.create_campaign('none', 'nobody');
SELECT retention.add_campaign_step('none', text => 'Hello');
SELECT retention.start_campaign('none');
SELECT customers, held_out, send, example_text FROM retention.preview_campaign('none');

-- An audience in Chinese, a task for people.
SELECT retention.create_campaign('calls', '久未来访');
SELECT retention.define_audience('two', $$customer_id IN ('c01', 'c04')$$);
SELECT retention.delete_campaign('calls'), retention.create_campaign('calls', 'two', 0);
SELECT retention.add_campaign_step('calls', text => 'Invite {{nickname}} to tea', channel => 'call', purpose => 'care');
SELECT retention.start_campaign('calls');
SELECT customer_id, rule, text FROM retention.claim_messages('call', worker => 'mei') ORDER BY 1;

-- An e-mail with a subject line.
UPDATE retention.customer SET email = customer_id || '@example.com' WHERE customer_id IN ('c01', 'c04');
SELECT retention.create_campaign('mail', 'two', 0), retention.add_campaign_step('mail', text => 'Come to tea', subject_line => 'Tea, {{nickname}}?', channel => 'email', purpose => 'care');
SELECT retention.add_campaign_step('mail', 'invitation', subject_line => 'Tea?', channel => 'email');
SELECT example_subject_line, example_text FROM retention.preview_campaign('mail');
SELECT retention.start_campaign('mail');
SELECT customer_id, recipient, subject_line, text FROM retention.claim_messages('email') ORDER BY 1;

-- Two shops may use one name: members, arms, messages and texts are each shop's.
INSERT INTO retention.shop (shop_id, name, time_zone, language, marketing_consent) VALUES (2, 'Cup Shop', 'UTC', 'en', 'opt_out');
INSERT INTO retention.customer (shop_id, customer_id, name, phone) SELECT 2, 'c' || to_char(n, 'FM00'), 'Name', '138' FROM generate_series(1, 20) AS n;
SELECT retention.create_campaign('calls', 'responsive', 0.5);
SELECT retention.create_campaign('calls', 'responsive', 0.5, shop => 'Cup Shop'), retention.add_campaign_step('calls', text => 'From {{shop}}', shop => 'Cup Shop');
SELECT retention.start_campaign('calls', 'Cup Shop');
SELECT shop_name, min(text) AS text, count(*), count(*) FILTER (WHERE retention.campaign_arm('calls', 2, customer_id, 0.5) = 'treated') AS treated
FROM retention.claim_messages('sms', at => '2024-06-02 20:00+08') GROUP BY 1;
SELECT retention.stop_campaign('calls', 'Cup Shop');
SELECT shop_id, name, state FROM retention.campaign WHERE name = 'calls' ORDER BY 1;
SELECT retention.delete_campaign('calls', 'Cup Shop');
DELETE FROM retention.care_message WHERE shop_id = 2;
DELETE FROM retention.shop WHERE shop_id = 2;

-- Messages of a campaign stay as long as it does.
SELECT retention.purge_messages('2030-01-01', '2030-01-01');
SELECT DISTINCT rule FROM retention.care_message WHERE rule LIKE '%spring%' ORDER BY 1;
SELECT retention.delete_campaign('spring');
SELECT retention.purge_messages('2030-01-01', '2030-01-01');
SELECT DISTINCT rule FROM retention.care_message ORDER BY 1;
SELECT campaign, count(*) FROM retention.campaign_member GROUP BY 1 ORDER BY 1;
-- A shop that has campaigns is in use.
DELETE FROM retention.audience;
DELETE FROM retention.care_template;
DELETE FROM retention.shop;

\set ECHO none
\i test/include/stop.sql
