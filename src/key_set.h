/*
 * key_set.h
 *		A set of keys of any hashable type, each marked whether it was added
 *		once or more often: what aggregates over customers count with.
 */
#ifndef RETENTION_KEY_SET_H
#define RETENTION_KEY_SET_H

#include "postgres.h"

#include "utils/expandeddatum.h"

#include "key_type.h"

#define MARK_ONCE		1
#define MARK_TWICE		2		/* twice or more */

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
	void	   *table;			/* the memory of them: */
	uint64	   *words;			/* KEY_WORD: the keys ... */
	uint8	   *marks;			/* ... and their marks */
	struct KeySlot *slots;		/* other kinds */
	uint64	   *pending_words;	/* keys not yet in the table ... */
	struct PendingBytes *pending_bytes;	/* ... NULL while the table is small */
	int			npending;
	KeyArena	arena;
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

#endif							/* RETENTION_KEY_SET_H */
