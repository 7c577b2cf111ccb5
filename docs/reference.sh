#!/bin/bash
# Writes docs/reference.md from the comments in the database, in a private
# PostgreSQL.  With --check, nothing is written: exit status 1 when it differs.
#
#   bash docs/reference.sh [--check]
. "$(dirname "${BASH_SOURCE[0]}")/../test/private_cluster.sh"

clean_up() {
	local status=$?

	trap - EXIT
	[ -z "${FOLDER:-}" ] || remove_folder "$FOLDER"
	exit $status
}

require_postgresql
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
make_folder retention-reference
build_extension
start_cluster
"$BINDIR/psql" -X -q -d postgres -c 'CREATE EXTENSION retention' || exit 1
"$BINDIR/psql" -X -d postgres -f "$ROOT/docs/reference.sql" >"$FOLDER/reference.md" || die 'the comments are not whole'
if [ "${1:-}" = --check ]; then
	diff -u "$ROOT/docs/reference.md" "$FOLDER/reference.md" ||
		die 'docs/reference.md is not what the comments say: run bash docs/reference.sh'
else
	cat "$FOLDER/reference.md" >"$ROOT/docs/reference.md"
fi
