-- purchase_history on all purchases of CDNOW and of Online Retail, against plain
-- SQL.
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET client_min_messages = warning;
CREATE SCHEMA history_test;
SET search_path = history_test, pg_catalog;

CREATE TABLE orders (
	transaction_id integer,
	customer_id integer,
	order_date date,
	cd_count integer,
	amount numeric,
	sample_id integer
);

\copy orders FROM PROGRAM 'zcat "$RETENTION_DATA"/cdnow.csv.gz' WITH (FORMAT csv, HEADER)

CREATE TABLE history AS
SELECT customer_id, retention.purchase_history(order_date, amount) AS h
FROM orders
GROUP BY customer_id;

SELECT count(*) AS customers,
	sum(retention.purchases(h)) AS purchases,
	sum(retention.spent(h)) AS spent,
	count(*) FILTER (WHERE retention.purchases(h) >= 2) AS "bought twice or more",
	min(retention.first_purchase(h))::date AS first,
	max(retention.last_purchase(h))::date AS last
FROM history;

-- Row for row.
SELECT count(*) AS missing FROM (
	SELECT customer_id, order_date, amount FROM orders
	EXCEPT ALL
	SELECT customer_id, paid_at::date, amount FROM history, retention.entries(h)
) AS differences;

SELECT count(*) AS invented FROM (
	SELECT customer_id, paid_at::date, amount FROM history, retention.entries(h)
	EXCEPT ALL
	SELECT customer_id, order_date, amount FROM orders
) AS differences;

-- Customer for customer.
SELECT count(*) AS differences FROM (
	SELECT customer_id, count(*), sum(amount), min(order_date)::timestamptz, max(order_date)::timestamptz,
		count(*) FILTER (WHERE order_date >= '1997-07-01' AND order_date < '1998-01-01'),
		coalesce(sum(amount) FILTER (WHERE order_date >= '1997-07-01' AND order_date < '1998-01-01'), 0),
		(array_agg(amount ORDER BY order_date DESC, amount DESC))[1]
	FROM orders
	GROUP BY customer_id
	EXCEPT
	SELECT customer_id, retention.purchases(h), retention.spent(h), retention.first_purchase(h), retention.last_purchase(h),
		retention.bought(h, '1997-07-01', '1998-01-01'),
		retention.spent_between(h, '1997-07-01', '1998-01-01'),
		retention.last_amount(h)
	FROM history
) AS differences;

-- Merged, it is the same as made at once.
SELECT retention.merge(h) OPERATOR(retention.=) (SELECT retention.purchase_history(order_date, amount) FROM orders) AS same
FROM history;

-- Bytes a purchase, with what each history costs in itself: few.
SELECT sum(pg_column_size(h)) < 6 * sum(retention.purchases(h)) AS "under 6",
	(SELECT octet_length(retention.merge(h)::bytea) < 3.5 * sum(retention.purchases(h)) FROM history) AS "merged, under 3.5"
FROM history;

-- In the shop's own zone dates stay dates, and only the first instant takes
-- more: deltas are in days in any zone that does not change its clocks.
SET timezone = 'Asia/Shanghai';
SELECT count(*) AS differences
FROM (
	SELECT retention.entries(retention.purchase_history(order_date, amount)) AS e, customer_id
	FROM orders
	GROUP BY customer_id
) AS there
WHERE (e).paid_at <> (e).paid_at::date;

SELECT sum(pg_column_size(shanghai)) - sum(pg_column_size(utc)) <= count(*) AS "at most a byte a history more"
FROM (
	SELECT retention.purchase_history(order_date, amount) AS shanghai, retention.purchase_history(order_date::timestamp AT TIME ZONE 'UTC', amount) AS utc
	FROM orders
	GROUP BY customer_id
) AS histories;

SET timezone = 'UTC';

-- Online Retail: purchases at a time of day, some at one instant, none of them a
-- cancellation.  Row for row, customer for customer, merged, and as text.
CREATE TABLE invoices (
	invoice text, customer_id integer, invoice_date timestamp, amount numeric, quantity bigint, line_count integer, country text, is_cancellation boolean
);
\copy invoices FROM PROGRAM 'zcat "$RETENTION_DATA"/online_retail_invoices.csv.gz' WITH (FORMAT csv, HEADER)
CREATE TABLE retail AS
SELECT customer_id, invoice_date AT TIME ZONE 'Europe/London' AS paid_at, amount
FROM invoices
WHERE NOT is_cancellation AND customer_id IS NOT NULL;
CREATE TABLE retail_history AS
SELECT customer_id, retention.purchase_history(paid_at, amount) AS h
FROM retail
GROUP BY customer_id;

SELECT count(*) AS customers, sum(retention.purchases(h)) AS purchases, sum(retention.spent(h)) AS spent
FROM retail_history;

SELECT count(*) AS missing FROM (
	SELECT customer_id, paid_at, amount FROM retail
	EXCEPT ALL
	SELECT customer_id, e.paid_at, e.amount FROM retail_history, retention.entries(h) AS e
) AS differences;

SELECT count(*) AS invented FROM (
	SELECT customer_id, e.paid_at, e.amount FROM retail_history, retention.entries(h) AS e
	EXCEPT ALL
	SELECT customer_id, paid_at, amount FROM retail
) AS differences;

SELECT count(*) AS differences FROM (
	SELECT customer_id, count(*), sum(amount), min(paid_at), max(paid_at),
		count(*) FILTER (WHERE paid_at >= '2011-03-01' AND paid_at < '2011-09-15 12:00'),
		coalesce(sum(amount) FILTER (WHERE paid_at >= '2011-03-01' AND paid_at < '2011-09-15 12:00'), 0),
		(array_agg(amount ORDER BY paid_at DESC, amount DESC))[1]
	FROM retail
	GROUP BY customer_id
	EXCEPT
	SELECT customer_id, retention.purchases(h), retention.spent(h), retention.first_purchase(h), retention.last_purchase(h),
		retention.bought(h, '2011-03-01', '2011-09-15 12:00'),
		retention.spent_between(h, '2011-03-01', '2011-09-15 12:00'),
		retention.last_amount(h)
	FROM retail_history
) AS differences;

SELECT retention.merge(h) OPERATOR(retention.=) (SELECT retention.purchase_history(paid_at, amount) FROM retail) AS same,
	count(*) FILTER (WHERE h::text::retention.purchase_history OPERATOR(retention.<>) h OR h::bytea::retention.purchase_history OPERATOR(retention.<>) h) AS otherwise_by_text
FROM retail_history;

SELECT count(*) AS differences FROM (
	SELECT customer_id, retention.purchase_history(paid_at, amount)::text FROM retail GROUP BY 1
	EXCEPT
	SELECT customer_id, retention.merge(part)::text
	FROM (SELECT customer_id, retention.purchase_history(paid_at, amount) AS part FROM retail GROUP BY customer_id, date_trunc('month', paid_at)) AS months
	GROUP BY customer_id
) AS differences;

-- How long each customer of both usually stays away: the median time between
-- visits, each of them the first purchase 24 hours or more after the one before.
CREATE TABLE bought AS
SELECT 'cdnow' AS shop, customer_id, order_date::timestamptz AS paid_at FROM orders
UNION ALL
SELECT 'retail', customer_id, paid_at FROM retail;
CREATE INDEX ON bought (shop, customer_id, paid_at);
ANALYZE bought;

WITH RECURSIVE visit AS (
	SELECT shop, customer_id, min(paid_at) AS at
	FROM bought
	GROUP BY shop, customer_id
	UNION ALL
	SELECT shop, customer_id, (
		SELECT min(later.paid_at)
		FROM bought AS later
		WHERE later.shop = visit.shop AND later.customer_id = visit.customer_id AND later.paid_at >= visit.at + interval '24 hours'
	)
	FROM visit
	WHERE at IS NOT NULL
), gap AS (
	SELECT shop, customer_id, extract(epoch FROM at - lag(at) OVER (PARTITION BY shop, customer_id ORDER BY at))::float8 AS seconds
	FROM visit
	WHERE at IS NOT NULL
), plain AS (
	SELECT shop, customer_id,
		CASE WHEN count(seconds) >= 2 THEN make_interval(days => ceil(percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) / 86400)::integer) END AS usual
	FROM gap
	GROUP BY shop, customer_id
)
SELECT shop, count(*) AS customers, count(usual) AS "with an interval", count(*) FILTER (WHERE usual IS DISTINCT FROM retention.usual_interval(h)) AS differences
FROM plain
JOIN (SELECT 'cdnow' AS shop, * FROM history UNION ALL SELECT 'retail', * FROM retail_history) AS kept USING (shop, customer_id)
GROUP BY shop
ORDER BY shop;

DROP SCHEMA history_test CASCADE;
