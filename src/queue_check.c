/*
 * queue_check.c
 *		What speaks against handing out a message now: all that may have
 *		changed since it was queued, quiet hours, frequency caps, and words
 *		that are missing from its text.
 */
#include "queue.h"

#include "own_query.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

/* What the names of campaigns' steps, as rules, begin with. */
#define CAMPAIGN_RULE "campaign:"

/*
 * A message of a paused campaign is looked at again after so long:
 * resume_campaign() brings back at once what it can see.
 */
#define PAUSE_LOOKED_AT USECS_PER_HOUR

/* ----------
 * Statements
 * ----------
 */

static OwnQuery read_facts = {
	"SELECT k.no, CASE $6"
	" WHEN 'sms' THEN coalesce(c.phone, CASE WHEN k.customer_id LIKE '+%' THEN k.customer_id END)"
	" WHEN 'call' THEN coalesce(c.phone, CASE WHEN k.customer_id LIKE '+%' THEN k.customer_id END)"
	" WHEN 'email' THEN coalesce(c.email, CASE WHEN k.customer_id LIKE '%@%' THEN k.customer_id END)"
	" WHEN 'wechat' THEN c.attributes ->> 'wechat'"
	" ELSE c.attributes ->> 'address' END,"
	" c.name IS NOT NULL OR c.phone IS NOT NULL OR c.email IS NOT NULL OR c.attributes <> '{}',"
	" n.granted, k.order_id IS NULL OR CASE WHEN k.event IN"
	" ('unpaid', 'closed_unpaid', 'paid', 'unshipped', 'shipped', 'delivered', 'completed')"
	" THEN retention.order_event_at(k.event, p) IS NOT NULL ELSE p.order_id IS NOT NULL END"
	" FROM unnest($2, $3, $4, $5, $7) WITH ORDINALITY AS k (customer_id, purpose, source_id, order_id, event, no)"
	" LEFT JOIN retention.customer c ON c.shop_id = $1 AND c.customer_id = k.customer_id"
	" LEFT JOIN retention.customer_consent n ON n.shop_id = $1 AND n.customer_id = k.customer_id"
	" AND n.channel = $6 AND n.purpose = k.purpose"
	" LEFT JOIN retention.purchase p ON p.source_id = k.source_id AND p.order_id = k.order_id",
	7, {"int4", "text[]", "text[]", "int4[]", "text[]", "text", "text[]"}
};

static OwnQuery read_suppression = {
	"SELECT k.no,"
	" (SELECT count(*) = $3 AND count(l.responded_at) = 0"
	" AND NOT EXISTS (SELECT FROM retention.customer_stats s WHERE s.shop_id = $1"
	" AND s.customer_id = k.customer_id AND s.last_purchase_at >= min(l.sent_at))"
	" FROM (SELECT m.responded_at, m.sent_at FROM retention.care_message m"
	" WHERE m.shop_id = $1 AND m.customer_id = k.customer_id AND m.counted_at IS NOT NULL"
	" AND m.purpose = 'marketing' AND m.state = 'sent'"
	" ORDER BY m.counted_at DESC LIMIT $3) AS l),"
	" EXISTS (SELECT FROM retention.feedback f WHERE f.shop_id = $1 AND f.customer_id = k.customer_id"
	" AND f.kind = 'review' AND f.score < 3"
	" AND f.happened_at > $5 - make_interval(days => $4::int4) AND f.happened_at <= $5),"
	" EXISTS (SELECT FROM retention.customer_forecast f"
	" JOIN retention.forecast made ON made.shop_id = f.shop_id"
	" LEFT JOIN retention.customer_stats s ON s.shop_id = f.shop_id AND s.customer_id = f.customer_id"
	" WHERE f.shop_id = $1 AND f.customer_id = k.customer_id AND f.p_alive < $6"
	" AND (s.last_purchase_at > made.forecast_at) IS NOT TRUE)"
	" FROM unnest($2) WITH ORDINALITY AS k (customer_id, no)",
	6, {"int4", "text[]", "int8", "int8", "timestamptz", "float8"},
	.in_index_order = true
};

/*
 * When each of the customer's latest messages under a cap stops counting.  A
 * message whose worker never reported back does not stand in its own way.
 */
static OwnQuery read_capped = {
	"SELECT k.no, array(SELECT m.counted_at + $5 FROM retention.care_message m"
	" WHERE m.shop_id = $1 AND m.customer_id = k.customer_id"
	" AND m.counted_at > $6 - $5 AND m.state IN ('claimed', 'sent')"
	" AND ($3 IS NULL OR m.purpose = $3) AND ($4 IS NULL OR m.channel = $4)"
	" AND m.counted_at IS NOT NULL AND NOT (m.rule = k.rule AND m.subject = k.subject)"
	" ORDER BY m.counted_at DESC LIMIT $7)"
	" FROM unnest($2, $8, $9) WITH ORDINALITY AS k (customer_id, rule, subject, no)",
	9, {"int4", "text[]", "text", "text", "interval", "timestamptz", "int8", "text[]", "text[]"},
	.in_index_order = true
};

/* What does not depend on the customer is looked up once in a claim. */
static OwnQuery read_template = {
	"SELECT t.text, t.subject_line FROM retention.rule_template($1, $2) AS t",
	2, {"int4", "text"}
};

static OwnQuery render_texts = {
	"SELECT k.no, g.signature || r.text,"
	" coalesce(r.missing, l.missing, CASE WHEN k.template IS NULL THEN 'template' END),"
	" CASE WHEN $8 = 'sms' THEN retention.sms_segments(g.signature || r.text) END,"
	" l.text"
	" FROM (SELECT retention.signed_text('', $1) AS signature OFFSET 0) AS g"
	" CROSS JOIN unnest($2, $3, $4, $5, $6, $9) WITH ORDINALITY"
	" AS k (customer_id, template, subject, source_id, order_id, subject_line, no)"
	" CROSS JOIN LATERAL (SELECT retention.message_values("
	"$1, k.customer_id, k.subject, k.source_id, k.order_id, $7,"
	" retention.template_placeholders(k.template) || retention.template_placeholders(k.subject_line)) AS known OFFSET 0) AS v"
	" CROSS JOIN LATERAL retention.render_template(k.template, v.known) AS r"
	" CROSS JOIN LATERAL retention.render_template(k.subject_line, v.known) AS l",
	9, {"int4", "text[]", "text[]", "text[]", "int4[]", "text[]", "timestamptz", "text", "text[]"}
};

/* ----------
 * Verdicts
 * ----------
 */

void
queue_refuse(Message *message, Verdict verdict, const char *reason)
{
	message->verdict = verdict;
	message->reason = reason;
	message->held_until = NO_TIME;
}

/* Not past its end: there it is skipped, and the reason kept. */
void
queue_put_off(Message *message, TimestampTz until, const char *reason)
{
	message->verdict = VERDICT_PUT_OFF;
	message->reason = reason;
	message->held_until = Min(until, message->expires_at);
}

TimestampTz
queue_add_interval(TimestampTz at, Interval *interval)
{
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												   TimestampTzGetDatum(at),
												   IntervalPGetDatum(interval)));
}

bool
queue_cap_covers(const QueueCap *cap, const Message *message)
{
	return cap->purpose == NULL || text_equal(cap->purpose, message->purpose);
}

/* A notice to the shopkeeper is no message to the customer it is about. */
bool
queue_is_for_customer(const Claim *claim)
{
	return !text_equal(claim->channel, "shop");
}

/* Who carries it out finds the words. */
bool
queue_is_by_people(const char *channel)
{
	return text_equal(channel, "call") || text_equal(channel, "visit") || text_equal(channel, "post");
}

/* ----------
 * Arrays of some messages' values, as the statements take them
 * ----------
 */

/* The messages that nothing speaks against so far. */
int
queue_undecided(Message *messages, int nmessages, Message **chosen)
{
	int			n = 0;

	for (int i = 0; i < nmessages; i++)
	{
		if (messages[i].verdict == VERDICT_NONE)
			chosen[n++] = &messages[i];
	}
	return n;
}

Datum
queue_texts_at(Message **chosen, int n, size_t offset)
{
	char	  **values = (char **) palloc(Max(n, 1) * sizeof(char *));

	for (int i = 0; i < n; i++)
		values[i] = *(char **) ((char *) chosen[i] + offset);
	return own_text_array(values, n);
}

Datum
queue_sources_of(Message **chosen, int n)
{
	Datum	   *values = (Datum *) palloc(Max(n, 1) * sizeof(Datum));

	for (int i = 0; i < n; i++)
		values[i] = Int32GetDatum(chosen[i]->source_id);
	return PointerGetDatum(construct_array(values, n, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

/* ----------
 * Checks
 * ----------
 */

/* What can be told without looking at anything else. */
void
queue_check_message(Claim *claim, QueueShop *shop, Message *message)
{
	if (message->rule == NULL && strncmp(message->rule_name, CAMPAIGN_RULE, strlen(CAMPAIGN_RULE)) == 0)
		queue_refuse(message, VERDICT_SKIPPED, REASON_CAMPAIGN_OVER);
	else if (message->rule == NULL || !message->rule->enabled)
		queue_refuse(message, VERDICT_SKIPPED, REASON_RULE_OFF);
	else if (message->expires_at <= claim->at)
	{
		const char *reason = REASON_EXPIRED;

		if (message->held_for != NULL && text_equal(message->held_for, REASON_QUIET_HOURS))
			reason = REASON_EXPIRED_QUIET;
		else if (message->held_for != NULL && text_equal(message->held_for, REASON_CAPPED))
			reason = REASON_EXPIRED_CAPPED;
		else if (message->held_for != NULL && text_equal(message->held_for, REASON_BROKEN))
			reason = REASON_EXPIRED_BROKEN;
		else if (message->held_for != NULL && text_equal(message->held_for, REASON_PAUSED))
			reason = REASON_EXPIRED_PAUSED;
		else if (message->attempts > 0)
			reason = REASON_EXPIRED_RETRY;
		queue_refuse(message, VERDICT_SKIPPED, reason);
	}
	else if (message->rule->paused)
		queue_put_off(message, claim->at + PAUSE_LOOKED_AT, REASON_PAUSED);
	else if (message->attempts >= shop->max_attempts)
		queue_refuse(message, VERDICT_FAILED, REASON_GAVE_UP);
	else if (shop->quiet_until != NO_TIME && queue_is_for_customer(claim) &&
			 !message->rule->ignores_quiet_hours)
		queue_put_off(message, shop->quiet_until, REASON_QUIET_HOURS);
}

void
queue_check_facts(Claim *claim, QueueShop *shop, Message *messages, int nmessages)
{
	Message   **chosen = (Message **) palloc(Max(nmessages, 1) * sizeof(Message *));
	int			n = queue_undecided(messages, nmessages, chosen);
	char	  **events = (char **) palloc(Max(n, 1) * sizeof(char *));
	Datum		args[7];
	uint64		nrows;

	if (n == 0)
		return;
	for (int i = 0; i < n; i++)
		events[i] = chosen[i]->rule->event;
	args[0] = Int32GetDatum(shop->shop_id);
	args[1] = TEXTS_OF(chosen, n, customer_id);
	args[2] = TEXTS_OF(chosen, n, purpose);
	args[3] = queue_sources_of(chosen, n);
	args[4] = TEXTS_OF(chosen, n, order_id);
	args[5] = CStringGetTextDatum(claim->channel);
	args[6] = own_text_array(events, n);
	nrows = own_execute(&read_facts, args, NULL);
	for (uint64 i = 0; i < nrows; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		Message    *message = chosen[own_int64(row, 1) - 1];
		bool		has_profile = own_bool(row, 3);
		bool		undecided_consent;
		bool		granted;

		message->recipient = own_text(row, 2);
		granted = DatumGetBool(SPI_getbinval(row, SPI_tuptable->tupdesc, 4, &undecided_consent));

		if (!own_bool(row, 5))
			queue_refuse(message, VERDICT_SKIPPED, REASON_ORDER_CHANGED);
		else if (!queue_is_for_customer(claim))
			continue;
		else if (!undecided_consent && !granted)
			queue_refuse(message, VERDICT_SKIPPED, REASON_OPTED_OUT);
		else if (undecided_consent && shop->opt_in && text_equal(message->purpose, "marketing"))
			queue_refuse(message, VERDICT_SKIPPED, REASON_NO_CONSENT);
		else if (message->recipient == NULL && has_profile)
			queue_refuse(message, VERDICT_SKIPPED, REASON_NO_RECIPIENT);
	}
}

/* Marketing is not for those who never answer, were not content or are gone. */
void
queue_check_suppression(Claim *claim, QueueShop *shop, Message *messages, int nmessages)
{
	Message   **chosen = (Message **) palloc(Max(nmessages, 1) * sizeof(Message *));
	int			n = 0;
	Datum		args[6];
	uint64		nrows;

	if (shop->suppress_unanswered == 0 && shop->suppress_review_days == 0 && shop->suppress_p_alive == 0)
		return;
	for (int i = 0; i < nmessages; i++)
	{
		if (messages[i].verdict == VERDICT_NONE && queue_is_for_customer(claim) &&
			text_equal(messages[i].purpose, "marketing"))
			chosen[n++] = &messages[i];
	}
	if (n == 0)
		return;

	args[0] = Int32GetDatum(shop->shop_id);
	args[1] = TEXTS_OF(chosen, n, customer_id);
	args[2] = Int64GetDatum(shop->suppress_unanswered);
	args[3] = Int64GetDatum(shop->suppress_review_days);
	args[4] = TimestampTzGetDatum(claim->at);
	args[5] = Float8GetDatum(shop->suppress_p_alive);
	nrows = own_execute(&read_suppression, args, NULL);
	for (uint64 i = 0; i < nrows; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		Message    *message = chosen[own_int64(row, 1) - 1];

		if (own_bool(row, 3))
			queue_refuse(message, VERDICT_SKIPPED, REASON_BAD_REVIEW);
		else if (shop->suppress_unanswered > 0 && own_bool(row, 2))
			queue_refuse(message, VERDICT_SKIPPED, REASON_UNANSWERED);
		else if (own_bool(row, 4))
			queue_refuse(message, VERDICT_SKIPPED, REASON_UNLIKELY);
	}
}

void
queue_render(Claim *claim, QueueShop *shop, Message *messages, int nmessages)
{
	Message   **chosen = (Message **) palloc(Max(nmessages, 1) * sizeof(Message *));
	int			n = queue_undecided(messages, nmessages, chosen);
	bool		by_email = text_equal(claim->channel, "email");
	Datum		args[9];
	uint64		nrows;

	if (n == 0)
		return;
	args[0] = Int32GetDatum(shop->shop_id);
	for (int i = 0; i < n; i++)
	{
		QueueRule  *rule = chosen[i]->rule;

		if (!rule->template_read)
		{
			args[1] = CStringGetTextDatum(rule->name);
			own_execute(&read_template, args, NULL);
			rule->template = own_text(SPI_tuptable->vals[0], 1);
			rule->subject_template = own_text(SPI_tuptable->vals[0], 2);
			rule->template_read = true;
		}
		chosen[i]->template = rule->template;
		chosen[i]->subject_template = by_email ? rule->subject_template : NULL;
	}
	args[1] = TEXTS_OF(chosen, n, customer_id);
	args[2] = TEXTS_OF(chosen, n, template);
	args[3] = TEXTS_OF(chosen, n, subject);
	args[4] = queue_sources_of(chosen, n);
	args[5] = TEXTS_OF(chosen, n, order_id);
	args[6] = TimestampTzGetDatum(claim->at);
	args[7] = CStringGetTextDatum(claim->channel);
	args[8] = TEXTS_OF(chosen, n, subject_template);
	nrows = own_execute(&render_texts, args, NULL);
	for (uint64 i = 0; i < nrows; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		Message    *message = chosen[own_int64(row, 1) - 1];
		char	   *missing = own_text(row, 3);

		message->text = own_text(row, 2);
		message->segments = (int32) own_int64(row, 4);
		message->subject_line = own_text(row, 5);
		if (missing != NULL && !claim->by_people)
			queue_refuse(message, VERDICT_SKIPPED, psprintf("%s: %s", REASON_MISSING, missing));
	}
}

/*
 * Put off what a cap forbids.  Messages of this very claim count too, in the
 * order in which they are handed out.
 */
void
queue_check_cap(Claim *claim, QueueShop *shop, const QueueCap *cap, Message *messages, int nmessages)
{
	Message   **chosen = (Message **) palloc(Max(nmessages, 1) * sizeof(Message *));
	int			n = 0;
	Datum		args[9];
	char		nulls[9] = {' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '};
	TimestampTz **counting;
	int		   *ncounting;
	uint64		nrows;

	for (int i = 0; i < nmessages; i++)
	{
		if (messages[i].verdict == VERDICT_NONE && queue_is_for_customer(claim) &&
			queue_cap_covers(cap, &messages[i]))
			chosen[n++] = &messages[i];
	}
	if (n == 0)
		return;

	args[0] = Int32GetDatum(shop->shop_id);
	args[1] = TEXTS_OF(chosen, n, customer_id);
	args[2] = cap->purpose ? CStringGetTextDatum(cap->purpose) : (Datum) 0;
	nulls[2] = cap->purpose ? ' ' : 'n';
	args[3] = cap->channel ? CStringGetTextDatum(cap->channel) : (Datum) 0;
	nulls[3] = cap->channel ? ' ' : 'n';
	args[4] = IntervalPGetDatum(cap->period);
	args[5] = TimestampTzGetDatum(claim->at);
	args[6] = Int64GetDatum(cap->messages);
	args[7] = TEXTS_OF(chosen, n, rule_name);
	args[8] = TEXTS_OF(chosen, n, subject);
	nrows = own_execute(&read_capped, args, nulls);

	counting = (TimestampTz **) palloc0(n * sizeof(TimestampTz *));
	ncounting = (int *) palloc0(n * sizeof(int));
	for (uint64 i = 0; i < nrows; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		int			k = (int) own_int64(row, 1) - 1;
		bool		isnull;
		Datum	   *values;

		deconstruct_array(DatumGetArrayTypeP(own_copy(row, 2, &isnull)), TIMESTAMPTZOID,
						  sizeof(TimestampTz), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
						  &values, NULL, &ncounting[k]);
		counting[k] = (TimestampTz *) palloc(Max(ncounting[k], 1) * sizeof(TimestampTz));
		for (int j = 0; j < ncounting[k]; j++)
			counting[k][j] = DatumGetTimestampTz(values[j]);
	}

	for (int i = 0; i < n; i++)
	{
		int			granted = 0;

		if (chosen[i]->rule->ignores_caps)
			continue;
		for (int j = 0; j < i; j++)
		{
			if (chosen[j]->verdict == VERDICT_NONE && chosen[j]->counts &&
				text_equal(chosen[j]->customer_id, chosen[i]->customer_id))
				granted++;
		}
		if (granted >= cap->messages)
			queue_put_off(chosen[i], queue_add_interval(claim->at, cap->period), REASON_CAPPED);
		else if (granted + ncounting[i] >= cap->messages)
			queue_put_off(chosen[i], counting[i][cap->messages - granted - 1], REASON_CAPPED);
	}
}
