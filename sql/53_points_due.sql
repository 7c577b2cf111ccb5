-- ---------------------------------------------------------------------------
-- Bonuses that fall due, and the sweep
-- ---------------------------------------------------------------------------

CREATE TABLE retention.referral (
	shop_id integer NOT NULL,
	customer_id text COLLATE "C" NOT NULL,
	referrer_id text COLLATE "C" NOT NULL,
	source_id integer NOT NULL,
	order_id text COLLATE "C" NOT NULL,
	decided_at timestamptz NOT NULL,
	refused text,
	referral_bonus bigint NOT NULL DEFAULT 0,
	referred_bonus bigint NOT NULL DEFAULT 0,
	PRIMARY KEY (shop_id, customer_id)
);

SELECT pg_catalog.pg_extension_config_dump('retention.referral', '');

COMMENT ON TABLE retention.referral IS 'A customer whom another referred, decided once: by the first completed purchase';
COMMENT ON COLUMN retention.referral.shop_id IS 'The shop';
COMMENT ON COLUMN retention.referral.customer_id IS 'The customer referred';
COMMENT ON COLUMN retention.referral.referrer_id IS 'The customer who referred them, as the order says';
COMMENT ON COLUMN retention.referral.source_id IS 'Source of the order that decided it';
COMMENT ON COLUMN retention.referral.order_id IS 'The order that decided it';
COMMENT ON COLUMN retention.referral.decided_at IS 'When it was decided';
COMMENT ON COLUMN retention.referral.refused IS 'Why no bonus was given; NULL where it was';
COMMENT ON COLUMN retention.referral.referral_bonus IS 'Points given to the referrer';
COMMENT ON COLUMN retention.referral.referred_bonus IS 'Points given to the customer referred';

-- Only orders that name a referrer are in it: few, in most shops none.
CREATE INDEX purchase_referrer ON retention.purchase (shop_id, customer_id)
	WHERE referrer IS NOT NULL;

CREATE FUNCTION retention.run_referrals(shop_id integer, at timestamptz)
	RETURNS bigint
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	rules retention.shop;
	candidate record;
	refused text;
	given bigint := 0;
BEGIN
	SELECT s.* INTO rules
	FROM retention.shop s
	WHERE s.shop_id = shop_id;
	IF rules.referral_bonus + rules.referred_bonus = 0 THEN
		RETURN 0;
	END IF;

	FOR candidate IN
		SELECT DISTINCT ON (p.customer_id)
			p.customer_id, p.source_id, p.order_id, p.accrued_at, p.paid_at, p.referrer,
			c.phone, c.email,
			r.customer_id AS referrer_id, r.phone AS referrer_phone, r.email AS referrer_email
		FROM retention.purchase p
		LEFT JOIN retention.customer c ON c.shop_id = p.shop_id AND c.customer_id = p.customer_id
		LEFT JOIN retention.customer r ON r.shop_id = p.shop_id AND r.customer_id = p.referrer
		WHERE p.shop_id = shop_id
			AND p.referrer IS NOT NULL
			AND p.value IS NOT NULL
			AND p.accrued_at BETWEEN rules.referral_from AND at
			AND NOT EXISTS (
				SELECT FROM retention.referral f
				WHERE f.shop_id = p.shop_id AND f.customer_id = p.customer_id)
		ORDER BY p.customer_id, p.accrued_at, p.order_id
	LOOP
		refused := CASE
			WHEN candidate.referrer = candidate.customer_id THEN 'the customer is their own referrer'
			WHEN candidate.referrer_id IS NULL THEN 'the referrer is not known'
			WHEN nullif(trim(candidate.phone), '') = trim(candidate.referrer_phone) THEN 'the referrer has the same phone number'
			WHEN nullif(trim(lower(candidate.email)), '') = trim(lower(candidate.referrer_email)) THEN 'the referrer has the same e-mail address'
			WHEN EXISTS (
				SELECT FROM retention.purchase p
				WHERE p.shop_id = shop_id
					AND p.customer_id = candidate.customer_id
					AND p.value IS NOT NULL
					AND p.paid_at < candidate.paid_at
			) THEN 'it was not the first purchase'
		END;

		INSERT INTO retention.referral (
			shop_id, customer_id, referrer_id, source_id, order_id,
			decided_at, refused, referral_bonus, referred_bonus
		)
		VALUES (
			shop_id, candidate.customer_id, candidate.referrer, candidate.source_id, candidate.order_id,
			at, refused,
			CASE WHEN refused IS NULL THEN rules.referral_bonus ELSE 0 END,
			CASE WHEN refused IS NULL THEN rules.referred_bonus ELSE 0 END
		)
		ON CONFLICT DO NOTHING;
		CONTINUE WHEN NOT FOUND OR refused IS NOT NULL;
		given := given + 1;
	END LOOP;

	-- Customers are locked in the order of their keys, as everywhere.
	PERFORM retention.grant_referral(
		g.customer_id, g.points, g.reason, g.reference, at => at, shop => rules.name)
	FROM (
		SELECT
			b.customer_id, b.points, b.reason, b.reference
		FROM retention.referral f
		CROSS JOIN LATERAL (
			VALUES
				(f.referrer_id, f.referral_bonus, 'referred customer ' || f.customer_id, 'referral of ' || f.customer_id),
				(f.customer_id, f.referred_bonus, 'referred by customer ' || f.referrer_id, 'referred')
		) AS b (customer_id, points, reason, reference)
		WHERE f.shop_id = shop_id
			AND f.refused IS NULL
			AND f.decided_at = at
			AND b.points > 0
		ORDER BY b.customer_id, b.reference
		OFFSET 0
	) AS g;
	RETURN given;
END
$$;

COMMENT ON FUNCTION retention.run_referrals(integer, timestamptz) IS
	'Gives the referral bonuses of a shop that are due: after the first completed purchase of a customer referred, once; refused where the referrer is not known, is the customer, or has the same phone number or e-mail address. Returns how many were given';

CREATE FUNCTION retention.run_joining(shop_id integer, at timestamptz)
	RETURNS bigint
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	rules retention.shop;
	given bigint;
BEGIN
	SELECT s.* INTO rules
	FROM retention.shop s
	WHERE s.shop_id = shop_id;
	IF rules.joining_bonus = 0 THEN
		RETURN 0;
	END IF;

	SELECT count(retention.grant(
		c.customer_id, rules.joining_bonus, 'joining bonus', 'joining bonus', at => at, shop => rules.name))
	INTO given
	FROM (
		SELECT c.customer_id
		FROM retention.customer c
		WHERE c.shop_id = shop_id
			AND c.joined_at BETWEEN rules.joining_bonus_from AND at
			AND NOT EXISTS (
				SELECT FROM retention.points_entry e
				WHERE e.shop_id = c.shop_id
					AND e.customer_id = c.customer_id
					AND e.reference = 'joining bonus')
		ORDER BY c.customer_id
		OFFSET 0
	) AS c;
	RETURN given;
END
$$;

COMMENT ON FUNCTION retention.run_joining(integer, timestamptz) IS
	'Gives the joining bonus of a shop to whoever joined since it was switched on and has not had it; returns how many got it';
