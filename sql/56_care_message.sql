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
	state text NOT NULL DEFAULT 'queued'
		CHECK (state IN ('queued', 'claimed', 'sent', 'failed', 'skipped', 'cancelled')),
	reason text,
	due_at timestamptz NOT NULL,
	expires_at timestamptz NOT NULL,
	queued_at timestamptz NOT NULL,
	changed_at timestamptz NOT NULL,
	held_until timestamptz,
	attempts integer NOT NULL DEFAULT 0,
	message_id uuid,
	token uuid,
	worker text,
	assignee text,
	counted_at timestamptz,
	sent_at timestamptz,
	subject_line text,
	text text,
	segments integer,
	provider_id text COLLATE "C",
	receipt text,
	receipt_at timestamptz,
	response text,
	responded_at timestamptz,
	last_error text,
	PRIMARY KEY (shop_id, customer_id, rule, subject)
);

-- All that claiming reads: what is open, by priority and then by when it may
-- go.  A claimed message is held until its lease ends, and is due again then:
-- no sweep has to look for workers that died.
CREATE INDEX care_message_open
	ON retention.care_message (shop_id, channel, priority, (coalesce(held_until, due_at)))
	WHERE state IN ('queued', 'claimed');

-- Tokens begin with the time, so this grows at one end only.
CREATE UNIQUE INDEX care_message_token ON retention.care_message (token) WHERE token IS NOT NULL;

-- What a customer was lately sent, for the caps.
CREATE INDEX care_message_counted
	ON retention.care_message (shop_id, customer_id, counted_at)
	WHERE counted_at IS NOT NULL;

CREATE INDEX care_message_provider ON retention.care_message (provider_id) WHERE provider_id IS NOT NULL;

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
COMMENT ON COLUMN retention.care_message.state IS 'queued, claimed (a worker has it), sent, failed (given up), skipped (not to be sent, see reason) or cancelled';
COMMENT ON COLUMN retention.care_message.reason IS 'Why it was cancelled, skipped, given up or put off; care_skipped says it in full';
COMMENT ON COLUMN retention.care_message.due_at IS 'Not to be sent before';
COMMENT ON COLUMN retention.care_message.expires_at IS 'Not to be sent after';
COMMENT ON COLUMN retention.care_message.queued_at IS 'When it was queued';
COMMENT ON COLUMN retention.care_message.changed_at IS 'When its state last changed';
COMMENT ON COLUMN retention.care_message.held_until IS 'While open: not to be claimed before, because a worker has it, it failed or it was put off; NULL means from due_at';
COMMENT ON COLUMN retention.care_message.attempts IS 'How many times it was handed to a worker';
COMMENT ON COLUMN retention.care_message.message_id IS 'The same in every attempt to send it: what a provider that knows repeated requests should be given';
COMMENT ON COLUMN retention.care_message.token IS 'Proof of the last claim: only who has it may say what became of the message';
COMMENT ON COLUMN retention.care_message.worker IS 'Who claimed it last';
COMMENT ON COLUMN retention.care_message.assignee IS 'Staff member whose task it is; NULL means whoever takes it';
COMMENT ON COLUMN retention.care_message.counted_at IS 'From when it counts towards frequency caps; NULL when it does not';
COMMENT ON COLUMN retention.care_message.sent_at IS 'When it was sent';
COMMENT ON COLUMN retention.care_message.subject_line IS 'The subject line sent, of an e-mail';
COMMENT ON COLUMN retention.care_message.text IS 'The words sent, the signature included';
COMMENT ON COLUMN retention.care_message.segments IS 'How many parts an SMS is billed as; NULL for other channels';
COMMENT ON COLUMN retention.care_message.provider_id IS 'The provider''s own id, by which its receipts name the message';
COMMENT ON COLUMN retention.care_message.receipt IS 'What the provider last said of it: delivered, undelivered, ...';
COMMENT ON COLUMN retention.care_message.receipt_at IS 'When that happened';
COMMENT ON COLUMN retention.care_message.response IS 'The customer''s first response: click, reply or unsubscribe';
COMMENT ON COLUMN retention.care_message.responded_at IS 'When that was';
COMMENT ON COLUMN retention.care_message.last_error IS 'What went wrong in the last failed attempt';
