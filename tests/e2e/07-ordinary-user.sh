#!/usr/bin/env bash
# Goal: the server works as an ordinary user, and keeps its secrets to itself.
. "$(dirname "$0")/lib.sh" "$@"
if [ "$(id -u)" -eq 0 ]; then
  mkdir "$work/data" && chown nobody "$work/data"
  cp "$bin/pluviod" "$bin/pluvio-mosquitto.so" "$work/"
  export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1
  setpriv --reuid nobody --regid nogroup --clear-groups --pdeathsig TERM env HOME="$work/data" "$work/pluviod" --data "$work/data" --https-port "$https" \
    --http-port "$http" --node-port "$node_port" --mqtt-port "$mqtt" >"$work/pluviod.log" 2>&1 &
  server_pid=$!
  wait_for 60 curl -sf "http://127.0.0.1:$http/healthz" || die "the server did not start as an ordinary user"
else
  start_server
fi
login
add_node n1; run_node n1 fast
wait_for 60 is_online n1 || die "n1 did not connect"
for file in keys/ca.key keys/server.key keys/token.key admin-password pluvio.db; do
  [ "$(stat -c %a "$work/data/$file")" = 600 ] || die "$file has mode $(stat -c %a "$work/data/$file")"
done
[ "$(stat -c %a "$work/data/keys")" = 700 ] || die "the keys' folder is open"
# Settings: the command line wins over the environment, the environment over the file
made_for() { sed -n 1p "$work/$1/admin-password"; }
printf 'admin-user = file@example.org\nhttp-port = %s\nlog-level = warn\n' "$(free_port $((base + 16)))" >"$work/pluviod.conf"
try() {  # try NAME OPTION...
  "$bin/pluviod" --config "$work/pluviod.conf" --data "$work/$1" --https-port 0 --node-port 0 --mqtt-port "$(free_port $((base + 17)))" "${@:2}" 2>>"$work/pluviod.log" &
  local pid=$!
  wait_for 20 test -s "$work/$1/admin-password" || die "the server with $1 did not start"
  kill "$pid"; wait "$pid" || die "the server with $1 did not end well"
}
try file
PLUVIO_ADMIN_USER=env@example.org try env
PLUVIO_ADMIN_USER=env@example.org try option --admin-user option@example.org
[ "$(made_for file) $(made_for env) $(made_for option)" = "file@example.org env@example.org option@example.org" ] || die "settings: $(made_for file) $(made_for env) $(made_for option)"
echo "an ordinary user is enough, and settings come in their order"
