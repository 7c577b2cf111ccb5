-- ---------------------------------------------------------------------------
-- The whole histories of customers, and the shop's periods
-- ---------------------------------------------------------------------------

-- Only a customer whose history is longer than customer_stats holds costs a
-- look into the chunks: the others' is handed on as it is stored.
CREATE VIEW retention.purchase_histories AS
	SELECT
		stats.shop_id,
		stats.customer_id,
		CASE
			WHEN stats.history_from IS NULL THEN stats.history
			ELSE (
				SELECT retention.merge(part.history)
				FROM (
					SELECT chunk.history
					FROM retention.customer_history AS chunk
					WHERE chunk.shop_id = stats.shop_id AND chunk.customer_id = stats.customer_id
					UNION ALL
					SELECT stats.history
				) AS part
			)
		END AS history
	FROM retention.customer_stats AS stats
	WHERE stats.purchases > 0;

COMMENT ON VIEW retention.purchase_histories IS
	'The whole purchase history (购买历史) of each customer with a purchase, for aggregates such as cohort_matrix()';
COMMENT ON COLUMN retention.purchase_histories.shop_id IS 'The shop';
COMMENT ON COLUMN retention.purchase_histories.customer_id IS 'The shop''s own id for the customer';
COMMENT ON COLUMN retention.purchase_histories.history IS 'All purchases: orders paid and not wholly refunded';

CREATE FUNCTION retention.shop_period(period text, shop_id integer)
	RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	unit text := CASE
		WHEN lower(period COLLATE "C") = 'week' THEN 'week from ' || coalesce(
			(SELECT shop.week_start FROM retention.shop WHERE shop.shop_id = shop_period.shop_id), 'monday')
		ELSE period
	END;
BEGIN
	IF unit IS NULL THEN
		RAISE null_value_not_allowed USING
			MESSAGE = 'the period must not be NULL',
			HINT = 'Periods are day, week, month, quarter and year.';
	END IF;
	-- It is refused here and not only where a purchase meets it.
	PERFORM retention.period_of(unit, 'UTC', 'epoch');
	RETURN unit;
END
$$;

COMMENT ON FUNCTION retention.shop_period(text, integer) IS
	'The period as aggregates over histories take it: a week begins on the shop''s own day. NULL and what is no period are errors';

CREATE FUNCTION retention.period_of(period text, time_zone text, at timestamptz)
	RETURNS date
	AS 'MODULE_PATHNAME', 'period_of'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.period_of(text, text, timestamptz) IS
	'First day of the period (day, week, week from sunday, month, quarter, year) that the moment lies in, in that time zone; NULL for NULL';

CREATE FUNCTION retention.period_start(period text, time_zone text, day date, periods integer DEFAULT 0)
	RETURNS timestamptz
	AS 'MODULE_PATHNAME', 'period_start'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.period_start(text, text, date, integer) IS
	'The moment, in that time zone, at which the period begins that lies so many periods after the one the day is in; NULL for NULL';

-- ---------------------------------------------------------------------------
-- Arguments of figures and of the customers behind them
-- ---------------------------------------------------------------------------

-- What a figure refuses the customers behind it refuse in the same words, and
-- before any row is read: each of these is called once a question.

CREATE FUNCTION retention.check_moment(argument text, moment timestamptz)
	RETURNS timestamptz
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF moment IS NULL THEN
		RAISE null_value_not_allowed USING
			MESSAGE = format('argument "%s" must not be NULL', argument),
			HINT = 'A moment is written as in ''2026-01-31 18:00+08''.';
	END IF;
	IF NOT isfinite(moment) OR moment NOT BETWEEN '0001-01-01 00:00+00' AND '9999-12-31 00:00+00' THEN
		RAISE datetime_field_overflow USING
			MESSAGE = format('argument "%s" must lie in the years 1 to 9999, but is %s', argument, moment),
			HINT = 'A moment is written as in ''2026-01-31 18:00+08''.';
	END IF;
	RETURN moment;
END
$$;

COMMENT ON FUNCTION retention.check_moment(text, timestamptz) IS
	'The moment as it is; NULL, infinity and what no calendar reaches are errors that name the argument';

CREATE FUNCTION retention.moment_of(at timestamptz)
	RETURNS timestamptz
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN retention.check_moment('at', coalesce(at, retention.now()));
END
$$;

COMMENT ON FUNCTION retention.moment_of(timestamptz) IS
	'The moment from which a figure looks: at, or retention.now() where that is NULL; an infinite one is an error';

CREATE FUNCTION retention.check_day(argument text, day date)
	RETURNS date
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF day IS NULL THEN
		RAISE null_value_not_allowed USING
			MESSAGE = format('argument "%s" must not be NULL', argument),
			HINT = 'Any day of the period will do, such as ''2026-01-31''.';
	END IF;
	IF NOT isfinite(day) OR day NOT BETWEEN '0001-01-01' AND '9999-12-31' THEN
		RAISE datetime_field_overflow USING
			MESSAGE = format('argument "%s" must lie in the years 1 to 9999, but is %s', argument, day),
			HINT = 'Any day of the period will do, such as ''2026-01-31''.';
	END IF;
	RETURN day;
END
$$;

COMMENT ON FUNCTION retention.check_day(text, date) IS
	'The day as it is; NULL, infinity and what no calendar reaches are errors that name the argument';

CREATE FUNCTION retention.check_number(argument text, number bigint, least_number bigint, most bigint)
	RETURNS bigint
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF number IS NULL THEN
		RAISE null_value_not_allowed USING
			MESSAGE = format('argument "%s" must not be NULL', argument),
			HINT = format('It is a whole number from %s on.', least_number);
	END IF;
	IF number NOT BETWEEN least_number AND most THEN
		RAISE numeric_value_out_of_range USING
			MESSAGE = CASE
				WHEN number < least_number THEN format('argument "%s" must be %s or more, but is %s', argument, least_number, number)
				ELSE format('argument "%s" must be %s or less, but is %s', argument, most, number)
			END,
			HINT = format('It is a whole number from %s on.', least_number);
	END IF;
	RETURN number;
END
$$;

COMMENT ON FUNCTION retention.check_number(text, bigint, bigint, bigint) IS
	'The number as it is; NULL and what is less or more are errors that name the argument';

CREATE FUNCTION retention.check_days(days integer[])
	RETURNS integer[]
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF days IS NULL OR EXISTS (SELECT FROM unnest(days) AS day WHERE day IS NULL OR day < 0) THEN
		RAISE numeric_value_out_of_range USING
			MESSAGE = format('the numbers of days must be 0 or more, but are %s', coalesce(days::text, 'NULL')),
			HINT = 'They are written as in ''{1,3,7,30}''.';
	END IF;
	RETURN days;
END
$$;

COMMENT ON FUNCTION retention.check_days(integer[]) IS
	'The numbers of days of a retention curve as they are; NULL and negative ones are errors';

CREATE FUNCTION retention.check_retention(mode text)
	RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF mode IS NULL OR lower(mode COLLATE "C") NOT IN ('classic', 'rolling', 'within') THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('retention "%s" not recognized', coalesce(mode, 'NULL')),
			HINT = 'It is classic (on day N), rolling (on day N or later) or within (up to day N).';
	END IF;
	RETURN lower(mode COLLATE "C");
END
$$;

COMMENT ON FUNCTION retention.check_retention(text) IS
	'The kind of retention in small letters: classic, rolling or within; others are errors';

CREATE FUNCTION retention.check_horizon(horizon interval)
	RETURNS interval
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF extract(month FROM horizon) <> 0 OR extract(year FROM horizon) <> 0 THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('the horizon must not have months or years, but is %s', horizon),
			DETAIL = 'Their length differs.',
			HINT = 'Write it in days, such as ''30 days''; a day is 24 hours.';
	END IF;
	IF extract(epoch FROM horizon) NOT BETWEEN 0 AND 365250 * 86400.0 THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('the horizon must lie between 0 and 365250 days, but is %s', horizon),
			HINT = 'Leave it out, or NULL, for any time at all.';
	END IF;
	RETURN horizon;
END
$$;

COMMENT ON FUNCTION retention.check_horizon(interval) IS
	'The horizon of X-order rates as it is, NULL for none; months and years, whose length differs, and negative ones are errors';

CREATE FUNCTION retention.check_fraction(best numeric)
	RETURNS numeric
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF best IS NULL OR best NOT BETWEEN 0 AND 1 THEN
		RAISE numeric_value_out_of_range USING
			MESSAGE = format('fraction %s is not between 0 and 1', coalesce(best::text, 'NULL')),
			HINT = 'The best 20 per cent are 0.2.';
	END IF;
	RETURN best;
END
$$;

COMMENT ON FUNCTION retention.check_fraction(numeric) IS
	'The fraction as it is; NULL and what is not between 0 and 1 are errors';

-- ---------------------------------------------------------------------------
-- Cohorts, repurchase, next period, new and returning
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.cohorts(
	period text DEFAULT 'month',
	measure text DEFAULT 'customers',
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (cohort date, periods_since integer, result numeric)
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
	zone text := (SELECT s.time_zone FROM retention.shop AS s WHERE s.shop_id = the_shop);
	unit text := retention.shop_period(period, the_shop);
BEGIN
	IF measure IS NULL OR measure NOT IN ('customers', 'purchases', 'value', 'rate') THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('measure "%s" not recognized', measure),
			HINT = 'Measures are customers, purchases, value and rate.';
	END IF;
	RETURN QUERY
	SELECT (cell).cohort, (cell).periods_since,
		CASE measure
			WHEN 'customers' THEN (cell).customers
			WHEN 'purchases' THEN (cell).purchases
			WHEN 'value' THEN (cell).value
			ELSE (cell).rate
		END
	FROM (
		SELECT unnest(retention.cohort_matrix(kept.history, unit, zone, moment)) AS cell
		FROM retention.purchase_histories AS kept
		WHERE kept.shop_id = the_shop
	) AS matrix;
END
$$;

COMMENT ON FUNCTION retention.cohorts(text, text, timestamptz, text) IS
	'Cohorts (同期群) of the attached shop: customers by the period of their first purchase, and what they did in each period since: measure is customers, purchases, value or rate (customers / the cohort''s size). NULL while the period is not over. Periods are day, week (from shop.week_start), month, quarter and year, in the shop''s time zone. at is the moment from which to look (NULL: now); shop NULL means the only shop.';

CREATE FUNCTION retention.cohort_customers(
	cohort date,
	periods_since integer,
	period text DEFAULT 'month',
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (customer_id text, purchases bigint, value numeric)
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
	zone text := (SELECT s.time_zone FROM retention.shop AS s WHERE s.shop_id = the_shop);
	unit text := retention.shop_period(period, the_shop);
	first_day date := retention.check_day('cohort', cohort);
	distance integer := retention.check_number('periods_since', periods_since, 0, 100000);
	starts timestamptz := retention.period_start(unit, zone, first_day, distance);
	ends timestamptz := least(retention.period_start(unit, zone, first_day, distance + 1), moment + interval '1 microsecond');
BEGIN
	RETURN QUERY
	SELECT kept.customer_id,
		retention.bought(kept.history, starts, ends),
		retention.spent_between(kept.history, starts, ends)
	FROM retention.purchase_histories AS kept
	WHERE kept.shop_id = the_shop
		AND retention.period_of(unit, zone, retention.first_purchase(kept.history)) = retention.period_of(unit, 'UTC', first_day::timestamp AT TIME ZONE 'UTC')
		AND retention.bought(kept.history, starts, ends) > 0;
END
$$;

COMMENT ON FUNCTION retention.cohort_customers(date, integer, text, timestamptz, text) IS
	'The customers behind a cell of cohorts(): of those with their first purchase in the period that the date lies in, who bought so many periods later (0 or more), how often and for how much. No day, and no number of periods, are errors. Periods are day, week (from shop.week_start), month, quarter and year, in the shop''s time zone. at is the moment from which to look (NULL: now); shop NULL means the only shop.';

CREATE FUNCTION retention.repurchase(
	period text DEFAULT 'month',
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS SETOF retention.repurchase_row
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
	zone text := (SELECT s.time_zone FROM retention.shop AS s WHERE s.shop_id = the_shop);
	unit text := retention.shop_period(period, the_shop);
BEGIN
	RETURN QUERY
	SELECT (result).*
	FROM (
		SELECT unnest(retention.repurchase_rates(kept.history, unit, zone, moment)) AS result
		FROM retention.purchase_histories AS kept
		WHERE kept.shop_id = the_shop
	) AS answer;
END
$$;

COMMENT ON FUNCTION retention.repurchase(text, timestamptz, text) IS
	'Repurchase rate (复购率) of the attached shop by period: customers with two or more purchases in it / customers with one or more; NULL while it is not over. The customers: period_customers(). Periods are day, week (from shop.week_start), month, quarter and year, in the shop''s time zone. at is the moment from which to look (NULL: now); shop NULL means the only shop.';

CREATE FUNCTION retention.new_vs_returning(
	period text DEFAULT 'month',
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS SETOF retention.new_vs_returning_row
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
	zone text := (SELECT s.time_zone FROM retention.shop AS s WHERE s.shop_id = the_shop);
	unit text := retention.shop_period(period, the_shop);
BEGIN
	RETURN QUERY
	SELECT (result).*
	FROM (
		SELECT unnest(retention.new_vs_returning(kept.history, unit, zone, moment)) AS result
		FROM retention.purchase_histories AS kept
		WHERE kept.shop_id = the_shop
	) AS answer;
END
$$;

COMMENT ON FUNCTION retention.new_vs_returning(text, timestamptz, text) IS
	'New and returning customers (新老客) of the attached shop by period; NULL while it is not over. The customers: period_customers(). Periods are day, week (from shop.week_start), month, quarter and year, in the shop''s time zone. at is the moment from which to look (NULL: now); shop NULL means the only shop.';

CREATE FUNCTION retention.period_customers(
	day date,
	period text DEFAULT 'month',
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (customer_id text, is_new boolean, purchases bigint, value numeric, first_purchases bigint, first_value numeric)
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
	zone text := (SELECT s.time_zone FROM retention.shop AS s WHERE s.shop_id = the_shop);
	unit text := retention.shop_period(period, the_shop);
	starts timestamptz := retention.period_start(unit, zone, retention.check_day('day', day));
	ends timestamptz := least(retention.period_start(unit, zone, day, 1), moment + interval '1 microsecond');
BEGIN
	RETURN QUERY
	SELECT kept.customer_id,
		retention.first_purchase(kept.history) >= starts,
		retention.bought(kept.history, starts, ends),
		retention.spent_between(kept.history, starts, ends),
		CASE WHEN retention.first_purchase(kept.history) >= starts THEN 1 ELSE 0 END::bigint,
		CASE
			WHEN retention.first_purchase(kept.history) >= starts THEN (
				SELECT entry.amount
				FROM retention.entries(kept.history) WITH ORDINALITY AS entry (paid_at, amount, position)
				WHERE entry.position = 1
			)
			ELSE 0
		END
	FROM retention.purchase_histories AS kept
	WHERE kept.shop_id = the_shop
		AND retention.bought(kept.history, starts, ends) > 0;
END
$$;

COMMENT ON FUNCTION retention.period_customers(date, text, timestamptz, text) IS
	'The customers behind a row of repurchase(), new_vs_returning() and next_period(): who bought in the period the day lies in, how often (purchases) and for how much (value), and whether they are new (is_new), their first purchase ever lying in it; first_purchases is then 1, else 0, and first_value what that purchase brought, else 0: purchases - first_purchases and value - first_value are what new_vs_returning() calls repeat. Money in the shop''s currency, refunds taken off. No day is an error. Periods are day, week (from shop.week_start), month, quarter and year, in the shop''s time zone. at is the moment from which to look (NULL: now); shop NULL means the only shop.';

CREATE FUNCTION retention.next_period(
	period text DEFAULT 'month',
	k integer DEFAULT 1,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS SETOF retention.next_period_row
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
	zone text := (SELECT s.time_zone FROM retention.shop AS s WHERE s.shop_id = the_shop);
	unit text := retention.shop_period(period, the_shop);
	distance integer := retention.check_number('k', k, 1, 100000);
BEGIN
	RETURN QUERY
	SELECT (result).*
	FROM (
		SELECT unnest(retention.next_period_rates(kept.history, unit, distance, zone, moment)) AS result
		FROM retention.purchase_histories AS kept
		WHERE kept.shop_id = the_shop
	) AS answer;
END
$$;

COMMENT ON FUNCTION retention.next_period(text, integer, timestamptz, text) IS
	'Next-period rate (次月复购率, with k = 2 次两月复购率) of the attached shop: of the customers of each period m, the share who bought in period m + k, k being 1 or more; NULL while that is not over. Periods are day, week (from shop.week_start), month, quarter and year, in the shop''s time zone. at is the moment from which to look (NULL: now); shop NULL means the only shop.';

CREATE FUNCTION retention.next_period_customers(
	m date,
	period text DEFAULT 'month',
	k integer DEFAULT 1,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (customer_id text, returned boolean)
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
	zone text := (SELECT s.time_zone FROM retention.shop AS s WHERE s.shop_id = the_shop);
	unit text := retention.shop_period(period, the_shop);
	distance integer := retention.check_number('k', k, 1, 100000);
	starts timestamptz := retention.period_start(unit, zone, retention.check_day('m', m));
	ends timestamptz := retention.period_start(unit, zone, m, 1);
	later_starts timestamptz := retention.period_start(unit, zone, m, distance);
	later_ends timestamptz := retention.period_start(unit, zone, m, distance + 1);
BEGIN
	RETURN QUERY
	SELECT kept.customer_id, retention.bought(kept.history, later_starts, least(later_ends, moment + interval '1 microsecond')) > 0
	FROM retention.purchase_histories AS kept
	WHERE kept.shop_id = the_shop
		AND retention.bought(kept.history, starts, least(ends, moment + interval '1 microsecond')) > 0;
END
$$;

COMMENT ON FUNCTION retention.next_period_customers(date, text, integer, timestamptz, text) IS
	'The customers behind a row of next_period(): who bought in the period m lies in, and whether in the k-th after it, k being 1 or more (false also while that is not over). No m, and no k, are errors. Periods are day, week (from shop.week_start), month, quarter and year, in the shop''s time zone. at is the moment from which to look (NULL: now); shop NULL means the only shop.';

-- ---------------------------------------------------------------------------
-- After how many purchases, and after how many days
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.x_order(
	horizon interval DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS SETOF retention.x_order_row
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
	within interval := retention.check_horizon(horizon);
BEGIN
	RETURN QUERY
	SELECT (result).*
	FROM (
		SELECT unnest(retention.x_order_rates(kept.history, within, moment)) AS result
		FROM retention.purchase_histories AS kept
		WHERE kept.shop_id = the_shop
	) AS answer;
END
$$;

COMMENT ON FUNCTION retention.x_order(interval, timestamptz, text) IS
	'X-order rates of the attached shop: of the customers with an X-th purchase at least the horizon ago, the share who made the next one within it; without a horizon, the share with a next one. A horizon is in days of 24 hours and less; one in months or years, whose length differs, and a negative one are errors. The customers: x_order_customers(). at is the moment from which to look (NULL: now); shop NULL means the only shop.';

CREATE FUNCTION retention.x_order_customers(
	x bigint,
	horizon interval DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (customer_id text, reached_at timestamptz, next_at timestamptz, returned boolean)
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
	nth_one bigint := retention.check_number('x', x, 1, 9223372036854775807);
	within interval := retention.check_horizon(horizon);
BEGIN
	RETURN QUERY
	SELECT kept.customer_id, nth.paid_at, nth.next_at,
		nth.next_at IS NOT NULL AND (within IS NULL OR nth.next_at - nth.paid_at <= within)
	FROM retention.purchase_histories AS kept
	CROSS JOIN LATERAL (
		SELECT entry.paid_at, lead(entry.paid_at) OVER (ORDER BY entry.position) AS next_at, entry.position
		FROM retention.entries(kept.history) WITH ORDINALITY AS entry (paid_at, amount, position)
		WHERE entry.position - nth_one IN (0, 1) AND entry.paid_at <= moment
	) AS nth
	WHERE kept.shop_id = the_shop AND nth.position = nth_one
		AND (within IS NULL OR extract(epoch FROM moment - nth.paid_at) >= extract(epoch FROM within));
END
$$;

COMMENT ON FUNCTION retention.x_order_customers(bigint, interval, timestamptz, text) IS
	'The customers behind a row of x_order(): when they made the X-th purchase (X from 1 on) and the next one (NULL: none yet), and whether that came within the horizon. No X, and what x_order() refuses, are errors. at is the moment from which to look (NULL: now); shop NULL means the only shop.';

CREATE FUNCTION retention.magic_number(
	horizon interval DEFAULT NULL,
	epsilon numeric DEFAULT 0.05,
	least_customers bigint DEFAULT 30,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS bigint
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
	within interval := retention.check_horizon(horizon);
BEGIN
	RETURN (
		SELECT retention.magic_number(retention.x_order_collect(kept.history, within, moment), epsilon, least_customers)
		FROM retention.purchase_histories AS kept
		WHERE kept.shop_id = the_shop
	);
END
$$;

COMMENT ON FUNCTION retention.magic_number(interval, numeric, bigint, timestamptz, text) IS
	'Magic number (复购魔法数字) of the attached shop: the smallest X from which the X-order rate rises by less than epsilon at every later step that has at least so many customers; NULL when no step has. A horizon is in days of 24 hours and less; name it, magic_number(horizon => ''60 days''): unnamed, the text may as well be a state of the function of the same name. The customers: x_order_customers(). at is the moment from which to look (NULL: now); shop NULL means the only shop.';

CREATE FUNCTION retention.retention_curve(
	mode text DEFAULT 'classic',
	days integer[] DEFAULT '{1,3,7,14,30,60,90,180,365}',
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS SETOF retention.retention_row
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
	zone text := (SELECT s.time_zone FROM retention.shop AS s WHERE s.shop_id = the_shop);
	kind text := retention.check_retention(mode);
	numbers integer[] := retention.check_days(days);
BEGIN
	RETURN QUERY
	SELECT (result).*
	FROM (
		SELECT unnest(retention.retention_curve(kept.history, kind, numbers, zone, moment)) AS result
		FROM retention.purchase_histories AS kept
		WHERE kept.shop_id = the_shop
	) AS answer;
END
$$;

COMMENT ON FUNCTION retention.retention_curve(text, integer[], timestamptz, text) IS
	'Retention (留存率) of the attached shop N days after the first purchase, for each N: classic (bought on day N), rolling (on day N or later), within (up to day N); only customers whose day N is over. Days are the shop''s. The customers: retention_curve_customers(). at is the moment from which to look (NULL: now); shop NULL means the only shop.';

CREATE FUNCTION retention.gap_to_next(
	fractions numeric[] DEFAULT '{0.25,0.5,0.75,0.9}',
	x integer DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS SETOF retention.purchase_gap_row
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
	nth_one integer := CASE WHEN x IS NOT NULL THEN retention.check_number('x', x, 1, 2147483647) END;
BEGIN
	RETURN QUERY
	SELECT (result).*
	FROM (
		SELECT unnest(retention.purchase_gaps(kept.history, nth_one, fractions, moment)) AS result
		FROM retention.purchase_histories AS kept
		WHERE kept.shop_id = the_shop
	) AS answer;
END
$$;

COMMENT ON FUNCTION retention.gap_to_next(numeric[], integer, timestamptz, text) IS
	'Time from the X-th purchase to the next (复购周期) in the attached shop: quantiles, 0.5 being the median; x NULL for every X. The customers: gap_to_next_customers(). at is the moment from which to look (NULL: now); shop NULL means the only shop.';

CREATE FUNCTION retention.pareto(
	best numeric DEFAULT 0.2,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS numeric
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
	fraction numeric := retention.check_fraction(best);
BEGIN
	RETURN (
		SELECT retention.pareto_share(kept.history, fraction, moment)
		FROM retention.purchase_histories AS kept
		WHERE kept.shop_id = the_shop
	);
END
$$;

COMMENT ON FUNCTION retention.pareto(numeric, timestamptz, text) IS
	'Share of the attached shop''s sales by its best customers (二八分析), 0.2 for the best 20 per cent: 0 to 1, NULL when nothing was spent. The customers: pareto_customers(). at is the moment from which to look (NULL: now); shop NULL means the only shop.';

-- ---------------------------------------------------------------------------
-- Sales
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.sales_by_channel(
	period text DEFAULT 'month',
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (period_start date, channel text, customers bigint, purchases bigint, value numeric)
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
	zone text := (SELECT s.time_zone FROM retention.shop AS s WHERE s.shop_id = the_shop);
	unit text := retention.shop_period(period, the_shop);
	current date := retention.period_of(unit, zone, moment);
BEGIN
	RETURN QUERY
	SELECT bought.starts, bought.channel,
		CASE WHEN bought.starts < current THEN count(DISTINCT bought.customer_id) END,
		CASE WHEN bought.starts < current THEN count(*) END,
		CASE WHEN bought.starts < current THEN sum(bought.value) END
	FROM (
		SELECT retention.period_of(unit, zone, order_.paid_at) AS starts, order_.customer_id, order_.value, order_.channel
		FROM retention.purchase AS order_
		WHERE order_.shop_id = the_shop AND order_.value IS NOT NULL AND order_.paid_at <= moment
	) AS bought
	GROUP BY 1, 2
	ORDER BY 1, 2;
END
$$;

COMMENT ON FUNCTION retention.sales_by_channel(text, timestamptz, text) IS
	'Sales by period and channel (渠道销售) of the attached shop, refunds taken off; NULL channel: the order names none. Orders without a customer (guests of the till, say) are not recorded, so they are in no figure of sales. Numbers are NULL while the period is not over. The customers: sales_by_channel_customers(). Periods are day, week (from shop.week_start), month, quarter and year, in the shop''s time zone. at is the moment from which to look (NULL: now); shop NULL means the only shop.';

CREATE FUNCTION retention.sales_by_region(
	attribute text DEFAULT 'region',
	period text DEFAULT 'month',
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (period_start date, region text, customers bigint, purchases bigint, value numeric)
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
	zone text := (SELECT s.time_zone FROM retention.shop AS s WHERE s.shop_id = the_shop);
	unit text := retention.shop_period(period, the_shop);
	current date := retention.period_of(unit, zone, moment);
BEGIN
	RETURN QUERY
	SELECT bought.starts, bought.region,
		CASE WHEN bought.starts < current THEN count(DISTINCT bought.customer_id) END,
		CASE WHEN bought.starts < current THEN count(*) END,
		CASE WHEN bought.starts < current THEN sum(bought.value) END
	FROM (
		SELECT retention.period_of(unit, zone, order_.paid_at) AS starts, order_.customer_id, order_.value, coalesce(order_.attributes ->> attribute, customer.attributes ->> attribute) AS region
		FROM retention.purchase AS order_
		LEFT JOIN retention.customer ON customer.shop_id = order_.shop_id AND customer.customer_id = order_.customer_id
		WHERE order_.shop_id = the_shop AND order_.value IS NOT NULL AND order_.paid_at <= moment
	) AS bought
	GROUP BY 1, 2
	ORDER BY 1, 2;
END
$$;

COMMENT ON FUNCTION retention.sales_by_region(text, text, timestamptz, text) IS
	'Sales by period and region (地区销售) of the attached shop, or by any other attribute: the order''s, else the customer''s; NULL where neither has it. Orders without a customer are not recorded, so not in it. Numbers are NULL while the period is not over. The customers: sales_by_region_customers(). Periods are day, week (from shop.week_start), month, quarter and year, in the shop''s time zone. at is the moment from which to look (NULL: now); shop NULL means the only shop.';

CREATE FUNCTION retention.sales_monthly(
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (month date, customers bigint, purchases bigint, value numeric)
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
	zone text := (SELECT s.time_zone FROM retention.shop AS s WHERE s.shop_id = the_shop);
	unit text := 'month';
	current date := retention.period_of(unit, zone, moment);
BEGIN
	RETURN QUERY
	SELECT bought.starts,
		CASE WHEN bought.starts < current THEN count(DISTINCT bought.customer_id) END,
		CASE WHEN bought.starts < current THEN count(*) END,
		CASE WHEN bought.starts < current THEN sum(bought.value) END
	FROM (
		SELECT retention.period_of(unit, zone, order_.paid_at) AS starts, order_.customer_id, order_.value
		FROM retention.purchase AS order_
		WHERE order_.shop_id = the_shop AND order_.value IS NOT NULL AND order_.paid_at <= moment
	) AS bought
	GROUP BY 1
	ORDER BY 1;
END
$$;

COMMENT ON FUNCTION retention.sales_monthly(timestamptz, text) IS
	'Sales by month (月度销售) of the attached shop, refunds taken off; a month that is not over has no numbers. Orders without a customer are not recorded, so not in it: the shop''s own books may show more. The customers: period_customers(). at is the moment from which to look (NULL: now); shop NULL means the only shop.';

CREATE FUNCTION retention.order_funnel(
	from_time timestamptz DEFAULT NULL,
	to_time timestamptz DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS SETOF retention.order_funnel_row
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
BEGIN
	-- A state that an order reached after the moment is one it has not reached.
	RETURN QUERY
	SELECT (result).*
	FROM (
		SELECT unnest(retention.order_funnel(
			coalesce(order_.placed_at, order_.paid_at),
			CASE WHEN order_.paid_at <= moment THEN order_.paid_at END,
			CASE WHEN order_.shipped_at <= moment THEN order_.shipped_at END,
			CASE WHEN order_.delivered_at <= moment THEN order_.delivered_at END,
			CASE WHEN order_.completed_at <= moment THEN order_.completed_at END,
			CASE WHEN order_.closed_at <= moment THEN order_.closed_at END)) AS result
		FROM retention.purchase AS order_
		WHERE order_.shop_id = the_shop AND NOT order_.is_refund
			AND coalesce(order_.placed_at, order_.paid_at) <= moment
			AND (from_time IS NULL OR coalesce(order_.placed_at, order_.paid_at) >= from_time)
			AND (to_time IS NULL OR coalesce(order_.placed_at, order_.paid_at) < to_time)
	) AS answer;
END
$$;

COMMENT ON FUNCTION retention.order_funnel(timestamptz, timestamptz, timestamptz, text) IS
	'Funnel of order states (订单漏斗) of the attached shop''s orders placed from from_time on and before to_time (NULL: no bound); an order whose placing is not known counts from its payment. States reached after the moment at are not reached yet, and orders placed after it are not there; what the shop has since taken back, such as a payment, it never had. Name the arguments, order_funnel(from_time => ''2026-01-01''): one unnamed text may as well be a state of the function of the same name. The customers: order_funnel_customers(). at is the moment from which to look (NULL: now); shop NULL means the only shop.';

-- ---------------------------------------------------------------------------
-- Customers: totals as of a moment, RFM, value, tiers
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.customer_totals(
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (customer_id text, last_purchase_at timestamptz, purchases bigint, spent numeric)
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
BEGIN
	-- What is kept is as of now: histories are read only for the past.
	RETURN QUERY
	SELECT stats.customer_id, stats.last_purchase_at, stats.purchases, stats.spent
	FROM retention.customer_stats AS stats
	WHERE stats.shop_id = the_shop AND stats.purchases > 0 AND stats.last_purchase_at <= moment
	UNION ALL
	SELECT kept.customer_id,
		(SELECT max(entry.paid_at) FROM retention.entries(kept.history) AS entry WHERE entry.paid_at <= moment),
		retention.bought(kept.history, NULL, moment + interval '1 microsecond'),
		retention.spent_between(kept.history, NULL, moment + interval '1 microsecond')
	FROM retention.customer_stats AS stats
	JOIN retention.purchase_histories AS kept ON kept.shop_id = stats.shop_id AND kept.customer_id = stats.customer_id
	WHERE stats.shop_id = the_shop AND stats.first_purchase_at <= moment AND stats.last_purchase_at > moment;
END
$$;

COMMENT ON FUNCTION retention.customer_totals(timestamptz, text) IS
	'Each customer''s last purchase, number of purchases and amount spent as of a moment; customers without a purchase by then are left out. Orders refunded since are not in it. at is the moment from which to look (NULL: now); shop NULL means the only shop.';

CREATE FUNCTION retention.rfm_scores(
	cuts retention.rfm_cuts DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (customer_id text, last_purchase_at timestamptz, purchases bigint, spent numeric, score retention.rfm_score)
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
	fixed retention.rfm_cuts := cuts;
BEGIN
	IF fixed IS NULL THEN
		fixed := (SELECT s.rfm_cuts FROM retention.shop AS s WHERE s.shop_id = the_shop);
	END IF;
	IF fixed IS NULL THEN
		RETURN QUERY
		SELECT total.customer_id, total.last_purchase_at, total.purchases, total.spent,
			retention.rfm_score(total.last_purchase_at, total.purchases, total.spent) OVER ()
		FROM retention.customer_totals(moment, shop) AS total;
	ELSE
		RETURN QUERY
		SELECT total.customer_id, total.last_purchase_at, total.purchases, total.spent,
			retention.rfm_score(total.last_purchase_at, total.purchases, total.spent, fixed, moment)
		FROM retention.customer_totals(moment, shop) AS total;
	END IF;
END
$$;

COMMENT ON FUNCTION retention.rfm_scores(retention.rfm_cuts, timestamptz, text) IS
	'RFM scores (RFM 得分) of the attached shop''s customers as of a moment: by fixed cut points as rfm_cuts() returns them, those of recency moved from cuts.at to the moment; cuts NULL (or of NULLs only) means the shop''s own (shop.rfm_cuts), and where it has none the fifths of its customers. Where cut points are NULL that score is NULL. at is the moment from which to look (NULL: now); shop NULL means the only shop.';

CREATE FUNCTION retention.rfm_cuts(
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS retention.rfm_cuts
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
BEGIN
	RETURN (
		WITH scored AS MATERIALIZED (
			SELECT total.last_purchase_at, total.purchases, total.spent,
				retention.rfm_score(total.last_purchase_at, total.purchases, total.spent) OVER () AS score
			FROM retention.customer_totals(moment, shop) AS total
		)
		SELECT ROW(
			ARRAY(
				SELECT coalesce(min(scored.last_purchase_at) FILTER (WHERE (scored.score).recency >= s), 'infinity')
				FROM scored RIGHT JOIN generate_series(2, 5) AS s ON true GROUP BY s ORDER BY s
			),
			ARRAY(
				SELECT coalesce(min(scored.purchases) FILTER (WHERE (scored.score).frequency >= s), 9223372036854775807)
				FROM scored RIGHT JOIN generate_series(2, 5) AS s ON true GROUP BY s ORDER BY s
			),
			ARRAY(
				SELECT coalesce(min(scored.spent) FILTER (WHERE (scored.score).monetary >= s), 'infinity')
				FROM scored RIGHT JOIN generate_series(2, 5) AS s ON true GROUP BY s ORDER BY s
			),
			moment
		)::retention.rfm_cuts
	);
END
$$;

COMMENT ON FUNCTION retention.rfm_cuts(timestamptz, text) IS
	'Cut points between the fifths of the attached shop''s customers at a moment, to be frozen (UPDATE retention.shop SET rfm_cuts = ...): rfm_score(last_purchase, purchases, spent, cuts, at) then gives every customer the same scores as rfm_score() OVER () does, and keeps scores comparable later. A score that nobody reaches begins at infinity (for purchases, at the largest bigint). at is the moment from which to look (NULL: now); shop NULL means the only shop.';

CREATE FUNCTION retention.rfm_grid(
	cuts retention.rfm_cuts DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (recency integer, frequency integer, monetary integer, customers bigint, spent numeric)
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
BEGIN
	RETURN QUERY
	SELECT (scored.score).recency, (scored.score).frequency, (scored.score).monetary, count(*), sum(scored.spent)
	FROM retention.rfm_scores(cuts, moment, shop) AS scored
	GROUP BY 1, 2, 3
	ORDER BY 1, 2, 3;
END
$$;

COMMENT ON FUNCTION retention.rfm_grid(retention.rfm_cuts, timestamptz, text) IS
	'Customers and what they spent by RFM scores, which are those of rfm_scores(), cells with customers only. The customers: rfm_grid_customers(). at is the moment from which to look (NULL: now); shop NULL means the only shop.';

CREATE FUNCTION retention.rfm_movement(
	since timestamptz,
	scheme text DEFAULT 'global',
	cuts retention.rfm_cuts DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (from_segment text, to_segment text, customers bigint)
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
BEGIN
	RETURN QUERY
	SELECT moved.from_segment, moved.to_segment, count(*)
	FROM retention.rfm_movement_customers(since, scheme, cuts, moment, shop) AS moved
	GROUP BY 1, 2
	ORDER BY 1, 2;
END
$$;

COMMENT ON FUNCTION retention.rfm_movement(timestamptz, text, retention.rfm_cuts, timestamptz, text) IS
	'Who moved between RFM segments since a date: customers by segment then (NULL: no purchase yet) and segment at the moment; scored as rfm_scores() does at each: by fixed cut points, or by the fifths of each time. The customers: rfm_movement_customers(). at is the moment from which to look (NULL: now); shop NULL means the only shop.';

CREATE FUNCTION retention.rfm_movement_customers(
	since timestamptz,
	scheme text DEFAULT 'global',
	cuts retention.rfm_cuts DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (customer_id text, from_segment text, to_segment text)
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
	earlier timestamptz := retention.check_moment('since', since);
BEGIN
	RETURN QUERY
	SELECT present.customer_id, retention.rfm_segment(past.score, scheme, shop), retention.rfm_segment(present.score, scheme, shop)
	FROM retention.rfm_scores(cuts, moment, shop) AS present
	LEFT JOIN retention.rfm_scores(cuts, since, shop) AS past ON past.customer_id = present.customer_id;
END
$$;

COMMENT ON FUNCTION retention.rfm_movement_customers(timestamptz, text, retention.rfm_cuts, timestamptz, text) IS
	'Each customer''s RFM segment at an earlier date (NULL: no purchase yet) and at the moment, scored as rfm_scores() does; no date to compare with is an error. at is the moment from which to look (NULL: now); shop NULL means the only shop.';

CREATE FUNCTION retention.customer_value_bands(
	bounds numeric[] DEFAULT '{100,500,1000,5000}',
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (from_value numeric, to_value numeric, customers bigint, spent numeric, customer_share numeric, spent_share numeric)
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
BEGIN
	IF EXISTS (SELECT FROM unnest(bounds) AS bound WHERE bound IS NULL OR bound = 'NaN') THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('argument "bounds" must not hold NULL or NaN, but is %s', bounds),
			HINT = 'The first band has no lower bound and the last no upper one by itself.';
	END IF;
	RETURN QUERY
	SELECT band.from_value, band.to_value, count(total.customer_id), coalesce(sum(total.spent), 0),
		count(total.customer_id) / nullif(sum(count(total.customer_id)) OVER (), 0),
		coalesce(sum(total.spent), 0) / nullif(sum(sum(total.spent)) OVER (), 0)
	FROM (
		SELECT lag(cut.bound) OVER (ORDER BY cut.bound NULLS LAST) AS from_value, cut.bound AS to_value
		FROM (SELECT DISTINCT unnest(bounds || NULL::numeric)) AS cut (bound)
	) AS band
	LEFT JOIN retention.customer_totals(moment, shop) AS total
		ON (band.from_value IS NULL OR total.spent >= band.from_value) AND (band.to_value IS NULL OR total.spent < band.to_value)
	GROUP BY band.from_value, band.to_value
	ORDER BY band.from_value NULLS FIRST;
END
$$;

COMMENT ON FUNCTION retention.customer_value_bands(numeric[], timestamptz, text) IS
	'Customers by what they spent (客户价值分层): one row a band, from from_value on and below to_value, NULL being no bound; bounds in any order, one given twice counts once, NULL and NaN among them are errors; shares 0 to 1, NULL when there is nothing to share. The customers: customer_value_band_customers(). at is the moment from which to look (NULL: now); shop NULL means the only shop.';

CREATE FUNCTION retention.tiers_at(
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (customer_id text, tier text, purchases bigint, spent numeric)
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	moment timestamptz := retention.moment_of(at);
	the_name text;
	counts_from timestamptz;
BEGIN
	-- Now it is what the view says; histories are read only for the past.
	IF at IS NULL THEN
		RETURN QUERY
		SELECT base.customer_id, base.tier, base.purchases, base.spent
		FROM retention.customer_base AS base
		WHERE base.shop_id = the_shop;
		RETURN;
	END IF;

	-- The window is counted by the shop's clock, whatever the session's.
	SELECT s.name, timezone(s.time_zone, timezone(s.time_zone, moment) - s.tier_window)
	INTO the_name, counts_from
	FROM retention.shop AS s
	WHERE s.shop_id = the_shop;

	RETURN QUERY
	SELECT customer.customer_id,
		CASE
			WHEN counts_from IS NULL THEN retention.tier_of(coalesce(total.spent, 0), coalesce(total.purchases, 0), the_name)
			ELSE retention.tier_of(coalesce(recent.spent, 0), coalesce(recent.purchases, 0), the_name)
		END,
		coalesce(total.purchases, 0),
		coalesce(total.spent, 0)
	FROM retention.customer
	LEFT JOIN retention.customer_stats AS stats
		ON stats.shop_id = customer.shop_id AND stats.customer_id = customer.customer_id
	LEFT JOIN retention.customer_totals(moment, shop) AS total ON total.customer_id = customer.customer_id
	LEFT JOIN (
		SELECT kept.customer_id,
			retention.bought(kept.history, counts_from, moment + interval '1 microsecond') AS purchases,
			retention.spent_between(kept.history, counts_from, moment + interval '1 microsecond') AS spent
		FROM retention.purchase_histories AS kept
		WHERE kept.shop_id = the_shop AND counts_from IS NOT NULL
	) AS recent ON recent.customer_id = customer.customer_id
	WHERE customer.shop_id = the_shop
		AND coalesce(least(customer.joined_at, stats.first_purchase_at) <= moment, true);
END
$$;

COMMENT ON FUNCTION retention.tiers_at(timestamptz, text) IS
	'Each customer''s tier, purchases and amount spent, for tier_distribution() and tier_distribution_customers(), where it is said what a past moment means';

CREATE FUNCTION retention.tier_distribution(
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (tier text, customers bigint, customer_share numeric, spent numeric)
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT reached.tier, count(*), count(*) / sum(count(*)) OVER (), coalesce(sum(reached.spent), 0)
	FROM retention.tiers_at(at, shop) AS reached
	GROUP BY reached.tier
	ORDER BY 4 DESC, 1;
END
$$;

COMMENT ON FUNCTION retention.tier_distribution(timestamptz, text) IS
	'Customers by the tier they have reached (会员等级分布), with their share of all (0 to 1) and what they spent in all; NULL: below the lowest. at NULL means now, as in the view customers. At a past moment it is as customer_tier() tells it for then: by today''s ladder and shop.tier_window, of what was paid by then and not refunded since; tiers kept by a grace period are not in it (tier_change tells what was changed when). Left out is who came only later: joined_at and first purchase, as far as known, both after it. The customers: tier_distribution_customers(). shop NULL means the only shop.';
