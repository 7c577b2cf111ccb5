/*
 * purchase_facts.c
 *		From an order's facts to the purchase that is to be recorded.
 */
#include "sync_batch.h"

#include "own_query.h"

#include "fmgr.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

/* Whether facts, as they are, call for no record. */
bool
facts_call_for_no_record(const FactsResult *result)
{
	const OrderFacts *facts = result->facts;

	if (result->status != FACTS_FOUND)
		return result->status == FACTS_ABSENT;

	/* Nobody's, or a shopping cart that shares the order table. */
	return facts->customer_id == NULL ||
		(facts->state[ORDER_PLACED] == STATE_NOT_REACHED &&
		 facts->state[ORDER_PAID] != STATE_REACHED);
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
TimestampTz
sync_before_attachment(const SyncSource *source)
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

Purchase *
sync_purchase_from_facts(SyncBatch *batch, SyncItem *item)
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
		after->paid = is_paid ? after->total : money_zero();
	after->is_refund = money_is_negative(after->total) || money_is_negative(after->paid);

	/* Where a shop records no refunds, closing a paid order is one. */
	if (facts->refunded != NULL)
		after->refunded = convert(facts->refunded, facts);
	else if (is_paid && after->state_at[ORDER_CLOSED] != NO_TIME && !after->is_refund)
		after->refunded = after->paid;
	else
		after->refunded = money_zero();
	after->refunded_by_orders = money_zero();

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

TimestampTz
sync_days_after(TimestampTz at, int days)
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
TimestampTz
sync_completion_time(const SyncSource *source, const Purchase *purchase)
{
	if (source->maps_completed)
		return purchase->state_at[ORDER_COMPLETED];
	return sync_days_after(purchase->state_at[ORDER_PAID], DAYS_TO_COMPLETION);
}

/* What is to be recorded of an order; NULL for nothing. */
Purchase *
sync_decide_purchase(SyncBatch *batch, SyncItem *item, SyncCounts *counts)
{
	const OrderFacts *facts = item->facts.facts;
	TimestampTz completed_at;

	switch (item->facts.status)
	{
		case FACTS_FAILED:
			counts->failed++;
			return item->before ? purchase_copy(item->before) : NULL;

		case FACTS_ABSENT:
			if (item->before == NULL || !batch->source->keeps_deleted)
				return NULL;

			/* Archiving old orders must not claw back years of points. */
			completed_at = sync_completion_time(batch->source, item->before);
			if (completed_at == NO_TIME || completed_at > batch->now)
				return NULL;
			return purchase_copy(item->before);

		case FACTS_FOUND:
			break;
	}

	counts->synced++;
	if (facts->customer_id == NULL)
	{
		counts->without_customer++;
		return NULL;
	}

	if (facts_call_for_no_record(&item->facts))
		return NULL;

	return sync_purchase_from_facts(batch, item);
}
