/*
 * rfm_totals.c
 *		The state of rfm_matrix(): in memory an expanded object in the
 *		aggregate's context, changed in place.  Flat and external form are one:
 *		bytes in network order.  What is read is checked.
 *
 * Workers pass on all their customers, so the flat form is made small: a column
 * after the other, each number as its distance from the least of the column, in
 * as few bytes as the largest takes.
 */
#include "rfm_totals.h"

#include "history_encoding.h"
#include "large_memory.h"
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

/* Bytes of the external form: what comes first, and before the numbers of a column. */
#define FIXED_BYTES		(3 + 8)
#define COLUMN_BYTES	(1 + 8)

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
	array = array == NULL ? MemoryContextAllocHuge(state->hdr.eoh_context, size) :
		repalloc_huge(array, size);
	prefer_large_pages(array, size);
	return array;
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
	if (state->wide_units == NULL)
		state->units = resize(state, state->units, state->capacity * sizeof(int64));
	else
		state->wide_units = resize(state, state->wide_units, state->capacity * sizeof(int128));
}

/* Sums need more than 64 bits from now on. */
static void
totals_widen(RfmTotals *state)
{
	state->wide_units = resize(state, NULL, state->capacity * sizeof(int128));
	for (int64 i = 0; i < state->customers; i++)
		state->wide_units[i] = state->units[i];
	pfree(state->units);
	state->units = NULL;
}

static inline void
put_units(RfmTotals *state, int64 i, int128 units)
{
	if (unlikely(state->wide_units == NULL && units != (int64) units))
		totals_widen(state);
	if (likely(state->wide_units == NULL))
		state->units[i] = (int64) units;
	else
		state->wide_units[i] = units;
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
		put_units(state, i, units_times(rfm_totals_units(state, i), factor));
	state->scale = scale;
	return 1;
}

void
rfm_totals_add(RfmTotals *state, TimestampTz last, int64 purchases, int128 units, int scale)
{
	int64		i = state->customers;

	totals_reserve(state, 1);
	if (unlikely(scale != state->scale))
		units = units_times(units, totals_scale(state, scale));
	state->last[i] = last;
	state->purchases[i] = purchases;
	put_units(state, i, units);
	state->customers++;
}

/* All customers of another state. */
static void
totals_append(RfmTotals *state, const RfmTotals *other)
{
	int64		n = other->customers;

	if (n == 0)
		return;
	totals_reserve(state, n);
	if (other->scale != state->scale || other->wide_units != NULL || state->wide_units != NULL)
	{
		for (int64 i = 0; i < n; i++)
			rfm_totals_add(state, other->last[i], other->purchases[i],
						   rfm_totals_units(other, i), other->scale);
		return;
	}
	memcpy(state->last + state->customers, other->last, n * sizeof(TimestampTz));
	memcpy(state->purchases + state->customers, other->purchases, n * sizeof(int64));
	memcpy(state->units + state->customers, other->units, n * sizeof(int64));
	state->customers += n;
}

/* ----------------------------------------------------------------
 * Flat and external form
 * ----------------------------------------------------------------
 */

/*
 * The least numbers that a column can be written with: of 0, 1, 2, 4 or 8 bytes.
 */
static TotalsColumn
survey_column(const int64 *values, int64 n, int64 unit)
{
	TotalsColumn column = {0, unit, 0};
	int64		least = n > 0 ? values[0] : 0;
	int64		greatest = least;
	uint64		range;

	for (int64 i = 1; i < n; i++)
	{
		least = Min(least, values[i]);
		greatest = Max(greatest, values[i]);
	}
	column.least = least;
	range = ((uint64) greatest - (uint64) least) / (uint64) unit;
	if (range > PG_UINT32_MAX)
		column.width = 8;
	else if (range > PG_UINT16_MAX)
		column.width = 4;
	else if (range > PG_UINT8_MAX)
		column.width = 2;
	else if (range > 0)
		column.width = 1;
	return column;
}

/* The coarsest unit in which all times lie a whole number after the least. */
static int
survey_time_unit(const TimestampTz *times, int64 n, TimestampTz least)
{
	int			unit = HISTORY_DAY;

	for (int64 i = 0; i < n; i++)
	{
		while (((uint64) times[i] - (uint64) least) % (uint64) history_unit_usecs[unit] != 0)
			unit--;
	}
	return unit;
}

static Size
totals_flat_size(ExpandedObjectHeader *eohptr)
{
	RfmTotals  *state = (RfmTotals *) eohptr;
	int64		n = state->customers;
	Size		size = VARHDRSZ + FIXED_BYTES;

	state->columns[0] = survey_column(state->last, n, 1);
	state->time_unit = survey_time_unit(state->last, n, state->columns[0].least);
	state->columns[0] = survey_column(state->last, n, history_unit_usecs[state->time_unit]);
	state->columns[1] = survey_column(state->purchases, n, 1);
	/* A byte at least, so that no few bytes can claim to be many customers. */
	state->columns[1].width = Max(state->columns[1].width, 1);
	if (state->wide_units == NULL)
		state->columns[2] = survey_column(state->units, n, 1);
	else
		state->columns[2] = (TotalsColumn) {0, 1, sizeof(int128)};
	for (int i = 0; i < 3; i++)
		size += COLUMN_BYTES + (Size) n * state->columns[i].width;

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

/* The last so many bytes of a number in network order. */
static inline char *
put_number(char *p, uint64 number, int width)
{
	number = pg_hton64(number << (64 - BITS_PER_BYTE * width));
	memcpy(p, &number, width);
	return p + width;
}

static inline uint64
get_number(const char *p, int width)
{
	uint64		number = 0;

	memcpy(&number, p, width);
	return pg_ntoh64(number) >> (64 - BITS_PER_BYTE * width);
}

/* With a width the compiler knows. */
static inline char *
put_numbers(char *p, const int64 *values, int64 n, const TotalsColumn *column, int width)
{
	for (int64 i = 0; i < n; i++)
	{
		uint64		number = (uint64) values[i] - (uint64) column->least;

		p = put_number(p, column->unit == 1 ? number : number / (uint64) column->unit, width);
	}
	return p;
}

static char *
put_column(char *p, const int64 *values, int64 n, const TotalsColumn *column)
{
	*p++ = (char) column->width;
	p = put_int64(p, column->least);
	switch (column->width)
	{
		case 1:
			return put_numbers(p, values, n, column, 1);
		case 2:
			return put_numbers(p, values, n, column, 2);
		case 4:
			return put_numbers(p, values, n, column, 4);
		case 8:
			return put_numbers(p, values, n, column, 8);
		default:
			return p;
	}
}

static void
totals_flatten(ExpandedObjectHeader *eohptr, void *result, Size allocated_size)
{
	RfmTotals  *state = (RfmTotals *) eohptr;
	int64		n = state->customers;
	char	   *p = VARDATA(result);

	SET_VARSIZE(result, allocated_size);
	*p++ = STATE_VERSION;
	*p++ = (char) state->scale;
	*p++ = (char) state->time_unit;
	p = put_int64(p, n);
	p = put_column(p, state->last, n, &state->columns[0]);
	p = put_column(p, state->purchases, n, &state->columns[1]);
	if (state->wide_units == NULL)
		p = put_column(p, state->units, n, &state->columns[2]);
	else
	{
		*p++ = (char) sizeof(int128);
		p = put_int64(p, 0);
		for (int64 i = 0; i < n; i++)
		{
			p = put_int64(p, (int64) (state->wide_units[i] >> 64));
			p = put_int64(p, (int64) state->wide_units[i]);
		}
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

static inline void
get_numbers(const char *p, int64 *values, int64 n, const TotalsColumn *column, int width)
{
	for (int64 i = 0; i < n; i++, p += width)
	{
		uint64		number = get_number(p, width);
		int64		above;

		if ((i & 0xffff) == 0)
			CHECK_FOR_INTERRUPTS();
		if (column->unit == 1)
			values[i] = (int64) ((uint64) column->least + number);
		else if (number > (uint64) PG_INT64_MAX ||
				 pg_mul_s64_overflow((int64) number, column->unit, &above) ||
				 pg_add_s64_overflow(column->least, above, &values[i]))
			refuse_external("A number is out of range.");
	}
}

/*
 * Read a column that has n numbers at most 64 bits wide; what comes after it.
 */
static const char *
get_column(const char *p, const char *end, int64 *values, int64 n, int64 unit)
{
	TotalsColumn column = {0, unit, 0};

	column.width = (uint8) *p++;
	p = get_int64(p, &column.least);
	if (column.width > 8 || n * column.width > end - p)
		refuse_external("A column is too long.");
	switch (column.width)
	{
		case 0:
			for (int64 i = 0; i < n; i++)
				values[i] = column.least;
			break;
		case 1:
			get_numbers(p, values, n, &column, 1);
			break;
		case 2:
			get_numbers(p, values, n, &column, 2);
			break;
		case 4:
			get_numbers(p, values, n, &column, 4);
			break;
		case 8:
			get_numbers(p, values, n, &column, 8);
			break;
		default:
			refuse_external("Numbers are of unknown length.");
	}
	return p + n * column.width;
}

/*
 * Add the customers of a state given by bytes of which nothing is known.
 */
static void
totals_parse(RfmTotals *state, const char *data, Size size)
{
	const char *p = data;
	const char *end = data + size;
	int			scale;
	int			time_unit;
	int64		n;
	int64		first = state->customers;

	if (size < FIXED_BYTES + 3 * COLUMN_BYTES)
		refuse_external("It ends too early.");
	if (*p++ != STATE_VERSION)
		refuse_external("The format version is unknown.");
	scale = (uint8) *p++;
	if (scale > HISTORY_MAX_SCALE)
		refuse_external("The scale is out of range.");
	time_unit = (uint8) *p++;
	if (time_unit > HISTORY_DAY)
		refuse_external("The unit of time is unknown.");
	p = get_int64(p, &n);
	if (n < 0 || (Size) n > size)
		refuse_external("The number of customers does not fit the length.");
	if (n == 0 && scale != 0)
		refuse_external("It has a scale but no customers.");

	if (first == 0 && state->scale < scale)
		state->scale = scale;
	if (scale != state->scale || state->wide_units != NULL)
	{
		RfmTotals  *other = totals_create(CurrentMemoryContext);

		totals_parse(other, data, size);
		totals_append(state, other);
		DeleteExpandedObject(EOHPGetRWDatum(&other->hdr));
		return;
	}

	totals_reserve(state, Max(n, 1));
	p = get_column(p, end, state->last + first, n, history_unit_usecs[time_unit]);
	for (int64 i = 0; i < n; i++)
	{
		if (!IS_VALID_TIMESTAMP(state->last[first + i]))
			refuse_external("A time is out of range.");
	}
	if (end - p < 2 * COLUMN_BYTES)
		refuse_external("It ends too early.");
	if (*p == 0)
		refuse_external("The numbers of purchases have no bytes.");
	p = get_column(p, end, state->purchases + first, n, 1);
	if (end - p < COLUMN_BYTES)
		refuse_external("It ends too early.");
	if ((uint8) *p == sizeof(int128))
	{
		p += COLUMN_BYTES;
		if (end - p != n * (int64) sizeof(int128))
			refuse_external("The number of customers does not fit the length.");
		for (int64 i = 0; i < n; i++)
		{
			int64		high;
			int64		low;

			p = get_int64(p, &high);
			p = get_int64(p, &low);
			put_units(state, first + i, (int128) (((uint128) (uint64) high << 64) | (uint64) low));
			state->customers++;
		}
		return;
	}
	p = get_column(p, end, state->units + first, n, 1);
	if (p != end)
		refuse_external("It goes on after its end.");
	state->customers += n;
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

/*
 * A state from foreign bytes.  Only the one way of writing it is let in.
 */
static RfmTotals *
totals_from_foreign(const char *data, Size size)
{
	RfmTotals  *state = totals_create(CurrentMemoryContext);
	Size		own_size;
	char	   *own;

	totals_parse(state, data, size);
	own_size = EOH_get_flat_size(&state->hdr);
	if (own_size != VARHDRSZ + size)
		refuse_external("Its numbers are wider than they need to be.");
	own = palloc(own_size);
	EOH_flatten_into(&state->hdr, own, own_size);
	if (memcmp(VARDATA(own), data, size) != 0)
		refuse_external("Its columns do not begin at their least numbers.");
	pfree(own);
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
		totals_append(state, other);
	return EOHPGetRWDatum(&state->hdr);
}
