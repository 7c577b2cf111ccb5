-- ---------------------------------------------------------------------------
-- orders, customer_details: what conditions speak of
-- ---------------------------------------------------------------------------

CREATE VIEW retention.orders AS
	SELECT
		shop.shop_id,
		shop.name AS shop,
		purchase.customer_id,
		purchase.source_id,
		purchase.order_id,
		purchase.placed_at,
		purchase.paid_at,
		purchase.shipped_at,
		purchase.delivered_at,
		purchase.completed_at,
		purchase.closed_at,
		purchase.total,
		purchase.paid,
		purchase.refunded + purchase.refunded_by_orders AS refunded,
		purchase.value,
		purchase.currency,
		purchase.channel,
		purchase.staff,
		purchase.referrer,
		purchase.points_used,
		purchase.close_reason,
		purchase.is_refund,
		purchase.attributes
	FROM retention.purchase
	JOIN retention.shop ON shop.shop_id = purchase.shop_id;

COMMENT ON VIEW retention.orders IS
	'Orders (订单), one a row, as last recorded; money in the shop''s currency';
COMMENT ON COLUMN retention.orders.shop_id IS 'The shop';
COMMENT ON COLUMN retention.orders.shop IS 'Name of the shop (店铺)';
COMMENT ON COLUMN retention.orders.customer_id IS 'The shop''s own id for the customer (客户编号)';
COMMENT ON COLUMN retention.orders.source_id IS 'The attached source it came from';
COMMENT ON COLUMN retention.orders.order_id IS 'The shop''s own id for the order (订单编号)';
COMMENT ON COLUMN retention.orders.placed_at IS 'When it was placed (下单时间)';
COMMENT ON COLUMN retention.orders.paid_at IS 'When it was paid in full (付款时间); NULL while unpaid';
COMMENT ON COLUMN retention.orders.shipped_at IS 'When it was shipped (发货时间)';
COMMENT ON COLUMN retention.orders.delivered_at IS 'When it arrived (送达时间)';
COMMENT ON COLUMN retention.orders.completed_at IS 'When the trade was completed (交易成功时间)';
COMMENT ON COLUMN retention.orders.closed_at IS 'When it was closed or cancelled (关闭时间)';
COMMENT ON COLUMN retention.orders.total IS 'The order''s total (订单金额)';
COMMENT ON COLUMN retention.orders.paid IS 'Money paid so far (已付金额)';
COMMENT ON COLUMN retention.orders.refunded IS 'Money given back so far (退款金额), by the order''s own facts or by orders that refund it';
COMMENT ON COLUMN retention.orders.value IS 'Paid less refunded (实付金额) while the order is a purchase (paid and not wholly refunded); NULL otherwise';
COMMENT ON COLUMN retention.orders.currency IS 'Currency it was placed in, when the shop says';
COMMENT ON COLUMN retention.orders.channel IS 'Sales channel (渠道): web, app, store, ...';
COMMENT ON COLUMN retention.orders.staff IS 'Staff member who made the sale (客服)';
COMMENT ON COLUMN retention.orders.referrer IS 'Customer who referred the buyer (推荐人)';
COMMENT ON COLUMN retention.orders.points_used IS 'Points redeemed on it (使用积分), as the shop says';
COMMENT ON COLUMN retention.orders.close_reason IS 'Why it was closed (关闭原因), when the shop records it';
COMMENT ON COLUMN retention.orders.is_refund IS 'Whether it is a negative order, that is, a refund of others';
COMMENT ON COLUMN retention.orders.attributes IS 'Anything else the shop says of it';

-- A condition pays for what it names: the scores, for which all customers are
-- ranked, are in a join that is left out when none of them is asked for, and
-- each of the others is looked up for the customers that are left.
CREATE VIEW retention.customer_details AS
	SELECT
		base.*,
		scores.recency,
		scores.frequency,
		scores.monetary,
		scores.rfm,
		scores.segment,
		scores.segment_cn8,
		customer.birthday,
		customer.joined_at,
		customer.phone IS NOT NULL AS has_phone,
		customer.email IS NOT NULL AS has_email,
		customer.attributes,
		coalesce(profile.fields, '{}') AS profile,
		(
			SELECT file.completeness
			FROM retention.customer_profiles AS file
			WHERE file.shop_id = base.shop_id AND file.customer_id = base.customer_id
		) AS completeness,
		coalesce(profile.registered_by, customer.attributes ->> 'registered_by') AS registered_by,
		customer.forgotten_at,
		ARRAY(
			SELECT given.tag
			FROM retention.customer_tag AS given
			WHERE given.shop_id = base.shop_id AND given.customer_id = base.customer_id
			ORDER BY given.tag
		) AS tags,
		coalesce(contact.purged_sent, 0) + (
			SELECT count(*)
			FROM retention.care_message AS message
			WHERE message.shop_id = base.shop_id AND message.customer_id = base.customer_id AND message.state = 'sent'
		) AS messages_sent,
		coalesce(contact.purged_responses, 0) + (
			SELECT count(message.responded_at)
			FROM retention.care_message AS message
			WHERE message.shop_id = base.shop_id AND message.customer_id = base.customer_id AND message.state = 'sent'
		) AS messages_answered,
		(
			SELECT max(message.sent_at)
			FROM retention.care_message AS message
			WHERE message.shop_id = base.shop_id AND message.customer_id = base.customer_id AND message.state = 'sent'
		) AS last_message_at,
		-- As claiming a marketing message has it.
		coalesce((
			SELECT count(*) = shop.suppress_unanswered
				AND count(latest.responded_at) = 0
				AND NOT coalesce(base.last_purchase_at >= min(latest.sent_at), false)
			FROM (
				SELECT message.responded_at, message.sent_at
				FROM retention.care_message AS message
				WHERE message.shop_id = base.shop_id
					AND message.customer_id = base.customer_id
					AND message.counted_at IS NOT NULL
					AND message.purpose = 'marketing'
					AND message.state = 'sent'
				ORDER BY message.counted_at DESC
				LIMIT shop.suppress_unanswered
			) AS latest
		), false) AS low_response,
		EXISTS (
			SELECT
			FROM retention.feedback AS review
			WHERE review.shop_id = base.shop_id
				AND review.customer_id = base.customer_id
				AND review.kind = 'review'
				AND review.score < 3
				AND review.happened_at > retention.now() - make_interval(days => shop.suppress_review_days)
				AND review.happened_at <= retention.now()
		) AS bad_reviewer,
		(
			SELECT review.score
			FROM retention.feedback AS review
			WHERE review.shop_id = base.shop_id
				AND review.customer_id = base.customer_id
				AND review.kind = 'review'
				AND review.score IS NOT NULL
			ORDER BY review.happened_at DESC, review.reference
			LIMIT 1
		) AS last_review_score,
		(
			SELECT count(*)
			FROM retention.feedback AS complaint
			WHERE complaint.shop_id = base.shop_id
				AND complaint.customer_id = base.customer_id
				AND complaint.kind = 'complaint'
				AND complaint.state IN ('open', 'answered')
		) AS open_complaints
	FROM retention.customer_base AS base
	JOIN retention.shop ON shop.shop_id = base.shop_id
	JOIN retention.customer ON customer.shop_id = base.shop_id AND customer.customer_id = base.customer_id
	LEFT JOIN retention.customer_profile AS profile ON profile.shop_id = base.shop_id AND profile.customer_id = base.customer_id
	LEFT JOIN retention.care_contact AS contact ON contact.shop_id = base.shop_id AND contact.customer_id = base.customer_id
	LEFT JOIN (
		SELECT
			scored.shop_id,
			scored.customer_id,
			max(scored.recency) AS recency,
			max(scored.frequency) AS frequency,
			max(scored.monetary) AS monetary,
			max(scored.rfm) AS rfm,
			max(scored.segment) AS segment,
			max(scored.segment_cn8) AS segment_cn8
		FROM retention.customers AS scored
		GROUP BY scored.shop_id, scored.customer_id
	) AS scores ON scores.shop_id = base.shop_id AND scores.customer_id = base.customer_id;

COMMENT ON VIEW retention.customer_details IS
	'What the condition of an audience or rule may ask of a customer: all columns of customers, and the profile, tags, contacts and reviews';
COMMENT ON COLUMN retention.customer_details.shop_id IS 'See customers';
COMMENT ON COLUMN retention.customer_details.shop IS 'See customers';
COMMENT ON COLUMN retention.customer_details.customer_id IS 'See customers';
COMMENT ON COLUMN retention.customer_details.name IS 'See customers';
COMMENT ON COLUMN retention.customer_details.nickname IS 'See customers';
COMMENT ON COLUMN retention.customer_details.first_purchase_at IS 'See customers';
COMMENT ON COLUMN retention.customer_details.last_purchase_at IS 'See customers';
COMMENT ON COLUMN retention.customer_details.purchases IS 'See customers';
COMMENT ON COLUMN retention.customer_details.spent IS 'See customers';
COMMENT ON COLUMN retention.customer_details.average_value IS 'See customers';
COMMENT ON COLUMN retention.customer_details.unpaid_orders IS 'See customers';
COMMENT ON COLUMN retention.customer_details.recency_days IS 'See customers';
COMMENT ON COLUMN retention.customer_details.tier IS 'See customers';
COMMENT ON COLUMN retention.customer_details.points IS 'See customers';
COMMENT ON COLUMN retention.customer_details.customer_group IS 'See customers';
COMMENT ON COLUMN retention.customer_details.customer_groups IS 'See customers';
COMMENT ON COLUMN retention.customer_details.p_alive IS 'See customers';
COMMENT ON COLUMN retention.customer_details.expected_purchases IS 'See customers';
COMMENT ON COLUMN retention.customer_details.expected_value IS 'See customers';
COMMENT ON COLUMN retention.customer_details.clv IS 'See customers';
COMMENT ON COLUMN retention.customer_details.next_purchase_expected IS 'See customers';
COMMENT ON COLUMN retention.customer_details.recency IS 'See customers';
COMMENT ON COLUMN retention.customer_details.frequency IS 'See customers';
COMMENT ON COLUMN retention.customer_details.monetary IS 'See customers';
COMMENT ON COLUMN retention.customer_details.rfm IS 'See customers';
COMMENT ON COLUMN retention.customer_details.segment IS 'See customers';
COMMENT ON COLUMN retention.customer_details.segment_cn8 IS 'See customers';
COMMENT ON COLUMN retention.customer_details.birthday IS 'Date of birth (生日)';
COMMENT ON COLUMN retention.customer_details.joined_at IS 'When the customer joined (入会时间), if the shop says';
COMMENT ON COLUMN retention.customer_details.has_phone IS 'Whether a phone number is known';
COMMENT ON COLUMN retention.customer_details.has_email IS 'Whether an e-mail address is known';
COMMENT ON COLUMN retention.customer_details.attributes IS 'What else is known (其他资料): attributes ->> ''region''';
COMMENT ON COLUMN retention.customer_details.profile IS 'What staff noted (软性资料): profile ->> ''habits''';
COMMENT ON COLUMN retention.customer_details.completeness IS 'Completeness of the profile (完整度), 0 to 1: see customer_profiles; NULL when forgotten';
COMMENT ON COLUMN retention.customer_details.registered_by IS 'Staff member who registered the customer (建档人)';
COMMENT ON COLUMN retention.customer_details.forgotten_at IS 'When forget_customer() erased the profile; audiences and rules leave such customers out';
COMMENT ON COLUMN retention.customer_details.tags IS 'Tags (标签), sorted: ''vip'' = ANY (tags)';
COMMENT ON COLUMN retention.customer_details.messages_sent IS 'Messages sent to the customer (发送次数)';
COMMENT ON COLUMN retention.customer_details.messages_answered IS 'Those the customer answered (回应次数)';
COMMENT ON COLUMN retention.customer_details.last_message_at IS 'When the last message still kept was sent (最近联系时间)';
COMMENT ON COLUMN retention.customer_details.low_response IS 'Whether the customer answered none of the last shop.suppress_unanswered marketing messages and bought nothing since (低响应); false where that setting is NULL';
COMMENT ON COLUMN retention.customer_details.bad_reviewer IS 'Whether the customer left a review with a score below 3 within shop.suppress_review_days (差评客户); false where that setting is NULL';
COMMENT ON COLUMN retention.customer_details.last_review_score IS 'Score of the customer''s last review (最近评分); NULL without any';
COMMENT ON COLUMN retention.customer_details.open_complaints IS 'Complaints of the customer that are not solved (未解决投诉)';

-- ---------------------------------------------------------------------------
-- buyers_of: the buyers of a product, for conditions
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.buyers_of(
	product text,
	from_time timestamptz DEFAULT NULL,
	to_time timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS TABLE (customer_id text, orders bigint, quantity numeric, last_bought_at timestamptz)
	LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	the_shop integer := retention.shop_id(shop);
BEGIN
	RETURN QUERY
	SELECT bought.customer_id, count(DISTINCT (bought.source_id, bought.order_id)), sum(line.quantity), max(bought.paid_at)
	FROM retention.lines(NULL, shop) AS line
	JOIN retention.purchase AS bought ON bought.source_id = line.source_id AND bought.order_id = line.order_id
	WHERE line.product = buyers_of.product
		AND bought.shop_id = the_shop
		AND bought.value IS NOT NULL
		AND bought.paid_at >= coalesce(from_time, '-infinity')
		AND bought.paid_at < coalesce(to_time, 'infinity')
	GROUP BY bought.customer_id
	ORDER BY bought.customer_id;
END
$$;

COMMENT ON FUNCTION retention.buyers_of(text, timestamptz, timestamptz, text) IS
	'The customers who bought a product, in so many orders paid from from_time on and before to_time (NULL: any), and when last; for conditions: customer_id IN (SELECT b.customer_id FROM retention.buyers_of(''tea'') AS b). Reads the attached lines; none for a product nobody bought. shop NULL means the only shop';

-- ---------------------------------------------------------------------------
-- Conditions
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.check_condition(condition text, of_purchase boolean DEFAULT false, what text DEFAULT 'the condition')
	RETURNS text
	AS 'MODULE_PATHNAME', 'check_condition'
	LANGUAGE C;

COMMENT ON FUNCTION retention.check_condition(text, boolean, text) IS
	'An error unless the text is a condition that the role calling this may write: one boolean expression over a row of customer_details, and with of_purchase also over the order''s row of orders, named purchase; it may only read, and call only functions that are not volatile and belong to a superuser. Returns that role''s name, as which it is to be evaluated; NULL gives NULL. what names it in errors';

CREATE FUNCTION retention.customers_where(
	shop_id integer,
	condition text,
	role text,
	at timestamptz DEFAULT NULL,
	customers text[] DEFAULT NULL,
	what text DEFAULT 'the condition'
)
	RETURNS SETOF text
	AS 'MODULE_PATHNAME', 'customers_where'
	LANGUAGE C STABLE ROWS 100000;

COMMENT ON FUNCTION retention.customers_where(integer, text, text, timestamptz, text[], text) IS
	'The customers of the shop, or of those named, for whom the condition is true; customers forgotten are never among them. Evaluated as the role (retention_reader for a superuser, and for NULL), read-only; at is the moment taken for now, NULL meaning now. An error when the condition fails or the role is gone, naming both what and the condition. No row for a NULL shop or condition';

CREATE FUNCTION retention.purchases_where(
	shop_id integer,
	condition text,
	role text,
	at timestamptz,
	customers text[],
	source_ids integer[],
	order_ids text[],
	what text DEFAULT 'the condition'
)
	RETURNS TABLE (source_id integer, order_id text)
	AS 'MODULE_PATHNAME', 'purchases_where'
	LANGUAGE C STABLE ROWS 10;

COMMENT ON FUNCTION retention.purchases_where(integer, text, text, timestamptz, text[], integer[], text[], text) IS
	'Those of the orders named (by source and id, one from each array) for which a condition over the customer and the order is true; customers are whose orders they are. Otherwise as customers_where()';
