/*
 * tier.h
 *		Which tier a customer has reached, for those who post points.
 */
#ifndef RETENTION_TIER_H
#define RETENTION_TIER_H

#include "postgres.h"

#include "utils/numeric.h"

/*
 * The multiplier of points, and the name, of the tier reached with so much
 * spent in so many purchases; 1 and NULL when not even the lowest is reached.
 * A shop_id of 0 means the shipped ladder.  The results are the caller's own.
 */
extern Numeric tier_multiplier(int32 shop_id, Numeric spent, int64 purchases);
extern const char *tier_name(int32 shop_id, Numeric spent, int64 purchases);

/* The multiplier of a tier of that name on the shop's ladder; false: no such. */
extern bool tier_by_name(int32 shop_id, const char *name, Numeric *multiplier);

/* The height of a tier of that name; 0: no such, or no name. */
extern int	tier_height(int32 shop_id, const char *name);

/* The name of the next lower tier; NULL: there is none. */
extern const char *tier_next_lower(int32 shop_id, int height);

#endif							/* RETENTION_TIER_H */
