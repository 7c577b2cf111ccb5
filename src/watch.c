/*
 * watch.c
 *		The triggers on the shop's tables, and the drain at commit.
 *
 * Two row triggers stand on each watched table.  The first fires at once and
 * collects which orders the row belonged to and belongs to: an id that is just
 * a column is read from the row, any other way is a query, asked for the old
 * row now (what leads to the order may be gone later) and for the new row at
 * the drain (it may not be there yet).  The second is a deferred constraint
 * trigger: its first firing, at commit or on SET CONSTRAINTS, drains all that
 * was collected, and later ones find nothing to do.
 *
 * A drain inside a subtransaction may be rolled back with it, while the rows
 * that called for it stay.  So what it did is kept, and waits again when a
 * subtransaction aborts; syncing an order once too often changes nothing.
 *
 * Nothing is collected nor drained while the library is of another version
 * than the SQL objects: then the sources are marked, to be synced whole.
 */
#include "source.h"

#include "own_query.h"
#include "resync.h"
#include "retention.h"
#include "shop.h"
#include "version.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/bitmapset.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(note_change);
PG_FUNCTION_INFO_V1(note_truncate);
PG_FUNCTION_INFO_V1(sync_changed);

/* An order that may have changed. */
typedef struct PendingOrder
{
	char	   *order_id;
	char		status;			/* simplehash's own */
	bool		drained;
} PendingOrder;

#define SH_PREFIX pending
#define SH_ELEMENT_TYPE PendingOrder
#define SH_KEY_TYPE char *
#define SH_KEY order_id
#define SH_HASH_KEY(tb, key) hash_bytes((const unsigned char *) (key), strlen(key))
#define SH_EQUAL(tb, a, b) (strcmp(a, b) == 0)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct PendingSource
{
	int32		source_id;
	pending_hash *orders;
	int			nwaiting;		/* orders not drained */
	struct PendingSource *next;
} PendingSource;

/* A changed row whose orders are asked for at the drain. */
typedef struct PendingRow
{
	int32		watch_id;
	Oid			relid;
	ItemPointerData tid;
} PendingRow;

/* What this transaction has collected; it lives as long as the transaction. */
typedef struct Pending
{
	MemoryContext context;
	PendingSource *sources;
	PendingRow *rows;
	int			nrows;
	int			rows_drained;
	int			rows_capacity;
	bool		unread;			/* versions differed: sources are marked instead */
	Bitmapset  *marked;			/* watches whose sources are */
} Pending;

static Pending *pending = NULL;
static bool callbacks_registered = false;

/* ----------
 * Collecting
 * ----------
 */

static void
forget_pending(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PARALLEL_ABORT:
			pending = NULL;		/* its memory goes with the transaction */
			break;
		default:
			break;
	}
}

static void
undo_drain(SubXactEvent event, SubTransactionId mySubid, SubTransactionId parentSubid, void *arg)
{
	if (event != SUBXACT_EVENT_ABORT_SUB || pending == NULL)
		return;

	for (PendingSource *source = pending->sources; source != NULL; source = source->next)
	{
		pending_iterator iterator;
		PendingOrder *order;

		pending_start_iterate(source->orders, &iterator);
		while ((order = pending_iterate(source->orders, &iterator)) != NULL)
			order->drained = false;
		source->nwaiting = source->orders->members;
	}
	pending->rows_drained = 0;
	pending->marked = NULL;
}

static void
ensure_pending(void)
{
	MemoryContext context;

	if (pending != NULL)
		return;
	if (!callbacks_registered)
	{
		RegisterXactCallback(forget_pending, NULL);
		RegisterSubXactCallback(undo_drain, NULL);
		callbacks_registered = true;
	}
	context = AllocSetContextCreate(TopTransactionContext, "retention pending orders",
									ALLOCSET_SMALL_SIZES);
	pending = (Pending *) MemoryContextAllocZero(context, sizeof(Pending));
	pending->context = context;
}

static void
add_order(int32 source_id, const char *order_id)
{
	PendingSource *source;
	PendingOrder *order;
	bool		found;

	ensure_pending();
	for (source = pending->sources; source != NULL; source = source->next)
	{
		if (source->source_id == source_id)
			break;
	}
	if (source == NULL)
	{
		source = (PendingSource *) MemoryContextAllocZero(pending->context, sizeof(PendingSource));
		source->source_id = source_id;
		source->orders = pending_create(pending->context, 16, NULL);
		source->next = pending->sources;
		pending->sources = source;
	}

	order = pending_insert(source->orders, unconstify(char *, order_id), &found);
	if (!found)
		order->order_id = MemoryContextStrdup(pending->context, order_id);
	if (!found || order->drained)
		source->nwaiting++;
	order->drained = false;
}

static void
add_row(int32 watch_id, Oid relid, ItemPointer tid)
{
	PendingRow *row;

	ensure_pending();
	if (pending->nrows == pending->rows_capacity)
	{
		pending->rows_capacity = pending->rows_capacity ? pending->rows_capacity * 2 : 16;
		pending->rows = pending->rows ?
			(PendingRow *) repalloc_huge(pending->rows, pending->rows_capacity * sizeof(PendingRow)) :
			(PendingRow *) MemoryContextAlloc(pending->context, pending->rows_capacity * sizeof(PendingRow));
	}
	row = &pending->rows[pending->nrows++];
	row->watch_id = watch_id;
	row->relid = relid;
	row->tid = *tid;
}

/* ----------
 * Ways from a row to its orders
 * ----------
 */

typedef struct FollowPath
{
	Watch	   *watch;
	Oid			relid;
	Datum	   *rows;			/* as composite values of the relation's type */
	int			nrows;
} FollowPath;

static bool
is_query(const char *text)
{
	while (isspace((unsigned char) *text) || *text == '(')
		text++;
	return pg_strncasecmp(text, "select", 6) == 0 || pg_strncasecmp(text, "with", 4) == 0 ||
		pg_strncasecmp(text, "values", 6) == 0;
}

/*
 * The query from rows of a relation to the ids of their orders.  The rows come
 * under the watched table's own name, so that the expression reads as it would
 * in a query over the table.
 */
static SPIPlanPtr
prepare_path(Watch *watch, Oid relid)
{
	Oid			row_array = get_array_type(get_rel_type_id(relid));
	const char *alias = quote_identifier(get_rel_name(watch->relid));
	const char *lateral;
	SPIPlanPtr	plan;

	if (is_query(watch->order_id))
	{
		SPIPlanPtr	probe;

		lateral = watch->order_id;
		probe = SPI_prepare(psprintf("SELECT w.* FROM pg_catalog.unnest($1) AS %s"
									 " CROSS JOIN LATERAL (%s\n) AS w", alias, lateral),
							1, &row_array);
		if (probe == NULL)
			elog(ERROR, "could not prepare a watch: %s", SPI_result_code_string(SPI_result));
		if (((CachedPlanSource *) linitial(SPI_plan_get_plan_sources(probe)))->resultDesc->natts != 1)
			ereport(ERROR,
					(errcode(ERRCODE_SYNTAX_ERROR),
					 errmsg("subquery must return only one column")));
		SPI_freeplan(probe);
	}
	else
	{
		SPIPlanPtr	probe;
		Oid			type;

		probe = SPI_prepare(psprintf("SELECT (%s\n) FROM pg_catalog.unnest($1) AS %s",
									 watch->order_id, alias), 1, &row_array);
		if (probe == NULL)
			elog(ERROR, "could not prepare a watch: %s", SPI_result_code_string(SPI_result));
		type = TupleDescAttr(((CachedPlanSource *) linitial(SPI_plan_get_plan_sources(probe)))->resultDesc, 0)->atttypid;
		SPI_freeplan(probe);

		/* An expression may give several ids, as an array. */
		lateral = OidIsValid(get_element_type(type)) ?
			psprintf("SELECT pg_catalog.unnest((%s\n))", watch->order_id) :
			psprintf("SELECT (%s\n)", watch->order_id);
	}

	plan = SPI_prepare_cursor(psprintf("SELECT DISTINCT w.order_id::pg_catalog.text"
									   " FROM pg_catalog.unnest($1) AS %s"
									   " CROSS JOIN LATERAL (%s\n) AS w (order_id)"
									   " WHERE w.order_id IS NOT NULL",
									   alias, lateral),
							  1, &row_array, CURSOR_OPT_GENERIC_PLAN);
	if (plan == NULL)
		elog(ERROR, "could not prepare a watch: %s", SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);
	return plan;
}

SPIPlanPtr
watch_path_plan(Watch *watch, Oid relid)
{
	ListCell   *lc;
	WatchPath  *path;
	SPIPlanPtr	plan;
	MemoryContext caller;

	foreach(lc, watch->paths)
	{
		if (((WatchPath *) lfirst(lc))->relid == relid)
			return ((WatchPath *) lfirst(lc))->plan;
	}
	plan = prepare_path(watch, relid);
	caller = MemoryContextSwitchTo(GetMemoryChunkContext(watch));
	path = (WatchPath *) palloc(sizeof(WatchPath));
	path->relid = relid;
	path->plan = plan;
	watch->paths = lappend(watch->paths, path);
	MemoryContextSwitchTo(caller);
	return plan;
}

static void
follow_path(Source *source, void *arg)
{
	FollowPath *follow = (FollowPath *) arg;
	SPIPlanPtr	plan = watch_path_plan(follow->watch, follow->relid);
	Datum		param;
	int			guc_level;

	param = PointerGetDatum(construct_array(follow->rows, follow->nrows,
											get_rel_type_id(follow->relid),
											-1, false, TYPALIGN_DOUBLE));
	guc_level = own_planner_begin();
	if (SPI_execute_plan(plan, &param, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "a watch of source \"%s\" failed", source->sync.name);
	own_planner_end(guc_level);

	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char	   *order_id = own_text(SPI_tuptable->vals[i], 1);

		if (order_id != NULL)
			add_order(source->sync.source_id, order_id);
	}
}

static void
trace_rows(int32 watch_id, Oid relid, Datum *rows, int nrows)
{
	Watch	   *watch = watch_find(watch_id);
	Source	   *source = watch ? source_find(watch->source_id) : NULL;
	FollowPath	follow;
	OwnContext	saved;
	ErrorData  *error;

	if (source == NULL || nrows == 0)
		return;
	follow.watch = watch;
	follow.relid = relid;
	follow.rows = rows;
	follow.nrows = nrows;

	own_begin(&saved);
	own_set_time_zone(shop_settings(source->sync.shop_id)->time_zone);
	SPI_connect();
	error = source_run_guarded(source, follow_path, &follow);
	if (error != NULL)
		source_remember_untraced(source, error);
	SPI_finish();
	own_end(&saved);
}

/* Rows asked for in one query. */
#define TRACE_BATCH 1000

/*
 * Find the orders of the changed rows that were put off to the drain, fetching
 * them again where they lie: as PostgreSQL itself does for deferred triggers.
 */
static void
trace_pending_rows(void)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "retention changed rows",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	int			i = pending->rows_drained;
	int			nrows = pending->nrows;

	pending->rows_drained = nrows;
	while (i < nrows)
	{
		PendingRow *first = &pending->rows[i];
		Relation	rel = table_open(first->relid, NoLock);
		TupleTableSlot *slot = table_slot_create(rel, NULL);
		Datum	   *rows = (Datum *) palloc(TRACE_BATCH * sizeof(Datum));
		int			n = 0;
		int32		watch_id = first->watch_id;
		Oid			relid = first->relid;

		for (; i < nrows && n < TRACE_BATCH; i++)
		{
			PendingRow *row = &pending->rows[i];

			if (row->watch_id != watch_id || row->relid != relid)
				break;
			/* A row of a rolled back savepoint may be gone already. */
			if (table_tuple_fetch_row_version(rel, &row->tid, SnapshotAny, slot))
				rows[n++] = ExecFetchSlotHeapTupleDatum(slot);
		}
		ExecDropSingleTupleTableSlot(slot);
		table_close(rel, NoLock);

		trace_rows(watch_id, relid, rows, n);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

/* ----------
 * The drain
 * ----------
 */

static void
drain_source(PendingSource *waiting, SourceKind kind)
{
	char	  **order_ids;
	int			norders = 0;
	pending_iterator iterator;
	PendingOrder *order;
	Source	   *source;
	SyncCounts	counts = {0};

	if (waiting->nwaiting == 0)
		return;
	source = source_find(waiting->source_id);
	if (source != NULL && source->kind != kind)
		return;

	order_ids = (char **) palloc_extended(waiting->nwaiting * sizeof(char *), MCXT_ALLOC_HUGE);
	pending_start_iterate(waiting->orders, &iterator);
	while ((order = pending_iterate(waiting->orders, &iterator)) != NULL)
	{
		if (order->drained)
			continue;
		order_ids[norders++] = order->order_id;
		order->drained = true;
	}
	waiting->nwaiting = 0;

	/* Detached meanwhile: nothing is kept of its orders any more. */
	if (source == NULL)
		return;

	if (source->truncated)
		resync_recorded(source, order_ids, norders, &counts);
	else
		source_sync(source, order_ids, norders, &counts);
}

static void
drain(void)
{
	MemoryContext context;
	MemoryContext caller;
	bool		waiting = false;

	if (pending == NULL)
		return;
	if (pending->rows_drained < pending->nrows)
		trace_pending_rows();
	for (PendingSource *source = pending->sources; source != NULL; source = source->next)
		waiting |= source->nwaiting > 0;
	if (!waiting)
		return;

	context = AllocSetContextCreate(CurrentMemoryContext, "retention drain", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(context);
	/* By kind: what is said of customers and orders may lock only after orders do. */
	for (int kind = 0; kind < N_SYNCED_KINDS; kind++)
	{
		for (PendingSource *source = pending->sources; source != NULL; source = source->next)
			drain_source(source, (SourceKind) kind);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);

	/* Outside any savepoint a drain is undone only with everything else. */
	if (GetCurrentTransactionNestLevel() == 1)
	{
		MemoryContextDelete(pending->context);
		pending = NULL;
	}
}

/* ----------
 * The triggers
 * ----------
 */

static TriggerData *
trigger_data(FunctionCallInfo fcinfo, const char *function)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager", function)));
	if (((TriggerData *) fcinfo->context)->tg_trigger->tgnargs != 1)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" takes the number of a watch as its argument", function),
				 errhint("Such triggers are made by retention.attach_orders() and retention.watch().")));
	return (TriggerData *) fcinfo->context;
}

static int32
trigger_watch_id(TriggerData *trigdata)
{
	return pg_strtoint32(trigdata->tg_trigger->tgargs[0]);
}

/* Mark the source of a watch, once in a transaction. */
static void
mark_unread(int32 watch_id)
{
	MemoryContext caller;

	if (bms_is_member(watch_id, pending->marked))
		return;
	source_remember_unread(watch_id);
	caller = MemoryContextSwitchTo(pending->context);
	pending->marked = bms_add_member(pending->marked, watch_id);
	MemoryContextSwitchTo(caller);
}

/*
 * Whether a value's output is its cast to text, so that no query is needed;
 * but for the blanks that char(n) adds.
 */
static bool
output_is_id(Oid type)
{
	switch (getBaseType(type))
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case UUIDOID:
			return true;
		default:
			return false;
	}
}

static void
note_row(Watch *watch, Relation rel, TupleTableSlot *slot, bool is_new)
{
	int			attnum = watch->column ? SPI_fnumber(RelationGetDescr(rel), watch->column) : 0;
	Oid			type = attnum > 0 ? TupleDescAttr(RelationGetDescr(rel), attnum - 1)->atttypid : InvalidOid;

	if (attnum > 0 && output_is_id(type))
	{
		bool		isnull;
		Datum		value = slot_getattr(slot, attnum, &isnull);
		Oid			output;
		bool		is_varlena;
		char	   *order_id;

		if (isnull)
			return;
		getTypeOutputInfo(type, &output, &is_varlena);
		order_id = OidOutputFunctionCall(output, value);
		if (getBaseType(type) == BPCHAROID)
			order_id[bpchartruelen(order_id, strlen(order_id))] = '\0';
		add_order(watch->source_id, order_id);
		pfree(order_id);
	}
	else if (is_new)
		add_row(watch->watch_id, RelationGetRelid(rel), &slot->tts_tid);
	else
	{
		Datum		row = ExecFetchSlotHeapTupleDatum(slot);

		trace_rows(watch->watch_id, RelationGetRelid(rel), &row, 1);
	}
}

/*
 * note_change(): AFTER ROW trigger, not deferred; collects the orders of the
 * old row and of the new one.
 */
Datum
note_change(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = trigger_data(fcinfo, "note_change");
	int32		watch_id = trigger_watch_id(trigdata);
	Watch	   *watch;

	if (!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) || !TRIGGER_FIRED_AFTER(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired AFTER ROW", "note_change")));

	if (!versions_agree())
	{
		ensure_pending();
		pending->unread = true;
		return PointerGetDatum(NULL);
	}

	watch = watch_find(watch_id);
	if (watch == NULL)
		return PointerGetDatum(NULL);

	if (TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
		note_row(watch, trigdata->tg_relation, trigdata->tg_trigslot, true);
	else if (TRIGGER_FIRED_BY_DELETE(trigdata->tg_event))
		note_row(watch, trigdata->tg_relation, trigdata->tg_trigslot, false);
	else
	{
		note_row(watch, trigdata->tg_relation, trigdata->tg_trigslot, false);
		watch = watch_find(watch_id);
		if (watch != NULL)
			note_row(watch, trigdata->tg_relation, trigdata->tg_newslot, true);
	}
	return PointerGetDatum(NULL);
}

/*
 * sync_changed(): deferred constraint trigger; drains all that was collected.
 */
Datum
sync_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = trigger_data(fcinfo, "sync_changed");

	/* It was updated meanwhile, by the shop's transaction or another one. */
	if (pending != NULL && !pending->unread && !versions_agree_now())
		pending->unread = true;
	if (pending != NULL && pending->unread)
		mark_unread(trigger_watch_id(trigdata));
	else
		drain();
	return PointerGetDatum(NULL);
}

/*
 * note_truncate(): AFTER TRUNCATE trigger; marks the whole source, to be
 * settled by the next drain or by resync().
 */
Datum
note_truncate(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = trigger_data(fcinfo, "note_truncate");
	int32		watch_id = trigger_watch_id(trigdata);
	Watch	   *watch;

	if (!versions_agree())
	{
		source_remember_unread(watch_id);
		return PointerGetDatum(NULL);
	}
	watch = watch_find(watch_id);
	if (watch != NULL)
		resync_mark_truncated(watch->source_id);
	return PointerGetDatum(NULL);
}
