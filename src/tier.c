/*
 * tier.c
 *		Tiers: the ladder of a shop, and the rung a customer has reached.
 *
 * Both tables of rungs are kept in memory and read again when they change.
 */
#include "tier.h"

#include "cache.h"
#include "settings.h"
#include "shop.h"

#include "fmgr.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

/* A rung as cached. */
typedef struct TierRung
{
	int32		shop_id;		/* 0: of the shipped ladder */
	int32		rung;			/* its height */
	char	   *name;
	Numeric		min_spent;		/* NULL: not asked */
	bool		asks_purchases;
	int64		min_purchases;
	bool		match_all;		/* both thresholds are asked, not either */
	Numeric		multiplier;
} TierRung;

PG_FUNCTION_INFO_V1(tier_of);

static CacheWatch default_watch = {.table = "tier_default"};
static CacheWatch shop_watch = {.table = "tier"};
static MemoryContext tier_context = NULL;
static List *rungs = NIL;		/* of TierRung, by shop and from the top */

static int
tier_compare(const ListCell *a, const ListCell *b)
{
	const TierRung *left = (const TierRung *) lfirst(a);
	const TierRung *right = (const TierRung *) lfirst(b);

	if (left->shop_id != right->shop_id)
		return left->shop_id < right->shop_id ? -1 : 1;
	if (left->rung != right->rung)
		return left->rung > right->rung ? -1 : 1;
	return 0;
}

static Numeric
tier_get_numeric(SettingsScan *settings, const char *column)
{
	bool		isnull;
	Datum		value = settings_get(settings, column, &isnull);

	return isnull ? NULL : DatumGetNumericCopy(value);
}

static List *
tier_read(List *list, CacheWatch *watch, bool of_shops)
{
	SettingsScan settings;

	settings_begin(&settings, watch);
	while (settings_next(&settings))
	{
		TierRung   *rung = palloc0(sizeof(TierRung));
		bool		isnull;
		char	   *match;

		if (of_shops)
			rung->shop_id = DatumGetInt32(settings_get(&settings, "shop_id", &isnull));
		rung->rung = DatumGetInt32(settings_get(&settings, "rung", &isnull));
		rung->name = settings_get_text(&settings, "name");
		rung->min_spent = tier_get_numeric(&settings, "min_spent");
		rung->min_purchases = DatumGetInt64(settings_get(&settings, "min_purchases", &isnull));
		rung->asks_purchases = !isnull;
		match = settings_get_text(&settings, "match");
		rung->match_all = strcmp(match, "all") == 0;
		rung->multiplier = tier_get_numeric(&settings, "multiplier");
		list = lappend(list, rung);
	}
	settings_end(&settings);
	return list;
}

static void
tier_load(void)
{
	MemoryContext context;
	MemoryContext old;
	List	   *list;

	if (tier_context != NULL)
	{
		if (default_watch.valid && shop_watch.valid)
			return;
		rungs = NIL;
		cache_retire(tier_context);
		tier_context = NULL;
	}

	context = AllocSetContextCreate(CurrentMemoryContext, "retention tiers", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	list = tier_read(NIL, &default_watch, false);
	list = tier_read(list, &shop_watch, true);
	list_sort(list, tier_compare);
	MemoryContextSwitchTo(old);

	MemoryContextSetParent(context, CacheMemoryContext);
	tier_context = context;
	rungs = list;
}

static bool
tier_reached(const TierRung *rung, Numeric spent, int64 purchases)
{
	bool		by_spent = true;
	bool		by_purchases = true;

	if (rung->min_spent != NULL)
		by_spent = DatumGetInt32(DirectFunctionCall2(numeric_cmp,
													 NumericGetDatum(spent),
													 NumericGetDatum(rung->min_spent))) >= 0;
	if (rung->asks_purchases)
		by_purchases = purchases >= rung->min_purchases;

	if (rung->match_all || rung->min_spent == NULL || !rung->asks_purchases)
		return by_spent && by_purchases;
	return by_spent || by_purchases;
}

/*
 * The highest rung reached on the shop's own ladder, or on the shipped one
 * when the shop has none; NULL when none is reached.
 */
static const TierRung *
tier_find(int32 shop_id, Numeric spent, int64 purchases)
{
	ListCell   *cell;
	bool		has_ladder = false;

	tier_load();

	foreach(cell, rungs)
	{
		const TierRung *rung = (const TierRung *) lfirst(cell);

		if (rung->shop_id != shop_id)
			continue;
		has_ladder = true;
		if (tier_reached(rung, spent, purchases))
			return rung;
	}

	if (has_ladder || shop_id == 0)
		return NULL;
	return tier_find(0, spent, purchases);
}

Numeric
tier_multiplier(int32 shop_id, Numeric spent, int64 purchases)
{
	const TierRung *rung = tier_find(shop_id, spent, purchases);

	if (rung == NULL)
		return int64_to_numeric(1);
	return DatumGetNumericCopy(NumericGetDatum(rung->multiplier));
}

const char *
tier_name(int32 shop_id, Numeric spent, int64 purchases)
{
	const TierRung *rung = tier_find(shop_id, spent, purchases);

	return rung == NULL ? NULL : pstrdup(rung->name);
}

/* The rung of that name on the shop's ladder, or on the shipped one. */
static const TierRung *
tier_named(int32 shop_id, const char *name)
{
	ListCell   *cell;
	bool		has_ladder = false;

	tier_load();

	foreach(cell, rungs)
	{
		const TierRung *rung = (const TierRung *) lfirst(cell);

		if (rung->shop_id != shop_id)
			continue;
		has_ladder = true;
		if (strcmp(rung->name, name) == 0)
			return rung;
	}

	if (has_ladder || shop_id == 0)
		return NULL;
	return tier_named(0, name);
}

int
tier_height(int32 shop_id, const char *name)
{
	const TierRung *rung = name ? tier_named(shop_id, name) : NULL;

	return rung == NULL ? 0 : rung->rung;
}

const char *
tier_next_lower(int32 shop_id, int height)
{
	ListCell   *cell;
	bool		has_ladder = false;

	tier_load();

	/* From the top, so the first that is lower is the next. */
	foreach(cell, rungs)
	{
		const TierRung *rung = (const TierRung *) lfirst(cell);

		if (rung->shop_id != shop_id)
			continue;
		has_ladder = true;
		if (rung->rung < height)
			return pstrdup(rung->name);
	}

	if (has_ladder || shop_id == 0)
		return NULL;
	return tier_next_lower(0, height);
}

bool
tier_by_name(int32 shop_id, const char *name, Numeric *multiplier)
{
	const TierRung *rung = tier_named(shop_id, name);

	if (rung == NULL)
		return false;
	*multiplier = DatumGetNumericCopy(NumericGetDatum(rung->multiplier));
	return true;
}

/*
 * tier_of(spent, purchases, shop): the name of the tier.
 */
Datum
tier_of(PG_FUNCTION_ARGS)
{
	Numeric		spent = PG_ARGISNULL(0) ? int64_to_numeric(0) : PG_GETARG_NUMERIC(0);
	int64		purchases = PG_ARGISNULL(1) ? 0 : PG_GETARG_INT64(1);
	char	   *shop = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	const TierRung *rung;

	/* NaN would pass for more than any threshold. */
	if (numeric_is_nan(spent))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid amount spent: NaN")));

	rung = tier_find(shop_lookup(shop, shop == NULL), spent, purchases);
	if (rung == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(rung->name));
}
