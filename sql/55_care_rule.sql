-- ---------------------------------------------------------------------------
-- care_rule: when to say what
-- ---------------------------------------------------------------------------

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
	enabled boolean NOT NULL
);

COMMENT ON TABLE retention.care_rule_default IS 'The care rules that come with the extension, all switched off';
COMMENT ON COLUMN retention.care_rule_default.name IS 'Name of the rule';
COMMENT ON COLUMN retention.care_rule_default.event IS 'What calls for the message';
COMMENT ON COLUMN retention.care_rule_default.delay IS 'How long after the event it falls due';
COMMENT ON COLUMN retention.care_rule_default.validity IS 'How long after falling due it is still worth sending';
COMMENT ON COLUMN retention.care_rule_default.channel IS 'Channel it goes by';
COMMENT ON COLUMN retention.care_rule_default.purpose IS 'transactional, care or marketing';
COMMENT ON COLUMN retention.care_rule_default.priority IS 'Where several wait, the higher goes first';
COMMENT ON COLUMN retention.care_rule_default.enabled IS 'Whether the rule is on';

INSERT INTO retention.care_rule_default (name, event, delay, validity, channel, purpose, priority, enabled)
VALUES
	('unpaid_reminder', 'unpaid', '30 minutes', '12 hours', 'sms', 'transactional', 50, false),
	('second_unpaid_reminder', 'unpaid', '24 hours', '24 hours', 'sms', 'transactional', 40, false);

CREATE TRIGGER invalidate_cache
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON retention.care_rule_default
	FOR EACH STATEMENT EXECUTE FUNCTION retention.invalidate_cache();

CREATE TABLE retention.care_rule (
	shop_id integer NOT NULL,
	name text NOT NULL,
	event text NOT NULL CHECK (event IN ('unpaid')),
	delay interval NOT NULL DEFAULT '0' CHECK (delay >= interval '0'),
	validity interval NOT NULL DEFAULT '1 day' CHECK (validity > interval '0'),
	channel text NOT NULL DEFAULT 'sms' CHECK (channel IN ('sms', 'email', 'wechat', 'call', 'post', 'visit')),
	purpose text NOT NULL DEFAULT 'transactional' CHECK (purpose IN ('transactional', 'care', 'marketing')),
	priority integer NOT NULL DEFAULT 50,
	enabled boolean NOT NULL DEFAULT true,
	PRIMARY KEY (shop_id, name)
);

SELECT pg_catalog.pg_extension_config_dump('retention.care_rule', '');

COMMENT ON TABLE retention.care_rule IS 'A shop''s own care rules, and its versions of shipped ones';
COMMENT ON COLUMN retention.care_rule.shop_id IS 'The shop';
COMMENT ON COLUMN retention.care_rule.name IS 'Name of the rule; a shipped rule''s name replaces that rule';
COMMENT ON COLUMN retention.care_rule.event IS 'What calls for the message: unpaid (an order is placed and not paid)';
COMMENT ON COLUMN retention.care_rule.delay IS 'How long after the event it falls due';
COMMENT ON COLUMN retention.care_rule.validity IS 'How long after falling due it is still worth sending';
COMMENT ON COLUMN retention.care_rule.channel IS 'Channel it goes by: sms, email, wechat, call, post or visit';
COMMENT ON COLUMN retention.care_rule.purpose IS 'transactional, care or marketing';
COMMENT ON COLUMN retention.care_rule.priority IS 'Where several wait, the higher goes first';
COMMENT ON COLUMN retention.care_rule.enabled IS 'Whether the rule is on';

CREATE TRIGGER invalidate_cache
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON retention.care_rule
	FOR EACH STATEMENT EXECUTE FUNCTION retention.invalidate_cache();

CREATE VIEW retention.care_rules AS
	SELECT r.shop_id, r.name, r.event, r.delay, r.validity, r.channel, r.purpose, r.priority, r.enabled, false AS shipped
	FROM retention.care_rule r
	UNION ALL
	SELECT s.shop_id, d.name, d.event, d.delay, d.validity, d.channel, d.purpose, d.priority, d.enabled, true
	FROM retention.shop s
	CROSS JOIN retention.care_rule_default d
	WHERE NOT EXISTS (
		SELECT
		FROM retention.care_rule r
		WHERE r.shop_id = s.shop_id AND r.name = d.name
	);

COMMENT ON VIEW retention.care_rules IS 'The care rules in force for each shop: its own, and the shipped ones it has not replaced. Update a row to change a rule for a shop, insert one to add a rule';
COMMENT ON COLUMN retention.care_rules.shop_id IS 'The shop';
COMMENT ON COLUMN retention.care_rules.name IS 'Name of the rule';
COMMENT ON COLUMN retention.care_rules.event IS 'What calls for the message';
COMMENT ON COLUMN retention.care_rules.delay IS 'How long after the event it falls due';
COMMENT ON COLUMN retention.care_rules.validity IS 'How long after falling due it is still worth sending';
COMMENT ON COLUMN retention.care_rules.channel IS 'Channel it goes by';
COMMENT ON COLUMN retention.care_rules.purpose IS 'transactional, care or marketing';
COMMENT ON COLUMN retention.care_rules.priority IS 'Where several wait, the higher goes first';
COMMENT ON COLUMN retention.care_rules.enabled IS 'Whether the rule is on';
COMMENT ON COLUMN retention.care_rules.shipped IS 'Whether it is a shipped rule that the shop has not changed';

-- Changing a shipped rule makes the shop's own version of it.
CREATE FUNCTION retention.change_care_rule()
	RETURNS trigger
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF TG_OP IN ('UPDATE', 'DELETE') AND OLD.shipped AND TG_OP = 'DELETE' THEN
		RAISE EXCEPTION 'shipped rule "%" cannot be deleted', OLD.name
			USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = format('Switch it off: SELECT retention.disable_rule(%L).', OLD.name);
	END IF;
	IF TG_OP IN ('UPDATE', 'DELETE') THEN
		DELETE FROM retention.care_rule
		WHERE shop_id = OLD.shop_id AND name = OLD.name;
	END IF;
	IF TG_OP = 'DELETE' THEN
		RETURN OLD;
	END IF;
	INSERT INTO retention.care_rule (shop_id, name, event, delay, validity, channel, purpose, priority, enabled)
	VALUES (
		coalesce(NEW.shop_id, retention.shop_id()),
		NEW.name,
		NEW.event,
		coalesce(NEW.delay, interval '0'),
		coalesce(NEW.validity, interval '1 day'),
		coalesce(NEW.channel, 'sms'),
		coalesce(NEW.purpose, 'transactional'),
		coalesce(NEW.priority, 50),
		coalesce(NEW.enabled, true)
	);
	RETURN NEW;
END
$$;

COMMENT ON FUNCTION retention.change_care_rule() IS 'Trigger of the view care_rules: writes a shop''s own version of the rule';

CREATE TRIGGER change_care_rule
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

COMMENT ON FUNCTION retention.enable_rule(text, text) IS 'Switches a care rule on; orders placed before are not written to. shop NULL means the only shop';

CREATE FUNCTION retention.disable_rule(rule text, shop text DEFAULT NULL)
	RETURNS void
	LANGUAGE sql
	SET search_path = pg_catalog, pg_temp
	AS 'SELECT retention.set_rule_enabled(rule, false, shop)';

COMMENT ON FUNCTION retention.disable_rule(text, text) IS 'Switches a care rule off. shop NULL means the only shop';
