/*
 * profile.c
 *		Bringing what is known of customers up to what the shop says.
 *
 * Like orders, customers are synced by state: their rows are read through the
 * source's facts and written where they differ.  Only the columns that the
 * source maps are written, so that several tables may each know a part.  A
 * customer whom the shop has deleted stays as recorded: the points and the
 * purchases are still theirs.
 *
 * A consent is taken over when the shop says something else than it last said;
 * otherwise any change of a customer's row would undo an opt-out that came by
 * another way.  What the shop says first never overrules a decision that is
 * there, unless it is a refusal.  A refusal takes back at once what waits for
 * the customer, as record_consent() does.
 *
 * A customer who was forgotten stays so.
 */
#include "profile.h"

#include "customer_stats.h"
#include "facts.h"
#include "own_query.h"
#include "shop.h"
#include "stored_facts.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/jsonb.h"

/* Customers read and written at a time. */
#define PROFILE_BATCH 1000

static const char *const customer_columns[] = {
	"customer_id", "name", "nickname", "birthday", "phone", "email",
	"joined_at", "consents", "attributes", "shop_id"
};

StaticAssertDecl(lengthof(customer_columns) == N_PROFILE_COLUMNS,
				 "a column of the table for each of the facts");

/* Parameter 2 tells by PROFILE_ number + 1 which columns the source maps. */
#define SET_COLUMN(column, number) \
	column " = CASE WHEN ($2)[" number "] THEN EXCLUDED." column " ELSE c." column " END"
#define COLUMN_DIFFERS(column, number) \
	"($2)[" number "] AND c." column " IS DISTINCT FROM u." column

/* Which profiles are not recorded so, and which are remembered as failed. */
static OwnQuery compare_profiles = {
	"SELECT u.ordinality, c.customer_id IS NULL OR c.forgotten_at IS NULL AND ("
	COLUMN_DIFFERS("name", "2")
	" OR " COLUMN_DIFFERS("nickname", "3")
	" OR " COLUMN_DIFFERS("birthday", "4")
	" OR " COLUMN_DIFFERS("phone", "5")
	" OR " COLUMN_DIFFERS("email", "6")
	" OR " COLUMN_DIFFERS("joined_at", "7")
	" OR " COLUMN_DIFFERS("consents", "8")
	" OR " COLUMN_DIFFERS("attributes", "9") "),"
	" e.order_id IS NOT NULL"
	" FROM unnest($1) WITH ORDINALITY AS u"
	" LEFT JOIN retention.customer c ON c.shop_id = u.shop_id AND c.customer_id = u.customer_id"
	" LEFT JOIN retention.sync_error e ON e.source_id = $3 AND e.order_id = u.customer_id",
	3, {"retention.customer[]", "bool[]", "int4"}
};

static OwnQuery write_profiles = {
	"INSERT INTO retention.customer AS c (shop_id, customer_id, name, nickname, birthday,"
	" phone, email, joined_at, consents, attributes)"
	" SELECT u.shop_id, u.customer_id, u.name, u.nickname, u.birthday,"
	" u.phone, u.email, u.joined_at, u.consents, u.attributes"
	" FROM unnest($1) AS u"
	" ON CONFLICT (shop_id, customer_id) DO UPDATE SET "
	SET_COLUMN("name", "2") ", "
	SET_COLUMN("nickname", "3") ", "
	SET_COLUMN("birthday", "4") ", "
	SET_COLUMN("phone", "5") ", "
	SET_COLUMN("email", "6") ", "
	SET_COLUMN("joined_at", "7") ", "
	SET_COLUMN("consents", "8") ", "
	SET_COLUMN("attributes", "9")
	" WHERE c.forgotten_at IS NULL",
	2, {"retention.customer[]", "bool[]"}
};

/*
 * Orders, and record_consent(), lock a customer before anything else of
 * theirs: so must a refusal, which takes messages back.
 */
static OwnQuery lock_refusing = {
	"SELECT FROM retention.customer_stats s"
	" WHERE (s.shop_id, s.customer_id) IN (SELECT u.shop_id, u.customer_id FROM unnest($1) AS u"
	" WHERE EXISTS (SELECT FROM jsonb_each(u.consents) AS said WHERE said.value = 'false'))"
	" ORDER BY s.shop_id, s.customer_id"
	" FOR NO KEY UPDATE",
	1, {"retention.customer[]"}
};

/* Returns, as arrays, the customers who refused something anew. */
static OwnQuery write_consents = {
	"WITH written AS (INSERT INTO retention.customer_consent AS k"
	" (shop_id, customer_id, channel, purpose, granted, decided_at, how)"
	" SELECT u.shop_id, u.customer_id, split_part(said.key, '.', 1), split_part(said.key, '.', 2),"
	" said.value = 'true', retention.now(), $2"
	" FROM unnest($1) AS u"
	" CROSS JOIN LATERAL jsonb_each_text(u.consents) AS said"
	" LEFT JOIN retention.customer c"
	" ON c.shop_id = u.shop_id AND c.customer_id = u.customer_id"
	" LEFT JOIN retention.customer_consent d"
	" ON d.shop_id = u.shop_id AND d.customer_id = u.customer_id"
	" AND d.channel = split_part(said.key, '.', 1) AND d.purpose = split_part(said.key, '.', 2)"
	" WHERE c.forgotten_at IS NULL"
	" AND CASE WHEN c.consents ? said.key THEN c.consents ->> said.key <> said.value"
	" ELSE d.granted IS NULL OR said.value = 'false' END"
	" ON CONFLICT (shop_id, customer_id, channel, purpose) DO UPDATE"
	" SET granted = EXCLUDED.granted, decided_at = EXCLUDED.decided_at, how = EXCLUDED.how"
	" WHERE k.granted <> EXCLUDED.granted"
	" RETURNING k.shop_id, k.customer_id, k.granted)"
	" SELECT array_agg(r.shop_id ORDER BY r.shop_id, r.customer_id),"
	" array_agg(r.customer_id::text ORDER BY r.shop_id, r.customer_id)"
	" FROM (SELECT DISTINCT w.shop_id, w.customer_id FROM written w WHERE NOT w.granted) AS r",
	2, {"retention.customer[]", "text"}
};

static OwnQuery skip_refused = {
	"SELECT retention.skip_refused_messages(u.shop_id, u.customer_id)"
	" FROM unnest($1, $2) AS u (shop_id, customer_id)",
	2, {"int4[]", "text[]"}
};

/*
 * Make what the facts say into what the table takes; false when it cannot be.
 */
static bool
check_profile(Source *source, StoredFacts *facts, int32 *shop_id)
{
	*shop_id = source->sync.shop_id;
	if (!facts->nulls[PROFILE_SHOP])
	{
		char	   *shop = TextDatumGetCString(facts->values[PROFILE_SHOP]);

		*shop_id = shop_lookup(shop, true);
		if (*shop_id == 0)
		{
			stored_facts_refuse(facts, ERRCODE_UNDEFINED_OBJECT,
								psprintf("shop \"%s\" does not exist", shop));
			return false;
		}
	}

	/* What cannot be one means that it is not known. */
	if (!facts->nulls[PROFILE_BIRTHDAY] &&
		DATE_NOT_FINITE(DatumGetDateADT(facts->values[PROFILE_BIRTHDAY])))
		facts->nulls[PROFILE_BIRTHDAY] = true;
	if (!facts->nulls[PROFILE_JOINED_AT] &&
		!facts_time_is_usable(DatumGetTimestampTz(facts->values[PROFILE_JOINED_AT])))
		facts->nulls[PROFILE_JOINED_AT] = true;

	if (facts->nulls[PROFILE_ATTRIBUTES])
	{
		facts->values[PROFILE_ATTRIBUTES] = DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"));
		facts->nulls[PROFILE_ATTRIBUTES] = false;
	}
	else if (!JB_ROOT_IS_OBJECT(DatumGetJsonbP(facts->values[PROFILE_ATTRIBUTES])))
	{
		stored_facts_refuse(facts, ERRCODE_INVALID_PARAMETER_VALUE,
							"attributes must be a JSON object, as jsonb_build_object() gives");
		return false;
	}
	return true;
}

/* Which columns are mapped: the same for every row that was found. */
static Datum
mapped_columns(const StoredFacts *facts)
{
	Datum		mapped[N_PROFILE_COLUMNS];

	for (int c = 0; c < N_PROFILE_COLUMNS; c++)
		mapped[c] = BoolGetDatum(facts->mapped[c]);
	return PointerGetDatum(construct_array(mapped, N_PROFILE_COLUMNS, BOOLOID,
										   1, true, TYPALIGN_CHAR));
}

/* args: the changed profiles, and the source's name. */
static void
write_decisions(Datum *args)
{
	Datum		refusing[2];
	bool		nobody;

	own_execute(&lock_refusing, args, NULL);
	own_execute(&write_consents, args, NULL);
	refusing[0] = own_copy(SPI_tuptable->vals[0], 1, &nobody);
	refusing[1] = own_copy(SPI_tuptable->vals[0], 2, &nobody);
	if (!nobody)
		own_execute(&skip_refused, refusing, NULL);
}

/* What there is to write; found must hold a row for each of the facts. */
static void
write_changed(Source *source, StoredFacts **facts, int nfound, OwnRows *found, Datum mapped)
{
	CustomerKey *keys = (CustomerKey *) palloc(nfound * sizeof(CustomerKey));
	int			nkeys = 0;
	OwnRows		changed;
	Datum		args[3];
	bool		maps_consents = facts[0]->mapped[PROFILE_CONSENTS];

	args[0] = own_rows_array(found);
	args[1] = mapped;
	args[2] = Int32GetDatum(source->sync.source_id);
	own_execute(&compare_profiles, args, NULL);

	own_rows_init(&changed, "customer");
	for (uint64 r = 0; r < SPI_processed; r++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[r];
		StoredFacts *one = facts[own_int64(tuple, 1) - 1];

		one->had_error = own_bool(tuple, 3);
		if (!own_bool(tuple, 2))
			continue;
		keys[nkeys].shop_id = DatumGetInt32(one->values[PROFILE_SHOP]);
		keys[nkeys++].customer_id = one->key;
		own_rows_add(&changed, N_PROFILE_COLUMNS, customer_columns, one->values, one->nulls);
	}
	if (nkeys == 0)
		return;

	customers_ensure(keys, customer_keys_sort(keys, nkeys));
	args[0] = own_rows_array(&changed);
	if (maps_consents)
	{
		/* Before the profile, which remembers what the shop has said. */
		args[1] = CStringGetTextDatum(source->sync.name);
		write_decisions(args);
		args[1] = mapped;
	}
	own_execute(&write_profiles, args, NULL);
}

static void
sync_batch(Source *source, char **customer_ids, int n, SyncCounts *counts)
{
	StoredFacts *facts = stored_facts_read(source, customer_ids, n);
	StoredFacts **found = (StoredFacts **) palloc(n * sizeof(StoredFacts *));
	int			nfound = 0;
	OwnRows		rows;

	own_rows_init(&rows, "customer");
	for (int i = 0; i < n; i++)
	{
		int32		shop_id;

		/* An empty id is nobody's, as NULL is. */
		if (facts[i].status != FACTS_FOUND || facts[i].key[0] == '\0' ||
			!check_profile(source, &facts[i], &shop_id))
			continue;
		facts[i].values[PROFILE_SHOP] = Int32GetDatum(shop_id);
		facts[i].nulls[PROFILE_SHOP] = false;
		found[nfound++] = &facts[i];
		own_rows_add(&rows, N_PROFILE_COLUMNS, customer_columns, facts[i].values, facts[i].nulls);
	}
	if (nfound > 0)
		write_changed(source, found, nfound, &rows, mapped_columns(found[0]));
	stored_facts_settle(source, facts, n, counts);
}

void
profiles_sync(Source *source, char **customer_ids, int ncustomers, SyncCounts *counts)
{
	for (int done = 0; done < ncustomers; done += PROFILE_BATCH)
	{
		CHECK_FOR_INTERRUPTS();
		SPI_connect();
		sync_batch(source, customer_ids + done, Min(PROFILE_BATCH, ncustomers - done), counts);
		SPI_finish();
	}
}
