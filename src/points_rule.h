/*
 * points_rule.h
 *		The rule that an order's points are computed with.
 */
#ifndef RETENTION_POINTS_RULE_H
#define RETENTION_POINTS_RULE_H

#include "postgres.h"

#include "customer_stats.h"
#include "shop.h"

/* Settled when an order's points accrue, and kept with the order from then on. */
typedef struct PointsRule
{
	Numeric		multiplier;
	Datum		rule;			/* jsonb: rounding, expires_at, parts of the multiplier */
	bool		has_rule;		/* false: rounded down, never lapsing, multiplier 1 */
} PointsRule;

/* Days are those of the session's time zone. */
extern void points_rule_at(int32 shop_id, Customer *customer, TimestampTz paid_at,
						   TimestampTz accrued_at, PointsRule *result);

#endif							/* RETENTION_POINTS_RULE_H */
