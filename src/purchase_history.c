/*
 * purchase_history.c
 *		The type purchase_history: encoding, building, input and output.
 *
 * The format is described in purchase_history.h.
 */
#include "purchase_history.h"

#include <ctype.h>

#include "common/hashfn.h"
#include "common/int.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(purchase_history_in);
PG_FUNCTION_INFO_V1(purchase_history_out);
PG_FUNCTION_INFO_V1(purchase_history_recv);
PG_FUNCTION_INFO_V1(purchase_history_send);
PG_FUNCTION_INFO_V1(purchase_history_from_bytea);
PG_FUNCTION_INFO_V1(purchase_history_eq);
PG_FUNCTION_INFO_V1(purchase_history_ne);
PG_FUNCTION_INFO_V1(purchase_history_lt);
PG_FUNCTION_INFO_V1(purchase_history_le);
PG_FUNCTION_INFO_V1(purchase_history_gt);
PG_FUNCTION_INFO_V1(purchase_history_ge);
PG_FUNCTION_INFO_V1(purchase_history_cmp);
PG_FUNCTION_INFO_V1(purchase_history_hash);
PG_FUNCTION_INFO_V1(purchase_history_hash_extended);

/* Version, units, scale and three varints. */
#define MAX_VARINT_SIZE		10
#define MAX_HEADER_SIZE		(3 + 3 * MAX_VARINT_SIZE)

#define INITIAL_CAPACITY	4

typedef struct HistoryEntry
{
	TimestampTz at;
	int64		units;			/* amount in units of 10^-scale */
} HistoryEntry;

struct HistoryBuilder
{
	MemoryContext context;
	HistoryEntry *entries;
	int64		count;
	int64		capacity;
	int			scale;			/* of all entries; finer than needed only
								 * after a removal */
	bool		sorted;
};

typedef enum AmountCheck
{
	AMOUNT_OK,
	AMOUNT_NEGATIVE,
	AMOUNT_NOT_FINITE,
	AMOUNT_TOO_FINE,
	AMOUNT_TOO_LARGE
} AmountCheck;

/* Each unit divides all that follow it. */
static const int64 unit_usecs[] = {
	INT64CONST(1),
	INT64CONST(1000),
	USECS_PER_SEC,
	USECS_PER_MINUTE,
	USECS_PER_HOUR,
	USECS_PER_DAY
};

static const int64 power_of_ten[HISTORY_MAX_SCALE + 1] = {
	INT64CONST(1),
	INT64CONST(10),
	INT64CONST(100),
	INT64CONST(1000),
	INT64CONST(10000),
	INT64CONST(100000),
	INT64CONST(1000000),
	INT64CONST(10000000),
	INT64CONST(100000000),
	INT64CONST(1000000000),
	INT64CONST(10000000000),
	INT64CONST(100000000000),
	INT64CONST(1000000000000),
	INT64CONST(10000000000000),
	INT64CONST(100000000000000),
	INT64CONST(1000000000000000),
	INT64CONST(10000000000000000),
	INT64CONST(100000000000000000),
	INT64CONST(1000000000000000000)
};

static inline int
compare_entries(const HistoryEntry *a, const HistoryEntry *b)
{
	if (a->at != b->at)
		return a->at < b->at ? -1 : 1;
	if (a->units != b->units)
		return a->units < b->units ? -1 : 1;
	return 0;
}

#define ST_SORT sort_entries
#define ST_ELEMENT_TYPE HistoryEntry
#define ST_COMPARE(a, b) compare_entries(a, b)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* ----------------------------------------------------------------
 * Amounts
 * ----------------------------------------------------------------
 */

/*
 * Split a numeric into whole units and the least scale that is exact.
 *
 * The digits are taken from numeric_out(): numeric's inside is private, and
 * one conversion to text is quicker than the multiplications, comparisons and
 * casts that its public functions would take.
 */
static AmountCheck
amount_to_units(Numeric value, int64 *units, int *scale)
{
	char	   *text = DatumGetCString(DirectFunctionCall1(numeric_out,
														   NumericGetDatum(value)));
	const char *p = text;
	bool		fraction = false;
	int			zeros = 0;		/* trailing zeros of the fraction */
	AmountCheck check = AMOUNT_OK;

	*units = 0;
	*scale = 0;

	if (numeric_is_nan(value) || numeric_is_inf(value))
		check = AMOUNT_NOT_FINITE;
	else if (*p == '-')
		check = AMOUNT_NEGATIVE;

	for (; check == AMOUNT_OK && *p != '\0'; p++)
	{
		if (*p == '.')
		{
			fraction = true;
			continue;
		}
		if (fraction)
		{
			if (*p == '0')
			{
				zeros++;
				continue;
			}
			if (*scale + zeros + 1 > HISTORY_MAX_SCALE)
			{
				check = AMOUNT_TOO_FINE;
				break;
			}
			*scale += zeros + 1;
		}
		if (pg_mul_s64_overflow(*units, power_of_ten[zeros + 1], units) ||
			pg_add_s64_overflow(*units, *p - '0', units))
			check = AMOUNT_TOO_LARGE;
		zeros = 0;
	}

	pfree(text);
	return check;
}

static char *
amount_to_text(Numeric value)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value)));
}

static void
refuse_amount(AmountCheck check, Numeric value)
{
	switch (check)
	{
		case AMOUNT_OK:
			break;
		case AMOUNT_NEGATIVE:
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("a purchase cannot have the negative amount %s", amount_to_text(value)),
					 errhint("A refund is not a purchase: subtract it from the purchase it refunds, or leave it out with FILTER (WHERE amount >= 0).")));
			break;
		case AMOUNT_NOT_FINITE:
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("a purchase cannot have the amount %s", amount_to_text(value))));
			break;
		case AMOUNT_TOO_FINE:
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("purchase amount %s has more than %d decimal places",
							amount_to_text(value), HISTORY_MAX_SCALE),
					 errhint("Round the amount, for example with round(amount, 2).")));
			break;
		case AMOUNT_TOO_LARGE:
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("purchase amount %s is too large", amount_to_text(value)),
					 errdetail("All amounts of a history are kept with the same number of decimal places, as multiples up to %lld.",
							   (long long) PG_INT64_MAX)));
			break;
	}
}

static void
refuse_scale(int64 units, int from_scale, int to_scale)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("purchase amount %s is too large for a history with %d decimal places",
					amount_to_text(history_amount(units, from_scale)), to_scale),
			 errdetail("All amounts of a history are kept with the same number of decimal places; with %d the largest is %s.",
					   to_scale, amount_to_text(history_amount(PG_INT64_MAX, to_scale)))));
}

Numeric
history_amount(int64 units, int scale)
{
	if (scale == 0)
		return int64_to_numeric(units);
	return int64_div_fast_to_numeric(units, scale);
}

/*
 * Put what has been summed so far aside, as numeric.
 */
void
history_sum_carry(HistorySum *sum)
{
	sum->carried = history_sum_result(sum);
	sum->units = 0;
}

Numeric
history_sum_result(const HistorySum *sum)
{
	Numeric		units = history_amount(sum->units, sum->scale);

	if (sum->carried == NULL)
		return units;
	return DatumGetNumeric(DirectFunctionCall2(numeric_add,
											   NumericGetDatum(sum->carried),
											   NumericGetDatum(units)));
}

/* ----------------------------------------------------------------
 * Encoding
 * ----------------------------------------------------------------
 */

static inline uint64
zigzag(int64 value)
{
	return ((uint64) value << 1) ^ (value < 0 ? PG_UINT64_MAX : 0);
}

static inline int64
unzigzag(uint64 value)
{
	return (int64) ((value >> 1) ^ (~(value & 1) + 1));
}

static inline int
varint_size(uint64 value)
{
	return pg_leftmost_one_pos64(value | 1) / 7 + 1;
}

static inline uint8 *
write_varint(uint8 *p, uint64 value)
{
	while (value >= 0x80)
	{
		*p++ = (uint8) (value | 0x80);
		value >>= 7;
	}
	*p++ = (uint8) value;
	return p;
}

/*
 * The least scale that keeps all amounts exact.
 */
static int
coarsest_scale(const HistoryEntry *entries, int64 count, int scale)
{
	int			drop = scale;

	for (int64 i = 0; i < count && drop > 0; i++)
	{
		while (entries[i].units % power_of_ten[drop] != 0)
			drop--;
	}
	return scale - drop;
}

/*
 * Encode sorted entries.
 */
static PurchaseHistory *
encode(const HistoryEntry *entries, int64 count, int entries_scale)
{
	int			scale = coarsest_scale(entries, count, entries_scale);
	int64		divisor = power_of_ten[entries_scale - scale];
	int			first_unit = HISTORY_DAY;
	int			delta_unit = HISTORY_DAY;
	uint64		largest_delta = 0;
	int64		largest_units = 0;
	Size		size;
	PurchaseHistory *result;
	uint8	   *times;
	uint8	   *times_end;
	uint8	   *p;

	/* Times may lie up to 2^63.03 microseconds apart, hence unsigned deltas. */
	for (int64 i = 0; i < count; i++)
	{
		if (i > 0)
		{
			uint64		delta = (uint64) entries[i].at - (uint64) entries[i - 1].at;

			while (delta % (uint64) unit_usecs[delta_unit] != 0)
				delta_unit--;
			largest_delta = Max(largest_delta, delta);
		}
		largest_units = Max(largest_units, entries[i].units);
	}
	if (count > 0)
	{
		while (entries[0].at % unit_usecs[first_unit] != 0)
			first_unit--;
	}

	/* Room for every varint to be as long as the longest. */
	size = offsetof(PurchaseHistory, data) + MAX_HEADER_SIZE +
		count * (varint_size(largest_delta / unit_usecs[delta_unit]) +
				 varint_size(largest_units / divisor));
	result = (PurchaseHistory *) MemoryContextAllocHuge(CurrentMemoryContext, size);

	/* The length of the times comes before them and is known only after. */
	times = times_end = result->data + MAX_HEADER_SIZE;
	for (int64 i = 1; i < count; i++)
		times_end = write_varint(times_end,
								 ((uint64) entries[i].at - (uint64) entries[i - 1].at) /
								 (uint64) unit_usecs[delta_unit]);

	p = result->data;
	*p++ = HISTORY_VERSION;
	*p++ = (uint8) (first_unit << 4 | delta_unit);
	*p++ = (uint8) scale;
	p = write_varint(p, count);
	if (count > 0)
	{
		p = write_varint(p, zigzag(entries[0].at / unit_usecs[first_unit]));
		p = write_varint(p, times_end - times);
		memmove(p, times, times_end - times);
		p += times_end - times;
		if (divisor == 1)
		{
			for (int64 i = 0; i < count; i++)
				p = write_varint(p, entries[i].units);
		}
		else
		{
			for (int64 i = 0; i < count; i++)
				p = write_varint(p, entries[i].units / divisor);
		}
	}

	size = p - (uint8 *) result;
	if (size > MaxAllocSize)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("purchase history of %lld purchases is too large", (long long) count),
				 errdetail("A history may have up to %zu bytes.", (Size) MaxAllocSize)));
	SET_VARSIZE(result, size);
	return result;
}

PurchaseHistory *
history_empty(void)
{
	return encode(NULL, 0, 0);
}

/* ----------------------------------------------------------------
 * Reading
 * ----------------------------------------------------------------
 */

void
history_corrupted(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("purchase history is corrupted")));
}

void
history_reader_init(HistoryReader *reader, const PurchaseHistory *h)
{
	const uint8 *p = (const uint8 *) VARDATA_ANY(h);
	const uint8 *end = p + VARSIZE_ANY_EXHDR(h);
	int			first_unit;
	int			delta_unit;
	uint64		length;

	if (end - p < 4)
		history_corrupted();
	if (p[0] != HISTORY_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("purchase history has format version %d, which is not known here", p[0]),
				 errhint("Was it written by a later version of the extension?")));
	first_unit = p[1] >> 4;
	delta_unit = p[1] & 0x0f;
	if (first_unit > HISTORY_DAY || delta_unit > HISTORY_DAY || p[2] > HISTORY_MAX_SCALE)
		history_corrupted();

	reader->scale = p[2];
	reader->delta_usecs = unit_usecs[delta_unit];
	p += 3;
	reader->count = reader->remaining = (int64) history_read_varint(&p, end);
	reader->at = 0;
	reader->times = reader->times_end = p;
	reader->values = reader->values_end = end;
	if (reader->count == 0)
		return;

	reader->at = (TimestampTz) ((uint64) unzigzag(history_read_varint(&p, end)) *
								(uint64) unit_usecs[first_unit]);
	length = history_read_varint(&p, end);

	/* Who makes room for so many must not be led beyond reason. */
	if (length > (uint64) (end - p) ||
		(uint64) reader->count > (uint64) (end - p) - length)
		history_corrupted();
	reader->times = p;
	reader->times_end = reader->values = p + length;
}

/* ----------------------------------------------------------------
 * Building
 * ----------------------------------------------------------------
 */

HistoryBuilder *
history_builder_create(MemoryContext context)
{
	HistoryBuilder *b = (HistoryBuilder *) MemoryContextAlloc(context, sizeof(HistoryBuilder));

	b->context = context;
	b->entries = NULL;
	b->count = 0;
	b->capacity = 0;
	b->scale = 0;
	b->sorted = true;
	return b;
}

static void
builder_reserve(HistoryBuilder *b, int64 more)
{
	int64		needed = b->count + more;

	if (needed <= b->capacity)
		return;

	b->capacity = Max(Max(needed, b->capacity * 2), INITIAL_CAPACITY);
	if (b->entries == NULL)
		b->entries = (HistoryEntry *)
			MemoryContextAllocHuge(b->context, b->capacity * sizeof(HistoryEntry));
	else
		b->entries = (HistoryEntry *)
			repalloc_huge(b->entries, b->capacity * sizeof(HistoryEntry));
}

static void
builder_sort(HistoryBuilder *b)
{
	if (!b->sorted)
	{
		sort_entries(b->entries, b->count);
		b->sorted = true;
	}
}

/*
 * Bring the builder to a finer scale.
 */
static void
builder_refine(HistoryBuilder *b, int scale)
{
	int64		factor = power_of_ten[scale - b->scale];

	for (int64 i = 0; i < b->count; i++)
	{
		if (b->entries[i].units > PG_INT64_MAX / factor)
			refuse_scale(b->entries[i].units, b->scale, scale);
	}
	for (int64 i = 0; i < b->count; i++)
		b->entries[i].units *= factor;
	b->scale = scale;
}

/*
 * Make the builder ready for amounts of up to this size at this scale, and
 * return the factor that brings them to the builder's.
 */
static int64
builder_prepare(HistoryBuilder *b, int64 largest_units, int scale)
{
	if (b->count == 0)
		b->scale = scale;
	if (scale > b->scale)
		builder_refine(b, scale);
	if (largest_units > PG_INT64_MAX / power_of_ten[b->scale - scale])
		refuse_scale(largest_units, scale, b->scale);
	return power_of_ten[b->scale - scale];
}

/*
 * Add a purchase already at the builder's scale, room for it being reserved.
 */
static inline void
builder_push(HistoryBuilder *b, TimestampTz at, int64 units)
{
	HistoryEntry *entry = &b->entries[b->count];

	entry->at = at;
	entry->units = units;
	if (b->sorted && b->count > 0 && compare_entries(entry - 1, entry) > 0)
		b->sorted = false;
	b->count++;
}

void
history_builder_load(HistoryBuilder *b, const PurchaseHistory *h)
{
	HistoryReader reader;
	TimestampTz at;
	int64		units;
	int64		factor = 1;

	history_reader_init(&reader, h);
	if (reader.count == 0)
		return;

	/* What is loaded is mostly loaded to add one more. */
	builder_reserve(b, reader.count + 1);

	if (b->count == 0)
		b->scale = reader.scale;
	else if (b->scale != reader.scale)
	{
		HistoryReader scan = reader;
		int64		largest_units = 0;

		while (history_reader_next(&scan, &at, &units))
			largest_units = Max(largest_units, units);
		factor = builder_prepare(b, largest_units, reader.scale);
	}

	while (history_reader_next(&reader, &at, &units))
		builder_push(b, at, units * factor);
}

void
history_builder_merge(HistoryBuilder *b, const HistoryBuilder *other)
{
	int64		largest_units = 0;
	int64		factor;

	if (other->count == 0)
		return;

	for (int64 i = 0; i < other->count; i++)
		largest_units = Max(largest_units, other->entries[i].units);
	factor = builder_prepare(b, largest_units, other->scale);

	builder_reserve(b, other->count);
	for (int64 i = 0; i < other->count; i++)
		builder_push(b, other->entries[i].at, other->entries[i].units * factor);
}

void
history_builder_add(HistoryBuilder *b, TimestampTz at, Numeric value)
{
	int64		units;
	int			scale;
	int64		factor;
	AmountCheck check;

	if (TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("a purchase cannot have an infinite time"),
				 errhint("Use NULL for an order that is not paid.")));
	check = amount_to_units(value, &units, &scale);
	if (unlikely(check != AMOUNT_OK))
		refuse_amount(check, value);

	builder_reserve(b, 1);
	factor = builder_prepare(b, units, scale);
	builder_push(b, at, units * factor);
}

bool
history_builder_remove(HistoryBuilder *b, TimestampTz at, Numeric value)
{
	HistoryEntry wanted;
	int			scale;
	int64		low = 0;
	int64		high = b->count;

	wanted.at = at;
	if (amount_to_units(value, &wanted.units, &scale) != AMOUNT_OK ||
		scale > b->scale ||
		wanted.units > PG_INT64_MAX / power_of_ten[b->scale - scale])
		return false;
	wanted.units *= power_of_ten[b->scale - scale];

	builder_sort(b);
	while (low < high)
	{
		int64		middle = low + (high - low) / 2;

		if (compare_entries(&b->entries[middle], &wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == b->count || compare_entries(&b->entries[low], &wanted) != 0)
		return false;

	memmove(&b->entries[low], &b->entries[low + 1],
			(b->count - low - 1) * sizeof(HistoryEntry));
	b->count--;
	return true;
}

int64
history_builder_count(const HistoryBuilder *b)
{
	return b->count;
}

TimestampTz
history_builder_time(HistoryBuilder *b, int64 i)
{
	Assert(i >= 0 && i < b->count);
	builder_sort(b);
	return b->entries[i].at;
}

PurchaseHistory *
history_builder_cut(HistoryBuilder *b, int64 n)
{
	PurchaseHistory *result;

	Assert(n >= 0 && n <= b->count);
	if (n == 0)
		return NULL;

	builder_sort(b);
	result = encode(b->entries, n, b->scale);
	memmove(b->entries, b->entries + n, (b->count - n) * sizeof(HistoryEntry));
	b->count -= n;
	return result;
}

PurchaseHistory *
history_builder_finish(HistoryBuilder *b)
{
	if (b->count == 0)
		return NULL;

	builder_sort(b);
	return encode(b->entries, b->count, b->scale);
}

Numeric
history_builder_spent(const HistoryBuilder *b)
{
	HistorySum	sum;

	history_sum_init(&sum, b->scale);
	for (int64 i = 0; i < b->count; i++)
		history_sum_add(&sum, b->entries[i].units);
	return history_sum_result(&sum);
}

/* ----------------------------------------------------------------
 * Text
 * ----------------------------------------------------------------
 */

static void
refuse_text(const char *text, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("invalid input syntax for type %s: \"%s\"", "purchase_history", text),
			 errdetail("%s", detail),
			 errhint("Write {2024-01-31 08:30:00+00=12.50, 2024-02-29=20}; a time without offset is in UTC.")));
}

static const char *
skip_space(const char *p)
{
	while (isspace((unsigned char) *p))
		p++;
	return p;
}

/*
 * Read a number of so many digits; NULL when it is not there.
 */
static const char *
read_number(const char *p, int least, int most, int *number)
{
	int			digits = 0;

	*number = 0;
	while (digits < most && isdigit((unsigned char) *p))
	{
		*number = *number * 10 + (*p++ - '0');
		digits++;
	}
	return digits < least ? NULL : p;
}

/*
 * Read a time in ISO form; NULL when it is not one.
 *
 * Not timestamptz_in(), whose result hangs on the session's time zone and date
 * style: what a history says must not.
 */
static const char *
read_time(const char *p, TimestampTz *at)
{
	struct pg_tm tm = {0};
	fsec_t		fsec = 0;
	int			offset = 0;

	if ((p = read_number(p, 4, 6, &tm.tm_year)) == NULL || *p++ != '-' ||
		(p = read_number(p, 2, 2, &tm.tm_mon)) == NULL || *p++ != '-' ||
		(p = read_number(p, 2, 2, &tm.tm_mday)) == NULL)
		return NULL;

	if (*p == 'T' || (*p == ' ' && isdigit((unsigned char) p[1])))
	{
		p++;
		if ((p = read_number(p, 2, 2, &tm.tm_hour)) == NULL || *p++ != ':' ||
			(p = read_number(p, 2, 2, &tm.tm_min)) == NULL)
			return NULL;
		if (*p == ':')
		{
			if ((p = read_number(p + 1, 2, 2, &tm.tm_sec)) == NULL)
				return NULL;
			if (*p == '.')
			{
				const char *fraction = p + 1;

				if ((p = read_number(fraction, 1, 6, &fsec)) == NULL)
					return NULL;
				for (int digits = p - fraction; digits < 6; digits++)
					fsec *= 10;
			}
		}
	}

	if (*p == 'Z')
		p++;
	else if (*p == '+' || *p == '-')
	{
		int			sign = *p == '-' ? -1 : 1;
		int			hours;
		int			minutes = 0;
		int			seconds = 0;

		if ((p = read_number(p + 1, 2, 2, &hours)) == NULL ||
			(*p == ':' && (p = read_number(p + 1, 2, 2, &minutes)) == NULL) ||
			(*p == ':' && (p = read_number(p + 1, 2, 2, &seconds)) == NULL))
			return NULL;
		if (hours > MAX_TZDISP_HOUR || minutes > 59 || seconds > 59)
			return NULL;
		/* PostgreSQL counts offsets west of Greenwich as positive. */
		offset = -sign * ((hours * MINS_PER_HOUR + minutes) * SECS_PER_MINUTE + seconds);
	}

	if (strncmp(p, " BC", 3) == 0)
	{
		p += 3;
		if (tm.tm_year == 0)
			return NULL;
		tm.tm_year = 1 - tm.tm_year;
	}
	else if (tm.tm_year == 0)
		return NULL;

	if (tm.tm_mon < 1 || tm.tm_mon > MONTHS_PER_YEAR ||
		tm.tm_mday < 1 || tm.tm_mday > day_tab[isleap(tm.tm_year)][tm.tm_mon - 1] ||
		tm.tm_hour >= HOURS_PER_DAY || tm.tm_min >= MINS_PER_HOUR ||
		tm.tm_sec >= SECS_PER_MINUTE ||
		tm2timestamp(&tm, fsec, &offset, at) != 0)
		return NULL;
	return p;
}

Datum
purchase_history_in(PG_FUNCTION_ARGS)
{
	char	   *text = PG_GETARG_CSTRING(0);
	HistoryBuilder *b = history_builder_create(CurrentMemoryContext);
	PurchaseHistory *result;
	const char *p = skip_space(text);

	if (*p++ != '{')
		refuse_text(text, "A history begins with \"{\".");
	p = skip_space(p);
	while (*p != '}' || history_builder_count(b) > 0)
	{
		TimestampTz at;
		char	   *amount;
		size_t		length;

		p = read_time(p, &at);
		if (p == NULL)
			refuse_text(text, "A purchase begins with a valid time in ISO form.");
		p = skip_space(p);
		if (*p++ != '=')
			refuse_text(text, "After the time comes \"=\" and the amount.");
		length = strcspn(p, ",}");
		if (p[length] == '\0')
			refuse_text(text, "A history ends with \"}\".");
		amount = pnstrdup(p, length);
		history_builder_add(b, at,
							DatumGetNumeric(DirectFunctionCall3(numeric_in,
																CStringGetDatum(amount),
																ObjectIdGetDatum(InvalidOid),
																Int32GetDatum(-1))));
		pfree(amount);
		p += length;
		if (*p == '}')
			break;
		p = skip_space(p + 1);
	}
	p = skip_space(p + 1);
	if (*p != '\0')
		refuse_text(text, "Nothing may follow the \"}\".");

	result = history_builder_finish(b);
	PG_RETURN_PURCHASE_HISTORY_P(result != NULL ? result : history_empty());
}

/*
 * Times are written in UTC whatever the session's zone is.
 */
Datum
purchase_history_out(PG_FUNCTION_ARGS)
{
	PurchaseHistory *h = PG_GETARG_PURCHASE_HISTORY_P(0);
	HistoryReader reader;
	TimestampTz at;
	int64		units;
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	history_reader_init(&reader, h);
	while (history_reader_next(&reader, &at, &units))
	{
		struct pg_tm tm;
		fsec_t		fsec;
		char		time[MAXDATELEN + 1];
		Numeric		amount;
		char	   *amount_text;

		CHECK_FOR_INTERRUPTS();
		if (timestamp2tm(at, NULL, &tm, &fsec, NULL, NULL) != 0)
			history_corrupted();
		tm.tm_isdst = 0;		/* says that the zone, UTC, is known */
		EncodeDateTime(&tm, fsec, true, 0, NULL, USE_ISO_DATES, time);
		amount = history_amount(units, reader.scale);
		amount_text = amount_to_text(amount);
		appendStringInfo(&out, "%s%s=%s", out.len > 1 ? ", " : "", time, amount_text);
		pfree(amount_text);
		pfree(amount);
	}
	appendStringInfoChar(&out, '}');
	PG_RETURN_CSTRING(out.data);
}

/* ----------------------------------------------------------------
 * Binary
 * ----------------------------------------------------------------
 */

static void
refuse_binary(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
			 errmsg("invalid binary purchase history"),
			 errdetail("%s", detail)));
}

static uint64
read_foreign_varint(const uint8 **p, const uint8 *end)
{
	uint64		result = 0;

	for (int shift = 0;; shift += 7)
	{
		uint8		byte;

		if (*p >= end)
			refuse_binary("It ends too early.");
		byte = *(*p)++;
		if (shift == 63 && byte > 1)
			refuse_binary("A number has more than 64 bits.");
		if (shift > 0 && byte == 0)
			refuse_binary("A number has more bytes than it needs.");
		result |= (uint64) (byte & 0x7f) << shift;
		if (byte < 0x80)
			return result;
	}
}

/*
 * A history from bytes of which nothing is known.
 *
 * What is read is encoded again, and only the same bytes are accepted: so
 * whatever the checks here let pass, no second encoding of a history gets in.
 */
static PurchaseHistory *
history_from_bytes(const uint8 *data, Size size)
{
	const uint8 *p = data;
	const uint8 *end = data + size;
	const uint8 *values;
	uint64		count;
	uint64		length;
	int64		first;
	int64		first_usecs;
	uint64		delta_usecs;
	TimestampTz at;
	HistoryBuilder *b = history_builder_create(CurrentMemoryContext);
	PurchaseHistory *result;

	if (size < 4)
		refuse_binary("It ends too early.");
	if (data[0] != HISTORY_VERSION)
		refuse_binary(psprintf("Format version %d is not known.", data[0]));
	if (data[1] >> 4 > HISTORY_DAY || (data[1] & 0x0f) > HISTORY_DAY)
		refuse_binary("A unit of time is not known.");
	if (data[2] > HISTORY_MAX_SCALE)
		refuse_binary(psprintf("Amounts have more than %d decimal places.", HISTORY_MAX_SCALE));
	first_usecs = unit_usecs[data[1] >> 4];
	delta_usecs = (uint64) unit_usecs[data[1] & 0x0f];
	b->scale = data[2];
	p += 3;

	count = read_foreign_varint(&p, end);
	if (count > 0)
	{
		first = unzigzag(read_foreign_varint(&p, end));
		if (pg_mul_s64_overflow(first, first_usecs, &at) || !IS_VALID_TIMESTAMP(at))
			refuse_binary("A time is out of range.");

		/* Believe the count only when there is a byte for each number. */
		length = read_foreign_varint(&p, end);
		if (length > (uint64) (end - p))
			refuse_binary("It ends too early.");
		values = p + length;
		if (count - 1 > length || count > (uint64) (end - values))
			refuse_binary("It has fewer bytes than purchases.");
		builder_reserve(b, (int64) count);

		for (uint64 i = 0; i < count; i++)
		{
			if (i > 0)
			{
				uint64		delta = read_foreign_varint(&p, values);

				if (delta > ((uint64) END_TIMESTAMP - 1 - (uint64) at) / delta_usecs)
					refuse_binary("A time is out of range.");
				at = (TimestampTz) ((uint64) at + delta * delta_usecs);
			}
			builder_push(b, at, 0);
		}
		if (p != values)
			refuse_binary("Its times have another length than it says.");

		for (uint64 i = 0; i < count; i++)
		{
			uint64		units = read_foreign_varint(&p, end);

			if (units > (uint64) PG_INT64_MAX)
				refuse_binary("An amount is out of range.");
			b->entries[i].units = (int64) units;
			if (i > 0 && compare_entries(&b->entries[i - 1], &b->entries[i]) > 0)
				refuse_binary("Its purchases are not in order.");
		}
	}
	if (p != end)
		refuse_binary("It goes on after its end.");

	result = encode(b->entries, b->count, b->scale);
	if (VARSIZE(result) - VARHDRSZ != size ||
		memcmp(VARDATA(result), data, size) != 0)
		refuse_binary("Its units of time or of amounts are not the coarsest.");
	return result;
}

Datum
purchase_history_recv(PG_FUNCTION_ARGS)
{
	StringInfo	message = (StringInfo) PG_GETARG_POINTER(0);
	int			size = message->len - message->cursor;

	PG_RETURN_PURCHASE_HISTORY_P(history_from_bytes((const uint8 *) pq_getmsgbytes(message, size),
													size));
}

/*
 * purchase_history(bytea): the history that purchase_history_send() wrote.
 */
Datum
purchase_history_from_bytea(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);

	PG_RETURN_PURCHASE_HISTORY_P(history_from_bytes((const uint8 *) VARDATA_ANY(bytes),
													VARSIZE_ANY_EXHDR(bytes)));
}

Datum
purchase_history_send(PG_FUNCTION_ARGS)
{
	PurchaseHistory *h = PG_GETARG_PURCHASE_HISTORY_P(0);
	StringInfoData message;

	pq_begintypsend(&message);
	pq_sendbytes(&message, VARDATA_ANY(h), VARSIZE_ANY_EXHDR(h));
	PG_RETURN_BYTEA_P(pq_endtypsend(&message));
}

/* ----------------------------------------------------------------
 * Comparison: by the bytes
 * ----------------------------------------------------------------
 */

static int
compare_histories(FunctionCallInfo fcinfo)
{
	PurchaseHistory *a = PG_GETARG_PURCHASE_HISTORY_P(0);
	PurchaseHistory *b = PG_GETARG_PURCHASE_HISTORY_P(1);
	Size		a_size = VARSIZE_ANY_EXHDR(a);
	Size		b_size = VARSIZE_ANY_EXHDR(b);
	int			result = memcmp(VARDATA_ANY(a), VARDATA_ANY(b), Min(a_size, b_size));

	if (result == 0 && a_size != b_size)
		result = a_size < b_size ? -1 : 1;

	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	return result;
}

Datum
purchase_history_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_histories(fcinfo) == 0);
}

Datum
purchase_history_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_histories(fcinfo) != 0);
}

Datum
purchase_history_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_histories(fcinfo) < 0);
}

Datum
purchase_history_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_histories(fcinfo) <= 0);
}

Datum
purchase_history_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_histories(fcinfo) > 0);
}

Datum
purchase_history_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_histories(fcinfo) >= 0);
}

Datum
purchase_history_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(compare_histories(fcinfo));
}

Datum
purchase_history_hash(PG_FUNCTION_ARGS)
{
	PurchaseHistory *h = PG_GETARG_PURCHASE_HISTORY_P(0);
	Datum		result = hash_any((unsigned char *) VARDATA_ANY(h), VARSIZE_ANY_EXHDR(h));

	PG_FREE_IF_COPY(h, 0);
	return result;
}

Datum
purchase_history_hash_extended(PG_FUNCTION_ARGS)
{
	PurchaseHistory *h = PG_GETARG_PURCHASE_HISTORY_P(0);
	Datum		result = hash_any_extended((unsigned char *) VARDATA_ANY(h),
										   VARSIZE_ANY_EXHDR(h), PG_GETARG_INT64(1));

	PG_FREE_IF_COPY(h, 0);
	return result;
}
