# A busy shop whose server is killed outright, postmaster and all, at random
# moments: after each restart an order, its points and its messages are there
# together or not at all, and nothing is missing that was acknowledged.
#
# RETENTION_SEED repeats a run's moments.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RetentionNode;
use ShopTraffic;
use Test::More;
use Time::HiRes qw(usleep);

plan skip_all => 'no /proc to find the processes of a server in' unless -r "/proc/$$/stat";

my $rounds = 20;

my $seed = $ENV{RETENTION_SEED} // time;
srand($seed);
note("RETENTION_SEED=$seed");

my $node = retention_node('crash', conf => "max_connections = 30\nlog_statement = none\nautovacuum_naptime = 1s\n");
open_shop($node);

my ($orders, $postings, $messages) = (0, 0, 0);
foreach my $round (1 .. $rounds)
{
	my $traffic = start_traffic($node, "round $round");

	usleep(200_000 + int(rand(800_000)));
	kill_all($node);
	my @errors = stop_traffic($traffic);
	is("@errors", '', "round $round: nothing went wrong before");
	$node->start;

	still_whole($node, "round $round");
	my $now = $node->safe_psql('postgres', 'SELECT last_value FROM orders_id_seq');
	my ($posted, $sent) = acknowledged();
	cmp_ok($now, '>', $orders, "round $round: there was traffic");
	($orders, $postings, $messages) = ($now, $posted, $sent);
}
note("$orders orders, $postings postings and $messages messages acknowledged");
cmp_ok($postings, '>', 100, 'points were posted');
cmp_ok($messages, '>', 100, 'messages were sent');

my $before = recorded($node);
$node->safe_psql('postgres', q(SELECT retention.resync('public.orders', everything => true)));
is(recorded($node), $before, 'resync finds nothing to mend');

$node->stop;
done_testing();
