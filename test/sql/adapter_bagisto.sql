-- attach_shop('bagisto'): Bagisto's tables, written in the order in which its
-- repositories write them, under a prefix.
\set ECHO none
\i test/include/start.sql
\i test/include/adapter.sql
\set ECHO all

CREATE SCHEMA bagisto;
SET search_path = bagisto;

-- As Laravel makes them for Bagisto 2, columns that nothing here reads left out.
CREATE TABLE my_currencies (id serial PRIMARY KEY, code varchar(255) NOT NULL);
CREATE TABLE my_channels (id serial PRIMARY KEY, code varchar(255) NOT NULL, base_currency_id integer NOT NULL);
CREATE TABLE my_customers (
	id serial PRIMARY KEY, first_name varchar(255) NOT NULL, last_name varchar(255) NOT NULL, gender varchar(50), date_of_birth date, email varchar(255) UNIQUE, phone varchar(255) UNIQUE,
	status smallint NOT NULL DEFAULT 1, subscribed_to_news_letter boolean NOT NULL DEFAULT false, created_at timestamp(0)
);
CREATE TABLE my_addresses (id serial PRIMARY KEY, address_type varchar(255) NOT NULL, order_id integer, city varchar(255), state varchar(255), phone varchar(255));
CREATE TABLE my_orders (
	id serial PRIMARY KEY, increment_id varchar(255) NOT NULL UNIQUE, status varchar(255), channel_name varchar(255), is_guest boolean, customer_email varchar(255), customer_first_name varchar(255),
	customer_last_name varchar(255), base_currency_code varchar(255), order_currency_code varchar(255), grand_total numeric(12,4) DEFAULT 0, base_grand_total numeric(12,4) DEFAULT 0,
	base_grand_total_invoiced numeric(12,4) DEFAULT 0, base_grand_total_refunded numeric(12,4) DEFAULT 0, customer_id integer, created_at timestamp(0), updated_at timestamp(0)
);
CREATE TABLE my_order_items (
	id serial PRIMARY KEY, sku varchar(255), type varchar(255), qty_ordered integer DEFAULT 0, qty_shipped integer DEFAULT 0, qty_invoiced integer DEFAULT 0, qty_canceled integer DEFAULT 0,
	base_total numeric(12,4) NOT NULL DEFAULT 0, base_tax_amount numeric(12,4) DEFAULT 0, base_discount_amount numeric(12,4) DEFAULT 0, order_id integer, parent_id integer
);
CREATE TABLE my_invoices (id serial PRIMARY KEY, state varchar(255), base_grand_total numeric(12,4) DEFAULT 0, order_id integer, created_at timestamp(0));
CREATE TABLE my_refunds (id serial PRIMARY KEY, state varchar(255), base_grand_total numeric(12,4) DEFAULT 0, order_id integer, created_at timestamp(0));
CREATE TABLE my_shipments (id serial PRIMARY KEY, status varchar(255), order_id integer NOT NULL, created_at timestamp(0));
CREATE TABLE my_product_reviews (id serial PRIMARY KEY, title varchar(255) NOT NULL, rating integer NOT NULL, comment text, status varchar(255) NOT NULL, product_id integer NOT NULL, customer_id integer, created_at timestamp(0));
INSERT INTO my_currencies (code) VALUES ('INR');
INSERT INTO my_channels (code, base_currency_id) VALUES ('default', 1);
CREATE FUNCTION php() RETURNS timestamp LANGUAGE sql AS $$SELECT retention.now() AT TIME ZONE 'Asia/Kolkata'$$;

-- No foreign key has an index: attaching says so where that hurts.
INSERT INTO my_invoices (state, order_id) SELECT 'pending', -i FROM generate_series(1, 10001) AS i;
ANALYZE my_invoices;
SELECT part, relation, attached_as, outcome FROM retention.attach_shop('bagisto', time_zone => 'Asia/Kolkata');
SELECT name, currency FROM retention.shop;
CREATE INDEX ON my_invoices (order_id);
UPDATE retention.shop SET accrue_on = 'paid';
SELECT pg_temp.enable_rules();
SET retention.clock = '2024-05-01 12:00+00';
\set life 'SELECT * FROM pg_temp.life(''bagisto'', '
\set end ');'

-- ---------------------------------------------------------------------------
-- A guest in another currency: invoiced, two shipments, refunded twice
-- ---------------------------------------------------------------------------

BEGIN;
INSERT INTO my_orders (increment_id, status, channel_name, is_guest, customer_email, customer_first_name, customer_last_name, base_currency_code, order_currency_code, grand_total, base_grand_total, created_at)
VALUES ('1', 'pending_payment', 'Default', true, 'mei@example.org', 'Mei', 'Lin', 'INR', 'USD', 0.6, 50, php());
INSERT INTO my_addresses (address_type, order_id, city, state, phone) VALUES ('order_billing', 1, 'Pune', 'MH', '1'), ('order_shipping', 1, 'Noida', 'UP', '2');
INSERT INTO my_order_items (sku, type, qty_ordered, base_total, base_tax_amount, base_discount_amount, order_id) VALUES ('TEA', 'configurable', 2, 40, 4, 2, 1), ('EBOOK', 'downloadable', 1, 8, 0, 0, 1);
INSERT INTO my_order_items (sku, type, qty_ordered, order_id, parent_id) VALUES ('TEA-GREEN', 'simple', 2, 1, 1);
COMMIT;
:life '1' :end
BEGIN;
INSERT INTO my_invoices (state, base_grand_total, order_id, created_at) VALUES ('paid', 50, 1, php());
UPDATE my_order_items SET qty_invoiced = qty_ordered WHERE order_id = 1;
UPDATE my_orders SET base_grand_total_invoiced = 50, status = 'processing' WHERE id = 1;
COMMIT;
:life '1' :end
SELECT placed_at, paid_at FROM retention.purchase;
SET retention.clock = '2024-05-02 12:00+00';
BEGIN;
INSERT INTO my_shipments (order_id, created_at) VALUES (1, php());
UPDATE my_order_items SET qty_shipped = 1 WHERE id = 1;
COMMIT;
:life '1' :end
BEGIN;
INSERT INTO my_shipments (order_id, created_at) VALUES (1, php());
UPDATE my_order_items SET qty_shipped = 2 WHERE id = 1;
UPDATE my_orders SET status = 'completed' WHERE id = 1;
COMMIT;
:life '1' :end
INSERT INTO my_refunds (state, base_grand_total, order_id, created_at) VALUES ('refunded', 8, 1, php());
:life '1' :end
BEGIN;
INSERT INTO my_refunds (state, base_grand_total, order_id, created_at) VALUES ('refunded', 42, 1, php());
UPDATE my_orders SET status = 'closed', base_grand_total_refunded = 50 WHERE id = 1;
COMMIT;
:life '1' :end

-- ---------------------------------------------------------------------------
-- A customer: an invoice to be paid; part of it cancelled; cancelled
-- ---------------------------------------------------------------------------

INSERT INTO my_customers (first_name, last_name, gender, date_of_birth, email, phone, subscribed_to_news_letter, created_at) VALUES ('Li', 'Wang', 'Male', '1990-05-06', 'li@example.org', '123', true, '2024-05-01 13:30');
INSERT INTO my_orders (increment_id, status, channel_name, is_guest, customer_email, base_currency_code, base_grand_total, customer_id, created_at) VALUES ('2', 'pending', 'Default', false, 'li@example.org', 'INR', 100, 1, php()), ('3', 'pending', 'Default', false, 'li@example.org', 'INR', 30, 1, php());
INSERT INTO my_order_items (sku, type, qty_ordered, base_total, order_id) VALUES ('TEA', 'simple', 5, 100, 2);
INSERT INTO my_invoices (state, base_grand_total, order_id, created_at) VALUES ('pending', 40, 2, php());
:life '2' :end
UPDATE my_invoices SET state = 'paid' WHERE order_id = 2;
:life '2' :end
BEGIN;
UPDATE my_order_items SET qty_canceled = 3, qty_invoiced = 2, qty_shipped = 2 WHERE order_id = 2;
INSERT INTO my_shipments (order_id, created_at) VALUES (2, php());
UPDATE my_orders SET status = 'completed' WHERE id = 2;
COMMIT;
:life '2' :end
UPDATE my_orders SET status = 'canceled' WHERE id = 3;
:life '3' :end
INSERT INTO my_product_reviews (title, rating, comment, status, product_id, customer_id, created_at) VALUES ('Fine', 4, 'Again', 'pending', 1, 1, php());
SELECT customer_id, score, content, happened_at FROM retention.feedback;
SELECT customer_id, name, birthday, phone, email, joined_at, consents, attributes FROM retention.customer ORDER BY 1;
UPDATE my_customers SET status = 0;
SELECT customer_id, phone, email FROM retention.customer WHERE customer_id = '1';
SELECT order_id, product, quantity, amount FROM retention.lines() ORDER BY 1, 2;
SELECT order_id, channel, attributes FROM retention.purchase ORDER BY 1;

-- Bagisto does not date a cancellation.
\set system bagisto
\set arguments ', time_zone => ''Asia/Kolkata'''
\i test/include/adapter_end.sql
SET client_min_messages = warning;
DROP SCHEMA bagisto CASCADE;
