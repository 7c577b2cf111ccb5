/*
 * aggregate_context.h
 *		Where the states of aggregates live.
 */
#ifndef RETENTION_AGGREGATE_CONTEXT_H
#define RETENTION_AGGREGATE_CONTEXT_H

#include "postgres.h"

#include "fmgr.h"

/* The context of the aggregate that calls. */
static inline MemoryContext
aggregate_context(FunctionCallInfo fcinfo)
{
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "part of an aggregate called outside an aggregate");
	return context;
}

#endif							/* RETENTION_AGGREGATE_CONTEXT_H */
