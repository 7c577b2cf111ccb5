/*
 * sync_error.c
 *		Remembering what could not be synced, for resync() to try again.
 */
#include "sync_error.h"

#include "own_query.h"
#include "shop.h"

#include "utils/builtins.h"

static OwnQuery write_errors = {
	"INSERT INTO retention.sync_error AS e (source_id, order_id, sqlstate, message)"
	" SELECT $1, u.* FROM unnest($2, $3, $4) AS u (order_id, sqlstate, message)"
	" ON CONFLICT (source_id, order_id) DO UPDATE"
	" SET sqlstate = EXCLUDED.sqlstate, message = EXCLUDED.message,"
	" last_failed_at = EXCLUDED.last_failed_at, attempts = e.attempts + 1",
	4, {"int4", "text[]", "text[]", "text[]"}
};

static OwnQuery clear_errors = {
	"DELETE FROM retention.sync_error WHERE source_id = $1 AND order_id = ANY ($2)",
	2, {"int4", "text[]"}
};

void
sync_errors_begin(SyncErrors *errors, const SyncSource *source, const char *noun, int n)
{
	errors->source = source;
	errors->noun = noun;
	errors->failed = (char **) palloc(Max(n, 1) * sizeof(char *));
	errors->sqlstates = (char **) palloc(Max(n, 1) * sizeof(char *));
	errors->messages = (char **) palloc(Max(n, 1) * sizeof(char *));
	errors->mended = (char **) palloc(Max(n, 1) * sizeof(char *));
	errors->nfailed = 0;
	errors->nmended = 0;
}

void
sync_errors_add(SyncErrors *errors, char *key, char *sqlstate, char *message)
{
	if (strlen(key) > MAX_ID_BYTES)
	{
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("%s %s of source \"%s\" could not be synced, nor remembered: its id has %zu bytes, at most %d are kept",
						strcmp(errors->noun, "order") == 0 ? "an" : "a", errors->noun,
						errors->source->name, strlen(key), MAX_ID_BYTES)));
		return;
	}
	errors->failed[errors->nfailed] = key;
	errors->sqlstates[errors->nfailed] = sqlstate;
	errors->messages[errors->nfailed++] = message;
}

void
sync_errors_mended(SyncErrors *errors, char *key)
{
	errors->mended[errors->nmended++] = key;
}

void
sync_errors_write(SyncErrors *errors)
{
	const char *name = errors->source->name;
	Datum		args[4];

	if (errors->nfailed > 0 && shop_settings(errors->source->shop_id)->raise_errors)
	{
		const char *sqlstate = errors->sqlstates[0];

		ereport(ERROR,
				(errcode(MAKE_SQLSTATE(sqlstate[0], sqlstate[1], sqlstate[2],
									   sqlstate[3], sqlstate[4])),
				 errmsg("%s \"%s\" of source \"%s\" could not be synced: %s",
						errors->noun, errors->failed[0], name, errors->messages[0]),
				 errhint("The shop's on_error is 'raise'; with 'warn' the write goes through and the %s is remembered in retention.sync_error.",
						 errors->noun)));
	}

	args[0] = Int32GetDatum(errors->source->source_id);
	if (errors->nfailed > 0)
	{
		args[1] = own_text_array(errors->failed, errors->nfailed);
		args[2] = own_text_array(errors->sqlstates, errors->nfailed);
		args[3] = own_text_array(errors->messages, errors->nfailed);
		own_execute(&write_errors, args, NULL);
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errors->nfailed == 1 ?
				 errmsg("%s \"%s\" of source \"%s\" could not be synced: %s",
						errors->noun, errors->failed[0], name, errors->messages[0]) :
				 errmsg("%d %ss of source \"%s\" could not be synced, the first being \"%s\": %s",
						errors->nfailed, errors->noun, name, errors->failed[0],
						errors->messages[0]),
				 errdetail("What was written to the shop's tables stands; what is due is remembered in retention.sync_error."),
				 errhint("Mend the cause, then: SELECT retention.resync(%s).",
						 quote_literal_cstr(name))));
	}
	if (errors->nmended > 0)
	{
		args[1] = own_text_array(errors->mended, errors->nmended);
		own_execute(&clear_errors, args, NULL);
	}
}
