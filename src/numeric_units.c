/*
 * numeric_units.c
 *		A numeric as a whole number of units of 10^-scale.
 *
 * Numeric's functions take too long to be called for every order.  So its
 * digits are read where they are stored, in the format that numerics have had
 * on disk since PostgreSQL 9.1: a header of 16 bits, or of 32, then digits of
 * base 10000.  The header tells the sign and the weight of the first digit.
 */
#include "numeric_units.h"

#include "compat.h"

#include "common/int.h"

#define BASE			10000
#define BASE_DIGITS		4		/* decimal digits in one */

/* The two highest bits of the header tell its kind. */
#define KIND_MASK		0xC000
#define KIND_NEGATIVE	0x4000	/* a long header; 0 when positive */
#define KIND_SHORT		0x8000
#define KIND_SPECIAL	0xC000	/* NaN and infinity */

/* Of a short header. */
#define SHORT_NEGATIVE		0x2000
#define SHORT_WEIGHT_SIGN	0x0040
#define SHORT_WEIGHT_MASK	0x003F

bool
numeric_to_units(Numeric value, int64 *units, int *scale)
{
	const char *p = VARDATA_ANY(value);
	const char *end = p + VARSIZE_ANY_EXHDR(value);
	uint16		header;
	int			weight;
	bool		negative;
	int64		result = 0;

	memcpy(&header, p, sizeof(header));
	p += sizeof(header);
	if ((header & KIND_MASK) == KIND_SPECIAL)
		return false;
	if ((header & KIND_MASK) == KIND_SHORT)
	{
		weight = header & SHORT_WEIGHT_MASK;
		if (header & SHORT_WEIGHT_SIGN)
			weight |= ~SHORT_WEIGHT_MASK;
		negative = (header & SHORT_NEGATIVE) != 0;
	}
	else
	{
		int16		long_weight;

		memcpy(&long_weight, p, sizeof(long_weight));
		p += sizeof(long_weight);
		weight = long_weight;
		negative = (header & KIND_MASK) == KIND_NEGATIVE;
	}

	/* Zero has no digits. */
	*scale = 0;
	for (; p < end; p += sizeof(int16), weight--)
	{
		int16		digit;

		memcpy(&digit, p, sizeof(digit));
		if (pg_mul_s64_overflow(result, BASE, &result) ||
			pg_add_s64_overflow(result, digit, &result))
			return false;
		if (weight < 0 && (*scale = -weight * BASE_DIGITS) > NUMERIC_UNITS_MAX_SCALE + BASE_DIGITS)
			return false;
	}
	for (; result != 0 && weight >= 0; weight--)
	{
		if (pg_mul_s64_overflow(result, BASE, &result))
			return false;
	}
	if (result == 0)
		*scale = 0;
	while (*scale > 0 && result % 10 == 0)
	{
		result /= 10;
		(*scale)--;
	}
	*units = negative ? -result : result;
	return *scale <= NUMERIC_UNITS_MAX_SCALE;
}

static int64
power_of_ten(int exponent)
{
	int64		power = 1;

	while (exponent-- > 0)
		power *= 10;
	return power;
}

bool
numeric_units_add(NumericUnits *all, Numeric value)
{
	int64		units;
	int			scale;

	if (!numeric_to_units(value, &units, &scale))
		return false;
	if (unlikely(scale > all->scale))
	{
		int64		factor = power_of_ten(scale - all->scale);

		for (int64 i = 0; i < all->n; i++)
		{
			if (pg_mul_s64_overflow(all->units[i], factor, &all->units[i]))
				return false;
		}
		all->scale = scale;
	}
	else if (scale < all->scale &&
			 pg_mul_s64_overflow(units, power_of_ten(all->scale - scale), &units))
		return false;
	all->units[all->n++] = units;
	return true;
}
