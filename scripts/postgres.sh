#!/usr/bin/env bash
# A PostgreSQL of our own, for tests and measurements: a folder, a free port on 127.0.0.1, nothing of the system's.
#   postgres.sh start FOLDER     makes it if need be, and starts it; prints a URL without a database
#   postgres.sh stop FOLDER      ends it; `kill` does so by SIGKILL, all its processes at once
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/lib.sh"
verb=$1 folder=$2

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
[ -n "$bin" ] || bin=$(dirname "$(command -v initdb)")
[ -x "$bin/initdb" ] || { echo "PostgreSQL is not installed: ./dev setup" >&2; exit 1; }

# PostgreSQL refuses to run as root.
as_owner() { if [ "$(id -u)" -eq 0 ]; then setpriv --reuid postgres --regid postgres --clear-groups env HOME=/ "$@"; else "$@"; fi; }

start() {
  if [ ! -f "$folder/data/PG_VERSION" ]; then
    mkdir -p "$folder"
    chmod 755 "$folder"
    [ "$(id -u)" -ne 0 ] || chown postgres "$folder"
    as_owner "$bin/initdb" -D "$folder/data" -U pluvio -A trust -E UTF8 --locale=C >"$folder/initdb.log" 2>&1 || { cat "$folder/initdb.log" >&2; exit 1; }
    free_port 27000 >"$folder/port"
  fi
  (cd "$folder" && as_owner "$bin/pg_ctl" -D "$folder/data" -w -t 60 -l "$folder/data/log" \
    -o "-c listen_addresses=127.0.0.1 -c port=$(cat "$folder/port") -c unix_socket_directories=$folder/data -c max_connections=200 -c log_min_messages=fatal" \
    start >/dev/null) || { cat "$folder/data/log" >&2; exit 1; }
  echo "postgres://pluvio@127.0.0.1:$(cat "$folder/port")"
}

case "$verb" in
  start) start ;;
  stop) (cd "$folder" && as_owner "$bin/pg_ctl" -D "$folder/data" -w -m fast stop >/dev/null) ;;
  # The postmaster first, so that nobody starts anew; its children see that it is gone, and are killed all the same.
  kill) pid=$(head -1 "$folder/data/postmaster.pid"); children=$(pgrep -P "$pid" || true); kill -KILL "$pid" $children 2>/dev/null || true
    for pid in $pid $children; do while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done; done ;;
  *) echo "usage: postgres.sh start|stop|kill FOLDER" >&2; exit 64 ;;
esac
