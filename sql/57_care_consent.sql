-- ---------------------------------------------------------------------------
-- record_consent: what a customer agreed to, when and how
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.record_consent(
	customer text,
	channel text,
	purpose text,
	granted boolean,
	how text DEFAULT NULL,
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
	the_shop integer := retention.shop_id(shop);
BEGIN
	IF customer IS NULL OR record_consent.granted IS NULL THEN
		RAISE EXCEPTION 'a decision needs a customer and a yes or no'
			USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF record_consent.channel NOT IN ('sms', 'email', 'wechat', 'call', 'post', 'visit') THEN
		RAISE EXCEPTION 'there is no channel "%"', record_consent.channel
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Channels are sms, email, wechat, call, post and visit; NULL means all of them.';
	END IF;
	IF record_consent.purpose NOT IN ('transactional', 'care', 'marketing') THEN
		RAISE EXCEPTION 'there is no purpose "%"', record_consent.purpose
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Purposes are transactional, care and marketing; NULL means all of them.';
	END IF;

	-- Orders lock the customer before that customer's messages: so do we.
	PERFORM
	FROM retention.customer_stats s
	WHERE s.shop_id = the_shop AND s.customer_id = customer
	FOR NO KEY UPDATE;

	INSERT INTO retention.customer_consent AS c (shop_id, customer_id, channel, purpose, granted, decided_at, how)
	SELECT
		the_shop,
		customer,
		a.channel,
		b.purpose,
		record_consent.granted,
		coalesce(at, retention.now()),
		record_consent.how
	FROM unnest('{sms,email,wechat,call,post,visit}'::text[]) AS a (channel)
	CROSS JOIN unnest('{transactional,care,marketing}'::text[]) AS b (purpose)
	WHERE (record_consent.channel IS NULL OR a.channel = record_consent.channel)
		AND (record_consent.purpose IS NULL OR b.purpose = record_consent.purpose)
	ORDER BY a.channel, b.purpose
	ON CONFLICT (shop_id, customer_id, channel, purpose) DO UPDATE
	SET granted = EXCLUDED.granted,
		decided_at = EXCLUDED.decided_at,
		how = EXCLUDED.how
	WHERE c.decided_at < EXCLUDED.decided_at
		OR (c.decided_at = EXCLUDED.decided_at AND NOT EXCLUDED.granted);

	PERFORM retention.skip_refused_messages(the_shop, customer);
END
$$;

COMMENT ON FUNCTION retention.record_consent(text, text, text, boolean, text, timestamptz, text) IS
	'Records that a customer agreed to (true) or refused (false) a channel and a purpose, when and how; NULL for channel or purpose means all of them. A later decision stands against an earlier one that arrives late. A refusal takes waiting messages back at once, those that a worker has claimed included. shop NULL means the only shop';

CREATE FUNCTION retention.record_consent(
	customer anynonarray,
	channel text,
	purpose text,
	granted boolean,
	how text DEFAULT NULL,
	at timestamptz DEFAULT retention.now(),
	shop text DEFAULT NULL
)
	RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM retention.record_consent(retention.customer_key(customer), channel, purpose, granted, how, at, shop);
END
$$;

COMMENT ON FUNCTION retention.record_consent(anynonarray, text, text, boolean, text, timestamptz, text) IS
	'The same for customers numbered by integer, whole numeric or uuid';

CREATE FUNCTION retention.skip_refused_messages(shop_id integer, customer_id text)
	RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	-- Messages are locked in the order of their key, here and wherever several
	-- are: two that do can wait for each other in no circle.
	UPDATE retention.care_message m
	SET state = 'skipped',
		reason = 'opted out',
		held_until = NULL,
		changed_at = retention.now()
	FROM (
		SELECT o.rule, o.subject
		FROM retention.care_message o
		WHERE o.shop_id = skip_refused_messages.shop_id
			AND o.customer_id = skip_refused_messages.customer_id
			AND o.state IN ('queued', 'claimed')
			AND EXISTS (
				SELECT
				FROM retention.customer_consent c
				WHERE c.shop_id = o.shop_id
					AND c.customer_id = o.customer_id
					AND c.channel = o.channel
					AND c.purpose = o.purpose
					AND NOT c.granted)
		ORDER BY o.rule COLLATE "C", o.subject
		FOR NO KEY UPDATE
	) AS refused
	WHERE m.shop_id = skip_refused_messages.shop_id
		AND m.customer_id = skip_refused_messages.customer_id
		AND m.rule = refused.rule
		AND m.subject = refused.subject;
END
$$;

COMMENT ON FUNCTION retention.skip_refused_messages(integer, text) IS
	'Takes back what waits for a customer, or is in a worker''s hand, by a channel and for a purpose that the customer has refused';
