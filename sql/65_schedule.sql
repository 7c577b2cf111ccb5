-- ---------------------------------------------------------------------------
-- schedule, unschedule: having run() called
-- ---------------------------------------------------------------------------

-- Both run as the caller: whose job it is to be pg_cron decides by that.
CREATE FUNCTION retention.schedule(schedule text DEFAULT '*/5 * * * *')
	RETURNS text
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	job text := 'retention ' || current_database();
BEGIN
	IF schedule IS NULL OR schedule !~ '^\S+( +\S+){4}$' THEN
		RAISE EXCEPTION '% is not a schedule', coalesce(quote_literal(schedule), 'NULL')
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Give the five fields of a crontab line: minute, hour, day, month, weekday. ''*/5 * * * *'' is every five minutes.';
	END IF;
	IF EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'pg_cron') THEN
		EXECUTE 'SELECT cron.schedule($1, $2, $3)' USING job, schedule, 'CALL retention.run()';
		RETURN format('pg_cron runs the job "%s" at %s', job, schedule);
	END IF;
	RETURN format('%s psql -X -q -d %s -c ''CALL retention.run()''', schedule,
		CASE WHEN current_database() ~ '^[a-zA-Z0-9_]+$' THEN current_database() ELSE '''' || replace(current_database(), '''', '''\''''') || '''' END);
END
$$;

COMMENT ON FUNCTION retention.schedule(text) IS
	'Has CALL retention.run() done regularly, every five minutes unless told otherwise: as a job of pg_cron where that is installed in this database, and says so; otherwise returns the line to put into a crontab. Calling it again changes the schedule';

CREATE FUNCTION retention.unschedule()
	RETURNS text
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	job text := 'retention ' || current_database();
	removed boolean := false;
BEGIN
	IF EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'pg_cron') THEN
		EXECUTE 'SELECT count(cron.unschedule(j.jobid)) > 0 FROM cron.job j WHERE j.jobname = $1'
		INTO removed
		USING job;
		RETURN CASE WHEN removed THEN format('pg_cron no longer runs the job "%s"', job) ELSE 'pg_cron had no such job' END;
	END IF;
	RETURN 'pg_cron is not installed here: take the line with retention.run() out of the crontab';
END
$$;

COMMENT ON FUNCTION retention.unschedule() IS 'Takes back schedule(): removes the job from pg_cron, or says what to do where that is not installed';
