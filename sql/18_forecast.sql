-- ---------------------------------------------------------------------------
-- customer_sample: the customers that a forecast is fitted to
-- ---------------------------------------------------------------------------

CREATE TYPE retention.customer_sample;

CREATE FUNCTION retention.customer_sample_in(cstring)
	RETURNS retention.customer_sample
	AS 'MODULE_PATHNAME', 'customer_sample_in'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION retention.customer_sample_out(retention.customer_sample)
	RETURNS cstring
	AS 'MODULE_PATHNAME', 'customer_sample_out'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION retention.customer_sample_recv(internal)
	RETURNS retention.customer_sample
	AS 'MODULE_PATHNAME', 'customer_sample_recv'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION retention.customer_sample_send(retention.customer_sample)
	RETURNS bytea
	AS 'MODULE_PATHNAME', 'customer_sample_send'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE TYPE retention.customer_sample (
	INPUT = retention.customer_sample_in,
	OUTPUT = retention.customer_sample_out,
	RECEIVE = retention.customer_sample_recv,
	SEND = retention.customer_sample_send,
	INTERNALLENGTH = VARIABLE,
	ALIGNMENT = int4,
	STORAGE = extended
);

COMMENT ON TYPE retention.customer_sample IS
	'Customers grouped by what a forecast knows of them: made by purchases_collect() and values_collect(), to be kept, merged and fitted';
COMMENT ON FUNCTION retention.customer_sample_in(cstring) IS 'Text input of customer_sample: hexadecimal, checked';
COMMENT ON FUNCTION retention.customer_sample_out(retention.customer_sample) IS 'Text output of customer_sample: hexadecimal';
COMMENT ON FUNCTION retention.customer_sample_recv(internal) IS 'Binary input of customer_sample, checked';
COMMENT ON FUNCTION retention.customer_sample_send(retention.customer_sample) IS 'Binary output of customer_sample; equal samples have equal bytes';

CREATE FUNCTION retention.customer_sample_merge(state retention.customer_sample, other retention.customer_sample)
	RETURNS retention.customer_sample
	AS 'MODULE_PATHNAME', 'customer_sample_merge'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.customer_sample_merge(retention.customer_sample, retention.customer_sample) IS
	'Part of merge(customer_sample), and combine function of the fits: the customers of both samples together';

CREATE AGGREGATE retention.merge(state retention.customer_sample) (
	SFUNC = retention.customer_sample_merge,
	STYPE = retention.customer_sample,
	COMBINEFUNC = retention.customer_sample_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.merge(retention.customer_sample) IS
	'Several groups'' samples as one. NULL states are left out; samples of purchases and of values together are an error. A customer must be in one of them only';

-- ---------------------------------------------------------------------------
-- purchase_summary: a history as forecasts see it
-- ---------------------------------------------------------------------------

CREATE TYPE retention.purchase_summary AS (
	frequency bigint,
	recency double precision,
	age double precision,
	mean_value numeric
);

COMMENT ON TYPE retention.purchase_summary IS 'A customer''s purchases as forecasts see them; the purchases of one day are one';
COMMENT ON COLUMN retention.purchase_summary.frequency IS 'Repeat purchases (x): days with a purchase, but for the first';
COMMENT ON COLUMN retention.purchase_summary.recency IS 'Time from the first purchase to the last (t_x), in the unit asked for; 0 without a repeat purchase';
COMMENT ON COLUMN retention.purchase_summary.age IS 'Time from the first purchase to the moment from which one looks (T), in that unit';
COMMENT ON COLUMN retention.purchase_summary.mean_value IS 'Mean value of a repeat purchase, not rounded: what was paid after the first day, by the day; NULL without one';

CREATE FUNCTION retention.purchase_summary(history retention.purchase_history, unit interval, time_zone text, at timestamptz DEFAULT NULL)
	RETURNS retention.purchase_summary
	AS 'MODULE_PATHNAME', 'purchase_summary'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.purchase_summary(retention.purchase_history, interval, text, timestamptz) IS
	'A history as forecasts see it from the moment at (NULL: now), later purchases left out: repeat purchases, recency, age and mean value. Days are those of the time zone; times are whole days counted in units (''7 days'': weeks), which must have a fixed length. NULL for a NULL history and one without a purchase by then';

-- ---------------------------------------------------------------------------
-- Models
-- ---------------------------------------------------------------------------

CREATE TYPE retention.purchase_model AS (
	model text,
	r double precision,
	alpha double precision,
	a double precision,
	b double precision,
	r_error double precision,
	alpha_error double precision,
	a_error double precision,
	b_error double precision,
	log_likelihood double precision,
	customers bigint,
	iterations integer,
	converged boolean
);

COMMENT ON TYPE retention.purchase_model IS 'A fitted model of who buys how often: BG/NBD or MBG/NBD';
COMMENT ON COLUMN retention.purchase_model.model IS 'bgnbd (a customer may leave after each repeat purchase) or mbgnbd (after the first purchase too)';
COMMENT ON COLUMN retention.purchase_model.r IS 'Shape of the gamma distribution of how often customers buy';
COMMENT ON COLUMN retention.purchase_model.alpha IS 'Its rate, in units of time: a customer buys r / alpha times a unit on average';
COMMENT ON COLUMN retention.purchase_model.a IS 'First parameter of the beta distribution of leaving after a purchase: a / (a + b) on average';
COMMENT ON COLUMN retention.purchase_model.b IS 'Its second parameter';
COMMENT ON COLUMN retention.purchase_model.r_error IS 'Standard error of r, by the inverse of the Hessian; NULL where the likelihood has no proper maximum';
COMMENT ON COLUMN retention.purchase_model.alpha_error IS 'Standard error of alpha';
COMMENT ON COLUMN retention.purchase_model.a_error IS 'Standard error of a';
COMMENT ON COLUMN retention.purchase_model.b_error IS 'Standard error of b';
COMMENT ON COLUMN retention.purchase_model.log_likelihood IS 'Log-likelihood at the maximum';
COMMENT ON COLUMN retention.purchase_model.customers IS 'Customers it was fitted to';
COMMENT ON COLUMN retention.purchase_model.iterations IS 'Iterations of the optimiser';
COMMENT ON COLUMN retention.purchase_model.converged IS 'Whether the likelihood rises no further. Where the errors are NULL it does so at the edge: a parameter has no bound, as when customers hardly differ; what the model says of them holds nevertheless';

CREATE TYPE retention.value_model AS (
	p double precision,
	q double precision,
	gamma double precision,
	p_error double precision,
	q_error double precision,
	gamma_error double precision,
	log_likelihood double precision,
	customers bigint,
	iterations integer,
	converged boolean
);

COMMENT ON TYPE retention.value_model IS 'A fitted model of what a purchase is worth: Gamma-Gamma';
COMMENT ON COLUMN retention.value_model.p IS 'Shape of the gamma distribution of a customer''s purchases'' values';
COMMENT ON COLUMN retention.value_model.q IS 'Shape of the gamma distribution of the rates of those';
COMMENT ON COLUMN retention.value_model.gamma IS 'Its rate, in money: a purchase is worth p * gamma / (q - 1) on average';
COMMENT ON COLUMN retention.value_model.p_error IS 'Standard error of p, by the inverse of the Hessian; NULL where the likelihood has no proper maximum';
COMMENT ON COLUMN retention.value_model.q_error IS 'Standard error of q';
COMMENT ON COLUMN retention.value_model.gamma_error IS 'Standard error of gamma';
COMMENT ON COLUMN retention.value_model.log_likelihood IS 'Log-likelihood at the maximum';
COMMENT ON COLUMN retention.value_model.customers IS 'Customers it was fitted to: those with a repeat purchase that cost something';
COMMENT ON COLUMN retention.value_model.iterations IS 'Iterations of the optimiser';
COMMENT ON COLUMN retention.value_model.converged IS 'Whether the likelihood rises no further; as in purchase_model';

CREATE FUNCTION retention.bgnbd(r double precision, alpha double precision, a double precision, b double precision)
	RETURNS retention.purchase_model
	AS 'MODULE_PATHNAME', 'forecast_bgnbd'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.bgnbd(double precision, double precision, double precision, double precision) IS
	'The BG/NBD model of known parameters, each finite and greater than zero; NULL when anything is NULL';

CREATE FUNCTION retention.mbgnbd(r double precision, alpha double precision, a double precision, b double precision)
	RETURNS retention.purchase_model
	AS 'MODULE_PATHNAME', 'forecast_mbgnbd'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.mbgnbd(double precision, double precision, double precision, double precision) IS
	'The MBG/NBD model of known parameters, each finite and greater than zero; NULL when anything is NULL';

CREATE FUNCTION retention.gamma_gamma(p double precision, q double precision, gamma double precision)
	RETURNS retention.value_model
	AS 'MODULE_PATHNAME', 'forecast_gamma_gamma'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.gamma_gamma(double precision, double precision, double precision) IS
	'The Gamma-Gamma model of known parameters, each finite and greater than zero; NULL when anything is NULL';

-- ---------------------------------------------------------------------------
-- Fits
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.purchases_transition(state retention.customer_sample, frequency double precision, recency double precision, age double precision)
	RETURNS retention.customer_sample
	AS 'MODULE_PATHNAME', 'purchases_transition'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.purchases_transition(retention.customer_sample, double precision, double precision, double precision) IS
	'Part of the aggregates bgnbd_fit(), mbgnbd_fit() and purchases_collect()';

CREATE FUNCTION retention.purchases_transition(state retention.customer_sample, history retention.purchase_history, unit interval, time_zone text, at timestamptz)
	RETURNS retention.customer_sample
	AS 'MODULE_PATHNAME', 'purchases_history_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.purchases_transition(retention.customer_sample, retention.purchase_history, interval, text, timestamptz) IS
	'Part of the aggregates bgnbd_fit(), mbgnbd_fit() and purchases_collect()';

CREATE FUNCTION retention.purchases_transition(state retention.customer_sample, history retention.purchase_history, unit interval, time_zone text)
	RETURNS retention.customer_sample
	AS 'MODULE_PATHNAME', 'purchases_history_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.purchases_transition(retention.customer_sample, retention.purchase_history, interval, text) IS
	'Part of the aggregates bgnbd_fit(), mbgnbd_fit() and purchases_collect()';

CREATE FUNCTION retention.values_transition(state retention.customer_sample, frequency double precision, mean_value double precision)
	RETURNS retention.customer_sample
	AS 'MODULE_PATHNAME', 'values_transition'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.values_transition(retention.customer_sample, double precision, double precision) IS
	'Part of the aggregates gamma_gamma_fit() and values_collect()';

CREATE FUNCTION retention.values_transition(state retention.customer_sample, history retention.purchase_history, time_zone text, at timestamptz)
	RETURNS retention.customer_sample
	AS 'MODULE_PATHNAME', 'values_history_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.values_transition(retention.customer_sample, retention.purchase_history, text, timestamptz) IS
	'Part of the aggregates gamma_gamma_fit() and values_collect()';

CREATE FUNCTION retention.values_transition(state retention.customer_sample, history retention.purchase_history, time_zone text)
	RETURNS retention.customer_sample
	AS 'MODULE_PATHNAME', 'values_history_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.values_transition(retention.customer_sample, retention.purchase_history, text) IS
	'Part of the aggregates gamma_gamma_fit() and values_collect()';

CREATE FUNCTION retention.bgnbd_fit(state retention.customer_sample)
	RETURNS retention.purchase_model
	AS 'MODULE_PATHNAME', 'bgnbd_fit'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.bgnbd_fit(retention.customer_sample) IS
	'BG/NBD fitted to what purchases_collect() collected, as by the aggregate bgnbd_fit()';

CREATE FUNCTION retention.mbgnbd_fit(state retention.customer_sample)
	RETURNS retention.purchase_model
	AS 'MODULE_PATHNAME', 'mbgnbd_fit'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.mbgnbd_fit(retention.customer_sample) IS
	'MBG/NBD fitted to what purchases_collect() collected, as by the aggregate mbgnbd_fit()';

CREATE FUNCTION retention.gamma_gamma_fit(state retention.customer_sample)
	RETURNS retention.value_model
	AS 'MODULE_PATHNAME', 'gamma_gamma_fit'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.gamma_gamma_fit(retention.customer_sample) IS
	'Gamma-Gamma fitted to what values_collect() collected, as by the aggregate gamma_gamma_fit()';

CREATE AGGREGATE retention.bgnbd_fit(frequency double precision, recency double precision, age double precision) (
	SFUNC = retention.purchases_transition,
	STYPE = retention.customer_sample,
	FINALFUNC = retention.bgnbd_fit,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.customer_sample_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.bgnbd_fit(double precision, double precision, double precision) IS
	'The BG/NBD model of who buys how often and who has left (P. Fader, B. Hardie, K. L. Lee, Marketing Science 24, 2005), by maximum likelihood. Every row is one customer: repeat purchases, time from the first purchase to the last (0 without a repeat) and from the first to now, in any unit of time, which is then that of alpha and of horizons. Rows with a NULL are left out, NULL for an empty group. Fewer than 100 customers, or 30 with a repeat purchase, are an error that says so; so are numbers that cannot be (negative, NaN, infinite, a frequency that is not whole, recency beyond age)';

CREATE AGGREGATE retention.bgnbd_fit(history retention.purchase_history, unit interval, time_zone text, at timestamptz) (
	SFUNC = retention.purchases_transition,
	STYPE = retention.customer_sample,
	FINALFUNC = retention.bgnbd_fit,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.customer_sample_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.bgnbd_fit(retention.purchase_history, interval, text, timestamptz) IS
	'The same from histories, one row a customer''s whole history, seen from the moment at (NULL: now): later purchases do not count, the purchases of a day are one, times are in units of a fixed length (''7 days'': weeks). See purchase_summary()';

CREATE AGGREGATE retention.bgnbd_fit(history retention.purchase_history, unit interval, time_zone text) (
	SFUNC = retention.purchases_transition,
	STYPE = retention.customer_sample,
	FINALFUNC = retention.bgnbd_fit,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.customer_sample_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.bgnbd_fit(retention.purchase_history, interval, text) IS
	'As the form with at, seen from now';

CREATE AGGREGATE retention.mbgnbd_fit(frequency double precision, recency double precision, age double precision) (
	SFUNC = retention.purchases_transition,
	STYPE = retention.customer_sample,
	FINALFUNC = retention.mbgnbd_fit,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.customer_sample_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.mbgnbd_fit(double precision, double precision, double precision) IS
	'The MBG/NBD model: as BG/NBD, but a customer may leave after the first purchase too (E. P. Batislam, M. Denizel, A. Filiztekin, International Journal of Research in Marketing 24, 2007), by maximum likelihood. Every row is one customer: repeat purchases, time from the first purchase to the last (0 without a repeat) and from the first to now, in any unit of time, which is then that of alpha and of horizons. Rows with a NULL are left out, NULL for an empty group. Fewer than 100 customers, or 30 with a repeat purchase, are an error that says so; so are numbers that cannot be (negative, NaN, infinite, a frequency that is not whole, recency beyond age)';

CREATE AGGREGATE retention.mbgnbd_fit(history retention.purchase_history, unit interval, time_zone text, at timestamptz) (
	SFUNC = retention.purchases_transition,
	STYPE = retention.customer_sample,
	FINALFUNC = retention.mbgnbd_fit,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.customer_sample_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.mbgnbd_fit(retention.purchase_history, interval, text, timestamptz) IS
	'The same from histories, one row a customer''s whole history, seen from the moment at (NULL: now): later purchases do not count, the purchases of a day are one, times are in units of a fixed length (''7 days'': weeks). See purchase_summary()';

CREATE AGGREGATE retention.mbgnbd_fit(history retention.purchase_history, unit interval, time_zone text) (
	SFUNC = retention.purchases_transition,
	STYPE = retention.customer_sample,
	FINALFUNC = retention.mbgnbd_fit,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.customer_sample_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.mbgnbd_fit(retention.purchase_history, interval, text) IS
	'As the form with at, seen from now';

CREATE AGGREGATE retention.gamma_gamma_fit(frequency double precision, mean_value double precision) (
	SFUNC = retention.values_transition,
	STYPE = retention.customer_sample,
	FINALFUNC = retention.gamma_gamma_fit,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.customer_sample_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.gamma_gamma_fit(double precision, double precision) IS
	'The Gamma-Gamma model of what a purchase is worth (P. Fader, B. Hardie, The Gamma-Gamma Model of Monetary Value, 2013), by maximum likelihood. Every row is one customer: repeat purchases and their mean value. Rows with a NULL, without a repeat purchase or with a mean value of 0 are left out; NULL for an empty group. Fewer than 30 such customers are an error that says so; so are numbers that cannot be (negative, NaN, infinite, a frequency that is not whole)';

CREATE AGGREGATE retention.gamma_gamma_fit(history retention.purchase_history, time_zone text, at timestamptz) (
	SFUNC = retention.values_transition,
	STYPE = retention.customer_sample,
	FINALFUNC = retention.gamma_gamma_fit,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.customer_sample_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.gamma_gamma_fit(retention.purchase_history, text, timestamptz) IS
	'The same from histories, one row a customer''s whole history, seen from the moment at (NULL: now). See purchase_summary()';

CREATE AGGREGATE retention.gamma_gamma_fit(history retention.purchase_history, time_zone text) (
	SFUNC = retention.values_transition,
	STYPE = retention.customer_sample,
	FINALFUNC = retention.gamma_gamma_fit,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.customer_sample_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.gamma_gamma_fit(retention.purchase_history, text) IS
	'As the form with at, seen from now';

CREATE AGGREGATE retention.purchases_collect(frequency double precision, recency double precision, age double precision) (
	SFUNC = retention.purchases_transition,
	STYPE = retention.customer_sample,
	COMBINEFUNC = retention.customer_sample_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.purchases_collect(double precision, double precision, double precision) IS
	'What bgnbd_fit() and mbgnbd_fit() know of a group, to be kept, merged with that of other groups, and fitted by either. Rows with a NULL are left out; NULL for an empty group';

CREATE AGGREGATE retention.purchases_collect(history retention.purchase_history, unit interval, time_zone text, at timestamptz) (
	SFUNC = retention.purchases_transition,
	STYPE = retention.customer_sample,
	COMBINEFUNC = retention.customer_sample_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.purchases_collect(retention.purchase_history, interval, text, timestamptz) IS
	'The same from histories, as in bgnbd_fit()';

CREATE AGGREGATE retention.values_collect(frequency double precision, mean_value double precision) (
	SFUNC = retention.values_transition,
	STYPE = retention.customer_sample,
	COMBINEFUNC = retention.customer_sample_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.values_collect(double precision, double precision) IS
	'What gamma_gamma_fit() knows of a group, to be kept, merged with that of other groups, and fitted. Rows with a NULL, without a repeat purchase or with a mean value of 0 are left out; NULL for an empty group';

CREATE AGGREGATE retention.values_collect(history retention.purchase_history, time_zone text, at timestamptz) (
	SFUNC = retention.values_transition,
	STYPE = retention.customer_sample,
	COMBINEFUNC = retention.customer_sample_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.values_collect(retention.purchase_history, text, timestamptz) IS
	'The same from histories, as in gamma_gamma_fit()';

-- ---------------------------------------------------------------------------
-- What a model says of a customer
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.log_likelihood(model retention.purchase_model, frequency double precision, recency double precision, age double precision)
	RETURNS double precision
	AS 'MODULE_PATHNAME', 'purchase_log_likelihood'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.log_likelihood(retention.purchase_model, double precision, double precision, double precision) IS
	'Log-likelihood of one customer''s repeat purchases, recency and age under the model; its sum over customers is what a fit makes greatest. NULL when anything is NULL; numbers that cannot be are an error';

CREATE FUNCTION retention.log_likelihood(model retention.value_model, frequency double precision, mean_value numeric)
	RETURNS double precision
	AS 'MODULE_PATHNAME', 'value_log_likelihood'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.log_likelihood(retention.value_model, double precision, numeric) IS
	'Log-likelihood of the mean value of one customer''s repeat purchases under the model. NULL when anything is NULL, without a repeat purchase and for a mean value of 0';

CREATE FUNCTION retention.p_alive(model retention.purchase_model, frequency double precision, recency double precision, age double precision)
	RETURNS double precision
	AS 'MODULE_PATHNAME', 'p_alive'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.p_alive(retention.purchase_model, double precision, double precision, double precision) IS
	'Probability, 0 to 1, that the customer is still one: has not left after the last purchase. By BG/NBD it is 1 for all who never bought again. NULL when anything is NULL; numbers that cannot be are an error. Fader, Hardie and Lee, Computing P(alive) Using the BG/NBD Model, 2008';

CREATE FUNCTION retention.expected_purchases(model retention.purchase_model, frequency double precision, recency double precision, age double precision, horizon double precision)
	RETURNS double precision
	AS 'MODULE_PATHNAME', 'expected_purchases'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.expected_purchases(retention.purchase_model, double precision, double precision, double precision, double precision) IS
	'Purchases to be expected of the customer within the horizon from now, in the model''s unit of time, the chance of having left included. NULL when anything is NULL; numbers that cannot be are an error. Fader, Hardie and Lee 2005, equation 10, summed so that nothing cancels';

CREATE FUNCTION retention.next_purchase_expected(model retention.purchase_model, frequency double precision, recency double precision, age double precision, probability double precision DEFAULT 0.5)
	RETURNS double precision
	AS 'MODULE_PATHNAME', 'next_purchase_expected'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.next_purchase_expected(retention.purchase_model, double precision, double precision, double precision, double precision) IS
	'Time from now, in the model''s unit, by which the customer has bought again with that probability (0.5: as likely as not); NULL when that is never, p_alive() being no greater, and when anything is NULL';

CREATE FUNCTION retention.expected_value(model retention.value_model, frequency double precision, mean_value numeric)
	RETURNS numeric
	AS 'MODULE_PATHNAME', 'expected_value'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.expected_value(retention.value_model, double precision, numeric) IS
	'What a future purchase of the customer is worth, to be expected after so many repeat purchases of that mean value (without any the mean value is not looked at and may be NULL): 15 digits, to be rounded. NULL where the model has no mean (q + p * frequency not above 1) and when anything else is NULL. Fader and Hardie 2013, equation 5';

CREATE FUNCTION retention.clv(
	model retention.purchase_model,
	value_model retention.value_model,
	frequency double precision,
	recency double precision,
	age double precision,
	mean_value numeric,
	horizon double precision,
	discount double precision DEFAULT 0
)
	RETURNS numeric
	AS 'MODULE_PATHNAME', 'clv'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.clv(retention.purchase_model, retention.value_model, double precision, double precision, double precision, numeric, double precision, double precision) IS
	'Customer lifetime value (客户终身价值) within the horizon from now: expected purchases times the expected value of one, each discounted from the moment it is expected at. Horizon and discount are by the model''s unit of time: 10 per cent a year are 1.1 ^ (7 / 365.25) - 1 a week. 15 digits, to be rounded. NULL as expected_value()';
