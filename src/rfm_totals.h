/*
 * rfm_totals.h
 *		What RFM scores follow from: last purchase, number of purchases and
 *		money spent of many customers, as the state of rfm_matrix().
 */
#ifndef RETENTION_RFM_TOTALS_H
#define RETENTION_RFM_TOTALS_H

#include "postgres.h"

#include "fmgr.h"
#include "utils/expandeddatum.h"

#include "totals_block.h"

/* Blocks, one after the other. */
typedef struct TotalsChunk
{
	struct TotalsChunk *next;
	char	   *bytes;
	Size		size;
	Size		used;
} TotalsChunk;

typedef struct RfmTotals
{
	ExpandedObjectHeader hdr;
	int			magic;
	int			scale;			/* of the open totals; no block's is greater */
	int64		customers;
	TotalsNumbers open;			/* those not packed yet, ... */
	int			nopen;			/* ... so many */
	int			open_capacity;
	TotalsChunk *first_chunk;
	TotalsChunk *last_chunk;
	Size		packed_size;
} RfmTotals;

/* An empty state below the context. */
extern RfmTotals *rfm_totals_create(MemoryContext parent);

/* The state in argument 0 of a transition, made when there is none. */
extern RfmTotals *rfm_totals_state(FunctionCallInfo fcinfo);

/* The state in argument 0 of a final function, only to be read. */
extern RfmTotals *rfm_totals_read(FunctionCallInfo fcinfo);

/*
 * Makes room for a customer, and for amounts of that scale and size; the amount
 * in the state's scale.
 */
extern int128 rfm_totals_prepare(RfmTotals *state, int128 units, int scale);

/* Walks the blocks, packing what is not packed yet. */
typedef struct TotalsReader
{
	const TotalsChunk *chunk;
	const char *next;
} TotalsReader;

extern void totals_reader_begin(TotalsReader *reader, RfmTotals *totals);
extern bool totals_reader_next(TotalsReader *reader, TotalsBlock *block);

/* What amounts of a block's scale are to be multiplied with. */
extern int64 totals_block_factor(const RfmTotals *totals, const TotalsBlock *block);

/* The flat form, also part of that of other states: its size, and writing it. */
extern Size rfm_totals_flat_size(RfmTotals *totals);
extern void rfm_totals_flatten(RfmTotals *totals, char *target);

/*
 * A state to be read where its flat form lies; foreign bytes are let in only as
 * the one way of writing them.
 */
extern RfmTotals *rfm_totals_open(const char *data, Size size, MemoryContext context);
extern void rfm_totals_check_foreign(RfmTotals *totals);

/* The rows of rfm_matrix(): the result of a final function. */
extern Datum rfm_matrix_rows(FunctionCallInfo fcinfo, RfmTotals *totals);

/* The result of rfm_cuts_of(). */
extern Datum rfm_cuts_row(FunctionCallInfo fcinfo, RfmTotals *totals);

/* All customers of another state, in its order, after those that are there. */
extern void rfm_totals_append(RfmTotals *state, RfmTotals *other);

/* Adds a customer, of whom the number tells who it is, where that matters. */
static inline void
rfm_totals_add(RfmTotals *state, int64 customer, TimestampTz last, int64 purchases,
			   int128 units, int scale)
{
	int			i;

	if (unlikely(state->nopen == state->open_capacity || scale != state->scale ||
				 units != (int64) units || state->open.high != NULL))
		units = rfm_totals_prepare(state, units, scale);
	i = state->nopen++;
	state->open.numbers[TOTALS_CUSTOMER][i] = customer;
	state->open.numbers[TOTALS_LAST][i] = last;
	state->open.numbers[TOTALS_PURCHASES][i] = purchases;
	state->open.numbers[TOTALS_UNITS][i] = (int64) units;
	state->customers++;
}

#endif							/* RETENTION_RFM_TOTALS_H */
