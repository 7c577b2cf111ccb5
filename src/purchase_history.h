/*
 * purchase_history.h
 *		The type purchase_history: a customer's purchases as one compact value,
 *		and how to build and read it from C.
 *
 * A purchase is a time and an amount >= 0.  A history holds purchases sorted by
 * (time, amount); equal ones are separate purchases.  After the varlena header:
 *
 *	byte	format version, 1
 *	3 bytes	from the lowest bit: unit of the first instant (3 bits), unit of the
 *			deltas (3; see HistoryUnit), scale (5: amounts are whole multiples of
 *			10^-scale), width of the deltas (7), width of the amounts (6)
 *	varint	number of purchases; the history ends here when it is 0
 *	varint	first instant, in its unit since 2000-01-01 00:00 UTC, zigzag
 *	bits	deltas: each purchase's distance from the one before, but for the first
 *	bits	amounts; zero bits fill the last byte
 *
 * All deltas have as many bits as the longest, and so have the amounts: where a
 * number lies is known without reading those before, and no branch depends on
 * it.  Bits go from the lowest of each byte to the highest.  Times lie before
 * the amounts, so that what asks only for times never reads an amount.  The
 * first instant has a unit of its own: a shop that keeps dates, in a zone eight
 * hours from UTC, still gets deltas in days.
 *
 * A set of purchases has exactly one encoding, so equality is bytewise: units
 * and scale are the coarsest that are exact, widths and varints (seven bits a
 * byte, least significant first) are as small as can be, but that amounts have
 * one bit at least.
 */
#ifndef RETENTION_PURCHASE_HISTORY_H
#define RETENTION_PURCHASE_HISTORY_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "port/pg_bitutils.h"
#include "port/pg_bswap.h"
#include "utils/numeric.h"

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#define HISTORY_VERSION		1

/* 10^18 is the largest power of ten that an int64 holds. */
#define HISTORY_MAX_SCALE	18

typedef enum HistoryUnit
{
	HISTORY_MICROSECOND,
	HISTORY_MILLISECOND,
	HISTORY_SECOND,
	HISTORY_MINUTE,
	HISTORY_HOUR,
	HISTORY_DAY
} HistoryUnit;

typedef struct PurchaseHistory
{
	int32		vl_len_;		/* varlena header (do not touch directly!) */
	uint8		data[FLEXIBLE_ARRAY_MEMBER];
} PurchaseHistory;

/* May have a short header: use VARDATA_ANY and VARSIZE_ANY. */
#define DatumGetPurchaseHistoryP(X) \
	((PurchaseHistory *) PG_DETOAST_DATUM_PACKED(X))
#define PurchaseHistoryPGetDatum(X)		PointerGetDatum(X)
#define PG_GETARG_PURCHASE_HISTORY_P(n) \
	DatumGetPurchaseHistoryP(PG_GETARG_DATUM(n))
#define PG_RETURN_PURCHASE_HISTORY_P(x) \
	return PurchaseHistoryPGetDatum(x)

/*
 * Building: a growing set of purchases, sorted only when that is asked for and
 * needed.  Adding purchases in order is O(1).
 */
typedef struct HistoryBuilder HistoryBuilder;

extern HistoryBuilder *history_builder_create(MemoryContext context);

/* Adds all purchases of a history, or of another builder. */
extern void history_builder_load(HistoryBuilder *b, const PurchaseHistory *h);
extern void history_builder_merge(HistoryBuilder *b, const HistoryBuilder *other);

/* Adds one purchase; an error when the time or the amount cannot be one. */
extern void history_builder_add(HistoryBuilder *b, TimestampTz at, Numeric value);

/* Takes away one purchase of that time and amount; false when there is none. */
extern bool history_builder_remove(HistoryBuilder *b, TimestampTz at, Numeric value);

extern int64 history_builder_count(const HistoryBuilder *b);

/* Time of the i-th purchase by time, the first being 0. */
extern TimestampTz history_builder_time(HistoryBuilder *b, int64 i);

/* Takes away the n oldest purchases and returns them; NULL when n is 0. */
extern PurchaseHistory *history_builder_cut(HistoryBuilder *b, int64 n);

/* All purchases, encoded in the current context; NULL when there are none. */
extern PurchaseHistory *history_builder_finish(HistoryBuilder *b);

/* The history without any purchase, '{}'. */
extern PurchaseHistory *history_empty(void);

/*
 * Reading: purchase by purchase, in order, without any allocation.  The history
 * must stay where it is meanwhile.
 */
typedef struct HistoryReader
{
	int64		count;			/* purchases in the history */
	int64		remaining;		/* those not read yet */
	int			scale;			/* amounts are in units of 10^-scale */
	TimestampTz at;				/* time of the purchase read next */
	int64		delta_usecs;	/* unit of the deltas */
	int			times_width;
	int			units_width;
	uint64		times_bit;		/* where the next delta begins */
	uint64		units_bit;		/* where the next amount begins */
	const uint8 *base;			/* where the bits begin */
	const uint8 *last_word;		/* the last eight bytes of the history */
} HistoryReader;

extern void history_reader_init(HistoryReader *reader, const PurchaseHistory *h);

/*
 * The same as a value: kept in a variable whose address goes nowhere, its parts
 * can stay in registers.
 */
static inline HistoryReader
history_read(const PurchaseHistory *h)
{
	HistoryReader reader;

	history_reader_init(&reader, h);
	return reader;
}

/* Raises the error for a stored value that is no history. */
extern void history_corrupted(void);

/* Numbers of more bits may begin and end in two words. */
#define HISTORY_WORD_BITS	57

extern uint64 history_read_wide_bits(const uint8 *base, const uint8 *last_word,
									 uint64 bit, int width);

static inline uint64
history_bit_mask(int width)
{
	return width == 64 ? PG_UINT64_MAX : (UINT64CONST(1) << width) - 1;
}

/*
 * A number of the history.  The word with it is read at its first byte, or at
 * the last byte from which a whole word may be read.  (A history with a
 * purchase has eight bytes at least, its header included.)
 */
static inline uint64
history_reader_bits(const HistoryReader *reader, uint64 bit, int width)
{
	const uint8 *p = reader->base + bit / 8;
	const uint8 *start = Min(p, reader->last_word);
	uint64		word;

	if (unlikely(width > HISTORY_WORD_BITS))
		return history_read_wide_bits(reader->base, reader->last_word, bit, width);
	memcpy(&word, start, sizeof(word));
#ifdef WORDS_BIGENDIAN
	word = pg_bswap64(word);
#endif
	return (word >> (((p - start) * 8 + bit % 8) & 63)) & history_bit_mask(width);
}

/* The next amount, in units of 10^-scale. */
static inline int64
history_reader_units(HistoryReader *reader)
{
	int64		units = (int64) history_reader_bits(reader, reader->units_bit, reader->units_width);

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
								history_reader_bits(reader, reader->times_bit, reader->times_width) *
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
		deltas += history_reader_bits(reader, bit, reader->times_width);
	return (TimestampTz) ((uint64) reader->at + deltas * (uint64) reader->delta_usecs);
}

/* An amount given in units of 10^-scale, as numeric with scale decimals. */
extern Numeric history_amount(int64 units, int scale);

/* A sum of amounts of one scale that cannot overflow. */
typedef struct HistorySum
{
	int			scale;
	int64		units;			/* what was added since the last carry */
	Numeric		carried;		/* NULL before the first carry */
} HistorySum;

extern void history_sum_carry(HistorySum *sum);
extern Numeric history_sum_result(const HistorySum *sum);

static inline void
history_sum_init(HistorySum *sum, int scale)
{
	sum->scale = scale;
	sum->units = 0;
	sum->carried = NULL;
}

static inline void
history_sum_add(HistorySum *sum, int64 units)
{
	if (unlikely(units > PG_INT64_MAX - sum->units))
		history_sum_carry(sum);
	sum->units += units;
}

#endif							/* RETENTION_PURCHASE_HISTORY_H */
