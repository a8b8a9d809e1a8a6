#!/usr/bin/env bash
# Installs Asterisk 22 and the programs beside it, from Debian's packages.
#
#   install.sh packages     print the packages, one a line
#   install.sh id           print a short name for what `root` would unpack, for a cache directory
#   install.sh image        into this system, with apt-get (Debian forky: the Dockerfile)
#   install.sh host NAME .. packages that set-up itself needs, into this system
#   install.sh root DIR     into a new root at DIR, with mmdebstrap (any Debian from 12 on, as root)
#
# A root is only unpacked, never configured: its programs run without chroot and without mounts,
# through the root's own loader. DIR appears, complete and checked, or not at all.
set -euo pipefail

RECIPE=1
SUITES=(forky sid) # the first that has Asterisk 22
PACKAGES=(asterisk asterisk-modules ca-certificates espeak-ng redis-server sip-tester)
FALLBACK_MIRROR=http://deb.debian.org/debian
NEEDED_MB=900

export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

say() { printf '%s\n' "$*" >&2; }
die() { say "install.sh: $*"; exit 1; }

# A mirror whose Release file has passed its Valid-Until is still a signed mirror; some caches lag.
apt_get() {
    local log
    log=$(mktemp)
    if apt-get -qq -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1; then
        rm -f "$log"
        return 0
    fi
    if grep -q 'is expired' "$log"; then
        say "    the mirror's Release file has expired: reading it all the same (signatures are checked)"
        if apt-get -qq -o Acquire::Check-Valid-Until=false "$@" >"$log" 2>&1; then
            rm -f "$log"
            return 0
        fi
    fi
    tail -n 5 "$log" >&2
    rm -f "$log"
    return 1
}

need_root() {
    [ "$(id -u)" -eq 0 ] || die "must run as root (apt-get and mmdebstrap need it): try again with sudo"
}

# Debian's programs on the host that set-up itself needs.
host_packages() {
    apt_get install -y --no-install-recommends "$@" 2>/dev/null && return 0
    apt_get update || die "apt-get update failed: are Debian's packages reachable from this machine?"
    apt_get install -y --no-install-recommends "$@" || die "apt-get could not install: $*"
}

mirror() {
    local found
    # shellcheck disable=SC2016 # apt-get itself expands it
    found=$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null |
        grep -E '^https?://.*/debian/?$' | head -n 1 || true)
    printf '%s\n' "${found:-$FALLBACK_MIRROR}"
}

asterisk_version() { # of the root in $1
    local loader libraries
    loader=$(find "$1"/usr/lib "$1"/usr/lib64 -maxdepth 2 -name 'ld-linux-*.so.*' 2>/dev/null | head -n 1)
    libraries=$(find "$1"/usr/lib -maxdepth 1 -name '*-linux-gnu*' | head -n 1)
    "$loader" --library-path "$libraries" "$1/usr/sbin/asterisk" -V
}

is_asterisk_22() { [[ $1 == "Asterisk 22."* ]]; }

unpack() { # SUITE DIR LOG [mmdebstrap options]; shows mmdebstrap's own progress
    local suite=$1 dir=$2 log=$3 include
    shift 3
    include=$(IFS=,; printf '%s' "${PACKAGES[*]}")
    rm -rf "$dir"
    mmdebstrap --variant=extract --include="$include" "$@" "$suite" "$dir" \
        "deb $(mirror) $suite main" 2>&1 </dev/null | tee "$log" | sed -un 's/^I: \(running\|downloading\|extracting\|success\)/    \1/p' >&2
}

unpack_suite() { # SUITE DIR LOG
    unpack "$@" && return 0
    if grep -q 'is expired' "$3"; then
        say "    the mirror's Release file has expired: reading it all the same (signatures are checked)"
        unpack "$@" --aptopt='Acquire::Check-Valid-Until "false"' && return 0
    fi
    grep -E '^(E|W|Err):?' "$3" | tail -n 8 >&2 || tail -n 8 "$3" >&2
    if grep -q 'No space left' "$3"; then
        die "the disk is full at $(dirname "$2")"
    elif grep -qE 'Could not (resolve|connect)|Connection (refused|timed out|failed)|Temporary failure' "$3"; then
        die "the Debian mirror $(mirror) cannot be reached: check the network, or apt's sources"
    elif grep -qE 'NO_PUBKEY|not signed' "$3"; then
        die "the mirror's signature is unknown: apt-get install --only-upgrade debian-archive-keyring"
    fi
    return 1
}

make_root() {
    local target=$1 partial=$1.partial log=$1.log free suite version
    [ ! -e "$target" ] || die "$target is there already"
    need_root
    mkdir -p "$(dirname "$target")"
    # shellcheck disable=SC2064 # the path as it is now
    trap "rm -rf '$partial'" EXIT
    free=$(df -Pm "$(dirname "$target")" | awk 'NR == 2 { print $4 }')
    [ "$free" -ge "$NEEDED_MB" ] ||
        die "needs $NEEDED_MB MB free in $(dirname "$target"), there are $free (TELEPHONY_CACHE names another place)"
    if ! command -v mmdebstrap >/dev/null; then
        say "    installing mmdebstrap"
        host_packages mmdebstrap gpg
    fi
    for suite in "${SUITES[@]}"; do
        say "    Debian $suite from $(mirror)"
        unpack_suite "$suite" "$partial" "$log" || continue
        version=$(asterisk_version "$partial" 2>&1) || version="no answer: $version"
        if is_asterisk_22 "$version"; then
            mv -T "$partial" "$target"
            rm -f "$log"
            say "    $version"
            return 0
        fi
        say "    $suite has $version, 22 is needed"
    done
    die "no Asterisk 22 in Debian ${SUITES[*]} from $(mirror); mmdebstrap's words are in $log"
}

make_image() {
    local version
    need_root
    apt_get update || die "apt-get update failed: are Debian's packages reachable?"
    apt_get install -y --no-install-recommends "${PACKAGES[@]}" python3 python3-venv ||
        die "apt-get could not install: ${PACKAGES[*]}"
    version=$(asterisk -V)
    is_asterisk_22 "$version" || die "this Debian has $version, 22 is needed"
    apt-get clean
    rm -rf /var/lib/apt/lists/*
    say "$version"
}

case "${1:-}" in
packages) printf '%s\n' "${PACKAGES[@]}" ;;
id) printf '%s\n' "$RECIPE" "${SUITES[@]}" "${PACKAGES[@]}" "$(uname -m)" | sha256sum | cut -c1-12 ;;
image) make_image ;;
host) need_root; host_packages "${@:2}" ;;
root) make_root "${2:?install.sh root DIR}" ;;
*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
