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
			AND (p.provolatile = 'i' OR p.prokind IN ('a', 'w') OR p.proname IN ('tier_of', 'rfm_segment', 'rfm_cuts_of', 'now', 'shop_id'))
	LOOP
		EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO PUBLIC', routine);
	END LOOP;
END
$$;

GRANT SELECT ON
	retention.backfills,
	retention.care_rules,
	retention.points_daily,
	retention.tier_change,
	retention.shops,
	retention.customers,
	retention.customer_groups,
	retention.customer_base,
	retention.customer_details,
	retention.orders,
	retention.audiences,
	retention.tags,
	retention.customer_profiles,
	retention.staff_profiles,
	retention.feedback_overdue,
	retention.feedback_effect,
	retention.customer_purchases,
	retention.rfm_segments,
	retention.repurchase_monthly,
	retention.cohort_monthly,
	retention.forecasts,
	retention.purchase_histories
TO retention_reader, retention_operator;

GRANT EXECUTE ON FUNCTION
	retention.points_balance(text, timestamptz, text),
	retention.points_balance(anynonarray, timestamptz, text),
	retention.points_value(bigint, text),
	retention.points_for(numeric, text),
	retention.points_statement(text, timestamptz, timestamptz, text),
	retention.points_statement(anynonarray, timestamptz, timestamptz, text),
	retention.points_parts(text, text),
	retention.points_pending(text, text),
	retention.points_liability(timestamptz, text),
	retention.my_points(text, timestamptz, text),
	retention.my_points(anynonarray, timestamptz, text),
	retention.tier_progress(text, text, timestamptz),
	retention.tier_benefits(text, text),
	retention.tier_benefits(anynonarray, text),
	retention.ladder(text),
	retention.check_ledger(text),
	retention.customer_tier(text, text, timestamptz),
	retention.customer_tier(anynonarray, text, timestamptz)
TO retention_reader, retention_operator;

GRANT EXECUTE ON FUNCTION
	retention.redeem(text, bigint, text, text, timestamptz, text),
	retention.redeem(anynonarray, bigint, text, text, timestamptz, text),
	retention.hold(text, bigint, text, interval, text, timestamptz, text),
	retention.hold(anynonarray, bigint, text, interval, text, timestamptz, text),
	retention.capture(text, text, bigint, timestamptz, text),
	retention.capture(anynonarray, text, bigint, timestamptz, text),
	retention.release(text, text, timestamptz, text),
	retention.release(anynonarray, text, timestamptz, text),
	retention.cancel_redemption(text, text, bigint, text, timestamptz, text),
	retention.cancel_redemption(anynonarray, text, bigint, text, timestamptz, text),
	retention.adjust(text, bigint, text, text, timestamptz, text),
	retention.adjust(anynonarray, bigint, text, text, timestamptz, text),
	retention.grant(text, bigint, text, text, timestamptz, timestamptz, text),
	retention.grant(anynonarray, bigint, text, text, timestamptz, timestamptz, text),
	retention.transfer(text, text, bigint, text, timestamptz, text),
	retention.transfer(anynonarray, anynonarray, bigint, text, timestamptz, text),
	retention.grant_referral(text, bigint, text, text, timestamptz, timestamptz, text),
	retention.expire_points(timestamptz, text)
TO retention_operator;

-- What events() and lines() read belongs to the shop; readers see it as views would show it.
GRANT EXECUTE ON FUNCTION
	retention.lines(text[], text),
	retention.events(timestamptz, timestamptz, text, text)
TO retention_reader, retention_operator;

GRANT EXECUTE ON FUNCTION
	retention.record_feedback(text, text, text, numeric, text, text, timestamptz, text),
	retention.open_feedback(text, text, text, text, text, text, timestamptz, text, timestamptz, text),
	retention.open_feedback(anynonarray, text, text, text, text, text, timestamptz, text, timestamptz, text),
	retention.assign_feedback(text, text, timestamptz, text),
	retention.answer_feedback(text, text, text, timestamptz, text),
	retention.solve_feedback(text, text, text, timestamptz, text),
	retention.reopen_feedback(text, text, text, timestamptz, text),
	retention.forget_customer(text, text),
	retention.forget_customer(anynonarray, text)
TO retention_operator;

GRANT EXECUTE ON FUNCTION
	retention.cohorts(text, text, timestamptz, text),
	retention.cohort_customers(date, integer, text, timestamptz, text),
	retention.repurchase(text, timestamptz, text),
	retention.new_vs_returning(text, timestamptz, text),
	retention.period_customers(date, text, timestamptz, text),
	retention.next_period(text, integer, timestamptz, text),
	retention.next_period_customers(date, text, integer, timestamptz, text),
	retention.x_order(interval, timestamptz, text),
	retention.x_order_customers(bigint, interval, timestamptz, text),
	retention.magic_number(interval, numeric, bigint, timestamptz, text),
	retention.retention_curve(text, integer[], timestamptz, text),
	retention.gap_to_next(numeric[], integer, timestamptz, text),
	retention.pareto(numeric, timestamptz, text),
	retention.sales_by_channel(text, timestamptz, text),
	retention.sales_by_region(text, text, timestamptz, text),
	retention.sales_monthly(timestamptz, text),
	retention.order_funnel(timestamptz, timestamptz, timestamptz, text),
	retention.customer_totals(timestamptz, text),
	retention.rfm_scores(retention.rfm_cuts, timestamptz, text),
	retention.rfm_cuts(timestamptz, text),
	retention.rfm_grid(retention.rfm_cuts, timestamptz, text),
	retention.rfm_movement(timestamptz, text, retention.rfm_cuts, timestamptz, text),
	retention.rfm_movement_customers(timestamptz, text, retention.rfm_cuts, timestamptz, text),
	retention.customer_value_bands(numeric[], timestamptz, text),
	retention.forecast_check(date, date, text, text),
	retention.tier_distribution(timestamptz, text),
	retention.shop_period(text, integer),
	retention.product_repurchase(timestamptz, text, text),
	retention.product_pairs(bigint, timestamptz, text),
	retention.event_retention(text, text, integer[], timestamptz, text, text),
	retention.visit_conversion(text, text, timestamptz, text)
TO retention_reader, retention_operator;

-- The customers behind the figures.
GRANT EXECUTE ON FUNCTION
	retention.retention_curve_customers(integer, text, timestamptz, text),
	retention.gap_to_next_customers(bigint, timestamptz, text),
	retention.sales_by_channel_customers(date, text, text, timestamptz, text),
	retention.sales_by_region_customers(date, text, text, text, timestamptz, text),
	retention.order_funnel_customers(text, timestamptz, timestamptz, timestamptz, text),
	retention.customer_value_band_customers(numeric, numeric, timestamptz, text),
	retention.pareto_customers(numeric, timestamptz, text),
	retention.rfm_grid_customers(integer, integer, integer, retention.rfm_cuts, timestamptz, text),
	retention.tier_distribution_customers(text, timestamptz, text),
	retention.product_repurchase_customers(text, timestamptz, text, text),
	retention.product_pair_customers(text, text, timestamptz, text),
	retention.event_retention_customers(integer, text, text, timestamptz, text, text),
	retention.visit_conversion_customers(date, text, text, timestamptz, text)
TO retention_reader, retention_operator;

GRANT SELECT ON
	retention.care_caps,
	retention.care_effect,
	retention.care_skipped,
	retention.care_tasks,
	retention.customer_contacts,
	retention.staff_followups
TO retention_reader, retention_operator;

GRANT EXECUTE ON FUNCTION retention.care_explanation_zh(retention.care_message, retention.shop) TO retention_reader, retention_operator;

-- What conditions are made of, and audiences.
GRANT EXECUTE ON FUNCTION
	retention.buyers_of(text, timestamptz, timestamptz, text),
	retention.audience_customers(text, text, timestamptz),
	retention.audience_count(text, text, timestamptz),
	retention.similar_customers(text, integer, text, timestamptz)
TO retention_reader, retention_operator;

GRANT EXECUTE ON FUNCTION
	retention.check_condition(text, boolean, text),
	retention.define_audience(text, text, text, text),
	retention.drop_audience(text, text),
	retention.define_tag_rule(text, text, text, text),
	retention.drop_tag_rule(text, text),
	retention.run_tag_rules(timestamptz),
	retention.tag_customer(text, text, text, text),
	retention.tag_customer(anynonarray, text, text, text),
	retention.untag_customer(text, text, text),
	retention.untag_customer(anynonarray, text, text),
	retention.set_profile(text, jsonb, text, text),
	retention.set_profile(anynonarray, jsonb, text, text)
TO retention_operator;

GRANT SELECT, INSERT, UPDATE, DELETE ON retention.care_cap TO retention_operator;

GRANT EXECUTE ON FUNCTION
	retention.claim_messages(text, integer, interval, text, timestamptz, text),
	retention.mark_sent(uuid, text, timestamptz),
	retention.mark_failed(uuid, text, boolean, timestamptz),
	retention.mark_messages(uuid[], text[], text[], boolean[], timestamptz),
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

-- The operator's settings, and what is run by the day or to mend.
GRANT SELECT, INSERT, UPDATE ON retention.shop TO retention_operator;
GRANT SELECT ON retention.feedback_cases, retention.feedback_step TO retention_operator;
GRANT SELECT, INSERT, UPDATE, DELETE ON retention.tier, retention.rfm_segment_override, retention.festival, retention.feedback_route TO retention_operator;
GRANT INSERT, UPDATE, DELETE ON retention.care_rules, retention.care_templates TO retention_operator;
GRANT SELECT ON retention.source, retention.watch, retention.sync_error TO retention_operator;
GRANT EXECUTE ON PROCEDURE retention.run(timestamptz) TO retention_operator;
GRANT EXECUTE ON FUNCTION retention.resync(text, text, boolean) TO retention_operator;

-- Campaigns.
GRANT SELECT ON retention.campaigns, retention.campaign_credits TO retention_reader, retention_operator;

GRANT SELECT ON
	retention.campaign,
	retention.campaign_step,
	retention.campaign_member,
	retention.campaign_offer,
	retention.offer_code
TO retention_operator;

GRANT EXECUTE ON FUNCTION
	retention.campaign_effect(text, text, timestamptz),
	retention.campaign_lift(text, text, timestamptz)
TO retention_reader, retention_operator;

GRANT EXECUTE ON FUNCTION
	retention.create_campaign(text, text, numeric, timestamptz, timestamptz, integer, numeric, numeric, timestamptz, text, text),
	retention.add_campaign_step(text, text, text, text, interval, text, text, interval, integer, boolean, boolean, text),
	retention.set_campaign_offer(text, text, text, timestamptz, timestamptz, text),
	retention.preview_campaign(text, text, timestamptz),
	retention.preview_campaign_customers(text, integer, text, timestamptz),
	retention.start_campaign(text, text, timestamptz),
	retention.pause_campaign(text, text, timestamptz),
	retention.resume_campaign(text, text, timestamptz),
	retention.stop_campaign(text, text, timestamptz),
	retention.delete_campaign(text, text),
	retention.check_offer(text, text, timestamptz, text),
	retention.redeem_offer(text, text, text, timestamptz, text),
	retention.redeem_offer(text, anynonarray, text, timestamptz, text),
	retention.record_reply(text, text, text, text, timestamptz, text),
	retention.record_reply(text, anynonarray, text, text, timestamptz, text),
	retention.record_attendance(text, text, timestamptz, text),
	retention.record_attendance(text, anynonarray, timestamptz, text)
TO retention_operator;

-- Whether all is well.
GRANT EXECUTE ON FUNCTION
	retention.library_version(),
	retention.library_fits(),
	retention.health(timestamptz, boolean)
TO retention_reader, retention_operator;
