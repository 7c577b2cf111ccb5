/*
 * review.c
 *		Bringing recorded reviews up to what the shop says.
 *
 * A review belongs to the customer whom its facts name or, where they name
 * none, to the customer of its order; one that belongs to nobody is skipped, as
 * an order without customer is.  A review that the shop has taken away is taken
 * away here too.
 */
#include "review.h"

#include "customer_stats.h"
#include "facts.h"
#include "own_query.h"
#include "retention.h"
#include "stored_facts.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

/* Reviews read and written at a time. */
#define REVIEW_BATCH 1000

#define MAX_SCORE 5

static const char *const feedback_columns[] = {
	"shop_id", "customer_id", "kind", "feedback_source_id", "reference",
	"source_id", "order_id", "score", "content", "happened_at", "recorded_at"
};

/* Whose order each is, by their position. */
static OwnQuery order_customers = {
	"SELECT u.position::int8, p.shop_id, p.customer_id"
	" FROM unnest($2) WITH ORDINALITY AS u (order_id, position)"
	" JOIN retention.purchase p ON p.source_id = $1 AND p.order_id = u.order_id",
	2, {"int4", "text[]"}
};

/* Also when it has become another customer's. */
static OwnQuery delete_reviews = {
	"DELETE FROM retention.feedback f"
	" USING unnest($2, $3, $4) AS u (reference, shop_id, customer_id)"
	" WHERE f.feedback_source_id = $1 AND f.reference = u.reference"
	" AND (u.customer_id IS NULL OR f.customer_id <> u.customer_id OR f.shop_id <> u.shop_id)",
	4, {"int4", "text[]", "int4[]", "text[]"}
};

static OwnQuery write_reviews = {
	"INSERT INTO retention.feedback AS f (shop_id, customer_id, kind, feedback_source_id, reference,"
	" source_id, order_id, score, content, happened_at, recorded_at)"
	" SELECT u.shop_id, u.customer_id, u.kind, u.feedback_source_id, u.reference,"
	" u.source_id, u.order_id, u.score, CASE WHEN c.forgotten_at IS NULL THEN u.content END,"
	" u.happened_at, u.recorded_at"
	" FROM unnest($1) AS u"
	" JOIN retention.customer c ON c.shop_id = u.shop_id AND c.customer_id = u.customer_id"
	" ON CONFLICT (shop_id, customer_id, kind, feedback_source_id, reference) DO UPDATE"
	" SET source_id = EXCLUDED.source_id, order_id = EXCLUDED.order_id, score = EXCLUDED.score,"
	" content = EXCLUDED.content, happened_at = EXCLUDED.happened_at"
	" WHERE (f.source_id, f.order_id, f.score, f.content, f.happened_at) IS DISTINCT FROM"
	" (EXCLUDED.source_id, EXCLUDED.order_id, EXCLUDED.score, EXCLUDED.content, EXCLUDED.happened_at)",
	1, {"retention.feedback[]"}
};

typedef struct Review
{
	StoredFacts *facts;
	CustomerKey owner;			/* customer_id NULL: nobody's, or gone */
} Review;

/* Refuse what the table would not take. */
static void
check_review(StoredFacts *facts)
{
	if (facts->nulls[REVIEW_HAPPENED_AT] ||
		!facts_time_is_usable(DatumGetTimestampTz(facts->values[REVIEW_HAPPENED_AT])))
	{
		stored_facts_refuse(facts, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE,
							facts->nulls[REVIEW_HAPPENED_AT] ? "happened_at is null" :
							"happened_at is out of range: times are within the years 1 to 9999");
		return;
	}
	if (!facts->nulls[REVIEW_SCORE])
	{
		Datum		score = facts->values[REVIEW_SCORE];

		/* NaN sorts above all numbers. */
		if (DatumGetBool(DirectFunctionCall2(numeric_lt, score, NumericGetDatum(int64_to_numeric(0)))) ||
			DatumGetBool(DirectFunctionCall2(numeric_gt, score, NumericGetDatum(int64_to_numeric(MAX_SCORE)))))
			stored_facts_refuse(facts, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
								psprintf("score is %s: scores go from 0 to %d, map another scale by the expression",
										 DatumGetCString(DirectFunctionCall1(numeric_out, score)),
										 MAX_SCORE));
	}
}

/* Whose they are: as the facts say, or else the customers of their orders. */
static void
find_owners(Source *source, Review *reviews, int n)
{
	char	  **order_ids = (char **) palloc(n * sizeof(char *));
	int		   *asked = (int *) palloc(n * sizeof(int));
	int			nasked = 0;
	Datum		args[2];
	uint64		found;

	for (int i = 0; i < n; i++)
	{
		StoredFacts *facts = reviews[i].facts;

		if (facts->status != FACTS_FOUND)
			continue;
		if (!facts->nulls[REVIEW_CUSTOMER])
		{
			char	   *customer = TextDatumGetCString(facts->values[REVIEW_CUSTOMER]);

			reviews[i].owner.shop_id = source->sync.shop_id;
			if (customer[0] != '\0')
				reviews[i].owner.customer_id = customer;
		}
		else if (!facts->nulls[REVIEW_ORDER_ID])
		{
			order_ids[nasked] = TextDatumGetCString(facts->values[REVIEW_ORDER_ID]);
			asked[nasked++] = i;
		}
	}
	if (nasked == 0)
		return;

	args[0] = Int32GetDatum(source->orders_source_id);
	args[1] = own_text_array(order_ids, nasked);
	found = own_execute(&order_customers, args, NULL);
	for (uint64 r = 0; r < found; r++)
	{
		Review	   *review = &reviews[asked[own_int64(SPI_tuptable->vals[r], 1) - 1]];

		review->owner.shop_id = (int32) own_int64(SPI_tuptable->vals[r], 2);
		review->owner.customer_id = own_text(SPI_tuptable->vals[r], 3);
	}
}

/* Take away those that are gone, or are another customer's now. */
static void
delete_gone(Source *source, Review *reviews, int n)
{
	Datum	   *references = (Datum *) palloc(n * sizeof(Datum));
	Datum	   *shops = (Datum *) palloc(n * sizeof(Datum));
	Datum	   *customers = (Datum *) palloc(n * sizeof(Datum));
	bool	   *nulls = (bool *) palloc(n * sizeof(bool));
	int			ngone = 0;
	int			dims[1];
	int			lbs[1] = {1};
	Datum		args[4];

	for (int i = 0; i < n; i++)
	{
		if (reviews[i].facts->status == FACTS_FAILED)
			continue;
		references[ngone] = CStringGetTextDatum(reviews[i].facts->key);
		shops[ngone] = Int32GetDatum(reviews[i].owner.shop_id);
		nulls[ngone] = reviews[i].owner.customer_id == NULL;
		customers[ngone] = nulls[ngone] ? (Datum) 0 : CStringGetTextDatum(reviews[i].owner.customer_id);
		ngone++;
	}
	if (ngone == 0)
		return;

	dims[0] = ngone;
	args[0] = Int32GetDatum(source->sync.source_id);
	args[1] = PointerGetDatum(construct_array(references, ngone, TEXTOID, -1, false, TYPALIGN_INT));
	args[2] = PointerGetDatum(construct_array(shops, ngone, INT4OID, 4, true, TYPALIGN_INT));
	args[3] = PointerGetDatum(construct_md_array(customers, nulls, 1, dims, lbs,
												 TEXTOID, -1, false, TYPALIGN_INT));
	own_execute(&delete_reviews, args, NULL);
}

static void
add_row(OwnRows *rows, Source *source, const Review *review)
{
	const StoredFacts *facts = review->facts;
	Datum		values[lengthof(feedback_columns)];
	bool		nulls[lengthof(feedback_columns)] = {0};
	int			c = 0;

	values[c++] = Int32GetDatum(review->owner.shop_id);
	values[c++] = CStringGetTextDatum(review->owner.customer_id);
	values[c++] = CStringGetTextDatum("review");
	values[c++] = Int32GetDatum(source->sync.source_id);
	values[c++] = CStringGetTextDatum(facts->key);
	nulls[c] = facts->nulls[REVIEW_ORDER_ID];
	values[c++] = Int32GetDatum(source->orders_source_id);
	nulls[c] = facts->nulls[REVIEW_ORDER_ID];
	values[c++] = facts->values[REVIEW_ORDER_ID];
	nulls[c] = facts->nulls[REVIEW_SCORE];
	values[c++] = facts->values[REVIEW_SCORE];
	nulls[c] = facts->nulls[REVIEW_CONTENT];
	values[c++] = facts->values[REVIEW_CONTENT];
	values[c++] = facts->values[REVIEW_HAPPENED_AT];
	values[c++] = TimestampTzGetDatum(retention_clock_now());
	own_rows_add(rows, c, feedback_columns, values, nulls);
}

static void
sync_batch(Source *source, char **review_ids, int n, SyncCounts *counts)
{
	StoredFacts *facts = stored_facts_read(source, review_ids, n);
	Review	   *reviews = (Review *) palloc0(n * sizeof(Review));
	CustomerKey *keys = (CustomerKey *) palloc(n * sizeof(CustomerKey));
	int			nkeys = 0;
	OwnRows		rows;

	for (int i = 0; i < n; i++)
	{
		reviews[i].facts = &facts[i];
		if (facts[i].status == FACTS_FOUND)
			check_review(&facts[i]);
	}
	find_owners(source, reviews, n);
	delete_gone(source, reviews, n);

	own_rows_init(&rows, "feedback");
	for (int i = 0; i < n; i++)
	{
		if (facts[i].status != FACTS_FOUND)
			continue;
		if (reviews[i].owner.customer_id == NULL)
		{
			counts->without_customer++;
			continue;
		}
		keys[nkeys++] = reviews[i].owner;
		add_row(&rows, source, &reviews[i]);
	}
	if (nkeys > 0)
	{
		customers_ensure(keys, customer_keys_sort(keys, nkeys));
		own_rows_execute(&rows, &write_reviews);
	}
	stored_facts_settle(source, facts, n, counts);
}

void
reviews_sync(Source *source, char **review_ids, int nreviews, SyncCounts *counts)
{
	for (int done = 0; done < nreviews; done += REVIEW_BATCH)
	{
		CHECK_FOR_INTERRUPTS();
		SPI_connect();
		sync_batch(source, review_ids + done, Min(REVIEW_BATCH, nreviews - done), counts);
		SPI_finish();
	}
}
