-- attach_lines() and lines(): order lines, read where the shop keeps them.
\set ECHO none
\i test/include/start.sql
CREATE SCHEMA shop;
CREATE ROLE regress_shop;
CREATE ROLE regress_analyst;
GRANT retention_reader TO regress_analyst;
GRANT USAGE, CREATE ON SCHEMA shop TO regress_shop;

CREATE TABLE shop.orders (id integer PRIMARY KEY, customer integer, total numeric, paid timestamptz);
CREATE TABLE shop.items (id integer PRIMARY KEY, order_id integer, sku text, qty integer, cents integer);
ALTER TABLE shop.orders OWNER TO regress_shop;
ALTER TABLE shop.items OWNER TO regress_shop;

-- Before anything is attached there are none.
SELECT * FROM retention.lines();
SELECT retention.attach_lines('shop.items', 'order_id', 'sku');
SET client_min_messages = warning;
SELECT retention.attach_orders('shop.orders', 'id', 'customer', 'total', paid_at => 'paid');
RESET client_min_messages;
SELECT retention.attach_lines('shop.items', 'order_id', NULL);
SELECT retention.attach_lines('shop.items', 'order_id', 'skuu');
SELECT retention.attach_lines('shop.items', 'order_id', 'sku', quantity => 'qty > 1');
SELECT retention.attach_lines('shop.items', 'order_id', 'sku', quantity => 'qty', amount => 'cents / 100.0');
SELECT retention.attach_lines('shop.items', 'order_id', 'sku');
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'shop.items'::regclass;

SET ROLE regress_shop;
INSERT INTO shop.orders SELECT i, i % 3, 10, timestamptz '2024-03-01' + i * interval '1 day' FROM generate_series(1, 20) AS i;
INSERT INTO shop.items SELECT i, 1 + i / 2, 'sku-' || i % 4, i % 3, i * 100 FROM generate_series(0, 39) AS i;
RESET ROLE;

-- A reader needs no right on the shop's table.
SET ROLE regress_analyst;
-- What cannot be an id of this table has no line here.
SELECT * FROM retention.lines(ARRAY['3', 'x', '-', '99999999999', '', NULL]::text[]) ORDER BY order_id, product;
SELECT * FROM retention.lines(ARRAY['3', '17', '99']) ORDER BY order_id, product;
SELECT count(*) FROM retention.lines('{}');
SELECT count(*), sum(quantity), sum(amount) FROM retention.lines();
SELECT count(*) FROM retention.lines(shop => 'shop');
SELECT count(*) FROM retention.lines(shop => 'nowhere');
SELECT count(*) FROM shop.items;
RESET ROLE;

-- Joined with purchases, either way, and beside the plain join.
SELECT p.customer_id, l.product, sum(l.amount)
FROM retention.purchase p
JOIN retention.lines() l USING (source_id, order_id)
GROUP BY 1, 2
EXCEPT
SELECT o.customer::text, i.sku, sum(i.cents / 100.0)
FROM shop.orders o
JOIN shop.items i ON i.order_id = o.id
GROUP BY 1, 2;
SELECT p.order_id, l.product, l.quantity
FROM retention.purchase p
CROSS JOIN LATERAL retention.lines(ARRAY[p.order_id]) l
WHERE p.customer_id = '2' AND p.paid_at >= '2024-03-15'
ORDER BY p.order_id::integer, l.product;

-- What the calling query sees: not copied, so nothing is out of date.
BEGIN;
DELETE FROM shop.items WHERE order_id = 3;
SELECT count(*) FROM retention.lines(ARRAY['3']);
ROLLBACK;
SELECT count(*) FROM retention.lines(ARRAY['3']);

-- Found by index, in the column's own type.
CREATE INDEX ON shop.items (order_id);
INSERT INTO shop.items SELECT i, i, 'sku', 1, 1 FROM generate_series(1000, 30999) AS i;
ANALYZE shop.items;
SELECT pg_stat_force_next_flush();
SELECT pg_stat_reset_single_table_counters('shop.items'::regclass);
SELECT count(*) FROM retention.lines(ARRAY['5000', '6000', '7000']);
SELECT pg_stat_force_next_flush();
SELECT seq_scan, idx_scan > 0 AS by_index FROM pg_stat_user_tables WHERE relid = 'shop.items'::regclass;

-- It runs as the owner and only reads, whatever its expressions do.
CREATE FUNCTION shop.who(t text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN current_user; END $$;
CREATE TABLE shop.log (note text);
ALTER TABLE shop.log OWNER TO regress_shop;
CREATE FUNCTION shop.write(t text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN INSERT INTO shop.log VALUES (t); RETURN t; END $$;
SELECT retention.detach('shop.items');
SELECT count(*) FROM retention.lines();
SELECT retention.attach_lines('shop.items', 'order_id', 'shop.who(sku)');
SELECT DISTINCT product FROM retention.lines(ARRAY['3']);
SELECT current_user = session_user AS back, current_setting('transaction_read_only') AS read_only;
SELECT retention.detach('shop.items');
SELECT retention.attach_lines('shop.items', 'order_id', 'shop.write(sku)');
SELECT * FROM retention.lines(ARRAY['3']);
SELECT current_user = session_user AS back, current_setting('transaction_read_only') AS read_only;
-- Nothing to sync; detach works without the table.
CALL retention.backfill('shop.items');
SELECT retention.resync('shop.items');
-- Only the rows that are lines.
SELECT retention.detach('shop.items');
SELECT retention.attach_lines('shop.items', 'order_id', 'sku', condition => 'qtyy > 1');
SELECT retention.attach_lines('shop.items', 'order_id', 'sku', condition => 'true) OR (true');
SELECT retention.attach_lines('shop.items', 'order_id', 'sku', quantity => 'qty', condition => 'qty > 1 AND id < 10 -- more than one');
SELECT order_id, product, quantity FROM retention.lines() ORDER BY 1, 2;
DROP TABLE shop.items;
SELECT * FROM retention.lines();
SELECT retention.detach('shop.items');

SET client_min_messages = warning;
DROP SCHEMA shop CASCADE;
DROP OWNED BY regress_shop;
DROP ROLE regress_shop;
DROP ROLE regress_analyst;
\set ECHO none
\i test/include/stop.sql
