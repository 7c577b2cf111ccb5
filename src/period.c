/*
 * period.c
 *		Calendar periods (day, week, month, quarter, year) in a time zone.
 */
#include "period.h"

#include "compat.h"

#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define WEEK_DAYS		7

/* 2000-01-01, day 0, was a Saturday: the first Monday is day 2. */
#define FIRST_MONDAY	2

/* The tables never reach beyond these days: 1900 to 2199. */
#define TABLE_FIRST_DAY (-36524)
#define TABLE_LAST_DAY	73048

/* They grow by this many days more than was asked for. */
#define TABLE_MARGIN	400

PG_FUNCTION_INFO_V1(period_of);
PG_FUNCTION_INFO_V1(period_start);

static const char *const week_days[] = {
	"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"
};

pg_tz *
period_zone(const char *name)
{
#if PG_VERSION_NUM >= 160000
	return DecodeTimezoneNameToTz(name);
#else
	char	   *lower = downcase_truncate_identifier(name, strlen(name), false);
	int			offset;
	pg_tz	   *zone;
	int			type = DecodeTimezoneAbbrev(0, lower, &offset, &zone);

	if (type == TZ || type == DTZ)
		return pg_tzset_offset(-offset);
	if (type == DYNTZ)
		return zone;
	zone = pg_tzset(name);
	if (zone == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" not recognized", name)));
	return zone;
#endif
}

PeriodUnit
period_parse(const char *text, int *week_start)
{
	static const char *const units[] = {"day", "week", "month", "quarter", "year"};

	*week_start = MONDAY;
	for (int unit = 0; unit < (int) lengthof(units); unit++)
	{
		if (pg_strcasecmp(text, units[unit]) == 0)
			return (PeriodUnit) unit;
	}
	if (pg_strncasecmp(text, "week from ", 10) == 0)
	{
		for (int day = 0; day < (int) lengthof(week_days); day++)
		{
			if (pg_strcasecmp(text + 10, week_days[day]) == 0)
			{
				*week_start = MONDAY + day;
				return PERIOD_WEEK;
			}
		}
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("period \"%s\" not recognized", text),
			 errhint("Periods are day, week (from Monday), week from sunday (or another day), month, quarter and year.")));
	return PERIOD_DAY;			/* keep compiler quiet */
}

static inline int32
floor_divide(int32 dividend, int32 divisor)
{
	int32		quotient = dividend / divisor;

	return quotient - (dividend % divisor < 0);
}

int32
calendar_period_of_day(const Calendar *calendar, DateADT day)
{
	int			year;
	int			month;
	int			day_of_month;

	switch (calendar->unit)
	{
		case PERIOD_DAY:
			return day;
		case PERIOD_WEEK:
			return floor_divide(day - FIRST_MONDAY - (calendar->week_start - MONDAY), WEEK_DAYS);
		default:
			break;
	}

	j2date(day + POSTGRES_EPOCH_JDATE, &year, &month, &day_of_month);
	year -= 2000;
	if (calendar->unit == PERIOD_MONTH)
		return year * MONTHS_PER_YEAR + month - 1;
	if (calendar->unit == PERIOD_QUARTER)
		return year * 4 + (month - 1) / 3;
	return year;
}

DateADT
calendar_start(const Calendar *calendar, int64 period)
{
	int			months;
	int			year;

	if (calendar->unit == PERIOD_DAY)
		return (DateADT) period;
	if (calendar->unit == PERIOD_WEEK)
		return (DateADT) (period * WEEK_DAYS + FIRST_MONDAY + (calendar->week_start - MONDAY));

	months = calendar->unit == PERIOD_MONTH ? 1 : calendar->unit == PERIOD_QUARTER ? 3 : MONTHS_PER_YEAR;
	months *= (int) period;
	year = floor_divide(months, MONTHS_PER_YEAR);
	return date2j(2000 + year, months - year * MONTHS_PER_YEAR + 1, 1) - POSTGRES_EPOCH_JDATE;
}

Calendar *
calendar_create(MemoryContext context, const char *zone, PeriodUnit unit, int week_start)
{
	Calendar   *calendar = (Calendar *) MemoryContextAllocZero(context, sizeof(Calendar));

	calendar->context = context;
	calendar->zone = period_zone(zone);
	calendar->unit = unit;
	calendar->week_start = week_start;
	return calendar;
}

/*
 * Make the tables for the days from first to last.
 */
static void
calendar_tabulate(Calendar *calendar, int32 first, int32 last)
{
	uint32		ndays = last - first + 1;
	int32	   *offsets = (int32 *) MemoryContextAlloc(calendar->context, ndays * sizeof(int32));
	int32	   *periods = (int32 *) MemoryContextAlloc(calendar->context, (ndays + 2) * sizeof(int32));
	uint32		day = 0;
	int64		epoch = POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE;

	while (day < ndays)
	{
		pg_time_t	now = (epoch + first + day) * SECS_PER_DAY;
		pg_time_t	change;
		long int	offset;
		long int	next_offset;
		int			is_dst;
		int			next_is_dst;
		int			found = pg_next_dst_boundary(&now, &offset, &is_dst, &change,
												 &next_offset, &next_is_dst, calendar->zone);

		if (found < 0)
			offsets[day++] = PERIOD_CLOCK_CHANGE;
		else
		{
			while (day < ndays &&
				   (found == 0 || (epoch + first + day + 1) * SECS_PER_DAY <= change))
				offsets[day++] = (int32) offset;
			if (day < ndays)
				offsets[day++] = PERIOD_CLOCK_CHANGE;
		}
	}
	for (uint32 i = 0; i < ndays + 2; i++)
		periods[i] = calendar_period_of_day(calendar, first - 1 + (int32) i);

	if (calendar->offsets != NULL)
	{
		pfree(calendar->offsets);
		pfree(calendar->periods);
	}
	calendar->first_day = first;
	calendar->ndays = ndays;
	calendar->offsets = offsets;
	calendar->periods = periods;
}

/*
 * The period of a moment that the tables do not tell; they grow for the next
 * one that lies near.
 */
int32
calendar_period_slow(Calendar *calendar, TimestampTz at)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int			offset;
	int64		day = at / USECS_PER_DAY;

	if (day > TABLE_FIRST_DAY && day < TABLE_LAST_DAY)
	{
		int32		first = (int32) day - TABLE_MARGIN;
		int32		last = (int32) day + TABLE_MARGIN;

		if (calendar->ndays > 0)
		{
			first = Min(first, calendar->first_day);
			last = Max(last, calendar->first_day + (int32) calendar->ndays - 1);
		}
		if (calendar->ndays == 0 ||
			day < calendar->first_day || day >= calendar->first_day + (int64) calendar->ndays)
			calendar_tabulate(calendar, Max(first, TABLE_FIRST_DAY), Min(last, TABLE_LAST_DAY));
	}

	if (TIMESTAMP_NOT_FINITE(at) ||
		timestamp2tm(at, &offset, &tm, &fsec, NULL, calendar->zone) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	return calendar_period_of_day(calendar,
								  date2j(tm.tm_year, tm.tm_mon, tm.tm_mday) - POSTGRES_EPOCH_JDATE);
}

/*
 * The calendar of a call, kept while the arguments stay the same.
 */
static Calendar *
call_calendar(FunctionCallInfo fcinfo)
{
	text	   *period = PG_GETARG_TEXT_PP(0);
	text	   *zone = PG_GETARG_TEXT_PP(1);
	struct
	{
		Calendar   *calendar;
		char	   *period;
		char	   *zone;
	}		   *cache = fcinfo->flinfo->fn_extra;
	MemoryContext context = fcinfo->flinfo->fn_mcxt;
	int			week_start;
	PeriodUnit	unit;

	if (cache != NULL &&
		strlen(cache->period) == VARSIZE_ANY_EXHDR(period) &&
		memcmp(cache->period, VARDATA_ANY(period), VARSIZE_ANY_EXHDR(period)) == 0 &&
		strlen(cache->zone) == VARSIZE_ANY_EXHDR(zone) &&
		memcmp(cache->zone, VARDATA_ANY(zone), VARSIZE_ANY_EXHDR(zone)) == 0)
		return cache->calendar;

	unit = period_parse(text_to_cstring(period), &week_start);
	cache = MemoryContextAlloc(context, sizeof(*cache));
	cache->period = MemoryContextStrdup(context, text_to_cstring(period));
	cache->zone = MemoryContextStrdup(context, text_to_cstring(zone));
	cache->calendar = calendar_create(context, cache->zone, unit, week_start);
	fcinfo->flinfo->fn_extra = cache;
	return cache->calendar;
}

/*
 * period_of(period, time_zone, at): the first day of the period.
 */
Datum
period_of(PG_FUNCTION_ARGS)
{
	Calendar   *calendar = call_calendar(fcinfo);

	PG_RETURN_DATEADT(calendar_start(calendar, calendar_period(calendar, PG_GETARG_TIMESTAMPTZ(2))));
}

/*
 * period_start(period, time_zone, day, periods): the moment at which the
 * period begins, as AT TIME ZONE gives it for midnight.
 */
Datum
period_start(PG_FUNCTION_ARGS)
{
	Calendar   *calendar = call_calendar(fcinfo);
	DateADT		day = PG_GETARG_DATEADT(2);

	if (DATE_NOT_FINITE(day))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("the day must be finite")));
	day = calendar_start(calendar, (int64) calendar_period_of_day(calendar, day) + PG_GETARG_INT32(3));
	if (!IS_VALID_DATE(day))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("date out of range")));
	PG_RETURN_DATUM(DirectFunctionCall2(timestamp_zone, PG_GETARG_DATUM(1),
										DirectFunctionCall1(date_timestamp, DateADTGetDatum(day))));
}
