#!/bin/bash
# Shows the dashboard on the demo shop, in a private PostgreSQL: two months of
# orders, points and messages, with fresh figures every few minutes.  Installs
# what is missing by apt and npm; Ctrl-C closes it and removes everything.
#
#   bash examples/dashboard.sh [--orders N] [--port PORT]
#
# For a shop of your own, in examples/dashboard, as a member of retention_reader:
#   npm install && PGHOST=... PGUSER=... PGDATABASE=... node serve.mjs 3000
. "$(dirname "${BASH_SOURCE[0]}")/../test/private_cluster.sh"

ORDERS=8000 PORT=3000

while [ $# -gt 0 ]; do
	case $1 in
		-h | --help)
			sed -n '2,/^\./s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
			exit 0
			;;
		--orders | --port)
			[[ ${2:-} =~ ^[0-9]+$ ]] || die "$1 needs a number; see bash $0 --help"
			[ "$1" = --port ] && PORT=$2 || ORDERS=$2
			shift
			;;
		*) die "unknown argument $1; see bash $0 --help" ;;
	esac
	shift
done

clean_up() {
	local status=$?

	trap - EXIT
	[ ! -f "${FOLDER:-}/serving.pid" ] || kill "$(cat "$FOLDER/serving.pid")" 2>/dev/null
	[ -z "${FOLDER:-}" ] || remove_folder "$FOLDER"
	exit $status
}

run_file() {
	"$BINDIR/psql" -X -q -d shop -v ON_ERROR_STOP=1 "${@:2}" <"$ROOT/examples/$1.sql" >"$FOLDER/sql.log" 2>&1 ||
		{ cat "$FOLDER/sql.log" >&2; die "examples/$1.sql failed"; }
}

require_postgresql
have node && have npm || install_packages nodejs npm
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
make_folder retention-dashboard
build_extension
start_cluster "timezone = 'Asia/Shanghai'"
"$BINDIR/psql" -X -q -d postgres -c 'CREATE DATABASE shop' || exit 1

say "Playing two months of a shop of about $ORDERS orders"
run_file demo/generate -v orders="$ORDERS" -v ends_at='2026-06-30 12:00:00+08'
run_file dashboard/shop
"$BINDIR/psql" -X -q -d shop -c 'CREATE ROLE dashboard LOGIN IN ROLE retention_reader' || exit 1

say 'Installing the dashboard'
as_server env HOME="$FOLDER" npm_config_cache="$FOLDER/.npm" npm_config_update_notifier=false \
	npm --prefix "$FOLDER/src/examples/dashboard" install --no-audit --no-fund --loglevel=error >&2 ||
	die 'npm could not install it'
# in the background, for a trap waits until the foreground is done
as_server env HOME="$FOLDER" PGUSER=dashboard PGDATABASE=shop \
	sh -c 'echo $$ >serving.pid && exec node src/examples/dashboard/serve.mjs "$0"' "$PORT" &
wait $!
