/*
 * template.c
 *		The text of a message: placeholders, and what an SMS of it is billed as.
 *
 * A placeholder is {{name}}, or {{name|default}}.  Its value comes from a jsonb
 * object, by the name as a key or, where it has dots, as a path of keys.  What
 * has neither value nor default keeps the message from being sent at all: an
 * empty name on a customer's phone is worse than no message.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

PG_FUNCTION_INFO_V1(render_template);
PG_FUNCTION_INFO_V1(template_placeholders);
PG_FUNCTION_INFO_V1(sms_segments);

/* ----------
 * Placeholders
 * ----------
 */

/* A stretch of a template: words, or a placeholder. */
typedef struct TemplatePart
{
	const char *start;			/* the words, or the placeholder's name */
	int			len;
	bool		is_placeholder;
	const char *fallback;		/* of a placeholder; NULL: it has none */
	int			fallback_len;
} TemplatePart;

static void
malformed(const char *at, int len, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("malformed placeholder at \"%s\"",
					pnstrdup(at, pg_mbcliplen(at, len, 30))),
			 errdetail_internal("%s", detail),
			 errhint("Write {{name}} or {{name|default}}.")));
}

static void
trim(const char **start, int *len)
{
	while (*len > 0 && isspace((unsigned char) **start))
	{
		(*start)++;
		(*len)--;
	}
	while (*len > 0 && isspace((unsigned char) (*start)[*len - 1]))
		(*len)--;
}

/* The next part of the text from *p on; false at the end. */
static bool
next_part(const char **p, const char *end, TemplatePart *part)
{
	const char *start = *p;
	const char *close;
	const char *bar = NULL;

	if (start >= end)
		return false;

	if (end - start < 2 || start[0] != '{' || start[1] != '{')
	{
		const char *stop = start;

		while (stop < end && !(end - stop >= 2 && stop[0] == '{' && stop[1] == '{'))
			stop++;
		part->start = start;
		part->len = stop - start;
		part->is_placeholder = false;
		*p = stop;
		return true;
	}

	for (close = start + 2; close < end; close++)
	{
		if (*close == '{')
			malformed(start, end - start, "It has a brace inside.");
		if (end - close >= 2 && close[0] == '}' && close[1] == '}')
			break;
		if (*close == '|' && bar == NULL)
			bar = close;
	}
	if (close >= end)
		malformed(start, end - start, "It is not closed by \"}}\".");

	part->is_placeholder = true;
	part->start = start + 2;
	part->len = (bar ? bar : close) - part->start;
	part->fallback = bar ? bar + 1 : NULL;
	part->fallback_len = bar ? close - (bar + 1) : 0;
	trim(&part->start, &part->len);
	if (part->len == 0)
		malformed(start, end - start, "It has no name.");
	*p = close + 2;
	return true;
}

/* The value under a key, or under a path of keys joined by dots. */
static JsonbValue *
find_value(JsonbContainer *values, const char *name, int len, JsonbValue *value)
{
	const char *dot;

	if (!JsonContainerIsObject(values))
		return NULL;
	if (getKeyJsonValueFromContainer(values, name, len, value) != NULL)
		return value;

	dot = memchr(name, '.', len);
	if (dot == NULL ||
		getKeyJsonValueFromContainer(values, name, dot - name, value) == NULL ||
		value->type != jbvBinary)
		return NULL;
	return find_value(value->val.binary.data, dot + 1, len - (dot + 1 - name), value);
}

/*
 * What careless programs store where they know nothing.  Nobody wants to be
 * called that, and the default suits the rare customer whose name it is.
 */
static bool
means_nothing(const char *s, int len)
{
	static const char *const words[] = {"null", "undefined", "none", "nan", "n/a", "(null)"};

	for (int i = 0; i < (int) lengthof(words); i++)
	{
		if ((int) strlen(words[i]) == len && pg_strncasecmp(s, words[i], len) == 0)
			return true;
	}
	return len == 0;
}

/* Append the value as words; false where there is none. */
static bool
append_value(StringInfo text, JsonbContainer *values, const TemplatePart *part)
{
	JsonbValue	value;
	const char *s;
	int			len;

	if (find_value(values, part->start, part->len, &value) == NULL)
		return false;

	switch (value.type)
	{
		case jbvString:
			s = value.val.string.val;
			len = value.val.string.len;
			break;
		case jbvNumeric:
			if (numeric_is_nan(value.val.numeric))
				return false;
			s = DatumGetCString(DirectFunctionCall1(numeric_out,
													NumericGetDatum(value.val.numeric)));
			len = strlen(s);
			break;
		case jbvBool:
			s = value.val.boolean ? "true" : "false";
			len = strlen(s);
			break;
		default:
			return false;
	}

	trim(&s, &len);
	if (means_nothing(s, len))
		return false;

	/* A name must not break the line. */
	for (int i = 0; i < len; i++)
		appendStringInfoChar(text, (unsigned char) s[i] < ' ' || s[i] == 0x7f ? ' ' : s[i]);
	return true;
}

/*
 * render_template(template, values) -> (text, missing): the template's text;
 * or NULL, and the first placeholder that has neither value nor default.
 */
Datum
render_template(PG_FUNCTION_ARGS)
{
	text	   *template = PG_GETARG_TEXT_PP(0);
	Jsonb	   *values = PG_GETARG_JSONB_P(1);
	const char *p = VARDATA_ANY(template);
	const char *end = p + VARSIZE_ANY_EXHDR(template);
	TemplatePart part;
	StringInfoData rendered;
	TupleDesc	tupdesc;
	Datum		result[2] = {(Datum) 0, (Datum) 0};
	bool		isnull[2] = {true, true};

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	tupdesc = BlessTupleDesc(tupdesc);

	initStringInfo(&rendered);
	while (next_part(&p, end, &part))
	{
		if (!part.is_placeholder)
			appendBinaryStringInfo(&rendered, part.start, part.len);
		else if (append_value(&rendered, &values->root, &part))
			continue;
		else if (part.fallback != NULL)
			appendBinaryStringInfo(&rendered, part.fallback, part.fallback_len);
		else if (isnull[1])
		{
			result[1] = PointerGetDatum(cstring_to_text_with_len(part.start, part.len));
			isnull[1] = false;
		}
	}
	if (isnull[1])
	{
		result[0] = PointerGetDatum(cstring_to_text_with_len(rendered.data, rendered.len));
		isnull[0] = false;
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(tupdesc, result, isnull)));
}

/*
 * template_placeholders(template) -> text[]: the names, as often and in the
 * order they occur.
 */
Datum
template_placeholders(PG_FUNCTION_ARGS)
{
	text	   *template = PG_GETARG_TEXT_PP(0);
	const char *p = VARDATA_ANY(template);
	const char *end = p + VARSIZE_ANY_EXHDR(template);
	TemplatePart part;
	ArrayBuildState *names = initArrayResult(TEXTOID, CurrentMemoryContext, false);

	while (next_part(&p, end, &part))
	{
		if (part.is_placeholder)
			names = accumArrayResult(names,
									 PointerGetDatum(cstring_to_text_with_len(part.start, part.len)),
									 false, TEXTOID, CurrentMemoryContext);
	}
	PG_RETURN_DATUM(makeArrayResult(names, CurrentMemoryContext));
}

/* ----------
 * SMS segments
 *
 * 3GPP TS 23.038: a text of the GSM 7 bit default alphabet and its extension
 * table goes in septets, any other in UCS-2, which phones read as UTF-16.  A
 * text that does not fit into one message gives up part of each to the header
 * that joins them (TS 23.040), and no character is cut in two: neither an
 * escape and what it escapes, nor the halves of a surrogate pair.
 * ----------
 */

#define SEPTETS_SINGLE	160
#define SEPTETS_PART	153
#define UCS2_SINGLE		70
#define UCS2_PART		67

/* The default alphabet beyond ASCII, sorted. */
static const pg_wchar gsm7_beyond_ascii[] = {
	0x00A1, 0x00A3, 0x00A4, 0x00A5, 0x00A7, 0x00BF, 0x00C4, 0x00C5, 0x00C6, 0x00C7, 0x00C9,
	0x00D1, 0x00D6, 0x00D8, 0x00DC, 0x00DF, 0x00E0, 0x00E4, 0x00E5, 0x00E6, 0x00E8, 0x00E9,
	0x00EC, 0x00F1, 0x00F2, 0x00F6, 0x00F8, 0x00F9, 0x00FC,
	0x0393, 0x0394, 0x0398, 0x039B, 0x039E, 0x03A0, 0x03A3, 0x03A6, 0x03A8, 0x03A9
};

/* Septets that a character takes: 2 in the extension table, 0 in neither. */
static int
gsm7_septets(pg_wchar c)
{
	if (c < 0x80)
	{
		if (c == '\f' || (c != 0 && strchr("^{}\\[~]|", (int) c) != NULL))
			return 2;
		if (c == '\n' || c == '\r')
			return 1;
		return c >= ' ' && c < 0x7F && c != '`' ? 1 : 0;
	}
	if (c == 0x20AC)			/* the euro sign */
		return 2;
	for (int i = 0; i < (int) lengthof(gsm7_beyond_ascii); i++)
	{
		if (gsm7_beyond_ascii[i] == c)
			return 1;
	}
	return 0;
}

/* Parts that the characters fill, given what each takes. */
typedef struct PartCount
{
	int64		total;
	int64		parts;
	int			used;			/* of the last part */
} PartCount;

static void
add_to_part(PartCount *count, int units, int part_size)
{
	count->total += units;
	if (count->parts == 0 || count->used + units > part_size)
	{
		count->parts++;
		count->used = 0;
	}
	count->used += units;
}

/*
 * sms_segments(text) -> integer: how many messages it is sent and billed as.
 */
Datum
sms_segments(PG_FUNCTION_ARGS)
{
	text	   *message = PG_GETARG_TEXT_PP(0);
	int			len = VARSIZE_ANY_EXHDR(message);
	char	   *utf8 = pg_server_to_any(VARDATA_ANY(message), len, PG_UTF8);
	PartCount	septets = {0, 0, 0};
	PartCount	ucs2 = {0, 0, 0};
	bool		is_gsm7 = true;

	if (utf8 != VARDATA_ANY(message))
		len = strlen(utf8);
	for (int i = 0; i < len; i += pg_utf_mblen((unsigned char *) utf8 + i))
	{
		pg_wchar	c = utf8_to_unicode((unsigned char *) utf8 + i);
		int			units = gsm7_septets(c);

		CHECK_FOR_INTERRUPTS();
		if (units == 0)
			is_gsm7 = false;
		add_to_part(&septets, units, SEPTETS_PART);
		add_to_part(&ucs2, c > 0xFFFF ? 2 : 1, UCS2_PART);
	}

	if (ucs2.total == 0)
		PG_RETURN_INT32(0);
	if (is_gsm7)
		PG_RETURN_INT32(septets.total <= SEPTETS_SINGLE ? 1 : (int32) septets.parts);
	PG_RETURN_INT32(ucs2.total <= UCS2_SINGLE ? 1 : (int32) ucs2.parts);
}
