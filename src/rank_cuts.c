/*
 * rank_cuts.c
 *		Scores by fifths without sorting.
 *
 * A value has score s or more when at least k = ceil(n * (s - 1) / 5) values are
 * less than it.  So the score begins at the k-th value in order (from 0) when
 * exactly k are less than that one, and right after it when it has equals
 * before the k-th place.  Finding these few values takes counting how many fall
 * into each of many buckets, and looking closer at the buckets that hold one.
 */
#include "rank_cuts.h"

#include "miscadmin.h"
#include "port/pg_bitutils.h"

#define BUCKET_BITS		12
#define NBUCKETS		(1 << BUCKET_BITS)

/*
 * The cuts first to last - 1, whose places lie among these values, less being
 * the number of values below all of them.
 */
static void
select_cuts(const int64 *values, int64 n, int64 less, const int64 *places,
			int first, int last, RankCuts *cuts)
{
	int64		least = values[0];
	int64		greatest = values[0];
	uint64		range;
	int			shift = 0;
	int64	   *counts;
	int64		bucket = 0;

	CHECK_FOR_INTERRUPTS();
	for (int64 i = 1; i < n; i++)
	{
		least = Min(least, values[i]);
		greatest = Max(greatest, values[i]);
	}
	range = (uint64) greatest - (uint64) least;
	if (range >= NBUCKETS)
		shift = pg_leftmost_one_pos64(range) + 1 - BUCKET_BITS;

	counts = (int64 *) palloc0(NBUCKETS * sizeof(int64));
	for (int64 i = 0; i < n; i++)
		counts[((uint64) values[i] - (uint64) least) >> shift]++;

	while (first < last)
	{
		uint64		start;
		int			end;

		while (less + counts[bucket] <= places[first])
			less += counts[bucket++];
		start = (uint64) least + ((uint64) bucket << shift);

		if (shift == 0)
		{
			/* A value with as many below it as the place says is not the least. */
			cuts->above[first] = less == places[first] ? (int64) (start - 1) : (int64) start;
			first++;
			continue;
		}
		for (end = first + 1; end < last && places[end] < less + counts[bucket]; end++)
			;
		{
			int64	   *inside = (int64 *) MemoryContextAllocHuge(CurrentMemoryContext,
																  (counts[bucket] + 1) * sizeof(int64));
			int64		ninside = 0;

			/* Each is written, those inside are kept. */
			for (int64 i = 0; i < n && ninside < counts[bucket]; i++)
			{
				inside[ninside] = values[i];
				ninside += (((uint64) values[i] - start) >> shift) == 0;
			}
			select_cuts(inside, ninside, less, places, first, end, cuts);
			pfree(inside);
		}
		first = end;
	}
	pfree(counts);
}

RankCuts
rank_cuts(const int64 *values, int64 n)
{
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
		select_cuts(values, n, 0, places, 0, nplaces, &cuts);
	return cuts;
}
