-- Prints docs/reference.md: every setting, view, function, type and table of
-- the extension, as its COMMENT tells it.  An object without a comment is an
-- error.  Run by docs/reference.sh.
\set ON_ERROR_STOP on
\set QUIET on
\pset format unaligned
\pset tuples_only on
\pset fieldsep ''
SET search_path = pg_catalog, pg_temp;
SET client_min_messages = warning;

-- The library's settings are known once it is loaded.
SELECT retention.now() IS NULL AS loaded
\gset

CREATE TEMP TABLE member AS
SELECT d.classid, d.objid
FROM pg_depend d
WHERE d.refclassid = 'pg_extension'::regclass
	AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'retention')
	AND d.deptype = 'e';

-- Names as a reader of the reference writes them.
CREATE FUNCTION pg_temp.plain(what text)
	RETURNS text
	LANGUAGE sql IMMUTABLE
	AS $$
		SELECT regexp_replace(
			replace(replace(what, 'pg_catalog.', ''), 'timestamp with time zone', 'timestamptz'),
			'(NULL|[''0-9])::[a-z_. ]+(\[\])?', '\1', 'g')
	$$;

-- A comment as a sentence.
CREATE FUNCTION pg_temp.sentence(what text)
	RETURNS text
	LANGUAGE sql IMMUTABLE
	AS $$ SELECT rtrim(what, '.') || '.' $$;

-- In a cell of a table.
CREATE FUNCTION pg_temp.cell(what text)
	RETURNS text
	LANGUAGE sql IMMUTABLE
	AS $$ SELECT replace(replace(replace(what, '|', '\|'), '<', '&lt;'), E'\n', ' ') $$;

CREATE TEMP TABLE routine AS
SELECT
	p.oid,
	p.proname AS name,
	p.prokind AS kind,
	pg_temp.plain(pg_get_function_arguments(p.oid)) AS arguments,
	pg_temp.plain(pg_get_function_result(p.oid)) AS result,
	obj_description(p.oid, 'pg_proc') AS comment,
	CASE
		WHEN p.prorettype IN ('trigger'::regtype, 'internal'::regtype, 'cstring'::regtype)
			OR 'internal'::regtype = ANY (p.proargtypes) OR 'cstring'::regtype = ANY (p.proargtypes)
			OR p.proname ~ '_(send|transition|eq|ne|lt|le|gt|ge|cmp|hash|hash_extended|valid)$' OR p.proname ~ '^adapter_' THEN 'inside'
		WHEN EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0) THEN 'anybody'
		WHEN EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 'retention_reader'::regrole) THEN 'reader'
		WHEN EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 'retention_operator'::regrole) THEN 'operator'
		WHEN p.proname ~ '^(attach_(?!part)|detach|watch$|unwatch$|backfill|create_shop$|drop_shop$|forget_customer$)' THEN 'superuser'
		ELSE 'inside'
	END AS used_by
FROM pg_proc p
JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid;

CREATE TEMP TABLE relation AS
SELECT c.oid, c.relname AS name, c.relkind AS kind, obj_description(c.oid, 'pg_class') AS comment
FROM pg_class c
JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
WHERE c.relkind IN ('r', 'v', 'c');

CREATE TEMP TABLE kind_of_value AS
SELECT t.oid, t.typname AS name, t.typrelid, obj_description(t.oid, 'pg_type') AS comment
FROM pg_type t
JOIN member m ON m.classid = 'pg_type'::regclass AND m.objid = t.oid
WHERE t.typcategory <> 'A'
	AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind <> 'c');

-- ---------------------------------------------------------------------------
-- Nothing without a comment
-- ---------------------------------------------------------------------------

CREATE TEMP TABLE silent AS
SELECT 'function ' || oid::regprocedure AS object FROM routine WHERE comment IS NULL
UNION ALL
SELECT 'relation ' || name FROM relation WHERE kind <> 'c' AND comment IS NULL
UNION ALL
SELECT 'type ' || name FROM kind_of_value WHERE comment IS NULL
UNION ALL
SELECT format('column %s.%s', r.name, a.attname)
FROM relation r
JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE col_description(r.oid, a.attnum) IS NULL;

DO $$
BEGIN
	IF EXISTS (SELECT FROM pg_temp.silent) THEN
		RAISE EXCEPTION 'without a comment: %', (SELECT string_agg(object, ', ' ORDER BY object) FROM pg_temp.silent)
			USING HINT = 'COMMENT ON each in the fragment that creates it.';
	END IF;
END
$$;

-- ---------------------------------------------------------------------------
-- The pages
-- ---------------------------------------------------------------------------

\qecho '# Reference'
\qecho
\qecho 'Written by `bash docs/reference.sh` from the comments in the database: `\\df+`'
\qecho 'and BI tools show the same. Everything is in the schema `retention`.'
\qecho
\qecho '- [Settings](#settings)'
\qecho '- [Views](#views)'
\qecho '- [Functions for any query](#functions-for-any-query)'
\qecho '- [Functions over the attached shop](#functions-over-the-attached-shop)'
\qecho '- [Functions for operators and the shop''s programs](#functions-for-operators-and-the-shops-programs)'
\qecho '- [Functions for whoever attaches the shop](#functions-for-whoever-attaches-the-shop)'
\qecho '- [Types](#types)'
\qecho '- [Tables](#tables)'
\qecho '- [Inside](#inside)'
\qecho
\qecho '## Settings'
\qecho
\qecho 'A shop''s own settings are the columns of the table [shop](#shop). For the server:'
\qecho
\qecho '| setting | meaning |'
\qecho '| --- | --- |'
SELECT format('| `%s` | %s |', name, pg_temp.cell(concat_ws(' ', pg_temp.sentence(short_desc), pg_temp.sentence(extra_desc))))
FROM pg_settings
WHERE name LIKE 'retention.%'
ORDER BY name;

\qecho
\qecho '## Views'
\qecho
\qecho 'For members of `retention_reader` and `retention_operator`.'
SELECT E'\n### ' || r.name || E'\n\n' || pg_temp.sentence(r.comment) || E'\n\n| column | type | meaning |\n| --- | --- | --- |\n' || string_agg(
	format('| `%s` | %s | %s |', a.attname, pg_temp.plain(format_type(a.atttypid, a.atttypmod)), pg_temp.cell(col_description(r.oid, a.attnum))),
	E'\n' ORDER BY a.attnum)
FROM relation r
JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE r.kind = 'v'
GROUP BY r.oid, r.name, r.comment
ORDER BY r.name;

CREATE FUNCTION pg_temp.section(user_of text)
	RETURNS SETOF text
	LANGUAGE sql
	AS $$
		SELECT E'\n### ' || name || E'\n' || string_agg(
			format(E'\n```sql\n%sretention.%s(%s)%s\n```\n\n%s\n',
				CASE kind WHEN 'p' THEN 'CALL ' ELSE '' END, name, arguments, ' → ' || result, pg_temp.sentence(comment)),
			'' ORDER BY arguments)
		FROM pg_temp.routine
		WHERE used_by = user_of
		GROUP BY name
		ORDER BY name
	$$;

\qecho
\qecho '## Functions for any query'
\qecho
\qecho 'They need no set-up and no privilege.'
SELECT pg_temp.section('anybody');
\qecho
\qecho '## Functions over the attached shop'
\qecho
\qecho 'For members of `retention_reader` and `retention_operator`.'
SELECT pg_temp.section('reader');
\qecho
\qecho '## Functions for operators and the shop''s programs'
\qecho
\qecho 'For members of `retention_operator`.'
SELECT pg_temp.section('operator');
\qecho
\qecho '## Functions for whoever attaches the shop'
\qecho
\qecho 'Granted to nobody: a superuser calls them, or grants them.'
SELECT pg_temp.section('superuser');
\qecho
\qecho '## Types'
SELECT E'\n### ' || t.name || E'\n\n' || pg_temp.sentence(t.comment) || E'\n' || coalesce(
	E'\n| column | type | meaning |\n| --- | --- | --- |\n' || (
		SELECT string_agg(
			format('| `%s` | %s | %s |', a.attname, pg_temp.plain(format_type(a.atttypid, a.atttypmod)), pg_temp.cell(col_description(t.typrelid, a.attnum))),
			E'\n' ORDER BY a.attnum)
		FROM pg_attribute a
		WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
	), '')
FROM kind_of_value t
ORDER BY t.name;
\qecho
\qecho '## Tables'
\qecho
\qecho 'Kept by the extension; read them through the views.'
SELECT E'\n### ' || r.name || E'\n\n' || pg_temp.sentence(r.comment) || E'\n\n| column | type | meaning |\n| --- | --- | --- |\n' || string_agg(
	format('| `%s` | %s | %s |', a.attname, pg_temp.plain(format_type(a.atttypid, a.atttypmod)), pg_temp.cell(col_description(r.oid, a.attnum))),
	E'\n' ORDER BY a.attnum)
FROM relation r
JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE r.kind = 'r'
GROUP BY r.oid, r.name, r.comment
ORDER BY r.name;
\qecho
\qecho '## Inside'
\qecho
\qecho 'Called by the functions above and by triggers; nobody is granted them.'
\qecho
\qecho '| function | meaning |'
\qecho '| --- | --- |'
SELECT format('| `%s(%s)` | %s |', name, pg_temp.cell(arguments), pg_temp.cell(comment))
FROM routine
WHERE used_by = 'inside'
ORDER BY name, arguments;
