# What the end-to-end scenarios share.  Each begins with its goal in one sentence and sources this:
#   scenario.sh BUILD-FOLDER SOURCE-FOLDER NUMBER      NUMBER gives every scenario ports of its own
set -euo pipefail
bin=$(readlink -f "$1") root=$(readlink -f "$2") number=$3
. "$root/scripts/lib.sh"

work=$(mktemp -d "${TMPDIR:-/tmp}/pluvio-e2e.XXXXXX")
chmod 755 "$work"
export PLUVIO_SESSION=$work/session.json NO_COLOR=1
# Leaks are looked for in the unit tests; here a process may be killed at any point.
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:log_path=$work/asan UBSAN_OPTIONS=print_stacktrace=1:log_path=$work/ubsan
base=$((21000 + 10#$number * 20)) # 10#: 08 is no octal number
https=$(free_port $base) http=$(free_port $((base + 4))) node_port=$(free_port $((base + 8))) mqtt=$(free_port $((base + 12)))
pids=() server_pid='' server_options=()

# Passwords, tokens and private keys that this scenario made stand in no log.
logs_keep_secrets() {
  local secrets=$work/secrets-of-this-run
  { tail -n 1 "$work/data/admin-password" 2>/dev/null | sed "s/.*[ :]//"
    cat "$work"/*.json 2>/dev/null | jq -r '.access?, .refresh? // empty' 2>/dev/null
    printf '%s\n' Passw0rd plv_ 'PRIVATE KEY'
    find "$work" -name '*.key' -exec sed -n '2p' {} + 2>/dev/null; } | awk 'length($0) >= 4' >"$secrets"
  ! grep -rFl -f "$secrets" "$work/pluviod.log" "$work/data/broker" --include='*.log' 2>/dev/null || return 1
}

cleanup() {
  local status=$?
  trap - EXIT
  [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
  [ -z "$server_pid" ] || kill "$server_pid" 2>/dev/null || true
  end_far
  wait 2>/dev/null || true
  if compgen -G "$work/asan*" >/dev/null || compgen -G "$work/ubsan*" >/dev/null; then
    echo "a sanitizer spoke:"; cat "$work"/asan* "$work"/ubsan* 2>/dev/null; status=1
  fi
  logs_keep_secrets || { echo "a secret stands in a log:"; grep -nFf "$work/secrets-of-this-run" "$work/pluviod.log" | head -3; status=1; }
  if [ $status -ne 0 ]; then
    echo "=== pluviod"; tail -n 40 "$work/pluviod.log" 2>/dev/null || true
    for log in "$work"/n*.log; do [ -f "$log" ] && { echo "=== $log"; tail -n 30 "$log"; }; done
  fi
  rm -rf "$work"
  exit $status
}
trap cleanup EXIT
trap 'exit 143' TERM INT

die() { echo "FAILED: $*" >&2; exit 1; }

# PLUVIO_FAR=yes: the same scenario over PostgreSQL, an object store and a broker that runs by itself.  The services are
# the tests' own (tests/tools/service.sh).  far_redirect=no: downloads go through the server.  Each scenario has a database and a prefix of its own in them.
far_options=() far_pids=() far_write=() far_database=''
start_far_broker() {
  spawn mosquitto -c "$work/far-broker/mosquitto.conf" >>"$work/far-broker.log" 2>&1 &
  far_pids=($!)
}
# Authorities have changed: the server tells its own child; the owner of another broker writes its folder again.
renew_broker() {  # renew_broker HUP, or TERM when there are fewer
  [ ${#far_pids[@]} -gt 0 ] || return 0
  [ "$("${far_write[@]}" 2>>"$work/far.log")" = "$(cat "$work/far-broker/url")" ] || die "the broker is not written again"
  if [ "$1" = HUP ]; then kill -HUP "${far_pids[0]}"; else kill "${far_pids[0]}"; wait "${far_pids[0]}" 2>/dev/null || true; start_far_broker; fi
}
# The broker dies: the server's own child is started again by the server, one that runs by itself by whoever runs it.
kill_broker() {
  if [ ${#far_pids[@]} -eq 0 ]; then pkill -KILL -P "$server_pid" mosquitto; return; fi
  kill -KILL "${far_pids[0]}"; wait "${far_pids[0]}" 2>/dev/null || true
  start_far_broker
}
stop_server_and_broker() {
  kill -TERM "$server_pid"; wait "$server_pid" || true
  [ ${#far_pids[@]} -eq 0 ] || { kill "${far_pids[0]}"; wait "${far_pids[0]}" 2>/dev/null || true; }
}
start_far() {
  local pg s3 door url
  [ "${PLUVIO_FAR:-no}" = yes ] && [ ${#far_options[@]} -eq 0 ] || return 0
  pg=$(cat "$PLUVIO_SERVICES/postgres.url") s3=$(cat "$PLUVIO_SERVICES/s3.url") door=$(free_port $((base + 17)))
  far_database=pluvio_e2e_${number}_$$
  psql -qAt "$pg/postgres" -c "CREATE DATABASE $far_database" >/dev/null
  export AWS_ACCESS_KEY_ID=test:tester AWS_SECRET_ACCESS_KEY=testing
  mkdir -p -m 711 "$work/data"
  far_write=("$bin/pluviod" --data "$work/far" --keys "$work/data/keys" --store "$pg/$far_database" --write-broker "$work/far-broker" --mqtt-port "$mqtt" --broker-port "$door")
  url=$("${far_write[@]}" 2>"$work/far.log") || die "$(cat "$work/far.log")"
  start_far_broker
  far_options=(--store "$pg/$far_database" --blob "$s3/e2e-$number-$$?redirect=${far_redirect:-yes}" --broker "$url" --mqtt-host "localhost:$mqtt")
}
end_far() {
  [ ${#far_pids[@]} -eq 0 ] || kill "${far_pids[@]}" 2>/dev/null || true
  [ -z "$far_database" ] || psql -qAt "$(cat "$PLUVIO_SERVICES/postgres.url")/postgres" -c "DROP DATABASE IF EXISTS $far_database WITH (FORCE)" >/dev/null 2>&1 || true
}

start_server() {  # start_server [OPTION...]
  start_far
  spawn "$bin/pluviod" --data "$work/data" --https-port "$https" --http-port "$http" --node-port "$node_port" --mqtt-port "$mqtt" \
    --log-level debug --max-requests 0 --max-logins 0 "${far_options[@]}" "${server_options[@]}" "$@" >>"$work/pluviod.log" 2>&1 &
  server_pid=$!
  wait_for 60 curl -sf "http://127.0.0.1:$http/healthz" || die "the server did not start"
}

login() { "$bin/pluvio" login --server "http://127.0.0.1:$http" --password-file "$work/data/admin-password" >/dev/null; }
token() { jq -r .access "$PLUVIO_SESSION"; }
rest() { local method=$1 path=$2; shift 2; curl -s -X "$method" -H "Authorization: $(token)" "http://127.0.0.1:$http$path" "$@"; }

add_node() {  # add_node NAME
  "$bin/pluvio" node add "$1" --out "$work/$1" >/dev/null
  "$bin/vesp" new "$work/$1.flash" --size 16M --app "$bin/blinky-1.0.0.bin" --fctry "$work/$1/fctry.bin" --ca-bundle "$work/$1/ca.crt"
}

run_node() {  # run_node NAME [fast|real]
  spawn "$bin/vesp" run "$work/$1.flash" --flash-speed "${2:-real}" >>"$work/$1.log" 2>&1 &
  pids+=($!)
}

node_field() { rest GET "/v1/admin/nodes?node_id=$1" | jq -r ".$2"; }
is_online() { [ "$(node_field "$1" node_status)" = online ]; }
runs() { [ "$(node_field "$1" fw_version)" = "$2" ]; }
state() { rest GET "/v1/admin/otajob/status?ota_job_id=$1&node_id=$2" | jq -r '.node_ota_status[0].state'; }
in_state() { [ "$(state "$1" "$2")" = "$3" ]; }
job_field() { rest GET "/v1/admin/otajob?ota_job_id=$1" | jq -r ".$2"; }
is_finished() { [ "$(job_field "$1" status)" = finished ]; }
upload() { "$bin/pluvio" image upload "$bin/$1.bin" >/dev/null; }
start_job() { "$bin/pluvio" job start --json "$@" | jq -r .ota_job_id; }
