# A server for a TAP test, with the extension at hand: installed, or in the
# stage that RETENTION_STAGE and RETENTION_SETTINGS tell of (see test/run.sh).
package RetentionNode;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

our @EXPORT = qw(retention_node kill_all);

# retention_node(NAME, conf => SETTINGS, and what init() takes): started
sub retention_node
{
	my ($name, %options) = @_;
	my $conf = delete $options{conf};
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(%options);
	$node->append_conf('postgresql.conf', $ENV{RETENTION_SETTINGS}) if $ENV{RETENTION_SETTINGS};
	$node->append_conf('postgresql.conf', $conf) if $conf;
	$node->start;

	# Debian's extension_destdir is not looked into by that view.
	if (!$ENV{RETENTION_SETTINGS}
		&& $node->safe_psql('postgres', q(SELECT count(*) FROM pg_available_extensions WHERE name = 'retention')) eq '0')
	{
		$node->stop;
		plan skip_all => 'retention is not installed; RETENTION_SETTINGS may tell where it was staged';
	}
	return $node;
}

# The processes there are, as [pid, state, parent].
sub processes
{
	my @processes;

	foreach my $stat (glob '/proc/[0-9]*/stat')
	{
		open my $file, '<', $stat or next;
		my $line = <$file> // '';
		close $file;
		push @processes, [ $1, $2, $3 ] if $line =~ /^(\d+) \(.*\) (\S) (\d+) /;
	}
	return @processes;
}

# Postmaster and backends at once, which would go on for a while; returns when
# they are gone.  Where nobody takes note of their death they count as alive,
# and so do their lock files.
sub kill_all
{
	my ($node) = @_;
	my $postmaster = $node->{_pid};
	my %pids = map { $_->[0] => 1 } grep { $_->[0] == $postmaster || $_->[2] == $postmaster } processes();

	$node->kill9;
	kill 'KILL', keys %pids;
	for (1 .. 100)
	{
		return unless grep { $pids{ $_->[0] } } processes();
		usleep(50_000);
	}
	BAIL_OUT('the server cannot be killed') if grep { $pids{ $_->[0] } && $_->[1] ne 'Z' } processes();
	unlink $node->data_dir . '/postmaster.pid', $node->host . '/.s.PGSQL.' . $node->port . '.lock';
	return;
}

1;
