/*
 * grant.c
 *		Points that no order earned: bonuses, corrections, and the merging of
 *		two accounts.
 */
#include "expiry.h"
#include "points_request.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(points_grant);
PG_FUNCTION_INFO_V1(grant_referral);
PG_FUNCTION_INFO_V1(adjust);
PG_FUNCTION_INFO_V1(transfer);

/*
 * grant(customer, points, reason, reference, expires_at, at, shop): without an
 * expiry of its own a grant lapses by the shop's rule.
 */
static Datum
grant_as(FunctionCallInfo fcinfo, const char *kind)
{
	PointsRequest request;
	PointsResult result;
	int64		points = points_amount_argument(fcinfo, 1);
	char	   *reason = points_text_argument(fcinfo, 2, "reason");
	TimestampTz expires_at = PG_ARGISNULL(4) ? NO_TIME : PG_GETARG_TIMESTAMPTZ(4);

	points_request_prepare(&request, fcinfo, "grant", 3, 5, 6);
	points_request_int(&request, "points", points);
	points_request_text(&request, "reason", reason);
	points_request_time(&request, "expires_at", expires_at);

	if (expires_at != NO_TIME && expires_at <= request.at)
	{
		char	   *at = pstrdup(timestamptz_to_str(request.at));

		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("points granted at %s would have lapsed at %s already",
						at, timestamptz_to_str(expires_at))));
	}
	if (expires_at == NO_TIME)
		expires_at = shop_expires_at_local(request.key.shop_id, request.at);
	else if (TIMESTAMP_IS_NOEND(expires_at))
		expires_at = NO_TIME;

	if (points_request_begin(&request, &result))
	{
		Posting		posting = {.kind = kind};

		posting.points = points;
		posting.effective_at = request.at;
		posting.expires_at = expires_at;
		posting.reason = reason;
		posting.reference = request.reference;
		posting.request = request.request;
		result.entry_no = ledger_credit(&request.ledger, request.customer, &posting);
		result.points = points;
	}
	return points_request_finish(&request, &result);
}

Datum
points_grant(PG_FUNCTION_ARGS)
{
	return grant_as(fcinfo, "bonus");
}

/*
 * grant_referral(): the same, told apart in the four parts of a balance.
 */
Datum
grant_referral(PG_FUNCTION_ARGS)
{
	return grant_as(fcinfo, "referral");
}

/*
 * adjust(customer, points, reason, reference, at, shop): what is taken beyond
 * the points there are becomes debt.
 */
Datum
adjust(PG_FUNCTION_ARGS)
{
	PointsRequest request;
	PointsResult result;
	int64		points = PG_ARGISNULL(1) ? 0 : PG_GETARG_INT64(1);
	char	   *reason;
	TimestampTz expires_at;

	if (points == 0 || points == PG_INT64_MIN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("points of an adjustment must be a positive or negative number")));
	reason = points_text_argument(fcinfo, 2, "reason");
	points_request_prepare(&request, fcinfo, "adjust", 3, 4, 5);
	points_request_int(&request, "points", points);
	points_request_text(&request, "reason", reason);
	expires_at = points > 0 ? shop_expires_at_local(request.key.shop_id, request.at) : NO_TIME;

	if (points_request_begin(&request, &result))
	{
		Posting		posting = {.kind = "adjustment"};

		posting.points = points;
		posting.effective_at = request.at;
		posting.expires_at = expires_at;
		posting.reason = reason;
		posting.reference = request.reference;
		posting.request = request.request;
		if (points > 0)
			result.entry_no = ledger_credit(&request.ledger, request.customer, &posting);
		else
		{
			LotParts   *parts = lots_choose(request.customer, -points, request.at);

			posting.debt = -points - parts->points;
			result.entry_no = ledger_debit(&request.ledger, request.customer, &posting, parts);
		}
		result.points = points;
	}
	return points_request_finish(&request, &result);
}

/*
 * transfer(customer, to_customer, points, reference, at, shop): the other
 * gets an entry and a lot for each expiry of what is transferred.
 */
Datum
transfer(PG_FUNCTION_ARGS)
{
	PointsRequest request;
	PointsResult result;
	int64		points = PG_ARGISNULL(2) ? 0 : points_amount_argument(fcinfo, 2);

	points_request_prepare(&request, fcinfo, "transfer", 3, 4, 5);
	request.other.shop_id = request.key.shop_id;
	request.other.customer_id = points_customer_argument(fcinfo, 1, "to_customer");
	if (strcmp(request.key.customer_id, request.other.customer_id) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("customer \"%s\" cannot transfer points to the same customer",
						request.key.customer_id)));
	points_request_text(&request, "to", request.other.customer_id);
	if (points > 0)
		points_request_int(&request, "points", points);

	if (points_request_begin(&request, &result))
	{
		Posting		out = {.kind = "transfer"};
		Customer   *to = customer_find(request.customers, request.other.shop_id,
									   request.other.customer_id);
		LotParts   *parts;

		if (points == 0)
			points = points_available(request.customer);
		if (points <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_CHECK_VIOLATION),
					 errmsg("customer \"%s\" has no points to transfer: " INT64_FORMAT " available",
							request.key.customer_id, points)));
		parts = points_take(&request, points);
		out.points = -points;
		out.effective_at = request.at;
		out.reference = request.reference;
		out.request = request.request;
		out.other_customer = request.other.customer_id;
		result.entry_no = ledger_debit(&request.ledger, request.customer, &out, parts);
		result.points = -points;

		for (int i = 0; i < parts->n;)
		{
			Posting		in = {.kind = "transfer"};

			in.effective_at = request.at;
			in.expires_at = parts->parts[i].expires_at;
			in.other_customer = request.key.customer_id;
			for (; i < parts->n && parts->parts[i].expires_at == in.expires_at; i++)
				in.points += parts->parts[i].points;
			ledger_credit(&request.ledger, to, &in);
		}
	}
	return points_request_finish(&request, &result);
}
