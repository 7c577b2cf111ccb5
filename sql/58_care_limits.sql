-- ---------------------------------------------------------------------------
-- Quiet hours
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.quiet_until(at timestamptz, quiet_from time, quiet_to time, time_zone text)
	RETURNS timestamptz
	LANGUAGE plpgsql
	STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	local_time time := (at AT TIME ZONE time_zone)::time;
	local_date date := (at AT TIME ZONE time_zone)::date;
	until timestamptz;
BEGIN
	IF quiet_from < quiet_to THEN
		IF local_time < quiet_from OR local_time >= quiet_to THEN
			RETURN NULL;
		END IF;
	ELSIF quiet_from > quiet_to THEN
		IF local_time < quiet_from AND local_time >= quiet_to THEN
			RETURN NULL;
		END IF;
		IF local_time >= quiet_from THEN
			local_date := local_date + 1;
		END IF;
	ELSE
		RETURN NULL;
	END IF;

	until := (local_date + quiet_to) AT TIME ZONE time_zone;
	-- Of an hour that comes twice the end may be the first, and over.
	RETURN CASE WHEN until > at THEN until ELSE at + interval '1 minute' END;
END
$$;

COMMENT ON FUNCTION retention.quiet_until(timestamptz, time, time, text) IS
	'When the quiet hours end that the moment at lies in, NULL when it lies in none; the hours are of the clock on the wall in the time zone, across midnight when they start later than they end, and follow changes of summer time';

-- ---------------------------------------------------------------------------
-- care_cap: how often a customer may be written to
-- ---------------------------------------------------------------------------

CREATE TABLE retention.care_cap (
	shop_id integer NOT NULL,
	purpose text NOT NULL CHECK (purpose IN ('any', 'transactional', 'care', 'marketing')),
	channel text NOT NULL DEFAULT 'any' CHECK (channel IN ('any', 'sms', 'email', 'wechat', 'call', 'post', 'visit')),
	period interval NOT NULL CHECK (period > interval '0'),
	messages integer NOT NULL DEFAULT 1 CHECK (messages > 0),
	PRIMARY KEY (shop_id, purpose, channel, period)
);

SELECT pg_catalog.pg_extension_config_dump('retention.care_cap', '');

COMMENT ON TABLE retention.care_cap IS 'Frequency caps beside shop.marketing_cap_days: at most so many messages of a purpose by a channel to one customer in a period';
COMMENT ON COLUMN retention.care_cap.shop_id IS 'The shop';
COMMENT ON COLUMN retention.care_cap.purpose IS 'Purpose that is capped; any counts and caps all together';
COMMENT ON COLUMN retention.care_cap.channel IS 'Channel that is capped; any counts and caps all together';
COMMENT ON COLUMN retention.care_cap.period IS 'Any stretch of this length';
COMMENT ON COLUMN retention.care_cap.messages IS 'How many messages may fall into it';

CREATE VIEW retention.care_caps AS
	SELECT s.shop_id, 'marketing' AS purpose, 'any' AS channel, pg_catalog.make_interval(days => s.marketing_cap_days) AS period, 1 AS messages
	FROM retention.shop s
	WHERE s.marketing_cap_days IS NOT NULL
	UNION ALL
	SELECT c.shop_id, c.purpose, c.channel, c.period, c.messages
	FROM retention.care_cap c;

COMMENT ON VIEW retention.care_caps IS 'The frequency caps in force for each shop: one marketing message in marketing_cap_days, and those of care_cap';
COMMENT ON COLUMN retention.care_caps.shop_id IS 'The shop';
COMMENT ON COLUMN retention.care_caps.purpose IS 'Purpose that is capped; any means all together';
COMMENT ON COLUMN retention.care_caps.channel IS 'Channel that is capped; any means all together';
COMMENT ON COLUMN retention.care_caps.period IS 'Any stretch of this length';
COMMENT ON COLUMN retention.care_caps.messages IS 'How many messages may fall into it';

-- ---------------------------------------------------------------------------
-- care_contact: the lock under which caps are counted
-- ---------------------------------------------------------------------------

-- A row of its own for each customer, so that claiming does not lock what
-- orders lock.  It also keeps the counts of messages that were purged.
CREATE TABLE retention.care_contact (
	shop_id integer NOT NULL,
	customer_id text COLLATE "C" NOT NULL,
	claimed_at timestamptz,
	purged_sent bigint NOT NULL DEFAULT 0,
	purged_responses bigint NOT NULL DEFAULT 0,
	PRIMARY KEY (shop_id, customer_id)
) WITH (fillfactor = 80);

SELECT pg_catalog.pg_extension_config_dump('retention.care_contact', '');

COMMENT ON TABLE retention.care_contact IS 'One row for each customer that a capped message was claimed for: the lock under which caps are counted';
COMMENT ON COLUMN retention.care_contact.shop_id IS 'The shop';
COMMENT ON COLUMN retention.care_contact.customer_id IS 'The customer';
COMMENT ON COLUMN retention.care_contact.claimed_at IS 'When a capped message was last claimed';
COMMENT ON COLUMN retention.care_contact.purged_sent IS 'Messages sent that have been purged';
COMMENT ON COLUMN retention.care_contact.purged_responses IS 'Messages answered that have been purged';
