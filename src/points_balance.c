/*
 * points_balance.c
 *		What a customer can spend at a moment, and what points are worth.
 *
 * For now, or any moment after the customer's last entry, the counters in the
 * customer's row give the answer; only what has fallen due since and was not
 * posted yet is looked up.  For an earlier moment the entries are added up.
 */
#include "points_request.h"

#include "retention.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(points_balance);

static OwnQuery read_counters = {
	"SELECT points_posted, points_held, points_debt, points_as_of, points_due_at"
	" FROM retention.customer_stats"
	" WHERE shop_id = $1 AND customer_id = $2",
	2, {"int4", "text"}
};

/* Points of lots that have lapsed and no open hold keeps, and of holds timed out. */
static OwnQuery read_due = {
	"WITH held AS ("
	"SELECT h.points, h.times_out_at, h.allocations"
	" FROM retention.points_hold h"
	" WHERE h.shop_id = $1 AND h.customer_id = $2 AND h.state = 'open'"
	")"
	" SELECT (coalesce(sum(l.remaining - coalesce(k.held, 0)), 0))::bigint,"
	" (SELECT coalesce(sum(points), 0) FROM held WHERE times_out_at <= $3)::bigint"
	" FROM retention.points_lot l"
	" LEFT JOIN ("
	"SELECT (part ->> 0)::bigint AS entry_no, sum((part ->> 1)::bigint) AS held"
	" FROM held CROSS JOIN LATERAL jsonb_array_elements(allocations) AS part"
	" WHERE times_out_at > $3"
	" GROUP BY 1"
	") AS k ON k.entry_no = l.entry_no"
	" WHERE l.shop_id = $1 AND l.customer_id = $2 AND l.is_open AND l.expires_at <= $3",
	3, {"int4", "text", "timestamptz"}
};

static OwnQuery read_past = {
	"SELECT (SELECT coalesce(sum(e.points), 0)"
	" FROM retention.points_entry e"
	" WHERE e.shop_id = $1 AND e.customer_id = $2 AND e.effective_at <= $3)::bigint,"
	" (SELECT coalesce(sum(h.points), 0)"
	" FROM retention.points_hold h"
	" WHERE h.shop_id = $1 AND h.customer_id = $2 AND h.held_at <= $3"
	" AND coalesce(h.resolved_at, h.times_out_at) > $3)::bigint",
	3, {"int4", "text", "timestamptz"}
};

static int64
balance_at(int32 shop_id, char *customer, TimestampTz at)
{
	Datum		args[3];
	HeapTuple	row;
	int64		posted;
	int64		held;
	int64		debt;
	TimestampTz due_at;

	args[0] = Int32GetDatum(shop_id);
	args[1] = CStringGetTextDatum(customer);
	args[2] = TimestampTzGetDatum(at);
	if (own_read(&read_counters, args, NULL) == 0)
		return 0;

	row = SPI_tuptable->vals[0];
	posted = own_int64(row, 1);
	held = own_int64(row, 2);
	debt = own_int64(row, 3);
	due_at = own_time(row, 5);

	if (at < own_time(row, 4))
	{
		(void) own_read(&read_past, args, NULL);
		row = SPI_tuptable->vals[0];
		return own_int64(row, 1) - own_int64(row, 2);
	}
	if (due_at != NO_TIME && due_at <= at)
	{
		int64		lapsed;

		(void) own_read(&read_due, args, NULL);
		row = SPI_tuptable->vals[0];
		lapsed = own_int64(row, 1);
		held -= own_int64(row, 2);

		/* Points that lapse repay debt first. */
		posted -= lapsed - Min(lapsed, debt);
	}
	return posted - held;
}

/*
 * points_balance(customer, at, shop)
 */
Datum
points_balance(PG_FUNCTION_ARGS)
{
	char	   *customer;
	char	   *shop = points_optional_text(fcinfo, 2);
	TimestampTz at = PG_ARGISNULL(1) ? retention_clock_now() : PG_GETARG_TIMESTAMPTZ(1);
	int32		shop_id;
	OwnContext	saved;
	int64		balance;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	customer = points_customer_argument(fcinfo, 0, "customer");
	shop_id = shop_lookup(shop, shop == NULL);

	own_begin(&saved);
	SPI_connect();
	balance = balance_at(shop_id, customer, at);
	SPI_finish();
	own_end(&saved);
	PG_RETURN_INT64(balance);
}
