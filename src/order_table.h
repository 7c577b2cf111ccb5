/*
 * order_table.h
 *		A table of customers of any hashable type and what their orders come to,
 *		which can be walked in order: that of their numbers, if the table is
 *		numbered, else that of their hashes.
 */
#ifndef RETENTION_ORDER_TABLE_H
#define RETENTION_ORDER_TABLE_H

#include "postgres.h"

#include "common/int.h"
#include "datatype/timestamp.h"

#include "key_type.h"

typedef struct OrderTotal
{
	Datum		customer;
	TimestampTz last;
	int64		units;			/* money in units of 10^-scale, which the caller knows */
	uint32		purchases;		/* 0 in a free slot */
	uint32		hash;			/* of the customer */
} OrderTotal;

/* Orders wait for each other, to fetch their slots together. */
#define ORDERS_WAITING	64

typedef struct OrderSegment
{
	OrderTotal *slots;
	void	   *memory;			/* in which they lie */
} OrderSegment;

typedef struct OrderTable
{
	MemoryContext context;		/* of its own */
	KeyType		key;
	int64		customers;
	uint64		nslots;			/* a power of two, unless numbered */
	int			shift;			/* 32 less its logarithm */
	bool		numbered;		/* each number has a slot of its own, ... */
	uint64		first;			/* ... the first slot that of this one */
	uint64		least;			/* words whose slots the table must reach; in a
								 * numbered one others may lie beside them */
	uint64		greatest;
	OrderSegment *segments;
	OrderSegment *spares;		/* not in use */
	int			nspares;
	KeyArena	arena;
	int			nwaiting;
	OrderTotal	waiting[ORDERS_WAITING];
} OrderTable;

/* An empty table below the context, with room for so many customers. */
extern OrderTable *order_table_create(MemoryContext parent, const KeyType *key, int64 customers);

extern void order_table_free(OrderTable *table);

/* Puts the orders that wait in place: before anything is read. */
extern void order_table_settle(OrderTable *table);

/* Multiplies all sums. */
extern void order_table_rescale(OrderTable *table, int64 factor);

extern void order_refuse_sum(void);
extern void order_refuse_purchases(void);

/*
 * Walks the customers of a settled table in their order, if told so making the
 * table useless: then nothing is left to do but to free it.
 */
typedef struct OrderTableWalk
{
	OrderTable *table;
	bool		consume;		/* free what has been read */
	uint64		freed;			/* segments before this one */
	uint64		slot;			/* the one to look at next */
	const OrderTotal **run;		/* of slots side by side, sorted */
	int64		nrun;
	int64		run_size;
	int64		next;			/* of the run */
	OrderTotal *wrapped;		/* those of the last slots that lie in the first */
	int64		nwrapped;
} OrderTableWalk;

extern void order_table_walk(OrderTableWalk *walk, OrderTable *table, bool consume);

/* NULL at the end. */
extern const OrderTotal *order_table_next(OrderTableWalk *walk);
extern void order_table_walk_end(OrderTableWalk *walk);

/* Adds what else is known of a customer. */
static inline void
order_total_add(OrderTotal *total, const OrderTotal *more)
{
	total->last = Max(total->last, more->last);
	if (unlikely(pg_add_s64_overflow(total->units, more->units, &total->units)))
		order_refuse_sum();
	if (unlikely(pg_add_u32_overflow(total->purchases, more->purchases, &total->purchases)))
		order_refuse_purchases();
}

/*
 * The place of a customer in the order of hashes: his own, if he is a word.
 */
static inline uint64
order_place(const KeyType *key, Datum customer)
{
	if (key->kind == KEY_WORD)
		return key_word_hash(customer);

	/* Not all types have hashes whose highest bits are worth anything. */
	return (uint64) murmurhash32(key_hash(key, customer)) << 32;
}

/*
 * Add an order, or several, of a customer.  By-reference customers are copied.
 */
static inline void
order_table_add(OrderTable *table, Datum customer, TimestampTz last, uint32 purchases, int64 units)
{
	OrderTotal *total = &table->waiting[table->nwaiting++];

	if (table->key.kind == KEY_WORD)
		total->customer = key_word(&table->key, customer);
	else
		total->customer = key_plain(&table->key, customer);
	total->last = last;
	total->units = units;
	total->purchases = purchases;
	total->hash = (uint32) (order_place(&table->key, total->customer) >> 32);

	/* What a reference leads to may be gone with the row. */
	if (table->nwaiting == ORDERS_WAITING || !table->key.typbyval)
		order_table_settle(table);
}

#endif							/* RETENTION_ORDER_TABLE_H */
