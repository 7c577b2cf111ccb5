-- purchase_history on all purchases of CDNOW, against plain SQL.
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

DROP SCHEMA history_test CASCADE;
