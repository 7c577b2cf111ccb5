-- ---------------------------------------------------------------------------
-- repurchase_rate: the share of customers who bought again
-- ---------------------------------------------------------------------------

CREATE TYPE retention.repurchase_state;

CREATE FUNCTION retention.repurchase_state_in(cstring)
	RETURNS retention.repurchase_state
	AS 'MODULE_PATHNAME', 'repurchase_state_in'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE FUNCTION retention.repurchase_state_out(retention.repurchase_state)
	RETURNS cstring
	AS 'MODULE_PATHNAME', 'repurchase_state_out'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE FUNCTION retention.repurchase_state_recv(internal)
	RETURNS retention.repurchase_state
	AS 'MODULE_PATHNAME', 'repurchase_state_recv'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE FUNCTION retention.repurchase_state_send(retention.repurchase_state)
	RETURNS bytea
	AS 'MODULE_PATHNAME', 'repurchase_state_send'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE TYPE retention.repurchase_state (
	INPUT = retention.repurchase_state_in,
	OUTPUT = retention.repurchase_state_out,
	RECEIVE = retention.repurchase_state_recv,
	SEND = retention.repurchase_state_send,
	INTERNALLENGTH = VARIABLE,
	ALIGNMENT = double,
	STORAGE = extended
);

COMMENT ON TYPE retention.repurchase_state IS
	'A set of customers, each marked as seen once or more often: the state of repurchase_rate(), to be kept and merged';
COMMENT ON FUNCTION retention.repurchase_state_in(cstring) IS 'Text input of repurchase_state: hexadecimal, checked';
COMMENT ON FUNCTION retention.repurchase_state_out(retention.repurchase_state) IS 'Text output of repurchase_state: hexadecimal';
COMMENT ON FUNCTION retention.repurchase_state_recv(internal) IS 'Binary input of repurchase_state, checked';
COMMENT ON FUNCTION retention.repurchase_state_send(retention.repurchase_state) IS 'Binary output of repurchase_state';

CREATE FUNCTION retention.repurchase_add(state retention.repurchase_state, customer anyelement)
	RETURNS retention.repurchase_state
	AS 'MODULE_PATHNAME', 'repurchase_add'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.repurchase_add(retention.repurchase_state, anyelement) IS
	'Transition function of repurchase_rate(): one more purchase by a customer';

CREATE FUNCTION retention.repurchase_merge(state retention.repurchase_state, other retention.repurchase_state)
	RETURNS retention.repurchase_state
	AS 'MODULE_PATHNAME', 'repurchase_merge'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.repurchase_merge(retention.repurchase_state, retention.repurchase_state) IS
	'Combine function of repurchase_rate(): the purchases of both states together';

CREATE FUNCTION retention.repurchase_rate(state retention.repurchase_state)
	RETURNS numeric
	AS 'MODULE_PATHNAME', 'repurchase_final'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.repurchase_rate(retention.repurchase_state) IS
	'Repurchase rate of the customers of a state: a number between 0 and 1; NULL when there are none';

CREATE AGGREGATE retention.repurchase_rate(customer anyelement) (
	SFUNC = retention.repurchase_add,
	STYPE = retention.repurchase_state,
	FINALFUNC = retention.repurchase_rate,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.repurchase_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.repurchase_rate(anyelement) IS
	'Repurchase rate: customers with two or more rows in the group / customers with one or more; a number between 0 and 1. One row is one purchase; rows whose customer is NULL do not count; NULL for an empty group. Any type with a hash operator class; others are an error';

CREATE AGGREGATE retention.repurchase_collect(customer anyelement) (
	SFUNC = retention.repurchase_add,
	STYPE = retention.repurchase_state,
	COMBINEFUNC = retention.repurchase_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.repurchase_collect(anyelement) IS
	'What repurchase_rate() knows of a group, to be kept or merged with that of other groups; rows whose customer is NULL do not count; NULL for an empty group';

CREATE AGGREGATE retention.merge(state retention.repurchase_state) (
	SFUNC = retention.repurchase_merge,
	STYPE = retention.repurchase_state,
	COMBINEFUNC = retention.repurchase_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.merge(retention.repurchase_state) IS
	'Several groups'' states as one: a customer with one row in each of two groups bought twice. NULL states are left out; states of customers of different types are an error';
