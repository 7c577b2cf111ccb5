# Tests of what is installed from npm: real shops, and the dashboard.
# Sourced by test/run.sh.

# npm_as_server FOLDER: installs what its package.json asks for
npm_as_server() {
	as_server env HOME="$1" npm_config_cache="$1/.npm" npm_config_update_notifier=false \
		npm --prefix "$1" install --no-audit --no-fund --ignore-scripts --loglevel=error
}

# live_shop NAME: installs the shop from npm and plays lives through its API;
# it connects as a role without any right on our tables.
live_shop() {
	local folder=$FOLDER/$1

	as_server cp -r "$FOLDER/src/test/$1" "$folder"
	as_server cp "$FOLDER/src/test/include/live_shop.mjs" "$folder"
	npm_as_server "$folder" || return 1
	"$BINDIR/psql" -X -q -d postgres -v ON_ERROR_STOP=1 -c "CREATE ROLE $1 LOGIN" \
		-c "CREATE DATABASE $1 OWNER $1" || return 1
	"$BINDIR/psql" -X -q -d "$1" -v ON_ERROR_STOP=1 -c 'CREATE EXTENSION retention' || return 1
	as_server env -C "$folder" HOME="$folder" FOLDER="$folder" PGDATABASE="$1" SHOP_ROLE="$1" \
		VENDURE_DISABLE_TELEMETRY=true MEDUSA_DISABLE_TELEMETRY=true node lives.mjs
}

# dashboard_test: the command shows its pages, each opened in Chromium, and
# leaves nothing behind
dashboard_test() {
	local output=$FOLDER/dashboard.out url= served status i

	as_server cp -r "$FOLDER/src/test/dashboard" "$FOLDER/dashboard"
	npm_as_server "$FOLDER/dashboard" || return 1
	TMPDIR=$FOLDER PG_CONFIG=$BINDIR/pg_config RETENTION_STAGE=$STAGE \
		bash "$FOLDER/src/examples/dashboard.sh" --orders 2000 --port 0 >"$output" 2>&1 &
	served=$!
	for ((i = 0; i < 300; i++)); do
		url=$(sed -n 's#^\(http://127.*/\)$#\1#p' "$output")
		[ -z "$url" ] && kill -0 $served 2>/dev/null || break
		sleep 1
	done
	[ -n "$url" ] && as_server env HOME="$FOLDER/dashboard" node "$FOLDER/dashboard/check.mjs" "$url"
	status=$?
	kill $served 2>/dev/null
	wait $served
	[ $status -eq 0 ] || cat "$output"
	! ls -d "$FOLDER"/retention-dashboard.* 2>/dev/null || { echo "not removed"; return 1; }
	url=${url#http://127.0.0.1:}
	! (exec 3<>"/dev/tcp/127.0.0.1/${url%/}") 2>/dev/null || { echo "still served"; return 1; }
	return $status
}
