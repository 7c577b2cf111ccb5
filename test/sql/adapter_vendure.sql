-- attach_shop('vendure'): Vendure's tables, written in the order in which its
-- services write them, by a role that has no right on the extension.
\set ECHO none
\i test/include/start.sql
\i test/include/adapter.sql
SET client_min_messages = warning;
CREATE ROLE regress_vendure;
GRANT SET ON PARAMETER retention.clock TO regress_vendure;
CREATE SCHEMA vendure AUTHORIZATION regress_vendure;
RESET client_min_messages;
\set ECHO all

SET ROLE regress_vendure;
SET search_path = vendure;

-- As TypeORM makes them for @vendure/core 3.5, columns that nothing here reads
-- left out.  Its now() is this test's clock.
CREATE TABLE channel (id serial PRIMARY KEY, code varchar NOT NULL UNIQUE, "defaultCurrencyCode" varchar NOT NULL);
CREATE TABLE customer (
	"createdAt" timestamp NOT NULL DEFAULT now(), "updatedAt" timestamp NOT NULL DEFAULT now(), "deletedAt" timestamp,
	title varchar, "firstName" varchar NOT NULL, "lastName" varchar NOT NULL, "phoneNumber" varchar,
	"emailAddress" varchar NOT NULL, id serial PRIMARY KEY, "userId" integer UNIQUE
);
CREATE TABLE "order" (
	"createdAt" timestamp NOT NULL DEFAULT now(), "updatedAt" timestamp NOT NULL DEFAULT now(),
	type varchar NOT NULL DEFAULT 'Regular', code varchar NOT NULL UNIQUE, state varchar NOT NULL,
	active boolean NOT NULL DEFAULT true, "orderPlacedAt" timestamp, "couponCodes" text NOT NULL,
	"shippingAddress" text NOT NULL, "billingAddress" text NOT NULL, "currencyCode" varchar NOT NULL,
	id serial PRIMARY KEY, "aggregateOrderId" integer, "customerId" integer REFERENCES customer (id), "taxZoneId" integer,
	"subTotal" integer NOT NULL, "subTotalWithTax" integer NOT NULL,
	shipping integer NOT NULL DEFAULT 0, "shippingWithTax" integer NOT NULL DEFAULT 0
);
CREATE INDEX ON "order" ("customerId");
CREATE TABLE order_channels_channel ("orderId" integer REFERENCES "order" (id) ON DELETE CASCADE, "channelId" integer, PRIMARY KEY ("orderId", "channelId"));
CREATE TABLE product_variant (id serial PRIMARY KEY, sku varchar NOT NULL);
CREATE TABLE order_line (
	quantity integer NOT NULL, "orderPlacedQuantity" integer NOT NULL DEFAULT 0, "listPriceIncludesTax" boolean NOT NULL,
	adjustments text NOT NULL, "taxLines" text NOT NULL, id serial PRIMARY KEY, "productVariantId" integer NOT NULL,
	"initialListPrice" integer, "listPrice" integer NOT NULL, "orderId" integer REFERENCES "order" (id) ON DELETE CASCADE
);
CREATE INDEX ON order_line ("orderId");
CREATE TABLE payment (
	"createdAt" timestamp NOT NULL DEFAULT now(), "updatedAt" timestamp NOT NULL DEFAULT now(), method varchar NOT NULL,
	state varchar NOT NULL, "errorMessage" varchar, "transactionId" varchar, metadata text NOT NULL, id serial PRIMARY KEY,
	amount integer NOT NULL, "orderId" integer REFERENCES "order" (id)
);
CREATE INDEX ON payment ("orderId");
CREATE TABLE refund (
	"createdAt" timestamp NOT NULL DEFAULT now(), "updatedAt" timestamp NOT NULL DEFAULT now(), method varchar NOT NULL,
	reason varchar, state varchar NOT NULL, "transactionId" varchar, metadata text NOT NULL, id serial PRIMARY KEY,
	items integer NOT NULL, shipping integer NOT NULL, adjustment integer NOT NULL, total integer NOT NULL,
	"paymentId" integer NOT NULL REFERENCES payment (id)
);
CREATE INDEX ON refund ("paymentId");
CREATE TABLE fulfillment (
	"createdAt" timestamp NOT NULL DEFAULT now(), "updatedAt" timestamp NOT NULL DEFAULT now(), state varchar NOT NULL,
	"trackingCode" varchar NOT NULL DEFAULT '', method varchar NOT NULL, "handlerCode" varchar NOT NULL, id serial PRIMARY KEY
);
CREATE TABLE order_line_reference (
	quantity integer NOT NULL, id serial PRIMARY KEY, "fulfillmentId" integer, "modificationId" integer,
	"orderLineId" integer REFERENCES order_line (id) ON DELETE CASCADE, "refundId" integer, discriminator varchar NOT NULL
);
CREATE INDEX ON order_line_reference ("orderLineId");
CREATE INDEX ON order_line_reference ("fulfillmentId");
CREATE TABLE history_entry (
	"createdAt" timestamp NOT NULL DEFAULT now(), type varchar NOT NULL, "isPublic" boolean NOT NULL, data text NOT NULL,
	id serial PRIMARY KEY, discriminator varchar NOT NULL, "orderId" integer REFERENCES "order" (id) ON DELETE CASCADE
);
CREATE INDEX ON history_entry ("orderId");
DO $$
DECLARE
	name text;
BEGIN
	FOREACH name IN ARRAY '{customer,order,payment,refund,fulfillment,history_entry}'::text[] LOOP
		EXECUTE format('ALTER TABLE %I ALTER "createdAt" SET DEFAULT retention.now() AT TIME ZONE ''UTC''', name);
	END LOOP;
END
$$;
INSERT INTO channel (code, "defaultCurrencyCode") VALUES ('__default_channel__', 'USD'), ('north', 'USD');
INSERT INTO product_variant (sku) VALUES ('TEA'), ('CUP');

-- What its services do.
CREATE PROCEDURE to_state("order" integer, state text)
	LANGUAGE plpgsql
AS $$
DECLARE
	old vendure."order";
BEGIN
	SELECT o.* INTO old FROM vendure."order" o WHERE o.id = to_state."order";
	UPDATE vendure."order" SET state = to_state.state WHERE id = to_state."order";
	IF to_state.state IN ('PaymentAuthorized', 'PaymentSettled') AND old.active THEN
		UPDATE vendure.order_line SET "orderPlacedQuantity" = quantity WHERE "orderId" = to_state."order";
		UPDATE vendure."order" SET active = false, "orderPlacedAt" = retention.now() AT TIME ZONE 'UTC' WHERE id = to_state."order";
	ELSIF to_state.state = 'Cancelled' THEN
		UPDATE vendure."order" SET active = false WHERE id = to_state."order";
	END IF;
	INSERT INTO vendure.history_entry (type, "isPublic", data, discriminator, "orderId")
	VALUES ('ORDER_STATE_TRANSITION', true, json_build_object('from', old.state, 'to', to_state.state), 'order-history-entry', to_state."order");
END
$$;
-- The payment is there before it knows its order.
CREATE PROCEDURE pay("order" integer, amount integer, state text)
	LANGUAGE plpgsql
AS $$
DECLARE
	new_payment integer;
BEGIN
	INSERT INTO vendure.payment (method, state, metadata, amount) VALUES ('card', 'Created', '{}', amount) RETURNING id INTO new_payment;
	UPDATE vendure.payment SET state = pay.state WHERE id = new_payment;
	UPDATE vendure.payment SET "orderId" = pay."order" WHERE id = new_payment;
END
$$;
CREATE PROCEDURE parcel_to(parcel integer, "order" integer, state text)
	LANGUAGE sql
AS $$
	UPDATE vendure.fulfillment SET state = parcel_to.state WHERE id = parcel;
	INSERT INTO vendure.history_entry (type, "isPublic", data, discriminator, "orderId")
	VALUES ('ORDER_FULFILLMENT_TRANSITION', true, json_build_object('fulfillmentId', parcel, 'to', state), 'order-history-entry', "order");
$$;
RESET ROLE;

-- ---------------------------------------------------------------------------
-- Attaching
-- ---------------------------------------------------------------------------

-- The tables' owner alone would need rights on the function; here a superuser attaches.
SELECT part, relation, missing FROM retention.shop_parts('vendure');
SELECT * FROM retention.attach_shop('vendure');
SELECT name, currency FROM retention.shop;
SELECT * FROM retention.attach_shop('vendure');
SELECT pg_temp.enable_rules();
SELECT has_table_privilege('regress_vendure', 'retention.purchase', 'SELECT') AS reads, has_function_privilege('regress_vendure', 'retention.resync(text, text, boolean)', 'EXECUTE') AS resyncs;
SET ROLE regress_vendure;
SET retention.clock = '2024-05-01 12:00+00';
\set life 'RESET ROLE; SELECT * FROM pg_temp.life(''vendure'', '
\set end '); SET ROLE regress_vendure;'

-- ---------------------------------------------------------------------------
-- A guest: declined, paid, shipped in two parcels, delivered, refunded
-- ---------------------------------------------------------------------------

INSERT INTO "order" (code, state, "couponCodes", "shippingAddress", "billingAddress", "currencyCode", "subTotal", "subTotalWithTax")
VALUES ('AAAA', 'AddingItems', '', '{}', '{}', 'USD', 0, 0);
INSERT INTO order_channels_channel VALUES (1, 1), (1, 2);
INSERT INTO order_line (quantity, "listPriceIncludesTax", adjustments, "taxLines", "productVariantId", "listPrice", "orderId")
VALUES (2, true, '[{"amount": -200, "type": "PROMOTION"}]', '[{"taxRate": 20}]', 1, 1300, 1), (1, false, '[]', '[{"taxRate": 20}]', 2, 500, 1);
UPDATE "order" SET "subTotal" = 2500, "subTotalWithTax" = 3000, "shippingWithTax" = 500 WHERE id = 1;
INSERT INTO customer ("firstName", "lastName", "phoneNumber", "emailAddress") VALUES ('Mei', 'Lin', '13800000001', 'mei@example.org');
UPDATE "order" SET "customerId" = 1, "shippingAddress" = '{"province": "Zhejiang", "city": "Hangzhou"}' WHERE id = 1;
-- A cart is nothing yet.
:life '1' :end
BEGIN;
CALL to_state(1, 'ArrangingPayment');
COMMIT;
:life '1' :end
-- Back to the cart, and to the checkout again.
CALL to_state(1, 'AddingItems');
:life '1' :end
CALL to_state(1, 'ArrangingPayment');
SET retention.clock = '2024-05-01 12:10+00';
CALL pay(1, 3500, 'Declined');
:life '1' :end
BEGIN;
CALL pay(1, 3500, 'Settled');
CALL to_state(1, 'PaymentSettled');
COMMIT;
:life '1' :end
-- Two parcels, the first arriving before the second leaves: that one changes
-- no row of the order.
SET retention.clock = '2024-05-02 12:00+00';
BEGIN;
INSERT INTO fulfillment (state, method, "handlerCode") VALUES ('Created', 'post', 'manual'), ('Created', 'post', 'manual');
INSERT INTO order_line_reference (quantity, "orderLineId", "fulfillmentId", discriminator) VALUES (2, 1, 1, 'FulfillmentLine'), (1, 2, 2, 'FulfillmentLine');
UPDATE fulfillment SET state = 'Pending';
COMMIT;
BEGIN;
CALL parcel_to(1, 1, 'Shipped');
CALL to_state(1, 'PartiallyShipped');
COMMIT;
:life '1' :end
BEGIN;
CALL parcel_to(1, 1, 'Delivered');
CALL to_state(1, 'PartiallyDelivered');
COMMIT;
SET retention.clock = '2024-05-03 12:00+00';
CALL parcel_to(2, 1, 'Shipped');
:life '1' :end
SET retention.clock = '2024-05-04 12:00+00';
BEGIN;
CALL parcel_to(2, 1, 'Delivered');
CALL to_state(1, 'Delivered');
COMMIT;
:life '1' :end
-- A refund is asked for, and settled in a later transaction.
INSERT INTO refund (method, state, metadata, items, shipping, adjustment, total, "paymentId") VALUES ('card', 'Pending', '{}', 1000, 0, 0, 1000, 2);
:life '1' :end
UPDATE refund SET state = 'Settled', "transactionId" = 'x' WHERE id = 1;
:life '1' :end
INSERT INTO refund (method, state, metadata, items, shipping, adjustment, total, "paymentId") VALUES ('card', 'Failed', '{}', 2500, 0, 0, 2500, 2);
:life '1' :end
UPDATE refund SET state = 'Settled' WHERE id = 2;
:life '1' :end

-- ---------------------------------------------------------------------------
-- A registered customer: authorized, settled, cancelled, and then refunded
-- ---------------------------------------------------------------------------

INSERT INTO customer (title, "firstName", "lastName", "emailAddress", "userId") VALUES ('Mr', 'Li', 'Wang', 'li@example.org', 7);
INSERT INTO "order" (code, state, "couponCodes", "shippingAddress", "billingAddress", "currencyCode", "subTotal", "subTotalWithTax", "customerId")
VALUES ('BBBB', 'AddingItems', 'SPRING', '{}', '{}', 'USD', 5000, 6000, 2);
INSERT INTO order_line (quantity, "listPriceIncludesTax", adjustments, "taxLines", "productVariantId", "listPrice", "orderId")
VALUES (3, true, '[]', '[]', 1, 2000, 2);
CALL to_state(2, 'ArrangingPayment');
:life '2' :end
-- Nobody who authorized is asked to pay.
BEGIN;
CALL pay(2, 6000, 'Authorized');
CALL to_state(2, 'PaymentAuthorized');
COMMIT;
:life '2' :end
BEGIN;
UPDATE payment SET state = 'Settled' WHERE "orderId" = 2;
CALL to_state(2, 'PaymentSettled');
COMMIT;
:life '2' :end
-- Cancelled: first the lines and the total go, then the state.
BEGIN;
UPDATE order_line SET quantity = 0 WHERE "orderId" = 2;
UPDATE "order" SET "subTotal" = 0, "subTotalWithTax" = 0 WHERE id = 2;
INSERT INTO history_entry (type, "isPublic", data, discriminator, "orderId") VALUES ('ORDER_CANCELLATION', true, '{"reason": "ordered twice"}', 'order-history-entry', 2);
SET CONSTRAINTS ALL IMMEDIATE;
CALL to_state(2, 'Cancelled');
COMMIT;
:life '2' :end
INSERT INTO refund (method, state, metadata, items, shipping, adjustment, total, "paymentId") SELECT 'card', 'Settled', '{}', 6000, 0, 0, 6000, id FROM payment WHERE "orderId" = 2;
:life '2' :end

-- ---------------------------------------------------------------------------
-- Modified: an item more, paid in addition; an item less, given back
-- ---------------------------------------------------------------------------

INSERT INTO "order" (code, state, "couponCodes", "shippingAddress", "billingAddress", "currencyCode", "subTotal", "subTotalWithTax", "customerId")
VALUES ('CCCC', 'AddingItems', '', '{}', '{}', 'USD', 2000, 2000, 2);
INSERT INTO order_line (quantity, "listPriceIncludesTax", adjustments, "taxLines", "productVariantId", "listPrice", "orderId")
VALUES (1, true, '[]', '[]', 1, 2000, 3);
CALL to_state(3, 'ArrangingPayment');
BEGIN;
CALL pay(3, 2000, 'Settled');
CALL to_state(3, 'PaymentSettled');
COMMIT;
BEGIN;
CALL to_state(3, 'Modifying');
UPDATE order_line SET quantity = 2 WHERE "orderId" = 3;
UPDATE "order" SET "subTotal" = 4000, "subTotalWithTax" = 4000 WHERE id = 3;
CALL to_state(3, 'ArrangingAdditionalPayment');
COMMIT;
:life '3' :end
BEGIN;
CALL pay(3, 2000, 'Settled');
CALL to_state(3, 'PaymentSettled');
COMMIT;
:life '3' :end
BEGIN;
CALL to_state(3, 'Modifying');
UPDATE order_line SET quantity = 1 WHERE "orderId" = 3;
UPDATE "order" SET "subTotal" = 2000, "subTotalWithTax" = 2000 WHERE id = 3;
INSERT INTO refund (method, state, metadata, items, shipping, adjustment, total, "paymentId") SELECT 'card', 'Settled', '{}', 2000, 0, 0, 2000, max(id) FROM payment WHERE "orderId" = 3;
CALL to_state(3, 'PaymentSettled');
COMMIT;
:life '3' :end
BEGIN;
INSERT INTO fulfillment (state, method, "handlerCode") VALUES ('Created', 'digital', 'digital');
INSERT INTO order_line_reference (quantity, "orderLineId", "fulfillmentId", discriminator) VALUES (1, 4, 3, 'FulfillmentLine');
CALL parcel_to(3, 3, 'Delivered');
CALL to_state(3, 'Delivered');
COMMIT;
:life '3' :end

-- ---------------------------------------------------------------------------
-- Never paid; free; authorized in vain; a marketplace's parts; deleted
-- ---------------------------------------------------------------------------

INSERT INTO "order" (code, state, "couponCodes", "shippingAddress", "billingAddress", "currencyCode", "subTotal", "subTotalWithTax", "customerId")
VALUES ('DDDD', 'AddingItems', '', '{}', '{}', 'USD', 900, 900, 2), ('EEEE', 'AddingItems', '', '{}', '{}', 'USD', 0, 0, 2), ('FFFF', 'AddingItems', '', '{}', '{}', 'USD', 900, 900, 2);
CALL to_state(4, 'ArrangingPayment');
CALL to_state(4, 'Cancelled');
:life '4' :end
CALL to_state(5, 'ArrangingPayment');
CALL to_state(5, 'PaymentSettled');
:life '5' :end
CALL to_state(6, 'ArrangingPayment');
BEGIN;
CALL pay(6, 900, 'Authorized');
CALL to_state(6, 'PaymentAuthorized');
COMMIT;
UPDATE payment SET state = 'Declined' WHERE "orderId" = 6;
:life '6' :end
BEGIN;
UPDATE payment SET state = 'Cancelled' WHERE "orderId" = 6;
UPDATE "order" SET "subTotalWithTax" = 0 WHERE id = 6;
CALL to_state(6, 'Cancelled');
COMMIT;
:life '6' :end
INSERT INTO "order" (code, type, state, "couponCodes", "shippingAddress", "billingAddress", "currencyCode", "subTotal", "subTotalWithTax", "customerId", "aggregateOrderId")
VALUES ('GGGG', 'Seller', 'PaymentSettled', '', '{}', '{}', 'USD', 2000, 2000, 2, 3);
:life '7' :end
UPDATE customer SET "deletedAt" = '2024-05-04 12:00' WHERE id = 1;
DELETE FROM order_line WHERE "orderId" = 4;
DELETE FROM "order" WHERE id = 4;
:life '4' :end

RESET ROLE;
SELECT customer_id, name, nickname, phone, email, joined_at, attributes FROM retention.customer ORDER BY 1;
SELECT order_id, product, quantity, amount FROM retention.lines() ORDER BY 1, 2;
SELECT order_id, channel, close_reason, attributes FROM retention.purchase ORDER BY 1;
SELECT * FROM retention.sync_error;
SELECT * FROM wrong;
SELECT * FROM retention.check_ledger();

-- ---------------------------------------------------------------------------
-- What a backfill finds is what the triggers recorded
-- ---------------------------------------------------------------------------

CREATE TEMP TABLE recorded AS SELECT h FROM pg_temp.history() h;
SELECT pg_temp.recorded() AS before \gset
SELECT retention.resync('vendure', everything => true);
SELECT pg_temp.recorded() = :'before' AS unchanged;
SET client_min_messages = warning;
ALTER TABLE customer ALTER "createdAt" DROP DEFAULT;
ALTER TABLE "order" ALTER "createdAt" DROP DEFAULT;
ALTER TABLE payment ALTER "createdAt" DROP DEFAULT;
ALTER TABLE refund ALTER "createdAt" DROP DEFAULT;
ALTER TABLE fulfillment ALTER "createdAt" DROP DEFAULT;
ALTER TABLE history_entry ALTER "createdAt" DROP DEFAULT;
DROP EXTENSION retention CASCADE;
CREATE EXTENSION retention;
-- As if all tables were large: a warning would name one that lacks an index.
UPDATE pg_class SET reltuples = 1000000, relpages = 20000 WHERE relnamespace = 'vendure'::regnamespace AND relkind = 'r';
SELECT count(*) FROM retention.attach_shop('vendure');
CALL retention.backfill('vendure');
RESET client_min_messages;
SELECT h AS only_by_triggers FROM recorded EXCEPT SELECT h FROM pg_temp.history() h ORDER BY 1;
SELECT h AS only_by_backfill FROM pg_temp.history() h EXCEPT SELECT h FROM recorded ORDER BY 1;

-- The reviews of the plugin in Vendure's examples, where it is installed.
SELECT retention.detach('vendure');
SELECT retention.detach('vendure.customer');
SELECT retention.detach('vendure.order_line');
CREATE TABLE product_review ("createdAt" timestamp NOT NULL, id serial PRIMARY KEY, summary varchar NOT NULL, body text, rating integer NOT NULL, "authorId" integer, state varchar NOT NULL);
SET client_min_messages = warning;
SELECT part, relation, attached_as, outcome FROM retention.attach_shop('vendure');
RESET client_min_messages;
INSERT INTO product_review ("createdAt", summary, body, rating, "authorId", state) VALUES ('2024-05-04 12:00', 'Weak', 'No taste.', 2, 2, 'new');
SELECT customer_id, kind, score, content, happened_at FROM retention.feedback;

\set ECHO none
SET client_min_messages = warning;
RESET search_path;
\i test/include/stop.sql
DROP SCHEMA vendure CASCADE;
DROP OWNED BY regress_vendure;
DROP ROLE regress_vendure;
