-- ---------------------------------------------------------------------------
-- What attaching one table of customers, reviews, lines or events shares
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.relation_facts(
	relation regclass,
	arguments text[],
	expressions text[],
	latest_by text DEFAULT NULL,
	condition text DEFAULT NULL
)
	RETURNS text
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	argument record;
	columns text[] := '{}';
	table_name text;
	restriction text := '';
BEGIN
	FOR argument IN
		SELECT a.name, a.expression
		FROM unnest(arguments, expressions) AS a (name, expression)
		WHERE a.expression IS NOT NULL
	LOOP
		PERFORM retention.check_expression(relation, argument.name, argument.expression);
		columns := columns || format(E'(%s\n) AS %I', argument.expression, argument.name);
	END LOOP;

	SELECT c.relname INTO table_name
	FROM pg_class c
	WHERE c.oid = relation;
	IF condition IS NOT NULL THEN
		PERFORM retention.check_expression(relation, 'condition', condition);
		restriction := format(E' WHERE (%s\n)', condition);
	END IF;
	IF latest_by IS NOT NULL THEN
		PERFORM retention.check_expression(relation, 'latest_by', latest_by);
		RETURN format(
			E'SELECT DISTINCT ON (1) %s FROM %s AS %I%s ORDER BY 1, (%s\n) DESC NULLS LAST',
			array_to_string(columns, ', '), relation, table_name, restriction, latest_by);
	END IF;
	RETURN format('SELECT %s FROM %s AS %I%s', array_to_string(columns, ', '), relation, table_name, restriction);
END
$$;

COMMENT ON FUNCTION retention.relation_facts(regclass, text[], text[], text, text) IS 'The facts query over one table: a column for each argument that is given, under the argument''s name, of the rows for which condition holds, and with latest_by only the row where that is greatest for each value of the first; an error naming the argument when its expression does not work';

CREATE FUNCTION retention.check_required(relation regclass, arguments text[], expressions text[])
	RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	missing text;
BEGIN
	IF relation IS NULL THEN
		RAISE EXCEPTION 'argument "relation" must not be null'
			USING ERRCODE = 'null_value_not_allowed',
				HINT = 'Give a table of the shop, as in ''public.customers''.';
	END IF;
	SELECT a.name INTO missing
	FROM unnest(arguments, expressions) AS a (name, expression)
	WHERE a.expression IS NULL;
	IF missing IS NOT NULL THEN
		RAISE EXCEPTION 'argument "%" must not be null', missing
			USING ERRCODE = 'null_value_not_allowed',
				HINT = 'Give a column''s name or an SQL expression over the table''s row.';
	END IF;
END
$$;

COMMENT ON FUNCTION retention.check_required(regclass, text[], text[]) IS 'An error naming the relation or the first of the arguments that is NULL';

CREATE FUNCTION retention.relation_source_name(relation regclass, kind text)
	RETURNS text
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF EXISTS (
		SELECT
		FROM retention.source s
		WHERE s.name = relation_source_name.relation::text AND s.kind <> relation_source_name.kind
	) THEN
		RETURN format('%s (%s)', relation, kind);
	END IF;
	RETURN relation::text;
END
$$;

COMMENT ON FUNCTION retention.relation_source_name(regclass, text) IS 'The name of a source over one table: the table''s, with the kind added when the table is attached as something else already';

CREATE FUNCTION retention.orders_source(source text, for_shop text)
	RETURNS retention.source
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	the_shop integer;
	found retention.source[];
BEGIN
	-- With a source named, the shop is that source's.
	IF source IS NULL THEN
		the_shop := retention.shop_id(for_shop);
	END IF;
	SELECT array_agg(s ORDER BY s.source_id) INTO found
	FROM retention.source s
	WHERE s.kind = 'orders'
		AND s.detached_at IS NULL
		AND (s.shop_id = the_shop OR s.name = orders_source.source);

	IF found IS NULL AND source IS NOT NULL THEN
		RAISE EXCEPTION 'source "%" is not attached', source
			USING ERRCODE = 'undefined_object',
				HINT = 'SELECT name FROM retention.source WHERE kind = ''orders'' shows the sources of orders there are.';
	ELSIF found IS NULL THEN
		RAISE EXCEPTION 'no orders are attached'
			USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = 'Attach the orders first: SELECT retention.attach_orders(...).';
	ELSIF array_length(found, 1) > 1 THEN
		RAISE EXCEPTION 'there are several sources of orders: say which one is meant'
			USING ERRCODE = 'ambiguous_parameter',
				HINT = format('Add orders => %L.', found[1].name);
	END IF;
	RETURN found[1];
END
$$;

COMMENT ON FUNCTION retention.orders_source(text, text) IS 'The attached source of orders with that name; NULL means the only one of the shop. An error when there is none, or several';

-- ---------------------------------------------------------------------------
-- attach_customers
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.attach_customers(
	relation regclass,
	customer text,
	name text DEFAULT NULL,
	nickname text DEFAULT NULL,
	birthday text DEFAULT NULL,
	phone text DEFAULT NULL,
	email text DEFAULT NULL,
	joined_at text DEFAULT NULL,
	consents text DEFAULT NULL,
	attributes text DEFAULT NULL,
	shop text DEFAULT NULL,
	latest_by text DEFAULT NULL,
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
	new_source integer;
	new_watch integer;
BEGIN
	PERFORM retention.check_required(relation, ARRAY['customer'], ARRAY[customer]);
	PERFORM retention.check_owner(relation);
	source_name := retention.relation_source_name(relation, 'customers');
	new_source := retention.make_source(
		source_name,
		retention.relation_facts(
			relation,
			ARRAY['customer', 'name', 'nickname', 'birthday', 'phone', 'email', 'joined_at', 'consents', 'attributes', 'shop'],
			ARRAY[customer, name, nickname, birthday, phone, email, joined_at, consents, attributes, shop],
			latest_by,
			condition),
		'keep',
		for_shop,
		'customers');
	new_watch := retention.make_watch(new_source, relation, customer);
	PERFORM retention.check_source(new_source);
	PERFORM retention.check_watch(new_watch);
	RETURN source_name;
END
$$;

COMMENT ON FUNCTION retention.attach_customers(regclass, text, text, text, text, text, text, text, text, text, text, text, text, text) IS
	'Attaches a table of customers: from now on what it says of a customer is taken over in the transaction that changes it. Each argument is an SQL expression over the table''s row, a column''s name being the simplest; customer gives the same id as in attach_orders, as text. What is not given is left alone, so that several tables may each know a part. Where a customer has several rows, as in a table of orders, the one with the greatest latest_by counts; without it such a customer is an error. With a condition only rows for which it holds count. consents gives a JSON object, as in jsonb_build_object(''sms'', accepts_sms, ''email.care'', true): a channel alone means marketing; a consent is taken over when the shop says something else than before, and what it says first does not overrule a decision that is there, but for a refusal. A customer deleted in the shop stays: see forget_customer(). Only the table''s owner may. Returns the source''s name; CALL retention.backfill(name) for the customers already there';
