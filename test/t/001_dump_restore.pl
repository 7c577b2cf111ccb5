# An attached shop comes back whole from pg_dump: every table of the extension
# row for row, the triggers on the shop's tables, and the next order syncs.
# That takes two databases and the client programs, hence no regression test.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RetentionNode;
use Test::More;

my $node = retention_node('shop', conf => "timezone = 'UTC'");

# Run SQL at a fixed moment.
sub at_noon
{
	my ($db, $sql) = @_;
	return $node->safe_psql($db,
		"SET client_min_messages = warning; SET retention.clock = '2024-05-01 12:00+00';\n$sql");
}

# All rows of all tables of the extension, as COPY writes them.
sub contents
{
	my ($db) = @_;
	my %rows;
	my $tables = $node->safe_psql($db, q(
		SELECT c.oid::regclass
		FROM pg_depend d
		JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'retention'
		JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'r'
		WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
		ORDER BY 1::text));
	foreach my $table (split /\n/, $tables)
	{
		$rows{$table} = $node->safe_psql($db, "COPY (SELECT * FROM $table AS t ORDER BY t::text) TO STDOUT");
	}
	return \%rows;
}

# A dump as text, without the random word that guards psql's meta-commands.
sub dump_text
{
	my ($db) = @_;
	my ($stdout, $stderr);
	IPC::Run::run([ 'pg_dump', '--no-sync', '-d', $node->connstr($db) ], '>', \$stdout, '2>', \$stderr)
	  or die "pg_dump: $stderr";
	$stdout =~ s/^\\(un)?restrict .*\n//mg;
	return $stdout;
}

sub same_contents
{
	my ($got, $expected, $name) = @_;
	subtest $name => sub {
		is_deeply([ sort keys %$got ], [ sort keys %$expected ], 'the tables');
		is($got->{$_}, $expected->{$_}, $_) foreach sort keys %$expected;
	};
	return;
}

$node->safe_psql('postgres', 'CREATE ROLE shopkeeper; CREATE DATABASE shop');
$node->safe_psql('shop', 'CREATE EXTENSION retention');

# ---------------------------------------------------------------------------
# The shop: a plain table, one of quoted names, a partitioned one, and one of
# several tables; orders from before attaching, and errors
# ---------------------------------------------------------------------------

at_noon('shop', q{
SET retention.clock = '2024-05-01 00:00+00';
CREATE TABLE orders (
	id serial PRIMARY KEY,
	customer_id integer,
	total numeric NOT NULL,
	refunded numeric NOT NULL DEFAULT 0,
	currency text NOT NULL DEFAULT 'CNY',
	created_at timestamptz NOT NULL DEFAULT '2024-05-01 12:00+00',
	paid_at timestamptz,
	completed_at timestamptz
);
ALTER TABLE orders OWNER TO shopkeeper;
INSERT INTO orders (customer_id, total, paid_at, completed_at)
SELECT n % 10, n, '2024-01-01 00:00+00'::timestamptz + n * interval '1 hour', '2024-02-01 00:00+00'
FROM generate_series(1, 100) AS n;

CREATE SCHEMA "My ""Shop""";
CREATE TABLE "My ""Shop"""."Order" ("orderId" text PRIMARY KEY, "the customer" text, "Sum" numeric, paid timestamptz);
INSERT INTO "My ""Shop"""."Order" VALUES ('A-1', 'anna', 10, '2024-04-01 00:00+00');

CREATE TABLE sales (day date NOT NULL, no integer NOT NULL, customer uuid, amount integer, PRIMARY KEY (no, day)) PARTITION BY RANGE (day);
CREATE TABLE sales_2023 PARTITION OF sales FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE sales_2024 PARTITION OF sales FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
INSERT INTO sales VALUES ('2023-03-03', 1, '7d444840-9dc0-11d1-b245-5ffdce74fad2', 5000), ('2024-03-03', 2, '7d444840-9dc0-11d1-b245-5ffdce74fad2', 7000);

CREATE SCHEMA web;
CREATE TABLE web.orders (id bigint PRIMARY KEY, buyer text, total numeric, paid_at timestamptz);
CREATE TABLE web.refunds (id bigint PRIMARY KEY, order_id bigint REFERENCES web.orders, amount numeric);

CREATE TABLE web.buyers (name text PRIMARY KEY, mail text, newsletter boolean);
CREATE TABLE web.reviews (id integer PRIMARY KEY, order_id bigint, stars integer, at timestamptz NOT NULL DEFAULT '2024-05-01 12:00+00');
CREATE TABLE web.lines (order_id bigint, sku text, qty integer);
CREATE TABLE web.logins (name text, at timestamptz);

CREATE TABLE trials (id integer PRIMARY KEY, customer text, total numeric, paid_at timestamptz);
CREATE TABLE gone (id integer PRIMARY KEY, customer text, total numeric, paid_at timestamptz);

SELECT retention.create_shop('Tea House', time_zone => 'Asia/Shanghai', signature => '茶馆');
INSERT INTO retention.shop (shop_id, name, accrue_on, tier_window) VALUES (2, 'Web', 'paid', '1 year');
INSERT INTO retention.tier (shop_id, rung, name, name_zh, min_spent, multiplier, benefits) VALUES
	(2, 1, 'guest', '客人', NULL, 1, '{}'),
	(2, 2, 'friend', '朋友', 100, 1.5, '{"gift": "a \"cup\"\n"}');

SELECT retention.attach_orders('orders', order_id => 'id', customer => 'customer_id', total => 'total', refunded => 'refunded',
	currency => 'currency', placed_at => 'created_at', paid_at => 'paid_at', completed_at => 'completed_at', for_shop => 'Tea House');
SELECT retention.attach_orders('"My ""Shop"""."Order"', order_id => '"orderId"', customer => '"the customer"', total => '"Sum"',
	paid_at => 'paid', for_shop => 'Tea House');
SELECT retention.attach_orders('sales', order_id => 'no', customer => 'customer', total => 'amount / 100.0',
	paid_at => 'day', completed_at => 'day', for_shop => 'Tea House');
SELECT retention.attach_source('web', facts => $$SELECT o.id AS order_id, o.buyer AS customer, o.total, o.paid_at,
	(SELECT sum(r.amount) FROM web.refunds r WHERE r.order_id = o.id) AS refunded
	FROM web.orders o -- the web shop$$, for_shop => 'Web');
SELECT retention.watch('web', 'web.orders', order_id => 'id');
SELECT retention.watch('web', 'web.refunds', order_id => 'order_id');
SELECT retention.attach_customers('web.buyers', customer => 'name', email => 'mail',
	consents => $$jsonb_build_object('email', newsletter)$$, for_shop => 'Web');
SELECT retention.attach_reviews('web.reviews', 'at', order_id => 'order_id', score => 'stars', orders => 'web');
SELECT retention.attach_lines('web.lines', 'order_id', 'sku', quantity => 'qty', orders => 'web');
SELECT retention.attach_events('web.logins', 'name', 'at', $$'login'$$, for_shop => 'Web');
SELECT retention.attach_orders('trials', order_id => 'id', customer => 'customer', total => 'total', paid_at => 'paid_at', for_shop => 'Web');
SELECT retention.attach_orders('gone', order_id => 'id', customer => 'customer', total => 'total', paid_at => 'paid_at', for_shop => 'Web');

-- A shipped rule edited, one switched on, one added.
UPDATE retention.care_rules SET delay = '45 minutes', enabled = true WHERE shop_id = 1 AND name = 'unpaid_reminder';
SELECT retention.enable_rule('second_unpaid_reminder', 'Tea House');
INSERT INTO retention.care_rules (shop_id, name, event, delay, channel, condition) VALUES (1, 'a call', 'unpaid', '2 days', 'call', 'purchase.total > 0');
});

at_noon('shop', q{
CALL retention.backfill('sales', points => true);

-- Points, partly refunded; reminders, queued and cancelled.
INSERT INTO orders (customer_id, total, paid_at, completed_at)
SELECT 3, 10.5, '2024-05-01 11:00+00'::timestamptz + n * interval '1.234567 seconds', '2024-05-01 12:00+00' FROM generate_series(1, 400) AS n;
INSERT INTO orders (customer_id, total) VALUES (4, 20), (5, 30), (6, NULLIF(40, 0));
UPDATE orders SET refunded = 5 WHERE customer_id = 3 AND id % 3 = 0;
UPDATE orders SET paid_at = '2024-05-01 12:00+00' WHERE customer_id = 4 AND total = 20;
INSERT INTO web.orders VALUES (1, 'bob', 200, '2024-05-01 10:00+00'), (2, 'bob', 50, '2024-05-01 10:00+00'), (3, NULL, 1, NULL);
INSERT INTO web.refunds VALUES (1, 1, 30), (2, 1, 40);
INSERT INTO web.buyers VALUES ('bob', 'bob@example.com', true);
INSERT INTO web.reviews VALUES (1, 1, 4);
INSERT INTO web.lines VALUES (1, 'tea', 2), (2, 'cup', 1);
INSERT INTO web.logins VALUES ('bob', '2024-05-01 09:00+00');
INSERT INTO "My ""Shop"""."Order" VALUES (E'tab\there', E'back\\\\slash \'quote\' 茶', 10, '2024-04-30 00:00+00');
UPDATE retention.customer SET name = '王 小明', nickname = E'line\nbreak', birthday = '2000-02-29', attributes = '{"skin": "dry"}' WHERE customer_id = '3';

INSERT INTO retention.customer_consent (shop_id, customer_id, channel, purpose, granted, how) VALUES (1, '3', 'sms', 'marketing', true, 'by phone');
INSERT INTO retention.feedback (shop_id, customer_id, kind, reference, score, content, happened_at, recorded_at)
VALUES (1, '3', 'review', 'r1', 4.5, '很好', '2024-05-01', '2024-05-01');
INSERT INTO retention.rfm_segment_override VALUES ('global', 5, 5, 5, 'Champions', '最爱');
INSERT INTO retention.rfm_segment_override (shop_id, scheme, recency, frequency, monetary, segment) VALUES (1, 'global', 5, 5, 5, '老朋友');

-- Frozen cut points, in a table of the shop's own and as its setting.
CREATE TABLE web.cuts AS SELECT retention.rfm_cuts(shop => name) AS cuts FROM retention.shop;
INSERT INTO web.cuts VALUES (ROW(NULL, '{1,2,3,9223372036854775807}', '{0,0.5,1e3,infinity}', NULL)), (NULL);
UPDATE retention.shop SET rfm_cuts = retention.rfm_cuts(shop => name) WHERE shop_id = 1;

-- What the ledger, tiers and care messages keep beside their main tables.
INSERT INTO retention.points_hold (shop_id, customer_id, reference, points, held_at, times_out_at, posted_at, state, resolved_at, allocations, request)
VALUES (1, '7', 'basket-1', 10, '2024-05-01', '2024-05-02', '2024-05-01', 'released', '2024-05-01', '[]', '{}');
INSERT INTO retention.referral (shop_id, customer_id, referrer_id, source_id, order_id, decided_at)
VALUES (1, '7', '3', 1, '1', '2024-05-01');
INSERT INTO retention.tier_review VALUES (1, 'a ladder', '2024-05-01');
INSERT INTO retention.care_template VALUES (1, 'unpaid_reminder', 'zh', '{{nickname|亲}}，订单还在等您', '{{nickname|亲}}的订单');
INSERT INTO retention.care_cap VALUES (1, 'marketing', 'sms', '30 days', 2);
INSERT INTO retention.care_contact VALUES (1, '7', '2024-05-01', 1, 1);
INSERT INTO retention.festival VALUES (1, 'founding', 'festival', '2024-06-01', '店庆', '店庆快乐');
INSERT INTO retention.care_effect_kept (shop_id, rule, month, queued, sent, customers, failed, skipped, reasons, segments, responses, buyers, orders, sales)
VALUES (1, 'unpaid_reminder', '2024-04-01', 3, 2, 2, 1, 0, '{}', 2, 0, 1, 1, 10);
INSERT INTO retention.last_run VALUES (true, '2024-04-30', '2024-04-30 00:00:01.5+00');
INSERT INTO retention.customer_tag VALUES (1, '3', '老友', false, '2024-05-01', 'mei');
INSERT INTO retention.customer_profile (shop_id, customer_id, fields, registered_by) VALUES (1, '3', '{"habits": "绿茶"}', 'mei');
SELECT retention.define_tag_rule('big', 'spent > 1000', shop => 'Tea House');
INSERT INTO retention.forecast (shop_id, fitted_at, asked_model, forecast_at, purchase_model, value_model, purchase_problem)
VALUES (2, '2024-05-01', 'bgnbd', '2024-05-01', retention.bgnbd(0.1, pi(), 1e-300, 2), retention.gamma_gamma(1, 2, 3), 'too few');
INSERT INTO retention.customer_forecast VALUES (2, 'bob', 0.1, sqrt(2), 12.34, 5.6, '2024-06-01');
SELECT retention.define_audience('spenders', $$spent > 100 AND '老友' = ANY (tags)$$, '大客户', 'Tea House');
INSERT INTO retention.feedback_route VALUES (1, 'Anhui', 'mei');
SELECT retention.open_feedback('3', '破了', region => 'Anhui', reference => 'k1', shop => 'Tea House');
SELECT retention.solve_feedback('k1', '换货', shop => 'Tea House');
INSERT INTO retention.care_call VALUES (1, '7', 'big_order_call', 'order:1:1', 1, 'mei', 'reached', 'happy', '2024-05-01', NULL);

-- A campaign in its course: one offer code used, one step queued and one to come.
SELECT retention.create_campaign('春 sale', 'old customers', 0.4, cost => 9.5, shop => 'Tea House');
SELECT retention.set_campaign_offer('春 sale', '20 off', shop => 'Tea House');
SELECT retention.add_campaign_step('春 sale', text => 'Hello {{nickname|you}}: {{offer_code}}', shop => 'Tea House');
SELECT retention.add_campaign_step('春 sale', text => 'Come!', delay => '5 days', channel => 'call', shop => 'Tea House');
SELECT retention.start_campaign('春 sale', shop => 'Tea House');
SELECT retention.record_reply('春 sale', (SELECT min(customer_id) FROM retention.campaign_member), 'accepted', 'with a friend', shop => 'Tea House');
SELECT retention.redeem_offer(code, customer_id, 'order 1', shop => 'Tea House') FROM retention.offer_code ORDER BY customer_id LIMIT 1;

-- An order that could not be synced, a source truncated, one detached.
INSERT INTO orders (customer_id, total, currency, paid_at) VALUES (7, 10, 'USD', '2024-05-01 12:00+00');
INSERT INTO trials VALUES (1, 'tim', 5, '2024-05-01 12:00+00');
TRUNCATE trials;
INSERT INTO gone VALUES (1, 'tim', 7, '2024-05-01 12:00+00');
SELECT retention.detach('public.gone');

-- A backfill interrupted after its first batch.
SELECT retention.backfill_start(1, 30, '-infinity');
SELECT retention.backfill_step(1);
});

my $before = contents('shop');
my $dumped = $node->safe_psql('shop', q(SELECT unnest(extconfig)::regclass FROM pg_extension WHERE extname = 'retention'));
foreach my $table (split /\n/, $dumped)
{
	isnt($before->{$table}, '', "there is something in $table to lose");
}

# ---------------------------------------------------------------------------
# Dump and restore, in each way
# ---------------------------------------------------------------------------

# The rest of the shop's life, played in a restored database.
sub lives_on
{
	my ($db) = @_;
	subtest "the shop lives on in $db" => sub {
		at_noon($db, q{
INSERT INTO web.buyers VALUES ('eve', 'eve@example.com', false);
UPDATE web.buyers SET newsletter = false WHERE name = 'bob';
UPDATE web.reviews SET stars = 5;
SET ROLE shopkeeper;
INSERT INTO orders (customer_id, total, paid_at, completed_at) VALUES (77, 100, '2024-05-01 12:00+00', '2024-05-01 12:00+00');
INSERT INTO orders (customer_id, total) VALUES (78, 50);
UPDATE orders SET refunded = 10.5 WHERE customer_id = 3 AND total = 10.5;
RESET ROLE;
INSERT INTO "My ""Shop"""."Order" VALUES ('A-2', 'anna', 10, '2024-05-01 00:00+00');
INSERT INTO sales VALUES ('2024-04-30', 3, '7d444840-9dc0-11d1-b245-5ffdce74fad2', 300);
INSERT INTO web.refunds VALUES (3, 1, 10);
INSERT INTO web.orders VALUES (4, 'bob', 10, '2024-05-01 12:00+00');
});
		my $points = sub { $node->safe_psql($db, "SELECT retention.points_balance('$_[0]', shop => '$_[1]')") };
		is($node->safe_psql($db, q(
			SELECT c.customer_id, c.email, k.granted
			FROM retention.customer c
			JOIN retention.customer_consent k USING (shop_id, customer_id)
			WHERE k.channel = 'email'
			ORDER BY 1)), "bob|bob\@example.com|f\neve|eve\@example.com|f", 'customers and their consents are followed');
		is($node->safe_psql($db, q(SELECT customer_id, score FROM retention.feedback WHERE source_id IS NOT NULL)), 'bob|5', 'so are reviews');
		is($node->safe_psql($db, q(SELECT product, quantity FROM retention.lines(ARRAY['1'], shop => 'Web'))), 'tea|2', 'lines are read in place');
		is($node->safe_psql($db, q(SELECT customer_id, kind FROM retention.events(shop => 'Web'))), 'bob|login', 'so are events');
		is($points->('77', 'Tea House'), '100', 'an order of the plain table earns points');
		is($node->safe_psql($db, q(SELECT rule, due_at FROM retention.care_message WHERE customer_id = '78' ORDER BY due_at)),
			"unpaid_reminder|2024-05-01 12:45:00+00\nsecond_unpaid_reminder|2024-05-02 12:00:00+00\na call|2024-05-03 12:00:00+00",
			'an unpaid order queues reminders by the rules as edited');
		is($points->('7d444840-9dc0-11d1-b245-5ffdce74fad2', 'Tea House'), '123', 'the partitioned table is watched');
		is($node->safe_psql($db, q(SELECT count(*) FROM retention.purchase WHERE order_id = 'A-2')), '1', 'so is the one of quoted names');

		# 200 and 50 before he was a friend, 80 of them refunded; then 10 at 1.5.
		is($points->('bob', 'Web'), '185', 'a refund row and an order of the web shop are posted at the right tier');
		is($node->safe_psql($db, q(
			SELECT s.points_posted, (SELECT sum(points) FROM retention.points_entry e WHERE e.customer_id = s.customer_id),
				(SELECT count(*) FROM retention.purchase p WHERE p.customer_id = s.customer_id AND p.value IS NOT NULL AND p.total = 10.5)
			FROM retention.customer_stats s WHERE customer_id = '3' AND shop_id = 1)), '0|0|0', 'refunds find the lots of before');
		at_noon($db, q(CALL retention.backfill('public.orders')));
		is($node->safe_psql($db, q(SELECT done_orders, finished_at IS NOT NULL FROM retention.backfill_progress WHERE source_id = 1)),
			'504|t', 'the interrupted backfill goes on to its end');
		is($node->safe_psql($db, q(
			SELECT count(*), count(*) FILTER (WHERE p.order_id IS NULL)
			FROM orders o
			LEFT JOIN retention.purchase p ON p.order_id = o.id::text AND p.source_id = 1)), '506|1', 'all orders but the broken one are recorded');
		at_noon($db, q(UPDATE retention.shop SET currency = 'USD' WHERE shop_id = 1; UPDATE orders SET currency = 'USD' WHERE currency <> 'USD'; SELECT retention.resync('public.orders')));
		is($node->safe_psql($db, q(SELECT count(*) FROM retention.sync_error)), '0', 'the broken order can be mended');
		at_noon($db, q(INSERT INTO trials VALUES (2, 'tim', 5, '2024-05-01 12:00+00')));
		is($node->safe_psql($db, q(SELECT count(*) FROM retention.purchase p JOIN retention.source s USING (source_id) WHERE s.name = 'public.trials')), '1',
			'the truncated source is settled by the next order');

		# Arms are where they were, and would be drawn alike again; nobody hears twice.
		is($node->safe_psql($db, q(
			SELECT count(*) > 0, count(*) FILTER (WHERE arm <> retention.campaign_arm(campaign, shop_id, customer_id, 0.4)), count(DISTINCT arm)
			FROM retention.campaign_member)), 't|0|2', 'arms are what they would be drawn as here');
		my $queued = q(SELECT count(*) FROM retention.care_message WHERE rule = 'campaign:春 sale:1');
		my $once = $node->safe_psql($db, $queued);
		at_noon($db, q(CALL retention.run('2024-05-05 12:00+00')));
		is($node->safe_psql($db, $queued), $once, 'a step that was queued is not queued again');
		is($node->safe_psql($db, q(SELECT count(*) FROM retention.care_message WHERE rule = 'campaign:春 sale:2')), $once, 'the next one is');
		is($node->safe_psql($db, q(SELECT count(*) FROM retention.offer_code o CROSS JOIN LATERAL retention.check_offer(o.code, o.customer_id, '2024-05-05', 'Tea House') AS c WHERE c.refusal IS NULL)),
			$once - 1, 'offer codes are good, but for the one used');
		at_noon($db, q(SELECT retention.detach('public.sales'); DROP TABLE sales, gone, trials));
	};
	return;
}

my $dir = $node->basedir;
my $first = dump_text('shop');

sub restored
{
	my ($db, $how) = @_;
	same_contents(contents($db), $before, "all rows are the same after $how");
	my $again = dump_text($db);
	ok($again eq $first, "the dump after $how is the dump before") or diff($first, $again);
	return lives_on($db);
}

# Shows where two dumps part: a dump is too long to be printed whole.
sub diff
{
	my @a = split /\n/, $_[0];
	my @b = split /\n/, $_[1];
	foreach my $i (0 .. $#a)
	{
		next if defined $b[$i] && $a[$i] eq $b[$i];
		diag("line $i:\n< $a[$i]\n> " . ($b[$i] // '(end)'));
		last;
	}
	return;
}

sub new_database
{
	my ($db) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $db TEMPLATE template0");
	return $node->connstr($db);
}

$node->command_ok([ 'pg_dump', '--no-sync', '-Fp', '-f', "$dir/plain.sql", '-d', $node->connstr('shop') ], 'pg_dump, plain');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/plain.sql", '-d', new_database('plain') ], 'psql restores it');
restored('plain', 'a plain dump');

$node->command_ok([ 'pg_dump', '--no-sync', '-Fc', '-f', "$dir/custom.dump", '-d', $node->connstr('shop') ], 'pg_dump, custom');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-j2', '-d', new_database('custom'), "$dir/custom.dump" ], 'pg_restore, two jobs');
restored('custom', 'a parallel restore');

# Data alone: the triggers of the shop's tables would sync, and those of ours refuse.
$node->command_ok([ 'pg_restore', '--exit-on-error', '--schema-only', '-d', new_database('data'), "$dir/custom.dump" ], 'pg_restore, schema only');
$node->command_ok([ 'pg_restore', '--exit-on-error', '--data-only', '--disable-triggers', '-d', $node->connstr('data'), "$dir/custom.dump" ],
	'pg_restore, data only with --disable-triggers');
restored('data', 'schema and data apart');

same_contents(contents('shop'), $before, 'nothing has changed where it was dumped');

# Arms do not hang on anything that a server has in memory.
my $arms = q(SELECT string_agg(retention.campaign_arm('autumn', 1, n::text, 0.5), ' ' ORDER BY n) FROM generate_series(1, 500) AS n);
my $drawn = $node->safe_psql('shop', $arms);
$node->restart;
is($node->safe_psql('shop', $arms), $drawn, 'arms are drawn alike after a restart');

$node->stop;
done_testing();
