-- More orders in one statement than are synced at once: first only their owners
-- are read and locked, then the orders batch by batch.
\set ECHO none
\i test/include/start.sql

CREATE SCHEMA attach_many;
CREATE TABLE attach_many.orders (
	id integer PRIMARY KEY,
	customer text,
	total numeric,
	divisor integer DEFAULT 1,
	refund_of integer,
	shop text DEFAULT 'Tea House',
	paid_at timestamptz
);
INSERT INTO retention.shop (shop_id, name, accrue_on) VALUES (1, 'Tea House', 'paid'), (2, 'Coffee House', 'paid');
SELECT retention.attach_source('many', for_shop => 'Tea House', facts => 'SELECT o.paid_at, o.id AS order_id, o.refund_of, o.total / o.divisor AS total,
	o.customer, o.shop FROM attach_many.orders o');
SELECT retention.watch('many', 'attach_many.orders', order_id => 'id');
SET retention.clock = '2024-05-01 12:00+00';

-- Where plain SQL says otherwise of the orders that can be read than what is kept.
CREATE VIEW attach_many.differences AS
WITH sale AS (
	SELECT o.shop, o.customer, o.total / o.divisor + coalesce(sum(r.total), 0) AS value
	FROM attach_many.orders o
	LEFT JOIN attach_many.orders r ON r.refund_of = o.id
	WHERE o.customer <> '' AND o.divisor <> 0 AND o.refund_of IS NULL AND o.paid_at < 'infinity'
	GROUP BY o.id
), expected AS (
	SELECT shop, customer, count(*) AS purchases, sum(value) AS spent
	FROM sale
	WHERE value > 0
	GROUP BY shop, customer
)
SELECT e::text AS expected, s::text AS kept
FROM expected e
FULL JOIN (retention.customer_stats s JOIN retention.shop h USING (shop_id)) ON h.name = e.shop AND s.customer_id = e.customer
WHERE (e.purchases, e.spent, e.spent) IS DISTINCT FROM
	(nullif(s.purchases, 0), nullif(s.spent, 0), retention.spent(s.history));

-- ---------------------------------------------------------------------------
-- Inserted, with a refund of an order that is not among them, orders of two
-- shops, of nobody, and of which one cannot be read
-- ---------------------------------------------------------------------------

INSERT INTO attach_many.orders (id, customer, total, paid_at) VALUES (100001, 'early', 50, '2024-05-01 11:00+00');
INSERT INTO attach_many.orders (id, customer, total, divisor, refund_of, shop, paid_at)
SELECT n, CASE WHEN n % 100 = 7 THEN NULL ELSE 'c' || n % 333 END, CASE WHEN n = 50 THEN -20 ELSE n % 50 + 0.5 END,
	CASE WHEN n = 500 THEN 0 ELSE 1 END, CASE WHEN n = 50 THEN 100001 END,
	CASE WHEN n % 10 = 3 THEN 'Coffee House' ELSE 'Tea House' END,
	CASE WHEN n = 501 THEN 'infinity' ELSE '2024-05-01 12:00+00'::timestamptz - n * interval '1 second' END
FROM generate_series(1, 12000) AS n;
SELECT count(*), count(DISTINCT customer_id) FROM retention.purchase;
SELECT * FROM attach_many.differences LIMIT 5;
SELECT * FROM wrong;
SELECT order_id, value, refunded_by_orders FROM retention.purchase WHERE order_id IN ('50', '100001') ORDER BY 1;
SELECT order_id, sqlstate, message, attempts FROM retention.sync_error ORDER BY 1;

-- ---------------------------------------------------------------------------
-- Changed: other totals, half of them with another customer, the errors mended
-- ---------------------------------------------------------------------------

UPDATE attach_many.orders
SET total = CASE WHEN refund_of IS NULL THEN total + 1 ELSE total END, divisor = 1,
	paid_at = least(paid_at, '2024-05-01 12:00+00'), customer = CASE WHEN id % 2 = 0 THEN 'd' || id % 777 ELSE customer END
WHERE id < 100000;
SELECT count(*), count(DISTINCT customer_id) FROM retention.purchase;
SELECT * FROM attach_many.differences LIMIT 5;
SELECT * FROM wrong;
SELECT count(*) FROM retention.sync_error;

-- ---------------------------------------------------------------------------
-- Nothing to do, and all gone
-- ---------------------------------------------------------------------------

SELECT pg_temp.recorded() AS before \gset
UPDATE attach_many.orders SET total = total;
SELECT pg_temp.recorded() = :'before' AS unchanged;
UPDATE retention.source SET on_delete = 'reverse';
DELETE FROM attach_many.orders;
SELECT count(*) FROM retention.purchase;
SELECT * FROM attach_many.differences LIMIT 5;
SELECT * FROM wrong;

DROP SCHEMA attach_many CASCADE;
\set ECHO none
\i test/include/stop.sql
