-- ---------------------------------------------------------------------------
-- check_known_customer: whoever writes of a customer names one there is
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.check_known_customer(shop_id integer, customer text)
	RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	known retention.customer;
BEGIN
	SELECT c.* INTO known
	FROM retention.customer AS c
	WHERE c.shop_id = check_known_customer.shop_id AND c.customer_id = customer
	FOR SHARE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'customer "%" is not known', customer
			USING ERRCODE = 'undefined_object';
	END IF;
	IF known.forgotten_at IS NOT NULL THEN
		RAISE EXCEPTION 'customer "%" was forgotten', customer
			USING ERRCODE = 'object_not_in_prerequisite_state',
				DETAIL = 'forget_customer() erased the profile, and nothing is added to it.';
	END IF;
END
$$;

COMMENT ON FUNCTION retention.check_known_customer(integer, text) IS 'An error unless the shop has such a customer and has not forgotten them; until the end of the transaction they are not';
