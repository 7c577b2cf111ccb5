-- ---------------------------------------------------------------------------
-- What points there are, and what they are worth
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.points_balance(
	customer text,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS bigint
	AS 'MODULE_PATHNAME', 'points_balance'
	LANGUAGE C STABLE PARALLEL RESTRICTED;

COMMENT ON FUNCTION retention.points_balance(text, timestamptz, text) IS
	'Points a customer can spend at a moment (NULL: now): lots not lapsed by then less open holds and debt; negative when points of a refunded order were already spent. For a moment before the last entry, what the entries that count by then come to. 0 for a customer not seen yet, NULL for NULL. shop NULL means the only shop';

CREATE FUNCTION retention.points_balance(
	customer anynonarray,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS bigint
	AS 'MODULE_PATHNAME', 'points_balance'
	LANGUAGE C STABLE PARALLEL RESTRICTED;

COMMENT ON FUNCTION retention.points_balance(anynonarray, timestamptz, text) IS
	'The same for customers numbered by integer, whole numeric or uuid';

CREATE FUNCTION retention.points_value(points bigint, shop text DEFAULT NULL)
	RETURNS numeric
	LANGUAGE plpgsql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN points_value.points * (
		SELECT s.points_value
		FROM retention.shop s
		WHERE s.shop_id = retention.shop_id(points_value.shop)
	);
END
$$;

COMMENT ON FUNCTION retention.points_value(bigint, text) IS 'What so many points are worth when redeemed, in the shop''s currency: points * shop.points_value; NULL for NULL';

CREATE FUNCTION retention.points_for(amount numeric, shop text DEFAULT NULL)
	RETURNS bigint
	LANGUAGE plpgsql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	value numeric;
BEGIN
	SELECT s.points_value INTO value
	FROM retention.shop s
	WHERE s.shop_id = retention.shop_id(points_for.shop);
	IF value = 0 THEN
		RAISE EXCEPTION 'points of the shop have no value'
			USING ERRCODE = 'division_by_zero',
				HINT = 'Set points_value in retention.shop.';
	END IF;
	IF amount < 0 OR amount = 'NaN' THEN
		RAISE EXCEPTION 'amount must not be negative: %', amount
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	RETURN ceil(amount / value)::bigint;
END
$$;

COMMENT ON FUNCTION retention.points_for(numeric, text) IS 'Points that it takes to pay so much in the shop''s currency, rounded up; NULL for NULL';
