/*
 * ledger.h
 *		Posting points.  The customer's row must be locked.
 */
#ifndef RETENTION_LEDGER_H
#define RETENTION_LEDGER_H

#include "postgres.h"

#include "customer_stats.h"
#include "own_query.h"
#include "points_lot.h"
#include "shop.h"

/* What an order's points are computed from. */
typedef struct Accrual
{
	int32		source_id;
	char	   *order_id;
	Numeric		amount;
	Numeric		rate;
	Numeric		multiplier;
	Datum		rule;			/* jsonb: rounding, expiry, parts of the multiplier */
	bool		has_rule;
} Accrual;

/* One entry to be. */
typedef struct Posting
{
	const char *kind;
	int64		points;
	int64		debt;
	TimestampTz effective_at;
	TimestampTz expires_at;		/* of the lot that a credit makes; NO_TIME: never */
	const Accrual *accrual;		/* NULL: not for an order's money */
	const char *order_id;		/* of an order without accrual; NULL: none */
	const char *reference;
	const char *reason;
	const char *other_customer;
	int64		undoes;			/* entry number; 0: none */
	Datum		request;		/* jsonb, with a reference */
	Datum		rule;			/* jsonb; 0: the accrual's, if any */
	const LotParts *parts;		/* from which lots it takes, or to which it gives back */
} Posting;

/* Postings of one operation, written together by ledger_write(). */
typedef struct Ledger
{
	TimestampTz now;			/* when the operation counts: what falls due by then is done */
	TimestampTz posted_at;
	OwnRows		entries;
	OwnRows		lots;
} Ledger;

extern void ledger_begin(Ledger *ledger, TimestampTz now);
extern int64 ledger_points_for(const Accrual *accrual);

/* Points of orders. */
extern void ledger_accrue(Ledger *ledger, Customer *customer, const Accrual *accrual,
						  int64 points, TimestampTz effective_at);
extern void ledger_reverse(Ledger *ledger, Customer *customer, const Accrual *accrual,
						   int64 points, const char *reason);

/*
 * Points of any other origin.  Each fills in what follows from the lots and
 * returns the entry's number.  Points given must be positive.
 */
extern int64 ledger_credit(Ledger *ledger, Customer *customer, Posting *posting);
extern int64 ledger_debit(Ledger *ledger, Customer *customer, Posting *posting,
						  const LotParts *parts);
extern int64 ledger_post(Ledger *ledger, Customer *customer, const Posting *posting);

/* Free points of lots lapse: in part they may repay debt instead. */
extern void ledger_lapse(Ledger *ledger, Customer *customer, const LotParts *parts,
						 TimestampTz effective_at);

/* Something falls due for the customer at that moment. */
extern void ledger_due(Customer *customer, TimestampTz at);

extern void ledger_write(Ledger *ledger);

#endif							/* RETENTION_LEDGER_H */
