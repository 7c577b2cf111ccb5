-- ---------------------------------------------------------------------------
-- How far two groups of customers differ, for any query
-- ---------------------------------------------------------------------------

CREATE FUNCTION retention.difference_of_shares(
	successes bigint,
	customers bigint,
	base_successes bigint,
	base_customers bigint,
	confidence double precision DEFAULT 0.95,
	OUT difference double precision,
	OUT low double precision,
	OUT high double precision
)
	AS 'MODULE_PATHNAME', 'difference_of_shares'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.difference_of_shares(bigint, bigint, bigint, bigint, double precision) IS
	'How much larger the share of successes is among the customers than in the group compared with, and a confidence interval for it: the hybrid score interval, method 10 of Newcombe (1998), Statistics in Medicine 17, 873-890, from the intervals of Wilson (1927), JASA 22, 209-212. NULLs for an empty group; more successes than customers are an error';

CREATE FUNCTION retention.difference_of_means(
	mean double precision,
	variance double precision,
	customers bigint,
	base_mean double precision,
	base_variance double precision,
	base_customers bigint,
	confidence double precision DEFAULT 0.95,
	OUT difference double precision,
	OUT low double precision,
	OUT high double precision,
	OUT degrees_of_freedom double precision
)
	AS 'MODULE_PATHNAME', 'difference_of_means'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.difference_of_means(double precision, double precision, bigint, double precision, double precision, bigint, double precision) IS
	'How much larger the mean is than in the group compared with, and a confidence interval for it, from means, sample variances and sizes: Welch (1947), Biometrika 34, 28-35, with the degrees of freedom of Satterthwaite (1946), Biometrics Bulletin 2, 110-114. NULLs where a group has fewer than two customers or nothing varies';

CREATE FUNCTION retention.customers_needed(
	difference double precision,
	variance double precision,
	base_variance double precision,
	base_share double precision DEFAULT 0.5,
	confidence double precision DEFAULT 0.95,
	power double precision DEFAULT 0.8
)
	RETURNS double precision
	AS 'MODULE_PATHNAME', 'customers_needed'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION retention.customers_needed(double precision, double precision, double precision, double precision, double precision, double precision) IS
	'How many customers in all, base_share of them in the group compared with, it takes for such a difference to show at that confidence in a share "power" of trials: (z + z_power)^2 * (variance / (1 - base_share) + base_variance / base_share) / difference^2, rounded up; Chow, Shao & Wang, Sample Size Calculations in Clinical Research, sections 3.2 (means) and 4.2 (shares, whose variance is p * (1 - p)). NULL for no difference';
