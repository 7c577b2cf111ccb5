/*
 * expiry.c
 *		When points lapse, and doing what falls due for a customer by itself.
 *
 * customer_stats.points_due_at is the first moment at which anything can fall
 * due for the customer (never later than the truth), so most operations know
 * from the row they have locked that there is nothing to do.
 */
#include "expiry.h"

#include "points_hold.h"
#include "retention.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

/* Customers settled by one round of statements. */
#define EXPIRY_BATCH 500

PG_FUNCTION_INFO_V1(expire_points);

static OwnQuery due_customers = {
	"SELECT customer_id FROM retention.customer_stats"
	" WHERE shop_id = $1 AND points_due_at <= $2 AND customer_id > $3"
	" ORDER BY shop_id, customer_id"
	" LIMIT $4",
	4, {"int4", "timestamptz", "text", "int8"}
};

static TimestampTz
months_after(TimestampTz at, int months)
{
	Interval	interval;

	memset(&interval, 0, sizeof(interval));
	interval.month = months;
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												   TimestampTzGetDatum(at),
												   IntervalPGetDatum(&interval)));
}

/* The first moment of the period after the one that the moment lies in. */
static TimestampTz
end_of(const char *period, int months, TimestampTz at)
{
	TimestampTz start = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_trunc,
																CStringGetTextDatum(period),
																TimestampTzGetDatum(at)));

	return months_after(start, months);
}

TimestampTz
shop_expires_at(const Shop *shop, TimestampTz at)
{
	TimestampTz expires_at;

	if (shop->points_expiry == EXPIRY_NONE)
		return NO_TIME;
	expires_at = months_after(at, shop->points_expiry_months);
	switch (shop->points_expiry)
	{
		case EXPIRY_END_OF_MONTH:
			return end_of("month", 1, expires_at);
		case EXPIRY_END_OF_QUARTER:
			return end_of("quarter", 3, expires_at);
		case EXPIRY_END_OF_YEAR:
			return end_of("year", 12, expires_at);
		default:
			return expires_at;
	}
}

TimestampTz
shop_expires_at_local(int32 shop_id, TimestampTz at)
{
	const Shop *shop = shop_settings(shop_id);
	TimestampTz expires_at;
	int			guc_level;

	if (shop->points_expiry == EXPIRY_NONE)
		return NO_TIME;
	guc_level = NewGUCNestLevel();
	own_set_time_zone(shop->time_zone);
	expires_at = shop_expires_at(shop_settings(shop_id), at);
	AtEOXact_GUC(false, guc_level);
	return expires_at;
}

static char *
rule_text(Datum rule, const char *key)
{
	Jsonb	   *jsonb = DatumGetJsonbP(rule);
	JsonbValue	buffer;
	JsonbValue *value = getKeyJsonValueFromContainer(&jsonb->root, key, strlen(key), &buffer);

	if (value == NULL || value->type != jbvString)
		return NULL;
	return pnstrdup(value->val.string.val, value->val.string.len);
}

PointsRounding
rule_rounding(Datum rule)
{
	char	   *rounding = rule_text(rule, "rounding");

	if (rounding != NULL && strcmp(rounding, "nearest") == 0)
		return ROUND_NEAREST;
	if (rounding != NULL && strcmp(rounding, "up") == 0)
		return ROUND_UP;
	return ROUND_DOWN;
}

TimestampTz
rule_expires_at(Datum rule)
{
	char	   *expires_at = rule_text(rule, "expires_at");

	if (expires_at == NULL)
		return NO_TIME;
	return DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in,
												   CStringGetDatum(expires_at),
												   ObjectIdGetDatum(InvalidOid),
												   Int32GetDatum(-1)));
}

/*
 * Expire what lapses by then, an entry for each moment of lapsing.  Points
 * that only became free at `freed_at` expire at that moment, not before.
 */
static void
expire_until(Ledger *ledger, Customer *customer, TimestampTz until, TimestampTz freed_at)
{
	LotParts   *lapsing = lots_lapsing(customer, until);
	int			i = 0;

	while (i < lapsing->n)
	{
		LotParts   *together = lot_parts_create();
		TimestampTz expires_at = lapsing->parts[i].expires_at;

		CHECK_FOR_INTERRUPTS();
		while (i < lapsing->n && (lapsing->parts[i].expires_at == expires_at ||
								  lapsing->parts[i].expires_at <= freed_at))
		{
			lot_parts_add(together, lapsing->parts[i].entry_no, lapsing->parts[i].points, expires_at);
			i++;
		}
		ledger_lapse(ledger, customer, together, Max(expires_at, freed_at));
	}
}

void
points_freed(Ledger *ledger, Customer *customer, TimestampTz at)
{
	ledger_write(ledger);
	expire_until(ledger, customer, at, at);
	customer->points_due_at = lots_next_due(customer);
	customer_touch(customer);
}

void
points_settle(Ledger *ledger, Customer *customer, TimestampTz at)
{
	TimestampTz freed_at = NO_TIME;

	if (customer->points_due_at == NO_TIME || customer->points_due_at > at)
		return;

	ledger_write(ledger);
	for (;;)
	{
		TimestampTz times_out_at = NO_TIME;

		CHECK_FOR_INTERRUPTS();
		if (customer->points_held > 0)
			times_out_at = hold_next_timeout(customer);
		if (times_out_at == NO_TIME || times_out_at > at)
			break;
		expire_until(ledger, customer, times_out_at, freed_at);
		hold_time_out(customer, times_out_at);
		freed_at = times_out_at;
	}
	expire_until(ledger, customer, at, freed_at);
	customer->points_due_at = lots_next_due(customer);
	customer_touch(customer);
}

/*
 * expire_points(at, shop): settle every customer for whom something is due.
 * Returns the points that lapsed.
 */
Datum
expire_points(PG_FUNCTION_ARGS)
{
	TimestampTz at = PG_ARGISNULL(0) ? retention_clock_now() : PG_GETARG_TIMESTAMPTZ(0);
	char	   *shop = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	int32		shop_id = shop_lookup(shop, false);
	MemoryContext batch_context;
	MemoryContext old;
	OwnContext	saved;
	char	   *last = pstrdup("");
	int64		lapsed = 0;
	uint64		n;

	batch_context = AllocSetContextCreate(CurrentMemoryContext, "points expiry", ALLOCSET_DEFAULT_SIZES);
	own_begin(&saved);
	do
	{
		CustomerKey *keys;
		CustomerSet *set;
		Ledger		ledger;
		Datum		args[4];

		CHECK_FOR_INTERRUPTS();
		SPI_connect();
		args[0] = Int32GetDatum(shop_id);
		args[1] = TimestampTzGetDatum(at);
		args[2] = CStringGetTextDatum(last);
		args[3] = Int64GetDatum(EXPIRY_BATCH);
		n = own_execute(&due_customers, args, NULL);
		if (n > 0)
		{
			keys = (CustomerKey *) palloc(n * sizeof(CustomerKey));
			for (uint64 i = 0; i < n; i++)
			{
				keys[i].shop_id = shop_id;
				keys[i].customer_id = own_text(SPI_tuptable->vals[i], 1);
			}
			old = MemoryContextSwitchTo(batch_context);
			MemoryContextReset(batch_context);
			last = pstrdup(keys[n - 1].customer_id);
			MemoryContextSwitchTo(old);

			set = customers_lock(keys, (int) n);
			ledger_begin(&ledger, at);
			for (int i = 0; i < set->ncustomers; i++)
			{
				int64		before = set->customers[i].points_posted;

				points_settle(&ledger, &set->customers[i], at);
				lapsed += before - set->customers[i].points_posted;
			}
			ledger_write(&ledger);
			customers_write(set);
		}
		SPI_finish();
	} while (n == EXPIRY_BATCH);
	own_end(&saved);
	PG_RETURN_INT64(lapsed);
}
