/*
 * points_request.c
 *		What the operations on points have in common.
 *
 * A reference names one request of one customer for good.  The request is kept
 * with what it did, so that asking the same again gives the same answer, and
 * asking something else under the same reference is refused.
 */
#include "points_request.h"

#include "expiry.h"
#include "retention.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

static OwnQuery find_reference = {
	"SELECT e.entry_no, e.points, e.request, NULL"
	" FROM retention.points_entry e"
	" WHERE e.shop_id = $1 AND e.customer_id = $2 AND e.reference = $3"
	" UNION ALL"
	" SELECT NULL, h.points, h.request, h.times_out_at"
	" FROM retention.points_hold h"
	" WHERE h.shop_id = $1 AND h.customer_id = $2 AND h.reference = $3",
	3, {"int4", "text", "text"}
};

static OwnQuery customer_exists = {
	"SELECT FROM retention.customer WHERE shop_id = $1 AND customer_id = $2"
	" UNION ALL"
	" SELECT FROM retention.customer_stats WHERE shop_id = $1 AND customer_id = $2",
	2, {"int4", "text"}
};

static void
refuse_null(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("argument \"%s\" must not be null", name)));
}

char *
points_customer_argument(FunctionCallInfo fcinfo, int argno, const char *name)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, argno);

	if (PG_ARGISNULL(argno))
		refuse_null(name);
	if (!OidIsValid(type) || type == TEXTOID)
		return text_to_cstring(PG_GETARG_TEXT_PP(argno));
	return TextDatumGetCString(customer_key_of(type, PG_GETARG_DATUM(argno)));
}

char *
points_optional_text(FunctionCallInfo fcinfo, int argno)
{
	return PG_ARGISNULL(argno) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(argno));
}

char *
points_text_argument(FunctionCallInfo fcinfo, int argno, const char *name)
{
	char	   *text = points_optional_text(fcinfo, argno);

	if (text == NULL)
		refuse_null(name);
	if (text[strspn(text, " \t\n\r")] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be empty", name)));
	return text;
}

int64
points_amount_argument(FunctionCallInfo fcinfo, int argno)
{
	int64		points;

	if (PG_ARGISNULL(argno))
		refuse_null("points");
	points = PG_GETARG_INT64(argno);
	if (points <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("points must be positive, not " INT64_FORMAT, points)));
	return points;
}

/*
 * The customer is always the first argument.
 */
void
points_request_prepare(PointsRequest *request, FunctionCallInfo fcinfo, const char *operation,
					   int reference_argno, int at_argno, int shop_argno)
{
	char	   *shop = points_optional_text(fcinfo, shop_argno);

	memset(request, 0, sizeof(PointsRequest));
	request->fcinfo = fcinfo;
	request->key.customer_id = points_customer_argument(fcinfo, 0, "customer");
	request->reference = points_text_argument(fcinfo, reference_argno, "reference");
	request->key.shop_id = shop_lookup(shop, false);
	request->at = PG_ARGISNULL(at_argno) ? retention_clock_now() : PG_GETARG_TIMESTAMPTZ(at_argno);
	if (TIMESTAMP_NOT_FINITE(request->at))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must be finite", "at")));
	initStringInfo(&request->text);
	appendStringInfo(&request->text, "{\"operation\": \"%s\"", operation);
}

void
points_request_text(PointsRequest *request, const char *name, const char *value)
{
	if (value == NULL)
		return;
	appendStringInfo(&request->text, ", \"%s\": ", name);
	escape_json(&request->text, value);
}

void
points_request_int(PointsRequest *request, const char *name, int64 value)
{
	appendStringInfo(&request->text, ", \"%s\": " INT64_FORMAT, name, value);
}

/* Read back by the same session's time zone or another's: so in UTC. */
void
points_request_time(PointsRequest *request, const char *name, TimestampTz at)
{
	char		buffer[MAXDATELEN + 1];
	int			utc = 0;

	if (at == NO_TIME)
		return;
	JsonEncodeDateTime(buffer, TimestampTzGetDatum(at), TIMESTAMPTZOID, &utc);
	points_request_text(request, name, buffer);
}

static void
refuse_unknown(const CustomerKey *key)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("customer \"%s\" is not known", key->customer_id),
			 errhint("Customers are known by their first order, or when a table of customers is attached.")));
}

/* Customers are not made by a mistyped id. */
static void
check_customer_exists(const CustomerKey *key)
{
	Datum		args[2];

	args[0] = Int32GetDatum(key->shop_id);
	args[1] = CStringGetTextDatum(key->customer_id);
	if (own_execute(&customer_exists, args, NULL) == 0)
		refuse_unknown(key);
}

bool
points_request_same(const PointsRequest *request, Datum recorded)
{
	return DatumGetBool(DirectFunctionCall2(jsonb_eq, request->request, recorded));
}

void
points_request_conflict(const PointsRequest *request, Datum recorded)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNIQUE_VIOLATION),
			 errmsg("reference \"%s\" of customer \"%s\" already stands for another request",
					request->reference, request->key.customer_id),
			 errdetail("Recorded is %s, asked for is %s.",
					   DatumGetCString(DirectFunctionCall1(jsonb_out, recorded)),
					   DatumGetCString(DirectFunctionCall1(jsonb_out, request->request))),
			 errhint("Repeat a request with the same arguments, or give each request a reference of its own.")));
}

int64
points_available(const Customer *customer)
{
	return customer->points_posted - customer->points_held;
}

/*
 * Connect, lock the customer, or both of a transfer, and do what is due.
 */
void
points_request_lock(PointsRequest *request, PointsResult *result)
{
	CustomerKey keys[2];
	int			nkeys = 1;

	memset(result, 0, sizeof(PointsResult));
	result->times_out_at = NO_TIME;
	appendStringInfoChar(&request->text, '}');
	request->request = DirectFunctionCall1(jsonb_in, CStringGetDatum(request->text.data));

	own_begin(&request->saved);
	SPI_connect();

	keys[0] = request->key;
	if (request->other.customer_id != NULL)
		keys[nkeys++] = request->other;
	nkeys = customer_keys_sort(keys, nkeys);
	if (nkeys == 1)
		request->customers = customers_lock_known(&keys[0]);
	if (request->customers == NULL)
	{
		for (int i = 0; i < nkeys; i++)
			check_customer_exists(&keys[i]);
		request->customers = customers_lock(keys, nkeys);
	}
	request->customer = customer_find(request->customers, request->key.shop_id,
									  request->key.customer_id);

	ledger_begin(&request->ledger, request->at);
	for (int i = 0; i < request->customers->ncustomers; i++)
		points_settle(&request->ledger, &request->customers->customers[i], request->at);
}

/*
 * True when the reference is new; otherwise the result is that of before.
 */
bool
points_request_begin(PointsRequest *request, PointsResult *result)
{
	Datum		args[3];

	points_request_lock(request, result);

	args[0] = Int32GetDatum(request->key.shop_id);
	args[1] = CStringGetTextDatum(request->key.customer_id);
	args[2] = CStringGetTextDatum(request->reference);
	if (own_execute(&find_reference, args, NULL) == 0)
		return true;

	/* A captured hold has both, of one request: the hold's. */
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		bool		isnull;
		Datum		recorded = own_copy(tuple, 3, &isnull);

		if (!points_request_same(request, recorded))
		{
			if (i + 1 < SPI_processed)
				continue;
			points_request_conflict(request, recorded);
		}
		result->entry_no = own_int64(tuple, 1);
		result->points = own_int64(tuple, 2);
		result->times_out_at = own_time(tuple, 4);
		break;
	}
	return false;
}

/*
 * Write, and return the row that the function returns.
 */
Datum
points_request_finish(PointsRequest *request, PointsResult *result)
{
	TupleDesc	tupdesc;
	Datum		values[3];
	bool		nulls[3] = {false};
	int			n = 0;

	ledger_write(&request->ledger);
	customers_write(request->customers);
	if (result->times_out_at == NO_TIME)
	{
		nulls[n] = (result->entry_no == 0);
		values[n++] = Int64GetDatum(result->entry_no);
	}
	values[n++] = Int64GetDatum(result->points);
	values[n++] = Int64GetDatum(points_available(request->customer));
	if (result->times_out_at != NO_TIME)
		values[n++] = TimestampTzGetDatum(result->times_out_at);
	SPI_finish();
	own_end(&request->saved);

	if (get_call_result_type(request->fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls));
}

LotParts *
points_take(PointsRequest *request, int64 points)
{
	int64		available = points_available(request->customer);
	LotParts   *parts = NULL;

	/* What came in after the moment asked for cannot be spent at it. */
	if (points <= available)
	{
		parts = lots_choose(request->customer, points, request->at);
		if (parts->points == points)
			return parts;
		available = Min(available, parts->points);
	}
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("customer \"%s\" has too few points: " INT64_FORMAT " asked for, " INT64_FORMAT " available",
					request->key.customer_id, points, available),
			 request->customer->points_held > 0 ?
			 errdetail("Open holds have set " INT64_FORMAT " points aside.",
					   request->customer->points_held) : 0));
	return NULL;				/* keep compiler quiet */
}
