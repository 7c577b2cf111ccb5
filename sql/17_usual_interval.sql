-- ---------------------------------------------------------------------------
-- usual_interval: how long a customer usually stays away
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.usual_interval(history retention.purchase_history)
	RETURNS interval
	AS 'MODULE_PATHNAME', 'usual_interval'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.usual_interval(retention.purchase_history) IS
	'The median time between the purchases of a history, rounded up to whole days; a purchase within 24 hours of the last one counted is the same visit. NULL for fewer than three visits, or NULL';
