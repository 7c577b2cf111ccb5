/*
 * purchase_history.h
 *		The type purchase_history: a customer's purchases as one compact value,
 *		and how to build and read it from C.
 *
 * A purchase is a time and an amount >= 0.  A history holds purchases sorted by
 * (time, amount); equal ones are separate purchases.  After the varlena header:
 *
 *	byte	format version, 1
 *	byte	units of time: of the first instant (high four bits), of the deltas
 *			(low four bits); see HistoryUnit
 *	byte	scale: amounts are whole multiples of 10^-scale
 *	varint	number of purchases; the history ends here when it is 0
 *	varint	first instant, in its unit since 2000-01-01 00:00 UTC, zigzag
 *	varint	length in bytes of the times
 *	varints	times: each purchase's distance from the one before, but for the first
 *	varints	amounts
 *
 * Times lie together and before the amounts, so that what asks only for times
 * never reads an amount.  The first instant has a unit of its own: a shop that
 * keeps dates, in a zone eight hours from UTC, still gets deltas in days.
 *
 * A set of purchases has exactly one encoding, so equality is bytewise: units
 * and scale are the coarsest that are exact, varints (seven bits a byte, least
 * significant first) are as short as can be.
 */
#ifndef RETENTION_PURCHASE_HISTORY_H
#define RETENTION_PURCHASE_HISTORY_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "port/pg_bitutils.h"
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
	TimestampTz at;				/* time of the purchase read last, or of the
								 * first before any is read */
	int64		delta_usecs;	/* unit of the deltas */
	const uint8 *times;
	const uint8 *times_end;
	const uint8 *values;
	const uint8 *values_end;
} HistoryReader;

extern void history_reader_init(HistoryReader *reader, const PurchaseHistory *h);

/* Raises the error for a stored value that is no history. */
extern void history_corrupted(void);

/*
 * One varint.  Where eight bytes may be read, up to limit, they are taken at
 * once: how long a varint is can hardly be predicted, and branches that are
 * mispredicted take most of the time of reading byte by byte.
 */
static inline uint64
history_read_varint_within(const uint8 **p, const uint8 *end, const uint8 *limit)
{
	uint64		result = 0;
	int			shift = 0;
	uint8		byte;

#ifndef WORDS_BIGENDIAN
	if (likely(limit - *p >= 8))
	{
		uint64		word;
		uint64		stops;

		memcpy(&word, *p, sizeof(word));
		stops = ~word & UINT64CONST(0x8080808080808080);
		if (likely(stops != 0))
		{
			int			last = pg_rightmost_one_pos64(stops);

			*p += last / 8 + 1;
			if (unlikely(*p > end))
				history_corrupted();
			word &= (PG_UINT64_MAX >> (63 - last)) & UINT64CONST(0x7f7f7f7f7f7f7f7f);
			word = ((word & UINT64CONST(0x7f007f007f007f00)) >> 1) | (word & UINT64CONST(0x007f007f007f007f));
			word = ((word & UINT64CONST(0x3fff00003fff0000)) >> 2) | (word & UINT64CONST(0x00003fff00003fff));
			return ((word & UINT64CONST(0x0fffffff00000000)) >> 4) | (word & UINT64CONST(0x000000000fffffff));
		}
	}
#endif

	do
	{
		if (unlikely(*p >= end || shift > 63))
			history_corrupted();
		byte = *(*p)++;
		result |= (uint64) (byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	return result;
}

static inline uint64
history_read_varint(const uint8 **p, const uint8 *end)
{
	return history_read_varint_within(p, end, end);
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
	if (reader->remaining < reader->count)
		reader->at = (TimestampTz) ((uint64) reader->at +
									history_read_varint_within(&reader->times, reader->times_end,
															   reader->values_end) *
									(uint64) reader->delta_usecs);
	reader->remaining--;
	*at = reader->at;
	if (units != NULL)
		*units = (int64) history_read_varint(&reader->values, reader->values_end);
	return true;
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
