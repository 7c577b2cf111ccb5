/*
 * next_period.c
 *		Who bought in a period: again in it (repurchase_rates()), or in a later
 *		one too (next_period_rates()).
 */
#include "history_counts.h"
#include "history_reader.h"

#include "utils/fmgrprotos.h"

PG_FUNCTION_INFO_V1(next_period_transition);
PG_FUNCTION_INFO_V1(next_period_one_transition);
PG_FUNCTION_INFO_V1(next_period_final);
PG_FUNCTION_INFO_V1(next_period_one_final);
PG_FUNCTION_INFO_V1(repurchase_rates_transition);
PG_FUNCTION_INFO_V1(repurchase_rates_final);

static int32
arg_distance(FunctionCallInfo fcinfo, int n)
{
	int32		k;

	counts_require(fcinfo, n, "the number of periods");
	k = PG_GETARG_INT32(n);
	if (k < 1)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("the number of periods must be 1 or more, not %d", k)));
	return k;
}

/*
 * Arguments after the history: period, k, time zone, moment.
 */
static void
next_period_question(FunctionCallInfo fcinfo, CountsQuestion *question)
{
	question->kind = COUNTS_NEXT_PERIOD;
	counts_arg_period(fcinfo, 2, question);
	question->number = arg_distance(fcinfo, 3);
	counts_arg_zone(fcinfo, 4, question);
	question->at = counts_arg_at(fcinfo, 5);
}

/*
 * Arguments after the history: period, a day in period m, k, time zone, moment.
 */
static void
next_period_one_question(FunctionCallInfo fcinfo, CountsQuestion *question)
{
	question->kind = COUNTS_NEXT_PERIOD;
	counts_arg_period(fcinfo, 2, question);
	counts_require(fcinfo, 3, "the day");
	question->day = PG_GETARG_DATEADT(3);
	if (DATE_NOT_FINITE(question->day))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("the day must be finite")));
	question->number = arg_distance(fcinfo, 4);
	counts_arg_zone(fcinfo, 5, question);
	question->at = counts_arg_at(fcinfo, 6);
}

/*
 * The counters of a period m: its customers, and of them those who bought in
 * m + k (others).
 */
static Datum
next_period_add(FunctionCallInfo fcinfo, CountsReader question, bool only_one)
{
	CountsCall *call;
	HistoryCounts *state = counts_transition(fcinfo, question, 2, &call);
	HistoryReader reader;
	TimestampTz at;
	int64		k;
	int64		wanted = 0;
	int32	   *periods;
	int64		n = 0;
	int64		later = 0;

	if (state == NULL)
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}

	k = call->question.number;
	if (only_one)
		wanted = calendar_period_of_day(call->calendar, call->question.day);
	reader = history_read(PG_GETARG_PURCHASE_HISTORY_P(1));
	periods = counts_numbers(fcinfo, call, reader.count);
	while (history_reader_next(&reader, &at, NULL) && at <= call->question.at)
	{
		int32		period = calendar_period(call->calendar, at);

		if (n == 0 || periods[n - 1] != period)
			periods[n++] = period;
	}

	/* A change of clocks can, in theory, take a moment back by a day. */
	for (int64 i = 0; i < n; i++)
	{
		CountsCell *cell;

		if (only_one && periods[i] != wanted)
			continue;
		cell = counts_cell(state, 0, periods[i]);
		cell->customers++;
		while (later < n && periods[later] < periods[i] + k)
			later++;
		cell->others += (later < n && periods[later] == periods[i] + k);
	}
	return EOHPGetRWDatum(&state->hdr);
}

Datum
next_period_transition(PG_FUNCTION_ARGS)
{
	return next_period_add(fcinfo, next_period_question, false);
}

Datum
next_period_one_transition(PG_FUNCTION_ARGS)
{
	return next_period_add(fcinfo, next_period_one_question, true);
}

/*
 * One row a period that has customers; whether they came back is NULL while
 * period m + k is not over.
 */
Datum
next_period_final(PG_FUNCTION_ARGS)
{
	HistoryCounts *state = counts_state(fcinfo, COUNTS_NEXT_PERIOD);
	Calendar   *calendar = counts_calendar(state);
	int64		current = calendar_period(calendar, state->question.at);
	CountsCell *cells = counts_sorted(state);
	CountsRows	rows;

	counts_rows_begin(&rows, fcinfo);
	for (int64 i = 0; i < state->ncells; i++)
	{
		Datum		values[4];
		bool		nulls[4] = {false};

		values[0] = DateADTGetDatum(calendar_start(calendar, cells[i].col));
		values[1] = Int64GetDatum(cells[i].customers);
		nulls[1] = cells[i].col >= current;
		nulls[2] = nulls[3] = cells[i].col + state->question.number >= current ||
			cells[i].customers == 0;
		if (!nulls[2])
		{
			values[2] = Int64GetDatum(cells[i].others);
			values[3] = counts_rate(cells[i].others, cells[i].customers);
		}
		counts_rows_add(&rows, values, nulls);
	}
	PG_RETURN_DATUM(counts_rows_end(&rows));
}

/*
 * The rate of the one period asked for.
 */
Datum
next_period_one_final(PG_FUNCTION_ARGS)
{
	HistoryCounts *state = counts_state(fcinfo, COUNTS_NEXT_PERIOD);
	Calendar   *calendar = counts_calendar(state);
	int64		current = calendar_period(calendar, state->question.at);
	int64		period = calendar_period_of_day(calendar, PG_NARGS() > 1 ? PG_GETARG_DATEADT(1) : state->question.day);
	CountsCell *cell = counts_find(state, 0, period);

	if (cell == NULL || cell->customers == 0 || period + state->question.number >= current)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(counts_rate(cell->others, cell->customers));
}

/*
 * Arguments after the history: period, time zone, moment.
 */
static void
repurchase_question(FunctionCallInfo fcinfo, CountsQuestion *question)
{
	question->kind = COUNTS_REPURCHASE;
	counts_arg_period(fcinfo, 2, question);
	counts_arg_zone(fcinfo, 3, question);
	question->at = counts_arg_at(fcinfo, 4);
}

/*
 * The counters of a period: its customers, and those with two purchases or more
 * in it (others).
 */
Datum
repurchase_rates_transition(PG_FUNCTION_ARGS)
{
	CountsCall *call;
	HistoryCounts *state = counts_transition(fcinfo, repurchase_question, 2, &call);
	HistoryReader reader;
	TimestampTz at;
	int32		period = 0;
	int64		in_period = 0;
	CountsCell *cell = NULL;

	if (state == NULL)
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}

	reader = history_read(PG_GETARG_PURCHASE_HISTORY_P(1));
	while (history_reader_next(&reader, &at, NULL) && at <= call->question.at)
	{
		int32		next = calendar_period(call->calendar, at);

		if (cell == NULL || next != period)
		{
			period = next;
			in_period = 0;
			cell = counts_cell(state, 0, period);
			cell->customers++;
		}
		in_period++;
		cell->others += (in_period == 2);
	}
	return EOHPGetRWDatum(&state->hdr);
}

/*
 * One row a period that has customers; without numbers while it is not over.
 */
Datum
repurchase_rates_final(PG_FUNCTION_ARGS)
{
	HistoryCounts *state = counts_state(fcinfo, COUNTS_REPURCHASE);
	Calendar   *calendar = counts_calendar(state);
	int64		current = calendar_period(calendar, state->question.at);
	CountsCell *cells = counts_sorted(state);
	CountsRows	rows;

	counts_rows_begin(&rows, fcinfo);
	for (int64 i = 0; i < state->ncells; i++)
	{
		Datum		values[4];
		bool		nulls[4] = {false};

		values[0] = DateADTGetDatum(calendar_start(calendar, cells[i].col));
		nulls[1] = nulls[2] = cells[i].col >= current;
		nulls[3] = cells[i].col >= current || cells[i].customers == 0;
		values[1] = Int64GetDatum(cells[i].customers);
		values[2] = Int64GetDatum(cells[i].others);
		if (!nulls[3])
			values[3] = counts_rate(cells[i].others, cells[i].customers);
		counts_rows_add(&rows, values, nulls);
	}
	PG_RETURN_DATUM(counts_rows_end(&rows));
}
