-- ---------------------------------------------------------------------------
-- campaign_credits: one order is credited to one campaign
-- ---------------------------------------------------------------------------

-- Nothing is kept: what an order is worth, and whether it still is one, is read
-- from purchase.  A refund takes its credit back by itself.
CREATE VIEW retention.campaign_credits AS
	SELECT
		p.shop_id,
		l.campaign,
		l.step,
		p.customer_id,
		p.source_id,
		p.order_id,
		p.paid_at,
		p.value,
		l.sent_at
	FROM retention.purchase p
	CROSS JOIN LATERAL (
		SELECT t.campaign, t.step, m.sent_at
		FROM retention.care_message m
		JOIN retention.campaign_step t ON t.shop_id = m.shop_id AND t.rule = m.rule
		JOIN retention.campaign c ON c.shop_id = t.shop_id AND c.name = t.campaign
		JOIN retention.shop s ON s.shop_id = m.shop_id
		WHERE m.shop_id = p.shop_id
			AND m.customer_id = p.customer_id
			AND m.state = 'sent'
			AND m.sent_at < p.paid_at
			AND p.paid_at <= m.sent_at + pg_catalog.make_interval(days => coalesce(c.attribution_days, s.attribution_days))
		ORDER BY m.sent_at DESC, t.campaign, t.step DESC
		LIMIT 1
	) AS l
	WHERE p.value IS NOT NULL;

COMMENT ON VIEW retention.campaign_credits IS 'The orders credited to campaigns: each to the one that wrote to the customer last before it was paid, within that campaign''s attribution_days; of messages sent at the same moment, to the campaign first by name and its last step';
COMMENT ON COLUMN retention.campaign_credits.shop_id IS 'The shop';
COMMENT ON COLUMN retention.campaign_credits.campaign IS 'The campaign';
COMMENT ON COLUMN retention.campaign_credits.step IS 'The step whose message was the last';
COMMENT ON COLUMN retention.campaign_credits.customer_id IS 'The customer';
COMMENT ON COLUMN retention.campaign_credits.source_id IS 'Source of the order';
COMMENT ON COLUMN retention.campaign_credits.order_id IS 'The order';
COMMENT ON COLUMN retention.campaign_credits.paid_at IS 'When it was paid';
COMMENT ON COLUMN retention.campaign_credits.value IS 'Paid less refunded';
COMMENT ON COLUMN retention.campaign_credits.sent_at IS 'When the message was sent';

-- ---------------------------------------------------------------------------
-- campaign_effect: what a campaign brought, by step and arm
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.campaign_period(
	the_campaign retention.campaign,
	OUT from_time timestamptz,
	OUT to_time timestamptz
)
	LANGUAGE plpgsql
	STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	SELECT
		the_campaign.starts_at,
		coalesce(
			least(the_campaign.stopped_at, the_campaign.ends_at),
			max(retention.campaign_step_due(the_campaign.starts_at, t.delay, s.time_zone) + t.validity)
		) + make_interval(days => coalesce(the_campaign.attribution_days, s.attribution_days))
	INTO from_time, to_time
	FROM retention.shop s
	LEFT JOIN retention.campaign_step t ON t.shop_id = s.shop_id AND t.campaign = the_campaign.name
	WHERE s.shop_id = the_campaign.shop_id
	GROUP BY s.shop_id;
END
$$;

COMMENT ON FUNCTION retention.campaign_period(retention.campaign) IS
	'From when to when (not included) orders are counted for a campaign: from its start until attribution_days after nothing more can be sent; NULL where that is not known yet';

CREATE FUNCTION retention.campaign_effect(
	campaign text,
	shop text DEFAULT NULL,
	at timestamptz DEFAULT retention.now()
)
	RETURNS TABLE (
		step integer,
		arm text,
		targeted bigint,
		queued bigint,
		sent bigint,
		failed bigint,
		skipped bigint,
		reasons jsonb,
		segments bigint,
		responses bigint,
		response_rate numeric,
		accepted bigint,
		attended bigint,
		buyers bigint,
		orders bigint,
		sales numeric,
		conversion numeric,
		spend_per_buyer numeric,
		credited_orders bigint,
		credited_sales numeric,
		cost numeric
	)
	LANGUAGE plpgsql
	STABLE
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan
	-- Of so many nodes compiling costs more than running.
	SET jit = off
AS $$
#variable_conflict use_column
DECLARE
	the_campaign retention.campaign := retention.the_campaign(campaign, retention.shop_id(shop));
	from_time timestamptz;
	to_time timestamptz;
BEGIN
	SELECT p.from_time, p.to_time INTO from_time, to_time
	FROM retention.campaign_period(the_campaign) AS p;

	RETURN QUERY
	-- The campaign as a whole is the step NULL.
	WITH part AS (
		SELECT NULL::integer AS step, from_time AS starts_at
		UNION ALL
		SELECT t.step, retention.campaign_step_due(from_time, t.delay, s.time_zone)
		FROM retention.campaign_step t
		JOIN retention.shop s ON s.shop_id = t.shop_id
		WHERE t.shop_id = the_campaign.shop_id AND t.campaign = the_campaign.name
	), member AS (
		SELECT m.customer_id, m.arm, m.reply, m.attended_at
		FROM retention.campaign_member m
		WHERE m.shop_id = the_campaign.shop_id AND m.campaign = the_campaign.name
	), arms AS (
		SELECT
			a.arm,
			count(m.customer_id) AS targeted,
			count(*) FILTER (WHERE m.reply = 'accepted') AS accepted,
			count(m.attended_at) AS attended
		FROM unnest('{treated,holdout}'::text[]) AS a (arm)
		LEFT JOIN member m ON m.arm = a.arm
		GROUP BY a.arm
	), bought AS (
		SELECT m.arm, m.customer_id, p.paid_at, p.value
		FROM member m
		JOIN retention.purchase p ON p.shop_id = the_campaign.shop_id AND p.customer_id = m.customer_id
		WHERE p.value IS NOT NULL
			AND p.paid_at >= from_time
			AND p.paid_at < to_time
			AND p.paid_at <= campaign_effect.at
	), outcome AS (
		SELECT
			q.step,
			b.arm,
			count(DISTINCT b.customer_id) AS buyers,
			count(*) AS orders,
			sum(b.value) AS sales
		FROM part q
		JOIN bought b ON b.paid_at >= q.starts_at
		GROUP BY q.step, b.arm
	), message AS (
		SELECT
			t.step,
			c.state,
			c.reason,
			c.segments,
			c.responded_at
		FROM member m
		CROSS JOIN retention.campaign_step t
		JOIN retention.care_message c
			ON c.shop_id = t.shop_id
			AND c.customer_id = m.customer_id
			AND c.rule = t.rule
			AND c.subject = retention.campaign_subject(t.campaign)
		WHERE t.shop_id = the_campaign.shop_id
			AND t.campaign = the_campaign.name
			AND m.arm = 'treated'
			AND c.queued_at <= campaign_effect.at
	), counted AS (
		SELECT
			m.step,
			count(*) AS queued,
			count(*) FILTER (WHERE m.state = 'sent') AS sent,
			count(*) FILTER (WHERE m.state = 'failed') AS failed,
			count(*) FILTER (WHERE m.state IN ('skipped', 'cancelled')) AS skipped,
			sum(m.segments) FILTER (WHERE m.state = 'sent') AS segments,
			count(m.responded_at) AS responses
		FROM message m
		GROUP BY GROUPING SETS ((m.step), ())
	), refused AS (
		SELECT r.step, jsonb_object_agg(r.reason, r.messages) AS reasons
		FROM (
			SELECT m.step, coalesce(m.reason, m.state) AS reason, count(*) AS messages
			FROM message m
			WHERE m.state IN ('skipped', 'cancelled', 'failed')
			GROUP BY GROUPING SETS ((m.step, coalesce(m.reason, m.state)), (coalesce(m.reason, m.state)))
		) AS r
		GROUP BY r.step
	), credited AS (
		SELECT k.step, count(*) AS orders, sum(k.value) AS sales
		FROM member m
		JOIN retention.campaign_credits k ON k.shop_id = the_campaign.shop_id AND k.customer_id = m.customer_id
		WHERE k.campaign = the_campaign.name
			AND k.paid_at > from_time
			AND k.paid_at <= campaign_effect.at
		GROUP BY GROUPING SETS ((k.step), ())
	)
	SELECT
		q.step,
		a.arm,
		a.targeted,
		coalesce(n.queued, 0),
		coalesce(n.sent, 0),
		coalesce(n.failed, 0),
		coalesce(n.skipped, 0),
		coalesce(r.reasons, '{}'),
		coalesce(n.segments, 0)::bigint,
		coalesce(n.responses, 0),
		round(n.responses::numeric / nullif(n.sent, 0), 4),
		a.accepted,
		a.attended,
		coalesce(o.buyers, 0),
		coalesce(o.orders, 0),
		coalesce(o.sales, 0),
		round(coalesce(o.buyers, 0)::numeric / nullif(a.targeted, 0), 4),
		round(o.sales / o.buyers, 2),
		coalesce(k.orders, 0),
		coalesce(k.sales, 0),
		CASE
			WHEN a.arm = 'holdout' THEN NULL
			WHEN q.step IS NULL AND num_nonnulls(the_campaign.cost, the_campaign.segment_cost) > 0
			THEN coalesce(the_campaign.cost, 0) + coalesce(the_campaign.segment_cost * coalesce(n.segments, 0), 0)
			WHEN q.step IS NOT NULL THEN the_campaign.segment_cost * coalesce(n.segments, 0)
		END
	FROM part q
	CROSS JOIN arms a
	LEFT JOIN outcome o ON o.step IS NOT DISTINCT FROM q.step AND o.arm = a.arm
	LEFT JOIN counted n ON n.step IS NOT DISTINCT FROM q.step AND a.arm = 'treated'
	LEFT JOIN refused r ON r.step IS NOT DISTINCT FROM q.step AND a.arm = 'treated'
	LEFT JOIN credited k ON k.step IS NOT DISTINCT FROM q.step AND a.arm = 'treated'
	ORDER BY q.step NULLS FIRST, a.arm DESC;
END
$$;

COMMENT ON FUNCTION retention.campaign_effect(text, text, timestamptz) IS
	'What a campaign brought, by step (NULL: the campaign as a whole) and arm. targeted: its members; queued, sent, failed, skipped (with the reasons) and segments (SMS parts billed of those sent): its messages; responses and response_rate (responses / sent); accepted and attended: replies to the invitation, and who came. buyers, orders and sales are all that members of the arm bought from the start (of the step: from when it fell due) until campaign.attribution_days after nothing more could be sent, whether or not a message reached them, so that the arms can be compared; conversion is buyers / targeted, spend_per_buyer sales / buyers. credited_orders and credited_sales are those orders that campaign_credits gives to the campaign and step. cost is campaign.cost and segment_cost times segments (of a step: the latter), NULL when neither is given. Sales are paid less refunded as of now, of orders paid by the moment at. An unknown campaign is an error; shop NULL means the only shop';

-- ---------------------------------------------------------------------------
-- campaign_lift: whether it worked
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.lift_sentence(
	measure text,
	language text,
	treated double precision,
	holdout double precision,
	low double precision,
	high double precision,
	more_customers bigint
)
	RETURNS text
	LANGUAGE plpgsql
	IMMUTABLE
	PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	is_share boolean := measure = 'conversion';
	scale numeric := CASE WHEN is_share THEN 100 ELSE 1 END;
	digits integer := CASE WHEN is_share THEN 1 ELSE 2 END;
	shown_treated numeric := round((treated * scale)::numeric, digits);
	shown_holdout numeric := round((holdout * scale)::numeric, digits);
	shown_low numeric := round((low * scale)::numeric, digits);
	shown_high numeric := round((high * scale)::numeric, digits);
	figures text;
BEGIN
	IF treated IS NULL THEN
		RETURN CASE language
			WHEN 'zh' THEN '还没有顾客参加。'
			ELSE 'It has no members to be written to yet.'
		END;
	ELSIF holdout IS NULL THEN
		RETURN CASE language
			WHEN 'zh' THEN '没有可以比较的对照组。'
			ELSE 'There is no holdout to compare with.'
		END;
	ELSIF treated = 0 AND holdout = 0 THEN
		RETURN CASE language
			WHEN 'zh' THEN '还没有顾客购买。'
			ELSE 'Nobody has bought yet.'
		END;
	ELSIF low IS NULL THEN
		RETURN CASE language
			WHEN 'zh' THEN '顾客太少，无法比较。'
			ELSE 'There are too few customers to compare.'
		END;
	END IF;

	figures := CASE
		WHEN language = 'zh' AND is_share THEN
			format('%s%% 对 %s%%，相差 %s 个百分点，95%% 置信区间 %s 至 %s', shown_treated, shown_holdout, shown_treated - shown_holdout, shown_low, shown_high)
		WHEN language = 'zh' THEN
			format('人均 %s 对 %s，相差 %s，95%% 置信区间 %s 至 %s', shown_treated, shown_holdout, shown_treated - shown_holdout, shown_low, shown_high)
		WHEN is_share THEN
			format('%s %% against %s %%, a difference of %s points, 95 %% interval %s to %s', shown_treated, shown_holdout, shown_treated - shown_holdout, shown_low, shown_high)
		ELSE
			format('%s a customer against %s, a difference of %s, 95 %% interval %s to %s', shown_treated, shown_holdout, shown_treated - shown_holdout, shown_low, shown_high)
	END;
	IF low > 0 OR high < 0 THEN
		RETURN CASE
			WHEN language = 'zh' AND is_share THEN
				format('收到信息的顾客购买率%s于对照组：%s。', CASE WHEN low > 0 THEN '高' ELSE '低' END, figures)
			WHEN language = 'zh' THEN
				format('收到信息的顾客消费%s于对照组：%s。', CASE WHEN low > 0 THEN '高' ELSE '低' END, figures)
			WHEN is_share THEN
				format('Those written to bought %s often than those held out: %s.', CASE WHEN low > 0 THEN 'more' ELSE 'less' END, figures)
			ELSE
				format('Those written to spent %s than those held out: %s.', CASE WHEN low > 0 THEN 'more' ELSE 'less' END, figures)
		END;
	ELSIF more_customers IS NULL THEN
		RETURN CASE language
			WHEN 'zh' THEN format('看不出差别：%s。', figures)
			ELSE format('No difference can be seen: %s.', figures)
		END;
	END IF;
	RETURN CASE language
		WHEN 'zh' THEN format('尚不能证明有差别：还需要 %s 位顾客（%s）。', more_customers, figures)
		WHEN 'en' THEN format('No difference can be shown yet: %s more customers are needed (%s).', more_customers, figures)
	END;
END
$$;

COMMENT ON FUNCTION retention.lift_sentence(text, text, double precision, double precision, double precision, double precision, bigint) IS
	'What a line of campaign_lift() says in plain words, in zh (Chinese) or en (English)';

CREATE FUNCTION retention.campaign_lift(
	campaign text,
	shop text DEFAULT NULL,
	at timestamptz DEFAULT retention.now()
)
	RETURNS TABLE (
		measure text,
		treated_customers bigint,
		holdout_customers bigint,
		treated numeric,
		holdout numeric,
		difference numeric,
		low numeric,
		high numeric,
		shown boolean,
		more_customers bigint,
		counted_until timestamptz,
		sentence text
	)
	LANGUAGE plpgsql
	STABLE
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan
	-- Of so many nodes compiling costs more than running.
	SET jit = off
AS $$
#variable_conflict use_column
DECLARE
	the_campaign retention.campaign := retention.the_campaign(campaign, retention.shop_id(shop));
	the_language text;
	from_time timestamptz;
	to_time timestamptz;
BEGIN
	SELECT s.language INTO the_language
	FROM retention.shop s
	WHERE s.shop_id = the_campaign.shop_id;
	SELECT p.from_time, p.to_time INTO from_time, to_time
	FROM retention.campaign_period(the_campaign) AS p;

	RETURN QUERY
	WITH spending AS (
		SELECT m.arm, sum(p.value) AS spent
		FROM retention.campaign_member m
		LEFT JOIN retention.purchase p
			ON p.shop_id = m.shop_id
			AND p.customer_id = m.customer_id
			AND p.value IS NOT NULL
			AND p.paid_at >= from_time
			AND p.paid_at < to_time
			AND p.paid_at <= campaign_lift.at
		WHERE m.shop_id = the_campaign.shop_id AND m.campaign = the_campaign.name
		GROUP BY m.customer_id, m.arm
	), arms AS (
		SELECT
			count(*) FILTER (WHERE s.arm = 'treated') AS n1,
			count(*) FILTER (WHERE s.arm = 'holdout') AS n2,
			count(s.spent) FILTER (WHERE s.arm = 'treated') AS buyers1,
			count(s.spent) FILTER (WHERE s.arm = 'holdout') AS buyers2,
			(avg(coalesce(s.spent, 0)) FILTER (WHERE s.arm = 'treated'))::double precision AS mean1,
			(avg(coalesce(s.spent, 0)) FILTER (WHERE s.arm = 'holdout'))::double precision AS mean2,
			(var_samp(coalesce(s.spent, 0)) FILTER (WHERE s.arm = 'treated'))::double precision AS variance1,
			(var_samp(coalesce(s.spent, 0)) FILTER (WHERE s.arm = 'holdout'))::double precision AS variance2
		FROM spending s
	), compared AS (
		SELECT
			'conversion' AS measure,
			a.n1,
			a.n2,
			a.buyers1::double precision / nullif(a.n1, 0) AS treated,
			a.buyers2::double precision / nullif(a.n2, 0) AS holdout,
			d.low,
			d.high,
			-- With one buyer and one who does not buy added to each arm, as Agresti
			-- and Caffo (2000) do, a group where nobody or everybody bought is no riddle.
			g.share1 - g.share2 AS difference,
			g.share1 * (1 - g.share1) AS variance1,
			g.share2 * (1 - g.share2) AS variance2
		FROM arms a
		CROSS JOIN LATERAL retention.difference_of_shares(a.buyers1, a.n1, a.buyers2, a.n2) AS d
		CROSS JOIN LATERAL (
			SELECT
				(a.buyers1 + 1)::double precision / (a.n1 + 2) AS share1,
				(a.buyers2 + 1)::double precision / (a.n2 + 2) AS share2
		) AS g
		UNION ALL
		SELECT 'spend', a.n1, a.n2, a.mean1, a.mean2, d.low, d.high, a.mean1 - a.mean2, a.variance1, a.variance2
		FROM arms a
		CROSS JOIN LATERAL retention.difference_of_means(a.mean1, a.variance1, a.n1, a.mean2, a.variance2, a.n2) AS d
	), judged AS (
		SELECT
			c.*,
			c.low > 0 OR c.high < 0 AS shown,
			-- So many would show the difference that there seems to be; where that is
			-- next to nothing, no number of customers is worth naming.
			CASE
				WHEN c.low <= 0 AND c.high >= 0 AND n.needed < 1e9 THEN greatest(n.needed::bigint - c.n1 - c.n2, 1)
			END AS more_customers
		FROM compared c
		CROSS JOIN LATERAL (
			SELECT retention.customers_needed(
				c.difference,
				c.variance1,
				c.variance2,
				CASE WHEN c.n1 > 0 AND c.n2 > 0 THEN c.n2::double precision / (c.n1 + c.n2) END
			) AS needed
		) AS n
	)
	SELECT
		j.measure,
		j.n1,
		j.n2,
		round(j.treated::numeric, 4),
		round(j.holdout::numeric, 4),
		round((j.treated - j.holdout)::numeric, 4),
		round(j.low::numeric, 4),
		round(j.high::numeric, 4),
		j.shown,
		j.more_customers,
		to_time,
		retention.lift_sentence(j.measure, the_language, j.treated, j.holdout, j.low, j.high, j.more_customers)
	FROM judged j
	ORDER BY j.measure;
END
$$;

COMMENT ON FUNCTION retention.campaign_lift(text, text, timestamptz) IS
	'Whether a campaign worked: what all members of the treated arm did, written to or not (intention to treat), against all held out, from its start to counted_until. Two lines: conversion (the share who bought) and spend (value of purchases a member). low and high are the 95 % interval of the difference, by difference_of_shares() and difference_of_means(); shown is true when it does not contain 0. more_customers is how many more, in the same proportion, would show a difference as large as the one observed in four of five trials (customers_needed()); NULL when it is shown or next to nothing. The interval is for one look, best after counted_until: who looks every day sees chance at work more often than once in twenty. sentence says it in the shop''s language. NULLs where nobody is held out; an unknown campaign is an error; shop NULL means the only shop';

-- ---------------------------------------------------------------------------
-- campaigns: one row a campaign
-- ---------------------------------------------------------------------------

CREATE VIEW retention.campaigns AS
	SELECT
		c.shop_id,
		c.name,
		c.state,
		c.audience,
		c.starts_at,
		c.ends_at,
		l.counted_until,
		e.treated_customers,
		e.holdout_customers,
		e.sent,
		e.failed,
		e.skipped,
		e.segments,
		e.responses,
		e.response_rate,
		e.accepted,
		e.attended,
		e.buyers,
		e.orders,
		e.sales,
		e.conversion,
		e.holdout_conversion,
		l.difference AS lift,
		l.low AS lift_low,
		l.high AS lift_high,
		e.spend_per_buyer,
		e.credited_orders,
		e.credited_sales,
		e.cost,
		l.sentence AS conclusion
	FROM retention.campaign c
	JOIN retention.shop s ON s.shop_id = c.shop_id
	CROSS JOIN LATERAL (
		SELECT
			pg_catalog.max(f.targeted) FILTER (WHERE f.arm = 'treated') AS treated_customers,
			pg_catalog.max(f.targeted) FILTER (WHERE f.arm = 'holdout') AS holdout_customers,
			pg_catalog.max(f.sent) FILTER (WHERE f.arm = 'treated') AS sent,
			pg_catalog.max(f.failed) FILTER (WHERE f.arm = 'treated') AS failed,
			pg_catalog.max(f.skipped) FILTER (WHERE f.arm = 'treated') AS skipped,
			pg_catalog.max(f.segments) FILTER (WHERE f.arm = 'treated') AS segments,
			pg_catalog.max(f.responses) FILTER (WHERE f.arm = 'treated') AS responses,
			pg_catalog.max(f.response_rate) FILTER (WHERE f.arm = 'treated') AS response_rate,
			pg_catalog.max(f.accepted) FILTER (WHERE f.arm = 'treated') AS accepted,
			pg_catalog.max(f.attended) FILTER (WHERE f.arm = 'treated') AS attended,
			pg_catalog.max(f.buyers) FILTER (WHERE f.arm = 'treated') AS buyers,
			pg_catalog.max(f.orders) FILTER (WHERE f.arm = 'treated') AS orders,
			pg_catalog.max(f.sales) FILTER (WHERE f.arm = 'treated') AS sales,
			pg_catalog.max(f.conversion) FILTER (WHERE f.arm = 'treated') AS conversion,
			pg_catalog.max(f.conversion) FILTER (WHERE f.arm = 'holdout') AS holdout_conversion,
			pg_catalog.max(f.spend_per_buyer) FILTER (WHERE f.arm = 'treated') AS spend_per_buyer,
			pg_catalog.max(f.credited_orders) FILTER (WHERE f.arm = 'treated') AS credited_orders,
			pg_catalog.max(f.credited_sales) FILTER (WHERE f.arm = 'treated') AS credited_sales,
			pg_catalog.max(f.cost) FILTER (WHERE f.arm = 'treated') AS cost
		FROM retention.campaign_effect(c.name, s.name) AS f
		WHERE f.step IS NULL
	) AS e
	CROSS JOIN LATERAL retention.campaign_lift(c.name, s.name) AS l
	WHERE l.measure = 'conversion';

COMMENT ON VIEW retention.campaigns IS 'Every campaign as it stands: its members, what was sent, what the treated arm did and how it compares with those held out; see campaign_effect() and campaign_lift()';
COMMENT ON COLUMN retention.campaigns.shop_id IS 'The shop';
COMMENT ON COLUMN retention.campaigns.name IS 'The campaign';
COMMENT ON COLUMN retention.campaigns.state IS 'draft, running, paused, stopped or ended';
COMMENT ON COLUMN retention.campaigns.audience IS 'Its audience';
COMMENT ON COLUMN retention.campaigns.starts_at IS 'From when the steps'' delays count';
COMMENT ON COLUMN retention.campaigns.ends_at IS 'From then on nothing is sent; NULL when it was given no end';
COMMENT ON COLUMN retention.campaigns.counted_until IS 'Until when orders are counted';
COMMENT ON COLUMN retention.campaigns.treated_customers IS 'Members in the treated arm';
COMMENT ON COLUMN retention.campaigns.holdout_customers IS 'Members held out';
COMMENT ON COLUMN retention.campaigns.sent IS 'Messages sent';
COMMENT ON COLUMN retention.campaigns.failed IS 'Messages given up after failures';
COMMENT ON COLUMN retention.campaigns.skipped IS 'Messages skipped or cancelled';
COMMENT ON COLUMN retention.campaigns.segments IS 'SMS parts billed';
COMMENT ON COLUMN retention.campaigns.responses IS 'Messages that were answered';
COMMENT ON COLUMN retention.campaigns.response_rate IS 'Responses / sent; NULL when none was sent';
COMMENT ON COLUMN retention.campaigns.accepted IS 'Treated members who accepted the invitation';
COMMENT ON COLUMN retention.campaigns.attended IS 'Treated members who came to the event';
COMMENT ON COLUMN retention.campaigns.buyers IS 'Treated members who bought';
COMMENT ON COLUMN retention.campaigns.orders IS 'Their orders';
COMMENT ON COLUMN retention.campaigns.sales IS 'What those are worth: paid less refunded';
COMMENT ON COLUMN retention.campaigns.conversion IS 'Buyers / treated_customers';
COMMENT ON COLUMN retention.campaigns.holdout_conversion IS 'The same share of those held out';
COMMENT ON COLUMN retention.campaigns.lift IS 'Conversion less holdout_conversion; NULL when nobody is held out';
COMMENT ON COLUMN retention.campaigns.lift_low IS 'Lower end of its 95 % interval';
COMMENT ON COLUMN retention.campaigns.lift_high IS 'Upper end of its 95 % interval';
COMMENT ON COLUMN retention.campaigns.spend_per_buyer IS 'Sales / buyers';
COMMENT ON COLUMN retention.campaigns.credited_orders IS 'Orders that campaign_credits gives to the campaign';
COMMENT ON COLUMN retention.campaigns.credited_sales IS 'What those are worth';
COMMENT ON COLUMN retention.campaigns.cost IS 'What it cost, as far as that was given';
COMMENT ON COLUMN retention.campaigns.conclusion IS 'Whether it worked, in plain words in the shop''s language';
