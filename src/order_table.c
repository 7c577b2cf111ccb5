/*
 * order_table.c
 *		A hash table of customers and what their orders come to.
 *
 * A customer is one slot of half a cache line, so that an order touches one
 * place in memory.  A table of many customers does not fit the processor's
 * caches; so orders wait for each other, and their slots are fetched together.
 *
 * The highest bits of a hash say where its slot is, or the next free one behind
 * it.  So the customers lie in the order of their hashes already, but for those
 * in slots side by side.
 */
#include "order_table.h"

#include "large_memory.h"

#include "common/int.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#define FIRST_BITS		4
#define LARGEST_BITS	32
#define FIRST_RUN		64

void
order_refuse_sum(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("sum of purchases is too large"),
			 errdetail("A customer's sum is kept in 64 bits, with as many decimal places as the finest amount has.")));
}

static void
refuse_purchases(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("a customer has more than %u purchases", PG_UINT32_MAX)));
}

static void
allocate(OrderTable *table, int bits)
{
	Size		size;

	if (bits > LARGEST_BITS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many customers")));
	table->nslots = UINT64CONST(1) << bits;
	table->shift = LARGEST_BITS - bits;
	size = table->nslots * sizeof(OrderTotal);
	table->slots = (OrderTotal *) large_alloc(table->context, size, &table->memory);
	memset(table->slots, 0, size);
}

OrderTable *
order_table_create(MemoryContext parent, const KeyType *key, int64 customers)
{
	MemoryContext context = AllocSetContextCreate(parent, "order table", ALLOCSET_START_SMALL_SIZES);
	OrderTable *table = (OrderTable *) MemoryContextAllocZero(context, sizeof(OrderTable));
	int			bits = FIRST_BITS;

	table->context = context;
	table->key = *key;
	table->arena.context = context;
	while ((INT64CONST(1) << bits) / 4 * 3 < customers)
		bits++;
	allocate(table, bits);
	return table;
}

void
order_table_free(OrderTable *table)
{
	MemoryContextDelete(table->context);
}

static inline uint64
first_slot(const OrderTable *table, uint32 hash)
{
	return (uint64) hash >> table->shift;
}

static void
grow(OrderTable *table)
{
	OrderTotal *old = table->slots;
	void	   *memory = table->memory;
	uint64		nslots = table->nslots;

	CHECK_FOR_INTERRUPTS();
	allocate(table, LARGEST_BITS - table->shift + 1);
	for (uint64 i = 0; i < nslots; i++)
	{
		uint64		slot;

		if (old[i].purchases == 0)
			continue;
		slot = first_slot(table, old[i].hash);
		while (table->slots[slot].purchases != 0)
			slot = (slot + 1) & (table->nslots - 1);
		table->slots[slot] = old[i];
	}
	pfree(memory);
}

void
order_total_add(OrderTotal *total, const OrderTotal *more)
{
	total->last = Max(total->last, more->last);
	if (unlikely(pg_add_s64_overflow(total->units, more->units, &total->units)))
		order_refuse_sum();
	if (unlikely(pg_add_u32_overflow(total->purchases, more->purchases, &total->purchases)))
		refuse_purchases();
}

static inline void
put(OrderTable *table, const OrderTotal *more)
{
	uint64		slot = first_slot(table, more->hash);
	OrderTotal *total;

	for (;; slot = (slot + 1) & (table->nslots - 1))
	{
		total = &table->slots[slot];
		if (total->purchases == 0)
			break;
		if (table->key.kind == KEY_WORD ? total->customer == more->customer :
			total->hash == more->hash && key_equal(&table->key, total->customer, more->customer))
		{
			order_total_add(total, more);
			return;
		}
	}
	*total = *more;
	total->customer = key_keep(&table->key, &table->arena, more->customer);
	table->customers++;
	if ((uint64) table->customers > table->nslots / 4 * 3)
		grow(table);
}

/*
 * One slot fetched after the other, with the work on a row between, would each
 * be waited for.
 */
void
order_table_settle(OrderTable *table)
{
	int			nwaiting = table->nwaiting;

	table->nwaiting = 0;
	for (int i = 0; i < nwaiting; i++)
		key_prefetch(&table->slots[first_slot(table, table->waiting[i].hash)]);
	for (int i = 0; i < nwaiting; i++)
		put(table, &table->waiting[i]);
}

void
order_table_rescale(OrderTable *table, int64 factor)
{
	order_table_settle(table);
	for (uint64 i = 0; i < table->nslots; i++)
	{
		if (pg_mul_s64_overflow(table->slots[i].units, factor, &table->slots[i].units))
			order_refuse_sum();
	}
}

/* ----------------------------------------------------------------
 * Walking
 * ----------------------------------------------------------------
 */

static void
run_add(OrderTableWalk *walk, const OrderTotal *total)
{
	int64		i;

	if (walk->nrun == walk->run_size)
	{
		walk->run_size *= 2;
		walk->run = (OrderTotal *) repalloc_huge(walk->run, walk->run_size * sizeof(OrderTotal));
	}
	for (i = walk->nrun++; i > 0 && walk->run[i - 1].hash > total->hash; i--)
		walk->run[i] = walk->run[i - 1];
	walk->run[i] = *total;
}

/* The next slots side by side that are taken. */
static void
read_run(OrderTableWalk *walk)
{
	const OrderTable *table = walk->table;

	walk->nrun = 0;
	walk->next = 0;
	while (walk->slot < table->nslots && table->slots[walk->slot].purchases == 0)
		walk->slot++;
	while (walk->slot < table->nslots && table->slots[walk->slot].purchases != 0)
		run_add(walk, &table->slots[walk->slot++]);
	if (walk->slot < table->nslots)
		return;

	/* They go on where the table begins. */
	for (; walk->nwrapped > 0; walk->nwrapped--)
		run_add(walk, &walk->wrapped[walk->nwrapped - 1]);
}

void
order_table_walk(OrderTableWalk *walk, const OrderTable *table)
{
	Assert(table->nwaiting == 0);
	walk->table = table;
	walk->slot = 0;
	walk->run_size = FIRST_RUN;
	walk->run = (OrderTotal *) palloc(walk->run_size * sizeof(OrderTotal));
	walk->wrapped = NULL;
	walk->nwrapped = 0;

	/* What belongs to the last slots comes last, also where it lies in the first. */
	read_run(walk);
	while (walk->nrun > walk->nwrapped &&
		   first_slot(table, walk->run[walk->nrun - walk->nwrapped - 1].hash) >= walk->slot)
		walk->nwrapped++;
	if (walk->nwrapped > 0 && walk->slot < table->nslots)
	{
		walk->nrun -= walk->nwrapped;
		walk->wrapped = (OrderTotal *) MemoryContextAllocHuge(CurrentMemoryContext,
															  walk->nwrapped * sizeof(OrderTotal));
		memcpy(walk->wrapped, walk->run + walk->nrun, walk->nwrapped * sizeof(OrderTotal));
	}
	else
		walk->nwrapped = 0;
}

bool
order_table_next(OrderTableWalk *walk, OrderTotal *total)
{
	if (walk->next == walk->nrun)
	{
		read_run(walk);
		if (walk->nrun == 0)
			return false;
	}
	*total = walk->run[walk->next++];
	return true;
}
