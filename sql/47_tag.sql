-- ---------------------------------------------------------------------------
-- customer_tag: labels of customers
-- ---------------------------------------------------------------------------

CREATE TABLE retention.customer_tag (
	shop_id integer NOT NULL,
	customer_id text COLLATE "C" NOT NULL,
	tag text NOT NULL CHECK (tag <> ''),
	by_rule boolean NOT NULL DEFAULT false,
	given_at timestamptz NOT NULL DEFAULT retention.now(),
	given_by text,
	PRIMARY KEY (shop_id, customer_id, tag)
);

CREATE INDEX customer_tag_tag ON retention.customer_tag (shop_id, tag);

SELECT pg_catalog.pg_extension_config_dump('retention.customer_tag', '');

COMMENT ON TABLE retention.customer_tag IS 'The tags of customers, given by hand or by a rule';
COMMENT ON COLUMN retention.customer_tag.shop_id IS 'The shop';
COMMENT ON COLUMN retention.customer_tag.customer_id IS 'The customer';
COMMENT ON COLUMN retention.customer_tag.tag IS 'The tag';
COMMENT ON COLUMN retention.customer_tag.by_rule IS 'Whether the tag''s rule gave it and may take it away again; false when it was given by hand';
COMMENT ON COLUMN retention.customer_tag.given_at IS 'When it was given';
COMMENT ON COLUMN retention.customer_tag.given_by IS 'Staff member who gave it by hand, when that was said';

CREATE FUNCTION retention.tag_customer(customer text, tag text, staff text DEFAULT NULL, shop text DEFAULT NULL)
	RETURNS void
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF coalesce(tag, '') = '' THEN
		RAISE EXCEPTION 'a tag cannot be empty'
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	PERFORM retention.check_known_customer(retention.shop_id(shop), customer);
	INSERT INTO retention.customer_tag AS t (shop_id, customer_id, tag, given_by)
	VALUES (retention.shop_id(shop), customer, tag_customer.tag, staff)
	ON CONFLICT ON CONSTRAINT customer_tag_pkey DO UPDATE
	SET by_rule = false,
		given_by = coalesce(EXCLUDED.given_by, t.given_by)
	WHERE t.by_rule OR t.given_by IS DISTINCT FROM coalesce(EXCLUDED.given_by, t.given_by);
END
$$;

COMMENT ON FUNCTION retention.tag_customer(text, text, text, text) IS
	'Gives a customer a tag by hand: no rule takes it away. staff is who gave it. An unknown or forgotten customer is an error; shop NULL means the only shop';

CREATE FUNCTION retention.tag_customer(customer anynonarray, tag text, staff text DEFAULT NULL, shop text DEFAULT NULL)
	RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM retention.tag_customer(retention.customer_key(customer), tag, staff, shop);
END
$$;

COMMENT ON FUNCTION retention.tag_customer(anynonarray, text, text, text) IS
	'The same for customers numbered by integer, whole numeric or uuid';

CREATE FUNCTION retention.untag_customer(customer text, tag text, shop text DEFAULT NULL)
	RETURNS boolean
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	DELETE FROM retention.customer_tag AS t
	WHERE t.shop_id = retention.shop_id(shop) AND t.customer_id = customer AND t.tag = untag_customer.tag;
	RETURN FOUND;
END
$$;

COMMENT ON FUNCTION retention.untag_customer(text, text, text) IS
	'Takes a tag from a customer, whoever gave it; false when there was none. Where the tag''s rule holds for the customer, run() gives it again; shop NULL means the only shop';

CREATE FUNCTION retention.untag_customer(customer anynonarray, tag text, shop text DEFAULT NULL)
	RETURNS boolean
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN retention.untag_customer(retention.customer_key(customer), tag, shop);
END
$$;

COMMENT ON FUNCTION retention.untag_customer(anynonarray, text, text) IS
	'The same for customers numbered by integer, whole numeric or uuid';

-- ---------------------------------------------------------------------------
-- tag_rule: tags that follow a condition
-- ---------------------------------------------------------------------------

CREATE TABLE retention.tag_rule (
	shop_id integer NOT NULL,
	tag text NOT NULL CHECK (tag <> ''),
	condition text NOT NULL,
	written_by text NOT NULL,
	written_at timestamptz NOT NULL DEFAULT retention.now(),
	description text,
	last_error text,
	PRIMARY KEY (shop_id, tag)
);

SELECT pg_catalog.pg_extension_config_dump('retention.tag_rule', '');

COMMENT ON TABLE retention.tag_rule IS 'Tags given by a condition and kept by run(), written by define_tag_rule()';
COMMENT ON COLUMN retention.tag_rule.shop_id IS 'The shop';
COMMENT ON COLUMN retention.tag_rule.tag IS 'The tag it gives';
COMMENT ON COLUMN retention.tag_rule.condition IS 'Who gets it: as audience.condition';
COMMENT ON COLUMN retention.tag_rule.written_by IS 'The role that wrote the condition, as which it is evaluated; for a superuser retention_reader';
COMMENT ON COLUMN retention.tag_rule.written_at IS 'When it was last written';
COMMENT ON COLUMN retention.tag_rule.description IS 'What the tag means';
COMMENT ON COLUMN retention.tag_rule.last_error IS 'Why the condition failed when it was last evaluated, its tags staying as they were; NULL when it did not';

CREATE FUNCTION retention.define_tag_rule(
	tag text,
	condition text,
	description text DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS void
	AS 'MODULE_PATHNAME', 'define_tag_rule'
	LANGUAGE C;

COMMENT ON FUNCTION retention.define_tag_rule(text, text, text, text) IS
	'Makes the rule of a tag, or writes it anew: from the next run() on those for whom the condition is true have the tag, and nobody else but those who were given it by hand. The condition is one as define_audience() takes. A condition that does not work is an error; shop NULL means the only shop';

CREATE FUNCTION retention.drop_tag_rule(tag text, shop text DEFAULT NULL)
	RETURNS void
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	DELETE FROM retention.tag_rule AS r
	WHERE r.shop_id = retention.shop_id(shop) AND r.tag = drop_tag_rule.tag;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'tag "%" has no rule', drop_tag_rule.tag
			USING ERRCODE = 'undefined_object',
				HINT = 'View retention.tags lists them; untag_customer() takes away a single one.';
	END IF;
	DELETE FROM retention.customer_tag AS t
	WHERE t.shop_id = retention.shop_id(shop) AND t.tag = drop_tag_rule.tag AND t.by_rule;
END
$$;

COMMENT ON FUNCTION retention.drop_tag_rule(text, text) IS
	'Removes the rule of a tag and the tags it gave; those given by hand stay. An error when there is none; shop NULL means the only shop';

-- How many there are is not known when this is planned, and looking each up in
-- a list of thousands would never end.
CREATE FUNCTION retention.set_rule_tags(shop_id integer, tag text, customers text[], at timestamptz)
	RETURNS bigint
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off
AS $$
DECLARE
	taken bigint;
	given bigint;
BEGIN
	DELETE FROM retention.customer_tag AS t
	WHERE t.shop_id = set_rule_tags.shop_id
		AND t.tag = set_rule_tags.tag
		AND t.by_rule
		AND NOT EXISTS (
			SELECT
			FROM unnest(customers) AS c (customer_id)
			WHERE c.customer_id = t.customer_id
		);
	GET DIAGNOSTICS taken = ROW_COUNT;
	INSERT INTO retention.customer_tag (shop_id, customer_id, tag, by_rule, given_at)
	SELECT set_rule_tags.shop_id, c.customer_id, set_rule_tags.tag, true, at
	FROM unnest(customers) AS c (customer_id)
	WHERE NOT EXISTS (
		SELECT
		FROM retention.customer_tag AS t
		WHERE t.shop_id = set_rule_tags.shop_id AND t.tag = set_rule_tags.tag AND t.customer_id = c.customer_id
	)
	ORDER BY c.customer_id
	ON CONFLICT DO NOTHING;
	GET DIAGNOSTICS given = ROW_COUNT;
	RETURN taken + given;
END
$$;

COMMENT ON FUNCTION retention.set_rule_tags(integer, text, text[], timestamptz) IS 'Gives these customers the tag of a rule, and takes it from all others to whom the rule gave it; returns the tags given or taken';

CREATE FUNCTION retention.run_tag_rules(at timestamptz)
	RETURNS bigint
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	rule retention.tag_rule;
	tagged text[];
	changed bigint := 0;
	failure text;
BEGIN
	FOR rule IN
		SELECT r.*
		FROM retention.tag_rule AS r
		ORDER BY r.shop_id, r.tag
	LOOP
		failure := NULL;
		-- One broken rule must not keep the others, or the rest of run(), back.
		BEGIN
			SELECT coalesce(array_agg(c.customer_id), '{}') INTO tagged
			FROM retention.customers_where(rule.shop_id, rule.condition, rule.written_by, at,
				what => format('tag rule "%s"', rule.tag)) AS c (customer_id);
		EXCEPTION
			WHEN transaction_rollback OR insufficient_resources OR system_error OR internal_error THEN
				RAISE;
			WHEN OTHERS THEN
				failure := SQLERRM;
				RAISE WARNING '%', failure
					USING DETAIL = 'The tag stays with those who have it.';
		END;
		IF failure IS DISTINCT FROM rule.last_error THEN
			UPDATE retention.tag_rule AS r
			SET last_error = failure
			WHERE r.shop_id = rule.shop_id AND r.tag = rule.tag;
		END IF;
		CONTINUE WHEN failure IS NOT NULL;

		changed := changed + retention.set_rule_tags(rule.shop_id, rule.tag, tagged, at);
	END LOOP;
	RETURN changed;
END
$$;

COMMENT ON FUNCTION retention.run_tag_rules(timestamptz) IS
	'Gives and takes the tags of all tag rules as their conditions say at that moment; tags given by hand stay. A rule that fails is a warning, and is remembered in tag_rule.last_error. Returns the tags given or taken';

CREATE VIEW retention.tags AS
	SELECT
		shop.shop_id,
		shop.name AS shop,
		coalesce(given.tag, rule.tag) AS tag,
		coalesce(given.customers, 0) AS customers,
		coalesce(given.by_rule, 0) AS by_rule,
		rule.condition,
		rule.written_by,
		rule.description,
		rule.last_error
	FROM (
		SELECT t.shop_id, t.tag, pg_catalog.count(*) AS customers, pg_catalog.count(*) FILTER (WHERE t.by_rule) AS by_rule
		FROM retention.customer_tag AS t
		GROUP BY t.shop_id, t.tag
	) AS given
	FULL JOIN retention.tag_rule AS rule ON rule.shop_id = given.shop_id AND rule.tag = given.tag
	JOIN retention.shop ON shop.shop_id = coalesce(given.shop_id, rule.shop_id);

COMMENT ON VIEW retention.tags IS 'The tags (标签) in use or with a rule, and how many customers have each';
COMMENT ON COLUMN retention.tags.shop_id IS 'The shop';
COMMENT ON COLUMN retention.tags.shop IS 'Name of the shop (店铺)';
COMMENT ON COLUMN retention.tags.tag IS 'The tag (标签)';
COMMENT ON COLUMN retention.tags.customers IS 'Customers who have it (客户数)';
COMMENT ON COLUMN retention.tags.by_rule IS 'Those of them to whom the rule gave it (自动标签)';
COMMENT ON COLUMN retention.tags.condition IS 'The rule''s condition (条件); NULL when it is only given by hand';
COMMENT ON COLUMN retention.tags.written_by IS 'The role that wrote the rule, as which it is evaluated';
COMMENT ON COLUMN retention.tags.description IS 'What it means (说明)';
COMMENT ON COLUMN retention.tags.last_error IS 'Why the rule failed when it was last evaluated; NULL when it did not';
