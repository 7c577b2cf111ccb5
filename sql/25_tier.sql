-- ---------------------------------------------------------------------------
-- tier: the rungs of a ladder
-- ---------------------------------------------------------------------------

-- The shipped ladder is not dumped: a restore makes it anew.  It is made for
-- amounts in yuan at everyday prices: a first good basket or a habit of buying
-- earns silver, a year of steady buying gold, and diamond is left to the few
-- who bring most of the sales, by amount only.
CREATE TABLE retention.tier_default (
	rung integer PRIMARY KEY CHECK (rung > 0),
	name text NOT NULL UNIQUE CHECK (name <> ''),
	name_zh text,
	min_spent numeric CHECK (min_spent >= 0 AND min_spent < 'Infinity'),
	min_purchases bigint CHECK (min_purchases >= 0),
	match text NOT NULL DEFAULT 'any' CHECK (match IN ('any', 'all')),
	multiplier numeric NOT NULL DEFAULT 1 CHECK (multiplier >= 0 AND multiplier < 'Infinity'),
	discount numeric NOT NULL DEFAULT 1 CHECK (discount > 0 AND discount <= 1),
	member_price boolean NOT NULL DEFAULT false,
	purchase_limit bigint CHECK (purchase_limit > 0),
	benefits jsonb NOT NULL DEFAULT '{}' CHECK (pg_catalog.jsonb_typeof(benefits) = 'object')
);

INSERT INTO retention.tier_default (rung, name, name_zh, min_spent, min_purchases, multiplier, discount)
VALUES
	(1, 'member', '普通会员', NULL, NULL, 1, 1),
	(2, 'silver', '银卡会员', 1000, 5, 1.1, 0.98),
	(3, 'gold', '金卡会员', 5000, 20, 1.2, 0.95),
	(4, 'diamond', '钻石会员', 20000, NULL, 1.5, 0.9);

COMMENT ON TABLE retention.tier_default IS 'The shipped ladder, for shops with no rungs in tier; not to be edited: it is not dumped';
COMMENT ON COLUMN retention.tier_default.rung IS 'Height of the rung: of those reached the highest counts';
COMMENT ON COLUMN retention.tier_default.name IS 'Name of the tier';
COMMENT ON COLUMN retention.tier_default.name_zh IS 'Name in Chinese';
COMMENT ON COLUMN retention.tier_default.min_spent IS 'Amount spent that the tier asks for, in the shop''s currency; NULL asks for none';
COMMENT ON COLUMN retention.tier_default.min_purchases IS 'Number of purchases that the tier asks for; NULL asks for none';
COMMENT ON COLUMN retention.tier_default.match IS 'Where both are asked: any (either is enough) or all';
COMMENT ON COLUMN retention.tier_default.multiplier IS 'Points earned are multiplied by it';
COMMENT ON COLUMN retention.tier_default.discount IS 'Share of the price to pay: 0.95 is 5 per cent off (九五折)';
COMMENT ON COLUMN retention.tier_default.member_price IS 'Whether members'' prices apply';
COMMENT ON COLUMN retention.tier_default.purchase_limit IS 'How many of one article the customer may buy where a limit is set; NULL means no limit of the tier';
COMMENT ON COLUMN retention.tier_default.benefits IS 'Anything else the tier brings, for templates and BI';

CREATE TABLE retention.tier (
	shop_id integer NOT NULL,
	rung integer NOT NULL CHECK (rung > 0),
	name text NOT NULL CHECK (name <> ''),
	name_zh text,
	min_spent numeric CHECK (min_spent >= 0 AND min_spent < 'Infinity'),
	min_purchases bigint CHECK (min_purchases >= 0),
	match text NOT NULL DEFAULT 'any' CHECK (match IN ('any', 'all')),
	multiplier numeric NOT NULL DEFAULT 1 CHECK (multiplier >= 0 AND multiplier < 'Infinity'),
	discount numeric NOT NULL DEFAULT 1 CHECK (discount > 0 AND discount <= 1),
	member_price boolean NOT NULL DEFAULT false,
	purchase_limit bigint CHECK (purchase_limit > 0),
	benefits jsonb NOT NULL DEFAULT '{}' CHECK (pg_catalog.jsonb_typeof(benefits) = 'object'),
	PRIMARY KEY (shop_id, name),
	UNIQUE (shop_id, rung)
);

SELECT pg_catalog.pg_extension_config_dump('retention.tier', '');

COMMENT ON TABLE retention.tier IS 'A shop''s own ladder: once it has a rung here, the shipped ladder no longer counts for it';
COMMENT ON COLUMN retention.tier.shop_id IS 'The shop';
COMMENT ON COLUMN retention.tier.rung IS 'Height of the rung: of those reached the highest counts';
COMMENT ON COLUMN retention.tier.name IS 'Name of the tier';
COMMENT ON COLUMN retention.tier.name_zh IS 'Name in Chinese';
COMMENT ON COLUMN retention.tier.min_spent IS 'Amount spent that the tier asks for, in the shop''s currency; NULL asks for none';
COMMENT ON COLUMN retention.tier.min_purchases IS 'Number of purchases that the tier asks for; NULL asks for none';
COMMENT ON COLUMN retention.tier.match IS 'Where both are asked: any (either is enough) or all';
COMMENT ON COLUMN retention.tier.multiplier IS 'Points earned are multiplied by it';
COMMENT ON COLUMN retention.tier.discount IS 'Share of the price to pay: 0.95 is 5 per cent off (九五折)';
COMMENT ON COLUMN retention.tier.member_price IS 'Whether members'' prices apply';
COMMENT ON COLUMN retention.tier.purchase_limit IS 'How many of one article the customer may buy where a limit is set; NULL means no limit of the tier';
COMMENT ON COLUMN retention.tier.benefits IS 'Anything else the tier brings, for templates and BI';

CREATE TRIGGER invalidate_cache
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON retention.tier_default
	FOR EACH STATEMENT EXECUTE FUNCTION retention.invalidate_cache();

CREATE TRIGGER invalidate_cache
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON retention.tier
	FOR EACH STATEMENT EXECUTE FUNCTION retention.invalidate_cache();

-- ---------------------------------------------------------------------------
-- tier_of: the tier reached
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.tier_of(
		spent numeric DEFAULT NULL,
		purchases bigint DEFAULT NULL,
		shop text DEFAULT NULL)
	RETURNS text
	AS 'MODULE_PATHNAME', 'tier_of'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.tier_of(numeric, bigint, text) IS
	'Name of the highest tier reached with so much spent (in the shop''s currency) in so many purchases; what is NULL counts as 0. The ladder is the shop''s own, or the shipped one when it has none or there is no shop yet; without a name the only shop is meant. NULL when not even the lowest tier is reached; an unknown shop, several shops and none named, or NaN is an error';
