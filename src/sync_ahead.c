/*
 * sync_ahead.c
 *		What comes before the first of many batches: their customers are
 *		locked, and the orders put in the order in which they are synced.
 *
 * All customers are locked ahead, so that two large transactions lock in one
 * order too.  For that only the owners are read; each batch reads the rest, and
 * what it reads stands, as its customers are locked by then.
 */
#include "sync_batch.h"

#include "executor/spi.h"
#include "miscadmin.h"

/* An order and its customer, recorded or to be. */
typedef struct OwnedOrder
{
	CustomerKey owner;
	TimestampTz paid_at;		/* as the facts have it now */
	char	   *order_id;
} OwnedOrder;

static int
compare_owned_orders(const void *a, const void *b)
{
	const OwnedOrder *x = (const OwnedOrder *) a;
	const OwnedOrder *y = (const OwnedOrder *) b;
	int			order = customer_key_compare(&x->owner, &y->owner);

	if (order == 0 && x->paid_at != y->paid_at)
		order = x->paid_at < y->paid_at ? -1 : 1;
	return order;
}

static bool
is_owned(const OwnedOrder *order)
{
	return order->owner.customer_id[0] != '\0';
}

/*
 * One owner goes with the order, another one and those of the orders that the
 * batch refunds among `others`.
 */
static void
take_owners(SyncBatch *batch, int nnamed, OwnedOrder *owned, CustomerKeys *others)
{
	for (int i = 0; i < batch->nitems; i++)
	{
		SyncItem   *item = &batch->items[i];
		CustomerKey owners[2];
		int			nowners = sync_item_owners(item, owners);
		int			taken = 0;

		if (i < nnamed)
		{
			owned[i].order_id = item->order_id;
			owned[i].paid_at = item->facts.status == FACTS_FOUND ?
				item->facts.facts->state_at[ORDER_PAID] : 0;
			owned[i].owner.shop_id = 0;
			owned[i].owner.customer_id = "";
			if (nowners > 0)
				customer_key_copy(&owned[i].owner, &owners[taken++], others->context);
		}
		for (; taken < nowners; taken++)
			customer_keys_add(others, &owners[taken]);
	}
}

static void
read_owners(SyncSource *source, char **order_ids, int norders,
			OwnedOrder *owned, CustomerKeys *others)
{
	for (int done = 0; done < norders; done += SYNC_BATCH)
	{
		SyncBatch	batch;
		int			n = Min(SYNC_BATCH, norders - done);

		CHECK_FOR_INTERRUPTS();
		SPI_connect();
		sync_batch_init(&batch, source, order_ids + done, n);
		batch.owners_only = true;
		sync_read_batch(&batch);
		take_owners(&batch, n, owned + done, others);
		SPI_finish();
	}
}

/*
 * Lock the customers of all these orders.  Puts each customer's orders
 * together, so that their row is written about once, and in order of time, so
 * that a long history grows at its end.
 */
CustomerKeys *
sync_lock_ahead(SyncSource *source, char **order_ids, int norders)
{
	OwnedOrder *owned = (OwnedOrder *) palloc_extended(norders * sizeof(OwnedOrder), MCXT_ALLOC_HUGE);
	CustomerKeys *keys = customer_keys_create(CurrentMemoryContext);

	read_owners(source, order_ids, norders, owned, keys);
	qsort(owned, norders, sizeof(OwnedOrder), compare_owned_orders);
	for (int i = 0; i < norders; i++)
	{
		order_ids[i] = owned[i].order_id;
		if (is_owned(&owned[i]) &&
			(i == 0 || customer_key_compare(&owned[i - 1].owner, &owned[i].owner) != 0))
			customer_keys_add(keys, &owned[i].owner);
	}
	pfree(owned);

	keys->nkeys = customer_keys_sort(keys->keys, keys->nkeys);
	customers_lock_ahead(keys);
	return keys;
}
