# A busy shop whose primary is killed in the middle of it all and whose
# standby, which every commit waited for, takes over: the standby answers
# questions while it follows, has all that was acknowledged when it is
# promoted, and the shop goes on there.
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

plan skip_all => 'no /proc to find the processes of a server in' unless -r "/proc/$$/stat";

my $primary = retention_node('primary', allows_streaming => 1,
	conf => "max_connections = 30\nshared_buffers = 32MB\nlog_statement = none\n");
open_shop($primary);

$primary->backup('whole');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'whole', has_streaming => 1);
$standby->start;
$primary->append_conf('postgresql.conf', "synchronous_standby_names = 'standby'");
$primary->reload;
$primary->poll_query_until('postgres', q(SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'))
  or die 'the standby does not follow';

my $traffic = start_traffic($primary, 'before');
sleep(3);

# What reads works on a standby.
is($standby->safe_psql('postgres', 'SELECT pg_is_in_recovery()'), 't', 'it is a standby');
is($standby->safe_psql('postgres', 'SELECT * FROM retention.check_ledger()'), '', 'its ledger keeps the invariants while it follows');
like($standby->safe_psql('postgres', q(SELECT retention.points_balance('1'))), qr/^-?\d+$/, 'it knows balances');
like($standby->safe_psql('postgres', 'SELECT count(*), sum(purchases) FROM retention.customers'), qr/^\d+\|\d+$/, 'it has the views');
is($standby->safe_psql('postgres', q(SELECT string_agg(check_name, ', ') FROM retention.health() WHERE status = 'CRITICAL')), '', 'it is in good health');
my ($code, $out, $err) = $standby->psql('postgres', q(SELECT retention.redeem('1', 1, 'on the standby')));
like($err, qr/read-only/, 'and it posts nothing');

sleep(1);
kill_all($primary);
$standby->promote;
is(join(' ', stop_traffic($traffic)), '', 'nothing went wrong before');
my ($postings, $messages) = acknowledged();
cmp_ok($postings, '>', 50, 'points were posted');
cmp_ok($messages, '>', 50, 'messages were sent');

still_whole($standby, 'promoted');

$standby->append_conf('postgresql.conf', "synchronous_standby_names = ''");
$standby->reload;
$traffic = start_traffic($standby, 'after');
sleep(2);
is(join(' ', stop_traffic($traffic, node => $standby)), '', 'nothing goes wrong after');
my ($later) = acknowledged();
cmp_ok($later, '>', $postings, 'the shop goes on');
still_whole($standby, 'after more traffic');

$standby->stop;
done_testing();
