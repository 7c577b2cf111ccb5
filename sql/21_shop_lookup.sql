-- ---------------------------------------------------------------------------
-- shop_id: which shop is meant
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.shop_id(shop text DEFAULT NULL)
	RETURNS integer
	AS 'MODULE_PATHNAME', 'shop_id'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.shop_id(text) IS
	'Number of the shop with this name; without a name that of the only shop, NULL when there is none yet, an error when there are several. An unknown name is an error';
