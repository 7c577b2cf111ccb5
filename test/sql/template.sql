-- Templates: placeholders, the shipped texts, the shop's own, and previews
CREATE SCHEMA template;
SET search_path = template;
SET TimeZone = 'Asia/Shanghai';
SET retention.clock = '2024-05-01 12:00+08';

-- A value by key or by path, a default, or the first name that is missing.
SELECT t.template, r.*
FROM (VALUES
	(1, '{{nickname}}，您好'),
	(2, '{{nickname|亲}}，您好'),
	(3, '{{ nobody | friend }}!'),
	(4, '{{nobody}} {{nickname}} {{nothing}}'),
	(5, '{{nobody|}}nothing said'),
	(6, '{{order.id}}: {{order.total}} {{order.gift}} {{order.address.city}}'),
	(7, '{{points.expiring}}'),
	(8, '{{order}}'),
	(9, '{{order.nothing|?}} {{order.id.deeper|?}}'),
	(10, 'plain, {one} brace }} and | bar'),
	(11, '')
) AS t (n, template)
CROSS JOIN LATERAL retention.render_template(t.template,
	'{"nickname": "小美", "points.expiring": 120, "order": {"id": "42", "total": 199.50, "gift": true, "address": {"city": "杭州"}}}') AS r
ORDER BY t.n;

-- Never "null" on a customer's phone, in whatever way a shop stores nothing.
SELECT v.nickname, r.text, r.missing
FROM (VALUES ('null'), ('"null"'), ('"NULL"'), ('" Null "'), ('"undefined"'), ('"None"'), ('""'), ('"  "'), ('{}'), ('[]'), ('"Nulla"'), ('0')) AS v (nickname)
CROSS JOIN LATERAL retention.render_template('Hi {{nickname}}', jsonb_build_object('nickname', v.nickname::jsonb)) AS r;
-- A value is words, never a template, and never breaks the line.
SELECT * FROM retention.render_template('Hi {{nickname}}', '{"nickname": "{{order.id}}\n【Bank】"}');

\set VERBOSITY terse
SELECT retention.render_template('Hi {{nickname', '{}');
SELECT retention.render_template('Hi {{nick{name}}', '{}');
SELECT retention.render_template('Hi {{}}', '{}');
SELECT retention.render_template('Hi {{|亲}}', '{}');
SELECT retention.template_placeholders('{{a}} {{ b.c |x}} {{a}}'), retention.template_placeholders('none');

-- What every shipped text keeps to.
SELECT count(DISTINCT name) AS templates, count(*) FILTER (WHERE language = 'zh') AS zh, count(*) FILTER (WHERE language = 'en') AS en
FROM retention.care_template_default;
SELECT r.name AS rule_without_text
FROM retention.care_rule_default r
CROSS JOIN (VALUES ('zh'), ('en')) AS l (language)
WHERE NOT EXISTS (SELECT FROM retention.care_template_default t WHERE t.name = coalesce(r.template, r.name) AND t.language = l.language);
-- Wishes for a birthday, a festival, a season or a silence sell nothing, and no one asks what is wrong.
SELECT t.name, t.language
FROM retention.care_template_default t
LEFT JOIN retention.care_rule_default r ON r.name = t.name
WHERE (r.event IN ('birthday', 'festival', 'season') OR r.name LIKE 'silence%' AND r.channel = 'sms')
	AND t.text ~* '优惠|折|券|促销|活动|新品|购买|下单|店里|积分|怎么了|不满|sale|discount|coupon|offer|% off|new arrival|buy|points|shop now|wrong';
SELECT name, 'zh' AS language
FROM retention.festival_default
WHERE greeting_zh || greeting_en ~* '优惠|折|券|促销|新品|购买|下单|积分|sale|discount|coupon|offer|buy|points';
-- Each has a subject line, which sells nothing either and needs no value that the text does not.
SELECT name, language FROM retention.care_template_default WHERE subject_line IS NULL;
SELECT t.name, t.language
FROM retention.care_template_default t
LEFT JOIN retention.care_rule_default r ON r.name = t.name
WHERE (r.event IN ('birthday', 'festival', 'season') OR r.name LIKE 'silence%' AND r.channel = 'sms')
	AND t.subject_line ~* '优惠|折|券|促销|活动|新品|购买|下单|店里|积分|怎么了|不满|sale|discount|coupon|offer|% off|new arrival|buy|points|shop now|wrong';
SELECT t.name, t.language, p AS placeholder
FROM retention.care_template_default t
CROSS JOIN LATERAL unnest(retention.template_placeholders(t.subject_line)) AS p
WHERE p <> 'shop' AND p <> ALL (retention.template_placeholders(t.text));
-- English stays in the GSM alphabet, so that an SMS of 160 characters is one.
SELECT t.name, words
FROM retention.care_template_default t
CROSS JOIN LATERAL regexp_replace(t.text, '\{\{[^|}]*\|?([^}]*)\}\}', '\1', 'g') AS words
WHERE t.language = 'en'
	AND (length(words) > 160 OR retention.sms_segments(rpad(words, 160)) <> 1);
SELECT name FROM retention.festival_default WHERE retention.sms_segments(rpad(greeting_en, 160)) <> 1;

-- A shop, a customer and an order.
CREATE TABLE orders (id integer PRIMARY KEY, customer integer, total numeric, paid_at timestamptz, note jsonb);
SELECT retention.attach_orders('orders', order_id => 'id', customer => 'customer', total => 'total',
	placed_at => 'paid_at', paid_at => 'paid_at', completed_at => 'paid_at', attributes => 'note') AS source;
UPDATE retention.shop SET name = '小店', time_zone = 'Asia/Shanghai';
INSERT INTO orders VALUES (1001, 42, 199.00, retention.now(), '{"courier": "SF", "id": "forged"}');
INSERT INTO retention.customer (shop_id, customer_id, nickname, attributes) VALUES (1, '42', '小美', '{"skin": "干性"}')
ON CONFLICT (shop_id, customer_id) DO UPDATE SET nickname = EXCLUDED.nickname, attributes = EXCLUDED.attributes;

SELECT * FROM retention.preview_template('unpaid_reminder', 42);
SELECT * FROM retention.preview_template('paid_thanks', 42, order_id => '1001');
SELECT * FROM retention.preview_template('festival', 42);
SELECT * FROM retention.preview_template('season_change', '42');
SELECT * FROM retention.preview_template('spend_milestone', '42');
SELECT * FROM retention.preview_template('{{shop}}: {{nickname}}, {{customer.skin}}, {{tier}}, {{points}}, {{purchases}}, {{spent}}, {{days}}, {{order.courier}}, {{order.id}}, {{order.total}}', '42', '1001', at => '2024-05-11 01:00+08');
-- What would keep it from being sent.
SELECT * FROM retention.preview_template('paid_thanks', '42');
SELECT * FROM retention.preview_template('points_expiring', '42');
SELECT * FROM retention.preview_template('bad_review', '42');

-- Points about to expire, and a review.
UPDATE retention.points_lot SET expires_at = '2024-06-30 23:59:59+08' WHERE customer_id = '42';
INSERT INTO retention.feedback (shop_id, customer_id, kind, reference, source_id, order_id, score, content, happened_at, recorded_at)
VALUES (1, '42', 'review', 'r1', 1, '1001', 2, '包装破了', retention.now(), retention.now());
SELECT * FROM retention.preview_template('points_expiring', '42');
SELECT * FROM retention.preview_template('bad_review', '42');

-- In English, with a signature of its own.
UPDATE retention.shop SET language = 'en', signature = 'Little Shop';
SELECT * FROM retention.preview_template('unpaid_reminder', '43');
SELECT * FROM retention.preview_template('points_expiring', '42');
SELECT * FROM retention.preview_template('{{tier}} in {{festival}}', '42');

-- The shop's own words, by an update of what is in force.
UPDATE retention.care_templates SET text = 'Dear {{nickname}}, many happy returns!' WHERE name = 'birthday' AND language = 'en';
INSERT INTO retention.care_templates (name, text) VALUES ('vip_birthday', '{{nickname|Friend}}, {{customer.gift}} is waiting for you.');
SELECT * FROM retention.preview_template('birthday', '42');
SELECT * FROM retention.preview_template('birthday', '43');
SELECT * FROM retention.preview_template('vip_birthday', '42');
SELECT name, language, text FROM retention.care_templates WHERE NOT shipped ORDER BY name;
-- A rule may take another template; a text there is only in the other language is better than none.
UPDATE retention.care_rules SET template = 'vip_birthday' WHERE name = 'birthday';
SELECT * FROM retention.render_message(1, '42', 'birthday', 'birthday:2024', NULL, NULL, retention.now());
UPDATE retention.care_templates SET language = 'zh' WHERE name = 'vip_birthday';
SELECT * FROM retention.render_message(1, '42', 'birthday', 'birthday:2024', NULL, NULL, retention.now());
DELETE FROM retention.care_templates WHERE name IN ('birthday', 'vip_birthday') AND NOT shipped;
SELECT * FROM retention.render_message(1, '42', 'birthday', 'birthday:2024', NULL, NULL, retention.now());

-- Of an e-mail the subject line too, in one line, whatever a value is made of;
-- it changes with the text only where it is told to, and lacking a value it
-- keeps back e-mails alone.
UPDATE retention.care_rules SET template = NULL WHERE name = 'birthday';
UPDATE retention.care_templates SET text = 'Happy birthday!' WHERE name = 'birthday' AND language = 'en';
SELECT subject_line FROM retention.care_templates WHERE name = 'birthday' AND language = 'en';
UPDATE retention.care_templates SET subject_line = '{{nickname|Dear}}, {{customer.skin}} in {{shop}}' WHERE name = 'birthday' AND language = 'en';
UPDATE retention.customer SET attributes = jsonb_build_object('skin', E'a\r\nBcc: all@example.com') WHERE customer_id = '42';
SELECT text, missing, subject_line FROM retention.preview_template('birthday', '42');
SELECT text, missing, subject_line FROM retention.preview_template('birthday', '43');
UPDATE retention.care_rules SET channel = 'email' WHERE name = 'birthday';
SELECT text, missing, subject_line FROM retention.preview_template('birthday', '43');
UPDATE retention.care_templates SET subject_line = NULL WHERE name = 'birthday' AND language = 'en';
SELECT text, missing, subject_line FROM retention.preview_template('birthday', '43');
DELETE FROM retention.care_templates WHERE name = 'birthday' AND NOT shipped;

-- What cannot be.
INSERT INTO retention.care_templates (name, text, subject_line) VALUES ('x', 'Hi', E'one\ntwo');
INSERT INTO retention.care_templates (name, text, subject_line) VALUES ('x', 'Hi', '{{nikname}}');
INSERT INTO retention.care_templates (name, text, subject_line) VALUES ('x', 'Hi', ' ');
INSERT INTO retention.care_templates (name, text) VALUES ('x', 'Hi {{nikname}}');
INSERT INTO retention.care_templates (name, text) VALUES ('x', 'Hi {{nickname');
INSERT INTO retention.care_templates (name, text) VALUES ('x', ' ');
DELETE FROM retention.care_templates WHERE name = 'birthday';
SELECT retention.preview_template('no such', '42');
SELECT retention.preview_template('paid_thanks', '43', '1001');

-- Leave nothing behind.
\set VERBOSITY default
RESET search_path;
RESET retention.clock;
SET client_min_messages = error;
DROP SCHEMA template CASCADE;
DROP EXTENSION retention CASCADE;
CREATE EXTENSION retention;
