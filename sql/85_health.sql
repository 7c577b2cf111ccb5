-- ---------------------------------------------------------------------------
-- health(): what wants attention, and what to do about it
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.library_version()
	RETURNS text
	AS 'MODULE_PATHNAME', 'library_version'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.library_version() IS 'Version of the library that this session has loaded; that of the SQL objects is pg_extension.extversion';

CREATE FUNCTION retention.library_fits()
	RETURNS boolean
	AS 'MODULE_PATHNAME', 'library_fits'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.library_fits() IS 'Whether that library works with these SQL objects: where their versions agree but for the last number. Where not, orders are not synced until ALTER EXTENSION retention UPDATE';

-- Each check looks at what is there, not at logs, and gives one row or none.
CREATE FUNCTION retention.health(
	at timestamptz DEFAULT retention.now(),
	ledger boolean DEFAULT true
)
	RETURNS TABLE (check_name text, status text, found text, to_do text)
	LANGUAGE plpgsql
	STABLE
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	day_ago timestamptz := health.at - interval '25 hours';
	without_job boolean := false;
BEGIN
	-- The tables of pg_cron are there only where it is installed.
	IF EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'pg_cron') THEN
		EXECUTE 'SELECT NOT EXISTS (SELECT FROM cron.job j WHERE j.jobname = $1 AND j.active)'
		INTO without_job
		USING 'retention ' || current_database();
	END IF;

	RETURN QUERY
	WITH
	attached AS (
		SELECT s.source_id, s.name, s.relation, s.truncated_at
		FROM retention.source s
		WHERE s.detached_at IS NULL
	),
	versions AS (
		SELECT e.extversion AS sql, retention.library_version() AS library, a.default_version AS installed
		FROM pg_extension e
		LEFT JOIN pg_available_extensions a ON a.name = e.extname
		WHERE e.extname = 'retention'
	),
	unwatched AS (
		SELECT format('source "%s" watches no table', s.name) AS problem
		FROM attached s
		WHERE s.relation IS NULL
			AND NOT EXISTS (SELECT FROM retention.watch w WHERE w.source_id = s.source_id)
		UNION ALL
		SELECT format('a table of source "%s" was dropped', s.name)
		FROM attached s
		LEFT JOIN retention.watch w ON w.source_id = s.source_id
		WHERE coalesce(w.relation, s.relation) IS NOT NULL
			AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = coalesce(w.relation, s.relation))
		UNION ALL
		SELECT format('%s has no trigger retention_%s_%s', w.relation, t.what, w.watch_id)
		FROM retention.watch w
		JOIN pg_class c ON c.oid = w.relation
		CROSS JOIN (VALUES ('note'), ('sync'), ('truncate')) AS t (what)
		WHERE NOT EXISTS (
			SELECT
			FROM pg_trigger g
			WHERE g.tgrelid = w.relation
				AND g.tgname = format('retention_%s_%s', t.what, w.watch_id))
	),
	unsynced AS (
		SELECT s.name, format('changes could not be followed since %s: %s', e.first_failed_at, e.message) AS problem
		FROM attached s
		JOIN retention.sync_error e ON e.source_id = s.source_id AND e.order_id = '*'
		UNION ALL
		SELECT s.name, format('truncated at %s, not settled yet', s.truncated_at)
		FROM attached s
		WHERE s.truncated_at IS NOT NULL
	),
	failed AS (
		SELECT s.name, count(*) AS orders, min(e.first_failed_at) AS since,
			(array_agg(e.message ORDER BY e.last_failed_at DESC, e.order_id))[1] AS message
		FROM attached s
		JOIN retention.sync_error e ON e.source_id = s.source_id AND e.order_id <> '*'
		GROUP BY s.name
	),
	waiting AS (
		SELECT m.channel, count(*) AS messages, min(coalesce(m.held_until, m.due_at)) AS since
		FROM retention.care_message m
		WHERE m.state = 'queued'
			AND m.channel IN ('sms', 'email', 'wechat')
			AND coalesce(m.held_until, m.due_at) < health.at - interval '1 hour'
		GROUP BY m.channel
	),
	stale AS (
		SELECT format('shop "%s": %s', s.name, CASE
				WHEN f.forecast_at < health.at - interval '49 hours' THEN 'made for ' || f.forecast_at
				ELSE 'the model is an earlier one: ' || f.purchase_problem
			END) AS problem
		FROM retention.forecast f
		JOIN retention.shop s ON s.shop_id = f.shop_id
		WHERE (f.purchase_model).model IS NOT NULL
			AND (f.forecast_at < health.at - interval '49 hours' OR f.purchase_problem IS NOT NULL)
	),
	problem (check_name, status, found, to_do) AS (
		SELECT 'versions',
			CASE WHEN retention.library_fits() THEN 'WARNING' ELSE 'CRITICAL' END,
			format('the library is version %s, the SQL objects are %s', v.library, v.sql),
			'ALTER EXTENSION retention UPDATE; sessions that are older have to reconnect. Then see unsynced sources'
		FROM versions v
		WHERE v.library <> v.sql
		UNION ALL
		SELECT 'versions', 'WARNING',
			format('version %s is installed, %s is in use', v.installed, v.sql),
			'ALTER EXTENSION retention UPDATE, then reconnect'
		FROM versions v
		WHERE v.library = v.sql AND v.installed <> v.sql
		UNION ALL
		SELECT 'watched tables', 'CRITICAL',
			string_agg(u.problem, '; ' ORDER BY u.problem),
			'SELECT retention.detach(source), attach it again under the same name, then SELECT retention.resync(source, everything => true)'
		FROM unwatched u
		HAVING count(*) > 0
		UNION ALL
		-- On each partition too, and on our own tables: a restore with
		-- --disable-triggers that stopped half-way leaves them so.
		SELECT 'disabled triggers', 'CRITICAL',
			string_agg(format('%s on %s', g.tgname, g.tgrelid::regclass), ', ' ORDER BY g.tgrelid::regclass::text, g.tgname),
			'ALTER TABLE ... ENABLE TRIGGER, then SELECT retention.resync(source, everything => true)'
		FROM pg_trigger g
		JOIN pg_proc p ON p.oid = g.tgfoid
		WHERE p.pronamespace = 'retention'::regnamespace AND g.tgenabled IN ('D', 'R')
		HAVING count(*) > 0
		UNION ALL
		SELECT 'unsynced sources', 'CRITICAL',
			string_agg(format('source "%s": %s', u.name, u.problem), '; ' ORDER BY u.name, u.problem),
			'Mend the cause, then SELECT retention.resync(source)'
		FROM unsynced u
		HAVING count(*) > 0
		UNION ALL
		SELECT 'sync errors', 'WARNING',
			string_agg(format('source "%s": %s since %s, the last: %s', f.name, f.orders, f.since, f.message), '; ' ORDER BY f.name),
			'See retention.sync_error; mend the cause, then SELECT retention.resync(source)'
		FROM failed f
		HAVING count(*) > 0
		UNION ALL
		SELECT 'unfinished backfills', 'WARNING',
			string_agg(format('source "%s": %s of %s, last at %s', b.source, b.done_orders, b.total_orders, b.updated_at), '; ' ORDER BY b.source),
			'Unless one is running: CALL retention.backfill(source) goes on where it stopped'
		FROM retention.backfills b
		JOIN attached s ON s.name = b.source
		WHERE b.finished_at IS NULL
		HAVING count(*) > 0
		UNION ALL
		SELECT 'run', 'WARNING',
			coalesce('run() was last called for ' || (SELECT r.ran_for FROM retention.last_run r), 'run() was never called'),
			'CALL retention.run() at least daily; SELECT retention.schedule() sees to it'
		WHERE EXISTS (SELECT FROM attached)
			AND NOT EXISTS (SELECT FROM retention.last_run r WHERE r.ran_for >= day_ago)
		UNION ALL
		SELECT 'scheduled job', 'WARNING',
			'pg_cron is installed, but has no active job for run()',
			'SELECT retention.schedule()'
		WHERE without_job
		UNION ALL
		SELECT 'overdue accruals', 'WARNING',
			format('%s orders, the oldest due at %s', count(*), min(p.accrual_due_at)),
			'CALL retention.run(); what stays is in retention.sync_error'
		FROM attached s
		JOIN retention.purchase p ON p.source_id = s.source_id
		WHERE p.accrual_due_at < day_ago
		HAVING count(*) > 0
		UNION ALL
		SELECT 'overdue holds', 'WARNING',
			format('%s, the oldest timed out at %s', count(*), min(h.times_out_at)),
			'CALL retention.run(); balances are right without it'
		FROM retention.points_hold h
		WHERE h.state = 'open' AND h.times_out_at < day_ago
		HAVING count(*) > 0
		UNION ALL
		SELECT 'stale forecasts', 'WARNING',
			string_agg(t.problem, '; ' ORDER BY t.problem),
			'CALL retention.run() daily; retention.forecasts tells how the models came out'
		FROM stale t
		HAVING count(*) > 0
		UNION ALL
		SELECT 'ledger', 'CRITICAL',
			format('%s problems, one of them with customer %s: %s', count(*), (array_agg(c.customer_id))[1], (array_agg(c.problem))[1]),
			'SELECT * FROM retention.check_ledger(); find out where it comes from before mending anything'
		FROM retention.check_ledger() AS c
		WHERE health.ledger
		HAVING count(*) > 0
		UNION ALL
		SELECT 'dead letters', 'WARNING',
			format('%s given up in the last 7 days, the latest: %s', count(*), (array_agg(coalesce(m.last_error, m.reason) ORDER BY m.changed_at DESC))[1]),
			'See retention.care_skipped; mend the cause, then SELECT retention.requeue_dead()'
		FROM retention.care_message m
		WHERE m.state = 'failed' AND m.changed_at > health.at - interval '7 days'
		HAVING count(*) > 0
		UNION ALL
		-- Whoever claims next takes them over: so nobody does.
		SELECT 'expired leases', 'WARNING',
			format('%s, the oldest ended at %s, held by worker %s', count(*), min(m.held_until), (array_agg(coalesce(m.worker, 'without a name') ORDER BY m.held_until))[1]),
			'The worker died and no other claims that channel: start one'
		FROM retention.care_message m
		WHERE m.state = 'claimed' AND m.held_until < health.at - interval '5 minutes'
		HAVING count(*) > 0
		UNION ALL
		SELECT 'waiting messages', 'WARNING',
			string_agg(format('%s by %s since %s', w.messages, w.channel, w.since), '; ' ORDER BY w.channel),
			'No worker claims that channel, or too few: start one'
		FROM waiting w
		HAVING count(*) > 0
	)
	SELECT c.check_name, coalesce(p.status, 'OK'), p.found, p.to_do
	FROM (
		VALUES
			(1, 'versions'),
			(2, 'watched tables'),
			(3, 'disabled triggers'),
			(4, 'unsynced sources'),
			(5, 'sync errors'),
			(6, 'unfinished backfills'),
			(7, 'run'),
			(8, 'scheduled job'),
			(9, 'overdue accruals'),
			(10, 'overdue holds'),
			(11, 'stale forecasts'),
			(12, 'ledger'),
			(13, 'dead letters'),
			(14, 'expired leases'),
			(15, 'waiting messages')
	) AS c (position, check_name)
	LEFT JOIN problem p ON p.check_name = c.check_name
	ORDER BY c.position;
END
$$;

COMMENT ON FUNCTION retention.health(timestamptz, boolean) IS
	'One row for each check: its status (OK, WARNING or CRITICAL), what was found and what to do, NULL where all is well. For monitoring: SELECT * FROM retention.health() WHERE status <> ''OK''. ledger => false leaves out check_ledger(), which reads the whole ledger: do so where this is asked every minute. at takes the place of now';
