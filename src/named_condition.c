/*
 * named_condition.c
 *		Writing a condition under a name: audiences and tag rules.
 *
 * These functions run as their caller, who is the writer, and only the row is
 * written as the owner: a function that ran as its owner could not tell who
 * called it.
 */
#include "compat.h"
#include "condition.h"
#include "own_query.h"
#include "shop.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(define_audience);
PG_FUNCTION_INFO_V1(define_tag_rule);

static OwnQuery write_audience = {
	"INSERT INTO retention.audience AS a (shop_id, name, condition, written_by, written_at, description)"
	" VALUES ($1, $2, $3, $4, retention.now(), $5)"
	" ON CONFLICT (shop_id, name) DO UPDATE SET condition = EXCLUDED.condition,"
	" written_by = EXCLUDED.written_by, written_at = EXCLUDED.written_at,"
	" description = EXCLUDED.description",
	5, {"int4", "text", "text", "text", "text"}
};

static OwnQuery write_tag_rule = {
	"INSERT INTO retention.tag_rule AS r (shop_id, tag, condition, written_by, written_at, description)"
	" VALUES ($1, $2, $3, $4, retention.now(), $5)"
	" ON CONFLICT (shop_id, tag) DO UPDATE SET condition = EXCLUDED.condition,"
	" written_by = EXCLUDED.written_by, written_at = EXCLUDED.written_at,"
	" description = EXCLUDED.description, last_error = NULL",
	5, {"int4", "text", "text", "text", "text"}
};

/* Arguments: name, condition, description, shop. */
static void
define_condition(FunctionCallInfo fcinfo, const char *kind, OwnQuery *query)
{
	Condition	condition;
	char	   *name;
	char	   *shop = PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3));
	Datum		args[5];
	char		nulls[] = "     ";
	OwnContext	saved;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(0)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the %s needs a name and a condition", kind)));
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	condition.text = text_to_cstring(PG_GETARG_TEXT_PP(1));
	condition.role = condition_writer();
	condition.what = psprintf("%s \"%s\"", kind, name);
	condition.of_purchase = false;
	args[0] = Int32GetDatum(shop_lookup(shop, false));
	condition_check(&condition);

	args[1] = CStringGetTextDatum(name);
	args[2] = CStringGetTextDatum(condition.text);
	args[3] = CStringGetTextDatum(condition.role);
	args[4] = PG_ARGISNULL(2) ? (Datum) 0 : PG_GETARG_DATUM(2);
	if (PG_ARGISNULL(2))
		nulls[4] = 'n';
	own_begin(&saved);
	SPI_connect();
	own_execute(query, args, nulls);
	SPI_finish();
	own_end(&saved);
}

/*
 * define_audience(name, condition, description, shop).
 */
Datum
define_audience(PG_FUNCTION_ARGS)
{
	define_condition(fcinfo, "audience", &write_audience);
	PG_RETURN_VOID();
}

/*
 * define_tag_rule(tag, condition, description, shop).
 */
Datum
define_tag_rule(PG_FUNCTION_ARGS)
{
	define_condition(fcinfo, "tag rule", &write_tag_rule);
	PG_RETURN_VOID();
}
