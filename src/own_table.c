/*
 * own_table.c
 *		Rows of one of our own tables, found, locked and written without a
 *		statement.
 *
 * An order's transaction writes a handful of rows, each known by its key, and
 * the start of an executor for each would cost more than the rows.  So they are
 * found and written as PostgreSQL's logical replication workers do it.  What
 * statements would do beside, for a table that somebody has put a trigger, a
 * rule or row security on, or has distributed to other servers, is left to
 * statements: see is_plain().
 */
#include "own_table.h"

#include "compat.h"
#include "own_query.h"
#include "retention.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/skey.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "commands/extension.h"
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "storage/lmgr.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/sortsupport.h"
#include "utils/typcache.h"

/* ----------
 * The table
 * ----------
 */

static void
describe(OwnTable *table, Relation rel)
{
	TupleDesc	tupdesc = RelationGetDescr(rel);

	Assert(table->ncolumns <= OWN_TABLE_MAX_COLUMNS && table->nkeys <= OWN_TABLE_MAX_KEYS);
	for (int i = 0; i < table->ncolumns; i++)
	{
		table->attnums[i] = SPI_fnumber(tupdesc, table->columns[i]);
		if (table->attnums[i] <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("table \"%s.%s\" has no column \"%s\"",
							RETENTION_SCHEMA, table->watch.table, table->columns[i]),
					 errhint("Update the extension: ALTER EXTENSION retention UPDATE.")));
	}
	for (int i = 0; i < table->nkeys; i++)
		table->key_equals[i] =
			lookup_type_cache(TupleDescAttr(tupdesc, table->attnums[i] - 1)->atttypid,
							  TYPECACHE_EQ_OPR_FINFO)->eq_opr_finfo.fn_oid;
	table->key_index = primary_key_index(rel);

	/*
	 * Citus takes statements on from where the executor would run them: what is
	 * written directly would stay in a table that nobody reads.  Who distributes
	 * a table changes it, so that this is asked anew.
	 */
	table->may_be_distributed = OidIsValid(get_extension_oid("citus", true));

	table->has_defaults = false;
	for (int attno = 1; attno <= tupdesc->natts; attno++)
	{
		Form_pg_attribute att = TupleDescAttr(tupdesc, attno - 1);
		bool		named = false;

		for (int i = 0; i < table->ncolumns; i++)
			named |= table->attnums[i] == attno;
		if (!named && table->ncolumns > 0 && !att->attisdropped && att->atthasdef)
			table->has_defaults = true;
	}
}

static Relation
open_table(OwnTable *table, LOCKMODE lockmode)
{
	for (;;)
	{
		Relation	rel;

		if (!table->watch.valid)
		{
			table->described = false;
			cache_begin_read(&table->watch);
		}
		rel = table_open(table->watch.relid, lockmode);
		/* That it was changed may have been told just now, by taking the lock. */
		if (table->watch.valid)
		{
			if (!table->described)
				describe(table, rel);
			table->described = true;
			return rel;
		}
		table_close(rel, lockmode);
	}
}

static bool
fires_triggers(const TriggerDesc *triggers, CmdType operation)
{
	if (triggers == NULL)
		return false;
	if (operation == CMD_INSERT)
		return triggers->trig_insert_before_row || triggers->trig_insert_after_row ||
			triggers->trig_insert_instead_row || triggers->trig_insert_before_statement ||
			triggers->trig_insert_after_statement || triggers->trig_insert_new_table;
	if (operation == CMD_UPDATE)
		return triggers->trig_update_before_row || triggers->trig_update_after_row ||
			triggers->trig_update_instead_row || triggers->trig_update_before_statement ||
			triggers->trig_update_after_statement || triggers->trig_update_old_table ||
			triggers->trig_update_new_table;
	return false;
}

/* Whether the operation does nothing but what it does to the table and its indexes. */
static bool
is_plain(const OwnTable *table, Relation rel, CmdType operation)
{
	return !table->may_be_distributed &&
		rel->rd_rel->relkind == RELKIND_RELATION &&
		!rel->rd_rel->relhassubclass &&
		!rel->rd_rel->relforcerowsecurity &&
		rel->rd_rules == NULL &&
		!fires_triggers(rel->trigdesc, operation);
}

/* ----------
 * Finding rows
 * ----------
 */

static void
set_keys(OwnTable *table, const Datum *key, ScanKey keys)
{
	for (int i = 0; i < table->nkeys; i++)
		ScanKeyEntryInitialize(&keys[i], 0, table->attnums[i], BTEqualStrategyNumber,
							   InvalidOid, C_COLLATION_OID, table->key_equals[i], key[i]);
}

/* Where the row of a key lies, as the snapshot has it. */
static bool
find_row(OwnTable *table, Relation rel, const Datum *key, Snapshot snapshot, ItemPointer tid)
{
	ScanKeyData keys[OWN_TABLE_MAX_KEYS];
	SysScanDesc scan;
	HeapTuple	tuple;

	set_keys(table, key, keys);
	scan = systable_beginscan(rel, table->key_index, true, snapshot, table->nkeys, keys);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		*tid = tuple->t_self;
	systable_endscan(scan);
	return HeapTupleIsValid(tuple);
}

bool
own_table_has(OwnTable *table, const Datum *key, bool *found)
{
	Relation	rel = open_table(table, AccessShareLock);
	Snapshot	snapshot;
	ItemPointerData tid;

	if (!is_plain(table, rel, CMD_SELECT))
	{
		table_close(rel, NoLock);
		return false;
	}
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	*found = find_row(table, rel, key, snapshot, &tid);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);
	return true;
}

static bool
has_key(OwnTable *table, TupleTableSlot *slot, const Datum *key)
{
	ScanKeyData keys[OWN_TABLE_MAX_KEYS];

	set_keys(table, key, keys);
	for (int i = 0; i < table->nkeys; i++)
	{
		bool		isnull;
		Datum		value = slot_getattr(slot, table->attnums[i], &isnull);

		if (isnull || !DatumGetBool(FunctionCall2Coll(&keys[i].sk_func, keys[i].sk_collation,
													  value, keys[i].sk_argument)))
			return false;
	}
	return true;
}

/*
 * Lock what the row found has become by now, as the executor's LockRows does.
 */
static bool
lock_row(OwnTable *table, Relation rel, ItemPointer tid, Snapshot snapshot,
		 const Datum *key, TupleTableSlot *slot)
{
	int			flags = TUPLE_LOCK_FLAG_LOCK_UPDATE_IN_PROGRESS;
	TM_FailureData failure;
	TM_Result	result;

	if (!IsolationUsesXactSnapshot())
		flags |= TUPLE_LOCK_FLAG_FIND_LAST_VERSION;
	result = table_tuple_lock(rel, tid, snapshot, slot, GetCurrentCommandId(true),
							  LockTupleNoKeyExclusive, LockWaitBlock, flags, &failure);
	switch (result)
	{
		case TM_Ok:
			return !failure.traversed || has_key(table, slot, key);

		case TM_Updated:
		case TM_Deleted:
			if (IsolationUsesXactSnapshot())
				ereport(ERROR,
						(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						 errmsg("could not serialize access due to concurrent update")));
			return false;

		case TM_SelfModified:
			return false;

		default:
			elog(ERROR, "unexpected table_tuple_lock status: %u", result);
			return false;
	}
}

/* The named columns of a row. */
static void
read_row(OwnTable *table, Relation rel, HeapTuple row, Datum *values, bool *isnull)
{
	TupleDesc	tupdesc = RelationGetDescr(rel);
	Datum	   *all_values = (Datum *) palloc(tupdesc->natts * sizeof(Datum));
	bool	   *all_nulls = (bool *) palloc(tupdesc->natts * sizeof(bool));

	heap_deform_tuple(row, tupdesc, all_values, all_nulls);
	for (int i = 0; i < table->ncolumns; i++)
	{
		values[i] = all_values[table->attnums[i] - 1];
		isnull[i] = all_nulls[table->attnums[i] - 1];
	}
}

bool
own_table_lock(OwnTable *table, const Datum *key, HeapTuple *row, Datum *values, bool *isnull)
{
	Relation	rel = open_table(table, RowShareLock);
	Snapshot	snapshot;
	TupleTableSlot *slot;
	ItemPointerData tid;

	*row = NULL;
	if (!is_plain(table, rel, CMD_SELECT) || !OidIsValid(table->key_index))
	{
		table_close(rel, NoLock);
		return false;
	}
	PreventCommandIfReadOnly("SELECT FOR NO KEY UPDATE");

	snapshot = RegisterSnapshot(GetTransactionSnapshot());
	slot = table_slot_create(rel, NULL);
	if (find_row(table, rel, key, snapshot, &tid) &&
		lock_row(table, rel, &tid, snapshot, key, slot))
	{
		*row = ExecCopySlotHeapTuple(slot);
		read_row(table, rel, *row, values, isnull);
	}
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);
	return true;
}

/* ----------
 * Writing rows
 * ----------
 */

/* A table open for writing. */
typedef struct OpenTable
{
	Relation	rel;
	EState	   *estate;
	ResultRelInfo *result;
} OpenTable;

static bool
begin_write(OpenTable *open, OwnTable *table, CmdType operation, const char *command)
{
	open->rel = open_table(table, RowExclusiveLock);
	if (!is_plain(table, open->rel, operation) ||
		(operation == CMD_INSERT && table->has_defaults))
	{
		table_close(open->rel, NoLock);
		return false;
	}
	PreventCommandIfReadOnly(command);
	PreventCommandIfParallelMode(command);

	open->estate = CreateExecutorState();
	open->estate->es_snapshot = GetActiveSnapshot();
	open->estate->es_output_cid = GetCurrentCommandId(true);
	open->result = makeNode(ResultRelInfo);
	InitResultRelInfo(open->result, open->rel, 0, NULL, 0);
	ExecOpenIndices(open->result, false);
	return true;
}

static void
end_write(OpenTable *open)
{
	ExecCloseIndices(open->result);
	FreeExecutorState(open->estate);
	table_close(open->rel, NoLock);

	/* What follows is to see it. */
	CommandCounterIncrement();
}

bool
own_table_insert(OwnTable *table, const Datum *values, const bool *isnull)
{
	OpenTable	open;
	TupleTableSlot *slot;

	if (!begin_write(&open, table, CMD_INSERT, "INSERT"))
		return false;

	slot = MakeSingleTupleTableSlot(RelationGetDescr(open.rel), &TTSOpsVirtual);
	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts * sizeof(bool));
	for (int i = 0; i < table->ncolumns; i++)
	{
		slot->tts_values[table->attnums[i] - 1] = values[i];
		slot->tts_isnull[table->attnums[i] - 1] = isnull[i];
	}
	ExecStoreVirtualTuple(slot);
	ExecSimpleRelationInsert(open.result, open.estate, slot);
	ExecDropSingleTupleTableSlot(slot);
	end_write(&open);
	return true;
}

bool
own_table_update(OwnTable *table, HeapTuple row, const Datum *values, const bool *isnull)
{
	OpenTable	open;
	TupleDesc	tupdesc;
	TupleTableSlot *slot;
	TupleTableSlot *old;

	if (!begin_write(&open, table, CMD_UPDATE, "UPDATE"))
		return false;

	tupdesc = RelationGetDescr(open.rel);
	slot = MakeSingleTupleTableSlot(tupdesc, &TTSOpsVirtual);
	heap_deform_tuple(row, tupdesc, slot->tts_values, slot->tts_isnull);
	for (int attno = 0; attno < tupdesc->natts; attno++)
	{
		if (TupleDescAttr(tupdesc, attno)->attisdropped)
			slot->tts_isnull[attno] = true;
	}
	for (int i = 0; i < table->ncolumns; i++)
	{
		slot->tts_values[table->attnums[i] - 1] = values[i];
		slot->tts_isnull[table->attnums[i] - 1] = isnull[i];
	}
	ExecStoreVirtualTuple(slot);

	/* Of the old row it is only asked where it lies. */
	old = MakeSingleTupleTableSlot(tupdesc, &TTSOpsVirtual);
	old->tts_tid = row->t_self;
	ExecSimpleRelationUpdate(open.result, open.estate, NULL, old, slot);

	ExecDropSingleTupleTableSlot(old);
	ExecDropSingleTupleTableSlot(slot);
	end_write(&open);
	return true;
}

/* ----------
 * Writing many rows
 * ----------
 */

/* The entries that rows make in one index. */
typedef struct IndexFill
{
	Relation	index;
	IndexInfo  *info;
	ExprState  *predicate;
	int			natts;
	Datum	   *values;			/* of the entry of row i, from i * natts on */
	bool	   *isnull;
	int		   *rows;			/* that have an entry */
	int			nentries;
	SortSupport sort_keys;
} IndexFill;

/* Whether there are only indexes that may be filled one after the other. */
static bool
has_plain_indexes(ResultRelInfo *result)
{
	for (int i = 0; i < result->ri_NumIndices; i++)
	{
		IndexInfo  *info = result->ri_IndexRelationInfo[i];
		Form_pg_index index = result->ri_IndexRelationDescs[i]->rd_index;

		if (info->ii_Expressions != NIL || info->ii_ExclusionOps != NULL || !index->indimmediate)
			return false;
	}
	return true;
}

static void
fill_begin(IndexFill *fill, OpenTable *open, int i, int nrows)
{
	fill->index = open->result->ri_IndexRelationDescs[i];
	fill->info = open->result->ri_IndexRelationInfo[i];
	fill->predicate = ExecPrepareQual(fill->info->ii_Predicate, open->estate);
	fill->natts = fill->info->ii_NumIndexAttrs;
	fill->values = (Datum *) palloc_extended(nrows * fill->natts * sizeof(Datum), MCXT_ALLOC_HUGE);
	fill->isnull = (bool *) palloc_extended(nrows * fill->natts * sizeof(bool), MCXT_ALLOC_HUGE);
	fill->rows = (int *) palloc_extended(nrows * sizeof(int), MCXT_ALLOC_HUGE);
	fill->nentries = 0;
}

static void
fill_add(IndexFill *fill, OpenTable *open, TupleTableSlot *slot, int row)
{
	ExprContext *econtext = GetPerTupleExprContext(open->estate);

	econtext->ecxt_scantuple = slot;
	if (fill->predicate != NULL && !ExecQual(fill->predicate, econtext))
		return;
	FormIndexDatum(fill->info, slot, open->estate,
				   fill->values + row * fill->natts, fill->isnull + row * fill->natts);
	fill->rows[fill->nentries++] = row;
}

static int
compare_entries(const void *a, const void *b, void *arg)
{
	const IndexFill *fill = (const IndexFill *) arg;
	const int	x = *(const int *) a * fill->natts;
	const int	y = *(const int *) b * fill->natts;

	for (int i = 0; i < fill->info->ii_NumIndexKeyAttrs; i++)
	{
		int			order = ApplySortComparator(fill->values[x + i], fill->isnull[x + i],
												fill->values[y + i], fill->isnull[y + i],
												&fill->sort_keys[i]);

		if (order != 0)
			return order;
	}
	return 0;
}

static void
fill_sort(IndexFill *fill)
{
	int			nkeys = fill->info->ii_NumIndexKeyAttrs;

	if (fill->nentries < 2 || fill->index->rd_rel->relam != BTREE_AM_OID)
		return;
	fill->sort_keys = (SortSupport) palloc0(nkeys * sizeof(SortSupportData));
	for (int i = 0; i < nkeys; i++)
	{
		int16		options = fill->index->rd_indoption[i];
		SortSupport key = &fill->sort_keys[i];

		key->ssup_cxt = CurrentMemoryContext;
		key->ssup_collation = fill->index->rd_indcollation[i];
		key->ssup_nulls_first = (options & INDOPTION_NULLS_FIRST) != 0;
		key->ssup_attno = i + 1;
		sort_support_for_index(fill->index, (options & INDOPTION_DESC) != 0, key);
	}
	qsort_arg(fill->rows, fill->nentries, sizeof(int), compare_entries, fill);
}

/*
 * Make the entries in the index's own order: each then finds the pages that the
 * one before has just used.
 */
static void
fill_write(IndexFill *fill, OpenTable *open, ItemPointer tids)
{
	fill_sort(fill);
	for (int i = 0; i < fill->nentries; i++)
	{
		int			row = fill->rows[i];

		CHECK_FOR_INTERRUPTS();
		index_insert(fill->index, fill->values + row * fill->natts, fill->isnull + row * fill->natts,
					 &tids[row], open->rel,
					 fill->index->rd_index->indisunique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO,
					 false, fill->info);
	}
}

/* Rows put to the heap together. */
#define HEAP_BATCH 1000

static void
fill_heap(OpenTable *open, HeapTuple *tuples, int ntuples, ItemPointer tids)
{
	int			nslots = Min(ntuples, HEAP_BATCH);
	TupleTableSlot **slots = (TupleTableSlot **) palloc(nslots * sizeof(TupleTableSlot *));

	for (int i = 0; i < nslots; i++)
		slots[i] = MakeSingleTupleTableSlot(RelationGetDescr(open->rel), &TTSOpsHeapTuple);
	for (int done = 0; done < ntuples; done += nslots)
	{
		int			n = Min(nslots, ntuples - done);

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < n; i++)
		{
			ExecStoreHeapTuple(tuples[done + i], slots[i], false);
			if (RelationGetDescr(open->rel)->constr != NULL)
				ExecConstraints(open->result, slots[i], open->estate);
		}
		table_multi_insert(open->rel, slots, n, open->estate->es_output_cid, 0, NULL);
		for (int i = 0; i < n; i++)
			tids[done + i] = slots[i]->tts_tid;
	}
	for (int i = 0; i < nslots; i++)
		ExecDropSingleTupleTableSlot(slots[i]);
}

static void
fill_indexes(OpenTable *open, HeapTuple *tuples, int ntuples, ItemPointer tids)
{
	int			nindexes = open->result->ri_NumIndices;
	IndexFill  *fills = (IndexFill *) palloc0(nindexes * sizeof(IndexFill));
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(open->rel), &TTSOpsHeapTuple);

	for (int i = 0; i < nindexes; i++)
		fill_begin(&fills[i], open, i, ntuples);
	for (int row = 0; row < ntuples; row++)
	{
		ExecStoreHeapTuple(tuples[row], slot, false);
		for (int i = 0; i < nindexes; i++)
			fill_add(&fills[i], open, slot, row);
		ResetPerTupleExprContext(open->estate);
	}
	ExecDropSingleTupleTableSlot(slot);
	for (int i = 0; i < nindexes; i++)
		fill_write(&fills[i], open, tids);
}

bool
own_table_insert_tuples(OwnTable *table, HeapTuple *tuples, int ntuples)
{
	OpenTable	open;
	ItemPointer tids;
	bool		plain;

	if (ntuples == 0)
		return true;
	if (!begin_write(&open, table, CMD_INSERT, "INSERT"))
		return false;
	plain = has_plain_indexes(open.result);
	if (plain)
	{
		tids = (ItemPointer) palloc_extended(ntuples * sizeof(ItemPointerData), MCXT_ALLOC_HUGE);
		fill_heap(&open, tuples, ntuples, tids);
		fill_indexes(&open, tuples, ntuples, tids);
	}
	end_write(&open);
	return plain;
}
