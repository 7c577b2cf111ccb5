/*
 * packed_orders.h
 *		Customers of any hashable type and what their orders come to, packed in
 *		the order of the table they come from.
 */
#ifndef RETENTION_PACKED_ORDERS_H
#define RETENTION_PACKED_ORDERS_H

#include "postgres.h"

#include "order_table.h"
#include "rfm_totals.h"

/* Words stand among the totals. */
typedef struct PackedOrders
{
	MemoryContext context;
	bool		numbered;		/* in the order of the customers' numbers */
	RfmTotals  *totals;
	KeyRow		customers;		/* that are no words */
} PackedOrders;

/* Reads packed orders, or just totals of customers who are told elsewhere. */
typedef struct PackedReader
{
	const KeyType *key;
	bool		numbered;
	RfmTotals  *totals;
	TotalsReader blocks;		/* where they are read, ... */
	TotalsBlock block;			/* ... a block of them, ... */
	int64		columns[N_TOTALS_COLUMNS][TOTALS_BLOCK_MAX];
	int			next;			/* ... and the next one in it */
	const char *customers;		/* the row of customers that are no words, ... */
	Size		customers_size;
	const char *cursor;			/* ... and the next one; NULL when there is none */
	OrderTotal	total;			/* the one read last */
} PackedReader;

extern void packed_reader_begin(PackedReader *reader, const KeyType *key, bool numbered,
								RfmTotals *totals, const char *customers, Size customers_size);
extern void packed_orders_read(PackedReader *reader, const KeyType *key, const PackedOrders *packed);

/* The next total, in the scale of all; false at the end. */
extern bool packed_reader_next(PackedReader *reader);

/*
 * A table's customers.  The table may be consumed, so that not much more memory
 * is needed than it has: then all that is left to do is to free it.
 */
extern PackedOrders *packed_orders_of_table(OrderTable *table, int scale, MemoryContext context,
											bool consume);

/* What a reader has, from the beginning. */
extern PackedOrders *packed_orders_copy(const PackedReader *reader, MemoryContext context);

/* What both readers have, in the one's order if it is that of both, going through them. */
extern PackedOrders *packed_orders_merge(PackedReader *a_reader, PackedReader *b_reader,
										 MemoryContext context);

extern void packed_orders_free(PackedOrders *packed);

#endif							/* RETENTION_PACKED_ORDERS_H */
