/*
 * source.c
 *		The cache of attached sources and their watches: what retention.source
 *		and retention.watch say of them.
 */
#include "source.h"

#include "compat.h"
#include "settings.h"

#include "catalog/namespace.h"
#include "executor/spi.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/varlena.h"

static CacheWatch source_watch = {.table = "source"};
static CacheWatch watch_watch = {.table = "watch"};
static MemoryContext source_context = NULL;
static List *sources = NIL;
static List *watches = NIL;

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

static void
forget_plan(FactsPlan *plan)
{
	if (plan->plan != NULL)
		SPI_freeplan(plan->plan);
	plan->plan = NULL;
	plan->planned = false;
}

void
source_forget_plans(Source *source)
{
	forget_plan(&source->one);
	forget_plan(&source->many);
	forget_plan(&source->owners);
}

/* What was loaded together, with plans that are not in its memory. */
typedef struct Loaded
{
	MemoryContextCallback callback;
	List	   *sources;
	List	   *watches;
} Loaded;

static void
free_plans(void *arg)
{
	Loaded	   *loaded = (Loaded *) arg;
	ListCell   *lc;

	foreach(lc, loaded->sources)
		source_forget_plans((Source *) lfirst(lc));
	foreach(lc, loaded->watches)
	{
		ListCell   *path;

		foreach(path, ((Watch *) lfirst(lc))->paths)
			SPI_freeplan(((WatchPath *) lfirst(path))->plan);
	}
}

static void
forget_sources(void)
{
	sources = NIL;
	watches = NIL;
	if (source_context != NULL)
		cache_retire(source_context);
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
	source->sync.read_facts = source_read_orders;
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
	Loaded	   *loaded;
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
	loaded = (Loaded *) palloc0(sizeof(Loaded));
	loaded->sources = loaded_sources;
	loaded->watches = loaded_watches;
	loaded->callback.func = free_plans;
	loaded->callback.arg = loaded;
	MemoryContextRegisterResetCallback(context, &loaded->callback);
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
