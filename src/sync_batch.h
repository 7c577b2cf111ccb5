/*
 * sync_batch.h
 *		What the steps of a sync share: orders on their way from what was
 *		recorded to what is to be.
 */
#ifndef RETENTION_SYNC_BATCH_H
#define RETENTION_SYNC_BATCH_H

#include "care.h"
#include "customer_stats.h"
#include "ledger.h"
#include "order_index.h"
#include "sync.h"

/* An order on its way from what was recorded to what is to be. */
typedef struct SyncItem
{
	char	   *order_id;
	FactsResult facts;
	bool		had_error;
	bool		held;			/* nobody else can record it until this transaction ends */
	Purchase   *before;			/* as it was recorded; NULL: it was not */
	Purchase   *after;			/* as it is to be; NULL: not at all */
	Purchase   *recorded;		/* as it stands in the table by now */
} SyncItem;

typedef struct SyncBatch
{
	SyncSource *source;
	bool		owners_only;	/* read just to know whose the orders are */
	const CustomerKeys *locked; /* customers locked before it was read; or NULL */
	TimestampTz now;
	TimestampTz first_seen_at;	/* of states undated in an order not recorded */
	TimestampTz messages_since; /* what happened before calls for no message */
	uint64		completions;	/* transactions ended when the facts were read */
	SyncItem   *items;
	int			nitems;
	int			capacity;
	OrderIndex *index;			/* of the items; NULL until asked for */
	CustomerSet *customers;
	Ledger		ledger;
	Care		care;
} SyncBatch;

/* Orders done by one round of statements. */
#define SYNC_BATCH 10000

/* sync.c */
extern void sync_batch_init(SyncBatch *batch, SyncSource *source, char **order_ids, int norders);
extern void sync_read_batch(SyncBatch *batch);
extern int	sync_item_owners(const SyncItem *item, CustomerKey owners[2]);
extern SyncItem *sync_add_item(SyncBatch *batch, char *order_id);
extern bool sync_has_item(SyncBatch *batch, char *order_id);
extern Customer *sync_owner(SyncBatch *batch, const Purchase *purchase);
extern void sync_write_purchases(SyncBatch *batch, bool refunds_only);

/* sync_ahead.c */
extern CustomerKeys *sync_lock_ahead(SyncSource *source, char **order_ids, int norders);

/* purchase_facts.c */
extern bool facts_call_for_no_record(const FactsResult *result);
extern Purchase *sync_purchase_from_facts(SyncBatch *batch, SyncItem *item);
extern Purchase *sync_decide_purchase(SyncBatch *batch, SyncItem *item, SyncCounts *counts);
extern TimestampTz sync_before_attachment(const SyncSource *source);
extern TimestampTz sync_days_after(TimestampTz at, int days);
extern TimestampTz sync_completion_time(const SyncSource *source, const Purchase *purchase);

/* refund_orders.c */
extern void sync_settle_refund_orders(SyncBatch *batch);

/* posting.c */
extern void sync_post_batch(SyncBatch *batch);

#endif							/* RETENTION_SYNC_BATCH_H */
