/*
 * rfm_totals.h
 *		What RFM scores follow from: last purchase, number of purchases and
 *		money spent of many customers, as the state of rfm_matrix().
 */
#ifndef RETENTION_RFM_TOTALS_H
#define RETENTION_RFM_TOTALS_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "utils/expandeddatum.h"

#ifndef HAVE_INT128
#error "retention needs a compiler with 128-bit integers"
#endif

/* How a column is passed on: as whole multiples of a unit above the least. */
typedef struct TotalsColumn
{
	int64		least;
	int64		unit;
	int			width;			/* bytes a number */
} TotalsColumn;

typedef struct RfmTotals
{
	ExpandedObjectHeader hdr;
	int			magic;
	int			scale;			/* of all units */
	int64		customers;
	int64		capacity;
	TimestampTz *last;			/* by customer, as the others */
	int64	   *purchases;
	int64	   *units;			/* money in units of 10^-scale ... */
	int128	   *wide_units;		/* ... all of it here once 64 bits do not do */
	int			time_unit;		/* computed by totals_flat_size(), with the ... */
	TotalsColumn columns[3];	/* ... columns: last, purchases, units */
} RfmTotals;

/* The state in argument 0 of a transition, made when there is none. */
extern RfmTotals *rfm_totals_state(FunctionCallInfo fcinfo);

/* The state in argument 0 of a final function, only to be read. */
extern const RfmTotals *rfm_totals_read(FunctionCallInfo fcinfo);

/* Adds a customer. */
extern void rfm_totals_add(RfmTotals *state, TimestampTz last, int64 purchases,
						   int128 units, int scale);

static inline int128
rfm_totals_units(const RfmTotals *totals, int64 customer)
{
	return totals->wide_units == NULL ? totals->units[customer] : totals->wide_units[customer];
}

/* The rows of rfm_matrix(): the result of a final function. */
extern Datum rfm_matrix_rows(FunctionCallInfo fcinfo, const RfmTotals *totals);

#endif							/* RETENTION_RFM_TOTALS_H */
