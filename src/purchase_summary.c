/*
 * purchase_summary.c
 *		A purchase history as forecasts see it: repeat purchases, recency, age
 *		and what a repeat purchase is worth, purchases of one day being one.
 */
#include "forecast.h"

#include "compat.h"
#include "history_reader.h"
#include "period.h"
#include "retention.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(purchase_summary);

/* The calendar of a call's time zone, kept for the whole query. */
typedef struct ZoneCall
{
	char		zone[TZ_STRLEN_MAX + 1];
	Calendar   *calendar;
} ZoneCall;

static void
require(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be NULL", name)));
}

static Calendar *
zone_calendar(FunctionCallInfo fcinfo, int n)
{
	ZoneCall   *call = (ZoneCall *) fcinfo->flinfo->fn_extra;
	text	   *zone;
	size_t		length;

	require(fcinfo, n, "the time zone");
	zone = PG_GETARG_TEXT_PP(n);
	length = VARSIZE_ANY_EXHDR(zone);
	if (call == NULL || strlen(call->zone) != length ||
		memcmp(call->zone, VARDATA_ANY(zone), length) != 0)
	{
		char	   *name = text_to_cstring(zone);

		if (length > TZ_STRLEN_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("time zone \"%s\" not recognized", name)));
		if (call == NULL)
			call = (ZoneCall *) MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(ZoneCall));
		call->calendar = calendar_create(fcinfo->flinfo->fn_mcxt, name, PERIOD_DAY, MONDAY);
		strlcpy(call->zone, name, sizeof(call->zone));
		fcinfo->flinfo->fn_extra = call;
	}
	return call->calendar;
}

double
unit_in_days(FunctionCallInfo fcinfo, int n)
{
	Interval   *unit;
	double		days;

	require(fcinfo, n, "the unit of time");
	unit = PG_GETARG_INTERVAL_P(n);
	days = unit->day + (double) unit->time / USECS_PER_DAY;
	if (unit->month != 0 || days <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the unit of time must have a fixed length of more than zero, not \"%s\"",
						DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(unit)))),
				 errhint("Write it in days or weeks, such as '7 days' or '30 days'.")));
	return days;
}

bool
summarise_purchases(FunctionCallInfo fcinfo, int n, int zone, int at, PurchaseSummary *summary)
{
	Calendar   *calendar = zone_calendar(fcinfo, zone);
	TimestampTz moment;
	TimestampTz bought;
	HistoryReader reader;
	int64		units;
	int32		first_day = 0;
	int32		last_day = 0;
	bool		any = false;

	if (PG_ARGISNULL(n))
		return false;
	if (at >= PG_NARGS() || PG_ARGISNULL(at))
		moment = retention_clock_now();
	else
		moment = PG_GETARG_TIMESTAMPTZ(at);
	if (TIMESTAMP_NOT_FINITE(moment))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("the moment from which to look must be finite")));

	reader = history_read(PG_GETARG_PURCHASE_HISTORY_P(n));
	history_sum_init(&summary->repeat_value, reader.scale);
	summary->frequency = 0;
	while (history_reader_next(&reader, &bought, &units) && bought <= moment)
	{
		int32		day = calendar_period(calendar, bought);

		if (!any)
		{
			first_day = last_day = day;
			any = true;
		}
		/* Where a day's local time goes back at midnight, it is one day still. */
		if (day > last_day)
		{
			last_day = day;
			summary->frequency++;
		}
		if (last_day > first_day)
			history_sum_add(&summary->repeat_value, units);
	}
	if (!any)
		return false;
	summary->recency_days = last_day - first_day;
	summary->age_days = Max(calendar_period(calendar, moment), last_day) - first_day;
	return true;
}

/*
 * purchase_summary(history, unit, time_zone, at) -> purchase_summary
 */
Datum
purchase_summary(PG_FUNCTION_ARGS)
{
	PurchaseSummary summary;
	TupleDesc	tupdesc;
	Datum		values[4];
	bool		nulls[4] = {false};
	double		unit;

	unit = unit_in_days(fcinfo, 1);
	if (!summarise_purchases(fcinfo, 0, 2, 3, &summary))
		PG_RETURN_NULL();
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "purchase_summary does not return a row");

	values[0] = Int64GetDatum(summary.frequency);
	values[1] = Float8GetDatum(summary.recency_days / unit);
	values[2] = Float8GetDatum(summary.age_days / unit);
	nulls[3] = summary.frequency == 0;
	if (!nulls[3])
		values[3] = DirectFunctionCall2(numeric_div,
										NumericGetDatum(history_sum_result(&summary.repeat_value)),
										NumericGetDatum(int64_to_numeric(summary.frequency)));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}
