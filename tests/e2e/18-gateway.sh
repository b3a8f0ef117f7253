#!/usr/bin/env bash
# Goal: hundreds of simulated nodes join a real server over one connection, take an update, fall back from a bad one, are
# gone when their simulator is, and speak for no other node.
. "$(dirname "$0")/lib.sh" "$@"
start_server
login
pluvio() { "$bin/pluvio" "$@"; }
pluvio simulator add 300 --out "$work/sim" >/dev/null
name=$(jq -r .simulator "$work/sim/simulator.json")
[ "$(stat -c %a "$work/sim/node.key")" = 600 ] || die "the key can be read by others"
run_gateway() {
  spawn "$bin/pluvio-fleet" gateway "$work/sim" --project blinky --platform linux --speed 2000000 "$@" >>"$work/n-gateway.log" 2>&1 &
  gateway=$!
  pids+=("$gateway")
}
online() { rest POST /v1/admin/otajob/audience -d "{\"ota_image_id\":\"$image\",\"groups\":[\"FFFF-FFFF\"]}" | jq -r .online; }
are_online() { [ "$(online)" = "$1" ]; }

upload blinky-1.1.0
image=$(rest GET /v1/admin/otaimage | jq -r '.ota_images[0].ota_image_id')
run_gateway
wait_for 60 are_online 300 || die "$(online) of 300 are online"

job=$(start_job --image blinky-1.1.0 --all --force-push --rollout 'phase 10% success 90%; phase 100%')
wait_for 240 is_finished "$job" || die "the job did not finish: $(job_field "$job" states)"
[ "$(job_field "$job" success_count)" = 300 ] || die "states: $(job_field "$job" states)"
[ "$(node_field "$name-000300" fw_version)" = 1.1.0 ] || die "the last node runs $(node_field "$name-000300" fw_version)"

# Gone with a kill; and back, with half of them unable to live with the next image
kill -9 "$gateway"
wait_for 30 are_online 0 || die "$(online) are online without their simulator"
run_gateway --version 1.1.0 --bad 50
wait_for 60 are_online 300 || die "$(online) of 300 are online again"
upload blinky-1.2.0
bad=$(start_job --image blinky-1.2.0 --all --force-push --rollout 'in-flight 20; abort rolled-back 20% min 20 pause')
stopped() { [ "$(job_field "$bad" paused)" = true ]; }
wait_for 240 stopped || die "the bad job goes on: $(job_field "$bad" states)"
job_field "$bad" stop_reason | grep -q 'rolled-back' || die "it stopped because $(job_field "$bad" stop_reason)"

# A node that is no simulated one is out of its reach
add_node n1
run_node n1 fast
wait_for 60 is_online n1 || die "n1 did not connect"
speak() { timeout 20 mosquitto_pub -h localhost -p "$mqtt" --cafile "$work/sim/ca.crt" --cert "$work/sim/node.crt" --key "$work/sim/node.key" -q 1 -t "$1" -m "$2"; }
kill "$gateway"
wait_for 30 are_online 1 || die "$(online) are online"
speak node/n1/config '{"node_id":"n1","info":{"fw_version":"6.6.6"}}' || true
speak pluvio/presence/n1/disconnected '' || true
speak "node/$name-000007/config" "{\"node_id\":\"$name-000007\",\"info\":{\"fw_version\":\"7.7.7\"}}" # what came before has been looked at
wait_for 30 runs "$name-000007" 7.7.7 || die "a simulator cannot speak for its own"
is_online n1 && runs n1 1.0.0 || die "a simulator spoke for n1"
! rest POST /v1/admin/nodes -d "{\"node_id\":\"$name-1\"}" | jq -e '.status == "success"' >/dev/null || die "a node took a simulated one's name"
rest POST /v1/admin/simulators -d '{"node_count":0}' | jq -e '.error_code and (.description | test("node_count"))' >/dev/null || die "no nodes were made"
# The simulator is removed, its nodes with it
name=$("$bin/pluvio" simulator list | awk 'NR == 2 { print $1 }')
"$bin/pluvio" simulator delete "$name" | grep -q "$name and its nodes are gone" || die "the simulator stays"
[ "$(rest GET "/v1/admin/nodes?query=id%20~%20%22$name-*%22" | jq .total)" = 0 ] || die "simulated nodes are left"
[ "$("$bin/pluvio" simulator list | wc -l)" = 1 ] || die "simulators: $("$bin/pluvio" simulator list)"
echo "300 nodes over one connection"
