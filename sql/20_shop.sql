-- ---------------------------------------------------------------------------
-- shop: a loyalty programme and its settings
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.profile_fields_valid(profile_fields jsonb)
	RETURNS boolean
	LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	field record;
BEGIN
	IF jsonb_typeof(profile_fields) <> 'object' THEN
		RAISE EXCEPTION 'profile_fields must be a JSON object, not %', profile_fields
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Write {"phone": 1, "habits": 4}: each field with its weight.';
	END IF;
	FOR field IN
		SELECT f.key, f.value
		FROM jsonb_each(profile_fields) AS f
	LOOP
		IF jsonb_typeof(field.value) <> 'number' OR (field.value #>> '{}')::numeric <= 0 THEN
			RAISE EXCEPTION 'the weight of profile field "%" cannot be %', field.key, field.value
				USING ERRCODE = 'invalid_parameter_value',
					HINT = 'A weight is a number above 0; leave out a field that does not count.';
		END IF;
	END LOOP;
	RETURN true;
END
$$;

COMMENT ON FUNCTION retention.profile_fields_valid(jsonb) IS 'Whether this is a JSON object of fields and weights above 0; anything else is an error that names it';

-- The column defaults are the default shop: attaching a source makes the row
-- when there is none, so that the script never inserts into a dumped table.
CREATE TABLE retention.shop (
	shop_id integer PRIMARY KEY CHECK (shop_id > 0),
	name text NOT NULL UNIQUE,
	time_zone text NOT NULL DEFAULT pg_catalog.current_setting('TimeZone')
		CHECK (pg_catalog.timezone(time_zone, timestamptz '2000-01-01 00:00:00+00') IS NOT NULL),
	currency text NOT NULL DEFAULT 'CNY',
	signature text,
	language text NOT NULL DEFAULT 'zh' CHECK (language IN ('zh', 'en')),
	new_customer_days integer NOT NULL DEFAULT 30 CHECK (new_customer_days > 0),
	long_absent_days integer NOT NULL DEFAULT 180 CHECK (long_absent_days > 0),
	on_error text NOT NULL DEFAULT 'warn' CHECK (on_error IN ('warn', 'raise')),
	points_rate numeric NOT NULL DEFAULT 1 CHECK (points_rate BETWEEN 0 AND 10000),
	points_value numeric NOT NULL DEFAULT 0.02 CHECK (points_value BETWEEN 0 AND 1000000),
	accrue_on text NOT NULL DEFAULT 'completed' CHECK (accrue_on IN ('paid', 'completed')),
	accrue_after_days integer NOT NULL DEFAULT 0 CHECK (accrue_after_days BETWEEN 0 AND 3650),
	points_rounding text NOT NULL DEFAULT 'down' CHECK (points_rounding IN ('down', 'nearest', 'up')),
	points_expiry text NOT NULL DEFAULT 'none'
		CHECK (points_expiry IN ('none', 'months', 'end_of_month', 'end_of_quarter', 'end_of_year')),
	points_expiry_months integer NOT NULL DEFAULT 12 CHECK (points_expiry_months BETWEEN 0 AND 1200),
	debt_policy text NOT NULL DEFAULT 'debt' CHECK (debt_policy IN ('debt', 'forgive')),
	hold_timeout interval NOT NULL DEFAULT '30 minutes' CHECK (hold_timeout > interval '0' AND hold_timeout <= interval '100 years'),
	birthday_multiplier numeric NOT NULL DEFAULT 1 CHECK (birthday_multiplier BETWEEN 0 AND 1000),
	member_day integer CHECK (member_day BETWEEN 1 AND 31),
	member_day_multiplier numeric NOT NULL DEFAULT 1 CHECK (member_day_multiplier BETWEEN 0 AND 1000),
	joining_bonus bigint NOT NULL DEFAULT 0 CHECK (joining_bonus >= 0),
	joining_bonus_from timestamptz NOT NULL DEFAULT retention.now(),
	referral_bonus bigint NOT NULL DEFAULT 0 CHECK (referral_bonus >= 0),
	referred_bonus bigint NOT NULL DEFAULT 0 CHECK (referred_bonus >= 0),
	referral_from timestamptz NOT NULL DEFAULT retention.now(),
	tier_window interval CHECK (tier_window > interval '0' AND tier_window <= interval '100 years'),
	tier_grace interval CHECK (tier_grace > interval '0' AND tier_grace <= interval '100 years'),
	tier_downgrade text NOT NULL DEFAULT 'balance' CHECK (tier_downgrade IN ('balance', 'one_rung')),
	week_start text NOT NULL DEFAULT 'monday'
		CHECK (week_start IN ('monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday')),
	quiet_from time DEFAULT '21:00',
	quiet_to time DEFAULT '08:00',
	marketing_consent text NOT NULL DEFAULT 'opt_in' CHECK (marketing_consent IN ('opt_in', 'opt_out')),
	marketing_cap_days integer DEFAULT 7 CHECK (marketing_cap_days > 0),
	suppress_unanswered integer DEFAULT 10 CHECK (suppress_unanswered > 0),
	suppress_review_days integer DEFAULT 180 CHECK (suppress_review_days > 0),
	suppress_p_alive double precision CHECK (suppress_p_alive > 0 AND suppress_p_alive <= 1),
	care_max_attempts integer NOT NULL DEFAULT 5 CHECK (care_max_attempts > 0),
	attribution_days integer NOT NULL DEFAULT 7 CHECK (attribution_days > 0),
	profile_fields jsonb NOT NULL
		DEFAULT '{"name": 1, "sex": 1, "region": 1, "phone": 1, "wechat": 1, "birthday": 1, "habits": 4, "taste": 4, "family": 4, "service": 4}'
		CHECK (retention.profile_fields_valid(profile_fields)),
	complaint_answer_days integer NOT NULL DEFAULT 0 CHECK (complaint_answer_days >= 0),
	complaint_solve_days integer NOT NULL DEFAULT 3 CHECK (complaint_solve_days >= 0),
	forecast_model text NOT NULL DEFAULT 'mbgnbd' CHECK (forecast_model IN ('bgnbd', 'mbgnbd')),
	forecast_days integer NOT NULL DEFAULT 365 CHECK (forecast_days BETWEEN 1 AND 3650),
	forecast_discount numeric NOT NULL DEFAULT 0.1 CHECK (forecast_discount BETWEEN 0 AND 10),
	forecast_refit_days integer NOT NULL DEFAULT 7 CHECK (forecast_refit_days > 0),
	rfm_cuts retention.rfm_cuts CHECK (
		rfm_cuts IS NULL
		OR ((rfm_cuts).recency IS NOT NULL AND (rfm_cuts).frequency IS NOT NULL AND (rfm_cuts).monetary IS NOT NULL)
	),
	CHECK (points_expiry <> 'months' OR points_expiry_months > 0)
);

SELECT pg_catalog.pg_extension_config_dump('retention.shop', '');

COMMENT ON TABLE retention.shop IS 'A loyalty programme: one row a shop, made by the first attach or by create_shop()';
COMMENT ON COLUMN retention.shop.shop_id IS 'Number of the shop, from 1';
COMMENT ON COLUMN retention.shop.name IS 'Name of the shop, by which functions are told which one is meant';
COMMENT ON COLUMN retention.shop.time_zone IS 'The shop''s own time zone: its days, and its timestamps without time zone';
COMMENT ON COLUMN retention.shop.currency IS 'ISO code of the currency that amounts are kept in';
COMMENT ON COLUMN retention.shop.signature IS 'Signature of messages, shown as 【signature】; NULL means the name';
COMMENT ON COLUMN retention.shop.language IS 'Language of its messages: zh (Chinese) or en (English)';
COMMENT ON COLUMN retention.shop.new_customer_days IS 'A customer is new for so many days after the first purchase';
COMMENT ON COLUMN retention.shop.long_absent_days IS 'A customer is long absent after so many days without a purchase';
COMMENT ON COLUMN retention.shop.on_error IS 'What a broken facts query does to the shop''s write: warn (it goes through, the order is remembered in sync_error) or raise';
COMMENT ON COLUMN retention.shop.points_rate IS 'Points for one unit of currency, before any multiplier';
COMMENT ON COLUMN retention.shop.points_value IS 'Currency that one point is worth when redeemed';
COMMENT ON COLUMN retention.shop.accrue_on IS 'The event that earns points: paid or completed';
COMMENT ON COLUMN retention.shop.accrue_after_days IS 'Days between that event and the accrual';
COMMENT ON COLUMN retention.shop.points_rounding IS 'How an order''s points are rounded to a whole number: down, nearest or up';
COMMENT ON COLUMN retention.shop.points_expiry IS 'When points lapse: none (never), months (so many months after they were earned), or end_of_month, end_of_quarter, end_of_year (at the end of the period in which those months are over)';
COMMENT ON COLUMN retention.shop.points_expiry_months IS 'Months of points_expiry; 0 with end_of_year is the end of the year the points were earned in';
COMMENT ON COLUMN retention.shop.hold_timeout IS 'How long hold() keeps points aside when it is not told';
COMMENT ON COLUMN retention.shop.birthday_multiplier IS 'Points of an order paid on the customer''s birthday are multiplied by it, beside the tier''s multiplier; 1 switches it off. Where it is also member day the larger counts';
COMMENT ON COLUMN retention.shop.member_day IS 'Day of the month that is member day (会员日); NULL for none';
COMMENT ON COLUMN retention.shop.member_day_multiplier IS 'Points of an order paid on member day are multiplied by it, beside the tier''s multiplier';
COMMENT ON COLUMN retention.shop.joining_bonus IS 'Points for joining, posted by run(); 0 for none';
COMMENT ON COLUMN retention.shop.joining_bonus_from IS 'Customers who joined before get no joining bonus; set to the present moment when the bonus is switched on';
COMMENT ON COLUMN retention.shop.referral_bonus IS 'Points for the referrer after the first completed purchase of a customer referred, posted by run(); 0 for none';
COMMENT ON COLUMN retention.shop.referred_bonus IS 'Points for the customer referred, at the same time; 0 for none';
COMMENT ON COLUMN retention.shop.referral_from IS 'Purchases completed before bring no referral bonus; set to the present moment when a bonus is switched on';
COMMENT ON COLUMN retention.shop.debt_policy IS 'When reversed points are already spent: debt (repaid by the next accruals) or forgive';
COMMENT ON COLUMN retention.shop.tier_window IS 'How far back purchases count towards a tier; NULL means for ever';
COMMENT ON COLUMN retention.shop.tier_grace IS 'How long a customer keeps a tier whose conditions are no longer met; NULL means not at all';
COMMENT ON COLUMN retention.shop.tier_downgrade IS 'Where a downgrade leads: balance (to the tier whose conditions are met) or one_rung (to the next lower one, with a grace period of its own)';
COMMENT ON COLUMN retention.shop.quiet_from IS 'No message goes out from this time of the shop''s day on; NULL, or equal to quiet_to, means no quiet hours';
COMMENT ON COLUMN retention.shop.quiet_to IS 'Messages go out again from this time of the shop''s day on';
COMMENT ON COLUMN retention.shop.marketing_consent IS 'opt_in: marketing goes only to those who agreed to it; opt_out: to all who have not refused';
COMMENT ON COLUMN retention.shop.marketing_cap_days IS 'A customer gets one marketing message in so many days, whatever the channel; NULL means no such cap. care_cap adds others';
COMMENT ON COLUMN retention.shop.suppress_unanswered IS 'No marketing to those who answered none of their last so many marketing messages and bought nothing since; NULL means never';
COMMENT ON COLUMN retention.shop.suppress_review_days IS 'No marketing for so many days after a bad review; NULL means never';
COMMENT ON COLUMN retention.shop.suppress_p_alive IS 'No marketing to those who are still customers with a probability below this one, by customer_forecast; who has bought since that was made, or has no forecast, is written to. NULL means never';
COMMENT ON COLUMN retention.shop.care_max_attempts IS 'A message is given up after it was tried so many times';
COMMENT ON COLUMN retention.shop.attribution_days IS 'A purchase counts as the effect of messages sent up to so many days before it was paid';
COMMENT ON COLUMN retention.shop.profile_fields IS 'The fields that make a customer''s profile complete, each with its weight; soft facts count four times as much as hard ones by default';
COMMENT ON COLUMN retention.shop.complaint_answer_days IS 'A complaint is to be answered by the end of the day so many days after it was made: 0 is the same day';
COMMENT ON COLUMN retention.shop.complaint_solve_days IS 'A complaint is to be solved by the end of the day so many days after it was made';
COMMENT ON COLUMN retention.shop.forecast_model IS 'Model of the forecast: mbgnbd, or bgnbd, by which nobody leaves after a single purchase';
COMMENT ON COLUMN retention.shop.forecast_days IS 'How many days ahead expected purchases and customer lifetime value look';
COMMENT ON COLUMN retention.shop.forecast_discount IS 'By how much a purchase a year from now is worth less: 0.1 is 10 per cent';
COMMENT ON COLUMN retention.shop.forecast_refit_days IS 'The forecast''s models are fitted again after so many days';
COMMENT ON COLUMN retention.shop.rfm_cuts IS 'Frozen cut points of its RFM scores, as rfm_cuts() returns them, all three sets; those of recency go with time from their moment on. NULL: scores are by fifths of its customers at the time';
COMMENT ON COLUMN retention.shop.week_start IS 'The day on which the shop''s weeks begin: monday, ..., sunday';

-- A bonus that is switched on counts from then on, not for the past.
CREATE FUNCTION retention.date_bonus()
	RETURNS trigger
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF OLD.joining_bonus = 0 AND NEW.joining_bonus > 0
		AND NEW.joining_bonus_from = OLD.joining_bonus_from THEN
		NEW.joining_bonus_from := retention.now();
	END IF;
	IF OLD.referral_bonus + OLD.referred_bonus = 0 AND NEW.referral_bonus + NEW.referred_bonus > 0
		AND NEW.referral_from = OLD.referral_from THEN
		NEW.referral_from := retention.now();
	END IF;
	RETURN NEW;
END
$$;

COMMENT ON FUNCTION retention.date_bonus() IS 'Trigger on shop: dates a bonus that is switched on, unless its date is set in the same statement';

CREATE TRIGGER date_bonus
	BEFORE UPDATE ON retention.shop
	FOR EACH ROW EXECUTE FUNCTION retention.date_bonus();

-- ---------------------------------------------------------------------------
-- Cached settings
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.invalidate_cache()
	RETURNS trigger
	AS 'MODULE_PATHNAME', 'invalidate_cache'
	LANGUAGE C;

COMMENT ON FUNCTION retention.invalidate_cache() IS
	'Trigger on tables that sessions keep in memory: tells all of them to read the table again';

CREATE TRIGGER invalidate_cache
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON retention.shop
	FOR EACH STATEMENT EXECUTE FUNCTION retention.invalidate_cache();
