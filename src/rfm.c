/*
 * rfm.c
 *		RFM: scores 1 to 5 for recency, frequency and monetary value, and the
 *		segments they fall into.
 *
 * rfm_score() is a window function.  At the first row of a partition it reads
 * each argument of all rows, finds where each score begins, and notes every
 * row's three scores; after that it only looks them up.  One argument is done
 * after the other, in the same memory.
 */
#include "postgres.h"

#include "cache.h"
#include "large_memory.h"
#include "numeric_units.h"
#include "rank_cuts.h"
#include "retention.h"
#include "settings.h"
#include "shop.h"

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

#define DIMENSIONS		3
#define SCORE_SHIFT		3		/* bits for one score; 0 stands for NULL */
#define SCORE_MASK		7

#define ALL_SHOPS		0

/* A value to be ranked and the row it belongs to. */
typedef struct RankItem
{
	Datum		key;			/* the value, or its abbreviation */
	Datum		value;
	int64		row;
} RankItem;

static inline int
rank_compare(const RankItem *a, const RankItem *b, SortSupport ssup)
{
	int			result = ApplySortComparator(a->key, false, b->key, false, ssup);

	if (result == 0 && ssup->abbrev_converter != NULL)
		result = ApplySortAbbrevFullComparator(a->value, false, b->value, false, ssup);
	return result;
}

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

/*
 * A scheme of segments as cached: a name for each triple of scores.  What a
 * shop has of its own is a scheme of its own, which comes first.
 */
typedef struct SegmentScheme
{
	int32		shop_id;		/* ALL_SHOPS: not of one */
	char	   *name;
	text	   *segments[RANK_SCORES][RANK_SCORES][RANK_SCORES];
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
 * Whether values are integers as far as their order goes, or may turn out to
 * be.
 */
static bool
rank_is_integer(Oid type, bool typbyval)
{
	switch (type)
	{
		case NUMERICOID:
			return true;
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case CASHOID:
			return typbyval;
		default:
			return false;
	}
}

/*
 * Reads one argument of each row of a partition in turn.
 */
typedef struct ArgumentReader
{
	WindowObject winobj;
	int			argument;
	int64		row;
	int64		rows;
	MemoryContext scratch;
} ArgumentReader;

/*
 * The next value that is not NULL, and its row; false at the end.  It is good
 * until the next call, since it may lie in a slot that is overwritten then.
 */
static bool
argument_next(ArgumentReader *reader, Datum *value, int64 *row)
{
	MemoryContext old = MemoryContextSwitchTo(reader->scratch);
	bool		isnull = true;
	bool		isout;

	while (isnull && reader->row < reader->rows)
	{
		if ((reader->row & 255) == 0)
		{
			CHECK_FOR_INTERRUPTS();
			MemoryContextReset(reader->scratch);
		}
		*row = reader->row++;
		*value = WinGetFuncArgInPartition(reader->winobj, reader->argument, *row, WINDOW_SEEK_HEAD,
										  false, &isnull, &isout);
	}
	MemoryContextSwitchTo(old);
	return !isnull;
}

/*
 * Score values that are integers, or numerics that are whole multiples of one
 * power of ten.  False when they are not, and nothing is scored yet.
 */
static bool
score_integers(ArgumentReader *reader, Oid type, int16 typlen, int64 *room,
			   ScorePartition *partition, int shift)
{
	NumericUnits values = {room, 0, 0};
	int64	   *rows = NULL;	/* NULL while no row was left out */
	RankCuts	cuts;
	Datum		value;
	int64		row;

	while (argument_next(reader, &value, &row))
	{
		if (rows == NULL && row != values.n)
		{
			rows = (int64 *) MemoryContextAllocHuge(CurrentMemoryContext, reader->rows * sizeof(int64));
			for (int64 i = 0; i < values.n; i++)
				rows[i] = i;
		}
		if (rows != NULL)
			rows[values.n] = row;
		if (type != NUMERICOID)
			values.units[values.n++] = DatumGetInt64(rank_integer(value, typlen));
		else if (!numeric_units_add(&values, (Numeric) PG_DETOAST_DATUM_PACKED(value)))
			return false;
	}

	cuts = rank_cuts_of_array(values.units, values.n);
	for (int64 i = 0; i < values.n; i++)
		partition->scores[rows == NULL ? i : rows[i]] |= rank_score(&cuts, values.units[i]) << shift;
	return true;
}

/*
 * Score values of any type with an order, by sorting them.
 */
static void
score_sorted(ArgumentReader *reader, TypeCacheEntry *typcache, Oid collation,
			 ScorePartition *partition, int shift)
{
	SortSupportData ssup;
	RankItem   *items;
	Datum		value;
	int64		row;
	int64		n = 0;
	int64		rank = 0;

	memset(&ssup, 0, sizeof(ssup));
	ssup.ssup_cxt = CurrentMemoryContext;
	ssup.ssup_collation = collation;
	ssup.abbreviate = true;
	PrepareSortSupportFromOrderingOp(typcache->lt_opr, &ssup);

	items = MemoryContextAllocHuge(CurrentMemoryContext, reader->rows * sizeof(RankItem));
	while (argument_next(reader, &value, &row))
	{
		if (typcache->typlen == -1)
			value = PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
		else
			value = datumCopy(value, typcache->typbyval, typcache->typlen);
		items[n].row = row;
		items[n].value = value;
		items[n].key = ssup.abbrev_converter != NULL ? ssup.abbrev_converter(value, &ssup) : value;
		n++;
	}
	rank_sort(items, n, &ssup);

	/* As rank() does: all equals have the place of the first of them. */
	for (int64 i = 0; i < n; i++)
	{
		if (i > 0 && rank_compare(&items[i - 1], &items[i], &ssup) != 0)
			rank = i;
		partition->scores[items[i].row] |= (1 + RANK_SCORES * rank / n) << shift;
	}
}

/*
 * Score one argument of all rows of the partition, in the current context,
 * which the caller throws away; there is room for a number a row.
 */
static void
score_dimension(FunctionCallInfo fcinfo, WindowObject winobj, int dimension,
				int64 *room, ScorePartition *partition)
{
	Oid			type = getBaseType(get_fn_expr_argtype(fcinfo->flinfo, dimension));
	TypeCacheEntry *typcache = lookup_type_cache(type, TYPECACHE_LT_OPR);
	int			shift = dimension * SCORE_SHIFT;
	ArgumentReader reader;

	if (!OidIsValid(typcache->lt_opr))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("%s cannot be ranked: type %s has no order",
						dimension_names[dimension], format_type_be(type)),
				 errdetail("The type has no default btree operator class."),
				 errhint("Cast it to a type such as numeric, bigint, date or timestamptz.")));

	reader.winobj = winobj;
	reader.argument = dimension;
	reader.row = 0;
	reader.rows = partition->rows;
	reader.scratch = AllocSetContextCreate(CurrentMemoryContext, "rfm_score argument", ALLOCSET_DEFAULT_SIZES);

	if (rank_is_integer(type, typcache->typbyval) &&
		score_integers(&reader, type, typcache->typlen, room, partition, shift))
		return;
	reader.row = 0;
	score_sorted(&reader, typcache, PG_GET_COLLATION(), partition, shift);
}

static void
score_partition(FunctionCallInfo fcinfo, WindowObject winobj, ScorePartition *partition)
{
	MemoryContext context = GetMemoryChunkContext(partition);
	int64	   *room;
	void	   *memory;

	partition->rows = WinGetPartitionRowCount(winobj);
	partition->scores = MemoryContextAllocHuge(context, partition->rows * sizeof(uint16));
	memset(partition->scores, 0, partition->rows * sizeof(uint16));

	room = (int64 *) large_alloc(CurrentMemoryContext, partition->rows * sizeof(int64), &memory);
	for (int i = 0; i < DIMENSIONS; i++)
	{
		MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "rfm_score", ALLOCSET_DEFAULT_SIZES);
		MemoryContext old = MemoryContextSwitchTo(work);

		score_dimension(fcinfo, winobj, i, room, partition);
		MemoryContextSwitchTo(old);
		MemoryContextDelete(work);
	}
	pfree(memory);

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
segment_find_scheme(List *schemes, int32 shop_id, const char *name, int len)
{
	ListCell   *cell;

	foreach(cell, schemes)
	{
		SegmentScheme *scheme = (SegmentScheme *) lfirst(cell);

		if (scheme->shop_id == shop_id &&
			strncmp(scheme->name, name, len) == 0 && scheme->name[len] == '\0')
			return scheme;
	}
	return NULL;
}

/* Rows read later replace those read before for the same shops. */
static List *
segment_read(List *schemes, CacheWatch *watch, bool of_shops)
{
	SettingsScan settings;

	settings_begin(&settings, watch);
	while (settings_next(&settings))
	{
		char	   *name = settings_get_text(&settings, "scheme");
		SegmentScheme *scheme;
		int32		shop_id = ALL_SHOPS;
		bool		isnull;
		int			r = DatumGetInt32(settings_get(&settings, "recency", &isnull));
		int			f = DatumGetInt32(settings_get(&settings, "frequency", &isnull));
		int			m = DatumGetInt32(settings_get(&settings, "monetary", &isnull));

		if (of_shops)
		{
			Datum		value = settings_get(&settings, "shop_id", &isnull);

			shop_id = isnull ? ALL_SHOPS : DatumGetInt32(value);
		}
		scheme = segment_find_scheme(schemes, shop_id, name, strlen(name));
		if (scheme == NULL)
		{
			scheme = palloc0(sizeof(SegmentScheme));
			scheme->shop_id = shop_id;
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
		cache_retire(segment_context);
		segment_context = NULL;
	}

	context = AllocSetContextCreate(CurrentMemoryContext, "retention segments", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	schemes = segment_read(NIL, &default_watch, false);
	schemes = segment_read(schemes, &override_watch, true);
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

/* Raises the error for a scheme that a shop does not have. */
static void
segment_no_scheme(int32 shop_id, const text *scheme_name)
{
	StringInfoData names;
	List	   *sorted = list_copy(segment_schemes);
	const char *last = "";
	ListCell   *cell;

	list_sort(sorted, segment_compare_names);
	initStringInfo(&names);
	foreach(cell, sorted)
	{
		SegmentScheme *scheme = (SegmentScheme *) lfirst(cell);

		if ((scheme->shop_id != ALL_SHOPS && scheme->shop_id != shop_id) ||
			strcmp(scheme->name, last) == 0)
			continue;
		appendStringInfo(&names, "%s\"%s\"", names.len > 0 ? ", " : "", scheme->name);
		last = scheme->name;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("segment scheme \"%s\" does not exist", text_to_cstring(scheme_name)),
			 errhint("The schemes are %s; retention.rfm_segment_override takes others.", names.data)));
}

/* The segment's name, or NULL where the scheme has none. */
static text *
segment_lookup(const int scores[DIMENSIONS], const text *scheme_name, int32 shop_id)
{
	const char *name = VARDATA_ANY(scheme_name);
	int			len = VARSIZE_ANY_EXHDR(scheme_name);
	SegmentScheme *own = NULL;
	SegmentScheme *common;
	text	   *segment = NULL;

	for (int i = 0; i < DIMENSIONS; i++)
	{
		static const char *const names[DIMENSIONS] = {"recency", "frequency", "monetary"};

		if (scores[i] < 1 || scores[i] > RANK_SCORES)
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("%s score %d is out of range", names[i], scores[i]),
					 errdetail("Scores are whole numbers from 1 (worst) to %d (best).", RANK_SCORES)));
	}

	segment_load();
	if (shop_id != ALL_SHOPS)
		own = segment_find_scheme(segment_schemes, shop_id, name, len);
	common = segment_find_scheme(segment_schemes, ALL_SHOPS, name, len);
	if (own == NULL && common == NULL)
		segment_no_scheme(shop_id, scheme_name);

	if (own != NULL)
		segment = own->segments[scores[0] - 1][scores[1] - 1][scores[2] - 1];
	if (segment == NULL && common != NULL)
		segment = common->segments[scores[0] - 1][scores[1] - 1][scores[2] - 1];
	return segment;
}

/*
 * What is common to both functions: the scheme and the shop are the arguments
 * from `first` on.  The result is a copy, since the cache may be thrown away
 * while it is in use.
 */
static Datum
segment_result(FunctionCallInfo fcinfo, const int scores[DIMENSIONS], int first)
{
	text	   *segment;
	int32		shop_id;

	if (PG_ARGISNULL(first))
		PG_RETURN_NULL();
	shop_id = PG_ARGISNULL(first + 1) ? shop_lookup_only() :
		shop_lookup(text_to_cstring(PG_GETARG_TEXT_PP(first + 1)), false);
	segment = segment_lookup(scores, PG_GETARG_TEXT_PP(first), shop_id);
	if (segment == NULL)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(datumCopy(PointerGetDatum(segment), false, -1));
}

/*
 * rfm_segment(recency, frequency, monetary, scheme, shop)
 */
Datum
rfm_segment(PG_FUNCTION_ARGS)
{
	int			scores[DIMENSIONS];

	for (int i = 0; i < DIMENSIONS; i++)
	{
		if (PG_ARGISNULL(i))
			PG_RETURN_NULL();
		scores[i] = PG_GETARG_INT32(i);
	}
	return segment_result(fcinfo, scores, DIMENSIONS);
}

/*
 * rfm_segment(score, scheme, shop)
 */
Datum
rfm_segment_of_score(PG_FUNCTION_ARGS)
{
	HeapTupleHeader score;
	int			scores[DIMENSIONS];

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	score = PG_GETARG_HEAPTUPLEHEADER(0);
	for (int i = 0; i < DIMENSIONS; i++)
	{
		bool		isnull;

		scores[i] = DatumGetInt32(GetAttributeByNum(score, i + 1, &isnull));
		if (isnull)
			PG_RETURN_NULL();
	}
	return segment_result(fcinfo, scores, 1);
}
