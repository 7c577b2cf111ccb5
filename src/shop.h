/*
 * shop.h
 *		The shops and their settings.
 */
#ifndef RETENTION_SHOP_H
#define RETENTION_SHOP_H

#include "postgres.h"

#include "utils/numeric.h"
#include "utils/timestamp.h"

typedef enum AccrualEvent
{
	ACCRUE_ON_PAID,
	ACCRUE_ON_COMPLETED
} AccrualEvent;

typedef enum PointsRounding
{
	ROUND_DOWN,
	ROUND_NEAREST,
	ROUND_UP
} PointsRounding;

typedef enum ExpiryRule
{
	EXPIRY_NONE,
	EXPIRY_MONTHS,
	EXPIRY_END_OF_MONTH,
	EXPIRY_END_OF_QUARTER,
	EXPIRY_END_OF_YEAR
} ExpiryRule;

typedef struct Shop
{
	int32		shop_id;
	char	   *name;
	char	   *time_zone;
	char	   *currency;
	bool		raise_errors;	/* on_error = 'raise' */
	Numeric		points_rate;
	AccrualEvent accrue_on;
	int32		accrue_after_days;
	bool		forgive_debt;
	PointsRounding points_rounding;
	ExpiryRule	points_expiry;
	int32		points_expiry_months;
	Numeric		birthday_multiplier;	/* NULL: no occasion */
	int32		member_day;		/* day of the month; 0: none */
	Numeric		member_day_multiplier;
	Interval   *hold_timeout;
	Interval   *tier_window;	/* NULL: for ever */
	Interval   *tier_grace;		/* before a downgrade; NULL: none */
	bool		tier_down_one_rung; /* a downgrade goes one rung at a time */
} Shop;

/*
 * The number of the shop with this name; without a name that of the only
 * shop, and an error when there are several.  When there is none: 0 if
 * missing_ok, else an error.
 */
extern int32 shop_lookup(const char *name, bool missing_ok);

/* The number of the only shop, 0 when there is none or several. */
extern int32 shop_lookup_only(void);

/* Good until a shop is next looked up: use at once, or copy. */
extern const Shop *shop_settings(int32 shop_id);

#endif							/* RETENTION_SHOP_H */
