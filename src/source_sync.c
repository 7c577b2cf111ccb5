/*
 * source_sync.c
 *		Bringing what a source's facts say of some keys up to date, each key
 *		once and spelled as the facts spell it; or remembering that nobody
 *		knows which keys changed.
 */
#include "source.h"

#include "own_query.h"
#include "profile.h"
#include "review.h"
#include "shop.h"
#include "version.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

static OwnQuery remember_untraced = {
	"INSERT INTO retention.sync_error AS e (source_id, order_id, sqlstate, message)"
	" VALUES ($1, '*', $2, $3)"
	" ON CONFLICT (source_id, order_id) DO UPDATE"
	" SET sqlstate = EXCLUDED.sqlstate, message = EXCLUDED.message,"
	" last_failed_at = EXCLUDED.last_failed_at, attempts = e.attempts + 1",
	3, {"int4", "text", "text"}
};

/* Names only what every version of the tables has; tells what shop it is. */
static OwnQuery remember_unread = {
	"WITH remembered AS ("
	"INSERT INTO retention.sync_error (source_id, order_id, sqlstate, message)"
	" SELECT w.source_id, '*', '55000', $2"
	" FROM retention.watch w"
	" WHERE w.watch_id = $1"
	" ON CONFLICT DO NOTHING)"
	" SELECT s.name, h.on_error = 'raise'"
	" FROM retention.watch w"
	" JOIN retention.source s ON s.source_id = w.source_id"
	" JOIN retention.shop h ON h.shop_id = s.shop_id"
	" WHERE w.watch_id = $1",
	2, {"int4", "text"}
};

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
	CoercionPathType path;
	Oid			cast;
	Oid			output;
	bool		is_varlena;

	source_prepare_facts(source, NULL);
	if (source->id_type == TEXTOID || source->id_type == VARCHAROID)
		return;

	/* The cast to text is what the query uses; it may differ from the output. */
	path = find_coercion_pathway(TEXTOID, getBaseType(source->id_type), COERCION_EXPLICIT, &cast);
	getTypeOutputInfo(source->id_type, &output, &is_varlena);
	for (int i = 0; i < ids->norders; i++)
	{
		Datum		id = source_key_datum(source, ids->order_ids[i]);
		char	   *spelled;

		if (path == COERCION_PATH_FUNC)
			spelled = TextDatumGetCString(OidFunctionCall1(cast, id));
		else
			spelled = OidOutputFunctionCall(output, id);
		ids->order_ids[i] = MemoryContextStrdup(ids->context, spelled);
	}
}

/* Spelled so already, as ids from a column of the same type are. */
static bool
is_spelled(Oid id_type, const char *order_id)
{
	switch (id_type)
	{
		case TEXTOID:
		case VARCHAROID:
			return true;
		case INT2OID:
		case INT4OID:
		case INT8OID:
			return order_id[0] >= '1' && order_id[0] <= '9' &&
				strspn(order_id, "0123456789") == strlen(order_id);
		default:
			return false;
	}
}

static bool
all_spelled(Source *source, char **order_ids, int norders)
{
	if (source->one.plan == NULL)
		return false;
	for (int i = 0; i < norders; i++)
	{
		if (!is_spelled(source->id_type, order_ids[i]))
			return false;
	}
	return true;
}

static int
compare_ids(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

/*
 * Bring the orders, customers or reviews named up to date, each once.
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
	own_set_time_zone(shop_settings(source->sync.shop_id)->time_zone);
	if (!all_spelled(source, order_ids, norders))
	{
		SPI_connect();
		/* With broken facts the ids stay as they are, to be remembered so. */
		(void) source_run_guarded(source, spell_ids, &ids);
		SPI_finish();
	}

	if (norders > 1)
		qsort(ids.order_ids, norders, sizeof(char *), compare_ids);
	for (int i = 0; i < norders; i++)
	{
		if (n == 0 || strcmp(ids.order_ids[n - 1], ids.order_ids[i]) != 0)
			ids.order_ids[n++] = ids.order_ids[i];
	}
	if (source->kind == SOURCE_ORDERS)
		sync_orders(&source->sync, ids.order_ids, n, counts);
	else if (source->kind == SOURCE_CUSTOMERS)
		profiles_sync(source, ids.order_ids, n, counts);
	else if (source->kind == SOURCE_REVIEWS)
		reviews_sync(source, ids.order_ids, n, counts);
	own_end(&saved);
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
			 errmsg("a change could not be traced to %ss of source \"%s\": %s",
					source_noun(source), source->sync.name, error->message ? error->message : "unknown error"),
			 errdetail("What was written to the shop's tables stands; the source is marked in retention.sync_error."),
			 errhint("Mend the watch, then: SELECT retention.resync(%s).",
					 quote_literal_cstr(source->sync.name))));
}

/*
 * A change came while library and SQL objects do not belong together: the
 * shop goes on, unless it wants otherwise, and the source is settled later.
 */
void
source_remember_unread(int32 watch_id)
{
	char	   *message = versions_message();
	char	   *name = NULL;
	MemoryContext caller = CurrentMemoryContext;
	OwnContext	saved;
	Datum		args[2];

	own_begin_any_version(&saved);
	SPI_connect();
	args[0] = Int32GetDatum(watch_id);
	args[1] = CStringGetTextDatum(message);
	if (own_execute(&remember_unread, args, NULL) > 0)
	{
		if (own_bool(SPI_tuptable->vals[0], 2))
			versions_check();
		name = MemoryContextStrdup(caller, own_text(SPI_tuptable->vals[0], 1));
	}
	SPI_finish();
	own_end(&saved);

	if (name != NULL)
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("a change could not be read: %s", message),
				 errdetail("What was written to the shop's tables stands; the source \"%s\" is marked in retention.sync_error.", name),
				 errhint("ALTER EXTENSION retention UPDATE, and let sessions that are older reconnect; then: SELECT retention.resync(%s).",
						 quote_literal_cstr(name))));
}
