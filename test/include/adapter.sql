-- For the tests of adapters: what a person would ask of an order after each
-- step of its life, in one row.
SET client_min_messages = warning;
CREATE FUNCTION pg_temp.life(orders text, "order" text)
	RETURNS TABLE (
		customer text,
		states text,
		total numeric,
		paid numeric,
		refunded numeric,
		value numeric,
		purchases bigint,
		spent numeric,
		points bigint,
		messages text
	)
	LANGUAGE sql
AS $$
	SELECT
		p.customer_id,
		concat_ws(
			' ',
			CASE WHEN p.placed_at IS NOT NULL THEN 'placed' END,
			CASE WHEN p.paid_at IS NOT NULL THEN 'paid' END,
			CASE WHEN p.shipped_at IS NOT NULL THEN 'shipped' END,
			CASE WHEN p.delivered_at IS NOT NULL THEN 'delivered' END,
			CASE WHEN p.completed_at IS NOT NULL THEN 'completed' END,
			CASE WHEN p.closed_at IS NOT NULL THEN 'closed' END),
		trim_scale(p.total),
		trim_scale(p.paid),
		trim_scale(p.refunded + p.refunded_by_orders),
		trim_scale(p.value),
		c.purchases,
		trim_scale(c.spent),
		c.points_posted,
		(
			SELECT string_agg(
				m.rule || CASE WHEN m.state <> 'queued' THEN format(' (%s: %s)', m.state, m.reason) ELSE '' END,
				', ' ORDER BY m.due_at, m.rule, m.subject)
			FROM retention.care_message m
			WHERE m.source_id = p.source_id AND m.order_id = p.order_id
		)
	FROM retention.purchase p
	JOIN retention.source s ON s.source_id = p.source_id
	JOIN retention.customer_stats c ON c.shop_id = p.shop_id AND c.customer_id = p.customer_id
	WHERE s.name = life.orders AND p.order_id = life."order"
$$;

-- What is recorded of all orders, with its times, to compare what triggers
-- recorded step by step with what a backfill finds later.
CREATE FUNCTION pg_temp.history()
	RETURNS SETOF text
	LANGUAGE sql
AS $$
	SELECT concat_ws(
		'|', s.name, p.order_id, p.customer_id, p.placed_at, p.paid_at, p.shipped_at, p.delivered_at, p.completed_at,
		p.closed_at, trim_scale(p.total), trim_scale(p.paid), trim_scale(p.refunded + p.refunded_by_orders),
		trim_scale(p.value), p.channel, p.close_reason, p.attributes)
	FROM retention.purchase p
	JOIN retention.source s ON s.source_id = p.source_id
	ORDER BY s.name, p.order_id
$$;

CREATE FUNCTION pg_temp.enable_rules()
	RETURNS void
	LANGUAGE sql
AS $$
	SELECT retention.enable_rule(r.name)
	FROM unnest('{unpaid_reminder,closed_unpaid,paid_thanks,shipped,arrived,refunded}'::text[]) AS r (name)
$$;
RESET client_min_messages;
