-- ---------------------------------------------------------------------------
-- The triggers on the shop's tables
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.note_change()
	RETURNS trigger
	AS 'MODULE_PATHNAME', 'note_change'
	LANGUAGE C;

COMMENT ON FUNCTION retention.note_change() IS 'Row trigger on a watched table: collects the orders that a row belongs to';

CREATE FUNCTION retention.sync_changed()
	RETURNS trigger
	AS 'MODULE_PATHNAME', 'sync_changed'
	LANGUAGE C;

COMMENT ON FUNCTION retention.sync_changed() IS 'Deferred constraint trigger on a watched table: syncs the orders that the transaction changed';

CREATE FUNCTION retention.note_truncate()
	RETURNS trigger
	AS 'MODULE_PATHNAME', 'note_truncate'
	LANGUAGE C;

COMMENT ON FUNCTION retention.note_truncate() IS 'TRUNCATE trigger on a watched table: marks the source, to be settled by the next sync or by resync()';

-- ---------------------------------------------------------------------------
-- What attaching checks
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.check_owner(relation regclass)
	RETURNS void
	AS 'MODULE_PATHNAME', 'check_owner'
	LANGUAGE C STRICT;

COMMENT ON FUNCTION retention.check_owner(regclass) IS 'An error unless the relation is a permanent table that the calling user owns';

CREATE FUNCTION retention.check_expression(relation regclass, argument text, expression text)
	RETURNS void
	AS 'MODULE_PATHNAME', 'check_expression'
	LANGUAGE C STRICT;

COMMENT ON FUNCTION retention.check_expression(regclass, text, text) IS 'An error naming the argument unless the text is one SQL expression over the relation''s row';

CREATE FUNCTION retention.check_facts(facts text)
	RETURNS void
	AS 'MODULE_PATHNAME', 'check_facts'
	LANGUAGE C STRICT;

COMMENT ON FUNCTION retention.check_facts(text) IS 'An error unless the text is a facts query, as the calling user sees it';

CREATE FUNCTION retention.check_source(source_id integer)
	RETURNS boolean
	AS 'MODULE_PATHNAME', 'check_source'
	LANGUAGE C STRICT;

COMMENT ON FUNCTION retention.check_source(integer) IS 'An error unless the source''s facts can be planned; warns when finding one order reads a large table; tells whether the facts know when an order is completed';

CREATE FUNCTION retention.check_watch(watch_id integer)
	RETURNS void
	AS 'MODULE_PATHNAME', 'check_watch'
	LANGUAGE C STRICT;

COMMENT ON FUNCTION retention.check_watch(integer) IS 'An error unless the watch''s expression can be planned';

-- ---------------------------------------------------------------------------
-- create_shop
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.create_shop(
	name text,
	time_zone text DEFAULT NULL,
	currency text DEFAULT NULL,
	signature text DEFAULT NULL
)
	RETURNS integer
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	new_id integer;
BEGIN
	IF create_shop.name IS NULL OR create_shop.name = '' THEN
		RAISE EXCEPTION 'a shop needs a name'
			USING ERRCODE = 'null_value_not_allowed';
	END IF;

	LOCK TABLE retention.shop IN SHARE ROW EXCLUSIVE MODE;
	IF EXISTS (SELECT FROM retention.shop s WHERE s.name = create_shop.name) THEN
		RAISE EXCEPTION 'shop "%" exists already', create_shop.name
			USING ERRCODE = 'duplicate_object',
				HINT = 'Change its settings with UPDATE retention.shop.';
	END IF;

	SELECT coalesce(max(s.shop_id), 0) + 1 INTO new_id
	FROM retention.shop s;
	INSERT INTO retention.shop (shop_id, name, time_zone, currency, signature)
	VALUES (
		new_id,
		create_shop.name,
		coalesce(create_shop.time_zone, current_setting('TimeZone')),
		coalesce(create_shop.currency, 'CNY'),
		create_shop.signature
	);
	RETURN new_id;
END
$$;

COMMENT ON FUNCTION retention.create_shop(text, text, text, text) IS 'Makes a shop and returns its number; time_zone NULL takes the session''s, currency NULL takes CNY, signature NULL takes the name. A name that is taken is an error';

-- ---------------------------------------------------------------------------
-- attach_source, watch, attach_orders, detach
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.make_source(
	name text,
	facts text,
	on_delete text,
	for_shop text,
	kind text DEFAULT 'orders',
	relation regclass DEFAULT NULL,
	orders_source_id integer DEFAULT NULL
)
	RETURNS integer
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	attached retention.source;
	new_shop integer;
	new_source integer;
BEGIN
	IF make_source.on_delete IS NULL OR make_source.on_delete NOT IN ('keep', 'reverse') THEN
		RAISE EXCEPTION 'on_delete cannot be %', coalesce(quote_literal(make_source.on_delete), 'NULL')
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'It is ''keep'' (deleting a completed order keeps its purchase and points) or ''reverse''.';
	END IF;

	LOCK TABLE retention.source IN SHARE ROW EXCLUSIVE MODE;
	SELECT s.* INTO attached
	FROM retention.source s
	WHERE s.name = make_source.name;

	IF attached.source_id IS NOT NULL AND attached.detached_at IS NULL THEN
		RAISE EXCEPTION '"%" is attached already', make_source.name
			USING ERRCODE = 'duplicate_object',
				HINT = format('To attach it in another way: SELECT retention.detach(%L), then attach it again.', make_source.name);
	END IF;

	-- What was recorded under that name goes on.
	IF attached.source_id IS NOT NULL THEN
		UPDATE retention.source s
		SET facts = make_source.facts,
			kind = make_source.kind,
			relation = make_source.relation,
			orders_source_id = make_source.orders_source_id,
			on_delete = make_source.on_delete,
			attached_at = retention.now(),
			detached_at = NULL
		WHERE s.source_id = attached.source_id;
		RETURN attached.source_id;
	END IF;

	new_shop := retention.shop_id(for_shop);
	IF new_shop IS NULL THEN
		new_shop := retention.create_shop(coalesce(for_shop, 'shop'));
	END IF;

	SELECT coalesce(max(s.source_id), 0) + 1 INTO new_source
	FROM retention.source s;
	INSERT INTO retention.source (source_id, shop_id, name, kind, facts, relation, orders_source_id, on_delete)
	VALUES (
		new_source,
		new_shop,
		make_source.name,
		make_source.kind,
		make_source.facts,
		make_source.relation,
		make_source.orders_source_id,
		make_source.on_delete
	);
	RETURN new_source;
END
$$;

COMMENT ON FUNCTION retention.make_source(text, text, text, text, text, regclass, integer) IS 'Makes or takes up again the row of a source, and the shop when there is none; returns the source''s number';

CREATE FUNCTION retention.make_watch(source_id integer, relation regclass, order_id text)
	RETURNS integer
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	new_watch integer;
BEGIN
	LOCK TABLE retention.watch IN SHARE ROW EXCLUSIVE MODE;
	IF EXISTS (
		SELECT
		FROM retention.watch w
		WHERE w.source_id = make_watch.source_id
			AND w.relation = make_watch.relation
			AND w.order_id = make_watch.order_id
	) THEN
		RAISE EXCEPTION '% is watched already', make_watch.relation
			USING ERRCODE = 'duplicate_object';
	END IF;

	SELECT coalesce(max(w.watch_id), 0) + 1 INTO new_watch
	FROM retention.watch w;
	INSERT INTO retention.watch (watch_id, source_id, relation, order_id)
	VALUES (new_watch, make_watch.source_id, make_watch.relation, make_watch.order_id);

	-- Fired in the order of their names: first what collects, then what syncs.
	EXECUTE format(
		'CREATE TRIGGER retention_note_%1$s AFTER INSERT OR UPDATE OR DELETE ON %2$s '
		'FOR EACH ROW EXECUTE FUNCTION retention.note_change(%3$L)',
		new_watch, make_watch.relation, new_watch::text);
	EXECUTE format(
		'CREATE CONSTRAINT TRIGGER retention_sync_%1$s AFTER INSERT OR UPDATE OR DELETE ON %2$s '
		'DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION retention.sync_changed(%3$L)',
		new_watch, make_watch.relation, new_watch::text);
	EXECUTE format(
		'CREATE TRIGGER retention_truncate_%1$s AFTER TRUNCATE ON %2$s '
		'FOR EACH STATEMENT EXECUTE FUNCTION retention.note_truncate(%3$L)',
		new_watch, make_watch.relation, new_watch::text);
	RETURN new_watch;
END
$$;

COMMENT ON FUNCTION retention.make_watch(integer, regclass, text) IS 'Records a watched table, puts the triggers on it and returns the watch''s number';

CREATE FUNCTION retention.notice_completion(name text, maps_completed boolean, source_id integer)
	RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT maps_completed AND EXISTS (
		SELECT
		FROM retention.source s
		JOIN retention.shop h ON h.shop_id = s.shop_id
		WHERE s.source_id = notice_completion.source_id AND h.accrue_on = 'completed'
	) THEN
		RAISE NOTICE 'source "%" does not tell when an order is completed: points accrue 7 days after payment', name
			USING HINT = 'Map completed or completed_at, or set accrue_on to ''paid'' in retention.shop. CALL retention.run() each day posts what has fallen due.';
	END IF;
END
$$;

COMMENT ON FUNCTION retention.notice_completion(text, boolean, integer) IS 'Tells whoever attaches a source without a completed state when its points accrue';

CREATE FUNCTION retention.attach_orders(
	relation regclass,
	order_id text,
	customer text,
	total text,
	placed_at text DEFAULT NULL,
	paid_at text DEFAULT NULL,
	shipped_at text DEFAULT NULL,
	delivered_at text DEFAULT NULL,
	completed_at text DEFAULT NULL,
	closed_at text DEFAULT NULL,
	placed text DEFAULT NULL,
	paid_in_full text DEFAULT NULL,
	shipped text DEFAULT NULL,
	delivered text DEFAULT NULL,
	completed text DEFAULT NULL,
	closed text DEFAULT NULL,
	paid text DEFAULT NULL,
	refunded text DEFAULT NULL,
	refund_of text DEFAULT NULL,
	points_used text DEFAULT NULL,
	currency text DEFAULT NULL,
	exchange_rate text DEFAULT NULL,
	shop text DEFAULT NULL,
	channel text DEFAULT NULL,
	staff text DEFAULT NULL,
	referrer text DEFAULT NULL,
	close_reason text DEFAULT NULL,
	attributes text DEFAULT NULL,
	on_delete text DEFAULT 'keep',
	for_shop text DEFAULT NULL
)
	RETURNS text
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	argument record;
	columns text[] := '{}';
	table_name text;
	new_source integer;
	new_watch integer;
BEGIN
	IF relation IS NULL THEN
		RAISE EXCEPTION 'argument "relation" must not be null'
			USING ERRCODE = 'null_value_not_allowed',
				HINT = 'Give the shop''s order table, as in ''public.orders''.';
	END IF;
	PERFORM retention.check_owner(relation);

	FOR argument IN
		SELECT a.name, a.expression, a.required
		FROM (
			VALUES
				('order_id', order_id, true),
				('customer', customer, true),
				('total', total, true),
				('placed_at', placed_at, false),
				('paid_at', paid_at, false),
				('shipped_at', shipped_at, false),
				('delivered_at', delivered_at, false),
				('completed_at', completed_at, false),
				('closed_at', closed_at, false),
				('placed', placed, false),
				('paid_in_full', paid_in_full, false),
				('shipped', shipped, false),
				('delivered', delivered, false),
				('completed', completed, false),
				('closed', closed, false),
				('paid', paid, false),
				('refunded', refunded, false),
				('refund_of', refund_of, false),
				('points_used', points_used, false),
				('currency', currency, false),
				('exchange_rate', exchange_rate, false),
				('shop', shop, false),
				('channel', channel, false),
				('staff', staff, false),
				('referrer', referrer, false),
				('close_reason', close_reason, false),
				('attributes', attributes, false)
		) AS a (name, expression, required)
	LOOP
		IF argument.expression IS NULL THEN
			IF argument.required THEN
				RAISE EXCEPTION 'argument "%" must not be null', argument.name
					USING ERRCODE = 'null_value_not_allowed',
						HINT = 'order_id, customer and total are required: give a column''s name or an SQL expression over the table''s row.';
			END IF;
			CONTINUE;
		END IF;
		PERFORM retention.check_expression(relation, argument.name, argument.expression);
		columns := columns || format(E'(%s\n) AS %I', argument.expression, argument.name);
	END LOOP;

	SELECT c.relname INTO table_name
	FROM pg_class c
	WHERE c.oid = relation;

	new_source := retention.make_source(
		relation::text,
		format('SELECT %s FROM %s AS %I', array_to_string(columns, ', '), relation, table_name),
		on_delete,
		for_shop);
	new_watch := retention.make_watch(new_source, relation, order_id);
	PERFORM retention.notice_completion(relation::text, retention.check_source(new_source), new_source);
	PERFORM retention.check_watch(new_watch);
	RETURN relation::text;
END
$$;

COMMENT ON FUNCTION retention.attach_orders(regclass, text, text, text, text, text, text, text, text, text, text, text, text, text, text, text, text, text, text, text, text, text, text, text, text, text, text, text, text, text) IS
	'Attaches a one-table shop: from now on every order in the table is synced in the transaction that changes it. Each argument is an SQL expression over the table''s row, a column''s name being the simplest; names outside pg_catalog need their schema. order_id, customer, total and one of paid_at, paid_in_full and paid are required. Without refunded, closing a paid order counts as refunding it. for_shop names the shop (one is made when there is none). Only the table''s owner may. Returns the source''s name; CALL retention.backfill(name) for the orders already there';

CREATE FUNCTION retention.attach_source(
	name text,
	facts text,
	on_delete text DEFAULT 'keep',
	for_shop text DEFAULT NULL
)
	RETURNS text
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF attach_source.name IS NULL OR attach_source.name = '' OR attach_source.facts IS NULL THEN
		RAISE EXCEPTION 'a source needs a name and a facts query'
			USING ERRCODE = 'null_value_not_allowed';
	END IF;
	PERFORM retention.check_facts(facts);
	PERFORM retention.make_source(attach_source.name, facts, on_delete, for_shop);
	RETURN attach_source.name;
END
$$;

COMMENT ON FUNCTION retention.attach_source(text, text, text, text) IS
	'Attaches a shop of several tables by a facts query: a SELECT with one row an order and the columns order_id, customer, total and any of paid, refunded, refund_of, points_used, currency, exchange_rate, shop, channel, staff, referrer, close_reason, attributes, placed(_at), paid_in_full, paid_at, shipped(_at), delivered(_at), completed(_at), closed(_at). Names outside pg_catalog need their schema. Then watch() each table whose rows can change an order; the facts run as the owner of the first one watched. Returns the source''s name';

CREATE FUNCTION retention.watch(source text, relation regclass, order_id text)
	RETURNS integer
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	watched retention.source;
	first_relation regclass;
	new_watch integer;
BEGIN
	SELECT s.* INTO watched
	FROM retention.source s
	WHERE s.name = watch.source AND s.detached_at IS NULL;
	IF watched.source_id IS NULL THEN
		RAISE EXCEPTION 'source "%" is not attached', watch.source
			USING ERRCODE = 'undefined_object',
				HINT = 'Attach it first: SELECT retention.attach_source(name, facts => ...).';
	END IF;
	IF watch.relation IS NULL OR watch.order_id IS NULL THEN
		RAISE EXCEPTION 'relation and order_id must not be null'
			USING ERRCODE = 'null_value_not_allowed';
	END IF;
	PERFORM retention.check_owner(watch.relation);

	-- The facts run as the owner of the first table: whoever adds another way
	-- in must be allowed to act as that owner.
	SELECT w.relation INTO first_relation
	FROM retention.watch w
	WHERE w.source_id = watched.source_id
	ORDER BY w.watch_id
	LIMIT 1;
	IF first_relation IS NOT NULL THEN
		PERFORM retention.check_owner(first_relation);
	END IF;

	new_watch := retention.make_watch(watched.source_id, watch.relation, watch.order_id);
	PERFORM retention.check_watch(new_watch);
	IF first_relation IS NULL THEN
		PERFORM retention.notice_completion(watch.source, retention.check_source(watched.source_id), watched.source_id);
	END IF;
	RETURN new_watch;
END
$$;

COMMENT ON FUNCTION retention.watch(text, regclass, text) IS
	'Watches a table whose rows can change an order of the source. order_id is an SQL expression over the row, or a subquery that may use it under the table''s name, giving the id or ids of the order (several as rows or as an array). Only the table''s owner may. Returns the watch''s number';

CREATE FUNCTION retention.change_facts(source text, facts text)
	RETURNS void
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	number integer := retention.source_number(change_facts.source);
	first_relation regclass;
BEGIN
	SELECT w.relation INTO first_relation
	FROM retention.watch w
	JOIN pg_class c ON c.oid = w.relation
	WHERE w.source_id = number
	ORDER BY w.watch_id
	LIMIT 1;
	IF first_relation IS NOT NULL THEN
		PERFORM retention.check_owner(first_relation);
	END IF;
	PERFORM retention.check_facts(change_facts.facts);
	UPDATE retention.source s
	SET facts = change_facts.facts
	WHERE s.source_id = number;
	IF first_relation IS NOT NULL THEN
		PERFORM retention.check_source(number);
	END IF;
END
$$;

COMMENT ON FUNCTION retention.change_facts(text, text) IS
	'Gives an attached source of orders another facts query, of the same columns as for attach_source: after the shop has renamed a column or table that the present one names. Watches, messages and what is recorded stay; resync() then mends what failed meanwhile. Only the owner of the first watched table may, as which the facts run. An unknown source, or facts that cannot be planned, is an error';

CREATE FUNCTION retention.detach(source text)
	RETURNS void
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	attached retention.source;
	watched record;
BEGIN
	SELECT s.* INTO attached
	FROM retention.source s
	WHERE s.name = detach.source AND s.detached_at IS NULL
	FOR UPDATE;
	IF attached.source_id IS NULL THEN
		RAISE EXCEPTION 'source "%" is not attached', detach.source
			USING ERRCODE = 'undefined_object',
				HINT = 'SELECT name FROM retention.source WHERE detached_at IS NULL shows the sources there are.';
	END IF;

	IF attached.relation IS NOT NULL AND EXISTS (SELECT FROM pg_class c WHERE c.oid = attached.relation) THEN
		PERFORM retention.check_owner(attached.relation);
	END IF;

	FOR watched IN
		SELECT w.watch_id, w.relation, c.oid IS NOT NULL AS exists
		FROM retention.watch w
		LEFT JOIN pg_class c ON c.oid = w.relation
		WHERE w.source_id = attached.source_id
		ORDER BY w.watch_id
	LOOP
		CONTINUE WHEN NOT watched.exists;
		PERFORM retention.check_owner(watched.relation);
		EXECUTE format('DROP TRIGGER IF EXISTS retention_note_%s ON %s', watched.watch_id, watched.relation);
		EXECUTE format('DROP TRIGGER IF EXISTS retention_sync_%s ON %s', watched.watch_id, watched.relation);
		EXECUTE format('DROP TRIGGER IF EXISTS retention_truncate_%s ON %s', watched.watch_id, watched.relation);
	END LOOP;

	DELETE FROM retention.watch w
	WHERE w.source_id = attached.source_id;
	DELETE FROM retention.backfill_batch b
	WHERE b.source_id = attached.source_id;
	UPDATE retention.source s
	SET detached_at = retention.now()
	WHERE s.source_id = attached.source_id;

	-- Nobody would cancel them any more when the order is paid.
	UPDATE retention.care_message m
	SET state = 'cancelled',
		reason = 'the source was detached',
		changed_at = retention.now()
	WHERE m.source_id = attached.source_id AND m.state IN ('queued', 'claimed');
END
$$;

COMMENT ON FUNCTION retention.detach(text) IS 'Takes the triggers off the shop''s tables and keeps all that was recorded; messages queued for its orders are cancelled. Attaching under the same name goes on where it was';

CREATE FUNCTION retention.sync_replicated(source text, enabled boolean DEFAULT true)
	RETURNS void
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	watched record;
	kind text;
BEGIN
	FOR watched IN
		SELECT w.watch_id, w.relation
		FROM retention.watch w
		WHERE w.source_id = retention.source_number(sync_replicated.source)
		ORDER BY w.watch_id
	LOOP
		PERFORM retention.check_owner(watched.relation);
		FOREACH kind IN ARRAY ARRAY['note', 'sync', 'truncate'] LOOP
			EXECUTE format('ALTER TABLE %s ENABLE %s TRIGGER retention_%s_%s',
				watched.relation, CASE WHEN enabled THEN 'ALWAYS' ELSE '' END, kind, watched.watch_id);
		END LOOP;
	END LOOP;
END
$$;

COMMENT ON FUNCTION retention.sync_replicated(text, boolean) IS
	'For a subscriber of logical replication: whether rows that arrive by replication are synced too, as those written here always are. PostgreSQL fires no trigger for replicated rows unless told so. Do it for a source once it is attached, on the subscriber alone; not where retention''s own tables are replicated, which would count twice. An unknown source is an error';
