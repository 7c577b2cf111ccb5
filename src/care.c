/*
 * care.c
 *		Which messages a change of an order calls for, and which it cancels.
 *
 * Both happen in the transaction that changes the order: the reminder of an
 * unpaid order dies with the payment that makes it wrong.
 */
#include "care.h"

#include "settings.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

typedef struct CareRule
{
	int32		shop_id;
	char	   *name;
	char	   *event;
	Interval   *delay;
	Interval   *validity;
	char	   *channel;
	char	   *purpose;
	int32		priority;
	bool		enabled;
} CareRule;

/* Of a shipped rule, which is for every shop. */
#define ANY_SHOP 0

static CacheWatch rule_watch = {.table = "care_rule"};
static CacheWatch default_watch = {.table = "care_rule_default"};
static MemoryContext rule_context = NULL;
static List *rules = NIL;		/* of CareRule, in rule_context */

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
	" expires_at = EXCLUDED.expires_at, changed_at = EXCLUDED.changed_at,"
	" held_until = NULL, attempts = 0, message_id = NULL, token = NULL, counted_at = NULL"
	" WHERE m.state = 'cancelled' OR (m.state = 'queued' AND m.due_at <> EXCLUDED.due_at)",
	1, {"retention.care_message[]"}
};

static OwnQuery cancel_messages = {
	"UPDATE retention.care_message"
	" SET state = 'cancelled', reason = $4, changed_at = $5"
	" WHERE shop_id = $1 AND customer_id = $2 AND subject = $3 AND state IN ('queued', 'claimed')",
	5, {"int4", "text", "text", "text", "timestamptz"}
};

static CareRule *
read_rule(SettingsScan *settings, int32 shop_id)
{
	CareRule   *rule = (CareRule *) palloc0(sizeof(CareRule));
	bool		isnull;

	rule->shop_id = shop_id;
	rule->name = settings_get_text(settings, "name");
	rule->event = settings_get_text(settings, "event");
	rule->delay = DatumGetIntervalP(datumCopy(settings_get(settings, "delay", &isnull),
											  false, sizeof(Interval)));
	rule->validity = DatumGetIntervalP(datumCopy(settings_get(settings, "validity", &isnull),
												 false, sizeof(Interval)));
	rule->channel = settings_get_text(settings, "channel");
	rule->purpose = settings_get_text(settings, "purpose");
	rule->priority = DatumGetInt32(settings_get(settings, "priority", &isnull));
	rule->enabled = DatumGetBool(settings_get(settings, "enabled", &isnull));
	return rule;
}

static void
load_rules(void)
{
	SettingsScan settings;
	MemoryContext context;
	MemoryContext caller;
	List	   *loaded = NIL;
	bool		isnull;

	rules = NIL;
	if (rule_context != NULL)
		MemoryContextDelete(rule_context);
	rule_context = NULL;

	context = AllocSetContextCreate(CurrentMemoryContext, "retention care rules",
									ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(context);

	/* A shop's own rules come first and hide shipped ones of the same name. */
	settings_begin(&settings, &rule_watch);
	while (settings_next(&settings))
		loaded = lappend(loaded,
						 read_rule(&settings, DatumGetInt32(settings_get(&settings, "shop_id", &isnull))));
	settings_end(&settings);
	settings_begin(&settings, &default_watch);
	while (settings_next(&settings))
		loaded = lappend(loaded, read_rule(&settings, ANY_SHOP));
	settings_end(&settings);
	MemoryContextSwitchTo(caller);

	MemoryContextSetParent(context, CacheMemoryContext);
	rule_context = context;
	rules = loaded;
}

/* Whether the rule is on and in force for the shop. */
static bool
rule_applies(const CareRule *rule, int32 shop_id)
{
	ListCell   *lc;

	if (!rule->enabled || strcmp(rule->event, "unpaid") != 0)
		return false;
	if (rule->shop_id != ANY_SHOP)
		return rule->shop_id == shop_id;
	foreach(lc, rules)
	{
		const CareRule *own = (const CareRule *) lfirst(lc);

		if (own->shop_id == shop_id && strcmp(own->name, rule->name) == 0)
			return false;
	}
	return true;
}

void
care_begin(Care *care, TimestampTz now)
{
	care->now = now;
	own_rows_init(&care->messages, "care_message");
	if (rule_context == NULL || !rule_watch.valid || !default_watch.valid)
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
	ListCell   *lc;

	foreach(lc, rules)
	{
		CareRule   *rule = (CareRule *) lfirst(lc);
		TimestampTz due_at;
		TimestampTz expires_at;
		Datum		v[N_MESSAGE_COLUMNS];
		bool		isnull[N_MESSAGE_COLUMNS] = {false};

		if (!rule_applies(rule, purchase->shop_id))
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
