-- ---------------------------------------------------------------------------
-- Adapter: Solidus
-- ---------------------------------------------------------------------------

-- Where its tables differ from those of Spree, the texts have a section for it.
CREATE FUNCTION retention.adapter_solidus()
	RETURNS SETOF retention.adapter_part
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT p.*
	FROM retention.adapter_spree() AS p
$$;

COMMENT ON FUNCTION retention.adapter_solidus() IS 'Solidus 3 and 4';
