-- The ledger against a model of it: some twenty thousand random operations on
-- orders and points, with time moved by the argument.  The model is written as
-- plainly as can be: rows of lots and sums over them, no counters.  After every
-- step the balances of all customers must be the same, now and as they will
-- stand later if nothing more is done.
CREATE SCHEMA model;
SET search_path = model, public;

CREATE TABLE lot (id serial PRIMARY KEY, c text, ord int, accrued bigint, remaining bigint, lapsed bigint DEFAULT 0, eff timestamptz, exp timestamptz);
CREATE TABLE hold (ref text PRIMARY KEY, c text, points bigint, timeout timestamptz, open boolean DEFAULT true);
-- The lots of open holds.
CREATE TABLE hold_lot (ref text, k int, lot int, points bigint);
CREATE TABLE redemption (ref text PRIMARY KEY, c text, points bigint, cancelled bigint DEFAULT 0);
CREATE TABLE redemption_lot (ref text, k int, lot int, points bigint);
CREATE TABLE customer (c text PRIMARY KEY, debt bigint DEFAULT 0);
CREATE TABLE accrued (ord int PRIMARY KEY, c text, rate numeric, rounding text, eff timestamptz, exp timestamptz, points bigint DEFAULT 0);
CREATE TABLE seen (c text, at timestamptz, balance bigint);
CREATE INDEX ON lot (c) WHERE remaining > 0;
CREATE INDEX ON hold (c) WHERE open;
CREATE INDEX ON hold_lot (lot);
CREATE INDEX ON hold_lot (ref);
CREATE INDEX ON redemption_lot (ref);
CREATE INDEX ON redemption (ref) WHERE cancelled < points;
CREATE INDEX ON lot (ord);

CREATE FUNCTION free(l lot) RETURNS bigint LANGUAGE sql STABLE AS $$
	SELECT l.remaining - coalesce((SELECT sum(points) FROM hold_lot WHERE lot = l.id), 0)
$$;

CREATE FUNCTION balance(who text) RETURNS bigint LANGUAGE sql STABLE AS $$
	SELECT (coalesce((SELECT sum(remaining) FROM lot WHERE c = who AND remaining > 0), 0)
		- (SELECT debt FROM customer WHERE c = who)
		- coalesce((SELECT sum(points) FROM hold WHERE c = who AND open), 0))::bigint
$$;

-- What lapses repays debt first.
CREATE FUNCTION lapse(the_lot int, who text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	x bigint;
	repaid bigint;
BEGIN
	SELECT free(l.*) INTO x FROM lot l WHERE id = the_lot;
	SELECT least(x, debt) INTO repaid FROM customer WHERE c = who;
	UPDATE customer SET debt = debt - repaid WHERE c = who;
	UPDATE lot SET remaining = remaining - x, lapsed = lapsed + x - repaid WHERE id = the_lot;
END
$$;

CREATE FUNCTION settle(who text, at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	event record;
BEGIN
	IF NOT EXISTS (SELECT FROM hold WHERE c = who AND open AND timeout <= at)
		AND NOT EXISTS (SELECT FROM lot WHERE c = who AND remaining > 0 AND exp <= at) THEN
		RETURN;
	END IF;
	LOOP
		SELECT * INTO event FROM (
			SELECT ref, NULL::int AS lot, timeout AS t, 2 AS turn FROM hold WHERE c = who AND open AND timeout <= at
			UNION ALL
			SELECT NULL, l.id, l.exp, 1 FROM lot l WHERE c = who AND remaining > 0 AND exp <= at AND free(l.*) > 0
		) AS e ORDER BY t, turn, eff_order(lot) LIMIT 1;
		EXIT WHEN NOT FOUND;
		IF event.ref IS NOT NULL THEN
			UPDATE hold SET open = false WHERE ref = event.ref;
			DELETE FROM hold_lot WHERE ref = event.ref;
		ELSE
			PERFORM lapse(event.lot, who);
		END IF;
	END LOOP;
END
$$;
CREATE FUNCTION eff_order(the_lot int) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT to_char(eff, 'YYYYMMDDHH24MISSUS') || to_char(id, '0000000') FROM lot WHERE id = the_lot
$$;

CREATE FUNCTION credit(who text, n bigint, the_ord int, eff timestamptz, exp timestamptz, now timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	repaid bigint;
BEGIN
	SELECT least(n, debt) INTO repaid FROM customer WHERE c = who;
	UPDATE customer SET debt = debt - repaid WHERE c = who;
	IF n > repaid THEN
		INSERT INTO lot (c, ord, accrued, remaining, lapsed, eff, exp)
		VALUES (who, the_ord, n - repaid,
			CASE WHEN exp <= now THEN 0 ELSE n - repaid END,
			CASE WHEN exp <= now THEN n - repaid ELSE 0 END, eff, exp);
	END IF;
END
$$;

-- Takes up to n free points, the first to lapse first, then the oldest; what it took.
CREATE FUNCTION take(who text, n bigint, OUT lots int[], OUT points bigint[], OUT taken bigint) LANGUAGE plpgsql AS $$
DECLARE
	l record;
	part bigint;
BEGIN
	taken := 0;
	FOR l IN SELECT id, free(lot.*) AS free FROM lot WHERE c = who AND remaining > 0 ORDER BY exp NULLS LAST, eff, id LOOP
		EXIT WHEN taken = n;
		CONTINUE WHEN l.free = 0;
		part := least(l.free, n - taken);
		lots := lots || l.id;
		points := points || part;
		taken := taken + part;
	END LOOP;
END
$$;
CREATE FUNCTION spend(lots int[], points bigint[]) RETURNS void LANGUAGE sql AS $$
	UPDATE lot SET remaining = remaining - t.points FROM unnest(lots, points) AS t (id, points) WHERE lot.id = t.id
$$;

-- An order's points follow its money at the rule it accrued with.
CREATE FUNCTION follow(the_ord int, net numeric, now timestamptz, forgive boolean, first boolean DEFAULT false) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	a accrued;
	target bigint;
	n bigint;
	l record;
	part bigint;
	t record;
BEGIN
	SELECT * INTO a FROM accrued WHERE ord = the_ord;
	target := CASE a.rounding WHEN 'up' THEN ceil(net * a.rate) WHEN 'nearest' THEN round(net * a.rate) ELSE floor(net * a.rate) END;
	PERFORM settle(a.c, now);
	UPDATE accrued SET points = target WHERE ord = the_ord;
	IF target > a.points THEN
		PERFORM credit(a.c, target - a.points, the_ord, CASE WHEN first THEN a.eff ELSE now END, a.exp, now);
		RETURN;
	END IF;
	n := a.points - target;
	FOR l IN SELECT id, free(lot.*) AS free FROM lot WHERE ord = the_ord AND c = a.c ORDER BY exp NULLS LAST, eff, id LOOP
		part := least(l.free, n);
		UPDATE lot SET remaining = remaining - part WHERE id = l.id;
		n := n - part;
	END LOOP;
	FOR l IN SELECT id, lapsed FROM lot WHERE ord = the_ord AND c = a.c ORDER BY exp NULLS LAST, eff, id LOOP
		part := least(l.lapsed, n);
		UPDATE lot SET lapsed = lapsed - part WHERE id = l.id;
		n := n - part;
	END LOOP;
	SELECT * INTO t FROM take(a.c, n);
	PERFORM spend(t.lots, t.points);
	IF NOT forgive THEN
		UPDATE customer SET debt = debt + n - t.taken WHERE c = a.c;
	END IF;
END
$$;

CREATE FUNCTION shop_expiry(at timestamptz) RETURNS timestamptz LANGUAGE sql STABLE AS $$
	SELECT CASE points_expiry
		WHEN 'months' THEN at + make_interval(months => points_expiry_months)
		WHEN 'end_of_month' THEN date_trunc('month', at + make_interval(months => points_expiry_months)) + interval '1 month'
		WHEN 'end_of_quarter' THEN date_trunc('quarter', at + make_interval(months => points_expiry_months)) + interval '3 months'
		WHEN 'end_of_year' THEN date_trunc('year', at + make_interval(months => points_expiry_months)) + interval '1 year'
	END FROM retention.shop
$$;

CREATE TABLE orders (id int PRIMARY KEY, customer text, total numeric, refunded numeric NOT NULL DEFAULT 0, done_at timestamptz);

SET client_min_messages = warning;
SET enable_seqscan = off;
SET jit = off;
SET TimeZone = 'Asia/Shanghai';
SET DateStyle = 'ISO, YMD';
INSERT INTO retention.shop (shop_id, name, time_zone) VALUES (1, 'model', 'Asia/Shanghai');
-- Tiers have tests of their own.
INSERT INTO retention.tier (shop_id, rung, name) VALUES (1, 1, 'everybody');
SELECT retention.attach_orders('model.orders', order_id => 'id', customer => 'customer', total => 'total',
	refunded => 'refunded', paid_at => 'done_at', completed_at => 'done_at');
UPDATE retention.source SET points_from = '-infinity';

CREATE PROCEDURE play(seed double precision, steps int, backdate boolean) LANGUAGE plpgsql AS $$
DECLARE
	customers CONSTANT text[] := ARRAY['ann', 'bob', 'cat', 'dan', 'eve'];
	prefix CONSTANT text := 's' || seed || ' ';
	now timestamptz;
	op int;
	who text;
	other text;
	n bigint;
	x bigint;
	the_ref text;
	o record;
	h record;
	r record;
	t record;
	rules retention.shop;
	amount numeric;
	later timestamptz;
	i int;
	wrong bigint;
BEGIN
	PERFORM setseed(seed);
	SELECT coalesce(max(points_as_of), '2020-01-01 00:00+08') INTO now FROM retention.customer_stats;
	FOREACH who IN ARRAY customers LOOP
		INSERT INTO customer (c) VALUES (who) ON CONFLICT DO NOTHING;
		INSERT INTO retention.customer (shop_id, customer_id) VALUES (1, who) ON CONFLICT DO NOTHING;
	END LOOP;

	FOR step IN 1..steps LOOP
		IF step % 50 = 0 THEN
			COMMIT;
		END IF;
		SET CONSTRAINTS ALL IMMEDIATE;
		IF random() < 0.7 THEN
			now := now + random() * random() * interval '4 days';
		END IF;
		PERFORM set_config('retention.clock', now::text, false);
		who := customers[1 + floor(random() * 5)::int];
		op := floor(random() * 100);
		the_ref := prefix || step;
		n := 1 + floor(random() * random() * 300)::bigint;
		-- Spent is about what comes in, so that debt and refusals are common.
		IF op BETWEEN 35 AND 61 THEN
			n := n * 4;
		END IF;
		SELECT * INTO rules FROM retention.shop;

		IF op < 20 THEN
			-- A new order, as a rule just completed, at times brought in late.
			amount := round((random() * 400)::numeric, 2);
			later := now - CASE WHEN backdate AND random() < 0.2 THEN random() * interval '120 days' ELSE '0' END;
			INSERT INTO accrued VALUES (nextval('model.order_id'), who, rules.points_rate, rules.points_rounding, later, shop_expiry(later));
			PERFORM follow(currval('model.order_id')::int, amount, now, rules.debt_policy = 'forgive', first => true);
			INSERT INTO orders (id, customer, total, done_at) VALUES (currval('model.order_id'), who, amount, later);

		ELSIF op < 35 THEN
			-- A refund, in part, in whole, or taken back.
			SELECT * INTO o FROM orders WHERE id > currval('model.order_id') - 40 ORDER BY random() LIMIT 1;
			IF FOUND THEN
				who := o.customer;
				amount := CASE WHEN random() < 0.3 THEN o.total WHEN random() < 0.1 THEN 0
					ELSE round(o.refunded + (o.total - o.refunded) * random()::numeric, 2) END;
				PERFORM follow(o.id, o.total - amount, now, rules.debt_policy = 'forgive');
				UPDATE orders SET refunded = amount WHERE id = o.id;
			END IF;

		ELSIF op < 52 THEN
			PERFORM settle(who, now);
			x := balance(who);
			IF n <= x THEN
				SELECT * INTO t FROM take(who, n);
				PERFORM spend(t.lots, t.points);
				INSERT INTO redemption VALUES (the_ref, who, n);
				INSERT INTO redemption_lot SELECT the_ref, u.k, u.lot, u.points FROM unnest(t.lots, t.points) WITH ORDINALITY AS u (lot, points, k);
				PERFORM retention.redeem(who, n, the_ref, at => now);
				IF random() < 0.2 THEN
					PERFORM retention.redeem(who, n, the_ref, at => now);
				END IF;
			ELSE
				BEGIN
					PERFORM retention.redeem(who, n, the_ref, at => now);
					RAISE EXCEPTION '% redeemed % of %', who, n, x;
				EXCEPTION WHEN check_violation THEN
				END;
			END IF;

		ELSIF op < 62 THEN
			PERFORM settle(who, now);
			x := balance(who);
			later := now + (1 + random() * 200) * interval '1 hour';
			IF n <= x THEN
				SELECT * INTO t FROM take(who, n);
				INSERT INTO hold VALUES (the_ref, who, n, later);
				INSERT INTO hold_lot SELECT the_ref, u.k, u.lot, u.points FROM unnest(t.lots, t.points) WITH ORDINALITY AS u (lot, points, k);
				PERFORM retention.hold(who, n, the_ref, timeout => later - now, at => now);
			ELSE
				BEGIN
					PERFORM retention.hold(who, n, the_ref, timeout => later - now, at => now);
					RAISE EXCEPTION '% held % of %', who, n, x;
				EXCEPTION WHEN check_violation THEN
				END;
			END IF;

		ELSIF op < 72 THEN
			-- Capture or release a hold, some of which have timed out or been resolved.
			SELECT * INTO h FROM hold WHERE hold.ref LIKE prefix || '%' AND (open OR random() < 0.02) ORDER BY open DESC, random() LIMIT 1;
			IF FOUND THEN
				who := h.c;
				PERFORM settle(who, now);
				SELECT open INTO h.open FROM hold WHERE ref = h.ref;
				IF NOT h.open THEN
					BEGIN
						PERFORM retention.capture(who, h.ref, h.points + 1, at => now);
						RAISE EXCEPTION 'captured % twice', h.ref;
					EXCEPTION WHEN object_not_in_prerequisite_state THEN
					END;
				ELSIF random() < 0.4 THEN
					UPDATE hold SET open = false WHERE ref = h.ref;
					DELETE FROM hold_lot WHERE ref = h.ref;
					PERFORM settle(who, now);
					PERFORM retention.release(who, h.ref, at => now);
				ELSE
					x := CASE WHEN random() < 0.5 THEN h.points ELSE 1 + floor(random() * h.points) END;
					UPDATE hold SET open = false WHERE ref = h.ref;
					INSERT INTO redemption VALUES (h.ref, who, x);
					INSERT INTO redemption_lot
					SELECT h.ref, k, lot, least(points, x - before)
					FROM (SELECT *, coalesce(sum(points) OVER (ORDER BY k ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
						FROM hold_lot WHERE ref = h.ref) AS p
					WHERE before < x;
					DELETE FROM hold_lot WHERE ref = h.ref;
					UPDATE lot SET remaining = remaining - rl.points FROM redemption_lot rl WHERE rl.ref = h.ref AND rl.lot = lot.id;
					PERFORM settle(who, now);
					PERFORM retention.capture(who, h.ref, CASE WHEN x = h.points AND random() < 0.5 THEN NULL ELSE x END, at => now);
				END IF;
			END IF;

		ELSIF op < 82 THEN
			-- Cancel a redemption, in part or in whole: the last taken comes back first.
			SELECT * INTO r FROM redemption WHERE ref LIKE prefix || '%' AND cancelled < points ORDER BY random() LIMIT 1;
			IF FOUND THEN
				who := r.c;
				PERFORM settle(who, now);
				x := CASE WHEN random() < 0.5 THEN r.points - r.cancelled ELSE 1 + floor(random() * (r.points - r.cancelled)) END;
				SELECT least(x, debt) INTO n FROM customer WHERE c = who;
				UPDATE customer SET debt = debt - n WHERE c = who;
				UPDATE lot SET remaining = remaining + b.points
				FROM (
					-- As a line of single points from the last to the first: those
					-- not yet cancelled, up to x, less the n at their far end.
					SELECT lot, greatest(least(before + points, r.cancelled + x - n) - greatest(before, r.cancelled), 0) AS points
					FROM (SELECT *, coalesce(sum(points) OVER (ORDER BY k DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
						FROM redemption_lot WHERE ref = r.ref) AS p
				) AS b
				WHERE lot.id = b.lot;
				UPDATE redemption SET cancelled = cancelled + x WHERE ref = r.ref;
				PERFORM settle(who, now);
				PERFORM retention.cancel_redemption(who, r.ref, x, the_ref, at => now);
			END IF;

		ELSIF op < 86 THEN
			PERFORM settle(who, now);
			IF random() < 0.5 THEN
				PERFORM credit(who, n, NULL, now, shop_expiry(now), now);
				PERFORM retention.adjust(who, n, 'model', the_ref, at => now);
			ELSE
				SELECT * INTO t FROM take(who, n);
				PERFORM spend(t.lots, t.points);
				UPDATE customer SET debt = debt + n - t.taken WHERE c = who;
				PERFORM retention.adjust(who, -n, 'model', the_ref, at => now);
			END IF;

		ELSIF op < 92 THEN
			PERFORM settle(who, now);
			later := now + random() * interval '60 days' + interval '1 second';
			PERFORM credit(who, n, NULL, now, later, now);
			PERFORM retention.grant(who, n, 'model', the_ref, expires_at => later, at => now);

		ELSIF op < 95 THEN
			other := customers[1 + floor(random() * 5)::int];
			PERFORM settle(who, now);
			PERFORM settle(other, now);
			x := balance(who);
			IF other <> who AND x > 0 THEN
				n := least(n, x);
				SELECT * INTO t FROM take(who, n);
				PERFORM spend(t.lots, t.points);
				FOR o IN
					SELECT l.exp, sum(u.points)::bigint AS points
					FROM unnest(t.lots, t.points) AS u (lot, points) JOIN lot l ON l.id = u.lot
					GROUP BY l.exp ORDER BY l.exp NULLS LAST
				LOOP
					PERFORM credit(other, o.points, NULL, now, o.exp, now);
				END LOOP;
				PERFORM retention.transfer(who, other, CASE WHEN n = x THEN NULL ELSE n END, the_ref, at => now);
			END IF;

		ELSIF op < 97 THEN
			PERFORM retention.expire_points(now);

		ELSE
			-- The rules change: only what accrues later is affected.
			UPDATE retention.shop SET
				points_rate = (ARRAY[1, 0.5, 1.25, 3])[1 + floor(random() * 4)::int],
				points_rounding = (ARRAY['down', 'nearest', 'up'])[1 + floor(random() * 3)::int],
				points_expiry = (ARRAY['none', 'months', 'end_of_month', 'end_of_quarter', 'end_of_year'])[1 + floor(random() * 5)::int],
				points_expiry_months = 1 + floor(random() * 3)::int,
				debt_policy = (ARRAY['debt', 'debt', 'forgive'])[1 + floor(random() * 3)::int];
		END IF;

		-- Everybody's balance now, and one of them later.
		FOREACH other IN ARRAY customers LOOP
			PERFORM settle(other, now);
			x := balance(other);
			IF x IS DISTINCT FROM retention.points_balance(other, now) THEN
				RAISE EXCEPTION 'seed % step % operation %: % has % points, the model says %', seed, step, op, other,
					retention.points_balance(other, now), x;
			END IF;
			IF NOT backdate THEN
				INSERT INTO seen VALUES (other, now, x);
			END IF;
		END LOOP;
		IF step % 5 = 0 THEN
			later := now + random() * interval '90 days';
			BEGIN
				PERFORM settle(who, later);
				x := balance(who);
				RAISE EXCEPTION USING ERRCODE = 'P0099';
			EXCEPTION WHEN SQLSTATE 'P0099' THEN
			END;
			IF x IS DISTINCT FROM retention.points_balance(who, later) THEN
				RAISE EXCEPTION 'seed % step % operation %: % will have % points on %, the model says %', seed, step, op, who,
					retention.points_balance(who, later), later, x;
			END IF;
		END IF;
		IF step % 1000 = 0 THEN
			SELECT count(*) INTO wrong FROM retention.check_ledger();
			IF wrong > 0 THEN
				RAISE EXCEPTION 'seed % step %: check_ledger() shows % rows', seed, step, wrong;
			END IF;
		END IF;
	END LOOP;
END
$$;
CREATE SEQUENCE order_id;
SELECT nextval('order_id');

CALL play(0.1, 5000, false);

-- Nothing was brought in late so far: each past balance is still what it was.
SELECT count(*) > 1000 AS past_balances, count(*) FILTER (WHERE balance IS DISTINCT FROM retention.points_balance(c, at)) AS differ
FROM (SELECT DISTINCT ON (c, at) * FROM (SELECT *, row_number() OVER () AS n FROM seen) AS s ORDER BY c, at, n DESC) AS s
WHERE at < (SELECT max(at) FROM seen);

CALL play(0.2, 5000, true);
CALL play(0.3, 5000, true);
CALL play(0.4, 5000, true);

-- Every lot, debt and hold is that of the model, which lets points lapse at
-- once, and so is every order.
SELECT retention.expire_points() >= 0 AS swept;
SELECT * FROM (
	SELECT customer_id, expires_at, effective_at, accrued, remaining, lapsed FROM retention.points_lot WHERE remaining > 0
	EXCEPT ALL
	SELECT c, exp, eff, accrued, remaining, lapsed FROM lot WHERE remaining > 0) AS d;
SELECT count(*) AS debts_differ FROM customer c JOIN retention.customer_stats s ON s.customer_id = c.c WHERE s.points_debt <> c.debt;
SELECT count(*) AS orders_differ FROM accrued a JOIN retention.purchase p ON p.order_id = a.ord::text WHERE p.accrued_points <> a.points;
SELECT count(*) AS refunded_but_earning FROM retention.purchase WHERE paid = refunded AND accrued_points <> 0;

-- Running balances and numbers without a gap; nothing that check_ledger() sees.
SELECT count(*) AS gaps FROM customer CROSS JOIN LATERAL (
	SELECT *, lag(balance, 1, 0::bigint) OVER w AS before, row_number() OVER w AS n
	FROM retention.points_statement(c) WINDOW w AS (ORDER BY entry_no)) AS s
WHERE s.balance <> s.before + s.points OR s.entry_no <> s.n;
SELECT * FROM retention.check_ledger();
SELECT kind, count(*) > 20 AS many FROM retention.points_entry GROUP BY kind ORDER BY kind;
SELECT bool_and(retention.points_balance(c) <= s.points_posted) AS never_above_posted
FROM customer JOIN retention.customer_stats s ON s.customer_id = c;

-- Leave nothing behind.
SET client_min_messages = warning;
RESET retention.clock;
RESET enable_seqscan;
RESET jit;
RESET TimeZone;
RESET DateStyle;
SELECT retention.detach('model.orders');
DROP SCHEMA model CASCADE;
DROP EXTENSION retention CASCADE;
CREATE EXTENSION retention;
