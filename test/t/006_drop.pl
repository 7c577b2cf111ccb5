# What it takes to lose the ledger: not a plain DROP EXTENSION while a shop is
# attached, nor dropping single parts, nor the shop's own schema; CASCADE does.
# A schema public that may be dropped wants a server of its own.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RetentionNode;
use Test::More;

my $node = retention_node('shop');
$node->safe_psql('postgres', q{
	CREATE EXTENSION retention;
	CREATE TABLE public.orders (id integer PRIMARY KEY, customer text, total numeric, paid_at timestamptz, completed_at timestamptz);
	SELECT retention.attach_orders('public.orders', 'id', 'customer', 'total', paid_at => 'paid_at', completed_at => 'completed_at');
	INSERT INTO public.orders VALUES (1, 'a', 100, now(), now()), (2, 'b', 20, now(), now()), (3, 'c', 5, now(), NULL);
	CALL retention.run();
});
my $ledger = q(SELECT count(*), sum(points) FROM retention.points_entry);
is($node->safe_psql('postgres', $ledger), '2|120', 'there is a ledger to lose');

sub refused
{
	my ($sql, $message) = @_;
	my ($code, $out, $err) = $node->psql('postgres', $sql);

	like($err, $message, "$sql is refused");
	is($node->safe_psql('postgres', $ledger), '2|120', '... and nothing is lost');
	return;
}

refused('DROP EXTENSION retention', qr/cannot drop extension retention because other objects depend on it.*trigger retention_note_1 on table (public\.)?orders/s);
refused('DROP SCHEMA retention CASCADE', qr/cannot drop schema retention because extension retention requires it/);
refused('DROP TABLE retention.points_entry CASCADE', qr/cannot drop table retention.points_entry because extension retention requires it/);
refused('DROP FUNCTION retention.note_change CASCADE', qr/cannot drop function retention.note_change\(\) because extension retention requires it/);
refused('TRUNCATE retention.points_entry', qr/The ledger is append-only/);
refused('DELETE FROM retention.points_entry', qr/The ledger is append-only/);
refused(q(UPDATE retention.points_entry SET points = 0), qr/The ledger is append-only/);

# ---------------------------------------------------------------------------
# The shop's tables go, with their schema
# ---------------------------------------------------------------------------

$node->safe_psql('postgres', 'DROP SCHEMA public CASCADE');
is($node->safe_psql('postgres', $ledger), '2|120', 'DROP SCHEMA public CASCADE: the ledger stays');
is($node->safe_psql('postgres', q(SELECT retention.points_balance('a'))), '100', 'and so do balances');
is($node->safe_psql('postgres', q(SELECT count(*) FROM retention.customers)), '3', 'and customers');
is($node->safe_psql('postgres', 'SELECT * FROM retention.check_ledger(); CALL retention.run()'), '', 'it goes on by itself');
is($node->safe_psql('postgres', q(SELECT check_name, status, found FROM retention.health() WHERE status <> 'OK')),
	'watched tables|CRITICAL|a table of source "public.orders" was dropped', 'health() misses the table');

# Such a database can be dumped and restored: the watch names a table that is no more.
my $dump = $node->basedir . '/dropped.sql';
$node->command_ok([ 'pg_dump', '--no-sync', '-f', $dump, 'postgres' ], 'it can be dumped');
$node->safe_psql('postgres', 'CREATE DATABASE restored TEMPLATE template0');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, 'restored' ], 'and restored');
is($node->safe_psql('restored', $ledger), '2|120', 'with its ledger');
is($node->safe_psql('restored', q(SELECT status, found FROM retention.health() WHERE check_name = 'watched tables')),
	'CRITICAL|a table of source "public.orders" was dropped', 'and still misses the table');

# The shop's tables come back, from a dump of theirs; the source is taken up again.
foreach my $db (qw(postgres restored))
{
	$node->safe_psql($db, q{
		CREATE SCHEMA IF NOT EXISTS public;
		CREATE TABLE public.orders (id integer PRIMARY KEY, customer text, total numeric, paid_at timestamptz, completed_at timestamptz);
		INSERT INTO public.orders VALUES (1, 'a', 100, now(), now()), (2, 'b', 20, now(), now()), (3, 'c', 5, now(), NULL);
		SELECT retention.detach('public.orders');
		SELECT retention.attach_orders('public.orders', 'id', 'customer', 'total', paid_at => 'paid_at', completed_at => 'completed_at');
		SELECT retention.resync('public.orders', everything => true);
		UPDATE public.orders SET total = 105 WHERE id = 1;
		UPDATE public.orders SET completed_at = now() WHERE id = 3;
	});
	is($node->safe_psql($db, q(SELECT sum(points) FROM retention.points_entry)), '130', "$db: attached again, the ledger goes on");
	is($node->safe_psql($db, q(SELECT check_name FROM retention.health() WHERE status = 'CRITICAL')), '', "$db: health() is content");
}

# ---------------------------------------------------------------------------
# What CASCADE destroys
# ---------------------------------------------------------------------------

$node->safe_psql('postgres', q(SELECT retention.detach('public.orders')));
$node->safe_psql('postgres', 'BEGIN; DROP EXTENSION retention; ROLLBACK');
is($node->safe_psql('postgres', q(SELECT count(*) FROM pg_extension WHERE extname = 'retention')), '1', 'detached, it may be dropped (here it was not)');

$node->safe_psql('restored', 'DROP EXTENSION retention CASCADE');
is($node->safe_psql('restored', q(SELECT count(*) FROM pg_namespace WHERE nspname = 'retention')), '0', 'CASCADE takes the ledger and all');
is($node->safe_psql('restored', q(
	INSERT INTO public.orders VALUES (4, 'd', 1, now(), now());
	SELECT count(*), (SELECT count(*) FROM pg_trigger WHERE tgrelid = 'public.orders'::regclass) FROM public.orders)), '4|0',
	'but leaves the shop\'s tables, without triggers');

$node->stop;
done_testing();
