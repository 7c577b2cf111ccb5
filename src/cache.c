/*
 * cache.c
 *		Settings kept in backend memory and forgotten when their table changes.
 *
 * Each such table has a statement trigger, invalidate_cache(), that sends a
 * relation cache invalidation for it.  PostgreSQL delivers that to this
 * session at the end of the command and again on rollback, and to all others
 * on commit: just the visibility that a cache of settings needs.
 */
#include "cache.h"

#include "retention.h"

#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(invalidate_cache);

static CacheWatch *watches = NULL;
static bool callback_registered = false;

static void
forget_relation(Datum arg, Oid relid)
{
	for (CacheWatch *watch = watches; watch != NULL; watch = watch->next)
	{
		if (relid == InvalidOid || relid == watch->relid)
			watch->valid = false;
	}
}

/*
 * Mark the cache as good from now on: a change that arrives while the table is
 * being read marks it stale again.
 */
void
cache_begin_read(CacheWatch *watch)
{
	bool		known = false;

	if (!callback_registered)
	{
		CacheRegisterRelcacheCallback(forget_relation, (Datum) 0);
		callback_registered = true;
	}

	for (CacheWatch *w = watches; w != NULL; w = w->next)
		known |= (w == watch);
	if (!known)
	{
		watch->next = watches;
		watches = watch;
	}

	watch->relid = retention_relation(watch->table);
	watch->valid = true;
}

void
cache_retire(MemoryContext context)
{
	MemoryContextSetParent(context, TopTransactionContext);
}

/*
 * invalidate_cache(): statement trigger on a table that sessions cache.
 */
Datum
invalidate_cache(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager", "invalidate_cache")));

	CacheInvalidateRelcache(trigdata->tg_relation);
	return PointerGetDatum(NULL);
}
