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
