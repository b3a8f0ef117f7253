# A broker of the tests' own, and nodes for it: what a service would say is said with mosquitto_pub, what nodes say lies in
# $work/heard, a line "<topic> <payload>" each.  Sourced after lib.sh.
tls=$(free_port $((base + 16))) plain=$(free_port $((base + 18))) files=$(free_port $((base + 4)))

certificate() {  # certificate NAME SUBJECT [EXTENSION]
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$2" -keyout "$work/$1.key" -out "$work/$1.csr" 2>/dev/null
  openssl x509 -req -in "$work/$1.csr" -CA "$work/ca.crt" -CAkey "$work/ca.key" -CAcreateserial -days 30 -out "$work/$1.crt" \
    -extfile <(echo "${3:-basicConstraints=CA:FALSE}") 2>/dev/null
}

run_broker() {
  spawn mosquitto -c "$work/mosquitto.conf" >>"$work/mosquitto.log" 2>&1 &
  broker=$!
  pids+=($!)
  wait_for 20 mosquitto_pub -p "$plain" -t t -m m || die "the broker did not start"
}

listen() {
  spawn mosquitto_sub -p "$plain" -q 1 -t '$aws/rules/+/node/#' -t 'node/#' -F '%t %p' >>"$work/heard" &
  pids+=($!)
  wait_for 20 hears_itself || die "the listener does not listen"
}
hears_itself() { mosquitto_pub -p "$plain" -t node/listener/check -m here; grep -q '^node/listener/check here' "$work/heard"; }

start_broker() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=Test authority" \
    -keyout "$work/ca.key" -out "$work/ca.crt" 2>/dev/null
  certificate server /CN=localhost "subjectAltName=DNS:localhost,IP:127.0.0.1"
  cat >"$work/mosquitto.conf" <<CONF
per_listener_settings true
listener $tls 127.0.0.1
cafile $work/ca.crt
certfile $work/server.crt
keyfile $work/server.key
require_certificate true
use_identity_as_username true
listener $plain 127.0.0.1
allow_anonymous true
CONF
  chmod 644 "$work"/*.key
  run_broker
  listen
}

serve_files() {  # the folder $work/www, over HTTPS
  mkdir -p "$work/www"
  spawn python3 "$root/tests/tools/range_server.py" "$work/www" "$files" "$work/server.crt" "$work/server.key" >>"$work/files.log" 2>&1 &
  files_pid=$!
  pids+=($!)
  wait_for 20 curl -sk "https://localhost:$files/" || die "the file server did not start"
}

add_agent() {  # add_agent NAME IMAGE [VESP-NEW-OPTION...]
  local name=$1 image=$2; shift 2
  certificate "$name" "/CN=$name"
  printf '%s' "$name" >"$work/$name.id"
  printf 'localhost:%s' "$tls" >"$work/$name.host"
  cat >"$work/$name.csv" <<CSV
key,type,encoding,value
rmaker_creds,namespace,,
node_id,file,binary,$name.id
mqtt_host,file,binary,$name.host
client_cert,file,binary,$name.crt
client_key,file,binary,$name.key
CSV
  (cd "$work" && "$bin/pluvio" nvs make "$name.csv" --size 0x6000 --output "$name.nvs" >/dev/null)
  "$bin/vesp" new "$work/$name.flash" --size 16M --app "$bin/$image.bin" --fctry "$work/$name.nvs" --ca-bundle "$work/ca.crt" "$@"
}

heard() { grep -aqF -- "$1" "$work/heard"; }
times() { grep -acF -- "$1" "$work/heard" || true; }
tell() { mosquitto_pub -p "$plain" -q 1 -t "$1" -m "$2"; }
expect() { wait_for "${2:-60}" heard "$1" || { tail -n 40 "$work/heard"; die "not heard: $1"; }; }
