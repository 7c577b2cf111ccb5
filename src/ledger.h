/*
 * ledger.h
 *		Posting points for orders.  The customer's row must be locked.
 */
#ifndef RETENTION_LEDGER_H
#define RETENTION_LEDGER_H

#include "postgres.h"

#include "customer_stats.h"
#include "own_query.h"
#include "shop.h"

/* What an order's points were computed from. */
typedef struct Accrual
{
	int32		source_id;
	char	   *order_id;
	Numeric		amount;
	Numeric		rate;
	Numeric		multiplier;
} Accrual;

/* Postings of one sync, written together by ledger_write(). */
typedef struct Ledger
{
	TimestampTz now;
	OwnRows		entries;
	OwnRows		lots;
} Ledger;

extern void ledger_begin(Ledger *ledger, TimestampTz now);
extern int64 ledger_points_for(const Accrual *accrual);
extern void ledger_accrue(Ledger *ledger, Customer *customer, const Accrual *accrual,
						  int64 points, TimestampTz effective_at);
extern void ledger_reverse(Ledger *ledger, Customer *customer, const Accrual *accrual,
						   int64 points, const char *reason);
extern void ledger_write(Ledger *ledger);

#endif							/* RETENTION_LEDGER_H */
