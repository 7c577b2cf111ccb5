-- attach_shop('medusa'): Medusa's tables, written in the order in which its
-- workflows write them.
\set ECHO none
\i test/include/start.sql
\i test/include/adapter.sql
\set ECHO all

CREATE SCHEMA medusa;
SET search_path = medusa;

-- As the migrations of Medusa 2 make them, columns that nothing here reads left
-- out.  Its now() is this test's clock.
CREATE TYPE order_status_enum AS ENUM ('pending', 'completed', 'draft', 'archived', 'canceled', 'requires_action');
CREATE TABLE store_currency (id text PRIMARY KEY, currency_code text NOT NULL, is_default boolean NOT NULL DEFAULT false, store_id text, deleted_at timestamptz);
CREATE TABLE sales_channel (id text PRIMARY KEY, name text NOT NULL, deleted_at timestamptz);
CREATE TABLE customer (
	id text PRIMARY KEY, company_name text, first_name text, last_name text, email text, phone text,
	has_account boolean NOT NULL DEFAULT false, metadata jsonb, created_at timestamptz NOT NULL DEFAULT retention.now(), deleted_at timestamptz
);
CREATE TABLE order_address (id text PRIMARY KEY, city text, province text, phone text);
CREATE TABLE "order" (
	id text PRIMARY KEY, region_id text, display_id serial, customer_id text, version integer NOT NULL DEFAULT 1, sales_channel_id text,
	status order_status_enum NOT NULL DEFAULT 'pending', is_draft_order boolean NOT NULL DEFAULT false, email text, currency_code text NOT NULL,
	shipping_address_id text, metadata jsonb, created_at timestamptz NOT NULL DEFAULT retention.now(), updated_at timestamptz NOT NULL DEFAULT retention.now(),
	deleted_at timestamptz, canceled_at timestamptz
);
CREATE TABLE order_summary (id text PRIMARY KEY, order_id text NOT NULL REFERENCES "order" (id) ON DELETE CASCADE, version integer NOT NULL DEFAULT 1, totals jsonb, deleted_at timestamptz);
CREATE INDEX ON order_summary (order_id, version) WHERE deleted_at IS NULL;
CREATE TABLE order_line_item (id text PRIMARY KEY, title text NOT NULL, variant_id text, variant_sku text, unit_price numeric NOT NULL, raw_unit_price jsonb NOT NULL DEFAULT '{}');
CREATE TABLE order_item (
	id text PRIMARY KEY, order_id text NOT NULL REFERENCES "order" (id) ON DELETE CASCADE, version integer NOT NULL, item_id text NOT NULL,
	unit_price numeric, quantity numeric NOT NULL, fulfilled_quantity numeric NOT NULL DEFAULT 0, shipped_quantity numeric NOT NULL DEFAULT 0,
	delivered_quantity numeric NOT NULL DEFAULT 0, deleted_at timestamptz
);
CREATE INDEX ON order_item (order_id) WHERE deleted_at IS NULL;
CREATE TABLE order_transaction (
	id text PRIMARY KEY, order_id text NOT NULL REFERENCES "order" (id) ON DELETE CASCADE, version integer NOT NULL DEFAULT 1, amount numeric NOT NULL,
	raw_amount jsonb NOT NULL DEFAULT '{}', currency_code text NOT NULL, reference text, reference_id text,
	created_at timestamptz NOT NULL DEFAULT retention.now(), deleted_at timestamptz
);
CREATE INDEX ON order_transaction (order_id) WHERE deleted_at IS NULL;
CREATE TABLE payment (
	id text PRIMARY KEY, amount numeric NOT NULL, currency_code text NOT NULL, provider_id text NOT NULL, payment_collection_id text NOT NULL,
	created_at timestamptz NOT NULL DEFAULT retention.now(), deleted_at timestamptz, captured_at timestamptz, canceled_at timestamptz
);
CREATE INDEX ON payment (payment_collection_id);
CREATE TABLE order_payment_collection (order_id text, payment_collection_id text, id text NOT NULL, deleted_at timestamptz, PRIMARY KEY (order_id, payment_collection_id));
CREATE TABLE fulfillment (id text PRIMARY KEY, packed_at timestamptz, shipped_at timestamptz, delivered_at timestamptz, canceled_at timestamptz, deleted_at timestamptz);
CREATE TABLE order_fulfillment (order_id text, fulfillment_id text, id text NOT NULL, deleted_at timestamptz, PRIMARY KEY (order_id, fulfillment_id));
INSERT INTO store_currency VALUES ('stocur_1', 'usd', false), ('stocur_2', 'eur', true);
INSERT INTO sales_channel VALUES ('sc_web', 'Web shop');
INSERT INTO order_line_item VALUES ('ordli_tea', 'Tea', 'variant_tea', 'TEA', 20), ('ordli_cup', 'Cup', 'variant_cup', NULL, 10);

-- A version's totals, as Medusa writes numbers.
CREATE FUNCTION totals(total numeric, original numeric, money numeric)
	RETURNS jsonb
	LANGUAGE sql
AS $$
	SELECT jsonb_build_object(
		'current_order_total', total, 'raw_current_order_total', jsonb_build_object('value', total::text, 'precision', 20),
		'original_order_total', original, 'transaction_total', money, 'pending_difference', total - money)
$$;
-- completeCart: the order, its summary and items.
CREATE PROCEDURE place_order("order" text, customer text, total numeric)
	LANGUAGE sql
AS $$
	INSERT INTO medusa."order" (id, customer_id, email, currency_code, sales_channel_id) VALUES ("order", customer, customer || '@example.org', 'eur', 'sc_web');
	INSERT INTO medusa.order_summary VALUES ('sum1_' || "order", "order", 1, medusa.totals(total, total, 0));
	INSERT INTO medusa.order_item (id, order_id, version, item_id, quantity) VALUES ('itm1_' || "order", "order", 1, 'ordli_tea', total / 20);
$$;
-- In 2.0 the payment was authorized before there was an order, and linked to it after.
CREATE PROCEDURE complete_cart("order" text, customer text, total numeric, provider text)
	LANGUAGE sql
AS $$
	INSERT INTO medusa.payment (id, amount, currency_code, provider_id, payment_collection_id) VALUES ('pay_' || "order", total, 'eur', provider, 'paycol_' || "order");
	CALL medusa.place_order("order", customer, total);
	INSERT INTO medusa.order_payment_collection VALUES ("order", 'paycol_' || "order", 'link_' || "order");
$$;
CREATE PROCEDURE transact("order" text, amount numeric, reference text, number text)
	LANGUAGE sql
AS $$
	INSERT INTO medusa.order_transaction (id, order_id, version, amount, currency_code, reference) VALUES ('trx_' || number, "order", 1, amount, 'eur', reference);
	UPDATE medusa.order_summary s SET totals = jsonb_set(s.totals, '{transaction_total}', to_jsonb((s.totals ->> 'transaction_total')::numeric + amount)) WHERE s.order_id = transact."order";
$$;

SELECT part, relation, attached_as, outcome FROM retention.attach_shop('medusa');
SELECT name, currency FROM retention.shop;
SELECT pg_temp.enable_rules();
SET retention.clock = '2024-05-01 12:00+00';
\set life 'SELECT * FROM pg_temp.life(''medusa'', '
\set end ');'

-- ---------------------------------------------------------------------------
-- A guest: authorized, captured, shipped in two parcels, delivered, refunded
-- ---------------------------------------------------------------------------

BEGIN;
INSERT INTO customer (id, email, first_name) VALUES ('cus_mei', 'mei@example.org', 'Mei');
CALL complete_cart('order_1', 'cus_mei', 40, 'pp_stripe_stripe');
COMMIT;
:life 'order_1' :end
BEGIN;
UPDATE payment SET captured_at = retention.now() WHERE id = 'pay_order_1';
CALL transact('order_1', 40, 'capture', '1');
COMMIT;
:life 'order_1' :end
-- A new version of the order, then the shipment, in transactions of their own.
SET retention.clock = '2024-05-02 12:00+00';
INSERT INTO fulfillment (id, packed_at) VALUES ('ful_1', retention.now()), ('ful_2', retention.now());
INSERT INTO order_fulfillment VALUES ('order_1', 'ful_1', 'lf1'), ('order_1', 'ful_2', 'lf2');
UPDATE fulfillment SET shipped_at = retention.now() WHERE id = 'ful_1';
BEGIN;
INSERT INTO order_item (id, order_id, version, item_id, quantity, fulfilled_quantity, shipped_quantity) VALUES ('itm2_order_1', 'order_1', 2, 'ordli_tea', 2, 2, 1);
INSERT INTO order_summary VALUES ('sum2_order_1', 'order_1', 2, totals(40, 40, 40));
UPDATE "order" SET version = 2 WHERE id = 'order_1';
COMMIT;
:life 'order_1' :end
SET retention.clock = '2024-05-03 12:00+00';
UPDATE fulfillment SET shipped_at = retention.now() WHERE id = 'ful_2';
UPDATE order_item SET shipped_quantity = 2 WHERE id = 'itm2_order_1';
:life 'order_1' :end
SET retention.clock = '2024-05-04 12:00+00';
UPDATE fulfillment SET delivered_at = retention.now();
UPDATE order_item SET delivered_quantity = 2 WHERE id = 'itm2_order_1';
:life 'order_1' :end
-- Money goes out as a negative transaction.
CALL transact('order_1', -15, 'refund', '2');
:life 'order_1' :end
CALL transact('order_1', -25, 'refund', '3');
:life 'order_1' :end

-- ---------------------------------------------------------------------------
-- By bank transfer: unpaid until captured; edited; its transaction taken back
-- ---------------------------------------------------------------------------

INSERT INTO customer (id, email, first_name, last_name, has_account, phone) VALUES ('cus_li', 'li@example.org', 'Li', 'Wang', true, '13800000002');
CALL complete_cart('order_2', 'cus_li', 40, 'pp_system_default');
:life 'order_2' :end
CALL transact('order_2', 40, 'capture', '4');
:life 'order_2' :end
-- An item more: still paid, though there is something to pay.
BEGIN;
INSERT INTO order_item (id, order_id, version, item_id, quantity) VALUES ('itm2_order_2', 'order_2', 2, 'ordli_tea', 2), ('itm3_order_2', 'order_2', 2, 'ordli_cup', 1);
INSERT INTO order_summary VALUES ('sum2_order_2', 'order_2', 2, totals(50, 40, 40) || '{"current_order_total": {"value": "50", "precision": 20}}');
UPDATE "order" SET version = 2 WHERE id = 'order_2';
COMMIT;
:life 'order_2' :end
-- Packed before the rest is paid: the next version's original total is the dearer one.
BEGIN;
INSERT INTO order_item (id, order_id, version, item_id, quantity, fulfilled_quantity) VALUES ('itm4_order_2', 'order_2', 3, 'ordli_tea', 2, 2), ('itm5_order_2', 'order_2', 3, 'ordli_cup', 1, 0);
INSERT INTO order_summary VALUES ('sum3_order_2', 'order_2', 3, totals(50, 50, 40));
UPDATE "order" SET version = 3 WHERE id = 'order_2';
COMMIT;
:life 'order_2' :end
CALL transact('order_2', 10, 'capture', '5');
:life 'order_2' :end
SELECT order_id, product, quantity, amount FROM retention.lines() ORDER BY 1, 2;
-- Rolled back by the workflow's compensation: deleted softly.
UPDATE order_transaction SET deleted_at = retention.now() WHERE id = 'trx_5';
:life 'order_2' :end
UPDATE "order" SET status = 'completed' WHERE id = 'order_2';
:life 'order_2' :end

-- ---------------------------------------------------------------------------
-- Canceled before and after the capture; drafts; deleted
-- ---------------------------------------------------------------------------

CALL complete_cart('order_3', 'cus_li', 60, 'pp_stripe_stripe');
BEGIN;
UPDATE payment SET canceled_at = retention.now() WHERE id = 'pay_order_3';
UPDATE "order" SET status = 'canceled', canceled_at = retention.now() WHERE id = 'order_3';
COMMIT;
:life 'order_3' :end
CALL complete_cart('order_4', 'cus_li', 60, 'pp_stripe_stripe');
CALL transact('order_4', 60, 'capture', '6');
UPDATE "order" SET status = 'canceled', canceled_at = retention.now() WHERE id = 'order_4';
:life 'order_4' :end
CALL transact('order_4', -60, 'refund', '7');
:life 'order_4' :end
CALL complete_cart('order_5', 'cus_li', 60, 'pp_system_default');
UPDATE "order" SET is_draft_order = true, status = 'draft' WHERE id = 'order_5';
:life 'order_5' :end
UPDATE "order" SET is_draft_order = false, status = 'pending' WHERE id = 'order_5';
:life 'order_5' :end
-- Its total is zeroed in a transaction before the one that cancels it: that
-- makes it no free order.
BEGIN;
INSERT INTO order_summary VALUES ('sum2_order_5', 'order_5', 2, totals(0, 60, 0));
UPDATE "order" SET version = 2 WHERE id = 'order_5';
COMMIT;
:life 'order_5' :end
INSERT INTO order_summary VALUES ('sum3_order_5', 'order_5', 3, totals(0, 0, 0));
UPDATE "order" SET version = 3 WHERE id = 'order_5';
:life 'order_5' :end
UPDATE "order" SET status = 'canceled', canceled_at = retention.now() WHERE id = 'order_5';
:life 'order_5' :end
CALL complete_cart('order_7', 'cus_li', 0, 'pp_system_default');
:life 'order_7' :end
CALL complete_cart('order_6', 'cus_li', 60, 'pp_stripe_stripe');
UPDATE "order" SET deleted_at = retention.now() WHERE id = 'order_6';
:life 'order_6' :end

-- ---------------------------------------------------------------------------
-- By card in 2.21: the order is committed first, then linked, then authorized
-- ---------------------------------------------------------------------------

CALL place_order('order_8', 'cus_li', 60);
INSERT INTO order_payment_collection VALUES ('order_8', 'paycol_order_8', 'link_order_8');
:life 'order_8' :end
INSERT INTO payment (id, amount, currency_code, provider_id, payment_collection_id) VALUES ('pay_order_8', 60, 'eur', 'pp_card_card', 'paycol_order_8');
:life 'order_8' :end
-- An item less: Medusa gives the authorization back, and wants another payment.
BEGIN;
INSERT INTO order_item (id, order_id, version, item_id, quantity) VALUES ('itm2_order_8', 'order_8', 2, 'ordli_tea', 2);
INSERT INTO order_summary VALUES ('sum2_order_8', 'order_8', 2, totals(40, 60, 0));
UPDATE "order" SET version = 2 WHERE id = 'order_8';
COMMIT;
UPDATE payment SET canceled_at = retention.now() WHERE id = 'pay_order_8';
INSERT INTO order_payment_collection VALUES ('order_8', 'paycol2_order_8', 'link2_order_8');
:life 'order_8' :end
INSERT INTO payment (id, amount, currency_code, provider_id, payment_collection_id) VALUES ('pay2_order_8', 40, 'eur', 'pp_system_default', 'paycol2_order_8');
CALL transact('order_8', 40, 'capture', '8');
:life 'order_8' :end
-- A refund of what the order still costs: a later version takes it off the total.
CALL transact('order_8', -10, 'refund', '9');
BEGIN;
INSERT INTO order_item (id, order_id, version, item_id, quantity) VALUES ('itm3_order_8', 'order_8', 3, 'ordli_tea', 2);
INSERT INTO order_summary VALUES ('sum3_order_8', 'order_8', 3, totals(30, 40, 30));
UPDATE "order" SET version = 3 WHERE id = 'order_8';
COMMIT;
:life 'order_8' :end
-- Declined: the order is deleted, and its reminder with it.
CALL place_order('order_9', 'cus_li', 60);
:life 'order_9' :end
DELETE FROM "order" WHERE id = 'order_9';
:life 'order_9' :end
SELECT rule, state, reason FROM retention.care_message WHERE order_id = 'order_9';
INSERT INTO order_address VALUES ('ordaddr_1', 'Berlin', 'BE', '030');
UPDATE "order" SET shipping_address_id = 'ordaddr_1' WHERE id = 'order_2';
UPDATE customer SET deleted_at = retention.now() WHERE id = 'cus_mei';
SELECT customer_id, name, phone, email, joined_at, attributes FROM retention.customer ORDER BY 1;
SELECT order_id, channel, attributes FROM retention.purchase ORDER BY 1;

-- Medusa does not date the completion: a backfill dates it before the attachment.
\set system medusa
\i test/include/adapter_end.sql
SET client_min_messages = warning;
DROP SCHEMA medusa CASCADE;
