/*
 * numeric_units.h
 *		A numeric as a whole number of units of 10^-scale.
 */
#ifndef RETENTION_NUMERIC_UNITS_H
#define RETENTION_NUMERIC_UNITS_H

#include "postgres.h"

#include "utils/numeric.h"

#define NUMERIC_UNITS_MAX_SCALE 18

/*
 * The units and the least scale that is exact.  False for what is not finite,
 * and for some numbers at the edge of what 64 bits and 18 decimal places hold.
 * The value may have a short header.
 */
extern bool numeric_to_units(Numeric value, int64 *units, int *scale);

/*
 * The units of that scale.  False where they are no whole number, and for what
 * is no common amount of money: only quicker.
 */
extern bool numeric_to_units_of_scale(Numeric value, int scale, int64 *units);

/* Numerics brought to one scale, so that they compare as integers. */
typedef struct NumericUnits
{
	int64	   *units;			/* room for all of them is the caller's */
	int64		n;
	int			scale;
} NumericUnits;

/* Adds one; false when no one scale fits them all. */
extern bool numeric_units_add(NumericUnits *all, Numeric value);

#endif							/* RETENTION_NUMERIC_UNITS_H */
