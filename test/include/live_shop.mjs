// What the lives of all running shops share: the database, a free port, and the
// comparison of what retention recorded with what a person would say is right.
// test/run.sh puts it beside the shop's own files, makes the database, names it
// in the PG* variables and in SHOP_ROLE the shop's role, which has no right on
// retention's tables.
import { once } from 'node:events';
import { createServer } from 'node:net';
import pg from 'pg';

let failed = 0;
let steps = 0;

export const db = new pg.Client();
await db.connect();

export const rows = async (text, values) => (await db.query(text, values)).rows;
export const one = async (text, values) => Object.values((await rows(text, values))[0] ?? { none: null })[0];

export async function freePort() {
	const server = createServer().listen(0, '127.0.0.1');
	await once(server, 'listening');
	const { port } = server.address();
	server.close();
	await once(server, 'close');
	return port;
}

// Attaches, with the messages that the lives are about.
export async function attach(shop) {
	for (const found of await rows(`SELECT * FROM retention.attach_shop($1)`, [shop])) {
		console.log(`# ${Object.values(found).join(' | ')}`);
	}
	await db.query(`SELECT retention.enable_rule(rule) FROM unnest(ARRAY['unpaid_reminder', 'closed_unpaid',
		'paid_thanks', 'shipped', 'arrived', 'refunded']) AS rule`);
	await db.query(`CALL retention.backfill('${shop}')`);
	await db.query(`CALL retention.backfill('public.customer')`);
}

// What is recorded about an order and its customer, in a line.
export async function recorded(order) {
	const [purchase] = await rows(
		`SELECT p.*, retention.points_balance(p.customer_id) AS points,
			(SELECT coalesce(sum(points), 0) FROM retention.points_pending(p.customer_id)) AS pending,
			c.purchases, c.spent
		FROM retention.purchase p
		JOIN retention.customers c USING (shop_id, customer_id)
		WHERE p.order_id = $1`,
		[order.id],
	);
	const messages = await one(
		`SELECT string_agg(rule || ' ' || state, ', ' ORDER BY rule) FROM retention.care_message WHERE order_id = $1`,
		[order.id],
	);
	if (!purchase) {
		return { messages: messages ?? '' };
	}
	return {
		states: ['placed', 'paid', 'shipped', 'delivered', 'completed', 'closed']
			.filter((state) => purchase[`${state}_at`] !== null)
			.join(' '),
		total: Number(purchase.total),
		value: purchase.value === null ? null : Number(purchase.value),
		refunded: Number(purchase.refunded),
		purchases: Number(purchase.purchases),
		spent: Number(purchase.spent),
		points: Number(purchase.points),
		pending: Number(purchase.pending),
		messages: messages ?? '',
	};
}

export function check(what, is, expected) {
	const wrong = Object.keys(expected).filter((key) => JSON.stringify(is[key]) !== JSON.stringify(expected[key]));
	steps += 1;
	console.log(`${wrong.length ? 'not ok' : 'ok'} ${steps} - ${what}`);
	for (const key of wrong) {
		failed += 1;
		console.log(`#   ${key}: ${JSON.stringify(is[key])}, expected ${JSON.stringify(expected[key])}`);
	}
}

export const expect = async (what, order, expected) => check(what, await recorded(order), expected);

// The customer whose order this is.
export const profileOf = async (order) =>
	(
		await rows(
			`SELECT c.* FROM retention.customer c JOIN retention.purchase p USING (shop_id, customer_id) WHERE p.order_id = $1`,
			[order.id],
		)
	)[0];

// The end of the lives: the whole is checked and the shop closed.
export async function finish(shop, close) {
	const everything = () => one(`SELECT string_agg(p::text, E'\\n' ORDER BY order_id) FROM retention.purchase p`);
	const kept = await everything();
	await db.query(`SELECT retention.resync('${shop}', everything => true)`);
	check('the books are right, and reading all orders again changes nothing', {
		errors: await one('SELECT count(*) FROM retention.sync_error'),
		ledger: await one('SELECT count(*) FROM retention.check_ledger()'),
		same: (await everything()) === kept,
	}, { errors: '0', ledger: '0', same: true });
	check('the shop has no right on our tables', {
		tables: await one(
			`SELECT count(*) FROM pg_class
			WHERE relnamespace = 'retention'::regnamespace AND relkind IN ('r', 'v')
				AND has_table_privilege($1, oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')`,
			[process.env.SHOP_ROLE],
		),
	}, { tables: '0' });
	await db.end();
	await close();
	console.log(`1..${steps}`);
	process.exit(failed ? 1 : 0);
}
