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
	amount numeric,
	rate numeric,
	multiplier numeric,
	debt bigint NOT NULL DEFAULT 0,
	allocations jsonb,
	PRIMARY KEY (shop_id, customer_id, entry_no)
);

SELECT pg_catalog.pg_extension_config_dump('retention.points_entry', '');

COMMENT ON TABLE retention.points_entry IS 'The points ledger: one posting a row, numbered without gaps for each customer; rows are only ever added';
COMMENT ON COLUMN retention.points_entry.shop_id IS 'The shop';
COMMENT ON COLUMN retention.points_entry.customer_id IS 'The customer';
COMMENT ON COLUMN retention.points_entry.entry_no IS 'Number of the entry for this customer, from 1 without gaps';
COMMENT ON COLUMN retention.points_entry.kind IS 'accrual (earned by an order) or reversal (taken back when an order is refunded, deleted or moved)';
COMMENT ON COLUMN retention.points_entry.points IS 'Points added (positive) or taken (negative)';
COMMENT ON COLUMN retention.points_entry.effective_at IS 'When it counts from';
COMMENT ON COLUMN retention.points_entry.posted_at IS 'When it was written';
COMMENT ON COLUMN retention.points_entry.source_id IS 'Source of the order it belongs to';
COMMENT ON COLUMN retention.points_entry.order_id IS 'The order it belongs to';
COMMENT ON COLUMN retention.points_entry.reference IS 'The caller''s own reference, by which a repeated request is known';
COMMENT ON COLUMN retention.points_entry.reason IS 'Why, in words';
COMMENT ON COLUMN retention.points_entry.amount IS 'Money the points were computed from: paid less refunded of the order at that moment';
COMMENT ON COLUMN retention.points_entry.rate IS 'Points rate it was computed with';
COMMENT ON COLUMN retention.points_entry.multiplier IS 'Multiplier it was computed with';
COMMENT ON COLUMN retention.points_entry.debt IS 'By how much the entry changed the customer''s debt: added when positive, repaid when negative';
COMMENT ON COLUMN retention.points_entry.allocations IS 'Which lots a debit took points from: {"lot": points}';

CREATE TABLE retention.points_lot (
	shop_id integer NOT NULL,
	customer_id text COLLATE "C" NOT NULL,
	entry_no bigint NOT NULL,
	source_id integer,
	order_id text COLLATE "C",
	accrued bigint NOT NULL CHECK (accrued > 0),
	remaining bigint NOT NULL CHECK (remaining BETWEEN 0 AND accrued),
	effective_at timestamptz NOT NULL,
	expires_at timestamptz,
	PRIMARY KEY (shop_id, customer_id, entry_no)
) WITH (fillfactor = 80);

SELECT pg_catalog.pg_extension_config_dump('retention.points_lot', '');

COMMENT ON TABLE retention.points_lot IS 'What is left of each accrual';
COMMENT ON COLUMN retention.points_lot.shop_id IS 'The shop';
COMMENT ON COLUMN retention.points_lot.customer_id IS 'The customer';
COMMENT ON COLUMN retention.points_lot.entry_no IS 'The entry that made the lot';
COMMENT ON COLUMN retention.points_lot.source_id IS 'Source of the order that earned it';
COMMENT ON COLUMN retention.points_lot.order_id IS 'The order that earned it';
COMMENT ON COLUMN retention.points_lot.accrued IS 'Points the lot had at first, after debt was repaid';
COMMENT ON COLUMN retention.points_lot.remaining IS 'Points still unspent';
COMMENT ON COLUMN retention.points_lot.effective_at IS 'When its points count from';
COMMENT ON COLUMN retention.points_lot.expires_at IS 'When they lapse; NULL means never';

CREATE FUNCTION retention.refuse_change()
	RETURNS trigger
	AS 'MODULE_PATHNAME', 'refuse_change'
	LANGUAGE C;

COMMENT ON FUNCTION retention.refuse_change() IS 'Trigger that keeps the points ledger append-only';

CREATE TRIGGER append_only
	BEFORE UPDATE OR DELETE OR TRUNCATE ON retention.points_entry
	FOR EACH STATEMENT EXECUTE FUNCTION retention.refuse_change();

-- ---------------------------------------------------------------------------
-- points_balance
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.points_balance(customer text, shop text DEFAULT NULL)
	RETURNS bigint
	LANGUAGE plpgsql
	STABLE
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	balance bigint;
BEGIN
	SELECT s.points_posted - s.points_held INTO balance
	FROM retention.customer_stats s
	WHERE s.shop_id = retention.shop_id(shop) AND s.customer_id = customer;
	RETURN CASE WHEN customer IS NOT NULL THEN coalesce(balance, 0) END;
END
$$;

COMMENT ON FUNCTION retention.points_balance(text, text) IS
	'Points a customer can spend now: lots less open holds and debt; negative when points of a refunded order were already spent. 0 for a customer not seen yet, NULL for NULL. shop NULL means the only shop';

CREATE FUNCTION retention.points_balance(customer anynonarray, shop text DEFAULT NULL)
	RETURNS bigint
	LANGUAGE plpgsql
	STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN retention.points_balance(retention.customer_key(customer), shop);
END
$$;

COMMENT ON FUNCTION retention.points_balance(anynonarray, text) IS 'The same for customers numbered by integer, whole numeric or uuid';
