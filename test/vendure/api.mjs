// The shop's own API, as a storefront and as its owner's admin page use it.
// An answer of a type that the shop uses to refuse (…Error) is thrown, unless
// it is the one expected.

export class Session {
	constructor(url) {
		this.url = url;
		this.token = null;
	}

	async ask(query, variables = {}) {
		const response = await fetch(this.url, {
			method: 'POST',
			headers: {
				'content-type': 'application/json',
				...(this.token ? { authorization: `Bearer ${this.token}` } : {}),
			},
			body: JSON.stringify({ query, variables }),
		});
		const body = await response.json();
		if (body.errors) {
			throw new Error(`${query.trim().split('\n')[0]}: ${body.errors.map((e) => e.message).join('; ')}`);
		}
		this.token = response.headers.get('vendure-auth-token') ?? this.token;
		return body.data;
	}

	// One field, whose answer may be a refusal.
	async do(query, variables = {}, { refused } = {}) {
		const answer = Object.values(await this.ask(query, variables))[0];
		const code = answer?.errorCode ?? null;
		if (code !== (refused ?? null)) {
			throw new Error(`${query.trim().split('\n')[0]}: ${code ?? 'was not refused'} ${answer?.message ?? ''}`);
		}
		return answer;
	}
}

const REFUSAL = '... on ErrorResult { errorCode message }';

export class Buyer extends Session {
	async register(email, firstName) {
		await this.do(
			`mutation ($input: RegisterCustomerInput!) { registerCustomerAccount(input: $input) { ... on Success { success } ${REFUSAL} } }`,
			{ input: { emailAddress: email, firstName, lastName: 'Buyer', phoneNumber: '+4930123', password: 'secret-word' } },
		);
		await this.do(
			`mutation ($email: String!) { login(username: $email, password: "secret-word") { ... on CurrentUser { id } ${REFUSAL} } }`,
			{ email },
		);
	}

	// Fill a cart and go to the till; { sku: quantity } by variant id.
	async checkOut(goods, guest) {
		for (const [variant, quantity] of Object.entries(goods)) {
			await this.do(
				`mutation ($variant: ID!, $quantity: Int!) { addItemToOrder(productVariantId: $variant, quantity: $quantity) { ... on Order { id } ${REFUSAL} } }`,
				{ variant, quantity },
			);
		}
		if (guest) {
			await this.do(
				`mutation ($input: CreateCustomerInput!) { setCustomerForOrder(input: $input) { ... on Order { id } ${REFUSAL} } }`,
				{ input: { emailAddress: guest, firstName: 'Guest', lastName: 'Buyer' } },
			);
		}
		await this.do(
			`mutation { setOrderShippingAddress(input: { fullName: "A Buyer", streetLine1: "Way 1", city: "Berlin", postalCode: "10115", countryCode: "DE" }) { ... on Order { id } ${REFUSAL} } }`,
		);
		const { eligibleShippingMethods } = await this.ask(`{ eligibleShippingMethods { id } }`);
		await this.do(
			`mutation ($id: [ID!]!) { setOrderShippingMethod(shippingMethodId: $id) { ... on Order { id } ${REFUSAL} } }`,
			{ id: [eligibleShippingMethods[0].id] },
		);
		const order = await this.do(
			`mutation { transitionOrderToState(state: "ArrangingPayment") { ... on Order { id code totalWithTax lines { id productVariant { sku } } } ... on OrderStateTransitionError { errorCode message transitionError } } }`,
		);
		return {
			id: order.id,
			total: order.totalWithTax,
			line: Object.fromEntries(order.lines.map((line) => [line.productVariant.sku, line.id])),
		};
	}

	pay(method = 'card', { decline = false } = {}) {
		return this.do(
			`mutation ($method: String!, $metadata: JSON!) { addPaymentToOrder(input: { method: $method, metadata: $metadata }) { ... on Order { id state } ${REFUSAL} } }`,
			{ method, metadata: { shouldDecline: decline } },
			{ refused: decline ? 'PAYMENT_DECLINED_ERROR' : undefined },
		);
	}
}

export class Owner extends Session {
	logIn() {
		return this.do(
			`mutation { login(username: "owner", password: "owner") { ... on CurrentUser { id } ${REFUSAL} } }`,
		);
	}

	async payment(order) {
		const found = await this.ask(`query ($id: ID!) { order(id: $id) { payments { id state } } }`, { id: order.id });
		return found.order.payments.find((payment) => payment.state === 'Settled' || payment.state === 'Authorized').id;
	}

	async settle(order) {
		return this.do(
			`mutation ($id: ID!) { settlePayment(id: $id) { ... on Payment { id state } ${REFUSAL} } }`,
			{ id: await this.payment(order) },
		);
	}

	// One parcel; answers its id.
	async pack(order, quantities) {
		const parcel = await this.do(
			`mutation ($lines: [OrderLineInput!]!) { addFulfillmentToOrder(input: { lines: $lines, handler: { code: "manual-fulfillment", arguments: [{ name: "method", value: "Post" }, { name: "trackingCode", value: "T1" }] } }) { ... on Fulfillment { id } ${REFUSAL} } }`,
			{ lines: linesOf(order, quantities) },
		);
		return parcel.id;
	}

	move(parcel, state) {
		return this.do(
			`mutation ($id: ID!, $state: String!) { transitionFulfillmentToState(id: $id, state: $state) { ... on Fulfillment { id state } ... on FulfillmentStateTransitionError { errorCode message transitionError } } }`,
			{ id: parcel, state },
		);
	}

	async refund(order, amount, reason) {
		const refund = await this.do(
			`mutation ($input: RefundOrderInput!) { refundOrder(input: $input) { ... on Refund { id state total } ${REFUSAL} } }`,
			{ input: { paymentId: await this.payment(order), amount, reason, lines: [], shipping: 0, adjustment: 0 } },
		);
		return refund.id;
	}

	settleRefund(refund) {
		return this.do(
			`mutation ($id: ID!) { settleRefund(input: { id: $id, transactionId: "R1" }) { ... on Refund { id state } ${REFUSAL} } }`,
			{ id: refund },
		);
	}

	cancel(order, quantities) {
		return this.do(
			`mutation ($input: CancelOrderInput!) { cancelOrder(input: $input) { ... on Order { id state } ${REFUSAL} } }`,
			{
				input: {
					orderId: order.id,
					reason: 'changed my mind',
					cancelShipping: !quantities,
					...(quantities ? { lines: linesOf(order, quantities) } : {}),
				},
			},
		);
	}

	toState(order, state) {
		return this.do(
			`mutation ($id: ID!, $state: String!) { transitionOrderToState(id: $id, state: $state) { ... on Order { id state } ... on OrderStateTransitionError { errorCode message transitionError } } }`,
			{ id: order.id, state },
		);
	}

	modify(order, change) {
		return this.do(
			`mutation ($input: ModifyOrderInput!) { modifyOrder(input: $input) { ... on Order { id state totalWithTax } ${REFUSAL} } }`,
			{ input: { dryRun: false, orderId: order.id, ...change } },
		);
	}

	addPayment(order) {
		return this.do(
			`mutation ($id: ID!) { addManualPaymentToOrder(input: { orderId: $id, method: "bank transfer", transactionId: "M1", metadata: {} }) { ... on Order { id state } ${REFUSAL} } }`,
			{ id: order.id },
		);
	}
}

function linesOf(order, quantities) {
	return Object.entries(quantities).map(([sku, quantity]) => ({ orderLineId: order.line[sku], quantity }));
}
