-- Audiences: named conditions over customers, counted before use.
\set ECHO none
\i test/include/start.sql
SET client_min_messages = warning;
SET timezone = 'Asia/Shanghai';
CREATE SCHEMA shop;
CREATE TABLE shop.orders (id integer PRIMARY KEY, customer text, total numeric, paid timestamptz);
CREATE TABLE shop.lines (order_id integer, product text, quantity integer);
CREATE INDEX ON shop.lines (order_id);
CREATE TABLE shop.customers (id text PRIMARY KEY, born date, phone text, city text);
SELECT retention.create_shop('Tea House', 'Asia/Shanghai'), retention.create_shop('Gift Shop', 'Asia/Shanghai');
SELECT retention.attach_orders('shop.orders', 'id', 'customer', 'total', paid_at => 'paid', channel => '''web''', for_shop => 'Tea House');
SELECT retention.attach_lines('shop.lines', 'order_id', 'product', quantity => 'quantity', for_shop => 'Tea House');
SELECT retention.attach_customers('shop.customers', 'id', birthday => 'born', phone => 'phone', attributes => 'jsonb_build_object(''city'', city)', for_shop => 'Tea House');
RESET client_min_messages;
SET retention.clock = '2024-05-15 12:00+08';
INSERT INTO shop.customers VALUES ('ann', '1990-05-20', '138', 'Hefei'), ('bob', NULL, NULL, 'Wuhan'), ('cat', NULL, NULL, NULL),
	('dan', NULL, NULL, NULL), ('eve', NULL, NULL, NULL), ('fay', NULL, NULL, NULL), ('gus', NULL, NULL, NULL), ('hal', NULL, NULL, NULL);
INSERT INTO shop.orders VALUES
	(1, 'ann', 100, '2024-01-31 23:30+08'), (2, 'ann', 100, '2024-05-14 23:30+08'),	-- yesterday
	(3, 'bob', 80, '2024-04-30 00:10+08'),		-- 15 days ago
	(4, 'cat', 80, '2024-04-29 23:50+08'),		-- 16 days ago
	(5, 'dan', 80, '2024-04-15 12:00+08'),		-- 30 days ago
	(6, 'eve', 80, '2024-02-15 12:00+08'),		-- 90 days ago
	(7, 'fay', 80, '2024-02-14 12:00+08'),		-- 91 days ago
	(8, 'gus', 80, '2023-11-01 12:00+08'), (9, 'gus', 80, '2023-11-02 12:00+08');
INSERT INTO shop.lines VALUES (1, 'tea', 2), (2, 'cup', 1), (3, 'tea', 1), (8, 'tea', 1), (9, 'tea', 1);

-- ---------------------------------------------------------------------------
-- The shipped ones are there for every shop, by either name
-- ---------------------------------------------------------------------------

SELECT name, name_zh, description FROM retention.audiences WHERE shop = 'Tea House' ORDER BY name;
CREATE FUNCTION pg_temp.members(audience text, at timestamptz DEFAULT retention.now()) RETURNS text LANGUAGE sql AS
	$$ SELECT string_agg(customer_id, ' ' ORDER BY customer_id) FROM retention.audience_customers(audience, 'Tea House', at) $$;
SELECT name, retention.audience_count(name, 'Tea House') AS count, pg_temp.members(name)
FROM retention.audiences WHERE shop = 'Tea House' ORDER BY name;
SELECT pg_temp.members('近期购买'), retention.audience_count('近期购买', 'Gift Shop');
-- At another moment the days are others.
SELECT pg_temp.members('bought lately', '2024-05-16 12:00+08'), pg_temp.members('new arrivals', '2024-05-16 12:00+08');
SELECT customer_id, name, purchases, spent, last_purchase_at FROM retention.audience_customers('loyal', 'Tea House') ORDER BY 1;
SELECT retention.audience_count('nobody', 'Tea House');
SELECT retention.audience_count('loyal');

-- Who does not answer, and who left a bad review, hears no offers.
UPDATE retention.shop SET suppress_unanswered = 2 WHERE shop_id = 1;
INSERT INTO retention.care_message (shop_id, customer_id, rule, subject, channel, purpose, priority, state, due_at, expires_at, queued_at, changed_at, counted_at, sent_at, responded_at)
SELECT 1, customer, 'news', n::text, 'sms', 'marketing', 1, 'sent', at, at, at, at, at, at, answered
FROM (VALUES ('dan', 1, '2024-04-20'::timestamptz, NULL::timestamptz), ('dan', 2, '2024-04-28', NULL), ('eve', 1, '2024-04-20', '2024-04-21'), ('eve', 2, '2024-04-28', NULL),
	('bob', 1, '2024-04-20', NULL), ('bob', 2, '2024-04-28', NULL), ('cat', 1, '2024-04-30', NULL)) AS sent (customer, n, at, answered);
SELECT pg_temp.members('new arrivals');
SELECT retention.record_feedback('eve', 'review', score => 2, reference => 'r1', happened_at => '2024-05-01', shop => 'Tea House');
SELECT pg_temp.members('new arrivals'), pg_temp.members('responsive'), pg_temp.members('deep discount');
SELECT customer_id, messages_sent, messages_answered, last_message_at, low_response, bad_reviewer, last_review_score
FROM retention.customer_details WHERE messages_sent > 0 ORDER BY 1;
-- It is what claiming a marketing message says too.
UPDATE retention.shop SET suppress_unanswered = NULL, suppress_review_days = NULL WHERE shop_id = 1;
SELECT pg_temp.members('new arrivals');

-- ---------------------------------------------------------------------------
-- The shop's own: over profile, tags, products, scores, orders
-- ---------------------------------------------------------------------------

INSERT INTO retention.customer_tag (shop_id, customer_id, tag) VALUES (1, 'ann', 'vip'), (1, 'ann', 'dry skin'), (1, 'hal', 'vip');
CREATE FUNCTION pg_temp.try(condition text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
BEGIN
	PERFORM retention.define_audience('tried', condition, shop => 'Tea House');
	RETURN coalesce(pg_temp.members('tried'), '(none)');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' / ', SQLSTATE, SQLERRM, detail, hint);
END
$$;
SELECT pg_temp.try(c) FROM unnest(ARRAY[
	'''vip'' = ANY (tags)',
	'customers.attributes ->> ''city'' = ''Hefei'' AND has_phone AND NOT has_email',
	'customer_id IN (SELECT b.customer_id FROM retention.buyers_of(''tea'', shop => ''Tea House'') AS b)',
	'customer_id IN (SELECT b.customer_id FROM retention.buyers_of(''tea'', ''2024-02-01'', shop => customers.shop) AS b)',
	'customer_id IN (SELECT b.customer_id FROM retention.buyers_of(''tea'', shop => ''Tea House'') AS b WHERE b.orders >= 2)',
	'customer_id NOT IN (SELECT b.customer_id FROM retention.buyers_of(''cup'', shop => ''Tea House'') AS b) AND purchases > 0',
	'segment = ''Champions''', 'recency = 5', 'rfm IS NULL', 'p_alive > 0.5 OR clv > 100',
	'extract(month FROM birthday) = 5',
	'(SELECT max(o.value) FROM retention.orders AS o WHERE o.shop_id = customers.shop_id AND o.customer_id = customers.customer_id) >= 100',
	'customer_id IN (SELECT a.customer_id FROM retention.audience_customers(''loyal'', ''Tea House'') AS a) AND recency_days > 30',
	'last_purchase_at < now() - interval ''100 years''', 'NULL',
	-- A comment at its end hides nothing.
	'purchases = 1 AND customer_id < ''c'' -- only some']) AS c;
-- Days are the shop's, whoever asks: eve bought at noon on the 15th.
SET timezone = 'America/New_York';
SET datestyle = 'German';
SELECT pg_temp.try('last_purchase_at::date::text = ''2024-02-15''');
SET datestyle = 'ISO, YMD';
SET timezone = 'Asia/Shanghai';

-- What customers says of them is what a condition sees.
SELECT count(*) AS shops_customers, count(*) FILTER (WHERE to_jsonb(d) @> to_jsonb(c)) AS same
FROM retention.customers AS c JOIN retention.customer_details AS d USING (shop_id, customer_id);

-- A customer who wants to be forgotten is in none.
SELECT retention.forget_customer('fay', 'Tea House');
SELECT pg_temp.members('responsive');

-- Written anew; a shipped one replaced, and in force again.
SELECT retention.define_audience('loyal', 'purchases >= 5', 'five and more', shop => 'Tea House');
SELECT name, name_zh, condition, description, shipped FROM retention.audiences WHERE shop = 'Tea House' AND name IN ('loyal', 'tried') ORDER BY name;
SELECT shop, shipped FROM retention.audiences WHERE name = 'loyal' ORDER BY shop;
SELECT retention.audience_count('loyal', 'Tea House'), retention.audience_count('忠实老客户', 'Tea House');
SELECT retention.drop_audience('loyal', 'Tea House');
SELECT retention.drop_audience('loyal', 'Tea House');
SELECT retention.audience_count('loyal', 'Tea House');
SELECT retention.define_audience('', 'true', shop => 'Tea House');
SELECT retention.define_audience('x', NULL, shop => 'Tea House');
SELECT retention.define_audience('x', 'true', shop => 'No Shop');

-- ---------------------------------------------------------------------------
-- Of an order, for rules
-- ---------------------------------------------------------------------------

SELECT retention.check_condition('purchase.value >= 100', true) = current_user AS checked, retention.check_condition(NULL) AS none;
SELECT retention.check_condition('purchase.value >= 100', what => 'rule "big"');
SELECT * FROM retention.purchases_where(1, 'purchase.value >= 100 AND purchases = 2 AND purchase.channel = ''web''', NULL, retention.now(),
	ARRAY['ann', 'ann', 'gus'], ARRAY[1, 1, 1], ARRAY['1', '2', '8']) ORDER BY 2;
SELECT * FROM retention.purchases_where(1, 'true', NULL, retention.now(), ARRAY['ann', 'gus'], ARRAY[1, 1], ARRAY['2', '9']) ORDER BY 2;
SELECT * FROM retention.customers_where(1, 'purchases > 0', NULL, retention.now(), ARRAY['ann', 'hal', 'nobody']);
-- One customer is looked up by key, not by reading and ranking all.
CREATE FUNCTION pg_temp.reads(condition text) RETURNS TABLE (step text) LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL enable_seqscan = off;
	FOR step IN EXECUTE 'EXPLAIN (COSTS off) SELECT customer_id FROM retention.customer_details AS customers WHERE shop_id = 1 AND customer_id = ''ann'' AND (' || condition || ')' LOOP
		step := substring(step FROM '(WindowAgg|Seq Scan on \w+)');
		IF step IS NOT NULL THEN
			RETURN NEXT;
		END IF;
	END LOOP;
END
$$;
SELECT * FROM pg_temp.reads('purchases > 1 AND recency_days < 10 AND ''vip'' = ANY (tags) AND NOT low_response AND NOT bad_reviewer AND messages_sent = 0 AND tier IS NULL');
SELECT * FROM pg_temp.reads('recency = 5');

SET client_min_messages = warning;
DROP SCHEMA shop CASCADE;
\set ECHO none
\i test/include/stop.sql
