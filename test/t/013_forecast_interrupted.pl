# What interrupts a session without ending its query, as messages of parallel
# workers do, changes no bit of a forecast; what cancels it is heard.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RetentionNode;
use Test::More;

my $node = retention_node('forecast', conf => "log_min_messages = fatal\n");
$node->safe_psql('postgres', q{
CREATE EXTENSION retention;
CREATE TABLE lives AS
SELECT f::float8 AS frequency, CASE WHEN f > 0 THEN age * (0.2 + 0.79 * ((n * 7919) % 1000) / 1000.0) ELSE 0 END::float8 AS recency, age
FROM (
	SELECT n, floor(-ln(1 - ((n * 104729) % 4001) / 4002.0) * 3) AS f, 26 + n % 183 / 7.0::float8 AS age
	FROM generate_series(1, 4000) AS n
) AS s;
CREATE TABLE fits (quiet boolean, fit text);
CREATE TABLE busy (pid integer);
INSERT INTO fits SELECT true, retention.mbgnbd_fit(frequency, recency, age)::text FROM lives;
});

# Interrupts the session of busy for as long as it is there.
my $interrupts = $node->connstr('postgres');
my $disturber = IPC::Run::start(
	[
		'psql', '-X', '-q', '-d', $interrupts, '-c', q{
DO $$
DECLARE
	victim integer;
BEGIN
	LOOP
		SELECT pid INTO victim FROM busy;
		EXIT WHEN victim = 0;
		PERFORM pg_log_backend_memory_contexts(victim) WHERE victim IS NOT NULL;
		PERFORM pg_sleep(0.0003);
	END LOOP;
END
$$}
	],
	'<', \undef, '>', \my $out, '2>', \my $err);
$node->safe_psql('postgres', q{
INSERT INTO busy VALUES (pg_backend_pid());
SELECT pg_sleep(0.2);
INSERT INTO fits SELECT false, retention.mbgnbd_fit(frequency, recency, age)::text FROM lives, generate_series(1, 20) AS g (round) GROUP BY round;
UPDATE busy SET pid = 0;
});
$disturber->finish;
is($err, '', 'the session was interrupted');
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT fit) FROM fits'), '21|1', 'interrupted or not, a fit has the same bits');

my ($status, $stdout, $stderr) = $node->psql('postgres', q{
SET statement_timeout = '50ms';
SELECT retention.mbgnbd_fit(frequency, recency, age) FROM lives, generate_series(1, 1000) AS g (round) GROUP BY round;
});
like($stderr, qr/canceling statement due to statement timeout/, 'a fit is cancelled');

$node->stop;
done_testing();
