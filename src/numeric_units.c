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
#include "history_encoding.h"

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

/* Dividing a digit by 10^n, as a multiplication with 2^32 / 10^n. */
static const uint64 inverse[BASE_DIGITS + 1] = {
	UINT64CONST(1) << 32,
	(UINT64CONST(1) << 32) / 10 + 1,
	(UINT64CONST(1) << 32) / 100 + 1,
	(UINT64CONST(1) << 32) / 1000 + 1,
	(UINT64CONST(1) << 32) / 10000 + 1
};

/* Before the point this has at most so many digits, which leaves room for four more. */
#define COMMON_WEIGHT	2

bool
numeric_to_units_of_scale(Numeric value, int scale, int64 *units)
{
	const char *p = VARDATA_ANY(value);
	int			ndigits = ((int) VARSIZE_ANY_EXHDR(value) - (int) sizeof(uint16)) / (int) sizeof(int16);
	uint16		header;
	int			weight;
	int16		digit;
	uint64		fraction = 0;
	uint64		fraction_units;
	int64		result = 0;

	memcpy(&header, p, sizeof(header));
	p += sizeof(header);
	weight = header & SHORT_WEIGHT_MASK;
	if ((header & (KIND_MASK | SHORT_NEGATIVE | SHORT_WEIGHT_SIGN)) != KIND_SHORT ||
		weight > COMMON_WEIGHT || ndigits > weight + 2 || scale > BASE_DIGITS)
		return false;

	/* Zeros at the end are not stored. */
	for (int i = 0; i <= weight; i++)
	{
		digit = 0;
		if (i < ndigits)
			memcpy(&digit, p + i * sizeof(digit), sizeof(digit));
		result = result * BASE + digit;
	}
	if (ndigits == weight + 2)
	{
		memcpy(&digit, p + (weight + 1) * sizeof(digit), sizeof(digit));
		fraction = (uint64) digit;
	}
	fraction_units = fraction * inverse[BASE_DIGITS - scale] >> 32;
	*units = result * history_power_of_ten[scale] + (int64) fraction_units;
	return fraction_units * (uint64) history_power_of_ten[BASE_DIGITS - scale] == fraction;
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
		int64		factor = history_power_of_ten[scale - all->scale];

		for (int64 i = 0; i < all->n; i++)
		{
			if (pg_mul_s64_overflow(all->units[i], factor, &all->units[i]))
				return false;
		}
		all->scale = scale;
	}
	else if (scale < all->scale &&
			 pg_mul_s64_overflow(units, history_power_of_ten[all->scale - scale], &units))
		return false;
	all->units[all->n++] = units;
	return true;
}
