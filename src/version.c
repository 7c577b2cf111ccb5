/*
 * version.c
 *		Whether the library and the SQL objects it serves belong together.
 *
 * The library is replaced by a package, at once for new sessions and never for
 * those that have loaded the old one; the SQL objects by ALTER EXTENSION
 * UPDATE.  In between, statements of ours may name what is not there.  No
 * catalog cache tells of changes to pg_extension, so its row is read once in
 * each transaction.
 */
#include "version.h"

#include "retention.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(library_version);
PG_FUNCTION_INFO_V1(library_fits);

static bool agreed = false;		/* found so in this transaction */
static bool callback_registered = false;

/* The version of the SQL objects, NULL when the extension is not there. */
static char *
sql_version(void)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	char	   *version = NULL;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("retention"));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		value = heap_getattr(tuple, Anum_pg_extension_extversion,
										 RelationGetDescr(rel), &isnull);

		version = isnull ? NULL : TextDatumGetCString(value);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return version;
}

/* The length of a version without its last number: of "0.1.2", that of "0.1". */
static size_t
series_length(const char *version)
{
	const char *last = strrchr(version, '.');

	return last ? (size_t) (last - version) : strlen(version);
}

static void
forget_agreement(XactEvent event, void *arg)
{
	agreed = false;
}

bool
versions_agree_now(void)
{
	char	   *version = sql_version();
	size_t		length = series_length(RETENTION_VERSION);

	if (!callback_registered)
	{
		RegisterXactCallback(forget_agreement, NULL);
		callback_registered = true;
	}
	agreed = version != NULL && series_length(version) == length &&
		strncmp(version, RETENTION_VERSION, length) == 0;
	if (version != NULL)
		pfree(version);
	return agreed;
}

bool
versions_agree(void)
{
	return agreed || versions_agree_now();
}

char *
versions_message(void)
{
	char	   *version = sql_version();

	return psprintf("the library of retention is version %s, its SQL objects are %s",
					RETENTION_VERSION, version ? version : "not there");
}

void
versions_check(void)
{
	if (!versions_agree())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s", versions_message()),
				 errhint("After a new version was installed: ALTER EXTENSION retention UPDATE. A session that is older than that has to reconnect.")));
}

/*
 * library_version() -> text: the version of the library in use.
 */
Datum
library_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(RETENTION_VERSION));
}

/*
 * library_fits() -> boolean: whether it works with the SQL objects.
 */
Datum
library_fits(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(versions_agree_now());
}
