/*
 * signup_table.c
 *		A hash table of customers, when they signed up and whether they came back.
 *
 * A customer is one slot of half a cache line.  A table of many customers does
 * not fit the processor's caches; so customers wait for each other, and their
 * slots are fetched together.
 */
#include "signup_table.h"

#include "large_memory.h"

#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define FIRST_CUSTOMERS	14
#define WAITING_FROM	8192	/* slots */
#define WAITING_MAX		32
#define WAITING_BYTES	64		/* of a customer by reference who may wait */

static inline bool
same_customer(const SignupTable *table, Datum a, Datum b)
{
	return table->key.kind == KEY_WORD ? a == b : key_equal(&table->key, a, b);
}

/* Not all types have hashes of which all bits are worth something. */
static inline uint32
customer_hash(const SignupTable *table, Datum customer)
{
	if (table->key.kind == KEY_WORD)
		return (uint32) key_word_hash(customer);
	return murmurhash32(key_hash(&table->key, customer));
}

#define SH_PREFIX signups
#define SH_ELEMENT_TYPE Signup
#define SH_KEY_TYPE Datum
#define SH_KEY customer
#define SH_HASH_KEY(tb, key) customer_hash((const SignupTable *) (tb)->private_data, key)
#define SH_EQUAL(tb, a, b) same_customer((const SignupTable *) (tb)->private_data, a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, entry) ((entry)->hash)
#define SH_USE_NONDEFAULT_ALLOCATOR
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

static inline void *
signups_allocate(signups_hash *hash, Size size)
{
	SignupTable *table = (SignupTable *) hash->private_data;
	void	   *slots;

	CHECK_FOR_INTERRUPTS();
	table->outgrown = table->memory;
	slots = large_alloc(table->context, size, &table->memory);
	memset(slots, 0, size);
	return slots;
}

static inline void
signups_free(signups_hash *hash, void *slots)
{
	pfree(((SignupTable *) hash->private_data)->outgrown);
}

SignupTable *
signup_table_create(MemoryContext parent, const KeyType *key, int64 customers)
{
	MemoryContext context = AllocSetContextCreate(parent, "signup table", ALLOCSET_START_SMALL_SIZES);
	SignupTable *table = (SignupTable *) MemoryContextAllocZero(context, sizeof(SignupTable));

	table->context = context;
	table->key = *key;
	table->arena.context = context;
	table->hash = signups_create(context, (uint32) Max(customers, FIRST_CUSTOMERS), table);
	return table;
}

static void
refuse_second(const SignupTable *table, Datum customer, TimestampTz a, TimestampTz b)
{
	Oid			output;
	bool		is_varlena;

	getTypeOutputInfo(table->key.type, &output, &is_varlena);
	ereport(ERROR,
			(errcode(ERRCODE_CARDINALITY_VIOLATION),
			 errmsg("customer %s signed up at two different times",
					OidOutputFunctionCall(output, customer)),
			 errdetail("They are %s and %s.",
					   pstrdup(timestamptz_to_str(Min(a, b))), pstrdup(timestamptz_to_str(Max(a, b)))),
			 errhint("Give one of them in all rows of the customer, such as the earliest, found in a subquery by min(signed_up_at) OVER (PARTITION BY customer).")));
}

static void
begin_waiting(SignupTable *table)
{
	if (!table->key.typbyval && table->key.kind != KEY_BYTES)
		return;
	table->waiting = (Signup *) MemoryContextAlloc(table->context, WAITING_MAX * sizeof(Signup));
	if (!table->key.typbyval)
		table->waiting_bytes = (char *) MemoryContextAlloc(table->context, WAITING_MAX * WAITING_BYTES);
}

/*
 * What a reference leads to may be gone with the row: a short one is copied to
 * where it waits, as it is stored.  False when it is too long to wait.
 */
static inline bool
keep_while_waiting(SignupTable *table, Datum *customer)
{
	char	   *target;
	Size		len;
	const char *bytes;

	if (table->key.typbyval)
		return true;
	bytes = key_bytes(&table->key, *customer, &len);
	if (len > WAITING_BYTES - VARHDRSZ_SHORT)
		return false;
	target = table->waiting_bytes + table->nwaiting * WAITING_BYTES;
	*customer = PointerGetDatum(target);
	if (table->key.typlen == -1)
	{
		SET_VARSIZE_SHORT(target, len + VARHDRSZ_SHORT);
		target = VARDATA_SHORT(target);
	}
	memcpy(target, bytes, len);
	return true;
}

static inline void
put(SignupTable *table, const Signup *signup)
{
	bool		found;
	Signup	   *slot = signups_insert_hash(table->hash, signup->customer, signup->hash, &found);

	if (found)
	{
		if (unlikely(slot->signed_up_at != signup->signed_up_at))
			refuse_second(table, signup->customer, slot->signed_up_at, signup->signed_up_at);
		slot->returned |= signup->returned;
		return;
	}
	slot->customer = key_keep(&table->key, &table->arena, signup->customer);
	slot->signed_up_at = signup->signed_up_at;
	slot->returned = signup->returned;
	if (unlikely(table->waiting == NULL && table->hash->size >= WAITING_FROM))
		begin_waiting(table);
}

static inline const Signup *
first_slot(const SignupTable *table, uint32 hash)
{
	return &table->hash->data[hash & table->hash->sizemask];
}

/*
 * One slot fetched after the other, with the work on a row between, would each
 * be waited for.
 */
void
signup_table_settle(SignupTable *table)
{
	int			nwaiting = table->nwaiting;

	table->nwaiting = 0;
	for (int i = 0; i < nwaiting; i++)
		key_prefetch(first_slot(table, table->waiting[i].hash));
	if (table->waiting_bytes != NULL)
	{
		for (int i = 0; i < nwaiting; i++)
			key_prefetch(DatumGetPointer(first_slot(table, table->waiting[i].hash)->customer));
	}
	for (int i = 0; i < nwaiting; i++)
		put(table, &table->waiting[i]);
}

/* As it is compared; by reference it is still the caller's. */
static inline Datum
stored_form(const SignupTable *table, Datum customer)
{
	return table->key.kind == KEY_WORD ? key_word(&table->key, customer) : key_plain(&table->key, customer);
}

void
signup_table_add(SignupTable *table, Datum customer, TimestampTz signed_up_at, uint64 returned)
{
	Signup		signup;

	signup.customer = stored_form(table, customer);
	signup.signed_up_at = signed_up_at;
	signup.returned = returned;
	signup.hash = customer_hash(table, signup.customer);

	if (table->waiting == NULL || !keep_while_waiting(table, &signup.customer))
	{
		put(table, &signup);
		return;
	}
	table->waiting[table->nwaiting++] = signup;
	if (table->nwaiting == WAITING_MAX)
		signup_table_settle(table);
}

int64
signup_table_customers(const SignupTable *table)
{
	Assert(table->nwaiting == 0);
	return table->hash->members;
}

bool
signup_table_has(const SignupTable *table, Datum customer)
{
	Assert(table->nwaiting == 0);
	return signups_lookup(table->hash, stored_form(table, customer)) != NULL;
}

void
signup_table_walk(SignupWalk *walk, const SignupTable *table)
{
	Assert(table->nwaiting == 0);
	walk->table = table;
	walk->slot = 0;
}

const Signup *
signup_table_next(SignupWalk *walk)
{
	const signups_hash *hash = walk->table->hash;

	while (walk->slot < hash->size)
	{
		const Signup *signup = &hash->data[walk->slot++];

		if (signup->status == signups_SH_IN_USE)
			return signup;
	}
	return NULL;
}
