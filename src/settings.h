/*
 * settings.h
 *		Reading a whole table of settings into a cache.
 */
#ifndef RETENTION_SETTINGS_H
#define RETENTION_SETTINGS_H

#include "postgres.h"

#include "access/genam.h"
#include "utils/relcache.h"

#include "cache.h"

/* A scan of one of our tables; columns are fetched by name. */
typedef struct SettingsScan
{
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;			/* the row, after settings_next() gave true */
} SettingsScan;

extern void settings_begin(SettingsScan *settings, CacheWatch *watch);
extern bool settings_next(SettingsScan *settings);
extern Datum settings_get(SettingsScan *settings, const char *column, bool *isnull);
extern char *settings_get_text(SettingsScan *settings, const char *column);
extern void settings_end(SettingsScan *settings);

#endif							/* RETENTION_SETTINGS_H */
