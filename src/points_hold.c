/*
 * points_hold.c
 *		Points set aside at checkout: hold, then capture or release, or the
 *		timeout.
 *
 * A hold sets points of certain lots aside: nobody else can spend them, and
 * they do not lapse while it is open.  It resolves once.  After its timeout it
 * no longer counts, whether or not the sweep has been by.
 */
#include "points_hold.h"

#include "expiry.h"
#include "points_request.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(hold);
PG_FUNCTION_INFO_V1(capture);
PG_FUNCTION_INFO_V1(release);

static OwnQuery insert_hold = {
	"INSERT INTO retention.points_hold"
	" (shop_id, customer_id, reference, points, order_id, held_at, times_out_at, allocations,"
	" request, posted_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
	10, {"int4", "text", "text", "int8", "text", "timestamptz", "timestamptz", "jsonb", "jsonb", "timestamptz"}
};

static OwnQuery read_hold = {
	"SELECT state, points, order_id, times_out_at, resolved_at, captured, entry_no, allocations, request"
	" FROM retention.points_hold"
	" WHERE shop_id = $1 AND customer_id = $2 AND reference = $3",
	3, {"int4", "text", "text"}
};

static OwnQuery resolve_hold = {
	"UPDATE retention.points_hold"
	" SET state = $4, resolved_at = $5, captured = $6, entry_no = $7"
	" WHERE shop_id = $1 AND customer_id = $2 AND reference = $3 AND state = 'open'",
	7, {"int4", "text", "text", "text", "timestamptz", "int8", "int8"}
};

static OwnQuery next_timeout = {
	"SELECT min(times_out_at) FROM retention.points_hold"
	" WHERE shop_id = $1 AND customer_id = $2 AND state = 'open'",
	2, {"int4", "text"}
};

static OwnQuery time_out_holds = {
	"UPDATE retention.points_hold"
	" SET state = 'timed_out', resolved_at = times_out_at"
	" WHERE shop_id = $1 AND customer_id = $2 AND state = 'open' AND times_out_at <= $3"
	" RETURNING points, allocations",
	3, {"int4", "text", "timestamptz"}
};

static const LotChange set_aside = {.held = 1};
static const LotChange let_go = {.held = -1};

TimestampTz
hold_next_timeout(const Customer *customer)
{
	Datum		args[2];

	args[0] = Int32GetDatum(customer->key.shop_id);
	args[1] = CStringGetTextDatum(customer->key.customer_id);
	(void) own_execute(&next_timeout, args, NULL);
	return own_time(SPI_tuptable->vals[0], 1);
}

void
hold_time_out(Customer *customer, TimestampTz at)
{
	Datum		args[3];
	uint64		n;
	SPITupleTable *held;

	args[0] = Int32GetDatum(customer->key.shop_id);
	args[1] = CStringGetTextDatum(customer->key.customer_id);
	args[2] = TimestampTzGetDatum(at);
	n = own_execute(&time_out_holds, args, NULL);
	held = SPI_tuptable;
	for (uint64 i = 0; i < n; i++)
	{
		bool		isnull;
		LotParts   *parts = lot_parts_from_jsonb(SPI_getbinval(held->vals[i], held->tupdesc, 2, &isnull));

		customer->points_held -= parts->points;
		lots_change(customer, parts, let_go);
	}
	customer_touch(customer);
}

/*
 * hold(customer, points, reference, timeout, order_id, at, shop)
 */
Datum
hold(PG_FUNCTION_ARGS)
{
	PointsRequest request;
	PointsResult result;
	int64		points = points_amount_argument(fcinfo, 1);
	Interval   *timeout = PG_ARGISNULL(3) ? NULL : PG_GETARG_INTERVAL_P(3);
	char	   *order_id = points_optional_text(fcinfo, 4);

	points_request_prepare(&request, fcinfo, "hold", 2, 5, 6);
	points_request_int(&request, "points", points);
	points_request_text(&request, "order_id", order_id);
	if (timeout != NULL)
		points_request_text(&request, "timeout",
							psprintf("%d months %d days " INT64_FORMAT " microseconds",
									 timeout->month, timeout->day, timeout->time));
	else
		timeout = shop_settings(request.key.shop_id)->hold_timeout;

	if (points_request_begin(&request, &result))
	{
		LotParts   *parts = points_take(&request, points);
		TimestampTz times_out_at;
		Datum		args[10];
		char		nulls[10] = {' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '};

		times_out_at = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
															   TimestampTzGetDatum(request.at),
															   IntervalPGetDatum(timeout)));
		if (times_out_at <= request.at)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("timeout of a hold must be positive")));

		lots_change(request.customer, parts, set_aside);
		request.customer->points_held += points;
		if (request.at > request.customer->points_as_of)
			request.customer->points_as_of = request.at;
		ledger_due(request.customer, times_out_at);
		customer_touch(request.customer);

		args[0] = Int32GetDatum(request.key.shop_id);
		args[1] = CStringGetTextDatum(request.key.customer_id);
		args[2] = CStringGetTextDatum(request.reference);
		args[3] = Int64GetDatum(points);
		args[4] = order_id ? CStringGetTextDatum(order_id) : (Datum) 0;
		nulls[4] = order_id ? ' ' : 'n';
		args[5] = TimestampTzGetDatum(request.at);
		args[6] = TimestampTzGetDatum(times_out_at);
		args[7] = lot_parts_to_jsonb(parts, false);
		args[8] = request.request;
		args[9] = TimestampTzGetDatum(request.ledger.posted_at);
		own_execute(&insert_hold, args, nulls);

		result.points = points;
		result.times_out_at = times_out_at;
	}
	else
		result.entry_no = 0;
	return points_request_finish(&request, &result);
}

/* An open hold, or one already resolved, as it is recorded. */
typedef struct Hold
{
	char	   *state;
	int64		points;
	char	   *order_id;
	TimestampTz times_out_at;
	TimestampTz resolved_at;
	int64		captured;
	int64		entry_no;
	LotParts   *parts;
} Hold;

static void
hold_key_args(const PointsRequest *request, Datum *args)
{
	args[0] = Int32GetDatum(request->key.shop_id);
	args[1] = CStringGetTextDatum(request->key.customer_id);
	args[2] = CStringGetTextDatum(request->reference);
}

static void
hold_read(PointsRequest *request, Hold *hold)
{
	Datum		args[3];
	HeapTuple	tuple;
	bool		isnull;

	hold_key_args(request, args);
	if (own_execute(&read_hold, args, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("customer \"%s\" has no hold with reference \"%s\"",
						request->key.customer_id, request->reference)));
	tuple = SPI_tuptable->vals[0];
	hold->state = own_text(tuple, 1);
	hold->points = own_int64(tuple, 2);
	hold->order_id = own_text(tuple, 3);
	hold->times_out_at = own_time(tuple, 4);
	hold->resolved_at = own_time(tuple, 5);
	hold->captured = own_int64(tuple, 6);
	hold->entry_no = own_int64(tuple, 7);
	hold->parts = lot_parts_from_jsonb(own_copy(tuple, 8, &isnull));
}

static void
hold_resolve(PointsRequest *request, Hold *hold, const char *state,
			 int64 captured, int64 entry_no)
{
	Datum		args[7];
	char		nulls[7] = {' ', ' ', ' ', ' ', ' ', ' ', ' '};

	hold_key_args(request, args);
	args[3] = CStringGetTextDatum(state);
	args[4] = TimestampTzGetDatum(request->at);
	args[5] = Int64GetDatum(captured);
	args[6] = Int64GetDatum(entry_no);
	if (entry_no == 0)
		nulls[5] = nulls[6] = 'n';
	if (own_execute(&resolve_hold, args, nulls) != 1)
		elog(ERROR, "hold \"%s\" is no longer open", request->reference);

	request->customer->points_held -= hold->points;
	if (request->at > request->customer->points_as_of)
		request->customer->points_as_of = request->at;
	customer_touch(request->customer);
}

static void
refuse_resolved(const PointsRequest *request, const Hold *hold)
{
	if (strcmp(hold->state, "timed_out") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("hold \"%s\" of customer \"%s\" timed out at %s",
						request->reference, request->key.customer_id,
						timestamptz_to_str(hold->times_out_at)),
				 errhint("Its points are free again: redeem() them, or hold() them anew.")));
	if (strcmp(hold->state, "captured") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("hold \"%s\" of customer \"%s\" was already captured with " INT64_FORMAT " of " INT64_FORMAT " points",
						request->reference, request->key.customer_id, hold->captured, hold->points),
				 errhint("A hold resolves once; cancel_redemption() gives points back.")));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("hold \"%s\" of customer \"%s\" was already released at %s",
					request->reference, request->key.customer_id,
					timestamptz_to_str(hold->resolved_at)),
			 errhint("A hold resolves once; hold() the points anew.")));
}

/* The customer is locked and settled; what the reference stands for is a hold. */
static void
hold_begin(PointsRequest *request, PointsResult *result, Hold *hold)
{
	points_request_lock(request, result);
	hold_read(request, hold);
}

/*
 * capture(customer, reference, points, at, shop): the points held, or some of
 * them, are redeemed; the others are free again.
 */
Datum
capture(PG_FUNCTION_ARGS)
{
	PointsRequest request;
	PointsResult result;
	Hold		hold;
	int64		points = PG_ARGISNULL(2) ? 0 : points_amount_argument(fcinfo, 2);

	points_request_prepare(&request, fcinfo, "capture", 1, 3, 4);
	if (points > 0)
		points_request_int(&request, "points", points);
	hold_begin(&request, &result, &hold);
	if (points == 0)
		points = hold.points;

	if (strcmp(hold.state, "open") != 0)
	{
		if (strcmp(hold.state, "captured") != 0 || hold.captured != points)
			refuse_resolved(&request, &hold);
		result.entry_no = hold.entry_no;
	}
	else if (points > hold.points)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("hold \"%s\" of customer \"%s\" is of " INT64_FORMAT " points: " INT64_FORMAT " cannot be captured",
						request.reference, request.key.customer_id, hold.points, points)));
	else
	{
		Posting		posting = {.kind = "redemption"};

		lots_change(request.customer, hold.parts, let_go);
		posting.points = -points;
		posting.effective_at = request.at;
		posting.order_id = hold.order_id;
		posting.reference = request.reference;
		posting.request = request.request;
		result.entry_no = ledger_debit(&request.ledger, request.customer, &posting,
									   lot_parts_slice(hold.parts, 0, points));
		hold_resolve(&request, &hold, "captured", points, result.entry_no);
		points_freed(&request.ledger, request.customer, request.at);
	}
	result.points = -points;
	return points_request_finish(&request, &result);
}

/*
 * release(customer, reference, at, shop): the points held are free again.
 */
Datum
release(PG_FUNCTION_ARGS)
{
	PointsRequest request;
	PointsResult result;
	Hold		hold;

	points_request_prepare(&request, fcinfo, "release", 1, 2, 3);
	hold_begin(&request, &result, &hold);

	if (strcmp(hold.state, "open") == 0)
	{
		lots_change(request.customer, hold.parts, let_go);
		hold_resolve(&request, &hold, "released", 0, 0);
		points_freed(&request.ledger, request.customer, request.at);
	}
	else if (strcmp(hold.state, "captured") == 0)
		refuse_resolved(&request, &hold);
	result.points = hold.points;
	return points_request_finish(&request, &result);
}
