/*
 * sync.c
 *		The one path from an order's present facts to all that is recorded.
 *
 * Sync compares what the shop says of an order now with what is recorded, and
 * posts the difference: statistics, points, messages.  It does not matter how
 * the order got there, so triggers, backfill and repair are the same code, and
 * running it twice changes nothing.
 *
 * Two transactions may change one order through different rows, each seeing
 * only its own change.  So sync locks before it believes: first the customers
 * concerned (the recorded owner and the one the facts name) in the order of
 * their keys, and if any transaction has ended since the facts were read, it
 * reads them again.  The second of two such transactions waits for the first
 * and then sees the sum of both.  An order that has no customer yet is held by
 * its own key.
 *
 * Facts and records are read as of now under REPEATABLE READ too: what is
 * recorded must follow from the shop's tables as they will stand, not as they
 * stood.  What such a transaction has to change and another changed after its
 * snapshot gives a serialization failure, as everywhere.
 */
#include "sync.h"

#include "care.h"
#include "customer_stats.h"
#include "ledger.h"
#include "own_query.h"
#include "points_rule.h"
#include "retention.h"
#include "shop.h"
#include "sync_error.h"
#include "tier_life.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Orders done by one round of statements. */
#define SYNC_BATCH 10000

/* An order on its way from what was recorded to what is to be. */
typedef struct SyncItem
{
	char	   *order_id;
	FactsResult facts;
	bool		had_error;
	bool		held;			/* nobody else can record it until this transaction ends */
	Purchase   *before;			/* as it was recorded; NULL: it was not */
	Purchase   *after;			/* as it is to be; NULL: not at all */
	Purchase   *recorded;		/* as it stands in the table by now */
} SyncItem;

/* The orders of a batch, to tell quickly whether it has one. */
typedef struct ItemName
{
	char	   *order_id;
	char		status;			/* simplehash's own */
} ItemName;

#define SH_PREFIX item_names
#define SH_ELEMENT_TYPE ItemName
#define SH_KEY_TYPE char *
#define SH_KEY order_id
#define SH_HASH_KEY(tb, key) hash_bytes((const unsigned char *) (key), strlen(key))
#define SH_EQUAL(tb, a, b) (strcmp(a, b) == 0)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct SyncBatch
{
	SyncSource *source;
	TimestampTz now;
	TimestampTz first_seen_at;	/* of states undated in an order not recorded */
	TimestampTz messages_since; /* what happened before calls for no message */
	uint64		completions;	/* transactions ended when the facts were read */
	SyncItem   *items;
	int			nitems;
	int			capacity;
	item_names_hash *names;		/* NULL until asked for */
	CustomerSet *customers;
	Ledger		ledger;
	Care		care;
} SyncBatch;

/* ----------
 * Reading
 * ----------
 */

static SyncItem *
add_item(SyncBatch *batch, char *order_id)
{
	SyncItem   *item;

	if (batch->nitems == batch->capacity)
	{
		batch->capacity *= 2;
		batch->items = (SyncItem *) repalloc(batch->items, batch->capacity * sizeof(SyncItem));
	}
	item = &batch->items[batch->nitems++];
	memset(item, 0, sizeof(SyncItem));
	item->order_id = order_id;
	if (batch->names != NULL)
	{
		bool		found;

		(void) item_names_insert(batch->names, order_id, &found);
	}
	return item;
}

static bool
has_item(SyncBatch *batch, char *order_id)
{
	bool		found;

	if (batch->names == NULL)
	{
		batch->names = item_names_create(CurrentMemoryContext, batch->nitems, NULL);
		for (int i = 0; i < batch->nitems; i++)
			(void) item_names_insert(batch->names, batch->items[i].order_id, &found);
	}
	return item_names_lookup(batch->names, order_id) != NULL;
}

static uint64
transactions_completed(void)
{
	return GetLatestSnapshot()->snapXactCompletionCount;
}

/* Read facts and records of the items from `first` on. */
static void
read_items(SyncBatch *batch, int first)
{
	int			n = batch->nitems - first;
	char	  **order_ids;
	Purchase  **purchases;
	FactsResult *facts;
	bool	   *had_error;

	if (n == 0)
		return;

	order_ids = (char **) palloc(n * sizeof(char *));
	purchases = (Purchase **) palloc(n * sizeof(Purchase *));
	facts = (FactsResult *) palloc0(n * sizeof(FactsResult));
	had_error = (bool *) palloc(n * sizeof(bool));
	for (int i = 0; i < n; i++)
		order_ids[i] = batch->items[first + i].order_id;

	batch->source->read_facts(batch->source, order_ids, n, facts);
	purchases_read(batch->source->source_id, order_ids, n, purchases, had_error);

	for (int i = 0; i < n; i++)
	{
		SyncItem   *item = &batch->items[first + i];

		item->facts = facts[i];
		item->before = purchases[i];
		item->recorded = purchases[i];
		item->had_error = had_error[i];
	}
}

/*
 * Read all items, and with each refund order the order that it refunds or was
 * recorded to refund.
 */
static void
read_batch(SyncBatch *batch)
{
	int			nnamed = batch->nitems;

	batch->completions = transactions_completed();
	read_items(batch, 0);

	if (!batch->source->maps_refund_of)
		return;
	for (int i = 0; i < nnamed; i++)
	{
		char	   *refund_of[2] = {NULL, NULL};

		if (batch->items[i].facts.status == FACTS_FOUND)
			refund_of[0] = batch->items[i].facts.facts->refund_of;
		if (batch->items[i].before != NULL)
			refund_of[1] = batch->items[i].before->refund_of;
		for (int k = 0; k < 2; k++)
		{
			if (refund_of[k] != NULL && !has_item(batch, refund_of[k]))
				add_item(batch, refund_of[k]);
		}
	}
	read_items(batch, nnamed);
}

/* The customers that the items concern, sorted. */
static int
collect_customers(SyncBatch *batch, CustomerKey **keys)
{
	int			n = 0;

	*keys = (CustomerKey *) palloc(2 * Max(batch->nitems, 1) * sizeof(CustomerKey));
	for (int i = 0; i < batch->nitems; i++)
	{
		SyncItem   *item = &batch->items[i];

		if (item->before != NULL)
		{
			(*keys)[n].shop_id = item->before->shop_id;
			(*keys)[n++].customer_id = item->before->customer_id;
		}
		if (item->facts.status == FACTS_FOUND && item->facts.facts->customer_id != NULL)
		{
			(*keys)[n].shop_id = item->facts.facts->shop_id;
			(*keys)[n++].customer_id = item->facts.facts->customer_id;
		}
	}
	return customer_keys_sort(*keys, n);
}

static void
check_still_locked(SyncBatch *batch, CustomerKey *keys, int nkeys)
{
	for (int i = 0; i < nkeys; i++)
	{
		if (customer_find(batch->customers, keys[i].shop_id, keys[i].customer_id) == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("could not serialize access: an order of source \"%s\" went to another customer meanwhile",
							batch->source->name),
					 errhint("Try the transaction again.")));
	}
}

/* Whether facts, as they are, call for no record. */
static bool
is_unrecordable(const FactsResult *result)
{
	const OrderFacts *facts = result->facts;

	if (result->status != FACTS_FOUND)
		return result->status == FACTS_ABSENT;

	/* Nobody's, or a shopping cart that shares the order table. */
	return facts->customer_id == NULL ||
		(facts->state[ORDER_PLACED] == STATE_NOT_REACHED &&
		 facts->state[ORDER_PAID] != STATE_REACHED);
}

/*
 * Hold the orders that are not recorded and will not be: two sessions that see
 * such an order with different customers, or one with none, lock no customer
 * in common.  Returns whether there are any not held before.
 */
static bool
hold_unrecorded(SyncBatch *batch)
{
	char	  **order_ids = (char **) palloc(Max(batch->nitems, 1) * sizeof(char *));
	int			n = 0;

	for (int i = 0; i < batch->nitems; i++)
	{
		SyncItem   *item = &batch->items[i];

		if (item->held || item->before != NULL || !is_unrecordable(&item->facts))
			continue;
		order_ids[n++] = item->order_id;
		item->held = true;
	}
	purchases_hold(batch->source->source_id, order_ids, n);
	return n > 0;
}

/*
 * Lock the customers, and make sure that what was read is what is.
 */
static void
lock_batch(SyncBatch *batch, int nnamed)
{
	CustomerKey *keys;
	int			nkeys = collect_customers(batch, &keys);

	batch->customers = customers_lock(keys, nkeys);
	(void) hold_unrecorded(batch);

	while (transactions_completed() != batch->completions)
	{
		batch->nitems = nnamed;
		batch->names = NULL;
		read_batch(batch);
		nkeys = collect_customers(batch, &keys);
		check_still_locked(batch, keys, nkeys);
		if (!hold_unrecorded(batch))
			break;
	}
}

/* ----------
 * From facts to a purchase
 * ----------
 */

static Numeric
zero(void)
{
	return int64_to_numeric(0);
}

static bool
is_negative(Numeric n)
{
	return DatumGetBool(DirectFunctionCall2(numeric_lt, NumericGetDatum(n), NumericGetDatum(zero())));
}

/* In the shop's currency, to as many decimals as the amount had, at least 2. */
static Numeric
convert(Numeric amount, const OrderFacts *facts)
{
	Numeric		converted;
	int32		decimals;

	if (facts->exchange_rate == NULL)
		return amount;
	converted = numeric_mul_opt_error(amount, facts->exchange_rate, NULL);
	decimals = DatumGetInt32(DirectFunctionCall1(numeric_scale, NumericGetDatum(amount)));
	return DatumGetNumeric(DirectFunctionCall2(numeric_round, NumericGetDatum(converted),
											   Int32GetDatum(Max(decimals, 2))));
}

/*
 * What an order from before the attachment does not date happened then: dated
 * by the backfill it would earn points and call for messages as if new.
 */
static TimestampTz
before_attachment(const SyncSource *source)
{
	TimestampTz at = source->attached_at - 1;
	TimestampTz within_second = at % USECS_PER_SEC;

	return at - (within_second >= 0 ? within_second : within_second + USECS_PER_SEC);
}

/* When each state was reached; what the shop does not date is dated when first seen. */
static void
set_states(SyncBatch *batch, const OrderFacts *facts, const Purchase *before, Purchase *after)
{
	TimestampTz first_seen_at = before != NULL ? batch->now : batch->first_seen_at;

	for (int i = 0; i < N_ORDER_STATES; i++)
	{
		after->state_at[i] = NO_TIME;
		if (facts->state[i] != STATE_REACHED)
			continue;
		if (facts->state_at[i] != NO_TIME)
			after->state_at[i] = facts->state_at[i];
		else if (before != NULL && before->state_at[i] != NO_TIME)
			after->state_at[i] = before->state_at[i];
		else
			after->state_at[i] = first_seen_at;
	}

	/* An order that is there was placed, also where the shop does not say when. */
	if (after->state_at[ORDER_PLACED] == NO_TIME)
	{
		if (before != NULL && before->state_at[ORDER_PLACED] != NO_TIME)
			after->state_at[ORDER_PLACED] = before->state_at[ORDER_PLACED];
		else if (after->state_at[ORDER_PAID] != NO_TIME)
			after->state_at[ORDER_PLACED] = after->state_at[ORDER_PAID];
		else
			after->state_at[ORDER_PLACED] = first_seen_at;
	}
}

static Purchase *
purchase_from_facts(SyncBatch *batch, SyncItem *item)
{
	const OrderFacts *facts = item->facts.facts;
	const Purchase *before = item->before;
	Purchase   *after = (Purchase *) palloc0(sizeof(Purchase));
	bool		same_owner = before != NULL &&
		before->shop_id == facts->shop_id &&
		strcmp(before->customer_id, facts->customer_id) == 0;
	bool		is_paid;

	after->order_id = item->order_id;
	after->shop_id = facts->shop_id;
	after->customer_id = facts->customer_id;
	set_states(batch, facts, before, after);
	is_paid = after->state_at[ORDER_PAID] != NO_TIME;

	after->total = convert(facts->total, facts);
	if (facts->paid != NULL)
		after->paid = convert(facts->paid, facts);
	else
		after->paid = is_paid ? after->total : zero();
	after->is_refund = is_negative(after->total) || is_negative(after->paid);

	/* Where a shop records no refunds, closing a paid order is one. */
	if (facts->refunded != NULL)
		after->refunded = convert(facts->refunded, facts);
	else if (is_paid && after->state_at[ORDER_CLOSED] != NO_TIME && !after->is_refund)
		after->refunded = after->paid;
	else
		after->refunded = zero();
	after->refunded_by_orders = zero();

	after->refund_of = after->is_refund ? facts->refund_of : NULL;
	after->currency = facts->currency;
	after->channel = facts->channel;
	after->staff = facts->staff;
	after->referrer = facts->referrer;
	after->points_used = facts->points_used;
	after->has_points_used = facts->has_points_used;
	after->close_reason = facts->close_reason;
	after->attributes = facts->attributes;
	after->has_attributes = facts->has_attributes;

	after->accrual_due_at = NO_TIME;
	after->accrued_at = NO_TIME;
	if (same_owner)
	{
		after->accrued_at = before->accrued_at;
		after->accrual_rate = before->accrual_rate;
		after->accrual_multiplier = before->accrual_multiplier;
		after->accrual_rule = before->accrual_rule;
		after->has_accrual_rule = before->has_accrual_rule;
		after->accrued_points = before->accrued_points;
	}
	return after;
}

static TimestampTz
days_after(TimestampTz at, int days)
{
	Interval	interval;

	if (at == NO_TIME || days == 0)
		return at;
	memset(&interval, 0, sizeof(interval));
	interval.day = days;
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												   TimestampTzGetDatum(at),
												   IntervalPGetDatum(&interval)));
}

/* When the trade is completed, by the shop's word or by the days gone. */
static TimestampTz
completion_time(const SyncSource *source, const Purchase *purchase)
{
	if (source->maps_completed)
		return purchase->state_at[ORDER_COMPLETED];
	return days_after(purchase->state_at[ORDER_PAID], DAYS_TO_COMPLETION);
}

static Purchase *
copy_purchase(const Purchase *purchase)
{
	Purchase   *copy = (Purchase *) palloc(sizeof(Purchase));

	memcpy(copy, purchase, sizeof(Purchase));
	return copy;
}

/* What is to be recorded of an order; NULL for nothing. */
static Purchase *
decide_purchase(SyncBatch *batch, SyncItem *item, SyncCounts *counts)
{
	const OrderFacts *facts = item->facts.facts;
	TimestampTz completed_at;

	switch (item->facts.status)
	{
		case FACTS_FAILED:
			counts->failed++;
			return item->before ? copy_purchase(item->before) : NULL;

		case FACTS_ABSENT:
			if (item->before == NULL || !batch->source->keeps_deleted)
				return NULL;

			/* Archiving old orders must not claw back years of points. */
			completed_at = completion_time(batch->source, item->before);
			if (completed_at == NO_TIME || completed_at > batch->now)
				return NULL;
			return copy_purchase(item->before);

		case FACTS_FOUND:
			break;
	}

	counts->synced++;
	if (facts->customer_id == NULL)
	{
		counts->without_customer++;
		return NULL;
	}

	if (is_unrecordable(&item->facts))
		return NULL;

	return purchase_from_facts(batch, item);
}

static Customer *
owner(SyncBatch *batch, const Purchase *purchase)
{
	return customer_find(batch->customers, purchase->shop_id, purchase->customer_id);
}

static bool
has_same_owner(const Purchase *before, const Purchase *after)
{
	return before != NULL && after != NULL &&
		before->shop_id == after->shop_id &&
		strcmp(before->customer_id, after->customer_id) == 0;
}

/* ----------
 * Refund orders
 * ----------
 */

static bool
is_unlinked_refund(const Purchase *purchase)
{
	return purchase != NULL && purchase->is_refund && purchase->refund_of == NULL &&
		purchase->state_at[ORDER_PAID] != NO_TIME;
}

/*
 * Insert, update or delete what differs from the table; with refunds_only just
 * the negative orders, whose sums the others need.
 */
static void
write_purchases(SyncBatch *batch, bool refunds_only)
{
	Purchase  **inserts = (Purchase **) palloc(batch->nitems * sizeof(Purchase *));
	Purchase  **updates = (Purchase **) palloc(batch->nitems * sizeof(Purchase *));
	char	  **deletes = (char **) palloc(batch->nitems * sizeof(char *));
	int			ninserts = 0;
	int			nupdates = 0;
	int			ndeletes = 0;

	for (int i = 0; i < batch->nitems; i++)
	{
		SyncItem   *item = &batch->items[i];
		bool		refund = (item->recorded != NULL && item->recorded->is_refund) ||
			(item->after != NULL && item->after->is_refund);

		if (refunds_only && !refund)
			continue;
		if (item->recorded == NULL && item->after != NULL)
			inserts[ninserts++] = item->after;
		else if (item->recorded != NULL && item->after == NULL)
			deletes[ndeletes++] = item->order_id;
		else if (item->recorded != NULL && !purchase_equal(item->recorded, item->after))
			updates[nupdates++] = item->after;
		else
			continue;
		item->recorded = item->after ? copy_purchase(item->after) : NULL;
	}

	purchases_delete(batch->source->source_id, deletes, ndeletes);
	purchases_update(batch->source->source_id, updates, nupdates);
	purchases_insert(batch->source->source_id, inserts, ninserts);
}

/* Keep each customer's number of unlinked refunds. */
static void
count_unlinked_refunds(SyncBatch *batch)
{
	for (int i = 0; i < batch->nitems; i++)
	{
		SyncItem   *item = &batch->items[i];

		if (is_unlinked_refund(item->before))
			owner(batch, item->before)->unlinked_refunds--;
		if (is_unlinked_refund(item->after))
			owner(batch, item->after)->unlinked_refunds++;
	}
}

/* Add the customer's other paid orders, as they are recorded. */
static void
add_orders_of_customer(SyncBatch *batch, const Customer *customer)
{
	Purchase  **recorded;
	int			nrecorded;

	nrecorded = purchases_read_of_customer(batch->source->source_id, customer->key.shop_id,
										   customer->key.customer_id, &recorded);
	for (int i = 0; i < nrecorded; i++)
	{
		SyncItem   *item;

		CHECK_FOR_INTERRUPTS();
		if (recorded[i]->state_at[ORDER_PAID] == NO_TIME ||
			has_item(batch, recorded[i]->order_id))
			continue;
		item = add_item(batch, recorded[i]->order_id);
		item->facts.status = FACTS_FOUND;
		item->before = recorded[i];
		item->recorded = recorded[i];
		item->after = copy_purchase(recorded[i]);
	}
}

/* What negative orders that name an order give back for it. */
static void
apply_linked_refunds(SyncBatch *batch)
{
	char	  **order_ids = (char **) palloc(batch->nitems * sizeof(char *));
	Purchase  **purchases = (Purchase **) palloc(batch->nitems * sizeof(Purchase *));
	Numeric    *sums = (Numeric *) palloc(batch->nitems * sizeof(Numeric));
	int			n = 0;

	for (int i = 0; i < batch->nitems; i++)
	{
		Purchase   *after = batch->items[i].after;

		if (after == NULL || after->is_refund)
			continue;
		order_ids[n] = after->order_id;
		sums[n] = zero();
		purchases[n++] = after;
	}
	if (batch->source->maps_refund_of)
		purchases_refunded_by_orders(batch->source->source_id, order_ids, n, sums);
	for (int i = 0; i < n; i++)
		purchases[i]->refunded_by_orders = sums[i];
}

static int
compare_paid_at(const void *a, const void *b)
{
	const Purchase *pa = *(Purchase *const *) a;
	const Purchase *pb = *(Purchase *const *) b;

	if (pa->state_at[ORDER_PAID] != pb->state_at[ORDER_PAID])
		return pa->state_at[ORDER_PAID] < pb->state_at[ORDER_PAID] ? -1 : 1;
	return strcmp(pa->order_id, pb->order_id);
}

/*
 * Apply a customer's unlinked refunds, the oldest refund first, each to the
 * newest purchases paid before it.  What exceeds them is kept: it is applied
 * when such a purchase turns up.  Computed anew from all of the customer's
 * orders, so the order in which they arrive makes no difference.
 */
static void
apply_unlinked_refunds(SyncBatch *batch, const Customer *customer)
{
	Purchase  **orders = (Purchase **) palloc(batch->nitems * sizeof(Purchase *));
	int			norders = 0;

	for (int i = 0; i < batch->nitems; i++)
	{
		Purchase   *after = batch->items[i].after;

		if (after != NULL && after->state_at[ORDER_PAID] != NO_TIME &&
			after->shop_id == customer->key.shop_id &&
			strcmp(after->customer_id, customer->key.customer_id) == 0)
			orders[norders++] = after;
	}
	qsort(orders, norders, sizeof(Purchase *), compare_paid_at);

	for (int r = 0; r < norders; r++)
	{
		Numeric		left;

		if (!is_unlinked_refund(orders[r]))
			continue;
		CHECK_FOR_INTERRUPTS();
		left = numeric_sub_opt_error(zero(), orders[r]->paid, NULL);
		for (int p = r - 1; p >= 0 && is_negative(numeric_sub_opt_error(zero(), left, NULL)); p--)
		{
			Numeric		room;
			Numeric		rest;

			if (orders[p]->is_refund)
				continue;
			room = purchase_net(orders[p]);
			rest = numeric_sub_opt_error(left, room, NULL);
			if (is_negative(rest))
			{
				room = left;
				rest = zero();
			}
			orders[p]->refunded_by_orders = numeric_add_opt_error(orders[p]->refunded_by_orders, room, NULL);
			left = rest;
		}
	}
}

static void
settle_refund_orders(SyncBatch *batch)
{
	bool	   *unlinked = (bool *) palloc0(Max(batch->customers->ncustomers, 1) * sizeof(bool));
	bool		any = batch->source->maps_refund_of;

	for (int i = 0; i < batch->customers->ncustomers; i++)
		unlinked[i] = batch->customers->customers[i].unlinked_refunds > 0;
	count_unlinked_refunds(batch);
	for (int i = 0; i < batch->customers->ncustomers; i++)
	{
		unlinked[i] |= batch->customers->customers[i].unlinked_refunds > 0;
		any |= unlinked[i];
	}
	if (!any)
		return;

	write_purchases(batch, true);
	for (int i = 0; i < batch->customers->ncustomers; i++)
	{
		if (unlinked[i])
			add_orders_of_customer(batch, &batch->customers->customers[i]);
	}
	apply_linked_refunds(batch);
	for (int i = 0; i < batch->customers->ncustomers; i++)
	{
		if (unlinked[i])
			apply_unlinked_refunds(batch, &batch->customers->customers[i]);
	}
}

/* ----------
 * Posting the difference
 * ----------
 */

static Accrual
accrual_of(SyncBatch *batch, const Purchase *purchase, Numeric amount)
{
	Accrual		accrual;

	accrual.source_id = batch->source->source_id;
	accrual.order_id = purchase->order_id;
	accrual.amount = amount;
	accrual.rate = purchase->accrual_rate;
	accrual.multiplier = purchase->accrual_multiplier;
	accrual.rule = purchase->accrual_rule;
	accrual.has_rule = purchase->has_accrual_rule;
	return accrual;
}

/*
 * Decide whether the purchase accrues now, and with what.  It does so once:
 * from then on its points follow the money at the rate and multiplier stored.
 */
static void
start_accrual(SyncBatch *batch, Purchase *after)
{
	const Shop *shop = shop_settings(after->shop_id);
	TimestampTz accrues_at;
	PointsRule	rule;

	after->accrual_due_at = NO_TIME;
	if (after->value == NULL || after->accrued_at != NO_TIME)
		return;

	if (shop->accrue_on == ACCRUE_ON_PAID)
		accrues_at = after->state_at[ORDER_PAID];
	else
		accrues_at = completion_time(batch->source, after);
	accrues_at = days_after(accrues_at, shop->accrue_after_days);

	if (accrues_at == NO_TIME || accrues_at < batch->source->points_from)
		return;
	if (accrues_at > batch->now)
	{
		after->accrual_due_at = accrues_at;
		return;
	}
	after->accrued_at = accrues_at;
	after->accrual_rate = DatumGetNumericCopy(NumericGetDatum(shop->points_rate));
	points_rule_at(after->shop_id, owner(batch, after), after->state_at[ORDER_PAID], accrues_at, &rule);
	after->accrual_multiplier = rule.multiplier;
	after->accrual_rule = rule.rule;
	after->has_accrual_rule = rule.has_rule;
}

static void
post_points(SyncBatch *batch, SyncItem *item, bool same_owner)
{
	Purchase   *before = item->before;
	Purchase   *after = item->after;
	Accrual		accrual;
	int64		target;
	bool		accrued_before;

	if (before != NULL && before->accrued_points != 0 && (after == NULL || !same_owner))
	{
		accrual = accrual_of(batch, before, zero());
		ledger_reverse(&batch->ledger, owner(batch, before), &accrual, before->accrued_points,
					   after == NULL ? "the order was deleted" : "the order went to another customer");
	}

	if (after == NULL || after->is_refund)
		return;
	accrued_before = after->accrued_at != NO_TIME;
	start_accrual(batch, after);
	if (after->accrued_at == NO_TIME)
		return;

	accrual = accrual_of(batch, after, purchase_net(after));
	target = ledger_points_for(&accrual);
	if (target > after->accrued_points)
		ledger_accrue(&batch->ledger, owner(batch, after), &accrual,
					  target - after->accrued_points,
					  accrued_before ? batch->now : after->accrued_at);
	else if (target < after->accrued_points)
		ledger_reverse(&batch->ledger, owner(batch, after), &accrual,
					   after->accrued_points - target, "the order was refunded");
	after->accrued_points = target;
}

static void
post_item(SyncBatch *batch, SyncItem *item)
{
	Purchase   *before = item->before;
	Purchase   *after = item->after;
	bool		same_owner = has_same_owner(before, after);
	bool		same_purchase;

	if (after != NULL)
		purchase_set_value(after);

	same_purchase = same_owner && before->value != NULL && after->value != NULL &&
		before->state_at[ORDER_PAID] == after->state_at[ORDER_PAID] &&
		DatumGetBool(DirectFunctionCall2(numeric_eq, NumericGetDatum(before->value),
										 NumericGetDatum(after->value)));

	if (before != NULL && before->value != NULL && !same_purchase)
		customer_remove_purchase(owner(batch, before), before->state_at[ORDER_PAID], before->value);

	/* A tier earned by this very purchase does not multiply its own points. */
	post_points(batch, item, same_owner);

	if (after != NULL && after->value != NULL && !same_purchase)
		customer_add_purchase(owner(batch, after), after->state_at[ORDER_PAID], after->value);

	if (before != NULL && purchase_is_unpaid(before))
		owner(batch, before)->unpaid_orders--;
	if (after != NULL && purchase_is_unpaid(after))
		owner(batch, after)->unpaid_orders++;

	care_order_changed(&batch->care, batch->source->source_id, batch->messages_since,
					   before, after);
}

/* Orders of a customer are posted in the order they were paid. */
static int
compare_items(const void *a, const void *b)
{
	const SyncItem *ia = *(SyncItem *const *) a;
	const SyncItem *ib = *(SyncItem *const *) b;
	const Purchase *pa = ia->after ? ia->after : ia->before;
	const Purchase *pb = ib->after ? ib->after : ib->before;

	if (pa == NULL || pb == NULL)
		return (pa == NULL) - (pb == NULL);
	if (pa->shop_id != pb->shop_id)
		return pa->shop_id < pb->shop_id ? -1 : 1;
	if (strcmp(pa->customer_id, pb->customer_id) != 0)
		return strcmp(pa->customer_id, pb->customer_id);
	return compare_paid_at(&pa, &pb);
}

static void
post_batch(SyncBatch *batch)
{
	SyncItem  **items = (SyncItem **) palloc(batch->nitems * sizeof(SyncItem *));

	for (int i = 0; i < batch->nitems; i++)
		items[i] = &batch->items[i];
	if (batch->nitems > 1)
		qsort(items, batch->nitems, sizeof(SyncItem *), compare_items);

	for (int i = 0; i < batch->nitems; i++)
	{
		CHECK_FOR_INTERRUPTS();
		post_item(batch, items[i]);
	}
}

/* ----------
 * Errors
 * ----------
 */

static void
write_sync_errors(SyncBatch *batch)
{
	SyncErrors	errors;

	sync_errors_begin(&errors, batch->source, "order", batch->nitems);
	for (int i = 0; i < batch->nitems; i++)
	{
		SyncItem   *item = &batch->items[i];

		if (item->facts.status == FACTS_FAILED)
			sync_errors_add(&errors, item->order_id, item->facts.sqlstate, item->facts.message);
		else if (item->had_error)
			sync_errors_mended(&errors, item->order_id);
	}
	sync_errors_write(&errors);
}

/* ----------
 * A batch, and many
 * ----------
 */

/*
 * Orders recorded for the first time may have been waited for, or changed by a
 * transaction that saw them as nobody's and so locked no customer: their facts
 * must still be those that were recorded.
 */
static void
check_inserted(SyncBatch *batch)
{
	SyncItem  **items = (SyncItem **) palloc(Max(batch->nitems, 1) * sizeof(SyncItem *));
	char	  **order_ids = (char **) palloc(Max(batch->nitems, 1) * sizeof(char *));
	FactsResult *facts;
	int			n = 0;

	for (int i = 0; i < batch->nitems; i++)
	{
		SyncItem   *item = &batch->items[i];

		if (item->before != NULL || item->after == NULL)
			continue;
		order_ids[n] = item->order_id;
		items[n++] = item;
	}
	if (n == 0 || transactions_completed() == batch->completions)
		return;

	facts = (FactsResult *) palloc0(n * sizeof(FactsResult));
	batch->source->read_facts(batch->source, order_ids, n, facts);
	for (int i = 0; i < n; i++)
	{
		SyncItem	now = *items[i];
		Purchase   *after = items[i]->after;
		Purchase   *again;

		now.facts = facts[i];
		if (now.facts.status == FACTS_FOUND && !is_unrecordable(&now.facts))
		{
			/* What follows from other orders and from the accrual is not the facts'. */
			again = purchase_from_facts(batch, &now);
			again->refunded_by_orders = after->refunded_by_orders;
			again->value = after->value;
			again->accrual_due_at = after->accrual_due_at;
			again->accrued_at = after->accrued_at;
			again->accrual_rate = after->accrual_rate;
			again->accrual_multiplier = after->accrual_multiplier;
			again->accrued_points = after->accrued_points;
			if (purchase_equal(again, after))
				continue;
		}
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access: order \"%s\" of source \"%s\" was changed by another transaction meanwhile",
						items[i]->order_id, batch->source->name),
				 errhint("Try the transaction again.")));
	}
}

static void
sync_batch(SyncSource *source, char **order_ids, int norders, SyncCounts *counts)
{
	SyncBatch	batch;

	memset(&batch, 0, sizeof(batch));
	batch.source = source;
	batch.now = retention_clock_now();
	batch.first_seen_at = counts->baseline ? before_attachment(source) : batch.now;
	batch.messages_since = counts->baseline ? DT_NOEND : source->attached_at;
	batch.capacity = norders + 8;
	batch.items = (SyncItem *) palloc(batch.capacity * sizeof(SyncItem));
	for (int i = 0; i < norders; i++)
		add_item(&batch, order_ids[i]);

	read_batch(&batch);
	lock_batch(&batch, norders);

	for (int i = 0; i < batch.nitems; i++)
		batch.items[i].after = decide_purchase(&batch, &batch.items[i], counts);
	settle_refund_orders(&batch);

	ledger_begin(&batch.ledger, batch.now);
	care_begin(&batch.care, batch.now);
	post_batch(&batch);

	write_purchases(&batch, false);
	check_inserted(&batch);
	ledger_write(&batch.ledger);
	care_write(&batch.care);
	tiers_review(batch.customers, batch.now);
	customers_write(batch.customers);
	write_sync_errors(&batch);
}

/* An order and its customer, recorded or to be. */
typedef struct OwnedOrder
{
	CustomerKey owner;
	char	   *order_id;
} OwnedOrder;

static int
compare_owned_orders(const void *a, const void *b)
{
	return customer_key_compare(&((const OwnedOrder *) a)->owner, &((const OwnedOrder *) b)->owner);
}

/*
 * Before the first of many batches: lock the customers of all orders, so that
 * two large transactions lock in one order too; and put each customer's orders
 * together, so that their row is written about once.
 */
static void
prepare_many(SyncSource *source, char **order_ids, int norders)
{
	MemoryContext context = CurrentMemoryContext;
	OwnedOrder *owned = (OwnedOrder *) palloc_extended(norders * sizeof(OwnedOrder), MCXT_ALLOC_HUGE);
	CustomerKey *keys = NULL;
	int			nkeys = 0;
	int			nowned = 0;

	for (int done = 0; done < norders; done += SYNC_BATCH)
	{
		SyncBatch	batch;
		CustomerKey *found;
		int			nfound;
		int			n = Min(SYNC_BATCH, norders - done);

		CHECK_FOR_INTERRUPTS();
		SPI_connect();
		memset(&batch, 0, sizeof(batch));
		batch.source = source;
		batch.capacity = n + 8;
		batch.items = (SyncItem *) palloc(batch.capacity * sizeof(SyncItem));
		for (int i = 0; i < n; i++)
			add_item(&batch, order_ids[done + i]);
		read_batch(&batch);

		for (int i = 0; i < n; i++)
		{
			SyncItem   *item = &batch.items[i];
			OwnedOrder *order = &owned[nowned++];

			order->order_id = item->order_id;
			order->owner.shop_id = 0;
			order->owner.customer_id = "";
			if (item->before != NULL)
			{
				order->owner.shop_id = item->before->shop_id;
				order->owner.customer_id = MemoryContextStrdup(context, item->before->customer_id);
			}
			else if (item->facts.status == FACTS_FOUND && item->facts.facts->customer_id != NULL)
			{
				order->owner.shop_id = item->facts.facts->shop_id;
				order->owner.customer_id = MemoryContextStrdup(context, item->facts.facts->customer_id);
			}
		}

		nfound = collect_customers(&batch, &found);
		keys = keys ? (CustomerKey *) repalloc_huge(keys, (nkeys + nfound) * sizeof(CustomerKey)) :
			(CustomerKey *) MemoryContextAllocHuge(context, Max(nfound, 1) * sizeof(CustomerKey));
		for (int i = 0; i < nfound; i++)
		{
			keys[nkeys + i].shop_id = found[i].shop_id;
			keys[nkeys + i].customer_id = MemoryContextStrdup(context, found[i].customer_id);
		}
		nkeys += nfound;
		SPI_finish();
	}

	SPI_connect();
	(void) customers_lock(keys, customer_keys_sort(keys, nkeys));
	SPI_finish();

	qsort(owned, norders, sizeof(OwnedOrder), compare_owned_orders);
	for (int i = 0; i < norders; i++)
		order_ids[i] = owned[i].order_id;
}

/*
 * Bring what is recorded of the orders named up to what the shop says now.
 * To be called as the extension's owner, in the shop's time zone; may put the
 * names in another order.
 */
void
sync_orders(SyncSource *source, char **order_ids, int norders, SyncCounts *counts)
{
	if (norders > SYNC_BATCH)
		prepare_many(source, order_ids, norders);
	for (int done = 0; done < norders; done += SYNC_BATCH)
	{
		CHECK_FOR_INTERRUPTS();
		SPI_connect();
		sync_batch(source, order_ids + done, Min(SYNC_BATCH, norders - done), counts);
		SPI_finish();
	}
}
