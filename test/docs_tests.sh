# Tests of docs/.  Sourced by test/run.sh.

# docs/reference.md is what the comments say, and everything has one
docs_reference() {
	"$BINDIR/psql" -X -q -d postgres -c 'CREATE DATABASE reference' &&
		"$BINDIR/psql" -X -q -d reference -c 'CREATE EXTENSION retention' &&
		"$BINDIR/psql" -X -d reference -f "$FOLDER/src/docs/reference.sql" >"$FOLDER/reference.md" &&
		diff -u "$FOLDER/src/docs/reference.md" "$FOLDER/reference.md" && return
	echo "docs/reference.md is not what the comments say: run bash docs/reference.sh"
	return 1
}

# page_sql PAGE...: the SQL of pages, but for the blocks marked skip
page_sql() {
	awk '/^```sql$/ { sql = 1; next } /^```/ { sql = 0 } sql' "$@"
}

# The SQL of the how-to pages runs, in their order, on a shop; the Chinese pages
# have the same.
docs_how_to() {
	local source=$FOLDER/src page

	for page in "$source"/docs/how-to/*.md; do
		diff <(awk '/^```/,/^```$/' "$page") <(awk '/^```/,/^```$/' "$source/docs/zh/how-to/${page##*/}") ||
			{ echo "docs/zh/how-to/${page##*/} has other SQL than the English page"; return 1; }
	done
	"$BINDIR/psql" -X -q -d postgres -c 'CREATE DATABASE shop' &&
		"$BINDIR/psql" -X -q -d shop -v ON_ERROR_STOP=1 -v orders=600 -v ends_at='2026-06-30 12:00:00+08' \
			-f "$source/examples/demo/generate.sql" -f "$source/examples/demo/orders.sql" &&
		"$BINDIR/psql" -X -q -d shop -c 'CREATE EXTENSION retention' &&
		page_sql "$source"/docs/how-to/*.md | "$BINDIR/psql" -X -d shop -v ON_ERROR_STOP=1 -e
}
