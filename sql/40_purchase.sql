-- ---------------------------------------------------------------------------
-- purchase: one order's recorded facts, and what was accrued for it
-- ---------------------------------------------------------------------------

CREATE TABLE retention.purchase (
	source_id integer NOT NULL,
	order_id text COLLATE "C" NOT NULL,
	shop_id integer NOT NULL,
	customer_id text COLLATE "C" NOT NULL,
	placed_at timestamptz,
	paid_at timestamptz,
	shipped_at timestamptz,
	delivered_at timestamptz,
	completed_at timestamptz,
	closed_at timestamptz,
	total numeric NOT NULL,
	paid numeric NOT NULL,
	refunded numeric NOT NULL,
	refunded_by_orders numeric NOT NULL DEFAULT 0,
	is_refund boolean NOT NULL DEFAULT false,
	refund_of text COLLATE "C",
	value numeric,
	currency text,
	channel text,
	staff text,
	referrer text,
	points_used bigint,
	close_reason text,
	attributes jsonb,
	accrual_due_at timestamptz,
	accrued_at timestamptz,
	accrual_rate numeric,
	accrual_multiplier numeric,
	accrual_rule jsonb,
	accrued_points bigint NOT NULL DEFAULT 0,
	PRIMARY KEY (source_id, order_id)
) WITH (fillfactor = 80);

CREATE INDEX purchase_customer ON retention.purchase (shop_id, customer_id);

-- Two small indexes for what most shops do not have: refund orders, and
-- accruals that wait for a day to come.
CREATE INDEX purchase_refund ON retention.purchase (source_id, refund_of) WHERE is_refund;
CREATE INDEX purchase_accrual_due ON retention.purchase (accrual_due_at) WHERE accrual_due_at IS NOT NULL;

SELECT pg_catalog.pg_extension_config_dump('retention.purchase', '');

COMMENT ON TABLE retention.purchase IS 'One order''s recorded facts and what was accrued for it; money in the shop''s currency';
COMMENT ON COLUMN retention.purchase.source_id IS 'The source the order came from';
COMMENT ON COLUMN retention.purchase.order_id IS 'The shop''s own id for the order, as text';
COMMENT ON COLUMN retention.purchase.shop_id IS 'The shop';
COMMENT ON COLUMN retention.purchase.customer_id IS 'The customer';
COMMENT ON COLUMN retention.purchase.placed_at IS 'When the order was placed';
COMMENT ON COLUMN retention.purchase.paid_at IS 'When it was paid in full; NULL while unpaid';
COMMENT ON COLUMN retention.purchase.shipped_at IS 'When it was shipped';
COMMENT ON COLUMN retention.purchase.delivered_at IS 'When it arrived';
COMMENT ON COLUMN retention.purchase.completed_at IS 'When the trade was completed';
COMMENT ON COLUMN retention.purchase.closed_at IS 'When it was closed or cancelled';
COMMENT ON COLUMN retention.purchase.total IS 'The order''s total';
COMMENT ON COLUMN retention.purchase.paid IS 'Money paid so far';
COMMENT ON COLUMN retention.purchase.refunded IS 'Money given back so far, by the order''s own facts';
COMMENT ON COLUMN retention.purchase.refunded_by_orders IS 'Money given back by negative orders that refund this one';
COMMENT ON COLUMN retention.purchase.is_refund IS 'Whether this is a negative order, that is, a refund of others';
COMMENT ON COLUMN retention.purchase.refund_of IS 'For a negative order: the order it refunds; NULL applies it newest first to the customer''s purchases';
COMMENT ON COLUMN retention.purchase.value IS 'Paid less refunded while the order is a purchase (paid and not wholly refunded); NULL otherwise';
COMMENT ON COLUMN retention.purchase.currency IS 'Currency the order was placed in, when the shop says';
COMMENT ON COLUMN retention.purchase.channel IS 'Sales channel: web, app, store, ...';
COMMENT ON COLUMN retention.purchase.staff IS 'Staff member who made the sale';
COMMENT ON COLUMN retention.purchase.referrer IS 'Customer who referred the buyer';
COMMENT ON COLUMN retention.purchase.points_used IS 'Points redeemed on the order, as the shop says';
COMMENT ON COLUMN retention.purchase.close_reason IS 'Why it was closed, when the shop records it';
COMMENT ON COLUMN retention.purchase.attributes IS 'Anything else, for templates and BI';
COMMENT ON COLUMN retention.purchase.accrual_due_at IS 'When its points fall due, while that lies ahead';
COMMENT ON COLUMN retention.purchase.accrued_at IS 'When its points counted from; NULL before the accrual';
COMMENT ON COLUMN retention.purchase.accrual_rate IS 'Points rate it was accrued with';
COMMENT ON COLUMN retention.purchase.accrual_multiplier IS 'Multiplier it was accrued with';
COMMENT ON COLUMN retention.purchase.accrual_rule IS 'What else it was accrued with: rounding, expires_at, and the parts of the multiplier (tier, occasion)';
COMMENT ON COLUMN retention.purchase.accrued_points IS 'Points posted for it, reversals taken off';
