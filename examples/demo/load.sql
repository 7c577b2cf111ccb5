-- From the CSV file's columns (all text in public.csv) to a table of orders.
-- An order in such a file is taken as paid and completed when it was placed.
-- Variables: order_id, customer, time, amount (names of columns), date_style.

SET datestyle = :'date_style';

CREATE TABLE public.orders (
	id text PRIMARY KEY,
	customer_id text,
	total numeric NOT NULL,
	created_at timestamptz NOT NULL,
	paid_at timestamptz,
	shipped_at timestamptz,
	completed_at timestamptz,
	cancelled_at timestamptz,
	refunded numeric NOT NULL DEFAULT 0,
	channel text
);

-- One row an order: a file of order lines has to be summed up first.
SELECT count(*) > 0 AS has_repeated, count(*) AS repeated, min(:"order_id") AS example
FROM (SELECT :"order_id" FROM public.csv GROUP BY 1 HAVING count(*) > 1) AS r
\gset
\if :has_repeated
	\warn The order ids repeat (:repeated of them, for example :example): give a file with one row an order, or name another column with --order-id.
	DO $$ BEGIN RAISE unique_violation USING MESSAGE = 'order ids repeat'; END $$;
\endif

INSERT INTO public.orders (id, customer_id, total, created_at, paid_at, shipped_at, completed_at)
SELECT :"order_id", nullif(btrim(:"customer"), ''),
	-- 1,234.50 is read, 1.234,50 refused and not guessed
	CASE WHEN :"amount" ~ '^\s*-?\d{1,3}(,\d{3})+(\.\d+)?\s*$' THEN replace(:"amount", ',', '') ELSE :"amount" END::numeric,
	t, t, t, t
FROM public.csv, LATERAL (SELECT :"time"::timestamptz) AS at (t);

DROP TABLE public.csv;
