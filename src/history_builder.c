/*
 * history_builder.c
 *		Building a purchase history: a growing set of purchases in memory.
 */
#include "history_encoding.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define INITIAL_CAPACITY	4

struct HistoryBuilder
{
	MemoryContext context;
	HistoryEntry *entries;
	int64		count;
	int64		capacity;
	int			scale;			/* of all entries; finer than needed only
								 * after a removal */
	bool		sorted;
};

#define ST_SORT sort_entries
#define ST_ELEMENT_TYPE HistoryEntry
#define ST_COMPARE(a, b) history_entry_compare(a, b)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

HistoryBuilder *
history_builder_create(MemoryContext context)
{
	HistoryBuilder *b = (HistoryBuilder *) MemoryContextAlloc(context, sizeof(HistoryBuilder));

	b->context = context;
	b->entries = NULL;
	b->count = 0;
	b->capacity = 0;
	b->scale = 0;
	b->sorted = true;
	return b;
}

static void
builder_reserve(HistoryBuilder *b, int64 more)
{
	int64		needed = b->count + more;

	if (needed <= b->capacity)
		return;

	b->capacity = Max(Max(needed, b->capacity * 2), INITIAL_CAPACITY);
	if (b->entries == NULL)
		b->entries = (HistoryEntry *)
			MemoryContextAllocHuge(b->context, b->capacity * sizeof(HistoryEntry));
	else
		b->entries = (HistoryEntry *)
			repalloc_huge(b->entries, b->capacity * sizeof(HistoryEntry));
}

static void
builder_sort(HistoryBuilder *b)
{
	if (!b->sorted)
	{
		sort_entries(b->entries, b->count);
		b->sorted = true;
	}
}

/*
 * Bring the builder to a finer scale.
 */
static void
builder_refine(HistoryBuilder *b, int scale)
{
	int64		factor = history_power_of_ten[scale - b->scale];

	for (int64 i = 0; i < b->count; i++)
	{
		if (b->entries[i].units > PG_INT64_MAX / factor)
			history_refuse_scale(b->entries[i].units, b->scale, scale);
	}
	for (int64 i = 0; i < b->count; i++)
		b->entries[i].units *= factor;
	b->scale = scale;
}

/*
 * Make the builder ready for amounts of up to this size at this scale, and
 * return the factor that brings them to the builder's.
 */
static int64
builder_prepare(HistoryBuilder *b, int64 largest_units, int scale)
{
	if (b->count == 0)
		b->scale = scale;
	if (scale > b->scale)
		builder_refine(b, scale);
	if (largest_units > PG_INT64_MAX / history_power_of_ten[b->scale - scale])
		history_refuse_scale(largest_units, scale, b->scale);
	return history_power_of_ten[b->scale - scale];
}

/*
 * Add a purchase already at the builder's scale, room for it being reserved.
 */
static inline void
builder_push(HistoryBuilder *b, TimestampTz at, int64 units)
{
	HistoryEntry *entry = &b->entries[b->count];

	entry->at = at;
	entry->units = units;
	if (b->sorted && b->count > 0 && history_entry_compare(entry - 1, entry) > 0)
		b->sorted = false;
	b->count++;
}

void
history_builder_load(HistoryBuilder *b, const PurchaseHistory *h)
{
	HistoryReader reader;
	TimestampTz at;
	int64		units;
	int64		factor = 1;

	reader = history_read(h);
	if (reader.count == 0)
		return;

	/* What is loaded is mostly loaded to add one more. */
	builder_reserve(b, reader.count + 1);

	if (b->count == 0)
		b->scale = reader.scale;
	else if (b->scale != reader.scale)
	{
		HistoryReader scan = reader;
		int64		largest_units = 0;

		while (history_reader_next(&scan, &at, &units))
			largest_units = Max(largest_units, units);
		factor = builder_prepare(b, largest_units, reader.scale);
	}

	while (history_reader_next(&reader, &at, &units))
		builder_push(b, at, units * factor);
}

void
history_builder_merge(HistoryBuilder *b, const HistoryBuilder *other)
{
	int64		largest_units = 0;
	int64		factor;

	if (other->count == 0)
		return;

	for (int64 i = 0; i < other->count; i++)
		largest_units = Max(largest_units, other->entries[i].units);
	factor = builder_prepare(b, largest_units, other->scale);

	builder_reserve(b, other->count);
	for (int64 i = 0; i < other->count; i++)
		builder_push(b, other->entries[i].at, other->entries[i].units * factor);
}

void
history_builder_add(HistoryBuilder *b, TimestampTz at, Numeric value)
{
	int64		units;
	int			scale;
	int64		factor;
	AmountCheck check;

	if (TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("a purchase cannot have an infinite time"),
				 errhint("Use NULL for an order that is not paid.")));
	check = history_amount_to_units(value, &units, &scale);
	if (unlikely(check != AMOUNT_OK))
		history_refuse_amount(check, value);

	builder_reserve(b, 1);
	factor = builder_prepare(b, units, scale);
	builder_push(b, at, units * factor);
}

bool
history_builder_remove(HistoryBuilder *b, TimestampTz at, Numeric value)
{
	HistoryEntry wanted;
	int			scale;
	int64		low = 0;
	int64		high = b->count;

	wanted.at = at;
	if (history_amount_to_units(value, &wanted.units, &scale) != AMOUNT_OK ||
		scale > b->scale ||
		wanted.units > PG_INT64_MAX / history_power_of_ten[b->scale - scale])
		return false;
	wanted.units *= history_power_of_ten[b->scale - scale];

	builder_sort(b);
	while (low < high)
	{
		int64		middle = low + (high - low) / 2;

		if (history_entry_compare(&b->entries[middle], &wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == b->count || history_entry_compare(&b->entries[low], &wanted) != 0)
		return false;

	memmove(&b->entries[low], &b->entries[low + 1],
			(b->count - low - 1) * sizeof(HistoryEntry));
	b->count--;
	return true;
}

int64
history_builder_count(const HistoryBuilder *b)
{
	return b->count;
}

TimestampTz
history_builder_time(HistoryBuilder *b, int64 i)
{
	Assert(i >= 0 && i < b->count);
	builder_sort(b);
	return b->entries[i].at;
}

PurchaseHistory *
history_builder_cut(HistoryBuilder *b, int64 n)
{
	PurchaseHistory *result;

	Assert(n >= 0 && n <= b->count);
	if (n == 0)
		return NULL;

	builder_sort(b);
	result = history_encode(b->entries, n, b->scale);
	memmove(b->entries, b->entries + n, (b->count - n) * sizeof(HistoryEntry));
	b->count -= n;
	return result;
}

PurchaseHistory *
history_builder_finish(HistoryBuilder *b)
{
	if (b->count == 0)
		return NULL;

	builder_sort(b);
	return history_encode(b->entries, b->count, b->scale);
}
