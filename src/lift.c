/*
 * lift.c
 *		How far two groups of customers differ, with a confidence interval, and
 *		how many customers it takes to show a difference.
 *
 * Shares are compared by the hybrid score interval: Newcombe (1998), Interval
 * estimation for the difference between independent proportions: comparison of
 * eleven methods, Statistics in Medicine 17, 873-890, method 10, from the
 * intervals of Wilson (1927), JASA 22, 209-212.  Means are compared by Welch
 * (1947), Biometrika 34, 28-35, with the degrees of freedom of Satterthwaite
 * (1946), Biometrics Bulletin 2, 110-114.  The number of customers needed is
 * that of Chow, Shao & Wang, Sample Size Calculations in Clinical Research,
 * sections 3.2 and 4.2.
 *
 * Sums of money come in as their mean and variance: what is estimated here is
 * not money but how well it is known.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"

PG_FUNCTION_INFO_V1(difference_of_shares);
PG_FUNCTION_INFO_V1(difference_of_means);
PG_FUNCTION_INFO_V1(customers_needed);

/* From here on Student's distribution is the normal one to all digits asked for. */
#define MANY_DEGREES 1e7

/* ----------
 * Distributions
 * ----------
 */

/*
 * The continued fraction of the incomplete beta function, DLMF 8.17.22, by the
 * modified method of Lentz.  It converges within O(sqrt(max(a, b))) steps for
 * x < (a + 1) / (a + b + 2).
 */
static double
beta_fraction(double a, double b, double x)
{
	const double tiny = 1e-300;
	double		c = 1.0;
	double		d = 1.0 - (a + b) * x / (a + 1.0);
	double		value;

	d = 1.0 / (fabs(d) < tiny ? tiny : d);
	value = d;
	for (int m = 1; m < 20000; m++)
	{
		double		factor = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
		double		change;

		for (int half = 0; half < 2; half++)
		{
			d = 1.0 + factor * d;
			d = 1.0 / (fabs(d) < tiny ? tiny : d);
			c = 1.0 + factor / c;
			c = fabs(c) < tiny ? tiny : c;
			change = c * d;
			value *= change;
			factor = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
		}
		if (fabs(change - 1.0) < 1e-15)
			break;
	}
	return value;
}

/* The regularised incomplete beta function. */
static double
incomplete_beta(double a, double b, double x)
{
	double		front;

	if (x <= 0.0 || x >= 1.0)
		return x <= 0.0 ? 0.0 : 1.0;
	front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
	if (x < (a + 1.0) / (a + b + 2.0))
		return front * beta_fraction(a, b, x) / a;
	return 1.0 - front * beta_fraction(b, a, 1.0 - x) / b;
}

/* The chance to lie above t >= 0; the normal distribution for many degrees. */
static double
upper_tail(double t, double degrees)
{
	if (degrees >= MANY_DEGREES)
		return 0.5 * erfc(t / sqrt(2.0));
	return 0.5 * incomplete_beta(degrees / 2.0, 0.5, degrees / (degrees + t * t));
}

/* The t that so much lies above: for tail in (0, 0.5]. */
static double
quantile_above(double tail, double degrees)
{
	double		low = 0.0;
	double		high = 1.0;

	while (upper_tail(high, degrees) > tail && high < 1e100)
		high *= 2.0;
	for (int i = 0; i < 200 && high - low > 1e-14 * high; i++)
	{
		double		middle = low + (high - low) / 2.0;

		if (upper_tail(middle, degrees) > tail)
			low = middle;
		else
			high = middle;
	}
	return high;
}

/* ----------
 * Arguments and results
 * ----------
 */

/* Half of what lies outside the interval. */
static double
tail_argument(FunctionCallInfo fcinfo, int argno)
{
	double		confidence = PG_GETARG_FLOAT8(argno);

	if (isnan(confidence) || confidence <= 0.0 || confidence >= 1.0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("confidence must lie between 0 and 1, not %g", confidence)));
	return (1.0 - confidence) / 2.0;
}

static double
finite_argument(FunctionCallInfo fcinfo, int argno, const char *name)
{
	double		value = PG_GETARG_FLOAT8(argno);

	if (isnan(value) || isinf(value))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must be finite", name)));
	return value;
}

static double
variance_argument(FunctionCallInfo fcinfo, int argno, const char *name)
{
	double		value = finite_argument(fcinfo, argno, name);

	if (value < 0.0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be negative", name)));
	return value;
}

static double
count_argument(FunctionCallInfo fcinfo, int argno, const char *name)
{
	int64		count = PG_GETARG_INT64(argno);

	if (count < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be negative", name)));
	return (double) count;
}

/* A row of numbers, all NULL where there is no answer. */
static Datum
number_row(FunctionCallInfo fcinfo, int n, const double *numbers)
{
	TupleDesc	tupdesc;
	Datum		values[4];
	bool		nulls[4];

	Assert(n <= (int) lengthof(values));
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	for (int i = 0; i < n; i++)
	{
		nulls[i] = numbers == NULL;
		values[i] = numbers == NULL ? (Datum) 0 : Float8GetDatum(numbers[i]);
	}
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls));
}

/* ----------
 * Entry points
 * ----------
 */

/* Wilson's score interval of x in n at a normal quantile. */
static void
score_interval(double x, double n, double z, double *low, double *high)
{
	double		middle = (2.0 * x + z * z) / (2.0 * (n + z * z));
	double		reach = z * sqrt(z * z + 4.0 * x * (1.0 - x / n)) / (2.0 * (n + z * z));

	*low = Max(middle - reach, 0.0);
	*high = Min(middle + reach, 1.0);
}

/*
 * difference_of_shares(successes, customers, base_successes, base_customers,
 * confidence) -> difference, low, high
 */
Datum
difference_of_shares(PG_FUNCTION_ARGS)
{
	double		x1 = count_argument(fcinfo, 0, "successes");
	double		n1 = count_argument(fcinfo, 1, "customers");
	double		x2 = count_argument(fcinfo, 2, "base_successes");
	double		n2 = count_argument(fcinfo, 3, "base_customers");
	double		z = quantile_above(tail_argument(fcinfo, 4), MANY_DEGREES);
	double		low1,
				high1,
				low2,
				high2;
	double		numbers[3];

	if (x1 > n1 || x2 > n2)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there cannot be more successes than customers")));
	if (n1 == 0.0 || n2 == 0.0)
		return number_row(fcinfo, 3, NULL);

	score_interval(x1, n1, z, &low1, &high1);
	score_interval(x2, n2, z, &low2, &high2);
	numbers[0] = x1 / n1 - x2 / n2;
	numbers[1] = numbers[0] - hypot(x1 / n1 - low1, high2 - x2 / n2);
	numbers[2] = numbers[0] + hypot(high1 - x1 / n1, x2 / n2 - low2);
	return number_row(fcinfo, 3, numbers);
}

/*
 * difference_of_means(mean, variance, customers, base_mean, base_variance,
 * base_customers, confidence) -> difference, low, high, degrees_of_freedom
 */
Datum
difference_of_means(PG_FUNCTION_ARGS)
{
	double		mean1 = finite_argument(fcinfo, 0, "mean");
	double		variance1 = variance_argument(fcinfo, 1, "variance");
	double		n1 = count_argument(fcinfo, 2, "customers");
	double		mean2 = finite_argument(fcinfo, 3, "base_mean");
	double		variance2 = variance_argument(fcinfo, 4, "base_variance");
	double		n2 = count_argument(fcinfo, 5, "base_customers");
	double		tail = tail_argument(fcinfo, 6);
	double		error1,
				error2,
				reach;
	double		numbers[4];

	/* One customer alone says nothing of how much they differ, nor do equal ones. */
	if (n1 < 2.0 || n2 < 2.0 || variance1 + variance2 == 0.0)
		return number_row(fcinfo, 4, NULL);

	error1 = variance1 / n1;
	error2 = variance2 / n2;
	numbers[3] = (error1 + error2) * (error1 + error2) /
		(error1 * error1 / (n1 - 1.0) + error2 * error2 / (n2 - 1.0));
	reach = quantile_above(tail, numbers[3]) * sqrt(error1 + error2);
	numbers[0] = mean1 - mean2;
	numbers[1] = numbers[0] - reach;
	numbers[2] = numbers[0] + reach;
	return number_row(fcinfo, 4, numbers);
}

/*
 * customers_needed(difference, variance, base_variance, base_share,
 * confidence, power) -> double precision, a whole number
 */
Datum
customers_needed(PG_FUNCTION_ARGS)
{
	double		difference = finite_argument(fcinfo, 0, "difference");
	double		variance1 = variance_argument(fcinfo, 1, "variance");
	double		variance2 = variance_argument(fcinfo, 2, "base_variance");
	double		share = PG_GETARG_FLOAT8(3);
	double		tail = tail_argument(fcinfo, 4);
	double		power = PG_GETARG_FLOAT8(5);
	double		z;

	if (isnan(share) || share <= 0.0 || share >= 1.0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("base_share must lie between 0 and 1, not %g", share)));
	if (isnan(power) || power < 0.5 || power >= 1.0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("power must lie between 0.5 and 1, not %g", power)));
	if (difference == 0.0)
		PG_RETURN_NULL();

	z = quantile_above(tail, MANY_DEGREES) + quantile_above(1.0 - power, MANY_DEGREES);
	PG_RETURN_FLOAT8(ceil(z * z * (variance1 / (1.0 - share) + variance2 / share) /
						  (difference * difference)));
}
