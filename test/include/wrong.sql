-- Customers for whom what is kept differs from what the recorded orders and
-- the ledger say: there are none, ever.
CREATE TEMP VIEW wrong AS
SELECT s.customer_id
FROM retention.customer_stats s
CROSS JOIN LATERAL (
	SELECT
		count(p.value) AS purchases,
		coalesce(sum(p.value), 0) AS spent,
		min(p.paid_at) FILTER (WHERE p.value IS NOT NULL) AS first_purchase_at,
		max(p.paid_at) FILTER (WHERE p.value IS NOT NULL) AS last_purchase_at,
		count(*) FILTER (WHERE p.paid_at IS NULL AND p.closed_at IS NULL AND NOT p.is_refund) AS unpaid_orders,
		count(*) FILTER (WHERE p.paid_at IS NOT NULL AND p.is_refund AND p.refund_of IS NULL) AS unlinked_refunds,
		coalesce(sum(p.accrued_points), 0) AS accrued,
		retention.purchase_history(p.paid_at, p.value) FILTER (WHERE p.value IS NOT NULL) AS history
	FROM retention.purchase p
	WHERE p.shop_id = s.shop_id AND p.customer_id = s.customer_id
) AS p
CROSS JOIN LATERAL (
	SELECT
		coalesce(sum(e.points), 0) AS posted,
		coalesce(sum(e.points) FILTER (WHERE e.kind IN ('accrual', 'reversal')), 0) AS of_orders,
		coalesce(sum(e.debt), 0) AS debt,
		coalesce(max(e.entry_no), 0) AS last_entry_no,
		count(*) AS entries
	FROM retention.points_entry e
	WHERE e.shop_id = s.shop_id AND e.customer_id = s.customer_id
) AS e
CROSS JOIN LATERAL (
	SELECT coalesce(sum(l.remaining), 0) AS remaining
	FROM retention.points_lot l
	WHERE l.shop_id = s.shop_id AND l.customer_id = s.customer_id
) AS l
CROSS JOIN LATERAL (
	SELECT retention.merge(h.history) AS history
	FROM (
		SELECT c.history
		FROM retention.customer_history c
		WHERE c.shop_id = s.shop_id AND c.customer_id = s.customer_id
		UNION ALL
		SELECT s.history
	) AS h
) AS h
WHERE (s.purchases, s.spent, s.first_purchase_at, s.last_purchase_at, s.unpaid_orders, s.unlinked_refunds)
		IS DISTINCT FROM (p.purchases, p.spent, p.first_purchase_at, p.last_purchase_at, p.unpaid_orders, p.unlinked_refunds)
	OR (s.points_posted, s.points_debt, s.last_entry_no) IS DISTINCT FROM (e.posted, e.debt, e.last_entry_no)
	OR e.entries <> e.last_entry_no
	OR e.of_orders <> p.accrued
	OR l.remaining - e.debt <> e.posted
	OR nullif(h.history::text, '{}') IS DISTINCT FROM nullif(p.history::text, '{}')
	-- purchases of one moment are not divided
	OR (pg_column_size(s.history) > 1100 AND coalesce(s.history_from, s.first_purchase_at) < s.last_purchase_at);
