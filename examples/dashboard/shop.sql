-- Two months in the life of the demo shop, day by day: retention is attached
-- when the shop is nearly two years old, and from then on every order, payment
-- and message happens while it looks on.  psql prints nothing unless something
-- fails.  Run after demo/generate.sql.
\set QUIET on
\set ON_ERROR_STOP on
\o /dev/null
SET client_min_messages = warning;

SELECT date_trunc('day', max(created_at)) AS ends_on, date_trunc('day', max(created_at)) - interval '60 days' AS starts_on
FROM public.orders
\gset

-- A number above 0 and below 1 that depends on the arguments alone.
CREATE FUNCTION pg_temp.chance(a bigint, b bigint, what text)
	RETURNS double precision
	LANGUAGE sql IMMUTABLE
	AS $$
		SELECT ((('x' || left(md5(a || '/' || b || '/' || what), 8))::bit(32)::bigint & 4294967295) + 0.5)
			/ 4294967296.0
	$$;

-- ---------------------------------------------------------------------------
-- What else the shop knows: its customers, goods, reviews and visits
-- ---------------------------------------------------------------------------

ALTER TABLE public.orders ADD COLUMN region text, ADD COLUMN points_used bigint;

UPDATE public.orders
SET region = (ARRAY['华东', '华南', '华北', '西南', '华中'])[1 + floor(5 * pg_temp.chance(customer_id, 0, 'region') ^ 1.6)::integer];

CREATE TABLE public.customers AS
SELECT customer_id AS id,
	(ARRAY['小雨', '阿明', '思远', '乐乐', '安琪', '子轩', 'Lily', '文静', '大伟', '晓燕'])[1 + floor(10 * pg_temp.chance(customer_id, 0, 'name'))::integer]
		|| customer_id AS nickname,
	'138' || lpad(customer_id::text, 8, '0') AS phone,
	date '1970-01-01' + floor(12000 * pg_temp.chance(customer_id, 0, 'birth'))::integer AS birthday,
	min(created_at) AS joined_at,
	pg_temp.chance(customer_id, 0, 'consent') < 0.7 AS agrees
FROM public.orders
GROUP BY customer_id;

ALTER TABLE public.customers ADD PRIMARY KEY (id);

CREATE TABLE public.order_lines (
	order_id bigint,
	product text,
	quantity integer,
	amount numeric(10,2)
);

-- Tea goes with cups, coffee with filters; green tea brings people back.
INSERT INTO public.order_lines
SELECT o.id, p.product, 1 + floor(2 * pg_temp.chance(o.id, p.place, 'quantity'))::integer, round(o.total / 2, 2)
FROM public.orders AS o
CROSS JOIN LATERAL (
	SELECT ceil(8 * pg_temp.chance(o.customer_id, 0, 'taste') ^ 1.3 * 0.6 + 3.2 * pg_temp.chance(o.id, 0, 'pick'))::integer AS kind
) AS t
CROSS JOIN LATERAL (
	VALUES
		(1, (ARRAY['绿茶 Green tea', '红茶 Black tea', '乌龙茶 Oolong', '咖啡豆 Coffee beans', '花茶 Flower tea', '茶杯 Cup', '滤纸 Filters', '礼盒 Gift box'])[t.kind]),
		(2, CASE
			WHEN pg_temp.chance(o.id, 2, 'second') < 0.45
			THEN (ARRAY['茶杯 Cup', '茶杯 Cup', '茶壶 Teapot', '滤纸 Filters', '蜂蜜 Honey', '绿茶 Green tea', '咖啡豆 Coffee beans', '贺卡 Card'])[t.kind]
		END)
) AS p (place, product)
WHERE p.product IS NOT NULL;

CREATE INDEX ON public.order_lines (order_id);

CREATE TABLE public.reviews (
	id bigint PRIMARY KEY,
	order_id bigint,
	score integer,
	content text,
	created_at timestamptz
);

CREATE TABLE public.visits AS
SELECT o.customer_id, 'visit' AS kind, o.channel,
	o.created_at - interval '1 day' * v.n * 2 * pg_temp.chance(o.id, v.n, 'visit') AS happened_at
FROM public.orders AS o, generate_series(1, 3) AS v (n)
WHERE pg_temp.chance(o.id, v.n, 'visits') < 0.6;

CREATE INDEX ON public.visits (customer_id);

-- ---------------------------------------------------------------------------
-- The last two months have not happened yet
-- ---------------------------------------------------------------------------

CREATE TEMP TABLE coming AS
SELECT * FROM public.orders WHERE created_at >= :'starts_on';

DELETE FROM public.orders WHERE created_at >= :'starts_on';

CREATE TEMP TABLE later AS
SELECT id, paid_at, shipped_at, completed_at, cancelled_at, refunded
FROM public.orders
WHERE greatest(paid_at, shipped_at, completed_at, cancelled_at) >= :'starts_on';

UPDATE public.orders
SET paid_at = CASE WHEN paid_at < :'starts_on' THEN paid_at END,
	shipped_at = CASE WHEN shipped_at < :'starts_on' THEN shipped_at END,
	completed_at = CASE WHEN completed_at < :'starts_on' THEN completed_at END,
	cancelled_at = CASE WHEN cancelled_at < :'starts_on' THEN cancelled_at END,
	refunded = CASE WHEN completed_at < :'starts_on' THEN refunded ELSE 0 END
WHERE id IN (SELECT id FROM later);

INSERT INTO later
SELECT id, paid_at, shipped_at, completed_at, cancelled_at, refunded FROM coming;

SET retention.clock = :'starts_on';

CREATE EXTENSION retention;

SELECT retention.create_shop('茶与咖啡');
SELECT retention.attach_orders('public.orders',
	order_id => 'id', customer => 'customer_id', total => 'total',
	placed_at => 'created_at', paid_at => 'paid_at', shipped_at => 'shipped_at',
	completed_at => 'completed_at', closed_at => 'cancelled_at', refunded => 'refunded',
	channel => 'channel', points_used => 'points_used',
	attributes => $$jsonb_build_object('region', region)$$);
SELECT retention.attach_customers('public.customers',
	customer => 'id', nickname => 'nickname', phone => 'phone', birthday => 'birthday', joined_at => 'joined_at',
	consents => $$jsonb_build_object('sms', agrees)$$);
SELECT retention.attach_lines('public.order_lines', order_id => 'order_id', product => 'product',
	quantity => 'quantity', amount => 'amount');
SELECT retention.attach_reviews('public.reviews', happened_at => 'created_at', order_id => 'order_id',
	score => 'score', content => 'content', review_id => 'id');
SELECT retention.attach_events('public.visits', customer => 'customer_id', happened_at => 'happened_at',
	kind => 'kind', channel => 'channel');
UPDATE retention.shop SET points_expiry = 'end_of_year';
CALL retention.backfill('public.orders', points => true);
CALL retention.backfill('public.customers');

SELECT retention.enable_rule(name)
FROM retention.care_rules
WHERE name <> 'best_customer_visit';

-- ---------------------------------------------------------------------------
-- Day by day
-- ---------------------------------------------------------------------------

-- What the shop's own programs do in a day: take orders, spend points, send.
CREATE FUNCTION pg_temp.shop_day(day timestamptz)
	RETURNS void
	LANGUAGE plpgsql
AS $$
DECLARE
	day_ends timestamptz := day + interval '1 day';
BEGIN
	INSERT INTO public.orders (id, customer_id, total, created_at, channel, region)
	SELECT id, customer_id, total, created_at, channel, region
	FROM coming
	WHERE created_at >= day AND created_at < day_ends;

	-- One order in eight of those who have points is paid in part with them.
	UPDATE public.orders AS o
	SET points_used = spent.points
	FROM (
		SELECT id, (retention.redeem(customer_id, points, 'order ' || id)).points * -1 AS points
		FROM (
			SELECT id, customer_id, retention.points_balance(customer_id) / 2 AS points
			FROM public.orders
			WHERE created_at >= day AND created_at < day_ends AND pg_temp.chance(id, 0, 'redeem') < 0.125
		) AS wish
		WHERE points >= 50
	) AS spent
	WHERE o.id = spent.id;

	UPDATE public.orders AS o
	SET paid_at = CASE WHEN l.paid_at < day_ends THEN l.paid_at END,
		shipped_at = CASE WHEN l.shipped_at < day_ends THEN l.shipped_at END,
		completed_at = CASE WHEN l.completed_at < day_ends THEN l.completed_at END,
		cancelled_at = CASE WHEN l.cancelled_at < day_ends THEN l.cancelled_at END,
		refunded = CASE WHEN l.completed_at < day_ends THEN l.refunded ELSE 0 END
	FROM later AS l
	WHERE l.id = o.id
		AND ((l.paid_at >= day AND l.paid_at < day_ends) OR (l.shipped_at >= day AND l.shipped_at < day_ends)
			OR (l.completed_at >= day AND l.completed_at < day_ends) OR (l.cancelled_at >= day AND l.cancelled_at < day_ends));

	INSERT INTO public.reviews (id, order_id, score, content, created_at)
	SELECT id, id, 5 - floor(4.2 * pg_temp.chance(id, 0, 'score') ^ 3)::integer, '', completed_at
	FROM public.orders
	WHERE completed_at >= day AND completed_at < day_ends AND pg_temp.chance(id, 0, 'review') < 0.25;
END
$$;

CREATE FUNCTION pg_temp.send(at timestamptz)
	RETURNS bigint
	LANGUAGE sql
AS $$
	SELECT count(CASE
		WHEN pg_temp.chance(hashtext(subject || customer_id), 0, 'fails') < 0.02
		THEN retention.mark_failed(token, 'number not in service', permanent => true, at => at)
		ELSE retention.mark_sent(token, message_id::text, at => at)
	END)
	FROM retention.claim_messages('sms', 10000, at => at)
$$;

CREATE FUNCTION pg_temp.answer(at timestamptz)
	RETURNS bigint
	LANGUAGE sql
AS $$
	SELECT count(retention.record_response(provider_id, 'click', at => at))
	FROM retention.care_message
	WHERE state = 'sent' AND sent_at >= at - interval '1 day' AND responded_at IS NULL
		AND pg_temp.chance(hashtext(subject || customer_id), 0, 'answers') < 0.18
$$;

CREATE FUNCTION pg_temp.call(at timestamptz)
	RETURNS bigint
	LANGUAGE sql
AS $$
	SELECT count(retention.record_call(token,
		(ARRAY['reached', 'reached', 'no_answer', 'call_back'])[1 + floor(4 * pg_temp.chance(hashtext(customer_id), 0, 'call'))::integer],
		next_call_at => CASE WHEN floor(4 * pg_temp.chance(hashtext(customer_id), 0, 'call')) >= 2 THEN at + interval '2 days' END,
		at => at))
	FROM retention.claim_messages('call', 5, worker => CASE WHEN extract(day FROM at)::integer % 2 = 0 THEN '小王' ELSE '小李' END, at => at)
$$;

-- A campaign whose effect is known: four in five orders that those held out would have
-- placed in the two weeks after it are not placed.
CREATE FUNCTION pg_temp.invite(at timestamptz)
	RETURNS void
	LANGUAGE plpgsql
AS $$
BEGIN
	PERFORM retention.create_campaign('夏日新茶 Summer tea', audience => 'old customers', holdout => 0.25,
		attribution_days => 14, cost => 500, segment_cost => 0.05);
	PERFORM retention.add_campaign_step('夏日新茶 Summer tea', text => '{{nickname|亲}}，夏日新茶三天后到店。');
	PERFORM retention.add_campaign_step('夏日新茶 Summer tea', delay => '3 days', ignores_caps => true,
		text => '{{nickname|亲}}，新茶到了，凭 {{offer_code}} 立减 10 元。');
	PERFORM retention.set_campaign_offer('夏日新茶 Summer tea', terms => '立减 10 元');
	PERFORM retention.start_campaign('夏日新茶 Summer tea');
	DELETE FROM coming AS c
	USING retention.campaign_member AS m
	WHERE m.customer_id = c.customer_id::text AND m.arm = 'holdout'
		AND c.created_at BETWEEN at AND at + interval '14 days'
		AND pg_temp.chance(c.id, 0, 'forgets') < 0.8;
END
$$;

SELECT format('SET retention.clock = %L', day + time '10:30'),
	format('SELECT pg_temp.shop_day(%L)', day - interval '1 day'),
	CASE WHEN day = :'starts_on'::timestamptz + interval '20 days' THEN format('SELECT pg_temp.invite(%L)', day + time '10:30') END,
	'CALL retention.run()',
	format('SELECT pg_temp.send(%L)', day + time '10:30'),
	format('SELECT pg_temp.call(%L)', day + time '10:30'),
	format('SET retention.clock = %L', day + time '19:30'),
	format('SELECT pg_temp.answer(%L)', day + time '19:30')
FROM generate_series(:'starts_on'::timestamptz + interval '1 day', :'ends_on'::timestamptz, interval '1 day') AS day
\gexec

ALTER DATABASE shop RESET retention.clock;
SELECT format('ALTER DATABASE shop SET retention.clock = %L', current_setting('retention.clock'))
\gexec
ANALYZE;
\o
