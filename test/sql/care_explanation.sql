-- Every reason for which a message does not go out is told in words, in both languages
\set ECHO none
\i test/include/start.sql
\set ECHO all

INSERT INTO retention.shop (shop_id, name, suppress_p_alive) VALUES (1, 'Tea House', 0.1);
INSERT INTO retention.care_message (shop_id, customer_id, rule, subject, channel, purpose, priority, state, reason, due_at, expires_at, queued_at, changed_at, attempts, last_error)
SELECT 1, 'ann', 'hello', reason, 'sms', 'marketing', 1,
	CASE WHEN reason IN ('quiet hours', 'frequency cap', 'failed, will be tried again', 'broken condition', 'call again', 'the campaign is paused') THEN 'queued' ELSE 'skipped' END,
	reason, retention.now(), retention.now() + interval '1 day', retention.now(), retention.now(), 3, 'no answer'
FROM unnest(ARRAY[
	'quiet hours', 'frequency cap', 'failed, will be tried again', 'broken condition', 'call again', 'the campaign is paused',
	'expired', 'expired in quiet hours', 'expired under a frequency cap', 'expired after a failure',
	'expired with a broken condition', 'expired while the campaign was paused', 'condition not met', 'the rule was switched off',
	'the campaign has ended', 'the order no longer calls for it', 'opted out', 'no consent', 'no address', 'never answers',
	'bad review', 'unlikely to come back', 'missing value: template', 'missing value: order.tracking', 'gave up', 'refused for good',
	'the order was paid', 'the order was shipped', 'the order arrived', 'the order was completed', 'the order was closed',
	'the order was refunded', 'the order was refunded in part', 'the order was deleted', 'the order changed',
	'the order went to another customer', 'the purchase was taken back', 'the customer bought again',
	'the customer was forgotten', 'the ladder changed', 'the source was detached']) AS reason;
\pset format unaligned
\pset tuples_only on
SELECT reason || E'\n\t' || explanation || E'\n\t' || explanation_zh FROM retention.care_skipped ORDER BY subject COLLATE "C";
\pset format aligned
\pset tuples_only off
-- Who reads the views reads this too.
SET ROLE retention_reader;
SELECT count(DISTINCT explanation_zh) FROM retention.care_skipped;
RESET ROLE;
SELECT reason AS forgotten FROM retention.care_skipped WHERE explanation_zh = reason OR explanation_zh IS NULL;
-- What somebody said on cancelling stands as it is.
UPDATE retention.care_message SET reason = '老板说不用了' WHERE subject = 'expired';
SELECT explanation, explanation_zh FROM retention.care_skipped WHERE subject = 'expired';

\set ECHO none
\i test/include/stop.sql
