/*
 * forecast.c
 *		What a fitted model says of one customer: p_alive(), expected_purchases(),
 *		next_purchase_expected(), expected_value() and clv().
 */
#include "forecast.h"

#include <math.h>

#include "access/htup_details.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(forecast_bgnbd);
PG_FUNCTION_INFO_V1(forecast_mbgnbd);
PG_FUNCTION_INFO_V1(forecast_gamma_gamma);
PG_FUNCTION_INFO_V1(purchase_log_likelihood);
PG_FUNCTION_INFO_V1(value_log_likelihood);
PG_FUNCTION_INFO_V1(p_alive);
PG_FUNCTION_INFO_V1(expected_purchases);
PG_FUNCTION_INFO_V1(next_purchase_expected);
PG_FUNCTION_INFO_V1(expected_value);
PG_FUNCTION_INFO_V1(clv);

/* Columns of the types purchase_model and value_model. */
#define PURCHASE_MODEL_COLUMNS	13
#define VALUE_MODEL_COLUMNS		10

/* More potential purchases than any customer makes. */
#define MOST_TERMS 1e8

typedef struct PurchaseModel
{
	ForecastModel kind;
	double		parameters[4];	/* r, alpha, a, b */
} PurchaseModel;

const char *
forecast_model_name(ForecastModel model)
{
	return model == FORECAST_MBGNBD ? "mbgnbd" : "bgnbd";
}

/* ----------------------------------------------------------------
 * Models as SQL hands them over
 * ----------------------------------------------------------------
 */

static void
check_parameter(const char *name, double value)
{
	if (!(value > 0) || isinf(value))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("parameter %s must be a finite number greater than zero, not %g", name, value)));
}

static Datum
model_from_parameters(FunctionCallInfo fcinfo, const char *model, const char *const *names, int n)
{
	TupleDesc	tupdesc;
	Datum		values[PURCHASE_MODEL_COLUMNS] = {0};
	bool		nulls[PURCHASE_MODEL_COLUMNS];
	int			column = 0;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "a model is not a row");
	memset(nulls, true, sizeof(nulls));
	if (model != NULL)
	{
		nulls[column] = false;
		values[column++] = CStringGetTextDatum(model);
	}
	for (int i = 0; i < n; i++)
	{
		check_parameter(names[i], PG_GETARG_FLOAT8(i));
		nulls[column] = false;
		values[column++] = PG_GETARG_DATUM(i);
	}
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls));
}

static const char *const purchase_parameters[] = {"r", "alpha", "a", "b"};
static const char *const value_parameters[] = {"p", "q", "gamma"};

Datum
forecast_bgnbd(PG_FUNCTION_ARGS)
{
	return model_from_parameters(fcinfo, "bgnbd", purchase_parameters, 4);
}

Datum
forecast_mbgnbd(PG_FUNCTION_ARGS)
{
	return model_from_parameters(fcinfo, "mbgnbd", purchase_parameters, 4);
}

Datum
forecast_gamma_gamma(PG_FUNCTION_ARGS)
{
	return model_from_parameters(fcinfo, NULL, value_parameters, 3);
}

static void
read_row(FunctionCallInfo fcinfo, int n, int columns, Datum *values, bool *nulls)
{
	HeapTupleHeader row = PG_GETARG_HEAPTUPLEHEADER(n);
	TupleDesc	tupdesc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(row),
												 HeapTupleHeaderGetTypMod(row));
	HeapTupleData tuple;

	if (tupdesc->natts != columns)
		elog(ERROR, "a model has %d columns, not %d", tupdesc->natts, columns);
	tuple.t_len = HeapTupleHeaderGetDatumLength(row);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = row;
	heap_deform_tuple(&tuple, tupdesc, values, nulls);
	ReleaseTupleDesc(tupdesc);
}

static void
read_parameters(const Datum *values, const bool *nulls, const char *const *names, int n,
				double *parameters)
{
	for (int i = 0; i < n; i++)
	{
		parameters[i] = nulls[i] ? get_float8_nan() : DatumGetFloat8(values[i]);
		check_parameter(names[i], parameters[i]);
	}
}

static void
purchase_model(FunctionCallInfo fcinfo, int n, PurchaseModel *model)
{
	Datum		values[PURCHASE_MODEL_COLUMNS];
	bool		nulls[PURCHASE_MODEL_COLUMNS];
	char	   *name;

	read_row(fcinfo, n, PURCHASE_MODEL_COLUMNS, values, nulls);
	name = nulls[0] ? "" : text_to_cstring(DatumGetTextPP(values[0]));
	if (strcmp(name, "bgnbd") == 0)
		model->kind = FORECAST_BGNBD;
	else if (strcmp(name, "mbgnbd") == 0)
		model->kind = FORECAST_MBGNBD;
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown model \"%s\"", name),
				 errhint("Models are bgnbd and mbgnbd.")));
	read_parameters(values + 1, nulls + 1, purchase_parameters, 4, model->parameters);
}

static void
value_model(FunctionCallInfo fcinfo, int n, double *parameters)
{
	Datum		values[VALUE_MODEL_COLUMNS];
	bool		nulls[VALUE_MODEL_COLUMNS];

	read_row(fcinfo, n, VALUE_MODEL_COLUMNS, values, nulls);
	read_parameters(values, nulls, value_parameters, 3, parameters);
}

/* The customer in arguments n to n + 2: frequency, recency, age. */
static void
customer_argument(FunctionCallInfo fcinfo, int n, CustomerGroup *customer)
{
	customer->frequency = PG_GETARG_FLOAT8(n);
	customer->measure = PG_GETARG_FLOAT8(n + 1);
	customer->age = PG_GETARG_FLOAT8(n + 2);
	customer->customers = 1;
	forecast_check_purchases(customer->frequency, customer->measure, customer->age);
}

/* A number of argument n that must be finite and not negative. */
static double
amount_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	double		value = PG_GETARG_FLOAT8(n);

	if (!(value >= 0) || isinf(value))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("%s must be a finite number, zero or more, not %g", name, value)));
	return value;
}

/* ----------------------------------------------------------------
 * Purchases
 * ----------------------------------------------------------------
 */

static double
alive(const PurchaseModel *model, const CustomerGroup *customer)
{
	return 1 / (1 + exp(forecast_log_odds_lost(model->kind, model->parameters, customer)));
}

/*
 * Expected purchases of a customer who is still there, within the horizon.
 *
 * Fader, Hardie and Lee (2005) give it in their equation 10 by the Gaussian
 * hypergeometric function, as (1 - F) / (a - 1), which cancels to nothing near
 * a = 1 and has no value there.  The same quantity is summed here in another
 * order: the purchases that a customer who never left would make have a
 * negative binomial distribution (shape r + x, and w = t / (alpha + T + t)), and
 * the i-th of them comes about when none of those before it was the last, which
 * has the probability (b + k)_i / (a + b + k)_i, where k is how often the
 * customer has stayed so far.  Hence the sum over i of
 * P(more than i potential purchases) * (b + k)_i / (a + b + k)_i, whose terms
 * are all positive.
 */
static double
expected_if_alive(const PurchaseModel *model, const CustomerGroup *customer, double horizon)
{
	double		shape = model->parameters[0] + customer->frequency;
	double		rate = model->parameters[1] + customer->age;
	double		a = model->parameters[2];
	double		b = model->parameters[3] + customer->frequency +
		(model->kind == FORECAST_MBGNBD ? 1 : 0);
	double		w = horizon / (rate + horizon);
	double		mean = shape * (horizon / rate);
	double		log_exactly = -shape * log1p(horizon / rate);	/* P(exactly i) */
	double		exactly = exp(log_exactly);
	double		more = -expm1(log_exactly); /* P(more than i) */
	double		stays = 1;
	double		sum = 0;

	/* As many terms as purchases are likely, their number being widely spread. */
	if (mean + 40 * (1 + horizon / rate) > MOST_TERMS)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("horizon %g is too far ahead", horizon),
				 errdetail("The customer is known for %g units of time.", customer->age)));

	for (double i = 0;; i++)
	{
		double		growth = w * (shape + i) / (i + 1);

		sum += more * stays;
		if (i > mean && more <= 1e-14 + 1e-13 * sum * (1 - growth))
			break;
		stays *= (b + i) / (a + b + i);

		/* Far below the mean the probability is too small for a double. */
		if (log_exactly < -700)
		{
			log_exactly += log(growth);
			exactly = exp(log_exactly);
		}
		else
			exactly *= growth;
		more -= exactly;

		if (fmod(i, 65536) == 65535)
			CHECK_FOR_INTERRUPTS();
	}
	return sum;
}

static double
expected(const PurchaseModel *model, const CustomerGroup *customer, double horizon)
{
	if (horizon == 0)
		return 0;
	return alive(model, customer) * expected_if_alive(model, customer, horizon);
}

/*
 * Expected purchases, each discounted from the moment it is expected at:
 * the integral of (1 + discount)^-t dE(t), by parts, with Gauss and Legendre's
 * eight points on a logarithmic scale of time, on which E is nearly straight.
 */
static double
expected_discounted(const PurchaseModel *model, const CustomerGroup *customer,
					double horizon, double discount)
{
	static const double nodes[] = {0.1834346424956498, 0.5255324099163290, 0.7966664774136267, 0.9602898564975363};
	static const double weights[] = {0.3626837833783620, 0.3137066458778873, 0.2223810344533745, 0.1012285362903763};
	double		force = log1p(discount);
	double		rate = model->parameters[1] + customer->age;
	double		span = log1p(horizon / rate);
	double		integral = 0;

	if (horizon == 0 || force == 0)
		return expected(model, customer, horizon);
	for (int i = 0; i < 8; i++)
	{
		double		place = (1 + (i % 2 ? nodes[i / 2] : -nodes[i / 2])) / 2;
		double		at = rate * expm1(span * place);

		integral += weights[i / 2] / 2 * span * (rate + at) * exp(-force * at) *
			expected(model, customer, at);
	}
	return exp(-force * horizon) * expected(model, customer, horizon) + force * integral;
}

/*
 * purchase_log_likelihood(model, frequency, recency, age)
 */
Datum
purchase_log_likelihood(PG_FUNCTION_ARGS)
{
	PurchaseModel model;
	CustomerGroup customer;

	purchase_model(fcinfo, 0, &model);
	customer_argument(fcinfo, 1, &customer);
	PG_RETURN_FLOAT8(forecast_log_likelihood(model.kind, model.parameters, &customer, 1, NULL));
}

/*
 * p_alive(model, frequency, recency, age)
 */
Datum
p_alive(PG_FUNCTION_ARGS)
{
	PurchaseModel model;
	CustomerGroup customer;

	purchase_model(fcinfo, 0, &model);
	customer_argument(fcinfo, 1, &customer);
	PG_RETURN_FLOAT8(alive(&model, &customer));
}

/*
 * expected_purchases(model, frequency, recency, age, horizon)
 */
Datum
expected_purchases(PG_FUNCTION_ARGS)
{
	PurchaseModel model;
	CustomerGroup customer;

	purchase_model(fcinfo, 0, &model);
	customer_argument(fcinfo, 1, &customer);
	PG_RETURN_FLOAT8(expected(&model, &customer, amount_argument(fcinfo, 4, "horizon")));
}

/*
 * next_purchase_expected(model, frequency, recency, age, probability)
 *
 * A customer leaves after a purchase only.  So one who is there buys again by
 * time t with the probability 1 - ((alpha + T) / (alpha + T + t))^(r + x),
 * which is to be solved for t.
 */
Datum
next_purchase_expected(PG_FUNCTION_ARGS)
{
	PurchaseModel model;
	CustomerGroup customer;
	double		probability = PG_GETARG_FLOAT8(4);
	double		there;
	double		time;

	purchase_model(fcinfo, 0, &model);
	customer_argument(fcinfo, 1, &customer);
	if (!(probability > 0 && probability < 1))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("probability must lie between 0 and 1, not %g", probability)));

	there = alive(&model, &customer);
	if (there <= probability)
		PG_RETURN_NULL();
	time = (model.parameters[1] + customer.age) *
		expm1(-log1p(-probability / there) / (model.parameters[0] + customer.frequency));
	if (isinf(time))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(time);
}

/* ----------------------------------------------------------------
 * Values
 * ----------------------------------------------------------------
 */

/*
 * Fader and Hardie (2013), equation 5: the mean of all customers, drawn to the
 * customer's own the more, the more often that one has bought.  False where the
 * model has no mean.
 */
static bool
mean_expected(const double *parameters, double frequency, double mean_value, double *result)
{
	double		p = parameters[0];
	double		q = parameters[1];
	double		gamma = parameters[2];

	if (p * frequency + q <= 1)
		return false;
	*result = p * (gamma + frequency * mean_value) / (p * frequency + q - 1);
	return true;
}

/* The customer in arguments n (frequency) and mean (numeric); false when NULL. */
static bool
value_argument(FunctionCallInfo fcinfo, int n, int mean, double *frequency, double *mean_value)
{
	if (PG_ARGISNULL(n))
		return false;
	*frequency = PG_GETARG_FLOAT8(n);
	*mean_value = 0;
	if (*frequency != 0)
	{
		if (PG_ARGISNULL(mean))
			return false;
		*mean_value = DatumGetFloat8(DirectFunctionCall1(numeric_float8, PG_GETARG_DATUM(mean)));
	}
	check_values(*frequency, *mean_value);
	return true;
}

/*
 * value_log_likelihood(model, frequency, mean_value)
 */
Datum
value_log_likelihood(PG_FUNCTION_ARGS)
{
	double		parameters[3];
	CustomerGroup customer = {.customers = 1};

	value_model(fcinfo, 0, parameters);
	customer.frequency = PG_GETARG_FLOAT8(1);
	customer.measure = DatumGetFloat8(DirectFunctionCall1(numeric_float8, PG_GETARG_DATUM(2)));
	check_values(customer.frequency, customer.measure);
	if (customer.frequency == 0 || customer.measure == 0)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(forecast_log_likelihood(FORECAST_GAMMA_GAMMA, parameters, &customer, 1, NULL));
}

/*
 * expected_value(model, frequency, mean_value)
 */
Datum
expected_value(PG_FUNCTION_ARGS)
{
	double		parameters[3];
	double		frequency;
	double		mean_value;
	double		result;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	value_model(fcinfo, 0, parameters);
	if (!value_argument(fcinfo, 1, 2, &frequency, &mean_value) ||
		!mean_expected(parameters, frequency, mean_value, &result))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(DirectFunctionCall1(float8_numeric, Float8GetDatum(result)));
}

/*
 * clv(model, value_model, frequency, recency, age, mean_value, horizon, discount)
 */
Datum
clv(PG_FUNCTION_ARGS)
{
	PurchaseModel model;
	CustomerGroup customer;
	double		parameters[3];
	double		frequency;
	double		mean_value;
	double		value;
	double		discount;
	double		horizon;

	for (int i = 0; i < 8; i++)
	{
		if (PG_ARGISNULL(i) && i != 5)
			PG_RETURN_NULL();
	}
	purchase_model(fcinfo, 0, &model);
	value_model(fcinfo, 1, parameters);
	customer_argument(fcinfo, 2, &customer);
	horizon = amount_argument(fcinfo, 6, "horizon");
	discount = amount_argument(fcinfo, 7, "discount");
	if (!value_argument(fcinfo, 2, 5, &frequency, &mean_value) ||
		!mean_expected(parameters, frequency, mean_value, &value))
		PG_RETURN_NULL();
	value *= expected_discounted(&model, &customer, horizon, discount);
	PG_RETURN_DATUM(DirectFunctionCall1(float8_numeric, Float8GetDatum(value)));
}
