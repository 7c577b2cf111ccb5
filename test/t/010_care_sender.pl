# The worker in examples/ against a provider that fails one time in five, with
# workers killed in the middle of their work and started again: no message is
# lost, none is acknowledged twice, and what is cancelled does not go out.
# Processes and a network service are beyond what a regression test can do.
use strict;
use warnings;

use IO::Socket::INET;
use POSIX ();
use Time::HiRes qw(sleep time);

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RetentionNode;
use Test::More;

my $sender = "$PostgreSQL::Test::Utils::tmp_check/sender";

chomp(my $includedir = `pg_config --includedir`);
chomp(my $libdir = `pg_config --libdir`);
plan skip_all => 'no libcurl to build the worker with'
  if system(qq(echo '#include <curl/curl.h>' | cc -fsyntax-only -x c - 2>/dev/null)) != 0;
is(system('cc', '-Wall', '-Wextra', '-Werror', "-I$includedir", 'examples/sender.c', '-o', $sender,
		"-L$libdir", '-lpq', '-lcurl'), 0, 'the worker compiles without a warning');

my $node = retention_node('shop');

my $messages = 300;
$node->safe_psql('postgres', qq(
	CREATE EXTENSION retention;
	INSERT INTO retention.shop (shop_id, name, quiet_from, care_max_attempts) VALUES (1, 'Tea House', NULL, 100);
	INSERT INTO retention.care_template (shop_id, name, language, text, subject_line)
	VALUES (1, 'greeting', 'zh', '你好，"{{customer.name|亲}}"', '{{customer.name|亲}}的信');
	INSERT INTO retention.care_rule (shop_id, name, event, channel, purpose, template)
	VALUES (1, 'hello', 'birthday', 'sms', 'transactional', 'greeting'), (1, 'mail', 'birthday', 'email', 'transactional', 'greeting');
	INSERT INTO retention.customer (shop_id, customer_id, phone) SELECT 1, 'c' || n, '1380000' || n FROM generate_series(1, $messages) AS n;
	INSERT INTO retention.care_message (shop_id, customer_id, rule, subject, channel, purpose, priority, due_at, expires_at, queued_at, changed_at)
	SELECT 1, 'c' || n, 'hello', 'once', 'sms', 'transactional', 50, now(), now() + interval '1 day', now(), now() FROM generate_series(1, $messages) AS n;

	-- Every acknowledgement, as the database sees it.
	CREATE TABLE acknowledged (customer_id text, at timestamptz DEFAULT clock_timestamp());
	CREATE FUNCTION acknowledge() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN INSERT INTO public.acknowledged VALUES (NEW.customer_id); RETURN NEW; END';
	CREATE TRIGGER acknowledge AFTER UPDATE ON retention.care_message FOR EACH ROW
		WHEN (NEW.state = 'sent') EXECUTE FUNCTION acknowledge();
	CREATE ROLE worker LOGIN IN ROLE retention_operator;
));

# ---------------------------------------------------------------------------
# The provider
# ---------------------------------------------------------------------------

my $log = "$PostgreSQL::Test::Utils::tmp_check/provider.log";
my $listener = IO::Socket::INET->new(Listen => 50, LocalAddr => '127.0.0.1', Proto => 'tcp', ReuseAddr => 1)
  or die "cannot listen: $!";
my $url = 'http://127.0.0.1:' . $listener->sockport . '/send';

# Reads one request; its key and body, or nothing when the client went away.
sub read_request
{
	my ($client) = @_;
	my ($key, $length, $text) = ('', 0, '');

	while (my $line = <$client>)
	{
		$key = $1 if $line =~ /^Idempotency-Key:\s*(\S+)/i;
		$length = $1 if $line =~ /^Content-Length:\s*(\d+)/i;
		last if $line =~ /^\r?\n$/;
	}
	read($client, $text, $length) if $length;
	return length($text) == $length && $length ? ($key, $text) : ();
}

my $provider = fork();
if ($provider == 0)
{
	my $requests = 0;
	my %id;

	# It must end without the parent's clean-up, which would stop the server.
	$SIG{TERM} = 'DEFAULT';
	open(my $out, '>>', $log) or POSIX::_exit(1);
	$out->autoflush(1);
	$SIG{PIPE} = 'IGNORE';
	while (my $client = $listener->accept)
	{
		my ($key, $text) = read_request($client);
		my $status = '200 OK';
		my $answer;

		next if !defined $key;
		sleep(0.004);
		if (++$requests % 5 == 0)
		{
			$status = '503 Service Unavailable';
			$answer = 'try later';
		}
		else
		{
			my $known = exists $id{$key} ? 'repeated' : 'taken';

			$id{$key} //= 'p-' . (1 + keys %id);
			$answer = $id{$key};
			$text =~ /"recipient":"([^"]*)"/;
			print $out "$known $key $1\n";
		}
		print $client "HTTP/1.1 $status\r\nContent-Length: " . length($answer) . "\r\nConnection: close\r\n\r\n$answer";
		close $client;
	}
	POSIX::_exit(0);
}
close $listener;

# ---------------------------------------------------------------------------
# The workers
# ---------------------------------------------------------------------------

my $connstr = $node->connstr('postgres') . ' user=worker';

sub start_worker
{
	my ($name, @options) = @_;
	my $pid = fork();

	if ($pid == 0)
	{
		open(STDERR, '>>', "$PostgreSQL::Test::Utils::tmp_check/$name.log");
		exec($sender, '-d', $connstr, '-c', 'sms', '-u', $url, '-w', $name, '-n', '10', '-l', '2', '-p', '1', @options)
		  or die "cannot start the worker: $!";
	}
	return $pid;
}

# Failed messages would wait for half a minute and longer: not here.
sub hurry
{
	$node->safe_psql('postgres', q(
		UPDATE retention.care_message SET held_until = clock_timestamp() WHERE state = 'queued' AND held_until > clock_timestamp();
		SELECT retention.notify_workers(clock_timestamp())));
}

sub sent
{
	return $node->safe_psql('postgres', q(SELECT count(*) FROM retention.care_message WHERE state = 'sent' AND rule = 'hello'));
}

my @workers = map { start_worker("w$_") } 1 .. 2;
for my $victim (0, 1, 0, 1)
{
	sleep(0.3);
	kill 'KILL', $workers[$victim];
	waitpid($workers[$victim], 0);
	$workers[$victim] = start_worker('w' . ($victim + 1));
	hurry();
}
cmp_ok(sent(), '<', $messages, 'workers were killed with work left to do');

my $until = time() + 90;
while (sent() < $messages && time() < $until)
{
	sleep(0.3);
	hurry();
}
is(sent(), $messages, 'no message is lost');

is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT customer_id) FROM acknowledged'), "$messages|$messages",
	'none is acknowledged twice');

my %taken;
my $repeated = 0;
foreach my $line (split /\n/, slurp_file($log))
{
	my ($what, $key, $phone) = split / /, $line;

	$taken{$phone}{$key} = 1;
	$repeated++ if $what eq 'repeated';
}
is(scalar(keys %taken), $messages, 'the provider got every message');
is(scalar(grep { keys %{ $taken{$_} } != 1 } keys %taken), 0, 'every attempt of a message bore the same key');
note("$repeated repeated by workers that were killed before they could mark");
is($node->safe_psql('postgres', q(SELECT count(*) FROM retention.care_message WHERE provider_id !~ '^p-[0-9]+$' OR provider_id IS NULL)), '0',
	q(the provider's ids are kept));
cmp_ok($node->safe_psql('postgres', q(SELECT max(attempts) FROM retention.care_message)), '>', 1, 'some took several attempts');

# ---------------------------------------------------------------------------
# A graceful stop
# ---------------------------------------------------------------------------

$node->safe_psql('postgres', q(
	INSERT INTO retention.care_message (shop_id, customer_id, rule, subject, channel, purpose, priority, due_at, expires_at, queued_at, changed_at)
	SELECT 1, 'c' || n, 'hello', 'again', 'sms', 'transactional', 50, now(), now() + interval '1 day', now(), now() FROM generate_series(1, 300) AS n));
$node->safe_psql('postgres', 'SELECT retention.notify_workers(clock_timestamp())');
sleep(0.4);
kill 'TERM', @workers;
my @statuses = map { waitpid($_, 0); $? } @workers;
is("@statuses", '0 0', 'workers that are told to stop end well');
is($node->safe_psql('postgres', q(SELECT count(*) FROM retention.care_message WHERE state = 'claimed')), '0',
	'and give back what they had claimed');
is($node->safe_psql('postgres', q(SELECT count(*) FROM retention.care_message WHERE state = 'queued' AND attempts > 1)), '0',
	'at the cost of no attempt');

# ---------------------------------------------------------------------------
# A command in place of a provider
# ---------------------------------------------------------------------------

$node->safe_psql('postgres', q(
	DELETE FROM retention.care_message;
	UPDATE retention.customer SET email = customer_id || '@example.com';
	INSERT INTO retention.care_message (shop_id, customer_id, rule, subject, channel, purpose, priority, due_at, expires_at, queued_at, changed_at)
	SELECT 1, 'c' || n, 'mail', 'once', 'email', 'transactional', 50, now(), now() + interval '1 day', now(), now() FROM generate_series(1, 3) AS n));
my $mail = "$PostgreSQL::Test::Utils::tmp_check/mail";
append_to_file("$mail.sh", <<'SCRIPT');
read -r json
printf '%s\n' "$json" >>"$1"
case $json in
	*c2@*) exit 65 ;;
	*c3@*) exit 1 ;;
esac
echo mail-1
SCRIPT
is(system($sender, '-d', $connstr, '-c', 'email', '-x', "sh '$mail.sh' '$mail'", '-w', 'mailer', '-1'), 0, 'a worker that runs a command');
is($node->safe_psql('postgres', 'SELECT customer_id, state, provider_id, reason, last_error FROM retention.care_message ORDER BY customer_id'),
	"c1|sent|mail-1||\nc2|failed||refused for good|the command ended with status 65\nc3|queued||failed, will be tried again|the command ended with status 1",
	'its exit status says what became of the message');
like(slurp_file($mail), qr/"recipient":"c1\@example.com","subject_line":"亲的信","text":"【Tea House】你好，\\"亲\\""/, 'and it reads the message as JSON');
isnt(system($sender, '-c', 'email'), 0, 'a worker must be told where to');

kill 'TERM', $provider;
waitpid($provider, 0);
$node->stop;
done_testing();
