-- ---------------------------------------------------------------------------
-- Products: what brings customers back, and what is bought together
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.product_repurchase(at timestamptz DEFAULT NULL, shop text DEFAULT NULL, view_kind text DEFAULT 'view')
	RETURNS TABLE (
		product text,
		buyers bigint,
		bought_again bigint,
		repurchase_rate numeric,
		first_buyers bigint,
		first_returned bigint,
		first_return_rate numeric,
		viewers_not_buyers bigint
	)
	LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := coalesce(at, retention.now());
BEGIN
	RETURN QUERY
	WITH bought AS (
		SELECT order_.source_id, order_.order_id, order_.customer_id,
			row_number() OVER (PARTITION BY order_.customer_id ORDER BY order_.paid_at, order_.source_id, order_.order_id) AS x,
			count(*) OVER (PARTITION BY order_.customer_id) AS purchases
		FROM retention.purchase AS order_
		WHERE order_.shop_id = the_shop AND order_.value IS NOT NULL AND order_.paid_at <= moment
	), by_customer AS (
		SELECT line.product, bought.customer_id, count(DISTINCT (bought.source_id, bought.order_id)) AS times,
			bool_or(bought.x = 1) AS at_first, bool_or(bought.purchases >= 2) AS returned
		FROM retention.lines(NULL, shop) AS line
		JOIN bought ON bought.source_id = line.source_id AND bought.order_id = line.order_id
		WHERE line.product IS NOT NULL
		GROUP BY line.product, bought.customer_id
	), by_product AS (
		SELECT by_customer.product, count(*) AS buyers,
			count(*) FILTER (WHERE by_customer.times >= 2) AS bought_again,
			count(*) FILTER (WHERE by_customer.at_first) AS first_buyers,
			count(*) FILTER (WHERE by_customer.at_first AND by_customer.returned) AS first_returned
		FROM by_customer
		GROUP BY by_customer.product
	), viewed AS (
		SELECT seen.product, count(*) AS viewers
		FROM (
			SELECT DISTINCT event.product, event.customer_id
			FROM retention.events(NULL, moment + interval '1 microsecond', view_kind, shop) AS event
			WHERE event.product IS NOT NULL AND event.customer_id IS NOT NULL
			EXCEPT
			SELECT by_customer.product, by_customer.customer_id
			FROM by_customer
		) AS seen
		GROUP BY seen.product
	)
	SELECT coalesce(by_product.product, viewed.product), coalesce(by_product.buyers, 0), coalesce(by_product.bought_again, 0),
		by_product.bought_again::numeric / by_product.buyers,
		coalesce(by_product.first_buyers, 0), coalesce(by_product.first_returned, 0),
		by_product.first_returned::numeric / nullif(by_product.first_buyers, 0),
		coalesce(viewed.viewers, 0)
	FROM by_product
	FULL JOIN viewed ON viewed.product = by_product.product
	ORDER BY 2 DESC, 1;
END
$$;

COMMENT ON FUNCTION retention.product_repurchase(timestamptz, text, text) IS
	'Products that bring customers back (商品复购), from attached lines: buyers, of them those who bought the product in two purchases or more (repurchase_rate: bought_again / buyers); customers whose first purchase held it, of them those who bought anything again (first_return_rate); and, where events of view_kind are attached, customers who looked at it and never bought it. Rates 0 to 1, NULL when nobody is in the group; a wholly refunded order is no purchase. The customers: product_repurchase_customers(). at is the moment from which to look (NULL: now); shop NULL means the only shop';

CREATE FUNCTION retention.product_pairs(least_orders bigint DEFAULT 2, at timestamptz DEFAULT NULL, shop text DEFAULT NULL)
	RETURNS TABLE (
		product text,
		other text,
		orders bigint,
		confidence numeric,
		lift numeric
	)
	LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := coalesce(at, retention.now());
BEGIN
	RETURN QUERY
	WITH held AS (
		SELECT DISTINCT line.source_id, line.order_id, line.product
		FROM retention.lines(NULL, shop) AS line
		JOIN retention.purchase AS order_ ON order_.source_id = line.source_id AND order_.order_id = line.order_id
		WHERE order_.shop_id = the_shop AND order_.value IS NOT NULL AND order_.paid_at <= moment AND line.product IS NOT NULL
	), of_product AS (
		SELECT held.product, count(*) AS orders
		FROM held
		GROUP BY held.product
	), together AS (
		-- Each pair is counted once, and told both ways.
		SELECT one.product, two.product AS other, count(*) AS orders
		FROM held AS one
		JOIN held AS two
			ON two.source_id = one.source_id AND two.order_id = one.order_id
			AND two.product COLLATE "C" > one.product COLLATE "C"
		GROUP BY one.product, two.product
		HAVING count(*) >= least_orders
	)
	SELECT pair.product, pair.other, together.orders,
		together.orders::numeric / pair.with_product,
		together.orders::numeric * (SELECT count(DISTINCT (held.source_id, held.order_id)) FROM held)
			/ (one.orders::numeric * two.orders)
	FROM together
	JOIN of_product AS one ON one.product = together.product
	JOIN of_product AS two ON two.product = together.other
	CROSS JOIN LATERAL (
		VALUES
			(together.product, together.other, one.orders),
			(together.other, together.product, two.orders)
	) AS pair (product, other, with_product)
	ORDER BY 3 DESC, 1, 2;
END
$$;

COMMENT ON FUNCTION retention.product_pairs(bigint, timestamptz, text) IS
	'Products bought in one order (连带购买), from attached lines, each pair both ways: orders that hold both; confidence, their share of the orders that hold the first; lift, how many times more often than by chance. Pairs in at least so many orders. The customers: product_pair_customers(). at is the moment from which to look (NULL: now); shop NULL means the only shop';

-- ---------------------------------------------------------------------------
-- Events: retention by log-in, visits and what comes of them
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.event_retention(
	of_kind text DEFAULT 'login',
	mode text DEFAULT 'classic',
	days integer[] DEFAULT '{1,3,7,30}',
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (
		channel text,
		day integer,
		customers bigint,
		returned bigint,
		rate numeric
	)
	LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := coalesce(at, retention.now());
	zone text := (SELECT s.time_zone FROM retention.shop AS s WHERE s.shop_id = the_shop);
BEGIN
	RETURN QUERY
	WITH one AS (
		SELECT event.customer_id, min(event.happened_at) AS first_at, array_agg(event.happened_at) AS times,
			(array_agg(event.channel ORDER BY event.happened_at, event.channel))[1] AS channel
		FROM retention.events(NULL, moment + interval '1 microsecond', of_kind, shop) AS event
		WHERE event.customer_id IS NOT NULL
		GROUP BY event.customer_id
	), collected AS (
		SELECT one.channel, retention.retention_collect(coalesce(customer.joined_at, one.first_at), one.times, zone, moment) AS counts
		FROM one
		LEFT JOIN retention.customer ON customer.shop_id = the_shop AND customer.customer_id = one.customer_id
		GROUP BY one.channel
	)
	SELECT answer.channel, (answer.point).days, (answer.point).customers, (answer.point).returned, (answer.point).rate
	FROM (
		SELECT collected.channel, unnest(retention.retention_curve(collected.counts, mode, days)) AS point
		FROM collected
	) AS answer
	ORDER BY 1, 2;
END
$$;

COMMENT ON FUNCTION retention.event_retention(text, text, integer[], timestamptz, text) IS
	'Retention by log-in (留存率) or any other kind of attached event: of the customers new on a day (customer.joined_at, else their first event of the kind), the share with such an event on day N (classic), on day N or later (rolling) or up to day N (within), by the channel of their first event. Only customers with an event of the kind are seen, and only those whose day N is over; days are the shop''s. Rates 0 to 1, NULL without customers. The customers: event_retention_customers(). at is the moment from which to look (NULL: now); shop NULL means the only shop';

CREATE FUNCTION retention.visit_conversion(
	period text DEFAULT 'month',
	of_kind text DEFAULT 'visit',
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (
		period_start date,
		visitors bigint,
		returning_visitors bigint,
		returning_share numeric,
		buyers bigint,
		conversion numeric
	)
	LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := coalesce(at, retention.now());
	zone text := (SELECT s.time_zone FROM retention.shop AS s WHERE s.shop_id = the_shop);
	unit text := retention.shop_period(period, the_shop);
	current date := retention.period_of(unit, zone, moment);
BEGIN
	RETURN QUERY
	WITH visit AS (
		SELECT event.customer_id, retention.period_of(unit, zone, event.happened_at) AS starts
		FROM retention.events(NULL, moment + interval '1 microsecond', of_kind, shop) AS event
		WHERE event.customer_id IS NOT NULL
		GROUP BY 1, 2
	), visitor AS (
		SELECT visit.customer_id, visit.starts, min(visit.starts) OVER (PARTITION BY visit.customer_id) AS first_starts
		FROM visit
	), buyer AS (
		SELECT DISTINCT order_.customer_id, retention.period_of(unit, zone, order_.paid_at) AS starts
		FROM retention.purchase AS order_
		WHERE order_.shop_id = the_shop AND order_.value IS NOT NULL AND order_.paid_at <= moment
	)
	SELECT visitor.starts,
		CASE WHEN visitor.starts < current THEN count(*) END,
		CASE WHEN visitor.starts < current THEN count(*) FILTER (WHERE visitor.first_starts < visitor.starts) END,
		CASE WHEN visitor.starts < current THEN (count(*) FILTER (WHERE visitor.first_starts < visitor.starts))::numeric / count(*) END,
		CASE WHEN visitor.starts < current THEN count(buyer.customer_id) END,
		CASE WHEN visitor.starts < current THEN count(buyer.customer_id)::numeric / count(*) END
	FROM visitor
	LEFT JOIN buyer ON buyer.customer_id = visitor.customer_id AND buyer.starts = visitor.starts
	GROUP BY visitor.starts
	ORDER BY visitor.starts;
END
$$;

COMMENT ON FUNCTION retention.visit_conversion(text, text, timestamptz, text) IS
	'Visitors by period, from attached events of the kind: customers with such an event, of them those with one in an earlier period (returning_share), and those with a purchase in the same period (conversion: 访问转化率). Rates 0 to 1; NULL while the period is not over. The customers: visit_conversion_customers(). Periods are day, week (from shop.week_start), month, quarter and year, in the shop''s time zone. at is the moment from which to look (NULL: now); shop NULL means the only shop';
