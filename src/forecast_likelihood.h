/*
 * forecast_likelihood.h
 *		How likely the purchases of a set of customers are, given the parameters
 *		of a model, and the gradient of that: mathematics only, and C only, so
 *		that a program can check them without a server.
 */
#ifndef RETENTION_FORECAST_LIKELIHOOD_H
#define RETENTION_FORECAST_LIKELIHOOD_H

#include <stdint.h>

typedef enum ForecastModel
{
	FORECAST_BGNBD,				/* r, alpha, a, b */
	FORECAST_MBGNBD,			/* the same, but the first purchase may be the last */
	FORECAST_GAMMA_GAMMA		/* p, q, gamma */
} ForecastModel;

#define FORECAST_MAX_PARAMETERS 4

/* Customers of whom the same is known. */
typedef struct CustomerGroup
{
	double		frequency;		/* repeat purchases, a whole number */
	double		measure;		/* first purchase to last, in units of time;
								 * for Gamma-Gamma their mean value */
	double		age;			/* first purchase to now; for Gamma-Gamma 0 */
	int64_t		customers;
} CustomerGroup;

/*
 * Log-likelihood of the groups, which are sorted by frequency.  The gradient,
 * by each parameter, may be left out as NULL.
 */
extern double forecast_log_likelihood(ForecastModel model, const double *parameters,
									  const CustomerGroup *groups, int64_t ngroups,
									  double *gradient);

/*
 * BG/NBD and MBG/NBD: log odds that the customer is lost.
 */
extern double forecast_log_odds_lost(ForecastModel model, const double *parameters,
									 const CustomerGroup *group);

#endif							/* RETENTION_FORECAST_LIKELIHOOD_H */
