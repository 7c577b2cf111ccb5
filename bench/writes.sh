#!/bin/bash
# What keeping customers and points costs the shop's writes, beside no trigger
# and a trigger in plpgsql, and how quick a backfill is.  Installs what is
# missing by apt; takes about ten minutes.
#
#   bash bench/writes.sh [SECONDS [RUNS [ORDERS]]]
#
# SECONDS and RUNS of each pgbench measure (default 5 and 5), ORDERS of each
# bulk load (default 1000000).
#
# The kinds of insert take turns in one run, so that the ratios hold on a
# machine whose speed drifts.  The orders of RETENTION_DATA/cdnow.csv.gz are
# backfilled when they are there (default ../shared/data beside the project).
. "$(dirname "${BASH_SOURCE[0]}")/../test/private_cluster.sh"

SECONDS_EACH=${1:-5}
RUNS=${2:-5}
ORDERS=${3:-1000000}
[[ $SECONDS_EACH =~ ^[1-9][0-9]{0,3}$ && $RUNS =~ ^[1-9][0-9]?$ && $ORDERS =~ ^[1-9][0-9]{2,7}$ ]] ||
	die "usage: bash bench/writes.sh [SECONDS [RUNS [ORDERS]]]"
DATA=${RETENTION_DATA:-$ROOT/../shared/data}

require_postgresql
make_folder retention-bench
trap 'remove_folder "$FOLDER"' EXIT
trap 'exit 130' INT TERM

copy_source "$FOLDER/source"
install_stage "$FOLDER/source" >/dev/null || die "the build failed"
# As a shop's server would run: what is committed is on the disk.
start_cluster "fsync = on"

sql() {
	"$BINDIR/psql" -X -q -d postgres -v ON_ERROR_STOP=1 "$@"
}

median() {
	sort -n | awk '{v[NR] = $1} END {print (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'
}

# insert_rate TABLE CLIENTS SYNCHRONOUS_COMMIT: transactions a second
insert_rate() {
	PGOPTIONS="-c synchronous_commit=$3" "$BINDIR/pgbench" -n -M prepared -c "$2" -j "$2" \
		-T "$SECONDS_EACH" -f "$FOLDER/$1.sql" postgres 2>"$FOLDER/pgbench.log" |
		sed -n 's/^tps = \([0-9.]*\).*/\1/p'
}

sql <<'SQL'
CREATE EXTENSION retention;
CREATE TABLE plain_orders (
	id bigserial PRIMARY KEY,
	customer_id bigint NOT NULL,
	total numeric(10, 2) NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now(),
	paid_at timestamptz,
	completed_at timestamptz
);
CREATE TABLE attached_orders (LIKE plain_orders INCLUDING ALL);
SELECT retention.attach_orders('public.attached_orders', order_id => 'id', customer => 'customer_id',
	total => 'total', placed_at => 'created_at', paid_at => 'paid_at', completed_at => 'completed_at') \g /dev/null
SQL
# The same work, as far as it goes, by a trigger as one would write it by hand.
sql <<'SQL'
CREATE TABLE plpgsql_orders (LIKE plain_orders INCLUDING ALL);
CREATE TABLE by_hand_purchase (
	order_id text PRIMARY KEY, customer_id text NOT NULL, placed_at timestamptz, paid_at timestamptz, total numeric, value numeric
);
CREATE INDEX ON by_hand_purchase (customer_id);
CREATE TABLE by_hand_customer (customer_id text PRIMARY KEY, tags text[]);
CREATE TABLE by_hand_stats (
	customer_id text PRIMARY KEY, purchases bigint NOT NULL, spent numeric NOT NULL,
	first_purchase_at timestamptz, last_purchase_at timestamptz, tier text
);
CREATE FUNCTION by_hand() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO by_hand_customer (customer_id) VALUES (NEW.customer_id) ON CONFLICT DO NOTHING;
	INSERT INTO by_hand_purchase VALUES (NEW.id, NEW.customer_id, NEW.created_at, NEW.paid_at, NEW.total, NEW.total)
	ON CONFLICT (order_id) DO UPDATE SET paid_at = excluded.paid_at, total = excluded.total, value = excluded.value;
	IF NEW.paid_at IS NOT NULL THEN
		INSERT INTO by_hand_stats AS s VALUES (NEW.customer_id, 1, NEW.total, NEW.paid_at, NEW.paid_at)
		ON CONFLICT (customer_id) DO UPDATE SET purchases = s.purchases + 1, spent = s.spent + NEW.total,
			first_purchase_at = least(s.first_purchase_at, NEW.paid_at), last_purchase_at = greatest(s.last_purchase_at, NEW.paid_at),
			tier = CASE WHEN s.spent + NEW.total >= 5000 THEN 'gold' WHEN s.spent + NEW.total >= 1000 THEN 'silver' END;
	END IF;
	RETURN NULL;
END
$$;
CREATE TRIGGER by_hand AFTER INSERT OR UPDATE ON plpgsql_orders FOR EACH ROW EXECUTE FUNCTION by_hand();
SQL
for table in plain attached plpgsql; do
	cat >"$FOLDER/$table.sql" <<-SQL
		\\set customer random(1, 100000)
		INSERT INTO ${table}_orders (customer_id, total, paid_at) VALUES (:customer, 12.50, now());
	SQL
done

echo "Single inserts of paid orders, a transaction each: orders a second, medians of $RUNS runs of $SECONDS_EACH s,"
echo "and their share of what plain inserts reach (medians of the shares of each run)"
printf '%-8s %-20s %10s %18s %18s\n' clients synchronous_commit plain attached 'plpgsql trigger'
for commit in on off; do
	for clients in 1 4; do
		rm -f "$FOLDER"/*.tps "$FOLDER"/*.share
		for _ in $(seq "$RUNS"); do
			plain=$(insert_rate plain "$clients" "$commit")
			echo "$plain" >>"$FOLDER/plain.tps"
			for table in attached plpgsql; do
				rate=$(insert_rate $table "$clients" "$commit")
				echo "$rate" >>"$FOLDER/$table.tps"
				awk "BEGIN {print $rate / $plain}" >>"$FOLDER/$table.share"
			done
		done
		printf '%-8s %-20s %10.0f %11.0f (%.2f) %11.0f (%.2f)\n' "$clients" "$commit" "$(median <"$FOLDER/plain.tps")" \
			"$(median <"$FOLDER/attached.tps")" "$(median <"$FOLDER/attached.share")" \
			"$(median <"$FOLDER/plpgsql.tps")" "$(median <"$FOLDER/plpgsql.share")"
	done
done

# seconds COMMAND...: how long it takes
seconds() {
	local start
	start=$(date +%s.%N)
	"$@" || return
	awk "BEGIN {printf \"%.1f\", $(date +%s.%N) - $start}"
}

# bulk LABEL COMMAND...: times it for each table, @ standing for its name
bulk() {
	local label=$1 plain='' table time
	shift
	for table in plain attached plpgsql; do
		time=$(seconds "${@//@/${table}_orders}") || die "$label into ${table}_orders failed"
		plain=${plain:-$time}
		printf '%-18s %-10s %6.1f s %6.1f times plain\n' "$label" "$table" "$time" "$(awk "BEGIN {print $time / $plain}")"
	done
}

echo
echo "$ORDERS orders of 50,000 customers in one statement"
bulk 'INSERT ... SELECT' sql -c "INSERT INTO @ (customer_id, total, paid_at)
	SELECT 100001 + (hashint4(g)::bigint & 2147483647) % 50000, 12.50, now() FROM generate_series(1, $ORDERS) AS g"
sql -c "COPY (SELECT 200001 + (hashint4(g)::bigint & 2147483647) % 50000, 12.50, now() FROM generate_series(1, $ORDERS) AS g) TO STDOUT" >"$FOLDER/orders.copy"
bulk COPY sql -c "\\copy @ (customer_id, total, paid_at) FROM '$FOLDER/orders.copy'"

echo
echo "One more order, a transaction each, synchronous_commit off: milliseconds, medians of $RUNS runs"
sql -c "INSERT INTO attached_orders (customer_id, total, paid_at)
	SELECT 300001, 12.50, now() - g * interval '1 minute' FROM generate_series(1, $ORDERS) AS g"
sql -c "INSERT INTO attached_orders (customer_id, total, paid_at)
	SELECT 300002, 12.50, now() - g * interval '1 day' FROM generate_series(1, 10) AS g"
for who in "of $ORDERS orders:300001" 'of 10 orders:300002'; do
	echo "INSERT INTO attached_orders (customer_id, total, paid_at) VALUES (${who#*:}, 12.50, now());" >"$FOLDER/one.sql"
	: >"$FOLDER/one.tps"
	for _ in $(seq "$RUNS"); do
		insert_rate one 1 off >>"$FOLDER/one.tps"
	done
	printf 'customer %-22s %8.3f\n' "${who%:*}" "$(awk "BEGIN {print 1000 / $(median <"$FOLDER/one.tps")}")"
done

echo
echo "Backfill of the plain orders, without points"
sql <<'SQL' 2>&1 | grep -E '100%|^Time'
SELECT retention.attach_orders('public.plain_orders', order_id => 'id', customer => 'customer_id',
	total => 'total', placed_at => 'created_at', paid_at => 'paid_at', completed_at => 'completed_at') \g /dev/null
SELECT count(*) AS orders FROM plain_orders \gset
\echo :orders orders
\timing on
CALL retention.backfill('public.plain_orders');
SQL

if [ -f "$DATA/cdnow.csv.gz" ]; then
	echo
	echo "Backfill of the CDNOW orders, with points"
	sql -c "CREATE TABLE cdnow (id integer PRIMARY KEY, customer_id integer, ordered_on date,
		cds integer, amount numeric, sample integer)"
	gzip -dc "$DATA/cdnow.csv.gz" | sql -c "COPY cdnow FROM STDIN WITH (FORMAT csv, HEADER)"
	sql <<'SQL' 2>&1 | grep '100%'
ANALYZE cdnow;
SELECT retention.attach_orders('public.cdnow', order_id => 'id', customer => 'customer_id',
	total => 'amount', paid_at => 'ordered_on', completed_at => 'ordered_on') \g /dev/null
CALL retention.backfill('public.cdnow', points => true);
SQL
else
	say "Skipped the backfill: no cdnow.csv.gz in $DATA"
fi
