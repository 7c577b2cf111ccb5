-- ---------------------------------------------------------------------------
-- Adapter: Medusa
-- ---------------------------------------------------------------------------

-- The modules keep tables of their own, joined by link tables; rows are deleted
-- softly, and an order's items and totals are kept once a version of the order.
CREATE FUNCTION retention.adapter_medusa()
	RETURNS SETOF retention.adapter_part
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $adapter$
	VALUES
		('currency', 'store_currency', false, jsonb_build_object(
			'query', $$SELECT c.currency_code FROM {{store_currency}} c WHERE c.is_default AND c.deleted_at IS NULL$$)),

		-- order_transaction is signed: money in, money out.  What a payment
		-- provider has authorized is as good as paid, but not what Medusa's own
		-- provider "authorizes", which stands for a transfer or cash to come.  An
		-- authorization canceled with the order does not make it one never paid.
		-- Paid once, in any of its versions, an order stays so when an edit or an
		-- exchange makes it dearer.  A canceled order sold nothing, so of its money
		-- only what was given back counts as paid.  Hardly any shop marks orders
		-- completed: delivered whole is enough.
		('orders', NULL, true, jsonb_build_object('facts', $$
SELECT
	o.id AS order_id,
	coalesce(o.customer_id, lower(o.email)) AS customer,
	s.total,
	CASE
		WHEN o.status::text = 'canceled' THEN least(m.paid, m.refunded)
		ELSE greatest(m.paid, a.authorized)
	END AS paid,
	m.refunded,
	upper(o.currency_code) AS currency,
	{{#sales_channel}}(SELECT c.name FROM {{sales_channel}} c WHERE c.id = o.sales_channel_id){{/sales_channel}}{{^sales_channel}}o.sales_channel_id{{/sales_channel}} AS channel,
	NOT o.is_draft_order AND o.status::text <> 'draft' AND o.deleted_at IS NULL AS placed,
	o.created_at AS placed_at,
	NOT o.is_draft_order AND o.deleted_at IS NULL
		AND s.was_paid
		AND (greatest(m.paid, a.ever_authorized) > 0 OR s.first_total = 0 AND o.status::text <> 'canceled')
		AND (greatest(m.paid, a.authorized) > 0 OR a.ever_authorized = 0 OR o.status::text = 'canceled') AS paid_in_full,
	coalesce(least(m.paid_at, a.authorized_at), o.created_at) AS paid_at,
	i.all_shipped AS shipped,
	f.shipped_at,
	i.all_delivered AS delivered,
	f.delivered_at,
	o.status::text IN ('completed', 'archived') OR i.all_delivered AS completed,
	f.delivered_at AS completed_at,
	o.status::text = 'canceled' AS closed,
	o.canceled_at AS closed_at,
	jsonb_strip_nulls(jsonb_build_object(
		'number', o.display_id,
		'region', d.province,
		'city', d.city,
		'phone', d.phone)) AS attributes
FROM {{order}} o
LEFT JOIN {{order_address}} d ON d.id = o.shipping_address_id
CROSS JOIN LATERAL (
	SELECT
		coalesce(sum(t.amount) FILTER (WHERE t.amount > 0), 0) AS paid,
		coalesce(-sum(t.amount) FILTER (WHERE t.amount < 0), 0) AS refunded,
		min(t.created_at) FILTER (WHERE t.amount > 0) AS paid_at
	FROM {{order_transaction}} t
	WHERE t.order_id = o.id AND t.deleted_at IS NULL
) AS m
CROSS JOIN LATERAL (
	SELECT
		coalesce(sum(p.amount), 0) AS ever_authorized,
		coalesce(sum(p.amount) FILTER (WHERE p.canceled_at IS NULL), 0) AS authorized,
		min(p.created_at) AS authorized_at
	FROM {{order_payment_collection}} l
	JOIN {{payment}} p ON p.payment_collection_id = l.payment_collection_id
	WHERE l.order_id = o.id
		AND l.deleted_at IS NULL
		AND p.deleted_at IS NULL
		AND p.provider_id NOT LIKE 'pp\_system%'
) AS a
CROSS JOIN LATERAL (
	SELECT
		coalesce(max(s.total) FILTER (WHERE s.version = o.version), 0) AS total,
		(array_agg(s.total ORDER BY s.version))[1] AS first_total,
		coalesce(bool_or(s.total <= greatest(a.ever_authorized, s.paid)), false) AS was_paid
	FROM (
		SELECT
			s.version,
			coalesce(s.totals -> 'current_order_total' ->> 'value', s.totals ->> 'current_order_total')::numeric AS total,
			(
				SELECT sum(t.amount)
				FROM {{order_transaction}} t
				WHERE t.order_id = o.id AND t.version <= s.version AND t.amount > 0 AND t.deleted_at IS NULL
			) AS paid
		FROM {{order_summary}} s
		WHERE s.order_id = o.id AND s.version <= o.version AND s.deleted_at IS NULL
	) AS s
) AS s
CROSS JOIN LATERAL (
	SELECT
		coalesce(bool_and(i.shipped_quantity >= i.quantity), false) AS all_shipped,
		coalesce(bool_and(i.delivered_quantity >= i.quantity), false) AS all_delivered
	FROM {{order_item}} i
	WHERE i.order_id = o.id AND i.version = o.version AND i.deleted_at IS NULL AND i.quantity > 0
) AS i
CROSS JOIN LATERAL (
	SELECT max(coalesce(f.shipped_at, f.delivered_at)) AS shipped_at, max(f.delivered_at) AS delivered_at
	FROM {{order_fulfillment}} l
	JOIN {{fulfillment}} f ON f.id = l.fulfillment_id
	WHERE l.order_id = o.id AND l.deleted_at IS NULL AND f.deleted_at IS NULL AND f.canceled_at IS NULL
) AS f
$$)),
		('watch', 'order', true, jsonb_build_object('order_id', 'id')),
		('watch', 'order_transaction', true, jsonb_build_object('order_id', 'order_id')),
		('watch', 'order_summary', true, jsonb_build_object('order_id', 'order_id')),
		('watch', 'order_item', true, jsonb_build_object('order_id', 'order_id')),
		('watch', 'order_payment_collection', true, jsonb_build_object('order_id', 'order_id')),
		('watch', 'order_fulfillment', true, jsonb_build_object('order_id', 'order_id')),
		('watch', 'payment', true, jsonb_build_object('order_id', $$
SELECT l.order_id
FROM {{order_payment_collection}} l
WHERE l.payment_collection_id = {{row}}.payment_collection_id AND l.deleted_at IS NULL$$)),
		('watch', 'fulfillment', true, jsonb_build_object('order_id', $$
SELECT l.order_id
FROM {{order_fulfillment}} l
WHERE l.fulfillment_id = {{row}}.id AND l.deleted_at IS NULL$$)),

		-- A guest is a customer without an account; one who was deleted is not written to.
		('customers', 'customer', true, jsonb_build_object(
			'customer', 'id',
			'name', $$nullif(concat_ws(' ', first_name, last_name), '')$$,
			'nickname', $$nullif(first_name, '')$$,
			'phone', 'CASE WHEN deleted_at IS NULL THEN phone END',
			'email', 'CASE WHEN deleted_at IS NULL THEN email END',
			'joined_at', 'created_at',
			'attributes', $$jsonb_strip_nulls(jsonb_build_object(
				'company', company_name,
				'registered', has_account,
				'deleted', nullif(deleted_at IS NOT NULL, false)))$$)),
		-- Before discounts and tax: Medusa keeps those apart and the sum only of the order.
		('lines', 'order_item', true, jsonb_build_object(
			'order_id', 'order_id',
			'product', '(SELECT coalesce(l.variant_sku, l.variant_id, l.title) FROM {{order_line_item}} l WHERE l.id = {{row}}.item_id)',
			'quantity', 'quantity',
			'amount', 'quantity * coalesce(unit_price, (SELECT l.unit_price FROM {{order_line_item}} l WHERE l.id = {{row}}.item_id))',
			'condition', 'deleted_at IS NULL AND version = (SELECT o.version FROM {{order}} o WHERE o.id = {{row}}.order_id)'))
$adapter$;

COMMENT ON FUNCTION retention.adapter_medusa() IS 'Medusa 2';
