/*
 * forecast_gradient.c
 *		The gradients that a forecast is fitted with, against differences of the
 *		log-likelihood itself; and the log-likelihood against its formula as
 *		printed, in long double.  Needs no server.
 */
#include "../../src/forecast_likelihood.c"

#include <stdio.h>

static const CustomerGroup purchases[] = {
	{0, 0, 0, 3}, {0, 0, 0.5, 70}, {0, 0, 39, 900}, {1, 0, 2, 1}, {1, 3.5, 30, 40},
	{1, 30, 30, 5}, {2, 30.43, 38.86, 4}, {7, 12, 39, 12}, {60, 38.9, 39, 1}, {400, 1, 39, 2}
};

static const CustomerGroup values[] = {
	{1, 0.01, 0, 3}, {1, 22.35, 0, 50}, {2, 1e6, 0, 1}, {7, 73.74, 0, 9}, {400, 35, 0, 2}
};

/* Each parameter on its own, small and large. */
static const double purchase_parameters[][4] = {
	{0.2426, 4.414, 0.793, 2.426}, {1, 1, 1, 1}, {0.01, 100, 0.05, 0.02}, {30, 0.1, 12, 500},
	{999, 3000, 0.5, 2}, {1001, 3000, 0.5, 2}, {2e5, 1e6, 1e5, 3e5}
};

static const double value_parameters[][3] = {
	{6.25, 3.74, 15.44}, {1, 1, 1}, {0.02, 40, 1000}, {5000, 2, 0.001}, {0.5, 3e4, 1e6}
};

static long double
step(long double z, long double n)
{
	return lgammal(z + n) - lgammal(z);
}

/* Equation 6 of Fader, Hardie and Lee (2005); with the first chance to leave for MBG/NBD. */
static long double
as_printed(ForecastModel model, const double *parameters, const CustomerGroup *g)
{
	long double r = parameters[0];
	long double alpha = parameters[1];
	long double a = parameters[2];
	long double b = parameters[3];
	long double x = g->frequency;
	long double total = x * g->measure;
	long double k;
	long double stays;
	long double left;

	if (model == FORECAST_GAMMA_GAMMA)
	{
		/* p, q, gamma: equation 1a of Fader and Hardie (2013) */
		return step(alpha, r * x) - lgammal(r * x) + alpha * logl(parameters[2]) +
			(r * x - 1) * logl(g->measure) + r * x * logl(x) -
			(r * x + alpha) * logl(parameters[2] + total);
	}
	k = model == FORECAST_MBGNBD ? x + 1 : x;
	stays = step(r, x) + r * logl(alpha) + step(b, k) - step(a + b, k) - (r + x) * logl(alpha + g->age);
	if (k == 0)
		return stays;
	left = step(r, x) + r * logl(alpha) + logl(a) - logl(b + k - 1) + step(b, k) - step(a + b, k) -
		(r + x) * logl(alpha + g->measure);
	return fmaxl(stays, left) + log1pl(expl(-fabsl(stays - left)));
}

static int
check(ForecastModel model, const double *parameters, int n, const CustomerGroup *groups, int ngroups)
{
	double		gradient[4];
	double		sum = forecast_log_likelihood(model, parameters, groups, ngroups, gradient);
	long double printed = 0;
	int			failures = 0;

	for (int i = 0; i < ngroups; i++)
		printed += groups[i].customers * as_printed(model, parameters, &groups[i]);
	if (!(fabsl(sum - printed) <= 1e-9L * (1 + fabsl(printed))))
	{
		printf("model %d, r or p %g: log-likelihood %.12g, as printed %.12Lg\n", model, parameters[0], sum, printed);
		failures++;
	}
	if (sum != forecast_log_likelihood(model, parameters, groups, ngroups, NULL))
	{
		printf("model %d, r or p %g: another log-likelihood without the gradient\n", model, parameters[0]);
		failures++;
	}
	for (int i = 0; i < n; i++)
	{
		double		point[4];
		long double h = parameters[i] * 1e-5L;
		long double difference = 0;

		/* Central differences of the formula as printed, corrected to the fourth order. */
		for (int j = -2; j <= 2; j++)
		{
			static const long double weights[] = {1.0L / 12, -8.0L / 12, 0, 8.0L / 12, -1.0L / 12};

			for (int k = 0; k < n; k++)
				point[k] = parameters[k];
			point[i] = (double) (parameters[i] + j * h);
			for (int k = 0; k < ngroups; k++)
				difference += weights[j + 2] * groups[k].customers * as_printed(model, point, &groups[k]);
		}
		difference /= h;
		if (!(fabsl(gradient[i] - difference) * parameters[i] <= 1e-6L * (1 + fabsl(difference) * parameters[i])))
		{
			printf("model %d, r or p %g, parameter %d: gradient %.10g, by differences %.10Lg\n",
				   model, parameters[0], i, gradient[i], difference);
			failures++;
		}
	}
	return failures;
}

int
main(void)
{
	int			failures = 0;
	int			points = 0;

	for (size_t i = 0; i < sizeof(purchase_parameters) / sizeof(purchase_parameters[0]); i++)
	{
		for (int model = FORECAST_BGNBD; model <= FORECAST_MBGNBD; model++, points++)
			failures += check((ForecastModel) model, purchase_parameters[i], 4, purchases,
							  sizeof(purchases) / sizeof(purchases[0]));
	}
	for (size_t i = 0; i < sizeof(value_parameters) / sizeof(value_parameters[0]); i++, points++)
		failures += check(FORECAST_GAMMA_GAMMA, value_parameters[i], 3, values,
						  sizeof(values) / sizeof(values[0]));
	printf("%d points, %d failures\n", points, failures);
	return failures > 0;
}
