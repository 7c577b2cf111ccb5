-- ---------------------------------------------------------------------------
-- audience: customers chosen by a condition, under a name
-- ---------------------------------------------------------------------------

-- The shipped audiences, for every shop; a shop's own of the same name takes
-- the place of the shipped one.
CREATE TABLE retention.audience_default (
	name text PRIMARY KEY,
	name_zh text NOT NULL UNIQUE,
	condition text NOT NULL,
	description text NOT NULL,
	description_zh text NOT NULL
);

INSERT INTO retention.audience_default (name, name_zh, condition, description, description_zh)
VALUES
	('bought lately', '近期购买', 'recency_days <= 15',
		'Bought within 15 days: they get care and thanks, no offers', '15天内购买过：只关怀感谢，不推销'),
	('new arrivals', '上新通知', 'recency_days BETWEEN 30 AND 90 AND NOT low_response AND NOT bad_reviewer',
		'Last bought 30 to 90 days ago: they hear of new arrivals', '30至90天未购买：通知新品'),
	('loyal', '忠实老客户', 'purchases >= 2',
		'Bought twice or more: they get gifts instead of deep discounts', '购买两次及以上：送礼品，不参加超低价'),
	('deep discount', '超低价活动', 'purchases < 2 AND NOT low_response AND NOT bad_reviewer',
		'All but loyal repeaters: for sales at rock-bottom prices', '除忠实老客户以外：超低价活动'),
	('old customers', '老客户', 'purchases >= 1',
		'Bought at least once: festival greetings go to them only', '购买过的客户：节日问候只发给他们'),
	('long absent', '久未来访', '''long absent'' = ANY (customer_groups)',
		'Last bought shop.long_absent_days ago or more: we miss you', '久未购买：好久不见'),
	('responsive', '可营销客户', 'NOT low_response AND NOT bad_reviewer',
		'All but those who do not answer and those who left bad reviews', '除低响应和差评以外的客户');

COMMENT ON TABLE retention.audience_default IS 'The audiences that come with the extension; not to be edited: it is not dumped';
COMMENT ON COLUMN retention.audience_default.name IS 'Name of the audience';
COMMENT ON COLUMN retention.audience_default.name_zh IS 'Name in Chinese, by which it is found as well';
COMMENT ON COLUMN retention.audience_default.condition IS 'Who belongs to it: see audience.condition';
COMMENT ON COLUMN retention.audience_default.description IS 'Who it is and what for';
COMMENT ON COLUMN retention.audience_default.description_zh IS 'The same in Chinese';

CREATE TABLE retention.audience (
	shop_id integer NOT NULL,
	name text NOT NULL CHECK (name <> ''),
	condition text NOT NULL,
	written_by text NOT NULL,
	written_at timestamptz NOT NULL DEFAULT retention.now(),
	description text,
	PRIMARY KEY (shop_id, name)
);

SELECT pg_catalog.pg_extension_config_dump('retention.audience', '');

COMMENT ON TABLE retention.audience IS 'A shop''s own audiences, written by define_audience()';
COMMENT ON COLUMN retention.audience.shop_id IS 'The shop';
COMMENT ON COLUMN retention.audience.name IS 'Name of the audience; a shipped audience''s name replaces that one';
COMMENT ON COLUMN retention.audience.condition IS 'Who belongs to it: an SQL condition over a row of customer_details, named customers';
COMMENT ON COLUMN retention.audience.written_by IS 'The role that wrote the condition, as which it is evaluated; for a superuser retention_reader';
COMMENT ON COLUMN retention.audience.written_at IS 'When it was last written';
COMMENT ON COLUMN retention.audience.description IS 'Who it is and what for';

CREATE VIEW retention.audiences AS
	SELECT
		shop.shop_id,
		shop.name AS shop,
		own.name,
		shipped.name_zh,
		own.condition,
		own.written_by,
		own.written_at,
		coalesce(own.description, shipped.description) AS description,
		false AS shipped
	FROM retention.audience AS own
	JOIN retention.shop ON shop.shop_id = own.shop_id
	LEFT JOIN retention.audience_default AS shipped ON shipped.name = own.name
	UNION ALL
	SELECT
		shop.shop_id,
		shop.name,
		shipped.name,
		shipped.name_zh,
		shipped.condition,
		NULL,
		NULL,
		CASE WHEN shop.language = 'zh' THEN shipped.description_zh ELSE shipped.description END,
		true
	FROM retention.shop
	CROSS JOIN retention.audience_default AS shipped
	WHERE NOT EXISTS (
		SELECT
		FROM retention.audience AS own
		WHERE own.shop_id = shop.shop_id AND own.name = shipped.name
	);

COMMENT ON VIEW retention.audiences IS
	'The audiences (人群) of each shop: its own, and the shipped ones it has not replaced. audience_count() counts one';
COMMENT ON COLUMN retention.audiences.shop_id IS 'The shop';
COMMENT ON COLUMN retention.audiences.shop IS 'Name of the shop (店铺)';
COMMENT ON COLUMN retention.audiences.name IS 'Name of the audience (人群名称)';
COMMENT ON COLUMN retention.audiences.name_zh IS 'Name of a shipped audience in Chinese (中文名称)';
COMMENT ON COLUMN retention.audiences.condition IS 'Who belongs to it (条件)';
COMMENT ON COLUMN retention.audiences.written_by IS 'The role that wrote the condition, as which it is evaluated; NULL for a shipped one';
COMMENT ON COLUMN retention.audiences.written_at IS 'When it was last written; NULL for a shipped one';
COMMENT ON COLUMN retention.audiences.description IS 'Who it is and what for (说明)';
COMMENT ON COLUMN retention.audiences.shipped IS 'Whether it is a shipped audience that the shop has not changed';

-- ---------------------------------------------------------------------------
-- define_audience, drop_audience
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.define_audience(
	name text,
	condition text,
	description text DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS void
	AS 'MODULE_PATHNAME', 'define_audience'
	LANGUAGE C;

COMMENT ON FUNCTION retention.define_audience(text, text, text, text) IS
	'Makes an audience, or writes it anew: condition is one SQL condition over a row of customer_details, such as recency_days > 30 AND ''vip'' = ANY (tags). It is checked at once, and evaluated as the role that calls this (retention_reader for a superuser): it may only read, and calls only functions that are not volatile and belong to a superuser. A condition that does not work is an error; shop NULL means the only shop';

CREATE FUNCTION retention.drop_audience(name text, shop text DEFAULT NULL)
	RETURNS void
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	DELETE FROM retention.audience AS own
	WHERE own.shop_id = retention.shop_id(shop) AND own.name = drop_audience.name;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'the shop has no audience "%" of its own', drop_audience.name
			USING ERRCODE = 'undefined_object',
				HINT = 'View retention.audiences lists them; shipped ones stay.';
	END IF;
END
$$;

COMMENT ON FUNCTION retention.drop_audience(text, text) IS
	'Removes an audience of the shop''s own; a shipped one of the same name is in force again. An error when there is none; shop NULL means the only shop';

-- ---------------------------------------------------------------------------
-- audience_customers, audience_count
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.audience_customers(
	audience text,
	shop text DEFAULT NULL,
	at timestamptz DEFAULT retention.now()
)
	RETURNS TABLE (
		customer_id text,
		name text,
		purchases bigint,
		spent numeric,
		last_purchase_at timestamptz
	)
	LANGUAGE plpgsql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
	chosen retention.audiences;
BEGIN
	SELECT a.* INTO chosen
	FROM retention.audiences AS a
	WHERE a.shop_id = the_shop AND audience IN (a.name, a.name_zh)
	ORDER BY a.name = audience DESC
	LIMIT 1;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'audience "%" does not exist', audience
			USING ERRCODE = 'undefined_object',
				HINT = 'View retention.audiences lists them; define_audience() makes one.';
	END IF;
	RETURN QUERY
	SELECT customer.customer_id, customer.name, coalesce(stats.purchases, 0), coalesce(stats.spent, 0), stats.last_purchase_at
	FROM retention.customers_where(the_shop, chosen.condition, chosen.written_by, at, NULL, format('audience "%s"', chosen.name)) AS member (customer_id)
	JOIN retention.customer ON customer.shop_id = the_shop AND customer.customer_id = member.customer_id
	LEFT JOIN retention.customer_stats AS stats ON stats.shop_id = the_shop AND stats.customer_id = member.customer_id;
END
$$;

COMMENT ON FUNCTION retention.audience_customers(text, text, timestamptz) IS
	'The customers of an audience, in no order. at is the moment taken for now: days and groups count from there, over what is recorded today. An unknown audience is an error, and so is a condition that does not work any more; shop NULL means the only shop';

CREATE FUNCTION retention.audience_count(
	audience text,
	shop text DEFAULT NULL,
	at timestamptz DEFAULT retention.now()
)
	RETURNS bigint
	LANGUAGE plpgsql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (
		SELECT count(*)
		FROM retention.audience_customers(audience, shop, at)
	);
END
$$;

COMMENT ON FUNCTION retention.audience_count(text, text, timestamptz) IS
	'How many customers an audience has; as audience_customers()';
