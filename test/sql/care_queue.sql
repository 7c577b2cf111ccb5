-- claim_messages() and what workers say afterwards.
SET timezone = 'Asia/Shanghai';
SET retention.clock = '2024-05-01 12:00+08';
INSERT INTO retention.shop (shop_id, name, time_zone, marketing_consent) VALUES (1, 'Tea House', 'Asia/Shanghai', 'opt_out');
INSERT INTO retention.care_template (shop_id, name, language, text) VALUES (1, 'greeting', 'zh', '你好 {{customer.name|亲}}');
INSERT INTO retention.care_rule (shop_id, name, event, channel, purpose, priority)
VALUES (1, 'hello', 'birthday', 'sms', 'transactional', 50), (1, 'urgent', 'birthday', 'sms', 'transactional', 90),
	(1, 'late', 'unpaid', 'sms', 'transactional', 60);

UPDATE retention.care_rule SET template = 'greeting';
CREATE SCHEMA care_queue_test;
SET search_path = care_queue_test, public;
CREATE FUNCTION queue(rule text, customer text, due timestamptz DEFAULT retention.now(), valid interval DEFAULT '1 day', channel text DEFAULT 'sms')
RETURNS void LANGUAGE sql AS $$
	INSERT INTO retention.care_message (shop_id, customer_id, rule, subject, channel, purpose, priority, due_at, expires_at, queued_at, changed_at)
	SELECT 1, customer, r.name, 'once', channel, r.purpose, r.priority, due, due + valid, due, due
	FROM retention.care_rule r WHERE r.name = rule $$;
-- Tokens are random: the tests keep them by name.
CREATE TABLE hand (name text PRIMARY KEY, token uuid, message_id uuid);
CREATE FUNCTION take(worker text, max integer DEFAULT 100, at timestamptz DEFAULT retention.now())
RETURNS TABLE (rule text, customer text, recipient text, due timestamptz, attempt integer) LANGUAGE sql AS $$
	WITH claimed AS (SELECT * FROM retention.claim_messages('sms', max, '5 minutes', worker, at)),
	kept AS (INSERT INTO hand SELECT worker || ' ' || c.rule || ' ' || c.customer_id, c.token, c.message_id FROM claimed c ON CONFLICT (name) DO UPDATE SET token = EXCLUDED.token, message_id = EXCLUDED.message_id)
	SELECT c.rule, c.customer_id, c.recipient, c.due_at, c.attempt FROM claimed c $$;
CREATE FUNCTION token(name text) RETURNS uuid LANGUAGE sql AS 'SELECT token FROM hand WHERE hand.name = token.name';
CREATE VIEW messages AS SELECT rule, customer_id AS customer, state, reason, held_until, attempts, worker, sent_at, provider_id, last_error
	FROM retention.care_message ORDER BY rule, customer_id;

-- What is due, the highest priority first, then the oldest; not what lies ahead.
SELECT queue('hello', 'ann', retention.now() - interval '1 hour'), queue('hello', 'bob', retention.now() - interval '2 hours'),
	queue('hello', 'cat', retention.now() + interval '1 second'), queue('urgent', 'ann');
SELECT * FROM take('w1', 2);
SELECT * FROM take('w2');
SELECT * FROM take('w3');
SELECT * FROM messages;

-- A worker says what became of them; saying it twice changes nothing.
SELECT retention.mark_sent(token('w1 urgent ann'), 'p-1', '2024-05-01 12:01+08') AS sent,
	retention.mark_sent(token('w1 urgent ann'), 'p-1', '2024-05-01 12:02+08') AS again;
SELECT retention.mark_failed(token('w1 hello bob'), 'no route', at => '2024-05-01 12:01+08') AS failed,
	retention.mark_sent(token('w1 hello bob')) AS with_a_used_token, retention.mark_failed(token('w1 urgent ann'), 'x') AS already_sent,
	retention.mark_sent('00000000-0000-0000-0000-000000000000') AS unknown;
SELECT rule, customer, state, reason, attempts, sent_at, provider_id, last_error,
	held_until BETWEEN '2024-05-01 12:01:15+08' AND '2024-05-01 12:01:45+08' AS about_30_seconds
FROM messages WHERE customer <> 'cat';

-- Leases: extended, run out, taken over; the late worker is refused, and the
-- message keeps its own id over the attempts.
SELECT retention.extend_lease(token('w2 hello ann'), '10 minutes') AS kept;
SELECT * FROM take('w4', at => '2024-05-01 12:06+08') WHERE customer = 'ann';
SELECT * FROM take('w4', at => '2024-05-01 12:10+08');
SELECT retention.extend_lease(token('w2 hello ann')) AS extended, retention.mark_sent(token('w2 hello ann')) AS late,
	retention.release_message(token('w2 hello ann')) AS released;
SELECT count(DISTINCT message_id) AS ids, count(DISTINCT token) AS tokens FROM hand WHERE name LIKE '% hello ann';
-- Late, but nobody else has it: it was sent, and that is recorded.
SELECT retention.mark_sent(token('w4 hello ann'), at => '2024-05-01 13:00+08');

-- A released message is due at once and the attempt does not count.
SELECT * FROM take('w5', at => '2024-05-01 12:10+08');
SELECT retention.release_message(token('w4 hello cat')), retention.release_message(token('w4 hello bob'));
SELECT * FROM take('w5', 1, '2024-05-01 12:10+08');
SELECT * FROM take('w6', at => '2024-05-01 12:10+08');

-- Failing waits twice as long each time, then the message is given up.
SELECT queue('hello', 'dan');
DO $$
DECLARE
	at timestamptz := '2024-05-01 12:20+08';
	longest interval := '30 seconds';
	claimed record;
	outcome text;
BEGIN
	FOR attempt IN 1..5 LOOP
		SELECT * INTO STRICT claimed FROM retention.claim_messages('sms', 100, '1 second', 'w', at) c WHERE c.customer_id = 'dan';
		outcome := retention.mark_failed(claimed.token, 'try ' || attempt, at => at);
		RAISE NOTICE 'attempt % -> %, in bounds: %', claimed.attempt, outcome,
			(SELECT coalesce(held_until - at BETWEEN longest * 0.5 AND longest * 1.5, true) FROM retention.care_message WHERE customer_id = 'dan');
		at := at + longest * 1.5;
		longest := longest * 2;
	END LOOP;
END $$;
SELECT * FROM messages WHERE customer = 'dan';
SELECT retention.requeue_dead('late') AS another_rule, retention.requeue_dead(failed_since => '2024-05-02') AS later;
SELECT retention.requeue_dead(at => '2024-05-02 12:00+08') AS requeued;
SELECT customer, attempt FROM take('w7', at => '2024-05-02 12:00+08') WHERE customer = 'dan';
SELECT retention.mark_failed(token('w7 hello dan'), 'number does not exist', true);
SELECT customer, outcome, reason, explanation FROM (SELECT customer_id AS customer, * FROM retention.care_skipped) AS s WHERE customer = 'dan';

-- A worker that dies with it every time does not keep it for ever.
SELECT queue('hello', 'eve', '2024-05-03 12:00+08');
SELECT count(*) FROM generate_series(0, 9) AS n, LATERAL retention.claim_messages('sms', 100, '1 minute', 'w', timestamptz '2024-05-03 12:00+08' + n * interval '2 minutes') AS c WHERE c.customer_id = 'eve';
SELECT customer, state, reason, attempts FROM messages WHERE customer = 'eve';

-- Cancelled while a worker has it: the worker can ask, and is told afterwards.
SELECT queue('hello', 'fay', '2024-05-04 12:00+08'), queue('hello', 'gus', '2024-05-04 12:00+08');
SELECT customer FROM take('w8', at => '2024-05-04 12:00+08');
SELECT retention.cancel_message('fay', 'hello', 'once'), retention.cancel_message('gus', 'hello', 'once', 'asked for'), retention.cancel_message('nobody', 'hello', 'once');
SELECT retention.extend_lease(token('w8 hello fay')) AS may_send, retention.mark_failed(token('w8 hello fay'), 'x') AS failed,
	retention.mark_sent(token('w8 hello gus'), 'p-2') AS sent, retention.mark_sent(token('w8 hello gus'), 'p-2') AS again;
SELECT customer, state, reason, provider_id FROM messages WHERE customer IN ('fay', 'gus');
SELECT queue('hello', '42', '2024-05-04 12:00+08'), retention.cancel_message(42, 'hello', 'once');

-- Out of date, the rule switched off, the order gone: skipped with a reason.
SELECT queue('hello', 'hal', '2024-05-05 12:00+08', '1 hour'), queue('urgent', 'hal', '2024-05-05 12:00+08'), queue('late', 'hal', '2024-05-05 12:00+08');
UPDATE retention.care_message SET source_id = 1, order_id = '7' WHERE rule = 'late';
INSERT INTO retention.purchase (source_id, order_id, shop_id, customer_id, placed_at, total, paid, refunded) VALUES (1, '7', 1, 'hal', '2024-05-05 11:00+08', 1, 0, 0);
SELECT rule FROM retention.claim_messages('sms', 100, '1 minute', at => '2024-05-05 12:00+08') WHERE customer_id = 'hal' ORDER BY rule;
UPDATE retention.purchase SET paid_at = '2024-05-05 12:00+08', paid = 1;
ALTER TABLE retention.care_rule DISABLE TRIGGER USER;
UPDATE retention.care_rule SET enabled = false WHERE name = 'urgent';
ALTER TABLE retention.care_rule ENABLE TRIGGER USER;
SELECT rule FROM retention.claim_messages('sms', 100, '1 minute', at => '2024-05-05 13:00+08') WHERE customer_id = 'hal';
SELECT rule, state, reason, explanation FROM retention.care_message m JOIN retention.care_skipped s USING (shop_id, customer_id, rule, subject, reason) WHERE customer_id = 'hal' ORDER BY rule;

-- Quiet hours put off to the morning; what is out of date by then says so.
UPDATE retention.care_rule SET enabled = true;
SELECT queue('hello', 'ida', '2024-05-06 22:00+08', '1 day'), queue('urgent', 'ida', '2024-05-06 22:00+08', '2 hours');
SELECT count(*) AS at_night FROM retention.claim_messages('sms', 100, '1 minute', at => '2024-05-06 22:00+08');
SELECT rule, outcome, explanation, until FROM retention.care_skipped WHERE customer_id = 'ida' ORDER BY rule;
SELECT rule FROM retention.claim_messages('sms', 100, '1 minute', at => '2024-05-07 08:00+08') WHERE customer_id = 'ida';
SELECT rule, outcome, explanation FROM retention.care_skipped WHERE customer_id = 'ida';

-- Receipts may come twice and in any order; responses keep the first.
SELECT retention.record_receipt('p-1', 'sent', '2024-05-01 12:03+08') AS first, retention.record_receipt('p-1', 'delivered', '2024-05-01 12:05+08') AS second,
	retention.record_receipt('p-1', 'sent', '2024-05-01 12:03+08') AS first_again, retention.record_receipt('p-9', 'sent') AS unknown;
SELECT retention.record_response('p-1'::text, 'click', '2024-05-01 12:10+08') AS click, retention.record_response(token('w1 urgent ann'), 'reply', '2024-05-01 12:20+08') AS reply,
	retention.record_response('p-9'::text, 'click') AS unknown;
SELECT retention.record_response(token('w1 urgent ann'), 'shrug');
SELECT receipt, receipt_at, response, responded_at FROM retention.care_message WHERE provider_id = 'p-1';

-- What became of a batch, in one call: each has its own outcome, and none keeps
-- back another; of a token given twice the first report counts.
SELECT queue('hello', c, '2024-05-07 12:00+08') FROM unnest('{b1,b2,b3,b4,b5,b6}'::text[]) AS c;
SELECT count(*) FROM take('batch', at => '2024-05-07 12:00+08');
SELECT retention.cancel_message('b4', 'hello', 'once'), retention.release_message(token('batch hello b5'));
CREATE TABLE report (no serial, customer text, provider_id text, error text, permanent boolean);
INSERT INTO report (customer, provider_id, error, permanent)
VALUES ('b1', 'p-b1', NULL, NULL), ('b2', NULL, 'busy', NULL), ('b3', NULL, 'no such number', true), ('b4', 'p-b4', NULL, false), ('b5', 'p-b5', NULL, true),
	('b6', 'p-b6', NULL, NULL), ('b6', NULL, 'too late', true), ('b2', 'p-b2', NULL, NULL);
SELECT r.no, r.customer, m.outcome
FROM (
	SELECT array_agg(token('batch hello ' || customer) ORDER BY no) AS tokens, array_agg(provider_id ORDER BY no) AS provider_ids,
		array_agg(error ORDER BY no) AS errors, array_agg(permanent ORDER BY no) AS permanent
	FROM report
) AS b
CROSS JOIN LATERAL retention.mark_messages(b.tokens, b.provider_ids, b.errors, b.permanent, '2024-05-07 12:01+08') WITH ORDINALITY AS m (token, outcome, no)
JOIN report r ON r.no = m.no AND m.token = token('batch hello ' || r.customer)
ORDER BY r.no;
SELECT customer, state, reason, sent_at IS NOT NULL AS sent, provider_id, last_error, held_until BETWEEN '2024-05-07 12:01:15+08' AND '2024-05-07 12:01:45+08' AS about_30_seconds
FROM messages WHERE customer LIKE 'b_' ORDER BY customer;
-- Saying it again is the same as saying it once; arrays that are left out say nothing.
SELECT m.outcome FROM retention.mark_messages(ARRAY[token('batch hello b1'), token('batch hello b6'), token('batch hello b3'), '00000000-0000-0000-0000-000000000000']) AS m;
SELECT count(*) FROM retention.mark_messages('{}');
SELECT * FROM retention.mark_messages(NULL);
SELECT * FROM retention.mark_messages(ARRAY[token('batch hello b1'), NULL]);
SELECT * FROM retention.mark_messages(ARRAY[token('batch hello b1')], ARRAY['a', 'b']);

-- A customer with a profile that lacks the address is not written to; one
-- without any profile is left to the worker.
INSERT INTO retention.customer (shop_id, customer_id, name, phone) VALUES (1, 'jim', 'Jim', NULL), (1, 'kim', 'Kim', '13800000000'), (1, 'lea', NULL, NULL);
SELECT queue('hello', 'jim', '2024-05-08 12:00+08'), queue('hello', 'kim', '2024-05-08 12:00+08'), queue('hello', 'lea', '2024-05-08 12:00+08');
SELECT customer_id, recipient, text, segments FROM retention.claim_messages('sms', 100, at => '2024-05-08 12:00+08') WHERE rule = 'hello' ORDER BY 1;
SELECT customer_id, explanation FROM retention.care_skipped WHERE customer_id = 'jim';

-- A text that lacks a value stays here; a task for people needs no text.
INSERT INTO retention.care_template (shop_id, name, language, text) VALUES (1, 'by name', 'zh', '{{name}}，您好');
INSERT INTO retention.care_rule (shop_id, name, event, channel, purpose, template) VALUES (1, 'named', 'birthday', 'sms', 'care', 'by name'), (1, 'visit', 'birthday', 'visit', 'care', 'by name'), (1, 'mute', 'birthday', 'sms', 'care', NULL);
SELECT queue('named', 'kim', '2024-05-08 12:00+08'), queue('named', 'lea', '2024-05-08 12:00+08'), queue('mute', 'kim', '2024-05-08 12:00+08'), queue('visit', 'lea', '2024-05-08 12:00+08', channel => 'visit');
SELECT customer_id, text FROM retention.claim_messages('sms', 100, at => '2024-05-08 12:00+08') WHERE rule IN ('named', 'mute');
SELECT customer_id, text FROM retention.claim_messages('visit', 100, at => '2024-05-08 12:00+08');
SELECT customer_id, explanation FROM retention.care_skipped WHERE rule IN ('named', 'mute') ORDER BY rule;

-- An e-mail has a subject line where its template has one, kept with the text;
-- other channels have none.
INSERT INTO retention.care_template (shop_id, name, language, text, subject_line)
VALUES (1, 'letter', 'zh', '您好', '{{customer.name|亲}}，第{{customer.issue}}期');
INSERT INTO retention.care_rule (shop_id, name, event, channel, purpose, template)
VALUES (1, 'letter', 'birthday', 'email', 'care', 'letter'), (1, 'card', 'birthday', 'sms', 'care', 'letter'), (1, 'bare', 'birthday', 'email', 'care', 'greeting');
INSERT INTO retention.customer (shop_id, customer_id, email, phone, attributes)
VALUES (1, 'meg', 'meg@example.com', '139', '{"issue": 7}'), (1, 'nat', 'nat@example.com', '138', '{"shelf": 1}');
SELECT queue(r, c, '2024-05-08 12:00+08', channel => CASE r WHEN 'card' THEN 'sms' ELSE 'email' END) FROM unnest('{letter,card,bare}'::text[]) AS r, unnest('{meg,nat}'::text[]) AS c;
SELECT customer_id, rule, recipient, subject_line, text FROM retention.claim_messages('email', 100, at => '2024-05-08 12:00+08') ORDER BY 1, 2;
SELECT customer_id, rule, recipient, subject_line, text FROM retention.claim_messages('sms', 100, at => '2024-05-08 12:00+08') WHERE rule = 'card' ORDER BY 1, 2;
SELECT customer_id, rule, subject_line, text FROM retention.care_message WHERE rule IN ('letter', 'card', 'bare') ORDER BY 1, 2;
SELECT customer_id, explanation FROM retention.care_skipped WHERE rule = 'letter';

-- Workers are told how much is due, by channel.
SELECT retention.notify_workers('2024-05-09 12:00+08');
SELECT retention.expire_messages('2024-06-01') > 0 AS expired, retention.expire_messages('2024-06-01') AS again;

-- What cannot be meant.
SELECT * FROM retention.claim_messages('fax');
SELECT * FROM retention.claim_messages('sms', 0);
SELECT * FROM retention.claim_messages('sms', lease => '0');
SELECT * FROM retention.claim_messages(NULL);
SELECT * FROM retention.claim_messages('sms', shop => 'Coffee House');
SELECT retention.mark_sent(NULL);
SELECT retention.schedule('sometimes');
SELECT regexp_replace(retention.schedule('0 4 * * *'), '-d \S+', '-d DATABASE') AS crontab, retention.unschedule();

-- Every index the claim reads is the one for it, however many messages were sent.
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT FROM retention.care_message m WHERE m.shop_id = 1 AND m.channel = 'sms' AND m.priority = 50 AND m.state IN ('queued', 'claimed')
	AND coalesce(m.held_until, m.due_at) <= now() ORDER BY coalesce(m.held_until, m.due_at) LIMIT 10 FOR NO KEY UPDATE SKIP LOCKED;
RESET enable_seqscan;
RESET enable_bitmapscan;

SET client_min_messages = warning;
DROP SCHEMA care_queue_test CASCADE;
RESET client_min_messages;
DELETE FROM retention.care_message;
DELETE FROM retention.customer;
DELETE FROM retention.purchase;
DELETE FROM retention.care_rule;
DELETE FROM retention.care_template;
DELETE FROM retention.shop;
RESET search_path;
RESET retention.clock;
RESET timezone;
