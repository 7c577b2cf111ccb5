#!/bin/bash
# What keeping customers and points costs the shop's writes, and how quick a
# backfill is.  Installs what is missing by apt; takes about three minutes.
#
#   bash bench/writes.sh [SECONDS]      seconds for each pgbench run (default 5)
#
# Plain and attached inserts take turns in one run, so that the ratios hold on a
# machine whose speed drifts.  The orders of RETENTION_DATA/cdnow.csv.gz are
# backfilled when they are there (default ../shared/data beside the project).
. "$(dirname "${BASH_SOURCE[0]}")/../test/private_cluster.sh"

SECONDS_EACH=${1:-5}
[[ $SECONDS_EACH =~ ^[1-9][0-9]{0,3}$ ]] || die "$SECONDS_EACH is no number of seconds"
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
for table in plain attached; do
	cat >"$FOLDER/$table.sql" <<-SQL
		\\set customer random(1, 100000)
		INSERT INTO ${table}_orders (customer_id, total, paid_at) VALUES (:customer, 12.50, now());
	SQL
done

echo "Single inserts of paid orders, a transaction each: orders a second, medians of 5 runs of $SECONDS_EACH s"
printf '%-10s %-20s %10s %10s %8s\n' clients synchronous_commit plain attached ratio
for commit in on off; do
	for clients in 1 4; do
		: >"$FOLDER/plain.tps" >"$FOLDER/attached.tps" >"$FOLDER/ratio"
		for _ in 1 2 3 4 5; do
			plain=$(insert_rate plain "$clients" "$commit")
			attached=$(insert_rate attached "$clients" "$commit")
			echo "$plain" >>"$FOLDER/plain.tps"
			echo "$attached" >>"$FOLDER/attached.tps"
			awk "BEGIN {print $attached / $plain}" >>"$FOLDER/ratio"
		done
		printf '%-10s %-20s %10.0f %10.0f %8.2f\n' "$clients" "$commit" \
			"$(median <"$FOLDER/plain.tps")" "$(median <"$FOLDER/attached.tps")" "$(median <"$FOLDER/ratio")"
	done
done

echo
echo "1,000,000 orders of 100,000 customers in one statement"
for table in plain attached; do
	start=$(date +%s.%N)
	sql -c "INSERT INTO ${table}_orders (customer_id, total, paid_at)
		SELECT 1 + hashint4(g)::bigint % 50000 + 50000, 12.50, now() FROM generate_series(1, 1000000) AS g"
	printf '%-10s %6.1f s\n' "$table" "$(awk "BEGIN {print $(date +%s.%N) - $start}")"
done

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
