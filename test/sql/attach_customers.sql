-- attach_customers(): what a shop's table says of its customers, synced by
-- state in the transaction that changes it.
\set ECHO none
\i test/include/start.sql
SET retention.clock = '2024-05-01 12:00+08';
CREATE SCHEMA shop;

CREATE TABLE shop.customers (
	id integer PRIMARY KEY,
	"fullName" text,
	nick text,
	born date,
	phone text,
	mail text,
	created timestamp,
	newsletter boolean,
	city text,
	last_seen timestamptz
);
INSERT INTO shop.customers VALUES
	(1, 'Li Lei', 'Lei', '1990-02-28', '13800000001', 'lei@example.com', '2023-11-01 09:00', true, 'Beijing'),
	(2, 'Han Meimei', '  ', '1992-02-29', NULL, 'mei@example.com', '2023-12-01 09:00', false, 'Wuhan');

-- Errors name the argument and the way out.
SELECT retention.attach_customers(NULL, 'id');
SELECT retention.attach_customers('shop.customers', NULL);
SELECT retention.attach_customers('shop.customers', 'id', name => 'fullName');
SELECT retention.attach_customers('shop.customers', 'id', birthday => 'newsletter');
SELECT retention.attach_customers('shop.customers', 'id', email => 'mail FROM shop.customers; DROP TABLE shop.customers; --');
CREATE VIEW shop.customer_view AS SELECT * FROM shop.customers;
SELECT retention.attach_customers('shop.customer_view', 'id');
DROP VIEW shop.customer_view;
SELECT count(*) FROM retention.source;

-- As the owner, who needs no right on our tables.
CREATE ROLE regress_shop;
GRANT CREATE, USAGE ON SCHEMA shop TO regress_shop;
ALTER TABLE shop.customers OWNER TO regress_shop;
SELECT retention.create_shop('Tea House', 'Asia/Shanghai');
SELECT retention.attach_customers('shop.customers',
	customer => 'id', name => '"fullName"', nickname => 'nick', birthday => 'born', phone => 'phone', email => 'mail',
	joined_at => 'created', consents => $$jsonb_build_object('email', newsletter, 'sms', false)$$,
	attributes => $$jsonb_build_object('city', city)$$);
SELECT retention.attach_customers('shop.customers', customer => 'id');

CREATE VIEW shop.profiles AS
	SELECT customer_id AS id, name, nickname, birthday, phone, email, joined_at, attributes
	FROM retention.customer
	ORDER BY customer_id;
CREATE VIEW shop.consents AS
	SELECT customer_id AS id, channel, purpose, granted, decided_at, how
	FROM retention.customer_consent
	ORDER BY customer_id, channel, purpose;

-- Attaching makes no profile; backfill does, and again changes nothing.
SELECT * FROM shop.profiles;
SET client_min_messages = warning;
CALL retention.backfill('shop.customers');
SELECT * FROM shop.profiles;
SELECT * FROM shop.consents;
SELECT source, total_orders, done_orders, failed_orders, percent FROM retention.backfills;
CREATE TEMP TABLE before AS SELECT xmin::text AS version, customer_id FROM retention.customer;
CALL retention.backfill('shop.customers');
SELECT count(*) FROM retention.customer c JOIN before b ON b.version = c.xmin::text AND b.customer_id = c.customer_id;
RESET client_min_messages;
DROP TABLE before;
-- A customer has a row of statistics too, whichever was first.
SELECT customer_id, purchases, spent FROM retention.customer_stats ORDER BY 1;

-- By the shop's own role: insert, update, a change of nothing, a rollback.
SET ROLE regress_shop;
INSERT INTO shop.customers (id, "fullName", mail, newsletter) VALUES (3, 'Lucy', 'lucy@example.com', NULL), (4, 'Jim', NULL, true);
UPDATE shop.customers SET nick = 'Mei', phone = '13800000002' WHERE id = 2;
UPDATE shop.customers SET last_seen = '2024-05-01' WHERE id = 1;
BEGIN;
UPDATE shop.customers SET nick = 'wrong';
ROLLBACK;
BEGIN;
SAVEPOINT a;
UPDATE shop.customers SET nick = 'wrong' WHERE id = 1;
SET CONSTRAINTS ALL IMMEDIATE;
ROLLBACK TO a;
UPDATE shop.customers SET city = 'Tianjin' WHERE id = 1;
COMMIT;
SET TimeZone = 'UTC';
SET search_path = shop;
UPDATE customers SET born = '2000-01-01' WHERE id = 4;
RESET search_path;
RESET ROLE;
SELECT * FROM shop.profiles;

-- Consents: an opt-out that came another way outlives any change of the row,
-- until the shop says something new.
SET retention.clock = '2024-05-02 12:00+08';
UPDATE retention.customer_consent SET granted = false, how = 'reply' WHERE customer_id = '1' AND channel = 'email';
UPDATE shop.customers SET nick = 'LL' WHERE id = 1;
SELECT * FROM shop.consents WHERE id = '1';
UPDATE shop.customers SET newsletter = false WHERE id = 1;
UPDATE shop.customers SET newsletter = true WHERE id = 1;
UPDATE shop.customers SET newsletter = NULL WHERE id = 4;
SELECT * FROM shop.consents;
-- What is said first does not overrule a decision, but for a refusal.
INSERT INTO retention.customer_consent VALUES (1, '5', 'email', 'marketing', false, '2024-04-01', 'form'), (1, '6', 'email', 'marketing', true, '2024-04-01', 'form');
INSERT INTO shop.customers (id, newsletter) VALUES (5, true), (6, false);
SELECT * FROM shop.consents WHERE id IN ('5', '6');

-- A customer deleted in the shop stays as recorded; one renumbered is two.
DELETE FROM shop.customers WHERE id = 6;
UPDATE shop.customers SET id = 40 WHERE id = 4;
SELECT id, name FROM shop.profiles;

-- The shop's write goes through when its expression fails, and the customer
-- is remembered; the others are not kept back.
CREATE FUNCTION shop.century(d date) RETURNS text LANGUAGE plpgsql STABLE AS
	$$ BEGIN IF d < '1900-01-01' THEN RAISE EXCEPTION 'nobody is that old'; END IF; RETURN 'since 1900'; END $$;
GRANT EXECUTE ON FUNCTION shop.century(date) TO regress_shop;
SELECT retention.detach('shop.customers');
SELECT retention.attach_customers('shop.customers', customer => 'id', name => '"fullName"',
	attributes => $$CASE WHEN city = 'list' THEN '[]' ELSE jsonb_build_object('century', shop.century(born)) END$$);
UPDATE shop.customers SET born = CASE id WHEN 1 THEN date '1800-01-01' ELSE born END, city = CASE id WHEN 2 THEN 'list' END,
	"fullName" = "fullName" || '!' WHERE id <= 3;
SELECT order_id AS customer, sqlstate, message, attempts FROM retention.sync_error ORDER BY 1;
-- What is no longer mapped is left alone.
SELECT * FROM shop.profiles WHERE id <= '3';
UPDATE shop.customers SET born = '1990-02-28' WHERE id = 1;
UPDATE shop.customers SET city = 'Wuhan' WHERE id = 2;
SELECT count(*) FROM retention.sync_error;
-- A broken mapping: the same, for whichever row.
ALTER TABLE shop.customers RENAME COLUMN city TO town;
UPDATE shop.customers SET "fullName" = 'Li Lei' WHERE id = 1;
SELECT "fullName" FROM shop.customers WHERE id = 1;
SELECT order_id, sqlstate FROM retention.sync_error;
ALTER TABLE shop.customers RENAME COLUMN town TO city;
SELECT retention.resync('shop.customers');
SELECT name, attributes FROM shop.profiles WHERE id = '1';
SELECT count(*) FROM retention.sync_error;

-- With on_error = 'raise' the shop's write fails instead.
UPDATE retention.shop SET on_error = 'raise';
UPDATE shop.customers SET born = '1800-01-01' WHERE id = 1;
UPDATE shop.customers SET city = 'list' WHERE id = 1;
UPDATE retention.shop SET on_error = 'warn';
SELECT count(*) FROM retention.sync_error;

-- Nothing that the expressions call may write.
CREATE TABLE shop.log (note text);
ALTER TABLE shop.log OWNER TO regress_shop;
CREATE FUNCTION shop.write_log(t text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN INSERT INTO shop.log VALUES (t); RETURN t; END $$;
SELECT retention.detach('shop.customers');
SELECT retention.attach_customers('shop.customers', customer => 'id', name => 'shop.write_log("fullName")');
UPDATE shop.customers SET "fullName" = 'X' WHERE id = 1;
SELECT count(*) FROM shop.log;
DELETE FROM retention.sync_error;
SELECT retention.detach('shop.customers');

-- A table of orders may hold the buyer's profile as well; ids of guests.
CREATE TABLE shop.orders (id integer PRIMARY KEY, buyer_mail text, buyer text, total numeric, paid timestamptz);
SELECT retention.attach_orders('shop.orders', 'id', 'lower(buyer_mail)', 'total', paid_at => 'paid');
SELECT retention.attach_customers('shop.orders', 'lower(buyer_mail)', email => 'lower(buyer_mail)', name => 'buyer');
INSERT INTO shop.orders VALUES (1, 'Ann@Example.com', 'Ann', 10, '2024-05-01');
SELECT c.customer_id, c.name, c.email, s.purchases
FROM retention.customer c
JOIN retention.customer_stats s USING (shop_id, customer_id)
WHERE c.customer_id LIKE 'ann%';
-- Two rows for one customer: no telling which is right, but for latest_by.
INSERT INTO shop.orders VALUES (2, 'ann@example.com', 'Anna', 20, '2024-05-01');
SELECT name, kind FROM retention.source ORDER BY source_id;
SELECT retention.detach('shop.orders (customers)');
SELECT retention.attach_customers('shop.orders', 'lower(buyer_mail)', name => 'buyer', latest_by => 'id');
SELECT retention.resync('shop.orders (customers)', 'ann@example.com');
SELECT name FROM retention.customer WHERE customer_id LIKE 'ann%';
DELETE FROM shop.orders WHERE id = 2;
SELECT name FROM retention.customer WHERE customer_id LIKE 'ann%';
SELECT retention.detach('shop.orders (customers)'), retention.detach('shop.orders');

-- Many at once, in one pass.
SELECT retention.attach_customers('shop.customers', customer => 'id', name => '"fullName"');
INSERT INTO shop.customers (id, "fullName") SELECT i, 'Customer ' || i FROM generate_series(1001, 3500) AS i;
SELECT count(*), count(*) FILTER (WHERE name = 'Customer ' || customer_id) FROM retention.customer WHERE name LIKE 'Customer %';
TRUNCATE shop.customers;
SELECT count(*) FROM retention.customer;
SELECT retention.detach('shop.customers');
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'shop.customers'::regclass;

SET client_min_messages = warning;
DROP SCHEMA shop CASCADE;
DROP ROLE regress_shop;
\set ECHO none
\i test/include/stop.sql
