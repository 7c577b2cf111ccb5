-- Thousands of random order lives, after which everything recorded must equal
-- what plain SQL makes of the shop's tables as they stand, and a second backfill
-- must find nothing to do.  Three shops live at once:
--   ladder   a ladder of one rung, points when completed, refunds on the order,
--            completed orders that are deleted stay recorded
--   default  the shipped ladder, points when paid, refunds as negative orders,
--            named and unnamed, closing a paid order refunds it, deleting reverses
--   week     no word on completion: points seven days after payment, days being
--            those of a time zone with summer time
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA random_lives;
SET search_path = random_lives, public;

-- What the driver knows: the shops, how each order stood when it was last synced,
-- and the orders that are gone but stay recorded.
CREATE TABLE variant (
	shop text PRIMARY KEY,
	shop_id integer NOT NULL,
	maps_refunded boolean NOT NULL,
	maps_refund_of boolean NOT NULL,
	maps_completed boolean NOT NULL,
	keeps boolean NOT NULL,
	accrue_on text NOT NULL,
	time_zone text NOT NULL,
	multipliers numeric[] NOT NULL
);
INSERT INTO variant VALUES
	('ladder', 1, true, false, true, true, 'completed', 'UTC', '{1.37}'),
	('default', 2, false, true, true, false, 'paid', 'UTC', '{1,1.1,1.2,1.5}'),
	('week', 3, true, true, false, true, 'completed', 'America/New_York', '{1,1.1,1.2,1.5}');

CREATE TABLE orders (
	shop text NOT NULL,
	id bigint NOT NULL,
	customer text,
	total numeric(12,2) NOT NULL,
	refunded numeric(12,2) NOT NULL DEFAULT 0,
	refund_of bigint,
	placed_at timestamptz,
	paid_at timestamptz,
	shipped boolean NOT NULL DEFAULT false,
	completed_at timestamptz,
	closed_at timestamptz,
	note text,
	PRIMARY KEY (shop, id)
) PARTITION BY LIST (shop);
CREATE TABLE orders_ladder PARTITION OF orders FOR VALUES IN ('ladder');
CREATE TABLE orders_default PARTITION OF orders FOR VALUES IN ('default');
CREATE TABLE orders_week PARTITION OF orders FOR VALUES IN ('week');
CREATE INDEX ON orders (shop, customer);
CREATE UNIQUE INDEX ON orders_ladder (id);
CREATE UNIQUE INDEX ON orders_default (id);
CREATE UNIQUE INDEX ON orders_week (id);

CREATE TABLE synced (LIKE orders INCLUDING INDEXES);
CREATE TABLE kept (LIKE orders INCLUDING INDEXES);
CREATE SEQUENCE order_ids;

SET retention.clock = '2023-01-01 00:00+00';
INSERT INTO retention.shop (shop_id, name, time_zone, accrue_on, points_rate)
SELECT shop_id, shop, time_zone, accrue_on, CASE shop WHEN 'ladder' THEN 0.7 ELSE 1 END
FROM variant;
INSERT INTO retention.tier (shop_id, rung, name, multiplier) VALUES (1, 1, 'member', 1.37);
SELECT retention.attach_orders('orders_ladder', order_id => 'id', customer => 'customer', total => 'total', refunded => 'refunded',
	placed_at => 'placed_at', paid_at => 'paid_at', shipped => 'shipped', completed_at => 'completed_at', closed_at => 'closed_at',
	for_shop => 'ladder');
SELECT retention.attach_orders('orders_default', order_id => 'id', customer => 'customer', total => 'total', refund_of => 'refund_of',
	placed_at => 'placed_at', paid_at => 'paid_at', shipped => 'shipped', completed_at => 'completed_at', closed_at => 'closed_at',
	on_delete => 'reverse', for_shop => 'default');
SELECT retention.attach_orders('orders_week', order_id => 'id', customer => 'customer', total => 'total', refunded => 'refunded', refund_of => 'refund_of',
	placed_at => 'placed_at', paid_at => 'paid_at', shipped => 'shipped', closed_at => 'closed_at',
	for_shop => 'week');
SELECT retention.enable_rule('unpaid_reminder', shop) FROM variant ORDER BY shop_id;

-- ---------------------------------------------------------------------------
-- What is to be recorded, from scratch
-- ---------------------------------------------------------------------------

-- Days are counted in the shop's time zone.
CREATE FUNCTION completion(v variant, completed_at timestamptz, paid_at timestamptz) RETURNS timestamptz LANGUAGE sql STABLE
RETURN CASE WHEN v.maps_completed THEN completed_at ELSE (paid_at AT TIME ZONE v.time_zone + interval '7 days') AT TIME ZONE v.time_zone END;

CREATE TABLE expected (
	shop text,
	id bigint,
	order_id text COLLATE "C",
	shop_id integer,
	customer text,
	placed_at timestamptz,
	paid_at timestamptz,
	shipped boolean,
	completed_at timestamptz,
	closed_at timestamptz,
	total numeric,
	paid numeric,
	refunded numeric,
	by_orders numeric DEFAULT 0,
	is_refund boolean,
	refund_of text,
	value numeric,
	accrues_at timestamptz,
	PRIMARY KEY (shop, id)
);

CREATE FUNCTION net(e expected) RETURNS numeric LANGUAGE sql IMMUTABLE
RETURN greatest(e.paid - e.refunded - e.by_orders, 0);

CREATE PROCEDURE recompute() LANGUAGE plpgsql AS $$
DECLARE
	refund expected;
	purchase expected;
	left_over numeric;
	taken numeric;
BEGIN
	TRUNCATE expected;
	INSERT INTO expected (shop, id, order_id, shop_id, customer, placed_at, paid_at, shipped, completed_at, closed_at, total, paid, refunded, is_refund, refund_of)
	SELECT o.shop, o.id, o.id, v.shop_id, o.customer, o.placed_at, o.paid_at, o.shipped,
		CASE WHEN v.maps_completed THEN o.completed_at END, o.closed_at, o.total,
		CASE WHEN o.paid_at IS NULL THEN 0 ELSE o.total END,
		CASE WHEN v.maps_refunded THEN o.refunded
			WHEN o.paid_at IS NOT NULL AND o.closed_at IS NOT NULL AND o.total >= 0 THEN o.total
			ELSE 0 END,
		o.total < 0,
		CASE WHEN o.total < 0 AND v.maps_refund_of THEN o.refund_of END
	FROM (SELECT * FROM orders UNION ALL SELECT * FROM kept) AS o
	JOIN variant AS v USING (shop)
	WHERE o.customer <> '' AND (o.placed_at IS NOT NULL OR o.paid_at IS NOT NULL);

	-- Refunds that name their order, whoever's it is.
	UPDATE expected AS e
	SET by_orders = r.amount
	FROM (
		SELECT shop, refund_of, -sum(paid) AS amount
		FROM expected
		WHERE is_refund AND refund_of IS NOT NULL AND paid_at IS NOT NULL
		GROUP BY shop, refund_of
	) AS r
	WHERE e.shop = r.shop AND e.order_id = r.refund_of AND NOT e.is_refund;

	-- The others: oldest first, each to the newest purchases paid before it.
	FOR refund IN
		SELECT * FROM expected
		WHERE is_refund AND refund_of IS NULL AND paid_at IS NOT NULL
		ORDER BY paid_at, order_id
	LOOP
		left_over := -refund.paid;
		FOR purchase IN
			SELECT * FROM expected AS e
			WHERE e.shop = refund.shop AND e.customer = refund.customer AND NOT e.is_refund
				AND (e.paid_at, e.order_id) < (refund.paid_at, refund.order_id) AND net(e) > 0
			ORDER BY e.paid_at DESC, e.order_id DESC
		LOOP
			EXIT WHEN left_over = 0;
			taken := least(left_over, net(purchase));
			UPDATE expected SET by_orders = by_orders + taken WHERE shop = purchase.shop AND id = purchase.id;
			left_over := left_over - taken;
		END LOOP;
	END LOOP;

	UPDATE expected AS e
	SET value = CASE WHEN NOT is_refund AND paid_at IS NOT NULL
			AND NOT ((refunded + by_orders > 0 OR closed_at IS NOT NULL) AND refunded + by_orders >= paid) THEN net(e) END,
		accrues_at = CASE WHEN v.accrue_on = 'paid' THEN e.paid_at ELSE completion(v, e.completed_at, e.paid_at) END
	FROM variant AS v
	WHERE v.shop = e.shop;
	ANALYZE expected;
END
$$;

-- ---------------------------------------------------------------------------
-- One step of a life
-- ---------------------------------------------------------------------------

-- The orders were synced just now: remember how they stood.
CREATE FUNCTION note(what text, ids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO kept
	SELECT s.*
	FROM synced AS s
	JOIN variant AS v USING (shop)
	WHERE s.shop = what AND s.id = ANY (ids)
		AND v.keeps
		AND s.customer <> '' AND (s.placed_at IS NOT NULL OR s.paid_at IS NOT NULL)
		AND completion(v, s.completed_at, s.paid_at) <= retention.now()
		AND NOT EXISTS (SELECT FROM orders AS o WHERE o.shop = what AND o.id = s.id);
	DELETE FROM kept AS k
	USING orders AS o
	WHERE k.shop = what AND k.id = ANY (ids) AND o.shop = what AND o.id = k.id;
	DELETE FROM synced AS s
	WHERE s.shop = what AND s.id = ANY (ids);
	INSERT INTO synced
	SELECT o.*
	FROM orders AS o
	WHERE o.shop = what AND o.id = ANY (ids);
END
$$;

CREATE FUNCTION pick(what text) RETURNS bigint LANGUAGE sql VOLATILE AS $$
	SELECT o.id
	FROM orders AS o, (SELECT floor(random() * last_value) AS from_id FROM order_ids) AS f
	WHERE o.shop = what AND o.id >= f.from_id
	ORDER BY o.id
	LIMIT 1
$$;

-- A few regulars, one of them at every hour, and many who come once or twice;
-- guests by their mail, and nobody.
CREATE FUNCTION somebody() RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT CASE
		WHEN r < 0.04 THEN NULL
		WHEN r < 0.06 THEN ''
		WHEN r < 0.10 THEN 'guest' || floor(random() * 20) || '@mail.example'
		WHEN r < 0.40 THEN '1'
		WHEN r < 0.80 THEN floor(1 + random() * 15)::text
		ELSE floor(random() * 500)::text
	END
	FROM (SELECT random() AS r OFFSET 0) AS dice
$$;

CREATE FUNCTION act(what text) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
	dice double precision := random();
	now timestamptz := retention.now();
	past timestamptz := retention.now() - CASE WHEN random() < 0.2 THEN random() * interval '60 days' ELSE random() * interval '1 day' END;
	it bigint := pick(what);
	who text := somebody();
	amount numeric := round((CASE WHEN random() < 0.05 THEN random() * 3000 WHEN random() < 0.02 THEN 0 ELSE random() * 90 END)::numeric, 2);
	ids bigint[];
BEGIN
	IF dice < 0.26 OR it IS NULL THEN		-- placed, or put into the cart
		INSERT INTO orders (shop, id, customer, total, placed_at)
		VALUES (what, nextval('order_ids'), who, amount, CASE WHEN random() < 0.9 THEN past END)
		RETURNING ARRAY[id] INTO ids;
	ELSIF dice < 0.40 THEN		-- paid, shipped and completed when it comes
		INSERT INTO orders (shop, id, customer, total, placed_at, paid_at, shipped, completed_at)
		VALUES (what, nextval('order_ids'), who, amount, past, past, true, CASE WHEN random() < 0.6 THEN past END)
		RETURNING ARRAY[id] INTO ids;
	ELSIF dice < 0.50 THEN
		UPDATE orders SET paid_at = coalesce(paid_at, past) WHERE shop = what AND id = it RETURNING ARRAY[id] INTO ids;
	ELSIF dice < 0.56 THEN
		UPDATE orders SET shipped = random() < 0.9 WHERE shop = what AND id = it RETURNING ARRAY[id] INTO ids;
	ELSIF dice < 0.66 THEN
		UPDATE orders SET completed_at = coalesce(completed_at, now) WHERE shop = what AND id = it AND paid_at IS NOT NULL RETURNING ARRAY[id] INTO ids;
	ELSIF dice < 0.74 THEN		-- refunded in parts, or wholly, or more than that
		IF what = 'default' OR random() < 0.1 THEN
			INSERT INTO orders (shop, id, customer, total, refund_of, placed_at, paid_at)
			SELECT what, nextval('order_ids'), CASE WHEN random() < 0.9 THEN customer ELSE who END,
				-CASE WHEN random() < 0.3 THEN total ELSE amount END,
				CASE WHEN random() < 0.6 THEN id END,
				now, CASE WHEN random() < 0.9 THEN now - random() * interval '3 days' END
			FROM orders
			WHERE shop = what AND id = it AND total > 0
			RETURNING ARRAY[id] INTO ids;
		ELSE
			UPDATE orders
			SET refunded = CASE WHEN random() < 0.4 THEN greatest(total, 0) ELSE refunded + round(greatest(total, 0) * random()::numeric, 2) END
			WHERE shop = what AND id = it
			RETURNING ARRAY[id] INTO ids;
		END IF;
	ELSIF dice < 0.77 THEN
		UPDATE orders SET closed_at = CASE WHEN random() < 0.8 THEN now END WHERE shop = what AND id = it RETURNING ARRAY[id] INTO ids;
	ELSIF dice < 0.82 THEN
		DELETE FROM orders WHERE shop = what AND id = it RETURNING ARRAY[id] INTO ids;
	ELSIF dice < 0.87 THEN
		UPDATE orders SET customer = who WHERE shop = what AND id = it RETURNING ARRAY[id] INTO ids;
	ELSIF dice < 0.91 THEN
		UPDATE orders SET total = sign(total) * amount WHERE shop = what AND id = it RETURNING ARRAY[id] INTO ids;
	ELSIF dice < 0.93 THEN		-- a payment or a completion taken back, or dated otherwise
		UPDATE orders
		SET paid_at = CASE WHEN random() < 0.5 THEN past END, completed_at = CASE WHEN random() < 0.5 THEN completed_at END
		WHERE shop = what AND id = it
		RETURNING ARRAY[id] INTO ids;
	ELSIF dice < 0.95 THEN		-- several at once, and some of it to no effect
		WITH changed AS (
			UPDATE orders
			SET note = 'seen', paid_at = coalesce(paid_at, CASE WHEN id % 3 = 0 THEN past END)
			WHERE shop = what AND customer = who AND id BETWEEN it AND it + 400
			RETURNING id
		)
		SELECT array_agg(id) INTO ids FROM changed;
	ELSIF dice < 0.96 THEN
		UPDATE orders SET refund_of = pick(what) WHERE shop = what AND id = it AND total < 0 RETURNING ARRAY[id] INTO ids;
	ELSIF dice < 0.965 THEN		-- another number, under which it is another order
		UPDATE orders SET id = nextval('order_ids') WHERE shop = what AND id = it RETURNING ARRAY[it, id] INTO ids;
	ELSIF dice < 0.98 THEN		-- a number used again, or an order written twice
		INSERT INTO orders (shop, id, customer, total, placed_at, paid_at)
		VALUES (what, it + floor(random() * 3), who, amount, past, past)
		ON CONFLICT (shop, id) DO UPDATE SET total = abs(EXCLUDED.total)
		RETURNING ARRAY[id] INTO ids;
	ELSE		-- back into the cart
		UPDATE orders SET placed_at = CASE WHEN placed_at IS NULL THEN past END WHERE shop = what AND id = it RETURNING ARRAY[id] INTO ids;
	END IF;
	RETURN coalesce(ids, '{}');
END
$$;

CREATE FUNCTION step(what text, at_once boolean) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
	ids bigint[] := act(what);
BEGIN
	IF at_once THEN
		PERFORM note(what, ids);
	END IF;
	RETURN ids;
END
$$;

-- Transactions of one to six steps: some rolled back, some in part, some with
-- what they did so far synced in between or at once.
CREATE PROCEDURE live(what text, seed double precision, transactions integer) LANGUAGE plpgsql AS $$
DECLARE
	ids bigint[];
	at_once boolean;
BEGIN
	PERFORM setseed(seed);
	FOR t IN 1..transactions LOOP
		PERFORM set_config('retention.clock', (retention.now() + random() * interval '1 hour')::text, false);
		ids := '{}';
		at_once := false;
		FOR s IN 1..1 + floor(random() * random() * 6)::integer LOOP
			IF random() < 0.12 THEN
				BEGIN
					ids := ids || step(what, at_once) || step(what, at_once);
					IF random() < 0.4 AND NOT at_once THEN
						SET CONSTRAINTS ALL IMMEDIATE;
						PERFORM note(what, ids);
						SET CONSTRAINTS ALL DEFERRED;
					END IF;
					IF random() < 0.6 THEN
						RAISE EXCEPTION 'changed my mind' USING ERRCODE = 'RL001';
					END IF;
				EXCEPTION WHEN SQLSTATE 'RL001' THEN
					NULL;
				END;
			ELSE
				ids := ids || step(what, at_once);
			END IF;
			IF random() < 0.06 AND NOT at_once THEN
				SET CONSTRAINTS ALL IMMEDIATE;
				PERFORM note(what, ids);
				at_once := random() < 0.5;
				IF NOT at_once THEN
					SET CONSTRAINTS ALL DEFERRED;
				END IF;
			END IF;
		END LOOP;
		IF random() < 0.05 THEN
			ROLLBACK;
		ELSE
			PERFORM note(what, ids);
			COMMIT;
		END IF;
	END LOOP;
END
$$;

-- ---------------------------------------------------------------------------
-- What differs
-- ---------------------------------------------------------------------------

CREATE VIEW purchase_is AS
	SELECT v.shop, p.order_id, p.shop_id, p.customer_id, p.paid_at, p.shipped_at IS NOT NULL AS shipped, p.completed_at, p.closed_at,
		p.total, p.paid, p.refunded, p.refunded_by_orders, p.is_refund, p.refund_of, p.value
	FROM retention.purchase AS p
	JOIN variant AS v USING (shop_id);

CREATE VIEW purchase_should_be AS
	SELECT shop, order_id, shop_id, customer, paid_at, shipped, completed_at, closed_at,
		total, paid, refunded, by_orders, is_refund, refund_of, value
	FROM expected;

CREATE VIEW stats_is AS
	SELECT v.shop, s.customer_id, s.purchases, s.spent, s.first_purchase_at, s.last_purchase_at, s.unpaid_orders, s.unlinked_refunds
	FROM retention.customer_stats AS s
	JOIN variant AS v USING (shop_id);

CREATE VIEW stats_should_be AS
	SELECT v.shop, s.customer_id, count(e.value) AS purchases, coalesce(sum(e.value), 0) AS spent,
		min(e.paid_at) FILTER (WHERE e.value IS NOT NULL) AS first_purchase_at,
		max(e.paid_at) FILTER (WHERE e.value IS NOT NULL) AS last_purchase_at,
		count(*) FILTER (WHERE NOT e.is_refund AND e.paid_at IS NULL AND e.closed_at IS NULL) AS unpaid_orders,
		count(*) FILTER (WHERE e.is_refund AND e.paid_at IS NOT NULL AND e.refund_of IS NULL) AS unlinked_refunds
	FROM (SELECT shop_id, customer_id FROM retention.customer_stats UNION SELECT shop_id, customer FROM expected) AS s
	JOIN variant AS v USING (shop_id)
	LEFT JOIN expected AS e ON e.shop = v.shop AND e.customer = s.customer_id
	GROUP BY v.shop, s.customer_id;

CREATE VIEW history_is AS
	SELECT h.shop_id, h.customer_id, e.paid_at, e.amount
	FROM (
		SELECT shop_id, customer_id, history FROM retention.customer_stats
		UNION ALL
		SELECT shop_id, customer_id, history FROM retention.customer_history
	) AS h
	CROSS JOIN LATERAL retention.entries(h.history) AS e;

-- One row a kind of fault: how many there are, and one of them to look at.
CREATE FUNCTION faults() RETURNS TABLE (fault text, found bigint, example text) LANGUAGE plpgsql AS $$
BEGIN
	CALL recompute();
	RETURN QUERY
	SELECT f.fault, count(*), min(f.example)
	FROM (
		SELECT 'purchase recorded otherwise' AS fault, d::text AS example
		FROM ((TABLE purchase_is EXCEPT TABLE purchase_should_be) UNION ALL (TABLE purchase_should_be EXCEPT TABLE purchase_is)) AS d
		UNION ALL
		SELECT 'customer_stats otherwise', d::text
		FROM ((TABLE stats_is EXCEPT TABLE stats_should_be) UNION ALL (TABLE stats_should_be EXCEPT TABLE stats_is)) AS d
		UNION ALL
		SELECT 'history otherwise', d::text
		FROM ((TABLE history_is EXCEPT ALL SELECT shop_id, customer, paid_at, value FROM expected WHERE value IS NOT NULL)
			UNION ALL (SELECT shop_id, customer, paid_at, value FROM expected WHERE value IS NOT NULL EXCEPT ALL TABLE history_is)) AS d
		UNION ALL
		SELECT 'chunk out of place', (s.customer_id, c.starts_at)::text
		FROM retention.customer_stats AS s
		JOIN retention.customer_history AS c USING (shop_id, customer_id)
		LEFT JOIN LATERAL (
			SELECT min(n.starts_at) AS ends_at
			FROM retention.customer_history AS n
			WHERE n.shop_id = c.shop_id AND n.customer_id = c.customer_id AND n.starts_at > c.starts_at
		) AS n ON true
		WHERE s.history_from IS NULL
			OR retention.first_purchase(c.history) < c.starts_at
			OR retention.last_purchase(c.history) >= coalesce(n.ends_at, s.history_from)
			OR retention.first_purchase(s.history) < s.history_from
		UNION ALL
		SELECT 'profile missing', s.customer_id
		FROM retention.customer_stats AS s
		WHERE NOT EXISTS (SELECT FROM retention.customer AS c WHERE c.shop_id = s.shop_id AND c.customer_id = s.customer_id)
		UNION ALL
		-- Points follow the money at the rate and multiplier stored.
		SELECT 'points of an order', (e.shop, p.order_id, p.accrued_points, net(e), p.accrual_rate, p.accrual_multiplier)::text
		FROM expected AS e
		JOIN retention.purchase AS p ON p.shop_id = e.shop_id AND p.order_id = e.order_id
		WHERE p.accrued_points <> CASE WHEN p.accrued_at IS NULL OR e.is_refund THEN 0
			ELSE floor(net(e) * p.accrual_rate * p.accrual_multiplier) END
		UNION ALL
		SELECT 'rate or multiplier', (p.shop_id, p.order_id, p.accrual_rate, p.accrual_multiplier)::text
		FROM retention.purchase AS p
		JOIN variant AS v USING (shop_id)
		JOIN retention.shop AS s USING (shop_id)
		WHERE p.accrued_at IS NOT NULL
			AND (p.accrual_rate IS DISTINCT FROM s.points_rate OR (p.accrual_multiplier = ANY (v.multipliers)) IS NOT TRUE)
		UNION ALL
		SELECT 'accrual missing', (e.shop, e.order_id, e.accrues_at, p.accrual_due_at)::text
		FROM expected AS e
		JOIN retention.purchase AS p ON p.shop_id = e.shop_id AND p.order_id = e.order_id
		WHERE e.value IS NOT NULL AND p.accrued_at IS NULL
			AND (e.accrues_at <= retention.now() AND p.accrual_due_at IS NULL OR p.accrual_due_at IS DISTINCT FROM e.accrues_at)
		UNION ALL
		SELECT 'accrual without cause', (e.shop, e.order_id)::text
		FROM expected AS e
		JOIN retention.purchase AS p ON p.shop_id = e.shop_id AND p.order_id = e.order_id
		WHERE p.accrued_at > retention.now() OR (p.accrual_due_at IS NOT NULL AND (e.value IS NULL OR p.accrued_at IS NOT NULL))
		UNION ALL
		-- The ledger, by itself and against what the orders say.
		SELECT 'entries of an order', (n.shop_id, n.customer_id, n.order_id, n.points, p.accrued_points)::text
		FROM (
			SELECT l.source_id, l.shop_id, l.customer_id, l.order_id, sum(l.points) AS points
			FROM retention.points_entry AS l
			GROUP BY 1, 2, 3, 4
		) AS n
		FULL JOIN (SELECT * FROM retention.purchase WHERE accrued_points <> 0) AS p USING (source_id, shop_id, customer_id, order_id)
		WHERE coalesce(n.points, 0) <> coalesce(p.accrued_points, 0)
		UNION ALL
		SELECT 'wholly refunded order with points', (e.shop, e.order_id)::text
		FROM expected AS e
		JOIN retention.points_entry AS l ON l.shop_id = e.shop_id AND l.order_id = e.order_id
		WHERE e.refunded + e.by_orders >= e.paid AND NOT e.is_refund
		GROUP BY e.shop, e.order_id
		HAVING sum(l.points) <> 0
		UNION ALL
		SELECT 'sum of entries', s.customer_id
		FROM retention.customer_stats AS s
		LEFT JOIN LATERAL (
			SELECT sum(l.points) AS points, sum(l.debt) AS debt, count(*) AS entries, max(l.entry_no) AS last_no
			FROM retention.points_entry AS l
			WHERE l.shop_id = s.shop_id AND l.customer_id = s.customer_id
		) AS l ON true
		LEFT JOIN LATERAL (
			SELECT sum(r.remaining) AS remaining
			FROM retention.points_lot AS r
			WHERE r.shop_id = s.shop_id AND r.customer_id = s.customer_id
		) AS r ON true
		WHERE coalesce(l.points, 0) <> s.points_posted
			OR coalesce(l.debt, 0) <> s.points_debt
			OR s.points_posted <> coalesce(r.remaining, 0) - s.points_debt
			OR l.entries <> s.last_entry_no
			OR coalesce(l.last_no, 0) <> s.last_entry_no
		UNION ALL
		SELECT 'reminder of an order that is not unpaid', (m.shop_id, m.customer_id, m.order_id)::text
		FROM retention.care_message AS m
		WHERE m.state = 'queued'
			AND NOT EXISTS (
				SELECT FROM expected AS e
				WHERE e.shop_id = m.shop_id AND e.customer = m.customer_id AND e.order_id = m.order_id
					AND NOT e.is_refund AND e.paid_at IS NULL AND e.closed_at IS NULL)
		UNION ALL
		SELECT 'sync error', x.message
		FROM retention.sync_error AS x
	) AS f
	GROUP BY f.fault;
END
$$;

-- All that is recorded, where each row lies and who wrote it last included.
CREATE FUNCTION fingerprint() RETURNS text LANGUAGE sql AS $$
	SELECT md5(string_agg(f, ' ' ORDER BY f))
	FROM (
		SELECT md5(string_agg((p.ctid, p.xmin, p)::text, ' ' ORDER BY p.ctid)) FROM retention.purchase AS p
		UNION ALL SELECT md5(string_agg((s.ctid, s.xmin, s)::text, ' ' ORDER BY s.ctid)) FROM retention.customer_stats AS s
		UNION ALL SELECT md5(string_agg((h.ctid, h.xmin, h)::text, ' ' ORDER BY h.ctid)) FROM retention.customer_history AS h
		UNION ALL SELECT md5(string_agg((c.ctid, c.xmin, c)::text, ' ' ORDER BY c.ctid)) FROM retention.customer AS c
		UNION ALL SELECT md5(string_agg((e.ctid, e.xmin, e)::text, ' ' ORDER BY e.ctid)) FROM retention.points_entry AS e
		UNION ALL SELECT md5(string_agg((l.ctid, l.xmin, l)::text, ' ' ORDER BY l.ctid)) FROM retention.points_lot AS l
		UNION ALL SELECT md5(string_agg((m.ctid, m.xmin, m)::text, ' ' ORDER BY m.ctid)) FROM retention.care_message AS m
	) AS t (f)
$$;

-- backfill() says how fast it was, so its parts are called here.
CREATE PROCEDURE backfill_again() LANGUAGE plpgsql AS $$
DECLARE
	source integer;
BEGIN
	FOR source IN SELECT source_id FROM retention.source ORDER BY 1 LOOP
		PERFORM retention.backfill_start(source, 700, NULL);
		WHILE retention.backfill_step(source) > 0 LOOP
			COMMIT;
		END LOOP;
	END LOOP;
END
$$;

-- ---------------------------------------------------------------------------
-- Live, and look
-- ---------------------------------------------------------------------------

SET retention.clock = '2024-02-01 00:00+00';
CALL live('ladder', 0.1, 400);
CALL live('default', 0.1, 400);
CALL live('week', 0.1, 400);
SELECT * FROM faults();
CALL live('ladder', 0.2, 1200);
CALL live('default', 0.2, 1200);
CALL live('week', 0.2, 1200);
SELECT * FROM faults();

-- Once what has fallen due is posted, backfill and resync find nothing to do.
CALL retention.run();
SELECT * FROM faults();
SELECT fingerprint() AS before \gset
CALL backfill_again();
SELECT :'before' = fingerprint() AS backfill_changed_nothing;
SELECT sum(retention.resync(name, everything => true)) > 0 AS all_synced_again FROM retention.source;
SELECT :'before' = fingerprint() AS resync_changed_nothing;

-- A week later the points of those that only tell of payment have fallen due.
SELECT set_config('retention.clock', (retention.now() + interval '9 days')::text, false) IS NOT NULL AS later;
CALL retention.run();
SELECT count(*) AS still_due FROM retention.purchase WHERE accrual_due_at IS NOT NULL;
SELECT * FROM faults();
SELECT fingerprint() AS before \gset
CALL retention.run();
CALL backfill_again();
SELECT :'before' = fingerprint() AS nothing_more_to_do;

-- And they live on.
CALL live('ladder', 0.3, 400);
CALL live('default', 0.3, 400);
CALL live('week', 0.3, 400);
SELECT * FROM faults();

-- A long history is taken away from its end, wholly, and given back.
CREATE PROCEDURE move(old text, new text, share numeric) LANGUAGE plpgsql AS $$
DECLARE
	what text;
	ids bigint[];
BEGIN
	FOR what IN SELECT shop FROM variant ORDER BY shop_id LOOP
		WITH moved AS (
			UPDATE orders AS o
			SET customer = new
			FROM (
				SELECT id, percent_rank() OVER (ORDER BY paid_at DESC NULLS FIRST) AS place
				FROM orders
				WHERE shop = what AND customer = old
			) AS p
			WHERE o.shop = what AND o.id = p.id AND p.place <= share
			RETURNING o.id
		)
		SELECT array_agg(id) INTO ids FROM moved;
		PERFORM note(what, ids);
		COMMIT;
	END LOOP;
END
$$;
CALL move('1', 'heir', 0.9);
SELECT * FROM faults();
CALL move('1', 'heir', 1);
SELECT * FROM faults();
CALL move('heir', '1', 1);
SELECT * FROM faults();

-- The lives were many, and reached what they are to test.
SELECT
	count(*) > 3000 AS orders,
	count(*) FILTER (WHERE p.accrued_points > 0) > 500 AS accrued,
	count(*) FILTER (WHERE p.refunded_by_orders > 0) > 100 AS refunded_by_orders,
	count(*) FILTER (WHERE p.paid > 0 AND p.value IS NULL) > 100 AS wholly_refunded,
	count(DISTINCT p.accrual_multiplier) >= 4 AS multipliers,
	(SELECT count(*) FROM kept) > 50 AS kept,
	(SELECT count(*) FROM retention.customer_history) > 2 AS chunks,
	(SELECT count(*) FROM retention.points_entry WHERE kind = 'reversal') > 300 AS reversals,
	(SELECT count(*) FROM retention.care_message WHERE state = 'queued') > 10 AS reminders
FROM retention.purchase AS p;

RESET retention.clock;
DROP SCHEMA random_lives CASCADE;
DROP EXTENSION retention;
CREATE EXTENSION retention;
