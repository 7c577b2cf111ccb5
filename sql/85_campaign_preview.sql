-- ---------------------------------------------------------------------------
-- preview_campaign: whom it would reach, before anything is sent
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.preview_messages(
	shop_id integer,
	customers text[],
	rule text,
	subject text,
	channel text,
	purpose text,
	ignores_caps boolean,
	at timestamptz,
	OUT customer_id text,
	OUT outcome text,
	OUT reason text,
	OUT segments integer
)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'preview_messages'
	LANGUAGE C VOLATILE STRICT;

COMMENT ON FUNCTION retention.preview_messages(integer, text[], text, text, text, text, boolean, timestamptz) IS
	'What claiming such a message to each customer would do at that moment: send, put off or skip, and why; nothing is written';

CREATE FUNCTION retention.preview_campaign_customers(
	campaign text,
	step integer DEFAULT 1,
	shop text DEFAULT NULL,
	at timestamptz DEFAULT retention.now()
)
	RETURNS TABLE (customer_id text, arm text, outcome text, reason text, segments integer)
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_campaign retention.campaign := retention.the_campaign(campaign, retention.shop_id(shop));
	the_step retention.campaign_step;
	due_at timestamptz;
BEGIN
	SELECT t.* INTO the_step
	FROM retention.campaign_step t
	WHERE t.shop_id = the_campaign.shop_id AND t.campaign = the_campaign.name AND t.step = preview_campaign_customers.step;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'campaign "%" has no step %', the_campaign.name, coalesce(preview_campaign_customers.step::text, 'NULL')
			USING ERRCODE = 'undefined_object';
	END IF;
	IF the_campaign.state = 'draft' THEN
		the_campaign.starts_at := greatest(the_campaign.starts_at, at);
	END IF;
	PERFORM retention.check_campaign(the_campaign);
	due_at := (
		SELECT greatest(retention.campaign_step_due(the_campaign.starts_at, the_step.delay, s.time_zone), at)
		FROM retention.shop s
		WHERE s.shop_id = the_campaign.shop_id);

	RETURN QUERY
	WITH customer AS MATERIALIZED (
		SELECT c.customer_id, c.arm
		FROM retention.campaign_customers(the_campaign, preview_campaign_customers.at) AS c
	), batch AS (
		SELECT array_agg(n.customer_id) AS customers
		FROM (
			SELECT c.customer_id, row_number() OVER (ORDER BY c.customer_id COLLATE "C") / 500 AS batch
			FROM customer c
			WHERE c.arm = 'treated'
		) AS n
		GROUP BY n.batch
	)
	SELECT p.customer_id, 'treated', p.outcome, p.reason, p.segments
	FROM batch b
	CROSS JOIN LATERAL retention.preview_messages(
		the_campaign.shop_id,
		b.customers,
		the_step.rule,
		retention.campaign_subject(the_campaign.name),
		the_step.channel,
		the_step.purpose,
		the_step.ignores_caps,
		due_at
	) AS p
	UNION ALL
	SELECT c.customer_id, c.arm, 'held out', NULL, NULL
	FROM customer c
	WHERE c.arm = 'holdout';
END
$$;

COMMENT ON FUNCTION retention.preview_campaign_customers(text, integer, text, timestamptz) IS
	'Whom a step of a campaign would reach: each member (of a draft: who would be one now) with the arm and what would become of the message when it falls due, as things stand now: send, put off (quiet hours, a frequency cap) or skip, with the reason, or held out; and the SMS parts billed. Earlier steps'' own messages are not foreseen. Nothing is written. An unknown campaign or step is an error';

CREATE FUNCTION retention.preview_campaign(
	campaign text,
	shop text DEFAULT NULL,
	at timestamptz DEFAULT retention.now()
)
	RETURNS TABLE (
		step integer,
		channel text,
		due_at timestamptz,
		customers bigint,
		held_out bigint,
		send bigint,
		put_off bigint,
		skip bigint,
		reasons jsonb,
		segments bigint,
		example_customer text,
		example_subject_line text,
		example_text text
	)
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_campaign retention.campaign := retention.the_campaign(campaign, retention.shop_id(shop));
BEGIN
	IF the_campaign.state = 'draft' THEN
		the_campaign.starts_at := greatest(the_campaign.starts_at, at);
	END IF;
	PERFORM retention.check_campaign(the_campaign);
	RETURN QUERY
	SELECT
		t.step,
		t.channel,
		d.due_at,
		n.customers,
		n.held_out,
		n.send,
		n.put_off,
		n.skip,
		coalesce(n.reasons, '{}'),
		n.segments,
		n.example,
		CASE t.channel WHEN 'email' THEN x.subject_line END,
		x.text
	FROM retention.campaign_step t
	JOIN retention.shop s ON s.shop_id = t.shop_id
	CROSS JOIN LATERAL (
		SELECT retention.campaign_step_due(the_campaign.starts_at, t.delay, s.time_zone) AS due_at
	) AS d
	CROSS JOIN LATERAL (
		SELECT
			coalesce(sum(g.customers), 0)::bigint AS customers,
			coalesce(sum(g.customers) FILTER (WHERE g.outcome = 'held out'), 0)::bigint AS held_out,
			coalesce(sum(g.customers) FILTER (WHERE g.outcome = 'send'), 0)::bigint AS send,
			coalesce(sum(g.customers) FILTER (WHERE g.outcome = 'put off'), 0)::bigint AS put_off,
			coalesce(sum(g.customers) FILTER (WHERE g.outcome = 'skip'), 0)::bigint AS skip,
			jsonb_object_agg(g.reason, g.customers) FILTER (WHERE g.reason IS NOT NULL) AS reasons,
			coalesce(sum(g.segments), 0)::bigint AS segments,
			-- Somebody who gets it, where there is anybody.
			(array_agg(g.example ORDER BY g.outcome = 'send' DESC, g.outcome = 'put off' DESC, g.example)
				FILTER (WHERE g.outcome <> 'held out'))[1] AS example
		FROM (
			SELECT p.outcome, p.reason, count(*) AS customers, sum(p.segments) AS segments, min(p.customer_id COLLATE "C") AS example
			FROM retention.preview_campaign_customers(
				t.campaign, t.step, s.name, preview_campaign.at) AS p
			GROUP BY p.outcome, p.reason
		) AS g
	) AS n
	CROSS JOIN LATERAL retention.render_message(
		t.shop_id, n.example, t.rule, retention.campaign_subject(t.campaign), NULL, NULL, d.due_at) AS x
	WHERE t.shop_id = the_campaign.shop_id AND t.campaign = the_campaign.name
	ORDER BY t.step;
END
$$;

COMMENT ON FUNCTION retention.preview_campaign(text, text, timestamptz) IS
	'What each step of a campaign would do as things stand: the members (of a draft: who would be members now), how many are held out, how many messages would be sent, put off or skipped and for which reasons ({"no consent": 3}), the SMS parts billed for those sent, those under a frequency cap included, and the text as one customer would get it. Nothing is written. An unknown campaign is an error; shop NULL means the only shop';
