/*
 * order_index.c
 *		Finding an order among many by its id.
 */
#include "order_index.h"

#include "common/hashfn.h"

typedef struct IndexedOrder
{
	char	   *order_id;
	int			position;
	char		status;			/* simplehash's own */
} IndexedOrder;

#define SH_PREFIX positions
#define SH_ELEMENT_TYPE IndexedOrder
#define SH_KEY_TYPE char *
#define SH_KEY order_id
#define SH_HASH_KEY(tb, key) hash_bytes((const unsigned char *) (key), strlen(key))
#define SH_EQUAL(tb, a, b) (strcmp(a, b) == 0)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct OrderIndex
{
	positions_hash *positions;
};

OrderIndex *
order_index_create(char **order_ids, int norders)
{
	OrderIndex *index = (OrderIndex *) palloc(sizeof(OrderIndex));

	index->positions = positions_create(CurrentMemoryContext, norders, NULL);
	for (int i = 0; i < norders; i++)
		order_index_add(index, order_ids[i], i);
	return index;
}

void
order_index_add(OrderIndex *index, char *order_id, int position)
{
	bool		found;
	IndexedOrder *order = positions_insert(index->positions, order_id, &found);

	if (!found)
		order->position = position;
}

int
order_index_find(OrderIndex *index, const char *order_id)
{
	IndexedOrder *order = positions_lookup(index->positions, unconstify(char *, order_id));

	return order ? order->position : -1;
}
