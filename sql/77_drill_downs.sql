-- ---------------------------------------------------------------------------
-- The customers behind a figure: NAME_customers() for a cell of NAME()
-- ---------------------------------------------------------------------------

-- cohort_customers(), period_customers(), next_period_customers(),
-- x_order_customers() and rfm_movement_customers() stand beside the functions
-- that they explain.

-- ---------------------------------------------------------------------------
-- Customers by what they did after the first purchase
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.retention_curve_customers(
	days integer,
	mode text DEFAULT 'classic',
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (customer_id text, first_purchase_at timestamptz, returned boolean)
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
	zone text := (SELECT s.time_zone FROM retention.shop AS s WHERE s.shop_id = the_shop);
	today date := retention.period_of('day', zone, moment);
	kind text := retention.check_retention(mode);
	-- Beyond that nobody was observed; the day after must be a number as well.
	nth_day integer := least(retention.check_number('days', days, 0, 2147483647), 2147483646);
BEGIN
	RETURN QUERY
	SELECT kept.customer_id, kept.first_at,
		-- The first purchase itself is no return; it can only be met on day 0.
		CASE kind
			WHEN 'classic' THEN retention.bought(
				kept.history,
				retention.period_start('day', zone, kept.first_day, nth_day),
				retention.period_start('day', zone, kept.first_day, nth_day + 1)) > CASE nth_day WHEN 0 THEN 1 ELSE 0 END
			WHEN 'rolling' THEN retention.bought(
				kept.history,
				retention.period_start('day', zone, kept.first_day, nth_day),
				moment + interval '1 microsecond') > CASE nth_day WHEN 0 THEN 1 ELSE 0 END
			ELSE retention.bought(
				kept.history,
				NULL,
				retention.period_start('day', zone, kept.first_day, nth_day + 1)) > 1
		END
	FROM (
		SELECT whole.customer_id, whole.history, retention.first_purchase(whole.history) AS first_at,
			retention.period_of('day', zone, retention.first_purchase(whole.history)) AS first_day
		FROM retention.purchase_histories AS whole
		WHERE whole.shop_id = the_shop
	) AS kept
	WHERE today - kept.first_day > nth_day;
END
$$;

COMMENT ON FUNCTION retention.retention_curve_customers(integer, text, timestamptz, text) IS
	'The customers behind a row of retention_curve(): those whose day N after the first purchase is over, and whether they bought on it (classic), on it or later (rolling) or up to it (within). No number of days, and a negative one, are errors. Days are the shop''s. at is the moment from which to look (NULL: now); shop NULL means the only shop.';

CREATE FUNCTION retention.gap_to_next_customers(
	x bigint,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (customer_id text, bought_at timestamptz, next_at timestamptz, gap interval)
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT reached.customer_id, reached.reached_at, reached.next_at, reached.next_at - reached.reached_at
	FROM retention.x_order_customers(x, NULL, at, shop) AS reached
	WHERE reached.returned;
END
$$;

COMMENT ON FUNCTION retention.gap_to_next_customers(bigint, timestamptz, text) IS
	'The customers behind the rows of gap_to_next() for one X: when they made the X-th purchase and the next one, and the time between. No X, and one below 1, are errors. at is the moment from which to look (NULL: now); shop NULL means the only shop.';

-- ---------------------------------------------------------------------------
-- Customers by what they bought and spent
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.sales_by_channel_customers(
	day date,
	channel text,
	period text DEFAULT 'month',
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (customer_id text, purchases bigint, value numeric)
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
	zone text := (SELECT s.time_zone FROM retention.shop AS s WHERE s.shop_id = the_shop);
	unit text := retention.shop_period(period, the_shop);
	starts timestamptz := retention.period_start(unit, zone, retention.check_day('day', day));
	ends timestamptz := least(retention.period_start(unit, zone, day, 1), moment + interval '1 microsecond');
BEGIN
	RETURN QUERY
	SELECT order_.customer_id, count(*), sum(order_.value)
	FROM retention.purchase AS order_
	WHERE order_.shop_id = the_shop AND order_.value IS NOT NULL
		AND order_.paid_at >= starts AND order_.paid_at < ends
		AND order_.channel IS NOT DISTINCT FROM sales_by_channel_customers.channel
	GROUP BY order_.customer_id;
END
$$;

COMMENT ON FUNCTION retention.sales_by_channel_customers(date, text, text, timestamptz, text) IS
	'The customers behind a cell of sales_by_channel(): who bought through the channel (NULL: orders that name none) in the period the day lies in, how often and for how much. Periods are day, week (from shop.week_start), month, quarter and year, in the shop''s time zone. at is the moment from which to look (NULL: now); shop NULL means the only shop.';

CREATE FUNCTION retention.sales_by_region_customers(
	day date,
	region text,
	attribute text DEFAULT 'region',
	period text DEFAULT 'month',
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (customer_id text, purchases bigint, value numeric)
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
	zone text := (SELECT s.time_zone FROM retention.shop AS s WHERE s.shop_id = the_shop);
	unit text := retention.shop_period(period, the_shop);
	starts timestamptz := retention.period_start(unit, zone, retention.check_day('day', day));
	ends timestamptz := least(retention.period_start(unit, zone, day, 1), moment + interval '1 microsecond');
BEGIN
	RETURN QUERY
	SELECT order_.customer_id, count(*), sum(order_.value)
	FROM retention.purchase AS order_
	LEFT JOIN retention.customer ON customer.shop_id = order_.shop_id AND customer.customer_id = order_.customer_id
	WHERE order_.shop_id = the_shop AND order_.value IS NOT NULL
		AND order_.paid_at >= starts AND order_.paid_at < ends
		AND coalesce(order_.attributes ->> attribute, customer.attributes ->> attribute)
			IS NOT DISTINCT FROM sales_by_region_customers.region
	GROUP BY order_.customer_id;
END
$$;

COMMENT ON FUNCTION retention.sales_by_region_customers(date, text, text, text, timestamptz, text) IS
	'The customers behind a cell of sales_by_region(): who bought from the region (NULL: neither order nor customer has the attribute) in the period the day lies in, how often and for how much. Periods are day, week (from shop.week_start), month, quarter and year, in the shop''s time zone. at is the moment from which to look (NULL: now); shop NULL means the only shop.';

CREATE FUNCTION retention.order_funnel_customers(
	stage text,
	from_time timestamptz DEFAULT NULL,
	to_time timestamptz DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (customer_id text, orders bigint, closed bigint, waiting bigint)
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
	wanted integer := array_position('{placed,paid,shipped,delivered,completed}', lower(stage COLLATE "C"));
BEGIN
	IF wanted IS NULL THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('stage "%s" not recognized', coalesce(stage, 'NULL')),
			HINT = 'Stages are placed, paid, shipped, delivered and completed.';
	END IF;
	RETURN QUERY
	SELECT placed.customer_id, count(*),
		count(*) FILTER (WHERE placed.reached = wanted AND placed.is_closed),
		count(*) FILTER (WHERE placed.reached = wanted AND NOT placed.is_closed)
	FROM (
		SELECT order_.customer_id, coalesce(order_.closed_at <= moment, false) AS is_closed,
			CASE
				WHEN order_.completed_at <= moment THEN 5
				WHEN order_.delivered_at <= moment THEN 4
				WHEN order_.shipped_at <= moment THEN 3
				WHEN order_.paid_at <= moment THEN 2
				ELSE 1
			END AS reached
		FROM retention.purchase AS order_
		WHERE order_.shop_id = the_shop AND NOT order_.is_refund
			AND coalesce(order_.placed_at, order_.paid_at) <= moment
			AND (from_time IS NULL OR coalesce(order_.placed_at, order_.paid_at) >= from_time)
			AND (to_time IS NULL OR coalesce(order_.placed_at, order_.paid_at) < to_time)
	) AS placed
	WHERE placed.reached >= wanted
	GROUP BY placed.customer_id;
END
$$;

COMMENT ON FUNCTION retention.order_funnel_customers(text, timestamptz, timestamptz, timestamptz, text) IS
	'The customers behind a row of order_funnel(): whose orders reached the stage (placed, paid, shipped, delivered, completed), how many, and of them those that got no further, closed or waiting. Orders placed from from_time on and before to_time (NULL: no bound), as they were at the moment at. at is the moment from which to look (NULL: now); shop NULL means the only shop.';

CREATE FUNCTION retention.customer_value_band_customers(
	from_value numeric,
	to_value numeric,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (customer_id text, last_purchase_at timestamptz, purchases bigint, spent numeric)
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
BEGIN
	IF from_value = 'NaN' OR to_value = 'NaN' THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('argument "%s" must not be NaN', CASE WHEN from_value = 'NaN' THEN 'from_value' ELSE 'to_value' END),
			HINT = 'NULL is no bound.';
	END IF;
	RETURN QUERY
	SELECT total.customer_id, total.last_purchase_at, total.purchases, total.spent
	FROM retention.customer_totals(moment, shop) AS total
	WHERE (from_value IS NULL OR total.spent >= from_value) AND (to_value IS NULL OR total.spent < to_value);
END
$$;

COMMENT ON FUNCTION retention.customer_value_band_customers(numeric, numeric, timestamptz, text) IS
	'The customers behind a row of customer_value_bands(): who spent from from_value on and below to_value, NULL being no bound. at is the moment from which to look (NULL: now); shop NULL means the only shop.';

CREATE FUNCTION retention.pareto_customers(
	best numeric DEFAULT 0.2,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (customer_id text, purchases bigint, spent numeric, share_so_far numeric)
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
	fraction numeric := retention.check_fraction(best);
BEGIN
	RETURN QUERY
	SELECT ranked.customer_id, ranked.purchases, ranked.spent, ranked.so_far / nullif(ranked.of_all, 0)
	FROM (
		SELECT total.customer_id, total.purchases, total.spent,
			row_number() OVER by_spent AS position,
			sum(total.spent) OVER by_spent AS so_far,
			sum(total.spent) OVER () AS of_all,
			count(*) OVER () AS customers
		FROM retention.customer_totals(moment, shop) AS total
		WINDOW by_spent AS (ORDER BY total.spent DESC, total.customer_id COLLATE "C" ROWS UNBOUNDED PRECEDING)
	) AS ranked
	WHERE ranked.position <= greatest(ceil(fraction * ranked.customers), 1)
	ORDER BY ranked.position;
END
$$;

COMMENT ON FUNCTION retention.pareto_customers(numeric, timestamptz, text) IS
	'The customers behind pareto(): the best, who spent the most first, each with the share of sales (0 to 1) that he and those before him brought; the last one''s is pareto(). Among customers who spent the same the order is by id, by its bytes. at is the moment from which to look (NULL: now); shop NULL means the only shop.';

CREATE FUNCTION retention.rfm_grid_customers(
	recency integer,
	frequency integer,
	monetary integer,
	cuts retention.rfm_cuts DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (customer_id text, last_purchase_at timestamptz, purchases bigint, spent numeric)
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
BEGIN
	RETURN QUERY
	SELECT scored.customer_id, scored.last_purchase_at, scored.purchases, scored.spent
	FROM retention.rfm_scores(cuts, moment, shop) AS scored
	WHERE (rfm_grid_customers.recency IS NULL OR (scored.score).recency = rfm_grid_customers.recency)
		AND (rfm_grid_customers.frequency IS NULL OR (scored.score).frequency = rfm_grid_customers.frequency)
		AND (rfm_grid_customers.monetary IS NULL OR (scored.score).monetary = rfm_grid_customers.monetary);
END
$$;

COMMENT ON FUNCTION retention.rfm_grid_customers(integer, integer, integer, retention.rfm_cuts, timestamptz, text) IS
	'The customers behind a cell of rfm_grid(); a score that is NULL means any. at is the moment from which to look (NULL: now); shop NULL means the only shop.';

CREATE FUNCTION retention.tier_distribution_customers(
	tier text,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (customer_id text, purchases bigint, spent numeric)
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT reached.customer_id, reached.purchases, reached.spent
	FROM retention.tiers_at(at, shop) AS reached
	WHERE reached.tier IS NOT DISTINCT FROM tier_distribution_customers.tier;
END
$$;

COMMENT ON FUNCTION retention.tier_distribution_customers(text, timestamptz, text) IS
	'The customers behind a row of tier_distribution() for the same moment; NULL: below the lowest tier. at is the moment from which to look (NULL: now); shop NULL means the only shop.';

-- ---------------------------------------------------------------------------
-- Customers by product, log-in and visit
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.product_repurchase_customers(
	product text,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL,
	view_kind text DEFAULT 'view'
)
	RETURNS TABLE (customer_id text, purchases bigint, at_first boolean, returned boolean, viewed boolean)
	LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
BEGIN
	RETURN QUERY
	WITH bought AS (
		SELECT order_.source_id, order_.order_id, order_.customer_id,
			row_number() OVER (PARTITION BY order_.customer_id ORDER BY order_.paid_at, order_.source_id, order_.order_id) AS x,
			count(*) OVER (PARTITION BY order_.customer_id) AS purchases
		FROM retention.purchase AS order_
		WHERE order_.shop_id = the_shop AND order_.value IS NOT NULL AND order_.paid_at <= moment
	), buyer AS (
		SELECT bought.customer_id, count(DISTINCT (bought.source_id, bought.order_id)) AS times,
			bool_or(bought.x = 1) AS at_first, bool_or(bought.purchases >= 2) AS returned
		FROM retention.lines(NULL, shop) AS line
		JOIN bought ON bought.source_id = line.source_id AND bought.order_id = line.order_id
		WHERE line.product = product_repurchase_customers.product
		GROUP BY bought.customer_id
	), viewer AS (
		SELECT DISTINCT event.customer_id
		FROM retention.events(NULL, moment + interval '1 microsecond', view_kind, shop) AS event
		WHERE event.product = product_repurchase_customers.product AND event.customer_id IS NOT NULL
	)
	SELECT coalesce(buyer.customer_id, viewer.customer_id), coalesce(buyer.times, 0), coalesce(buyer.at_first, false),
		coalesce(buyer.returned, false), viewer.customer_id IS NOT NULL
	FROM buyer
	FULL JOIN viewer ON viewer.customer_id = buyer.customer_id;
END
$$;

COMMENT ON FUNCTION retention.product_repurchase_customers(text, timestamptz, text, text) IS
	'The customers behind a row of product_repurchase(): in how many purchases each bought the product (0: only looked at it), whether the first purchase held it (at_first), whether any purchase followed the first (returned), and whether the customer looked at it (viewed), by events of view_kind. at is the moment from which to look (NULL: now); shop NULL means the only shop.';

CREATE FUNCTION retention.product_pair_customers(
	product text,
	other text,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (customer_id text, orders bigint)
	LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
BEGIN
	RETURN QUERY
	SELECT order_.customer_id, count(*)
	FROM (
		SELECT line.source_id, line.order_id
		FROM retention.lines(NULL, shop) AS line
		WHERE line.product IN (product_pair_customers.product, product_pair_customers.other)
		GROUP BY line.source_id, line.order_id
		HAVING count(DISTINCT line.product) = 2
	) AS both_held
	JOIN retention.purchase AS order_ ON order_.source_id = both_held.source_id AND order_.order_id = both_held.order_id
	WHERE order_.shop_id = the_shop AND order_.value IS NOT NULL AND order_.paid_at <= moment
	GROUP BY order_.customer_id;
END
$$;

COMMENT ON FUNCTION retention.product_pair_customers(text, text, timestamptz, text) IS
	'The customers behind a row of product_pairs(): who bought both products in one order, and in how many. at is the moment from which to look (NULL: now); shop NULL means the only shop.';

CREATE FUNCTION retention.event_retention_customers(
	days integer,
	of_kind text DEFAULT 'login',
	mode text DEFAULT 'classic',
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL,
	period text DEFAULT NULL
)
	RETURNS TABLE (cohort date, channel text, customer_id text, new_at timestamptz, returned boolean)
	LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
	zone text := (SELECT s.time_zone FROM retention.shop AS s WHERE s.shop_id = the_shop);
	today date := retention.period_of('day', zone, moment);
	way text := retention.check_retention(mode);
	nth_day integer := retention.check_number('days', days, 0, 2147483647);
BEGIN
	RETURN QUERY
	SELECT fresh.cohort, fresh.channel, fresh.customer_id, fresh.new_at,
		EXISTS (
			SELECT
			FROM unnest(fresh.times) AS came (at)
			WHERE came.at > fresh.new_at
				AND CASE way
					WHEN 'classic' THEN timezone(zone, came.at)::date - timezone(zone, fresh.new_at)::date = nth_day
					WHEN 'rolling' THEN timezone(zone, came.at)::date - timezone(zone, fresh.new_at)::date >= nth_day
					ELSE timezone(zone, came.at)::date - timezone(zone, fresh.new_at)::date <= nth_day
				END
		)
	FROM retention.new_with_events(of_kind, period, moment, shop) AS fresh
	WHERE today - timezone(zone, fresh.new_at)::date > nth_day;
END
$$;

COMMENT ON FUNCTION retention.event_retention_customers(integer, text, text, timestamptz, text, text) IS
	'The customers behind the rows of event_retention() for one number of days: in which period they were new (cohort, its first day; NULL when period is), through which channel, when (new_at), and whether they came back on day N (classic), on it or later (rolling) or up to it (within), false for who has no event at all; only those whose day N is over. Who is new, and what the channel is: see event_retention(). Days are the shop''s; periods are day, week (from shop.week_start), month, quarter and year, in the shop''s time zone. at is the moment from which to look (NULL: now); shop NULL means the only shop.';

CREATE FUNCTION retention.visit_conversion_customers(
	day date,
	period text DEFAULT 'month',
	of_kind text DEFAULT 'visit',
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (customer_id text, visits bigint, came_before boolean, bought boolean)
	LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
	zone text := (SELECT s.time_zone FROM retention.shop AS s WHERE s.shop_id = the_shop);
	unit text := retention.shop_period(period, the_shop);
	starts timestamptz := retention.period_start(unit, zone, retention.check_day('day', day));
	ends timestamptz := least(retention.period_start(unit, zone, day, 1), moment + interval '1 microsecond');
BEGIN
	RETURN QUERY
	SELECT visitor.customer_id, visitor.visits, visitor.first_at < starts,
		EXISTS (
			SELECT
			FROM retention.purchase AS order_
			WHERE order_.shop_id = the_shop AND order_.customer_id = visitor.customer_id
				AND order_.value IS NOT NULL AND order_.paid_at >= starts AND order_.paid_at < ends
		)
	FROM (
		SELECT event.customer_id, count(*) FILTER (WHERE event.happened_at >= starts) AS visits,
			min(event.happened_at) AS first_at
		FROM retention.events(NULL, ends, of_kind, shop) AS event
		WHERE event.customer_id IS NOT NULL AND isfinite(event.happened_at)
		GROUP BY event.customer_id
	) AS visitor
	WHERE visitor.visits > 0;
END
$$;

COMMENT ON FUNCTION retention.visit_conversion_customers(date, text, text, timestamptz, text) IS
	'The customers behind a row of visit_conversion(): who visited in the period the day lies in and how often, whether they had come in an earlier period, and whether they bought in this one. Events at an infinite time are left out. Periods are day, week (from shop.week_start), month, quarter and year, in the shop''s time zone. at is the moment from which to look (NULL: now); shop NULL means the only shop.';
