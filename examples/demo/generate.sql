-- A shop that looks like one: most customers buy once or twice and a few very
-- often; there is more to do before 11 November and 18 June, and in the
-- evening; some orders are never paid, some are refunded.  Everything comes
-- from md5 of a number, so every run on every machine makes the same shop.
-- Variables: orders (about how many), ends_at (the last moment).

CREATE TABLE public.orders (
	id bigint PRIMARY KEY,
	customer_id bigint,
	total numeric(10,2) NOT NULL,
	created_at timestamptz NOT NULL,
	paid_at timestamptz,
	shipped_at timestamptz,
	completed_at timestamptz,
	cancelled_at timestamptz,
	refunded numeric(10,2) NOT NULL DEFAULT 0,
	channel text
);

-- A number above 0 and below 1 that depends on the arguments alone.
CREATE FUNCTION pg_temp.chance(a bigint, b bigint, what text)
	RETURNS double precision
	LANGUAGE sql IMMUTABLE
	AS $$
		SELECT ((('x' || left(md5(a || '/' || b || '/' || what), 8))::bit(32)::bigint & 4294967295) + 0.5)
			/ 4294967296.0
	$$;

-- The shop has been open for two years and has grown.  A customer makes n
-- orders with a chance of about n to the power of minus 2.
CREATE TEMP TABLE shopper AS
SELECT c,
	:'ends_at'::timestamptz - interval '729 days' * (pg_temp.chance(c, 0, 'arrival') ^ 1.15) AS arrived_at,
	least(80, floor((1 - pg_temp.chance(c, 0, 'orders')) ^ (-1 / 0.97)))::integer AS orders,
	6 + 75 * pg_temp.chance(c, 0, 'gap') AS gap_days,
	exp(4.4 + 0.7 * (pg_temp.chance(c, 1, 'level') + pg_temp.chance(c, 2, 'level')
		+ pg_temp.chance(c, 3, 'level') - 1.5) * 2) AS usual
FROM generate_series(1, greatest(20, :orders * 36 / 100)) AS c;

CREATE TEMP TABLE visit AS
SELECT c, k, usual,
	arrived_at + gap_days * interval '1 day' * sum(CASE WHEN k = 1 THEN 0 ELSE -ln(pg_temp.chance(c, k, 'gap')) END)
		OVER (PARTITION BY c ORDER BY k) AS day
FROM shopper, generate_series(1, orders) AS k;

-- Of what would have been bought in the five weeks before a sale, much waits for it.
UPDATE visit
SET day = sale
FROM (
	SELECT make_timestamptz(y, m, d, 0, 0, 0) AS sale
	FROM generate_series(2024, 2030) AS y, (VALUES (6, 18), (11, 11)) AS s (m, d)
) AS sales
WHERE day > sale - interval '35 days' AND day < sale
	AND sale < :'ends_at' AND pg_temp.chance(c, k, 'sale') < 0.4;

CREATE TEMP TABLE life AS
SELECT c, k,
	round((usual * exp(pg_temp.chance(c, k, 'a') + pg_temp.chance(c, k, 'b') - 1))::numeric, 0)
		- CASE WHEN pg_temp.chance(c, k, 'price') < 0.6 THEN 0.10 ELSE 0 END + 1 AS total,
	date_trunc('day', day) + make_interval(secs => round(86399 * pg_temp.chance(c, k, 'hour') ^ 0.55)) AS created_at,
	pg_temp.chance(c, k, 'unpaid') < 0.08 AS unpaid,
	pg_temp.chance(c, k, 'forgotten') < 0.12 AS left_open,
	pg_temp.chance(c, k, 'pay') AS pay,
	pg_temp.chance(c, k, 'ship') AS ship,
	pg_temp.chance(c, k, 'travel') AS travel,
	pg_temp.chance(c, k, 'refund') AS refund,
	pg_temp.chance(c, k, 'channel') AS channel
FROM visit;

-- What had not happened at the last moment has not happened.
INSERT INTO public.orders
SELECT row_number() OVER (ORDER BY created_at, c, k), c, total, created_at,
	nullif(paid_at, 'infinity'),
	CASE WHEN shipped_at <= :'ends_at' THEN shipped_at END,
	CASE WHEN completed_at <= :'ends_at' THEN completed_at END,
	CASE
		WHEN unpaid AND NOT left_open AND created_at + interval '1 day' <= :'ends_at'
			THEN created_at + interval '1 day'
	END,
	CASE
		WHEN unpaid OR shipped_at > :'ends_at' THEN 0
		WHEN refund < 0.02 THEN total
		WHEN refund < 0.05 THEN round(total * (refund * 10)::numeric, 2)
		ELSE 0
	END,
	CASE WHEN channel < 0.45 THEN 'app' WHEN channel < 0.75 THEN 'web' WHEN channel < 0.93 THEN 'wechat' ELSE 'store' END
FROM (
	SELECT life.*, paid_at,
		paid_at + make_interval(mins => round(240 + 3600 * ship)::integer) AS shipped_at,
		paid_at + make_interval(mins => round(8160 + 12960 * travel)::integer) AS completed_at
	FROM life,
		LATERAL (
			SELECT CASE WHEN unpaid THEN 'infinity' ELSE created_at + make_interval(secs => round(20 + 600 * pay)) END
		) AS p (paid_at)
	WHERE created_at + interval '15 minutes' <= :'ends_at'
) AS lives;

CREATE INDEX ON public.orders (customer_id);

DROP TABLE shopper, visit, life;
