/*
 * history_counts.c
 *		The state of aggregates over purchase histories.
 *
 * In memory a state is an expanded object in the aggregate's context, changed
 * in place.  Flat and external form are one: bytes in network order, the cells
 * sorted, so that equal states have equal bytes.  What is read is checked.
 */
#include "history_counts.h"

#include "aggregate_context.h"
#include "history_encoding.h"
#include "retention.h"
#include "state_text.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "nodes/primnodes.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#define STATE_VERSION	1

#define FIRST_SHIFT		58		/* 64 slots */
#define FAR_SLOT		16		/* a longer search makes a small table grow */
#define SMALL_TABLE		65536

/* Bytes of the external form: a cell, and what comes before the names. */
#define CELL_BYTES		48
#define FIXED_BYTES		(6 + 8 + 2 * 8)

/* Whatever the unit, periods of valid timestamps lie within. */
#define PERIOD_MIN		(-2500000)
#define PERIOD_MAX		110000000

/* Leave room for whatever the state travels in: a tuple, a message. */
#define LARGEST_FLAT	(MaxAllocSize - 1024 * 1024)

PG_FUNCTION_INFO_V1(history_counts_in);
PG_FUNCTION_INFO_V1(history_counts_out);
PG_FUNCTION_INFO_V1(history_counts_recv);
PG_FUNCTION_INFO_V1(history_counts_send);
PG_FUNCTION_INFO_V1(history_counts_merge);

static Size counts_flat_size(ExpandedObjectHeader *eohptr);
static void counts_flatten(ExpandedObjectHeader *eohptr, void *result, Size allocated_size);

static const ExpandedObjectMethods counts_methods = {
	counts_flat_size,
	counts_flatten
};

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

static HistoryCounts *
counts_create(MemoryContext parent, const CountsQuestion *question)
{
	MemoryContext context = AllocSetContextCreate(parent, "history counts",
												  ALLOCSET_START_SMALL_SIZES);
	HistoryCounts *state = (HistoryCounts *) MemoryContextAllocZero(context, sizeof(HistoryCounts));

	EOH_init_header(&state->hdr, &counts_methods, context);
	state->magic = COUNTS_MAGIC;
	state->question = *question;
	table_allocate(state, FIRST_SHIFT);
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
 * Flat and external form
 * ----------------------------------------------------------------
 */

static Size
counts_flat_size(ExpandedObjectHeader *eohptr)
{
	HistoryCounts *state = (HistoryCounts *) eohptr;
	Size		size = VARHDRSZ + FIXED_BYTES + strlen(state->question.zone) + 1 +
		strlen(state->question.fractions) + 1 + 8 + (Size) state->ncells * CELL_BYTES;

	/* The text form takes twice as much. */
	if (size > LARGEST_FLAT / 2)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a state of " INT64_FORMAT " counters is too large to be passed between processes",
						state->ncells),
				 errdetail("It would need 512 MB or more."),
				 errhint("Set max_parallel_workers_per_gather to 0, or count smaller groups.")));
	return size;
}

static inline char *
put_int64(char *p, int64 value)
{
	value = pg_hton64(value);
	memcpy(p, &value, sizeof(value));
	return p + sizeof(value);
}

static inline char *
put_int32(char *p, int32 value)
{
	value = pg_hton32(value);
	memcpy(p, &value, sizeof(value));
	return p + sizeof(value);
}

static inline char *
put_string(char *p, const char *string)
{
	Size		size = strlen(string) + 1;

	memcpy(p, string, size);
	return p + size;
}

static void
counts_flatten(ExpandedObjectHeader *eohptr, void *result, Size allocated_size)
{
	HistoryCounts *state = (HistoryCounts *) eohptr;
	const CountsQuestion *question = &state->question;
	MemoryContext old = MemoryContextSwitchTo(state->hdr.eoh_context);
	CountsCell *cells;
	char	   *p = VARDATA(result);

	/* From 17 on the caller's context may be one that frees nothing. */
	cells = counts_sorted(state);
	MemoryContextSwitchTo(old);
	SET_VARSIZE(result, allocated_size);
	*p++ = STATE_VERSION;
	*p++ = (char) question->kind;
	*p++ = (char) question->unit;
	*p++ = (char) question->week_start;
	*p++ = (char) question->mode;
	*p++ = (char) state->scale;
	p = put_int32(p, question->number);
	p = put_int32(p, question->day);
	p = put_int64(p, question->at);
	p = put_int64(p, question->horizon);
	p = put_string(p, question->zone);
	p = put_string(p, question->fractions);
	p = put_int64(p, state->ncells);
	for (int64 i = 0; i < state->ncells; i++)
	{
		p = put_int64(p, cells[i].row);
		p = put_int64(p, cells[i].col);
		p = put_int64(p, cells[i].customers);
		p = put_int64(p, cells[i].others);
		p = put_int64(p, (int64) (cells[i].units >> 64));
		p = put_int64(p, (int64) cells[i].units);
	}
	Assert(p == (char *) result + allocated_size);
	pfree(cells);
}

static void
refuse_external(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
			 errmsg("invalid external history_counts value"),
			 errdetail_internal("%s", detail)));
}

static void
get_string(StringInfo buf, char *target)
{
	const char *string = pq_getmsgrawstring(buf);

	if (strlen(string) > TZ_STRLEN_MAX)
		refuse_external("A name is too long.");
	strcpy(target, string);
}

/*
 * A state from bytes of which nothing is known.
 */
static HistoryCounts *
counts_parse(const char *data, Size size, MemoryContext context)
{
	StringInfoData buf;
	CountsQuestion question;
	HistoryCounts *state;
	int			scale;
	int64		ncells;
	int64		last_row = 0;
	int64		last_col = 0;

	/* Strings are looked for up to a terminator: be sure that there is one. */
	initStringInfo(&buf);
	appendBinaryStringInfo(&buf, data, size);

	memset(&question, 0, sizeof(question));
	if (pq_getmsgbyte(&buf) != STATE_VERSION)
		refuse_external("The format version is unknown.");
	question.kind = pq_getmsgbyte(&buf);
	question.unit = pq_getmsgbyte(&buf);
	question.week_start = pq_getmsgbyte(&buf);
	question.mode = pq_getmsgbyte(&buf);
	scale = pq_getmsgbyte(&buf);
	question.number = (int32) pq_getmsgint(&buf, 4);
	question.day = (int32) pq_getmsgint(&buf, 4);
	question.at = pq_getmsgint64(&buf);
	question.horizon = pq_getmsgint64(&buf);
	get_string(&buf, question.zone);
	get_string(&buf, question.fractions);
	ncells = pq_getmsgint64(&buf);

	if (question.kind < 1 || question.kind > COUNTS_KIND_MAX)
		refuse_external("The question is unknown.");
	if (question.unit > PERIOD_YEAR || question.week_start > SUNDAY ||
		scale > HISTORY_MAX_SCALE || question.number < COUNTS_NONE ||
		question.horizon < COUNTS_NONE ||
		(question.at != 0 && !TIMESTAMP_NOT_FINITE(question.at) && !IS_VALID_TIMESTAMP(question.at)))
		refuse_external("The question has a part that is out of range.");
	if (question.zone[0] != '\0')
		(void) period_zone(question.zone);
	else if (question.kind <= COUNTS_REPURCHASE || question.kind == COUNTS_RETENTION)
		refuse_external("The question has no time zone.");
	if (ncells < 0 || ncells != (buf.len - buf.cursor) / CELL_BYTES ||
		(buf.len - buf.cursor) % CELL_BYTES != 0)
		refuse_external("The number of counters does not fit the length.");

	state = counts_create(context, &question);
	state->scale = scale;
	for (int64 i = 0; i < ncells; i++)
	{
		int64		row = pq_getmsgint64(&buf);
		int64		col = pq_getmsgint64(&buf);
		bool		by_period = question.kind == COUNTS_NEXT_PERIOD || question.kind == COUNTS_REPURCHASE;
		int64		period = by_period ? col : row;
		CountsCell *cell;
		int64		high;

		if ((i & 4095) == 0)
			CHECK_FOR_INTERRUPTS();
		if (row == PG_INT64_MIN ||
			(question.kind <= COUNTS_REPURCHASE && (period < PERIOD_MIN || period > PERIOD_MAX)))
			refuse_external("A counter's place is out of range.");
		if (i > 0 && (row < last_row || (row == last_row && col <= last_col)))
			refuse_external("The counters are not in order.");
		last_row = row;
		last_col = col;
		cell = counts_cell(state, row, col);
		cell->customers = pq_getmsgint64(&buf);
		cell->others = pq_getmsgint64(&buf);
		high = pq_getmsgint64(&buf);
		cell->units = (int128) (((uint128) (uint64) high << 64) | (uint64) pq_getmsgint64(&buf));
		if (cell->customers < 0 || cell->others < 0 || cell->units < 0)
			refuse_external("A counter is negative.");
	}
	pfree(buf.data);
	return state;
}

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

Datum
history_counts_send(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P((bytea *) PG_DETOAST_DATUM_COPY(PG_GETARG_DATUM(0)));
}

Datum
history_counts_recv(PG_FUNCTION_ARGS)
{
	StringInfo	message = (StringInfo) PG_GETARG_POINTER(0);
	int			size = message->len - message->cursor;

	return EOHPGetRWDatum(&counts_parse(pq_getmsgbytes(message, size), size,
										CurrentMemoryContext)->hdr);
}

Datum
history_counts_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(state_text(PG_GETARG_DATUM(0)));
}

Datum
history_counts_in(PG_FUNCTION_ARGS)
{
	StringInfoData bytes;

	state_bytes(&bytes, PG_GETARG_CSTRING(0), "history_counts",
				"States are made by aggregates such as cohort_collect().");
	return EOHPGetRWDatum(&counts_parse(bytes.data, bytes.len, CurrentMemoryContext)->hdr);
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
	struct varlena *flat;

	if (VARATT_IS_EXTERNAL_EXPANDED_RW(DatumGetPointer(datum)))
		return counts_expanded(datum);
	flat = PG_DETOAST_DATUM(datum);
	return counts_parse(VARDATA_ANY(flat), VARSIZE_ANY_EXHDR(flat), context);
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
		state = counts_create(aggregate_context(fcinfo), &(*call)->question);
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
	int64		factor;

	if (PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}
	other = counts_readable(PG_GETARG_DATUM(1));
	if (PG_ARGISNULL(0))
		state = counts_create(context, &other->question);
	else
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
		if (pg_add_s64_overflow(to->customers, from->customers, &to->customers) ||
			pg_add_s64_overflow(to->others, from->others, &to->others) ||
			__builtin_mul_overflow(from->units, (int128) factor, &units))
			counts_overflow();
		counts_add_units(to, units);
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
