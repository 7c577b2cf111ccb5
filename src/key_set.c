/*
 * key_set.c
 *		A set of keys of any hashable type, each marked whether it was added
 *		once or more often.
 *
 * In memory it is an expanded object: a hash table that lives in the
 * aggregate's context and is changed in place.  It is flattened only when it
 * has to leave the process.  Whole keys are kept, so what is counted is exact.
 *
 * Keys come in three kinds.  Words are by-value types that are equal when their
 * bits are (integers, date, timestamp, ...).  Bytes are types that are equal
 * when their bytes are (text under a deterministic collation, uuid, bytea).
 * All others go through the hash and equality functions of their type.
 */
#include "key_set.h"

#include "large_memory.h"

#include "access/tupmacs.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#define FLAT_VERSION	1
#define KEY_SET_MAGIC		0x52505354

#define MARK_EMPTY		0		/* slot is free */

#define FIRST_SLOTS		16
#define FIRST_ARENA		512
#define LARGEST_ARENA	(1024 * 1024)

/*
 * From this many slots on a probe is likely to miss the processor's caches.
 * Words and short byte strings are then collected and their slots prefetched,
 * so that the misses overlap with the executor's work on the next rows.
 */
#define PENDING_FROM	8192
#define PENDING_MAX		32
#define PENDING_BYTES	60

#if defined(__GNUC__) || defined(__clang__)
#define prefetch(address) __builtin_prefetch(address)
#else
#define prefetch(address) ((void) (address))
#endif

/* A slot for keys that are not words. */
typedef struct KeySlot
{
	Datum		key;
	uint32		hash;
	uint8		mark;
} KeySlot;

/* A short byte string that waits: as stored, that is with a short header. */
typedef struct PendingBytes
{
	uint32		hash;
	char		bytes[PENDING_BYTES];
} PendingBytes;

static Size set_flat_size(ExpandedObjectHeader *eohptr);
static void set_flatten(ExpandedObjectHeader *eohptr, void *result, Size allocated_size);

static const ExpandedObjectMethods set_methods = {
	set_flat_size,
	set_flatten
};

/* ----------------------------------------------------------------------
 * The type of the keys
 * ----------------------------------------------------------------------
 */

void
key_type_init(KeyType *key, Oid type, Oid collation)
{
	TypeCacheEntry *typcache;

	type = getBaseType(type);
	typcache = lookup_type_cache(type, TYPECACHE_HASH_PROC_FINFO | TYPECACHE_EQ_OPR_FINFO);
	if (!OidIsValid(typcache->hash_proc_finfo.fn_oid) ||
		!OidIsValid(typcache->eq_opr_finfo.fn_oid) ||
		typcache->typlen == -2)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("customers of type %s cannot be told apart", format_type_be(type)),
				 errdetail("The type has no default hash operator class."),
				 errhint("Cast the customer to a type such as text or bigint.")));

	key->type = type;
	key->collation = InvalidOid;
	key->typlen = typcache->typlen;
	key->typbyval = typcache->typbyval;
	key->typcache = typcache;

	switch (typcache->eq_opr_finfo.fn_oid)
	{
		case F_BOOLEQ:
		case F_CHAREQ:
		case F_INT2EQ:
		case F_INT4EQ:
		case F_INT8EQ:
		case F_OIDEQ:
		case F_DATE_EQ:
		case F_TIMESTAMP_EQ:
		case F_TIMESTAMPTZ_EQ:
		case F_ENUM_EQ:
			key->kind = key->typbyval ? KEY_WORD : KEY_TYPED;
			break;
		case F_UUID_EQ:
		case F_BYTEAEQ:
			key->kind = KEY_BYTES;
			break;
		case F_TEXTEQ:
			if (!OidIsValid(collation))
				ereport(ERROR,
						(errcode(ERRCODE_INDETERMINATE_COLLATION),
						 errmsg("could not determine which collation to use for the customer"),
						 errhint("Use the COLLATE clause to set the collation explicitly.")));
			key->kind = get_collation_isdeterministic(collation) ? KEY_BYTES : KEY_TYPED;
			break;
		default:
			key->kind = KEY_TYPED;
			break;
	}
	if (key->kind == KEY_TYPED && type_is_collatable(type))
		key->collation = collation;
}

/* Bits beyond the type's length are undefined in a Datum. */
static inline uint64
key_word(const KeyType *key, Datum value)
{
	switch (key->typlen)
	{
		case 1:
			return (uint8) value;
		case 2:
			return (uint16) value;
		case 4:
			return (uint32) value;
		default:
			return (uint64) value;
	}
}

static inline int
key_word_width(const KeyType *key)
{
	return key->typlen <= 4 ? 4 : 8;
}

static inline uint64
word_hash(uint64 word)
{
	word ^= word >> 32;
	word *= UINT64CONST(0xd6e8feb86659fd93);
	word ^= word >> 32;
	word *= UINT64CONST(0xd6e8feb86659fd93);
	word ^= word >> 32;
	return word;
}

static inline const char *
key_bytes(const KeyType *key, Datum value, Size *len)
{
	if (key->typlen == -1)
	{
		*len = VARSIZE_ANY_EXHDR(DatumGetPointer(value));
		return VARDATA_ANY(DatumGetPointer(value));
	}
	*len = key->typlen;
	return DatumGetPointer(value);
}

static inline uint32
key_hash(const KeyType *key, Datum value)
{
	if (key->kind == KEY_BYTES)
	{
		Size		len;
		const char *bytes = key_bytes(key, value, &len);

		return hash_bytes((const unsigned char *) bytes, len);
	}
	return DatumGetUInt32(FunctionCall1Coll(&key->typcache->hash_proc_finfo, key->collation, value));
}

static inline bool
key_equal(const KeyType *key, Datum a, Datum b)
{
	if (key->kind == KEY_BYTES)
	{
		Size		a_len;
		Size		b_len;
		const char *a_bytes = key_bytes(key, a, &a_len);
		const char *b_bytes = key_bytes(key, b, &b_len);

		return a_len == b_len && memcmp(a_bytes, b_bytes, a_len) == 0;
	}
	return DatumGetBool(FunctionCall2Coll(&key->typcache->eq_opr_finfo, key->collation, a, b));
}

/* ----------------------------------------------------------------------
 * The hash table
 * ----------------------------------------------------------------------
 */

static void *
table_memory(MemoryContext context, Size size)
{
	void	   *memory = MemoryContextAllocHuge(context, size);

	prefer_large_pages(memory, size);
	return memory;
}

static void
table_allocate(KeySet *state, uint64 nslots)
{
	MemoryContext context = state->hdr.eoh_context;

	state->nslots = nslots;
	if (state->key.kind == KEY_WORD)
	{
		state->words = table_memory(context, nslots * sizeof(uint64));
		state->marks = table_memory(context, nslots);
		memset(state->marks, MARK_EMPTY, nslots);
	}
	else
	{
		state->slots = table_memory(context, nslots * sizeof(KeySlot));
		memset(state->slots, 0, nslots * sizeof(KeySlot));
	}
	if (state->numbered)
		state->numbers = table_memory(context, nslots * sizeof(uint32));
}

static KeySet *
set_create(MemoryContext parent, const KeyType *key, int64 customers, bool numbered)
{
	MemoryContext context;
	KeySet *state;
	uint64		nslots = FIRST_SLOTS;

	context = AllocSetContextCreate(parent, "repurchase state", ALLOCSET_START_SMALL_SIZES);
	state = MemoryContextAllocZero(context, sizeof(KeySet));
	EOH_init_header(&state->hdr, &set_methods, context);
	state->magic = KEY_SET_MAGIC;
	state->key = *key;
	state->arena_size = FIRST_ARENA / 2;
	state->numbered = numbered;

	while (nslots / 4 * 3 < (uint64) customers)
		nslots *= 2;
	table_allocate(state, nslots);
	return state;
}

/*
 * A new, empty state in a context of its own below the given one, with room
 * for so many customers.
 */
KeySet *
key_set_create(MemoryContext parent, const KeyType *key, int64 customers)
{
	return set_create(parent, key, customers, false);
}

KeySet *
key_set_create_numbered(MemoryContext parent, const KeyType *key, int64 customers)
{
	return set_create(parent, key, customers, true);
}

static void
table_grow(KeySet *state)
{
	uint64		old_nslots = state->nslots;
	uint64		mask = old_nslots * 2 - 1;
	uint32	   *numbers = state->numbers;

	CHECK_FOR_INTERRUPTS();

	if (state->key.kind == KEY_WORD)
	{
		uint64	   *words = state->words;
		uint8	   *marks = state->marks;

		table_allocate(state, old_nslots * 2);
		for (uint64 i = 0; i < old_nslots; i++)
		{
			uint64		slot;

			if (marks[i] == MARK_EMPTY)
				continue;
			slot = word_hash(words[i]) & mask;
			while (state->marks[slot] != MARK_EMPTY)
				slot = (slot + 1) & mask;
			state->words[slot] = words[i];
			state->marks[slot] = marks[i];
			if (numbers != NULL)
				state->numbers[slot] = numbers[i];
		}
		pfree(words);
		pfree(marks);

		if (state->pending_words == NULL && state->nslots >= PENDING_FROM)
			state->pending_words = MemoryContextAlloc(state->hdr.eoh_context,
													  PENDING_MAX * sizeof(uint64));
	}
	else
	{
		KeySlot    *slots = state->slots;

		table_allocate(state, old_nslots * 2);
		for (uint64 i = 0; i < old_nslots; i++)
		{
			uint64		slot;

			if (slots[i].mark == MARK_EMPTY)
				continue;
			slot = slots[i].hash & mask;
			while (state->slots[slot].mark != MARK_EMPTY)
				slot = (slot + 1) & mask;
			state->slots[slot] = slots[i];
			if (numbers != NULL)
				state->numbers[slot] = numbers[i];
		}
		pfree(slots);

		if (state->pending_bytes == NULL && state->key.kind == KEY_BYTES && state->nslots >= PENDING_FROM)
			state->pending_bytes = MemoryContextAlloc(state->hdr.eoh_context,
													  PENDING_MAX * sizeof(PendingBytes));
	}
	if (numbers != NULL)
		pfree(numbers);
}

static inline bool
table_is_full(const KeySet *state)
{
	return (uint64) state->customers > state->nslots / 4 * 3;
}

/* The mark of a customer met again. */
static inline void
mark_again(KeySet *state, uint8 *mark)
{
	if (*mark == MARK_ONCE)
	{
		*mark = MARK_TWICE;
		state->repeaters++;
	}
}

/*
 * Where a word lies, or is to be put; whether it is there.
 */
static inline bool
find_word(const KeySet *state, uint64 word, uint64 *slot)
{
	uint64		mask = state->nslots - 1;

	for (*slot = word_hash(word) & mask; state->marks[*slot] != MARK_EMPTY; *slot = (*slot + 1) & mask)
	{
		if (state->words[*slot] == word)
			return true;
	}
	return false;
}

/*
 * A new key was put into the slot: count it.  Slots may move.
 */
static inline void
count_key(KeySet *state, uint64 slot, uint8 mark)
{
	if (state->numbered)
	{
		if (state->customers >= PG_UINT32_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("more than %u customers", PG_UINT32_MAX)));
		state->numbers[slot] = (uint32) state->customers;
	}
	state->customers++;
	state->repeaters += (mark == MARK_TWICE);
	if (table_is_full(state))
		table_grow(state);
}

static inline void
add_word(KeySet *state, uint64 word, uint8 mark)
{
	uint64		slot;

	if (find_word(state, word, &slot))
	{
		mark_again(state, &state->marks[slot]);
		return;
	}
	state->words[slot] = word;
	state->marks[slot] = mark;
	count_key(state, slot, mark);
}

/*
 * Copy a by-reference key into the state.  Keys are packed: those with a short
 * header need no alignment.
 */
static Datum
key_keep(KeySet *state, Datum value)
{
	const KeyType *key = &state->key;
	char	   *source = DatumGetPointer(value);
	char	   *target;
	Size		size;
	bool		shorten = false;
	Size		pad = 0;

	if (key->typbyval)
		return value;

	if (key->typlen != -1)
		size = key->typlen;
	else if (VARATT_IS_SHORT(source))
		size = VARSIZE_SHORT(source);
	else if (key->kind == KEY_BYTES && VARATT_CAN_MAKE_SHORT(source))
	{
		size = VARATT_CONVERTED_SHORT_SIZE(source);
		shorten = true;
	}
	else
		size = VARSIZE(source);

	if (key->typlen != -1 || !(shorten || VARATT_IS_SHORT(source)))
		pad = (char *) MAXALIGN(state->arena) - state->arena;

	if (size > LARGEST_ARENA / 8)
	{
		target = MemoryContextAllocHuge(state->hdr.eoh_context, size);
		memcpy(target, source, size);
		return PointerGetDatum(target);
	}

	if (state->arena_left < size + pad)
	{
		state->arena_size = Min(state->arena_size * 2, LARGEST_ARENA);
		while (state->arena_size < size)
			state->arena_size *= 2;
		state->arena = MemoryContextAlloc(state->hdr.eoh_context, state->arena_size);
		state->arena_left = state->arena_size;
		pad = 0;
	}
	target = state->arena + pad;
	state->arena += size + pad;
	state->arena_left -= size + pad;

	if (shorten)
	{
		SET_VARSIZE_SHORT(target, size);
		memcpy(VARDATA_SHORT(target), VARDATA(source), size - VARHDRSZ_SHORT);
	}
	else
		memcpy(target, source, size);
	return PointerGetDatum(target);
}

static inline bool
find_key(const KeySet *state, Datum value, uint32 hash, uint64 *slot)
{
	uint64		mask = state->nslots - 1;

	for (*slot = hash & mask; state->slots[*slot].mark != MARK_EMPTY; *slot = (*slot + 1) & mask)
	{
		if (state->slots[*slot].hash == hash &&
			key_equal(&state->key, state->slots[*slot].key, value))
			return true;
	}
	return false;
}

static void
put_key(KeySet *state, uint64 slot, Datum value, uint32 hash, uint8 mark)
{
	state->slots[slot].key = key_keep(state, value);
	state->slots[slot].hash = hash;
	state->slots[slot].mark = mark;
	count_key(state, slot, mark);
}

static void
add_key_hashed(KeySet *state, Datum value, uint32 hash, uint8 mark)
{
	uint64		slot;

	if (find_key(state, value, hash, &slot))
		mark_again(state, &state->slots[slot].mark);
	else
		put_key(state, slot, value, hash, mark);
}

static inline void
add_key(KeySet *state, Datum value, uint8 mark)
{
	add_key_hashed(state, value, key_hash(&state->key, value), mark);
}

/*
 * Put the keys that wait into the table.
 */
void
key_set_settle(KeySet *state)
{
	int			npending = state->npending;

	state->npending = 0;
	if (state->key.kind == KEY_WORD)
	{
		for (int i = 0; i < npending; i++)
			add_word(state, state->pending_words[i], MARK_ONCE);
		return;
	}

	/* The slots are at hand by now; the keys they point to are not. */
	for (int i = 0; i < npending; i++)
		prefetch(DatumGetPointer(state->slots[state->pending_bytes[i].hash & (state->nslots - 1)].key));
	for (int i = 0; i < npending; i++)
		add_key_hashed(state, PointerGetDatum(state->pending_bytes[i].bytes),
					   state->pending_bytes[i].hash, MARK_ONCE);
}

static inline void
add_word_later(KeySet *state, uint64 word)
{
	uint64		slot = word_hash(word) & (state->nslots - 1);

	prefetch(&state->words[slot]);
	prefetch(&state->marks[slot]);
	state->pending_words[state->npending++] = word;
	if (state->npending == PENDING_MAX)
		key_set_settle(state);
}

static inline void
add_bytes_later(KeySet *state, Datum value)
{
	Size		len;
	const char *bytes = key_bytes(&state->key, value, &len);
	uint32		hash = hash_bytes((const unsigned char *) bytes, len);
	PendingBytes *pending;

	if (len + VARHDRSZ_SHORT > PENDING_BYTES)
	{
		add_key_hashed(state, value, hash, MARK_ONCE);
		return;
	}

	prefetch(&state->slots[hash & (state->nslots - 1)]);
	pending = &state->pending_bytes[state->npending++];
	pending->hash = hash;
	if (state->key.typlen == -1)
	{
		SET_VARSIZE_SHORT(pending->bytes, len + VARHDRSZ_SHORT);
		memcpy(VARDATA_SHORT(pending->bytes), bytes, len);
	}
	else
		memcpy(pending->bytes, bytes, len);
	if (state->npending == PENDING_MAX)
		key_set_settle(state);
}

/* ----------------------------------------------------------------------
 * Reading and flattening states
 * ----------------------------------------------------------------------
 */

/* The state behind a datum when it is expanded, else NULL. */
KeySet *
key_set_expanded(Datum datum)
{
	KeySet *state;

	if (!VARATT_IS_EXTERNAL_EXPANDED(DatumGetPointer(datum)))
		return NULL;
	state = (KeySet *) DatumGetEOHP(datum);
	if (state->magic != KEY_SET_MAGIC)
		elog(ERROR, "repurchase state has the wrong magic number");
	return state;
}

void
key_reader_begin(KeyReader *reader, Datum datum)
{
	reader->state = key_set_expanded(datum);
	reader->flat = NULL;
	reader->cursor = NULL;
	reader->next = 0;

	if (reader->state != NULL)
	{
		key_set_settle(unconstify(KeySet *, reader->state));
		reader->key = reader->state->key;
		reader->customers = reader->state->customers;
	}
	else
	{
		reader->flat = (const FlatKeySet *) PG_DETOAST_DATUM(datum);
		if (reader->flat->version != FLAT_VERSION)
			elog(ERROR, "unknown version %d of a repurchase state", reader->flat->version);
		key_type_init(&reader->key, reader->flat->type,
					  OidIsValid(reader->flat->collation) ? reader->flat->collation : C_COLLATION_OID);
		reader->customers = reader->flat->customers;
		reader->cursor = (const char *) reader->flat +
			MAXALIGN(offsetof(FlatKeySet, bitmap) + (reader->customers + 7) / 8);
	}
}

bool
key_reader_next(KeyReader *reader, Datum *value, uint8 *mark)
{
	const KeyType *key = &reader->key;
	const char *cursor;

	if (reader->state != NULL)
	{
		const KeySet *state = reader->state;

		for (; reader->next < state->nslots; reader->next++)
		{
			*mark = key->kind == KEY_WORD ? state->marks[reader->next] : state->slots[reader->next].mark;
			if (*mark == MARK_EMPTY)
				continue;
			*value = key->kind == KEY_WORD ? (Datum) state->words[reader->next] : state->slots[reader->next].key;
			reader->next++;
			return true;
		}
		return false;
	}

	if (reader->next >= (uint64) reader->customers)
		return false;
	*mark = (reader->flat->bitmap[reader->next / 8] >> (reader->next % 8)) & 1 ? MARK_TWICE : MARK_ONCE;
	reader->next++;

	if (key->kind == KEY_WORD && key_word_width(key) == 4)
	{
		*value = (Datum) *(const uint32 *) reader->cursor;
		reader->cursor += 4;
		return true;
	}
	if (key->typbyval)
	{
		*value = *(const Datum *) reader->cursor;
		reader->cursor += sizeof(Datum);
		return true;
	}
	cursor = (const char *) att_align_pointer(reader->cursor, TYPALIGN_DOUBLE, key->typlen, reader->cursor);
	*value = PointerGetDatum(cursor);
	reader->cursor = att_addlength_pointer(cursor, key->typlen, cursor);
	return true;
}

void
key_set_refuse_size(int64 customers)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("a set of " INT64_FORMAT " customers is too large to be passed between processes",
					customers),
			 errdetail("It would need 1 GB or more."),
			 errhint("Set max_parallel_workers_per_gather to 0, or count smaller groups.")));
}

/*
 * Both walk the slots in the same order, so that they agree on the padding.
 */
static Size
set_flat_size(ExpandedObjectHeader *eohptr)
{
	KeySet *state = (KeySet *) eohptr;
	const KeyType *key = &state->key;
	Size		size;

	key_set_settle(state);
	size = MAXALIGN(offsetof(FlatKeySet, bitmap) + (state->customers + 7) / 8);
	if (key->kind == KEY_WORD)
		size += (Size) state->customers * key_word_width(key);
	else if (key->typbyval)
		size += (Size) state->customers * sizeof(Datum);
	else
	{
		for (uint64 i = 0; i < state->nslots; i++)
		{
			if (state->slots[i].mark == MARK_EMPTY)
				continue;
			size = att_align_datum(size, TYPALIGN_DOUBLE, key->typlen, state->slots[i].key);
			size = att_addlength_datum(size, key->typlen, state->slots[i].key);
		}
	}
	if (size > KEY_SET_LARGEST_FLAT)
		key_set_refuse_size(state->customers);
	state->flat_size = size;
	return size;
}

static void
set_flatten(ExpandedObjectHeader *eohptr, void *result, Size allocated_size)
{
	KeySet *state = (KeySet *) eohptr;
	const KeyType *key = &state->key;
	FlatKeySet  *flat = (FlatKeySet *) result;
	Size		offset;
	int64		number = 0;

	Assert(allocated_size == state->flat_size);
	memset(flat, 0, allocated_size);
	SET_VARSIZE(flat, allocated_size);
	flat->version = FLAT_VERSION;
	flat->type = key->type;
	flat->collation = key->collation;
	flat->customers = state->customers;
	flat->repeaters = state->repeaters;
	offset = MAXALIGN(offsetof(FlatKeySet, bitmap) + (state->customers + 7) / 8);

	for (uint64 i = 0; i < state->nslots; i++)
	{
		uint8		mark = key->kind == KEY_WORD ? state->marks[i] : state->slots[i].mark;

		if (mark == MARK_EMPTY)
			continue;
		if (mark == MARK_TWICE)
			flat->bitmap[number / 8] |= 1 << (number % 8);
		number++;

		if (key->kind == KEY_WORD)
		{
			if (key_word_width(key) == 4)
				*(uint32 *) ((char *) flat + offset) = (uint32) state->words[i];
			else
				*(uint64 *) ((char *) flat + offset) = state->words[i];
			offset += key_word_width(key);
		}
		else if (key->typbyval)
		{
			*(Datum *) ((char *) flat + offset) = state->slots[i].key;
			offset += sizeof(Datum);
		}
		else
		{
			Size		end;

			offset = att_align_datum(offset, TYPALIGN_DOUBLE, key->typlen, state->slots[i].key);
			end = att_addlength_datum(offset, key->typlen, state->slots[i].key);
			memcpy((char *) flat + offset, DatumGetPointer(state->slots[i].key), end - offset);
			offset = end;
		}
	}
	Assert(offset == allocated_size);
}

void
key_set_add_all(KeySet *state, KeyReader *reader)
{
	MemoryContext scratch;
	MemoryContext old;
	Datum		value;
	uint8		mark;
	int64		done = 0;

	/* A type's own functions may leave something behind. */
	scratch = AllocSetContextCreate(CurrentMemoryContext, "repurchase merge", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(scratch);
	key_set_settle(state);
	while (key_reader_next(reader, &value, &mark))
	{
		if (state->key.kind == KEY_WORD)
			add_word(state, (uint64) value, mark);
		else
			add_key(state, value, mark);
		if ((++done & 1023) == 0)
		{
			CHECK_FOR_INTERRUPTS();
			MemoryContextReset(scratch);
		}
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
}

/*
 * A state that may be changed in place: the one passed in when it is the
 * aggregate's own, else a copy of it below the given context.
 */
KeySet *
key_set_writable(Datum datum, MemoryContext context)
{
	KeySet *state;
	KeyReader	reader;

	if (VARATT_IS_EXTERNAL_EXPANDED_RW(DatumGetPointer(datum)))
		return key_set_expanded(datum);

	key_reader_begin(&reader, datum);
	state = key_set_create(context, &reader.key, reader.customers);
	key_set_add_all(state, &reader);
	return state;
}

/*
 * Add a key; by-reference keys are copied.
 */
void
key_set_add(KeySet *set, Datum value)
{
	if (set->key.kind == KEY_WORD)
	{
		uint64		word = key_word(&set->key, value);

		if (set->pending_words != NULL)
			add_word_later(set, word);
		else
			add_word(set, word, MARK_ONCE);
	}
	else
	{
		if (set->key.typlen == -1)
			value = PointerGetDatum(PG_DETOAST_DATUM_PACKED(value));
		if (set->pending_bytes != NULL)
			add_bytes_later(set, value);
		else
			add_key(set, value, MARK_ONCE);
	}
}

/*
 * Add a key with a mark of its own, without waiting.
 */
void
key_set_add_marked(KeySet *set, Datum value, uint8 mark)
{
	if (set->key.kind == KEY_WORD)
		add_word(set, key_word(&set->key, value), mark);
	else
	{
		if (set->key.typlen == -1)
			value = PointerGetDatum(PG_DETOAST_DATUM_PACKED(value));
		add_key(set, value, mark);
	}
}

/*
 * The number of a key, which is added when it is not there.
 */
int64
key_set_number(KeySet *set, Datum value)
{
	int64		next = set->customers;
	uint64		slot;

	Assert(set->numbered);
	if (set->key.kind == KEY_WORD)
	{
		uint64		word = key_word(&set->key, value);

		if (find_word(set, word, &slot))
			return set->numbers[slot];
		set->words[slot] = word;
		set->marks[slot] = MARK_ONCE;
		count_key(set, slot, MARK_ONCE);
	}
	else
	{
		uint32		hash;

		if (set->key.typlen == -1)
			value = PointerGetDatum(PG_DETOAST_DATUM_PACKED(value));
		hash = key_hash(&set->key, value);
		if (find_key(set, value, hash, &slot))
			return set->numbers[slot];
		put_key(set, slot, value, hash, MARK_ONCE);
	}
	return next;
}

/*
 * Have a word's slot brought into the processor's caches.
 */
void
key_set_fetch(const KeySet *set, Datum value)
{
	uint64		slot = word_hash(key_word(&set->key, value)) & (set->nslots - 1);

	Assert(set->key.kind == KEY_WORD);
	prefetch(&set->words[slot]);
	prefetch(&set->marks[slot]);
	prefetch(&set->numbers[slot]);
}

int64
key_reader_number(const KeyReader *reader)
{
	return reader->state != NULL ? (int64) reader->state->numbers[reader->next - 1] :
		(int64) reader->next - 1;
}

static char *
key_type_name(const KeyType *key)
{
	if (OidIsValid(key->collation))
		return psprintf("%s COLLATE %s", format_type_be(key->type),
						quote_identifier(get_collation_name(key->collation)));
	return format_type_be(key->type);
}

/*
 * The type of an argument of a transition function, found once a query.
 */
const KeyType *
key_type_of_argument(FunctionCallInfo fcinfo, int argno)
{
	KeyType    *key = (KeyType *) fcinfo->flinfo->fn_extra;

	if (key == NULL)
	{
		Oid			type = get_fn_expr_argtype(fcinfo->flinfo, argno);

		if (!OidIsValid(type))
			elog(ERROR, "could not determine the type of the customer");
		key = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(KeyType));
		key_type_init(key, type, PG_GET_COLLATION());
		fcinfo->flinfo->fn_extra = key;
	}
	return key;
}

/*
 * Keys of one type compared by another's functions would be read as what they
 * are not; any role may make an aggregate that starts with a state of its own.
 */
void
key_set_check_type(const KeySet *set, const KeyType *key)
{
	if (set->key.type != key->type || set->key.collation != key->collation)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("cannot merge customers of type %s with customers of type %s",
						key_type_name(&set->key), key_type_name(key)),
				 errhint("Cast the customer to the same type wherever states are made.")));
}
