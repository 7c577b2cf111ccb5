/*
 * review.h
 *		Bringing recorded reviews up to what the shop says.
 */
#ifndef RETENTION_REVIEW_H
#define RETENTION_REVIEW_H

#include "postgres.h"

#include "source.h"

/* As the extension's owner, in the shop's time zone; sorted, each once. */
extern void reviews_sync(Source *source, char **review_ids, int nreviews, SyncCounts *counts);

#endif							/* RETENTION_REVIEW_H */
