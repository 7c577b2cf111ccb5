-- ---------------------------------------------------------------------------
-- Adapters: how the tables of known shop systems are attached
-- ---------------------------------------------------------------------------

-- An adapter is a function adapter_SYSTEM() that returns its parts; the shipped
-- ones are in adapters/, one file a system, and a further one is a further such
-- function.  In its texts {{orders}} stands for the shop's table orders, however
-- schema and prefix are called.
CREATE TYPE retention.adapter_part AS (
	part text,
	relation text,
	required boolean,
	arguments jsonb
);

COMMENT ON TYPE retention.adapter_part IS 'A part of what an adapter attaches. The texts among the arguments may contain {{table}} for a table of the shop with its schema and prefix, {{row}} for the row of the part''s relation, {{time_zone}} for the time zone of timestamps without one, and {{#table}}...{{/table}} or {{#table.column}}...{{/table.column}} around what holds only where there is such a table or column, {{^...}} where there is none';
COMMENT ON COLUMN retention.adapter_part.part IS 'orders, watch, customers, lines, reviews or currency';
COMMENT ON COLUMN retention.adapter_part.relation IS 'The table, without schema and prefix; NULL for orders, whose facts name their tables';
COMMENT ON COLUMN retention.adapter_part.required IS 'Whether attaching fails where its tables are missing; else it is left out and said so';
COMMENT ON COLUMN retention.adapter_part.arguments IS 'By name: facts for orders; order_id for watch; query for currency, giving one ISO code; for the others those of attach_customers, attach_lines and attach_reviews. orders tells several kinds of orders apart';

CREATE FUNCTION retention.value_as_owner(relation regclass, query text)
	RETURNS text
	AS 'MODULE_PATHNAME', 'value_as_owner'
	LANGUAGE C STRICT;

COMMENT ON FUNCTION retention.value_as_owner(regclass, text) IS 'The first value that a query gives when run read-only as the owner of the relation; NULL when it gives none';

CREATE FUNCTION retention.adapters()
	RETURNS TABLE (system text, description text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT substr(p.proname, length('adapter_') + 1), obj_description(p.oid, 'pg_proc')
	FROM pg_proc p
	WHERE p.pronamespace = 'retention'::regnamespace
		AND starts_with(p.proname, 'adapter_')
		AND p.prorettype = 'retention.adapter_part'::regtype
		AND p.proretset
		AND p.pronargs = 0
	ORDER BY 1
$$;

COMMENT ON FUNCTION retention.adapters() IS 'The shop systems that attach_shop() knows, and what each adapter was written for';

CREATE FUNCTION retention.adapter_parts(system text)
	RETURNS SETOF retention.adapter_part
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM retention.adapters() a WHERE a.system = lower(adapter_parts.system)) THEN
		RAISE EXCEPTION 'there is no adapter for %', coalesce(quote_literal(system), 'NULL')
			USING ERRCODE = 'undefined_object',
				HINT = format(
					'There are adapters for %s. For any other shop use attach_orders() or attach_source(), or write one: see adapters/template.sql.',
					(SELECT string_agg(a.system, ', ') FROM retention.adapters() a));
	END IF;
	RETURN QUERY EXECUTE format('SELECT * FROM retention.%I()', 'adapter_' || lower(system));
END
$$;

COMMENT ON FUNCTION retention.adapter_parts(text) IS 'The parts of a system''s adapter, as it was written; an error naming the systems there are when it is not among them';

CREATE FUNCTION retention.adapter_tables(part retention.adapter_part)
	RETURNS SETOF text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT (part).relation
	WHERE (part).relation IS NOT NULL
	UNION
	SELECT named.match[1]
	FROM jsonb_each_text((part).arguments) AS argument
	CROSS JOIN regexp_matches(
		regexp_replace(argument.value, '\{\{[#^]([^{}]+?)\}\}.*?\{\{/\1\}\}', '', 'g'),
		'\{\{([^{}]+)\}\}',
		'g') AS named (match)
	WHERE named.match[1] NOT IN ('row', 'time_zone')
$$;

COMMENT ON FUNCTION retention.adapter_tables(retention.adapter_part) IS 'The tables that a part of an adapter needs, without schema and prefix';

CREATE FUNCTION retention.adapter_text(template text, schema text, prefix text, relation text, time_zone text)
	RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	section_pattern CONSTANT text := '\{\{([#^])([^{}]+?)\}\}(.*?)\{\{/\2\}\}';
	section text[];
	present boolean;
	name text;
	result text := template;
BEGIN
	LOOP
		section := regexp_match(result, section_pattern);
		EXIT WHEN section IS NULL;
		present := EXISTS (
			SELECT
			FROM pg_attribute a
			WHERE a.attrelid = to_regclass(format('%I.%I', schema, prefix || split_part(section[2], '.', 1)))
				AND split_part(section[2], '.', 2) IN ('', a.attname)
				AND a.attnum > 0
				AND NOT a.attisdropped
		);
		result := replace(
			result,
			regexp_substr(result, section_pattern),
			CASE WHEN present = (section[1] = '#') THEN section[3] ELSE '' END);
	END LOOP;

	FOR name IN
		SELECT DISTINCT named.match[1]
		FROM regexp_matches(result, '\{\{([^{}]+)\}\}', 'g') AS named (match)
	LOOP
		result := replace(
			result,
			'{{' || name || '}}',
			CASE name
				WHEN 'row' THEN quote_ident(prefix || relation)
				WHEN 'time_zone' THEN quote_literal(time_zone)
				ELSE format('%I.%I', schema, prefix || name)
			END);
	END LOOP;
	RETURN result;
END
$$;

COMMENT ON FUNCTION retention.adapter_text(text, text, text, text, text) IS 'A text of an adapter with the names of the shop''s own tables put in; see adapter_part';

-- ---------------------------------------------------------------------------
-- Finding the shop
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.shop_places(names text[], schema text, prefix text)
	RETURNS TABLE (found_schema text, found_prefix text, found text[])
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT n.nspname::text, left(c.relname, -length(t.name)), array_agg(t.name)
	FROM unnest(names) AS t (name)
	JOIN pg_class c ON right(c.relname, length(t.name)) = t.name AND c.relkind IN ('r', 'p')
	JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'retention')
		AND c.relpersistence <> 't'
		AND (shop_places.schema IS NULL OR n.nspname = shop_places.schema)
		AND (shop_places.prefix IS NULL OR left(c.relname, -length(t.name)) = shop_places.prefix)
	GROUP BY 1, 2
$$;

COMMENT ON FUNCTION retention.shop_places(text[], text, text) IS 'The schemas, and the prefixes of table names there, under which any of these tables are found, and which';

CREATE FUNCTION retention.find_shop(system text, INOUT schema text, INOUT prefix text)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	names text[];
	places text[];
	nearest record;
BEGIN
	SELECT array_agg(DISTINCT t.name) INTO names
	FROM retention.adapter_parts(system) AS p
	CROSS JOIN retention.adapter_tables(p) AS t (name)
	WHERE p.required;

	SELECT array_agg(format('schema => %L, prefix => %L', p.found_schema, p.found_prefix) ORDER BY p.found_schema, p.found_prefix)
	INTO places
	FROM retention.shop_places(names, find_shop.schema, find_shop.prefix) p
	WHERE p.found @> names;
	IF array_length(places, 1) > 1 THEN
		RAISE EXCEPTION 'there are several shops of %', system
			USING ERRCODE = 'ambiguous_parameter',
				DETAIL = format('They are at %s.', array_to_string(places, '; ')),
				HINT = 'Say which one is meant, and attach each under a source name of its own (source => ...).';
	END IF;

	SELECT p.* INTO nearest
	FROM retention.shop_places(names, find_shop.schema, find_shop.prefix) p
	ORDER BY cardinality(p.found) DESC, length(p.found_prefix), p.found_schema, p.found_prefix
	LIMIT 1;
	IF places IS NULL THEN
		RAISE EXCEPTION '%', CASE
				WHEN nearest.found_schema IS NULL THEN
					format('no table of %s was found%s', system, ' in schema ' || quote_ident(find_shop.schema))
				ELSE
					format(
						'schema %I has no table %s, which %s needs',
						nearest.found_schema,
						(
							SELECT string_agg(format('%I', nearest.found_prefix || t.name), ', ' ORDER BY t.name)
							FROM unnest(names) AS t (name)
							WHERE t.name <> ALL (nearest.found)
						),
						system)
			END
			USING ERRCODE = 'undefined_table',
				DETAIL = format(
					'The adapter was written for %s and looks for the tables %s.',
					(SELECT a.description FROM retention.adapters() a WHERE a.system = lower(find_shop.system)),
					(SELECT string_agg(quote_ident(t.name), ', ' ORDER BY t.name) FROM unnest(names) AS t (name))),
				HINT = 'Say where they are by schema => ..., and prefix => ... where the names of all begin alike. For another version of the system, write an adapter of your own from adapters/template.sql.';
	END IF;
	schema := nearest.found_schema;
	prefix := nearest.found_prefix;
END
$$;

COMMENT ON FUNCTION retention.find_shop(text, text, text) IS 'The schema that has all the tables the system''s adapter needs, and what their names begin with; NULL means any. An error when there is none, which says what is missing, or several';

CREATE FUNCTION retention.shop_parts(
	system text,
	schema text DEFAULT NULL,
	prefix text DEFAULT NULL,
	time_zone text DEFAULT 'UTC'
)
	RETURNS TABLE (part text, relation regclass, required boolean, missing text, arguments jsonb)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	place record;
BEGIN
	PERFORM timezone(shop_parts.time_zone, now());
	place := retention.find_shop(shop_parts.system, shop_parts.schema, shop_parts.prefix);
	RETURN QUERY
	SELECT
		p.part,
		CASE WHEN p.relation IS NOT NULL THEN to_regclass(format('%I.%I', place.schema, place.prefix || p.relation)) END,
		p.required,
		(
			SELECT string_agg(format('%I.%I', place.schema, place.prefix || t.name), ', ' ORDER BY t.name)
			FROM retention.adapter_tables(row(p.part, p.relation, p.required, p.arguments)::retention.adapter_part) AS t (name)
			WHERE to_regclass(format('%I.%I', place.schema, place.prefix || t.name)) IS NULL
		),
		(
			SELECT jsonb_object_agg(
				a.key,
				retention.adapter_text(a.value, place.schema, place.prefix, p.relation, shop_parts.time_zone))
			FROM jsonb_each_text(p.arguments) AS a
		)
	FROM retention.adapter_parts(shop_parts.system) WITH ORDINALITY AS p (part, relation, required, arguments, number)
	ORDER BY p.part <> 'currency', p.number;
END
$$;

COMMENT ON FUNCTION retention.shop_parts(text, text, text, text) IS 'What attach_shop() with the same arguments would attach: each part with its table, the tables that are missing, and its texts with the shop''s own names put in, to be used with attach_source(), watch() and so on. It changes nothing';

-- ---------------------------------------------------------------------------
-- Attaching it
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.attach_part(
	source text,
	part text,
	relation regclass,
	arguments jsonb,
	on_delete text,
	for_shop text
)
	RETURNS text
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	orders CONSTANT text := concat_ws(' ', source, arguments ->> 'orders');
	allowed CONSTANT text[] := CASE part
			WHEN 'orders' THEN ARRAY['facts']
			WHEN 'watch' THEN ARRAY['order_id']
			WHEN 'customers' THEN
				ARRAY['customer', 'name', 'nickname', 'birthday', 'phone', 'email', 'joined_at', 'consents', 'attributes', 'latest_by', 'condition']
			WHEN 'lines' THEN ARRAY['order_id', 'product', 'quantity', 'amount', 'condition']
			WHEN 'reviews' THEN ARRAY['happened_at', 'order_id', 'customer', 'score', 'content', 'review_id', 'condition']
		END;
	unknown text;
BEGIN
	SELECT string_agg(quote_literal(k.name), ', ') INTO unknown
	FROM jsonb_object_keys(arguments - 'orders' - coalesce(allowed, '{}')) AS k (name);
	IF allowed IS NULL OR unknown IS NOT NULL THEN
		RAISE EXCEPTION '%', CASE
				WHEN allowed IS NULL THEN format('an adapter cannot have a part %L', part)
				ELSE format('a part %L of an adapter cannot have the argument %s', part, unknown)
			END
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'The comment on retention.adapter_part lists the parts and their arguments.';
	END IF;

	CASE part
		WHEN 'orders' THEN
			RETURN retention.attach_source(orders, arguments ->> 'facts', on_delete, for_shop);
		WHEN 'watch' THEN
			PERFORM retention.watch(orders, relation, arguments ->> 'order_id');
			RETURN orders;
		WHEN 'customers' THEN
			RETURN retention.attach_customers(
				relation,
				customer => arguments ->> 'customer',
				name => arguments ->> 'name',
				nickname => arguments ->> 'nickname',
				birthday => arguments ->> 'birthday',
				phone => arguments ->> 'phone',
				email => arguments ->> 'email',
				joined_at => arguments ->> 'joined_at',
				consents => arguments ->> 'consents',
				attributes => arguments ->> 'attributes',
				latest_by => arguments ->> 'latest_by',
				condition => arguments ->> 'condition',
				for_shop => for_shop);
		WHEN 'lines' THEN
			RETURN retention.attach_lines(
				relation,
				order_id => arguments ->> 'order_id',
				product => arguments ->> 'product',
				quantity => arguments ->> 'quantity',
				amount => arguments ->> 'amount',
				condition => arguments ->> 'condition',
				orders => orders,
				for_shop => for_shop);
		WHEN 'reviews' THEN
			RETURN retention.attach_reviews(
				relation,
				happened_at => arguments ->> 'happened_at',
				order_id => arguments ->> 'order_id',
				customer => arguments ->> 'customer',
				score => arguments ->> 'score',
				content => arguments ->> 'content',
				review_id => arguments ->> 'review_id',
				condition => arguments ->> 'condition',
				orders => orders,
				for_shop => for_shop);
	END CASE;
END
$$;

COMMENT ON FUNCTION retention.attach_part(text, text, regclass, jsonb, text, text) IS 'Attaches one part of an adapter and returns the name of its source';

CREATE FUNCTION retention.attach_shop(
	system text,
	schema text DEFAULT NULL,
	prefix text DEFAULT NULL,
	time_zone text DEFAULT 'UTC',
	source text DEFAULT NULL,
	on_delete text DEFAULT 'keep',
	for_shop text DEFAULT NULL
)
	RETURNS TABLE (part text, relation regclass, attached_as text, outcome text)
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	orders_name text := coalesce(attach_shop.source, lower(system));
	piece record;
	found_currency text;
	shop_currency text;
	found_orders boolean := false;
	backfills text[] := '{}';
BEGIN
	FOR piece IN
		SELECT p.*
		FROM retention.shop_parts(system, schema, prefix, time_zone) AS p
	LOOP
		part := piece.part;
		relation := piece.relation;
		attached_as := NULL;
		IF piece.missing IS NOT NULL THEN
			outcome := format('not found: %s', piece.missing);
			RETURN NEXT;
			CONTINUE;
		END IF;
		IF piece.relation IS NOT NULL THEN
			PERFORM retention.check_owner(piece.relation);
		END IF;

		BEGIN
			IF part = 'currency' THEN
				found_currency := upper(retention.value_as_owner(piece.relation, piece.arguments ->> 'query'));
				IF found_currency IS NOT NULL AND retention.shop_id(for_shop) IS NULL THEN
					PERFORM retention.create_shop(coalesce(for_shop, 'shop'), currency => found_currency);
				END IF;
				outcome := coalesce(found_currency, 'not found');
			ELSE
				attached_as := retention.attach_part(
					orders_name, part, piece.relation, piece.arguments, on_delete, for_shop);
				outcome := CASE part
						WHEN 'watch' THEN 'watched'
						WHEN 'lines' THEN 'read in place'
						ELSE 'attached'
					END;
				found_orders := found_orders OR part = 'orders';
				IF part IN ('orders', 'customers', 'reviews') THEN
					backfills := backfills || format('CALL retention.backfill(%L);', attached_as);
				END IF;
			END IF;
		EXCEPTION
			WHEN undefined_column OR undefined_table OR undefined_function OR datatype_mismatch OR cannot_coerce THEN
				IF piece.required OR part IN ('orders', 'watch') THEN
					RAISE EXCEPTION 'the adapter for % does not fit this shop: %', system, SQLERRM
						USING ERRCODE = SQLSTATE,
							DETAIL = format(
								'The adapter was written for %s. This came up with its part %s.',
								(SELECT a.description FROM retention.adapters() a WHERE a.system = lower(attach_shop.system)),
								concat_ws(' on ', part, relation)),
							HINT = format(
								'SELECT * FROM retention.shop_parts(%L) shows its texts: attach them, as your version needs them, with attach_source() and watch().',
								lower(system));
				END IF;
				outcome := format('does not fit: %s', SQLERRM);
		END;
		RETURN NEXT;
	END LOOP;

	IF NOT found_orders THEN
		RAISE EXCEPTION 'no orders of % were found', system
			USING ERRCODE = 'undefined_table',
				HINT = 'SELECT * FROM retention.shop_parts(...) shows which tables are missing.';
	END IF;
	SELECT s.currency INTO shop_currency
	FROM retention.shop s
	WHERE s.shop_id = retention.shop_id(for_shop);
	IF found_currency <> shop_currency THEN
		RAISE NOTICE 'the shop sells in %, points and statistics are kept in %', found_currency, shop_currency
			USING HINT = format('Orders in another currency go to retention.sync_error. UPDATE retention.shop SET currency = %L changes it, before the first backfill.', found_currency);
	END IF;
	RAISE NOTICE 'orders are followed from now on; those already there come by backfill'
		USING HINT = array_to_string(backfills, ' ');
END
$$;

COMMENT ON FUNCTION retention.attach_shop(text, text, text, text, text, text, text) IS
	'Attaches a shop of a known system, as adapters() lists them: finds its tables, attaches orders, customers, order lines and reviews, and says for each part what was found. schema and prefix say where the tables are, when they are in several schemas or their names begin alike; time_zone is that of timestamps stored without one; source names the orders (NULL: as the system), on_delete is as in attach_source(), for_shop names the shop (one is made when there is none, in the currency that the tables tell). A required table or column that is missing is an error and nothing is attached. Only the tables'' owner may';
