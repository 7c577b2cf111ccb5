/*
 * signup_table.h
 *		A hash table of customers of any hashable type: when each signed up, and
 *		marks of whether they came back.
 */
#ifndef RETENTION_SIGNUP_TABLE_H
#define RETENTION_SIGNUP_TABLE_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "key_type.h"

typedef struct Signup
{
	Datum		customer;
	TimestampTz signed_up_at;
	uint64		returned;		/* a bit for each question, which the caller knows */
	uint32		hash;			/* of the customer */
	char		status;			/* simplehash's own */
} Signup;

struct signups_hash;

typedef struct SignupTable
{
	MemoryContext context;		/* of its own */
	KeyType		key;
	struct signups_hash *hash;
	void	   *memory;			/* in which its slots lie, ... */
	void	   *outgrown;		/* ... and lay before they moved */
	KeyArena	arena;
	Signup	   *waiting;		/* NULL while the table is small */
	char	   *waiting_bytes;	/* what those by reference lead to */
	int			nwaiting;
} SignupTable;

/* An empty table below the context, with room for so many customers. */
extern SignupTable *signup_table_create(MemoryContext parent, const KeyType *key, int64 customers);

/*
 * Add what is known of a customer; a by-reference one is copied.  Marks add up,
 * but two times of sign-up are an error, for what came back after the earlier
 * one cannot be told any more.
 */
extern void signup_table_add(SignupTable *table, Datum customer, TimestampTz signed_up_at,
							 uint64 returned);

/* Puts those who wait in place: before anything is read. */
extern void signup_table_settle(SignupTable *table);

/* Of a settled table. */
extern int64 signup_table_customers(const SignupTable *table);
extern bool signup_table_has(const SignupTable *table, Datum customer);

/* Walks a settled table, too; NULL at the end. */
typedef struct SignupWalk
{
	const SignupTable *table;
	uint64		slot;			/* the one to look at next */
} SignupWalk;

extern void signup_table_walk(SignupWalk *walk, const SignupTable *table);
extern const Signup *signup_table_next(SignupWalk *walk);

#endif							/* RETENTION_SIGNUP_TABLE_H */
