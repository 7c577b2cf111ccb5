-- tier_of(): the tier reached, by the shipped ladder or a shop's own.

-- The shipped ladder needs no shop.
SELECT rung, name, name_zh, min_spent, min_purchases, match, multiplier, discount FROM retention.tier_default ORDER BY rung;
SELECT retention.tier_of(spent => 5200, purchases => 4);
SELECT spent, purchases, retention.tier_of(spent, purchases)
FROM (
	VALUES
		(0, 0), (-50, 1), (999.99, 4), (1000, 1), (10, 5), (10, 19), (10, 20), (4999.99, 20), (5000, 1),
		(19999.99, 9000), (20000, 1), ('Infinity', 1), (NULL, NULL), (NULL, 5), (1000, NULL)
	) AS v (spent, purchases);
SELECT retention.tier_of(), retention.tier_of(1500), retention.tier_of(purchases => 7), retention.tier_of(shop => NULL);
SELECT retention.tier_of(spent => 'NaN');
SELECT retention.tier_of(100, 1, 'nowhere');
SELECT retention.shop_id() AS no_shop_yet;
SELECT retention.shop_id('nowhere');

-- With one shop it is the one that is meant.
INSERT INTO retention.shop (shop_id, name) VALUES (7, 'Tea House');
SELECT retention.shop_id(), retention.shop_id('Tea House');
SELECT retention.tier_of(5200, 4), retention.tier_of(5200, 4, 'Tea House');

-- Its own ladder replaces the shipped one wholly, at once in the transaction
-- that makes it.
BEGIN;
INSERT INTO retention.tier (shop_id, rung, name, min_spent, min_purchases, match) VALUES
	(7, 10, 'guest', NULL, 1, 'any'),
	(7, 20, 'friend', 200, 3, 'any'),
	(7, 30, 'family', 200, 3, 'all');
SELECT spent, purchases, retention.tier_of(spent, purchases)
FROM (VALUES (0, 0), (0, 1), (200, 0), (199, 3), (200, 3), (5200, 2)) AS v (spent, purchases);
SAVEPOINT dearer;
UPDATE retention.tier SET min_spent = 10000 WHERE name = 'family';
SELECT retention.tier_of(200, 3), retention.tier_of(10000, 3);
ROLLBACK TO dearer;
SELECT retention.tier_of(200, 3);
ROLLBACK;
-- Rolled back, nothing of it is left in memory.
SELECT retention.tier_of(200, 3), retention.tier_of(5200, 4);

-- Committed it stays, until the last rung is gone.
INSERT INTO retention.tier (shop_id, rung, name, min_spent) VALUES (7, 1, 'friend', 200);
SELECT retention.tier_of(100, 9) AS none_reached, retention.tier_of(5200, 4);
TRUNCATE retention.tier;
SELECT retention.tier_of(100, 9), retention.tier_of(5200, 4);

-- With several shops one must be named; each has its own ladder.
INSERT INTO retention.shop (shop_id, name) VALUES (8, 'Book Shop');
INSERT INTO retention.tier (shop_id, rung, name, min_spent) VALUES (8, 1, 'reader', 0);
SELECT retention.tier_of(5200, 4);
SELECT retention.shop_id();
SELECT retention.tier_of(5200, 4, 'Book Shop'), retention.tier_of(5200, 4, shop => 'Tea House');
SELECT retention.tier_of(5200, 4, 'Bookshop');
UPDATE retention.shop SET name = 'Bookshop' WHERE shop_id = 8;
SELECT retention.tier_of(5200, 4, 'Bookshop');

-- A role without rights on our tables may still ask.
CREATE ROLE tier_test_anyone;
GRANT USAGE ON SCHEMA retention TO tier_test_anyone;
SET ROLE tier_test_anyone;
SELECT retention.tier_of(5200, 4, 'Tea House');
SELECT count(*) FROM retention.tier;
RESET ROLE;
REVOKE USAGE ON SCHEMA retention FROM tier_test_anyone;
DROP ROLE tier_test_anyone;

-- In a transaction with an old snapshot settings are the present ones, and
-- what is kept in memory is right for the next.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT retention.tier_of(5200, 4, 'Bookshop');
UPDATE retention.tier SET name = 'bookworm';
SELECT retention.tier_of(5200, 4, 'Bookshop');
COMMIT;
SELECT retention.tier_of(5200, 4, 'Bookshop');

-- In parallel workers.
CREATE TABLE tier_test AS SELECT n AS spent FROM generate_series(1, 30000) AS n;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT count(*) FROM tier_test WHERE retention.tier_of(spent, 1, 'Tea House') = 'gold';
SELECT retention.tier_of(spent, 1, 'Tea House') AS tier, count(*) FROM tier_test GROUP BY 1 ORDER BY 2;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather;
DROP TABLE tier_test;

-- Rungs that make no sense are refused.
INSERT INTO retention.tier (shop_id, rung, name, min_spent) VALUES (7, 1, 'free', -1);
INSERT INTO retention.tier (shop_id, rung, name, min_spent) VALUES (7, 1, 'never', 'NaN');
INSERT INTO retention.tier (shop_id, rung, name, multiplier) VALUES (7, 1, 'much', 'Infinity');
INSERT INTO retention.tier (shop_id, rung, name, discount) VALUES (7, 1, 'gift', 0);
INSERT INTO retention.tier (shop_id, rung, name, match) VALUES (7, 1, 'either', 'some');
INSERT INTO retention.tier (shop_id, rung, name) VALUES (8, 1, 'twin');
DELETE FROM retention.shop WHERE shop_id = 8;

DELETE FROM retention.tier;
DELETE FROM retention.shop;
SELECT retention.tier_of(5200, 4);
