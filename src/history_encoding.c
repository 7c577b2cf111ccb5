/*
 * history_encoding.c
 *		A purchase history as bytes: amounts, encoding, reading.
 *
 * The format is described in purchase_history.h.
 */
#include "history_encoding.h"

#include "numeric_units.h"

#include <ctype.h>

#include "common/int.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Version and shape, two varints, and what the bit writer stores at once. */
#define MAX_HEADER_SIZE		(4 + 2 * VARINT_BYTES(64) + sizeof(uint64))

/* How the purchases of a history are written: with these, none is lost. */
typedef struct HistoryShape
{
	int			first_unit;
	int			delta_unit;
	int			scale;
	int			times_width;	/* bits of each delta */
	int			units_width;	/* bits of each amount */
} HistoryShape;

/* What the shape of a history follows from, gathered purchase by purchase. */
typedef struct HistorySurvey
{
	int			delta_unit;
	int			drop;			/* decimal places that no amount needs */
	uint64		largest_delta;
	int64		largest_units;
} HistorySurvey;

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
 * Split a numeric, which may have a short header, into whole units and the
 * least scale that is exact.  What cannot be told from its digits at once is
 * read as text.
 */
AmountCheck
history_amount_to_units(Numeric value, int64 *units, int *scale)
{
	char	   *text;
	const char *p;
	bool		fraction = false;
	int			zeros = 0;		/* trailing zeros of the fraction */
	AmountCheck check = AMOUNT_OK;

	if (likely(numeric_to_units(value, units, scale)))
		return *units < 0 ? AMOUNT_NEGATIVE : AMOUNT_OK;

	value = DatumGetNumeric(NumericGetDatum(value));
	p = text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value)));
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

static inline int
bit_width(uint64 value)
{
	return value == 0 ? 0 : pg_leftmost_one_pos64(value) + 1;
}

static void
survey_begin(HistorySurvey *survey, int scale)
{
	survey->delta_unit = HISTORY_DAY;
	survey->drop = scale;
	survey->largest_delta = 0;
	survey->largest_units = 0;
}

/*
 * Take in a purchase, so long after the one before; for the first that is 0.
 * Times may lie up to 2^63.03 microseconds apart, hence unsigned deltas.
 */
static inline void
survey_add(HistorySurvey *survey, uint64 delta, int64 units)
{
	while (delta % (uint64) history_unit_usecs[survey->delta_unit] != 0)
		survey->delta_unit--;
	survey->largest_delta = Max(survey->largest_delta, delta);
	while (survey->drop > 0 && units % history_power_of_ten[survey->drop] != 0)
		survey->drop--;
	survey->largest_units = Max(survey->largest_units, units);
}

/*
 * The one shape of a history of which all purchases were taken in.  An amount
 * has one bit at least, so that no few bytes can claim to be many purchases.
 */
static HistoryShape
survey_shape(const HistorySurvey *survey, int64 count, TimestampTz first, int scale)
{
	HistoryShape shape = {HISTORY_DAY, HISTORY_DAY, 0, 0, 0};

	if (count == 0)
		return shape;
	while (first % history_unit_usecs[shape.first_unit] != 0)
		shape.first_unit--;
	shape.delta_unit = survey->delta_unit;
	shape.scale = scale - survey->drop;
	shape.times_width = bit_width(survey->largest_delta / (uint64) history_unit_usecs[shape.delta_unit]);
	shape.units_width = Max(bit_width(survey->largest_units / history_power_of_ten[survey->drop]), 1);
	return shape;
}

static uint32
shape_pack(const HistoryShape *shape)
{
	uint32		packed = shape->units_width;

	packed = packed << HISTORY_TIMES_WIDTH_BITS | shape->times_width;
	packed = packed << HISTORY_SCALE_BITS | shape->scale;
	packed = packed << HISTORY_DELTA_UNIT_BITS | shape->delta_unit;
	return packed << HISTORY_FIRST_UNIT_BITS | shape->first_unit;
}

static inline HistoryShape
shape_unpack(const uint8 *p)
{
	uint32		packed = p[0] | (uint32) p[1] << 8 | (uint32) p[2] << 16;
	HistoryShape shape;

	shape.first_unit = history_shape_part(&packed, HISTORY_FIRST_UNIT_BITS);
	shape.delta_unit = history_shape_part(&packed, HISTORY_DELTA_UNIT_BITS);
	shape.scale = history_shape_part(&packed, HISTORY_SCALE_BITS);
	shape.times_width = history_shape_part(&packed, HISTORY_TIMES_WIDTH_BITS);
	shape.units_width = history_shape_part(&packed, HISTORY_UNITS_WIDTH_BITS);
	return shape;
}

static inline bool
shape_is_valid(const HistoryShape *shape)
{
	return shape->first_unit <= HISTORY_DAY && shape->delta_unit <= HISTORY_DAY &&
		shape->scale <= HISTORY_MAX_SCALE && shape->times_width <= 64;
}

/* Writes numbers of any width one after the other. */
typedef struct BitWriter
{
	uint8	   *p;
	uint128		pending;
	int			npending;		/* less than 64 between two numbers */
} BitWriter;

static inline void
write_bits(BitWriter *writer, uint64 value, int width)
{
	writer->pending |= (uint128) value << writer->npending;
	writer->npending += width;
	if (writer->npending >= 64)
	{
		uint64		word = (uint64) writer->pending;

#ifdef WORDS_BIGENDIAN
		word = pg_bswap64(word);
#endif
		memcpy(writer->p, &word, sizeof(word));
		writer->p += sizeof(word);
		writer->pending >>= 64;
		writer->npending -= 64;
	}
}

static uint8 *
write_bits_end(BitWriter *writer)
{
	for (; writer->npending > 0; writer->npending -= 8)
	{
		*writer->p++ = (uint8) writer->pending;
		writer->pending >>= 8;
	}
	return writer->p;
}

/*
 * Encode sorted entries.
 */
PurchaseHistory *
history_encode(const HistoryEntry *entries, int64 count, int entries_scale)
{
	HistorySurvey survey;
	HistoryShape shape;
	uint32		packed;
	Size		size;
	PurchaseHistory *result;
	uint8	   *p;

	survey_begin(&survey, entries_scale);
	for (int64 i = 0; i < count; i++)
		survey_add(&survey, i > 0 ? (uint64) entries[i].at - (uint64) entries[i - 1].at : 0,
				   entries[i].units);
	shape = survey_shape(&survey, count, count > 0 ? entries[0].at : 0, entries_scale);

	size = offsetof(PurchaseHistory, data) + MAX_HEADER_SIZE +
		count / 8 * (shape.times_width + shape.units_width) +
		(count % 8 * (shape.times_width + shape.units_width) + 7) / 8;
	result = (PurchaseHistory *) MemoryContextAllocHuge(CurrentMemoryContext, size);

	packed = shape_pack(&shape);
	p = result->data;
	*p++ = HISTORY_VERSION;
	*p++ = (uint8) packed;
	*p++ = (uint8) (packed >> 8);
	*p++ = (uint8) (packed >> 16);
	p = varint_write(p, count);
	if (count > 0)
	{
		uint64		delta_usecs = (uint64) history_unit_usecs[shape.delta_unit];
		int64		divisor = history_power_of_ten[entries_scale - shape.scale];
		BitWriter	writer = {NULL, 0, 0};

		writer.p = varint_write(p, zigzag(entries[0].at / history_unit_usecs[shape.first_unit]));
		for (int64 i = 1; i < count; i++)
			write_bits(&writer, ((uint64) entries[i].at - (uint64) entries[i - 1].at) / delta_usecs,
					   shape.times_width);
		for (int64 i = 0; i < count; i++)
			write_bits(&writer, divisor == 1 ? entries[i].units : entries[i].units / divisor,
					   shape.units_width);
		p = write_bits_end(&writer);
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

/*
 * A number of so many bits that a word read at its first byte may not hold it.
 */
uint64
history_read_wide_bits(const uint8 *base, int64 last_word, uint64 bit, int width)
{
	const uint8 *p = base + bit / 8;
	const uint8 *end = base + last_word + sizeof(uint64);
	int			skip = bit % 8;
	uint128		result = 0;

	for (int i = 0; i * 8 < skip + width && p + i < end; i++)
		result |= (uint128) p[i] << (i * 8);
	return (uint64) (result >> skip) & history_bit_mask(width);
}

/*
 * One varint.
 */
static inline uint64
read_varint(const uint8 **p, const uint8 *end)
{
	uint64		result;

	if (unlikely(varint_read(p, end, &result) != NULL))
		history_corrupted();
	return result;
}

HistoryReader
history_read_any(const PurchaseHistory *h)
{
	HistoryReader reader;
	const uint8 *p = (const uint8 *) VARDATA_ANY(h);
	const uint8 *end = p + VARSIZE_ANY_EXHDR(h);
	HistoryShape shape;
	uint64		bytes;
	uint64		count;

	if (unlikely(end - p < 5))
		history_corrupted();
	if (unlikely(p[0] != HISTORY_VERSION))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("purchase history has format version %d, which is not known here", p[0]),
				 errhint("Was it written by a later version of the extension?")));
	shape = shape_unpack(p + 1);
	if (unlikely(!shape_is_valid(&shape)))
		history_corrupted();
	p += 4;

	count = read_varint(&p, end);
	memset(&reader, 0, sizeof(HistoryReader));
	reader.scale = shape.scale;
	if (count == 0)
		return reader;

	reader.count = reader.remaining = (int64) count;
	reader.at = (TimestampTz) ((uint64) unzigzag(read_varint(&p, end)) *
								(uint64) history_unit_usecs[shape.first_unit]);

	/*
	 * All bits are there, so that no number needs a check.  Who makes room for
	 * so many purchases must not be led beyond reason: each has a bit at least.
	 */
	bytes = end - p;
	if (unlikely(shape.units_width == 0 || count > bytes * 8 ||
				 (count - 1) * shape.times_width + count * shape.units_width > bytes * 8))
		history_corrupted();
	reader.delta_usecs = history_unit_usecs[shape.delta_unit];
	reader.base = p;
	reader.last_word = end - p - (int64) sizeof(uint64);
	reader.times_width = shape.times_width;
	reader.units_width = shape.units_width;
	reader.times_mask = history_bit_mask(shape.times_width);
	reader.units_mask = history_bit_mask(shape.units_width);
	reader.units_bit = (count - 1) * shape.times_width;
	return reader;
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
	uint64		result;
	const char *wrong = varint_read(p, end, &result);

	if (wrong != NULL)
		refuse_binary(wrong);
	return result;
}

/*
 * Check the purchases of a history whose first bytes are well-formed, and that
 * it has the one shape of just these.
 */
static void
check_purchases(const PurchaseHistory *h, const HistoryShape *shape)
{
	HistoryReader reader;
	HistorySurvey survey;
	HistoryShape own;
	HistoryEntry before = {0, 0};
	HistoryEntry entry;
	TimestampTz first = 0;
	uint64		delta_usecs = (uint64) history_unit_usecs[shape->delta_unit];

	reader = history_read_any(h);
	survey_begin(&survey, reader.scale);
	for (int64 i = 0; i < reader.count; i++)
	{
		uint64		delta = 0;

		if ((i & 0xffff) == 0)
			CHECK_FOR_INTERRUPTS();
		if (i == 0)
			entry.at = first = reader.at;
		else
		{
			delta = history_reader_bits(&reader, (i - 1) * reader.times_width,
										reader.times_width, reader.times_mask);
			if (delta > ((uint64) END_TIMESTAMP - 1 - (uint64) before.at) / delta_usecs)
				refuse_binary("A time is out of range.");
			delta *= delta_usecs;
			entry.at = (TimestampTz) ((uint64) before.at + delta);
		}
		entry.units = (int64) history_reader_bits(&reader, reader.units_bit + i * reader.units_width,
												  reader.units_width, reader.units_mask);
		if (i > 0 && history_entry_compare(&before, &entry) > 0)
			refuse_binary("Its purchases are not in order.");
		survey_add(&survey, delta, entry.units);
		before = entry;
	}
	own = survey_shape(&survey, reader.count, first, reader.scale);
	if (shape_pack(&own) != shape_pack(shape))
		refuse_binary("Its units or its scale are not the coarsest, or its numbers are wider than they need to be.");
}

/*
 * A history from bytes of which nothing is known.  Only the one encoding of a
 * history is let in.
 */
PurchaseHistory *
history_from_bytes(const uint8 *data, Size size)
{
	const uint8 *p = data;
	const uint8 *end = data + size;
	HistoryShape shape;
	uint64		count;
	int64		first;
	TimestampTz at;
	PurchaseHistory *result;

	if (size < 5)
		refuse_binary("It ends too early.");
	if (size > MaxAllocSize - VARHDRSZ)
		refuse_binary("It is too long.");
	if (data[0] != HISTORY_VERSION)
		refuse_binary(psprintf("Format version %d is not known.", data[0]));
	shape = shape_unpack(data + 1);
	if (shape.first_unit > HISTORY_DAY || shape.delta_unit > HISTORY_DAY)
		refuse_binary("A unit of time is not known.");
	if (shape.scale > HISTORY_MAX_SCALE)
		refuse_binary(psprintf("Amounts have more than %d decimal places.", HISTORY_MAX_SCALE));
	if (shape.times_width > 64)
		refuse_binary("A number has more than 64 bits.");
	p += 4;

	count = read_foreign_varint(&p, end);
	if (count > 0)
	{
		uint64		bytes;
		uint64		bits;

		first = unzigzag(read_foreign_varint(&p, end));
		if (pg_mul_s64_overflow(first, history_unit_usecs[shape.first_unit], &at) ||
			!IS_VALID_TIMESTAMP(at))
			refuse_binary("A time is out of range.");

		/* Believe the count only when there is a bit for each amount. */
		bytes = end - p;
		if (shape.units_width == 0)
			refuse_binary("Its amounts have no bits.");
		if (count > bytes * 8)
			refuse_binary("It ends too early.");
		bits = (count - 1) * shape.times_width + count * shape.units_width;
		if (bits > bytes * 8)
			refuse_binary("It ends too early.");
		p += (bits + 7) / 8;
		if (bits % 8 != 0 && p[-1] >> (bits % 8) != 0)
			refuse_binary("It goes on after its end.");
	}
	if (p != end)
		refuse_binary("It goes on after its end.");

	/* Read from a copy: words are read that begin before the first purchase. */
	result = (PurchaseHistory *) palloc(VARHDRSZ + size);
	SET_VARSIZE(result, VARHDRSZ + size);
	memcpy(result->data, data, size);
	check_purchases(result, &shape);
	return result;
}
