-- What a backfill with points would post, before it does.
\set ECHO none
\i test/include/start.sql

CREATE SCHEMA preview;
CREATE TABLE preview.orders (
	id integer PRIMARY KEY,
	customer text,
	total numeric,
	paid_at timestamptz
);
INSERT INTO preview.orders
VALUES
	(1, 'ann', 900, '2024-01-10 12:00+00'),
	(2, 'ann', 200, '2024-02-10 12:00+00'),
	(3, 'ann', 100, '2024-03-10 12:00+00'),
	(4, 'ben', 50, '2024-03-11 12:00+00'),
	(5, NULL, 70, '2024-03-12 12:00+00');
SET retention.clock = '2024-05-01 12:00+00';
INSERT INTO retention.shop (shop_id, name, time_zone, accrue_on) VALUES (1, 'Tea House', 'UTC', 'paid');
SELECT retention.attach_orders('preview.orders', 'id', 'customer', 'total', paid_at => 'paid_at');

-- All of it: the third order is multiplied by the tier that the first two reached.
SELECT * FROM retention.backfill_preview('preview.orders');
-- From a date on.
SELECT customer_id, order_id, points FROM retention.backfill_preview('preview.orders', points_from => '2024-03-01');

-- Nothing was kept of it: no purchase, no entry, no batch, and no change of the date.
SELECT
	(SELECT count(*) FROM retention.purchase) AS purchases,
	(SELECT count(*) FROM retention.points_entry) AS entries,
	(SELECT count(*) FROM retention.customer_stats) AS customers,
	(SELECT count(*) FROM retention.backfill_batch) AS batches,
	(SELECT points_from = attached_at FROM retention.source) AS points_from_unchanged;

-- What it showed is what the backfill then posts, and after it nothing is left to post.
CREATE TABLE preview.shown AS SELECT * FROM retention.backfill_preview('preview.orders', '2024-02-01');
SET client_min_messages = warning;
CALL retention.backfill('preview.orders', points => true, points_from => '2024-02-01');
RESET client_min_messages;
SELECT count(*) AS differences
FROM (
	(SELECT customer_id, entry_no, points, effective_at, order_id FROM preview.shown
	EXCEPT
	SELECT customer_id, entry_no, points, effective_at, order_id FROM retention.points_entry)
	UNION ALL
	(SELECT customer_id, entry_no, points, effective_at, order_id FROM retention.points_entry
	EXCEPT
	SELECT customer_id, entry_no, points, effective_at, order_id FROM preview.shown)
) AS d;
SELECT count(*) FROM retention.backfill_preview('preview.orders', '2024-02-01');
-- Going further back would post just what is missing.
SELECT customer_id, entry_no, order_id, points FROM retention.backfill_preview('preview.orders');

-- An unknown source is an error.
SELECT * FROM retention.backfill_preview('preview.nothing');

SELECT * FROM retention.check_ledger();
\set ECHO none
\i test/include/stop.sql
DROP SCHEMA preview CASCADE;
