/*
 * care.c
 *		Which messages a change of an order calls for, and which it cancels.
 *
 * Both happen in the transaction that changes the order: the reminder of an
 * unpaid order dies with the payment that makes it wrong.
 */
#include "care.h"

#include "cache.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

typedef struct CareRule
{
	int32		shop_id;
	char	   *name;
	Interval   *delay;
	Interval   *validity;
	char	   *channel;
	char	   *purpose;
	int32		priority;
} CareRule;

static CacheWatch rule_watch = {"care_rule"};
static CacheWatch shop_watch = {"shop"};
static MemoryContext rule_context = NULL;
static CareRule *rules = NULL;
static int	nrules = 0;

static OwnQuery read_rules = {
	"SELECT shop_id, name, delay, validity, channel, purpose, priority"
	" FROM retention.care_rules"
	" WHERE enabled AND event = 'unpaid'",
	0, {NULL}
};

static const char *const message_columns[] = {
	"shop_id", "customer_id", "rule", "subject", "source_id", "order_id",
	"channel", "purpose", "priority", "state", "due_at", "expires_at", "queued_at", "changed_at"
};

#define N_MESSAGE_COLUMNS lengthof(message_columns)

/* A cancelled message comes back when the order is unpaid again. */
static OwnQuery insert_messages = {
	"INSERT INTO retention.care_message AS m"
	" SELECT u.* FROM unnest($1) AS u"
	" ON CONFLICT (shop_id, customer_id, rule, subject) DO UPDATE"
	" SET state = EXCLUDED.state, reason = NULL, due_at = EXCLUDED.due_at,"
	" expires_at = EXCLUDED.expires_at, changed_at = EXCLUDED.changed_at"
	" WHERE m.state = 'cancelled' OR (m.state = 'queued' AND m.due_at <> EXCLUDED.due_at)",
	1, {"retention.care_message[]"}
};

static OwnQuery cancel_messages = {
	"UPDATE retention.care_message"
	" SET state = 'cancelled', reason = $4, changed_at = $5"
	" WHERE shop_id = $1 AND customer_id = $2 AND subject = $3 AND state = 'queued'",
	5, {"int4", "text", "text", "text", "timestamptz"}
};

static void
load_rules(void)
{
	OwnContext	saved;
	MemoryContext context;
	MemoryContext caller;
	CareRule   *loaded;
	int			n;

	if (rule_context != NULL)
		MemoryContextDelete(rule_context);
	rule_context = NULL;
	rules = NULL;
	nrules = 0;

	/* A new shop has the shipped rules: the list depends on both tables. */
	cache_begin_read(&rule_watch);
	cache_begin_read(&shop_watch);
	own_begin(&saved);
	SPI_connect();
	n = (int) own_execute(&read_rules, NULL, NULL);

	context = AllocSetContextCreate(CurrentMemoryContext, "retention care rules",
									ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(context);
	loaded = (CareRule *) palloc0(Max(n, 1) * sizeof(CareRule));
	for (int i = 0; i < n; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		CareRule   *rule = &loaded[i];
		bool		isnull;

		rule->shop_id = (int32) own_int64(tuple, 1);
		rule->name = own_text(tuple, 2);
		rule->delay = DatumGetIntervalP(own_copy(tuple, 3, &isnull));
		rule->validity = DatumGetIntervalP(own_copy(tuple, 4, &isnull));
		rule->channel = own_text(tuple, 5);
		rule->purpose = own_text(tuple, 6);
		rule->priority = (int32) own_int64(tuple, 7);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextSetParent(context, CacheMemoryContext);

	SPI_finish();
	own_end(&saved);

	rule_context = context;
	rules = loaded;
	nrules = n;
}

void
care_begin(Care *care, TimestampTz now)
{
	care->now = now;
	own_rows_init(&care->messages, "care_message");
	if (!rule_watch.valid || !shop_watch.valid || rules == NULL)
		load_rules();
}

static TimestampTz
add_interval(TimestampTz at, Interval *interval)
{
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												   TimestampTzGetDatum(at),
												   IntervalPGetDatum(interval)));
}

static char *
order_subject(int32 source_id, const char *order_id)
{
	return psprintf("order:%d:%s", source_id, order_id);
}

static void
queue_reminders(Care *care, int32 source_id, const Purchase *purchase)
{
	for (int i = 0; i < nrules; i++)
	{
		CareRule   *rule = &rules[i];
		TimestampTz due_at;
		TimestampTz expires_at;
		Datum		v[N_MESSAGE_COLUMNS];
		bool		isnull[N_MESSAGE_COLUMNS] = {false};

		if (rule->shop_id != purchase->shop_id)
			continue;

		due_at = add_interval(purchase->state_at[ORDER_PLACED], rule->delay);
		expires_at = add_interval(due_at, rule->validity);
		if (expires_at <= care->now)
			continue;

		v[0] = Int32GetDatum(purchase->shop_id);
		v[1] = CStringGetTextDatum(purchase->customer_id);
		v[2] = CStringGetTextDatum(rule->name);
		v[3] = CStringGetTextDatum(order_subject(source_id, purchase->order_id));
		v[4] = Int32GetDatum(source_id);
		v[5] = CStringGetTextDatum(purchase->order_id);
		v[6] = CStringGetTextDatum(rule->channel);
		v[7] = CStringGetTextDatum(rule->purpose);
		v[8] = Int32GetDatum(rule->priority);
		v[9] = CStringGetTextDatum("queued");
		v[10] = TimestampTzGetDatum(due_at);
		v[11] = TimestampTzGetDatum(expires_at);
		v[12] = TimestampTzGetDatum(care->now);
		v[13] = TimestampTzGetDatum(care->now);
		own_rows_add(&care->messages, N_MESSAGE_COLUMNS, message_columns, v, isnull);
	}
}

static void
cancel_reminders(Care *care, int32 source_id, const Purchase *purchase, const char *reason)
{
	Datum		args[5];

	args[0] = Int32GetDatum(purchase->shop_id);
	args[1] = CStringGetTextDatum(purchase->customer_id);
	args[2] = CStringGetTextDatum(order_subject(source_id, purchase->order_id));
	args[3] = CStringGetTextDatum(reason);
	args[4] = TimestampTzGetDatum(care->now);
	own_execute(&cancel_messages, args, NULL);
}

/*
 * An order went from one recorded state to another; either may be NULL.
 * Orders placed before the source was attached call for no message.
 */
void
care_order_changed(Care *care, int32 source_id, TimestampTz attached_at,
				   const Purchase *before, const Purchase *after)
{
	bool		was_unpaid = before != NULL && purchase_is_unpaid(before);
	bool		is_unpaid = after != NULL && purchase_is_unpaid(after);
	bool		moved = before != NULL && after != NULL &&
		(before->shop_id != after->shop_id ||
		 strcmp(before->customer_id, after->customer_id) != 0);

	if (was_unpaid && (!is_unpaid || moved))
	{
		const char *reason = "the order was deleted";

		if (moved)
			reason = "the order went to another customer";
		else if (after != NULL && after->state_at[ORDER_PAID] != NO_TIME)
			reason = "the order was paid";
		else if (after != NULL)
			reason = "the order was closed";
		cancel_reminders(care, source_id, before, reason);
	}

	if (is_unpaid &&
		after->state_at[ORDER_PLACED] >= attached_at &&
		(!was_unpaid || moved ||
		 before->state_at[ORDER_PLACED] != after->state_at[ORDER_PLACED]))
		queue_reminders(care, source_id, after);
}

void
care_write(Care *care)
{
	own_rows_execute(&care->messages, &insert_messages);
	care->messages.nrows = 0;
}
