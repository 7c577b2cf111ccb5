/*
 * key_set.h
 *		A set of keys of any hashable type, each marked whether it was added
 *		once or more often: what aggregates over customers count with.
 */
#ifndef RETENTION_KEY_SET_H
#define RETENTION_KEY_SET_H

#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/expandeddatum.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#define MARK_ONCE		1
#define MARK_TWICE		2		/* twice or more */

/* Leave room for whatever the state travels in: a tuple, a message. */
#define KEY_SET_LARGEST_FLAT	(MaxAllocSize - 1024 * 1024)

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

struct KeySlot;
struct PendingBytes;

typedef struct KeySet
{
	ExpandedObjectHeader hdr;
	int			magic;
	KeyType		key;
	int64		customers;		/* distinct keys */
	int64		repeaters;		/* of them, those seen twice or more */
	uint64		nslots;			/* a power of two */
	uint64	   *words;			/* KEY_WORD: the keys ... */
	uint8	   *marks;			/* ... and their marks */
	struct KeySlot *slots;			/* other kinds */
	bool		numbered;
	uint32	   *numbers;			/* by slot: which key it was; NULL unless numbered */
	uint64	   *pending_words;	/* keys not yet in the table ... */
	struct PendingBytes *pending_bytes;	/* ... NULL while the table is small */
	int			npending;
	char	   *arena;			/* where the next by-reference key goes */
	Size		arena_left;
	Size		arena_size;		/* of the latest block */
	Size		flat_size;		/* computed by set_flat_size() */
} KeySet;

/*
 * Flattened state.  After the header come a bitmap of the repeaters and, from
 * the next MAXALIGN boundary, the keys: words as 4 or 8 bytes, others as they
 * would stand in a tuple with alignment 'd'.
 */
typedef struct FlatKeySet
{
	int32		vl_len_;
	int32		version;
	Oid			type;
	Oid			collation;
	int64		customers;
	int64		repeaters;
	uint8		bitmap[FLEXIBLE_ARRAY_MEMBER];
} FlatKeySet;

/* Walks the keys of a state, be it expanded or flat. */
typedef struct KeyReader
{
	KeyType		key;
	int64		customers;
	const KeySet *state;
	const FlatKeySet *flat;
	uint64		next;			/* slot of an expanded, number of a flat key */
	const char *cursor;			/* next key of a flat state */
} KeyReader;

extern void key_type_init(KeyType *key, Oid type, Oid collation);

/* An empty set below the context, with room for so many keys. */
extern KeySet *key_set_create(MemoryContext parent, const KeyType *key, int64 keys);

/* The set behind a datum: when it is expanded, else NULL; or one to change. */
extern KeySet *key_set_expanded(Datum datum);
extern KeySet *key_set_writable(Datum datum, MemoryContext context);

/* Keys added one by one may wait; settle puts them all in place. */
extern void key_set_add(KeySet *set, Datum value);
extern void key_set_settle(KeySet *set);
extern void key_set_add_marked(KeySet *set, Datum value, uint8 mark);

extern void key_reader_begin(KeyReader *reader, Datum datum);
extern bool key_reader_next(KeyReader *reader, Datum *value, uint8 *mark);
extern void key_set_add_all(KeySet *set, KeyReader *reader);
extern void key_set_refuse_size(int64 keys);

/*
 * A set whose keys have numbers, 0, 1, 2 as they came, by which to find what
 * else is known of them.  Fetching a key's slot early hides the wait for it.
 */
extern KeySet *key_set_create_numbered(MemoryContext parent, const KeyType *key, int64 keys);
extern int64 key_set_number(KeySet *set, Datum value);
extern void key_set_fetch(const KeySet *set, Datum value);

/* Number of the key read last; of a flat state, its place. */
extern int64 key_reader_number(const KeyReader *reader);

/* An error unless both have keys of the same type. */
extern const KeyType *key_type_of_argument(FunctionCallInfo fcinfo, int argno);
extern void key_set_check_type(const KeySet *set, const KeyType *key);

/* The external form, as repurchase_state has it. */
extern KeySet *key_set_receive(StringInfo buf, bool numbered);
extern Datum repurchase_state_send(PG_FUNCTION_ARGS);

#endif							/* RETENTION_KEY_SET_H */
