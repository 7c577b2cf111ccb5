/*
 * cohort.c
 *		Customers by the period of their first purchase: cohort_matrix() and
 *		new_vs_returning().
 */
#include "history_counts.h"
#include "history_reader.h"

#include "utils/fmgrprotos.h"

PG_FUNCTION_INFO_V1(cohort_transition);
PG_FUNCTION_INFO_V1(cohort_final);
PG_FUNCTION_INFO_V1(new_vs_returning_transition);
PG_FUNCTION_INFO_V1(new_vs_returning_final);

/* Columns of the counters of new_vs_returning(). */
#define NEW			0
#define RETURNING	1

/*
 * Arguments after the history: period, time zone, moment.
 */
static void
cohort_question(FunctionCallInfo fcinfo, CountsQuestion *question)
{
	question->kind = COUNTS_COHORT;
	counts_arg_period(fcinfo, 2, question);
	counts_arg_zone(fcinfo, 3, question);
	question->at = counts_arg_at(fcinfo, 4);
}

/*
 * A cell is a cohort and a number of periods since: its customers, their
 * purchases (others) and what they spent.
 */
Datum
cohort_transition(PG_FUNCTION_ARGS)
{
	CountsCall *call;
	HistoryCounts *state = counts_transition(fcinfo, cohort_question, 2, &call);
	CountsCell *cell = NULL;
	HistoryReader reader;
	TimestampTz at;
	int64		units;
	int64		factor;
	int32		cohort = 0;
	int32		period = 0;

	if (state == NULL)
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}

	reader = history_read(PG_GETARG_PURCHASE_HISTORY_P(1));
	factor = counts_scale(state, reader.scale);
	while (history_reader_next(&reader, &at, &units) && at <= call->question.at)
	{
		int32		next = calendar_period(call->calendar, at);

		if (cell == NULL || next != period)
		{
			if (cell == NULL)
				cohort = next;
			period = next;
			cell = counts_cell(state, cohort, (int64) period - cohort);
			cell->customers++;
		}
		cell->others++;
		counts_add_units(cell, (int128) units * factor);
	}
	return EOHPGetRWDatum(&state->hdr);
}

/*
 * One row a cohort and period since, those without purchases included, up to
 * the period that is not over yet, whose numbers are NULL.
 */
Datum
cohort_final(PG_FUNCTION_ARGS)
{
	HistoryCounts *state = counts_state(fcinfo, COUNTS_COHORT);
	Calendar   *calendar = counts_calendar(state);
	int64		current = calendar_period(calendar, state->question.at);
	CountsCell *cells = counts_sorted(state);
	CountsRows	rows;
	int64		expected = 0;
	int64		i = 0;

	for (int64 cell = 0; cell < state->ncells; cell++)
	{
		if (cell == 0 || cells[cell].row != cells[cell - 1].row)
			expected += Max(current - cells[cell].row + 1, 0);
	}
	counts_rows_expect(expected);

	counts_rows_begin(&rows, fcinfo);
	while (i < state->ncells)
	{
		int64		cohort = cells[i].row;
		int64		size = cells[i].customers;

		for (int64 since = 0; cohort + since <= current; since++)
		{
			Datum		values[6];
			bool		nulls[6] = {false};
			bool		found = i < state->ncells && cells[i].row == cohort && cells[i].col == since;

			values[0] = DateADTGetDatum(calendar_start(calendar, cohort));
			values[1] = Int32GetDatum((int32) since);
			if (cohort + since == current)
				nulls[2] = nulls[3] = nulls[4] = nulls[5] = true;
			else
			{
				int64		customers = found ? cells[i].customers : 0;

				values[2] = Int64GetDatum(customers);
				values[3] = Int64GetDatum(found ? cells[i].others : 0);
				values[4] = NumericGetDatum(counts_amount(found ? cells[i].units : 0, state->scale));
				if (size > 0)
					values[5] = counts_rate(customers, size);
				else
					nulls[5] = true;
			}
			counts_rows_add(&rows, values, nulls);
			i += found;
		}
		/* Purchases lie before the moment, so none is left but of forged states. */
		while (i < state->ncells && cells[i].row == cohort)
			i++;
	}
	PG_RETURN_DATUM(counts_rows_end(&rows));
}

static void
new_vs_returning_question(FunctionCallInfo fcinfo, CountsQuestion *question)
{
	cohort_question(fcinfo, question);
	question->kind = COUNTS_NEW_RETURNING;
}

/*
 * A cell is a period and NEW or RETURNING.  Its customers are those whose
 * first purchase ever lies in the period, or before it.  Its purchases
 * (others) and money are those of first purchases, or of later ones: a new
 * customer's second purchase is by a returning customer.
 */
Datum
new_vs_returning_transition(PG_FUNCTION_ARGS)
{
	CountsCall *call;
	HistoryCounts *state = counts_transition(fcinfo, new_vs_returning_question, 2, &call);
	CountsCell *cell = NULL;
	HistoryReader reader;
	TimestampTz at;
	int64		units;
	int64		factor;
	int32		period = 0;

	if (state == NULL)
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}

	reader = history_read(PG_GETARG_PURCHASE_HISTORY_P(1));
	factor = counts_scale(state, reader.scale);
	if (history_reader_next(&reader, &at, &units) && at <= call->question.at)
	{
		period = calendar_period(call->calendar, at);
		cell = counts_cell(state, period, NEW);
		cell->customers++;
		cell->others++;
		counts_add_units(cell, (int128) units * factor);

		cell = NULL;
		while (history_reader_next(&reader, &at, &units) && at <= call->question.at)
		{
			int32		next = calendar_period(call->calendar, at);

			if (cell == NULL || next != period)
			{
				cell = counts_cell(state, next, RETURNING);
				cell->customers += (next != period);
				period = next;
			}
			cell->others++;
			counts_add_units(cell, (int128) units * factor);
		}
	}
	return EOHPGetRWDatum(&state->hdr);
}

/*
 * One row a period from the first purchase to the moment, empty ones too; the
 * period that is not over has no numbers.
 */
Datum
new_vs_returning_final(PG_FUNCTION_ARGS)
{
	HistoryCounts *state = counts_state(fcinfo, COUNTS_NEW_RETURNING);
	Calendar   *calendar = counts_calendar(state);
	int64		current = calendar_period(calendar, state->question.at);
	CountsCell *cells = counts_sorted(state);
	CountsRows	rows;
	int64		i = 0;

	if (state->ncells > 0)
		counts_rows_expect(current - cells[0].row + 1);

	counts_rows_begin(&rows, fcinfo);
	for (int64 period = state->ncells > 0 ? cells[0].row : current + 1; period <= current; period++)
	{
		static const CountsCell nothing;
		const CountsCell *of[2] = {&nothing, &nothing};
		Datum		values[8];
		bool		nulls[8] = {false};

		while (i < state->ncells && cells[i].row == period)
		{
			if (cells[i].col == NEW || cells[i].col == RETURNING)
				of[cells[i].col] = &cells[i];
			i++;
		}
		values[0] = DateADTGetDatum(calendar_start(calendar, period));
		if (period == current)
			memset(nulls + 1, true, sizeof(nulls) - 1);
		else
		{
			int64		customers = of[NEW]->customers + of[RETURNING]->customers;

			for (int kind = NEW; kind <= RETURNING; kind++)
			{
				values[1 + kind] = Int64GetDatum(of[kind]->customers);
				values[4 + kind] = Int64GetDatum(of[kind]->others);
				values[6 + kind] = NumericGetDatum(counts_amount(of[kind]->units, state->scale));
			}
			if (customers > 0)
				values[3] = counts_rate(of[RETURNING]->customers, customers);
			else
				nulls[3] = true;
		}
		counts_rows_add(&rows, values, nulls);
	}
	PG_RETURN_DATUM(counts_rows_end(&rows));
}
