/*
 * points_request.h
 *		What the operations on points have in common: their arguments, the lock
 *		of the customer, and references by which a repeated request is known.
 */
#ifndef RETENTION_POINTS_REQUEST_H
#define RETENTION_POINTS_REQUEST_H

#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"

#include "ledger.h"

typedef struct PointsRequest
{
	FunctionCallInfo fcinfo;
	CustomerKey key;
	CustomerKey other;			/* of a transfer; customer_id NULL: none */
	char	   *reference;
	TimestampTz at;
	StringInfoData text;		/* what is asked for, as JSON without its end */
	Datum		request;		/* the same as jsonb, once it is begun */

	OwnContext	saved;
	CustomerSet *customers;
	Customer   *customer;
	Ledger		ledger;
} PointsRequest;

/*
 * What a call returns: points_posting, or points_holding when there is a
 * timeout to tell.
 */
typedef struct PointsResult
{
	int64		entry_no;		/* 0: none */
	int64		points;
	TimestampTz times_out_at;	/* NO_TIME: not a hold */
} PointsResult;

/* Reading arguments; a required one that is NULL is an error that names it. */
extern char *points_customer_argument(FunctionCallInfo fcinfo, int argno, const char *name);
extern char *points_text_argument(FunctionCallInfo fcinfo, int argno, const char *name);
extern char *points_optional_text(FunctionCallInfo fcinfo, int argno);
extern int64 points_amount_argument(FunctionCallInfo fcinfo, int argno);

/*
 * An operation is: prepare, say what is asked for, begin, and finish; at once
 * when begin says that the request is repeated.  Lock is the part of begin
 * that connects to SPI and locks and settles the customer.
 */
extern void points_request_prepare(PointsRequest *request, FunctionCallInfo fcinfo,
								   const char *operation, int reference_argno,
								   int at_argno, int shop_argno);
extern void points_request_text(PointsRequest *request, const char *name, const char *value);
extern void points_request_int(PointsRequest *request, const char *name, int64 value);
extern void points_request_time(PointsRequest *request, const char *name, TimestampTz at);
extern void points_request_lock(PointsRequest *request, PointsResult *result);
extern bool points_request_begin(PointsRequest *request, PointsResult *result);
extern Datum points_request_finish(PointsRequest *request, PointsResult *result);

/* Whether it is what the reference already stands for; an error that it is not. */
extern bool points_request_same(const PointsRequest *request, Datum recorded);
extern void points_request_conflict(const PointsRequest *request, Datum recorded);

/* Posted less held: right once what is due has been settled. */
extern int64 points_available(const Customer *customer);

/* Parts for so many points, or an error that tells what there is. */
extern LotParts *points_take(PointsRequest *request, int64 points);

#endif							/* RETENTION_POINTS_REQUEST_H */
