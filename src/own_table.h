/*
 * own_table.h
 *		Rows of one of our own tables, found, locked and written without a
 *		statement.
 */
#ifndef RETENTION_OWN_TABLE_H
#define RETENTION_OWN_TABLE_H

#include "postgres.h"

#include "access/attnum.h"
#include "access/htup.h"

#include "cache.h"

#define OWN_TABLE_MAX_COLUMNS 32
#define OWN_TABLE_MAX_KEYS 4

/*
 * A table of ours, declared static with its name and the names of its columns,
 * of which the first ones are the primary key.  Where they stand is found out
 * at first use and again when the table has changed.
 */
typedef struct OwnTable
{
	CacheWatch	watch;			/* of the table's definition */
	int			nkeys;
	int			ncolumns;
	const char *const *columns;

	/* private */
	bool		described;
	AttrNumber	attnums[OWN_TABLE_MAX_COLUMNS];
	Oid			key_equals[OWN_TABLE_MAX_KEYS];
	Oid			key_index;
	bool		has_defaults;	/* of columns that are not named */
	bool		may_be_distributed;	/* to other servers */
} OwnTable;

/*
 * These may find that the table is not as we made it (triggers, rules, row
 * security, distributed and the like): then they do nothing and return false,
 * and the caller does the same by a statement.  Values and NULLs are those of
 * the columns named, in that order.
 */

/*
 * Lock a row as FOR NO KEY UPDATE does and read it: *row is a copy of it, NULL
 * when there is none; the values point into that copy.
 */
extern bool own_table_lock(OwnTable *table, const Datum *key,
						   HeapTuple *row, Datum *values, bool *isnull);
extern bool own_table_insert(OwnTable *table, const Datum *values, const bool *isnull);

/* Whole rows, made of the table's row type; for them no columns need be named. */
extern bool own_table_insert_tuples(OwnTable *table, HeapTuple *tuples, int ntuples);

/* Write a row as it was locked anew; what it has of other columns stays. */
extern bool own_table_update(OwnTable *table, HeapTuple row,
							 const Datum *values, const bool *isnull);

/* Whether there is a row of that key by now, also where REPEATABLE READ sees an older state. */
extern bool own_table_has(OwnTable *table, const Datum *key, bool *found);

#endif							/* RETENTION_OWN_TABLE_H */
