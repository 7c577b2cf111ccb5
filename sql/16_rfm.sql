-- ---------------------------------------------------------------------------
-- rfm_score: recency, frequency and monetary value from 1 to 5
-- ---------------------------------------------------------------------------

CREATE TYPE retention.rfm_score AS (
	recency integer,
	frequency integer,
	monetary integer
);

COMMENT ON TYPE retention.rfm_score IS 'A customer''s RFM scores, each from 1 (worst) to 5 (best)';
COMMENT ON COLUMN retention.rfm_score.recency IS 'How lately the customer bought: 5 for the latest fifth';
COMMENT ON COLUMN retention.rfm_score.frequency IS 'How often: 5 for the fifth with the most purchases';
COMMENT ON COLUMN retention.rfm_score.monetary IS 'For how much: 5 for the fifth that spent the most';

CREATE FUNCTION retention.rfm_score(last_purchase "any", purchases "any", spent "any")
	RETURNS retention.rfm_score
	AS 'MODULE_PATHNAME', 'rfm_score'
	LANGUAGE C IMMUTABLE PARALLEL SAFE WINDOW;

COMMENT ON FUNCTION retention.rfm_score("any", "any", "any") IS
	'RFM scores of a customer among all rows of the partition, one row a customer: 1 + floor(5 * (rank - 1) / n), rank() worst first, so that equal values get equal scores; 1 for the oldest last purchase, the fewest purchases, the least spent. Any types with a btree order. Where an argument is NULL that score is NULL and the row is not among its n. ORDER BY and frame of the window do not matter';

-- Domains, so that cut points are checked once, where they are written down.
CREATE DOMAIN retention.recency_cuts AS timestamptz[]
	CONSTRAINT four_ascending_cut_points CHECK (
		pg_catalog.array_ndims(VALUE) = 1 AND pg_catalog.cardinality(VALUE) = 4 AND pg_catalog.array_lower(VALUE, 1) = 1
		AND VALUE[1] <= VALUE[2] AND VALUE[2] <= VALUE[3] AND VALUE[3] <= VALUE[4]
		AND pg_catalog.array_position(VALUE, NULL) IS NULL);

CREATE DOMAIN retention.frequency_cuts AS bigint[]
	CONSTRAINT four_ascending_cut_points CHECK (
		pg_catalog.array_ndims(VALUE) = 1 AND pg_catalog.cardinality(VALUE) = 4 AND pg_catalog.array_lower(VALUE, 1) = 1
		AND VALUE[1] <= VALUE[2] AND VALUE[2] <= VALUE[3] AND VALUE[3] <= VALUE[4]
		AND pg_catalog.array_position(VALUE, NULL) IS NULL);

CREATE DOMAIN retention.monetary_cuts AS numeric[]
	CONSTRAINT four_ascending_cut_points CHECK (
		pg_catalog.array_ndims(VALUE) = 1 AND pg_catalog.cardinality(VALUE) = 4 AND pg_catalog.array_lower(VALUE, 1) = 1
		AND VALUE[1] <= VALUE[2] AND VALUE[2] <= VALUE[3] AND VALUE[3] <= VALUE[4]
		AND pg_catalog.array_position(VALUE, NULL) IS NULL);

COMMENT ON DOMAIN retention.recency_cuts IS 'Four cut points of the last purchase, ascending';
COMMENT ON DOMAIN retention.frequency_cuts IS 'Four cut points of the number of purchases, ascending';
COMMENT ON DOMAIN retention.monetary_cuts IS 'Four cut points of the amount spent, ascending';

CREATE TYPE retention.rfm_cuts AS (
	recency retention.recency_cuts,
	frequency retention.frequency_cuts,
	monetary retention.monetary_cuts,
	at timestamptz
);

COMMENT ON TYPE retention.rfm_cuts IS 'Cut points that keep RFM scores comparable over time: from each of them on a value scores one more';
COMMENT ON COLUMN retention.rfm_cuts.recency IS 'Four moments of the last purchase, ascending, as seen from at';
COMMENT ON COLUMN retention.rfm_cuts.frequency IS 'Four numbers of purchases, ascending';
COMMENT ON COLUMN retention.rfm_cuts.monetary IS 'Four amounts spent, ascending';
COMMENT ON COLUMN retention.rfm_cuts.at IS 'The moment they were frozen at: seen from a later one, the cut points of recency lie so much later. NULL: they stay where they are';

-- The body is parsed here and now, so no search path can change its meaning.
-- Times are subtracted by the clock of UTC: the days of an interval would be
-- those of the session's time zone.
CREATE FUNCTION retention.rfm_score(
	last_purchase timestamptz,
	purchases bigint,
	spent numeric,
	cuts retention.rfm_cuts,
	at timestamptz DEFAULT NULL
)
	RETURNS retention.rfm_score
	LANGUAGE SQL IMMUTABLE PARALLEL SAFE
	RETURN ROW(
		1 + pg_catalog.width_bucket(
			CASE
				WHEN pg_catalog.isfinite(at) AND pg_catalog.isfinite((cuts).at)
				THEN pg_catalog.timezone(
					'UTC',
					pg_catalog.timezone('UTC', last_purchase)
						- (pg_catalog.timezone('UTC', at) - pg_catalog.timezone('UTC', (cuts).at))
				)
				ELSE last_purchase
			END,
			(cuts).recency
		),
		1 + pg_catalog.width_bucket(purchases, (cuts).frequency),
		1 + pg_catalog.width_bucket(spent, (cuts).monetary)
	)::retention.rfm_score;

COMMENT ON FUNCTION retention.rfm_score(timestamptz, bigint, numeric, retention.rfm_cuts, timestamptz) IS
	'RFM scores by fixed cut points: 1 + the number of cut points not above the value; where a value or its cut points are NULL that score is NULL. at is the moment from which to look: cut points of recency move with it from cuts.at, by the time that has passed, so that who has not bought since scores less and less; where either is NULL (at when left out) or infinite they stay where they are. A date or timestamp as last purchase is read in the session''s time zone: cast it AT TIME ZONE where that may differ';
