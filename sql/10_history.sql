-- ---------------------------------------------------------------------------
-- purchase_history: a customer's purchases as one compact value
-- ---------------------------------------------------------------------------

CREATE TYPE retention.purchase_history;

CREATE FUNCTION retention.purchase_history_in(cstring)
	RETURNS retention.purchase_history
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.purchase_history_in(cstring) IS
	'Text input of purchase_history: {time=amount, ...}, times in ISO form, in UTC unless they carry an offset; no setting changes the meaning';

CREATE FUNCTION retention.purchase_history_out(retention.purchase_history)
	RETURNS cstring
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.purchase_history_out(retention.purchase_history) IS
	'Text output of purchase_history: {time=amount, ...} in order of time, in UTC whatever the session''s time zone';

CREATE FUNCTION retention.purchase_history_recv(internal)
	RETURNS retention.purchase_history
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.purchase_history_recv(internal) IS
	'Binary input of purchase_history: every byte is checked, anything but the one encoding of a history is an error';

CREATE FUNCTION retention.purchase_history_send(retention.purchase_history)
	RETURNS bytea
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.purchase_history_send(retention.purchase_history) IS
	'Binary output of purchase_history: its bytes as they are stored, the first being the format version';

CREATE TYPE retention.purchase_history (
	INPUT = retention.purchase_history_in,
	OUTPUT = retention.purchase_history_out,
	RECEIVE = retention.purchase_history_recv,
	SEND = retention.purchase_history_send,
	INTERNALLENGTH = VARIABLE,
	ALIGNMENT = int4,
	STORAGE = extended
);

COMMENT ON TYPE retention.purchase_history IS
	'A customer''s purchases (time, amount >= 0), sorted and packed in a few bytes each without loss; equal purchases are kept apart';

CREATE FUNCTION retention.purchase_history(bytes bytea)
	RETURNS retention.purchase_history
	AS 'MODULE_PATHNAME', 'purchase_history_from_bytea'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.purchase_history(bytea) IS
	'The history whose bytes these are, as purchase_history_send() gives them; anything else is an error, NULL gives NULL';

CREATE CAST (bytea AS retention.purchase_history)
	WITH FUNCTION retention.purchase_history(bytea);

COMMENT ON CAST (bytea AS retention.purchase_history) IS
	'The history whose bytes these are';

CREATE CAST (retention.purchase_history AS bytea)
	WITH FUNCTION retention.purchase_history_send(retention.purchase_history);

COMMENT ON CAST (retention.purchase_history AS bytea) IS
	'The bytes of a history';

-- ---------------------------------------------------------------------------
-- Comparison, so that DISTINCT, EXCEPT, GROUP BY and row comparison work
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.purchase_history_eq(retention.purchase_history, retention.purchase_history)
	RETURNS boolean
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;

COMMENT ON FUNCTION retention.purchase_history_eq(retention.purchase_history, retention.purchase_history) IS
	'Whether two histories hold the same purchases';

CREATE FUNCTION retention.purchase_history_ne(retention.purchase_history, retention.purchase_history)
	RETURNS boolean
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;

COMMENT ON FUNCTION retention.purchase_history_ne(retention.purchase_history, retention.purchase_history) IS
	'Whether two histories differ in any purchase';

CREATE FUNCTION retention.purchase_history_lt(retention.purchase_history, retention.purchase_history)
	RETURNS boolean
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;

COMMENT ON FUNCTION retention.purchase_history_lt(retention.purchase_history, retention.purchase_history) IS
	'Order of the histories'' bytes: good for sorting and indexes, without a meaning';

CREATE FUNCTION retention.purchase_history_le(retention.purchase_history, retention.purchase_history)
	RETURNS boolean
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;

COMMENT ON FUNCTION retention.purchase_history_le(retention.purchase_history, retention.purchase_history) IS
	'Order of the histories'' bytes: good for sorting and indexes, without a meaning';

CREATE FUNCTION retention.purchase_history_gt(retention.purchase_history, retention.purchase_history)
	RETURNS boolean
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;

COMMENT ON FUNCTION retention.purchase_history_gt(retention.purchase_history, retention.purchase_history) IS
	'Order of the histories'' bytes: good for sorting and indexes, without a meaning';

CREATE FUNCTION retention.purchase_history_ge(retention.purchase_history, retention.purchase_history)
	RETURNS boolean
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;

COMMENT ON FUNCTION retention.purchase_history_ge(retention.purchase_history, retention.purchase_history) IS
	'Order of the histories'' bytes: good for sorting and indexes, without a meaning';

CREATE FUNCTION retention.purchase_history_cmp(retention.purchase_history, retention.purchase_history)
	RETURNS integer
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;

COMMENT ON FUNCTION retention.purchase_history_cmp(retention.purchase_history, retention.purchase_history) IS
	'Order of the histories'' bytes: negative, 0 or positive';

CREATE FUNCTION retention.purchase_history_hash(retention.purchase_history)
	RETURNS integer
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;

COMMENT ON FUNCTION retention.purchase_history_hash(retention.purchase_history) IS
	'Hash of a history';

CREATE FUNCTION retention.purchase_history_hash_extended(retention.purchase_history, bigint)
	RETURNS bigint
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;

COMMENT ON FUNCTION retention.purchase_history_hash_extended(retention.purchase_history, bigint) IS
	'Hash of a history with a seed';

CREATE OPERATOR retention.= (
	FUNCTION = retention.purchase_history_eq,
	LEFTARG = retention.purchase_history,
	RIGHTARG = retention.purchase_history,
	COMMUTATOR = OPERATOR(retention.=),
	NEGATOR = OPERATOR(retention.<>),
	RESTRICT = eqsel,
	JOIN = eqjoinsel,
	HASHES,
	MERGES
);

COMMENT ON OPERATOR retention.= (retention.purchase_history, retention.purchase_history) IS
	'the same purchases';

CREATE OPERATOR retention.<> (
	FUNCTION = retention.purchase_history_ne,
	LEFTARG = retention.purchase_history,
	RIGHTARG = retention.purchase_history,
	COMMUTATOR = OPERATOR(retention.<>),
	NEGATOR = OPERATOR(retention.=),
	RESTRICT = neqsel,
	JOIN = neqjoinsel
);

COMMENT ON OPERATOR retention.<> (retention.purchase_history, retention.purchase_history) IS
	'not the same purchases';

CREATE OPERATOR retention.< (
	FUNCTION = retention.purchase_history_lt,
	LEFTARG = retention.purchase_history,
	RIGHTARG = retention.purchase_history,
	COMMUTATOR = OPERATOR(retention.>),
	NEGATOR = OPERATOR(retention.>=),
	RESTRICT = scalarltsel,
	JOIN = scalarltjoinsel
);

COMMENT ON OPERATOR retention.< (retention.purchase_history, retention.purchase_history) IS
	'before, in the order of the bytes';

CREATE OPERATOR retention.<= (
	FUNCTION = retention.purchase_history_le,
	LEFTARG = retention.purchase_history,
	RIGHTARG = retention.purchase_history,
	COMMUTATOR = OPERATOR(retention.>=),
	NEGATOR = OPERATOR(retention.>),
	RESTRICT = scalarlesel,
	JOIN = scalarlejoinsel
);

COMMENT ON OPERATOR retention.<= (retention.purchase_history, retention.purchase_history) IS
	'before or the same, in the order of the bytes';

CREATE OPERATOR retention.> (
	FUNCTION = retention.purchase_history_gt,
	LEFTARG = retention.purchase_history,
	RIGHTARG = retention.purchase_history,
	COMMUTATOR = OPERATOR(retention.<),
	NEGATOR = OPERATOR(retention.<=),
	RESTRICT = scalargtsel,
	JOIN = scalargtjoinsel
);

COMMENT ON OPERATOR retention.> (retention.purchase_history, retention.purchase_history) IS
	'after, in the order of the bytes';

CREATE OPERATOR retention.>= (
	FUNCTION = retention.purchase_history_ge,
	LEFTARG = retention.purchase_history,
	RIGHTARG = retention.purchase_history,
	COMMUTATOR = OPERATOR(retention.<=),
	NEGATOR = OPERATOR(retention.<),
	RESTRICT = scalargesel,
	JOIN = scalargejoinsel
);

COMMENT ON OPERATOR retention.>= (retention.purchase_history, retention.purchase_history) IS
	'after or the same, in the order of the bytes';

CREATE OPERATOR CLASS retention.purchase_history_ops
	DEFAULT FOR TYPE retention.purchase_history USING btree AS
		OPERATOR 1 retention.<,
		OPERATOR 2 retention.<=,
		OPERATOR 3 retention.=,
		OPERATOR 4 retention.>=,
		OPERATOR 5 retention.>,
		FUNCTION 1 retention.purchase_history_cmp(retention.purchase_history, retention.purchase_history);

COMMENT ON OPERATOR CLASS retention.purchase_history_ops USING btree IS
	'Histories in the order of their bytes';
COMMENT ON OPERATOR FAMILY retention.purchase_history_ops USING btree IS
	'Histories in the order of their bytes';

CREATE OPERATOR CLASS retention.purchase_history_ops
	DEFAULT FOR TYPE retention.purchase_history USING hash AS
		OPERATOR 1 retention.=,
		FUNCTION 1 retention.purchase_history_hash(retention.purchase_history),
		FUNCTION 2 retention.purchase_history_hash_extended(retention.purchase_history, bigint);

COMMENT ON OPERATOR CLASS retention.purchase_history_ops USING hash IS
	'Histories by their bytes';
COMMENT ON OPERATOR FAMILY retention.purchase_history_ops USING hash IS
	'Histories by their bytes';

-- ---------------------------------------------------------------------------
-- Aggregates: a history from orders, or from histories
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.purchase_history_transition(internal, timestamptz, numeric)
	RETURNS internal
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.purchase_history_transition(internal, timestamptz, numeric) IS
	'Part of the aggregate purchase_history()';

CREATE FUNCTION retention.purchase_history_merge_transition(internal, retention.purchase_history)
	RETURNS internal
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.purchase_history_merge_transition(internal, retention.purchase_history) IS
	'Part of the aggregate merge()';

CREATE FUNCTION retention.purchase_history_combine(internal, internal)
	RETURNS internal
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.purchase_history_combine(internal, internal) IS
	'Part of the aggregates purchase_history() and merge()';

CREATE FUNCTION retention.purchase_history_serialize(internal)
	RETURNS bytea
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.purchase_history_serialize(internal) IS
	'Part of the aggregates purchase_history() and merge()';

CREATE FUNCTION retention.purchase_history_deserialize(bytea, internal)
	RETURNS internal
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.purchase_history_deserialize(bytea, internal) IS
	'Part of the aggregates purchase_history() and merge()';

CREATE FUNCTION retention.purchase_history_final(internal)
	RETURNS retention.purchase_history
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.purchase_history_final(internal) IS
	'Part of the aggregates purchase_history() and merge()';

CREATE AGGREGATE retention.purchase_history(paid_at timestamptz, amount numeric) (
	SFUNC = retention.purchase_history_transition,
	STYPE = internal,
	SSPACE = 128,
	FINALFUNC = retention.purchase_history_final,
	COMBINEFUNC = retention.purchase_history_combine,
	SERIALFUNC = retention.purchase_history_serialize,
	DESERIALFUNC = retention.purchase_history_deserialize,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.purchase_history(timestamptz, numeric) IS
	'The purchases of a customer from the customer''s orders: when each was paid, and for how much. Orders with a NULL in either (not paid, no amount) are left out; NULL when none is left. Negative, infinite and NaN amounts are an error. A date or a timestamp without time zone is taken in the session''s time zone, as PostgreSQL always does. Rows may come in any order';

CREATE AGGREGATE retention.merge(history retention.purchase_history) (
	SFUNC = retention.purchase_history_merge_transition,
	STYPE = internal,
	SSPACE = 1024,
	FINALFUNC = retention.purchase_history_final,
	COMBINEFUNC = retention.purchase_history_combine,
	SERIALFUNC = retention.purchase_history_serialize,
	DESERIALFUNC = retention.purchase_history_deserialize,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.merge(retention.purchase_history) IS
	'All purchases of several histories as one; NULL histories are left out, NULL when none is left. A purchase in two histories counts twice';

-- ---------------------------------------------------------------------------
-- Questions
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.purchases(history retention.purchase_history)
	RETURNS bigint
	AS 'MODULE_PATHNAME', 'purchase_history_purchases'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.purchases(retention.purchase_history) IS
	'Number of purchases; NULL for a NULL history';

CREATE FUNCTION retention.spent(history retention.purchase_history)
	RETURNS numeric
	AS 'MODULE_PATHNAME', 'purchase_history_spent'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.spent(retention.purchase_history) IS
	'Sum of all amounts, exact; 0 without purchases, NULL for a NULL history';

CREATE FUNCTION retention.first_purchase(history retention.purchase_history)
	RETURNS timestamptz
	AS 'MODULE_PATHNAME', 'purchase_history_first_purchase'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.first_purchase(retention.purchase_history) IS
	'Time of the first purchase; NULL without purchases and for a NULL history';

CREATE FUNCTION retention.last_purchase(history retention.purchase_history)
	RETURNS timestamptz
	AS 'MODULE_PATHNAME', 'purchase_history_last_purchase'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.last_purchase(retention.purchase_history) IS
	'Time of the last purchase; NULL without purchases and for a NULL history';

CREATE FUNCTION retention.last_amount(history retention.purchase_history)
	RETURNS numeric
	AS 'MODULE_PATHNAME', 'purchase_history_last_amount'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.last_amount(retention.purchase_history) IS
	'Amount of the last purchase, the largest when several share its time; NULL without purchases and for a NULL history';

CREATE FUNCTION retention.bought(history retention.purchase_history, from_time timestamptz, to_time timestamptz)
	RETURNS bigint
	AS 'MODULE_PATHNAME', 'purchase_history_bought'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.bought(retention.purchase_history, timestamptz, timestamptz) IS
	'Number of purchases from from_time on and before to_time; a NULL bound is no bound; NULL for a NULL history';

CREATE FUNCTION retention.spent_between(history retention.purchase_history, from_time timestamptz, to_time timestamptz)
	RETURNS numeric
	AS 'MODULE_PATHNAME', 'purchase_history_spent_between'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.spent_between(retention.purchase_history, timestamptz, timestamptz) IS
	'Sum of the amounts of purchases from from_time on and before to_time, 0 when there are none; a NULL bound is no bound; NULL for a NULL history';

CREATE FUNCTION retention.entries(history retention.purchase_history)
	RETURNS TABLE (paid_at timestamptz, amount numeric)
	AS 'MODULE_PATHNAME', 'purchase_history_entries'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	ROWS 10;

COMMENT ON FUNCTION retention.entries(retention.purchase_history) IS
	'The purchases, one a row, in order of time and amount; no rows without purchases and for a NULL history';

-- ---------------------------------------------------------------------------
-- Changes
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.append(history retention.purchase_history, paid_at timestamptz, amount numeric)
	RETURNS retention.purchase_history
	AS 'MODULE_PATHNAME', 'purchase_history_append'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.append(retention.purchase_history, timestamptz, numeric) IS
	'The history with one purchase more, wherever in time that lies; NULL when anything is NULL (a first purchase is appended to ''{}'')';

CREATE FUNCTION retention.remove(history retention.purchase_history, paid_at timestamptz, amount numeric)
	RETURNS retention.purchase_history
	AS 'MODULE_PATHNAME', 'purchase_history_remove'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.remove(retention.purchase_history, timestamptz, numeric) IS
	'The history without one purchase of that time and amount, an error when there is none; NULL when anything is NULL';

CREATE FUNCTION retention.merge(history retention.purchase_history, other retention.purchase_history)
	RETURNS retention.purchase_history
	AS 'MODULE_PATHNAME', 'purchase_history_merge'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.merge(retention.purchase_history, retention.purchase_history) IS
	'All purchases of both histories; NULL when either is NULL. A purchase in both counts twice';

CREATE OPERATOR retention.|| (
	FUNCTION = retention.merge,
	LEFTARG = retention.purchase_history,
	RIGHTARG = retention.purchase_history,
	COMMUTATOR = OPERATOR(retention.||)
);

COMMENT ON OPERATOR retention.|| (retention.purchase_history, retention.purchase_history) IS
	'all purchases of both histories';
