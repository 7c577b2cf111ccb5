-- ---------------------------------------------------------------------------
-- care_rule: when to say what
-- ---------------------------------------------------------------------------

-- What a rule's event needs to know besides its delay.  A mistyped parameter is
-- refused: it would change in silence who is written to.
CREATE FUNCTION retention.care_parameters_valid(event text, parameters jsonb)
	RETURNS boolean
	LANGUAGE plpgsql
	IMMUTABLE
	PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	parameter record;
	known boolean;
BEGIN
	IF jsonb_typeof(parameters) <> 'object' THEN
		RETURN false;
	END IF;
	FOR parameter IN
		SELECT p.key, p.value
		FROM jsonb_each(parameters) p
	LOOP
		known := CASE
			WHEN parameter.key = 'amount' AND event = 'paid'
				OR parameter.key = 'score' AND event IN ('review', 'bad_review')
				OR parameter.key = 'purchases' AND event IN ('repurchase', 'festival', 'season', 'last_purchase', 'birthday')
				OR parameter.key = 'top' AND event = 'best_customer'
			THEN jsonb_typeof(parameter.value) = 'number' AND (parameter.value #>> '{}')::numeric >= 0
			WHEN parameter.key = 'amounts' AND event = 'spend_milestone'
			THEN jsonb_typeof(parameter.value) = 'array'
				AND NOT jsonb_path_exists(parameter.value, 'strict $[*] ? (@.type() != "number")')
			WHEN parameter.key = 'festivals' AND event IN ('festival', 'season')
			THEN jsonb_typeof(parameter.value) = 'array'
				AND NOT jsonb_path_exists(parameter.value, 'strict $[*] ? (@.type() != "string")')
			WHEN parameter.key = 'recipient' AND event = 'referral'
			THEN parameter.value IN ('"customer"', '"referrer"')
			ELSE false
		END;
		IF NOT known THEN
			RAISE EXCEPTION 'invalid parameter of a care rule for event "%": % = %', event, parameter.key, parameter.value
				USING ERRCODE = 'invalid_parameter_value',
					HINT = 'The comment on retention.care_rule.parameters lists the parameters and their events.';
		END IF;
	END LOOP;
	RETURN true;
END
$$;

COMMENT ON FUNCTION retention.care_parameters_valid(text, jsonb) IS 'Whether these are parameters that a rule of this event takes; an unknown or mistyped one is an error that names it';

-- The shipped rules, for every shop; a shop's own row of the same name in
-- care_rule takes the place of the shipped one.
CREATE TABLE retention.care_rule_default (
	name text PRIMARY KEY,
	event text NOT NULL,
	delay interval NOT NULL,
	validity interval NOT NULL,
	channel text NOT NULL,
	purpose text NOT NULL,
	priority integer NOT NULL,
	template text,
	parameters jsonb NOT NULL DEFAULT '{}' CHECK (retention.care_parameters_valid(event, parameters)),
	counts_towards_caps boolean NOT NULL DEFAULT true,
	ignores_caps boolean NOT NULL DEFAULT false,
	ignores_quiet_hours boolean NOT NULL DEFAULT false,
	enabled boolean NOT NULL DEFAULT false
);

COMMENT ON TABLE retention.care_rule_default IS 'The care rules that come with the extension, all switched off; not to be edited: it is not dumped';
COMMENT ON COLUMN retention.care_rule_default.name IS 'Name of the rule';
COMMENT ON COLUMN retention.care_rule_default.event IS 'What calls for the message; see care_rule.event';
COMMENT ON COLUMN retention.care_rule_default.delay IS 'How long after the event it falls due; where the event is a day, from that day''s midnight in the shop''s zone, and before it when negative';
COMMENT ON COLUMN retention.care_rule_default.validity IS 'How long after falling due it is still worth sending';
COMMENT ON COLUMN retention.care_rule_default.channel IS 'Channel it goes by: sms, email, wechat, call, post or visit; shop is a notice to the shopkeeper';
COMMENT ON COLUMN retention.care_rule_default.purpose IS 'transactional, care or marketing';
COMMENT ON COLUMN retention.care_rule_default.priority IS 'Where several wait, the higher goes first';
COMMENT ON COLUMN retention.care_rule_default.template IS 'Template of its text; NULL means the one named like the rule';
COMMENT ON COLUMN retention.care_rule_default.parameters IS 'What the event needs to know besides: amount, amounts, purchases, top, festivals, recipient; see care_rule.parameters';
COMMENT ON COLUMN retention.care_rule_default.counts_towards_caps IS 'Whether its messages count towards frequency caps';
COMMENT ON COLUMN retention.care_rule_default.ignores_caps IS 'Whether its messages go out whatever the frequency caps say';
COMMENT ON COLUMN retention.care_rule_default.ignores_quiet_hours IS 'Whether its messages go out in quiet hours too';
COMMENT ON COLUMN retention.care_rule_default.enabled IS 'Whether the rule is on';

INSERT INTO retention.care_rule_default (name, event, delay, validity, channel, purpose, priority, parameters)
VALUES
	('unpaid_reminder', 'unpaid', '30 minutes', '12 hours', 'sms', 'transactional', 50, '{}'),
	('second_unpaid_reminder', 'unpaid', '24 hours', '24 hours', 'sms', 'transactional', 40, '{}'),
	('closed_unpaid', 'closed_unpaid', '0', '1 day', 'sms', 'transactional', 40, '{}'),
	('paid_thanks', 'paid', '0', '1 day', 'sms', 'transactional', 60, '{}'),
	('shipped', 'shipped', '0', '1 day', 'sms', 'transactional', 60, '{}'),
	('shipping_late', 'unshipped', '48 hours', '2 days', 'sms', 'transactional', 55, '{}'),
	('arrived', 'delivered', '0', '1 day', 'sms', 'transactional', 60, '{}'),
	('confirm_receipt', 'delivered', '5 days 2 hours', '3 days', 'sms', 'transactional', 45, '{}'),
	('refunded', 'refunded', '0', '1 day', 'sms', 'transactional', 60, '{}'),
	('big_order_call', 'paid', '7 days', '7 days', 'call', 'care', 60, '{"amount": 2000}'),
	('review_thanks', 'review', '0', '3 days', 'sms', 'care', 30, '{}'),
	('bad_review', 'bad_review', '0', '7 days', 'shop', 'transactional', 90, '{}'),
	('after_purchase_15_days', 'last_purchase', '15 days 10 hours', '5 days', 'sms', 'care', 30, '{}'),
	('repurchase', 'repurchase', '10 hours', '7 days', 'sms', 'marketing', 20, '{"purchases": 3}'),
	('silence_90_days', 'last_purchase', '90 days 10 hours', '7 days', 'sms', 'care', 20, '{}'),
	('silence_180_days', 'last_purchase', '180 days 10 hours', '7 days', 'sms', 'care', 20, '{}'),
	('silence_365_days', 'last_purchase', '365 days 10 hours', '14 days', 'call', 'care', 20, '{}'),
	('spend_milestone', 'spend_milestone', '1 day 10 hours', '14 days', 'post', 'care', 40, '{"amounts": [5000, 10000, 20000, 50000]}'),
	('tier_reached', 'tier_reached', '0', '3 days', 'sms', 'care', 60, '{}'),
	('tier_at_risk', 'tier_at_risk', '-30 days 10 hours', '14 days', 'sms', 'care', 35, '{}'),
	('points_expiring', 'points_expiring', '-30 days 10 hours', '14 days', 'sms', 'transactional', 35, '{}'),
	('birthday', 'birthday', '9 hours', '12 hours', 'sms', 'care', 70, '{}'),
	('birthday_soon', 'birthday', '-3 days 10 hours', '2 days', 'sms', 'care', 65, '{}'),
	('festival', 'festival', '9 hours', '12 hours', 'sms', 'care', 65, '{}'),
	('season_change', 'season', '10 hours', '3 days', 'sms', 'care', 25, '{}'),
	('referral_thanks', 'referral', '0', '1 day', 'sms', 'care', 60, '{"recipient": "referrer"}'),
	('referral_welcome', 'referral', '0', '1 day', 'sms', 'care', 60, '{"recipient": "customer"}'),
	('best_customer_visit', 'best_customer', '14 days 10 hours', '30 days', 'visit', 'care', 60, '{"top": 10}');

CREATE TRIGGER invalidate_cache
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON retention.care_rule_default
	FOR EACH STATEMENT EXECUTE FUNCTION retention.invalidate_cache();

CREATE FUNCTION retention.is_order_event(event text)
	RETURNS boolean
	LANGUAGE sql
	IMMUTABLE
	PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN event IN ('unpaid', 'closed_unpaid', 'paid', 'unshipped', 'shipped', 'delivered', 'completed', 'refunded');

COMMENT ON FUNCTION retention.is_order_event(text) IS 'Whether messages of rules for this event are about an order, always';

CREATE TABLE retention.care_rule (
	shop_id integer NOT NULL,
	name text NOT NULL CHECK (name <> '' AND name NOT LIKE 'campaign:%'),
	event text NOT NULL CHECK (event IN (
		'unpaid', 'closed_unpaid', 'paid', 'unshipped', 'shipped', 'delivered', 'completed', 'refunded',
		'review', 'bad_review', 'last_purchase', 'repurchase', 'spend_milestone', 'tier_reached',
		'tier_at_risk', 'points_expiring', 'birthday', 'festival', 'season', 'referral', 'best_customer')),
	delay interval NOT NULL DEFAULT '0',
	validity interval NOT NULL DEFAULT '1 day' CHECK (validity > interval '0'),
	channel text NOT NULL DEFAULT 'sms' CHECK (channel IN ('sms', 'email', 'wechat', 'call', 'post', 'visit', 'shop')),
	purpose text NOT NULL DEFAULT 'transactional' CHECK (purpose IN ('transactional', 'care', 'marketing')),
	priority integer NOT NULL DEFAULT 50,
	template text,
	parameters jsonb NOT NULL DEFAULT '{}' CHECK (retention.care_parameters_valid(event, parameters)),
	counts_towards_caps boolean NOT NULL DEFAULT true,
	ignores_caps boolean NOT NULL DEFAULT false,
	ignores_quiet_hours boolean NOT NULL DEFAULT false,
	enabled boolean NOT NULL DEFAULT true,
	condition text CHECK (condition <> ''),
	condition_by text,
	PRIMARY KEY (shop_id, name),
	CONSTRAINT care_rule_delay CHECK (
		delay >= interval '0'
		OR event IN ('tier_at_risk', 'points_expiring', 'birthday', 'festival', 'season'))
);

SELECT pg_catalog.pg_extension_config_dump('retention.care_rule', '');

COMMENT ON TABLE retention.care_rule IS 'A shop''s own care rules, and its versions of shipped ones';
COMMENT ON COLUMN retention.care_rule.shop_id IS 'The shop';
COMMENT ON COLUMN retention.care_rule.name IS 'Name of the rule; a shipped rule''s name replaces that rule. Names that begin with campaign: are those of campaigns'' steps';
COMMENT ON COLUMN retention.care_rule.event IS 'What calls for the message. unpaid (placed and not paid), closed_unpaid, paid, unshipped (paid and not shipped), shipped, delivered, completed, refunded: an order''s, as long as it is in that state; review, bad_review (a score of at most parameters.score, 3 by default); last_purchase (a day; bought again it no longer holds), repurchase (the day the customer''s own usual interval is over), spend_milestone (the day a sum of parameters.amounts was reached), tier_reached (a higher tier), tier_at_risk (the day a tier is lost unless something is bought), points_expiring (the day points lapse), birthday, festival and season (days of the table festival), referral (the first purchase of a referred customer), best_customer (new year''s day, for the past year)';
COMMENT ON COLUMN retention.care_rule.delay IS 'How long after the event it falls due; where the event is a day, from that day''s midnight in the shop''s zone, and before it when negative';
COMMENT ON COLUMN retention.care_rule.validity IS 'How long after falling due it is still worth sending';
COMMENT ON COLUMN retention.care_rule.channel IS 'Channel it goes by: sms, email, wechat, call, post or visit; shop is a notice to the shopkeeper';
COMMENT ON COLUMN retention.care_rule.purpose IS 'transactional, care or marketing';
COMMENT ON COLUMN retention.care_rule.priority IS 'Where several wait, the higher goes first';
COMMENT ON COLUMN retention.care_rule.template IS 'Template of its text; NULL means the one named like the rule';
COMMENT ON COLUMN retention.care_rule.parameters IS 'What the event needs to know besides. amount: least value of the order (paid), amounts: the sums that are milestones (spend_milestone), score: highest score that is a bad review (review, bad_review), purchases: least number of purchases (repurchase, festival, season, last_purchase), top: how many customers of a shop (best_customer), festivals: names of those to greet on (festival, season; by default those meant for the shop''s language), recipient: customer or referrer (referral)';
COMMENT ON COLUMN retention.care_rule.counts_towards_caps IS 'Whether its messages count towards frequency caps';
COMMENT ON COLUMN retention.care_rule.ignores_caps IS 'Whether its messages go out whatever the frequency caps say';
COMMENT ON COLUMN retention.care_rule.ignores_quiet_hours IS 'Whether its messages go out in quiet hours too';
COMMENT ON COLUMN retention.care_rule.enabled IS 'Whether the rule is on';
COMMENT ON COLUMN retention.care_rule.condition IS 'For whom: an SQL condition over a row of customer_details and, where the event is an order''s state or refunded, over the order''s row of the view orders, named purchase: spent >= 500 AND purchase.channel = ''app''. Evaluated when a message is claimed, as the role condition_by, read-only; where it is not true the message is skipped. NULL: for all';
COMMENT ON COLUMN retention.care_rule.condition_by IS 'The role that wrote the condition; NULL, or a superuser: evaluated as retention_reader';

CREATE TRIGGER invalidate_cache
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON retention.care_rule
	FOR EACH STATEMENT EXECUTE FUNCTION retention.invalidate_cache();

-- An order that is paid while the rule is off cancels nothing, so what the rule
-- had queued must not lie in wait for the day it is switched on again.
CREATE FUNCTION retention.cancel_messages_of_rule()
	RETURNS trigger
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE retention.care_message m
	SET state = 'cancelled',
		reason = 'the rule was switched off',
		changed_at = retention.now()
	FROM (
		SELECT o.customer_id, o.subject
		FROM retention.care_message o
		WHERE o.shop_id = OLD.shop_id AND o.rule = OLD.name AND o.state IN ('queued', 'claimed')
		ORDER BY o.customer_id, o.subject
		FOR NO KEY UPDATE
	) AS open
	WHERE m.shop_id = OLD.shop_id
		AND m.customer_id = open.customer_id
		AND m.rule = OLD.name
		AND m.subject = open.subject;
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION retention.cancel_messages_of_rule() IS 'Trigger on care_rule: cancels what is queued for a rule that is switched off or removed';

CREATE TRIGGER switched_off
	AFTER UPDATE ON retention.care_rule
	FOR EACH ROW
	WHEN (OLD.enabled AND (NOT NEW.enabled OR NEW.name <> OLD.name OR NEW.shop_id <> OLD.shop_id OR NEW.event <> OLD.event))
	EXECUTE FUNCTION retention.cancel_messages_of_rule();

CREATE TRIGGER removed
	AFTER DELETE ON retention.care_rule
	FOR EACH ROW
	WHEN (OLD.enabled)
	EXECUTE FUNCTION retention.cancel_messages_of_rule();

CREATE VIEW retention.care_rules AS
	SELECT
		r.shop_id,
		r.name, r.event, r.delay, r.validity, r.channel, r.purpose, r.priority, r.template, r.parameters,
		r.counts_towards_caps, r.ignores_caps, r.ignores_quiet_hours, r.enabled,
		r.condition, r.condition_by,
		false AS shipped
	FROM retention.care_rule r
	UNION ALL
	SELECT
		s.shop_id,
		d.name, d.event, d.delay, d.validity, d.channel, d.purpose, d.priority, d.template, d.parameters,
		d.counts_towards_caps, d.ignores_caps, d.ignores_quiet_hours, d.enabled,
		NULL, NULL,
		true
	FROM retention.shop s
	CROSS JOIN retention.care_rule_default d
	WHERE NOT EXISTS (
		SELECT
		FROM retention.care_rule r
		WHERE r.shop_id = s.shop_id AND r.name = d.name
	);

COMMENT ON VIEW retention.care_rules IS 'The care rules in force for each shop: its own, and the shipped ones it has not replaced. Update a row to change a rule for a shop, insert one to add a rule, delete one to return to the shipped rule';
COMMENT ON COLUMN retention.care_rules.shop_id IS 'The shop';
COMMENT ON COLUMN retention.care_rules.name IS 'Name of the rule';
COMMENT ON COLUMN retention.care_rules.event IS 'What calls for the message; see care_rule.event';
COMMENT ON COLUMN retention.care_rules.delay IS 'How long after the event it falls due; where the event is a day, from that day''s midnight in the shop''s zone, and before it when negative';
COMMENT ON COLUMN retention.care_rules.validity IS 'How long after falling due it is still worth sending';
COMMENT ON COLUMN retention.care_rules.channel IS 'Channel it goes by: sms, email, wechat, call, post or visit; shop is a notice to the shopkeeper';
COMMENT ON COLUMN retention.care_rules.purpose IS 'transactional, care or marketing';
COMMENT ON COLUMN retention.care_rules.priority IS 'Where several wait, the higher goes first';
COMMENT ON COLUMN retention.care_rules.template IS 'Template of its text; NULL means the one named like the rule';
COMMENT ON COLUMN retention.care_rules.parameters IS 'What the event needs to know besides: amount, amounts, purchases, top, festivals, recipient; see care_rule.parameters';
COMMENT ON COLUMN retention.care_rules.counts_towards_caps IS 'Whether its messages count towards frequency caps';
COMMENT ON COLUMN retention.care_rules.ignores_caps IS 'Whether its messages go out whatever the frequency caps say';
COMMENT ON COLUMN retention.care_rules.ignores_quiet_hours IS 'Whether its messages go out in quiet hours too';
COMMENT ON COLUMN retention.care_rules.enabled IS 'Whether the rule is on';
COMMENT ON COLUMN retention.care_rules.condition IS 'For whom: see care_rule.condition. Checked when it is written';
COMMENT ON COLUMN retention.care_rules.condition_by IS 'The role that wrote the condition, and as which it is evaluated; set by writing it';
COMMENT ON COLUMN retention.care_rules.shipped IS 'Whether it is a shipped rule that the shop has not changed';

-- Changing a shipped rule makes the shop's own version of it.
CREATE FUNCTION retention.change_care_rule()
	RETURNS trigger
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF TG_OP = 'DELETE' THEN
		IF OLD.shipped THEN
			RAISE EXCEPTION 'shipped rule "%" cannot be deleted', OLD.name
				USING ERRCODE = 'object_not_in_prerequisite_state',
					HINT = format('Switch it off: SELECT retention.disable_rule(%L).', OLD.name);
		END IF;
		DELETE FROM retention.care_rule r
		WHERE r.shop_id = OLD.shop_id AND r.name = OLD.name;
		RETURN OLD;
	END IF;

	NEW.shop_id := coalesce(NEW.shop_id, retention.shop_id());
	NEW.delay := coalesce(NEW.delay, interval '0');
	NEW.validity := coalesce(NEW.validity, interval '1 day');
	NEW.channel := coalesce(NEW.channel, 'sms');
	NEW.purpose := coalesce(NEW.purpose, 'transactional');
	NEW.priority := coalesce(NEW.priority, 50);
	NEW.parameters := coalesce(NEW.parameters, '{}');
	NEW.counts_towards_caps := coalesce(NEW.counts_towards_caps, true);
	NEW.ignores_caps := coalesce(NEW.ignores_caps, false);
	NEW.ignores_quiet_hours := coalesce(NEW.ignores_quiet_hours, false);
	NEW.enabled := coalesce(NEW.enabled, true);

	IF TG_OP = 'UPDATE' AND NOT OLD.shipped THEN
		UPDATE retention.care_rule r
		SET shop_id = NEW.shop_id,
			name = NEW.name,
			event = NEW.event,
			delay = NEW.delay,
			validity = NEW.validity,
			channel = NEW.channel,
			purpose = NEW.purpose,
			priority = NEW.priority,
			template = NEW.template,
			parameters = NEW.parameters,
			counts_towards_caps = NEW.counts_towards_caps,
			ignores_caps = NEW.ignores_caps,
			ignores_quiet_hours = NEW.ignores_quiet_hours,
			enabled = NEW.enabled,
			condition = NEW.condition,
			condition_by = NEW.condition_by
		WHERE r.shop_id = OLD.shop_id AND r.name = OLD.name;
	ELSE
		INSERT INTO retention.care_rule (
			shop_id, name, event, delay, validity, channel, purpose, priority, template, parameters,
			counts_towards_caps, ignores_caps, ignores_quiet_hours, enabled, condition, condition_by
		)
		VALUES (
			NEW.shop_id,
			NEW.name,
			NEW.event,
			NEW.delay,
			NEW.validity,
			NEW.channel,
			NEW.purpose,
			NEW.priority,
			NEW.template,
			NEW.parameters,
			NEW.counts_towards_caps,
			NEW.ignores_caps,
			NEW.ignores_quiet_hours,
			NEW.enabled,
			NEW.condition,
			NEW.condition_by
		);
	END IF;
	NEW.shipped := false;
	RETURN NEW;
END
$$;

COMMENT ON FUNCTION retention.change_care_rule() IS 'Trigger of the view care_rules: writes a shop''s own version of the rule';

-- By whom the condition is written only a function that runs as its caller can
-- tell: this one, whose trigger goes first, by its name.
CREATE FUNCTION retention.check_care_rule()
	RETURNS trigger
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF TG_OP = 'INSERT'
		OR (NEW.condition, NEW.condition_by, NEW.event) IS DISTINCT FROM (OLD.condition, OLD.condition_by, OLD.event)
	THEN
		NEW.condition_by := retention.check_condition(
			NEW.condition, retention.is_order_event(NEW.event), format('the condition of care rule "%s"', NEW.name));
	END IF;
	RETURN NEW;
END
$$;

COMMENT ON FUNCTION retention.check_care_rule() IS 'Trigger of the view care_rules: checks a condition that is written, and signs it with the role that writes it';

CREATE TRIGGER check_care_rule
	INSTEAD OF INSERT OR UPDATE ON retention.care_rules
	FOR EACH ROW EXECUTE FUNCTION retention.check_care_rule();

CREATE TRIGGER write_care_rule
	INSTEAD OF INSERT OR UPDATE OR DELETE ON retention.care_rules
	FOR EACH ROW EXECUTE FUNCTION retention.change_care_rule();

CREATE FUNCTION retention.set_rule_enabled(rule text, enabled boolean, shop text DEFAULT NULL)
	RETURNS void
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE retention.care_rules r
	SET enabled = set_rule_enabled.enabled
	WHERE r.shop_id = retention.shop_id(shop)
		AND r.name = rule
		AND r.enabled IS DISTINCT FROM set_rule_enabled.enabled;
	IF NOT FOUND
		AND NOT EXISTS (
			SELECT
			FROM retention.care_rules r
			WHERE r.shop_id = retention.shop_id(shop) AND r.name = rule
		)
	THEN
		RAISE EXCEPTION 'care rule "%" does not exist', rule
			USING ERRCODE = 'undefined_object',
				HINT = 'SELECT name FROM retention.care_rules shows the rules there are.';
	END IF;
END
$$;

COMMENT ON FUNCTION retention.set_rule_enabled(text, boolean, text) IS 'Switches a care rule on or off for a shop; an unknown rule is an error';

CREATE FUNCTION retention.enable_rule(rule text, shop text DEFAULT NULL)
	RETURNS void
	LANGUAGE sql
	SET search_path = pg_catalog, pg_temp
	AS 'SELECT retention.set_rule_enabled(rule, true, shop)';

COMMENT ON FUNCTION retention.enable_rule(text, text) IS 'Switches a care rule on; what happened before calls for no message. shop NULL means the only shop';

CREATE FUNCTION retention.disable_rule(rule text, shop text DEFAULT NULL)
	RETURNS void
	LANGUAGE sql
	SET search_path = pg_catalog, pg_temp
	AS 'SELECT retention.set_rule_enabled(rule, false, shop)';

COMMENT ON FUNCTION retention.disable_rule(text, text) IS 'Switches a care rule off and cancels what is queued for it. shop NULL means the only shop';

GRANT EXECUTE ON FUNCTION
	retention.set_rule_enabled(text, boolean, text),
	retention.enable_rule(text, text),
	retention.disable_rule(text, text)
TO retention_operator;

-- ---------------------------------------------------------------------------
-- order_event_at: whether what a rule says of an order is still right
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.order_event_at(event text, purchase retention.purchase)
	RETURNS timestamptz
	AS 'MODULE_PATHNAME', 'order_event_at'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.order_event_at(text, retention.purchase) IS
	'When the state that a care rule''s event stands for began for this order; NULL when the order is not, or no longer, in it. Events: unpaid, closed_unpaid, paid, unshipped, shipped, delivered, completed; any other is an error';
