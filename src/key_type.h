/*
 * key_type.h
 *		The type of the keys by which customers are told apart, which may be any
 *		hashable one: hashing, comparing, keeping and passing on its values.
 */
#ifndef RETENTION_KEY_TYPE_H
#define RETENTION_KEY_TYPE_H

#include "postgres.h"

#include "common/hashfn.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/typcache.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/*
 * Words are by-value types that are equal when their bits are (integers, date,
 * timestamp, ...).  Bytes are types that are equal when their bytes are (text
 * under a deterministic collation, uuid, bytea).  All others go through the
 * hash and equality functions of their type.
 */
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

extern void key_type_init(KeyType *key, Oid type, Oid collation);

/* The type of an argument of a transition function; found once a query. */
extern void key_type_read_argument(KeyType *key, FunctionCallInfo fcinfo, int argno);
extern const KeyType *key_type_of_argument(FunctionCallInfo fcinfo, int argno);

/* An error unless both are the same. */
extern void key_type_check(const KeyType *key, const KeyType *other);

/* Room for by-reference keys, packed. */
typedef struct KeyArena
{
	MemoryContext context;
	char	   *next;
	Size		left;
	Size		size;			/* of the latest block */
} KeyArena;

/* A copy of the key in the arena; a by-value key is its own. */
extern Datum key_keep(const KeyType *key, KeyArena *arena, Datum value);

/*
 * Keys in a row, to be passed between processes: words as 4 or 8 bytes, others
 * as they would stand in a tuple with alignment 'd'.  The row must begin at a
 * MAXALIGN boundary; size and offset are from there.
 */
extern Size key_row_add(const KeyType *key, Size size, Datum value);
extern Size key_row_put(const KeyType *key, char *row, Size offset, Datum value);

/* A row that grows; all zero but for the context it is an empty one. */
typedef struct KeyRow
{
	MemoryContext context;
	char	   *bytes;
	Size		used;
	Size		size;
	void	   *memory;			/* in which the bytes lie */
} KeyRow;

extern void key_row_reserve(KeyRow *row, Size size);
extern void key_row_append(KeyRow *row, const KeyType *key, Datum value);

/* Keys in external form: names of the type and the collation, then values. */
typedef struct KeyIO
{
	const KeyType *key;
	const char *state;			/* the type they are part of, for messages */
	FmgrInfo	function;
	Oid			typioparam;
} KeyIO;

extern void key_send_begin(KeyIO *io, StringInfo buf, const KeyType *key);
extern void key_send(KeyIO *io, StringInfo buf, Datum value);
extern void key_receive_begin(KeyIO *io, StringInfo buf, KeyType *key, const char *state);
extern Datum key_receive(KeyIO *io, StringInfo buf);
extern void key_refuse_external(const char *state, const char *detail);

/* What keys pass between processes in must leave room for whatever it travels in. */
#define KEYS_LARGEST_FLAT	(MaxAllocSize - 1024 * 1024)

extern void key_refuse_size(int64 keys);

/* By-reference keys must not be toasted from here on. */
static inline Datum
key_plain(const KeyType *key, Datum value)
{
	return key->typlen == -1 ? PointerGetDatum(PG_DETOAST_DATUM_PACKED(value)) : value;
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
key_word_hash(uint64 word)
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

/* Of a key that is no word. */
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

/* The next key of a row; the place after it. */
extern const char *key_row_next(const KeyType *key, const char *cursor, Datum *value);

#if defined(__GNUC__) || defined(__clang__)
#define key_prefetch(address) __builtin_prefetch(address)
#else
#define key_prefetch(address) ((void) (address))
#endif

#endif							/* RETENTION_KEY_TYPE_H */
