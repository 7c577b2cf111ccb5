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
INSERT INTO retention.rfm_segment_default (scheme, recency, frequency, monetary, segment, segment_zh)
SELECT 'global', r, f, m, area.segment, area.segment_zh
FROM (
	VALUES
		(5, 5, 4, 5, 'Champions', '冠军客户'),
		(3, 4, 4, 5, 'Loyal Customers', '忠诚客户'),
		(4, 5, 2, 3, 'Potential Loyalists', '潜在忠诚客户'),
		(5, 5, 1, 1, 'New Customers', '新客户'),
		(4, 4, 1, 1, 'Promising', '有潜力客户'),
		(3, 3, 3, 3, 'Need Attention', '需关注客户'),
		(3, 3, 1, 2, 'About To Sleep', '将沉睡客户'),
		(1, 2, 3, 4, 'At Risk', '有流失风险客户'),
		(1, 2, 5, 5, 'Can''t Lose Them', '不能流失客户'),
		(2, 2, 1, 2, 'Hibernating', '沉睡客户'),
		(1, 1, 1, 2, 'Lost', '已流失客户')
	) AS area (recency_from, recency_to, value_from, value_to, segment, segment_zh)
	JOIN pg_catalog.generate_series(1, 5) AS r ON r BETWEEN area.recency_from AND area.recency_to
	JOIN pg_catalog.generate_series(1, 5) AS f ON true
	JOIN pg_catalog.generate_series(1, 5) AS m ON (f + m + 1) / 2 BETWEEN area.value_from AND area.value_to;

-- cn8: each of the three high (a score above 3) or low.
INSERT INTO retention.rfm_segment_default (scheme, recency, frequency, monetary, segment, segment_zh)
SELECT 'cn8', r, f, m, class.segment, class.segment
FROM (
	VALUES
		(true, true, true, '重要价值客户'),
		(true, false, true, '重要发展客户'),
		(false, true, true, '重要保持客户'),
		(false, false, true, '重要挽留客户'),
		(true, true, false, '一般价值客户'),
		(true, false, false, '一般发展客户'),
		(false, true, false, '一般保持客户'),
		(false, false, false, '一般挽留客户')
	) AS class (recent, frequent, spending, segment)
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

CREATE TABLE retention.rfm_segment_override (
	scheme text NOT NULL CHECK (scheme <> ''),
	recency integer NOT NULL CHECK (recency BETWEEN 1 AND 5),
	frequency integer NOT NULL CHECK (frequency BETWEEN 1 AND 5),
	monetary integer NOT NULL CHECK (monetary BETWEEN 1 AND 5),
	segment text NOT NULL CHECK (segment <> ''),
	segment_zh text,
	PRIMARY KEY (scheme, recency, frequency, monetary)
);

SELECT pg_catalog.pg_extension_config_dump('retention.rfm_segment_override', '');

COMMENT ON TABLE retention.rfm_segment_override IS 'Your own names for cells of a shipped scheme, or a scheme of your own';
COMMENT ON COLUMN retention.rfm_segment_override.scheme IS 'Name of the scheme: a shipped one, or a new one';
COMMENT ON COLUMN retention.rfm_segment_override.recency IS 'Recency score, 1 to 5';
COMMENT ON COLUMN retention.rfm_segment_override.frequency IS 'Frequency score, 1 to 5';
COMMENT ON COLUMN retention.rfm_segment_override.monetary IS 'Monetary score, 1 to 5';
COMMENT ON COLUMN retention.rfm_segment_override.segment IS 'Name of the segment';
COMMENT ON COLUMN retention.rfm_segment_override.segment_zh IS 'Name in Chinese';

CREATE TRIGGER invalidate_cache
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON retention.rfm_segment_default
	FOR EACH STATEMENT EXECUTE FUNCTION retention.invalidate_cache();

CREATE TRIGGER invalidate_cache
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON retention.rfm_segment_override
	FOR EACH STATEMENT EXECUTE FUNCTION retention.invalidate_cache();

CREATE FUNCTION retention.rfm_segment(recency integer, frequency integer, monetary integer, scheme text DEFAULT 'global')
	RETURNS text
	AS 'MODULE_PATHNAME', 'rfm_segment'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.rfm_segment(integer, integer, integer, text) IS
	'Segment that the scores fall into, by the scheme global (11 segments: recency against frequency and monetary averaged), cn8 (the eight Chinese classes; high is a score above 3), or one of your own in rfm_segment_override. NULL where a score is NULL or your scheme names no segment; a score outside 1 to 5 or an unknown scheme is an error';

CREATE FUNCTION retention.rfm_segment(score retention.rfm_score, scheme text DEFAULT 'global')
	RETURNS text
	AS 'MODULE_PATHNAME', 'rfm_segment_of_score'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.rfm_segment(retention.rfm_score, text) IS
	'Segment that the scores fall into, as rfm_segment(recency, frequency, monetary, scheme)';
