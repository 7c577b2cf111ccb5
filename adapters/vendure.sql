-- ---------------------------------------------------------------------------
-- Adapter: Vendure
-- ---------------------------------------------------------------------------

-- Amounts are in hundredths, whatever the currency.  The order's history is
-- where Vendure dates each change of state.
CREATE FUNCTION retention.adapter_vendure()
	RETURNS SETOF retention.adapter_part
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $adapter$
	VALUES
		('currency', 'channel', false, jsonb_build_object(
			'query', $$SELECT "defaultCurrencyCode" FROM {{channel}} WHERE code = '__default_channel__'$$)),

		-- At ArrangingPayment the customer has checked out and has yet to pay; an
		-- authorized payment is as good as paid, for nobody may be asked to pay
		-- again.  What a modification adds later is owed by an order that was paid
		-- already.  The parts that a marketplace splits an order into are not
		-- counted besides it.  A cancelled order sold nothing, so of its money
		-- only what was given back counts as paid.
		('orders', NULL, true, jsonb_build_object('facts', $$
SELECT
	o.id AS order_id,
	o."customerId" AS customer,
	round((o."subTotalWithTax" + o."shippingWithTax") / 100.0, 2) AS total,
	round(CASE WHEN o.state = 'Cancelled' THEN least(p.paid, p.refunded) ELSE p.paid END / 100.0, 2) AS paid,
	round(p.refunded / 100.0, 2) AS refunded,
	o."currencyCode" AS currency,
	c.code AS channel,
	o."orderPlacedAt" IS NOT NULL OR h.checked_out_at IS NOT NULL AND o.state NOT IN ('AddingItems', 'Draft')
		OR o.state NOT IN ('Created', 'Draft', 'AddingItems', 'Cancelled') AS placed,
	coalesce(h.checked_out_at, o."orderPlacedAt") AT TIME ZONE {{time_zone}} AS placed_at,
	p.paid > 0 AND p.paid >= o."subTotalWithTax" + o."shippingWithTax"
		OR h.paid_at IS NOT NULL AND (p.paid > 0 OR o."subTotalWithTax" + o."shippingWithTax" = 0) AS paid_in_full,
	coalesce(h.paid_at, o."orderPlacedAt") AT TIME ZONE {{time_zone}} AS paid_at,
	f.all_shipped AND o.state <> 'Cancelled' AS shipped,
	coalesce(h.shipped_at, h.delivered_at) AT TIME ZONE {{time_zone}} AS shipped_at,
	o.state = 'Delivered' AS delivered,
	h.delivered_at AT TIME ZONE {{time_zone}} AS delivered_at,
	o.state = 'Delivered' AS completed,
	h.delivered_at AT TIME ZONE {{time_zone}} AS completed_at,
	o.state = 'Cancelled' AS closed,
	h.cancelled_at AT TIME ZONE {{time_zone}} AS closed_at,
	h.cancel_reason AS close_reason,
	jsonb_strip_nulls(jsonb_build_object(
		'code', o.code,
		'coupons', nullif(o."couponCodes", ''),
		'region', nullif(o."shippingAddress", '')::jsonb ->> 'province',
		'city', nullif(o."shippingAddress", '')::jsonb ->> 'city')) AS attributes
FROM {{order}} o
CROSS JOIN LATERAL (
	SELECT
		coalesce(sum(p.amount) FILTER (WHERE p.state IN ('Settled', 'Authorized')), 0) AS paid,
		coalesce(sum(r.amount) FILTER (WHERE p.state IN ('Settled', 'Authorized')), 0) AS refunded
	FROM {{payment}} p
	LEFT JOIN LATERAL (
		SELECT sum(r.total) AS amount
		FROM {{refund}} r
		WHERE r."paymentId" = p.id AND r.state = 'Settled'
	) AS r ON true
	WHERE p."orderId" = o.id
) AS p
CROSS JOIN LATERAL (
	SELECT
		max(e."createdAt") FILTER (WHERE e.type = 'ORDER_STATE_TRANSITION' AND e.data ->> 'to' = 'ArrangingPayment') AS checked_out_at,
		min(e."createdAt") FILTER (WHERE e.type = 'ORDER_STATE_TRANSITION' AND e.data ->> 'to' IN ('PaymentAuthorized', 'PaymentSettled')) AS paid_at,
		max(e."createdAt") FILTER (WHERE e.type = 'ORDER_FULFILLMENT_TRANSITION' AND e.data ->> 'to' = 'Shipped') AS shipped_at,
		max(e."createdAt") FILTER (WHERE e.type = 'ORDER_STATE_TRANSITION' AND e.data ->> 'to' = 'Delivered') AS delivered_at,
		max(e."createdAt") FILTER (WHERE e.type = 'ORDER_STATE_TRANSITION' AND e.data ->> 'to' = 'Cancelled') AS cancelled_at,
		(array_agg(e.data ->> 'reason' ORDER BY e."createdAt" DESC) FILTER (WHERE e.type = 'ORDER_CANCELLATION'))[1] AS cancel_reason
	FROM (
		SELECT e.type, e."createdAt", nullif(e.data, '')::jsonb AS data
		FROM {{history_entry}} e
		WHERE e."orderId" = o.id
			AND e.type IN ('ORDER_STATE_TRANSITION', 'ORDER_FULFILLMENT_TRANSITION', 'ORDER_CANCELLATION')
	) AS e
) AS h
CROSS JOIN LATERAL (
	SELECT coalesce(bool_and(s.shipped >= l.quantity), false) AS all_shipped
	FROM {{order_line}} l
	CROSS JOIN LATERAL (
		SELECT coalesce(sum(s.quantity), 0) AS shipped
		FROM {{order_line_reference}} s
		JOIN {{fulfillment}} f ON f.id = s."fulfillmentId"
		WHERE s."orderLineId" = l.id AND f.state IN ('Shipped', 'Delivered')
	) AS s
	WHERE l."orderId" = o.id AND l.quantity > 0
) AS f
LEFT JOIN LATERAL (
	SELECT c.code
	FROM {{order_channels_channel}} oc
	JOIN {{channel}} c ON c.id = oc."channelId"
	WHERE oc."orderId" = o.id
	ORDER BY c.code = '__default_channel__', c.id
	LIMIT 1
) AS c ON true
WHERE o.type <> 'Seller'
$$)),
		('watch', 'order', true, jsonb_build_object('order_id', 'id')),
		('watch', 'payment', true, jsonb_build_object('order_id', '"orderId"')),
		('watch', 'refund', true, jsonb_build_object('order_id', $$SELECT p."orderId" FROM {{payment}} p WHERE p.id = {{row}}."paymentId"$$)),
		-- The last parcel of an order whose first has arrived changes no order.
		('watch', 'fulfillment', true, jsonb_build_object('order_id', $$
SELECT l."orderId"
FROM {{order_line_reference}} s
JOIN {{order_line}} l ON l.id = s."orderLineId"
WHERE s."fulfillmentId" = {{row}}.id$$)),

		-- A guest is a customer without a user; one who was deleted is not written to.
		('customers', 'customer', true, jsonb_build_object(
			'customer', 'id',
			'name', $$nullif(concat_ws(' ', "firstName", "lastName"), '')$$,
			'nickname', $$nullif("firstName", '')$$,
			'phone', $$CASE WHEN "deletedAt" IS NULL THEN nullif("phoneNumber", '') END$$,
			'email', $$CASE WHEN "deletedAt" IS NULL THEN nullif("emailAddress", '') END$$,
			'joined_at', '"createdAt" AT TIME ZONE {{time_zone}}',
			'attributes', $$jsonb_strip_nulls(jsonb_build_object(
				'title', title,
				'registered', "userId" IS NOT NULL,
				'deleted', nullif("deletedAt" IS NOT NULL, false)))$$)),
		-- With its share of the order's discounts, and tax.
		('lines', 'order_line', true, jsonb_build_object(
			'order_id', '"orderId"',
			'product', $$(SELECT v.sku FROM {{product_variant}} v WHERE v.id = {{row}}."productVariantId")$$,
			'quantity', 'quantity',
			'amount', $$round(
				quantity * (
					"listPrice" + coalesce((
						SELECT sum((a ->> 'amount')::numeric)
						FROM jsonb_array_elements(nullif(adjustments, '')::jsonb) AS a
					), 0) / greatest("orderPlacedQuantity", quantity, 1)
				) * CASE WHEN "listPriceIncludesTax" THEN 1 ELSE 1 + coalesce((
					SELECT sum((t ->> 'taxRate')::numeric)
					FROM jsonb_array_elements(nullif("taxLines", '')::jsonb) AS t
				), 0) / 100 END / 100, 2)$$)),
		-- Of the reviews plugin in Vendure's own examples; Vendure has none.
		('reviews', 'product_review', false, jsonb_build_object(
			'happened_at', '"createdAt" AT TIME ZONE {{time_zone}}',
			'customer', '"authorId"',
			'score', 'rating',
			'content', $$nullif(concat_ws(E'\n', summary, body), '')$$))
$adapter$;

COMMENT ON FUNCTION retention.adapter_vendure() IS 'Vendure 2 and 3';
