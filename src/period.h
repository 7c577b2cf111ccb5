/*
 * period.h
 *		Calendar periods (day, week, month, quarter, year) in a time zone.
 *
 * A period is a whole number that grows by one from each period to the next,
 * so that distances between periods are differences.
 */
#ifndef RETENTION_PERIOD_H
#define RETENTION_PERIOD_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "pgtime.h"
#include "utils/date.h"

typedef enum PeriodUnit
{
	PERIOD_DAY,
	PERIOD_WEEK,
	PERIOD_MONTH,
	PERIOD_QUARTER,
	PERIOD_YEAR
} PeriodUnit;

#define MONDAY		1			/* days of the week as in ISO 8601 */
#define SUNDAY		7

/* Marks a day on which clocks change: its local time takes a look-up. */
#define PERIOD_CLOCK_CHANGE PG_INT32_MIN

/*
 * Finds the period of a moment.  For a range of days, which grows as moments
 * ask for it, two tables are kept: the offset from UTC by UTC day, and the
 * period by local day.
 */
typedef struct Calendar
{
	MemoryContext context;
	pg_tz	   *zone;
	PeriodUnit	unit;
	int			week_start;
	int32		first_day;		/* of the tables, in days since 2000-01-01 */
	uint32		ndays;
	int32	   *offsets;		/* seconds, or PERIOD_CLOCK_CHANGE */
	int32	   *periods;		/* from the day before the first to the one
								 * after the last */
} Calendar;

/* The zone of that name, as AT TIME ZONE knows it; an error when unknown. */
extern pg_tz *period_zone(const char *name);

/* Reads "month", "week", "week from sunday", ...; an error for others. */
extern PeriodUnit period_parse(const char *text, int *week_start);

extern Calendar *calendar_create(MemoryContext context, const char *zone,
								 PeriodUnit unit, int week_start);

extern int32 calendar_period_slow(Calendar *calendar, TimestampTz at);

/* The period of a day, and the first day of a period. */
extern int32 calendar_period_of_day(const Calendar *calendar, DateADT day);
extern DateADT calendar_start(const Calendar *calendar, int64 period);

static inline int32
calendar_period(Calendar *calendar, TimestampTz at)
{
	uint64		since = (uint64) at - (uint64) ((int64) calendar->first_day * USECS_PER_DAY);
	uint64		day = since / USECS_PER_DAY;
	int64		local;

	if (unlikely(day >= calendar->ndays || calendar->offsets[day] == PERIOD_CLOCK_CHANGE))
		return calendar_period_slow(calendar, at);
	local = (int64) since + (calendar->offsets[day] + (int64) SECS_PER_DAY) * USECS_PER_SEC;
	return calendar->periods[(uint64) local / USECS_PER_DAY];
}

#endif							/* RETENTION_PERIOD_H */
