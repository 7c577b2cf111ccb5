/*
 * repurchase.c
 *		repurchase_rate(customer): the share of customers who bought twice.
 *
 * The aggregate's state is the set of customers seen so far, each with a mark
 * whether they were seen once or more often.  It is a type of our own,
 * repurchase_state, and in memory an expanded object: a hash table that lives
 * in the aggregate's context and is changed in place.  It is flattened only
 * when it has to leave the process.  As the whole keys are kept, the result is
 * exact, does not depend on the order of rows, and states can be merged.
 *
 * Keys come in three kinds.  Words are by-value types that are equal when their
 * bits are (integers, date, timestamp, ...).  Bytes are types that are equal
 * when their bytes are (text under a deterministic collation, uuid, bytea).
 * All others go through the hash and equality functions of their type.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/tupmacs.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/expandeddatum.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/syscache.h"
#include "utils/typcache.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#define STATE_MAGIC		0x52505354
#define STATE_VERSION	1

#define MARK_EMPTY		0		/* slot is free */
#define MARK_ONCE		1
#define MARK_TWICE		2		/* twice or more */

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

/* Leave room for whatever the state travels in: a tuple, a message. */
#define LARGEST_FLAT	(MaxAllocSize - 1024 * 1024)

typedef enum KeyKind
{
	KEY_WORD,
	KEY_BYTES,
	KEY_TYPED
} KeyKind;

typedef struct KeyType
{
	Oid			type;			/* base type of the keys */
	Oid			collation;		/* InvalidOid unless the kind is KEY_TYPED */
	KeyKind		kind;
	int16		typlen;
	bool		typbyval;
	TypeCacheEntry *typcache;
} KeyType;

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

typedef struct RepurchaseState
{
	ExpandedObjectHeader hdr;
	int			magic;
	KeyType		key;
	int64		customers;		/* distinct keys */
	int64		repeaters;		/* of them, those seen twice or more */
	uint64		nslots;			/* a power of two */
	uint64	   *words;			/* KEY_WORD: the keys ... */
	uint8	   *marks;			/* ... and their marks */
	KeySlot    *slots;			/* other kinds */
	uint64	   *pending_words;	/* keys not yet in the table ... */
	PendingBytes *pending_bytes;	/* ... NULL while the table is small */
	int			npending;
	char	   *arena;			/* where the next by-reference key goes */
	Size		arena_left;
	Size		arena_size;		/* of the latest block */
	Size		flat_size;		/* computed by state_flat_size() */
} RepurchaseState;

/*
 * Flattened state.  After the header come a bitmap of the repeaters and, from
 * the next MAXALIGN boundary, the keys: words as 4 or 8 bytes, others as they
 * would stand in a tuple with alignment 'd'.
 */
typedef struct FlatState
{
	int32		vl_len_;
	int32		version;
	Oid			type;
	Oid			collation;
	int64		customers;
	int64		repeaters;
	uint8		bitmap[FLEXIBLE_ARRAY_MEMBER];
} FlatState;

/* Walks the keys of a state, be it expanded or flat. */
typedef struct KeyReader
{
	KeyType		key;
	int64		customers;
	const RepurchaseState *state;
	const FlatState *flat;
	uint64		next;			/* slot of an expanded, number of a flat key */
	const char *cursor;			/* next key of a flat state */
} KeyReader;

PG_FUNCTION_INFO_V1(repurchase_state_in);
PG_FUNCTION_INFO_V1(repurchase_state_out);
PG_FUNCTION_INFO_V1(repurchase_state_recv);
PG_FUNCTION_INFO_V1(repurchase_state_send);
PG_FUNCTION_INFO_V1(repurchase_add);
PG_FUNCTION_INFO_V1(repurchase_merge);
PG_FUNCTION_INFO_V1(repurchase_final);

static Size state_flat_size(ExpandedObjectHeader *eohptr);
static void state_flatten(ExpandedObjectHeader *eohptr, void *result, Size allocated_size);

static const ExpandedObjectMethods state_methods = {
	state_flat_size,
	state_flatten
};

/* ----------------------------------------------------------------------
 * The type of the keys
 * ----------------------------------------------------------------------
 */

static void
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

static void
table_allocate(RepurchaseState *state, uint64 nslots)
{
	MemoryContext context = state->hdr.eoh_context;

	state->nslots = nslots;
	if (state->key.kind == KEY_WORD)
	{
		state->words = MemoryContextAllocHuge(context, nslots * sizeof(uint64));
		state->marks = MemoryContextAllocHuge(context, nslots);
		memset(state->marks, MARK_EMPTY, nslots);
	}
	else
	{
		state->slots = MemoryContextAllocHuge(context, nslots * sizeof(KeySlot));
		memset(state->slots, 0, nslots * sizeof(KeySlot));
	}
}

/*
 * A new, empty state in a context of its own below the given one, with room
 * for so many customers.
 */
static RepurchaseState *
state_create(MemoryContext parent, const KeyType *key, int64 customers)
{
	MemoryContext context;
	RepurchaseState *state;
	uint64		nslots = FIRST_SLOTS;

	context = AllocSetContextCreate(parent, "repurchase state", ALLOCSET_START_SMALL_SIZES);
	state = MemoryContextAllocZero(context, sizeof(RepurchaseState));
	EOH_init_header(&state->hdr, &state_methods, context);
	state->magic = STATE_MAGIC;
	state->key = *key;
	state->arena_size = FIRST_ARENA / 2;

	while (nslots / 4 * 3 < (uint64) customers)
		nslots *= 2;
	table_allocate(state, nslots);
	return state;
}

static void
table_grow(RepurchaseState *state)
{
	uint64		old_nslots = state->nslots;
	uint64		mask = old_nslots * 2 - 1;

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
		}
		pfree(slots);

		if (state->pending_bytes == NULL && state->key.kind == KEY_BYTES && state->nslots >= PENDING_FROM)
			state->pending_bytes = MemoryContextAlloc(state->hdr.eoh_context,
													  PENDING_MAX * sizeof(PendingBytes));
	}
}

static inline bool
table_is_full(const RepurchaseState *state)
{
	return (uint64) state->customers > state->nslots / 4 * 3;
}

/* The mark of a customer met again. */
static inline void
mark_again(RepurchaseState *state, uint8 *mark)
{
	if (*mark == MARK_ONCE)
	{
		*mark = MARK_TWICE;
		state->repeaters++;
	}
}

static inline void
add_word(RepurchaseState *state, uint64 word, uint8 mark)
{
	uint64		mask = state->nslots - 1;
	uint64		slot = word_hash(word) & mask;

	while (state->marks[slot] != MARK_EMPTY)
	{
		if (state->words[slot] == word)
		{
			mark_again(state, &state->marks[slot]);
			return;
		}
		slot = (slot + 1) & mask;
	}

	state->words[slot] = word;
	state->marks[slot] = mark;
	state->customers++;
	state->repeaters += (mark == MARK_TWICE);
	if (table_is_full(state))
		table_grow(state);
}

/*
 * Copy a by-reference key into the state.  Keys are packed: those with a short
 * header need no alignment.
 */
static Datum
key_keep(RepurchaseState *state, Datum value)
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

static void
add_key_hashed(RepurchaseState *state, Datum value, uint32 hash, uint8 mark)
{
	uint64		mask = state->nslots - 1;
	uint64		slot = hash & mask;

	while (state->slots[slot].mark != MARK_EMPTY)
	{
		if (state->slots[slot].hash == hash &&
			key_equal(&state->key, state->slots[slot].key, value))
		{
			mark_again(state, &state->slots[slot].mark);
			return;
		}
		slot = (slot + 1) & mask;
	}

	state->slots[slot].key = key_keep(state, value);
	state->slots[slot].hash = hash;
	state->slots[slot].mark = mark;
	state->customers++;
	state->repeaters += (mark == MARK_TWICE);
	if (table_is_full(state))
		table_grow(state);
}

static inline void
add_key(RepurchaseState *state, Datum value, uint8 mark)
{
	add_key_hashed(state, value, key_hash(&state->key, value), mark);
}

/*
 * Put the keys that wait into the table.
 */
static void
state_settle(RepurchaseState *state)
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
add_word_later(RepurchaseState *state, uint64 word)
{
	uint64		slot = word_hash(word) & (state->nslots - 1);

	prefetch(&state->words[slot]);
	prefetch(&state->marks[slot]);
	state->pending_words[state->npending++] = word;
	if (state->npending == PENDING_MAX)
		state_settle(state);
}

static inline void
add_bytes_later(RepurchaseState *state, Datum value)
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
		state_settle(state);
}

/* ----------------------------------------------------------------------
 * Reading and flattening states
 * ----------------------------------------------------------------------
 */

/* The state behind a datum when it is expanded, else NULL. */
static inline RepurchaseState *
state_expanded(Datum datum)
{
	RepurchaseState *state;

	if (!VARATT_IS_EXTERNAL_EXPANDED(DatumGetPointer(datum)))
		return NULL;
	state = (RepurchaseState *) DatumGetEOHP(datum);
	if (state->magic != STATE_MAGIC)
		elog(ERROR, "repurchase state has the wrong magic number");
	return state;
}

static void
reader_begin(KeyReader *reader, Datum datum)
{
	reader->state = state_expanded(datum);
	reader->flat = NULL;
	reader->cursor = NULL;
	reader->next = 0;

	if (reader->state != NULL)
	{
		state_settle(unconstify(RepurchaseState *, reader->state));
		reader->key = reader->state->key;
		reader->customers = reader->state->customers;
	}
	else
	{
		reader->flat = (const FlatState *) PG_DETOAST_DATUM(datum);
		if (reader->flat->version != STATE_VERSION)
			elog(ERROR, "unknown version %d of a repurchase state", reader->flat->version);
		key_type_init(&reader->key, reader->flat->type,
					  OidIsValid(reader->flat->collation) ? reader->flat->collation : C_COLLATION_OID);
		reader->customers = reader->flat->customers;
		reader->cursor = (const char *) reader->flat +
			MAXALIGN(offsetof(FlatState, bitmap) + (reader->customers + 7) / 8);
	}
}

static bool
reader_next(KeyReader *reader, Datum *value, uint8 *mark)
{
	const KeyType *key = &reader->key;
	const char *cursor;

	if (reader->state != NULL)
	{
		const RepurchaseState *state = reader->state;

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

static void
refuse_size(int64 customers)
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
state_flat_size(ExpandedObjectHeader *eohptr)
{
	RepurchaseState *state = (RepurchaseState *) eohptr;
	const KeyType *key = &state->key;
	Size		size;

	state_settle(state);
	size = MAXALIGN(offsetof(FlatState, bitmap) + (state->customers + 7) / 8);
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
	if (size > LARGEST_FLAT)
		refuse_size(state->customers);
	state->flat_size = size;
	return size;
}

static void
state_flatten(ExpandedObjectHeader *eohptr, void *result, Size allocated_size)
{
	RepurchaseState *state = (RepurchaseState *) eohptr;
	const KeyType *key = &state->key;
	FlatState  *flat = (FlatState *) result;
	Size		offset;
	int64		number = 0;

	Assert(allocated_size == state->flat_size);
	memset(flat, 0, allocated_size);
	SET_VARSIZE(flat, allocated_size);
	flat->version = STATE_VERSION;
	flat->type = key->type;
	flat->collation = key->collation;
	flat->customers = state->customers;
	flat->repeaters = state->repeaters;
	offset = MAXALIGN(offsetof(FlatState, bitmap) + (state->customers + 7) / 8);

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

static void
add_all(RepurchaseState *state, KeyReader *reader)
{
	MemoryContext scratch;
	MemoryContext old;
	Datum		value;
	uint8		mark;
	int64		done = 0;

	/* A type's own functions may leave something behind. */
	scratch = AllocSetContextCreate(CurrentMemoryContext, "repurchase merge", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(scratch);
	state_settle(state);
	while (reader_next(reader, &value, &mark))
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
static RepurchaseState *
state_writable(Datum datum, MemoryContext context)
{
	RepurchaseState *state;
	KeyReader	reader;

	if (VARATT_IS_EXTERNAL_EXPANDED_RW(DatumGetPointer(datum)))
		return state_expanded(datum);

	reader_begin(&reader, datum);
	state = state_create(context, &reader.key, reader.customers);
	add_all(state, &reader);
	return state;
}

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
	RepurchaseState *state;
	Datum		value;

	if (PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}

	if (PG_ARGISNULL(0))
	{
		KeyType    *key = (KeyType *) fcinfo->flinfo->fn_extra;

		if (!AggCheckCallContext(fcinfo, &aggcontext))
			elog(ERROR, "repurchase_add called outside an aggregate");
		if (key == NULL)
		{
			Oid			type = get_fn_expr_argtype(fcinfo->flinfo, 1);

			if (!OidIsValid(type))
				elog(ERROR, "could not determine the type of the customer");
			key = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(KeyType));
			key_type_init(key, type, PG_GET_COLLATION());
			fcinfo->flinfo->fn_extra = key;
		}
		state = state_create(aggcontext, key, 0);
	}
	else if (VARATT_IS_EXTERNAL_EXPANDED_RW(DatumGetPointer(PG_GETARG_DATUM(0))))
		state = state_expanded(PG_GETARG_DATUM(0));
	else
	{
		if (!AggCheckCallContext(fcinfo, &aggcontext))
			elog(ERROR, "repurchase_add called outside an aggregate");
		state = state_writable(PG_GETARG_DATUM(0), aggcontext);
	}

	value = PG_GETARG_DATUM(1);
	if (state->key.kind == KEY_WORD)
	{
		uint64		word = key_word(&state->key, value);

		if (state->pending_words != NULL)
			add_word_later(state, word);
		else
			add_word(state, word, MARK_ONCE);
	}
	else
	{
		if (state->key.typlen == -1)
			value = PointerGetDatum(PG_DETOAST_DATUM_PACKED(value));
		if (state->pending_bytes != NULL)
			add_bytes_later(state, value);
		else
			add_key(state, value, MARK_ONCE);
	}
	return EOHPGetRWDatum(&state->hdr);
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
 * repurchase_merge(state, state): combine function, and transition function
 * of merge(state).
 */
Datum
repurchase_merge(PG_FUNCTION_ARGS)
{
	MemoryContext aggcontext;
	RepurchaseState *state;
	KeyReader	reader;

	if (!AggCheckCallContext(fcinfo, &aggcontext))
		elog(ERROR, "repurchase_merge called outside an aggregate");

	if (PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}

	reader_begin(&reader, PG_GETARG_DATUM(1));
	if (PG_ARGISNULL(0))
		state = state_create(aggcontext, &reader.key, reader.customers);
	else
		state = state_writable(PG_GETARG_DATUM(0), aggcontext);

	if (state->key.type != reader.key.type || state->key.collation != reader.key.collation)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("cannot merge customers of type %s with customers of type %s",
						key_type_name(&state->key), key_type_name(&reader.key)),
				 errhint("Cast the customer to the same type wherever states are made.")));

	add_all(state, &reader);
	return EOHPGetRWDatum(&state->hdr);
}

/*
 * repurchase_final(state): the rate.  The state stays as it is, so this may be
 * called any number of times.
 */
Datum
repurchase_final(PG_FUNCTION_ARGS)
{
	RepurchaseState *state = state_expanded(PG_GETARG_DATUM(0));
	int64		customers;
	int64		repeaters;

	if (state != NULL)
	{
		state_settle(state);
		customers = state->customers;
		repeaters = state->repeaters;
	}
	else
	{
		const FlatState *flat = (const FlatState *) PG_DETOAST_DATUM(PG_GETARG_DATUM(0));

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

	reader_begin(&reader, PG_GETARG_DATUM(0));
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
	while (reader_next(&reader, &value, &mark))
	{
		bytea	   *bytes = SendFunctionCall(&send, value);
		int			len = VARSIZE_ANY_EXHDR(bytes);

		CHECK_FOR_INTERRUPTS();

		/* The text form takes twice as much. */
		if ((Size) buf.len + len + 8 > LARGEST_FLAT / 2)
			refuse_size(reader.customers);
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

static Datum
state_receive(StringInfo buf)
{
	KeyType		key;
	RepurchaseState *state;
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

	state = state_create(CurrentMemoryContext, &key, customers);
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

		if (key.kind == KEY_WORD)
			add_word(state, key_word(&key, value), mark);
		else
		{
			if (key.typlen == -1)
				value = PointerGetDatum(PG_DETOAST_DATUM_PACKED(value));
			add_key(state, value, mark);
		}
		if (state->customers != i + 1)
			refuse_external("A customer occurs twice.");
	}
	return EOHPGetRWDatum(&state->hdr);
}

Datum
repurchase_state_recv(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(state_receive((StringInfo) PG_GETARG_POINTER(0)));
}

Datum
repurchase_state_out(PG_FUNCTION_ARGS)
{
	Datum		bytes = DirectFunctionCall1(repurchase_state_send, PG_GETARG_DATUM(0));
	int			len = VARSIZE_ANY_EXHDR(DatumGetPointer(bytes));
	char	   *text = palloc((Size) len * 2 + 1);

	hex_encode(VARDATA_ANY(DatumGetPointer(bytes)), len, text);
	text[(Size) len * 2] = '\0';
	PG_RETURN_CSTRING(text);
}

Datum
repurchase_state_in(PG_FUNCTION_ARGS)
{
	char	   *text = PG_GETARG_CSTRING(0);
	Size		len = strlen(text);
	StringInfoData buf;
	Datum		state;

	initStringInfo(&buf);
	enlargeStringInfo(&buf, len / 2 + 1);
	buf.len = hex_decode(text, len, buf.data);
	buf.data[buf.len] = '\0';
	if (buf.len == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid input syntax for type %s: \"%s\"", "repurchase_state", text),
				 errhint("States are made by the aggregate repurchase_collect(customer).")));
	state = state_receive(&buf);
	if (buf.cursor != buf.len)
		refuse_external("It goes on after the last customer.");
	PG_RETURN_DATUM(state);
}
