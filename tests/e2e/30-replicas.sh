#!/usr/bin/env bash
# Goal: three servers over one PostgreSQL, one object store and one broker are one server, whichever of these dies or is
# cut off meanwhile: jobs end with exact counts, no node works on a job twice, and what was answered stays.
. "$(dirname "$(readlink -f "$0")")/lib.sh"
nodes=${REPLICA_NODES:-2000}
broker_port=$((mqtt + 1)) proxy_port=$(free_port $((base + 15)))
export AWS_ACCESS_KEY_ID=test:tester AWS_SECRET_ACCESS_KEY=testing
declare -A servers=()
broker_pid='' proxy_pid=''

stop_services() {
  local status=$?
  [ -z "$proxy_pid" ] || kill -CONT "$proxy_pid" 2>/dev/null || true
  kill $broker_pid $proxy_pid "${servers[@]}" 2>/dev/null || true
  wait "${servers[@]}" 2>/dev/null || true
  "$root/scripts/postgres.sh" stop "$work/pg" 2>/dev/null || true
  "$root/scripts/s3.sh" stop "$work/s3" 2>/dev/null || true
  if [ $status -ne 0 ]; then for i in 1 2 3; do echo "=== pluviod $i"; tail -n 25 "$work/pluviod$i.log" || true; done; tail -n 5 "$work"/load*.log || true; fi
  (exit $status)
  cleanup
}
trap stop_services EXIT

# --- the services
pg=$("$root/scripts/postgres.sh" start "$work/pg")
s3=$("$root/scripts/s3.sh" start "$work/s3" </dev/null 2>"$work/s3.log")
spawn "$root/tests/tools/tcp_proxy.py" "$proxy_port" "${pg##*:}" &
proxy_pid=$!
proxy_is_there() { ! port_is_free "$proxy_port"; }
wait_for 20 proxy_is_there || die "the proxy does not listen"
sql() { psql -qAt "$pg/postgres" -c "$1"; }
broker=$("$bin/pluviod" --data "$work/data-of-files" --keys "$work/keys" --store "$pg/postgres" --write-broker "$work/broker" --mqtt-port "$mqtt" --broker-port "$broker_port" 2>"$work/files.log") || { cat "$work/files.log"; die "no files for a broker"; }
start_broker() { spawn mosquitto -c "$work/broker/mosquitto.conf" >>"$work/broker.log" 2>&1 & broker_pid=$!; }
start_broker

url_of() { echo "http://127.0.0.1:$((http + $1))"; }
start_replica() {  # start_replica NUMBER
  local store=$pg/postgres
  [ "$1" -ne 3 ] || store=postgres://pluvio@127.0.0.1:$proxy_port/postgres
  spawn "$bin/pluviod" --data "$work/data$1" --keys "$work/keys" --store "$store" --blob "$s3" --broker "$broker" --mqtt-host "localhost:$mqtt" \
    --https-port $((https + $1)) --http-port $((http + $1)) --node-port 0 --max-requests 0 --max-logins 0 --drain 6 >>"$work/pluviod$1.log" 2>&1 &
  servers[$1]=$!
}
is_ready() { curl -sf -m 2 "$(url_of "$1")/readyz"; }
for i in 1 2 3; do start_replica $i; done
for i in 1 2 3; do wait_for 60 is_ready $i || die "server $i is not ready"; done
[ "$(sql 'SELECT count(*) FROM servers')" = 3 ] || die "there are not three servers in the database"

# --- one administrator, seen by all; what one of them answered is there at the others at once
password=$(ls "$work"/data*/admin-password)
[ "$(echo "$password" | wc -l)" = 1 ] || die "there is more than one administrator"
"$bin/pluvio" login --server "$(url_of 1)" --password-file "$password" >/dev/null
export PLUVIO_TOKEN; PLUVIO_TOKEN=$("$bin/pluvio" token add load --role admin --days 1 --json | jq -r .token)
ask() { local i=$1 method=$2 path=$3; shift 3; curl -s -m 60 -X "$method" -H "Authorization: $PLUVIO_TOKEN" "$(url_of "$i")$path" "$@"; }
[ "$(ask 2 GET /v1/admin/nodes | jq .total)" = 0 ] || die "the token of one server is not known to another"
curl -sN -H "Authorization: $PLUVIO_TOKEN" "$(url_of 3)/v1/admin/events" >"$work/events" & pids+=($!)
for version in 2.0 3.0; do
  (printf '\177ELF'; head -c 60000 /dev/urandom) >"$work/elf"
  "$bin/pluvio" image pack "$work/elf" --project app --version $version --chip esp32c3 --output "$work/app-$version.bin" --quiet
  "$bin/pluvio" image upload "$work/app-$version.bin" >/dev/null
done
wait_for 10 grep -q '"ota_image_id"' "$work/events" || die "the third server's stream does not tell what the first one did"

# A revoked token is refused everywhere at once.
second=$("$bin/pluvio" token add gone --role viewer --days 1 --json)
seen() { curl -s -m 10 -o /dev/null -w '%{http_code}' -H "Authorization: $(echo "$second" | jq -r .token)" "$(url_of 2)/v1/admin/nodes"; }
[ "$(seen)" = 200 ] || die "a new token is not taken by another server"
"$bin/pluvio" token delete "$(echo "$second" | jq -r .token_id)" >/dev/null
is_refused() { [ "$(seen)" = 401 ]; }
wait_for 5 is_refused || die "a revoked token is still taken by another server"

# --- the nodes
start_load() {  # start_load FROM TO
  spawn "$bin/pluvio-fleet" load --server "$(url_of 2)" --nodes "$nodes" --rate 250 --folder "$work/load" --version "$1" --target "$2" --seconds $((200 + nodes / 20)) >"$work/load-$2.log" 2>&1 &
  load_pid=$!
}
online() { sql "SELECT count(*) FROM nodes, facts WHERE facts.name='epoch' AND nodes.epoch=facts.value"; }
all_online() { [ "$(online)" = "$nodes" ]; }
counts() { ask "$1" GET "/v1/admin/otajob?ota_job_id=$2" | jq -c '[.ota_jobs[0] // . | .states.success, .total_count]'; }
start_all() { ask "$1" POST "/v1/admin/otajob?force_push=true" -H 'Content-Type: application/json' -d "{\"ota_job_name\":\"to $2\",\"ota_image_id\":\"$(image_id "$2")\",\"groups\":[\"FFFF-FFFF\"],\"rollout\":\"rate 150/s\"}" | jq -r .ota_job_id; }
image_id() { ask 1 GET /v1/admin/otaimage | jq -r --arg v "$1" '.ota_images[] | select(.fw_version == $v) | .ota_image_id'; }
ended() { [ "$(sql "SELECT count(*) FROM executions WHERE job_id='$1' AND state=9")" -ge "$2" ]; }
is_done() { ! kill -0 "$load_pid" 2>/dev/null; }

start_load 1.0 2.0
wait_for $((100 + nodes / 50)) all_online || die "only $(online) of $nodes nodes are there"

# --- a server is cut off from the database in the middle of a job; nobody else is
job=$(start_all 3 2.0)
wait_for 120 ended "$job" $((nodes / 10)) || die "the job does not begin"
old=$(sql 'SELECT max(id) FROM servers')
kill -STOP "$proxy_pid"
not_ready() { ! is_ready 3; }
wait_for 20 not_ready || die "a server that is cut off says that it is ready"
two_left() { [ "$(sql 'SELECT count(*) FROM servers')" = 2 ]; }
wait_for 30 two_left || die "the others do not notice that a server is gone"
kill -CONT "$proxy_pid"
wait_for 30 is_ready 3 || die "a server that was cut off does not come back"
wait_for $((700 + nodes / 10)) is_done || die "the job does not end"
wait "$load_pid" || { cat "$work/load-2.0.log"; die "nodes and server do not agree"; }
[ "$(counts 1 "$job")" = "[$nodes,$nodes]" ] || die "counts are $(counts 1 "$job")"
report=$(grep '^{' "$work/load-2.0.log")
[ "$(echo "$report" | jq .confirmed)" = "$nodes" ] || die "$(echo "$report" | jq .confirmed) boots into the new version"
[ "$(echo "$report" | jq .downloads)" = "$nodes" ] || die "$(echo "$report" | jq .downloads) downloads"
# Each document was sent once, by one server: there are as many as offers were written, and silent nodes asked.  A node
# may be offered the job again all the same, when what it said went to the server that was cut off, and it then connected
# anew.
offers=$(sql "SELECT sum(offers) FROM executions WHERE job_id='$job'")
asked=$(cat "$work"/pluviod?.log | grep -c "job=$job is asked" || true)
[ "$(echo "$report" | jq .documents)" = $((offers + asked)) ] || die "$(echo "$report" | jq .documents) documents for $offers offers and $asked questions: two servers sent one"
[ "$offers" -le $((nodes + nodes / 50)) ] || die "$offers offers for $nodes nodes"

# --- a server, the broker and the database are killed, one after the other, in the middle of another job
start_load 2.0 3.0
wait_for $((100 + nodes / 50)) all_online || die "only $(online) of $nodes nodes are there again"
job=$(start_all 1 3.0)
wait_for 120 ended "$job" $((nodes / 10)) || die "the second job does not begin"
kill -KILL "${servers[1]}"; wait "${servers[1]}" 2>/dev/null || true
wait_for 120 ended "$job" $((nodes * 3 / 10)) || die "the job stands still without a server"
answered=$(ask 2 POST /v1/admin/nodes -H 'Content-Type: application/json' -d '{"node_id":"answered"}' | jq -r .node_id)
"$root/scripts/postgres.sh" kill "$work/pg"
[ "$(ask 2 GET "/v1/admin/nodes?node_id=answered" | jq .error_code)" = 190046 ] || die "a database that is gone is not told by its code"
start_replica 1 # it ends, for it finds no database; the one after it stays
"$root/scripts/postgres.sh" start "$work/pg" >/dev/null
wait "${servers[1]}" || true
start_replica 1
wait_for 60 is_ready 1 || die "the killed server does not come back"
[ "$(ask 1 GET "/v1/admin/nodes?node_id=$answered" | jq -r .node_id)" = answered ] || die "what was answered is gone"
kill -KILL "$broker_pid"; wait "$broker_pid" 2>/dev/null || true
start_broker
for i in 1 2 3; do wait_for 30 is_ready $i || die "server $i does not come back to the broker"; done
wait_for $((700 + nodes / 10)) is_done || die "the second job does not end"
wait "$load_pid" || { cat "$work/load-3.0.log"; die "nodes and server do not agree"; }
[ "$(counts 3 "$job")" = "[$nodes,$nodes]" ] || die "counts are $(counts 3 "$job")"
report=$(grep '^{' "$work/load-3.0.log")
[ "$(echo "$report" | jq .confirmed)" = "$nodes" ] || die "$(echo "$report" | jq .confirmed) boots into the new version"
[ "$(echo "$report" | jq .downloads)" = "$nodes" ] || die "$(echo "$report" | jq .downloads) downloads"

# --- who is not let in is told to the broker by any server
node=$(jq -c 'select(.place == 0)' "$work"/load/0-of-*.jsonl | head -1) # load-000001's
for part in client_cert client_key ca_cert; do echo "$node" | jq -r .$part >"$work/$part"; done
speak() { timeout 10 mosquitto_pub -h localhost -p "$mqtt" --cafile "$work/ca_cert" --cert "$work/client_cert" --key "$work/client_key" -q 1 -t node/load-000001/config -m '{"node_id":"load-000001","info":{"fw_version":"'"$1"'"}}' 2>/dev/null || true; }
shows() { speak "$1"; [ "$(ask 1 GET "/v1/admin/nodes?node_id=load-000001" | jq -r .fw_version)" = "$1" ]; }
wait_for 20 shows 7.0 || die "the node is not heard"
ask 3 PUT '/v1/admin/nodes?node_id=load-000001&activate=false' >/dev/null
is_out() { ! shows 7.1 && ! shows 7.2; }
wait_for 20 is_out || die "a deactivated node is heard"
ask 2 PUT '/v1/admin/nodes?node_id=load-000001&activate=true' >/dev/null
wait_for 20 shows 7.3 || die "a node that is active again is not heard"

# --- one goes for an upgrade while the others serve: it says so first, and nothing is lost
kill -TERM "${servers[2]}"
is_draining() { [ "$(curl -s -m 2 -o /dev/null -w '%{http_code}' "$(url_of 2)/readyz")" = 503 ]; }
wait_for 10 is_draining || die "a server that is about to end says that it is ready"
[ "$(ask 2 GET "/v1/admin/nodes?node_id=answered" | jq -r .node_id)" = answered ] || die "it does not serve to its end"
wait "${servers[2]}" || die "the end of a server failed"
one_left() { [ "$(sql "SELECT count(*) FROM servers")" = 2 ]; }
wait_for 10 one_left || die "a server that ended is still there"
[ "$(ask 3 GET "/v1/admin/nodes?node_id=answered" | jq -r .node_id)" = answered ] || die "the others do not serve"
echo "passed: $nodes nodes; $offers offers while one was cut off; while things were killed: $(echo "$report" | jq .repeats) documents came twice, $(cat "$work"/pluviod?.log | grep -c "job=$job is asked" || true) silent nodes were asked"
