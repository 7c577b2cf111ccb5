/*
 * packed_orders.c
 *		Customers and what their orders come to, packed in the order of the table
 *		they come from.
 *
 * Two of one order are merged by going through both of them once, from begin to
 * end, where putting one into the other's table would look all over it.
 */
#include "packed_orders.h"

#include "history_encoding.h"

#include "common/int.h"
#include "miscadmin.h"
#include "utils/memutils.h"

static PackedOrders *
packed_orders_create(MemoryContext parent, bool numbered)
{
	MemoryContext context = AllocSetContextCreate(parent, "packed rfm orders", ALLOCSET_START_SMALL_SIZES);
	PackedOrders *packed = (PackedOrders *) MemoryContextAllocZero(context, sizeof(PackedOrders));

	packed->context = context;
	packed->numbered = numbered;
	packed->totals = rfm_totals_create(context);
	packed->customers.context = context;
	return packed;
}

static inline void
packed_orders_add(PackedOrders *packed, const KeyType *key, const OrderTotal *total, int scale)
{
	bool		word = key->kind == KEY_WORD;

	rfm_totals_add(packed->totals, word ? (int64) total->customer : 0, total->last,
				   total->purchases, total->units, scale);
	if (!word)
		key_row_append(&packed->customers, key, total->customer);
}

void
packed_reader_begin(PackedReader *reader, const KeyType *key, bool numbered,
					RfmTotals *totals, const char *customers, Size customers_size)
{
	reader->key = key;
	reader->numbered = numbered;
	reader->totals = totals;
	totals_reader_begin(&reader->blocks, totals);
	reader->block.customers = 0;
	reader->next = 0;
	reader->customers = reader->cursor = customers;
	reader->customers_size = customers_size;
}

void
packed_orders_read(PackedReader *reader, const KeyType *key, const PackedOrders *packed)
{
	packed_reader_begin(reader, key, packed->numbered, packed->totals,
						packed->customers.bytes, packed->customers.used);
}

/*
 * The next block; false at the end.
 */
static bool
read_block(PackedReader *reader)
{
	TotalsBlock *block = &reader->block;
	int64	   *units = reader->columns[TOTALS_UNITS];
	int64		greatest;
	int64		factor;

	if (!totals_reader_next(&reader->blocks, block))
		return false;
	if (block->columns[TOTALS_PURCHASES].least < 1 ||
		block->columns[TOTALS_PURCHASES].greatest > PG_UINT32_MAX ||
		block->columns[TOTALS_UNITS].least < 0 ||
		totals_block_is_wide(block))
		key_refuse_external("rfm_orders", "A total is out of range.");
	factor = totals_block_factor(reader->totals, block);
	if (pg_mul_s64_overflow(block->columns[TOTALS_UNITS].greatest, factor, &greatest))
		order_refuse_sum();
	for (int c = 0; c < N_TOTALS_COLUMNS; c++)
		totals_block_column(block, c, reader->columns[c]);
	if (factor != 1)
	{
		for (int i = 0; i < block->customers; i++)
			units[i] *= factor;
	}
	reader->next = 0;
	return true;
}

bool
packed_reader_next(PackedReader *reader)
{
	int			i = reader->next;

	if (i == reader->block.customers)
	{
		if (!read_block(reader))
			return false;
		i = 0;
	}
	reader->next = i + 1;
	reader->total.customer = (Datum) reader->columns[TOTALS_CUSTOMER][i];
	reader->total.last = reader->columns[TOTALS_LAST][i];
	reader->total.purchases = (uint32) reader->columns[TOTALS_PURCHASES][i];
	reader->total.units = reader->columns[TOTALS_UNITS][i];
	if (reader->cursor != NULL)
		reader->cursor = key_row_next(reader->key, reader->cursor, &reader->total.customer);
	return true;
}

/* One of two states that are merged. */
typedef struct MergeInput
{
	PackedReader *reader;
	int64		factor;			/* of its money */
	bool		more;
	OrderTotal *total;			/* the next one, when there is more, ... */
	uint64		place;			/* ... and its place in the order */
} MergeInput;

static inline void
input_next(MergeInput *input)
{
	input->more = packed_reader_next(input->reader);
	if (!input->more)
		return;
	input->place = input->reader->numbered ? (uint64) input->total->customer :
		order_place(input->reader->key, input->total->customer);
	if (input->factor != 1 &&
		pg_mul_s64_overflow(input->total->units, input->factor, &input->total->units))
		order_refuse_sum();
}

static void
input_begin(MergeInput *input, PackedReader *reader, int scale)
{
	input->reader = reader;
	input->factor = history_power_of_ten[scale - reader->totals->scale];
	input->total = &reader->total;
	input_next(input);
}

/* Customers in one place, who are no words: mostly one. */
typedef struct SamePlace
{
	OrderTotal *totals;
	int			n;
	int			size;
} SamePlace;

/* Take what the input has in that place. */
static void
take_same(SamePlace *same, MergeInput *input, uint64 place)
{
	const KeyType *key = input->reader->key;

	for (; input->more && input->place == place; input_next(input))
	{
		OrderTotal *total = input->total;
		int			i;

		for (i = 0; i < same->n; i++)
		{
			if (key_equal(key, same->totals[i].customer, total->customer))
				break;
		}
		if (i < same->n)
		{
			order_total_add(&same->totals[i], total);
			continue;
		}
		if (same->n == same->size)
		{
			same->size *= 2;
			same->totals = (OrderTotal *) repalloc(same->totals, same->size * sizeof(OrderTotal));
		}
		same->totals[same->n++] = *total;
	}
}

/*
 * Go through them in the order of hashes from here on.
 */
static void
reorder_by_hash(PackedReader *reader)
{
	OrderTable *table = order_table_create(CurrentMemoryContext, reader->key,
										   reader->totals->customers);
	int			scale = reader->totals->scale;

	while (packed_reader_next(reader))
		order_table_add(table, reader->total.customer, reader->total.last,
						reader->total.purchases, reader->total.units);
	packed_orders_read(reader, reader->key,
					   packed_orders_of_table(table, scale, CurrentMemoryContext, true));
	order_table_free(table);
}

PackedOrders *
packed_orders_merge(PackedReader *a_reader, PackedReader *b_reader, MemoryContext context)
{
	bool		numbered = a_reader->numbered && b_reader->numbered;
	PackedOrders *packed = packed_orders_create(context, numbered);
	const KeyType *key = a_reader->key;
	int			scale = Max(a_reader->totals->scale, b_reader->totals->scale);
	MergeInput	a;
	MergeInput	b;
	SamePlace	same = {(OrderTotal *) palloc(4 * sizeof(OrderTotal)), 0, 4};
	MemoryContext scratch;
	MemoryContext old;
	int64		done = 0;

	/* A type's own functions may leave something behind. */
	scratch = AllocSetContextCreate(CurrentMemoryContext, "rfm merge", ALLOCSET_DEFAULT_SIZES);
	if (a_reader->numbered && !numbered)
		reorder_by_hash(a_reader);
	if (b_reader->numbered && !numbered)
		reorder_by_hash(b_reader);
	old = MemoryContextSwitchTo(scratch);
	input_begin(&a, a_reader, scale);
	input_begin(&b, b_reader, scale);
	while (a.more || b.more)
	{
		if (!b.more || (a.more && a.place < b.place))
		{
			packed_orders_add(packed, key, a.total, scale);
			input_next(&a);
		}
		else if (!a.more || b.place < a.place)
		{
			packed_orders_add(packed, key, b.total, scale);
			input_next(&b);
		}
		else if (key->kind == KEY_WORD)
		{
			order_total_add(a.total, b.total);
			packed_orders_add(packed, key, a.total, scale);
			input_next(&a);
			input_next(&b);
		}
		else
		{
			uint64		place = a.place;

			same.n = 0;
			take_same(&same, &a, place);
			take_same(&same, &b, place);
			for (int i = 0; i < same.n; i++)
				packed_orders_add(packed, key, &same.totals[i], scale);
		}
		if ((++done & 1023) == 0)
		{
			CHECK_FOR_INTERRUPTS();
			MemoryContextReset(scratch);
		}
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	pfree(same.totals);
	return packed;
}

PackedOrders *
packed_orders_copy(const PackedReader *reader, MemoryContext context)
{
	PackedOrders *packed = packed_orders_create(context, reader->numbered);

	rfm_totals_append(packed->totals, reader->totals);
	if (reader->customers != NULL)
	{
		key_row_reserve(&packed->customers, reader->customers_size);
		memcpy(packed->customers.bytes, reader->customers, reader->customers_size);
		packed->customers.used = reader->customers_size;
	}
	return packed;
}

PackedOrders *
packed_orders_of_table(OrderTable *table, int scale, MemoryContext context, bool consume)
{
	PackedOrders *packed;
	OrderTableWalk walk;
	const OrderTotal *total;

	order_table_settle(table);
	packed = packed_orders_create(context, table->numbered);
	order_table_walk(&walk, table, consume);
	while ((total = order_table_next(&walk)) != NULL)
		packed_orders_add(packed, &table->key, total, scale);
	order_table_walk_end(&walk);
	return packed;
}

void
packed_orders_free(PackedOrders *packed)
{
	MemoryContextDelete(packed->context);
}
