#!/bin/bash
# Runs all tests, or those named (patterns such as 'real_*' will do), against a
# private PostgreSQL.  Installs what is missing by apt.  The last line is
# "N passed, N failed", with ", N skipped" when some were.
#
#   bash test/run.sh [NAME...]
#
# Only by its full name runs: medusa, whose npm packages are many.
#
# RETENTION_DATA  folder of the real data sets (default: ../shared/data beside
#                 the repository); without them the tests named real_* are skipped
# RETENTION_FROM  a released version: the regression tests then run on objects
#                 that were updated from it (see docs/release.md)
# PG_CONFIG       the PostgreSQL to test with
# LANES=1         one test at a time; by default two where there are two cores
# KEEP=1          keep the private folder when a test failed
# NO_APT=1        install nothing: tests that lack a package are skipped
. "$(dirname "${BASH_SOURCE[0]}")/private_cluster.sh"
. "$ROOT/test/npm_tests.sh"
. "$ROOT/test/docs_tests.sh"

NAMES=("$@")
CALLED_FROM=$PWD
LANES=${LANES:-$(nproc)}
DIFF_LINES=200

# PostgreSQL's own flags are meant for gcc; PostgreSQL's headers are not ours to judge
CLANG_FLAGS="-Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -Werror"
CLANG_FLAGS+=" -Wno-unknown-warning-option -Wno-unused-command-line-argument -Wno-ignored-optimization-argument"

# ---------------------------------------------------------------------------
# Which tests
# ---------------------------------------------------------------------------

# Names of the files NAME.ext in a folder of the repository, sorted bytewise.
tests_in() {
	local f

	for f in "$ROOT/$1"/*."$2"; do
		[ ! -e "$f" ] || basename "$f" ".$2"
	done
}

# wanted NAME: was it asked for, by name or pattern, or were all?
wanted() {
	local pattern

	[ ${#NAMES[@]} -gt 0 ] || return 0
	for pattern in "${NAMES[@]}"; do
		# shellcheck disable=SC2053
		[[ $1 != $pattern ]] || return 0
	done
	return 1
}

wanted_of() {
	local name

	for name in "$@"; do
		! wanted "$name" || echo "$name"
	done
}

# named NAME...: those asked for by their full names, and never else
named() {
	local name asked

	for name in "$@"; do
		for asked in "${NAMES[@]}"; do
			[ "$asked" != "$name" ] || echo "$name"
		done
	done
}

# ---------------------------------------------------------------------------
# Counting
# ---------------------------------------------------------------------------

now_ms() {
	local t=${EPOCHREALTIME/[.,]/}

	echo $((t / 1000))
}

# result ok|FAILED|skipped NAME [MILLISECONDS] [WHY]
result() {
	local seconds=

	echo "$1" >>"$FOLDER/results"
	[ -z "${3:-}" ] || seconds=$(printf '%d.%01d s' $((${3%%.*} / 1000)) $((${3%%.*} % 1000 / 100)))
	printf '%-8s %-32s %8s%s\n' "$1" "$2" "$seconds" "${4:+  $4}"
}

# show FILE [OFFSET]: what a failed test left to read
show() {
	tail -c +$((${2:-0} + 1)) "$1" 2>/dev/null | head -n $DIFF_LINES | sed 's/^/    /'
}

# timed NAME LOG COMMAND...: one test, judged by its exit status (77: skipped)
timed() {
	local name=$1 log=$2 start status

	shift 2
	start=$(now_ms)
	"$@" >"$log" 2>&1 </dev/null
	status=$?
	case $status in
		0) result ok "$name" $(($(now_ms) - start)) ;;
		77) result skipped "$name" $(($(now_ms) - start)) "$(tail -n 1 "$log")" ;;
		*)
			result FAILED "$name" $(($(now_ms) - start)) "exit status $status"
			show "$log"
			return 1
			;;
	esac
}

# suite TITLE NAME...: a heading, when there is anything below it
suite() {
	[ $# -eq 1 ] || printf '\n# %s\n' "$1"
}

# regress_suite REGRESS|ISOLATION NAME...: pg_regress runs them, we count.
# Its lines are "test NAME ... ok 12 ms" up to 15, TAP from 16 on.
regress_suite() {
	local kind=$1 tests=("${@:2}") other=REGRESS name status ms why line
	local diffs=$FOLDER/src/regression.diffs offset=0
	local -A seen=()

	[ ${#tests[@]} -gt 0 ] || return 0
	[ "$kind" = ISOLATION ] || other=ISOLATION
	for name in "${tests[@]}"; do
		# pg_regress gives up at a missing expected file; an empty one shows the output
		as_server bash -c '[ -e "$1" ] || : >"$1"' - "$FOLDER/src/expected/$name.out"
	done
	as_server rm -f "$diffs"
	while IFS= read -r line; do
		printf '%s\n' "$line" >>"$FOLDER/$kind.log"
		case $line in
			'test '*'... '*)
				name=${line#test }
				name=${name%% *}
				line=${line#*... }
				case $line in
					ok*) status=ok ;;
					*) status=FAILED ;;
				esac
				;;
			'ok '*' - '* | 'not ok '*' - '*)
				status=ok
				[[ $line == ok* ]] || status=FAILED
				line=${line#* - }
				name=${line%% *}
				line=${line#"$name"}
				;;
			*) continue ;;
		esac
		ms=$(sed -n 's/.*[^0-9.]\([0-9][0-9.]*\) ms.*/\1/p' <<<" $line")
		why=$(sed -n 's/.*(\(test process [^)]*\)).*/\1/p' <<<"$line")
		seen[$name]=1
		result "$status" "$name" "$ms" "$why"
		if [ $status = FAILED ]; then
			show "$diffs" $offset
			offset=$(stat -c %s "$diffs" 2>/dev/null || echo 0)
		fi
	done < <(pg_make -C "$FOLDER/src" installcheck "$kind=${tests[*]}" "$other=" TAP_TESTS= 2>&1)
	why=
	for name in "${tests[@]}"; do
		if [ -z "${seen[$name]:-}" ]; then
			result FAILED "$name" "" "did not run"
			why=yes
		fi
	done
	[ -z "$why" ] || show "$FOLDER/$kind.log"
}

# count ok|FAILED|skipped: how many results there were, of both lanes
count() {
	grep -cx "$1" "$FOLDER/results"
}

finish() {
	local passed failed skipped

	passed=$(count ok)
	failed=$(count FAILED)
	skipped=$(count skipped)
	printf '\n'
	if [ "$skipped" -gt 0 ]; then
		echo "$passed passed, $failed failed, $skipped skipped"
	else
		echo "$passed passed, $failed failed"
	fi
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
	exit
}

clean_up() {
	local status=$?

	trap - EXIT
	end_second_lane
	if [ -n "${FOLDER:-}" ]; then
		if [ "${KEEP:-0}" = 1 ] && [ $status -ne 0 ]; then
			stop_servers "$FOLDER"
			say "kept: $FOLDER"
		else
			remove_folder "$FOLDER"
		fi
	fi
	exit $status
}

# ---------------------------------------------------------------------------
# Demo tests
# ---------------------------------------------------------------------------

# demo_test LOG-NAME SECTION... -- ARGUMENT...: the demo exits 0, prints these
# and leaves nothing behind
demo_test() {
	local output=$FOLDER/$1.demo sections=() section left

	shift
	while [ "$1" != -- ]; do
		sections+=("$1")
		shift
	done
	shift
	# from a path with a space, as a checkout may have
	TMPDIR=$FOLDER PG_CONFIG=$BINDIR/pg_config \
		bash "$FOLDER/with a space/examples/demo.sh" --stop "$@" 2>&1 | tee "$output"
	[ "${PIPESTATUS[0]}" -eq 0 ] || return 1
	for section in "${sections[@]}"; do
		grep -qF -- "$section" "$output" || { echo "missing in the output: $section"; return 1; }
	done
	left=$(sed -n 's/^Private folder: //p' "$output")
	[ -n "$left" ] && [ ! -e "$left" ] || { echo "not removed: $left"; return 1; }
}

DEMO_SECTIONS=('100%' 'Customer groups' 'RFM segments' 'Tiers' 'Repurchase by month'
	'Cohorts' 'Points' 'One order' 'partly refunded')

# ---------------------------------------------------------------------------
# TAP tests
# ---------------------------------------------------------------------------

# tap_test NAME: skipped when the test says so of itself
tap_test() {
	local output=$FOLDER/$1.tap

	# PostgreSQL's own test library takes LC_ALL away: LANG says how nodes are encoded
	as_server env -u PGHOST -u PGPORT -u PGUSER -C "$FOLDER/src" LANG=C.UTF-8 \
		PATH="$BINDIR:$PATH" TESTDIR="$FOLDER/tap/$1" TESTDATADIR="$FOLDER/tap/$1" \
		TESTLOGDIR="$FOLDER/tap/$1" PG_TEST_PORT_DIR="$FOLDER/tap/ports" \
		top_builddir="$FOLDER" PG_REGRESS="$PGXS_SRC/test/regress/pg_regress" \
		PGPORT=65432 RETENTION_STAGE="$STAGE" RETENTION_SETTINGS="$(stage_settings)" \
		RETENTION_RELEASES="$FOLDER/releases" \
		prove --verbose -I "$PGXS_SRC/test/perl" -I test/t "test/t/$1.pl" 2>&1 | tee "$output"
	[ "${PIPESTATUS[0]}" -eq 0 ] || return 1
	! grep -q '^Result: NOTESTS' "$output" || { sed -n 's/.*skipped: //p' "$output"; return 77; }
}

# ---------------------------------------------------------------------------
# Releases
# ---------------------------------------------------------------------------

# unpack_releases: what the repository has tagged as v1.2.3 goes to
# $FOLDER/releases, and its SQL to the stage, to be updated from.
unpack_releases() {
	local git=(git -C "$ROOT" -c "safe.directory=*") extensions tag folder

	extensions=$STAGE$("$BINDIR/pg_config" --sharedir)/extension
	as_server mkdir -p "$FOLDER/releases"
	have git || return 0
	for tag in $("${git[@]}" tag -l 'v[0-9]*' 2>/dev/null); do
		folder=$FOLDER/releases/${tag#v}
		as_server mkdir "$folder"
		"${git[@]}" archive "$tag" | as_server tar -C "$folder" -xf - || die "cannot unpack $tag"
		[ -e "$extensions/retention--${tag#v}.sql" ] || {
			pg_make -s -C "$folder" "retention--${tag#v}.sql" &&
				as_server cp "$folder/retention--${tag#v}.sql" "$extensions/"
		} || die "cannot make the SQL of $tag"
	done
}

# ---------------------------------------------------------------------------
# The groups
# ---------------------------------------------------------------------------

regress_tests() {
	local name tests=()

	suite 'pg_regress' "${REGRESS[@]}"
	for name in "${REGRESS[@]}"; do
		if [[ $name == real_* && -n ${NO_DATA:-} ]]; then
			result skipped "$name" "" "$NO_DATA"
		else
			tests+=("$name")
		fi
	done
	regress_suite REGRESS "${tests[@]}"
}

docs_tests() {
	local name

	for name in "${DOCS[@]}"; do
		timed "$name" "$FOLDER/$name.log" "$name"
	done
}

isolation_tests() {
	local name

	suite 'isolation' "${SPECS[@]}"
	if [ -x "$PGXS_SRC/test/isolation/pg_isolation_regress" ]; then
		regress_suite ISOLATION "${SPECS[@]}"
	else
		for name in "${SPECS[@]}"; do
			result skipped "$name" "" "this PostgreSQL comes without the isolation tester"
		done
	fi
}

tap_tests() {
	local name

	suite 'TAP' "${TAP[@]}"
	for name in "${TAP[@]}"; do
		if [[ $name == real_* && -n ${NO_DATA:-} ]]; then
			result skipped "$name" "" "$NO_DATA"
		elif ! perl -MIPC::Run -e 1 2>/dev/null; then
			result skipped "$name" "" "no IPC::Run (libipc-run-perl)"
		else
			# every test has a folder of its own, for its nodes, ports and logs
			as_server mkdir -p "$FOLDER/tap/$name"
			timed "$name" "$FOLDER/$name.log" tap_test "$name" ||
				show "$FOLDER/tap/$name/log/regress_log_$name"
		fi
	done
}

client_tests() {
	local name

	suite 'client programs' "${CLIENTS[@]}"
	if [ ${#CLIENTS[@]} -gt 0 ]; then
		"$BINDIR/psql" -X -q -d postgres -c 'CREATE DATABASE client'
		"$BINDIR/psql" -X -q -d client -c 'CREATE EXTENSION retention'
	fi
	for name in "${CLIENTS[@]}"; do
		cat >"$FOLDER/client.sh" <<-'SCRIPT'
			gcc -Wall -Wextra -Werror -I"$("$1" --includedir)" "$2.c" -o "$3" -L"$("$1" --libdir)" -lpq -lm && "$3"
		SCRIPT
		timed "$name" "$FOLDER/$name.log" as_server env PGDATABASE=client bash "$FOLDER/client.sh" \
			"$BINDIR/pg_config" "$FOLDER/src/test/client/$name" "$FOLDER/$name.client"
	done
}

# a part of what test/fuzz.sh does before a release, lest it no longer can
hostile_inputs() {
	local name

	suite 'hostile inputs' "${FUZZ[@]}"
	for name in "${FUZZ[@]}"; do
		timed "$name" "$FOLDER/$name.log" env PG_CONFIG="$BINDIR/pg_config" TMPDIR="$FOLDER" \
			bash "$ROOT/test/fuzz.sh" --encoding 50000
	done
}

shop_tests() {
	local name

	suite 'real shops' "${SHOPS[@]}"
	for name in "${SHOPS[@]}"; do
		if have npm && have node; then
			timed "$name" "$FOLDER/$name.log" live_shop "$name"
		else
			result skipped "$name" "" "no npm to install the shop with"
		fi
	done
}

demo_tests() {
	local name

	suite 'demo' "${DEMOS[@]}"
	if [ ${#DEMOS[@]} -gt 0 ]; then
		copy_source "$FOLDER/with a space"
	fi
	for name in "${DEMOS[@]}"; do
		case $name in
			demo_generated)
				timed "$name" "$FOLDER/$name.log" demo_test "$name" "${DEMO_SECTIONS[@]}" -- --orders 2000
				;;
			demo_cdnow)
				if [ -n "${NO_DATA:-}" ]; then
					result skipped "$name" "" "$NO_DATA"
				else
					RETENTION_STAGE=$STAGE timed "$name" "$FOLDER/$name.log" demo_test "$name" "${DEMO_SECTIONS[@]}" -- "$RETENTION_DATA/cdnow.csv.gz"
				fi
				;;
			dashboard)
				if ! have npm || ! have node; then
					result skipped "$name" "" "no npm to install it with"
				elif ! have "${CHROMIUM:-chromium}"; then
					result skipped "$name" "" "no chromium to look at it with"
				else
					timed "$name" "$FOLDER/$name.log" dashboard_test
				fi
				;;
		esac
	done
}

# ---------------------------------------------------------------------------
# The lanes
# ---------------------------------------------------------------------------

# Most tests use one core, so two run at once.  Each lane has a cluster of its
# own, for roles are shared by all databases of one.
first_lane() {
	regress_tests
	docs_tests
	isolation_tests
}

second_lane() {
	local -x PGHOST=$FOLDER/second

	as_server mkdir "$PGHOST"
	(FOLDER=$PGHOST && start_cluster) || exit
	tap_tests
	client_tests
	hostile_inputs
	shop_tests
	demo_tests
	true
}

# A process group of its own, so that it can be ended whole.
start_second_lane() {
	set -m
	second_lane >"$FOLDER/second.log" 2>&1 </dev/null &
	LANE=$!
	set +m
}

# Prints what it has and then what it does.  In the background, for a trap waits
# until the foreground is done.
join_second_lane() {
	tail -n +1 -f -s 0.2 --pid="$LANE" "$FOLDER/second.log" &
	wait $!
	wait "$LANE" || result FAILED 'second lane' "" "it did not come to its end"
	LANE=
}

# Tests that are told to end stop their own servers: a moment for that.
end_second_lane() {
	local i

	[ -n "${LANE:-}" ] || return 0
	kill -TERM -- "-$LANE" 2>/dev/null
	for ((i = 0; i < 100; i++)); do
		kill -0 -- "-$LANE" 2>/dev/null || return 0
		sleep 0.1
	done
}

# ---------------------------------------------------------------------------
# The run
# ---------------------------------------------------------------------------

REGRESS=($(wanted_of $(tests_in test/sql sql)))
SPECS=($(wanted_of $(tests_in test/specs spec)))
TAP=($(wanted_of $(tests_in test/t pl)))
CLIENTS=($(wanted_of $(tests_in test/client c)))
CHECKS=($(wanted_of build_gcc build_clang))
FUZZ=($(wanted_of encoding_fuzz))
DOCS=($(wanted_of docs_reference docs_how_to))
DEMOS=($(wanted_of demo_generated demo_cdnow dashboard))
SHOPS=($(wanted_of node_postgres vendure) $(named medusa))
if [ $((${#REGRESS[@]} + ${#SPECS[@]} + ${#TAP[@]} + ${#CLIENTS[@]} + ${#CHECKS[@]} + ${#DEMOS[@]} + ${#SHOPS[@]} + ${#DOCS[@]} + ${#FUZZ[@]})) -eq 0 ]; then
	die "no test is named ${NAMES[*]}"
fi

require_postgresql test
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
make_folder retention-test
: >"$FOLDER/results"
PGXS_SRC=$(cd "$(dirname "$("$BINDIR/pg_config" --pgxs)")/.." && pwd)

RETENTION_DATA=${RETENTION_DATA:-$ROOT/../shared/data}
case $RETENTION_DATA in
	/*) ;;
	*) RETENTION_DATA=$CALLED_FROM/$RETENTION_DATA ;;
esac
if [ -f "$RETENTION_DATA/cdnow.csv.gz" ]; then
	RETENTION_DATA=$(cd "$RETENTION_DATA" && pwd)
	if ! as_server test -r "$RETENTION_DATA/cdnow.csv.gz"; then
		# the server's user may not look there
		as_server mkdir "$FOLDER/data-sets"
		tar -C "$RETENTION_DATA" -cf - . | as_server tar -C "$FOLDER/data-sets" -xf -
		RETENTION_DATA=$FOLDER/data-sets
	fi
	export RETENTION_DATA
else
	NO_DATA="no real data: set RETENTION_DATA to the folder with cdnow.csv.gz"
	unset RETENTION_DATA
fi

echo "# retention on $("$BINDIR/postgres" --version), $(id -un)${SERVER_USER:+, server as $SERVER_USER}"
suite build "${CHECKS[@]}"
copy_source "$FOLDER/src"
start=$(now_ms)
if pg_make -s -C "$FOLDER/src" COPT=-Werror >"$FOLDER/build.log" 2>&1 &&
	install_stage "$FOLDER/src" >>"$FOLDER/build.log" 2>&1; then
	! wanted build_gcc || result ok build_gcc $(($(now_ms) - start))
else
	result FAILED build_gcc $(($(now_ms) - start)) "warnings are errors"
	show "$FOLDER/build.log"
	finish
fi

unpack_releases

if wanted build_clang; then
	CLANG=$(find_clang)
	if [ -n "$CLANG" ]; then
		copy_source "$FOLDER/clang"
		objects=$(cd "$FOLDER/clang" && printf '%s\n' src/*.c | sed 's/c$/o/')
		# shellcheck disable=SC2086
		timed build_clang "$FOLDER/clang.log" pg_make -s -C "$FOLDER/clang" with_llvm=no CC="$CLANG" \
			COPT="-isystem $("$BINDIR/pg_config" --includedir-server) $CLANG_FLAGS" $objects
	else
		result skipped build_clang "" "no clang"
	fi
fi

start_cluster
if [ "$LANES" -gt 1 ]; then
	start_second_lane
	first_lane
	join_second_lane
else
	first_lane
	second_lane
fi
finish
