/*
 * audience.c
 *		Writing an audience: a condition under a name.
 */
#include "postgres.h"

#include "condition.h"
#include "own_query.h"
#include "shop.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(define_audience);

static OwnQuery write_audience = {
	"INSERT INTO retention.audience AS a (shop_id, name, condition, written_by, written_at, description)"
	" VALUES ($1, $2, $3, $4, retention.now(), $5)"
	" ON CONFLICT (shop_id, name) DO UPDATE SET condition = EXCLUDED.condition,"
	" written_by = EXCLUDED.written_by, written_at = EXCLUDED.written_at,"
	" description = EXCLUDED.description",
	5, {"int4", "text", "text", "text", "text"}
};

/*
 * define_audience(name, condition, description, shop).  It runs as its caller,
 * who is the writer, and only the row is written as the owner: a function that
 * ran as its owner could not tell who called it.
 */
Datum
define_audience(PG_FUNCTION_ARGS)
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
				 errmsg("an audience needs a name and a condition")));
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	condition.text = text_to_cstring(PG_GETARG_TEXT_PP(1));
	condition.role = condition_writer();
	condition.what = psprintf("audience \"%s\"", name);
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
	own_execute(&write_audience, args, nulls);
	SPI_finish();
	own_end(&saved);
	PG_RETURN_VOID();
}
