-- ---------------------------------------------------------------------------
-- Adapter: Odoo, sale and point of sale
-- ---------------------------------------------------------------------------

-- Whichever of the two modules is installed is attached, as sources odoo and
-- odoo pos.  Odoo keeps its times in UTC, without a zone.
CREATE FUNCTION retention.adapter_odoo()
	RETURNS SETOF retention.adapter_part
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $adapter$
	VALUES
		('currency', 'res_company', false, jsonb_build_object(
			'query', 'SELECT u.name FROM {{res_company}} c JOIN {{res_currency}} u ON u.id = c.currency_id ORDER BY c.id LIMIT 1')),

		-- A transaction has children: refunds are negative, what was captured of an
		-- authorization is in its amount already, what was voided is taken off.
		-- An order is paid by the transactions of the web shop or by invoices, and
		-- a web shop that writes invoices has both: the larger counts.  An invoice
		-- may be for several orders, so its lines share what was paid of it; one
		-- that was reversed before it was paid counts for nothing.  A quotation
		-- sent is an order once its customer chose how to pay.  A cancelled order
		-- was placed when it was confirmed, which sets date_order; it sold nothing,
		-- so of its money only what was given back counts as paid.
		('orders', NULL, false, jsonb_build_object('facts', $$
SELECT
	o.id AS order_id,
	o.partner_id AS customer,
	o.amount_total AS total,
	round(CASE
		WHEN o.state = 'cancel' THEN least(greatest(t.paid, i.paid), greatest(t.refunded, i.refunded))
		ELSE greatest(t.paid, i.paid)
	END, 2) AS paid,
	round(greatest(t.refunded, i.refunded), 2) AS refunded,
	(SELECT u.name FROM {{res_currency}} u WHERE u.id = o.currency_id) AS currency,
	CASE WHEN o.currency_rate > 0 THEN 1 / o.currency_rate::numeric END AS exchange_rate,
	(
		SELECT coalesce(to_jsonb(c.name) ->> 'en_US', c.name::text)
		FROM {{crm_team}} c
		WHERE c.id = o.team_id
	) AS channel,
	(SELECT u.login FROM {{res_users}} u WHERE u.id = o.user_id) AS staff,
	o.state IN ('sale', 'done')
		OR o.state = 'sent' AND t.transactions > 0
		OR o.state = 'cancel' AND (o.date_order > o.create_date OR t.paid > 0 OR i.paid > 0) AS placed,
	o.date_order AT TIME ZONE {{time_zone}} AS placed_at,
	o.state <> 'draft'
		AND (greatest(t.paid, i.paid) >= o.amount_total OR greatest(t.paid, i.paid) > 0 AND o.state = 'cancel')
		AND (greatest(t.paid, i.paid) > 0 OR o.state IN ('sale', 'done')) AS paid_in_full,
	coalesce(t.paid_at AT TIME ZONE {{time_zone}}, i.paid_on::timestamp AT TIME ZONE {{time_zone}}) AS paid_at,
	coalesce(l.all_delivered, false) AND o.state <> 'cancel' AS shipped,
	{{#sale_order.effective_date}}o.effective_date::timestamp AT TIME ZONE {{time_zone}}{{/sale_order.effective_date}}{{^sale_order.effective_date}}NULL::timestamptz{{/sale_order.effective_date}} AS shipped_at,
	o.state = 'cancel' AS closed,
	jsonb_strip_nulls(jsonb_build_object(
		'number', o.name,
		'city', a.city,
		'region', (SELECT s.name FROM {{res_country_state}} s WHERE s.id = a.state_id))) AS attributes
FROM {{sale_order}} o
LEFT JOIN {{res_partner}} a ON a.id = o.partner_shipping_id
CROSS JOIN LATERAL (
	SELECT
		count(*) FILTER (WHERE t.state IN ('pending', 'authorized', 'done')) AS transactions,
		coalesce(sum(t.amount - t.voided) FILTER (WHERE t.state IN ('authorized', 'done')), 0) AS paid,
		min(t.last_state_change) FILTER (WHERE t.state IN ('authorized', 'done')) AS paid_at,
		coalesce(sum(t.refunded), 0) AS refunded
	FROM (
		SELECT
			t.state,
			t.amount,
			t.last_state_change,
			{{#payment_transaction.source_transaction_id}}coalesce(c.voided, 0){{/payment_transaction.source_transaction_id}}{{^payment_transaction.source_transaction_id}}0{{/payment_transaction.source_transaction_id}} AS voided,
			{{#payment_transaction.source_transaction_id}}c.refunded{{/payment_transaction.source_transaction_id}}{{^payment_transaction.source_transaction_id}}0{{/payment_transaction.source_transaction_id}} AS refunded
		FROM {{sale_order_transaction_rel}} r
		JOIN {{payment_transaction}} t ON t.id = r.transaction_id
		{{#payment_transaction.source_transaction_id}}CROSS JOIN LATERAL (
			SELECT
				sum(c.amount) FILTER (WHERE c.amount > 0 AND c.state = 'cancel') AS voided,
				-sum(c.amount) FILTER (WHERE c.amount < 0 AND c.state = 'done') AS refunded
			FROM {{payment_transaction}} c
			WHERE c.source_transaction_id = t.id
		) AS c{{/payment_transaction.source_transaction_id}}
		WHERE r.sale_order_id = o.id AND t.amount > 0{{#payment_transaction.source_transaction_id}} AND t.source_transaction_id IS NULL{{/payment_transaction.source_transaction_id}}
	) AS t
) AS t
CROSS JOIN LATERAL (
	SELECT
		coalesce(sum(i.share) FILTER (WHERE i.move_type = 'out_invoice'), 0) AS paid,
		max(i.invoice_date) FILTER (WHERE i.move_type = 'out_invoice' AND i.share > 0) AS paid_on,
		coalesce(sum(i.share) FILTER (WHERE i.move_type = 'out_refund'), 0) AS refunded
	FROM (
		SELECT
			m.move_type,
			m.invoice_date,
			abs(il.price_total) * (m.amount_total - m.amount_residual) / nullif(m.amount_total, 0) AS share
		FROM {{sale_order_line}} l
		JOIN {{sale_order_line_invoice_rel}} r ON r.order_line_id = l.id
		JOIN {{account_move_line}} il ON il.id = r.invoice_line_id
		JOIN {{account_move}} m ON m.id = il.move_id
		LEFT JOIN {{account_move}} reversed ON reversed.id = m.reversed_entry_id
		WHERE l.order_id = o.id
			AND m.state = 'posted'
			AND m.move_type IN ('out_invoice', 'out_refund')
			AND m.payment_state <> 'reversed'
			AND reversed.payment_state IS DISTINCT FROM 'reversed'
	) AS i
) AS i
CROSS JOIN LATERAL (
	SELECT bool_and(l.qty_delivered >= l.product_uom_qty) AS all_delivered
	FROM {{sale_order_line}} l
	JOIN {{product_product}} p ON p.id = l.product_id
	JOIN {{product_template}} pt ON pt.id = p.product_tmpl_id
	WHERE l.order_id = o.id AND l.display_type IS NULL AND l.product_uom_qty > 0 AND pt.type <> 'service'
) AS l
$$)),
		('watch', 'sale_order', false, jsonb_build_object('order_id', 'id')),
		('watch', 'sale_order_line', false, jsonb_build_object('order_id', 'order_id')),
		('watch', 'sale_order_transaction_rel', false, jsonb_build_object('order_id', 'sale_order_id')),
		('watch', 'payment_transaction', false, jsonb_build_object('order_id', $$
SELECT r.sale_order_id
FROM {{sale_order_transaction_rel}} r
WHERE r.transaction_id = {{row}}.id{{#payment_transaction.source_transaction_id}} OR r.transaction_id = {{row}}.source_transaction_id{{/payment_transaction.source_transaction_id}}$$)),
		('watch', 'sale_order_line_invoice_rel', false, jsonb_build_object('order_id', $$
SELECT l.order_id
FROM {{sale_order_line}} l
WHERE l.id = {{row}}.order_line_id$$)),
		('watch', 'account_move', false, jsonb_build_object('order_id', $$
SELECT l.order_id
FROM {{account_move_line}} il
JOIN {{sale_order_line_invoice_rel}} r ON r.invoice_line_id = il.id
JOIN {{sale_order_line}} l ON l.id = r.order_line_id
WHERE il.move_id IN ({{row}}.id, {{row}}.reversed_entry_id) AND {{row}}.move_type IN ('out_invoice', 'out_refund')$$)),
		('lines', 'sale_order_line', false, jsonb_build_object(
			'order_id', 'order_id',
			'product', '(SELECT coalesce(nullif(p.default_code, $q$$q$), p.id::text) FROM {{product_product}} p WHERE p.id = {{row}}.product_id)',
			'quantity', 'product_uom_qty',
			'amount', 'price_total',
			'condition', 'display_type IS NULL')),

		-- At the till an order is paid and taken along at once.  A refund is an
		-- order of its own with a negative total, whose lines name those refunded.
		('orders', NULL, false, jsonb_build_object('orders', 'pos', 'facts', $$
SELECT
	o.id AS order_id,
	o.partner_id AS customer,
	o.amount_total AS total,
	CASE WHEN o.currency_rate > 0 THEN 1 / o.currency_rate::numeric END AS exchange_rate,
	{{#pos_order_line.refunded_orderline_id}}(
		SELECT origin.order_id
		FROM {{pos_order_line}} l
		JOIN {{pos_order_line}} origin ON origin.id = l.refunded_orderline_id
		WHERE l.order_id = o.id AND o.amount_total < 0
		ORDER BY l.id
		LIMIT 1
	){{/pos_order_line.refunded_orderline_id}}{{^pos_order_line.refunded_orderline_id}}NULL::integer{{/pos_order_line.refunded_orderline_id}} AS refund_of,
	(
		SELECT c.name
		FROM {{pos_session}} s
		JOIN {{pos_config}} c ON c.id = s.config_id
		WHERE s.id = o.session_id
	) AS channel,
	(SELECT u.login FROM {{res_users}} u WHERE u.id = o.user_id) AS staff,
	o.state <> 'draft' AS placed,
	o.date_order AT TIME ZONE {{time_zone}} AS placed_at,
	o.state IN ('paid', 'done', 'invoiced') AS paid_in_full,
	o.date_order AT TIME ZONE {{time_zone}} AS paid_at,
	o.state IN ('paid', 'done', 'invoiced') AS completed,
	o.date_order AT TIME ZONE {{time_zone}} AS completed_at,
	o.state = 'cancel' AS closed,
	jsonb_build_object('number', coalesce(o.pos_reference, o.name)) AS attributes
FROM {{pos_order}} o
$$)),
		('watch', 'pos_order', false, jsonb_build_object('orders', 'pos', 'order_id', 'id')),
		('watch', 'pos_order_line', false, jsonb_build_object('orders', 'pos', 'order_id', 'order_id')),
		('lines', 'pos_order_line', false, jsonb_build_object(
			'orders', 'pos',
			'order_id', 'order_id',
			'product', '(SELECT coalesce(nullif(p.default_code, $q$$q$), p.id::text) FROM {{product_product}} p WHERE p.id = {{row}}.product_id)',
			'quantity', 'qty',
			'amount', 'price_subtotal_incl')),

		-- Not those who only sell to the shop, nor the addresses of others; who is
		-- archived is not written to.
		('customers', 'res_partner', true, jsonb_build_object(
			'customer', 'id',
			'name', 'name',
			'phone', 'CASE WHEN active THEN {{#res_partner.mobile}}coalesce(nullif(mobile, $q$$q$), phone){{/res_partner.mobile}}{{^res_partner.mobile}}phone{{/res_partner.mobile}} END',
			'email', 'CASE WHEN active THEN email END',
			'joined_at', 'create_date AT TIME ZONE {{time_zone}}',
			'attributes', $$jsonb_strip_nulls(jsonb_build_object(
				'city', city,
				'region', (SELECT s.name FROM {{res_country_state}} s WHERE s.id = {{row}}.state_id),
				'company', nullif(is_company, false)))$$,
			'condition', $$(customer_rank > 0 OR supplier_rank = 0) AND coalesce(type, 'contact') = 'contact'$$)),
		-- Ratings of products, by whom bought them in the web shop.
		('reviews', 'rating_rating', false, jsonb_build_object(
			'happened_at', 'write_date AT TIME ZONE {{time_zone}}',
			'customer', 'partner_id',
			'score', 'rating',
			'content', 'feedback',
			'condition', $$consumed AND res_model = 'product.template'$$))
$adapter$;

COMMENT ON FUNCTION retention.adapter_odoo() IS 'Odoo 14 to 18: sale (also the web shop) and point of sale';
