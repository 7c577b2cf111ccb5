/*
 * own_query.c
 *		Running the extension's own statements.
 *
 * Triggers fire under the shop's roles, which have no right on our tables and
 * may have set any search_path.  So every statement of ours runs as the owner
 * of the tables, names everything with its schema, and resolves operators in
 * pg_catalog alone.
 */
#include "own_query.h"

#include "retention.h"
#include "version.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "optimizer/plancat.h"
#include "parser/parse_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

/* A plan of ours is made for tables of this size at least. */
#define LARGE_TUPLES 1000000
#define LARGE_PAGES 20000

static get_relation_info_hook_type earlier_relation_info_hook = NULL;
static bool planning_own = false;

static void
set_for_now(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Become the extension's owner, until own_end().  An error on the way is
 * undone by the end of the transaction or subtransaction, as for any function
 * with SECURITY DEFINER and SET.
 */
void
own_begin(OwnContext *saved)
{
	versions_check();
	own_begin_any_version(saved);
}

void
own_begin_any_version(OwnContext *saved)
{
	GetUserIdAndSecContext(&saved->user, &saved->sec_context);
	saved->guc_level = NewGUCNestLevel();
	set_for_now("search_path", "pg_catalog, pg_temp");
	SetUserIdAndSecContext(retention_owner(),
						   saved->sec_context | SECURITY_LOCAL_USERID_CHANGE);
}

void
own_set_time_zone(const char *time_zone)
{
	set_for_now("TimeZone", time_zone);
}

void
own_end(const OwnContext *saved)
{
	SetUserIdAndSecContext(saved->user, saved->sec_context);
	AtEOXact_GUC(false, saved->guc_level);
}

/*
 * A plan made while a table was empty would scan it for as long as the plan is
 * kept; ours always look rows up by key.
 */
int
own_planner_begin(void)
{
	int			guc_level = NewGUCNestLevel();

	set_for_now("enable_seqscan", "off");
	set_for_now("enable_hashjoin", "off");
	set_for_now("enable_mergejoin", "off");
	set_for_now("enable_bitmapscan", "off");
	set_for_now("enable_material", "off");
	set_for_now("max_parallel_workers_per_gather", "0");

	/* What is switched off counts as dear, and what is dear would be compiled. */
	set_for_now("jit", "off");
	return guc_level;
}

void
own_planner_end(int guc_level)
{
	AtEOXact_GUC(false, guc_level);
}

/*
 * A plan is kept, and tables grow: one made while a table was empty would go
 * through all of it for each key.
 */
static void
assume_large(PlannerInfo *root, Oid relid, bool inhparent, RelOptInfo *rel)
{
	ListCell   *cell;

	if (earlier_relation_info_hook)
		earlier_relation_info_hook(root, relid, inhparent, rel);
	if (!planning_own || rel->tuples >= LARGE_TUPLES)
		return;
	rel->tuples = LARGE_TUPLES;
	rel->pages = Max(rel->pages, LARGE_PAGES);
	foreach(cell, rel->indexlist)
	{
		IndexOptInfo *index = lfirst_node(IndexOptInfo, cell);

		index->tuples = LARGE_TUPLES;
		index->pages = Max(index->pages, LARGE_PAGES / 4);
	}
}

void
own_query_init(void)
{
	earlier_relation_info_hook = get_relation_info_hook;
	get_relation_info_hook = assume_large;
}

static void
prepare_query(OwnQuery *query)
{
	Oid			relid = retention_relation("purchase");
	Oid			argtypes[OWN_QUERY_MAX_ARGS];
	SPIPlanPtr	plan;

	if (query->plan != NULL && query->relid == relid)
		return;

	/* The extension was dropped and created again: other types, other plan. */
	if (query->plan != NULL)
	{
		SPI_freeplan(query->plan);
		query->plan = NULL;
	}

	for (int i = 0; i < query->nargs; i++)
	{
		int32		typmod;

#if PG_VERSION_NUM >= 160000
		(void) parseTypeString(query->argtypes[i], &argtypes[i], &typmod, NULL);
#else
		parseTypeString(query->argtypes[i], &argtypes[i], &typmod, false);
#endif
	}

	plan = SPI_prepare_cursor(query->sql, query->nargs, argtypes, CURSOR_OPT_GENERIC_PLAN);
	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", query->sql,
			 SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);

	query->plan = plan;
	query->relid = relid;
	query->planned = false;
}

int
own_execute_latest(SPIPlanPtr plan, Datum *args, const char *nulls)
{
	return SPI_execute_snapshot(plan, args, nulls, GetLatestSnapshot(), InvalidSnapshot,
								false, true, 0);
}

static int
execute_plan(OwnQuery *query, Datum *args, const char *nulls, bool read_only)
{
	if (query->sees_latest)
		return own_execute_latest(query->plan, args, nulls);
	return SPI_execute_plan(query->plan, args, nulls, read_only, 0);
}

static uint64
run_query(OwnQuery *query, Datum *args, const char *nulls, bool read_only)
{
	volatile int result = 0;

	prepare_query(query);

	if (query->planned)
		result = execute_plan(query, args, nulls, read_only);
	else
	{
		int			guc_level = own_planner_begin();

		/* Not for others: they would read a whole table in its order. */
		if (query->in_index_order)
			set_for_now("enable_sort", "off");
		planning_own = true;
		PG_TRY();
		{
			result = execute_plan(query, args, nulls, read_only);
		}
		PG_FINALLY();
		{
			planning_own = false;
		}
		PG_END_TRY();
		own_planner_end(guc_level);
		query->planned = true;
	}

	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", query->sql,
			 SPI_result_code_string(result));
	return SPI_processed;
}

uint64
own_execute(OwnQuery *query, Datum *args, const char *nulls)
{
	return run_query(query, args, nulls, false);
}

uint64
own_read(OwnQuery *query, Datum *args, const char *nulls)
{
	return run_query(query, args, nulls, true);
}

void
own_rows_init(OwnRows *rows, const char *table)
{
	memset(rows, 0, sizeof(OwnRows));
	rows->table = table;
}

/*
 * Where columns stand in the table: an upgraded one may have them in another
 * order than a fresh one.
 */
static void
find_attributes(OwnRows *rows, int ncolumns, const char *const *columns)
{
	int			attno = 0;
	int			natts;

	if (rows->tupdesc == NULL)
	{
		Oid			rowtype = get_rel_type_id(retention_relation(rows->table));

		rows->tupdesc = lookup_rowtype_tupdesc_copy(rowtype, -1);
		rows->row_values = (Datum *) palloc(rows->tupdesc->natts * sizeof(Datum));
		rows->row_nulls = (bool *) palloc(rows->tupdesc->natts * sizeof(bool));
		rows->attributes = (int *) palloc(rows->tupdesc->natts * sizeof(int));
	}
	natts = rows->tupdesc->natts;

	rows->columns = columns;
	rows->ncolumns = ncolumns;
	for (int i = 0; i < ncolumns; i++)
	{
		int			tried = 0;

		/* The columns nearly always come in the table's order: go on from there. */
		while (tried < natts &&
			   strcmp(NameStr(TupleDescAttr(rows->tupdesc, attno)->attname), columns[i]) != 0)
		{
			attno = (attno + 1) % natts;
			tried++;
		}
		if (tried == natts)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("table \"%s.%s\" has no column \"%s\"",
							RETENTION_SCHEMA, rows->table, columns[i]),
					 errhint("Update the extension: ALTER EXTENSION retention UPDATE.")));
		rows->attributes[i] = attno;
		attno = (attno + 1) % natts;
	}
}

/*
 * Add a row, given by column name.
 */
void
own_rows_add(OwnRows *rows, int ncolumns, const char *const *columns,
			 Datum *values, bool *nulls)
{
	if (rows->columns != columns || rows->ncolumns != ncolumns)
		find_attributes(rows, ncolumns, columns);
	memset(rows->row_nulls, true, rows->tupdesc->natts * sizeof(bool));
	for (int i = 0; i < ncolumns; i++)
	{
		rows->row_values[rows->attributes[i]] = values[i];
		rows->row_nulls[rows->attributes[i]] = nulls[i];
	}

	if (rows->nrows == rows->capacity)
	{
		rows->capacity = rows->capacity ? rows->capacity * 2 : 8;
		rows->rows = rows->rows ?
			(HeapTuple *) repalloc(rows->rows, rows->capacity * sizeof(HeapTuple)) :
			(HeapTuple *) palloc(rows->capacity * sizeof(HeapTuple));
	}
	rows->rows[rows->nrows++] = heap_form_tuple(rows->tupdesc, rows->row_values, rows->row_nulls);
}

Datum
own_rows_array(OwnRows *rows)
{
	Datum	   *values = (Datum *) palloc(rows->nrows * sizeof(Datum));

	for (int i = 0; i < rows->nrows; i++)
		values[i] = HeapTupleGetDatum(rows->rows[i]);
	return PointerGetDatum(construct_array(values, rows->nrows,
										   rows->tupdesc->tdtypeid,
										   -1, false, TYPALIGN_DOUBLE));
}

/*
 * Run a statement whose only parameter is the array of the rows collected.
 */
uint64
own_rows_execute(OwnRows *rows, OwnQuery *query)
{
	Datum		arg;

	if (rows->nrows == 0)
		return 0;

	arg = own_rows_array(rows);
	return own_execute(query, &arg, NULL);
}

Datum
own_copy(HeapTuple tuple, int column, bool *isnull)
{
	TupleDesc	tupdesc = SPI_tuptable->tupdesc;
	Form_pg_attribute att = TupleDescAttr(tupdesc, column - 1);
	Datum		value = SPI_getbinval(tuple, tupdesc, column, isnull);

	if (*isnull || att->attbyval)
		return value;
	if (att->attlen == -1)
		return PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
	return datumCopy(value, false, att->attlen);
}

char *
own_text(HeapTuple tuple, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, SPI_tuptable->tupdesc, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

Numeric
own_numeric(HeapTuple tuple, int column)
{
	bool		isnull;
	Datum		value = own_copy(tuple, column, &isnull);

	return isnull ? NULL : DatumGetNumeric(value);
}

TimestampTz
own_time(HeapTuple tuple, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, SPI_tuptable->tupdesc, column, &isnull);

	return isnull ? NO_TIME : DatumGetTimestampTz(value);
}

int64
own_int64(HeapTuple tuple, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, SPI_tuptable->tupdesc, column, &isnull);

	if (isnull)
		return 0;
	if (SPI_gettypeid(SPI_tuptable->tupdesc, column) == INT4OID)
		return DatumGetInt32(value);
	return DatumGetInt64(value);
}

bool
own_bool(HeapTuple tuple, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, SPI_tuptable->tupdesc, column, &isnull);

	return !isnull && DatumGetBool(value);
}

Datum
own_text_array(char **strings, int n)
{
	Datum	   *values = (Datum *) palloc(Max(n, 1) * sizeof(Datum));
	bool	   *nulls = (bool *) palloc(Max(n, 1) * sizeof(bool));
	int			lower = 1;

	for (int i = 0; i < n; i++)
		own_set_text(&values[i], &nulls[i], strings[i]);
	return PointerGetDatum(construct_md_array(values, nulls, 1, &n, &lower,
											  TEXTOID, -1, false, TYPALIGN_INT));
}

void
own_set_text(Datum *value, bool *isnull, const char *text)
{
	*isnull = (text == NULL);
	*value = text ? CStringGetTextDatum(text) : (Datum) 0;
}

void
own_set_numeric(Datum *value, bool *isnull, Numeric numeric)
{
	*isnull = (numeric == NULL);
	*value = NumericGetDatum(numeric);
}

void
own_set_time(Datum *value, bool *isnull, TimestampTz at)
{
	*isnull = (at == NO_TIME);
	*value = TimestampTzGetDatum(at);
}
