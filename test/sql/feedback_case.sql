-- Complaints and calls that are followed up: owner, due times, reopening, and
-- whether the customers bought again.
\set ECHO none
\i test/include/start.sql
SET client_min_messages = warning;
SET timezone = 'Asia/Shanghai';
CREATE SCHEMA shop;
CREATE TABLE shop.orders (id integer PRIMARY KEY, customer integer, total numeric, paid timestamptz, refunded numeric NOT NULL DEFAULT 0);
CREATE TABLE shop.customers (id integer PRIMARY KEY, region text);
SELECT retention.create_shop('Tea House', 'Asia/Shanghai');
SELECT retention.attach_orders('shop.orders', 'id', 'customer', 'total', paid_at => 'paid', completed_at => 'paid', refunded => 'refunded');
SELECT retention.attach_customers('shop.customers', 'id', attributes => $$jsonb_build_object('region', region)$$);
INSERT INTO shop.customers VALUES (1, 'Anhui'), (2, 'Hubei'), (3, NULL), (4, 'Tibet');
INSERT INTO shop.orders VALUES (1, 1, 100, '2024-04-01 12:00+08'), (2, 2, 100, '2024-04-01 12:00+08'), (3, 3, 100, '2024-04-01 12:00+08');
RESET client_min_messages;
INSERT INTO retention.feedback_route VALUES (1, 'Anhui', 'mei'), (1, 'Hubei', 'lee'), (1, '', 'head office');

-- ---------------------------------------------------------------------------
-- What concerns a region goes there, and has to be dealt with in days
-- ---------------------------------------------------------------------------

SET retention.clock = '2024-05-01 23:30+08';
SELECT retention.open_feedback(1, 'The cup was broken', order_id => '1', reference => 'c1');
SELECT retention.open_feedback(2, 'Late', region => 'Anhui', reference => 'c2');
SELECT retention.open_feedback('3', 'Rude', reference => 'c3', at => '2024-05-02 00:10+08');
SELECT retention.open_feedback(4, 'Wet parcel', owner => 'zoe', reference => 'c4');
SELECT retention.open_feedback(4, 'Asked about sizes: call on Friday', kind => 'call', due_at => '2024-05-03 15:00+08', reference => 'k1');
SELECT length(retention.open_feedback(2, 'Again late')) AS made_reference;
SELECT customer_id, kind, reference, order_id, region, owner, state, answer_due_at, solve_due_at FROM retention.feedback_cases WHERE length(reference) < 3 ORDER BY kind, reference;
-- The same reference again changes what was said, and nothing else.
SELECT retention.open_feedback(1, 'The cup and the pot were broken', order_id => '1', reference => 'c1', owner => 'zoe', at => '2024-05-02 10:00+08');
SELECT content, owner, opened_at, happened_at FROM retention.feedback_cases WHERE reference = 'c1';
DELETE FROM retention.feedback WHERE length(reference) > 3;
DELETE FROM retention.feedback_step WHERE length(reference) > 3;
-- What is only recorded is not followed up.
SELECT retention.record_feedback('1', 'complaint', 'In 2019', happened_at => '2019-01-01', reference => 'old');
SELECT count(*) FROM retention.feedback_cases WHERE reference = 'old';
SELECT customer_id, open_complaints FROM retention.customer_details ORDER BY 1;

-- ---------------------------------------------------------------------------
-- The same day, within three days: by the shop's midnights
-- ---------------------------------------------------------------------------

CREATE FUNCTION pg_temp.late(at timestamptz) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('retention.clock', at::text, false);
	RETURN (SELECT string_agg(concat_ws(' ', reference, owner, overdue, 'by', overdue_by), ', ' ORDER BY reference) FROM retention.feedback_overdue);
END
$$;
SELECT pg_temp.late('2024-05-01 23:59:59+08');
SELECT pg_temp.late('2024-05-02 00:00+08');
SELECT retention.answer_feedback('c1', 'Sorry, we look into it', at => '2024-05-01 23:50+08');
SELECT retention.answer_feedback('c2', 'Sorry', 'ann');
SELECT pg_temp.late('2024-05-03 00:00+08');
SELECT retention.assign_feedback('c3', 'mei');
SELECT retention.solve_feedback('c3', 'Apologised');
SELECT pg_temp.late('2024-05-03 15:00+08');
SELECT pg_temp.late('2024-05-04 23:59:59+08');
SELECT pg_temp.late('2024-05-05 00:00+08');
SELECT retention.solve_feedback('c1', 'Sent a new one');
SELECT retention.solve_feedback('c2', 'Paid the postage', 'ann', '2024-05-04 20:00+08');
SELECT pg_temp.late('2024-05-05 12:00+08');
SELECT reference, state, answered_at, solved_at, answered_in_time, solved_in_time, outcome FROM retention.feedback_cases ORDER BY 1;

-- Reopened: due anew, and again the owner's.
SELECT retention.reopen_feedback('c1', 'The new one is broken too');
SELECT reference, state, reopened, opened_at, answer_due_at, solve_due_at, answered_at, solved_at, outcome, owner FROM retention.feedback_cases WHERE reopened > 0;
SELECT pg_temp.late('2024-05-06 00:00+08');
SELECT step_no, step, staff, note, happened_at FROM retention.feedback_step WHERE reference = 'c1' ORDER BY 1;
SELECT step_no, step, staff, note FROM retention.feedback_step WHERE reference IN ('c2', 'c3') ORDER BY reference, 1;

-- ---------------------------------------------------------------------------
-- Did they come back?
-- ---------------------------------------------------------------------------

INSERT INTO shop.orders VALUES (4, 2, 50, '2024-05-06 00:00+08'), (5, 3, 50, '2024-05-01 12:00+08'), (6, 1, 50, '2024-05-06 00:00+08');
SELECT * FROM retention.feedback_effect ORDER BY kind;
-- Wholly refunded it was no purchase.
UPDATE shop.orders SET refunded = total WHERE id = 4;
SELECT solved_customers, solved_bought_again, solved_repurchase_rate, unsolved_bought_again FROM retention.feedback_effect WHERE kind = 'complaint';

-- A shop may give itself more time.
UPDATE retention.shop SET complaint_answer_days = 1, complaint_solve_days = 7;
SELECT retention.open_feedback(3, 'Again', reference => 'c5');
SELECT answer_due_at, solve_due_at FROM retention.feedback_cases WHERE reference = 'c5';

-- ---------------------------------------------------------------------------
-- What cannot be
-- ---------------------------------------------------------------------------

SELECT retention.answer_feedback('nothing');
SELECT retention.answer_feedback('old');
SELECT retention.answer_feedback('c2');
SELECT retention.solve_feedback('c2', 'Otherwise');
SELECT outcome FROM retention.feedback_cases WHERE reference = 'c2';
SELECT retention.reopen_feedback('c4');
SELECT retention.reopen_feedback('c2', at => '2024-05-03');
SELECT retention.solve_feedback('c5', at => '2024-05-01');
SELECT retention.assign_feedback('c5', '');
SELECT retention.open_feedback(1, 'x', kind => 'review');
SELECT retention.open_feedback(99, 'x');
SELECT retention.open_feedback(1, 'x', order_id => '2');
SELECT retention.open_feedback(1, 'x', due_at => '2024-05-01');
SELECT retention.open_feedback(2, 'Same reference', reference => 'c5');

-- Who asked to be forgotten: nothing of what was said stays or comes.
SELECT retention.forget_customer(2);
SELECT retention.reopen_feedback('c2', 'It is me again');
SELECT retention.solve_feedback('c2', 'Told him so');
SELECT retention.open_feedback(2, 'Still me', reference => 'c6');
SELECT content, outcome FROM retention.feedback WHERE customer_id = '2';
SELECT step, note FROM retention.feedback_step WHERE customer_id = '2' ORDER BY reference, step_no;

-- Operators deal with them; readers see figures, not what was said.
SET ROLE retention_operator;
SELECT retention.assign_feedback('c4', 'lee');
SELECT owner, content FROM retention.feedback_cases WHERE reference = 'c4';
RESET ROLE;
SET ROLE retention_reader;
SELECT count(*) FROM retention.feedback_overdue;
SELECT cases, solved FROM retention.feedback_effect WHERE kind = 'complaint';
SELECT content FROM retention.feedback_cases;
RESET ROLE;

SET client_min_messages = warning;
DROP SCHEMA shop CASCADE;
\set ECHO none
\i test/include/stop.sql
