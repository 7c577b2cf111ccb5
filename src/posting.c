/*
 * posting.c
 *		Posting what an order changes: points, statistics, tiers, messages.
 */
#include "sync_batch.h"

#include "own_query.h"
#include "points_rule.h"
#include "shop.h"
#include "tier_life.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"

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
		accrues_at = sync_completion_time(batch->source, after);
	accrues_at = sync_days_after(accrues_at, shop->accrue_after_days);

	if (accrues_at == NO_TIME || accrues_at < batch->source->points_from)
		return;
	if (accrues_at > batch->now)
	{
		after->accrual_due_at = accrues_at;
		return;
	}
	after->accrued_at = accrues_at;
	after->accrual_rate = DatumGetNumericCopy(NumericGetDatum(shop->points_rate));
	points_rule_at(after->shop_id, sync_owner(batch, after), after->state_at[ORDER_PAID], accrues_at, &rule);
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
		accrual = accrual_of(batch, before, money_zero());
		ledger_reverse(&batch->ledger, sync_owner(batch, before), &accrual, before->accrued_points,
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
		ledger_accrue(&batch->ledger, sync_owner(batch, after), &accrual,
					  target - after->accrued_points,
					  accrued_before ? batch->now : after->accrued_at);
	else if (target < after->accrued_points)
		ledger_reverse(&batch->ledger, sync_owner(batch, after), &accrual,
					   after->accrued_points - target, "the order was refunded");
	after->accrued_points = target;
}

static void
post_item(SyncBatch *batch, SyncItem *item)
{
	Purchase   *before = item->before;
	Purchase   *after = item->after;
	bool		same_owner = purchase_same_owner(before, after);
	bool		same_purchase;

	if (after != NULL)
		purchase_set_value(after);

	same_purchase = same_owner && before->value != NULL && after->value != NULL &&
		before->state_at[ORDER_PAID] == after->state_at[ORDER_PAID] &&
		DatumGetBool(DirectFunctionCall2(numeric_eq, NumericGetDatum(before->value),
										 NumericGetDatum(after->value)));

	if (before != NULL && before->value != NULL && !same_purchase)
		customer_remove_purchase(sync_owner(batch, before), before->state_at[ORDER_PAID], before->value);

	/* A tier earned by this very purchase does not multiply its own points. */
	post_points(batch, item, same_owner);

	if (after != NULL && after->value != NULL && !same_purchase)
		customer_add_purchase(sync_owner(batch, after), after->state_at[ORDER_PAID], after->value);

	if (before != NULL && purchase_is_unpaid(before))
		sync_owner(batch, before)->unpaid_orders--;
	if (after != NULL && purchase_is_unpaid(after))
		sync_owner(batch, after)->unpaid_orders++;

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
	return purchase_compare_paid_at(&pa, &pb);
}

void
sync_post_batch(SyncBatch *batch)
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
