-- ---------------------------------------------------------------------------
-- backfill: the orders that were there before
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.backfill_start(source_id integer, batch integer, points_from timestamptz)
	RETURNS bigint
	AS 'MODULE_PATHNAME', 'backfill_start'
	LANGUAGE C;

COMMENT ON FUNCTION retention.backfill_start(integer, integer, timestamptz) IS 'Lists the orders of a source in batches, unless an interrupted backfill left some; returns the number of batches to do';

CREATE FUNCTION retention.backfill_step(source_id integer)
	RETURNS bigint
	AS 'MODULE_PATHNAME', 'backfill_step'
	LANGUAGE C STRICT;

COMMENT ON FUNCTION retention.backfill_step(integer) IS 'Syncs the next batch of a backfill; returns its number of orders, 0 when none is left';

CREATE VIEW retention.backfills AS
	SELECT
		s.name AS source,
		p.total_orders,
		p.done_orders,
		p.without_customer,
		p.failed_orders,
		CASE
			WHEN p.total_orders = 0 THEN 100
			ELSE round(100.0 * p.done_orders / p.total_orders, 1)
		END AS percent,
		round((p.done_orders - p.resumed_from) / nullif(f.seconds, 0)) AS orders_per_second,
		CASE
			WHEN p.finished_at IS NULL THEN make_interval(secs => round(
				(p.total_orders - p.done_orders) * f.seconds / nullif(p.done_orders - p.resumed_from, 0))::double precision)
		END AS time_left,
		p.started_at,
		p.updated_at,
		p.finished_at
	FROM retention.backfill_progress p
	JOIN retention.source s ON s.source_id = p.source_id
	CROSS JOIN LATERAL (
		SELECT extract(epoch FROM p.updated_at - p.started_at) AS seconds
	) AS f;

COMMENT ON VIEW retention.backfills IS 'How far the last backfill of each source is; readable from any session while it runs';
COMMENT ON COLUMN retention.backfills.source IS 'The source';
COMMENT ON COLUMN retention.backfills.total_orders IS 'Orders found when it started';
COMMENT ON COLUMN retention.backfills.done_orders IS 'Orders done, those without customer included';
COMMENT ON COLUMN retention.backfills.without_customer IS 'Orders skipped because they name no customer';
COMMENT ON COLUMN retention.backfills.failed_orders IS 'Orders that went to sync_error';
COMMENT ON COLUMN retention.backfills.percent IS 'Share done, in per cent';
COMMENT ON COLUMN retention.backfills.orders_per_second IS 'Speed since it was started or resumed';
COMMENT ON COLUMN retention.backfills.time_left IS 'Time it will take at that speed; NULL once finished';
COMMENT ON COLUMN retention.backfills.started_at IS 'When it was started or resumed';
COMMENT ON COLUMN retention.backfills.updated_at IS 'When the last batch was done';
COMMENT ON COLUMN retention.backfills.finished_at IS 'When it ended; NULL while it runs or when it was interrupted';

CREATE FUNCTION retention.backfill_line(source_id integer)
	RETURNS text
	LANGUAGE sql
	STABLE
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT format(
		'%s%% (%s of %s %s), %s %s a second%s%s',
		trunc(b.percent),
		b.done_orders,
		b.total_orders,
		s.kind,
		coalesce(b.orders_per_second::text, '-'),
		s.kind,
		CASE
			WHEN b.finished_at IS NULL THEN ', ' || coalesce(b.time_left::text, 'unknown') || ' left'
			ELSE ''
		END,
		CASE
			WHEN b.finished_at IS NOT NULL AND b.without_customer + b.failed_orders > 0
			THEN format('; %s without customer, %s failed', b.without_customer, b.failed_orders)
			ELSE ''
		END)
	FROM retention.backfills b
	JOIN retention.source s ON s.name = b.source
	WHERE s.source_id = backfill_line.source_id;
END;

COMMENT ON FUNCTION retention.backfill_line(integer) IS 'How far a backfill is, as the line that backfill() prints';

CREATE PROCEDURE retention.backfill(
	source text,
	batch integer DEFAULT 10000,
	points boolean DEFAULT false,
	points_from timestamptz DEFAULT NULL
)
	AS 'MODULE_PATHNAME', 'backfill'
	LANGUAGE C;

COMMENT ON PROCEDURE retention.backfill(text, integer, boolean, timestamptz) IS
	'Records the orders, customers or reviews that were there before the source was attached: of orders the statistics, with points => true also points (for accruals from points_from on; NULL: all), never messages. Commits after each batch, says how far it is, goes on where an interrupted one stopped, and run again changes nothing';

CREATE FUNCTION retention.source_number(source text)
	RETURNS integer
	AS 'MODULE_PATHNAME', 'source_number'
	LANGUAGE C STABLE STRICT;

COMMENT ON FUNCTION retention.source_number(text) IS 'Number of an attached source, by its name or the name of its table; an unknown one is an error';

-- The same backfill, rolled back: what it posts is read before, and a variable
-- survives what an exception undoes.
CREATE FUNCTION retention.backfill_preview(source text, points_from timestamptz DEFAULT NULL)
	RETURNS TABLE (
		customer_id text,
		entry_no bigint,
		kind text,
		points bigint,
		effective_at timestamptz,
		order_id text,
		amount numeric,
		rate numeric,
		multiplier numeric
	)
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	previewed integer := retention.source_number(source);
	counted jsonb;
	posted retention.points_entry[];
BEGIN
	BEGIN
		-- Batches that an interrupted backfill left are listed anew.
		DELETE FROM retention.backfill_batch b
		WHERE b.source_id = previewed;

		SELECT coalesce(jsonb_object_agg(s.shop_id || ':' || s.customer_id, s.last_entry_no), '{}') INTO counted
		FROM retention.customer_stats s
		WHERE s.last_entry_no > 0;

		PERFORM retention.backfill_start(previewed, 10000, coalesce(points_from, '-infinity'));
		WHILE retention.backfill_step(previewed) > 0 LOOP
		END LOOP;

		SELECT array_agg(e) INTO posted
		FROM retention.customer_stats s
		JOIN retention.points_entry e ON e.shop_id = s.shop_id AND e.customer_id = s.customer_id
		WHERE s.last_entry_no > coalesce((counted ->> (s.shop_id || ':' || s.customer_id))::bigint, 0)
			AND e.entry_no > coalesce((counted ->> (s.shop_id || ':' || s.customer_id))::bigint, 0);
		RAISE EXCEPTION USING ERRCODE = 'RP001';
	EXCEPTION
		WHEN SQLSTATE 'RP001' THEN
			NULL;
	END;

	RETURN QUERY
	SELECT e.customer_id, e.entry_no, e.kind, e.points, e.effective_at, e.order_id, e.amount, e.rate, e.multiplier
	FROM unnest(posted) AS e
	ORDER BY e.customer_id, e.entry_no;
END
$$;

COMMENT ON FUNCTION retention.backfill_preview(text, timestamptz) IS
	'What backfill(source, points => true, points_from) would post now, entry by entry, with the tier multiplier as of then; nothing is kept. points_from NULL means all. It does the whole backfill in one transaction and rolls it back, so the customers concerned stay locked as long as it runs';
