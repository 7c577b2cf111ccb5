/*
 * tier_life.h
 *		The tier that a customer has, as it comes and goes.
 */
#ifndef RETENTION_TIER_LIFE_H
#define RETENTION_TIER_LIFE_H

#include "postgres.h"

#include "customer_stats.h"

/* Review the tiers of customers that were changed; before customers_write(). */
extern void tiers_review(CustomerSet *set, TimestampTz now);

#endif							/* RETENTION_TIER_LIFE_H */
