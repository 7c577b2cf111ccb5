/*
 * shop_settings.h
 *		A shop's settings, cached.
 */
#ifndef RETENTION_SHOP_SETTINGS_H
#define RETENTION_SHOP_SETTINGS_H

#include "postgres.h"

#include "utils/numeric.h"
#include "utils/timestamp.h"

typedef enum AccrualEvent
{
	ACCRUE_ON_PAID,
	ACCRUE_ON_COMPLETED
} AccrualEvent;

typedef struct ShopSettings
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
	Interval   *tier_window;	/* NULL: for ever */
} ShopSettings;

/* Good until the cache is next read: use at once, or copy. */
extern const ShopSettings *shop_settings(int32 shop_id);

#endif							/* RETENTION_SHOP_SETTINGS_H */
