-- How far two groups differ: published values, bad input, coverage.
-- Newcombe (1998), table II, method 10.
SELECT a, n, b, m, round(d.difference::numeric, 4) AS difference, round(d.low::numeric, 4) AS low, round(d.high::numeric, 4) AS high,
	(round(d.low::numeric, 4), round(d.high::numeric, 4)) = (v.low, v.high) AS as_published
FROM (VALUES (56, 70, 48, 80, 0.0524, 0.3339), (9, 10, 3, 10, 0.1705, 0.8090), (6, 7, 2, 7, 0.0582, 0.8062), (5, 56, 0, 29, -0.0381, 0.1926),
	(0, 10, 0, 20, -0.1611, 0.2775), (0, 10, 0, 10, -0.2775, 0.2775), (10, 10, 0, 20, 0.6791, 1.0), (10, 10, 0, 10, 0.6075, 1.0)) AS v (a, n, b, m, low, high),
	LATERAL retention.difference_of_shares(v.a, v.n, v.b, v.m) AS d;
-- The groups exchanged, the interval is mirrored; less confidence, a narrower one.
SELECT round(d.low::numeric, 4) AS low, round(d.high::numeric, 4) AS high FROM retention.difference_of_shares(48, 80, 56, 70) AS d;
SELECT round(d.low::numeric, 4) AS low, round(d.high::numeric, 4) AS high FROM retention.difference_of_shares(56, 70, 48, 80, 0.5) AS d;
SELECT * FROM retention.difference_of_shares(0, 0, 1, 2);
SELECT * FROM retention.difference_of_shares(NULL, 0, 1, 2);
SELECT * FROM retention.difference_of_shares(3, 2, 1, 2);
SELECT * FROM retention.difference_of_shares(-1, 2, 1, 2);
SELECT * FROM retention.difference_of_shares(1, 2, 1, 2, 1);
SELECT * FROM retention.difference_of_shares(1, 2, 1, 2, 'NaN');

-- Student's t: two groups of equal size and variance have 2n - 2 degrees of
-- freedom; with standard errors that add up to 1 half the interval is the
-- quantile, as in the tables: 12.706, 4.303, 2.776, 2.228, 2.086, 2.042, 1.980, 1.960.
SELECT df, round(d.degrees_of_freedom::numeric, 6) AS degrees_of_freedom, round(d.high::numeric, 4) AS t
FROM unnest('{2,4,10,20,30,120,2000,1000000,100000000}'::bigint[]) AS df,
	LATERAL retention.difference_of_means(0, (df + 2) / 4.0, (df + 2) / 2, 0, (df + 2) / 4.0, (df + 2) / 2) AS d;
-- The other end of the t table: 0.999 two-sided, 10 degrees.
SELECT round(d.high::numeric, 3) AS t FROM retention.difference_of_means(0, 3, 6, 0, 3, 6, 0.999) AS d;
-- Welch and Satterthwaite by hand: errors 0.4 and 0.75, so df = 1.15^2 / (0.16 / 9 + 0.5625 / 11).
SELECT round(d.difference::numeric, 4) AS difference, round(d.low::numeric, 4) AS low, round(d.high::numeric, 4) AS high, round(d.degrees_of_freedom::numeric, 4) AS df,
	round(1.15 ^ 2 / (0.16 / 9 + 0.5625 / 11), 4) AS by_hand
FROM retention.difference_of_means(20, 4, 10, 15, 9, 12) AS d;
SELECT * FROM retention.difference_of_means(1, 1, 1, 1, 1, 10);
SELECT * FROM retention.difference_of_means(1, 0, 10, 1, 0, 10);
SELECT * FROM retention.difference_of_means('NaN', 1, 10, 1, 1, 10);
SELECT * FROM retention.difference_of_means(1, 'Infinity', 10, 1, 1, 10);
SELECT * FROM retention.difference_of_means(1, -1, 10, 1, 1, 10);
SELECT * FROM retention.difference_of_means(1, 1, -10, 1, 1, 10);

-- Customers needed: Chow, Shao & Wang, section 4.2: 0.65 against 0.85 at 80 %
-- power takes 70 a group; section 3.2: a difference of half a standard deviation, 63.
SELECT retention.customers_needed(0.2, 0.65 * 0.35, 0.85 * 0.15) / 2 AS shares, retention.customers_needed(0.5, 1, 1) / 2 AS means;
-- A small holdout costs customers; nothing shows no difference.
SELECT retention.customers_needed(0.5, 1, 1, 0.1) AS small_holdout, retention.customers_needed(0, 1, 1) AS none, retention.customers_needed(0.5, 1, 1, power => 0.5) AS half_power;
SELECT retention.customers_needed(0.5, 1, 1, 0);
SELECT retention.customers_needed(0.5, 1, 1, power => 1);
SELECT retention.customers_needed(0.5, -1, 1);

-- ---------------------------------------------------------------------------
-- 1,000 campaigns whose effect is known: the interval covers it as often as it
-- says.  Chance is a hash too, so that it falls alike everywhere.
-- ---------------------------------------------------------------------------

SET client_min_messages = warning;
SET retention.clock = '2024-06-01 00:00+00';
INSERT INTO retention.shop (shop_id, name, time_zone, language) VALUES (1, 'Tea House', 'UTC', 'en');
INSERT INTO retention.campaign (shop_id, name, audience, holdout, starts_at, ends_at, state, stopped_at, created_at, changed_at)
SELECT 1, 'sim ' || c, 'all', 0.5, '2024-05-01', '2024-05-08', 'ended', '2024-05-08', '2024-05-01', '2024-05-01' FROM generate_series(1, 1000) AS c;
INSERT INTO retention.campaign_member (shop_id, campaign, customer_id, arm, enrolled_at)
SELECT 1, 'sim ' || c, c || '-' || n, retention.campaign_arm('sim ' || c, 1, c || '-' || n, 0.5), '2024-05-01'
FROM generate_series(1, 1000) AS c, generate_series(1, 160) AS n;
-- 12 in 100 buy, 20 of those written to; for 20 to 120, evenly, those written to 10 more.
INSERT INTO retention.purchase (source_id, order_id, shop_id, customer_id, paid_at, total, paid, refunded, value)
SELECT 1, m.customer_id, 1, m.customer_id, '2024-05-03', v.value, v.value, 0, v.value
FROM retention.campaign_member m
CROSS JOIN LATERAL (
	SELECT round((20 + 100 * retention.holdout_place('how much', 1, m.customer_id) + CASE m.arm WHEN 'treated' THEN 10 ELSE 0 END)::numeric, 2) AS value
) AS v
WHERE retention.holdout_place('who buys', 1, m.customer_id) < CASE m.arm WHEN 'treated' THEN 0.20 ELSE 0.12 END;
ANALYZE retention.campaign_member, retention.purchase, retention.campaign;
-- True lift: 0.20 - 0.12 = 0.08 in conversion, 0.20 * 80 - 0.12 * 70 = 7.6 in spend.
CREATE TEMP TABLE simulated AS
SELECT l.* FROM retention.campaign c CROSS JOIN LATERAL retention.campaign_lift(c.name) AS l;
SELECT measure, count(*) AS campaigns, round(avg(difference), 3) AS mean_difference,
	count(*) FILTER (WHERE CASE measure WHEN 'conversion' THEN 0.08 ELSE 7.6 END BETWEEN low AND high) / 1000.0 AS coverage,
	count(*) FILTER (WHERE CASE measure WHEN 'conversion' THEN 0.08 ELSE 7.6 END BETWEEN low AND high) BETWEEN 930 AND 970 AS as_claimed,
	count(*) FILTER (WHERE shown) / 1000.0 AS shown, count(*) FILTER (WHERE high < 0) / 1000.0 AS shown_wrongly
FROM simulated GROUP BY 1 ORDER BY 1;
-- Where there is no effect, one in twenty shows one: the same customers, in
-- arms that were not drawn when they bought.
SELECT count(*) FILTER (WHERE d.low > 0 OR d.high < 0) / 1000.0 AS shown_by_chance, count(*) FILTER (WHERE d.low > 0 OR d.high < 0) BETWEEN 30 AND 70 AS as_claimed
FROM (
	SELECT count(*) FILTER (WHERE arm = 'treated' AND bought) AS x1, count(*) FILTER (WHERE arm = 'treated') AS n1,
		count(*) FILTER (WHERE arm = 'holdout' AND bought) AS x2, count(*) FILTER (WHERE arm = 'holdout') AS n2
	FROM (
		SELECT m.campaign, retention.campaign_arm('another', 1, m.customer_id, 0.5) AS arm, p.order_id IS NOT NULL AS bought
		FROM retention.campaign_member m LEFT JOIN retention.purchase p ON p.source_id = 1 AND p.order_id = m.customer_id) AS member
	GROUP BY campaign) AS a
CROSS JOIN LATERAL retention.difference_of_shares(a.x1, a.n1, a.x2, a.n2) AS d;

DELETE FROM retention.purchase;
DELETE FROM retention.campaign_member;
DELETE FROM retention.campaign;
DELETE FROM retention.shop;
RESET retention.clock;
