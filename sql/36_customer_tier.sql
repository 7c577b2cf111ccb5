-- ---------------------------------------------------------------------------
-- customer_tier: the tier a customer has reached
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.tier_progress(
	customer text,
	shop text DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	OUT purchases bigint,
	OUT spent numeric
)
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	the_shop integer := retention.shop_id(shop);
	tier_window interval;
	time_zone text;
	stats retention.customer_stats;
	from_time timestamptz;
	to_time timestamptz;
BEGIN
	SELECT s.tier_window, s.time_zone INTO tier_window, time_zone
	FROM retention.shop AS s
	WHERE s.shop_id = the_shop;

	SELECT s.* INTO stats
	FROM retention.customer_stats AS s
	WHERE s.shop_id = the_shop AND s.customer_id = customer;

	IF NOT FOUND OR tier_window IS NULL AND at IS NULL THEN
		purchases := coalesce(stats.purchases, 0);
		spent := coalesce(stats.spent, 0);
		RETURN;
	END IF;

	-- Bounds are from ... to before; what happened at that very moment counts.
	-- The window is counted by the shop's clock, whatever the session's.
	from_time := timezone(time_zone, timezone(time_zone, coalesce(at, retention.now())) - tier_window);
	to_time := at + interval '1 microsecond';
	purchases := coalesce(retention.bought(stats.history, from_time, to_time), 0);
	spent := coalesce(retention.spent_between(stats.history, from_time, to_time), 0);

	-- Older purchases lie in chunks; those before the window need not be read.
	IF stats.history_from IS NOT NULL AND (from_time IS NULL OR from_time < stats.history_from) THEN
		SELECT
			purchases + coalesce(sum(retention.bought(h.history, from_time, to_time)), 0),
			spent + coalesce(sum(retention.spent_between(h.history, from_time, to_time)), 0)
		INTO purchases, spent
		FROM retention.customer_history AS h
		WHERE h.shop_id = the_shop
			AND h.customer_id = customer
			AND h.starts_at >= coalesce((
				SELECT max(first.starts_at)
				FROM retention.customer_history AS first
				WHERE first.shop_id = the_shop
					AND first.customer_id = customer
					AND first.starts_at <= from_time), '-infinity')
			AND (to_time IS NULL OR h.starts_at < to_time);
	END IF;
END
$$;

COMMENT ON FUNCTION retention.tier_progress(text, text, timestamptz) IS
	'What counts towards a customer''s tier: purchases and amount spent, over all or within shop.tier_window before the moment at (NULL: now, and all that is recorded); zeros for an unknown customer';

CREATE FUNCTION retention.customer_tier(customer text, shop text DEFAULT NULL, at timestamptz DEFAULT NULL)
	RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	the_shop integer := retention.shop_id(shop);
	kept text;
	progress record;
BEGIN
	-- Where a tier is kept for a while, the customer has what is kept.
	SELECT CASE WHEN at IS NULL AND (h.tier_grace IS NOT NULL OR h.tier_downgrade <> 'balance') THEN s.tier END
	INTO kept
	FROM retention.customer_stats AS s
	JOIN retention.shop AS h ON h.shop_id = s.shop_id
	WHERE s.shop_id = the_shop AND s.customer_id = customer;

	IF NOT FOUND THEN
		PERFORM FROM retention.customer AS c
		WHERE c.shop_id = the_shop AND c.customer_id = customer;
		IF NOT FOUND THEN
			RETURN NULL;
		END IF;
	END IF;
	IF kept IS NOT NULL THEN
		RETURN kept;
	END IF;

	SELECT p.* INTO progress
	FROM retention.tier_progress(customer, shop, at) AS p;
	RETURN retention.tier_of(progress.spent, progress.purchases, shop);
END
$$;

COMMENT ON FUNCTION retention.customer_tier(text, text, timestamptz) IS
	'Name of the tier a customer has reached by today''s ladder: over all purchases, or those within shop.tier_window before the moment at. Where at is NULL all that is recorded counts, the window ends now, and a tier kept by a grace period (shop.tier_grace) or lost one rung at a time is told as kept; otherwise what was paid up to at. NULL for an unknown customer, or when not even the lowest tier is reached; without a name the only shop is meant, an unknown shop or several and none named is an error';

CREATE FUNCTION retention.customer_tier(customer anynonarray, shop text DEFAULT NULL, at timestamptz DEFAULT NULL)
	RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN retention.customer_tier(retention.customer_key(customer), shop, at);
END
$$;

COMMENT ON FUNCTION retention.customer_tier(anynonarray, text, timestamptz) IS
	'Name of the tier a customer has reached, the customer given as bigint, integer, whole numeric or uuid; as customer_tier(text, text, timestamptz)';

REVOKE ALL ON FUNCTION
	retention.customer_tier(text, text, timestamptz),
	retention.customer_tier(anynonarray, text, timestamptz)
	FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	retention.customer_tier(text, text, timestamptz),
	retention.customer_tier(anynonarray, text, timestamptz)
	TO retention_reader, retention_operator;
