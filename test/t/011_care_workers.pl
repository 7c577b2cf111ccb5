# Eight workers at once, by two channels, on customers that nobody has written
# to before: no message goes to two of them, no customer gets two marketing
# messages inside the cap, nobody fails on a deadlock, and nothing is lost;
# with customers who refuse and orders that are paid meanwhile.
# Eight sessions at full speed are beyond what an isolation test can do.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RetentionNode;
use Test::More;

my $node = retention_node('shop');

$node->safe_psql('postgres', q(
	CREATE EXTENSION retention;
	CREATE TABLE orders (id integer PRIMARY KEY, customer text, total numeric, placed_at timestamptz, paid_at timestamptz, completed_at timestamptz);
	SET client_min_messages = warning;
	SELECT retention.attach_orders('orders', order_id => 'id', customer => 'customer', total => 'total',
		placed_at => 'placed_at', paid_at => 'paid_at', completed_at => 'completed_at');
	UPDATE retention.shop SET quiet_from = NULL, marketing_consent = 'opt_out', suppress_unanswered = NULL;
	UPDATE retention.source SET attached_at = now() - interval '1 day';
	SELECT retention.enable_rule('unpaid_reminder');
	INSERT INTO retention.care_template (shop_id, name, language, text) VALUES (1, 'greeting', 'zh', '你好');
	INSERT INTO retention.care_rule (shop_id, name, event, channel, purpose, priority, template)
	VALUES (1, 'news', 'season', 'sms', 'marketing', 10, 'greeting'), (1, 'sale', 'festival', 'sms', 'marketing', 20, 'greeting'),
		(1, 'mail', 'season', 'email', 'marketing', 10, 'greeting');
	INSERT INTO orders SELECT n, 'c' || n, 10, now() - interval '31 minutes' FROM generate_series(1, 400) AS n;
	INSERT INTO retention.care_message (shop_id, customer_id, rule, subject, channel, purpose, priority, due_at, expires_at, queued_at, changed_at)
	SELECT 1, 'c' || n, r.name, s, r.channel, r.purpose, r.priority, now() - n * interval '1 second', now() + interval '30 days', now(), now()
	FROM generate_series(1, 400) AS n, generate_series(1, 3) AS s, retention.care_rule r WHERE r.purpose = 'marketing';
	-- Customers with many unpaid orders, which they pay at once.
	INSERT INTO orders SELECT 1000 + n, 'd' || n % 10, 10, now() - interval '31 minutes' FROM generate_series(1, 400) AS n;
	CREATE INDEX ON orders (customer);
	-- What went out, as workers saw it.
	CREATE TABLE handed (customer text, rule text, subject text, purpose text, at timestamptz DEFAULT clock_timestamp());
	CREATE SEQUENCE paid;
	CREATE SEQUENCE refused;
	CREATE SEQUENCE paid_at_once MINVALUE 0;
));

is($node->safe_psql('postgres', q(SELECT count(*) FROM retention.care_message WHERE rule = 'unpaid_reminder' AND state = 'queued')), '800',
	'unpaid orders wait for their reminders');

my $dir = $PostgreSQL::Test::Utils::tmp_check;

# A worker claims and says that it sent; now and then it has to give back, or fails.
append_to_file("$dir/worker.sql", q(
\set channel random(0, 2)
\set fate random(1, 10)
WITH claimed AS (
	SELECT c.* FROM retention.claim_messages(CASE WHEN :channel = 0 THEN 'email' ELSE 'sms' END, 7, '1 hour', 'w:client_id') AS c
), told AS (
	SELECT c.*, CASE :fate WHEN 1 THEN retention.release_message(c.token)::text WHEN 2 THEN retention.mark_failed(c.token, 'x') ELSE retention.mark_sent(c.token) END AS outcome
	FROM claimed AS c
)
INSERT INTO handed (customer, rule, subject, purpose) SELECT customer_id, rule, subject, purpose FROM told WHERE outcome = 'sent';
));
# Another marks its batch in one call, whatever became of each.
append_to_file("$dir/batch.sql", q(
\set channel random(0, 2)
\set fate random(1, 10)
WITH claimed AS (
	SELECT c.* FROM retention.claim_messages(CASE WHEN :channel = 0 THEN 'email' ELSE 'sms' END, 20, '1 hour', 'b:client_id') AS c
), told AS (
	SELECT m.*
	FROM (
		SELECT coalesce(array_agg(token ORDER BY random()), '{}') AS tokens, coalesce(array_agg(CASE WHEN random() * 10 < :fate - 5 THEN 'x' END), '{}') AS errors
		FROM claimed
	) AS c
	CROSS JOIN LATERAL retention.mark_messages(c.tokens, errors => c.errors) AS m
)
INSERT INTO handed (customer, rule, subject, purpose)
SELECT c.customer_id, c.rule, c.subject, c.purpose FROM claimed AS c JOIN told AS t USING (token) WHERE t.outcome = 'sent';
));
# And repeats what it said before, in another order.
append_to_file("$dir/again.sql", q(
SELECT count(*)
FROM retention.mark_messages(coalesce((
	SELECT array_agg(token ORDER BY random()) FROM (SELECT token FROM retention.care_message WHERE state = 'sent' ORDER BY changed_at LIMIT 100) AS sent), '{}'));
));
append_to_file("$dir/pay_all.sql", "UPDATE orders SET paid_at = CASE WHEN paid_at IS NULL THEN now() END WHERE customer = 'd' || (SELECT nextval('paid_at_once') % 10);\n");
append_to_file("$dir/pay.sql", "UPDATE orders SET paid_at = now() WHERE id = (SELECT nextval('paid'));\n");
append_to_file("$dir/refuse.sql", "SELECT retention.record_consent('c' || 2 * nextval('refused'), 'sms', 'marketing', false);\n");

$node->command_checks_all(
	[ 'pgbench', '-n', '-c', '8', '-j', '2', '-t', '60',
		'-f', "$dir/worker.sql\@4", '-f', "$dir/batch.sql\@4", '-f', "$dir/again.sql\@2", '-f', "$dir/pay_all.sql\@1", '-f', "$dir/pay.sql\@1", '-f', "$dir/refuse.sql\@1", 'postgres' ],
	0, [qr/processed: 480\/480/], [qr/^((?!ERROR|aborted).)*$/s],
	'eight workers, customers who pay and who refuse: nobody fails');

is($node->safe_psql('postgres', 'SELECT count(*) FROM (SELECT FROM handed GROUP BY customer, rule, subject HAVING count(*) > 1) AS twice'), '0',
	'no message was sent twice');
is($node->safe_psql('postgres', q(SELECT count(*) FROM (SELECT FROM handed WHERE purpose = 'marketing' GROUP BY customer HAVING count(*) > 1) AS twice)), '0',
	'no customer got two marketing messages inside the cap');
cmp_ok($node->safe_psql('postgres', q(SELECT count(*) FROM handed WHERE purpose = 'marketing')), '>', 100, 'many got one');
is($node->safe_psql('postgres', q(
	SELECT count(*) FROM retention.care_message m
	WHERE (m.state = 'sent') <> EXISTS (SELECT FROM handed h WHERE h.customer = m.customer_id AND h.rule = m.rule AND h.subject = m.subject))), '0',
	'what is recorded as sent is what was sent');
is($node->safe_psql('postgres', q(SELECT count(*) FROM retention.care_message WHERE state = 'skipped' AND reason IS DISTINCT FROM 'opted out')), '0',
	'only those who refused were skipped');

# The rest has been put off: later it goes.
$node->safe_psql('postgres', q(
	DO $$
	BEGIN
		FOR week IN 1..5 LOOP
			FOR round IN 1..40 LOOP
				INSERT INTO handed (customer, rule, subject, purpose)
				SELECT c.customer_id, c.rule, c.subject, c.purpose
				FROM unnest('{sms,email}'::text[]) AS channel,
					LATERAL retention.claim_messages(channel, 500, '1 hour', 'late', now() + week * interval '8 days' + round * interval '1 second') AS c
				WHERE retention.mark_sent(c.token, at => now() + week * interval '8 days' + round * interval '1 second') = 'sent';
				EXIT WHEN NOT FOUND;
			END LOOP;
		END LOOP;
	END $$));
is($node->safe_psql('postgres', q(
	SELECT count(*) FROM (SELECT sent_at - lag(sent_at) OVER (PARTITION BY customer_id ORDER BY sent_at) AS gap FROM retention.care_message WHERE state = 'sent' AND purpose = 'marketing') AS g WHERE gap < interval '7 days')), '0',
	'still never two inside the cap');
is($node->safe_psql('postgres', q(SELECT count(*) FROM retention.care_message WHERE state NOT IN ('sent', 'skipped', 'cancelled') OR (state <> 'sent' AND reason IS NULL))), '0',
	'and all is settled: sent, or not for a reason');

$node->stop;
done_testing();
