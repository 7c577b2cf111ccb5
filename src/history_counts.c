/*
 * history_counts.c
 *		The state of aggregates over purchase histories.
 *
 * A state is an expanded object in the aggregate's context, changed in place;
 * counts_encoding.c has it as bytes.
 */
#include "counts_encoding.h"

#include "aggregate_context.h"
#include "history_encoding.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "miscadmin.h"
#include "nodes/primnodes.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#define FIRST_SHIFT		58		/* 64 slots */
#define FAR_SLOT		16		/* a longer search makes a small table grow */
#define SMALL_TABLE		65536
#define FIRST_STEPS		64

PG_FUNCTION_INFO_V1(history_counts_merge);

/* ----------------------------------------------------------------
 * Cells
 * ----------------------------------------------------------------
 */

static void
table_allocate(HistoryCounts *state, int shift)
{
	state->shift = shift;
	state->nslots = UINT64CONST(1) << (64 - shift);
	state->slots = (CountsCell *) MemoryContextAllocHuge(state->hdr.eoh_context,
														 state->nslots * sizeof(CountsCell));
	for (uint64 i = 0; i < state->nslots; i++)
		state->slots[i].row = PG_INT64_MIN;
}

HistoryCounts *
counts_create(MemoryContext parent, const CountsQuestion *question, int64 ncells)
{
	MemoryContext context = AllocSetContextCreate(parent, "history counts",
												  ALLOCSET_START_SMALL_SIZES);
	HistoryCounts *state = (HistoryCounts *) MemoryContextAllocZero(context, sizeof(HistoryCounts));
	int			shift = FIRST_SHIFT;

	while ((uint64) ncells > (UINT64CONST(1) << (64 - shift)) / 2)
		shift--;
	EOH_init_header(&state->hdr, &counts_methods, context);
	state->magic = COUNTS_MAGIC;
	state->question = *question;
	table_allocate(state, shift);
	return state;
}

/*
 * A free slot for a cell, and how far it lies from the first choice.
 */
static CountsCell *
free_slot(HistoryCounts *state, int64 row, int64 col, uint64 *distance)
{
	uint64		first = counts_slot(state, row, col);
	uint64		slot = first;

	while (state->slots[slot].row != PG_INT64_MIN)
		slot = (slot + 1) & (state->nslots - 1);
	*distance = (slot - first) & (state->nslots - 1);
	return &state->slots[slot];
}

static void
table_grow(HistoryCounts *state)
{
	CountsCell *old = state->slots;
	uint64		nslots = state->nslots;
	uint64		distance;

	CHECK_FOR_INTERRUPTS();
	table_allocate(state, state->shift - 1);
	for (uint64 i = 0; i < nslots; i++)
	{
		if (old[i].row != PG_INT64_MIN)
			*free_slot(state, old[i].row, old[i].col, &distance) = old[i];
	}
	pfree(old);
}

/*
 * A new cell, known not to be there.  The table grows when it is half full, and
 * a small one when its rows overlap and make searches long.
 */
CountsCell *
counts_cell_grow(HistoryCounts *state, int64 row, int64 col)
{
	CountsCell *cell;
	uint64		distance;

	if ((uint64) state->ncells >= state->nslots / 2)
		table_grow(state);
	cell = free_slot(state, row, col, &distance);
	while (distance > FAR_SLOT && state->nslots < SMALL_TABLE)
	{
		table_grow(state);
		cell = free_slot(state, row, col, &distance);
	}

	cell->row = row;
	cell->col = col;
	cell->customers = 0;
	cell->others = 0;
	cell->units = 0;
	state->ncells++;
	return cell;
}

void
counts_steps_grow(HistoryCounts *state, int64 n)
{
	if (n > state->steps_room)
	{
		CountsStep *old = state->steps;

		state->steps_room = Max(n + n / 2, FIRST_STEPS);
		state->steps = (CountsStep *) MemoryContextAllocHuge(state->hdr.eoh_context,
															 state->steps_room * sizeof(CountsStep));
		if (old != NULL)
		{
			memcpy(state->steps, old, state->nsteps * sizeof(CountsStep));
			pfree(old);
		}
	}
	memset(state->steps + state->nsteps, 0, (n - state->nsteps) * sizeof(CountsStep));
	state->nsteps = n;
}

void
counts_overflow(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("sum of purchases is too large"),
			 errdetail("Sums are kept in 128 bits, with as many decimal places as the finest amount has.")));
}

int64
counts_scale_change(HistoryCounts *state, int scale)
{
	int64		factor;

	if (scale < state->scale)
		return history_power_of_ten[state->scale - scale];

	factor = history_power_of_ten[scale - state->scale];
	for (uint64 i = 0; i < state->nslots; i++)
	{
		CountsCell *cell = &state->slots[i];

		if (cell->row != PG_INT64_MIN &&
			__builtin_mul_overflow(cell->units, (int128) factor, &cell->units))
			counts_overflow();
	}
	state->scale = scale;
	return 1;
}

static int
compare_cells(const CountsCell *a, const CountsCell *b)
{
	if (a->row != b->row)
		return a->row < b->row ? -1 : 1;
	if (a->col != b->col)
		return a->col < b->col ? -1 : 1;
	return 0;
}

#define ST_SORT sort_cells
#define ST_ELEMENT_TYPE CountsCell
#define ST_COMPARE(a, b) compare_cells(a, b)
#define ST_SCOPE static
#define ST_CHECK_FOR_INTERRUPTS
#define ST_DEFINE
#include "lib/sort_template.h"

CountsCell *
counts_sorted(const HistoryCounts *state)
{
	CountsCell *cells = (CountsCell *) MemoryContextAllocHuge(CurrentMemoryContext,
															  Max(state->ncells, 1) * sizeof(CountsCell));
	int64		n = 0;

	for (uint64 i = 0; i < state->nslots; i++)
	{
		if (state->slots[i].row != PG_INT64_MIN)
			cells[n++] = state->slots[i];
	}
	Assert(n == state->ncells);
	sort_cells(cells, n);
	return cells;
}

/* ----------------------------------------------------------------
 * States
 * ----------------------------------------------------------------
 */

static HistoryCounts *
counts_expanded(Datum datum)
{
	HistoryCounts *state;

	if (!VARATT_IS_EXTERNAL_EXPANDED(DatumGetPointer(datum)))
		return NULL;
	state = (HistoryCounts *) DatumGetEOHP(datum);
	if (state->magic != COUNTS_MAGIC)
		elog(ERROR, "history counts have the wrong magic number");
	return state;
}

/* The state behind a datum, only to be read. */
static HistoryCounts *
counts_readable(Datum datum)
{
	HistoryCounts *state = counts_expanded(datum);
	struct varlena *flat;

	if (state != NULL)
		return state;
	flat = PG_DETOAST_DATUM_PACKED(datum);
	return counts_parse(VARDATA_ANY(flat), VARSIZE_ANY_EXHDR(flat), CurrentMemoryContext);
}

/* A state below the context, equal to that behind a datum. */
static HistoryCounts *
counts_copy(Datum datum, MemoryContext context)
{
	const HistoryCounts *from = counts_expanded(datum);
	HistoryCounts *state;
	struct varlena *flat;

	if (from == NULL)
	{
		flat = PG_DETOAST_DATUM_PACKED(datum);
		return counts_parse(VARDATA_ANY(flat), VARSIZE_ANY_EXHDR(flat), context);
	}
	state = counts_create(context, &from->question, from->ncells);
	state->scale = from->scale;
	for (uint64 i = 0; i < from->nslots; i++)
	{
		if (from->slots[i].row != PG_INT64_MIN)
			*counts_cell(state, from->slots[i].row, from->slots[i].col) = from->slots[i];
	}
	if (from->nsteps > 0)
		memcpy(counts_steps(state, from->nsteps), from->steps, from->nsteps * sizeof(CountsStep));
	return state;
}

/* ----------------------------------------------------------------
 * Transition and merge
 * ----------------------------------------------------------------
 */

/*
 * A state that may be changed in place: the aggregate's own, else a copy.
 */
static HistoryCounts *
counts_writable(Datum datum, MemoryContext context)
{
	if (VARATT_IS_EXTERNAL_EXPANDED_RW(DatumGetPointer(datum)))
		return counts_expanded(datum);
	return counts_copy(datum, context);
}

/*
 * Whether the arguments of the question are those of the row before, bit by
 * bit.  They nearly always are, and reading a question takes longer than that.
 */
static bool
same_arguments(FunctionCallInfo fcinfo, const CountsCall *call)
{
	for (int i = call->first; i < fcinfo->nargs; i++)
	{
		const CountsArgument *argument = &call->arguments[i];

		if (argument->isnull != PG_ARGISNULL(i) ||
			(!argument->isnull &&
			 !datumIsEqual(argument->value, PG_GETARG_DATUM(i), argument->typbyval, argument->typlen)))
			return false;
	}
	return true;
}

static void
keep_arguments(FunctionCallInfo fcinfo, CountsCall *call)
{
	MemoryContext old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);

	for (int i = call->first; i < fcinfo->nargs; i++)
	{
		CountsArgument *argument = &call->arguments[i];

		if (!argument->isnull && !argument->typbyval && argument->value != 0)
			pfree(DatumGetPointer(argument->value));
		get_typlenbyval(get_fn_expr_argtype(fcinfo->flinfo, i), &argument->typlen, &argument->typbyval);
		argument->isnull = PG_ARGISNULL(i);
		argument->value = argument->isnull ? 0 :
			datumCopy(PG_GETARG_DATUM(i), argument->typbyval, argument->typlen);
	}
	MemoryContextSwitchTo(old);
}

/*
 * Whether the arguments of the question cannot differ between rows.
 */
static bool
constant_arguments(FunctionCallInfo fcinfo, int first)
{
	Aggref	   *aggref = AggGetAggref(fcinfo);

	/* Argument 0 is the state, not among those of the aggregate. */
	if (aggref == NULL || list_length(aggref->args) != fcinfo->nargs - 1)
		return false;
	for (int i = first; i < fcinfo->nargs; i++)
	{
		Expr	   *argument = ((TargetEntry *) list_nth(aggref->args, i - 1))->expr;

		if (!IsA(argument, Const) &&
			!(IsA(argument, Param) && ((Param *) argument)->paramkind == PARAM_EXTERN))
			return false;
	}
	return true;
}

CountsCall *
counts_call(FunctionCallInfo fcinfo, CountsReader reader, int first)
{
	CountsCall *call = (CountsCall *) fcinfo->flinfo->fn_extra;
	CountsQuestion question;

	if (call != NULL && (call->constant || same_arguments(fcinfo, call)))
		return call;

	Assert(fcinfo->nargs <= COUNTS_MAX_ARGUMENTS);
	memset(&question, 0, sizeof(question));
	reader(fcinfo, &question);
	if (call == NULL)
	{
		call = (CountsCall *) MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(CountsCall));
		call->first = first;
		call->constant = constant_arguments(fcinfo, first);
		fcinfo->flinfo->fn_extra = call;
	}
	else
	{
		call->varies = true;
		if (strcmp(call->question.zone, question.zone) != 0 ||
			call->question.unit != question.unit ||
			call->question.week_start != question.week_start)
			call->calendar = NULL;
	}
	keep_arguments(fcinfo, call);
	call->question = question;
	if (call->calendar == NULL && question.zone[0] != '\0')
		call->calendar = calendar_create(fcinfo->flinfo->fn_mcxt, question.zone,
										 (PeriodUnit) question.unit, question.week_start);
	if (call->calendar != NULL)
		call->current = calendar_period(call->calendar, question.at);
	return call;
}

HistoryCounts *
counts_transition_any(FunctionCallInfo fcinfo, CountsReader reader, int first,
					  CountsCall **call)
{
	HistoryCounts *state;

	if (PG_ARGISNULL(1))
		return NULL;
	*call = counts_call(fcinfo, reader, first);

	if (PG_ARGISNULL(0))
	{
		state = counts_create(aggregate_context(fcinfo), &(*call)->question, 0);
		state->asked_by = *call;
		return state;
	}
	state = counts_expanded(PG_GETARG_DATUM(0));
	if (state == NULL || !VARATT_IS_EXTERNAL_EXPANDED_RW(DatumGetPointer(PG_GETARG_DATUM(0))))
		state = counts_writable(PG_GETARG_DATUM(0), aggregate_context(fcinfo));

	/* Any role may make an aggregate of it that starts with a state of its own. */
	if (unlikely((*call)->varies || state->asked_by != *call))
	{
		if (memcmp(&state->question, &(*call)->question, sizeof(CountsQuestion)) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the arguments after the history must be the same for all rows of a group")));
		state->asked_by = *call;
	}
	return state;
}

int32 *
counts_numbers(FunctionCallInfo fcinfo, CountsCall *call, int64 n)
{
	if (n > call->nnumbers)
	{
		if (call->numbers != NULL)
			pfree(call->numbers);
		call->nnumbers = Max(n, 64) * 2;
		call->numbers = (int32 *) MemoryContextAllocHuge(fcinfo->flinfo->fn_mcxt,
														 call->nnumbers * sizeof(int32));
	}
	return call->numbers;
}

static inline void
add_counts(int64 *to, int64 from)
{
	if (pg_add_s64_overflow(*to, from, to))
		counts_overflow();
}

/*
 * history_counts_merge(state, state): combine function of all these
 * aggregates, and transition function of merge(state).
 */
Datum
history_counts_merge(PG_FUNCTION_ARGS)
{
	MemoryContext context = aggregate_context(fcinfo);
	HistoryCounts *state;
	HistoryCounts *other;
	CountsStep *steps;
	int64		factor;

	if (PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}
	if (PG_ARGISNULL(0))
		return EOHPGetRWDatum(&counts_copy(PG_GETARG_DATUM(1), context)->hdr);
	other = counts_readable(PG_GETARG_DATUM(1));
	state = counts_writable(PG_GETARG_DATUM(0), context);

	if (memcmp(&state->question, &other->question, sizeof(CountsQuestion)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot merge states of different questions"),
				 errhint("Give the same arguments, the moment included, wherever states are made.")));

	factor = counts_scale(state, other->scale);
	for (uint64 i = 0; i < other->nslots; i++)
	{
		const CountsCell *from = &other->slots[i];
		CountsCell *to;
		int128		units = 0;

		if (from->row == PG_INT64_MIN)
			continue;
		to = counts_cell(state, from->row, from->col);
		add_counts(&to->customers, from->customers);
		add_counts(&to->others, from->others);
		if (__builtin_mul_overflow(from->units, (int128) factor, &units))
			counts_overflow();
		counts_add_units(to, units);
	}
	steps = counts_steps(state, other->nsteps);
	for (int64 i = 0; i < other->nsteps; i++)
	{
		add_counts(&steps[i].customers, other->steps[i].customers);
		add_counts(&steps[i].others, other->steps[i].others);
	}
	return EOHPGetRWDatum(&state->hdr);
}

HistoryCounts *
counts_state(FunctionCallInfo fcinfo, CountsKind kind)
{
	HistoryCounts *state = counts_readable(PG_GETARG_DATUM(0));

	if (state->question.kind != (int32) kind)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the state was made for another question"),
				 errhint("Each function takes the states of its own collecting aggregate only.")));
	return state;
}

Calendar *
counts_calendar(const HistoryCounts *state)
{
	return calendar_create(CurrentMemoryContext, state->question.zone,
						   (PeriodUnit) state->question.unit, state->question.week_start);
}
