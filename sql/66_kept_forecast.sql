-- ---------------------------------------------------------------------------
-- The forecast kept for each customer
-- ---------------------------------------------------------------------------

CREATE TABLE retention.forecast (
	shop_id integer PRIMARY KEY,
	fitted_at timestamptz,
	asked_model text,
	forecast_at timestamptz,
	purchase_model retention.purchase_model,
	value_model retention.value_model,
	purchase_problem text,
	value_problem text
);

SELECT pg_catalog.pg_extension_config_dump('retention.forecast', '');

COMMENT ON TABLE retention.forecast IS 'The models fitted to a shop''s purchases, by run(); their unit of time is the week of 7 days';
COMMENT ON COLUMN retention.forecast.shop_id IS 'The shop';
COMMENT ON COLUMN retention.forecast.fitted_at IS 'When the models were last fitted, or it was last tried; NULL before the first time';
COMMENT ON COLUMN retention.forecast.asked_model IS 'shop.forecast_model at that time: when it changes, the models are fitted again';
COMMENT ON COLUMN retention.forecast.forecast_at IS 'The moment from which customer_forecast looks ahead; NULL before the first forecast';
COMMENT ON COLUMN retention.forecast.purchase_model IS 'Who buys how often: the last fit that converged; NULL before any';
COMMENT ON COLUMN retention.forecast.value_model IS 'What a purchase is worth: the last fit that converged; NULL before any';
COMMENT ON COLUMN retention.forecast.purchase_problem IS 'Why the last attempt gave no purchase_model; NULL when it did';
COMMENT ON COLUMN retention.forecast.value_problem IS 'Why the last attempt gave no value_model; NULL when it did';

-- Rewritten each day, so kept apart from customer_stats, which orders update.
CREATE TABLE retention.customer_forecast (
	shop_id integer NOT NULL,
	customer_id text COLLATE "C" NOT NULL,
	p_alive double precision NOT NULL CHECK (p_alive BETWEEN 0 AND 1),
	expected_purchases double precision NOT NULL,
	expected_value numeric,
	clv numeric,
	next_purchase_expected date,
	PRIMARY KEY (shop_id, customer_id)
) WITH (fillfactor = 50);

SELECT pg_catalog.pg_extension_config_dump('retention.customer_forecast', '');

COMMENT ON TABLE retention.customer_forecast IS 'What is to be expected of each customer with a purchase, as of forecast.forecast_at: made by run(), once a day of the shop''s';
COMMENT ON COLUMN retention.customer_forecast.shop_id IS 'The shop';
COMMENT ON COLUMN retention.customer_forecast.customer_id IS 'The customer';
COMMENT ON COLUMN retention.customer_forecast.p_alive IS 'Probability, 0 to 1, that the customer is still one';
COMMENT ON COLUMN retention.customer_forecast.expected_purchases IS 'Purchases expected in the next shop.forecast_days days; those of one day are one';
COMMENT ON COLUMN retention.customer_forecast.expected_value IS 'What a future purchase is worth, in the shop''s currency, rounded to two decimals; NULL without a value model';
COMMENT ON COLUMN retention.customer_forecast.clv IS 'Value of the purchases expected in the next shop.forecast_days days, discounted by shop.forecast_discount a year, rounded to two decimals; NULL without a value model';
COMMENT ON COLUMN retention.customer_forecast.next_purchase_expected IS 'The day by which the customer has bought again as likely as not; NULL when that is never, p_alive being one half or less, or more than a century away';

-- ---------------------------------------------------------------------------
-- What run() does
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.fit_forecast(shop_id integer, at timestamptz)
	RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	the_shop retention.shop;
	purchases retention.customer_sample;
	amounts retention.customer_sample;
	purchase_fit retention.purchase_model;
	value_fit retention.value_model;
	purchase_problem text;
	value_problem text;
BEGIN
	SELECT s.* INTO the_shop
	FROM retention.shop s
	WHERE s.shop_id = fit_forecast.shop_id;

	SELECT
		retention.purchases_collect(h.history, '7 days', the_shop.time_zone, at),
		retention.values_collect(h.history, the_shop.time_zone, at)
	INTO purchases, amounts
	FROM retention.purchase_histories h
	WHERE h.shop_id = fit_forecast.shop_id;

	-- Too little data is a state of the shop, not an error.
	BEGIN
		purchase_fit := CASE the_shop.forecast_model
			WHEN 'bgnbd' THEN retention.bgnbd_fit(purchases)
			ELSE retention.mbgnbd_fit(purchases)
		END;
		purchase_problem := CASE
			WHEN purchases IS NULL THEN 'there are no purchases'
			WHEN NOT purchase_fit.converged THEN 'no best fit: the purchases do not tell how customers differ, or that any of them leave'
			-- Less than two hours; no horizon is near then.
			WHEN purchase_fit.alpha < 0.01 THEN 'no best fit: purchases follow each other too closely'
		END;
	EXCEPTION
		WHEN data_exception THEN
			purchase_problem := SQLERRM;
	END;
	BEGIN
		value_fit := retention.gamma_gamma_fit(amounts);
		value_problem := CASE
			WHEN amounts IS NULL THEN 'there are no repeat purchases that cost something'
			WHEN NOT value_fit.converged THEN 'no best fit: the values do not tell how customers differ'
			WHEN value_fit.q <= 1 THEN 'values differ so much that they have no mean'
		END;
	EXCEPTION
		WHEN data_exception THEN
			value_problem := SQLERRM;
	END;

	UPDATE retention.forecast f
	SET fitted_at = at,
		asked_model = the_shop.forecast_model,
		purchase_model = CASE WHEN purchase_problem IS NULL THEN purchase_fit ELSE f.purchase_model END,
		value_model = CASE WHEN value_problem IS NULL THEN value_fit ELSE f.value_model END,
		purchase_problem = purchase_problem,
		value_problem = value_problem
	WHERE f.shop_id = fit_forecast.shop_id;
END
$$;

COMMENT ON FUNCTION retention.fit_forecast(integer, timestamptz) IS
	'Fits a shop''s models to all its purchases until then; where that cannot be done the models stay as they were, and forecast says why';

CREATE FUNCTION retention.forecast_customers(shop_id integer, at timestamptz)
	RETURNS bigint
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	the_shop retention.shop;
	model retention.purchase_model;
	value_model retention.value_model;
	today date;
	horizon double precision;
	discount double precision;
	changes bigint;
BEGIN
	SELECT s.* INTO the_shop
	FROM retention.shop s
	WHERE s.shop_id = forecast_customers.shop_id;
	SELECT (f.purchase_model).* INTO model
	FROM retention.forecast f
	WHERE f.shop_id = forecast_customers.shop_id;
	SELECT (f.value_model).* INTO value_model
	FROM retention.forecast f
	WHERE f.shop_id = forecast_customers.shop_id;
	-- No model is NULL, and not a row of NULLs.
	IF value_model IS NULL THEN
		value_model := NULL;
	END IF;
	today := timezone(the_shop.time_zone, at)::date;
	horizon := the_shop.forecast_days / 7.0;
	discount := power(1 + the_shop.forecast_discount::double precision, 7 / 365.25) - 1;

	INSERT INTO retention.customer_forecast AS f
		(shop_id, customer_id, p_alive, expected_purchases, expected_value, clv, next_purchase_expected)
	SELECT
		forecast_customers.shop_id,
		h.customer_id,
		retention.p_alive(model, s.frequency, s.recency, s.age),
		retention.expected_purchases(model, s.frequency, s.recency, s.age, horizon),
		round(retention.expected_value(value_model, s.frequency, s.mean_value), 2),
		round(retention.clv(model, value_model, s.frequency, s.recency, s.age, s.mean_value, horizon, discount), 2),
		CASE
			WHEN n.weeks <= 5218 THEN today + ceil(n.weeks * 7)::integer
		END
	FROM retention.purchase_histories h
	CROSS JOIN LATERAL retention.purchase_summary(h.history, '7 days', the_shop.time_zone, at) AS s
	CROSS JOIN LATERAL (
		SELECT retention.next_purchase_expected(model, s.frequency, s.recency, s.age) AS weeks
	) AS n
	WHERE h.shop_id = forecast_customers.shop_id AND s.frequency IS NOT NULL
	ON CONFLICT ON CONSTRAINT customer_forecast_pkey DO UPDATE
	SET p_alive = EXCLUDED.p_alive,
		expected_purchases = EXCLUDED.expected_purchases,
		expected_value = EXCLUDED.expected_value,
		clv = EXCLUDED.clv,
		next_purchase_expected = EXCLUDED.next_purchase_expected
	WHERE (f.p_alive, f.expected_purchases, f.expected_value, f.clv, f.next_purchase_expected)
		IS DISTINCT FROM (EXCLUDED.p_alive, EXCLUDED.expected_purchases, EXCLUDED.expected_value, EXCLUDED.clv, EXCLUDED.next_purchase_expected);
	GET DIAGNOSTICS changes = ROW_COUNT;

	-- Whose purchases were all refunded, or given to another customer.
	DELETE FROM retention.customer_forecast f
	WHERE f.shop_id = forecast_customers.shop_id
		AND NOT EXISTS (
			SELECT
			FROM retention.customer_stats s
			WHERE s.shop_id = f.shop_id AND s.customer_id = f.customer_id AND s.purchases > 0
		);

	UPDATE retention.forecast f
	SET forecast_at = at
	WHERE f.shop_id = forecast_customers.shop_id;
	RETURN changes;
END
$$;

COMMENT ON FUNCTION retention.forecast_customers(integer, timestamptz) IS
	'Writes what a shop''s models say of each customer at that moment to customer_forecast; returns how many rows changed';

CREATE FUNCTION retention.run_forecast(at timestamptz)
	RETURNS bigint
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	the_shop record;
	kept record;
	changes bigint := 0;
BEGIN
	FOR the_shop IN
		SELECT s.shop_id, s.time_zone, s.forecast_model, s.forecast_refit_days
		FROM retention.shop s
		ORDER BY s.shop_id
	LOOP
		-- The row is also the lock: of two who run at once, the second waits
		-- and finds the work done.
		INSERT INTO retention.forecast (shop_id)
		VALUES (the_shop.shop_id)
		ON CONFLICT ON CONSTRAINT forecast_pkey DO NOTHING;
		SELECT
			f.fitted_at,
			f.forecast_at,
			f.asked_model AS asked,
			CASE
				WHEN f.purchase_problem IS NULL THEN the_shop.forecast_refit_days
				ELSE 1
			END AS refit_days
		INTO kept
		FROM retention.forecast f
		WHERE f.shop_id = the_shop.shop_id
		FOR NO KEY UPDATE;

		IF kept.fitted_at IS NULL
			OR timezone(the_shop.time_zone, at)::date >= timezone(the_shop.time_zone, kept.fitted_at)::date + kept.refit_days
			OR kept.asked <> the_shop.forecast_model
		THEN
			PERFORM retention.fit_forecast(the_shop.shop_id, at);
			kept.forecast_at := NULL;
		END IF;

		IF (kept.forecast_at IS NULL
				OR timezone(the_shop.time_zone, at)::date > timezone(the_shop.time_zone, kept.forecast_at)::date)
			AND EXISTS (
				SELECT
				FROM retention.forecast f
				WHERE f.shop_id = the_shop.shop_id AND (f.purchase_model).model IS NOT NULL
			)
		THEN
			changes := changes + retention.forecast_customers(the_shop.shop_id, at);
		END IF;
	END LOOP;
	RETURN changes;
END
$$;

COMMENT ON FUNCTION retention.run_forecast(timestamptz) IS
	'What run() does for forecasts, once a day of the shop''s: looks ahead for each customer, and every shop.forecast_refit_days days (daily while there is too little to fit) fits the models again; returns how many customers'' forecasts changed';

-- ---------------------------------------------------------------------------
-- forecasts: how a shop's models came out
-- ---------------------------------------------------------------------------

CREATE VIEW retention.forecasts AS
	SELECT
		shop.shop_id,
		shop.name AS shop,
		kept.fitted_at,
		kept.forecast_at,
		(kept.purchase_model).model,
		(kept.purchase_model).customers,
		(kept.purchase_model).r,
		(kept.purchase_model).alpha,
		(kept.purchase_model).a,
		(kept.purchase_model).b,
		(kept.purchase_model).r_error,
		(kept.purchase_model).alpha_error,
		(kept.purchase_model).a_error,
		(kept.purchase_model).b_error,
		(kept.purchase_model).log_likelihood,
		(kept.value_model).p,
		(kept.value_model).q,
		(kept.value_model).gamma,
		(kept.value_model).p_error,
		(kept.value_model).q_error,
		(kept.value_model).gamma_error,
		round(retention.expected_value(kept.value_model, 0, NULL), 2) AS average_value,
		kept.purchase_problem,
		kept.value_problem
	FROM retention.shop
	LEFT JOIN retention.forecast AS kept ON kept.shop_id = shop.shop_id;

COMMENT ON VIEW retention.forecasts IS 'The models behind the forecast (预测模型), one row a shop; times are in weeks of 7 days. How good they are is told by forecast_check()';
COMMENT ON COLUMN retention.forecasts.shop_id IS 'The shop';
COMMENT ON COLUMN retention.forecasts.shop IS 'Name of the shop (店铺)';
COMMENT ON COLUMN retention.forecasts.fitted_at IS 'When the models were last fitted (拟合时间), or it was last tried; NULL before the first run()';
COMMENT ON COLUMN retention.forecasts.forecast_at IS 'The moment from which the customers'' forecasts look ahead (预测时间)';
COMMENT ON COLUMN retention.forecasts.model IS 'bgnbd or mbgnbd, as shop.forecast_model; NULL while there is none';
COMMENT ON COLUMN retention.forecasts.customers IS 'Customers it was fitted to (客户数)';
COMMENT ON COLUMN retention.forecasts.r IS 'Parameter r; see the type purchase_model';
COMMENT ON COLUMN retention.forecasts.alpha IS 'Parameter alpha, in weeks';
COMMENT ON COLUMN retention.forecasts.a IS 'Parameter a';
COMMENT ON COLUMN retention.forecasts.b IS 'Parameter b';
COMMENT ON COLUMN retention.forecasts.r_error IS 'Standard error of r';
COMMENT ON COLUMN retention.forecasts.alpha_error IS 'Standard error of alpha';
COMMENT ON COLUMN retention.forecasts.a_error IS 'Standard error of a';
COMMENT ON COLUMN retention.forecasts.b_error IS 'Standard error of b';
COMMENT ON COLUMN retention.forecasts.log_likelihood IS 'Log-likelihood of the purchases';
COMMENT ON COLUMN retention.forecasts.p IS 'Parameter p of Gamma-Gamma; see the type value_model';
COMMENT ON COLUMN retention.forecasts.q IS 'Parameter q';
COMMENT ON COLUMN retention.forecasts.gamma IS 'Parameter gamma, in the shop''s currency';
COMMENT ON COLUMN retention.forecasts.p_error IS 'Standard error of p';
COMMENT ON COLUMN retention.forecasts.q_error IS 'Standard error of q';
COMMENT ON COLUMN retention.forecasts.gamma_error IS 'Standard error of gamma';
COMMENT ON COLUMN retention.forecasts.average_value IS 'What a purchase of an unknown customer is worth (平均消费金额), in the shop''s currency, rounded to two decimals';
COMMENT ON COLUMN retention.forecasts.purchase_problem IS 'Why there is no forecast of purchases, or why it rests on an older fit; NULL when all is well';
COMMENT ON COLUMN retention.forecasts.value_problem IS 'The same for the value of purchases';
