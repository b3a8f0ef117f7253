#!/usr/bin/env bash
# A service for a run of the tests: service.sh up|down postgres|s3 BUILD-FOLDER SOURCE-FOLDER.  Its URL is in
# BUILD-FOLDER/NAME.url.
set -euo pipefail
name=$2 build=$3 script=$4/scripts/$2.sh
old=$(cat "$build/$name.folder" 2>/dev/null || true)
down() { [ -z "$old" ] || { "$script" stop "$old" || true; rm -rf "$old" "$build/$name.folder" "$build/$name.url"; } 2>/dev/null; }
case "$1" in
  up)
    down # what a run that was killed has left
    folder=$(mktemp -d "${TMPDIR:-/tmp}/pluvio-$name.XXXXXX")
    echo "$folder" >"$build/$name.folder"
    "$script" start "$folder" >"$build/$name.url" </dev/null 2>"$build/$name.log" || { cat "$build/$name.log" >&2; exit 1; } ;;
  down) down ;;
esac
