# Order traffic from several sessions, and the server stopped at once in the
# middle of it, several times: an order, its points and its messages are there
# together or not at all.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $rounds = 4;
my $sessions = 3;

my $node = PostgreSQL::Test::Cluster->new('crash');
$node->init;
$node->append_conf('postgresql.conf', "extension_destdir = '$ENV{RETENTION_STAGE}'")
  if $ENV{RETENTION_STAGE};
$node->start;

if (!$ENV{RETENTION_STAGE}
	&& $node->safe_psql('postgres', q(SELECT count(*) FROM pg_available_extensions WHERE name = 'retention')) eq '0')
{
	$node->stop;
	plan skip_all => 'retention is not installed; RETENTION_STAGE may name the directory it was staged in';
}

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
INSERT INTO retention.shop (shop_id, name, accrue_on) VALUES (1, 'Tea House', 'paid');
SELECT retention.attach_orders('orders', order_id => 'id', customer => 'customer', total => 'total', refunded => 'refunded',
	placed_at => 'placed_at', paid_at => 'paid_at');
SELECT retention.enable_rule('unpaid_reminder');

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

# Everything that is recorded against the orders, and against itself.
my $faults = q{
SELECT 'purchase', count(*)
FROM (SELECT id::text, customer::text, CASE WHEN paid_at IS NULL THEN 0 ELSE total END, refunded, paid_at FROM orders) AS o (id, customer, paid, refunded, paid_at)
FULL JOIN retention.purchase AS p ON p.order_id = o.id
WHERE (o.customer, o.paid, o.refunded) IS DISTINCT FROM (p.customer_id, p.paid, p.refunded) OR o.paid_at IS DISTINCT FROM p.paid_at
	OR p.accrued_points <> CASE WHEN p.accrued_at IS NULL THEN 0 ELSE floor((p.paid - p.refunded) * p.accrual_multiplier) END
UNION ALL
SELECT 'stats', count(*)
FROM retention.customer_stats AS s
LEFT JOIN (
	SELECT customer_id, count(value) AS purchases, coalesce(sum(value), 0) AS spent, sum(accrued_points) AS points, count(*) FILTER (WHERE paid_at IS NULL) AS unpaid
	FROM retention.purchase
	GROUP BY customer_id
) AS p USING (customer_id)
WHERE (s.purchases, s.spent, s.points_posted, s.unpaid_orders) IS DISTINCT FROM (p.purchases, p.spent, p.points, p.unpaid)
UNION ALL
SELECT 'ledger', count(*)
FROM retention.customer_stats AS s
LEFT JOIN (
	SELECT customer_id, sum(points) AS points, count(*) AS entries, max(entry_no) AS last_no
	FROM retention.points_entry GROUP BY customer_id
) AS e USING (customer_id)
LEFT JOIN (SELECT customer_id, sum(remaining) AS remaining FROM retention.points_lot GROUP BY customer_id) AS l USING (customer_id)
WHERE coalesce(e.points, 0) <> s.points_posted OR coalesce(e.entries, 0) <> s.last_entry_no OR coalesce(e.last_no, 0) <> s.last_entry_no
	OR coalesce(l.remaining, 0) - s.points_debt <> s.points_posted
UNION ALL
SELECT 'messages', count(*)
FROM (SELECT order_id FROM retention.care_message WHERE state = 'queued') AS m
FULL JOIN (SELECT id::text FROM orders WHERE paid_at IS NULL) AS o ON o.id = m.order_id
WHERE o.id IS NULL OR m.order_id IS NULL
ORDER BY 1
};

my $orders = 0;
foreach my $round (1 .. $rounds)
{
	my @traffic = map { IPC::Run::start([ 'psql', '-X', '-q', '-d', $node->connstr('postgres'), '-c', 'CALL traffic()' ],
			'<', \undef, '>', \my $out, '2>', \my $err) } 1 .. $sessions;
	usleep(700_000 + int(rand(300_000)));
	$node->stop('immediate');
	$_->finish foreach @traffic;
	$node->start;

	my $now = $node->safe_psql('postgres', 'SELECT last_value FROM orders_id_seq');
	cmp_ok($now, '>', $orders, "round $round: there was traffic");
	$orders = $now;
	is($node->safe_psql('postgres', $faults), "ledger|0\nmessages|0\npurchase|0\nstats|0",
		"round $round: what is recorded is what the orders say");
}

my $recorded = q{
SELECT md5(string_agg(p::text, ' ' ORDER BY p.order_id)) FROM retention.purchase AS p
UNION ALL
SELECT md5(string_agg(s::text, ' ' ORDER BY s.customer_id)) FROM retention.customer_stats AS s
ORDER BY 1
};
my $before = $node->safe_psql('postgres', $recorded);
$node->safe_psql('postgres', q(SELECT retention.resync('public.orders', everything => true)));
is($node->safe_psql('postgres', $recorded), $before, 'resync finds nothing to mend');

$node->stop;
done_testing();
