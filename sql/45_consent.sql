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

CREATE FUNCTION retention.normal_consents(consents jsonb)
	RETURNS jsonb
	LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	said record;
	normal jsonb := '{}';
BEGIN
	IF jsonb_typeof(consents) = 'null' THEN
		RETURN NULL;
	END IF;
	IF jsonb_typeof(consents) <> 'object' THEN
		RAISE EXCEPTION 'consents must be a JSON object, not %', consents
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Write jsonb_build_object(''sms'', accepts_sms, ''email'', accepts_mails).';
	END IF;
	FOR said IN
		SELECT
			split_part(c.key, '.', 1) AS channel,
			CASE WHEN strpos(c.key, '.') > 0 THEN substr(c.key, strpos(c.key, '.') + 1) ELSE 'marketing' END AS purpose,
			c.key,
			c.value
		FROM jsonb_each(consents) AS c
	LOOP
		IF said.channel NOT IN ('sms', 'email', 'wechat', 'call', 'post', 'visit')
			OR said.purpose NOT IN ('transactional', 'care', 'marketing')
		THEN
			RAISE EXCEPTION 'consents cannot have the key "%"', said.key
				USING ERRCODE = 'invalid_parameter_value',
					HINT = 'Keys are a channel (sms, email, wechat, call, post, visit), for marketing, or channel.purpose, the purpose being transactional, care or marketing.';
		END IF;
		IF jsonb_typeof(said.value) = 'boolean' THEN
			normal := normal || jsonb_build_object(said.channel || '.' || said.purpose, said.value);
		ELSIF jsonb_typeof(said.value) <> 'null' THEN
			RAISE EXCEPTION 'consents must be true, false or null, not %', said.value
				USING ERRCODE = 'invalid_parameter_value',
					HINT = 'Write an expression that gives a boolean.';
		END IF;
	END LOOP;
	RETURN normal;
END
$$;

COMMENT ON FUNCTION retention.normal_consents(jsonb) IS
	'Consents as customers'' tables give them, {"sms": true, "email.care": false}, with every key as channel.purpose; a channel alone means marketing, null values are left out. Other keys and values are an error; NULL gives NULL';
