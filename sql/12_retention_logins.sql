-- ---------------------------------------------------------------------------
-- retention_rate from one row a log-in
-- ---------------------------------------------------------------------------

CREATE TYPE retention.retention_logins;

CREATE FUNCTION retention.retention_logins_in(cstring)
	RETURNS retention.retention_logins
	AS 'MODULE_PATHNAME'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.retention_logins_in(cstring) IS
	'Text input of retention_logins: hexadecimal, checked';

CREATE FUNCTION retention.retention_logins_out(retention.retention_logins)
	RETURNS cstring
	AS 'MODULE_PATHNAME'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.retention_logins_out(retention.retention_logins) IS
	'Text output of retention_logins: hexadecimal';

CREATE FUNCTION retention.retention_logins_recv(internal)
	RETURNS retention.retention_logins
	AS 'MODULE_PATHNAME'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.retention_logins_recv(internal) IS
	'Binary input of retention_logins, checked';

CREATE FUNCTION retention.retention_logins_send(retention.retention_logins)
	RETURNS bytea
	AS 'MODULE_PATHNAME'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.retention_logins_send(retention.retention_logins) IS
	'Binary output of retention_logins';

CREATE TYPE retention.retention_logins (
	INPUT = retention.retention_logins_in,
	OUTPUT = retention.retention_logins_out,
	RECEIVE = retention.retention_logins_recv,
	SEND = retention.retention_logins_send,
	INTERNALLENGTH = VARIABLE,
	ALIGNMENT = double,
	STORAGE = extended
);

COMMENT ON TYPE retention.retention_logins IS
	'Customers, when each signed up, and whether they came back: the state of retention_rate(customer, signed_up_at, logged_in_at, ...), to be kept and merged';

CREATE FUNCTION retention.retention_logins_add(state retention.retention_logins, customer anyelement, signed_up_at timestamptz, logged_in_at timestamptz, mode text, days integer, time_zone text, at timestamptz)
	RETURNS retention.retention_logins
	AS 'MODULE_PATHNAME'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.retention_logins_add(retention.retention_logins, anyelement, timestamptz, timestamptz, text, integer, text, timestamptz) IS
	'Part of the aggregate retention_rate()';

CREATE FUNCTION retention.retention_logins_add(state retention.retention_logins, customer anyelement, signed_up_at timestamptz, logged_in_at timestamptz, mode text, days integer, time_zone text)
	RETURNS retention.retention_logins
	AS 'MODULE_PATHNAME'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.retention_logins_add(retention.retention_logins, anyelement, timestamptz, timestamptz, text, integer, text) IS
	'Part of the aggregate retention_rate()';

CREATE FUNCTION retention.retention_logins_add(state retention.retention_logins, customer anyelement, signed_up_at timestamptz, logged_in_at timestamptz, mode text, days integer[], time_zone text, at timestamptz)
	RETURNS retention.retention_logins
	AS 'MODULE_PATHNAME', 'retention_logins_add_curve'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.retention_logins_add(retention.retention_logins, anyelement, timestamptz, timestamptz, text, integer[], text, timestamptz) IS
	'Part of the aggregates retention_curve() and retention_collect()';

CREATE FUNCTION retention.retention_logins_add(state retention.retention_logins, customer anyelement, signed_up_at timestamptz, logged_in_at timestamptz, mode text, days integer[], time_zone text)
	RETURNS retention.retention_logins
	AS 'MODULE_PATHNAME', 'retention_logins_add_curve'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.retention_logins_add(retention.retention_logins, anyelement, timestamptz, timestamptz, text, integer[], text) IS
	'Part of the aggregate retention_curve()';

CREATE FUNCTION retention.retention_logins_merge(state retention.retention_logins, other retention.retention_logins)
	RETURNS retention.retention_logins
	AS 'MODULE_PATHNAME'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.retention_logins_merge(retention.retention_logins, retention.retention_logins) IS
	'Part of the aggregates retention_rate(), retention_curve(), retention_collect() and merge()';

CREATE FUNCTION retention.retention_rate(state retention.retention_logins)
	RETURNS numeric
	AS 'MODULE_PATHNAME', 'retention_logins_rate'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.retention_rate(retention.retention_logins) IS
	'The same of what retention_collect(customer, ...) collected for one number of days; a state of several is an error';

CREATE FUNCTION retention.retention_curve(state retention.retention_logins)
	RETURNS retention.retention_row[]
	AS 'MODULE_PATHNAME', 'retention_logins_curve'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.retention_curve(retention.retention_logins) IS
	'The same of what retention_collect(customer, ...) collected, one row a number of days, in the order given';

CREATE AGGREGATE retention.retention_rate(customer anyelement, signed_up_at timestamptz, logged_in_at timestamptz, mode text, days integer, time_zone text, at timestamptz) (
	SFUNC = retention.retention_logins_add,
	STYPE = retention.retention_logins,
	FINALFUNC = retention.retention_rate,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.retention_logins_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.retention_rate(anyelement, timestamptz, timestamptz, text, integer, text, timestamptz) IS
	'Retention (留存率) N days after signing up, from one row a log-in: who signed up LEFT JOINed with their log-ins, as it is. A customer counts once, however many rows there are; logged_in_at NULL is nobody coming back. classic (a log-in on day N), rolling (on day N or after it) or within (up to day N, the first day included). Days are those of the time zone, day N being the N-th after that of signing up; only customers whose day N is over count. 0 to 1; NULL when nobody was observed that long. Log-ins not after the sign-up are left out, as are infinite ones. Seen from the moment at (NULL or left out: now): later log-ins do not count, nor do customers who signed up later. Rows without a customer or without a sign-up are left out. Two times of sign-up of one customer are an error that names them. Any customer type with a hash operator class; rows in any order';

CREATE AGGREGATE retention.retention_rate(customer anyelement, signed_up_at timestamptz, logged_in_at timestamptz, mode text, days integer, time_zone text) (
	SFUNC = retention.retention_logins_add,
	STYPE = retention.retention_logins,
	FINALFUNC = retention.retention_rate,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.retention_logins_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.retention_rate(anyelement, timestamptz, timestamptz, text, integer, text) IS
	'As the form with at, seen from now';

CREATE AGGREGATE retention.retention_curve(customer anyelement, signed_up_at timestamptz, logged_in_at timestamptz, mode text, days integer[], time_zone text, at timestamptz) (
	SFUNC = retention.retention_logins_add,
	STYPE = retention.retention_logins,
	FINALFUNC = retention.retention_curve,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.retention_logins_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.retention_curve(anyelement, timestamptz, timestamptz, text, integer[], text, timestamptz) IS
	'Retention (留存率) after each of these numbers of days, 64 at most, one row a number, in the order given: as retention_rate(customer, signed_up_at, logged_in_at, ...), in one pass. NULL for an empty group';

CREATE AGGREGATE retention.retention_curve(customer anyelement, signed_up_at timestamptz, logged_in_at timestamptz, mode text, days integer[], time_zone text) (
	SFUNC = retention.retention_logins_add,
	STYPE = retention.retention_logins,
	FINALFUNC = retention.retention_curve,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = retention.retention_logins_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.retention_curve(anyelement, timestamptz, timestamptz, text, integer[], text) IS
	'As the form with at, seen from now';

CREATE AGGREGATE retention.retention_collect(customer anyelement, signed_up_at timestamptz, logged_in_at timestamptz, mode text, days integer[], time_zone text, at timestamptz) (
	SFUNC = retention.retention_logins_add,
	STYPE = retention.retention_logins,
	COMBINEFUNC = retention.retention_logins_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.retention_collect(anyelement, timestamptz, timestamptz, text, integer[], text, timestamptz) IS
	'What retention_curve(customer, signed_up_at, logged_in_at, ...) knows of a group, to be kept or merged with that of other groups: retention_curve(merge(state)). NULL for an empty group';

CREATE AGGREGATE retention.merge(state retention.retention_logins) (
	SFUNC = retention.retention_logins_merge,
	STYPE = retention.retention_logins,
	COMBINEFUNC = retention.retention_logins_merge,
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE retention.merge(retention.retention_logins) IS
	'The log-ins of several states together; a customer may be in several of them, with one time of sign-up. NULL states are left out, NULL when none is left; states of different questions (mode, days, time zone, moment) or of customers of different types are an error';
