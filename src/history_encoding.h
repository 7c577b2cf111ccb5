/*
 * history_encoding.h
 *		What the files that make up the type purchase_history share.
 */
#ifndef RETENTION_HISTORY_ENCODING_H
#define RETENTION_HISTORY_ENCODING_H

#include "history_reader.h"

typedef struct HistoryEntry
{
	TimestampTz at;
	int64		units;			/* amount in units of 10^-scale */
} HistoryEntry;

typedef enum AmountCheck
{
	AMOUNT_OK,
	AMOUNT_NEGATIVE,
	AMOUNT_NOT_FINITE,
	AMOUNT_TOO_FINE,
	AMOUNT_TOO_LARGE
} AmountCheck;

extern const int64 history_power_of_ten[HISTORY_MAX_SCALE + 1];

static inline int
history_entry_compare(const HistoryEntry *a, const HistoryEntry *b)
{
	if (a->at != b->at)
		return a->at < b->at ? -1 : 1;
	if (a->units != b->units)
		return a->units < b->units ? -1 : 1;
	return 0;
}

extern AmountCheck history_amount_to_units(Numeric value, int64 *units, int *scale);
extern void history_refuse_amount(AmountCheck check, Numeric value);
extern void history_refuse_scale(int64 units, int from_scale, int to_scale);

/* The one encoding of sorted purchases. */
extern PurchaseHistory *history_encode(const HistoryEntry *entries, int64 count, int entries_scale);

/* The history that foreign bytes are; an error when they are none. */
extern PurchaseHistory *history_from_bytes(const uint8 *data, Size size);

#endif							/* RETENTION_HISTORY_ENCODING_H */
