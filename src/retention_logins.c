/*
 * retention_logins.c
 *		Who came back N days after signing up, from one row a log-in:
 *		retention_rate(customer, signed_up_at, logged_in_at, ...) and
 *		retention_curve() likewise.
 *
 * The state is when each customer signed up, and a mark for each number of days
 * asked for whether a log-in seen so far is a return.  It is a type of our own,
 * retention_logins, exact, independent of the order of rows, and mergeable: in
 * memory an expanded object changed in place.  Whose day N is over is found in
 * the end.
 *
 * A log-in is a return or not by when its customer signed up, and only marks are
 * kept: so a customer has one time of sign-up, and a second one is an error.
 */
#include "retention_rate.h"

#include "aggregate_context.h"
#include "signup_table.h"
#include "state_text.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define STATE_MAGIC		0x524c4f47
#define STATE_VERSION	1
#define MAX_DAYS		64		/* bits of a mark */

typedef struct RetentionLogins
{
	ExpandedObjectHeader hdr;
	int			magic;
	CountsQuestion question;	/* its days are in fractions */
	const void *asked_by;		/* the call known to ask it, of customers of this type */
	int			ndays;
	int32	   *days;
	SignupTable *signups;
	Size		flat_size;		/* computed by logins_flat_size() */
} RetentionLogins;

/* Flattened: then the names, the signups and the row of customers, each from a MAXALIGN boundary on. */
typedef struct FlatLogins
{
	int32		vl_len_;
	int32		version;
	Oid			type;
	Oid			collation;
	int64		customers;
	TimestampTz at;
	int32		mode;
	char		names[FLEXIBLE_ARRAY_MEMBER];	/* time zone and days, each ended by a zero byte */
} FlatLogins;

typedef struct FlatSignup
{
	TimestampTz signed_up_at;
	uint64		returned;
} FlatSignup;

/* Walks a state, be it expanded or flat. */
typedef struct LoginsReader
{
	KeyType		key;
	CountsQuestion question;
	int64		customers;
	SignupWalk	walk;			/* of an expanded one */
	const FlatSignup *flat;		/* the next of a flat one, else NULL, ... */
	int64		left;			/* ... how many are left, ... */
	const char *cursor;			/* ... and the next customer */
	Datum		customer;
	FlatSignup	signup;
} LoginsReader;

PG_FUNCTION_INFO_V1(retention_logins_in);
PG_FUNCTION_INFO_V1(retention_logins_out);
PG_FUNCTION_INFO_V1(retention_logins_recv);
PG_FUNCTION_INFO_V1(retention_logins_send);
PG_FUNCTION_INFO_V1(retention_logins_add);
PG_FUNCTION_INFO_V1(retention_logins_add_curve);
PG_FUNCTION_INFO_V1(retention_logins_merge);
PG_FUNCTION_INFO_V1(retention_logins_rate);
PG_FUNCTION_INFO_V1(retention_logins_curve);

static Size logins_flat_size(ExpandedObjectHeader *eohptr);
static void logins_flatten(ExpandedObjectHeader *eohptr, void *result, Size allocated_size);

static const ExpandedObjectMethods logins_methods = {
	logins_flat_size,
	logins_flatten
};

/* ----------------------------------------------------------------
 * The question
 * ----------------------------------------------------------------
 */

/* Days as text, in one way only, so that questions compare bytewise. */
static void
write_days(CountsQuestion *question, const int32 *days, int ndays)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoChar(&text, '{');
	for (int i = 0; i < ndays; i++)
		appendStringInfo(&text, i == 0 ? "%d" : ",%d", days[i]);
	appendStringInfoChar(&text, '}');
	if (ndays > MAX_DAYS || text.len >= (int) sizeof(question->fractions))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many numbers of days"),
				 errdetail("There may be %d of them, with %d characters in all.",
						   MAX_DAYS, (int) sizeof(question->fractions) - 1)));
	strcpy(question->fractions, text.data);
	pfree(text.data);
}

/* After customer, sign-up and log-in: mode, days, time zone, moment. */
static void
question_one(FunctionCallInfo fcinfo, CountsQuestion *question)
{
	int32		days = retention_arg_days(fcinfo, 5);

	retention_question(fcinfo, question, 4);
	write_days(question, &days, 1);
}

/* The same with an array of days. */
static void
question_curve(FunctionCallInfo fcinfo, CountsQuestion *question)
{
	int32	   *days;
	int			ndays;

	counts_require(fcinfo, 5, "the numbers of days");
	days = retention_days(PG_GETARG_DATUM(5), &ndays);
	retention_question(fcinfo, question, 4);
	write_days(question, days, ndays);
}

/* ----------------------------------------------------------------
 * The state
 * ----------------------------------------------------------------
 */

static RetentionLogins *
logins_create(MemoryContext parent, const KeyType *key, const CountsQuestion *question, int64 customers)
{
	MemoryContext context = AllocSetContextCreate(parent, "retention logins", ALLOCSET_START_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	RetentionLogins *state = (RetentionLogins *) palloc0(sizeof(RetentionLogins));

	EOH_init_header(&state->hdr, &logins_methods, context);
	state->magic = STATE_MAGIC;
	state->question = *question;
	state->days = retention_days(retention_question_days(question), &state->ndays);
	state->signups = signup_table_create(context, key, customers);
	MemoryContextSwitchTo(old);
	return state;
}

static RetentionLogins *
logins_expanded(Datum datum)
{
	RetentionLogins *state;

	if (!VARATT_IS_EXTERNAL_EXPANDED(DatumGetPointer(datum)))
		return NULL;
	state = (RetentionLogins *) DatumGetEOHP(datum);
	if (state->magic != STATE_MAGIC)
		elog(ERROR, "retention logins have the wrong magic number");
	return state;
}

static void
reader_begin(LoginsReader *reader, Datum datum)
{
	RetentionLogins *state = logins_expanded(datum);
	const FlatLogins *flat;
	const char *days;
	Size		offset;

	memset(reader, 0, sizeof(LoginsReader));
	if (state != NULL)
	{
		signup_table_settle(state->signups);
		reader->key = state->signups->key;
		reader->question = state->question;
		reader->customers = signup_table_customers(state->signups);
		signup_table_walk(&reader->walk, state->signups);
		return;
	}

	flat = (const FlatLogins *) PG_DETOAST_DATUM(datum);
	if (flat->version != STATE_VERSION)
		elog(ERROR, "unknown version %d of retention_logins", flat->version);
	key_type_init(&reader->key, flat->type, OidIsValid(flat->collation) ? flat->collation : C_COLLATION_OID);
	days = flat->names + strlen(flat->names) + 1;
	reader->question.kind = COUNTS_RETENTION;
	reader->question.unit = PERIOD_DAY;
	reader->question.mode = flat->mode;
	reader->question.at = flat->at;
	strlcpy(reader->question.zone, flat->names, sizeof(reader->question.zone));
	strlcpy(reader->question.fractions, days, sizeof(reader->question.fractions));
	reader->customers = reader->left = flat->customers;
	offset = MAXALIGN(days + strlen(days) + 1 - (const char *) flat);
	reader->flat = (const FlatSignup *) ((const char *) flat + offset);
	reader->cursor = (const char *) (reader->flat + reader->customers);
}

static bool
reader_next(LoginsReader *reader)
{
	const Signup *signup;

	if (reader->flat != NULL)
	{
		if (reader->left == 0)
			return false;
		reader->left--;
		reader->signup = *reader->flat++;
		reader->cursor = key_row_next(&reader->key, reader->cursor, &reader->customer);
		return true;
	}

	signup = signup_table_next(&reader->walk);
	if (signup == NULL)
		return false;
	reader->customer = signup->customer;
	reader->signup.signed_up_at = signup->signed_up_at;
	reader->signup.returned = signup->returned;
	return true;
}

/* How many customers are added before a type's own functions are cleaned up after. */
#define MERGE_BATCH 1024

static void
add_all(RetentionLogins *state, LoginsReader *reader)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "retention merge",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);

	for (int64 i = 1; reader_next(reader); i++)
	{
		signup_table_add(state->signups, reader->customer,
						 reader->signup.signed_up_at, reader->signup.returned);
		if (i % MERGE_BATCH == 0)
		{
			CHECK_FOR_INTERRUPTS();
			MemoryContextReset(scratch);
		}
	}
	signup_table_settle(state->signups);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
}

/*
 * A state that may be changed in place: the aggregate's own, else a copy.
 */
static RetentionLogins *
logins_writable(Datum datum, MemoryContext context)
{
	RetentionLogins *state;
	LoginsReader reader;

	if (VARATT_IS_EXTERNAL_EXPANDED_RW(DatumGetPointer(datum)))
		return logins_expanded(datum);

	reader_begin(&reader, datum);
	state = logins_create(context, &reader.key, &reader.question, reader.customers);
	add_all(state, &reader);
	return state;
}

/* ----------------------------------------------------------------
 * Flattening
 * ----------------------------------------------------------------
 */

/* Where the signups of the flat form begin. */
static Size
names_end(const CountsQuestion *question)
{
	return MAXALIGN(offsetof(FlatLogins, names) + strlen(question->zone) + 1 +
					strlen(question->fractions) + 1);
}

/*
 * Both walk the slots in the same order, so that they agree on the padding.
 */
static Size
logins_flat_size(ExpandedObjectHeader *eohptr)
{
	RetentionLogins *state = (RetentionLogins *) eohptr;
	const Signup *signup;
	SignupWalk	walk;
	Size		size;

	signup_table_settle(state->signups);
	size = names_end(&state->question) + signup_table_customers(state->signups) * sizeof(FlatSignup);
	signup_table_walk(&walk, state->signups);
	while ((signup = signup_table_next(&walk)) != NULL)
		size = key_row_add(&state->signups->key, size, signup->customer);
	if (size > KEYS_LARGEST_FLAT)
		key_refuse_size(signup_table_customers(state->signups));
	state->flat_size = size;
	return size;
}

static void
logins_flatten(ExpandedObjectHeader *eohptr, void *result, Size allocated_size)
{
	RetentionLogins *state = (RetentionLogins *) eohptr;
	const KeyType *key = &state->signups->key;
	FlatLogins *flat = (FlatLogins *) result;
	Size		offset = names_end(&state->question);
	FlatSignup *signups = (FlatSignup *) ((char *) flat + offset);
	const Signup *signup;
	SignupWalk	walk;
	char	   *days;

	Assert(allocated_size == state->flat_size);
	memset(flat, 0, offset);
	SET_VARSIZE(flat, allocated_size);
	flat->version = STATE_VERSION;
	flat->type = key->type;
	flat->collation = key->collation;
	flat->customers = signup_table_customers(state->signups);
	flat->at = state->question.at;
	flat->mode = state->question.mode;
	strcpy(flat->names, state->question.zone);
	days = flat->names + strlen(flat->names) + 1;
	strcpy(days, state->question.fractions);

	offset += flat->customers * sizeof(FlatSignup);
	signup_table_walk(&walk, state->signups);
	while ((signup = signup_table_next(&walk)) != NULL)
	{
		signups->signed_up_at = signup->signed_up_at;
		signups->returned = signup->returned;
		signups++;
		offset = key_row_put(key, (char *) flat, offset, signup->customer);
	}
	Assert(offset == allocated_size);
}

/* ----------------------------------------------------------------
 * The aggregate
 * ----------------------------------------------------------------
 */

/*
 * For which numbers of days a log-in is a return.
 */
static uint64
returns(const RetentionLogins *state, Calendar *calendar, TimestampTz signed_up_at, TimestampTz at)
{
	uint64		result = 0;
	int64		day;

	if (at <= signed_up_at || at > state->question.at)
		return 0;
	day = (int64) calendar_period(calendar, at) - calendar_period(calendar, signed_up_at);
	for (int i = 0; i < state->ndays; i++)
	{
		bool		is_return;

		if (state->question.mode == MODE_CLASSIC)
			is_return = day == state->days[i];
		else if (state->question.mode == MODE_ROLLING)
			is_return = day >= state->days[i];
		else
			is_return = day <= state->days[i];
		if (is_return)
			result |= UINT64CONST(1) << i;
	}
	return result;
}

static Datum
add(FunctionCallInfo fcinfo, CountsReader question)
{
	MemoryContext context = aggregate_context(fcinfo);
	CountsCall *call;
	RetentionLogins *state;
	TimestampTz signed_up_at;

	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}

	call = counts_call(fcinfo, question, 4);
	if (PG_ARGISNULL(0))
	{
		KeyType		key;

		key_type_read_argument(&key, fcinfo, 1);
		state = logins_create(context, &key, &call->question, 0);
		state->asked_by = call;
	}
	else
		state = logins_writable(PG_GETARG_DATUM(0), context);

	/* Any role may make an aggregate of it that starts with a state of its own. */
	if (unlikely(call->varies || state->asked_by != call))
	{
		KeyType		key;

		if (memcmp(&state->question, &call->question, sizeof(CountsQuestion)) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("mode, days, time zone and moment must be the same for all rows of a group")));
		key_type_read_argument(&key, fcinfo, 1);
		key_type_check(&state->signups->key, &key);
		state->asked_by = call;
	}

	signed_up_at = PG_GETARG_TIMESTAMPTZ(2);
	if (TIMESTAMP_NOT_FINITE(signed_up_at))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("a customer cannot have signed up at an infinite time"),
				 errhint("Use NULL for somebody who has not signed up.")));
	if (signed_up_at <= state->question.at)
		signup_table_add(state->signups, PG_GETARG_DATUM(1), signed_up_at,
						 PG_ARGISNULL(3) ? 0 :
						 returns(state, call->calendar, signed_up_at, PG_GETARG_TIMESTAMPTZ(3)));
	return EOHPGetRWDatum(&state->hdr);
}

/*
 * retention_logins_add(state, customer, signed_up_at, logged_in_at, mode, days,
 * time_zone [, at]), with one number of days or several.
 */
Datum
retention_logins_add(PG_FUNCTION_ARGS)
{
	return add(fcinfo, question_one);
}

Datum
retention_logins_add_curve(PG_FUNCTION_ARGS)
{
	return add(fcinfo, question_curve);
}

/*
 * retention_logins_merge(state, state): combine function, and transition
 * function of merge(state).
 */
Datum
retention_logins_merge(PG_FUNCTION_ARGS)
{
	MemoryContext context = aggregate_context(fcinfo);
	RetentionLogins *state;
	LoginsReader reader;

	if (PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}

	reader_begin(&reader, PG_GETARG_DATUM(1));
	if (PG_ARGISNULL(0))
		state = logins_create(context, &reader.key, &reader.question, reader.customers);
	else
		state = logins_writable(PG_GETARG_DATUM(0), context);

	if (memcmp(&state->question, &reader.question, sizeof(CountsQuestion)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot merge states of different questions"),
				 errhint("Give the same arguments, the moment included, wherever states are made.")));
	key_type_check(&state->signups->key, &reader.key);
	add_all(state, &reader);
	return EOHPGetRWDatum(&state->hdr);
}

/* ----------------------------------------------------------------
 * The answers
 * ----------------------------------------------------------------
 */

typedef struct LoginsAnswer
{
	int			ndays;
	int32	   *days;
	int64		customers[MAX_DAYS];	/* whose day N is over */
	int64		returned[MAX_DAYS];	/* of them, those who came back */
} LoginsAnswer;

static void
answer(LoginsAnswer *result, Datum datum)
{
	LoginsReader reader;
	Calendar   *calendar;
	int64		today;

	reader_begin(&reader, datum);
	memset(result, 0, sizeof(LoginsAnswer));
	result->days = retention_days(retention_question_days(&reader.question), &result->ndays);
	calendar = calendar_create(CurrentMemoryContext, reader.question.zone, PERIOD_DAY, 0);
	today = calendar_period(calendar, reader.question.at);
	for (int64 n = 0; reader_next(&reader); n++)
	{
		int64		observed = today - 1 - calendar_period(calendar, reader.signup.signed_up_at);

		if (n % MERGE_BATCH == 0)
			CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < result->ndays; i++)
		{
			if (result->days[i] > observed)
				continue;
			result->customers[i]++;
			result->returned[i] += (reader.signup.returned >> i) & 1;
		}
	}
}

/*
 * retention_rate(state)
 */
Datum
retention_logins_rate(PG_FUNCTION_ARGS)
{
	LoginsAnswer result;

	answer(&result, PG_GETARG_DATUM(0));
	if (result.ndays != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the state was made for %d numbers of days, not for one", result.ndays),
				 errhint("Use retention_curve(state).")));
	if (result.customers[0] == 0)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(counts_rate(result.returned[0], result.customers[0]));
}

/*
 * retention_curve(state): a row for each number of days, in the order given.
 */
Datum
retention_logins_curve(PG_FUNCTION_ARGS)
{
	LoginsAnswer result;
	CountsRows	rows;

	answer(&result, PG_GETARG_DATUM(0));
	counts_rows_begin(&rows, fcinfo);
	for (int i = 0; i < result.ndays; i++)
		retention_row_add(&rows, result.days[i], result.customers[i], result.returned[i]);
	PG_RETURN_DATUM(counts_rows_end(&rows));
}

/* ----------------------------------------------------------------
 * The external form: version, mode, moment, time zone, days, names of type and
 * collation, number of customers, then for each when they signed up, the marks,
 * and the customer in the type's own binary form.  As text it is the same in
 * hexadecimal.
 * ----------------------------------------------------------------
 */

static void
refuse_external(const char *detail)
{
	key_refuse_external("retention_logins", detail);
}

Datum
retention_logins_send(PG_FUNCTION_ARGS)
{
	StringInfoData buf;
	LoginsReader reader;
	KeyIO		io;

	reader_begin(&reader, PG_GETARG_DATUM(0));
	pq_begintypsend(&buf);
	pq_sendbyte(&buf, STATE_VERSION);
	pq_sendbyte(&buf, reader.question.mode);
	pq_sendint64(&buf, reader.question.at);
	pq_sendstring(&buf, reader.question.zone);
	pq_sendstring(&buf, reader.question.fractions);
	key_send_begin(&io, &buf, &reader.key);
	pq_sendint64(&buf, reader.customers);
	while (reader_next(&reader))
	{
		CHECK_FOR_INTERRUPTS();
		pq_sendint64(&buf, reader.signup.signed_up_at);
		pq_sendint64(&buf, reader.signup.returned);
		key_send(&io, &buf, reader.customer);

		/* The text form takes twice as much. */
		if ((Size) buf.len > KEYS_LARGEST_FLAT / 2)
			key_refuse_size(reader.customers);
	}
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

static void
receive_name(StringInfo buf, char *target)
{
	const char *name = pq_getmsgstring(buf);

	if (strlen(name) > TZ_STRLEN_MAX)
		refuse_external("A name is too long.");
	strcpy(target, name);
}

static void
receive_question(StringInfo buf, CountsQuestion *question)
{
	CountsQuestion rewritten;
	int32	   *days;
	int			ndays;

	memset(question, 0, sizeof(CountsQuestion));
	question->kind = COUNTS_RETENTION;
	question->unit = PERIOD_DAY;
	question->mode = pq_getmsgbyte(buf);
	question->at = pq_getmsgint64(buf);
	if (question->mode != MODE_CLASSIC && question->mode != MODE_ROLLING && question->mode != MODE_WITHIN)
		refuse_external("The mode is unknown.");
	if (TIMESTAMP_NOT_FINITE(question->at) || !IS_VALID_TIMESTAMP(question->at))
		refuse_external("The moment is out of range.");
	receive_name(buf, question->zone);
	(void) period_zone(question->zone);
	receive_name(buf, question->fractions);
	days = retention_days(retention_question_days(question), &ndays);
	rewritten = *question;
	write_days(&rewritten, days, ndays);
	if (strcmp(rewritten.fractions, question->fractions) != 0)
		refuse_external("The days are not written as they should be.");
}

static RetentionLogins *
logins_receive(StringInfo buf)
{
	CountsQuestion question;
	KeyType		key;
	KeyIO		io;
	RetentionLogins *state;
	int64		customers;

	if (pq_getmsgbyte(buf) != STATE_VERSION)
		refuse_external("The format version is unknown.");
	receive_question(buf, &question);
	key_receive_begin(&io, buf, &key, "retention_logins");
	customers = pq_getmsgint64(buf);

	/* A customer takes 20 bytes at least. */
	if (customers < 0 || customers > (buf->len - buf->cursor) / 20)
		refuse_external("The number of customers does not fit the length.");

	state = logins_create(CurrentMemoryContext, &key, &question, customers);
	for (int64 i = 0; i < customers; i++)
	{
		TimestampTz signed_up_at = pq_getmsgint64(buf);
		uint64		returned = pq_getmsgint64(buf);
		Datum		customer;

		CHECK_FOR_INTERRUPTS();
		if (TIMESTAMP_NOT_FINITE(signed_up_at) || !IS_VALID_TIMESTAMP(signed_up_at) ||
			signed_up_at > question.at)
			refuse_external("A time of sign-up is out of range.");
		if (state->ndays < MAX_DAYS && (returned >> state->ndays) != 0)
			refuse_external("A mark is of no number of days.");
		customer = key_receive(&io, buf);
		if (signup_table_has(state->signups, customer))
			refuse_external("A customer occurs twice.");
		signup_table_add(state->signups, customer, signed_up_at, returned);
		signup_table_settle(state->signups);
	}
	return state;
}

Datum
retention_logins_recv(PG_FUNCTION_ARGS)
{
	RetentionLogins *state = logins_receive((StringInfo) PG_GETARG_POINTER(0));

	return EOHPGetRWDatum(&state->hdr);
}

Datum
retention_logins_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(state_text(DirectFunctionCall1(retention_logins_send, PG_GETARG_DATUM(0))));
}

Datum
retention_logins_in(PG_FUNCTION_ARGS)
{
	StringInfoData buf;
	RetentionLogins *state;

	state_bytes(&buf, PG_GETARG_CSTRING(0), "retention_logins",
				"States are made by the aggregate retention_collect(customer, signed_up_at, logged_in_at, ...).");
	state = logins_receive(&buf);
	if (buf.cursor != buf.len)
		refuse_external("It goes on after the last customer.");
	return EOHPGetRWDatum(&state->hdr);
}
