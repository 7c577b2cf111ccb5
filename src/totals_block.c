/*
 * totals_block.c
 *		Totals of customers packed into few bytes.
 */
#include "totals_block.h"

#include "history_reader.h"

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
 * By a constant, which takes a multiplication only.
 */
static inline uint64
in_units(uint64 usecs, int unit)
{
	switch (unit)
	{
		case HISTORY_MICROSECOND:
			return usecs;
		case HISTORY_MILLISECOND:
			return usecs / 1000;
		case HISTORY_SECOND:
			return usecs / USECS_PER_SEC;
		case HISTORY_MINUTE:
			return usecs / USECS_PER_MINUTE;
		case HISTORY_HOUR:
			return usecs / USECS_PER_HOUR;
		default:
			return usecs / USECS_PER_DAY;
	}
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

void
totals_block_survey(TotalsBlock *block, const CustomerTotal *totals, int n, int scale)
{
	TotalsColumn *customer = &block->columns[TOTALS_CUSTOMER];
	TotalsColumn *last = &block->columns[TOTALS_LAST];
	TotalsColumn *purchases = &block->columns[TOTALS_PURCHASES];
	TotalsColumn *units = &block->columns[TOTALS_UNITS];
	int128		least_units = totals[0].units;
	int128		greatest_units = totals[0].units;
	int			unit = HISTORY_DAY;

	memset(block, 0, sizeof(TotalsBlock));
	block->customers = n;
	block->scale = scale;
	customer->least = customer->greatest = totals[0].customer;
	last->least = last->greatest = totals[0].last;
	purchases->least = purchases->greatest = totals[0].purchases;
	for (int i = 1; i < n; i++)
	{
		customer->least = Min(customer->least, totals[i].customer);
		customer->greatest = Max(customer->greatest, totals[i].customer);
		last->least = Min(last->least, totals[i].last);
		last->greatest = Max(last->greatest, totals[i].last);
		purchases->least = Min(purchases->least, totals[i].purchases);
		purchases->greatest = Max(purchases->greatest, totals[i].purchases);
		least_units = Min(least_units, totals[i].units);
		greatest_units = Max(greatest_units, totals[i].units);
	}

	/* The coarsest unit in which all times lie a whole number after the least. */
	for (int i = 0; i < n; i++)
	{
		uint64		since = (uint64) totals[i].last - (uint64) last->least;

		while (in_units(since, unit) * (uint64) history_unit_usecs[unit] != since)
			unit--;
	}
	block->time_unit = unit;
	customer->width = width_of(range_of(customer));
	last->width = width_of(in_units(range_of(last), unit));
	purchases->width = width_of(range_of(purchases));
	if (least_units == (int64) least_units && greatest_units == (int64) greatest_units)
	{
		units->least = (int64) least_units;
		units->greatest = (int64) greatest_units;
		units->width = width_of(range_of(units));
	}
	else
		units->width = TOTALS_WIDE;
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

/*
 * With a field that the compiler knows.  Writes up to seven bytes of zeros after
 * the column, and reads none.
 */
static inline uint8 *
put_column(uint8 *p, const TotalsBlock *block, const CustomerTotal *totals, TotalsField field)
{
	const TotalsColumn *column = &block->columns[field];
	uint8	   *end = p + column_size(block, column);
	uint64		least = (uint64) column->least;
	int			width = column->width;
	uint64		word = 0;		/* of the bits before those stored for good ... */
	int			nbits = 0;		/* ... so many, less than eight */

	if (width == 0)
		return end;
	for (int i = 0; i < block->customers; i++)
	{
		uint64		number;

		if (field == TOTALS_CUSTOMER)
			number = (uint64) totals[i].customer - least;
		else if (field == TOTALS_LAST)
			number = in_units((uint64) totals[i].last - least, block->time_unit);
		else if (field == TOTALS_PURCHASES)
			number = (uint64) totals[i].purchases - least;
		else
			number = (uint64) totals[i].units - least;
		word |= number << nbits;
		store_word(p, word);
		if (unlikely(width == 64))
		{
			word = 0;
			p += sizeof(uint64);
			continue;
		}
		nbits += width;
		word >>= nbits & ~7;
		p += nbits / 8;
		nbits %= 8;
	}
	return end;
}

void
totals_block_pack(const TotalsBlock *block, const CustomerTotal *totals, char *target)
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
	p = put_column(p, block, totals, TOTALS_CUSTOMER);
	p = put_column(p, block, totals, TOTALS_LAST);
	p = put_column(p, block, totals, TOTALS_PURCHASES);
	if (!totals_block_is_wide(block))
	{
		put_column(p, block, totals, TOTALS_UNITS);
		return;
	}
	for (int i = 0; i < block->customers; i++)
	{
		p = put_int64(p, (int64) totals[i].units);
		p = put_int64(p, (int64) (totals[i].units >> 64));
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

void
totals_block_units(const TotalsBlock *block, int128 *units)
{
	const uint8 *p = block->columns[TOTALS_UNITS].bytes;
	int64		values[TOTALS_BLOCK_MAX];

	if (totals_block_is_wide(block))
	{
		for (int i = 0; i < block->customers; i++)
		{
			int64		low;
			int64		high;

			p = get_int64(p, &low);
			p = get_int64(p, &high);
			units[i] = (int128) (((uint128) (uint64) high << 64) | (uint64) low);
		}
		return;
	}
	totals_block_column(block, TOTALS_UNITS, values);
	for (int i = 0; i < block->customers; i++)
		units[i] = values[i];
}

void
totals_block_unpack(const TotalsBlock *block, CustomerTotal *totals)
{
	int64		customers[TOTALS_BLOCK_MAX];
	int64		last[TOTALS_BLOCK_MAX];
	int64		purchases[TOTALS_BLOCK_MAX];
	int128		units[TOTALS_BLOCK_MAX];

	totals_block_column(block, TOTALS_CUSTOMER, customers);
	totals_block_column(block, TOTALS_LAST, last);
	totals_block_column(block, TOTALS_PURCHASES, purchases);
	totals_block_units(block, units);
	for (int i = 0; i < block->customers; i++)
	{
		totals[i].customer = customers[i];
		totals[i].last = last[i];
		totals[i].purchases = purchases[i];
		totals[i].units = units[i];
	}
}
