/*
 * facts.h
 *		The columns that a facts query may have, and what a row of it says.
 */
#ifndef RETENTION_FACTS_H
#define RETENTION_FACTS_H

#include "postgres.h"

#include "sync.h"

typedef enum FactColumn
{
	FACT_ORDER_ID,
	FACT_CUSTOMER,
	FACT_TOTAL,
	FACT_PAID,
	FACT_REFUNDED,
	FACT_EXCHANGE_RATE,
	FACT_POINTS_USED,
	FACT_CURRENCY,
	FACT_SHOP,
	FACT_CHANNEL,
	FACT_STAFF,
	FACT_REFERRER,
	FACT_REFUND_OF,
	FACT_CLOSE_REASON,
	FACT_ATTRIBUTES,
	FACT_STATE,					/* N_ORDER_STATES booleans */
	FACT_STATE_AT = FACT_STATE + N_ORDER_STATES,	/* and as many times */
	N_FACT_COLUMNS = FACT_STATE_AT + N_ORDER_STATES
} FactColumn;

/* The columns that a facts query has, by their types; InvalidOid where not. */
typedef struct FactsColumns
{
	Oid			type[N_FACT_COLUMNS];
} FactsColumns;

/* Whether a time lies within the years 1 to 9999, as all must. */
extern bool facts_time_is_usable(TimestampTz at);

/* All inside SPI, running as whoever is to run the shop's SQL. */
extern void facts_describe(const char *facts, FactsColumns *columns);
extern bool facts_maps_state(const FactsColumns *columns, OrderState state);
extern char *facts_wrap(const char *facts, const FactsColumns *columns);
extern char *facts_list_query(const char *facts, const FactsColumns *columns);
extern void facts_from_result(const FactsColumns *columns, int32 shop_id, char **order_ids,
							  int norders, FactsResult *results);

/* Of these the ones that tell whose an order is, and when it was paid. */
extern void facts_owner_columns(const FactsColumns *columns, FactsColumns *owners);

#endif							/* RETENTION_FACTS_H */
