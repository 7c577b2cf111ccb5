/*
 * backfill.c
 *		Syncing the orders that were there before the source was attached.
 *
 * The orders are listed once, a customer's together and in the order they were
 * paid, and kept as batches; each batch is synced and taken off the list in a
 * transaction of its own.  So an interrupted backfill goes on where it was,
 * two sessions may share one, and each customer's row is written about once.
 */
#include "source.h"

#include "own_query.h"
#include "retention.h"
#include "shop.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(backfill);
PG_FUNCTION_INFO_V1(backfill_start);
PG_FUNCTION_INFO_V1(backfill_step);
PG_FUNCTION_INFO_V1(source_number);

/*
 * Milliseconds between two progress messages: often at first, so that a short
 * run shows something, then ever less, so that a long one does not flood.
 */
#define PROGRESS_FIRST 100
#define PROGRESS_LAST 5000

static OwnQuery lock_source = {
	"SELECT source_id FROM retention.source WHERE source_id = $1 FOR NO KEY UPDATE",
	1, {"int4"}
};

static OwnQuery count_left = {
	"SELECT count(*) FROM retention.backfill_batch WHERE source_id = $1",
	1, {"int4"}
};

static OwnQuery resume_progress = {
	"UPDATE retention.backfill_progress"
	" SET started_at = clock_timestamp(), updated_at = clock_timestamp(),"
	" resumed_from = done_orders, finished_at = NULL"
	" WHERE source_id = $1",
	1, {"int4"}
};

static OwnQuery start_progress = {
	"INSERT INTO retention.backfill_progress AS p"
	" (source_id, total_orders, done_orders, without_customer, started_at, updated_at, finished_at)"
	" VALUES ($1, $2, $3, $3, clock_timestamp(), clock_timestamp(),"
	" CASE WHEN $2 = $3 THEN clock_timestamp() END)"
	" ON CONFLICT (source_id) DO UPDATE"
	" SET total_orders = EXCLUDED.total_orders, done_orders = EXCLUDED.done_orders,"
	" without_customer = EXCLUDED.without_customer, failed_orders = 0, resumed_from = 0,"
	" started_at = EXCLUDED.started_at, updated_at = EXCLUDED.updated_at,"
	" finished_at = EXCLUDED.finished_at",
	3, {"int4", "int8", "int8"}
};

static OwnQuery points_from = {
	"UPDATE retention.source SET points_from = $2 WHERE source_id = $1 AND points_from > $2",
	2, {"int4", "timestamptz"}
};

static OwnQuery insert_batch = {
	"INSERT INTO retention.backfill_batch (source_id, batch_no, order_ids) VALUES ($1, $2, $3)",
	3, {"int4", "int4", "text[]"}
};

static OwnQuery take_batch = {
	"DELETE FROM retention.backfill_batch b"
	" USING (SELECT source_id, batch_no FROM retention.backfill_batch"
	" WHERE source_id = $1 ORDER BY source_id, batch_no LIMIT 1 FOR UPDATE SKIP LOCKED) AS next"
	" WHERE b.source_id = next.source_id AND b.batch_no = next.batch_no"
	" RETURNING b.order_ids",
	1, {"int4"}
};

static OwnQuery advance_progress = {
	"UPDATE retention.backfill_progress"
	" SET done_orders = done_orders + $2, failed_orders = failed_orders + $3,"
	" updated_at = clock_timestamp(),"
	" finished_at = CASE WHEN done_orders + $2 >= total_orders THEN clock_timestamp() END"
	" WHERE source_id = $1",
	3, {"int4", "int8", "int8"}
};

/* ----------
 * Listing
 * ----------
 */

typedef struct Listing
{
	int			batch_size;
	Portal		portal;
} Listing;

static void
open_listing(Source *source, void *arg)
{
	Listing    *listing = (Listing *) arg;
	SPIPlanPtr	plan = SPI_prepare(source_list_query(source), 0, NULL);

	if (plan == NULL)
		elog(ERROR, "could not list the rows of source \"%s\": %s", source->sync.name,
			 SPI_result_code_string(SPI_result));
	listing->portal = SPI_cursor_open(NULL, plan, NULL, NULL, true);
}

static void
fetch_listing(Source *source, void *arg)
{
	Listing    *listing = (Listing *) arg;

	SPI_cursor_fetch(listing->portal, true, listing->batch_size);
}

/* List the orders of the source into batches. */
static void
list_orders(Source *source, int batch_size)
{
	int32		source_id = source->sync.source_id;
	Listing		listing;
	int			batch_no = 0;
	int64		total = 0;
	int64		without_customer = 0;
	Datum		args[3];

	listing.batch_size = batch_size;
	source_run(source, open_listing, &listing);

	for (;;)
	{
		char	  **order_ids;
		int			n = 0;

		CHECK_FOR_INTERRUPTS();
		source_run(source, fetch_listing, &listing);
		if (SPI_processed == 0)
			break;

		order_ids = (char **) palloc(SPI_processed * sizeof(char *));
		for (uint64 i = 0; i < SPI_processed; i++)
		{
			char	   *customer = own_text(SPI_tuptable->vals[i], 2);

			total++;
			if (customer == NULL || customer[0] == '\0')
				without_customer++;
			else
				order_ids[n++] = own_text(SPI_tuptable->vals[i], 1);
		}
		SPI_freetuptable(SPI_tuptable);
		if (n == 0)
			continue;

		args[0] = Int32GetDatum(source_id);
		args[1] = Int32GetDatum(++batch_no);
		args[2] = own_text_array(order_ids, n);
		own_execute(&insert_batch, args, NULL);
		for (int i = 0; i < n; i++)
			pfree(order_ids[i]);
		pfree(order_ids);
		pfree(DatumGetPointer(args[2]));
	}
	SPI_cursor_close(listing.portal);

	args[0] = Int32GetDatum(source_id);
	args[1] = Int64GetDatum(total);
	args[2] = Int64GetDatum(without_customer);
	own_execute(&start_progress, args, NULL);
}

/*
 * backfill_start(source_id, batch, points_from) -> bigint: lists the orders of
 * the source in batches, unless an interrupted backfill left some; returns the
 * number of batches to do.  points_from NULL leaves the points as they are.
 */
Datum
backfill_start(PG_FUNCTION_ARGS)
{
	int32		source_id = PG_GETARG_INT32(0);
	int32		batch_size = PG_GETARG_INT32(1);
	OwnContext	saved;
	Source	   *source;
	Datum		args[2];
	int64		left;

	own_begin(&saved);
	SPI_connect();
	args[0] = Int32GetDatum(source_id);
	own_execute(&lock_source, args, NULL);

	if (!PG_ARGISNULL(2))
	{
		args[1] = PG_GETARG_DATUM(2);
		own_execute(&points_from, args, NULL);
	}

	own_execute(&count_left, args, NULL);
	left = own_int64(SPI_tuptable->vals[0], 1);
	if (left > 0)
	{
		own_execute(&resume_progress, args, NULL);
		ereport(NOTICE,
				(errmsg_plural("resuming an interrupted backfill: %ld batch is left",
							   "resuming an interrupted backfill: %ld batches are left",
							   (unsigned long) left, (long) left)));
	}
	else
	{
		source = source_find(source_id);
		if (source == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("source %d is not attached", source_id)));
		own_set_time_zone(shop_settings(source->sync.shop_id)->time_zone);
		list_orders(source, batch_size);
		own_execute(&count_left, args, NULL);
		left = own_int64(SPI_tuptable->vals[0], 1);
	}
	SPI_finish();
	own_end(&saved);
	PG_RETURN_INT64(left);
}

/* ----------
 * One batch
 * ----------
 */

/*
 * backfill_step(source_id) -> bigint: syncs the next batch and returns its
 * number of orders; 0 when none is left.
 */
Datum
backfill_step(PG_FUNCTION_ARGS)
{
	int32		source_id = PG_GETARG_INT32(0);
	OwnContext	saved;
	Source	   *source;
	SyncCounts	counts = {.baseline = true};
	Datum		args[3];
	Datum	   *elements;
	char	  **order_ids;
	int			norders;
	bool		isnull;
	Datum		array;

	own_begin(&saved);
	SPI_connect();
	args[0] = Int32GetDatum(source_id);
	if (own_execute(&take_batch, args, NULL) == 0)
	{
		SPI_finish();
		own_end(&saved);
		PG_RETURN_INT64(0);
	}

	array = own_copy(SPI_tuptable->vals[0], 1, &isnull);
	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, NULL, &norders);
	order_ids = (char **) palloc(norders * sizeof(char *));
	for (int i = 0; i < norders; i++)
		order_ids[i] = TextDatumGetCString(elements[i]);

	source = source_find(source_id);
	if (source == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("source %d is not attached", source_id)));
	source_sync(source, order_ids, norders, &counts);

	args[1] = Int64GetDatum(norders);
	args[2] = Int64GetDatum(counts.failed);
	own_execute(&advance_progress, args, NULL);
	SPI_finish();
	own_end(&saved);
	PG_RETURN_INT64(norders);
}

/*
 * source_number(source text) -> integer: the number of an attached source; an
 * unknown one is an error.
 */
Datum
source_number(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(source_find_by_name(text_to_cstring(PG_GETARG_TEXT_PP(0)))->sync.source_id);
}

/* ----------
 * The procedure
 * ----------
 */

/* As the extension's owner: who may call backfill() may not call its parts. */
static int64
call_bigint(const char *sql, int nargs, Oid *argtypes, Datum *args, const char *nulls)
{
	OwnContext	saved;
	bool		isnull;

	own_begin(&saved);
	if (SPI_execute_with_args(sql, nargs, argtypes, args, nulls, false, 0) != SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "\"%s\" failed", sql);
	own_end(&saved);
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/*
 * Say how far it is, unless that was the last thing said.  From the view, so
 * that all who look see the same figures.
 */
static void
report_progress(const char *name, int32 source_id, char **said)
{
	Oid			argtype = INT4OID;
	Datum		arg = Int32GetDatum(source_id);
	OwnContext	saved;
	char	   *line;

	own_begin(&saved);
	if (SPI_execute_with_args("SELECT retention.backfill_line($1)", 1, &argtype, &arg, NULL,
							  true, 1) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not read the progress of a backfill");
	own_end(&saved);
	line = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	if (line == NULL || (*said != NULL && strcmp(*said, line) == 0))
		return;
	ereport(NOTICE, (errmsg("backfill of %s: %s", name, line)));
	*said = MemoryContextStrdup(PortalContext, line);
}

/*
 * backfill(source text, batch integer, points boolean, points_from timestamptz)
 *
 * Commits after each batch.  Inside a transaction block it cannot, says so, and
 * does the same in one piece.
 */
Datum
backfill(PG_FUNCTION_ARGS)
{
	bool		atomic = true;
	Source	   *source;
	int32		source_id;
	char	   *name;
	char	   *said = NULL;
	int32		batch_size;
	TimestampTz reported;
	int			interval = PROGRESS_FIRST;
	Oid			start_types[3] = {INT4OID, INT4OID, TIMESTAMPTZOID};
	Datum		start_args[3];
	char		start_nulls[3] = {' ', ' ', 'n'};
	Oid			step_type = INT4OID;
	Datum		step_arg;
	bool		points;

	if (fcinfo->context && IsA(fcinfo->context, CallContext))
		atomic = ((CallContext *) fcinfo->context)->atomic;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("source must not be null"),
				 errhint("SELECT name FROM retention.source WHERE detached_at IS NULL shows the sources there are.")));
	if (PG_ARGISNULL(1) || PG_GETARG_INT32(1) < 1 || PG_GETARG_INT32(1) > 1000000)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("batch must be between 1 and 1000000")));
	batch_size = PG_GETARG_INT32(1);
	points = !PG_ARGISNULL(2) && PG_GETARG_BOOL(2);

	source = source_find_by_name(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	source_check_synced(source);
	source_id = source->sync.source_id;
	name = MemoryContextStrdup(PortalContext, source->sync.name);

	if (atomic)
		ereport(NOTICE,
				(errmsg("backfill runs inside a transaction block: nothing is kept until that is committed"),
				 errhint("Outside of one it commits after each batch and can be resumed.")));

	SPI_connect_ext(atomic ? 0 : SPI_OPT_NONATOMIC);

	start_args[0] = Int32GetDatum(source_id);
	start_args[1] = Int32GetDatum(batch_size);
	if (points)
	{
		start_args[2] = PG_ARGISNULL(3) ? TimestampTzGetDatum(DT_NOBEGIN) : PG_GETARG_DATUM(3);
		start_nulls[2] = ' ';
	}
	(void) call_bigint("SELECT retention.backfill_start($1, $2, $3)", 3, start_types,
					   start_args, start_nulls);
	if (!atomic)
		SPI_commit();

	reported = GetCurrentTimestamp();
	step_arg = Int32GetDatum(source_id);
	while (call_bigint("SELECT retention.backfill_step($1)", 1, &step_type, &step_arg, NULL) > 0)
	{
		CHECK_FOR_INTERRUPTS();
		if (!atomic)
			SPI_commit();
		if (TimestampDifferenceExceeds(reported, GetCurrentTimestamp(), interval))
		{
			report_progress(name, source_id, &said);
			reported = GetCurrentTimestamp();
			interval = Min(interval * 2, PROGRESS_LAST);
		}
	}
	report_progress(name, source_id, &said);
	SPI_finish();
	PG_RETURN_VOID();
}
