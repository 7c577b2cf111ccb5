/*
 * ledger.c
 *		Posting points: entries, the lots that credits make, and debt.
 *
 * Entries are numbered for each customer under the lock of the customer's row,
 * so the numbers have no gap.  At every moment the sum of a customer's entries
 * is what is left in the lots less the debt.
 */
#include "ledger.h"

#include "expiry.h"
#include "own_table.h"
#include "retention.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "common/int.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(refuse_change);

static const char *const entry_columns[] = {
	"shop_id", "customer_id", "entry_no", "kind", "points", "effective_at", "posted_at",
	"source_id", "order_id", "reference", "reason", "other_customer", "undoes",
	"amount", "rate", "multiplier", "rule", "expires_at", "debt", "allocations", "request"
};

#define N_ENTRY_COLUMNS lengthof(entry_columns)

static const char *const lot_columns[] = {
	"shop_id", "customer_id", "entry_no", "source_id", "order_id",
	"accrued", "remaining", "held", "lapsed", "is_open", "effective_at", "expires_at"
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

static OwnTable entry_table = {{.table = "points_entry"}};
static OwnTable lot_table = {{.table = "points_lot"}};

void
ledger_begin(Ledger *ledger, TimestampTz now)
{
	ledger->now = now;
	ledger->posted_at = retention_clock_now();
	own_rows_init(&ledger->entries, "points_entry");
	own_rows_init(&ledger->lots, "points_lot");
}

/*
 * amount * rate * multiplier, the points an order earns, rounded as its rule
 * says: down, when there is none.
 */
int64
ledger_points_for(const Accrual *accrual)
{
	Numeric		points = numeric_mul_opt_error(numeric_mul_opt_error(accrual->amount, accrual->rate, NULL),
											   accrual->multiplier, NULL);
	PointsRounding rounding = accrual->has_rule ? rule_rounding(accrual->rule) : ROUND_DOWN;
	Datum		whole;

	switch (rounding)
	{
		case ROUND_NEAREST:
			whole = DirectFunctionCall2(numeric_round, NumericGetDatum(points), Int32GetDatum(0));
			break;
		case ROUND_UP:
			whole = DirectFunctionCall1(numeric_ceil, NumericGetDatum(points));
			break;
		default:
			whole = DirectFunctionCall1(numeric_floor, NumericGetDatum(points));
			break;
	}
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, whole));
}

int64
ledger_post(Ledger *ledger, Customer *customer, const Posting *posting)
{
	const Accrual *accrual = posting->accrual;
	Datum		v[N_ENTRY_COLUMNS];
	bool		isnull[N_ENTRY_COLUMNS] = {false};

	if (pg_add_s64_overflow(customer->points_posted, posting->points, &customer->points_posted) ||
		pg_add_s64_overflow(customer->points_debt, posting->debt, &customer->points_debt))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("points of customer \"%s\" are out of range",
						customer->key.customer_id)));
	customer->last_entry_no++;
	if (posting->effective_at > customer->points_as_of)
		customer->points_as_of = posting->effective_at;
	customer_touch(customer);

	v[0] = Int32GetDatum(customer->key.shop_id);
	v[1] = CStringGetTextDatum(customer->key.customer_id);
	v[2] = Int64GetDatum(customer->last_entry_no);
	v[3] = CStringGetTextDatum(posting->kind);
	v[4] = Int64GetDatum(posting->points);
	v[5] = TimestampTzGetDatum(posting->effective_at);
	v[6] = TimestampTzGetDatum(ledger->posted_at);
	v[7] = Int32GetDatum(accrual ? accrual->source_id : 0);
	isnull[7] = (accrual == NULL);
	own_set_text(&v[8], &isnull[8], accrual ? accrual->order_id : posting->order_id);
	own_set_text(&v[9], &isnull[9], posting->reference);
	own_set_text(&v[10], &isnull[10], posting->reason);
	own_set_text(&v[11], &isnull[11], posting->other_customer);
	v[12] = Int64GetDatum(posting->undoes);
	isnull[12] = (posting->undoes == 0);
	isnull[13] = isnull[14] = isnull[15] = (accrual == NULL);
	if (accrual != NULL)
	{
		v[13] = NumericGetDatum(accrual->amount);
		v[14] = NumericGetDatum(accrual->rate);
		v[15] = NumericGetDatum(accrual->multiplier);
	}
	if (posting->rule != 0)
		v[16] = posting->rule;
	else
	{
		isnull[16] = (accrual == NULL || !accrual->has_rule);
		v[16] = isnull[16] ? (Datum) 0 : accrual->rule;
	}
	own_set_time(&v[17], &isnull[17], posting->expires_at);
	v[18] = Int64GetDatum(posting->debt);
	isnull[19] = (posting->parts == NULL || posting->parts->n == 0);
	if (!isnull[19])
		v[19] = lot_parts_to_jsonb(posting->parts, posting->undoes == 0);
	v[20] = posting->request;
	isnull[20] = (posting->request == 0);
	own_rows_add(&ledger->entries, N_ENTRY_COLUMNS, entry_columns, v, isnull);
	return customer->last_entry_no;
}

void
ledger_due(Customer *customer, TimestampTz at)
{
	if (at != NO_TIME && (customer->points_due_at == NO_TIME || at < customer->points_due_at))
	{
		customer->points_due_at = at;
		customer_touch(customer);
	}
}

/*
 * Points that come in repay the customer's debt first; what is left makes a
 * lot.  A lot that has lapsed by now (an old order brought in late) is written
 * as such at once.
 */
int64
ledger_credit(Ledger *ledger, Customer *customer, Posting *posting)
{
	int64		repaid = Min(posting->points, customer->points_debt);
	int64		left = posting->points - repaid;
	bool		lapsed = posting->expires_at != NO_TIME && posting->expires_at <= ledger->now;
	const Accrual *accrual = posting->accrual;
	int64		entry_no;
	Datum		v[N_LOT_COLUMNS];
	bool		isnull[N_LOT_COLUMNS] = {false};

	posting->debt = -repaid;
	entry_no = ledger_post(ledger, customer, posting);
	if (left == 0)
		return entry_no;

	v[0] = Int32GetDatum(customer->key.shop_id);
	v[1] = CStringGetTextDatum(customer->key.customer_id);
	v[2] = Int64GetDatum(entry_no);
	v[3] = Int32GetDatum(accrual ? accrual->source_id : 0);
	isnull[3] = (accrual == NULL);
	own_set_text(&v[4], &isnull[4], accrual ? accrual->order_id : NULL);
	v[5] = Int64GetDatum(left);
	v[6] = Int64GetDatum(lapsed ? 0 : left);
	v[7] = Int64GetDatum(0);
	v[8] = Int64GetDatum(lapsed ? left : 0);
	v[9] = BoolGetDatum(!lapsed);
	v[10] = TimestampTzGetDatum(posting->effective_at);
	own_set_time(&v[11], &isnull[11], posting->expires_at);
	own_rows_add(&ledger->lots, N_LOT_COLUMNS, lot_columns, v, isnull);

	if (lapsed)
	{
		Posting		expiry = {.kind = "expiry"};
		LotParts   *parts = lot_parts_create();

		lot_parts_add(parts, entry_no, left, posting->expires_at);
		expiry.points = -left;
		expiry.effective_at = Max(posting->expires_at, posting->effective_at);
		expiry.expires_at = NO_TIME;
		expiry.parts = parts;
		ledger_post(ledger, customer, &expiry);
	}
	else
		ledger_due(customer, posting->expires_at);
	return entry_no;
}

/* Take points from lots; the parts must be free. */
int64
ledger_debit(Ledger *ledger, Customer *customer, Posting *posting, const LotParts *parts)
{
	LotChange	take = {.remaining = -1};

	posting->parts = parts;
	posting->expires_at = NO_TIME;
	lots_change(customer, parts, take);
	return ledger_post(ledger, customer, posting);
}

/*
 * Points lapse.  As far as there is debt, they repay it first: the points of a
 * refunded order are not to be lost twice.
 */
void
ledger_lapse(Ledger *ledger, Customer *customer, const LotParts *parts, TimestampTz effective_at)
{
	Posting		posting = {.kind = "expiry"};
	int64		repaid = Min(parts->points, customer->points_debt);
	LotChange	take = {.remaining = -1};
	LotChange	lapse = {.remaining = -1,.lapsed = 1};

	if (parts->n == 0)
		return;
	if (repaid == 0)
		lots_change(customer, parts, lapse);
	else
	{
		lots_change(customer, lot_parts_slice(parts, 0, repaid), take);
		lots_change(customer, lot_parts_slice(parts, repaid, parts->points - repaid), lapse);
		posting.reason = "repaid debt first";
	}
	posting.points = repaid - parts->points;
	posting.debt = -repaid;
	posting.effective_at = effective_at;
	posting.expires_at = NO_TIME;
	posting.parts = parts;
	ledger_post(ledger, customer, &posting);
}

/*
 * Post points that an order earns.
 */
void
ledger_accrue(Ledger *ledger, Customer *customer, const Accrual *accrual,
			  int64 points, TimestampTz effective_at)
{
	Posting		posting = {.kind = "accrual"};

	points_settle(ledger, customer, ledger->now);
	posting.points = points;
	posting.effective_at = effective_at;
	posting.expires_at = accrual->has_rule ? rule_expires_at(accrual->rule) : NO_TIME;
	posting.accrual = accrual;
	ledger_credit(ledger, customer, &posting);
}

/*
 * Take back points that an order had earned: from the order's own lots, then
 * from the customer's others.  What had lapsed of its own was lost already and
 * is not taken twice.  What is spent, or set aside by a hold, becomes debt, or
 * is forgiven by an entry of its own; so the order's entries always add up.
 */
void
ledger_reverse(Ledger *ledger, Customer *customer, const Accrual *accrual,
			   int64 points, const char *reason)
{
	Posting		posting = {.kind = "reversal"};
	LotParts   *parts = lot_parts_create();
	LotParts   *lapsed = lot_parts_create();
	LotParts   *own;
	LotChange	take = {.remaining = -1};
	LotChange	undo = {.lapsed = -1};
	int64		left = points;

	points_settle(ledger, customer, ledger->now);

	/* Lots made by this very operation must be seen too. */
	ledger_write(ledger);

	lots_of_order(customer, accrual->source_id, accrual->order_id, parts, lapsed);
	own = lot_parts_slice(parts, 0, left);
	lots_change(customer, own, take);
	left -= own->points;
	lapsed = lot_parts_slice(lapsed, 0, left);
	lots_change(customer, lapsed, undo);
	left -= lapsed->points;
	parts = own;
	if (left > 0)
	{
		LotParts   *others = lots_choose(customer, left, ledger->now);

		lots_change(customer, others, take);
		left -= others->points;
		for (int i = 0; i < others->n; i++)
			lot_parts_add(parts, others->parts[i].entry_no, others->parts[i].points,
						  others->parts[i].expires_at);
	}

	posting.points = -points;
	posting.debt = left + lapsed->points;
	posting.effective_at = ledger->now;
	posting.expires_at = NO_TIME;
	posting.accrual = accrual;
	posting.reason = reason;
	posting.parts = parts;
	ledger_post(ledger, customer, &posting);

	if (lapsed->points > 0)
	{
		Posting		expiry = {.kind = "expiry"};

		expiry.points = lapsed->points;
		expiry.debt = -lapsed->points;
		expiry.effective_at = ledger->now;
		expiry.expires_at = NO_TIME;
		expiry.accrual = accrual;
		expiry.reason = "points that had lapsed were taken back with the order";
		ledger_post(ledger, customer, &expiry);
	}

	if (left > 0 && shop_settings(customer->key.shop_id)->forgive_debt)
	{
		Posting		forgiveness = {.kind = "forgiveness"};

		forgiveness.points = left;
		forgiveness.debt = -left;
		forgiveness.effective_at = ledger->now;
		forgiveness.expires_at = NO_TIME;
		forgiveness.accrual = accrual;
		forgiveness.reason = "points of a refunded order were already spent";
		ledger_post(ledger, customer, &forgiveness);
	}
}

static void
write_rows(OwnRows *rows, OwnTable *table, OwnQuery *query)
{
	if (!own_table_insert_tuples(table, rows->rows, rows->nrows))
		own_rows_execute(rows, query);
	rows->nrows = 0;
}

void
ledger_write(Ledger *ledger)
{
	write_rows(&ledger->entries, &entry_table, &insert_entries);
	write_rows(&ledger->lots, &lot_table, &insert_lots);
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

	if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rows of table \"%s\" cannot be changed",
						RelationGetRelationName(trigdata->tg_relation)),
				 errhint("The ledger is append-only: correct points by SELECT retention.adjust(customer, points, reason, reference).")));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("rows of table \"%s\" cannot be removed",
					RelationGetRelationName(trigdata->tg_relation)),
			 errhint("The ledger is append-only: correct points by SELECT retention.adjust(customer, points, reason, reference).")));
	return PointerGetDatum(NULL);
}
