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
	PRIMARY KEY (shop_id, customer_id, kind, feedback_source_id, reference)
);

-- A review is found by its own id when the shop changes it, and all that is
-- new by the moment it was recorded.
CREATE INDEX feedback_reference ON retention.feedback (feedback_source_id, reference);
CREATE INDEX feedback_recorded ON retention.feedback (recorded_at);

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
COMMENT ON COLUMN retention.feedback.recorded_at IS 'When it was first recorded here; what was there before the reviews were attached bears the moment of attaching';
