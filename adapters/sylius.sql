-- ---------------------------------------------------------------------------
-- Adapter: Sylius
-- ---------------------------------------------------------------------------

-- Its tables are found under whatever prefix they have, sylius_ out of the box.
-- Amounts are in hundredths; times are in the time zone of PHP, without one.
CREATE FUNCTION retention.adapter_sylius()
	RETURNS SETOF retention.adapter_part
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $adapter$
	VALUES
		('currency', 'channel', false, jsonb_build_object('query', $$
SELECT u.code
FROM {{channel}} c
JOIN {{currency}} u ON u.id = c.base_currency_id
ORDER BY c.enabled DESC, c.id
LIMIT 1$$)),

		-- A cart becomes an order when its checkout is completed.  An authorized
		-- payment is as good as paid.  A payment is refunded as a whole, or in parts
		-- by the refund plugin, which leaves the payment alone: the larger counts.
		-- A cancelled order sold nothing, so of its money only what was given back
		-- counts as paid.
		('orders', NULL, true, jsonb_build_object('facts', $$
SELECT
	o.id AS order_id,
	o.customer_id AS customer,
	round(o.total / 100.0, 2) AS total,
	round(CASE WHEN o.state = 'cancelled' THEN least(p.paid, r.refunded) ELSE p.paid END / 100.0, 2) AS paid,
	round(r.refunded / 100.0, 2) AS refunded,
	o.currency_code AS currency,
	c.code AS channel,
	o.checkout_completed_at IS NOT NULL AND o.state <> 'cart' AS placed,
	o.checkout_completed_at AT TIME ZONE {{time_zone}} AS placed_at,
	o.checkout_completed_at IS NOT NULL AND p.paid >= o.total AND (p.paid > 0 OR o.state <> 'cancelled') AS paid_in_full,
	coalesce(p.paid_at, o.checkout_completed_at) AT TIME ZONE {{time_zone}} AS paid_at,
	o.shipping_state = 'shipped' AS shipped,
	(
		SELECT max(coalesce({{#shipment.shipped_at}}s.shipped_at, {{/shipment.shipped_at}}s.updated_at))
		FROM {{shipment}} s
		WHERE s.order_id = o.id AND s.state = 'shipped'
	) AT TIME ZONE {{time_zone}} AS shipped_at,
	o.state = 'cancelled' AS closed,
	jsonb_strip_nulls(jsonb_build_object(
		'number', o.number,
		'city', a.city,
		'region', coalesce(a.province_name, a.province_code),
		'phone', a.phone_number)) AS attributes
FROM {{order}} o
LEFT JOIN {{channel}} c ON c.id = o.channel_id
LEFT JOIN {{address}} a ON a.id = coalesce(o.shipping_address_id, o.billing_address_id)
CROSS JOIN LATERAL (
	SELECT
		coalesce(sum(p.amount), 0) AS paid,
		coalesce(sum(p.amount) FILTER (WHERE p.state = 'refunded'), 0) AS refunded,
		min(coalesce(p.updated_at, p.created_at)) AS paid_at
	FROM {{payment}} p
	WHERE p.order_id = o.id AND p.state IN ('authorized', 'completed', 'refunded')
) AS p
CROSS JOIN LATERAL (
	SELECT greatest(p.refunded{{#refund_refund_payment.order_id}}, (
		SELECT sum(r.amount)
		FROM {{refund_refund_payment}} r
		WHERE r.order_id = o.id AND lower(r.state) = 'completed'
	){{/refund_refund_payment.order_id}}) AS refunded
) AS r
$$)),
		('watch', 'order', true, jsonb_build_object('order_id', 'id')),
		('watch', 'payment', true, jsonb_build_object('order_id', 'order_id')),
		('watch', 'shipment', true, jsonb_build_object('order_id', 'order_id')),
		('watch', 'refund_refund_payment', false, jsonb_build_object('order_id', 'order_id')),

		-- A guest is a customer without a user.
		('customers', 'customer', true, jsonb_build_object(
			'customer', 'id',
			'name', $$nullif(concat_ws(' ', first_name, last_name), '')$$,
			'nickname', $$nullif(first_name, '')$$,
			'birthday', 'birthday::date',
			'phone', 'phone_number',
			'email', 'email',
			'joined_at', 'created_at AT TIME ZONE {{time_zone}}',
			'consents', $$jsonb_build_object('email', subscribed_to_newsletter)$$,
			'attributes', $$jsonb_strip_nulls(jsonb_build_object('gender', nullif(gender, 'u')))$$)),
		('lines', 'order_item', true, jsonb_build_object(
			'order_id', 'order_id',
			'product', '(SELECT v.code FROM {{product_variant}} v WHERE v.id = {{row}}.variant_id)',
			'quantity', 'quantity',
			'amount', 'round(total / 100.0, 2)')),
		('reviews', 'product_review', false, jsonb_build_object(
			'happened_at', 'created_at AT TIME ZONE {{time_zone}}',
			'customer', 'author_id',
			'score', 'rating',
			'content', $$nullif(concat_ws(E'\n', title, comment), '')$$,
			'condition', $$status <> 'rejected'$$))
$adapter$;

COMMENT ON FUNCTION retention.adapter_sylius() IS 'Sylius 1.11 to 2, with or without its refund plugin';
