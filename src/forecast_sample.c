/*
 * forecast_sample.c
 *		The state of the aggregates that fit a forecast: customers grouped by
 *		what is known of them, so that likelihoods are computed once a group.
 *
 * In memory a state is an expanded object in the aggregate's context, changed
 * in place.  Flat and external form are one: bytes in network order, the groups
 * sorted, so that equal states have equal bytes.  What is read is checked.
 */
#include "forecast.h"

#include "aggregate_context.h"
#include "compat.h"
#include "state_text.h"

#include <math.h>

#include "common/int.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define SAMPLE_MAGIC	0x46435354
#define SAMPLE_VERSION	1

#define FIRST_SHIFT		56		/* 256 slots */

/* Bytes of the external form: a group, and what comes before the first. */
#define GROUP_BYTES		32
#define FIXED_BYTES		(2 + 8)

/* The text form takes twice as much, and travels in a tuple or a message. */
#define LARGEST_FLAT	((MaxAllocSize - 1024 * 1024) / 2)

PG_FUNCTION_INFO_V1(customer_sample_in);
PG_FUNCTION_INFO_V1(customer_sample_out);
PG_FUNCTION_INFO_V1(customer_sample_recv);
PG_FUNCTION_INFO_V1(customer_sample_send);
PG_FUNCTION_INFO_V1(customer_sample_merge);
PG_FUNCTION_INFO_V1(purchases_transition);
PG_FUNCTION_INFO_V1(purchases_history_transition);
PG_FUNCTION_INFO_V1(values_transition);
PG_FUNCTION_INFO_V1(values_history_transition);

static Size sample_flat_size(ExpandedObjectHeader *eohptr);
static void sample_flatten(ExpandedObjectHeader *eohptr, void *result, Size allocated_size);

static const ExpandedObjectMethods sample_methods = {
	sample_flat_size,
	sample_flatten
};

/* ----------------------------------------------------------------
 * Groups
 * ----------------------------------------------------------------
 */

static void
table_allocate(CustomerSample *sample, int shift)
{
	sample->shift = shift;
	sample->nslots = UINT64CONST(1) << (64 - shift);
	sample->slots = (CustomerGroup *)
		MemoryContextAllocExtended(sample->hdr.eoh_context, sample->nslots * sizeof(CustomerGroup),
								   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

static CustomerSample *
sample_create(MemoryContext parent, SampleKind kind)
{
	MemoryContext context = AllocSetContextCreate(parent, "customer sample",
												  ALLOCSET_START_SMALL_SIZES);
	CustomerSample *sample = (CustomerSample *) MemoryContextAllocZero(context, sizeof(CustomerSample));

	EOH_init_header(&sample->hdr, &sample_methods, context);
	sample->magic = SAMPLE_MAGIC;
	sample->kind = kind;
	table_allocate(sample, FIRST_SHIFT);
	return sample;
}

static inline uint64
double_bits(double value)
{
	uint64		bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static inline double
double_from_bits(uint64 bits)
{
	double		value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

/* The group's slot, or the empty one where it belongs. */
static CustomerGroup *
find_slot(CustomerSample *sample, const CustomerGroup *group)
{
	uint64		hash = double_bits(group->frequency);
	uint64		slot;

	hash = (hash ^ (hash >> 32)) * UINT64CONST(0x9e3779b97f4a7c15) + double_bits(group->measure);
	hash = (hash ^ (hash >> 32)) * UINT64CONST(0xd6e8feb86659fd93) + double_bits(group->age);
	hash = (hash ^ (hash >> 32)) * UINT64CONST(0x9e3779b97f4a7c15);
	slot = hash >> sample->shift;
	while (sample->slots[slot].customers != 0 &&
		   (sample->slots[slot].frequency != group->frequency ||
			sample->slots[slot].measure != group->measure ||
			sample->slots[slot].age != group->age))
		slot = (slot + 1) & (sample->nslots - 1);
	return &sample->slots[slot];
}

/* Makes room for so many groups, the table being half full at most. */
static void
table_reserve(CustomerSample *sample, int64 ngroups)
{
	CustomerGroup *old = sample->slots;
	uint64		nslots = sample->nslots;
	int			shift = sample->shift;

	while ((uint64) ngroups > (UINT64CONST(1) << (64 - shift)) / 2)
		shift--;
	if (shift == sample->shift)
		return;

	CHECK_FOR_INTERRUPTS();
	table_allocate(sample, shift);
	for (uint64 i = 0; i < nslots; i++)
	{
		if (old[i].customers != 0)
			*find_slot(sample, &old[i]) = old[i];
	}
	pfree(old);
}

static void
sample_add(CustomerSample *sample, const CustomerGroup *group)
{
	CustomerGroup *slot;

	table_reserve(sample, sample->ngroups + 1);
	slot = find_slot(sample, group);

	if (slot->customers == 0)
	{
		*slot = *group;
		sample->ngroups++;
	}
	else
	{
		int64		customers = slot->customers;

		if (pg_add_s64_overflow(customers, group->customers, &customers))
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("too many customers for a fit")));
		slot->customers = customers;
	}
}

static inline int
compare_groups(const CustomerGroup *a, const CustomerGroup *b)
{
	if (a->frequency != b->frequency)
		return a->frequency < b->frequency ? -1 : 1;
	if (a->measure != b->measure)
		return a->measure < b->measure ? -1 : 1;
	if (a->age != b->age)
		return a->age < b->age ? -1 : 1;
	return 0;
}

#define ST_SORT sort_groups
#define ST_ELEMENT_TYPE CustomerGroup
#define ST_COMPARE(a, b) compare_groups(a, b)
#define ST_SCOPE static
#define ST_CHECK_FOR_INTERRUPTS
#define ST_DEFINE
#include "lib/sort_template.h"

CustomerGroup *
sample_sorted(const CustomerSample *sample)
{
	CustomerGroup *groups = (CustomerGroup *)
		MemoryContextAllocHuge(CurrentMemoryContext, Max(sample->ngroups, 1) * sizeof(CustomerGroup));
	int64		n = 0;

	for (uint64 i = 0; i < sample->nslots; i++)
	{
		if (sample->slots[i].customers != 0)
			groups[n++] = sample->slots[i];
	}
	Assert(n == sample->ngroups);
	sort_groups(groups, n);
	return groups;
}

/* ----------------------------------------------------------------
 * What can be
 * ----------------------------------------------------------------
 */

static void
check_number(const char *name, double value)
{
	if (isnan(value) || isinf(value) || value < 0)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("%s must be a finite number, zero or more, not %g", name, value)));
}

static void
check_frequency(double frequency)
{
	check_number("frequency", frequency);
	if (frequency != floor(frequency))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("frequency must be a whole number, not %g", frequency),
				 errdetail("It is the number of purchases after the first.")));
}

void
forecast_check_purchases(double frequency, double recency, double age)
{
	check_frequency(frequency);
	check_number("recency", recency);
	check_number("age", age);
	if (recency > age)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("recency %g is greater than age %g", recency, age),
				 errdetail("Recency is the time from the first purchase to the last, age that from the first purchase to now.")));
	if (frequency == 0 && recency != 0)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("recency must be 0 where frequency is 0, not %g", recency),
				 errdetail("Without a repeat purchase the first is also the last.")));
}

void
check_values(double frequency, double mean_value)
{
	check_frequency(frequency);
	check_number("mean value", mean_value);
}

/* ----------------------------------------------------------------
 * Flat and external form
 * ----------------------------------------------------------------
 */

static Size
sample_flat_size(ExpandedObjectHeader *eohptr)
{
	CustomerSample *sample = (CustomerSample *) eohptr;
	Size		size = VARHDRSZ + FIXED_BYTES + (Size) sample->ngroups * GROUP_BYTES;

	if (size > LARGEST_FLAT)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a state of " INT64_FORMAT " different customers is too large to be passed between processes",
						sample->ngroups),
				 errdetail("It would need 512 MB or more."),
				 errhint("Set max_parallel_workers_per_gather to 0, or fit a random part of the customers.")));
	return size;
}

static inline char *
put_word(char *p, uint64 word)
{
	word = pg_hton64(word);
	memcpy(p, &word, sizeof(word));
	return p + sizeof(word);
}

static void
sample_flatten(ExpandedObjectHeader *eohptr, void *result, Size allocated_size)
{
	CustomerSample *sample = (CustomerSample *) eohptr;
	MemoryContext old = MemoryContextSwitchTo(sample->hdr.eoh_context);
	CustomerGroup *groups;
	char	   *p = VARDATA(result);

	/* From 17 on the caller's context may be one that frees nothing. */
	groups = sample_sorted(sample);
	MemoryContextSwitchTo(old);
	SET_VARSIZE(result, allocated_size);
	*p++ = SAMPLE_VERSION;
	*p++ = (char) sample->kind;
	p = put_word(p, (uint64) sample->ngroups);
	for (int64 i = 0; i < sample->ngroups; i++)
	{
		p = put_word(p, double_bits(groups[i].frequency));
		p = put_word(p, double_bits(groups[i].measure));
		p = put_word(p, double_bits(groups[i].age));
		p = put_word(p, (uint64) groups[i].customers);
	}
	Assert(p == (char *) result + allocated_size);
	pfree(groups);
}

static void
refuse_external(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
			 errmsg("invalid external customer_sample value"),
			 errdetail_internal("%s", detail)));
}

/*
 * A state from bytes of which nothing is known.
 */
static CustomerSample *
sample_parse(const char *data, Size size, MemoryContext context)
{
	StringInfoData buf;
	SampleKind	kind;
	CustomerSample *sample;
	CustomerGroup last = {-1};
	int64		ngroups;

	buf.data = unconstify(char *, data);
	buf.len = buf.maxlen = (int) size;
	buf.cursor = 0;
	if (pq_getmsgbyte(&buf) != SAMPLE_VERSION)
		refuse_external("The format version is unknown.");
	kind = (SampleKind) pq_getmsgbyte(&buf);
	if (kind != SAMPLE_PURCHASES && kind != SAMPLE_VALUES)
		refuse_external("What it holds is unknown.");
	ngroups = pq_getmsgint64(&buf);
	if (ngroups < 0 || ngroups != (buf.len - buf.cursor) / GROUP_BYTES ||
		(buf.len - buf.cursor) % GROUP_BYTES != 0)
		refuse_external("The number of customers does not fit the length.");

	sample = sample_create(context, kind);
	for (int64 i = 0; i < ngroups; i++)
	{
		CustomerGroup group;

		if ((i & 4095) == 0)
			CHECK_FOR_INTERRUPTS();
		group.frequency = double_from_bits((uint64) pq_getmsgint64(&buf));
		group.measure = double_from_bits((uint64) pq_getmsgint64(&buf));
		group.age = double_from_bits((uint64) pq_getmsgint64(&buf));
		group.customers = pq_getmsgint64(&buf);
		if (kind == SAMPLE_PURCHASES)
			forecast_check_purchases(group.frequency, group.measure, group.age);
		else
			check_values(group.frequency, group.measure);
		if (group.customers <= 0 ||
			(kind == SAMPLE_VALUES && (group.frequency == 0 || group.measure == 0 || group.age != 0)))
			refuse_external("A group of customers cannot be.");
		if (compare_groups(&last, &group) >= 0)
			refuse_external("The groups are not in order.");
		last = group;
		sample_add(sample, &group);
	}
	return sample;
}

static CustomerSample *
sample_expanded(Datum datum)
{
	CustomerSample *sample;

	if (!VARATT_IS_EXTERNAL_EXPANDED(DatumGetPointer(datum)))
		return NULL;
	sample = (CustomerSample *) DatumGetEOHP(datum);
	if (sample->magic != SAMPLE_MAGIC)
		elog(ERROR, "customer sample has the wrong magic number");
	return sample;
}

/* The state behind a datum, only to be read. */
static CustomerSample *
sample_readable(Datum datum)
{
	CustomerSample *sample = sample_expanded(datum);
	struct varlena *flat;

	if (sample != NULL)
		return sample;
	flat = PG_DETOAST_DATUM_PACKED(datum);
	return sample_parse(VARDATA_ANY(flat), VARSIZE_ANY_EXHDR(flat), CurrentMemoryContext);
}

CustomerSample *
sample_argument(FunctionCallInfo fcinfo, int n, SampleKind kind)
{
	CustomerSample *sample = sample_readable(PG_GETARG_DATUM(n));

	if (sample->kind != kind)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the state was collected for another model"),
				 errhint("BG/NBD and MBG/NBD take what purchases_collect() returns, Gamma-Gamma what values_collect() returns.")));
	return sample;
}

Datum
customer_sample_send(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P((bytea *) PG_DETOAST_DATUM_COPY(PG_GETARG_DATUM(0)));
}

Datum
customer_sample_recv(PG_FUNCTION_ARGS)
{
	StringInfo	message = (StringInfo) PG_GETARG_POINTER(0);
	int			size = message->len - message->cursor;

	return EOHPGetRWDatum(&sample_parse(pq_getmsgbytes(message, size), size,
										CurrentMemoryContext)->hdr);
}

Datum
customer_sample_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(state_text(PG_GETARG_DATUM(0)));
}

Datum
customer_sample_in(PG_FUNCTION_ARGS)
{
	StringInfoData bytes;

	state_bytes(&bytes, PG_GETARG_CSTRING(0), "customer_sample",
				"States are made by purchases_collect() and values_collect().");
	return EOHPGetRWDatum(&sample_parse(bytes.data, bytes.len, CurrentMemoryContext)->hdr);
}

/* ----------------------------------------------------------------
 * Transition and merge
 * ----------------------------------------------------------------
 */

/*
 * A state that may be changed in place: the aggregate's own, else a copy.
 */
static CustomerSample *
sample_writable(Datum datum, MemoryContext context)
{
	struct varlena *flat;

	if (VARATT_IS_EXTERNAL_EXPANDED_RW(DatumGetPointer(datum)))
		return sample_expanded(datum);
	flat = PG_DETOAST_DATUM(datum);
	return sample_parse(VARDATA_ANY(flat), VARSIZE_ANY_EXHDR(flat), context);
}

static void
refuse_mixed(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("cannot merge states of different models")));
}

static Datum
unchanged(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(PG_GETARG_DATUM(0));
}

static Datum
transition(FunctionCallInfo fcinfo, SampleKind kind, double frequency, double measure, double age)
{
	CustomerSample *sample;
	CustomerGroup group;

	if (PG_ARGISNULL(0))
		sample = sample_create(aggregate_context(fcinfo), kind);
	else
		sample = sample_writable(PG_GETARG_DATUM(0), aggregate_context(fcinfo));
	if (sample->kind != kind)
		refuse_mixed();

	/* Adding 0 turns -0 into 0, which has other bits. */
	group.frequency = frequency + 0.0;
	group.measure = measure + 0.0;
	group.age = age + 0.0;
	group.customers = 1;
	sample_add(sample, &group);
	return EOHPGetRWDatum(&sample->hdr);
}

/*
 * purchases_transition(state, frequency, recency, age)
 */
Datum
purchases_transition(PG_FUNCTION_ARGS)
{
	double		frequency;
	double		recency;
	double		age;

	if (PG_ARGISNULL(1) || PG_ARGISNULL(2) || PG_ARGISNULL(3))
		return unchanged(fcinfo);
	frequency = PG_GETARG_FLOAT8(1);
	recency = PG_GETARG_FLOAT8(2);
	age = PG_GETARG_FLOAT8(3);
	forecast_check_purchases(frequency, recency, age);
	return transition(fcinfo, SAMPLE_PURCHASES, frequency, recency, age);
}

/*
 * purchases_transition(state, history, unit, time_zone [, at])
 */
Datum
purchases_history_transition(PG_FUNCTION_ARGS)
{
	PurchaseSummary summary;
	double		unit = unit_in_days(fcinfo, 2);

	if (!summarise_purchases(fcinfo, 1, 3, 4, &summary))
		return unchanged(fcinfo);
	return transition(fcinfo, SAMPLE_PURCHASES, (double) summary.frequency,
					  summary.recency_days / unit, summary.age_days / unit);
}

/*
 * values_transition(state, frequency, mean_value)
 */
Datum
values_transition(PG_FUNCTION_ARGS)
{
	double		frequency;
	double		mean_value;

	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		return unchanged(fcinfo);
	frequency = PG_GETARG_FLOAT8(1);
	mean_value = PG_GETARG_FLOAT8(2);
	check_values(frequency, mean_value);
	if (frequency == 0 || mean_value == 0)
		return unchanged(fcinfo);
	return transition(fcinfo, SAMPLE_VALUES, frequency, mean_value, 0);
}

/*
 * values_transition(state, history, time_zone [, at])
 */
Datum
values_history_transition(PG_FUNCTION_ARGS)
{
	PurchaseSummary summary;
	double		spent;

	if (!summarise_purchases(fcinfo, 1, 2, 3, &summary) || summary.frequency == 0)
		return unchanged(fcinfo);
	spent = DatumGetFloat8(DirectFunctionCall1(numeric_float8,
											   NumericGetDatum(history_sum_result(&summary.repeat_value))));
	if (spent == 0)
		return unchanged(fcinfo);
	return transition(fcinfo, SAMPLE_VALUES, (double) summary.frequency,
					  spent / (double) summary.frequency, 0);
}

/*
 * customer_sample_merge(state, state): combine function of these aggregates,
 * and transition function of merge(state).
 */
Datum
customer_sample_merge(PG_FUNCTION_ARGS)
{
	MemoryContext context = aggregate_context(fcinfo);
	CustomerSample *sample;
	CustomerSample *other;

	if (PG_ARGISNULL(1))
		return unchanged(fcinfo);
	other = sample_readable(PG_GETARG_DATUM(1));
	if (PG_ARGISNULL(0))
		sample = sample_create(context, other->kind);
	else
		sample = sample_writable(PG_GETARG_DATUM(0), context);

	if (sample->kind != other->kind)
		refuse_mixed();
	/* In order of slots, groups would crowd one end of a smaller table. */
	table_reserve(sample, sample->ngroups + other->ngroups);
	for (uint64 i = 0; i < other->nslots; i++)
	{
		if (other->slots[i].customers != 0)
			sample_add(sample, &other->slots[i]);
	}
	return EOHPGetRWDatum(&sample->hdr);
}
