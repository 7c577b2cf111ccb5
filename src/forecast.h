/*
 * forecast.h
 *		Forecasting who buys again, how often and for how much: what its files
 *		share.
 *
 * The models describe a customer by three numbers: the repeat purchases
 * (frequency), the time from the first purchase to the last (recency) and the
 * time from the first purchase to now (age); and by the mean value of the
 * repeat purchases.
 */
#ifndef RETENTION_FORECAST_H
#define RETENTION_FORECAST_H

#include "postgres.h"

#include "fmgr.h"
#include "utils/expandeddatum.h"

#include "forecast_likelihood.h"
#include "purchase_history.h"

/* What a state's groups hold; part of the external form. */
typedef enum SampleKind
{
	SAMPLE_PURCHASES = 1,		/* for BG/NBD and MBG/NBD */
	SAMPLE_VALUES = 2			/* for Gamma-Gamma */
} SampleKind;

/*
 * The state of the aggregates: customers grouped by what is known of them, in
 * a hash table.
 */
typedef struct CustomerSample
{
	ExpandedObjectHeader hdr;
	int			magic;
	SampleKind	kind;
	int64		ngroups;
	uint64		nslots;			/* a power of two */
	int			shift;			/* 64 less its logarithm */
	CustomerGroup *slots;		/* no customers in an empty one */
} CustomerSample;

/* The state in the argument, which must be of that kind. */
extern CustomerSample *sample_argument(FunctionCallInfo fcinfo, int n, SampleKind kind);

/* Its groups, sorted. */
extern CustomerGroup *sample_sorted(const CustomerSample *sample);

/* What is known of a customer, checked: an error names what cannot be. */
extern void forecast_check_purchases(double frequency, double recency, double age);
extern void check_values(double frequency, double mean_value);

/* A customer's purchases as the models see them, one a day at most. */
typedef struct PurchaseSummary
{
	int64		frequency;
	int32		recency_days;
	int32		age_days;
	HistorySum	repeat_value;	/* of all purchases but the first day's */
} PurchaseSummary;

/*
 * Sums up the history in argument n, whose days are those of the time zone in
 * argument zone, as seen at the moment in argument at (none or NULL: now).
 * False when nothing was bought by then.
 */
extern bool summarise_purchases(FunctionCallInfo fcinfo, int n, int zone, int at,
								PurchaseSummary *summary);

/* A length of time in days; an error when it has no fixed one. */
extern double unit_in_days(FunctionCallInfo fcinfo, int n);

/* The name of a model in SQL. */
extern const char *forecast_model_name(ForecastModel model);

#endif							/* RETENTION_FORECAST_H */
