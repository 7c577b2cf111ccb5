/*
 * points_lot.c
 *		Lots: what is left of each credit of points.
 *
 * A debit says from which lots it takes: those that lapse first first, then
 * the oldest.  A lot's points are free unless an open hold has set them aside.
 * The index points_lot_open has the open lots of a customer in just that
 * order, so taking from a customer with any number of lots reads but a few.
 */
#include "points_lot.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

/* How many lots a debit looks at first; most need one or two. */
#define LOTS_AT_FIRST 8

static OwnQuery open_lots = {
	"SELECT entry_no, remaining - held, expires_at"
	" FROM retention.points_lot"
	" WHERE shop_id = $1 AND customer_id = $2 AND is_open"
	" AND remaining > held AND effective_at <= $3"
	" AND (expires_at IS NULL OR expires_at > $3)"
	" ORDER BY expires_at, effective_at, entry_no"
	" LIMIT $4",
	4, {"int4", "text", "timestamptz", "int8"}
};

static OwnQuery order_lots = {
	"SELECT entry_no, remaining - held, expires_at, lapsed"
	" FROM retention.points_lot"
	" WHERE shop_id = $1 AND customer_id = $2 AND source_id = $3 AND order_id = $4"
	" AND (remaining > held OR lapsed > 0)"
	" ORDER BY expires_at, effective_at, entry_no",
	4, {"int4", "text", "int4", "text"}
};

static OwnQuery lapsing_lots = {
	"SELECT entry_no, remaining - held, expires_at"
	" FROM retention.points_lot"
	" WHERE shop_id = $1 AND customer_id = $2 AND is_open"
	" AND expires_at <= $3 AND remaining > held"
	" ORDER BY expires_at, effective_at, entry_no",
	3, {"int4", "text", "timestamptz"}
};

static OwnQuery lot_expiry = {
	"SELECT l.expires_at"
	" FROM unnest($3) WITH ORDINALITY AS u (entry_no, position)"
	" LEFT JOIN retention.points_lot l"
	" ON l.shop_id = $1 AND l.customer_id = $2 AND l.entry_no = u.entry_no"
	" ORDER BY u.position",
	3, {"int4", "text", "int8[]"}
};

static OwnQuery change_lot = {
	"UPDATE retention.points_lot"
	" SET remaining = remaining + $4 * $5, held = held + $4 * $6, lapsed = lapsed + $4 * $7,"
	" is_open = remaining + $4 * $5 > 0"
	" WHERE shop_id = $1 AND customer_id = $2 AND entry_no = $3",
	7, {"int4", "text", "int8", "int8", "int4", "int4", "int4"}
};

static OwnQuery change_lots = {
	"UPDATE retention.points_lot l"
	" SET remaining = l.remaining + u.points * $5, held = l.held + u.points * $6,"
	" lapsed = l.lapsed + u.points * $7, is_open = l.remaining + u.points * $5 > 0"
	" FROM unnest($3, $4) AS u (entry_no, points)"
	" WHERE l.shop_id = $1 AND l.customer_id = $2 AND l.entry_no = u.entry_no",
	7, {"int4", "text", "int8[]", "int8[]", "int4", "int4", "int4"}
};

static OwnQuery next_due = {
	"SELECT least("
	"(SELECT expires_at FROM retention.points_lot"
	" WHERE shop_id = $1 AND customer_id = $2 AND is_open"
	" AND expires_at IS NOT NULL AND remaining > held"
	" ORDER BY expires_at LIMIT 1),"
	"(SELECT min(times_out_at) FROM retention.points_hold"
	" WHERE shop_id = $1 AND customer_id = $2 AND state = 'open'))",
	2, {"int4", "text"}
};

LotParts *
lot_parts_create(void)
{
	return (LotParts *) palloc0(sizeof(LotParts));
}

void
lot_parts_add(LotParts *parts, int64 entry_no, int64 points, TimestampTz expires_at)
{
	if (points == 0)
		return;
	if (parts->n == parts->capacity)
	{
		parts->capacity = Max(parts->capacity * 2, 4);
		parts->parts = parts->parts ?
			(LotPart *) repalloc(parts->parts, parts->capacity * sizeof(LotPart)) :
			(LotPart *) palloc(parts->capacity * sizeof(LotPart));
	}
	parts->parts[parts->n].entry_no = entry_no;
	parts->parts[parts->n].points = points;
	parts->parts[parts->n++].expires_at = expires_at;
	parts->points += points;
}

/* Of the points in their order, so many after so many. */
LotParts *
lot_parts_slice(const LotParts *parts, int64 skip, int64 points)
{
	LotParts   *slice = lot_parts_create();

	for (int i = 0; i < parts->n && points > 0; i++)
	{
		int64		skipped = Min(skip, parts->parts[i].points);
		int64		part = Min(points, parts->parts[i].points - skipped);

		lot_parts_add(slice, parts->parts[i].entry_no, part, parts->parts[i].expires_at);
		skip -= skipped;
		points -= part;
	}
	return slice;
}

LotParts *
lot_parts_reverse(const LotParts *parts)
{
	LotParts   *reversed = lot_parts_create();

	for (int i = parts->n - 1; i >= 0; i--)
		lot_parts_add(reversed, parts->parts[i].entry_no, parts->parts[i].points,
					  parts->parts[i].expires_at);
	return reversed;
}

/*
 * [[lot, points], ...]: an array, so that the order in which points were taken
 * is kept; that is the order in which they are given back, from its end.
 */
Datum
lot_parts_to_jsonb(const LotParts *parts, bool negative)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoChar(&text, '[');
	for (int i = 0; i < parts->n; i++)
		appendStringInfo(&text, "%s[" INT64_FORMAT ", " INT64_FORMAT "]",
						 i > 0 ? ", " : "",
						 parts->parts[i].entry_no,
						 negative ? -parts->parts[i].points : parts->parts[i].points);
	appendStringInfoChar(&text, ']');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(text.data));
}

LotParts *
lot_parts_from_jsonb(Datum jsonb)
{
	LotParts   *parts = lot_parts_create();
	JsonbIterator *iterator = JsonbIteratorInit(&DatumGetJsonbP(jsonb)->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	int64		pair[2];
	int			n = 0;

	while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		if (token != WJB_ELEM || value.type != jbvNumeric)
			continue;
		pair[n++] = DatumGetInt64(DirectFunctionCall1(numeric_int8,
													  NumericGetDatum(value.val.numeric)));
		if (n == 2)
		{
			lot_parts_add(parts, pair[0], pair[1] < 0 ? -pair[1] : pair[1], NO_TIME);
			n = 0;
		}
	}
	return parts;
}

static void
customer_args(const Customer *customer, Datum *args)
{
	args[0] = Int32GetDatum(customer->key.shop_id);
	args[1] = CStringGetTextDatum(customer->key.customer_id);
}

LotParts *
lots_choose(const Customer *customer, int64 points, TimestampTz at)
{
	Datum		args[4];
	int64		limit = LOTS_AT_FIRST;

	customer_args(customer, args);
	args[2] = TimestampTzGetDatum(at);

	for (;;)
	{
		LotParts   *parts = lot_parts_create();
		uint64		n;

		CHECK_FOR_INTERRUPTS();
		args[3] = Int64GetDatum(limit);
		n = own_execute(&open_lots, args, NULL);
		for (uint64 i = 0; i < n && parts->points < points; i++)
		{
			HeapTuple	tuple = SPI_tuptable->vals[i];

			lot_parts_add(parts, own_int64(tuple, 1),
						  Min(points - parts->points, own_int64(tuple, 2)),
						  own_time(tuple, 3));
		}
		SPI_freetuptable(SPI_tuptable);
		if (parts->points == points || n < (uint64) limit)
			return parts;
		limit *= 16;
	}
}

void
lots_of_order(const Customer *customer, int32 source_id, const char *order_id,
			  LotParts *free, LotParts *lapsed)
{
	Datum		args[4];
	uint64		n;

	customer_args(customer, args);
	args[2] = Int32GetDatum(source_id);
	args[3] = CStringGetTextDatum(order_id);
	n = own_execute(&order_lots, args, NULL);
	for (uint64 i = 0; i < n; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];

		lot_parts_add(free, own_int64(tuple, 1), own_int64(tuple, 2), own_time(tuple, 3));
		lot_parts_add(lapsed, own_int64(tuple, 1), own_int64(tuple, 4), own_time(tuple, 3));
	}
	SPI_freetuptable(SPI_tuptable);
}

LotParts *
lots_lapsing(const Customer *customer, TimestampTz at)
{
	LotParts   *parts = lot_parts_create();
	Datum		args[3];
	uint64		n;

	customer_args(customer, args);
	args[2] = TimestampTzGetDatum(at);
	n = own_execute(&lapsing_lots, args, NULL);
	for (uint64 i = 0; i < n; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];

		lot_parts_add(parts, own_int64(tuple, 1), own_int64(tuple, 2), own_time(tuple, 3));
	}
	SPI_freetuptable(SPI_tuptable);
	return parts;
}

static Datum
int64_array(Datum *values, int n)
{
	return PointerGetDatum(construct_array(values, n, INT8OID, 8, FLOAT8PASSBYVAL,
										   TYPALIGN_DOUBLE));
}

static Datum
entry_no_array(const LotParts *parts)
{
	Datum	   *values = (Datum *) palloc(Max(parts->n, 1) * sizeof(Datum));

	for (int i = 0; i < parts->n; i++)
		values[i] = Int64GetDatum(parts->parts[i].entry_no);
	return int64_array(values, parts->n);
}

void
lots_read_expiry(const Customer *customer, LotParts *parts)
{
	Datum		args[3];

	customer_args(customer, args);
	args[2] = entry_no_array(parts);
	if (own_execute(&lot_expiry, args, NULL) != (uint64) parts->n)
		elog(ERROR, "unexpected number of lots read");
	for (int i = 0; i < parts->n; i++)
		parts->parts[i].expires_at = own_time(SPI_tuptable->vals[i], 1);
	SPI_freetuptable(SPI_tuptable);
}

void
lots_change(const Customer *customer, const LotParts *parts, LotChange change)
{
	Datum		args[7];
	uint64		changed;

	if (parts->n == 0)
		return;

	customer_args(customer, args);
	args[4] = Int32GetDatum(change.remaining);
	args[5] = Int32GetDatum(change.held);
	args[6] = Int32GetDatum(change.lapsed);
	if (parts->n == 1)
	{
		args[2] = Int64GetDatum(parts->parts[0].entry_no);
		args[3] = Int64GetDatum(parts->parts[0].points);
		changed = own_execute(&change_lot, args, NULL);
	}
	else
	{
		Datum	   *points = (Datum *) palloc(parts->n * sizeof(Datum));

		for (int i = 0; i < parts->n; i++)
			points[i] = Int64GetDatum(parts->parts[i].points);
		args[2] = entry_no_array(parts);
		args[3] = int64_array(points, parts->n);
		changed = own_execute(&change_lots, args, NULL);
	}

	if (changed != (uint64) parts->n)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("customer \"%s\" lacks a lot of points that an entry names",
						customer->key.customer_id)));
}

TimestampTz
lots_next_due(const Customer *customer)
{
	Datum		args[2];
	TimestampTz due;

	customer_args(customer, args);
	(void) own_execute(&next_due, args, NULL);
	due = own_time(SPI_tuptable->vals[0], 1);
	SPI_freetuptable(SPI_tuptable);
	return due;
}
