-- ---------------------------------------------------------------------------
-- Starting, pausing, stopping
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.set_campaign_state(the_campaign retention.campaign, state text, at timestamptz)
	RETURNS void
	LANGUAGE sql
	SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	UPDATE retention.campaign c
	SET state = set_campaign_state.state,
		changed_at = set_campaign_state.at,
		-- A late run does not make it longer.
		stopped_at = CASE
			WHEN set_campaign_state.state IN ('stopped', 'ended') THEN least(set_campaign_state.at, c.ends_at)
		END
	WHERE c.shop_id = (the_campaign).shop_id AND c.name = (the_campaign).name;
END;

COMMENT ON FUNCTION retention.set_campaign_state(retention.campaign, text, timestamptz) IS 'Puts a campaign into another state';

CREATE FUNCTION retention.resume_campaign(campaign text, shop text DEFAULT NULL, at timestamptz DEFAULT retention.now())
	RETURNS void
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_campaign retention.campaign := retention.the_campaign(campaign, retention.shop_id(shop), lock => true);
BEGIN
	IF the_campaign.state = 'running' THEN
		RETURN;
	ELSIF the_campaign.state <> 'paused' THEN
		RAISE EXCEPTION 'campaign "%" is not paused', the_campaign.name
			USING ERRCODE = 'object_not_in_prerequisite_state',
				DETAIL = format('It is %s.', CASE the_campaign.state WHEN 'draft' THEN 'a draft' ELSE the_campaign.state END);
	END IF;
	PERFORM retention.set_campaign_state(the_campaign, 'running', at);
	UPDATE retention.care_message m
	SET held_until = NULL,
		reason = NULL,
		changed_at = resume_campaign.at
	FROM retention.campaign_step t
	WHERE t.shop_id = the_campaign.shop_id
		AND t.campaign = the_campaign.name
		AND m.shop_id = t.shop_id
		AND m.rule = t.rule
		AND m.state = 'queued'
		AND m.reason = 'the campaign is paused';
	PERFORM retention.campaign_due(at);
END
$$;

COMMENT ON FUNCTION retention.resume_campaign(text, text, timestamptz) IS
	'Lets a paused campaign go on: what is still worth sending is due again. A running one stays as it is, any other is an error. shop NULL means the only shop';

CREATE FUNCTION retention.start_campaign(campaign text, shop text DEFAULT NULL, at timestamptz DEFAULT retention.now())
	RETURNS bigint
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	the_campaign retention.campaign := retention.the_campaign(campaign, the_shop, lock => true);
	enrolled bigint;
BEGIN
	IF the_campaign.state = 'paused' THEN
		PERFORM retention.resume_campaign(the_campaign.name, shop, at);
	ELSIF the_campaign.state IN ('stopped', 'ended') THEN
		RAISE EXCEPTION 'campaign "%" is over', the_campaign.name
			USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = 'Make a new campaign: its arms are then drawn anew.';
	ELSIF the_campaign.state = 'draft' THEN
		the_campaign.starts_at := greatest(the_campaign.starts_at, at);
		IF the_campaign.ends_at <= the_campaign.starts_at THEN
			RAISE EXCEPTION 'campaign "%" would end before it starts', the_campaign.name
				USING ERRCODE = 'object_not_in_prerequisite_state',
					DETAIL = format('It ends at %s.', the_campaign.ends_at);
		END IF;
		PERFORM retention.check_campaign(the_campaign);

		INSERT INTO retention.campaign_member (shop_id, campaign, customer_id, arm, enrolled_at)
		SELECT c.shop_id, the_campaign.name, c.customer_id, c.arm, start_campaign.at
		FROM retention.campaign_customers(the_campaign, at) AS c;
		GET DIAGNOSTICS enrolled = ROW_COUNT;
		IF enrolled = 0 THEN
			RAISE EXCEPTION 'there is nobody in audience "%"', the_campaign.audience
				USING ERRCODE = 'object_not_in_prerequisite_state';
		END IF;

		UPDATE retention.campaign c
		SET starts_at = the_campaign.starts_at
		WHERE c.shop_id = the_shop AND c.name = the_campaign.name;
		PERFORM retention.issue_offer_codes(the_campaign, at);
		PERFORM retention.set_campaign_state(the_campaign, 'running', at);
		PERFORM retention.campaign_due(at);
	END IF;
	RETURN (
		SELECT count(*)
		FROM retention.campaign_member m
		WHERE m.shop_id = the_shop AND m.campaign = the_campaign.name);
END
$$;

COMMENT ON FUNCTION retention.start_campaign(text, text, timestamptz) IS
	'Starts a campaign: its audience of that moment become its members, each in an arm, offer codes are issued, and the first messages are queued. Returns the number of members. A paused campaign goes on, a running one stays as it is; one that is over, has no steps, or whose audience is empty is an error. shop NULL means the only shop';

CREATE FUNCTION retention.pause_campaign(campaign text, shop text DEFAULT NULL, at timestamptz DEFAULT retention.now())
	RETURNS void
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_campaign retention.campaign := retention.the_campaign(campaign, retention.shop_id(shop), lock => true);
BEGIN
	IF the_campaign.state = 'paused' THEN
		RETURN;
	ELSIF the_campaign.state <> 'running' THEN
		RAISE EXCEPTION 'campaign "%" is not running', the_campaign.name
			USING ERRCODE = 'object_not_in_prerequisite_state',
				DETAIL = format('It is %s.', CASE the_campaign.state WHEN 'draft' THEN 'a draft' ELSE the_campaign.state END);
	END IF;
	PERFORM retention.set_campaign_state(the_campaign, 'paused', at);
	-- A claim would put them off one by one.
	UPDATE retention.care_message m
	SET held_until = m.expires_at,
		reason = 'the campaign is paused',
		changed_at = pause_campaign.at
	FROM retention.campaign_step t
	WHERE t.shop_id = the_campaign.shop_id
		AND t.campaign = the_campaign.name
		AND m.shop_id = t.shop_id
		AND m.rule = t.rule
		AND m.state = 'queued';
END
$$;

COMMENT ON FUNCTION retention.pause_campaign(text, text, timestamptz) IS
	'Pauses a running campaign: nothing of it is queued or handed out until resume_campaign(); what a worker has in hand already is not taken back. A paused one stays as it is, any other is an error. shop NULL means the only shop';

CREATE FUNCTION retention.end_campaign(the_campaign retention.campaign, state text, reason text, at timestamptz)
	RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	PERFORM retention.set_campaign_state(the_campaign, end_campaign.state, at);
	UPDATE retention.care_message m
	SET state = 'cancelled',
		reason = end_campaign.reason,
		held_until = NULL,
		changed_at = end_campaign.at
	FROM retention.campaign_step t
	WHERE t.shop_id = the_campaign.shop_id
		AND t.campaign = the_campaign.name
		AND m.shop_id = t.shop_id
		AND m.rule = t.rule
		AND m.state IN ('queued', 'claimed');
END
$$;

COMMENT ON FUNCTION retention.end_campaign(retention.campaign, text, text, timestamptz) IS 'Puts an end to a campaign and cancels what is queued for it';

CREATE FUNCTION retention.stop_campaign(campaign text, shop text DEFAULT NULL, at timestamptz DEFAULT retention.now())
	RETURNS void
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	the_campaign retention.campaign := retention.the_campaign(campaign, retention.shop_id(shop), lock => true);
BEGIN
	IF the_campaign.state IN ('stopped', 'ended') THEN
		RETURN;
	ELSIF the_campaign.state = 'draft' THEN
		RAISE EXCEPTION 'campaign "%" has not been started', the_campaign.name
			USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = 'delete_campaign() removes a draft.';
	END IF;
	PERFORM retention.end_campaign(the_campaign, 'stopped', 'the campaign was stopped', at);
END
$$;

COMMENT ON FUNCTION retention.stop_campaign(text, text, timestamptz) IS
	'Stops a campaign for good: what is queued for it or in a worker''s hand is cancelled; offer codes stay good as long as they were to be. One that is over stays as it is, a draft is an error. shop NULL means the only shop';

CREATE FUNCTION retention.delete_campaign(campaign text, shop text DEFAULT NULL)
	RETURNS void
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	the_campaign retention.campaign := retention.the_campaign(campaign, retention.shop_id(shop), lock => true);
BEGIN
	IF the_campaign.state IN ('running', 'paused') THEN
		RAISE EXCEPTION 'campaign "%" is %', the_campaign.name, the_campaign.state
			USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = format('Stop it first: SELECT retention.stop_campaign(%L).', the_campaign.name);
	END IF;
	DELETE FROM retention.offer_code o
	WHERE o.shop_id = the_campaign.shop_id AND o.campaign = the_campaign.name;
	DELETE FROM retention.campaign_offer o
	WHERE o.shop_id = the_campaign.shop_id AND o.campaign = the_campaign.name;
	DELETE FROM retention.campaign_member m
	WHERE m.shop_id = the_campaign.shop_id AND m.campaign = the_campaign.name;
	DELETE FROM retention.campaign_step t
	WHERE t.shop_id = the_campaign.shop_id AND t.campaign = the_campaign.name;
	DELETE FROM retention.campaign c
	WHERE c.shop_id = the_campaign.shop_id AND c.name = the_campaign.name;
END
$$;

COMMENT ON FUNCTION retention.delete_campaign(text, text) IS
	'Removes a campaign that is a draft or over, with its members, offer codes and effect; its messages stay until purge_messages(). shop NULL means the only shop';

-- ---------------------------------------------------------------------------
-- Whom it concerns, and queueing what falls due
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.campaign_customers(the_campaign retention.campaign, at timestamptz)
	RETURNS TABLE (shop_id integer, customer_id text, arm text)
	LANGUAGE plpgsql
	STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	IF the_campaign.state = 'draft' THEN
		RETURN QUERY
		SELECT
			the_campaign.shop_id,
			a.customer_id,
			retention.campaign_arm(the_campaign.name, the_campaign.shop_id, a.customer_id, the_campaign.holdout)
		FROM (
			SELECT DISTINCT u.customer_id COLLATE "C" AS customer_id
			FROM retention.audience_customers(
				the_campaign.audience,
				(SELECT s.name FROM retention.shop s WHERE s.shop_id = the_campaign.shop_id),
				campaign_customers.at
			) AS u
		) AS a;
	ELSE
		RETURN QUERY
		SELECT m.shop_id, m.customer_id::text, m.arm
		FROM retention.campaign_member m
		WHERE m.shop_id = the_campaign.shop_id AND m.campaign = the_campaign.name;
	END IF;
END
$$;

COMMENT ON FUNCTION retention.campaign_customers(retention.campaign, timestamptz) IS 'The members of a campaign and their arms; of a draft those who would be members if it were started';

CREATE FUNCTION retention.check_campaign(the_campaign retention.campaign)
	RETURNS void
	LANGUAGE plpgsql
	STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	the_step record;
BEGIN
	IF NOT EXISTS (
		SELECT
		FROM retention.campaign_step t
		WHERE t.shop_id = the_campaign.shop_id AND t.campaign = the_campaign.name
	) THEN
		RAISE EXCEPTION 'campaign "%" has no steps', the_campaign.name
			USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = format('Add one: SELECT retention.add_campaign_step(%L, text => ...).', the_campaign.name);
	END IF;
	FOR the_step IN
		SELECT
			t.step,
			t.template,
			r.text,
			r.subject_line,
			retention.campaign_step_due(the_campaign.starts_at, t.delay, s.time_zone) AS due_at
		FROM retention.campaign_step t
		JOIN retention.shop s ON s.shop_id = t.shop_id
		CROSS JOIN LATERAL retention.rule_template(t.shop_id, t.rule) AS r
		WHERE t.shop_id = the_campaign.shop_id AND t.campaign = the_campaign.name
		ORDER BY t.step
	LOOP
		IF the_step.text IS NULL THEN
			RAISE EXCEPTION 'template "%" of step % does not exist', the_step.template, the_step.step
				USING ERRCODE = 'undefined_object';
		END IF;
		IF the_step.due_at >= the_campaign.ends_at THEN
			RAISE EXCEPTION 'step % would fall due (%) after the campaign ends (%)',
				the_step.step, the_step.due_at, the_campaign.ends_at
				USING ERRCODE = 'object_not_in_prerequisite_state';
		END IF;
		IF 'offer_code' = ANY (retention.template_placeholders(concat(the_step.text, the_step.subject_line)))
			AND NOT EXISTS (
				SELECT
				FROM retention.campaign_offer o
				WHERE o.shop_id = the_campaign.shop_id AND o.campaign = the_campaign.name
			)
		THEN
			RAISE EXCEPTION 'step % names {{offer_code}}, and campaign "%" has no offer', the_step.step, the_campaign.name
				USING ERRCODE = 'object_not_in_prerequisite_state',
					HINT = format('Say what is offered: SELECT retention.set_campaign_offer(%L, ...).', the_campaign.name);
		END IF;
	END LOOP;
END
$$;

COMMENT ON FUNCTION retention.check_campaign(retention.campaign) IS 'An error when a campaign cannot be started: it has no steps, or texts that could not be written';

CREATE FUNCTION retention.campaign_due(at timestamptz)
	RETURNS bigint
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_campaign record;
	the_step record;
	queued bigint;
	total bigint := 0;
BEGIN
	-- Locked in one order by all who queue: the second of two runs at once waits
	-- here and finds the steps queued, or the campaign paused or stopped.
	FOR the_campaign IN
		SELECT c AS campaign, c.shop_id, c.name, c.starts_at, c.ends_at, s.time_zone
		FROM retention.campaign c
		JOIN retention.shop s ON s.shop_id = c.shop_id
		WHERE (c.state = 'running'
				AND EXISTS (
					SELECT
					FROM retention.campaign_step t
					WHERE t.shop_id = c.shop_id
						AND t.campaign = c.name
						AND t.queued_at IS NULL
						AND retention.campaign_step_due(c.starts_at, t.delay, s.time_zone) <= campaign_due.at + interval '1 day'
				))
			OR (c.state IN ('running', 'paused') AND c.ends_at <= campaign_due.at)
		ORDER BY c.shop_id, c.name
		FOR NO KEY UPDATE OF c
	LOOP
		IF the_campaign.ends_at <= at THEN
			PERFORM retention.end_campaign(the_campaign.campaign, 'ended', 'the campaign has ended', at);
			CONTINUE;
		END IF;

		FOR the_step IN
			UPDATE retention.campaign_step t
			SET queued_at = campaign_due.at
			WHERE t.shop_id = the_campaign.shop_id
				AND t.campaign = the_campaign.name
				AND t.queued_at IS NULL
				AND retention.campaign_step_due(the_campaign.starts_at, t.delay, the_campaign.time_zone)
					<= campaign_due.at + interval '1 day'
			RETURNING t.*, retention.campaign_step_due(the_campaign.starts_at, t.delay, the_campaign.time_zone) AS due_at
		LOOP
			INSERT INTO retention.care_message (
				shop_id, customer_id, rule, subject, channel, purpose, priority,
				state, due_at, expires_at, queued_at, changed_at
			)
			SELECT
				m.shop_id,
				m.customer_id,
				the_step.rule,
				retention.campaign_subject(m.campaign),
				the_step.channel,
				the_step.purpose,
				the_step.priority,
				'queued',
				the_step.due_at,
				least(the_step.due_at + the_step.validity, the_campaign.ends_at),
				campaign_due.at,
				campaign_due.at
			FROM retention.campaign_member m
			WHERE m.shop_id = the_campaign.shop_id
				AND m.campaign = the_campaign.name
				AND m.arm = 'treated'
				-- After days of no run, or of pause, nobody hears of the past.
				AND the_step.due_at + the_step.validity > campaign_due.at
				AND NOT EXISTS (
					SELECT
					FROM retention.customer c
					WHERE c.shop_id = m.shop_id AND c.customer_id = m.customer_id AND c.forgotten_at IS NOT NULL
				)
			ORDER BY m.customer_id
			ON CONFLICT DO NOTHING;
			GET DIAGNOSTICS queued = ROW_COUNT;
			total := total + queued;
		END LOOP;
	END LOOP;
	RETURN total;
END
$$;

COMMENT ON FUNCTION retention.campaign_due(timestamptz) IS
	'Queues the messages of running campaigns'' steps that fall due by a day from then, each step once; returns how many. Run again, or by two sessions at once, it adds nothing. A campaign past its end is ended';
