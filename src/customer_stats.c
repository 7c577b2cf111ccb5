/*
 * customer_stats.c
 *		What is kept for each customer, and the lock that serialises them.
 */
#include "customer_stats.h"

#include "own_query.h"
#include "own_table.h"
#include "retention.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

static const char *const stats_columns[] = {
	"shop_id", "customer_id", "first_purchase_at", "last_purchase_at",
	"purchases", "unpaid_orders", "unlinked_refunds", "spent",
	"points_posted", "points_debt", "points_held", "last_entry_no",
	"points_as_of", "points_due_at",
	"tier", "tier_since", "tier_below_since", "tier_review_at",
	"history_from", "history"
};

#define N_STATS_COLUMNS lengthof(stats_columns)

static OwnTable stats_table = {{.table = "customer_stats"}, 2, N_STATS_COLUMNS, stats_columns};

#define STATS_OF_CUSTOMER \
	"s.shop_id, s.customer_id, s.first_purchase_at, s.last_purchase_at," \
	" s.purchases, s.unpaid_orders, s.unlinked_refunds, s.spent," \
	" s.points_posted, s.points_debt, s.points_held, s.last_entry_no," \
	" s.points_as_of, s.points_due_at," \
	" s.tier, s.tier_since, s.tier_below_since, s.tier_review_at," \
	" s.history_from, s.history"

static OwnQuery lock_one = {
	"SELECT " STATS_OF_CUSTOMER
	" FROM retention.customer_stats s"
	" WHERE s.shop_id = $1 AND s.customer_id = $2"
	" FOR NO KEY UPDATE",
	2, {"int4", "text"}
};

static OwnQuery lock_many = {
	"SELECT " STATS_OF_CUSTOMER
	" FROM unnest($1, $2) AS k (shop_id, customer_id)"
	" JOIN retention.customer_stats s"
	" ON s.shop_id = k.shop_id AND s.customer_id = k.customer_id"
	" ORDER BY s.shop_id, s.customer_id"
	" FOR NO KEY UPDATE OF s",
	2, {"int4[]", "text[]"}
};

static OwnQuery lock_unread = {
	"SELECT FROM unnest($1, $2) AS k (shop_id, customer_id)"
	" JOIN retention.customer_stats s"
	" ON s.shop_id = k.shop_id AND s.customer_id = k.customer_id"
	" ORDER BY s.shop_id, s.customer_id"
	" FOR NO KEY UPDATE OF s",
	2, {"int4[]", "text[]"}
};

static OwnQuery find_missing = {
	"SELECT k.shop_id, k.customer_id"
	" FROM unnest($1, $2) WITH ORDINALITY AS k (shop_id, customer_id, position)"
	" WHERE NOT EXISTS (SELECT FROM retention.customer_stats s"
	" WHERE s.shop_id = k.shop_id AND s.customer_id = k.customer_id)"
	" ORDER BY k.position",
	2, {"int4[]", "text[]"}
};

static OwnQuery insert_one = {
	"WITH customer AS ("
	"INSERT INTO retention.customer (shop_id, customer_id) VALUES ($1, $2) ON CONFLICT DO NOTHING)"
	" INSERT INTO retention.customer_stats (shop_id, customer_id) VALUES ($1, $2)"
	" ON CONFLICT DO NOTHING",
	2, {"int4", "text"}
};

static OwnQuery insert_many = {
	"WITH customer AS ("
	"INSERT INTO retention.customer (shop_id, customer_id)"
	" SELECT k.shop_id, k.customer_id"
	" FROM unnest($1, $2) AS k (shop_id, customer_id)"
	" ON CONFLICT DO NOTHING)"
	" INSERT INTO retention.customer_stats (shop_id, customer_id)"
	" SELECT k.shop_id, k.customer_id"
	" FROM unnest($1, $2) AS k (shop_id, customer_id)"
	" ON CONFLICT DO NOTHING",
	2, {"int4[]", "text[]"}
};

static OwnQuery update_stats = {
	"UPDATE retention.customer_stats s"
	" SET first_purchase_at = u.first_purchase_at,"
	" last_purchase_at = u.last_purchase_at,"
	" purchases = u.purchases,"
	" unpaid_orders = u.unpaid_orders,"
	" unlinked_refunds = u.unlinked_refunds,"
	" spent = u.spent,"
	" points_posted = u.points_posted,"
	" points_debt = u.points_debt,"
	" points_held = u.points_held,"
	" last_entry_no = u.last_entry_no,"
	" points_as_of = u.points_as_of,"
	" points_due_at = u.points_due_at,"
	" tier = u.tier,"
	" tier_since = u.tier_since,"
	" tier_below_since = u.tier_below_since,"
	" tier_review_at = u.tier_review_at,"
	" history_from = u.history_from,"
	" history = u.history"
	" FROM unnest($1) AS u"
	" WHERE s.shop_id = u.shop_id AND s.customer_id = u.customer_id",
	1, {"retention.customer_stats[]"}
};

int
customer_key_compare(const CustomerKey *a, const CustomerKey *b)
{
	if (a->shop_id != b->shop_id)
		return a->shop_id < b->shop_id ? -1 : 1;
	return strcmp(a->customer_id, b->customer_id);
}

static int
key_compare(const void *a, const void *b)
{
	return customer_key_compare((const CustomerKey *) a, (const CustomerKey *) b);
}

/*
 * Sort keys into the order in which customers are locked, and drop repeats.
 */
int
customer_keys_sort(CustomerKey *keys, int nkeys)
{
	int			n = 0;

	if (nkeys > 1)
		qsort(keys, nkeys, sizeof(CustomerKey), key_compare);
	for (int i = 0; i < nkeys; i++)
	{
		if (n == 0 || customer_key_compare(&keys[n - 1], &keys[i]) != 0)
			keys[n++] = keys[i];
	}
	return n;
}

void
customer_key_copy(CustomerKey *copy, const CustomerKey *key, MemoryContext context)
{
	copy->shop_id = key->shop_id;
	copy->customer_id = MemoryContextStrdup(context, key->customer_id);
}

CustomerKeys *
customer_keys_create(MemoryContext context)
{
	CustomerKeys *keys = (CustomerKeys *) MemoryContextAlloc(context, sizeof(CustomerKeys));

	keys->context = context;
	keys->nkeys = 0;
	keys->capacity = 64;
	keys->keys = (CustomerKey *) MemoryContextAlloc(context, keys->capacity * sizeof(CustomerKey));
	return keys;
}

void
customer_keys_add(CustomerKeys *keys, const CustomerKey *key)
{
	if (keys->nkeys == keys->capacity)
	{
		keys->capacity *= 2;
		keys->keys = (CustomerKey *) repalloc_huge(keys->keys, keys->capacity * sizeof(CustomerKey));
	}
	customer_key_copy(&keys->keys[keys->nkeys++], key, keys->context);
}

bool
customer_keys_have(const CustomerKeys *keys, const CustomerKey *key)
{
	return bsearch(key, keys->keys, keys->nkeys, sizeof(CustomerKey), key_compare) != NULL;
}

static void
keys_as_arrays(const CustomerKey *keys, int nkeys, Datum *args)
{
	Datum	   *shops = (Datum *) palloc(Max(nkeys, 1) * sizeof(Datum));
	char	  **customers = (char **) palloc(Max(nkeys, 1) * sizeof(char *));

	for (int i = 0; i < nkeys; i++)
	{
		shops[i] = Int32GetDatum(keys[i].shop_id);
		customers[i] = keys[i].customer_id;
	}
	args[0] = PointerGetDatum(construct_array(shops, nkeys, INT4OID, 4, true, TYPALIGN_INT));
	args[1] = own_text_array(customers, nkeys);
}

void
customer_key_as_args(const Customer *customer, Datum *args)
{
	args[0] = Int32GetDatum(customer->key.shop_id);
	args[1] = CStringGetTextDatum(customer->key.customer_id);
}

static int64
int64_of(Datum value, bool isnull)
{
	return isnull ? 0 : DatumGetInt64(value);
}

static TimestampTz
time_of(Datum value, bool isnull)
{
	return isnull ? NO_TIME : DatumGetTimestampTz(value);
}

/* From the columns of customer_stats, in their order. */
static void
customer_read(Customer *customer, const Datum *v, const bool *isnull)
{
	customer->key.shop_id = DatumGetInt32(v[0]);
	customer->key.customer_id = TextDatumGetCString(v[1]);
	customer->first_purchase_at = time_of(v[2], isnull[2]);
	customer->last_purchase_at = time_of(v[3], isnull[3]);
	customer->purchases = int64_of(v[4], isnull[4]);
	customer->unpaid_orders = int64_of(v[5], isnull[5]);
	customer->unlinked_refunds = int64_of(v[6], isnull[6]);
	customer->spent = isnull[7] ? NULL : DatumGetNumericCopy(v[7]);
	customer->points_posted = int64_of(v[8], isnull[8]);
	customer->points_debt = int64_of(v[9], isnull[9]);
	customer->points_held = int64_of(v[10], isnull[10]);
	customer->last_entry_no = int64_of(v[11], isnull[11]);
	customer->points_as_of = time_of(v[12], isnull[12]);
	customer->points_due_at = time_of(v[13], isnull[13]);
	customer->tier = isnull[14] ? NULL : TextDatumGetCString(v[14]);
	customer->tier_since = time_of(v[15], isnull[15]);
	customer->tier_below_since = time_of(v[16], isnull[16]);
	customer->tier_review_at = time_of(v[17], isnull[17]);
	customer->history_from = time_of(v[18], isnull[18]);
	customer->history = isnull[19] ? NULL : (PurchaseHistory *) PG_DETOAST_DATUM_COPY(v[19]);
	customer->builder = NULL;
	customer->history_changed = false;
	customer->changed = false;
	customer->unpaid_orders_read = customer->unpaid_orders;
	customer->unlinked_refunds_read = customer->unlinked_refunds;
	customer->row = NULL;
}

/*
 * Make rows for customers not seen before; keys must be sorted and without
 * repeats.
 */
void
customers_ensure(CustomerKey *keys, int nkeys)
{
	CustomerKey *missing;
	uint64		nmissing;
	Datum		args[2];

	keys_as_arrays(keys, nkeys, args);
	nmissing = own_execute(&find_missing, args, NULL);
	if (nmissing == 0)
		return;

	missing = (CustomerKey *) palloc(nmissing * sizeof(CustomerKey));
	for (uint64 i = 0; i < nmissing; i++)
	{
		missing[i].shop_id = (int32) own_int64(SPI_tuptable->vals[i], 1);
		missing[i].customer_id = own_text(SPI_tuptable->vals[i], 2);
	}
	keys_as_arrays(missing, nmissing, args);
	own_execute(&insert_many, args, NULL);
}

static uint64
run_for_key(OwnQuery *query, CustomerKey *key)
{
	Datum		args[2];

	args[0] = Int32GetDatum(key->shop_id);
	args[1] = CStringGetTextDatum(key->customer_id);
	return own_execute(query, args, NULL);
}

static CustomerSet *
read_locked(int nkeys)
{
	CustomerSet *set = (CustomerSet *) palloc0(sizeof(CustomerSet));

	set->customers = (Customer *) palloc(Max(nkeys, 1) * sizeof(Customer));
	set->ncustomers = nkeys;
	for (int i = 0; i < nkeys; i++)
	{
		Datum		values[N_STATS_COLUMNS];
		bool		isnull[N_STATS_COLUMNS];

		heap_deform_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, values, isnull);
		customer_read(&set->customers[i], values, isnull);
	}
	return set;
}

static CustomerSet *
one_locked(HeapTuple row, const Datum *values, const bool *isnull)
{
	CustomerSet *set = (CustomerSet *) palloc0(sizeof(CustomerSet));

	set->customers = (Customer *) palloc(sizeof(Customer));
	set->ncustomers = 1;
	customer_read(&set->customers[0], values, isnull);
	set->customers[0].row = row;
	return set;
}

/*
 * Lock a customer who has a row; NULL when there is none.
 */
CustomerSet *
customers_lock_known(CustomerKey *key)
{
	HeapTuple	row;
	Datum		values[N_STATS_COLUMNS];
	bool		isnull[N_STATS_COLUMNS];
	Datum		key_values[2];

	key_values[0] = Int32GetDatum(key->shop_id);
	key_values[1] = CStringGetTextDatum(key->customer_id);
	if (own_table_lock(&stats_table, key_values, &row, values, isnull))
		return row == NULL ? NULL : one_locked(row, values, isnull);
	return run_for_key(&lock_one, key) == 0 ? NULL : read_locked(1);
}

/*
 * Make the row of a customer not seen before; NULL when another session was
 * quicker.
 */
static CustomerSet *
insert_unknown(CustomerKey *key)
{
	return run_for_key(&insert_one, key) == 0 ? NULL : customers_lock_known(key);
}

static void
refuse_removed(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("a customer was removed by another transaction"),
			 errhint("Try the transaction again.")));
}

/*
 * Lock customers who have rows, in the order of their keys, and read them.
 */
CustomerSet *
customers_lock_all_known(CustomerKey *keys, int nkeys)
{
	Datum		args[2];
	uint64		found;

	if (nkeys == 0)
		return read_locked(0);

	keys_as_arrays(keys, nkeys, args);
	found = own_execute(&lock_many, args, NULL);
	if (found != (uint64) nkeys)
		refuse_removed();
	return read_locked(nkeys);
}

/*
 * Lock customers in the order of their keys and read them, making rows for
 * those not seen before.  keys must be sorted and without repeats.
 *
 * New rows are inserted before any row is locked: a session that waits for
 * another's insert then holds only inserts of lower keys, and one that waits
 * for a lock waits in key order, so no two sessions wait for each other.
 */
CustomerSet *
customers_lock(CustomerKey *keys, int nkeys)
{
	if (nkeys == 1)
	{
		CustomerSet *set = customers_lock_known(&keys[0]);

		if (set == NULL)
			set = insert_unknown(&keys[0]);
		if (set != NULL)
			return set;
	}
	if (nkeys > 0)
		customers_ensure(keys, nkeys);
	return customers_lock_all_known(keys, nkeys);
}

/* Customers done by one statement that keeps nothing of them. */
#define LOCKED_AT_ONCE 10000

static void
lock_some_unread(CustomerKey *keys, int nkeys)
{
	Datum		args[2];

	keys_as_arrays(keys, nkeys, args);
	if (own_execute(&lock_unread, args, NULL) != (uint64) nkeys)
		refuse_removed();
}

static void
for_some_keys(CustomerKeys *keys, void (*work) (CustomerKey *keys, int nkeys))
{
	for (int done = 0; done < keys->nkeys; done += LOCKED_AT_ONCE)
	{
		CHECK_FOR_INTERRUPTS();
		SPI_connect();
		work(keys->keys + done, Min(LOCKED_AT_ONCE, keys->nkeys - done));
		SPI_finish();
	}
}

/*
 * The same for any number of customers, who will be read later.
 */
void
customers_lock_ahead(CustomerKeys *keys)
{
	for_some_keys(keys, customers_ensure);
	for_some_keys(keys, lock_some_unread);
}

Customer *
customer_find(CustomerSet *set, int32 shop_id, const char *customer_id)
{
	int			low = 0;
	int			high = set->ncustomers - 1;
	CustomerKey key;

	key.shop_id = shop_id;
	key.customer_id = unconstify(char *, customer_id);

	while (low <= high)
	{
		int			middle = low + (high - low) / 2;
		int			order = customer_key_compare(&key, &set->customers[middle].key);

		if (order == 0)
			return &set->customers[middle];
		if (order < 0)
			high = middle - 1;
		else
			low = middle + 1;
	}
	return NULL;
}

/* Something of the customer was changed in memory and is to be written. */
void
customer_touch(Customer *customer)
{
	customer->changed = true;
}

bool
customer_changed(const Customer *customer)
{
	return customer->changed;
}

static void
customer_to_row(const Customer *customer, Datum *values, bool *nulls)
{
	memset(nulls, false, N_STATS_COLUMNS * sizeof(bool));
	customer_key_as_args(customer, values);
	own_set_time(&values[2], &nulls[2], customer->first_purchase_at);
	own_set_time(&values[3], &nulls[3], customer->last_purchase_at);
	values[4] = Int64GetDatum(customer->purchases);
	values[5] = Int64GetDatum(customer->unpaid_orders);
	values[6] = Int64GetDatum(customer->unlinked_refunds);
	values[7] = NumericGetDatum(customer->spent);
	values[8] = Int64GetDatum(customer->points_posted);
	values[9] = Int64GetDatum(customer->points_debt);
	values[10] = Int64GetDatum(customer->points_held);
	values[11] = Int64GetDatum(customer->last_entry_no);
	own_set_time(&values[12], &nulls[12], customer->points_as_of);
	own_set_time(&values[13], &nulls[13], customer->points_due_at);
	nulls[14] = customer->tier == NULL;
	values[14] = customer->tier ? CStringGetTextDatum(customer->tier) : (Datum) 0;
	own_set_time(&values[15], &nulls[15], customer->tier_since);
	own_set_time(&values[16], &nulls[16], customer->tier_below_since);
	own_set_time(&values[17], &nulls[17], customer->tier_review_at);
	own_set_time(&values[18], &nulls[18], customer->history_from);
	values[19] = PointerGetDatum(customer->history);
	nulls[19] = customer->history == NULL;
}

/* Whether there is something to write of a customer; a count that went down and up again is as it was. */
static bool
is_to_write(const Customer *customer)
{
	return customer->changed ||
		customer->unpaid_orders != customer->unpaid_orders_read ||
		customer->unlinked_refunds != customer->unlinked_refunds_read;
}

void
customers_write(CustomerSet *set)
{
	OwnRows		rows;
	Datum		values[N_STATS_COLUMNS];
	bool		nulls[N_STATS_COLUMNS];

	own_rows_init(&rows, "customer_stats");
	for (int i = 0; i < set->ncustomers; i++)
	{
		Customer   *customer = &set->customers[i];

		if (!is_to_write(customer))
			continue;
		if (customer->history_changed)
			customer->history = customer_finish_history(customer);

		customer_to_row(customer, values, nulls);
		if (customer->row == NULL ||
			!own_table_update(&stats_table, customer->row, values, nulls))
			own_rows_add(&rows, N_STATS_COLUMNS, stats_columns, values, nulls);

		customer->row = NULL;
		customer->changed = false;
		customer->history_changed = false;
	}
	own_rows_execute(&rows, &update_stats);
}
