-- ---------------------------------------------------------------------------
-- What is done with points: redeem, hold, adjust, grant, transfer
-- ---------------------------------------------------------------------------

CREATE TYPE retention.points_posting AS (
	entry_no bigint,
	points bigint,
	balance bigint
);

COMMENT ON TYPE retention.points_posting IS 'What an operation on points returns: the number of the entry (NULL where none was posted), its points, negative when taken, and the balance after it';

COMMENT ON COLUMN retention.points_posting.entry_no IS 'Number of the entry; NULL where none was posted';
COMMENT ON COLUMN retention.points_posting.points IS 'Points of the entry, negative when taken; of release() the points let go';
COMMENT ON COLUMN retention.points_posting.balance IS 'Points available after it';

CREATE TYPE retention.points_holding AS (
	points bigint,
	balance bigint,
	times_out_at timestamptz
);

COMMENT ON TYPE retention.points_holding IS 'What hold() returns: the points set aside, the balance after it, and when the hold times out';

COMMENT ON COLUMN retention.points_holding.points IS 'Points set aside';
COMMENT ON COLUMN retention.points_holding.balance IS 'Points available after it';
COMMENT ON COLUMN retention.points_holding.times_out_at IS 'When the hold no longer counts';

CREATE FUNCTION retention.redeem(
	customer text,
	points bigint,
	reference text,
	order_id text DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS retention.points_posting
	AS 'MODULE_PATHNAME', 'redeem'
	LANGUAGE C VOLATILE;

COMMENT ON FUNCTION retention.redeem(text, bigint, text, text, timestamptz, text) IS
	'Spends points: those that lapse first first, then the oldest; never more than are available, whatever else goes on. The reference names the request for good: repeated, it returns the same entry and the balance now; with other arguments it is an error that shows both. Points must be positive; an unknown customer or too few points is an error. at is the moment it counts (NULL: now), shop NULL the only shop.';

CREATE FUNCTION retention.redeem(
	customer anynonarray,
	points bigint,
	reference text,
	order_id text DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS retention.points_posting
	AS 'MODULE_PATHNAME', 'redeem'
	LANGUAGE C VOLATILE;

COMMENT ON FUNCTION retention.redeem(anynonarray, bigint, text, text, timestamptz, text) IS
	'The same for customers numbered by integer, whole numeric or uuid';

CREATE FUNCTION retention.hold(
	customer text,
	points bigint,
	reference text,
	timeout interval DEFAULT NULL,
	order_id text DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS retention.points_holding
	AS 'MODULE_PATHNAME', 'hold'
	LANGUAGE C VOLATILE;

COMMENT ON FUNCTION retention.hold(text, bigint, text, interval, text, timestamptz, text) IS
	'Sets points aside at checkout until capture() or release(), or the timeout (NULL: shop.hold_timeout). Points held are not available, and do not lapse meanwhile. Repeating the request is harmless, changing it an error. at is the moment it counts (NULL: now), shop NULL the only shop.';

CREATE FUNCTION retention.hold(
	customer anynonarray,
	points bigint,
	reference text,
	timeout interval DEFAULT NULL,
	order_id text DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS retention.points_holding
	AS 'MODULE_PATHNAME', 'hold'
	LANGUAGE C VOLATILE;

COMMENT ON FUNCTION retention.hold(anynonarray, bigint, text, interval, text, timestamptz, text) IS
	'The same for customers numbered by integer, whole numeric or uuid';

CREATE FUNCTION retention.capture(
	customer text,
	reference text,
	points bigint DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS retention.points_posting
	AS 'MODULE_PATHNAME', 'capture'
	LANGUAGE C VOLATILE;

COMMENT ON FUNCTION retention.capture(text, text, bigint, timestamptz, text) IS
	'Redeems the points held under the reference, all (NULL) or some; the others are free again. A hold resolves once: repeating the same capture returns its entry, anything else on a resolved or timed out hold is an error. at is the moment it counts (NULL: now), shop NULL the only shop.';

CREATE FUNCTION retention.capture(
	customer anynonarray,
	reference text,
	points bigint DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS retention.points_posting
	AS 'MODULE_PATHNAME', 'capture'
	LANGUAGE C VOLATILE;

COMMENT ON FUNCTION retention.capture(anynonarray, text, bigint, timestamptz, text) IS
	'The same for customers numbered by integer, whole numeric or uuid';

CREATE FUNCTION retention.release(
	customer text,
	reference text,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS retention.points_posting
	AS 'MODULE_PATHNAME', 'release'
	LANGUAGE C VOLATILE;

COMMENT ON FUNCTION retention.release(text, text, timestamptz, text) IS
	'Lets the points held under the reference go, unspent; those whose lot has lapsed meanwhile expire. Harmless when the hold was released or has timed out; an error when it was captured or never made. at is the moment it counts (NULL: now), shop NULL the only shop.';

CREATE FUNCTION retention.release(
	customer anynonarray,
	reference text,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS retention.points_posting
	AS 'MODULE_PATHNAME', 'release'
	LANGUAGE C VOLATILE;

COMMENT ON FUNCTION retention.release(anynonarray, text, timestamptz, text) IS
	'The same for customers numbered by integer, whole numeric or uuid';

CREATE FUNCTION retention.cancel_redemption(
	customer text,
	reference text,
	points bigint DEFAULT NULL,
	cancel_reference text DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS retention.points_posting
	AS 'MODULE_PATHNAME', 'cancel_redemption'
	LANGUAGE C VOLATILE;

COMMENT ON FUNCTION retention.cancel_redemption(text, text, bigint, text, timestamptz, text) IS
	'Takes a redemption or capture back, wholly (points NULL) or in part: the points return to the very lots they came from, the last taken first, with their expiry; to a lot that has lapsed they return only to expire at once. They repay debt first. Several partial ones need a cancel_reference each (NULL: "cancel " and the reference). at is the moment it counts (NULL: now), shop NULL the only shop.';

CREATE FUNCTION retention.cancel_redemption(
	customer anynonarray,
	reference text,
	points bigint DEFAULT NULL,
	cancel_reference text DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS retention.points_posting
	AS 'MODULE_PATHNAME', 'cancel_redemption'
	LANGUAGE C VOLATILE;

COMMENT ON FUNCTION retention.cancel_redemption(anynonarray, text, bigint, text, timestamptz, text) IS
	'The same for customers numbered by integer, whole numeric or uuid';

CREATE FUNCTION retention.adjust(
	customer text,
	points bigint,
	reason text,
	reference text,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS retention.points_posting
	AS 'MODULE_PATHNAME', 'adjust'
	LANGUAGE C VOLATILE;

COMMENT ON FUNCTION retention.adjust(text, bigint, text, text, timestamptz, text) IS
	'Corrects a balance by hand, up (a lot that lapses by the shop''s rule) or down (what is taken beyond the points there are becomes debt). A reason is required. at is the moment it counts (NULL: now), shop NULL the only shop.';

CREATE FUNCTION retention.adjust(
	customer anynonarray,
	points bigint,
	reason text,
	reference text,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS retention.points_posting
	AS 'MODULE_PATHNAME', 'adjust'
	LANGUAGE C VOLATILE;

COMMENT ON FUNCTION retention.adjust(anynonarray, bigint, text, text, timestamptz, text) IS
	'The same for customers numbered by integer, whole numeric or uuid';

CREATE FUNCTION retention."grant"(
	customer text,
	points bigint,
	reason text,
	reference text,
	expires_at timestamptz DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS retention.points_posting
	AS 'MODULE_PATHNAME', 'points_grant'
	LANGUAGE C VOLATILE;

COMMENT ON FUNCTION retention."grant"(text, bigint, text, text, timestamptz, timestamptz, text) IS
	'Gives bonus points, with an expiry of their own (NULL: by the shop''s rule; infinity: never). A reason is required. at is the moment it counts (NULL: now), shop NULL the only shop.';

CREATE FUNCTION retention."grant"(
	customer anynonarray,
	points bigint,
	reason text,
	reference text,
	expires_at timestamptz DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS retention.points_posting
	AS 'MODULE_PATHNAME', 'points_grant'
	LANGUAGE C VOLATILE;

COMMENT ON FUNCTION retention."grant"(anynonarray, bigint, text, text, timestamptz, timestamptz, text) IS
	'The same for customers numbered by integer, whole numeric or uuid';

CREATE FUNCTION retention.transfer(
	customer text,
	to_customer text,
	points bigint,
	reference text,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS retention.points_posting
	AS 'MODULE_PATHNAME', 'transfer'
	LANGUAGE C VOLATILE;

COMMENT ON FUNCTION retention.transfer(text, text, bigint, text, timestamptz, text) IS
	'Moves points to another customer of the shop, all that are available when points is NULL (two accounts become one); they keep their expiry. Returns the giver''s entry and balance; the receiver gets an entry for each expiry. Both customers are locked in the order of their keys. at is the moment it counts (NULL: now), shop NULL the only shop.';

CREATE FUNCTION retention.transfer(
	customer anynonarray,
	to_customer anynonarray,
	points bigint,
	reference text,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS retention.points_posting
	AS 'MODULE_PATHNAME', 'transfer'
	LANGUAGE C VOLATILE;

COMMENT ON FUNCTION retention.transfer(anynonarray, anynonarray, bigint, text, timestamptz, text) IS
	'The same for customers numbered by integer, whole numeric or uuid';

CREATE FUNCTION retention.grant_referral(
	customer text,
	points bigint,
	reason text,
	reference text,
	expires_at timestamptz DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	shop text DEFAULT NULL
)
	RETURNS retention.points_posting
	AS 'MODULE_PATHNAME', 'grant_referral'
	LANGUAGE C VOLATILE;

COMMENT ON FUNCTION retention.grant_referral(text, bigint, text, text, timestamptz, timestamptz, text) IS 'As grant(), for a referral: run() gives referral bonuses by it';

CREATE FUNCTION retention.expire_points(at timestamptz DEFAULT NULL, shop text DEFAULT NULL)
	RETURNS bigint
	AS 'MODULE_PATHNAME', 'expire_points'
	LANGUAGE C VOLATILE;

COMMENT ON FUNCTION retention.expire_points(timestamptz, text) IS
	'Posts what has fallen due by then (NULL: now): points that lapsed and holds that timed out. Returns the points that lapsed. Balances are right without it; run() does it for every shop';
