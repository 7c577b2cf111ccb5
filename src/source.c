/*
 * source.c
 *		Attached sources: their settings, and reading their facts.
 *
 * A source's facts query is SQL text that the shop owns; it is planned when it
 * is used, so that the shop's own DDL never meets a dependency of ours.  It
 * runs as the owner of the source's first watched table, as referential
 * integrity checks do, read-only and as a security-restricted operation.
 */
#include "source.h"

#include <ctype.h>

#include "compat.h"
#include "facts.h"
#include "own_query.h"
#include "retention.h"
#include "settings.h"
#include "shop.h"
#include "stored_facts.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/typcache.h"
#include "utils/varlena.h"

static CacheWatch source_watch = {.table = "source"};
static CacheWatch watch_watch = {.table = "watch"};
static MemoryContext source_context = NULL;
static List *sources = NIL;
static List *watches = NIL;

static void read_facts(SyncSource *sync, char **order_ids, int norders, FactsResult *results);

/* Names of the kinds as in retention.source, what a row is, and its key. */
static const struct
{
	const char *name;
	const char *noun;
	const char *key_column;
}			source_kinds[] = {
	[SOURCE_ORDERS] = {"orders", "order", "order_id"},
	[SOURCE_CUSTOMERS] = {"customers", "customer", "customer"},
	[SOURCE_REVIEWS] = {"reviews", "review", "review_id"},
	[SOURCE_LINES] = {"lines", "order", "order_id"},
	[SOURCE_EVENTS] = {"events", "customer", "customer"},
};

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

static SourceKind
read_kind(const char *name)
{
	for (int kind = 0; kind < (int) lengthof(source_kinds); kind++)
	{
		if (strcmp(source_kinds[kind].name, name) == 0)
			return (SourceKind) kind;
	}
	elog(ERROR, "unknown kind of source: \"%s\"", name);
	return SOURCE_ORDERS;		/* keep compiler quiet */
}

static Source *
read_source(SettingsScan *settings)
{
	Source	   *source = (Source *) palloc0(sizeof(Source));
	Datum		value;
	bool		isnull;

	source->sync.source_id = DatumGetInt32(settings_get(settings, "source_id", &isnull));
	source->sync.name = settings_get_text(settings, "name");
	source->sync.keeps_deleted = strcmp(settings_get_text(settings, "on_delete"), "keep") == 0;
	source->sync.attached_at = DatumGetTimestampTz(settings_get(settings, "attached_at", &isnull));
	source->sync.points_from = DatumGetTimestampTz(settings_get(settings, "points_from", &isnull));
	source->sync.read_facts = read_facts;
	source->sync.shop_id = DatumGetInt32(settings_get(settings, "shop_id", &isnull));
	source->facts = settings_get_text(settings, "facts");
	source->kind = read_kind(settings_get_text(settings, "kind"));
	source->orders_source_id = DatumGetInt32(settings_get(settings, "orders_source_id", &isnull));
	value = settings_get(settings, "relation", &isnull);
	source->facts_relid = isnull ? InvalidOid : DatumGetObjectId(value);
	(void) settings_get(settings, "truncated_at", &isnull);
	source->truncated = !isnull;
	return source;
}

static Watch *
read_watch(SettingsScan *settings)
{
	Watch	   *watch = (Watch *) palloc0(sizeof(Watch));
	bool		isnull;

	watch->watch_id = DatumGetInt32(settings_get(settings, "watch_id", &isnull));
	watch->source_id = DatumGetInt32(settings_get(settings, "source_id", &isnull));
	watch->relid = DatumGetObjectId(settings_get(settings, "relation", &isnull));
	watch->order_id = settings_get_text(settings, "order_id");
	watch->column = plain_column(watch->relid, watch->order_id);
	return watch;
}

static int
compare_watches(const ListCell *a, const ListCell *b)
{
	const Watch *wa = (const Watch *) lfirst(a);
	const Watch *wb = (const Watch *) lfirst(b);

	return (wa->watch_id > wb->watch_id) - (wa->watch_id < wb->watch_id);
}

static void
load_sources(void)
{
	SettingsScan settings;
	MemoryContext context;
	MemoryContext caller;
	List	   *loaded_sources = NIL;
	List	   *loaded_watches = NIL;
	ListCell   *lc;
	bool		isnull;

	forget_sources();
	context = AllocSetContextCreate(CurrentMemoryContext, "retention sources",
									ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(context);

	settings_begin(&settings, &source_watch);
	while (settings_next(&settings))
	{
		(void) settings_get(&settings, "detached_at", &isnull);
		if (isnull)
			loaded_sources = lappend(loaded_sources, read_source(&settings));
	}
	settings_end(&settings);

	settings_begin(&settings, &watch_watch);
	while (settings_next(&settings))
		loaded_watches = lappend(loaded_watches, read_watch(&settings));
	settings_end(&settings);
	list_sort(loaded_watches, compare_watches);

	foreach(lc, loaded_watches)
	{
		Watch	   *watch = (Watch *) lfirst(lc);
		ListCell   *ls;

		foreach(ls, loaded_sources)
		{
			Source	   *source = (Source *) lfirst(ls);

			if (source->sync.source_id == watch->source_id && !OidIsValid(source->facts_relid))
				source->facts_relid = watch->relid;
		}
	}
	MemoryContextSwitchTo(caller);

	MemoryContextSetParent(context, CacheMemoryContext);
	source_context = context;
	sources = loaded_sources;
	watches = loaded_watches;
}

static void
ensure_loaded(void)
{
	if (source_context == NULL ||
		!source_watch.valid || !watch_watch.valid)
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

/*
 * By its name, or by the name of the table it was attached to; an error when
 * there is none.
 */
Source *
source_find_by_name(const char *name)
{
	ListCell   *lc;
	Oid			relid = InvalidOid;
	Source	   *found = NULL;	/* of several the orders */
	List	   *names;

	ensure_loaded();
	foreach(lc, sources)
	{
		Source	   *source = (Source *) lfirst(lc);

		if (strcmp(source->sync.name, name) == 0)
			return source;
	}

	if (SplitIdentifierString(pstrdup(name), '.', &names) && list_length(names) <= 3)
		relid = RangeVarGetRelid(makeRangeVarFromNameList(stringToQualifiedNameListCompat(name)),
								 NoLock, true);
	foreach(lc, sources)
	{
		Source	   *source = (Source *) lfirst(lc);

		if (OidIsValid(relid) && source->facts_relid == relid &&
			(found == NULL || source->kind < found->kind))
			found = source;
	}
	if (found != NULL)
		return found;
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("source \"%s\" is not attached", name),
			 errhint("SELECT name FROM retention.source WHERE detached_at IS NULL shows the sources there are.")));
	return NULL;				/* keep compiler quiet */
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

int
source_list(SourceKind kind, int32 shop_id, int32 **source_ids)
{
	ListCell   *lc;
	int			n = 0;

	ensure_loaded();
	*source_ids = (int32 *) palloc(Max(list_length(sources), 1) * sizeof(int32));
	foreach(lc, sources)
	{
		Source	   *source = (Source *) lfirst(lc);

		if (source->kind == kind && source->sync.shop_id == shop_id)
			(*source_ids)[n++] = source->sync.source_id;
	}
	return n;
}

void
source_check_synced(const Source *source)
{
	if (source->kind >= N_SYNCED_KINDS)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("source \"%s\" is read where it is: there is nothing to sync", source->sync.name)));
}

const char *
source_noun(const Source *source)
{
	return source_kinds[source->kind].noun;
}

const char *
source_key_column(const Source *source)
{
	return source_kinds[source->kind].key_column;
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
				 errmsg(source->kind < N_SYNCED_KINDS ?
						"the first watched table of source \"%s\" does not exist any more" :
						"the table of source \"%s\" does not exist any more", source->sync.name),
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

/* The user to return to after running the shop's SQL. */
typedef struct FactsContext
{
	Oid			user;
	int			sec_context;
	bool		read_only;
} FactsContext;

static void
facts_save(FactsContext *saved)
{
	GetUserIdAndSecContext(&saved->user, &saved->sec_context);
	saved->read_only = XactReadOnly;
}

static void
facts_enter(Source *source)
{
	Oid			user;
	int			sec_context;

	GetUserIdAndSecContext(&user, &sec_context);
	SetUserIdAndSecContext(facts_owner(source),
						   sec_context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION | SECURITY_NOFORCE_RLS);
	XactReadOnly = true;
}

static void
facts_leave(const FactsContext *saved)
{
	SetUserIdAndSecContext(saved->user, saved->sec_context);
	XactReadOnly = saved->read_only;
}

/*
 * Run the shop's SQL, as the facts' owner and read-only; errors are raised.
 */
void
source_run(Source *source, GuardedWork work, void *arg)
{
	FactsContext saved;

	facts_save(&saved);
	facts_enter(source);
	work(source, arg);
	facts_leave(&saved);
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
	ErrorData  *volatile error = NULL;
	FactsContext saved;

	facts_save(&saved);
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller_context);

	PG_TRY();
	{
		facts_enter(source);
		work(source, arg);
		facts_leave(&saved);
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
		facts_leave(&saved);
	}
	PG_END_TRY();

	if (error != NULL &&
		(must_be_raised(error) || shop_settings(source->sync.shop_id)->raise_errors))
		ReThrowError(error);
	return error;
}

/* ----------
 * Facts
 * ----------
 */

static Oid
operator_namespace(Oid operator)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	Oid			namespace;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", operator);
	namespace = ((Form_pg_operator) GETSTRUCT(tuple))->oprnamespace;
	ReleaseSysCache(tuple);
	return namespace;
}

/* The facts query with its columns in their known order and types. */
static char *
wrap_facts(Source *source)
{
	FactsColumns columns;

	if (source->kind != SOURCE_ORDERS)
	{
		Oid			types[MAX_STORED_COLUMNS];
		char	   *wrapped = stored_facts_wrap(source, types);

		source->id_type = types[0];
		return wrapped;
	}

	facts_describe(source->facts, &columns);
	source->id_type = columns.type[FACT_ORDER_ID];
	source->sync.maps_completed = facts_maps_state(&columns, ORDER_COMPLETED);
	source->sync.maps_refund_of = columns.type[FACT_REFUND_OF] != InvalidOid;
	return facts_wrap(source->facts, &columns);
}

void
source_prepare_facts(Source *source, void *arg)
{
	char	   *wrapped;
	const char *key = source_key_column(source);
	Oid			array_type;
	Oid			equals;
	char	   *equals_name;
	SPIPlanPtr	plan_one;
	SPIPlanPtr	plan_many;

	if (source->plan_one != NULL)
		return;

	/* By the id type's own equality: a cast in the filter would hide its index. */
	wrapped = wrap_facts(source);
	array_type = get_array_type(source->id_type);
	equals = lookup_type_cache(source->id_type, TYPECACHE_EQ_OPR)->eq_opr;
	equals_name = psprintf("OPERATOR(%s.%s)", quote_identifier(get_namespace_name(operator_namespace(equals))),
						   get_opname(equals));
	plan_one = SPI_prepare_cursor(psprintf("%s WHERE f.%s %s $1", wrapped, key, equals_name),
								  1, &source->id_type, CURSOR_OPT_GENERIC_PLAN);
	plan_many = SPI_prepare_cursor(psprintf("%s WHERE f.%s %s ANY ($1)", wrapped, key, equals_name),
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

char *
source_list_query(Source *source)
{
	FactsColumns columns;

	if (source->kind != SOURCE_ORDERS)
		return stored_facts_list_query(source);
	facts_describe(source->facts, &columns);
	return facts_list_query(source->facts, &columns);
}

Datum
source_key_datum(Source *source, char *order_id)
{
	Oid			input;
	Oid			ioparam;

	getTypeInputInfo(source->id_type, &input, &ioparam);
	return OidInputFunctionCall(input, order_id, ioparam, -1);
}

/*
 * Whether a text can be a key of the facts; where only its input function knows,
 * true.
 */
bool
source_may_have_key(Source *source, const char *key)
{
	const char *p = key;
	int			digits = 0;

	switch (source->id_type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			{
				int64		limit = source->id_type == INT2OID ? PG_INT16_MAX :
					source->id_type == INT4OID ? PG_INT32_MAX : PG_INT64_MAX;
				int64		value;

				if (*p == '-')
					p++;
				if (*p == '\0' || strspn(p, "0123456789") != strlen(p))
					return false;
				errno = 0;
				value = strtoll(key, NULL, 10);
				return errno == 0 && value <= limit && value >= -limit - 1;
			}
		case UUIDOID:
			for (; *p != '\0'; p++)
			{
				if (isxdigit((unsigned char) *p))
					digits++;
				else if (*p != '-')
					return false;
			}
			return digits == 32;
		default:
			return true;
	}
}

Datum
source_key_array(Source *source, char **keys, int nkeys)
{
	Datum	   *ids = (Datum *) palloc(Max(nkeys, 1) * sizeof(Datum));
	int16		typlen;
	bool		typbyval;
	char		typalign;

	for (int i = 0; i < nkeys; i++)
		ids[i] = source_key_datum(source, keys[i]);
	get_typlenbyvalalign(source->id_type, &typlen, &typbyval, &typalign);
	return PointerGetDatum(construct_array(ids, nkeys, source->id_type,
										   typlen, typbyval, typalign));
}

typedef struct ReadKeys
{
	char	  **keys;
	int			nkeys;
	int			first;			/* number of the first key among all */
	SourceRead *read;
} ReadKeys;

static void
run_facts(Source *source, void *arg)
{
	ReadKeys   *read = (ReadKeys *) arg;
	SPIPlanPtr	plan;
	Datum		param;
	int			guc_level = 0;
	int			result;

	source_prepare_facts(source, NULL);
	if (read->nkeys == 1)
	{
		plan = source->plan_one;
		param = source_key_datum(source, read->keys[0]);
	}
	else
	{
		plan = source->plan_many;
		param = source_key_array(source, read->keys, read->nkeys);
	}

	if (!source->planned)
		guc_level = own_planner_begin();
	result = own_execute_latest(plan, &param, NULL);
	if (!source->planned)
	{
		own_planner_end(guc_level);
		source->planned = true;
	}
	if (result != SPI_OK_SELECT)
		elog(ERROR, "facts query of source \"%s\" failed: %s", source->sync.name,
			 SPI_result_code_string(result));

	read->read->take(source, read->keys, read->nkeys, read->read->results, read->first);
}

void
source_read(Source *source, char **keys, int nkeys, SourceRead *read)
{
	ReadKeys	all = {keys, nkeys, 0, read};
	ErrorData  *error = source_run_guarded(source, run_facts, &all);

	/* The shop's tables may have changed under the plan: make a new one. */
	if (error != NULL)
	{
		forget_plans(source);
		error = source_run_guarded(source, run_facts, &all);
	}
	if (error == NULL)
		return;

	/* One bad row must not keep the others back. */
	for (int i = 0; i < nkeys; i++)
	{
		ReadKeys	one = {&keys[i], 1, i, read};

		if (nkeys > 1)
			error = source_run_guarded(source, run_facts, &one);
		if (error != NULL)
			read->fail(read->results, i, error);
	}
}

static void
take_orders(Source *source, char **keys, int nkeys, void *results, int i)
{
	facts_from_result(source->sync.shop_id, keys, nkeys, (FactsResult *) results + i);
}

static void
fail_order(void *results, int i, const ErrorData *error)
{
	FactsResult *result = (FactsResult *) results + i;

	memset(result, 0, sizeof(FactsResult));
	result->status = FACTS_FAILED;
	strlcpy(result->sqlstate, unpack_sql_state(error->sqlerrcode), sizeof(result->sqlstate));
	result->message = pstrdup(error->message ? error->message : "unknown error");
}

static void
read_facts(SyncSource *sync, char **order_ids, int norders, FactsResult *results)
{
	SourceRead	read = {take_orders, fail_order, results};

	source_read((Source *) sync, order_ids, norders, &read);
}
