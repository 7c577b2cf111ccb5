/*
 * queue.h
 *		The queue of care messages: what claiming them and recording what
 *		became of them share.
 */
#ifndef RETENTION_QUEUE_H
#define RETENTION_QUEUE_H

#include "postgres.h"

#include "fmgr.h"
#include "utils/timestamp.h"

/*
 * Why a message is not sent, or not yet: the words that are kept as its reason
 * and that care_skipped explains.
 */

/* Put off: it stays queued. */
#define REASON_QUIET_HOURS "quiet hours"
#define REASON_CAPPED "frequency cap"
#define REASON_RETRY "failed, will be tried again"

/* Skipped for good. */
#define REASON_EXPIRED "expired"
#define REASON_EXPIRED_QUIET "expired in quiet hours"
#define REASON_EXPIRED_CAPPED "expired under a frequency cap"
#define REASON_EXPIRED_RETRY "expired after a failure"
#define REASON_RULE_OFF "the rule was switched off"
#define REASON_ORDER_CHANGED "the order no longer calls for it"
#define REASON_OPTED_OUT "opted out"
#define REASON_NO_CONSENT "no consent"
#define REASON_NO_RECIPIENT "no address"
#define REASON_UNANSWERED "never answers"
#define REASON_BAD_REVIEW "bad review"
#define REASON_MISSING "missing value"	/* ": name" follows */

/* Given up. */
#define REASON_GAVE_UP "gave up"
#define REASON_PERMANENT "refused for good"

extern TimestampTz queue_add_interval(TimestampTz at, Interval *interval);
extern void queue_check_not_null(FunctionCallInfo fcinfo, int argument, const char *name);

/* The end of a lease that begins at that time; an error when it is none. */
extern TimestampTz delivery_lease_end(TimestampTz at, Interval *lease);

static inline bool
text_equal(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

#endif							/* RETENTION_QUEUE_H */
