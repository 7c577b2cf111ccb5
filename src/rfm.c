/*
 * rfm.c
 *		RFM: scores 1 to 5 for recency, frequency and monetary value, and the
 *		segments they fall into.
 *
 * rfm_score() is a window function.  At the first row of a partition it reads
 * each argument of all rows, sorts them, and notes every row's three scores;
 * after that it only looks them up.  One argument is done after the other, so
 * that memory holds one sorted array at a time.
 */
#include "postgres.h"

#include "cache.h"
#include "retention.h"
#include "settings.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/sortsupport.h"
#include "utils/typcache.h"
#include "windowapi.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#define SCORES			5		/* scores are 1 to 5; 0 stands for NULL */
#define DIMENSIONS		3
#define SCORE_SHIFT		3		/* bits for one score */
#define SCORE_MASK		7

/* A value to be ranked and the row it belongs to. */
typedef struct RankItem
{
	Datum		key;			/* the value, or its abbreviation */
	Datum		value;
	int64		row;
} RankItem;

typedef struct RankOrder
{
	SortSupportData ssup;
	bool		typbyval;
	int16		typlen;
} RankOrder;

static inline int
rank_compare_integers(const RankItem *a, const RankItem *b)
{
	int64		left = DatumGetInt64(a->key);
	int64		right = DatumGetInt64(b->key);

	return left < right ? -1 : left > right;
}

static inline int
rank_compare(const RankItem *a, const RankItem *b, SortSupport ssup)
{
	int			result = ApplySortComparator(a->key, false, b->key, false, ssup);

	if (result == 0 && ssup->abbrev_converter != NULL)
		result = ApplySortAbbrevFullComparator(a->value, false, b->value, false, ssup);
	return result;
}

#define ST_SORT rank_sort_integers
#define ST_ELEMENT_TYPE RankItem
#define ST_COMPARE(a, b) rank_compare_integers(a, b)
#define ST_SCOPE static
#define ST_CHECK_FOR_INTERRUPTS
#define ST_DEFINE
#include "lib/sort_template.h"

#define ST_SORT rank_sort
#define ST_ELEMENT_TYPE RankItem
#define ST_COMPARE(a, b, ssup) rank_compare(a, b, ssup)
#define ST_COMPARE_ARG_TYPE SortSupportData
#define ST_SCOPE static
#define ST_CHECK_FOR_INTERRUPTS
#define ST_DEFINE
#include "lib/sort_template.h"

/* What rfm_score() keeps for a partition. */
typedef struct ScorePartition
{
	uint16	   *scores;			/* a row's three scores, packed; NULL at first */
	int64		rows;
} ScorePartition;

/* What it keeps for the whole query: each possible result, made when needed. */
typedef struct ScoreResults
{
	TupleDesc	tupdesc;
	Datum		results[1 << (SCORE_SHIFT * DIMENSIONS)];
} ScoreResults;

/* A scheme of segments as cached: a name for each triple of scores. */
typedef struct SegmentScheme
{
	char	   *name;
	text	   *segments[SCORES][SCORES][SCORES];
} SegmentScheme;

PG_FUNCTION_INFO_V1(rfm_score);
PG_FUNCTION_INFO_V1(rfm_segment);
PG_FUNCTION_INFO_V1(rfm_segment_of_score);

static const char *const dimension_names[DIMENSIONS] = {"last_purchase", "purchases", "spent"};

static CacheWatch default_watch = {.table = "rfm_segment_default"};
static CacheWatch override_watch = {.table = "rfm_segment_override"};
static MemoryContext segment_context = NULL;
static List *segment_schemes = NIL; /* of SegmentScheme */

/* ----------------------------------------------------------------------
 * Scores
 * ----------------------------------------------------------------------
 */

static inline Datum
rank_integer(Datum value, int16 typlen)
{
	return Int64GetDatum(typlen == 2 ? (int64) DatumGetInt16(value) :
						 typlen == 4 ? (int64) DatumGetInt32(value) : DatumGetInt64(value));
}

/*
 * Whether values are integers as far as their order goes, so that they can be
 * compared without a call.
 */
static bool
rank_is_integer(const RankOrder *order, Oid type)
{
	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case CASHOID:
			return order->typbyval;
		default:
			return false;
	}
}

/*
 * Score one argument of all rows of the partition, in the current context,
 * which the caller throws away.
 */
static void
score_dimension(FunctionCallInfo fcinfo, WindowObject winobj, int dimension,
				ScorePartition *partition)
{
	Oid			type = getBaseType(get_fn_expr_argtype(fcinfo->flinfo, dimension));
	TypeCacheEntry *typcache = lookup_type_cache(type, TYPECACHE_LT_OPR);
	RankOrder	order;
	RankItem   *items;
	MemoryContext values = CurrentMemoryContext;
	MemoryContext scratch;
	MemoryContext old;
	bool		integers;
	int64		n = 0;
	int64		rank = 0;
	int			shift = dimension * SCORE_SHIFT;

	if (!OidIsValid(typcache->lt_opr))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("%s cannot be ranked: type %s has no order",
						dimension_names[dimension], format_type_be(type)),
				 errdetail("The type has no default btree operator class."),
				 errhint("Cast it to a type such as numeric, bigint, date or timestamptz.")));

	memset(&order, 0, sizeof(order));
	order.typbyval = typcache->typbyval;
	order.typlen = typcache->typlen;
	order.ssup.ssup_cxt = CurrentMemoryContext;
	order.ssup.ssup_collation = PG_GET_COLLATION();
	order.ssup.abbreviate = true;
	integers = rank_is_integer(&order, type);
	if (!integers)
		PrepareSortSupportFromOrderingOp(typcache->lt_opr, &order.ssup);

	items = MemoryContextAllocHuge(values, partition->rows * sizeof(RankItem));
	scratch = AllocSetContextCreate(values, "rfm_score argument", ALLOCSET_DEFAULT_SIZES);

	old = MemoryContextSwitchTo(scratch);
	for (int64 row = 0; row < partition->rows; row++)
	{
		bool		isnull;
		bool		isout;
		Datum		value;

		if ((row & 255) == 0)
		{
			CHECK_FOR_INTERRUPTS();
			MemoryContextReset(scratch);
		}

		/* The value may lie in a slot that the next call overwrites. */
		value = WinGetFuncArgInPartition(winobj, dimension, row, WINDOW_SEEK_HEAD,
										 false, &isnull, &isout);
		if (isnull)
			continue;
		items[n].row = row;
		if (integers)
			items[n].key = rank_integer(value, order.typlen);
		else
		{
			MemoryContextSwitchTo(values);
			if (order.typlen == -1)
				value = PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
			else
				value = datumCopy(value, order.typbyval, order.typlen);
			items[n].value = value;
			items[n].key = order.ssup.abbrev_converter != NULL ?
				order.ssup.abbrev_converter(value, &order.ssup) : value;
			MemoryContextSwitchTo(scratch);
		}
		n++;
	}
	if (integers)
		rank_sort_integers(items, n);
	else
		rank_sort(items, n, &order.ssup);

	/* As rank() does: all equals have the place of the first of them. */
	for (int64 i = 0; i < n; i++)
	{
		if (i > 0 &&
			(integers ? rank_compare_integers(&items[i - 1], &items[i]) :
			 rank_compare(&items[i - 1], &items[i], &order.ssup)) != 0)
			rank = i;
		partition->scores[items[i].row] |= (1 + SCORES * rank / n) << shift;
	}
	MemoryContextSwitchTo(old);
}

static void
score_partition(FunctionCallInfo fcinfo, WindowObject winobj, ScorePartition *partition)
{
	MemoryContext context = GetMemoryChunkContext(partition);

	partition->rows = WinGetPartitionRowCount(winobj);
	partition->scores = MemoryContextAllocHuge(context, partition->rows * sizeof(uint16));
	memset(partition->scores, 0, partition->rows * sizeof(uint16));

	for (int i = 0; i < DIMENSIONS; i++)
	{
		MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "rfm_score", ALLOCSET_DEFAULT_SIZES);
		MemoryContext old = MemoryContextSwitchTo(work);

		score_dimension(fcinfo, winobj, i, partition);
		MemoryContextSwitchTo(old);
		MemoryContextDelete(work);
	}

	/* No row is looked at again: let the executor forget them. */
	WinSetMarkPosition(winobj, partition->rows - 1);
}

/*
 * rfm_score(last_purchase, purchases, spent) OVER (...)
 */
Datum
rfm_score(PG_FUNCTION_ARGS)
{
	WindowObject winobj = PG_WINDOW_OBJECT();
	ScorePartition *partition;
	ScoreResults *results = (ScoreResults *) fcinfo->flinfo->fn_extra;
	uint16		scores;

	partition = (ScorePartition *) WinGetPartitionLocalMemory(winobj, sizeof(ScorePartition));
	if (partition->scores == NULL)
		score_partition(fcinfo, winobj, partition);
	scores = partition->scores[WinGetCurrentPosition(winobj)];

	if (results == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
		TupleDesc	tupdesc;

		results = palloc0(sizeof(ScoreResults));
		if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "rfm_score must return a row type");
		results->tupdesc = BlessTupleDesc(tupdesc);
		fcinfo->flinfo->fn_extra = results;
		MemoryContextSwitchTo(old);
	}

	if (results->results[scores] == (Datum) 0)
	{
		MemoryContext old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
		Datum		values[DIMENSIONS];
		bool		nulls[DIMENSIONS];

		for (int i = 0; i < DIMENSIONS; i++)
		{
			int			score = (scores >> (i * SCORE_SHIFT)) & SCORE_MASK;

			values[i] = Int32GetDatum(score);
			nulls[i] = (score == 0);
		}
		results->results[scores] = HeapTupleGetDatum(heap_form_tuple(results->tupdesc, values, nulls));
		MemoryContextSwitchTo(old);
	}
	PG_RETURN_DATUM(results->results[scores]);
}

/* ----------------------------------------------------------------------
 * Segments
 * ----------------------------------------------------------------------
 */

static SegmentScheme *
segment_find_scheme(List *schemes, const char *name, int len)
{
	ListCell   *cell;

	foreach(cell, schemes)
	{
		SegmentScheme *scheme = (SegmentScheme *) lfirst(cell);

		if (strncmp(scheme->name, name, len) == 0 && scheme->name[len] == '\0')
			return scheme;
	}
	return NULL;
}

/* Rows read later replace those read before. */
static List *
segment_read(List *schemes, CacheWatch *watch)
{
	SettingsScan settings;

	settings_begin(&settings, watch);
	while (settings_next(&settings))
	{
		char	   *name = settings_get_text(&settings, "scheme");
		SegmentScheme *scheme = segment_find_scheme(schemes, name, strlen(name));
		bool		isnull;
		int			r = DatumGetInt32(settings_get(&settings, "recency", &isnull));
		int			f = DatumGetInt32(settings_get(&settings, "frequency", &isnull));
		int			m = DatumGetInt32(settings_get(&settings, "monetary", &isnull));

		if (scheme == NULL)
		{
			scheme = palloc0(sizeof(SegmentScheme));
			scheme->name = name;
			schemes = lappend(schemes, scheme);
		}
		scheme->segments[r - 1][f - 1][m - 1] =
			DatumGetTextPCopy(settings_get(&settings, "segment", &isnull));
	}
	settings_end(&settings);
	return schemes;
}

static void
segment_load(void)
{
	MemoryContext context;
	MemoryContext old;
	List	   *schemes;

	if (segment_context != NULL)
	{
		if (default_watch.valid && override_watch.valid)
			return;
		segment_schemes = NIL;
		MemoryContextDelete(segment_context);
		segment_context = NULL;
	}

	context = AllocSetContextCreate(CurrentMemoryContext, "retention segments", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	schemes = segment_read(NIL, &default_watch);
	schemes = segment_read(schemes, &override_watch);
	MemoryContextSwitchTo(old);

	MemoryContextSetParent(context, CacheMemoryContext);
	segment_context = context;
	segment_schemes = schemes;
}

static int
segment_compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(((SegmentScheme *) lfirst(a))->name, ((SegmentScheme *) lfirst(b))->name);
}

/* The segment's name, or NULL where the scheme has none. */
static text *
segment_lookup(const int scores[DIMENSIONS], const text *scheme_name)
{
	SegmentScheme *scheme;

	for (int i = 0; i < DIMENSIONS; i++)
	{
		static const char *const names[DIMENSIONS] = {"recency", "frequency", "monetary"};

		if (scores[i] < 1 || scores[i] > SCORES)
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("%s score %d is out of range", names[i], scores[i]),
					 errdetail("Scores are whole numbers from 1 (worst) to %d (best).", SCORES)));
	}

	segment_load();
	scheme = segment_find_scheme(segment_schemes, VARDATA_ANY(scheme_name), VARSIZE_ANY_EXHDR(scheme_name));
	if (scheme == NULL)
	{
		StringInfoData names;
		List	   *sorted = list_copy(segment_schemes);
		ListCell   *cell;

		list_sort(sorted, segment_compare_names);
		initStringInfo(&names);
		foreach(cell, sorted)
			appendStringInfo(&names, "%s\"%s\"", names.len > 0 ? ", " : "",
							 ((SegmentScheme *) lfirst(cell))->name);
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("segment scheme \"%s\" does not exist", text_to_cstring(scheme_name)),
				 errhint("The schemes are %s; retention.rfm_segment_override takes others.", names.data)));
	}
	return scheme->segments[scores[0] - 1][scores[1] - 1][scores[2] - 1];
}

/* A copy, since the cache may be thrown away while the result is in use. */
static Datum
segment_result(FunctionCallInfo fcinfo, const int scores[DIMENSIONS], const text *scheme)
{
	text	   *segment = segment_lookup(scores, scheme);

	if (segment == NULL)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(datumCopy(PointerGetDatum(segment), false, -1));
}

/*
 * rfm_segment(recency, frequency, monetary, scheme)
 */
Datum
rfm_segment(PG_FUNCTION_ARGS)
{
	int			scores[DIMENSIONS];

	for (int i = 0; i < DIMENSIONS; i++)
		scores[i] = PG_GETARG_INT32(i);
	return segment_result(fcinfo, scores, PG_GETARG_TEXT_PP(DIMENSIONS));
}

/*
 * rfm_segment(score, scheme)
 */
Datum
rfm_segment_of_score(PG_FUNCTION_ARGS)
{
	HeapTupleHeader score = PG_GETARG_HEAPTUPLEHEADER(0);
	int			scores[DIMENSIONS];

	for (int i = 0; i < DIMENSIONS; i++)
	{
		bool		isnull;

		scores[i] = DatumGetInt32(GetAttributeByNum(score, i + 1, &isnull));
		if (isnull)
			PG_RETURN_NULL();
	}
	return segment_result(fcinfo, scores, PG_GETARG_TEXT_PP(1));
}
