/*
 * rfm_matrix.c
 *		Customers by RFM scores in one pass, rfm_matrix(), and the cut points of
 *		these scores, rfm_cuts_of().
 */
#include "history_counts.h"
#include "history_reader.h"
#include "numeric_units.h"
#include "rank_cuts.h"
#include "rfm_totals.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(rfm_matrix_history_transition);
PG_FUNCTION_INFO_V1(rfm_matrix_totals_transition);
PG_FUNCTION_INFO_V1(rfm_matrix_final);
PG_FUNCTION_INFO_V1(rfm_totals_cuts);

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
	int64		purchases;
	int128		spent;

	if (PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}

	state = rfm_totals_state(fcinfo);
	moment = seen_from(fcinfo);
	reader = history_read(PG_GETARG_PURCHASE_HISTORY_P(1));

	if (reader.count == 0)
		return EOHPGetRWDatum(&state->hdr);

	/* Mostly all purchases count: then the times between do not matter. */
	purchases = reader.count;
	history_reader_totals(&reader, &last, &spent);
	if (unlikely(last > moment))
	{
		purchases = 0;
		spent = 0;
		while (history_reader_next(&reader, &at, &units) && at <= moment)
		{
			last = at;
			purchases++;
			spent += units;
		}
	}
	if (purchases > 0)
		rfm_totals_add(state, 0, last, purchases, spent, reader.scale);
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
	rfm_totals_add(state, 0, last, PG_GETARG_INT64(2), units, scale);
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

/* A column of the totals, money brought to their scale. */
typedef struct ColumnSource
{
	RankSource	source;
	RfmTotals  *totals;
	TotalsField field;
	TotalsReader reader;
	int64		values[TOTALS_BLOCK_MAX];
} ColumnSource;

/* The numbers of a column that are 64 bits wide in any scale. */
static void
read_column(const RfmTotals *totals, const TotalsBlock *block, TotalsField field, int64 *values)
{
	int64		factor = field == TOTALS_UNITS ? totals_block_factor(totals, block) : 1;

	totals_block_column(block, field, values);
	if (factor == 1)
		return;
	for (int i = 0; i < block->customers; i++)
		values[i] *= factor;
}

static void
column_begin(RankSource *source)
{
	ColumnSource *column = (ColumnSource *) source;

	totals_reader_begin(&column->reader, column->totals);
}

static int
column_next(RankSource *source, const int64 **values)
{
	ColumnSource *column = (ColumnSource *) source;
	TotalsBlock block;

	if (!totals_reader_next(&column->reader, &block))
		return 0;
	read_column(column->totals, &block, column->field, column->values);
	*values = column->values;
	return block.customers;
}

/*
 * Where the scores of a column begin; false when it is money that may not fit
 * 64 bits.
 */
static bool
column_cuts(RfmTotals *totals, TotalsField field, RankCuts *cuts)
{
	ColumnSource column = {{totals->customers, PG_INT64_MAX, PG_INT64_MIN, column_begin, column_next},
	totals, field};
	TotalsReader reader;
	TotalsBlock block;

	totals_reader_begin(&reader, totals);
	while (totals_reader_next(&reader, &block))
	{
		int64		factor = field == TOTALS_UNITS ? totals_block_factor(totals, &block) : 1;
		int64		least;
		int64		greatest;

		if ((field == TOTALS_UNITS && totals_block_is_wide(&block)) ||
			pg_mul_s64_overflow(block.columns[field].least, factor, &least) ||
			pg_mul_s64_overflow(block.columns[field].greatest, factor, &greatest))
			return false;
		column.source.least = Min(column.source.least, least);
		column.source.greatest = Max(column.source.greatest, greatest);
	}
	*cuts = rank_cuts(&column.source);
	return true;
}

/* Money of a block in the scale of all. */
static void
read_units(const RfmTotals *totals, const TotalsBlock *block, int128 *units)
{
	int64		factor = totals_block_factor(totals, block);

	totals_block_units(block, units);
	for (int i = 0; i < block->customers; i++)
	{
		if (__builtin_mul_overflow(units[i], (int128) factor, &units[i]))
			counts_overflow();
	}
}

static int128 *
all_units(RfmTotals *totals)
{
	int128	   *units = (int128 *) MemoryContextAllocHuge(CurrentMemoryContext,
														  Max(totals->customers, 1) * sizeof(int128));
	TotalsReader reader;
	TotalsBlock block;
	int64		done = 0;

	totals_reader_begin(&reader, totals);
	for (; totals_reader_next(&reader, &block); done += block.customers)
		read_units(totals, &block, units + done);
	return units;
}

typedef struct MatrixCell
{
	int64		customers;
	int128		units;
} MatrixCell;

typedef MatrixCell Matrix[RANK_SCORES][RANK_SCORES][RANK_SCORES];

/* Where the scores of each column begin. */
typedef struct MatrixCuts
{
	RankCuts	recency;
	RankCuts	frequency;
	RankCuts	monetary;
	int64	   *places;			/* what monetary is of, where money does not fit 64 bits; else NULL */
} MatrixCuts;

static void
matrix_cuts(RfmTotals *totals, MatrixCuts *cuts)
{
	column_cuts(totals, TOTALS_LAST, &cuts->recency);
	column_cuts(totals, TOTALS_PURCHASES, &cuts->frequency);
	cuts->places = NULL;
	if (!column_cuts(totals, TOTALS_UNITS, &cuts->monetary))
	{
		cuts->places = places_in_order(all_units(totals), totals->customers);
		cuts->monetary = rank_cuts_of_array(cuts->places, totals->customers);
	}
}

static void
count_cells(RfmTotals *totals, Matrix cells)
{
	MatrixCuts	cuts;
	TotalsReader reader;
	TotalsBlock block;
	int64		last[TOTALS_BLOCK_MAX];
	int64		purchases[TOTALS_BLOCK_MAX];
	int64		spent[TOTALS_BLOCK_MAX];
	int128		units[TOTALS_BLOCK_MAX];
	int64		done = 0;

	matrix_cuts(totals, &cuts);
	totals_reader_begin(&reader, totals);
	for (; totals_reader_next(&reader, &block); done += block.customers)
	{
		read_column(totals, &block, TOTALS_LAST, last);
		read_column(totals, &block, TOTALS_PURCHASES, purchases);
		if (cuts.places == NULL)
			read_column(totals, &block, TOTALS_UNITS, spent);
		else
			read_units(totals, &block, units);
		for (int i = 0; i < block.customers; i++)
		{
			MatrixCell *cell = &cells[rank_score(&cuts.recency, last[i]) - 1]
				[rank_score(&cuts.frequency, purchases[i]) - 1]
				[rank_score(&cuts.monetary, cuts.places == NULL ? spent[i] : cuts.places[done + i]) - 1];

			cell->customers++;
			if (__builtin_add_overflow(cell->units, cuts.places == NULL ? (int128) spent[i] : units[i], &cell->units))
				counts_overflow();
		}
	}
}

/*
 * One row for each three scores that somebody has.
 */
Datum
rfm_matrix_rows(FunctionCallInfo fcinfo, RfmTotals *totals)
{
	Matrix		cells;
	CountsRows	rows;

	memset(cells, 0, sizeof(cells));
	count_cells(totals, cells);

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
				values[4] = NumericGetDatum(counts_amount(cell->units, totals->scale));
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

/* ----------------------------------------------------------------
 * Cut points, to be frozen
 * ----------------------------------------------------------------
 */

/* The least number above each cut; that of a score nobody has stays as it was. */
static void
least_above(const RankCuts *cuts, int64 value, int64 *least)
{
	for (int i = 0; i < RANK_CUTS; i++)
	{
		if (value > cuts->above[i])
			least[i] = Min(least[i], value);
	}
}

/* An array of cut points as a part of the result. */
static Datum
cuts_array(Datum *values, Oid type)
{
	int16		typlen;
	bool		typbyval;
	char		typalign;

	get_typlenbyvalalign(type, &typlen, &typbyval, &typalign);
	return PointerGetDatum(construct_array(values, RANK_CUTS, type, typlen, typbyval, typalign));
}

/*
 * The least time, number of purchases and amount of each score from 2 on, as a
 * row of the type rfm_cuts, with the moment in argument 1.
 */
Datum
rfm_cuts_row(FunctionCallInfo fcinfo, RfmTotals *totals)
{
	MatrixCuts	cuts;
	TotalsReader reader;
	TotalsBlock block;
	int64		values[TOTALS_BLOCK_MAX];
	int128		units[TOTALS_BLOCK_MAX];
	int64		last[RANK_CUTS];
	int64		purchases[RANK_CUTS];
	int128		spent[RANK_CUTS];
	bool		is_spent[RANK_CUTS] = {false};
	Datum		elements[RANK_CUTS];
	Datum		columns[4];
	bool		nulls[4] = {false};
	TupleDesc	tupdesc;
	int64		done = 0;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	/* What a score begins with that nobody has. */
	for (int i = 0; i < RANK_CUTS; i++)
	{
		last[i] = DT_NOEND;
		purchases[i] = PG_INT64_MAX;
	}

	matrix_cuts(totals, &cuts);
	totals_reader_begin(&reader, totals);
	for (; totals_reader_next(&reader, &block); done += block.customers)
	{
		read_column(totals, &block, TOTALS_LAST, values);
		for (int i = 0; i < block.customers; i++)
			least_above(&cuts.recency, values[i], last);
		read_column(totals, &block, TOTALS_PURCHASES, values);
		for (int i = 0; i < block.customers; i++)
			least_above(&cuts.frequency, values[i], purchases);
		read_units(totals, &block, units);
		for (int i = 0; i < block.customers; i++)
		{
			int64		value = cuts.places == NULL ? (int64) units[i] : cuts.places[done + i];

			for (int cut = 0; cut < RANK_CUTS; cut++)
			{
				if (value > cuts.monetary.above[cut] && (!is_spent[cut] || units[i] < spent[cut]))
				{
					spent[cut] = units[i];
					is_spent[cut] = true;
				}
			}
		}
	}

	for (int i = 0; i < RANK_CUTS; i++)
		elements[i] = TimestampTzGetDatum(last[i]);
	columns[0] = cuts_array(elements, TIMESTAMPTZOID);
	for (int i = 0; i < RANK_CUTS; i++)
		elements[i] = Int64GetDatum(purchases[i]);
	columns[1] = cuts_array(elements, INT8OID);
	for (int i = 0; i < RANK_CUTS; i++)
		elements[i] = is_spent[i] ? NumericGetDatum(counts_amount(spent[i], totals->scale)) :
			DirectFunctionCall3(numeric_in, CStringGetDatum("infinity"), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	columns[2] = cuts_array(elements, NUMERICOID);
	columns[3] = TimestampTzGetDatum(counts_arg_at(fcinfo, 1));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), columns, nulls)));
}

/*
 * rfm_cuts_of(state, at)
 */
Datum
rfm_totals_cuts(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	return rfm_cuts_row(fcinfo, rfm_totals_read(fcinfo));
}
