-- attach_shop(): finding a known system's tables, and saying what is missing.
\set ECHO none
\i test/include/start.sql

-- An adapter of the shop's own, with all that one may have.
CREATE FUNCTION retention.adapter_stall()
	RETURNS SETOF retention.adapter_part
	LANGUAGE sql IMMUTABLE
AS $adapter$
	VALUES
		('orders', NULL, true, jsonb_build_object('facts', $$
SELECT
	o.id AS order_id,
	o.buyer AS customer,
	o.total,
	o."paidAt" IS NOT NULL AS paid_in_full,
	o."paidAt" AT TIME ZONE {{time_zone}} AS paid_at,
	{{#returns}}(SELECT sum({{#returns.cents}}round(r.cents / 100.0, 2){{/returns.cents}}{{^returns.cents}}r.amount{{/returns.cents}}) FROM {{returns}} r WHERE r.sale = o.id){{/returns}}{{^returns}}0{{/returns}} AS refunded
FROM {{Sale}} o
$$)),
		('watch', 'Sale', true, jsonb_build_object('order_id', 'id')),
		('watch', 'returns', false, jsonb_build_object('order_id', '{{row}}.sale')),
		('currency', 'Sale', false, jsonb_build_object('query', 'SELECT s.currency FROM {{Sale}} s LIMIT 1')),
		('lines', 'item', true, jsonb_build_object('order_id', 'sale', 'product', 'sku')),
		('customers', 'buyer', false, jsonb_build_object('customer', 'id', 'name', 'name', 'condition', 'id > 0'))
$adapter$;
COMMENT ON FUNCTION retention.adapter_stall() IS 'Stall 1';
CREATE FUNCTION retention.adapter_for_nothing() RETURNS integer LANGUAGE sql AS 'SELECT 1';

-- ---------------------------------------------------------------------------
-- What is not there
-- ---------------------------------------------------------------------------

SELECT system, description FROM retention.adapters() WHERE system IN ('stall', 'vendure', 'for_nothing');
SELECT * FROM retention.attach_shop('Magento');
SELECT * FROM retention.attach_shop(NULL);
SELECT * FROM retention.attach_shop('stall');
SELECT * FROM retention.attach_shop('stall', schema => 'nowhere');
CREATE SCHEMA stall;
CREATE TABLE stall."Sale" (id integer PRIMARY KEY, buyer integer, total numeric, "paidAt" timestamp, currency text);
SELECT * FROM retention.attach_shop('stall');
SELECT * FROM retention.shop_parts('stall');
CREATE TABLE stall.item (id serial PRIMARY KEY, sale integer, product text);
SELECT * FROM retention.attach_shop('stall', prefix => 'my_');
SELECT * FROM retention.attach_shop('stall', time_zone => 'Mars/Olympus');

-- ---------------------------------------------------------------------------
-- A column that is missing
-- ---------------------------------------------------------------------------

-- Of a required part: nothing is attached, nor is a shop made.
SELECT * FROM retention.attach_shop('stall');
SELECT count(*) AS shops FROM retention.shop;
SELECT count(*) AS triggers FROM pg_trigger WHERE tgname LIKE 'retention%';
ALTER TABLE stall.item RENAME COLUMN product TO sku;
ALTER TABLE stall."Sale" RENAME COLUMN total TO amount;
SELECT * FROM retention.attach_shop('stall');
ALTER TABLE stall."Sale" RENAME COLUMN amount TO total;
-- Of another part: it is left out.
CREATE TABLE stall.buyer (id integer PRIMARY KEY, "fullName" text);
SELECT part, relation, required, missing FROM retention.shop_parts('STALL');
BEGIN;
SELECT * FROM retention.attach_shop('STALL');
SELECT name, currency FROM retention.shop;
ROLLBACK;

-- ---------------------------------------------------------------------------
-- Sections, prefixes, time zones, currencies
-- ---------------------------------------------------------------------------

-- Names that begin alike, in another schema; a table that only some versions have.
CREATE SCHEMA "North Stall";
CREATE TABLE "North Stall"."my Sale" (LIKE stall."Sale" INCLUDING ALL);
CREATE TABLE "North Stall"."my item" (id serial PRIMARY KEY, sale integer, sku text);
CREATE TABLE "North Stall"."my returns" (id serial PRIMARY KEY, sale integer, amount numeric);
CREATE TABLE "North Stall"."my buyer" (id integer PRIMARY KEY, name text);
SELECT * FROM retention.attach_shop('stall');
SELECT arguments ->> 'facts' AS facts FROM retention.shop_parts('stall', schema => 'stall') WHERE part = 'orders';
SELECT arguments ->> 'facts' AS facts FROM retention.shop_parts('stall', prefix => 'my ', time_zone => 'Asia/Shanghai') WHERE part = 'orders';
ALTER TABLE "North Stall"."my returns" ADD COLUMN cents integer;
SELECT arguments ->> 'facts' AS facts FROM retention.shop_parts('stall', prefix => 'my ', time_zone => 'Asia/Shanghai') WHERE part = 'orders';
INSERT INTO "North Stall"."my Sale" (id, currency) VALUES (1, 'eur');
INSERT INTO stall."Sale" (id, currency) VALUES (1, 'CNY');
SELECT * FROM retention.attach_shop('stall', prefix => 'my ', time_zone => 'Asia/Shanghai', source => 'north');
SELECT name, currency FROM retention.shop;
-- The other one, of the same shop: its money is another.
SELECT * FROM retention.attach_shop('stall', schema => 'stall');
SELECT name, kind FROM retention.source ORDER BY source_id;
-- Both at work.
SET retention.clock = '2024-05-02 00:00+00';
INSERT INTO "North Stall"."my Sale" VALUES (2, 7, 30, '2024-05-01 12:00', 'eur');
INSERT INTO "North Stall"."my returns" (sale, cents) VALUES (2, 1000);
INSERT INTO stall."Sale" VALUES (2, 7, 40, '2024-05-01 12:00', 'CNY');
SELECT source_id, order_id, customer_id, value, paid_at FROM retention.purchase ORDER BY 1;
INSERT INTO "North Stall"."my buyer" VALUES (7, 'Mei'), (-1, 'Nobody');
SELECT customer_id, name FROM retention.customer ORDER BY 1;

-- ---------------------------------------------------------------------------
-- Who may
-- ---------------------------------------------------------------------------

SET client_min_messages = warning;
SELECT retention.detach(name) FROM retention.source;
DROP SCHEMA "North Stall" CASCADE;
CREATE ROLE regress_other;
GRANT EXECUTE ON FUNCTION retention.attach_shop TO regress_other;
RESET client_min_messages;
SET ROLE regress_other;
SELECT * FROM retention.attach_shop('stall');
RESET ROLE;
-- Given the tables, the right to that function is all it takes; its types and
-- queries run as their owner.
CREATE FUNCTION stall.who(stall."Sale") RETURNS text LANGUAGE sql AS 'SELECT current_user::text';
CREATE FUNCTION retention.adapter_for_nothing_else()
	RETURNS SETOF retention.adapter_part
	LANGUAGE sql IMMUTABLE
AS $adapter$
	VALUES ('currency', 'Sale', true, jsonb_build_object('query', 'SELECT stall.who(s) FROM {{Sale}} s LIMIT 1')), ('coupons', 'Sale', true, '{}')
$adapter$;
ALTER TABLE stall."Sale" OWNER TO regress_other;
ALTER TABLE stall.item OWNER TO regress_other;
ALTER TABLE stall.buyer OWNER TO regress_other;
GRANT USAGE ON SCHEMA stall TO regress_other;
SELECT retention.value_as_owner('stall."Sale"', 'SELECT stall.who(s) FROM stall."Sale" s LIMIT 1');
SELECT retention.value_as_owner('stall."Sale"', 'SELECT s.id FROM stall."Sale" s WHERE false');
SELECT retention.value_as_owner('stall."Sale"', 'DELETE FROM stall."Sale" RETURNING 1');
SELECT retention.value_as_owner('stall."Sale"', 'WITH gone AS (DELETE FROM stall."Sale" RETURNING 1) SELECT 1 FROM gone');
SELECT current_user = session_user AS still_me;
SET ROLE regress_other;
SELECT part, relation, outcome FROM retention.attach_shop('stall', source => 'again');
RESET ROLE;

-- ---------------------------------------------------------------------------
-- An adapter that is wrong
-- ---------------------------------------------------------------------------

SELECT * FROM retention.attach_shop('for_nothing');
SELECT * FROM retention.attach_shop('for_nothing_else', source => 'x');
CREATE OR REPLACE FUNCTION retention.adapter_for_nothing_else()
	RETURNS SETOF retention.adapter_part
	LANGUAGE sql IMMUTABLE
AS $adapter$
	VALUES ('watch', 'Sale', true, '{"order": "id", "order_id": "id"}'::jsonb)
$adapter$;
SELECT * FROM retention.attach_shop('for_nothing_else', source => 'x');
CREATE OR REPLACE FUNCTION retention.adapter_for_nothing_else()
	RETURNS SETOF retention.adapter_part
	LANGUAGE sql IMMUTABLE
AS $adapter$
	VALUES ('currency', 'Sale', true, '{"query": "SELECT ''EUR''"}'::jsonb), ('orders', NULL, false, '{"facts": "SELECT * FROM {{invoice}}"}')
$adapter$;
SELECT * FROM retention.attach_shop('for_nothing_else', source => 'x');

\set ECHO none
\i test/include/stop.sql
DROP SCHEMA stall CASCADE;
DROP OWNED BY regress_other;
DROP ROLE regress_other;
