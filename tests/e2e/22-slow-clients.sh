#!/usr/bin/env bash
# Goal: two thousand clients that never end their requests keep nobody from being served, over plain HTTP.
. "$(dirname "$0")/lib.sh" "$@"
[ "$(ulimit -n)" -ge 5000 ] || ulimit -n 5000 2>/dev/null || { echo "too few file descriptors are allowed"; exit 77; }
start_server --log-level warn
login
spawn python3 "$root/tests/tools/slow_clients.py" 127.0.0.1 "$http" 2000 >"$work/slow" 2>&1 &
pids+=($!)
wait_for 60 grep -q ready "$work/slow" || die "no two thousand connections: $(tail -2 "$work/slow")"
rounds() { [ "$(grep -c . "$work/slow")" -ge 3 ]; }
wait_for 30 rounds || die "the slow ones do not go on"
for i in $(seq 50); do
  rest GET /v1/admin/nodes | jq -e .nodes >/dev/null || die "request $i was not served"
done
[ "$(tail -1 "$work/slow")" -ge 1900 ] || die "the slow ones were gone: $(tail -1 "$work/slow")"
add_node n1
run_node n1 fast
wait_for 60 is_online n1 || die "a node was kept out"
echo "served beside $(tail -1 "$work/slow") slow ones"
