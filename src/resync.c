/*
 * resync.c
 *		Repair: syncing orders that failed, that were never seen, or whose
 *		changes nobody could trace.
 */
#include "resync.h"

#include "own_query.h"
#include "retention.h"
#include "shop.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(resync);
PG_FUNCTION_INFO_V1(accrue_due);

static OwnQuery mark_truncated = {
	"UPDATE retention.source SET truncated_at = retention.now()"
	" WHERE source_id = $1 AND truncated_at IS NULL",
	1, {"int4"}
};

static OwnQuery clear_marks = {
	"WITH cleared AS ("
	"DELETE FROM retention.sync_error WHERE source_id = $1 AND order_id = '*')"
	" UPDATE retention.source SET truncated_at = NULL"
	" WHERE source_id = $1 AND truncated_at IS NOT NULL",
	1, {"int4"}
};

static OwnQuery recorded_orders = {
	"SELECT order_id FROM retention.purchase WHERE source_id = $1"
	" UNION"
	" SELECT reference FROM retention.feedback WHERE feedback_source_id = $1"
	" UNION"
	" SELECT order_id FROM retention.sync_error WHERE source_id = $1 AND order_id <> '*'",
	1, {"int4"}
};

static OwnQuery failed_orders = {
	"SELECT order_id FROM retention.sync_error WHERE source_id = $1",
	1, {"int4"}
};

static OwnQuery due_orders = {
	"SELECT p.order_id"
	" FROM retention.purchase p"
	" JOIN retention.source s ON s.source_id = p.source_id AND s.detached_at IS NULL"
	" WHERE p.source_id = $1 AND p.accrual_due_at <= retention.now()",
	1, {"int4"}
};

void
resync_mark_truncated(int32 source_id)
{
	OwnContext	saved;
	Datum		arg = Int32GetDatum(source_id);

	own_begin(&saved);
	SPI_connect();
	own_execute(&mark_truncated, &arg, NULL);
	SPI_finish();
	own_end(&saved);
}

/* The orders that one of our queries names, in the caller's context. */
static char **
orders_of(OwnQuery *query, int32 source_id, int *norders)
{
	MemoryContext caller = CurrentMemoryContext;
	OwnContext	saved;
	Datum		arg = Int32GetDatum(source_id);
	char	  **order_ids;

	own_begin(&saved);
	SPI_connect();
	*norders = (int) own_execute(query, &arg, NULL);
	order_ids = (char **) MemoryContextAllocHuge(caller, Max(*norders, 1) * sizeof(char *));
	for (int i = 0; i < *norders; i++)
		order_ids[i] = MemoryContextStrdup(caller, own_text(SPI_tuptable->vals[i], 1));
	SPI_finish();
	own_end(&saved);
	return order_ids;
}

static void
settle(int32 source_id)
{
	OwnContext	saved;
	Datum		arg = Int32GetDatum(source_id);

	own_begin(&saved);
	SPI_connect();
	own_execute(&clear_marks, &arg, NULL);
	SPI_finish();
	own_end(&saved);
}

void
resync_recorded(Source *source, char **more_ids, int nmore, SyncCounts *counts)
{
	int32		source_id = source->sync.source_id;
	int			norders;
	char	  **order_ids = orders_of(&recorded_orders, source_id, &norders);

	/* In one call, so that all customers are locked in one order. */
	if (nmore > 0)
	{
		order_ids = (char **) repalloc_huge(order_ids, (norders + nmore) * sizeof(char *));
		memcpy(order_ids + norders, more_ids, nmore * sizeof(char *));
		norders += nmore;
	}
	source_sync(source, order_ids, norders, counts);
	settle(source_id);
}

typedef struct ListedOrders
{
	MemoryContext context;
	char	  **order_ids;
	int			norders;
} ListedOrders;

/* Every order that the facts have. */
static void
list_facts(Source *source, void *arg)
{
	ListedOrders *listed = (ListedOrders *) arg;

	source_prepare_facts(source, NULL);
	if (SPI_execute(psprintf("SELECT f.%1$s::pg_catalog.text FROM (%2$s\n) AS f"
							 " WHERE f.%1$s IS NOT NULL", source_key_column(source), source->facts),
					false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not list the rows of source \"%s\"", source->sync.name);

	listed->norders = (int) SPI_processed;
	listed->order_ids = (char **) MemoryContextAllocHuge(listed->context,
														 Max(listed->norders, 1) * sizeof(char *));
	for (int i = 0; i < listed->norders; i++)
		listed->order_ids[i] = MemoryContextStrdup(listed->context, own_text(SPI_tuptable->vals[i], 1));
}

static void
resync_everything(int32 source_id, SyncCounts *counts)
{
	ListedOrders listed;
	OwnContext	saved;

	listed.context = CurrentMemoryContext;
	own_begin(&saved);
	own_set_time_zone(shop_settings(source_find(source_id)->sync.shop_id)->time_zone);
	SPI_connect();
	source_run(source_find(source_id), list_facts, &listed);
	SPI_finish();
	own_end(&saved);

	resync_recorded(source_find(source_id), listed.order_ids, listed.norders, counts);
}

/*
 * resync(source text, order_id text, everything boolean) -> bigint: syncs
 * again one order, or those in sync_error, or all; returns how many are in
 * order now.  A source with changes that could not be traced is done whole.
 */
Datum
resync(PG_FUNCTION_ARGS)
{
	Source	   *source;
	SyncCounts	counts = {0};
	bool		everything = !PG_ARGISNULL(2) && PG_GETARG_BOOL(2);

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("source must not be null"),
				 errhint("SELECT name FROM retention.source WHERE detached_at IS NULL shows the sources there are.")));
	source = source_find_by_name(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	source_check_synced(source);

	if (!PG_ARGISNULL(1))
	{
		char	   *order_id = text_to_cstring(PG_GETARG_TEXT_PP(1));

		source_sync(source, &order_id, 1, &counts);
		PG_RETURN_INT64(counts.synced);
	}

	if (!everything)
	{
		int			norders;
		char	  **order_ids = orders_of(&failed_orders, source->sync.source_id, &norders);

		everything = source->truncated;
		for (int i = 0; i < norders; i++)
			everything |= strcmp(order_ids[i], "*") == 0;
		if (!everything)
			source_sync(source, order_ids, norders, &counts);
	}
	if (everything)
		resync_everything(source->sync.source_id, &counts);

	PG_RETURN_INT64(counts.synced);
}

/*
 * accrue_due(source_id integer, at timestamptz) -> bigint: syncs the source's
 * orders whose points have fallen due by then, as of then; returns how many
 * there were.
 */
Datum
accrue_due(PG_FUNCTION_ARGS)
{
	int32		source_id = PG_GETARG_INT32(0);
	OwnContext	saved;
	SyncCounts	counts = {0};
	char	  **order_ids;
	int			norders;

	own_begin(&saved);
	retention_set_clock(PG_GETARG_TIMESTAMPTZ(1));
	order_ids = orders_of(&due_orders, source_id, &norders);
	if (norders > 0)
		source_sync(source_find(source_id), order_ids, norders, &counts);
	own_end(&saved);
	PG_RETURN_INT64(norders);
}
