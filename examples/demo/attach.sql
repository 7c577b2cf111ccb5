\set ECHO queries

CREATE EXTENSION retention;

SELECT retention.attach_orders('public.orders',
	order_id => 'id', customer => 'customer_id', total => 'total',
	placed_at => 'created_at', paid_at => 'paid_at', shipped_at => 'shipped_at',
	completed_at => 'completed_at', closed_at => 'cancelled_at',
	refunded => 'refunded', channel => 'channel');

CALL retention.backfill('public.orders', batch => 4000, points => true);
