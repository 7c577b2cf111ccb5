-- ---------------------------------------------------------------------------
-- attach_reviews
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.attach_reviews(
	relation regclass,
	happened_at text,
	order_id text DEFAULT NULL,
	customer text DEFAULT NULL,
	score text DEFAULT NULL,
	content text DEFAULT NULL,
	review_id text DEFAULT NULL,
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
	key text := attach_reviews.review_id;
	source_name text;
	orders_source retention.source;
	new_source integer;
	new_watch integer;
BEGIN
	PERFORM retention.check_required(relation, ARRAY['happened_at'], ARRAY[happened_at]);
	IF order_id IS NULL AND customer IS NULL THEN
		RAISE EXCEPTION 'a review needs an order or a customer'
			USING ERRCODE = 'null_value_not_allowed',
				HINT = 'Give order_id, customer or both: without customer, a review is by the customer of its order.';
	END IF;
	PERFORM retention.check_owner(relation);

	-- What tells one review from another: the primary key, when it is one column.
	IF key IS NULL THEN
		SELECT quote_ident(a.attname) INTO key
		FROM pg_index i
		JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
		WHERE i.indrelid = relation AND i.indisprimary AND i.indnkeyatts = 1;
		IF key IS NULL THEN
			RAISE EXCEPTION 'argument "review_id" must not be null: % has no primary key of one column', relation
				USING ERRCODE = 'null_value_not_allowed',
					HINT = 'Give an SQL expression that tells one review from another.';
		END IF;
	END IF;

	orders_source := retention.orders_source(orders, for_shop);
	source_name := retention.relation_source_name(relation, 'reviews');
	new_source := retention.make_source(
		source_name,
		retention.relation_facts(
			relation,
			ARRAY['review_id', 'order_id', 'customer', 'score', 'content', 'happened_at'],
			ARRAY[key, order_id, customer, score, content, happened_at],
			condition => condition),
		'keep',
		(SELECT s.name FROM retention.shop s WHERE s.shop_id = orders_source.shop_id),
		'reviews',
		orders_source_id => orders_source.source_id);
	new_watch := retention.make_watch(new_source, relation, key);
	PERFORM retention.check_source(new_source);
	PERFORM retention.check_watch(new_watch);
	RETURN source_name;
END
$$;

COMMENT ON FUNCTION retention.attach_reviews(regclass, text, text, text, text, text, text, text, text, text) IS
	'Attaches a table of reviews: from now on each is recorded in feedback in the transaction that writes it, changed when the shop changes it and taken away when the shop takes it away. Each argument is an SQL expression over the table''s row. happened_at is required, and order_id or customer: without customer a review is by the customer of its order, and one whose order has none is skipped. score goes from 0 or 1 (worst) to 5 (best); review_id NULL takes the primary key; with a condition only reviews for which it holds count, as in ''approved''. orders names the source of the orders, NULL meaning the only one. Only the table''s owner may. Returns the source''s name; CALL retention.backfill(name), after that of the orders, for the reviews already there';
