/*
 * forecast_fit.c
 *		Maximum likelihood: bgnbd_fit(), mbgnbd_fit() and gamma_gamma_fit().
 *
 * The optimiser works on the logarithms of the parameters, which are then free,
 * and on time (or money) in units of its mean, so that all are of one size.
 * L-BFGS leads near the maximum; Newton's steps with the Hessian, which the
 * standard errors want in any case, lead to it.
 *
 * Groups are summed in their sorted order: the same customers give the same
 * bits, in whatever order they come and by however many processes.
 */
#include "forecast.h"

#include <lbfgs.h>
#include <math.h>

#include "access/htup_details.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

/*
 * With fewer customers a maximum may exist, but the errors of its parameters
 * are larger than the parameters.
 */
#define LEAST_CUSTOMERS 100
#define LEAST_REPEATERS 30

#define MOST_ITERATIONS 500

/*
 * Gradient by the logarithm of a parameter, a customer, where it counts as
 * zero; times the length of the vector of logarithms where that is above 1.
 */
#define FLAT_ENOUGH		1e-7

/*
 * Log-likelihood of all customers that another e-fold of a parameter may still
 * bring, where it has no bound and rounding ends the search.
 */
#define NOTHING_TO_GAIN	0.1

/* Step of the differences of gradients, in logarithms. */
#define HESSIAN_STEP	1e-4

/* Beyond e to this power a parameter says no more than that it has no bound. */
#define LARGEST_LOG		25.0

PG_FUNCTION_INFO_V1(bgnbd_fit);
PG_FUNCTION_INFO_V1(mbgnbd_fit);
PG_FUNCTION_INFO_V1(gamma_gamma_fit);

typedef struct Fit
{
	ForecastModel model;
	int			nparameters;
	CustomerGroup *groups;
	int64		ngroups;
	double		customers;
	double		scale;			/* what times, or values, were divided by */
	int			iterations;
	double		parameters[FORECAST_MAX_PARAMETERS];
	double		errors[FORECAST_MAX_PARAMETERS];
	bool		has_errors;
	double		log_likelihood;
	bool		converged;
} Fit;

/*
 * What is minimised: the negative log-likelihood of a customer, on average.
 */
static double
evaluate(const Fit *fit, const double *logs, double *gradient)
{
	double		parameters[FORECAST_MAX_PARAMETERS];
	double		value;

	for (int i = 0; i < fit->nparameters; i++)
	{
		if (!(fabs(logs[i]) <= LARGEST_LOG))
		{
			memset(gradient, 0, fit->nparameters * sizeof(double));
			return INFINITY;
		}
		parameters[i] = exp(logs[i]);
	}
	value = forecast_log_likelihood(fit->model, parameters, fit->groups, fit->ngroups, gradient);
	for (int i = 0; i < fit->nparameters; i++)
		gradient[i] *= -parameters[i] / fit->customers;
	return -value / fit->customers;
}

static double
steepest(const Fit *fit, const double *gradient)
{
	double		largest = 0;

	for (int i = 0; i < fit->nparameters; i++)
	{
		if (!(fabs(gradient[i]) <= largest))	/* NaN counts as the steepest */
			largest = isnan(gradient[i]) ? INFINITY : fabs(gradient[i]);
	}
	return largest;
}

static lbfgsfloatval_t
lbfgs_evaluate(void *instance, const lbfgsfloatval_t *x, lbfgsfloatval_t *g,
			   const int n, const lbfgsfloatval_t step)
{
	/* The library may have rounded the number of variables up. */
	memset(g, 0, n * sizeof(lbfgsfloatval_t));
	return evaluate((const Fit *) instance, x, g);
}

/*
 * The library allocates with malloc: an error must not pass through it, so a
 * cancelled query only ends the optimisation, and is served outside.  Whatever
 * else interrupts can wait: what begins anew ends with other last bits.
 */
static int
lbfgs_progress(void *instance, const lbfgsfloatval_t *x, const lbfgsfloatval_t *g,
			   const lbfgsfloatval_t fx, const lbfgsfloatval_t xnorm,
			   const lbfgsfloatval_t gnorm, const lbfgsfloatval_t step,
			   int n, int k, int ls)
{
	Fit		   *fit = (Fit *) instance;

	fit->iterations++;
	return QueryCancelPending || ProcDiePending || fit->iterations >= MOST_ITERATIONS;
}

static void
optimise(Fit *fit, double *logs)
{
	lbfgs_parameter_t settings;
	bool		interrupted;

	lbfgs_parameter_init(&settings);
	settings.epsilon = FLAT_ENOUGH;
	settings.max_iterations = MOST_ITERATIONS;
	settings.linesearch = LBFGS_LINESEARCH_BACKTRACKING_STRONG_WOLFE;

	do
	{
		lbfgsfloatval_t *x = lbfgs_malloc(fit->nparameters);

		if (x == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 errmsg("out of memory")));
		memcpy(x, logs, fit->nparameters * sizeof(double));
		/* However it ends: the gradient where it ends tells whether it converged. */
		(void) lbfgs(fit->nparameters, x, NULL, lbfgs_evaluate, lbfgs_progress, fit, &settings);
		memcpy(logs, x, fit->nparameters * sizeof(double));
		lbfgs_free(x);

		interrupted = QueryCancelPending || ProcDiePending;
		CHECK_FOR_INTERRUPTS();
	} while (interrupted && fit->iterations < MOST_ITERATIONS);
}

/*
 * Second derivatives, as differences of gradients.
 */
static void
hessian(const Fit *fit, const double *logs, double h[][FORECAST_MAX_PARAMETERS])
{
	int			n = fit->nparameters;

	for (int i = 0; i < n; i++)
	{
		double		point[FORECAST_MAX_PARAMETERS];
		double		above[FORECAST_MAX_PARAMETERS];
		double		below[FORECAST_MAX_PARAMETERS];

		CHECK_FOR_INTERRUPTS();
		memcpy(point, logs, n * sizeof(double));
		point[i] = logs[i] + HESSIAN_STEP;
		(void) evaluate(fit, point, above);
		point[i] = logs[i] - HESSIAN_STEP;
		(void) evaluate(fit, point, below);
		for (int j = 0; j < n; j++)
			h[i][j] = (above[j] - below[j]) / (2 * HESSIAN_STEP);
	}
	for (int i = 0; i < n; i++)
	{
		for (int j = 0; j < i; j++)
			h[i][j] = h[j][i] = (h[i][j] + h[j][i]) / 2;
	}
}

/*
 * Cholesky's decomposition, in place; false where the matrix is not positive
 * definite.
 */
static bool
decompose(int n, double h[][FORECAST_MAX_PARAMETERS])
{
	for (int i = 0; i < n; i++)
	{
		for (int j = 0; j <= i; j++)
		{
			double		sum = h[i][j];

			for (int k = 0; k < j; k++)
				sum -= h[i][k] * h[j][k];
			if (i != j)
				h[i][j] = sum / h[j][j];
			else if (sum > 1e-14)
				h[i][i] = sqrt(sum);
			else
				return false;
		}
	}
	return true;
}

/* Solves for a right side, in place, by what decompose() left. */
static void
solve(int n, double h[][FORECAST_MAX_PARAMETERS], double *side)
{
	for (int i = 0; i < n; i++)
	{
		for (int k = 0; k < i; k++)
			side[i] -= h[i][k] * side[k];
		side[i] /= h[i][i];
	}
	for (int i = n - 1; i >= 0; i--)
	{
		for (int k = i + 1; k < n; k++)
			side[i] -= h[k][i] * side[k];
		side[i] /= h[i][i];
	}
}

/*
 * Newton's steps from where L-BFGS ended, for as long as they lead on; then
 * standard errors, by the inverse of the Hessian.
 */
static void
polish(Fit *fit, double *logs)
{
	int			n = fit->nparameters;
	double		h[FORECAST_MAX_PARAMETERS][FORECAST_MAX_PARAMETERS];
	double		gradient[FORECAST_MAX_PARAMETERS];
	double		square = 0;

	(void) evaluate(fit, logs, gradient);
	hessian(fit, logs, h);
	fit->has_errors = decompose(n, h);
	for (int step = 0; step < 3 && fit->has_errors; step++)
	{
		double		next[FORECAST_MAX_PARAMETERS];
		double		next_gradient[FORECAST_MAX_PARAMETERS];

		memcpy(next, gradient, n * sizeof(double));
		solve(n, h, next);
		for (int i = 0; i < n; i++)
			next[i] = logs[i] - next[i];
		if (isinf(evaluate(fit, next, next_gradient)) ||
			steepest(fit, next_gradient) >= steepest(fit, gradient))
			break;
		memcpy(logs, next, n * sizeof(double));
		memcpy(gradient, next_gradient, n * sizeof(double));
	}

	/* As the library measures it; or where all that is left to gain is nothing. */
	for (int i = 0; i < n; i++)
		square += logs[i] * logs[i];
	fit->converged = steepest(fit, gradient) <= Max(FLAT_ENOUGH * Max(1, sqrt(square)),
													NOTHING_TO_GAIN / fit->customers);

	for (int i = 0; i < n && fit->has_errors; i++)
	{
		double		column[FORECAST_MAX_PARAMETERS] = {0};

		column[i] = 1;
		solve(n, h, column);
		/* Of the logarithm; times the parameter it is the parameter's. */
		fit->errors[i] = exp(logs[i]) * sqrt(column[i] / fit->customers);
	}
}

/*
 * Fits the model to a sample that was found large enough.
 */
static void
fit_sample(Fit *fit)
{
	double		logs[FORECAST_MAX_PARAMETERS] = {0};
	double		sum = 0;
	double		gradient[FORECAST_MAX_PARAMETERS];
	double		log_scale;
	int			scaled;			/* the parameter that is a time or an amount */

	for (int64 i = 0; i < fit->ngroups; i++)
		sum += (double) fit->groups[i].customers *
			(fit->model == FORECAST_GAMMA_GAMMA ? fit->groups[i].measure : fit->groups[i].age);
	fit->scale = sum / fit->customers;
	if (fit->scale == 0 || isinf(fit->scale))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 fit->scale == 0 ? errmsg("no time has passed since the first purchase of any customer") :
				 errmsg("the times or values are too large for a fit")));
	log_scale = log(fit->scale);
	sum = 0;
	for (int64 i = 0; i < fit->ngroups; i++)
	{
		CustomerGroup *group = &fit->groups[i];

		group->measure /= fit->scale;
		group->age /= fit->scale;
		sum += (double) group->customers *
			(fit->model == FORECAST_GAMMA_GAMMA ? 1 : group->frequency);
	}

	if (fit->model == FORECAST_GAMMA_GAMMA)
	{
		/* Begin where values have a mean. */
		logs[0] = logs[1] = log(3.0);
		scaled = 2;
	}
	else
		scaled = 1;
	optimise(fit, logs);
	polish(fit, logs);

	/* A density of so many times, or values, was taken in other units. */
	fit->log_likelihood = -evaluate(fit, logs, gradient) * fit->customers - sum * log_scale;
	for (int i = 0; i < fit->nparameters; i++)
		fit->parameters[i] = exp(logs[i]);
	fit->parameters[scaled] *= fit->scale;
	fit->errors[scaled] *= fit->scale;
}

static Datum
fit_row(FunctionCallInfo fcinfo, const Fit *fit)
{
	TupleDesc	tupdesc;
	Datum		values[2 * FORECAST_MAX_PARAMETERS + 5];
	bool		nulls[2 * FORECAST_MAX_PARAMETERS + 5] = {false};
	int			n = 0;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "a fit does not return a row");
	if (fit->model != FORECAST_GAMMA_GAMMA)
		values[n++] = CStringGetTextDatum(forecast_model_name(fit->model));
	for (int i = 0; i < fit->nparameters; i++)
		values[n++] = Float8GetDatum(fit->parameters[i]);
	for (int i = 0; i < fit->nparameters; i++)
	{
		nulls[n] = !fit->has_errors;
		values[n++] = Float8GetDatum(fit->has_errors ? fit->errors[i] : 0);
	}
	values[n++] = Float8GetDatum(fit->log_likelihood);
	values[n++] = Int64GetDatum((int64) fit->customers);
	values[n++] = Int32GetDatum(fit->iterations);
	values[n++] = BoolGetDatum(fit->converged);
	Assert(n == tupdesc->natts);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls));
}

static Datum
purchase_fit(FunctionCallInfo fcinfo, ForecastModel model)
{
	CustomerSample *sample = sample_argument(fcinfo, 0, SAMPLE_PURCHASES);
	Fit			fit = {.model = model, .nparameters = 4};
	int64		customers = 0;
	int64		repeaters = 0;

	fit.groups = sample_sorted(sample);
	fit.ngroups = sample->ngroups;
	for (int64 i = 0; i < fit.ngroups; i++)
	{
		customers += fit.groups[i].customers;
		if (fit.groups[i].frequency > 0)
			repeaters += fit.groups[i].customers;
	}
	if (customers < LEAST_CUSTOMERS || repeaters < LEAST_REPEATERS)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("too few customers for a forecast: " INT64_FORMAT ", of whom " INT64_FORMAT " bought again",
						customers, repeaters),
				 errdetail("A fit needs %d customers at least, %d of them with a second purchase.",
						   LEAST_CUSTOMERS, LEAST_REPEATERS)));
	if (fit.groups[fit.ngroups - 1].frequency == fit.groups[0].frequency)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("all customers have the same number of purchases"),
				 errdetail("How customers differ cannot be told from customers who do not.")));
	fit.customers = (double) customers;
	fit_sample(&fit);
	return fit_row(fcinfo, &fit);
}

Datum
bgnbd_fit(PG_FUNCTION_ARGS)
{
	return purchase_fit(fcinfo, FORECAST_BGNBD);
}

Datum
mbgnbd_fit(PG_FUNCTION_ARGS)
{
	return purchase_fit(fcinfo, FORECAST_MBGNBD);
}

Datum
gamma_gamma_fit(PG_FUNCTION_ARGS)
{
	CustomerSample *sample = sample_argument(fcinfo, 0, SAMPLE_VALUES);
	Fit			fit = {.model = FORECAST_GAMMA_GAMMA, .nparameters = 3};
	int64		customers = 0;
	bool		differ = false;

	fit.groups = sample_sorted(sample);
	fit.ngroups = sample->ngroups;
	for (int64 i = 0; i < fit.ngroups; i++)
	{
		customers += fit.groups[i].customers;
		differ |= fit.groups[i].measure != fit.groups[0].measure;
	}
	if (customers < LEAST_REPEATERS)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("too few customers for a forecast of values: " INT64_FORMAT " with a repeat purchase that cost something",
						customers),
				 errdetail("A fit needs %d at least.", LEAST_REPEATERS)));
	if (!differ)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("all customers spend the same"),
				 errdetail("How customers differ cannot be told from customers who do not.")));
	fit.customers = (double) customers;
	fit_sample(&fit);
	return fit_row(fcinfo, &fit);
}
