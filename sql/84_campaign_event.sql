-- ---------------------------------------------------------------------------
-- Invitations to an event: who replied, who came
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.record_reply(
	campaign text,
	customer text,
	reply text,
	note text DEFAULT NULL,
	at timestamptz DEFAULT retention.now(),
	shop text DEFAULT NULL
)
	RETURNS void
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_campaign retention.campaign := retention.the_campaign(record_reply.campaign, retention.shop_id(shop));
BEGIN
	IF record_reply.reply IS NULL OR record_reply.reply NOT IN ('accepted', 'declined', 'undecided') THEN
		RAISE EXCEPTION 'a reply cannot be %', coalesce(quote_literal(record_reply.reply), 'NULL')
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'It is ''accepted'', ''declined'' or ''undecided''.';
	END IF;
	-- Replies come by many ways and in any order: the latest stands.
	UPDATE retention.campaign_member m
	SET reply = record_reply.reply,
		replied_at = record_reply.at,
		note = record_reply.note
	WHERE m.shop_id = the_campaign.shop_id
		AND m.campaign = the_campaign.name
		AND m.customer_id = record_reply.customer
		AND (m.replied_at IS NULL OR m.replied_at <= record_reply.at);
	IF NOT FOUND THEN
		PERFORM retention.require_member(the_campaign, record_reply.customer);
	END IF;
END
$$;

COMMENT ON FUNCTION retention.record_reply(text, text, text, text, timestamptz, text) IS
	'Records a member''s reply to an invitation: accepted, declined or undecided, with what they said; the latest stands. Somebody who is no member of the campaign is an error; shop NULL means the only shop';

CREATE FUNCTION retention.record_attendance(
	campaign text,
	customer text,
	at timestamptz DEFAULT retention.now(),
	shop text DEFAULT NULL
)
	RETURNS void
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_campaign retention.campaign := retention.the_campaign(record_attendance.campaign, retention.shop_id(shop));
BEGIN
	UPDATE retention.campaign_member m
	SET attended_at = record_attendance.at
	WHERE m.shop_id = the_campaign.shop_id
		AND m.campaign = the_campaign.name
		AND m.customer_id = record_attendance.customer
		AND (m.attended_at IS NULL OR m.attended_at > record_attendance.at);
	IF NOT FOUND THEN
		PERFORM retention.require_member(the_campaign, record_attendance.customer);
	END IF;
END
$$;

COMMENT ON FUNCTION retention.record_attendance(text, text, timestamptz, text) IS
	'Records that a member came to the event, invited or held out; the first time stands. Somebody who is no member of the campaign is an error; shop NULL means the only shop';

CREATE FUNCTION retention.require_member(the_campaign retention.campaign, customer text)
	RETURNS void
	LANGUAGE plpgsql
	STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT EXISTS (
		SELECT
		FROM retention.campaign_member m
		WHERE m.shop_id = the_campaign.shop_id
			AND m.campaign = the_campaign.name
			AND m.customer_id = customer
	) THEN
		RAISE EXCEPTION 'customer "%" is no member of campaign "%"', customer, the_campaign.name
			USING ERRCODE = 'undefined_object',
				DETAIL = 'Members are the customers of the audience when the campaign was started.';
	END IF;
END
$$;

COMMENT ON FUNCTION retention.require_member(retention.campaign, text) IS 'An error when the customer is no member of the campaign';

CREATE FUNCTION retention.record_reply(
	campaign text,
	customer anynonarray,
	reply text,
	note text DEFAULT NULL,
	at timestamptz DEFAULT retention.now(),
	shop text DEFAULT NULL
)
	RETURNS void
	LANGUAGE sql
	SET search_path = pg_catalog, pg_temp
	AS 'SELECT retention.record_reply(campaign, retention.customer_key(customer), reply, note, at, shop)';

COMMENT ON FUNCTION retention.record_reply(text, anynonarray, text, text, timestamptz, text) IS
	'The same for customers numbered by integer, whole numeric or uuid';

CREATE FUNCTION retention.record_attendance(
	campaign text,
	customer anynonarray,
	at timestamptz DEFAULT retention.now(),
	shop text DEFAULT NULL
)
	RETURNS void
	LANGUAGE sql
	SET search_path = pg_catalog, pg_temp
	AS 'SELECT retention.record_attendance(campaign, retention.customer_key(customer), at, shop)';

COMMENT ON FUNCTION retention.record_attendance(text, anynonarray, timestamptz, text) IS
	'The same for customers numbered by integer, whole numeric or uuid';
