// The parts that pages are made of.
import * as Plot from '@observablehq/plot';

export const colors = ['#2f6f8f', '#e08b3d', '#6aa84f', '#b04a5a', '#7d6bb0', '#5d6d7e'];

function element(name, className, ...children) {
	const node = document.createElement(name);
	node.className = className;
	node.append(...children.filter((child) => child !== null && child !== undefined));
	return node;
}

// The whole page: a heading, then its cards.
export function page(title, note, ...cards) {
	return element('div', 'page', element('h1', '', title), note ? element('p', 'about', note) : null, element('div', 'cards', ...cards));
}

// A card holds one answer; wide ones take a whole row.
export function card({ title, note, wide = false }, ...content) {
	return element('section', wide ? 'answer wide' : 'answer', element('h2', '', title), note ? element('p', 'about', note) : null, ...content);
}

export function figures(items) {
	return element('div', 'figures', ...items.map(([value, name]) =>
		element('div', 'figure', element('strong', '', value), element('span', '', name))));
}

export const whole = (n) => (n ?? 0).toLocaleString('en', { maximumFractionDigits: 0 });
export const percent = (n) => (n === null || n === undefined ? '' : `${(100 * n).toFixed(1)}%`);
export const days = (n) => (n === null || n === undefined ? '' : n.toFixed(n < 10 ? 1 : 0));

// columns: [{ name, of: row => value, number }]
export function table(rows, columns) {
	const head = element('tr', '', ...columns.map((column) => element('th', column.number ? 'number' : '', column.name)));
	const body = rows.map((row) => element('tr', '', ...columns.map((column) =>
		element('td', column.number ? 'number' : '', String(column.of(row) ?? '')))));
	return element('div', 'table', element('table', '', element('thead', '', head), element('tbody', '', ...body)));
}

// A chart in the page's manner.  data is what it draws: where there is none, it says so.
export function chart(data, nothing, options) {
	if (data.length === 0) {
		return element('p', 'nothing', nothing);
	}
	const node = Plot.plot({
		width: 620,
		height: 260,
		marginLeft: 60,
		style: { background: 'transparent', fontSize: '11px', fontFamily: 'inherit' },
		...options,
		color: options.color?.scheme ? options.color : { range: colors, ...options.color },
	});
	node.classList.add('chart');
	return node;
}

export const day = (text) => new Date(`${text}T00:00:00Z`);
export { Plot };
