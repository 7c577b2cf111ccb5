-- ---------------------------------------------------------------------------
-- care_call: what staff did about call tasks
-- ---------------------------------------------------------------------------

-- A task is a care_message of channel call, visit or post; staff claim it with
-- claim_messages('call', worker => 'anna') and it stays theirs.
CREATE TABLE retention.care_call (
	shop_id integer NOT NULL,
	customer_id text COLLATE "C" NOT NULL,
	rule text NOT NULL,
	subject text COLLATE "C" NOT NULL,
	call_no integer NOT NULL CHECK (call_no > 0),
	staff text,
	outcome text NOT NULL CHECK (outcome IN ('reached', 'no_answer', 'call_back', 'refused', 'wrong_number')),
	note text,
	called_at timestamptz NOT NULL,
	next_call_at timestamptz,
	PRIMARY KEY (shop_id, customer_id, rule, subject, call_no)
);

SELECT pg_catalog.pg_extension_config_dump('retention.care_call', '');

COMMENT ON TABLE retention.care_call IS 'Calls and visits made for a task, with their outcome';
COMMENT ON COLUMN retention.care_call.shop_id IS 'The shop';
COMMENT ON COLUMN retention.care_call.customer_id IS 'The customer';
COMMENT ON COLUMN retention.care_call.rule IS 'The rule that called for the task';
COMMENT ON COLUMN retention.care_call.subject IS 'What the task is about';
COMMENT ON COLUMN retention.care_call.call_no IS 'Number of the call for this task, from 1';
COMMENT ON COLUMN retention.care_call.staff IS 'Who called';
COMMENT ON COLUMN retention.care_call.outcome IS 'reached, no_answer, call_back (asked to be called another time), refused (wants no calls) or wrong_number';
COMMENT ON COLUMN retention.care_call.note IS 'What was said';
COMMENT ON COLUMN retention.care_call.called_at IS 'When';
COMMENT ON COLUMN retention.care_call.next_call_at IS 'When the customer is to be called again; NULL when the task is done';

CREATE FUNCTION retention.record_call(
	token uuid,
	outcome text,
	note text DEFAULT NULL,
	next_call_at timestamptz DEFAULT NULL,
	at timestamptz DEFAULT retention.now()
)
	RETURNS text
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	task retention.care_message;
	tries integer;
	call_again timestamptz := next_call_at;
BEGIN
	IF outcome IS NULL OR outcome NOT IN ('reached', 'no_answer', 'call_back', 'refused', 'wrong_number') THEN
		RAISE EXCEPTION 'the outcome of a call cannot be %', coalesce(quote_literal(outcome), 'NULL')
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'It is reached, no_answer, call_back, refused or wrong_number.';
	END IF;
	IF next_call_at <= at OR (next_call_at IS NOT NULL AND outcome IN ('refused', 'wrong_number')) THEN
		RAISE EXCEPTION 'the next call cannot be at %', next_call_at
			USING ERRCODE = 'invalid_parameter_value',
				DETAIL = 'It must lie after this one, and there is none after a refusal or a wrong number.';
	END IF;

	-- Refusing locks the customer before the messages: so must we.
	SELECT m.* INTO task
	FROM retention.care_message m
	WHERE m.token = record_call.token;
	IF FOUND AND outcome = 'refused' THEN
		PERFORM
		FROM retention.customer_stats s
		WHERE s.shop_id = task.shop_id AND s.customer_id = task.customer_id
		FOR NO KEY UPDATE;
	END IF;
	SELECT m.* INTO task
	FROM retention.care_message m
	WHERE m.token = record_call.token AND m.state = 'claimed'
	FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RETURN 'refused';
	END IF;

	SELECT s.care_max_attempts INTO tries
	FROM retention.shop s
	WHERE s.shop_id = task.shop_id;
	IF call_again IS NULL AND (outcome = 'call_back' OR (outcome = 'no_answer' AND task.attempts < tries)) THEN
		call_again := at + interval '1 day';
	END IF;

	INSERT INTO retention.care_call (shop_id, customer_id, rule, subject, call_no, staff, outcome, note, called_at, next_call_at)
	SELECT
		task.shop_id,
		task.customer_id,
		task.rule,
		task.subject,
		1 + count(*),
		task.worker,
		record_call.outcome,
		record_call.note,
		record_call.at,
		call_again
	FROM retention.care_call c
	WHERE c.shop_id = task.shop_id
		AND c.customer_id = task.customer_id
		AND c.rule = task.rule
		AND c.subject = task.subject;

	UPDATE retention.care_message m
	SET state = CASE
			WHEN call_again IS NOT NULL THEN 'queued'
			WHEN outcome IN ('reached', 'refused') THEN 'sent'
			ELSE 'failed'
		END,
		reason = CASE
			WHEN call_again IS NOT NULL THEN 'call again'
			WHEN outcome = 'no_answer' THEN 'gave up'
			WHEN outcome = 'wrong_number' THEN 'refused for good'
		END,
		held_until = call_again,
		expires_at = greatest(m.expires_at, call_again + (m.expires_at - m.due_at)),
		token = CASE WHEN call_again IS NULL THEN m.token END,
		attempts = CASE WHEN outcome = 'no_answer' THEN m.attempts ELSE 0 END,
		sent_at = CASE WHEN outcome IN ('reached', 'call_back', 'refused') THEN record_call.at ELSE m.sent_at END,
		responded_at = CASE WHEN outcome IN ('reached', 'call_back') THEN coalesce(m.responded_at, record_call.at) ELSE m.responded_at END,
		response = CASE WHEN outcome IN ('reached', 'call_back') THEN coalesce(m.response, 'reply') ELSE m.response END,
		last_error = CASE outcome WHEN 'no_answer' THEN 'no answer' WHEN 'wrong_number' THEN 'wrong number' END,
		changed_at = record_call.at
	WHERE m.shop_id = task.shop_id
		AND m.customer_id = task.customer_id
		AND m.rule = task.rule
		AND m.subject = task.subject;

	IF outcome = 'refused' THEN
		PERFORM retention.record_consent(
			task.customer_id,
			'call',
			NULL,
			false,
			coalesce('told ' || task.worker, 'by phone'),
			record_call.at,
			(SELECT s.name FROM retention.shop s WHERE s.shop_id = task.shop_id)
		);
	END IF;
	RETURN CASE WHEN call_again IS NOT NULL THEN 'queued' WHEN outcome IN ('reached', 'refused') THEN 'sent' ELSE 'failed' END;
END
$$;

COMMENT ON FUNCTION retention.record_call(uuid, text, text, timestamptz, timestamptz) IS
	'Records how a call (or visit) for a claimed task went: reached, no_answer, call_back, refused or wrong_number, with a note and when to call next. With a next call, or after call_back or no_answer (a day later, shop.care_max_attempts times), the task waits for that time and stays with the same staff member; refused also records that the customer wants no calls. Returns queued, sent (done), failed, or refused when the token is no longer good';

CREATE FUNCTION retention.assign_task(customer text, rule text, subject text, staff text, shop text DEFAULT NULL)
	RETURNS boolean
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	UPDATE retention.care_message m
	SET assignee = staff
	WHERE m.shop_id = retention.shop_id(shop)
		AND m.customer_id = customer
		AND m.rule = assign_task.rule
		AND m.subject = assign_task.subject
		AND m.state = 'queued';
	RETURN FOUND;
END
$$;

COMMENT ON FUNCTION retention.assign_task(text, text, text, text, text) IS
	'Gives a waiting task to a staff member, who alone can claim it then; NULL gives it to whoever asks first. False when it does not wait. shop NULL means the only shop';

CREATE FUNCTION retention.assign_task(customer anynonarray, rule text, subject text, staff text, shop text DEFAULT NULL)
	RETURNS boolean
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN retention.assign_task(retention.customer_key(customer), rule, subject, staff, shop);
END
$$;

COMMENT ON FUNCTION retention.assign_task(anynonarray, text, text, text, text) IS
	'The same for customers numbered by integer, whole numeric or uuid';

-- ---------------------------------------------------------------------------
-- care_tasks, staff_followups
-- ---------------------------------------------------------------------------

CREATE VIEW retention.care_tasks AS
	SELECT
		m.shop_id,
		m.customer_id,
		m.rule,
		m.subject,
		m.channel,
		m.assignee,
		m.state = 'claimed' AS in_hand,
		m.due_at,
		coalesce(CASE WHEN m.state = 'queued' THEN m.held_until END, m.due_at) AS next_at,
		m.expires_at,
		last.called_at AS last_called_at,
		last.outcome AS last_outcome,
		last.note AS last_note
	FROM retention.care_message m
	LEFT JOIN LATERAL (
		SELECT c.called_at, c.outcome, c.note
		FROM retention.care_call c
		WHERE c.shop_id = m.shop_id
			AND c.customer_id = m.customer_id
			AND c.rule = m.rule
			AND c.subject = m.subject
		ORDER BY c.call_no DESC
		LIMIT 1
	) AS last ON true
	WHERE m.channel IN ('call', 'visit', 'post')
		AND m.state IN ('queued', 'claimed');

COMMENT ON VIEW retention.care_tasks IS 'Open tasks for people: calls, visits, letters and gifts';
COMMENT ON COLUMN retention.care_tasks.shop_id IS 'The shop';
COMMENT ON COLUMN retention.care_tasks.customer_id IS 'The customer';
COMMENT ON COLUMN retention.care_tasks.rule IS 'The rule that called for it';
COMMENT ON COLUMN retention.care_tasks.subject IS 'What it is about';
COMMENT ON COLUMN retention.care_tasks.channel IS 'call, visit or post';
COMMENT ON COLUMN retention.care_tasks.assignee IS 'Whose task it is; NULL means whoever takes it';
COMMENT ON COLUMN retention.care_tasks.in_hand IS 'Whether somebody has claimed it';
COMMENT ON COLUMN retention.care_tasks.due_at IS 'When it fell due';
COMMENT ON COLUMN retention.care_tasks.next_at IS 'When it is to be done: the next call agreed, or due_at';
COMMENT ON COLUMN retention.care_tasks.expires_at IS 'When it is no longer worth doing';
COMMENT ON COLUMN retention.care_tasks.last_called_at IS 'When the customer was last called for it';
COMMENT ON COLUMN retention.care_tasks.last_outcome IS 'How that went';
COMMENT ON COLUMN retention.care_tasks.last_note IS 'What was noted';

CREATE VIEW retention.staff_followups AS
	SELECT
		c.shop_id,
		c.staff,
		pg_catalog.date_trunc('month', c.called_at AT TIME ZONE s.time_zone)::date AS month,
		pg_catalog.count(*) AS calls,
		pg_catalog.count(DISTINCT c.customer_id) AS customers,
		pg_catalog.count(*) FILTER (WHERE c.outcome = 'reached') AS reached,
		pg_catalog.count(*) FILTER (WHERE c.outcome = 'no_answer') AS no_answer,
		pg_catalog.count(*) FILTER (WHERE c.outcome = 'call_back') AS call_back,
		pg_catalog.count(*) FILTER (WHERE c.outcome = 'refused') AS refused,
		pg_catalog.count(*) FILTER (WHERE c.outcome = 'wrong_number') AS wrong_number,
		pg_catalog.count(*) FILTER (WHERE c.note IS NOT NULL) AS with_note,
		pg_catalog.round(pg_catalog.count(*) FILTER (WHERE c.outcome = 'reached')::numeric / pg_catalog.count(*), 4) AS reach_rate
	FROM retention.care_call c
	JOIN retention.shop s ON s.shop_id = c.shop_id
	GROUP BY c.shop_id, c.staff, pg_catalog.date_trunc('month', c.called_at AT TIME ZONE s.time_zone);

COMMENT ON VIEW retention.staff_followups IS 'Calls and visits made by each staff member, by month of the shop''s calendar';
COMMENT ON COLUMN retention.staff_followups.shop_id IS 'The shop';
COMMENT ON COLUMN retention.staff_followups.staff IS 'The staff member, as named when the task was claimed';
COMMENT ON COLUMN retention.staff_followups.month IS 'First day of the month';
COMMENT ON COLUMN retention.staff_followups.calls IS 'Calls made';
COMMENT ON COLUMN retention.staff_followups.customers IS 'Customers called';
COMMENT ON COLUMN retention.staff_followups.reached IS 'Calls that reached the customer';
COMMENT ON COLUMN retention.staff_followups.no_answer IS 'Calls nobody answered';
COMMENT ON COLUMN retention.staff_followups.call_back IS 'Calls where the customer asked to be called another time';
COMMENT ON COLUMN retention.staff_followups.refused IS 'Calls where the customer asked for no more calls';
COMMENT ON COLUMN retention.staff_followups.wrong_number IS 'Calls to a wrong number';
COMMENT ON COLUMN retention.staff_followups.with_note IS 'Calls that left a note';
COMMENT ON COLUMN retention.staff_followups.reach_rate IS 'Reached / calls';
