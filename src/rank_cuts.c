/*
 * rank_cuts.c
 *		Scores by fifths without sorting.
 *
 * A value has score s or more when at least k = ceil(n * (s - 1) / 5) values are
 * less than it.  So the score begins at the k-th value in order (from 0) when
 * exactly k are less than that one, and right after it when it has equals
 * before the k-th place.  Finding these few values takes counting how many fall
 * into each of many buckets, and looking closer at the few that hold a place.
 */
#include "rank_cuts.h"

#include "miscadmin.h"
#include "port/pg_bitutils.h"

/*
 * As many buckets as there are values, within limits: few values must not cost
 * the clearing of many buckets, and the buckets must fit a processor's cache.
 */
#define LEAST_BUCKET_BITS	6
#define MOST_BUCKET_BITS	16

/* A bucket that holds some of the places, and the values in it. */
typedef struct CutBucket
{
	int			first;			/* of these cuts ... */
	int			last;			/* ... up to the one before */
	int64		less;			/* values below the bucket */
	int64		n;
	int64	   *values;
} CutBucket;

/* Values that lie side by side. */
typedef struct ArraySource
{
	RankSource	source;
	const int64 *values;
	int64		done;
} ArraySource;

static void
array_begin(RankSource *source)
{
	((ArraySource *) source)->done = 0;
}

static int
array_next(RankSource *source, const int64 **values)
{
	ArraySource *array = (ArraySource *) source;
	int			n = (int) Min(source->n - array->done, PG_INT32_MAX);

	*values = array->values + array->done;
	array->done += n;
	return n;
}

static ArraySource
array_source(const int64 *values, int64 n)
{
	ArraySource array = {{n, values[0], values[0], array_begin, array_next}, values, 0};

	for (int64 i = 1; i < n; i++)
	{
		array.source.least = Min(array.source.least, values[i]);
		array.source.greatest = Max(array.source.greatest, values[i]);
	}
	return array;
}

/*
 * Collect the values of the chosen buckets; number is by bucket that of the
 * chosen one, from 1 on, else 0.  No branch depends on the values, which go to
 * chosen[0] when nobody asked for them.
 */
static void
fill_buckets(RankSource *source, int shift, const uint8 *number, CutBucket *chosen)
{
	const int64 *values;
	int			n;

	source->begin(source);
	while ((n = source->next(source, &values)) > 0)
	{
		for (int i = 0; i < n; i++)
		{
			int			which = number[((uint64) values[i] - (uint64) source->least) >> shift];

			chosen[which].values[chosen[which].n] = values[i];
			chosen[which].n += (which > 0);
		}
	}
}

static void
count_buckets(RankSource *source, int shift, int64 *counts)
{
	const int64 *values;
	int			n;

	source->begin(source);
	while ((n = source->next(source, &values)) > 0)
	{
		for (int i = 0; i < n; i++)
			counts[((uint64) values[i] - (uint64) source->least) >> shift]++;
	}
}

/*
 * The cuts first to last - 1, whose places lie among these values, less being
 * the number of values below all of them.
 */
static void
select_cuts(RankSource *source, int64 less, const int64 *places,
			int first, int last, RankCuts *cuts)
{
	uint64		range = (uint64) source->greatest - (uint64) source->least;
	int			bits = Min(Max(pg_leftmost_one_pos64(source->n), LEAST_BUCKET_BITS), MOST_BUCKET_BITS);
	int			shift = 0;
	int64	   *counts;
	int64		bucket = 0;
	uint8	   *number;
	int64		nobody;
	CutBucket	chosen[RANK_CUTS + 1] = {{0, 0, 0, 0, &nobody}};
	int			nchosen = 0;

	CHECK_FOR_INTERRUPTS();
	if (range >> bits > 0)
		shift = pg_leftmost_one_pos64(range) + 1 - bits;

	counts = (int64 *) palloc0(((range >> shift) + 1) * sizeof(int64));
	number = (uint8 *) palloc0((range >> shift) + 1);
	count_buckets(source, shift, counts);

	while (first < last)
	{
		CutBucket  *next;

		while (less + counts[bucket] <= places[first])
			less += counts[bucket++];

		if (shift == 0)
		{
			int64		value = (int64) ((uint64) source->least + (uint64) bucket);

			/* A value with as many below it as the place says is not the least. */
			cuts->above[first] = less == places[first] ? value - 1 : value;
			first++;
			continue;
		}
		number[bucket] = ++nchosen;
		next = &chosen[nchosen];
		next->first = first;
		next->less = less;
		next->values = (int64 *) MemoryContextAllocHuge(CurrentMemoryContext,
														counts[bucket] * sizeof(int64));
		while (first < last && places[first] < less + counts[bucket])
			first++;
		next->last = first;
	}

	if (nchosen > 0)
		fill_buckets(source, shift, number, chosen);
	pfree(counts);
	pfree(number);
	for (int i = 1; i <= nchosen; i++)
	{
		ArraySource array = array_source(chosen[i].values, chosen[i].n);

		select_cuts(&array.source, chosen[i].less, places, chosen[i].first, chosen[i].last, cuts);
		pfree(chosen[i].values);
	}
}

RankCuts
rank_cuts(RankSource *source)
{
	int64		n = source->n;
	RankCuts	cuts;
	int64		places[RANK_CUTS];
	int			nplaces = 0;

	for (int i = 0; i < RANK_CUTS; i++)
	{
		/* Among few values nobody may reach a score. */
		cuts.above[i] = PG_INT64_MAX;
		places[i] = n / RANK_SCORES * (i + 1) +
			(n % RANK_SCORES * (i + 1) + RANK_SCORES - 1) / RANK_SCORES;
		if (places[i] < n)
			nplaces = i + 1;
	}
	if (nplaces > 0)
		select_cuts(source, 0, places, 0, nplaces, &cuts);
	return cuts;
}

RankCuts
rank_cuts_of_array(const int64 *values, int64 n)
{
	ArraySource array = {{0}};

	if (n > 0)
		array = array_source(values, n);
	return rank_cuts(&array.source);
}
