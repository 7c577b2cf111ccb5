-- sms_segments: what an SMS is billed as, against the published alphabet
CREATE SCHEMA sms_segments;
SET search_path = sms_segments;

-- 3GPP TS 23.038, 6.2.1: the GSM 7 bit default alphabet in the order of its
-- codes 0x00 to 0x7F, less the escape at 0x1B; and its extension table.
CREATE TABLE alphabet AS
	SELECT c, 1 AS septets
	FROM regexp_split_to_table(
		'@£$¥èéùìòÇ' || E'\n' || 'Øø' || E'\r' || 'ÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ'
		|| ' !"#¤%&''()*+,-./0123456789:;<=>?'
		|| '¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§'
		|| '¿abcdefghijklmnopqrstuvwxyzäöñüà', '') AS c
	UNION ALL
	SELECT c, 2
	FROM regexp_split_to_table(E'\f' || '^{}\[~]|€', '') AS c;
SELECT septets, count(*), count(DISTINCT c) FROM alphabet GROUP BY septets ORDER BY septets;

-- Every character of it fills 160 septets, and not one more.
SELECT septets,
	count(*) FILTER (WHERE retention.sms_segments(repeat(c, 160 / septets)) = 1) AS one,
	count(*) FILTER (WHERE retention.sms_segments(repeat(c, 160 / septets + 1)) = 2) AS two
FROM alphabet
GROUP BY septets
ORDER BY septets;

-- Every other character of the basic plane goes in UCS-2.
SELECT count(*) AS characters,
	count(*) FILTER (WHERE retention.sms_segments(repeat(chr(i), 70)) = 1) AS one,
	count(*) FILTER (WHERE retention.sms_segments(repeat(chr(i), 71)) = 2) AS two
FROM generate_series(1, 65535) AS i
WHERE i NOT BETWEEN 55296 AND 57343
	AND chr(i) NOT IN (SELECT c FROM alphabet);

-- Beyond it each takes a surrogate pair.
SELECT count(*) AS characters,
	count(*) FILTER (WHERE retention.sms_segments(repeat(chr(i), 35)) = 1) AS one,
	count(*) FILTER (WHERE retention.sms_segments(repeat(chr(i), 36)) = 2) AS two
FROM generate_series(65536, 1114111, 251) AS i;

-- The edges.
SELECT what, retention.sms_segments(message) AS segments
FROM (VALUES
	(1, 'empty', ''),
	(2, 'one character', 'a'),
	(3, '160 septets', repeat('a', 160)),
	(4, '161 septets', repeat('a', 161)),
	(5, '306 septets', repeat('a', 306)),
	(6, '307 septets', repeat('a', 307)),
	(7, '153 septets, the 153rd half of an escape', repeat('a', 152) || '€' || repeat('a', 152)),
	(8, 'the same length without', repeat('a', 306)),
	(9, 'euros only: 76 a part', repeat('€', 152)),
	(10, 'one more', repeat('€', 153)),
	(11, '70 units', repeat('亲', 70)),
	(12, '71 units', repeat('亲', 71)),
	(13, '134 units', repeat('亲', 134)),
	(14, '135 units', repeat('亲', 135)),
	(15, '134 units, a pair on the border', repeat('亲', 66) || '😀' || repeat('亲', 66)),
	(16, 'pairs only: 33 a part', repeat('😀', 66)),
	(17, 'one more', repeat('😀', 67)),
	(18, 'one character makes all of it UCS-2', repeat('a', 70) || '`'),
	(19, 'a joined emoji counts all its parts', repeat('👨‍👩‍👧', 8) || 'abcdef'),
	(20, 'and one more unit', repeat('👨‍👩‍👧', 8) || 'abcdefg')
) AS t (n, what, message)
ORDER BY n;
SELECT retention.sms_segments(NULL) IS NULL AS null_gives_null;

-- A model in plain SQL, of one part after another, on random texts.
CREATE FUNCTION model(message text)
	RETURNS integer
	LANGUAGE plpgsql
AS $$
DECLARE
	c text;
	gsm7 boolean;
	single integer;
	part integer;
	units integer;
	total integer := 0;
	parts integer := 1;
	free integer;
BEGIN
	SELECT count(a.c) = count(*) INTO gsm7
	FROM regexp_split_to_table(message, '') AS m (c)
	LEFT JOIN alphabet a ON a.c = m.c;
	single := CASE WHEN gsm7 THEN 160 ELSE 70 END;
	part := CASE WHEN gsm7 THEN 153 ELSE 67 END;
	free := part;
	FOREACH c IN ARRAY regexp_split_to_array(message, '')
	LOOP
		units := CASE
			WHEN gsm7 THEN (SELECT a.septets FROM alphabet a WHERE a.c = model.c)
			WHEN ascii(c) > 65535 THEN 2
			ELSE 1
		END;
		total := total + units;
		IF units > free THEN
			parts := parts + 1;
			free := part;
		END IF;
		free := free - units;
	END LOOP;
	RETURN CASE WHEN total <= single THEN 1 ELSE parts END;
END
$$;

SELECT setseed(0.4);
WITH random_texts AS MATERIALIZED (
	SELECT string_agg(substr(CASE WHEN n % 2 = 0 THEN 'abcé€{}~' ELSE 'ab亲好😀🎂€' END, 1 + floor(random() * 7)::integer, 1), '') AS message
	FROM generate_series(1, 400) AS n
	CROSS JOIN LATERAL generate_series(1, 1 + (n * 7919) % 500) AS i
	GROUP BY n
)
SELECT count(*) AS texts, count(*) FILTER (WHERE retention.sms_segments(message) <> model(message)) AS wrong
FROM random_texts;

DROP SCHEMA sms_segments CASCADE;
