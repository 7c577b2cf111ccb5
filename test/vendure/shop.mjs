// A real Vendure shop, headless: its tables in the database that the PG*
// variables name, its API on a free port of 127.0.0.1.
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const core = require('@vendure/core');
const { populate } = require('@vendure/core/cli');

const goods = `name,slug,description,assets,facets,optionGroups,optionValues,sku,price,taxCategory,stockOnHand,trackInventory,variantAssets,variantFacets
Teapot,teapot,A teapot,,,,,TEAPOT,100.00,standard,1000,false,,
Cup,cup,A cup,,,,,CUP,20.00,standard,1000,false,,
`;

const initialData = {
	defaultLanguage: 'en',
	defaultZone: 'Europe',
	countries: [{ name: 'Germany', code: 'DE', zone: 'Europe' }],
	taxRates: [{ name: 'Standard Tax', percentage: 0 }],
	shippingMethods: [{ name: 'Post', price: 500 }],
	paymentMethods: [
		{
			name: 'Card',
			handler: { code: 'dummy-payment-handler', arguments: [{ name: 'automaticSettle', value: 'true' }] },
		},
		{
			name: 'Later',
			handler: { code: 'dummy-payment-handler', arguments: [{ name: 'automaticSettle', value: 'false' }] },
		},
	],
	collections: [],
};

export async function startShop({ role, goodsFile, port }) {
	writeFileSync(goodsFile, goods);
	const config = core.mergeConfig(core.defaultConfig, {
		apiOptions: { hostname: '127.0.0.1', port, adminApiPath: 'admin-api', shopApiPath: 'shop-api' },
		authOptions: {
			tokenMethod: 'bearer',
			requireVerification: false,
			superadminCredentials: { identifier: 'owner', password: 'owner' },
		},
		dbConnectionOptions: {
			type: 'postgres',
			host: process.env.PGHOST,
			port: Number(process.env.PGPORT ?? 5432),
			username: role,
			database: process.env.PGDATABASE,
			synchronize: true,
			migrations: [],
		},
		paymentOptions: { paymentMethodHandlers: [core.dummyPaymentHandler] },
		logger: new core.DefaultLogger({ level: core.LogLevel.Warn }),
		plugins: [],
	});
	return populate(() => core.bootstrap(config), initialData, goodsFile);
}
