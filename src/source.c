/*
 * source.c
 *		Attached sources: their settings, and reading an order's facts.
 *
 * A source's facts query is SQL text that the shop owns; it is planned when it
 * is used, so that the shop's own DDL never meets a dependency of ours.  It
 * runs as the owner of the source's first watched table, as referential
 * integrity checks do, read-only and as a security-restricted operation.
 */
#include "source.h"

#include "cache.h"
#include "compat.h"
#include "facts.h"
#include "own_query.h"
#include "retention.h"
#include "shop_settings.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

static CacheWatch source_watch = {"source"};
static CacheWatch watch_watch = {"watch"};
static CacheWatch shop_watch = {"shop"};
static MemoryContext source_context = NULL;
static List *sources = NIL;
static List *watches = NIL;

static OwnQuery read_sources = {
	"SELECT s.source_id, s.shop_id, s.name, s.facts, s.on_delete = 'keep',"
	" s.attached_at, s.points_from, s.truncated_at IS NOT NULL, h.time_zone"
	" FROM retention.source s"
	" JOIN retention.shop h ON h.shop_id = s.shop_id",
	0, {NULL}
};

static OwnQuery read_watches = {
	"SELECT watch_id, source_id, relation::pg_catalog.oid, order_id"
	" FROM retention.watch"
	" ORDER BY watch_id",
	0, {NULL}
};

static OwnQuery remember_untraced = {
	"INSERT INTO retention.sync_error AS e (source_id, order_id, sqlstate, message)"
	" VALUES ($1, '*', $2, $3)"
	" ON CONFLICT (source_id, order_id) DO UPDATE"
	" SET sqlstate = EXCLUDED.sqlstate, message = EXCLUDED.message,"
	" last_failed_at = EXCLUDED.last_failed_at, attempts = e.attempts + 1",
	3, {"int4", "text", "text"}
};

static void read_facts(SyncSource *sync, char **order_ids, int norders, FactsResult *results);

/* ----------
 * The cache of sources and watches
 * ----------
 */

static void
forget_plans(Source *source)
{
	if (source->plan_one != NULL)
		SPI_freeplan(source->plan_one);
	if (source->plan_many != NULL)
		SPI_freeplan(source->plan_many);
	source->plan_one = NULL;
	source->plan_many = NULL;
	source->planned = false;
}

static void
forget_sources(void)
{
	ListCell   *lc;

	foreach(lc, sources)
		forget_plans((Source *) lfirst(lc));
	foreach(lc, watches)
	{
		ListCell   *path;

		foreach(path, ((Watch *) lfirst(lc))->paths)
			SPI_freeplan(((WatchPath *) lfirst(path))->plan);
	}
	sources = NIL;
	watches = NIL;
	if (source_context != NULL)
		MemoryContextDelete(source_context);
	source_context = NULL;
}

/* The column that an expression is, when it is nothing more; otherwise NULL. */
static char *
plain_column(Oid relid, const char *expression)
{
	List	   *names = NIL;
	char	   *copy = pstrdup(expression);
	char	   *name;

	/* A comma makes a list of names, anything else that is no name fails. */
	if (!SplitIdentifierString(copy, ',', &names) || list_length(names) != 1)
		return NULL;
	name = (char *) linitial(names);
	if (get_attnum(relid, name) <= 0)
		return NULL;
	return pstrdup(name);
}

static void
load_sources(void)
{
	OwnContext	saved;
	MemoryContext context;
	MemoryContext caller;
	List	   *loaded_sources = NIL;
	List	   *loaded_watches = NIL;
	ListCell   *lc;
	int			n;

	forget_sources();
	cache_begin_read(&source_watch);
	cache_begin_read(&watch_watch);
	cache_begin_read(&shop_watch);

	own_begin(&saved);
	SPI_connect();
	context = AllocSetContextCreate(CurrentMemoryContext, "retention sources",
									ALLOCSET_SMALL_SIZES);
	n = (int) own_execute(&read_sources, NULL, NULL);
	caller = MemoryContextSwitchTo(context);
	for (int i = 0; i < n; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		Source	   *source = (Source *) palloc0(sizeof(Source));

		source->sync.source_id = (int32) own_int64(tuple, 1);
		source->shop_id = (int32) own_int64(tuple, 2);
		source->sync.name = own_text(tuple, 3);
		source->facts = own_text(tuple, 4);
		source->sync.keeps_deleted = own_bool(tuple, 5);
		source->sync.attached_at = own_time(tuple, 6);
		source->sync.points_from = own_time(tuple, 7);
		source->truncated = own_bool(tuple, 8);
		source->sync.time_zone = own_text(tuple, 9);
		source->sync.read_facts = read_facts;
		loaded_sources = lappend(loaded_sources, source);
	}
	MemoryContextSwitchTo(caller);

	n = (int) own_execute(&read_watches, NULL, NULL);
	caller = MemoryContextSwitchTo(context);
	for (int i = 0; i < n; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		Watch	   *watch = (Watch *) palloc0(sizeof(Watch));
		bool		isnull;

		watch->watch_id = (int32) own_int64(tuple, 1);
		watch->source_id = (int32) own_int64(tuple, 2);
		watch->relid = DatumGetObjectId(own_copy(tuple, 3, &isnull));
		watch->order_id = own_text(tuple, 4);
		watch->column = plain_column(watch->relid, watch->order_id);
		loaded_watches = lappend(loaded_watches, watch);

		foreach(lc, loaded_sources)
		{
			Source	   *source = (Source *) lfirst(lc);

			if (source->sync.source_id == watch->source_id && !OidIsValid(source->facts_relid))
				source->facts_relid = watch->relid;
		}
	}
	MemoryContextSwitchTo(caller);
	MemoryContextSetParent(context, CacheMemoryContext);
	SPI_finish();
	own_end(&saved);

	source_context = context;
	sources = loaded_sources;
	watches = loaded_watches;
}

static void
ensure_loaded(void)
{
	if (source_context == NULL ||
		!source_watch.valid || !watch_watch.valid || !shop_watch.valid)
		load_sources();
}

/* NULL when there is no such source. */
Source *
source_find(int32 source_id)
{
	ListCell   *lc;

	ensure_loaded();
	foreach(lc, sources)
	{
		Source	   *source = (Source *) lfirst(lc);

		if (source->sync.source_id == source_id)
			return source;
	}
	return NULL;
}

/* NULL when there is no such watch. */
Watch *
watch_find(int32 watch_id)
{
	ListCell   *lc;

	ensure_loaded();
	foreach(lc, watches)
	{
		Watch	   *watch = (Watch *) lfirst(lc);

		if (watch->watch_id == watch_id)
			return watch;
	}
	return NULL;
}

MemoryContext
source_memory(void)
{
	return source_context;
}

/* ----------
 * Running the shop's SQL
 * ----------
 */

static Oid
facts_owner(Source *source)
{
	HeapTuple	tuple;
	Oid			owner;

	if (!OidIsValid(source->facts_relid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("source \"%s\" watches no table", source->sync.name),
				 errhint("SELECT retention.watch(%s, 'schema.table', order_id => '...').",
						 quote_literal_cstr(source->sync.name))));
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(source->facts_relid));
	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the first watched table of source \"%s\" does not exist any more", source->sync.name),
				 errhint("SELECT retention.detach(%s) and attach it anew.",
						 quote_literal_cstr(source->sync.name))));
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * Failures that are no fault of the shop's SQL, and that swallowing would only
 * hide: the whole transaction has to go.
 */
static bool
must_be_raised(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_TRANSACTION_ROLLBACK:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_SYSTEM_ERROR:
		case ERRCODE_INTERNAL_ERROR:
			return true;
		default:
			return false;
	}
}

/*
 * Run the shop's SQL in a subtransaction, as the facts' owner and read-only.
 * Returns NULL, or the error as it would have been raised; with on_error =
 * 'raise' it is.  What work allocates in the caller's context stays.
 */
ErrorData *
source_run_guarded(Source *source, GuardedWork work, void *arg)
{
	MemoryContext caller_context = CurrentMemoryContext;
	ResourceOwner caller_owner = CurrentResourceOwner;
	ErrorData  *error = NULL;
	Oid			user;
	int			sec_context;

	GetUserIdAndSecContext(&user, &sec_context);
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller_context);

	PG_TRY();
	{
		SetUserIdAndSecContext(facts_owner(source),
							   sec_context | SECURITY_LOCAL_USERID_CHANGE |
							   SECURITY_RESTRICTED_OPERATION | SECURITY_NOFORCE_RLS);

		/* The end of the subtransaction, whichever, puts this back. */
		XactReadOnly = true;
		work(source, arg);

		SetUserIdAndSecContext(user, sec_context);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(caller_context);
		CurrentResourceOwner = caller_owner;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller_context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(caller_context);
		CurrentResourceOwner = caller_owner;
		SetUserIdAndSecContext(user, sec_context);
	}
	PG_END_TRY();

	if (error != NULL &&
		(must_be_raised(error) || shop_settings(source->shop_id)->raise_errors))
		ReThrowError(error);
	return error;
}

/* ----------
 * Facts
 * ----------
 */

typedef struct ReadFacts
{
	char	  **order_ids;
	int			norders;
	FactsResult *results;
} ReadFacts;

static void
prepare_facts(Source *source)
{
	char	   *wrapped;
	Oid			array_type;
	SPIPlanPtr	plan_one;
	SPIPlanPtr	plan_many;
	FactsColumns columns;

	if (source->plan_one != NULL)
		return;

	facts_describe(source->facts, &columns);
	source->id_type = columns.type[FACT_ORDER_ID];
	source->sync.maps_completed = facts_maps_state(&columns, ORDER_COMPLETED);
	source->sync.maps_refund_of = columns.type[FACT_REFUND_OF] != InvalidOid;
	array_type = get_array_type(source->id_type);

	/* In the id's own type: a cast in the filter would hide its index. */
	wrapped = facts_wrap(source->facts, &columns);
	plan_one = SPI_prepare_cursor(psprintf("%s WHERE f.order_id OPERATOR(pg_catalog.=) $1", wrapped),
								  1, &source->id_type, CURSOR_OPT_GENERIC_PLAN);
	plan_many = SPI_prepare_cursor(psprintf("%s WHERE f.order_id OPERATOR(pg_catalog.=) ANY ($1)", wrapped),
								   1, &array_type, CURSOR_OPT_GENERIC_PLAN);
	if (plan_one == NULL || plan_many == NULL)
		elog(ERROR, "could not prepare the facts of source \"%s\": %s", source->sync.name,
			 SPI_result_code_string(SPI_result));
	SPI_keepplan(plan_one);
	SPI_keepplan(plan_many);
	source->plan_one = plan_one;
	source->plan_many = plan_many;
	source->planned = false;
}

static Datum
id_datum(Source *source, char *order_id)
{
	Oid			input;
	Oid			ioparam;

	getTypeInputInfo(source->id_type, &input, &ioparam);
	return OidInputFunctionCall(input, order_id, ioparam, -1);
}

static void
run_facts(Source *source, void *arg)
{
	ReadFacts  *read = (ReadFacts *) arg;
	SPIPlanPtr	plan;
	Datum		param;
	int			guc_level = 0;
	int			result;

	prepare_facts(source);
	if (read->norders == 1)
	{
		plan = source->plan_one;
		param = id_datum(source, read->order_ids[0]);
	}
	else
	{
		Datum	   *ids = (Datum *) palloc(read->norders * sizeof(Datum));
		int16		typlen;
		bool		typbyval;
		char		typalign;

		for (int i = 0; i < read->norders; i++)
			ids[i] = id_datum(source, read->order_ids[i]);
		get_typlenbyvalalign(source->id_type, &typlen, &typbyval, &typalign);
		plan = source->plan_many;
		param = PointerGetDatum(construct_array(ids, read->norders, source->id_type,
												typlen, typbyval, typalign));
	}

	if (!source->planned)
		guc_level = own_planner_begin();
	result = SPI_execute_plan(plan, &param, NULL, false, 0);
	if (!source->planned)
	{
		own_planner_end(guc_level);
		source->planned = true;
	}
	if (result != SPI_OK_SELECT)
		elog(ERROR, "facts query of source \"%s\" failed: %s", source->sync.name,
			 SPI_result_code_string(result));

	facts_from_result(source->shop_id, read->order_ids, read->norders, read->results);
}

static void
fail_order(FactsResult *result, const ErrorData *error)
{
	memset(result, 0, sizeof(FactsResult));
	result->status = FACTS_FAILED;
	strlcpy(result->sqlstate, unpack_sql_state(error->sqlerrcode), sizeof(result->sqlstate));
	result->message = pstrdup(error->message ? error->message : "unknown error");
}

static void
read_facts(SyncSource *sync, char **order_ids, int norders, FactsResult *results)
{
	Source	   *source = (Source *) sync;
	ReadFacts	read = {order_ids, norders, results};
	ErrorData  *error = source_run_guarded(source, run_facts, &read);

	/* The shop's tables may have changed under the plan: make a new one. */
	if (error != NULL)
	{
		forget_plans(source);
		error = source_run_guarded(source, run_facts, &read);
	}
	if (error == NULL)
		return;

	/* One bad order must not keep the others back. */
	for (int i = 0; i < norders; i++)
	{
		ReadFacts	one = {&order_ids[i], 1, &results[i]};

		if (norders > 1)
			error = source_run_guarded(source, run_facts, &one);
		if (error != NULL)
			fail_order(&results[i], error);
	}
}

/* ----------
 * Syncing
 * ----------
 */

typedef struct SpellIds
{
	MemoryContext context;		/* where the spelled ids are to live */
	char	  **order_ids;
	int			norders;
} SpellIds;

/*
 * Spell ids as the facts query does: '042' and '42.0' are order 42 of a shop
 * whose ids are integers.
 */
static void
spell_ids(Source *source, void *arg)
{
	SpellIds   *ids = (SpellIds *) arg;
	Oid			output;
	bool		is_varlena;

	prepare_facts(source);
	if (source->id_type == TEXTOID || source->id_type == VARCHAROID)
		return;
	getTypeOutputInfo(source->id_type, &output, &is_varlena);
	for (int i = 0; i < ids->norders; i++)
	{
		char	   *spelled = OidOutputFunctionCall(output, id_datum(source, ids->order_ids[i]));

		/* As the cast to text does, and the output function does not. */
		if (source->id_type == BPCHAROID)
		{
			int			len = strlen(spelled);

			while (len > 0 && spelled[len - 1] == ' ')
				spelled[--len] = '\0';
		}
		ids->order_ids[i] = MemoryContextStrdup(ids->context, spelled);
	}
}

static int
compare_ids(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

/*
 * Bring the orders named up to date, each once.
 */
void
source_sync(Source *source, char **order_ids, int norders, SyncCounts *counts)
{
	OwnContext	saved;
	SpellIds	ids;
	int			n = 0;

	if (norders == 0)
		return;

	ids.order_ids = (char **) palloc(norders * sizeof(char *));
	memcpy(ids.order_ids, order_ids, norders * sizeof(char *));
	ids.norders = norders;
	ids.context = CurrentMemoryContext;

	own_begin(&saved);
	SPI_connect();

	/* With broken facts the ids stay as they are, to be remembered so. */
	(void) source_run_guarded(source, spell_ids, &ids);
	SPI_finish();
	own_end(&saved);

	if (norders > 1)
		qsort(ids.order_ids, norders, sizeof(char *), compare_ids);
	for (int i = 0; i < norders; i++)
	{
		if (n == 0 || strcmp(ids.order_ids[n - 1], ids.order_ids[i]) != 0)
			ids.order_ids[n++] = ids.order_ids[i];
	}
	sync_orders(&source->sync, ids.order_ids, n, counts);
}

/*
 * A watch's expression failed, so nobody knows which orders changed: remember
 * that all of them may have.
 */
void
source_remember_untraced(Source *source, ErrorData *error)
{
	OwnContext	saved;
	Datum		args[3];

	own_begin(&saved);
	SPI_connect();
	args[0] = Int32GetDatum(source->sync.source_id);
	args[1] = CStringGetTextDatum(unpack_sql_state(error->sqlerrcode));
	args[2] = CStringGetTextDatum(error->message ? error->message : "unknown error");
	own_execute(&remember_untraced, args, NULL);
	SPI_finish();
	own_end(&saved);

	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 errmsg("a change could not be traced to orders of source \"%s\": %s",
					source->sync.name, error->message ? error->message : "unknown error"),
			 errdetail("What was written to the shop's tables stands; the source is marked in retention.sync_error."),
			 errhint("Mend the watch, then: SELECT retention.resync(%s).",
					 quote_literal_cstr(source->sync.name))));
}
