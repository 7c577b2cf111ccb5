-- ---------------------------------------------------------------------------
-- forget_customer
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.forget_customer(customer text, shop text DEFAULT NULL)
	RETURNS void
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	the_shop integer := retention.shop_id(shop);
BEGIN
	-- Orders lock the customer before anything else of theirs: so do we.
	PERFORM
	FROM retention.customer_stats s
	WHERE s.shop_id = the_shop AND s.customer_id = forget_customer.customer
	FOR NO KEY UPDATE;

	UPDATE retention.customer c
	SET name = NULL,
		nickname = NULL,
		birthday = NULL,
		phone = NULL,
		email = NULL,
		consents = NULL,
		attributes = '{}',
		forgotten_at = coalesce(c.forgotten_at, retention.now())
	WHERE c.shop_id = the_shop AND c.customer_id = forget_customer.customer;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'customer "%" is not known', forget_customer.customer
			USING ERRCODE = 'undefined_object';
	END IF;

	-- Nobody writes to them any more, whatever was agreed.
	INSERT INTO retention.customer_consent AS k (shop_id, customer_id, channel, purpose, granted, decided_at, how)
	SELECT the_shop, forget_customer.customer, a.channel, b.purpose, false, retention.now(), 'forgotten'
	FROM unnest('{sms,email,wechat,call,post,visit}'::text[]) AS a (channel)
	CROSS JOIN unnest('{care,marketing}'::text[]) AS b (purpose)
	ORDER BY a.channel, b.purpose
	ON CONFLICT ON CONSTRAINT customer_consent_pkey DO UPDATE
	SET granted = false,
		decided_at = EXCLUDED.decided_at,
		how = EXCLUDED.how
	WHERE k.how IS DISTINCT FROM EXCLUDED.how OR k.granted;

	UPDATE retention.care_message m
	SET state = 'cancelled',
		reason = 'the customer was forgotten',
		changed_at = retention.now()
	WHERE m.shop_id = the_shop AND m.customer_id = forget_customer.customer AND m.state IN ('queued', 'claimed');

	-- What they were told and what they said on the phone.
	UPDATE retention.care_message m
	SET subject_line = NULL,
		text = NULL,
		last_error = NULL
	WHERE m.shop_id = the_shop
		AND m.customer_id = forget_customer.customer
		AND (m.subject_line IS NOT NULL OR m.text IS NOT NULL OR m.last_error IS NOT NULL);
	UPDATE retention.care_call c
	SET note = NULL
	WHERE c.shop_id = the_shop AND c.customer_id = forget_customer.customer AND c.note IS NOT NULL;

	UPDATE retention.feedback f
	SET content = NULL,
		outcome = NULL
	WHERE f.shop_id = the_shop
		AND f.customer_id = forget_customer.customer
		AND (f.content IS NOT NULL OR f.outcome IS NOT NULL);
	UPDATE retention.feedback_step f
	SET note = NULL
	WHERE f.shop_id = the_shop AND f.customer_id = forget_customer.customer AND f.note IS NOT NULL;

	-- What was noted and thought of them; who noted it is no fact of theirs.
	DELETE FROM retention.customer_tag t
	WHERE t.shop_id = the_shop AND t.customer_id = forget_customer.customer;
	UPDATE retention.customer_profile f
	SET fields = '{}'
	WHERE f.shop_id = the_shop AND f.customer_id = forget_customer.customer AND f.fields <> '{}';

	UPDATE retention.campaign_member m
	SET note = NULL
	WHERE m.shop_id = the_shop AND m.customer_id = forget_customer.customer AND m.note IS NOT NULL;
	DELETE FROM retention.offer_code o
	WHERE o.shop_id = the_shop AND o.customer_id = forget_customer.customer AND o.redeemed_at IS NULL;

	UPDATE retention.purchase p
	SET attributes = NULL,
		close_reason = NULL
	WHERE p.shop_id = the_shop
		AND p.customer_id = forget_customer.customer
		AND (p.attributes IS NOT NULL OR p.close_reason IS NOT NULL);
END
$$;

COMMENT ON FUNCTION retention.forget_customer(text, text) IS
	'Erases what is known of a person: profile, tags, consents (all refused from now on), what was waiting to be sent, the texts of messages, calls, feedback and replies, offer codes not used, free attributes of orders. Purchases, statistics, arms of campaigns and the points ledger stay under the shop''s own id as a pseudonym. What the shop''s tables say of the customer is not taken over any more, so erase it there too; a guest whose id is an e-mail or phone becomes a pseudonym when the shop gives the orders another id. An unknown customer is an error; shop NULL means the only shop';

CREATE FUNCTION retention.forget_customer(customer anynonarray, shop text DEFAULT NULL)
	RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM retention.forget_customer(retention.customer_key(customer), shop);
END
$$;

COMMENT ON FUNCTION retention.forget_customer(anynonarray, text) IS
	'The same for customers numbered by integer, whole numeric or uuid';
