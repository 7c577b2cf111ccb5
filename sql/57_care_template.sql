-- ---------------------------------------------------------------------------
-- Texts: placeholders, and what an SMS is billed as
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.render_template(template text, placeholder_values jsonb, OUT text text, OUT missing text)
	AS 'MODULE_PATHNAME', 'render_template'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.render_template(text, jsonb) IS
	'The template with each {{name}} or {{name|default}} replaced by its value in the jsonb object, found by the name as a key or, with dots, as a path. Where a value is missing (absent, null, blank, or a word such as "null") its default is taken; without one, text is NULL and missing is the first such name. A malformed placeholder is an error; NULL gives NULLs';

CREATE FUNCTION retention.template_placeholders(template text)
	RETURNS text[]
	AS 'MODULE_PATHNAME', 'template_placeholders'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.template_placeholders(text) IS
	'The names of the template''s placeholders, in the order they occur, repeated ones as often; {} when there are none. A malformed placeholder is an error';

CREATE FUNCTION retention.sms_segments(text text)
	RETURNS integer
	AS 'MODULE_PATHNAME', 'sms_segments'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.sms_segments(text) IS
	'How many messages a text is billed as by SMS: up to 160 septets in one and 153 in each of several in the GSM 7 bit alphabet (3GPP TS 23.038; characters of its extension table take two), else 70 and 67 units of UCS-2 (characters beyond U+FFFF take two). No character is cut in two. 0 for an empty text, NULL for NULL';

-- ---------------------------------------------------------------------------
-- care_template: what messages say
-- ---------------------------------------------------------------------------

-- A mistyped placeholder would keep every message of the template back.
CREATE FUNCTION retention.care_template_valid(template text)
	RETURNS boolean
	LANGUAGE plpgsql
	IMMUTABLE
	PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	placeholder text;
BEGIN
	FOREACH placeholder IN ARRAY retention.template_placeholders(template)
	LOOP
		IF placeholder NOT IN (
			'shop', 'nickname', 'name', 'purchases', 'spent', 'days', 'tier', 'points',
			'points.expiring', 'points.expire_on', 'festival', 'greeting', 'milestone', 'review.score', 'review.content',
			'campaign', 'offer_code', 'event.at', 'event.place')
			AND placeholder !~ '^(order|customer)\..'
		THEN
			RAISE EXCEPTION 'placeholder {{%}} is unknown', placeholder
				USING ERRCODE = 'undefined_parameter',
					HINT = 'The comment on retention.care_template.text lists the placeholders.';
		END IF;
	END LOOP;
	RETURN template ~ '[^[:space:]]';
END
$$;

CREATE FUNCTION retention.care_subject_line_valid(subject_line text)
	RETURNS boolean
	LANGUAGE sql
	IMMUTABLE
	STRICT
	PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	-- A line break would begin another header of the mail.
	RETURN retention.care_template_valid(subject_line) AND subject_line !~ '[[:cntrl:]]';

COMMENT ON FUNCTION retention.care_subject_line_valid(text) IS 'Whether the text can be the subject line of a care template: as care_template_valid(), and in one line; NULL for NULL';

COMMENT ON FUNCTION retention.care_template_valid(text) IS 'Whether the text can be a care template: not blank, and with placeholders that are known; an unknown or malformed one is an error that names it';

-- The shipped texts; a shop's own of the same name and language in
-- care_template takes the place of the shipped one.  Wishes for a birthday, a
-- festival or a season wish and nothing else: they never advertise.
CREATE TABLE retention.care_template_default (
	name text,
	language text CHECK (language IN ('zh', 'en')),
	text text NOT NULL CHECK (retention.care_template_valid(text)),
	subject_line text CHECK (retention.care_subject_line_valid(subject_line)),
	PRIMARY KEY (name, language)
);

COMMENT ON TABLE retention.care_template_default IS 'The texts that come with the extension; not to be edited: it is not dumped';
COMMENT ON COLUMN retention.care_template_default.name IS 'Name of the template';
COMMENT ON COLUMN retention.care_template_default.language IS 'zh (Chinese) or en (English)';
COMMENT ON COLUMN retention.care_template_default.text IS 'The text without the signature; see care_template.text';
COMMENT ON COLUMN retention.care_template_default.subject_line IS 'Subject line of an e-mail; see care_template.subject_line';

INSERT INTO retention.care_template_default (name, language, subject_line, text)
VALUES
	('unpaid_reminder', 'zh', '您的订单在等待付款',
		'{{nickname|亲}}，您挑的宝贝还在等您付款，付款后我们马上安排发货。有疑问随时找我们，很乐意帮忙。'),
	('unpaid_reminder', 'en', 'Your order is waiting for payment',
		'Hi {{nickname|there}}, your order is waiting for payment; we ship as soon as it is paid. Any question? Just ask, we are glad to help.'),
	('second_unpaid_reminder', 'zh', '最后召唤：订单快要关闭了',
		'{{nickname|亲}}，最后召唤！宝贝在仓库踮着脚尖盼您带它回家，订单快关闭了，别让它哭鼻子哦～'),
	('second_unpaid_reminder', 'en', 'Last call for your order',
		'Last call, {{nickname|friend}}! The things you picked are standing on tiptoe at the door, asking when you take them home. Your order closes soon.'),
	('closed_unpaid', 'zh', '您的订单已关闭',
		'{{nickname|亲}}，很抱歉，您的订单已关闭。是哪里没让您满意吗？回复告诉我们原因，我们一定改进。'),
	('closed_unpaid', 'en', 'Your order was closed',
		'Hi {{nickname|there}}, we are sorry: your order was closed unpaid. Would you tell us why? Just reply, it helps us to do better.'),
	('paid_thanks', 'zh', '订单{{order.id}}的付款已收到',
		'{{nickname|亲}}，订单{{order.id}}的付款已收到，谢谢您的信任！我们会尽快为您发货。'),
	('paid_thanks', 'en', 'We have received your payment for order {{order.id}}',
		'Thank you, {{nickname|dear customer}}! We have received your payment for order {{order.id}} and will ship it soon.'),
	('shipped', 'zh', '订单{{order.id}}已发货',
		'{{nickname|亲}}，订单{{order.id}}已发货，正在奔向您的路上，请保持电话畅通，注意查收。'),
	('shipped', 'en', 'Order {{order.id}} has been shipped',
		'Hi {{nickname|there}}, order {{order.id}} has been shipped and is on its way to you.'),
	('shipping_late', 'zh', '订单{{order.id}}让您久等了',
		'{{nickname|亲}}，让您久等了，非常抱歉！订单{{order.id}}正在加急处理，发出后第一时间通知您。'),
	('shipping_late', 'en', 'Order {{order.id}} is late, and we are sorry',
		'Hi {{nickname|there}}, we are sorry to keep you waiting. We are hurrying order {{order.id}} and will tell you the moment it leaves.'),
	('arrived', 'zh', '订单{{order.id}}已送达',
		'{{nickname|亲}}，订单{{order.id}}已送达，请当面验货后签收，有任何问题随时联系我们。'),
	('arrived', 'en', 'Order {{order.id}} has arrived',
		'Hi {{nickname|there}}, order {{order.id}} has arrived. Please check it, and tell us if anything is not right.'),
	('confirm_receipt', 'zh', '请确认收到订单{{order.id}}',
		'{{nickname|亲}}，订单{{order.id}}收到几天了，用着还好吗？没问题的话请确认收货，有问题随时找我们。'),
	('confirm_receipt', 'en', 'Please confirm that you received order {{order.id}}',
		'Hi {{nickname|there}}, order {{order.id}} arrived some days ago. If all is well, please confirm that you received it; if not, tell us.'),
	('refunded', 'zh', '订单{{order.id}}的退款',
		'{{nickname|亲}}，订单{{order.id}}的退款已办理，累计退款{{order.refunded}}，请留意到账。不便之处敬请谅解。'),
	('refunded', 'en', 'The refund for order {{order.id}}',
		'Hi {{nickname|there}}, the refund for order {{order.id}} is on its way, {{order.refunded}} in all. We are sorry for the trouble.'),
	('big_order_call', 'zh', '回访：订单{{order.id}}',
		'回访{{nickname|客户}}：一周前购买的订单{{order.id}}，金额{{order.total}}。问问用得怎么样、有什么疑问；当场答不了的，约好时间再答。'),
	('big_order_call', 'en', 'To call: order {{order.id}}',
		'Call {{nickname|the customer}}: order {{order.id}} of {{order.total}}, bought a week ago. How does it do, any questions? What stays open gets an appointment.'),
	('review_thanks', 'zh', '谢谢您的评价',
		'{{nickname|亲}}，谢谢您的评价！您的认可是我们最大的动力，有任何需要随时找我们。'),
	('review_thanks', 'en', 'Thank you for your review',
		'Thank you for your review, {{nickname|dear customer}}! It makes our day. Whenever you need us, we are here.'),
	('bad_review', 'zh', '客户{{customer.id}}给了{{review.score}}分',
		'客户{{customer.id}}（{{nickname|未留昵称}}）给了{{review.score}}分：{{review.content|没有文字}}。请当天联系，三天内解决。'),
	('bad_review', 'en', 'Customer {{customer.id}} gave {{review.score}}',
		'Customer {{customer.id}} ({{nickname|no nickname}}) gave {{review.score}}: {{review.content|no words}}. Please get in touch today and settle it within three days.'),
	('after_purchase_15_days', 'zh', '用着还顺手吗？',
		'{{nickname|亲}}，宝贝陪您半个月了，用着还顺手吗？谢谢您的支持，有任何问题随时找我们。'),
	('after_purchase_15_days', 'en', 'Is all well with it?',
		'Hi {{nickname|there}}, thank you for shopping with us two weeks ago. We hope all is well with it. If you need anything, we are here.'),
	('repurchase', 'zh', '快用完了吗？',
		'{{nickname|亲}}，上次买的快用完了吧？需要的话来店里看看，老朋友的喜好我们都记得。回T退订'),
	('repurchase', 'en', 'Running low?',
		'Hi {{nickname|there}}, running low since your last order? Come and have a look, we remember what you like. Reply STOP to opt out.'),
	('silence_90_days', 'zh', '好久不见',
		'{{nickname|亲}}，好久不见，我是一直为您服务的小助手，有些想念您。愿您一切都好，天天开心。'),
	('silence_90_days', 'en', 'It has been a while',
		'Hello {{nickname|there}}, it has been a while and we miss you. It is your assistant at {{shop}}, wishing you well.'),
	('silence_180_days', 'zh', '半年没见，愿您一切都好',
		'{{nickname|亲}}，半年没见了，我们一直记得您。忙碌之余照顾好自己，愿您和家人平安健康。'),
	('silence_180_days', 'en', 'We still think of you',
		'Hello {{nickname|there}}, half a year has gone by and we still think of you. Take good care of yourself and your family.'),
	('silence_365_days', 'zh', '回访：一年没有来店的客户',
		'回访{{nickname|客户}}：一年没有来店，此前购买{{purchases}}次。只问候近况，不推销，记下客户说的话。'),
	('silence_365_days', 'en', 'To call: not seen for a year',
		'Call {{nickname|the customer}}: not seen for a year, {{purchases}} purchases before. Ask how they are, sell nothing, write down what they say.'),
	('spend_milestone', 'zh', '谢谢您一路相伴',
		'{{nickname|尊敬的客户}}：您在本店的累计消费已达{{milestone}}。谢谢您一路相伴，谨以此信致以最诚挚的谢意！'),
	('spend_milestone', 'en', 'Thank you for your trust',
		'Dear {{nickname|customer}}, with us you have now spent {{milestone}}. Thank you for your trust all along the way; this letter comes with our warmest thanks.'),
	('points_expiring', 'zh', '您有{{points.expiring}}积分即将到期',
		'{{nickname|亲}}，您有{{points.expiring}}积分将于{{points.expire_on}}到期，记得在此之前使用哦。'),
	('points_expiring', 'en', '{{points.expiring}} of your points are about to expire',
		'Hi {{nickname|there}}, {{points.expiring}} of your points expire on {{points.expire_on}}. Please remember to use them before.'),
	('birthday', 'zh', '生日快乐',
		'{{nickname|亲}}，生日快乐！愿新的一岁平安喜乐，所愿皆成真。'),
	('birthday', 'en', 'Happy birthday!',
		'Happy birthday, {{nickname|dear customer}}! We wish you health and joy in the year to come.'),
	('birthday_soon', 'zh', '提前祝您生日快乐',
		'{{nickname|亲}}，您的生日快到了，提前祝您生日快乐，愿每一天都有好心情。'),
	('birthday_soon', 'en', 'Your birthday is near',
		'Hi {{nickname|there}}, your birthday is near. We wish you a wonderful day, and good spirits all year.'),
	('festival', 'zh', '{{festival}}祝福',
		'{{nickname|亲}}，今天是{{festival}}，{{greeting}}。'),
	('festival', 'en', 'Best wishes from {{shop}}',
		'Hello {{nickname|there}}, {{greeting}}'),
	('season_change', 'zh', '今日{{festival}}',
		'{{nickname|亲}}，今日{{festival}}，{{greeting}}。'),
	('season_change', 'en', 'A new season begins',
		'Hello {{nickname|there}}, {{greeting}}'),
	('referral_thanks', 'zh', '谢谢您的介绍',
		'{{nickname|亲}}，谢谢您把朋友介绍给我们！您的信任是对我们最好的肯定，我们会用心照顾好您的朋友。'),
	('referral_thanks', 'en', 'Thank you for bringing a friend',
		'Thank you for bringing a friend to us, {{nickname|dear customer}}! There is no greater trust, and we will take good care of them.'),
	('referral_welcome', 'zh', '欢迎您',
		'{{nickname|亲}}，欢迎您！谢谢您和您的朋友信任我们，有任何需要随时找我们。'),
	('referral_welcome', 'en', 'Welcome!',
		'Welcome, {{nickname|dear customer}}! Thank you, and your friend, for trusting us. Whenever you need anything, we are here.'),
	('best_customer_visit', 'zh', '拜访：去年的最佳客户',
		'拜访{{nickname|客户}}：去年的最佳客户之一，累计购买{{purchases}}次。请带上鲜花登门致谢，不推销。'),
	('best_customer_visit', 'en', 'To visit: one of last year''s best customers',
		'Visit {{nickname|the customer}}: one of last year''s best, {{purchases}} purchases in all. Bring flowers and thanks, sell nothing.'),
	('tier_reached', 'zh', '恭喜您升级为{{tier}}',
		'{{nickname|亲}}，恭喜您升级为{{tier}}！谢谢您的支持，更多会员礼遇已为您开启。'),
	('tier_reached', 'en', 'You are now a {{tier}} customer',
		'Congratulations, {{nickname|dear customer}}, you are now a {{tier}} customer! Thank you; what comes with it is yours from today.'),
	('tier_at_risk', 'zh', '您的{{tier}}等级即将到期',
		'{{nickname|亲}}，您的{{tier}}等级即将到期，再次光临即有机会保留会员礼遇。'),
	('tier_at_risk', 'en', 'Your {{tier}} level is about to end',
		'Hi {{nickname|there}}, your {{tier}} level is about to end. Your next visit can keep what comes with it.');

CREATE TABLE retention.care_template (
	shop_id integer NOT NULL,
	name text NOT NULL CHECK (name <> ''),
	language text NOT NULL CHECK (language IN ('zh', 'en')),
	text text NOT NULL CHECK (retention.care_template_valid(text)),
	subject_line text CHECK (retention.care_subject_line_valid(subject_line)),
	PRIMARY KEY (shop_id, name, language)
);

SELECT pg_catalog.pg_extension_config_dump('retention.care_template', '');

COMMENT ON TABLE retention.care_template IS 'A shop''s own texts, and its versions of shipped ones';
COMMENT ON COLUMN retention.care_template.shop_id IS 'The shop';
COMMENT ON COLUMN retention.care_template.name IS 'Name of the template; a rule takes the one of its own name unless it names another';
COMMENT ON COLUMN retention.care_template.language IS 'zh (Chinese) or en (English); shop.language says which one the shop writes in';
COMMENT ON COLUMN retention.care_template.text IS 'The text; the signature is put before it. Placeholders {{name}} or {{name|default}}: shop, nickname, name, customer.ATTRIBUTE, customer.id, purchases, spent, days (since the last purchase), tier, points, points.expiring and points.expire_on, order.id, order.total, order.paid, order.refunded, order.channel, order.close_reason, order.ATTRIBUTE, festival, greeting, milestone, review.score, review.content, and in campaigns campaign, offer_code, event.at, event.place';
COMMENT ON COLUMN retention.care_template.subject_line IS 'Subject line of an e-mail, with the same placeholders and without the signature; other channels leave it out. NULL: it has none';

CREATE VIEW retention.care_templates AS
	SELECT t.shop_id, t.name, t.language, t.text, t.subject_line, false AS shipped
	FROM retention.care_template t
	UNION ALL
	SELECT s.shop_id, d.name, d.language, d.text, d.subject_line, true
	FROM retention.shop s
	CROSS JOIN retention.care_template_default d
	WHERE NOT EXISTS (
		SELECT
		FROM retention.care_template t
		WHERE t.shop_id = s.shop_id AND t.name = d.name AND t.language = d.language
	);

COMMENT ON VIEW retention.care_templates IS 'The texts in force for each shop: its own, and the shipped ones it has not replaced. Update a row to change a text for a shop, insert one to add a text, delete one to return to the shipped text';
COMMENT ON COLUMN retention.care_templates.shop_id IS 'The shop';
COMMENT ON COLUMN retention.care_templates.name IS 'Name of the template';
COMMENT ON COLUMN retention.care_templates.language IS 'zh (Chinese) or en (English)';
COMMENT ON COLUMN retention.care_templates.text IS 'The text without the signature; see care_template.text';
COMMENT ON COLUMN retention.care_templates.subject_line IS 'Subject line of an e-mail; see care_template.subject_line';
COMMENT ON COLUMN retention.care_templates.shipped IS 'Whether it is a shipped text that the shop has not changed';

CREATE FUNCTION retention.change_care_template()
	RETURNS trigger
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF TG_OP = 'DELETE' THEN
		IF OLD.shipped THEN
			RAISE EXCEPTION 'shipped template "%" cannot be deleted', OLD.name
				USING ERRCODE = 'object_not_in_prerequisite_state',
					HINT = 'Switch off the rules that use it, or change its text.';
		END IF;
		DELETE FROM retention.care_template t
		WHERE t.shop_id = OLD.shop_id AND t.name = OLD.name AND t.language = OLD.language;
		RETURN OLD;
	END IF;

	NEW.shop_id := coalesce(NEW.shop_id, retention.shop_id());
	NEW.language := coalesce(NEW.language, (
		SELECT s.language
		FROM retention.shop s
		WHERE s.shop_id = NEW.shop_id));
	IF TG_OP = 'UPDATE' AND NOT OLD.shipped THEN
		UPDATE retention.care_template t
		SET shop_id = NEW.shop_id,
			name = NEW.name,
			language = NEW.language,
			text = NEW.text,
			subject_line = NEW.subject_line
		WHERE t.shop_id = OLD.shop_id AND t.name = OLD.name AND t.language = OLD.language;
	ELSE
		INSERT INTO retention.care_template (shop_id, name, language, text, subject_line)
		VALUES (NEW.shop_id, NEW.name, NEW.language, NEW.text, NEW.subject_line);
	END IF;
	NEW.shipped := false;
	RETURN NEW;
END
$$;

COMMENT ON FUNCTION retention.change_care_template() IS 'Trigger of the view care_templates: writes a shop''s own version of the text';

CREATE TRIGGER change_care_template
	INSTEAD OF INSERT OR UPDATE OR DELETE ON retention.care_templates
	FOR EACH ROW EXECUTE FUNCTION retention.change_care_template();

GRANT SELECT ON retention.care_templates TO retention_reader, retention_operator;
