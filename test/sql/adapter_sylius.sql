-- attach_shop('sylius'): Sylius's tables, written in the order in which its
-- state machines write them, in minor units and times without a zone.
\set ECHO none
\i test/include/start.sql
\i test/include/adapter.sql
\set ECHO all

CREATE SCHEMA sylius;
SET search_path = sylius;

-- As Doctrine makes them for Sylius 2, columns that nothing here reads left out.
CREATE TABLE sylius_currency (id serial PRIMARY KEY, code varchar(3) NOT NULL);
CREATE TABLE sylius_channel (id serial PRIMARY KEY, code varchar(255) NOT NULL, base_currency_id integer NOT NULL, enabled boolean NOT NULL);
CREATE TABLE sylius_address (id serial PRIMARY KEY, city varchar(255) NOT NULL, province_code varchar(255), province_name varchar(255), phone_number varchar(255));
CREATE TABLE sylius_customer (
	id serial PRIMARY KEY, email varchar(255) NOT NULL, first_name varchar(255), last_name varchar(255), birthday timestamp(0), gender varchar(1) NOT NULL DEFAULT 'u',
	created_at timestamp(0) NOT NULL, phone_number varchar(255), subscribed_to_newsletter boolean NOT NULL
);
CREATE TABLE sylius_order (
	id serial PRIMARY KEY, number varchar(255), state varchar(255) NOT NULL, checkout_completed_at timestamp(0), items_total integer NOT NULL, adjustments_total integer NOT NULL,
	total integer NOT NULL, created_at timestamp(0) NOT NULL, currency_code varchar(3) NOT NULL, checkout_state varchar(255) NOT NULL, payment_state varchar(255) NOT NULL,
	shipping_state varchar(255) NOT NULL, channel_id integer, customer_id integer, shipping_address_id integer, billing_address_id integer
);
CREATE TABLE sylius_payment (id serial PRIMARY KEY, currency_code varchar(3) NOT NULL, amount integer NOT NULL, state varchar(255) NOT NULL, created_at timestamp(0) NOT NULL, updated_at timestamp(0), order_id integer NOT NULL);
CREATE INDEX ON sylius_payment (order_id);
CREATE TABLE sylius_shipment (id serial PRIMARY KEY, state varchar(255) NOT NULL, created_at timestamp(0) NOT NULL, updated_at timestamp(0), shipped_at timestamp(0), order_id integer NOT NULL);
CREATE INDEX ON sylius_shipment (order_id);
CREATE TABLE sylius_product_variant (id serial PRIMARY KEY, code varchar(255) NOT NULL);
CREATE TABLE sylius_order_item (id serial PRIMARY KEY, order_id integer NOT NULL, variant_id integer NOT NULL, quantity integer NOT NULL, total integer NOT NULL);
CREATE INDEX ON sylius_order_item (order_id);
CREATE TABLE sylius_product_review (id serial PRIMARY KEY, product_id integer NOT NULL, author_id integer NOT NULL, title varchar(255), rating integer NOT NULL, comment text, status varchar(255) NOT NULL, created_at timestamp(0) NOT NULL);
INSERT INTO sylius_currency (code) VALUES ('USD'), ('EUR');
INSERT INTO sylius_channel (code, base_currency_id, enabled) VALUES ('OLD', 1, false), ('FASHION_WEB', 2, true);
INSERT INTO sylius_address (city, province_name, phone_number) VALUES ('Lodz', 'Lodzkie', '+48420000000');
INSERT INTO sylius_product_variant (code) VALUES ('TEA');
CREATE FUNCTION php() RETURNS timestamp LANGUAGE sql AS $$SELECT retention.now() AT TIME ZONE 'Europe/Warsaw'$$;

-- PHP runs in the zone of the shop.
SELECT part, relation, attached_as, outcome FROM retention.attach_shop('sylius', time_zone => 'Europe/Warsaw');
SELECT name, currency FROM retention.shop;
UPDATE retention.shop SET accrue_on = 'paid';
SELECT pg_temp.enable_rules();
SET retention.clock = '2024-05-01 12:00+00';
\set life 'SELECT * FROM pg_temp.life(''sylius'', '
\set end ');'

-- ---------------------------------------------------------------------------
-- A guest: fails, pays at the second try, two shipments, the payment refunded
-- ---------------------------------------------------------------------------

INSERT INTO sylius_order (state, items_total, adjustments_total, total, created_at, currency_code, checkout_state, payment_state, shipping_state, channel_id)
VALUES ('cart', 4000, 1050, 5050, php(), 'EUR', 'cart', 'cart', 'cart', 2);
INSERT INTO sylius_order_item (order_id, variant_id, quantity, total) VALUES (1, 1, 2, 4000);
INSERT INTO sylius_customer (email, first_name, last_name, created_at, subscribed_to_newsletter) VALUES ('mei@example.org', 'Mei', 'Lin', php(), false);
UPDATE sylius_order SET customer_id = 1, shipping_address_id = 1, checkout_state = 'payment_selected' WHERE id = 1;
INSERT INTO sylius_payment (currency_code, amount, state, created_at, order_id) VALUES ('EUR', 5050, 'cart', php(), 1);
INSERT INTO sylius_shipment (state, created_at, order_id) VALUES ('cart', php(), 1), ('cart', php(), 1);
:life '1' :end
BEGIN;
UPDATE sylius_order SET number = '000000001', state = 'new', checkout_state = 'completed', checkout_completed_at = php(), payment_state = 'awaiting_payment', shipping_state = 'ready' WHERE id = 1;
UPDATE sylius_payment SET state = 'new' WHERE id = 1;
UPDATE sylius_shipment SET state = 'ready';
COMMIT;
:life '1' :end
BEGIN;
UPDATE sylius_payment SET state = 'failed', updated_at = php() WHERE id = 1;
INSERT INTO sylius_payment (currency_code, amount, state, created_at, order_id) VALUES ('EUR', 5050, 'new', php(), 1);
COMMIT;
:life '1' :end
SET retention.clock = '2024-05-01 13:00+00';
UPDATE sylius_payment SET state = 'completed', updated_at = php() WHERE id = 2;
:life '1' :end
SELECT placed_at, paid_at FROM retention.purchase;
UPDATE sylius_order SET payment_state = 'paid' WHERE id = 1;
SET retention.clock = '2024-05-02 12:00+00';
BEGIN;
UPDATE sylius_shipment SET state = 'shipped', shipped_at = php() WHERE id = 1;
UPDATE sylius_order SET shipping_state = 'partially_shipped' WHERE id = 1;
COMMIT;
:life '1' :end
BEGIN;
UPDATE sylius_shipment SET state = 'shipped', shipped_at = php() WHERE id = 2;
UPDATE sylius_order SET shipping_state = 'shipped', state = 'fulfilled' WHERE id = 1;
COMMIT;
:life '1' :end
BEGIN;
UPDATE sylius_payment SET state = 'refunded' WHERE id = 2;
UPDATE sylius_order SET payment_state = 'refunded' WHERE id = 1;
COMMIT;
:life '1' :end

-- ---------------------------------------------------------------------------
-- Authorized, cancelled; never paid; free
-- ---------------------------------------------------------------------------

INSERT INTO sylius_customer (email, first_name, birthday, gender, created_at, phone_number, subscribed_to_newsletter) VALUES ('li@example.org', 'Li', '1990-05-06', 'm', php(), '123', true);
INSERT INTO sylius_order (number, state, checkout_completed_at, items_total, adjustments_total, total, created_at, currency_code, checkout_state, payment_state, shipping_state, channel_id, customer_id)
SELECT '00000000' || n, 'new', php(), total, 0, total, php(), 'EUR', 'completed', 'awaiting_payment', 'ready', 2, 2 FROM (VALUES (2, 6000), (3, 1000), (4, 0)) AS v (n, total);
INSERT INTO sylius_payment (currency_code, amount, state, created_at, order_id) VALUES ('EUR', 6000, 'authorized', php(), 2), ('EUR', 1000, 'new', php(), 3);
:life '2' :end
BEGIN;
UPDATE sylius_order SET state = 'cancelled', payment_state = 'cancelled' WHERE id IN (2, 3);
UPDATE sylius_payment SET state = 'cancelled' WHERE order_id = 3;
COMMIT;
:life '2' :end
:life '3' :end
:life '4' :end

-- ---------------------------------------------------------------------------
-- With the refund plugin: refunds by parts, completed later
-- ---------------------------------------------------------------------------

CREATE TABLE sylius_refund_refund_payment (id serial PRIMARY KEY, order_id integer, amount integer NOT NULL, currency_code varchar(255) NOT NULL, state varchar(255) NOT NULL);
CREATE INDEX ON sylius_refund_refund_payment (order_id);
SELECT format('SELECT retention.detach(%L)', name) FROM retention.source ORDER BY source_id \gexec
SET client_min_messages = warning;
SELECT part, relation, outcome FROM retention.attach_shop('sylius', prefix => 'sylius_', time_zone => 'Europe/Warsaw');
RESET client_min_messages;
INSERT INTO sylius_order (number, state, checkout_completed_at, items_total, adjustments_total, total, created_at, currency_code, checkout_state, payment_state, shipping_state, channel_id, customer_id)
VALUES ('000000005', 'new', php(), 3000, 0, 3000, php(), 'EUR', 'completed', 'paid', 'ready', 2, 2);
INSERT INTO sylius_payment (currency_code, amount, state, created_at, order_id) VALUES ('EUR', 3000, 'completed', php(), 5);
:life '5' :end
INSERT INTO sylius_refund_refund_payment (order_id, amount, currency_code, state) VALUES (5, 999, 'EUR', 'New');
:life '5' :end
UPDATE sylius_refund_refund_payment SET state = 'Completed';
:life '5' :end
INSERT INTO sylius_refund_refund_payment (order_id, amount, currency_code, state) VALUES (5, 2001, 'EUR', 'Completed');
:life '5' :end

INSERT INTO sylius_product_review (product_id, author_id, title, rating, comment, status, created_at) VALUES (1, 2, 'Weak', 1, NULL, 'new', php()), (1, 1, 'Spam', 5, NULL, 'rejected', php());
SELECT customer_id, score, content, happened_at FROM retention.feedback;
UPDATE sylius_customer SET phone_number = '124' WHERE id = 2;
SELECT customer_id, name, birthday, phone, email, joined_at, consents, attributes FROM retention.customer ORDER BY 1;
SELECT order_id, product, quantity, amount FROM retention.lines() ORDER BY 1, 2;
SELECT order_id, channel, attributes FROM retention.purchase ORDER BY 1;

-- Sylius does not date a cancellation.
\set system sylius
\set arguments ', time_zone => ''Europe/Warsaw'''
\i test/include/adapter_end.sql
SET client_min_messages = warning;
DROP SCHEMA sylius CASCADE;
