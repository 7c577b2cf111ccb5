-- ---------------------------------------------------------------------------
-- Offers: a code for each member of a campaign, good for one use
-- ---------------------------------------------------------------------------

CREATE TABLE retention.campaign_offer (
	shop_id integer NOT NULL,
	campaign text COLLATE "C" NOT NULL,
	terms text NOT NULL CHECK (terms ~ '[^[:space:]]'),
	min_tier text,
	valid_from timestamptz,
	valid_until timestamptz CHECK (valid_until > valid_from),
	PRIMARY KEY (shop_id, campaign)
);

SELECT pg_catalog.pg_extension_config_dump('retention.campaign_offer', '');

COMMENT ON TABLE retention.campaign_offer IS 'What a campaign offers its members who are written to, each by a code of their own';
COMMENT ON COLUMN retention.campaign_offer.shop_id IS 'The shop';
COMMENT ON COLUMN retention.campaign_offer.campaign IS 'The campaign';
COMMENT ON COLUMN retention.campaign_offer.terms IS 'What the code is good for, as the checkout understands it';
COMMENT ON COLUMN retention.campaign_offer.min_tier IS 'Lowest tier that may use it, when it is used; NULL means anybody';
COMMENT ON COLUMN retention.campaign_offer.valid_from IS 'Not to be used before; NULL means from the campaign''s start';
COMMENT ON COLUMN retention.campaign_offer.valid_until IS 'Not to be used from then on; NULL means for ever';

CREATE TABLE retention.offer_code (
	shop_id integer NOT NULL,
	campaign text COLLATE "C" NOT NULL,
	customer_id text COLLATE "C" NOT NULL,
	code text COLLATE "C" NOT NULL,
	issued_at timestamptz NOT NULL,
	redeemed_at timestamptz,
	reference text COLLATE "C",
	PRIMARY KEY (shop_id, campaign, customer_id),
	UNIQUE (shop_id, code),
	UNIQUE (shop_id, customer_id, reference),
	CHECK ((redeemed_at IS NULL) = (reference IS NULL))
);

SELECT pg_catalog.pg_extension_config_dump('retention.offer_code', '');

COMMENT ON TABLE retention.offer_code IS 'The code of one member of a campaign, and its use';
COMMENT ON COLUMN retention.offer_code.shop_id IS 'The shop';
COMMENT ON COLUMN retention.offer_code.campaign IS 'The campaign';
COMMENT ON COLUMN retention.offer_code.customer_id IS 'The customer, who alone may use it';
COMMENT ON COLUMN retention.offer_code.code IS 'The code: 12 letters and digits, without I, L, O and U';
COMMENT ON COLUMN retention.offer_code.issued_at IS 'When it was issued';
COMMENT ON COLUMN retention.offer_code.redeemed_at IS 'When it was used; NULL before';
COMMENT ON COLUMN retention.offer_code.reference IS 'What it was used for: the order or checkout, as redeem_offer() was told';

-- ---------------------------------------------------------------------------
-- Issuing
-- ---------------------------------------------------------------------------

-- Twelve bytes of a random UUID that carry nothing but chance in their low five
-- bits: 60 random bits, by the generator that is good for secrets.
CREATE FUNCTION retention.new_offer_code()
	RETURNS text
	LANGUAGE sql
	VOLATILE
	SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT string_agg(substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + (get_byte(u.bytes, b.byte) & 31), 1), '' ORDER BY b.byte)
	FROM (SELECT uuid_send(gen_random_uuid()) AS bytes) AS u
	CROSS JOIN unnest('{0,1,2,3,4,5,8,9,10,11,12,13}'::integer[]) AS b (byte);
END;

COMMENT ON FUNCTION retention.new_offer_code() IS 'A code that nobody can guess: 12 letters and digits of Crockford''s base 32';

CREATE FUNCTION retention.set_campaign_offer(
	campaign text,
	terms text,
	min_tier text DEFAULT NULL,
	valid_from timestamptz DEFAULT NULL,
	valid_until timestamptz DEFAULT NULL,
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
	the_campaign retention.campaign := retention.the_campaign(set_campaign_offer.campaign, the_shop, lock => true);
BEGIN
	IF set_campaign_offer.terms IS NULL OR set_campaign_offer.terms !~ '[^[:space:]]' THEN
		RAISE EXCEPTION 'an offer needs terms'
			USING ERRCODE = 'null_value_not_allowed',
				HINT = 'They say what its codes are good for, as the checkout understands it.';
	END IF;
	IF set_campaign_offer.valid_until <= set_campaign_offer.valid_from THEN
		RAISE EXCEPTION 'the offer would end (%) before it begins (%)', set_campaign_offer.valid_until, set_campaign_offer.valid_from
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF set_campaign_offer.min_tier IS NOT NULL
		AND NOT EXISTS (
			SELECT
			FROM retention.ladder((SELECT s.name FROM retention.shop s WHERE s.shop_id = the_shop)) AS l
			WHERE l.name = set_campaign_offer.min_tier
		)
	THEN
		RAISE EXCEPTION 'tier "%" does not exist', set_campaign_offer.min_tier
			USING ERRCODE = 'undefined_object',
				HINT = 'SELECT rung, name FROM retention.ladder() shows the tiers.';
	END IF;
	-- Codes are issued at the start; what they are good for may change afterwards.
	IF the_campaign.state <> 'draft'
		AND NOT EXISTS (
			SELECT
			FROM retention.campaign_offer o
			WHERE o.shop_id = the_shop AND o.campaign = the_campaign.name
		)
	THEN
		RAISE EXCEPTION 'campaign "%" has been started without an offer', the_campaign.name
			USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	INSERT INTO retention.campaign_offer AS o (shop_id, campaign, terms, min_tier, valid_from, valid_until)
	VALUES (
		the_shop,
		the_campaign.name,
		set_campaign_offer.terms,
		set_campaign_offer.min_tier,
		set_campaign_offer.valid_from,
		set_campaign_offer.valid_until
	)
	ON CONFLICT (shop_id, campaign) DO UPDATE
	SET terms = EXCLUDED.terms,
		min_tier = EXCLUDED.min_tier,
		valid_from = EXCLUDED.valid_from,
		valid_until = EXCLUDED.valid_until;
END
$$;

COMMENT ON FUNCTION retention.set_campaign_offer(text, text, text, timestamptz, timestamptz, text) IS
	'Says what a campaign offers: each member who is written to gets a code at the start, {{offer_code}} in texts. terms is what it is good for, min_tier the lowest tier that may use it, valid_from and valid_until when. Once more replaces it, also for codes issued already. shop NULL means the only shop';

CREATE FUNCTION retention.issue_offer_codes(the_campaign retention.campaign, at timestamptz)
	RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	missing bigint := (
		SELECT count(*)
		FROM retention.campaign_member m
		JOIN retention.campaign_offer o ON o.shop_id = m.shop_id AND o.campaign = m.campaign
		WHERE m.shop_id = the_campaign.shop_id AND m.campaign = the_campaign.name AND m.arm = 'treated');
	issued bigint;
BEGIN
	-- Should a code be taken already, its customer gets another in a second round;
	-- who has one keeps it.
	WHILE missing > 0 LOOP
		INSERT INTO retention.offer_code (shop_id, campaign, customer_id, code, issued_at)
		SELECT m.shop_id, m.campaign, m.customer_id, retention.new_offer_code(), issue_offer_codes.at
		FROM retention.campaign_member m
		WHERE m.shop_id = the_campaign.shop_id AND m.campaign = the_campaign.name AND m.arm = 'treated'
		ON CONFLICT DO NOTHING;
		GET DIAGNOSTICS issued = ROW_COUNT;
		missing := missing - issued;
	END LOOP;
END
$$;

COMMENT ON FUNCTION retention.issue_offer_codes(retention.campaign, timestamptz) IS 'Gives each treated member of a campaign that is about to start a code, where it has an offer';

-- ---------------------------------------------------------------------------
-- Redeeming
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.offer_refusal(
	offer retention.offer_code,
	customer text,
	at timestamptz,
	OUT error text,
	OUT detail text
)
	LANGUAGE plpgsql
	STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	the_shop retention.shop;
	terms retention.campaign_offer;
	starts_at timestamptz;
	tier text;
BEGIN
	SELECT s.* INTO the_shop
	FROM retention.shop s
	WHERE s.shop_id = (offer).shop_id;
	SELECT f.* INTO terms
	FROM retention.campaign_offer f
	WHERE f.shop_id = (offer).shop_id AND f.campaign = (offer).campaign;
	SELECT c.starts_at INTO starts_at
	FROM retention.campaign c
	WHERE c.shop_id = (offer).shop_id AND c.name = (offer).campaign;
	starts_at := coalesce(terms.valid_from, starts_at);

	IF (offer).customer_id IS DISTINCT FROM customer THEN
		error := format('offer code "%s" was issued to another customer', (offer).code);
		detail := 'A code is good for its own customer alone.';
	ELSIF (offer).redeemed_at IS NOT NULL THEN
		error := format('offer code "%s" has been used', (offer).code);
		detail := format('It was used at %s for "%s".', (offer).redeemed_at, (offer).reference);
	ELSIF at < starts_at THEN
		error := format('offer code "%s" cannot be used yet', (offer).code);
		detail := format('It is valid from %s.', starts_at);
	ELSIF at >= terms.valid_until THEN
		error := format('offer code "%s" has expired', (offer).code);
		detail := format('It was valid until %s.', terms.valid_until);
	ELSIF terms.min_tier IS NOT NULL THEN
		tier := retention.customer_tier(customer, the_shop.name, at);
		IF NOT EXISTS (
			SELECT
			FROM retention.ladder(the_shop.name) AS needed
			JOIN retention.ladder(the_shop.name) AS has ON has.rung >= needed.rung
			WHERE needed.name = terms.min_tier AND has.name = tier
		) THEN
			error := format('offer code "%s" is for tier "%s" and above', (offer).code, terms.min_tier);
			detail := format('The customer''s tier is %s.', coalesce('"' || tier || '"', 'none'));
		END IF;
	END IF;
END
$$;

COMMENT ON FUNCTION retention.offer_refusal(retention.offer_code, text, timestamptz) IS 'Why this customer may not use an offer code at that moment, and the detail; NULLs when they may';

CREATE FUNCTION retention.find_offer_code(code text, shop_id integer, lock boolean)
	RETURNS retention.offer_code
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- As people type it: what is read alike counts alike.
	typed text := translate(upper(code), 'OIL- ', '011');
	found_code retention.offer_code;
BEGIN
	IF lock THEN
		SELECT o.* INTO found_code
		FROM retention.offer_code o
		WHERE o.shop_id = find_offer_code.shop_id AND o.code = typed
		FOR NO KEY UPDATE;
	ELSE
		SELECT o.* INTO found_code
		FROM retention.offer_code o
		WHERE o.shop_id = find_offer_code.shop_id AND o.code = typed;
	END IF;
	IF found_code.code IS NULL THEN
		RAISE EXCEPTION 'there is no offer code "%"', code
			USING ERRCODE = 'undefined_object';
	END IF;
	RETURN found_code;
END
$$;

COMMENT ON FUNCTION retention.find_offer_code(text, integer, boolean) IS 'The offer code as typed (small letters, blanks, hyphens and the letters O, I and L are put right), locked if asked; an unknown one is an error';

CREATE FUNCTION retention.check_offer(
	code text,
	customer text,
	at timestamptz DEFAULT retention.now(),
	shop text DEFAULT NULL
)
	RETURNS TABLE (campaign text, terms text, refusal text)
	LANGUAGE plpgsql
	STABLE
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	ROWS 1
AS $$
#variable_conflict use_column
DECLARE
	offer retention.offer_code := retention.find_offer_code(code, retention.shop_id(shop), lock => false);
BEGIN
	RETURN QUERY
	SELECT f.campaign::text, f.terms, r.error
	FROM retention.campaign_offer f
	CROSS JOIN LATERAL retention.offer_refusal(offer, check_offer.customer, check_offer.at) AS r
	WHERE f.shop_id = offer.shop_id AND f.campaign = offer.campaign;
END
$$;

COMMENT ON FUNCTION retention.check_offer(text, text, timestamptz, text) IS
	'What an offer code is good for, and why this customer may not use it at that moment (NULL: they may); nothing is used up. An unknown code is an error; shop NULL means the only shop';

CREATE FUNCTION retention.redeem_offer(
	code text,
	customer text,
	reference text,
	at timestamptz DEFAULT retention.now(),
	shop text DEFAULT NULL
)
	RETURNS TABLE (campaign text, terms text, redeemed_at timestamptz)
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	ROWS 1
AS $$
#variable_conflict use_column
DECLARE
	-- The row is the lock: the second of two redemptions sees what the first did.
	offer retention.offer_code := retention.find_offer_code(code, retention.shop_id(shop), lock => true);
	refusal record;
	used_for text;
BEGIN
	IF redeem_offer.reference IS NULL OR redeem_offer.reference !~ '[^[:space:]]' THEN
		RAISE EXCEPTION 'a redemption needs a reference'
			USING ERRCODE = 'null_value_not_allowed',
				HINT = 'Give the order''s or checkout''s id: the same again is then the same redemption.';
	END IF;

	IF offer.customer_id IS DISTINCT FROM redeem_offer.customer
		OR offer.reference IS DISTINCT FROM redeem_offer.reference
	THEN
		SELECT r.error, r.detail INTO refusal
		FROM retention.offer_refusal(offer, redeem_offer.customer, redeem_offer.at) AS r;
		IF refusal.error IS NOT NULL THEN
			RAISE EXCEPTION '%', refusal.error
				USING ERRCODE = 'object_not_in_prerequisite_state',
					DETAIL = refusal.detail;
		END IF;
		BEGIN
			UPDATE retention.offer_code o
			SET redeemed_at = redeem_offer.at,
				reference = redeem_offer.reference
			WHERE o.shop_id = offer.shop_id AND o.code = offer.code
			RETURNING o.redeemed_at INTO offer.redeemed_at;
		EXCEPTION
			WHEN unique_violation THEN
				SELECT o.code INTO used_for
				FROM retention.offer_code o
				WHERE o.shop_id = offer.shop_id
					AND o.customer_id = offer.customer_id
					AND o.reference = redeem_offer.reference;
				RAISE EXCEPTION 'reference "%" names the redemption of another offer code', redeem_offer.reference
					USING ERRCODE = 'unique_violation',
						DETAIL = format('It is that of "%s".', used_for);
		END;
	END IF;

	RETURN QUERY
	SELECT f.campaign::text, f.terms, offer.redeemed_at
	FROM retention.campaign_offer f
	WHERE f.shop_id = offer.shop_id AND f.campaign = offer.campaign;
END
$$;

COMMENT ON FUNCTION retention.redeem_offer(text, text, text, timestamptz, text) IS
	'Uses an offer code: once, by the customer it was issued to, within its dates and from its tier on; anything else is an error that says why. The reference names the redemption for good: repeated, it returns the same; with another code it is an error. at is the moment it counts; shop NULL means the only shop';

CREATE FUNCTION retention.redeem_offer(
	code text,
	customer anynonarray,
	reference text,
	at timestamptz DEFAULT retention.now(),
	shop text DEFAULT NULL
)
	RETURNS TABLE (campaign text, terms text, redeemed_at timestamptz)
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
	ROWS 1
AS $$
BEGIN
	RETURN QUERY
	SELECT r.campaign, r.terms, r.redeemed_at
	FROM retention.redeem_offer(code, retention.customer_key(customer), reference, at, shop) AS r;
END
$$;

COMMENT ON FUNCTION retention.redeem_offer(text, anynonarray, text, timestamptz, text) IS
	'The same for customers numbered by integer, whole numeric or uuid';
