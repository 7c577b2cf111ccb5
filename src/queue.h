/*
 * queue.h
 *		The queue of care messages: what claiming them and recording what
 *		became of them share.
 */
#ifndef RETENTION_QUEUE_H
#define RETENTION_QUEUE_H

#include "postgres.h"

#include "fmgr.h"
#include "nodes/execnodes.h"
#include "nodes/pg_list.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

/*
 * Why a message is not sent, or not yet: the words that are kept as its reason
 * and that care_skipped explains.
 */

/* Put off: it stays queued. */
#define REASON_QUIET_HOURS "quiet hours"
#define REASON_CAPPED "frequency cap"
#define REASON_RETRY "failed, will be tried again"
#define REASON_BROKEN "broken condition"
#define REASON_PAUSED "the campaign is paused"

/* Skipped for good. */
#define REASON_EXPIRED "expired"
#define REASON_EXPIRED_QUIET "expired in quiet hours"
#define REASON_EXPIRED_CAPPED "expired under a frequency cap"
#define REASON_EXPIRED_RETRY "expired after a failure"
#define REASON_EXPIRED_BROKEN "expired with a broken condition"
#define REASON_EXPIRED_PAUSED "expired while the campaign was paused"
#define REASON_RULE_OFF "the rule was switched off"
#define REASON_CAMPAIGN_OVER "the campaign has ended"
#define REASON_ORDER_CHANGED "the order no longer calls for it"
#define REASON_CONDITION "condition not met"
#define REASON_OPTED_OUT "opted out"
#define REASON_NO_CONSENT "no consent"
#define REASON_NO_RECIPIENT "no address"
#define REASON_UNANSWERED "never answers"
#define REASON_BAD_REVIEW "bad review"
#define REASON_UNLIKELY "unlikely to come back"
#define REASON_MISSING "missing value"	/* ": name" follows */

/* Given up. */
#define REASON_GAVE_UP "gave up"
#define REASON_PERMANENT "refused for good"

typedef struct QueueRule
{
	char	   *name;
	char	   *event;
	bool		enabled;
	bool		counts;			/* towards frequency caps */
	bool		ignores_caps;
	bool		ignores_quiet_hours;
	bool		paused;			/* the campaign whose step it is */
	char	   *condition;		/* NULL: it has none */
	char	   *condition_by;	/* the role that wrote it; NULL: nobody knows */
	bool		of_order;		/* its messages are about an order, always */
	char	   *broken;			/* why its condition could not be evaluated */
	bool		template_read;
	char	   *template;		/* NULL: it has none */
	char	   *subject_template;	/* of the subject line; NULL: it has none */
} QueueRule;

typedef struct QueueCap
{
	char	   *purpose;		/* NULL: any */
	char	   *channel;		/* NULL: any */
	Interval   *period;
	int32		messages;
} QueueCap;

typedef struct QueueShop
{
	int32		shop_id;
	char	   *name;
	TimestampTz quiet_until;	/* NO_TIME: not in quiet hours */
	bool		opt_in;
	int64		suppress_unanswered;	/* 0: never */
	int64		suppress_review_days;	/* 0: never */
	double		suppress_p_alive;	/* 0: never */
	int64		max_attempts;
	QueueRule  *rules;
	int			nrules;
	QueueCap   *caps;
	int			ncaps;
	List	   *counted;		/* customers granted what caps count */
} QueueShop;

/* What becomes of a candidate. */
typedef enum Verdict
{
	VERDICT_NONE,				/* nothing against it so far */
	VERDICT_LEFT,				/* stays as it is, for another claim */
	VERDICT_SKIPPED,
	VERDICT_FAILED,
	VERDICT_PUT_OFF
} Verdict;

typedef struct Message
{
	char	   *customer_id;
	char	   *rule_name;
	char	   *subject;
	char	   *purpose;
	char	   *order_id;		/* NULL: not about an order */
	int32		source_id;
	TimestampTz due_at;
	TimestampTz expires_at;
	int64		attempts;
	char	   *held_for;		/* why it was put off before, or NULL */
	pg_uuid_t	message_id;
	bool		has_message_id;

	QueueRule  *rule;
	bool		counts;			/* towards a cap that there is */
	Verdict		verdict;
	const char *reason;
	const char *error;			/* for last_error; NULL leaves it */
	TimestampTz held_until;

	pg_uuid_t	token;
	char	   *recipient;
	char	   *template;
	char	   *subject_template;	/* NULL: none, or no e-mail */
	char	   *subject_line;
	char	   *text;
	int32		segments;		/* 0: not counted */
} Message;

typedef struct Claim
{
	char	   *channel;
	int32		max;
	TimestampTz at;
	TimestampTz lease_ends;
	char	   *worker;			/* may be NULL */
	bool		by_people;		/* a task: who does it finds the words */
	char	   *last_contact;	/* last row of care_contact inserted for a shop */
	int32		granted;
	ReturnSetInfo *result;
} Claim;

/* The shops (0: all) and their settings; then the rules and caps of one. */
extern QueueShop *queue_load_shops(int32 shop_id, TimestampTz at, int *nshops);
extern void queue_load_limits(const Claim *claim, QueueShop *shop);

extern TimestampTz queue_add_interval(TimestampTz at, Interval *interval);
extern void queue_check_not_null(FunctionCallInfo fcinfo, int argument, const char *name);

extern void queue_put_off(Message *message, TimestampTz until, const char *reason);
extern void queue_refuse(Message *message, Verdict verdict, const char *reason);
extern bool queue_cap_covers(const QueueCap *cap, const Message *message);
extern bool queue_is_for_customer(const Claim *claim);
extern bool queue_is_by_people(const char *channel);

/* The messages that nothing speaks against so far. */
extern int	queue_undecided(Message *messages, int nmessages, Message **chosen);

/* A text[] of a field of some messages. */
#define TEXTS_OF(chosen, n, field) queue_texts_at(chosen, n, offsetof(Message, field))
extern Datum queue_texts_at(Message **chosen, int n, size_t offset);

/* An integer[] of the sources of their orders. */
extern Datum queue_sources_of(Message **chosen, int n);

/* What speaks against a message changes its verdict. */
extern void queue_check_message(Claim *claim, QueueShop *shop, Message *message);
extern void queue_check_facts(Claim *claim, QueueShop *shop, Message *messages, int nmessages);
extern void queue_check_suppression(Claim *claim, QueueShop *shop, Message *messages, int nmessages);
extern void queue_check_conditions(Claim *claim, QueueShop *shop, Message *messages, int nmessages);
extern void queue_render(Claim *claim, QueueShop *shop, Message *messages, int nmessages);
extern void queue_check_cap(Claim *claim, QueueShop *shop, const QueueCap *cap,
							Message *messages, int nmessages);

/* The end of a lease that begins at that time; an error when it is none. */
extern TimestampTz delivery_lease_end(TimestampTz at, Interval *lease);

static inline bool
text_equal(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

#endif							/* RETENTION_QUEUE_H */
