/*
 * attach.c
 *		What attaching a source checks before it believes what it is told.
 *
 * Each of these runs the parser or planner over the shop's SQL as the user
 * whose SQL it is, never as the extension's owner: planning may already call a
 * function that the SQL names.
 */
#include "compat.h"
#include "facts.h"
#include "own_query.h"
#include "restricted.h"
#include "retention.h"
#include "source.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(check_owner);
PG_FUNCTION_INFO_V1(check_expression);
PG_FUNCTION_INFO_V1(check_facts);
PG_FUNCTION_INFO_V1(check_source);
PG_FUNCTION_INFO_V1(check_watch);
PG_FUNCTION_INFO_V1(value_as_owner);

/* Reading a table of fewer rows for one order is nothing to warn of. */
#define LARGE_TABLE_ROWS 10000

/*
 * check_owner(relation): an error unless the calling user owns the relation,
 * which must be a table.
 */
Datum
check_owner(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	Relation	rel = try_relation_open(relid, AccessShareLock);

	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with oid %u does not exist", relid)));
	if (rel->rd_rel->relkind != RELKIND_RELATION &&
		rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table", RelationGetRelationName(rel)),
				 errhint("Triggers stand on tables: attach the table itself, or use attach_source() with a facts query over what you have.")));
	if (rel->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a temporary table", RelationGetRelationName(rel)),
				 errhint("Attach a permanent table.")));
	if (rel->rd_rel->relnamespace == get_namespace_oid(RETENTION_SCHEMA, false))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is one of retention's own tables", RelationGetRelationName(rel)),
				 errhint("Attach a table of the shop.")));
	if (!relation_is_owned_by(relid, GetOuterUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of table %s", RelationGetRelationName(rel)),
				 errhint("Attach it as its owner, %s.", GetUserNameFromId(rel->rd_rel->relowner, false))));
	relation_close(rel, AccessShareLock);
	PG_RETURN_VOID();
}

/*
 * A column that the expression means but for the case of its letters: unquoted
 * names are folded to lower case, which is the usual slip.
 */
static char *
column_to_quote(Relation rel, const char *expression)
{
	char	   *folded = asc_tolower(expression, strlen(expression));

	for (int i = 0; i < RelationGetDescr(rel)->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), i);
		char	   *name = NameStr(att->attname);
		char	   *lower = asc_tolower(name, strlen(name));

		if (!att->attisdropped && strcmp(lower, name) != 0 && strstr(folded, lower) != NULL)
			return name;
	}
	return NULL;
}

/* Refuse an expression that does not give one value for each row. */
static void
check_gives_one_value(SPIPlanPtr plan)
{
	CachedPlanSource *source = (CachedPlanSource *) linitial(SPI_plan_get_plan_sources(plan));
	Query	   *query = linitial_node(Query, source->query_list);

	if (query->hasAggs || query->hasWindowFuncs || query->hasTargetSRFs)
		ereport(ERROR,
				(errcode(ERRCODE_GROUPING_ERROR),
				 errmsg("it does not give one value for each row"),
				 errhint("An aggregate or a set goes into a subquery, as in (SELECT sum(p.amount) FROM shop.payments p WHERE p.order_id = orders.id).")));
	if (TupleDescAttr(source->resultDesc, 0)->atttypid == RECORDOID)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("it is not one expression")));
}

/*
 * check_expression(relation, argument, expression): an error that names the
 * argument unless the text is one SQL expression over the relation's row.
 */
Datum
check_expression(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	char	   *argument = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char	   *expression = text_to_cstring(PG_GETARG_TEXT_PP(2));
	Relation	rel = relation_open(relid, AccessShareLock);
	char	   *table = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
												   RelationGetRelationName(rel));
	char	   *query = psprintf("SELECT (%s\n) FROM %s AS %s", expression, table,
								 quote_identifier(RelationGetRelationName(rel)));
	MemoryContext caller = CurrentMemoryContext;
	Oid			user;
	int			sec_context;

	SPI_connect();
	GetUserIdAndSecContext(&user, &sec_context);
	SetUserIdAndSecContext(rel->rd_rel->relowner,
						   sec_context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	PG_TRY();
	{
		SPIPlanPtr	plan;

		restricted_check_expression(expression);
		plan = SPI_prepare(query, 0, NULL);
		if (plan == NULL)
			elog(ERROR, "could not prepare an expression: %s", SPI_result_code_string(SPI_result));
		check_gives_one_value(plan);
	}
	PG_CATCH();
	{
		ErrorData  *error;
		char	   *quote;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION)
			ReThrowError(error);

		quote = error->sqlerrcode == ERRCODE_UNDEFINED_COLUMN ? column_to_quote(rel, expression) : NULL;
		ereport(ERROR,
				(errcode(error->sqlerrcode),
				 errmsg("argument \"%s\" does not work as an expression over %s: %s",
						argument, table, error->message),
				 errdetail("The expression is: %s", expression),
				 quote ? errhint("Write the column with double quotes: %s => '\"%s\"'.", argument, quote) :
				 error->sqlerrcode == ERRCODE_UNDEFINED_FUNCTION ?
				 errhint("Name functions and operators outside pg_catalog with their schema: the search path is not followed here.") :
				 error->hint ? errhint("%s", error->hint) :
				 errhint("Give a column's name or an SQL expression over the table's row.")));
	}
	PG_END_TRY();
	SetUserIdAndSecContext(user, sec_context);
	SPI_finish();
	relation_close(rel, AccessShareLock);
	PG_RETURN_VOID();
}

/*
 * check_facts(facts): an error unless the text is a facts query, as the calling
 * user sees it.
 */
Datum
check_facts(PG_FUNCTION_ARGS)
{
	char	   *facts = text_to_cstring(PG_GETARG_TEXT_PP(0));
	FactsColumns columns;
	Oid			user;
	int			sec_context;

	SPI_connect();
	GetUserIdAndSecContext(&user, &sec_context);
	SetUserIdAndSecContext(GetOuterUserId(),
						   sec_context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	facts_describe(facts, &columns);
	SetUserIdAndSecContext(user, sec_context);
	SPI_finish();
	PG_RETURN_VOID();
}

/* ----------
 * Does finding one order read a whole table?
 * ----------
 */

static void
warn_of_scans(Source *source, PlannedStmt *stmt, Plan *plan)
{
	ListCell   *lc;

	if (plan == NULL)
		return;
	if (IsA(plan, SeqScan))
	{
		Index		scanrelid = ((SeqScan *) plan)->scan.scanrelid;
		Oid			relid = rt_fetch(scanrelid, stmt->rtable)->relid;
		HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
		float4		rows;

		if (!HeapTupleIsValid(tuple))
			return;
		rows = ((Form_pg_class) GETSTRUCT(tuple))->reltuples;
		ReleaseSysCache(tuple);
		if (rows >= LARGE_TABLE_ROWS)
			ereport(WARNING,
					(errmsg("finding one %s of source \"%s\" reads all of table \"%s\", about %.0f rows",
							source_noun(source), source->sync.name, get_rel_name(relid), rows),
					 source->kind == SOURCE_ORDERS ?
					 errdetail("Every order placed or changed will take that long.") :
					 errdetail("Each time that one is looked up will take that long."),
					 errhint("Create an index on what the %s's id is looked up by.", source_noun(source))));
		return;
	}
	if (IsA(plan, Append))
		foreach(lc, ((Append *) plan)->appendplans)
			warn_of_scans(source, stmt, (Plan *) lfirst(lc));
	if (IsA(plan, MergeAppend))
		foreach(lc, ((MergeAppend *) plan)->mergeplans)
			warn_of_scans(source, stmt, (Plan *) lfirst(lc));
	if (IsA(plan, SubqueryScan))
		warn_of_scans(source, stmt, ((SubqueryScan *) plan)->subplan);
	warn_of_scans(source, stmt, plan->lefttree);
	warn_of_scans(source, stmt, plan->righttree);
}

static void
examine_plan(Source *source, void *arg)
{
	int			guc_level;
	CachedPlan *plan;
	PlannedStmt *stmt;
	ListCell   *lc;

	source_prepare_facts(source, NULL);
	if (source->kind == SOURCE_EVENTS)
		return;					/* read by time, not by key */
	guc_level = own_planner_begin();
	plan = SPI_plan_get_cached_plan(source->one.plan);
	own_planner_end(guc_level);
	if (plan == NULL)
		return;
	stmt = linitial_node(PlannedStmt, plan->stmt_list);
	warn_of_scans(source, stmt, stmt->planTree);
	foreach(lc, stmt->subplans)
		warn_of_scans(source, stmt, (Plan *) lfirst(lc));
	ReleaseCachedPlan(plan, CurrentResourceOwner);
}

/*
 * check_source(source_id) -> boolean: an error unless the source's facts can be
 * planned; warns when finding one order reads a large table.  Tells whether the
 * facts know when an order is completed.
 */
Datum
check_source(PG_FUNCTION_ARGS)
{
	Source	   *source = source_find(PG_GETARG_INT32(0));
	OwnContext	saved;
	bool		maps_completed;

	if (source == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("source %d is not attached", PG_GETARG_INT32(0))));
	own_begin(&saved);
	SPI_connect();
	source_run(source, examine_plan, NULL);
	maps_completed = source->sync.maps_completed;
	SPI_finish();
	own_end(&saved);
	PG_RETURN_BOOL(maps_completed);
}

static void
examine_watch(Source *source, void *arg)
{
	Watch	   *watch = (Watch *) arg;
	MemoryContext caller = CurrentMemoryContext;

	PG_TRY();
	{
		(void) watch_path_plan(watch, watch->relid);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION)
			ReThrowError(error);
		ereport(ERROR,
				(errcode(error->sqlerrcode),
				 errmsg("argument \"order_id\" does not lead from a row of %s to its order: %s",
						get_rel_name(watch->relid), error->message),
				 errdetail("It is: %s", watch->order_id),
				 errhint("Give a column's name, an SQL expression over the row, or a subquery that names the row by its table, \"%s\".",
						 get_rel_name(watch->relid))));
	}
	PG_END_TRY();
}

/*
 * check_watch(watch_id): an error unless the watch's expression can be planned.
 */
Datum
check_watch(PG_FUNCTION_ARGS)
{
	Watch	   *watch = watch_find(PG_GETARG_INT32(0));
	Source	   *source = watch ? source_find(watch->source_id) : NULL;
	OwnContext	saved;

	if (source == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("watch %d does not exist", PG_GETARG_INT32(0))));
	own_begin(&saved);
	SPI_connect();
	source_run(source, examine_watch, watch);
	SPI_finish();
	own_end(&saved);
	PG_RETURN_VOID();
}

/*
 * value_as_owner(relation, query) -> text: the first value that the query gives
 * when run read-only as the owner of the relation; NULL when it gives none.
 */
Datum
value_as_owner(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	char	   *query = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Relation	rel = relation_open(relid, AccessShareLock);
	bool		read_only = XactReadOnly;
	char	   *value = NULL;
	text	   *result = NULL;
	MemoryContext caller = CurrentMemoryContext;
	Oid			user;
	int			sec_context;

	SPI_connect();
	GetUserIdAndSecContext(&user, &sec_context);
	SetUserIdAndSecContext(rel->rd_rel->relowner,
						   sec_context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION | SECURITY_NOFORCE_RLS);
	XactReadOnly = true;
	if (SPI_execute(query, true, 1) != SPI_OK_SELECT)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("it is not a query"),
				 errdetail("The text is: %s", query)));
	if (SPI_processed > 0)
		value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	XactReadOnly = read_only;
	SetUserIdAndSecContext(user, sec_context);

	if (value != NULL)
	{
		MemoryContext spi = MemoryContextSwitchTo(caller);

		result = cstring_to_text(value);
		MemoryContextSwitchTo(spi);
	}
	SPI_finish();
	relation_close(rel, AccessShareLock);
	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(result);
}
