-- ---------------------------------------------------------------------------
-- shops: what a reader of the other views needs to know of each shop
-- ---------------------------------------------------------------------------

CREATE VIEW retention.shops AS
	SELECT
		shop.shop_id,
		shop.name AS shop,
		shop.time_zone,
		shop.currency,
		shop.language,
		timezone(shop.time_zone, retention.now())::date AS today
	FROM retention.shop;

COMMENT ON VIEW retention.shops IS 'Shops (店铺), one a row: how to read the money and days of the other views';
COMMENT ON COLUMN retention.shops.shop_id IS 'The shop';
COMMENT ON COLUMN retention.shops.shop IS 'Name of the shop (店铺)';
COMMENT ON COLUMN retention.shops.time_zone IS 'The shop''s own time zone (时区), by which its days are counted';
COMMENT ON COLUMN retention.shops.currency IS 'Currency of all its amounts (货币)';
COMMENT ON COLUMN retention.shops.language IS 'Language of its messages (语言): zh or en';
COMMENT ON COLUMN retention.shops.today IS 'The shop''s day (今天) as of retention.now()';

-- ---------------------------------------------------------------------------
-- customer_purchases: the kept histories as rows
-- ---------------------------------------------------------------------------

-- The views read what sync keeps, never the shop's own tables: those may be
-- altered or dropped, and a few bytes a purchase are read faster.
CREATE VIEW retention.customer_purchases AS
	SELECT
		shop.shop_id,
		shop.name AS shop,
		kept.customer_id,
		entry.paid_at,
		timezone(shop.time_zone, entry.paid_at)::date AS paid_on,
		entry.amount,
		kept.first_purchase_at
	FROM retention.shop
	JOIN (
		SELECT stats.shop_id, stats.customer_id, stats.first_purchase_at, stats.history
		FROM retention.customer_stats AS stats
		UNION ALL
		SELECT stats.shop_id, stats.customer_id, stats.first_purchase_at, older.history
		FROM retention.customer_history AS older
		JOIN retention.customer_stats AS stats
			ON stats.shop_id = older.shop_id AND stats.customer_id = older.customer_id
	) AS kept ON kept.shop_id = shop.shop_id
	CROSS JOIN LATERAL retention.entries(kept.history) AS entry;

COMMENT ON VIEW retention.customer_purchases IS
	'Purchases (购买记录), one a row: orders paid and not wholly refunded, read from the kept histories';
COMMENT ON COLUMN retention.customer_purchases.shop_id IS 'The shop';
COMMENT ON COLUMN retention.customer_purchases.shop IS 'Name of the shop (店铺)';
COMMENT ON COLUMN retention.customer_purchases.customer_id IS 'The shop''s own id for the customer (客户编号)';
COMMENT ON COLUMN retention.customer_purchases.paid_at IS 'When it was paid (付款时间)';
COMMENT ON COLUMN retention.customer_purchases.paid_on IS 'The day on which it was paid (付款日期), in the shop''s time zone';
COMMENT ON COLUMN retention.customer_purchases.amount IS 'Paid less refunded (实付金额), in the shop''s currency';
COMMENT ON COLUMN retention.customer_purchases.first_purchase_at IS 'When this customer''s first purchase ever was paid (首次购买时间)';

-- ---------------------------------------------------------------------------
-- customers: one row a customer
-- ---------------------------------------------------------------------------

-- All that can be said of a customer without looking at the others: reading
-- one of them reads one.
CREATE VIEW retention.customer_base AS
	SELECT
		known.shop_id,
		known.shop,
		known.customer_id,
		known.name,
		known.nickname,
		known.first_purchase_at,
		known.last_purchase_at,
		known.purchases,
		known.spent,
		known.spent / nullif(known.purchases, 0) AS average_value,
		known.unpaid_orders,
		known.recency_days,
		CASE
			WHEN known.tier_window IS NULL THEN retention.tier_of(known.spent, known.purchases, known.shop)
			ELSE retention.tier_of(known.window_spent, known.window_purchases, known.shop)
		END AS tier,
		known.points,
		known.customer_groups[1] AS customer_group,
		known.customer_groups,
		forecast.p_alive,
		forecast.expected_purchases,
		forecast.expected_value,
		forecast.clv,
		forecast.next_purchase_expected
	FROM (
		SELECT
			shop.shop_id,
			shop.name AS shop,
			shop.tier_window,
			customer.customer_id,
			customer.name,
			customer.nickname,
			stats.first_purchase_at,
			stats.last_purchase_at,
			coalesce(stats.purchases, 0) AS purchases,
			coalesce(stats.spent, 0) AS spent,
			coalesce(stats.unpaid_orders, 0) AS unpaid_orders,
			-- The counters say it, unless something has fallen due since.
			CASE
				WHEN stats.points_due_at <= retention.now() OR stats.points_as_of > retention.now()
				THEN retention.points_balance(customer.customer_id, shop => shop.name)
				ELSE coalesce(stats.points_posted - stats.points_held, 0)
			END AS points,
			day.today - timezone(shop.time_zone, stats.last_purchase_at)::date AS recency_days,
			coalesce(retention.bought(stats.history, day.tier_from, NULL), 0) + coalesce(older.purchases, 0) AS window_purchases,
			coalesce(retention.spent_between(stats.history, day.tier_from, NULL), 0) + coalesce(older.spent, 0) AS window_spent,
			-- What calls for the next step comes first.
			array_remove(ARRAY[
				CASE WHEN stats.unpaid_orders > 0 THEN 'to call back' END,
				CASE WHEN day.today - timezone(shop.time_zone, stats.last_purchase_at)::date >= shop.long_absent_days THEN 'long absent' END,
				CASE WHEN day.today - timezone(shop.time_zone, stats.first_purchase_at)::date < shop.new_customer_days THEN 'new' END,
				CASE WHEN stats.purchases >= 2 THEN 'loyal' END
			], NULL) AS customer_groups
		FROM retention.shop
		CROSS JOIN LATERAL (
			SELECT
				timezone(shop.time_zone, retention.now())::date AS today,
				timezone(shop.time_zone, timezone(shop.time_zone, retention.now()) - shop.tier_window) AS tier_from
		) AS day
		JOIN retention.customer ON customer.shop_id = shop.shop_id
		LEFT JOIN retention.customer_stats AS stats
			ON stats.shop_id = customer.shop_id AND stats.customer_id = customer.customer_id
		LEFT JOIN (
			SELECT
				chunk.shop_id,
				chunk.customer_id,
				sum(retention.bought(chunk.history, edge.tier_from, NULL))::bigint AS purchases,
				sum(retention.spent_between(chunk.history, edge.tier_from, NULL)) AS spent
			FROM retention.customer_history AS chunk
			JOIN (
				SELECT
					windowed.shop_id,
					timezone(windowed.time_zone, timezone(windowed.time_zone, retention.now()) - windowed.tier_window) AS tier_from
				FROM retention.shop AS windowed
				WHERE windowed.tier_window IS NOT NULL
			) AS edge ON edge.shop_id = chunk.shop_id
			GROUP BY chunk.shop_id, chunk.customer_id
		) AS older ON older.shop_id = customer.shop_id AND older.customer_id = customer.customer_id
	) AS known
	LEFT JOIN retention.customer_forecast AS forecast
		ON forecast.shop_id = known.shop_id AND forecast.customer_id = known.customer_id;

COMMENT ON VIEW retention.customer_base IS
	'What view customers says but for the scores, which compare all customers; see there';
COMMENT ON COLUMN retention.customer_base.shop_id IS 'See customers';
COMMENT ON COLUMN retention.customer_base.shop IS 'See customers';
COMMENT ON COLUMN retention.customer_base.customer_id IS 'See customers';
COMMENT ON COLUMN retention.customer_base.name IS 'See customers';
COMMENT ON COLUMN retention.customer_base.nickname IS 'See customers';
COMMENT ON COLUMN retention.customer_base.first_purchase_at IS 'See customers';
COMMENT ON COLUMN retention.customer_base.last_purchase_at IS 'See customers';
COMMENT ON COLUMN retention.customer_base.purchases IS 'See customers';
COMMENT ON COLUMN retention.customer_base.spent IS 'See customers';
COMMENT ON COLUMN retention.customer_base.average_value IS 'See customers';
COMMENT ON COLUMN retention.customer_base.unpaid_orders IS 'See customers';
COMMENT ON COLUMN retention.customer_base.recency_days IS 'See customers';
COMMENT ON COLUMN retention.customer_base.tier IS 'See customers';
COMMENT ON COLUMN retention.customer_base.points IS 'See customers';
COMMENT ON COLUMN retention.customer_base.customer_group IS 'See customers';
COMMENT ON COLUMN retention.customer_base.customer_groups IS 'See customers';
COMMENT ON COLUMN retention.customer_base.p_alive IS 'See customers';
COMMENT ON COLUMN retention.customer_base.expected_purchases IS 'See customers';
COMMENT ON COLUMN retention.customer_base.expected_value IS 'See customers';
COMMENT ON COLUMN retention.customer_base.clv IS 'See customers';
COMMENT ON COLUMN retention.customer_base.next_purchase_expected IS 'See customers';

CREATE VIEW retention.customers AS
	SELECT
		scored.shop_id,
		scored.shop,
		scored.customer_id,
		scored.name,
		scored.nickname,
		scored.first_purchase_at,
		scored.last_purchase_at,
		scored.purchases,
		scored.spent,
		scored.average_value,
		scored.unpaid_orders,
		scored.recency_days,
		(scored.score).recency,
		(scored.score).frequency,
		(scored.score).monetary,
		(scored.score).recency::text || (scored.score).frequency::text || (scored.score).monetary::text AS rfm,
		retention.rfm_segment(scored.score, shop => scored.shop) AS segment,
		retention.rfm_segment(scored.score, 'cn8', scored.shop) AS segment_cn8,
		scored.tier,
		scored.points,
		scored.customer_group,
		scored.customer_groups,
		scored.p_alive,
		scored.expected_purchases,
		scored.expected_value,
		scored.clv,
		scored.next_purchase_expected
	FROM (
		SELECT
			base.*,
			CASE
				WHEN shop.rfm_cuts IS NULL
				THEN retention.rfm_score(
					base.last_purchase_at,
					nullif(base.purchases, 0),
					CASE WHEN base.purchases > 0 THEN base.spent END
				) OVER (PARTITION BY base.shop_id)
				ELSE retention.rfm_score(
					base.last_purchase_at,
					nullif(base.purchases, 0),
					CASE WHEN base.purchases > 0 THEN base.spent END,
					shop.rfm_cuts,
					retention.now()
				)
			END AS score
		FROM retention.customer_base AS base
		JOIN retention.shop ON shop.shop_id = base.shop_id
	) AS scored;

COMMENT ON VIEW retention.customers IS
	'Customers (客户), one a row: purchases, RFM, tier, points and groups as of retention.now(), and the forecast as of the day of the last run()';
COMMENT ON COLUMN retention.customers.shop_id IS 'The shop';
COMMENT ON COLUMN retention.customers.shop IS 'Name of the shop (店铺)';
COMMENT ON COLUMN retention.customers.customer_id IS 'The shop''s own id for the customer (客户编号)';
COMMENT ON COLUMN retention.customers.name IS 'Full name (姓名)';
COMMENT ON COLUMN retention.customers.nickname IS 'What messages call the customer (昵称)';
COMMENT ON COLUMN retention.customers.first_purchase_at IS 'When the first purchase was paid (首次购买时间); NULL before any';
COMMENT ON COLUMN retention.customers.last_purchase_at IS 'When the last purchase was paid (最近购买时间); NULL before any';
COMMENT ON COLUMN retention.customers.purchases IS 'Purchases (购买次数): orders paid and not wholly refunded';
COMMENT ON COLUMN retention.customers.spent IS 'Paid less refunded over all purchases (累计消费金额), in the shop''s currency';
COMMENT ON COLUMN retention.customers.average_value IS 'Spent by purchase (客单价), not rounded; NULL without purchases';
COMMENT ON COLUMN retention.customers.unpaid_orders IS 'Orders placed, not paid and not closed (未付款订单数)';
COMMENT ON COLUMN retention.customers.recency_days IS 'Days since the last purchase (距上次购买天数), by the shop''s calendar: 0 on the same day; NULL without purchases';
COMMENT ON COLUMN retention.customers.recency IS 'RFM score 1 (worst) to 5 for how lately the customer bought (最近一次消费), among the shop''s customers with a purchase, or by the shop''s frozen cut points (shop.rfm_cuts) where it has some; NULL without purchases';
COMMENT ON COLUMN retention.customers.frequency IS 'RFM score 1 to 5 for how often (消费频率)';
COMMENT ON COLUMN retention.customers.monetary IS 'RFM score 1 to 5 for how much (消费金额)';
COMMENT ON COLUMN retention.customers.rfm IS 'The three scores together, as in 545 (RFM 得分); NULL without purchases';
COMMENT ON COLUMN retention.customers.segment IS 'RFM segment (RFM 分层) by the scheme global; NULL without purchases';
COMMENT ON COLUMN retention.customers.segment_cn8 IS 'RFM segment by the scheme cn8, the eight Chinese classes (八类客户: 重要价值客户 to 一般挽留客户); NULL without purchases';
COMMENT ON COLUMN retention.customers.tier IS 'Tier reached (会员等级), over all purchases or those within shop.tier_window until now, as customer_tier(); NULL below the lowest';
COMMENT ON COLUMN retention.customers.points IS 'Points that can be spent now (可用积分), as points_balance(); negative when points of a refunded order were already spent';
COMMENT ON COLUMN retention.customers.customer_group IS 'The first of customer_groups (客户分组), that is, of the groups the customer is in the one that calls for the next step; NULL when in none';
COMMENT ON COLUMN retention.customers.customer_groups IS 'All groups the customer is in, in this order: to call back (待回访, an unpaid order), long absent (久未来访, last purchase shop.long_absent_days days ago or more), new (新客户, first purchase less than shop.new_customer_days days ago), loyal (忠实客户, two purchases or more); days by the shop''s calendar; empty when in none';
COMMENT ON COLUMN retention.customers.p_alive IS 'Probability, 0 to 1, that the customer is still one (活跃概率); this and what follows is the forecast (see the view forecasts): NULL without purchases, and while there are too few customers to fit one';
COMMENT ON COLUMN retention.customers.expected_purchases IS 'Purchases expected in the next shop.forecast_days days (预计购买次数), the chance of having left included';
COMMENT ON COLUMN retention.customers.expected_value IS 'What a future purchase is worth (预计客单价), in the shop''s currency, rounded to two decimals';
COMMENT ON COLUMN retention.customers.clv IS 'Customer lifetime value (客户终身价值): value of the purchases expected in the next shop.forecast_days days, discounted, in the shop''s currency, rounded to two decimals';
COMMENT ON COLUMN retention.customers.next_purchase_expected IS 'The day by which the customer has bought again as likely as not (预计下次购买日期); NULL when that is never, p_alive being one half or less';

-- ---------------------------------------------------------------------------
-- customer_groups: the groups that shop tools show
-- ---------------------------------------------------------------------------

CREATE VIEW retention.customer_groups AS
	SELECT
		shop.shop_id,
		shop.name AS shop,
		kind.customer_group,
		kind.customer_group_zh,
		coalesce(member.customers, 0) AS customers,
		coalesce(member.customers, 0)::numeric / everybody.customers AS share,
		coalesce(member.spent, 0) AS spent
	FROM retention.shop
	CROSS JOIN (
		VALUES
			(1, 'loyal', '忠实客户'),
			(2, 'new', '新客户'),
			(3, 'to call back', '待回访'),
			(4, 'long absent', '久未来访')
	) AS kind (position, customer_group, customer_group_zh)
	LEFT JOIN (
		SELECT customer.shop_id, count(*) AS customers
		FROM retention.customer
		GROUP BY customer.shop_id
	) AS everybody ON everybody.shop_id = shop.shop_id
	LEFT JOIN (
		SELECT customers.shop_id, customer_group.name, count(*) AS customers, sum(customers.spent) AS spent
		FROM retention.customers
		CROSS JOIN LATERAL unnest(customers.customer_groups) AS customer_group (name)
		GROUP BY customers.shop_id, customer_group.name
	) AS member ON member.shop_id = shop.shop_id AND member.name = kind.customer_group
	ORDER BY shop.shop_id, kind.position;

COMMENT ON VIEW retention.customer_groups IS
	'Customer groups (客户分组) as shop tools show them, always all four of a shop. They overlap: each is counted on its own, so the shares need not add up to 1';
COMMENT ON COLUMN retention.customer_groups.shop_id IS 'The shop';
COMMENT ON COLUMN retention.customer_groups.shop IS 'Name of the shop (店铺)';
COMMENT ON COLUMN retention.customer_groups.customer_group IS 'loyal (two purchases or more), new (first purchase less than shop.new_customer_days days ago), to call back (an unpaid order) or long absent (last purchase shop.long_absent_days days ago or more); days by the shop''s calendar';
COMMENT ON COLUMN retention.customer_groups.customer_group_zh IS 'The group in Chinese: 忠实客户, 新客户, 待回访, 久未来访';
COMMENT ON COLUMN retention.customer_groups.customers IS 'Customers in the group (客户数)';
COMMENT ON COLUMN retention.customer_groups.share IS 'Their share of all customers of the shop (客户占比), those who never bought included: 0 to 1, not rounded; NULL for a shop without customers';
COMMENT ON COLUMN retention.customer_groups.spent IS 'What they spent in all their purchases (累计消费金额), in the shop''s currency';

-- ---------------------------------------------------------------------------
-- rfm_segments: each segment's part of the shop
-- ---------------------------------------------------------------------------

-- Counted by the 125 cells first: every scheme is then a matter of naming
-- cells, your own schemes included.
CREATE VIEW retention.rfm_segments AS
	WITH named AS (
		SELECT 1 AS precedence, NULL::integer AS shop_id, shipped.*
		FROM retention.rfm_segment_default AS shipped
		UNION ALL
		SELECT
			CASE WHEN own.shop_id IS NULL THEN 2 ELSE 3 END,
			own.shop_id,
			own.scheme,
			own.recency,
			own.frequency,
			own.monetary,
			own.segment,
			own.segment_zh,
			own.segment_en,
			own.advice,
			own.advice_zh
		FROM retention.rfm_segment_override AS own
	), grid AS (
		SELECT DISTINCT ON (shop.shop_id, named.scheme, named.recency, named.frequency, named.monetary)
			shop.shop_id,
			shop.name AS shop,
			named.scheme,
			named.recency,
			named.frequency,
			named.monetary,
			named.segment,
			named.segment_zh,
			named.segment_en,
			named.advice,
			named.advice_zh
		FROM retention.shop
		JOIN named ON named.shop_id IS NULL OR named.shop_id = shop.shop_id
		ORDER BY
			shop.shop_id,
			named.scheme,
			named.recency,
			named.frequency,
			named.monetary,
			named.precedence DESC
	), cell AS (
		SELECT
			customers.shop_id,
			customers.recency,
			customers.frequency,
			customers.monetary,
			count(*) AS customers,
			sum(customers.spent) AS spent,
			sum(customers.purchases) AS purchases,
			sum(customers.recency_days) AS recency_days
		FROM retention.customers
		WHERE customers.purchases > 0
		GROUP BY customers.shop_id, customers.recency, customers.frequency, customers.monetary
	), everybody AS (
		SELECT cell.shop_id, sum(cell.customers) AS customers, sum(cell.spent) AS spent
		FROM cell
		GROUP BY cell.shop_id
	)
	SELECT
		grid.shop_id,
		grid.shop,
		grid.scheme,
		grid.segment,
		max(grid.segment_zh) AS segment_zh,
		max(grid.segment_en) AS segment_en,
		coalesce(sum(cell.customers), 0)::bigint AS customers,
		coalesce(sum(cell.customers), 0) / everybody.customers AS share,
		coalesce(sum(cell.spent), 0) AS spent,
		coalesce(sum(cell.spent), 0) / nullif(everybody.spent, 0) AS spent_share,
		sum(cell.purchases) / sum(cell.customers) AS average_purchases,
		sum(cell.recency_days) / sum(cell.customers) AS average_recency_days,
		max(grid.advice) AS advice,
		max(grid.advice_zh) AS advice_zh
	FROM grid
	LEFT JOIN cell
		ON cell.shop_id = grid.shop_id
		AND cell.recency = grid.recency
		AND cell.frequency = grid.frequency
		AND cell.monetary = grid.monetary
	LEFT JOIN everybody ON everybody.shop_id = grid.shop_id
	GROUP BY grid.shop_id, grid.shop, grid.scheme, grid.segment, everybody.customers, everybody.spent
	ORDER BY
		grid.shop_id,
		grid.scheme,
		max(grid.recency + grid.frequency + grid.monetary) DESC,
		max(grid.recency) DESC,
		grid.segment;

COMMENT ON VIEW retention.rfm_segments IS
	'RFM segments (RFM 分层) and their part of the shop''s customers and sales. One set of rows a scheme: filter by scheme = ''global'' (or ''cn8'', or one of your own) before adding up. Segments with nobody in them are shown';
COMMENT ON COLUMN retention.rfm_segments.shop_id IS 'The shop';
COMMENT ON COLUMN retention.rfm_segments.shop IS 'Name of the shop (店铺)';
COMMENT ON COLUMN retention.rfm_segments.scheme IS 'The scheme that names the segments: global (11 segments), cn8 (the eight Chinese classes, 八类客户) or one of your own in rfm_segment_override';
COMMENT ON COLUMN retention.rfm_segments.segment IS 'Name of the segment (分层)';
COMMENT ON COLUMN retention.rfm_segments.segment_zh IS 'Name in Chinese; NULL when your own scheme gives none';
COMMENT ON COLUMN retention.rfm_segments.segment_en IS 'Name in English; NULL when your own scheme gives none';
COMMENT ON COLUMN retention.rfm_segments.customers IS 'Customers in the segment (客户数)';
COMMENT ON COLUMN retention.rfm_segments.share IS 'Their share of the shop''s customers with a purchase (客户占比): 0 to 1, not rounded; NULL when there are none';
COMMENT ON COLUMN retention.rfm_segments.spent IS 'What they spent in all their purchases (累计消费金额), in the shop''s currency';
COMMENT ON COLUMN retention.rfm_segments.spent_share IS 'Its share of what all spent (销售额占比): 0 to 1, not rounded; NULL when nothing was spent';
COMMENT ON COLUMN retention.rfm_segments.average_purchases IS 'Purchases by customer (人均购买次数), not rounded; NULL for an empty segment';
COMMENT ON COLUMN retention.rfm_segments.average_recency_days IS 'Days since the last purchase, on average (平均距上次购买天数), not rounded; NULL for an empty segment';
COMMENT ON COLUMN retention.rfm_segments.advice IS 'What to do about these customers, in one line; NULL when your own scheme says nothing';
COMMENT ON COLUMN retention.rfm_segments.advice_zh IS 'The same in Chinese (运营建议)';

-- ---------------------------------------------------------------------------
-- repurchase_monthly: who bought again, month by month
-- ---------------------------------------------------------------------------

CREATE VIEW retention.repurchase_monthly AS
	WITH buyer AS (
		SELECT
			purchase.shop_id,
			purchase.customer_id,
			date_trunc('month', purchase.paid_on::timestamp) AS month,
			min(purchase.first_purchase_at) AS first_purchase_at,
			count(*) AS purchases,
			sum(purchase.amount) AS spent
		FROM retention.customer_purchases AS purchase
		GROUP BY purchase.shop_id, purchase.customer_id, date_trunc('month', purchase.paid_on::timestamp)
	), counted AS (
		SELECT
			buyer.shop_id,
			buyer.month,
			count(*) AS buyers,
			count(*) FILTER (WHERE buyer.purchases >= 2) AS repeat_buyers,
			count(*) FILTER (
				WHERE date_trunc('month', timezone(shop.time_zone, buyer.first_purchase_at)) = buyer.month
			) AS new_buyers,
			sum(buyer.purchases)::bigint AS purchases,
			sum(buyer.spent) AS sales
		FROM buyer
		JOIN retention.shop ON shop.shop_id = buyer.shop_id
		GROUP BY buyer.shop_id, buyer.month
	), known AS (
		SELECT
			counted.shop_id,
			generate_series(min(counted.month), max(counted.month), interval '1 month') AS month
		FROM counted
		GROUP BY counted.shop_id
	)
	SELECT
		shop.shop_id,
		shop.name AS shop,
		known.month::date AS month,
		coalesce(counted.buyers, 0) AS buyers,
		coalesce(counted.repeat_buyers, 0) AS repeat_buyers,
		CASE
			WHEN known.month < date_trunc('month', timezone(shop.time_zone, retention.now()))
			THEN counted.repeat_buyers::numeric / counted.buyers
		END AS repurchase_rate,
		coalesce(counted.new_buyers, 0) AS new_buyers,
		coalesce(counted.buyers - counted.new_buyers, 0) AS returning_buyers,
		coalesce(counted.purchases, 0) AS purchases,
		coalesce(counted.sales, 0) AS sales
	FROM known
	JOIN retention.shop ON shop.shop_id = known.shop_id
	LEFT JOIN counted ON counted.shop_id = known.shop_id AND counted.month = known.month
	ORDER BY shop.shop_id, known.month;

COMMENT ON VIEW retention.repurchase_monthly IS
	'Repurchase by month (月度复购), from the month of the shop''s first purchase to that of its last; months without purchases have zeros. Counts of a month not yet over are those so far';
COMMENT ON COLUMN retention.repurchase_monthly.shop_id IS 'The shop';
COMMENT ON COLUMN retention.repurchase_monthly.shop IS 'Name of the shop (店铺)';
COMMENT ON COLUMN retention.repurchase_monthly.month IS 'First day of the month (月份), in the shop''s time zone';
COMMENT ON COLUMN retention.repurchase_monthly.buyers IS 'Customers who bought in the month (购买人数)';
COMMENT ON COLUMN retention.repurchase_monthly.repeat_buyers IS 'Of them, those who bought twice or more within the month (复购人数)';
COMMENT ON COLUMN retention.repurchase_monthly.repurchase_rate IS 'Repurchase rate (复购率) of the month: repeat_buyers / buyers, 0 to 1, not rounded, as the aggregate repurchase_rate() gives it; NULL while the month is not over, and when nobody bought';
COMMENT ON COLUMN retention.repurchase_monthly.new_buyers IS 'Buyers whose first purchase ever lies in the month (新客人数)';
COMMENT ON COLUMN retention.repurchase_monthly.returning_buyers IS 'Buyers who had bought before the month (老客人数): buyers less new_buyers';
COMMENT ON COLUMN retention.repurchase_monthly.purchases IS 'Purchases of the month (购买次数)';
COMMENT ON COLUMN retention.repurchase_monthly.sales IS 'Sales of the month (销售额): paid less refunded of the orders paid in it, in the shop''s currency';

-- ---------------------------------------------------------------------------
-- cohort_monthly: what became of the customers of a month
-- ---------------------------------------------------------------------------

CREATE VIEW retention.cohort_monthly AS
	WITH cohort AS (
		SELECT
			shop.shop_id,
			shop.name AS shop,
			date_trunc('month', timezone(shop.time_zone, stats.first_purchase_at)) AS month,
			date_trunc('month', timezone(shop.time_zone, retention.now())) AS present,
			count(*) AS size
		FROM retention.shop
		JOIN retention.customer_stats AS stats ON stats.shop_id = shop.shop_id
		WHERE stats.first_purchase_at IS NOT NULL
		GROUP BY shop.shop_id, shop.name, date_trunc('month', timezone(shop.time_zone, stats.first_purchase_at))
	), buyer AS (
		SELECT
			purchase.shop_id,
			purchase.customer_id,
			date_trunc('month', purchase.paid_on::timestamp) AS month,
			min(purchase.first_purchase_at) AS first_purchase_at,
			sum(purchase.amount) AS spent
		FROM retention.customer_purchases AS purchase
		GROUP BY purchase.shop_id, purchase.customer_id, date_trunc('month', purchase.paid_on::timestamp)
	), counted AS (
		SELECT
			buyer.shop_id,
			date_trunc('month', timezone(shop.time_zone, buyer.first_purchase_at)) AS cohort,
			buyer.month,
			count(*) AS customers,
			sum(buyer.spent) AS value
		FROM buyer
		JOIN retention.shop ON shop.shop_id = buyer.shop_id
		GROUP BY buyer.shop_id, date_trunc('month', timezone(shop.time_zone, buyer.first_purchase_at)), buyer.month
	)
	SELECT
		cohort.shop_id,
		cohort.shop,
		cohort.month::date AS cohort,
		cohort.size,
		12 * extract(year FROM age(later.month, cohort.month))::integer
			+ extract(month FROM age(later.month, cohort.month))::integer AS months_since,
		later.month::date AS month,
		CASE WHEN later.month < cohort.present THEN coalesce(counted.customers, 0) END AS customers,
		CASE WHEN later.month < cohort.present THEN coalesce(counted.customers, 0)::numeric / cohort.size END AS retention,
		CASE WHEN later.month < cohort.present THEN coalesce(counted.value, 0) END AS value
	FROM cohort
	CROSS JOIN LATERAL generate_series(cohort.month, cohort.present, interval '1 month') AS later (month)
	LEFT JOIN counted
		ON counted.shop_id = cohort.shop_id
		AND counted.cohort = cohort.month
		AND counted.month = later.month
	ORDER BY cohort.shop_id, cohort.month, later.month;

COMMENT ON VIEW retention.cohort_monthly IS
	'Monthly cohorts (同期群): the customers who first bought in a month, in each month since, up to the present one. Rows are there for months in which nobody bought; months still to come have none';
COMMENT ON COLUMN retention.cohort_monthly.shop_id IS 'The shop';
COMMENT ON COLUMN retention.cohort_monthly.shop IS 'Name of the shop (店铺)';
COMMENT ON COLUMN retention.cohort_monthly.cohort IS 'Month of the first purchase ever (首购月份), its first day, in the shop''s time zone';
COMMENT ON COLUMN retention.cohort_monthly.size IS 'Customers of the cohort (首购人数); so far, where that month is not over';
COMMENT ON COLUMN retention.cohort_monthly.months_since IS 'Months since (第几月): 0 is the month of the first purchase';
COMMENT ON COLUMN retention.cohort_monthly.month IS 'The month in question (月份), its first day';
COMMENT ON COLUMN retention.cohort_monthly.customers IS 'Customers of the cohort who bought in that month (复购人数); NULL while it is not over';
COMMENT ON COLUMN retention.cohort_monthly.retention IS 'Their share of the cohort (留存率): customers / size, 0 to 1, not rounded; NULL while the month is not over';
COMMENT ON COLUMN retention.cohort_monthly.value IS 'What they spent in that month (销售额), in the shop''s currency; NULL while it is not over';
