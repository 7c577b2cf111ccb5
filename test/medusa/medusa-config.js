// Headless, and all in memory that is not in the database.
import { defineConfig } from '@medusajs/framework/utils';

const { PGHOST, PGPORT = '5432', PGDATABASE, SHOP_ROLE } = process.env;

export default defineConfig({
	admin: { disable: true },
	projectConfig: {
		databaseUrl: `postgres://${SHOP_ROLE}@${encodeURIComponent(PGHOST)}:${PGPORT}/${PGDATABASE}`,
		databaseDriverOptions: { connection: { ssl: false } },
		http: { storeCors: '*', adminCors: '*', authCors: '*', jwtSecret: 'a secret', cookieSecret: 'a secret' },
	},
	modules: [
		{
			resolve: '@medusajs/medusa/payment',
			options: { providers: [{ resolve: `${import.meta.dirname}/card.js`, id: 'card' }] },
		},
	],
});
