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

#include "access/htup_details.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/syscache.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

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

	key_set_check_type(state, key);
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

	key_set_check_type(state, &reader.key);
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
	FmgrInfo	send;
	Oid			send_oid;
	bool		is_varlena;
	const char *collation = "";
	Datum		value;
	uint8		mark;

	key_reader_begin(&reader, PG_GETARG_DATUM(0));
	getTypeBinaryOutputInfo(reader.key.type, &send_oid, &is_varlena);
	fmgr_info(send_oid, &send);

	if (OidIsValid(reader.key.collation))
	{
		HeapTuple	tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(reader.key.collation));
		Form_pg_collation form;

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for collation %u", reader.key.collation);
		form = (Form_pg_collation) GETSTRUCT(tuple);
		collation = quote_qualified_identifier(get_namespace_name(form->collnamespace),
											   NameStr(form->collname));
		ReleaseSysCache(tuple);
	}

	pq_begintypsend(&buf);
	pq_sendbyte(&buf, STATE_VERSION);
	pq_sendstring(&buf, format_type_extended(reader.key.type, -1, FORMAT_TYPE_FORCE_QUALIFY));
	pq_sendstring(&buf, collation);
	pq_sendint64(&buf, reader.customers);
	while (key_reader_next(&reader, &value, &mark))
	{
		bytea	   *bytes = SendFunctionCall(&send, value);
		int			len = VARSIZE_ANY_EXHDR(bytes);

		CHECK_FOR_INTERRUPTS();

		/* The text form takes twice as much. */
		if ((Size) buf.len + len + 8 > KEY_SET_LARGEST_FLAT / 2)
			key_set_refuse_size(reader.customers);
		pq_sendbyte(&buf, mark);
		pq_sendint32(&buf, len);
		pq_sendbytes(&buf, VARDATA_ANY(bytes), len);
		pfree(bytes);
	}
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

static void
refuse_external(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
			 errmsg("invalid external repurchase_state value"),
			 errdetail_internal("%s", detail)));
}

/*
 * The set whose external form comes next in the buffer; numbers are by the
 * place in it.
 */
KeySet *
key_set_receive(StringInfo buf, bool numbered)
{
	KeyType		key;
	KeySet *state;
	FmgrInfo	receive;
	Oid			receive_oid;
	Oid			typioparam;
	Oid			type;
	Oid			collation = C_COLLATION_OID;
	const char *name;
	int64		customers;
	bool		has_collation;

	if (pq_getmsgbyte(buf) != STATE_VERSION)
		refuse_external("The format version is unknown.");
	name = pq_getmsgstring(buf);
	type = DatumGetObjectId(DirectFunctionCall1(regtypein, CStringGetDatum(name)));
	if (!OidIsValid(type) || get_typtype(type) == TYPTYPE_PSEUDO)
		refuse_external("The type of the customers is not a type of values.");
	name = pq_getmsgstring(buf);
	has_collation = (name[0] != '\0');
	if (has_collation)
		collation = DatumGetObjectId(DirectFunctionCall1(regcollationin, CStringGetDatum(name)));
	if (!OidIsValid(collation))
		refuse_external("The collation does not exist.");
	key_type_init(&key, type, collation);
	if (key.type != type)
		refuse_external("The type of the customers is a domain.");
	if (has_collation && key.collation != collation)
		refuse_external("The type of the customers takes no collation.");
	customers = pq_getmsgint64(buf);

	/* A customer takes five bytes at least. */
	if (customers < 0 || customers > (buf->len - buf->cursor) / 5)
		refuse_external("The number of customers does not fit the length.");

	getTypeBinaryInputInfo(key.type, &receive_oid, &typioparam);
	fmgr_info(receive_oid, &receive);

	state = numbered ? key_set_create_numbered(CurrentMemoryContext, &key, customers) :
		key_set_create(CurrentMemoryContext, &key, customers);
	for (int64 i = 0; i < customers; i++)
	{
		uint8		mark = pq_getmsgbyte(buf);
		int			len = pq_getmsgint(buf, 4);
		StringInfoData item;
		Datum		value;
		char		saved;

		CHECK_FOR_INTERRUPTS();

		if (mark != MARK_ONCE && mark != MARK_TWICE)
			refuse_external("A customer is marked neither once nor twice.");
		if (len < 0 || len > buf->len - buf->cursor)
			refuse_external("A customer ends beyond the end.");

		/* Receive functions expect a terminated buffer, as record_recv gives. */
		item.data = buf->data + buf->cursor;
		item.len = len;
		item.maxlen = len + 1;
		item.cursor = 0;
		buf->cursor += len;
		saved = buf->data[buf->cursor];
		buf->data[buf->cursor] = '\0';
		value = ReceiveFunctionCall(&receive, &item, typioparam, -1);
		buf->data[buf->cursor] = saved;
		if (item.cursor != len)
			refuse_external("A customer is longer than its type.");

		key_set_add_marked(state, value, mark);
		if (state->customers != i + 1)
			refuse_external("A customer occurs twice.");
	}
	return state;
}

Datum
repurchase_state_recv(PG_FUNCTION_ARGS)
{
	KeySet	   *state = key_set_receive((StringInfo) PG_GETARG_POINTER(0), false);

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
	state = key_set_receive(&buf, false);
	if (buf.cursor != buf.len)
		refuse_external("It goes on after the last customer.");
	return EOHPGetRWDatum(&state->hdr);
}
