# Dumps taken while the shop is busy: what is restored from them is whole, in
# each format, and goes on from there.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RetentionNode;
use ShopTraffic;
use Test::More;
use Time::HiRes qw(sleep);

my $node = retention_node('shop', conf => "max_connections = 30\nlog_statement = none\n");
open_shop($node);

my $dir = $node->basedir;
my $traffic = start_traffic($node, 'busy');
sleep(2);
$node->command_ok([ 'pg_dump', '--no-sync', '-Fp', '-f', "$dir/plain.sql", 'postgres' ], 'pg_dump, plain');
$node->command_ok([ 'pg_dump', '--no-sync', '-Fc', '-f', "$dir/custom.dump", 'postgres' ], 'pg_dump, custom');
$node->command_ok([ 'pg_dump', '--no-sync', '-Fd', '-j2', '-f', "$dir/parallel", 'postgres' ], 'pg_dump, two jobs');
is(join(' ', stop_traffic($traffic, node => $node, forget => 1)), '', 'nothing went wrong meanwhile');
is(join("\n", grep { /(WARNING|NOTICE|INFO|DEBUG\d?|LOG):/ && /retention/ } split /\n/, slurp_file($node->logfile)), '',
	'and the server\'s log has nothing to say of it');

$node->safe_psql('postgres', "CREATE DATABASE $_ TEMPLATE template0") foreach qw(plain custom parallel);
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/plain.sql", 'plain' ], 'psql restores the plain one');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', 'custom', "$dir/custom.dump" ], 'pg_restore restores the custom one');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-j2', '-d', 'parallel', "$dir/parallel" ], 'two jobs restore the parallel one');

foreach my $db (qw(plain custom parallel))
{
	cmp_ok($node->safe_psql($db, 'SELECT count(*) FROM orders'), '>', 100, "$db: there are orders");
	still_whole($node, $db, db => $db);
	$node->safe_psql($db, q(
		UPDATE orders SET paid_at = coalesce(paid_at, now());
		UPDATE orders SET refunded = total WHERE id % 3 = 0;
		CALL retention.run();
	));
	still_whole($node, "$db goes on", db => $db);
}

$node->stop;
done_testing();
