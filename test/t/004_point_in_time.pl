# A busy shop brought back to an earlier moment from a base backup and the
# archived log: to a named point exactly as it was there, and to a moment in
# the middle of the traffic as a whole.
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

my $shop = retention_node('shop', has_archiving => 1, allows_streaming => 1,
	conf => "max_connections = 30\nshared_buffers = 32MB\nlog_statement = none\n");
open_shop($shop);

# The backup is taken while the shop is busy.
my $traffic = start_traffic($shop, 'first');
sleep(1);
$shop->backup('base');
sleep(1);
is(join(' ', stop_traffic($traffic, node => $shop)), '', 'nothing went wrong');

my $then = recorded($shop);
my $orders = $shop->safe_psql('postgres', 'SELECT count(*) FROM orders');
my ($postings) = acknowledged();
cmp_ok($postings, '>', 50, 'points were posted');
$shop->safe_psql('postgres', q(SELECT pg_create_restore_point('evening')));

$traffic = start_traffic($shop, 'second');
sleep(2);
my $middle = $shop->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
sleep(1);
is(join(' ', stop_traffic($traffic, node => $shop, forget => 1)), '', 'nothing went wrong');
isnt(recorded($shop), $then, 'more was recorded afterwards');
$shop->safe_psql('postgres', 'SELECT pg_switch_wal()');
$shop->stop;

sub restored
{
	my ($name, $target) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init_from_backup($shop, 'base', has_restoring => 1, standby => 0);
	$node->append_conf('postgresql.conf', "archive_mode = off\n$target\nrecovery_target_action = promote\n");
	$node->start;
	$node->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'it does not come up';
	return $node;
}

my $evening = restored('evening', "recovery_target_name = 'evening'");
is(recorded($evening), $then, 'at the named point everything is as it was');
is($evening->safe_psql('postgres', 'SELECT count(*) FROM orders'), $orders, 'and so are the orders');
still_whole($evening, 'at the named point');

my $any = restored('any', "recovery_target_lsn = '$middle'");
isnt(recorded($any), $then, 'a moment in the middle has more than the named point');
still_whole($any, 'in the middle');
$any->stop;

$traffic = start_traffic($evening, 'third');
sleep(1);
is(join(' ', stop_traffic($traffic, node => $evening)), '', 'the shop goes on from there');
still_whole($evening, 'after more traffic');
$evening->stop;

done_testing();
