-- ---------------------------------------------------------------------------
-- feedback: what customers say back
-- ---------------------------------------------------------------------------

CREATE TABLE retention.feedback (
	shop_id integer NOT NULL,
	customer_id text COLLATE "C" NOT NULL,
	kind text NOT NULL CHECK (kind IN ('review', 'complaint', 'call')),
	feedback_source_id integer NOT NULL DEFAULT 0,
	reference text COLLATE "C" NOT NULL,
	source_id integer,
	order_id text COLLATE "C",
	score numeric CHECK (score BETWEEN 0 AND 5),
	content text,
	happened_at timestamptz NOT NULL,
	recorded_at timestamptz NOT NULL,
	state text CHECK (state IN ('open', 'answered', 'solved')),
	region text,
	owner text,
	opened_at timestamptz,
	answer_due_at timestamptz,
	solve_due_at timestamptz,
	answered_at timestamptz,
	solved_at timestamptz,
	outcome text,
	reopened integer NOT NULL DEFAULT 0,
	CHECK (state IS NULL OR (
		kind IN ('complaint', 'call')
		AND opened_at IS NOT NULL
		AND answer_due_at IS NOT NULL
		AND solve_due_at IS NOT NULL
		AND (state = 'open' OR answered_at IS NOT NULL)
		AND (state = 'solved') = (solved_at IS NOT NULL))),
	PRIMARY KEY (shop_id, customer_id, kind, feedback_source_id, reference)
);

-- A review is found by its own id when the shop changes it, and all that is
-- new by the moment it was recorded.
CREATE INDEX feedback_reference ON retention.feedback (feedback_source_id, reference);
CREATE INDEX feedback_recorded ON retention.feedback (recorded_at);
CREATE UNIQUE INDEX feedback_followed ON retention.feedback (shop_id, reference) WHERE state IS NOT NULL;
CREATE INDEX feedback_open ON retention.feedback (shop_id, solve_due_at) WHERE state IN ('open', 'answered');

SELECT pg_catalog.pg_extension_config_dump('retention.feedback', '');

COMMENT ON TABLE retention.feedback IS 'What a customer said back: a review, a complaint or the outcome of a call';
COMMENT ON COLUMN retention.feedback.shop_id IS 'The shop';
COMMENT ON COLUMN retention.feedback.customer_id IS 'The customer';
COMMENT ON COLUMN retention.feedback.kind IS 'review, complaint or call';
COMMENT ON COLUMN retention.feedback.feedback_source_id IS 'The attached source it was read from; 0 when it was recorded by record_feedback()';
COMMENT ON COLUMN retention.feedback.reference IS 'Its id there, as text';
COMMENT ON COLUMN retention.feedback.source_id IS 'Source of the order it is about, as in purchase; NULL when it is about none';
COMMENT ON COLUMN retention.feedback.order_id IS 'The order it is about';
COMMENT ON COLUMN retention.feedback.score IS 'From 0 or 1 (worst) to 5 (best); 3 is neutral, below is bad; NULL when there is none';
COMMENT ON COLUMN retention.feedback.content IS 'The text';
COMMENT ON COLUMN retention.feedback.happened_at IS 'When the customer said it';
COMMENT ON COLUMN retention.feedback.recorded_at IS 'When it was first recorded here; later than happened_at for reviews that a backfill brought';
COMMENT ON COLUMN retention.feedback.state IS 'Of what is followed up: open, answered or solved; NULL for what was only recorded';
COMMENT ON COLUMN retention.feedback.region IS 'Region it concerns';
COMMENT ON COLUMN retention.feedback.owner IS 'Staff member who has to see to it';
COMMENT ON COLUMN retention.feedback.opened_at IS 'Since when it is open: when it came in, or was last reopened';
COMMENT ON COLUMN retention.feedback.answer_due_at IS 'To be answered before';
COMMENT ON COLUMN retention.feedback.solve_due_at IS 'To be solved before';
COMMENT ON COLUMN retention.feedback.answered_at IS 'When it was answered, since it was last opened';
COMMENT ON COLUMN retention.feedback.solved_at IS 'When it was solved; NULL while it is not';
COMMENT ON COLUMN retention.feedback.outcome IS 'How it was solved';
COMMENT ON COLUMN retention.feedback.reopened IS 'How many times it was reopened';

CREATE FUNCTION retention.record_feedback(
	customer text,
	kind text,
	content text DEFAULT NULL,
	score numeric DEFAULT NULL,
	order_id text DEFAULT NULL,
	reference text DEFAULT NULL,
	happened_at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS text
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	the_shop integer := retention.shop_id(shop);
	the_reference text := coalesce(record_feedback.reference, gen_random_uuid()::text);
	the_source integer;
	forgotten boolean;
BEGIN
	IF record_feedback.kind IS NULL OR record_feedback.kind NOT IN ('review', 'complaint', 'call') THEN
		RAISE EXCEPTION 'kind cannot be %', coalesce(quote_literal(record_feedback.kind), 'NULL')
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'It is ''review'', ''complaint'' or ''call''.';
	END IF;
	IF NOT record_feedback.score BETWEEN 0 AND 5 THEN
		RAISE EXCEPTION 'score is %: scores go from 0 to 5', record_feedback.score
			USING ERRCODE = 'numeric_value_out_of_range';
	END IF;
	SELECT c.forgotten_at IS NOT NULL INTO forgotten
	FROM retention.customer c
	WHERE c.shop_id = the_shop AND c.customer_id = record_feedback.customer;
	IF forgotten IS NULL THEN
		RAISE EXCEPTION 'customer "%" is not known', record_feedback.customer
			USING ERRCODE = 'undefined_object';
	END IF;
	IF record_feedback.order_id IS NOT NULL THEN
		SELECT p.source_id INTO the_source
		FROM retention.purchase p
		WHERE p.shop_id = the_shop
			AND p.customer_id = record_feedback.customer
			AND p.order_id = record_feedback.order_id
		ORDER BY p.source_id
		LIMIT 1;
		IF the_source IS NULL THEN
			RAISE EXCEPTION 'customer "%" has no order "%"', record_feedback.customer, record_feedback.order_id
				USING ERRCODE = 'undefined_object';
		END IF;
	END IF;

	INSERT INTO retention.feedback AS f (
		shop_id, customer_id, kind, feedback_source_id, reference,
		source_id, order_id, score, content, happened_at, recorded_at)
	VALUES (
		the_shop, record_feedback.customer, record_feedback.kind, 0, the_reference,
		the_source, record_feedback.order_id, record_feedback.score,
		CASE WHEN NOT forgotten THEN record_feedback.content END,
		coalesce(record_feedback.happened_at, retention.now()), retention.now())
	ON CONFLICT ON CONSTRAINT feedback_pkey DO UPDATE
	SET source_id = EXCLUDED.source_id,
		order_id = EXCLUDED.order_id,
		score = EXCLUDED.score,
		content = EXCLUDED.content,
		happened_at = coalesce(record_feedback.happened_at, f.happened_at);
	RETURN the_reference;
END
$$;

COMMENT ON FUNCTION retention.record_feedback(text, text, text, numeric, text, text, timestamptz, text) IS
	'Records what a customer said: kind is review, complaint or call, score goes from 0 to 5, happened_at NULL means now. The same reference again replaces what was recorded under it; NULL makes one. Returns the reference. A customer, or an order of theirs, that is not known is an error. What is to be followed up goes to open_feedback(). Of a forgotten customer no words are kept';
