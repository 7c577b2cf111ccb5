/*
 * condition.c
 *		SQL conditions over customers: what audiences, tag rules and care rules
 *		choose by.
 *
 * A condition is text: one boolean expression over a row of customer_details,
 * named customers, and where it is about an order over one of orders, named
 * purchase.  It is evaluated for many customers by one query, as the role that
 * wrote it: whoever asks lends it no rights.  A superuser's condition runs as
 * retention_reader, so that a mistake in it has no power either.
 *
 * It can change nothing: the transaction is read-only while it runs, the
 * operation is restricted as that of an index's function is, and it may call
 * only functions that are not volatile and that an administrator installed.
 * What a query does not show, such as the constraint of a domain inside a row
 * type, is still run under the first two, as the writer.
 * Its text is parsed alone before it is put into a query, each time, as what
 * is one expression may depend on settings.
 */
#include "condition.h"

#include "own_query.h"
#include "restricted.h"
#include "retention.h"
#include "shop.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tstoreReceiver.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "tcop/dest.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(check_condition);
PG_FUNCTION_INFO_V1(customers_where);
PG_FUNCTION_INFO_V1(purchases_where);

/* One audience may name another, and that a third; a circle has no end. */
#define MAX_NESTED_CONDITIONS 16

/* The order's customer and shop are the customer's: they are named once. */
#define PURCHASE_ROW \
	" JOIN LATERAL (SELECT o.source_id, o.order_id, o.placed_at, o.paid_at, o.shipped_at," \
	" o.delivered_at, o.completed_at, o.closed_at, o.total, o.paid, o.refunded, o.value," \
	" o.currency, o.channel, o.staff, o.referrer, o.points_used, o.close_reason," \
	" o.is_refund, o.attributes FROM retention.orders AS o" \
	" WHERE o.shop_id = customers.shop_id AND o.customer_id = customers.customer_id) AS purchase ON true"

/* ----------
 * As whom
 * ----------
 */

const char *
condition_writer(void)
{
	return GetUserNameFromId(GetUserId(), false);
}

static Oid
condition_role(const Condition *condition)
{
	Oid			role;

	if (condition->role == NULL)
		return get_role_oid("retention_reader", false);
	role = get_role_oid(condition->role, true);
	if (!OidIsValid(role))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role \"%s\", who wrote it, does not exist any more", condition->role),
				 errhint("Write the condition anew as a role that exists.")));
	if (superuser_arg(role))
		return get_role_oid("retention_reader", false);
	return role;
}

static void
pin(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/* What the text means must not depend on who asks, nor how it is run. */
static void
pin_settings(const char *time_zone)
{
	pin("search_path", "pg_catalog, pg_temp");
	pin("standard_conforming_strings", "on");
	pin("transform_null_equals", "off");
	pin("DateStyle", "ISO, YMD");
	pin("IntervalStyle", "postgres");

	/* What it looks up of each customer counts as dear, and would be compiled. */
	pin("jit", "off");
	if (time_zone != NULL)
		pin("TimeZone", time_zone);
}

/* ----------
 * What it may not do
 * ----------
 */

static void
refuse(const char *message, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("%s", message),
			 errhint("%s", hint)));
}

static bool
check_function(Oid function, void *context)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc proc;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	proc = (Form_pg_proc) GETSTRUCT(tuple);
	if (proc->provolatile == PROVOLATILE_VOLATILE)
		refuse(psprintf("it calls function %s, which is volatile", format_procedure(function)),
			   "A condition only reads: it calls functions that are stable or immutable. To take a sample, compare hashtext(customer_id).");
	if (!superuser_arg(proc->proowner) || isAnyTempNamespace(proc->pronamespace))
		refuse(psprintf("it calls function %s of role \"%s\"", format_procedure(function),
						GetUserNameFromId(proc->proowner, false)),
			   "A condition calls functions that come with PostgreSQL or with an extension, or that belong to a superuser.");
	ReleaseSysCache(tuple);
	return false;
}

static void
check_domain(Oid type)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", type);
	owner = ((Form_pg_type) GETSTRUCT(tuple))->typowner;
	ReleaseSysCache(tuple);
	if (!superuser_arg(owner))
		refuse(psprintf("it uses domain %s of role \"%s\"", format_type_be(type),
						GetUserNameFromId(owner, false)),
			   "A domain's constraints are code that is run: use the type it is over.");
}

/* Over the query as rewritten: what views call is called too. */
static bool
check_node(Node *node, void *context)
{
	if (node == NULL)
		return false;
	check_stack_depth();
	if (check_functions_in_node(node, check_function, context))
		return true;
	if (IsA(node, CoerceToDomain))
		check_domain(((CoerceToDomain *) node)->resulttype);
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_RELATION && get_rel_persistence(rte->relid) == RELPERSISTENCE_TEMP)
			refuse(psprintf("it reads \"%s\", which is a temporary table", get_rel_name(rte->relid)),
				   "Others who evaluate the condition have no such table: use a permanent one.");
		return false;
	}
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;

		if (query->commandType != CMD_SELECT || query->rowMarks != NIL || query->hasModifyingCTE)
			refuse("it does more than read", "A condition neither changes nor locks rows.");
		return query_tree_walker(query, check_node, context, QTW_EXAMINE_RTES_BEFORE);
	}
	return expression_tree_walker(node, check_node, context);
}

static void
check_plan(SPIPlanPtr plan)
{
	ListCell   *source;

	foreach(source, SPI_plan_get_plan_sources(plan))
	{
		ListCell   *query;

		foreach(query, ((CachedPlanSource *) lfirst(source))->query_list)
			(void) check_node((Node *) lfirst(query), NULL);
	}
}

/* ----------
 * Running it
 * ----------
 */

/* The parameters of the query that evaluates a condition, and who takes its rows. */
typedef struct ConditionRun
{
	int			nparams;
	Oid			types[4];
	Datum		values[4];
	bool		nulls[4];
	DestReceiver *dest;
} ConditionRun;

static SPIPlanPtr
prepare(const char *query, int nparams, Oid *types)
{
	SPIPlanPtr	plan = SPI_prepare(query, nparams, types);

	if (plan == NULL)
		elog(ERROR, "could not prepare a condition: %s", SPI_result_code_string(SPI_result));
	check_plan(plan);
	return plan;
}

/*
 * The text alone first, in a query without parameters, as it has none; LIMIT 0
 * asks for all rights and computes nothing.
 */
static void
try_condition(const Condition *condition)
{
	const char *query = psprintf("SELECT FROM retention.customer_details AS customers%s WHERE (%s\n) LIMIT 0",
								 condition->of_purchase ? PURCHASE_ROW : "", condition->text);

	(void) SPI_execute_plan(prepare(query, 0, NULL), NULL, NULL, true, 0);
}

static void
run_condition(const Condition *condition, ConditionRun *run)
{
	const char *query = condition->of_purchase ?
		psprintf("SELECT purchase.source_id, purchase.order_id"
				 " FROM retention.customer_details AS customers" PURCHASE_ROW
				 " WHERE customers.shop_id = $1 AND customers.customer_id = ANY ($2)"
				 " AND (purchase.source_id, purchase.order_id) IN (SELECT * FROM unnest($3, $4))"
				 " AND (%s\n)", condition->text) :
		psprintf("SELECT customers.customer_id FROM retention.customer_details AS customers"
				 " WHERE customers.shop_id = $1 AND customers.forgotten_at IS NULL%s AND (%s\n)",
				 run->nulls[1] ? "" : " AND customers.customer_id = ANY ($2)", condition->text);
	ParamListInfo params = makeParamList(run->nparams);
	SPIExecuteOptions options;

	for (int i = 0; i < run->nparams; i++)
	{
		params->params[i].value = run->values[i];
		params->params[i].isnull = run->nulls[i];
		params->params[i].pflags = PARAM_FLAG_CONST;
		params->params[i].ptype = run->types[i];
	}
	memset(&options, 0, sizeof(options));
	options.params = params;
	options.read_only = true;
	options.dest = run->dest;
	(void) SPI_execute_plan_extended(prepare(query, run->nparams, run->types), &options);
}

static void
raise_named(const Condition *condition, const ErrorData *error)
{
	ereport(ERROR,
			(errcode(error->sqlerrcode),
			 errmsg("%s does not work: %s", condition->what, error->message),
			 errdetail("The condition is: %s", condition->text),
			 error->hint ? errhint("%s", error->hint) :
			 error->sqlerrcode == ERRCODE_UNDEFINED_FUNCTION ?
			 errhint("Name functions and operators outside pg_catalog with their schema: the search path is not followed here.") :
			 error->sqlerrcode == ERRCODE_INSUFFICIENT_PRIVILEGE ?
			 errhint("It is evaluated as the role that wrote it, and as retention_reader where that is a superuser: that role needs the right.") :
			 error->sqlerrcode == ERRCODE_UNDEFINED_TABLE || error->sqlerrcode == ERRCODE_UNDEFINED_COLUMN ?
			 errhint("It speaks of a row of retention.customer_details%s; other tables are named with their schema, in a subquery.",
					 condition->of_purchase ? ", and of the order as purchase" : "") :
			 0));
}

/* Check the condition, or with run evaluate it, as its role. */
static void
evaluate(const Condition *condition, const char *time_zone, TimestampTz at, ConditionRun *run)
{
	static int	nested = 0;
	MemoryContext caller = CurrentMemoryContext;
	RestrictedContext saved;

	if (nested >= MAX_NESTED_CONDITIONS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_RECURSION),
				 errmsg("%s does not work: conditions name one another in a circle", condition->what),
				 errdetail("The condition is: %s", condition->text)));

	restricted_save(&saved);
	SPI_connect();
	nested++;
	PG_TRY();
	{
		pin_settings(time_zone);
		if (at != NO_TIME)
			retention_set_clock(at);
		restricted_enter(condition_role(condition), 0);
		restricted_check_expression(condition->text);
		if (run != NULL)
			run_condition(condition, run);
		else
			try_condition(condition);
		nested--;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		nested--;
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		if (restricted_must_raise(error) || error->sqlerrcode == ERRCODE_INVALID_RECURSION)
			PG_RE_THROW();
		FlushErrorState();
		raise_named(condition, error);
	}
	PG_END_TRY();
	restricted_leave(&saved);
	SPI_finish();
}

void
condition_check(const Condition *condition)
{
	evaluate(condition, NULL, NO_TIME, NULL);
}

/* ----------
 * SQL functions
 * ----------
 */

/*
 * check_condition(condition text, of_purchase boolean, what text) -> text: an
 * error unless it is a condition that the calling role may write; returns that
 * role's name.  NULL, no condition, gives NULL.
 */
Datum
check_condition(PG_FUNCTION_ARGS)
{
	Condition	condition;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	condition.text = text_to_cstring(PG_GETARG_TEXT_PP(0));
	condition.role = condition_writer();
	condition.of_purchase = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	condition.what = PG_ARGISNULL(2) ? "the condition" : text_to_cstring(PG_GETARG_TEXT_PP(2));
	condition_check(&condition);
	PG_RETURN_TEXT_P(cstring_to_text(condition.role));
}

/*
 * What both have in common: shop_id, condition, role and at come first, what
 * comes last.
 */
static void
evaluate_into_result(FunctionCallInfo fcinfo, bool of_purchase)
{
	int			what = PG_NARGS() - 1;
	Condition	condition;
	ConditionRun run;
	ReturnSetInfo *rsinfo;
	int32		shop_id;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		return;
	shop_id = PG_GETARG_INT32(0);
	condition.text = text_to_cstring(PG_GETARG_TEXT_PP(1));
	condition.role = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	condition.what = PG_ARGISNULL(what) ? "the condition" : text_to_cstring(PG_GETARG_TEXT_PP(what));
	condition.of_purchase = of_purchase;

	memset(&run, 0, sizeof(run));
	run.types[0] = INT4OID;
	run.types[1] = TEXTARRAYOID;
	run.types[2] = INT4ARRAYOID;
	run.types[3] = TEXTARRAYOID;
	run.nparams = of_purchase ? 4 : 2;
	run.values[0] = Int32GetDatum(shop_id);
	for (int i = 1; i < run.nparams; i++)
	{
		run.nulls[i] = PG_ARGISNULL(3 + i);
		run.values[i] = PG_ARGISNULL(3 + i) ? (Datum) 0 : PG_GETARG_DATUM(3 + i);
	}
	run.dest = CreateDestReceiver(DestTuplestore);
	SetTuplestoreDestReceiverParams(run.dest, rsinfo->setResult,
									rsinfo->econtext->ecxt_per_query_memory, true, NULL, NULL);
	evaluate(&condition, shop_settings(shop_id)->time_zone,
			 PG_ARGISNULL(3) ? NO_TIME : PG_GETARG_TIMESTAMPTZ(3), &run);
	run.dest->rDestroy(run.dest);
}

/*
 * customers_where(shop_id, condition, role, at, customers text[], what): the
 * customers of the shop, or of those named, for whom it is true.
 */
Datum
customers_where(PG_FUNCTION_ARGS)
{
	evaluate_into_result(fcinfo, false);
	return (Datum) 0;
}

/*
 * purchases_where(shop_id, condition, role, at, customers text[], source_ids
 * integer[], order_ids text[], what): the orders of those named for which it
 * is true; customers are whose orders they are.
 */
Datum
purchases_where(PG_FUNCTION_ARGS)
{
	evaluate_into_result(fcinfo, true);
	return (Datum) 0;
}
