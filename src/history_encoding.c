/*
 * history_encoding.c
 *		A purchase history as bytes: amounts, encoding, reading.
 *
 * The format is described in purchase_history.h.
 */
#include "history_encoding.h"

#include <ctype.h>

#include "common/int.h"
#include "port/pg_bitutils.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Version, units, scale and three varints. */
#define MAX_VARINT_SIZE		10
#define MAX_HEADER_SIZE		(3 + 3 * MAX_VARINT_SIZE)

/* Each unit divides all that follow it. */
const int64 history_unit_usecs[HISTORY_DAY + 1] = {
	INT64CONST(1),
	INT64CONST(1000),
	USECS_PER_SEC,
	USECS_PER_MINUTE,
	USECS_PER_HOUR,
	USECS_PER_DAY
};

const int64 history_power_of_ten[HISTORY_MAX_SCALE + 1] = {
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
AmountCheck
history_amount_to_units(Numeric value, int64 *units, int *scale)
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
		if (pg_mul_s64_overflow(*units, history_power_of_ten[zeros + 1], units) ||
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

void
history_refuse_amount(AmountCheck check, Numeric value)
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

void
history_refuse_scale(int64 units, int from_scale, int to_scale)
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
		while (entries[i].units % history_power_of_ten[drop] != 0)
			drop--;
	}
	return scale - drop;
}

/*
 * Encode sorted entries.
 */
PurchaseHistory *
history_encode(const HistoryEntry *entries, int64 count, int entries_scale)
{
	int			scale = coarsest_scale(entries, count, entries_scale);
	int64		divisor = history_power_of_ten[entries_scale - scale];
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

			while (delta % (uint64) history_unit_usecs[delta_unit] != 0)
				delta_unit--;
			largest_delta = Max(largest_delta, delta);
		}
		largest_units = Max(largest_units, entries[i].units);
	}
	if (count > 0)
	{
		while (entries[0].at % history_unit_usecs[first_unit] != 0)
			first_unit--;
	}

	/* Room for every varint to be as long as the longest. */
	size = offsetof(PurchaseHistory, data) + MAX_HEADER_SIZE +
		count * (varint_size(largest_delta / history_unit_usecs[delta_unit]) +
				 varint_size(largest_units / divisor));
	result = (PurchaseHistory *) MemoryContextAllocHuge(CurrentMemoryContext, size);

	/* The length of the times comes before them and is known only after. */
	times = times_end = result->data + MAX_HEADER_SIZE;
	for (int64 i = 1; i < count; i++)
		times_end = write_varint(times_end,
								 ((uint64) entries[i].at - (uint64) entries[i - 1].at) /
								 (uint64) history_unit_usecs[delta_unit]);

	p = result->data;
	*p++ = HISTORY_VERSION;
	*p++ = (uint8) (first_unit << 4 | delta_unit);
	*p++ = (uint8) scale;
	p = write_varint(p, count);
	if (count > 0)
	{
		p = write_varint(p, zigzag(entries[0].at / history_unit_usecs[first_unit]));
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
	return history_encode(NULL, 0, 0);
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
	reader->delta_usecs = history_unit_usecs[delta_unit];
	p += 3;
	reader->count = reader->remaining = (int64) history_read_varint(&p, end);
	reader->at = 0;
	reader->times = reader->times_end = p;
	reader->values = reader->values_end = end;
	if (reader->count == 0)
		return;

	reader->at = (TimestampTz) ((uint64) unzigzag(history_read_varint(&p, end)) *
								(uint64) history_unit_usecs[first_unit]);
	length = history_read_varint(&p, end);

	/* Who makes room for so many must not be led beyond reason. */
	if (length > (uint64) (end - p) ||
		(uint64) reader->count > (uint64) (end - p) - length)
		history_corrupted();
	reader->times = p;
	reader->times_end = reader->values = p + length;
}

/* ----------------------------------------------------------------
 * Foreign bytes
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
PurchaseHistory *
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
	HistoryEntry *entries = NULL;
	PurchaseHistory *result;

	if (size < 4)
		refuse_binary("It ends too early.");
	if (data[0] != HISTORY_VERSION)
		refuse_binary(psprintf("Format version %d is not known.", data[0]));
	if (data[1] >> 4 > HISTORY_DAY || (data[1] & 0x0f) > HISTORY_DAY)
		refuse_binary("A unit of time is not known.");
	if (data[2] > HISTORY_MAX_SCALE)
		refuse_binary(psprintf("Amounts have more than %d decimal places.", HISTORY_MAX_SCALE));
	first_usecs = history_unit_usecs[data[1] >> 4];
	delta_usecs = (uint64) history_unit_usecs[data[1] & 0x0f];
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
		entries = (HistoryEntry *) MemoryContextAllocHuge(CurrentMemoryContext,
														  count * sizeof(HistoryEntry));

		for (uint64 i = 0; i < count; i++)
		{
			if (i > 0)
			{
				uint64		delta = read_foreign_varint(&p, values);

				if (delta > ((uint64) END_TIMESTAMP - 1 - (uint64) at) / delta_usecs)
					refuse_binary("A time is out of range.");
				at = (TimestampTz) ((uint64) at + delta * delta_usecs);
			}
			entries[i].at = at;
		}
		if (p != values)
			refuse_binary("Its times have another length than it says.");

		for (uint64 i = 0; i < count; i++)
		{
			uint64		units = read_foreign_varint(&p, end);

			if (units > (uint64) PG_INT64_MAX)
				refuse_binary("An amount is out of range.");
			entries[i].units = (int64) units;
			if (i > 0 && history_entry_compare(&entries[i - 1], &entries[i]) > 0)
				refuse_binary("Its purchases are not in order.");
		}
	}
	if (p != end)
		refuse_binary("It goes on after its end.");

	result = history_encode(entries, (int64) count, data[2]);
	if (VARSIZE(result) - VARHDRSZ != size ||
		memcmp(VARDATA(result), data, size) != 0)
		refuse_binary("Its units of time or of amounts are not the coarsest.");
	return result;
}
