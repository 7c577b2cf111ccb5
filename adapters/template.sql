-- ---------------------------------------------------------------------------
-- Adapter for a shop of one's own: a template to copy
-- ---------------------------------------------------------------------------
--
-- For a shop of one table, attach_orders() will do.  An adapter is for what is
-- attached more than once: a system that many shops run.  Copy this file, change
-- its texts, run it as a superuser in the shop's database, and then:
--
--     SELECT part, relation, missing FROM retention.shop_parts('myshop');
--     SELECT * FROM retention.attach_shop('myshop');
--     CALL retention.backfill('myshop');
--
-- shop_parts() changes nothing; it shows what was found, and each text as it
-- will be used.
--
-- In the texts:
--     {{orders}}              the table orders, with its schema and prefix
--     {{row}}                 the row of the part's own table
--     {{time_zone}}           the zone of timestamps without one, as given to
--                             attach_shop(), UTC by default
--     {{#gifts}}...{{/gifts}}           only where there is a table gifts
--     {{#gifts.note}}...{{/gifts.note}} only where it has a column note
--     {{^gifts}}...{{/gifts}}           only where there is none
-- Names in mixed case need their double quotes; functions outside pg_catalog
-- need their schema.
--
-- The shop of this example has tables orders, payments, customers, order_lines
-- and, in some versions, reviews.

CREATE OR REPLACE FUNCTION retention.adapter_myshop()
	RETURNS SETOF retention.adapter_part
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $adapter$
	VALUES
		-- In which currency points and statistics are kept, when the shop is new.
		('currency', 'orders', false, jsonb_build_object(
			'query', 'SELECT o.currency FROM {{orders}} o ORDER BY o.id DESC LIMIT 1')),

		-- One row an order.  order_id, customer and total are required, and one of
		-- paid_at, paid_in_full and paid; the README lists the other columns.  The
		-- query is filtered by order_id: leave that column as it is, without a cast,
		-- and look up the other tables by an index.
		--
		-- What to think of:
		-- * a cart is not an order yet: placed is false until the checkout
		-- * a guest is still somebody: use the e-mail address where there is no account
		-- * NULL for an account that stands for everybody, as at a till
		-- * minor units: divide, and round to the decimals there are
		-- * paid and refunded are sums over the order's whole life; what was promised
		--   to be refunded is not refunded yet
		-- * authorized is as good as paid: nobody may be asked to pay again
		-- * an order once paid stays so when an item is added; a cancelled one sold
		--   nothing, even before its money went back
		-- * where a state is known but not its time, leave out the time: the moment
		--   at which it is first seen is kept
		('orders', NULL, true, jsonb_build_object('facts', $$
SELECT
	o.id AS order_id,
	coalesce(o.customer_id::text, lower(o.email)) AS customer,
	round(o.total_cents / 100.0, 2) AS total,
	round(CASE WHEN o.status = 'cancelled' THEN least(p.paid, p.refunded) ELSE p.paid END / 100.0, 2) AS paid,
	round(p.refunded / 100.0, 2) AS refunded,
	o.currency,
	o.status <> 'cart' AS placed,
	o.created_at AT TIME ZONE {{time_zone}} AS placed_at,
	p.paid > 0 AND (p.paid >= o.total_cents OR o.paid_at IS NOT NULL) AS paid_in_full,
	coalesce(o.paid_at, p.paid_at) AT TIME ZONE {{time_zone}} AS paid_at,
	o.shipped_at AT TIME ZONE {{time_zone}} AS shipped_at,
	o.received_at AT TIME ZONE {{time_zone}} AS delivered_at,
	o.received_at AT TIME ZONE {{time_zone}} AS completed_at,
	o.status = 'cancelled' AS closed,
	jsonb_build_object('number', o.number) AS attributes
FROM {{orders}} o
CROSS JOIN LATERAL (
	SELECT
		coalesce(sum(p.cents) FILTER (WHERE p.cents > 0), 0) AS paid,
		coalesce(-sum(p.cents) FILTER (WHERE p.cents < 0), 0) AS refunded,
		min(p.created_at) AS paid_at
	FROM {{payments}} p
	WHERE p.order_id = o.id AND p.succeeded
) AS p
$$)),
		-- Each table whose rows can change an order, and the way from its row to the
		-- order: a column, an expression, or a subquery.
		('watch', 'orders', true, jsonb_build_object('order_id', 'id')),
		('watch', 'payments', true, jsonb_build_object('order_id', 'order_id')),

		-- The arguments are those of attach_customers(), expressions over the row.
		('customers', 'customers', true, jsonb_build_object(
			'customer', 'id',
			'name', 'name',
			'birthday', '{{#customers.birthday}}birthday{{/customers.birthday}}{{^customers.birthday}}NULL::date{{/customers.birthday}}',
			'phone', 'phone',
			'email', 'email',
			'joined_at', 'created_at AT TIME ZONE {{time_zone}}',
			'consents', $$jsonb_build_object('email', newsletter)$$)),
		-- Those of attach_lines() and attach_reviews().  A part that is not required
		-- is left out where its table is missing.
		('lines', 'order_lines', true, jsonb_build_object(
			'order_id', 'order_id',
			'product', 'sku',
			'quantity', 'quantity',
			'amount', 'round(quantity * cents / 100.0, 2)')),
		('reviews', 'reviews', false, jsonb_build_object(
			'happened_at', 'created_at AT TIME ZONE {{time_zone}}',
			'order_id', 'order_id',
			'score', 'stars',
			'content', 'body',
			'condition', 'approved'))
$adapter$;

-- What attach_shop() says in its errors that the adapter was written for.
COMMENT ON FUNCTION retention.adapter_myshop() IS 'My shop 1';
