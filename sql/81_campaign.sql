-- ---------------------------------------------------------------------------
-- campaign: an audience with a holdout, and the steps by which it is written to
-- ---------------------------------------------------------------------------

-- The name is the key, and the seed by which arms are drawn.
CREATE TABLE retention.campaign (
	shop_id integer NOT NULL,
	name text COLLATE "C" NOT NULL CHECK (name ~ '[^[:space:]]'),
	audience text NOT NULL,
	holdout numeric NOT NULL DEFAULT 0.1 CHECK (holdout >= 0 AND holdout < 1),
	starts_at timestamptz,
	ends_at timestamptz CHECK (ends_at > starts_at),
	attribution_days integer CHECK (attribution_days > 0),
	cost numeric CHECK (cost >= 0 AND cost < 'Infinity'),
	segment_cost numeric CHECK (segment_cost >= 0 AND segment_cost < 'Infinity'),
	event_at timestamptz,
	event_place text,
	state text NOT NULL DEFAULT 'draft' CHECK (state IN ('draft', 'running', 'paused', 'stopped', 'ended')),
	created_at timestamptz NOT NULL,
	changed_at timestamptz NOT NULL,
	stopped_at timestamptz,
	PRIMARY KEY (shop_id, name),
	CHECK (state = 'draft' OR starts_at IS NOT NULL)
);

SELECT pg_catalog.pg_extension_config_dump('retention.campaign', '');

COMMENT ON TABLE retention.campaign IS 'A campaign: an audience, part of which is held out to compare with, written to in steps';
COMMENT ON COLUMN retention.campaign.shop_id IS 'The shop';
COMMENT ON COLUMN retention.campaign.name IS 'Name of the campaign; the arms are drawn by it';
COMMENT ON COLUMN retention.campaign.audience IS 'The audience whose customers, at the start, are the campaign''s members';
COMMENT ON COLUMN retention.campaign.holdout IS 'Share of the members who are not written to, from 0 (none) to below 1';
COMMENT ON COLUMN retention.campaign.starts_at IS 'From when the steps'' delays count; NULL until the start means at the start';
COMMENT ON COLUMN retention.campaign.ends_at IS 'From then on nothing is sent; NULL means until the last step is no longer worth sending';
COMMENT ON COLUMN retention.campaign.attribution_days IS 'An order counts as this campaign''s up to so many days after it last wrote to the customer; NULL means shop.attribution_days';
COMMENT ON COLUMN retention.campaign.cost IS 'What it costs whatever is sent, in the shop''s currency; NULL when not given';
COMMENT ON COLUMN retention.campaign.segment_cost IS 'What one billed SMS part costs, in the shop''s currency; NULL when not given';
COMMENT ON COLUMN retention.campaign.event_at IS 'When the event takes place that it invites to; NULL when it does not';
COMMENT ON COLUMN retention.campaign.event_place IS 'Where that is';
COMMENT ON COLUMN retention.campaign.state IS 'draft (not started), running, paused, stopped or ended (by ends_at)';
COMMENT ON COLUMN retention.campaign.created_at IS 'When it was made';
COMMENT ON COLUMN retention.campaign.changed_at IS 'When its state last changed';
COMMENT ON COLUMN retention.campaign.stopped_at IS 'When it was stopped or ended';

CREATE TABLE retention.campaign_step (
	shop_id integer NOT NULL,
	campaign text COLLATE "C" NOT NULL,
	step integer NOT NULL CHECK (step > 0),
	rule text NOT NULL GENERATED ALWAYS AS ('campaign:' || campaign || ':' || step::text) STORED,
	delay interval NOT NULL DEFAULT '0' CHECK (delay >= interval '0'),
	validity interval NOT NULL DEFAULT '7 days' CHECK (validity > interval '0'),
	channel text NOT NULL DEFAULT 'sms' CHECK (channel IN ('sms', 'email', 'wechat', 'call', 'post', 'visit')),
	purpose text NOT NULL DEFAULT 'marketing' CHECK (purpose IN ('care', 'marketing')),
	priority integer NOT NULL DEFAULT 20,
	template text,
	text text CHECK (CASE WHEN text IS NOT NULL THEN retention.care_template_valid(text) END),
	subject_line text CHECK (retention.care_subject_line_valid(subject_line)),
	counts_towards_caps boolean NOT NULL DEFAULT true,
	ignores_caps boolean NOT NULL DEFAULT false,
	queued_at timestamptz,
	PRIMARY KEY (shop_id, campaign, step),
	UNIQUE (shop_id, rule),
	CHECK (pg_catalog.num_nonnulls(template, text) = 1),
	CHECK (text IS NOT NULL OR subject_line IS NULL)
);

SELECT pg_catalog.pg_extension_config_dump('retention.campaign_step', '');

COMMENT ON TABLE retention.campaign_step IS 'A step of a campaign: one message to each of its members who are written to';
COMMENT ON COLUMN retention.campaign_step.shop_id IS 'The shop';
COMMENT ON COLUMN retention.campaign_step.campaign IS 'The campaign';
COMMENT ON COLUMN retention.campaign_step.step IS 'Number of the step';
COMMENT ON COLUMN retention.campaign_step.rule IS 'What its messages have in care_message.rule: campaign:NAME:STEP';
COMMENT ON COLUMN retention.campaign_step.delay IS 'How long after campaign.starts_at it falls due, by the shop''s clock';
COMMENT ON COLUMN retention.campaign_step.validity IS 'How long after falling due it is still worth sending; never after campaign.ends_at';
COMMENT ON COLUMN retention.campaign_step.channel IS 'Channel it goes by: sms, email, wechat, call, post or visit';
COMMENT ON COLUMN retention.campaign_step.purpose IS 'care or marketing: decides which consent it needs';
COMMENT ON COLUMN retention.campaign_step.priority IS 'Where several messages wait, the higher goes first';
COMMENT ON COLUMN retention.campaign_step.template IS 'Name of its template; NULL when it has a text of its own';
COMMENT ON COLUMN retention.campaign_step.text IS 'Its own text; see care_template.text for the placeholders';
COMMENT ON COLUMN retention.campaign_step.subject_line IS 'Subject line of an e-mail with a text of its own; NULL: it has none, or the template''s';
COMMENT ON COLUMN retention.campaign_step.counts_towards_caps IS 'Whether its messages count towards frequency caps';
COMMENT ON COLUMN retention.campaign_step.ignores_caps IS 'Whether its messages go out whatever the frequency caps say';
COMMENT ON COLUMN retention.campaign_step.queued_at IS 'When its messages were queued; NULL before';

CREATE TABLE retention.campaign_member (
	shop_id integer NOT NULL,
	campaign text COLLATE "C" NOT NULL,
	customer_id text COLLATE "C" NOT NULL,
	arm text NOT NULL CHECK (arm IN ('treated', 'holdout')),
	enrolled_at timestamptz NOT NULL,
	reply text CHECK (reply IN ('accepted', 'declined', 'undecided')),
	replied_at timestamptz,
	attended_at timestamptz,
	note text,
	PRIMARY KEY (shop_id, campaign, customer_id),
	CHECK ((reply IS NULL) = (replied_at IS NULL))
);

CREATE INDEX campaign_member_customer ON retention.campaign_member (shop_id, customer_id);

SELECT pg_catalog.pg_extension_config_dump('retention.campaign_member', '');

COMMENT ON TABLE retention.campaign_member IS 'A customer of a campaign''s audience at its start, and the arm';
COMMENT ON COLUMN retention.campaign_member.shop_id IS 'The shop';
COMMENT ON COLUMN retention.campaign_member.campaign IS 'The campaign';
COMMENT ON COLUMN retention.campaign_member.customer_id IS 'The customer';
COMMENT ON COLUMN retention.campaign_member.arm IS 'treated (written to) or holdout (not written to, to compare with); see campaign_arm()';
COMMENT ON COLUMN retention.campaign_member.enrolled_at IS 'When the campaign was started';
COMMENT ON COLUMN retention.campaign_member.reply IS 'Last reply to the invitation: accepted, declined or undecided; NULL for none';
COMMENT ON COLUMN retention.campaign_member.replied_at IS 'When that was';
COMMENT ON COLUMN retention.campaign_member.attended_at IS 'When the customer came to the event; NULL for not';
COMMENT ON COLUMN retention.campaign_member.note IS 'What the customer said with the reply';

-- ---------------------------------------------------------------------------
-- Arms, and when steps fall due
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.holdout_place(campaign text, shop_id integer, customer_id text)
	RETURNS double precision
	AS 'MODULE_PATHNAME', 'holdout_place'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.holdout_place(text, integer, text) IS
	'A customer''s place in a campaign, from 0 to below 1, evenly spread: the first 53 bits of SHA-256 over the campaign''s name, a zero byte, the shop''s number in decimal digits, a zero byte and the customer''s id, all in UTF-8, as a binary fraction. The same on every server, for ever; NULL for NULL';

CREATE FUNCTION retention.campaign_arm(campaign text, shop_id integer, customer_id text, holdout numeric)
	RETURNS text
	AS 'MODULE_PATHNAME', 'campaign_arm'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.campaign_arm(text, integer, text, numeric) IS
	'The arm of a customer in a campaign: holdout when holdout_place() is below the holdout share, else treated. A larger share only moves customers from treated to holdout';

CREATE FUNCTION retention.campaign_subject(campaign text)
	RETURNS text
	LANGUAGE sql
	IMMUTABLE
	STRICT
	PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN 'campaign:' || campaign;

COMMENT ON FUNCTION retention.campaign_subject(text) IS 'What a campaign''s messages have in care_message.subject';

CREATE FUNCTION retention.campaign_step_due(starts_at timestamptz, delay interval, time_zone text)
	RETURNS timestamptz
	LANGUAGE sql
	IMMUTABLE
	STRICT
	PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN (starts_at AT TIME ZONE time_zone + delay) AT TIME ZONE time_zone;

COMMENT ON FUNCTION retention.campaign_step_due(timestamptz, interval, text) IS 'When a step falls due: so long after the campaign''s start by the clock on the wall of that time zone';

-- ---------------------------------------------------------------------------
-- Making a campaign
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.the_campaign(campaign text, shop_id integer, lock boolean DEFAULT false)
	RETURNS retention.campaign
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	found_campaign retention.campaign;
BEGIN
	IF lock THEN
		SELECT c.* INTO found_campaign
		FROM retention.campaign c
		WHERE c.shop_id = the_campaign.shop_id AND c.name = campaign
		FOR NO KEY UPDATE;
	ELSE
		SELECT c.* INTO found_campaign
		FROM retention.campaign c
		WHERE c.shop_id = the_campaign.shop_id AND c.name = campaign;
	END IF;
	IF found_campaign.name IS NULL THEN
		RAISE EXCEPTION 'campaign "%" does not exist', campaign
			USING ERRCODE = 'undefined_object',
				HINT = 'SELECT name, state FROM retention.campaigns shows the campaigns there are.';
	END IF;
	RETURN found_campaign;
END
$$;

COMMENT ON FUNCTION retention.the_campaign(text, integer, boolean) IS 'The campaign of that name, locked until the transaction ends if asked; an unknown one is an error';

CREATE FUNCTION retention.create_campaign(
	name text,
	audience text,
	holdout numeric DEFAULT 0.1,
	starts_at timestamptz DEFAULT NULL,
	ends_at timestamptz DEFAULT NULL,
	attribution_days integer DEFAULT NULL,
	cost numeric DEFAULT NULL,
	segment_cost numeric DEFAULT NULL,
	event_at timestamptz DEFAULT NULL,
	event_place text DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS void
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
BEGIN
	IF create_campaign.name IS NULL OR create_campaign.name !~ '[^[:space:]]' THEN
		RAISE EXCEPTION 'a campaign needs a name'
			USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF create_campaign.holdout IS NULL OR create_campaign.holdout < 0 OR create_campaign.holdout >= 1 THEN
		RAISE EXCEPTION 'holdout cannot be %', coalesce(create_campaign.holdout::text, 'NULL')
			USING ERRCODE = 'numeric_value_out_of_range',
				HINT = 'It is a share from 0 (nobody is held out) to below 1; 0.1 holds out one in ten.';
	END IF;
	IF create_campaign.ends_at <= create_campaign.starts_at THEN
		RAISE EXCEPTION 'the campaign would end (%) before it starts (%)', create_campaign.ends_at, create_campaign.starts_at
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF NOT EXISTS (
		SELECT
		FROM retention.audiences a
		WHERE a.shop_id = the_shop AND create_campaign.audience IN (a.name, a.name_zh)
	) THEN
		RAISE EXCEPTION 'audience "%" does not exist', create_campaign.audience
			USING ERRCODE = 'undefined_object',
				HINT = 'View retention.audiences lists them; define_audience() makes one.';
	END IF;

	INSERT INTO retention.campaign (
		shop_id, name, audience, holdout, starts_at, ends_at, attribution_days,
		cost, segment_cost, event_at, event_place, created_at, changed_at
	)
	VALUES (
		the_shop,
		create_campaign.name,
		create_campaign.audience,
		create_campaign.holdout,
		create_campaign.starts_at,
		create_campaign.ends_at,
		create_campaign.attribution_days,
		create_campaign.cost,
		create_campaign.segment_cost,
		create_campaign.event_at,
		create_campaign.event_place,
		retention.now(),
		retention.now()
	)
	ON CONFLICT DO NOTHING;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'campaign "%" exists already', create_campaign.name
			USING ERRCODE = 'duplicate_object',
				HINT = format('A draft can be made anew after SELECT retention.delete_campaign(%L).', create_campaign.name);
	END IF;
END
$$;

COMMENT ON FUNCTION retention.create_campaign(text, text, numeric, timestamptz, timestamptz, integer, numeric, numeric, timestamptz, text, text) IS
	'Makes a campaign to an audience, as a draft: nothing is sent before start_campaign(). holdout is the share who are not written to; see the columns of retention.campaign for the rest. A name that is taken or an audience that does not exist is an error; shop NULL means the only shop';

CREATE FUNCTION retention.add_campaign_step(
	campaign text,
	template text DEFAULT NULL,
	text text DEFAULT NULL,
	subject_line text DEFAULT NULL,
	delay interval DEFAULT '0',
	channel text DEFAULT 'sms',
	purpose text DEFAULT 'marketing',
	validity interval DEFAULT '7 days',
	priority integer DEFAULT 20,
	counts_towards_caps boolean DEFAULT true,
	ignores_caps boolean DEFAULT false,
	shop text DEFAULT NULL
)
	RETURNS integer
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	the_campaign retention.campaign := retention.the_campaign(add_campaign_step.campaign, the_shop, lock => true);
	new_step integer;
BEGIN
	IF the_campaign.state <> 'draft' THEN
		RAISE EXCEPTION 'campaign "%" has been started', the_campaign.name
			USING ERRCODE = 'object_not_in_prerequisite_state',
				DETAIL = 'Its members are compared by what the campaign as a whole brought: its steps stay as they are.';
	END IF;
	IF num_nonnulls(add_campaign_step.template, nullif(btrim(add_campaign_step.text), '')) <> 1 THEN
		RAISE EXCEPTION 'a step needs either a template or a text'
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF add_campaign_step.subject_line IS NOT NULL AND add_campaign_step.text IS NULL THEN
		RAISE EXCEPTION 'a step by template has the subject line of its template'
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF add_campaign_step.channel IS NULL
		OR add_campaign_step.channel NOT IN ('sms', 'email', 'wechat', 'call', 'post', 'visit')
	THEN
		RAISE EXCEPTION 'there is no channel %', coalesce(quote_literal(add_campaign_step.channel), 'NULL')
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Channels of campaigns are sms, email, wechat, call, post and visit.';
	END IF;
	IF add_campaign_step.purpose IS NULL OR add_campaign_step.purpose NOT IN ('care', 'marketing') THEN
		RAISE EXCEPTION 'purpose cannot be %', coalesce(quote_literal(add_campaign_step.purpose), 'NULL')
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'It is ''marketing'', or ''care'' for what advertises nothing.';
	END IF;
	IF (add_campaign_step.delay >= interval '0' AND add_campaign_step.validity > interval '0') IS NOT TRUE THEN
		RAISE EXCEPTION 'a step cannot fall due after % and be valid for %',
			coalesce(add_campaign_step.delay::text, 'NULL'), coalesce(add_campaign_step.validity::text, 'NULL')
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'The delay counts from the campaign''s start and is not negative; the validity is longer than nothing.';
	END IF;
	IF add_campaign_step.template IS NOT NULL
		AND NOT EXISTS (
			SELECT
			FROM retention.care_templates t
			WHERE t.shop_id = the_shop AND t.name = add_campaign_step.template
		)
	THEN
		RAISE EXCEPTION 'template "%" does not exist', add_campaign_step.template
			USING ERRCODE = 'undefined_object',
				HINT = 'SELECT name, text FROM retention.care_templates shows the templates there are; text => gives the step one of its own.';
	END IF;

	SELECT coalesce(max(t.step), 0) + 1 INTO new_step
	FROM retention.campaign_step t
	WHERE t.shop_id = the_shop AND t.campaign = the_campaign.name;
	INSERT INTO retention.campaign_step (
		shop_id, campaign, step, delay, validity, channel, purpose, priority,
		template, text, subject_line, counts_towards_caps, ignores_caps
	)
	VALUES (
		the_shop,
		the_campaign.name,
		new_step,
		add_campaign_step.delay,
		add_campaign_step.validity,
		add_campaign_step.channel,
		add_campaign_step.purpose,
		add_campaign_step.priority,
		add_campaign_step.template,
		add_campaign_step.text,
		add_campaign_step.subject_line,
		add_campaign_step.counts_towards_caps,
		add_campaign_step.ignores_caps
	);
	RETURN new_step;
END
$$;

COMMENT ON FUNCTION retention.add_campaign_step(text, text, text, text, interval, text, text, interval, integer, boolean, boolean, text) IS
	'Adds a step to a campaign that has not been started and returns its number: a message by a template, or with a text of its own, so long after the campaign''s start. See the columns of retention.campaign_step; shop NULL means the only shop';
