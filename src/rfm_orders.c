/*
 * rfm_orders.c
 *		Customers by RFM scores from one row an order: rfm_matrix(customer,
 *		paid_at, amount).
 *
 * The state is what the orders of each customer come to.  It is a type of our
 * own, rfm_orders, exact, independent of the order of rows, and mergeable: in
 * memory an expanded object changed in place.
 *
 * While orders come one by one it is a table.  To be passed on and merged it is
 * packed.
 */
#include "packed_orders.h"

#include "aggregate_context.h"
#include "history_encoding.h"
#include "large_memory.h"
#include "numeric_units.h"
#include "state_text.h"

#include "catalog/pg_collation.h"
#include "common/int.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define STATE_MAGIC		0x52464f52
#define STATE_VERSION	1
#define FLAT_VERSION	2

typedef struct RfmOrders
{
	ExpandedObjectHeader hdr;
	int			magic;
	int			scale;
	KeyType		key;
	OrderTable *table;			/* NULL when it is packed */
	PackedOrders *packed;
	Size		totals_size;	/* computed by orders_flat_size(), with the ... */
	Size		flat_size;		/* ... size of all */
} RfmOrders;

/* Flattened: the totals as rfm_totals has them, then the row of customers, if any. */
typedef struct FlatRfmOrders
{
	int32		vl_len_;
	int32		version;
	Oid			type;
	Oid			collation;
	bool		numbered;
	int64		totals_size;
	char		totals[FLEXIBLE_ARRAY_MEMBER];
} FlatRfmOrders;

PG_FUNCTION_INFO_V1(rfm_orders_in);
PG_FUNCTION_INFO_V1(rfm_orders_out);
PG_FUNCTION_INFO_V1(rfm_orders_recv);
PG_FUNCTION_INFO_V1(rfm_orders_send);
PG_FUNCTION_INFO_V1(rfm_orders_add);
PG_FUNCTION_INFO_V1(rfm_orders_merge);
PG_FUNCTION_INFO_V1(rfm_orders_final);
PG_FUNCTION_INFO_V1(rfm_orders_cuts);

static Size orders_flat_size(ExpandedObjectHeader *eohptr);
static void orders_flatten(ExpandedObjectHeader *eohptr, void *result, Size allocated_size);

static const ExpandedObjectMethods orders_methods = {
	orders_flat_size,
	orders_flatten
};

static RfmOrders *
orders_create(MemoryContext parent, const KeyType *key)
{
	MemoryContext context = AllocSetContextCreate(parent, "rfm orders", ALLOCSET_START_SMALL_SIZES);
	RfmOrders  *state = (RfmOrders *) MemoryContextAllocZero(context, sizeof(RfmOrders));

	EOH_init_header(&state->hdr, &orders_methods, context);
	state->magic = STATE_MAGIC;
	state->key = *key;
	return state;
}

static RfmOrders *
orders_expanded(Datum datum)
{
	RfmOrders  *state;

	if (!VARATT_IS_EXTERNAL_EXPANDED(DatumGetPointer(datum)))
		return NULL;
	state = (RfmOrders *) DatumGetEOHP(datum);
	if (state->magic != STATE_MAGIC)
		elog(ERROR, "rfm orders have the wrong magic number");
	return state;
}

/* ----------------------------------------------------------------
 * A table or packed
 * ----------------------------------------------------------------
 */

/*
 * What is behind a datum, to be read as packed orders.
 */
static void
read_datum(PackedReader *reader, KeyType *key, Datum datum)
{
	RfmOrders  *state = orders_expanded(datum);

	if (state != NULL)
	{
		*key = state->key;
		packed_orders_read(reader, key, state->table == NULL ? state->packed :
						   packed_orders_of_table(state->table, state->scale, CurrentMemoryContext, false));
	}
	else
	{
		const FlatRfmOrders *flat = (const FlatRfmOrders *) PG_DETOAST_DATUM(datum);
		Size		row;

		if (flat->version != FLAT_VERSION)
			elog(ERROR, "unknown version %d of rfm_orders", flat->version);
		key_type_init(key, flat->type, OidIsValid(flat->collation) ? flat->collation : C_COLLATION_OID);
		row = offsetof(FlatRfmOrders, totals) + MAXALIGN(flat->totals_size);
		packed_reader_begin(reader, key, flat->numbered,
							rfm_totals_open(flat->totals, flat->totals_size, CurrentMemoryContext),
							key->kind == KEY_WORD ? NULL : (const char *) flat + row,
							VARSIZE(flat) - row);
	}
}

/* Have the state packed. */
static void
become_packed(RfmOrders *state)
{
	OrderTable *table = state->table;

	if (table == NULL)
		return;

	/* Of no use to anybody should this be interrupted. */
	state->magic = 0;
	state->packed = packed_orders_of_table(table, state->scale, state->hdr.eoh_context, true);
	state->table = NULL;
	order_table_free(table);
	state->magic = STATE_MAGIC;
}

static void
set_packed(RfmOrders *state, PackedOrders *packed)
{
	PackedOrders *old = state->packed;

	state->packed = packed;
	state->scale = packed->totals->scale;
	if (old != NULL)
		packed_orders_free(old);
}

/* Have the state as a table, to which orders can be added. */
static void
become_table(RfmOrders *state)
{
	PackedOrders *packed = state->packed;
	PackedReader reader;

	state->table = order_table_create(state->hdr.eoh_context, &state->key,
									  packed != NULL ? packed->totals->customers : 0);
	state->packed = NULL;
	if (packed == NULL)
		return;
	packed_orders_read(&reader, &state->key, packed);
	while (packed_reader_next(&reader))
		order_table_add(state->table, reader.total.customer, reader.total.last,
						reader.total.purchases, reader.total.units);
	order_table_settle(state->table);
	packed_orders_free(packed);
}

/*
 * A state that may be changed in place: the aggregate's own, else a copy.
 */
static RfmOrders *
orders_writable(Datum datum, MemoryContext context)
{
	RfmOrders  *state;
	PackedReader reader;
	KeyType		key;

	if (VARATT_IS_EXTERNAL_EXPANDED_RW(DatumGetPointer(datum)))
		return orders_expanded(datum);

	read_datum(&reader, &key, datum);
	state = orders_create(context, &key);
	set_packed(state, packed_orders_copy(&reader, state->hdr.eoh_context));
	return state;
}

/* ----------------------------------------------------------------
 * Flattening
 * ----------------------------------------------------------------
 */

static Size
orders_flat_size(ExpandedObjectHeader *eohptr)
{
	RfmOrders  *state = (RfmOrders *) eohptr;

	/*
	 * Who wants it flat has done with it.  The table's memory serves for the
	 * copies that are made now.
	 */
	become_packed(state);
	state->totals_size = rfm_totals_flat_size(state->packed->totals);
	state->flat_size = offsetof(FlatRfmOrders, totals) + MAXALIGN(state->totals_size) +
		state->packed->customers.used;
	if (state->flat_size > KEYS_LARGEST_FLAT)
		key_refuse_size(state->packed->totals->customers);
	return state->flat_size;
}

static void
orders_flatten(ExpandedObjectHeader *eohptr, void *result, Size allocated_size)
{
	RfmOrders  *state = (RfmOrders *) eohptr;
	FlatRfmOrders *flat = (FlatRfmOrders *) result;
	Size		padding = MAXALIGN(state->totals_size) - state->totals_size;

	Assert(allocated_size == state->flat_size);
	large_advise(flat, allocated_size);
	memset(flat, 0, offsetof(FlatRfmOrders, totals));
	SET_VARSIZE(flat, allocated_size);
	flat->version = FLAT_VERSION;
	flat->type = state->key.type;
	flat->collation = state->key.collation;
	flat->numbered = state->packed->numbered;
	flat->totals_size = state->totals_size;
	rfm_totals_flatten(state->packed->totals, flat->totals);
	memset(flat->totals + state->totals_size, 0, padding);
	if (state->packed->customers.used > 0)
		memcpy(flat->totals + state->totals_size + padding, state->packed->customers.bytes,
			   state->packed->customers.used);
}

/* ----------------------------------------------------------------
 * The aggregate
 * ----------------------------------------------------------------
 */

/*
 * Bring a table to a scale that fits the one given, and return what amounts of
 * that one are to be multiplied with.
 */
static int64
bring_to_scale(RfmOrders *state, int scale)
{
	if (scale <= state->scale)
		return history_power_of_ten[state->scale - scale];
	order_table_rescale(state->table, history_power_of_ten[scale - state->scale]);
	state->scale = scale;
	return 1;
}

/*
 * rfm_orders_add(state, customer, paid_at, amount)
 */
Datum
rfm_orders_add(PG_FUNCTION_ARGS)
{
	const KeyType *key;
	RfmOrders  *state;
	TimestampTz at;
	Numeric		amount;
	int64		units;
	int			scale;
	AmountCheck check;

	if (PG_ARGISNULL(1) || PG_ARGISNULL(2) || PG_ARGISNULL(3))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}

	key = key_type_of_argument(fcinfo, 1);
	if (PG_ARGISNULL(0))
		state = orders_create(aggregate_context(fcinfo), key);
	else if (VARATT_IS_EXTERNAL_EXPANDED_RW(DatumGetPointer(PG_GETARG_DATUM(0))))
		state = orders_expanded(PG_GETARG_DATUM(0));
	else
		state = orders_writable(PG_GETARG_DATUM(0), aggregate_context(fcinfo));
	key_type_check(&state->key, key);
	if (unlikely(state->table == NULL))
		become_table(state);

	at = PG_GETARG_TIMESTAMPTZ(2);
	if (TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("a purchase cannot have an infinite time"),
				 errhint("Use NULL for an order that is not paid.")));
	amount = (Numeric) PG_DETOAST_DATUM_PACKED(PG_GETARG_DATUM(3));
	if (unlikely(!numeric_to_units_of_scale(amount, state->scale, &units)))
	{
		check = history_amount_to_units(amount, &units, &scale);
		if (check != AMOUNT_OK)
			history_refuse_amount(check, amount);
		if (pg_mul_s64_overflow(units, bring_to_scale(state, scale), &units))
			order_refuse_sum();
	}

	order_table_add(state->table, PG_GETARG_DATUM(1), at, 1, units);
	return EOHPGetRWDatum(&state->hdr);
}

/*
 * rfm_orders_merge(state, state): combine function, and transition function of
 * merge(state).
 */
Datum
rfm_orders_merge(PG_FUNCTION_ARGS)
{
	MemoryContext context = aggregate_context(fcinfo);
	RfmOrders  *state;
	PackedReader reader;
	PackedReader own;
	KeyType		key;

	if (PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}
	if (PG_ARGISNULL(0))
	{
		state = orders_writable(MakeExpandedObjectReadOnly(PG_GETARG_DATUM(1), false, -1), context);
		return EOHPGetRWDatum(&state->hdr);
	}
	read_datum(&reader, &key, PG_GETARG_DATUM(1));
	state = orders_writable(PG_GETARG_DATUM(0), context);
	key_type_check(&state->key, &key);
	become_packed(state);
	packed_orders_read(&own, &state->key, state->packed);
	set_packed(state, packed_orders_merge(&own, &reader, state->hdr.eoh_context));
	return EOHPGetRWDatum(&state->hdr);
}

Datum
rfm_orders_final(PG_FUNCTION_ARGS)
{
	PackedReader reader;
	KeyType		key;

	read_datum(&reader, &key, PG_GETARG_DATUM(0));
	return rfm_matrix_rows(fcinfo, reader.totals);
}

/*
 * rfm_cuts_of(state, at)
 */
Datum
rfm_orders_cuts(PG_FUNCTION_ARGS)
{
	PackedReader reader;
	KeyType		key;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	read_datum(&reader, &key, PG_GETARG_DATUM(0));
	return rfm_cuts_row(fcinfo, reader.totals);
}

/* ----------------------------------------------------------------
 * The external form: version, names of type and collation, the size of the
 * totals and the totals as rfm_totals has them, then the customers in the
 * type's own binary form.  As text it is the same in hexadecimal.
 * ----------------------------------------------------------------
 */

Datum
rfm_orders_send(PG_FUNCTION_ARGS)
{
	StringInfoData buf;
	PackedReader reader;
	PackedReader customers;
	RfmTotals  *totals = rfm_totals_create(CurrentMemoryContext);
	KeyType		key;
	Size		size;
	char	   *flat;
	KeyIO		io;

	/* Numbers of ours that tell customers apart may mean others elsewhere. */
	read_datum(&reader, &key, PG_GETARG_DATUM(0));
	customers = reader;
	while (packed_reader_next(&customers))
		rfm_totals_add(totals, 0, customers.total.last, customers.total.purchases,
					   customers.total.units, reader.totals->scale);
	size = rfm_totals_flat_size(totals);
	flat = palloc(size);
	rfm_totals_flatten(totals, flat);

	pq_begintypsend(&buf);
	pq_sendbyte(&buf, STATE_VERSION);
	key_send_begin(&io, &buf, &key);
	pq_sendint64(&buf, size);
	pq_sendbytes(&buf, flat, size);
	pfree(flat);
	while (packed_reader_next(&reader))
	{
		CHECK_FOR_INTERRUPTS();
		key_send(&io, &buf, reader.total.customer);

		/* The text form takes twice as much. */
		if ((Size) buf.len > KEYS_LARGEST_FLAT / 2)
			key_refuse_size(reader.totals->customers);
	}
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

static RfmOrders *
orders_receive(StringInfo buf)
{
	KeyType		key;
	KeyIO		io;
	PackedReader reader;
	RfmTotals  *totals;
	RfmOrders  *state;
	int64		size;

	if (pq_getmsgbyte(buf) != STATE_VERSION)
		key_refuse_external("rfm_orders", "The format version is unknown.");
	key_receive_begin(&io, buf, &key, "rfm_orders");
	size = pq_getmsgint64(buf);
	if (size < 0 || size > buf->len - buf->cursor)
		key_refuse_external("rfm_orders", "The totals end beyond the end.");
	totals = rfm_totals_open(pq_getmsgbytes(buf, (int) size), size, CurrentMemoryContext);
	rfm_totals_check_foreign(totals);

	/* A customer takes four bytes at least. */
	if (totals->customers > (buf->len - buf->cursor) / 4)
		key_refuse_external("rfm_orders", "The number of customers does not fit the length.");

	/* They may have come from where hashes are others. */
	state = orders_create(CurrentMemoryContext, &key);
	state->scale = totals->scale;
	state->table = order_table_create(state->hdr.eoh_context, &key, totals->customers);
	packed_reader_begin(&reader, &key, false, totals, NULL, 0);
	for (int64 i = 0; packed_reader_next(&reader); i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (reader.total.customer != 0)
			key_refuse_external("rfm_orders", "A total is that of a number.");
		order_table_add(state->table, key_receive(&io, buf), reader.total.last,
						reader.total.purchases, reader.total.units);
		order_table_settle(state->table);
		if (state->table->customers != i + 1)
			key_refuse_external("rfm_orders", "A customer occurs twice.");
	}
	return state;
}

Datum
rfm_orders_recv(PG_FUNCTION_ARGS)
{
	RfmOrders  *state = orders_receive((StringInfo) PG_GETARG_POINTER(0));

	return EOHPGetRWDatum(&state->hdr);
}

Datum
rfm_orders_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(state_text(DirectFunctionCall1(rfm_orders_send, PG_GETARG_DATUM(0))));
}

Datum
rfm_orders_in(PG_FUNCTION_ARGS)
{
	StringInfoData buf;
	RfmOrders  *state;

	state_bytes(&buf, PG_GETARG_CSTRING(0), "rfm_orders",
				"States are made by the aggregate rfm_collect(customer, paid_at, amount).");
	state = orders_receive(&buf);
	if (buf.cursor != buf.len)
		key_refuse_external("rfm_orders", "It goes on after the last customer.");
	return EOHPGetRWDatum(&state->hdr);
}
