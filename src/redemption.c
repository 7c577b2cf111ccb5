/*
 * redemption.c
 *		Spending points, and taking that back.
 */
#include "expiry.h"
#include "points_request.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

PG_FUNCTION_INFO_V1(redeem);
PG_FUNCTION_INFO_V1(cancel_redemption);

static OwnQuery find_redemption = {
	"SELECT entry_no, points, order_id, allocations, kind"
	" FROM retention.points_entry"
	" WHERE shop_id = $1 AND customer_id = $2 AND reference = $3",
	3, {"int4", "text", "text"}
};

static OwnQuery sum_cancelled = {
	"SELECT coalesce(sum(points), 0)::bigint"
	" FROM retention.points_entry"
	" WHERE shop_id = $1 AND customer_id = $2 AND undoes = $3",
	3, {"int4", "text", "int8"}
};

/*
 * redeem(customer, points, reference, order_id, at, shop)
 */
Datum
redeem(PG_FUNCTION_ARGS)
{
	PointsRequest request;
	PointsResult result;
	int64		points = points_amount_argument(fcinfo, 1);
	char	   *order_id = points_optional_text(fcinfo, 3);

	points_request_prepare(&request, fcinfo, "redeem", 2, 4, 5);
	points_request_int(&request, "points", points);
	points_request_text(&request, "order_id", order_id);

	if (points_request_begin(&request, &result))
	{
		Posting		posting = {.kind = "redemption"};
		LotParts   *parts = points_take(&request, points);

		posting.points = -points;
		posting.effective_at = request.at;
		posting.order_id = order_id;
		posting.reference = request.reference;
		posting.request = request.request;
		result.entry_no = ledger_debit(&request.ledger, request.customer, &posting, parts);
		result.points = -points;
	}
	return points_request_finish(&request, &result);
}

/*
 * Give points back to the lots they were taken from, the last taken first.
 * They repay debt first, of the lots that lapse first; what comes back to a
 * lot that has lapsed meanwhile expires at once.
 */
static int64
give_back(PointsRequest *request, Posting *posting, LotParts *parts)
{
	Customer   *customer = request->customer;
	int64		repaid = Min(parts->points, customer->points_debt);
	LotParts   *kept = parts;
	LotChange	put = {.remaining = 1};
	int64		entry_no;

	lots_read_expiry(customer, parts);
	if (repaid > 0)
		kept = lot_parts_slice(lot_parts_reverse(parts), repaid, parts->points - repaid);
	lots_change(customer, kept, put);

	posting->debt = -repaid;
	posting->parts = kept;
	posting->expires_at = NO_TIME;
	entry_no = ledger_post(&request->ledger, customer, posting);
	points_freed(&request->ledger, customer, request->at);
	return entry_no;
}

/*
 * cancel_redemption(customer, reference, points, cancel_reference, at, shop)
 */
Datum
cancel_redemption(PG_FUNCTION_ARGS)
{
	PointsRequest request;
	PointsResult result;
	char	   *redemption = points_text_argument(fcinfo, 1, "reference");
	int64		points = PG_ARGISNULL(2) ? 0 : points_amount_argument(fcinfo, 2);
	char	   *cancel_reference = points_optional_text(fcinfo, 3);

	points_request_prepare(&request, fcinfo, "cancel_redemption", 1, 4, 5);
	request.reference = cancel_reference ? cancel_reference : psprintf("cancel %s", redemption);
	points_request_text(&request, "reference", redemption);
	if (points > 0)
		points_request_int(&request, "points", points);

	if (points_request_begin(&request, &result))
	{
		Posting		posting = {.kind = "cancellation"};
		Datum		args[3];
		HeapTuple	tuple;
		bool		isnull;
		int64		cancelled;
		int64		left;
		LotParts   *parts;

		args[0] = Int32GetDatum(request.key.shop_id);
		args[1] = CStringGetTextDatum(request.key.customer_id);
		args[2] = CStringGetTextDatum(redemption);
		if (own_execute(&find_redemption, args, NULL) == 0 ||
			strcmp(own_text(SPI_tuptable->vals[0], 5), "redemption") != 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("customer \"%s\" has no redemption with reference \"%s\"",
							request.key.customer_id, redemption)));
		tuple = SPI_tuptable->vals[0];
		posting.undoes = own_int64(tuple, 1);
		left = -own_int64(tuple, 2);
		posting.order_id = own_text(tuple, 3);
		parts = lot_parts_reverse(lot_parts_from_jsonb(own_copy(tuple, 4, &isnull)));

		args[2] = Int64GetDatum(posting.undoes);
		(void) own_execute(&sum_cancelled, args, NULL);
		cancelled = own_int64(SPI_tuptable->vals[0], 1);
		left -= cancelled;
		if (left == 0 || points > left)
			ereport(ERROR,
					(errcode(ERRCODE_CHECK_VIOLATION),
					 errmsg("redemption \"%s\" of customer \"%s\" has " INT64_FORMAT " points left to cancel",
							redemption, request.key.customer_id, left),
					 cancelled > 0 ?
					 errdetail(INT64_FORMAT " points of it have been cancelled already.", cancelled) : 0));
		if (points == 0)
			points = left;

		posting.points = points;
		posting.effective_at = request.at;
		posting.reference = request.reference;
		posting.request = request.request;
		result.entry_no = give_back(&request, &posting, lot_parts_slice(parts, cancelled, points));
		result.points = points;
	}
	return points_request_finish(&request, &result);
}
