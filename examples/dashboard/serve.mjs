// Serves the built pages on 127.0.0.1 and builds them anew every so many
// minutes, so that whoever opens one sees fresh figures.
//
//   node serve.mjs [PORT [MINUTES]]
import { spawn } from 'node:child_process';
import { createReadStream, existsSync, renameSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const [port = '0', minutes = '10'] = process.argv.slice(2);
const folder = fileURLToPath(new URL('.', import.meta.url));
const served = join(folder, 'served');
const types = {
	'.html': 'text/html; charset=utf-8',
	'.js': 'text/javascript; charset=utf-8',
	'.css': 'text/css; charset=utf-8',
	'.json': 'application/json; charset=utf-8',
	'.svg': 'image/svg+xml',
};

// The build goes to dist; what is served is replaced only when it worked.
function build() {
	return new Promise((resolve, reject) => {
		const child = spawn('npm', ['run', '--silent', 'build'], {
			cwd: folder,
			env: { ...process.env, OBSERVABLE_TELEMETRY_DISABLE: 'true' },
			stdio: ['ignore', 'pipe', 'inherit'],
		});
		let output = '';
		child.stdout.on('data', (data) => { output += data; });
		child.on('close', (code) => {
			if (code !== 0) {
				reject(new Error(`the build failed\n${output}`));
				return;
			}
			rmSync(served, { recursive: true, force: true });
			renameSync(join(folder, 'dist'), served);
			resolve();
		});
	});
}

function file(path) {
	const name = join(served, normalize(decodeURIComponent(path)));
	if (!name.startsWith(served)) {
		return null;
	}
	return [name, `${name}.html`, join(name, 'index.html')].find((n) => existsSync(n) && statSync(n).isFile()) ?? null;
}

await build();
setInterval(() => build().catch((error) => console.error(error.message)), Number(minutes) * 60000).unref();

const server = createServer((request, response) => {
	const name = file(new URL(request.url, 'http://localhost').pathname);
	if (!name) {
		response.writeHead(404).end('not found');
		return;
	}
	response.writeHead(200, { 'content-type': types[extname(name)] ?? 'application/octet-stream', 'cache-control': 'no-store' });
	createReadStream(name).pipe(response);
});
server.listen(Number(port), '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}/`));
