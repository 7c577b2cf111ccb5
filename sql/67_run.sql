-- ---------------------------------------------------------------------------
-- resync and run: repair, and what falls due
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.resync(source text, order_id text DEFAULT NULL, everything boolean DEFAULT false)
	RETURNS bigint
	AS 'MODULE_PATHNAME', 'resync'
	LANGUAGE C;

COMMENT ON FUNCTION retention.resync(text, text, boolean) IS
	'Syncs again: one order (or customer, or review, by its id); or, with order_id NULL, those in sync_error (all when changes could not be traced); or everything, recorded and present. Returns the orders synced. An unknown source is an error';

CREATE FUNCTION retention.accrue_due(source_id integer, at timestamptz)
	RETURNS bigint
	AS 'MODULE_PATHNAME', 'accrue_due'
	LANGUAGE C STRICT;

COMMENT ON FUNCTION retention.accrue_due(integer, timestamptz) IS 'Posts the points of a source''s orders that have fallen due by then; returns the number of orders';

CREATE TABLE retention.last_run (
	only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	ran_for timestamptz NOT NULL,
	finished_at timestamptz NOT NULL
);

SELECT pg_catalog.pg_extension_config_dump('retention.last_run', '');

COMMENT ON TABLE retention.last_run IS 'When run() was called last, for health(): one row';
COMMENT ON COLUMN retention.last_run.only_row IS 'Always true: there is but one row';
COMMENT ON COLUMN retention.last_run.ran_for IS 'The moment up to which it did what had fallen due';
COMMENT ON COLUMN retention.last_run.finished_at IS 'Wall-clock time at which it was done';

-- It commits on its way, so it cannot be SECURITY DEFINER: each statement runs as the owner.
CREATE PROCEDURE retention.run(at timestamptz DEFAULT retention.now())
	AS 'MODULE_PATHNAME', 'run_due'
	LANGUAGE C;

COMMENT ON PROCEDURE retention.run(timestamptz) IS 'Does whatever has fallen due by then: posts the points of orders whose days have passed, expires points and lets holds go that timed out, gives joining and referral bonuses, reviews tiers, looks ahead once a day (see run_forecast), gives and takes the tags of tag rules, queues the messages that fall due by date and those of campaigns, drops those that are out of date, and tells workers what is due (see notify_workers). Run it as often as you like; running it twice changes nothing. Each of these, and for the points of orders each source, is a transaction of its own, so that no order waits for all of them, unless it is called in a transaction block or by a function';
