# ALTER EXTENSION UPDATE under a shop that is open: from each released version
# (the folders in RETENTION_RELEASES, see test/run.sh) to this one, and from
# this one to one made up here, which adds a column, a default and a function.
# While library and SQL objects differ the shop's writes go through; afterwards
# the objects are those of a fresh installation, and nothing is lost.
# Libraries that are replaced want a folder to install into and old sessions.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RetentionNode;
use Test::More;

plan skip_all => 'RETENTION_STAGE and RETENTION_SETTINGS do not tell how to use another library'
  unless $ENV{RETENTION_STAGE} && $ENV{RETENTION_SETTINGS};

my $dir = $PostgreSQL::Test::Utils::tmp_check;
my $stage = "$dir/stage";
mkdir $stage;
(my $settings = $ENV{RETENTION_SETTINGS}) =~ s/\Q$ENV{RETENTION_STAGE}\E/$stage/g;
$ENV{RETENTION_SETTINGS} = $settings;

# ---------------------------------------------------------------------------
# Trees
# ---------------------------------------------------------------------------

sub version_of
{
	my ($tree) = @_;
	return slurp_file("$tree/retention.control") =~ /default_version = '([^']+)'/ ? $1 : die "no version in $tree";
}

sub install
{
	my ($tree) = @_;
	system_or_bail('make', '-s', '-C', $tree, 'install', "DESTDIR=$stage", 'with_llvm=no');
	return;
}

sub script
{
	my ($name) = @_;
	chomp(my $sharedir = `pg_config --sharedir`);
	return "$stage$sharedir/extension/$name";
}

# A copy of this tree with another version, whose SQL adds the text given.
sub next_version
{
	my ($addition) = @_;
	my $tree = "$dir/next";
	my $version = version_of('.');
	(my $next = $version) =~ s/^(\d+).*/($1 + 1) . '.0.0'/e;

	# with what is compiled; only the files that know the version are compiled again
	copy_tree($tree);
	system_or_bail('touch', "$tree/src/version.c", "$tree/src/retention.c");
	my $control = slurp_file("$tree/retention.control");
	$control =~ s/\Q$version\E/$next/;
	unlink "$tree/retention.control";
	append_to_file("$tree/retention.control", $control);
	append_to_file("$tree/sql/99_next.sql", $addition);
	append_to_file("$tree/sql/retention--$version--$next.sql",
		qq(\\echo Use "ALTER EXTENSION retention UPDATE" to load this file. \\quit\n$addition));
	return $tree;
}

# ---------------------------------------------------------------------------
# Comparing
# ---------------------------------------------------------------------------

my $node;

# Every object, and every row of the defaults that are shipped.
sub objects
{
	my ($db) = @_;
	my @lines = split /\n/, $node->safe_psql($db, slurp_file('test/include/objects.sql'));
	my $shipped = $node->safe_psql($db, q(
		SELECT c.oid::regclass
		FROM pg_depend d
		JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'retention'
		JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'r'
		WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND c.oid <> ALL (e.extconfig)));
	foreach my $table (split /\n/, $shipped)
	{
		push @lines, map { "$table | row | $_" } split /\n/, $node->safe_psql($db, "SELECT to_jsonb(t) FROM $table AS t ORDER BY 1");
	}
	return @lines;
}

# What one has and the other has not.
sub differences
{
	my ($one, $other) = @_;
	my (%one, %other);
	$one{$_}++ foreach objects($one);
	$other{$_}++ foreach objects($other);
	return join("\n", (map { "only $one: $_" } grep { !$other{$_} } sort keys %one),
		(map { "only $other: $_" } grep { !$one{$_} } sort keys %other));
}

sub create
{
	my ($db, $version) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $db TEMPLATE template0");
	$node->safe_psql($db, 'CREATE EXTENSION retention' . ($version ? " VERSION '$version'" : ''));
	return;
}

# A session that stays open.
sub open_session
{
	my ($db) = @_;
	my %session = (in => '', out => '');
	$session{handle} = IPC::Run::start([ 'psql', '-X', '-q', '-A', '-t', '-d', $node->connstr($db) ],
		'<', \$session{in}, '>', \$session{out}, '2>&1', IPC::Run::timeout(60));
	return \%session;
}

sub ask
{
	my ($session, $sql) = @_;
	$session->{out} = '';
	$session->{in} .= "$sql;\n\\echo done\n";
	$session->{handle}->pump until $session->{out} =~ /^done$/m;
	return $session->{out};
}

my $wrong = slurp_file('test/include/wrong.sql');

# ---------------------------------------------------------------------------
# An update
# ---------------------------------------------------------------------------

sub update
{
	my ($db, $from, $to) = @_;
	my ($old, $new) = (version_of($from), version_of($to));
	my $fits = $old =~ s/\.[^.]*$//r eq $new =~ s/\.[^.]*$//r;

	subtest "from $old to $new" => sub {
		install($from);
		create($db);
		$node->safe_psql($db, q{
			CREATE TABLE orders (id integer PRIMARY KEY, customer text, total numeric, paid_at timestamptz);
			SELECT retention.attach_orders('orders', 'id', 'customer', 'total', paid_at => 'paid_at', completed => 'true');
			INSERT INTO orders SELECT n, 'c' || n % 5, n, now() FROM generate_series(1, 100) AS n;
			SELECT retention.redeem('c1', 10, 'r1');
		});
		my $session = open_session($db);
		like(ask($session, q(SELECT retention.points_balance('c1'))), qr/^\d+$/m, 'a session of before');

		install($to);
		like(ask($session, q(INSERT INTO orders VALUES (101, 'c1', 101, now()); SELECT retention.redeem('c1', 1, 'r2'))), qr/^\(\d+,-1,\d+\)$/m,
			'goes on while the new version is only installed');
		my ($code, $out, $err) = $node->psql($db, q(INSERT INTO orders VALUES (102, 'c2', 102, now())));
		is($code, 0, 'a new session can write orders');
		if (!$fits)
		{
			like($err, qr/WARNING:  a change could not be read: the library of retention is version \Q$new\E, its SQL objects are \Q$old\E/, 'and is warned');
			($code, $out, $err) = $node->psql($db, q(SELECT retention.redeem('c1', 1, 'r3')));
			like($err, qr/ERROR:  the library of retention is version .*ALTER EXTENSION retention UPDATE/s, 'but not post points');
			like($node->safe_psql($db, q(SELECT status FROM retention.health() WHERE check_name = 'versions')), qr/CRITICAL/, 'health() says why');
		}

		$node->safe_psql($db, 'ALTER EXTENSION retention UPDATE');
		is($node->safe_psql($db, q(SELECT extversion FROM pg_extension WHERE extname = 'retention')), $new, 'it is updated');
		my $answer = ask($session, q(INSERT INTO orders VALUES (103, 'c3', 103, now()); SELECT retention.redeem('c1', 1, 'r4')));
		if ($fits)
		{
			like($answer, qr/^\(\d+,-1,\d+\)$/m, 'the session of before still goes on');
		}
		else
		{
			like($answer, qr/WARNING:  a change could not be read: the library of retention is version \Q$old\E.*ERROR:  the library/s,
				'the session of before can write orders, and is told to reconnect');
		}
		$session->{in} .= "\\q\n";
		$session->{handle}->finish;

		$node->safe_psql($db, q(SELECT retention.resync('public.orders'); CALL retention.run()));
		is($node->safe_psql($db, 'SELECT count(*), count(p.order_id), sum(p.value) = sum(o.total) FROM orders o LEFT JOIN retention.purchase p ON p.order_id = o.id::text'),
			'103|103|t', 'resync() records what was missed');
		is($node->safe_psql($db, "$wrong SELECT * FROM wrong"), '', 'what is kept is what purchases and ledger say');
		is($node->safe_psql($db, 'SELECT * FROM retention.check_ledger()'), '', 'the ledger keeps its invariants');
		is($node->safe_psql($db, q(SELECT check_name, found FROM retention.health() WHERE status <> 'OK')), '', 'health() is content');

		create("${db}_fresh");
		is(differences($db, "${db}_fresh"), '', 'the objects are those of a fresh installation');

		# Columns in another order must not trouble a dump.
		$node->safe_psql('postgres', "CREATE DATABASE ${db}_restored TEMPLATE template0");
		$node->command_ok([ 'pg_dump', '--no-sync', '-f', "$dir/$db.sql", $db ], 'it can be dumped');
		$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/$db.sql", "${db}_restored" ], 'and restored');
		is($node->safe_psql("${db}_restored", q(INSERT INTO orders VALUES (104, 'c4', 104, now()); SELECT count(*) FROM retention.purchase)), '104', 'and goes on');
	};
	return;
}

# ---------------------------------------------------------------------------
# From this version to the next
# ---------------------------------------------------------------------------

my $next = next_version(<<'SQL');
ALTER TABLE retention.customer_stats ADD COLUMN next_count integer NOT NULL DEFAULT 7;
COMMENT ON COLUMN retention.customer_stats.next_count IS 'A column of the next version';
INSERT INTO retention.tier_default (rung, name, name_zh, min_spent) VALUES (9, 'next', '下一', 1000000);
CREATE FUNCTION retention.next_value() RETURNS integer LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp RETURN 1;
COMMENT ON FUNCTION retention.next_value() IS 'A function of the next version';
REVOKE ALL ON FUNCTION retention.next_value() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION retention.next_value() TO retention_reader;
SQL
my ($this_version, $next_version) = (version_of('.'), version_of($next));

install('.');
$node = retention_node('shop');
update('this', '.', $next);

# The comparison sees what an update script forgets.
foreach my $forgotten ('GRANT', 'COMMENT ON COLUMN', 'INSERT INTO retention.tier_default', 'REVOKE')
{
	my $file = script("retention--$this_version--$next_version.sql");
	my $whole = slurp_file($file);
	(my $part = $whole) =~ s/^\Q$forgotten\E .*\n//m;
	isnt($part, $whole, "an update script without $forgotten");
	unlink $file;
	append_to_file($file, $part);
	(my $db = 'without_' . lc $forgotten) =~ s/\W/_/g;
	create($db, $this_version);
	$node->safe_psql($db, 'ALTER EXTENSION retention UPDATE');
	isnt(differences($db, 'this_fresh'), '', 'does not make the same objects');
	unlink $file;
	append_to_file($file, $whole);
}

# ---------------------------------------------------------------------------
# From what was released
# ---------------------------------------------------------------------------

foreach my $release (sort glob(($ENV{RETENTION_RELEASES} // '/nonexistent') . '/*'))
{
	(my $db = 'from_' . version_of($release)) =~ s/\W/_/g;
	update($db, $release, '.');
}

$node->stop;
done_testing();
