-- Consent: by channel and purpose, when and how; a refusal takes effect at once.
SET timezone = 'Asia/Shanghai';
SET retention.clock = '2024-05-01 12:00+08';
INSERT INTO retention.shop (shop_id, name, time_zone, marketing_cap_days) VALUES (1, 'Tea House', 'Asia/Shanghai', NULL);
INSERT INTO retention.care_template (shop_id, name, language, text) VALUES (1, 'greeting', 'zh', '你好');
INSERT INTO retention.care_rule (shop_id, name, event, channel, purpose, template)
VALUES (1, 'news', 'season', 'sms', 'marketing', 'greeting'), (1, 'hello', 'birthday', 'sms', 'care', 'greeting'),
	(1, 'shipped', 'shipped', 'sms', 'transactional', 'greeting'), (1, 'mail', 'season', 'email', 'marketing', 'greeting'), (1, 'ring', 'birthday', 'call', 'care', NULL);
CREATE SCHEMA care_consent_test;
SET search_path = care_consent_test, public;
CREATE FUNCTION queue(customer text, rules text[] DEFAULT '{news,hello,shipped,mail}', subject text DEFAULT 'once') RETURNS void LANGUAGE sql AS $$
	INSERT INTO retention.care_message (shop_id, customer_id, rule, subject, channel, purpose, priority, due_at, expires_at, queued_at, changed_at)
	SELECT 1, customer, r.name, subject, r.channel, r.purpose, r.priority, retention.now(), retention.now() + interval '5 days', retention.now(), retention.now() FROM retention.care_rule r WHERE r.name = ANY (rules) $$;
CREATE FUNCTION take(at timestamptz DEFAULT retention.now()) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT format('%s %s', c.rule, c.customer_id) FROM unnest('{sms,email,call}'::text[]) AS channel, LATERAL retention.claim_messages(channel, 100, at => at) AS c ORDER BY 1 $$;

-- Marketing asks for consent unless the shop says otherwise.
SELECT queue('ann'), queue('bob');
SELECT retention.record_consent('bob', 'sms', 'marketing', true, 'at the counter');
SELECT take();
SELECT customer_id, rule, explanation FROM retention.care_skipped ORDER BY 1, 2;
SELECT channel, purpose, granted, decided_at, how FROM retention.customer_consent;
UPDATE retention.shop SET marketing_consent = 'opt_out';
SELECT queue('cat');
SELECT take();

-- A refusal takes back what waits and what a worker has in hand.
SELECT queue('dan'), queue('eve');
CREATE TABLE hand AS SELECT customer_id, rule, token FROM retention.claim_messages('sms', 100) WHERE customer_id = 'dan';
SELECT retention.record_consent('dan', 'sms', 'marketing', false, 'replied STOP'), retention.record_consent('eve', NULL, NULL, false, 'wrote a letter');
SELECT rule, retention.extend_lease(token) AS may_send, retention.mark_sent(token) FROM hand ORDER BY rule;
SELECT customer_id, rule, state, reason FROM retention.care_message WHERE customer_id IN ('dan', 'eve') ORDER BY 1, 2;
SELECT count(*), bool_or(granted) AS any_granted FROM retention.customer_consent WHERE customer_id = 'eve';

-- So does one that the shop's own table of customers records, by whatever
-- statement, and only for what is refused.
CREATE TABLE people (id text PRIMARY KEY, accepts_sms boolean, accepts_care boolean);
SET client_min_messages = warning;
SELECT retention.attach_customers('people', 'id', consents => $$jsonb_build_object('sms', accepts_sms, 'sms.care', accepts_care)$$);
RESET client_min_messages;
INSERT INTO people VALUES ('pam', true, true), ('pat', true, true), ('pip', true, true);
SELECT queue('pam'), queue('pat'), queue('pip');
DELETE FROM hand;
INSERT INTO hand SELECT customer_id, rule, token FROM retention.claim_messages('sms', 2) WHERE customer_id IN ('pam', 'pat', 'pip');
SELECT count(*) AS in_hand FROM hand;
UPDATE people SET accepts_sms = false, accepts_care = id <> 'pat' WHERE id <> 'pip';
SELECT customer_id, rule, state, reason FROM retention.care_message WHERE customer_id IN ('pam', 'pat', 'pip') ORDER BY state = 'claimed', 1, 2;
-- Saying it again, or agreeing again, brings nothing back and takes nothing more.
UPDATE people SET accepts_sms = true WHERE id = 'pam';
SELECT rule, state FROM retention.care_message WHERE customer_id = 'pam' ORDER BY rule;
SELECT retention.detach('care_consent_test.people');
DELETE FROM retention.care_message WHERE customer_id IN ('pam', 'pat', 'pip');

-- The last decision counts, whatever the order they arrive in; on a tie the refusal.
SELECT retention.record_consent('fay', 'sms', 'care', false, at => '2024-04-01'), retention.record_consent('fay', 'sms', 'care', true, at => '2024-03-01');
SELECT granted, decided_at FROM retention.customer_consent WHERE customer_id = 'fay';
SELECT retention.record_consent('fay', 'sms', 'care', true, at => '2024-04-01');
SELECT granted FROM retention.customer_consent WHERE customer_id = 'fay';
SELECT retention.record_consent('fay', 'sms', 'care', true, 'came back', '2024-04-02');
SELECT granted, how FROM retention.customer_consent WHERE customer_id = 'fay';

-- A refusal written into the table by other means counts when claiming.
SELECT queue('gus', '{hello,news}');
INSERT INTO retention.customer_consent (shop_id, customer_id, channel, purpose, granted) VALUES (1, 'gus', 'sms', 'care', false);
SELECT take();

-- Unsubscribing refuses the purpose and what is less than it.
SELECT queue('hal', '{hello,news,shipped,mail}');
SELECT take() AS first;
SELECT retention.record_response(token, 'unsubscribe', '2024-05-01 12:05+08') FROM retention.care_message WHERE customer_id = 'hal' AND rule = 'hello';
SELECT channel, purpose, granted, how FROM retention.customer_consent WHERE customer_id = 'hal' ORDER BY 1, 2;
SELECT queue('hal', subject => 'again');
SELECT t AS second FROM take('2024-05-01 12:03+08') AS t WHERE t LIKE '%hal';

-- Customers numbered otherwise; what cannot be meant.
SELECT retention.record_consent(42, 'sms', 'care', true);
SELECT customer_id FROM retention.customer_consent WHERE customer_id = '42';
SELECT retention.record_consent('ida', 'fax', 'care', true);
SELECT retention.record_consent('ida', 'sms', 'fun', true);
SELECT retention.record_consent('ida', 'sms', 'care', NULL);

-- Call tasks: staff claim them, they stay theirs, and the outcome is kept.
SELECT queue('jim', '{ring}'), queue('kim', '{ring}'), queue('lea', '{ring}');
SELECT retention.assign_task('kim', 'ring', 'once', 'anna');
DELETE FROM hand;
INSERT INTO hand SELECT customer_id, 'bert', token FROM retention.claim_messages('call', 1, '1 day', 'bert');
INSERT INTO hand SELECT customer_id, 'anna', token FROM retention.claim_messages('call', 10, '1 day', 'anna');
SELECT rule AS staff, customer_id FROM hand ORDER BY 1, 2;
SELECT retention.record_call((SELECT token FROM hand WHERE rule = 'bert'), 'reached', 'asks for a sample', '2024-05-03 15:00+08');
SELECT retention.record_call(token, 'no_answer') FROM hand WHERE customer_id = 'kim';
SELECT retention.record_call(token, 'refused', 'no calls please') FROM hand WHERE customer_id = 'lea';
SELECT customer_id, assignee, in_hand, next_at, last_outcome, last_note FROM retention.care_tasks ORDER BY 1;
SELECT count(*) AS others FROM retention.claim_messages('call', 10, at => '2024-05-03 15:00+08', worker => 'cora');
SELECT customer_id, retention.record_call(token, 'reached', at => '2024-05-03 15:10+08') FROM retention.claim_messages('call', 10, at => '2024-05-03 15:00+08', worker => 'bert');
SELECT customer_id, call_no, staff, outcome, note, next_call_at FROM retention.care_call ORDER BY 1, 2;
SELECT * FROM retention.staff_followups ORDER BY staff;
SELECT granted, how FROM retention.customer_consent WHERE customer_id = 'lea' AND channel = 'call' AND purpose = 'care';
SELECT retention.record_call((SELECT token FROM hand WHERE customer_id = 'lea'), 'reached') AS used_token;
SELECT retention.record_call((SELECT token FROM hand WHERE customer_id = 'kim'), 'asleep');

SET client_min_messages = warning;
DROP SCHEMA care_consent_test CASCADE;
RESET client_min_messages;
DELETE FROM retention.care_call;
DELETE FROM retention.customer_consent;
DELETE FROM retention.care_message;
DELETE FROM retention.care_rule;
DELETE FROM retention.care_template;
DELETE FROM retention.source;
DELETE FROM retention.customer;
DELETE FROM retention.customer_stats;
DELETE FROM retention.shop;
RESET search_path;
RESET retention.clock;
RESET timezone;
