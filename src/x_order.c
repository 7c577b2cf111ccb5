/*
 * x_order.c
 *		After how many purchases customers stay: x_order_rates() and
 *		magic_number().
 */
#include "history_counts.h"
#include "history_reader.h"

#include "common/int.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

PG_FUNCTION_INFO_V1(x_order_transition);
PG_FUNCTION_INFO_V1(x_order_rates_final);
PG_FUNCTION_INFO_V1(magic_number_final);

/* A step counts when so many customers took it, and rises by so much. */
#define LEAST_CUSTOMERS 30
#define EPSILON_PERCENT 5

/*
 * Arguments after the history: horizon, moment.
 */
static void
x_order_question(FunctionCallInfo fcinfo, CountsQuestion *question)
{
	question->kind = COUNTS_X_ORDER;
	question->horizon = counts_arg_horizon(fcinfo, 2);
	question->at = counts_arg_at(fcinfo, 3);
}

/*
 * The counters of X: customers who have X purchases that lie at least the
 * horizon ago, and those who made the next one within it after their X-th
 * (others).  Who has X has made all steps before, so a customer is counted
 * once, and count_steps() adds up.
 */
Datum
x_order_transition(PG_FUNCTION_ARGS)
{
	CountsCall *call;
	HistoryCounts *state = counts_transition(fcinfo, x_order_question, 2, &call);
	HistoryReader reader;
	CountsStep *step;
	TimestampTz at;
	TimestampTz latest;
	int64		horizon;

	if (state == NULL)
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}

	horizon = call->question.horizon;
	latest = call->question.at;
	if (horizon == COUNTS_NONE)
		horizon = PG_INT64_MAX;
	else
		latest -= horizon;

	reader = history_read(PG_GETARG_PURCHASE_HISTORY_P(1));
	at = reader.at;
	if (reader.count == 0 || at > latest)
		return EOHPGetRWDatum(&state->hdr);
	step = counts_steps(state, reader.count);
	for (const CountsStep *last = step + reader.count - 1; step < last; step++)
	{
		uint64		delta = history_reader_delta(&reader);

		at = (TimestampTz) ((uint64) at + delta);
		if (at > latest)
		{
			step->others += at <= call->question.at && delta <= (uint64) horizon;
			break;
		}
		step->others += delta <= (uint64) horizon;
	}
	step->customers++;
	return EOHPGetRWDatum(&state->hdr);
}

/*
 * The counters of X, each with all customers who made X or more.
 */
static CountsStep *
count_steps(const HistoryCounts *state, int64 *n)
{
	CountsStep *steps = (CountsStep *) MemoryContextAllocHuge(CurrentMemoryContext,
															  (state->nsteps + 1) * sizeof(CountsStep));
	int64		customers = 0;

	/* The last ones may have been made for purchases that do not count yet. */
	*n = state->nsteps;
	while (*n > 0 && state->steps[*n - 1].customers == 0)
		(*n)--;
	for (int64 i = *n - 1; i >= 0; i--)
	{
		if (pg_add_s64_overflow(customers, state->steps[i].customers, &customers))
			counts_overflow();
		steps[i].customers = customers;
		steps[i].others = state->steps[i].others;
	}
	return steps;
}

Datum
x_order_rates_final(PG_FUNCTION_ARGS)
{
	HistoryCounts *state = counts_state(fcinfo, COUNTS_X_ORDER);
	int64		n;
	CountsStep *steps = count_steps(state, &n);
	CountsRows	rows;

	counts_rows_begin(&rows, fcinfo);
	for (int64 i = 0; i < n; i++)
	{
		Datum		values[4];
		bool		nulls[4] = {false};

		values[0] = Int64GetDatum(i + 1);
		values[1] = Int64GetDatum(steps[i].customers);
		values[2] = Int64GetDatum(steps[i].others);
		values[3] = counts_rate(steps[i].others, steps[i].customers);
		counts_rows_add(&rows, values, nulls);
	}
	PG_RETURN_DATUM(counts_rows_end(&rows));
}

static Datum
product(Datum a, Datum b)
{
	return DirectFunctionCall2(numeric_mul, a, b);
}

static Datum
whole(int64 n)
{
	return NumericGetDatum(int64_to_numeric(n));
}

/*
 * Whether the rate of b is greater than that of a by epsilon or more, without
 * dividing, so without rounding.
 */
static bool
rises(const CountsStep *a, const CountsStep *b, Datum epsilon)
{
	Datum		difference = DirectFunctionCall2(numeric_sub,
												 product(whole(b->others), whole(a->customers)),
												 product(whole(a->others), whole(b->customers)));

	return DatumGetBool(DirectFunctionCall2(numeric_ge, difference,
											product(epsilon, product(whole(a->customers), whole(b->customers)))));
}

static Datum
arg_epsilon(FunctionCallInfo fcinfo, int n)
{
	Numeric		epsilon = PG_GETARG_NUMERIC(n);

	if (numeric_is_nan(epsilon) ||
		DatumGetBool(DirectFunctionCall2(numeric_lt, NumericGetDatum(epsilon), whole(0))))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("epsilon must not be negative, but is %s",
						DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(epsilon)))),
				 errhint("It is how much a rate must rise to matter, as in 0.05 for five points.")));
	return NumericGetDatum(epsilon);
}

/*
 * magic_number(state [, epsilon, least_customers])
 */
Datum
magic_number_final(PG_FUNCTION_ARGS)
{
	HistoryCounts *state = counts_state(fcinfo, COUNTS_X_ORDER);
	int64		n;
	CountsStep *steps = count_steps(state, &n);
	int64		least = PG_NARGS() > 2 ? PG_GETARG_INT64(2) : LEAST_CUSTOMERS;
	Datum		epsilon;
	int64		magic = 1;
	bool		any = false;

	if (PG_NARGS() > 1)
		epsilon = arg_epsilon(fcinfo, 1);
	else
		epsilon = NumericGetDatum(int64_div_fast_to_numeric(EPSILON_PERCENT, 2));

	for (int64 i = 1; i < n && steps[i].customers >= Max(least, 1); i++)
	{
		any = true;
		if (rises(&steps[i - 1], &steps[i], epsilon))
			magic = i + 1;
	}
	if (!any)
		PG_RETURN_NULL();
	PG_RETURN_INT64(magic);
}
