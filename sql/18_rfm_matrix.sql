-- ---------------------------------------------------------------------------
-- rfm_matrix: customers by RFM scores, in one pass
-- ---------------------------------------------------------------------------

CREATE TYPE retention.rfm_totals;

CREATE FUNCTION retention.rfm_totals_in(cstring)
	RETURNS retention.rfm_totals
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.rfm_totals_in(cstring) IS
	'Text input of rfm_totals: its bytes in hexadecimal, checked';

CREATE FUNCTION retention.rfm_totals_out(retention.rfm_totals)
	RETURNS cstring
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.rfm_totals_out(retention.rfm_totals) IS
	'Text output of rfm_totals: its bytes in hexadecimal';

CREATE FUNCTION retention.rfm_totals_recv(internal)
	RETURNS retention.rfm_totals
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.rfm_totals_recv(internal) IS
	'Binary input of rfm_totals: every byte is checked';

CREATE FUNCTION retention.rfm_totals_send(retention.rfm_totals)
	RETURNS bytea
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.rfm_totals_send(retention.rfm_totals) IS
	'Binary output of rfm_totals, the first byte being the format version';

CREATE TYPE retention.rfm_totals (
	INPUT = retention.rfm_totals_in,
	OUTPUT = retention.rfm_totals_out,
	RECEIVE = retention.rfm_totals_recv,
	SEND = retention.rfm_totals_send,
	INTERNALLENGTH = VARIABLE,
	ALIGNMENT = int4,
	STORAGE = extended
);

COMMENT ON TYPE retention.rfm_totals IS
	'State of rfm_matrix(): the last purchase, number of purchases and money spent of each customer seen';

CREATE TYPE retention.rfm_matrix_row AS (
	recency integer,
	frequency integer,
	monetary integer,
	customers bigint,
	spent numeric
);

COMMENT ON TYPE retention.rfm_matrix_row IS 'A cell of rfm_matrix(): the customers with these three scores';
COMMENT ON COLUMN retention.rfm_matrix_row.recency IS 'How lately they bought, 1 to 5: 5 for the latest fifth';
COMMENT ON COLUMN retention.rfm_matrix_row.frequency IS 'How often, 1 to 5: 5 for the fifth with the most purchases';
COMMENT ON COLUMN retention.rfm_matrix_row.monetary IS 'For how much, 1 to 5: 5 for the fifth that spent the most';
COMMENT ON COLUMN retention.rfm_matrix_row.customers IS 'Customers with these scores, 1 or more';
COMMENT ON COLUMN retention.rfm_matrix_row.spent IS 'What they spent, together';

CREATE FUNCTION retention.rfm_totals_merge(state retention.rfm_totals, other retention.rfm_totals)
	RETURNS retention.rfm_totals
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.rfm_totals_merge(retention.rfm_totals, retention.rfm_totals) IS
	'Part of the aggregates rfm_matrix(), rfm_collect() and merge()';

CREATE FUNCTION retention.rfm_matrix_transition(state retention.rfm_totals, history retention.purchase_history)
	RETURNS retention.rfm_totals
	AS 'MODULE_PATHNAME', 'rfm_matrix_history_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.rfm_matrix_transition(retention.rfm_totals, retention.purchase_history) IS
	'Part of the aggregates rfm_matrix() and rfm_collect()';

CREATE FUNCTION retention.rfm_matrix_transition(state retention.rfm_totals, history retention.purchase_history, at timestamptz)
	RETURNS retention.rfm_totals
	AS 'MODULE_PATHNAME', 'rfm_matrix_history_transition'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.rfm_matrix_transition(retention.rfm_totals, retention.purchase_history, timestamptz) IS
	'Part of the aggregates rfm_matrix() and rfm_collect()';

CREATE FUNCTION retention.rfm_matrix_transition(state retention.rfm_totals, last_purchase timestamptz, purchases bigint, spent numeric)
	RETURNS retention.rfm_totals
	AS 'MODULE_PATHNAME', 'rfm_matrix_totals_transition'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.rfm_matrix_transition(retention.rfm_totals, timestamptz, bigint, numeric) IS
	'Part of the aggregates rfm_matrix() and rfm_collect()';

CREATE FUNCTION retention.rfm_matrix(state retention.rfm_totals)
	RETURNS retention.rfm_matrix_row[]
	AS 'MODULE_PATHNAME', 'rfm_matrix_final'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.rfm_matrix(retention.rfm_totals) IS
	'The same of what rfm_collect() collected';

CREATE AGGREGATE retention.rfm_matrix(history retention.purchase_history, at timestamptz) (
	SFUNC = retention.rfm_matrix_transition,
	STYPE = retention.rfm_totals,
	FINALFUNC = retention.rfm_matrix,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.rfm_totals_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.rfm_matrix(retention.purchase_history, timestamptz) IS
	'Customers and what they spent by RFM scores (RFM 得分), one row for each three scores that somebody has: the scores that rfm_score() OVER () gives, 1 + floor(5 * (rank - 1) / n) for last purchase, number of purchases and money spent, without a row a customer. Seen from the moment at (NULL or left out: now): later purchases do not count, and who has no other is left out. Every row is one customer''s whole history (merge the parts first); NULL histories are left out, NULL for an empty group. Use as SELECT (unnest(rfm_matrix(...))).*';

CREATE AGGREGATE retention.rfm_matrix(history retention.purchase_history) (
	SFUNC = retention.rfm_matrix_transition,
	STYPE = retention.rfm_totals,
	FINALFUNC = retention.rfm_matrix,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.rfm_totals_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.rfm_matrix(retention.purchase_history) IS
	'As the form with at, seen from now';

CREATE AGGREGATE retention.rfm_matrix(last_purchase timestamptz, purchases bigint, spent numeric) (
	SFUNC = retention.rfm_matrix_transition,
	STYPE = retention.rfm_totals,
	FINALFUNC = retention.rfm_matrix,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.rfm_totals_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.rfm_matrix(timestamptz, bigint, numeric) IS
	'Customers and what they spent by RFM scores (RFM 得分), one row for each three scores that somebody has, from one row a customer: last purchase, number of purchases, money spent. The scores are those of rfm_score() OVER (). Rows with a NULL are left out, NULL for an empty group; an infinite time or amount is an error';

CREATE AGGREGATE retention.rfm_collect(history retention.purchase_history, at timestamptz) (
	SFUNC = retention.rfm_matrix_transition,
	STYPE = retention.rfm_totals,
	COMBINEFUNC = retention.rfm_totals_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.rfm_collect(retention.purchase_history, timestamptz) IS
	'What rfm_matrix() knows of a group, to be kept and merged with that of other groups: rfm_matrix(merge(state)). NULL histories are left out; NULL for an empty group';

CREATE AGGREGATE retention.rfm_collect(last_purchase timestamptz, purchases bigint, spent numeric) (
	SFUNC = retention.rfm_matrix_transition,
	STYPE = retention.rfm_totals,
	COMBINEFUNC = retention.rfm_totals_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.rfm_collect(timestamptz, bigint, numeric) IS
	'The same from one row a customer: last purchase, number of purchases, money spent, as in rfm_matrix(). NULL for an empty group';

CREATE FUNCTION retention.rfm_cuts_of(state retention.rfm_totals, at timestamptz DEFAULT NULL)
	RETURNS retention.rfm_cuts
	AS 'MODULE_PATHNAME', 'rfm_totals_cuts'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.rfm_cuts_of(retention.rfm_totals, timestamptz) IS
	'Cut points between the fifths of the customers of a query, to be frozen: SELECT rfm_cuts_of(rfm_collect(...), at) FROM ...; rfm_score(last_purchase, purchases, spent, cuts, at) then gives every customer the same scores as rfm_score() OVER () does, and keeps scores comparable later. A score that nobody reaches begins at infinity (for purchases, at the largest bigint). at is the moment at which they are frozen, from which those of recency go on (NULL or left out: now): give the one that the customers are seen from. NULL for an empty group. Of an attached shop: rfm_cuts()';

CREATE AGGREGATE retention.merge(state retention.rfm_totals) (
	SFUNC = retention.rfm_totals_merge,
	STYPE = retention.rfm_totals,
	COMBINEFUNC = retention.rfm_totals_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.merge(retention.rfm_totals) IS
	'All customers of several states as one; NULL states are left out, NULL when none is left. A customer in two states counts twice';

-- ---------------------------------------------------------------------------
-- The same from one row an order
-- ---------------------------------------------------------------------------

CREATE TYPE retention.rfm_orders;

CREATE FUNCTION retention.rfm_orders_in(cstring)
	RETURNS retention.rfm_orders
	AS 'MODULE_PATHNAME'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.rfm_orders_in(cstring) IS
	'Text input of rfm_orders: hexadecimal, checked';

CREATE FUNCTION retention.rfm_orders_out(retention.rfm_orders)
	RETURNS cstring
	AS 'MODULE_PATHNAME'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.rfm_orders_out(retention.rfm_orders) IS
	'Text output of rfm_orders: hexadecimal';

CREATE FUNCTION retention.rfm_orders_recv(internal)
	RETURNS retention.rfm_orders
	AS 'MODULE_PATHNAME'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.rfm_orders_recv(internal) IS
	'Binary input of rfm_orders, checked';

CREATE FUNCTION retention.rfm_orders_send(retention.rfm_orders)
	RETURNS bytea
	AS 'MODULE_PATHNAME'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.rfm_orders_send(retention.rfm_orders) IS
	'Binary output of rfm_orders';

CREATE TYPE retention.rfm_orders (
	INPUT = retention.rfm_orders_in,
	OUTPUT = retention.rfm_orders_out,
	RECEIVE = retention.rfm_orders_recv,
	SEND = retention.rfm_orders_send,
	INTERNALLENGTH = VARIABLE,
	ALIGNMENT = double,
	STORAGE = extended
);

COMMENT ON TYPE retention.rfm_orders IS
	'Customers and what their orders come to: the state of rfm_matrix(customer, paid_at, amount), to be kept and merged';

CREATE FUNCTION retention.rfm_orders_add(state retention.rfm_orders, customer anyelement, paid_at timestamptz, amount numeric)
	RETURNS retention.rfm_orders
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.rfm_orders_add(retention.rfm_orders, anyelement, timestamptz, numeric) IS
	'Part of the aggregates rfm_matrix() and rfm_collect()';

CREATE FUNCTION retention.rfm_orders_merge(state retention.rfm_orders, other retention.rfm_orders)
	RETURNS retention.rfm_orders
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.rfm_orders_merge(retention.rfm_orders, retention.rfm_orders) IS
	'Part of the aggregates rfm_matrix(), rfm_collect() and merge()';

CREATE FUNCTION retention.rfm_matrix(state retention.rfm_orders)
	RETURNS retention.rfm_matrix_row[]
	AS 'MODULE_PATHNAME', 'rfm_orders_final'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.rfm_matrix(retention.rfm_orders) IS
	'The same of what rfm_collect() collected';

CREATE AGGREGATE retention.rfm_matrix(customer anyelement, paid_at timestamptz, amount numeric) (
	SFUNC = retention.rfm_orders_add,
	STYPE = retention.rfm_orders,
	FINALFUNC = retention.rfm_matrix,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.rfm_orders_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.rfm_matrix(anyelement, timestamptz, numeric) IS
	'Customers and what they spent by RFM scores (RFM 得分), one row for each three scores that somebody has, in one pass over orders, one row an order: the customer, when it was paid, for how much. The scores are those of rfm_score() OVER () over each customer''s last order, number of orders and sum. Any customer type with a hash operator class. Orders with a NULL (nobody''s, not paid, no amount) are left out, NULL for an empty group; negative, infinite and NaN amounts are an error. For a past moment add FILTER (WHERE paid_at <= ...)';

CREATE AGGREGATE retention.rfm_collect(customer anyelement, paid_at timestamptz, amount numeric) (
	SFUNC = retention.rfm_orders_add,
	STYPE = retention.rfm_orders,
	COMBINEFUNC = retention.rfm_orders_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.rfm_collect(anyelement, timestamptz, numeric) IS
	'What rfm_matrix(customer, paid_at, amount) knows of a group, to be kept and merged with that of other groups: rfm_matrix(merge(state)). NULL for an empty group';

CREATE AGGREGATE retention.merge(state retention.rfm_orders) (
	SFUNC = retention.rfm_orders_merge,
	STYPE = retention.rfm_orders,
	COMBINEFUNC = retention.rfm_orders_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.merge(retention.rfm_orders) IS
	'The orders of several states together; a customer may be in several of them. NULL states are left out, NULL when none is left; customers of different types are an error';

CREATE FUNCTION retention.rfm_cuts_of(state retention.rfm_orders, at timestamptz DEFAULT NULL)
	RETURNS retention.rfm_cuts
	AS 'MODULE_PATHNAME', 'rfm_orders_cuts'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.rfm_cuts_of(retention.rfm_orders, timestamptz) IS
	'The same of customers from one row an order: rfm_cuts_of(rfm_collect(customer, paid_at, amount), at)';
