-- Tags by hand and by rule, and what staff note of customers.
\set ECHO none
\i test/include/start.sql
SET client_min_messages = warning;
DROP ROLE IF EXISTS tag_writer;
CREATE ROLE tag_writer IN ROLE retention_operator;
CREATE SCHEMA shop;
CREATE TABLE shop.orders (id integer PRIMARY KEY, customer integer, total numeric, paid timestamptz);
CREATE TABLE shop.customers (id integer PRIMARY KEY, name text, phone text, clerk text);
SELECT retention.create_shop('Tea House');
SELECT retention.attach_orders('shop.orders', 'id', 'customer', 'total', paid_at => 'paid', completed_at => 'paid');
SELECT retention.attach_customers('shop.customers', 'id', name => 'name', phone => 'phone', attributes => $$jsonb_build_object('registered_by', clerk)$$);
INSERT INTO shop.customers VALUES (1, 'Ann', '138', NULL), (2, 'Bob', NULL, 'mei'), (3, '', NULL, NULL), (4, 'Dan', NULL, NULL);
INSERT INTO shop.orders VALUES (1, 1, 100, '2024-04-30'), (2, 2, 500, '2024-04-30'), (3, 3, 30, '2024-04-01'), (4, 4, 700, '2024-04-01');
RESET client_min_messages;
CREATE FUNCTION pg_temp.all_tags() RETURNS text LANGUAGE sql AS
	$$ SELECT string_agg(concat(customer_id, ':', tag, CASE WHEN by_rule THEN '*' END), ' ' ORDER BY customer_id, tag) FROM retention.customer_tag $$;

-- ---------------------------------------------------------------------------
-- Rules give and take; what was given by hand stays
-- ---------------------------------------------------------------------------

SET ROLE tag_writer;
SELECT retention.tag_customer(1, 'spender', 'mei'), retention.tag_customer('3', 'tea lover');
SELECT retention.define_tag_rule('spender', 'spent >= 500', 'Spends much');
SELECT retention.define_tag_rule('lately', 'recency_days <= 7');
RESET ROLE;
SELECT pg_temp.all_tags() AS before_run;
CALL retention.run();
SELECT pg_temp.all_tags();
SELECT customer_id, tag, given_at, given_by FROM retention.customer_tag WHERE tag = 'spender' ORDER BY 1;
-- Running it again changes nothing, not even what is the same.
SELECT string_agg(concat(t.ctid, t.xmin, t), ';' ORDER BY t.ctid) AS tags_before FROM retention.customer_tag t \gset
CALL retention.run();
SELECT string_agg(concat(t.ctid, t.xmin, t), ';' ORDER BY t.ctid) = :'tags_before' AS unchanged FROM retention.customer_tag t;
-- Days pass and orders are refunded.
UPDATE shop.orders SET total = 400 WHERE id = 4;
SELECT retention.run_tag_rules('2024-05-08 00:00+00');
SELECT pg_temp.all_tags();
SELECT retention.run_tag_rules('2024-05-01 00:00+00');
SELECT pg_temp.all_tags();
-- A rule's tag given by hand as well is given by hand.
SELECT retention.tag_customer(2, 'lately', 'lee'), retention.run_tag_rules('2024-06-01'), pg_temp.all_tags();
SELECT retention.untag_customer(2, 'lately'), retention.untag_customer(2, 'lately'), retention.untag_customer('1', 'spender');
SELECT pg_temp.all_tags();
SELECT tag, customers, by_rule, condition, written_by, description FROM retention.tags ORDER BY tag;
-- Conditions and audiences may ask for tags, and rules for other tags.
SELECT count(*) FROM retention.customers_where(1, '''spender'' = ANY (tags) AND NOT ''lately'' = ANY (tags)', NULL);

SELECT retention.tag_customer(99, 'x');
SELECT retention.tag_customer(1, '');
SELECT retention.define_tag_rule('x', 'spent >');
SELECT retention.define_tag_rule('x', 'random() > 0.5');
SELECT retention.drop_tag_rule('x');
SELECT retention.drop_tag_rule('spender');
SELECT pg_temp.all_tags();

-- A rule that breaks keeps nothing else back, and its tags stay.
SELECT retention.define_tag_rule('buyer', 'purchases >= 1');
SELECT retention.define_tag_rule('broken', 'customer_id IN (SELECT ''1'')');
SELECT retention.run_tag_rules(retention.now());
SET ROLE tag_writer;
SELECT retention.define_tag_rule('broken', 'purchases >= 1');
RESET ROLE;
SELECT retention.define_tag_rule('zz last', 'true');
REVOKE retention_operator FROM tag_writer;
SELECT retention.run_tag_rules(retention.now());
SELECT tag, customers, last_error FROM retention.tags ORDER BY tag;
GRANT retention_operator TO tag_writer;
CALL retention.run();
SELECT tag, customers, last_error FROM retention.tags ORDER BY tag;

-- ---------------------------------------------------------------------------
-- Profiles
-- ---------------------------------------------------------------------------

UPDATE retention.shop SET profile_fields = '{"name": 1, "phone": 1, "habits": 4, "family": 2}';
SELECT retention.set_profile(1, '{"habits": "green tea", "family": "two children", "sex": null}', 'mei');
SELECT retention.set_profile('1', '{"family": null, "taste": "bitter"}', 'lee');
SELECT retention.set_profile(3, '{"habits": "", "phone": "139", "family": []}');
SELECT customer_id, registered_by, fields, completeness, missing FROM retention.customer_profiles ORDER BY 1;
SELECT registered_by, registered_at, changed_by FROM retention.customer_profile ORDER BY customer_id;
SELECT staff, customers, complete, completeness FROM retention.staff_profiles ORDER BY 1;
SELECT retention.set_profile(1, '{"family": "two children"}', 'lee');
SELECT staff, customers, complete, completeness FROM retention.staff_profiles ORDER BY 1;
SELECT * FROM retention.customers_where(1, 'completeness >= 0.5 AND profile ->> ''habits'' LIKE ''%tea%'' AND registered_by = ''mei''', NULL);
-- Which fields count is the shop's to say.
UPDATE retention.shop SET profile_fields = '{"name": 1}';
SELECT customer_id, completeness, missing FROM retention.customer_profiles ORDER BY 1;
UPDATE retention.shop SET profile_fields = '{}';
SELECT DISTINCT completeness, missing FROM retention.customer_profiles;
UPDATE retention.shop SET profile_fields = '{"name": 0}';
UPDATE retention.shop SET profile_fields = '["name"]';
UPDATE retention.shop SET profile_fields = '{"name": "much"}';
SELECT retention.set_profile(1, '["habits"]');
SELECT retention.set_profile(1, NULL);
SELECT retention.set_profile(99, '{}');

-- Forgotten: nothing is left of them, and nothing comes back.
SELECT retention.forget_customer(1);
CALL retention.run();
SELECT fields, registered_by FROM retention.customer_profile WHERE customer_id = '1';
SELECT customer_id, tag FROM retention.customer_tag WHERE customer_id = '1';
SELECT customer_id FROM retention.customer_profiles ORDER BY 1;
SELECT retention.tag_customer(1, 'vip');
SELECT retention.set_profile(1, '{"habits": "tea"}');

SET client_min_messages = warning;
DROP SCHEMA shop CASCADE;
DROP OWNED BY tag_writer;
DROP ROLE tag_writer;
\set ECHO none
\i test/include/stop.sql
