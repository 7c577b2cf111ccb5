// A payment provider like those of banks: it authorizes or declines at once,
// and captures when told.  Beside it stands Medusa's own, pp_system_default,
// for money that comes by other ways.
import { randomUUID } from 'node:crypto';
import { AbstractPaymentProvider, ModuleProvider, Modules } from '@medusajs/framework/utils';

class Card extends AbstractPaymentProvider {
	static identifier = 'card';

	async initiatePayment({ data }) {
		return { id: randomUUID(), data };
	}

	async updatePayment({ data }) {
		return { data };
	}

	async deletePayment({ data }) {
		return { data };
	}

	async retrievePayment({ data }) {
		return data;
	}

	async getPaymentStatus({ data }) {
		return { status: data?.decline ? 'error' : 'authorized', data };
	}

	async authorizePayment({ data }) {
		return this.getPaymentStatus({ data });
	}

	async capturePayment({ data }) {
		return { data };
	}

	async refundPayment({ data }) {
		return { data };
	}

	async cancelPayment({ data }) {
		return { data };
	}

	async getWebhookActionAndData() {
		return { action: 'not_supported' };
	}
}

export default ModuleProvider(Modules.PAYMENT, { services: [Card] });
