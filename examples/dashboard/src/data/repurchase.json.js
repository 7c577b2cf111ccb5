import { answer } from './database.js';

await answer({
	cohorts: `
		SELECT sizes.cohort, sizes.periods_since, sizes.result AS customers, rates.result AS rate
		FROM retention.cohorts(measure => 'customers') AS sizes
		JOIN retention.cohorts(measure => 'rate') AS rates USING (cohort, periods_since)
		ORDER BY 1, 2`,
	next_month: `SELECT * FROM retention.next_period() WHERE rate IS NOT NULL ORDER BY period`,
	next_quarter: `SELECT * FROM retention.next_period('quarter') WHERE rate IS NOT NULL ORDER BY period`,
	x_order: `SELECT x, customers, rate FROM retention.x_order() WHERE x <= 12 ORDER BY x`,
	magic: `SELECT retention.magic_number() AS x`,
	curve: `
		SELECT 'classic' AS mode, days, rate FROM retention.retention_curve('classic', '{1,3,7,14,30,60,90,180,365}')
		UNION ALL
		SELECT 'within', days, rate FROM retention.retention_curve('within', '{1,3,7,14,30,60,90,180,365}')
		UNION ALL
		SELECT 'rolling', days, rate FROM retention.retention_curve('rolling', '{1,3,7,14,30,60,90,180,365}')`,
	gaps: `
		SELECT x, fraction, customers, extract(epoch FROM gap) / 86400 AS days
		FROM retention.gap_to_next()
		WHERE x <= 8
		ORDER BY x, fraction`,
});
