/*
 * history_counts.h
 *		The state of aggregates over purchase histories: a table of counters,
 *		with the question they answer.
 *
 * A cell of the table is found by two whole numbers and counts customers,
 * something else, and money; what these are, each aggregate says.  States of
 * the same question add up cell by cell, in any order.  A question about the
 * X-th purchase has its counters in a line instead, one for each X: a third of
 * the memory, and the next one is always beside it.
 */
#ifndef RETENTION_HISTORY_COUNTS_H
#define RETENTION_HISTORY_COUNTS_H

#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "pgtime.h"
#include "utils/array.h"
#include "utils/expandeddatum.h"
#include "utils/numeric.h"

#include "period.h"
#include "purchase_history.h"

#ifndef HAVE_INT128
#error "retention needs a compiler with 128-bit integers"
#endif

/* The aggregate that a state belongs to; part of the external form. */
typedef enum CountsKind
{
	COUNTS_COHORT = 1,
	COUNTS_NEW_RETURNING = 2,
	COUNTS_NEXT_PERIOD = 3,
	COUNTS_REPURCHASE = 4,
	COUNTS_X_ORDER = 5,
	COUNTS_RETENTION = 6,
	COUNTS_GAPS = 7,
	COUNTS_PARETO = 8,
	COUNTS_FUNNEL = 9
} CountsKind;

#define COUNTS_KIND_MAX COUNTS_FUNNEL

#define COUNTS_MAGIC	0x48434e54

/* No horizon, no number. */
#define COUNTS_NONE		(-1)

/*
 * The question: what all rows of a group share.  What an aggregate does not
 * use is zero, so that questions compare bytewise.
 */
typedef struct CountsQuestion
{
	int32		kind;
	int32		unit;			/* PeriodUnit */
	int32		week_start;
	int32		mode;			/* of retention */
	int32		number;			/* k, N or X */
	int32		day;			/* a day that is asked for */
	TimestampTz at;				/* the moment from which all is seen */
	int64		horizon;		/* microseconds, or COUNTS_NONE */
	char		zone[TZ_STRLEN_MAX + 1];
	char		fractions[TZ_STRLEN_MAX + 1];	/* numeric[] as text */
} CountsQuestion;

typedef struct CountsCell
{
	int64		row;			/* PG_INT64_MIN in an empty slot */
	int64		col;
	int64		customers;
	int64		others;
	int128		units;			/* money, in units of 10^-scale of the state */
} CountsCell;

typedef struct CountsStep
{
	int64		customers;
	int64		others;
} CountsStep;

typedef struct HistoryCounts
{
	ExpandedObjectHeader hdr;
	int			magic;
	CountsQuestion question;
	const void *asked_by;		/* the call known to ask this question */
	int			scale;
	int64		ncells;
	uint64		nslots;			/* a power of two */
	int			shift;			/* 64 less its logarithm */
	CountsCell *slots;
	int64		nsteps;			/* of a line, instead of cells */
	int64		steps_room;
	CountsStep *steps;			/* that of X is steps[X - 1] */
	uint8	   *cell_bytes;		/* the counters as bytes, while being flattened */
	Size		ncell_bytes;
} HistoryCounts;

/* An argument that is part of the question, as it was last seen. */
typedef struct CountsArgument
{
	Datum		value;
	bool		isnull;
	bool		typbyval;
	int16		typlen;
} CountsArgument;

#define COUNTS_MAX_ARGUMENTS 8

/* What an aggregate's transition function keeps for a whole query. */
typedef struct CountsCall
{
	CountsQuestion question;
	CountsArgument arguments[COUNTS_MAX_ARGUMENTS];
	int			first;			/* the first of them */
	bool		constant;		/* they are the same for the whole query */
	bool		varies;			/* not all rows so far had the same question */
	Calendar   *calendar;		/* NULL when the question has no zone */
	int32		current;		/* period of the question's moment, if there is
								 * a calendar */
	int32	   *numbers;		/* room for one customer's numbers */
	int64		nnumbers;
} CountsCall;

/* Reads the question from the arguments of a call. */
typedef void (*CountsReader) (FunctionCallInfo fcinfo, CountsQuestion *question);

/* The question in the arguments from first on, read again when they have changed. */
extern CountsCall *counts_call(FunctionCallInfo fcinfo, CountsReader reader, int first);

extern HistoryCounts *counts_transition_any(FunctionCallInfo fcinfo, CountsReader reader,
											int first, CountsCall **call);

/* Room for so many numbers, kept with the call. */
extern int32 *counts_numbers(FunctionCallInfo fcinfo, CountsCall *call, int64 n);

/* The state in argument 0 of a final function, which must be of that kind. */
extern HistoryCounts *counts_state(FunctionCallInfo fcinfo, CountsKind kind);

extern Calendar *counts_calendar(const HistoryCounts *state);

/* Its cells in order of row and column. */
extern CountsCell *counts_sorted(const HistoryCounts *state);

/* Arguments as parts of a question; n is the argument's number. */
extern TimestampTz counts_arg_at(FunctionCallInfo fcinfo, int n);
extern int64 counts_arg_horizon(FunctionCallInfo fcinfo, int n);
extern void counts_arg_period(FunctionCallInfo fcinfo, int n, CountsQuestion *question);
extern void counts_arg_zone(FunctionCallInfo fcinfo, int n, CountsQuestion *question);
extern void counts_arg_fractions(FunctionCallInfo fcinfo, int n, CountsQuestion *question);
extern void counts_require(FunctionCallInfo fcinfo, int n, const char *name);

/* Fractions, each between 0 and 1, out of a numeric[]. */
extern Numeric *counts_fractions(Datum array, int *n);
extern Numeric *counts_question_fractions(const CountsQuestion *question, int *n);

/* ceil(fraction * count), at least 1. */
extern int64 counts_portion(Numeric fraction, int64 count);

extern Numeric counts_amount(int128 units, int scale);
extern Datum counts_rate(int64 part, int64 whole);

/* Rows of the result: an array of the composite type the function returns. */
typedef struct CountsRows
{
	Oid			type;
	TupleDesc	tupdesc;
	ArrayBuildState *array;
} CountsRows;

extern void counts_rows_begin(CountsRows *rows, FunctionCallInfo fcinfo);

/* Refuses a result of so many rows that no array holds them. */
extern void counts_rows_expect(int64 n);
extern void counts_rows_add(CountsRows *rows, Datum *values, bool *nulls);
extern Datum counts_rows_end(CountsRows *rows);

extern void counts_steps_grow(HistoryCounts *state, int64 n);
extern CountsCell *counts_cell_grow(HistoryCounts *state, int64 row, int64 col);
extern int64 counts_scale_change(HistoryCounts *state, int scale);
extern void counts_overflow(void);

/*
 * Where to look first for a cell.  Small columns, such as days or periods
 * since, lie side by side, and rows far from each other, as far as there is
 * room: so neighbours share cache lines and seldom get in each other's way.
 */
static inline uint64
counts_slot(const HistoryCounts *state, int64 row, int64 col)
{
	uint64		hash = (uint64) row * UINT64CONST(0x9e3779b97f4a7c15);

	if (likely((uint64) col <= PG_UINT16_MAX))
		return ((hash >> state->shift) + (uint64) col) & (state->nslots - 1);
	return ((hash + (uint64) col) * UINT64CONST(0xd6e8feb86659fd93)) >> state->shift;
}

/*
 * The cell at that place, or NULL when there is none.
 */
static inline CountsCell *
counts_find(const HistoryCounts *state, int64 row, int64 col)
{
	uint64		slot = counts_slot(state, row, col);

	for (;;)
	{
		CountsCell *cell = &state->slots[slot];

		if (cell->row == row && cell->col == col)
			return cell;
		if (cell->row == PG_INT64_MIN)
			return NULL;
		slot = (slot + 1) & (state->nslots - 1);
	}
}

/*
 * The cell at that place, made when there is none.  Good until the next call.
 */
static inline CountsCell *
counts_cell(HistoryCounts *state, int64 row, int64 col)
{
	CountsCell *cell = counts_find(state, row, col);

	return likely(cell != NULL) ? cell : counts_cell_grow(state, row, col);
}

/*
 * The first of a line of n counters or more, made when there are fewer.  Good
 * until the next call.
 */
static inline CountsStep *
counts_steps(HistoryCounts *state, int64 n)
{
	if (unlikely(n > state->nsteps))
		counts_steps_grow(state, n);
	return state->steps;
}

/* What amounts of that scale are to be multiplied with. */
static inline int64
counts_scale(HistoryCounts *state, int scale)
{
	return likely(scale == state->scale) ? 1 : counts_scale_change(state, scale);
}

static inline void
counts_add_units(CountsCell *cell, int128 units)
{
	if (unlikely(__builtin_add_overflow(cell->units, units, &cell->units)))
		counts_overflow();
}

/*
 * Begins a transition: the state, made when there is none, and the call.  The
 * question is in the arguments from first on, those before are the row's own.
 * Returns NULL when argument 1 is NULL and there is nothing to count.
 */
static inline HistoryCounts *
counts_transition(FunctionCallInfo fcinfo, CountsReader reader, int first, CountsCall **call)
{
	CountsCall *known = (CountsCall *) fcinfo->flinfo->fn_extra;

	/* The row before had the same question and this state. */
	if (likely(known != NULL && known->constant && !PG_ARGISNULL(0) && !PG_ARGISNULL(1) &&
			   VARATT_IS_EXTERNAL_EXPANDED_RW(DatumGetPointer(PG_GETARG_DATUM(0)))))
	{
		HistoryCounts *state = (HistoryCounts *) DatumGetEOHP(PG_GETARG_DATUM(0));

		if (likely(state->magic == COUNTS_MAGIC && state->asked_by == known))
		{
			*call = known;
			return state;
		}
	}
	return counts_transition_any(fcinfo, reader, first, call);
}

#endif							/* RETENTION_HISTORY_COUNTS_H */
