# A shop behind a pooler in transaction mode, and one that speaks the extended
# protocol with prepared statements and pipelines: each transaction may run in
# another server session, and none may see what another's drain left behind.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $transactions = 150;
my $clients = 6;

my $node = PostgreSQL::Test::Cluster->new('shop');
$node->init;
$node->append_conf('postgresql.conf', $ENV{RETENTION_SETTINGS})
  if $ENV{RETENTION_SETTINGS};
$node->start;
$node->safe_psql('postgres', q{
SET client_min_messages = warning;
CREATE EXTENSION retention;
CREATE ROLE shop LOGIN;
CREATE SEQUENCE order_ids;
CREATE TABLE orders (
	id bigint PRIMARY KEY,
	customer integer,
	total numeric NOT NULL,
	refunded numeric NOT NULL DEFAULT 0,
	placed_at timestamptz NOT NULL DEFAULT now(),
	paid_at timestamptz
);
ALTER TABLE orders OWNER TO shop;
GRANT USAGE ON SEQUENCE order_ids TO shop;
INSERT INTO retention.shop (shop_id, name, accrue_on) VALUES (1, 'Tea House', 'paid');
-- no tiers: points are what was spent
INSERT INTO retention.tier (shop_id, rung, name) VALUES (1, 1, 'member');
SELECT retention.attach_orders('orders', order_id => 'id', customer => 'customer', total => 'total', refunded => 'refunded',
	placed_at => 'placed_at', paid_at => 'paid_at');
SELECT retention.enable_rule('unpaid_reminder');
});

my $script = $node->basedir . '/lives.sql';
append_to_file($script, q{
\set customer random(1, 10)
SELECT nextval('order_ids') AS id
\gset
BEGIN;
INSERT INTO orders (id, customer, total) VALUES (:id, :customer, 10);
END;
UPDATE orders SET paid_at = now() WHERE id = :id;
UPDATE orders SET refunded = 4 WHERE id = :id AND id % 3 = 0;
});

# One order in a pipeline: its statements are sent at once, and run as one
# transaction.
my $pipeline = $node->basedir . '/pipeline.sql';
append_to_file($pipeline, q{
\set customer random(1, 10)
SELECT nextval('order_ids') AS id
\gset
\startpipeline
INSERT INTO orders (id, customer, total) VALUES (:id, :customer, 10);
UPDATE orders SET paid_at = now() WHERE id = :id;
UPDATE orders SET refunded = 4 WHERE id = :id AND id % 3 = 0;
\endpipeline
});

# What the orders say, against what is recorded.
sub check
{
	my ($name, $connection, @options) = @_;
	my $before = $node->safe_psql('postgres', 'SELECT count(*) FROM orders');

	$node->command_ok(
		[ 'pgbench', '-n', '-c', $clients, '-j', 2, '-t', $transactions, @options, @$connection, '-U', 'shop', 'postgres' ], $name);
	is($node->safe_psql('postgres', 'SELECT count(*) FROM orders') - $before, $clients * $transactions, "$name: every order is there");
	is($node->safe_psql('postgres', q{
SELECT count(*), count(*) FILTER (WHERE (o.customer::text, o.total, o.refunded, o.paid_at) IS DISTINCT FROM (p.customer_id, p.paid, p.refunded, p.paid_at))
FROM orders AS o
FULL JOIN retention.purchase AS p ON p.order_id = o.id::text}),
		($before + $clients * $transactions) . '|0', "$name: and recorded as it is");
	is($node->safe_psql('postgres', q{
SELECT count(*)
FROM (SELECT customer::text AS customer_id, count(*) AS purchases, sum(total - refunded) AS spent FROM orders GROUP BY customer) AS o
FULL JOIN retention.customers AS c USING (customer_id)
WHERE (o.purchases, o.spent, floor(o.spent)) IS DISTINCT FROM (c.purchases, c.spent, c.points)}),
		'0', "$name: customers have what they bought");
	is($node->safe_psql('postgres', q{
SELECT (SELECT count(*) FROM retention.sync_error), (SELECT count(*) FROM retention.check_ledger()),
	(SELECT count(*) FROM retention.care_message WHERE state = 'queued')}),
		'0|0|0', "$name: nothing failed, and no reminder is left for a paid order");
}

my @direct = ('-h', $node->host, '-p', $node->port);

check('simple protocol', \@direct, '-M', 'simple', '-f', $script);
check('prepared statements', \@direct, '-M', 'prepared', '-f', $script);
check('pipelines of prepared statements', \@direct, '-M', 'prepared', '-f', $pipeline);

SKIP:
{
	my ($pgbouncer) = grep { -x } map { "$_/pgbouncer" } split(/:/, "$ENV{PATH}:/usr/sbin");

	skip 'no pgbouncer', 10 unless $pgbouncer;

	my $folder = $node->basedir;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	append_to_file("$folder/users.txt", "\"shop\" \"\"\n");
	append_to_file("$folder/pgbouncer.ini", <<"END");
[databases]
postgres = host=@{[ $node->host ]} port=@{[ $node->port ]}

[pgbouncer]
listen_addr =
unix_socket_dir = @{[ $node->host ]}
listen_port = $port
auth_type = trust
auth_file = $folder/users.txt
pool_mode = transaction
default_pool_size = 2
logfile = $folder/pgbouncer.log
pidfile = $folder/pgbouncer.pid
END
	system_or_bail($pgbouncer, '-d', '-q', "$folder/pgbouncer.ini");
	my @pooled = ('-h', $node->host, '-p', $port);

	check('pooler in transaction mode', \@pooled, '-M', 'simple', '-f', $script);
	check('pooler, extended protocol', \@pooled, '-M', 'extended', '-f', $script);
	cmp_ok($node->safe_psql('postgres', q{SELECT count(DISTINCT pid) FROM pg_stat_activity WHERE usename = 'shop'}), '<=', 2,
		'all of them ran in two sessions');
	kill 'INT', slurp_file("$folder/pgbouncer.pid");
}

done_testing();
