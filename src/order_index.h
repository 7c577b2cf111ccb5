/*
 * order_index.h
 *		Finding an order among many by its id.
 */
#ifndef RETENTION_ORDER_INDEX_H
#define RETENTION_ORDER_INDEX_H

#include "postgres.h"

typedef struct OrderIndex OrderIndex;

/* The orders at 0 to norders - 1; made, and its ids kept, in the current memory context. */
extern OrderIndex *order_index_create(char **order_ids, int norders);
extern void order_index_add(OrderIndex *index, char *order_id, int position);

/* Where an order is; of several of one id the first; -1: nowhere. */
extern int	order_index_find(OrderIndex *index, const char *order_id);

#endif							/* RETENTION_ORDER_INDEX_H */
