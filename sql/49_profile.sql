-- ---------------------------------------------------------------------------
-- customer_profile: what staff note of a customer
-- ---------------------------------------------------------------------------

CREATE TABLE retention.customer_profile (
	shop_id integer NOT NULL,
	customer_id text COLLATE "C" NOT NULL,
	fields jsonb NOT NULL DEFAULT '{}' CHECK (pg_catalog.jsonb_typeof(fields) = 'object'),
	registered_by text,
	registered_at timestamptz NOT NULL DEFAULT retention.now(),
	changed_by text,
	changed_at timestamptz NOT NULL DEFAULT retention.now(),
	PRIMARY KEY (shop_id, customer_id)
);

SELECT pg_catalog.pg_extension_config_dump('retention.customer_profile', '');

COMMENT ON TABLE retention.customer_profile IS 'Soft facts of customers, noted by staff: habits, taste, family, how they like to be served; what the shop''s own tables say is in customer';
COMMENT ON COLUMN retention.customer_profile.shop_id IS 'The shop';
COMMENT ON COLUMN retention.customer_profile.customer_id IS 'The customer';
COMMENT ON COLUMN retention.customer_profile.fields IS 'What was noted: {"habits": "...", "family": "..."}';
COMMENT ON COLUMN retention.customer_profile.registered_by IS 'Staff member who noted something first';
COMMENT ON COLUMN retention.customer_profile.registered_at IS 'When that was';
COMMENT ON COLUMN retention.customer_profile.changed_by IS 'Staff member who noted something last, when that was said';
COMMENT ON COLUMN retention.customer_profile.changed_at IS 'When that was';

CREATE FUNCTION retention.set_profile(customer text, fields jsonb, staff text DEFAULT NULL, shop text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	noted jsonb;
BEGIN
	IF fields IS NULL OR jsonb_typeof(fields) <> 'object' THEN
		RAISE EXCEPTION 'the fields of a profile must be a JSON object, not %', coalesce(fields::text, 'NULL')
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Write {"habits": "green tea"}; null removes a field.';
	END IF;
	PERFORM retention.check_known_customer(retention.shop_id(shop), customer);
	INSERT INTO retention.customer_profile AS p (shop_id, customer_id, fields, registered_by, changed_by)
	VALUES (retention.shop_id(shop), customer, jsonb_strip_nulls(set_profile.fields), staff, staff)
	ON CONFLICT ON CONSTRAINT customer_profile_pkey DO UPDATE
	SET fields = jsonb_strip_nulls(p.fields || set_profile.fields),
		registered_by = coalesce(p.registered_by, EXCLUDED.registered_by),
		changed_by = EXCLUDED.changed_by,
		changed_at = EXCLUDED.changed_at
	RETURNING p.fields INTO noted;
	RETURN noted;
END
$$;

COMMENT ON FUNCTION retention.set_profile(text, jsonb, text, text) IS
	'Notes soft facts of a customer, {"habits": "...", "family": "..."}: fields named replace those noted before, null removes one, the others stay. The first staff member named is the one who registered the customer. Returns all that is noted. An unknown or forgotten customer is an error; shop NULL means the only shop';

CREATE FUNCTION retention.set_profile(customer anynonarray, fields jsonb, staff text DEFAULT NULL, shop text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN retention.set_profile(retention.customer_key(customer), fields, staff, shop);
END
$$;

COMMENT ON FUNCTION retention.set_profile(anynonarray, jsonb, text, text) IS
	'The same for customers numbered by integer, whole numeric or uuid';

-- ---------------------------------------------------------------------------
-- Completeness
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.profile_missing(known jsonb, weights jsonb)
	RETURNS text[]
	LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN ARRAY(
		SELECT w.key
		FROM jsonb_each(weights) AS w
		WHERE coalesce(known -> w.key, 'null') IN ('null', '""', '[]', '{}')
		ORDER BY (w.value #>> '{}')::numeric DESC, w.key
	);
END
$$;

COMMENT ON FUNCTION retention.profile_missing(jsonb, jsonb) IS
	'The fields of weights, {"field": weight}, that known has not, or has empty; the weightiest first. NULL gives NULL';

CREATE FUNCTION retention.profile_completeness(known jsonb, weights jsonb)
	RETURNS numeric
	LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (
		SELECT round(1 - coalesce(sum(weight) FILTER (WHERE w.key = ANY (missing.fields)), 0) / nullif(sum(weight), 0), 4)
		FROM jsonb_each(weights) AS w
		CROSS JOIN LATERAL (SELECT (w.value #>> '{}')::numeric) AS v (weight)
		CROSS JOIN (SELECT retention.profile_missing(known, weights) OFFSET 0) AS missing (fields)
	);
END
$$;

COMMENT ON FUNCTION retention.profile_completeness(jsonb, jsonb) IS
	'How complete a profile is: weights of the fields known / all weights, 0 to 1; NULL when no field counts, or for NULL';

CREATE VIEW retention.customer_profiles AS
	SELECT
		shop.shop_id,
		shop.name AS shop,
		customer.customer_id,
		coalesce(profile.registered_by, customer.attributes ->> 'registered_by') AS registered_by,
		profile.registered_at,
		profile.changed_at,
		coalesce(profile.fields, '{}') AS fields,
		retention.profile_completeness(known.fields, shop.profile_fields) AS completeness,
		retention.profile_missing(known.fields, shop.profile_fields) AS missing
	FROM retention.shop
	JOIN retention.customer ON customer.shop_id = shop.shop_id
	LEFT JOIN retention.customer_profile AS profile
		ON profile.shop_id = customer.shop_id AND profile.customer_id = customer.customer_id
	CROSS JOIN LATERAL (
		SELECT customer.attributes
			|| pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
				'name', customer.name,
				'nickname', customer.nickname,
				'birthday', customer.birthday,
				'phone', customer.phone,
				'email', customer.email))
			|| coalesce(profile.fields, '{}')
	) AS known (fields)
	WHERE customer.forgotten_at IS NULL;

COMMENT ON VIEW retention.customer_profiles IS
	'Profiles (客户资料) of customers: what staff noted, and how complete they are by the weights of shop.profile_fields; without those forgotten';
COMMENT ON COLUMN retention.customer_profiles.shop_id IS 'The shop';
COMMENT ON COLUMN retention.customer_profiles.shop IS 'Name of the shop (店铺)';
COMMENT ON COLUMN retention.customer_profiles.customer_id IS 'The shop''s own id for the customer (客户编号)';
COMMENT ON COLUMN retention.customer_profiles.registered_by IS 'Staff member who registered the customer (建档人): the first named to set_profile(), or the attribute registered_by of the shop''s own table';
COMMENT ON COLUMN retention.customer_profiles.registered_at IS 'When something was first noted (建档时间); NULL when nothing was';
COMMENT ON COLUMN retention.customer_profiles.changed_at IS 'When something was last noted (更新时间)';
COMMENT ON COLUMN retention.customer_profiles.fields IS 'What staff noted (软性资料)';
COMMENT ON COLUMN retention.customer_profiles.completeness IS 'Completeness (完整度), 0 to 1: weights of the fields known / all weights of shop.profile_fields';
COMMENT ON COLUMN retention.customer_profiles.missing IS 'Fields that are missing (缺少的资料), the weightiest first';

CREATE VIEW retention.staff_profiles AS
	SELECT
		p.shop_id,
		p.shop,
		p.registered_by AS staff,
		pg_catalog.count(*) AS customers,
		pg_catalog.count(*) FILTER (WHERE p.completeness = 1) AS complete,
		pg_catalog.round(pg_catalog.avg(p.completeness), 4) AS completeness
	FROM retention.customer_profiles AS p
	GROUP BY p.shop_id, p.shop, p.registered_by;

COMMENT ON VIEW retention.staff_profiles IS
	'Customer files opened by each staff member (员工建档), and how complete they are';
COMMENT ON COLUMN retention.staff_profiles.shop_id IS 'The shop';
COMMENT ON COLUMN retention.staff_profiles.shop IS 'Name of the shop (店铺)';
COMMENT ON COLUMN retention.staff_profiles.staff IS 'The staff member (员工); NULL for customers registered by nobody in particular';
COMMENT ON COLUMN retention.staff_profiles.customers IS 'Customers registered (建档数)';
COMMENT ON COLUMN retention.staff_profiles.complete IS 'Those of whom every field is known (完整档案数)';
COMMENT ON COLUMN retention.staff_profiles.completeness IS 'Mean completeness (平均完整度), 0 to 1';
