# A shop whose orders arrive by logical replication: the extension is on the
# subscriber alone, and what the publisher writes is synced there in the
# transaction that applies it.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $shop = PostgreSQL::Test::Cluster->new('shop');
$shop->init(allows_streaming => 'logical');
$shop->start;
my $subscriber = PostgreSQL::Test::Cluster->new('subscriber');
$subscriber->init;
$subscriber->append_conf('postgresql.conf', $ENV{RETENTION_SETTINGS})
  if $ENV{RETENTION_SETTINGS};
$subscriber->start;

my $orders = q{
CREATE TABLE orders (
	id bigint PRIMARY KEY,
	customer integer,
	total numeric NOT NULL,
	refunded numeric NOT NULL DEFAULT 0,
	placed_at timestamptz NOT NULL,
	paid_at timestamptz
);
};
$shop->safe_psql('postgres', $orders);
$shop->safe_psql('postgres', q{
INSERT INTO orders SELECT n, n % 10, 10, 0, '2024-05-01', '2024-05-01' FROM generate_series(1, 50) AS n;
CREATE PUBLICATION shop FOR TABLE orders;
});
$subscriber->safe_psql('postgres', $orders . q{
SET client_min_messages = warning;
CREATE EXTENSION retention;
INSERT INTO retention.shop (shop_id, name, accrue_on) VALUES (1, 'Tea House', 'paid');
-- no tiers: points are what was spent
INSERT INTO retention.tier (shop_id, rung, name) VALUES (1, 1, 'member');
SELECT retention.attach_orders('orders', order_id => 'id', customer => 'customer', total => 'total', refunded => 'refunded',
	placed_at => 'placed_at', paid_at => 'paid_at');
SELECT retention.sync_replicated('public.orders');
SELECT retention.enable_rule('unpaid_reminder');
UPDATE retention.source SET points_from = '-infinity';
});
my $from = $shop->connstr . ' dbname=postgres';
$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION shop CONNECTION '$from' PUBLICATION shop");
$subscriber->wait_for_subscription_sync($shop, 'shop');

sub recorded
{
	my $sql = shift;

	$shop->wait_for_catchup('shop');
	return $subscriber->safe_psql('postgres', $sql);
}

my $customer = q{SELECT purchases, spent, retention.points_balance(customer_id) FROM retention.customers WHERE customer_id = '3'};
is(recorded($customer), '5|50|50', 'the orders copied at first are synced');
$shop->safe_psql('postgres', q{
BEGIN;
INSERT INTO orders VALUES (1001, 3, 50, 0, now(), NULL);
INSERT INTO orders VALUES (1002, 3, 60, 0, now(), now());
COMMIT;
});
is(recorded($customer), '6|110|110', 'a transaction of the shop is synced as one');
is(recorded(q{SELECT rule, state FROM retention.care_message WHERE order_id = '1001'}),
	'unpaid_reminder|queued', 'an unpaid order has its reminder');
$shop->safe_psql('postgres', q{UPDATE orders SET paid_at = now() WHERE id = 1001});
is(recorded(q{SELECT rule, state FROM retention.care_message WHERE order_id = '1001'}),
	'unpaid_reminder|cancelled', 'which goes when it is paid');
$shop->safe_psql('postgres', q{UPDATE orders SET refunded = total WHERE id = 1002});
is(recorded($customer), '6|100|100', 'a refund takes points back');
$shop->safe_psql('postgres', q{DELETE FROM orders WHERE id = 1001});
is(recorded($customer), '5|50|50', 'so does a deletion of an order not completed');

$subscriber->safe_psql('postgres', q{SELECT retention.sync_replicated('public.orders', false)});
$shop->safe_psql('postgres', q{INSERT INTO orders VALUES (1003, 3, 5, 0, now(), now())});
is(recorded($customer), '5|50|50', 'switched off, replicated rows are left to resync()');
$subscriber->safe_psql('postgres', q{SELECT retention.resync('public.orders', everything => true)});
is($subscriber->safe_psql('postgres', $customer), '6|55|55', 'which finds them');
is($subscriber->safe_psql('postgres', q{SELECT count(*) FROM retention.sync_error}), '0', 'nothing failed');
is($subscriber->safe_psql('postgres', q{SELECT count(*) FROM retention.check_ledger()}), '0', 'the ledger is right');

done_testing();
