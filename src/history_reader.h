/*
 * history_reader.h
 *		Reading a purchase history: purchase by purchase, in order, without any
 *		allocation.  The history must stay where it is meanwhile.
 *
 * Analytics read millions of histories of a few purchases each, so what is done
 * once a history counts as much as what is done for each purchase.
 */
#ifndef RETENTION_HISTORY_READER_H
#define RETENTION_HISTORY_READER_H

#include "purchase_history.h"
#include "varint.h"

#include "port/pg_bitutils.h"
#include "port/pg_bswap.h"

typedef struct HistoryReader
{
	int64		count;			/* purchases in the history */
	int64		remaining;		/* those not read yet */
	int			scale;			/* amounts are in units of 10^-scale */
	int			times_width;
	int			units_width;
	uint64		times_mask;
	uint64		units_mask;
	TimestampTz at;				/* time of the purchase read next */
	int64		delta_usecs;	/* unit of the deltas */
	uint64		times_bit;		/* where the next delta begins */
	uint64		units_bit;		/* where the next amount begins */
	const uint8 *base;			/* where the bits begin */
	int64		last_word;		/* from there to the last eight bytes of the history */
} HistoryReader;

/* Where the parts of a shape lie in the three bytes after the version. */
#define HISTORY_FIRST_UNIT_BITS		3
#define HISTORY_DELTA_UNIT_BITS		3
#define HISTORY_SCALE_BITS			5
#define HISTORY_TIMES_WIDTH_BITS	7
#define HISTORY_UNITS_WIDTH_BITS	6

/* Each unit divides all that follow it. */
extern const int64 history_unit_usecs[HISTORY_DAY + 1];

/* A reader of any history; an error when the value is none. */
extern HistoryReader history_read_any(const PurchaseHistory *h);

/* Raises the error for a stored value that is no history. */
extern void history_corrupted(void);

/* Numbers of more bits may begin and end in two words. */
#define HISTORY_WORD_BITS	57

extern uint64 history_read_wide_bits(const uint8 *base, int64 last_word,
									 uint64 bit, int width);

static inline uint64
history_bit_mask(int width)
{
	return width == 64 ? PG_UINT64_MAX : (UINT64CONST(1) << width) - 1;
}

static inline uint64
history_load_word(const uint8 *p)
{
	uint64		word;

	memcpy(&word, p, sizeof(word));
#ifdef WORDS_BIGENDIAN
	word = pg_bswap64(word);
#endif
	return word;
}

static inline int
history_shape_part(uint32 *shape, int width)
{
	int			part = *shape & ((1 << width) - 1);

	*shape >>= width;
	return part;
}

/*
 * A history as nearly all are: fewer than 128 purchases, at least one, and a
 * first instant of seven bytes or less, which covers seconds.  No branch here
 * depends on what is in it.
 */
static inline HistoryReader
history_read(const PurchaseHistory *h)
{
	HistoryReader reader;
	const uint8 *p = (const uint8 *) VARDATA_ANY(h);
	Size		size = VARSIZE_ANY_EXHDR(h);
	uint64		head;
	uint32		shape;
	int			first_unit;
	int			delta_unit;
	int64		skip;
	uint64		varint;
	uint64		last_byte;
	Size		used;
	uint64		bytes;

	/* A history with a purchase has seven bytes at least, and one of header. */
	if (unlikely(size < 7))
		return history_read_any(h);
	head = history_load_word(p - 1) >> BITS_PER_BYTE;
	shape = (uint32) (head >> 8) & 0xffffff;
	reader.count = reader.remaining = (head >> 32) & 0xff;
	first_unit = history_shape_part(&shape, HISTORY_FIRST_UNIT_BITS);
	delta_unit = history_shape_part(&shape, HISTORY_DELTA_UNIT_BITS);
	reader.scale = history_shape_part(&shape, HISTORY_SCALE_BITS);
	reader.times_width = history_shape_part(&shape, HISTORY_TIMES_WIDTH_BITS);
	reader.units_width = history_shape_part(&shape, HISTORY_UNITS_WIDTH_BITS);

	/* The word that begins with the varint, or what is left of it. */
	p += 5;
	size -= 5;
	skip = Max((int64) sizeof(uint64) - (int64) size, 0);
	varint = history_load_word(p - skip) >> (skip * BITS_PER_BYTE);
	last_byte = ~varint & UINT64CONST(0x80808080808080);

	if (unlikely((uint8) head != HISTORY_VERSION || reader.count == 0 || reader.count >= 0x80 ||
				 last_byte == 0 || first_unit > HISTORY_DAY || delta_unit > HISTORY_DAY ||
				 reader.scale > HISTORY_MAX_SCALE || reader.times_width > 64))
		return history_read_any(h);

	/* Its bits up to the last byte's, without the seven marks between. */
	varint &= last_byte ^ (last_byte - 1);
	used = (pg_rightmost_one_pos64(last_byte) + 1) / BITS_PER_BYTE;
	bytes = size - used;
	varint &= UINT64CONST(0x7f7f7f7f7f7f7f);
	varint = (varint & UINT64CONST(0x7f007f007f007f)) | (varint & UINT64CONST(0x7f007f007f00)) >> 1;
	varint = (varint & UINT64CONST(0x3fff00003fff)) | (varint & UINT64CONST(0x3fff00003fff0000)) >> 2;
	varint = (varint & UINT64CONST(0xfffffff)) | (varint & UINT64CONST(0xfffffff00000000)) >> 4;

	reader.at = (TimestampTz) ((uint64) unzigzag(varint) * (uint64) history_unit_usecs[first_unit]);
	reader.delta_usecs = history_unit_usecs[delta_unit];
	reader.base = p + used;
	reader.last_word = (int64) bytes - (int64) sizeof(uint64);
	reader.times_mask = history_bit_mask(reader.times_width);
	reader.units_mask = history_bit_mask(reader.units_width);
	reader.times_bit = 0;
	reader.units_bit = (reader.count - 1) * reader.times_width;
	if (unlikely(used > size || reader.units_width == 0 ||
				 reader.units_bit + reader.count * reader.units_width > bytes * BITS_PER_BYTE))
		history_corrupted();
	return reader;
}

/*
 * A number of the history that fits a word.  The word with it is read at its
 * first byte, or at the last byte from which a whole word may be read.  (A
 * history with a purchase has eight bytes at least, its header included.)
 */
static inline uint64
history_reader_word(const HistoryReader *reader, uint64 bit, uint64 mask)
{
	int64		start = Min((int64) (bit / BITS_PER_BYTE), reader->last_word);

	return (history_load_word(reader->base + start) >> ((bit - (uint64) start * BITS_PER_BYTE) & 63)) & mask;
}

/* A number of any width. */
static inline uint64
history_reader_bits(const HistoryReader *reader, uint64 bit, int width, uint64 mask)
{
	if (unlikely(width > HISTORY_WORD_BITS))
		return history_read_wide_bits(reader->base, reader->last_word, bit, width);
	return history_reader_word(reader, bit, mask);
}

/*
 * The next delta, in microseconds, for who keeps the time of the purchase read
 * last (first, reader->at) and counts the purchases.
 */
static inline uint64
history_reader_delta(HistoryReader *reader)
{
	uint64		delta = history_reader_bits(reader, reader->times_bit,
											reader->times_width, reader->times_mask);

	reader->times_bit += reader->times_width;
	return delta * (uint64) reader->delta_usecs;
}

/* The next amount, in units of 10^-scale. */
static inline int64
history_reader_units(HistoryReader *reader)
{
	int64		units = (int64) history_reader_bits(reader, reader->units_bit,
														reader->units_width, reader->units_mask);

	reader->units_bit += reader->units_width;
	return units;
}

/*
 * The next purchase's time, and its amount in units of 10^-scale; false at the
 * end.  Pass NULL for units, in every call, to read times only.
 */
static inline bool
history_reader_next(HistoryReader *reader, TimestampTz *at, int64 *units)
{
	if (reader->remaining == 0)
		return false;
	*at = reader->at;

	/* After the last delta come the amounts: what is read there is not used. */
	reader->at = (TimestampTz) ((uint64) reader->at +
								history_reader_bits(reader, reader->times_bit,
													reader->times_width, reader->times_mask) *
								(uint64) reader->delta_usecs);
	reader->times_bit += reader->times_width;
	reader->remaining--;
	if (units != NULL)
		*units = history_reader_units(reader);
	return true;
}

/*
 * The time of the last purchase of a reader from which nothing was read yet.
 */
static inline TimestampTz
history_reader_last(const HistoryReader *reader)
{
	uint64		bit = reader->times_bit;
	uint64		deltas = 0;

	for (int64 i = 1; i < reader->count; i++, bit += reader->times_width)
		deltas += history_reader_bits(reader, bit, reader->times_width, reader->times_mask);
	return (TimestampTz) ((uint64) reader->at + deltas * (uint64) reader->delta_usecs);
}

/* So many amounts of so many bits add up in 64. */
#define HISTORY_SUM_COUNT	128
#define HISTORY_SUM_BITS	57

/*
 * Of a reader from which nothing was read yet: the time of the last purchase,
 * and the sum of all amounts.
 */
static inline void
history_reader_totals(const HistoryReader *reader, TimestampTz *last, int128 *units)
{
	uint64		times_bit = reader->times_bit;
	uint64		units_bit = reader->units_bit;
	uint64		deltas = 0;

	if (likely(reader->times_width <= HISTORY_WORD_BITS &&
			   reader->units_width <= HISTORY_SUM_BITS && reader->count <= HISTORY_SUM_COUNT))
	{
		uint64		sum = history_reader_word(reader, units_bit, reader->units_mask);

		for (int64 i = 1; i < reader->count; i++)
		{
			units_bit += reader->units_width;
			deltas += history_reader_word(reader, times_bit, reader->times_mask);
			sum += history_reader_word(reader, units_bit, reader->units_mask);
			times_bit += reader->times_width;
		}
		*units = (int128) sum;
	}
	else
	{
		*units = history_reader_bits(reader, units_bit, reader->units_width, reader->units_mask);
		for (int64 i = 1; i < reader->count; i++)
		{
			units_bit += reader->units_width;
			deltas += history_reader_bits(reader, times_bit, reader->times_width, reader->times_mask);
			*units += history_reader_bits(reader, units_bit, reader->units_width, reader->units_mask);
			times_bit += reader->times_width;
		}
	}
	*last = (TimestampTz) ((uint64) reader->at + deltas * (uint64) reader->delta_usecs);
}

#endif							/* RETENTION_HISTORY_READER_H */
