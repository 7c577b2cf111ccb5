/*
 * repurchase.c
 *		repurchase_rate(customer): the share of customers who bought twice.
 *
 * The aggregate's state is the set of customers seen so far, each with a mark
 * whether they were seen once or more often.  It is a type of our own,
 * repurchase_state: exact, independent of the order of rows, and mergeable.
 */
#include "postgres.h"

#include "key_set.h"
#include "state_text.h"

#include "fmgr.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#define STATE_VERSION	1

PG_FUNCTION_INFO_V1(repurchase_state_in);
PG_FUNCTION_INFO_V1(repurchase_state_out);
PG_FUNCTION_INFO_V1(repurchase_state_recv);
PG_FUNCTION_INFO_V1(repurchase_state_send);
PG_FUNCTION_INFO_V1(repurchase_add);
PG_FUNCTION_INFO_V1(repurchase_merge);
PG_FUNCTION_INFO_V1(repurchase_final);

/* ----------------------------------------------------------------------
 * The aggregate
 * ----------------------------------------------------------------------
 */

/*
 * repurchase_add(state, customer): transition function; NULL is no customer.
 */
Datum
repurchase_add(PG_FUNCTION_ARGS)
{
	MemoryContext aggcontext;
	const KeyType *key;
	KeySet	   *state;

	if (PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}

	key = key_type_of_argument(fcinfo, 1);
	if (!PG_ARGISNULL(0) && VARATT_IS_EXTERNAL_EXPANDED_RW(DatumGetPointer(PG_GETARG_DATUM(0))))
		state = key_set_expanded(PG_GETARG_DATUM(0));
	else
	{
		if (!AggCheckCallContext(fcinfo, &aggcontext))
			elog(ERROR, "repurchase_add called outside an aggregate");
		if (PG_ARGISNULL(0))
			state = key_set_create(aggcontext, key, 0);
		else
			state = key_set_writable(PG_GETARG_DATUM(0), aggcontext);
	}

	key_type_check(&state->key, key);
	key_set_add(state, PG_GETARG_DATUM(1));
	return EOHPGetRWDatum(&state->hdr);
}

/*
 * repurchase_merge(state, state): combine function, and transition function
 * of merge(state).
 */
Datum
repurchase_merge(PG_FUNCTION_ARGS)
{
	MemoryContext aggcontext;
	KeySet *state;
	KeyReader	reader;

	if (!AggCheckCallContext(fcinfo, &aggcontext))
		elog(ERROR, "repurchase_merge called outside an aggregate");

	if (PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}

	key_reader_begin(&reader, PG_GETARG_DATUM(1));
	if (PG_ARGISNULL(0))
		state = key_set_create(aggcontext, &reader.key, reader.customers);
	else
		state = key_set_writable(PG_GETARG_DATUM(0), aggcontext);

	key_type_check(&state->key, &reader.key);
	key_set_add_all(state, &reader);
	return EOHPGetRWDatum(&state->hdr);
}

/*
 * repurchase_final(state): the rate.  The state stays as it is, so this may be
 * called any number of times.
 */
Datum
repurchase_final(PG_FUNCTION_ARGS)
{
	KeySet *state = key_set_expanded(PG_GETARG_DATUM(0));
	int64		customers;
	int64		repeaters;

	if (state != NULL)
	{
		key_set_settle(state);
		customers = state->customers;
		repeaters = state->repeaters;
	}
	else
	{
		const FlatKeySet *flat = (const FlatKeySet *) PG_DETOAST_DATUM(PG_GETARG_DATUM(0));

		customers = flat->customers;
		repeaters = flat->repeaters;
	}

	if (customers == 0)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(DirectFunctionCall2(numeric_div,
										NumericGetDatum(int64_to_numeric(repeaters)),
										NumericGetDatum(int64_to_numeric(customers))));
}

/* ----------------------------------------------------------------------
 * The external form: version, names of type and collation, number of
 * customers, then for each a mark and the type's own binary form.  Names and
 * not oids, so that it can be read in another database.  As text it is the
 * same in hexadecimal.
 * ----------------------------------------------------------------------
 */

Datum
repurchase_state_send(PG_FUNCTION_ARGS)
{
	StringInfoData buf;
	KeyReader	reader;
	KeyIO		io;
	Datum		value;
	uint8		mark;

	key_reader_begin(&reader, PG_GETARG_DATUM(0));
	pq_begintypsend(&buf);
	pq_sendbyte(&buf, STATE_VERSION);
	key_send_begin(&io, &buf, &reader.key);
	pq_sendint64(&buf, reader.customers);
	while (key_reader_next(&reader, &value, &mark))
	{
		CHECK_FOR_INTERRUPTS();
		pq_sendbyte(&buf, mark);
		key_send(&io, &buf, value);

		/* The text form takes twice as much. */
		if ((Size) buf.len > KEYS_LARGEST_FLAT / 2)
			key_refuse_size(reader.customers);
	}
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

static KeySet *
state_receive(StringInfo buf)
{
	KeyType		key;
	KeyIO		io;
	KeySet	   *state;
	int64		customers;

	if (pq_getmsgbyte(buf) != STATE_VERSION)
		key_refuse_external("repurchase_state", "The format version is unknown.");
	key_receive_begin(&io, buf, &key, "repurchase_state");
	customers = pq_getmsgint64(buf);

	/* A customer takes five bytes at least. */
	if (customers < 0 || customers > (buf->len - buf->cursor) / 5)
		key_refuse_external("repurchase_state", "The number of customers does not fit the length.");

	state = key_set_create(CurrentMemoryContext, &key, customers);
	for (int64 i = 0; i < customers; i++)
	{
		uint8		mark = pq_getmsgbyte(buf);

		CHECK_FOR_INTERRUPTS();
		if (mark != MARK_ONCE && mark != MARK_TWICE)
			key_refuse_external("repurchase_state", "A customer is marked neither once nor twice.");
		key_set_add_marked(state, key_receive(&io, buf), mark);
		if (state->customers != i + 1)
			key_refuse_external("repurchase_state", "A customer occurs twice.");
	}
	return state;
}

Datum
repurchase_state_recv(PG_FUNCTION_ARGS)
{
	KeySet	   *state = state_receive((StringInfo) PG_GETARG_POINTER(0));

	return EOHPGetRWDatum(&state->hdr);
}

Datum
repurchase_state_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(state_text(DirectFunctionCall1(repurchase_state_send, PG_GETARG_DATUM(0))));
}

Datum
repurchase_state_in(PG_FUNCTION_ARGS)
{
	StringInfoData buf;
	KeySet	   *state;

	state_bytes(&buf, PG_GETARG_CSTRING(0), "repurchase_state",
				"States are made by the aggregate repurchase_collect(customer).");
	state = state_receive(&buf);
	if (buf.cursor != buf.len)
		key_refuse_external("repurchase_state", "It goes on after the last customer.");
	return EOHPGetRWDatum(&state->hdr);
}
