-- Festivals: the dates shipped, against astronomy and against rules
CREATE SCHEMA festival;
SET search_path = festival;

-- Every festival falls once in every year from 2024 to 2035.
SELECT count(*) AS festivals, min(days) AS least, max(days) AS most, min(first_year) AS from_year, max(last_year) AS to_year
FROM (
	SELECT f.name, count(DISTINCT date_part('year', d.day)) AS days,
		min(date_part('year', d.day)) AS first_year, max(date_part('year', d.day)) AS last_year
	FROM retention.festival_default f
	JOIN retention.festival_day_default d ON d.name = f.name
	GROUP BY f.name
	HAVING count(*) = 12
) AS per_festival;

-- The lunar calendar by its definition, computed here: a month begins on the
-- day, in China, of the new moon; the month with the winter solstice is the
-- 11th; a year of 13 months repeats the number before the first month without
-- a major solar term.  New moons: Meeus, Astronomical Algorithms, chapter 49,
-- good to seconds; the sun's longitude: Newcomb's elements with the largest
-- perturbations, as in Meeus, Astronomical Formulae for Calculators, chapter 18,
-- good to 5 minutes in these years.
CREATE FUNCTION new_moon(k double precision)
	RETURNS double precision
	LANGUAGE plpgsql
AS $$
DECLARE
	t double precision := k / 1236.85;
	jde double precision := 2451550.09766 + 29.530588861 * k + 0.00015437 * t ^ 2 - 0.000000150 * t ^ 3 + 0.00000000073 * t ^ 4;
	e double precision := 1 - 0.002516 * t - 0.0000074 * t ^ 2;
	m double precision := 2.5534 + 29.10535670 * k - 0.0000014 * t ^ 2 - 0.00000011 * t ^ 3;
	n double precision := 201.5643 + 385.81693528 * k + 0.0107582 * t ^ 2 + 0.00001238 * t ^ 3 - 0.000000058 * t ^ 4;
	f double precision := 160.7108 + 390.67050284 * k - 0.0016118 * t ^ 2 - 0.00000227 * t ^ 3 + 0.000000011 * t ^ 4;
	o double precision := 124.7746 - 1.56375588 * k + 0.0020672 * t ^ 2 + 0.00000215 * t ^ 3;
BEGIN
	-- Terms: coefficient, power of e, multiples of m, n, f and o.
	RETURN jde + (
		SELECT sum(c * e ^ pe * sind(im * m + jn * n + lf * f + qo * o))
		FROM (VALUES
			(-0.40720, 0, 0, 1, 0, 0), (0.17241, 1, 1, 0, 0, 0), (0.01608, 0, 0, 2, 0, 0), (0.01039, 0, 0, 0, 2, 0),
			(0.00739, 1, -1, 1, 0, 0), (-0.00514, 1, 1, 1, 0, 0), (0.00208, 2, 2, 0, 0, 0), (-0.00111, 0, 0, 1, -2, 0),
			(-0.00057, 0, 0, 1, 2, 0), (0.00056, 1, 1, 2, 0, 0), (-0.00042, 0, 0, 3, 0, 0), (0.00042, 1, 1, 0, 2, 0),
			(0.00038, 1, 1, 0, -2, 0), (-0.00024, 1, -1, 2, 0, 0), (-0.00017, 0, 0, 0, 0, 1), (-0.00007, 0, 2, 1, 0, 0),
			(0.00004, 0, 0, 2, -2, 0), (0.00004, 0, 3, 0, 0, 0), (0.00003, 0, 1, 1, -2, 0), (0.00003, 0, 0, 2, 2, 0),
			(-0.00003, 0, 1, 1, 2, 0), (0.00003, 0, -1, 1, 2, 0), (-0.00002, 0, -1, 1, -2, 0), (-0.00002, 0, 1, 3, 0, 0),
			(0.00002, 0, 0, 4, 0, 0)) AS terms (c, pe, im, jn, lf, qo)
	) + (
		SELECT sum(c * 1e-6 * sind(a0 + a1 * k))
		FROM (VALUES
			(325, 299.77, 0.107408), (165, 251.88, 0.016321), (164, 251.83, 26.651886), (126, 349.42, 36.412478),
			(110, 84.66, 18.206239), (62, 141.74, 53.303771), (60, 207.14, 2.453732), (56, 154.84, 7.306860),
			(47, 34.52, 27.261239), (42, 207.19, 0.121824), (40, 291.34, 1.844379), (37, 161.72, 24.198154),
			(35, 239.56, 25.513099), (23, 331.55, 3.592518)) AS planets (c, a0, a1)
	);
END
$$;

CREATE FUNCTION sun_longitude(jde double precision)
	RETURNS double precision
	LANGUAGE plpgsql
AS $$
DECLARE
	t double precision := (jde - 2415020) / 36525;
	l double precision := 279.69668 + 36000.76892 * t + 0.0003025 * t ^ 2;
	m double precision := 358.47583 + 35999.04975 * t - 0.000150 * t ^ 2 - 0.0000033 * t ^ 3;
	x double precision := l
		+ (1.919460 - 0.004789 * t - 0.000014 * t ^ 2) * sind(m) + (0.020094 - 0.000100 * t) * sind(2 * m) + 0.000293 * sind(3 * m)
		+ 0.00134 * cosd(153.23 + 22518.7541 * t) + 0.00154 * cosd(216.57 + 45037.5082 * t)
		+ 0.00200 * cosd(312.69 + 32964.3577 * t) + 0.00179 * sind(350.74 + 445267.1142 * t - 0.00144 * t ^ 2)
		+ 0.00178 * sind(231.19 + 20.20 * t)
		- 0.00569 - 0.00479 * sind(259.18 - 1934.142 * t) - 0.00037 * sind(2 * l);
BEGIN
	RETURN x - 360 * floor(x / 360);
END
$$;

-- China's wall clock, 72 seconds behind dynamical time at most these years.
CREATE FUNCTION in_china(jde double precision)
	RETURNS timestamp
	LANGUAGE sql
	RETURN timestamp '2000-01-01 12:00' + make_interval(secs => (jde - 2451545) * 86400 - 71 + 8 * 3600);

CREATE TABLE new_moons AS
	SELECT k, in_china(new_moon(k)) AS at FROM generate_series(270, 460) AS k;
CREATE TABLE solar_terms (longitude integer, at timestamp);
DO $$
DECLARE
	j double precision;
BEGIN
	FOR degrees IN 0 .. 23 LOOP
		FOR y IN 2022 .. 2036 LOOP
			j := 2451545 + (y - 2000) * 365.2422 + 79 + 15 * degrees * 365.2422 / 360;
			FOR i IN 1 .. 8 LOOP
				j := j - (sun_longitude(j) - 15 * degrees + 540 - 360 * floor((sun_longitude(j) - 15 * degrees + 540) / 360) - 180) * 365.2422 / 360;
			END LOOP;
			INSERT INTO solar_terms VALUES (15 * degrees, in_china(j));
		END LOOP;
	END LOOP;
END
$$;

-- The new moons nearest to midnight, by minutes: further than the error.
SELECT to_char(at, 'YYYY-MM-DD HH24:MI') AS new_moon_in_china
FROM new_moons
WHERE abs(extract(epoch FROM at - date_trunc('day', at + interval '12 hours'))) < 6 * 60
ORDER BY at;

CREATE TABLE lunar_months AS
	WITH months AS (
		SELECT m.k, m.at::date AS first_day, lead(m.at::date) OVER (ORDER BY m.k) AS next_day
		FROM new_moons m
	), marked AS (
		SELECT m.*,
			EXISTS (SELECT FROM solar_terms s WHERE s.longitude = 270 AND s.at::date >= m.first_day AND s.at::date < m.next_day) AS has_solstice,
			EXISTS (SELECT FROM solar_terms s WHERE s.longitude % 30 = 0 AND s.at::date >= m.first_day AND s.at::date < m.next_day) AS has_major_term
		FROM months m
	), years AS (
		SELECT m.*, count(*) FILTER (WHERE has_solstice) OVER (ORDER BY k) AS y
		FROM marked m
	), counted AS (
		SELECT y.*,
			count(*) OVER (PARTITION BY y) AS months_of_year,
			row_number() OVER (PARTITION BY y ORDER BY k) AS n,
			count(*) FILTER (WHERE NOT has_major_term) OVER (PARTITION BY y ORDER BY k) AS without
		FROM years y
		WHERE y > 0
	)
	SELECT first_day,
		months_of_year = 13 AND without = 1 AND NOT has_major_term AS leap,
		(n + 9 - CASE WHEN months_of_year = 13 AND without > 0 THEN 1 ELSE 0 END) % 12 + 1 AS month
	FROM counted;

-- The leap months, as published: 2025 6, 2028 5, 2031 3, 2033 11.
SELECT first_day, month FROM lunar_months WHERE leap AND first_day BETWEEN '2024-01-01' AND '2035-12-31' ORDER BY first_day;

-- The shipped lunar dates are these.
SELECT f.name, count(*) AS days,
	count(*) FILTER (WHERE EXISTS (
		SELECT
		FROM lunar_months m
		WHERE m.month = f.month AND NOT m.leap AND m.first_day + f.day - 1 = d.day)) AS right_days
FROM (VALUES
	('laba_festival', 12, 8), ('spring_festival', 1, 1), ('lunar_new_years_eve', 1, 0), ('lantern_festival', 1, 15), ('dragon_boat_festival', 5, 5),
	('qixi', 7, 7), ('mid_autumn_festival', 8, 15), ('double_ninth_festival', 9, 9)) AS f (name, month, day)
JOIN retention.festival_day_default d ON d.name = f.name
GROUP BY f.name
ORDER BY f.name;

-- Solar terms too.
SELECT f.name, count(*) AS days,
	count(*) FILTER (WHERE EXISTS (SELECT FROM solar_terms s WHERE s.longitude = f.longitude AND s.at::date = d.day)) AS right_days
FROM (VALUES
	('qingming', 15), ('start_of_spring', 315), ('start_of_summer', 45), ('start_of_autumn', 135), ('start_of_winter', 225), ('winter_solstice', 270)) AS f (name, longitude)
JOIN retention.festival_day_default d ON d.name = f.name
GROUP BY f.name
ORDER BY f.name;

-- Those nearest to midnight: the two of 2035 fall at 23:54, exactly computed.
SELECT f.name, to_char(s.at, 'YYYY-MM-DD HH24:MI') AS in_china
FROM (VALUES
	('qingming', 15), ('start_of_spring', 315), ('start_of_summer', 45), ('start_of_autumn', 135), ('start_of_winter', 225), ('winter_solstice', 270)) AS f (name, longitude)
JOIN solar_terms s ON s.longitude = f.longitude AND s.at BETWEEN '2024-01-01' AND '2036-01-01'
WHERE abs(extract(epoch FROM s.at - date_trunc('day', s.at + interval '12 hours'))) < 20 * 60
ORDER BY s.at;

-- Spring Festival as almanacs publish it.
SELECT day FROM retention.festival_day_default WHERE name = 'spring_festival'
EXCEPT
SELECT unnest('{2024-02-10,2025-01-29,2026-02-17,2027-02-06,2028-01-26,2029-02-13,2030-02-03,2031-01-23,2032-02-11,2033-01-31,2034-02-19,2035-02-08}'::date[]);

-- Easter: the Sunday after the paschal full moon, by Gauss's rule for the 21st century.
SELECT count(*) AS right_days
FROM retention.festival_day_default f
CROSS JOIN LATERAL (SELECT date_part('year', f.day)::integer AS y) AS of_year
CROSS JOIN LATERAL (SELECT (19 * (y % 19) + 24) % 30 AS d) AS moon
CROSS JOIN LATERAL (SELECT (2 * (y % 4) + 4 * (y % 7) + 6 * d + 5) % 7 AS e) AS sunday
WHERE f.name = 'easter' AND f.day = make_date(y, 3, 22) + d + e;

-- Days by the week: mothers', fathers' day and Thanksgiving.
SELECT name, count(*) AS days, array_agg(DISTINCT to_char(day, 'FMDay') || ' of week ' || (date_part('day', day)::integer + 6) / 7 || ' of ' || to_char(day, 'FMMonth')) AS what
FROM retention.festival_day_default
WHERE name IN ('mothers_day', 'fathers_day', 'thanksgiving')
GROUP BY name
ORDER BY name;

-- These are the same day every year.
SELECT name, array_agg(DISTINCT to_char(day, 'MM-DD')) AS day
FROM retention.festival_day_default
GROUP BY name
HAVING count(DISTINCT to_char(day, 'MM-DD')) = 1
ORDER BY day, name;

-- Who is greeted on what by default, and a shop's own days.
INSERT INTO retention.shop (shop_id, name) VALUES (1, 'shop');
SELECT name, title FROM retention.festivals WHERE greeted AND day BETWEEN '2026-01-01' AND '2026-12-31' ORDER BY day, name;
UPDATE retention.shop SET language = 'en';
SELECT name, title FROM retention.festivals WHERE greeted AND day BETWEEN '2026-01-01' AND '2026-12-31' ORDER BY day, name;
INSERT INTO retention.festival (shop_id, name, day, title, greeting)
VALUES
	(1, 'anniversary', '2026-03-03', 'our anniversary', 'we are three years old today: thank you!'),
	(1, 'christmas', '2026-12-24', 'Christmas Eve', 'merry Christmas!');
SELECT name, day, title, shipped FROM retention.festivals WHERE day >= '2026-01-01' AND (NOT shipped OR name = 'christmas') ORDER BY day;

DELETE FROM retention.festival;
DELETE FROM retention.shop;
SET client_min_messages = error;
DROP SCHEMA festival CASCADE;
