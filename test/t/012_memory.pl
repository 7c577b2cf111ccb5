# One session that syncs order after order does not grow: MEMORY_ORDERS of them
# (default 200,000), in transactions of one order, of fifty and of a thousand,
# with payments, refunds, redemptions and claims in between.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $orders = $ENV{MEMORY_ORDERS} || 200_000;

my $node = PostgreSQL::Test::Cluster->new('memory');
$node->init;
$node->append_conf('postgresql.conf', $ENV{RETENTION_SETTINGS} || "extension_destdir = '$ENV{RETENTION_STAGE}'")
  if $ENV{RETENTION_STAGE};
# Without JIT: what LLVM keeps for each plan it compiles is not ours to judge.
$node->append_conf('postgresql.conf', "jit = off\nfsync = off\nsynchronous_commit = off\nshared_buffers = '32MB'\nautovacuum_naptime = '10s'");
# Blocks of a large transaction go back to the system, wherever they were: by
# default the C library keeps what lies below a small block that is still used.
local $ENV{MALLOC_MMAP_THRESHOLD_} = 65536;
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
CREATE TABLE payments (id bigserial PRIMARY KEY, order_no text);
INSERT INTO retention.shop (shop_id, name, accrue_on) VALUES (1, 'Tea House', 'paid');
SELECT retention.attach_orders('orders', order_id => 'id', customer => 'customer', total => 'total', refunded => 'refunded',
	placed_at => 'placed_at', paid_at => 'paid_at');
SELECT retention.watch('public.orders', 'payments', order_id => 'SELECT o.id FROM public.orders o WHERE o.id::text = payments.order_no AND false');
SELECT retention.enable_rule('unpaid_reminder');

-- What the session holds: the memory contexts of its own, and what the system gave it.
CREATE TABLE measured (orders bigint, contexts bigint, resident bigint);
CREATE FUNCTION measure(orders bigint) RETURNS void LANGUAGE sql AS $$
	INSERT INTO measured
	SELECT orders, (SELECT sum(total_bytes) FROM pg_backend_memory_contexts),
		(SELECT (regexp_match(pg_read_file('/proc/self/status'), 'RssAnon:\s+(\d+)'))[1]::bigint * 1024)
$$;

-- A tenth of the orders in each of the three ways, and measured after it.
CREATE PROCEDURE tenth(orders bigint) LANGUAGE plpgsql AS $$
DECLARE
	done bigint := 0;
	size integer;
	first bigint;
BEGIN
	WHILE done < orders LOOP
		size := (ARRAY[1, 1, 1, 1, 50, 1000])[1 + (random() * 5)::integer];
		SELECT coalesce(max(id), 0) + 1 INTO first FROM public.orders;
		INSERT INTO public.orders (customer, total, paid_at)
		SELECT (random() * 5000)::integer, round((random() * 100)::numeric, 2), CASE WHEN random() < 0.7 THEN now() END
		FROM generate_series(1, size);
		done := done + size;
		COMMIT;
		UPDATE public.orders SET paid_at = coalesce(paid_at, now()), refunded = CASE WHEN random() < 0.2 THEN total ELSE refunded END WHERE id = first;
		INSERT INTO payments (order_no) VALUES (first);
		-- An error that is caught, with all that it leaves behind.
		BEGIN
			UPDATE public.orders SET total = 'NaN' WHERE id = first;
			SET CONSTRAINTS ALL IMMEDIATE;
			RAISE EXCEPTION 'undone';
		EXCEPTION WHEN raise_exception THEN
			NULL;
		END;
		COMMIT;
		IF random() < 0.05 THEN
			PERFORM retention.redeem(o.customer, 1, 'order ' || o.id)
			FROM public.orders o
			WHERE o.id = first AND retention.points_balance(o.customer) > 1;
			PERFORM retention.claim_messages('sms', 10, interval '1 second');
			COMMIT;
		END IF;
	END LOOP;
END
$$;
});

my $script = "SET client_min_messages = error;\nSET random_page_cost = 1;\n";
my $tenth = int($orders / 10);
foreach my $part (1 .. 10)
{
	$script .= "CALL tenth($tenth);\nSELECT measure($part * $tenth);\n";
	$script .= "VACUUM ANALYZE orders;\n" if $part <= 2;
}
$node->safe_psql('postgres', $script, timeout => 3600);

my $measured = $node->safe_psql('postgres', 'SELECT orders, contexts, resident FROM measured ORDER BY orders');
note("orders, bytes of memory contexts, resident bytes\n$measured");
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM retention.purchase'), '>=', $tenth * 10, 'all orders were synced');

# Caches fill in the first tenths: from the second on, little more.
my ($contexts, $resident) = split /\|/, $node->safe_psql('postgres', qq{
SELECT max(contexts) FILTER (WHERE orders = $tenth * 10) - max(contexts) FILTER (WHERE orders = $tenth * 2),
	max(resident) FILTER (WHERE orders > $tenth * 5) - max(resident) FILTER (WHERE orders <= $tenth * 5)
FROM measured});
cmp_ok($contexts, '<', 512 * 1024, 'the memory contexts of a long session do not grow');
cmp_ok($resident, '<', 4 * 1024 * 1024, 'nor does what it has of the system');

$node->stop;
done_testing();
