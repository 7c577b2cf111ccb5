/*
 * rfm_totals.c
 *		The state of rfm_matrix(): in memory an expanded object in the
 *		aggregate's context, changed in place.  Flat and external form are one:
 *		bytes in network order.  What is read is checked.
 */
#include "rfm_totals.h"

#include "history_encoding.h"
#include "state_text.h"

#include "common/int.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define STATE_MAGIC		0x52464d54
#define STATE_VERSION	1
#define FIRST_CAPACITY	64

/* Bytes of the external form: what comes first, and a customer. */
#define FIXED_BYTES		(2 + 8)
#define CUSTOMER_BYTES	32

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

static RfmTotals *
totals_create(MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "rfm totals", ALLOCSET_START_SMALL_SIZES);
	RfmTotals  *state = (RfmTotals *) MemoryContextAllocZero(context, sizeof(RfmTotals));

	EOH_init_header(&state->hdr, &totals_methods, context);
	state->magic = STATE_MAGIC;
	return state;
}

static void *
resize(RfmTotals *state, void *array, Size size)
{
	return array == NULL ? MemoryContextAllocHuge(state->hdr.eoh_context, size) :
		repalloc_huge(array, size);
}

static void
totals_reserve(RfmTotals *state, int64 more)
{
	int64		needed = state->customers + more;

	if (needed <= state->capacity)
		return;
	state->capacity = Max(Max(needed, state->capacity * 2), FIRST_CAPACITY);
	state->last = resize(state, state->last, state->capacity * sizeof(TimestampTz));
	state->purchases = resize(state, state->purchases, state->capacity * sizeof(int64));
	state->units = resize(state, state->units, state->capacity * sizeof(int128));
}

/*
 * Bring all to a scale that fits the one given, and return what amounts of
 * that one are to be multiplied with.
 */
static int64
totals_scale(RfmTotals *state, int scale)
{
	int64		factor;

	if (scale <= state->scale)
		return history_power_of_ten[state->scale - scale];

	factor = history_power_of_ten[scale - state->scale];
	for (int64 i = 0; i < state->customers; i++)
	{
		if (__builtin_mul_overflow(state->units[i], (int128) factor, &state->units[i]))
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("sum of purchases is too large")));
	}
	state->scale = scale;
	return 1;
}

void
rfm_totals_add(RfmTotals *state, TimestampTz last, int64 purchases, int128 units, int scale)
{
	int64		i = state->customers;

	totals_reserve(state, 1);
	if (unlikely(scale != state->scale) &&
		__builtin_mul_overflow(units, (int128) totals_scale(state, scale), &units))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("sum of purchases is too large")));
	state->last[i] = last;
	state->purchases[i] = purchases;
	state->units[i] = units;
	state->customers++;
}

/* ----------------------------------------------------------------
 * Flat and external form
 * ----------------------------------------------------------------
 */

static Size
totals_flat_size(ExpandedObjectHeader *eohptr)
{
	RfmTotals  *state = (RfmTotals *) eohptr;
	Size		size = VARHDRSZ + FIXED_BYTES + (Size) state->customers * CUSTOMER_BYTES;

	if (size > LARGEST_FLAT)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the totals of " INT64_FORMAT " customers are too large to be passed between processes",
						state->customers),
				 errdetail("They would need 512 MB or more."),
				 errhint("Set max_parallel_workers_per_gather to 0, or look at smaller groups.")));
	return size;
}

static inline char *
put_int64(char *p, int64 value)
{
	value = pg_hton64(value);
	memcpy(p, &value, sizeof(value));
	return p + sizeof(value);
}

static inline const char *
get_int64(const char *p, int64 *value)
{
	memcpy(value, p, sizeof(*value));
	*value = pg_ntoh64(*value);
	return p + sizeof(*value);
}

static void
totals_flatten(ExpandedObjectHeader *eohptr, void *result, Size allocated_size)
{
	RfmTotals  *state = (RfmTotals *) eohptr;
	char	   *p = VARDATA(result);

	SET_VARSIZE(result, allocated_size);
	*p++ = STATE_VERSION;
	*p++ = (char) state->scale;
	p = put_int64(p, state->customers);
	for (int64 i = 0; i < state->customers; i++)
	{
		p = put_int64(p, state->last[i]);
		p = put_int64(p, state->purchases[i]);
		p = put_int64(p, (int64) (state->units[i] >> 64));
		p = put_int64(p, (int64) state->units[i]);
	}
	Assert(p == (char *) result + allocated_size);
}

static void
refuse_external(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
			 errmsg("invalid external rfm_totals value"),
			 errdetail_internal("%s", detail)));
}

/*
 * Add the customers of a state given by bytes of which nothing is known.
 */
static void
totals_parse(RfmTotals *state, const char *data, Size size)
{
	const char *p = data;
	int			scale;
	int64		customers;

	if (size < FIXED_BYTES)
		refuse_external("It ends too early.");
	if (*p++ != STATE_VERSION)
		refuse_external("The format version is unknown.");
	scale = (uint8) *p++;
	if (scale > HISTORY_MAX_SCALE)
		refuse_external("The scale is out of range.");
	p = get_int64(p, &customers);
	if (customers < 0 || (Size) customers != (size - FIXED_BYTES) / CUSTOMER_BYTES ||
		(size - FIXED_BYTES) % CUSTOMER_BYTES != 0)
		refuse_external("The number of customers does not fit the length.");
	if (customers == 0 && scale != 0)
		refuse_external("It has a scale but no customers.");

	totals_reserve(state, customers);
	for (int64 i = 0; i < customers; i++)
	{
		int64		last;
		int64		purchases;
		int64		high;
		int64		low;

		if ((i & 0xffff) == 0)
			CHECK_FOR_INTERRUPTS();
		p = get_int64(p, &last);
		p = get_int64(p, &purchases);
		p = get_int64(p, &high);
		p = get_int64(p, &low);
		if (!IS_VALID_TIMESTAMP(last))
			refuse_external("A time is out of range.");
		rfm_totals_add(state, last, purchases,
					   (int128) (((uint128) (uint64) high << 64) | (uint64) low), scale);
	}
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

static RfmTotals *
totals_from_flat(Datum datum, MemoryContext context)
{
	struct varlena *flat = PG_DETOAST_DATUM_PACKED(datum);
	RfmTotals  *state = totals_create(context);

	totals_parse(state, VARDATA_ANY(flat), VARSIZE_ANY_EXHDR(flat));
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
	RfmTotals  *state = totals_create(CurrentMemoryContext);

	totals_parse(state, pq_getmsgbytes(message, size), size);
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
	RfmTotals  *state = totals_create(CurrentMemoryContext);

	state_bytes(&bytes, PG_GETARG_CSTRING(0), "rfm_totals",
				"States are made by the aggregate rfm_collect().");
	totals_parse(state, bytes.data, bytes.len);
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
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "part of an aggregate called outside an aggregate");
	if (PG_ARGISNULL(0))
		return totals_create(context);
	if (VARATT_IS_EXTERNAL_EXPANDED_RW(DatumGetPointer(PG_GETARG_DATUM(0))))
		return totals_expanded(PG_GETARG_DATUM(0));
	return totals_from_flat(PG_GETARG_DATUM(0), context);
}

const RfmTotals *
rfm_totals_read(FunctionCallInfo fcinfo)
{
	RfmTotals  *state = totals_expanded(PG_GETARG_DATUM(0));

	return state != NULL ? state : totals_from_flat(PG_GETARG_DATUM(0), CurrentMemoryContext);
}

/*
 * rfm_totals_merge(state, state): combine function of rfm_matrix(), and
 * transition function of merge(state).
 */
Datum
rfm_totals_merge(PG_FUNCTION_ARGS)
{
	RfmTotals  *state;
	RfmTotals  *other;

	if (PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}
	state = rfm_totals_state(fcinfo);
	other = totals_expanded(PG_GETARG_DATUM(1));
	if (other == NULL)
	{
		struct varlena *flat = PG_DETOAST_DATUM_PACKED(PG_GETARG_DATUM(1));

		totals_parse(state, VARDATA_ANY(flat), VARSIZE_ANY_EXHDR(flat));
	}
	else
	{
		totals_reserve(state, other->customers);
		for (int64 i = 0; i < other->customers; i++)
			rfm_totals_add(state, other->last[i], other->purchases[i], other->units[i], other->scale);
	}
	return EOHPGetRWDatum(&state->hdr);
}
