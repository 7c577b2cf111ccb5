/*
 * read_in_place.c
 *		Order lines and events, read where the shop keeps them.
 *
 * They are many, and nothing here is kept per line or event; so they are never
 * copied.  lines() and events() run the stored query of each attached source,
 * as the owner of the shop's table and read-only, and hand on its rows.  They
 * see what the query that calls them sees.
 */
#include "source.h"

#include "own_query.h"
#include "shop.h"
#include "stored_facts.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tstoreReceiver.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(lines);
PG_FUNCTION_INFO_V1(events);

typedef struct ReadInPlace
{
	ReturnSetInfo *rsinfo;

	/* lines: of these orders, or of all when NULL */
	char	  **order_ids;
	int			norders;

	/* events: within these bounds and of this kind, NULL being any */
	Datum		bounds[2];
	Datum		kind;
	bool		nulls[3];
} ReadInPlace;

/* A receiver that puts the rows where the function's result is collected. */
static DestReceiver *
result_receiver(ReturnSetInfo *rsinfo)
{
	DestReceiver *dest = CreateDestReceiver(DestTuplestore);

	SetTuplestoreDestReceiverParams(dest, rsinfo->setResult,
									rsinfo->econtext->ecxt_per_query_memory, true,
									NULL, NULL);
	return dest;
}

static ParamListInfo
make_params(int nparams, const Oid *types, const Datum *values, const bool *nulls)
{
	ParamListInfo params = makeParamList(nparams);

	for (int i = 0; i < nparams; i++)
	{
		params->params[i].value = values[i];
		params->params[i].isnull = nulls ? nulls[i] : false;
		params->params[i].pflags = PARAM_FLAG_CONST;
		params->params[i].ptype = types[i];
	}
	return params;
}

static void
check_result(Source *source, int result)
{
	if (result != SPI_OK_SELECT)
		elog(ERROR, "the facts of source \"%s\" could not be read: %s", source->sync.name,
			 SPI_result_code_string(result));
}

/* All rows of a wrapped query. */
static void
read_rows(Source *source, ReturnSetInfo *rsinfo, const char *query, ParamListInfo params)
{
	SPIExecuteOptions options;

	memset(&options, 0, sizeof(options));
	options.params = params;
	options.read_only = true;
	options.dest = result_receiver(rsinfo);
	check_result(source, SPI_execute_extended(query, &options));
	options.dest->rDestroy(options.dest);
}

/* ----------
 * lines
 * ----------
 */

/* The lines of many orders, by a plan that is kept. */
static void
read_lines_of(Source *source, ReadInPlace *read)
{
	SPIExecuteOptions options;
	Oid			array_type;
	Datum		ids;
	char	  **keys = (char **) palloc(Max(read->norders, 1) * sizeof(char *));
	int			nkeys = 0;
	int			guc_level;

	source_prepare_facts(source, NULL);
	array_type = get_array_type(source->id_type);

	/* Orders of another source may have ids that no line here can have. */
	for (int i = 0; i < read->norders; i++)
	{
		if (source_may_have_key(source, read->order_ids[i]))
			keys[nkeys++] = read->order_ids[i];
	}
	ids = source_key_array(source, keys, nkeys);

	memset(&options, 0, sizeof(options));
	options.params = make_params(1, &array_type, &ids, NULL);
	options.read_only = true;
	options.dest = result_receiver(read->rsinfo);

	guc_level = source_plan_begin(&source->many);
	check_result(source, SPI_execute_plan_extended(source->many.plan, &options));
	source_plan_end(&source->many, guc_level);
	options.dest->rDestroy(options.dest);
}

static void
read_lines(Source *source, void *arg)
{
	ReadInPlace *read = (ReadInPlace *) arg;

	if (read->order_ids == NULL)
	{
		Oid			types[MAX_STORED_COLUMNS];

		read_rows(source, read->rsinfo, stored_facts_wrap(source, types), NULL);
	}
	else
		read_lines_of(source, read);
}

/* ----------
 * events
 * ----------
 */

/*
 * Where the column is a date, or a timestamp without time zone, it is compared
 * as it is too, for the sake of an index on it: a day wider, as its order and
 * that of the instants differ where the clock is put back.
 */
static void
read_events(Source *source, void *arg)
{
	static const Oid param_types[3] = {TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID};
	static const char *const conditions[3] = {
		"f.happened_at::timestamptz >= $1", "f.happened_at::timestamptz < $2", "f.kind::text = $3"
	};
	static const char *const by_index[2] = {
		" AND f.happened_at >= $1 - interval '1 day'", " AND f.happened_at < $2 + interval '1 day'"
	};
	ReadInPlace *read = (ReadInPlace *) arg;
	Datum		values[3] = {read->bounds[0], read->bounds[1], read->kind};
	Oid			types[MAX_STORED_COLUMNS];
	Oid			time_type;
	StringInfoData sql;
	const char *link = " WHERE ";

	initStringInfo(&sql);
	appendStringInfoString(&sql, stored_facts_wrap(source, types));
	time_type = getBaseType(types[EVENT_HAPPENED_AT]);
	for (int i = 0; i < 3; i++)
	{
		if (read->nulls[i])
			continue;
		appendStringInfo(&sql, "%s%s", link, conditions[i]);
		if (i < 2 && (time_type == TIMESTAMPOID || time_type == DATEOID))
			appendStringInfoString(&sql, by_index[i]);
		link = " AND ";
	}
	read_rows(source, read->rsinfo, sql.data, make_params(3, param_types, values, read->nulls));
}

/* ----------
 * Both
 * ----------
 */

/* Read all sources of a kind that the shop has, one after the other. */
static void
read_sources(FunctionCallInfo fcinfo, SourceKind kind, const char *shop_name,
			 GuardedWork work, ReadInPlace *read)
{
	int32		shop_id = shop_lookup(shop_name, shop_name == NULL);
	int32	   *source_ids;
	int			nsources;

	InitMaterializedSRF(fcinfo, 0);
	read->rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	nsources = source_list(kind, shop_id, &source_ids);
	for (int i = 0; i < nsources; i++)
	{
		Source	   *source = source_find(source_ids[i]);
		OwnContext	saved;

		if (source == NULL)
			continue;
		own_begin(&saved);
		own_set_time_zone(shop_settings(shop_id)->time_zone);
		SPI_connect();
		source_run(source, work, read);
		SPI_finish();
		own_end(&saved);
	}
}

/*
 * lines(order_ids text[], shop text): the lines of the orders, or all lines.
 */
Datum
lines(PG_FUNCTION_ARGS)
{
	ReadInPlace read;
	char	   *shop = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));

	memset(&read, 0, sizeof(read));
	if (!PG_ARGISNULL(0))
	{
		Datum	   *elements;
		bool	   *nulls;
		int			n;

		deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT,
						  &elements, &nulls, &n);
		read.order_ids = (char **) palloc(Max(n, 1) * sizeof(char *));
		for (int i = 0; i < n; i++)
		{
			if (!nulls[i])
				read.order_ids[read.norders++] = TextDatumGetCString(elements[i]);
		}
	}
	read_sources(fcinfo, SOURCE_LINES, shop, read_lines, &read);
	return (Datum) 0;
}

/*
 * events(from_time timestamptz, to_time timestamptz, of_kind text, shop text): the
 * events from from_time on and before to_time.
 */
Datum
events(PG_FUNCTION_ARGS)
{
	ReadInPlace read;
	char	   *shop = PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3));

	memset(&read, 0, sizeof(read));
	for (int i = 0; i < 3; i++)
		read.nulls[i] = PG_ARGISNULL(i);
	read.bounds[0] = PG_ARGISNULL(0) ? (Datum) 0 : PG_GETARG_DATUM(0);
	read.bounds[1] = PG_ARGISNULL(1) ? (Datum) 0 : PG_GETARG_DATUM(1);
	read.kind = PG_ARGISNULL(2) ? (Datum) 0 : PG_GETARG_DATUM(2);
	read_sources(fcinfo, SOURCE_EVENTS, shop, read_events, &read);
	return (Datum) 0;
}
