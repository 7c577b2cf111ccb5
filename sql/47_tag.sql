-- ---------------------------------------------------------------------------
-- customer_tag: labels of customers
-- ---------------------------------------------------------------------------

CREATE TABLE retention.customer_tag (
	shop_id integer NOT NULL,
	customer_id text COLLATE "C" NOT NULL,
	tag text NOT NULL CHECK (tag <> ''),
	rule text,
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
COMMENT ON COLUMN retention.customer_tag.rule IS 'The tag rule that gave it and may take it away again; NULL when it was given by hand';
COMMENT ON COLUMN retention.customer_tag.given_at IS 'When it was given';
COMMENT ON COLUMN retention.customer_tag.given_by IS 'Staff member who gave it by hand, when that was said';
