// The questions of bench/analytics.sh: each asked of PostgreSQL (plain SQL,
// our aggregates over the orders, our aggregates over kept histories) and of
// DuckDB (the orders, and a rollup by customer), timed, and compared cell by
// cell.  Usage: node analytics.mjs FOLDER ORDERS REPETITIONS; PG* variables say
// where the server is, ANALYTICS_PSQL which psql to use.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';

const [folder, orders, repetitions] = process.argv.slice(2);
const require = createRequire(folder + '/duckdb/');
const { DuckDBInstance } = require('@duckdb/node-api');
const psql = process.env.ANALYTICS_PSQL ?? 'psql';
const AT = "'2024-01-01 00:00+00'";
const FROM_ORDERS = '(SELECT retention.purchase_history(paid_at, amount) AS history FROM orders GROUP BY customer_id) AS h';
const month = column => `date_trunc('month', timezone('UTC', ${column}))::date`;

// What is compared are counts and sums: every rate is a quotient of two.
const kept = (list, call, where = '') => source =>
	`SELECT ${list} FROM (SELECT (unnest(${call})).* FROM ${source}) AS r ${where} ORDER BY 1, 2`;
const N = [1, 3, 7, 30, 90];
const QUINTILES = ranked => `SELECT r, f, m, count(*) FROM (
	SELECT 1 + 5 * (rank() OVER (ORDER BY l) - 1) / n AS r, 1 + 5 * (rank() OVER (ORDER BY p) - 1) / n AS f, 1 + 5 * (rank() OVER (ORDER BY s) - 1) / n AS m
	FROM (${ranked}) AS c) AS q GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`;
const RFM_OURS = (call, source) => `SELECT recency, frequency, monetary, customers FROM (SELECT (unnest(${call})).* FROM ${source}) AS r ORDER BY 1, 2, 3`;

const questions = [
	{
		name: 'cohorts by month',
		plain: `WITH cm AS (SELECT customer_id, ${month('paid_at')} AS m, sum(amount) AS v FROM orders GROUP BY 1, 2),
			f AS (SELECT customer_id, min(m) AS c FROM cm GROUP BY 1)
			SELECT c, (extract(year FROM m) * 12 + extract(month FROM m) - extract(year FROM c) * 12 - extract(month FROM c))::int AS since, count(*), sum(v)
			FROM cm JOIN f USING (customer_id) GROUP BY 1, 2 ORDER BY 1, 2`,
		ours: kept('cohort, periods_since, customers, round(value, 2)', `retention.cohort_matrix(history, 'month', 'UTC', ${AT})`, 'WHERE customers > 0'),
		duckdb: `WITH cm AS (SELECT customer_id, date_trunc('month', paid_at) AS m, sum(amount) AS v FROM orders GROUP BY 1, 2),
			f AS (SELECT customer_id, min(m) AS c FROM cm GROUP BY 1)
			SELECT c::date, datediff('month', c, m), count(*), sum(v) FROM cm JOIN f USING (customer_id) GROUP BY 1, 2 ORDER BY 1, 2`,
		rollup: `WITH u AS (SELECT customer_id, date_trunc('month', t[1]) AS c, date_trunc('month', unnest(t)) AS m, unnest(a) AS v FROM rollup),
			cm AS (SELECT customer_id, c, m, sum(v) AS v FROM u GROUP BY 1, 2, 3)
			SELECT c::date, datediff('month', c, m), count(*), sum(v) FROM cm GROUP BY 1, 2 ORDER BY 1, 2`,
	},
	{
		name: 'next month',
		plain: `WITH cm AS (SELECT DISTINCT customer_id, ${month('paid_at')} AS m FROM orders)
			SELECT a.m, count(*), count(b.customer_id) FROM cm AS a
			LEFT JOIN cm AS b ON b.customer_id = a.customer_id AND b.m = (a.m + interval '1 month')::date
			WHERE a.m < '2023-12-01' GROUP BY 1 ORDER BY 1, 2`,
		ours: kept('period, customers, returned', `retention.next_period_rates(history, 'month', 1, 'UTC', ${AT})`, 'WHERE returned IS NOT NULL'),
		duckdb: `WITH cm AS (SELECT DISTINCT customer_id, date_trunc('month', paid_at)::date AS m FROM orders)
			SELECT a.m, count(*), count(b.customer_id) FROM cm AS a
			LEFT JOIN cm AS b ON b.customer_id = a.customer_id AND b.m = a.m + INTERVAL 1 MONTH
			WHERE a.m < '2023-12-01' GROUP BY 1 ORDER BY 1, 2`,
		rollup: `WITH cm AS (SELECT customer_id, unnest(list_distinct(list_transform(t, lambda x: datediff('month', TIMESTAMP '2000-01-01', x)))) AS m FROM rollup)
			SELECT (DATE '2000-01-01' + to_months(a.m::INTEGER))::date, count(*), count(b.customer_id) FROM cm AS a
			LEFT JOIN cm AS b ON b.customer_id = a.customer_id AND b.m = a.m + 1
			WHERE a.m < 287 GROUP BY 1 ORDER BY 1, 2`,
	},
	{
		name: 'X-order, 30 days',
		plain: `SELECT x, count(*), count(*) FILTER (WHERE n - t <= interval '30 days') FROM (
			SELECT row_number() OVER w AS x, paid_at AS t, lead(paid_at) OVER w AS n FROM orders WINDOW w AS (PARTITION BY customer_id ORDER BY paid_at)) AS s
			WHERE t <= timestamptz ${AT} - interval '30 days' GROUP BY 1 ORDER BY 1, 2`,
		ours: kept('x, customers, returned', `retention.x_order_rates(history, '30 days', ${AT})`),
		duckdb: `SELECT x, count(*), count(*) FILTER (WHERE n - t <= INTERVAL 30 DAY) FROM (
			SELECT row_number() OVER w AS x, paid_at AS t, lead(paid_at) OVER w AS n FROM orders WINDOW w AS (PARTITION BY customer_id ORDER BY paid_at)) AS s
			WHERE t <= TIMESTAMP '2023-12-02' GROUP BY 1 ORDER BY 1, 2`,
		rollup: `SELECT x, count(*), count(*) FILTER (WHERE n - t <= INTERVAL 30 DAY) FROM (
			SELECT generate_subscripts(t, 1) AS x, unnest(t) AS t, unnest(list_append(t[2:], NULL)) AS n FROM rollup) AS s
			WHERE t <= TIMESTAMP '2023-12-02' GROUP BY 1 ORDER BY 1, 2`,
	},
	{
		name: 'back within N days',
		plain: `SELECT n, count(*), count(*) FILTER (WHERE s - f <= n) FROM (
			SELECT customer_id, min(d) AS f, (array_agg(d ORDER BY d))[2] AS s
			FROM (SELECT customer_id, timezone('UTC', paid_at)::date AS d FROM orders) AS o GROUP BY 1) AS c, unnest('{${N}}'::int[]) AS n
			WHERE f + n < '2024-01-01' GROUP BY 1 ORDER BY 1, 2`,
		ours: kept('days, customers, returned', `retention.retention_curve(history, 'within', '{${N}}', 'UTC', ${AT})`),
		duckdb: `SELECT n, count(*), count(*) FILTER (WHERE s - f <= n) FROM (
			SELECT l[1]::date AS f, l[2]::date AS s FROM (SELECT min(paid_at, 2) AS l FROM orders GROUP BY customer_id)) AS c, (SELECT unnest([${N}]) AS n)
			WHERE f + n < DATE '2024-01-01' GROUP BY 1 ORDER BY 1, 2`,
		rollup: `SELECT n, count(*), count(*) FILTER (WHERE s - f <= n) FROM (
			SELECT t[1]::date AS f, t[2]::date AS s FROM rollup) AS c, (SELECT unnest([${N}]) AS n)
			WHERE f + n < DATE '2024-01-01' GROUP BY 1 ORDER BY 1, 2`,
	},
	{
		name: 'repurchase by month',
		plain: `SELECT m, count(*), count(*) FILTER (WHERE n > 1) FROM (
			SELECT customer_id, ${month('paid_at')} AS m, count(*) AS n FROM orders GROUP BY 1, 2) AS c GROUP BY 1 ORDER BY 1, 2`,
		ours: kept('period, customers, repeaters', `retention.repurchase_rates(history, 'month', 'UTC', ${AT})`),
		duckdb: `SELECT m::date, count(*), count(*) FILTER (WHERE n > 1) FROM (
			SELECT customer_id, date_trunc('month', paid_at) AS m, count(*) AS n FROM orders GROUP BY 1, 2) AS c GROUP BY 1 ORDER BY 1, 2`,
		rollup: `SELECT m::date, count(*), count(*) FILTER (WHERE n > 1) FROM (
			SELECT customer_id, date_trunc('month', x) AS m, count(*) AS n FROM (SELECT customer_id, unnest(t) AS x FROM rollup) AS u GROUP BY 1, 2) AS c GROUP BY 1 ORDER BY 1, 2`,
	},
	{
		name: 'RFM scores',
		plain: QUINTILES('SELECT max(paid_at) AS l, count(*) AS p, sum(amount) AS s, count(*) OVER () AS n FROM orders GROUP BY customer_id'),
		ours: (source, raw) => raw
			? RFM_OURS('retention.rfm_matrix(customer_id, paid_at, amount)', 'orders')
			: RFM_OURS(`retention.rfm_matrix(history, ${AT})`, source),
		duckdb: QUINTILES('SELECT max(paid_at) AS l, count(*) AS p, sum(amount) AS s, count(*) OVER () AS n FROM orders GROUP BY customer_id').replaceAll(') / n', ') // n'),
		rollup: QUINTILES('SELECT t[len(t)] AS l, len(t) AS p, list_sum(a) AS s, count(*) OVER () AS n FROM rollup').replaceAll(') / n', ') // n'),
	},
	{
		name: 'repurchase_rate',
		plain: 'SELECT count(*), count(*) FILTER (WHERE n > 1) FROM (SELECT count(*) AS n FROM orders GROUP BY customer_id) AS c',
		ours: (source, raw) => raw
			? `SELECT count, round(rate * count) FROM (SELECT retention.repurchase_rate(customer_id) AS rate FROM orders) AS r, (SELECT count(*) FROM histories) AS c`
			: `SELECT count(*), count(*) FILTER (WHERE retention.purchases(history) > 1) FROM ${source}`,
		duckdb: 'SELECT count(*), count(*) FILTER (WHERE n > 1) FROM (SELECT count(*) AS n FROM orders GROUP BY customer_id) AS c',
		rollup: 'SELECT count(*), count(*) FILTER (WHERE len(t) > 1) FROM rollup',
	},
	{
		name: 'count(*), sum(amount)',
		plain: 'SELECT count(*), sum(amount) FROM orders',
		ours: (source, raw) => raw ? 'SELECT count(*), sum(amount) FROM orders' : `SELECT sum(retention.purchases(history)), round(sum(retention.spent(history)), 2) FROM ${source}`,
		duckdb: 'SELECT count(*), sum(amount) FROM orders',
		rollup: 'SELECT sum(len(t)), sum(list_sum(a)) FROM rollup',
	},
];

const median = list => list.sort((a, b) => a - b)[list.length >> 1];

function run(script) {
	const result = spawnSync(psql, ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1'], { input: script, encoding: 'utf8', maxBuffer: 1 << 28 });
	if (result.status !== 0)
		throw new Error(result.stderr + '\n' + script);
	return result.stdout;
}

// What one query gave back keeps the kernel busy for a while, at the cost of the
// next: before what is repeated there is a pause.
const pause = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3000);

function postgresql(query, workers, times) {
	const settings = `SET TimeZone = 'UTC'; SET max_parallel_workers_per_gather = ${workers}; SET work_mem = '256MB'; SET jit = off;`;
	const lines = run(`${settings}\n\\timing on\nCOPY (${query}) TO STDOUT WITH (FORMAT csv)`).trim().split('\n');
	const first = Number(/^Time: ([0-9.]+) ms/.exec(lines.pop())[1]);
	const rows = lines.join('\n');
	if (times === 1)
		return { rows, ms: first };
	pause();
	const timed = run(`${settings}\n\\timing on\n\\o /dev/null\n${(query.replaceAll('\n', ' ') + ';\n').repeat(times)}`);
	return { rows, ms: median([...timed.matchAll(/^Time: ([0-9.]+) ms/gm)].map(m => Number(m[1]))) };
}

const text = value => value === null ? '' : typeof value === 'object' ? value.toString() : String(value);

async function duckdb(connection, query, threads, times) {
	await connection.run(`SET threads = ${threads}`);
	pause();
	const ms = [];
	let rows;
	for (let i = 0; i < times; i++) {
		const start = process.hrtime.bigint();
		const reader = await connection.runAndReadAll(query);
		ms.push(Number(process.hrtime.bigint() - start) / 1e6);
		rows = reader.getRows().map(row => row.map(text).join(',')).join('\n');
	}
	return { rows, ms: median(ms) };
}

const instance = await DuckDBInstance.create(folder + '/duckdb/orders.duckdb');
const connection = await instance.connect();
let started = Date.now();
await connection.run(`CREATE TABLE orders AS SELECT * FROM read_csv('${folder}/orders.csv', header = false,
	columns = {'order_id': 'INTEGER', 'customer_id': 'INTEGER', 'paid_at': 'TIMESTAMP', 'amount': 'DECIMAL(10, 2)'})`);
const loaded = Date.now() - started;
started = Date.now();
await connection.run('CREATE TABLE rollup AS SELECT customer_id, list(paid_at ORDER BY paid_at) AS t, list(amount ORDER BY paid_at) AS a FROM orders GROUP BY 1');
console.log(`DuckDB: orders loaded in ${loaded} ms, rollup by customer built in ${Date.now() - started} ms`);
console.log(`\n${orders} orders, milliseconds, medians of ${repetitions} (of the first two columns: once); 1 thread / 2 threads (PostgreSQL: no worker / 1 worker)`);
console.log('question'.padEnd(22), ...['plain SQL', 'ours, orders', 'ours, kept', 'DuckDB', 'DuckDB rollup'].map(h => h.padStart(17)), 'DuckDB / kept'.padStart(15));

let wrong = 0;
for (const question of questions) {
	const cells = { plain: [], raw: [], kept: [], duckdb: [], rollup: [] };
	for (const threads of [1, 2]) {
		cells.plain.push(postgresql(question.plain, threads - 1, 1));
		cells.raw.push(postgresql(question.ours(FROM_ORDERS, true), threads - 1, 1));
		cells.kept.push(postgresql(question.ours('histories', false), threads - 1, Number(repetitions)));
		cells.duckdb.push(await duckdb(connection, question.duckdb, threads, Number(repetitions)));
		cells.rollup.push(await duckdb(connection, question.rollup, threads, Number(repetitions)));
	}
	const two = list => list.map(c => c.ms.toFixed(0)).join(' / ').padStart(17);
	const ratios = cells.duckdb.map((c, i) => (c.ms / cells.kept[i].ms).toFixed(1)).join(' / ');
	console.log(question.name.padEnd(22), two(cells.plain), two(cells.raw), two(cells.kept), two(cells.duckdb), two(cells.rollup), ratios.padStart(15));
	for (const [variant, list] of Object.entries(cells)) {
		for (const cell of list) {
			if (cell.rows !== cells.plain[0].rows) {
				wrong++;
				const ours = cell.rows.split('\n'), plain = cells.plain[0].rows.split('\n');
				const at = ours.findIndex((row, i) => row !== plain[i]);
				console.error(`${question.name}: ${variant} has ${ours.length} rows, plain SQL ${plain.length}; first difference: ${ours[at]} | ${plain[at]}`);
			}
		}
	}
}

// What one pass over the orders costs, beside the cheapest there is.
const pair = query => [0, 1].map(workers => postgresql(query, workers, Number(repetitions)).ms);
const show = (name, ms, base) => console.log(name.padEnd(44), ms.map(m => m.toFixed(0)).join(' / ').padStart(15),
	ms.map((m, i) => (m / base[i]).toFixed(2)).join(' / ').padStart(15));
console.log('\nOne pass over the orders, no worker / 1 worker: milliseconds, times as long as count(*), sum(amount)');
const floor = pair('SELECT count(*), sum(amount) FROM orders');
show('count(*), sum(amount)', floor, floor);
show('repurchase_rate(customer_id)', pair('SELECT retention.repurchase_rate(customer_id) FROM orders'), floor);
show('rfm_matrix(customer_id, paid_at, amount)', pair('SELECT retention.rfm_matrix(customer_id, paid_at, amount) FROM orders'), floor);

run('CREATE TABLE totals AS SELECT customer_id, max(paid_at) AS l, count(*) AS p, sum(amount) AS s FROM orders GROUP BY 1; VACUUM ANALYZE totals');
console.log('\nScores of every customer, from one row a customer, no worker: milliseconds');
const scored = 'SELECT customer_id, retention.rfm_score(l, p, s) OVER () AS score FROM totals';
const window = postgresql(`SELECT count(score) FROM (${scored} OFFSET 0) AS q`, 0, Number(repetitions)).ms;
const ntile = postgresql('SELECT count(r), count(f), count(m) FROM (SELECT ntile(5) OVER (ORDER BY l) AS r, ntile(5) OVER (ORDER BY p) AS f, ntile(5) OVER (ORDER BY s) AS m FROM totals OFFSET 0) AS q',
	0, Number(repetitions)).ms;
console.log(`rfm_score() ${window.toFixed(0)}, three ntile(5) ${ntile.toFixed(0)}: ${(ntile / window).toFixed(1)} times as long`);
const differing = run(`SELECT count(*) FROM (SELECT (score).*, 1 + 5 * (rank() OVER (ORDER BY l) - 1) / n AS r, 1 + 5 * (rank() OVER (ORDER BY p) - 1) / n AS f,
	1 + 5 * (rank() OVER (ORDER BY s) - 1) / n AS m FROM (SELECT *, count(*) OVER () AS n, retention.rfm_score(l, p, s) OVER () AS score FROM totals) AS t) AS q
	WHERE (recency, frequency, monetary) IS DISTINCT FROM (r, f, m)`.replaceAll('\n', ' ')).trim();
if (differing !== '0') {
	wrong++;
	console.error(`rfm_score(): ${differing} customers differ from rank()`);
}

if (wrong > 0) {
	console.error(`${wrong} answers differ`);
	process.exit(1);
}
console.log('\nAll answers are equal, cell by cell.');
