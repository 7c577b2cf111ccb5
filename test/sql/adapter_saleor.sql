-- attach_shop('saleor'): Saleor's tables, written in the order in which its
-- mutations write them.
\set ECHO none
\i test/include/start.sql
\i test/include/adapter.sql
\set ECHO all

CREATE SCHEMA saleor;
SET search_path = saleor;

-- As Django makes them for Saleor 3, columns that nothing here reads left out.
CREATE TABLE channel_channel (id serial PRIMARY KEY, slug varchar(255) NOT NULL UNIQUE, is_active boolean NOT NULL, currency_code varchar(3) NOT NULL);
CREATE TABLE account_address (id serial PRIMARY KEY, first_name varchar(256) NOT NULL, last_name varchar(256) NOT NULL, city varchar(256) NOT NULL, country_area varchar(128) NOT NULL, phone varchar(128) NOT NULL);
CREATE TABLE account_user (
	id serial PRIMARY KEY, email varchar(254) NOT NULL UNIQUE, first_name varchar(256) NOT NULL, last_name varchar(256) NOT NULL, is_active boolean NOT NULL,
	is_staff boolean NOT NULL, date_joined timestamptz NOT NULL, default_shipping_address_id integer, default_billing_address_id integer
);
CREATE TABLE order_order (
	id uuid PRIMARY KEY, number integer NOT NULL UNIQUE, created_at timestamptz NOT NULL, expired_at timestamptz, status varchar(32) NOT NULL,
	charge_status varchar(32) NOT NULL DEFAULT 'none', user_id integer, user_email varchar(254) NOT NULL, currency varchar(3) NOT NULL, channel_id integer NOT NULL,
	shipping_address_id integer, billing_address_id integer, voucher_code varchar(255), total_net_amount numeric(12,3) NOT NULL DEFAULT 0,
	total_gross_amount numeric(12,3) NOT NULL, total_charged_amount numeric(12,3) NOT NULL DEFAULT 0
);
CREATE INDEX ON order_order (user_email, user_id);
CREATE TABLE order_orderline (
	id uuid PRIMARY KEY, order_id uuid NOT NULL, variant_id integer, product_name varchar(386) NOT NULL, product_sku varchar(255), quantity integer NOT NULL,
	quantity_fulfilled integer NOT NULL DEFAULT 0, total_price_gross_amount numeric(12,3) NOT NULL
);
CREATE INDEX ON order_orderline (order_id);
CREATE TABLE order_fulfillment (id serial PRIMARY KEY, order_id uuid NOT NULL, status varchar(32) NOT NULL, created_at timestamptz NOT NULL);
CREATE INDEX ON order_fulfillment (order_id);
CREATE TABLE order_orderevent (id serial PRIMARY KEY, date timestamptz NOT NULL, type varchar(255) NOT NULL, order_id uuid NOT NULL, parameters jsonb NOT NULL DEFAULT '{}');
CREATE INDEX ON order_orderevent (order_id);
CREATE TABLE payment_transactionitem (
	id serial PRIMARY KEY, created_at timestamptz NOT NULL, currency varchar(3) NOT NULL, charged_value numeric(12,3) NOT NULL DEFAULT 0,
	authorized_value numeric(12,3) NOT NULL DEFAULT 0, refunded_value numeric(12,3) NOT NULL DEFAULT 0, refund_pending_value numeric(12,3) NOT NULL DEFAULT 0, charge_pending_value numeric(12,3) NOT NULL DEFAULT 0,
	checkout_id uuid, order_id uuid
);
CREATE INDEX ON payment_transactionitem (order_id);
CREATE TABLE payment_payment (
	id serial PRIMARY KEY, gateway varchar(255) NOT NULL, is_active boolean NOT NULL, charge_status varchar(20) NOT NULL, total numeric(12,3) NOT NULL,
	captured_amount numeric(12,3) NOT NULL, checkout_id uuid, order_id uuid
);
CREATE INDEX ON payment_payment (order_id);
CREATE TABLE payment_transaction (id serial PRIMARY KEY, created_at timestamptz NOT NULL, kind varchar(25) NOT NULL, is_success boolean NOT NULL, amount numeric(12,3) NOT NULL, payment_id integer);
CREATE INDEX ON payment_transaction (payment_id);
INSERT INTO channel_channel (slug, is_active, currency_code) VALUES ('old', false, 'USD'), ('default-channel', true, 'PLN');
INSERT INTO account_address (first_name, last_name, city, country_area, phone) VALUES ('Mei', 'Lin', 'KRAKÓW', 'MALOPOLSKIE', '+48120000001');

SELECT part, relation, attached_as, outcome FROM retention.attach_shop('saleor');
SELECT name, currency FROM retention.shop;
UPDATE retention.shop SET accrue_on = 'paid';
SELECT pg_temp.enable_rules();
SET retention.clock = '2024-05-01 12:00+00';
\set one '''00000000-0000-0000-0000-000000000001'''
\set two '''00000000-0000-0000-0000-000000000002'''
\set life 'SELECT * FROM pg_temp.life(''saleor'', '
\set end ');'

-- ---------------------------------------------------------------------------
-- A guest with transactions: the money belongs to the checkout first
-- ---------------------------------------------------------------------------

INSERT INTO payment_transactionitem (created_at, currency, checkout_id) VALUES (retention.now(), 'PLN', '10000000-0000-0000-0000-000000000001');
INSERT INTO order_order (id, number, created_at, status, user_email, currency, channel_id, shipping_address_id, total_gross_amount) VALUES (:one, 1, retention.now(), 'unconfirmed', 'mei@example.org', 'PLN', 2, 1, 50);
INSERT INTO order_orderline (id, order_id, product_name, product_sku, quantity, total_price_gross_amount) VALUES (:one, :one, 'Tea', 'TEA', 2, 40), (:two, :one, 'Cup', NULL, 1, 10);
:life :one :end
UPDATE payment_transactionitem SET order_id = :one, checkout_id = NULL WHERE id = 1;
:life :one :end
-- Declined: nothing charged.  Then authorized, then charged.
UPDATE payment_transactionitem SET authorized_value = 50 WHERE id = 1;
:life :one :end
UPDATE order_order SET status = 'unfulfilled' WHERE id = :one;
UPDATE payment_transactionitem SET authorized_value = 0, charge_pending_value = 50 WHERE id = 1;
:life :one :end
UPDATE payment_transactionitem SET charge_pending_value = 0, charged_value = 50 WHERE id = 1;
INSERT INTO order_orderevent (date, type, order_id) VALUES (retention.now(), 'order_fully_paid', :one);
:life :one :end
SELECT customer_id, name, phone, email FROM retention.customer;
-- The guest makes an account: the order is theirs.
INSERT INTO account_user (email, first_name, last_name, is_active, is_staff, date_joined, default_shipping_address_id) VALUES ('mei@example.org', 'Mei', 'Lin', true, false, retention.now(), 1), ('boss@example.org', '', '', true, true, retention.now(), NULL);
UPDATE order_order SET user_id = 1 WHERE id = :one;
:life :one :end
-- In two parcels.
SET retention.clock = '2024-05-02 12:00+00';
BEGIN;
INSERT INTO order_fulfillment (order_id, status, created_at) VALUES (:one, 'fulfilled', retention.now());
UPDATE order_order SET status = 'partially fulfilled' WHERE id = :one;
COMMIT;
:life :one :end
BEGIN;
INSERT INTO order_fulfillment (order_id, status, created_at) VALUES (:one, 'fulfilled', retention.now());
UPDATE order_order SET status = 'fulfilled' WHERE id = :one;
COMMIT;
:life :one :end
-- A refund is asked of the provider, which answers later.
UPDATE payment_transactionitem SET charged_value = 30, refund_pending_value = 20 WHERE id = 1;
:life :one :end
UPDATE payment_transactionitem SET refund_pending_value = 0, refunded_value = 20 WHERE id = 1;
:life :one :end
UPDATE payment_transactionitem SET charged_value = 0, refunded_value = 50 WHERE id = 1;
UPDATE order_order SET status = 'returned' WHERE id = :one;
:life :one :end

-- ---------------------------------------------------------------------------
-- With payments of the older kind: failed, authorized, captured, refunded, canceled
-- ---------------------------------------------------------------------------

INSERT INTO order_order (id, number, created_at, status, user_id, user_email, currency, channel_id, total_gross_amount) VALUES (:two, 2, retention.now(), 'draft', 1, 'mei@example.org', 'PLN', 2, 60);
:life :two :end
UPDATE order_order SET status = 'unfulfilled' WHERE id = :two;
INSERT INTO payment_payment (gateway, is_active, charge_status, total, captured_amount, order_id) VALUES ('card', false, 'refused', 60, 0, :two);
INSERT INTO payment_transaction (created_at, kind, is_success, amount, payment_id) VALUES (retention.now(), 'auth', false, 60, 1);
:life :two :end
INSERT INTO payment_payment (gateway, is_active, charge_status, total, captured_amount, order_id) VALUES ('card', true, 'not-charged', 60, 0, :two);
INSERT INTO payment_transaction (created_at, kind, is_success, amount, payment_id) VALUES (retention.now(), 'auth', true, 60, 2);
:life :two :end
BEGIN;
INSERT INTO payment_transaction (created_at, kind, is_success, amount, payment_id) VALUES (retention.now(), 'capture', true, 60, 2);
UPDATE payment_payment SET charge_status = 'fully-charged', captured_amount = 60 WHERE id = 2;
INSERT INTO order_orderevent (date, type, order_id) VALUES (retention.now(), 'order_fully_paid', :two);
COMMIT;
:life :two :end
-- A line more: paid once, it stays so.
UPDATE order_order SET total_gross_amount = 70 WHERE id = :two;
:life :two :end
BEGIN;
UPDATE order_order SET status = 'canceled' WHERE id = :two;
INSERT INTO order_orderevent (date, type, order_id) VALUES (retention.now(), 'canceled', :two);
COMMIT;
:life :two :end
BEGIN;
INSERT INTO payment_transaction (created_at, kind, is_success, amount, payment_id) VALUES (retention.now(), 'refund', true, 60, 2);
UPDATE payment_payment SET charge_status = 'fully-refunded', captured_amount = 0, is_active = false WHERE id = 2;
COMMIT;
:life :two :end

-- Never paid: it expires.  Free: paid as it is.
\set three '''00000000-0000-0000-0000-000000000003'''
\set four '''00000000-0000-0000-0000-000000000004'''
INSERT INTO order_order (id, number, created_at, status, user_id, user_email, currency, channel_id, total_gross_amount) VALUES (:three, 3, retention.now(), 'unconfirmed', 1, 'mei@example.org', 'PLN', 2, 60), (:four, 4, retention.now(), 'unfulfilled', 1, 'mei@example.org', 'PLN', 2, 0);
UPDATE order_order SET status = 'expired', expired_at = retention.now() WHERE id = :three;
:life :three :end
:life :four :end
-- Through another channel, in another currency.
INSERT INTO order_order (id, number, created_at, status, user_id, user_email, currency, channel_id, total_gross_amount) VALUES ('00000000-0000-0000-0000-000000000005', 5, retention.now(), 'unfulfilled', 1, 'mei@example.org', 'USD', 1, 60);
SELECT order_id, message FROM retention.sync_error;
DELETE FROM order_order WHERE number = 5;

SELECT customer_id, name, phone, email, joined_at, attributes FROM retention.customer ORDER BY 1;
SELECT order_id, product, quantity, amount FROM retention.lines() ORDER BY 1, 2;
SELECT order_id, channel, attributes FROM retention.purchase ORDER BY 1;

\set system saleor
\i test/include/adapter_end.sql
SET client_min_messages = warning;
DROP SCHEMA saleor CASCADE;
