#!/bin/bash
# Runs the tests on other versions of PostgreSQL, each in a small Debian of its
# own: 15 in bookworm, 17 in trixie, 18 in sid.
#
#   bash test/versions.sh [15|17|18|all] [NAME...]
#
# The names are those of test/run.sh.  Needs root, mmdebstrap and about 1 GB a
# version; making one takes a minute or two, afterwards it is used again.
#
# RETENTION_CHROOTS  folder where they are kept (default /var/cache/retention)
# RETENTION_MIRROR   Debian mirror (default http://deb.debian.org/debian)
# RETENTION_DATA     as for test/run.sh
#
# The last line of each version is "PostgreSQL N: ...".  The exit status is 0
# when all passed, 77 when nothing failed but a version could not be had.
set -u

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CHROOTS=${RETENTION_CHROOTS:-/var/cache/retention}
MIRROR=${RETENTION_MIRROR:-http://deb.debian.org/debian}
DATA=${RETENTION_DATA:-$ROOT/../shared/data}
KEYRINGS=/usr/share/keyrings

die() {
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 1
}

suite_of() {
	case $1 in
		15) echo bookworm ;;
		17) echo trixie ;;
		18) echo sid ;;
		*) die "no Debian is known for PostgreSQL \"$1\": 15, 17, 18 or all" ;;
	esac
}

# What the tests need.  postgresql-server-dev itself would bring LLVM, nearly a
# gigabyte: its files alone are unpacked, and the build does without.
packages_of() {
	echo "postgresql-$1,gcc,make,libc6-dev,perl,libipc-run-perl,xz-utils,libpq-dev,libcurl4-openssl-dev,liblbfgs-dev,pgbouncer"
}

# What pg_upgrade comes from: bookworm's 15 unpacked beside trixie's 17, with the
# libraries that trixie has newer.
old_server() {
	cat <<-'SCRIPT'
		cd /tmp && mkdir -p lists/partial debs && cd debs &&
		echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $1 bookworm main" >/tmp/old.list &&
		set -- -q -o Dir::Etc::SourceList=/tmp/old.list -o Dir::Etc::SourceParts=- -o Dir::State::Lists=/tmp/lists &&
		apt-get "$@" update && apt-get "$@" download postgresql-15 postgresql-client-15 postgresql-server-dev-15 libicu72 libldap-2.5-0 &&
		for deb in *.deb; do dpkg -x "$deb" / || exit; done
		rm -rf /tmp/debs /tmp/lists /tmp/old.list
	SCRIPT
}

# make_chroot MAJOR: leaves $CHROOTS/MAJOR whole or not at all
make_chroot() {
	local major=$1 suite folder=$CHROOTS/$1 new=$CHROOTS/$1.new options=()

	suite=$(suite_of "$major") || return
	mkdir -p "$CHROOTS" || return
	rm -rf "$new"
	[ ! -d "$KEYRINGS" ] || options+=(--keyring="$KEYRINGS")
	# a mirror may lag behind, and sid's lists say when they grow old
	mmdebstrap --variant=minbase "${options[@]}" --aptopt='Acquire::Check-Valid-Until "false"' \
		--include="$(packages_of "$major")" \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--essential-hook='mkdir -p "$1/etc/postgresql-common/createcluster.d"' \
		--essential-hook='echo "create_main_cluster = false" >"$1/etc/postgresql-common/createcluster.d/test.conf"' \
		--customize-hook="cd \"\$1/tmp\" && chroot \"\$1\" sh -c 'cd /tmp && apt-get -q download postgresql-server-dev-$major && dpkg -x postgresql-server-dev-*.deb / && rm *.deb'" \
		"$suite" "$new" "$MIRROR" >"$CHROOTS/$major.log" 2>&1 || {
		tail -n 5 "$CHROOTS/$major.log" >&2
		rm -rf "$new"
		return 1
	}
	if [ "$major" = 17 ]; then
		old_server | chroot "$new" sh -s -- "$MIRROR" >>"$CHROOTS/$major.log" 2>&1 ||
			echo "PostgreSQL $major: no PostgreSQL 15 beside it, so no pg_upgrade" >&2
	fi
	packages_of "$major" >"$new/etc/retention-packages"
	rm -rf "$folder"
	mv -T "$new" "$folder"
}

# Inside a namespace of its own, so that every mount and process goes with it.
run_in_chroot() {
	local major=$1 folder=$CHROOTS/$1 work

	shift
	work=$(mktemp -d "$folder/tmp/retention.XXXXXX") && chmod 755 "$work" || return
	mkdir "$work/source" "$work/data"
	tar -C "$ROOT" -cf - --exclude=./.git . | tar -C "$work/source" -xf - || return
	[ -f "$DATA/cdnow.csv.gz" ] || DATA=
	# shellcheck disable=SC2016
	unshare --mount --pid --fork --kill-child bash -c '
		root=$1 work=$2 major=$3 data=$4
		shift 4
		mount --make-rprivate / && mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" || exit
		mount -t tmpfs tmpfs "$root/dev/shm" || exit
		if [ -n "$data" ]; then
			mount --bind "$data" "$work/data" || exit
		fi
		exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root NO_APT=1 \
			RETENTION_DATA="${work#"$root"}/data" PG_CONFIG="/usr/lib/postgresql/$major/bin/pg_config" \
			chroot "$root" bash "${work#"$root"}/source/test/run.sh" "$@"
	' - "$folder" "$work" "$major" "$DATA" "$@"
	set -- $?
	rm -rf "$work"
	return "$1"
}

# run_version MAJOR NAME...: 0 passed, 1 failed, 77 the version could not be had
run_version() {
	local major=$1 folder=$CHROOTS/$1

	printf '\n# PostgreSQL %s in %s\n' "$major" "$(suite_of "$major")"
	(
		flock 9
		[ "$(cat "$folder/etc/retention-packages" 2>/dev/null)" = "$(packages_of "$major")" ] || make_chroot "$major"
	) 9>"$CHROOTS/$major.lock" || {
		echo "PostgreSQL $major: skipped, its Debian could not be made (see $CHROOTS/$major.log)"
		return 77
	}
	if run_in_chroot "$@"; then
		echo "PostgreSQL $major: passed"
	else
		echo "PostgreSQL $major: FAILED"
		return 1
	fi
}

version=${1:-all}
[ $# -eq 0 ] || shift
case $version in
	all) versions=(15 17 18) ;;
	*) suite_of "$version" >/dev/null || exit; versions=("$version") ;;
esac
mkdir -p "$CHROOTS" 2>/dev/null && [ "$(id -u)" -eq 0 ] || why="not root"
command -v mmdebstrap >/dev/null || { [ -z "${why:-}" ] && apt-get -qq install -y --no-install-recommends mmdebstrap >/dev/null 2>&1; } ||
	why=${why:-"no mmdebstrap here"}
unshare --mount --pid --fork sh -c 'mount --make-rprivate / && mount -t tmpfs tmpfs /mnt' 2>/dev/null ||
	why=${why:-"no namespaces of its own to be had here"}
if [ -n "${why:-}" ]; then
	for version in "${versions[@]}"; do
		echo "PostgreSQL $version: skipped, $why"
	done
	exit 77
fi

status=0
for version in "${versions[@]}"; do
	run_version "$version" "$@"
	case $? in
		0) ;;
		77) [ $status -ne 0 ] || status=77 ;;
		*) status=1 ;;
	esac
done
exit $status
