/*
 * delivery.c
 *		What became of a claimed message: sent, failed, held longer or given
 *		back, as the worker that holds its token reports.
 */
#include "queue.h"

#include "own_query.h"
#include "retention.h"

#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

PG_FUNCTION_INFO_V1(mark_sent);
PG_FUNCTION_INFO_V1(mark_failed);
PG_FUNCTION_INFO_V1(mark_messages);
PG_FUNCTION_INFO_V1(extend_lease);
PG_FUNCTION_INFO_V1(release_message);

#define BACKOFF_SECONDS 30
#define BACKOFF_MAX_SECONDS 3600

/*
 * In the order of the messages' key, as all who lock several do: a payment that
 * takes back two of them and a worker that reports on both wait in no circle.
 */
static OwnQuery lock_messages = {
	"SELECT FROM retention.care_message m WHERE m.token = ANY ($1)"
	" ORDER BY m.shop_id, m.customer_id, m.rule COLLATE \"C\", m.subject"
	" FOR NO KEY UPDATE",
	1, {"uuid[]"}
};

static OwnQuery set_sent = {
	"UPDATE retention.care_message m"
	" SET state = 'sent', sent_at = $3, counted_at = CASE WHEN m.counted_at IS NOT NULL THEN $3 END,"
	" provider_id = k.provider_id, held_until = NULL, last_error = NULL, changed_at = $3,"
	" reason = CASE WHEN m.state <> 'claimed' THEN 'sent before it was taken back: ' || coalesce(m.reason, m.state) END"
	" FROM unnest($1, $2) WITH ORDINALITY AS k (token, provider_id, no)"
	" WHERE m.token = k.token AND m.state IN ('claimed', 'cancelled', 'skipped')"
	" RETURNING k.no, CASE WHEN m.reason IS NULL THEN 'sent' ELSE 'cancelled' END",
	3, {"uuid[]", "text[]", "timestamptz"}
};

/* Workers that failed together should not come back together: $4 differs. */
static OwnQuery set_failed = {
	"UPDATE retention.care_message m"
	" SET state = CASE WHEN k.permanent OR m.attempts >= s.care_max_attempts THEN 'failed' ELSE 'queued' END,"
	" reason = CASE WHEN k.permanent THEN '" REASON_PERMANENT "'"
	" WHEN m.attempts >= s.care_max_attempts THEN '" REASON_GAVE_UP "' ELSE '" REASON_RETRY "' END,"
	" held_until = CASE WHEN NOT k.permanent AND m.attempts < s.care_max_attempts THEN"
	" $5 + make_interval(secs => k.factor * least($6, $7 * power(2, m.attempts - 1))) END,"
	" token = NULL, counted_at = NULL, last_error = k.error, changed_at = $5"
	" FROM unnest($1, $2, $3, $4) WITH ORDINALITY AS k (token, error, permanent, factor, no), retention.shop s"
	" WHERE m.token = k.token AND m.state = 'claimed' AND s.shop_id = m.shop_id"
	" RETURNING k.no, m.state",
	7, {"uuid[]", "text[]", "bool[]", "float8[]", "timestamptz", "float8", "float8"}
};

/* What tokens that are not good for the statement tried are good for. */
static OwnQuery read_states = {
	"SELECT k.no, CASE WHEN m.state = 'sent' AND m.reason IS NULL THEN 'sent' ELSE 'cancelled' END"
	" FROM unnest($1) WITH ORDINALITY AS k (token, no)"
	" JOIN retention.care_message m ON m.token = k.token"
	" WHERE m.state IN ('sent', 'cancelled', 'skipped')",
	1, {"uuid[]"}
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

/* What a worker says of a message, and what it is told. */
typedef struct Report
{
	pg_uuid_t	token;
	bool		failed;
	char	   *words;			/* the provider's id, or the error; may be NULL */
	bool		permanent;
	const char *outcome;		/* NULL: not decided yet */
} Report;

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

/* What a report is marked with that repeats another of the same batch. */
static const char *const REPEATED = "repeated";

static int
compare_reports(const void *a, const void *b)
{
	const Report *x = *(const Report *const *) a;
	const Report *y = *(const Report *const *) b;
	int			order = memcmp(&x->token, &y->token, UUID_LEN);

	return order != 0 ? order : (x < y ? -1 : 1);
}

/* An outcome as the statements name it; NULL where none of them knew the token. */
static const char *
outcome_word(const char *found)
{
	static const char *const words[] = {"sent", "queued", "failed", "cancelled"};

	for (int i = 0; found != NULL && i < (int) lengthof(words); i++)
	{
		if (text_equal(words[i], found))
			return words[i];
	}
	return "refused";
}

/* Reports not decided yet, of one kind or of either. */
static int
choose_reports(Report *reports, int nreports, bool sent, bool failed, Report **chosen)
{
	int			n = 0;

	for (int i = 0; i < nreports; i++)
	{
		if (reports[i].outcome == NULL && (reports[i].failed ? failed : sent))
			chosen[n++] = &reports[i];
	}
	return n;
}

static Datum
tokens_of(Report **chosen, int n)
{
	Datum	   *values = (Datum *) palloc(Max(n, 1) * sizeof(Datum));

	for (int i = 0; i < n; i++)
		values[i] = UUIDPGetDatum(&chosen[i]->token);
	return PointerGetDatum(construct_array(values, n, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
}

static Datum
words_of(Report **chosen, int n)
{
	char	  **values = (char **) palloc(Max(n, 1) * sizeof(char *));

	for (int i = 0; i < n; i++)
		values[i] = chosen[i]->words;
	return own_text_array(values, n);
}

/* The statement's rows: number of the report, outcome. */
static void
take_outcomes(Report **chosen, uint64 nrows)
{
	for (uint64 i = 0; i < nrows; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];

		chosen[own_int64(row, 1) - 1]->outcome = own_text(row, 2);
	}
}

static void
write_sent(Report **chosen, int n, TimestampTz at)
{
	Datum		args[3];

	args[0] = tokens_of(chosen, n);
	args[1] = words_of(chosen, n);
	args[2] = TimestampTzGetDatum(at);
	take_outcomes(chosen, own_execute(&set_sent, args, NULL));
}

static void
write_failed(Report **chosen, int n, TimestampTz at)
{
	Datum	   *permanent = (Datum *) palloc(n * sizeof(Datum));
	Datum	   *factors = (Datum *) palloc(n * sizeof(Datum));
	Datum		args[7];

	for (int i = 0; i < n; i++)
	{
		permanent[i] = BoolGetDatum(chosen[i]->permanent);
		factors[i] = Float8GetDatum(0.5 + pg_prng_double(&pg_global_prng_state));
	}
	args[0] = tokens_of(chosen, n);
	args[1] = words_of(chosen, n);
	args[2] = PointerGetDatum(construct_array(permanent, n, BOOLOID, sizeof(bool), true, TYPALIGN_CHAR));
	args[3] = PointerGetDatum(construct_array(factors, n, FLOAT8OID, sizeof(float8),
											  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	args[4] = TimestampTzGetDatum(at);
	args[5] = Float8GetDatum(BACKOFF_MAX_SECONDS);
	args[6] = Float8GetDatum(BACKOFF_SECONDS);
	take_outcomes(chosen, own_execute(&set_failed, args, NULL));
}

/* A token that comes twice: the first report counts, the other is a repetition. */
static void
set_repetitions_apart(Report *reports, int nreports)
{
	Report	  **sorted = (Report **) palloc(nreports * sizeof(Report *));

	for (int i = 0; i < nreports; i++)
		sorted[i] = &reports[i];
	qsort(sorted, nreports, sizeof(Report *), compare_reports);
	for (int i = 1; i < nreports; i++)
	{
		if (memcmp(&sorted[i]->token, &sorted[i - 1]->token, UUID_LEN) == 0)
			sorted[i]->outcome = REPEATED;
	}
}

/*
 * Record what the reports say, and find what to tell the worker of each.
 */
static void
deliver_reports(Report *reports, int nreports, TimestampTz at)
{
	Report	  **chosen = (Report **) palloc(Max(nreports, 1) * sizeof(Report *));
	OwnContext	saved;
	Datum		tokens;
	int			n;

	own_begin(&saved);
	SPI_connect();
	if (nreports > 1)
	{
		set_repetitions_apart(reports, nreports);
		n = choose_reports(reports, nreports, true, true, chosen);
		tokens = tokens_of(chosen, n);
		own_execute(&lock_messages, &tokens, NULL);
	}
	n = choose_reports(reports, nreports, true, false, chosen);
	if (n > 0)
		write_sent(chosen, n, at);
	n = choose_reports(reports, nreports, false, true, chosen);
	if (n > 0)
		write_failed(chosen, n, at);

	for (int i = 0; i < nreports; i++)
	{
		if (reports[i].outcome == REPEATED)
			reports[i].outcome = NULL;
	}
	n = choose_reports(reports, nreports, true, true, chosen);
	if (n > 0)
	{
		tokens = tokens_of(chosen, n);
		take_outcomes(chosen, own_execute(&read_states, &tokens, NULL));
	}

	/* The words are read after SPI's memory is gone. */
	for (int i = 0; i < nreports; i++)
		reports[i].outcome = outcome_word(reports[i].outcome);
	SPI_finish();
	own_end(&saved);
}

Datum
mark_sent(PG_FUNCTION_ARGS)
{
	Report		report = {0};

	queue_check_not_null(fcinfo, 0, "token");
	queue_check_not_null(fcinfo, 2, "at");
	report.token = *PG_GETARG_UUID_P(0);
	report.words = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	deliver_reports(&report, 1, PG_GETARG_TIMESTAMPTZ(2));
	PG_RETURN_TEXT_P(cstring_to_text(report.outcome));
}

Datum
mark_failed(PG_FUNCTION_ARGS)
{
	Report		report = {.failed = true};

	queue_check_not_null(fcinfo, 0, "token");
	queue_check_not_null(fcinfo, 2, "permanent");
	queue_check_not_null(fcinfo, 3, "at");
	report.token = *PG_GETARG_UUID_P(0);
	report.words = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	report.permanent = PG_GETARG_BOOL(2);
	deliver_reports(&report, 1, PG_GETARG_TIMESTAMPTZ(3));
	PG_RETURN_TEXT_P(cstring_to_text(report.outcome));
}

/*
 * An array argument's values, one for each token; NULL for an argument that is
 * NULL.
 */
static Datum *
read_array(FunctionCallInfo fcinfo, int argument, const char *name, Oid type,
		   int ntokens, bool **nulls, int *n)
{
	ArrayType  *array;
	Datum	   *values;
	int16		len;
	bool		byval;
	char		align;

	if (PG_ARGISNULL(argument))
		return NULL;
	array = PG_GETARG_ARRAYTYPE_P(argument);
	get_typlenbyvalalign(type, &len, &byval, &align);
	deconstruct_array(array, type, len, byval, align, &values, nulls, n);
	if (ntokens >= 0 && *n != ntokens)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("argument \"%s\" has %d elements for %d tokens", name, *n, ntokens),
				 errhint("Give one for each token, NULL where there is none.")));
	return values;
}

/*
 * mark_messages(tokens, provider_ids, errors, permanent, at) -> (token, outcome)
 */
Datum
mark_messages(PG_FUNCTION_ARGS)
{
	Datum	   *tokens;
	Datum	   *provider_ids;
	Datum	   *errors;
	Datum	   *permanent;
	bool	   *token_nulls = NULL;
	bool	   *provider_nulls = NULL;
	bool	   *error_nulls = NULL;
	bool	   *permanent_nulls = NULL;
	Report	   *reports;
	int			n;
	int			ignored;
	ReturnSetInfo *result;

	queue_check_not_null(fcinfo, 0, "tokens");
	queue_check_not_null(fcinfo, 4, "at");
	tokens = read_array(fcinfo, 0, "tokens", UUIDOID, -1, &token_nulls, &n);
	provider_ids = read_array(fcinfo, 1, "provider_ids", TEXTOID, n, &provider_nulls, &ignored);
	errors = read_array(fcinfo, 2, "errors", TEXTOID, n, &error_nulls, &ignored);
	permanent = read_array(fcinfo, 3, "permanent", BOOLOID, n, &permanent_nulls, &ignored);

	reports = (Report *) palloc0(Max(n, 1) * sizeof(Report));
	for (int i = 0; i < n; i++)
	{
		if (token_nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("tokens must not be null, but number %d is", i + 1)));
		reports[i].token = *DatumGetUUIDP(tokens[i]);
		reports[i].failed = errors != NULL && !error_nulls[i];
		if (reports[i].failed)
			reports[i].words = TextDatumGetCString(errors[i]);
		else if (provider_ids != NULL && !provider_nulls[i])
			reports[i].words = TextDatumGetCString(provider_ids[i]);
		reports[i].permanent = permanent != NULL && !permanent_nulls[i] && DatumGetBool(permanent[i]);
	}
	InitMaterializedSRF(fcinfo, 0);
	result = (ReturnSetInfo *) fcinfo->resultinfo;
	deliver_reports(reports, n, PG_GETARG_TIMESTAMPTZ(4));
	for (int i = 0; i < n; i++)
	{
		Datum		values[2];
		bool		nulls[2] = {false, false};

		values[0] = UUIDPGetDatum(&reports[i].token);
		values[1] = CStringGetTextDatum(reports[i].outcome);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
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
