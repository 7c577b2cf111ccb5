/*
 * usual_interval.c
 *		How long a customer usually lets pass between two purchases.
 */
#include "history_reader.h"

#include "fmgr.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(usual_interval);

static int
compare_gaps(const void *a, const void *b)
{
	int64		ga = *(const int64 *) a;
	int64		gb = *(const int64 *) b;

	return (ga > gb) - (ga < gb);
}

/*
 * usual_interval(history) -> interval: the median distance of purchases, in
 * whole days.  What was bought within a day of the purchase before is the same
 * visit to the shop.  NULL for fewer than three visits: a single distance says
 * nothing of a habit.
 */
Datum
usual_interval(PG_FUNCTION_ARGS)
{
	PurchaseHistory *history = PG_GETARG_PURCHASE_HISTORY_P(0);
	HistoryReader reader;
	TimestampTz at;
	TimestampTz visit = 0;
	int64	   *gaps;
	int			ngaps = 0;
	int64		median;
	Interval   *result;

	reader = history_read(history);
	if (reader.count < 3)
		PG_RETURN_NULL();

	gaps = (int64 *) palloc(reader.count * sizeof(int64));
	if (history_reader_next(&reader, &at, NULL))
		visit = at;
	while (history_reader_next(&reader, &at, NULL))
	{
		if (at - visit < USECS_PER_DAY)
			continue;
		gaps[ngaps++] = at - visit;
		visit = at;
	}
	if (ngaps < 2)
		PG_RETURN_NULL();

	qsort(gaps, ngaps, sizeof(int64), compare_gaps);
	median = gaps[ngaps / 2];
	if (ngaps % 2 == 0)
		median = gaps[ngaps / 2 - 1] + (median - gaps[ngaps / 2 - 1]) / 2;

	result = (Interval *) palloc0(sizeof(Interval));
	result->day = (int32) ((median + USECS_PER_DAY - 1) / USECS_PER_DAY);
	PG_RETURN_INTERVAL_P(result);
}
