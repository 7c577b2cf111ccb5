-- A year and some days of a shop with all care rules on, day by day, by the
-- clock: CDNOW's orders of 1997, 27 years later, with made-up lives; and every
-- message compared with what plain SQL says of those lives.  A worker looks
-- three times a day, once of them at night, and sends what it is given.
CREATE SCHEMA real_care_year;
SET search_path = real_care_year;
SET TimeZone = 'Asia/Shanghai';
SET DateStyle = 'ISO';
SET retention.clock = '2023-12-31 00:00+08';

CREATE TABLE cdnow (transaction_id integer, customer_id integer, order_date date, cd_count integer, amount numeric, sample_id integer);
\copy cdnow FROM PROGRAM 'zcat "$RETENTION_DATA"/cdnow.csv.gz' WITH (FORMAT csv, HEADER)

-- One in sixteen customers. One order in ten is never paid; one in seven is shipped
-- late; one in fifty is refunded in part.
CREATE TABLE lives AS
	SELECT transaction_id AS id, customer_id AS customer, amount AS total,
		CASE WHEN customer_id % 48 = 0 THEN customer_id - 16 END AS referrer,
		d AS placed_on,
		CASE WHEN unpaid THEN NULL ELSE d END AS paid_on,
		CASE WHEN unpaid THEN NULL ELSE d + late END AS shipped_on,
		CASE WHEN unpaid THEN NULL ELSE d + late + 3 END AS delivered_on,
		CASE WHEN unpaid THEN NULL ELSE d + late + 7 END AS completed_on,
		CASE WHEN unpaid THEN d + 2 END AS closed_on,
		CASE WHEN NOT unpaid AND transaction_id % 50 = 1 AND amount > 0 THEN d + 9 END AS refunded_on
	FROM (
		SELECT *, (order_date + interval '27 years')::date AS d,
			transaction_id % 10 = 0 AS unpaid,
			CASE WHEN transaction_id % 7 = 0 THEN 4 ELSE 1 END AS late
		FROM cdnow
		WHERE customer_id % 16 = 0
	) AS c
	WHERE d <= '2025-01-20';
SELECT count(*) AS orders, count(DISTINCT customer) AS customers, min(placed_on), max(placed_on) FROM lives;

CREATE TABLE orders (
	id integer PRIMARY KEY,
	customer integer,
	total numeric,
	refunded numeric NOT NULL DEFAULT 0,
	referrer integer,
	placed_at timestamptz,
	paid_at timestamptz,
	shipped_at timestamptz,
	delivered_at timestamptz,
	completed_at timestamptz,
	closed_at timestamptz
);
SELECT retention.attach_orders('orders', order_id => 'id', customer => 'customer', total => 'total', refunded => 'refunded', referrer => 'referrer',
	placed_at => 'placed_at', paid_at => 'paid_at', shipped_at => 'shipped_at',
	delivered_at => 'delivered_at', completed_at => 'completed_at', closed_at => 'closed_at') AS source;

INSERT INTO retention.customer (shop_id, customer_id, birthday)
SELECT 1, customer::text, date '1955-01-01' + (customer * 7919) % 18000
FROM (SELECT DISTINCT customer FROM lives) AS c
ON CONFLICT (shop_id, customer_id) DO UPDATE SET birthday = EXCLUDED.birthday;

-- CDNOW's baskets are small.
UPDATE retention.care_rules SET enabled = true;
UPDATE retention.care_rules SET parameters = '{"amount": 150}' WHERE name = 'big_order_call';
UPDATE retention.care_rules SET parameters = '{"amounts": [200, 500, 1000]}' WHERE name = 'spend_milestone';
SELECT count(*) AS rules, bool_and(enabled) AS all_on FROM retention.care_rules;

-- Marketing goes to all who have not refused, once in 7 days; care by SMS twice
-- in 5 days at most. One customer in five refuses either by SMS some day.
UPDATE retention.shop SET marketing_consent = 'opt_out', suppress_unanswered = NULL, suppress_review_days = NULL;
INSERT INTO retention.care_cap (shop_id, purpose, channel, period, messages) VALUES (1, 'care', 'sms', '5 days', 2);
CREATE TABLE refusals AS
	SELECT customer, timestamptz '2024-02-01 09:30+08' + make_interval(days => customer % 300) AS at
	FROM (SELECT DISTINCT customer FROM lives WHERE customer % 5 = 0) AS c;
CREATE PROCEDURE work(at timestamptz)
	LANGUAGE plpgsql
AS $$
BEGIN
	PERFORM set_config('retention.clock', at::text, false);
	PERFORM retention.record_consent(r.customer, 'sms', p.purpose, false, at => r.at)
	FROM refusals r
	CROSS JOIN (VALUES ('care'), ('marketing')) AS p (purpose)
	WHERE r.at = work.at;
	PERFORM retention.mark_messages(array_agg(c.token), at => work.at)
	FROM unnest(CASE WHEN work.at::time = '09:30' THEN '{sms,call,post,visit,shop}' ELSE '{sms}' END::text[]) AS channel
	CROSS JOIN LATERAL retention.claim_messages(channel, 5000, '1 hour', 'worker', work.at) AS c
	HAVING count(*) > 0;
	COMMIT;
END
$$;

-- Each day: orders are placed at 10:00, paid at 10:10, shipped at 12:00, arrive
-- at 14:00, are completed and reviewed at 16:00, closed or refunded at 17:00;
-- run() comes at 20:00.
CREATE PROCEDURE live(d date)
	LANGUAGE plpgsql
AS $$
BEGIN
	CALL work((d || ' 09:30+08')::timestamptz);
	PERFORM set_config('retention.clock', d || ' 10:00+08', false);
	INSERT INTO orders (id, customer, total, referrer, placed_at)
	SELECT id, customer, total, referrer, retention.now() FROM lives WHERE placed_on = d;
	COMMIT;
	PERFORM set_config('retention.clock', d || ' 10:10+08', false);
	UPDATE orders o SET paid_at = retention.now() FROM lives l WHERE l.id = o.id AND l.paid_on = d;
	COMMIT;
	PERFORM set_config('retention.clock', d || ' 12:00+08', false);
	UPDATE orders o SET shipped_at = retention.now() FROM lives l WHERE l.id = o.id AND l.shipped_on = d;
	COMMIT;
	PERFORM set_config('retention.clock', d || ' 14:00+08', false);
	UPDATE orders o SET delivered_at = retention.now() FROM lives l WHERE l.id = o.id AND l.delivered_on = d;
	COMMIT;
	PERFORM set_config('retention.clock', d || ' 16:00+08', false);
	UPDATE orders o SET completed_at = retention.now() FROM lives l WHERE l.id = o.id AND l.completed_on = d;
	INSERT INTO retention.feedback (shop_id, customer_id, kind, reference, source_id, order_id, score, happened_at, recorded_at)
	SELECT 1, customer::text, 'review', id::text, 1, id::text, 1 + id / 3 % 5, retention.now(), retention.now()
	FROM lives
	WHERE completed_on = d AND id % 3 = 0;
	COMMIT;
	PERFORM set_config('retention.clock', d || ' 17:00+08', false);
	UPDATE orders o SET closed_at = retention.now() FROM lives l WHERE l.id = o.id AND l.closed_on = d;
	UPDATE orders o SET refunded = round(o.total / 2, 2) FROM lives l WHERE l.id = o.id AND l.refunded_on = d;
	COMMIT;
	PERFORM set_config('retention.clock', d || ' 20:00+08', false);
	CALL retention.run(retention.now());
	COMMIT;
	CALL work((d || ' 20:10+08')::timestamptz);
	CALL work((d || ' 22:00+08')::timestamptz);
END
$$;
CREATE PROCEDURE live_all()
	LANGUAGE plpgsql
AS $$
BEGIN
	FOR n IN 0 .. date '2025-01-20' - date '2024-01-01' LOOP
		CALL live(date '2024-01-01' + n);
	END LOOP;
END
$$;
CREATE INDEX ON lives (placed_on);
CREATE INDEX ON lives (paid_on);
CREATE INDEX ON lives (shipped_on);
CREATE INDEX ON lives (delivered_on);
CREATE INDEX ON lives (completed_on);
CREATE INDEX ON lives (closed_on);
CREATE INDEX ON lives (refunded_on);
ANALYZE lives;
CALL live_all();

-- What plain SQL says of the same lives.
CREATE FUNCTION order_subject(id integer) RETURNS text LANGUAGE sql RETURN 'order:1:' || id;
CREATE TABLE expected (rule text, customer text, subject text, due timestamptz);

-- What an order's states call for.
INSERT INTO expected
SELECT r.rule, l.customer, order_subject(l.id), r.due
FROM lives l
CROSS JOIN LATERAL (
	VALUES
		('unpaid_reminder', true, l.placed_on + time '10:30'),
		('second_unpaid_reminder', true, l.placed_on + time '10:00' + interval '1 day'),
		('closed_unpaid', l.closed_on <= '2025-01-20', l.closed_on + time '17:00'),
		('paid_thanks', l.paid_on IS NOT NULL, l.paid_on + time '10:10'),
		('big_order_call', l.paid_on IS NOT NULL AND l.total >= 150, l.paid_on + 7 + time '10:10'),
		('shipping_late', l.paid_on IS NOT NULL, l.paid_on + 2 + time '10:10'),
		('shipped', l.shipped_on <= '2025-01-20', l.shipped_on + time '12:00'),
		('arrived', l.delivered_on <= '2025-01-20', l.delivered_on + time '14:00'),
		('confirm_receipt', l.delivered_on <= '2025-01-20', l.delivered_on + 5 + time '16:00')
) AS r (rule, holds, due)
WHERE r.holds;

INSERT INTO expected
SELECT 'refunded', customer, 'refund:1:' || id || ':' || trim_scale(round(total / 2, 2)), refunded_on + time '17:00'
FROM lives
WHERE refunded_on <= '2025-01-20' AND round(total / 2, 2) > 0;

-- What days after a purchase call for, unless bought again before the run at
-- eight the evening before.
CREATE TABLE visits AS
	SELECT customer, day, lead(day) OVER (PARTITION BY customer ORDER BY day) AS next_day, purchases
	FROM (SELECT customer, paid_on AS day, count(*) AS purchases FROM lives WHERE paid_on IS NOT NULL GROUP BY 1, 2) AS v;
INSERT INTO expected
SELECT r.rule, v.customer, 'purchase:' || v.day, v.day + r.days + time '10:00'
FROM visits v
CROSS JOIN (VALUES ('after_purchase_15_days', 15), ('silence_90_days', 90), ('silence_180_days', 180), ('silence_365_days', 365)) AS r (rule, days)
WHERE v.day + r.days - 1 <= '2025-01-20'
	AND coalesce(v.next_day > v.day + r.days - 1, true);

INSERT INTO expected
SELECT 'repurchase', v.customer, 'purchase:' || v.day, v.day + u.days + time '10:00'
FROM visits v
CROSS JOIN LATERAL (
	SELECT ceil(percentile_cont(0.5) WITHIN GROUP (ORDER BY g.gap))::integer AS days, count(*) AS gaps
	FROM (
		SELECT p.day - lag(p.day) OVER (ORDER BY p.day) AS gap
		FROM visits p
		WHERE p.customer = v.customer AND p.day <= v.day
	) AS g
	WHERE g.gap IS NOT NULL
) AS u
WHERE u.gaps >= 2
	AND u.days BETWEEN 7 AND 365
	AND v.day + u.days - 1 <= '2025-01-20'
	AND coalesce(v.next_day > v.day + u.days - 1, true);

-- Milestones: the first evening the sum, refunds taken off, is there.
INSERT INTO expected
SELECT 'spend_milestone', customer, 'milestone:' || amount, min(day) + 1 + time '10:00'
FROM visits v
CROSS JOIN LATERAL (
	SELECT sum(l.total - CASE WHEN l.refunded_on <= v.day THEN round(l.total / 2, 2) ELSE 0 END) AS spent
	FROM lives l
	WHERE l.customer = v.customer AND l.paid_on <= v.day
) AS s
JOIN (VALUES (200), (500), (1000)) AS m (amount) ON s.spent >= m.amount
GROUP BY customer, amount;

-- Birthdays: the run sees those of its own day and the next, or three days after.
INSERT INTO expected
SELECT r.rule, c.customer_id, 'birthday:' || date_part('year', b.day), b.day + r.days + r.hour
FROM retention.customer c
CROSS JOIN generate_series(2024, 2025) AS y
CROSS JOIN LATERAL (
	SELECT CASE
		WHEN to_char(c.birthday, 'MM-DD') = '02-29' AND y = 2025 THEN date '2025-02-28'
		ELSE make_date(y, date_part('month', c.birthday)::integer, date_part('day', c.birthday)::integer)
	END AS day
) AS b
CROSS JOIN (VALUES
	('birthday', 0, time '09:00', date '2024-01-01', date '2025-01-21'),
	('birthday_soon', -3, time '10:00', date '2024-01-03', date '2025-01-24')) AS r (rule, days, hour, first_day, last_day)
WHERE b.day BETWEEN r.first_day AND r.last_day;

-- Festivals and seasons: who had bought by the last run at which it was valid.
INSERT INTO expected
SELECT r.rule, c.customer, 'festival:' || f.name || ':' || f.day, f.day + r.hour
FROM retention.festival_day_default f
JOIN retention.festival_default d ON d.name = f.name AND 'zh' = ANY (d.languages)
JOIN (VALUES ('festival', 'festival', time '09:00', 0), ('season', 'season_change', time '10:00', 2)) AS r (kind, rule, hour, days) ON r.kind = d.kind
JOIN (SELECT customer, min(day) AS first_day FROM visits GROUP BY customer) AS c ON c.first_day <= f.day + r.days
WHERE f.day BETWEEN '2024-01-01' AND '2025-01-21';

-- Referrals: the first purchase, and somebody who was a customer by then.
INSERT INTO expected
SELECT r.rule, r.customer, 'referral:' || f.customer, f.first_day + time '10:10'
FROM (
	SELECT l.customer, l.referrer, min(l.paid_on) AS first_day
	FROM lives l
	WHERE l.referrer IS NOT NULL AND l.paid_on IS NOT NULL
	GROUP BY l.customer, l.referrer
) AS f
CROSS JOIN LATERAL (VALUES ('referral_thanks', f.referrer), ('referral_welcome', f.customer)) AS r (rule, customer)
WHERE EXISTS (SELECT FROM lives o WHERE o.customer = f.referrer AND o.placed_on <= f.first_day);

-- The year's best ten.
INSERT INTO expected
SELECT 'best_customer_visit', customer, 'best:2024', '2025-01-15 10:00'
FROM (
	SELECT l.customer, sum(l.total - CASE WHEN l.refunded_on <= '2025-01-14' THEN round(l.total / 2, 2) ELSE 0 END) AS spent
	FROM lives l
	WHERE l.paid_on BETWEEN '2024-01-01' AND '2024-12-31'
	GROUP BY l.customer
	ORDER BY spent DESC, l.customer::text COLLATE "C"
	LIMIT 10
) AS best;

-- Reviews.
INSERT INTO expected
SELECT CASE WHEN 1 + id / 3 % 5 > 3 THEN 'review_thanks' ELSE 'bad_review' END, customer, 'review:0:' || id, completed_on + time '16:00'
FROM lives
WHERE completed_on <= '2025-01-20' AND id % 3 = 0;

-- Tiers: each rise that their own history tells of.
INSERT INTO expected
SELECT 'tier_reached', c.customer_id, 'tier:' || c.change_no,
	c.changed_at + (SELECT r.delay FROM retention.care_rules r WHERE r.name = 'tier_reached')
FROM retention.tier_change c
WHERE array_position(ARRAY['member', 'silver', 'gold', 'diamond'], c.to_tier)
	> array_position(ARRAY['member', 'silver', 'gold', 'diamond'], coalesce(c.from_tier, 'member'));

-- The counts by rule, and that they are the same messages.
CREATE VIEW messages AS
	SELECT rule, customer_id COLLATE "default" AS customer, subject COLLATE "default" AS subject, due_at AS due
	FROM retention.care_message;
SELECT coalesce(m.rule, e.rule) AS rule, m.messages, e.messages = m.messages AS as_expected
FROM (SELECT rule, count(*) AS messages FROM messages GROUP BY rule) AS m
FULL JOIN (SELECT rule, count(*) AS messages FROM expected GROUP BY rule) AS e ON e.rule = m.rule
ORDER BY 1;
SELECT 'missing' AS what, rule, count(*) FROM (TABLE expected EXCEPT TABLE messages) AS d GROUP BY rule
UNION ALL
SELECT 'too many', rule, count(*) FROM (TABLE messages EXCEPT TABLE expected) AS d GROUP BY rule
ORDER BY 1, 2;

-- What was cancelled, and why: no order keeps a message that its state makes wrong.
SELECT rule, reason, count(*) FROM retention.care_message WHERE state = 'cancelled' GROUP BY rule, reason ORDER BY rule, reason;
SELECT count(*) AS wrong
FROM retention.care_message m
JOIN lives l ON m.order_id = l.id::text
WHERE m.state = 'queued'
	AND (m.rule LIKE '%unpaid_reminder' AND (l.paid_on <= '2025-01-20' OR l.closed_on <= '2025-01-20')
		OR m.rule = 'shipping_late' AND l.shipped_on <= '2025-01-20'
		OR m.rule IN ('arrived', 'confirm_receipt') AND l.completed_on <= '2025-01-20');

-- What went out: of every rule, nothing above a cap, nothing in quiet hours,
-- nothing after a refusal, nothing out of date; and nothing is left lying.
CREATE VIEW sent AS
	SELECT m.*, customer_id::integer AS customer
	FROM retention.care_message m
	WHERE m.state = 'sent';
SELECT count(DISTINCT rule) AS rules_sent, count(*) AS messages FROM sent;
SELECT
	(SELECT count(*) FROM (SELECT sent_at - lag(sent_at) OVER (PARTITION BY customer ORDER BY sent_at) AS gap FROM sent WHERE purpose = 'marketing') AS g
		WHERE gap < interval '7 days') AS above_marketing_cap,
	(SELECT count(*) FROM (SELECT sent_at - lag(sent_at, 2) OVER (PARTITION BY customer ORDER BY sent_at) AS gap FROM sent WHERE purpose = 'care' AND channel = 'sms') AS g
		WHERE gap < interval '5 days') AS above_care_cap,
	(SELECT count(*) FROM sent WHERE channel <> 'shop' AND (sent_at::time < '08:00' OR sent_at::time >= '21:00')) AS at_night,
	(SELECT count(*) FROM sent s JOIN refusals r ON r.customer = s.customer AND s.channel = 'sms' AND s.purpose IN ('care', 'marketing') AND s.sent_at >= r.at) AS after_refusal,
	(SELECT count(*) FROM sent WHERE sent_at < due_at OR sent_at >= expires_at) AS out_of_time,
	(SELECT count(*) FROM retention.care_message WHERE state IN ('queued', 'claimed') AND expires_at <= '2025-01-20 20:00+08') AS left_lying,
	(SELECT count(*) FROM retention.care_message WHERE state <> 'sent' AND state <> 'queued' AND reason IS NULL) AS without_reason;
-- What no cap and no refusal holds back goes at the first look by day that finds
-- it due; what does not go has its reason.
SELECT count(*) AS transactional, count(*) FILTER (WHERE sent_at <> first_look) AS late
FROM (
	SELECT s.sent_at, (
			SELECT min(d.day + l.look)
			FROM generate_series(s.due_at::date, s.due_at::date + 1, interval '1 day') AS d (day)
			CROSS JOIN (VALUES (time '09:30'), ('20:10')) AS l (look)
			WHERE d.day + l.look >= s.due_at
		) AS first_look
	FROM sent s
	WHERE s.purpose = 'transactional' AND s.channel = 'sms'
) AS s;
SELECT purpose, channel, reason, count(*) FROM retention.care_message WHERE state = 'skipped' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- Doing it all again adds nothing, for any of the last days.
CREATE TEMPORARY TABLE before AS SELECT * FROM retention.care_message;
SELECT sum(retention.care_due('2025-01-20 20:00+08'::timestamptz - make_interval(hours => h))) AS added FROM generate_series(0, 72) AS h;
SELECT count(*) AS changed FROM (SELECT * FROM retention.care_message EXCEPT TABLE before) AS d;

-- Every message has a text, or a reason for having none.
SELECT m.rule, count(*) AS messages, count(t.text) AS texts, max(t.missing) AS missing
FROM (
	SELECT *, row_number() OVER (PARTITION BY rule ORDER BY customer_id, subject) AS n
	FROM retention.care_message
	WHERE state IN ('queued', 'sent')
) AS m
CROSS JOIN LATERAL retention.render_message(m.shop_id, m.customer_id, m.rule, m.subject, m.source_id, m.order_id, m.due_at) AS t
WHERE m.n <= 20
GROUP BY m.rule
ORDER BY m.rule;

-- Leave nothing behind.
RESET search_path;
RESET retention.clock;
SET client_min_messages = error;
DROP SCHEMA real_care_year CASCADE;
DROP EXTENSION retention CASCADE;
CREATE EXTENSION retention;
