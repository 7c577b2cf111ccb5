-- ---------------------------------------------------------------------------
-- customer: who they are
-- ---------------------------------------------------------------------------

CREATE TABLE retention.customer (
	shop_id integer NOT NULL,
	customer_id text COLLATE "C" NOT NULL,
	name text,
	nickname text,
	birthday date,
	phone text,
	email text,
	joined_at timestamptz,
	consents jsonb,
	forgotten_at timestamptz,
	attributes jsonb NOT NULL DEFAULT '{}' CHECK (pg_catalog.jsonb_typeof(attributes) = 'object'),
	PRIMARY KEY (shop_id, customer_id)
);

SELECT pg_catalog.pg_extension_config_dump('retention.customer', '');

COMMENT ON TABLE retention.customer IS 'A customer of a shop and what is known of them';
COMMENT ON COLUMN retention.customer.shop_id IS 'The shop';
COMMENT ON COLUMN retention.customer.customer_id IS 'The shop''s own id for the customer, as text; a guest''s e-mail or phone';
COMMENT ON COLUMN retention.customer.name IS 'Full name';
COMMENT ON COLUMN retention.customer.nickname IS 'What messages call the customer';
COMMENT ON COLUMN retention.customer.birthday IS 'Date of birth';
COMMENT ON COLUMN retention.customer.phone IS 'Phone number';
COMMENT ON COLUMN retention.customer.email IS 'E-mail address';
COMMENT ON COLUMN retention.customer.joined_at IS 'When the customer joined, if the shop says';
COMMENT ON COLUMN retention.customer.consents IS 'Consents as the shop''s table last said, {"channel.purpose": granted}; what is in force is in customer_consent';
COMMENT ON COLUMN retention.customer.forgotten_at IS 'When forget_customer() erased the profile; from then on the shop''s table is not followed';
COMMENT ON COLUMN retention.customer.attributes IS 'Anything else the shop knows: region, sex, skin type, ...';

-- ---------------------------------------------------------------------------
-- customer_stats: what sync keeps for each customer
-- ---------------------------------------------------------------------------

-- Narrow, with no index but its key, so that updates stay on the page (HOT)
-- and a scan of all customers is short.  Its row is also the lock that
-- serialises everything done to a customer.
CREATE TABLE retention.customer_stats (
	shop_id integer NOT NULL,
	customer_id text COLLATE "C" NOT NULL,
	first_purchase_at timestamptz,
	last_purchase_at timestamptz,
	purchases bigint NOT NULL DEFAULT 0,
	unpaid_orders bigint NOT NULL DEFAULT 0,
	unlinked_refunds bigint NOT NULL DEFAULT 0,
	spent numeric NOT NULL DEFAULT 0,
	points_posted bigint NOT NULL DEFAULT 0,
	points_debt bigint NOT NULL DEFAULT 0,
	points_held bigint NOT NULL DEFAULT 0,
	last_entry_no bigint NOT NULL DEFAULT 0,
	points_as_of timestamptz,
	points_due_at timestamptz,
	tier text,
	tier_since timestamptz,
	tier_below_since timestamptz,
	tier_review_at timestamptz,
	history_from timestamptz,
	history retention.purchase_history,
	PRIMARY KEY (shop_id, customer_id)
) WITH (fillfactor = 80);

SELECT pg_catalog.pg_extension_config_dump('retention.customer_stats', '');

COMMENT ON TABLE retention.customer_stats IS 'What sync keeps for each customer: totals, purchase history, points; always equal to what purchase and points_entry say';
COMMENT ON COLUMN retention.customer_stats.shop_id IS 'The shop';
COMMENT ON COLUMN retention.customer_stats.customer_id IS 'The customer';
COMMENT ON COLUMN retention.customer_stats.first_purchase_at IS 'When the first purchase was paid; NULL before any';
COMMENT ON COLUMN retention.customer_stats.last_purchase_at IS 'When the last purchase was paid; NULL before any';
COMMENT ON COLUMN retention.customer_stats.purchases IS 'Orders paid and not wholly refunded';
COMMENT ON COLUMN retention.customer_stats.unpaid_orders IS 'Orders placed, not paid and not closed';
COMMENT ON COLUMN retention.customer_stats.unlinked_refunds IS 'Negative orders that do not say which order they refund';
COMMENT ON COLUMN retention.customer_stats.spent IS 'Paid less refunded over all purchases, in the shop''s currency';
COMMENT ON COLUMN retention.customer_stats.points_posted IS 'Sum of the customer''s points entries: lots less debt';
COMMENT ON COLUMN retention.customer_stats.points_debt IS 'Points reversed after they were spent, to be repaid by the next accruals';
COMMENT ON COLUMN retention.customer_stats.points_held IS 'Points set aside by open holds';
COMMENT ON COLUMN retention.customer_stats.last_entry_no IS 'Number of the customer''s last points entry';
COMMENT ON COLUMN retention.customer_stats.points_as_of IS 'The latest moment at which an entry or hold of the customer counts; from then on these counters are the balance';
COMMENT ON COLUMN retention.customer_stats.points_due_at IS 'No points lapse and no hold times out before this moment; NULL means never';
COMMENT ON COLUMN retention.customer_stats.tier IS 'The tier the customer has, a grace period included; NULL for none';
COMMENT ON COLUMN retention.customer_stats.tier_since IS 'Since when the customer has it';
COMMENT ON COLUMN retention.customer_stats.tier_below_since IS 'Since when its conditions are no longer met; NULL while they are';
COMMENT ON COLUMN retention.customer_stats.tier_review_at IS 'When the tier is next to be reviewed though nothing is bought; NULL means never';
COMMENT ON COLUMN retention.customer_stats.history_from IS 'Purchases from this moment on are in history, older ones in customer_history; NULL when all are in history';
COMMENT ON COLUMN retention.customer_stats.history IS 'The latest purchases, at most about 1 kB of them; NULL when there are none';

CREATE TABLE retention.customer_history (
	shop_id integer NOT NULL,
	customer_id text COLLATE "C" NOT NULL,
	starts_at timestamptz NOT NULL,
	history retention.purchase_history NOT NULL,
	PRIMARY KEY (shop_id, customer_id, starts_at)
);

SELECT pg_catalog.pg_extension_config_dump('retention.customer_history', '');

COMMENT ON TABLE retention.customer_history IS 'Older purchases of customers whose history is longer than customer_stats holds';
COMMENT ON COLUMN retention.customer_history.shop_id IS 'The shop';
COMMENT ON COLUMN retention.customer_history.customer_id IS 'The customer';
COMMENT ON COLUMN retention.customer_history.starts_at IS 'The chunk holds the purchases from this moment to the start of the next chunk; -infinity for the first';
COMMENT ON COLUMN retention.customer_history.history IS 'The purchases of the chunk';
