#!/bin/bash
# Mixed traffic with faults, and afterwards the question whether anything was
# lost.  Not part of the tests: it takes as long as it is told to.
#
#   bash test/load.sh [SECONDS [BULK_ORDERS]]      default 1800 and 1000000
#
# Traffic: orders placed, paid, changed and refunded, redemptions, holds,
# claims, receipts and run() by pgbench and psql, half of them under a short
# statement_timeout and lock_timeout; and one transaction of BULK_ORDERS orders,
# tried until it goes through.
#
# Faults: queries cancelled and backends terminated at random, tables and
# customers locked by others, clients killed without a word, and the ledger's
# tablespace full for some seconds of every minute.  That takes a tmpfs, which
# only root can mount; without it this one fault is left out, and said so.
#
# CLIENTS  sessions of each kind of traffic (default 3)
. "$(dirname "${BASH_SOURCE[0]}")/private_cluster.sh"

SECONDS_ALL=${1:-1800}
BULK=${2:-1000000}
CLIENTS=${CLIENTS:-3}
TABLESPACE_MB=1024
[[ $SECONDS_ALL =~ ^[1-9][0-9]{1,5}$ && $BULK =~ ^[0-9]{1,8}$ && $CLIENTS =~ ^[1-9][0-9]?$ ]] ||
	die "usage: bash test/load.sh [SECONDS [BULK_ORDERS]]"

MOUNTED=
JOBS=()

clean_up() {
	local status=$?

	trap - EXIT
	stop_jobs
	[ -z "${FOLDER:-}" ] || stop_servers "$FOLDER"
	[ -z "$MOUNTED" ] || umount "$MOUNTED"
	[ -z "${FOLDER:-}" ] || remove_folder "$FOLDER"
	exit $status
}

stop_jobs() {
	local job

	for job in "${JOBS[@]}"; do
		kill "$job" 2>/dev/null
	done
	[ ${#JOBS[@]} -eq 0 ] || wait "${JOBS[@]}" 2>/dev/null
	JOBS=()
}

sql() {
	"$BINDIR/psql" -X -q -A -t -d postgres -v ON_ERROR_STOP=1 "$@"
}

left() {
	echo $((STOP - $(date +%s)))
}

require_postgresql
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
make_folder retention-load
copy_source "$FOLDER/source"
install_stage "$FOLDER/source" >/dev/null || die "the build failed"
start_cluster "max_connections = 100" "synchronous_commit = on" "max_wal_size = '2GB'" "log_line_prefix = '%e %a '" "deadlock_timeout = '200ms'"

# ---------------------------------------------------------------------------
# The shop
# ---------------------------------------------------------------------------

sql <<'SQL'
SET client_min_messages = warning;
CREATE EXTENSION retention;
CREATE TABLE orders (
	id bigserial PRIMARY KEY,
	customer integer,
	total numeric NOT NULL,
	refunded numeric NOT NULL DEFAULT 0,
	placed_at timestamptz NOT NULL DEFAULT now(),
	paid_at timestamptz
);
INSERT INTO retention.shop (shop_id, name, accrue_on, quiet_from) VALUES (1, 'Tea House', 'paid', NULL);
SELECT retention.attach_orders('orders', order_id => 'id', customer => 'customer', total => 'total', refunded => 'refunded',
	placed_at => 'placed_at', paid_at => 'paid_at') \g /dev/null
INSERT INTO retention.care_template (shop_id, name, language, text) VALUES (1, 'unpaid_reminder', 'zh', '还在等您');
SELECT retention.enable_rule('unpaid_reminder') \g /dev/null
UPDATE retention.care_rules SET delay = '1 second' WHERE name = 'unpaid_reminder';
INSERT INTO orders (customer, total, paid_at) SELECT i, 100, now() FROM generate_series(1, 60) AS i;
SQL

if [ "$(id -u)" -eq 0 ] && as_server mkdir "$FOLDER/small" &&
	mount -t tmpfs -o "size=${TABLESPACE_MB}m,mode=700,uid=$(id -u "$SERVER_USER")" tmpfs "$FOLDER/small" 2>/dev/null; then
	MOUNTED=$FOLDER/small
	as_server mkdir "$FOLDER/small/space"
	sql -c "CREATE TABLESPACE small LOCATION '$FOLDER/small/space'" \
		-c 'ALTER TABLE retention.points_entry SET TABLESPACE small' -c 'ALTER TABLE retention.points_lot SET TABLESPACE small' \
		-c 'ALTER TABLE retention.care_message SET TABLESPACE small'
else
	echo "left out: a full disk (only root can mount a tmpfs)"
fi

as_server mkdir "$FOLDER/load"
as_server chmod 777 "$FOLDER/load"
cd "$FOLDER/load" || die "no folder"

cat >place.sql <<'SQL'
\set c random_zipfian(1, 20000, 1.1)
INSERT INTO orders (customer, total, paid_at) VALUES (:c, round((random() * 200)::numeric, 2), CASE WHEN random() < 0.4 THEN now() END);
SQL
cat >pay.sql <<'SQL'
\set r random(0, 500)
UPDATE orders SET paid_at = coalesce(paid_at, now()) WHERE id = (SELECT last_value FROM orders_id_seq) - :r::bigint;
SQL
cat >change.sql <<'SQL'
\set r random(0, 2000)
\set s random(0, 2000)
BEGIN;
UPDATE orders SET total = total + 1 WHERE id = (SELECT last_value FROM orders_id_seq) - least(:r::bigint, :s::bigint);
SAVEPOINT s;
UPDATE orders SET refunded = least(total, refunded + 5) WHERE paid_at IS NOT NULL AND id = (SELECT last_value FROM orders_id_seq) - greatest(:r::bigint, :s::bigint);
ROLLBACK TO s;
UPDATE orders SET refunded = least(total, refunded + 10) WHERE paid_at IS NOT NULL AND id = (SELECT last_value FROM orders_id_seq) - greatest(:r::bigint, :s::bigint);
COMMIT;
SQL
cat >drop.sql <<'SQL'
\set r random(0, 5000)
DELETE FROM orders WHERE paid_at IS NULL AND id = (SELECT last_value FROM orders_id_seq) - :r::bigint;
SQL
cat >run.sql <<'SQL'
CALL retention.run();
\sleep 500 ms
SQL

# ---------------------------------------------------------------------------
# Traffic
# ---------------------------------------------------------------------------

# traffic NAME SCRIPT@WEIGHT...: pgbench gives up at an error, and is started again
traffic() {
	local name=$1 options=() script

	shift
	for script in "$@"; do
		options+=(-f "$script")
	done
	while [ "$(left)" -gt 0 ]; do
		PGAPPNAME=load-$name "$BINDIR/pgbench" -n -M prepared -c 1 -T "$(left)" "${options[@]}" postgres >>"$name.out" 2>>"$name.err" &
		echo $! >"$name.pid"
		wait $! 2>/dev/null
		rm -f "$name.pid"
	done
}

# acknowledged NAME FUNCTION: psql runs what FUNCTION prints; what psql prints was committed
acknowledged() {
	local name=$1 round=0

	while [ "$(left)" -gt 0 ]; do
		round=$((round + 1))
		"$2" "$name-$round" >"$name.sql"
		PGAPPNAME=load-$name "$BINDIR/psql" -X -q -A -t -F '|' -d postgres -f "$name.sql" >>"$name.ack" 2>>"$name.err" &
		echo $! >"$name.pid"
		wait $! 2>/dev/null
		rm -f "$name.pid"
	done
}

points() {
	awk -v name="$1" 'BEGIN {
		srand(); srand(srand() + length(name) * 7919 + '"$RANDOM"');
		for (i = 0; i < 400; i++) {
			c = int(1 + 50 * rand() * rand()); p = 1 + int(rand() * 20); r = name "-" i;
			if (i % 3 == 0)
				printf "SELECT '\''redeemed'\'', '\''%d'\'', '\''%s'\'', (retention.redeem('\''%d'\'', %d, '\''%s'\'')).points;\n", c, r, c, p, r;
			else if (i % 3 == 1)
				printf "SELECT '\''redeemed'\'', '\''%d'\'', '\''%s'\'', (retention.grant('\''%d'\'', %d, '\''a present'\'', '\''%s'\'')).points;\n", c, r, c, p, r;
			else
				printf "SELECT retention.hold('\''%d'\'', %d, '\''%s'\'', timeout => interval '\''2 seconds'\'') IS NULL;\nSELECT '\''redeemed'\'', '\''%d'\'', '\''%s'\'', (retention.capture('\''%d'\'', '\''%s'\'')).points;\n", c, p, r, c, r, c, r;
		}
	}'
}

worker() {
	local i

	for i in $(seq 200); do
		echo "\\set tokens {}"
		echo "SELECT coalesce(array_agg(token), '{}') AS tokens FROM retention.claim_messages('sms', 10, interval '5 seconds', '$1') \\gset"
		echo "SELECT 'sent', m.message_id, retention.mark_sent(t.token, 'provider ' || t.token) FROM unnest(:'tokens'::uuid[]) AS t (token) JOIN retention.care_message m ON m.token = t.token;"
	done
}

# One transaction of many orders; the first try is cancelled on its way.
bulk() {
	local try=0 start

	[ "$BULK" -gt 0 ] || return
	sleep $((SECONDS_ALL / 10))
	while [ "$(left)" -gt 0 ] && [ ! -s bulk.done ]; do
		try=$((try + 1))
		echo $try >bulk.try
		start=$(date +%s%3N)
		if [ $try -eq 1 ]; then
			PGOPTIONS='-c statement_timeout=5s'
		else
			PGOPTIONS='-c statement_timeout=0'
		fi
		if PGAPPNAME=bulk PGOPTIONS=$PGOPTIONS sql -c "INSERT INTO orders (customer, total, paid_at) SELECT 100000 + i % 50000, (i % 10000) / 100.0, now() FROM generate_series(1, $BULK) AS i" 2>>bulk.err; then
			echo "$(($(date +%s%3N) - start)) ms, at try $try" >bulk.done
		else
			sleep 5
		fi
	done
}

# ---------------------------------------------------------------------------
# Faults
# ---------------------------------------------------------------------------

count_fault() {
	echo "$1" >>faults
}

faults() {
	local what name

	while [ "$(left)" -gt 0 ]; do
		sleep "0.$((RANDOM % 9 + 1))"
		what=$((RANDOM % 10))
		case $what in
			0 | 1 | 2 | 3)
				sql -c "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'load-%' AND state <> 'idle' ORDER BY random() LIMIT 1" | grep -q t && count_fault cancelled
				;;
			4 | 5)
				sql -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'load-%' ORDER BY random() LIMIT 1" | grep -q t && count_fault terminated
				;;
			6)
				for name in $(ls ./*.pid 2>/dev/null | shuf -n 1); do
					kill -9 "$(cat "$name")" 2>/dev/null && count_fault 'client killed'
				done
				;;
			7)
				sql -c "SET lock_timeout = '1s'" -c "BEGIN" -c "SELECT FROM retention.customer_stats WHERE customer_id IN ('1', '2', '3', '4', '5') FOR UPDATE" -c "SELECT pg_sleep(0.7)" -c "ROLLBACK" >/dev/null 2>&1 && count_fault 'customers locked'
				;;
			8)
				sql -c "SET lock_timeout = '1s'" -c "BEGIN" -c "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE" -c "SELECT pg_sleep(0.4)" -c "ROLLBACK" >/dev/null 2>&1 && count_fault 'table locked'
				;;
		esac
	done
}

full_disk() {
	[ -n "$MOUNTED" ] || return
	while [ "$(left)" -gt 20 ]; do
		sleep 25
		# the third try has a chance
		[ -s bulk.done ] || [ "$(cat bulk.try 2>/dev/null || echo 0)" -lt 3 ] || continue
		as_server dd if=/dev/zero of="$MOUNTED/ballast" bs=64k status=none 2>/dev/null
		count_fault 'disk full'
		sleep 4
		as_server rm -f "$MOUNTED/ballast"
	done
}

# ---------------------------------------------------------------------------
# The run
# ---------------------------------------------------------------------------

STOP=$(($(date +%s) + SECONDS_ALL))
echo "# $SECONDS_ALL seconds, $BULK orders in one transaction, $("$BINDIR/postgres" --version)"
for i in $(seq "$CLIENTS"); do
	traffic "patient-$i" place.sql@5 pay.sql@3 change.sql@3 drop.sql@1 & JOBS+=($!)
	PGOPTIONS='-c statement_timeout=150ms -c lock_timeout=50ms' traffic "hasty-$i" place.sql@5 pay.sql@3 change.sql@3 drop.sql@1 & JOBS+=($!)
	acknowledged "points-$i" points & JOBS+=($!)
done
acknowledged worker-1 worker & JOBS+=($!)
PGOPTIONS='-c statement_timeout=1s' acknowledged worker-2 worker & JOBS+=($!)
traffic run-1 run.sql & JOBS+=($!)
bulk & JOBS+=($!)
faults & JOBS+=($!)
full_disk & JOBS+=($!)
wait "${JOBS[@]}"
JOBS=()
[ -z "$MOUNTED" ] || as_server rm -f "$MOUNTED/ballast"

# ---------------------------------------------------------------------------
# What was done, and what was lost
# ---------------------------------------------------------------------------

echo "## done"
sql -F ': ' <<'SQL'
SELECT 'orders', count(*) FROM orders;
SELECT 'points entries', count(*) FROM retention.points_entry;
SELECT 'messages ' || state, count(*) FROM retention.care_message GROUP BY 1 ORDER BY 1;
SELECT 'orders in sync_error', count(*) FROM retention.sync_error;
SQL
echo "transactions of pgbench: $(cat ./*.out | sed -n 's/^number of transactions actually processed: \([0-9]*\).*/\1/p' | awk '{n += $1} END {print n + 0}')"
echo "acknowledged operations on points: $(cat points-*.ack | grep -c '^redeemed|')"
echo "acknowledged messages: $(cat worker-*.ack | grep -c '^sent|.*|sent$')"
echo "transaction of $BULK orders: $(cat bulk.done 2>/dev/null || echo 'not done')"
echo "## the transaction of all orders at once, as it went"
grep -h ERROR bulk.err 2>/dev/null
echo "## faults"
sort faults 2>/dev/null | uniq -c | sort -rn
echo "## errors by SQLSTATE, as the server logged them"
grep -aoE '^[0-9A-Z]{5} [^ ]* (ERROR|FATAL|PANIC)' "$FOLDER/server.log" | awk '{print $1, $NF}' | sort | uniq -c | sort -rn

# By COPY, as the server's user may not look at files of others.
cat points-*.ack | grep '^redeemed|' | cut -d '|' -f 2-4 >acknowledged.points
cat worker-*.ack | grep '^sent|.*|sent$' | cut -d '|' -f 2 >acknowledged.messages
sql -c 'CREATE TABLE ack_points (customer text, reference text, points bigint)' -c 'CREATE TABLE ack_messages (message_id text)' \
	-c "\\copy ack_points FROM acknowledged.points WITH (DELIMITER '|')" -c '\copy ack_messages FROM acknowledged.messages' \
	-c 'ANALYZE ack_points, ack_messages, retention.points_entry, retention.care_message'
sed 's/CREATE TEMP VIEW/CREATE VIEW/' "$ROOT/test/include/wrong.sql" >wrong.sql
sql -f wrong.sql

echo "## lost"
sql -c 'SET client_min_messages = error' -c "SELECT retention.resync('public.orders')" >/dev/null
sql -F ': ' >lost <<'SQL'
SET client_min_messages = error;
SELECT 'rows of check_ledger()', count(*) FROM retention.check_ledger();
SELECT 'customers whose statistics differ from recomputation', count(*) FROM wrong;
SELECT 'orders that are recorded otherwise than they are', count(*)
FROM orders o
FULL JOIN retention.purchase p ON p.order_id = o.id::text
WHERE (o.customer::text, CASE WHEN o.paid_at IS NULL THEN 0 ELSE o.total END, o.refunded) IS DISTINCT FROM (p.customer_id, p.paid, p.refunded)
	OR o.paid_at IS DISTINCT FROM p.paid_at;
SELECT 'acknowledged operations on points that are not there once', count(*)
FROM ack_points a
LEFT JOIN (
	SELECT e.customer_id, e.reference, e.points, count(*) AS times
	FROM retention.points_entry e
	WHERE e.reference IS NOT NULL
	GROUP BY e.customer_id, e.reference, e.points
) AS e ON e.customer_id = a.customer AND e.reference = a.reference AND e.points = a.points
WHERE e.times IS DISTINCT FROM 1;
SELECT 'messages acknowledged twice', count(*) FROM (SELECT FROM ack_messages GROUP BY message_id HAVING count(*) > 1) AS twice;
SELECT 'acknowledged messages that are not sent', count(*)
FROM ack_messages a
LEFT JOIN retention.care_message m ON m.message_id::text = a.message_id
WHERE m.state IS DISTINCT FROM 'sent';
SELECT 'orders left in sync_error after resync()', count(*) FROM retention.sync_error;
SQL
cat lost
echo "crashes and internal errors: $(grep -acE '^XX|PANIC|was terminated by signal' "$FOLDER/server.log")" | tee -a lost
grep -aE '^XX|PANIC|was terminated by signal' "$FOLDER/server.log" | sort | uniq -c | sort -rn | head
if grep -qvE ': 0$' lost || [ "$(wc -l <lost)" -ne 8 ]; then
	echo "something was lost"
	exit 1
fi
echo "nothing was lost"
