/*
 * customer_stats.h
 *		What is kept for each customer: totals, purchase history, counters of
 *		points.  The row is also the lock that serialises a customer.
 */
#ifndef RETENTION_CUSTOMER_STATS_H
#define RETENTION_CUSTOMER_STATS_H

#include "postgres.h"

#include "access/htup.h"
#include "datatype/timestamp.h"
#include "utils/numeric.h"

#include "purchase_history.h"

typedef struct CustomerKey
{
	int32		shop_id;
	char	   *customer_id;
} CustomerKey;

/* A growing list of them, with what it needs in a context of its own. */
typedef struct CustomerKeys
{
	MemoryContext context;
	CustomerKey *keys;
	int			nkeys;
	int			capacity;
} CustomerKeys;

/* A customer whose row is locked, as read and then changed in memory. */
typedef struct Customer
{
	CustomerKey key;
	TimestampTz first_purchase_at;	/* NO_TIME before any */
	TimestampTz last_purchase_at;
	int64		purchases;
	int64		unpaid_orders;
	int64		unlinked_refunds;
	Numeric		spent;
	int64		points_posted;
	int64		points_debt;
	int64		points_held;
	int64		last_entry_no;
	TimestampTz points_as_of;	/* the latest moment its entries count at */
	TimestampTz points_due_at;	/* nothing lapses or times out before; NO_TIME: ever */
	char	   *tier;			/* NULL: none */
	TimestampTz tier_since;
	TimestampTz tier_below_since;	/* below the tier since then; NO_TIME: is not */
	TimestampTz tier_review_at; /* no change by time alone before; NO_TIME: ever */

	/* private to customer_stats.c and customer_history.c */
	HeapTuple	row;			/* as it was locked, when it was alone; or NULL */
	TimestampTz history_from;
	PurchaseHistory *history;
	HistoryBuilder *builder;
	int64		unpaid_orders_read;
	int64		unlinked_refunds_read;
	bool		history_changed;
	bool		changed;
} Customer;

/* Customers locked together, sorted by key. */
typedef struct CustomerSet
{
	Customer   *customers;
	int			ncustomers;
} CustomerSet;

extern int	customer_key_compare(const CustomerKey *a, const CustomerKey *b);
extern int	customer_keys_sort(CustomerKey *keys, int nkeys);

extern void customer_key_copy(CustomerKey *copy, const CustomerKey *key, MemoryContext context);
extern CustomerKeys *customer_keys_create(MemoryContext context);
extern void customer_keys_add(CustomerKeys *keys, const CustomerKey *key);
extern bool customer_keys_have(const CustomerKeys *keys, const CustomerKey *key);	/* once sorted */

extern CustomerSet *customers_lock_known(CustomerKey *key);
extern void customers_ensure(CustomerKey *keys, int nkeys);
extern CustomerSet *customers_lock(CustomerKey *keys, int nkeys);
extern CustomerSet *customers_lock_all_known(CustomerKey *keys, int nkeys);
extern void customers_lock_ahead(CustomerKeys *keys);
extern Customer *customer_find(CustomerSet *set, int32 shop_id, const char *customer_id);
extern void customers_write(CustomerSet *set);

extern void customer_key_as_args(const Customer *customer, Datum *args);
extern void customer_touch(Customer *customer);
extern bool customer_changed(const Customer *customer);
extern void customer_add_purchase(Customer *customer, TimestampTz at, Numeric value);
extern void customer_remove_purchase(Customer *customer, TimestampTz at, Numeric value);
extern TimestampTz customer_first_purchase_from(Customer *customer, TimestampTz from);
extern void customer_bought_before(Customer *customer, TimestampTz from, TimestampTz before,
								   int64 *purchases, Numeric *spent);

/* The history to store with the row; writes what moves to chunks. */
extern PurchaseHistory *customer_finish_history(Customer *customer);

#endif							/* RETENTION_CUSTOMER_STATS_H */
