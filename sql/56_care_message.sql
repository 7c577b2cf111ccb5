-- ---------------------------------------------------------------------------
-- care_message: one message and its life
-- ---------------------------------------------------------------------------

CREATE TABLE retention.care_message (
	shop_id integer NOT NULL,
	customer_id text COLLATE "C" NOT NULL,
	rule text NOT NULL,
	subject text COLLATE "C" NOT NULL,
	source_id integer,
	order_id text COLLATE "C",
	channel text NOT NULL,
	purpose text NOT NULL,
	priority integer NOT NULL,
	state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'cancelled')),
	reason text,
	due_at timestamptz NOT NULL,
	expires_at timestamptz NOT NULL,
	queued_at timestamptz NOT NULL,
	changed_at timestamptz NOT NULL,
	PRIMARY KEY (shop_id, customer_id, rule, subject)
);

CREATE INDEX care_message_due ON retention.care_message (channel, due_at) WHERE state = 'queued';

SELECT pg_catalog.pg_extension_config_dump('retention.care_message', '');

COMMENT ON TABLE retention.care_message IS 'One message and its life: at most one for each rule and subject';
COMMENT ON COLUMN retention.care_message.shop_id IS 'The shop';
COMMENT ON COLUMN retention.care_message.customer_id IS 'The customer it is for';
COMMENT ON COLUMN retention.care_message.rule IS 'The rule that called for it';
COMMENT ON COLUMN retention.care_message.subject IS 'What it is about: order:SOURCE:ORDER for an order';
COMMENT ON COLUMN retention.care_message.source_id IS 'Source of the order it is about';
COMMENT ON COLUMN retention.care_message.order_id IS 'The order it is about';
COMMENT ON COLUMN retention.care_message.channel IS 'Channel it goes by';
COMMENT ON COLUMN retention.care_message.purpose IS 'transactional, care or marketing';
COMMENT ON COLUMN retention.care_message.priority IS 'Where several wait, the higher goes first';
COMMENT ON COLUMN retention.care_message.state IS 'queued or cancelled';
COMMENT ON COLUMN retention.care_message.reason IS 'Why it was cancelled';
COMMENT ON COLUMN retention.care_message.due_at IS 'Not to be sent before';
COMMENT ON COLUMN retention.care_message.expires_at IS 'Not to be sent after';
COMMENT ON COLUMN retention.care_message.queued_at IS 'When it was queued';
COMMENT ON COLUMN retention.care_message.changed_at IS 'When its state last changed';
