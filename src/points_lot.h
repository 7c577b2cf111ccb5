/*
 * points_lot.h
 *		What is left of each credit of points, and from which lots a debit is
 *		taken.  The customer's row must be locked.
 */
#ifndef RETENTION_POINTS_LOT_H
#define RETENTION_POINTS_LOT_H

#include "postgres.h"

#include "customer_stats.h"
#include "own_query.h"

/* Points of one lot that a posting takes, gives back or sets aside. */
typedef struct LotPart
{
	int64		entry_no;		/* the lot, by the entry that made it */
	int64		points;
	TimestampTz expires_at;		/* NO_TIME: never */
} LotPart;

typedef struct LotParts
{
	LotPart    *parts;
	int			n;
	int			capacity;
	int64		points;			/* of all of them */
} LotParts;

/* By how many times its points a part changes each counter of its lot. */
typedef struct LotChange
{
	int			remaining;
	int			held;
	int			lapsed;
} LotChange;

extern LotParts *lot_parts_create(void);
extern void lot_parts_add(LotParts *parts, int64 entry_no, int64 points, TimestampTz expires_at);
extern LotParts *lot_parts_slice(const LotParts *parts, int64 skip, int64 points);
extern LotParts *lot_parts_reverse(const LotParts *parts);
extern Datum lot_parts_to_jsonb(const LotParts *parts, bool negative);
extern LotParts *lot_parts_from_jsonb(Datum jsonb);

/* The free points to take, those that lapse first first; may fall short. */
extern LotParts *lots_choose(const Customer *customer, int64 points, TimestampTz at);

/* What an order's own lots still hold freely, and what of them has lapsed. */
extern void lots_of_order(const Customer *customer, int32 source_id, const char *order_id,
						  LotParts *free, LotParts *lapsed);

/* Free points of lots that lapse by then, the first to lapse first. */
extern LotParts *lots_lapsing(const Customer *customer, TimestampTz at);

/* The expiry of each part's lot, as the lots have it now. */
extern void lots_read_expiry(const Customer *customer, LotParts *parts);

extern void lots_change(const Customer *customer, const LotParts *parts, LotChange change);

/* The next moment at which free points lapse or a hold times out; NO_TIME: never. */
extern TimestampTz lots_next_due(const Customer *customer);

#endif							/* RETENTION_POINTS_LOT_H */
