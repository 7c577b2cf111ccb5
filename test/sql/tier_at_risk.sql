-- A tier about to be lost: the day that is told is the day on which run() takes
-- it, with a grace period and without, one rung at a time and not.
\set ECHO none
\i test/include/start.sql
SET timezone = 'Asia/Shanghai';
SET client_min_messages = warning;

CREATE SCHEMA tier_at_risk;
SET search_path = tier_at_risk, public;
CREATE TABLE orders (id integer PRIMARY KEY, customer text, total numeric, refunded numeric NOT NULL DEFAULT 0, paid_at timestamptz);
SELECT retention.create_shop('club', 'Asia/Shanghai');
UPDATE retention.shop SET tier_window = '90 days';
INSERT INTO retention.tier (shop_id, rung, name, name_zh, min_spent)
VALUES (1, 10, 'basic', '普通', NULL), (1, 20, 'silver', '银卡', 500), (1, 30, 'gold', '金卡', 1000), (1, 40, 'a:b', '钻石', 2000);
SELECT retention.attach_orders('orders', order_id => 'id', customer => 'customer', total => 'total', refunded => 'refunded', paid_at => 'paid_at');
SELECT retention.enable_rule('tier_at_risk');
RESET client_min_messages;

-- Customers with some purchases each in the 80 days before, and what run() says
-- and does, evening by evening, from then on.
CREATE PROCEDURE live(year integer, grace interval, downgrade text)
	LANGUAGE plpgsql
AS $$
DECLARE
	start timestamptz := make_timestamptz(year, 5, 1, 0, 0, 0, 'Asia/Shanghai');
BEGIN
	PERFORM set_config('retention.clock', start::text, false);
	UPDATE retention.shop SET tier_grace = grace, tier_downgrade = downgrade;
	INSERT INTO orders (id, customer, total, paid_at)
	SELECT year * 1000 + n, year || ' ' || n % 40, 100 + (n * 7919) % 600, start - make_interval(hours => (n * 104729) % 1920)
	FROM generate_series(1, 140) AS n;
	COMMIT;
	FOR day IN 0 .. 240 LOOP
		PERFORM set_config('retention.clock', (start + make_interval(days => day, hours => 20))::text, false);
		CALL retention.run(retention.now());
		COMMIT;
	END LOOP;
END
$$;
CREATE VIEW told AS
	SELECT customer_id, substring(subject FROM '^tier:(.*):[0-9-]+$') AS tier, (due_at + interval '30 days')::date AS day
	FROM retention.care_message
	WHERE rule = 'tier_at_risk';
-- A loss is told 30 days before, or up to 16 days before, by the first run that
-- can know: the one after the loss of the tier above.
CREATE VIEW lost AS
	SELECT customer_id, from_tier AS tier, changed_at::date AS day,
		date_trunc('day', since + interval '4 hours') + interval '20 hours' < date_trunc('day', changed_at) - interval '15 days 14 hours' AS in_time
	FROM (
		SELECT c.*, lag(changed_at, 1, date_trunc('year', changed_at) + interval '4 months') OVER (PARTITION BY customer_id ORDER BY change_no) AS since
		FROM retention.tier_change c
	) AS c
	WHERE reason = 'no longer reached';
CREATE VIEW outcome AS
	SELECT coalesce(t.customer_id, l.customer_id) AS customer_id, t.day IS NOT NULL AS told, l.day IS NOT NULL AS lost, l.in_time
	FROM told t
	FULL JOIN lost l USING (customer_id, tier, day);
\set ECHO all

CALL live(2024, NULL, 'balance');
CALL live(2025, '45 days', 'balance');
CALL live(2026, '10 days', 'balance');
CALL live(2027, '45 days', 'one_rung');
SELECT left(customer_id, 4) AS year, told, lost, in_time, count(*) FROM outcome GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4;
SELECT tier, count(*) AS told FROM told GROUP BY tier ORDER BY tier;

-- A refund starts the grace period too, where there is no window at all; the
-- text names the tier that is kept until then, not the one reached.
UPDATE retention.shop SET tier_window = NULL, tier_grace = '40 days', tier_downgrade = 'balance';
DELETE FROM retention.care_message;
SET retention.clock = '2028-03-01 10:00+08';
INSERT INTO orders (id, customer, total, paid_at) VALUES (1001, 'ann', 2500, '2028-03-01 10:00+08'), (1002, 'bob', 2500, '2028-03-01 10:00+08');
UPDATE orders SET refunded = 2000 WHERE id IN (1001, 1002);
CALL retention.run('2028-03-01 12:00+08');
SELECT count(*) AS too_early FROM told;
CALL retention.run('2028-03-11 12:00+08');
SELECT customer_id, tier, day FROM told ORDER BY customer_id;
SELECT text, missing FROM retention.render_message(1, 'ann', 'tier_at_risk', 'tier:a:b:2028-03-01', NULL, NULL, '2028-03-11 12:00+08');
SELECT text FROM retention.preview_template('{{tier}}', 'ann', at => '2028-03-11 12:00+08');
-- Bought again: the word is taken back in the purchase's own transaction, and
-- one that was wrong already by the next run.
SET retention.clock = '2028-03-11 13:00+08';
INSERT INTO orders (id, customer, total, paid_at) VALUES (1003, 'ann', 2500, '2028-03-11 13:00+08');
SELECT customer_id, state, reason FROM retention.care_message ORDER BY customer_id;
UPDATE retention.care_message SET state = 'queued', reason = NULL;
CALL retention.run('2028-03-11 20:00+08');
SELECT customer_id, subject, state, reason FROM retention.care_message ORDER BY customer_id;

\set ECHO none
SET client_min_messages = error;
RESET search_path;
DROP SCHEMA tier_at_risk CASCADE;
\i test/include/stop.sql
