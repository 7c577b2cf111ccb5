-- ---------------------------------------------------------------------------
-- similar_customers: those most like an audience (lookalike)
-- ---------------------------------------------------------------------------

-- Logarithms, as from 1 purchase to 2 is as far as from 10 to 20.  Spread is
-- the seeds' own, so that what they do not have in common does not count; its
-- least is a quarter of everybody's, or one thing that they have exactly in
-- common would be all that counts.  The features are rounded, and their means
-- exact: rows read in another order give the same result.
CREATE FUNCTION retention.similar_customers(
	audience text,
	customers integer DEFAULT 100,
	shop text DEFAULT NULL,
	at timestamptz DEFAULT retention.now()
)
	RETURNS TABLE (
		customer_id text,
		name text,
		distance numeric,
		recency_days integer,
		purchases bigint,
		average_value numeric,
		interval_days numeric
	)
	LANGUAGE plpgsql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	seeds text[];
BEGIN
	IF similar_customers.customers IS NULL OR similar_customers.customers <= 0 THEN
		RAISE EXCEPTION 'cannot give % customers', coalesce(similar_customers.customers::text, 'NULL')
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Say how many are wanted: customers => 100.';
	END IF;
	SELECT coalesce(array_agg(seed.customer_id), '{}') INTO seeds
	FROM retention.audience_customers(audience, shop, at) AS seed
	WHERE seed.purchases > 0;
	IF cardinality(seeds) < 5 THEN
		RAISE EXCEPTION 'audience "%" has % customers with a purchase: too few to be like', audience, cardinality(seeds)
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Take an audience with 5 or more.';
	END IF;

	RETURN QUERY
	WITH buyer AS (
		SELECT
			customer.customer_id,
			customer.name,
			stats.purchases,
			day.recency_days,
			greatest(stats.spent, 0) / stats.purchases AS average_value,
			CASE
				WHEN stats.purchases > 1 THEN (day.last - day.first)::numeric / (stats.purchases - 1)
				ELSE greatest(day.today - day.first, 0)
			END AS interval_days,
			seed.customer_id IS NOT NULL AS is_seed
		FROM retention.shop
		JOIN retention.customer ON customer.shop_id = shop.shop_id
		JOIN retention.customer_stats AS stats ON stats.shop_id = customer.shop_id AND stats.customer_id = customer.customer_id
		CROSS JOIN LATERAL (
			SELECT
				timezone(shop.time_zone, at)::date,
				timezone(shop.time_zone, stats.first_purchase_at)::date,
				timezone(shop.time_zone, stats.last_purchase_at)::date,
				greatest(timezone(shop.time_zone, at)::date - timezone(shop.time_zone, stats.last_purchase_at)::date, 0)
		) AS day (today, first, last, recency_days)
		LEFT JOIN unnest(seeds) AS seed (customer_id) ON seed.customer_id = customer.customer_id
		WHERE shop.shop_id = the_shop AND stats.purchases > 0 AND customer.forgotten_at IS NULL
	), feature AS (
		SELECT
			buyer.*,
			round(ln(1 + buyer.recency_days::double precision)::numeric, 9) AS r,
			round(ln(buyer.purchases::double precision)::numeric, 9) AS f,
			round(ln(1 + buyer.average_value::double precision)::numeric, 9) AS m,
			round(ln(1 + buyer.interval_days::double precision)::numeric, 9) AS i
		FROM buyer
	), centre AS MATERIALIZED (
		SELECT
			avg(feature.r) FILTER (WHERE feature.is_seed) AS r,
			avg(feature.f) FILTER (WHERE feature.is_seed) AS f,
			avg(feature.m) FILTER (WHERE feature.is_seed) AS m,
			avg(feature.i) FILTER (WHERE feature.is_seed) AS i,
			-- Where all customers are alike the feature tells nothing: NULL.
			nullif(greatest(stddev_samp(feature.r) FILTER (WHERE feature.is_seed), stddev_samp(feature.r) / 4), 0) AS r_spread,
			nullif(greatest(stddev_samp(feature.f) FILTER (WHERE feature.is_seed), stddev_samp(feature.f) / 4), 0) AS f_spread,
			nullif(greatest(stddev_samp(feature.m) FILTER (WHERE feature.is_seed), stddev_samp(feature.m) / 4), 0) AS m_spread,
			nullif(greatest(stddev_samp(feature.i) FILTER (WHERE feature.is_seed), stddev_samp(feature.i) / 4), 0) AS i_spread
		FROM feature
	)
	SELECT
		feature.customer_id,
		feature.name,
		round(sqrt((
			coalesce(((feature.r - centre.r) / centre.r_spread) ^ 2, 0)
			+ coalesce(((feature.f - centre.f) / centre.f_spread) ^ 2, 0)
			+ coalesce(((feature.m - centre.m) / centre.m_spread) ^ 2, 0)
			+ coalesce(((feature.i - centre.i) / centre.i_spread) ^ 2, 0)
		)::double precision)::numeric, 6) AS distance,
		feature.recency_days,
		feature.purchases,
		feature.average_value,
		feature.interval_days
	FROM feature
	CROSS JOIN centre
	WHERE NOT feature.is_seed
	ORDER BY 3, 1
	LIMIT similar_customers.customers;
END
$$;

COMMENT ON FUNCTION retention.similar_customers(text, integer, text, timestamptz) IS
	'The customers most like an audience (lookalike, 相似人群) and not in it, the most alike first. Method: each buyer is a point of four logarithms, ln(1 + days since the last purchase), ln(purchases), ln(1 + value of an average purchase) and ln(1 + days between purchases; since the only one for who bought once); distance is the Euclidean one to the mean of the audience''s buyers, each logarithm in units of their standard deviation, or of a quarter of all buyers'' where that is more. The audience''s own customers are about 2 away on average. The same data give the same answer. Days are the shop''s; at is the moment they count from. An audience with fewer than 5 buyers is an error; shop NULL means the only shop';
