-- The type purchase_history by its laws: on thousands of random histories
-- every answer equals the one plain SQL gives over the purchases themselves,
-- and one set of purchases has one value, however it came about.  And no
-- bytes, however hostile, do more than raise an error.
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET client_min_messages = warning;
CREATE SCHEMA history_test;
SET search_path = history_test, retention, pg_catalog;

-- ---------------------------------------------------------------------------
-- Random purchases
-- ---------------------------------------------------------------------------

-- Of one style a history, since units and scale are chosen by the whole of it.
CREATE FUNCTION random_purchases(OUT times timestamptz[], OUT amounts numeric[])
	LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
	size integer := CASE WHEN random() < 0.05 THEN 300 * random() ELSE 12 * random() END;
	granularity bigint := (ARRAY[1, 1000, 1000000, 60000000, 3600000000, 86400000000])[1 + floor(6 * random())];
	zone bigint := (ARRAY[0, 0, 8 * 3600, -5 * 3600, 20700])[1 + floor(5 * random())] * 1000000::bigint;
	span double precision := (ARRAY[0, 1, 1000, 1e6])[1 + floor(4 * random())];
	places integer := (ARRAY[0, 1, 2, 2, 3, 18])[1 + floor(6 * random())];
	largest numeric := (ARRAY[10, 10000, 1000000, 9223372036854775807])[1 + floor(4 * random())];
	unit numeric := ('1e-' || places)::numeric;
	decimals integer;
	moment bigint;
BEGIN
	times := '{}';
	amounts := '{}';
	FOR i IN 1 .. size LOOP
		-- From 1970 to 2100, in a cluster or spread wide; now and then an
		-- instant again, and now and then one that fits no pattern.
		IF i > 1 AND random() < 0.1 THEN
			times := times || times[1 + floor(random() * (i - 1))::integer];
		ELSE
			moment := (random() * least(span * granularity, 4.1e15))::bigint / granularity * granularity - zone;
			IF random() < 0.01 THEN
				moment := moment + (random() * 1e9)::bigint;
			END IF;
			times := times || (timestamptz '1970-01-01 00:00:00+00'
				+ moment / 1000000 * interval '1 second' + moment % 1000000 * interval '1 microsecond');
		END IF;

		-- Some amounts need fewer decimals than others; some are 0, some equal.
		decimals := CASE WHEN random() < 0.3 THEN least(places, 1) ELSE places END;
		amounts := amounts || CASE
			WHEN random() < 0.1 THEN 0
			WHEN i > 1 AND random() < 0.2 THEN amounts[i - 1]
			WHEN random() < 0.05 THEN largest * unit
			ELSE trunc(largest * unit * random()::numeric, decimals)
		END;
	END LOOP;
END
$$;

CREATE FUNCTION build(times timestamptz[], amounts numeric[])
	RETURNS retention.purchase_history
	LANGUAGE sql IMMUTABLE
AS $$
	SELECT coalesce(retention.purchase_history(at, amount), '{}')
	FROM unnest(times, amounts) AS p (at, amount)
$$;

CREATE FUNCTION expect(what text, holds boolean, h retention.purchase_history)
	RETURNS void
	LANGUAGE plpgsql
AS $$
BEGIN
	IF holds IS NOT TRUE THEN
		RAISE EXCEPTION 'it does not hold that %: %', what, h;
	END IF;
END
$$;

-- ---------------------------------------------------------------------------
-- The laws
-- ---------------------------------------------------------------------------

CREATE FUNCTION check_laws(rounds integer)
	RETURNS TABLE (histories bigint, purchases bigint, units bigint, scales bigint)
	LANGUAGE plpgsql
AS $$
DECLARE
	times timestamptz[];
	amounts numeric[];
	sorted_times timestamptz[];
	sorted_amounts numeric[];
	read_times timestamptz[];
	read_amounts numeric[];
	size integer;
	h retention.purchase_history;
	other retention.purchase_history;
	a_time timestamptz;
	b_time timestamptz;
	picked integer;
	seen_units integer[] := '{}';
	seen_scales integer[] := '{}';
BEGIN
	histories := 0;
	purchases := 0;
	FOR round IN 1 .. rounds LOOP
		SELECT * INTO times, amounts FROM random_purchases();
		size := cardinality(times);
		h := build(times, amounts);
		histories := histories + 1;
		purchases := purchases + size;
		seen_units := seen_units || get_byte(h::bytea, 1) % 64;
		seen_scales := seen_scales || (get_byte(h::bytea, 1) / 64 + get_byte(h::bytea, 2) % 8 * 4);

		-- What goes in comes out, in order.
		SELECT coalesce(array_agg(at ORDER BY at, amount), '{}'), coalesce(array_agg(amount ORDER BY at, amount), '{}')
		INTO sorted_times, sorted_amounts
		FROM unnest(times, amounts) AS p (at, amount);

		SELECT coalesce(array_agg(e.paid_at), '{}'), coalesce(array_agg(e.amount), '{}')
		INTO read_times, read_amounts
		FROM retention.entries(h) AS e;

		PERFORM expect('entries are the purchases', read_times = sorted_times AND read_amounts = sorted_amounts, h);

		-- Every question has plain SQL's answer.
		a_time := times[1 + floor(random() * size)::integer];
		b_time := times[1 + floor(random() * size)::integer] + (random() * 2)::integer * interval '1 microsecond';
		PERFORM expect('questions have plain SQL''s answers',
			retention.purchases(h) = size
			AND retention.spent(h) = coalesce(sum(amount), 0)
			AND retention.first_purchase(h) IS NOT DISTINCT FROM min(at)
			AND retention.last_purchase(h) IS NOT DISTINCT FROM max(at)
			AND retention.last_amount(h) IS NOT DISTINCT FROM max(amount) FILTER (WHERE at = sorted_times[size])
			AND retention.bought(h, a_time, b_time)
				= count(*) FILTER (WHERE (at >= a_time OR a_time IS NULL) AND (at < b_time OR b_time IS NULL))
			AND retention.bought(h, NULL, b_time) = count(*) FILTER (WHERE at < b_time OR b_time IS NULL)
			AND retention.bought(h, a_time, NULL) = count(*) FILTER (WHERE at >= a_time OR a_time IS NULL)
			AND retention.spent_between(h, a_time, b_time)
				= coalesce(sum(amount) FILTER (WHERE (at >= a_time OR a_time IS NULL) AND (at < b_time OR b_time IS NULL)), 0),
			h)
		FROM unnest(times, amounts) AS p (at, amount);

		-- Any order of rows, any split into parts, any order of merging them.
		SELECT retention.purchase_history(at, amount ORDER BY random()) INTO other
		FROM unnest(times, amounts) AS p (at, amount);
		PERFORM expect('any order of rows makes one history', coalesce(other, '{}') = h, h);

		SELECT retention.merge(part ORDER BY random()) INTO other
		FROM (
			SELECT retention.purchase_history(at, amount)
			FROM (SELECT at, amount, floor(random() * 4) AS part FROM unnest(times, amounts) AS p (at, amount)) AS p
			GROUP BY part
		) AS parts (part);
		PERFORM expect('parts merge to the whole', coalesce(other, '{}') = h, h);

		picked := floor(random() * (size + 1));
		PERFORM expect('two parts make the whole, either way round',
			build(times[:picked], amounts[:picked]) || build(times[picked + 1:], amounts[picked + 1:]) = h
			AND build(times[picked + 1:], amounts[picked + 1:]) || build(times[:picked], amounts[:picked]) = h, h);

		-- One by one.
		IF size BETWEEN 1 AND 40 THEN
			other := '{}';
			FOR i IN 1 .. size LOOP
				other := retention.append(other, times[i], amounts[i]);
			END LOOP;
			PERFORM expect('appending one by one makes the same', other = h, h);

			picked := 1 + floor(random() * size);
			other := retention.remove(h, times[picked], amounts[picked]);
			PERFORM expect('removing leaves no trace',
				other = build(times[:picked - 1] || times[picked + 1:], amounts[:picked - 1] || amounts[picked + 1:]), h);
			PERFORM expect('removed and added again is as before',
				retention.append(other, times[picked], amounts[picked]) = h, h);

			-- Down to nothing, whatever is left in between.
			other := h;
			FOR i IN 1 .. size LOOP
				other := retention.remove(other, times[i], amounts[i]);
				PERFORM expect('each removal takes one', retention.purchases(other) = size - i, h);
			END LOOP;
			PERFORM expect('nothing is left', other = '{}', h);
		END IF;

		-- Text and bytes.
		PERFORM expect('text round-trips', h::text::retention.purchase_history = h, h);
		PERFORM expect('bytes round-trip', h::bytea::retention.purchase_history = h, h);
	END LOOP;

	SELECT count(DISTINCT u) INTO units FROM unnest(seen_units) AS u;
	SELECT count(DISTINCT s) INTO scales FROM unnest(seen_scales) AS s;
	RETURN NEXT;
END
$$;

-- The counts show that the random histories are of many kinds.
SELECT setseed(0.42);
SELECT histories, purchases > 5 * histories AS "many purchases", units >= 15 AS "many units", scales >= 5 AS "many scales"
FROM check_laws(4000);

-- ---------------------------------------------------------------------------
-- In parallel
-- ---------------------------------------------------------------------------

SELECT setseed(0.43);
CREATE TABLE orders AS
SELECT floor(500 * random() ^ 2)::integer AS customer_id,
	timestamptz '2020-01-01 00:00:00+00' + floor(1e8 * random()) * interval '1 second' AS paid_at,
	CASE WHEN random() < 0.9 THEN floor(10000 * random())::numeric / 100 END AS amount
FROM generate_series(1, 30000);

CREATE FUNCTION is_parallel(query text)
	RETURNS boolean
	LANGUAGE plpgsql
AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		IF line LIKE '%Partial%Aggregate%' THEN
			RETURN true;
		END IF;
	END LOOP;
	RETURN false;
END
$$;

CREATE VIEW histories AS
SELECT customer_id, retention.purchase_history(paid_at, amount) AS h
FROM orders
GROUP BY customer_id;

SET max_parallel_workers_per_gather = 0;
CREATE TABLE serial AS TABLE histories;
CREATE TABLE serial_merged AS SELECT customer_id % 10 AS part, retention.merge(h) AS h FROM serial GROUP BY 1;

SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
ALTER TABLE serial SET (parallel_workers = 2);
SELECT is_parallel('TABLE histories'), is_parallel('SELECT customer_id % 10, retention.merge(h) FROM serial GROUP BY 1');
SELECT count(*) FROM (TABLE histories EXCEPT TABLE serial) AS differences;
SELECT count(*) FROM (SELECT customer_id % 10, retention.merge(h) FROM serial GROUP BY 1 EXCEPT TABLE serial_merged) AS differences;
RESET max_parallel_workers_per_gather;

-- What the histories hold are the orders, to the last row.
SELECT count(*) FROM (
	SELECT customer_id, paid_at, amount FROM orders WHERE amount IS NOT NULL
	EXCEPT ALL
	SELECT customer_id, e.paid_at, e.amount FROM serial, retention.entries(h) AS e
) AS missing;

-- One customer with very many purchases.
SELECT retention.purchases(h), retention.spent(h), octet_length(h::bytea) < 5 * retention.purchases(h) AS small,
	(SELECT count(*) = 300000 AND sum(amount) = retention.spent(h) FROM retention.entries(h)) AS entries
FROM (
	SELECT retention.purchase_history(timestamptz '2020-01-01 00:00:00+00' + i::bigint * 7919 % 300000 * interval '1 minute', i % 1000)
	FROM generate_series(1, 300000) AS i
) AS walk_in (h);

-- ---------------------------------------------------------------------------
-- Hostile bytes
-- ---------------------------------------------------------------------------

-- Bytes are refused, or they are the one encoding of what they say.
CREATE FUNCTION check_bytes(bytes bytea)
	RETURNS boolean
	LANGUAGE plpgsql
AS $$
DECLARE
	h retention.purchase_history;
BEGIN
	BEGIN
		h := bytes::retention.purchase_history;
	EXCEPTION WHEN invalid_binary_representation THEN
		RETURN false;
	END;
	IF h::bytea <> bytes
		OR h::text::retention.purchase_history <> h
		OR h <> (SELECT coalesce(retention.purchase_history(paid_at, amount), '{}') FROM retention.entries(h))
		OR (SELECT count(*) FROM retention.entries(h)) <> retention.purchases(h)
	THEN
		RAISE EXCEPTION 'taken, but not canonical: %', bytes;
	END IF;
	RETURN true;
END
$$;

CREATE TABLE sample AS
SELECT text::retention.purchase_history::bytea AS bytes
FROM unnest(ARRAY[
	'{}',
	'{2024-01-01=5}',
	'{2024-01-01=12.50, 2024-01-02=300}',
	'{2024-01-01=5, 2024-01-01=5, 2024-01-01=7.25}',
	'{2024-01-01 00:00+08=100, 2024-03-01 00:00+08=20}',
	'{1970-01-01 00:00:00.000001=0.000000000000000001, 2099-12-31=9}',
	'{4714-11-24 BC=0, 294276-12-31 23:59:59.999999=9223372036854775807}'
]) AS text;

-- Every byte changed to every other; cut off everywhere; a byte more or less
-- anywhere.
CREATE VIEW mutated AS
SELECT set_byte(bytes, at, value) AS bytes
FROM sample, generate_series(0, octet_length(bytes) - 1) AS at, generate_series(0, 255) AS value
UNION
SELECT substr(bytes, 1, at)
FROM sample, generate_series(0, octet_length(bytes)) AS at
UNION
SELECT substr(bytes, 1, at) || value || substr(bytes, at + 1)
FROM sample, generate_series(0, octet_length(bytes)) AS at,
	unnest(ARRAY['\x00', '\x01', '\x7f', '\x80', '\xff', '\xffffffff7f', '\xffffffffffffffff7f', '\xffffffffffffffffff01']::bytea[]) AS value
UNION
SELECT substr(bytes, 1, at) || substr(bytes, at + 2)
FROM sample, generate_series(0, octet_length(bytes) - 1) AS at;

SELECT count(*) > 20000 AS many, count(*) FILTER (WHERE taken) > 1000 AS "some are histories", count(*) FILTER (WHERE NOT taken) > 1000 AS "some are not"
FROM (SELECT check_bytes(bytes) AS taken FROM mutated) AS checked;

-- Random bytes behind a good header.
SELECT setseed(0.44);
SELECT count(*) > 0 AS many
FROM (
	SELECT check_bytes('\x01'::bytea || decode(string_agg(lpad(to_hex(floor(random() * CASE WHEN byte = 4 THEN 6 ELSE 256 END)::integer), 2, '0'), '' ORDER BY byte), 'hex'))
	FROM generate_series(1, 10000) AS n, generate_series(1, 2 + n % 14) AS byte
	GROUP BY n
) AS checked;

-- Bytes that got into a table behind our back, by a broken disk say: reading
-- them raises an error or gives an answer, and that is all.
CREATE FUNCTION unchecked_history(bytea, bytea)
	RETURNS retention.purchase_history
	LANGUAGE internal IMMUTABLE
AS 'byteacat';

CREATE FUNCTION read_unchecked(bytes bytea)
	RETURNS boolean
	LANGUAGE plpgsql
AS $$
DECLARE
	h retention.purchase_history := unchecked_history(bytes, '');
BEGIN
	PERFORM retention.purchases(h), retention.spent(h), retention.last_purchase(h), retention.last_amount(h);
	PERFORM retention.bought(h, NULL, NULL), retention.spent_between(h, NULL, NULL);
	PERFORM retention.append(h, '2024-01-01', 0.001), retention.merge(h, h), retention.merge(h, '{2024-01-01=0.001}');
	PERFORM retention.entries(h);
	PERFORM h::text;
	RETURN true;
EXCEPTION WHEN data_corrupted OR numeric_value_out_of_range THEN
	RETURN false;
END
$$;

SELECT count(*) > 20000 AS many FROM (SELECT read_unchecked(bytes) FROM mutated) AS checked;

DROP SCHEMA history_test CASCADE;
