/*
 * refund_orders.c
 *		Negative orders: which purchases they refund, and by how much.
 */
#include "sync_batch.h"

#include "own_query.h"

#include "miscadmin.h"

static bool
is_unlinked_refund(const Purchase *purchase)
{
	return purchase != NULL && purchase->is_refund && purchase->refund_of == NULL &&
		purchase->state_at[ORDER_PAID] != NO_TIME;
}

/* Keep each customer's number of unlinked refunds. */
static void
count_unlinked_refunds(SyncBatch *batch)
{
	for (int i = 0; i < batch->nitems; i++)
	{
		SyncItem   *item = &batch->items[i];

		if (is_unlinked_refund(item->before))
			sync_owner(batch, item->before)->unlinked_refunds--;
		if (is_unlinked_refund(item->after))
			sync_owner(batch, item->after)->unlinked_refunds++;
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
			sync_has_item(batch, recorded[i]->order_id))
			continue;
		item = sync_add_item(batch, recorded[i]->order_id);
		item->facts.status = FACTS_FOUND;
		item->before = recorded[i];
		item->recorded = recorded[i];
		item->after = purchase_copy(recorded[i]);
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
		sums[n] = money_zero();
		purchases[n++] = after;
	}
	if (batch->source->maps_refund_of)
		purchases_refunded_by_orders(batch->source->source_id, order_ids, n, sums);
	for (int i = 0; i < n; i++)
		purchases[i]->refunded_by_orders = sums[i];
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
	qsort(orders, norders, sizeof(Purchase *), purchase_compare_paid_at);

	for (int r = 0; r < norders; r++)
	{
		Numeric		left;

		if (!is_unlinked_refund(orders[r]))
			continue;
		CHECK_FOR_INTERRUPTS();
		left = numeric_sub_opt_error(money_zero(), orders[r]->paid, NULL);
		for (int p = r - 1; p >= 0 && money_is_negative(numeric_sub_opt_error(money_zero(), left, NULL)); p--)
		{
			Numeric		room;
			Numeric		rest;

			if (orders[p]->is_refund)
				continue;
			room = purchase_net(orders[p]);
			rest = numeric_sub_opt_error(left, room, NULL);
			if (money_is_negative(rest))
			{
				room = left;
				rest = money_zero();
			}
			orders[p]->refunded_by_orders = numeric_add_opt_error(orders[p]->refunded_by_orders, room, NULL);
			left = rest;
		}
	}
}

void
sync_settle_refund_orders(SyncBatch *batch)
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

	sync_write_purchases(batch, true);
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
