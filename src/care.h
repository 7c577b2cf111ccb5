/*
 * care.h
 *		Which messages a change of an order calls for, and which it cancels.
 */
#ifndef RETENTION_CARE_H
#define RETENTION_CARE_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "own_query.h"
#include "purchase.h"

/* Messages of one sync, written together by care_write(). */
typedef struct Care
{
	TimestampTz now;
	List	   *cancellations;
	OwnRows		messages;
} Care;

extern void care_begin(Care *care, TimestampTz now);
extern void care_order_changed(Care *care, int32 source_id, TimestampTz since,
							   const Purchase *before, const Purchase *after);
extern void care_write(Care *care);

#endif							/* RETENTION_CARE_H */
