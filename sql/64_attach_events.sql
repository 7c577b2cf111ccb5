-- ---------------------------------------------------------------------------
-- attach_events, events
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.attach_events(
	relation regclass,
	customer text,
	happened_at text,
	kind text,
	product text DEFAULT NULL,
	channel text DEFAULT NULL,
	for_shop text DEFAULT NULL
)
	RETURNS text
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	source_name text;
BEGIN
	PERFORM retention.check_required(
		relation, ARRAY['customer', 'happened_at', 'kind'], ARRAY[customer, happened_at, kind]);
	PERFORM retention.check_owner(relation);
	source_name := retention.relation_source_name(relation, 'events');
	PERFORM retention.check_source(retention.make_source(
		source_name,
		retention.relation_facts(
			relation,
			ARRAY['customer', 'happened_at', 'kind', 'product', 'channel'],
			ARRAY[customer, happened_at, kind, product, channel]),
		'keep',
		for_shop,
		'events',
		relation));
	RETURN source_name;
END
$$;

COMMENT ON FUNCTION retention.attach_events(regclass, text, text, text, text, text, text) IS
	'Tells where the shop keeps what customers do besides ordering: log-ins, visits, favourites, products looked at. events() reads them there, nothing is copied and no trigger is made. Each argument is an SQL expression over the table''s row: customer gives the same id as in attach_orders, happened_at the time, kind what it is (where the table holds one kind only, a constant: kind => $$''login''$$). Only the table''s owner may. Returns the source''s name';

CREATE FUNCTION retention.events(
	from_time timestamptz DEFAULT NULL,
	to_time timestamptz DEFAULT NULL,
	of_kind text DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (
		customer_id text,
		happened_at timestamptz,
		kind text,
		product text,
		channel text
	)
	AS 'MODULE_PATHNAME', 'events'
	LANGUAGE C STABLE PARALLEL RESTRICTED ROWS 10000;

COMMENT ON FUNCTION retention.events(timestamptz, timestamptz, text, text) IS
	'What customers did, from from_time on and before to_time, as the shop''s tables hold it now; NULL sets no bound, of_kind NULL means all kinds. customer_id is NULL for a visitor whom the shop does not know, product and channel where not attached. No row when no events are attached; shop NULL means the only shop';
