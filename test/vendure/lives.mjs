// Lives of orders in a real Vendure, played through its own API; after each
// step what retention recorded is compared with what a person would say is
// right.  Run by test/run.sh.
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { Buyer, Owner } from './api.mjs';
import { attach, check, expect, finish, freePort, one, profileOf, recorded } from './live_shop.mjs';
import { startShop } from './shop.mjs';

const [TEAPOT, CUP] = ['1', '2'];
const port = await freePort();
const app = await startShop({ role: process.env.SHOP_ROLE, goodsFile: join(process.env.FOLDER ?? tmpdir(), 'goods.csv'), port });
const url = (api) => `http://127.0.0.1:${port}/${api}`;

// ---------------------------------------------------------------------------
// An order from before, then the one line that attaches the shop
// ---------------------------------------------------------------------------

const owner = new Owner(url('admin-api'));
await owner.logIn();
const bob = new Buyer(url('shop-api'));
await bob.register('bob@example.org', 'Bob');
const before = await bob.checkOut({ [CUP]: 1 });
await bob.pay();

await attach('vendure');
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
check('the customer is known as the shop knows them', await profileOf(order), { name: 'Ann Buyer', email: 'ann@example.org', phone: '+4930123' });
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

await finish('vendure', () => app.close());
