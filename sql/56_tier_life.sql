-- ---------------------------------------------------------------------------
-- The tier a customer has, how it came about, and what it brings
-- ---------------------------------------------------------------------------

CREATE TABLE retention.tier_change (
	shop_id integer NOT NULL,
	customer_id text COLLATE "C" NOT NULL,
	change_no bigint NOT NULL CHECK (change_no > 0),
	changed_at timestamptz NOT NULL,
	from_tier text,
	to_tier text,
	reason text NOT NULL,
	PRIMARY KEY (shop_id, customer_id, change_no)
);

SELECT pg_catalog.pg_extension_config_dump('retention.tier_change', '');

COMMENT ON TABLE retention.tier_change IS 'Changes of customers'' tiers; starting on the lowest one is no change';
COMMENT ON COLUMN retention.tier_change.shop_id IS 'The shop';
COMMENT ON COLUMN retention.tier_change.customer_id IS 'The customer';
COMMENT ON COLUMN retention.tier_change.change_no IS 'Number of the change for this customer, from 1';
COMMENT ON COLUMN retention.tier_change.changed_at IS 'When it came about';
COMMENT ON COLUMN retention.tier_change.from_tier IS 'The tier before; NULL for none';
COMMENT ON COLUMN retention.tier_change.to_tier IS 'The tier after; NULL for none';
COMMENT ON COLUMN retention.tier_change.reason IS 'reached, no longer reached, or the ladder changed';

CREATE TRIGGER append_only
	BEFORE UPDATE OR DELETE OR TRUNCATE ON retention.tier_change
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_change();

CREATE TABLE retention.tier_review (
	shop_id integer PRIMARY KEY,
	ladder text NOT NULL,
	reviewed_at timestamptz NOT NULL
);

SELECT pg_catalog.pg_extension_config_dump('retention.tier_review', '');

COMMENT ON TABLE retention.tier_review IS 'By which ladder the tiers of a shop''s customers were last reviewed';
COMMENT ON COLUMN retention.tier_review.shop_id IS 'The shop';
COMMENT ON COLUMN retention.tier_review.ladder IS 'Digest of the ladder and of the shop''s rules for tiers: when it changes, everybody is reviewed';
COMMENT ON COLUMN retention.tier_review.reviewed_at IS 'When everybody was last reviewed';

CREATE FUNCTION retention.ladder(shop text DEFAULT NULL)
	RETURNS TABLE (
		rung integer,
		name text,
		name_zh text,
		min_spent numeric,
		min_purchases bigint,
		match text,
		multiplier numeric,
		discount numeric,
		member_price boolean,
		purchase_limit bigint,
		benefits jsonb
	)
	LANGUAGE plpgsql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(ladder.shop);
BEGIN
	RETURN QUERY
	SELECT t.rung, t.name, t.name_zh, t.min_spent, t.min_purchases, t.match, t.multiplier,
		t.discount, t.member_price, t.purchase_limit, t.benefits
	FROM retention.tier t
	WHERE t.shop_id = the_shop
	ORDER BY t.rung;
	IF FOUND THEN
		RETURN;
	END IF;
	RETURN QUERY
	SELECT t.rung, t.name, t.name_zh, t.min_spent, t.min_purchases, t.match, t.multiplier,
		t.discount, t.member_price, t.purchase_limit, t.benefits
	FROM retention.tier_default t
	ORDER BY t.rung;
END
$$;

COMMENT ON FUNCTION retention.ladder(text) IS 'The rungs that count for a shop, from the lowest: its own, or the shipped ones when it has none';

CREATE FUNCTION retention.review_tiers(shop_id integer, at timestamptz, everybody boolean)
	RETURNS bigint
	AS 'MODULE_PATHNAME', 'review_tiers'
	LANGUAGE C STRICT;

COMMENT ON FUNCTION retention.review_tiers(integer, timestamptz, boolean) IS 'Reviews the tiers of a shop''s customers for whom it is time by then, or of all; returns how many changed';

CREATE FUNCTION retention.run_tiers(at timestamptz)
	RETURNS bigint
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	the_shop record;
	digest text;
	changed boolean;
	changes bigint := 0;
BEGIN
	FOR the_shop IN
		SELECT s.shop_id, s.name, s.tier_window, s.tier_grace, s.tier_downgrade
		FROM retention.shop s
		ORDER BY s.shop_id
	LOOP
		SELECT md5(format('%s %s %s %s', the_shop.tier_window, the_shop.tier_grace, the_shop.tier_downgrade,
			string_agg(format('%s %s %s %s %s', l.rung, l.name, l.min_spent, l.min_purchases, l.match), E'\n' ORDER BY l.rung)))
		INTO digest
		FROM retention.ladder(the_shop.name) AS l;

		INSERT INTO retention.tier_review AS r (shop_id, ladder, reviewed_at)
		VALUES (the_shop.shop_id, digest, at)
		ON CONFLICT (shop_id) DO UPDATE
		SET ladder = EXCLUDED.ladder, reviewed_at = EXCLUDED.reviewed_at
		WHERE r.ladder <> EXCLUDED.ladder;
		changed := FOUND;

		changes := changes + retention.review_tiers(the_shop.shop_id, at, changed);
	END LOOP;
	RETURN changes;
END
$$;

COMMENT ON FUNCTION retention.run_tiers(timestamptz) IS
	'What run() does for tiers: reviews those for which it is time by then, and everybody''s where the ladder has changed; returns how many changed';

CREATE FUNCTION retention.tier_benefits(
	customer text,
	shop text DEFAULT NULL,
	OUT tier text,
	OUT name_zh text,
	OUT discount numeric,
	OUT member_price boolean,
	OUT purchase_limit bigint,
	OUT multiplier numeric,
	OUT benefits jsonb
)
	LANGUAGE plpgsql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	SELECT l.name, l.name_zh, l.discount, l.member_price, l.purchase_limit, l.multiplier, l.benefits
	INTO tier, name_zh, discount, member_price, purchase_limit, multiplier, benefits
	FROM retention.ladder(tier_benefits.shop) AS l
	WHERE l.name = retention.customer_tier(tier_benefits.customer, tier_benefits.shop);

	IF tier IS NULL THEN
		discount := 1;
		member_price := false;
		multiplier := 1;
		benefits := '{}';
	END IF;
END
$$;

COMMENT ON FUNCTION retention.tier_benefits(text, text) IS
	'What a customer''s tier brings at the checkout, in one call: discount (share of the price to pay), whether members'' prices apply, how many of a limited article, multiplier of points, and the rest. For an unknown customer, or one without a tier, what everybody pays';

CREATE FUNCTION retention.tier_benefits(
	customer anynonarray,
	shop text DEFAULT NULL,
	OUT tier text,
	OUT name_zh text,
	OUT discount numeric,
	OUT member_price boolean,
	OUT purchase_limit bigint,
	OUT multiplier numeric,
	OUT benefits jsonb
)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	SELECT b.tier, b.name_zh, b.discount, b.member_price, b.purchase_limit, b.multiplier, b.benefits
	INTO tier, name_zh, discount, member_price, purchase_limit, multiplier, benefits
	FROM retention.tier_benefits(retention.customer_key(customer), shop) AS b;
END
$$;

COMMENT ON FUNCTION retention.tier_benefits(anynonarray, text) IS 'The same for customers numbered by integer, whole numeric or uuid';

-- ---------------------------------------------------------------------------
-- my_points: the buyer's page
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.my_points(customer text, at timestamptz DEFAULT NULL, shop text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE plpgsql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	moment timestamptz := coalesce(my_points.at, retention.now());
	the_shop retention.shop;
	stats retention.customer_stats;
	available bigint;
	parts record;
	held bigint;
	pending bigint;
	lapsing jsonb;
	purchases bigint;
	spent numeric;
	tier text;
	this record;
	next record;
BEGIN
	IF customer IS NULL THEN
		RETURN NULL;
	END IF;
	SELECT s.* INTO the_shop
	FROM retention.shop s
	WHERE s.shop_id = retention.shop_id(my_points.shop);
	SELECT s.* INTO stats
	FROM retention.customer_stats s
	WHERE s.shop_id = the_shop.shop_id AND s.customer_id = my_points.customer;

	available := retention.points_balance(customer, moment, the_shop.name);
	SELECT p.* INTO parts
	FROM retention.points_parts(customer, the_shop.name) AS p;
	SELECT coalesce(sum(h.points), 0) INTO held
	FROM retention.points_hold h
	WHERE h.shop_id = the_shop.shop_id
		AND h.customer_id = my_points.customer
		AND h.state = 'open'
		AND h.times_out_at > moment;
	SELECT coalesce(sum(p.points), 0) INTO pending
	FROM retention.points_pending(customer, the_shop.name) AS p;

	SELECT coalesce(jsonb_agg(jsonb_build_object('expires_at', l.expires_at, 'points', l.points) ORDER BY l.expires_at), '[]')
	INTO lapsing
	FROM (
		SELECT l.expires_at, sum(l.remaining - l.held) AS points
		FROM retention.points_lot l
		WHERE l.shop_id = the_shop.shop_id
			AND l.customer_id = my_points.customer
			AND l.is_open
			AND l.expires_at > moment
			AND l.remaining > l.held
		GROUP BY l.expires_at
		ORDER BY l.expires_at
		LIMIT 12
	) AS l;

	tier := retention.customer_tier(customer, the_shop.name);
	SELECT w.purchases, w.spent INTO purchases, spent
	FROM retention.tier_progress(customer, the_shop.name) AS w;
	SELECT l.* INTO this
	FROM retention.ladder(the_shop.name) AS l
	WHERE l.name = tier;
	SELECT l.* INTO next
	FROM retention.ladder(the_shop.name) AS l
	WHERE l.rung > coalesce(this.rung, 0)
	ORDER BY l.rung
	LIMIT 1;

	RETURN jsonb_build_object(
		'available', available,
		'value', round(greatest(available, 0) * the_shop.points_value, 2),
		'balance', jsonb_build_object(
			'earned', parts.earned,
			'adjusted', parts.adjusted,
			'referral', parts.referral,
			'used', parts.used,
			'lapsed', parts.lapsed,
			'posted', parts.posted),
		'held', held,
		'debt', coalesce(stats.points_debt, 0),
		'pending', pending,
		'expiring', lapsing,
		'tier', CASE WHEN this.name IS NOT NULL THEN jsonb_build_object(
			'name', this.name,
			'name_zh', this.name_zh,
			'since', stats.tier_since,
			'kept_until', stats.tier_below_since + the_shop.tier_grace,
			'discount', this.discount,
			'member_price', this.member_price,
			'purchase_limit', this.purchase_limit,
			'multiplier', this.multiplier,
			'benefits', this.benefits) END,
		'next_tier', CASE WHEN next.name IS NOT NULL THEN jsonb_build_object(
			'name', next.name,
			'name_zh', next.name_zh,
			'missing_spent', greatest(next.min_spent - spent, 0),
			'missing_purchases', greatest(next.min_purchases - purchases, 0),
			'match', next.match) END,
		'rules', jsonb_build_object(
			'points_rate', the_shop.points_rate,
			'points_value', the_shop.points_value,
			'currency', the_shop.currency,
			'accrue_on', the_shop.accrue_on,
			'accrue_after_days', the_shop.accrue_after_days,
			'expiry', the_shop.points_expiry,
			'expiry_months', CASE WHEN the_shop.points_expiry <> 'none' THEN the_shop.points_expiry_months END,
			'birthday_multiplier', the_shop.birthday_multiplier,
			'member_day', the_shop.member_day,
			'member_day_multiplier', CASE WHEN the_shop.member_day IS NOT NULL THEN the_shop.member_day_multiplier END)
	);
END
$$;

COMMENT ON FUNCTION retention.my_points(text, timestamptz, text) IS
	'All that a buyer''s page shows of points, in one call: available points and their value; the balance in four parts (earned + adjusted + referral - used = posted; lapsed is part of used); points held, owed and pending; what expires when (the next 12 dates); the tier, what is missing for the next, and the rules. at is the moment asked about (NULL: now). Zeros for an unknown customer, NULL for NULL';

CREATE FUNCTION retention.my_points(customer anynonarray, at timestamptz DEFAULT NULL, shop text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN retention.my_points(retention.customer_key(customer), at, shop);
END
$$;

COMMENT ON FUNCTION retention.my_points(anynonarray, timestamptz, text) IS 'The same for customers numbered by integer, whole numeric or uuid';
