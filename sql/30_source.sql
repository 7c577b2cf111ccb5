-- ---------------------------------------------------------------------------
-- source, watch: where orders come from, and what is known of customers
-- ---------------------------------------------------------------------------

CREATE TABLE retention.source (
	source_id integer PRIMARY KEY CHECK (source_id > 0),
	shop_id integer NOT NULL,
	name text NOT NULL UNIQUE,
	kind text NOT NULL DEFAULT 'orders' CHECK (kind IN ('orders', 'customers', 'reviews', 'lines', 'events')),
	facts text NOT NULL,
	relation regclass,
	orders_source_id integer,
	on_delete text NOT NULL DEFAULT 'keep' CHECK (on_delete IN ('keep', 'reverse')),
	attached_at timestamptz NOT NULL DEFAULT retention.now(),
	points_from timestamptz NOT NULL DEFAULT retention.now(),
	truncated_at timestamptz,
	detached_at timestamptz
);

SELECT pg_catalog.pg_extension_config_dump('retention.source', '');

COMMENT ON TABLE retention.source IS 'An attached source: of orders, or of customers, reviews, order lines or events';
COMMENT ON COLUMN retention.source.source_id IS 'Number of the source, from 1';
COMMENT ON COLUMN retention.source.shop_id IS 'The shop whose orders these are, unless the facts name another';
COMMENT ON COLUMN retention.source.name IS 'Name of the source: the table''s, when attached by attach_orders, attach_customers and so on';
COMMENT ON COLUMN retention.source.kind IS 'orders, customers, reviews (synced at commit), lines or events (read where they are)';
COMMENT ON COLUMN retention.source.facts IS 'The facts query: one row an order, customer and so on; run as the owner of the first watched table';
COMMENT ON COLUMN retention.source.relation IS 'The table of a source that is read where it is, as whose owner the facts run; NULL where tables are watched';
COMMENT ON COLUMN retention.source.orders_source_id IS 'For reviews and lines: the source of the orders that they are about';
COMMENT ON COLUMN retention.source.on_delete IS 'What deleting a completed order does: keep its purchase and points, or reverse them';
COMMENT ON COLUMN retention.source.attached_at IS 'Events before this moment call for no message';
COMMENT ON COLUMN retention.source.points_from IS 'Accruals that fall before this moment are not posted; backfill(points => true) moves it back';
COMMENT ON COLUMN retention.source.detached_at IS 'When it was detached; attaching it again goes on with what is recorded';
COMMENT ON COLUMN retention.source.truncated_at IS 'When a watched table was truncated and the source is not settled yet; the next sync or resync() does it';

CREATE TABLE retention.watch (
	watch_id integer PRIMARY KEY CHECK (watch_id > 0),
	source_id integer NOT NULL,
	relation regclass NOT NULL,
	order_id text NOT NULL,
	UNIQUE (source_id, relation, order_id)
);

SELECT pg_catalog.pg_extension_config_dump('retention.watch', '');

COMMENT ON TABLE retention.watch IS 'A table whose rows can change an order, customer or review of a source';
COMMENT ON COLUMN retention.watch.watch_id IS 'Number of the watch; the triggers carry it as their argument';
COMMENT ON COLUMN retention.watch.source_id IS 'The source whose orders change';
COMMENT ON COLUMN retention.watch.relation IS 'The watched table';
COMMENT ON COLUMN retention.watch.order_id IS 'SQL expression or subquery over the table''s row that gives the id(s) of the order(s), customer(s) or review(s) it belongs to';

CREATE TRIGGER invalidate_cache
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON retention.source
	FOR EACH STATEMENT EXECUTE FUNCTION retention.invalidate_cache();

CREATE TRIGGER invalidate_cache
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON retention.watch
	FOR EACH STATEMENT EXECUTE FUNCTION retention.invalidate_cache();

-- ---------------------------------------------------------------------------
-- sync_error: orders that could not be synced
-- ---------------------------------------------------------------------------

CREATE TABLE retention.sync_error (
	source_id integer NOT NULL,
	order_id text COLLATE "C" NOT NULL,
	sqlstate text NOT NULL,
	message text NOT NULL,
	first_failed_at timestamptz NOT NULL DEFAULT retention.now(),
	last_failed_at timestamptz NOT NULL DEFAULT retention.now(),
	attempts integer NOT NULL DEFAULT 1,
	PRIMARY KEY (source_id, order_id)
);

SELECT pg_catalog.pg_extension_config_dump('retention.sync_error', '');

COMMENT ON TABLE retention.sync_error IS 'An order, customer or review that could not be synced; resync() tries it again';
COMMENT ON COLUMN retention.sync_error.source_id IS 'The source';
COMMENT ON COLUMN retention.sync_error.order_id IS 'The order''s id, or the customer''s or review''s, as text';
COMMENT ON COLUMN retention.sync_error.sqlstate IS 'SQLSTATE of the last failure';
COMMENT ON COLUMN retention.sync_error.message IS 'Message of the last failure';
COMMENT ON COLUMN retention.sync_error.first_failed_at IS 'When it failed first';
COMMENT ON COLUMN retention.sync_error.last_failed_at IS 'When it failed last';
COMMENT ON COLUMN retention.sync_error.attempts IS 'How many times it failed';

-- ---------------------------------------------------------------------------
-- backfill_progress: what a backfill has done and has still to do
-- ---------------------------------------------------------------------------

CREATE TABLE retention.backfill_progress (
	source_id integer PRIMARY KEY,
	total_orders bigint NOT NULL,
	done_orders bigint NOT NULL DEFAULT 0,
	without_customer bigint NOT NULL DEFAULT 0,
	failed_orders bigint NOT NULL DEFAULT 0,
	resumed_from bigint NOT NULL DEFAULT 0,
	started_at timestamptz NOT NULL,
	updated_at timestamptz NOT NULL,
	finished_at timestamptz
);

SELECT pg_catalog.pg_extension_config_dump('retention.backfill_progress', '');

COMMENT ON TABLE retention.backfill_progress IS 'The last backfill of each source; see the view backfills for percent, speed and time left';
COMMENT ON COLUMN retention.backfill_progress.source_id IS 'The source';
COMMENT ON COLUMN retention.backfill_progress.total_orders IS 'Orders found when the backfill started';
COMMENT ON COLUMN retention.backfill_progress.done_orders IS 'Orders synced so far';
COMMENT ON COLUMN retention.backfill_progress.without_customer IS 'Orders skipped because they name no customer';
COMMENT ON COLUMN retention.backfill_progress.failed_orders IS 'Orders that went to sync_error';
COMMENT ON COLUMN retention.backfill_progress.resumed_from IS 'Orders that were done before it was last resumed';
COMMENT ON COLUMN retention.backfill_progress.started_at IS 'Wall-clock time of the start, or of the last resumption';
COMMENT ON COLUMN retention.backfill_progress.updated_at IS 'Wall-clock time of the last batch';
COMMENT ON COLUMN retention.backfill_progress.finished_at IS 'Wall-clock time of the end; NULL while it runs or when it was interrupted';

-- One row a batch, its orders as an array: ten million orders are a thousand
-- rows, and an interrupted backfill goes on with those that are left.
CREATE TABLE retention.backfill_batch (
	source_id integer NOT NULL,
	batch_no integer NOT NULL,
	order_ids text[] NOT NULL,
	PRIMARY KEY (source_id, batch_no)
);

SELECT pg_catalog.pg_extension_config_dump('retention.backfill_batch', '');

COMMENT ON TABLE retention.backfill_batch IS 'Batches of orders that a backfill has still to sync';
COMMENT ON COLUMN retention.backfill_batch.source_id IS 'The source';
COMMENT ON COLUMN retention.backfill_batch.batch_no IS 'Number of the batch, in the order they are done';
COMMENT ON COLUMN retention.backfill_batch.order_ids IS 'The orders of the batch, as text';
