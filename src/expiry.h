/*
 * expiry.h
 *		When points lapse, and what falls due for a customer by itself.
 */
#ifndef RETENTION_EXPIRY_H
#define RETENTION_EXPIRY_H

#include "postgres.h"

#include "ledger.h"

/* When points credited at that moment lapse by the shop's rule; NO_TIME: never. */
extern TimestampTz shop_expires_at(const Shop *shop, TimestampTz at);

/* The same in the shop's own days, whatever the session's time zone. */
extern TimestampTz shop_expires_at_local(int32 shop_id, TimestampTz at);

/*
 * What an accrual is computed with beside rate and multiplier, as kept with
 * the order: {"rounding": ..., "expires_at": ..., ...}.
 */
extern PointsRounding rule_rounding(Datum rule);
extern TimestampTz rule_expires_at(Datum rule);

/*
 * Post what has fallen due by then: holds that timed out are let go, points of
 * lapsed lots expire.  Every operation does this first, so that it makes no
 * difference when, or whether, the sweep runs.
 */
extern void points_settle(Ledger *ledger, Customer *customer, TimestampTz at);

/* After points became free again: those of lapsed lots expire at that moment. */
extern void points_freed(Ledger *ledger, Customer *customer, TimestampTz at);

#endif							/* RETENTION_EXPIRY_H */
