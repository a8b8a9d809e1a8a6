#!/usr/bin/env bash
# Writes requirements.lock (what the image installs) and requirements-dev.lock (the tests' tools too)
# from pyproject.toml. Needs uv; options are passed on to it (--upgrade).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

compile() { # FILE [options]
    local file=$1
    shift
    uv --no-config pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --custom-compile-command 'make lock' --output-file "$file" "$@"
}

compile requirements.lock "$@"
compile requirements-dev.lock --extra dev --constraint requirements.lock "$@"
