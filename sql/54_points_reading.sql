-- ---------------------------------------------------------------------------
-- What the ledger tells: statement, pending points, liability, checks
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.points_reason(entry retention.points_entry)
	RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT CASE entry.kind
		WHEN 'accrual' THEN 'earned by order ' || entry.order_id
		WHEN 'reversal' THEN 'taken back for order ' || entry.order_id || coalesce(': ' || entry.reason, '')
		WHEN 'forgiveness' THEN 'debt let go for order ' || entry.order_id || coalesce(': ' || entry.reason, '')
		WHEN 'redemption' THEN 'redeemed' || coalesce(' on order ' || entry.order_id, '') || coalesce(', reference ' || entry.reference, '')
		WHEN 'cancellation' THEN 'redemption no. ' || entry.undoes || ' cancelled'
		WHEN 'adjustment' THEN 'adjusted: ' || entry.reason
		WHEN 'bonus' THEN 'bonus: ' || entry.reason
		WHEN 'referral' THEN 'referral bonus: ' || entry.reason
		WHEN 'transfer' THEN CASE WHEN entry.points < 0 THEN 'transferred to customer ' ELSE 'transferred from customer ' END || entry.other_customer
		WHEN 'expiry' THEN CASE WHEN entry.points > 0 THEN 'lapse undone: ' || entry.reason ELSE 'lapsed' || coalesce(': ' || entry.reason, '') END
	END;
END;

COMMENT ON FUNCTION retention.points_reason(retention.points_entry) IS 'Why an entry was posted, as a customer may read it';

CREATE FUNCTION retention.points_reason_zh(entry retention.points_entry)
	RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT CASE entry.kind
		WHEN 'accrual' THEN '订单 ' || entry.order_id || ' 获得积分'
		WHEN 'reversal' THEN '订单 ' || entry.order_id || ' 退款或取消，扣回积分'
		WHEN 'forgiveness' THEN '订单 ' || entry.order_id || ' 欠减积分免除'
		WHEN 'redemption' THEN coalesce('订单 ' || entry.order_id || ' ', '') || '使用积分'
		WHEN 'cancellation' THEN '积分使用撤销，原路退回'
		WHEN 'adjustment' THEN '人工调整：' || entry.reason
		WHEN 'bonus' THEN '赠送积分：' || entry.reason
		WHEN 'referral' THEN '推荐奖励积分'
		WHEN 'transfer' THEN CASE WHEN entry.points < 0 THEN '转出至会员 ' ELSE '转入自会员 ' END || entry.other_customer
		WHEN 'expiry' THEN CASE WHEN entry.points > 0 THEN '过期积分冲回' ELSE '积分过期' END
	END;
END;

COMMENT ON FUNCTION retention.points_reason_zh(retention.points_entry) IS 'Why an entry was posted, as a customer may read it in Chinese';

CREATE FUNCTION retention.points_statement(
	customer text,
	from_time timestamptz DEFAULT NULL,
	to_time timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (
		entry_no bigint,
		effective_at timestamptz,
		posted_at timestamptz,
		kind text,
		points bigint,
		balance bigint,
		order_id text,
		reference text,
		reason text,
		reason_zh text,
		expires_at timestamptz
	)
	LANGUAGE plpgsql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT s.entry_no, s.effective_at, s.posted_at, s.kind, s.points, s.balance,
		s.order_id::text, s.reference::text, s.reason_en, s.reason_zh, s.expires_at
	FROM (
		SELECT e.*,
			(sum(e.points) OVER (ORDER BY e.entry_no))::bigint AS balance,
			retention.points_reason(e.*) AS reason_en,
			retention.points_reason_zh(e.*) AS reason_zh
		FROM retention.points_entry e
		WHERE e.shop_id = retention.shop_id(points_statement.shop)
			AND e.customer_id = points_statement.customer
	) AS s
	WHERE (points_statement.from_time IS NULL OR s.effective_at >= points_statement.from_time)
		AND (points_statement.to_time IS NULL OR s.effective_at < points_statement.to_time)
	ORDER BY s.entry_no;
END
$$;

COMMENT ON FUNCTION retention.points_statement(text, timestamptz, timestamptz, text) IS
	'A customer''s entries, in the order they were posted, that count from from_time to before to_time (NULL: no limit), with the posted balance after each and a reason to read. No rows for an unknown customer';

CREATE FUNCTION retention.points_statement(
	customer anynonarray,
	from_time timestamptz DEFAULT NULL,
	to_time timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (
		entry_no bigint,
		effective_at timestamptz,
		posted_at timestamptz,
		kind text,
		points bigint,
		balance bigint,
		order_id text,
		reference text,
		reason text,
		reason_zh text,
		expires_at timestamptz
	)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY
	SELECT s.*
	FROM retention.points_statement(retention.customer_key(customer), from_time, to_time, shop) AS s;
END
$$;

COMMENT ON FUNCTION retention.points_statement(anynonarray, timestamptz, timestamptz, text) IS 'The same for customers numbered by integer, whole numeric or uuid';

-- The four parts of what is posted: earned + adjusted + referral - used.
CREATE FUNCTION retention.points_parts(
	customer text,
	shop text DEFAULT NULL,
	OUT earned bigint,
	OUT adjusted bigint,
	OUT referral bigint,
	OUT used bigint,
	OUT lapsed bigint,
	OUT posted bigint
)
	LANGUAGE plpgsql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	SELECT
		coalesce(sum(e.points) FILTER (WHERE e.kind IN ('accrual', 'reversal', 'bonus')), 0),
		coalesce(sum(e.points) FILTER (WHERE e.kind IN ('adjustment', 'forgiveness', 'transfer')), 0),
		coalesce(sum(e.points) FILTER (WHERE e.kind = 'referral'), 0),
		-coalesce(sum(e.points) FILTER (WHERE e.kind IN ('redemption', 'cancellation', 'expiry')), 0),
		-coalesce(sum(e.points) FILTER (WHERE e.kind = 'expiry'), 0),
		coalesce(sum(e.points), 0)
	INTO earned, adjusted, referral, used, lapsed, posted
	FROM retention.points_entry e
	WHERE e.shop_id = retention.shop_id(points_parts.shop)
		AND e.customer_id = points_parts.customer;
END
$$;

COMMENT ON FUNCTION retention.points_parts(text, text) IS
	'A customer''s posted points in four parts, earned + adjusted + referral - used = posted: earned by orders (reversals taken off) and bonuses; adjusted by hand, forgiven and transferred; referral bonuses; used, that is redeemed (cancellations taken off) or lapsed, the lapsed ones also by themselves';

CREATE FUNCTION retention.points_pending(customer text, shop text DEFAULT NULL)
	RETURNS TABLE (source text, order_id text, points bigint, due_at timestamptz)
	LANGUAGE plpgsql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT
		s.name,
		p.order_id,
		CASE h.points_rounding
			WHEN 'up' THEN ceil(t.points)
			WHEN 'nearest' THEN round(t.points)
			ELSE floor(t.points)
		END::bigint,
		p.accrual_due_at
	FROM retention.purchase p
	JOIN retention.source s ON s.source_id = p.source_id
	JOIN retention.shop h ON h.shop_id = p.shop_id
	CROSS JOIN LATERAL (
		SELECT p.value * h.points_rate * coalesce((
			SELECT r.multiplier
			FROM retention.ladder(h.name) AS r
			WHERE r.name = retention.customer_tier(p.customer_id, h.name)), 1) AS points
	) AS t
	WHERE p.shop_id = retention.shop_id(points_pending.shop)
		AND p.customer_id = points_pending.customer
		AND p.value IS NOT NULL
		AND p.accrued_at IS NULL
		AND (p.accrual_due_at IS NOT NULL
			OR (h.accrue_on = 'completed' AND p.completed_at IS NULL AND p.closed_at IS NULL))
	ORDER BY p.paid_at, p.order_id;
END
$$;

COMMENT ON FUNCTION retention.points_pending(text, text) IS
	'Points that a customer''s paid orders will bring once they accrue, as the rules and the customer''s tier are now; due_at where the day is known. They are no part of any balance';

CREATE FUNCTION retention.points_liability(at timestamptz DEFAULT NULL, shop text DEFAULT NULL)
	RETURNS TABLE (
		expiry_month date,
		customers bigint,
		points bigint,
		held bigint,
		value numeric,
		breakage numeric,
		expected_points numeric,
		expected_value numeric
	)
	LANGUAGE plpgsql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop retention.shop;
	moment timestamptz := coalesce(points_liability.at, retention.now());
	lapsing numeric;
BEGIN
	SELECT s.* INTO the_shop
	FROM retention.shop s
	WHERE s.shop_id = retention.shop_id(points_liability.shop);

	-- Breakage as it was: of the points whose time is over, the share that lapsed.
	SELECT sum(l.lapsed + CASE WHEN l.is_open THEN l.remaining - l.held ELSE 0 END) / nullif(sum(l.accrued), 0)
	INTO lapsing
	FROM retention.points_lot l
	WHERE l.shop_id = the_shop.shop_id AND l.expires_at <= moment;

	RETURN QUERY
	SELECT
		m.expiry_month,
		m.customers,
		m.points,
		m.held,
		m.points * the_shop.points_value,
		CASE WHEN m.expiry_month IS NULL THEN 0 ELSE round(lapsing, 4) END,
		round(m.points * (1 - CASE WHEN m.expiry_month IS NULL THEN 0 ELSE coalesce(lapsing, 0) END), 2),
		round(m.points * (1 - CASE WHEN m.expiry_month IS NULL THEN 0 ELSE coalesce(lapsing, 0) END) * the_shop.points_value, 2)
	FROM (
		SELECT
			date_trunc('month', l.expires_at AT TIME ZONE the_shop.time_zone)::date AS expiry_month,
			count(DISTINCT l.customer_id) AS customers,
			sum(l.remaining)::bigint AS points,
			sum(l.held)::bigint AS held
		FROM retention.points_lot l
		WHERE l.shop_id = the_shop.shop_id
			AND l.is_open
			AND (l.expires_at IS NULL OR l.expires_at > moment OR l.held > 0)
		GROUP BY 1
	) AS m
	ORDER BY m.expiry_month NULLS LAST;
END
$$;

COMMENT ON FUNCTION retention.points_liability(timestamptz, text) IS
	'Points owed to customers, by the month in which they lapse (NULL: never), lots lapsed by that moment (NULL: now) left out. value is points * shop.points_value; breakage the share of points that lapsed among those whose time is over (NULL before there are any, 0 for points that never lapse); expected_points and expected_value what is left after it. Debt of single customers is not set off';

CREATE VIEW retention.points_daily AS
	SELECT
		s.name AS shop,
		(e.effective_at AT TIME ZONE s.time_zone)::date AS day,
		count(DISTINCT e.customer_id) AS customers,
		count(*) AS entries,
		coalesce(sum(e.points) FILTER (WHERE e.kind = 'accrual'), 0)::bigint AS accrued,
		coalesce(sum(e.points) FILTER (WHERE e.kind = 'reversal'), 0)::bigint AS reversed,
		coalesce(sum(e.points) FILTER (WHERE e.kind = 'forgiveness'), 0)::bigint AS forgiven,
		coalesce(sum(e.points) FILTER (WHERE e.kind IN ('bonus', 'referral')), 0)::bigint AS granted,
		coalesce(sum(e.points) FILTER (WHERE e.kind = 'adjustment'), 0)::bigint AS adjusted,
		coalesce(sum(e.points) FILTER (WHERE e.kind = 'redemption'), 0)::bigint AS redeemed,
		coalesce(sum(e.points) FILTER (WHERE e.kind = 'cancellation'), 0)::bigint AS cancelled,
		coalesce(sum(e.points) FILTER (WHERE e.kind = 'expiry'), 0)::bigint AS lapsed,
		sum(e.points)::bigint AS net
	FROM retention.points_entry e
	JOIN retention.shop s ON s.shop_id = e.shop_id
	GROUP BY s.name, (e.effective_at AT TIME ZONE s.time_zone)::date;

COMMENT ON VIEW retention.points_daily IS 'Points by day, in the shop''s time zone, by the moment they count; the sum of net up to a day is what was posted by then';
COMMENT ON COLUMN retention.points_daily.shop IS 'The shop';
COMMENT ON COLUMN retention.points_daily.day IS 'The day';
COMMENT ON COLUMN retention.points_daily.customers IS 'Customers with an entry';
COMMENT ON COLUMN retention.points_daily.entries IS 'Entries';
COMMENT ON COLUMN retention.points_daily.accrued IS 'Earned by orders';
COMMENT ON COLUMN retention.points_daily.reversed IS 'Taken back with refunds (negative)';
COMMENT ON COLUMN retention.points_daily.forgiven IS 'Debt let go';
COMMENT ON COLUMN retention.points_daily.granted IS 'Bonuses, referral bonuses among them';
COMMENT ON COLUMN retention.points_daily.adjusted IS 'Adjusted by hand';
COMMENT ON COLUMN retention.points_daily.redeemed IS 'Spent (negative)';
COMMENT ON COLUMN retention.points_daily.cancelled IS 'Given back by cancelled redemptions';
COMMENT ON COLUMN retention.points_daily.lapsed IS 'Lapsed (negative)';
COMMENT ON COLUMN retention.points_daily.net IS 'Sum of all, transfers included';

-- ---------------------------------------------------------------------------
-- check_ledger
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.check_ledger(shop text DEFAULT NULL)
	RETURNS TABLE (problem text, shop_id integer, customer_id text, detail text)
	LANGUAGE plpgsql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	only_shop integer := CASE WHEN check_ledger.shop IS NOT NULL THEN retention.shop_id(check_ledger.shop) END;
BEGIN
	-- One row a customer: what entries, lots and holds come to, beside what is kept.
	RETURN QUERY
	WITH entries AS (
		SELECT e.shop_id, e.customer_id,
			sum(e.points) AS points, sum(e.debt) AS debt,
			count(*) AS entries, max(e.entry_no) AS last_entry_no, max(e.effective_at) AS as_of,
			min(e.running) AS lowest_debt
		FROM (
			SELECT e.*, sum(e.debt) OVER (PARTITION BY e.shop_id, e.customer_id ORDER BY e.entry_no) AS running
			FROM retention.points_entry e
			WHERE only_shop IS NULL OR e.shop_id = only_shop
		) AS e
		GROUP BY e.shop_id, e.customer_id
	),
	lots AS (
		SELECT l.shop_id, l.customer_id, sum(l.remaining) AS remaining, sum(l.held) AS held,
			min(l.expires_at) FILTER (WHERE l.is_open AND l.remaining > l.held) AS due
		FROM retention.points_lot l
		WHERE only_shop IS NULL OR l.shop_id = only_shop
		GROUP BY l.shop_id, l.customer_id
	),
	holds AS (
		SELECT h.shop_id, h.customer_id, sum(h.points) AS held, min(h.times_out_at) AS due
		FROM retention.points_hold h
		WHERE h.state = 'open' AND (only_shop IS NULL OR h.shop_id = only_shop)
		GROUP BY h.shop_id, h.customer_id
	),
	customers AS (
		SELECT
			coalesce(s.shop_id, e.shop_id, l.shop_id, h.shop_id) AS shop_id,
			coalesce(s.customer_id, e.customer_id, l.customer_id, h.customer_id) AS customer_id,
			coalesce(s.points_posted, 0) AS posted,
			coalesce(s.points_debt, 0) AS debt,
			coalesce(s.points_held, 0) AS held,
			coalesce(s.last_entry_no, 0) AS last_entry_no,
			s.points_as_of AS as_of,
			s.points_due_at AS due,
			coalesce(e.points, 0) AS entry_points,
			coalesce(e.debt, 0) AS entry_debt,
			coalesce(e.entries, 0) AS entries,
			coalesce(e.last_entry_no, 0) AS entry_last,
			e.as_of AS entry_as_of,
			coalesce(e.lowest_debt, 0) AS lowest_debt,
			coalesce(l.remaining, 0) AS lot_remaining,
			coalesce(l.held, 0) AS lot_held,
			coalesce(h.held, 0) AS hold_points,
			least(l.due, h.due) AS lot_due
		FROM (
			SELECT s.*
			FROM retention.customer_stats s
			WHERE only_shop IS NULL OR s.shop_id = only_shop
		) AS s
		FULL JOIN entries e ON e.shop_id = s.shop_id AND e.customer_id = s.customer_id
		FULL JOIN lots l ON l.shop_id = coalesce(s.shop_id, e.shop_id) AND l.customer_id = coalesce(s.customer_id, e.customer_id)
		FULL JOIN holds h ON h.shop_id = coalesce(s.shop_id, e.shop_id, l.shop_id) AND h.customer_id = coalesce(s.customer_id, e.customer_id, l.customer_id)
	)
	SELECT v.problem, c.shop_id, c.customer_id, v.detail
	FROM customers c
	CROSS JOIN LATERAL (
		VALUES
			(c.posted <> c.entry_points, 'posted differs from the sum of entries', format('posted %s, entries %s', c.posted, c.entry_points)),
			(c.posted <> c.lot_remaining - c.debt, 'posted differs from lots less debt', format('posted %s, lots %s, debt %s', c.posted, c.lot_remaining, c.debt)),
			(c.debt <> c.entry_debt, 'debt differs from the sum of entries', format('debt %s, entries %s', c.debt, c.entry_debt)),
			(c.lowest_debt < 0, 'debt was below zero', format('lowest debt %s', c.lowest_debt)),
			(c.held <> c.hold_points OR c.held <> c.lot_held, 'held differs from the open holds', format('held %s, holds %s, lots %s', c.held, c.hold_points, c.lot_held)),
			(c.entries <> c.entry_last OR c.last_entry_no <> c.entry_last, 'entry numbers have a gap', format('%s entries, the last is number %s, the next follows %s', c.entries, c.entry_last, c.last_entry_no)),
			(c.entry_as_of > c.as_of OR c.entry_as_of IS NOT NULL AND c.as_of IS NULL, 'an entry counts later than is known', format('entry %s, known %s', c.entry_as_of, c.as_of)),
			(c.lot_due < c.due OR c.lot_due IS NOT NULL AND c.due IS NULL, 'something falls due earlier than is known', format('due %s, known %s', c.lot_due, c.due))
	) AS v (broken, problem, detail)
	WHERE v.broken;

	-- Each lot is what its entry gave and later ones took or gave back.
	RETURN QUERY
	SELECT 'a lot differs from its entries'::text, l.shop_id, l.customer_id::text,
		format('lot %s: accrued %s, remaining %s, entries say %s and %s', l.entry_no, l.accrued, l.remaining, e.points + e.debt, l.accrued + coalesce(a.points, 0))
	FROM retention.points_lot l
	LEFT JOIN retention.points_entry e
		ON e.shop_id = l.shop_id AND e.customer_id = l.customer_id AND e.entry_no = l.entry_no
	LEFT JOIN (
		SELECT e.shop_id, e.customer_id, (part ->> 0)::bigint AS lot, sum((part ->> 1)::bigint) AS points
		FROM retention.points_entry e
		CROSS JOIN LATERAL jsonb_array_elements(e.allocations) AS part
		WHERE only_shop IS NULL OR e.shop_id = only_shop
		GROUP BY 1, 2, 3
	) AS a ON a.shop_id = l.shop_id AND a.customer_id = l.customer_id AND a.lot = l.entry_no
	WHERE (only_shop IS NULL OR l.shop_id = only_shop)
		AND (l.accrued IS DISTINCT FROM e.points + e.debt
			OR l.remaining <> l.accrued + coalesce(a.points, 0)
			OR l.remaining < l.held
			OR l.is_open <> (l.remaining > 0));

	-- Each lot's held points are those of the open holds that name it.
	RETURN QUERY
	SELECT 'a lot''s held points differ from the open holds'::text, l.shop_id, l.customer_id::text,
		format('lot %s: held %s, holds %s', l.entry_no, l.held, coalesce(h.points, 0))
	FROM retention.points_lot l
	LEFT JOIN (
		SELECT h.shop_id, h.customer_id, (part ->> 0)::bigint AS lot, sum((part ->> 1)::bigint) AS points
		FROM retention.points_hold h
		CROSS JOIN LATERAL jsonb_array_elements(h.allocations) AS part
		WHERE h.state = 'open'
		GROUP BY 1, 2, 3
	) AS h ON h.shop_id = l.shop_id AND h.customer_id = l.customer_id AND h.lot = l.entry_no
	WHERE (only_shop IS NULL OR l.shop_id = only_shop)
		AND l.held <> coalesce(h.points, 0);

	-- Each entry's points are what it did to the lots less what it did to debt.
	RETURN QUERY
	SELECT 'an entry differs from what it did to lots and debt'::text, e.shop_id, e.customer_id::text,
		format('entry %s: points %s, debt %s, lots %s', e.entry_no, e.points, e.debt, e.lots)
	FROM (
		SELECT e.*,
			coalesce((
				SELECT sum((part ->> 1)::bigint)
				FROM jsonb_array_elements(e.allocations) AS part), 0)
			+ coalesce((
				SELECT l.accrued
				FROM retention.points_lot l
				WHERE l.shop_id = e.shop_id AND l.customer_id = e.customer_id AND l.entry_no = e.entry_no), 0) AS lots
		FROM retention.points_entry e
		WHERE only_shop IS NULL OR e.shop_id = only_shop
	) AS e
	WHERE e.points <> e.lots - e.debt;

	-- A redemption is cancelled at most once over, in all its parts.
	RETURN QUERY
	SELECT 'more was cancelled than redeemed'::text, r.shop_id, r.customer_id::text,
		format('entry %s: %s redeemed, %s cancelled', r.entry_no, -r.points, c.points)
	FROM (
		SELECT e.shop_id, e.customer_id, e.undoes, sum(e.points) AS points
		FROM retention.points_entry e
		WHERE e.undoes IS NOT NULL
			AND (only_shop IS NULL OR e.shop_id = only_shop)
		GROUP BY 1, 2, 3
	) AS c
	JOIN retention.points_entry r
		ON r.shop_id = c.shop_id AND r.customer_id = c.customer_id AND r.entry_no = c.undoes
	WHERE c.points > -r.points OR r.kind <> 'redemption';

	-- An order's entries come to what is recorded with it: nothing, once refunded.
	RETURN QUERY
	SELECT 'an order''s points differ from its entries'::text, coalesce(e.shop_id, p.shop_id), coalesce(e.customer_id, p.customer_id)::text,
		format('order %s: %s recorded, entries %s', coalesce(e.order_id, p.order_id), coalesce(p.accrued_points, 0), coalesce(e.points, 0))
	FROM (
		SELECT e.shop_id, e.customer_id, e.source_id, e.order_id, sum(e.points) AS points
		FROM retention.points_entry e
		WHERE e.kind IN ('accrual', 'reversal')
			AND (only_shop IS NULL OR e.shop_id = only_shop)
		GROUP BY 1, 2, 3, 4
	) AS e
	FULL JOIN (
		SELECT p.*
		FROM retention.purchase p
		WHERE (p.accrued_points <> 0 OR p.accrued_at IS NOT NULL)
			AND (only_shop IS NULL OR p.shop_id = only_shop)
	) AS p
		ON p.shop_id = e.shop_id AND p.customer_id = e.customer_id
		AND p.source_id = e.source_id AND p.order_id = e.order_id
	WHERE coalesce(e.points, 0) <> coalesce(p.accrued_points, 0)
		OR (p.paid <= p.refunded + p.refunded_by_orders AND coalesce(e.points, 0) <> 0);
END
$$;

COMMENT ON FUNCTION retention.check_ledger(text) IS
	'Rows that break an invariant of the points ledger (shop NULL: of all shops): there are none, ever. Reads the whole ledger';
