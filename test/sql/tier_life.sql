-- Tiers that come and go: up at once, down after a grace period, with a history.
CREATE SCHEMA tiers;
SET search_path = tiers, public;
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO, YMD';
SET retention.clock = '2024-01-01 00:00+00';
INSERT INTO retention.shop (shop_id, name, time_zone, tier_window, tier_grace)
VALUES (1, 'club', 'UTC', '90 days', '30 days');
INSERT INTO retention.tier (shop_id, rung, name, name_zh, min_spent, multiplier, discount, member_price, purchase_limit)
VALUES
	(1, 10, 'basic', '普通', NULL, 1, 1, false, 2),
	(1, 20, 'silver', '银卡', 500, 1, 0.98, true, 5),
	(1, 30, 'gold', '金卡', 1000, 2, 0.95, true, NULL);
CREATE TABLE orders (id int PRIMARY KEY, customer text, total numeric, refunded numeric NOT NULL DEFAULT 0, paid_at timestamptz, done_at timestamptz, referrer text);
SELECT retention.attach_orders('orders', order_id => 'id', customer => 'customer', total => 'total',
	refunded => 'refunded', paid_at => 'paid_at', completed_at => 'done_at', referrer => 'referrer');

-- What sync does: every purchase may lift, at once.
INSERT INTO orders VALUES (1, 'ann', 400, 0, '2024-01-01');
SELECT customer_id, tier, tier_since, tier_review_at FROM retention.customer_stats;
SET retention.clock = '2024-01-10 00:00+00';
INSERT INTO orders VALUES (2, 'ann', 600, 0, '2024-01-10');
SELECT customer_id, tier, tier_since, tier_review_at FROM retention.customer_stats;
SELECT tier, discount, member_price, purchase_limit, multiplier FROM retention.tier_benefits('ann');
SELECT tier, discount, member_price, purchase_limit, multiplier FROM retention.tier_benefits('nobody');

-- The first purchase leaves the window on 31 March; the grace period runs from
-- then, whenever run() comes by; in it the customer has the tier, and its multiplier.
CALL retention.run('2024-04-05');
SELECT tier, tier_below_since, tier_review_at FROM retention.customer_stats;
SET retention.clock = '2024-04-06 00:00+00';
SELECT retention.customer_tier('ann');
INSERT INTO orders VALUES (3, 'ann', 10, 0, '2024-04-06', '2024-04-06');
SELECT points, multiplier, rule FROM retention.points_entry;

-- After it the tier is the one that was reached, here the lowest.
CALL retention.run('2024-05-02');
SELECT tier, tier_since, tier_below_since FROM retention.customer_stats;
SELECT change_no, changed_at, from_tier, to_tier, reason FROM retention.tier_change ORDER BY change_no;
CALL retention.run('2024-05-02');
SELECT count(*) AS changes FROM retention.tier_change;

-- One rung at a time, each with a grace period of its own.
UPDATE retention.shop SET tier_downgrade = 'one_rung';
SET retention.clock = '2024-06-01 00:00+00';
INSERT INTO orders VALUES (4, 'bob', 2000, 0, '2024-06-01');
SET retention.clock = '2024-06-02 00:00+00';
UPDATE orders SET refunded = 2000 WHERE id = 4;
SELECT tier, tier_below_since FROM retention.customer_stats WHERE customer_id = 'bob';
CALL retention.run('2024-12-01');
SELECT change_no, changed_at, from_tier, to_tier FROM retention.tier_change WHERE customer_id = 'bob' ORDER BY change_no;

-- The ladder is changed: everybody is reviewed.
UPDATE retention.tier SET min_spent = 5 WHERE name = 'gold';
SET retention.clock = '2024-06-15 00:00+00';
INSERT INTO orders VALUES (5, 'cat', 3, 0, '2024-06-15');
SELECT tier FROM retention.customer_stats WHERE customer_id = 'cat';
UPDATE retention.tier SET min_spent = 1 WHERE name = 'gold';
CALL retention.run('2024-06-16');
SELECT tier FROM retention.customer_stats WHERE customer_id = 'cat';

-- History is append-only.
DELETE FROM retention.tier_change;

-- Occasions: the larger multiplier of the day, beside the tier's; each entry
-- tells what it was computed with, and a refund goes by that and not by today's rule.
DELETE FROM retention.tier WHERE shop_id = 1 AND name <> 'basic';
UPDATE retention.shop SET tier_window = NULL, tier_grace = NULL, birthday_multiplier = 3, member_day = 8, member_day_multiplier = 2,
	points_rounding = 'nearest', points_expiry = 'end_of_quarter', points_expiry_months = 0;
SET retention.clock = '2025-03-09 00:00+00';
INSERT INTO retention.customer (shop_id, customer_id, birthday) VALUES (1, 'dan', '2000-02-29'), (1, 'eve', '1990-03-08') ON CONFLICT DO NOTHING;
INSERT INTO orders VALUES (6, 'dan', 10.5, 0, '2025-02-28 12:00', '2025-03-09'), (7, 'dan', 10.5, 0, '2025-03-08 12:00', '2025-03-09'),
	(8, 'eve', 10.5, 0, '2025-03-08 23:59', '2025-03-09'), (9, 'eve', 10.5, 0, '2025-03-09 00:00', '2025-03-09');
SELECT order_id, points, amount, multiplier, expires_at, rule FROM retention.points_entry WHERE customer_id IN ('dan', 'eve') ORDER BY order_id;
UPDATE retention.shop SET birthday_multiplier = 1, member_day = NULL, points_rate = 7, points_rounding = 'up', points_expiry = 'none';
UPDATE orders SET refunded = 5.5 WHERE id IN (6, 7, 8, 9);
SELECT order_id, points, balance FROM retention.points_statement('dan') UNION ALL
SELECT order_id, points, balance FROM retention.points_statement('eve');
UPDATE orders SET refunded = 10.5 WHERE id IN (6, 7, 8, 9);
SELECT customer_id, points_posted FROM retention.customer_stats WHERE customer_id IN ('dan', 'eve') ORDER BY customer_id;

-- Joining and referral bonuses: from when they are switched on, once, and not for oneself.
SET retention.clock = '2025-04-01 00:00+00';
UPDATE retention.shop SET joining_bonus = 20, referral_bonus = 50, referred_bonus = 10, points_rate = 1;
INSERT INTO retention.customer (shop_id, customer_id, joined_at, phone, email) VALUES
	(1, 'early', '2025-03-31', NULL, NULL), (1, 'new', '2025-04-02', '139', NULL), (1, 'twin', NULL, ' 139', NULL), (1, 'mail', NULL, NULL, 'A@b.cn'), (1, 'same', NULL, NULL, 'a@B.cn');
SET retention.clock = '2025-04-03 00:00+00';
INSERT INTO orders VALUES
	(10, 'fay', 5, 0, '2025-04-03', '2025-04-03', 'new'), (11, 'twin', 5, 0, '2025-04-03', '2025-04-03', 'new'),
	(12, 'gus', 5, 0, '2025-04-03', '2025-04-03', 'gus'), (13, 'same', 5, 0, '2025-04-03', '2025-04-03', 'mail'),
	(14, 'ann', 5, 0, '2025-04-03', '2025-04-03', 'new'), (15, 'hal', 5, 0, '2025-04-03', NULL, 'new'), (16, 'ivy', 5, 0, '2025-04-03', '2025-04-03', 'stranger');
CALL retention.run('2025-04-04');
CALL retention.run('2025-04-05');
SELECT customer_id, referrer_id, order_id, refused, referral_bonus, referred_bonus FROM retention.referral ORDER BY customer_id;
SELECT customer_id, kind, points, reason FROM retention.points_entry WHERE kind IN ('bonus', 'referral') ORDER BY customer_id, entry_no;
SELECT * FROM retention.points_parts('new');
SELECT * FROM retention.points_pending('hal');
SELECT jsonb_pretty(retention.my_points('new', '2025-04-05') - 'rules') AS my_points;
SELECT retention.my_points('new', '2025-04-05') -> 'rules' AS rules;
SELECT * FROM retention.check_ledger();

-- Leave nothing behind.
RESET retention.clock;
SELECT retention.detach('tiers.orders');
DROP SCHEMA tiers CASCADE;
DROP EXTENSION retention CASCADE;
CREATE EXTENSION retention;
