/*
 * history_stats.c
 *		What can be asked of a purchase history, and the aggregates that make
 *		one from orders or from other histories.
 */
#include "history_reader.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(purchase_history_transition);
PG_FUNCTION_INFO_V1(purchase_history_merge_transition);
PG_FUNCTION_INFO_V1(purchase_history_combine);
PG_FUNCTION_INFO_V1(purchase_history_serialize);
PG_FUNCTION_INFO_V1(purchase_history_deserialize);
PG_FUNCTION_INFO_V1(purchase_history_final);
PG_FUNCTION_INFO_V1(purchase_history_purchases);
PG_FUNCTION_INFO_V1(purchase_history_spent);
PG_FUNCTION_INFO_V1(purchase_history_first_purchase);
PG_FUNCTION_INFO_V1(purchase_history_last_purchase);
PG_FUNCTION_INFO_V1(purchase_history_last_amount);
PG_FUNCTION_INFO_V1(purchase_history_bought);
PG_FUNCTION_INFO_V1(purchase_history_spent_between);
PG_FUNCTION_INFO_V1(purchase_history_append);
PG_FUNCTION_INFO_V1(purchase_history_remove);
PG_FUNCTION_INFO_V1(purchase_history_merge);
PG_FUNCTION_INFO_V1(purchase_history_entries);

/*
 * All of a builder, '{}' when that is nothing.
 */
static PurchaseHistory *
finish(HistoryBuilder *b)
{
	PurchaseHistory *h = history_builder_finish(b);

	return h != NULL ? h : history_empty();
}

/* ----------------------------------------------------------------
 * Aggregates.  The state is a HistoryBuilder, made by the first row that
 * counts: without any the result is NULL.
 * ----------------------------------------------------------------
 */

/*
 * The state so far, made when there is none; an error outside an aggregate.
 */
static HistoryBuilder *
aggregate_state(FunctionCallInfo fcinfo, bool make)
{
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "%s() called outside an aggregate", get_func_name(fcinfo->flinfo->fn_oid));
	if (!PG_ARGISNULL(0))
		return (HistoryBuilder *) PG_GETARG_POINTER(0);
	return make ? history_builder_create(context) : NULL;
}

Datum
purchase_history_transition(PG_FUNCTION_ARGS)
{
	bool		counts = !PG_ARGISNULL(1) && !PG_ARGISNULL(2);
	HistoryBuilder *state = aggregate_state(fcinfo, counts);

	if (counts)
		history_builder_add(state, PG_GETARG_TIMESTAMPTZ(1),
							(Numeric) PG_DETOAST_DATUM_PACKED(PG_GETARG_DATUM(2)));
	if (state == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(state);
}

Datum
purchase_history_merge_transition(PG_FUNCTION_ARGS)
{
	bool		counts = !PG_ARGISNULL(1);
	HistoryBuilder *state = aggregate_state(fcinfo, counts);

	if (counts)
		history_builder_load(state, PG_GETARG_PURCHASE_HISTORY_P(1));
	if (state == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(state);
}

Datum
purchase_history_combine(PG_FUNCTION_ARGS)
{
	bool		counts = !PG_ARGISNULL(1);
	HistoryBuilder *state = aggregate_state(fcinfo, counts);

	if (counts)
		history_builder_merge(state, (HistoryBuilder *) PG_GETARG_POINTER(1));
	if (state == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(state);
}

/*
 * A state travels between processes as the history it stands for.
 */
Datum
purchase_history_serialize(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P((bytea *) finish(aggregate_state(fcinfo, false)));
}

Datum
purchase_history_deserialize(PG_FUNCTION_ARGS)
{
	HistoryBuilder *state;

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "%s() called outside an aggregate", get_func_name(fcinfo->flinfo->fn_oid));
	state = history_builder_create(CurrentMemoryContext);
	history_builder_load(state, PG_GETARG_PURCHASE_HISTORY_P(0));
	PG_RETURN_POINTER(state);
}

/*
 * Sorting the state is all this changes in it: more rows may follow.
 */
Datum
purchase_history_final(PG_FUNCTION_ARGS)
{
	HistoryBuilder *state = aggregate_state(fcinfo, false);

	if (state == NULL)
		PG_RETURN_NULL();
	PG_RETURN_PURCHASE_HISTORY_P(finish(state));
}

/* ----------------------------------------------------------------
 * Questions
 * ----------------------------------------------------------------
 */

Datum
purchase_history_purchases(PG_FUNCTION_ARGS)
{
	HistoryReader reader;

	reader = history_read(PG_GETARG_PURCHASE_HISTORY_P(0));
	PG_RETURN_INT64(reader.count);
}

Datum
purchase_history_spent(PG_FUNCTION_ARGS)
{
	HistoryReader reader;
	HistorySum	sum;

	reader = history_read(PG_GETARG_PURCHASE_HISTORY_P(0));
	history_sum_init(&sum, reader.scale);
	for (int64 i = 0; i < reader.count; i++)
		history_sum_add(&sum, history_reader_units(&reader));
	PG_RETURN_NUMERIC(history_sum_result(&sum));
}

Datum
purchase_history_first_purchase(PG_FUNCTION_ARGS)
{
	HistoryReader reader;

	reader = history_read(PG_GETARG_PURCHASE_HISTORY_P(0));
	if (reader.count == 0)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(reader.at);
}

Datum
purchase_history_last_purchase(PG_FUNCTION_ARGS)
{
	HistoryReader reader;

	reader = history_read(PG_GETARG_PURCHASE_HISTORY_P(0));
	if (reader.count == 0)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(history_reader_last(&reader));
}

Datum
purchase_history_last_amount(PG_FUNCTION_ARGS)
{
	HistoryReader reader;

	reader = history_read(PG_GETARG_PURCHASE_HISTORY_P(0));
	if (reader.count == 0)
		PG_RETURN_NULL();
	reader.units_bit += (reader.count - 1) * reader.units_width;
	PG_RETURN_NUMERIC(history_amount(history_reader_units(&reader), reader.scale));
}

/*
 * The bounds of a range of time in arguments 1 and 2, NULL being unbounded.
 */
static void
get_range(FunctionCallInfo fcinfo, TimestampTz *from, TimestampTz *to)
{
	*from = PG_ARGISNULL(1) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(1);
	*to = PG_ARGISNULL(2) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(2);
}

Datum
purchase_history_bought(PG_FUNCTION_ARGS)
{
	HistoryReader reader;
	TimestampTz from;
	TimestampTz to;
	TimestampTz at;
	int64		count = 0;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	get_range(fcinfo, &from, &to);
	reader = history_read(PG_GETARG_PURCHASE_HISTORY_P(0));
	while (history_reader_next(&reader, &at, NULL) && at < to)
		count += (at >= from);
	PG_RETURN_INT64(count);
}

Datum
purchase_history_spent_between(PG_FUNCTION_ARGS)
{
	HistoryReader reader;
	HistorySum	sum;
	TimestampTz from;
	TimestampTz to;
	TimestampTz at;
	int64		units;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	get_range(fcinfo, &from, &to);
	reader = history_read(PG_GETARG_PURCHASE_HISTORY_P(0));
	history_sum_init(&sum, reader.scale);
	while (history_reader_next(&reader, &at, &units) && at < to)
	{
		if (at >= from)
			history_sum_add(&sum, units);
	}
	PG_RETURN_NUMERIC(history_sum_result(&sum));
}

/* ----------------------------------------------------------------
 * Changes
 * ----------------------------------------------------------------
 */

Datum
purchase_history_append(PG_FUNCTION_ARGS)
{
	HistoryBuilder *b = history_builder_create(CurrentMemoryContext);

	history_builder_load(b, PG_GETARG_PURCHASE_HISTORY_P(0));
	history_builder_add(b, PG_GETARG_TIMESTAMPTZ(1), PG_GETARG_NUMERIC(2));
	PG_RETURN_PURCHASE_HISTORY_P(finish(b));
}

Datum
purchase_history_remove(PG_FUNCTION_ARGS)
{
	HistoryBuilder *b = history_builder_create(CurrentMemoryContext);
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(1);
	Numeric		amount = PG_GETARG_NUMERIC(2);

	history_builder_load(b, PG_GETARG_PURCHASE_HISTORY_P(0));
	if (!history_builder_remove(b, at, amount))
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("purchase history has no purchase of %s at %s",
						DatumGetCString(DirectFunctionCall1(numeric_out,
															NumericGetDatum(amount))),
						timestamptz_to_str(at))));
	PG_RETURN_PURCHASE_HISTORY_P(finish(b));
}

Datum
purchase_history_merge(PG_FUNCTION_ARGS)
{
	HistoryBuilder *b = history_builder_create(CurrentMemoryContext);

	history_builder_load(b, PG_GETARG_PURCHASE_HISTORY_P(0));
	history_builder_load(b, PG_GETARG_PURCHASE_HISTORY_P(1));
	PG_RETURN_PURCHASE_HISTORY_P(finish(b));
}

/* ----------------------------------------------------------------
 * Rows
 * ----------------------------------------------------------------
 */

/*
 * entries(purchase_history): one row a purchase, in order.
 */
Datum
purchase_history_entries(PG_FUNCTION_ARGS)
{
	FuncCallContext *funcctx;
	HistoryReader *reader;
	TimestampTz at;
	int64		units;

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext oldcontext;
		TupleDesc	tupdesc;

		funcctx = SRF_FIRSTCALL_INIT();
		oldcontext = MemoryContextSwitchTo(funcctx->multi_call_memory_ctx);
		if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "return type must be a row type");
		funcctx->tuple_desc = BlessTupleDesc(tupdesc);

		/* A copy, since the argument need not live until the last row. */
		reader = (HistoryReader *) palloc(sizeof(HistoryReader));
		*reader = history_read((PurchaseHistory *) PG_DETOAST_DATUM_COPY(PG_GETARG_DATUM(0)));
		funcctx->user_fctx = reader;
		MemoryContextSwitchTo(oldcontext);
	}

	funcctx = SRF_PERCALL_SETUP();
	reader = (HistoryReader *) funcctx->user_fctx;
	if (history_reader_next(reader, &at, &units))
	{
		Datum		values[2];
		bool		nulls[2] = {false, false};

		values[0] = TimestampTzGetDatum(at);
		values[1] = NumericGetDatum(history_amount(units, reader->scale));
		SRF_RETURN_NEXT(funcctx,
						HeapTupleGetDatum(heap_form_tuple(funcctx->tuple_desc, values, nulls)));
	}
	SRF_RETURN_DONE(funcctx);
}
