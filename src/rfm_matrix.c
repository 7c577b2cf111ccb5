/*
 * rfm_matrix.c
 *		Customers by RFM scores in one pass: rfm_matrix().
 */
#include "history_counts.h"
#include "history_reader.h"
#include "numeric_units.h"
#include "rank_cuts.h"
#include "rfm_totals.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(rfm_matrix_history_transition);
PG_FUNCTION_INFO_V1(rfm_matrix_totals_transition);
PG_FUNCTION_INFO_V1(rfm_matrix_final);

/*
 * The moment in the argument after the history, now when there is none: the
 * same for a whole query.
 */
static TimestampTz
seen_from(FunctionCallInfo fcinfo)
{
	TimestampTz *now = (TimestampTz *) fcinfo->flinfo->fn_extra;

	if (PG_NARGS() > 2 && !PG_ARGISNULL(2))
		return counts_arg_at(fcinfo, 2);
	if (now == NULL)
	{
		now = (TimestampTz *) MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(TimestampTz));
		*now = counts_arg_at(fcinfo, 2);
		fcinfo->flinfo->fn_extra = now;
	}
	return *now;
}

/*
 * One row a customer: the history [, moment].
 */
Datum
rfm_matrix_history_transition(PG_FUNCTION_ARGS)
{
	RfmTotals  *state;
	HistoryReader reader;
	TimestampTz moment;
	TimestampTz at;
	TimestampTz last;
	int64		units;
	int64		purchases = 0;
	int128		spent = 0;

	if (PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}

	state = rfm_totals_state(fcinfo);
	moment = seen_from(fcinfo);
	reader = history_read(PG_GETARG_PURCHASE_HISTORY_P(1));

	/* Mostly all purchases count: then the times between do not matter. */
	last = history_reader_last(&reader);
	if (likely(last <= moment))
	{
		purchases = reader.count;
		for (int64 i = 0; i < purchases; i++)
			spent += history_reader_units(&reader);
	}
	else
	{
		while (history_reader_next(&reader, &at, &units) && at <= moment)
		{
			last = at;
			purchases++;
			spent += units;
		}
	}
	if (purchases > 0)
		rfm_totals_add(state, last, purchases, spent, reader.scale);
	return EOHPGetRWDatum(&state->hdr);
}

/*
 * One row a customer: last purchase, number of purchases, money spent.
 */
Datum
rfm_matrix_totals_transition(PG_FUNCTION_ARGS)
{
	RfmTotals  *state;
	TimestampTz last;
	Numeric		spent;
	int64		units;
	int			scale;

	if (PG_ARGISNULL(1) || PG_ARGISNULL(2) || PG_ARGISNULL(3))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}

	state = rfm_totals_state(fcinfo);
	last = PG_GETARG_TIMESTAMPTZ(1);
	if (TIMESTAMP_NOT_FINITE(last))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("a last purchase cannot have an infinite time"),
				 errhint("Use NULL for a customer without purchases.")));
	spent = (Numeric) PG_DETOAST_DATUM_PACKED(PG_GETARG_DATUM(3));
	if (!numeric_to_units(spent, &units, &scale))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("amount %s is out of range",
						DatumGetCString(DirectFunctionCall1(numeric_out, PG_GETARG_DATUM(3)))),
				 errhint("Round it, for example with round(amount, 2), or use rfm_score() OVER ().")));
	rfm_totals_add(state, last, PG_GETARG_INT64(2), units, scale);
	return EOHPGetRWDatum(&state->hdr);
}

#define ST_SORT sort_wide
#define ST_ELEMENT_TYPE int128
#define ST_COMPARE(a, b) (*(a) < *(b) ? -1 : *(a) > *(b))
#define ST_SCOPE static
#define ST_CHECK_FOR_INTERRUPTS
#define ST_DEFINE
#include "miscadmin.h"
#include "lib/sort_template.h"

/*
 * Integers of 64 bits in the same order as sums that are too large for them:
 * the place of each among all.
 */
static int64 *
places_in_order(const int128 *units, int64 n)
{
	int64	   *result = (int64 *) MemoryContextAllocHuge(CurrentMemoryContext, n * sizeof(int64));
	int128	   *sorted = (int128 *) MemoryContextAllocHuge(CurrentMemoryContext, n * sizeof(int128));

	memcpy(sorted, units, n * sizeof(int128));
	sort_wide(sorted, n);
	for (int64 i = 0; i < n; i++)
	{
		int64		low = 0;
		int64		high = n;

		while (low < high)
		{
			int64		middle = low + (high - low) / 2;

			if (sorted[middle] < units[i])
				low = middle + 1;
			else
				high = middle;
		}
		result[i] = low;
	}
	pfree(sorted);
	return result;
}

typedef struct MatrixCell
{
	int64		customers;
	int128		units;
} MatrixCell;

/*
 * One row for each three scores that somebody has.
 */
Datum
rfm_matrix_rows(FunctionCallInfo fcinfo, const RfmTotals *state)
{
	const int64 *spent = state->wide_units == NULL ? state->units :
		places_in_order(state->wide_units, state->customers);
	RankCuts	recency = rank_cuts(state->last, state->customers);
	RankCuts	frequency = rank_cuts(state->purchases, state->customers);
	RankCuts	monetary = rank_cuts(spent, state->customers);
	MatrixCell	cells[RANK_SCORES][RANK_SCORES][RANK_SCORES];
	CountsRows	rows;

	memset(cells, 0, sizeof(cells));
	for (int64 i = 0; i < state->customers; i++)
	{
		MatrixCell *cell = &cells[rank_score(&recency, state->last[i]) - 1]
			[rank_score(&frequency, state->purchases[i]) - 1]
			[rank_score(&monetary, spent[i]) - 1];

		cell->customers++;
		if (__builtin_add_overflow(cell->units, rfm_totals_units(state, i), &cell->units))
			counts_overflow();
	}

	counts_rows_begin(&rows, fcinfo);
	for (int r = 0; r < RANK_SCORES; r++)
	{
		for (int f = 0; f < RANK_SCORES; f++)
		{
			for (int m = 0; m < RANK_SCORES; m++)
			{
				const MatrixCell *cell = &cells[r][f][m];
				Datum		values[5];
				bool		nulls[5] = {false};

				if (cell->customers == 0)
					continue;
				values[0] = Int32GetDatum(r + 1);
				values[1] = Int32GetDatum(f + 1);
				values[2] = Int32GetDatum(m + 1);
				values[3] = Int64GetDatum(cell->customers);
				values[4] = NumericGetDatum(counts_amount(cell->units, state->scale));
				counts_rows_add(&rows, values, nulls);
			}
		}
	}
	PG_RETURN_DATUM(counts_rows_end(&rows));
}

Datum
rfm_matrix_final(PG_FUNCTION_ARGS)
{
	return rfm_matrix_rows(fcinfo, rfm_totals_read(fcinfo));
}
