#!/usr/bin/env bash
# Makes this checkout's tools ready, then runs a command with them:
#
#   setup.sh [COMMAND ...]             install what is missing first
#   setup.sh --as-is COMMAND ...       install nothing (make stop, make status)
#
# Everything is kept in one cache outside the checkout, shared by all checkouts: a Debian root with
# Asterisk, a Python environment, and the caches of the test tools. What an earlier set-up left
# half made is thrown away; a second set-up at the same time waits for the first.
set -euo pipefail

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
install=$checkout/docker/install.sh
lock=$checkout/requirements-dev.lock
cache=${TELEPHONY_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/hotline-telephony}

say() { printf '%s\n' "$*" >&2; }
die() { say "setup: $*"; exit 1; }

find_python() {
    local candidate
    for candidate in python3 python3.13 python3.12 python3.11; do
        "$candidate" -c 'import sys; print(sys.executable) if sys.version_info >= (3, 11) else sys.exit(1)' \
            2>/dev/null && return 0
    done
    return 1
}

make_root() {
    say "==> Asterisk 22 and Redis into $root (about 350 MB; half a minute)"
    bash "$install" root "$root"
}

make_venv() {
    say "==> Python packages into $venv (about 250 MB; half a minute)"
    rm -rf "$venv"
    "$python" -c 'import ensurepip' 2>/dev/null || {
        say "    installing python3-venv"
        bash "$install" host python3-venv
    }
    "$python" -m venv "$venv"
    "$venv/bin/python" -m pip --disable-pip-version-check -qq install \
        --no-deps --require-hashes -r "$lock" ||
        die "pip could not install the packages of $(basename "$lock"): is PyPI reachable? (pip's words are above)"
    touch "$venv/.complete"
}

root_ready() { [ -x "$root/usr/sbin/asterisk" ]; }
venv_ready() { [ -e "$venv/.complete" ] && "$venv/bin/python" -c '' 2>/dev/null; }

install_missing() {
    [ "$(id -u)" -eq 0 ] || die "must run as root (Debian packages are installed): try again with sudo"
    mkdir -p "$cache" || die "cannot write to $cache (TELEPHONY_CACHE names another place)"
    (
        flock -n 9 || {
            say "==> another set-up is at work in $cache: waiting for it"
            flock -w 1800 9 || die "the other set-up did not end within half an hour"
        }
        root_ready || { rm -rf "$cache"/root-*.partial; make_root; }
        venv_ready || make_venv
    ) 9>"$cache/lock"
}

as_is=
[ "${1:-}" != --as-is ] || { as_is=yes; shift; }

root=$cache/root-$(bash "$install" id)
if ! python=$(find_python); then
    [ -z "$as_is" ] || die "no Python from 3.11 on here"
    say "==> Python"
    bash "$install" host python3 python3-venv
    python=$(find_python) || die "this Debian has no Python from 3.11 on"
fi
short_hash() { sha256sum | cut -c1-12; }
venv=$cache/venv-$({ cat "$lock"; "$python" -c 'import sys; print(sys.version, sys.base_prefix)'; } | short_hash)
tools=$cache/tools-$(printf '%s' "$checkout" | short_hash)

if [ -z "$as_is" ] && ! { root_ready && venv_ready; }; then
    install_missing
fi

[ $# -gt 0 ] || exit 0
if venv_ready; then
    PATH=$venv/bin:$PATH
elif [ "$1" = python ]; then # with the standard library alone: enough to stop and to ask
    set -- "$python" "${@:2}"
fi
cd "$checkout"
export PATH TELEPHONY_ROOT=$root PYTHONPATH=$checkout PYTHONPYCACHEPREFIX=$cache/pycache \
    RUFF_CACHE_DIR=$tools/ruff MYPY_CACHE_DIR=$tools/mypy HYPOTHESIS_STORAGE_DIRECTORY=$tools/hypothesis \
    PYTEST_ADDOPTS="-o cache_dir=$tools/pytest ${PYTEST_ADDOPTS:-}"
unset PYTHONDONTWRITEBYTECODE # compiling everything at every start takes seconds
exec "$@"
