-- Every object of the extension, one line a property: two databases with the
-- same lines have the same extension.  The order of columns is left out: an
-- upgraded table has new ones at its end.
WITH member AS (
	SELECT d.classid, d.objid, o.type, o.identity
	FROM pg_depend d
	JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'retention'
	CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, 0) AS o
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
),
relation AS (
	SELECT m.identity, c.*
	FROM member m
	JOIN pg_class c ON c.oid = m.objid AND m.classid = 'pg_class'::regclass
	UNION ALL
	SELECT m.identity, c.*
	FROM member m
	JOIN pg_type t ON t.oid = m.objid AND m.classid = 'pg_type'::regclass
	JOIN pg_class c ON c.oid = t.typrelid AND c.relkind = 'c'
),
routine AS (
	SELECT m.identity, p.*
	FROM member m
	JOIN pg_proc p ON p.oid = m.objid AND m.classid = 'pg_proc'::regclass
),
property (identity, name, value) AS (
	SELECT m.identity, 'type', m.type
	FROM member m
	UNION ALL
	SELECT m.identity, 'comment', obj_description(m.objid, m.classid::regclass::text::name)
	FROM member m
	UNION ALL
	SELECT r.identity, 'definition', CASE
			WHEN r.prokind = 'a' THEN (
				SELECT concat_ws(' ', a.aggkind, a.aggnumdirectargs, a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn, a.aggdeserialfn,
					a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn, a.aggfinalextra, a.aggfinalmodify, a.aggsortop, a.aggtranstype::regtype,
					a.aggtransspace, quote_nullable(a.agginitval), r.proparallel, pg_get_function_arguments(r.oid))
				FROM pg_aggregate a
				WHERE a.aggfnoid = r.oid)
			ELSE pg_get_functiondef(r.oid)
		END
	FROM routine r
	UNION ALL
	SELECT r.identity, 'privilege', g.privilege
	FROM routine r
	CROSS JOIN LATERAL (
		SELECT concat(a.grantee::regrole, ' ', a.privilege_type, a.is_grantable) AS privilege
		FROM aclexplode(coalesce(r.proacl, acldefault('f', r.proowner))) AS a
	) AS g
	UNION ALL
	SELECT r.identity, 'relation', concat_ws(' ', r.relkind, r.relpersistence, r.relrowsecurity, r.reloptions)
	FROM relation r
	UNION ALL
	SELECT r.identity, 'privilege', concat(a.grantee::regrole, ' ', a.privilege_type, a.is_grantable)
	FROM relation r
	CROSS JOIN LATERAL aclexplode(coalesce(r.relacl, acldefault('r', r.relowner))) AS a
	UNION ALL
	SELECT r.identity, 'column ' || a.attname, concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attcollation::regcollation,
		a.attidentity, a.attgenerated, pg_get_expr(d.adbin, d.adrelid), a.attacl, '--', col_description(a.attrelid, a.attnum))
	FROM relation r
	JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
	LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
	UNION ALL
	SELECT r.identity, 'view', pg_get_viewdef(r.oid)
	FROM relation r
	WHERE r.relkind IN ('v', 'm')
	UNION ALL
	SELECT r.identity, 'constraint ' || c.conname, pg_get_constraintdef(c.oid)
	FROM relation r
	JOIN pg_constraint c ON c.conrelid = r.oid
	UNION ALL
	SELECT r.identity, 'index ' || i.indexrelid::regclass, pg_get_indexdef(i.indexrelid)
	FROM relation r
	JOIN pg_index i ON i.indrelid = r.oid
	UNION ALL
	SELECT r.identity, 'trigger ' || t.tgname, concat_ws(' ', t.tgenabled, pg_get_triggerdef(t.oid))
	FROM relation r
	JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
	UNION ALL
	SELECT r.identity, 'dumped', coalesce(nullif(c.condition, ''), 'all')
	FROM relation r
	JOIN pg_extension e ON e.extname = 'retention'
	CROSS JOIN LATERAL unnest(e.extconfig, e.extcondition) AS c (relation, condition)
	WHERE c.relation = r.oid
	UNION ALL
	SELECT m.identity, 'type', concat_ws(' ', t.typtype, t.typlen, t.typbyval, t.typalign, t.typstorage, t.typinput, t.typoutput, t.typreceive, t.typsend, t.typanalyze)
	FROM member m
	JOIN pg_type t ON t.oid = m.objid AND m.classid = 'pg_type'::regclass
	UNION ALL
	SELECT m.identity, 'operator', concat_ws(' ', o.oprcode, o.oprcom::regoperator, o.oprnegate::regoperator, o.oprrest, o.oprjoin, o.oprcanhash, o.oprcanmerge)
	FROM member m
	JOIN pg_operator o ON o.oid = m.objid AND m.classid = 'pg_operator'::regclass
	UNION ALL
	SELECT m.identity, 'cast', concat_ws(' ', c.castfunc::regprocedure, c.castcontext, c.castmethod)
	FROM member m
	JOIN pg_cast c ON c.oid = m.objid AND m.classid = 'pg_cast'::regclass
	UNION ALL
	SELECT m.identity, 'privilege', concat(a.grantee::regrole, ' ', a.privilege_type, a.is_grantable)
	FROM member m
	JOIN pg_namespace n ON n.oid = m.objid AND m.classid = 'pg_namespace'::regclass
	CROSS JOIN LATERAL aclexplode(n.nspacl) AS a
)
SELECT concat_ws(' | ', identity, name, replace(value, E'\n', '\n'))
FROM property
ORDER BY 1;
