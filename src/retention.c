/*
 * retention.c
 *		The module: settings, the clock, and where our own tables are.
 */
#include "retention.h"

#include "own_query.h"

#include "compat.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#if PG_VERSION_NUM >= 180000
PG_MODULE_MAGIC_EXT(
					.name = "retention",
					.version = RETENTION_VERSION
);
#else
PG_MODULE_MAGIC;
#endif

PG_FUNCTION_INFO_V1(retention_now);
PG_FUNCTION_INFO_V1(customer_key);

void		_PG_init(void);

/* retention.clock as it was set: empty means the transaction's own time. */
static char *clock_setting = NULL;

static bool
clock_check(char **newval, void **extra, GucSource source)
{
	TimestampTz *at;

	if (*newval == NULL || (*newval)[0] == '\0')
		return true;

	/*
	 * timestamptz_in() may raise instead of returning; a bad value is then
	 * reported with its own message, which is what the user should see.
	 */
	at = (TimestampTz *) guc_malloc(LOG, sizeof(TimestampTz));
	if (at == NULL)
		return false;
	*at = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in,
												  CStringGetDatum(*newval),
												  ObjectIdGetDatum(InvalidOid),
												  Int32GetDatum(-1)));
	*extra = at;
	return true;
}

static TimestampTz *clock_value = NULL;

static void
clock_assign(const char *newval, void *extra)
{
	clock_value = (TimestampTz *) extra;
}

void
_PG_init(void)
{
	DefineCustomStringVariable("retention.clock",
							   "The moment that retention takes for now, to replay or test what depends on time.",
							   "Empty means the start of the transaction.",
							   &clock_setting,
							   "",
							   PGC_SUSET,
							   0,
							   clock_check,
							   clock_assign,
							   NULL);
	MarkGUCPrefixReserved("retention");
	own_query_init();
}

TimestampTz
retention_clock_now(void)
{
	if (clock_value != NULL)
		return *clock_value;
	return GetCurrentTransactionStartTimestamp();
}

void
retention_set_clock(TimestampTz at)
{
	char		text[MAXDATELEN + 1];
	struct pg_tm tm;
	fsec_t		fsec;
	int			tz;

	/*
	 * Not by timestamptz_out(): the zone abbreviations of other date styles
	 * are read back as somebody else's, CST as America's.
	 */
	if (TIMESTAMP_NOT_FINITE(at) || timestamp2tm(at, &tz, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	EncodeDateTime(&tm, fsec, true, tz, NULL, USE_ISO_DATES, text);
	(void) set_config_option("retention.clock", text, PGC_SUSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * retention.now(): the clock, for views and defaults.
 */
Datum
retention_now(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(retention_clock_now());
}

Oid
retention_relation(const char *name)
{
	Oid			nspid = get_namespace_oid(RETENTION_SCHEMA, false);
	Oid			relid = get_relname_relid(name, nspid);

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"%s.%s\" does not exist", RETENTION_SCHEMA, name),
				 errhint("Update the extension: ALTER EXTENSION retention UPDATE.")));
	return relid;
}

Oid
retention_owner(void)
{
	HeapTuple	tuple;
	Oid			owner;

	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(retention_relation("purchase")));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for table retention.purchase");
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * customer_key(anynonarray) -> text: the key under which a customer is kept.
 *
 * Shops number their customers by text, integer, whole numeric or uuid; all
 * are kept as text.  '042' and '42' are two customers, 42 and 42.0 are one.
 * NULL gives NULL; any other type, or a numeric with a fraction, is an error.
 */
Datum
customer_key(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(customer_key_of(get_fn_expr_argtype(fcinfo->flinfo, 0), PG_GETARG_DATUM(0)));
}

Datum
customer_key_of(Oid type, Datum value)
{
	type = getBaseType(type);
	switch (type)
	{
		case INT2OID:
			return PointerGetDatum(cstring_to_text(DatumGetCString(DirectFunctionCall1(int2out, value))));
		case INT4OID:
			return PointerGetDatum(cstring_to_text(DatumGetCString(DirectFunctionCall1(int4out, value))));
		case INT8OID:
			return PointerGetDatum(cstring_to_text(DatumGetCString(DirectFunctionCall1(int8out, value))));
		case UUIDOID:
			return PointerGetDatum(cstring_to_text(DatumGetCString(DirectFunctionCall1(uuid_out, value))));
		case TEXTOID:
		case VARCHAROID:
			return value;
		case NUMERICOID:
			{
				Datum		whole = DirectFunctionCall2(numeric_trunc, value, Int32GetDatum(0));

				if (numeric_is_nan(DatumGetNumeric(value)) ||
					numeric_is_inf(DatumGetNumeric(value)) ||
					!DatumGetBool(DirectFunctionCall2(numeric_eq, whole, value)))
					ereport(ERROR,
							(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							 errmsg("invalid customer %s: a numeric customer must be whole",
									DatumGetCString(DirectFunctionCall1(numeric_out, value))),
							 errhint("Give the customer as text if its id really has a fraction.")));
				return PointerGetDatum(cstring_to_text(DatumGetCString(DirectFunctionCall1(numeric_out, whole))));
			}
		default:
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("a customer cannot be given as %s", format_type_be(type)),
					 errhint("Give the customer as text, bigint, whole numeric or uuid.")));
	}
	return (Datum) 0;			/* keep compiler quiet */
}
