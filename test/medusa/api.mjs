// The shop's own API, as a storefront and as its owner's admin page use it.
// What the shop refuses is thrown, unless it is the refusal expected.

class Session {
	constructor(url) {
		this.url = url;
		this.headers = { 'content-type': 'application/json' };
	}

	async ask(method, path, body, refused) {
		const response = await fetch(this.url + path, {
			method,
			headers: this.headers,
			body: body && JSON.stringify(body),
		});
		const answer = await response.json();
		if (refused ? !answer.message?.includes(refused) : !response.ok) {
			throw new Error(`${method} ${path}: ${response.status} ${answer.message}`);
		}
		return answer;
	}

	get(path) {
		return this.ask('GET', path);
	}

	post(path, body = {}, refused) {
		return this.ask('POST', path, body, refused);
	}

	carry(token) {
		this.headers.authorization = `Bearer ${token}`;
	}
}

export class Buyer extends Session {
	constructor(shop) {
		super(shop.url);
		this.goods = shop.goods;
		this.headers['x-publishable-api-key'] = shop.goods.key;
	}

	async register(email, firstName) {
		const who = { email, password: 'secret-word' };

		this.email = email;
		this.carry((await this.post('/auth/customer/emailpass/register', who)).token);
		await this.post('/store/customers', { email, first_name: firstName, last_name: 'Buyer', phone: '+4930123' });
		this.carry((await this.post('/auth/customer/emailpass', who)).token);
	}

	// A cart with these goods, { sku: quantity }.
	async fill(quantities, email = this.email) {
		const { cart } = await this.post('/store/carts', {
			region_id: this.goods.region,
			email,
			shipping_address: {
				first_name: 'A',
				last_name: 'Buyer',
				address_1: 'Way 1',
				city: 'Berlin',
				postal_code: '10115',
				country_code: 'de',
			},
		});
		for (const [sku, quantity] of Object.entries(quantities)) {
			await this.post(`/store/carts/${cart.id}/line-items`, { variant_id: this.goods.variant[sku], quantity });
		}
		return cart;
	}

	// At the till: how to ship, how to pay; answers the order.
	async checkOut(cart, provider = 'card_card', { decline = false } = {}) {
		const { shipping_options: [option] } = await this.get(`/store/shipping-options?cart_id=${cart.id}`);
		await this.post(`/store/carts/${cart.id}/shipping-methods`, { option_id: option.id });
		const { payment_collection: till } = await this.post('/store/payment-collections', { cart_id: cart.id });
		await this.post(`/store/payment-collections/${till.id}/payment-sessions`, {
			provider_id: `pp_${provider}`,
			data: { decline },
		});
		const { order } = await this.post(`/store/carts/${cart.id}/complete`, {}, decline && 'was not authorized');
		return order;
	}

	async buy(quantities, { email, provider } = {}) {
		return this.checkOut(await this.fill(quantities, email), provider);
	}
}

export class Owner extends Session {
	async logIn(who) {
		this.carry((await this.post('/auth/user/emailpass', who)).token);
	}

	async look(order) {
		return (await this.get(`/admin/orders/${order.id}?fields=*items,*payment_collections,*payment_collections.payments`)).order;
	}

	// The order's items by sku, as the API wants them.
	async items(order, quantities) {
		const { items } = await this.look(order);
		return Object.entries(quantities).map(([sku, quantity]) => ({
			id: items.find((item) => item.variant_sku === sku).id,
			quantity,
		}));
	}

	async payment(order) {
		const { payment_collections: collections } = await this.look(order);
		return collections.flatMap((collection) => collection.payments)[0].id;
	}

	async capture(order, amount) {
		return this.post(`/admin/payments/${await this.payment(order)}/capture`, { amount });
	}

	async refund(order, amount) {
		return this.post(`/admin/payments/${await this.payment(order)}/refund`, { amount, note: 'a word' });
	}

	// One parcel; answers how the API names it and what is in it.
	async pack(order, quantities, warehouse) {
		const items = await this.items(order, quantities);
		const known = new Set((await this.parcels(order)).map((parcel) => parcel.id));
		await this.post(`/admin/orders/${order.id}/fulfillments`, { items, location_id: warehouse });
		const parcel = (await this.parcels(order)).find(({ id }) => !known.has(id));
		return { path: `/admin/orders/${order.id}/fulfillments/${parcel.id}`, items };
	}

	async parcels(order) {
		return (await this.get(`/admin/orders/${order.id}?fields=*fulfillments`)).order.fulfillments;
	}

	unpack(parcel) {
		return this.post(`${parcel.path}/cancel`);
	}

	ship(parcel) {
		return this.post(`${parcel.path}/shipments`, { items: parcel.items });
	}

	deliver(parcel) {
		return this.post(`${parcel.path}/mark-as-delivered`);
	}

	cancel(order) {
		return this.post(`/admin/orders/${order.id}/cancel`);
	}

	complete(order) {
		return this.post(`/admin/orders/${order.id}/complete`);
	}

	// Changes the order: variants to add, and items by sku with their new quantity.
	async edit(order, { add = {}, set = {}, variant }) {
		const path = `/admin/order-edits/${order.id}`;

		await this.post('/admin/order-edits', { order_id: order.id });
		for (const [sku, quantity] of Object.entries(add)) {
			await this.post(`${path}/items`, { items: [{ variant_id: variant[sku], quantity }] });
		}
		for (const { id, quantity } of await this.items(order, set)) {
			await this.post(`${path}/items/item/${id}`, { quantity });
		}
		await this.post(`${path}/request`);
		return this.post(`${path}/confirm`);
	}

	// What a customer sends back; answers the return, to be received.
	async takeBack(order, quantities, warehouse) {
		const items = await this.items(order, quantities);
		const { return: { id } } = await this.post('/admin/returns', { order_id: order.id, location_id: warehouse });

		await this.post(`/admin/returns/${id}/request-items`, { items });
		await this.post(`/admin/returns/${id}/request`);
		return { id, items };
	}

	// The same, with something else to go out for it.
	async exchange(order, quantities, instead, variant) {
		const items = await this.items(order, quantities);
		const { exchange } = await this.post('/admin/exchanges', { order_id: order.id });
		const path = `/admin/exchanges/${exchange.id}`;

		await this.post(`${path}/inbound/items`, { items });
		for (const [sku, quantity] of Object.entries(instead)) {
			await this.post(`${path}/outbound/items`, { items: [{ variant_id: variant[sku], quantity }] });
		}
		return { id: (await this.post(`${path}/request`)).return.id, items };
	}

	async receive({ id, items }) {
		await this.post(`/admin/returns/${id}/receive`);
		await this.post(`/admin/returns/${id}/receive-items`, { items });
		return this.post(`/admin/returns/${id}/receive/confirm`);
	}

	// An order that the owner enters for a customer.
	async draft(email, quantities, goods) {
		const items = Object.entries(quantities).map(([sku, quantity]) => ({ variant_id: goods.variant[sku], quantity }));
		return (await this.post('/admin/draft-orders', { region_id: goods.region, email, items })).draft_order;
	}

	// What an edit made dearer, paid by other ways.
	async markPaid(order) {
		const { payment_collections: collections } = await this.look(order);
		const open = collections.find((collection) => collection.status === 'not_paid');
		return this.post(`/admin/payment-collections/${open.id}/mark-as-paid`, { order_id: order.id });
	}
}
