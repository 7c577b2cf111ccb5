/*
 * settings.c
 *		Reading a whole table of settings into a cache.
 *
 * Settings are read as PostgreSQL reads its catalogs: under a snapshot taken
 * at that moment and not the query's, which may be old (REPEATABLE READ, a
 * long query) and would leave outdated settings in a cache that outlives it.
 * As no query is run, neither the role nor the search path matters, and it
 * works from triggers and parallel workers alike.
 */
#include "settings.h"

#include "retention.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/rel.h"

void
settings_begin(SettingsScan *settings, CacheWatch *watch)
{
	cache_begin_read(watch);
	settings->rel = table_open(watch->relid, AccessShareLock);
	settings->scan = systable_beginscan(settings->rel, InvalidOid, false, NULL, 0, NULL);
	settings->tuple = NULL;
}

bool
settings_next(SettingsScan *settings)
{
	CHECK_FOR_INTERRUPTS();
	settings->tuple = systable_getnext(settings->scan);
	return HeapTupleIsValid(settings->tuple);
}

Datum
settings_get(SettingsScan *settings, const char *column, bool *isnull)
{
	TupleDesc	tupdesc = RelationGetDescr(settings->rel);
	int			number = SPI_fnumber(tupdesc, column);

	if (number <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of table \"%s.%s\" does not exist",
						column, RETENTION_SCHEMA, RelationGetRelationName(settings->rel)),
				 errhint("Update the extension: ALTER EXTENSION retention UPDATE.")));
	return heap_getattr(settings->tuple, number, tupdesc, isnull);
}

/* A text column as a string of its own, NULL when it is NULL. */
char *
settings_get_text(SettingsScan *settings, const char *column)
{
	bool		isnull;
	Datum		value = settings_get(settings, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

void
settings_end(SettingsScan *settings)
{
	systable_endscan(settings->scan);
	table_close(settings->rel, AccessShareLock);
}
