// Lives of orders in a real Medusa, played through its own API; after each
// step what retention recorded is compared with what a person would say is
// right.  Run by test/run.sh.
import { Buyer } from './api.mjs';
import { attach, check, expect, finish, freePort, one, profileOf, recorded } from './live_shop.mjs';
import { startShop } from './shop.mjs';

const shop = await startShop(await freePort());
const { owner } = shop;

const lines = async (order) => ({
	lines: await one(
		`SELECT string_agg(concat_ws(' ', product, trim_scale(quantity), trim_scale(amount)), ', ' ORDER BY product)
		FROM retention.lines() WHERE order_id = $1`,
		[order.id],
	),
});

async function deliver(order, quantities) {
	const parcel = await owner.pack(order, quantities, shop.goods.warehouse);
	await owner.ship(parcel);
	await owner.deliver(parcel);
}

// ---------------------------------------------------------------------------
// An order from before, then the one line that attaches the shop
// ---------------------------------------------------------------------------

const bob = new Buyer(shop);
await bob.register('bob@example.org', 'Bob');
const before = await bob.buy({ CUP: 1 });

await attach('medusa');
await expect('an order from before the attach counts, and calls for no message', before, {
	states: 'placed paid', value: 25, purchases: 1, messages: '',
});

// ---------------------------------------------------------------------------
// A registered customer
// ---------------------------------------------------------------------------

const ann = new Buyer(shop);
await ann.register('ann@example.org', 'Ann');
const cart = await ann.fill({ TEAPOT: 1, CUP: 2 });
check('a cart leaves no trace', await recorded(cart), { states: undefined, messages: '' });
await ann.checkOut(cart, 'card_card', { decline: true });
// Medusa commits the order before it asks for the money, and deletes it again
check('nor does the order of a declined card, and its reminder is gone', {
	purchases: await one(`SELECT count(*) FROM retention.purchase`),
	messages: await one(`SELECT string_agg(rule || ' ' || state, ', ') FROM retention.care_message`),
}, { purchases: '1', messages: 'unpaid_reminder cancelled' });
let order = await ann.checkOut(cart);
let messages = 'paid_thanks queued, unpaid_reminder cancelled';
await expect('with a good card it is a purchase, its points pending', order, {
	states: 'placed paid', total: 145, value: 145, purchases: 1, spent: 145, points: 0, pending: 145, messages,
});
check('the customer is known as the shop knows them', await profileOf(order), {
	name: 'Ann Buyer', email: 'ann@example.org', phone: '+4930123',
});
await owner.capture(order);
await expect('what was authorized is captured: nothing new', order, {
	states: 'placed paid', value: 145, purchases: 1, spent: 145, points: 0, pending: 145, messages,
});
const first = await owner.pack(order, { TEAPOT: 1 }, shop.goods.warehouse);
await owner.ship(first);
await expect('one of two parcels on its way is not yet shipped', order, { states: 'placed paid', messages });
const second = await owner.pack(order, { CUP: 2 }, shop.goods.warehouse);
await expect('the other one packed neither', order, { states: 'placed paid', messages });
await owner.ship(second);
messages = 'paid_thanks queued, shipped queued, unpaid_reminder cancelled';
await expect('both parcels on their way', order, { states: 'placed paid shipped', messages });
await owner.deliver(first);
await expect('one of two parcels arrived', order, { states: 'placed paid shipped', points: 0, messages });
await owner.deliver(second);
// who has it need not be told that it is on its way
messages = 'arrived queued, paid_thanks queued, shipped cancelled, unpaid_reminder cancelled';
await expect('both arrived: the points are there', order, {
	states: 'placed paid shipped delivered completed', points: 145, pending: 0, messages,
});
await owner.refund(order, 20);
messages = 'arrived queued, paid_thanks queued, refunded queued, shipped cancelled, unpaid_reminder cancelled';
await expect('a partial refund takes its points back', order, {
	states: 'placed paid shipped delivered completed', value: 125, refunded: 20, purchases: 1, spent: 125, points: 125, messages,
});
await owner.refund(order, 5);
messages = messages.replace('refunded queued', 'refunded queued, refunded queued');
await expect('a second one too', order, { value: 120, refunded: 25, spent: 120, points: 120, messages });
await owner.complete(order);
await expect('marked completed: nothing new', order, {
	states: 'placed paid shipped delivered completed', value: 120, points: 120, messages,
});
await owner.refund(order, 120);
await expect('wholly refunded is no purchase', order, { value: null, refunded: 145, purchases: 0, spent: 0, points: 0 });

// ---------------------------------------------------------------------------
// Guests; cancelled before and after the money was taken
// ---------------------------------------------------------------------------

const guest = new Buyer(shop);
order = await guest.buy({ TEAPOT: 1 }, { email: 'guest@example.org' });
await expect('a guest with a card', order, { states: 'placed paid', value: 105, purchases: 1, messages: 'paid_thanks queued, unpaid_reminder cancelled' });
check('the guest is known by the address', await profileOf(order), { email: 'guest@example.org' });
await owner.capture(order);
await owner.cancel(order);
await expect('a captured order cancelled is given back whole', order, {
	states: 'placed paid closed', value: null, refunded: 105, purchases: 0, spent: 0, points: 0, pending: 0,
	messages: 'paid_thanks cancelled, refunded queued, unpaid_reminder cancelled',
});
order = await guest.buy({ CUP: 2 }, { email: 'guest@example.org' });
await expect('the same guest again', order, { states: 'placed paid', value: 45, purchases: 1 });
await owner.cancel(order);
await expect('cancelled before the money was taken: no purchase, and nobody is told that it was not paid', order, {
	states: 'placed paid closed', value: null, refunded: 0, purchases: 0, spent: 0, pending: 0,
	messages: 'paid_thanks cancelled, unpaid_reminder cancelled',
});

// ---------------------------------------------------------------------------
// By bank transfer
// ---------------------------------------------------------------------------

const eve = new Buyer(shop);
await eve.register('eve@example.org', 'Eve');
order = await eve.buy({ CUP: 3 }, { provider: 'system_default' });
await expect('a transfer to come: one reminder waits', order, {
	states: 'placed', total: 65, value: null, purchases: 0, pending: 0, messages: 'unpaid_reminder queued',
});
await owner.capture(order, 30);
await expect('a part of it came', order, { states: 'placed', value: null, purchases: 0, messages: 'unpaid_reminder queued' });
await owner.capture(order, 35);
await expect('all came: a purchase, the reminder gone', order, {
	states: 'placed paid', value: 65, purchases: 1, pending: 65, messages: 'paid_thanks queued, unpaid_reminder cancelled',
});
order = await eve.buy({ CUP: 1 }, { provider: 'system_default' });
await owner.cancel(order);
await expect('cancelled unpaid: the reminder is gone, one word goes out', order, {
	states: 'placed closed', value: null, purchases: 1, messages: 'closed_unpaid queued, unpaid_reminder cancelled',
});

// ---------------------------------------------------------------------------
// An order changed after it was paid
// ---------------------------------------------------------------------------

order = await ann.buy({ CUP: 1 });
await owner.capture(order);
await owner.edit(order, { add: { TEAPOT: 1 }, variant: shop.goods.variant });
messages = 'paid_thanks queued, unpaid_reminder cancelled';
await expect('a teapot added: what was paid stays paid, nobody is reminded', order, {
	states: 'placed paid', total: 125, value: 25, purchases: 1, messages,
});
// each parcel makes another version of the order
await owner.unpack(await owner.pack(order, { CUP: 1 }, shop.goods.warehouse));
await expect('nor is anybody once the cup is packed', order, {
	states: 'placed paid', total: 125, value: 25, purchases: 1, messages,
});
await owner.markPaid(order);
await expect('the rest is paid', order, { total: 125, value: 125, spent: 125, pending: 125, messages });
await owner.edit(order, { set: { CUP: 0 } });
await expect('the cup taken out, its money not yet given back', order, { total: 105, value: 125, messages });
await owner.refund(order, 20);
await expect('and given back', order, {
	states: 'placed paid', total: 105, value: 105, refunded: 20, purchases: 1, spent: 105, pending: 105,
	messages: 'paid_thanks queued, refunded queued, unpaid_reminder cancelled',
});
check('what was bought is the teapot', await lines(order), { lines: 'TEAPOT 1 100' });
const wrong = await owner.pack(order, { TEAPOT: 1 }, shop.goods.warehouse);
await owner.unpack(wrong);
await expect('a parcel packed and unpacked', order, { states: 'placed paid' });
await owner.ship(await owner.pack(order, { TEAPOT: 1 }, shop.goods.warehouse));
await expect('what is left on its way', order, { states: 'placed paid shipped' });

// Medusa gives an authorization back when the order becomes cheaper, and wants
// another
order = await eve.buy({ TEAPOT: 1, CUP: 1 });
await owner.edit(order, { set: { CUP: 0 } });
await expect('a cup taken out before the money was taken: what is left is yet to be paid', order, {
	states: 'placed', total: 105, value: null, purchases: 1, spent: 65, pending: 65,
});
await owner.markPaid(order);
await expect('and is paid', order, { states: 'placed paid', total: 105, value: 105, purchases: 2, spent: 170, pending: 170 });

// ---------------------------------------------------------------------------
// A discount; something sent back
// ---------------------------------------------------------------------------

await owner.post('/admin/promotions', {
	code: 'TENTH',
	type: 'standard',
	status: 'active',
	application_method: { type: 'percentage', target_type: 'items', allocation: 'across', value: 10, currency_code: 'eur' },
});
const zoe = new Buyer(shop);
await zoe.register('zoe@example.org', 'Zoe');
const cheaper = await zoe.fill({ TEAPOT: 1, CUP: 1 });
await zoe.post(`/store/carts/${cheaper.id}/promotions`, { promo_codes: ['TENTH'] });
order = await zoe.checkOut(cheaper);
await expect('with a discount, what is left to pay counts', order, { states: 'placed paid', total: 113, value: 113, pending: 113 });
await owner.capture(order);
await deliver(order, { TEAPOT: 1, CUP: 1 });
await expect('arrived', order, { states: 'placed paid shipped delivered completed', points: 113, pending: 0 });
await owner.receive(await owner.takeBack(order, { CUP: 1 }, shop.goods.warehouse));
await expect('the cup sent back, its money not yet', order, {
	states: 'placed paid shipped delivered completed', value: 113, refunded: 0, points: 113,
});
await owner.refund(order, 18);
await expect('and its money given back', order, {
	states: 'placed paid shipped delivered completed', value: 95, refunded: 18, purchases: 1, spent: 95, points: 95,
});
await zoe.post('/store/customers/me', { first_name: 'Zora' });
check('a new name is known', await profileOf(order), { name: 'Zora Buyer', email: 'zoe@example.org' });

// ---------------------------------------------------------------------------
// A cup exchanged for a teapot
// ---------------------------------------------------------------------------

const kim = new Buyer(shop);
await kim.register('kim@example.org', 'Kim');
order = await kim.buy({ CUP: 1 });
await owner.capture(order);
await deliver(order, { CUP: 1 });
await expect('a cup arrived', order, { states: 'placed paid shipped delivered completed', value: 25, points: 25 });
const back = await owner.exchange(order, { CUP: 1 }, { TEAPOT: 1 }, shop.goods.variant);
messages = 'arrived cancelled, paid_thanks queued, shipped cancelled, unpaid_reminder cancelled';
await expect('a teapot wanted instead: it stays a purchase with its points', order, {
	states: 'placed paid', value: 25, purchases: 1, spent: 25, points: 25, messages,
});
await owner.receive(back);
await expect('the cup is back, the difference not yet paid', order, {
	states: 'placed paid', total: 105, value: 25, purchases: 1, spent: 25, points: 25, messages,
});
await owner.markPaid(order);
await expect('the difference paid', order, { total: 105, value: 105, refunded: 0, spent: 105, points: 105, messages });
await deliver(order, { TEAPOT: 1 });
await expect('the teapot arrived', order, {
	states: 'placed paid shipped delivered completed', value: 105, spent: 105, points: 105, pending: 0,
	messages: messages.replace('arrived cancelled', 'arrived queued'),
});

// ---------------------------------------------------------------------------
// What the owner enters; several at once
// ---------------------------------------------------------------------------

order = await owner.draft('zoe@example.org', { CUP: 2 }, shop.goods);
await expect('a draft is no order', order, { states: undefined, messages: '' });
await owner.post(`/admin/draft-orders/${order.id}/convert-to-order`);
await expect('made an order, it waits for its money', order, {
	states: 'placed', total: 40, value: null, messages: 'unpaid_reminder queued',
});

const many = await Promise.all(
	[ann, eve, zoe, bob].flatMap((buyer) => [buyer.buy({ CUP: 1 }), buyer.buy({ CUP: 2 })]),
);
check('eight orders at once are eight purchases', {
	value: await one(`SELECT sum(value)::integer FROM retention.purchase WHERE order_id = ANY ($1)`, [many.map(({ id }) => id)]),
}, { value: 280 });

await finish('medusa', shop.close);
