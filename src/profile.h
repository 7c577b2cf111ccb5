/*
 * profile.h
 *		Bringing what is known of customers up to what the shop says.
 */
#ifndef RETENTION_PROFILE_H
#define RETENTION_PROFILE_H

#include "postgres.h"

#include "source.h"

/* As the extension's owner, in the shop's time zone; sorted, each once. */
extern void profiles_sync(Source *source, char **customer_ids, int ncustomers, SyncCounts *counts);

#endif							/* RETENTION_PROFILE_H */
