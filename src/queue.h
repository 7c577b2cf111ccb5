/*
 * queue.h
 *		Why a message is not sent, or not yet: the words that are kept as its
 *		reason and that care_skipped explains.
 */
#ifndef RETENTION_QUEUE_H
#define RETENTION_QUEUE_H

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

#endif							/* RETENTION_QUEUE_H */
