-- The cohort triangle: the latest 13 cohorts, twelve months each.
-- Variable: shade (color, blocks or none).

WITH cell AS (
	SELECT cohort, size, months_since, retention,
		ceil(5 * retention / nullif(max(retention) FILTER (WHERE months_since BETWEEN 1 AND 12) OVER (), 0)) AS depth
	FROM retention.cohort_monthly
	WHERE cohort > (SELECT max(cohort) FROM retention.cohort_monthly) - interval '13 months'
), picture AS (
	SELECT cohort, size, months_since,
		CASE
			WHEN retention IS NULL THEN '    '
			WHEN :'shade' = 'color' THEN
				format(E'\x1b[48;5;%s;38;5;%sm%s \x1b[0m',
					(ARRAY[255, 194, 157, 114, 71, 28])[depth + 1], (ARRAY[245, 16, 16, 16, 231, 231])[depth + 1],
					lpad(round(100 * retention)::text, 3))
			WHEN :'shade' = 'blocks' THEN
				(ARRAY[' ', ' ', '░', '▒', '▓', '█'])[depth + 1] || lpad(round(100 * retention)::text, 2) || ' '
			ELSE lpad(round(100 * retention)::text, 3) || ' '
		END AS drawn
	FROM cell
	WHERE months_since BETWEEN 1 AND 12
), line AS (
	SELECT cohort, size, rtrim(string_agg(drawn, '' ORDER BY months_since)) AS drawn
	FROM picture
	GROUP BY cohort, size
)
SELECT 'cohort   customers' || string_agg(lpad(m::text, 3), ' ' ORDER BY m) || '  months later'
FROM generate_series(1, 12) AS m
UNION ALL
(SELECT to_char(cohort, 'YYYY-MM') || lpad(size::text, 10) || ' ' || drawn FROM line ORDER BY cohort);
