# pg_upgrade from an older PostgreSQL, found beside this one where Debian puts
# them: every row comes along, the triggers fire, the library of the new
# version serves the objects made by the old one's.
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

chomp(my $bindir = `pg_config --bindir`);
my ($major) = `pg_config --version` =~ /(\d+)/;
my ($old_major) = grep { -x "/usr/lib/postgresql/$_/bin/postgres" && -e "/usr/lib/postgresql/$_/lib/pgxs/src/makefiles/pgxs.mk" } 15 .. $major - 1;
plan skip_all => "no PostgreSQL older than $major here, with its server headers" unless $old_major;
my $old_path = "/usr/lib/postgresql/$old_major";
my $dir = $PostgreSQL::Test::Utils::tmp_check;
my $old_stage = "$dir/stage";

# The extension as built for the old version, in a copy of its own.
copy_tree("$dir/source");
system_or_bail('make', '-s', '-C', "$dir/source", 'clean', "PG_CONFIG=$old_path/bin/pg_config", 'with_llvm=no');
system_or_bail('make', '-s', '-j2', '-C', "$dir/source", 'install', "PG_CONFIG=$old_path/bin/pg_config", 'with_llvm=no', "DESTDIR=$old_stage");

my $old = PostgreSQL::Test::Cluster->new('old', install_path => $old_path);
$old->init;
# Another Debian's LLVM is not there for the old server's JIT.
$old->append_conf('postgresql.conf', "extension_destdir = '$old_stage'\nmax_connections = 30\njit = off\n");
$old->start;
open_shop($old);
my $traffic = start_traffic($old, 'old');
sleep(2);
is(join(' ', stop_traffic($traffic, node => $old)), '', 'nothing went wrong before');
still_whole($old, "on $old_major");
my $before = recorded($old);
$old->stop;

my $new = retention_node('new', conf => "max_connections = 30\n");
$new->stop;

chdir $dir or die $!;
command_ok(
	[
		'pg_upgrade', '--no-sync', '-b', "$old_path/bin", '-B', $bindir, '-d', $old->data_dir, '-D', $new->data_dir,
		'-s', $new->host, '-p', $old->port, '-P', $new->port
	],
	"pg_upgrade from $old_major to $major");
chdir "$FindBin::RealBin/../.." or die $!;
$new->start;

is(recorded($new), $before, 'every row is as it was');
still_whole($new, "on $major");
is($new->safe_psql('postgres', q(SELECT check_name FROM retention.health() WHERE status = 'CRITICAL')), '', 'health() is content');
$traffic = start_traffic($new, 'new');
sleep(2);
is(join(' ', stop_traffic($traffic, node => $new)), '', 'nothing goes wrong after');
isnt(recorded($new), $before, 'the shop goes on');
still_whole($new, 'after more traffic');

# The objects are those that this version makes.
$new->safe_psql('postgres', 'CREATE DATABASE fresh TEMPLATE template0');
$new->safe_psql('fresh', 'CREATE EXTENSION retention');
my $objects = slurp_file('test/include/objects.sql');
is($new->safe_psql('postgres', $objects), $new->safe_psql('fresh', $objects), 'the objects are those of a fresh installation');

$new->stop;
done_testing();
