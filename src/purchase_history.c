/*
 * purchase_history.c
 *		The type purchase_history: input, output and comparison.
 *
 * The format is described in purchase_history.h.
 */
#include "history_encoding.h"

#include <ctype.h>

#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(purchase_history_in);
PG_FUNCTION_INFO_V1(purchase_history_out);
PG_FUNCTION_INFO_V1(purchase_history_recv);
PG_FUNCTION_INFO_V1(purchase_history_send);
PG_FUNCTION_INFO_V1(purchase_history_from_bytea);
PG_FUNCTION_INFO_V1(purchase_history_eq);
PG_FUNCTION_INFO_V1(purchase_history_ne);
PG_FUNCTION_INFO_V1(purchase_history_lt);
PG_FUNCTION_INFO_V1(purchase_history_le);
PG_FUNCTION_INFO_V1(purchase_history_gt);
PG_FUNCTION_INFO_V1(purchase_history_ge);
PG_FUNCTION_INFO_V1(purchase_history_cmp);
PG_FUNCTION_INFO_V1(purchase_history_hash);
PG_FUNCTION_INFO_V1(purchase_history_hash_extended);

/* ----------------------------------------------------------------
 * Text
 * ----------------------------------------------------------------
 */

static void
refuse_text(const char *text, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("invalid input syntax for type %s: \"%s\"", "purchase_history", text),
			 errdetail("%s", detail),
			 errhint("Write {2024-01-31 08:30:00+00=12.50, 2024-02-29=20}; a time without offset is in UTC.")));
}

static const char *
skip_space(const char *p)
{
	while (isspace((unsigned char) *p))
		p++;
	return p;
}

/*
 * Read a number of so many digits; NULL when it is not there.
 */
static const char *
read_number(const char *p, int least, int most, int *number)
{
	int			digits = 0;

	*number = 0;
	while (digits < most && isdigit((unsigned char) *p))
	{
		*number = *number * 10 + (*p++ - '0');
		digits++;
	}
	return digits < least ? NULL : p;
}

/*
 * Read a time in ISO form; NULL when it is not one.
 *
 * Not timestamptz_in(), whose result hangs on the session's time zone and date
 * style: what a history says must not.
 */
static const char *
read_time(const char *p, TimestampTz *at)
{
	struct pg_tm tm = {0};
	fsec_t		fsec = 0;
	int			offset = 0;

	if ((p = read_number(p, 4, 6, &tm.tm_year)) == NULL || *p++ != '-' ||
		(p = read_number(p, 2, 2, &tm.tm_mon)) == NULL || *p++ != '-' ||
		(p = read_number(p, 2, 2, &tm.tm_mday)) == NULL)
		return NULL;

	if (*p == 'T' || (*p == ' ' && isdigit((unsigned char) p[1])))
	{
		p++;
		if ((p = read_number(p, 2, 2, &tm.tm_hour)) == NULL || *p++ != ':' ||
			(p = read_number(p, 2, 2, &tm.tm_min)) == NULL)
			return NULL;
		if (*p == ':')
		{
			if ((p = read_number(p + 1, 2, 2, &tm.tm_sec)) == NULL)
				return NULL;
			if (*p == '.')
			{
				const char *fraction = p + 1;

				if ((p = read_number(fraction, 1, 6, &fsec)) == NULL)
					return NULL;
				for (int digits = p - fraction; digits < 6; digits++)
					fsec *= 10;
			}
		}
	}

	if (*p == 'Z')
		p++;
	else if (*p == '+' || *p == '-')
	{
		int			sign = *p == '-' ? -1 : 1;
		int			hours;
		int			minutes = 0;
		int			seconds = 0;

		if ((p = read_number(p + 1, 2, 2, &hours)) == NULL ||
			(*p == ':' && (p = read_number(p + 1, 2, 2, &minutes)) == NULL) ||
			(*p == ':' && (p = read_number(p + 1, 2, 2, &seconds)) == NULL))
			return NULL;
		if (hours > MAX_TZDISP_HOUR || minutes > 59 || seconds > 59)
			return NULL;
		/* PostgreSQL counts offsets west of Greenwich as positive. */
		offset = -sign * ((hours * MINS_PER_HOUR + minutes) * SECS_PER_MINUTE + seconds);
	}

	if (strncmp(p, " BC", 3) == 0)
	{
		p += 3;
		if (tm.tm_year == 0)
			return NULL;
		tm.tm_year = 1 - tm.tm_year;
	}
	else if (tm.tm_year == 0)
		return NULL;

	if (tm.tm_mon < 1 || tm.tm_mon > MONTHS_PER_YEAR ||
		tm.tm_mday < 1 || tm.tm_mday > day_tab[isleap(tm.tm_year)][tm.tm_mon - 1] ||
		tm.tm_hour >= HOURS_PER_DAY || tm.tm_min >= MINS_PER_HOUR ||
		tm.tm_sec >= SECS_PER_MINUTE ||
		tm2timestamp(&tm, fsec, &offset, at) != 0)
		return NULL;
	return p;
}

Datum
purchase_history_in(PG_FUNCTION_ARGS)
{
	char	   *text = PG_GETARG_CSTRING(0);
	HistoryBuilder *b = history_builder_create(CurrentMemoryContext);
	PurchaseHistory *result;
	const char *p = skip_space(text);

	if (*p++ != '{')
		refuse_text(text, "A history begins with \"{\".");
	p = skip_space(p);
	while (*p != '}' || history_builder_count(b) > 0)
	{
		TimestampTz at;
		char	   *amount;
		size_t		length;

		p = read_time(p, &at);
		if (p == NULL)
			refuse_text(text, "A purchase begins with a valid time in ISO form.");
		p = skip_space(p);
		if (*p++ != '=')
			refuse_text(text, "After the time comes \"=\" and the amount.");
		length = strcspn(p, ",}");
		if (p[length] == '\0')
			refuse_text(text, "A history ends with \"}\".");
		amount = pnstrdup(p, length);
		history_builder_add(b, at,
							DatumGetNumeric(DirectFunctionCall3(numeric_in,
																CStringGetDatum(amount),
																ObjectIdGetDatum(InvalidOid),
																Int32GetDatum(-1))));
		pfree(amount);
		p += length;
		if (*p == '}')
			break;
		p = skip_space(p + 1);
	}
	p = skip_space(p + 1);
	if (*p != '\0')
		refuse_text(text, "Nothing may follow the \"}\".");

	result = history_builder_finish(b);
	PG_RETURN_PURCHASE_HISTORY_P(result != NULL ? result : history_empty());
}

/*
 * Times are written in UTC whatever the session's zone is.
 */
Datum
purchase_history_out(PG_FUNCTION_ARGS)
{
	PurchaseHistory *h = PG_GETARG_PURCHASE_HISTORY_P(0);
	HistoryReader reader;
	TimestampTz at;
	int64		units;
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	reader = history_read(h);
	while (history_reader_next(&reader, &at, &units))
	{
		struct pg_tm tm;
		fsec_t		fsec;
		char		time[MAXDATELEN + 1];
		Numeric		amount;
		char	   *amount_text;

		CHECK_FOR_INTERRUPTS();
		if (timestamp2tm(at, NULL, &tm, &fsec, NULL, NULL) != 0)
			history_corrupted();
		tm.tm_isdst = 0;		/* says that the zone, UTC, is known */
		EncodeDateTime(&tm, fsec, true, 0, NULL, USE_ISO_DATES, time);
		amount = history_amount(units, reader.scale);
		amount_text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(amount)));
		appendStringInfo(&out, "%s%s=%s", out.len > 1 ? ", " : "", time, amount_text);
		pfree(amount_text);
		pfree(amount);
	}
	appendStringInfoChar(&out, '}');
	PG_RETURN_CSTRING(out.data);
}

/* ----------------------------------------------------------------
 * Binary
 * ----------------------------------------------------------------
 */

Datum
purchase_history_recv(PG_FUNCTION_ARGS)
{
	StringInfo	message = (StringInfo) PG_GETARG_POINTER(0);
	int			size = message->len - message->cursor;

	PG_RETURN_PURCHASE_HISTORY_P(history_from_bytes((const uint8 *) pq_getmsgbytes(message, size),
													size));
}

/*
 * purchase_history(bytea): the history that purchase_history_send() wrote.
 */
Datum
purchase_history_from_bytea(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);

	PG_RETURN_PURCHASE_HISTORY_P(history_from_bytes((const uint8 *) VARDATA_ANY(bytes),
													VARSIZE_ANY_EXHDR(bytes)));
}

Datum
purchase_history_send(PG_FUNCTION_ARGS)
{
	PurchaseHistory *h = PG_GETARG_PURCHASE_HISTORY_P(0);
	StringInfoData message;

	pq_begintypsend(&message);
	pq_sendbytes(&message, VARDATA_ANY(h), VARSIZE_ANY_EXHDR(h));
	PG_RETURN_BYTEA_P(pq_endtypsend(&message));
}

/* ----------------------------------------------------------------
 * Comparison: by the bytes
 * ----------------------------------------------------------------
 */

static int
compare_histories(FunctionCallInfo fcinfo)
{
	PurchaseHistory *a = PG_GETARG_PURCHASE_HISTORY_P(0);
	PurchaseHistory *b = PG_GETARG_PURCHASE_HISTORY_P(1);
	Size		a_size = VARSIZE_ANY_EXHDR(a);
	Size		b_size = VARSIZE_ANY_EXHDR(b);
	int			result = memcmp(VARDATA_ANY(a), VARDATA_ANY(b), Min(a_size, b_size));

	if (result == 0 && a_size != b_size)
		result = a_size < b_size ? -1 : 1;

	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	return result;
}

Datum
purchase_history_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_histories(fcinfo) == 0);
}

Datum
purchase_history_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_histories(fcinfo) != 0);
}

Datum
purchase_history_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_histories(fcinfo) < 0);
}

Datum
purchase_history_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_histories(fcinfo) <= 0);
}

Datum
purchase_history_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_histories(fcinfo) > 0);
}

Datum
purchase_history_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_histories(fcinfo) >= 0);
}

Datum
purchase_history_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(compare_histories(fcinfo));
}

Datum
purchase_history_hash(PG_FUNCTION_ARGS)
{
	PurchaseHistory *h = PG_GETARG_PURCHASE_HISTORY_P(0);
	Datum		result = hash_any((unsigned char *) VARDATA_ANY(h), VARSIZE_ANY_EXHDR(h));

	PG_FREE_IF_COPY(h, 0);
	return result;
}

Datum
purchase_history_hash_extended(PG_FUNCTION_ARGS)
{
	PurchaseHistory *h = PG_GETARG_PURCHASE_HISTORY_P(0);
	Datum		result = hash_any_extended((unsigned char *) VARDATA_ANY(h),
										   VARSIZE_ANY_EXHDR(h), PG_GETARG_INT64(1));

	PG_FREE_IF_COPY(h, 0);
	return result;
}
