/*
 * ledger.c
 *		Posting points: entries, the lots that accruals make, and debt.
 *
 * Entries are numbered for each customer under the lock of the customer's row,
 * so the numbers have no gap.  At every moment the sum of a customer's entries
 * is what is left in the lots less the debt.
 */
#include "ledger.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "common/int.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(refuse_change);

static const char *const entry_columns[] = {
	"shop_id", "customer_id", "entry_no", "kind", "points", "effective_at", "posted_at",
	"source_id", "order_id", "reason", "amount", "rate", "multiplier", "debt", "allocations"
};

#define N_ENTRY_COLUMNS lengthof(entry_columns)

static const char *const lot_columns[] = {
	"shop_id", "customer_id", "entry_no", "source_id", "order_id",
	"accrued", "remaining", "effective_at"
};

#define N_LOT_COLUMNS lengthof(lot_columns)

static OwnQuery insert_entries = {
	"INSERT INTO retention.points_entry SELECT u.* FROM unnest($1) AS u",
	1, {"retention.points_entry[]"}
};

static OwnQuery insert_lots = {
	"INSERT INTO retention.points_lot SELECT u.* FROM unnest($1) AS u",
	1, {"retention.points_lot[]"}
};

/* The order's own lots first, then those that lapse first, then the oldest. */
static OwnQuery open_lots = {
	"SELECT entry_no, remaining"
	" FROM retention.points_lot"
	" WHERE shop_id = $1 AND customer_id = $2 AND remaining > 0"
	" AND (expires_at IS NULL OR expires_at > $5 OR (source_id = $3 AND order_id = $4))"
	" ORDER BY (source_id = $3 AND order_id = $4) IS TRUE DESC,"
	" expires_at NULLS LAST, effective_at, entry_no",
	5, {"int4", "text", "int4", "text", "timestamptz"}
};

static OwnQuery take_from_lots = {
	"UPDATE retention.points_lot l"
	" SET remaining = l.remaining - u.taken"
	" FROM unnest($3, $4) AS u (entry_no, taken)"
	" WHERE l.shop_id = $1 AND l.customer_id = $2 AND l.entry_no = u.entry_no",
	4, {"int4", "text", "int8[]", "int8[]"}
};

void
ledger_begin(Ledger *ledger, TimestampTz now)
{
	ledger->now = now;
	own_rows_init(&ledger->entries, "points_entry");
	own_rows_init(&ledger->lots, "points_lot");
}

/*
 * floor(amount * rate * multiplier), the points an order earns.
 */
int64
ledger_points_for(const Accrual *accrual)
{
	Numeric		points = numeric_mul_opt_error(numeric_mul_opt_error(accrual->amount, accrual->rate, NULL),
											   accrual->multiplier, NULL);

	return DatumGetInt64(DirectFunctionCall1(numeric_int8,
											 DirectFunctionCall1(numeric_floor,
																 NumericGetDatum(points))));
}

static int64
post(Ledger *ledger, Customer *customer, const Accrual *accrual, const char *kind,
	 int64 points, int64 debt, TimestampTz effective_at, const char *reason,
	 Datum allocations, bool has_allocations)
{
	Datum		v[N_ENTRY_COLUMNS];
	bool		isnull[N_ENTRY_COLUMNS] = {false};

	if (pg_add_s64_overflow(customer->points_posted, points, &customer->points_posted) ||
		pg_add_s64_overflow(customer->points_debt, debt, &customer->points_debt))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("points of customer \"%s\" are out of range",
						customer->key.customer_id)));
	customer->last_entry_no++;
	customer_touch(customer);

	v[0] = Int32GetDatum(customer->key.shop_id);
	v[1] = CStringGetTextDatum(customer->key.customer_id);
	v[2] = Int64GetDatum(customer->last_entry_no);
	v[3] = CStringGetTextDatum(kind);
	v[4] = Int64GetDatum(points);
	v[5] = TimestampTzGetDatum(effective_at);
	v[6] = TimestampTzGetDatum(ledger->now);
	v[7] = Int32GetDatum(accrual->source_id);
	v[8] = CStringGetTextDatum(accrual->order_id);
	isnull[9] = (reason == NULL);
	v[9] = reason ? CStringGetTextDatum(reason) : (Datum) 0;
	v[10] = NumericGetDatum(accrual->amount);
	v[11] = NumericGetDatum(accrual->rate);
	v[12] = NumericGetDatum(accrual->multiplier);
	v[13] = Int64GetDatum(debt);
	v[14] = allocations;
	isnull[14] = !has_allocations;
	own_rows_add(&ledger->entries, N_ENTRY_COLUMNS, entry_columns, v, isnull);
	return customer->last_entry_no;
}

/*
 * Post points that an order earns.  They repay the customer's debt first; what
 * is left makes a lot.
 */
void
ledger_accrue(Ledger *ledger, Customer *customer, const Accrual *accrual,
			  int64 points, TimestampTz effective_at)
{
	int64		repaid = Min(points, customer->points_debt);
	int64		entry_no = post(ledger, customer, accrual, "accrual", points, -repaid,
								effective_at, NULL, (Datum) 0, false);
	Datum		v[N_LOT_COLUMNS];
	bool		isnull[N_LOT_COLUMNS] = {false};

	if (points == repaid)
		return;

	v[0] = Int32GetDatum(customer->key.shop_id);
	v[1] = CStringGetTextDatum(customer->key.customer_id);
	v[2] = Int64GetDatum(entry_no);
	v[3] = Int32GetDatum(accrual->source_id);
	v[4] = CStringGetTextDatum(accrual->order_id);
	v[5] = Int64GetDatum(points - repaid);
	v[6] = Int64GetDatum(points - repaid);
	v[7] = TimestampTzGetDatum(effective_at);
	own_rows_add(&ledger->lots, N_LOT_COLUMNS, lot_columns, v, isnull);
}

/* {"entry_no": points, ...} as jsonb */
static Datum
allocations_jsonb(const Datum *entry_nos, const Datum *taken, int n)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoChar(&text, '{');
	for (int i = 0; i < n; i++)
		appendStringInfo(&text, "%s\"" INT64_FORMAT "\": " INT64_FORMAT,
						 i > 0 ? ", " : "",
						 DatumGetInt64(entry_nos[i]), DatumGetInt64(taken[i]));
	appendStringInfoChar(&text, '}');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(text.data));
}

/*
 * Take back points that an order had earned: from the order's own lots, then
 * from the customer's others.  What is already spent becomes debt, or is
 * forgiven by an entry of its own, so that the order's entries still add up.
 */
void
ledger_reverse(Ledger *ledger, Customer *customer, const Accrual *accrual,
			   int64 points, const char *reason)
{
	Datum		args[5];
	Datum	   *entry_nos;
	Datum	   *taken;
	int64		left = points;
	int			nlots;
	int			n = 0;

	/* Lots made by this very sync must be seen too. */
	ledger_write(ledger);

	args[0] = Int32GetDatum(customer->key.shop_id);
	args[1] = CStringGetTextDatum(customer->key.customer_id);
	args[2] = Int32GetDatum(accrual->source_id);
	args[3] = CStringGetTextDatum(accrual->order_id);
	args[4] = TimestampTzGetDatum(ledger->now);
	nlots = (int) own_execute(&open_lots, args, NULL);

	entry_nos = (Datum *) palloc(Max(nlots, 1) * sizeof(Datum));
	taken = (Datum *) palloc(Max(nlots, 1) * sizeof(Datum));
	for (int i = 0; i < nlots && left > 0; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		int64		part = Min(left, own_int64(tuple, 2));

		entry_nos[n] = Int64GetDatum(own_int64(tuple, 1));
		taken[n] = Int64GetDatum(part);
		left -= part;
		n++;
	}

	if (n > 0)
	{
		Datum		take_args[4];

		take_args[0] = args[0];
		take_args[1] = args[1];
		take_args[2] = PointerGetDatum(construct_array(entry_nos, n, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
		take_args[3] = PointerGetDatum(construct_array(taken, n, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
		own_execute(&take_from_lots, take_args, NULL);
	}

	post(ledger, customer, accrual, "reversal", -points, left, ledger->now, reason,
		 n > 0 ? allocations_jsonb(entry_nos, taken, n) : (Datum) 0, n > 0);

	if (left > 0 && shop_settings(customer->key.shop_id)->forgive_debt)
		post(ledger, customer, accrual, "forgiveness", left, -left, ledger->now,
			 "points of a refunded order were already spent", (Datum) 0, false);
}

void
ledger_write(Ledger *ledger)
{
	own_rows_execute(&ledger->entries, &insert_entries);
	own_rows_execute(&ledger->lots, &insert_lots);
	ledger->entries.nrows = 0;
	ledger->lots.nrows = 0;
}

/*
 * refuse_change(): statement trigger that keeps a table append-only.
 */
Datum
refuse_change(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager", "refuse_change")));

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table \"%s\" is append-only", RelationGetRelationName(trigdata->tg_relation)),
			 errhint("Post a correcting entry instead.")));
	return PointerGetDatum(NULL);
}
