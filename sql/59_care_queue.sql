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
	OUT subject_line text,
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
	'Hands out at most max messages of a channel that are due, the highest priority first, and to nobody else before the lease ends. Rule, its condition, order, consent, suppression, quiet hours and frequency caps are checked at that moment: what may not go yet is put off, what may not go at all is skipped, both with a reason (see care_skipped). recipient is the phone number, e-mail address or what the channel needs, NULL where the customer''s profile is not attached; subject_line is for e-mails, NULL where the template has none; message_id stays the same over attempts, token is for this one. at takes the place of now. shop NULL means all shops. Never waits for messages that others have in hand; a payment that cancels one of those claimed waits for the end of the claim''s transaction, so let it have one of its own';

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

CREATE FUNCTION retention.mark_messages(
	tokens uuid[],
	provider_ids text[] DEFAULT NULL,
	errors text[] DEFAULT NULL,
	permanent boolean[] DEFAULT NULL,
	at timestamptz DEFAULT retention.now(),
	OUT token uuid,
	OUT outcome text
)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'mark_messages'
	LANGUAGE C;

COMMENT ON FUNCTION retention.mark_messages(uuid[], text[], text[], boolean[], timestamptz) IS
	'Records in one call what became of a batch: a message with an error has failed, for good where permanent is true, as by mark_failed(); the others were sent, as by mark_sent(). The arrays go with tokens, element by element; NULL in place of one means NULL for all. Returns each token, in that order, with its outcome: sent, queued (will be tried again), failed, cancelled or refused; one that is refused or cancelled keeps back none of the others. Of a token given twice the first counts. A NULL token, or arrays of another length, are an error';

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

-- ---------------------------------------------------------------------------
-- Cancelling, and bringing back
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.cancel_message(
	customer text,
	rule text,
	subject text,
	reason text DEFAULT 'cancelled by hand',
	shop text DEFAULT NULL
)
	RETURNS boolean
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	UPDATE retention.care_message m
	SET state = 'cancelled',
		reason = coalesce(cancel_message.reason, 'cancelled by hand'),
		held_until = NULL,
		changed_at = retention.now()
	WHERE m.shop_id = retention.shop_id(shop)
		AND m.customer_id = customer
		AND m.rule = cancel_message.rule
		AND m.subject = cancel_message.subject
		AND m.state IN ('queued', 'claimed');
	RETURN FOUND;
END
$$;

COMMENT ON FUNCTION retention.cancel_message(text, text, text, text, text) IS
	'Takes back a message that waits, or that a worker has in hand: mark_sent() then tells the worker so. False when there is no such message or it has gone. shop NULL means the only shop';

CREATE FUNCTION retention.cancel_message(
	customer anynonarray,
	rule text,
	subject text,
	reason text DEFAULT 'cancelled by hand',
	shop text DEFAULT NULL
)
	RETURNS boolean
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN retention.cancel_message(retention.customer_key(customer), rule, subject, reason, shop);
END
$$;

COMMENT ON FUNCTION retention.cancel_message(anynonarray, text, text, text, text) IS
	'The same for customers numbered by integer, whole numeric or uuid';

CREATE FUNCTION retention.requeue_dead(
	rule text DEFAULT NULL,
	failed_since timestamptz DEFAULT '-infinity',
	at timestamptz DEFAULT retention.now(),
	shop text DEFAULT NULL
)
	RETURNS bigint
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	requeued bigint;
BEGIN
	UPDATE retention.care_message m
	SET state = 'queued',
		reason = NULL,
		attempts = 0,
		held_until = requeue_dead.at,
		expires_at = requeue_dead.at + (m.expires_at - m.due_at),
		changed_at = requeue_dead.at
	WHERE m.shop_id = retention.shop_id(shop)
		AND m.state = 'failed'
		AND (requeue_dead.rule IS NULL OR m.rule = requeue_dead.rule)
		AND m.changed_at >= failed_since;
	GET DIAGNOSTICS requeued = ROW_COUNT;
	RETURN requeued;
END
$$;

COMMENT ON FUNCTION retention.requeue_dead(text, timestamptz, timestamptz, text) IS
	'Queues again the messages that were given up, of one rule or all, since a moment or ever, as valid from now on as they once were from when they fell due; returns how many. Everything is checked again when they are claimed. shop NULL means the only shop';

CREATE FUNCTION retention.expire_messages(at timestamptz DEFAULT retention.now())
	RETURNS bigint
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	expired bigint;
BEGIN
	UPDATE retention.care_message m
	SET state = 'skipped',
		reason = CASE m.reason
			WHEN 'quiet hours' THEN 'expired in quiet hours'
			WHEN 'frequency cap' THEN 'expired under a frequency cap'
			WHEN 'failed, will be tried again' THEN 'expired after a failure'
			WHEN 'broken condition' THEN 'expired with a broken condition'
			WHEN 'the campaign is paused' THEN 'expired while the campaign was paused'
			ELSE 'expired'
		END,
		held_until = NULL,
		counted_at = NULL,
		changed_at = expire_messages.at
	FROM (
		SELECT o.ctid
		FROM retention.care_message o
		WHERE o.state IN ('queued', 'claimed')
			AND o.expires_at <= expire_messages.at
			AND coalesce(o.held_until, o.due_at) <= expire_messages.at
		FOR NO KEY UPDATE SKIP LOCKED
	) AS open
	WHERE m.ctid = open.ctid;
	GET DIAGNOSTICS expired = ROW_COUNT;
	RETURN expired;
END
$$;

COMMENT ON FUNCTION retention.expire_messages(timestamptz) IS
	'Skips what is past its validity and nobody has in hand, also in channels that no worker asks for; returns how many. Claiming does the same for what it comes across';

-- ---------------------------------------------------------------------------
-- What providers and customers say afterwards
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.record_receipt(provider_id text, status text, at timestamptz DEFAULT retention.now())
	RETURNS boolean
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	-- Receipts come late, twice and in any order: the latest event stands.
	UPDATE retention.care_message m
	SET receipt = record_receipt.status,
		receipt_at = record_receipt.at
	WHERE m.provider_id = record_receipt.provider_id
		AND (m.receipt_at IS NULL OR m.receipt_at < record_receipt.at);
	RETURN FOUND OR EXISTS (
		SELECT
		FROM retention.care_message m
		WHERE m.provider_id = record_receipt.provider_id
	);
END
$$;

COMMENT ON FUNCTION retention.record_receipt(text, text, timestamptz) IS
	'Records what the provider says became of a message it knows by provider_id: delivered, undelivered, or its own word. May be repeated and come out of order. False when no message has that id, as when the receipt is faster than mark_sent(): let the provider try again';

CREATE FUNCTION retention.answer_message(message retention.care_message, kind text, at timestamptz)
	RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	refused text;
BEGIN
	IF kind IS NULL OR kind NOT IN ('click', 'reply', 'unsubscribe') THEN
		RAISE EXCEPTION 'a response cannot be %', coalesce(quote_literal(kind), 'NULL')
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'It is ''click'', ''reply'' or ''unsubscribe''.';
	END IF;

	UPDATE retention.care_message m
	SET response = kind,
		responded_at = at
	WHERE m.shop_id = message.shop_id
		AND m.customer_id = message.customer_id
		AND m.rule = message.rule
		AND m.subject = message.subject
		AND (m.responded_at IS NULL OR m.responded_at > at);

	-- Who refuses an order's messages wants none at all; who refuses care wants no marketing.
	IF kind = 'unsubscribe' THEN
		FOREACH refused IN ARRAY CASE message.purpose
			WHEN 'marketing' THEN ARRAY['marketing']
			WHEN 'care' THEN ARRAY['care', 'marketing']
			ELSE ARRAY['care', 'marketing', 'transactional']
		END
		LOOP
			PERFORM retention.record_consent(
				message.customer_id,
				message.channel,
				refused,
				false,
				format('unsubscribed from %s (%s)', message.rule, message.subject),
				at,
				(SELECT s.name FROM retention.shop s WHERE s.shop_id = message.shop_id)
			);
		END LOOP;
	END IF;
END
$$;

COMMENT ON FUNCTION retention.answer_message(retention.care_message, text, timestamptz) IS
	'Records a customer''s response to a message; see record_response()';

CREATE FUNCTION retention.record_response(token uuid, kind text, at timestamptz DEFAULT retention.now())
	RETURNS boolean
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	message retention.care_message;
BEGIN
	SELECT m.* INTO message
	FROM retention.care_message m
	WHERE m.token = record_response.token;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	PERFORM retention.answer_message(message, kind, record_response.at);
	RETURN true;
END
$$;

COMMENT ON FUNCTION retention.record_response(uuid, text, timestamptz) IS
	'Records that a customer clicked, replied or unsubscribed, to the message with that token; the first response is kept. unsubscribe also refuses the channel for the message''s purpose and for what is less than it, and takes effect at once. May be repeated. False when there is no such message';

CREATE FUNCTION retention.record_response(provider_id text, kind text, at timestamptz DEFAULT retention.now())
	RETURNS boolean
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	message retention.care_message;
BEGIN
	SELECT m.* INTO message
	FROM retention.care_message m
	WHERE m.provider_id = record_response.provider_id
	ORDER BY m.sent_at DESC
	LIMIT 1;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	PERFORM retention.answer_message(message, kind, record_response.at);
	RETURN true;
END
$$;

COMMENT ON FUNCTION retention.record_response(text, text, timestamptz) IS
	'The same for the message that the provider knows by this id';

-- ---------------------------------------------------------------------------
-- Waking workers
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.notify_workers(at timestamptz DEFAULT retention.now())
	RETURNS void
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	the_channel text;
	due bigint;
BEGIN
	FOREACH the_channel IN ARRAY '{sms,email,wechat,call,post,visit,shop}'::text[] LOOP
		-- Workers need to know that there is something, not how much of very much.
		SELECT count(*) INTO due
		FROM (
			SELECT
			FROM retention.shop s
			JOIN retention.care_message m ON m.shop_id = s.shop_id
			WHERE m.channel = the_channel
				AND m.state IN ('queued', 'claimed')
				AND coalesce(m.held_until, m.due_at) <= notify_workers.at
			LIMIT 10000
		) AS waiting;
		IF due > 0 THEN
			PERFORM pg_notify('retention_messages', json_build_object('channel', the_channel, 'due', due)::text);
		END IF;
	END LOOP;
END
$$;

COMMENT ON FUNCTION retention.notify_workers(timestamptz) IS
	'Tells workers that listen to retention_messages what is due, one notice a channel: {"channel": "sms", "due": 120}, where due stops counting at 10000. run() calls it; an order''s transaction never does';

-- ---------------------------------------------------------------------------
-- care_skipped: why a message did not go, or not yet
-- ---------------------------------------------------------------------------

CREATE VIEW retention.care_skipped AS
	SELECT
		m.shop_id,
		m.customer_id,
		m.rule,
		m.subject,
		m.channel,
		m.purpose,
		CASE m.state
			WHEN 'queued' THEN 'put off'
			WHEN 'failed' THEN 'given up'
			WHEN 'cancelled' THEN 'cancelled'
			ELSE 'skipped'
		END AS outcome,
		m.reason,
		CASE
			WHEN m.reason = 'quiet hours' THEN
				pg_catalog.format('It fell due in the quiet hours (%s to %s) and goes out when they end.', pg_catalog.left(s.quiet_from::text, 5), pg_catalog.left(s.quiet_to::text, 5))
			WHEN m.reason = 'frequency cap' THEN
				'The customer was written to lately; it goes out as soon as the frequency cap allows.'
			WHEN m.reason = 'failed, will be tried again' THEN
				pg_catalog.format('Sending failed (%s); it will be tried again.', coalesce(m.last_error, 'no reason given'))
			WHEN m.reason = 'broken condition' THEN
				pg_catalog.format('It waits until the condition of the rule is mended: %s.', m.last_error)
			WHEN m.reason = 'call again' THEN
				'The customer is to be called again at the time agreed.'
			WHEN m.reason = 'expired' THEN
				'Nobody fetched it before it was out of date: is a worker running for this channel?'
			WHEN m.reason = 'expired in quiet hours' THEN
				'It was out of date before the quiet hours ended.'
			WHEN m.reason = 'expired under a frequency cap' THEN
				'It was out of date before the frequency cap allowed another message to this customer.'
			WHEN m.reason = 'expired after a failure' THEN
				pg_catalog.format('Sending failed (%s) until it was out of date.', coalesce(m.last_error, 'the worker never reported back'))
			WHEN m.reason = 'expired with a broken condition' THEN
				pg_catalog.format('It was out of date before the condition of the rule was mended: %s.', m.last_error)
			WHEN m.reason = 'condition not met' THEN
				pg_catalog.format('The customer%s did not meet the condition of the rule when it was to go%s.',
					CASE WHEN m.order_id IS NOT NULL THEN ', or the order,' END,
					(SELECT ': ' || r.condition FROM retention.care_rule r WHERE r.shop_id = m.shop_id AND r.name = m.rule))
			WHEN m.reason = 'the rule was switched off' THEN
				'The rule was switched off after the message was queued.'
			WHEN m.reason = 'the order no longer calls for it' THEN
				'The order is no longer in the state that the message is about.'
			WHEN m.reason = 'opted out' THEN
				pg_catalog.format('The customer refused %s messages by %s.', m.purpose, m.channel)
			WHEN m.reason = 'no consent' THEN
				pg_catalog.format('The customer never agreed to %s messages by %s; the shop''s setting marketing_consent asks for that.', m.purpose, m.channel)
			WHEN m.reason = 'no address' THEN
				pg_catalog.format('The customer''s profile has nothing to reach them by: %s.', CASE
					WHEN m.channel IN ('sms', 'call') THEN 'no phone number'
					WHEN m.channel = 'email' THEN 'no e-mail address'
					ELSE 'no ' || m.channel || ' address'
				END)
			WHEN m.reason = 'never answers' THEN
				pg_catalog.format('The customer answered none of the last %s marketing messages and bought nothing since.', s.suppress_unanswered)
			WHEN m.reason = 'bad review' THEN
				pg_catalog.format('The customer left a bad review in the last %s days.', s.suppress_review_days)
			WHEN m.reason = 'unlikely to come back' THEN
				pg_catalog.format('By the forecast the customer is lost: still one with a probability below %s (the shop''s setting suppress_p_alive).', s.suppress_p_alive)
			WHEN m.reason = 'missing value: template' THEN
				'The rule has no text: give it a template.'
			WHEN m.reason LIKE 'missing value%' THEN
				pg_catalog.format('The text needs a value that is not known%s; give its placeholder a default.', pg_catalog.substr(m.reason, 14))
			WHEN m.reason = 'gave up' THEN
				pg_catalog.format('Sending failed %s times, last with: %s. requeue_dead() tries again.', m.attempts, coalesce(m.last_error, 'the worker never reported back'))
			WHEN m.reason = 'refused for good' THEN
				pg_catalog.format('It cannot be sent: %s. requeue_dead() tries again.', coalesce(m.last_error, 'no reason given'))
			ELSE pg_catalog.upper(pg_catalog.left(m.reason, 1)) || pg_catalog.substr(m.reason, 2) || '.'
		END AS explanation,
		retention.care_explanation_zh(m, s) AS explanation_zh,
		m.due_at,
		m.changed_at AS since,
		CASE WHEN m.state = 'queued' THEN m.held_until END AS until
	FROM retention.care_message m
	JOIN retention.shop s ON s.shop_id = m.shop_id
	WHERE m.state IN ('skipped', 'cancelled', 'failed')
		OR (m.state = 'queued' AND m.reason IS NOT NULL);

COMMENT ON VIEW retention.care_skipped IS 'Why a message did not go out, or not yet, in words for the shop''s owner';
COMMENT ON COLUMN retention.care_skipped.shop_id IS 'The shop';
COMMENT ON COLUMN retention.care_skipped.customer_id IS 'The customer it was for';
COMMENT ON COLUMN retention.care_skipped.rule IS 'The rule that called for it';
COMMENT ON COLUMN retention.care_skipped.subject IS 'What it was about';
COMMENT ON COLUMN retention.care_skipped.channel IS 'Channel it would have gone by';
COMMENT ON COLUMN retention.care_skipped.purpose IS 'transactional, care or marketing';
COMMENT ON COLUMN retention.care_skipped.outcome IS 'put off (it still goes), skipped, cancelled, or given up after failures';
COMMENT ON COLUMN retention.care_skipped.reason IS 'The reason in short, the same words for the same reason';
COMMENT ON COLUMN retention.care_skipped.explanation IS 'The reason in full';
COMMENT ON COLUMN retention.care_skipped.explanation_zh IS 'The reason in full, in Chinese (原因)';
COMMENT ON COLUMN retention.care_skipped.due_at IS 'When it fell due';
COMMENT ON COLUMN retention.care_skipped.since IS 'When that was decided';
COMMENT ON COLUMN retention.care_skipped.until IS 'When it is looked at again, if it was put off';
