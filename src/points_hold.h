/*
 * points_hold.h
 *		Points set aside at checkout, as the sweep needs to know them.
 */
#ifndef RETENTION_POINTS_HOLD_H
#define RETENTION_POINTS_HOLD_H

#include "postgres.h"

#include "customer_stats.h"

/* When the customer's next open hold times out; NO_TIME: there is none. */
extern TimestampTz hold_next_timeout(const Customer *customer);

/* Let go the open holds that time out by then; their points are free again. */
extern void hold_time_out(Customer *customer, TimestampTz at);

#endif							/* RETENTION_POINTS_HOLD_H */
