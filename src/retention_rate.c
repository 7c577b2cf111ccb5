/*
 * retention_rate.c
 *		Who came back N days after a first event: retention_rate() and
 *		retention_curve(), over purchase histories or any events.
 *
 * Days are those of a time zone.  Day d of a customer is the d-th day after
 * that of the first event.  A customer is observed up to the last day that is
 * over; of what happened that far, a few counts by number of days answer every
 * N in each mode:
 *
 *	OBSERVED	customers by the days they are observed for; others: those of them
 *				who have a second event in these days
 *	CLASSIC		customers with an event on day d
 *	ROLLING		customers by the last day with an event, or the last observed
 *				day when there are later events
 *	WITHIN		customers by the day of the second event, if observed
 *
 * Observed for N days are those with OBSERVED >= N.  Of them came back on day
 * N: CLASSIC at N; on or after it: ROLLING >= N; up to it: WITHIN <= N, less
 * those who are not observed that long, the others of OBSERVED < N.
 */
#include "retention_rate.h"

#include "history_reader.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(retention_transition);
PG_FUNCTION_INFO_V1(retention_rate_transition);
PG_FUNCTION_INFO_V1(retention_curve_transition);
PG_FUNCTION_INFO_V1(retention_events_transition);
PG_FUNCTION_INFO_V1(retention_rate_events_transition);
PG_FUNCTION_INFO_V1(retention_rate_final);
PG_FUNCTION_INFO_V1(retention_curve_final);
PG_FUNCTION_INFO_V1(retention_curve_own_final);

typedef enum RetentionCount
{
	OBSERVED,
	CLASSIC,
	ROLLING,
	WITHIN
} RetentionCount;

static RetentionMode
mode_parse(const char *text)
{
	if (pg_strcasecmp(text, "classic") == 0)
		return MODE_CLASSIC;
	if (pg_strcasecmp(text, "rolling") == 0)
		return MODE_ROLLING;
	if (pg_strcasecmp(text, "within") == 0)
		return MODE_WITHIN;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("retention \"%s\" not recognized", text),
			 errhint("It is classic (on day N), rolling (on day N or later) or within (up to day N).")));
	return MODE_ALL;			/* keep compiler quiet */
}

int32
retention_arg_days(FunctionCallInfo fcinfo, int n)
{
	int32		days;

	counts_require(fcinfo, n, "the number of days");
	days = PG_GETARG_INT32(n);
	if (days < 0)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("the number of days must not be negative, but is %d", days)));
	return days;
}

static void
question_all(FunctionCallInfo fcinfo, CountsQuestion *question, int zone)
{
	question->kind = COUNTS_RETENTION;
	question->unit = PERIOD_DAY;
	counts_arg_zone(fcinfo, zone, question);
	question->at = counts_arg_at(fcinfo, zone + 1);
}

void
retention_question(FunctionCallInfo fcinfo, CountsQuestion *question, int mode)
{
	question_all(fcinfo, question, mode + 2);
	counts_require(fcinfo, mode, "the mode");
	question->mode = mode_parse(text_to_cstring(PG_GETARG_TEXT_PP(mode)));
}

static void
question_one(FunctionCallInfo fcinfo, CountsQuestion *question, int mode)
{
	retention_question(fcinfo, question, mode);
	question->number = retention_arg_days(fcinfo, mode + 1);
}

/* After the history: time zone, moment. */
static void
history_question(FunctionCallInfo fcinfo, CountsQuestion *question)
{
	question_all(fcinfo, question, 2);
}

/* After the history: mode, days, time zone, moment. */
static void
history_question_one(FunctionCallInfo fcinfo, CountsQuestion *question)
{
	question_one(fcinfo, question, 2);
}

/* After the history: mode, array of days, time zone, moment. */
static void
history_question_curve(FunctionCallInfo fcinfo, CountsQuestion *question)
{
	char	   *days;

	retention_question(fcinfo, question, 2);
	counts_require(fcinfo, 3, "the numbers of days");
	days = OidOutputFunctionCall(F_ARRAY_OUT, PG_GETARG_DATUM(3));
	if (strlen(days) >= sizeof(question->fractions))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many numbers of days"),
				 errhint("Use retention_curve(retention_collect(...), mode, days).")));
	strcpy(question->fractions, days);
}

/* After the first event and the others: the same. */
static void
events_question(FunctionCallInfo fcinfo, CountsQuestion *question)
{
	question_all(fcinfo, question, 3);
}

static void
events_question_one(FunctionCallInfo fcinfo, CountsQuestion *question)
{
	question_one(fcinfo, question, 3);
}

/* One customer's events, counted in order of time. */
typedef struct Visits
{
	HistoryCounts *state;
	RetentionMode mode;
	int64		observed;		/* last day that is over */
	int64		last;			/* day counted last */
	bool		any;
	bool		within;			/* the second event is on an observed day */
} Visits;

static inline void
visits_begin(Visits *visits, HistoryCounts *state, const CountsCall *call, int64 first_day)
{
	visits->state = state;
	visits->mode = (RetentionMode) call->question.mode;
	visits->observed = (int64) call->current - 1 - first_day;
	visits->last = -1;
	visits->any = false;
	visits->within = false;
}

/* False when later events of the customer do not matter any more. */
static inline bool
visits_add(Visits *visits, int64 day)
{
	if (!visits->any && (visits->mode == MODE_WITHIN || visits->mode == MODE_ALL) &&
		day <= visits->observed)
	{
		counts_cell(visits->state, WITHIN, day)->customers++;
		visits->within = true;
	}
	visits->any = true;
	if (visits->mode == MODE_WITHIN)
		return false;

	if (day > visits->observed)
	{
		visits->last = visits->observed;
		return false;
	}
	if ((visits->mode == MODE_CLASSIC || visits->mode == MODE_ALL) && day != visits->last)
		counts_cell(visits->state, CLASSIC, day)->customers++;
	visits->last = day;
	return true;
}

static inline void
visits_end(Visits *visits)
{
	if (visits->observed >= 0)
	{
		CountsCell *cell = counts_cell(visits->state, OBSERVED, visits->observed);

		cell->customers++;
		cell->others += visits->within;
	}
	if (visits->last >= 0 && (visits->mode == MODE_ROLLING || visits->mode == MODE_ALL))
		counts_cell(visits->state, ROLLING, visits->last)->customers++;
}

static Datum
history_add(FunctionCallInfo fcinfo, CountsReader question)
{
	CountsCall *call;
	HistoryCounts *state = counts_transition(fcinfo, question, 2, &call);
	HistoryReader reader;
	TimestampTz at;

	if (state == NULL)
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}

	reader = history_read(PG_GETARG_PURCHASE_HISTORY_P(1));
	if (history_reader_next(&reader, &at, NULL) && at <= call->question.at)
	{
		Visits		visits;
		int64		first = calendar_period(call->calendar, at);

		visits_begin(&visits, state, call, first);
		while (history_reader_next(&reader, &at, NULL) && at <= call->question.at)
		{
			if (!visits_add(&visits, calendar_period(call->calendar, at) - first))
				break;
		}
		visits_end(&visits);
	}
	return EOHPGetRWDatum(&state->hdr);
}

Datum
retention_transition(PG_FUNCTION_ARGS)
{
	return history_add(fcinfo, history_question);
}

Datum
retention_rate_transition(PG_FUNCTION_ARGS)
{
	return history_add(fcinfo, history_question_one);
}

Datum
retention_curve_transition(PG_FUNCTION_ARGS)
{
	return history_add(fcinfo, history_question_curve);
}

static int
compare_times(const void *a, const void *b)
{
	TimestampTz x = *(const TimestampTz *) a;
	TimestampTz y = *(const TimestampTz *) b;

	return x < y ? -1 : x > y;
}

/*
 * One row a customer: the first event and an array of those that may be a
 * return, in any order.  Events before the first one do not count.
 */
static Datum
events_add(FunctionCallInfo fcinfo, CountsReader question)
{
	CountsCall *call;
	HistoryCounts *state = counts_transition(fcinfo, question, 3, &call);
	TimestampTz first;

	if (state == NULL)
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}

	first = PG_GETARG_TIMESTAMPTZ(1);
	if (TIMESTAMP_NOT_FINITE(first))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("a first event cannot have an infinite time")));
	if (first <= call->question.at)
	{
		Visits		visits;
		int64		first_day = calendar_period(call->calendar, first);

		visits_begin(&visits, state, call, first_day);
		if (!PG_ARGISNULL(2))
		{
			Datum	   *elements;
			bool	   *nulls;
			int			n;
			TimestampTz *times;
			int			ntimes = 0;

			deconstruct_array(PG_GETARG_ARRAYTYPE_P(2), TIMESTAMPTZOID, 8, true, TYPALIGN_DOUBLE,
							  &elements, &nulls, &n);
			times = (TimestampTz *) palloc(Max(n, 1) * sizeof(TimestampTz));
			for (int i = 0; i < n; i++)
			{
				TimestampTz at = DatumGetTimestampTz(elements[i]);

				if (!nulls[i] && !TIMESTAMP_NOT_FINITE(at) && at > first && at <= call->question.at)
					times[ntimes++] = at;
			}
			qsort(times, ntimes, sizeof(TimestampTz), compare_times);
			for (int i = 0; i < ntimes; i++)
			{
				if (!visits_add(&visits, calendar_period(call->calendar, times[i]) - first_day))
					break;
			}
		}
		visits_end(&visits);
	}
	return EOHPGetRWDatum(&state->hdr);
}

Datum
retention_events_transition(PG_FUNCTION_ARGS)
{
	return events_add(fcinfo, events_question);
}

Datum
retention_rate_events_transition(PG_FUNCTION_ARGS)
{
	return events_add(fcinfo, events_question_one);
}

/*
 * Of the customers observed for so many days, those who came back.
 */
static void
retained(const HistoryCounts *state, RetentionMode mode, int64 days,
		 int64 *customers, int64 *returned)
{
	*customers = 0;
	*returned = 0;
	for (uint64 i = 0; i < state->nslots; i++)
	{
		const CountsCell *cell = &state->slots[i];

		if (cell->row == OBSERVED && cell->col >= days)
			*customers += cell->customers;
		else if (mode == MODE_WITHIN && cell->row == OBSERVED)
			*returned -= cell->others;
		else if ((mode == MODE_CLASSIC && cell->row == CLASSIC && cell->col == days) ||
				 (mode == MODE_ROLLING && cell->row == ROLLING && cell->col >= days) ||
				 (mode == MODE_WITHIN && cell->row == WITHIN && cell->col <= days))
			*returned += cell->customers;
	}
}

/*
 * The state's own mode, or the one asked for where it counted all of them.
 */
static RetentionMode
state_mode(FunctionCallInfo fcinfo, const HistoryCounts *state)
{
	RetentionMode own = (RetentionMode) state->question.mode;
	RetentionMode asked = own;

	if (PG_NARGS() > 1)
		asked = mode_parse(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	if (asked == MODE_ALL || (own != MODE_ALL && own != asked))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the state was made for another kind of retention")));
	return asked;
}

/*
 * retention_rate(state [, mode, days])
 */
Datum
retention_rate_final(PG_FUNCTION_ARGS)
{
	HistoryCounts *state = counts_state(fcinfo, COUNTS_RETENTION);
	RetentionMode mode = state_mode(fcinfo, state);
	int64		customers;
	int64		returned;

	retained(state, mode, PG_NARGS() > 2 ? retention_arg_days(fcinfo, 2) : state->question.number,
			 &customers, &returned);
	if (customers == 0)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(counts_rate(returned, customers));
}

int32 *
retention_days(Datum array, int *ndays)
{
	Datum	   *elements;
	bool	   *nulls;
	int32	   *days;

	deconstruct_array(DatumGetArrayTypeP(array), INT4OID, 4, true, TYPALIGN_INT,
					  &elements, &nulls, ndays);
	days = (int32 *) palloc(Max(*ndays, 1) * sizeof(int32));
	for (int i = 0; i < *ndays; i++)
	{
		if (nulls[i] || DatumGetInt32(elements[i]) < 0)
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("the numbers of days must be 0 or more")));
		days[i] = DatumGetInt32(elements[i]);
	}
	return days;
}

Datum
retention_question_days(const CountsQuestion *question)
{
	FmgrInfo	in;

	fmgr_info(F_ARRAY_IN, &in);
	return InputFunctionCall(&in, pstrdup(question->fractions), INT4OID, -1);
}

void
retention_row_add(CountsRows *rows, int32 days, int64 customers, int64 returned)
{
	Datum		values[4] = {Int32GetDatum(days), Int64GetDatum(customers), Int64GetDatum(returned)};
	bool		nulls[4] = {false, false, customers == 0, customers == 0};

	if (customers > 0)
		values[3] = counts_rate(returned, customers);
	counts_rows_add(rows, values, nulls);
}

/* One row for each number of days. */
static Datum
curve(FunctionCallInfo fcinfo, const HistoryCounts *state, RetentionMode mode, Datum array)
{
	CountsRows	rows;
	int			ndays;
	int32	   *days = retention_days(array, &ndays);

	counts_rows_begin(&rows, fcinfo);
	for (int i = 0; i < ndays; i++)
	{
		int64		customers;
		int64		returned;

		retained(state, mode, days[i], &customers, &returned);
		retention_row_add(&rows, days[i], customers, returned);
	}
	return counts_rows_end(&rows);
}

/*
 * retention_curve(state, mode, days)
 */
Datum
retention_curve_final(PG_FUNCTION_ARGS)
{
	HistoryCounts *state = counts_state(fcinfo, COUNTS_RETENTION);

	return curve(fcinfo, state, state_mode(fcinfo, state), PG_GETARG_DATUM(2));
}

/*
 * retention_curve(state): of the mode and the days it was collected for.
 */
Datum
retention_curve_own_final(PG_FUNCTION_ARGS)
{
	HistoryCounts *state = counts_state(fcinfo, COUNTS_RETENTION);

	if (state->question.fractions[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the state was made for another question"),
				 errhint("Give the mode and the days: retention_curve(state, mode, days).")));
	return curve(fcinfo, state, state_mode(fcinfo, state), retention_question_days(&state->question));
}
