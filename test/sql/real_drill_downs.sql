-- Sales, products, log-ins, visits and value of an attached shop, on all of
-- Online Retail, each against its definition in plain SQL over the shop's own
-- tables; and behind every cell the very customers that it counts.
SET client_min_messages = warning;
SET timezone = 'America/New_York';
SET datestyle = 'ISO';
SET jit = off;
CREATE SCHEMA drill_downs;
SET search_path = drill_downs, pg_catalog;

CREATE TABLE invoices (
	invoice text PRIMARY KEY, customer_id integer, invoice_date timestamp, amount numeric, quantity bigint, line_count integer, country text, is_cancellation boolean
);
\copy invoices FROM PROGRAM 'zcat "$RETENTION_DATA"/online_retail_invoices.csv.gz' WITH (FORMAT csv, HEADER)
CREATE TABLE lines (line_id integer, invoice text, line_date timestamp, product text, quantity integer, price numeric);
\copy lines FROM PROGRAM 'xz -dc "$RETENTION_DATA"/online_retail_lines.csv.xz' WITH (FORMAT csv, HEADER)

-- The invoices of named customers are the orders.  What the data does not tell
-- is made up from the invoice: how far the order got, what was refunded, and
-- through which channel it came.
CREATE TABLE orders AS
	SELECT invoice, customer_id, country, amount AS total, i AS n,
		CASE i % 4 WHEN 0 THEN 'web' WHEN 1 THEN 'app' WHEN 2 THEN 'store' END AS channel,
		invoice_date - interval '5 minutes' AS placed_at,
		CASE WHEN i % 13 > 0 THEN invoice_date END AS paid_at,
		CASE WHEN i % 13 > 0 AND i % 3 > 0 THEN invoice_date + interval '1 day' END AS shipped_at,
		CASE WHEN i % 13 > 0 AND i % 7 > 0 THEN invoice_date + interval '9 days' END AS completed_at,
		CASE WHEN i % 26 = 0 THEN invoice_date + interval '1 hour' END AS closed_at,
		CASE WHEN i % 37 = 0 THEN amount WHEN i % 11 = 0 THEN round(amount / 3, 2) ELSE 0 END AS refunded
	FROM (
		SELECT *, row_number() OVER (ORDER BY invoice) AS i
		FROM invoices WHERE NOT is_cancellation AND customer_id IS NOT NULL AND amount >= 0
	) AS named;
ALTER TABLE orders ADD PRIMARY KEY (invoice);
-- What customers gave back they have looked at before, and many came to look
-- at what others gave back.
CREATE TABLE looks AS
	SELECT i.customer_id, l.line_date - interval '1 day' AS at, l.product, i.country AS app FROM lines AS l JOIN invoices AS i USING (invoice) WHERE i.is_cancellation
	UNION ALL
	SELECT i.customer_id + 1, l.line_date, l.product, i.country FROM lines AS l JOIN invoices AS i USING (invoice) WHERE i.is_cancellation AND l.line_id % 3 = 0;
CREATE TABLE visits AS
	SELECT customer_id, invoice_date - interval '1 day' * (line_count % 40) AS at, CASE WHEN is_cancellation THEN 'login' ELSE 'visit' END AS kind,
		CASE WHEN quantity % 3 > 0 THEN 'app' || quantity % 3 END AS app
	FROM invoices
	UNION ALL
	SELECT customer_id, invoice_date - interval '1 hour' * line_count, 'login', 'web' FROM invoices;
ANALYZE;

\setenv PGDATABASE :DBNAME
\setenv PGOPTIONS '-c retention.clock=2011-12-10\\ 00:00+00'
SET retention.clock = '2011-12-10 00:00+00';
SELECT retention.create_shop('Online Retail', 'Europe/London', 'GBP');
SELECT retention.attach_orders('orders', order_id => 'invoice', customer => 'customer_id', total => 'total', refunded => 'refunded', placed_at => 'placed_at', paid_at => 'paid_at',
	shipped_at => 'shipped_at', completed_at => 'completed_at', closed_at => 'closed_at', channel => 'channel',
	attributes => $$CASE WHEN n % 5 > 0 THEN jsonb_build_object('region', country) END$$);
SELECT retention.attach_lines('lines', 'invoice', 'product', quantity => 'quantity', amount => 'quantity * price');
SELECT retention.attach_events('visits', 'customer_id', 'at', 'kind', channel => 'app');
SELECT retention.attach_events('looks', 'customer_id', 'at', $$'view'$$, product => 'product', channel => 'app');
\! psql -X -q -c "CALL retention.backfill('drill_downs.orders')" 2>/dev/null
-- Some customers joined long before or later, some live where their orders do
-- not say; of some it is known through which channel they came.
CREATE TABLE known AS
	SELECT DISTINCT customer_id::text,
		CASE WHEN customer_id % 3 = 0 THEN timestamp '2010-11-01 12:00' + customer_id % 400 * interval '1 day' END AT TIME ZONE 'UTC' AS joined_at,
		CASE WHEN customer_id % 5 = 0 THEN 'ad ' || customer_id % 4 END AS channel
	FROM orders;
UPDATE retention.customer AS c SET joined_at = k.joined_at, attributes = jsonb_strip_nulls(jsonb_build_object('channel', k.channel)) FROM known AS k WHERE k.customer_id = c.customer_id;
UPDATE retention.customer SET attributes = attributes || '{"region": "Utopia"}' WHERE customer_id::integer % 2 = 0;
ANALYZE retention.purchase, retention.customer, retention.customer_stats;

-- ---------------------------------------------------------------------------
-- Plain SQL
-- ---------------------------------------------------------------------------

CREATE FUNCTION london(timestamp) RETURNS timestamptz LANGUAGE sql IMMUTABLE RETURN $1 AT TIME ZONE 'Europe/London';
-- Two moments: now, and a past one of which a reader may ask as well.
CREATE TABLE moments (at timestamptz, wall timestamp);
INSERT INTO moments VALUES ('2011-12-10 00:00+00', '2011-12-10 00:00'), ('2011-09-15 11:30+00', '2011-09-15 12:30');
CREATE TABLE bought AS
	SELECT m.at, m.wall, o.customer_id::text, o.invoice, o.paid_at, o.total - o.refunded AS value, o.channel,
		coalesce(CASE WHEN n % 5 > 0 THEN country END, CASE WHEN customer_id % 2 = 0 THEN 'Utopia' END) AS region,
		row_number() OVER (PARTITION BY m.at, o.customer_id ORDER BY o.paid_at, o.invoice COLLATE "C") AS x,
		count(*) OVER (PARTITION BY m.at, o.customer_id) AS in_all
	FROM moments AS m JOIN orders AS o ON london(o.paid_at) <= m.at
	WHERE NOT (o.refunded > 0 AND o.refunded = o.total);
CREATE TABLE spent AS
	SELECT at, customer_id, max(paid_at) AS last_at, count(*) AS purchases, sum(value) AS spent FROM bought GROUP BY 1, 2;
CREATE INDEX ON bought (at, customer_id, x);
ANALYZE bought, spent;

CREATE FUNCTION differ(ours text, plain text) RETURNS text
	LANGUAGE plpgsql
	AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('CREATE TEMPORARY TABLE ours AS %s', ours);
	CREATE TEMPORARY TABLE plain (LIKE ours);
	EXECUTE format('INSERT INTO plain %s', plain);
	SELECT (SELECT count(*) FROM ours) || ' rows, ' || count(*) || ' different' INTO result
	FROM ((TABLE ours EXCEPT ALL TABLE plain) UNION ALL (TABLE plain EXCEPT ALL TABLE ours)) AS d;
	DROP TABLE ours, plain;
	RETURN result;
END
$$;

-- ---------------------------------------------------------------------------
-- Sales
-- ---------------------------------------------------------------------------

SELECT differ('SELECT m.at, s.* FROM moments AS m, retention.customer_totals(m.at) AS s', 'SELECT at, customer_id, london(last_at), purchases, spent FROM spent') AS customer_totals;
SELECT differ('SELECT m.at, s.* FROM moments AS m, retention.sales_by_region(at => m.at) AS s', $$
	SELECT at, starts, region, CASE WHEN starts < current THEN customers END, CASE WHEN starts < current THEN purchases END, CASE WHEN starts < current THEN value END
	FROM (
		SELECT at, date_trunc('month', paid_at)::date AS starts, date_trunc('month', wall)::date AS current, region,
			count(DISTINCT customer_id) AS customers, count(*) AS purchases, sum(value) AS value
		FROM bought GROUP BY 1, 2, 3, 4
	) AS s$$) AS sales_by_region;
SELECT differ('SELECT m.at, s.* FROM moments AS m, retention.sales_by_channel(''week'', m.at) AS s', $$
	SELECT at, starts, channel, CASE WHEN starts < current THEN customers END, CASE WHEN starts < current THEN purchases END, CASE WHEN starts < current THEN value END
	FROM (
		SELECT at, date_trunc('week', paid_at)::date AS starts, date_trunc('week', wall)::date AS current, channel,
			count(DISTINCT customer_id) AS customers, count(*) AS purchases, sum(value) AS value
		FROM bought GROUP BY 1, 2, 3, 4
	) AS s$$) AS sales_by_channel;
SELECT differ('SELECT m.at, s.* FROM moments AS m, retention.sales_monthly(m.at) AS s', $$
	SELECT at, starts, CASE WHEN starts < current THEN customers END, CASE WHEN starts < current THEN purchases END, CASE WHEN starts < current THEN value END
	FROM (
		SELECT at, date_trunc('month', paid_at)::date AS starts, date_trunc('month', wall)::date AS current,
			count(DISTINCT customer_id) AS customers, count(*) AS purchases, sum(value) AS value
		FROM bought GROUP BY 1, 2, 3
	) AS s$$) AS sales_monthly;
-- The customers behind each cell, also of a period that is not over.
SELECT differ($$SELECT m.at, s.period_start, s.region, c.* FROM moments AS m, retention.sales_by_region(period => 'quarter', at => m.at) AS s,
		retention.sales_by_region_customers(s.period_start, s.region, period => 'quarter', at => m.at) AS c$$,
	$$SELECT at, date_trunc('quarter', paid_at)::date, region, customer_id, count(*), sum(value) FROM bought GROUP BY 1, 2, 3, 4$$) AS sales_by_region_customers;
SELECT differ($$SELECT m.at, s.period_start, s.channel, c.* FROM moments AS m, retention.sales_by_channel('month', m.at) AS s,
		retention.sales_by_channel_customers(s.period_start, s.channel, 'month', m.at) AS c$$,
	$$SELECT at, date_trunc('month', paid_at)::date, channel, customer_id, count(*), sum(value) FROM bought GROUP BY 1, 2, 3, 4$$) AS sales_by_channel_customers;
SELECT differ($$SELECT m.at, s.month, c.customer_id, c.is_new, c.purchases, c.value FROM moments AS m, retention.sales_monthly(m.at) AS s, retention.period_customers(s.month, at => m.at) AS c$$,
	$$SELECT at, date_trunc('month', paid_at)::date, customer_id, bool_or(x = 1), count(*), sum(value) FROM bought GROUP BY 1, 2, 3$$) AS sales_monthly_customers;

-- ---------------------------------------------------------------------------
-- The funnel
-- ---------------------------------------------------------------------------

CREATE VIEW reached AS
	SELECT m.at, customer_id::text, s.stage, s.position, coalesce(london(closed_at) <= m.at, false) AS is_closed, placed_at,
		CASE WHEN london(completed_at) <= m.at THEN 5 WHEN london(shipped_at) <= m.at THEN 3 WHEN london(paid_at) <= m.at THEN 2 ELSE 1 END AS last
	FROM moments AS m JOIN orders AS o ON london(o.placed_at) <= m.at
		CROSS JOIN unnest('{placed,paid,shipped,delivered,completed}'::text[]) WITH ORDINALITY AS s (stage, position);
SELECT differ('SELECT m.at, position::bigint, stage, orders, closed, waiting, rate, share FROM moments AS m, retention.order_funnel(''2011-03-01'', ''2011-10-01 00:00+01'', m.at)', $$
	SELECT at, position, stage, orders, closed, waiting, orders::numeric / nullif(lag(orders) OVER (PARTITION BY at ORDER BY position), 0),
		orders::numeric / first_value(orders) OVER (PARTITION BY at ORDER BY position)
	FROM (
		SELECT at, position, stage, count(*) FILTER (WHERE last >= position) AS orders,
			count(*) FILTER (WHERE last = position AND is_closed) AS closed, count(*) FILTER (WHERE last = position AND NOT is_closed) AS waiting
		FROM reached WHERE london(placed_at) >= '2011-03-01' AND london(placed_at) < '2011-10-01 00:00+01' GROUP BY 1, 2, 3
	) AS s$$) AS order_funnel;
SELECT differ('SELECT m.at, s.stage, c.* FROM moments AS m, retention.order_funnel(at => m.at) AS s, retention.order_funnel_customers(s.stage, at => m.at) AS c', $$
	SELECT at, stage, customer_id, count(*), count(*) FILTER (WHERE last = position AND is_closed), count(*) FILTER (WHERE last = position AND NOT is_closed)
	FROM reached WHERE last >= position GROUP BY 1, 2, 3$$) AS order_funnel_customers;

-- ---------------------------------------------------------------------------
-- What customers are worth
-- ---------------------------------------------------------------------------

CREATE VIEW bands AS SELECT * FROM (VALUES (NULL::numeric, 50::numeric), (50, 300.5), (300.5, 10000), (10000, 1000000), (1000000, NULL)) AS b (from_value, to_value);
SELECT differ('SELECT m.at, s.* FROM moments AS m, retention.customer_value_bands(''{50,300.5,10000,1000000}'', m.at) AS s', $$
	SELECT m.at, b.from_value, b.to_value, count(customer_id), coalesce(sum(spent), 0),
		count(customer_id) / (SELECT count(*)::numeric FROM spent AS a WHERE a.at = m.at),
		coalesce(sum(spent), 0) / (SELECT sum(spent) FROM spent AS a WHERE a.at = m.at)
	FROM moments AS m CROSS JOIN bands AS b
		LEFT JOIN spent AS s ON s.at = m.at AND coalesce(spent >= from_value, true) AND coalesce(spent < to_value, true)
	GROUP BY 1, 2, 3$$) AS customer_value_bands;
SELECT differ('SELECT m.at, b.from_value, c.* FROM moments AS m, bands AS b, retention.customer_value_band_customers(b.from_value, b.to_value, m.at) AS c', $$
	SELECT at, from_value, customer_id, london(last_at), purchases, spent
	FROM spent JOIN bands ON coalesce(spent >= from_value, true) AND coalesce(spent < to_value, true)$$) AS customer_value_band_customers;
SELECT differ('SELECT m.at, best, c.* FROM moments AS m, unnest(''{0,0.001,0.2,1}''::numeric[]) AS best, retention.pareto_customers(best, m.at) AS c', $$
	SELECT at, best, customer_id, purchases, spent, so_far / of_all
	FROM (
		SELECT *, rank() OVER (PARTITION BY at ORDER BY spent DESC, customer_id COLLATE "C") AS place, count(*) OVER (PARTITION BY at) AS n,
			sum(spent) OVER (PARTITION BY at ORDER BY spent DESC, customer_id COLLATE "C") AS so_far, sum(spent) OVER (PARTITION BY at) AS of_all
		FROM spent
	) AS s JOIN unnest('{0,0.001,0.2,1}'::numeric[]) AS best ON place <= greatest(1, ceil(best * n))$$) AS pareto_customers;
SELECT m.at, retention.pareto(0.2, m.at) = (SELECT max(share_so_far) FROM retention.pareto_customers(0.2, m.at)) AS the_same FROM moments AS m ORDER BY 1;

CREATE TABLE scores AS
	SELECT at, customer_id, last_at, purchases, spent,
		(1 + 5 * (rank() OVER (PARTITION BY at ORDER BY last_at) - 1) / count(*) OVER (PARTITION BY at))::integer AS r,
		(1 + 5 * (rank() OVER (PARTITION BY at ORDER BY purchases) - 1) / count(*) OVER (PARTITION BY at))::integer AS f,
		(1 + 5 * (rank() OVER (PARTITION BY at ORDER BY spent) - 1) / count(*) OVER (PARTITION BY at))::integer AS m
	FROM spent;
SELECT differ('SELECT m.at, s.* FROM moments AS m, retention.rfm_grid(at => m.at) AS s', 'SELECT at, r, f, m, count(*), sum(spent) FROM scores GROUP BY 1, 2, 3, 4') AS rfm_grid;
SELECT differ('SELECT r, f, m, c.* FROM generate_series(1, 5) AS r, generate_series(1, 5) AS f, generate_series(1, 5) AS m, retention.rfm_grid_customers(r, f, m) AS c', $$
	SELECT r, f, m, customer_id, london(last_at), purchases, spent FROM scores WHERE at = '2011-12-10 00:00+00'$$) AS rfm_grid_customers;
SELECT differ('SELECT r, c.* FROM moments AS m, generate_series(1, 5) AS r, retention.rfm_grid_customers(r, NULL, NULL, at => m.at) AS c', $$
	SELECT r, customer_id, london(last_at), purchases, spent FROM scores$$) AS rfm_grid_customers;
-- The least value that still scores so high.
SELECT differ('SELECT m.at, s, (c).recency[s - 1], (c).frequency[s - 1], (c).monetary[s - 1] FROM moments AS m, retention.rfm_cuts(m.at) AS c, generate_series(2, 5) AS s', $$
	SELECT at, s, coalesce(min(london(last_at)) FILTER (WHERE r >= s), 'infinity'), coalesce(min(purchases) FILTER (WHERE f >= s), 9223372036854775807),
		coalesce(min(spent) FILTER (WHERE m >= s), 'infinity')
	FROM scores, generate_series(2, 5) AS s GROUP BY 1, 2$$) AS rfm_cuts;
SELECT scheme, differ(format('SELECT * FROM retention.rfm_movement(''2011-09-15 11:30+00'', %L)', scheme), format($$
	SELECT retention.rfm_segment(p.r, p.f, p.m, %1$L), retention.rfm_segment(n.r, n.f, n.m, %1$L), count(*)
	FROM scores AS n LEFT JOIN scores AS p ON p.customer_id = n.customer_id AND p.at < n.at
	WHERE n.at = '2011-12-10 00:00+00' GROUP BY 1, 2$$, scheme)) AS rfm_movement,
	differ(format('SELECT * FROM retention.rfm_movement_customers(''2011-09-15 11:30+00'', %L)', scheme), format($$
	SELECT n.customer_id, retention.rfm_segment(p.r, p.f, p.m, %1$L), retention.rfm_segment(n.r, n.f, n.m, %1$L)
	FROM scores AS n LEFT JOIN scores AS p ON p.customer_id = n.customer_id AND p.at < n.at
	WHERE n.at = '2011-12-10 00:00+00'$$, scheme)) AS rfm_movement_customers
FROM unnest('{global,cn8}'::text[]) AS scheme;

-- The shipped ladder, over all purchases and over a window; at a past moment
-- of those who had joined or bought by then, as far as that is known.
CREATE TABLE tier_totals AS
	SELECT m.at, k.customer_id, w.tier_window, coalesce(s.purchases, 0) AS purchases, coalesce(s.spent, 0) AS spent,
		count(b.value) AS counted, coalesce(sum(b.value), 0) AS counted_spent
	FROM moments AS m CROSS JOIN known AS k CROSS JOIN (VALUES (NULL::interval), ('100 days')) AS w (tier_window)
		LEFT JOIN (SELECT customer_id, min(london(paid_at)) AS first_at FROM bought GROUP BY 1) AS f USING (customer_id)
		LEFT JOIN spent AS s ON s.at = m.at AND s.customer_id = k.customer_id
		LEFT JOIN bought AS b ON b.at = m.at AND b.customer_id = k.customer_id AND (w.tier_window IS NULL OR b.paid_at >= m.wall - w.tier_window)
	WHERE coalesce(least(k.joined_at, f.first_at) <= m.at, true)
	GROUP BY m.at, k.customer_id, w.tier_window, s.purchases, s.spent;
CREATE VIEW tiers AS
	SELECT *, CASE WHEN counted_spent >= 20000 THEN 'diamond' WHEN counted_spent >= 5000 OR counted >= 20 THEN 'gold'
		WHEN counted_spent >= 1000 OR counted >= 5 THEN 'silver' ELSE 'member' END AS tier
	FROM tier_totals;
SELECT at, count(*) AS customers FROM tiers WHERE tier_window IS NULL GROUP BY at ORDER BY at;
UPDATE retention.shop SET tier_window = NULL;
SELECT differ('SELECT * FROM retention.tier_distribution()', 'SELECT tier, count(*), count(*) / sum(count(*)) OVER (), sum(spent) FROM tiers WHERE tier_window IS NULL AND at = ''2011-12-10 00:00+00'' GROUP BY 1') AS tier_distribution;
SELECT differ('SELECT m.at, s.* FROM moments AS m, retention.tier_distribution(m.at) AS s', 'SELECT at, tier, count(*), count(*) / sum(count(*)) OVER (PARTITION BY at), sum(spent) FROM tiers WHERE tier_window IS NULL GROUP BY 1, 2') AS tier_distribution;
SELECT differ('SELECT s.tier, c.* FROM retention.tier_distribution() AS s, retention.tier_distribution_customers(s.tier) AS c',
	'SELECT tier, customer_id, purchases, spent FROM tiers WHERE tier_window IS NULL AND at = ''2011-12-10 00:00+00''') AS tier_distribution_customers;
UPDATE retention.shop SET tier_window = '100 days';
SELECT differ('SELECT m.at, s.tier, c.* FROM moments AS m, retention.tier_distribution(m.at) AS s, retention.tier_distribution_customers(s.tier, m.at) AS c',
	'SELECT at, tier, customer_id, purchases, spent FROM tiers WHERE tier_window IS NOT NULL') AS tier_distribution_customers;
SELECT count(*) AS customers, count(*) FILTER (WHERE c.tier IS DISTINCT FROM retention.customer_tier(c.customer_id, NULL, c.at)) AS different
FROM tiers AS c WHERE tier_window IS NOT NULL AND customer_id LIKE '%7';
UPDATE retention.shop SET tier_window = NULL;

-- ---------------------------------------------------------------------------
-- After the first purchase
-- ---------------------------------------------------------------------------

SELECT differ('SELECT m.at, mode, days, c.* FROM moments AS m, unnest(''{classic,rolling,within}''::text[]) AS mode, unnest(''{0,1,30,200}''::integer[]) AS days,
		retention.retention_curve_customers(days, mode, m.at) AS c', $$
	SELECT f.at, mode, days, f.customer_id, london(f.paid_at), EXISTS (
		SELECT FROM bought AS b WHERE b.at = f.at AND b.customer_id = f.customer_id AND b.x > 1
			AND CASE mode WHEN 'classic' THEN b.paid_at::date - f.paid_at::date = days WHEN 'rolling' THEN b.paid_at::date - f.paid_at::date >= days ELSE b.paid_at::date - f.paid_at::date <= days END)
	FROM bought AS f, unnest('{classic,rolling,within}'::text[]) AS mode, unnest('{0,1,30,200}'::integer[]) AS days
	WHERE f.x = 1 AND f.paid_at::date + days < f.wall::date$$) AS retention_curve_customers;
SELECT count(*) AS cells, count(*) FILTER (WHERE (r.customers, coalesce(r.returned, 0)) <> (c.customers, c.returned)) AS different
FROM unnest('{classic,rolling,within}'::text[]) AS mode CROSS JOIN LATERAL retention.retention_curve(mode, '{0,1,7,30,90,365,400}') AS r
	CROSS JOIN LATERAL (SELECT count(*) AS customers, count(*) FILTER (WHERE c.returned) AS returned FROM retention.retention_curve_customers(r.days, mode) AS c) AS c;
SELECT differ('SELECT m.at, x, c.* FROM moments AS m, unnest(''{1,2,7,50}''::bigint[]) AS x, retention.gap_to_next_customers(x, m.at) AS c', $$
	SELECT b.at, b.x, b.customer_id, london(b.paid_at), london(n.paid_at), london(n.paid_at) - london(b.paid_at)
	FROM bought AS b JOIN bought AS n ON n.at = b.at AND n.customer_id = b.customer_id AND n.x = b.x + 1
	WHERE b.x IN (1, 2, 7, 50)$$) AS gap_to_next_customers;
SELECT count(*) AS cells, count(*) FILTER (WHERE (g.customers, g.gap) IS DISTINCT FROM (c.customers, c.gap)) AS different
FROM retention.gap_to_next('{0,0.5,0.9,1}') AS g
	CROSS JOIN LATERAL (SELECT count(*) AS customers, percentile_disc(g.fraction::float8) WITHIN GROUP (ORDER BY c.gap) AS gap FROM retention.gap_to_next_customers(g.x) AS c) AS c
WHERE g.x IN (1, 2, 3, 10, 30, 100);

-- ---------------------------------------------------------------------------
-- Products
-- ---------------------------------------------------------------------------

CREATE TABLE held AS
	SELECT b.at, b.customer_id, l.product, count(DISTINCT b.invoice) AS times, bool_or(b.x = 1) AS at_first,
		bool_or(b.in_all > 1) AS returned
	FROM bought AS b JOIN lines AS l USING (invoice)
	GROUP BY 1, 2, 3;
CREATE TABLE looked AS
	SELECT DISTINCT m.at, l.customer_id::text, l.product FROM moments AS m JOIN looks AS l ON london(l.at) <= m.at WHERE customer_id IS NOT NULL AND product IS NOT NULL;
ANALYZE held, looked;
SELECT differ('SELECT m.at, s.* FROM moments AS m, retention.product_repurchase(m.at) AS s', $$
	SELECT at, product, count(h.times), count(*) FILTER (WHERE times >= 2), (count(*) FILTER (WHERE times >= 2))::numeric / nullif(count(h.times), 0),
		count(*) FILTER (WHERE at_first), count(*) FILTER (WHERE at_first AND returned),
		(count(*) FILTER (WHERE at_first AND returned))::numeric / nullif(count(*) FILTER (WHERE at_first), 0), count(*) FILTER (WHERE times IS NULL)
	FROM held AS h FULL JOIN looked AS l USING (at, product, customer_id) GROUP BY 1, 2$$) AS product_repurchase;
-- Looking through them takes a pass over all lines each: a few, and one that nobody bought.
CREATE TABLE some_products AS
	SELECT product FROM (SELECT product, row_number() OVER (ORDER BY sum(times) DESC, product) AS place FROM held GROUP BY 1) AS p WHERE place IN (1, 100, 3000)
	UNION SELECT min(product) FROM (SELECT product FROM looked EXCEPT SELECT product FROM held) AS unsold;
SELECT differ('SELECT m.at, p.product, c.* FROM moments AS m, some_products AS p, retention.product_repurchase_customers(p.product, m.at) AS c', $$
	SELECT at, product, customer_id, coalesce(times, 0), coalesce(at_first, false), coalesce(returned, false), l.customer_id IS NOT NULL
	FROM held AS h FULL JOIN looked AS l USING (at, product, customer_id) WHERE product IN (TABLE some_products)$$) AS product_repurchase_customers;

CREATE TABLE in_order AS
	SELECT DISTINCT b.at, b.customer_id, b.invoice, l.product FROM bought AS b JOIN lines AS l USING (invoice) WHERE b.at = '2011-09-15 11:30+00';
CREATE TABLE of_product AS SELECT product, count(*) AS n FROM in_order GROUP BY 1;
ALTER TABLE of_product ADD PRIMARY KEY (product);
ANALYZE in_order, of_product;
-- Each pair is counted once, for that takes longest.
CREATE TABLE pair AS
	SELECT x.product AS one, y.product AS other, count(*) AS n
	FROM in_order AS x JOIN in_order AS y USING (invoice) WHERE x.product < y.product GROUP BY 1, 2 HAVING count(*) >= 20;
SELECT differ('SELECT * FROM retention.product_pairs(20, ''2011-09-15 11:30+00'')', $$
	SELECT one, other, c.n, c.n::numeric / p.n, c.n::numeric * (SELECT count(DISTINCT invoice) FROM in_order) / (p.n::numeric * q.n)
	FROM (TABLE pair UNION ALL SELECT other, one, n FROM pair) AS c JOIN of_product AS p ON p.product = one JOIN of_product AS q ON q.product = other$$) AS product_pairs;
SELECT differ($$SELECT * FROM retention.product_pair_customers('85123A', '22423', '2011-09-15 11:30+00')$$, $$
	SELECT customer_id, count(*) FROM in_order AS x JOIN in_order AS y USING (invoice, customer_id)
	WHERE x.product = '85123A' AND y.product = '22423' GROUP BY 1$$) AS product_pair_customers;

-- ---------------------------------------------------------------------------
-- Log-ins and visits
-- ---------------------------------------------------------------------------

CREATE TABLE logged_in AS
	SELECT m.at, m.wall, v.customer_id::text, v.at AS came, v.app, kind FROM moments AS m JOIN visits AS v ON london(v.at) <= m.at WHERE customer_id IS NOT NULL;
-- Everybody who joined, and everybody who came; the channel is where they came
-- from, on the first day or before.
CREATE TABLE fresh AS
	SELECT at, wall, customer_id, new_at, coalesce(CASE WHEN came::date <= new_at::date THEN app END, channel) AS app
	FROM (
		SELECT at, coalesce(k.wall, f.wall) AS wall, customer_id, f.came, f.app, k.channel, coalesce(timezone('Europe/London', k.joined_at), f.came) AS new_at
		FROM (
			SELECT m.at, m.wall, k.customer_id, CASE WHEN k.joined_at <= m.at THEN k.joined_at END AS joined_at, k.channel FROM moments AS m CROSS JOIN known AS k
		) AS k
			FULL JOIN (SELECT DISTINCT ON (at, customer_id) * FROM logged_in WHERE kind = 'login' ORDER BY at, customer_id, came, app) AS f USING (at, customer_id)
	) AS f
	WHERE new_at IS NOT NULL;
CREATE INDEX ON logged_in (at, customer_id);
ANALYZE logged_in, fresh;
SELECT count(*) AS customers, count(*) FILTER (WHERE NOT EXISTS (SELECT FROM logged_in AS l WHERE l.at = f.at AND l.customer_id = f.customer_id AND l.kind = 'login')) AS never_came FROM fresh AS f;
CREATE TABLE came_back AS
	SELECT f.at, mode, days, f.app, f.customer_id, f.new_at, EXISTS (
		SELECT FROM logged_in AS l WHERE l.at = f.at AND l.customer_id = f.customer_id AND l.kind = 'login' AND l.came > f.new_at
			AND CASE mode WHEN 'classic' THEN l.came::date - f.new_at::date = days WHEN 'rolling' THEN l.came::date - f.new_at::date >= days ELSE l.came::date - f.new_at::date <= days END) AS returned
	FROM fresh AS f, unnest('{classic,rolling,within}'::text[]) AS mode, unnest('{1,3,7,30}'::integer[]) AS days
	WHERE f.new_at::date + days < f.wall::date;
-- By when they were new, too; a cell is there though nobody was observed so long.
SELECT unit, differ(format('SELECT m.at, mode, e.* FROM moments AS m, unnest(''{classic,rolling,within}''::text[]) AS mode, retention.event_retention(mode => mode, at => m.at, period => %L) AS e', unit), format($$
	SELECT at, mode, cohort, app, days, count(returned), CASE WHEN count(returned) > 0 THEN count(*) FILTER (WHERE returned) END,
		(count(*) FILTER (WHERE returned))::numeric / nullif(count(returned), 0)
	FROM (
		SELECT at, mode, days, date_trunc(%L, new_at)::date AS cohort, app, customer_id
		FROM fresh, unnest('{classic,rolling,within}'::text[]) AS mode, unnest('{1,3,7,30}'::integer[]) AS days
	) AS f LEFT JOIN (SELECT at, mode, days, customer_id, returned FROM came_back) AS c USING (at, mode, days, customer_id)
	GROUP BY 1, 2, 3, 4, 5$$, unit)) AS event_retention
FROM unnest('{NULL,day,week,quarter}'::text[]) AS unit;
SELECT differ('SELECT m.at, mode, days, e.* FROM moments AS m, unnest(''{classic,rolling,within}''::text[]) AS mode, unnest(''{1,3,7,30}''::integer[]) AS days,
	retention.event_retention_customers(days, mode => mode, at => m.at, period => ''week'') AS e',
	'SELECT at, mode, days, date_trunc(''week'', new_at)::date, app, customer_id, london(new_at), returned FROM came_back') AS event_retention_customers;

CREATE VIEW visitors AS
	SELECT l.at, l.starts, l.current, l.customer_id, count(*) AS visits, bool_or(l.first < l.starts) AS came_before,
		bool_or(EXISTS (SELECT FROM bought AS b WHERE b.at = l.at AND b.customer_id = l.customer_id AND date_trunc('month', b.paid_at)::date = l.starts)) AS buys
	FROM (
		SELECT at, date_trunc('month', came)::date AS starts, date_trunc('month', wall)::date AS current, customer_id, min(came) OVER (PARTITION BY at, customer_id) AS first
		FROM logged_in WHERE kind = 'visit'
	) AS l GROUP BY 1, 2, 3, 4;
CREATE TABLE visitor AS TABLE visitors;
SELECT differ('SELECT m.at, v.* FROM moments AS m, retention.visit_conversion(at => m.at) AS v', $$
	SELECT at, starts, CASE WHEN starts < current THEN n END, CASE WHEN starts < current THEN again END, CASE WHEN starts < current THEN again::numeric / n END,
		CASE WHEN starts < current THEN buyers END, CASE WHEN starts < current THEN buyers::numeric / n END
	FROM (
		SELECT at, starts, current, count(*) AS n, count(*) FILTER (WHERE came_before) AS again, count(*) FILTER (WHERE buys) AS buyers FROM visitor GROUP BY 1, 2, 3
	) AS v$$) AS visit_conversion;
SELECT differ('SELECT m.at, v.period_start, c.* FROM moments AS m, retention.visit_conversion(at => m.at) AS v, retention.visit_conversion_customers(v.period_start, at => m.at) AS c',
	'SELECT at, starts, customer_id, visits, came_before, buys FROM visitor') AS visit_conversion_customers;

-- ---------------------------------------------------------------------------
-- What the shop's histories tell
-- ---------------------------------------------------------------------------

UPDATE retention.shop SET week_start = 'sunday';
CREATE TABLE asked (at timestamptz);
INSERT INTO asked VALUES ('2011-12-10 00:00+00'), ('2011-09-15 11:30+00'), ('2011-05-31 23:00+00');
CREATE TABLE sold AS SELECT customer_id::text, london(paid_at) AS paid_at, total - refunded AS value FROM orders WHERE paid_at IS NOT NULL AND NOT (refunded > 0 AND refunded = total);
\set zone Europe/London
\set drill_unit week
\i test/include/plain_analytics.sql

DROP EXTENSION retention CASCADE;
DROP SCHEMA drill_downs CASCADE;
CREATE EXTENSION retention;
RESET retention.clock;
RESET search_path;
RESET timezone;
