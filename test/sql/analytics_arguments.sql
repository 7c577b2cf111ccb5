-- What a figure refuses the customers behind it refuse in the same words, with
-- purchases or without any; nothing is refused by a bare error.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
SET IntervalStyle = 'postgres';
SET retention.clock = '2024-04-10 00:00+08';
CREATE SCHEMA arguments_test;
SET search_path = arguments_test, pg_catalog;
SELECT retention.create_shop('Tea House', 'Asia/Shanghai');
CREATE TABLE orders (id integer PRIMARY KEY, customer text, total numeric, paid_at timestamptz);
SELECT retention.attach_orders('orders', order_id => 'id', customer => 'customer', total => 'total', paid_at => 'paid_at');

CREATE FUNCTION answer(call text) RETURNS text
	LANGUAGE plpgsql
	AS $$
DECLARE
	message text;
	hint text;
	rows bigint;
BEGIN
	EXECUTE format('SELECT count(*) FROM retention.%s AS r', call) INTO rows;
	RETURN rows || ' rows';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' / ', message, nullif(hint, ''));
END
$$;
CREATE TABLE calls (position serial, call text);
INSERT INTO calls (call) VALUES
	-- a period that is none, and a day
	('cohorts(''moon'')'), ('cohort_customers(''2024-01-01'', 1, ''moon'')'), ('cohorts(NULL)'), ('cohort_customers(''2024-01-01'', 1, NULL)'),
	('period_customers(''2024-01-01'', NULL)'), ('next_period(NULL)'), ('next_period_customers(''2024-01-01'', NULL)'), ('sales_by_region(period => ''moon'')'),
	('cohort_customers(NULL, 1)'), ('cohort_customers(''infinity'', 1)'), ('cohort_customers(''2024-01-01'', NULL)'), ('cohort_customers(''2024-01-01'', -1)'),
	('cohort_customers(''2024-01-01'', 2147483647)'), ('cohort_customers(''2024-01-01'', 100000, ''year'')'),
	('period_customers(NULL)'), ('period_customers(''-infinity'')'), ('period_customers(''5874897-12-31'')'),
	('sales_by_channel_customers(NULL, ''web'')'), ('sales_by_region_customers(NULL, ''x'')'), ('visit_conversion_customers(NULL)'), ('visit_conversion_customers(''infinity'')'),
	-- how many periods later
	('next_period(''month'', 0)'), ('next_period_customers(''2024-01-01'', ''month'', 0)'), ('next_period(''month'', -1)'), ('next_period_customers(''2024-01-01'', ''month'', -1)'),
	('next_period(''month'', NULL)'), ('next_period_customers(''2024-01-01'', ''month'', NULL)'), ('next_period_customers(NULL)'),
	('next_period(''month'', 2147483647)'), ('next_period_customers(''2024-01-01'', ''month'', 2147483647)'),
	-- horizons, and X
	('x_order(''1 month'')'), ('x_order_customers(1, ''1 month'')'), ('x_order(''-1 day'')'), ('x_order_customers(1, ''-1 day'')'), ('magic_number(horizon => ''2 years'')'),
	('x_order(''1 day -25 hours'')'), ('x_order_customers(1, ''1 day -25 hours'')'), ('x_order(''1000 years'')'), ('x_order(''365251 days'')'), ('x_order_customers(1, ''365251 days'')'),
	('x_order_customers(0)'), ('x_order_customers(-1)'), ('x_order_customers(NULL)'), ('x_order_customers(9223372036854775807)'),
	('gap_to_next(x => -3)'), ('gap_to_next_customers(-3)'), ('gap_to_next_customers(0)'), ('gap_to_next_customers(NULL)'),
	-- days and kinds of retention
	('retention_curve(''ever'')'), ('retention_curve_customers(7, ''ever'')'), ('retention_curve(NULL)'), ('retention_curve_customers(7, NULL)'),
	('retention_curve(''WITHIN'')'), ('retention_curve_customers(7, ''WITHIN'')'),
	('retention_curve(days => ''{-1}'')'), ('retention_curve_customers(-1)'), ('retention_curve(days => ''{NULL}'')'), ('retention_curve_customers(NULL)'),
	('retention_curve(''classic'', ''{2147483647}'')'), ('retention_curve_customers(2147483647)'), ('retention_curve_customers(2147483646, ''rolling'')'), ('retention_curve_customers(2147483647, ''within'')'),
	-- fractions and bounds
	('pareto(1.5)'), ('pareto_customers(1.5)'), ('pareto(NULL)'), ('pareto_customers(NULL)'), ('pareto(''NaN'')'), ('pareto_customers(''NaN'')'),
	('customer_value_bands(''{100,NULL,500}'')'), ('customer_value_bands(''{NaN}'')'), ('customer_value_bands(''{100,100,100}'')'), ('customer_value_bands(''{}'')'), ('customer_value_bands(NULL)'),
	('customer_value_band_customers(''NaN'', NULL)'), ('customer_value_band_customers(NULL, ''NaN'')'),
	-- since when
	('rfm_movement(NULL)'), ('rfm_movement_customers(NULL)'), ('rfm_movement(''infinity'')'), ('rfm_movement_customers(''-infinity'')'),
	('order_funnel_customers(''lost'')'), ('order_funnel_customers(NULL)'), ('order_funnel_customers(''DELIVERED'')');
-- Every figure, and everybody behind it, wants a moment that a calendar knows.
INSERT INTO calls (call)
SELECT replace(call, 'AT', format('at => %L', moment))
FROM unnest('{cohorts(AT),"cohort_customers(''2024-01-01'', 0, AT)",repurchase(AT),new_vs_returning(AT),"period_customers(''2024-01-01'', AT)",next_period(AT),"next_period_customers(''2024-01-01'', AT)",x_order(AT),"x_order_customers(1, AT)",magic_number(AT),retention_curve(AT),"retention_curve_customers(1, AT)",gap_to_next(AT),"gap_to_next_customers(1, AT)",pareto(AT),pareto_customers(AT),sales_by_channel(AT),"sales_by_channel_customers(''2024-01-01'', NULL, AT)",sales_by_region(AT),"sales_by_region_customers(''2024-01-01'', NULL, AT)",sales_monthly(AT),order_funnel(AT),"order_funnel_customers(''placed'', AT)",customer_totals(AT),rfm_scores(AT),rfm_cuts(AT),rfm_grid(AT),"rfm_grid_customers(5, 5, 5, AT)","rfm_movement(''2024-01-01'', AT)","rfm_movement_customers(''2024-01-01'', AT)",customer_value_bands(AT),"customer_value_band_customers(0, 100, AT)",tier_distribution(AT),"tier_distribution_customers(''member'', AT)",product_repurchase(AT),"product_repurchase_customers(''tea'', AT)",product_pairs(AT),"product_pair_customers(''tea'', ''cup'', AT)",event_retention(AT),"event_retention_customers(1, AT)",visit_conversion(AT),"visit_conversion_customers(''2024-01-01'', AT)"}'::text[]) WITH ORDINALITY AS c (call, place)
	CROSS JOIN unnest('{infinity,-infinity}'::text[]) AS moment
ORDER BY place, moment;

CREATE TABLE empty AS SELECT position, call, answer(call) FROM calls;
INSERT INTO orders SELECT i, 'c' || i % 4, 10 * i, timestamptz '2024-01-01 09:00+08' + i * interval '9 days' FROM generate_series(1, 9) AS i;
CREATE TABLE filled AS SELECT position, call, answer(call) FROM calls;
SELECT call, answer FROM filled WHERE call NOT LIKE '%infinity%' ORDER BY position;
SELECT answer, count(*) AS calls FROM filled WHERE call LIKE '%infinity%' GROUP BY answer ORDER BY answer COLLATE "C";
-- Without a purchase the same is refused.
SELECT e.call, e.answer, f.answer FROM empty AS e JOIN filled AS f USING (position) WHERE (e.answer LIKE '% rows') <> (f.answer LIKE '% rows') OR (e.answer <> f.answer AND e.answer NOT LIKE '% rows');

-- Bands in any order, a bound given twice counting once: everybody in one.
SELECT from_value, to_value, customers, spent, customer_share FROM retention.customer_value_bands('{200,100,200}');
SELECT * FROM retention.customer_value_bands('{}');

-- Two of the names are taken twice: the argument is named.
SELECT retention.magic_number(horizon => '60 days') IS NULL AS too_few;
SELECT stage, orders, waiting FROM retention.order_funnel(from_time => '2024-02-01');

DROP EXTENSION retention CASCADE;
DROP SCHEMA arguments_test CASCADE;
CREATE EXTENSION retention;
RESET retention.clock;
RESET search_path;
