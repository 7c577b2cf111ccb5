/*
 * resync.h
 *		Syncing more than what a transaction changed: repair and backfill.
 */
#ifndef RETENTION_RESYNC_H
#define RETENTION_RESYNC_H

#include "postgres.h"

#include "source.h"

extern void resync_mark_truncated(int32 source_id);

/* All recorded orders of the source and those named, which settles a TRUNCATE. */
extern void resync_recorded(Source *source, char **more_ids, int nmore, SyncCounts *counts);

#endif							/* RETENTION_RESYNC_H */
