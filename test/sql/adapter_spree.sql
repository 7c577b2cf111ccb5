-- attach_shop('spree') and attach_shop('solidus'): their common tables, written
-- in the order in which their checkout writes them; times are UTC without a zone.
\set ECHO none
\i test/include/start.sql
\i test/include/adapter.sql
\set ECHO all

CREATE SCHEMA spree;
SET search_path = spree;

-- As the migrations of Spree 5 make them, columns that nothing here reads left out.
CREATE TABLE spree_stores (id bigserial PRIMARY KEY, code varchar, default_currency varchar, "default" boolean NOT NULL DEFAULT false);
CREATE TABLE spree_states (id bigserial PRIMARY KEY, name varchar);
CREATE TABLE spree_addresses (id bigserial PRIMARY KEY, firstname varchar, lastname varchar, city varchar, phone varchar, state_name varchar, state_id bigint);
CREATE TABLE spree_users (id bigserial PRIMARY KEY, email varchar, bill_address_id bigint, ship_address_id bigint, created_at timestamp(6) NOT NULL, deleted_at timestamp(6), accepts_email_marketing boolean NOT NULL DEFAULT false);
CREATE TABLE spree_orders (
	id bigserial PRIMARY KEY, number varchar(32), total numeric(10,2) NOT NULL DEFAULT 0, state varchar, user_id bigint, completed_at timestamp(6), bill_address_id bigint,
	ship_address_id bigint, payment_total numeric(10,2) DEFAULT 0, shipment_state varchar, payment_state varchar, email varchar, created_at timestamp(6) NOT NULL,
	currency varchar, channel varchar DEFAULT 'spree', canceled_at timestamp(6), store_id bigint
);
CREATE TABLE spree_payment_methods (id bigserial PRIMARY KEY, type varchar, name varchar);
CREATE TABLE spree_payments (id bigserial PRIMARY KEY, amount numeric(10,2) NOT NULL DEFAULT 0, order_id bigint, payment_method_id bigint, state varchar, created_at timestamp(6) NOT NULL);
CREATE INDEX ON spree_payments (order_id);
CREATE TABLE spree_refunds (id bigserial PRIMARY KEY, payment_id bigint, amount numeric(10,2) NOT NULL DEFAULT 0, reimbursement_id bigint, created_at timestamp(6) NOT NULL);
CREATE INDEX ON spree_refunds (payment_id);
CREATE TABLE spree_reimbursements (id bigserial PRIMARY KEY, order_id bigint, total numeric(10,2));
CREATE INDEX ON spree_reimbursements (order_id);
CREATE TABLE spree_reimbursement_credits (id bigserial PRIMARY KEY, amount numeric(10,2) NOT NULL DEFAULT 0, reimbursement_id bigint);
CREATE INDEX ON spree_reimbursement_credits (reimbursement_id);
CREATE TABLE spree_shipments (id bigserial PRIMARY KEY, shipped_at timestamp(6), order_id bigint, state varchar);
CREATE INDEX ON spree_shipments (order_id);
CREATE TABLE spree_state_changes (id bigserial PRIMARY KEY, name varchar, previous_state varchar, next_state varchar, stateful_id bigint, stateful_type varchar, created_at timestamp(6) NOT NULL);
CREATE INDEX ON spree_state_changes (stateful_id, stateful_type);
CREATE TABLE spree_variants (id bigserial PRIMARY KEY, sku varchar NOT NULL DEFAULT '');
CREATE TABLE spree_line_items (id bigserial PRIMARY KEY, variant_id bigint, order_id bigint, quantity integer NOT NULL, price numeric(10,2) NOT NULL, adjustment_total numeric(10,2) DEFAULT 0);
CREATE INDEX ON spree_line_items (order_id);
INSERT INTO spree_stores (code, default_currency, "default") VALUES ('main', 'GBP', true);
INSERT INTO spree_states (name) VALUES ('Kent');
INSERT INTO spree_addresses (firstname, lastname, city, phone, state_id) VALUES ('Mei', 'Lin', 'Dover', '01304', 1);
INSERT INTO spree_variants (sku) VALUES ('TEA'), ('');
INSERT INTO spree_payment_methods (type, name) VALUES ('Spree::Gateway::StripeGateway', 'Card'), ('Spree::PaymentMethod::Check', 'Cheque');
CREATE FUNCTION utc() RETURNS timestamp LANGUAGE sql AS $$SELECT retention.now() AT TIME ZONE 'UTC'$$;

SELECT part, relation, attached_as, outcome FROM retention.attach_shop('spree');
SELECT name, currency FROM retention.shop;
UPDATE retention.shop SET time_zone = 'Asia/Shanghai', accrue_on = 'paid';
SELECT pg_temp.enable_rules();
SET retention.clock = '2024-05-01 12:00+00';
\set life 'SELECT * FROM pg_temp.life(''spree'', '
\set end ');'

-- ---------------------------------------------------------------------------
-- A guest: declined, authorized, captured, two shipments, refunded
-- ---------------------------------------------------------------------------

INSERT INTO spree_orders (number, state, created_at, currency, store_id) VALUES ('R1', 'cart', utc(), 'GBP', 1);
INSERT INTO spree_line_items (variant_id, order_id, quantity, price, adjustment_total) VALUES (1, 1, 2, 20, -5), (2, 1, 1, 15, 0);
UPDATE spree_orders SET total = 50, state = 'address', email = 'mei@example.org', ship_address_id = 1, bill_address_id = 1 WHERE id = 1;
UPDATE spree_orders SET state = 'payment' WHERE id = 1;
:life '1' :end
INSERT INTO spree_payments (amount, order_id, payment_method_id, state, created_at) VALUES (50, 1, 1, 'checkout', utc());
UPDATE spree_payments SET state = 'failed' WHERE id = 1;
:life '1' :end
SELECT customer_id, name, phone, email FROM retention.customer;
BEGIN;
INSERT INTO spree_payments (amount, order_id, payment_method_id, state, created_at) VALUES (50, 1, 1, 'checkout', utc());
UPDATE spree_payments SET state = 'pending' WHERE id = 2;
UPDATE spree_orders SET state = 'complete', completed_at = utc(), payment_state = 'balance_due', shipment_state = 'pending' WHERE id = 1;
INSERT INTO spree_shipments (order_id, state) VALUES (1, 'pending'), (1, 'pending');
COMMIT;
:life '1' :end
-- In UTC, whatever the zone of the shop.
SELECT placed_at, paid_at FROM retention.purchase;
-- The payment is captured; the order's own columns follow later, or never.
UPDATE spree_payments SET state = 'completed' WHERE id = 2;
INSERT INTO spree_state_changes (name, previous_state, next_state, stateful_id, stateful_type, created_at) VALUES ('payment', 'balance_due', 'paid', 1, 'Spree::Order', utc());
UPDATE spree_orders SET payment_state = 'paid', payment_total = 50 WHERE id = 1;
:life '1' :end
SET retention.clock = '2024-05-02 12:00+00';
UPDATE spree_shipments SET state = 'shipped', shipped_at = utc() WHERE id = 1;
:life '1' :end
UPDATE spree_shipments SET state = 'shipped', shipped_at = utc() WHERE id = 2;
:life '1' :end
-- An item is taken off, and refunded by a reimbursement; the rest as store credit.
BEGIN;
INSERT INTO spree_reimbursements (order_id, total) VALUES (1, 15);
INSERT INTO spree_refunds (payment_id, amount, reimbursement_id, created_at) VALUES (2, 15, 1, utc());
COMMIT;
:life '1' :end
BEGIN;
INSERT INTO spree_reimbursements (order_id, total) VALUES (1, 35);
INSERT INTO spree_reimbursement_credits (amount, reimbursement_id) VALUES (35, 2);
UPDATE spree_orders SET state = 'returned' WHERE id = 1;
COMMIT;
:life '1' :end

-- ---------------------------------------------------------------------------
-- A registered customer: by cheque; changed after payment; canceled
-- ---------------------------------------------------------------------------

INSERT INTO spree_users (email, bill_address_id, ship_address_id, created_at, accepts_email_marketing) VALUES ('li@example.org', 1, 1, '2024-05-01 08:00', true);
INSERT INTO spree_orders (number, state, total, created_at, completed_at, currency, user_id, email) VALUES ('R2', 'complete', 60, utc(), utc(), 'GBP', 1, 'li@example.org');
INSERT INTO spree_payments (amount, order_id, payment_method_id, state, created_at) VALUES (60, 2, 2, 'pending', utc());
:life '2' :end
UPDATE spree_payments SET state = 'completed' WHERE id = 3;
INSERT INTO spree_state_changes (name, previous_state, next_state, stateful_id, stateful_type, created_at) VALUES ('payment', 'balance_due', 'paid', 2, 'Spree::Order', utc());
:life '2' :end
UPDATE spree_orders SET total = 80, payment_state = 'balance_due' WHERE id = 2;
:life '2' :end
-- Canceled: the payment is voided, or refunded later.
BEGIN;
UPDATE spree_payments SET state = 'void' WHERE id = 3;
UPDATE spree_orders SET state = 'canceled', canceled_at = utc() WHERE id = 2;
COMMIT;
:life '2' :end
INSERT INTO spree_orders (number, state, total, created_at, completed_at, currency, user_id, email) VALUES ('R3', 'complete', 60, utc(), utc(), 'GBP', 1, 'li@example.org'), ('R4', 'complete', 10, utc(), utc(), 'GBP', 1, 'li@example.org');
INSERT INTO spree_payments (amount, order_id, payment_method_id, state, created_at) VALUES (60, 3, 1, 'completed', utc());
UPDATE spree_orders SET state = 'canceled', canceled_at = utc() WHERE id = 3;
:life '3' :end
INSERT INTO spree_refunds (payment_id, amount, created_at) VALUES (4, 60, utc());
:life '3' :end
UPDATE spree_orders SET state = 'canceled', canceled_at = utc() WHERE id = 4;
:life '4' :end
-- Resumed after all.
UPDATE spree_orders SET state = 'resumed', canceled_at = NULL WHERE id = 4;
:life '4' :end

SELECT customer_id, name, phone, email, joined_at, consents, attributes FROM retention.customer ORDER BY 1;
UPDATE spree_users SET deleted_at = utc();
SELECT customer_id, phone, email FROM retention.customer WHERE customer_id = '1';
SELECT order_id, product, quantity, amount FROM retention.lines() ORDER BY 1, 2;
SELECT order_id, channel, attributes FROM retention.purchase ORDER BY 1;

\set system spree
\i test/include/adapter_end.sql
-- Solidus: addresses have one name, users keep no consent; the extension for
-- reviews is installed.
SET search_path = spree;
ALTER TABLE spree_addresses DROP COLUMN lastname;
ALTER TABLE spree_addresses RENAME COLUMN firstname TO name;
ALTER TABLE spree_users DROP COLUMN accepts_email_marketing;
CREATE TABLE spree_reviews (id bigserial PRIMARY KEY, user_id bigint, rating integer, title varchar, review text, approved boolean DEFAULT false, created_at timestamp(6) NOT NULL);
\set ECHO all
SELECT part, relation, attached_as, outcome FROM retention.attach_shop('solidus');
SET client_min_messages = warning;
CALL retention.backfill('solidus');
SELECT states, paid, refunded, value FROM pg_temp.life('solidus', '3');
SELECT s.name, p.order_id, p.value, p.paid FROM retention.purchase p JOIN retention.source s USING (source_id) ORDER BY 2;
CALL retention.backfill('spree.spree_orders');
SELECT customer_id, name FROM retention.customer WHERE name IS NOT NULL ORDER BY 1;

\set ECHO none
SET client_min_messages = warning;
RESET search_path;
\i test/include/stop.sql
DROP SCHEMA spree CASCADE;
