/*
 * cache.h
 *		Settings kept in backend memory and forgotten when their table changes.
 */
#ifndef RETENTION_CACHE_H
#define RETENTION_CACHE_H

#include "postgres.h"

/*
 * One table that a cache was read from.  Declare it static with the table's
 * name; call cache_begin_read() before reading the table, and take the cached
 * data as good only while `valid` holds.  A change by this session counts at
 * once and is forgotten on rollback; another session's counts once committed.
 */
typedef struct CacheWatch
{
	const char *table;			/* name in schema retention */
	Oid			relid;
	bool		valid;
	struct CacheWatch *next;
} CacheWatch;

extern void cache_begin_read(CacheWatch *watch);

/*
 * Let go of what was read before.  Whoever is at work with it keeps it until
 * the end of the transaction: another session's change may arrive at any lock
 * that is taken.
 */
extern void cache_retire(MemoryContext context);

#endif							/* RETENTION_CACHE_H */
