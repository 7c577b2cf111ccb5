-- ---------------------------------------------------------------------------
-- Adapter: Saleor
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.adapter_saleor()
	RETURNS SETOF retention.adapter_part
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $adapter$
	VALUES
		('currency', 'channel_channel', false, jsonb_build_object(
			'query', 'SELECT c.currency_code FROM {{channel_channel}} c ORDER BY c.is_active DESC, c.id LIMIT 1')),

		-- A guest's orders go to the account once there is one with the address.
		-- Money is in transaction items, or in payments of the older kind; what is
		-- refunded has been taken off the charged amount there, so it is added to
		-- what was paid, and what is being charged off the authorized.  What is
		-- authorized is as good as paid.  Paid once, an
		-- order stays so when its lines change.  A canceled or expired order sold
		-- nothing, so of its money only what was given back counts as paid.
		('orders', NULL, true, jsonb_build_object('facts', $$
SELECT
	o.id AS order_id,
	coalesce(o.user_id::text, nullif(o.user_email, '')) AS customer,
	o.total_gross_amount AS total,
	CASE WHEN o.status IN ('canceled', 'expired') THEN least(m.paid, m.refunded) ELSE m.paid END AS paid,
	m.refunded,
	o.currency,
	c.slug AS channel,
	o.status <> 'draft' AS placed,
	o.created_at AS placed_at,
	o.status <> 'draft' AND (
		m.paid >= o.total_gross_amount AND (m.paid > 0 OR o.status NOT IN ('canceled', 'expired'))
			OR m.paid > 0 AND e.fully_paid
	) AS paid_in_full,
	coalesce(m.paid_at, o.created_at) AS paid_at,
	o.status IN ('fulfilled', 'partially_returned', 'returned') AS shipped,
	f.shipped_at,
	o.status IN ('canceled', 'expired') AS closed,
	coalesce(e.canceled_at, o.expired_at) AS closed_at,
	jsonb_strip_nulls(jsonb_build_object(
		'number', o.number,
		'voucher', o.voucher_code,
		'region', nullif(a.country_area, ''),
		'city', nullif(a.city, ''),
		'phone', nullif(a.phone, ''))) AS attributes
FROM {{order_order}} o
JOIN {{channel_channel}} c ON c.id = o.channel_id
LEFT JOIN {{account_address}} a ON a.id = coalesce(o.shipping_address_id, o.billing_address_id)
CROSS JOIN LATERAL (
	SELECT
		coalesce(sum(m.paid), 0) AS paid,
		coalesce(sum(m.refunded), 0) AS refunded,
		min(m.paid_at) AS paid_at
	FROM (
		SELECT
			t.charged_value + t.charge_pending_value + t.authorized_value + t.refunded_value + t.refund_pending_value AS paid,
			t.refunded_value AS refunded,
			t.created_at AS paid_at
		FROM {{payment_transactionitem}} t
		WHERE t.order_id = o.id
		UNION ALL
		SELECT
			CASE
				WHEN p.captured_amount = 0 AND t.refunded = 0 AND p.is_active AND p.charge_status = 'not-charged' AND t.authorized THEN p.total
				ELSE p.captured_amount + t.refunded
			END,
			t.refunded,
			t.paid_at
		FROM {{payment_payment}} p
		CROSS JOIN LATERAL (
			SELECT
				coalesce(sum(t.amount) FILTER (WHERE t.kind = 'refund'), 0) AS refunded,
				coalesce(bool_or(t.kind = 'auth') AND NOT bool_or(t.kind = 'void'), false) AS authorized,
				min(t.created_at) AS paid_at
			FROM {{payment_transaction}} t
			WHERE t.payment_id = p.id AND t.is_success
		) AS t
		WHERE p.order_id = o.id
	) AS m
) AS m
CROSS JOIN LATERAL (
	SELECT
		coalesce(bool_or(e.type IN ('order_fully_paid', 'order_marked_as_paid')), false) AS fully_paid,
		max(e.date) FILTER (WHERE e.type = 'canceled') AS canceled_at
	FROM {{order_orderevent}} e
	WHERE e.order_id = o.id AND e.type IN ('order_fully_paid', 'order_marked_as_paid', 'canceled')
) AS e
CROSS JOIN LATERAL (
	SELECT max(f.created_at) AS shipped_at
	FROM {{order_fulfillment}} f
	WHERE f.order_id = o.id AND f.status = 'fulfilled'
) AS f
$$)),
		('watch', 'order_order', true, jsonb_build_object('order_id', 'id')),
		('watch', 'payment_transactionitem', true, jsonb_build_object('order_id', 'order_id')),
		('watch', 'payment_payment', true, jsonb_build_object('order_id', 'order_id')),
		('watch', 'payment_transaction', true, jsonb_build_object('order_id', $$SELECT p.order_id FROM {{payment_payment}} p WHERE p.id = {{row}}.payment_id$$)),

		-- Who is deactivated is not written to.
		('customers', 'account_user', true, jsonb_build_object(
			'customer', 'id',
			'name', $$nullif(concat_ws(' ', nullif(first_name, ''), nullif(last_name, '')), '')$$,
			'nickname', $$nullif(first_name, '')$$,
			'phone', $$CASE WHEN is_active THEN (
				SELECT nullif(a.phone, '')
				FROM {{account_address}} a
				WHERE a.id = coalesce({{row}}.default_shipping_address_id, {{row}}.default_billing_address_id)
			) END$$,
			'email', $$CASE WHEN is_active THEN nullif(email, '') END$$,
			'joined_at', 'date_joined',
			'attributes', $$jsonb_build_object('registered', true)$$,
			'condition', 'NOT is_staff')),
		-- A guest is what the last order says.
		('customers', 'order_order', true, jsonb_build_object(
			'customer', 'user_email',
			'name', $$(
				SELECT nullif(concat_ws(' ', nullif(a.first_name, ''), nullif(a.last_name, '')), '')
				FROM {{account_address}} a
				WHERE a.id = coalesce({{row}}.billing_address_id, {{row}}.shipping_address_id)
			)$$,
			'phone', $$(
				SELECT nullif(a.phone, '')
				FROM {{account_address}} a
				WHERE a.id = coalesce({{row}}.billing_address_id, {{row}}.shipping_address_id)
			)$$,
			'email', 'user_email',
			'attributes', $$jsonb_build_object('registered', false)$$,
			'latest_by', 'created_at',
			'condition', $$user_id IS NULL AND user_email <> '' AND status <> 'draft'$$)),
		('lines', 'order_orderline', true, jsonb_build_object(
			'order_id', 'order_id',
			'product', 'coalesce(product_sku, variant_id::text, product_name)',
			'quantity', 'quantity',
			'amount', 'total_price_gross_amount'))
$adapter$;

COMMENT ON FUNCTION retention.adapter_saleor() IS 'Saleor 3.14 to 3.23';
