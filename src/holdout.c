/*
 * holdout.c
 *		A customer's place in a campaign, from which the arm follows: who
 *		stands below the holdout share is not written to.
 *
 * The place depends on nothing but the campaign's name, the shop's number and
 * the customer's id, each in UTF-8: neither on the server, its version, byte
 * order or locale, nor on when or in which order customers are looked at.
 * Anybody can compute it again: it is the first 53 bits of
 *
 *		SHA-256(campaign || 0x00 || shop || 0x00 || customer)
 *
 * (shop as decimal digits) as a binary fraction.  No text holds a byte of
 * zero, so different campaigns place the same customers independently.
 */
#include "postgres.h"

#include "compat.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

PG_FUNCTION_INFO_V1(holdout_place);
PG_FUNCTION_INFO_V1(campaign_arm);

/* As many as a double holds exactly. */
#define PLACE_BITS 53

static void
append_utf8(StringInfo message, text *value)
{
	char	   *string = text_to_cstring(value);

	appendStringInfoString(message, pg_server_to_any(string, strlen(string), PG_UTF8));
}

static double
place_of(text *campaign, int32 shop_id, text *customer_id)
{
	StringInfoData message;
	bytea	   *input;
	bytea	   *digest;
	uint64		bits = 0;

	initStringInfo(&message);
	append_utf8(&message, campaign);
	appendStringInfoChar(&message, '\0');
	appendStringInfo(&message, "%d", shop_id);
	appendStringInfoChar(&message, '\0');
	append_utf8(&message, customer_id);

	input = (bytea *) palloc(VARHDRSZ + message.len);
	SET_VARSIZE(input, VARHDRSZ + message.len);
	memcpy(VARDATA(input), message.data, message.len);
	digest = DatumGetByteaPP(DirectFunctionCall1(sha256_bytea, PointerGetDatum(input)));
	for (int i = 0; i < 8; i++)
		bits = bits << 8 | (unsigned char) VARDATA_ANY(digest)[i];
	return (double) (bits >> (64 - PLACE_BITS)) / (double) (UINT64CONST(1) << PLACE_BITS);
}

/* holdout_place(campaign, shop_id, customer_id) -> double precision in [0, 1) */
Datum
holdout_place(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(place_of(PG_GETARG_TEXT_PP(0), PG_GETARG_INT32(1), PG_GETARG_TEXT_PP(2)));
}

/* campaign_arm(campaign, shop_id, customer_id, holdout) -> text */
Datum
campaign_arm(PG_FUNCTION_ARGS)
{
	double		place = place_of(PG_GETARG_TEXT_PP(0), PG_GETARG_INT32(1), PG_GETARG_TEXT_PP(2));
	double		holdout = DatumGetFloat8(DirectFunctionCall1(numeric_float8, PG_GETARG_DATUM(3)));

	PG_RETURN_TEXT_P(cstring_to_text(place < holdout ? "holdout" : "treated"));
}
