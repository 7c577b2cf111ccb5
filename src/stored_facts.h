/*
 * stored_facts.h
 *		The columns of facts that are not of orders: customers, reviews, order
 *		lines and events.
 */
#ifndef RETENTION_STORED_FACTS_H
#define RETENTION_STORED_FACTS_H

#include "postgres.h"

#include "source.h"

/* Columns of customers' facts. */
enum
{
	PROFILE_CUSTOMER,
	PROFILE_NAME,
	PROFILE_NICKNAME,
	PROFILE_BIRTHDAY,
	PROFILE_PHONE,
	PROFILE_EMAIL,
	PROFILE_JOINED_AT,
	PROFILE_CONSENTS,
	PROFILE_ATTRIBUTES,
	PROFILE_SHOP,
	N_PROFILE_COLUMNS
};

/* Columns of reviews' facts. */
enum
{
	REVIEW_ID,
	REVIEW_ORDER_ID,
	REVIEW_CUSTOMER,
	REVIEW_SCORE,
	REVIEW_CONTENT,
	REVIEW_HAPPENED_AT,
	N_REVIEW_COLUMNS
};

#define MAX_STORED_COLUMNS 10

/* What the facts say of one key. */
typedef struct StoredFacts
{
	char	   *key;
	FactsStatus status;
	Datum		values[MAX_STORED_COLUMNS];
	bool		nulls[MAX_STORED_COLUMNS];	/* also where not mapped */
	bool		mapped[MAX_STORED_COLUMNS];
	bool		had_error;		/* may be in sync_error */
	char		sqlstate[6];
	char	   *message;
} StoredFacts;

/* Columns of events' facts that are looked at here. */
#define EVENT_HAPPENED_AT 1

/*
 * SELECT of all columns in their order and types, from the facts as f; types
 * takes those that the facts themselves have, InvalidOid where not mapped, the
 * key's first.
 */
extern char *stored_facts_wrap(Source *source, Oid types[MAX_STORED_COLUMNS]);

/* SELECT of all keys, twice. */
extern char *stored_facts_list_query(Source *source);

/* The facts of the keys named, sorted and each once; inside SPI. */
extern StoredFacts *stored_facts_read(Source *source, char **keys, int nkeys);

/* Say that what was read cannot be used. */
extern void stored_facts_refuse(StoredFacts *facts, int sqlstate, const char *message);

/*
 * Remember in sync_error what could not be read or used, with a warning, and
 * forget what could; adds to the counts.
 */
extern void stored_facts_settle(Source *source, StoredFacts *facts, int n, SyncCounts *counts);

#endif							/* RETENTION_STORED_FACTS_H */
