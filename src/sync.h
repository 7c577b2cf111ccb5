/*
 * sync.h
 *		The one path from an order's present facts to all that is recorded.
 */
#ifndef RETENTION_SYNC_H
#define RETENTION_SYNC_H

#include "postgres.h"

#include "purchase.h"

typedef enum FactsStatus
{
	FACTS_ABSENT,				/* the shop has no such order */
	FACTS_FOUND,
	FACTS_FAILED				/* the shop's SQL failed, or what it says is unusable */
} FactsStatus;

/* What reading one order's facts gave. */
typedef struct FactsResult
{
	FactsStatus status;
	OrderFacts *facts;
	char		sqlstate[6];
	char	   *message;
} FactsResult;

/*
 * The source as sync needs to know it.  read_facts fills one result for each
 * order named, from what is committed (or done by this transaction) when it is
 * called; with owners_only, just whose they are, which orders they refund and
 * when they were paid.
 */
typedef struct SyncSource
{
	int32		source_id;
	char	   *name;
	int32		shop_id;		/* days are counted in this shop's time zone */
	bool		keeps_deleted;
	TimestampTz attached_at;
	TimestampTz points_from;
	bool		maps_completed;
	bool		maps_refund_of;
	void		(*read_facts) (struct SyncSource *source, char **order_ids, int norders,
							   bool owners_only, FactsResult *results);
} SyncSource;

typedef struct SyncCounts
{
	bool		baseline;		/* given: orders not recorded yet were there
								 * before the source was attached */
	int64		synced;
	int64		without_customer;
	int64		failed;
} SyncCounts;

extern void sync_orders(SyncSource *source, char **order_ids, int norders, SyncCounts *counts);

/* Days after payment that stand for completion where a shop has no such state. */
#define DAYS_TO_COMPLETION 7

#endif							/* RETENTION_SYNC_H */
