#!/bin/bash
# Shows what retention does, on a shop in a private PostgreSQL.  Installs what
# is missing by apt.
#
#   bash examples/demo.sh                       a generated shop
#   bash examples/demo.sh [OPTION...] FILE      orders from a CSV file with a header line
#                                               (.csv, .csv.gz or .csv.xz)
#   bash examples/demo.sh stop FOLDER           stop the server of an earlier run and remove it
#
# Options:
#   --orders N           about how many orders to generate (default 20000)
#   --order-id COLUMN    the CSV file's columns, when their names do not tell
#   --customer COLUMN
#   --time COLUMN
#   --amount COLUMN
#   --date-style STYLE   how dates like 1/2/2026 are read: MDY (default), DMY or YMD
#   --time-zone ZONE     the shop's time zone (default Asia/Shanghai; for a file, UTC)
#   --shade HOW          the cohorts: color, blocks or none (default: color in a terminal)
#   --stop               stop the server and remove it at the end
. "$(dirname "${BASH_SOURCE[0]}")/../test/private_cluster.sh"

ORDERS=20000 FILE= ORDER_ID= CUSTOMER= TIME= AMOUNT= DATE_STYLE=MDY TIME_ZONE= SHADE= STOP=

usage() {
	sed -n '2,/^\./s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

# need_value OPTION VALUE: an option's value, which must be there
need_value() {
	[ $# -ge 2 ] && [ -n "$2" ] || die "$1 needs a value; see bash $0 --help"
}

while [ $# -gt 0 ]; do
	case $1 in
		-h | --help)
			usage
			exit 0
			;;
		stop)
			[ $# -eq 2 ] || die "say which folder: bash $0 stop FOLDER"
			[ -f "$2/retention-demo" ] || die "$2 is no folder of this demo"
			find_postgresql || die "no PostgreSQL found"
			choose_server_user
			remove_folder "$(cd "$2" && pwd)"
			exit
			;;
		--stop) STOP=yes ;;
		--orders | --order-id | --customer | --time | --amount | --date-style | --time-zone | --shade)
			need_value "$@"
			variable=${1#--}
			variable=${variable^^}
			printf -v "${variable//-/_}" %s "$2"
			shift
			;;
		-*) die "unknown option $1; see bash $0 --help" ;;
		*)
			[ -z "$FILE" ] || die "one file at a time: $FILE, $1"
			FILE=$1
			;;
	esac
	shift
done

[[ $ORDERS =~ ^[1-9][0-9]{0,7}$ ]] || die "--orders $ORDERS is no number of orders"
case $DATE_STYLE in MDY | DMY | YMD) ;; *) die "--date-style is MDY, DMY or YMD, not $DATE_STYLE" ;; esac
case $SHADE in
	'') [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && SHADE=color || SHADE=none ;;
	color | blocks | none) ;;
	*) die "--shade is color, blocks or none, not $SHADE" ;;
esac
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	BOLD=$'\e[1m' PLAIN=$'\e[0m'
else
	BOLD='' PLAIN=''
fi

title() {
	printf '\n%s== %s ==%s\n' "$BOLD" "$1" "$PLAIN"
	[ -z "${2:-}" ] || printf '%s\n' "$2"
	echo
}

# run_sql [psql argument...]: statements from standard input; notices and
# progress appear where the output does
run_sql() {
	"$BINDIR/psql" -X -q -d shop -v ON_ERROR_STOP=1 -P pager=off -P footer=off -P linestyle=unicode \
		-P null='' "$@" 2>&1
}

run_file() {
	run_sql "${@:2}" <"$ROOT/examples/demo/$1.sql" || die "examples/demo/$1.sql failed"
}

# ---------------------------------------------------------------------------
# A CSV file of orders
# ---------------------------------------------------------------------------

contents() {
	case $FILE in
		*.gz) gzip -dc -- "$FILE" ;;
		*.xz) xz -dc -- "$FILE" ;;
		*) cat -- "$FILE" ;;
	esac
}

# read_header: the names in the first line into HEADER, the separator into SEPARATOR
read_header() {
	local header rest field

	header=$(contents 2>/dev/null | { IFS= read -r line; printf '%s' "$line"; cat >/dev/null; }) || true
	header=${header#$'\xef\xbb\xbf'}
	header=${header%$'\r'}
	[ -n "$header" ] || die "$FILE has no header line"
	SEPARATOR=,
	case $header in
		*,*) ;;
		*';'*) SEPARATOR=';' ;;
		*$'\t'*) SEPARATOR=$'\t' ;;
	esac
	HEADER=()
	rest=$header$SEPARATOR
	while [ -n "$rest" ]; do
		if [[ $rest == \"* ]]; then
			rest=${rest#\"}
			field=${rest%%\"*}
			rest=${rest#*\"}
		else
			field=${rest%%"$SEPARATOR"*}
		fi
		HEADER+=("$field")
		rest=${rest#*"$SEPARATOR"}
	done
}

# find_column WHAT OPTION GIVEN NAME...: prints the column that holds it.  Names
# are compared without case, spaces, - and _.
find_column() {
	local what=$1 option=$2 given=$3 name column plain

	shift 3
	if [ -n "$given" ]; then
		for column in "${HEADER[@]}"; do
			[ "$column" != "$given" ] || { printf '%s' "$column"; return; }
		done
		die "$FILE has no column \"$given\" ($option); it has: ${HEADER[*]}"
	fi
	for name in "$@"; do
		for column in "${HEADER[@]}"; do
			plain=${column,,}
			[ "${plain//[ _-]/}" != "$name" ] || { printf '%s' "$column"; return; }
		done
	done
	die "cannot tell which column of $FILE is the $what; it has: ${HEADER[*]}. Name it: $option COLUMN"
}

quote_name() {
	printf '"%s"' "${1//\"/\"\"}"
}

load_file() {
	local column definitions=

	ORDER_ID=$(find_column "order's id" --order-id "$ORDER_ID" orderid orderno ordernumber invoice invoiceno \
		invoicenumber invoiceid transactionid transaction order id 订单号 订单编号 订单id) || exit 1
	CUSTOMER=$(find_column customer --customer "$CUSTOMER" customerid customer customeruniqueid userid user buyerid \
		buyer clientid memberid member customeremail email phone 客户id 客户 会员id 会员 买家id 买家 买家会员名 用户id) || exit 1
	TIME=$(find_column "time of the order" --time "$TIME" orderdate createdat orderedat placedat ordertime orderpurchasetimestamp \
		invoicedate purchasedate purchasedat transactiondate paidat datetime timestamp date time 下单时间 订单创建时间 付款时间 订单付款时间 日期) || exit 1
	AMOUNT=$(find_column amount --amount "$AMOUNT" amount total ordertotal totalamount grandtotal orderamount totalprice \
		paid revenue sales paymentvalue value price 金额 实付金额 订单金额 买家实际支付金额 总金额) || exit 1
	echo "Columns: order $ORDER_ID, customer $CUSTOMER, time $TIME, amount $AMOUNT"

	for column in "${HEADER[@]}"; do
		definitions+="${definitions:+, }$(quote_name "$column") text"
	done
	run_sql -c "CREATE TABLE public.csv ($definitions)" ||
		die "$FILE: its header line does not make a table"
	contents | run_sql -c "\\copy public.csv FROM pstdin WITH (FORMAT csv, HEADER, DELIMITER '$SEPARATOR')" ||
		die "$FILE could not be read as CSV"
	run_file load -v date_style="$DATE_STYLE" -v order_id="$ORDER_ID" -v customer="$CUSTOMER" -v time="$TIME" -v amount="$AMOUNT"
}

if [ -n "$FILE" ]; then
	[ -f "$FILE" ] && [ -r "$FILE" ] || die "no file $FILE that can be read"
	FILE=$(cd "$(dirname "$FILE")" && pwd)/$(basename "$FILE")
	case $FILE in
		*.xz) have xz || EXTRA=xz-utils ;;
	esac
	TIME_ZONE=${TIME_ZONE:-UTC}
else
	TIME_ZONE=${TIME_ZONE:-Asia/Shanghai}
fi

# ---------------------------------------------------------------------------
# The run
# ---------------------------------------------------------------------------

clean_up() {
	local status=$?

	trap - EXIT
	[ -z "${FOLDER:-}" ] || remove_folder "$FOLDER"
	exit $status
}

require_postgresql
[ -z "${EXTRA:-}" ] || install_packages $EXTRA
[ -z "$FILE" ] || read_header
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
make_folder retention-demo
as_server touch "$FOLDER/retention-demo"
echo "Private folder: $FOLDER"

build_extension
start_cluster "timezone = '$TIME_ZONE'" "log_timezone = '$TIME_ZONE'" "datestyle = 'ISO, MDY'" "intervalstyle = 'postgres'"
"$BINDIR/psql" -X -q -d postgres -c 'CREATE DATABASE shop' || exit 1

title 'The shop' 'Its own table, public.orders, as any shop has one.'
if [ -n "$FILE" ]; then
	load_file
else
	run_file generate -v orders="$ORDERS" -v ends_at="2026-06-30 12:00:00+08"
fi
run_file orders

title 'Attach' 'One call says which column is what; triggers on the table do the rest.'
run_file attach

title 'Customer groups'
run_file groups
title 'RFM segments' 'Recency, frequency, monetary value: 1 to 5 each, 5 the best.'
run_file segments
title 'Tiers'
run_file tiers
title 'Repurchase by month' 'Of the customers who bought in a month, how many bought twice in it, and who had bought before.'
run_file repurchase
title 'Cohorts' 'Of the customers whose first purchase was in a month, the per cent who bought N months later.'
run_file cohorts -v shade="$SHADE" -A -t
title 'Points'
run_file points
title 'One order' 'What an order sets in motion, step by step: each step is one transaction of the shop.'
run_file life
if [ -z "$STOP" ]; then
	title 'Your turn'
	psql=psql
	have psql || psql=$BINDIR/psql
	clock=$("$BINDIR/psql" -X -A -t -d shop -c 'SELECT retention.now()')
	cat <<-END
		The shop's clock stands at $clock; to let it go:
		                       ALTER DATABASE shop RESET retention.clock;
		The shop stays open:   $psql -h $FOLDER -U postgres shop
		To close and remove:   bash $(printf %q "${BASH_SOURCE[0]}") stop $FOLDER
	END
	trap - EXIT
fi
