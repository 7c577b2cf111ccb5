/*
 * history_question.c
 *		Arguments and results of aggregates over purchase histories: the parts
 *		of a question, rates, amounts, rows.
 */
#include "history_counts.h"

#include "retention.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

/* A row takes 100 bytes or less; an array holds 1 GB. */
#define COUNTS_MAX_ROWS 10000000

void
counts_require(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be NULL", name)));
}

/*
 * The moment from which all is seen; left out or NULL it is now.
 */
TimestampTz
counts_arg_at(FunctionCallInfo fcinfo, int n)
{
	TimestampTz at;

	if (n >= PG_NARGS() || PG_ARGISNULL(n))
		return retention_clock_now();
	at = PG_GETARG_TIMESTAMPTZ(n);
	if (TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("the moment from which to look must be finite")));
	return at;
}

/*
 * A length of time; left out or NULL there is none.
 */
int64
counts_arg_horizon(FunctionCallInfo fcinfo, int n)
{
	Interval   *interval;
	int64		horizon;

	if (n >= PG_NARGS() || PG_ARGISNULL(n))
		return COUNTS_NONE;
	interval = PG_GETARG_INTERVAL_P(n);
	if (interval->month != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the horizon must not have months or years"),
				 errdetail("Their length differs."),
				 errhint("Write it in days, such as interval '30 days'; a day is 24 hours.")));
	horizon = (int64) interval->day * USECS_PER_DAY;
	if (interval->day > 36525 * 10 || interval->time > INT64CONST(365250) * USECS_PER_DAY ||
		(horizon += interval->time) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the horizon is out of range"),
				 errdetail("It must lie between 0 and 365250 days.")));
	return horizon;
}

void
counts_arg_period(FunctionCallInfo fcinfo, int n, CountsQuestion *question)
{
	int			week_start;

	counts_require(fcinfo, n, "the period");
	question->unit = period_parse(text_to_cstring(PG_GETARG_TEXT_PP(n)), &week_start);
	question->week_start = week_start;
}

void
counts_arg_zone(FunctionCallInfo fcinfo, int n, CountsQuestion *question)
{
	char	   *zone;

	counts_require(fcinfo, n, "the time zone");
	zone = text_to_cstring(PG_GETARG_TEXT_PP(n));
	if (strlen(zone) > TZ_STRLEN_MAX || zone[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" not recognized", zone)));
	strcpy(question->zone, zone);
}

Numeric *
counts_fractions(Datum array, int *n)
{
	Datum	   *elements;
	bool	   *nulls;
	Numeric    *fractions;

	deconstruct_array(DatumGetArrayTypeP(array), NUMERICOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, n);
	fractions = (Numeric *) palloc(Max(*n, 1) * sizeof(Numeric));
	for (int i = 0; i < *n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a fraction must not be NULL")));
		fractions[i] = DatumGetNumeric(elements[i]);
		if (numeric_is_nan(fractions[i]) ||
			DatumGetBool(DirectFunctionCall2(numeric_lt, elements[i],
											 NumericGetDatum(int64_to_numeric(0)))) ||
			DatumGetBool(DirectFunctionCall2(numeric_gt, elements[i],
											 NumericGetDatum(int64_to_numeric(1)))))
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("fraction %s is not between 0 and 1",
							DatumGetCString(DirectFunctionCall1(numeric_out, elements[i])))));
	}
	return fractions;
}

/*
 * Fractions travel as text: whatever bytes a state is read from, they are
 * parsed like any input.
 */
void
counts_arg_fractions(FunctionCallInfo fcinfo, int n, CountsQuestion *question)
{
	char	   *text;
	int			nfractions;

	counts_require(fcinfo, n, "the fractions");
	(void) counts_fractions(PG_GETARG_DATUM(n), &nfractions);
	text = OidOutputFunctionCall(F_ARRAY_OUT, PG_GETARG_DATUM(n));
	if (strlen(text) > TZ_STRLEN_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many fractions"),
				 errdetail("Written out they may have %d characters.", TZ_STRLEN_MAX)));
	strcpy(question->fractions, text);
}

Numeric *
counts_question_fractions(const CountsQuestion *question, int *n)
{
	FmgrInfo	in;

	fmgr_info(F_ARRAY_IN, &in);
	return counts_fractions(InputFunctionCall(&in, pstrdup(question->fractions),
											  NUMERICOID, -1), n);
}

int64
counts_portion(Numeric fraction, int64 count)
{
	Datum		product = DirectFunctionCall2(numeric_mul, NumericGetDatum(fraction),
											  NumericGetDatum(int64_to_numeric(count)));
	int64		portion = DatumGetInt64(DirectFunctionCall1(numeric_int8,
															DirectFunctionCall1(numeric_ceil, product)));

	return Max(portion, 1);
}

Numeric
counts_amount(int128 units, int scale)
{
	char		text[64];
	char	   *p = text + sizeof(text) - 1;
	int			digits = 0;
	uint128		rest = units < 0 ? -(uint128) units : (uint128) units;

	if (units >= PG_INT64_MIN && units <= PG_INT64_MAX)
		return history_amount((int64) units, scale);
	*p = '\0';
	while (rest > 0 || digits <= scale)
	{
		if (digits > 0 && digits == scale)
			*--p = '.';
		*--p = (char) ('0' + (int) (rest % 10));
		rest /= 10;
		digits++;
	}
	if (units < 0)
		*--p = '-';
	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(p),
											   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

Datum
counts_rate(int64 part, int64 whole)
{
	return DirectFunctionCall2(numeric_div, NumericGetDatum(int64_to_numeric(part)),
							   NumericGetDatum(int64_to_numeric(whole)));
}

void
counts_rows_begin(CountsRows *rows, FunctionCallInfo fcinfo)
{
	rows->type = get_element_type(get_func_rettype(fcinfo->flinfo->fn_oid));
	if (!OidIsValid(rows->type))
		elog(ERROR, "%s() does not return an array", get_func_name(fcinfo->flinfo->fn_oid));
	rows->tupdesc = lookup_rowtype_tupdesc_copy(rows->type, -1);
	rows->array = initArrayResult(rows->type, CurrentMemoryContext, false);
}

/*
 * Periods without purchases have rows too, so a moment in the far future makes
 * very many.  Better to say so at once than when the memory is full.
 */
void
counts_rows_expect(int64 n)
{
	if (n > COUNTS_MAX_ROWS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the result would have " INT64_FORMAT " rows", n),
				 errdetail("An array holds about %d of them.", COUNTS_MAX_ROWS),
				 errhint("Ask for longer periods, or from an earlier moment.")));
}

void
counts_rows_add(CountsRows *rows, Datum *values, bool *nulls)
{
	HeapTuple	tuple = heap_form_tuple(rows->tupdesc, values, nulls);

	CHECK_FOR_INTERRUPTS();
	rows->array = accumArrayResult(rows->array, HeapTupleGetDatum(tuple), false,
								   rows->type, CurrentMemoryContext);
	heap_freetuple(tuple);
}

Datum
counts_rows_end(CountsRows *rows)
{
	return makeArrayResult(rows->array, CurrentMemoryContext);
}
