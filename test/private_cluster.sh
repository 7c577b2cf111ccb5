# A PostgreSQL of our own for one run: packages, build, cluster, clean-up.
# Sourced by test/run.sh and examples/demo.sh; needs bash and nothing else.
#
# Nothing is written outside one private folder.  The extension is installed
# into a stage there, and the server is told to look in it, so neither the
# system's PostgreSQL directories nor any cluster already there is touched.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
OLDEST_MAJOR=15
NEWEST_MAJOR=18

# Results must not depend on the caller's settings.
unset PGDATABASE PGUSER PGOPTIONS PGSERVICE PGSSLMODE PGTZ PGDATESTYLE PGAPPNAME
unset MAKEFLAGS MAKELEVEL MFLAGS
export LC_ALL=C.UTF-8 PGCLIENTENCODING=UTF8
umask 022

say() {
	printf '%s\n' "$*" >&2
}

die() {
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 1
}

have() {
	command -v "$1" >/dev/null 2>&1
}

# ---------------------------------------------------------------------------
# Which PostgreSQL
# ---------------------------------------------------------------------------

# The server must be able to find an extension outside its own directories:
# Debian's packages can (extension_destdir), and every server from 18 on.
usable_server() {
	local bindir=$1 major

	[ -x "$bindir/postgres" ] && [ -x "$bindir/pg_config" ] || return 1
	major=$("$bindir/pg_config" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
	[ "$major" -ge $OLDEST_MAJOR ] && [ "$major" -le $NEWEST_MAJOR ] || return 1
	[ "$major" -ge 18 ] || grep -qa extension_destdir "$bindir/postgres"
}

# Sets BINDIR and MAJOR from a server that is there already; PG_CONFIG in the
# environment has the last word.
find_postgresql() {
	local candidate bindir

	BINDIR=
	if [ -n "${PG_CONFIG:-}" ]; then
		bindir=$("$PG_CONFIG" --bindir) || die "PG_CONFIG=$PG_CONFIG cannot be run"
		usable_server "$bindir" ||
			die "PG_CONFIG=$PG_CONFIG: no PostgreSQL $OLDEST_MAJOR to $NEWEST_MAJOR server of Debian's build (or 18) in $bindir"
		BINDIR=$bindir
	else
		for candidate in "$(pg_config --bindir 2>/dev/null)" \
			$(printf '/usr/lib/postgresql/%s/bin\n' $(seq $NEWEST_MAJOR -1 $OLDEST_MAJOR)); do
			if [ -n "$candidate" ] && usable_server "$candidate"; then
				BINDIR=$candidate
				break
			fi
		done
	fi
	[ -n "$BINDIR" ] || return 1
	MAJOR=$("$BINDIR/pg_config" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
}

# The major version Debian installs by default, as apt knows it.
default_major() {
	apt-cache depends postgresql 2>/dev/null |
		sed -n 's/.*Depends: postgresql-\([0-9][0-9]*\)$/\1/p' | head -n 1
}

# ---------------------------------------------------------------------------
# What is missing
# ---------------------------------------------------------------------------

# Prints the packages that are missing for building and running; with "test",
# also those that only the tests want.
missing_packages() {
	local version=${MAJOR:-$(default_major)}

	version=${version:-N}
	[ -n "$BINDIR" ] || echo "postgresql-$version"
	[ -n "$BINDIR" ] && [ -f "$("$BINDIR/pg_config" --includedir-server)/postgres.h" ] &&
		[ -f "$("$BINDIR/pg_config" --pgxs)" ] || echo "postgresql-server-dev-$version"
	have gcc || echo gcc
	[ -f /usr/include/stdio.h ] || echo libc6-dev
	have make || echo make
	[ -f /usr/include/lbfgs.h ] || echo liblbfgs-dev
}

missing_test_packages() {
	perl -MTest::More -e 1 2>/dev/null && have prove || echo perl
	perl -MIPC::Run -e 1 2>/dev/null || echo libipc-run-perl
	have xz || echo xz-utils
	# for the worker in examples/
	echo '#include <curl/curl.h>' | gcc -fsyntax-only -x c - 2>/dev/null || echo libcurl4-openssl-dev
	PATH=$PATH:/usr/sbin have pgbouncer || echo pgbouncer
	# for the pages of the dashboard
	! have npm || have chromium || echo chromium fonts-noto-cjk
	# postgresql-server-dev brings a clang of its own version
	[ -n "$(find_clang)" ] || [ -z "$BINDIR" ] || echo clang
}

find_clang() {
	local clang=

	if have clang; then
		clang=clang
	elif [ -n "$BINDIR" ]; then
		clang=$(sed -n 's/^CLANG[[:space:]]*=[[:space:]]*//p' \
			"$(dirname "$("$BINDIR/pg_config" --pgxs)")/../Makefile.global" 2>/dev/null)
		have "$clang" || clang=
	fi
	echo "$clang"
}

# ---------------------------------------------------------------------------
# Installing it
# ---------------------------------------------------------------------------

# Runs as root, read from standard input by a shell of its own; the packages
# are its arguments.  One run at a time.  When Debian installs a server it
# makes a cluster "main", and starts all clusters: for as long as the install
# takes, both are told not to.
apt_script() {
	cat <<'SCRIPT'
set -u
exec 9>/run/lock/retention-apt.lock && flock 9 || exit 1
log=$(mktemp) || exit 1
policy=/usr/sbin/policy-rc.d
folder=/etc/postgresql-common/createcluster.d
setting=$folder/zz-retention-install.conf
made_policy= made_folders=

# shellcheck disable=SC2317
restore() {
	rm -f "$log" "$setting"
	[ -z "$made_policy" ] || rm -f "$policy"
	for f in $made_folders; do rmdir "$f" 2>/dev/null; done
}
trap restore EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

for f in /etc/postgresql-common "$folder"; do
	[ -d "$f" ] || { mkdir "$f" && made_folders="$f $made_folders"; }
done
echo 'create_main_cluster = false' >"$setting"
if [ ! -e "$policy" ]; then
	made_policy=yes
	printf '%s\n' '#!/bin/sh' 'case $1 in postgresql*|pgbouncer*) exit 101 ;; esac' 'exit 0' >"$policy"
	chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 LC_ALL=C.UTF-8

# Somebody else may be using apt: wait for them, ten minutes at most.
apt() {
	tries=0
	while ! apt-get -q -o DPkg::Lock::Timeout=600 "$@" </dev/null >"$log" 2>&1; do
		tries=$((tries + 1))
		if [ $tries -lt 120 ] && grep -q 'Could not get lock' "$log"; then
			sleep 5
		else
			return 1
		fi
	done
}

packages="$*"
case $packages in
	*postgresql-N*)
		apt update || { cat "$log" >&2; exit 1; }
		major=$(apt-cache depends postgresql |
			sed -n 's/.*Depends: postgresql-\([0-9][0-9]*\)$/\1/p' | head -n 1)
		[ -n "$major" ] || { echo "apt offers no package postgresql" >&2; exit 1; }
		packages=$(echo "$packages" | sed "s/postgresql-N/postgresql-$major/; s/server-dev-N/server-dev-$major/")
		;;
esac
echo "Installing $packages" >&2
install="install -y --no-install-recommends $packages"
apt $install || { apt update && apt $install; } || { cat "$log" >&2; exit 1; }
SCRIPT
}

install_packages() {
	if ! have apt-get; then
		die "missing: $* (N: any of $OLDEST_MAJOR to $NEWEST_MAJOR). There is no apt to install them with: install them, or what your system calls them, then run this again."
	fi
	if [ "$(id -u)" -eq 0 ]; then
		apt_script | bash -s -- "$@" || die "apt could not install: $*"
	elif have sudo; then
		# sudo may have to ask for a password on the terminal
		say "Root is needed to install $*: trying sudo"
		sudo -v && apt_script | sudo bash -s -- "$@" || die "sudo apt could not install: $*"
	else
		die "missing: $* (N: any of $OLDEST_MAJOR to $NEWEST_MAJOR). Install them as root with apt-get, or install sudo, then run this again."
	fi
}

# require_postgresql [test]: whatever is needed is there when it returns.
require_postgresql() {
	local packages

	find_postgresql
	packages=$(missing_packages)
	[ "${1:-}" != test ] || packages="$packages $(missing_test_packages)"
	# shellcheck disable=SC2086
	set -- $packages
	if [ $# -gt 0 ]; then
		if [ -z "$(missing_packages)" ] &&
			! { [ "${NO_APT:-0}" != 1 ] && have apt-get && { [ "$(id -u)" -eq 0 ] || have sudo; }; }; then
			say "Not installed, so some tests will be skipped: $*"
			return
		fi
		install_packages "$@"
	fi
	find_postgresql ||
		die "no PostgreSQL $OLDEST_MAJOR to $NEWEST_MAJOR server here that can load an extension from another folder"
	packages=$(missing_packages)
	[ -z "$packages" ] || die "still missing after the installation: $packages"
}

# ---------------------------------------------------------------------------
# The private folder and who owns it
# ---------------------------------------------------------------------------

# PostgreSQL refuses to run as root; then everything that runs it is done as
# an ordinary user.
choose_server_user() {
	SERVER_USER=
	[ "$(id -u)" -eq 0 ] || return 0
	for SERVER_USER in postgres nobody; do
		! id "$SERVER_USER" >/dev/null 2>&1 || return 0
	done
	die "root may not run PostgreSQL, and there is no user postgres or nobody to run it as"
}

as_server() {
	if [ -z "$SERVER_USER" ]; then
		"$@"
	elif have runuser; then
		runuser -u "$SERVER_USER" -- "$@"
	else
		su -s /bin/bash "$SERVER_USER" -c "$(printf '%q ' "$@")"
	fi
}

# make_folder NAME: sets FOLDER.  A path with a space, or one too long for a
# socket's name, will not do.
make_folder() {
	local parent=${TMPDIR:-/tmp}

	choose_server_user
	case $parent in
		*[!A-Za-z0-9/._+-]*) parent=/tmp ;;
	esac
	[ ${#parent} -le 60 ] && as_server test -w "$parent" || parent=/tmp
	FOLDER=$(as_server mktemp -d "$parent/$1.XXXXXX") || die "cannot make a folder in $parent"
	cd "$FOLDER" || die "cannot enter $FOLDER"
}

# stop_servers FOLDER: its own, and those of tests that were ended before they
# could stop theirs
stop_servers() {
	local file

	find "$1" -name postmaster.pid 2>/dev/null | while read -r file; do
		as_server "$BINDIR/pg_ctl" -D "${file%/*}" -m immediate -w stop >/dev/null 2>&1 </dev/null
	done
}

remove_folder() {
	cd / || return
	stop_servers "$1"
	rm -rf "$1"
}

# ---------------------------------------------------------------------------
# Build and cluster
# ---------------------------------------------------------------------------

# A copy is built, never the checkout: that stays clean, may lie in a path
# with spaces (PGXS cannot build there) and may be used by two runs at once.
copy_source() {
	as_server mkdir -p "$1"
	tar -C "$ROOT" -cf - --exclude=./.git --exclude='*.o' --exclude='*.so' --exclude='*.bc' \
		--exclude='./retention--*.sql' --exclude=./results --exclude=./output_iso \
		--exclude=./tmp_check --exclude=./log --exclude='./regression.*' --exclude=./dist --exclude=node_modules . |
		as_server tar -C "$1" -xf - || die "cannot copy $ROOT to $1"
}

# Bitcode for JIT takes the very clang that PostgreSQL was built with.
pg_make() {
	local global clang options=()

	global=$(dirname "$("$BINDIR/pg_config" --pgxs)")/../Makefile.global
	clang=$(sed -n 's/^CLANG[[:space:]]*=[[:space:]]*//p' "$global" 2>/dev/null)
	have "${clang:-clang}" || options=(with_llvm=no)
	as_server make --no-print-directory -j "$(nproc)" PG_CONFIG="$BINDIR/pg_config" "${options[@]}" "$@"
}

# install_stage SOURCE: what "make install" installs goes to $FOLDER/stage.
install_stage() {
	STAGE=$FOLDER/stage
	pg_make -C "$1" -s install DESTDIR="$STAGE" "${@:2}"
}

# build_extension: a copy of the source, built for use alone.  Tests have it
# built already, in RETENTION_STAGE.
build_extension() {
	copy_source "$FOLDER/src"
	STAGE=${RETENTION_STAGE:-}
	[ -z "$STAGE" ] || return 0
	say "Building retention for $("$BINDIR/postgres" --version)"
	{ pg_make -C "$FOLDER/src" with_llvm=no && install_stage "$FOLDER/src" with_llvm=no; } >"$FOLDER/build.log" 2>&1 ||
		{ tail -n 40 "$FOLDER/build.log" >&2; die "the build failed"; }
}

# The settings that make a server find the extension in the stage.
stage_settings() {
	if grep -qa extension_destdir "$BINDIR/postgres"; then
		echo "extension_destdir = '$STAGE'"
	else
		echo "extension_control_path = '$STAGE$("$BINDIR/pg_config" --sharedir):\$system'"
		echo "dynamic_library_path = '$STAGE$("$BINDIR/pg_config" --pkglibdir):\$libdir'"
	fi
}

# start_cluster [setting]...: a server on a socket in $FOLDER and nowhere
# else.  The folder is closed to others, so everyone who reaches it is trusted.
start_cluster() {
	as_server "$BINDIR/initdb" -D "$FOLDER/data" -U postgres --auth=trust --no-locale \
		--encoding=UTF8 --no-sync >"$FOLDER/initdb.log" 2>&1 ||
		{ cat "$FOLDER/initdb.log" >&2; die "initdb failed"; }
	{
		echo "listen_addresses = ''"
		echo "unix_socket_directories = '$FOLDER'"
		echo "fsync = off"
		echo "shared_buffers = '128MB'"
		stage_settings
		[ $# -eq 0 ] || printf '%s\n' "$@"
	} | as_server tee -a "$FOLDER/data/postgresql.conf" >/dev/null
	as_server "$BINDIR/pg_ctl" -D "$FOLDER/data" -l "$FOLDER/server.log" -w -s start </dev/null ||
		{ tail -n 20 "$FOLDER/server.log" >&2; die "the server did not start"; }
	export PGHOST=$FOLDER PGPORT=5432 PGUSER=postgres
}
