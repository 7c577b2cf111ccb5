/*
 * rank_cuts.h
 *		Scores by fifths: where each of the scores 2 to 5 begins.
 */
#ifndef RETENTION_RANK_CUTS_H
#define RETENTION_RANK_CUTS_H

#include "postgres.h"

#define RANK_SCORES		5		/* scores are 1 to 5 */
#define RANK_CUTS		(RANK_SCORES - 1)

/* Score s + 2 is for the values greater than above[s]. */
typedef struct RankCuts
{
	int64		above[RANK_CUTS];
} RankCuts;

/*
 * The values to be scored, which are read more than once, each time some at a
 * time and in any order.
 */
typedef struct RankSource
{
	int64		n;
	int64		least;			/* no value is less, ... */
	int64		greatest;		/* ... none is greater */
	void		(*begin) (struct RankSource *source);
	int			(*next) (struct RankSource *source, const int64 **values);	/* 0 at the end */
} RankSource;

/*
 * The cuts with which every value gets 1 + floor(5 * (rank - 1) / n), rank being
 * that of rank() in ascending order.
 */
extern RankCuts rank_cuts(RankSource *source);
extern RankCuts rank_cuts_of_array(const int64 *values, int64 n);

static inline int
rank_score(const RankCuts *cuts, int64 value)
{
	return 1 + (value > cuts->above[0]) + (value > cuts->above[1]) +
		(value > cuts->above[2]) + (value > cuts->above[3]);
}

#endif							/* RETENTION_RANK_CUTS_H */
