\echo Use "CREATE EXTENSION retention" to load this file. \quit

-- ---------------------------------------------------------------------------
-- The schema and the roles
-- ---------------------------------------------------------------------------

-- Created here and not by the control file, so that it is a member: dropped
-- with the extension, and refused when somebody else's is already there.
CREATE SCHEMA retention;

COMMENT ON SCHEMA retention IS
	'Customer retention: purchases, points, tiers, care messages and what they tell';

-- Roles are cluster-wide: another database may have made them already.
DO $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'retention_reader') THEN
		CREATE ROLE retention_reader NOLOGIN;
	END IF;
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'retention_operator') THEN
		CREATE ROLE retention_operator NOLOGIN;
	END IF;
END
$$;

-- ---------------------------------------------------------------------------
-- The clock and the customer's key
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.now()
	RETURNS timestamptz
	AS 'MODULE_PATHNAME', 'retention_now'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.now() IS
	'The moment taken for now: the setting retention.clock, or the start of the transaction when it is empty';

CREATE FUNCTION retention.customer_key(customer anynonarray)
	RETURNS text
	AS 'MODULE_PATHNAME', 'customer_key'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.customer_key(anynonarray) IS
	'The text under which a customer is kept; takes text, integers, whole numeric and uuid, anything else is an error; NULL gives NULL';
