/*
 * tier_life.c
 *		The tier that a customer has: up at once, down after a grace period.
 *
 * A tier can change by time alone, when a purchase leaves the shop's window or
 * a grace period ends.  The next such moment is kept with the customer, and a
 * late review takes them one after the other, so that it makes no difference
 * when run() comes by.
 */
#include "tier_life.h"

#include "own_query.h"
#include "retention.h"
#include "shop.h"
#include "tier.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* Customers reviewed by one round of statements. */
#define REVIEW_BATCH 500

PG_FUNCTION_INFO_V1(review_tiers);

static const char *const change_columns[] = {
	"shop_id", "customer_id", "change_no", "changed_at", "from_tier", "to_tier", "reason"
};

#define N_CHANGE_COLUMNS lengthof(change_columns)

/* The changes come numbered from 1 for each customer. */
static OwnQuery insert_changes = {
	"INSERT INTO retention.tier_change"
	" (shop_id, customer_id, change_no, changed_at, from_tier, to_tier, reason)"
	" SELECT u.shop_id, u.customer_id,"
	" u.change_no + coalesce((SELECT max(c.change_no) FROM retention.tier_change c"
	" WHERE c.shop_id = u.shop_id AND c.customer_id = u.customer_id), 0),"
	" u.changed_at, u.from_tier, u.to_tier, u.reason"
	" FROM unnest($1) AS u",
	1, {"retention.tier_change[]"}
};

static OwnQuery due_reviews = {
	"SELECT customer_id FROM retention.customer_stats"
	" WHERE shop_id = $1 AND customer_id > $2 AND ($4 OR tier_review_at <= $3)"
	" ORDER BY shop_id, customer_id"
	" LIMIT $5",
	5, {"int4", "text", "timestamptz", "bool", "int8"}
};

/* A customer under review, and the changes to be written. */
typedef struct Review
{
	Customer   *customer;
	int64		nchanges;		/* of this customer */
	OwnRows    *changes;		/* of all */
} Review;

static void
change_tier(Review *review, const char *to, TimestampTz at, const char *reason, bool log)
{
	Customer   *customer = review->customer;

	if (log)
	{
		Datum		v[N_CHANGE_COLUMNS];
		bool		isnull[N_CHANGE_COLUMNS] = {false};

		customer_key_as_args(customer, v);
		v[2] = Int64GetDatum(++review->nchanges);
		v[3] = TimestampTzGetDatum(at);
		own_set_text(&v[4], &isnull[4], customer->tier);
		own_set_text(&v[5], &isnull[5], to);
		v[6] = CStringGetTextDatum(reason);
		own_rows_add(review->changes, N_CHANGE_COLUMNS, change_columns, v, isnull);
	}
	customer->tier = to ? pstrdup(to) : NULL;
	customer->tier_since = at;
}

static TimestampTz
plus(TimestampTz at, Interval *interval)
{
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												   TimestampTzGetDatum(at),
												   IntervalPGetDatum(interval)));
}

/* When the first purchase that counts will no longer count. */
static TimestampTz
next_to_leave(Customer *customer, Interval *window, TimestampTz from, TimestampTz at)
{
	TimestampTz first;
	TimestampTz leaves;

	if (customer->history_from != NO_TIME && from < customer->history_from)
		return at + USECS_PER_DAY;
	first = customer_first_purchase_from(customer, from);
	if (first == NO_TIME)
		return NO_TIME;
	leaves = plus(first, window) + 1;

	/* Months are not of one length: there and back may end a day off. */
	return leaves > at ? leaves : at + USECS_PER_DAY;
}

/* Of two moments the earlier, where NO_TIME is none. */
static TimestampTz
earlier(TimestampTz a, TimestampTz b)
{
	if (a == NO_TIME || b == NO_TIME)
		return a == NO_TIME ? b : a;
	return Min(a, b);
}

/*
 * Review the tier as of that moment, and find when to do so next.
 */
static void
review_at(Review *review, TimestampTz at)
{
	Customer   *customer = review->customer;
	int32		shop_id = customer->key.shop_id;
	const Shop *shop = shop_settings(shop_id);
	bool		one_rung = shop->tier_down_one_rung;
	Interval	window;
	Interval	grace;
	bool		has_window = shop->tier_window != NULL;
	TimestampTz from = NO_TIME;
	int64		purchases;
	Numeric		spent;
	const char *reached;
	int			reached_height;
	int			height;

	memset(&grace, 0, sizeof(grace));
	if (shop->tier_grace != NULL)
		grace = *shop->tier_grace;
	if (has_window)
	{
		window = *shop->tier_window;
		from = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_mi_interval,
													   TimestampTzGetDatum(at),
													   IntervalPGetDatum(&window)));
	}

	customer_bought_before(customer, from, DT_NOEND, &purchases, &spent);
	reached = tier_name(shop_id, spent, purchases);
	reached_height = tier_height(shop_id, reached);
	height = tier_height(shop_id, customer->tier);

	if (reached_height > height || (height == 0 && customer->tier != NULL))
	{
		/* The lowest rung, where everybody starts, is not worth a line. */
		bool		log = customer->tier != NULL ||
			tier_next_lower(shop_id, reached_height) != NULL;

		change_tier(review, reached, at,
					height == 0 && customer->tier != NULL ? "the ladder changed" : "reached", log);
		customer->tier_below_since = NO_TIME;
		height = reached_height;
	}
	else if (reached_height == height)
		customer->tier_below_since = NO_TIME;
	else
	{
		if (customer->tier_below_since == NO_TIME)
			customer->tier_below_since = at;
		if (plus(customer->tier_below_since, &grace) <= at)
		{
			const char *to = one_rung ? tier_next_lower(shop_id, height) : reached;

			change_tier(review, to, at, "no longer reached", true);
			height = tier_height(shop_id, to);
			customer->tier_below_since = height > reached_height ? at : NO_TIME;

			/* Without a grace period one rung at a time is one a review. */
		}
	}

	customer->tier_review_at = NO_TIME;
	if (customer->tier_below_since != NO_TIME)
	{
		TimestampTz ends = plus(customer->tier_below_since, &grace);

		customer->tier_review_at = ends > at ? ends : at + USECS_PER_DAY;
	}
	if (has_window && tier_next_lower(shop_id, height) != NULL)
		customer->tier_review_at = earlier(customer->tier_review_at,
										   next_to_leave(customer, &window, from, at));
	customer_touch(customer);
}

static void
review_until(Customer *customer, TimestampTz now, OwnRows *changes)
{
	Review		review = {customer, 0, changes};

	while (customer->tier_review_at != NO_TIME && customer->tier_review_at < now)
	{
		CHECK_FOR_INTERRUPTS();
		review_at(&review, customer->tier_review_at);
	}
	review_at(&review, now);
}

void
tiers_review(CustomerSet *set, TimestampTz now)
{
	OwnRows		changes;

	own_rows_init(&changes, "tier_change");
	for (int i = 0; i < set->ncustomers; i++)
	{
		if (customer_changed(&set->customers[i]))
			review_until(&set->customers[i], now, &changes);
	}
	own_rows_execute(&changes, &insert_changes);
}

/*
 * review_tiers(shop_id, at, everybody) -> bigint: review the tiers for which
 * it is time, or all; returns the number of tiers that changed.
 */
Datum
review_tiers(PG_FUNCTION_ARGS)
{
	int32		shop_id = PG_GETARG_INT32(0);
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(1);
	bool		everybody = PG_GETARG_BOOL(2);
	MemoryContext caller = CurrentMemoryContext;
	OwnContext	saved;
	char	   *last = pstrdup("");
	int64		changes = 0;
	uint64		n;

	own_begin(&saved);
	own_set_time_zone(shop_settings(shop_id)->time_zone);
	do
	{
		Datum		args[5];

		CHECK_FOR_INTERRUPTS();
		SPI_connect();
		args[0] = Int32GetDatum(shop_id);
		args[1] = CStringGetTextDatum(last);
		args[2] = TimestampTzGetDatum(at);
		args[3] = BoolGetDatum(everybody);
		args[4] = Int64GetDatum(REVIEW_BATCH);
		n = own_execute(&due_reviews, args, NULL);
		if (n > 0)
		{
			CustomerKey *keys = (CustomerKey *) palloc(n * sizeof(CustomerKey));
			CustomerSet *set;
			OwnRows		tier_changes;

			for (uint64 i = 0; i < n; i++)
			{
				keys[i].shop_id = shop_id;
				keys[i].customer_id = own_text(SPI_tuptable->vals[i], 1);
			}
			pfree(last);
			last = MemoryContextStrdup(caller, keys[n - 1].customer_id);

			set = customers_lock(keys, (int) n);
			own_rows_init(&tier_changes, "tier_change");
			for (int i = 0; i < set->ncustomers; i++)
			{
				Customer   *customer = &set->customers[i];
				TimestampTz since = customer->tier_since;

				review_until(customer, at, &tier_changes);
				changes += (customer->tier_since != since);
			}
			own_rows_execute(&tier_changes, &insert_changes);
			customers_write(set);
		}
		SPI_finish();
	} while (n == REVIEW_BATCH);
	own_end(&saved);
	PG_RETURN_INT64(changes);
}
