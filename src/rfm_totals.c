/*
 * rfm_totals.c
 *		The state of rfm_matrix(): in memory an expanded object in the
 *		aggregate's context, changed in place.  Flat and external form are one:
 *		what is in it and where it comes from, then the blocks as they are in
 *		memory.  What is read is checked.
 *
 * Customers are packed as soon as there are enough of them for a block, and
 * then neither moved nor looked at until the end: memory that is touched for
 * the first time, and what workers pass on, are most of what this state costs.
 */
#include "rfm_totals.h"

#include "aggregate_context.h"
#include "history_encoding.h"
#include "large_memory.h"
#include "state_text.h"

#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define STATE_MAGIC		0x52464d54
#define STATE_VERSION	1

/* Version, scale, number of customers. */
#define FIXED_BYTES		(1 + 1 + 8)

#define FIRST_OPEN		8
/* Chunks grow quickly to where they are made of large pages. */
#define FIRST_CHUNK		((Size) 4096)
#define CHUNK_GROWTH	8
#define LARGEST_CHUNK	(8 * LARGE_PAGE)

/* A block of fewer is not worth its head when it joins others. */
#define WORTHY_BLOCK	(TOTALS_BLOCK_MAX / 4)

/* Leave room for whatever the state travels in; the text form takes twice as much. */
#define LARGEST_FLAT	((MaxAllocSize - 1024 * 1024) / 2)

PG_FUNCTION_INFO_V1(rfm_totals_in);
PG_FUNCTION_INFO_V1(rfm_totals_out);
PG_FUNCTION_INFO_V1(rfm_totals_recv);
PG_FUNCTION_INFO_V1(rfm_totals_send);
PG_FUNCTION_INFO_V1(rfm_totals_merge);

static Size totals_flat_size(ExpandedObjectHeader *eohptr);
static void totals_flatten(ExpandedObjectHeader *eohptr, void *result, Size allocated_size);

static const ExpandedObjectMethods totals_methods = {
	totals_flat_size,
	totals_flatten
};

/* ----------------------------------------------------------------
 * Totals
 * ----------------------------------------------------------------
 */

RfmTotals *
rfm_totals_create(MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "rfm totals", ALLOCSET_START_SMALL_SIZES);
	RfmTotals  *state = (RfmTotals *) MemoryContextAllocZero(context, sizeof(RfmTotals));

	EOH_init_header(&state->hdr, &totals_methods, context);
	state->magic = STATE_MAGIC;
	return state;
}

static TotalsChunk *
add_chunk(RfmTotals *state, char *bytes, Size size)
{
	TotalsChunk *chunk = (TotalsChunk *) MemoryContextAlloc(state->hdr.eoh_context, sizeof(TotalsChunk));

	chunk->next = NULL;
	chunk->bytes = bytes;
	chunk->size = size;
	chunk->used = 0;
	if (state->last_chunk != NULL)
		state->last_chunk->next = chunk;
	else
		state->first_chunk = chunk;
	state->last_chunk = chunk;
	return chunk;
}

/* Room for so many bytes of blocks, which count as used. */
static char *
reserve_packed(RfmTotals *state, Size size)
{
	TotalsChunk *chunk = state->last_chunk;
	char	   *result;

	if (chunk == NULL || chunk->size - chunk->used < size)
	{
		Size		chunk_size = chunk == NULL ? FIRST_CHUNK : Min(chunk->size * CHUNK_GROWTH, LARGEST_CHUNK);
		void	   *allocated;

		chunk_size = Max(chunk_size, size);
		chunk = add_chunk(state, large_alloc(state->hdr.eoh_context, chunk_size, &allocated), chunk_size);
	}
	result = chunk->bytes + chunk->used;
	chunk->used += size;
	state->packed_size += size;
	return result;
}

/* Pack the open totals, all of them in one block. */
static void
pack_open(RfmTotals *state)
{
	TotalsBlock block;

	CHECK_FOR_INTERRUPTS();
	if (state->nopen == 0)
		return;
	totals_block_survey(&block, &state->open, state->nopen, state->scale);
	totals_block_pack(&block, &state->open, reserve_packed(state, totals_block_size(&block)));
	state->nopen = 0;
	state->open.high = NULL;
}

/*
 * Have room for so many open totals, with upper halves of money if any are needed.
 */
static void
reserve_open(RfmTotals *state, int capacity, bool wide)
{
	TotalsNumbers old = state->open;
	int64	   *base = (int64 *) MemoryContextAlloc(state->hdr.eoh_context,
													(N_TOTALS_COLUMNS + (wide ? 1 : 0)) * capacity * sizeof(int64));

	for (int c = 0; c < N_TOTALS_COLUMNS; c++)
	{
		state->open.numbers[c] = base + c * capacity;
		if (state->nopen > 0)
			memcpy(state->open.numbers[c], old.numbers[c], state->nopen * sizeof(int64));
	}
	state->open.high = wide ? base + N_TOTALS_COLUMNS * capacity : NULL;
	for (int i = 0; wide && i < state->nopen; i++)
		state->open.high[i] = old.high != NULL ? old.high[i] : old.numbers[TOTALS_UNITS][i] < 0 ? -1 : 0;
	state->open_capacity = capacity;
	if (old.numbers[0] != NULL)
		pfree(old.numbers[0]);
}

static int128
units_times(int128 units, int64 factor)
{
	if (__builtin_mul_overflow(units, (int128) factor, &units))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("sum of purchases is too large")));
	return units;
}

int128
rfm_totals_prepare(RfmTotals *state, int128 units, int scale)
{
	if (scale > state->scale)
	{
		/* What was packed stays in the scale it has. */
		pack_open(state);
		state->scale = scale;
	}
	else if (scale < state->scale)
		units = units_times(units, history_power_of_ten[state->scale - scale]);
	if (state->nopen == TOTALS_BLOCK_MAX)
		pack_open(state);
	else if (state->nopen == state->open_capacity)
		reserve_open(state, Max(2 * state->open_capacity, FIRST_OPEN), state->open.high != NULL);
	if (units != (int64) units && state->open.high == NULL)
		reserve_open(state, state->open_capacity, true);
	if (state->open.high != NULL)
		state->open.high[state->nopen] = (int64) (units >> 64);
	return units;
}

/* ----------------------------------------------------------------
 * Reading
 * ----------------------------------------------------------------
 */

void
totals_reader_begin(TotalsReader *reader, RfmTotals *totals)
{
	pack_open(totals);
	reader->chunk = totals->first_chunk;
	reader->next = reader->chunk != NULL ? reader->chunk->bytes : NULL;
}

bool
totals_reader_next(TotalsReader *reader, TotalsBlock *block)
{
	CHECK_FOR_INTERRUPTS();
	while (reader->chunk != NULL && reader->next == reader->chunk->bytes + reader->chunk->used)
	{
		reader->chunk = reader->chunk->next;
		reader->next = reader->chunk != NULL ? reader->chunk->bytes : NULL;
	}
	if (reader->chunk == NULL)
		return false;
	reader->next = totals_block_open(block, reader->next, reader->chunk->bytes + reader->chunk->used);
	return true;
}

int64
totals_block_factor(const RfmTotals *totals, const TotalsBlock *block)
{
	if (block->scale > totals->scale)
		totals_refuse("The scale is out of range.");
	return history_power_of_ten[totals->scale - block->scale];
}

/* Room for a block. */
typedef struct Unpacked
{
	int64		numbers[N_TOTALS_COLUMNS][TOTALS_BLOCK_MAX];
	int64		high[TOTALS_BLOCK_MAX];
} Unpacked;

static TotalsNumbers
unpacked_numbers(Unpacked *unpacked)
{
	TotalsNumbers totals;

	for (int c = 0; c < N_TOTALS_COLUMNS; c++)
		totals.numbers[c] = unpacked->numbers[c];
	totals.high = unpacked->high;
	return totals;
}

void
rfm_totals_append(RfmTotals *state, RfmTotals *other)
{
	TotalsReader reader;
	TotalsBlock block;
	Unpacked	unpacked;
	TotalsNumbers totals = unpacked_numbers(&unpacked);

	totals_reader_begin(&reader, other);
	while (totals_reader_next(&reader, &block))
	{
		if (block.customers >= WORTHY_BLOCK)
		{
			Size		size = totals_block_size(&block);

			/* In the order they came, so that a state read is as it was written. */
			pack_open(state);
			memcpy(reserve_packed(state, size), reader.next - size, size);
			state->scale = Max(state->scale, block.scale);
			state->customers += block.customers;
			continue;
		}
		totals_block_unpack(&block, &totals);
		for (int i = 0; i < block.customers; i++)
			rfm_totals_add(state, unpacked.numbers[TOTALS_CUSTOMER][i], unpacked.numbers[TOTALS_LAST][i],
						   unpacked.numbers[TOTALS_PURCHASES][i],
						   totals_block_is_wide(&block) ?
						   totals_wide(unpacked.numbers[TOTALS_UNITS][i], unpacked.high[i]) :
						   unpacked.numbers[TOTALS_UNITS][i],
						   block.scale);
	}
}

/* ----------------------------------------------------------------
 * Flat and external form
 * ----------------------------------------------------------------
 */

Size
rfm_totals_flat_size(RfmTotals *totals)
{
	Size		size;

	pack_open(totals);
	size = FIXED_BYTES + totals->packed_size;
	if (size > LARGEST_FLAT)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the totals of " INT64_FORMAT " customers are too large to be passed between processes",
						totals->customers),
				 errdetail("They would need 512 MB or more."),
				 errhint("Set max_parallel_workers_per_gather to 0, or look at smaller groups.")));
	return size;
}

void
rfm_totals_flatten(RfmTotals *totals, char *target)
{
	uint64		customers = pg_hton64(totals->customers);

	Assert(totals->nopen == 0);
	*target++ = STATE_VERSION;
	*target++ = (char) totals->scale;
	memcpy(target, &customers, sizeof(customers));
	target += sizeof(customers);
	for (const TotalsChunk *chunk = totals->first_chunk; chunk != NULL; chunk = chunk->next)
	{
		memcpy(target, chunk->bytes, chunk->used);
		target += chunk->used;
	}
}

static Size
totals_flat_size(ExpandedObjectHeader *eohptr)
{
	return VARHDRSZ + rfm_totals_flat_size((RfmTotals *) eohptr);
}

static void
totals_flatten(ExpandedObjectHeader *eohptr, void *result, Size allocated_size)
{
	SET_VARSIZE(result, allocated_size);
	rfm_totals_flatten((RfmTotals *) eohptr, VARDATA(result));
}

RfmTotals *
rfm_totals_open(const char *data, Size size, MemoryContext context)
{
	RfmTotals  *state = rfm_totals_create(context);
	uint64		customers;
	TotalsReader reader;
	TotalsBlock block;
	int64		found = 0;

	if (size < FIXED_BYTES)
		totals_refuse("It ends too early.");
	if (data[0] != STATE_VERSION)
		totals_refuse("The format version is unknown.");
	state->scale = (uint8) data[1];
	if (state->scale > HISTORY_MAX_SCALE)
		totals_refuse("The scale is out of range.");
	memcpy(&customers, data + 2, sizeof(customers));
	state->customers = (int64) pg_ntoh64(customers);

	/* Nothing is written to a chunk that is full. */
	state->packed_size = size - FIXED_BYTES;
	if (state->packed_size > 0)
		add_chunk(state, unconstify(char *, data + FIXED_BYTES), state->packed_size)->used = state->packed_size;

	totals_reader_begin(&reader, state);
	while (totals_reader_next(&reader, &block))
		found += block.customers;
	if (found != state->customers)
		totals_refuse("The number of customers does not fit the length.");
	return state;
}

void
rfm_totals_check_foreign(RfmTotals *totals)
{
	TotalsReader reader;
	TotalsBlock block;
	Unpacked	unpacked;
	char	   *packed = NULL;
	int			scale = 0;

	totals_reader_begin(&reader, totals);
	while (totals_reader_next(&reader, &block))
	{
		Size		size = totals_block_size(&block);
		TotalsBlock own;
		TotalsNumbers numbers = unpacked_numbers(&unpacked);

		totals_block_unpack(&block, &numbers);
		if (!totals_block_is_wide(&block))
			numbers.high = NULL;
		totals_block_survey(&own, &numbers, block.customers, block.scale);
		if (totals_block_size(&own) != size)
			totals_refuse("Its numbers are wider than they need to be.");
		packed = packed == NULL ? palloc(size) : repalloc(packed, size);
		totals_block_pack(&own, &numbers, packed);
		if (memcmp(packed, reader.next - size, size) != 0)
			totals_refuse("Its bytes are not those that its totals are packed into.");
		scale = Max(scale, block.scale);
	}
	if (scale != totals->scale)
		totals_refuse("The scale is that of no customer.");
}

static RfmTotals *
totals_expanded(Datum datum)
{
	RfmTotals  *state;

	if (!VARATT_IS_EXTERNAL_EXPANDED(DatumGetPointer(datum)))
		return NULL;
	state = (RfmTotals *) DatumGetEOHP(datum);
	if (state->magic != STATE_MAGIC)
		elog(ERROR, "rfm totals have the wrong magic number");
	return state;
}

/* The state behind a datum, only to be read. */
static RfmTotals *
totals_readable(Datum datum)
{
	RfmTotals  *state = totals_expanded(datum);
	struct varlena *flat;

	if (state != NULL)
		return state;
	flat = PG_DETOAST_DATUM_PACKED(datum);
	return rfm_totals_open(VARDATA_ANY(flat), VARSIZE_ANY_EXHDR(flat), CurrentMemoryContext);
}

/*
 * A state from foreign bytes.
 */
static RfmTotals *
totals_from_foreign(const char *data, Size size)
{
	RfmTotals  *foreign = rfm_totals_open(data, size, CurrentMemoryContext);
	RfmTotals  *state = rfm_totals_create(CurrentMemoryContext);

	rfm_totals_check_foreign(foreign);
	rfm_totals_append(state, foreign);
	if (rfm_totals_flat_size(state) != size)
		totals_refuse("Its blocks are smaller than they need to be.");
	return state;
}

Datum
rfm_totals_send(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P((bytea *) PG_DETOAST_DATUM_COPY(PG_GETARG_DATUM(0)));
}

Datum
rfm_totals_recv(PG_FUNCTION_ARGS)
{
	StringInfo	message = (StringInfo) PG_GETARG_POINTER(0);
	int			size = message->len - message->cursor;
	RfmTotals  *state = totals_from_foreign(pq_getmsgbytes(message, size), size);

	return EOHPGetRWDatum(&state->hdr);
}

Datum
rfm_totals_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(state_text(PG_GETARG_DATUM(0)));
}

Datum
rfm_totals_in(PG_FUNCTION_ARGS)
{
	StringInfoData bytes;
	RfmTotals  *state;

	state_bytes(&bytes, PG_GETARG_CSTRING(0), "rfm_totals",
				"States are made by the aggregate rfm_collect().");
	state = totals_from_foreign(bytes.data, bytes.len);
	return EOHPGetRWDatum(&state->hdr);
}

/* ----------------------------------------------------------------
 * Transition and merge
 * ----------------------------------------------------------------
 */

/*
 * A state that may be changed in place: the aggregate's own, else a copy.
 */
RfmTotals *
rfm_totals_state(FunctionCallInfo fcinfo)
{
	MemoryContext context = aggregate_context(fcinfo);
	RfmTotals  *state;

	if (!PG_ARGISNULL(0) && VARATT_IS_EXTERNAL_EXPANDED_RW(DatumGetPointer(PG_GETARG_DATUM(0))))
		return totals_expanded(PG_GETARG_DATUM(0));
	state = rfm_totals_create(context);
	if (!PG_ARGISNULL(0))
		rfm_totals_append(state, totals_readable(PG_GETARG_DATUM(0)));
	return state;
}

RfmTotals *
rfm_totals_read(FunctionCallInfo fcinfo)
{
	return totals_readable(PG_GETARG_DATUM(0));
}

/*
 * rfm_totals_merge(state, state): combine function of rfm_matrix(), and
 * transition function of merge(state).
 */
Datum
rfm_totals_merge(PG_FUNCTION_ARGS)
{
	RfmTotals  *state;

	if (PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}
	state = rfm_totals_state(fcinfo);
	rfm_totals_append(state, totals_readable(PG_GETARG_DATUM(1)));
	return EOHPGetRWDatum(&state->hdr);
}
