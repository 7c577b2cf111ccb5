# A server for a TAP test, with the extension at hand: installed, or in the
# stage that RETENTION_STAGE and RETENTION_SETTINGS tell of (see test/run.sh).
package RetentionNode;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

our @EXPORT = qw(retention_node kill_all copy_tree);

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

# The processes of a server: all work in its data folder, the dead in none.
sub processes
{
	my $folder = abs_path(shift->data_dir);

	return grep { (readlink("/proc/$_/cwd") // '') eq $folder } map { m{(\d+)$} } glob '/proc/[0-9]*';
}

# Postmaster and backends at once, which would go on for a while, and those that
# it forks meanwhile; returns when they are gone.
sub kill_all
{
	my ($node) = @_;
	my $postmaster = $node->{_pid};
	my @processes;

	$node->kill9;
	for (1 .. 1000)
	{
		@processes = processes($node) or last;
		kill 'KILL', @processes;
		usleep(10_000);
	}
	BAIL_OUT('the server cannot be killed') if @processes;

	# Where nobody takes note of its death it counts as alive, and so does its
	# lock file.
	for (1 .. 20)
	{
		return unless kill 0, $postmaster;
		usleep(10_000);
	}
	unlink $node->data_dir . '/postmaster.pid', $node->host . '/.s.PGSQL.' . $node->port . '.lock';
	return;
}

# What the extension is built of, and what of it is built, goes to a folder.  Not
# the whole tree: other tests may be writing their results there.
sub copy_tree
{
	my ($folder) = @_;

	mkdir $folder or die "$folder: $!";
	system_or_bail('cp', '-a', qw(Makefile retention.control adapters sql src), glob('retention*.so'), $folder);
	return;
}

1;
