-- Names and values that would be something else if they were pasted into a
-- statement, a pattern, JSON, a text or a format: they come back as they are.
\set ECHO none
\i test/include/start.sql
CREATE SCHEMA "shop'; DROP TABLE ""x""; --";
SET search_path = "shop'; DROP TABLE ""x""; --", public;
CREATE FUNCTION pg_temp.nasty() RETURNS TABLE (no bigint, value text) LANGUAGE sql AS $nasty$
	SELECT n, v
	FROM unnest(ARRAY[
		'''', '"', '\', '\\''; DROP TABLE retention.purchase; --', '''; DROP TABLE retention.purchase; --', '"); DROP TABLE retention.purchase; --',
		'$1', '$$', '$x$', '%s %n %d %', '{{name}}', '{{phone|x}}', '}}{{', '{"points": 999}', '","points":999,"x":"', '[]', 'null', 'NULL', 'true', '-- x', '/* x', '*/',
		E'line\nbreak', E'tab\there', E'carriage\rreturn', E'\x01\x02\x7f', ' ', ' leading', 'trailing ', '042', '42', '42.0', '1e3', 'NaN', 'infinity',
		U&'\200B\202E\FEFF', '田芳 🎁', repeat('长', 60), '../../etc/passwd', 'a,b', '{a,b}', '(1,2)', '~!@#^&*()', 'ann''s "cup" \ {{x}} %s'
	]) WITH ORDINALITY AS u (v, n)
$nasty$;
\set ECHO all

-- ---------------------------------------------------------------------------
-- Tables, columns and keys
-- ---------------------------------------------------------------------------

CREATE TABLE "or""der's; --" (
	"i'd; --" text PRIMARY KEY,
	"cust""omer" text,
	"to%tal" numeric,
	"{{paid}}" timestamptz,
	"select" text
);
SELECT retention.create_shop('Tea''s "House" \ {{name}} %s; --');
SELECT retention.attach_orders('"or""der''s; --"', order_id => '"i''d; --"', customer => '"cust""omer"', total => '"to%tal"',
	paid_at => '"{{paid}}"', completed_at => '"{{paid}}"', channel => '"select"', attributes => 'jsonb_build_object(''"k"'', "select")');
INSERT INTO "or""der's; --" SELECT value, value, 10, '2024-05-01', value FROM pg_temp.nasty() WHERE value <> ' ';
SELECT count(*) AS not_as_they_were
FROM pg_temp.nasty() n
LEFT JOIN retention.purchase p ON p.order_id = n.value
WHERE n.value <> ' ' AND (p.customer_id, p.channel, p.attributes ->> '"k"', p.value) IS DISTINCT FROM (n.value, n.value, n.value, 10);
UPDATE "or""der's; --" SET "to%tal" = 20;
DELETE FROM "or""der's; --" WHERE "i'd; --" = '%s %n %d %';
SET client_min_messages = warning;
SELECT name AS source FROM retention.source \gset
CALL retention.backfill(:'source');
RESET client_min_messages;
SELECT retention.resync(:'source', everything => true) > 30 AS synced;
SELECT retention.resync(:'source', order_id => value) FROM pg_temp.nasty() WHERE value LIKE '%DROP%';
SELECT count(*) FROM retention.purchase WHERE value = 20;
SELECT retention.watch(:'source', '"or""der''s; --"', '"i''d; --"; DELETE FROM retention.purchase');
SELECT retention.attach_orders('"or""der''s; --"', '1) AS x; DROP TABLE retention.purchase; --', '"cust""omer"', '1', paid_at => '"{{paid}}"');
SELECT retention.attach_orders('no_such; DROP TABLE retention.purchase', '1', '1', '1');

-- What cannot be a key is refused and remembered, the shop's write goes through.
SET client_min_messages = error;
INSERT INTO "or""der's; --" VALUES (repeat('x', 5000), 'long', 1, '2024-05-01'), ('long customer', repeat('y', 5000), 1, '2024-05-01'), ('', 'empty', 1, '2024-05-01');
RESET client_min_messages;
SELECT left(order_id, 20) AS order_id, sqlstate, left(message, 80) AS message FROM retention.sync_error ORDER BY 1;
DELETE FROM "or""der's; --" WHERE length("i'd; --") > 1000 OR "i'd; --" IN ('', 'long customer');

-- ---------------------------------------------------------------------------
-- Points: references, reasons, customers
-- ---------------------------------------------------------------------------

DO $$
DECLARE
	n record;
	first record;
	again record;
BEGIN
	FOR n IN SELECT * FROM pg_temp.nasty() WHERE value <> ' ' LOOP
		first := retention.grant(n.value, 10, n.value, 'grant ' || n.value);
		again := retention.grant(n.value, 10, n.value, 'grant ' || n.value);
		IF first.entry_no <> again.entry_no THEN
			RAISE EXCEPTION 'posted twice: %', n.value;
		END IF;
		first := retention.redeem(n.value, 3, n.value, order_id => n.value);
		again := retention.redeem(n.value, 3, n.value, order_id => n.value);
		IF first.entry_no <> again.entry_no THEN
			RAISE EXCEPTION 'redeemed twice: %', n.value;
		END IF;
		BEGIN
			PERFORM retention.redeem(n.value, 4, n.value, order_id => n.value);
			RAISE EXCEPTION 'another request took the reference %', n.value;
		EXCEPTION WHEN unique_violation OR invalid_parameter_value OR duplicate_object THEN
			NULL;
		END;
		PERFORM retention.hold(n.value, 2, 'hold ' || n.value);
		PERFORM retention.release(n.value, 'hold ' || n.value);
		PERFORM retention.adjust(n.value, 1, n.value, 'adjust ' || n.value);
	END LOOP;
END
$$;
SELECT count(*) AS not_as_they_were
FROM pg_temp.nasty() n
LEFT JOIN retention.points_entry e ON e.customer_id = n.value AND e.reference = n.value AND e.kind = 'redemption'
LEFT JOIN retention.points_entry g ON g.customer_id = n.value AND g.reference = 'grant ' || n.value
WHERE n.value <> ' ' AND ((e.points, e.order_id, g.reason) IS DISTINCT FROM (-3, n.value, n.value)
	OR jsonb_typeof(e.request) <> 'object' OR e.request ->> 'points' <> '3' OR g.request ->> 'reason' <> n.value);
SELECT count(*) AS texts FROM pg_temp.nasty() n CROSS JOIN LATERAL retention.points_statement(n.value) s WHERE n.value <> ' ' AND s.points = -3;
SELECT jsonb_typeof(retention.my_points('","points":999,"x":"')::jsonb) AS json;
SELECT retention.points_balance(' ');

-- ---------------------------------------------------------------------------
-- Names: shops, audiences, templates, feedback, staff
-- ---------------------------------------------------------------------------

DO $$
DECLARE
	n record;
BEGIN
	FOR n IN SELECT * FROM pg_temp.nasty() WHERE value <> ' ' LOOP
		PERFORM retention.define_audience(n.value, format('customer_id = %L', n.value));
		IF retention.audience_count(n.value) <> 1 THEN
			RAISE EXCEPTION 'audience % has % customers', n.value, retention.audience_count(n.value);
		END IF;
		PERFORM retention.record_feedback(n.value, kind => 'complaint', content => n.value);
	END LOOP;
END
$$;
SELECT count(*) FROM retention.audience;
SELECT count(*) FROM retention.feedback f WHERE f.content <> f.customer_id;
SELECT count(retention.drop_audience(value)) FROM pg_temp.nasty() WHERE value <> ' ';
SELECT count(*) FROM retention.audience;
SELECT count(*) AS not_as_they_were
FROM pg_temp.nasty() n
CROSS JOIN LATERAL retention.create_shop('second ' || n.value, signature => n.value) AS c (shop_id)
JOIN retention.shop s ON s.shop_id = c.shop_id
WHERE (s.name, s.signature) IS DISTINCT FROM ('second ' || n.value, n.value);
DELETE FROM retention.shop WHERE name LIKE 'second %';

-- What a customer calls themselves is not a template: placeholders in it are text.
CREATE TABLE users (id text PRIMARY KEY, name text, phone text);
SELECT retention.attach_customers('users', customer => 'id', name => 'name', phone => 'phone');
INSERT INTO users SELECT value, value, '13800000000' FROM pg_temp.nasty() WHERE value <> ' ';
INSERT INTO retention.care_template (shop_id, name, language, text) VALUES (1, 'unpaid_reminder', 'zh', 'Hi {{name|friend}}, %s \1 $1');
SELECT n.value, t.text, t.segments FROM pg_temp.nasty() n CROSS JOIN LATERAL retention.preview_template('unpaid_reminder', n.value) t
WHERE n.value ~ '\{\{|%|\\|\$' ORDER BY n.no;
UPDATE retention.care_template SET text = '{{name; DROP TABLE retention.purchase}}';
UPDATE retention.care_template SET text = '{{' || repeat('x', 200) || '}}';
UPDATE retention.care_template SET text = repeat('{{name|', 30);

-- Bytes that are no text never get as far as us.
SELECT retention.redeem(E'\x00', 1, 'x');
SELECT retention.redeem(convert_from('\xff'::bytea, 'UTF8'), 1, 'x');
SELECT retention.points_balance(E'\u0000');

SELECT count(*) FROM retention.purchase WHERE value = 20;
SELECT * FROM wrong;
SELECT * FROM retention.check_ledger();
\set ECHO none
RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA "shop'; DROP TABLE ""x""; --" CASCADE;
\i test/include/stop.sql
