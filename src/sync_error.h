/*
 * sync_error.h
 *		Remembering what could not be synced.
 */
#ifndef RETENTION_SYNC_ERROR_H
#define RETENTION_SYNC_ERROR_H

#include "postgres.h"

#include "sync.h"

typedef struct SyncErrors
{
	const SyncSource *source;
	const char *noun;			/* what failed: order, customer, review */
	char	  **failed;
	char	  **sqlstates;
	char	  **messages;
	int			nfailed;
	char	  **mended;
	int			nmended;
} SyncErrors;

/* With room for n keys. */
extern void sync_errors_begin(SyncErrors *errors, const SyncSource *source,
							  const char *noun, int n);
extern void sync_errors_add(SyncErrors *errors, char *key, char *sqlstate, char *message);
extern void sync_errors_mended(SyncErrors *errors, char *key);

/* Writes them and warns of those that failed, or raises where the shop wants that. */
extern void sync_errors_write(SyncErrors *errors);

#endif							/* RETENTION_SYNC_ERROR_H */
