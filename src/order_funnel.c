/*
 * order_funnel.c
 *		How far orders get: the aggregate order_funnel().
 */
#include "history_counts.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(order_funnel_transition);
PG_FUNCTION_INFO_V1(order_funnel_final);

/* In order; closing ends an order at whichever stage it has reached. */
static const char *const stages[] = {"placed", "paid", "shipped", "delivered", "completed"};

#define NSTAGES ((int) lengthof(stages))

static void
funnel_question(FunctionCallInfo fcinfo, CountsQuestion *question)
{
	question->kind = COUNTS_FUNNEL;
}

/* Shops write an infinite time where there is none yet. */
static inline bool
has_time(FunctionCallInfo fcinfo, int n)
{
	return !PG_ARGISNULL(n) && !TIMESTAMP_NOT_FINITE(PG_GETARG_TIMESTAMPTZ(n));
}

/*
 * A cell is the last stage an order reached and whether it was closed.  Shops
 * do not record every stage, so one that is missing was passed with the next.
 */
Datum
order_funnel_transition(PG_FUNCTION_ARGS)
{
	CountsCall *call;
	HistoryCounts *state = NULL;
	int			reached = NSTAGES - 1;

	if (has_time(fcinfo, 1))
		state = counts_transition(fcinfo, funnel_question, 2 + NSTAGES, &call);
	if (state == NULL)
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}
	while (reached > 0 && !has_time(fcinfo, 1 + reached))
		reached--;
	counts_cell(state, reached, has_time(fcinfo, 1 + NSTAGES))->customers++;
	return EOHPGetRWDatum(&state->hdr);
}

Datum
order_funnel_final(PG_FUNCTION_ARGS)
{
	HistoryCounts *state = counts_state(fcinfo, COUNTS_FUNNEL);
	CountsCell *cells = counts_sorted(state);
	CountsRows	rows;
	int64		placed = 0;
	int64		before = 0;

	for (int64 i = 0; i < state->ncells; i++)
		placed += cells[i].customers;

	counts_rows_begin(&rows, fcinfo);
	for (int stage = 0; stage < NSTAGES; stage++)
	{
		Datum		values[7];
		bool		nulls[7] = {false};
		int64		orders = 0;
		int64		closed = 0;
		int64		waiting = 0;

		for (int64 i = 0; i < state->ncells; i++)
		{
			if (cells[i].row >= stage)
				orders += cells[i].customers;
			if (cells[i].row == stage && cells[i].col == 1)
				closed += cells[i].customers;
			if (cells[i].row == stage && cells[i].col == 0)
				waiting += cells[i].customers;
		}
		values[0] = Int32GetDatum(stage + 1);
		values[1] = CStringGetTextDatum(stages[stage]);
		values[2] = Int64GetDatum(orders);
		values[3] = Int64GetDatum(closed);
		values[4] = Int64GetDatum(waiting);
		nulls[5] = stage == 0 || before == 0;
		if (!nulls[5])
			values[5] = counts_rate(orders, before);
		nulls[6] = placed == 0;
		if (!nulls[6])
			values[6] = counts_rate(orders, placed);
		counts_rows_add(&rows, values, nulls);
		before = orders;
	}
	PG_RETURN_DATUM(counts_rows_end(&rows));
}
