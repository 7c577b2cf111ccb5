#!/bin/bash
# How fast is the ledger?  Redemptions and grants a second by pgbench with 1
# and 4 clients, beside the same logic in plpgsql over the same kind of tables,
# in turns within one run; and the balance of a customer with 100,000 entries
# beside one with 10.
#
#   bench/ledger.sh [SECONDS] [ROUNDS]
#
# Works in the database that PGDATABASE names, which needs the extension and is
# left with what the bench made: give it one of its own.
set -euo pipefail
SECONDS_EACH=${1:-5}
ROUNDS=${2:-3}
CUSTOMERS=1000
FOLDER=$(mktemp -d)
trap 'rm -rf "$FOLDER"' EXIT

psql -Xq -v ON_ERROR_STOP=1 <<SQL
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS bench CASCADE;
CREATE SCHEMA bench;
INSERT INTO retention.shop (shop_id, name) VALUES (1, 'bench') ON CONFLICT DO NOTHING;
INSERT INTO retention.customer (shop_id, customer_id)
SELECT 1, n::text FROM generate_series(1, $CUSTOMERS + 2) AS n ON CONFLICT DO NOTHING;
SELECT count(retention.grant(n::text, 1000000000, 'start', 'start')) FROM generate_series(1, $CUSTOMERS) AS n;

-- The same logic in plpgsql: lock, known reference, lots in order, entry, counters.
CREATE TABLE bench.stats (customer_id text PRIMARY KEY, posted bigint, held bigint, last_entry_no bigint) WITH (fillfactor = 80);
CREATE TABLE bench.entry (customer_id text, entry_no bigint, kind text, points bigint, effective_at timestamptz,
	posted_at timestamptz, reference text, allocations jsonb, request jsonb, PRIMARY KEY (customer_id, entry_no));
CREATE UNIQUE INDEX ON bench.entry (customer_id, reference);
CREATE TABLE bench.lot (customer_id text, entry_no bigint, accrued bigint, remaining bigint, is_open boolean,
	effective_at timestamptz, expires_at timestamptz, PRIMARY KEY (customer_id, entry_no)) WITH (fillfactor = 80);
CREATE INDEX ON bench.lot (customer_id, expires_at, effective_at, entry_no) WHERE is_open;
INSERT INTO bench.stats SELECT n::text, 1000000000, 0, 1 FROM generate_series(1, $CUSTOMERS) AS n;
INSERT INTO bench.entry SELECT n::text, 1, 'bonus', 1000000000, now(), now(), 'start', NULL, '{}' FROM generate_series(1, $CUSTOMERS) AS n;
INSERT INTO bench.lot SELECT n::text, 1, 1000000000, 1000000000, true, now(), NULL FROM generate_series(1, $CUSTOMERS) AS n;
ANALYZE bench.stats, bench.entry, bench.lot;

CREATE FUNCTION bench.redeem(who text, n bigint, ref text, OUT entry_no bigint, OUT balance bigint) LANGUAGE plpgsql AS \$\$
DECLARE
	s bench.stats;
	e record;
	l record;
	request jsonb := jsonb_build_object('operation', 'redeem', 'points', n);
	part bigint;
	remaining bigint := n;
	allocations jsonb := '[]';
BEGIN
	SELECT * INTO s FROM bench.stats WHERE customer_id = who FOR NO KEY UPDATE;
	SELECT x.entry_no, x.request INTO e FROM bench.entry x WHERE x.customer_id = who AND x.reference = ref;
	IF FOUND THEN
		IF e.request <> request THEN
			RAISE EXCEPTION 'reference already stands for another request';
		END IF;
		entry_no := e.entry_no;
		balance := s.posted - s.held;
		RETURN;
	END IF;
	IF s.posted - s.held < n THEN
		RAISE EXCEPTION 'too few points';
	END IF;
	FOR l IN
		SELECT x.entry_no, x.remaining FROM bench.lot x
		WHERE x.customer_id = who AND x.is_open AND (x.expires_at IS NULL OR x.expires_at > now())
		ORDER BY x.expires_at, x.effective_at, x.entry_no
	LOOP
		part := least(l.remaining, remaining);
		UPDATE bench.lot x SET remaining = x.remaining - part, is_open = x.remaining > part
		WHERE x.customer_id = who AND x.entry_no = l.entry_no;
		allocations := allocations || jsonb_build_array(jsonb_build_array(l.entry_no, -part));
		remaining := remaining - part;
		EXIT WHEN remaining = 0;
	END LOOP;
	entry_no := s.last_entry_no + 1;
	balance := s.posted - n - s.held;
	INSERT INTO bench.entry VALUES (who, entry_no, 'redemption', -n, now(), now(), ref, allocations, request);
	UPDATE bench.stats SET posted = posted - n, last_entry_no = last_entry_no + 1 WHERE customer_id = who;
END
\$\$;

CREATE FUNCTION bench.give(who text, n bigint, reason text, ref text, OUT entry_no bigint, OUT balance bigint) LANGUAGE plpgsql AS \$\$
DECLARE
	s bench.stats;
	e record;
	request jsonb := jsonb_build_object('operation', 'grant', 'points', n, 'reason', reason);
BEGIN
	SELECT * INTO s FROM bench.stats WHERE customer_id = who FOR NO KEY UPDATE;
	SELECT x.entry_no, x.request INTO e FROM bench.entry x WHERE x.customer_id = who AND x.reference = ref;
	IF FOUND THEN
		entry_no := e.entry_no;
		balance := s.posted - s.held;
		RETURN;
	END IF;
	entry_no := s.last_entry_no + 1;
	balance := s.posted + n - s.held;
	INSERT INTO bench.entry VALUES (who, entry_no, 'bonus', n, now(), now(), ref, NULL, request);
	INSERT INTO bench.lot VALUES (who, entry_no, n, n, true, now(), NULL);
	UPDATE bench.stats SET posted = posted + n, last_entry_no = last_entry_no + 1 WHERE customer_id = who;
END
\$\$;
CREATE SEQUENCE bench.reference;
SQL

who="\\set who random(1, $CUSTOMERS)"
printf '%s\n%s\n' "$who" "SELECT retention.redeem((:who)::text, 3, nextval('bench.reference')::text);" >"$FOLDER/redeem_c"
printf '%s\n%s\n' "$who" "SELECT bench.redeem((:who)::text, 3, nextval('bench.reference')::text);" >"$FOLDER/redeem_plpgsql"
printf '%s\n%s\n' "$who" "SELECT retention.grant((:who)::text, 3, 'bench', nextval('bench.reference')::text);" >"$FOLDER/grant_c"
printf '%s\n%s\n' "$who" "SELECT bench.give((:who)::text, 3, 'bench', nextval('bench.reference')::text);" >"$FOLDER/grant_plpgsql"

rate() { # SCRIPT CLIENTS
	PGOPTIONS='-c synchronous_commit=off' pgbench -n -M prepared -c "$2" -j "$2" -T "$SECONDS_EACH" -f "$FOLDER/$1" |
		sed -n 's/^tps = \([0-9]*\).*/\1/p'
}
median() { sort -n | sed -n "$(((ROUNDS + 1) / 2))p"; }

printf '%-12s %8s %12s %12s %8s\n' operation clients 'C a second' 'plpgsql' ratio
for clients in 1 4; do
	for what in redeem grant; do
		: >"$FOLDER/c"; : >"$FOLDER/p"
		for ((round = 0; round < ROUNDS; round++)); do
			rate "${what}_c" "$clients" >>"$FOLDER/c"
			rate "${what}_plpgsql" "$clients" >>"$FOLDER/p"
		done
		c=$(median <"$FOLDER/c") p=$(median <"$FOLDER/p")
		printf '%-12s %8s %12s %12s %8s\n' "$what" "$clients" "$c" "$p" "$(echo "scale=2; $c / $p" | bc 2>/dev/null || awk "BEGIN { printf \"%.2f\", $c / $p }")"
	done
done

# A customer with 100,000 entries, half of them open lots, beside one with 10.
many=$((CUSTOMERS + 1)) few=$((CUSTOMERS + 2))
psql -Xq -v ON_ERROR_STOP=1 <<SQL
SET synchronous_commit = off;
DO \$\$
BEGIN
	FOR i IN 1..1000 LOOP
		PERFORM retention.grant('$many', 1000, 'bench', 'many ' || i || ' ' || n, expires_at => now() + n * interval '1 day') FROM generate_series(1, 100) AS n;
		COMMIT;
	END LOOP;
	PERFORM retention.grant('$few', 1000000, 'bench', 'few ' || n, expires_at => now() + n * interval '1 day') FROM generate_series(1, 10) AS n;
END
\$\$;
VACUUM ANALYZE retention.points_lot, retention.customer_stats, retention.points_entry;
SQL
for who in "$few" "$many"; do
	echo "SELECT retention.points_balance('$who');" >"$FOLDER/balance"
	echo "SELECT retention.redeem('$who', 1, nextval('bench.reference')::text);" >"$FOLDER/redeem"
	printf 'customer with %7s entries: %6s balances a second, %6s redemptions a second\n' \
		"$(psql -XAtc "SELECT last_entry_no FROM retention.customer_stats WHERE customer_id = '$who'")" \
		"$(rate balance 1)" "$(rate redeem 1)"
done
psql -XAtc "SELECT 'check_ledger() shows ' || count(*) || ' rows' FROM retention.check_ledger()"
