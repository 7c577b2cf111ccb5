-- attach_reviews() and record_feedback(): what customers say back.
\set ECHO none
\i test/include/start.sql
CREATE SCHEMA shop;

CREATE TABLE shop.orders (id bigint PRIMARY KEY, customer integer, total numeric, paid timestamptz);
CREATE TABLE shop.reviews (
	id uuid PRIMARY KEY,
	order_id bigint,
	stars integer,
	body text,
	created_at timestamptz DEFAULT '2024-04-20 10:00+00'
);
CREATE TABLE shop.no_key (order_id bigint, created_at timestamptz);

CREATE VIEW shop.recorded AS
	SELECT customer_id, kind, right(reference, 2) AS reference, source_id, order_id, score, content, happened_at, recorded_at
	FROM retention.feedback
	ORDER BY customer_id, reference;

-- Errors.
SELECT retention.attach_reviews('shop.reviews', 'created_at', order_id => 'order_id');
SELECT retention.create_shop('Tea House');
SELECT retention.attach_reviews('shop.reviews', 'created_at', order_id => 'order_id');
SET client_min_messages = warning;
SELECT retention.attach_orders('shop.orders', 'id', 'customer', 'total', paid_at => 'paid');
RESET client_min_messages;
SELECT retention.attach_reviews('shop.reviews', NULL, order_id => 'order_id');
SELECT retention.attach_reviews('shop.reviews', 'created_at');
SELECT retention.attach_reviews('shop.no_key', 'created_at', order_id => 'order_id');
SELECT retention.attach_reviews('shop.reviews', 'created_at', order_id => 'order_id', score => 'stars > 3');
SELECT retention.attach_reviews('shop.reviews', 'created_at', order_id => 'order_id', orders => 'shop.old_orders');
SELECT retention.attach_reviews('shop.reviews', 'created_at', order_id => 'order_id', score => 'stars', content => 'body');

-- Order and review in one transaction, in whichever order the shop writes them.
BEGIN;
INSERT INTO shop.reviews VALUES ('00000000-0000-0000-0000-000000000001', 1, 5, ' Lovely tea ');
INSERT INTO shop.orders VALUES (1, 42, 100, '2024-04-01');
COMMIT;
SELECT * FROM shop.recorded;

-- Many, then changed, moved to another order, and taken away.
INSERT INTO shop.orders VALUES (2, 43, 50, '2024-04-02'), (3, NULL, 10, '2024-04-02');
INSERT INTO shop.reviews VALUES
	('00000000-0000-0000-0000-000000000002', 2, 1, 'Broken cup'),
	('00000000-0000-0000-0000-000000000003', 2, NULL, ''),
	('00000000-0000-0000-0000-000000000004', 3, 3, 'No customer'),
	('00000000-0000-0000-0000-000000000005', 99, 3, 'No order');
SELECT * FROM shop.recorded;
SET retention.clock = '2024-05-02 00:00+00';
UPDATE shop.reviews SET stars = 4, body = 'Replaced at once' WHERE order_id = 2 AND stars = 1;
UPDATE shop.reviews SET order_id = 2 WHERE order_id = 1;
DELETE FROM shop.reviews WHERE stars IS NULL;
SELECT * FROM shop.recorded;
-- An order that comes later: its reviews come by resync or backfill.
INSERT INTO shop.orders VALUES (99, 44, 5, '2024-04-02');
SELECT retention.resync('shop.reviews', '00000000-0000-0000-0000-000000000005');
SELECT * FROM shop.recorded WHERE customer_id = '44';

-- What cannot be used is remembered; the shop's write goes through.
INSERT INTO shop.reviews VALUES
	('00000000-0000-0000-0000-000000000006', 1, 10, 'ten of ten', '2024-04-20'),
	('00000000-0000-0000-0000-000000000007', 1, 5, 'no date', NULL),
	('00000000-0000-0000-0000-000000000008', 1, 5, 'good', '2024-04-20');
SELECT right(order_id, 2) AS review, sqlstate, message FROM retention.sync_error ORDER BY 1;
DELETE FROM shop.reviews WHERE stars = 10 OR created_at IS NULL;
SELECT count(*) FROM retention.sync_error;

-- Backfill again, or resync of all, changes nothing.
CREATE TEMP TABLE before AS SELECT xmin::text AS version, * FROM retention.feedback;
SET client_min_messages = warning;
CALL retention.backfill('shop.reviews');
RESET client_min_messages;
SELECT retention.resync('shop.reviews', everything => true);
SELECT count(*), count(*) FILTER (WHERE b.version = f.xmin::text) AS unchanged
FROM retention.feedback f
LEFT JOIN before b USING (customer_id, reference);
DROP TABLE before;
SELECT * FROM wrong;

-- Recorded by hand; a reference repeated replaces.
SELECT retention.record_feedback('42', 'complaint', 'Parcel late', order_id => '1', reference => 'ticket-7');
SELECT retention.record_feedback('42', 'complaint', 'Parcel late; voucher sent', order_id => '1', reference => 'ticket-7');
SELECT length(retention.record_feedback('43', 'call', 'Will order in autumn')) > 0 AS made;
SELECT retention.record_feedback('nobody', 'call');
SELECT retention.record_feedback('43', 'complaint', order_id => '1');
SELECT retention.record_feedback('43', 'letter');
SELECT retention.record_feedback('43', 'call', score => 6);
SELECT customer_id, kind, feedback_source_id, source_id, order_id, content FROM retention.feedback WHERE kind <> 'review' ORDER BY 1;

-- TRUNCATE takes all away at the next sync; what was recorded by hand stays.
TRUNCATE shop.reviews;
SELECT retention.resync('shop.reviews') > 0 AS settled;
SELECT kind, count(*) FROM retention.feedback GROUP BY kind ORDER BY kind;
SELECT retention.detach('shop.reviews');
INSERT INTO shop.reviews VALUES ('00000000-0000-0000-0000-000000000009', 1, 5, 'not recorded');
SELECT count(*) FROM retention.feedback WHERE kind = 'review';

-- By customer, with another scale and a key of one's own.
SELECT retention.attach_reviews('shop.no_key', 'created_at', customer => '42', score => '50 / 20.0', review_id => 'order_id::text || created_at');
INSERT INTO shop.no_key VALUES (7, '2024-04-21');
SELECT customer_id, order_id, score, happened_at FROM retention.feedback WHERE kind = 'review';

-- Only those for which a condition holds; one for which it holds no more is taken away.
SELECT retention.detach('shop.no_key');
ALTER TABLE shop.no_key ADD COLUMN approved boolean NOT NULL DEFAULT true;
SELECT retention.attach_reviews('shop.no_key', 'created_at', customer => '43', review_id => 'order_id', condition => 'approved');
INSERT INTO shop.no_key VALUES (8, '2024-04-22', true), (9, '2024-04-23', false);
SELECT customer_id, happened_at FROM retention.feedback WHERE kind = 'review' AND customer_id = '43';
UPDATE shop.no_key SET approved = false WHERE order_id = 8;
SELECT count(*) FROM retention.feedback WHERE kind = 'review' AND customer_id = '43';

SET client_min_messages = warning;
DROP SCHEMA shop CASCADE;
\set ECHO none
\i test/include/stop.sql
