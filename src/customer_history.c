/*
 * customer_history.c
 *		A customer's purchases: the latest beside the totals, older ones in
 *		chunks.
 *
 * customer_stats holds the latest purchases of a customer, at most about 1 kB;
 * older ones move to chunks in customer_history, each covering the time from
 * its starts_at to the next one's.  So one more order costs the same whether
 * the customer has ten or a million.
 */
#include "customer_stats.h"

#include "history_reader.h"
#include "own_query.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* A longer history in customer_stats gives its older part away ... */
#define TAIL_MAX_BYTES 1024

/* ... down to about so much ... */
#define TAIL_KEEP_BYTES 512

/* ... in chunks of this many times that, which still fit beside each other. */
#define CHUNK_TAILS 3

/* A chunk that late-coming purchases have swollen to this is split. */
#define CHUNK_MAX_BYTES 1900

static OwnQuery read_chunk_at = {
	"SELECT starts_at, history"
	" FROM retention.customer_history"
	" WHERE shop_id = $1 AND customer_id = $2 AND starts_at <= $3"
	" ORDER BY shop_id DESC, customer_id DESC, starts_at DESC"
	" LIMIT 1",
	3, {"int4", "text", "timestamptz"}
};

static OwnQuery read_first_chunk = {
	"SELECT starts_at, history"
	" FROM retention.customer_history"
	" WHERE shop_id = $1 AND customer_id = $2"
	" ORDER BY shop_id, customer_id, starts_at"
	" LIMIT 1",
	2, {"int4", "text"}
};

static OwnQuery write_chunk = {
	"INSERT INTO retention.customer_history (shop_id, customer_id, starts_at, history)"
	" VALUES ($1, $2, $3, $4)"
	" ON CONFLICT (shop_id, customer_id, starts_at) DO UPDATE SET history = EXCLUDED.history",
	4, {"int4", "text", "timestamptz", "retention.purchase_history"}
};

static OwnQuery delete_chunk = {
	"DELETE FROM retention.customer_history"
	" WHERE shop_id = $1 AND customer_id = $2 AND starts_at = $3",
	3, {"int4", "text", "timestamptz"}
};

static OwnQuery bought_in_chunks = {
	"SELECT coalesce(sum(retention.bought(history, $3, $4)), 0)::bigint,"
	" coalesce(sum(retention.spent_between(history, $3, $4)), 0)"
	" FROM retention.customer_history"
	" WHERE shop_id = $1 AND customer_id = $2 AND starts_at < $4",
	4, {"int4", "text", "timestamptz", "timestamptz"}
};

static HistoryBuilder *
customer_builder(Customer *customer)
{
	if (customer->builder == NULL)
	{
		customer->builder = history_builder_create(CurrentMemoryContext);
		if (customer->history != NULL)
			history_builder_load(customer->builder, customer->history);
	}
	return customer->builder;
}

static TimestampTz
builder_last_time(HistoryBuilder *builder)
{
	return history_builder_time(builder, history_builder_count(builder) - 1);
}

/*
 * How many of the oldest purchases to cut off so that about `wanted` go and
 * no instant is divided: rather more than fewer; 0 when all are of one instant.
 */
static int64
cut_between_instants(HistoryBuilder *builder, int64 wanted)
{
	int64		count = history_builder_count(builder);

	for (int64 n = wanted; n > 0 && n < count; n++)
	{
		if (history_builder_time(builder, n - 1) != history_builder_time(builder, n))
			return n;
	}
	for (int64 n = Min(wanted, count) - 1; n > 0; n--)
	{
		if (history_builder_time(builder, n - 1) != history_builder_time(builder, n))
			return n;
	}
	return 0;
}

/* A chunk starts with the first purchase it may hold; the first of all, ever. */
static void
chunk_write(Customer *customer, TimestampTz starts_at, PurchaseHistory *history)
{
	Datum		args[4];

	customer_key_as_args(customer, args);
	args[2] = TimestampTzGetDatum(starts_at);
	if (history == NULL)
		own_execute(&delete_chunk, args, NULL);
	else
	{
		args[3] = PointerGetDatum(history);
		own_execute(&write_chunk, args, NULL);
	}
}

static HistoryBuilder *
chunk_read_at(Customer *customer, TimestampTz at, TimestampTz *starts_at)
{
	HistoryBuilder *builder = history_builder_create(CurrentMemoryContext);
	Datum		args[3];

	customer_key_as_args(customer, args);
	args[2] = TimestampTzGetDatum(at);
	*starts_at = DT_NOBEGIN;
	if (own_execute(&read_chunk_at, args, NULL) > 0)
	{
		bool		isnull;

		*starts_at = own_time(SPI_tuptable->vals[0], 1);
		history_builder_load(builder,
							 (PurchaseHistory *) DatumGetPointer(own_copy(SPI_tuptable->vals[0], 2, &isnull)));
	}
	return builder;
}

/* Write a changed chunk back, in two when it has grown too large. */
static void
chunk_finish(Customer *customer, TimestampTz starts_at, HistoryBuilder *builder)
{
	PurchaseHistory *whole = history_builder_finish(builder);

	if (whole != NULL && VARSIZE_ANY(whole) > CHUNK_MAX_BYTES)
	{
		int64		n = cut_between_instants(builder, history_builder_count(builder) / 2);

		if (n > 0)
		{
			chunk_write(customer, starts_at, history_builder_cut(builder, n));
			chunk_write(customer, history_builder_time(builder, 0),
						history_builder_finish(builder));
			return;
		}
	}
	chunk_write(customer, starts_at, whole);
}

static bool
is_in_chunks(Customer *customer, TimestampTz at)
{
	return customer->history_from != NO_TIME && at < customer->history_from;
}

void
customer_add_purchase(Customer *customer, TimestampTz at, Numeric value)
{
	customer->purchases++;
	customer->spent = numeric_add_opt_error(customer->spent, value, NULL);
	if (customer->first_purchase_at == NO_TIME || at < customer->first_purchase_at)
		customer->first_purchase_at = at;
	if (customer->last_purchase_at == NO_TIME || at > customer->last_purchase_at)
		customer->last_purchase_at = at;
	customer->changed = true;

	if (is_in_chunks(customer, at))
	{
		TimestampTz starts_at;
		HistoryBuilder *builder = chunk_read_at(customer, at, &starts_at);

		history_builder_add(builder, at, value);
		chunk_finish(customer, starts_at, builder);
	}
	else
	{
		history_builder_add(customer_builder(customer), at, value);
		customer->history_changed = true;
	}
}

/* Take the newest chunk back when the purchases after it are all gone. */
static void
refill_from_chunk(Customer *customer)
{
	while (customer->history_from != NO_TIME &&
		   history_builder_count(customer_builder(customer)) == 0)
	{
		TimestampTz starts_at;

		customer->builder = chunk_read_at(customer, DT_NOEND, &starts_at);
		chunk_write(customer, starts_at, NULL);
		customer->history_from = (starts_at == DT_NOBEGIN) ? NO_TIME : starts_at;
		customer->history_changed = true;
	}
}

void
customer_remove_purchase(Customer *customer, TimestampTz at, Numeric value)
{
	HistoryBuilder *builder;
	bool		found;

	customer->purchases--;
	customer->spent = numeric_sub_opt_error(customer->spent, value, NULL);
	customer->changed = true;

	if (is_in_chunks(customer, at))
	{
		TimestampTz starts_at;

		builder = chunk_read_at(customer, at, &starts_at);
		found = history_builder_remove(builder, at, value);
		if (found)
			chunk_finish(customer, starts_at, builder);
	}
	else
	{
		found = history_builder_remove(customer_builder(customer), at, value);
		customer->history_changed = true;
	}

	if (!found)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("purchase history of customer \"%s\" lacks a purchase of %s at %s",
						customer->key.customer_id,
						DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value))),
						timestamptz_to_str(at))));

	refill_from_chunk(customer);
	builder = customer_builder(customer);

	if (customer->purchases == 0)
	{
		customer->first_purchase_at = NO_TIME;
		customer->last_purchase_at = NO_TIME;
		return;
	}
	customer->last_purchase_at = builder_last_time(builder);
	if (at == customer->first_purchase_at)
	{
		Datum		args[2];

		customer_key_as_args(customer, args);
		if (customer->history_from != NO_TIME &&
			own_execute(&read_first_chunk, args, NULL) > 0)
		{
			bool		isnull;
			HistoryBuilder *first = history_builder_create(CurrentMemoryContext);

			history_builder_load(first,
								 (PurchaseHistory *) DatumGetPointer(own_copy(SPI_tuptable->vals[0], 2, &isnull)));
			customer->first_purchase_at = history_builder_time(first, 0);
		}
		else
			customer->first_purchase_at = history_builder_time(builder, 0);
	}
}

/*
 * Purchases and their value in [from, before): what had been bought when a
 * purchase was paid.  from may be NO_TIME.
 */
void
customer_bought_before(Customer *customer, TimestampTz from, TimestampTz before,
					   int64 *purchases, Numeric *spent)
{
	PurchaseHistory *tail;
	HistoryReader reader;
	TimestampTz at;
	int64		units;
	int64		tail_purchases = 0;
	Numeric		sum;

	/* The usual case: all there is came before, and all counts. */
	if ((customer->purchases == 0 || customer->last_purchase_at < before) &&
		(from == NO_TIME || customer->purchases == 0 || from <= customer->first_purchase_at))
	{
		*purchases = customer->purchases;
		*spent = customer->spent;
		return;
	}

	sum = int64_to_numeric(0);
	tail = history_builder_finish(customer_builder(customer));
	if (tail != NULL)
	{
		reader = history_read(tail);
		while (history_reader_next(&reader, &at, &units))
		{
			if (at >= before)
				break;
			if (from != NO_TIME && at < from)
				continue;
			tail_purchases++;
			sum = numeric_add_opt_error(sum, int64_div_fast_to_numeric(units, reader.scale), NULL);
		}
	}

	if (customer->history_from != NO_TIME &&
		(from == NO_TIME || from < customer->history_from))
	{
		Datum		args[4];
		char		nulls[4] = {' ', ' ', ' ', ' '};

		customer_key_as_args(customer, args);
		args[2] = TimestampTzGetDatum(from);
		args[3] = TimestampTzGetDatum(before);
		if (from == NO_TIME)
			nulls[2] = 'n';
		own_execute(&bought_in_chunks, args, nulls);
		tail_purchases += own_int64(SPI_tuptable->vals[0], 1);
		sum = numeric_add_opt_error(sum, own_numeric(SPI_tuptable->vals[0], 2), NULL);
	}

	*purchases = tail_purchases;
	*spent = sum;
}

/* The first purchase since then that is not in a chunk; NO_TIME: none. */
TimestampTz
customer_first_purchase_from(Customer *customer, TimestampTz from)
{
	PurchaseHistory *tail = history_builder_finish(customer_builder(customer));
	HistoryReader reader;
	TimestampTz at;
	int64		units;

	if (tail == NULL)
		return NO_TIME;
	reader = history_read(tail);
	while (history_reader_next(&reader, &at, &units))
	{
		if (at >= from)
			return at;
	}
	return NO_TIME;
}

/* The history to store, its older part moved to chunks when it is too long. */
PurchaseHistory *
customer_finish_history(Customer *customer)
{
	HistoryBuilder *builder = customer_builder(customer);
	PurchaseHistory *history = history_builder_finish(builder);
	int64		keep;

	if (history == NULL || VARSIZE_ANY(history) <= TAIL_MAX_BYTES)
		return history;

	keep = Max(history_builder_count(builder) * TAIL_KEEP_BYTES / VARSIZE_ANY(history), 1);
	while (history_builder_count(builder) > keep)
	{
		int64		n = Min(history_builder_count(builder) - keep, keep * CHUNK_TAILS);
		TimestampTz starts_at;

		CHECK_FOR_INTERRUPTS();
		n = cut_between_instants(builder, n);
		if (n == 0)
			break;
		starts_at = customer->history_from == NO_TIME ? DT_NOBEGIN : customer->history_from;
		chunk_write(customer, starts_at, history_builder_cut(builder, n));
		customer->history_from = history_builder_time(builder, 0);
	}
	return history_builder_finish(builder);
}
