/*
 * rfm_orders.c
 *		Customers by RFM scores from one row an order: rfm_matrix(customer,
 *		paid_at, amount).
 *
 * The state is a set of customers, numbered, and by number what their orders
 * come to.  It is a type of our own, rfm_orders, exact, independent of the
 * order of rows, and mergeable: in memory an expanded object changed in place.
 */
#include "rfm_totals.h"

#include "history_encoding.h"
#include "key_set.h"
#include "large_memory.h"
#include "state_text.h"

#include "common/int.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define STATE_MAGIC		0x52464f52
#define STATE_VERSION	1
#define FIRST_CAPACITY	64

/*
 * A table of many customers does not fit the processor's caches.  So rows wait
 * for each other, and their places are fetched meanwhile.
 */
#define WAITING_MAX		32

typedef struct OrderTotal
{
	TimestampTz last;
	int64		purchases;
	int64		units;			/* money in units of 10^-scale of the state */
} OrderTotal;

typedef struct WaitingOrder
{
	Datum		customer;
	TimestampTz at;
	int64		units;
} WaitingOrder;

typedef struct RfmOrders
{
	ExpandedObjectHeader hdr;
	int			magic;
	int			scale;
	KeySet	   *customers;
	OrderTotal *totals;			/* by number of the customer */
	int64		ntotals;
	int64		capacity;
	int			nwaiting;
	WaitingOrder waiting[WAITING_MAX];
	Size		keys_size;		/* computed by orders_flat_size() */
} RfmOrders;

/* Flattened: the totals in the order in which the flat set has its keys, and the set. */
typedef struct FlatRfmOrders
{
	int32		vl_len_;
	int32		version;
	int64		scale;
	int64		customers;
	OrderTotal	totals[FLEXIBLE_ARRAY_MEMBER];
} FlatRfmOrders;

PG_FUNCTION_INFO_V1(rfm_orders_in);
PG_FUNCTION_INFO_V1(rfm_orders_out);
PG_FUNCTION_INFO_V1(rfm_orders_recv);
PG_FUNCTION_INFO_V1(rfm_orders_send);
PG_FUNCTION_INFO_V1(rfm_orders_add);
PG_FUNCTION_INFO_V1(rfm_orders_merge);
PG_FUNCTION_INFO_V1(rfm_orders_final);

static Size orders_flat_size(ExpandedObjectHeader *eohptr);
static void orders_flatten(ExpandedObjectHeader *eohptr, void *result, Size allocated_size);

static const ExpandedObjectMethods orders_methods = {
	orders_flat_size,
	orders_flatten
};

/* ----------------------------------------------------------------
 * Totals
 * ----------------------------------------------------------------
 */

static RfmOrders *
orders_create(MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "rfm orders", ALLOCSET_START_SMALL_SIZES);
	RfmOrders  *state = (RfmOrders *) MemoryContextAllocZero(context, sizeof(RfmOrders));

	EOH_init_header(&state->hdr, &orders_methods, context);
	state->magic = STATE_MAGIC;
	return state;
}

static void
refuse_sum(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("sum of purchases is too large"),
			 errdetail("A customer's sum is kept in 64 bits, with as many decimal places as the finest amount has.")));
}

static void
reserve(RfmOrders *state, int64 customers)
{
	Size		size;

	if (customers <= state->capacity)
		return;
	state->capacity = Max(Max(customers, state->capacity * 2), FIRST_CAPACITY);
	size = state->capacity * sizeof(OrderTotal);
	state->totals = state->totals == NULL ?
		MemoryContextAllocHuge(state->hdr.eoh_context, size) : repalloc_huge(state->totals, size);
	prefer_large_pages(state->totals, size);
}

static inline void
total_add(RfmOrders *state, int64 number, TimestampTz last, int64 purchases, int64 units)
{
	OrderTotal *total;

	if (number >= state->ntotals)
	{
		reserve(state, number + 1);
		state->ntotals = number + 1;
		state->totals[number].last = last;
		state->totals[number].purchases = purchases;
		state->totals[number].units = units;
		return;
	}
	total = &state->totals[number];
	total->last = Max(total->last, last);
	if (pg_add_s64_overflow(total->purchases, purchases, &total->purchases) ||
		pg_add_s64_overflow(total->units, units, &total->units))
		refuse_sum();
}

static inline void
fetch_total(const RfmOrders *state, int64 number)
{
#if defined(__GNUC__) || defined(__clang__)
	if (number < state->ntotals)
		__builtin_prefetch(&state->totals[number]);
#endif
}

/*
 * Put the rows that wait in place.
 */
static void
settle(RfmOrders *state)
{
	int64		numbers[WAITING_MAX];
	int			nwaiting = state->nwaiting;

	state->nwaiting = 0;
	for (int i = 0; i < nwaiting; i++)
	{
		numbers[i] = key_set_number(state->customers, state->waiting[i].customer);
		fetch_total(state, numbers[i]);
	}
	for (int i = 0; i < nwaiting; i++)
		total_add(state, numbers[i], state->waiting[i].at, 1, state->waiting[i].units);
}

/*
 * Bring the state to a scale that fits the one given, and return what amounts
 * of that one are to be multiplied with.
 */
static int64
bring_to_scale(RfmOrders *state, int scale)
{
	int64		factor;

	if (scale <= state->scale)
		return history_power_of_ten[state->scale - scale];

	settle(state);
	factor = history_power_of_ten[scale - state->scale];
	for (int64 i = 0; i < state->ntotals; i++)
	{
		if (pg_mul_s64_overflow(state->totals[i].units, factor, &state->totals[i].units))
			refuse_sum();
	}
	state->scale = scale;
	return 1;
}

/* ----------------------------------------------------------------
 * Reading and flattening
 * ----------------------------------------------------------------
 */

static Size
orders_flat_size(ExpandedObjectHeader *eohptr)
{
	RfmOrders  *state = (RfmOrders *) eohptr;
	Size		size;

	settle(state);
	state->keys_size = EOH_get_flat_size(&state->customers->hdr);
	size = offsetof(FlatRfmOrders, totals) + state->ntotals * sizeof(OrderTotal) + state->keys_size;
	if (size > KEY_SET_LARGEST_FLAT)
		key_set_refuse_size(state->ntotals);
	return size;
}

static void
orders_flatten(ExpandedObjectHeader *eohptr, void *result, Size allocated_size)
{
	RfmOrders  *state = (RfmOrders *) eohptr;
	FlatRfmOrders *flat = (FlatRfmOrders *) result;
	KeyReader	reader;
	Datum		customer;
	uint8		mark;
	int64		i = 0;

	memset(flat, 0, offsetof(FlatRfmOrders, totals));
	SET_VARSIZE(flat, allocated_size);
	flat->version = STATE_VERSION;
	flat->scale = state->scale;
	flat->customers = state->ntotals;

	key_reader_begin(&reader, EOHPGetRODatum(&state->customers->hdr));
	while (key_reader_next(&reader, &customer, &mark))
		flat->totals[i++] = state->totals[key_reader_number(&reader)];
	EOH_flatten_into(&state->customers->hdr, &flat->totals[i], state->keys_size);
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

/* What a state holds, be it expanded or flat. */
typedef struct OrdersReader
{
	KeyReader	keys;
	const OrderTotal *totals;	/* by number of the key */
	int			scale;
	int64		customers;
} OrdersReader;

static void
orders_reader_begin(OrdersReader *reader, Datum datum)
{
	RfmOrders  *state = orders_expanded(datum);

	if (state != NULL)
	{
		settle(state);
		reader->totals = state->totals;
		reader->scale = state->scale;
		reader->customers = state->ntotals;
		key_reader_begin(&reader->keys, EOHPGetRODatum(&state->customers->hdr));
	}
	else
	{
		const FlatRfmOrders *flat = (const FlatRfmOrders *) PG_DETOAST_DATUM(datum);

		if (flat->version != STATE_VERSION)
			elog(ERROR, "unknown version %d of rfm_orders", flat->version);
		reader->totals = flat->totals;
		reader->scale = (int) flat->scale;
		reader->customers = flat->customers;
		key_reader_begin(&reader->keys, PointerGetDatum(&flat->totals[flat->customers]));
	}
}

static void
orders_add_all(RfmOrders *state, OrdersReader *reader)
{
	MemoryContext scratch;
	MemoryContext old;
	int64		factor = bring_to_scale(state, reader->scale);
	Datum		customers[WAITING_MAX];
	const OrderTotal *totals[WAITING_MAX];
	int64		numbers[WAITING_MAX];
	int			n;
	uint8		mark;

	/* A type's own functions may leave something behind. */
	scratch = AllocSetContextCreate(CurrentMemoryContext, "rfm merge", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(scratch);
	settle(state);
	do
	{
		for (n = 0; n < WAITING_MAX && key_reader_next(&reader->keys, &customers[n], &mark); n++)
		{
			totals[n] = &reader->totals[key_reader_number(&reader->keys)];
			if (state->customers->key.kind == KEY_WORD)
				key_set_fetch(state->customers, customers[n]);
		}
		for (int i = 0; i < n; i++)
		{
			numbers[i] = key_set_number(state->customers, customers[i]);
			fetch_total(state, numbers[i]);
		}
		for (int i = 0; i < n; i++)
		{
			int64		units;

			if (pg_mul_s64_overflow(totals[i]->units, factor, &units))
				refuse_sum();
			total_add(state, numbers[i], totals[i]->last, totals[i]->purchases, units);
		}
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(scratch);
	} while (n == WAITING_MAX);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
}

/*
 * A state with what the reader has.
 */
static RfmOrders *
orders_copy(OrdersReader *reader, MemoryContext context)
{
	RfmOrders  *state = orders_create(context);

	state->customers = key_set_create_numbered(state->hdr.eoh_context, &reader->keys.key,
											   reader->customers);
	reserve(state, reader->customers);
	orders_add_all(state, reader);
	return state;
}

/*
 * A state that may be changed in place: the aggregate's own, else a copy.
 */
static RfmOrders *
orders_writable(Datum datum, MemoryContext context)
{
	OrdersReader reader;

	if (VARATT_IS_EXTERNAL_EXPANDED_RW(DatumGetPointer(datum)))
		return orders_expanded(datum);
	orders_reader_begin(&reader, datum);
	return orders_copy(&reader, context);
}

/* ----------------------------------------------------------------
 * The aggregate
 * ----------------------------------------------------------------
 */

static MemoryContext
aggregate_context(FunctionCallInfo fcinfo)
{
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "part of an aggregate called outside an aggregate");
	return context;
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
	{
		state = orders_create(aggregate_context(fcinfo));
		state->customers = key_set_create_numbered(state->hdr.eoh_context, key, 0);
	}
	else if (VARATT_IS_EXTERNAL_EXPANDED_RW(DatumGetPointer(PG_GETARG_DATUM(0))))
		state = orders_expanded(PG_GETARG_DATUM(0));
	else
		state = orders_writable(PG_GETARG_DATUM(0), aggregate_context(fcinfo));
	key_set_check_type(state->customers, key);

	at = PG_GETARG_TIMESTAMPTZ(2);
	if (TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("a purchase cannot have an infinite time"),
				 errhint("Use NULL for an order that is not paid.")));
	amount = (Numeric) PG_DETOAST_DATUM_PACKED(PG_GETARG_DATUM(3));
	check = history_amount_to_units(amount, &units, &scale);
	if (unlikely(check != AMOUNT_OK))
		history_refuse_amount(check, amount);
	if (scale != state->scale && pg_mul_s64_overflow(units, bring_to_scale(state, scale), &units))
		refuse_sum();

	if (state->customers->key.kind == KEY_WORD)
	{
		WaitingOrder *waiting = &state->waiting[state->nwaiting++];

		waiting->customer = PG_GETARG_DATUM(1);
		waiting->at = at;
		waiting->units = units;
		key_set_fetch(state->customers, waiting->customer);
		if (state->nwaiting == WAITING_MAX)
			settle(state);
	}
	else
		total_add(state, key_set_number(state->customers, PG_GETARG_DATUM(1)), at, 1, units);
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
	OrdersReader reader;

	if (PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}
	orders_reader_begin(&reader, PG_GETARG_DATUM(1));
	if (PG_ARGISNULL(0))
		state = orders_copy(&reader, context);
	else
	{
		state = orders_writable(PG_GETARG_DATUM(0), context);
		key_set_check_type(state->customers, &reader.keys.key);
		orders_add_all(state, &reader);
	}
	return EOHPGetRWDatum(&state->hdr);
}

Datum
rfm_orders_final(PG_FUNCTION_ARGS)
{
	OrdersReader reader;
	RfmTotals	totals;
	int64		n;

	orders_reader_begin(&reader, PG_GETARG_DATUM(0));
	n = reader.customers;
	memset(&totals, 0, sizeof(totals));
	totals.scale = reader.scale;
	totals.customers = n;
	totals.last = (TimestampTz *) MemoryContextAllocHuge(CurrentMemoryContext, Max(n, 1) * sizeof(TimestampTz));
	totals.purchases = (int64 *) MemoryContextAllocHuge(CurrentMemoryContext, Max(n, 1) * sizeof(int64));
	totals.units = (int64 *) MemoryContextAllocHuge(CurrentMemoryContext, Max(n, 1) * sizeof(int64));
	for (int64 i = 0; i < n; i++)
	{
		totals.last[i] = reader.totals[i].last;
		totals.purchases[i] = reader.totals[i].purchases;
		totals.units[i] = reader.totals[i].units;
	}
	return rfm_matrix_rows(fcinfo, &totals);
}

/* ----------------------------------------------------------------
 * The external form: version, scale, number of customers, the totals of each,
 * and the customers as repurchase_state has them.  As text it is the same in
 * hexadecimal.
 * ----------------------------------------------------------------
 */

Datum
rfm_orders_send(PG_FUNCTION_ARGS)
{
	StringInfoData buf;
	struct varlena *datum = PG_DETOAST_DATUM(PG_GETARG_DATUM(0));
	const FlatRfmOrders *flat = (const FlatRfmOrders *) datum;
	bytea	   *customers = DatumGetByteaPP(DirectFunctionCall1(repurchase_state_send,
															   PointerGetDatum(&flat->totals[flat->customers])));

	if (flat->customers * sizeof(OrderTotal) + VARSIZE_ANY(customers) > KEY_SET_LARGEST_FLAT / 2)
		key_set_refuse_size(flat->customers);
	pq_begintypsend(&buf);
	pq_sendbyte(&buf, STATE_VERSION);
	pq_sendbyte(&buf, (uint8) flat->scale);
	pq_sendint64(&buf, flat->customers);
	for (int64 i = 0; i < flat->customers; i++)
	{
		pq_sendint64(&buf, flat->totals[i].last);
		pq_sendint64(&buf, flat->totals[i].purchases);
		pq_sendint64(&buf, flat->totals[i].units);
	}
	pq_sendbytes(&buf, VARDATA_ANY(customers), VARSIZE_ANY_EXHDR(customers));
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

static void
refuse_external(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
			 errmsg("invalid external rfm_orders value"),
			 errdetail_internal("%s", detail)));
}

static RfmOrders *
orders_receive(StringInfo buf)
{
	RfmOrders  *state = orders_create(CurrentMemoryContext);
	MemoryContext old;
	int64		customers;

	if (pq_getmsgbyte(buf) != STATE_VERSION)
		refuse_external("The format version is unknown.");
	state->scale = pq_getmsgbyte(buf);
	if (state->scale > HISTORY_MAX_SCALE)
		refuse_external("The scale is out of range.");
	customers = pq_getmsgint64(buf);
	if (customers < 0 || customers > (buf->len - buf->cursor) / (int64) sizeof(OrderTotal))
		refuse_external("The number of customers does not fit the length.");
	reserve(state, customers);
	for (int64 i = 0; i < customers; i++)
	{
		OrderTotal *total = &state->totals[i];

		if ((i & 0xffff) == 0)
			CHECK_FOR_INTERRUPTS();
		total->last = pq_getmsgint64(buf);
		total->purchases = pq_getmsgint64(buf);
		total->units = pq_getmsgint64(buf);
		if (!IS_VALID_TIMESTAMP(total->last) || total->purchases < 1 || total->units < 0)
			refuse_external("A total is out of range.");
	}
	state->ntotals = customers;

	old = MemoryContextSwitchTo(state->hdr.eoh_context);
	state->customers = key_set_receive(buf, true);
	MemoryContextSwitchTo(old);
	if (state->customers->customers != customers)
		refuse_external("The customers are not as many as the totals.");
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
		refuse_external("It goes on after the last customer.");
	return EOHPGetRWDatum(&state->hdr);
}
