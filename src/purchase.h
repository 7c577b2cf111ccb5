/*
 * purchase.h
 *		One order's facts, as the shop tells them and as they are recorded.
 */
#ifndef RETENTION_PURCHASE_H
#define RETENTION_PURCHASE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/numeric.h"

/* The states an order passes through, in the order of the tables' columns. */
typedef enum OrderState
{
	ORDER_PLACED,
	ORDER_PAID,
	ORDER_SHIPPED,
	ORDER_DELIVERED,
	ORDER_COMPLETED,
	ORDER_CLOSED
} OrderState;

#define N_ORDER_STATES 6

/* Ids of orders and customers are kept in indexes, whose entries have a limit. */
#define MAX_ID_BYTES 1000

/* What a shop may say of an order's state. */
typedef enum StateKnown
{
	STATE_UNKNOWN,				/* the source does not map it */
	STATE_NOT_REACHED,
	STATE_REACHED
} StateKnown;

/* One row of a facts query. */
typedef struct OrderFacts
{
	char	   *order_id;
	char	   *customer_id;	/* NULL: no customer */
	int32		shop_id;
	Numeric		total;
	Numeric		paid;			/* NULL: the total once paid */
	Numeric		refunded;		/* NULL: none, or all when closed */
	Numeric		exchange_rate;	/* NULL: amounts are in the shop's currency */
	StateKnown	state[N_ORDER_STATES];
	TimestampTz state_at[N_ORDER_STATES];	/* NO_TIME: reached, but when? */
	char	   *refund_of;
	char	   *currency;
	char	   *channel;
	char	   *staff;
	char	   *referrer;
	int64		points_used;
	bool		has_points_used;
	char	   *close_reason;
	Datum		attributes;		/* jsonb */
	bool		has_attributes;
} OrderFacts;

/* A row of retention.purchase. */
typedef struct Purchase
{
	char	   *order_id;
	int32		shop_id;
	char	   *customer_id;
	TimestampTz state_at[N_ORDER_STATES];	/* NO_TIME: not reached */
	Numeric		total;
	Numeric		paid;
	Numeric		refunded;
	Numeric		refunded_by_orders;
	bool		is_refund;
	char	   *refund_of;
	Numeric		value;			/* NULL: not a purchase */
	char	   *currency;
	char	   *channel;
	char	   *staff;
	char	   *referrer;
	int64		points_used;
	bool		has_points_used;
	char	   *close_reason;
	Datum		attributes;
	bool		has_attributes;
	TimestampTz accrual_due_at;
	TimestampTz accrued_at;		/* NO_TIME: not accrued */
	Numeric		accrual_rate;
	Numeric		accrual_multiplier;
	int64		accrued_points;
	Datum		accrual_rule;	/* jsonb; set once, with accrued_at */
	bool		has_accrual_rule;
} Purchase;

extern bool purchase_is_unpaid(const Purchase *purchase);
extern Numeric purchase_net(const Purchase *purchase);
extern void purchase_set_value(Purchase *purchase);
extern bool purchase_equal(const Purchase *a, const Purchase *b);

extern Purchase *purchase_copy(const Purchase *purchase);
extern bool purchase_same_owner(const Purchase *before, const Purchase *after);

/* For qsort of Purchase *: by the time they were paid, then by their ids. */
extern int	purchase_compare_paid_at(const void *a, const void *b);

extern Numeric money_zero(void);
extern bool money_is_negative(Numeric amount);

/* Reading and writing them, many at a time; all inside SPI. */
extern void purchases_read(int32 source_id, char **order_ids, int norders, Purchase **purchases);
extern void purchases_read_errors(int32 source_id, char **order_ids, int norders, bool *had_error);
extern int	purchases_read_of_customer(int32 source_id, int32 shop_id, const char *customer_id,
									   Purchase ***purchases);
extern void purchases_insert(int32 source_id, Purchase **purchases, int n);
extern void purchases_update(int32 source_id, Purchase **purchases, int n);
extern void purchases_hold(int32 source_id, char **order_ids, int n);
extern void purchases_delete(int32 source_id, char **order_ids, int n);

/* Sums of what negative orders give back for the orders they name. */
extern void purchases_refunded_by_orders(int32 source_id, char **order_ids, int norders,
										 Numeric *sums);

#endif							/* RETENTION_PURCHASE_H */
