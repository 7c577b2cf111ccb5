-- ---------------------------------------------------------------------------
-- Who may what
-- ---------------------------------------------------------------------------

-- Everything is taken away first, then given: functions are PUBLIC's by
-- default, and a new one must not be by oversight.
REVOKE ALL ON ALL TABLES IN SCHEMA retention FROM PUBLIC;
REVOKE ALL ON ALL ROUTINES IN SCHEMA retention FROM PUBLIC;
GRANT USAGE ON SCHEMA retention TO PUBLIC;

-- PUBLIC gets what only computes with its arguments: the C functions that are
-- immutable, and all that purchase_history, repurchase_rate, rfm and tier_of
-- are made of.
DO $$
DECLARE
	routine regprocedure;
BEGIN
	FOR routine IN
		SELECT p.oid::regprocedure
		FROM pg_catalog.pg_proc p
		JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
		WHERE n.nspname = 'retention'
			AND (p.provolatile = 'i' OR p.prokind IN ('a', 'w') OR p.proname IN ('tier_of', 'rfm_segment', 'now', 'shop_id'))
	LOOP
		EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO PUBLIC', routine);
	END LOOP;
END
$$;

GRANT SELECT ON
	retention.backfills,
	retention.care_rules,
	retention.customers,
	retention.customer_groups,
	retention.customer_purchases,
	retention.rfm_segments,
	retention.repurchase_monthly,
	retention.cohort_monthly
TO retention_reader, retention_operator;

GRANT EXECUTE ON FUNCTION
	retention.points_balance(text, text),
	retention.points_balance(anynonarray, text),
	retention.customer_tier(text, text, timestamptz),
	retention.customer_tier(anynonarray, text, timestamptz)
TO retention_reader, retention_operator;

GRANT SELECT ON
	retention.care_caps,
	retention.care_effect,
	retention.care_skipped,
	retention.care_tasks,
	retention.customer_contacts,
	retention.staff_followups
TO retention_reader, retention_operator;

GRANT SELECT, INSERT, UPDATE, DELETE ON retention.care_cap TO retention_operator;

GRANT EXECUTE ON FUNCTION
	retention.claim_messages(text, integer, interval, text, timestamptz, text),
	retention.mark_sent(uuid, text, timestamptz),
	retention.mark_failed(uuid, text, boolean, timestamptz),
	retention.extend_lease(uuid, interval, timestamptz),
	retention.release_message(uuid),
	retention.cancel_message(text, text, text, text, text),
	retention.cancel_message(anynonarray, text, text, text, text),
	retention.requeue_dead(text, timestamptz, timestamptz, text),
	retention.expire_messages(timestamptz),
	retention.notify_workers(timestamptz),
	retention.record_receipt(text, text, timestamptz),
	retention.record_response(uuid, text, timestamptz),
	retention.record_response(text, text, timestamptz),
	retention.record_consent(text, text, text, boolean, text, timestamptz, text),
	retention.record_consent(anynonarray, text, text, boolean, text, timestamptz, text),
	retention.record_call(uuid, text, text, timestamptz, timestamptz),
	retention.assign_task(text, text, text, text, text),
	retention.assign_task(anynonarray, text, text, text, text),
	retention.purge_messages(timestamptz, timestamptz),
	retention.schedule(text),
	retention.unschedule()
TO retention_operator;
