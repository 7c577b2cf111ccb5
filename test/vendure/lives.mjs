// Lives of orders in a real Vendure, played through its own API; after each
// step what retention recorded is compared with what a person would say is
// right.  Run by test/run.sh, which makes the database and names it in the PG*
// variables; the shop connects as the role SHOP_ROLE, which has no right on
// retention's tables.
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import pg from 'pg';
import { Buyer, Owner } from './api.mjs';
import { startShop } from './shop.mjs';

const [TEAPOT, CUP] = ['1', '2'];
let failed = 0;
let steps = 0;

async function freePort() {
	const server = createServer().listen(0, '127.0.0.1');
	await once(server, 'listening');
	const { port } = server.address();
	server.close();
	await once(server, 'close');
	return port;
}

const db = new pg.Client();
await db.connect();
const port = await freePort();
const app = await startShop({ role: process.env.SHOP_ROLE, goodsFile: join(process.env.FOLDER ?? tmpdir(), 'goods.csv'), port });
const url = (api) => `http://127.0.0.1:${port}/${api}`;

const rows = async (text, values) => (await db.query(text, values)).rows;
const one = async (text, values) => Object.values((await rows(text, values))[0] ?? { none: null })[0];

// What is recorded about an order and its customer, in a line.
async function recorded(order) {
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

function check(what, is, expected) {
	const wrong = Object.keys(expected).filter((key) => JSON.stringify(is[key]) !== JSON.stringify(expected[key]));
	steps += 1;
	console.log(`${wrong.length ? 'not ok' : 'ok'} ${steps} - ${what}`);
	for (const key of wrong) {
		failed += 1;
		console.log(`#   ${key}: ${JSON.stringify(is[key])}, expected ${JSON.stringify(expected[key])}`);
	}
}

const expect = async (what, order, expected) => check(what, await recorded(order), expected);

// ---------------------------------------------------------------------------
// An order from before, then the one line that attaches the shop
// ---------------------------------------------------------------------------

const owner = new Owner(url('admin-api'));
await owner.logIn();
const bob = new Buyer(url('shop-api'));
await bob.register('bob@example.org', 'Bob');
const before = await bob.checkOut({ [CUP]: 1 });
await bob.pay();

for (const found of await rows(`SELECT * FROM retention.attach_shop('vendure')`)) {
	console.log(`# ${Object.values(found).join(' | ')}`);
}
await db.query(`SELECT retention.enable_rule(rule) FROM unnest(ARRAY['unpaid_reminder', 'closed_unpaid',
	'paid_thanks', 'shipped', 'arrived', 'refunded']) AS rule`);
await db.query(`CALL retention.backfill('vendure')`);
await db.query(`CALL retention.backfill('public.customer')`);
await expect('an order from before the attach counts, and calls for no message', before, {
	states: 'placed paid', value: 25, purchases: 1, messages: '',
});

// ---------------------------------------------------------------------------
// A registered customer
// ---------------------------------------------------------------------------

const ann = new Buyer(url('shop-api'));
await ann.register('ann@example.org', 'Ann');
let order = await ann.checkOut({ [TEAPOT]: 1, [CUP]: 2 });
await expect('at the till: one reminder waits', order, {
	states: 'placed', total: 145, value: null, purchases: 0, points: 0, pending: 0, messages: 'unpaid_reminder queued',
});
const [profile] = await rows(
	`SELECT c.* FROM retention.customer c JOIN retention.purchase p USING (shop_id, customer_id) WHERE p.order_id = $1`,
	[order.id],
);
check('the customer is known as the shop knows them', profile, { name: 'Ann Buyer', email: 'ann@example.org', phone: '+4930123' });
await ann.pay('card', { decline: true });
await expect('a declined card changes nothing', order, { states: 'placed', value: null, messages: 'unpaid_reminder queued' });
await ann.pay('card');
let messages = 'paid_thanks queued, unpaid_reminder cancelled';
await expect('paid: a purchase, its points pending, the reminder gone', order, {
	states: 'placed paid', value: 145, purchases: 1, spent: 145, points: 0, pending: 145, messages,
});
const first = await owner.pack(order, { TEAPOT: 1 });
await owner.move(first, 'Shipped');
await expect('one of two parcels on its way is not yet shipped', order, { states: 'placed paid', messages });
const second = await owner.pack(order, { CUP: 2 });
await owner.move(second, 'Shipped');
messages = 'paid_thanks queued, shipped queued, unpaid_reminder cancelled';
await expect('both parcels on their way', order, { states: 'placed paid shipped', messages });
await owner.move(first, 'Delivered');
await expect('one of two parcels arrived', order, { states: 'placed paid shipped', points: 0, messages });
await owner.move(second, 'Delivered');
// who has it need not be told that it is on its way
messages = 'arrived queued, paid_thanks queued, shipped cancelled, unpaid_reminder cancelled';
await expect('both arrived: the points are there', order, {
	states: 'placed paid shipped delivered completed', points: 145, pending: 0, messages,
});
let refund = await owner.refund(order, 2000, 'a broken cup');
await expect('a refund promised gives nothing back yet', order, { value: 145, refunded: 0, points: 145, messages });
await owner.settleRefund(refund);
messages = 'arrived queued, paid_thanks queued, refunded queued, shipped cancelled, unpaid_reminder cancelled';
await expect('a partial refund takes its points back', order, {
	value: 125, refunded: 20, purchases: 1, spent: 125, points: 125, messages,
});
refund = await owner.refund(order, 12500, 'all of it');
await owner.settleRefund(refund);
await expect('wholly refunded is no purchase', order, { value: null, refunded: 145, purchases: 0, spent: 0, points: 0 });

// ---------------------------------------------------------------------------
// A guest; money that is only authorized; a paid order cancelled
// ---------------------------------------------------------------------------

const guest = new Buyer(url('shop-api'));
order = await guest.checkOut({ [TEAPOT]: 1 }, 'guest@example.org');
await expect('a guest at the till', order, { states: 'placed', total: 105, value: null, messages: 'unpaid_reminder queued' });
await guest.pay('later');
await expect('who has authorized the money is not reminded', order, { messages: 'paid_thanks queued, unpaid_reminder cancelled' });
await owner.settle(order);
await expect('settled', order, { states: 'placed paid', value: 105, purchases: 1, pending: 105 });
await owner.cancel(order);
refund = await owner.refund(order, 10500, 'cancelled');
await owner.settleRefund(refund);
await expect('a paid order cancelled and refunded is no purchase', order, {
	states: 'placed paid closed', value: null, purchases: 0, spent: 0, points: 0, pending: 0,
});

// ---------------------------------------------------------------------------
// An order changed after it was paid
// ---------------------------------------------------------------------------

order = await ann.checkOut({ [CUP]: 1 });
await ann.pay();
await owner.toState(order, 'Modifying');
await owner.modify(order, { addItems: [{ productVariantId: TEAPOT, quantity: 1 }] });
await expect('a teapot added: what was paid stays paid, nobody is reminded', order, {
	value: 25, purchases: 1, messages: 'paid_thanks queued, unpaid_reminder cancelled',
});
await owner.toState(order, 'ArrangingAdditionalPayment');
await owner.addPayment(order);
await owner.toState(order, 'PaymentSettled');
await expect('the rest is paid', order, { total: 125, value: 125, spent: 125, pending: 125 });
await owner.toState(order, 'Modifying');
const payment = await owner.payment(order);
await owner.modify(order, {
	adjustOrderLines: [{ orderLineId: order.line.CUP, quantity: 0 }],
	refund: { paymentId: payment, reason: 'without the cup' },
});
await owner.toState(order, 'PaymentSettled');
await expect('the cup taken out, its refund promised', order, { total: 105, value: 125 });
await owner.settleRefund(await one(`SELECT max(id) FROM public.refund`));
await expect('and settled', order, { value: 105, refunded: 20, purchases: 1, spent: 105, pending: 105 });

// ---------------------------------------------------------------------------
// What never became a purchase
// ---------------------------------------------------------------------------

const eve = new Buyer(url('shop-api'));
await eve.register('eve@example.org', 'Eve');
order = await eve.checkOut({ [CUP]: 3 });
await owner.toState(order, 'Cancelled');
await expect('cancelled unpaid: the reminder is gone, one word goes out', order, {
	states: 'placed closed', value: null, purchases: 0, messages: 'closed_unpaid queued, unpaid_reminder cancelled',
});
const cart = await eve.ask(`mutation { addItemToOrder(productVariantId: "${CUP}", quantity: 1) { ... on Order { id } } }`);
check('a cart leaves no trace', await recorded(cart.addItemToOrder), { states: undefined, messages: '' });

// ---------------------------------------------------------------------------
// The whole
// ---------------------------------------------------------------------------

const everything = () => one(`SELECT string_agg(p::text, E'\\n' ORDER BY order_id) FROM retention.purchase p`);
const kept = await everything();
await db.query(`SELECT retention.resync('vendure', everything => true)`);
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
await app.close();
console.log(`1..${steps}`);
process.exit(failed ? 1 : 0);
