/*
 * purchase.c
 *		One order's recorded facts: what makes it a purchase, and its row.
 */
#include "purchase.h"

#include "order_index.h"
#include "own_query.h"
#include "own_table.h"
#include "retention.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

static const char *const purchase_columns[] = {
	"source_id", "order_id", "shop_id", "customer_id",
	"placed_at", "paid_at", "shipped_at", "delivered_at", "completed_at", "closed_at",
	"total", "paid", "refunded", "refunded_by_orders", "is_refund", "refund_of", "value",
	"currency", "channel", "staff", "referrer", "points_used", "close_reason", "attributes",
	"accrual_due_at", "accrued_at", "accrual_rate", "accrual_multiplier", "accrued_points",
	"accrual_rule"
};

#define N_PURCHASE_COLUMNS lengthof(purchase_columns)

static OwnTable purchase_table = {{.table = "purchase"}, 2, N_PURCHASE_COLUMNS, purchase_columns};

static const char *const error_columns[] = {"source_id", "order_id"};

static OwnTable error_table = {{.table = "sync_error"}, 2, 2, error_columns};

#define READ_PURCHASE \
	"p.shop_id, p.customer_id," \
	" p.placed_at, p.paid_at, p.shipped_at, p.delivered_at, p.completed_at, p.closed_at," \
	" p.total, p.paid, p.refunded, p.refunded_by_orders, p.is_refund, p.refund_of, p.value," \
	" p.currency, p.channel, p.staff, p.referrer, p.points_used, p.close_reason, p.attributes," \
	" p.accrual_due_at, p.accrued_at, p.accrual_rate, p.accrual_multiplier, p.accrued_points," \
	" p.accrual_rule"

static OwnQuery read_orders = {
	"SELECT p.order_id, " READ_PURCHASE
	" FROM retention.purchase p"
	" WHERE p.source_id = $1 AND p.order_id = ANY ($2)",
	2, {"int4", "text[]"}, true
};

/* Most sources have no error at all, and to see that takes no look for each order. */
static OwnQuery read_errors = {
	"SELECT e.order_id"
	" FROM retention.sync_error e"
	" WHERE EXISTS (SELECT FROM retention.sync_error WHERE source_id = $1)"
	" AND e.source_id = $1 AND e.order_id = ANY ($2)",
	2, {"int4", "text[]"}, true
};

static OwnQuery read_of_customer = {
	"SELECT p.order_id, " READ_PURCHASE
	" FROM retention.purchase p"
	" WHERE p.shop_id = $2 AND p.customer_id = $3 AND p.source_id = $1",
	3, {"int4", "int4", "text"}, true
};

static OwnQuery insert_purchases = {
	"INSERT INTO retention.purchase (source_id, order_id, shop_id, customer_id,"
	" placed_at, paid_at, shipped_at, delivered_at, completed_at, closed_at,"
	" total, paid, refunded, refunded_by_orders, is_refund, refund_of, value,"
	" currency, channel, staff, referrer, points_used, close_reason, attributes,"
	" accrual_due_at, accrued_at, accrual_rate, accrual_multiplier, accrued_points,"
	" accrual_rule)"
	" SELECT u.source_id, u.order_id, u.shop_id, u.customer_id,"
	" u.placed_at, u.paid_at, u.shipped_at, u.delivered_at, u.completed_at, u.closed_at,"
	" u.total, u.paid, u.refunded, u.refunded_by_orders, u.is_refund, u.refund_of, u.value,"
	" u.currency, u.channel, u.staff, u.referrer, u.points_used, u.close_reason, u.attributes,"
	" u.accrual_due_at, u.accrued_at, u.accrual_rate, u.accrual_multiplier, u.accrued_points,"
	" u.accrual_rule"
	" FROM unnest($1) AS u",
	1, {"retention.purchase[]"}
};

static OwnQuery update_purchases = {
	"UPDATE retention.purchase p"
	" SET shop_id = u.shop_id, customer_id = u.customer_id,"
	" placed_at = u.placed_at, paid_at = u.paid_at, shipped_at = u.shipped_at,"
	" delivered_at = u.delivered_at, completed_at = u.completed_at, closed_at = u.closed_at,"
	" total = u.total, paid = u.paid, refunded = u.refunded,"
	" refunded_by_orders = u.refunded_by_orders, is_refund = u.is_refund,"
	" refund_of = u.refund_of, value = u.value, currency = u.currency, channel = u.channel,"
	" staff = u.staff, referrer = u.referrer, points_used = u.points_used,"
	" close_reason = u.close_reason, attributes = u.attributes,"
	" accrual_due_at = u.accrual_due_at, accrued_at = u.accrued_at,"
	" accrual_rate = u.accrual_rate, accrual_multiplier = u.accrual_multiplier,"
	" accrued_points = u.accrued_points, accrual_rule = u.accrual_rule"
	" FROM unnest($1) AS u"
	" WHERE p.source_id = u.source_id AND p.order_id = u.order_id",
	1, {"retention.purchase[]"}
};

static OwnQuery delete_purchases = {
	"DELETE FROM retention.purchase WHERE source_id = $1 AND order_id = ANY ($2)",
	2, {"int4", "text[]"}
};

/* Nobody's: no order is recorded so. */
static OwnQuery insert_placeholders = {
	"INSERT INTO retention.purchase (source_id, order_id, shop_id, customer_id, total, paid, refunded)"
	" SELECT $1, k.order_id, 0, '', 0, 0, 0"
	" FROM unnest($2) AS k (order_id)"
	" ON CONFLICT DO NOTHING",
	2, {"int4", "text[]"}
};

static OwnQuery delete_placeholders = {
	"DELETE FROM retention.purchase WHERE source_id = $1 AND order_id = ANY ($2) AND customer_id = ''",
	2, {"int4", "text[]"}
};

static OwnQuery sum_refund_orders = {
	"SELECT coalesce(sum(-r.paid), 0)"
	" FROM unnest($2) WITH ORDINALITY AS k (order_id, position)"
	" LEFT JOIN retention.purchase r"
	" ON r.source_id = $1 AND r.refund_of = k.order_id AND r.is_refund AND r.paid_at IS NOT NULL"
	" GROUP BY k.position"
	" ORDER BY k.position",
	2, {"int4", "text[]"}, true
};

/* Placed, and neither paid nor closed. */
bool
purchase_is_unpaid(const Purchase *purchase)
{
	return purchase->state_at[ORDER_PLACED] != NO_TIME &&
		purchase->state_at[ORDER_PAID] == NO_TIME &&
		purchase->state_at[ORDER_CLOSED] == NO_TIME &&
		!purchase->is_refund;
}

static bool
is_positive(Numeric n)
{
	return DatumGetBool(DirectFunctionCall2(numeric_gt, NumericGetDatum(n),
											NumericGetDatum(int64_to_numeric(0))));
}

static Numeric
all_refunded(const Purchase *purchase)
{
	return numeric_add_opt_error(purchase->refunded, purchase->refunded_by_orders, NULL);
}

static Numeric
net_of(const Purchase *purchase, Numeric refunded)
{
	Numeric		net = numeric_sub_opt_error(purchase->paid, refunded, NULL);

	return is_positive(net) ? net : int64_to_numeric(0);
}

/* Paid less refunded, never below zero: what points follow. */
Numeric
purchase_net(const Purchase *purchase)
{
	return net_of(purchase, all_refunded(purchase));
}

/*
 * An order is a purchase once it is paid and as long as it is not wholly
 * refunded; a free order is one too, until it is closed.
 */
void
purchase_set_value(Purchase *purchase)
{
	Numeric		refunded = all_refunded(purchase);

	purchase->value = NULL;
	if (purchase->is_refund || purchase->state_at[ORDER_PAID] == NO_TIME)
		return;
	if ((is_positive(refunded) || purchase->state_at[ORDER_CLOSED] != NO_TIME) &&
		DatumGetBool(DirectFunctionCall2(numeric_ge, NumericGetDatum(refunded),
										 NumericGetDatum(purchase->paid))))
		return;
	purchase->value = net_of(purchase, refunded);
}

static bool
text_equal(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return strcmp(a, b) == 0;
}

static bool
numeric_equal(Numeric a, Numeric b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return DatumGetBool(DirectFunctionCall2(numeric_eq, NumericGetDatum(a), NumericGetDatum(b)));
}

static bool
attributes_equal(const Purchase *a, const Purchase *b)
{
	if (!a->has_attributes || !b->has_attributes)
		return a->has_attributes == b->has_attributes;
	return DatumGetBool(DirectFunctionCall2(jsonb_eq, a->attributes, b->attributes));
}

bool
purchase_equal(const Purchase *a, const Purchase *b)
{
	return memcmp(a->state_at, b->state_at, sizeof(a->state_at)) == 0 &&
		a->shop_id == b->shop_id &&
		a->is_refund == b->is_refund &&
		a->accrual_due_at == b->accrual_due_at &&
		a->accrued_at == b->accrued_at &&
		a->accrued_points == b->accrued_points &&
		a->has_points_used == b->has_points_used &&
		a->points_used == b->points_used &&
		text_equal(a->customer_id, b->customer_id) &&
		numeric_equal(a->total, b->total) &&
		numeric_equal(a->paid, b->paid) &&
		numeric_equal(a->refunded, b->refunded) &&
		numeric_equal(a->refunded_by_orders, b->refunded_by_orders) &&
		numeric_equal(a->value, b->value) &&
		numeric_equal(a->accrual_rate, b->accrual_rate) &&
		numeric_equal(a->accrual_multiplier, b->accrual_multiplier) &&
		text_equal(a->refund_of, b->refund_of) &&
		text_equal(a->currency, b->currency) &&
		text_equal(a->channel, b->channel) &&
		text_equal(a->staff, b->staff) &&
		text_equal(a->referrer, b->referrer) &&
		text_equal(a->close_reason, b->close_reason) &&
		attributes_equal(a, b);
}

/* Column `first` of the tuple is shop_id, and so on as in READ_PURCHASE. */
static Purchase *
purchase_from_tuple(HeapTuple tuple, char *order_id, int first)
{
	Purchase   *purchase = (Purchase *) palloc0(sizeof(Purchase));
	bool		isnull;

	purchase->order_id = order_id;
	purchase->shop_id = (int32) own_int64(tuple, first);
	purchase->customer_id = own_text(tuple, first + 1);
	for (int i = 0; i < N_ORDER_STATES; i++)
		purchase->state_at[i] = own_time(tuple, first + 2 + i);
	purchase->total = own_numeric(tuple, first + 8);
	purchase->paid = own_numeric(tuple, first + 9);
	purchase->refunded = own_numeric(tuple, first + 10);
	purchase->refunded_by_orders = own_numeric(tuple, first + 11);
	purchase->is_refund = own_bool(tuple, first + 12);
	purchase->refund_of = own_text(tuple, first + 13);
	purchase->value = own_numeric(tuple, first + 14);
	purchase->currency = own_text(tuple, first + 15);
	purchase->channel = own_text(tuple, first + 16);
	purchase->staff = own_text(tuple, first + 17);
	purchase->referrer = own_text(tuple, first + 18);
	purchase->points_used = DatumGetInt64(own_copy(tuple, first + 19, &isnull));
	purchase->has_points_used = !isnull;
	purchase->close_reason = own_text(tuple, first + 20);
	purchase->attributes = own_copy(tuple, first + 21, &isnull);
	purchase->has_attributes = !isnull;
	purchase->accrual_due_at = own_time(tuple, first + 22);
	purchase->accrued_at = own_time(tuple, first + 23);
	purchase->accrual_rate = own_numeric(tuple, first + 24);
	purchase->accrual_multiplier = own_numeric(tuple, first + 25);
	purchase->accrued_points = own_int64(tuple, first + 26);
	purchase->accrual_rule = own_copy(tuple, first + 27, &isnull);
	purchase->has_accrual_rule = !isnull;
	return purchase;
}

/* Whether an order is in a table, where that can be told without a statement. */
static bool
look_for_order(OwnTable *table, int32 source_id, const char *order_id, bool *found)
{
	Datum		key[2];

	key[0] = Int32GetDatum(source_id);
	key[1] = CStringGetTextDatum(order_id);
	return own_table_has(table, key, found);
}

/* Where the order of a row of the current SPI result stands among those asked for. */
static int
position_of(HeapTuple tuple, char **order_ids, int norders, OrderIndex **index)
{
	if (*index == NULL)
		*index = order_index_create(order_ids, norders);
	return order_index_find(*index, own_text(tuple, 1));
}

/*
 * Read the orders named; purchases[i] is NULL for one that is not recorded.
 */
void
purchases_read(int32 source_id, char **order_ids, int norders, Purchase **purchases)
{
	Datum		args[2];
	uint64		nrows;
	OrderIndex *index = NULL;
	bool		found;

	memset(purchases, 0, norders * sizeof(Purchase *));

	/* Most single orders are new, and to see that takes no statement. */
	if (norders == 1 && look_for_order(&purchase_table, source_id, order_ids[0], &found) && !found)
		return;

	args[0] = Int32GetDatum(source_id);
	args[1] = own_text_array(order_ids, norders);
	nrows = own_execute(&read_orders, args, NULL);
	for (uint64 r = 0; r < nrows; r++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[r];
		int			i = position_of(tuple, order_ids, norders, &index);

		purchases[i] = purchase_from_tuple(tuple, order_ids[i], 2);
	}
}

/*
 * Which of the orders named stand in sync_error.
 */
void
purchases_read_errors(int32 source_id, char **order_ids, int norders, bool *had_error)
{
	Datum		args[2];
	uint64		nrows;
	OrderIndex *index = NULL;

	memset(had_error, 0, norders * sizeof(bool));
	if (norders == 1 && look_for_order(&error_table, source_id, order_ids[0], &had_error[0]))
		return;

	args[0] = Int32GetDatum(source_id);
	args[1] = own_text_array(order_ids, norders);
	nrows = own_execute(&read_errors, args, NULL);
	for (uint64 r = 0; r < nrows; r++)
		had_error[position_of(SPI_tuptable->vals[r], order_ids, norders, &index)] = true;
}

int
purchases_read_of_customer(int32 source_id, int32 shop_id, const char *customer_id,
						   Purchase ***purchases)
{
	Datum		args[3];
	int			n;

	args[0] = Int32GetDatum(source_id);
	args[1] = Int32GetDatum(shop_id);
	args[2] = CStringGetTextDatum(customer_id);
	n = (int) own_execute(&read_of_customer, args, NULL);

	*purchases = (Purchase **) palloc(Max(n, 1) * sizeof(Purchase *));
	for (int i = 0; i < n; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];

		(*purchases)[i] = purchase_from_tuple(tuple, own_text(tuple, 1), 2);
	}
	return n;
}

static void
purchase_to_row(int32 source_id, const Purchase *p, Datum *v, bool *isnull)
{
	memset(isnull, false, N_PURCHASE_COLUMNS * sizeof(bool));
	v[0] = Int32GetDatum(source_id);
	v[1] = CStringGetTextDatum(p->order_id);
	v[2] = Int32GetDatum(p->shop_id);
	v[3] = CStringGetTextDatum(p->customer_id);
	for (int s = 0; s < N_ORDER_STATES; s++)
		own_set_time(&v[4 + s], &isnull[4 + s], p->state_at[s]);
	v[10] = NumericGetDatum(p->total);
	v[11] = NumericGetDatum(p->paid);
	v[12] = NumericGetDatum(p->refunded);
	v[13] = NumericGetDatum(p->refunded_by_orders);
	v[14] = BoolGetDatum(p->is_refund);
	own_set_text(&v[15], &isnull[15], p->refund_of);
	own_set_numeric(&v[16], &isnull[16], p->value);
	own_set_text(&v[17], &isnull[17], p->currency);
	own_set_text(&v[18], &isnull[18], p->channel);
	own_set_text(&v[19], &isnull[19], p->staff);
	own_set_text(&v[20], &isnull[20], p->referrer);
	v[21] = Int64GetDatum(p->points_used);
	isnull[21] = !p->has_points_used;
	own_set_text(&v[22], &isnull[22], p->close_reason);
	v[23] = p->attributes;
	isnull[23] = !p->has_attributes;
	own_set_time(&v[24], &isnull[24], p->accrual_due_at);
	own_set_time(&v[25], &isnull[25], p->accrued_at);
	own_set_numeric(&v[26], &isnull[26], p->accrual_rate);
	own_set_numeric(&v[27], &isnull[27], p->accrual_multiplier);
	v[28] = Int64GetDatum(p->accrued_points);
	v[29] = p->accrual_rule;
	isnull[29] = !p->has_accrual_rule;
}

static void
collect_rows(int32 source_id, Purchase **purchases, int n, OwnRows *rows)
{
	Datum		v[N_PURCHASE_COLUMNS];
	bool		isnull[N_PURCHASE_COLUMNS];

	own_rows_init(rows, "purchase");
	for (int i = 0; i < n; i++)
	{
		purchase_to_row(source_id, purchases[i], v, isnull);
		own_rows_add(rows, N_PURCHASE_COLUMNS, purchase_columns, v, isnull);
	}
}

static uint64
insert_many(int32 source_id, Purchase **purchases, int n)
{
	OwnRows		rows;

	collect_rows(source_id, purchases, n, &rows);
	if (own_table_insert_tuples(&purchase_table, rows.rows, n))
		return n;
	return own_rows_execute(&rows, &insert_purchases);
}

static uint64
insert_one(int32 source_id, Purchase *purchase)
{
	Datum		v[N_PURCHASE_COLUMNS];
	bool		isnull[N_PURCHASE_COLUMNS];

	purchase_to_row(source_id, purchase, v, isnull);
	return own_table_insert(&purchase_table, v, isnull) ? 1 : insert_many(source_id, &purchase, 1);
}

static void
refuse_written(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access: an order was recorded by another transaction meanwhile"),
			 errhint("Try the transaction again.")));
}

static void
check_written(uint64 written, int n)
{
	if (written != (uint64) n)
		refuse_written();
}

/*
 * The key is what two sessions meet at that see one new order with different
 * customers, and so hold no lock in common.  The second learns of it by the
 * duplicate key: ON CONFLICT would look for one before each insert, and write
 * to the log twice.
 */
void
purchases_insert(int32 source_id, Purchase **purchases, int n)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		check_written(n == 1 ? insert_one(source_id, purchases[0]) :
					  insert_many(source_id, purchases, n), n);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (error->sqlerrcode != ERRCODE_UNIQUE_VIOLATION)
			PG_RE_THROW();
		FlushErrorState();
		refuse_written();
	}
	PG_END_TRY();
}

void
purchases_update(int32 source_id, Purchase **purchases, int n)
{
	OwnRows		rows;

	collect_rows(source_id, purchases, n, &rows);
	check_written(own_rows_execute(&rows, &update_purchases), n);
}

void
purchases_delete(int32 source_id, char **order_ids, int n)
{
	Datum		args[2];

	if (n == 0)
		return;
	args[0] = Int32GetDatum(source_id);
	args[1] = own_text_array(order_ids, n);
	check_written(own_execute(&delete_purchases, args, NULL), n);
}

/*
 * Until this transaction ends, let others who would record these orders wait;
 * wait for those who have.  A row put in and taken away again does that, and
 * leaves nothing behind.
 */
void
purchases_hold(int32 source_id, char **order_ids, int n)
{
	Datum		args[2];

	if (n == 0)
		return;
	args[0] = Int32GetDatum(source_id);
	args[1] = own_text_array(order_ids, n);
	own_execute(&insert_placeholders, args, NULL);
	own_execute(&delete_placeholders, args, NULL);
}

void
purchases_refunded_by_orders(int32 source_id, char **order_ids, int norders, Numeric *sums)
{
	Datum		args[2];

	if (norders == 0)
		return;
	args[0] = Int32GetDatum(source_id);
	args[1] = own_text_array(order_ids, norders);
	own_execute(&sum_refund_orders, args, NULL);
	for (int i = 0; i < norders; i++)
		sums[i] = own_numeric(SPI_tuptable->vals[i], 1);
}

Numeric
money_zero(void)
{
	return int64_to_numeric(0);
}

bool
money_is_negative(Numeric amount)
{
	return DatumGetBool(DirectFunctionCall2(numeric_lt, NumericGetDatum(amount),
											NumericGetDatum(money_zero())));
}

Purchase *
purchase_copy(const Purchase *purchase)
{
	Purchase   *copy = (Purchase *) palloc(sizeof(Purchase));

	memcpy(copy, purchase, sizeof(Purchase));
	return copy;
}

bool
purchase_same_owner(const Purchase *before, const Purchase *after)
{
	return before != NULL && after != NULL &&
		before->shop_id == after->shop_id &&
		strcmp(before->customer_id, after->customer_id) == 0;
}

int
purchase_compare_paid_at(const void *a, const void *b)
{
	const Purchase *pa = *(Purchase *const *) a;
	const Purchase *pb = *(Purchase *const *) b;

	if (pa->state_at[ORDER_PAID] != pb->state_at[ORDER_PAID])
		return pa->state_at[ORDER_PAID] < pb->state_at[ORDER_PAID] ? -1 : 1;
	return strcmp(pa->order_id, pb->order_id);
}
