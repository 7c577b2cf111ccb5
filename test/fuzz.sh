#!/bin/bash
# Hostile inputs for the types: first the encoding of histories without a
# server, under the address and undefined-behaviour sanitizers, every input in a
# block of exactly its size; then the whole extension, built with the
# undefined-behaviour sanitizer, in a server of its own.
#
#   bash test/fuzz.sh [INPUTS]             1,000,000 for the encoding, a fifth of it for the server
#   bash test/fuzz.sh --encoding [INPUTS]  the first part only
#   bash test/fuzz.sh --valgrind [INPUTS]  the first part under valgrind instead, 20,000
#
# FUZZ_SEED  another seed tries other inputs (default: 42)
#
# test/run.sh runs the first part with 50,000 inputs.  Exit status 77: gcc comes
# without these sanitizers.
. "$(dirname "${BASH_SOURCE[0]}")/private_cluster.sh"

MODE=all
case ${1:-} in
	--encoding | --valgrind)
		MODE=${1#--}
		shift
		;;
esac
SANITIZE="-g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1

has_sanitizers() {
	# shellcheck disable=SC2086
	echo 'int main(void) { return 0; }' | as_server gcc $SANITIZE -x c -o "$FOLDER/sanitized" - 2>/dev/null &&
		as_server "$FOLDER/sanitized"
}

# compile FLAGS...: what the encoding calls of the server and never reaches is
# one function that aborts.
compile() {
	local sources=(test/fuzz/encoding_fuzz.c src/history_encoding.c src/history_builder.c src/history_stats.c src/numeric_units.c) missing
	local command=(gcc "$@" -fwrapv -Wall -Wextra -Wno-unused-parameter -Werror -Isrc
		-I"$("$BINDIR/pg_config" --includedir-server)" "${sources[@]}" -o "$FOLDER/encoding_fuzz")

	missing=$(cd "$FOLDER/src" && as_server "${command[@]}" 2>&1 |
		sed -n "s/.*undefined reference to [\`']\([A-Za-z0-9_]*\)'.*/\1/p" | sort -u)
	# shellcheck disable=SC2086
	(cd "$FOLDER/src" && as_server "${command[@]}" $(printf -- '-Wl,--defsym=%s=not_reached ' $missing)) ||
		die "test/fuzz/encoding_fuzz.c does not compile"
}

fuzz_server() {
	local flags="-fsanitize=undefined -fno-sanitize-recover=all -static-libubsan" status

	as_server make --no-print-directory -s -j "$(nproc)" -C "$FOLDER/src" PG_CONFIG="$BINDIR/pg_config" \
		with_llvm=no COPT="-g -O1 $flags" SHLIB_LINK="$flags" >"$FOLDER/build.log" 2>&1 ||
		{ cat "$FOLDER/build.log" >&2; die "the build failed"; }
	install_stage "$FOLDER/src" with_llvm=no COPT="-g -O1 $flags" SHLIB_LINK="$flags" >>"$FOLDER/build.log" 2>&1 ||
		die "the installation failed"
	start_cluster
	"$BINDIR/psql" -X -q -d postgres -c 'CREATE EXTENSION retention'
	gcc -Wall -Wextra -Werror -O1 -I"$("$BINDIR/pg_config" --includedir)" "$ROOT/test/client/history_fuzz.c" \
		-o "$FOLDER/history_fuzz" -L"$("$BINDIR/pg_config" --libdir)" -lpq || die "test/client/history_fuzz.c does not compile"
	PGDATABASE=postgres "$FOLDER/history_fuzz" "$1" "${FUZZ_SEED:-42}"
	status=$?
	[ $status -eq 0 ] || grep -a -A 40 'runtime error' "$FOLDER/server.log" >&2
	return $status
}

require_postgresql
trap 'remove_folder "$FOLDER"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
make_folder retention-fuzz
copy_source "$FOLDER/src"
echo "# $("$BINDIR/postgres" --version)"
if [ $MODE = valgrind ]; then
	have valgrind || die "valgrind is not installed"
	compile -g -O1
	as_server valgrind -q --error-exitcode=1 "$FOLDER/encoding_fuzz" "${1:-20000}" "${FUZZ_SEED:-42}"
	exit
fi
has_sanitizers || {
	echo "gcc has no address and undefined-behaviour sanitizers"
	exit 77
}
# shellcheck disable=SC2086
compile $SANITIZE
as_server "$FOLDER/encoding_fuzz" "${1:-1000000}" "${FUZZ_SEED:-42}" || exit
[ $MODE = encoding ] || fuzz_server $((${1:-1000000} / 5))
