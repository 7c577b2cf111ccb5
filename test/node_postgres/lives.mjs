// A shop that writes through node-postgres: named prepared statements, from a
// pool of connections at once, and queued on one connection without waiting.
import pg from 'pg';

const shop = new pg.Pool({ user: process.env.SHOP_ROLE, max: 5 });
const retention = new pg.Client();
await retention.connect();
await shop.query(`
	CREATE TABLE public.orders (
		id serial PRIMARY KEY,
		customer integer,
		total numeric NOT NULL,
		refunded numeric NOT NULL DEFAULT 0,
		placed_at timestamptz NOT NULL DEFAULT now(),
		paid_at timestamptz
	)`);
await retention.query(`SELECT retention.attach_orders('public.orders', order_id => 'id', customer => 'customer', total => 'total',
	refunded => 'refunded', placed_at => 'placed_at', paid_at => 'paid_at')`);
await retention.query(`SELECT retention.enable_rule('unpaid_reminder')`);

const statements = {
	place: 'INSERT INTO public.orders (customer, total) VALUES ($1, $2) RETURNING id',
	pay: 'UPDATE public.orders SET paid_at = now() WHERE id = $1',
	refund: 'UPDATE public.orders SET refunded = $2 WHERE id = $1',
};
const run = (client, name, ...values) => client.query({ name, text: statements[name], values });

// Each life on a connection of its own: placed and paid in one transaction, refunded in the next.
async function life(n) {
	const client = await shop.connect();
	try {
		await client.query('BEGIN');
		const { rows } = await run(client, 'place', n % 7, 10);
		await run(client, 'pay', rows[0].id);
		await client.query(n % 11 === 0 ? 'ROLLBACK' : 'COMMIT');
		if (n % 11 !== 0 && n % 3 === 0) {
			await run(client, 'refund', rows[0].id, 4);
		}
	} finally {
		client.release();
	}
}
await Promise.all(Array.from({ length: 200 }, (_, n) => life(n)));

// All at once on one connection, a failure among them.
const client = await shop.connect();
const queued = Array.from({ length: 100 }, (_, n) => run(client, 'place', n % 7, n === 50 ? 'a lot' : 5));
const outcomes = await Promise.allSettled(queued);
client.release();

const { rows: [is] } = await retention.query(`
	SELECT count(*)::integer AS orders,
		count(*) FILTER (WHERE (o.customer::text, CASE WHEN o.paid_at IS NULL THEN 0 ELSE o.total END, o.refunded)
			IS DISTINCT FROM (p.customer_id, p.paid, p.refunded))::integer AS wrong,
		(SELECT count(*) FROM retention.care_message WHERE state = 'queued')::integer AS reminders,
		(SELECT count(*) FROM retention.sync_error)::integer AS errors,
		(SELECT count(*) FROM retention.check_ledger())::integer AS ledger
	FROM public.orders o
	FULL JOIN retention.purchase p ON p.order_id = o.id::text`);
const expected = { orders: 181 + 99, wrong: 0, reminders: 99, errors: 0, ledger: 0 };
const failed = outcomes.filter((outcome) => outcome.status === 'rejected').length;
console.log(JSON.stringify({ ...is, failed }));
await shop.end();
await retention.end();
process.exit(JSON.stringify(is) === JSON.stringify(expected) && failed === 1 ? 0 : 1);
