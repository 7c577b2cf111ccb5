/*
 * purchase_gaps.c
 *		Distributions: the time from the X-th purchase to the next
 *		(purchase_gaps()), and what the best customers' share of sales is
 *		(pareto_share()).
 *
 * Both keep every value that occurs and how often, so that the result is exact
 * whatever the order of rows.
 */
#include "history_counts.h"
#include "history_reader.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(purchase_gaps_transition);
PG_FUNCTION_INFO_V1(purchase_gaps_final);
PG_FUNCTION_INFO_V1(pareto_transition);
PG_FUNCTION_INFO_V1(pareto_final);

/* What a customer spent, as the place of a cell: scale and high bits, low bits. */
#define SPENT_SCALE_BITS 5
#define SPENT_HIGH_MAX ((int128) 1 << 57)

/*
 * Arguments after the history: X (NULL for every X), fractions, moment.
 */
static void
gaps_question(FunctionCallInfo fcinfo, CountsQuestion *question)
{
	question->kind = COUNTS_GAPS;
	question->number = PG_ARGISNULL(2) ? 0 : PG_GETARG_INT32(2);
	if (!PG_ARGISNULL(2) && question->number < 1)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("purchases are counted from 1, but X is %d", question->number)));
	counts_arg_fractions(fcinfo, 3, question);
	question->at = counts_arg_at(fcinfo, 4);
}

/*
 * A cell is X and a gap in microseconds: the customers who had it.
 */
Datum
purchase_gaps_transition(PG_FUNCTION_ARGS)
{
	CountsCall *call;
	HistoryCounts *state = counts_transition(fcinfo, gaps_question, 2, &call);
	HistoryReader reader;
	TimestampTz at;
	TimestampTz before = 0;
	int64		x = 0;
	int64		only;

	if (state == NULL)
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}

	only = call->question.number;
	reader = history_read(PG_GETARG_PURCHASE_HISTORY_P(1));
	while (history_reader_next(&reader, &at, NULL) && at <= call->question.at)
	{
		if (x > 0 && (only == 0 || only == x))
			counts_cell(state, x, at - before)->customers++;
		if (only > 0 && x == only)
			break;
		before = at;
		x++;
	}
	return EOHPGetRWDatum(&state->hdr);
}

/*
 * As percentile_disc(): the least gap that at least the fraction of customers
 * do not exceed.
 */
Datum
purchase_gaps_final(PG_FUNCTION_ARGS)
{
	HistoryCounts *state = counts_state(fcinfo, COUNTS_GAPS);
	CountsCell *cells = counts_sorted(state);
	CountsRows	rows;
	int			nfractions;
	Numeric    *fractions = counts_question_fractions(&state->question, &nfractions);
	int64		i = 0;

	counts_rows_begin(&rows, fcinfo);
	while (i < state->ncells)
	{
		int64		x = cells[i].row;
		int64		end = i;
		int64		customers = 0;

		for (; end < state->ncells && cells[end].row == x; end++)
			customers += cells[end].customers;
		for (int f = 0; f < nfractions && customers > 0; f++)
		{
			int64		wanted = counts_portion(fractions[f], customers);
			int64		cell = i;
			int64		reached = cells[i].customers;
			Datum		values[4];
			bool		nulls[4] = {false};
			Interval   *gap = (Interval *) palloc0(sizeof(Interval));

			while (reached < wanted && cell + 1 < end)
				reached += cells[++cell].customers;
			/* In days and less, as the difference of two times is. */
			gap->day = (int32) (cells[cell].col / USECS_PER_DAY);
			gap->time = cells[cell].col % USECS_PER_DAY;
			values[0] = Int64GetDatum(x);
			values[1] = Int64GetDatum(customers);
			values[2] = NumericGetDatum(fractions[f]);
			values[3] = IntervalPGetDatum(gap);
			counts_rows_add(&rows, values, nulls);
		}
		i = end;
	}
	PG_RETURN_DATUM(counts_rows_end(&rows));
}

/*
 * Arguments after the history: share of customers, moment.
 */
static void
pareto_question(FunctionCallInfo fcinfo, CountsQuestion *question)
{
	question->kind = COUNTS_PARETO;
	if (PG_NARGS() > 2)
	{
		int			n;
		Datum		best;
		ArrayType  *array;

		counts_require(fcinfo, 2, "the share of customers");
		best = PG_GETARG_DATUM(2);
		array = construct_array(&best, 1, NUMERICOID, -1, false, TYPALIGN_INT);
		(void) counts_fractions(PointerGetDatum(array), &n);
		snprintf(question->fractions, sizeof(question->fractions), "{%s}",
				 DatumGetCString(DirectFunctionCall1(numeric_out, best)));
	}
	else
		strcpy(question->fractions, "{0.2}");
	question->at = counts_arg_at(fcinfo, 3);
}

/*
 * A cell is an amount spent, with its least scale: the customers who spent it.
 */
Datum
pareto_transition(PG_FUNCTION_ARGS)
{
	CountsCall *call;
	HistoryCounts *state = counts_transition(fcinfo, pareto_question, 2, &call);
	HistoryReader reader;
	TimestampTz at;
	int64		units;
	int128		spent = 0;
	int			scale;
	bool		any = false;

	if (state == NULL)
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}

	reader = history_read(PG_GETARG_PURCHASE_HISTORY_P(1));
	while (history_reader_next(&reader, &at, &units) && at <= call->question.at)
	{
		spent += units;
		any = true;
	}
	if (any)
	{
		scale = reader.scale;
		while (scale > 0 && spent % 10 == 0)
		{
			spent /= 10;
			scale--;
		}
		if ((spent >> 64) >= SPENT_HIGH_MAX)
			counts_overflow();
		counts_cell(state, (int64) (spent >> 64) << SPENT_SCALE_BITS | scale,
					(int64) (uint64) spent)->customers++;
	}
	return EOHPGetRWDatum(&state->hdr);
}

typedef struct Spent
{
	int128		units;
	int64		customers;
} Spent;

static int
compare_spent(const void *a, const void *b)
{
	int128		x = ((const Spent *) a)->units;
	int128		y = ((const Spent *) b)->units;

	return x > y ? -1 : x < y;	/* the most first */
}

Datum
pareto_final(PG_FUNCTION_ARGS)
{
	HistoryCounts *state = counts_state(fcinfo, COUNTS_PARETO);
	Spent	   *spent = (Spent *) MemoryContextAllocHuge(CurrentMemoryContext,
														 Max(state->ncells, 1) * sizeof(Spent));
	int			nfractions;
	Numeric    *fractions = counts_question_fractions(&state->question, &nfractions);
	int			scale = 0;
	int64		n = 0;
	int64		customers = 0;
	int64		best;
	int128		total = 0;
	int128		of_best = 0;

	for (uint64 i = 0; i < state->nslots; i++)
	{
		if (state->slots[i].row != PG_INT64_MIN)
			scale = Max(scale, (int) (state->slots[i].row & ((1 << SPENT_SCALE_BITS) - 1)));
	}
	for (uint64 i = 0; i < state->nslots; i++)
	{
		const CountsCell *cell = &state->slots[i];
		int128		units;
		int128		sum;

		if (cell->row == PG_INT64_MIN)
			continue;
		units = (int128) (((uint128) (uint64) (cell->row >> SPENT_SCALE_BITS) << 64) | (uint64) cell->col);
		for (int s = (int) (cell->row & ((1 << SPENT_SCALE_BITS) - 1)); s < scale; s++)
		{
			if (__builtin_mul_overflow(units, (int128) 10, &units))
				counts_overflow();
		}
		if (units < 0 || __builtin_mul_overflow(units, (int128) cell->customers, &sum) ||
			__builtin_add_overflow(total, sum, &total))
			counts_overflow();
		spent[n].units = units;
		spent[n++].customers = cell->customers;
		customers += cell->customers;
	}
	if (total == 0 || nfractions != 1)
		PG_RETURN_NULL();

	best = counts_portion(fractions[0], customers);
	qsort(spent, n, sizeof(Spent), compare_spent);
	for (int64 i = 0; i < n && best > 0; i++)
	{
		int64		counted = Min(best, spent[i].customers);

		of_best += spent[i].units * counted;
		best -= counted;
	}
	PG_RETURN_DATUM(DirectFunctionCall2(numeric_div,
										NumericGetDatum(counts_amount(of_best, scale)),
										NumericGetDatum(counts_amount(total, scale))));
}
