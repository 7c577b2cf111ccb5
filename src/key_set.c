/*
 * key_set.c
 *		A set of keys of any hashable type, each marked whether it was added
 *		once or more often.
 *
 * In memory it is an expanded object: a hash table that lives in the
 * aggregate's context and is changed in place.  It is flattened only when it
 * has to leave the process.  Whole keys are kept, so what is counted is exact.
 */
#include "key_set.h"

#include "large_memory.h"

#include "catalog/pg_collation.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#define FLAT_VERSION	1
#define KEY_SET_MAGIC		0x52505354

#define MARK_EMPTY		0		/* slot is free */

#define FIRST_SLOTS		16

/*
 * From this many slots on a probe is likely to miss the processor's caches.
 * Words and short byte strings are then collected and their slots prefetched
 * all at once: one after the other, with the executor's work on a row between,
 * each would be waited for.
 */
#define PENDING_FROM	8192
#define PENDING_MAX		32
#define PENDING_BYTES	60

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
 * The hash table
 * ----------------------------------------------------------------------
 */

static void
table_allocate(KeySet *state, uint64 nslots)
{
	MemoryContext context = state->hdr.eoh_context;

	state->nslots = nslots;
	if (state->key.kind == KEY_WORD)
	{
		state->words = (uint64 *) large_alloc(context, nslots * (sizeof(uint64) + 1), &state->table);
		state->marks = (uint8 *) (state->words + nslots);
		memset(state->marks, MARK_EMPTY, nslots);
	}
	else
	{
		state->slots = (KeySlot *) large_alloc(context, nslots * sizeof(KeySlot), &state->table);
		memset(state->slots, 0, nslots * sizeof(KeySlot));
	}
}

/*
 * A new, empty state in a context of its own below the given one, with room
 * for so many customers.
 */
KeySet *
key_set_create(MemoryContext parent, const KeyType *key, int64 customers)
{
	MemoryContext context;
	KeySet	   *state;
	uint64		nslots = FIRST_SLOTS;

	context = AllocSetContextCreate(parent, "repurchase state", ALLOCSET_START_SMALL_SIZES);
	state = MemoryContextAllocZero(context, sizeof(KeySet));
	EOH_init_header(&state->hdr, &set_methods, context);
	state->magic = KEY_SET_MAGIC;
	state->key = *key;
	state->arena.context = context;

	while (nslots / 4 * 3 < (uint64) customers)
		nslots *= 2;
	table_allocate(state, nslots);
	return state;
}

static void
table_grow(KeySet *state)
{
	uint64		old_nslots = state->nslots;
	uint64		mask = old_nslots * 2 - 1;
	void	   *old_table = state->table;

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
			slot = key_word_hash(words[i]) & mask;
			while (state->marks[slot] != MARK_EMPTY)
				slot = (slot + 1) & mask;
			state->words[slot] = words[i];
			state->marks[slot] = marks[i];
		}

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
		}

		if (state->pending_bytes == NULL && state->key.kind == KEY_BYTES && state->nslots >= PENDING_FROM)
			state->pending_bytes = MemoryContextAlloc(state->hdr.eoh_context,
													  PENDING_MAX * sizeof(PendingBytes));
	}
	pfree(old_table);
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

	for (*slot = key_word_hash(word) & mask; state->marks[*slot] != MARK_EMPTY; *slot = (*slot + 1) & mask)
	{
		if (state->words[*slot] == word)
			return true;
	}
	return false;
}

/*
 * A new key was put into the table: count it.  Slots may move.
 */
static inline void
count_key(KeySet *state, uint8 mark)
{
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
	count_key(state, mark);
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
	state->slots[slot].key = key_keep(&state->key, &state->arena, value);
	state->slots[slot].hash = hash;
	state->slots[slot].mark = mark;
	count_key(state, mark);
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

/* Have a word's slot brought into the processor's caches. */
static inline void
fetch_word(const KeySet *state, uint64 word)
{
	uint64		slot = key_word_hash(word) & (state->nslots - 1);

	key_prefetch(&state->words[slot]);
	key_prefetch(&state->marks[slot]);
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
			fetch_word(state, state->pending_words[i]);
		for (int i = 0; i < npending; i++)
			add_word(state, state->pending_words[i], MARK_ONCE);
		return;
	}

	for (int i = 0; i < npending; i++)
		key_prefetch(&state->slots[state->pending_bytes[i].hash & (state->nslots - 1)]);

	for (int i = 0; i < npending; i++)
		key_prefetch(DatumGetPointer(state->slots[state->pending_bytes[i].hash & (state->nslots - 1)].key));
	for (int i = 0; i < npending; i++)
		add_key_hashed(state, PointerGetDatum(state->pending_bytes[i].bytes),
					   state->pending_bytes[i].hash, MARK_ONCE);
}

static inline void
add_word_later(KeySet *state, uint64 word)
{
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
	KeySet	   *state;

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

	reader->cursor = key_row_next(key, reader->cursor, value);
	return true;
}

/*
 * Both walk the slots in the same order, so that they agree on the padding.
 */
static Size
set_flat_size(ExpandedObjectHeader *eohptr)
{
	KeySet	   *state = (KeySet *) eohptr;
	const KeyType *key = &state->key;
	Size		size;

	key_set_settle(state);
	size = MAXALIGN(offsetof(FlatKeySet, bitmap) + (state->customers + 7) / 8);
	if (key->typbyval)
		size += (Size) state->customers * (key->kind == KEY_WORD ? (Size) key_word_width(key) : sizeof(Datum));
	else
	{
		for (uint64 i = 0; i < state->nslots; i++)
		{
			if (state->slots[i].mark != MARK_EMPTY)
				size = key_row_add(key, size, state->slots[i].key);
		}
	}
	if (size > KEYS_LARGEST_FLAT)
		key_refuse_size(state->customers);
	state->flat_size = size;
	return size;
}

static void
set_flatten(ExpandedObjectHeader *eohptr, void *result, Size allocated_size)
{
	KeySet	   *state = (KeySet *) eohptr;
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

		offset = key_row_put(key, (char *) flat, offset,
							 key->kind == KEY_WORD ? (Datum) state->words[i] : state->slots[i].key);
	}
	Assert(offset == allocated_size);
}

void
key_set_add_all(KeySet *state, KeyReader *reader)
{
	MemoryContext scratch;
	MemoryContext old;
	Datum		values[PENDING_MAX];
	uint8		marks[PENDING_MAX];
	int			n;

	/* A type's own functions may leave something behind. */
	scratch = AllocSetContextCreate(CurrentMemoryContext, "repurchase merge", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(scratch);
	key_set_settle(state);
	do
	{
		for (n = 0; n < PENDING_MAX && key_reader_next(reader, &values[n], &marks[n]); n++)
		{
			if (state->key.kind == KEY_WORD)
				fetch_word(state, (uint64) values[n]);
		}
		for (int i = 0; i < n; i++)
		{
			if (state->key.kind == KEY_WORD)
				add_word(state, (uint64) values[i], marks[i]);
			else
				add_key(state, values[i], marks[i]);
		}
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(scratch);
	} while (n == PENDING_MAX);
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
	KeySet	   *state;
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
		value = key_plain(&set->key, value);
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
		value = key_plain(&set->key, value);
		add_key(set, value, mark);
	}
}
