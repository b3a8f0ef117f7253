#!/usr/bin/env bash
# Goal: what happens reaches a webhook in its order, signed, each event once, over its failures and the server's restart; it
# can be sent again; and addresses of the server's own machine are not called unless that
# is allowed; a job's image may be fetched from elsewhere.
. "$(dirname "$0")/lib.sh" "$@"
server_options=(--webhook-loopback yes)
start_server
login
port=$(free_port $((base + 16)))
spawn python3 "$root/tests/tools/hook_receiver.py" "$port" "$work/got" "$work/secret" 2 &
pids+=($!)
added=$(rest POST /v1/admin/webhooks -d "{\"url\":\"http://127.0.0.1:$port/hook\",\"events\":[\"job\",\"execution\"],\"description\":\"ours\"}")
hook=$(jq -r .webhook_id <<<"$added")
jq -r .secret <<<"$added" >"$work/secret"
add_node n1
run_node n1 fast
wait_for 60 is_online n1 || die "n1 did not connect"
upload blinky-1.1.0
job=$(start_job --image blinky-1.1.0 --all --force-push)
wait_for 120 is_finished "$job" || die "the job did not finish"
states() { jq -r '.events[] | select(.event == "execution") | .state' "$work/got" 2>/dev/null | uniq | paste -sd' '; }
told() { states | grep -q '^offered .*success$'; }
wait_for 60 told || die "it was told: $(states); deliveries $(rest GET "/v1/admin/webhooks/deliveries?webhook_id=$hook")"
jq -e '.events[] | select(.event == "node")' "$work/got" >/dev/null && die "it was told of nodes" || true
once() { [ -z "$(jq -r '.events[].id' "$work/got" | sort -n | uniq -d)" ] && [ "$(jq -r '.events[].id' "$work/got")" = "$(jq -r '.events[].id' "$work/got" | sort -n)" ]; }
once || die "events came twice, or out of order"
rest GET "/v1/admin/webhooks/deliveries?webhook_id=$hook" | jq -e '[.deliveries[].status] | (map(select(. == 500)) | length) == 2 and .[0] == 200' >/dev/null || die "the log of deliveries"

# The receiver is away while the server is started again: nothing is lost
kill "${pids[0]}"; wait "${pids[0]}" 2>/dev/null || true
rest PUT /v1/admin/otajob -d "{\"ota_job_id\":\"$job\",\"archive\":true}" >/dev/null
tried() { [ "$(rest GET /v1/admin/webhooks | jq '.webhooks[0].failures')" -ge 1 ]; }
wait_for 20 tried || die "nothing was tried"
kill "$server_pid"; wait "$server_pid" || true
spawn python3 "$root/tests/tools/hook_receiver.py" "$port" "$work/got" "$work/secret" 0 &
pids+=($!)
start_server
archived() { [ "$(jq -r '.events[] | select(.event == "job") | .ota_job_id' "$work/got" | tail -1)" = "$job" ] && [ "$(rest GET /v1/admin/webhooks | jq '.webhooks[0].failures')" = 0 ]; }
wait_for 60 archived || die "what happened meanwhile was not told"
once || die "events came twice after the restart"

# Again
first=$(jq -r '.events[0].id' "$work/got" | head -1) before=$(jq -r '.events[].id' "$work/got" | grep -c .)
rest POST /v1/admin/webhooks/replay -d "{\"webhook_id\":\"$hook\",\"from_event\":$first}" | jq -e '.status == "success"' >/dev/null || die "no replay"
twice() { [ "$(jq -r '.events[].id' "$work/got" | grep -c .)" -ge $((2 * before)) ]; }
wait_for 30 twice || die "nothing was sent again"
rest DELETE "/v1/admin/webhooks?webhook_id=$hook" | jq -e '.status == "success"' >/dev/null || die "not deleted"

# A job's image by its URL
files=$(free_port $((base + 18)))
spawn python3 -m http.server "$files" --bind 127.0.0.1 --directory "$bin" >/dev/null 2>&1 &
pids+=($!)
wait_for 20 curl -sfI "http://127.0.0.1:$files/blinky-1.0.0.bin"
by_url() { rest POST '/v1/admin/otajob?force_push=true' -d "{\"ota_job_name\":\"$1\",\"ota_image_url\":\"http://127.0.0.1:$files/$2\",\"nodes\":[\"n1\"]}"; }
by_url none nothing.bin | jq -e '.description | test("answers 404")' >/dev/null || die "an image that is not there"
job=$(by_url by-url blinky-1.0.0.bin | jq -r .ota_job_id)
wait_for 120 is_finished "$job" || die "the job by URL: $(job_field "$job" status)"
wait_for 20 runs n1 1.0.0 || die "n1 runs $(node_field n1 fw_version)"

# Closed by default
kill "$server_pid"; wait "$server_pid" || true
server_options=()
start_server
hook=$(rest POST /v1/admin/webhooks -d "{\"url\":\"http://localhost:$port/hook\"}" | jq -r .webhook_id)
rest POST /v1/admin/node_group -d '{"group_name":"g"}' >/dev/null
refused() { rest GET "/v1/admin/webhooks/deliveries?webhook_id=$hook" | jq -e '.deliveries[0].status == 0'; }
wait_for 20 refused || die "an address of this machine was called"
by_url closed blinky-1.0.0.bin | jq -e '.status == "failure"' >/dev/null || die "an image was fetched from this machine"
echo "told, once each, in order"
