#!/bin/bash
# Builds the Debian package from the archive of "make dist", in a Debian with
# its build dependencies, runs its tests there, and installs it in one that has
# PostgreSQL and nothing else: there a shop is attached, the package removed and
# put back.  Takes root, mmdebstrap and some minutes, so it is not part of the
# test run; docs/release.md says when to run it.
#
#   bash test/package.sh [15|17|18]
#
# RETENTION_MIRROR  Debian mirror (default http://deb.debian.org/debian)
# DEB_BUILD_OPTIONS nocheck leaves out the tests while building
# KEEP=1            keep the folder, with the packages, and say where it is
set -eu

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
MIRROR=${RETENTION_MIRROR:-http://deb.debian.org/debian}
MAJOR=${1:-15}
case $MAJOR in
	15) SUITE=bookworm ;;
	17) SUITE=trixie ;;
	18) SUITE=sid ;;
	*) echo "usage: bash test/package.sh [15|17|18]" >&2; exit 1 ;;
esac
[ "$(id -u)" -eq 0 ] || { echo "package.sh: must be run as root" >&2; exit 1; }

FOLDER=$(mktemp -d "${TMPDIR:-/var/tmp}/retention-package.XXXXXX")
chmod 755 "$FOLDER"
clean_up() {
	if [ "${KEEP:-0}" = 1 ]; then
		echo "kept: $FOLDER"
	else
		rm -rf "$FOLDER"
	fi
}
trap clean_up EXIT
trap 'exit 130' INT TERM

say() {
	printf '\n# %s\n' "$*"
}

# debian NAME PACKAGES: a new Debian in $FOLDER/NAME
debian() {
	mmdebstrap --quiet --variant=minbase --include="$2" --aptopt='Acquire::Check-Valid-Until "false"' \
		--essential-hook='mkdir -p "$1/etc/postgresql-common/createcluster.d"' \
		--essential-hook='echo "create_main_cluster = false" >"$1/etc/postgresql-common/createcluster.d/test.conf"' \
		"$SUITE" "$FOLDER/$1" "$MIRROR"
	cp -L /etc/resolv.conf "$FOLDER/$1/etc/resolv.conf"
}

# inside NAME COMMAND...: in that Debian, with every process gone afterwards
inside() {
	local root=$FOLDER/$1

	shift
	unshare --mount --pid --fork --kill-child bash -c '
		root=$1
		shift
		mount --make-rprivate / && mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" &&
			mount -t tmpfs tmpfs "$root/dev/shm" || exit
		exec env -i DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS:-}" PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"
	' - "$root" "$@"
}

say "the archive"
git -C "$ROOT" -c "safe.directory=*" archive --prefix=source/ HEAD | tar -C "$FOLDER" -xf -
cp -r "$FOLDER/source" "$FOLDER/dist"
version=$(sed -n "s/^default_version *= *'\(.*\)'/\1/p" "$FOLDER/dist/retention.control")
packaged=$(sed -n '1s/.*(\(.*\)-[^-]*).*/\1/p' "$FOLDER/dist/debian/changelog")
[ "$version" = "$packaged" ] || { echo "debian/changelog is of $packaged, the extension of $version" >&2; exit 1; }

say "building it on PostgreSQL $MAJOR in $SUITE"
debian build "build-essential,debhelper,postgresql-$MAJOR,postgresql-server-dev-$MAJOR,postgresql-server-dev-all,liblbfgs-dev"
mv "$FOLDER/dist" "$FOLDER/build/tmp/retention-$version"
inside build sh -euc "
	cd /tmp/retention-$version
	# postgresql-all is for building for every major there is: here it is one
	sed -i '/postgresql-all/d' debian/control.in
	pg_buildext updatecontrol
	dpkg-buildpackage -us -uc -b
"
deb=postgresql-$MAJOR-retention_$version-1_$(dpkg --print-architecture).deb
dpkg-deb --info "$FOLDER/build/tmp/$deb"
dpkg-deb --contents "$FOLDER/build/tmp/$deb"

say "installing it"
debian clean "postgresql-$MAJOR"
cp "$FOLDER/build/tmp/$deb" "$FOLDER/clean/tmp/"
inside clean sh -euc "
	cd /
	apt-get -qq -o Acquire::Check-Valid-Until=false update
	apt-get -qq install -y /tmp/$deb
	pg_createcluster --start $MAJOR main >/dev/null
	psql() { runuser -u postgres -- psql -X -q -A -t -v ON_ERROR_STOP=1 \"\$@\"; }
	psql -c 'CREATE EXTENSION retention' \
		-c 'CREATE TABLE orders (id integer PRIMARY KEY, customer text, total numeric, paid_at timestamptz, completed_at timestamptz)' \
		-c \"SELECT retention.attach_orders('orders', 'id', 'customer', 'total', paid_at => 'paid_at', completed_at => 'completed_at')\" \
		-c \"INSERT INTO orders VALUES (1, 'a', 100, now(), now()), (2, 'a', 50, now(), now())\" \
		-c 'CALL retention.run()'
	[ \"\$(psql -c \"SELECT purchases, spent, retention.points_balance('a') FROM retention.customers\")\" = '2|150|150' ]
	[ \"\$(psql -c \"SELECT check_name, found FROM retention.health() WHERE status <> 'OK'\")\" = '' ]
	[ \"\$(psql -c 'SELECT retention.library_version()')\" = '$version' ]

	# removed, the shop's writes fail until it is put back: the triggers want the library
	apt-get -qq remove -y postgresql-$MAJOR-retention
	! psql -c \"INSERT INTO orders VALUES (3, 'b', 10, now(), now())\" 2>/dev/null
	apt-get -qq install -y /tmp/$deb
	psql -c \"INSERT INTO orders VALUES (3, 'b', 10, now(), now())\"
	[ \"\$(psql -c \"SELECT retention.points_balance('b')\")\" = 10 ]
	pg_ctlcluster $MAJOR main stop

	apt-get -qq purge -y postgresql-$MAJOR-retention
	[ -z \"\$(find /usr/lib/postgresql /usr/share/postgresql -name '*retention*')\" ]
"
say "PostgreSQL $MAJOR: the package builds, installs, works and goes"
