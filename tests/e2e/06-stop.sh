#!/usr/bin/env bash
# Goal: everything stops on a signal, with or without load, and leaves no process behind; help reads and exits 0.
. "$(dirname "$0")/lib.sh" "$@"
for program in pluviod pluvio vesp; do
  "$bin/$program" --help >"$work/help" || die "$program --help failed"
  [ "$(wc -l <"$work/help")" -ge 10 ] && grep -qi "usage" "$work/help" || die "$program --help says too little"
done
"$bin/pluvio" job start --help >"$work/help" && grep -q -- --force-push "$work/help" || die "job start --help"
"$bin/pluvio" jobs 2>/dev/null && die "an unknown command was taken"
for signal in TERM INT; do
  start_server
  login
  [ "$signal" = INT ] || { add_node n1; }
  run_node n1 fast
  wait_for 60 is_online n1 || die "n1 did not connect"
  curl -sN -H "Authorization: $(token)" "http://127.0.0.1:$http/v1/admin/events" >"$work/events" &
  stream=$!
  wait_for 20 grep -q welcome "$work/events" || die "no event stream"
  broker=$(pgrep -P "$server_pid" mosquitto) app=$(pgrep -P "${pids[-1]}")
  kill -TERM "${pids[-1]}"; wait "${pids[-1]}" 2>/dev/null || true
  is_offline() { ! is_online n1; }
  wait_for 20 is_offline || die "n1 is still online"
  if [ "$signal" = INT ]; then python3 -c "import os,signal; os.kill($server_pid, signal.SIGINT)"; else kill -TERM "$server_pid"; fi
  wait "$server_pid" || die "pluviod did not end well"
  wait "$stream" 2>/dev/null || true
  gone() { ! kill -0 "$broker" 2>/dev/null && ! kill -0 "$app" 2>/dev/null; }
  wait_for 20 gone || die "a process stayed behind"
  pids=() server_pid=''
done
# The broker dies with a killed server, too, and a killed broker is started again
start_server
broker=$(pgrep -P "$server_pid" mosquitto)
kill -KILL "$broker"
again() { local new; new=$(pgrep -P "$server_pid" mosquitto) && [ "$new" != "$broker" ]; }
wait_for 20 again || die "the broker was not started again"
broker=$(pgrep -P "$server_pid" mosquitto)
kill -KILL "$server_pid"; wait "$server_pid" 2>/dev/null || true
gone() { ! kill -0 "$broker" 2>/dev/null; }
wait_for 20 gone || die "the broker outlived the server"
server_pid=''
echo "everything stops"
