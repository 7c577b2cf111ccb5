/*
 * own_query.h
 *		Running the extension's own statements: as the owner of its tables,
 *		with names resolved in pg_catalog alone, from plans that are kept.
 */
#ifndef RETENTION_OWN_QUERY_H
#define RETENTION_OWN_QUERY_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#define OWN_QUERY_MAX_ARGS 32

/*
 * A statement of ours, declared static with its text and the names of its
 * parameters' types.  The plan is made at first use and kept.
 */
typedef struct OwnQuery
{
	const char *sql;
	int			nargs;
	const char *argtypes[OWN_QUERY_MAX_ARGS];
	bool		sees_latest;	/* reads what is committed by now, under any isolation level */
	bool		in_index_order; /* its ORDER BY is an index's, of which LIMIT wants a few */

	/* private */
	SPIPlanPtr	plan;
	Oid			relid;			/* tells a re-created extension from the old */
	bool		planned;
} OwnQuery;

/* The state to return to after working as the extension's owner. */
typedef struct OwnContext
{
	Oid			user;
	int			sec_context;
	int			guc_level;
} OwnContext;

/* Called once, when the library is loaded. */
extern void own_query_init(void);

extern void own_begin(OwnContext *saved);
extern void own_begin_any_version(OwnContext *saved);	/* for statements that every version knows */
extern void own_end(const OwnContext *saved);
extern void own_set_time_zone(const char *time_zone);	/* until own_end() */

/*
 * Run a plan on what is committed by now or done by this transaction, also
 * where REPEATABLE READ holds an older snapshot.
 */
extern int	own_execute_latest(SPIPlanPtr plan, Datum *args, const char *nulls);

/* Runs inside SPI; returns the number of rows, which are in SPI_tuptable. */
extern uint64 own_execute(OwnQuery *query, Datum *args, const char *nulls);

/* The same for a function that only reads: what the calling query sees. */
extern uint64 own_read(OwnQuery *query, Datum *args, const char *nulls);

/* Makes the planner take indexes, whatever it thinks of a table's size. */
extern int	own_planner_begin(void);
extern void own_planner_end(int guc_level);

/*
 * Rows of one of our tables, collected to be written by one statement that
 * takes them as an array of the table's row type.
 */
typedef struct OwnRows
{
	const char *table;			/* name in schema retention */
	TupleDesc	tupdesc;
	Datum	   *row_values;		/* of the row being made */
	bool	   *row_nulls;
	const char *const *columns; /* those that the attributes are of */
	int			ncolumns;
	int		   *attributes;
	HeapTuple  *rows;
	int			nrows;
	int			capacity;
} OwnRows;

extern void own_rows_init(OwnRows *rows, const char *table);
extern void own_rows_add(OwnRows *rows, int ncolumns, const char *const *columns,
						 Datum *values, bool *nulls);
extern Datum own_rows_array(OwnRows *rows);	/* there must be some */
extern uint64 own_rows_execute(OwnRows *rows, OwnQuery *query);

/* Values of the current SPI result, with NULL told apart. */
extern char *own_text(HeapTuple tuple, int column);
extern Numeric own_numeric(HeapTuple tuple, int column);
extern TimestampTz own_time(HeapTuple tuple, int column);
extern int64 own_int64(HeapTuple tuple, int column);
extern bool own_bool(HeapTuple tuple, int column);
extern Datum own_copy(HeapTuple tuple, int column, bool *isnull);

/* A value for own_rows_add(), NULL where there is none. */
extern void own_set_text(Datum *value, bool *isnull, const char *text);
extern void own_set_numeric(Datum *value, bool *isnull, Numeric numeric);
extern void own_set_time(Datum *value, bool *isnull, TimestampTz at);

/* A text[] from C strings, of which some may be NULL. */
extern Datum own_text_array(char **strings, int n);

/* "No time": the NULL of a timestamp kept in a C struct. */
#define NO_TIME DT_NOBEGIN

#endif							/* RETENTION_OWN_QUERY_H */
