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
#include "sync_batch.h"

#include "own_query.h"
#include "retention.h"
#include "sync_error.h"
#include "tier_life.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* ----------
 * Reading
 * ----------
 */

void
sync_batch_init(SyncBatch *batch, SyncSource *source, char **order_ids, int norders)
{
	memset(batch, 0, sizeof(SyncBatch));
	batch->source = source;
	batch->capacity = norders + 8;
	batch->items = (SyncItem *) palloc(batch->capacity * sizeof(SyncItem));
	for (int i = 0; i < norders; i++)
		sync_add_item(batch, order_ids[i]);
}

SyncItem *
sync_add_item(SyncBatch *batch, char *order_id)
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
	if (batch->index != NULL)
		order_index_add(batch->index, order_id, batch->nitems - 1);
	return item;
}

bool
sync_has_item(SyncBatch *batch, char *order_id)
{
	if (batch->index == NULL)
	{
		batch->index = order_index_create(NULL, 0);
		for (int i = 0; i < batch->nitems; i++)
			order_index_add(batch->index, batch->items[i].order_id, i);
	}
	return order_index_find(batch->index, order_id) >= 0;
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
	had_error = (bool *) palloc0(n * sizeof(bool));
	for (int i = 0; i < n; i++)
		order_ids[i] = batch->items[first + i].order_id;

	batch->source->read_facts(batch->source, order_ids, n, batch->owners_only, facts);
	purchases_read(batch->source->source_id, order_ids, n, purchases);
	if (!batch->owners_only)
		purchases_read_errors(batch->source->source_id, order_ids, n, had_error);

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
void
sync_read_batch(SyncBatch *batch)
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
			if (refund_of[k] != NULL && !sync_has_item(batch, refund_of[k]))
				sync_add_item(batch, refund_of[k]);
		}
	}
	read_items(batch, nnamed);
}

/* The customers that an item concerns: as recorded and as the facts have it. */
int
sync_item_owners(const SyncItem *item, CustomerKey owners[2])
{
	int			n = 0;

	if (item->before != NULL)
	{
		owners[n].shop_id = item->before->shop_id;
		owners[n++].customer_id = item->before->customer_id;
	}
	if (item->facts.status == FACTS_FOUND && item->facts.facts->customer_id != NULL)
	{
		owners[n].shop_id = item->facts.facts->shop_id;
		owners[n++].customer_id = item->facts.facts->customer_id;
	}
	if (n == 2 && customer_key_compare(&owners[0], &owners[1]) == 0)
		n = 1;
	return n;
}

/* The customers that the items concern, sorted. */
static int
collect_customers(SyncBatch *batch, CustomerKey **keys)
{
	int			n = 0;

	*keys = (CustomerKey *) palloc(2 * Max(batch->nitems, 1) * sizeof(CustomerKey));
	for (int i = 0; i < batch->nitems; i++)
		n += sync_item_owners(&batch->items[i], *keys + n);
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

		if (item->held || item->before != NULL || !facts_call_for_no_record(&item->facts))
			continue;
		order_ids[n++] = item->order_id;
		item->held = true;
	}
	purchases_hold(batch->source->source_id, order_ids, n);
	return n > 0;
}

/* Whether the batch was read when all its customers were locked. */
static bool
was_locked(const SyncBatch *batch, const CustomerKey *keys, int nkeys)
{
	if (batch->locked == NULL)
		return false;
	for (int i = 0; i < nkeys; i++)
	{
		if (!customer_keys_have(batch->locked, &keys[i]))
			return false;
	}
	return true;
}

/*
 * Lock the customers, and make sure that what was read is what is.
 */
static void
lock_batch(SyncBatch *batch, int nnamed)
{
	CustomerKey *keys;
	int			nkeys = collect_customers(batch, &keys);
	bool		held;

	batch->customers = batch->locked != NULL ? customers_lock_all_known(keys, nkeys) :
		customers_lock(keys, nkeys);
	held = hold_unrecorded(batch);
	if (was_locked(batch, keys, nkeys) && !held)
		return;

	while (transactions_completed() != batch->completions)
	{
		batch->nitems = nnamed;
		batch->index = NULL;
		sync_read_batch(batch);
		nkeys = collect_customers(batch, &keys);
		check_still_locked(batch, keys, nkeys);
		if (!hold_unrecorded(batch))
			break;
	}
}

/* ----------
 * Writing
 * ----------
 */

Customer *
sync_owner(SyncBatch *batch, const Purchase *purchase)
{
	return customer_find(batch->customers, purchase->shop_id, purchase->customer_id);
}

/*
 * Insert, update or delete what differs from the table; with refunds_only just
 * the negative orders, whose sums the others need.
 */
void
sync_write_purchases(SyncBatch *batch, bool refunds_only)
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

		/* What is written last of all is not compared with anything any more. */
		if (refunds_only)
			item->recorded = item->after ? purchase_copy(item->after) : NULL;
	}

	purchases_delete(batch->source->source_id, deletes, ndeletes);
	purchases_update(batch->source->source_id, updates, nupdates);
	purchases_insert(batch->source->source_id, inserts, ninserts);
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
	batch->source->read_facts(batch->source, order_ids, n, false, facts);
	for (int i = 0; i < n; i++)
	{
		SyncItem	now = *items[i];
		Purchase   *after = items[i]->after;
		Purchase   *again;

		now.facts = facts[i];
		if (now.facts.status == FACTS_FOUND && !facts_call_for_no_record(&now.facts))
		{
			/* What follows from other orders and from the accrual is not the facts'. */
			again = sync_purchase_from_facts(batch, &now);
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
sync_batch(SyncSource *source, char **order_ids, int norders, const CustomerKeys *locked,
		   SyncCounts *counts)
{
	SyncBatch	batch;

	sync_batch_init(&batch, source, order_ids, norders);
	batch.locked = locked;
	batch.now = retention_clock_now();
	batch.first_seen_at = counts->baseline ? sync_before_attachment(source) : batch.now;
	batch.messages_since = counts->baseline ? DT_NOEND : source->attached_at;

	sync_read_batch(&batch);
	lock_batch(&batch, norders);

	for (int i = 0; i < batch.nitems; i++)
		batch.items[i].after = sync_decide_purchase(&batch, &batch.items[i], counts);
	sync_settle_refund_orders(&batch);

	ledger_begin(&batch.ledger, batch.now);
	care_begin(&batch.care, batch.now);
	sync_post_batch(&batch);

	sync_write_purchases(&batch, false);
	check_inserted(&batch);
	ledger_write(&batch.ledger);
	care_write(&batch.care);
	tiers_review(batch.customers, batch.now);
	customers_write(batch.customers);
	write_sync_errors(&batch);
}

/*
 * Bring what is recorded of the orders named up to what the shop says now.
 * To be called as the extension's owner, in the shop's time zone; may put the
 * names in another order.
 */
void
sync_orders(SyncSource *source, char **order_ids, int norders, SyncCounts *counts)
{
	CustomerKeys *locked = NULL;

	if (norders > SYNC_BATCH)
		locked = sync_lock_ahead(source, order_ids, norders);
	for (int done = 0; done < norders; done += SYNC_BATCH)
	{
		CHECK_FOR_INTERRUPTS();
		SPI_connect();
		sync_batch(source, order_ids + done, Min(SYNC_BATCH, norders - done), locked, counts);
		SPI_finish();
	}
}
