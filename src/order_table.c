/*
 * order_table.c
 *		A table of customers and what their orders come to.
 *
 * A customer is one slot of half a cache line, so that an order touches one
 * place in memory.  A table of many customers does not fit the processor's
 * caches; so orders wait for each other, and their slots are fetched together.
 *
 * The highest bits of a hash say where its slot is, or the next free one behind
 * it.  So the customers lie in the order of their hashes already, but for those
 * in slots side by side.
 *
 * Customers mostly are numbers without many gaps.  When such a table gets large
 * it becomes a numbered one, where a customer's slot is that of his number:
 * nobody is in the way of others, those of like numbers, who came at like times,
 * lie side by side, and sorted by number they need few bytes.
 */
#include "order_table.h"

#include "large_memory.h"

#include "miscadmin.h"
#include "utils/memutils.h"

/* Slots are in segments of two large pages each, a smaller table in one smaller one. */
#define SEGMENT_BITS	17
#define SEGMENT_SLOTS	(UINT64CONST(1) << SEGMENT_BITS)

/* A numbered table has at most so many times the slots of another. */
#define NUMBERED_SLOTS	UINT64CONST(2)

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

void
order_refuse_purchases(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("a customer has more than %u purchases", PG_UINT32_MAX)));
}

static void
refuse_customers(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("too many customers")));
}

static inline OrderTotal *
slot_at(const OrderTable *table, uint64 slot)
{
	return &table->segments[slot >> SEGMENT_BITS].slots[slot & (SEGMENT_SLOTS - 1)];
}

/* The slot where a customer is, or would be but for others. */
static inline uint64
first_slot(const OrderTable *table, uint32 hash)
{
	return (uint64) hash >> table->shift;
}

static OrderSegment
fresh_segment(OrderTable *table, uint64 nslots)
{
	Size		size = nslots * sizeof(OrderTotal);
	OrderSegment segment;

	if (table->nspares > 0)
		segment = table->spares[--table->nspares];
	else
		segment.slots = (OrderTotal *) large_alloc(table->context, size, &segment.memory);
	memset(segment.slots, 0, size);
	return segment;
}

static void
set_size(OrderTable *table, int bits)
{
	if (bits > LARGEST_BITS)
		refuse_customers();
	table->nslots = UINT64CONST(1) << bits;
	table->shift = LARGEST_BITS - bits;
}

/* So many customers take a table of how many slots? */
static int
bits_for(int64 customers)
{
	int			bits = FIRST_BITS;

	while ((INT64CONST(1) << bits) / 4 * 3 < customers)
		bits++;
	return bits;
}

/* How many segments a table of so many slots has. */
static uint64
segments_of(uint64 nslots)
{
	return Max(nslots >> SEGMENT_BITS, 1);
}

static OrderSegment *
segment_array(OrderTable *table)
{
	return (OrderSegment *) MemoryContextAllocZero(table->context,
												   segments_of(table->nslots) * sizeof(OrderSegment));
}

OrderTable *
order_table_create(MemoryContext parent, const KeyType *key, int64 customers)
{
	MemoryContext context = AllocSetContextCreate(parent, "order table", ALLOCSET_START_SMALL_SIZES);
	OrderTable *table = (OrderTable *) MemoryContextAllocZero(context, sizeof(OrderTable));

	table->context = context;
	table->key = *key;
	table->arena.context = context;
	table->least = PG_UINT64_MAX;
	set_size(table, bits_for(customers));
	table->segments = segment_array(table);
	for (uint64 i = 0; i < segments_of(table->nslots); i++)
		table->segments[i] = fresh_segment(table, Min(table->nslots, SEGMENT_SLOTS));
	return table;
}

void
order_table_free(OrderTable *table)
{
	MemoryContextDelete(table->context);
}

/* Put a customer who is nowhere yet, making the segments that are reached. */
static void
put_new(OrderTable *table, const OrderTotal *total)
{
	uint64		slot = first_slot(table, total->hash);

	for (;; slot = (slot + 1) & (table->nslots - 1))
	{
		OrderSegment *segment = &table->segments[slot >> SEGMENT_BITS];

		if (unlikely(segment->slots == NULL))
			*segment = fresh_segment(table, SEGMENT_SLOTS);
		if (slot_at(table, slot)->purchases == 0)
			break;
	}
	*slot_at(table, slot) = *total;
}

/*
 * Have a table of one small segment in a larger one.
 */
static void
grow_segment(OrderTable *table)
{
	OrderSegment old = table->segments[0];
	uint64		nold = table->nslots;

	set_size(table, LARGEST_BITS - table->shift + 1);
	table->segments[0] = fresh_segment(table, table->nslots);
	for (uint64 i = 0; i < nold; i++)
	{
		if (old.slots[i].purchases != 0)
			put_new(table, &old.slots[i]);
	}
	pfree(old.memory);
}

/*
 * Have twice the segments.  What was in one goes to two that stand for the same
 * hashes, so that it is free for others as soon as it has been read: memory that
 * is touched for the first time is what costs most.
 */
static void
grow_segments(OrderTable *table)
{
	OrderTable	old = *table;
	uint64		begin = 0;

	set_size(table, LARGEST_BITS - table->shift + 1);
	table->segments = segment_array(table);
	table->spares = segment_array(table);
	if (old.spares != NULL)
	{
		memcpy(table->spares, old.spares, old.nspares * sizeof(OrderSegment));
		pfree(old.spares);
	}

	/* From a free slot on: of the last slots' customers some may lie in the first. */
	while (slot_at(&old, begin)->purchases != 0)
		begin++;
	for (uint64 i = 0; i < old.nslots; i++)
	{
		uint64		slot = (begin + i) & (old.nslots - 1);

		if (slot_at(&old, slot)->purchases != 0)
			put_new(table, slot_at(&old, slot));
		if ((slot + 1) % SEGMENT_SLOTS == 0)
		{
			CHECK_FOR_INTERRUPTS();

			/* Of the one where it began the end is read first. */
			if (slot >> SEGMENT_BITS != begin >> SEGMENT_BITS)
				table->spares[table->nspares++] = old.segments[slot >> SEGMENT_BITS];
		}
	}
	table->spares[table->nspares++] = old.segments[begin >> SEGMENT_BITS];

	for (uint64 i = 0; i < segments_of(table->nslots); i++)
	{
		if (table->segments[i].slots == NULL)
			table->segments[i] = fresh_segment(table, SEGMENT_SLOTS);
	}
	pfree(old.segments);
}

/* ----------------------------------------------------------------
 * Numbered tables
 * ----------------------------------------------------------------
 */

static inline uint64
numbered_slot(const OrderTable *table, Datum customer)
{
	return (uint64) customer - table->first;
}

/*
 * May those that are there, with all numbers between them, have slots of their
 * own?
 */
static bool
may_be_numbered(const OrderTable *table)
{
	return table->key.kind == KEY_WORD &&
		table->greatest < PG_UINT64_MAX - SEGMENT_SLOTS &&
		table->greatest - table->least < NUMBERED_SLOTS << bits_for(table->customers + 1);
}

/* Slots for all numbers from the least to the greatest, in whole segments. */
static void
set_numbers(OrderTable *table)
{
	table->numbered = true;
	table->first = table->least - table->least % SEGMENT_SLOTS;
	table->nslots = table->greatest - table->greatest % SEGMENT_SLOTS + SEGMENT_SLOTS - table->first;
	table->segments = segment_array(table);
}

static void
fill_segments(OrderTable *table)
{
	for (uint64 i = 0; i < segments_of(table->nslots); i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (table->segments[i].slots == NULL)
			table->segments[i] = fresh_segment(table, SEGMENT_SLOTS);
	}
}

/* Move all customers out of the slots of another form of the table. */
static void
move_from(OrderTable *table, OrderTable *old)
{
	for (uint64 slot = 0; slot < old->nslots; slot++)
	{
		const OrderTotal *total = slot_at(old, slot);

		if (total->purchases == 0)
			continue;
		if (table->numbered)
			*slot_at(table, numbered_slot(table, total->customer)) = *total;
		else
			put_new(table, total);
	}
	for (uint64 i = 0; i < segments_of(old->nslots); i++)
		pfree(old->segments[i].memory);
	pfree(old->segments);
}

static void
become_numbered(OrderTable *table)
{
	OrderTable	old = *table;

	set_numbers(table);
	fill_segments(table);
	move_from(table, &old);
	while (table->nspares > 0)
		pfree(table->spares[--table->nspares].memory);
}

static void
become_hashed(OrderTable *table)
{
	OrderTable	old = *table;

	table->numbered = false;
	set_size(table, bits_for(table->customers + 1));
	table->segments = segment_array(table);
	fill_segments(table);
	move_from(table, &old);
}

/* Have slots for a number that has none, or no numbered table any more. */
static void
reach_number(OrderTable *table, uint64 number)
{
	OrderTable	old = *table;

	table->least = Min(table->least, number);
	table->greatest = Max(table->greatest, number);
	if (!may_be_numbered(table))
	{
		become_hashed(table);
		return;
	}
	set_numbers(table);
	memcpy(table->segments + ((old.first - table->first) >> SEGMENT_BITS), old.segments,
		   segments_of(old.nslots) * sizeof(OrderSegment));
	pfree(old.segments);
	fill_segments(table);
}

/* ----------------------------------------------------------------
 * Adding
 * ----------------------------------------------------------------
 */

static void
grow(OrderTable *table)
{
	if (table->nslots < SEGMENT_SLOTS)
		grow_segment(table);
	else if (may_be_numbered(table))
		become_numbered(table);
	else
		grow_segments(table);
}

static inline void
put_by_hash(OrderTable *table, const OrderTotal *more)
{
	uint64		slot = first_slot(table, more->hash);
	OrderTotal *total;

	for (;; slot = (slot + 1) & (table->nslots - 1))
	{
		total = slot_at(table, slot);
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
	if (table->key.kind == KEY_WORD)
	{
		table->least = Min(table->least, (uint64) more->customer);
		table->greatest = Max(table->greatest, (uint64) more->customer);
	}
	else
		total->customer = key_keep(&table->key, &table->arena, more->customer);
	table->customers++;
	if (unlikely((uint64) table->customers > table->nslots / 4 * 3))
		grow(table);
}

static inline void
put(OrderTable *table, const OrderTotal *more)
{
	OrderTotal *total;

	if (table->numbered && unlikely(numbered_slot(table, more->customer) >= table->nslots))
		reach_number(table, (uint64) more->customer);
	if (!table->numbered)
	{
		put_by_hash(table, more);
		return;
	}
	total = slot_at(table, numbered_slot(table, more->customer));
	if (likely(total->purchases != 0))
		order_total_add(total, more);
	else
	{
		*total = *more;
		table->customers++;
	}
}

/*
 * One slot fetched after the other, with the work on a row between, would each
 * be waited for.
 */
void
order_table_settle(OrderTable *table)
{
	int			nwaiting = table->nwaiting;

	/* Here, since compilers drop calls of functions that only fetch. */
	for (int i = 0; i < nwaiting; i++)
	{
		const OrderTotal *more = &table->waiting[i];

		if (table->numbered)
		{
			uint64		slot = numbered_slot(table, more->customer);

			if (likely(slot < table->nslots))
				key_prefetch(slot_at(table, slot));
		}
		else
		{
			const char *slot = (const char *) slot_at(table, first_slot(table, more->hash));

			/* Many a customer lies in the next lines of the caches. */
			key_prefetch(slot);
			key_prefetch(slot + CACHE_LINE);
			key_prefetch(slot + 2 * CACHE_LINE);
		}
	}
	table->nwaiting = 0;
	for (int i = 0; i < nwaiting; i++)
		put(table, &table->waiting[i]);
}

void
order_table_rescale(OrderTable *table, int64 factor)
{
	order_table_settle(table);
	for (uint64 slot = 0; slot < table->nslots; slot++)
	{
		OrderTotal *total = slot_at(table, slot);

		if (pg_mul_s64_overflow(total->units, factor, &total->units))
			order_refuse_sum();
	}
}

/* ----------------------------------------------------------------
 * Walking
 * ----------------------------------------------------------------
 */

/* Does a come after b?  Those of one hash are in the order of their places. */
static inline bool
comes_after(const OrderTableWalk *walk, const OrderTotal *a, const OrderTotal *b)
{
	const KeyType *key = &walk->table->key;

	if (likely(a->hash != b->hash))
		return a->hash > b->hash;
	return order_place(key, a->customer) > order_place(key, b->customer);
}

static inline void
run_add(OrderTableWalk *walk, const OrderTotal *total)
{
	int64		i;

	if (unlikely(walk->nrun == walk->run_size))
	{
		walk->run_size *= 2;
		walk->run = (const OrderTotal **) repalloc_huge(walk->run, walk->run_size * sizeof(OrderTotal *));
	}
	for (i = walk->nrun++; i > 0 && comes_after(walk, walk->run[i - 1], total); i--)
		walk->run[i] = walk->run[i - 1];
	walk->run[i] = total;
}

static void
free_read(OrderTableWalk *walk)
{
	for (; walk->consume && walk->freed < walk->slot >> SEGMENT_BITS; walk->freed++)
		pfree(walk->table->segments[walk->freed].memory);
}

/* The next slots side by side that are taken. */
static void
read_run(OrderTableWalk *walk)
{
	OrderTable *table = walk->table;
	const OrderTotal *total;

	walk->nrun = 0;
	walk->next = 0;
	free_read(walk);
	while (walk->slot < table->nslots && slot_at(table, walk->slot)->purchases == 0)
		walk->slot++;
	while (walk->slot < table->nslots && (total = slot_at(table, walk->slot))->purchases != 0)
	{
		run_add(walk, total);
		walk->slot++;
	}
	if (walk->slot < table->nslots)
		return;

	/* They go on where the table begins. */
	for (; walk->nwrapped > 0; walk->nwrapped--)
		run_add(walk, &walk->wrapped[walk->nwrapped - 1]);
}

/* The next slot that is taken, of a numbered table. */
static inline const OrderTotal *
next_number(OrderTableWalk *walk)
{
	OrderTable *table = walk->table;

	while (walk->slot < table->nslots)
	{
		const OrderTotal *total = slot_at(table, walk->slot);

		if (unlikely(walk->slot % SEGMENT_SLOTS == 0))
			free_read(walk);
		walk->slot++;
		if (total->purchases != 0)
			return total;
	}
	return NULL;
}

void
order_table_walk(OrderTableWalk *walk, OrderTable *table, bool consume)
{
	Assert(table->nwaiting == 0);
	walk->table = table;
	walk->consume = consume;
	walk->freed = 0;
	walk->slot = 0;
	walk->run_size = FIRST_RUN;
	/* From 17 on the caller's context may be one that cannot make it larger. */
	walk->run = (const OrderTotal **) MemoryContextAlloc(table->context,
														 walk->run_size * sizeof(OrderTotal *));
	walk->wrapped = NULL;
	walk->nwrapped = 0;
	walk->nrun = walk->next = 0;

	if (table->numbered)
		return;

	/* What belongs to the last slots comes last, also where it lies in the first. */
	read_run(walk);
	while (walk->nrun > walk->nwrapped &&
		   first_slot(table, walk->run[walk->nrun - walk->nwrapped - 1]->hash) >= walk->slot)
		walk->nwrapped++;
	if (walk->nwrapped > 0 && walk->slot < table->nslots)
	{
		walk->nrun -= walk->nwrapped;
		walk->wrapped = (OrderTotal *) MemoryContextAllocHuge(table->context,
															  walk->nwrapped * sizeof(OrderTotal));
		for (int64 i = 0; i < walk->nwrapped; i++)
			walk->wrapped[i] = *walk->run[walk->nrun + i];
	}
	else
		walk->nwrapped = 0;
}

const OrderTotal *
order_table_next(OrderTableWalk *walk)
{
	if (walk->table->numbered)
		return next_number(walk);
	if (walk->next == walk->nrun)
	{
		read_run(walk);
		if (walk->nrun == 0)
			return NULL;
	}
	return walk->run[walk->next++];
}

void
order_table_walk_end(OrderTableWalk *walk)
{
	pfree(walk->run);
	if (walk->wrapped != NULL)
		pfree(walk->wrapped);
}
