/*
 * source.h
 *		Attached sources: the only part that knows how shops look.
 */
#ifndef RETENTION_SOURCE_H
#define RETENTION_SOURCE_H

#include "postgres.h"

#include "executor/spi.h"
#include "nodes/pg_list.h"

#include "facts.h"
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

/* What a source is of; those from SOURCE_LINES on are read where they are. */
typedef enum SourceKind
{
	SOURCE_ORDERS,
	SOURCE_CUSTOMERS,
	SOURCE_REVIEWS,
	SOURCE_LINES,
	SOURCE_EVENTS
} SourceKind;

#define N_SYNCED_KINDS SOURCE_LINES

/* A plan of the facts, made at its first use in a way of its own. */
typedef struct FactsPlan
{
	SPIPlanPtr	plan;
	bool		planned;
} FactsPlan;

typedef struct Source
{
	SyncSource	sync;			/* must be first */
	SourceKind	kind;
	int32		orders_source_id;	/* of reviews and lines: what they are about */
	char	   *facts;
	bool		truncated;
	Oid			facts_relid;	/* first watched table: its owner runs the facts */

	/* private to the files of source.h, made by source_prepare_facts() */
	FactsPlan	one;			/* of one key */
	FactsPlan	many;			/* of an array of keys */
	FactsPlan	owners;			/* of orders: the same, of a few columns */
	FactsColumns columns;		/* of orders */
	FactsColumns owner_columns;
	Oid			id_type;
} Source;

/* Good until the next call of either: a changed table reloads all. */
extern Source *source_find(int32 source_id);
extern Source *source_find_by_name(const char *name);
extern Watch *watch_find(int32 watch_id);

/* The attached sources of a kind and a shop, by their numbers. */
extern int	source_list(SourceKind kind, int32 shop_id, int32 **source_ids);

/* An error when the source is of a kind that is not synced. */
extern void source_check_synced(const Source *source);

/* What a row of the facts is, for messages, and the column that tells which. */
extern const char *source_noun(const Source *source);
extern const char *source_key_column(const Source *source);

/* The plan from rows of a relation to order ids; through source_run(). */
extern SPIPlanPtr watch_path_plan(Watch *watch, Oid relid);

/* Frees the plans of its facts: they are made anew at the next reading. */
extern void source_forget_plans(Source *source);

/* Around the execution of a plan of its facts. */
extern int	source_plan_begin(const FactsPlan *plan);
extern void source_plan_end(FactsPlan *plan, int guc_level);

/* Running the shop's SQL; guarded, an error comes back instead of being raised. */
typedef void (*GuardedWork) (Source *source, void *arg);
extern void source_run(Source *source, GuardedWork work, void *arg);
extern ErrorData *source_run_guarded(Source *source, GuardedWork work, void *arg);

/* Plans the facts query; to be called through source_run(). */
extern void source_prepare_facts(Source *source, void *arg);

/* SELECT of the keys of all its rows, each with the customer where that may be NULL. */
extern char *source_list_query(Source *source);

/*
 * Reading the facts of the keys named.  take() finds the rows of keys in the
 * current SPI result, the first of them being the i-th of all; fail() is told
 * of a key that could not be read.
 */
typedef struct SourceRead
{
	void		(*take) (Source *source, char **keys, int nkeys, void *results, int i);
	void		(*fail) (void *results, int i, const ErrorData *error);
	void	   *results;
	bool		owners_only;
} SourceRead;

extern void source_read(Source *source, char **keys, int nkeys, SourceRead *read);

/* The facts of orders, as sync_orders() asks for them. */
extern void source_read_orders(SyncSource *sync, char **order_ids, int norders,
							   bool owners_only, FactsResult *results);

extern bool source_may_have_key(Source *source, const char *key);

/* A key, or an array of keys, in their own type, for a plan of the facts. */
extern Datum source_key_datum(Source *source, char *order_id);
extern Datum source_key_array(Source *source, char **keys, int nkeys);

/* Bring the orders, customers or reviews named up to date. */
extern void source_sync(Source *source, char **order_ids, int norders, SyncCounts *counts);

/* Remember that a change could not be traced to its orders. */
extern void source_remember_untraced(Source *source, ErrorData *error);

/* The same where the library is not the one that the source is kept with. */
extern void source_remember_unread(int32 watch_id);

#endif							/* RETENTION_SOURCE_H */
