-- ---------------------------------------------------------------------------
-- render_message: the text of a message, at the moment it leaves
-- ---------------------------------------------------------------------------

-- As whole units where there are no cents: a text says 199, or 199.50.
CREATE FUNCTION retention.money_text(amount numeric)
	RETURNS text
	LANGUAGE sql
	IMMUTABLE
	STRICT
	PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN CASE
		WHEN amount = trunc(amount) THEN trunc(amount)::text
		ELSE round(amount, 2)::text
	END;

COMMENT ON FUNCTION retention.money_text(numeric) IS 'An amount as messages write it: with two decimals, or none when it is whole';

CREATE FUNCTION retention.message_values(
	shop_id integer,
	customer_id text,
	subject text,
	source_id integer,
	order_id text,
	at timestamptz,
	placeholders text[]
)
	RETURNS jsonb
	LANGUAGE plpgsql
	STABLE
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	the_shop retention.shop;
	found_values jsonb;
	needed text;
BEGIN
	SELECT s.* INTO the_shop
	FROM retention.shop s
	WHERE s.shop_id = message_values.shop_id;

	SELECT jsonb_build_object(
		'shop', the_shop.name,
		'nickname', c.nickname,
		'name', c.name,
		'customer', coalesce(c.attributes, '{}') || jsonb_build_object('id', customer_id),
		'purchases', s.purchases,
		'spent', retention.money_text(s.spent),
		'days', (at AT TIME ZONE the_shop.time_zone)::date - (s.last_purchase_at AT TIME ZONE the_shop.time_zone)::date)
	INTO found_values
	FROM (SELECT) AS one
	LEFT JOIN retention.customer c ON c.shop_id = message_values.shop_id AND c.customer_id = message_values.customer_id
	LEFT JOIN retention.customer_stats s ON s.shop_id = message_values.shop_id AND s.customer_id = message_values.customer_id;

	-- The rest is looked up only where the text asks for it.
	FOREACH needed IN ARRAY ARRAY(
		SELECT DISTINCT split_part(p, '.', 1)
		FROM unnest(placeholders) p
		WHERE split_part(p, '.', 1) NOT IN ('shop', 'nickname', 'name', 'customer', 'purchases', 'spent', 'days'))
	LOOP
		IF needed IN ('campaign', 'offer_code', 'event') THEN
			found_values := found_values || retention.campaign_values(the_shop, customer_id, subject, needed);
			CONTINUE;
		END IF;
		found_values := found_values || CASE needed
			WHEN 'order' THEN coalesce((
				SELECT jsonb_build_object('order', coalesce(p.attributes, '{}') || jsonb_build_object(
					'id', p.order_id,
					'total', retention.money_text(p.total),
					'paid', retention.money_text(p.paid),
					'refunded', retention.money_text(p.refunded + p.refunded_by_orders),
					'channel', p.channel,
					'close_reason', p.close_reason))
				FROM retention.purchase p
				WHERE p.source_id = message_values.source_id AND p.order_id = message_values.order_id), '{}')
			WHEN 'tier' THEN jsonb_build_object('tier', (
				SELECT CASE the_shop.language WHEN 'zh' THEN coalesce(l.name_zh, l.name) ELSE l.name END
				FROM (
					SELECT t.name, t.name_zh
					FROM retention.tier t
					WHERE t.shop_id = message_values.shop_id
					UNION ALL
					SELECT d.name, d.name_zh
					FROM retention.tier_default d
					WHERE NOT EXISTS (
						SELECT
						FROM retention.tier t
						WHERE t.shop_id = message_values.shop_id)
				) AS l
				-- The tier that is at risk; else the one that is kept, where the
				-- shop leaves it for a while.
				WHERE l.name = coalesce(
					substring(subject FROM '^tier:(.*):\d{4}-\d{2}-\d{2}$'),
					(SELECT s.tier
					FROM retention.customer_stats s
					WHERE s.shop_id = message_values.shop_id
						AND s.customer_id = message_values.customer_id
						AND (the_shop.tier_grace IS NOT NULL OR the_shop.tier_downgrade <> 'balance')),
					retention.customer_tier(customer_id, the_shop.name, at))))
			WHEN 'points' THEN jsonb_build_object(
				'points', retention.points_balance(customer_id, at, the_shop.name),
				'points.expiring', l.points,
				'points.expire_on', CASE the_shop.language
					WHEN 'zh' THEN to_char(l.day, 'FMMM"月"FMDD"日"')
					ELSE to_char(l.day, 'FMDD Mon')
				END)
			WHEN 'festival' THEN jsonb_build_object('festival', f.title)
			WHEN 'greeting' THEN jsonb_build_object('greeting', f.greeting)
			WHEN 'milestone' THEN jsonb_build_object('milestone', CASE
				WHEN subject LIKE 'milestone:%' THEN retention.money_text(split_part(subject, ':', 2)::numeric)
			END)
			WHEN 'review' THEN coalesce((
				SELECT jsonb_build_object('review', jsonb_build_object('score', trim_scale(r.score), 'content', r.content))
				FROM retention.feedback r
				WHERE r.shop_id = message_values.shop_id
					AND r.customer_id = message_values.customer_id
					AND r.kind = 'review'
					AND subject = format('review:%s:%s', r.feedback_source_id, r.reference)), '{}')
			ELSE '{}'::jsonb
		END
		-- A subject names its day: 'festival:mid_autumn_festival:2026-09-25', 'expiry:2026-12-31'.
		FROM (SELECT) AS one
		LEFT JOIN LATERAL (
			SELECT v.title, v.greeting
			FROM retention.festivals v
			WHERE needed IN ('festival', 'greeting')
				AND subject LIKE 'festival:%'
				AND v.shop_id = message_values.shop_id
				AND v.name = split_part(subject, ':', 2)
				AND v.day = CASE WHEN subject LIKE 'festival:%' THEN split_part(subject, ':', 3)::date END
		) AS f ON true
		LEFT JOIN LATERAL (
			SELECT sum(p.remaining) AS points, d.day
			FROM (SELECT CASE WHEN subject LIKE 'expiry:%' THEN split_part(subject, ':', 2)::date END AS day) AS d
			JOIN retention.points_lot p
				ON p.shop_id = message_values.shop_id
				AND p.customer_id = message_values.customer_id
				AND p.remaining > 0
				AND p.expires_at > at
				AND (p.expires_at AT TIME ZONE the_shop.time_zone)::date = d.day
			WHERE needed = 'points'
			GROUP BY d.day
		) AS l ON true;
	END LOOP;
	RETURN found_values;
END
$$;

COMMENT ON FUNCTION retention.message_values(integer, text, text, integer, text, timestamptz, text[]) IS
	'The values of the placeholders named, for a message to this customer on this subject at that moment; money in the shop''s currency. What is not known is absent or null';

CREATE FUNCTION retention.signed_text(text text, shop_id integer)
	RETURNS text
	LANGUAGE plpgsql
	STABLE
	STRICT
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
	-- 【 would make an SMS in plain English more than twice as long to bill.
	RETURN (
		SELECT CASE s.language
			WHEN 'zh' THEN format('【%s】%s', coalesce(nullif(s.signature, ''), s.name), text)
			ELSE format('[%s] %s', coalesce(nullif(s.signature, ''), s.name), text)
		END
		FROM retention.shop s
		WHERE s.shop_id = signed_text.shop_id);
END
$$;

COMMENT ON FUNCTION retention.signed_text(text, integer) IS 'The text with the shop''s signature before it: 【signature】 in Chinese, [signature] in English, whose texts then stay in the GSM alphabet';

CREATE FUNCTION retention.rule_template(shop_id integer, rule text, OUT text text, OUT subject_line text)
	LANGUAGE plpgsql
	STABLE
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
	-- The shop's language first; a text there is only in the other is better
	-- than none.
	SELECT coalesce(p.text, t.text), coalesce(p.subject_line, t.subject_line) INTO text, subject_line
	FROM retention.shop s
	LEFT JOIN retention.care_rules r ON r.shop_id = s.shop_id AND r.name = rule_template.rule
	LEFT JOIN retention.campaign_step p ON p.shop_id = s.shop_id AND p.rule = rule_template.rule
	LEFT JOIN retention.care_templates t
		ON t.shop_id = s.shop_id AND t.name = coalesce(r.template, p.template, rule_template.rule)
	WHERE s.shop_id = rule_template.shop_id
	ORDER BY t.language = s.language DESC
	LIMIT 1;
END
$$;

COMMENT ON FUNCTION retention.rule_template(integer, text) IS 'The template that a rule of the shop or a step of a campaign uses, or the template of that name, in the shop''s language where there is one: its text and subject line; NULLs when there is none';

CREATE FUNCTION retention.render_message(
	shop_id integer,
	customer_id text,
	rule text,
	subject text,
	source_id integer,
	order_id text,
	at timestamptz
)
	RETURNS TABLE (text text, missing text, subject_line text)
	LANGUAGE plpgsql
	STABLE
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	ROWS 1
AS $$
#variable_conflict use_variable
DECLARE
	template record;
	known jsonb;
BEGIN
	SELECT t.text, t.subject_line INTO template
	FROM retention.rule_template(shop_id, rule) AS t;
	known := retention.message_values(shop_id, customer_id, subject, source_id, order_id, at,
		retention.template_placeholders(template.text) || retention.template_placeholders(template.subject_line));

	SELECT retention.signed_text(t.text, shop_id), t.missing INTO text, missing
	FROM retention.render_template(template.text, known) AS t;
	SELECT t.text INTO subject_line
	FROM retention.render_template(template.subject_line, known) AS t;
	IF template.text IS NULL THEN
		missing := 'template';
	END IF;
	RETURN NEXT;
END
$$;

COMMENT ON FUNCTION retention.render_message(integer, text, text, text, integer, text, timestamptz) IS
	'The text of a message as it stands at that moment, signed; or NULL, and what is missing: the first placeholder that has neither value nor default, or template when the rule has none. And the subject line an e-mail of it has, NULL where it has none or lacks a value. One row';

-- ---------------------------------------------------------------------------
-- preview_template: for people
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.preview_template(
	template text,
	customer text,
	order_id text DEFAULT NULL,
	shop text DEFAULT NULL,
	at timestamptz DEFAULT NULL
)
	RETURNS TABLE (text text, missing text, segments integer, subject_line text)
	LANGUAGE plpgsql
	STABLE
	SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	ROWS 1
AS $$
#variable_conflict use_variable
DECLARE
	the_shop integer := retention.shop_id(shop);
	the_time timestamptz := coalesce(at, retention.now());
	the_template text;
	the_subject_line text;
	by_email boolean;
	no_subject_line text;
	known jsonb;
	the_subject text;
	the_source integer;
	the_zone text;
BEGIN
	SELECT t.text, t.subject_line INTO the_template, the_subject_line
	FROM retention.rule_template(the_shop, template) AS t;

	-- A text not kept yet can be tried as it is.
	IF the_template IS NULL AND template LIKE '%{{%' THEN
		PERFORM retention.care_template_valid(template);
		the_template := template;
	END IF;
	IF the_template IS NULL THEN
		RAISE EXCEPTION 'there is no care rule or template "%"', template
			USING ERRCODE = 'undefined_object',
				HINT = 'SELECT name, text FROM retention.care_templates shows the templates there are; a text with {{placeholders}} can be given in place of a name.';
	END IF;

	SELECT s.time_zone INTO the_zone
	FROM retention.shop s
	WHERE s.shop_id = the_shop;

	IF order_id IS NOT NULL THEN
		SELECT p.source_id INTO the_source
		FROM retention.purchase p
		WHERE p.shop_id = the_shop AND p.customer_id = customer AND p.order_id = preview_template.order_id
		ORDER BY p.placed_at DESC NULLS LAST
		LIMIT 1;
		IF the_source IS NULL THEN
			RAISE EXCEPTION 'customer "%" has no order "%"', customer, order_id
				USING ERRCODE = 'undefined_object';
		END IF;
	END IF;

	-- What such a message would be about: the next festival, the next points
	-- to expire, the first milestone, the last review.
	the_subject := CASE (
			SELECT r.event
			FROM retention.care_rules r
			WHERE r.shop_id = the_shop AND r.name = template)
		WHEN 'points_expiring' THEN (
			SELECT 'expiry:' || to_char(min(l.expires_at) AT TIME ZONE the_zone, 'YYYY-MM-DD')
			FROM retention.points_lot l
			WHERE l.shop_id = the_shop AND l.customer_id = customer AND l.remaining > 0 AND l.expires_at > the_time)
		WHEN 'spend_milestone' THEN (
			SELECT format('milestone:%s', min(a.amount::numeric))
			FROM retention.care_rules r
			CROSS JOIN LATERAL jsonb_array_elements_text(r.parameters -> 'amounts') AS a (amount)
			WHERE r.shop_id = the_shop AND r.name = template)
		WHEN 'review' THEN NULL
		WHEN 'bad_review' THEN NULL
		ELSE (
			SELECT format('festival:%s:%s', f.name, to_char(f.day, 'YYYY-MM-DD'))
			FROM retention.festivals f
			LEFT JOIN retention.care_rules r ON r.shop_id = the_shop AND r.name = template AND r.event = 'season'
			WHERE f.shop_id = the_shop
				AND f.greeted
				AND f.kind = CASE WHEN r.name IS NULL THEN 'festival' ELSE 'season' END
				AND f.day >= (the_time AT TIME ZONE the_zone)::date
			ORDER BY f.day, f.name
			LIMIT 1)
	END;
	IF the_subject IS NULL THEN
		SELECT format('review:%s:%s', r.feedback_source_id, r.reference) INTO the_subject
		FROM retention.feedback r
		WHERE r.shop_id = the_shop AND r.customer_id = customer AND r.kind = 'review'
		ORDER BY r.happened_at DESC, r.reference
		LIMIT 1;
	END IF;

	known := retention.message_values(the_shop, customer, the_subject, the_source, order_id, the_time,
		retention.template_placeholders(the_template) || retention.template_placeholders(the_subject_line));
	SELECT t.text, t.missing INTO text, missing
	FROM retention.render_template(the_template, known) AS t;
	text := retention.signed_text(text, the_shop);
	segments := retention.sms_segments(text);

	-- What the subject line lacks keeps back e-mails alone.
	SELECT t.text, t.missing INTO subject_line, no_subject_line
	FROM retention.render_template(the_subject_line, known) AS t;
	SELECT r.channel = 'email' INTO by_email
	FROM retention.care_rules r
	WHERE r.shop_id = the_shop AND r.name = template;
	IF missing IS NULL AND coalesce(by_email, true) THEN
		missing := no_subject_line;
	END IF;
	RETURN NEXT;
END
$$;

COMMENT ON FUNCTION retention.preview_template(text, text, text, text, timestamptz) IS
	'What a message to this customer would say, by the name of a rule or of a template, or by a text with {{placeholders}}: the text, the placeholder that would keep it from being sent, the messages an SMS of it is billed as, and the subject line an e-mail of it has. order_id is for texts about an order. at NULL means now, shop NULL the only shop; an unknown name or order is an error';

CREATE FUNCTION retention.preview_template(
	template text,
	customer anynonarray,
	order_id text DEFAULT NULL,
	shop text DEFAULT NULL,
	at timestamptz DEFAULT NULL
)
	RETURNS TABLE (text text, missing text, segments integer, subject_line text)
	LANGUAGE plpgsql
	STABLE
	SET search_path = pg_catalog, pg_temp
	ROWS 1
AS $$
BEGIN
	RETURN QUERY
	SELECT p.text, p.missing, p.segments, p.subject_line
	FROM retention.preview_template(template, retention.customer_key(customer), order_id, shop, at) AS p;
END
$$;

COMMENT ON FUNCTION retention.preview_template(text, anynonarray, text, text, timestamptz) IS 'The same for customers numbered by integer, whole numeric or uuid';

GRANT EXECUTE ON FUNCTION
	retention.render_message(integer, text, text, text, integer, text, timestamptz),
	retention.preview_template(text, text, text, text, timestamptz),
	retention.preview_template(text, anynonarray, text, text, timestamptz)
TO retention_operator;
