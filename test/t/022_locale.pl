# The answers of figures, and who stands behind them, do not depend on the
# database's locale: one that sorts by language gives what C gives.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RetentionNode;
use Test::More;

my $node = retention_node('shop', extra => [ '--encoding=UTF8', '--no-locale' ]);

# ---------------------------------------------------------------------------
# Which locales there are
# ---------------------------------------------------------------------------

my @databases;

sub try_database
{
	my ($name, $locale) = @_;
	my ($code) = $node->psql('postgres', "CREATE DATABASE $name TEMPLATE template0 ENCODING 'UTF8' $locale");

	push @databases, $name if $code == 0;
	return $code == 0;
}

# ICU as the database's own came with 15; Turkish has two letters i of its own.
try_database('icu_en', q(LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C'));
try_database('icu_tr', q(LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR' LOCALE 'C'));
if (!@databases)
{
	my $locales = $node->safe_psql('postgres', q(
		SELECT DISTINCT collcollate FROM pg_collation
		WHERE collprovider = 'c' AND collencoding IN (-1, pg_char_to_encoding('UTF8'))
			AND collcollate <> '' AND collcollate !~* '^(C|POSIX|ucs_basic)([.]|$)'));
	my $n = 0;

	foreach my $locale (split /\n/, $locales)
	{
		last if @databases == 2;
		try_database('libc_' . ++$n, "LOCALE '$locale'");
	}
}
if (!@databases)
{
	$node->stop;
	plan skip_all => 'the server has no ICU and no locale but C';
}
$node->safe_psql('postgres', q(CREATE DATABASE plain TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'));

# ---------------------------------------------------------------------------
# A shop whose customers, products and channels are told apart by their names
# alone: they did the same at the same time
# ---------------------------------------------------------------------------

my $shop = q{
	CREATE EXTENSION retention;
	SET client_min_messages = warning;
	SET retention.clock = '2024-04-10 00:00+08';
	SELECT retention.create_shop('Tea House', 'Asia/Shanghai');
	CREATE TABLE names (name text, n bigint);
	INSERT INTO names SELECT name, row_number() OVER (ORDER BY name COLLATE "C")
	FROM unnest('{a,B,c,D,Zoe,zoe,Äpfel,apfel,ähre,İzmir,izmir,ırmak,茶,-x,_x,10,9}'::text[]) AS name;
	CREATE TABLE orders (id text PRIMARY KEY, customer text, total numeric, paid_at timestamptz, channel text, region text);
	CREATE TABLE items (order_id text, sku text, quantity integer, amount numeric);
	CREATE TABLE logins (customer text, at timestamptz, kind text, sku text, app text);
	SELECT retention.attach_orders('orders', order_id => 'id', customer => 'customer', total => 'total', paid_at => 'paid_at', channel => 'channel', attributes => $$jsonb_build_object('region', region)$$);
	SELECT retention.attach_lines('items', 'order_id', 'sku', quantity => 'quantity', amount => 'amount');
	SELECT retention.attach_events('logins', 'customer', 'at', 'kind', product => 'sku', channel => 'app');
	-- Two orders of everybody at one instant: which of them is the first?
	INSERT INTO orders
	SELECT p.name || c.name, c.name, 10, timestamptz '2024-01-05 12:00+08' + m * interval '40 days', p.name, c.name
	FROM names AS c, generate_series(0, 1) AS m, (VALUES ('Z', 0), ('a', 0), ('ä', 1)) AS p (name, m2)
	WHERE p.m2 = m;
	INSERT INTO items SELECT id, left(id, 1), 1, 5 FROM orders;
	INSERT INTO items SELECT id, 'Tea', 1, 5 FROM orders;
	INSERT INTO logins
	SELECT c.name, timestamptz '2024-03-01 12:00+08' + d * interval '1 day', kind, p.name, p.name
	FROM names AS c, unnest('{0,1,7}'::integer[]) AS d, unnest('{login,visit,view}'::text[]) AS kind, unnest('{Z,a,ä,_,é}'::text[]) AS p (name);
};

my @calls = (
	'cohorts()', q(cohort_customers('2024-01-01', 1)), 'repurchase()', 'new_vs_returning()', q(period_customers('2024-01-01')),
	q(next_period('MONTH')), q(next_period_customers('2024-01-01')), q(x_order('60 days')), q(x_order_customers(1)), 'magic_number(least_customers => 1)',
	q(retention_curve('WITHIN')), q(retention_curve_customers(40, 'WITHIN')), q(retention_curve_customers(40, 'CLASSIC')), 'gap_to_next()', 'gap_to_next_customers(1)',
	'pareto()', 'pareto_customers()', 'pareto_customers(0.5)', 'sales_by_channel()', q(sales_by_channel_customers('2024-01-01', 'a')), 'sales_by_region()',
	q(sales_by_region_customers('2024-01-01', 'zoe')), 'sales_monthly()', 'order_funnel()', q(order_funnel_customers('PAID')), q(order_funnel_customers('SHIPPED')),
	'customer_totals()', 'rfm_scores()', 'rfm_grid()', 'rfm_grid_customers(1, 1, 1)', q(rfm_movement('2024-02-01')), 'customer_value_bands()', 'customer_value_band_customers(20, 50)',
	'tier_distribution()', q(tier_distribution(at => '2024-02-01')), q(tier_distribution_customers('member')), 'product_repurchase()', q(product_repurchase_customers('Z')),
	q(product_repurchase_customers('a')), 'product_pairs(1)', q(product_pair_customers('Tea', 'ä')), 'event_retention()', q(event_retention(mode => 'WITHIN', period => 'DAY')),
	'event_retention_customers(1)', q(event_retention_customers(7, mode => 'ROLLING', period => 'WEEK')), 'visit_conversion()', q(visit_conversion_customers('2024-03-01')));

# Rows in any order: it is the answers that count.
sub answers
{
	my ($database) = @_;
	my %answers;

	$node->safe_psql($database, $shop);
	my $out = $node->safe_psql($database, q{
		SET client_min_messages = warning;
		SET retention.clock = '2024-04-10 00:00+08';
		CREATE FUNCTION answer(call text) RETURNS text LANGUAGE plpgsql AS $$
		DECLARE
			result text;
		BEGIN
			EXECUTE format('SELECT concat(count(*), '' rows '', string_agg(r::text, '' '' ORDER BY r::text COLLATE "C")) FROM retention.%s AS r', call) INTO result;
			RETURN result;
		EXCEPTION WHEN OTHERS THEN
			RETURN 'ERROR: ' || SQLERRM;
		END
		$$;
		SELECT call, answer(call) FROM unnest(ARRAY[} . join(', ', map { "\$call\$$_\$call\$" } @calls) . q{]) AS call});
	foreach my $line (split /\n/, $out)
	{
		my ($call, $answer) = split /\|/, $line, 2;

		$answers{$call} = $answer;
	}
	return \%answers;
}

my $plain = answers('plain');
is(join(', ', grep { ($plain->{$_} // 'ERROR') =~ /^(ERROR|0 rows)/ } @calls), q(order_funnel_customers('SHIPPED')), 'C: every call has an answer');
foreach my $database (@databases)
{
	my $other = answers($database);

	isnt($node->safe_psql($database, q(SELECT string_agg(n::text, ' ' ORDER BY name) FROM names)),
		$node->safe_psql('plain', q(SELECT string_agg(n::text, ' ' ORDER BY name) FROM names)), "$database: it sorts otherwise");
	is($other->{$_}, $plain->{$_}, "$database: $_") foreach @calls;
}

$node->stop;
done_testing();
