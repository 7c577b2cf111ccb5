-- ---------------------------------------------------------------------------
-- Adapter: Spree
-- ---------------------------------------------------------------------------

-- Solidus came from Spree and is attached by the same texts.  Rails keeps its
-- times in UTC, without a zone.
CREATE FUNCTION retention.adapter_spree()
	RETURNS SETOF retention.adapter_part
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $adapter$
	VALUES
		('currency', 'spree_orders', false, jsonb_build_object('query', $$
SELECT coalesce(
	(SELECT nullif(s.default_currency, '') FROM {{spree_stores}} s ORDER BY s."default" DESC NULLS LAST, s.id LIMIT 1),
	(SELECT o.currency FROM {{spree_orders}} o ORDER BY o.id DESC LIMIT 1))$$)),

		-- A cart becomes an order at completed_at; one whose payment was tried and
		-- failed waits for another try.  A pending payment is authorized, as good as
		-- paid, unless it is a cheque on its way.  What was reimbursed as store
		-- credit was given back too.  Paid once, an order stays so when it is
		-- changed.  A canceled order sold nothing, so of its money only what was
		-- given back counts as paid.
		('orders', NULL, true, jsonb_build_object('facts', $$
SELECT
	o.id AS order_id,
	coalesce(o.user_id::text, nullif(o.email, '')) AS customer,
	o.total,
	CASE WHEN o.state = 'canceled' THEN least(p.paid, p.refunded + r.credited) ELSE p.paid END AS paid,
	p.refunded + r.credited AS refunded,
	o.currency,
	coalesce(s.code, o.channel) AS channel,
	o.completed_at IS NOT NULL OR o.state IN ('payment', 'confirm') AND p.tried_at IS NOT NULL AS placed,
	coalesce(o.completed_at, p.tried_at) AT TIME ZONE {{time_zone}} AS placed_at,
	o.completed_at IS NOT NULL AND (
		p.paid >= o.total AND (p.paid > 0 OR o.state <> 'canceled')
			OR h.ever_paid AND (p.paid > 0 OR o.state = 'canceled')
	) AS paid_in_full,
	greatest(o.completed_at, p.paid_at) AT TIME ZONE {{time_zone}} AS paid_at,
	f.all_shipped AS shipped,
	f.shipped_at AT TIME ZONE {{time_zone}} AS shipped_at,
	o.state = 'canceled' AS closed,
	o.canceled_at AT TIME ZONE {{time_zone}} AS closed_at,
	jsonb_strip_nulls(jsonb_build_object(
		'number', o.number,
		'city', a.city,
		'region', coalesce((SELECT t.name FROM {{spree_states}} t WHERE t.id = a.state_id), a.state_name))) AS attributes
FROM {{spree_orders}} o
LEFT JOIN {{spree_stores}} s ON s.id = o.store_id
LEFT JOIN {{spree_addresses}} a ON a.id = coalesce(o.ship_address_id, o.bill_address_id)
CROSS JOIN LATERAL (
	SELECT
		coalesce(sum(p.amount) FILTER (WHERE p.is_good AND p.amount > 0), 0) AS paid,
		coalesce(sum(p.refunded), 0) - coalesce(sum(p.amount) FILTER (WHERE p.is_good AND p.amount < 0), 0) AS refunded,
		min(p.created_at) FILTER (WHERE p.is_good AND p.amount > 0) AS paid_at,
		max(p.created_at) AS tried_at
	FROM (
		SELECT
			p.amount,
			p.created_at,
			p.state = 'completed' OR p.state = 'pending' AND coalesce(m.type, '') NOT LIKE '%::Check' AS is_good,
			(SELECT sum(r.amount) FROM {{spree_refunds}} r WHERE r.payment_id = p.id) AS refunded
		FROM {{spree_payments}} p
		LEFT JOIN {{spree_payment_methods}} m ON m.id = p.payment_method_id
		WHERE p.order_id = o.id
	) AS p
) AS p
CROSS JOIN LATERAL (
	SELECT coalesce(sum(c.amount), 0) AS credited
	FROM {{spree_reimbursements}} r
	JOIN {{spree_reimbursement_credits}} c ON c.reimbursement_id = r.id
	WHERE r.order_id = o.id
) AS r
CROSS JOIN LATERAL (
	SELECT
		coalesce(bool_and(f.state = 'shipped'), false) AS all_shipped,
		max(f.shipped_at) AS shipped_at
	FROM {{spree_shipments}} f
	WHERE f.order_id = o.id AND f.state <> 'canceled'
) AS f
CROSS JOIN LATERAL (
	SELECT EXISTS (
		SELECT
		FROM {{spree_state_changes}} h
		WHERE h.stateful_id = o.id AND h.stateful_type = 'Spree::Order' AND h.name = 'payment' AND h.next_state = 'paid'
	) AS ever_paid
) AS h
$$)),
		('watch', 'spree_orders', true, jsonb_build_object('order_id', 'id')),
		('watch', 'spree_payments', true, jsonb_build_object('order_id', 'order_id')),
		('watch', 'spree_shipments', true, jsonb_build_object('order_id', 'order_id')),
		('watch', 'spree_refunds', true, jsonb_build_object('order_id', 'SELECT p.order_id FROM {{spree_payments}} p WHERE p.id = {{row}}.payment_id')),
		('watch', 'spree_reimbursement_credits', true, jsonb_build_object('order_id', 'SELECT r.order_id FROM {{spree_reimbursements}} r WHERE r.id = {{row}}.reimbursement_id')),

		-- Where the shop's own application keeps the users, attach that table.
		('customers', 'spree_users', false, jsonb_build_object(
			'customer', 'id',
			'name', $$(
				SELECT nullif({{#spree_addresses.name}}a.name{{/spree_addresses.name}}{{^spree_addresses.name}}concat_ws(' ', a.firstname, a.lastname){{/spree_addresses.name}}, '')
				FROM {{spree_addresses}} a
				WHERE a.id = coalesce({{row}}.bill_address_id, {{row}}.ship_address_id)
			)$$,
			'phone', $${{#spree_users.deleted_at}}CASE WHEN deleted_at IS NULL THEN {{/spree_users.deleted_at}}(
				SELECT nullif(a.phone, '')
				FROM {{spree_addresses}} a
				WHERE a.id = coalesce({{row}}.ship_address_id, {{row}}.bill_address_id)
			){{#spree_users.deleted_at}} END{{/spree_users.deleted_at}}$$,
			'email', $${{#spree_users.deleted_at}}CASE WHEN deleted_at IS NULL THEN {{/spree_users.deleted_at}}email{{#spree_users.deleted_at}} END{{/spree_users.deleted_at}}$$,
			'joined_at', 'created_at AT TIME ZONE {{time_zone}}',
			'consents', $${{#spree_users.accepts_email_marketing}}jsonb_build_object('email', accepts_email_marketing){{/spree_users.accepts_email_marketing}}{{^spree_users.accepts_email_marketing}}'{}'::jsonb{{/spree_users.accepts_email_marketing}}$$,
			'attributes', $$jsonb_build_object('registered', true)$$)),
		-- A guest is what the last order says.
		('customers', 'spree_orders', true, jsonb_build_object(
			'customer', 'email',
			'name', $$(
				SELECT nullif({{#spree_addresses.name}}a.name{{/spree_addresses.name}}{{^spree_addresses.name}}concat_ws(' ', a.firstname, a.lastname){{/spree_addresses.name}}, '')
				FROM {{spree_addresses}} a
				WHERE a.id = coalesce({{row}}.bill_address_id, {{row}}.ship_address_id)
			)$$,
			'phone', $$(
				SELECT nullif(a.phone, '')
				FROM {{spree_addresses}} a
				WHERE a.id = coalesce({{row}}.ship_address_id, {{row}}.bill_address_id)
			)$$,
			'email', 'email',
			'attributes', $$jsonb_build_object('registered', false)$$,
			'latest_by', 'created_at',
			'condition', $$user_id IS NULL AND email <> '' AND (completed_at IS NOT NULL OR state IN ('payment', 'confirm'))$$)),
		('lines', 'spree_line_items', true, jsonb_build_object(
			'order_id', 'order_id',
			'product', $$(SELECT coalesce(nullif(v.sku, ''), v.id::text) FROM {{spree_variants}} v WHERE v.id = {{row}}.variant_id)$$,
			'quantity', 'quantity',
			'amount', 'price * quantity + adjustment_total')),
		-- Of the extension spree_reviews.
		('reviews', 'spree_reviews', false, jsonb_build_object(
			'happened_at', 'created_at AT TIME ZONE {{time_zone}}',
			'customer', 'user_id',
			'score', 'rating',
			'content', $$nullif(concat_ws(E'\n', title, review), '')$$,
			'condition', 'approved'))
$adapter$;

COMMENT ON FUNCTION retention.adapter_spree() IS 'Spree 4.3 to 5';
