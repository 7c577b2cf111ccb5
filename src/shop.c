/*
 * shop.c
 *		The shops and their settings, cached; which one is meant by a name.
 */
#include "shop.h"

#include "cache.h"
#include "settings.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(shop_id);

static CacheWatch shop_watch = {.table = "shop"};
static MemoryContext shop_context = NULL;
static List *shops = NIL;		/* of Shop, in shop_context */

static const char *const roundings[] = {"down", "nearest", "up"};
static const char *const expiry_rules[] = {
	"none", "months", "end_of_month", "end_of_quarter", "end_of_year"
};

/* Which of the words a column allows it has. */
static int
setting_word(SettingsScan *settings, const char *column, const char *const *words, int nwords)
{
	char	   *word = settings_get_text(settings, column);

	for (int i = 0; i < nwords; i++)
	{
		if (strcmp(word, words[i]) == 0)
			return i;
	}
	elog(ERROR, "unexpected value \"%s\" of retention.shop.%s", word, column);
	return 0;					/* keep compiler quiet */
}

static Interval *
setting_interval(SettingsScan *settings, const char *column)
{
	bool		isnull;
	Datum		value = settings_get(settings, column, &isnull);

	return isnull ? NULL : DatumGetIntervalP(datumCopy(value, false, sizeof(Interval)));
}

/* NULL for a multiplier of 1, which changes nothing. */
static Numeric
setting_multiplier(SettingsScan *settings, const char *column)
{
	bool		isnull;
	Datum		value = settings_get(settings, column, &isnull);

	if (DatumGetBool(DirectFunctionCall2(numeric_eq, value, NumericGetDatum(int64_to_numeric(1)))))
		return NULL;
	return DatumGetNumericCopy(value);
}

static Shop *
shop_read(SettingsScan *settings)
{
	Shop	   *shop = palloc0(sizeof(Shop));
	Datum		value;
	bool		isnull;

	shop->shop_id = DatumGetInt32(settings_get(settings, "shop_id", &isnull));
	shop->name = settings_get_text(settings, "name");
	shop->time_zone = settings_get_text(settings, "time_zone");
	shop->currency = settings_get_text(settings, "currency");
	shop->raise_errors = strcmp(settings_get_text(settings, "on_error"), "raise") == 0;
	shop->points_rate = DatumGetNumericCopy(settings_get(settings, "points_rate", &isnull));
	shop->accrue_on = strcmp(settings_get_text(settings, "accrue_on"), "paid") == 0 ?
		ACCRUE_ON_PAID : ACCRUE_ON_COMPLETED;
	shop->accrue_after_days = DatumGetInt32(settings_get(settings, "accrue_after_days", &isnull));
	shop->forgive_debt = strcmp(settings_get_text(settings, "debt_policy"), "forgive") == 0;
	shop->points_rounding = (PointsRounding) setting_word(settings, "points_rounding", roundings,
														  lengthof(roundings));
	shop->points_expiry = (ExpiryRule) setting_word(settings, "points_expiry", expiry_rules,
													lengthof(expiry_rules));
	shop->points_expiry_months = DatumGetInt32(settings_get(settings, "points_expiry_months", &isnull));
	shop->birthday_multiplier = setting_multiplier(settings, "birthday_multiplier");
	value = settings_get(settings, "member_day", &isnull);
	shop->member_day = isnull ? 0 : DatumGetInt32(value);
	shop->member_day_multiplier = setting_multiplier(settings, "member_day_multiplier");
	shop->hold_timeout = setting_interval(settings, "hold_timeout");
	shop->tier_window = setting_interval(settings, "tier_window");
	shop->tier_grace = setting_interval(settings, "tier_grace");
	shop->tier_down_one_rung = strcmp(settings_get_text(settings, "tier_downgrade"), "one_rung") == 0;
	return shop;
}

static void
shop_load(void)
{
	SettingsScan settings;
	MemoryContext context;
	MemoryContext old;
	List	   *list = NIL;

	if (shop_context != NULL)
	{
		if (shop_watch.valid)
			return;
		shops = NIL;
		cache_retire(shop_context);
		shop_context = NULL;
	}

	context = AllocSetContextCreate(CurrentMemoryContext, "retention shops", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	settings_begin(&settings, &shop_watch);
	while (settings_next(&settings))
		list = lappend(list, shop_read(&settings));
	settings_end(&settings);
	MemoryContextSwitchTo(old);

	MemoryContextSetParent(context, CacheMemoryContext);
	shop_context = context;
	shops = list;
}

static int
shop_compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(((Shop *) lfirst(a))->name, ((Shop *) lfirst(b))->name);
}

/* The names of all shops for a hint, in order. */
static char *
shop_names(void)
{
	StringInfoData names;
	List	   *sorted = list_copy(shops);
	ListCell   *cell;

	list_sort(sorted, shop_compare_names);
	initStringInfo(&names);
	foreach(cell, sorted)
		appendStringInfo(&names, "%s\"%s\"", names.len > 0 ? ", " : "", ((Shop *) lfirst(cell))->name);
	return names.data;
}

int32
shop_lookup(const char *name, bool missing_ok)
{
	ListCell   *cell;

	shop_load();

	if (shops == NIL)
	{
		if (missing_ok)
			return 0;
		if (name == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("there is no shop yet"),
					 errhint("Attach a source of orders, or insert a row into retention.shop.")));
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("shop \"%s\" does not exist", name),
				 errdetail("There is no shop yet."),
				 errhint("Attach a source of orders, or insert a row into retention.shop.")));
	}

	if (name == NULL)
	{
		if (list_length(shops) > 1)
			ereport(ERROR,
					(errcode(ERRCODE_AMBIGUOUS_PARAMETER),
					 errmsg("there are several shops: say which one is meant"),
					 errhint("Add shop => 'name'; the shops are %s.", shop_names())));
		return ((Shop *) linitial(shops))->shop_id;
	}

	foreach(cell, shops)
	{
		Shop	   *shop = (Shop *) lfirst(cell);

		if (strcmp(shop->name, name) == 0)
			return shop->shop_id;
	}

	if (!missing_ok)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("shop \"%s\" does not exist", name),
				 errhint("The shops are %s.", shop_names())));
	return 0;
}

int32
shop_lookup_only(void)
{
	shop_load();
	return list_length(shops) == 1 ? ((Shop *) linitial(shops))->shop_id : 0;
}

const Shop *
shop_settings(int32 shop_id)
{
	ListCell   *cell;

	shop_load();
	foreach(cell, shops)
	{
		Shop	   *shop = (Shop *) lfirst(cell);

		if (shop->shop_id == shop_id)
			return shop;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("shop %d does not exist", shop_id),
			 errhint("SELECT * FROM retention.shop shows the shops there are.")));
	return NULL;				/* keep compiler quiet */
}

/*
 * shop_id(shop): the number of a shop, NULL when there is none at all.
 */
Datum
shop_id(PG_FUNCTION_ARGS)
{
	char	   *name = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	int32		shop = shop_lookup(name, name == NULL);

	if (shop == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT32(shop);
}
