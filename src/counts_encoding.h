/*
 * counts_encoding.h
 *		The state of aggregates over purchase histories as bytes.
 */
#ifndef RETENTION_COUNTS_ENCODING_H
#define RETENTION_COUNTS_ENCODING_H

#include "history_counts.h"

extern const ExpandedObjectMethods counts_methods;

/* An empty state below the context, with room for so many cells. */
extern HistoryCounts *counts_create(MemoryContext parent, const CountsQuestion *question, int64 ncells);

/* A state from bytes of which nothing is known. */
extern HistoryCounts *counts_parse(const char *data, Size size, MemoryContext context);

#endif							/* RETENTION_COUNTS_ENCODING_H */
