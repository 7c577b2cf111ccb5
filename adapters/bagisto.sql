-- ---------------------------------------------------------------------------
-- Adapter: Bagisto
-- ---------------------------------------------------------------------------

-- Amounts are taken in the base currency.  Times are in the time zone of the
-- application (APP_TIMEZONE), without one: give it as time_zone.  On PostgreSQL
-- Laravel makes no index for a foreign key: see the warnings when attaching.
CREATE FUNCTION retention.adapter_bagisto()
	RETURNS SETOF retention.adapter_part
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $adapter$
	VALUES
		('currency', 'channels', false, jsonb_build_object('query', $$
SELECT u.code
FROM {{channels}} c
JOIN {{currencies}} u ON u.id = c.base_currency_id
ORDER BY c.id
LIMIT 1$$)),

		-- What is paid is in invoices.  When part of an order was cancelled, the
		-- rest being paid completes it.  A cancelled order sold nothing, so of its
		-- money only what was given back counts as paid; one is closed when all of
		-- it was refunded.
		('orders', NULL, true, jsonb_build_object('facts', $$
SELECT
	o.id AS order_id,
	coalesce(o.customer_id::text, nullif(o.customer_email, '')) AS customer,
	coalesce(o.base_grand_total, 0) AS total,
	CASE WHEN o.status IN ('canceled', 'fraud') THEN least(i.paid, r.refunded) ELSE i.paid END AS paid,
	r.refunded,
	o.base_currency_code AS currency,
	o.channel_name AS channel,
	true AS placed,
	o.created_at AT TIME ZONE {{time_zone}} AS placed_at,
	i.paid >= o.base_grand_total AND (i.paid > 0 OR o.status NOT IN ('canceled', 'fraud'))
		OR i.paid > 0 AND o.status IN ('completed', 'closed') AS paid_in_full,
	coalesce(i.paid_at, o.created_at) AT TIME ZONE {{time_zone}} AS paid_at,
	coalesce(l.all_shipped, false) AS shipped,
	(SELECT max(s.created_at) FROM {{shipments}} s WHERE s.order_id = o.id) AT TIME ZONE {{time_zone}} AS shipped_at,
	o.status IN ('canceled', 'fraud', 'closed') AS closed,
	jsonb_strip_nulls(jsonb_build_object(
		'number', o.increment_id,
		'region', a.state,
		'city', a.city,
		'phone', a.phone)) AS attributes
FROM {{orders}} o
CROSS JOIN LATERAL (
	SELECT coalesce(sum(i.base_grand_total), 0) AS paid, min(i.created_at) AS paid_at
	FROM {{invoices}} i
	WHERE i.order_id = o.id AND i.state IN ('paid', 'refunded')
) AS i
CROSS JOIN LATERAL (
	SELECT coalesce(sum(r.base_grand_total), 0) AS refunded
	FROM {{refunds}} r
	WHERE r.order_id = o.id
) AS r
CROSS JOIN LATERAL (
	SELECT bool_and(l.qty_shipped >= l.qty_ordered - l.qty_canceled) AS all_shipped
	FROM {{order_items}} l
	WHERE l.order_id = o.id
		AND l.parent_id IS NULL
		AND l.qty_ordered > l.qty_canceled
		AND l.type NOT IN ('virtual', 'downloadable', 'booking')
) AS l
LEFT JOIN LATERAL (
	SELECT a.state, a.city, a.phone
	FROM {{addresses}} a
	WHERE a.order_id = o.id AND a.address_type IN ('order_shipping', 'order_billing')
	ORDER BY a.address_type DESC
	LIMIT 1
) AS a ON true
$$)),
		('watch', 'orders', true, jsonb_build_object('order_id', 'id')),
		('watch', 'invoices', true, jsonb_build_object('order_id', 'order_id')),
		('watch', 'refunds', true, jsonb_build_object('order_id', 'order_id')),
		('watch', 'shipments', true, jsonb_build_object('order_id', 'order_id')),

		('customers', 'customers', true, jsonb_build_object(
			'customer', 'id',
			'name', $$nullif(concat_ws(' ', first_name, last_name), '')$$,
			'nickname', $$nullif(first_name, '')$$,
			'birthday', 'date_of_birth',
			'phone', $$CASE WHEN status = 1 THEN nullif(phone, '') END$$,
			'email', 'CASE WHEN status = 1 THEN email END',
			'joined_at', 'created_at AT TIME ZONE {{time_zone}}',
			'consents', $$jsonb_build_object('email', subscribed_to_news_letter)$$,
			'attributes', $$jsonb_strip_nulls(jsonb_build_object('gender', gender, 'registered', true))$$)),
		-- A guest is what the last order says.
		('customers', 'orders', true, jsonb_build_object(
			'customer', 'customer_email',
			'name', $$nullif(concat_ws(' ', customer_first_name, customer_last_name), '')$$,
			'nickname', $$nullif(customer_first_name, '')$$,
			'email', 'customer_email',
			'attributes', $$jsonb_build_object('registered', false)$$,
			'latest_by', 'created_at',
			'condition', $$customer_id IS NULL AND customer_email <> ''$$)),
		('lines', 'order_items', true, jsonb_build_object(
			'order_id', 'order_id',
			'product', 'sku',
			'quantity', 'qty_ordered - qty_canceled',
			'amount', $$round(
				(base_total + coalesce(base_tax_amount, 0) - coalesce(base_discount_amount, 0))
				* (qty_ordered - qty_canceled) / nullif(qty_ordered, 0), 2)$$,
			'condition', 'parent_id IS NULL')),
		('reviews', 'product_reviews', false, jsonb_build_object(
			'happened_at', 'created_at AT TIME ZONE {{time_zone}}',
			'customer', 'customer_id',
			'score', 'rating',
			'content', $$nullif(concat_ws(E'\n', title, comment), '')$$,
			'condition', $$status <> 'disapproved'$$))
$adapter$;

COMMENT ON FUNCTION retention.adapter_bagisto() IS 'Bagisto 2';
