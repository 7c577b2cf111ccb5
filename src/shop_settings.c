/*
 * shop_settings.c
 *		A shop's settings, cached until the table changes.
 */
#include "shop_settings.h"

#include "cache.h"
#include "own_query.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

static CacheWatch shop_watch = {"shop"};
static MemoryContext shop_context = NULL;
static ShopSettings *shops = NULL;
static int	nshops = 0;

static OwnQuery read_shops = {
	"SELECT shop_id, name, time_zone, currency, on_error = 'raise', points_rate,"
	" accrue_on = 'paid', accrue_after_days, debt_policy = 'forgive', tier_window"
	" FROM retention.shop",
	0, {NULL}
};

static void
load_shops(void)
{
	OwnContext	saved;
	MemoryContext context;
	MemoryContext caller;
	ShopSettings *loaded;
	int			n;

	if (shop_context != NULL)
		MemoryContextDelete(shop_context);
	shop_context = NULL;
	shops = NULL;
	nshops = 0;

	cache_begin_read(&shop_watch);
	own_begin(&saved);
	SPI_connect();
	n = (int) own_execute(&read_shops, NULL, NULL);

	/* Becomes long-lived only when the whole table is read. */
	context = AllocSetContextCreate(CurrentMemoryContext, "retention shops",
									ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(context);
	loaded = (ShopSettings *) palloc0(Max(n, 1) * sizeof(ShopSettings));
	for (int i = 0; i < n; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		ShopSettings *shop = &loaded[i];
		Datum		window;
		bool		isnull;

		shop->shop_id = (int32) own_int64(tuple, 1);
		shop->name = own_text(tuple, 2);
		shop->time_zone = own_text(tuple, 3);
		shop->currency = own_text(tuple, 4);
		shop->raise_errors = own_bool(tuple, 5);
		shop->points_rate = own_numeric(tuple, 6);
		shop->accrue_on = own_bool(tuple, 7) ? ACCRUE_ON_PAID : ACCRUE_ON_COMPLETED;
		shop->accrue_after_days = (int32) own_int64(tuple, 8);
		shop->forgive_debt = own_bool(tuple, 9);
		window = own_copy(tuple, 10, &isnull);
		shop->tier_window = isnull ? NULL : DatumGetIntervalP(window);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextSetParent(context, CacheMemoryContext);

	SPI_finish();
	own_end(&saved);

	shop_context = context;
	shops = loaded;
	nshops = n;
}

const ShopSettings *
shop_settings(int32 shop_id)
{
	if (!shop_watch.valid || shops == NULL)
		load_shops();

	for (int i = 0; i < nshops; i++)
	{
		if (shops[i].shop_id == shop_id)
			return &shops[i];
	}
	ereport(ERROR,
			(errcode(ERRCODE_NO_DATA_FOUND),
			 errmsg("shop %d does not exist", shop_id),
			 errhint("SELECT * FROM retention.shop shows the shops there are.")));
	return NULL;				/* keep compiler quiet */
}
