/*
 * care.c
 *		Which messages a change of an order calls for, and which it cancels.
 *
 * Both happen in the transaction that changes the order: the reminder of an
 * unpaid order dies with the payment that makes it wrong.  An event stands for
 * a state, not for the step that led there: a rule's message is queued when
 * its state begins and cancelled when it ends, by whatever way.
 */
#include "care.h"

#include "settings.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "nodes/pg_list.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(order_event_at);

/* What a rule waits for, as far as a change of an order brings it about. */
typedef enum CareEvent
{
	CARE_UNPAID,
	CARE_CLOSED_UNPAID,
	CARE_PAID,
	CARE_UNSHIPPED,
	CARE_SHIPPED,
	CARE_DELIVERED,
	CARE_COMPLETED,
	CARE_REFUNDED,
	CARE_LAST_PURCHASE,			/* queued by date, cancelled by a purchase */
	CARE_TIER_AT_RISK,			/* likewise */
	CARE_BY_DATE				/* none of our business */
} CareEvent;

typedef struct CareRule
{
	int32		shop_id;
	char	   *name;
	CareEvent	event;
	Interval   *delay;
	Interval   *validity;
	char	   *channel;
	char	   *purpose;
	int32		priority;
	Numeric		amount;			/* least value of the order; NULL: any */
	bool		enabled;
} CareRule;

/* Of a shipped rule, which is for every shop. */
#define ANY_SHOP 0

static CacheWatch rule_watch = {.table = "care_rule"};
static CacheWatch default_watch = {.table = "care_rule_default"};
static MemoryContext rule_context = NULL;
static List *rules = NIL;		/* of CareRule, in rule_context */
static bool any_rule_on = false;	/* of those that orders concern */

static const char *const message_columns[] = {
	"shop_id", "customer_id", "rule", "subject", "source_id", "order_id",
	"channel", "purpose", "priority", "state", "due_at", "expires_at", "queued_at", "changed_at"
};

#define N_MESSAGE_COLUMNS lengthof(message_columns)

/* A cancelled message comes back when what it is about holds again. */
static OwnQuery insert_messages = {
	"INSERT INTO retention.care_message AS m (shop_id, customer_id, rule, subject,"
	" source_id, order_id, channel, purpose, priority, state, due_at, expires_at,"
	" queued_at, changed_at)"
	" SELECT u.shop_id, u.customer_id, u.rule, u.subject,"
	" u.source_id, u.order_id, u.channel, u.purpose, u.priority, u.state, u.due_at, u.expires_at,"
	" u.queued_at, u.changed_at"
	" FROM unnest($1) AS u"
	" ON CONFLICT (shop_id, customer_id, rule, subject) DO UPDATE"
	" SET state = EXCLUDED.state, reason = NULL, due_at = EXCLUDED.due_at,"
	" expires_at = EXCLUDED.expires_at, changed_at = EXCLUDED.changed_at,"
	" held_until = NULL, attempts = 0, message_id = NULL, token = NULL, counted_at = NULL"
	" WHERE m.state = 'cancelled' OR (m.state = 'queued' AND m.due_at <> EXCLUDED.due_at)",
	1, {"retention.care_message[]"}
};

/*
 * Of a customer and rule, the messages on subjects in a range.  The state comes
 * as a parameter to keep the planner from an index of all that is queued.
 */
static OwnQuery cancel_messages = {
	"UPDATE retention.care_message m"
	" SET state = 'cancelled', reason = u.reason, changed_at = $7"
	" FROM unnest($1, $2, $3, $4, $5, $6)"
	" AS u (shop_id, customer_id, rule, first_subject, last_subject, reason)"
	" WHERE m.shop_id = u.shop_id AND m.customer_id = u.customer_id AND m.rule = u.rule"
	" AND m.subject >= u.first_subject AND m.subject <= u.last_subject"
	" AND m.state = ANY ($8)",
	8, {"int4[]", "text[]", "text[]", "text[]", "text[]", "text[]", "timestamptz", "text[]"}
};

/*
 * All subjects that name the last purchase by its day: 'purchase:2024-05-01',
 * 'tier:gold:2024-05-01'.
 */
#define FIRST_PURCHASE_SUBJECT "purchase:"
#define LAST_PURCHASE_SUBJECT "purchase:~"
#define FIRST_TIER_SUBJECT "tier:"
#define LAST_TIER_SUBJECT "tier;"	/* the character after the colon */

/* A message to cancel. */
typedef struct Cancellation
{
	int32		shop_id;
	char	   *customer_id;
	char	   *rule;
	char	   *first_subject;
	char	   *last_subject;
	char	   *reason;
} Cancellation;

static const struct
{
	const char *name;
	CareEvent	event;
}			event_names[] = {
	{"unpaid", CARE_UNPAID},
	{"closed_unpaid", CARE_CLOSED_UNPAID},
	{"paid", CARE_PAID},
	{"unshipped", CARE_UNSHIPPED},
	{"shipped", CARE_SHIPPED},
	{"delivered", CARE_DELIVERED},
	{"completed", CARE_COMPLETED},
	{"refunded", CARE_REFUNDED},
	{"last_purchase", CARE_LAST_PURCHASE},
	{"repurchase", CARE_LAST_PURCHASE},
	{"tier_at_risk", CARE_TIER_AT_RISK}
};

static CareEvent
event_of(const char *name)
{
	for (int i = 0; i < (int) lengthof(event_names); i++)
	{
		if (strcmp(event_names[i].name, name) == 0)
			return event_names[i].event;
	}
	return CARE_BY_DATE;
}

/* The parameter "amount", NULL when there is none. */
static Numeric
amount_of(Datum parameters)
{
	JsonbValue	value;

	if (getKeyJsonValueFromContainer(&DatumGetJsonbP(parameters)->root,
									 "amount", strlen("amount"), &value) == NULL ||
		value.type != jbvNumeric)
		return NULL;
	return DatumGetNumericCopy(NumericGetDatum(value.val.numeric));
}

static CareRule *
read_rule(SettingsScan *settings, int32 shop_id)
{
	CareRule   *rule = (CareRule *) palloc0(sizeof(CareRule));
	bool		isnull;

	rule->shop_id = shop_id;
	rule->name = settings_get_text(settings, "name");
	rule->event = event_of(settings_get_text(settings, "event"));
	rule->delay = DatumGetIntervalP(datumCopy(settings_get(settings, "delay", &isnull),
											  false, sizeof(Interval)));
	rule->validity = DatumGetIntervalP(datumCopy(settings_get(settings, "validity", &isnull),
												 false, sizeof(Interval)));
	rule->channel = settings_get_text(settings, "channel");
	rule->purpose = settings_get_text(settings, "purpose");
	rule->priority = DatumGetInt32(settings_get(settings, "priority", &isnull));
	rule->amount = amount_of(settings_get(settings, "parameters", &isnull));
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
	ListCell   *lc;
	bool		isnull;

	rules = NIL;
	any_rule_on = false;
	if (rule_context != NULL)
		cache_retire(rule_context);
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
	foreach(lc, rules)
	{
		const CareRule *rule = (const CareRule *) lfirst(lc);

		any_rule_on |= rule->enabled && rule->event != CARE_BY_DATE;
	}
}

/* Whether the rule is on and in force for the shop. */
static bool
rule_applies(const CareRule *rule, int32 shop_id)
{
	ListCell   *lc;

	if (!rule->enabled || rule->event == CARE_BY_DATE)
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
	care->cancellations = NIL;
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

/* Whether both are orders of the same customer. */
static bool
same_owner(const Purchase *a, const Purchase *b)
{
	return a != NULL && b != NULL && a->shop_id == b->shop_id &&
		strcmp(a->customer_id, b->customer_id) == 0;
}

static bool
at_least(Numeric value, Numeric amount)
{
	return amount == NULL ||
		(value != NULL &&
		 DatumGetBool(DirectFunctionCall2(numeric_ge, NumericGetDatum(value), NumericGetDatum(amount))));
}

static Numeric
all_refunded(const Purchase *purchase)
{
	return numeric_add_opt_error(purchase->refunded, purchase->refunded_by_orders, NULL);
}

/* Whether all that was paid went back. */
static bool
is_refunded(const Purchase *purchase)
{
	return purchase->state_at[ORDER_PAID] != NO_TIME && purchase->value == NULL;
}

/*
 * When the state that an event stands for began; NO_TIME where the order is
 * not in it, be it not yet or no longer.
 */
static TimestampTz
event_time(CareEvent event, const Purchase *purchase)
{
	const TimestampTz *at = purchase->state_at;
	bool		closed = at[ORDER_CLOSED] != NO_TIME || is_refunded(purchase);

	if (purchase->is_refund)
		return NO_TIME;

	switch (event)
	{
		case CARE_UNPAID:
			return purchase_is_unpaid(purchase) ? at[ORDER_PLACED] : NO_TIME;
		case CARE_CLOSED_UNPAID:
			return at[ORDER_PAID] == NO_TIME ? at[ORDER_CLOSED] : NO_TIME;
		case CARE_PAID:
			return closed ? NO_TIME : at[ORDER_PAID];
		case CARE_UNSHIPPED:
			return closed || at[ORDER_SHIPPED] != NO_TIME || at[ORDER_DELIVERED] != NO_TIME ||
				at[ORDER_COMPLETED] != NO_TIME ? NO_TIME : at[ORDER_PAID];
		case CARE_SHIPPED:
			return closed || at[ORDER_DELIVERED] != NO_TIME ||
				at[ORDER_COMPLETED] != NO_TIME ? NO_TIME : at[ORDER_SHIPPED];
		case CARE_DELIVERED:
			/* Where delivery itself completes an order, its arrival is news still. */
			return closed || (at[ORDER_COMPLETED] != NO_TIME &&
							  at[ORDER_COMPLETED] != at[ORDER_DELIVERED]) ? NO_TIME : at[ORDER_DELIVERED];
		case CARE_COMPLETED:
			return closed ? NO_TIME : at[ORDER_COMPLETED];
		case CARE_REFUNDED:
		case CARE_LAST_PURCHASE:
		case CARE_TIER_AT_RISK:
		case CARE_BY_DATE:
			break;
	}
	return NO_TIME;
}

/* The same for a rule, which may ask for more. */
static TimestampTz
rule_time(const CareRule *rule, const Purchase *purchase)
{
	if (purchase == NULL || !at_least(purchase->value, rule->amount))
		return NO_TIME;
	return event_time(rule->event, purchase);
}

/* Why what was to be said of the order is wrong now. */
static char *
cancel_reason(const Purchase *before, const Purchase *after)
{
	static const struct
	{
		OrderState	state;
		char	   *reason;
	}			reasons[] = {
		{ORDER_CLOSED, "the order was closed"},
		{ORDER_PAID, "the order was paid"},
		{ORDER_COMPLETED, "the order was completed"},
		{ORDER_DELIVERED, "the order arrived"},
		{ORDER_SHIPPED, "the order was shipped"}
	};

	if (after == NULL)
		return "the order was deleted";
	if (!same_owner(before, after))
		return "the order went to another customer";
	if (is_refunded(after) && !is_refunded(before))
		return "the order was refunded";
	for (int i = 0; i < (int) lengthof(reasons); i++)
	{
		if (before->state_at[reasons[i].state] == NO_TIME &&
			after->state_at[reasons[i].state] != NO_TIME)
			return reasons[i].reason;
	}
	if (!at_least(all_refunded(before), all_refunded(after)))
		return "the order was refunded in part";
	return "the order changed";
}

static void
queue_message(Care *care, const CareRule *rule, int32 source_id, const Purchase *purchase,
			  const char *subject, TimestampTz at)
{
	TimestampTz due_at = add_interval(at, rule->delay);
	TimestampTz expires_at = add_interval(due_at, rule->validity);
	Datum		v[N_MESSAGE_COLUMNS];
	bool		isnull[N_MESSAGE_COLUMNS] = {false};

	if (expires_at <= care->now)
		return;

	v[0] = Int32GetDatum(purchase->shop_id);
	v[1] = CStringGetTextDatum(purchase->customer_id);
	v[2] = CStringGetTextDatum(rule->name);
	v[3] = CStringGetTextDatum(subject);
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

static void
cancel_message(Care *care, const CareRule *rule, const Purchase *purchase,
			   char *first_subject, char *last_subject, char *reason)
{
	Cancellation *cancellation = (Cancellation *) palloc(sizeof(Cancellation));

	cancellation->shop_id = purchase->shop_id;
	cancellation->customer_id = purchase->customer_id;
	cancellation->rule = rule->name;
	cancellation->first_subject = first_subject;
	cancellation->last_subject = last_subject;
	cancellation->reason = reason;
	care->cancellations = lappend(care->cancellations, cancellation);
}

/* Each refund is told once, by the sum given back so far. */
static void
tell_refund(Care *care, const CareRule *rule, int32 source_id,
			const Purchase *before, const Purchase *after)
{
	Numeric		told = same_owner(before, after) ? all_refunded(before) : int64_to_numeric(0);
	Numeric		refunded = all_refunded(after);

	if (after->is_refund || at_least(told, refunded))
		return;
	queue_message(care, rule, source_id, after,
				  psprintf("refund:%d:%s:%s", source_id, after->order_id,
						   DatumGetCString(DirectFunctionCall1(numeric_out,
															   DirectFunctionCall1(numeric_trim_scale,
																				   NumericGetDatum(refunded))))),
				  care->now);
}

/*
 * Queue or cancel what one rule says of an order that went from `before` to
 * `after`, either of which may be NULL.
 */
static void
apply_rule(Care *care, const CareRule *rule, int32 source_id, TimestampTz since,
		   const Purchase *before, const Purchase *after)
{
	bool		moved = before != NULL && after != NULL && !same_owner(before, after);
	TimestampTz was = NO_TIME;
	TimestampTz is = NO_TIME;

	if (before != NULL && rule_applies(rule, before->shop_id))
		was = rule_time(rule, before);
	if (after != NULL && rule_applies(rule, after->shop_id))
		is = rule_time(rule, after);

	if (was != NO_TIME && (is == NO_TIME || moved))
	{
		char	   *subject = order_subject(source_id, before->order_id);

		cancel_message(care, rule, before, subject, subject, cancel_reason(before, after));
	}
	if (is != NO_TIME && is >= since && (was != is || moved))
		queue_message(care, rule, source_id, after,
					  order_subject(source_id, after->order_id), is);
}

/* What waits for the days after a purchase is wrong after the next one. */
static void
apply_last_purchase_rule(Care *care, const CareRule *rule,
						 const Purchase *before, const Purchase *after)
{
	bool		same = same_owner(before, after) &&
		before->state_at[ORDER_PAID] == after->state_at[ORDER_PAID] &&
		(before->value == NULL) == (after->value == NULL);
	bool		of_tier = rule->event == CARE_TIER_AT_RISK;
	char	   *first = of_tier ? FIRST_TIER_SUBJECT : FIRST_PURCHASE_SUBJECT;
	char	   *last = of_tier ? LAST_TIER_SUBJECT : LAST_PURCHASE_SUBJECT;

	if (same)
		return;
	if (before != NULL && before->value != NULL && rule_applies(rule, before->shop_id))
		cancel_message(care, rule, before, first, last, "the purchase was taken back");
	if (after != NULL && after->value != NULL && rule_applies(rule, after->shop_id))
		cancel_message(care, rule, after, first, last, "the customer bought again");
}

/*
 * An order went from one recorded state to another; either may be NULL.  What
 * happened before `since` calls for no message, nor does an order seen for the
 * first time that was placed before.
 */
void
care_order_changed(Care *care, int32 source_id, TimestampTz since,
				   const Purchase *before, const Purchase *after)
{
	ListCell   *lc;

	if (!any_rule_on)
		return;
	if (before == NULL && after != NULL && after->state_at[ORDER_PLACED] < since)
		since = DT_NOEND;

	foreach(lc, rules)
	{
		const CareRule *rule = (const CareRule *) lfirst(lc);

		if (!rule->enabled)
			continue;
		if (rule->event == CARE_LAST_PURCHASE || rule->event == CARE_TIER_AT_RISK)
			apply_last_purchase_rule(care, rule, before, after);
		else if (rule->event == CARE_REFUNDED)
		{
			if (after != NULL && since <= care->now && rule_applies(rule, after->shop_id))
				tell_refund(care, rule, source_id, before, after);
		}
		else
			apply_rule(care, rule, source_id, since, before, after);
	}
}

static Datum
int4_array(Datum *values, int n)
{
	return PointerGetDatum(construct_array(values, n, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

/*
 * By the key of the messages: that is the order in which whoever locks several
 * takes them, so that nobody waits in a circle.
 */
static int
compare_cancellations(const ListCell *a, const ListCell *b)
{
	const Cancellation *x = (const Cancellation *) lfirst(a);
	const Cancellation *y = (const Cancellation *) lfirst(b);
	int			order;

	if (x->shop_id != y->shop_id)
		return x->shop_id < y->shop_id ? -1 : 1;
	order = strcmp(x->customer_id, y->customer_id);
	if (order == 0)
		order = strcmp(x->rule, y->rule);
	if (order == 0)
		order = strcmp(x->first_subject, y->first_subject);
	return order;
}

static void
write_cancellations(Care *care)
{
	int			n = list_length(care->cancellations);
	Datum	   *shops;
	char	   *open_states[] = {"queued", "claimed"};
	char	  **strings[5];
	Datum		args[8];
	ListCell   *lc;
	int			i = 0;

	if (n == 0)
		return;

	list_sort(care->cancellations, compare_cancellations);
	shops = (Datum *) palloc(n * sizeof(Datum));
	for (int k = 0; k < 5; k++)
		strings[k] = (char **) palloc(n * sizeof(char *));
	foreach(lc, care->cancellations)
	{
		const Cancellation *cancellation = (const Cancellation *) lfirst(lc);

		shops[i] = Int32GetDatum(cancellation->shop_id);
		strings[0][i] = cancellation->customer_id;
		strings[1][i] = cancellation->rule;
		strings[2][i] = cancellation->first_subject;
		strings[3][i] = cancellation->last_subject;
		strings[4][i] = cancellation->reason;
		i++;
	}
	args[0] = int4_array(shops, n);
	for (int k = 0; k < 5; k++)
		args[k + 1] = own_text_array(strings[k], n);
	args[6] = TimestampTzGetDatum(care->now);
	args[7] = own_text_array(open_states, lengthof(open_states));
	own_execute(&cancel_messages, args, NULL);
	care->cancellations = NIL;
}

/* What is no longer said goes first: the same message may come back. */
void
care_write(Care *care)
{
	write_cancellations(care);
	own_rows_execute(&care->messages, &insert_messages);
	care->messages.nrows = 0;
}

/*
 * order_event_at(event, order) -> timestamptz: the same for whoever must know
 * later, when a message is about to leave, whether it is still right.
 */
Datum
order_event_at(PG_FUNCTION_ARGS)
{
	static const char *const state_columns[N_ORDER_STATES] = {
		"placed_at", "paid_at", "shipped_at", "delivered_at", "completed_at", "closed_at"
	};
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	HeapTupleHeader row = PG_GETARG_HEAPTUPLEHEADER(1);
	CareEvent	event = event_of(name);
	Purchase	purchase;
	TimestampTz at;
	Datum		value;
	bool		isnull;

	if (event >= CARE_REFUNDED)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not a state of an order", name),
				 errhint("The events are unpaid, closed_unpaid, paid, unshipped, shipped, delivered and completed.")));

	memset(&purchase, 0, sizeof(purchase));
	for (int i = 0; i < N_ORDER_STATES; i++)
	{
		value = GetAttributeByName(row, state_columns[i], &isnull);
		purchase.state_at[i] = isnull ? NO_TIME : DatumGetTimestampTz(value);
	}
	value = GetAttributeByName(row, "is_refund", &isnull);
	purchase.is_refund = !isnull && DatumGetBool(value);
	value = GetAttributeByName(row, "value", &isnull);
	purchase.value = isnull ? NULL : DatumGetNumeric(value);

	at = event_time(event, &purchase);
	if (at == NO_TIME)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(at);
}
