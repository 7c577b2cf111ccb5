/*
 * source_facts.c
 *		Running the shop's SQL under guard, and reading facts with it.
 *
 * A source's facts query is SQL text that the shop owns; it is planned when it
 * is used, so that the shop's own DDL never meets a dependency of ours.  It
 * runs as the owner of the source's first watched table, as referential
 * integrity checks do, read-only and as a security-restricted operation.
 */
#include "source.h"

#include <ctype.h>

#include "own_query.h"
#include "restricted.h"
#include "shop.h"
#include "stored_facts.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

/* ----------
 * Running the shop's SQL
 * ----------
 */

static Oid
facts_owner(Source *source)
{
	HeapTuple	tuple;
	Oid			owner;

	if (!OidIsValid(source->facts_relid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("source \"%s\" watches no table", source->sync.name),
				 errhint("SELECT retention.watch(%s, 'schema.table', order_id => '...').",
						 quote_literal_cstr(source->sync.name))));
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(source->facts_relid));
	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg(source->kind < N_SYNCED_KINDS ?
						"the first watched table of source \"%s\" does not exist any more" :
						"the table of source \"%s\" does not exist any more", source->sync.name),
				 errhint("SELECT retention.detach(%s) and attach it anew.",
						 quote_literal_cstr(source->sync.name))));
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* As referential integrity checks do: the owner's own row security is not forced. */
static void
facts_enter(Source *source)
{
	restricted_enter(facts_owner(source), SECURITY_NOFORCE_RLS);
}

/*
 * Run the shop's SQL, as the facts' owner and read-only; errors are raised.
 */
void
source_run(Source *source, GuardedWork work, void *arg)
{
	RestrictedContext saved;

	restricted_save(&saved);
	facts_enter(source);
	work(source, arg);
	restricted_leave(&saved);
}

typedef struct FactsWork
{
	Source	   *source;
	GuardedWork work;
	void	   *arg;
} FactsWork;

static void
enter_and_work(void *arg)
{
	FactsWork  *facts = (FactsWork *) arg;

	facts_enter(facts->source);
	facts->work(facts->source, facts->arg);
}

/*
 * Run the shop's SQL in a subtransaction, as the facts' owner and read-only.
 * Returns NULL, or the error as it would have been raised; with on_error =
 * 'raise' it is.  What work allocates in the caller's context stays.
 */
ErrorData *
source_run_guarded(Source *source, GuardedWork work, void *arg)
{
	FactsWork	facts = {source, work, arg};
	ErrorData  *error = restricted_run_guarded(enter_and_work, &facts);

	if (error != NULL &&
		(restricted_must_raise(error) || shop_settings(source->sync.shop_id)->raise_errors))
		ReThrowError(error);
	return error;
}

/* ----------
 * Facts
 * ----------
 */

static Oid
operator_namespace(Oid operator)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	Oid			namespace;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", operator);
	namespace = ((Form_pg_operator) GETSTRUCT(tuple))->oprnamespace;
	ReleaseSysCache(tuple);
	return namespace;
}

/* The facts query with its columns in their known order and types. */
static char *
wrap_facts(Source *source)
{
	if (source->kind != SOURCE_ORDERS)
	{
		Oid			types[MAX_STORED_COLUMNS];
		char	   *wrapped = stored_facts_wrap(source, types);

		source->id_type = types[0];
		return wrapped;
	}

	facts_describe(source->facts, &source->columns);
	facts_owner_columns(&source->columns, &source->owner_columns);
	source->id_type = source->columns.type[FACT_ORDER_ID];
	source->sync.maps_completed = facts_maps_state(&source->columns, ORDER_COMPLETED);
	source->sync.maps_refund_of = source->columns.type[FACT_REFUND_OF] != InvalidOid;
	return facts_wrap(source->facts, &source->columns);
}

/* The wrapped facts of the keys that a condition on one parameter finds. */
static SPIPlanPtr
prepare_lookup(Source *source, const char *wrapped, const char *condition, Oid type)
{
	SPIPlanPtr	plan;

	plan = SPI_prepare_cursor(psprintf("%s WHERE f.%s %s", wrapped, source_key_column(source), condition),
							  1, &type, CURSOR_OPT_GENERIC_PLAN);
	if (plan == NULL)
		elog(ERROR, "could not prepare the facts of source \"%s\": %s", source->sync.name,
			 SPI_result_code_string(SPI_result));
	return plan;
}

void
source_prepare_facts(Source *source, void *arg)
{
	char	   *wrapped;
	Oid			array_type;
	Oid			equals;
	char	   *equals_name;
	char	   *equals_any;
	SPIPlanPtr	one;
	SPIPlanPtr	many;
	SPIPlanPtr	owners = NULL;

	if (source->one.plan != NULL)
		return;

	/* By the id type's own equality: a cast in the filter would hide its index. */
	wrapped = wrap_facts(source);
	array_type = get_array_type(source->id_type);
	equals = lookup_type_cache(source->id_type, TYPECACHE_EQ_OPR)->eq_opr;
	equals_name = psprintf("OPERATOR(%s.%s)", quote_identifier(get_namespace_name(operator_namespace(equals))),
						   get_opname(equals));
	equals_any = psprintf("%s ANY ($1)", equals_name);
	one = prepare_lookup(source, wrapped, psprintf("%s $1", equals_name), source->id_type);
	many = prepare_lookup(source, wrapped, equals_any, array_type);
	if (source->kind == SOURCE_ORDERS)
		owners = prepare_lookup(source, facts_wrap(source->facts, &source->owner_columns),
								equals_any, array_type);

	SPI_keepplan(one);
	SPI_keepplan(many);
	if (owners != NULL)
		SPI_keepplan(owners);
	source->one.plan = one;
	source->many.plan = many;
	source->owners.plan = owners;
}

int
source_plan_begin(const FactsPlan *plan)
{
	return plan->planned ? 0 : own_planner_begin();
}

void
source_plan_end(FactsPlan *plan, int guc_level)
{
	if (!plan->planned)
		own_planner_end(guc_level);
	plan->planned = true;
}

char *
source_list_query(Source *source)
{
	FactsColumns columns;

	if (source->kind != SOURCE_ORDERS)
		return stored_facts_list_query(source);
	facts_describe(source->facts, &columns);
	return facts_list_query(source->facts, &columns);
}

Datum
source_key_datum(Source *source, char *order_id)
{
	Oid			input;
	Oid			ioparam;

	getTypeInputInfo(source->id_type, &input, &ioparam);
	return OidInputFunctionCall(input, order_id, ioparam, -1);
}

/*
 * Whether a text can be a key of the facts; where only its input function knows,
 * true.
 */
bool
source_may_have_key(Source *source, const char *key)
{
	const char *p = key;
	int			digits = 0;

	switch (source->id_type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			{
				int64		limit = source->id_type == INT2OID ? PG_INT16_MAX :
					source->id_type == INT4OID ? PG_INT32_MAX : PG_INT64_MAX;
				int64		value;

				if (*p == '-')
					p++;
				if (*p == '\0' || strspn(p, "0123456789") != strlen(p))
					return false;
				errno = 0;
				value = strtoll(key, NULL, 10);
				return errno == 0 && value <= limit && value >= -limit - 1;
			}
		case UUIDOID:
			for (; *p != '\0'; p++)
			{
				if (isxdigit((unsigned char) *p))
					digits++;
				else if (*p != '-')
					return false;
			}
			return digits == 32;
		default:
			return true;
	}
}

Datum
source_key_array(Source *source, char **keys, int nkeys)
{
	Datum	   *ids = (Datum *) palloc(Max(nkeys, 1) * sizeof(Datum));
	FmgrInfo	input;
	Oid			function;
	Oid			ioparam;
	int16		typlen;
	bool		typbyval;
	char		typalign;

	getTypeInputInfo(source->id_type, &function, &ioparam);
	fmgr_info(function, &input);
	for (int i = 0; i < nkeys; i++)
		ids[i] = InputFunctionCall(&input, keys[i], ioparam, -1);
	get_typlenbyvalalign(source->id_type, &typlen, &typbyval, &typalign);
	return PointerGetDatum(construct_array(ids, nkeys, source->id_type,
										   typlen, typbyval, typalign));
}

typedef struct ReadKeys
{
	char	  **keys;
	int			nkeys;
	int			first;			/* number of the first key among all */
	SourceRead *read;
} ReadKeys;

static void
run_facts(Source *source, void *arg)
{
	ReadKeys   *read = (ReadKeys *) arg;
	FactsPlan  *plan;
	Datum		param;
	int			guc_level;
	int			result;

	source_prepare_facts(source, NULL);
	if (read->nkeys == 1 && !read->read->owners_only)
	{
		plan = &source->one;
		param = source_key_datum(source, read->keys[0]);
	}
	else
	{
		plan = read->read->owners_only ? &source->owners : &source->many;
		param = source_key_array(source, read->keys, read->nkeys);
	}

	guc_level = source_plan_begin(plan);
	result = own_execute_latest(plan->plan, &param, NULL);
	source_plan_end(plan, guc_level);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "facts query of source \"%s\" failed: %s", source->sync.name,
			 SPI_result_code_string(result));

	read->read->take(source, read->keys, read->nkeys, read->read->results, read->first);
}

void
source_read(Source *source, char **keys, int nkeys, SourceRead *read)
{
	ReadKeys	all = {keys, nkeys, 0, read};
	ErrorData  *error = source_run_guarded(source, run_facts, &all);

	/* The shop's tables may have changed under the plan: make a new one. */
	if (error != NULL)
	{
		source_forget_plans(source);
		error = source_run_guarded(source, run_facts, &all);
	}
	if (error == NULL)
		return;

	/* One bad row must not keep the others back. */
	for (int i = 0; i < nkeys; i++)
	{
		ReadKeys	one = {&keys[i], 1, i, read};

		if (nkeys > 1)
			error = source_run_guarded(source, run_facts, &one);
		if (error != NULL)
			read->fail(read->results, i, error);
	}
}

static void
take_orders(Source *source, char **keys, int nkeys, void *results, int i)
{
	facts_from_result(&source->columns, source->sync.shop_id, keys, nkeys, (FactsResult *) results + i);
}

static void
take_owners(Source *source, char **keys, int nkeys, void *results, int i)
{
	facts_from_result(&source->owner_columns, source->sync.shop_id, keys, nkeys, (FactsResult *) results + i);
}

static void
fail_order(void *results, int i, const ErrorData *error)
{
	FactsResult *result = (FactsResult *) results + i;

	memset(result, 0, sizeof(FactsResult));
	result->status = FACTS_FAILED;
	strlcpy(result->sqlstate, unpack_sql_state(error->sqlerrcode), sizeof(result->sqlstate));
	result->message = pstrdup(error->message ? error->message : "unknown error");
}

void
source_read_orders(SyncSource *sync, char **order_ids, int norders,
				   bool owners_only, FactsResult *results)
{
	SourceRead	read = {owners_only ? take_owners : take_orders, fail_order, results, owners_only};

	source_read((Source *) sync, order_ids, norders, &read);
}
