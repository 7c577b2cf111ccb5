-- Offer codes: one for each member, good once, for its customer alone.
\set ECHO none
\i test/include/start.sql
SET timezone = 'UTC';
SET retention.clock = '2024-05-01 12:00+00';
INSERT INTO retention.shop (shop_id, name, time_zone, language, marketing_consent) VALUES (1, 'Tea House', 'UTC', 'en', 'opt_out');
INSERT INTO retention.customer (shop_id, customer_id, nickname, phone) SELECT 1, n::text, 'N' || n, '138' || n FROM generate_series(1, 200) AS n;
SELECT retention.define_audience('everybody', 'true');
SELECT retention.create_campaign('offer', 'everybody', 0.5), retention.add_campaign_step('offer', text => 'Your code: {{offer_code}}');
-- Codes are random: the test keeps them by customer.
CREATE FUNCTION pg_temp.code(customer text) RETURNS text LANGUAGE sql AS $$ SELECT code FROM retention.offer_code WHERE customer_id = customer $$;
-- Errors name the code: shown without it.
CREATE FUNCTION pg_temp.try(code text, customer text, reference text, at timestamptz DEFAULT retention.now()) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record;
	detail text;
BEGIN
	SELECT * INTO r FROM retention.redeem_offer(code, customer, reference, at);
	RETURN format('%s: %s, at %s', r.campaign, r.terms, r.redeemed_at);
EXCEPTION
	WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
		RETURN regexp_replace(concat_ws(' | ', SQLSTATE, SQLERRM, nullif(detail, '')), '"[0-9A-Z]{12}"', '"CODE"', 'g');
END
$$;

-- ---------------------------------------------------------------------------
-- Saying what is offered
-- ---------------------------------------------------------------------------

SELECT retention.start_campaign('offer');
SELECT retention.set_campaign_offer('offer', '20 off', min_tier => 'diamond');
SELECT retention.set_campaign_offer('offer', ' ');
SELECT retention.set_campaign_offer('offer', '20 off', valid_from => '2024-05-02', valid_until => '2024-05-01');
SELECT retention.set_campaign_offer('offers', '20 off');
SELECT retention.set_campaign_offer('offer', '20 off', valid_from => '2024-05-02', valid_until => '2024-06-01');
SELECT example_text FROM retention.preview_campaign('offer');
SELECT count(*) FROM retention.offer_code;

-- ---------------------------------------------------------------------------
-- One for each member who is written to, and nobody else
-- ---------------------------------------------------------------------------

SELECT retention.start_campaign('offer');
SELECT m.arm, count(*) AS members, count(o.code) AS codes, count(DISTINCT o.code) AS different, bool_and(o.code ~ '^[0-9A-HJKMNP-TV-Z]{12}$') AS readable
FROM retention.campaign_member m LEFT JOIN retention.offer_code o USING (shop_id, campaign, customer_id) GROUP BY 1 ORDER BY 1;
SELECT count(*) AS wrong_code FROM retention.claim_messages('sms') AS c WHERE c.text <> '[Tea House] Your code: ' || pg_temp.code(c.customer_id);
-- Each character is as likely as any: chi-squared over 32, 31 degrees of freedom: above 100 once in a hundred million runs.
SELECT sum((n - 3750) ^ 2 / 3750.0) < 100 AS even FROM (
	SELECT c, count(*) AS n FROM generate_series(1, 10000) AS g, LATERAL regexp_split_to_table(retention.new_offer_code() || left(g::text, 0), '') AS c GROUP BY 1) AS counts;
CREATE TEMP TABLE who AS SELECT row_number() OVER (ORDER BY customer_id) AS n, customer_id FROM retention.offer_code;
SELECT customer_id AS ann FROM who WHERE n = 1 \gset
SELECT customer_id AS bob FROM who WHERE n = 2 \gset
SELECT customer_id AS cat FROM who WHERE n = 3 \gset

-- ---------------------------------------------------------------------------
-- Redeeming
-- ---------------------------------------------------------------------------

SELECT pg_temp.try(pg_temp.code(:'ann'), :'ann', 'order 1') AS not_yet;
SET retention.clock = '2024-05-03 12:00+00';
SELECT pg_temp.try('NONE', :'ann', 'order 1') AS unknown, pg_temp.try(NULL, :'ann', 'order 1') AS null_code;
SELECT pg_temp.try(pg_temp.code(:'ann'), :'bob', 'order 1') AS another_customer, pg_temp.try(pg_temp.code(:'ann'), NULL, 'order 1') AS nobody;
SELECT pg_temp.try(pg_temp.code(:'ann'), :'ann', NULL) AS no_reference, pg_temp.try(pg_temp.code(:'ann'), :'ann', ' ') AS blank;
SELECT campaign, terms, refusal FROM retention.check_offer(pg_temp.code(:'ann'), :'ann');
SELECT pg_temp.try(pg_temp.code(:'ann'), :'ann', 'order 1') AS first, pg_temp.try(pg_temp.code(:'ann'), :'ann', 'order 1', '2024-07-01') AS again,
	pg_temp.try(pg_temp.code(:'ann'), :'ann', 'order 2') AS used, pg_temp.try(pg_temp.code(:'ann'), :'bob', 'order 1') AS by_another;
SELECT regexp_replace(refusal, '"[0-9A-Z]{12}"', '"CODE"') FROM retention.check_offer(pg_temp.code(:'ann'), :'ann');
-- As people type it.
SELECT pg_temp.try(lower(overlay(overlay(replace(replace(pg_temp.code(:'bob'), '0', 'o'), '1', 'l') placing '-' from 5 for 0) placing ' ' from 10 for 0)), :'bob', 'order 3') AS typed;
SELECT pg_temp.try(pg_temp.code(:'cat'), :'cat', 'order 4', '2024-06-01') AS expired, pg_temp.try(pg_temp.code(:'cat'), :'cat', 'order 4', '2024-05-31 23:59:59') AS last_moment;
SELECT count(*) FILTER (WHERE redeemed_at IS NOT NULL), min(reference), max(reference) FROM retention.offer_code;
-- Customers numbered by integer.
SELECT r.campaign, r.terms FROM who, LATERAL retention.redeem_offer(pg_temp.code(who.customer_id), who.customer_id::integer, 'order 5') AS r WHERE n = 4;

-- A tier is needed when it is used; the offer may be changed for codes issued.
SELECT retention.set_campaign_offer('offer', '30 off', min_tier => (SELECT name FROM retention.ladder() WHERE rung = 2));
SELECT customer_id AS dan FROM who WHERE n = 5 \gset
SELECT pg_temp.try(pg_temp.code(:'dan'), :'dan', 'order 6') AS too_low;
INSERT INTO retention.tier (shop_id, rung, name, min_spent) VALUES (1, 1, 'guest', NULL), (1, 2, 'friend', 100), (1, 3, 'family', 1000);
SELECT retention.set_campaign_offer('offer', '30 off', min_tier => 'friend');
SET client_min_messages = warning;
CREATE SCHEMA shop;
CREATE TABLE shop.orders (id integer PRIMARY KEY, customer text, total numeric, paid timestamptz);
SELECT retention.attach_orders('shop.orders', 'id', 'customer', 'total', paid_at => 'paid');
RESET client_min_messages;
INSERT INTO shop.orders VALUES (1, :'dan', 99, '2024-05-02');
SELECT pg_temp.try(pg_temp.code(:'dan'), :'dan', 'order 6') AS too_low;
INSERT INTO shop.orders VALUES (2, :'dan', 901, '2024-05-02');
SELECT retention.customer_tier(:'dan');
SELECT pg_temp.try(pg_temp.code(:'dan'), :'dan', 'order 6') AS high_enough;

-- A reference names one redemption.
SELECT retention.create_campaign('second', 'everybody', 0), retention.add_campaign_step('second', text => 'And {{offer_code}}'), retention.set_campaign_offer('second', 'a cup');
SELECT retention.start_campaign('second');
SELECT pg_temp.try((SELECT code FROM retention.offer_code WHERE campaign = 'second' AND customer_id = :'ann'), :'ann', 'order 1') AS same_reference;
SELECT pg_temp.try((SELECT code FROM retention.offer_code WHERE campaign = 'second' AND customer_id = :'ann'), :'ann', 'order 1b') AS another;
-- A stopped campaign's codes stay good; a started one gets no offer.
SELECT retention.stop_campaign('second');
SELECT pg_temp.try((SELECT code FROM retention.offer_code WHERE campaign = 'second' AND customer_id = :'bob'), :'bob', 'order 7') AS after_stop;
SELECT retention.create_campaign('third', 'everybody'), retention.add_campaign_step('third', text => 'Hello');
SELECT retention.start_campaign('third');
SELECT retention.set_campaign_offer('third', 'too late');

-- ---------------------------------------------------------------------------
-- Invitations: who replied, who came; what is forgotten of a person
-- ---------------------------------------------------------------------------

SELECT retention.create_campaign('tasting', 'everybody', 0.5, event_at => '2024-05-20 19:30+00', event_place => 'Long Street 1');
SELECT retention.add_campaign_step('tasting', text => '{{event.at}}, {{event.place}}. Reply?');
SELECT example_text FROM retention.preview_campaign('tasting');
SELECT retention.start_campaign('tasting');
SELECT retention.record_reply('tasting', '1', 'perhaps');
SELECT retention.record_reply('tasting', 'x', 'accepted');
SELECT retention.record_attendance('tasting', 'x');
SELECT retention.record_reply('tastings', '1', 'accepted');
SELECT retention.record_reply('tasting', '1', 'accepted', 'I come with Li Lei', '2024-05-05'), retention.record_reply('tasting', 1, 'declined', at => '2024-05-04'),
	retention.record_reply('tasting', 2, 'accepted', at => '2024-05-04'), retention.record_reply('tasting', '2', 'undecided', at => '2024-05-05'), retention.record_reply('tasting', 3, 'accepted');
SELECT retention.record_attendance('tasting', 1, '2024-05-20'), retention.record_attendance('tasting', '1', '2024-05-21'), retention.record_attendance('tasting', '4', '2024-05-20');
SELECT customer_id, arm, reply, replied_at, attended_at, note FROM retention.campaign_member WHERE campaign = 'tasting' AND customer_id IN ('1', '2', '3', '4') ORDER BY 1;
SELECT arm, targeted, accepted, attended FROM retention.campaign_effect('tasting') WHERE step IS NULL;
SELECT accepted, attended FROM retention.campaigns WHERE name = 'tasting';

SELECT retention.forget_customer('1'), retention.forget_customer(:'ann'), retention.forget_customer(:'dan');
SELECT customer_id, arm, reply, note FROM retention.campaign_member WHERE campaign = 'tasting' AND customer_id = '1';
SELECT customer_id = :'ann' AS ann, campaign, reference FROM retention.offer_code WHERE customer_id IN (:'ann', :'dan') ORDER BY 1 DESC, 2;
SELECT state, reason, count(*) FROM retention.care_message WHERE customer_id = :'dan' GROUP BY 1, 2 ORDER BY 1;
-- Nor is anything queued for them later.
SELECT retention.create_campaign('later', 'everybody', 0), retention.add_campaign_step('later', text => 'Hello');
SELECT retention.start_campaign('later') > 0 AS started;
SELECT count(*) FROM retention.care_message WHERE rule = 'campaign:later:1' AND customer_id IN ('1', :'ann', :'dan');

DROP SCHEMA shop CASCADE;
\set ECHO none
\i test/include/stop.sql
