-- ---------------------------------------------------------------------------
-- history_counts: what aggregates over purchase histories have counted
-- ---------------------------------------------------------------------------

CREATE TYPE retention.history_counts;

CREATE FUNCTION retention.history_counts_in(cstring)
	RETURNS retention.history_counts
	AS 'MODULE_PATHNAME', 'history_counts_in'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION retention.history_counts_out(retention.history_counts)
	RETURNS cstring
	AS 'MODULE_PATHNAME', 'history_counts_out'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION retention.history_counts_recv(internal)
	RETURNS retention.history_counts
	AS 'MODULE_PATHNAME', 'history_counts_recv'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION retention.history_counts_send(retention.history_counts)
	RETURNS bytea
	AS 'MODULE_PATHNAME', 'history_counts_send'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE TYPE retention.history_counts (
	INPUT = retention.history_counts_in,
	OUTPUT = retention.history_counts_out,
	RECEIVE = retention.history_counts_recv,
	SEND = retention.history_counts_send,
	INTERNALLENGTH = VARIABLE,
	ALIGNMENT = int4,
	STORAGE = extended
);

COMMENT ON TYPE retention.history_counts IS
	'Counters of an aggregate over purchase histories, with the question they answer: to be kept and merged';
COMMENT ON FUNCTION retention.history_counts_in(cstring) IS 'Text input of history_counts: hexadecimal, checked';
COMMENT ON FUNCTION retention.history_counts_out(retention.history_counts) IS 'Text output of history_counts: hexadecimal';
COMMENT ON FUNCTION retention.history_counts_recv(internal) IS 'Binary input of history_counts, checked';
COMMENT ON FUNCTION retention.history_counts_send(retention.history_counts) IS 'Binary output of history_counts; equal counters have equal bytes';

CREATE FUNCTION retention.history_counts_merge(state retention.history_counts, other retention.history_counts)
	RETURNS retention.history_counts
	AS 'MODULE_PATHNAME', 'history_counts_merge'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.history_counts_merge(retention.history_counts, retention.history_counts) IS
	'Part of merge(history_counts), and combine function of the aggregates over histories: the counters of both states together';

CREATE AGGREGATE retention.merge(state retention.history_counts) (
	SFUNC = retention.history_counts_merge,
	STYPE = retention.history_counts,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.merge(retention.history_counts) IS
	'Several groups'' counters as one: add up what was collected in each. NULL states are left out; states of different questions (other arguments, another moment) are an error. A customer''s history must have gone into one of them only';

CREATE TYPE retention.cohort_row AS (
	cohort date,
	periods_since integer,
	customers bigint,
	purchases bigint,
	value numeric,
	rate numeric
);

COMMENT ON TYPE retention.cohort_row IS 'A cell of a cohort matrix';
COMMENT ON COLUMN retention.cohort_row.cohort IS 'First day of the period in which the customers bought for the first time (首次购买周期)';
COMMENT ON COLUMN retention.cohort_row.periods_since IS 'Periods since then: 0 is the cohort''s own';
COMMENT ON COLUMN retention.cohort_row.customers IS 'Of the cohort, customers with a purchase in that period; NULL while it is not over';
COMMENT ON COLUMN retention.cohort_row.purchases IS 'Their purchases in it';
COMMENT ON COLUMN retention.cohort_row.value IS 'What they paid in it';
COMMENT ON COLUMN retention.cohort_row.rate IS 'customers / the cohort''s size: 0 to 1; NULL while either period is not over';

CREATE TYPE retention.new_vs_returning_row AS (
	period date,
	new_customers bigint,
	returning_customers bigint,
	returning_share numeric,
	first_purchases bigint,
	repeat_purchases bigint,
	first_value numeric,
	repeat_value numeric
);

COMMENT ON TYPE retention.new_vs_returning_row IS 'New and returning customers of a period';
COMMENT ON COLUMN retention.new_vs_returning_row.period IS 'First day of the period';
COMMENT ON COLUMN retention.new_vs_returning_row.new_customers IS 'Customers whose first purchase ever lies in the period (新客)';
COMMENT ON COLUMN retention.new_vs_returning_row.returning_customers IS 'Customers with a purchase in the period and one before it (老客)';
COMMENT ON COLUMN retention.new_vs_returning_row.returning_share IS 'returning_customers / both: 0 to 1; NULL without customers';
COMMENT ON COLUMN retention.new_vs_returning_row.first_purchases IS 'First purchases ever';
COMMENT ON COLUMN retention.new_vs_returning_row.repeat_purchases IS 'Purchases by somebody who had bought before, be it in the same period';
COMMENT ON COLUMN retention.new_vs_returning_row.first_value IS 'Paid for first purchases';
COMMENT ON COLUMN retention.new_vs_returning_row.repeat_value IS 'Paid for repeat purchases';

CREATE TYPE retention.next_period_row AS (
	period date,
	customers bigint,
	returned bigint,
	rate numeric
);

COMMENT ON TYPE retention.next_period_row IS 'Who of a period came back in a later one';
COMMENT ON COLUMN retention.next_period_row.period IS 'First day of period m';
COMMENT ON COLUMN retention.next_period_row.customers IS 'Customers with a purchase in m; NULL while m is not over';
COMMENT ON COLUMN retention.next_period_row.returned IS 'Of them, those with a purchase in period m + k too; NULL while that is not over';
COMMENT ON COLUMN retention.next_period_row.rate IS 'returned / customers: 0 to 1; NULL while m + k is not over';

CREATE TYPE retention.repurchase_row AS (
	period date,
	customers bigint,
	repeaters bigint,
	rate numeric
);

COMMENT ON TYPE retention.repurchase_row IS 'Who bought again within a period';
COMMENT ON COLUMN retention.repurchase_row.period IS 'First day of the period';
COMMENT ON COLUMN retention.repurchase_row.customers IS 'Customers with a purchase in the period; NULL while it is not over';
COMMENT ON COLUMN retention.repurchase_row.repeaters IS 'Of them, those with two or more in it';
COMMENT ON COLUMN retention.repurchase_row.rate IS 'repeaters / customers: 0 to 1; NULL while the period is not over';

CREATE TYPE retention.x_order_row AS (
	x bigint,
	customers bigint,
	returned bigint,
	rate numeric
);

COMMENT ON TYPE retention.x_order_row IS 'After the X-th purchase';
COMMENT ON COLUMN retention.x_order_row.x IS 'X';
COMMENT ON COLUMN retention.x_order_row.customers IS 'Customers with an X-th purchase, at least the horizon ago';
COMMENT ON COLUMN retention.x_order_row.returned IS 'Of them, those who made the next one within the horizon';
COMMENT ON COLUMN retention.x_order_row.rate IS 'returned / customers: 0 to 1';

CREATE TYPE retention.retention_row AS (
	days integer,
	customers bigint,
	returned bigint,
	rate numeric
);

COMMENT ON TYPE retention.retention_row IS 'Who came back after so many days';
COMMENT ON COLUMN retention.retention_row.days IS 'N';
COMMENT ON COLUMN retention.retention_row.customers IS 'Customers whose day N is over';
COMMENT ON COLUMN retention.retention_row.returned IS 'Of them, those who came back: on day N (classic), on day N or later (rolling), up to day N (within); NULL without customers';
COMMENT ON COLUMN retention.retention_row.rate IS 'returned / customers: 0 to 1; NULL without customers';

CREATE TYPE retention.purchase_gap_row AS (
	x bigint,
	customers bigint,
	fraction numeric,
	gap interval
);

COMMENT ON TYPE retention.purchase_gap_row IS 'A quantile of the time to the next purchase';
COMMENT ON COLUMN retention.purchase_gap_row.x IS 'From the X-th purchase to the next';
COMMENT ON COLUMN retention.purchase_gap_row.customers IS 'Customers with both';
COMMENT ON COLUMN retention.purchase_gap_row.fraction IS 'The quantile''s fraction: 0.5 is the median';
COMMENT ON COLUMN retention.purchase_gap_row.gap IS 'The least gap that this fraction of the customers do not exceed, in days of 24 hours and less';

CREATE TYPE retention.order_funnel_row AS (
	position integer,
	stage text,
	orders bigint,
	closed bigint,
	waiting bigint,
	rate numeric,
	share numeric
);

COMMENT ON TYPE retention.order_funnel_row IS 'How many orders reached a stage';
COMMENT ON COLUMN retention.order_funnel_row.position IS '1 to 5';
COMMENT ON COLUMN retention.order_funnel_row.stage IS 'placed, paid, shipped, delivered or completed';
COMMENT ON COLUMN retention.order_funnel_row.orders IS 'Orders that reached the stage, or a later one';
COMMENT ON COLUMN retention.order_funnel_row.closed IS 'Orders closed with this as the last stage';
COMMENT ON COLUMN retention.order_funnel_row.waiting IS 'Orders not closed with this as the last stage';
COMMENT ON COLUMN retention.order_funnel_row.rate IS 'orders / those of the stage before: 0 to 1; NULL for the first, and when there are none';
COMMENT ON COLUMN retention.order_funnel_row.share IS 'orders / all orders: 0 to 1';

-- ---------------------------------------------------------------------------
-- cohort_matrix: first period x periods since
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.cohort_transition(state retention.history_counts, history retention.purchase_history, period text, time_zone text, at timestamptz)
	RETURNS retention.history_counts
	AS 'MODULE_PATHNAME', 'cohort_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.cohort_transition(retention.history_counts, retention.purchase_history, text, text, timestamptz) IS
	'Part of the aggregates cohort_matrix() and cohort_collect()';

CREATE FUNCTION retention.cohort_transition(state retention.history_counts, history retention.purchase_history, period text, time_zone text)
	RETURNS retention.history_counts
	AS 'MODULE_PATHNAME', 'cohort_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.cohort_transition(retention.history_counts, retention.purchase_history, text, text) IS
	'Part of the aggregates cohort_matrix() and cohort_collect()';

CREATE FUNCTION retention.cohort_matrix(state retention.history_counts)
	RETURNS retention.cohort_row[]
	AS 'MODULE_PATHNAME', 'cohort_final'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.cohort_matrix(retention.history_counts) IS
	'The same of what cohort_collect() collected; a state of another question is an error';

CREATE AGGREGATE retention.cohort_matrix(history retention.purchase_history, period text, time_zone text, at timestamptz) (
	SFUNC = retention.cohort_transition,
	STYPE = retention.history_counts,
	FINALFUNC = retention.cohort_matrix,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.cohort_matrix(retention.purchase_history, text, text, timestamptz) IS
	'Cohort matrix (同期群): customers by the period of their first purchase, and how many of them bought in each period since, how often and for how much. One row a cohort with customers and a period since, 0 included, up to the one that is not over, whose numbers are NULL. Periods are day, week (from Monday), week from sunday (or another day), month, quarter, year, in the time zone given. Seen from the moment at (NULL or left out: now): later purchases do not count. Every row is one customer''s whole history (merge the parts first); NULL histories are left out, NULL for an empty group. Use as SELECT (unnest(cohort_matrix(...))).*';

CREATE AGGREGATE retention.cohort_matrix(history retention.purchase_history, period text, time_zone text) (
	SFUNC = retention.cohort_transition,
	STYPE = retention.history_counts,
	FINALFUNC = retention.cohort_matrix,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.cohort_matrix(retention.purchase_history, text, text) IS
	'As the form with at, seen from now';

CREATE AGGREGATE retention.cohort_collect(history retention.purchase_history, period text, time_zone text, at timestamptz) (
	SFUNC = retention.cohort_transition,
	STYPE = retention.history_counts,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.cohort_collect(retention.purchase_history, text, text, timestamptz) IS
	'What cohort_matrix() knows of a group, to be kept and merged with that of other groups: cohort_matrix(merge(state)). NULL histories are left out; NULL for an empty group';

-- ---------------------------------------------------------------------------
-- new_vs_returning: new and returning customers by period
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.new_vs_returning_transition(state retention.history_counts, history retention.purchase_history, period text, time_zone text, at timestamptz)
	RETURNS retention.history_counts
	AS 'MODULE_PATHNAME', 'new_vs_returning_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.new_vs_returning_transition(retention.history_counts, retention.purchase_history, text, text, timestamptz) IS
	'Part of the aggregates new_vs_returning() and new_vs_returning_collect()';

CREATE FUNCTION retention.new_vs_returning_transition(state retention.history_counts, history retention.purchase_history, period text, time_zone text)
	RETURNS retention.history_counts
	AS 'MODULE_PATHNAME', 'new_vs_returning_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.new_vs_returning_transition(retention.history_counts, retention.purchase_history, text, text) IS
	'Part of the aggregates new_vs_returning() and new_vs_returning_collect()';

CREATE FUNCTION retention.new_vs_returning(state retention.history_counts)
	RETURNS retention.new_vs_returning_row[]
	AS 'MODULE_PATHNAME', 'new_vs_returning_final'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.new_vs_returning(retention.history_counts) IS
	'The same of what new_vs_returning_collect() collected; a state of another question is an error';

CREATE AGGREGATE retention.new_vs_returning(history retention.purchase_history, period text, time_zone text, at timestamptz) (
	SFUNC = retention.new_vs_returning_transition,
	STYPE = retention.history_counts,
	FINALFUNC = retention.new_vs_returning,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.new_vs_returning(retention.purchase_history, text, text, timestamptz) IS
	'New and returning customers (新老客) by period: customers, purchases and value; a purchase is by a returning customer when it is not the customer''s first ever. One row a period from the first purchase on, empty ones included; numbers are NULL while the period is not over. Periods are day, week (from Monday), week from sunday (or another day), month, quarter, year, in the time zone given. Seen from the moment at (NULL or left out: now): later purchases do not count. Every row is one customer''s whole history (merge the parts first); NULL histories are left out, NULL for an empty group.';

CREATE AGGREGATE retention.new_vs_returning(history retention.purchase_history, period text, time_zone text) (
	SFUNC = retention.new_vs_returning_transition,
	STYPE = retention.history_counts,
	FINALFUNC = retention.new_vs_returning,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.new_vs_returning(retention.purchase_history, text, text) IS
	'As the form with at, seen from now';

CREATE AGGREGATE retention.new_vs_returning_collect(history retention.purchase_history, period text, time_zone text, at timestamptz) (
	SFUNC = retention.new_vs_returning_transition,
	STYPE = retention.history_counts,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.new_vs_returning_collect(retention.purchase_history, text, text, timestamptz) IS
	'What new_vs_returning() knows of a group, to be kept and merged with that of other groups: new_vs_returning(merge(state)). NULL histories are left out; NULL for an empty group';

-- ---------------------------------------------------------------------------
-- next_period_rates: bought in a period, and in a later one
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.next_period_transition(state retention.history_counts, history retention.purchase_history, period text, k integer, time_zone text, at timestamptz)
	RETURNS retention.history_counts
	AS 'MODULE_PATHNAME', 'next_period_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.next_period_transition(retention.history_counts, retention.purchase_history, text, integer, text, timestamptz) IS
	'Part of the aggregates next_period_rates() and next_period_collect()';

CREATE FUNCTION retention.next_period_transition(state retention.history_counts, history retention.purchase_history, period text, k integer, time_zone text)
	RETURNS retention.history_counts
	AS 'MODULE_PATHNAME', 'next_period_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.next_period_transition(retention.history_counts, retention.purchase_history, text, integer, text) IS
	'Part of the aggregates next_period_rates() and next_period_collect()';

CREATE FUNCTION retention.next_period_rates(state retention.history_counts)
	RETURNS retention.next_period_row[]
	AS 'MODULE_PATHNAME', 'next_period_final'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.next_period_rates(retention.history_counts) IS
	'The same of what next_period_collect() collected; a state of another question is an error';

CREATE AGGREGATE retention.next_period_rates(history retention.purchase_history, period text, k integer, time_zone text, at timestamptz) (
	SFUNC = retention.next_period_transition,
	STYPE = retention.history_counts,
	FINALFUNC = retention.next_period_rates,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.next_period_rates(retention.purchase_history, text, integer, text, timestamptz) IS
	'Next-period rate (次月复购率, k = 2 次两月, quarters 次季): of the customers of each period m, the share who bought in period m + k. One row a period with customers; NULL while m + k is not over. k below 1 is an error. Periods are day, week (from Monday), week from sunday (or another day), month, quarter, year, in the time zone given. Seen from the moment at (NULL or left out: now): later purchases do not count. Every row is one customer''s whole history (merge the parts first); NULL histories are left out, NULL for an empty group.';

CREATE AGGREGATE retention.next_period_rates(history retention.purchase_history, period text, k integer, time_zone text) (
	SFUNC = retention.next_period_transition,
	STYPE = retention.history_counts,
	FINALFUNC = retention.next_period_rates,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.next_period_rates(retention.purchase_history, text, integer, text) IS
	'As the form with at, seen from now';

CREATE AGGREGATE retention.next_period_collect(history retention.purchase_history, period text, k integer, time_zone text, at timestamptz) (
	SFUNC = retention.next_period_transition,
	STYPE = retention.history_counts,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.next_period_collect(retention.purchase_history, text, integer, text, timestamptz) IS
	'What next_period_rates() knows of a group, to be kept and merged with that of other groups: next_period_rates(merge(state)). NULL histories are left out; NULL for an empty group';

CREATE FUNCTION retention.next_period_transition(state retention.history_counts, history retention.purchase_history, period text, m date, k integer, time_zone text, at timestamptz)
	RETURNS retention.history_counts
	AS 'MODULE_PATHNAME', 'next_period_one_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.next_period_transition(retention.history_counts, retention.purchase_history, text, date, integer, text, timestamptz) IS
	'Part of the aggregate next_period_rate()';

CREATE FUNCTION retention.next_period_transition(state retention.history_counts, history retention.purchase_history, period text, m date, k integer, time_zone text)
	RETURNS retention.history_counts
	AS 'MODULE_PATHNAME', 'next_period_one_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.next_period_transition(retention.history_counts, retention.purchase_history, text, date, integer, text) IS
	'Part of the aggregate next_period_rate()';

CREATE FUNCTION retention.next_period_rate(state retention.history_counts)
	RETURNS numeric
	AS 'MODULE_PATHNAME', 'next_period_one_final'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.next_period_rate(retention.history_counts) IS
	'Part of the aggregate next_period_rate()';

CREATE FUNCTION retention.next_period_rate(state retention.history_counts, m date)
	RETURNS numeric
	AS 'MODULE_PATHNAME', 'next_period_one_final'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.next_period_rate(retention.history_counts, date) IS
	'The rate of the period m is a day of, of what next_period_collect() collected; NULL while m + k is not over and without customers';

CREATE AGGREGATE retention.next_period_rate(history retention.purchase_history, period text, m date, k integer, time_zone text, at timestamptz) (
	SFUNC = retention.next_period_transition,
	STYPE = retention.history_counts,
	FINALFUNC = retention.next_period_rate,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.next_period_rate(retention.purchase_history, text, date, integer, text, timestamptz) IS
	'Next-period rate of one period, the one that the date m is a day of: customers with a purchase in it and in the k-th period after it / customers with a purchase in it; 0 to 1, NULL while m + k is not over, and without customers. Periods are day, week (from Monday), week from sunday (or another day), month, quarter, year, in the time zone given. Seen from the moment at (NULL or left out: now): later purchases do not count. Every row is one customer''s whole history (merge the parts first); NULL histories are left out, NULL for an empty group.';

CREATE AGGREGATE retention.next_period_rate(history retention.purchase_history, period text, m date, k integer, time_zone text) (
	SFUNC = retention.next_period_transition,
	STYPE = retention.history_counts,
	FINALFUNC = retention.next_period_rate,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.next_period_rate(retention.purchase_history, text, date, integer, text) IS
	'As the form with at, seen from now';

-- ---------------------------------------------------------------------------
-- repurchase_rates: bought twice within a period
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.repurchase_rates_transition(state retention.history_counts, history retention.purchase_history, period text, time_zone text, at timestamptz)
	RETURNS retention.history_counts
	AS 'MODULE_PATHNAME', 'repurchase_rates_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.repurchase_rates_transition(retention.history_counts, retention.purchase_history, text, text, timestamptz) IS
	'Part of the aggregates repurchase_rates() and repurchase_rates_collect()';

CREATE FUNCTION retention.repurchase_rates_transition(state retention.history_counts, history retention.purchase_history, period text, time_zone text)
	RETURNS retention.history_counts
	AS 'MODULE_PATHNAME', 'repurchase_rates_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.repurchase_rates_transition(retention.history_counts, retention.purchase_history, text, text) IS
	'Part of the aggregates repurchase_rates() and repurchase_rates_collect()';

CREATE FUNCTION retention.repurchase_rates(state retention.history_counts)
	RETURNS retention.repurchase_row[]
	AS 'MODULE_PATHNAME', 'repurchase_rates_final'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.repurchase_rates(retention.history_counts) IS
	'The same of what repurchase_rates_collect() collected; a state of another question is an error';

CREATE AGGREGATE retention.repurchase_rates(history retention.purchase_history, period text, time_zone text, at timestamptz) (
	SFUNC = retention.repurchase_rates_transition,
	STYPE = retention.history_counts,
	FINALFUNC = retention.repurchase_rates,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.repurchase_rates(retention.purchase_history, text, text, timestamptz) IS
	'Repurchase rate by period (复购率): customers with two or more purchases in the period / customers with one or more. One row a period with customers; NULL while it is not over. Periods are day, week (from Monday), week from sunday (or another day), month, quarter, year, in the time zone given. Seen from the moment at (NULL or left out: now): later purchases do not count. Every row is one customer''s whole history (merge the parts first); NULL histories are left out, NULL for an empty group.';

CREATE AGGREGATE retention.repurchase_rates(history retention.purchase_history, period text, time_zone text) (
	SFUNC = retention.repurchase_rates_transition,
	STYPE = retention.history_counts,
	FINALFUNC = retention.repurchase_rates,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.repurchase_rates(retention.purchase_history, text, text) IS
	'As the form with at, seen from now';

CREATE AGGREGATE retention.repurchase_rates_collect(history retention.purchase_history, period text, time_zone text, at timestamptz) (
	SFUNC = retention.repurchase_rates_transition,
	STYPE = retention.history_counts,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.repurchase_rates_collect(retention.purchase_history, text, text, timestamptz) IS
	'What repurchase_rates() knows of a group, to be kept and merged with that of other groups: repurchase_rates(merge(state)). NULL histories are left out; NULL for an empty group';

-- ---------------------------------------------------------------------------
-- x_order_rates, magic_number: after how many purchases customers stay
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.x_order_transition(state retention.history_counts, history retention.purchase_history)
	RETURNS retention.history_counts
	AS 'MODULE_PATHNAME', 'x_order_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.x_order_transition(retention.history_counts, retention.purchase_history) IS
	'Part of the aggregates x_order_rates(), magic_number() and x_order_collect()';

CREATE FUNCTION retention.x_order_transition(state retention.history_counts, history retention.purchase_history, horizon interval)
	RETURNS retention.history_counts
	AS 'MODULE_PATHNAME', 'x_order_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.x_order_transition(retention.history_counts, retention.purchase_history, interval) IS
	'Part of the aggregates x_order_rates(), magic_number() and x_order_collect()';

CREATE FUNCTION retention.x_order_transition(state retention.history_counts, history retention.purchase_history, horizon interval, at timestamptz)
	RETURNS retention.history_counts
	AS 'MODULE_PATHNAME', 'x_order_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.x_order_transition(retention.history_counts, retention.purchase_history, interval, timestamptz) IS
	'Part of the aggregates x_order_rates(), magic_number() and x_order_collect()';

CREATE FUNCTION retention.x_order_rates(state retention.history_counts)
	RETURNS retention.x_order_row[]
	AS 'MODULE_PATHNAME', 'x_order_rates_final'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.x_order_rates(retention.history_counts) IS
	'The same of what x_order_collect() collected; a state of another question is an error';

CREATE FUNCTION retention.magic_number(state retention.history_counts)
	RETURNS bigint
	AS 'MODULE_PATHNAME', 'magic_number_final'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.magic_number(retention.history_counts) IS
	'The same of what x_order_collect() collected, with 5 points and 30 customers';

CREATE FUNCTION retention.magic_number(state retention.history_counts, epsilon numeric, least_customers bigint)
	RETURNS bigint
	AS 'MODULE_PATHNAME', 'magic_number_final'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.magic_number(retention.history_counts, numeric, bigint) IS
	'Magic number of what x_order_collect() collected: the smallest X from which the X-order rate rises by less than epsilon at every later step that has at least so many customers; NULL when no step has';

CREATE AGGREGATE retention.x_order_rates(history retention.purchase_history, horizon interval, at timestamptz) (
	SFUNC = retention.x_order_transition,
	STYPE = retention.history_counts,
	FINALFUNC = retention.x_order_rates,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.x_order_rates(retention.purchase_history, interval, timestamptz) IS
	'X-order rates: of the customers with an X-th purchase at least the horizon ago, the share who made the next one within the horizon; one row an X. Without a horizon (NULL or left out): of those with an X-th purchase, the share with a next one. A horizon is in days of 24 hours and less; months and a negative one are an error. Seen from the moment at (NULL or left out: now): later purchases do not count. Every row is one customer''s whole history (merge the parts first); NULL histories are left out, NULL for an empty group.';

CREATE AGGREGATE retention.x_order_rates(history retention.purchase_history, horizon interval) (
	SFUNC = retention.x_order_transition,
	STYPE = retention.history_counts,
	FINALFUNC = retention.x_order_rates,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.x_order_rates(retention.purchase_history, interval) IS
	'As the form with at, seen from now';

CREATE AGGREGATE retention.x_order_rates(history retention.purchase_history) (
	SFUNC = retention.x_order_transition,
	STYPE = retention.history_counts,
	FINALFUNC = retention.x_order_rates,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.x_order_rates(retention.purchase_history) IS
	'As the form with horizon, without one, seen from now';

CREATE AGGREGATE retention.magic_number(history retention.purchase_history, horizon interval, at timestamptz) (
	SFUNC = retention.x_order_transition,
	STYPE = retention.history_counts,
	FINALFUNC = retention.magic_number,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.magic_number(retention.purchase_history, interval, timestamptz) IS
	'Magic number (复购魔法数字): the smallest X from which the X-order rate (see x_order_rates()) rises by less than 0.05 at every later step, X to X + 1, that has at least 30 customers at X + 1; NULL when no step has so many. For other thresholds: magic_number(x_order_collect(...), epsilon, least_customers). Seen from the moment at (NULL or left out: now): later purchases do not count. Every row is one customer''s whole history (merge the parts first); NULL histories are left out, NULL for an empty group.';

CREATE AGGREGATE retention.magic_number(history retention.purchase_history, horizon interval) (
	SFUNC = retention.x_order_transition,
	STYPE = retention.history_counts,
	FINALFUNC = retention.magic_number,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.magic_number(retention.purchase_history, interval) IS
	'As the form with at, seen from now';

CREATE AGGREGATE retention.magic_number(history retention.purchase_history) (
	SFUNC = retention.x_order_transition,
	STYPE = retention.history_counts,
	FINALFUNC = retention.magic_number,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.magic_number(retention.purchase_history) IS
	'As the form with horizon, without one, seen from now';

CREATE AGGREGATE retention.x_order_collect(history retention.purchase_history, horizon interval, at timestamptz) (
	SFUNC = retention.x_order_transition,
	STYPE = retention.history_counts,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.x_order_collect(retention.purchase_history, interval, timestamptz) IS
	'What x_order_rates() and magic_number() know of a group, to be kept and merged with that of other groups. NULL histories are left out; NULL for an empty group';

-- ---------------------------------------------------------------------------
-- retention_rate: who came back after N days
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.retention_transition(state retention.history_counts, history retention.purchase_history, time_zone text, at timestamptz)
	RETURNS retention.history_counts
	AS 'MODULE_PATHNAME', 'retention_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.retention_transition(retention.history_counts, retention.purchase_history, text, timestamptz) IS
	'Part of the aggregates retention_rate() and retention_collect()';

CREATE FUNCTION retention.retention_transition(state retention.history_counts, history retention.purchase_history, mode text, days integer, time_zone text, at timestamptz)
	RETURNS retention.history_counts
	AS 'MODULE_PATHNAME', 'retention_rate_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.retention_transition(retention.history_counts, retention.purchase_history, text, integer, text, timestamptz) IS
	'Part of the aggregates retention_rate() and retention_collect()';

CREATE FUNCTION retention.retention_transition(state retention.history_counts, history retention.purchase_history, mode text, days integer, time_zone text)
	RETURNS retention.history_counts
	AS 'MODULE_PATHNAME', 'retention_rate_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.retention_transition(retention.history_counts, retention.purchase_history, text, integer, text) IS
	'Part of the aggregates retention_rate() and retention_collect()';

CREATE FUNCTION retention.retention_transition(state retention.history_counts, first_event timestamptz, events timestamptz[], time_zone text, at timestamptz)
	RETURNS retention.history_counts
	AS 'MODULE_PATHNAME', 'retention_events_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.retention_transition(retention.history_counts, timestamptz, timestamptz[], text, timestamptz) IS
	'Part of the aggregates retention_rate() and retention_collect()';

CREATE FUNCTION retention.retention_transition(state retention.history_counts, first_event timestamptz, events timestamptz[], mode text, days integer, time_zone text, at timestamptz)
	RETURNS retention.history_counts
	AS 'MODULE_PATHNAME', 'retention_rate_events_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.retention_transition(retention.history_counts, timestamptz, timestamptz[], text, integer, text, timestamptz) IS
	'Part of the aggregates retention_rate() and retention_collect()';

CREATE FUNCTION retention.retention_transition(state retention.history_counts, first_event timestamptz, events timestamptz[], mode text, days integer, time_zone text)
	RETURNS retention.history_counts
	AS 'MODULE_PATHNAME', 'retention_rate_events_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.retention_transition(retention.history_counts, timestamptz, timestamptz[], text, integer, text) IS
	'Part of the aggregates retention_rate() and retention_collect()';

CREATE FUNCTION retention.retention_rate(state retention.history_counts)
	RETURNS numeric
	AS 'MODULE_PATHNAME', 'retention_rate_final'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.retention_rate(retention.history_counts) IS
	'Part of the aggregate retention_rate()';

CREATE FUNCTION retention.retention_rate(state retention.history_counts, mode text, days integer)
	RETURNS numeric
	AS 'MODULE_PATHNAME', 'retention_rate_final'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.retention_rate(retention.history_counts, text, integer) IS
	'Retention of what retention_collect() collected: mode and days as in the aggregate';

CREATE FUNCTION retention.retention_curve(state retention.history_counts, mode text, days integer[])
	RETURNS retention.retention_row[]
	AS 'MODULE_PATHNAME', 'retention_curve_final'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.retention_curve(retention.history_counts, text, integer[]) IS
	'Retention after each of these numbers of days, of what retention_collect() collected; one row a number, in the order given. Modes as in retention_rate()';

CREATE AGGREGATE retention.retention_rate(history retention.purchase_history, mode text, days integer, time_zone text, at timestamptz) (
	SFUNC = retention.retention_transition,
	STYPE = retention.history_counts,
	FINALFUNC = retention.retention_rate,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.retention_rate(retention.purchase_history, text, integer, text, timestamptz) IS
	'Retention (留存率) N days after the first purchase: classic (a later purchase on day N), rolling (on day N or after it) or within (one up to day N, the first day included). Days are those of the time zone, day N being the N-th after that of the first purchase; only customers whose day N is over count, so cohorts of every day weigh by their size. 0 to 1; NULL when nobody was observed that long. Seen from the moment at (NULL or left out: now): later purchases do not count. Every row is one customer''s whole history (merge the parts first); NULL histories are left out, NULL for an empty group.';

CREATE AGGREGATE retention.retention_rate(history retention.purchase_history, mode text, days integer, time_zone text) (
	SFUNC = retention.retention_transition,
	STYPE = retention.history_counts,
	FINALFUNC = retention.retention_rate,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.retention_rate(retention.purchase_history, text, integer, text) IS
	'As the form with at, seen from now';

CREATE AGGREGATE retention.retention_rate(first_event timestamptz, events timestamptz[], mode text, days integer, time_zone text, at timestamptz) (
	SFUNC = retention.retention_transition,
	STYPE = retention.history_counts,
	FINALFUNC = retention.retention_rate,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.retention_rate(timestamptz, timestamptz[], text, integer, text, timestamptz) IS
	'Retention (留存率) N days after a first event, such as a registration: one row a customer, with the times of the events that count as coming back (log-ins, visits). From one row a log-in: retention_rate(customer, signed_up_at, logged_in_at, ...). Times not after the first event are left out, as are NULL and infinite ones. Modes, days and NULL as for histories: classic, rolling, within. Rows without a first event are left out, as are those whose first event lies after the moment; a NULL array is nobody coming back.';

CREATE AGGREGATE retention.retention_rate(first_event timestamptz, events timestamptz[], mode text, days integer, time_zone text) (
	SFUNC = retention.retention_transition,
	STYPE = retention.history_counts,
	FINALFUNC = retention.retention_rate,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.retention_rate(timestamptz, timestamptz[], text, integer, text) IS
	'As the form with at, seen from now';

CREATE FUNCTION retention.retention_curve_transition(state retention.history_counts, history retention.purchase_history, mode text, days integer[], time_zone text, at timestamptz)
	RETURNS retention.history_counts
	AS 'MODULE_PATHNAME', 'retention_curve_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.retention_curve_transition(retention.history_counts, retention.purchase_history, text, integer[], text, timestamptz) IS
	'Part of the aggregate retention_curve()';

CREATE FUNCTION retention.retention_curve_transition(state retention.history_counts, history retention.purchase_history, mode text, days integer[], time_zone text)
	RETURNS retention.history_counts
	AS 'MODULE_PATHNAME', 'retention_curve_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.retention_curve_transition(retention.history_counts, retention.purchase_history, text, integer[], text) IS
	'Part of the aggregate retention_curve()';

CREATE FUNCTION retention.retention_curve(state retention.history_counts)
	RETURNS retention.retention_row[]
	AS 'MODULE_PATHNAME', 'retention_curve_own_final'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.retention_curve(retention.history_counts) IS
	'Part of the aggregate retention_curve()';

CREATE AGGREGATE retention.retention_curve(history retention.purchase_history, mode text, days integer[], time_zone text, at timestamptz) (
	SFUNC = retention.retention_curve_transition,
	STYPE = retention.history_counts,
	FINALFUNC = retention.retention_curve,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.retention_curve(retention.purchase_history, text, integer[], text, timestamptz) IS
	'Retention (留存率) after each of these numbers of days, one row a number: as retention_rate(), in one pass. Every row is one customer''s whole history; NULL histories are left out, NULL for an empty group';

CREATE AGGREGATE retention.retention_curve(history retention.purchase_history, mode text, days integer[], time_zone text) (
	SFUNC = retention.retention_curve_transition,
	STYPE = retention.history_counts,
	FINALFUNC = retention.retention_curve,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.retention_curve(retention.purchase_history, text, integer[], text) IS
	'As the form with at, seen from now';

CREATE AGGREGATE retention.retention_collect(history retention.purchase_history, time_zone text, at timestamptz) (
	SFUNC = retention.retention_transition,
	STYPE = retention.history_counts,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.retention_collect(retention.purchase_history, text, timestamptz) IS
	'What retention_rate() and retention_curve() know of a group, in every mode and for every number of days. NULL histories are left out; NULL for an empty group';

CREATE AGGREGATE retention.retention_collect(first_event timestamptz, events timestamptz[], time_zone text, at timestamptz) (
	SFUNC = retention.retention_transition,
	STYPE = retention.history_counts,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.retention_collect(timestamptz, timestamptz[], text, timestamptz) IS
	'The same of events: one row a customer, as in retention_rate(first_event, events, ...)';

-- ---------------------------------------------------------------------------
-- purchase_gaps: the time between purchases
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.purchase_gaps_transition(state retention.history_counts, history retention.purchase_history, x integer, fractions numeric[], at timestamptz)
	RETURNS retention.history_counts
	AS 'MODULE_PATHNAME', 'purchase_gaps_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.purchase_gaps_transition(retention.history_counts, retention.purchase_history, integer, numeric[], timestamptz) IS
	'Part of the aggregates purchase_gaps() and purchase_gaps_collect()';

CREATE FUNCTION retention.purchase_gaps_transition(state retention.history_counts, history retention.purchase_history, x integer, fractions numeric[])
	RETURNS retention.history_counts
	AS 'MODULE_PATHNAME', 'purchase_gaps_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.purchase_gaps_transition(retention.history_counts, retention.purchase_history, integer, numeric[]) IS
	'Part of the aggregates purchase_gaps() and purchase_gaps_collect()';

CREATE FUNCTION retention.purchase_gaps(state retention.history_counts)
	RETURNS retention.purchase_gap_row[]
	AS 'MODULE_PATHNAME', 'purchase_gaps_final'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.purchase_gaps(retention.history_counts) IS
	'The same of what purchase_gaps_collect() collected; a state of another question is an error';

CREATE AGGREGATE retention.purchase_gaps(history retention.purchase_history, x integer, fractions numeric[], at timestamptz) (
	SFUNC = retention.purchase_gaps_transition,
	STYPE = retention.history_counts,
	FINALFUNC = retention.purchase_gaps,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.purchase_gaps(retention.purchase_history, integer, numeric[], timestamptz) IS
	'Quantiles of the time from the X-th purchase to the next: x = NULL for every X; fractions between 0 and 1, 0.5 being the median; one row an X and fraction. As percentile_disc(): the least gap that this fraction of the customers with both purchases do not exceed. Purchases at one instant have a gap of 0. Seen from the moment at (NULL or left out: now): later purchases do not count. Every row is one customer''s whole history (merge the parts first); NULL histories are left out, NULL for an empty group.';

CREATE AGGREGATE retention.purchase_gaps(history retention.purchase_history, x integer, fractions numeric[]) (
	SFUNC = retention.purchase_gaps_transition,
	STYPE = retention.history_counts,
	FINALFUNC = retention.purchase_gaps,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.purchase_gaps(retention.purchase_history, integer, numeric[]) IS
	'As the form with at, seen from now';

CREATE AGGREGATE retention.purchase_gaps_collect(history retention.purchase_history, x integer, fractions numeric[], at timestamptz) (
	SFUNC = retention.purchase_gaps_transition,
	STYPE = retention.history_counts,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.purchase_gaps_collect(retention.purchase_history, integer, numeric[], timestamptz) IS
	'What purchase_gaps() knows of a group, to be kept and merged with that of other groups: purchase_gaps(merge(state)). NULL histories are left out; NULL for an empty group';

-- ---------------------------------------------------------------------------
-- pareto_share: what the best customers bring
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.pareto_transition(state retention.history_counts, history retention.purchase_history, best numeric, at timestamptz)
	RETURNS retention.history_counts
	AS 'MODULE_PATHNAME', 'pareto_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.pareto_transition(retention.history_counts, retention.purchase_history, numeric, timestamptz) IS
	'Part of the aggregates pareto_share() and pareto_collect()';

CREATE FUNCTION retention.pareto_transition(state retention.history_counts, history retention.purchase_history, best numeric)
	RETURNS retention.history_counts
	AS 'MODULE_PATHNAME', 'pareto_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.pareto_transition(retention.history_counts, retention.purchase_history, numeric) IS
	'Part of the aggregates pareto_share() and pareto_collect()';

CREATE FUNCTION retention.pareto_share(state retention.history_counts)
	RETURNS numeric
	AS 'MODULE_PATHNAME', 'pareto_final'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.pareto_share(retention.history_counts) IS
	'The same of what pareto_collect() collected; a state of another question is an error';

CREATE AGGREGATE retention.pareto_share(history retention.purchase_history, best numeric, at timestamptz) (
	SFUNC = retention.pareto_transition,
	STYPE = retention.history_counts,
	FINALFUNC = retention.pareto_share,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.pareto_share(retention.purchase_history, numeric, timestamptz) IS
	'Share of sales by the best customers (二八分析): what the ceil(best * n) customers who spent the most spent / what all n did; best is between 0 and 1, 0.2 for the best 20 per cent. 0 to 1; NULL when nothing was spent. Seen from the moment at (NULL or left out: now): later purchases do not count. Every row is one customer''s whole history (merge the parts first); NULL histories are left out, NULL for an empty group.';

CREATE AGGREGATE retention.pareto_share(history retention.purchase_history, best numeric) (
	SFUNC = retention.pareto_transition,
	STYPE = retention.history_counts,
	FINALFUNC = retention.pareto_share,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.pareto_share(retention.purchase_history, numeric) IS
	'As the form with at, seen from now';

CREATE AGGREGATE retention.pareto_collect(history retention.purchase_history, best numeric, at timestamptz) (
	SFUNC = retention.pareto_transition,
	STYPE = retention.history_counts,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.pareto_collect(retention.purchase_history, numeric, timestamptz) IS
	'What pareto_share() knows of a group, to be kept and merged with that of other groups: pareto_share(merge(state)). NULL histories are left out; NULL for an empty group';

CREATE FUNCTION retention.pareto_transition(state retention.history_counts, history retention.purchase_history)
	RETURNS retention.history_counts
	AS 'MODULE_PATHNAME', 'pareto_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.pareto_transition(retention.history_counts, retention.purchase_history) IS
	'Part of the aggregate pareto_share()';

CREATE AGGREGATE retention.pareto_share(history retention.purchase_history) (
	SFUNC = retention.pareto_transition,
	STYPE = retention.history_counts,
	FINALFUNC = retention.pareto_share,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.pareto_share(retention.purchase_history) IS
	'Share of sales by the best 20 per cent of the customers, seen from now';

-- ---------------------------------------------------------------------------
-- order_funnel: how far orders get
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.order_funnel_transition(state retention.history_counts, placed_at timestamptz, paid_at timestamptz, shipped_at timestamptz, delivered_at timestamptz, completed_at timestamptz, closed_at timestamptz)
	RETURNS retention.history_counts
	AS 'MODULE_PATHNAME', 'order_funnel_transition'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.order_funnel_transition(retention.history_counts, timestamptz, timestamptz, timestamptz, timestamptz, timestamptz, timestamptz) IS
	'Part of the aggregates order_funnel() and order_funnel_collect()';

CREATE FUNCTION retention.order_funnel(state retention.history_counts)
	RETURNS retention.order_funnel_row[]
	AS 'MODULE_PATHNAME', 'order_funnel_final'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.order_funnel(retention.history_counts) IS
	'The same of what order_funnel_collect() collected; a state of another question is an error';

CREATE AGGREGATE retention.order_funnel(placed_at timestamptz, paid_at timestamptz, shipped_at timestamptz, delivered_at timestamptz, completed_at timestamptz, closed_at timestamptz) (
	SFUNC = retention.order_funnel_transition,
	STYPE = retention.history_counts,
	FINALFUNC = retention.order_funnel,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.order_funnel(timestamptz, timestamptz, timestamptz, timestamptz, timestamptz, timestamptz) IS
	'Funnel of order states (订单漏斗): one row a stage (placed, paid, shipped, delivered, completed) with the orders that reached it. An order has reached a stage when that or a later one has a time, so stages the shop does not record may be NULL throughout; an infinite time is none. One row is one order; rows without placed_at are left out; NULL for an empty group';

CREATE AGGREGATE retention.order_funnel_collect(placed_at timestamptz, paid_at timestamptz, shipped_at timestamptz, delivered_at timestamptz, completed_at timestamptz, closed_at timestamptz) (
	SFUNC = retention.order_funnel_transition,
	STYPE = retention.history_counts,
	COMBINEFUNC = retention.history_counts_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.order_funnel_collect(timestamptz, timestamptz, timestamptz, timestamptz, timestamptz, timestamptz) IS
	'What order_funnel() knows of a group, to be kept and merged with that of other groups. Rows without placed_at are left out; NULL for an empty group';
