-- ---------------------------------------------------------------------------
-- care_due: the messages that fall due by date
-- ---------------------------------------------------------------------------

-- One function for each event, all of one form: given a rule, whom it
-- concerns, on what subject, and when that falls due.  They may
-- return more than is due: care_due() takes what falls due by a day from now,
-- so that a run once a day is enough, and is still valid now, so that neither a
-- rule switched on today nor a run after days of none writes about the past.
-- A subject names what it is about once and for all (a birthday its year, a
-- festival its day), and so nobody hears of it twice.

CREATE FUNCTION retention.first_day_due(zone text, delay interval, validity interval, at timestamptz)
	RETURNS date
	LANGUAGE sql
	STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN ((at - validity) AT TIME ZONE zone - delay)::date - 1;

COMMENT ON FUNCTION retention.first_day_due(text, interval, interval, timestamptz) IS 'No day before this one can call for a message still valid at that moment';

CREATE FUNCTION retention.last_day_due(zone text, delay interval, at timestamptz)
	RETURNS date
	LANGUAGE sql
	STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN ((at + interval '1 day') AT TIME ZONE zone - delay)::date + 1;

COMMENT ON FUNCTION retention.last_day_due(text, interval, timestamptz) IS 'No day after this one can call for a message due by a day from that moment';

CREATE FUNCTION retention.tier_unless_bought(stats retention.customer_stats, shop text, from_time timestamptz)
	RETURNS text
	LANGUAGE plpgsql
	STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	spent numeric := coalesce(retention.spent_between(stats.history, from_time, NULL), 0);
	purchases bigint := coalesce(retention.bought(stats.history, from_time, NULL), 0);
BEGIN
	IF stats.history_from > from_time THEN
		SELECT
			tier_unless_bought.spent + coalesce(sum(retention.spent_between(h.history, from_time, NULL)), 0),
			tier_unless_bought.purchases + coalesce(sum(retention.bought(h.history, from_time, NULL)), 0)
		INTO spent, purchases
		FROM retention.customer_history h
		WHERE h.shop_id = stats.shop_id AND h.customer_id = stats.customer_id;
	END IF;
	RETURN retention.tier_of(spent, purchases, shop);
END
$$;

COMMENT ON FUNCTION retention.tier_unless_bought(retention.customer_stats, text, timestamptz) IS 'The tier of a customer by the purchases from that moment on; once the shop''s tier_window begins then, it is what is left if nothing more is bought';

CREATE FUNCTION retention.care_due_last_purchase(
	rule retention.care_rules,
	at timestamptz
)
	RETURNS TABLE (customer_id text, subject text, source_id integer, order_id text, due_at timestamptz)
	LANGUAGE plpgsql
	STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	zone text := (
		SELECT s.time_zone
		FROM retention.shop s
		WHERE s.shop_id = rule.shop_id);
	first_day date := retention.first_day_due(zone, rule.delay, rule.validity, at);
	last_day date := retention.last_day_due(zone, rule.delay, at);
BEGIN
	RETURN QUERY
	SELECT s.customer_id, 'purchase:' || to_char(d.day, 'YYYY-MM-DD'), NULL::integer, NULL::text, (d.day + rule.delay) AT TIME ZONE zone
	FROM retention.customer_stats s
	CROSS JOIN LATERAL (SELECT (s.last_purchase_at AT TIME ZONE zone)::date AS day) AS d
	WHERE s.shop_id = rule.shop_id
		AND s.last_purchase_at >= first_day::timestamp AT TIME ZONE zone
		AND s.last_purchase_at < (last_day + 1)::timestamp AT TIME ZONE zone
		AND s.purchases >= coalesce((rule.parameters ->> 'purchases')::numeric, 1);
END
$$;

COMMENT ON FUNCTION retention.care_due_last_purchase(retention.care_rules, timestamptz) IS 'For rules of the event last_purchase: so long after the last purchase';

CREATE FUNCTION retention.care_due_repurchase(
	rule retention.care_rules,
	at timestamptz
)
	RETURNS TABLE (customer_id text, subject text, source_id integer, order_id text, due_at timestamptz)
	LANGUAGE plpgsql
	STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	zone text := (
		SELECT s.time_zone
		FROM retention.shop s
		WHERE s.shop_id = rule.shop_id);
	first_day date := retention.first_day_due(zone, rule.delay, rule.validity, at);
	last_day date := retention.last_day_due(zone, rule.delay, at);
BEGIN
	RETURN QUERY
	SELECT s.customer_id, 'purchase:' || to_char(d.day, 'YYYY-MM-DD'), NULL::integer, NULL::text, (d.day + h.usual + rule.delay) AT TIME ZONE zone
	FROM retention.customer_stats s
	CROSS JOIN LATERAL (SELECT (s.last_purchase_at AT TIME ZONE zone)::date AS day) AS d
	CROSS JOIN LATERAL (SELECT retention.usual_interval(s.history) AS usual) AS h
	WHERE s.shop_id = rule.shop_id
		AND s.last_purchase_at >= (first_day - 366)::timestamp AT TIME ZONE zone
		AND s.last_purchase_at < (last_day - 6)::timestamp AT TIME ZONE zone
		AND s.purchases >= coalesce((rule.parameters ->> 'purchases')::numeric, 3)
		AND h.usual BETWEEN interval '7 days' AND interval '365 days'
		AND d.day + h.usual BETWEEN first_day AND last_day;
END
$$;

COMMENT ON FUNCTION retention.care_due_repurchase(retention.care_rules, timestamptz) IS 'For rules of the event repurchase: once the customers usual interval is over since the last purchase; those of less than a week or more than a year are no habit to build on';

CREATE FUNCTION retention.care_due_spend_milestone(
	rule retention.care_rules,
	at timestamptz
)
	RETURNS TABLE (customer_id text, subject text, source_id integer, order_id text, due_at timestamptz)
	LANGUAGE plpgsql
	STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	zone text := (
		SELECT s.time_zone
		FROM retention.shop s
		WHERE s.shop_id = rule.shop_id);
	first_day date := retention.first_day_due(zone, rule.delay, rule.validity, at);
	last_day date := retention.last_day_due(zone, rule.delay, at);
BEGIN
	-- Only who bought lately can have reached it lately.
	RETURN QUERY
	SELECT b.customer_id, format('milestone:%s', trim_scale(m.amount)), NULL::integer, NULL::text, (b.day + rule.delay) AT TIME ZONE zone
	FROM (
		SELECT s.customer_id,
			(p.paid_at AT TIME ZONE zone)::date AS day,
			p.value,
			s.spent - coalesce(sum(p.value) OVER later, 0) AS spent
		FROM retention.customer_stats s
		JOIN retention.purchase p ON p.shop_id = s.shop_id AND p.customer_id = s.customer_id AND p.value IS NOT NULL
		WHERE s.shop_id = rule.shop_id
			AND s.last_purchase_at >= first_day::timestamp AT TIME ZONE zone
			AND s.spent >= (SELECT min(a.amount::numeric) FROM jsonb_array_elements_text(rule.parameters -> 'amounts') AS a (amount))
		WINDOW later AS (PARTITION BY s.customer_id ORDER BY p.paid_at DESC, p.source_id, p.order_id
			ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
	) AS b
	JOIN (
		SELECT a.amount::numeric AS amount
		FROM jsonb_array_elements_text(rule.parameters -> 'amounts') AS a (amount)
	) AS m ON b.spent >= m.amount AND b.spent - b.value < m.amount
	WHERE b.day BETWEEN first_day AND last_day;
END
$$;

COMMENT ON FUNCTION retention.care_due_spend_milestone(retention.care_rules, timestamptz) IS 'For rules of the event spend_milestone: the day the sum of all purchases reached one of the amounts';

CREATE FUNCTION retention.care_due_points_expiring(
	rule retention.care_rules,
	at timestamptz
)
	RETURNS TABLE (customer_id text, subject text, source_id integer, order_id text, due_at timestamptz)
	LANGUAGE plpgsql
	STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	zone text := (
		SELECT s.time_zone
		FROM retention.shop s
		WHERE s.shop_id = rule.shop_id);
	first_day date := retention.first_day_due(zone, rule.delay, rule.validity, at);
	last_day date := retention.last_day_due(zone, rule.delay, at);
BEGIN
	RETURN QUERY
	SELECT l.customer_id, 'expiry:' || to_char(d.day, 'YYYY-MM-DD'), NULL::integer, NULL::text, (d.day + rule.delay) AT TIME ZONE zone
	FROM retention.points_lot l
	CROSS JOIN LATERAL (SELECT (l.expires_at AT TIME ZONE zone)::date AS day) AS d
	WHERE l.shop_id = rule.shop_id
		AND l.remaining > 0
		AND l.expires_at > at
		AND l.expires_at >= first_day::timestamp AT TIME ZONE zone
		AND l.expires_at < (last_day + 1)::timestamp AT TIME ZONE zone
	GROUP BY l.customer_id, d.day;
END
$$;

COMMENT ON FUNCTION retention.care_due_points_expiring(retention.care_rules, timestamptz) IS 'For rules of the event points_expiring: the days on which points lapse';

CREATE FUNCTION retention.care_due_birthday(
	rule retention.care_rules,
	at timestamptz
)
	RETURNS TABLE (customer_id text, subject text, source_id integer, order_id text, due_at timestamptz)
	LANGUAGE plpgsql
	STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	zone text := (
		SELECT s.time_zone
		FROM retention.shop s
		WHERE s.shop_id = rule.shop_id);
	first_day date := retention.first_day_due(zone, rule.delay, rule.validity, at);
	last_day date := retention.last_day_due(zone, rule.delay, at);
BEGIN
	RETURN QUERY
	SELECT c.customer_id, format('birthday:%s', extract(year FROM d.day)), NULL::integer, NULL::text, (d.day + rule.delay) AT TIME ZONE zone
	FROM (
		SELECT g.day, extract(month FROM g.day) AS month, extract(day FROM g.day) AS day_of_month
		FROM (SELECT first_day + n FROM generate_series(0, last_day - first_day) AS n) AS g (day)
		UNION ALL
		SELECT g.day, 2, 29
		FROM (SELECT first_day + n FROM generate_series(0, last_day - first_day) AS n) AS g (day)
		WHERE to_char(g.day, 'MMDD') = '0228' AND to_char(g.day + 1, 'MMDD') = '0301'
	) AS d
	JOIN retention.customer c
		ON extract(month FROM c.birthday) = d.month AND extract(day FROM c.birthday) = d.day_of_month
	LEFT JOIN retention.customer_stats s ON s.shop_id = c.shop_id AND s.customer_id = c.customer_id
	WHERE c.shop_id = rule.shop_id
		AND c.birthday < d.day
		AND coalesce(s.purchases, 0) >= coalesce((rule.parameters ->> 'purchases')::numeric, 0);
END
$$;

COMMENT ON FUNCTION retention.care_due_birthday(retention.care_rules, timestamptz) IS 'For rules of the event birthday: each years birthday; that of 29 February is kept on the 28th in other years';

CREATE FUNCTION retention.care_due_festival(
	rule retention.care_rules,
	at timestamptz
)
	RETURNS TABLE (customer_id text, subject text, source_id integer, order_id text, due_at timestamptz)
	LANGUAGE plpgsql
	STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	zone text := (
		SELECT s.time_zone
		FROM retention.shop s
		WHERE s.shop_id = rule.shop_id);
	first_day date := retention.first_day_due(zone, rule.delay, rule.validity, at);
	last_day date := retention.last_day_due(zone, rule.delay, at);
BEGIN
	RETURN QUERY
	SELECT s.customer_id, format('festival:%s:%s', f.name, to_char(f.day, 'YYYY-MM-DD')), NULL::integer, NULL::text, (f.day + rule.delay) AT TIME ZONE zone
	FROM retention.festivals f
	JOIN retention.customer_stats s ON s.shop_id = f.shop_id
	WHERE f.shop_id = rule.shop_id
		AND f.kind = rule.event
		AND f.day BETWEEN first_day AND last_day
		AND (f.day + rule.delay) AT TIME ZONE zone <= at + interval '1 day'
		AND (f.day + rule.delay) AT TIME ZONE zone + rule.validity > at
		AND CASE WHEN rule.parameters ? 'festivals' THEN rule.parameters -> 'festivals' ? f.name ELSE f.greeted OR NOT f.shipped END
		AND s.purchases >= coalesce((rule.parameters ->> 'purchases')::numeric, 1);
END
$$;

COMMENT ON FUNCTION retention.care_due_festival(retention.care_rules, timestamptz) IS 'For rules of the event festival, or season: all who have bought, on each day of that kind';

CREATE FUNCTION retention.care_due_season(
	rule retention.care_rules,
	at timestamptz
)
	RETURNS TABLE (customer_id text, subject text, source_id integer, order_id text, due_at timestamptz)
	LANGUAGE plpgsql
	STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY
	SELECT *
	FROM retention.care_due_festival(rule, at);
END
$$;

COMMENT ON FUNCTION retention.care_due_season(retention.care_rules, timestamptz) IS 'For rules of the event season: all who have bought, on each change of season';

CREATE FUNCTION retention.care_due_referral(
	rule retention.care_rules,
	at timestamptz
)
	RETURNS TABLE (customer_id text, subject text, source_id integer, order_id text, due_at timestamptz)
	LANGUAGE plpgsql
	STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	zone text := (
		SELECT s.time_zone
		FROM retention.shop s
		WHERE s.shop_id = rule.shop_id);
	first_day date := retention.first_day_due(zone, rule.delay, rule.validity, at);
	last_day date := retention.last_day_due(zone, rule.delay, at);
BEGIN
	RETURN QUERY
	SELECT
		CASE WHEN r.to_referrer THEN p.referrer ELSE s.customer_id END,
		format('referral:%s', s.customer_id),
		CASE WHEN NOT r.to_referrer THEN p.source_id END,
		CASE WHEN NOT r.to_referrer THEN p.order_id END,
		s.first_purchase_at + rule.delay
	FROM retention.customer_stats s
	CROSS JOIN (SELECT coalesce(rule.parameters ->> 'recipient', 'referrer') = 'referrer' AS to_referrer) AS r
	CROSS JOIN LATERAL (
		SELECT p.source_id, p.order_id, p.referrer
		FROM retention.purchase p
		WHERE p.shop_id = s.shop_id
			AND p.customer_id = s.customer_id
			AND p.paid_at = s.first_purchase_at
			AND p.value IS NOT NULL
			AND p.referrer IS NOT NULL
		ORDER BY p.source_id, p.order_id
		LIMIT 1
	) AS p
	WHERE s.shop_id = rule.shop_id
		AND s.first_purchase_at >= first_day::timestamp AT TIME ZONE zone
		AND p.referrer <> s.customer_id
		AND EXISTS (
			SELECT
			FROM retention.customer_stats o
			WHERE o.shop_id = s.shop_id AND o.customer_id = p.referrer);
END
$$;

COMMENT ON FUNCTION retention.care_due_referral(retention.care_rules, timestamptz) IS 'For rules of the event referral: the first purchase of a customer whom another brought, for that customer or the other (parameter recipient); nobody is thanked for bringing himself';

CREATE FUNCTION retention.care_due_best_customer(
	rule retention.care_rules,
	at timestamptz
)
	RETURNS TABLE (customer_id text, subject text, source_id integer, order_id text, due_at timestamptz)
	LANGUAGE plpgsql
	STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	zone text := (
		SELECT s.time_zone
		FROM retention.shop s
		WHERE s.shop_id = rule.shop_id);
	first_day date := retention.first_day_due(zone, rule.delay, rule.validity, at);
	last_day date := retention.last_day_due(zone, rule.delay, at);
	the_year integer := (
		SELECT max(y)
		FROM generate_series(extract(year FROM first_day)::integer, extract(year FROM last_day)::integer) AS y
		WHERE make_date(y, 1, 1) BETWEEN first_day AND last_day
			AND make_timestamptz(y, 1, 1, 0, 0, 0, zone) <= at);
BEGIN
	-- Chosen again after a late refund they would become more than asked for.
	IF the_year IS NULL OR EXISTS (
		SELECT
		FROM retention.care_message m
		WHERE m.shop_id = rule.shop_id AND m.rule = rule.name AND m.subject = format('best:%s', the_year - 1))
	THEN
		RETURN;
	END IF;
	RETURN QUERY
	SELECT s.customer_id, format('best:%s', the_year - 1), NULL::integer, NULL::text,
		(make_date(the_year, 1, 1) + rule.delay) AT TIME ZONE zone
	FROM (
		SELECT c.customer_id, c.history, c.history_from,
			make_timestamptz(the_year - 1, 1, 1, 0, 0, 0, zone) AS from_time,
			make_timestamptz(the_year, 1, 1, 0, 0, 0, zone) AS to_time
		FROM retention.customer_stats c
		WHERE c.shop_id = rule.shop_id
			AND c.last_purchase_at >= make_timestamptz(the_year - 1, 1, 1, 0, 0, 0, zone)
	) AS s
	CROSS JOIN LATERAL (
		SELECT coalesce(retention.spent_between(s.history, s.from_time, s.to_time), 0) + coalesce((
			SELECT sum(retention.spent_between(h.history, s.from_time, s.to_time))
			FROM retention.customer_history h
			WHERE s.history_from > s.from_time
				AND h.shop_id = rule.shop_id
				AND h.customer_id = s.customer_id), 0) AS spent
	) AS y
	WHERE y.spent > 0
	ORDER BY y.spent DESC, s.customer_id
	LIMIT coalesce((rule.parameters ->> 'top')::numeric, 10)::bigint;
END
$$;

COMMENT ON FUNCTION retention.care_due_best_customer(retention.care_rules, timestamptz) IS 'For rules of the event best_customer: who spent most in the past year (parameter top: how many), chosen once';

CREATE FUNCTION retention.care_due_review(
	rule retention.care_rules,
	at timestamptz
)
	RETURNS TABLE (customer_id text, subject text, source_id integer, order_id text, due_at timestamptz)
	LANGUAGE plpgsql
	STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	zone text := (
		SELECT s.time_zone
		FROM retention.shop s
		WHERE s.shop_id = rule.shop_id);
	first_day date := retention.first_day_due(zone, rule.delay, rule.validity, at);
	last_day date := retention.last_day_due(zone, rule.delay, at);
BEGIN
	RETURN QUERY
	SELECT f.customer_id, format('review:%s:%s', f.feedback_source_id, f.reference), f.source_id, f.order_id, f.happened_at + rule.delay
	FROM retention.feedback f
	WHERE f.shop_id = rule.shop_id
		AND f.kind = 'review'
		AND f.recorded_at >= first_day::timestamp AT TIME ZONE zone
		AND f.happened_at >= first_day::timestamp AT TIME ZONE zone
		AND f.score > coalesce((rule.parameters ->> 'score')::numeric, 3);
END
$$;

COMMENT ON FUNCTION retention.care_due_review(retention.care_rules, timestamptz) IS 'For rules of the event review: reviews with a score above the parameter score (3)';

CREATE FUNCTION retention.care_due_bad_review(
	rule retention.care_rules,
	at timestamptz
)
	RETURNS TABLE (customer_id text, subject text, source_id integer, order_id text, due_at timestamptz)
	LANGUAGE plpgsql
	STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	zone text := (
		SELECT s.time_zone
		FROM retention.shop s
		WHERE s.shop_id = rule.shop_id);
	first_day date := retention.first_day_due(zone, rule.delay, rule.validity, at);
	last_day date := retention.last_day_due(zone, rule.delay, at);
BEGIN
	RETURN QUERY
	SELECT f.customer_id, format('review:%s:%s', f.feedback_source_id, f.reference), f.source_id, f.order_id, f.happened_at + rule.delay
	FROM retention.feedback f
	WHERE f.shop_id = rule.shop_id
		AND f.kind = 'review'
		AND f.recorded_at >= first_day::timestamp AT TIME ZONE zone
		AND f.happened_at >= first_day::timestamp AT TIME ZONE zone
		AND f.score <= coalesce((rule.parameters ->> 'score')::numeric, 3);
END
$$;

COMMENT ON FUNCTION retention.care_due_bad_review(retention.care_rules, timestamptz) IS 'For rules of the event bad_review: reviews with a score of at most the parameter score (3), neutral ones included';

CREATE FUNCTION retention.care_due_tier_reached(
	rule retention.care_rules,
	at timestamptz
)
	RETURNS TABLE (customer_id text, subject text, source_id integer, order_id text, due_at timestamptz)
	LANGUAGE plpgsql
	STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	zone text := (
		SELECT s.time_zone
		FROM retention.shop s
		WHERE s.shop_id = rule.shop_id);
	first_day date := retention.first_day_due(zone, rule.delay, rule.validity, at);
	last_day date := retention.last_day_due(zone, rule.delay, at);
	shop text := (
		SELECT s.name
		FROM retention.shop s
		WHERE s.shop_id = rule.shop_id);
BEGIN
	RETURN QUERY
	SELECT c.customer_id, format('tier:%s', c.change_no), NULL::integer, NULL::text, c.changed_at + rule.delay
	FROM retention.tier_change c
	CROSS JOIN LATERAL (
		SELECT
			coalesce(max(l.rung) FILTER (WHERE l.name = c.from_tier), 0) AS from_rung,
			max(l.rung) FILTER (WHERE l.name = c.to_tier) AS to_rung
		FROM retention.ladder(shop) AS l
	) AS r
	WHERE c.shop_id = rule.shop_id
		AND c.changed_at >= first_day::timestamp AT TIME ZONE zone
		AND r.to_rung > r.from_rung;
END
$$;

COMMENT ON FUNCTION retention.care_due_tier_reached(retention.care_rules, timestamptz) IS 'For rules of the event tier_reached: a higher tier than the customer had';

CREATE FUNCTION retention.care_due_tier_at_risk(
	rule retention.care_rules,
	at timestamptz
)
	RETURNS TABLE (customer_id text, subject text, source_id integer, order_id text, due_at timestamptz)
	LANGUAGE plpgsql
	STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	zone text := (
		SELECT s.time_zone
		FROM retention.shop s
		WHERE s.shop_id = rule.shop_id);
	first_day date := retention.first_day_due(zone, rule.delay, rule.validity, at);
	last_day date := retention.last_day_due(zone, rule.delay, at);
	shop text := (
		SELECT s.name
		FROM retention.shop s
		WHERE s.shop_id = rule.shop_id);
	tier_window interval;
	tier_grace interval;
BEGIN
	SELECT s.tier_window, coalesce(s.tier_grace, interval '0') INTO tier_window, tier_grace
	FROM retention.shop s
	WHERE s.shop_id = rule.shop_id;

	-- Whose conditions are no longer met keeps the tier until the grace period ends.
	RETURN QUERY
	SELECT c.customer_id, format('tier:%s:%s', c.tier, to_char(c.last_purchase_at AT TIME ZONE zone, 'YYYY-MM-DD')), NULL::integer, NULL::text,
		(l.day + rule.delay) AT TIME ZONE zone
	FROM retention.customer_stats c
	CROSS JOIN LATERAL (
		SELECT ((c.tier_below_since AT TIME ZONE zone) + tier_grace)::date AS day
	) AS l
	WHERE c.shop_id = rule.shop_id
		AND c.tier IS NOT NULL
		AND c.tier_below_since IS NOT NULL
		AND l.day BETWEEN first_day AND last_day;

	-- The others lose it so long after purchases have left the window.
	IF tier_window IS NULL THEN
		RETURN;
	END IF;
	RETURN QUERY
	SELECT c.customer_id, format('tier:%s:%s', t.name, to_char(c.last_purchase_at AT TIME ZONE zone, 'YYYY-MM-DD')), NULL::integer, NULL::text,
		(l.day + rule.delay) AT TIME ZONE zone
	FROM retention.customer_stats c
	CROSS JOIN LATERAL retention.tier_unless_bought(c, shop, (at AT TIME ZONE zone - tier_window) AT TIME ZONE zone) AS t (name)
	CROSS JOIN LATERAL (
		SELECT min(first_day + n) AS day
		FROM generate_series(0, last_day - first_day) AS n
		WHERE (first_day + n + 1 - tier_grace) AT TIME ZONE zone > at
			AND retention.tier_unless_bought(c, shop, (first_day + n + 1 - tier_grace - tier_window) AT TIME ZONE zone) IS DISTINCT FROM t.name
	) AS l
	WHERE c.shop_id = rule.shop_id
		AND c.tier_below_since IS NULL
		-- Who loses a tier in these days has a purchase that leaves the window
		-- in them, and has what is to be lost until then.
		AND (c.history_from IS NOT NULL
			OR retention.bought(c.history,
				(first_day - tier_grace - tier_window) AT TIME ZONE zone,
				(last_day + 1 - tier_grace - tier_window) AT TIME ZONE zone) > 0)
		AND t.name IS NOT NULL
		AND l.day IS NOT NULL
		AND retention.tier_unless_bought(c, shop,
			(greatest(first_day - tier_grace, at AT TIME ZONE zone) - tier_window) AT TIME ZONE zone) IS NOT DISTINCT FROM t.name;
END
$$;

COMMENT ON FUNCTION retention.care_due_tier_at_risk(retention.care_rules, timestamptz) IS 'For rules of the event tier_at_risk: the day on which the tier is lost unless something is bought: purchases have left the shop''s tier_window or were given back, and its tier_grace is over. Nobody where a tier is for ever';

CREATE FUNCTION retention.care_due(at timestamptz)
	RETURNS bigint
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	-- A shop grows: a plan kept from its first days would be a bad one.
	SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
	rule retention.care_rules;
	queued bigint;
	total bigint := 0;
BEGIN
	-- The second of two runs at once finds everything done.
	PERFORM pg_advisory_xact_lock('retention.care_rule'::regclass::oid::integer, 0);

	-- What was bought, or given back, since a message was queued.
	UPDATE retention.care_message m
	SET state = 'cancelled',
		reason = CASE wrong.event
			WHEN 'spend_milestone' THEN 'the amount is no longer reached'
			ELSE 'the customer bought again'
		END,
		changed_at = at
	FROM (
		SELECT o.shop_id, o.customer_id, o.rule, o.subject, r.event
		FROM retention.care_message o
		JOIN retention.care_rules r ON r.shop_id = o.shop_id AND r.name = o.rule
		JOIN retention.shop h ON h.shop_id = r.shop_id
		WHERE o.state IN ('queued', 'claimed')
			AND r.enabled
			AND r.event IN ('last_purchase', 'repurchase', 'spend_milestone', 'tier_at_risk')
			AND NOT EXISTS (
				SELECT
				FROM retention.customer_stats s
				WHERE s.shop_id = o.shop_id
					AND s.customer_id = o.customer_id
					AND CASE r.event
						WHEN 'spend_milestone' THEN s.spent >= split_part(o.subject, ':', 2)::numeric
						WHEN 'tier_at_risk' THEN o.subject LIKE '%:' || to_char(s.last_purchase_at AT TIME ZONE h.time_zone, 'YYYY-MM-DD')
						ELSE o.subject = 'purchase:' || to_char(s.last_purchase_at AT TIME ZONE h.time_zone, 'YYYY-MM-DD')
					END)
		ORDER BY o.shop_id, o.customer_id, o.rule COLLATE "C", o.subject
		FOR NO KEY UPDATE OF o
	) AS wrong
	WHERE m.shop_id = wrong.shop_id
		AND m.customer_id = wrong.customer_id
		AND m.rule = wrong.rule
		AND m.subject = wrong.subject;

	FOR rule IN
		SELECT r.*
		FROM retention.care_rules r
		WHERE r.enabled
			AND to_regprocedure(format('retention.care_due_%s(retention.care_rules, timestamptz)', r.event)) IS NOT NULL
		ORDER BY r.shop_id, r.name
	LOOP
		EXECUTE format(
			'INSERT INTO retention.care_message'
			' (shop_id, customer_id, rule, subject, source_id, order_id, channel, purpose, priority,'
			' state, due_at, expires_at, queued_at, changed_at)'
			' SELECT ($1).shop_id, d.customer_id, ($1).name, d.subject, d.source_id, d.order_id,'
			' ($1).channel, ($1).purpose, ($1).priority,'
			' ''queued'', d.due_at, d.due_at + ($1).validity, $2, $2'
			' FROM retention.care_due_%s($1, $2) AS d'
			' WHERE d.due_at <= $2 + interval ''1 day'' AND d.due_at + ($1).validity > $2'
			' ORDER BY d.customer_id, d.subject'
			' ON CONFLICT (shop_id, customer_id, rule, subject) DO NOTHING',
			rule.event)
		USING rule, at;
		GET DIAGNOSTICS queued = ROW_COUNT;
		total := total + queued;
	END LOOP;
	RETURN total;
END
$$;

COMMENT ON FUNCTION retention.care_due(timestamptz) IS
	'Queues the messages that enabled rules call for by date (birthdays, festivals, days after a purchase, ...) and that fall due by a day from then; returns how many are new. Run again, or by two sessions at once, it adds nothing; after days of no run, what is past its validity is left out. First it cancels what a purchase or a refund since has made wrong';
