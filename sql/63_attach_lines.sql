-- ---------------------------------------------------------------------------
-- attach_lines, lines
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.attach_lines(
	relation regclass,
	order_id text,
	product text,
	quantity text DEFAULT NULL,
	amount text DEFAULT NULL,
	orders text DEFAULT NULL,
	for_shop text DEFAULT NULL,
	condition text DEFAULT NULL
)
	RETURNS text
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	source_name text;
	orders_source retention.source;
BEGIN
	PERFORM retention.check_required(relation, ARRAY['order_id', 'product'], ARRAY[order_id, product]);
	PERFORM retention.check_owner(relation);
	orders_source := retention.orders_source(orders, for_shop);
	source_name := retention.relation_source_name(relation, 'lines');
	PERFORM retention.check_source(retention.make_source(
		source_name,
		retention.relation_facts(
			relation,
			ARRAY['order_id', 'product', 'quantity', 'amount'],
			ARRAY[order_id, product, quantity, amount],
			condition => condition),
		'keep',
		(SELECT s.name FROM retention.shop s WHERE s.shop_id = orders_source.shop_id),
		'lines',
		relation,
		orders_source.source_id));
	RETURN source_name;
END
$$;

COMMENT ON FUNCTION retention.attach_lines(regclass, text, text, text, text, text, text, text) IS
	'Tells where the lines of orders are: lines() reads them there, nothing is copied and no trigger is made. Each argument is an SQL expression over the table''s row; order_id and product are required, and an index on what order_id is makes lines(order_ids) quick; with a condition only rows for which it holds are lines, as in ''deleted_at IS NULL''. orders names the source of the orders, NULL meaning the only one. Only the table''s owner may. Returns the source''s name';

CREATE FUNCTION retention.lines(order_ids text[] DEFAULT NULL, shop text DEFAULT NULL)
	RETURNS TABLE (
		source_id integer,
		order_id text,
		product text,
		quantity numeric,
		amount numeric
	)
	AS 'MODULE_PATHNAME', 'lines'
	LANGUAGE C STABLE PARALLEL RESTRICTED ROWS 10000;

COMMENT ON FUNCTION retention.lines(text[], text) IS
	'The lines of the orders named, or of all orders with NULL, as the shop''s table holds them now: join it with purchase on source_id and order_id. quantity and amount are NULL where not attached. No row when no lines are attached; shop NULL means the only shop';
