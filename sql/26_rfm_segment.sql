-- ---------------------------------------------------------------------------
-- rfm_segment: names for the scores
-- ---------------------------------------------------------------------------

-- The shipped grids are not dumped: a restore makes them anew.
CREATE TABLE retention.rfm_segment_default (
	scheme text NOT NULL CHECK (scheme <> ''),
	recency integer NOT NULL CHECK (recency BETWEEN 1 AND 5),
	frequency integer NOT NULL CHECK (frequency BETWEEN 1 AND 5),
	monetary integer NOT NULL CHECK (monetary BETWEEN 1 AND 5),
	segment text NOT NULL CHECK (segment <> ''),
	segment_zh text,
	segment_en text,
	advice text,
	advice_zh text,
	PRIMARY KEY (scheme, recency, frequency, monetary)
);

-- global: recency against (frequency + monetary) / 2 rounded up.
--
--	   1               2                    3                    4                5
--	5  New Customers   Potential Loyalists  Potential Loyalists  Champions        Champions
--	4  Promising       Potential Loyalists  Potential Loyalists  Loyal Customers  Loyal Customers
--	3  About To Sleep  About To Sleep       Need Attention       Loyal Customers  Loyal Customers
--	2  Hibernating     Hibernating          At Risk              At Risk          Can't Lose Them
--	1  Lost            Lost                 At Risk              At Risk          Can't Lose Them
INSERT INTO retention.rfm_segment_default (scheme, recency, frequency, monetary, segment, segment_zh, segment_en, advice, advice_zh)
SELECT 'global', r, f, m, area.segment, area.segment_zh, area.segment, area.advice, area.advice_zh
FROM (
	VALUES
		(5, 5, 4, 5, 'Champions', '冠军客户',
			'Thank them, show them what is new first and ask them to review and recommend; they need no discount.',
			'致谢并优先体验新品，请他们评价和推荐，不必打折。'),
		(3, 4, 4, 5, 'Loyal Customers', '忠诚客户',
			'Offer what goes with their purchases, bring them to the next tier and reward recommendations.',
			'推荐搭配商品，引导升级会员等级，奖励转介绍。'),
		(4, 5, 2, 3, 'Potential Loyalists', '潜在忠诚客户',
			'Invite them into the loyalty programme and suggest the next product while the last is fresh.',
			'邀请加入会员计划，趁热推荐下一件商品。'),
		(5, 5, 1, 1, 'New Customers', '新客户',
			'Welcome them, make sure that the first order pleased and give a reason for a second one soon.',
			'欢迎新客，确认首单满意，尽快促成第二单。'),
		(4, 4, 1, 1, 'Promising', '有潜力客户',
			'Stay in their mind: tell of bestsellers, with a small trial or gift towards the second order.',
			'保持印象：介绍热销商品，以试用或小礼品促成第二单。'),
		(3, 3, 3, 3, 'Need Attention', '需关注客户',
			'Make an offer for a limited time that fits what they bought before.',
			'按以往购买给予限时优惠，重新唤起兴趣。'),
		(3, 3, 1, 2, 'About To Sleep', '将沉睡客户',
			'Remind them with popular products and a modest discount before they forget the shop.',
			'在遗忘之前，用热门商品和小额优惠提醒。'),
		(1, 2, 3, 4, 'At Risk', '有流失风险客户',
			'Write personally, ask what was wrong and send a voucher for coming back.',
			'个性化联系，询问原因，赠送回归优惠券。'),
		(1, 2, 5, 5, 'Can''t Lose Them', '不能流失客户',
			'Call them: hear what drove them away and win them back with the best you can offer.',
			'电话回访，了解离开原因，以最有诚意的方案挽回。'),
		(2, 2, 1, 2, 'Hibernating', '沉睡客户',
			'Send an occasional offer of products close to their last purchase; spend little on it.',
			'偶尔推送与上次购买相近的商品优惠，控制成本。'),
		(1, 1, 1, 2, 'Lost', '已流失客户',
			'Try once to win them back at a big occasion, then leave them out of campaigns.',
			'大促时尝试一次召回，无响应则不再打扰。')
	) AS area (recency_from, recency_to, value_from, value_to, segment, segment_zh, advice, advice_zh)
	JOIN pg_catalog.generate_series(1, 5) AS r ON r BETWEEN area.recency_from AND area.recency_to
	JOIN pg_catalog.generate_series(1, 5) AS f ON true
	JOIN pg_catalog.generate_series(1, 5) AS m ON (f + m + 1) / 2 BETWEEN area.value_from AND area.value_to;

-- cn8: each of the three high (a score above 3) or low.  Its names are Chinese;
-- reports in English have segment_en.
INSERT INTO retention.rfm_segment_default (scheme, recency, frequency, monetary, segment, segment_zh, segment_en, advice, advice_zh)
SELECT 'cn8', r, f, m, class.segment, class.segment, class.segment_en, class.advice, class.advice_zh
FROM (
	VALUES
		(true, true, true, '重要价值客户', 'Key Customers To Treasure',
			'Keep them by the best service and privileges; they need no discount.',
			'提供专属服务和特权，用心维护，不必打折。'),
		(true, false, true, '重要发展客户', 'Key Customers To Develop',
			'They spend much but seldom: raise the frequency with memberships, points and subscriptions.',
			'消费高但次数少：以会员、积分、周期购提高频次。'),
		(false, true, true, '重要保持客户', 'Key Customers To Keep',
			'They used to come often and have stayed away: get in touch yourself before they are gone.',
			'曾常来而近期未来：主动联系，防止流失。'),
		(false, false, true, '重要挽留客户', 'Key Customers To Win Back',
			'They spent much and are leaving: call, ask why and make a generous offer.',
			'消费高而即将流失：电话回访问明原因，重点挽留。'),
		(true, true, false, '一般价值客户', 'Ordinary Customers To Treasure',
			'They come often for little: raise the order''s value with bundles and thresholds for free shipping.',
			'常来但客单价低：用搭配、满减包邮提高客单价。'),
		(true, false, false, '一般发展客户', 'Ordinary Customers To Develop',
			'Mostly new: make the second order easy with a welcome offer and bestsellers.',
			'多为新客：用新客礼和热销商品促成第二单。'),
		(false, true, false, '一般保持客户', 'Ordinary Customers To Keep',
			'Remind them automatically with points that lapse and small offers.',
			'以积分到期提醒和小额优惠自动触达。'),
		(false, false, false, '一般挽留客户', 'Ordinary Customers To Win Back',
			'Reach them only at big occasions and spend little on it.',
			'仅在大促时触达，控制成本。')
	) AS class (recent, frequent, spending, segment, segment_en, advice, advice_zh)
	JOIN pg_catalog.generate_series(1, 5) AS r ON (r > 3) = class.recent
	JOIN pg_catalog.generate_series(1, 5) AS f ON (f > 3) = class.frequent
	JOIN pg_catalog.generate_series(1, 5) AS m ON (m > 3) = class.spending;

COMMENT ON TABLE retention.rfm_segment_default IS 'The shipped segment schemes, global and cn8; not to be edited: it is not dumped';
COMMENT ON COLUMN retention.rfm_segment_default.scheme IS 'Name of the scheme';
COMMENT ON COLUMN retention.rfm_segment_default.recency IS 'Recency score, 1 to 5';
COMMENT ON COLUMN retention.rfm_segment_default.frequency IS 'Frequency score, 1 to 5';
COMMENT ON COLUMN retention.rfm_segment_default.monetary IS 'Monetary score, 1 to 5';
COMMENT ON COLUMN retention.rfm_segment_default.segment IS 'Name of the segment';
COMMENT ON COLUMN retention.rfm_segment_default.segment_zh IS 'Name in Chinese';
COMMENT ON COLUMN retention.rfm_segment_default.segment_en IS 'Name in English';
COMMENT ON COLUMN retention.rfm_segment_default.advice IS 'What to do about these customers, in one line';
COMMENT ON COLUMN retention.rfm_segment_default.advice_zh IS 'The same in Chinese (运营建议)';

CREATE TABLE retention.rfm_segment_override (
	scheme text NOT NULL CHECK (scheme <> ''),
	recency integer NOT NULL CHECK (recency BETWEEN 1 AND 5),
	frequency integer NOT NULL CHECK (frequency BETWEEN 1 AND 5),
	monetary integer NOT NULL CHECK (monetary BETWEEN 1 AND 5),
	segment text NOT NULL CHECK (segment <> ''),
	segment_zh text,
	segment_en text,
	advice text,
	advice_zh text,
	shop_id integer,
	UNIQUE NULLS NOT DISTINCT (shop_id, scheme, recency, frequency, monetary)
);

SELECT pg_catalog.pg_extension_config_dump('retention.rfm_segment_override', '');

COMMENT ON TABLE retention.rfm_segment_override IS 'Your own names for cells of a shipped scheme, or a scheme of your own; a shop''s own come before those for all shops, and these before the shipped ones';
COMMENT ON COLUMN retention.rfm_segment_override.scheme IS 'Name of the scheme: a shipped one, or a new one';
COMMENT ON COLUMN retention.rfm_segment_override.recency IS 'Recency score, 1 to 5';
COMMENT ON COLUMN retention.rfm_segment_override.frequency IS 'Frequency score, 1 to 5';
COMMENT ON COLUMN retention.rfm_segment_override.monetary IS 'Monetary score, 1 to 5';
COMMENT ON COLUMN retention.rfm_segment_override.segment IS 'Name of the segment';
COMMENT ON COLUMN retention.rfm_segment_override.segment_zh IS 'Name in Chinese';
COMMENT ON COLUMN retention.rfm_segment_override.segment_en IS 'Name in English';
COMMENT ON COLUMN retention.rfm_segment_override.advice IS 'What to do about these customers, in one line';
COMMENT ON COLUMN retention.rfm_segment_override.advice_zh IS 'The same in Chinese (运营建议)';
COMMENT ON COLUMN retention.rfm_segment_override.shop_id IS 'The shop whose own name it is; NULL for all shops';

CREATE TRIGGER invalidate_cache
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON retention.rfm_segment_default
	FOR EACH STATEMENT EXECUTE FUNCTION retention.invalidate_cache();

CREATE TRIGGER invalidate_cache
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON retention.rfm_segment_override
	FOR EACH STATEMENT EXECUTE FUNCTION retention.invalidate_cache();

CREATE FUNCTION retention.rfm_segment(
	recency integer,
	frequency integer,
	monetary integer,
	scheme text DEFAULT 'global',
	shop text DEFAULT NULL
)
	RETURNS text
	AS 'MODULE_PATHNAME', 'rfm_segment'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.rfm_segment(integer, integer, integer, text, text) IS
	'Segment that the scores fall into, by the scheme global (11 segments: recency against frequency and monetary averaged), cn8 (the eight Chinese classes; high is a score above 3), or one of your own in rfm_segment_override. shop NULL means the only shop; where there are several, or none, the names are those for all shops. NULL where a score or the scheme is NULL or your scheme names no segment; a score outside 1 to 5, an unknown scheme or shop is an error';

CREATE FUNCTION retention.rfm_segment(
	score retention.rfm_score,
	scheme text DEFAULT 'global',
	shop text DEFAULT NULL
)
	RETURNS text
	AS 'MODULE_PATHNAME', 'rfm_segment_of_score'
	LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION retention.rfm_segment(retention.rfm_score, text, text) IS
	'Segment that the scores fall into, as rfm_segment(recency, frequency, monetary, scheme, shop)';
