#!/bin/bash
# How quick a forecast is fitted: BG/NBD over simulated customers, in the
# database and in plain Python with numpy and scipy (python3-scipy of Debian),
# in one run.  Fails when the two find different parameters.  Python's time is
# without reading the data, ours with scanning the table.
#
#   bash bench/forecast.sh [CUSTOMERS [REPETITIONS]]     default 1000000 and 3
. "$(dirname "${BASH_SOURCE[0]}")/../test/private_cluster.sh"

CUSTOMERS=${1:-1000000}
REPETITIONS=${2:-3}
[[ $CUSTOMERS =~ ^[1-9][0-9]{2,7}$ && $REPETITIONS =~ ^[1-9][0-9]?$ ]] ||
	die "usage: bash bench/forecast.sh [CUSTOMERS [REPETITIONS]]"

require_postgresql
PYTHON=$(for p in /usr/bin/python3 python3; do "$p" -c 'import numpy, scipy.optimize' 2>/dev/null && echo "$p" && break; done)
[ -n "$PYTHON" ] || die "Python with numpy and scipy is compared with: install python3-scipy"
make_folder retention-bench
trap 'remove_folder "$FOLDER"' EXIT
trap 'exit 130' INT TERM
copy_source "$FOLDER/source"
install_stage "$FOLDER/source" >/dev/null || die "the build failed"
start_cluster "shared_buffers = '512MB'" "max_wal_size = '4GB'" "jit = off"

sql() {
	"$BINDIR/psql" -X -q -d postgres -v ON_ERROR_STOP=1 "$@"
}

# The median of the numbers on standard input.
median() {
	sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# seconds PROCESSES QUERY: the median over the repetitions
seconds() {
	local i

	for ((i = 0; i < REPETITIONS; i++)); do
		sql -c "SET max_parallel_workers_per_gather = $(($1 - 1))" -c '\timing on' -c "$2" |
			sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' | awk '{ print $1 / 1000 }'
	done | median
}

echo "Simulating $CUSTOMERS customers"
"$PYTHON" "$ROOT/bench/forecast.py" make "$CUSTOMERS" "$FOLDER/customers.csv" || die "Python could not simulate"
sql <<SQL
CREATE EXTENSION retention;
CREATE TABLE to_the_second (frequency double precision, recency double precision, age double precision);
\copy to_the_second FROM '$FOLDER/customers.csv' WITH (FORMAT csv)
CREATE TABLE to_the_day AS
	SELECT frequency, round(recency * 7) / 7 AS recency, round(age * 7) / 7 AS age FROM to_the_second;
VACUUM (ANALYZE) to_the_second;
VACUUM (ANALYZE) to_the_day;
SQL

fit='SELECT retention.bgnbd_fit(frequency, recency, age) FROM'
ours=$(sql -At -F ' ' -c "SELECT round((f).r::numeric, 4), round((f).alpha::numeric, 4), round((f).a::numeric, 4), round((f).b::numeric, 4) FROM ($fit to_the_second) AS t (f)")
python=$(for ((i = 0; i < REPETITIONS; i++)); do "$PYTHON" "$ROOT/bench/forecast.py" fit "$FOLDER/customers.csv"; done)
theirs=$(head -n 1 <<<"$python" | cut -d ' ' -f 2-)
plain=$(cut -d ' ' -f 1 <<<"$python" | median)

printf '\n%-52s %10s %8s\n' "BG/NBD, $CUSTOMERS customers; medians of $REPETITIONS" seconds times
row() {
	printf '%-52s %10.2f %8.1f\n' "$1" "$2" "$(awk "BEGIN { print $plain / $2 }")"
}
row "Python: numpy and scipy" "$plain"
row "bgnbd_fit, times to the second, one process" "$(seconds 1 "$fit to_the_second")"
row "bgnbd_fit, times to the second, two processes" "$(seconds 2 "$fit to_the_second")"
row "bgnbd_fit, times to the day, one process" "$(seconds 1 "$fit to_the_day")"
row "p_alive of every customer, one process" \
	"$(seconds 1 'SELECT sum(retention.p_alive(retention.bgnbd(.25, 4.5, .8, 2.4), frequency, recency, age)) FROM to_the_second')"
row "expected_purchases in a year, one process" \
	"$(seconds 1 'SELECT sum(retention.expected_purchases(retention.bgnbd(.25, 4.5, .8, 2.4), frequency, recency, age, 52)) FROM to_the_second')"
printf '\nr, alpha, a, b: %s here, %s in Python; simulated with 0.25 4.5 0.8 2.4\n' "$ours" "$theirs"
paste <(tr ' ' '\n' <<<"$ours") <(tr ' ' '\n' <<<"$theirs") |
	awk '{ if ($1 / $2 > 1.002 || $1 / $2 < 0.998) exit 1 }' || die "the two differ"
