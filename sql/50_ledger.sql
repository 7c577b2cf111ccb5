-- ---------------------------------------------------------------------------
-- points_entry, points_lot: the ledger
-- ---------------------------------------------------------------------------

CREATE TABLE retention.points_entry (
	shop_id integer NOT NULL,
	customer_id text COLLATE "C" NOT NULL,
	entry_no bigint NOT NULL CHECK (entry_no > 0),
	kind text NOT NULL,
	points bigint NOT NULL,
	effective_at timestamptz NOT NULL,
	posted_at timestamptz NOT NULL,
	source_id integer,
	order_id text COLLATE "C",
	reference text COLLATE "C",
	reason text,
	other_customer text COLLATE "C",
	undoes bigint,
	amount numeric,
	rate numeric,
	multiplier numeric,
	rule jsonb,
	expires_at timestamptz,
	debt bigint NOT NULL DEFAULT 0,
	allocations jsonb,
	request jsonb,
	PRIMARY KEY (shop_id, customer_id, entry_no)
);

-- A reference stands for one request for good.
CREATE UNIQUE INDEX points_entry_reference ON retention.points_entry (shop_id, customer_id, reference)
	WHERE reference IS NOT NULL;

CREATE INDEX points_entry_undoes ON retention.points_entry (shop_id, customer_id, undoes)
	WHERE undoes IS NOT NULL;

SELECT pg_catalog.pg_extension_config_dump('retention.points_entry', '');

COMMENT ON TABLE retention.points_entry IS 'The points ledger: one posting a row, numbered without gaps for each customer; rows are only ever added';
COMMENT ON COLUMN retention.points_entry.shop_id IS 'The shop';
COMMENT ON COLUMN retention.points_entry.customer_id IS 'The customer';
COMMENT ON COLUMN retention.points_entry.entry_no IS 'Number of the entry for this customer, from 1 without gaps';
COMMENT ON COLUMN retention.points_entry.kind IS 'accrual (earned by an order), reversal (taken back when an order is refunded, deleted or moved), forgiveness (debt let go), redemption (spent), cancellation (of a redemption), adjustment (by hand, with a reason), bonus (granted), referral (bonus for one), transfer (to or from another customer) or expiry (lapsed; positive where lapsed points were taken back with their order)';
COMMENT ON COLUMN retention.points_entry.points IS 'Points added (positive) or taken (negative)';
COMMENT ON COLUMN retention.points_entry.effective_at IS 'When it counts from';
COMMENT ON COLUMN retention.points_entry.posted_at IS 'When it was written';
COMMENT ON COLUMN retention.points_entry.source_id IS 'Source of the order it belongs to';
COMMENT ON COLUMN retention.points_entry.order_id IS 'The order it belongs to';
COMMENT ON COLUMN retention.points_entry.reference IS 'The caller''s own reference, by which a repeated request is known';
COMMENT ON COLUMN retention.points_entry.reason IS 'Why, in words';
COMMENT ON COLUMN retention.points_entry.other_customer IS 'Of a transfer: the customer at the other end';
COMMENT ON COLUMN retention.points_entry.undoes IS 'Of a cancellation: the entry of the redemption';
COMMENT ON COLUMN retention.points_entry.amount IS 'Money the points were computed from: paid less refunded of the order at that moment';
COMMENT ON COLUMN retention.points_entry.rate IS 'Points rate it was computed with';
COMMENT ON COLUMN retention.points_entry.multiplier IS 'Multiplier it was computed with';
COMMENT ON COLUMN retention.points_entry.rule IS 'What else it was computed with: rounding, tier and occasion with their multipliers; NULL where nothing but the rate counted';
COMMENT ON COLUMN retention.points_entry.expires_at IS 'When the points of its lot lapse; NULL means never, or no lot';
COMMENT ON COLUMN retention.points_entry.debt IS 'By how much the entry changed the customer''s debt: added when positive, repaid when negative';
COMMENT ON COLUMN retention.points_entry.allocations IS 'From which lots it took points (negative), or to which it gave them back: [[lot, points], ...], the lot named by the entry that made it';
COMMENT ON COLUMN retention.points_entry.request IS 'What was asked for under the reference: repeating it gives the same entry';

-- Each CHECK is parsed again by every statement that writes: one says it all.
CREATE TABLE retention.points_lot (
	shop_id integer NOT NULL,
	customer_id text COLLATE "C" NOT NULL,
	entry_no bigint NOT NULL,
	source_id integer,
	order_id text COLLATE "C",
	accrued bigint NOT NULL,
	remaining bigint NOT NULL,
	held bigint NOT NULL DEFAULT 0,
	lapsed bigint NOT NULL DEFAULT 0,
	is_open boolean NOT NULL DEFAULT true,
	effective_at timestamptz NOT NULL,
	expires_at timestamptz,
	PRIMARY KEY (shop_id, customer_id, entry_no),
	CHECK (held >= 0 AND lapsed >= 0 AND remaining >= held AND remaining + lapsed <= accrued AND is_open = (remaining > 0))
) WITH (fillfactor = 80);

-- The open lots in the order in which they are spent.  Taking points from a
-- lot without emptying it changes no column of the index (HOT).
CREATE INDEX points_lot_open ON retention.points_lot (shop_id, customer_id, expires_at, effective_at, entry_no)
	WHERE is_open;

SELECT pg_catalog.pg_extension_config_dump('retention.points_lot', '');

COMMENT ON TABLE retention.points_lot IS 'What is left of each credit of points';
COMMENT ON COLUMN retention.points_lot.shop_id IS 'The shop';
COMMENT ON COLUMN retention.points_lot.customer_id IS 'The customer';
COMMENT ON COLUMN retention.points_lot.entry_no IS 'The entry that made the lot';
COMMENT ON COLUMN retention.points_lot.source_id IS 'Source of the order that earned it';
COMMENT ON COLUMN retention.points_lot.order_id IS 'The order that earned it';
COMMENT ON COLUMN retention.points_lot.accrued IS 'Points the lot had at first, after debt was repaid';
COMMENT ON COLUMN retention.points_lot.remaining IS 'Points still there: neither spent nor lapsed';
COMMENT ON COLUMN retention.points_lot.held IS 'Points of them that open holds have set aside';
COMMENT ON COLUMN retention.points_lot.lapsed IS 'Points that expired';
COMMENT ON COLUMN retention.points_lot.is_open IS 'Whether any remain';
COMMENT ON COLUMN retention.points_lot.effective_at IS 'When its points count from';
COMMENT ON COLUMN retention.points_lot.expires_at IS 'When they lapse; NULL means never';

CREATE TABLE retention.points_hold (
	shop_id integer NOT NULL,
	customer_id text COLLATE "C" NOT NULL,
	reference text COLLATE "C" NOT NULL,
	points bigint NOT NULL CHECK (points > 0),
	order_id text COLLATE "C",
	held_at timestamptz NOT NULL,
	times_out_at timestamptz NOT NULL CHECK (times_out_at > held_at),
	posted_at timestamptz NOT NULL,
	state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'captured', 'released', 'timed_out')),
	resolved_at timestamptz,
	captured bigint CHECK (captured BETWEEN 1 AND points),
	entry_no bigint,
	allocations jsonb NOT NULL,
	request jsonb NOT NULL,
	PRIMARY KEY (shop_id, customer_id, reference),
	CHECK ((state = 'open') = (resolved_at IS NULL)),
	CHECK ((state = 'captured') = (entry_no IS NOT NULL)),
	CHECK ((captured IS NULL) = (entry_no IS NULL))
);

CREATE INDEX points_hold_open ON retention.points_hold (shop_id, customer_id)
	WHERE state = 'open';

SELECT pg_catalog.pg_extension_config_dump('retention.points_hold', '');

COMMENT ON TABLE retention.points_hold IS 'Points set aside at checkout; each hold resolves once';
COMMENT ON COLUMN retention.points_hold.shop_id IS 'The shop';
COMMENT ON COLUMN retention.points_hold.customer_id IS 'The customer';
COMMENT ON COLUMN retention.points_hold.reference IS 'The caller''s own reference, under which it is captured or released';
COMMENT ON COLUMN retention.points_hold.points IS 'Points set aside';
COMMENT ON COLUMN retention.points_hold.order_id IS 'The order they are to pay for';
COMMENT ON COLUMN retention.points_hold.held_at IS 'When they were set aside';
COMMENT ON COLUMN retention.points_hold.times_out_at IS 'When the hold no longer counts';
COMMENT ON COLUMN retention.points_hold.posted_at IS 'When it was written';
COMMENT ON COLUMN retention.points_hold.state IS 'open, captured (points were redeemed), released or timed_out; an open one past times_out_at counts as timed out';
COMMENT ON COLUMN retention.points_hold.resolved_at IS 'When it was captured or released, or timed out';
COMMENT ON COLUMN retention.points_hold.captured IS 'Points redeemed of those held';
COMMENT ON COLUMN retention.points_hold.entry_no IS 'The entry of that redemption';
COMMENT ON COLUMN retention.points_hold.allocations IS 'The lots whose points are set aside: [[lot, points], ...]';
COMMENT ON COLUMN retention.points_hold.request IS 'What was asked for under the reference';

CREATE FUNCTION retention.refuse_change()
	RETURNS trigger
	AS 'MODULE_PATHNAME', 'refuse_change'
	LANGUAGE C;

COMMENT ON FUNCTION retention.refuse_change() IS 'Trigger that keeps the points ledger append-only, for everybody; only who owns the table can switch it off';

CREATE TRIGGER append_only
	BEFORE UPDATE OR DELETE OR TRUNCATE ON retention.points_entry
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_change();

CREATE TRIGGER append_only
	BEFORE DELETE OR TRUNCATE ON retention.points_lot
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_change();

CREATE TRIGGER append_only
	BEFORE DELETE OR TRUNCATE ON retention.points_hold
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_change();
