/*
 * delivery.c
 *		What became of a claimed message: sent, failed, held longer or given
 *		back, as the worker that holds its token reports.
 */
#include "queue.h"

#include "own_query.h"
#include "retention.h"

#include "common/pg_prng.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(mark_sent);
PG_FUNCTION_INFO_V1(mark_failed);
PG_FUNCTION_INFO_V1(extend_lease);
PG_FUNCTION_INFO_V1(release_message);

#define BACKOFF_SECONDS 30
#define BACKOFF_MAX_SECONDS 3600

static OwnQuery set_sent = {
	"UPDATE retention.care_message m"
	" SET state = 'sent', sent_at = $3, counted_at = CASE WHEN m.counted_at IS NOT NULL THEN $3 END,"
	" provider_id = $2, held_until = NULL, last_error = NULL, changed_at = $3,"
	" reason = CASE WHEN m.state <> 'claimed' THEN 'sent before it was taken back: ' || coalesce(m.reason, m.state) END"
	" WHERE m.token = $1 AND m.state IN ('claimed', 'cancelled', 'skipped')"
	" RETURNING m.reason IS NOT NULL",
	3, {"uuid", "text", "timestamptz"}
};

static OwnQuery set_failed = {
	"UPDATE retention.care_message m"
	" SET state = CASE WHEN $3 OR m.attempts >= s.care_max_attempts THEN 'failed' ELSE 'queued' END,"
	" reason = CASE WHEN $3 THEN '" REASON_PERMANENT "'"
	" WHEN m.attempts >= s.care_max_attempts THEN '" REASON_GAVE_UP "' ELSE '" REASON_RETRY "' END,"
	" held_until = CASE WHEN NOT $3 AND m.attempts < s.care_max_attempts THEN"
	" $4 + make_interval(secs => $5 * least($6, $7 * power(2, m.attempts - 1))) END,"
	" token = NULL, counted_at = NULL, last_error = $2, changed_at = $4"
	" FROM retention.shop s"
	" WHERE m.token = $1 AND m.state = 'claimed' AND s.shop_id = m.shop_id"
	" RETURNING m.state",
	7, {"uuid", "text", "bool", "timestamptz", "float8", "float8", "float8"}
};

static OwnQuery set_lease = {
	"UPDATE retention.care_message m SET held_until = $2"
	" WHERE m.token = $1 AND m.state = 'claimed'",
	2, {"uuid", "timestamptz"}
};

static OwnQuery set_released = {
	"UPDATE retention.care_message m"
	" SET state = 'queued', held_until = NULL, token = NULL, worker = NULL, counted_at = NULL,"
	" attempts = greatest(m.attempts - 1, 0), changed_at = $2"
	" WHERE m.token = $1 AND m.state = 'claimed'",
	2, {"uuid", "timestamptz"}
};

static OwnQuery read_state = {
	"SELECT m.state, m.reason IS NOT NULL FROM retention.care_message m WHERE m.token = $1",
	1, {"uuid"}
};

/* The end of a lease; one that has already ended would be no lease. */
TimestampTz
delivery_lease_end(TimestampTz at, Interval *lease)
{
	TimestampTz ends = queue_add_interval(at, lease);

	if (ends <= at)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a lease must be longer than nothing")));
	return ends;
}

/* What a token that is not good for the statement tried is good for. */
static const char *
state_of_token(Datum token)
{
	const char *state = "refused";

	if (own_execute(&read_state, &token, NULL) == 1)
	{
		char	   *found = own_text(SPI_tuptable->vals[0], 1);

		if (text_equal(found, "sent"))
			state = own_bool(SPI_tuptable->vals[0], 2) ? "cancelled" : "sent";
		else if (text_equal(found, "cancelled") || text_equal(found, "skipped"))
			state = "cancelled";
	}
	return state;
}

Datum
mark_sent(PG_FUNCTION_ARGS)
{
	OwnContext	saved;
	Datum		args[3];
	char		nulls[3] = {' ', ' ', ' '};
	const char *outcome;

	queue_check_not_null(fcinfo, 0, "token");
	queue_check_not_null(fcinfo, 2, "at");
	args[0] = PG_GETARG_DATUM(0);
	args[1] = PG_GETARG_DATUM(1);
	nulls[1] = PG_ARGISNULL(1) ? 'n' : ' ';
	args[2] = PG_GETARG_DATUM(2);

	own_begin(&saved);
	SPI_connect();
	if (own_execute(&set_sent, args, nulls) == 1)
		outcome = own_bool(SPI_tuptable->vals[0], 1) ? "cancelled" : "sent";
	else
		outcome = state_of_token(args[0]);
	SPI_finish();
	own_end(&saved);
	PG_RETURN_TEXT_P(cstring_to_text(outcome));
}

Datum
mark_failed(PG_FUNCTION_ARGS)
{
	OwnContext	saved;
	Datum		args[7];
	char		nulls[7] = {' ', ' ', ' ', ' ', ' ', ' ', ' '};
	const char *outcome;

	queue_check_not_null(fcinfo, 0, "token");
	queue_check_not_null(fcinfo, 2, "permanent");
	queue_check_not_null(fcinfo, 3, "at");
	args[0] = PG_GETARG_DATUM(0);
	args[1] = PG_GETARG_DATUM(1);
	nulls[1] = PG_ARGISNULL(1) ? 'n' : ' ';
	args[2] = PG_GETARG_DATUM(2);
	args[3] = PG_GETARG_DATUM(3);

	/* Workers that failed together should not come back together. */
	args[4] = Float8GetDatum(0.5 + pg_prng_double(&pg_global_prng_state));
	args[5] = Float8GetDatum(BACKOFF_MAX_SECONDS);
	args[6] = Float8GetDatum(BACKOFF_SECONDS);

	own_begin(&saved);
	SPI_connect();
	if (own_execute(&set_failed, args, nulls) == 1)
	{
		char	   *state = own_text(SPI_tuptable->vals[0], 1);

		outcome = text_equal(state, "failed") ? "failed" : "queued";
	}
	else
		outcome = state_of_token(args[0]);
	SPI_finish();
	own_end(&saved);
	PG_RETURN_TEXT_P(cstring_to_text(outcome));
}

Datum
extend_lease(PG_FUNCTION_ARGS)
{
	OwnContext	saved;
	Datum		args[2];
	bool		done;

	queue_check_not_null(fcinfo, 0, "token");
	queue_check_not_null(fcinfo, 1, "lease");
	queue_check_not_null(fcinfo, 2, "at");
	args[0] = PG_GETARG_DATUM(0);
	args[1] = TimestampTzGetDatum(delivery_lease_end(PG_GETARG_TIMESTAMPTZ(2), PG_GETARG_INTERVAL_P(1)));

	own_begin(&saved);
	SPI_connect();
	done = own_execute(&set_lease, args, NULL) == 1;
	SPI_finish();
	own_end(&saved);
	PG_RETURN_BOOL(done);
}

Datum
release_message(PG_FUNCTION_ARGS)
{
	OwnContext	saved;
	Datum		args[2];
	bool		done;

	queue_check_not_null(fcinfo, 0, "token");
	args[0] = PG_GETARG_DATUM(0);
	args[1] = TimestampTzGetDatum(retention_clock_now());

	own_begin(&saved);
	SPI_connect();
	done = own_execute(&set_released, args, NULL) == 1;
	SPI_finish();
	own_end(&saved);
	PG_RETURN_BOOL(done);
}
