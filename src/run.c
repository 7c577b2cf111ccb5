/*
 * run.c
 *		run(): whatever has fallen due, each kind in a transaction of its own.
 *
 * Each step locks its customers in the order of their keys, and so does each
 * source while its orders are synced.  Two of them in one transaction would not:
 * a customer locked by the second may come before one that the first still
 * holds, and an order of both would end in a deadlock, which is the shop's order
 * as often as ours.
 */
#include "own_query.h"

#include "fmgr.h"
#include "miscadmin.h"

PG_FUNCTION_INFO_V1(run_due);

#define OF_EACH_SHOP(call) \
	"SELECT count(" call ")" \
	" FROM (SELECT shop_id, name FROM retention.shop ORDER BY shop_id OFFSET 0) AS s"

static OwnQuery sources = {"SELECT source_id FROM retention.source ORDER BY source_id", 0, {NULL}};

static OwnQuery accrual = {"SELECT retention.accrue_due($1, $2)", 2, {"int4", "timestamptz"}};

static OwnQuery steps[] = {
	{OF_EACH_SHOP("retention.expire_points($1, s.name)"), 1, {"timestamptz"}},
	{OF_EACH_SHOP("retention.run_joining(s.shop_id, $1)"), 1, {"timestamptz"}},
	{OF_EACH_SHOP("retention.run_referrals(s.shop_id, $1)"), 1, {"timestamptz"}},
	{"SELECT retention.run_tiers($1)", 1, {"timestamptz"}},
	{"SELECT retention.run_forecast($1)", 1, {"timestamptz"}},
	{"SELECT retention.run_tag_rules($1)", 1, {"timestamptz"}},
	{"SELECT retention.care_due($1)", 1, {"timestamptz"}},
	{"SELECT retention.campaign_due($1)", 1, {"timestamptz"}},
	{"SELECT retention.expire_messages($1)", 1, {"timestamptz"}},
	{"SELECT retention.notify_workers($1)", 1, {"timestamptz"}},

	/* Last, so that runs at the same time wait for each other no longer than this. */
	{"INSERT INTO retention.last_run (ran_for, finished_at)"
		" VALUES ($1, clock_timestamp())"
		" ON CONFLICT (only_row) DO UPDATE"
	" SET ran_for = EXCLUDED.ran_for, finished_at = EXCLUDED.finished_at", 1, {"timestamptz"}},
};

static void
take_step(OwnQuery *step, Datum *args, bool atomic)
{
	OwnContext	saved;

	CHECK_FOR_INTERRUPTS();
	own_begin(&saved);
	own_execute(step, args, NULL);
	own_end(&saved);
	if (!atomic)
		SPI_commit();
}

static int32 *
source_ids(int *n)
{
	OwnContext	saved;
	int32	   *ids;

	own_begin(&saved);
	*n = (int) own_execute(&sources, NULL, NULL);
	ids = (int32 *) palloc((*n + 1) * sizeof(int32));
	for (int i = 0; i < *n; i++)
		ids[i] = (int32) own_int64(SPI_tuptable->vals[i], 1);
	own_end(&saved);
	return ids;
}

/*
 * run(at): in a transaction of the caller's own, or called by a function, it is
 * all part of that.
 */
Datum
run_due(PG_FUNCTION_ARGS)
{
	Datum		at = PG_GETARG_DATUM(0);
	bool		atomic = fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
	castNode(CallContext, fcinfo->context)->atomic;
	int			nsources;
	int32	   *ids;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the moment to run for must not be null")));

	SPI_connect_ext(atomic ? 0 : SPI_OPT_NONATOMIC);
	ids = source_ids(&nsources);
	for (int i = 0; i < nsources; i++)
	{
		Datum		args[2] = {Int32GetDatum(ids[i]), at};

		take_step(&accrual, args, atomic);
	}
	for (size_t i = 0; i < lengthof(steps); i++)
		take_step(&steps[i], &at, atomic);
	SPI_finish();
	PG_RETURN_VOID();
}
