/*
 * queue_preview.c
 *		What would become of messages that are not queued yet, were they claimed
 *		at some moment: the checks of a claim, without taking or writing anything.
 */
#include "queue.h"

#include "own_query.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(preview_messages);

static void
put_outcome(Claim *claim, Message *message)
{
	Datum		values[4];
	bool		nulls[4] = {false};

	values[0] = CStringGetTextDatum(message->customer_id);
	values[1] = CStringGetTextDatum(message->verdict == VERDICT_NONE ? "send" :
									message->verdict == VERDICT_PUT_OFF ? "put off" : "skip");
	nulls[2] = message->reason == NULL;
	values[2] = message->reason ? CStringGetTextDatum(message->reason) : (Datum) 0;
	nulls[3] = message->segments == 0;
	values[3] = Int32GetDatum(message->segments);
	tuplestore_putvalues(claim->result->setResult, claim->result->setDesc, values, nulls);
}

/*
 * preview_messages(shop_id, customers, rule, subject, channel, purpose,
 * ignores_caps, at) -> customer_id, outcome, reason, segments
 */
Datum
preview_messages(PG_FUNCTION_ARGS)
{
	Claim		claim;
	QueueRule	rule;
	OwnContext	saved;
	QueueShop  *shop;
	Message    *messages;
	Datum	   *customers;
	int			nmessages;
	int			nshops;
	char	   *subject = text_to_cstring(PG_GETARG_TEXT_PP(3));
	char	   *purpose = text_to_cstring(PG_GETARG_TEXT_PP(5));

	memset(&claim, 0, sizeof(claim));
	claim.channel = text_to_cstring(PG_GETARG_TEXT_PP(4));
	claim.by_people = queue_is_by_people(claim.channel);
	claim.at = PG_GETARG_TIMESTAMPTZ(7);

	memset(&rule, 0, sizeof(rule));
	rule.name = text_to_cstring(PG_GETARG_TEXT_PP(2));
	rule.event = "campaign";
	rule.enabled = true;
	rule.ignores_caps = PG_GETARG_BOOL(6);

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT,
					  &customers, NULL, &nmessages);
	messages = (Message *) palloc0(Max(nmessages, 1) * sizeof(Message));
	for (int i = 0; i < nmessages; i++)
	{
		messages[i].customer_id = TextDatumGetCString(customers[i]);
		messages[i].rule_name = rule.name;
		messages[i].subject = subject;
		messages[i].purpose = purpose;
		messages[i].due_at = claim.at;
		messages[i].expires_at = DT_NOEND;
		messages[i].rule = &rule;
	}

	InitMaterializedSRF(fcinfo, 0);
	claim.result = (ReturnSetInfo *) fcinfo->resultinfo;
	own_begin(&saved);
	SPI_connect();
	shop = queue_load_shops(PG_GETARG_INT32(0), claim.at, &nshops);
	if (nshops == 1)
	{
		queue_load_limits(&claim, shop);
		for (int i = 0; i < nmessages; i++)
			queue_check_message(&claim, shop, &messages[i]);
		queue_check_facts(&claim, shop, messages, nmessages);
		queue_check_suppression(&claim, shop, messages, nmessages);
		queue_render(&claim, shop, messages, nmessages);
		for (int i = 0; i < shop->ncaps; i++)
			queue_check_cap(&claim, shop, &shop->caps[i], messages, nmessages);
		for (int i = 0; i < nmessages; i++)
			put_outcome(&claim, &messages[i]);
	}
	SPI_finish();
	own_end(&saved);
	return (Datum) 0;
}
