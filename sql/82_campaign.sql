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
	counts_towards_caps boolean NOT NULL DEFAULT true,
	ignores_caps boolean NOT NULL DEFAULT false,
	queued_at timestamptz,
	PRIMARY KEY (shop_id, campaign, step),
	UNIQUE (shop_id, rule),
	CHECK (pg_catalog.num_nonnulls(template, text) = 1)
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
	IF num_nonnulls(add_campaign_step.template, add_campaign_step.text) <> 1 THEN
		RAISE EXCEPTION 'a step needs either a template or a text'
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
		template, text, counts_towards_caps, ignores_caps
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
		add_campaign_step.counts_towards_caps,
		add_campaign_step.ignores_caps
	);
	RETURN new_step;
END
$$;

COMMENT ON FUNCTION retention.add_campaign_step(text, text, text, interval, text, text, interval, integer, boolean, boolean, text) IS
	'Adds a step to a campaign that has not been started and returns its number: a message by a template, or with a text of its own, so long after the campaign''s start. See the columns of retention.campaign_step; shop NULL means the only shop';

-- ---------------------------------------------------------------------------
-- Starting, pausing, stopping
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.set_campaign_state(the_campaign retention.campaign, state text, at timestamptz)
	RETURNS void
	LANGUAGE sql
	SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	UPDATE retention.campaign c
	SET state = set_campaign_state.state,
		changed_at = set_campaign_state.at,
		-- A late run does not make it longer.
		stopped_at = CASE
			WHEN set_campaign_state.state IN ('stopped', 'ended') THEN least(set_campaign_state.at, c.ends_at)
		END
	WHERE c.shop_id = (the_campaign).shop_id AND c.name = (the_campaign).name;
END;

COMMENT ON FUNCTION retention.set_campaign_state(retention.campaign, text, timestamptz) IS 'Puts a campaign into another state';

CREATE FUNCTION retention.resume_campaign(campaign text, shop text DEFAULT NULL, at timestamptz DEFAULT retention.now())
	RETURNS void
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_campaign retention.campaign := retention.the_campaign(campaign, retention.shop_id(shop), lock => true);
BEGIN
	IF the_campaign.state = 'running' THEN
		RETURN;
	ELSIF the_campaign.state <> 'paused' THEN
		RAISE EXCEPTION 'campaign "%" is not paused', the_campaign.name
			USING ERRCODE = 'object_not_in_prerequisite_state',
				DETAIL = format('It is %s.', CASE the_campaign.state WHEN 'draft' THEN 'a draft' ELSE the_campaign.state END);
	END IF;
	PERFORM retention.set_campaign_state(the_campaign, 'running', at);
	UPDATE retention.care_message m
	SET held_until = NULL,
		reason = NULL,
		changed_at = resume_campaign.at
	FROM retention.campaign_step t
	WHERE t.shop_id = the_campaign.shop_id
		AND t.campaign = the_campaign.name
		AND m.shop_id = t.shop_id
		AND m.rule = t.rule
		AND m.state = 'queued'
		AND m.reason = 'the campaign is paused';
	PERFORM retention.campaign_due(at);
END
$$;

COMMENT ON FUNCTION retention.resume_campaign(text, text, timestamptz) IS
	'Lets a paused campaign go on: what is still worth sending is due again. A running one stays as it is, any other is an error. shop NULL means the only shop';

CREATE FUNCTION retention.start_campaign(campaign text, shop text DEFAULT NULL, at timestamptz DEFAULT retention.now())
	RETURNS bigint
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	the_campaign retention.campaign := retention.the_campaign(campaign, the_shop, lock => true);
	enrolled bigint;
BEGIN
	IF the_campaign.state = 'paused' THEN
		PERFORM retention.resume_campaign(the_campaign.name, shop, at);
	ELSIF the_campaign.state IN ('stopped', 'ended') THEN
		RAISE EXCEPTION 'campaign "%" is over', the_campaign.name
			USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = 'Make a new campaign: its arms are then drawn anew.';
	ELSIF the_campaign.state = 'draft' THEN
		the_campaign.starts_at := greatest(the_campaign.starts_at, at);
		IF the_campaign.ends_at <= the_campaign.starts_at THEN
			RAISE EXCEPTION 'campaign "%" would end before it starts', the_campaign.name
				USING ERRCODE = 'object_not_in_prerequisite_state',
					DETAIL = format('It ends at %s.', the_campaign.ends_at);
		END IF;
		PERFORM retention.check_campaign(the_campaign);

		INSERT INTO retention.campaign_member (shop_id, campaign, customer_id, arm, enrolled_at)
		SELECT c.shop_id, the_campaign.name, c.customer_id, c.arm, start_campaign.at
		FROM retention.campaign_customers(the_campaign, at) AS c;
		GET DIAGNOSTICS enrolled = ROW_COUNT;
		IF enrolled = 0 THEN
			RAISE EXCEPTION 'there is nobody in audience "%"', the_campaign.audience
				USING ERRCODE = 'object_not_in_prerequisite_state';
		END IF;

		UPDATE retention.campaign c
		SET starts_at = the_campaign.starts_at
		WHERE c.shop_id = the_shop AND c.name = the_campaign.name;
		PERFORM retention.issue_offer_codes(the_campaign, at);
		PERFORM retention.set_campaign_state(the_campaign, 'running', at);
		PERFORM retention.campaign_due(at);
	END IF;
	RETURN (
		SELECT count(*)
		FROM retention.campaign_member m
		WHERE m.shop_id = the_shop AND m.campaign = the_campaign.name);
END
$$;

COMMENT ON FUNCTION retention.start_campaign(text, text, timestamptz) IS
	'Starts a campaign: its audience of that moment become its members, each in an arm, offer codes are issued, and the first messages are queued. Returns the number of members. A paused campaign goes on, a running one stays as it is; one that is over, has no steps, or whose audience is empty is an error. shop NULL means the only shop';

CREATE FUNCTION retention.pause_campaign(campaign text, shop text DEFAULT NULL, at timestamptz DEFAULT retention.now())
	RETURNS void
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_campaign retention.campaign := retention.the_campaign(campaign, retention.shop_id(shop), lock => true);
BEGIN
	IF the_campaign.state = 'paused' THEN
		RETURN;
	ELSIF the_campaign.state <> 'running' THEN
		RAISE EXCEPTION 'campaign "%" is not running', the_campaign.name
			USING ERRCODE = 'object_not_in_prerequisite_state',
				DETAIL = format('It is %s.', CASE the_campaign.state WHEN 'draft' THEN 'a draft' ELSE the_campaign.state END);
	END IF;
	PERFORM retention.set_campaign_state(the_campaign, 'paused', at);
	-- A claim would put them off one by one.
	UPDATE retention.care_message m
	SET held_until = m.expires_at,
		reason = 'the campaign is paused',
		changed_at = pause_campaign.at
	FROM retention.campaign_step t
	WHERE t.shop_id = the_campaign.shop_id
		AND t.campaign = the_campaign.name
		AND m.shop_id = t.shop_id
		AND m.rule = t.rule
		AND m.state = 'queued';
END
$$;

COMMENT ON FUNCTION retention.pause_campaign(text, text, timestamptz) IS
	'Pauses a running campaign: nothing of it is queued or handed out until resume_campaign(); what a worker has in hand already is not taken back. A paused one stays as it is, any other is an error. shop NULL means the only shop';

CREATE FUNCTION retention.end_campaign(the_campaign retention.campaign, state text, reason text, at timestamptz)
	RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	PERFORM retention.set_campaign_state(the_campaign, end_campaign.state, at);
	UPDATE retention.care_message m
	SET state = 'cancelled',
		reason = end_campaign.reason,
		held_until = NULL,
		changed_at = end_campaign.at
	FROM retention.campaign_step t
	WHERE t.shop_id = the_campaign.shop_id
		AND t.campaign = the_campaign.name
		AND m.shop_id = t.shop_id
		AND m.rule = t.rule
		AND m.state IN ('queued', 'claimed');
END
$$;

COMMENT ON FUNCTION retention.end_campaign(retention.campaign, text, text, timestamptz) IS 'Puts an end to a campaign and cancels what is queued for it';

CREATE FUNCTION retention.stop_campaign(campaign text, shop text DEFAULT NULL, at timestamptz DEFAULT retention.now())
	RETURNS void
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	the_campaign retention.campaign := retention.the_campaign(campaign, retention.shop_id(shop), lock => true);
BEGIN
	IF the_campaign.state IN ('stopped', 'ended') THEN
		RETURN;
	ELSIF the_campaign.state = 'draft' THEN
		RAISE EXCEPTION 'campaign "%" has not been started', the_campaign.name
			USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = 'delete_campaign() removes a draft.';
	END IF;
	PERFORM retention.end_campaign(the_campaign, 'stopped', 'the campaign was stopped', at);
END
$$;

COMMENT ON FUNCTION retention.stop_campaign(text, text, timestamptz) IS
	'Stops a campaign for good: what is queued for it or in a worker''s hand is cancelled; offer codes stay good as long as they were to be. One that is over stays as it is, a draft is an error. shop NULL means the only shop';

CREATE FUNCTION retention.delete_campaign(campaign text, shop text DEFAULT NULL)
	RETURNS void
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	the_campaign retention.campaign := retention.the_campaign(campaign, retention.shop_id(shop), lock => true);
BEGIN
	IF the_campaign.state IN ('running', 'paused') THEN
		RAISE EXCEPTION 'campaign "%" is %', the_campaign.name, the_campaign.state
			USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = format('Stop it first: SELECT retention.stop_campaign(%L).', the_campaign.name);
	END IF;
	DELETE FROM retention.offer_code o
	WHERE o.shop_id = the_campaign.shop_id AND o.campaign = the_campaign.name;
	DELETE FROM retention.campaign_offer o
	WHERE o.shop_id = the_campaign.shop_id AND o.campaign = the_campaign.name;
	DELETE FROM retention.campaign_member m
	WHERE m.shop_id = the_campaign.shop_id AND m.campaign = the_campaign.name;
	DELETE FROM retention.campaign_step t
	WHERE t.shop_id = the_campaign.shop_id AND t.campaign = the_campaign.name;
	DELETE FROM retention.campaign c
	WHERE c.shop_id = the_campaign.shop_id AND c.name = the_campaign.name;
END
$$;

COMMENT ON FUNCTION retention.delete_campaign(text, text) IS
	'Removes a campaign that is a draft or over, with its members, offer codes and effect; its messages stay until purge_messages(). shop NULL means the only shop';

-- ---------------------------------------------------------------------------
-- Whom it concerns, and queueing what falls due
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.campaign_customers(the_campaign retention.campaign, at timestamptz)
	RETURNS TABLE (shop_id integer, customer_id text, arm text)
	LANGUAGE plpgsql
	STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	IF the_campaign.state = 'draft' THEN
		RETURN QUERY
		SELECT
			the_campaign.shop_id,
			a.customer_id,
			retention.campaign_arm(the_campaign.name, the_campaign.shop_id, a.customer_id, the_campaign.holdout)
		FROM (
			SELECT DISTINCT u.customer_id COLLATE "C" AS customer_id
			FROM retention.audience_customers(
				the_campaign.audience,
				(SELECT s.name FROM retention.shop s WHERE s.shop_id = the_campaign.shop_id),
				campaign_customers.at
			) AS u
		) AS a;
	ELSE
		RETURN QUERY
		SELECT m.shop_id, m.customer_id::text, m.arm
		FROM retention.campaign_member m
		WHERE m.shop_id = the_campaign.shop_id AND m.campaign = the_campaign.name;
	END IF;
END
$$;

COMMENT ON FUNCTION retention.campaign_customers(retention.campaign, timestamptz) IS 'The members of a campaign and their arms; of a draft those who would be members if it were started';

CREATE FUNCTION retention.check_campaign(the_campaign retention.campaign)
	RETURNS void
	LANGUAGE plpgsql
	STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	the_step record;
BEGIN
	IF NOT EXISTS (
		SELECT
		FROM retention.campaign_step t
		WHERE t.shop_id = the_campaign.shop_id AND t.campaign = the_campaign.name
	) THEN
		RAISE EXCEPTION 'campaign "%" has no steps', the_campaign.name
			USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = format('Add one: SELECT retention.add_campaign_step(%L, text => ...).', the_campaign.name);
	END IF;
	FOR the_step IN
		SELECT
			t.step,
			t.template,
			retention.rule_template(t.shop_id, t.rule) AS text,
			retention.campaign_step_due(the_campaign.starts_at, t.delay, s.time_zone) AS due_at
		FROM retention.campaign_step t
		JOIN retention.shop s ON s.shop_id = t.shop_id
		WHERE t.shop_id = the_campaign.shop_id AND t.campaign = the_campaign.name
		ORDER BY t.step
	LOOP
		IF the_step.text IS NULL THEN
			RAISE EXCEPTION 'template "%" of step % does not exist', the_step.template, the_step.step
				USING ERRCODE = 'undefined_object';
		END IF;
		IF the_step.due_at >= the_campaign.ends_at THEN
			RAISE EXCEPTION 'step % would fall due (%) after the campaign ends (%)',
				the_step.step, the_step.due_at, the_campaign.ends_at
				USING ERRCODE = 'object_not_in_prerequisite_state';
		END IF;
		IF 'offer_code' = ANY (retention.template_placeholders(the_step.text))
			AND NOT EXISTS (
				SELECT
				FROM retention.campaign_offer o
				WHERE o.shop_id = the_campaign.shop_id AND o.campaign = the_campaign.name
			)
		THEN
			RAISE EXCEPTION 'step % names {{offer_code}}, and campaign "%" has no offer', the_step.step, the_campaign.name
				USING ERRCODE = 'object_not_in_prerequisite_state',
					HINT = format('Say what is offered: SELECT retention.set_campaign_offer(%L, ...).', the_campaign.name);
		END IF;
	END LOOP;
END
$$;

COMMENT ON FUNCTION retention.check_campaign(retention.campaign) IS 'An error when a campaign cannot be started: it has no steps, or texts that could not be written';

CREATE FUNCTION retention.campaign_due(at timestamptz)
	RETURNS bigint
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_campaign record;
	the_step record;
	queued bigint;
	total bigint := 0;
BEGIN
	-- Locked in one order by all who queue: the second of two runs at once waits
	-- here and finds the steps queued, or the campaign paused or stopped.
	FOR the_campaign IN
		SELECT c AS campaign, c.shop_id, c.name, c.starts_at, c.ends_at, s.time_zone
		FROM retention.campaign c
		JOIN retention.shop s ON s.shop_id = c.shop_id
		WHERE (c.state = 'running'
				AND EXISTS (
					SELECT
					FROM retention.campaign_step t
					WHERE t.shop_id = c.shop_id
						AND t.campaign = c.name
						AND t.queued_at IS NULL
						AND retention.campaign_step_due(c.starts_at, t.delay, s.time_zone) <= campaign_due.at + interval '1 day'
				))
			OR (c.state IN ('running', 'paused') AND c.ends_at <= campaign_due.at)
		ORDER BY c.shop_id, c.name
		FOR NO KEY UPDATE OF c
	LOOP
		IF the_campaign.ends_at <= at THEN
			PERFORM retention.end_campaign(the_campaign.campaign, 'ended', 'the campaign has ended', at);
			CONTINUE;
		END IF;

		FOR the_step IN
			UPDATE retention.campaign_step t
			SET queued_at = campaign_due.at
			WHERE t.shop_id = the_campaign.shop_id
				AND t.campaign = the_campaign.name
				AND t.queued_at IS NULL
				AND retention.campaign_step_due(the_campaign.starts_at, t.delay, the_campaign.time_zone)
					<= campaign_due.at + interval '1 day'
			RETURNING t.*, retention.campaign_step_due(the_campaign.starts_at, t.delay, the_campaign.time_zone) AS due_at
		LOOP
			INSERT INTO retention.care_message (
				shop_id, customer_id, rule, subject, channel, purpose, priority,
				state, due_at, expires_at, queued_at, changed_at
			)
			SELECT
				m.shop_id,
				m.customer_id,
				the_step.rule,
				retention.campaign_subject(m.campaign),
				the_step.channel,
				the_step.purpose,
				the_step.priority,
				'queued',
				the_step.due_at,
				least(the_step.due_at + the_step.validity, the_campaign.ends_at),
				campaign_due.at,
				campaign_due.at
			FROM retention.campaign_member m
			WHERE m.shop_id = the_campaign.shop_id
				AND m.campaign = the_campaign.name
				AND m.arm = 'treated'
				-- After days of no run, or of pause, nobody hears of the past.
				AND the_step.due_at + the_step.validity > campaign_due.at
				AND NOT EXISTS (
					SELECT
					FROM retention.customer c
					WHERE c.shop_id = m.shop_id AND c.customer_id = m.customer_id AND c.forgotten_at IS NOT NULL
				)
			ORDER BY m.customer_id
			ON CONFLICT DO NOTHING;
			GET DIAGNOSTICS queued = ROW_COUNT;
			total := total + queued;
		END LOOP;
	END LOOP;
	RETURN total;
END
$$;

COMMENT ON FUNCTION retention.campaign_due(timestamptz) IS
	'Queues the messages of running campaigns'' steps that fall due by a day from then, each step once; returns how many. Run again, or by two sessions at once, it adds nothing. A campaign past its end is ended';
