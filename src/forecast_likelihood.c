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
		(r + group->frequency) * log((alpha + group->age) / (alpha + group->measure));
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
	double		chances = 0;
	double		factor = 0;
	double		factor_r = 0;
	double		factor_a = 0;
	double		factor_b = 0;

	for (int64_t i = 0; i < ngroups; i++)
	{
		const CustomerGroup *group = &groups[i];
		double		n = (double) group->customers;
		double		log_age;
		double		log_odds;
		double		lost;

		if (group->frequency != frequency)
		{
			frequency = group->frequency;
			chances = chances_to_leave(model, frequency);
			factor = lgamma(r + frequency) - lgamma(r) + r * log(alpha) +
				lgamma(a + b) - lgamma(a + b + chances) + lgamma(b + chances) - lgamma(b);
			if (gradient != NULL)
			{
				factor_r = digamma(r + frequency) - digamma(r) + log(alpha);
				factor_a = digamma(a + b) - digamma(a + b + chances);
				factor_b = factor_a + digamma(b + chances) - digamma(b);
			}
		}

		log_age = log(alpha + group->age);
		log_odds = forecast_log_odds_lost(model, parameters, group);
		sum += n * (factor - (r + frequency) * log_age +
					(log_odds > 0 ? log_odds + log1p(exp(-log_odds)) : log1p(exp(log_odds))));
		if (gradient == NULL)
			continue;

		lost = 1 / (1 + exp(-log_odds));
		sum_r += n * (factor_r - (1 - lost) * log_age - lost * log(alpha + group->measure));
		sum_alpha += n * (r / alpha - (r + frequency) *
						  ((1 - lost) / (alpha + group->age) + lost / (alpha + group->measure)));
		sum_a += n * (factor_a + lost / a);
		sum_b += n * (factor_b - (lost > 0 ? lost / (b + chances - 1) : 0));
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
		double		log_value = log(group->measure);
		double		log_sum = log(gamma + total);

		if (group->frequency != frequency)
		{
			frequency = group->frequency;
			shape = p * frequency;
			factor = lgamma(shape + q) - lgamma(shape) - lgamma(q) +
				q * log(gamma) + shape * log(frequency);
			if (gradient != NULL)
			{
				factor_p = digamma(shape + q) - digamma(shape) + log(frequency);
				factor_q = digamma(shape + q) - digamma(q) + log(gamma);
			}
		}

		sum += n * (factor + (shape - 1) * log_value - (shape + q) * log_sum);
		if (gradient == NULL)
			continue;

		sum_p += n * frequency * (factor_p + log_value - log_sum);
		sum_q += n * (factor_q - log_sum);
		sum_gamma += n * (q / gamma - (shape + q) / (gamma + total));
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
