/*
 * totals_block.h
 *		What RFM scores follow from, last purchase, number of purchases and money
 *		spent, of up to a thousand customers, packed into few bytes.
 *
 * A block is what comes first (how many customers, the scale of the money, the
 * unit of time, and for each column the least number, the greatest, and how
 * many bits a number takes), then the columns one after the other, each number
 * as its distance from the least, and spare bytes, so that a word may be read
 * wherever a number begins.  Bits go from the lowest of each byte to the highest.
 */
#ifndef RETENTION_TOTALS_BLOCK_H
#define RETENTION_TOTALS_BLOCK_H

#include "postgres.h"

#include "datatype/timestamp.h"

#ifndef HAVE_INT128
#error "retention needs a compiler with 128-bit integers"
#endif

#define TOTALS_BLOCK_MAX	1024

/* Bytes before the columns. */
#define TOTALS_BLOCK_HEAD	(2 + 1 + 1 + N_TOTALS_COLUMNS * (1 + 8 + 8))

typedef enum TotalsField
{
	TOTALS_CUSTOMER,
	TOTALS_LAST,
	TOTALS_PURCHASES,
	TOTALS_UNITS
} TotalsField;

#define N_TOTALS_COLUMNS	4
#define TOTALS_WIDE			128

/* Customers before they are packed, or after: a column each. */
typedef struct TotalsNumbers
{
	int64	   *numbers[N_TOTALS_COLUMNS];	/* who it is, or 0; last purchase;
											 * purchases; money in units of
											 * 10^-scale */
	int64	   *high;			/* upper halves of money, or NULL when it fits
								 * 64 bits */
} TotalsNumbers;

typedef struct TotalsColumn
{
	int64		least;
	int64		greatest;
	int			width;			/* bits a number: up to 56, or 64; 128 for money
								 * beyond that, as it is, with no least */
	const uint8 *bytes;			/* of a block that was read */
} TotalsColumn;

typedef struct TotalsBlock
{
	int			customers;
	int			scale;
	int			time_unit;		/* HistoryUnit in which times are written */
	TotalsColumn columns[N_TOTALS_COLUMNS];
} TotalsBlock;

/* Money of two halves. */
static inline int128
totals_wide(int64 low, int64 high)
{
	return (int128) ((uint128) (uint64) high << 64 | (uint64) low);
}

static inline bool
totals_block_is_wide(const TotalsBlock *block)
{
	return block->columns[TOTALS_UNITS].width == TOTALS_WIDE;
}

/* How customers are to be packed, in how many bytes, and packing them. */
extern void totals_block_survey(TotalsBlock *block, const TotalsNumbers *totals, int n, int scale);
extern Size totals_block_size(const TotalsBlock *block);
extern void totals_block_pack(const TotalsBlock *block, const TotalsNumbers *totals, char *target);

/*
 * The block that begins there; what comes after it.  No column reaches beyond
 * the end, whatever the bytes are.
 */
extern const char *totals_block_open(TotalsBlock *block, const char *p, const char *end);

/* A column's numbers, each between the least and the greatest; not of wide money. */
extern void totals_block_column(const TotalsBlock *block, TotalsField field, int64 *values);

/* Money, wide or not. */
extern void totals_block_units(const TotalsBlock *block, int128 *units);

/* All of it, the upper halves only where the money is wide. */
extern void totals_block_unpack(const TotalsBlock *block, TotalsNumbers *totals);

/* The error for bytes that are no totals. */
extern void totals_refuse(const char *detail);

#endif							/* RETENTION_TOTALS_BLOCK_H */
