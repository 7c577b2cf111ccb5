-- customer_history: a customer with thousands of purchases costs no more than
-- one with ten; the older ones lie in chunks.
\set ECHO none
\i test/include/start.sql

CREATE SCHEMA customer_history;
CREATE TABLE customer_history.orders (id integer PRIMARY KEY, customer text, total numeric, paid_at timestamptz);
SELECT retention.attach_orders('customer_history.orders', 'id', 'customer', 'total', paid_at => 'paid_at', completed_at => 'paid_at', on_delete => 'reverse');
-- Points are another matter.
UPDATE retention.shop SET points_rate = 0;
SET retention.clock = '2034-05-02 12:00+00';

-- What is kept of a customer, against plain SQL over the shop's orders.
CREATE VIEW customer_history.compared AS
SELECT
	s.customer_id,
	s.purchases,
	s.spent,
	c.chunks > 0 AS has_chunks,
	pg_column_size(s.history) <= 1100 AND c.largest <= 2000 AS small,
	(s.purchases, s.spent, s.first_purchase_at, s.last_purchase_at) IS NOT DISTINCT FROM (o.purchases, coalesce(o.spent, 0), o.first, o.last) AS equal,
	h.history::text IS NOT DISTINCT FROM o.history::text AS same_history,
	c.ordered
FROM retention.customer_stats s
CROSS JOIN LATERAL (
	SELECT count(*) AS purchases, sum(o.total) AS spent, min(o.paid_at) AS first, max(o.paid_at) AS last,
		coalesce(retention.purchase_history(o.paid_at, o.total)::text, '{}') AS history
	FROM customer_history.orders o
	WHERE o.customer = s.customer_id AND o.paid_at IS NOT NULL
) AS o
CROSS JOIN LATERAL (
	SELECT coalesce(retention.merge(u.history)::text, '{}') AS history
	FROM (
		SELECT c.history
		FROM retention.customer_history c
		WHERE c.shop_id = s.shop_id AND c.customer_id = s.customer_id
		UNION ALL
		SELECT s.history
	) AS u
) AS h
CROSS JOIN LATERAL (
	-- Each chunk's purchases lie between its start and the next one's.
	SELECT
		count(*) AS chunks,
		coalesce(max(pg_column_size(c.history)), 0) AS largest,
		coalesce(bool_and(retention.first_purchase(c.history) >= c.starts_at AND retention.last_purchase(c.history) < c.next_start), true) AS ordered
	FROM (
		SELECT c.history, c.starts_at, coalesce(lead(c.starts_at) OVER (ORDER BY c.starts_at), s.history_from) AS next_start
		FROM retention.customer_history c
		WHERE c.shop_id = s.shop_id AND c.customer_id = s.customer_id
	) AS c
) AS c
ORDER BY s.customer_id;

-- ---------------------------------------------------------------------------
-- 3,000 in bulk, 3,000 one by one
-- ---------------------------------------------------------------------------

INSERT INTO customer_history.orders
SELECT i, 'bulk', i % 1000 + 0.99, timestamptz '2024-05-02 00:00+00' + i * interval '1 hour 7 seconds'
FROM generate_series(1, 3000) AS i;
SELECT * FROM customer_history.compared;

CREATE PROCEDURE customer_history.one_by_one(first_id integer, last_id integer, customer text, start timestamptz, step interval)
	LANGUAGE plpgsql
AS $$
BEGIN
	FOR i IN first_id..last_id LOOP
		INSERT INTO customer_history.orders VALUES (i, customer, i % 1000 + 0.99, start + (i - first_id) * step);
		COMMIT;
	END LOOP;
END
$$;
CALL customer_history.one_by_one(10001, 13000, 'one by one', '2024-05-02 00:00+00', '1 hour 7 seconds');
SELECT * FROM customer_history.compared;

-- Backwards in time.
CALL customer_history.one_by_one(20001, 21500, 'backwards', '2034-05-02 00:00+00', '-1 hour 7 seconds');
SELECT * FROM customer_history.compared WHERE customer_id = 'backwards';

-- ---------------------------------------------------------------------------
-- Changes anywhere in a long history
-- ---------------------------------------------------------------------------

-- Dated back into an old chunk, before all chunks, and to the very moments at
-- which chunks meet.
INSERT INTO customer_history.orders VALUES (30000, 'bulk', 7, '2024-05-20 12:34:56+00'), (30001, 'bulk', 8, '2024-04-01 00:00+00');
INSERT INTO customer_history.orders
SELECT 30100 + row_number() OVER (ORDER BY c.starts_at), 'bulk', 9, c.starts_at
FROM retention.customer_history c
WHERE c.customer_id = 'bulk' AND c.starts_at > '-infinity';
INSERT INTO customer_history.orders
SELECT 30200, 'bulk', 10, s.history_from
FROM retention.customer_stats s
WHERE s.customer_id = 'bulk';
SELECT * FROM customer_history.compared WHERE customer_id = 'bulk';
-- The oldest, the newest and some in the middle go, deleted or not paid after all.
DELETE FROM customer_history.orders WHERE id IN (30001, 3000, 1, 1500);
UPDATE customer_history.orders SET paid_at = NULL WHERE id IN (2, 2999, 1501);
SELECT * FROM customer_history.compared WHERE customer_id = 'bulk';
-- All amounts change in one statement, all times in another.
UPDATE customer_history.orders SET total = total + 1 WHERE customer = 'bulk';
SELECT * FROM customer_history.compared WHERE customer_id = 'bulk';
UPDATE customer_history.orders SET paid_at = paid_at - interval '1 year' WHERE customer = 'bulk';
SELECT * FROM customer_history.compared WHERE customer_id = 'bulk';
-- All orders of one customer become another's, who has a long history too.
UPDATE customer_history.orders SET customer = 'one by one' WHERE customer = 'bulk';
SELECT * FROM customer_history.compared;
-- All of a customer's orders but one go.
DELETE FROM customer_history.orders WHERE customer = 'one by one' AND id <> 12000;
SELECT * FROM customer_history.compared WHERE customer_id <> 'backwards';
SELECT count(*) FROM retention.customer_history WHERE customer_id <> 'backwards';
-- And come again, by a backfill of small batches.
ALTER TABLE customer_history.orders DISABLE TRIGGER ALL;
INSERT INTO customer_history.orders
SELECT i, 'one by one', i % 1000 + 0.99, timestamptz '2024-05-02 00:00+00' + i * interval '1 hour 7 seconds'
FROM generate_series(1, 3000) AS i;
ALTER TABLE customer_history.orders ENABLE TRIGGER ALL;
SET client_min_messages = warning;
CALL retention.backfill('customer_history.orders', batch => 100);
RESET client_min_messages;
SELECT * FROM customer_history.compared WHERE customer_id = 'one by one';
SELECT pg_temp.recorded() AS before \gset
SELECT retention.resync('customer_history.orders', everything => true);
SELECT pg_temp.recorded() = :'before' AS unchanged;

-- ---------------------------------------------------------------------------
-- A thousand purchases of one moment cannot be divided, and are right all the same
-- ---------------------------------------------------------------------------

INSERT INTO customer_history.orders
SELECT 40000 + i, 'moment', i, '2024-05-02 00:00+00'
FROM generate_series(1, 1000) AS i;
INSERT INTO customer_history.orders
SELECT 42000 + i, 'moment', i, timestamptz '2024-05-01 00:00+00' + i * interval '17 minutes'
FROM generate_series(1, 1000) AS i;
SELECT customer_id, purchases, equal, same_history, ordered FROM customer_history.compared WHERE customer_id = 'moment';
DELETE FROM customer_history.orders WHERE customer = 'moment' AND id % 2 = 0;
SELECT customer_id, purchases, equal, same_history, ordered FROM customer_history.compared WHERE customer_id = 'moment';

-- What came before such a moment, as the latest there is, still moves to chunks.
INSERT INTO customer_history.orders
SELECT 44000 + i, 'at once', i, timestamptz '2024-05-01 00:00+00' + CASE WHEN i <= 100 THEN i * interval '1 hour 7 seconds' ELSE '30 days' END
FROM generate_series(1, 1000) AS i;
SELECT c.customer_id, c.purchases, c.has_chunks, c.equal, c.same_history, c.ordered, s.history_from = s.last_purchase_at AS only_the_moment
FROM customer_history.compared AS c
JOIN retention.customer_stats AS s USING (customer_id)
WHERE c.customer_id = 'at once';

-- ---------------------------------------------------------------------------
-- A tier as of long ago is found in the chunks
-- ---------------------------------------------------------------------------

UPDATE retention.shop SET tier_window = '30 days';
INSERT INTO customer_history.orders VALUES
	(50000, 'one by one', 100, '2024-05-02 00:30+00'),
	(50001, 'one by one', 100, '2024-07-01 00:30+00');
SELECT
	p.order_id,
	p.accrual_multiplier,
	(
		SELECT retention.tier_of(spent => coalesce(sum(o.total), 0), purchases => count(*))
		FROM customer_history.orders o
		WHERE o.customer = p.customer_id AND o.paid_at < p.paid_at AND o.paid_at >= p.paid_at - interval '30 days'
	) AS tier
FROM retention.purchase p
WHERE p.order_id IN ('50000', '50001')
ORDER BY 1;

SELECT * FROM wrong;

\set ECHO none
\i test/include/stop.sql
DROP SCHEMA customer_history CASCADE;
