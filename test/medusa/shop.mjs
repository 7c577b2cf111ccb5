// A real Medusa shop, headless: its tables in the database that the PG*
// variables name, its API on the given port of 127.0.0.1.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { Owner } from './api.mjs';

const LOG = 'medusa.log';
const OWNER = { email: 'owner@example.org', password: 'owner' };

const log = openSync(LOG, 'a');
const run = (...words) =>
	spawn('node_modules/.bin/medusa', words, {
		env: { ...process.env, NODE_ENV: 'production' },
		stdio: ['ignore', log, log],
	});
const broken = (command, status) =>
	new Error(`medusa ${command}: exit status ${status}\n${readFileSync(LOG, 'utf8').slice(-3000)}`);

async function finished(...words) {
	const [status] = await once(run(...words), 'exit');
	if (status !== 0) {
		throw broken(words[0], status);
	}
}

// Answers the owner, logged in, what the shop sells and how to close it.
export async function startShop(port) {
	const url = `http://127.0.0.1:${port}`;

	await finished('db:migrate');
	await finished('user', '-e', OWNER.email, '-p', OWNER.password);
	const server = run('start', '-H', '127.0.0.1', '-p', String(port));
	const gone = once(server, 'exit');
	process.on('exit', () => server.kill('SIGKILL'));
	for (let answered = false; !answered; await wait(200)) {
		if (server.exitCode !== null) {
			throw broken('start', server.exitCode);
		}
		answered = await fetch(`${url}/health`).then((answer) => answer.ok, () => false);
	}
	const owner = new Owner(url);
	await owner.logIn(OWNER);
	return {
		owner,
		url,
		goods: await furnish(owner),
		async close() {
			server.kill('SIGTERM');
			await gone;
		},
	};
}

// A region, a warehouse, a way to ship, a teapot and a cup.
async function furnish(owner) {
	const make = async (path, body) => Object.values(await owner.post(`/admin/${path}`, body))[0];
	const [channel] = (await owner.get('/admin/sales-channels')).sales_channels;
	const region = await make('regions', {
		name: 'Germany',
		currency_code: 'eur',
		countries: ['de'],
		automatic_taxes: false,
		payment_providers: ['pp_card_card', 'pp_system_default'],
	});
	const warehouse = await make('stock-locations', { name: 'Warehouse' });
	await owner.post(`/admin/stock-locations/${warehouse.id}/sales-channels`, { add: [channel.id] });
	await owner.post(`/admin/stock-locations/${warehouse.id}/fulfillment-providers`, { add: ['manual_manual'] });
	const { fulfillment_sets: [set] } = await make(
		`stock-locations/${warehouse.id}/fulfillment-sets?fields=*fulfillment_sets`,
		{ name: 'Post', type: 'shipping' },
	);
	const { service_zones: [zone] } = await make(`fulfillment-sets/${set.id}/service-zones`, {
		name: 'Germany',
		geo_zones: [{ type: 'country', country_code: 'de' }],
	});
	const profile = await make('shipping-profiles', { name: 'Parcels', type: 'parcels' });
	await make('shipping-options', {
		name: 'Post',
		service_zone_id: zone.id,
		shipping_profile_id: profile.id,
		provider_id: 'manual_manual',
		price_type: 'flat',
		type: { label: 'Post', description: 'By post', code: 'post' },
		prices: [{ currency_code: 'eur', amount: 5 }],
		rules: [],
	});
	const variant = {};
	for (const [title, amount] of [['Teapot', 100], ['Cup', 20]]) {
		const product = await make('products', {
			title,
			status: 'published',
			shipping_profile_id: profile.id,
			sales_channels: [{ id: channel.id }],
			options: [{ title: 'Size', values: ['one'] }],
			variants: [
				{
					title,
					sku: title.toUpperCase(),
					manage_inventory: false,
					options: { Size: 'one' },
					prices: [{ currency_code: 'eur', amount }],
				},
			],
		});
		variant[product.variants[0].sku] = product.variants[0].id;
	}
	const key = await make('api-keys', { title: 'Web shop', type: 'publishable' });
	await owner.post(`/admin/api-keys/${key.id}/sales-channels`, { add: [channel.id] });
	return { key: key.token, region: region.id, warehouse: warehouse.id, variant };
}
