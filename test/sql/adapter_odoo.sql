-- attach_shop('odoo'): Odoo's tables of sale and point of sale, written in the
-- order in which its ORM writes them; times are UTC without a zone.
\set ECHO none
\i test/include/start.sql
\i test/include/adapter.sql
\set ECHO all

CREATE SCHEMA odoo;
SET search_path = odoo;

-- As Odoo 16 to 18 make them, columns that nothing here reads left out.
CREATE TABLE res_currency (id serial PRIMARY KEY, name varchar NOT NULL);
CREATE TABLE res_company (id serial PRIMARY KEY, name varchar NOT NULL, currency_id integer NOT NULL);
CREATE TABLE res_country_state (id serial PRIMARY KEY, name varchar NOT NULL);
CREATE TABLE res_partner (
	id serial PRIMARY KEY, create_date timestamp, name varchar, type varchar, email varchar, phone varchar, mobile varchar, city varchar, state_id integer,
	active boolean, is_company boolean, customer_rank integer, supplier_rank integer
);
CREATE TABLE res_users (id serial PRIMARY KEY, login varchar NOT NULL, partner_id integer NOT NULL);
CREATE TABLE crm_team (id serial PRIMARY KEY, name jsonb NOT NULL);
CREATE TABLE product_template (id serial PRIMARY KEY, type varchar);
CREATE TABLE product_product (id serial PRIMARY KEY, product_tmpl_id integer NOT NULL, default_code varchar);
CREATE TABLE sale_order (
	id serial PRIMARY KEY, name varchar NOT NULL, state varchar, partner_id integer NOT NULL, partner_shipping_id integer NOT NULL, currency_id integer,
	currency_rate numeric, user_id integer, team_id integer, date_order timestamp NOT NULL, create_date timestamp, write_date timestamp,
	amount_untaxed numeric, amount_tax numeric, amount_total numeric, invoice_status varchar, effective_date timestamp
);
CREATE TABLE sale_order_line (
	id serial PRIMARY KEY, order_id integer NOT NULL REFERENCES sale_order (id) ON DELETE CASCADE, product_id integer, display_type varchar,
	product_uom_qty numeric NOT NULL, qty_delivered numeric, price_unit numeric NOT NULL, price_total numeric
);
CREATE INDEX ON sale_order_line (order_id);
CREATE TABLE payment_transaction (
	id serial PRIMARY KEY, state varchar NOT NULL, operation varchar, amount numeric NOT NULL, currency_id integer NOT NULL, source_transaction_id integer,
	last_state_change timestamp
);
CREATE INDEX ON payment_transaction (source_transaction_id);
CREATE TABLE sale_order_transaction_rel (sale_order_id integer NOT NULL, transaction_id integer NOT NULL, PRIMARY KEY (sale_order_id, transaction_id));
CREATE INDEX ON sale_order_transaction_rel (transaction_id, sale_order_id);
CREATE TABLE account_move (
	id serial PRIMARY KEY, move_type varchar NOT NULL, state varchar NOT NULL, payment_state varchar, invoice_date date, reversed_entry_id integer,
	amount_total numeric, amount_residual numeric
);
CREATE TABLE account_move_line (id serial PRIMARY KEY, move_id integer NOT NULL, display_type varchar, price_total numeric);
CREATE INDEX ON account_move_line (move_id);
CREATE TABLE sale_order_line_invoice_rel (invoice_line_id integer NOT NULL, order_line_id integer NOT NULL, PRIMARY KEY (order_line_id, invoice_line_id));
CREATE INDEX ON sale_order_line_invoice_rel (invoice_line_id, order_line_id);
CREATE TABLE rating_rating (id serial PRIMARY KEY, res_model varchar, partner_id integer, rating double precision, feedback text, consumed boolean, write_date timestamp);

INSERT INTO res_currency (name) VALUES ('EUR'), ('USD');
INSERT INTO res_company (name, currency_id) VALUES ('My Company', 1);
INSERT INTO res_country_state (name) VALUES ('Bavaria');
INSERT INTO res_users (login, partner_id) VALUES ('anna', 90);
INSERT INTO crm_team (name) VALUES ('{"en_US": "Website", "de_DE": "Webseite"}');
INSERT INTO product_template (type) VALUES ('consu'), ('service');
INSERT INTO product_product (product_tmpl_id, default_code) VALUES (1, 'TEA'), (2, '');

-- Only sale is installed so far.
SELECT part, relation, attached_as, outcome FROM retention.attach_shop('odoo');
SELECT name, currency FROM retention.shop;
UPDATE retention.shop SET time_zone = 'Asia/Shanghai', accrue_on = 'paid';
SELECT pg_temp.enable_rules();
SET retention.clock = '2024-05-01 12:00+00';
\set life 'SELECT * FROM pg_temp.life(''odoo'', '
\set end ');'

-- ---------------------------------------------------------------------------
-- The web shop: a cart, a transfer announced, paid; delivered in two; refunded
-- ---------------------------------------------------------------------------

INSERT INTO res_partner (create_date, name, type, email, mobile, city, state_id, active, customer_rank, supplier_rank)
VALUES ('2024-05-01 11:00', 'Mei Lin', 'contact', 'mei@example.org', '13800000001', 'Munich', 1, true, 0, 0), ('2024-05-01 11:00', 'Tea Import', 'contact', NULL, NULL, NULL, NULL, true, 0, 5);
INSERT INTO sale_order (name, state, partner_id, partner_shipping_id, currency_id, currency_rate, team_id, date_order, create_date, amount_total) VALUES ('S00001', 'draft', 1, 1, 1, 1, 1, '2024-05-01 11:50', '2024-05-01 11:50:00.1', 0);
INSERT INTO sale_order_line (order_id, product_id, product_uom_qty, qty_delivered, price_unit, price_total) VALUES (1, 1, 2, 0, 20, 40), (1, 2, 1, 0, 5, 5);
INSERT INTO sale_order_line (order_id, display_type, product_uom_qty, price_unit) VALUES (1, 'line_note', 0, 0);
UPDATE sale_order SET amount_total = 45 WHERE id = 1;
:life '1' :end
-- The transaction is there before it knows its order.
BEGIN;
INSERT INTO payment_transaction (state, operation, amount, currency_id, last_state_change) VALUES ('draft', 'online_redirect', 45, 1, '2024-05-01 12:00');
INSERT INTO sale_order_transaction_rel VALUES (1, 1);
UPDATE payment_transaction SET state = 'pending' WHERE id = 1;
UPDATE sale_order SET state = 'sent' WHERE id = 1;
COMMIT;
:life '1' :end
SET retention.clock = '2024-05-02 12:00+00';
BEGIN;
UPDATE payment_transaction SET state = 'done', last_state_change = '2024-05-02 12:00' WHERE id = 1;
UPDATE sale_order SET state = 'sale', date_order = '2024-05-02 12:00' WHERE id = 1;
COMMIT;
:life '1' :end
-- In UTC, whatever the zone of the shop.
SELECT placed_at, paid_at FROM retention.purchase;
UPDATE sale_order_line SET qty_delivered = 1 WHERE id = 1;
:life '1' :end
BEGIN;
UPDATE sale_order_line SET qty_delivered = 2 WHERE id = 1;
UPDATE sale_order SET effective_date = '2024-05-02 12:00' WHERE id = 1;
COMMIT;
:life '1' :end
-- The invoice is paid by the transaction already: that counts once.
BEGIN;
INSERT INTO account_move (move_type, state, payment_state, amount_total, amount_residual) VALUES ('out_invoice', 'draft', 'not_paid', 45, 45);
INSERT INTO account_move_line (move_id, price_total) VALUES (1, 40), (1, 5);
INSERT INTO sale_order_line_invoice_rel VALUES (1, 1), (2, 2);
UPDATE account_move SET state = 'posted', invoice_date = '2024-05-02' WHERE id = 1;
UPDATE account_move SET payment_state = 'paid', amount_residual = 0 WHERE id = 1;
COMMIT;
:life '1' :end
-- A refund is a child transaction, negative, settled later; its credit note is the same money.
INSERT INTO payment_transaction (state, operation, amount, currency_id, source_transaction_id, last_state_change) VALUES ('draft', 'refund', -20, 1, 1, '2024-05-02 12:00');
:life '1' :end
UPDATE payment_transaction SET state = 'done' WHERE id = 2;
:life '1' :end
BEGIN;
INSERT INTO account_move (move_type, state, payment_state, reversed_entry_id, amount_total, amount_residual) VALUES ('out_refund', 'posted', 'paid', 1, 20, 0);
INSERT INTO account_move_line (move_id, price_total) VALUES (2, 20);
INSERT INTO sale_order_line_invoice_rel VALUES (3, 1);
COMMIT;
:life '1' :end
INSERT INTO payment_transaction (state, operation, amount, currency_id, source_transaction_id, last_state_change) VALUES ('done', 'refund', -25, 1, 1, '2024-05-02 12:00');
:life '1' :end

-- ---------------------------------------------------------------------------
-- By invoice: two orders on one, half paid, paid, credited; another currency
-- ---------------------------------------------------------------------------

INSERT INTO res_partner (create_date, name, type, email, active, is_company, customer_rank, supplier_rank) VALUES ('2024-05-02 11:00', 'Inn', 'contact', 'inn@example.org', true, true, 1, 1), ('2024-05-02 11:00', 'Its cellar', 'delivery', NULL, true, false, 0, 0);
INSERT INTO sale_order (name, state, partner_id, partner_shipping_id, currency_id, currency_rate, user_id, date_order, create_date, amount_total) VALUES ('S00002', 'sale', 3, 4, 2, 1.25, 1, '2024-05-02 12:00', '2024-05-02 11:00', 100), ('S00003', 'sale', 3, 4, 2, 1.25, 1, '2024-05-02 12:00', '2024-05-02 11:00', 50);
INSERT INTO sale_order_line (order_id, product_id, product_uom_qty, qty_delivered, price_unit, price_total) VALUES (2, 1, 5, 0, 20, 100), (3, 1, 5, 0, 10, 50);
:life '2' :end
BEGIN;
INSERT INTO account_move (move_type, state, payment_state, invoice_date, amount_total, amount_residual) VALUES ('out_invoice', 'posted', 'not_paid', '2024-05-02', 150, 150);
INSERT INTO account_move_line (move_id, price_total) VALUES (3, 100), (3, 50);
INSERT INTO sale_order_line_invoice_rel VALUES (4, 4), (5, 5);
COMMIT;
:life '2' :end
UPDATE account_move SET payment_state = 'partial', amount_residual = 75 WHERE id = 3;
:life '2' :end
UPDATE account_move SET payment_state = 'paid', amount_residual = 0 WHERE id = 3;
:life '2' :end
:life '3' :end
BEGIN;
INSERT INTO account_move (move_type, state, payment_state, reversed_entry_id, amount_total, amount_residual) VALUES ('out_refund', 'posted', 'not_paid', 3, 50, 50);
INSERT INTO account_move_line (move_id, price_total) VALUES (4, 50);
INSERT INTO sale_order_line_invoice_rel VALUES (6, 5);
COMMIT;
:life '3' :end
UPDATE account_move SET payment_state = 'paid', amount_residual = 0 WHERE id = 4;
:life '3' :end
-- Reversed before anybody paid: neither paid nor refunded.
INSERT INTO sale_order (name, state, partner_id, partner_shipping_id, currency_id, currency_rate, date_order, create_date, amount_total) VALUES ('S00004', 'sale', 3, 4, 1, 1, '2024-05-02 12:00', '2024-05-02 11:00', 30);
INSERT INTO sale_order_line (order_id, product_id, product_uom_qty, qty_delivered, price_unit, price_total) VALUES (4, 1, 3, 0, 10, 30);
BEGIN;
INSERT INTO account_move (move_type, state, payment_state, invoice_date, amount_total, amount_residual) VALUES ('out_invoice', 'posted', 'not_paid', '2024-05-02', 30, 30);
INSERT INTO account_move_line (move_id, price_total) VALUES (5, 30);
INSERT INTO sale_order_line_invoice_rel VALUES (7, 6);
INSERT INTO account_move (move_type, state, payment_state, reversed_entry_id, amount_total, amount_residual) VALUES ('out_refund', 'posted', 'paid', 5, 30, 0);
INSERT INTO account_move_line (move_id, price_total) VALUES (6, 30);
INSERT INTO sale_order_line_invoice_rel VALUES (8, 6);
UPDATE account_move SET payment_state = 'reversed', amount_residual = 0 WHERE id = 5;
COMMIT;
:life '4' :end
UPDATE sale_order SET state = 'cancel' WHERE id = 4;
:life '4' :end
-- A quotation that came to nothing was no order.
INSERT INTO sale_order (name, state, partner_id, partner_shipping_id, currency_id, currency_rate, date_order, create_date, amount_total) VALUES ('S00005', 'sent', 3, 4, 1, 1, '2024-05-02 12:00', '2024-05-02 12:00:00.5', 30);
UPDATE sale_order SET state = 'cancel' WHERE id = 5;
:life '5' :end

-- Authorized, captured in part, the rest voided: children of the transaction.
INSERT INTO sale_order (name, state, partner_id, partner_shipping_id, currency_id, currency_rate, date_order, create_date, amount_total) VALUES ('S00006', 'sale', 1, 1, 1, 1, '2024-05-02 12:00', '2024-05-02 11:00', 60);
INSERT INTO payment_transaction (state, operation, amount, currency_id, last_state_change) VALUES ('authorized', 'online_direct', 60, 1, '2024-05-02 12:00');
INSERT INTO sale_order_transaction_rel VALUES (6, 4);
:life '6' :end
INSERT INTO payment_transaction (state, operation, amount, currency_id, source_transaction_id, last_state_change) VALUES ('done', 'online_direct', 45, 1, 4, '2024-05-02 12:00');
:life '6' :end
BEGIN;
UPDATE sale_order SET amount_total = 45 WHERE id = 6;
INSERT INTO payment_transaction (state, operation, amount, currency_id, source_transaction_id, last_state_change) VALUES ('cancel', 'online_direct', 15, 1, 4, '2024-05-02 12:00');
UPDATE payment_transaction SET state = 'done' WHERE id = 4;
COMMIT;
:life '6' :end

-- ---------------------------------------------------------------------------
-- The point of sale: negative refund orders
-- ---------------------------------------------------------------------------

CREATE TABLE pos_config (id serial PRIMARY KEY, name varchar NOT NULL);
CREATE TABLE pos_session (id serial PRIMARY KEY, config_id integer NOT NULL);
CREATE TABLE pos_order (
	id serial PRIMARY KEY, name varchar NOT NULL, pos_reference varchar, session_id integer NOT NULL, partner_id integer, user_id integer, state varchar,
	date_order timestamp, amount_total numeric NOT NULL, amount_paid numeric NOT NULL, currency_rate numeric
);
CREATE TABLE pos_order_line (id serial PRIMARY KEY, order_id integer NOT NULL, product_id integer NOT NULL, qty numeric, price_subtotal_incl numeric NOT NULL, refunded_orderline_id integer);
CREATE INDEX ON pos_order_line (order_id);
INSERT INTO pos_config (name) VALUES ('Main Street');
INSERT INTO pos_session (config_id) VALUES (1);
SELECT format('SELECT retention.detach(%L)', name) FROM retention.source ORDER BY source_id \gexec
SET client_min_messages = warning;
SELECT part, relation, attached_as, outcome FROM retention.attach_shop('odoo');
RESET client_min_messages;
\set life 'SELECT * FROM pg_temp.life(''odoo pos'', '

SET retention.clock = '2024-05-02 14:00+00';
INSERT INTO pos_order (name, pos_reference, session_id, partner_id, user_id, state, date_order, amount_total, amount_paid, currency_rate) VALUES ('/', 'Order 1', 1, 1, 1, 'draft', '2024-05-02 13:00', 60, 0, 1);
INSERT INTO pos_order_line (order_id, product_id, qty, price_subtotal_incl) VALUES (1, 1, 2, 40), (1, 2, 1, 20);
:life '1' :end
UPDATE pos_order SET state = 'paid', amount_paid = 60, name = 'Main/0001' WHERE id = 1;
:life '1' :end
-- Nobody's: a walk-in customer.
INSERT INTO pos_order (name, pos_reference, session_id, user_id, state, date_order, amount_total, amount_paid, currency_rate) VALUES ('Main/0002', 'Order 2', 1, 1, 'paid', '2024-05-02 13:00', 60, 60, 1);
:life '2' :end
BEGIN;
INSERT INTO pos_order (name, session_id, partner_id, user_id, state, date_order, amount_total, amount_paid, currency_rate) VALUES ('Main/0003', 1, 1, 1, 'draft', '2024-05-02 13:10', -20, 0, 1);
INSERT INTO pos_order_line (order_id, product_id, qty, price_subtotal_incl, refunded_orderline_id) VALUES (3, 1, -1, -20, 1);
UPDATE pos_order SET state = 'paid', amount_paid = -20 WHERE id = 3;
COMMIT;
:life '1' :end
-- The session closes.
UPDATE pos_order SET state = 'done';
INSERT INTO pos_order (name, session_id, partner_id, user_id, state, date_order, amount_total, amount_paid, currency_rate) VALUES ('Main/0004', 1, 1, 1, 'done', '2024-05-02 13:30', -40, -40, 1);
INSERT INTO pos_order_line (order_id, product_id, qty, price_subtotal_incl, refunded_orderline_id) VALUES (4, 1, -1, -20, 1), (4, 2, -1, -20, 2);
:life '1' :end
INSERT INTO rating_rating (res_model, partner_id, rating, feedback, consumed, write_date) VALUES ('product.template', 1, 4, 'Good tea', true, '2024-05-02 11:00'), ('product.template', 1, 0, NULL, false, '2024-05-02 11:00'), ('helpdesk.ticket', 1, 1, NULL, true, '2024-05-02 11:00');

SELECT customer_id, kind, score, content, happened_at FROM retention.feedback;
UPDATE res_partner SET active = false WHERE id = 3;
SELECT customer_id, name, phone, email, joined_at, attributes FROM retention.customer ORDER BY 1;
SELECT s.name, l.order_id, l.product, l.quantity, l.amount FROM retention.lines() l JOIN retention.source s USING (source_id) ORDER BY 1, 2, 3, 4;
SELECT source_id, order_id, channel, staff, currency, attributes FROM retention.purchase ORDER BY 1, 2;

-- Odoo does not date a shipment of which no picking is known, nor a cancellation.
\set system odoo
\i test/include/adapter_end.sql
SET client_min_messages = warning;
DROP SCHEMA odoo CASCADE;
