/*
 * queue_condition.c
 *		Whether the conditions of rules hold for the messages about to be
 *		handed out: one query for all messages of a rule.
 *
 * A condition is the shop's own SQL and may break, by a column that is gone or
 * a division by zero.  That must not stop the queue: the rule's messages wait
 * until it is mended, and the claim goes on with a warning.
 */
#include "queue.h"

#include "own_query.h"
#include "restricted.h"

#include "executor/spi.h"
#include "utils/builtins.h"

/* So long a message waits before a broken condition is tried again. */
#define BROKEN_WAIT (10 * USECS_PER_MINUTE)

static OwnQuery read_true_customers = {
	"SELECT k.no FROM unnest($5) WITH ORDINALITY AS k (customer_id, no)"
	" WHERE k.customer_id IN (SELECT w.customer_id"
	" FROM retention.customers_where($1, $2, $3, $4, $5, $6) AS w (customer_id))",
	6, {"int4", "text", "text", "timestamptz", "text[]", "text"}
};

static OwnQuery read_true_orders = {
	"SELECT k.no FROM unnest($7, $8) WITH ORDINALITY AS k (source_id, order_id, no)"
	" WHERE (k.source_id, k.order_id) IN (SELECT w.source_id, w.order_id"
	" FROM retention.purchases_where($1, $2, $3, $4, $5, $7, $8, $6) AS w)",
	8, {"int4", "text", "text", "timestamptz", "text[]", "text", "int4[]", "text[]"}
};

/* The messages of one rule. */
typedef struct ConditionCheck
{
	Claim	   *claim;
	QueueShop  *shop;
	QueueRule  *rule;
	Message   **chosen;
	int			n;
	bool	   *holds;
} ConditionCheck;

static void
evaluate_condition(void *arg)
{
	ConditionCheck *check = (ConditionCheck *) arg;
	QueueRule  *rule = check->rule;
	Datum		args[8];
	char		nulls[8] = {' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '};
	uint64		nrows;

	args[0] = Int32GetDatum(check->shop->shop_id);
	args[1] = CStringGetTextDatum(rule->condition);
	args[2] = rule->condition_by ? CStringGetTextDatum(rule->condition_by) : (Datum) 0;
	nulls[2] = rule->condition_by ? ' ' : 'n';
	args[3] = TimestampTzGetDatum(check->claim->at);
	args[4] = TEXTS_OF(check->chosen, check->n, customer_id);
	args[5] = CStringGetTextDatum(psprintf("the condition of care rule \"%s\"", rule->name));
	if (rule->of_order)
	{
		args[6] = queue_sources_of(check->chosen, check->n);
		args[7] = TEXTS_OF(check->chosen, check->n, order_id);
		nrows = own_execute(&read_true_orders, args, nulls);
	}
	else
		nrows = own_execute(&read_true_customers, args, nulls);

	memset(check->holds, 0, check->n * sizeof(bool));
	for (uint64 i = 0; i < nrows; i++)
		check->holds[own_int64(SPI_tuptable->vals[i], 1) - 1] = true;
}

/* One warning in a claim, however many of the rule's messages it meets. */
static void
warn_of_broken(QueueRule *rule, const ErrorData *error)
{
	rule->broken = pstrdup(error->message);
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("%s", error->message),
			 error->detail ? errdetail("%s", error->detail) : 0,
			 errhint("The messages of rule \"%s\" wait until its condition is mended.", rule->name)));
}

static void
check_rule(ConditionCheck *check)
{
	if (check->rule->broken == NULL)
	{
		ErrorData  *error = restricted_run_guarded(evaluate_condition, check);

		if (error != NULL && restricted_must_raise(error))
			ReThrowError(error);
		if (error != NULL)
			warn_of_broken(check->rule, error);
	}

	for (int i = 0; i < check->n; i++)
	{
		Message    *message = check->chosen[i];

		if (check->rule->broken != NULL)
		{
			queue_put_off(message, check->claim->at + BROKEN_WAIT, REASON_BROKEN);
			message->error = check->rule->broken;
		}
		else if (!check->holds[i])
			queue_refuse(message, VERDICT_SKIPPED, REASON_CONDITION);
	}
}

void
queue_check_conditions(Claim *claim, QueueShop *shop, Message *messages, int nmessages)
{
	ConditionCheck check;

	check.claim = claim;
	check.shop = shop;
	check.chosen = (Message **) palloc(Max(nmessages, 1) * sizeof(Message *));
	check.holds = (bool *) palloc(Max(nmessages, 1) * sizeof(bool));
	for (int r = 0; r < shop->nrules; r++)
	{
		check.rule = &shop->rules[r];
		if (check.rule->condition == NULL)
			continue;
		check.n = 0;
		for (int i = 0; i < nmessages; i++)
		{
			if (messages[i].verdict == VERDICT_NONE && messages[i].rule == check.rule)
				check.chosen[check.n++] = &messages[i];
		}
		if (check.n > 0)
			check_rule(&check);
	}
}
