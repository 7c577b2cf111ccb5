-- ---------------------------------------------------------------------------
-- feedback_route: whose business a region's complaints are
-- ---------------------------------------------------------------------------

CREATE TABLE retention.feedback_route (
	shop_id integer NOT NULL,
	region text NOT NULL DEFAULT '',
	staff text NOT NULL CHECK (staff <> ''),
	PRIMARY KEY (shop_id, region)
);

SELECT pg_catalog.pg_extension_config_dump('retention.feedback_route', '');

COMMENT ON TABLE retention.feedback_route IS 'Who sees to the complaints of a region';
COMMENT ON COLUMN retention.feedback_route.shop_id IS 'The shop';
COMMENT ON COLUMN retention.feedback_route.region IS 'The region, as customers'' attribute region has it; empty for the head office, which sees to all others';
COMMENT ON COLUMN retention.feedback_route.staff IS 'The staff member';

CREATE TABLE retention.feedback_step (
	shop_id integer NOT NULL,
	customer_id text COLLATE "C" NOT NULL,
	kind text NOT NULL,
	reference text COLLATE "C" NOT NULL,
	step_no integer NOT NULL CHECK (step_no > 0),
	step text NOT NULL CHECK (step IN ('opened', 'assigned', 'answered', 'solved', 'reopened')),
	staff text,
	note text,
	happened_at timestamptz NOT NULL,
	PRIMARY KEY (shop_id, customer_id, kind, reference, step_no)
);

SELECT pg_catalog.pg_extension_config_dump('retention.feedback_step', '');

COMMENT ON TABLE retention.feedback_step IS 'What was done about a complaint or a call that is followed up';
COMMENT ON COLUMN retention.feedback_step.shop_id IS 'The shop';
COMMENT ON COLUMN retention.feedback_step.customer_id IS 'The customer';
COMMENT ON COLUMN retention.feedback_step.kind IS 'complaint or call';
COMMENT ON COLUMN retention.feedback_step.reference IS 'Its reference, as in feedback';
COMMENT ON COLUMN retention.feedback_step.step_no IS 'Number of the step, from 1';
COMMENT ON COLUMN retention.feedback_step.step IS 'opened, assigned, answered, solved or reopened';
COMMENT ON COLUMN retention.feedback_step.staff IS 'Who did it; of assigned, who it was given to';
COMMENT ON COLUMN retention.feedback_step.note IS 'What was said';
COMMENT ON COLUMN retention.feedback_step.happened_at IS 'When';

-- ---------------------------------------------------------------------------
-- open_feedback, assign_feedback, answer_feedback, solve_feedback,
-- reopen_feedback
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.end_of_shop_day(shop_id integer, at timestamptz, days integer)
	RETURNS timestamptz
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (
		SELECT timezone(s.time_zone, (timezone(s.time_zone, at)::date + days + 1)::timestamp)
		FROM retention.shop AS s
		WHERE s.shop_id = end_of_shop_day.shop_id
	);
END
$$;

COMMENT ON FUNCTION retention.end_of_shop_day(integer, timestamptz, integer) IS 'The midnight that ends the day so many days after at, by the shop''s calendar';

CREATE FUNCTION retention.note_feedback_step(feedback retention.feedback, step text, staff text, note text, at timestamptz)
	RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO retention.feedback_step (shop_id, customer_id, kind, reference, step_no, step, staff, note, happened_at)
	SELECT
		feedback.shop_id,
		feedback.customer_id,
		feedback.kind,
		feedback.reference,
		1 + count(s.step_no),
		note_feedback_step.step,
		note_feedback_step.staff,
		CASE WHEN bool_or(c.forgotten_at IS NOT NULL) THEN NULL ELSE note_feedback_step.note END,
		at
	FROM retention.customer AS c
	LEFT JOIN retention.feedback_step AS s ON s.shop_id = c.shop_id
		AND s.customer_id = c.customer_id
		AND s.kind = feedback.kind
		AND s.reference = feedback.reference
	WHERE c.shop_id = feedback.shop_id AND c.customer_id = feedback.customer_id;
END
$$;

COMMENT ON FUNCTION retention.note_feedback_step(retention.feedback, text, text, text, timestamptz) IS 'Adds a step to what was done about a piece of feedback; its row is locked by the caller';

CREATE FUNCTION retention.followed_feedback(reference text, shop text, at timestamptz)
	RETURNS retention.feedback
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	the_shop integer := retention.shop_id(shop);
	followed retention.feedback;
BEGIN
	SELECT f.* INTO followed
	FROM retention.feedback AS f
	WHERE f.feedback_source_id = 0 AND f.reference = followed_feedback.reference AND f.shop_id = the_shop AND f.state IS NOT NULL
	FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'no complaint or call "%" is followed up', coalesce(followed_feedback.reference, 'NULL')
			USING ERRCODE = 'undefined_object',
				HINT = 'open_feedback() opens one and returns its reference; view retention.feedback_cases lists them.';
	END IF;
	IF at IS NULL OR at < followed.opened_at THEN
		RAISE EXCEPTION '% "%" was opened at %, after %', followed.kind, followed.reference, followed.opened_at, coalesce(at::text, 'NULL')
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Say when it happened: at => ''...''.';
	END IF;
	RETURN followed;
END
$$;

COMMENT ON FUNCTION retention.followed_feedback(text, text, timestamptz) IS 'The complaint or call of this reference that is followed up, locked; an error when there is none, or when it was opened only after at';

CREATE FUNCTION retention.open_feedback(
	customer text,
	content text,
	kind text DEFAULT 'complaint',
	order_id text DEFAULT NULL,
	region text DEFAULT NULL,
	owner text DEFAULT NULL,
	due_at timestamptz DEFAULT NULL,
	reference text DEFAULT NULL,
	at timestamptz DEFAULT retention.now(),
	shop text DEFAULT NULL
)
	RETURNS text
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	the_shop integer := retention.shop_id(shop);
	the_reference text;
	known_before boolean;
	opened retention.feedback;
BEGIN
	IF kind IS NULL OR kind NOT IN ('complaint', 'call') THEN
		RAISE EXCEPTION 'what is followed up cannot be %', coalesce(quote_literal(kind), 'NULL')
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'It is ''complaint'' or ''call''; a bad review is followed up by opening a complaint.';
	END IF;
	IF due_at <= at THEN
		RAISE EXCEPTION 'it cannot be due at %', due_at
			USING ERRCODE = 'invalid_parameter_value',
				DETAIL = format('It comes in at %s.', at);
	END IF;
	IF EXISTS (
		SELECT
		FROM retention.feedback AS f
		WHERE f.shop_id = the_shop
			AND f.reference = open_feedback.reference
			AND f.state IS NOT NULL
			AND (f.customer_id, f.kind) <> (open_feedback.customer, open_feedback.kind)
	) THEN
		RAISE EXCEPTION 'reference "%" is that of another complaint or call', reference
			USING ERRCODE = 'unique_violation',
				HINT = 'Give each a reference of its own, or none: then one is made.';
	END IF;
	known_before := EXISTS (
		SELECT
		FROM retention.feedback AS f
		WHERE f.shop_id = the_shop
			AND f.customer_id = customer
			AND f.kind = open_feedback.kind
			AND f.feedback_source_id = 0
			AND f.reference = open_feedback.reference
	);
	the_reference := retention.record_feedback(customer, kind, content, NULL, order_id, reference,
		CASE WHEN NOT known_before THEN at END, shop);
	UPDATE retention.feedback AS f
	SET state = 'open',
		region = coalesce(open_feedback.region, known.region),
		owner = coalesce(
			open_feedback.owner,
			(
				SELECT r.staff
				FROM retention.feedback_route AS r
				WHERE r.shop_id = the_shop AND r.region IN ('', coalesce(open_feedback.region, known.region, ''))
				ORDER BY r.region = ''
				LIMIT 1
			)),
		opened_at = at,
		answer_due_at = coalesce(open_feedback.due_at, retention.end_of_shop_day(the_shop, at, s.complaint_answer_days)),
		solve_due_at = coalesce(open_feedback.due_at, retention.end_of_shop_day(the_shop, at, s.complaint_solve_days))
	FROM retention.shop AS s,
		(
			SELECT coalesce(p.fields ->> 'region', c.attributes ->> 'region') AS region
			FROM retention.customer AS c
			LEFT JOIN retention.customer_profile AS p ON p.shop_id = c.shop_id AND p.customer_id = c.customer_id
			WHERE c.shop_id = the_shop AND c.customer_id = open_feedback.customer
		) AS known
	WHERE s.shop_id = the_shop
		AND f.shop_id = the_shop
		AND f.customer_id = open_feedback.customer
		AND f.kind = open_feedback.kind
		AND f.feedback_source_id = 0
		AND f.reference = the_reference
		AND f.state IS NULL
	RETURNING f.* INTO opened;
	IF FOUND THEN
		PERFORM retention.note_feedback_step(opened, 'opened', opened.owner, NULL, at);
	END IF;
	RETURN the_reference;
END
$$;

COMMENT ON FUNCTION retention.open_feedback(text, text, text, text, text, text, timestamptz, text, timestamptz, text) IS
	'Opens a complaint, or with kind call what a call left open, to be followed up: it is to be answered and solved by the end of the days that shop.complaint_answer_days and complaint_solve_days say, in the shop''s zone, or by due_at (an appointment). Its region is the one given or the customer''s own (profile or attribute region); its owner is the one given, or whom feedback_route names for the region, else for the head office. The same reference again changes the content alone; NULL makes one. Returns the reference. A customer, or an order of theirs, that is not known is an error; shop NULL means the only shop';

CREATE FUNCTION retention.open_feedback(
	customer anynonarray,
	content text,
	kind text DEFAULT 'complaint',
	order_id text DEFAULT NULL,
	region text DEFAULT NULL,
	owner text DEFAULT NULL,
	due_at timestamptz DEFAULT NULL,
	reference text DEFAULT NULL,
	at timestamptz DEFAULT retention.now(),
	shop text DEFAULT NULL
)
	RETURNS text
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN retention.open_feedback(retention.customer_key(customer), content, kind, order_id, region, owner, due_at, reference, at, shop);
END
$$;

COMMENT ON FUNCTION retention.open_feedback(anynonarray, text, text, text, text, text, timestamptz, text, timestamptz, text) IS
	'The same for customers numbered by integer, whole numeric or uuid';

CREATE FUNCTION retention.assign_feedback(reference text, owner text, at timestamptz DEFAULT retention.now(), shop text DEFAULT NULL)
	RETURNS void
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	followed retention.feedback := retention.followed_feedback(reference, shop, at);
BEGIN
	IF coalesce(owner, '') = '' THEN
		RAISE EXCEPTION 'it must be given to somebody'
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF followed.owner IS NOT DISTINCT FROM assign_feedback.owner THEN
		RETURN;
	END IF;
	UPDATE retention.feedback AS f
	SET owner = assign_feedback.owner
	WHERE (f.shop_id, f.customer_id, f.kind, f.feedback_source_id, f.reference)
		= (followed.shop_id, followed.customer_id, followed.kind, 0, followed.reference);
	PERFORM retention.note_feedback_step(followed, 'assigned', owner, NULL, at);
END
$$;

COMMENT ON FUNCTION retention.assign_feedback(text, text, timestamptz, text) IS
	'Gives a complaint or call that is followed up to a staff member. An unknown reference is an error; shop NULL means the only shop';

CREATE FUNCTION retention.answer_feedback(
	reference text,
	note text DEFAULT NULL,
	staff text DEFAULT NULL,
	at timestamptz DEFAULT retention.now(),
	shop text DEFAULT NULL
)
	RETURNS void
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	followed retention.feedback := retention.followed_feedback(reference, shop, at);
BEGIN
	IF followed.state = 'solved' THEN
		RAISE EXCEPTION '% "%" is solved', followed.kind, followed.reference
			USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = 'reopen_feedback() opens it again.';
	END IF;
	UPDATE retention.feedback AS f
	SET state = 'answered',
		answered_at = coalesce(f.answered_at, at)
	WHERE (f.shop_id, f.customer_id, f.kind, f.feedback_source_id, f.reference)
		= (followed.shop_id, followed.customer_id, followed.kind, 0, followed.reference);
	PERFORM retention.note_feedback_step(followed, 'answered', coalesce(staff, followed.owner), note, at);
END
$$;

COMMENT ON FUNCTION retention.answer_feedback(text, text, text, timestamptz, text) IS
	'Notes that the customer was answered: note is what was said, staff who answered (NULL: the owner). The first answer counts, further ones are noted. An unknown reference, or one that is solved, is an error; shop NULL means the only shop';

CREATE FUNCTION retention.solve_feedback(
	reference text,
	outcome text DEFAULT NULL,
	staff text DEFAULT NULL,
	at timestamptz DEFAULT retention.now(),
	shop text DEFAULT NULL
)
	RETURNS void
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	followed retention.feedback := retention.followed_feedback(reference, shop, at);
BEGIN
	IF followed.state = 'solved' THEN
		RETURN;
	END IF;
	UPDATE retention.feedback AS f
	SET state = 'solved',
		answered_at = coalesce(f.answered_at, at),
		solved_at = at,
		outcome = (
			SELECT CASE WHEN c.forgotten_at IS NULL THEN solve_feedback.outcome END
			FROM retention.customer AS c
			WHERE c.shop_id = f.shop_id AND c.customer_id = f.customer_id
		)
	WHERE (f.shop_id, f.customer_id, f.kind, f.feedback_source_id, f.reference)
		= (followed.shop_id, followed.customer_id, followed.kind, 0, followed.reference);
	PERFORM retention.note_feedback_step(followed, 'solved', coalesce(staff, followed.owner), outcome, at);
END
$$;

COMMENT ON FUNCTION retention.solve_feedback(text, text, text, timestamptz, text) IS
	'Notes that a complaint or call is settled, and how: it is answered by that too. What is solved already stays as it is. An unknown reference is an error; shop NULL means the only shop';

CREATE FUNCTION retention.reopen_feedback(
	reference text,
	note text DEFAULT NULL,
	staff text DEFAULT NULL,
	at timestamptz DEFAULT retention.now(),
	shop text DEFAULT NULL
)
	RETURNS void
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	followed retention.feedback := retention.followed_feedback(reference, shop, at);
BEGIN
	IF followed.state <> 'solved' OR at < followed.solved_at THEN
		RAISE EXCEPTION '% "%" was not solved at %', followed.kind, followed.reference, at
			USING ERRCODE = 'object_not_in_prerequisite_state',
				DETAIL = CASE
					WHEN followed.state = 'solved' THEN format('It was solved at %s.', followed.solved_at)
					ELSE format('It is open since %s.', followed.opened_at)
				END;
	END IF;
	UPDATE retention.feedback AS f
	SET state = 'open',
		opened_at = at,
		answer_due_at = retention.end_of_shop_day(f.shop_id, at, s.complaint_answer_days),
		solve_due_at = retention.end_of_shop_day(f.shop_id, at, s.complaint_solve_days),
		answered_at = NULL,
		solved_at = NULL,
		outcome = NULL,
		reopened = f.reopened + 1
	FROM retention.shop AS s
	WHERE s.shop_id = f.shop_id
		AND (f.shop_id, f.customer_id, f.kind, f.feedback_source_id, f.reference)
			= (followed.shop_id, followed.customer_id, followed.kind, 0, followed.reference);
	PERFORM retention.note_feedback_step(followed, 'reopened', coalesce(staff, followed.owner), note, at);
END
$$;

COMMENT ON FUNCTION retention.reopen_feedback(text, text, text, timestamptz, text) IS
	'Opens again what was taken for solved, with its owner and with new due times counted from at. An error when it is not solved, or for an unknown reference; shop NULL means the only shop';

-- ---------------------------------------------------------------------------
-- feedback_cases, feedback_overdue, feedback_effect
-- ---------------------------------------------------------------------------

CREATE VIEW retention.feedback_cases AS
	SELECT
		shop.shop_id,
		shop.name AS shop,
		f.customer_id,
		f.kind,
		f.reference,
		f.order_id,
		f.region,
		f.owner,
		f.state,
		f.content,
		f.outcome,
		f.happened_at,
		f.opened_at,
		f.answer_due_at,
		f.answered_at,
		f.solve_due_at,
		f.solved_at,
		CASE
			WHEN f.answered_at IS NOT NULL THEN f.answered_at < f.answer_due_at
			WHEN retention.now() >= f.answer_due_at THEN false
		END AS answered_in_time,
		CASE
			WHEN f.solved_at IS NOT NULL THEN f.solved_at < f.solve_due_at
			WHEN retention.now() >= f.solve_due_at THEN false
		END AS solved_in_time,
		f.reopened
	FROM retention.feedback AS f
	JOIN retention.shop ON shop.shop_id = f.shop_id
	WHERE f.state IS NOT NULL;

COMMENT ON VIEW retention.feedback_cases IS 'Complaints and calls that are or were followed up (投诉与回访), one a row';
COMMENT ON COLUMN retention.feedback_cases.shop_id IS 'The shop';
COMMENT ON COLUMN retention.feedback_cases.shop IS 'Name of the shop (店铺)';
COMMENT ON COLUMN retention.feedback_cases.customer_id IS 'The customer (客户编号)';
COMMENT ON COLUMN retention.feedback_cases.kind IS 'complaint (投诉) or call (电话)';
COMMENT ON COLUMN retention.feedback_cases.reference IS 'Its reference, by which functions are told which one is meant';
COMMENT ON COLUMN retention.feedback_cases.order_id IS 'The order it is about (订单编号)';
COMMENT ON COLUMN retention.feedback_cases.region IS 'Region it concerns (地区)';
COMMENT ON COLUMN retention.feedback_cases.owner IS 'Staff member who has to see to it (负责人)';
COMMENT ON COLUMN retention.feedback_cases.state IS 'open (待处理), answered (已答复) or solved (已解决)';
COMMENT ON COLUMN retention.feedback_cases.content IS 'What the customer said (内容)';
COMMENT ON COLUMN retention.feedback_cases.outcome IS 'How it was solved (处理结果)';
COMMENT ON COLUMN retention.feedback_cases.happened_at IS 'When it came in (发生时间)';
COMMENT ON COLUMN retention.feedback_cases.opened_at IS 'Since when it is open: when it came in, or was last reopened';
COMMENT ON COLUMN retention.feedback_cases.answer_due_at IS 'To be answered before (答复期限)';
COMMENT ON COLUMN retention.feedback_cases.answered_at IS 'When it was answered (答复时间)';
COMMENT ON COLUMN retention.feedback_cases.solve_due_at IS 'To be solved before (解决期限)';
COMMENT ON COLUMN retention.feedback_cases.solved_at IS 'When it was solved (解决时间)';
COMMENT ON COLUMN retention.feedback_cases.answered_in_time IS 'Whether it was answered before it was due (及时答复); NULL while there is time';
COMMENT ON COLUMN retention.feedback_cases.solved_in_time IS 'Whether it was solved before it was due (及时解决); NULL while there is time';
COMMENT ON COLUMN retention.feedback_cases.reopened IS 'How many times it was reopened (重开次数)';

CREATE VIEW retention.feedback_overdue AS
	SELECT
		c.shop_id,
		c.shop,
		c.customer_id,
		c.kind,
		c.reference,
		c.order_id,
		c.region,
		c.owner,
		late.overdue,
		late.due_at,
		retention.now() - late.due_at AS overdue_by
	FROM retention.feedback_cases AS c
	CROSS JOIN LATERAL (
		SELECT
			CASE WHEN c.solve_due_at <= retention.now() THEN 'solution' ELSE 'answer' END,
			CASE WHEN c.solve_due_at <= retention.now() THEN c.solve_due_at ELSE c.answer_due_at END
	) AS late (overdue, due_at)
	WHERE (c.state = 'open' AND c.answer_due_at <= retention.now())
		OR (c.state IN ('open', 'answered') AND c.solve_due_at <= retention.now());

COMMENT ON VIEW retention.feedback_overdue IS 'Complaints and calls (超期投诉) that should have been answered or solved by now';
COMMENT ON COLUMN retention.feedback_overdue.shop_id IS 'The shop';
COMMENT ON COLUMN retention.feedback_overdue.shop IS 'Name of the shop (店铺)';
COMMENT ON COLUMN retention.feedback_overdue.customer_id IS 'The customer (客户编号)';
COMMENT ON COLUMN retention.feedback_overdue.kind IS 'complaint (投诉) or call (电话)';
COMMENT ON COLUMN retention.feedback_overdue.reference IS 'Its reference';
COMMENT ON COLUMN retention.feedback_overdue.order_id IS 'The order it is about (订单编号)';
COMMENT ON COLUMN retention.feedback_overdue.region IS 'Region it concerns (地区)';
COMMENT ON COLUMN retention.feedback_overdue.owner IS 'Staff member who has to see to it (负责人)';
COMMENT ON COLUMN retention.feedback_overdue.overdue IS 'What is late: solution (解决), or while that has time answer (答复)';
COMMENT ON COLUMN retention.feedback_overdue.due_at IS 'Before when it was due (期限)';
COMMENT ON COLUMN retention.feedback_overdue.overdue_by IS 'How long ago that was (超期时长)';

CREATE VIEW retention.feedback_effect AS
	SELECT
		c.shop_id,
		c.shop,
		c.kind,
		pg_catalog.date_trunc('month', pg_catalog.timezone(shop.time_zone, c.happened_at))::date AS month,
		pg_catalog.count(*) AS cases,
		pg_catalog.count(*) FILTER (WHERE c.answered_in_time) AS answered_in_time,
		pg_catalog.count(*) FILTER (WHERE c.state = 'solved') AS solved,
		pg_catalog.count(*) FILTER (WHERE c.solved_in_time) AS solved_in_time,
		pg_catalog.count(*) FILTER (WHERE c.reopened > 0) AS reopened,
		pg_catalog.count(DISTINCT c.customer_id) FILTER (WHERE c.state = 'solved') AS solved_customers,
		pg_catalog.count(DISTINCT c.customer_id) FILTER (WHERE c.state = 'solved' AND bought.again) AS solved_bought_again,
		pg_catalog.round(
			pg_catalog.count(DISTINCT c.customer_id) FILTER (WHERE c.state = 'solved' AND bought.again)::numeric
			/ nullif(pg_catalog.count(DISTINCT c.customer_id) FILTER (WHERE c.state = 'solved'), 0),
			4) AS solved_repurchase_rate,
		pg_catalog.count(DISTINCT c.customer_id) FILTER (WHERE c.state <> 'solved') AS unsolved_customers,
		pg_catalog.count(DISTINCT c.customer_id) FILTER (WHERE c.state <> 'solved' AND bought.again) AS unsolved_bought_again
	FROM retention.feedback_cases AS c
	JOIN retention.shop ON shop.shop_id = c.shop_id
	CROSS JOIN LATERAL (
		SELECT EXISTS (
			SELECT
			FROM retention.purchase AS p
			WHERE p.shop_id = c.shop_id
				AND p.customer_id = c.customer_id
				AND p.value IS NOT NULL
				AND p.paid_at > coalesce(c.solved_at, c.opened_at)
		)
	) AS bought (again)
	GROUP BY c.shop_id, c.shop, c.kind, pg_catalog.date_trunc('month', pg_catalog.timezone(shop.time_zone, c.happened_at));

COMMENT ON VIEW retention.feedback_effect IS 'How complaints and calls were dealt with (投诉处理), by the month in which they came in, and whether those customers bought again';
COMMENT ON COLUMN retention.feedback_effect.shop_id IS 'The shop';
COMMENT ON COLUMN retention.feedback_effect.shop IS 'Name of the shop (店铺)';
COMMENT ON COLUMN retention.feedback_effect.kind IS 'complaint (投诉) or call (电话)';
COMMENT ON COLUMN retention.feedback_effect.month IS 'First day of the month, by the shop''s calendar (月份)';
COMMENT ON COLUMN retention.feedback_effect.cases IS 'How many came in (件数)';
COMMENT ON COLUMN retention.feedback_effect.answered_in_time IS 'Those answered before they were due (及时答复)';
COMMENT ON COLUMN retention.feedback_effect.solved IS 'Those solved (已解决)';
COMMENT ON COLUMN retention.feedback_effect.solved_in_time IS 'Those solved before they were due (及时解决)';
COMMENT ON COLUMN retention.feedback_effect.reopened IS 'Those reopened at least once (重开)';
COMMENT ON COLUMN retention.feedback_effect.solved_customers IS 'Customers with a solved one (已解决客户数)';
COMMENT ON COLUMN retention.feedback_effect.solved_bought_again IS 'Those of them who paid an order after it was solved (解决后复购客户数)';
COMMENT ON COLUMN retention.feedback_effect.solved_repurchase_rate IS 'Their share (解决后复购率): solved_bought_again / solved_customers, 0 to 1; NULL when none was solved';
COMMENT ON COLUMN retention.feedback_effect.unsolved_customers IS 'Customers with one that is not solved (未解决客户数)';
COMMENT ON COLUMN retention.feedback_effect.unsolved_bought_again IS 'Those of them who paid an order since it was opened, to compare (未解决复购客户数)';
