-- attach_orders(): a shop whose orders lie in one table.
\set ECHO none
\i test/include/start.sql

CREATE SCHEMA attach_orders;

-- What sync recorded, in few columns.
CREATE VIEW attach_orders.recorded AS
SELECT s.name AS source, p.order_id, p.customer_id, p.paid_at, p.completed_at, p.total, p.paid, p.refunded, p.value
FROM retention.purchase p
JOIN retention.source s USING (source_id);

-- ---------------------------------------------------------------------------
-- A plain table: each argument the name of a column
-- ---------------------------------------------------------------------------

CREATE TABLE attach_orders.plain (
	id integer PRIMARY KEY,
	customer_id integer,
	total numeric(10,2) NOT NULL,
	created_at timestamptz NOT NULL DEFAULT '2024-05-01 10:00+00',
	paid_at timestamptz,
	completed_at timestamptz
);

-- The first attach makes the shop.
SELECT retention.attach_orders('attach_orders.plain',
	order_id => 'id', customer => 'customer_id', total => 'total',
	placed_at => 'created_at', paid_at => 'paid_at', completed_at => 'completed_at');
SELECT shop_id, name, time_zone, currency, accrue_on, points_rate FROM retention.shop;

-- From now on an order is recorded by the transaction that changes it.
SET retention.clock = '2024-05-01 12:00+00';
INSERT INTO attach_orders.plain VALUES (1, 42, 99.50);
SELECT * FROM attach_orders.recorded;
UPDATE attach_orders.plain SET paid_at = '2024-05-01 11:00+00' WHERE id = 1;
SELECT * FROM attach_orders.recorded;
SELECT purchases, spent, unpaid_orders, first_purchase_at, history FROM retention.customer_stats;
UPDATE attach_orders.plain SET completed_at = '2024-05-01 11:30+00' WHERE id = 1;
SELECT retention.points_balance(42);

-- An update that changes nothing of the order writes nothing.
SELECT pg_temp.recorded() AS before \gset
UPDATE attach_orders.plain SET total = total;
SELECT pg_temp.recorded() = :'before' AS unchanged;

-- ---------------------------------------------------------------------------
-- Each argument is an SQL expression over the row
-- ---------------------------------------------------------------------------

CREATE TABLE attach_orders.expressions (
	number bigint PRIMARY KEY,
	user_id integer,
	email text,
	total_in_cents integer,
	refunded_in_cents integer DEFAULT 0,
	state text,
	updated_at timestamptz DEFAULT '2024-04-20 08:00+00',
	source text,
	gift boolean
);
SELECT retention.attach_orders('attach_orders.expressions',
	order_id => 'number',
	customer => 'coalesce(user_id::text, lower(email))',
	total => 'total_in_cents / 100.0',
	refunded => 'refunded_in_cents / 100.0 -- a comment does no harm',
	paid_at => $$CASE WHEN state IN ('paid', 'done') THEN updated_at END$$,
	completed => $$state = 'done'$$,
	closed => $$expressions.state = 'canceled'$$,
	channel => $$'web'$$,
	attributes => $$jsonb_build_object('source', source, 'gift', gift)$$);
INSERT INTO attach_orders.expressions VALUES
	(1, 7, NULL, 1234, 0, 'paid', DEFAULT, 'ad', true),
	(2, NULL, 'Mei@Example.org', 500, 100, 'done', DEFAULT, NULL, NULL),
	(3, NULL, NULL, 100, 0, 'paid', DEFAULT, NULL, NULL),
	(4, 7, NULL, 700, 0, 'canceled', DEFAULT, NULL, NULL);

-- A guest goes by the e-mail; order 3 is nobody's.
SELECT order_id, customer_id, total, paid, refunded, value, paid_at, completed_at, closed_at, channel, attributes
FROM retention.purchase
WHERE source_id = 2
ORDER BY order_id;

-- An empty text is nobody's either; a customer named later is recorded then.
UPDATE attach_orders.expressions SET email = '' WHERE number = 3;
SELECT count(*) FROM attach_orders.recorded WHERE source = 'attach_orders.expressions';
UPDATE attach_orders.expressions SET email = 'LI@example.org' WHERE number = 3;
SELECT order_id, customer_id FROM attach_orders.recorded WHERE source = 'attach_orders.expressions' ORDER BY 1;
UPDATE attach_orders.expressions SET email = NULL WHERE number = 3;
SELECT order_id, customer_id FROM attach_orders.recorded WHERE source = 'attach_orders.expressions' ORDER BY 1;

-- ---------------------------------------------------------------------------
-- Names that need quoting
-- ---------------------------------------------------------------------------

CREATE SCHEMA "My Shop";
CREATE TABLE "My Shop"."Order" ("order Id" integer PRIMARY KEY, "customerId" text, "a""b" numeric, "Paid" timestamptz);
SELECT retention.attach_orders('"My Shop"."Order"',
	order_id => '"order Id"', customer => '"customerId"', total => '"a""b"', paid_at => '"Order"."Paid"',
	completed_at => '"Paid"') AS source;
INSERT INTO "My Shop"."Order" VALUES (1, $$O'Hara "x" {y} \z$$, 10, '2024-05-01 12:00+00');
SELECT source, order_id, customer_id, value FROM attach_orders.recorded WHERE source LIKE '%My Shop%';
SELECT retention.points_balance($$O'Hara "x" {y} \z$$);
SELECT retention.resync('"My Shop"."Order"', '1');
SET client_min_messages = warning;
CALL retention.backfill('"My Shop"."Order"');
RESET client_min_messages;
SELECT retention.detach('"My Shop"."Order"');
DROP SCHEMA "My Shop" CASCADE;

-- A table and a column named like facts, or like what the queries use inside.
CREATE TABLE attach_orders.f (order_id integer PRIMARY KEY, customer text, total numeric, paid_at timestamptz, w text);
SELECT retention.attach_orders('attach_orders.f', 'order_id', 'customer', 'total', paid_at => 'paid_at', completed_at => 'paid_at', staff => 'w');
INSERT INTO attach_orders.f VALUES (1, 'c', 5, '2024-05-01 09:00+00', 'w');
SELECT order_id, customer_id, value FROM attach_orders.recorded WHERE source = 'attach_orders.f';

-- ---------------------------------------------------------------------------
-- Keys of every type, found by their index
-- ---------------------------------------------------------------------------

CREATE DOMAIN attach_orders.order_number AS integer CHECK (VALUE > 0);
CREATE FUNCTION attach_orders.try_key(type text, VARIADIC ids text[])
	RETURNS TABLE (order_ids text[], sequential_scans bigint)
	LANGUAGE plpgsql
AS $$
DECLARE
	scans bigint;
BEGIN
	EXECUTE format('CREATE TABLE attach_orders.keyed (id %s PRIMARY KEY, customer text, total numeric, paid_at timestamptz)', type);
	PERFORM retention.attach_orders('attach_orders.keyed', 'id', 'customer', 'total', paid_at => 'paid_at', completed_at => 'paid_at');
	scans := pg_stat_get_xact_numscans('attach_orders.keyed'::regclass);
	EXECUTE format('INSERT INTO attach_orders.keyed SELECT u::%s, ''key'', 1, ''2024-05-01 09:00+00'' FROM unnest($1) AS u', type) USING ids;
	SET CONSTRAINTS ALL IMMEDIATE;
	UPDATE attach_orders.keyed SET total = 2 WHERE ctid = '(0,1)';
	RETURN QUERY
		SELECT
			(SELECT array_agg(format('%s=%s', p.order_id, p.value) ORDER BY p.order_id)
				FROM retention.purchase p
				JOIN retention.source s USING (source_id)
				WHERE s.name = 'attach_orders.keyed'),
			pg_stat_get_xact_numscans('attach_orders.keyed'::regclass) - scans;
	SET CONSTRAINTS ALL DEFERRED;
	PERFORM retention.detach('attach_orders.keyed');
	DROP TABLE attach_orders.keyed;
	DELETE FROM retention.purchase p USING retention.source s WHERE s.source_id = p.source_id AND s.name = 'attach_orders.keyed';
	DELETE FROM retention.source s WHERE s.name = 'attach_orders.keyed';
END
$$;
SELECT * FROM attach_orders.try_key('smallint', '0', '-3', '42');
SELECT * FROM attach_orders.try_key('integer', '0', '-3', '42');
SELECT * FROM attach_orders.try_key('bigint', '1', '9223372036854775807');
SELECT * FROM attach_orders.try_key('numeric', '1', '2.5', '3.00', '12345678901234567890');
SELECT * FROM attach_orders.try_key('numeric(8,2)', '1', '2.5');
SELECT * FROM attach_orders.try_key('uuid', '7D444840-9DC0-11D1-B245-5FFDCE74FAD2');
SELECT * FROM attach_orders.try_key('text', 'A-1', 'a-1', ' 7', '007', '7');
SELECT * FROM attach_orders.try_key('varchar(20)', 'A-1', 'a-1');
SELECT * FROM attach_orders.try_key('char(6)', 'A-1', 'A-2', 'ABCDEF');
SELECT * FROM attach_orders.try_key('attach_orders.order_number', '1', '2');
SELECT * FROM attach_orders.try_key('date', '2024-01-31');
SELECT * FROM attach_orders.try_key('inet', '10.0.0.1');
SELECT * FROM attach_orders.try_key('"char"', 'a');
ALTER TABLE retention.points_lot DISABLE TRIGGER append_only;
TRUNCATE retention.customer_stats, retention.points_lot;
ALTER TABLE retention.points_lot ENABLE TRIGGER append_only;
DELETE FROM retention.purchase;
ALTER TABLE retention.points_entry DISABLE TRIGGER append_only;
DELETE FROM retention.points_entry;
ALTER TABLE retention.points_entry ENABLE TRIGGER append_only;

-- A large table without an index for it: attach says so.
CREATE TABLE attach_orders.unindexed AS
SELECT i AS id, 'c' || i AS customer, 1.0 AS total, NULL::timestamptz AS paid_at
FROM generate_series(1, 12000) AS i;
ANALYZE attach_orders.unindexed;
SELECT retention.attach_orders('attach_orders.unindexed', 'id', 'customer', 'total', paid_at => 'paid_at', completed_at => 'paid_at');
SELECT retention.detach('attach_orders.unindexed');
ALTER TABLE attach_orders.unindexed ADD PRIMARY KEY (id);
SELECT retention.attach_orders('attach_orders.unindexed', 'id', 'customer', 'total', paid_at => 'paid_at', completed_at => 'paid_at');
SELECT retention.detach('attach_orders.unindexed');
-- A cast in order_id hides the index.
SELECT retention.attach_orders('attach_orders.unindexed', 'id::text', 'customer', 'total', paid_at => 'paid_at', completed_at => 'paid_at');
SELECT retention.detach('attach_orders.unindexed');

-- ---------------------------------------------------------------------------
-- Carts in the order table
-- ---------------------------------------------------------------------------

CREATE TABLE attach_orders.carts (id integer PRIMARY KEY, customer text, total numeric, ordered_at timestamptz, paid_at timestamptz);
SELECT retention.attach_orders('attach_orders.carts', 'id', 'customer', 'total',
	placed_at => 'ordered_at', paid_at => 'paid_at', completed_at => 'paid_at');
INSERT INTO attach_orders.carts VALUES (1, 'cart', 5), (2, 'cart', 6);
UPDATE attach_orders.carts SET total = 7;
-- A cart leaves nothing behind but the name of its customer.
SELECT count(*) FROM attach_orders.recorded WHERE source = 'attach_orders.carts';
SELECT customer_id, purchases, unpaid_orders FROM retention.customer_stats WHERE customer_id = 'cart';
UPDATE attach_orders.carts SET ordered_at = '2024-05-01 10:00+00' WHERE id = 1;
SELECT order_id, total FROM attach_orders.recorded WHERE source = 'attach_orders.carts';
SELECT customer_id, purchases, unpaid_orders FROM retention.customer_stats WHERE customer_id = 'cart';
-- Back to the cart.
UPDATE attach_orders.carts SET ordered_at = NULL;
SELECT count(*) FROM attach_orders.recorded WHERE source = 'attach_orders.carts';

-- ---------------------------------------------------------------------------
-- Times without zone are the shop's, whatever the session's zone
-- ---------------------------------------------------------------------------

SELECT retention.create_shop('Shanghai', time_zone => 'Asia/Shanghai');
CREATE TABLE attach_orders.local (id integer PRIMARY KEY, customer text, total numeric, paid timestamp, done date, at timestamptz);
SELECT retention.attach_orders('attach_orders.local', 'id', 'customer', 'total',
	paid_at => 'paid', completed_at => 'done', placed_at => 'at', for_shop => 'Shanghai');
SET timezone = 'America/New_York';
INSERT INTO attach_orders.local VALUES (1, 'c', 1, '2024-03-31 23:30', '2024-04-01', '2024-03-31 20:00+08');
SET timezone = 'Pacific/Auckland';
SELECT retention.resync('attach_orders.local', everything => true);
INSERT INTO attach_orders.local VALUES (2, 'c', 1, '2024-03-31 23:30', '2024-04-01', '2024-03-31 20:00+08');
SET timezone = 'UTC';
SELECT order_id, placed_at, paid_at, completed_at FROM retention.purchase WHERE shop_id = 2 ORDER BY 1;
-- The session's own zone came to no harm.
SHOW timezone;

-- ---------------------------------------------------------------------------
-- Several shops in one table
-- ---------------------------------------------------------------------------

CREATE TABLE attach_orders.branches (id integer PRIMARY KEY, branch text, customer text, total numeric, paid_at timestamptz);
SELECT retention.create_shop('East', 'UTC', 'USD'), retention.create_shop('West', 'UTC', 'EUR');
UPDATE retention.shop SET points_rate = 10 WHERE name = 'West';
SELECT retention.attach_orders('attach_orders.branches', 'id', 'customer', 'total', paid_at => 'paid_at', completed_at => 'paid_at',
	shop => 'branch', for_shop => 'East');
INSERT INTO attach_orders.branches VALUES
	(1, 'East', 'ann', 5, '2024-05-01 12:00+00'),
	(2, 'West', 'ann', 7, '2024-05-01 12:00+00'),
	(3, NULL, 'ann', 11, '2024-05-01 12:00+00');
SELECT retention.points_balance('ann', shop => 'East') AS east, retention.points_balance('ann', shop => 'West') AS west;
-- An order that changes its shop takes its points along.
UPDATE attach_orders.branches SET branch = 'West' WHERE id = 3;
SELECT retention.points_balance('ann', shop => 'East') AS east, retention.points_balance('ann', shop => 'West') AS west;
-- A shop that does not exist.
INSERT INTO attach_orders.branches VALUES (4, 'North', 'ann', 5, '2024-05-01 10:00+00');
SELECT retention.points_balance('ann');

-- ---------------------------------------------------------------------------
-- States as booleans keep the time they were first seen
-- ---------------------------------------------------------------------------

CREATE TABLE attach_orders.flags (id integer PRIMARY KEY, customer text, total numeric, is_paid boolean, is_done boolean, is_closed boolean, note text);
SELECT retention.attach_orders('attach_orders.flags', 'id', 'customer', 'total', paid_in_full => 'is_paid', completed => 'is_done',
	closed => 'is_closed', for_shop => 'East');
INSERT INTO attach_orders.flags VALUES (1, 'flag', 10, false, NULL, false);
SET retention.clock = '2024-05-02 12:00+00';
UPDATE attach_orders.flags SET is_paid = true;
SET retention.clock = '2024-05-03 12:00+00';
UPDATE attach_orders.flags SET is_done = true, note = 'changed';
SET retention.clock = '2024-05-04 12:00+00';
UPDATE attach_orders.flags SET note = 'changed again';
SELECT placed_at, paid_at, completed_at, closed_at FROM retention.purchase WHERE customer_id = 'flag';
-- A flag taken back forgets the time.
UPDATE attach_orders.flags SET is_done = false;
SELECT placed_at, paid_at, completed_at, closed_at FROM retention.purchase WHERE customer_id = 'flag';
SET retention.clock = '2024-05-05 12:00+00';
UPDATE attach_orders.flags SET is_done = true;
SELECT placed_at, paid_at, completed_at, closed_at FROM retention.purchase WHERE customer_id = 'flag';

-- Both a flag and a time: the flag tells whether, the time when.
CREATE TABLE attach_orders.flags_and_times (id integer PRIMARY KEY, customer text, total numeric, is_paid boolean, paid_at timestamptz);
SELECT retention.attach_orders('attach_orders.flags_and_times', 'id', 'customer', 'total', paid_in_full => 'is_paid', paid_at => 'paid_at',
	completed => 'is_paid', for_shop => 'East');
INSERT INTO attach_orders.flags_and_times VALUES
	(1, 'both', 10, true, '2024-05-01 10:00+00'),
	(2, 'both', 10, true, NULL),
	(3, 'both', 10, false, '2024-05-01 10:00+00'),
	(4, 'both', 10, NULL, '2024-05-01 10:00+00');
SELECT order_id, paid_at, value FROM attach_orders.recorded WHERE source = 'attach_orders.flags_and_times' ORDER BY 1;

-- ---------------------------------------------------------------------------
-- Money
-- ---------------------------------------------------------------------------

-- Paid and refunded as money so far: part payments, NULL means none.
CREATE TABLE attach_orders.money (id integer PRIMARY KEY, customer text, total numeric, paid numeric, refunded numeric DEFAULT 0, currency text, rate numeric);
SELECT retention.attach_orders('attach_orders.money', 'id', 'customer', 'total', paid => 'paid', refunded => 'refunded', completed => 'paid >= total',
	currency => 'currency', exchange_rate => 'rate', for_shop => 'East');
INSERT INTO attach_orders.money VALUES (1, 'm', 100, NULL, NULL), (2, 'm', 100, 40, NULL), (3, 'm', 100, 100, NULL),
	(4, 'm', 100, 130, 0), (5, 'm', 100, 100, 30), (6, 'm', 0, 0, 0), (7, 'm', 100, 100, 100), (8, 'm', 100, 100, 120);
SELECT order_id, paid_at IS NOT NULL AS is_paid, paid, refunded, value FROM attach_orders.recorded WHERE source = 'attach_orders.money' ORDER BY 1;
SELECT purchases, spent, unpaid_orders FROM retention.customer_stats WHERE customer_id = 'm';

-- Another currency needs its rate; the shop's own, in whatever case, does not.
INSERT INTO attach_orders.money VALUES (10, 'c', 10, 10, 0, 'usd', NULL), (11, 'c', 10, 10, 2.5, 'EUR', 1.0837), (12, 'c', 10, 10, 0, 'JPY', NULL);
SELECT order_id, currency, total, paid, refunded, value FROM retention.purchase WHERE customer_id = 'c' AND shop_id = 3 AND order_id >= '10' ORDER BY 1;
SELECT order_id, sqlstate, message FROM retention.sync_error ORDER BY 1;
UPDATE attach_orders.money SET rate = 0.0064 WHERE id = 12;
SELECT order_id, total, value FROM retention.purchase WHERE order_id = '12';

-- What is no amount of money is refused, order by order; the shop's rows stand.
INSERT INTO attach_orders.money VALUES
	(20, 'bad', 'NaN', 1, 0, NULL, NULL),
	(21, 'bad', 'infinity', 1, 0, NULL, NULL),
	(22, 'bad', 1.2345678, 1, 0, NULL, NULL),
	(23, 'bad', 1e12, 1, 0, NULL, NULL),
	(24, 'good', 999999999999.999999, 999999999999.999999, 0, NULL, NULL),
	(25, 'bad', NULL, 1, 0, NULL, NULL),
	(26, 'bad', 1, 'NaN', 0, NULL, NULL),
	(27, 'bad', 1, 1, '-infinity', NULL, NULL),
	(28, 'bad', 1, 1, 0, 'EUR', 0),
	(29, 'bad', 1, 1, 0, 'EUR', 'NaN'),
	(30, 'good', 1.50000000000, 1.50000000000, 0, NULL, NULL);
SELECT order_id, sqlstate, message FROM retention.sync_error WHERE order_id >= '20' ORDER BY 1;
SELECT order_id, customer_id, value FROM attach_orders.recorded WHERE customer_id IN ('bad', 'good') ORDER BY order_id;
-- An amount too large only after its conversion.
INSERT INTO attach_orders.money VALUES (31, 'bad', 999999999999, 999999999999, 0, 'EUR', 1000000);
SELECT order_id, sqlstate, message FROM retention.sync_error WHERE order_id = '31';
DELETE FROM attach_orders.money WHERE customer = 'bad';
SELECT count(*) FROM retention.sync_error WHERE order_id >= '20';

-- Floating point and money columns are read as decimals.
CREATE TABLE attach_orders.floating (id integer PRIMARY KEY, customer text, total double precision, paid money);
SELECT retention.attach_orders('attach_orders.floating', 'id', 'customer', 'total', paid => 'paid', completed => 'true', for_shop => 'East');
INSERT INTO attach_orders.floating VALUES (1, 'f', 0.1, '0.10');
SELECT total, paid, value FROM attach_orders.recorded WHERE customer_id = 'f';

-- An infinite time is no time.
CREATE TABLE attach_orders.infinite (id integer PRIMARY KEY, customer text, total numeric, paid_at timestamptz);
SELECT retention.attach_orders('attach_orders.infinite', 'id', 'customer', 'total', paid_at => 'paid_at', completed_at => 'paid_at', for_shop => 'East');
INSERT INTO attach_orders.infinite VALUES (1, 'i', 1, 'infinity'), (2, 'i', 1, '-infinity');
-- Nor is one that no calendar of a shop reaches.
INSERT INTO attach_orders.infinite VALUES (3, 'i', 1, '294276-12-31 23:59:59+00'), (4, 'i', 1, '4713-01-01 00:00+00 BC');
SELECT order_id, message FROM retention.sync_error WHERE source_id = (SELECT max(source_id) FROM retention.source) ORDER BY 1;

-- Ids that no index could hold.
CREATE TABLE attach_orders.long_ids (id text, customer text, total numeric, paid_at timestamptz);
SELECT retention.attach_orders('attach_orders.long_ids', 'id', 'customer', 'total', paid_at => 'paid_at', completed_at => 'paid_at', refund_of => 'id', for_shop => 'East');
INSERT INTO attach_orders.long_ids
SELECT string_agg(md5(i::text), ''), 'l', 1, '2024-05-01 12:00+00'
FROM generate_series(1, 300) AS i;
INSERT INTO attach_orders.long_ids
SELECT 'short', string_agg(md5(i::text), ''), 1, '2024-05-01 12:00+00'
FROM generate_series(1, 300) AS i;
SELECT order_id, sqlstate, message FROM retention.sync_error WHERE source_id = (SELECT max(source_id) FROM retention.source) ORDER BY 1;

-- Nothing kept is wrong.
SELECT * FROM wrong;

\set ECHO none
\i test/include/stop.sql
DROP SCHEMA attach_orders CASCADE;
