-- ---------------------------------------------------------------------------
-- Adapter: nopCommerce
-- ---------------------------------------------------------------------------

-- Names are written as in .NET, states as numbers: orders 10 pending, 20
-- processing, 30 complete, 40 cancelled; payments 10 pending, 20 authorized,
-- 30 paid, 35 partially refunded, 40 refunded, 50 voided; shipping 10 not
-- required, 20 not yet, 25 partially, 30 shipped, 40 delivered.  Times are UTC.
CREATE FUNCTION retention.adapter_nopcommerce()
	RETURNS SETOF retention.adapter_part
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $adapter$
	VALUES
		('currency', 'Currency', false, jsonb_build_object('query', $$
SELECT c."CurrencyCode"
FROM {{Currency}} c
JOIN {{Setting}} s ON s."Value" = c."Id"::text
WHERE lower(s."Name") = 'currencysettings.primarystorecurrencyid'
ORDER BY s."StoreId"
LIMIT 1$$)),

		-- OrderTotal is in the store's primary currency; there is no table of
		-- payments, what was paid is the total once the order says so.  A cancelled
		-- order sold nothing, so of its money only what was given back counts as
		-- paid; an authorization voided with it does not make it one never paid.
		-- Deleted softly, an order is deleted.
		('orders', NULL, true, jsonb_build_object('facts', $$
SELECT
	o."Id" AS order_id,
	o."CustomerId" AS customer,
	o."OrderTotal" AS total,
	CASE
		WHEN o."OrderStatusId" = 40 THEN least(o."OrderTotal", o."RefundedAmount")
		WHEN o."PaymentStatusId" IN (20, 30, 35, 40) THEN o."OrderTotal"
		ELSE 0
	END AS paid,
	o."RefundedAmount" AS refunded,
	(SELECT s."Name" FROM {{Store}} s WHERE s."Id" = o."StoreId") AS channel,
	true AS placed,
	o."CreatedOnUtc" AT TIME ZONE {{time_zone}} AS placed_at,
	o."PaymentStatusId" IN (20, 30, 35, 40) OR o."PaymentStatusId" = 50 AND o."OrderStatusId" = 40 AS paid_in_full,
	coalesce(o."PaidDateUtc", o."CreatedOnUtc") AT TIME ZONE {{time_zone}} AS paid_at,
	o."ShippingStatusId" IN (30, 40) AS shipped,
	s.shipped_at AT TIME ZONE {{time_zone}} AS shipped_at,
	o."ShippingStatusId" = 40 AS delivered,
	s.delivered_at AT TIME ZONE {{time_zone}} AS delivered_at,
	o."OrderStatusId" = 30 AS completed,
	greatest(o."PaidDateUtc", coalesce(s.delivered_at, s.shipped_at)) AT TIME ZONE {{time_zone}} AS completed_at,
	o."OrderStatusId" = 40 AS closed,
	jsonb_strip_nulls(jsonb_build_object(
		'number', o."CustomOrderNumber",
		'city', a."City",
		'region', (SELECT p."Name" FROM {{StateProvince}} p WHERE p."Id" = a."StateProvinceId"),
		'phone', a."PhoneNumber")) AS attributes
FROM {{Order}} o
LEFT JOIN {{Address}} a ON a."Id" = coalesce(o."ShippingAddressId", o."BillingAddressId")
CROSS JOIN LATERAL (
	SELECT max(s."ShippedDateUtc") AS shipped_at, max(s."DeliveryDateUtc") AS delivered_at
	FROM {{Shipment}} s
	WHERE s."OrderId" = o."Id"
) AS s
WHERE NOT o."Deleted"
$$)),
		('watch', 'Order', true, jsonb_build_object('order_id', '"Id"')),
		('watch', 'Shipment', true, jsonb_build_object('order_id', '"OrderId"')),

		-- A guest is a customer without an e-mail address: it is in the billing
		-- address.  A guest of another session is another customer.
		('customers', 'Customer', true, jsonb_build_object(
			'customer', '"Id"',
			'name', $$coalesce(
				{{#Customer.FirstName}}nullif(concat_ws(' ', nullif("FirstName", ''), nullif("LastName", '')), ''),{{/Customer.FirstName}}
				(
					SELECT nullif(concat_ws(' ', nullif(a."FirstName", ''), nullif(a."LastName", '')), '')
					FROM {{Address}} a
					WHERE a."Id" = {{row}}."BillingAddress_Id"
				))$$,
			'birthday', $${{#Customer.DateOfBirth}}"DateOfBirth"::date{{/Customer.DateOfBirth}}{{^Customer.DateOfBirth}}NULL::date{{/Customer.DateOfBirth}}$$,
			'phone', $$CASE WHEN "Active" AND NOT "Deleted" THEN coalesce(
				{{#Customer.Phone}}nullif("Phone", ''),{{/Customer.Phone}}
				(SELECT nullif(a."PhoneNumber", '') FROM {{Address}} a WHERE a."Id" = {{row}}."BillingAddress_Id")) END$$,
			'email', $$CASE WHEN "Active" AND NOT "Deleted" THEN coalesce(
				nullif("Email", ''),
				(SELECT nullif(a."Email", '') FROM {{Address}} a WHERE a."Id" = {{row}}."BillingAddress_Id")) END$$,
			'joined_at', '"CreatedOnUtc" AT TIME ZONE {{time_zone}}',
			'attributes', $$jsonb_build_object('registered', coalesce("Email" <> '', false))$$,
			'condition', $$NOT "IsSystemAccount" AND ("Email" <> '' OR "BillingAddress_Id" IS NOT NULL)$$)),
		('lines', 'OrderItem', true, jsonb_build_object(
			'order_id', '"OrderId"',
			'product', $$(SELECT coalesce(nullif(p."Sku", ''), p."Id"::text) FROM {{Product}} p WHERE p."Id" = {{row}}."ProductId")$$,
			'quantity', '"Quantity"',
			'amount', '"PriceInclTax"')),
		('reviews', 'ProductReview', false, jsonb_build_object(
			'happened_at', '"CreatedOnUtc" AT TIME ZONE {{time_zone}}',
			'customer', '"CustomerId"',
			'score', '"Rating"',
			'content', $$nullif(concat_ws(E'\n', "Title", "ReviewText"), '')$$))
$adapter$;

COMMENT ON FUNCTION retention.adapter_nopcommerce() IS 'nopCommerce 4.40 to 4.80';
