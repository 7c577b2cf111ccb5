/*
 * counts_encoding.c
 *		The state of aggregates over purchase histories as bytes.
 *
 * Flat and external form are one: numbers in network order, names, and then
 * the cells in order, each of them as varints (varint.h):
 *
 *		row			less the row of the cell before (of the first: less 0)
 *		col			less the column of the cell before in the same row, or 0
 *		customers
 *		others
 *		units		its lowest 63 bits, doubled; one more when it has others,
 *					which follow
 *
 * So equal states have equal bytes, and most cells take five to ten of them: a
 * worker can leave them in its queue and go.  What is read is checked.
 */
#include "counts_encoding.h"

#include "history_encoding.h"
#include "state_text.h"
#include "varint.h"

#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define STATE_VERSION	2

/* Bytes of what comes before the names, and of a cell. */
#define FIXED_BYTES		(6 + 8 + 2 * 8)
#define LEAST_CELL		5
#define LARGEST_CELL	(6 * VARINT_BYTES(64))

/* Whatever the unit, periods of valid timestamps lie within. */
#define PERIOD_MIN		(-2500000)
#define PERIOD_MAX		110000000

/* The text form takes twice as much; leave room for what the state travels in. */
#define LARGEST_FLAT	((MaxAllocSize - 1024 * 1024) / 2)

/* Bytes claim cells: more than so many get their room when they are read. */
#define TRUSTED_CELLS	1000000

PG_FUNCTION_INFO_V1(history_counts_in);
PG_FUNCTION_INFO_V1(history_counts_out);
PG_FUNCTION_INFO_V1(history_counts_recv);
PG_FUNCTION_INFO_V1(history_counts_send);

static Size counts_flat_size(ExpandedObjectHeader *eohptr);
static void counts_flatten(ExpandedObjectHeader *eohptr, void *result, Size allocated_size);

const ExpandedObjectMethods counts_methods = {
	counts_flat_size,
	counts_flatten
};

/*
 * A line is written as the cells of row 0 from column 1 on.
 */
static inline bool
is_line(const CountsQuestion *question)
{
	return question->kind == COUNTS_X_ORDER;
}

static int64
count_counters(const HistoryCounts *state)
{
	return is_line(&state->question) ? state->nsteps : state->ncells;
}

static uint8 *
write_cell(uint8 *p, const CountsCell *cell, int64 row, int64 col)
{
	uint64		low = (uint64) cell->units & PG_INT64_MAX;
	uint64		high = (uint64) (cell->units >> 63);

	p = varint_write(p, zigzag((int64) ((uint64) cell->row - (uint64) row)));
	p = varint_write(p, zigzag((int64) ((uint64) cell->col - (uint64) col)));
	p = varint_write(p, (uint64) cell->customers);
	p = varint_write(p, (uint64) cell->others);
	p = varint_write(p, low << 1 | (high != 0));
	if (high != 0)
		p = varint_write(p, high);
	return p;
}

/*
 * The cells as bytes, in the state's context and kept there for counts_flatten.
 */
static void
encode_cells(HistoryCounts *state)
{
	MemoryContext old = MemoryContextSwitchTo(state->hdr.eoh_context);
	bool		line = is_line(&state->question);
	CountsCell *cells = line ? NULL : counts_sorted(state);
	int64		n = count_counters(state);
	Size		room = Min((Size) n * LARGEST_CELL, LARGEST_FLAT + LARGEST_CELL) + 1;
	uint8	   *p;
	int64		row = 0;
	int64		col = 0;

	if (state->cell_bytes != NULL)
		pfree(state->cell_bytes);
	p = state->cell_bytes = (uint8 *) MemoryContextAllocHuge(CurrentMemoryContext, room);
	for (int64 i = 0; i < n; i++)
	{
		CountsCell	cell = {0};

		if (line)
		{
			cell.col = i + 1;
			cell.customers = state->steps[i].customers;
			cell.others = state->steps[i].others;
		}
		else
			cell = cells[i];
		if ((i & 65535) == 0)
			CHECK_FOR_INTERRUPTS();
		if (p - state->cell_bytes > (int64) LARGEST_FLAT)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("a state of " INT64_FORMAT " counters is too large to be passed between processes", n),
					 errdetail("It would need 512 MB or more."),
					 errhint("Set max_parallel_workers_per_gather to 0, or count smaller groups.")));
		if (cell.row != row)
			col = 0;
		p = write_cell(p, &cell, row, col);
		row = cell.row;
		col = cell.col;
	}
	state->ncell_bytes = p - state->cell_bytes;
	if (cells != NULL)
		pfree(cells);
	MemoryContextSwitchTo(old);
}

static Size
counts_flat_size(ExpandedObjectHeader *eohptr)
{
	HistoryCounts *state = (HistoryCounts *) eohptr;

	encode_cells(state);
	return VARHDRSZ + FIXED_BYTES + strlen(state->question.zone) + 1 +
		strlen(state->question.fractions) + 1 + sizeof(int64) + state->ncell_bytes;
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
	char	   *p = VARDATA(result);

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
	p = put_int64(p, count_counters(state));
	memcpy(p, state->cell_bytes, state->ncell_bytes);
	Assert(p + state->ncell_bytes == (char *) result + allocated_size);
	pfree(state->cell_bytes);
	state->cell_bytes = NULL;
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

static uint64
get_varint(const uint8 **p, const uint8 *end)
{
	uint64		value;
	const char *wrong = varint_read(p, end, &value);

	if (wrong != NULL)
		refuse_external(wrong);
	return value;
}

static int128
get_units(const uint8 **p, const uint8 *end)
{
	uint64		low = get_varint(p, end);
	uint64		high = 0;

	if (low & 1)
	{
		high = get_varint(p, end);
		if (high == 0)
			refuse_external("A number has more bytes than it needs.");
	}
	return (int128) ((uint128) high << 63 | low >> 1);
}

/*
 * What the question of each kind cannot have as its cell of that number.
 */
static void
check_cell(const CountsQuestion *question, int64 number, const CountsCell *cell)
{
	bool		by_period = question->kind == COUNTS_NEXT_PERIOD || question->kind == COUNTS_REPURCHASE;
	int64		period = by_period ? cell->col : cell->row;

	if (cell->row == PG_INT64_MIN ||
		(question->kind <= COUNTS_REPURCHASE && (period < PERIOD_MIN || period > PERIOD_MAX)) ||
		(is_line(question) && (cell->row != 0 || cell->col != number || cell->units != 0)))
		refuse_external("A counter's place is out of range.");
	if (cell->customers < 0 || cell->others < 0 || cell->units < 0)
		refuse_external("A counter is negative.");
}

HistoryCounts *
counts_parse(const char *data, Size size, MemoryContext context)
{
	StringInfoData buf;
	CountsQuestion question;
	HistoryCounts *state;
	int			scale;
	int64		ncells;
	int64		row = 0;
	int64		col = 0;
	const uint8 *p;
	const uint8 *end;

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

	p = (const uint8 *) buf.data + buf.cursor;
	end = (const uint8 *) buf.data + buf.len;
	if (ncells < 0 || ncells > (end - p) / LEAST_CELL)
		refuse_external("The number of counters does not fit the length.");

	state = counts_create(context, &question, is_line(&question) ? 0 : Min(ncells, TRUSTED_CELLS));
	state->scale = scale;
	if (is_line(&question) && ncells > 0)
		counts_steps_grow(state, ncells);
	for (int64 i = 0; i < ncells; i++)
	{
		CountsCell	cell;

		if ((i & 4095) == 0)
			CHECK_FOR_INTERRUPTS();
		cell.row = (int64) ((uint64) row + (uint64) unzigzag(get_varint(&p, end)));
		cell.col = (int64) ((uint64) (cell.row == row ? col : 0) + (uint64) unzigzag(get_varint(&p, end)));
		cell.customers = (int64) get_varint(&p, end);
		cell.others = (int64) get_varint(&p, end);
		cell.units = get_units(&p, end);
		check_cell(&question, i + 1, &cell);
		if (i > 0 && (cell.row < row || (cell.row == row && cell.col <= col)))
			refuse_external("The counters are not in order.");
		row = cell.row;
		col = cell.col;
		if (is_line(&question))
		{
			state->steps[i].customers = cell.customers;
			state->steps[i].others = cell.others;
		}
		else
			*counts_cell(state, row, col) = cell;
	}
	if (p != end)
		refuse_external("The number of counters does not fit the length.");
	pfree(buf.data);
	return state;
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
