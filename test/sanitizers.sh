#!/bin/bash
# Runs the tests of pg_regress where mistakes with memory are found:
#
#   bash test/sanitizers.sh asan [TEST...]       our library built with AddressSanitizer and
#                                                UndefinedBehaviorSanitizer; fails unless a
#                                                deliberate over-read is found
#   bash test/sanitizers.sh assert [TEST...]     without them; the tests of DISCARD_TESTS again
#                                                with debug_discard_caches = 1
#   bash test/sanitizers.sh valgrind [TEST...]   under valgrind, with PostgreSQL's suppressions
#
# The server has assertions and is built from Debian's source package, once, in
# SERVER_CACHE (default ~/.cache/retention-server; for root, into whose home the
# server's user may not look, /var/cache/retention-server): five minutes, 1 GB.
# (Debian's own server hangs at its start when libasan is loaded before it.)
#
# SERVER_SOURCE  an unpacked source tree of PostgreSQL to build instead
# RETENTION_DATA as for test/run.sh; without it the tests named real_* are left out
. "$(dirname "${BASH_SOURCE[0]}")/private_cluster.sh"

MODE=${1:-}
case $MODE in
	asan | assert | valgrind) shift ;;
	*) die "usage: bash test/sanitizers.sh asan|assert|valgrind [TEST...]" ;;
esac
TESTS=("$@")
if [ "$(id -u)" -eq 0 ]; then
	SERVER_CACHE=${SERVER_CACHE:-/var/cache/retention-server}
else
	SERVER_CACHE=${SERVER_CACHE:-$HOME/.cache/retention-server}
fi
DISCARD_TESTS=${DISCARD_TESTS:-attach_orders attach_errors settings refunds condition template}

# Where there is much to ask of memory; the rest takes valgrind hours.
[ "$MODE" != valgrind ] || [ ${#TESTS[@]} -gt 0 ] ||
	TESTS=(purchase_history history_aggregates repurchase_rate forecast rfm hostile_input attach_orders refunds)

clean_up() {
	local status=$?

	trap - EXIT
	if [ -n "${FOLDER:-}" ]; then
		if [ "${KEEP:-0}" = 1 ]; then
			stop_servers "$FOLDER"
			say "kept: $FOLDER"
		else
			remove_folder "$FOLDER"
		fi
	fi
	exit $status
}

# ---------------------------------------------------------------------------
# A server of our own
# ---------------------------------------------------------------------------

# Prints the folder of PostgreSQL's sources; Debian's package where none is given.
server_source() {
	local lists=$SERVER_CACHE/apt options version

	if [ -n "${SERVER_SOURCE:-}" ]; then
		echo "$SERVER_SOURCE"
		return
	fi
	if ! ls -d "$SERVER_CACHE"/postgresql-*/ >/dev/null 2>&1; then
		# with an apt of its own: the machine's lists stay as they are
		mkdir -p "$lists/lists/partial" "$lists/cache/archives/partial"
		# shellcheck disable=SC1091
		version=$(. /etc/os-release && echo "$VERSION_CODENAME")
		printf 'deb-src http://deb.debian.org/%s main\n' "debian $version" "debian-security $version-security" >"$lists/sources.list"
		options=(-o "Dir::Etc::SourceList=$lists/sources.list" -o Dir::Etc::SourceParts=/dev/null
			-o "Dir::State::Lists=$lists/lists" -o "Dir::Cache=$lists/cache")
		version=$("$BINDIR/pg_config" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
		(
			cd "$SERVER_CACHE" && apt-get "${options[@]}" -q update &&
				# the newest is not always on the mirror yet
				for one in $(apt-cache "${options[@]}" showsrc "postgresql-$version" | sed -n 's/^Version: //p' | sort -rV); do
					apt-get "${options[@]}" -q --download-only source "postgresql-$version=$one" && break
				done &&
				tar -xf "postgresql-$version"_*.orig.tar.*
		) >&2 || die "no sources of PostgreSQL $version: set SERVER_SOURCE"
	fi
	ls -d "$SERVER_CACHE"/postgresql-*/ | sed 's,/$,,' | tail -n 1
}

# Builds it with assertions and valgrind's marks; what is there already is used.
build_server() {
	local source options=()

	mkdir -p "$SERVER_CACHE"
	source=$(server_source) || exit 1
	SUPPRESSIONS=$source/src/tools/valgrind.supp
	if [ ! -x "$SERVER_CACHE/server/bin/postgres" ]; then
		say "building PostgreSQL with assertions in $SERVER_CACHE"
		[ -e /usr/include/unicode/ucol.h ] && options+=(--with-icu)
		[ -e /usr/include/libxml2/libxml/parser.h ] && options+=(--with-libxml)
		[ -e /usr/include/valgrind/memcheck.h ] && options+=(CPPFLAGS=-DUSE_VALGRIND)
		(
			cd "$source" &&
				./configure --prefix="$SERVER_CACHE/server" --enable-cassert --enable-debug --without-readline \
					CFLAGS="-O1 -g -fno-omit-frame-pointer" "${options[@]}" &&
				make -s -j "$(nproc)" && make -s install && make -s -C src/test/isolation install
		) >"$SERVER_CACHE/build.log" 2>&1 || { tail -n 20 "$SERVER_CACHE/build.log" >&2; die "PostgreSQL was not built"; }
		chmod -R a+rX "$SERVER_CACHE"
	fi
	# the extension is installed there by the server's user
	[ -z "$SERVER_USER" ] || chown -R "$SERVER_USER" "$SERVER_CACHE/server"
	BINDIR=$SERVER_CACHE/server/bin
	as_server test -x "$BINDIR/postgres" || die "the server's user may not look into $SERVER_CACHE: set SERVER_CACHE"
}

# ---------------------------------------------------------------------------
# Running tests
# ---------------------------------------------------------------------------

# run_regress TEST...: what failed is shown; the server's words are judged by the caller
run_regress() {
	local log=$FOLDER/regress.log status=0

	pg_make -s -C "$FOLDER/src" with_llvm=no installcheck ISOLATION= TAP_TESTS= REGRESS="$*" >"$log" 2>&1 || status=1
	grep -E '^(not )?ok |^test ' "$log" || cat "$log"
	[ $status -eq 0 ] || head -n 200 "$FOLDER/src/regression.diffs" 2>/dev/null
	return $status
}

all_tests() {
	local name

	for name in "$FOLDER"/src/test/sql/*.sql; do
		name=$(basename "$name" .sql)
		[[ $name == real_* && -z ${RETENTION_DATA:-} ]] || echo "$name"
	done
}

wait_for_server() {
	local i

	for i in $(seq 120); do
		! "$BINDIR/pg_isready" -q || return 0
		sleep 1
	done
	die "the server did not start"
}

# From the end of start.sql to the next CREATE EXTENSION, which would take an hour, caches are discarded.
discard_after_start() {
	as_server tee "$FOLDER/discard.sql" >/dev/null <<-'SQL'
		SET client_min_messages = warning;
		CREATE OR REPLACE FUNCTION public.keep_caches() RETURNS event_trigger LANGUAGE plpgsql AS $$
		BEGIN
			PERFORM set_config('debug_discard_caches', '0', false);
		END
		$$;
		DROP EVENT TRIGGER IF EXISTS keep_caches;
		CREATE EVENT TRIGGER keep_caches ON ddl_command_start WHEN TAG IN ('CREATE EXTENSION', 'DROP EXTENSION') EXECUTE FUNCTION public.keep_caches();
		RESET client_min_messages;
		SET debug_discard_caches = 1;
	SQL
	as_server sed -i "/^RESET client_min_messages;/r $FOLDER/discard.sql" "$FOLDER/src/test/include/start.sql"
}

# nothing_in_log PATTERN: what a sanitizer or an assertion said fails the run
nothing_in_log() {
	grep -hE -A 30 "$1" "$FOLDER"/server.log "$FOLDER"/report.* 2>/dev/null >"$FOLDER/found"
	head -n 120 "$FOLDER/found"
	[ ! -s "$FOLDER/found" ]
}

with_asan() {
	local asan flags="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g -O1"

	asan=$(gcc -print-file-name=libasan.so)
	asan=$(readlink -f "$asan")
	[ -r "$asan" ] || die "gcc has no libasan"

	# Reads one byte beyond what it allocated.
	as_server mkdir "$FOLDER/over_read"
	as_server tee "$FOLDER/over_read/over_read.c" >/dev/null <<-'SOURCE'
		#include "postgres.h"
		#include "fmgr.h"
		PG_MODULE_MAGIC;
		PG_FUNCTION_INFO_V1(over_read);
		Datum
		over_read(PG_FUNCTION_ARGS)
		{
			char		stack[8] = {0};
			char	   *volatile start = stack;

			PG_RETURN_INT32(start[8 + PG_GETARG_INT32(0)]);
		}
	SOURCE
	# shellcheck disable=SC2086
	as_server gcc $flags -fPIC -shared -I"$("$BINDIR/pg_config" --includedir-server)" \
		-o "$FOLDER/over_read/over_read.so" "$FOLDER/over_read/over_read.c" || die "cannot build with $flags"

	build_and_install COPT="$flags" SHLIB_LINK="-llbfgs $flags"

	# The server is not built with it: the library comes first, and leaks are
	# what PostgreSQL's contexts are for.
	start_cluster "max_prepared_transactions = 5"
	as_server "$BINDIR/pg_ctl" -D "$FOLDER/data" -s -w stop </dev/null
	as_server env LD_PRELOAD="$asan" \
		ASAN_OPTIONS="detect_leaks=0:abort_on_error=1:verify_asan_link_order=0:log_path=$FOLDER/report.asan" \
		UBSAN_OPTIONS="print_stacktrace=1:log_path=$FOLDER/report.ubsan" \
		"$BINDIR/postgres" -D "$FOLDER/data" >>"$FOLDER/server.log" 2>&1 </dev/null &
	wait_for_server

	"$BINDIR/psql" -X -q -d postgres -c "CREATE FUNCTION over_read(integer) RETURNS integer LANGUAGE c AS '$FOLDER/over_read/over_read.so'" \
		-c 'SELECT over_read(0)' >/dev/null 2>&1
	grep -qs 'stack-buffer-overflow' "$FOLDER"/report.* "$FOLDER/server.log" || die "the deliberate over-read was not found"
	echo "ok  a deliberate over-read is found"
	rm -f "$FOLDER"/report.*
	as_server truncate -s 0 "$FOLDER/server.log"
	sleep 1
	wait_for_server

	run_regress "${TESTS[@]}"
	STATUS=$?
	nothing_in_log 'ERROR: AddressSanitizer|runtime error:' || STATUS=1
}

build_and_install() {
	# installed where it looks by itself
	stage_settings() { :; }
	pg_make -s -C "$FOLDER/src" with_llvm=no "$@" >"$FOLDER/build.log" 2>&1 &&
		pg_make -s -C "$FOLDER/src" with_llvm=no "$@" install >>"$FOLDER/build.log" 2>&1 ||
		{ cat "$FOLDER/build.log"; die "not built"; }
}

# ---------------------------------------------------------------------------
# The run
# ---------------------------------------------------------------------------

require_postgresql test
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
make_folder retention-sanitizers
copy_source "$FOLDER/src"
RETENTION_DATA=${RETENTION_DATA:-}
[ ${#TESTS[@]} -gt 0 ] || mapfile -t TESTS < <(all_tests)
STATUS=0
build_server

case $MODE in
	asan)
		with_asan
		;;
	assert)
		build_and_install COPT="-O1 -g -Werror"
		start_cluster "max_prepared_transactions = 5"
		run_regress "${TESTS[@]}" || STATUS=1
		echo "# with debug_discard_caches = 1"
		discard_after_start
		# shellcheck disable=SC2086
		run_regress $DISCARD_TESTS || STATUS=1
		nothing_in_log 'TRAP: |was terminated by signal|PANIC' || STATUS=1
		;;
	valgrind)
		build_and_install COPT="-O1 -g -Werror"
		have valgrind || die "no valgrind"
		as_server "$BINDIR/initdb" -D "$FOLDER/data" -U postgres --auth=trust --no-locale --encoding=UTF8 --no-sync >/dev/null
		as_server tee -a "$FOLDER/data/postgresql.conf" >/dev/null <<-SETTINGS
			listen_addresses = ''
			unix_socket_directories = '$FOLDER'
			fsync = off
			shared_buffers = '32MB'
			max_parallel_workers_per_gather = 0
			autovacuum = off
		SETTINGS
		as_server valgrind --quiet --leak-check=no --gen-suppressions=no --trace-children=yes --track-origins=yes \
			--suppressions="$SUPPRESSIONS" --log-file="$FOLDER/report.valgrind.%p" --error-markers=VALGRINDERROR-BEGIN,VALGRINDERROR-END \
			"$BINDIR/postgres" -D "$FOLDER/data" >"$FOLDER/server.log" 2>&1 </dev/null &
		export PGHOST=$FOLDER PGPORT=5432 PGUSER=postgres
		wait_for_server
		run_regress "${TESTS[@]}" || STATUS=1
		nothing_in_log 'VALGRINDERROR-BEGIN' || STATUS=1
		;;
esac
if [ $STATUS -eq 0 ]; then
	echo "$MODE: ${#TESTS[@]} tests, nothing found"
else
	echo "$MODE: failed"
fi
exit $STATUS
