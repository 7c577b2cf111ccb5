#!/bin/bash
# How quick the analytics are: the same questions in plain SQL, from the orders
# with our aggregates, from kept histories, and in DuckDB, in one run.  Fails
# when any two answers differ in any cell.  Installs what is missing by apt,
# and DuckDB by npm into a folder of its own, removed at the end.
#
#   bash bench/analytics.sh [ORDERS [REPETITIONS]]     default 1000000 and 3
#
# HUGE_PAGES=1  lets the server have its buffers in huge pages, as PostgreSQL's
#               manual advises, and both have transparent ones for the rest, as
#               many kernels give them anyway: root asks for them, and puts
#               things back at the end.  A worker that comes and goes for each
#               query pays for the small ones, and so does a window in memory.
. "$(dirname "${BASH_SOURCE[0]}")/../test/private_cluster.sh"

ORDERS=${1:-1000000}
REPETITIONS=${2:-3}
[[ $ORDERS =~ ^[1-9][0-9]{2,7}$ && $REPETITIONS =~ ^[1-9][0-9]?$ ]] || die "usage: bash bench/analytics.sh [ORDERS [REPETITIONS]]"

require_postgresql
have node && have npm || die "DuckDB is called from Node.js: install nodejs and npm"
make_folder retention-bench
PAGES=/proc/sys/vm/nr_hugepages
PAGES_BEFORE=
TRANSPARENT=/sys/kernel/mm/transparent_hugepage/enabled
TRANSPARENT_BEFORE=
clean_up() {
	remove_folder "$FOLDER"
	[ -z "$PAGES_BEFORE" ] || echo "$PAGES_BEFORE" >$PAGES
	[ -z "$TRANSPARENT_BEFORE" ] || echo "$TRANSPARENT_BEFORE" >$TRANSPARENT
}
trap clean_up EXIT
trap 'exit 130' INT TERM

copy_source "$FOLDER/source"
install_stage "$FOLDER/source" >/dev/null || die "the build failed"
mkdir "$FOLDER/duckdb"
(cd "$FOLDER/duckdb" && npm init -y >/dev/null && npm install --no-audit --no-fund @duckdb/node-api >/dev/null) ||
	die "npm could not install @duckdb/node-api"
if [ "${HUGE_PAGES:-0}" = 1 ]; then
	[ -w $PAGES ] || die "HUGE_PAGES=1 needs root on Linux"
	PAGES_BEFORE=$(cat $PAGES)
	echo $((PAGES_BEFORE + 600)) >$PAGES
	if [ -w $TRANSPARENT ]; then
		TRANSPARENT_BEFORE=$(sed 's/.*\[\(.*\)\].*/\1/' $TRANSPARENT)
		echo always >$TRANSPARENT
	fi
	set -- "huge_pages = on"
else
	set --
fi
start_cluster "$@" "shared_buffers = '1GB'" "max_wal_size = '4GB'" "work_mem = '256MB'" "jit = off"

sql() {
	"$BINDIR/psql" -X -q -d postgres -v ON_ERROR_STOP=1 "$@"
}

# Heavy-tailed: customers have 6.67 orders on average, the best some hundreds,
# a quarter of them one or two.  Times are to the second, over three years.
sql -v orders="$ORDERS" <<'SQL'
SET TimeZone = 'UTC';
CREATE EXTENSION retention;
SELECT setseed(0.42) \g /dev/null
CREATE TABLE orders AS
	SELECT g AS order_id,
		(1 + floor(:orders * 0.15 * power(random(), 2)))::integer AS customer_id,
		timestamptz '2021-01-01' + floor(random() * 1095 * 86400) * interval '1 second' AS paid_at,
		round((5 + 20 * power(random(), -0.5))::numeric, 2)::numeric(10, 2) AS amount
	FROM generate_series(1, :orders) AS g;
VACUUM (ANALYZE) orders;
SQL
echo "Keeping histories: building them from the orders, in one process"
sql <<'SQL'
SET TimeZone = 'UTC';
SET max_parallel_workers_per_gather = 0;
\timing on
CREATE TABLE histories AS
	SELECT customer_id, retention.purchase_history(paid_at, amount) AS history FROM orders GROUP BY customer_id;
\timing off
VACUUM (ANALYZE) histories;
\pset format unaligned
\pset tuples_only on
SELECT format('%s customers; bytes a purchase: %s in the orders'' table, %s in the histories'', of them %s the history itself',
	count(*), round(pg_table_size('orders')::numeric / sum(retention.purchases(history)), 1),
	round(pg_table_size('histories')::numeric / sum(retention.purchases(history)), 1),
	round(sum(pg_column_size(history))::numeric / sum(retention.purchases(history)), 1))
FROM histories;
SQL
sql -c "SET TimeZone = 'UTC'" -c "COPY (SELECT order_id, customer_id, timezone('UTC', paid_at), amount FROM orders) TO STDOUT WITH (FORMAT csv)" >"$FOLDER/orders.csv" ||
	die "could not write the orders"

export PGDATABASE=postgres ANALYTICS_PSQL=$BINDIR/psql
node "$ROOT/bench/analytics.mjs" "$FOLDER" "$ORDERS" "$REPETITIONS"
