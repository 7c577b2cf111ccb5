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
	moment timestamptz := retention.moment_of(at);
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
	moment timestamptz := retention.moment_of(at);
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

-- Who came back is told by events, who was there to come back is not: half of
-- those who join never show themselves again.
CREATE FUNCTION retention.new_with_events(
	of_kind text,
	period text,
	moment timestamptz,
	shop text
)
	RETURNS TABLE (cohort date, channel text, customer_id text, new_at timestamptz, times timestamptz[])
	LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	zone text := (SELECT s.time_zone FROM retention.shop AS s WHERE s.shop_id = the_shop);
	unit text := CASE WHEN period IS NOT NULL THEN retention.shop_period(period, the_shop) END;
BEGIN
	RETURN QUERY
	WITH seen AS (
		SELECT event.customer_id, min(event.happened_at) AS first_at, array_agg(event.happened_at) AS times,
			(array_agg(event.channel ORDER BY event.happened_at, event.channel COLLATE "C"))[1] AS channel
		FROM retention.events(NULL, moment + interval '1 microsecond', of_kind, shop) AS event
		WHERE event.customer_id IS NOT NULL AND isfinite(event.happened_at)
		GROUP BY event.customer_id
	), member AS (
		SELECT customer.customer_id, customer.attributes ->> 'channel' AS channel,
			CASE WHEN isfinite(customer.joined_at) AND customer.joined_at <= moment THEN customer.joined_at END AS joined_at
		FROM retention.customer
		WHERE customer.shop_id = the_shop
	), fresh AS (
		-- A later event's channel is not asked for: only who came back has one,
		-- so that each such channel would seem to keep everybody.
		SELECT coalesce(member.customer_id, seen.customer_id) AS customer_id,
			coalesce(member.joined_at, seen.first_at) AS new_at,
			seen.times,
			coalesce(
				CASE
					WHEN timezone(zone, seen.first_at)::date <= timezone(zone, coalesce(member.joined_at, seen.first_at))::date
					THEN seen.channel
				END,
				member.channel) AS channel
		FROM member
		FULL JOIN seen ON seen.customer_id = member.customer_id
	)
	SELECT retention.period_of(unit, zone, fresh.new_at), fresh.channel, fresh.customer_id, fresh.new_at, fresh.times
	FROM fresh
	WHERE fresh.new_at IS NOT NULL;
END
$$;

COMMENT ON FUNCTION retention.new_with_events(text, text, timestamptz, text) IS
	'Everybody who was new by the moment, with the times of all their events of the kind by then (NULL: none), for event_retention() and event_retention_customers()';

CREATE FUNCTION retention.event_retention(
	of_kind text DEFAULT 'login',
	mode text DEFAULT 'classic',
	days integer[] DEFAULT '{1,3,7,30}',
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL,
	period text DEFAULT NULL
)
	RETURNS TABLE (
		cohort date,
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
	moment timestamptz := retention.moment_of(at);
	zone text := (SELECT s.time_zone FROM retention.shop AS s WHERE s.shop_id = the_shop);
	way text := retention.check_retention(mode);
	numbers integer[] := retention.check_days(days);
BEGIN
	RETURN QUERY
	SELECT answer.cohort, answer.channel, (answer.point).days, (answer.point).customers, (answer.point).returned, (answer.point).rate
	FROM (
		SELECT collected.cohort, collected.channel, unnest(retention.retention_curve(collected.counts, way, numbers)) AS point
		FROM (
			SELECT fresh.cohort, fresh.channel, retention.retention_collect(fresh.new_at, fresh.times, zone, moment) AS counts
			FROM retention.new_with_events(of_kind, period, moment, shop) AS fresh
			GROUP BY fresh.cohort, fresh.channel
		) AS collected
	) AS answer
	ORDER BY 1, 2, 3;
END
$$;

COMMENT ON FUNCTION retention.event_retention(text, text, integer[], timestamptz, text, text) IS
	'Retention by log-in (留存率) or any other kind of attached event: of the customers new on a day, the share with such an event on day N (classic), on day N or later (rolling) or up to day N (within). New is who joined (customer.joined_at) by the moment, whether with events or none, and, where that is not known, who had a first event of the kind; who has no later event has not come back. period (day, week from shop.week_start, month, quarter, year, in the shop''s time zone) tells them apart by when they were new: cohort is the first day of that period; NULL, both: all together. channel is that of their first event when it came on the day they were new or before, else attributes ->> ''channel'' of the customer, else NULL: a channel by which they came back later would tell who did. customers are those whose day N is over, so those of a period grow until it is for all; returned and rate are NULL without any. Rates 0 to 1; days are the shop''s; events and joining at an infinite time are left out. The customers: event_retention_customers(). at is the moment from which to look (NULL: now); shop NULL means the only shop';

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
	moment timestamptz := retention.moment_of(at);
	zone text := (SELECT s.time_zone FROM retention.shop AS s WHERE s.shop_id = the_shop);
	unit text := retention.shop_period(period, the_shop);
	current date := retention.period_of(unit, zone, moment);
BEGIN
	RETURN QUERY
	WITH visit AS (
		SELECT event.customer_id, retention.period_of(unit, zone, event.happened_at) AS starts
		FROM retention.events(NULL, moment + interval '1 microsecond', of_kind, shop) AS event
		WHERE event.customer_id IS NOT NULL AND isfinite(event.happened_at)
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
	'Visitors by period, from attached events of the kind: customers with such an event, of them those with one in an earlier period (returning_share), and those with a purchase in the same period (conversion: 访问转化率). Events at an infinite time are left out. Rates 0 to 1; NULL while the period is not over. The customers: visit_conversion_customers(). Periods are day, week (from shop.week_start), month, quarter and year, in the shop''s time zone. at is the moment from which to look (NULL: now); shop NULL means the only shop';
