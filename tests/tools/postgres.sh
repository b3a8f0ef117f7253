#!/usr/bin/env bash
# A PostgreSQL for a run of the tests: postgres.sh up|down BUILD-FOLDER SOURCE-FOLDER.  Its URL is in BUILD-FOLDER/postgres.url.
set -euo pipefail
build=$2 script=$3/scripts/postgres.sh
old=$(cat "$build/postgres.folder" 2>/dev/null || true)
down() { [ -z "$old" ] || { "$script" stop "$old" || true; rm -rf "$old" "$build/postgres.folder" "$build/postgres.url"; } 2>/dev/null; }
case "$1" in
  up)
    down # what a run that was killed has left
    folder=$(mktemp -d "${TMPDIR:-/tmp}/pluvio-postgres.XXXXXX")
    echo "$folder" >"$build/postgres.folder"
    "$script" start "$folder" >"$build/postgres.url" ;;
  down) down ;;
esac
