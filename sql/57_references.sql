-- ---------------------------------------------------------------------------
-- What foreign keys between our tables would do
-- ---------------------------------------------------------------------------

-- There are none between tables that are dumped: pg_restore -j loads tables
-- side by side, into an extension whose constraints are there already.  Nor can
-- a trigger check what is inserted; what is deleted, it can.

CREATE FUNCTION retention.keep_used_shop()
	RETURNS trigger
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF EXISTS (SELECT FROM retention.source s WHERE s.shop_id = OLD.shop_id)
		OR EXISTS (SELECT FROM retention.tier t WHERE t.shop_id = OLD.shop_id)
		OR EXISTS (SELECT FROM retention.rfm_segment_override o WHERE o.shop_id = OLD.shop_id)
		OR EXISTS (SELECT FROM retention.care_rule r WHERE r.shop_id = OLD.shop_id)
		OR EXISTS (SELECT FROM retention.care_template c WHERE c.shop_id = OLD.shop_id)
		OR EXISTS (SELECT FROM retention.festival f WHERE f.shop_id = OLD.shop_id)
		OR EXISTS (SELECT FROM retention.campaign g WHERE g.shop_id = OLD.shop_id)
	THEN
		RAISE EXCEPTION 'shop "%" is in use', OLD.name
			USING ERRCODE = 'foreign_key_violation',
				HINT = 'Delete its rows in retention.source, retention.tier, retention.rfm_segment_override, retention.care_rule, retention.care_template, retention.festival and retention.campaign first.';
	END IF;
	RETURN OLD;
END
$$;

COMMENT ON FUNCTION retention.keep_used_shop() IS 'Trigger on shop: an error when a shop is deleted that has sources, tiers, names of segments, care rules, texts, festivals or campaigns';

CREATE TRIGGER keep_used_shop
	BEFORE DELETE ON retention.shop
	FOR EACH ROW EXECUTE FUNCTION retention.keep_used_shop();

CREATE FUNCTION retention.delete_with_source()
	RETURNS trigger
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	DELETE FROM retention.watch w WHERE w.source_id = OLD.source_id;
	DELETE FROM retention.sync_error e WHERE e.source_id = OLD.source_id;
	DELETE FROM retention.backfill_progress p WHERE p.source_id = OLD.source_id;
	DELETE FROM retention.backfill_batch b WHERE b.source_id = OLD.source_id;
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION retention.delete_with_source() IS 'Trigger on source: deletes its watches, errors and backfill with it';

CREATE TRIGGER delete_with_source
	AFTER DELETE ON retention.source
	FOR EACH ROW EXECUTE FUNCTION retention.delete_with_source();
