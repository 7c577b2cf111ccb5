/*
 * stored_facts.c
 *		The columns of facts that are not of orders: customers, reviews, order
 *		lines and events.
 *
 * As with orders, a source's facts are SQL text that the shop owns; whatever
 * its columns and their types, it is wrapped into a query that always yields
 * the same ones.
 */
#include "stored_facts.h"

#include "compat.h"
#include "own_query.h"
#include "sync_error.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "nodes/parsenodes.h"
#include "parser/parse_coerce.h"
#include "tcop/cmdtag.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/typcache.h"

typedef enum StoredColumnUse
{
	IS_KEY,						/* an id, kept as it is written */
	IS_PLAIN,
	IS_WORDING,					/* blanks around it are cut off, nothing left is NULL */
	IS_CONSENTS
} StoredColumnUse;

typedef struct StoredColumn
{
	const char *name;
	Oid			type;			/* the type it is cast to */
	StoredColumnUse use;
} StoredColumn;

static const StoredColumn profile_columns[N_PROFILE_COLUMNS] = {
	[PROFILE_CUSTOMER] = {"customer", TEXTOID, IS_KEY},
	[PROFILE_NAME] = {"name", TEXTOID, IS_WORDING},
	[PROFILE_NICKNAME] = {"nickname", TEXTOID, IS_WORDING},
	[PROFILE_BIRTHDAY] = {"birthday", DATEOID, IS_PLAIN},
	[PROFILE_PHONE] = {"phone", TEXTOID, IS_WORDING},
	[PROFILE_EMAIL] = {"email", TEXTOID, IS_WORDING},
	[PROFILE_JOINED_AT] = {"joined_at", TIMESTAMPTZOID, IS_PLAIN},
	[PROFILE_CONSENTS] = {"consents", JSONBOID, IS_CONSENTS},
	[PROFILE_ATTRIBUTES] = {"attributes", JSONBOID, IS_PLAIN},
	[PROFILE_SHOP] = {"shop", TEXTOID, IS_WORDING},
};

static const StoredColumn review_columns[N_REVIEW_COLUMNS] = {
	[REVIEW_ID] = {"review_id", TEXTOID, IS_KEY},
	[REVIEW_ORDER_ID] = {"order_id", TEXTOID, IS_KEY},
	[REVIEW_CUSTOMER] = {"customer", TEXTOID, IS_KEY},
	[REVIEW_SCORE] = {"score", NUMERICOID, IS_PLAIN},
	[REVIEW_CONTENT] = {"content", TEXTOID, IS_WORDING},
	[REVIEW_HAPPENED_AT] = {"happened_at", TIMESTAMPTZOID, IS_PLAIN},
};

static const StoredColumn line_columns[] = {
	{"order_id", TEXTOID, IS_KEY},
	{"product", TEXTOID, IS_PLAIN},
	{"quantity", NUMERICOID, IS_PLAIN},
	{"amount", NUMERICOID, IS_PLAIN},
};

static const StoredColumn event_columns[] = {
	{"customer", TEXTOID, IS_KEY},
	{"happened_at", TIMESTAMPTZOID, IS_PLAIN},
	{"kind", TEXTOID, IS_PLAIN},
	{"product", TEXTOID, IS_PLAIN},
	{"channel", TEXTOID, IS_PLAIN},
};

static const StoredColumn *
columns_of(SourceKind kind, int *ncolumns)
{
	switch (kind)
	{
		case SOURCE_CUSTOMERS:
			*ncolumns = N_PROFILE_COLUMNS;
			return profile_columns;
		case SOURCE_REVIEWS:
			*ncolumns = N_REVIEW_COLUMNS;
			return review_columns;
		case SOURCE_LINES:
			*ncolumns = lengthof(line_columns);
			return line_columns;
		case SOURCE_EVENTS:
			*ncolumns = lengthof(event_columns);
			return event_columns;
		default:
			elog(ERROR, "facts of kind %d have no stored columns", (int) kind);
			return NULL;		/* keep compiler quiet */
	}
}

/* Which of the columns the facts have, by their types; InvalidOid where not. */
static void
describe(Source *source, const StoredColumn *columns, int ncolumns, Oid *types)
{
	SPIPlanPtr	plan = SPI_prepare(source->facts, 0, NULL);
	List	   *sources = plan ? SPI_plan_get_plan_sources(plan) : NIL;
	TupleDesc	tupdesc;

	if (list_length(sources) != 1 ||
		((CachedPlanSource *) linitial(sources))->commandTag != CMDTAG_SELECT)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("the facts of source \"%s\" are not one SELECT", source->sync.name)));
	tupdesc = ((CachedPlanSource *) linitial(sources))->resultDesc;

	for (int c = 0; c < ncolumns; c++)
	{
		Oid			funcid;

		types[c] = InvalidOid;
		for (int i = 0; i < tupdesc->natts; i++)
		{
			Form_pg_attribute att = TupleDescAttr(tupdesc, i);

			if (strcmp(NameStr(att->attname), columns[c].name) == 0)
				types[c] = (att->atttypid == UNKNOWNOID) ? TEXTOID : att->atttypid;
		}
		if (OidIsValid(types[c]) &&
			find_coercion_pathway(columns[c].type, types[c], COERCION_EXPLICIT, &funcid) == COERCION_PATH_NONE)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("\"%s\" must be of type %s, not %s", columns[c].name,
							format_type_be(columns[c].type), format_type_be(types[c])),
					 errhint("Write an expression that gives %s.", format_type_be(columns[c].type))));
	}
	SPI_freeplan(plan);

	if (!OidIsValid(types[0]))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("the facts of source \"%s\" lack the column \"%s\"", source->sync.name, columns[0].name)));
	/* It is looked up by, many at a time. */
	if (!OidIsValid(get_array_type(types[0])) ||
		!OidIsValid(lookup_type_cache(types[0], TYPECACHE_EQ_OPR)->eq_opr))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("\"%s\" cannot be %s", columns[0].name, format_type_be(types[0])),
				 errhint("Cast it to text.")));
}

char *
stored_facts_wrap(Source *source, Oid types[MAX_STORED_COLUMNS])
{
	int			ncolumns;
	const StoredColumn *columns = columns_of(source->kind, &ncolumns);
	StringInfoData sql;
	StringInfoData mapped;

	describe(source, columns, ncolumns, types);

	initStringInfo(&sql);
	initStringInfo(&mapped);
	appendStringInfoString(&sql, "SELECT ");

	/* Lines tell whose orders they are of, as purchase does. */
	if (source->kind == SOURCE_LINES)
		appendStringInfo(&sql, "%d, ", source->orders_source_id);

	for (int c = 0; c < ncolumns; c++)
	{
		const char *type = format_type_be(columns[c].type);

		if (c > 0)
			appendStringInfoString(&sql, ", ");
		if (!OidIsValid(types[c]))
			appendStringInfo(&sql, "NULL::%s", type);
		else if (columns[c].use == IS_WORDING)
			appendStringInfo(&sql, "nullif(pg_catalog.btrim(f.%s::text, E' \\t\\r\\n'), '')", columns[c].name);
		else if (columns[c].use == IS_CONSENTS)
			appendStringInfo(&sql, "retention.normal_consents(f.%s::jsonb)", columns[c].name);
		else
			appendStringInfo(&sql, "f.%s::%s", columns[c].name, type);
		appendStringInfo(&mapped, ", %s", OidIsValid(types[c]) ? "true" : "false");
	}

	/* Which columns there are, so that a NULL is told from a column not mapped. */
	if (source->kind < N_SYNCED_KINDS)
		appendStringInfoString(&sql, mapped.data);

	/* The line end keeps a trailing comment from swallowing the rest. */
	appendStringInfo(&sql, " FROM (%s\n) AS f", source->facts);
	return sql.data;
}

char *
stored_facts_list_query(Source *source)
{
	return psprintf("SELECT f.%1$s::pg_catalog.text, f.%1$s::pg_catalog.text"
					" FROM (%2$s\n) AS f"
					" WHERE f.%1$s IS NOT NULL"
					" ORDER BY f.%1$s::pg_catalog.text COLLATE pg_catalog.\"C\"",
					source_key_column(source), source->facts);
}

/* ----------
 * Reading
 * ----------
 */

void
stored_facts_refuse(StoredFacts *facts, int sqlstate, const char *message)
{
	facts->status = FACTS_FAILED;
	strlcpy(facts->sqlstate, unpack_sql_state(sqlstate), sizeof(facts->sqlstate));
	facts->message = pstrdup(message);
}

static int
compare_keys(const void *a, const void *b)
{
	return strcmp(((const StoredFacts *) a)->key, ((const StoredFacts *) b)->key);
}

/* Ids are kept in indexes, whose entries have a limit. */
static bool
is_too_long(Datum id)
{
	return VARSIZE_ANY_EXHDR(DatumGetPointer(id)) > MAX_ID_BYTES;
}

/* The rows of the current SPI result, each to its key. */
static void
take_rows(Source *source, char **keys, int nkeys, void *results, int first)
{
	StoredFacts *facts = (StoredFacts *) results + first;
	SPITupleTable *rows = SPI_tuptable;
	uint64		nrows = SPI_processed;
	int			ncolumns;
	const StoredColumn *columns = columns_of(source->kind, &ncolumns);

	for (int i = 0; i < nkeys; i++)
		facts[i].status = FACTS_ABSENT;

	for (uint64 r = 0; r < nrows; r++)
	{
		StoredFacts wanted;
		StoredFacts *found;

		wanted.key = own_text(rows->vals[r], 1);
		if (wanted.key == NULL)
			continue;
		found = (StoredFacts *) bsearch(&wanted, facts, nkeys, sizeof(StoredFacts), compare_keys);
		if (found == NULL)
			continue;
		if (found->status != FACTS_ABSENT)
		{
			stored_facts_refuse(found, ERRCODE_CARDINALITY_VIOLATION,
								psprintf("there is more than one row for the %s", source_noun(source)));
			continue;
		}
		found->status = FACTS_FOUND;
		for (int c = 0; c < ncolumns; c++)
		{
			found->values[c] = own_copy(rows->vals[r], c + 1, &found->nulls[c]);
			found->mapped[c] = own_bool(rows->vals[r], ncolumns + c + 1);
			if (!found->nulls[c] && columns[c].use == IS_KEY && is_too_long(found->values[c]))
				stored_facts_refuse(found, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
									psprintf("%s has more than %d bytes", columns[c].name, MAX_ID_BYTES));
		}
	}
}

static void
fail_key(void *results, int i, const ErrorData *error)
{
	stored_facts_refuse((StoredFacts *) results + i, error->sqlerrcode,
						error->message ? error->message : "unknown error");
}

StoredFacts *
stored_facts_read(Source *source, char **keys, int nkeys)
{
	StoredFacts *facts = (StoredFacts *) palloc0(nkeys * sizeof(StoredFacts));
	SourceRead	read = {take_rows, fail_key, facts};

	for (int i = 0; i < nkeys; i++)
	{
		facts[i].key = keys[i];
		facts[i].had_error = true;
	}
	source_read(source, keys, nkeys, &read);
	return facts;
}

void
stored_facts_settle(Source *source, StoredFacts *facts, int n, SyncCounts *counts)
{
	SyncErrors	errors;

	sync_errors_begin(&errors, &source->sync, source_noun(source), n);
	for (int i = 0; i < n; i++)
	{
		if (facts[i].status == FACTS_FAILED)
		{
			sync_errors_add(&errors, facts[i].key, facts[i].sqlstate, facts[i].message);
			counts->failed++;
			continue;
		}
		if (facts[i].had_error)
			sync_errors_mended(&errors, facts[i].key);
		counts->synced++;
	}
	sync_errors_write(&errors);
}
