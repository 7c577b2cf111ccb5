// Opens every page of the dashboard in headless Chromium, in both languages.
// Wrong are: an empty chart or table, an error on the page or in its console,
// and a request to any other host.
//
//   node check.mjs URL [FOLDER FOR PICTURES]
import { chromium } from 'playwright-core';

const [url, pictures] = process.argv.slice(2);
const pages = ['index', 'customers', 'repurchase', 'points', 'care', 'products'];
const host = new URL(url).host;
let wrong = 0;

function complain(page, what) {
	wrong += 1;
	console.log(`# ${page}: ${what}`);
}

const browser = await chromium.launch({
	executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
	args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
		'--disable-component-update', '--disable-sync'],
});

for (const language of ['', 'zh/']) {
	for (const name of pages) {
		const path = `${language}${name}`;
		const tab = await browser.newPage({ viewport: { width: 1560, height: 1000 } });
		const before = wrong;
		tab.on('pageerror', (error) => complain(path, error.message));
		tab.on('console', (message) => {
			if (message.type() === 'error') {
				complain(path, message.text());
			}
		});
		tab.on('request', (request) => {
			const to = new URL(request.url());
			if (to.host !== host && !['data:', 'blob:'].includes(to.protocol)) {
				complain(path, `asks ${to.host}`);
			}
		});
		await tab.goto(`${url}${path}`, { waitUntil: 'networkidle' });
		await tab.waitForSelector('.cards', { timeout: 15000 }).catch(() => complain(path, 'has no cards'));
		for (const card of await tab.locator('.answer').all()) {
			const title = await card.locator('h2').innerText();
			const shapes = await card.locator('svg :is(rect, circle, line, path)[fill], svg g[aria-label] > :is(rect, circle, line, path)').count();
			const rows = await card.locator('tbody tr').count();
			const figures = await card.locator('.figure strong').count();
			if (shapes + rows + figures === 0) {
				complain(path, `"${title}" is empty`);
			}
		}
		const text = await tab.locator('body').innerText();
		for (const bad of ['undefined', 'NaN', '[object Object]']) {
			if (text.includes(bad)) {
				complain(path, `says ${bad}`);
			}
		}
		if (pictures) {
			await tab.screenshot({ path: `${pictures}/${path.replace('/', '-')}.png`, fullPage: true });
		}
		console.log(`${wrong === before ? 'ok' : 'not ok'} - ${path}, ${await tab.locator('.answer').count()} cards`);
		await tab.close();
	}
}
await browser.close();
process.exit(wrong ? 1 : 0);
