/*
 * forecast_likelihood.c
 *		Log-likelihoods of BG/NBD, MBG/NBD and Gamma-Gamma with their gradients.
 *
 * Nothing here calls PostgreSQL or can raise an error, so that an optimiser
 * which allocates its memory elsewhere may call it.
 *
 * BG/NBD: P. Fader, B. Hardie, K. L. Lee, "Counting Your Customers" the Easy
 * Way, Marketing Science 24 (2005), equation 6.  MBG/NBD: E. P. Batislam,
 * M. Denizel, A. Filiztekin, Empirical validation and comparison of models for
 * customer base analysis, International Journal of Research in Marketing 24
 * (2007).  Gamma-Gamma: P. Fader, B. Hardie, The Gamma-Gamma Model of Monetary
 * Value (2013), equation 1a.
 */
#include "forecast_likelihood.h"

#include <math.h>
#include <stddef.h>

/*
 * Derivative of lgamma, for x > 0: moved up by digamma(x) = digamma(x + 1) - 1/x
 * to where the asymptotic series is exact (Abramowitz and Stegun 6.3.18).
 */
static double
digamma(double x)
{
	double		shift = 0;
	double		square;

	while (x < 12)
	{
		shift -= 1 / x;
		x += 1;
	}
	square = 1 / (x * x);
	return shift + log(x) - 0.5 / x -
		square * (1.0 / 12 - square * (1.0 / 120 - square * (1.0 / 252 - square *
															 (1.0 / 240 - square * (1.0 / 132 - square * (691.0 / 32760))))));
}

/*
 * lgamma(z + n) - lgamma(z), and the same of digamma.  Of a large z the terms
 * would cancel, so Stirling's series is subtracted term by term.  Parameters
 * grow large where customers hardly differ.
 */
#define LARGE 1000.0

static double
lgamma_step(double z, double n)
{
	if (z < LARGE)
		return lgamma(z + n) - lgamma(z);
	return (z - 0.5) * log1p(n / z) + n * log(z + n) - n - n / (12 * z * (z + n));
}

static double
digamma_step(double z, double n)
{
	if (z < LARGE)
		return digamma(z + n) - digamma(z);
	return log1p(n / z) + n / (2 * z * (z + n)) +
		n * (2 * z + n) / (12 * z * z * (z + n) * (z + n));
}

/* How often the customer has had the chance to leave. */
static inline double
chances_to_leave(ForecastModel model, double frequency)
{
	return model == FORECAST_MBGNBD ? frequency + 1 : frequency;
}

double
forecast_log_odds_lost(ForecastModel model, const double *parameters, const CustomerGroup *group)
{
	double		r = parameters[0];
	double		alpha = parameters[1];
	double		a = parameters[2];
	double		b = parameters[3];
	double		chances = chances_to_leave(model, group->frequency);

	if (chances == 0)
		return -INFINITY;
	return log(a / (b + chances - 1)) +
		(r + group->frequency) * (log1p(group->age / alpha) - log1p(group->measure / alpha));
}

/*
 * A customer's likelihood is one factor that depends on the frequency alone,
 * times the sum of two ways in which it can have come about: still there, or
 * lost after the last purchase.
 */
static double
purchase_log_likelihood(ForecastModel model, const double *parameters,
						const CustomerGroup *groups, int64_t ngroups, double *gradient)
{
	double		r = parameters[0];
	double		alpha = parameters[1];
	double		a = parameters[2];
	double		b = parameters[3];
	double		sum = 0;
	double		sum_r = 0;
	double		sum_alpha = 0;
	double		sum_a = 0;
	double		sum_b = 0;
	double		frequency = -1;
	double		factor = 0;
	double		factor_r = 0;
	double		factor_a = 0;
	double		factor_b = 0;
	double		lost_b = 0;
	double		log_prior = 0;	/* of the odds, without the times */

	for (int64_t i = 0; i < ngroups; i++)
	{
		const CustomerGroup *group = &groups[i];
		double		n = (double) group->customers;
		double		span_age = log1p(group->age / alpha);
		double		span_last = log1p(group->measure / alpha);
		double		log_odds;
		double		odds;
		double		lost;

		if (group->frequency != frequency)
		{
			double		chances = chances_to_leave(model, group->frequency);

			frequency = group->frequency;
			factor = lgamma_step(r, frequency) - frequency * log(alpha) +
				lgamma_step(b, chances) - lgamma_step(a + b, chances);
			log_prior = chances > 0 ? log(a / (b + chances - 1)) : -INFINITY;
			factor_r = digamma_step(r, frequency);
			factor_a = -digamma_step(a + b, chances);
			factor_b = factor_a + digamma_step(b, chances);
			lost_b = chances > 0 ? 1 / (b + chances - 1) : 0;
		}

		log_odds = log_prior + (r + frequency) * (span_age - span_last);
		odds = exp(-fabs(log_odds));
		sum += n * (factor - (r + frequency) * span_age + (log_odds > 0 ? log_odds : 0) + log1p(odds));
		if (gradient == NULL)
			continue;

		lost = (log_odds > 0 ? 1 : odds) / (1 + odds);
		sum_r += n * (factor_r - (1 - lost) * span_age - lost * span_last);
		sum_alpha += n * ((1 - lost) * (r * group->age / alpha - frequency) / (alpha + group->age) +
						  lost * (r * group->measure / alpha - frequency) / (alpha + group->measure));
		sum_a += n * (factor_a + lost / a);
		sum_b += n * (factor_b - lost * lost_b);
	}

	if (gradient != NULL)
	{
		gradient[0] = sum_r;
		gradient[1] = sum_alpha;
		gradient[2] = sum_a;
		gradient[3] = sum_b;
	}
	return sum;
}

static double
value_log_likelihood(const double *parameters, const CustomerGroup *groups, int64_t ngroups,
					 double *gradient)
{
	double		p = parameters[0];
	double		q = parameters[1];
	double		gamma = parameters[2];
	double		sum = 0;
	double		sum_p = 0;
	double		sum_q = 0;
	double		sum_gamma = 0;
	double		frequency = -1;
	double		shape = 0;
	double		factor = 0;
	double		factor_p = 0;
	double		factor_q = 0;

	for (int64_t i = 0; i < ngroups; i++)
	{
		const CustomerGroup *group = &groups[i];
		double		n = (double) group->customers;
		double		total = group->frequency * group->measure;
		double		span = log1p(total / gamma);
		double		log_share = -log1p(gamma / total);

		if (group->frequency != frequency)
		{
			frequency = group->frequency;
			shape = p * frequency;
			factor = q > shape ? lgamma_step(q, shape) - lgamma(shape) :
				lgamma_step(shape, q) - lgamma(q);
			factor_p = digamma_step(shape, q);
			factor_q = digamma_step(q, shape);
		}

		sum += n * (factor + shape * log_share - q * span - log(group->measure));
		if (gradient == NULL)
			continue;

		sum_p += n * frequency * (factor_p + log_share);
		sum_q += n * (factor_q - span);
		sum_gamma += n * (q * total / gamma - shape) / (gamma + total);
	}

	if (gradient != NULL)
	{
		gradient[0] = sum_p;
		gradient[1] = sum_q;
		gradient[2] = sum_gamma;
	}
	return sum;
}

double
forecast_log_likelihood(ForecastModel model, const double *parameters,
						const CustomerGroup *groups, int64_t ngroups, double *gradient)
{
	if (model == FORECAST_GAMMA_GAMMA)
		return value_log_likelihood(parameters, groups, ngroups, gradient);
	return purchase_log_likelihood(model, parameters, groups, ngroups, gradient);
}
