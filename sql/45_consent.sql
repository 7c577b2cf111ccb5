-- ---------------------------------------------------------------------------
-- customer_consent: what a customer has agreed to, or has refused
-- ---------------------------------------------------------------------------

CREATE TABLE retention.customer_consent (
	shop_id integer NOT NULL,
	customer_id text COLLATE "C" NOT NULL,
	channel text NOT NULL CHECK (channel IN ('sms', 'email', 'wechat', 'call', 'post', 'visit')),
	purpose text NOT NULL CHECK (purpose IN ('transactional', 'care', 'marketing')),
	granted boolean NOT NULL,
	decided_at timestamptz NOT NULL DEFAULT retention.now(),
	how text,
	PRIMARY KEY (shop_id, customer_id, channel, purpose)
);

SELECT pg_catalog.pg_extension_config_dump('retention.customer_consent', '');

COMMENT ON TABLE retention.customer_consent IS 'A customer''s last decision on being written to, by channel and purpose; no row means that the customer has not decided';
COMMENT ON COLUMN retention.customer_consent.shop_id IS 'The shop';
COMMENT ON COLUMN retention.customer_consent.customer_id IS 'The customer';
COMMENT ON COLUMN retention.customer_consent.channel IS 'sms, email, wechat, call, post or visit';
COMMENT ON COLUMN retention.customer_consent.purpose IS 'transactional, care or marketing';
COMMENT ON COLUMN retention.customer_consent.granted IS 'true: agreed; false: refused or opted out';
COMMENT ON COLUMN retention.customer_consent.decided_at IS 'When the customer decided';
COMMENT ON COLUMN retention.customer_consent.how IS 'How: the attached table''s name, reply to a message, a form, by phone, ...';
