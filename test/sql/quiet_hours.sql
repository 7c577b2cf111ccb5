-- quiet_until(): when the quiet hours end that a moment lies in.
SET timezone = 'UTC';

-- Across midnight, in the shop's own zone.
SELECT at AT TIME ZONE 'Asia/Shanghai' AS local, retention.quiet_until(at, '21:00', '08:00', 'Asia/Shanghai') AT TIME ZONE 'Asia/Shanghai' AS until
FROM (VALUES
	(timestamptz '2024-05-01 20:59:59+08'), ('2024-05-01 21:00+08'), ('2024-05-01 23:59+08'),
	('2024-05-02 00:00+08'), ('2024-05-02 07:59:59+08'), ('2024-05-02 08:00+08')) AS v (at);

-- Within a day; none at all.
SELECT retention.quiet_until('2024-05-01 12:30+00', '12:00', '14:00', 'UTC') AS noon,
	retention.quiet_until('2024-05-01 14:00+00', '12:00', '14:00', 'UTC') AS after,
	retention.quiet_until('2024-05-01 12:30+00', '12:00', '12:00', 'UTC') AS never,
	retention.quiet_until('2024-05-01 12:30+00', NULL, '12:00', 'UTC') AS not_set;

-- Summer time: the hours are those of the clock on the wall, so the night of
-- 31 March is an hour shorter and that of 27 October an hour longer.
SELECT at, retention.quiet_until(at, '21:00', '08:00', 'Europe/Berlin') - at AS "wait"
FROM (VALUES (timestamptz '2024-03-29 22:00+01'), ('2024-03-30 22:00+01'), ('2024-10-25 22:00+02'), ('2024-10-26 22:00+02')) AS v (at);

-- An end that does not exist on that day, and one that comes twice.
SELECT retention.quiet_until('2024-03-31 01:00+01', '21:00', '02:30', 'Europe/Berlin') AT TIME ZONE 'Europe/Berlin' AS skipped_hour,
	retention.quiet_until('2024-10-27 02:15+02', '21:00', '02:30', 'Europe/Berlin') > '2024-10-27 02:15+02' AS first_of_two,
	retention.quiet_until('2024-10-27 02:15+01', '21:00', '02:30', 'Europe/Berlin') AS second_of_two;

-- No moment of a year is put off to a moment that is quiet again, nor for more than the night.
SELECT count(*) FILTER (WHERE retention.quiet_until(until, '21:00', '08:00', zone) IS NOT NULL) AS quiet_again,
	count(*) FILTER (WHERE until <= at OR until > at + interval '12 hours') AS too_long,
	count(until) > 0 AS some
FROM (
	SELECT zone, at, retention.quiet_until(at, '21:00', '08:00', zone) AS until
	FROM generate_series(timestamptz '2024-01-01', '2024-12-31', '1 hour 17 minutes') AS at,
		unnest('{Asia/Shanghai,Europe/Berlin,America/New_York,Australia/Lord_Howe,Africa/Casablanca}'::text[]) AS zone
) AS year;
RESET timezone;
