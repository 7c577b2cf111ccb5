/*
 * queue.c
 *		Claiming care messages.
 *
 * A claim takes messages in the order of priority and, within one, of when
 * they fell due.  It locks them skipping what others have locked, checks at
 * that moment everything that may have changed since they were queued, and
 * hands out those that pass, held until the lease ends.
 *
 * Payments and refusals of a customer update the message's row: whichever
 * comes first, the other sees it.  A cancelled message is never handed out
 * after that commit, and one cancelled in a worker's hand tells the worker so.
 *
 * Frequency caps are counted from the messages themselves, under a lock on the
 * customer's row in care_contact: never on rows that orders lock.
 */
#include "queue.h"

#include "own_query.h"
#include "retention.h"
#include "shop.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

PG_FUNCTION_INFO_V1(claim_messages);

/*
 * A claim that finds only messages to put off looks further, so many times:
 * it must not take for ever when a whole night's messages wait for morning.
 */
#define MAX_ROUNDS 8

/* ----------
 * Statements
 * ----------
 */

static OwnQuery read_shops = {
	"SELECT s.shop_id, s.name, retention.quiet_until($2, s.quiet_from, s.quiet_to, s.time_zone),"
	" s.marketing_consent = 'opt_in', s.suppress_unanswered, s.suppress_review_days, s.care_max_attempts,"
	" coalesce(s.suppress_p_alive, 0)"
	" FROM retention.shop s WHERE $1 = 0 OR s.shop_id = $1 ORDER BY s.shop_id",
	2, {"int4", "timestamptz"}
};

static OwnQuery read_rules = {
	"SELECT r.name, r.event, r.enabled,"
	" r.counts_towards_caps, r.ignores_caps, r.ignores_quiet_hours,"
	" r.condition, r.condition_by, retention.is_order_event(r.event), false"
	" FROM retention.care_rules r WHERE r.shop_id = $1"
	" UNION ALL SELECT t.rule, 'campaign', true,"
	" t.counts_towards_caps, t.ignores_caps, false, NULL, NULL, false, c.state = 'paused'"
	" FROM retention.campaign c JOIN retention.campaign_step t ON t.shop_id = c.shop_id AND t.campaign = c.name"
	" WHERE c.shop_id = $1 AND c.state IN ('running', 'paused')",
	1, {"int4"}
};

static OwnQuery read_caps = {
	"SELECT nullif(c.purpose, 'any'), nullif(c.channel, 'any'), c.period, c.messages"
	" FROM retention.care_caps c"
	" WHERE c.shop_id = $1 AND c.channel IN ($2, 'any')"
	" ORDER BY c.period",
	2, {"int4", "text"}
};

/* The highest priority below the one given that has anything open. */
static OwnQuery next_priority = {
	"SELECT m.priority::int8 FROM retention.care_message m"
	" WHERE m.shop_id = $1 AND m.channel = $2 AND m.priority < $3 AND m.state IN ('queued', 'claimed')"
	" ORDER BY m.priority DESC LIMIT 1",
	3, {"int4", "text", "int8"},
	.in_index_order = true
};

static OwnQuery lock_candidates = {
	"SELECT m.customer_id, m.rule, m.subject, m.purpose, m.source_id, m.order_id,"
	" m.due_at, m.expires_at, m.attempts, m.reason, m.message_id"
	" FROM retention.care_message m"
	" WHERE m.shop_id = $1 AND m.channel = $2 AND m.priority = $3 AND m.state IN ('queued', 'claimed')"
	" AND coalesce(m.held_until, m.due_at) <= $4"
	" AND (m.assignee IS NULL OR m.assignee = $5)"
	" ORDER BY coalesce(m.held_until, m.due_at)"
	" LIMIT $6 FOR NO KEY UPDATE SKIP LOCKED",
	6, {"int4", "text", "int4", "timestamptz", "text", "int8"},
	.in_index_order = true
};

/*
 * Sorted, and only behind those that this claim has inserted before: two
 * claims must never wait for each other.
 */
static OwnQuery insert_contacts = {
	"INSERT INTO retention.care_contact (shop_id, customer_id)"
	" SELECT $1, k.customer_id FROM (SELECT DISTINCT u.customer_id COLLATE \"C\" AS customer_id"
	" FROM unnest($2) AS u (customer_id)) AS k"
	" WHERE k.customer_id > $3 AND NOT EXISTS (SELECT FROM retention.care_contact c"
	" WHERE c.shop_id = $1 AND c.customer_id = k.customer_id)"
	" ORDER BY k.customer_id ON CONFLICT DO NOTHING RETURNING customer_id",
	3, {"int4", "text[]", "text"}
};

static OwnQuery lock_contacts = {
	"SELECT c.customer_id FROM retention.care_contact c"
	" WHERE c.shop_id = $1 AND c.customer_id = ANY ($2)"
	" FOR NO KEY UPDATE SKIP LOCKED",
	2, {"int4", "text[]"}
};

/*
 * An update, so that a claim under REPEATABLE READ, whose snapshot may be older
 * than what it counts, fails instead of miscounting.  Who inserts a contact
 * waits for whoever is updating it: so this comes last, when a claim has
 * nothing left to wait for.
 */
static OwnQuery touch_contacts = {
	"UPDATE retention.care_contact c SET claimed_at = $3"
	" WHERE c.shop_id = $1 AND c.customer_id = ANY ($2)",
	3, {"int4", "text[]", "timestamptz"}
};

static OwnQuery grant_messages = {
	"UPDATE retention.care_message m"
	" SET state = 'claimed', reason = NULL, held_until = $8, attempts = m.attempts + 1,"
	" message_id = coalesce(m.message_id, k.token), token = k.token, worker = $9,"
	" assignee = CASE WHEN m.channel IN ('call', 'visit', 'post') THEN coalesce(m.assignee, $9) END,"
	" counted_at = CASE WHEN k.counts THEN $10 END,"
	" last_error = CASE WHEN m.reason = '" REASON_BROKEN "' THEN NULL ELSE m.last_error END,"
	" subject_line = k.subject_line, text = k.text, segments = nullif(k.segments, 0), changed_at = $10"
	" FROM unnest($2, $3, $4, $5, $6, $7, $11, $12)"
	" AS k (customer_id, rule, subject, token, text, segments, counts, subject_line)"
	" WHERE m.shop_id = $1 AND m.customer_id = k.customer_id AND m.rule = k.rule AND m.subject = k.subject",
	12, {"int4", "text[]", "text[]", "text[]", "uuid[]", "text[]", "int4[]", "timestamptz", "text", "timestamptz",
	"bool[]", "text[]"}
};

static OwnQuery refuse_messages = {
	"UPDATE retention.care_message m"
	" SET state = k.state, reason = k.reason, held_until = k.held_until, token = NULL,"
	" counted_at = NULL, last_error = coalesce(k.error, m.last_error), changed_at = $8"
	" FROM unnest($2, $3, $4, $5, $6, $7, $9) AS k (customer_id, rule, subject, state, reason, held_until, error)"
	" WHERE m.shop_id = $1 AND m.customer_id = k.customer_id AND m.rule = k.rule AND m.subject = k.subject",
	9, {"int4", "text[]", "text[]", "text[]", "text[]", "text[]", "timestamptz[]", "timestamptz", "text[]"}
};

/* ----------
 * Tokens
 * ----------
 */

/*
 * A token: unguessable, and beginning with the time as in version 7 of RFC
 * 9562, so that the index over tokens grows at its end.
 */
static void
make_token(pg_uuid_t *token)
{
	uint64		ms = (uint64) (GetCurrentTimestamp() / 1000 +
							   (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * INT64CONST(86400000));

	if (!pg_strong_random(token->data, UUID_LEN))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	for (int i = 0; i < 6; i++)
		token->data[i] = (unsigned char) (ms >> (8 * (5 - i)));
	token->data[6] = (token->data[6] & 0x0f) | 0x70;
	token->data[8] = (token->data[8] & 0x3f) | 0x80;
}

/* ----------
 * Settings
 * ----------
 */

QueueShop *
queue_load_shops(int32 shop_id, TimestampTz at, int *nshops)
{
	Datum		args[2];
	QueueShop  *shops;

	args[0] = Int32GetDatum(shop_id);
	args[1] = TimestampTzGetDatum(at);
	*nshops = (int) own_execute(&read_shops, args, NULL);
	shops = (QueueShop *) palloc0(Max(*nshops, 1) * sizeof(QueueShop));
	for (int i = 0; i < *nshops; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		QueueShop  *shop = &shops[i];
		bool		isnull;

		shop->shop_id = (int32) own_int64(row, 1);
		shop->name = own_text(row, 2);
		shop->quiet_until = own_time(row, 3);
		shop->opt_in = own_bool(row, 4);
		shop->suppress_unanswered = own_int64(row, 5);
		shop->suppress_review_days = own_int64(row, 6);
		shop->max_attempts = own_int64(row, 7);
		shop->suppress_p_alive = DatumGetFloat8(own_copy(row, 8, &isnull));
	}
	return shops;
}

void
queue_load_limits(const Claim *claim, QueueShop *shop)
{
	Datum		args[2];

	args[0] = Int32GetDatum(shop->shop_id);
	shop->nrules = (int) own_execute(&read_rules, args, NULL);
	shop->rules = (QueueRule *) palloc0(Max(shop->nrules, 1) * sizeof(QueueRule));
	for (int i = 0; i < shop->nrules; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];

		shop->rules[i].name = own_text(row, 1);
		shop->rules[i].event = own_text(row, 2);
		shop->rules[i].enabled = own_bool(row, 3);
		shop->rules[i].counts = own_bool(row, 4);
		shop->rules[i].ignores_caps = own_bool(row, 5);
		shop->rules[i].ignores_quiet_hours = own_bool(row, 6);
		shop->rules[i].condition = own_text(row, 7);
		shop->rules[i].condition_by = own_text(row, 8);
		shop->rules[i].of_order = own_bool(row, 9);
		shop->rules[i].paused = own_bool(row, 10);
	}

	args[1] = CStringGetTextDatum(claim->channel);
	shop->ncaps = (int) own_execute(&read_caps, args, NULL);
	shop->caps = (QueueCap *) palloc(Max(shop->ncaps, 1) * sizeof(QueueCap));
	for (int i = 0; i < shop->ncaps; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		bool		isnull;

		shop->caps[i].purpose = own_text(row, 1);
		shop->caps[i].channel = own_text(row, 2);
		shop->caps[i].period = DatumGetIntervalP(own_copy(row, 3, &isnull));
		shop->caps[i].messages = (int32) own_int64(row, 4);
	}
}

/* ----------
 * Candidates
 * ----------
 */

static Message *
read_candidates(Claim *claim, QueueShop *shop, int64 priority, int *ncandidates)
{
	Datum		args[6];
	char		nulls[6] = {' ', ' ', ' ', ' ', ' ', ' '};
	Message    *messages;

	args[0] = Int32GetDatum(shop->shop_id);
	args[1] = CStringGetTextDatum(claim->channel);
	args[2] = Int32GetDatum((int32) priority);
	args[3] = TimestampTzGetDatum(claim->at);
	args[4] = claim->worker ? CStringGetTextDatum(claim->worker) : (Datum) 0;
	nulls[4] = claim->worker ? ' ' : 'n';
	args[5] = Int64GetDatum(claim->max - claim->granted);
	*ncandidates = (int) own_execute(&lock_candidates, args, nulls);

	messages = (Message *) palloc0(Max(*ncandidates, 1) * sizeof(Message));
	for (int i = 0; i < *ncandidates; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		Message    *message = &messages[i];
		Datum		message_id;
		bool		isnull;

		message->customer_id = own_text(row, 1);
		message->rule_name = own_text(row, 2);
		message->subject = own_text(row, 3);
		message->purpose = own_text(row, 4);
		message->source_id = (int32) own_int64(row, 5);
		message->order_id = own_text(row, 6);
		message->due_at = own_time(row, 7);
		message->expires_at = own_time(row, 8);
		message->attempts = own_int64(row, 9);
		message->held_for = own_text(row, 10);
		message_id = own_copy(row, 11, &isnull);
		message->has_message_id = !isnull;
		if (!isnull)
			message->message_id = *DatumGetUUIDP(message_id);
		for (int j = 0; j < shop->nrules; j++)
		{
			if (text_equal(shop->rules[j].name, message->rule_name))
				message->rule = &shop->rules[j];
		}
		if (message->rule != NULL && message->rule->counts && queue_is_for_customer(claim))
		{
			/* Marketing is counted even without a cap: it is what goes unanswered. */
			message->counts = text_equal(message->purpose, "marketing");
			for (int j = 0; j < shop->ncaps && !message->counts; j++)
				message->counts = queue_cap_covers(&shop->caps[j], message);
		}
	}
	return messages;
}

/*
 * Lock the customers of messages that caps count.  Messages of a customer
 * whom another claim has in hand are left for a later one.
 */
static void
lock_customers(Claim *claim, QueueShop *shop, Message *messages, int nmessages)
{
	Message   **chosen = (Message **) palloc(Max(nmessages, 1) * sizeof(Message *));
	int			n = 0;
	Datum		args[3];
	uint64		ninserted;
	uint64		nlocked;
	char	  **locked;

	for (int i = 0; i < nmessages; i++)
	{
		if (messages[i].verdict == VERDICT_NONE && messages[i].counts)
			chosen[n++] = &messages[i];
	}
	if (n == 0)
		return;

	args[0] = Int32GetDatum(shop->shop_id);
	args[1] = TEXTS_OF(chosen, n, customer_id);
	args[2] = CStringGetTextDatum(claim->last_contact);
	ninserted = own_execute(&insert_contacts, args, NULL);
	for (uint64 i = 0; i < ninserted; i++)
	{
		char	   *inserted = own_text(SPI_tuptable->vals[i], 1);

		if (strcmp(inserted, claim->last_contact) > 0)
			claim->last_contact = inserted;
	}
	nlocked = own_execute(&lock_contacts, args, NULL);
	locked = (char **) palloc(Max(nlocked, 1) * sizeof(char *));
	for (uint64 i = 0; i < nlocked; i++)
		locked[i] = own_text(SPI_tuptable->vals[i], 1);
	if (nlocked > 1)
		qsort(locked, nlocked, sizeof(char *), pg_qsort_strcmp);

	for (int i = 0; i < n; i++)
	{
		if (nlocked == 0 ||
			bsearch(&chosen[i]->customer_id, locked, nlocked, sizeof(char *), pg_qsort_strcmp) == NULL)
			queue_refuse(chosen[i], VERDICT_LEFT, NULL);
	}
}

/* ----------
 * Carrying it out
 * ----------
 */

static void
write_refusals(Claim *claim, QueueShop *shop, Message *messages, int nmessages)
{
	Message   **chosen = (Message **) palloc(Max(nmessages, 1) * sizeof(Message *));
	char	  **states = (char **) palloc(Max(nmessages, 1) * sizeof(char *));
	Datum	   *held = (Datum *) palloc(Max(nmessages, 1) * sizeof(Datum));
	bool	   *isnull = (bool *) palloc(Max(nmessages, 1) * sizeof(bool));
	int			n = 0;
	int			lower = 1;
	Datum		args[9];

	for (int i = 0; i < nmessages; i++)
	{
		Message    *message = &messages[i];

		if (message->verdict == VERDICT_NONE || message->verdict == VERDICT_LEFT)
			continue;
		states[n] = message->verdict == VERDICT_PUT_OFF ? "queued" :
			message->verdict == VERDICT_FAILED ? "failed" : "skipped";
		isnull[n] = message->held_until == NO_TIME;
		held[n] = TimestampTzGetDatum(message->held_until);
		chosen[n++] = message;
	}
	if (n == 0)
		return;
	args[0] = Int32GetDatum(shop->shop_id);
	args[1] = TEXTS_OF(chosen, n, customer_id);
	args[2] = TEXTS_OF(chosen, n, rule_name);
	args[3] = TEXTS_OF(chosen, n, subject);
	args[4] = own_text_array(states, n);
	args[5] = TEXTS_OF(chosen, n, reason);
	args[6] = PointerGetDatum(construct_md_array(held, isnull, 1, &n, &lower, TIMESTAMPTZOID,
												 sizeof(TimestampTz), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	args[7] = TimestampTzGetDatum(claim->at);
	args[8] = TEXTS_OF(chosen, n, error);
	own_execute(&refuse_messages, args, NULL);
}

static Datum
text_or_null(const char *value, bool *isnull)
{
	*isnull = value == NULL;
	return value ? CStringGetTextDatum(value) : (Datum) 0;
}

static void
put_result(Claim *claim, QueueShop *shop, Message *message)
{
	Datum		values[16];
	bool		nulls[16] = {false};

	values[0] = UUIDPGetDatum(&message->token);
	values[1] = UUIDPGetDatum(message->has_message_id ? &message->message_id : &message->token);
	values[2] = CStringGetTextDatum(shop->name);
	values[3] = CStringGetTextDatum(message->customer_id);
	values[4] = CStringGetTextDatum(message->rule_name);
	values[5] = CStringGetTextDatum(message->subject);
	values[6] = CStringGetTextDatum(message->purpose);
	values[7] = text_or_null(message->recipient, &nulls[7]);
	values[8] = text_or_null(message->subject_line, &nulls[8]);
	values[9] = text_or_null(message->text, &nulls[9]);
	values[10] = Int32GetDatum(message->segments);
	nulls[10] = message->segments == 0;
	values[11] = TimestampTzGetDatum(message->due_at);
	values[12] = TimestampTzGetDatum(message->expires_at);
	values[13] = Int32GetDatum((int32) message->attempts + 1);
	values[14] = Int32GetDatum(message->source_id);
	nulls[14] = message->order_id == NULL;
	values[15] = text_or_null(message->order_id, &nulls[15]);
	tuplestore_putvalues(claim->result->setResult, claim->result->setDesc, values, nulls);
}

static void
grant(Claim *claim, QueueShop *shop, Message *messages, int nmessages)
{
	Message   **chosen = (Message **) palloc(Max(nmessages, 1) * sizeof(Message *));
	int			n = queue_undecided(messages, nmessages, chosen);
	Datum	   *tokens = (Datum *) palloc(Max(n, 1) * sizeof(Datum));
	Datum	   *segments = (Datum *) palloc(Max(n, 1) * sizeof(Datum));
	Datum	   *counts = (Datum *) palloc(Max(n, 1) * sizeof(Datum));
	Datum		args[12];
	char		nulls[12];

	if (n == 0)
		return;
	for (int i = 0; i < n; i++)
	{
		make_token(&chosen[i]->token);
		tokens[i] = UUIDPGetDatum(&chosen[i]->token);
		segments[i] = Int32GetDatum(chosen[i]->segments);
		counts[i] = BoolGetDatum(chosen[i]->counts);
		if (chosen[i]->counts)
			shop->counted = lappend(shop->counted, chosen[i]->customer_id);
	}

	memset(nulls, ' ', sizeof(nulls));
	args[0] = Int32GetDatum(shop->shop_id);
	args[1] = TEXTS_OF(chosen, n, customer_id);
	args[2] = TEXTS_OF(chosen, n, rule_name);
	args[3] = TEXTS_OF(chosen, n, subject);
	args[4] = PointerGetDatum(construct_array(tokens, n, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
	args[5] = TEXTS_OF(chosen, n, text);
	args[6] = PointerGetDatum(construct_array(segments, n, INT4OID, sizeof(int32), true, TYPALIGN_INT));
	args[7] = TimestampTzGetDatum(claim->lease_ends);
	args[8] = claim->worker ? CStringGetTextDatum(claim->worker) : (Datum) 0;
	nulls[8] = claim->worker ? ' ' : 'n';
	args[9] = TimestampTzGetDatum(claim->at);
	args[10] = PointerGetDatum(construct_array(counts, n, BOOLOID, sizeof(bool), true, TYPALIGN_CHAR));
	args[11] = TEXTS_OF(chosen, n, subject_line);
	own_execute(&grant_messages, args, nulls);

	for (int i = 0; i < n; i++)
		put_result(claim, shop, chosen[i]);
	claim->granted += n;
}

/* One batch of candidates; false when there is no point in looking further. */
static bool
claim_round(Claim *claim, QueueShop *shop, int64 priority)
{
	int			wanted = claim->max - claim->granted;
	int			nmessages;
	Message    *messages = read_candidates(claim, shop, priority, &nmessages);
	bool		left = false;

	for (int i = 0; i < nmessages; i++)
		queue_check_message(claim, shop, &messages[i]);
	lock_customers(claim, shop, messages, nmessages);
	queue_check_facts(claim, shop, messages, nmessages);
	queue_check_suppression(claim, shop, messages, nmessages);
	queue_check_conditions(claim, shop, messages, nmessages);
	queue_render(claim, shop, messages, nmessages);
	for (int i = 0; i < shop->ncaps; i++)
		queue_check_cap(claim, shop, &shop->caps[i], messages, nmessages);

	write_refusals(claim, shop, messages, nmessages);
	grant(claim, shop, messages, nmessages);

	/* Those left would only be found again. */
	for (int i = 0; i < nmessages; i++)
		left |= messages[i].verdict == VERDICT_LEFT;
	return !left && nmessages == wanted;
}

static void
claim_from_shop(Claim *claim, QueueShop *shop)
{
	int64		priority = (int64) PG_INT32_MAX + 1;
	int			rounds = 0;

	claim->last_contact = "";
	queue_load_limits(claim, shop);
	while (claim->granted < claim->max && rounds < MAX_ROUNDS)
	{
		Datum		args[3];

		args[0] = Int32GetDatum(shop->shop_id);
		args[1] = CStringGetTextDatum(claim->channel);
		args[2] = Int64GetDatum(priority);
		if (own_execute(&next_priority, args, NULL) == 0)
			break;
		priority = own_int64(SPI_tuptable->vals[0], 1);

		do
		{
			CHECK_FOR_INTERRUPTS();
			rounds++;
		} while (claim_round(claim, shop, priority) &&
				 claim->granted < claim->max && rounds < MAX_ROUNDS);
	}
}

static void
touch_customers(Claim *claim, QueueShop *shop)
{
	int			n = list_length(shop->counted);
	char	  **customer_ids;
	ListCell   *lc;
	Datum		args[3];

	if (n == 0)
		return;
	customer_ids = (char **) palloc(n * sizeof(char *));
	foreach(lc, shop->counted)
		customer_ids[foreach_current_index(lc)] = (char *) lfirst(lc);
	args[0] = Int32GetDatum(shop->shop_id);
	args[1] = own_text_array(customer_ids, n);
	args[2] = TimestampTzGetDatum(claim->at);
	own_execute(&touch_contacts, args, NULL);
}

/* ----------
 * Entry points
 * ----------
 */

void
queue_check_not_null(FunctionCallInfo fcinfo, int argument, const char *name)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name)));
}

Datum
claim_messages(PG_FUNCTION_ARGS)
{
	static const char *const channels[] = {"sms", "email", "wechat", "call", "post", "visit", "shop"};
	Claim		claim;
	OwnContext	saved;
	QueueShop  *shops;
	int			nshops;
	int32		shop_id = 0;
	bool		known = false;

	queue_check_not_null(fcinfo, 0, "channel");
	queue_check_not_null(fcinfo, 1, "max");
	queue_check_not_null(fcinfo, 2, "lease");
	queue_check_not_null(fcinfo, 4, "at");

	memset(&claim, 0, sizeof(claim));
	claim.channel = text_to_cstring(PG_GETARG_TEXT_PP(0));
	claim.by_people = queue_is_by_people(claim.channel);
	claim.max = PG_GETARG_INT32(1);
	claim.at = PG_GETARG_TIMESTAMPTZ(4);
	claim.lease_ends = delivery_lease_end(claim.at, PG_GETARG_INTERVAL_P(2));
	claim.worker = PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3));
	for (int i = 0; i < (int) lengthof(channels); i++)
		known |= text_equal(claim.channel, channels[i]);
	if (!known)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no channel \"%s\"", claim.channel),
				 errhint("Channels are sms, email, wechat, call, post, visit and shop (notices to the shopkeeper).")));
	if (claim.max <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max must be positive, not %d", claim.max)));
	if (!PG_ARGISNULL(5))
		shop_id = shop_lookup(text_to_cstring(PG_GETARG_TEXT_PP(5)), false);

	InitMaterializedSRF(fcinfo, 0);
	claim.result = (ReturnSetInfo *) fcinfo->resultinfo;
	own_begin(&saved);
	SPI_connect();
	shops = queue_load_shops(shop_id, claim.at, &nshops);
	for (int i = 0; i < nshops && claim.granted < claim.max; i++)
		claim_from_shop(&claim, &shops[i]);
	for (int i = 0; i < nshops; i++)
		touch_customers(&claim, &shops[i]);
	SPI_finish();
	own_end(&saved);
	return (Datum) 0;
}
