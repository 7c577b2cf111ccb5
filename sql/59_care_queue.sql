-- ---------------------------------------------------------------------------
-- Claiming messages and saying what became of them
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.claim_messages(
	channel text,
	max integer DEFAULT 100,
	lease interval DEFAULT '5 minutes',
	worker text DEFAULT NULL,
	at timestamptz DEFAULT retention.now(),
	shop text DEFAULT NULL,
	OUT token uuid,
	OUT message_id uuid,
	OUT shop_name text,
	OUT customer_id text,
	OUT rule text,
	OUT subject text,
	OUT purpose text,
	OUT recipient text,
	OUT text text,
	OUT segments integer,
	OUT due_at timestamptz,
	OUT expires_at timestamptz,
	OUT attempt integer,
	OUT source_id integer,
	OUT order_id text
)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'claim_messages'
	LANGUAGE C;

COMMENT ON FUNCTION retention.claim_messages(text, integer, interval, text, timestamptz, text) IS
	'Hands out at most max messages of a channel that are due, the highest priority first, and to nobody else before the lease ends. Rule, order, consent, suppression, quiet hours and frequency caps are checked at that moment: what may not go yet is put off, what may not go at all is skipped, both with a reason (see care_skipped). recipient is the phone number, e-mail address or what the channel needs, NULL where the customer''s profile is not attached; message_id stays the same over attempts, token is for this one. at takes the place of now. shop NULL means all shops. Never waits for messages that others have in hand';

CREATE FUNCTION retention.mark_sent(token uuid, provider_id text DEFAULT NULL, at timestamptz DEFAULT retention.now())
	RETURNS text
	AS 'MODULE_PATHNAME', 'mark_sent'
	LANGUAGE C;

COMMENT ON FUNCTION retention.mark_sent(uuid, text, timestamptz) IS
	'Records that a claimed message was sent, with the provider''s own id for it. Returns sent; cancelled when it had been taken back while the worker had it (recorded as sent nevertheless, for it was); or refused when the token is no longer good, because the lease ended and the message went to somebody else: then nothing is recorded. Saying it twice is the same as saying it once';

CREATE FUNCTION retention.mark_failed(token uuid, error text, permanent boolean DEFAULT false, at timestamptz DEFAULT retention.now())
	RETURNS text
	AS 'MODULE_PATHNAME', 'mark_failed'
	LANGUAGE C;

COMMENT ON FUNCTION retention.mark_failed(uuid, text, boolean, timestamptz) IS
	'Records that a claimed message could not be sent. Returns queued when it will be tried again, after 30 seconds that double with each attempt up to an hour, give or take half; failed when it is given up, because permanent is true or it was tried shop.care_max_attempts times (requeue_dead() brings it back); cancelled when it had been taken back meanwhile; refused when the token is no longer good';

CREATE FUNCTION retention.extend_lease(token uuid, lease interval DEFAULT '5 minutes', at timestamptz DEFAULT retention.now())
	RETURNS boolean
	AS 'MODULE_PATHNAME', 'extend_lease'
	LANGUAGE C;

COMMENT ON FUNCTION retention.extend_lease(uuid, interval, timestamptz) IS
	'Keeps a claimed message for that long from the moment at. False when it must not be sent any more: it was taken back, or its token is no longer good. Worth asking right before sending';

CREATE FUNCTION retention.release_message(token uuid)
	RETURNS boolean
	AS 'MODULE_PATHNAME', 'release_message'
	LANGUAGE C;

COMMENT ON FUNCTION retention.release_message(uuid) IS
	'Gives a claimed message back untried; the attempt does not count. False when the token is no longer good';
