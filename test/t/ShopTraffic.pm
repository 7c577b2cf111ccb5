# A busy shop for TAP tests: orders, redemptions, workers and run() from
# several connections, what the server acknowledged kept outside of it, and the
# questions whether all of it is there and in order.
package ShopTraffic;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(open_shop start_traffic stop_traffic still_whole acknowledged recorded);

my $customers = 20;

# One line a fact that psql printed, and so was told after the commit.
my (%redeemed, %sent, %twice);

# What a client of each kind does, told by the number of the statement.
my %clients = (
	orders => sub { 'CALL traffic();' },

	# References never come again: each is one request.
	points => sub {
		my ($name, $i) = @_;
		my $customer = int(rand($customers));
		my $points = 1 + int(rand(20));
		my $reference = "$name-$i";

		return "SELECT 'redeemed', '$customer', '$reference', (retention.redeem('$customer', $points, '$reference')).points;"
		  if $i % 4 == 0;
		return "SELECT 'redeemed', '$customer', '$reference', (retention.grant('$customer', 15, 'a present', '$reference', expires_at => now() + interval '2 seconds')).points;"
		  if $i % 4 == 1;
		return "SELECT retention.hold('$customer', $points, '$reference', timeout => interval '1 second');\n"
		  . "SELECT 'redeemed', '$customer', '$reference', (retention.capture('$customer', '$reference')).points;"
		  if $i % 4 == 2;
		return "SELECT retention.hold('$customer', $points, '$reference', timeout => interval '1 second');";
	},

	# Claiming and acknowledging are transactions of their own.
	worker => sub {
		my ($name) = @_;
		return "SELECT coalesce(array_agg(token), '{}') AS tokens FROM retention.claim_messages('sms', 5, interval '1 second', '$name') \\gset\n"
		  . "SELECT 'sent', m.message_id, retention.mark_sent(t.token, 'provider ' || t.token)"
		  . " FROM unnest(:'tokens'::uuid[]) AS t (token) JOIN retention.care_message m ON m.token = t.token;";
	},

	run => sub { 'CALL retention.run(now());' });

# The shop: points for what is paid, which lapse by the second, and a reminder
# for each unpaid order that is due at once.
sub open_shop
{
	my ($node) = @_;

	$node->safe_psql('postgres', q{
SET client_min_messages = warning;
CREATE EXTENSION retention;
CREATE TABLE orders (
	id bigserial PRIMARY KEY,
	customer integer,
	total numeric NOT NULL,
	refunded numeric NOT NULL DEFAULT 0,
	placed_at timestamptz NOT NULL DEFAULT now(),
	paid_at timestamptz
);
INSERT INTO retention.shop (shop_id, name, accrue_on, quiet_from) VALUES (1, 'Tea House', 'paid', NULL);
SELECT retention.attach_orders('orders', order_id => 'id', customer => 'customer', total => 'total', refunded => 'refunded',
	placed_at => 'placed_at', paid_at => 'paid_at');
INSERT INTO retention.care_template (shop_id, name, language, text) VALUES (1, 'unpaid_reminder', 'zh', '还在等您');
SELECT retention.enable_rule('unpaid_reminder');
UPDATE retention.care_rules SET delay = '0' WHERE name = 'unpaid_reminder';

CREATE PROCEDURE traffic() LANGUAGE plpgsql AS $$
DECLARE
	it bigint;
BEGIN
	LOOP
		it := (SELECT last_value FROM orders_id_seq) - floor(random() * 200);
		INSERT INTO orders (customer, total, paid_at)
		VALUES (floor(random() * 20), round((random() * 100)::numeric, 2), CASE WHEN random() < 0.5 THEN now() END);
		-- Two rows a transaction, of which one is new: the shop itself never deadlocks.
		CASE floor(random() * 4)
			WHEN 0 THEN UPDATE orders SET paid_at = coalesce(paid_at, now()) WHERE id = it;
			WHEN 1 THEN UPDATE orders SET refunded = least(total, refunded + 10) WHERE id = it;
			WHEN 2 THEN UPDATE orders SET total = total + 1 WHERE id = it;
			ELSE DELETE FROM orders WHERE id = it AND paid_at IS NULL;
		END CASE;
		COMMIT;
	END LOOP;
END
$$;
});
	return;
}

# start_traffic(NODE, ROUND): two sessions of orders, two of points, two
# workers and one that calls run(); returns when the first orders are there
sub start_traffic
{
	my ($node, $round) = @_;
	my $before = $node->safe_psql('postgres', 'SELECT last_value FROM orders_id_seq');
	my @running;

	foreach my $name (qw(orders-1 orders-2 points-1 points-2 worker-1 worker-2 run-1))
	{
		my ($kind) = $name =~ /^(\w+)-/;
		my $file = "$PostgreSQL::Test::Utils::tmp_check/$name";

		# By files: what is printed while nobody looks must not fill a pipe.
		append_to_file("$file.sql", join "\n", 'SET client_min_messages = warning;',
			map { $clients{$kind}->("$round/$name", $_) } 1 .. ($kind eq 'orders' ? 1 : 3000));
		push @running,
		  {
			file => $file,
			handle => IPC::Run::start(
				[ 'psql', '-X', '-q', '-A', '-t', '-F', '|', '-d', $node->connstr('postgres') . ' application_name=traffic', '-f', "$file.sql" ], '<', \undef, '>', "$file.out", '2>', "$file.err")
		  };
	}
	$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM orders WHERE id > $before)") or die 'there is no traffic';
	return \@running;
}

# Once the server is gone, or with node => NODE by ending its sessions: notes
# what was acknowledged, unless forget => 1; returns what else the server said.
sub stop_traffic
{
	my ($running, %options) = @_;
	my @errors;

	$options{node}->safe_psql('postgres', q(SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'traffic'))
	  if $options{node};
	foreach my $client (@$running)
	{
		$client->{handle}->finish;
		foreach my $line (split /\n/, slurp_file("$client->{file}.out"))
		{
			my @fact = split /\|/, $line;

			next if $options{forget};
			if (@fact == 4 && $fact[0] eq 'redeemed')
			{
				$redeemed{"$fact[1]|$fact[2]"} = $fact[3];
			}
			elsif (@fact == 3 && $fact[0] eq 'sent' && $fact[2] eq 'sent')
			{
				$twice{$fact[1]} = 1 if $sent{$fact[1]}++;
			}
		}
		push @errors, grep { /(ERROR|FATAL|PANIC):/ } split /\n/, slurp_file("$client->{file}.err");
		unlink map { "$client->{file}.$_" } qw(sql out err);
	}
	return grep {
		# what such traffic brings along, and what a server says that goes down
		!/has too few points|has no hold with reference|hold ".*" of customer "\d+" timed out|customer "\d+" is not known/
		  && !/terminating connection|the database system is|server closed|connection to server/
	} @errors;
}

# How much was acknowledged: redemptions and other postings, messages.
sub acknowledged
{
	return (scalar(keys %redeemed), scalar(keys %sent));
}

my $wrong = slurp_file('test/include/wrong.sql');

# Everything recorded against the orders, against itself, and against what was
# acknowledged; in another database with db => NAME.
sub still_whole
{
	my ($node, $when, %options) = @_;
	my $db = $options{db} // 'postgres';

	subtest "$when: all is whole" => sub {
		is($node->safe_psql($db, 'SELECT * FROM retention.check_ledger()'), '', 'the ledger keeps its invariants');
		is($node->safe_psql($db, "$wrong SELECT * FROM wrong"), '', 'what is kept is what purchases and ledger say');
		is($node->safe_psql($db, q{
			SELECT o.id, p.order_id
			FROM (SELECT id::text, customer::text, CASE WHEN paid_at IS NULL THEN 0 ELSE total END, refunded, paid_at FROM orders)
				AS o (id, customer, paid, refunded, paid_at)
			FULL JOIN retention.purchase AS p ON p.order_id = o.id
			WHERE (o.customer, o.paid, o.refunded) IS DISTINCT FROM (p.customer_id, p.paid, p.refunded) OR o.paid_at IS DISTINCT FROM p.paid_at
				OR p.accrued_points <> CASE WHEN p.accrued_at IS NULL THEN 0 ELSE floor((p.paid - p.refunded) * p.accrual_multiplier) END
		}), '', 'purchases are what the orders say');
		is($node->safe_psql($db, q{
			SELECT o.id, m.order_id, m.state
			FROM orders o
			FULL JOIN retention.care_message m ON m.order_id = o.id::text
			WHERE (o.paid_at IS NULL AND o.id IS NOT NULL AND m.order_id IS NULL)
				OR ((o.id IS NULL OR o.paid_at IS NOT NULL) AND m.state IN ('queued', 'claimed'))
		}), '', 'an unpaid order has its reminder, no other has one that waits');

		my %posted = map { my @e = split /\|/, $_; ("$e[0]|$e[1]" => $e[2]) }
		  split /\n/, $node->safe_psql($db, 'SELECT customer_id, reference, points FROM retention.points_entry WHERE reference IS NOT NULL');
		my @lost = grep { !defined $posted{$_} || $posted{$_} != $redeemed{$_} } sort keys %redeemed;
		is("@lost", '', 'every acknowledged posting is there');

		my %delivered = map { $_ => 1 }
		  split /\n/, $node->safe_psql($db, q(SELECT message_id FROM retention.care_message WHERE state = 'sent'));
		my @unsent = grep { !$delivered{$_} } sort keys %sent;
		is("@unsent", '', 'every acknowledged message is marked as sent');
		is(join(' ', sort keys %twice), '', 'no message was acknowledged twice');
	};
	return;
}

# All that is recorded, as one short text.
sub recorded
{
	my ($node) = @_;

	return join "\n",
		map { $node->safe_psql('postgres', "SELECT '$_ ' || count(*) || ' ' || coalesce(md5(string_agg(t::text, ' ' ORDER BY t::text)), '') FROM retention.$_ AS t") }
		  qw(purchase customer_stats points_entry points_lot points_hold care_message);
}

1;
