/*
 * totals_block.c
 *		Totals of customers packed into few bytes.
 */
#include "totals_block.h"

#include "history_reader.h"

#include "port/pg_bitutils.h"
#include "utils/timestamp.h"

void
totals_refuse(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
			 errmsg("invalid external rfm_totals value"),
			 errdetail_internal("%s", detail)));
}

/*
 * Division of numbers that may be divisible, without dividing: by the inverse,
 * modulo 2^64, of the divisor's odd part.  Of numbers that are not divisible it
 * makes quotients above the limit (Warren, Hacker's Delight, 10-17).
 */
typedef struct ExactDivisor
{
	uint64		inverse;
	int			shift;			/* zero bits at the divisor's end */
	uint64		limit;
} ExactDivisor;

static ExactDivisor
exact_divisor(uint64 divisor)
{
	ExactDivisor exact = {1, pg_rightmost_one_pos64(divisor), PG_UINT64_MAX / divisor};
	uint64		odd = divisor >> exact.shift;

	/* Each round doubles the bits that are right, of which one is. */
	for (int bits = 1; bits < 64; bits *= 2)
		exact.inverse *= 2 - odd * exact.inverse;
	return exact;
}

static inline uint64
exact_quotient(const ExactDivisor *exact, uint64 number)
{
	uint64		product = number * exact->inverse;

	return exact->shift == 0 ? product : product >> exact->shift | product << (64 - exact->shift);
}

/* Numbers of more bits, from a byte's any bit on, do not fit a word. */
#define LARGEST_WIDTH	56
#define SPARE_BYTES		((int) sizeof(uint64) - 1)

static int
width_of(uint64 number)
{
	int			width = number == 0 ? 0 : pg_leftmost_one_pos64(number) + 1;

	return width > LARGEST_WIDTH ? 64 : width;
}

static uint64
range_of(const TotalsColumn *column)
{
	return (uint64) column->greatest - (uint64) column->least;
}

/* The coarsest unit in which all times lie a whole number after the least. */
static int
coarsest_unit(const int64 *last, int n, int64 least)
{
	int			unit;

	for (unit = HISTORY_DAY; unit > HISTORY_MICROSECOND; unit--)
	{
		ExactDivisor exact = exact_divisor((uint64) history_unit_usecs[unit]);
		int			i;

		for (i = 0; i < n; i++)
		{
			if (exact_quotient(&exact, (uint64) last[i] - (uint64) least) > exact.limit)
				break;
		}
		if (i == n)
			break;
	}
	return unit;
}

static bool
fits_64_bits(const TotalsNumbers *totals, int n)
{
	const int64 *units = totals->numbers[TOTALS_UNITS];

	if (totals->high == NULL)
		return true;
	for (int i = 0; i < n; i++)
	{
		if (totals->high[i] != (units[i] < 0 ? -1 : 0))
			return false;
	}
	return true;
}

void
totals_block_survey(TotalsBlock *block, const TotalsNumbers *totals, int n, int scale)
{
	TotalsColumn *last = &block->columns[TOTALS_LAST];

	memset(block, 0, sizeof(TotalsBlock));
	block->customers = n;
	block->scale = scale;
	for (int c = 0; c < N_TOTALS_COLUMNS; c++)
	{
		const int64 *numbers = totals->numbers[c];
		int64		least = numbers[0];
		int64		greatest = numbers[0];

		for (int i = 1; i < n; i++)
		{
			least = Min(least, numbers[i]);
			greatest = Max(greatest, numbers[i]);
		}
		block->columns[c].least = least;
		block->columns[c].greatest = greatest;
		block->columns[c].width = width_of(range_of(&block->columns[c]));
	}
	block->time_unit = coarsest_unit(totals->numbers[TOTALS_LAST], n, last->least);
	last->width = width_of(range_of(last) / (uint64) history_unit_usecs[block->time_unit]);
	if (!fits_64_bits(totals, n))
	{
		block->columns[TOTALS_UNITS].least = block->columns[TOTALS_UNITS].greatest = 0;
		block->columns[TOTALS_UNITS].width = TOTALS_WIDE;
	}
}

static Size
column_size(const TotalsBlock *block, const TotalsColumn *column)
{
	return ((Size) block->customers * column->width + 7) / 8;
}

Size
totals_block_size(const TotalsBlock *block)
{
	Size		size = TOTALS_BLOCK_HEAD + SPARE_BYTES;

	for (int c = 0; c < N_TOTALS_COLUMNS; c++)
		size += column_size(block, &block->columns[c]);
	return size;
}

static inline void
store_word(uint8 *p, uint64 word)
{
#ifdef WORDS_BIGENDIAN
	word = pg_bswap64(word);
#endif
	memcpy(p, &word, sizeof(word));
}

static inline uint8 *
put_int64(uint8 *p, int64 value)
{
	store_word(p, (uint64) value);
	return p + sizeof(value);
}

static inline const uint8 *
get_int64(const uint8 *p, int64 *value)
{
	*value = (int64) history_load_word(p);
	return p + sizeof(*value);
}

/* Numbers less the least. */
static inline uint8 *
put_column(uint8 *p, const TotalsBlock *block, TotalsField field, const int64 *numbers)
{
	const TotalsColumn *column = &block->columns[field];
	uint8	   *end = p + column_size(block, column);
	ExactDivisor exact = exact_divisor(field == TOTALS_LAST ? (uint64) history_unit_usecs[block->time_unit] : 1);
	int			width = column->width;
	uint64		word = 0;		/* of the numbers that are not stored yet, ... */
	int			nbits = 0;		/* ... less than 64 bits */

	if (width == 0)
		return end;
	for (int i = 0; i < block->customers; i++)
	{
		uint64		number = exact_quotient(&exact, (uint64) numbers[i] - (uint64) column->least);

		word |= number << nbits;
		nbits += width;
		if (nbits >= 64)
		{
			store_word(p, word);
			p += sizeof(word);
			nbits -= 64;
			word = nbits == 0 ? 0 : number >> (width - nbits);
		}
	}
	for (; p < end; word >>= 8)
		*p++ = (uint8) word;
	return end;
}

void
totals_block_pack(const TotalsBlock *block, const TotalsNumbers *totals, char *target)
{
	uint8	   *p = (uint8 *) target;

	memset(target + totals_block_size(block) - SPARE_BYTES, 0, SPARE_BYTES);
	*p++ = (uint8) block->customers;
	*p++ = (uint8) (block->customers >> 8);
	*p++ = (uint8) block->scale;
	*p++ = (uint8) block->time_unit;
	for (int c = 0; c < N_TOTALS_COLUMNS; c++)
	{
		*p++ = (uint8) block->columns[c].width;
		p = put_int64(p, block->columns[c].least);
		p = put_int64(p, block->columns[c].greatest);
	}
	p = put_column(p, block, TOTALS_CUSTOMER, totals->numbers[TOTALS_CUSTOMER]);
	p = put_column(p, block, TOTALS_LAST, totals->numbers[TOTALS_LAST]);
	p = put_column(p, block, TOTALS_PURCHASES, totals->numbers[TOTALS_PURCHASES]);
	if (!totals_block_is_wide(block))
	{
		put_column(p, block, TOTALS_UNITS, totals->numbers[TOTALS_UNITS]);
		return;
	}
	for (int i = 0; i < block->customers; i++)
	{
		p = put_int64(p, totals->numbers[TOTALS_UNITS][i]);
		p = put_int64(p, totals->high[i]);
	}
}

const char *
totals_block_open(TotalsBlock *block, const char *start, const char *end)
{
	const uint8 *p = (const uint8 *) start;

	if (end - start < TOTALS_BLOCK_HEAD)
		totals_refuse("It ends too early.");
	memset(block, 0, sizeof(TotalsBlock));
	block->customers = p[0] | p[1] << 8;
	block->scale = p[2];
	block->time_unit = p[3];
	p += 4;
	if (block->customers < 1 || block->customers > TOTALS_BLOCK_MAX)
		totals_refuse("The number of customers is out of range.");
	if (block->scale > HISTORY_MAX_SCALE)
		totals_refuse("The scale is out of range.");
	if (block->time_unit > HISTORY_DAY)
		totals_refuse("The unit of time is unknown.");
	for (int c = 0; c < N_TOTALS_COLUMNS; c++)
	{
		TotalsColumn *column = &block->columns[c];

		column->width = *p++;
		p = get_int64(p, &column->least);
		p = get_int64(p, &column->greatest);
		if (column->least > column->greatest)
			totals_refuse("A column's least number is above its greatest.");
		if (column->width > LARGEST_WIDTH && column->width != 64 &&
			!(c == TOTALS_UNITS && column->width == TOTALS_WIDE))
			totals_refuse("Numbers are of unknown length.");
	}
	if (!IS_VALID_TIMESTAMP(block->columns[TOTALS_LAST].least) ||
		!IS_VALID_TIMESTAMP(block->columns[TOTALS_LAST].greatest))
		totals_refuse("A time is out of range.");
	if ((Size) (end - start) < totals_block_size(block))
		totals_refuse("It ends too early.");
	for (int c = 0; c < N_TOTALS_COLUMNS; c++)
	{
		block->columns[c].bytes = p;
		p += column_size(block, &block->columns[c]);
	}
	return start + totals_block_size(block);
}

void
totals_block_column(const TotalsBlock *block, TotalsField field, int64 *values)
{
	const TotalsColumn *column = &block->columns[field];
	const uint8 *p = column->bytes;
	uint64		least = (uint64) column->least;
	uint64		unit = field == TOTALS_LAST ? (uint64) history_unit_usecs[block->time_unit] : 1;
	int			width = column->width;
	uint64		mask = history_bit_mask(width);
	uint64		greatest = 0;
	uint64		bit = 0;

	Assert(width <= 64);
	for (int i = 0; i < block->customers; i++, bit += width)
	{
		uint64		number = history_load_word(p + bit / 8) >> (bit % 8) & mask;

		greatest = Max(greatest, number);
		values[i] = (int64) (least + number * unit);
	}

	/* Who reads relies on the range. */
	if (greatest > range_of(column) / unit)
		totals_refuse("A number is out of range.");
}

/* Money that is wide. */
static void
get_halves(const TotalsBlock *block, int64 *low, int64 *high)
{
	const uint8 *p = block->columns[TOTALS_UNITS].bytes;

	for (int i = 0; i < block->customers; i++)
	{
		p = get_int64(p, &low[i]);
		p = get_int64(p, &high[i]);
	}
}

void
totals_block_units(const TotalsBlock *block, int128 *units)
{
	int64		low[TOTALS_BLOCK_MAX];
	int64		high[TOTALS_BLOCK_MAX];

	if (totals_block_is_wide(block))
		get_halves(block, low, high);
	else
		totals_block_column(block, TOTALS_UNITS, low);
	for (int i = 0; i < block->customers; i++)
		units[i] = totals_block_is_wide(block) ? totals_wide(low[i], high[i]) : low[i];
}

void
totals_block_unpack(const TotalsBlock *block, TotalsNumbers *totals)
{
	totals_block_column(block, TOTALS_CUSTOMER, totals->numbers[TOTALS_CUSTOMER]);
	totals_block_column(block, TOTALS_LAST, totals->numbers[TOTALS_LAST]);
	totals_block_column(block, TOTALS_PURCHASES, totals->numbers[TOTALS_PURCHASES]);
	if (totals_block_is_wide(block))
		get_halves(block, totals->numbers[TOTALS_UNITS], totals->high);
	else
		totals_block_column(block, TOTALS_UNITS, totals->numbers[TOTALS_UNITS]);
}
