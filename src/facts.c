/*
 * facts.c
 *		The columns that a facts query may have, and what a row of it says.
 *
 * Whatever columns a shop's query has and of whatever type, it is wrapped into
 * one that always yields the same columns and types; its rows are then checked
 * and told as OrderFacts.
 */
#include "facts.h"

#include "own_query.h"
#include "shop.h"

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

/* Columns that follow those of the facts in the wrapped query. */
#define WRAPPED(column) ((int) (column) + 1)

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

	tells_paid = facts_maps_state(columns, ORDER_PAID) || OidIsValid(columns->type[FACT_PAID]);
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
	return OidIsValid(columns->type[FACT_STATE + state]) ||
		OidIsValid(columns->type[FACT_STATE_AT + state]);
}

/*
 * SELECT of all fact columns in their order and types from the facts query,
 * ready for a WHERE on f.order_id.
 */
char *
facts_wrap(const char *facts, const FactsColumns *columns)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (int c = 0; c < N_FACT_COLUMNS; c++)
	{
		if (OidIsValid(columns->type[c]))
			appendStringInfo(&sql, "%sf.%s::pg_catalog.%s", c > 0 ? ", " : "",
							 fact_columns[c].name,
							 strcmp(fact_columns[c].type, "boolean") == 0 ? "bool" :
							 strcmp(fact_columns[c].type, "bigint") == 0 ? "int8" :
							 fact_columns[c].type);
		else
			appendStringInfo(&sql, "%sNULL", c > 0 ? ", " : "");
	}

	/* Which columns there are, so that a NULL is told from a column not mapped. */
	appendStringInfo(&sql, ", %s, %s",
					 OidIsValid(columns->type[FACT_PAID]) ? "true" : "false",
					 OidIsValid(columns->type[FACT_REFUNDED]) ? "true" : "false");
	for (int s = 0; s < N_ORDER_STATES; s++)
		appendStringInfo(&sql, ", %s, %s",
						 OidIsValid(columns->type[FACT_STATE + s]) ? "true" : "false",
						 OidIsValid(columns->type[FACT_STATE_AT + s]) ? "true" : "false");

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
read_currency(FactsResult *result, OrderFacts *facts, HeapTuple tuple)
{
	const Shop *shop = shop_settings(facts->shop_id);

	facts->currency = own_text(tuple, WRAPPED(FACT_CURRENCY));
	facts->exchange_rate = own_numeric(tuple, WRAPPED(FACT_EXCHANGE_RATE));

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
read_money(FactsResult *result, OrderFacts *facts, HeapTuple tuple)
{
	bool		maps_paid = own_bool(tuple, WRAPPED(N_FACT_COLUMNS));
	bool		maps_refunded = own_bool(tuple, WRAPPED(N_FACT_COLUMNS) + 1);

	facts->total = own_numeric(tuple, WRAPPED(FACT_TOTAL));
	facts->paid = own_numeric(tuple, WRAPPED(FACT_PAID));
	facts->refunded = own_numeric(tuple, WRAPPED(FACT_REFUNDED));

	if (facts->total == NULL)
	{
		refuse(result, ERRCODE_NULL_VALUE_NOT_ALLOWED, "total is null");
		return false;
	}
	/* A sum over no payments is NULL in SQL, and means none. */
	if (maps_paid && facts->paid == NULL)
		facts->paid = int64_to_numeric(0);
	if (maps_refunded && facts->refunded == NULL)
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
read_states(FactsResult *result, OrderFacts *facts, HeapTuple tuple)
{
	for (int s = 0; s < N_ORDER_STATES; s++)
	{
		bool		maps_flag = own_bool(tuple, WRAPPED(N_FACT_COLUMNS) + 2 + 2 * s);
		bool		maps_time = own_bool(tuple, WRAPPED(N_FACT_COLUMNS) + 3 + 2 * s);
		bool		reached;
		bool		isnull;
		TimestampTz at;

		(void) SPI_getbinval(tuple, SPI_tuptable->tupdesc, WRAPPED(FACT_STATE_AT + s), &isnull);
		at = own_time(tuple, WRAPPED(FACT_STATE_AT + s));
		if (!isnull && !facts_time_is_usable(at))
		{
			refuse(result, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE,
				   psprintf("%s is %s: times are within the years 1 to 9999",
							fact_columns[FACT_STATE_AT + s].name,
							TIMESTAMP_NOT_FINITE(at) ? "infinite" : "out of range"));
			return false;
		}

		if (maps_flag)
			reached = own_bool(tuple, WRAPPED(FACT_STATE + s));
		else if (maps_time)
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

static void
read_row(int32 shop_id, HeapTuple tuple, FactsResult *result)
{
	OrderFacts *facts = (OrderFacts *) palloc0(sizeof(OrderFacts));
	char	   *shop = own_text(tuple, WRAPPED(FACT_SHOP));
	bool		isnull;

	result->status = FACTS_FOUND;
	result->facts = facts;

	facts->order_id = own_text(tuple, WRAPPED(FACT_ORDER_ID));
	facts->customer_id = own_text(tuple, WRAPPED(FACT_CUSTOMER));
	facts->shop_id = shop_id;
	if (shop != NULL)
	{
		facts->shop_id = shop_lookup(shop, true);
		if (facts->shop_id == 0)
		{
			refuse(result, ERRCODE_UNDEFINED_OBJECT,
				   psprintf("the facts name shop \"%s\", which does not exist", shop));
			return;
		}
	}

	/* An empty id is nobody's, as NULL is. */
	if (facts->customer_id != NULL && facts->customer_id[0] == '\0')
		facts->customer_id = NULL;

	facts->refund_of = own_text(tuple, WRAPPED(FACT_REFUND_OF));
	if (!check_id(result, FACT_ORDER_ID, facts->order_id) ||
		!check_id(result, FACT_CUSTOMER, facts->customer_id) ||
		!check_id(result, FACT_REFUND_OF, facts->refund_of))
		return;

	if (!read_money(result, facts, tuple) ||
		!read_currency(result, facts, tuple) ||
		!read_states(result, facts, tuple))
		return;

	facts->channel = own_text(tuple, WRAPPED(FACT_CHANNEL));
	facts->staff = own_text(tuple, WRAPPED(FACT_STAFF));
	facts->referrer = own_text(tuple, WRAPPED(FACT_REFERRER));
	facts->close_reason = own_text(tuple, WRAPPED(FACT_CLOSE_REASON));
	facts->points_used = DatumGetInt64(own_copy(tuple, WRAPPED(FACT_POINTS_USED), &isnull));
	facts->has_points_used = !isnull;
	if (isnull)
		facts->points_used = 0;
	facts->attributes = own_copy(tuple, WRAPPED(FACT_ATTRIBUTES), &isnull);
	facts->has_attributes = !isnull;
}

typedef struct AskedId
{
	const char *order_id;
	int			position;
} AskedId;

static int
compare_asked(const void *a, const void *b)
{
	return strcmp(((const AskedId *) a)->order_id, ((const AskedId *) b)->order_id);
}

/*
 * Tell the rows of the current SPI result by the orders asked for.
 */
void
facts_from_result(int32 shop_id, char **order_ids, int norders, FactsResult *results)
{
	SPITupleTable *rows = SPI_tuptable;
	uint64		nrows = SPI_processed;
	AskedId    *asked = (AskedId *) palloc(norders * sizeof(AskedId));

	for (int i = 0; i < norders; i++)
	{
		asked[i].order_id = order_ids[i];
		asked[i].position = i;
		memset(&results[i], 0, sizeof(FactsResult));
	}
	if (norders > 1)
		qsort(asked, norders, sizeof(AskedId), compare_asked);

	for (uint64 r = 0; r < nrows; r++)
	{
		AskedId		key;
		AskedId    *found;
		FactsResult *result;

		key.order_id = own_text(rows->vals[r], WRAPPED(FACT_ORDER_ID));
		if (key.order_id == NULL)
			continue;
		found = (AskedId *) bsearch(&key, asked, norders, sizeof(AskedId), compare_asked);
		if (found == NULL)
			continue;

		result = &results[found->position];
		if (result->status != FACTS_ABSENT)
			refuse(result, ERRCODE_CARDINALITY_VIOLATION,
				   "the facts query gives more than one row for the order");
		else
			read_row(shop_id, rows->vals[r], result);
	}
}
