-- What is done with points, step by step, and what is refused.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO, YMD';
INSERT INTO retention.shop (shop_id, name, time_zone, points_expiry, points_expiry_months)
VALUES (1, 'club', 'UTC', 'end_of_month', 1);
INSERT INTO retention.customer (shop_id, customer_id) VALUES (1, '42'), (1, '43'), (1, '7d444840-9dc0-11d1-b245-5ffdce74fad2');

-- A bonus lapses by the shop's rule, or has an expiry of its own.
SELECT * FROM retention.grant('42', 100, 'welcome', 'g1', at => '2024-01-10');
SELECT * FROM retention.grant(42, 50, 'weekend', 'g2', expires_at => '2024-02-01', at => '2024-01-11');
SELECT entry_no, remaining, expires_at FROM retention.points_lot ORDER BY entry_no;

-- Points that lapse first go first; repeating the request changes nothing.
SELECT * FROM retention.redeem('42', 60, reference => 'order-1', order_id => '1', at => '2024-01-12');
SELECT * FROM retention.redeem('42', 60, reference => 'order-1', order_id => '1', at => '2024-01-20');
SELECT entry_no, remaining FROM retention.points_lot ORDER BY entry_no;

-- A hold: not available to others; captured in part, the rest is free again.
SELECT * FROM retention.hold('42', 80, reference => 'cart-1', timeout => '1 hour', at => '2024-01-12 10:00');
SELECT * FROM retention.hold('42', 80, reference => 'cart-1', timeout => '1 hour', at => '2024-01-12 10:05');
SELECT retention.points_balance('42', '2024-01-12 10:30') AS held, retention.points_balance('42', '2024-01-12 11:00') AS timed_out;
SELECT * FROM retention.capture('42', 'cart-1', 30, at => '2024-01-12 10:40');
SELECT * FROM retention.capture('42', 'cart-1', 30, at => '2024-01-13');

-- Timed out: the points can be spent although nobody swept.
SELECT * FROM retention.hold('42', 60, reference => 'cart-2', timeout => '1 hour', at => '2024-01-14 10:00');
SELECT * FROM retention.redeem('42', 60, reference => 'order-2', at => '2024-01-14 11:00');
SELECT state, resolved_at FROM retention.points_hold WHERE reference = 'cart-2';
SELECT * FROM retention.release('42', 'cart-2', at => '2024-01-14 12:00');

-- Cancelled: back to the very lots, also those that have lapsed by now.
SELECT * FROM retention.cancel_redemption('42', 'order-1', 20, 'return-1', at => '2024-01-15');
SELECT * FROM retention.cancel_redemption('42', 'order-1', 20, 'return-1', at => '2024-01-16');
SELECT * FROM retention.cancel_redemption('42', 'order-1', at => '2024-02-10');
SELECT entry_no, accrued, remaining, lapsed, expires_at FROM retention.points_lot ORDER BY entry_no;

-- Corrections by hand; what is taken beyond the points there are is debt.
SELECT * FROM retention.adjust('42', 25, 'parcel was late', 'a1', at => '2024-02-11');
SELECT * FROM retention.adjust('42', -100, 'granted twice', 'a2', at => '2024-02-11');
SELECT points_posted, points_debt, retention.points_balance('42', '2024-02-11') FROM retention.customer_stats WHERE customer_id = '42';
SELECT * FROM retention.grant('42', 200, 'sorry', 'g3', at => '2024-02-12');

-- Two accounts become one; the points keep their expiry.
SELECT * FROM retention.transfer('42', '43', NULL, 'merge', at => '2024-02-13');
SELECT * FROM retention.transfer('42', '43', NULL, 'merge', at => '2024-02-14');
SELECT customer_id, points, expires_at FROM retention.points_entry WHERE kind = 'transfer' ORDER BY customer_id;

-- For uuids too.
SELECT * FROM retention.grant('7d444840-9dc0-11d1-b245-5ffdce74fad2'::uuid, 5, 'hello', 'g1', expires_at => 'infinity', at => '2024-02-13');
SELECT retention.points_balance('7d444840-9dc0-11d1-b245-5ffdce74fad2'::uuid, '2999-01-01');

SELECT retention.points_value(250), retention.points_for(4.99), retention.points_value(NULL), retention.points_for(NULL);
SELECT entry_no, effective_at, points, balance, reason, reason_zh FROM retention.points_statement(42);
SELECT * FROM retention.points_parts('42');
SELECT * FROM retention.points_liability('2024-02-20');
SELECT day, customers, entries, granted, adjusted, redeemed, cancelled, lapsed, net FROM retention.points_daily ORDER BY day;
SELECT retention.expire_points('2024-06-01') AS lapsed, retention.expire_points('2024-06-01') AS again;
SELECT * FROM retention.points_liability('2024-06-01');
SELECT * FROM retention.check_ledger();

-- Refused, and nothing posted.
SELECT retention.grant('42', 500, 'for what follows', 'g4', at => '2024-07-01');
CREATE TEMP TABLE before AS SELECT count(*) AS entries FROM retention.points_entry;
\set VERBOSITY default
SELECT retention.redeem('42', 0, 'bad', at => '2024-07-02');
SELECT retention.redeem('42', -5, 'bad', at => '2024-07-02');
SELECT retention.redeem('42', NULL, 'bad', at => '2024-07-02');
SELECT retention.redeem('42', 501, 'bad', at => '2024-07-02');
SELECT retention.redeem('42', 9223372036854775807, 'bad', at => '2024-07-02');
SELECT retention.redeem('42', 5, NULL, at => '2024-07-02');
SELECT retention.redeem('42', 5, '', at => '2024-07-02');
SELECT retention.redeem('42', 5, 'bad', at => 'infinity');
SELECT retention.redeem('nobody', 5, 'bad', at => '2024-07-02');
SELECT retention.redeem(NULL::text, 5, 'bad', at => '2024-07-02');
SELECT retention.redeem(4.2, 5, 'bad', at => '2024-07-02');
SELECT retention.redeem('42', 5, 'bad', at => '2024-07-02', shop => 'no such');
SELECT retention.redeem('42', 5, 'g4', at => '2024-07-02');
SELECT retention.redeem('42', 61, 'order-1', '1', at => '2024-07-02');
SELECT retention.redeem('42', 5, 'bad', at => '2024-06-30');
SELECT retention.hold('42', 5, 'bad', timeout => '-1 hour', at => '2024-07-02');
SELECT retention.capture('42', 'no such', at => '2024-07-02');
SELECT retention.capture('42', 'cart-1', 31, at => '2024-07-02');
SELECT retention.capture('42', 'cart-2', at => '2024-07-02');
SELECT retention.release('42', 'cart-1', at => '2024-07-02');
SELECT retention.cancel_redemption('42', 'no such', at => '2024-07-02');
SELECT retention.cancel_redemption('42', 'g4', at => '2024-07-02');
SELECT retention.cancel_redemption('42', 'order-1', 1, 'again', at => '2024-07-02');
SELECT retention.cancel_redemption('42', 'order-2', 61, 'too much', at => '2024-07-02');
SELECT retention.adjust('42', 0, 'nothing', 'bad', at => '2024-07-02');
SELECT retention.adjust('42', 5, NULL, 'bad', at => '2024-07-02');
SELECT retention.adjust('42', 5, '  ', 'bad', at => '2024-07-02');
SELECT retention.adjust('42', 9223372036854775807, 'too much', 'bad', at => '2024-07-02');
SELECT retention.grant('42', 5, 'late', 'bad', expires_at => '2024-07-01', at => '2024-07-02');
SELECT retention.transfer('42', '42', 5, 'bad', at => '2024-07-02');
SELECT retention.transfer('43', '42', NULL, 'bad', at => '2024-07-02');
SELECT retention.transfer('42', 'nobody', 5, 'bad', at => '2024-07-02');
SELECT retention.points_for(-1);
SELECT entries = (SELECT count(*) FROM retention.points_entry) AS nothing_posted FROM before;

-- Append-only, for everybody.
UPDATE retention.points_entry SET points = 0;
DELETE FROM retention.points_entry;
TRUNCATE retention.points_entry;
DELETE FROM retention.points_lot;
TRUNCATE retention.points_hold;
SELECT * FROM retention.check_ledger();

-- Damage done on purpose does not go unseen.
BEGIN;
ALTER TABLE retention.points_entry DISABLE TRIGGER append_only;
DELETE FROM retention.points_entry WHERE customer_id = '42' AND entry_no = 2;
UPDATE retention.points_lot SET remaining = 7, lapsed = 0, is_open = true WHERE customer_id = '43';
SELECT problem, customer_id, detail FROM retention.check_ledger() ORDER BY 1, 2, 3;
ROLLBACK;

DROP TABLE before;
DROP EXTENSION retention CASCADE;
CREATE EXTENSION retention;
