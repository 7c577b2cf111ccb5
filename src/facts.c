/*
 * facts.c
 *		The columns that a facts query may have, and what a row of it says.
 *
 * Whatever columns a shop's query has and in whatever order and type, it is
 * wrapped into one that yields them in our order and types; its rows are then
 * checked and told as OrderFacts.
 */
#include "facts.h"

#include "order_index.h"
#include "own_query.h"
#include "shop.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "nodes/parsenodes.h"
#include "tcop/cmdtag.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/plancache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

/* Amounts are kept with at most so many decimals, and below 10^12. */
#define MAX_MONEY_DECIMALS 6
#define MONEY_LIMIT INT64CONST(1000000000000)

/* Years 1 to 9999: days and months added to a time must give one too. */
#define FIRST_TIME ((date2j(1, 1, 1) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY)
#define TIME_LIMIT ((date2j(10000, 1, 1) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY)

typedef struct FactColumnSpec
{
	const char *name;
	const char *type;			/* the type it is cast to */
	const char *accepts;		/* what it may be, for the message; NULL: anything */
} FactColumnSpec;

#define MONEY "numeric", "a number"
#define TIME "timestamptz", "a timestamp or date"
#define FLAG "boolean", "boolean"
#define TEXT "text", NULL

static const FactColumnSpec fact_columns[N_FACT_COLUMNS] = {
	[FACT_ORDER_ID] = {"order_id", TEXT},
	[FACT_CUSTOMER] = {"customer", TEXT},
	[FACT_TOTAL] = {"total", MONEY},
	[FACT_PAID] = {"paid", MONEY},
	[FACT_REFUNDED] = {"refunded", MONEY},
	[FACT_EXCHANGE_RATE] = {"exchange_rate", MONEY},
	[FACT_POINTS_USED] = {"points_used", "bigint", "a number"},
	[FACT_CURRENCY] = {"currency", TEXT},
	[FACT_SHOP] = {"shop", TEXT},
	[FACT_CHANNEL] = {"channel", TEXT},
	[FACT_STAFF] = {"staff", TEXT},
	[FACT_REFERRER] = {"referrer", TEXT},
	[FACT_REFUND_OF] = {"refund_of", TEXT},
	[FACT_CLOSE_REASON] = {"close_reason", TEXT},
	[FACT_ATTRIBUTES] = {"attributes", "jsonb", "json or jsonb"},
	[FACT_STATE + ORDER_PLACED] = {"placed", FLAG},
	[FACT_STATE + ORDER_PAID] = {"paid_in_full", FLAG},
	[FACT_STATE + ORDER_SHIPPED] = {"shipped", FLAG},
	[FACT_STATE + ORDER_DELIVERED] = {"delivered", FLAG},
	[FACT_STATE + ORDER_COMPLETED] = {"completed", FLAG},
	[FACT_STATE + ORDER_CLOSED] = {"closed", FLAG},
	[FACT_STATE_AT + ORDER_PLACED] = {"placed_at", TIME},
	[FACT_STATE_AT + ORDER_PAID] = {"paid_at", TIME},
	[FACT_STATE_AT + ORDER_SHIPPED] = {"shipped_at", TIME},
	[FACT_STATE_AT + ORDER_DELIVERED] = {"delivered_at", TIME},
	[FACT_STATE_AT + ORDER_COMPLETED] = {"completed_at", TIME},
	[FACT_STATE_AT + ORDER_CLOSED] = {"closed_at", TIME},
};

/* A row of the wrapped query; NULL also where a column is not mapped. */
typedef struct FactsRow
{
	const FactsColumns *columns;
	Datum		values[N_FACT_COLUMNS];
	bool		nulls[N_FACT_COLUMNS];
} FactsRow;

static bool
maps(const FactsColumns *columns, FactColumn column)
{
	return OidIsValid(columns->type[column]);
}

static bool
type_is_accepted(const FactColumnSpec *spec, Oid type)
{
	Oid			base = getBaseType(type);

	if (spec->accepts == NULL)
		return true;
	if (strcmp(spec->type, "boolean") == 0)
		return base == BOOLOID;
	if (strcmp(spec->type, "jsonb") == 0)
		return base == JSONBOID || base == JSONOID;
	if (strcmp(spec->type, "timestamptz") == 0)
		return base == TIMESTAMPTZOID || base == TIMESTAMPOID || base == DATEOID;
	return base == NUMERICOID || base == INT2OID || base == INT4OID || base == INT8OID ||
		base == FLOAT4OID || base == FLOAT8OID || base == MONEYOID;
}

/*
 * Find out which columns a facts query has; refuse one that is no plain
 * SELECT, lacks a column that is needed, or has one that means nothing.
 */
void
facts_describe(const char *facts, FactsColumns *columns)
{
	SPIPlanPtr	plan = SPI_prepare(facts, 0, NULL);
	CachedPlanSource *plansource;
	TupleDesc	tupdesc;
	Query	   *query;
	bool		tells_paid;

	if (plan == NULL)
		elog(ERROR, "could not prepare a facts query: %s", SPI_result_code_string(SPI_result));
	if (list_length(SPI_plan_get_plan_sources(plan)) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("a facts query must be one statement, this text has %d",
						list_length(SPI_plan_get_plan_sources(plan)))));
	plansource = (CachedPlanSource *) linitial(SPI_plan_get_plan_sources(plan));
	tupdesc = plansource->resultDesc;
	if (plansource->commandTag != CMDTAG_SELECT)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("a facts query must be a SELECT, this is %s",
						GetCommandTagName(plansource->commandTag))));
	query = linitial_node(Query, plansource->query_list);
	if (tupdesc == NULL || query->hasModifyingCTE || query->rowMarks != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("a facts query must only read"),
				 errhint("Leave out INTO, FOR UPDATE and WITH clauses that change data.")));

	memset(columns, 0, sizeof(FactsColumns));
	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(tupdesc, i);
		int			c;

		for (c = 0; c < N_FACT_COLUMNS; c++)
		{
			if (strcmp(fact_columns[c].name, NameStr(att->attname)) == 0)
				break;
		}
		if (c == N_FACT_COLUMNS)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("a facts query cannot have a column \"%s\"", NameStr(att->attname)),
					 errhint("What retention has no name for goes into attributes, as in jsonb_build_object('gift', gift) AS attributes.")));
		if (OidIsValid(columns->type[c]))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_COLUMN),
					 errmsg("the facts query has column \"%s\" twice", NameStr(att->attname))));
		columns->type[c] = (att->atttypid == UNKNOWNOID) ? TEXTOID : att->atttypid;
		if (!type_is_accepted(&fact_columns[c], columns->type[c]))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("\"%s\" must be %s, not %s", fact_columns[c].name,
							fact_columns[c].accepts, format_type_be(att->atttypid)),
					 errhint("Write an expression that gives %s.", fact_columns[c].accepts)));
	}

	for (int c = FACT_ORDER_ID; c <= FACT_TOTAL; c++)
	{
		if (!OidIsValid(columns->type[c]))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("the facts lack the required column \"%s\"", fact_columns[c].name),
					 errhint("order_id, customer and total are required.")));
	}

	tells_paid = facts_maps_state(columns, ORDER_PAID) || maps(columns, FACT_PAID);
	if (!tells_paid)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("the facts do not tell when an order is paid"),
				 errhint("Map paid_at (a time), paid_in_full (a boolean) or paid (the money paid so far).")));

	/* It is looked up by, many at a time. */
	if (!OidIsValid(get_array_type(columns->type[FACT_ORDER_ID])) ||
		!OidIsValid(lookup_type_cache(columns->type[FACT_ORDER_ID], TYPECACHE_EQ_OPR)->eq_opr))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("\"order_id\" cannot be %s", format_type_be(columns->type[FACT_ORDER_ID])),
				 errhint("Cast it to text.")));
	SPI_freeplan(plan);
}

bool
facts_maps_state(const FactsColumns *columns, OrderState state)
{
	return maps(columns, FACT_STATE + state) || maps(columns, FACT_STATE_AT + state);
}

void
facts_owner_columns(const FactsColumns *columns, FactsColumns *owners)
{
	static const FactColumn needed[] = {
		FACT_ORDER_ID, FACT_CUSTOMER, FACT_SHOP, FACT_REFUND_OF, FACT_STATE_AT + ORDER_PAID
	};

	memset(owners, 0, sizeof(FactsColumns));
	for (int i = 0; i < (int) lengthof(needed); i++)
		owners->type[needed[i]] = columns->type[needed[i]];
}

/*
 * SELECT of the columns in their order and types from the facts query, ready
 * for a WHERE on f.order_id.
 */
char *
facts_wrap(const char *facts, const FactsColumns *columns)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (int c = 0; c < N_FACT_COLUMNS; c++)
	{
		if (maps(columns, c))
			appendStringInfo(&sql, "%sf.%s::pg_catalog.%s", c > 0 ? ", " : "",
							 fact_columns[c].name,
							 strcmp(fact_columns[c].type, "boolean") == 0 ? "bool" :
							 strcmp(fact_columns[c].type, "bigint") == 0 ? "int8" :
							 fact_columns[c].type);
	}

	/* The line end keeps a trailing comment from swallowing the rest. */
	appendStringInfo(&sql, " FROM (%s\n) AS f", facts);
	return sql.data;
}

/*
 * All orders with their customers, a customer's together and in the order they
 * were paid.
 */
char *
facts_list_query(const char *facts, const FactsColumns *columns)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "SELECT f.order_id::pg_catalog.text, f.customer::pg_catalog.text"
					 " FROM (%s\n) AS f"
					 " WHERE f.order_id IS NOT NULL"
					 " ORDER BY f.customer::pg_catalog.text COLLATE pg_catalog.\"C\"", facts);
	if (OidIsValid(columns->type[FACT_STATE_AT + ORDER_PAID]))
		appendStringInfoString(&sql, ", f.paid_at");
	if (OidIsValid(columns->type[FACT_STATE_AT + ORDER_PLACED]))
		appendStringInfoString(&sql, ", f.placed_at");
	appendStringInfoString(&sql, ", f.order_id");
	return sql.data;
}

static void
read_columns(FactsRow *row, HeapTuple tuple, TupleDesc tupdesc)
{
	Datum		values[N_FACT_COLUMNS];
	bool		nulls[N_FACT_COLUMNS];
	int			i = 0;

	Assert(tupdesc->natts <= N_FACT_COLUMNS);
	heap_deform_tuple(tuple, tupdesc, values, nulls);
	for (int c = 0; c < N_FACT_COLUMNS; c++)
	{
		row->nulls[c] = !maps(row->columns, c) || nulls[i];
		row->values[c] = row->nulls[c] ? (Datum) 0 : values[i];
		if (maps(row->columns, c))
			i++;
	}
}

static char *
get_text(const FactsRow *row, FactColumn column)
{
	return row->nulls[column] ? NULL : TextDatumGetCString(row->values[column]);
}

static Numeric
get_numeric(const FactsRow *row, FactColumn column)
{
	return row->nulls[column] ? NULL : DatumGetNumericCopy(row->values[column]);
}

static void
refuse(FactsResult *result, int sqlstate, const char *message)
{
	result->status = FACTS_FAILED;
	result->facts = NULL;
	strlcpy(result->sqlstate, unpack_sql_state(sqlstate), sizeof(result->sqlstate));
	result->message = pstrdup(message);
}

static bool
money_is_below_limit(Numeric amount)
{
	Numeric		limit = int64_to_numeric(MONEY_LIMIT);

	return DatumGetBool(DirectFunctionCall2(numeric_lt,
											DirectFunctionCall1(numeric_abs, NumericGetDatum(amount)),
											NumericGetDatum(limit)));
}

static bool
money_is_usable(Numeric amount)
{
	if (numeric_is_nan(amount) || numeric_is_inf(amount))
		return false;
	if (DatumGetInt32(DirectFunctionCall1(numeric_min_scale, NumericGetDatum(amount))) > MAX_MONEY_DECIMALS)
		return false;
	return money_is_below_limit(amount);
}

static bool
check_money(FactsResult *result, FactColumn column, Numeric amount)
{
	if (amount == NULL || money_is_usable(amount))
		return true;
	refuse(result, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
		   psprintf("%s is %s: amounts have at most %d decimals and are below 10^12",
					fact_columns[column].name,
					DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(amount))),
					MAX_MONEY_DECIMALS));
	return false;
}

/* What is kept is the amount in the shop's currency. */
static bool
check_converted(FactsResult *result, FactColumn column, Numeric amount, Numeric exchange_rate)
{
	if (amount == NULL || exchange_rate == NULL)
		return true;
	amount = numeric_mul_opt_error(amount, exchange_rate, NULL);
	if (money_is_below_limit(amount))
		return true;
	refuse(result, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
		   psprintf("%s is %s in the shop's currency: amounts are below 10^12",
					fact_columns[column].name,
					DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(amount)))));
	return false;
}

static bool
check_id(FactsResult *result, FactColumn column, const char *id)
{
	if (id == NULL || strlen(id) <= MAX_ID_BYTES)
		return true;
	refuse(result, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
		   psprintf("%s has %zu bytes: at most %d are kept",
					fact_columns[column].name, strlen(id), MAX_ID_BYTES));
	return false;
}

static int
compare_numeric(Numeric a, Numeric b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a), NumericGetDatum(b)));
}

/* Amounts in another currency than the shop's need a rate. */
static bool
read_currency(FactsResult *result, OrderFacts *facts, const FactsRow *row)
{
	const Shop *shop = shop_settings(facts->shop_id);

	facts->currency = get_text(row, FACT_CURRENCY);
	facts->exchange_rate = get_numeric(row, FACT_EXCHANGE_RATE);

	if (facts->currency != NULL && pg_strcasecmp(facts->currency, shop->currency) == 0)
		facts->exchange_rate = NULL;
	else if (facts->currency != NULL && facts->exchange_rate == NULL)
	{
		refuse(result, ERRCODE_INVALID_PARAMETER_VALUE,
			   psprintf("the order is in %s, the shop in %s, and the facts give no exchange_rate",
						facts->currency, shop->currency));
		return false;
	}
	if (facts->exchange_rate != NULL &&
		(numeric_is_nan(facts->exchange_rate) || numeric_is_inf(facts->exchange_rate) ||
		 compare_numeric(facts->exchange_rate, int64_to_numeric(0)) <= 0))
	{
		refuse(result, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, "exchange_rate must be above zero");
		return false;
	}
	return check_converted(result, FACT_TOTAL, facts->total, facts->exchange_rate) &&
		check_converted(result, FACT_PAID, facts->paid, facts->exchange_rate) &&
		check_converted(result, FACT_REFUNDED, facts->refunded, facts->exchange_rate);
}

static bool
read_money(FactsResult *result, OrderFacts *facts, const FactsRow *row)
{
	facts->total = get_numeric(row, FACT_TOTAL);
	facts->paid = get_numeric(row, FACT_PAID);
	facts->refunded = get_numeric(row, FACT_REFUNDED);

	if (facts->total == NULL)
	{
		refuse(result, ERRCODE_NULL_VALUE_NOT_ALLOWED, "total is null");
		return false;
	}
	/* A sum over no payments is NULL in SQL, and means none. */
	if (maps(row->columns, FACT_PAID) && facts->paid == NULL)
		facts->paid = int64_to_numeric(0);
	if (maps(row->columns, FACT_REFUNDED) && facts->refunded == NULL)
		facts->refunded = int64_to_numeric(0);

	return check_money(result, FACT_TOTAL, facts->total) &&
		check_money(result, FACT_PAID, facts->paid) &&
		check_money(result, FACT_REFUNDED, facts->refunded);
}

bool
facts_time_is_usable(TimestampTz at)
{
	return at >= FIRST_TIME && at < TIME_LIMIT;
}

static bool
read_states(FactsResult *result, OrderFacts *facts, const FactsRow *row)
{
	for (int s = 0; s < N_ORDER_STATES; s++)
	{
		bool		isnull = row->nulls[FACT_STATE_AT + s];
		TimestampTz at = isnull ? NO_TIME : DatumGetTimestampTz(row->values[FACT_STATE_AT + s]);
		bool		reached;

		if (!isnull && !facts_time_is_usable(at))
		{
			refuse(result, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE,
				   psprintf("%s is %s: times are within the years 1 to 9999",
							fact_columns[FACT_STATE_AT + s].name,
							TIMESTAMP_NOT_FINITE(at) ? "infinite" : "out of range"));
			return false;
		}

		if (maps(row->columns, FACT_STATE + s))
			reached = !row->nulls[FACT_STATE + s] && DatumGetBool(row->values[FACT_STATE + s]);
		else if (maps(row->columns, FACT_STATE_AT + s))
			reached = !isnull;
		else
		{
			facts->state[s] = STATE_UNKNOWN;
			facts->state_at[s] = NO_TIME;
			continue;
		}
		facts->state[s] = reached ? STATE_REACHED : STATE_NOT_REACHED;
		facts->state_at[s] = reached ? at : NO_TIME;
	}

	/* Where only the money is known, it tells whether the order is paid. */
	if (facts->state[ORDER_PAID] == STATE_UNKNOWN && facts->paid != NULL)
	{
		bool		is_sale = compare_numeric(facts->total, int64_to_numeric(0)) >= 0;
		int			order = compare_numeric(facts->paid, facts->total);

		facts->state[ORDER_PAID] = (is_sale ? order >= 0 : order <= 0) ?
			STATE_REACHED : STATE_NOT_REACHED;
	}
	return true;
}

/* Whose the order is, and which order it refunds. */
static bool
read_owner(FactsResult *result, OrderFacts *facts, int32 shop_id, const FactsRow *row)
{
	char	   *shop = get_text(row, FACT_SHOP);

	facts->customer_id = get_text(row, FACT_CUSTOMER);
	facts->refund_of = get_text(row, FACT_REFUND_OF);
	facts->shop_id = shop_id;
	if (shop != NULL)
	{
		facts->shop_id = shop_lookup(shop, true);
		if (facts->shop_id == 0)
		{
			refuse(result, ERRCODE_UNDEFINED_OBJECT,
				   psprintf("the facts name shop \"%s\", which does not exist", shop));
			return false;
		}
	}

	/* An empty id is nobody's, as NULL is. */
	if (facts->customer_id != NULL && facts->customer_id[0] == '\0')
		facts->customer_id = NULL;

	return check_id(result, FACT_ORDER_ID, facts->order_id) &&
		check_id(result, FACT_CUSTOMER, facts->customer_id) &&
		check_id(result, FACT_REFUND_OF, facts->refund_of);
}

static void
read_row(int32 shop_id, char *order_id, const FactsRow *row, FactsResult *result)
{
	OrderFacts *facts = (OrderFacts *) palloc0(sizeof(OrderFacts));

	result->status = FACTS_FOUND;
	result->facts = facts;
	facts->order_id = order_id;
	if (!read_owner(result, facts, shop_id, row))
		return;

	/* What only tells the owners says nothing of money. */
	if (maps(row->columns, FACT_TOTAL) &&
		!(read_money(result, facts, row) && read_currency(result, facts, row)))
		return;
	if (!read_states(result, facts, row))
		return;

	facts->channel = get_text(row, FACT_CHANNEL);
	facts->staff = get_text(row, FACT_STAFF);
	facts->referrer = get_text(row, FACT_REFERRER);
	facts->close_reason = get_text(row, FACT_CLOSE_REASON);
	facts->has_points_used = !row->nulls[FACT_POINTS_USED];
	facts->points_used = DatumGetInt64(row->values[FACT_POINTS_USED]);
	facts->has_attributes = !row->nulls[FACT_ATTRIBUTES];
	if (facts->has_attributes)
		facts->attributes = PointerGetDatum(PG_DETOAST_DATUM_COPY(row->values[FACT_ATTRIBUTES]));
}

/*
 * Tell the rows of the current SPI result by the orders asked for.
 */
void
facts_from_result(const FactsColumns *columns, int32 shop_id, char **order_ids, int norders,
				  FactsResult *results)
{
	SPITupleTable *rows = SPI_tuptable;
	uint64		nrows = SPI_processed;
	OrderIndex *asked = order_index_create(order_ids, norders);
	FactsRow	row;

	row.columns = columns;

	memset(results, 0, norders * sizeof(FactsResult));
	for (uint64 r = 0; r < nrows; r++)
	{
		FactsResult *result;
		char	   *order_id;
		int			position;

		read_columns(&row, rows->vals[r], rows->tupdesc);
		order_id = get_text(&row, FACT_ORDER_ID);
		if (order_id == NULL)
			continue;
		position = order_index_find(asked, order_id);
		if (position < 0)
			continue;

		result = &results[position];
		if (result->status != FACTS_ABSENT)
			refuse(result, ERRCODE_CARDINALITY_VIOLATION,
				   "the facts query gives more than one row for the order");
		else
			read_row(shop_id, order_id, &row, result);
	}
}
