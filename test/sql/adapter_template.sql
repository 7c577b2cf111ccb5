-- adapters/template.sql does what it says, for the shop it describes.
\set ECHO none
\i test/include/start.sql
\i test/include/adapter.sql
\set ECHO all

CREATE SCHEMA myshop;
SET search_path = myshop;
CREATE TABLE orders (
	id bigint PRIMARY KEY, number text, customer_id bigint, email text, total_cents integer, currency text, status text, created_at timestamp, paid_at timestamp,
	shipped_at timestamp, received_at timestamp
);
CREATE TABLE payments (id bigserial PRIMARY KEY, order_id bigint, cents integer, succeeded boolean, created_at timestamp);
CREATE INDEX ON payments (order_id);
CREATE TABLE customers (id bigint PRIMARY KEY, name text, phone text, email text, newsletter boolean, created_at timestamp);
CREATE TABLE order_lines (order_id bigint, sku text, quantity integer, cents integer);
CREATE INDEX ON order_lines (order_id);
INSERT INTO orders (id, currency, status) VALUES (1, 'EUR', 'cart');

\set ECHO none
\i adapters/template.sql
\set ECHO all
SELECT part, relation, missing FROM retention.shop_parts('myshop');
SELECT * FROM retention.attach_shop('myshop');
SELECT pg_temp.enable_rules();
SET retention.clock = '2024-05-02 12:00+00';
\set life 'SELECT * FROM pg_temp.life(''myshop'', '
\set end ');'
:life '1' :end
INSERT INTO customers VALUES (7, 'Mei', '1', 'mei@example.org', true, '2024-05-01');
UPDATE orders SET customer_id = 7, total_cents = 4050, status = 'new', number = 'A1', created_at = '2024-05-02 12:00' WHERE id = 1;
:life '1' :end
INSERT INTO payments (order_id, cents, succeeded, created_at) VALUES (1, 4050, false, '2024-05-02 12:00'), (1, 4050, true, '2024-05-02 12:00');
:life '1' :end
UPDATE orders SET shipped_at = '2024-05-02 12:00', received_at = '2024-05-02 12:00' WHERE id = 1;
:life '1' :end
INSERT INTO payments (order_id, cents, succeeded, created_at) VALUES (1, -1000, true, '2024-05-02 12:00');
:life '1' :end
UPDATE orders SET status = 'cancelled';
:life '1' :end
SELECT customer_id, name, birthday, email, joined_at, consents FROM retention.customer;

\set ECHO none
RESET search_path;
\i test/include/stop.sql
DROP SCHEMA myshop CASCADE;
