/*
 * shop.h
 *		Which shop is meant.
 */
#ifndef RETENTION_SHOP_H
#define RETENTION_SHOP_H

#include "postgres.h"

/*
 * The number of the shop with this name; without a name that of the only
 * shop, and an error when there are several.  When there is none: 0 if
 * missing_ok, else an error.
 */
extern int32 shop_lookup(const char *name, bool missing_ok);

#endif							/* RETENTION_SHOP_H */
