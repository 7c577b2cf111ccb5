-- Every object of the extension, found by the catalogs: who owns it, who may use
-- it, and how it is marked. Each query lists what breaks a rule: nothing.
\set ECHO none
\i test/include/start.sql

CREATE TEMP VIEW member AS
SELECT d.classid, d.objid
FROM pg_depend d
JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
WHERE e.extname = 'retention' AND d.deptype = 'e';

CREATE TEMP VIEW routine AS
SELECT p.oid::regprocedure AS routine, p.*, l.lanname
FROM pg_proc p
JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
JOIN pg_language l ON l.oid = p.prolang;

CREATE TEMP VIEW relation AS
SELECT c.oid::regclass AS relation, c.*
FROM pg_class c
JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid;

-- Whom a right was given, other than the owner.
CREATE TEMP VIEW routine_grant AS
SELECT r.routine, r.provolatile, r.proname, r.prokind, r.lanname, a.is_grantable,
	coalesce(g.rolname, 'public') AS grantee
FROM routine r
CROSS JOIN LATERAL aclexplode(coalesce(r.proacl, acldefault('f', r.proowner))) AS a
LEFT JOIN pg_roles g ON g.oid = a.grantee
WHERE a.grantee <> r.proowner;

CREATE TEMP VIEW relation_grant AS
SELECT r.relation, r.relkind, a.is_grantable, a.privilege_type, coalesce(g.rolname, 'public') AS grantee
FROM relation r
CROSS JOIN LATERAL (
	SELECT r.relacl AS acl
	UNION ALL
	SELECT t.attacl
	FROM pg_attribute t
	WHERE t.attrelid = r.oid AND t.attacl IS NOT NULL
) AS s
CROSS JOIN LATERAL aclexplode(coalesce(s.acl, acldefault('r', r.relowner))) AS a
LEFT JOIN pg_roles g ON g.oid = a.grantee
WHERE a.grantee <> r.relowner;
\set ECHO all

-- The queries below look at something.
SELECT
	(SELECT count(*) FROM routine) > 300 AS routines,
	(SELECT count(*) FROM relation) > 50 AS relations,
	(SELECT count(*) FROM routine_grant WHERE grantee = 'public') > 50 AS granted_routines,
	(SELECT count(*) FROM relation_grant) > 20 AS granted_relations;

-- ---------------------------------------------------------------------------
-- Owner and place
-- ---------------------------------------------------------------------------

-- Everything belongs to the extension's owner.
SELECT pg_describe_object(s.classid, s.objid, 0)
FROM pg_shdepend s
JOIN member m ON m.classid = s.classid AND m.objid = s.objid
JOIN pg_extension e ON e.extname = 'retention'
WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
	AND s.deptype = 'o' AND s.refobjid <> e.extowner;
SELECT routine FROM routine WHERE proowner <> (SELECT extowner FROM pg_extension WHERE extname = 'retention');
SELECT relation FROM relation WHERE relowner <> (SELECT extowner FROM pg_extension WHERE extname = 'retention');

-- Everything in schema retention is a member, and every member with a schema is in it.
SELECT p.oid::regprocedure
FROM pg_proc p
WHERE p.pronamespace = 'retention'::regnamespace AND p.oid NOT IN (SELECT oid FROM routine);
SELECT c.oid::regclass
FROM pg_class c
WHERE c.relnamespace = 'retention'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
	AND c.oid NOT IN (SELECT oid FROM relation);
SELECT routine FROM routine WHERE pronamespace <> 'retention'::regnamespace;
SELECT relation FROM relation WHERE relnamespace <> 'retention'::regnamespace;

-- Nobody else may create anything there.
SELECT coalesce(g.rolname, 'public') AS grantee, a.privilege_type
FROM pg_namespace n
CROSS JOIN LATERAL aclexplode(n.nspacl) AS a
LEFT JOIN pg_roles g ON g.oid = a.grantee
WHERE n.nspname = 'retention' AND a.grantee <> n.nspowner
ORDER BY 1, 2;

-- ---------------------------------------------------------------------------
-- Privileges
-- ---------------------------------------------------------------------------

-- Rights are given to the two roles and to PUBLIC, never to be passed on.
SELECT routine, grantee FROM routine_grant WHERE is_grantable OR grantee NOT IN ('public', 'retention_reader', 'retention_operator');
SELECT relation, grantee FROM relation_grant WHERE is_grantable OR grantee NOT IN ('retention_reader', 'retention_operator');

-- PUBLIC may call what computes with its arguments, one with the clock besides,
-- and four that look into the shop's settings for everybody: names of tiers, of
-- segments, of the shop.
SELECT routine
FROM routine_grant
WHERE grantee = 'public' AND provolatile <> 'i' AND prokind NOT IN ('a', 'w')
	AND proname NOT IN ('now', 'shop_id', 'tier_of', 'rfm_segment', 'rfm_cuts_of');

-- Readers change nothing: they call nothing volatile and write to nothing.
SELECT routine FROM routine_grant WHERE grantee = 'retention_reader' AND provolatile = 'v';
SELECT relation, privilege_type FROM relation_grant WHERE grantee = 'retention_reader' AND privilege_type <> 'SELECT';

-- What a reader may read is a view; of the tables only one that holds no person's data but a tier.
SELECT relation FROM relation_grant WHERE grantee = 'retention_reader' AND relkind <> 'v' AND relation <> 'retention.tier_change'::regclass;

-- An operator keeps settings. Purchases, the ledger, messages and profiles change by functions alone.
SELECT relation, privilege_type
FROM relation_grant
WHERE grantee = 'retention_operator' AND privilege_type NOT IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE');
SELECT relation, privilege_type
FROM relation_grant
WHERE grantee = 'retention_operator' AND relkind <> 'v'
	AND relation::text ~ '^retention\.(customer|purchase|points|care_message|care_call|feedback$|tag|referral|tier_change|audience|campaign_|forecast)'
	AND privilege_type <> 'SELECT';

-- Neither role may read a phone number, a mail address or the text of a message.
SELECT t.attrelid::regclass AS relation, t.attname
FROM pg_attribute t
JOIN relation r ON r.oid = t.attrelid
WHERE t.attnum > 0 AND NOT t.attisdropped
	AND t.attname ~ 'phone|mail|recipient|address|wechat|openid' AND t.atttypid <> 'boolean'::regtype
	AND (has_column_privilege('retention_reader', t.attrelid, t.attnum, 'SELECT')
		OR has_column_privilege('retention_operator', t.attrelid, t.attnum, 'SELECT'));

-- Nobody but the owner may put a trigger function on a table.
SELECT routine, grantee
FROM routine_grant
WHERE routine IN (SELECT routine FROM routine WHERE prorettype IN ('trigger'::regtype, 'event_trigger'::regtype));

-- An unprivileged role can read and write nothing.
SET client_min_messages = error;
DROP ROLE IF EXISTS retention_test_nobody;
RESET client_min_messages;
CREATE ROLE retention_test_nobody;
SELECT relation
FROM relation
WHERE relkind IN ('r', 'p', 'v', 'm', 'f')
	AND (has_table_privilege('retention_test_nobody', oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
		OR has_any_column_privilege('retention_test_nobody', oid, 'SELECT, INSERT, UPDATE, REFERENCES'));
SELECT relation
FROM relation
WHERE CASE WHEN relkind = 'S' THEN has_sequence_privilege('retention_test_nobody', oid, 'USAGE, SELECT, UPDATE') END;
SELECT routine
FROM routine
WHERE prosecdef AND has_function_privilege('retention_test_nobody', oid, 'EXECUTE')
	AND proname NOT IN ('tier_of', 'rfm_segment', 'now', 'shop_id');
DROP ROLE retention_test_nobody;

-- ---------------------------------------------------------------------------
-- Functions: search path, SECURITY DEFINER, volatility, strictness, parallel
-- ---------------------------------------------------------------------------

-- Every function that is run as its owner pins the search path, temporary objects last.
SELECT routine FROM routine WHERE prosecdef AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false);

-- So does every other one in SQL or PL/pgSQL, unless its body was parsed when it was made.
SELECT routine
FROM routine
WHERE lanname IN ('sql', 'plpgsql') AND prosqlbody IS NULL
	AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false);

-- There is no other language, and no function in C of another library.
SELECT routine, lanname FROM routine WHERE lanname NOT IN ('c', 'sql', 'plpgsql') AND prokind NOT IN ('a', 'w');
SELECT DISTINCT probin FROM routine WHERE lanname = 'c';

-- A function run as its owner takes no value of a type of the caller's: its casts and output would run as the owner.
SELECT routine
FROM routine r
WHERE r.prosecdef AND EXISTS (
	SELECT
	FROM unnest(r.proargtypes) AS a (type)
	JOIN pg_type t ON t.oid = a.type
	WHERE t.typtype = 'p');

-- Those in C that take any type: each looks at the type and lets only the known ones through, or runs as the caller.
SELECT DISTINCT r.proname
FROM routine r
CROSS JOIN LATERAL unnest(r.proargtypes) AS a (type)
WHERE r.lanname = 'c' AND r.prokind = 'f' AND a.type IN ('anynonarray'::regtype, 'anyelement'::regtype, '"any"'::regtype, 'record'::regtype)
	AND r.proname NOT IN (
		'customer_key', 'points_balance', 'redeem', 'hold', 'capture', 'release', 'cancel_redemption',
		'adjust', 'grant', 'transfer', 'repurchase_add', 'rfm_orders_add', 'retention_logins_add', 'rfm_score')
ORDER BY 1;

-- What is immutable reads no table: it needs no owner's rights, and any worker may run it.
SELECT routine FROM routine WHERE provolatile = 'i' AND prokind = 'f' AND (prosecdef OR proparallel <> 's');

-- What writes stays in the leader; triggers are volatile.
SELECT routine FROM routine WHERE provolatile = 'v' AND prokind = 'f' AND proparallel <> 'u';
SELECT routine FROM routine WHERE prorettype = 'trigger'::regtype AND provolatile <> 'v';

-- Whatever depends on the clock is not immutable.
SELECT routine
FROM routine
WHERE provolatile = 'i' AND prokind = 'f'
	AND (pg_get_function_arguments(oid) ~ 'now\(\)' OR prosrc ~* '\mnow\(\)|current_timestamp|clock_timestamp|current_date');

-- A statement that changes rows is in no function marked stable; health() only names some.
SELECT routine
FROM routine
WHERE provolatile <> 'v' AND lanname = 'plpgsql' AND proname <> 'health'
	AND prosrc ~* '\m(INSERT\s+INTO|DELETE\s+FROM|UPDATE\s+retention\.|TRUNCATE|FOR\s+(NO\s+KEY\s+)?UPDATE|NOTIFY)\M';

-- Types' and operators' functions never see a NULL, and are not volatile.
SELECT p.routine
FROM pg_type t
JOIN member m ON m.classid = 'pg_type'::regclass AND m.objid = t.oid
CROSS JOIN LATERAL unnest(ARRAY[t.typinput, t.typoutput, t.typreceive, t.typsend, t.typmodin, t.typmodout]::oid[]) AS f (oid)
JOIN routine p ON p.oid = f.oid
WHERE NOT p.proisstrict OR p.provolatile = 'v';
SELECT p.routine
FROM pg_operator o
JOIN member m ON m.classid = 'pg_operator'::regclass AND m.objid = o.oid
JOIN routine p ON p.oid = o.oprcode
WHERE NOT p.proisstrict OR p.provolatile <> 'i' OR p.proparallel <> 's';
SELECT p.routine
FROM pg_cast c
JOIN member m ON m.classid = 'pg_cast'::regclass AND m.objid = c.oid
JOIN routine p ON p.oid = c.castfunc
WHERE NOT p.proisstrict OR p.provolatile <> 'i' OR p.proparallel <> 's';

-- No cast comes uninvited to a type of PostgreSQL's own; no operator of ours is found by values of those alone.
SELECT c.castsource::regtype, c.casttarget::regtype
FROM pg_cast c
JOIN member m ON m.classid = 'pg_cast'::regclass AND m.objid = c.oid
WHERE c.castcontext = 'i';
SELECT o.oid::regoperator
FROM pg_operator o
JOIN member m ON m.classid = 'pg_operator'::regclass AND m.objid = o.oid
WHERE NOT EXISTS (
	SELECT
	FROM pg_type t
	WHERE t.oid IN (o.oprleft, o.oprright) AND t.typnamespace = 'retention'::regnamespace);

-- Aggregates that run in parallel can be combined, and pass no internal state that could not be sent.
SELECT r.routine
FROM pg_aggregate a
JOIN routine r ON r.oid = a.aggfnoid
WHERE r.proparallel = 's' AND a.aggkind = 'n' AND r.prokind = 'a'
	AND (a.aggcombinefn = 0 OR (a.aggtranstype = 'internal'::regtype AND (a.aggserialfn = 0 OR a.aggdeserialfn = 0)));

-- ---------------------------------------------------------------------------
-- Tables, views, triggers
-- ---------------------------------------------------------------------------

-- A trigger on one of our tables calls one of our functions, and is switched on.
SELECT t.tgrelid::regclass, t.tgname
FROM pg_trigger t
JOIN relation r ON r.oid = t.tgrelid
WHERE NOT t.tgisinternal AND (t.tgenabled = 'D' OR t.tgfoid NOT IN (SELECT oid FROM routine));

-- Indexes, checks and defaults use only our functions and PostgreSQL's own.
SELECT pg_describe_object(d.classid, d.objid, d.objsubid), d.refobjid::regprocedure
FROM pg_depend d
JOIN pg_proc p ON d.refclassid = 'pg_proc'::regclass AND d.refobjid = p.oid
LEFT JOIN pg_constraint c ON d.classid = 'pg_constraint'::regclass AND c.oid = d.objid
LEFT JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid
LEFT JOIN pg_index i ON d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid
LEFT JOIN pg_rewrite w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid
WHERE coalesce(c.conrelid, f.adrelid, i.indrelid, w.ev_class) IN (SELECT oid FROM relation)
	AND p.pronamespace NOT IN ('retention'::regnamespace, 'pg_catalog'::regnamespace);

-- Rows of a table that is dumped come back even where a function would be missing: none is unlogged or temporary.
SELECT relation FROM relation WHERE relpersistence <> 'p';

-- Nobody moves it to a schema of others.
SELECT extname FROM pg_extension WHERE extname = 'retention' AND extrelocatable;
\i test/include/stop.sql
