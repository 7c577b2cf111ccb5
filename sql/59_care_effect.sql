-- ---------------------------------------------------------------------------
-- care_effect: what messages brought
-- ---------------------------------------------------------------------------

-- What care_effect said of months whose messages have been purged.
CREATE TABLE retention.care_effect_kept (
	shop_id integer NOT NULL,
	rule text NOT NULL,
	month date NOT NULL,
	queued bigint NOT NULL,
	sent bigint NOT NULL,
	customers bigint NOT NULL,
	failed bigint NOT NULL,
	skipped bigint NOT NULL,
	reasons jsonb NOT NULL,
	segments bigint NOT NULL,
	responses bigint NOT NULL,
	buyers bigint NOT NULL,
	orders bigint NOT NULL,
	sales numeric NOT NULL,
	PRIMARY KEY (shop_id, rule, month)
);

SELECT pg_catalog.pg_extension_config_dump('retention.care_effect_kept', '');

COMMENT ON TABLE retention.care_effect_kept IS 'The figures of care_effect for months whose messages have been purged';
COMMENT ON COLUMN retention.care_effect_kept.shop_id IS 'See care_effect';
COMMENT ON COLUMN retention.care_effect_kept.rule IS 'See care_effect';
COMMENT ON COLUMN retention.care_effect_kept.month IS 'See care_effect';
COMMENT ON COLUMN retention.care_effect_kept.queued IS 'See care_effect';
COMMENT ON COLUMN retention.care_effect_kept.sent IS 'See care_effect';
COMMENT ON COLUMN retention.care_effect_kept.customers IS 'See care_effect';
COMMENT ON COLUMN retention.care_effect_kept.failed IS 'See care_effect';
COMMENT ON COLUMN retention.care_effect_kept.skipped IS 'See care_effect';
COMMENT ON COLUMN retention.care_effect_kept.reasons IS 'See care_effect';
COMMENT ON COLUMN retention.care_effect_kept.segments IS 'See care_effect';
COMMENT ON COLUMN retention.care_effect_kept.responses IS 'See care_effect';
COMMENT ON COLUMN retention.care_effect_kept.buyers IS 'See care_effect';
COMMENT ON COLUMN retention.care_effect_kept.orders IS 'See care_effect';
COMMENT ON COLUMN retention.care_effect_kept.sales IS 'See care_effect';

CREATE VIEW retention.care_effect AS
	WITH message AS (
		SELECT
			m.shop_id,
			m.rule,
			pg_catalog.date_trunc('month', m.due_at AT TIME ZONE s.time_zone)::date AS month,
			m.customer_id,
			m.state,
			m.reason,
			m.segments,
			m.sent_at,
			m.responded_at,
			s.attribution_days
		FROM retention.care_message m
		JOIN retention.shop s ON s.shop_id = m.shop_id
	), counted AS (
		SELECT
			m.shop_id,
			m.rule,
			m.month,
			pg_catalog.count(*) AS queued,
			pg_catalog.count(*) FILTER (WHERE m.state = 'sent') AS sent,
			pg_catalog.count(DISTINCT m.customer_id) FILTER (WHERE m.state = 'sent') AS customers,
			pg_catalog.count(*) FILTER (WHERE m.state = 'failed') AS failed,
			pg_catalog.count(*) FILTER (WHERE m.state IN ('skipped', 'cancelled')) AS skipped,
			coalesce(pg_catalog.sum(m.segments) FILTER (WHERE m.state = 'sent'), 0)::bigint AS segments,
			pg_catalog.count(m.responded_at) FILTER (WHERE m.state = 'sent') AS responses
		FROM message m
		GROUP BY m.shop_id, m.rule, m.month
	), refused AS (
		SELECT r.shop_id, r.rule, r.month, pg_catalog.jsonb_object_agg(r.reason, r.messages) AS reasons
		FROM (
			SELECT m.shop_id, m.rule, m.month, coalesce(m.reason, m.state) AS reason, pg_catalog.count(*) AS messages
			FROM message m
			WHERE m.state IN ('skipped', 'cancelled', 'failed')
			GROUP BY m.shop_id, m.rule, m.month, coalesce(m.reason, m.state)
		) AS r
		GROUP BY r.shop_id, r.rule, r.month
	), bought AS (
		SELECT
			b.shop_id,
			b.rule,
			b.month,
			pg_catalog.count(DISTINCT b.customer_id) AS buyers,
			pg_catalog.count(*) AS orders,
			pg_catalog.sum(b.value) AS sales
		FROM (
			-- An order counts once for a rule and month, however many messages led to it.
			SELECT DISTINCT m.shop_id, m.rule, m.month, p.source_id, p.order_id, p.customer_id, p.value
			FROM message m
			JOIN retention.purchase p ON p.shop_id = m.shop_id
				AND p.customer_id = m.customer_id
				AND p.paid_at > m.sent_at
				AND p.paid_at <= m.sent_at + pg_catalog.make_interval(days => m.attribution_days)
			WHERE m.state = 'sent' AND p.value IS NOT NULL
		) AS b
		GROUP BY b.shop_id, b.rule, b.month
	), figures AS (
		SELECT
			c.shop_id, c.rule, c.month, c.queued, c.sent, c.customers, c.failed, c.skipped,
			coalesce(r.reasons, '{}') AS reasons,
			c.segments, c.responses,
			coalesce(b.buyers, 0) AS buyers,
			coalesce(b.orders, 0) AS orders,
			coalesce(b.sales, 0) AS sales
		FROM counted c
		LEFT JOIN refused r ON r.shop_id = c.shop_id AND r.rule = c.rule AND r.month = c.month
		LEFT JOIN bought b ON b.shop_id = c.shop_id AND b.rule = c.rule AND b.month = c.month
		UNION ALL
		SELECT
			k.shop_id, k.rule, k.month, k.queued, k.sent, k.customers, k.failed, k.skipped,
			k.reasons,
			k.segments, k.responses,
			k.buyers, k.orders, k.sales
		FROM retention.care_effect_kept k
	)
	SELECT
		f.*,
		pg_catalog.round(f.responses::numeric / nullif(f.sent, 0), 4) AS response_rate,
		pg_catalog.round(f.buyers::numeric / nullif(f.customers, 0), 4) AS conversion_rate
	FROM figures f;

COMMENT ON VIEW retention.care_effect IS 'What care messages brought, by rule and month (of when they fell due, in the shop''s zone); the last attribution_days may still grow';
COMMENT ON COLUMN retention.care_effect.shop_id IS 'The shop';
COMMENT ON COLUMN retention.care_effect.rule IS 'The rule';
COMMENT ON COLUMN retention.care_effect.month IS 'First day of the month';
COMMENT ON COLUMN retention.care_effect.queued IS 'Messages queued, whatever became of them';
COMMENT ON COLUMN retention.care_effect.sent IS 'Messages sent';
COMMENT ON COLUMN retention.care_effect.customers IS 'Customers they were sent to';
COMMENT ON COLUMN retention.care_effect.failed IS 'Messages given up after failures';
COMMENT ON COLUMN retention.care_effect.skipped IS 'Messages skipped or cancelled';
COMMENT ON COLUMN retention.care_effect.reasons IS 'Messages not sent, by reason: {"opted out": 3}';
COMMENT ON COLUMN retention.care_effect.segments IS 'SMS parts billed';
COMMENT ON COLUMN retention.care_effect.responses IS 'Messages that were answered: clicked, replied to or unsubscribed from';
COMMENT ON COLUMN retention.care_effect.buyers IS 'Customers who paid an order within shop.attribution_days after such a message';
COMMENT ON COLUMN retention.care_effect.orders IS 'Those orders, each once';
COMMENT ON COLUMN retention.care_effect.sales IS 'Their value: paid less refunded';
COMMENT ON COLUMN retention.care_effect.response_rate IS 'Responses / sent; NULL when none was sent';
COMMENT ON COLUMN retention.care_effect.conversion_rate IS 'Buyers / customers; NULL when none was sent';

-- ---------------------------------------------------------------------------
-- purge_messages
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.purge_messages(before timestamptz, at timestamptz DEFAULT retention.now())
	RETURNS bigint
	LANGUAGE plpgsql
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop record;
	cutoff date;
	kept record;
	removed bigint;
	purged bigint := 0;
BEGIN
	IF before IS NULL THEN
		RAISE EXCEPTION 'argument "before" must not be null'
			USING ERRCODE = 'null_value_not_allowed';
	END IF;
	PERFORM retention.expire_messages(at);

	FOR the_shop IN
		SELECT
			s.shop_id,
			s.time_zone,
			-- What caps and effects still look at stays.
			purge_messages.at - greatest(
				make_interval(days => s.attribution_days + 1),
				(SELECT max(c.period) FROM retention.care_caps c WHERE c.shop_id = s.shop_id)
			) AS needed_from
		FROM retention.shop s
		ORDER BY s.shop_id
	LOOP
		cutoff := date_trunc('month', least(before, the_shop.needed_from) AT TIME ZONE the_shop.time_zone)::date;

		-- Whole months of a rule, when all their messages are done with and were
		-- sent before what is needed.
		FOR kept IN
			INSERT INTO retention.care_effect_kept AS k (
				shop_id, rule, month, queued, sent, customers, failed, skipped, reasons,
				segments, responses, buyers, orders, sales
			)
			SELECT
				e.shop_id, e.rule, e.month, e.queued, e.sent, e.customers, e.failed, e.skipped, e.reasons,
				e.segments, e.responses, e.buyers, e.orders, e.sales
			FROM retention.care_effect e
			WHERE e.shop_id = the_shop.shop_id
				AND e.month < cutoff
				AND NOT EXISTS (
					SELECT
					FROM retention.care_message m
					WHERE m.shop_id = e.shop_id
						AND m.rule = e.rule
						AND m.due_at >= e.month::timestamp AT TIME ZONE the_shop.time_zone
						AND m.due_at < (e.month + interval '1 month') AT TIME ZONE the_shop.time_zone
						AND (m.state IN ('queued', 'claimed') OR m.sent_at >= the_shop.needed_from)
				)
				-- A campaign's effect is read from its messages as long as there is the campaign.
				AND NOT EXISTS (
					SELECT
					FROM retention.campaign_step t
					WHERE t.shop_id = e.shop_id AND t.rule = e.rule
				)
			ON CONFLICT DO NOTHING
			RETURNING k.shop_id, k.rule, k.month
		LOOP
			WITH gone AS (
				DELETE FROM retention.care_message m
				WHERE m.shop_id = kept.shop_id
					AND m.rule = kept.rule
					AND m.due_at >= kept.month::timestamp AT TIME ZONE the_shop.time_zone
					AND m.due_at < (kept.month + interval '1 month') AT TIME ZONE the_shop.time_zone
				RETURNING m.shop_id, m.customer_id, m.state, m.responded_at
			), counts AS (
				INSERT INTO retention.care_contact AS c (shop_id, customer_id, purged_sent, purged_responses)
				SELECT g.shop_id, g.customer_id, count(*), count(g.responded_at)
				FROM gone g
				WHERE g.state = 'sent'
				GROUP BY g.shop_id, g.customer_id
				ORDER BY g.customer_id
				ON CONFLICT (shop_id, customer_id) DO UPDATE
				SET purged_sent = c.purged_sent + EXCLUDED.purged_sent,
					purged_responses = c.purged_responses + EXCLUDED.purged_responses
			)
			SELECT count(*) INTO removed
			FROM gone;
			purged := purged + removed;
		END LOOP;
	END LOOP;
	RETURN purged;
END
$$;

COMMENT ON FUNCTION retention.purge_messages(timestamptz, timestamptz) IS
	'Removes messages of whole months before the moment given, once all of a rule''s messages of the month are done with and neither caps nor attribution look at them any more; those of a campaign only after delete_campaign(). Returns how many. The figures of care_effect and customer_contacts stay';

-- ---------------------------------------------------------------------------
-- customer_contacts
-- ---------------------------------------------------------------------------

CREATE VIEW retention.customer_contacts AS
	SELECT
		coalesce(m.shop_id, c.shop_id) AS shop_id,
		coalesce(m.customer_id, c.customer_id) AS customer_id,
		coalesce(m.sent, 0) + coalesce(c.purged_sent, 0) AS sent,
		coalesce(m.responses, 0) + coalesce(c.purged_responses, 0) AS responses,
		pg_catalog.round(
			(coalesce(m.responses, 0) + coalesce(c.purged_responses, 0))::numeric
			/ nullif(coalesce(m.sent, 0) + coalesce(c.purged_sent, 0), 0),
			4) AS response_rate,
		m.last_sent_at
	FROM (
		SELECT
			m.shop_id,
			m.customer_id,
			pg_catalog.count(*) AS sent,
			pg_catalog.count(m.responded_at) AS responses,
			pg_catalog.max(m.sent_at) AS last_sent_at
		FROM retention.care_message m
		WHERE m.state = 'sent'
		GROUP BY m.shop_id, m.customer_id
	) AS m
	FULL JOIN (
		SELECT k.*
		FROM retention.care_contact k
		WHERE k.purged_sent > 0
	) AS c ON c.shop_id = m.shop_id AND c.customer_id = m.customer_id;

COMMENT ON VIEW retention.customer_contacts IS 'How often each customer was written to and answered';
COMMENT ON COLUMN retention.customer_contacts.shop_id IS 'The shop';
COMMENT ON COLUMN retention.customer_contacts.customer_id IS 'The customer';
COMMENT ON COLUMN retention.customer_contacts.sent IS 'Messages sent to the customer, purged ones included';
COMMENT ON COLUMN retention.customer_contacts.responses IS 'Those the customer answered';
COMMENT ON COLUMN retention.customer_contacts.response_rate IS 'Responses / sent';
COMMENT ON COLUMN retention.customer_contacts.last_sent_at IS 'When the last of the messages still kept was sent';
