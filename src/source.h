/*
 * source.h
 *		Attached sources: the only part that knows how shops look.
 */
#ifndef RETENTION_SOURCE_H
#define RETENTION_SOURCE_H

#include "postgres.h"

#include "executor/spi.h"
#include "nodes/pg_list.h"

#include "sync.h"

/* The plan that leads from rows of a relation to the ids of their orders. */
typedef struct WatchPath
{
	Oid			relid;
	SPIPlanPtr	plan;
} WatchPath;

/* A watched table and the way from its row to its orders. */
typedef struct Watch
{
	int32		watch_id;
	int32		source_id;
	Oid			relid;
	char	   *order_id;		/* SQL expression or subquery */
	char	   *column;			/* the column it is, when it is just one */
	List	   *paths;			/* of WatchPath, one for each partition */
} Watch;

typedef struct Source
{
	SyncSource	sync;			/* must be first */
	char	   *facts;
	bool		truncated;
	Oid			facts_relid;	/* first watched table: its owner runs the facts */

	/* private to source.c */
	SPIPlanPtr	plan_one;
	SPIPlanPtr	plan_many;
	Oid			id_type;
	bool		planned;
} Source;

/* Good until the next call of either: a changed table reloads all. */
extern Source *source_find(int32 source_id);
extern Source *source_find_by_name(const char *name);
extern Watch *watch_find(int32 watch_id);

/* The plan from rows of a relation to order ids; through source_run(). */
extern SPIPlanPtr watch_path_plan(Watch *watch, Oid relid);

/* Where they live, for what is cached with them. */
extern MemoryContext source_memory(void);

/* Running the shop's SQL; guarded, an error comes back instead of being raised. */
typedef void (*GuardedWork) (Source *source, void *arg);
extern void source_run(Source *source, GuardedWork work, void *arg);
extern ErrorData *source_run_guarded(Source *source, GuardedWork work, void *arg);

/* Plans the facts query; to be called through source_run(). */
extern void source_prepare_facts(Source *source, void *arg);

/* Bring the orders named up to date; silently: with no message to anybody. */
extern void source_sync(Source *source, char **order_ids, int norders, bool silent,
						SyncCounts *counts);

/* Remember that a change could not be traced to its orders. */
extern void source_remember_untraced(Source *source, ErrorData *error);

#endif							/* RETENTION_SOURCE_H */
