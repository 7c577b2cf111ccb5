-- ---------------------------------------------------------------------------
-- forecast_check: how good a forecast would have been
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.too_many(per_cent double precision)
	RETURNS text
	LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN CASE
		WHEN round(per_cent::numeric) = 0 THEN 'just right'
		ELSE format('%s per cent too %s', abs(round(per_cent::numeric)), CASE WHEN per_cent > 0 THEN 'many' ELSE 'few' END)
	END;
END
$$;

COMMENT ON FUNCTION retention.too_many(double precision) IS
	'Part of forecast_check(): 9 is 9 per cent too many, -9 as much too few';

CREATE FUNCTION retention.forecast_check(
	calibration_end date,
	until date DEFAULT NULL,
	model text DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (
		repeat_purchases text,
		customers bigint,
		predicted numeric,
		actual bigint,
		predicted_each numeric,
		actual_each numeric,
		off_by numeric,
		verdict text
	)
	LANGUAGE plpgsql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop retention.shop;
	last_day date;
	seen_from timestamptz;
	seen_to timestamptz;
	horizon double precision;
	asked text;
	known retention.customer_sample;
	fit retention.purchase_model;
BEGIN
	SELECT s.* INTO the_shop
	FROM retention.shop s
	WHERE s.shop_id = retention.shop_id(forecast_check.shop);
	last_day := coalesce(forecast_check.until, timezone(the_shop.time_zone, retention.now())::date);
	IF forecast_check.calibration_end IS NULL THEN
		RAISE EXCEPTION 'the end of the calibration must not be NULL'
			USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF NOT isfinite(forecast_check.calibration_end) OR NOT isfinite(last_day) OR forecast_check.calibration_end >= last_day THEN
		RAISE EXCEPTION 'the calibration, until %, must end before %, the last day to compare with', forecast_check.calibration_end, last_day
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	asked := coalesce(forecast_check.model, the_shop.forecast_model);
	IF asked NOT IN ('bgnbd', 'mbgnbd') THEN
		RAISE EXCEPTION 'unknown model "%"', asked
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Models are bgnbd and mbgnbd.';
	END IF;
	-- Both days are over: seen from their last moment.
	seen_from := timezone(the_shop.time_zone, (forecast_check.calibration_end + 1)::timestamp) - interval '1 microsecond';
	seen_to := timezone(the_shop.time_zone, (last_day + 1)::timestamp) - interval '1 microsecond';
	horizon := (last_day - forecast_check.calibration_end) / 7.0;

	SELECT retention.purchases_collect(h.history, '7 days', the_shop.time_zone, seen_from) INTO known
	FROM retention.purchase_histories h
	WHERE h.shop_id = the_shop.shop_id;
	fit := CASE asked
		WHEN 'bgnbd' THEN retention.bgnbd_fit(known)
		ELSE retention.mbgnbd_fit(known)
	END;
	IF known IS NULL THEN
		RAISE EXCEPTION 'there are no purchases until %', forecast_check.calibration_end
			USING ERRCODE = 'data_exception';
	END IF;

	RETURN QUERY
	WITH customer AS (
		SELECT
			least(summary.frequency, 7) AS frequency,
			retention.expected_purchases(fit, summary.frequency, summary.recency, summary.age, horizon) AS predicted,
			retention.purchase_summary(h.history, '7 days', the_shop.time_zone, seen_to) AS later,
			summary.frequency AS before,
			-- Going on at the customer's own pace.
			CASE
				WHEN summary.age > 0 THEN summary.frequency / summary.age * horizon
				ELSE 0
			END AS unchanged
		FROM retention.purchase_histories h
		CROSS JOIN LATERAL retention.purchase_summary(h.history, '7 days', the_shop.time_zone, seen_from) AS summary
		WHERE h.shop_id = the_shop.shop_id AND summary.frequency IS NOT NULL
	), counted AS (
		SELECT
			customer.frequency,
			grouping(customer.frequency) = 1 AS everybody,
			count(*) AS customers,
			-- In a fixed order: the same customers give the same sum.
			sum(customer.predicted ORDER BY customer.predicted) AS predicted,
			sum((customer.later).frequency - customer.before)::bigint AS actual,
			sum(customer.unchanged ORDER BY customer.unchanged) AS unchanged
		FROM customer
		GROUP BY GROUPING SETS ((customer.frequency), ())
	), judged AS (
		SELECT
			-- Per cent: of the total, and of the groups whichever way they are off.
			100 * (max(counted.predicted) FILTER (WHERE counted.everybody) / nullif(max(counted.actual) FILTER (WHERE counted.everybody), 0) - 1) AS total,
			100 * sum(abs(counted.predicted - counted.actual) ORDER BY counted.frequency) FILTER (WHERE NOT counted.everybody)
				/ nullif(max(counted.actual) FILTER (WHERE counted.everybody), 0) AS by_group,
			100 * (max(counted.unchanged) FILTER (WHERE counted.everybody) / nullif(max(counted.actual) FILTER (WHERE counted.everybody), 0) - 1) AS unchanged
		FROM counted
	)
	SELECT
		CASE
			WHEN counted.everybody THEN 'all'
			WHEN counted.frequency = 7 THEN '7+'
			ELSE counted.frequency::text
		END,
		counted.customers,
		round(counted.predicted::numeric, 1),
		counted.actual,
		round((counted.predicted / counted.customers)::numeric, 3),
		round(counted.actual::numeric / counted.customers, 3),
		round((counted.predicted / nullif(counted.actual, 0) - 1)::numeric, 3),
		CASE
			WHEN NOT counted.everybody THEN NULL
			WHEN counted.actual = 0 THEN 'nothing can be said: nobody known bought again in that time'
			ELSE format(
				'%s: %s purchases predicted, %s made, %s; by the number of earlier purchases it is %s per cent off. That all go on at their own pace would have been %s',
				CASE
					WHEN NOT fit.converged THEN 'poor, the model did not fit'
					WHEN abs(judged.total) <= 10 AND judged.by_group <= 20 THEN 'good'
					WHEN abs(judged.total) <= 25 AND judged.by_group <= 40 THEN 'fair'
					ELSE 'poor'
				END,
				round(counted.predicted::numeric),
				counted.actual,
				retention.too_many(judged.total),
				round(judged.by_group::numeric),
				retention.too_many(judged.unchanged)
			)
		END
	FROM counted
	CROSS JOIN judged
	ORDER BY counted.everybody, counted.frequency;
END
$$;

COMMENT ON FUNCTION retention.forecast_check(date, date, text, text) IS
	'How good a forecast would have been: the shop''s model (or bgnbd, mbgnbd) fitted to the purchases up to and including the day calibration_end, and its prediction for the days after it until until (NULL: today) beside what was bought then, for the customers known by then. One row a number of repeat purchases in the calibration (7+: seven or more) and one for all; predicted and actual purchases, in sum and by customer (those of one day are one), off_by = predicted / actual - 1 (NULL without actual ones), and in the row for all a verdict: good (total within 10 per cent, and groups within 20), fair (25 and 40) or poor, beside the guess that everybody goes on at their own pace. Too few customers are an error; shop NULL means the only shop';
