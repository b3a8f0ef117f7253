#!/usr/bin/env bash
# Goal: an update over MQTT: blocks that get lost, a stream that is refused, a connection and the power that go in the middle.
. "$(dirname "$0")/lib.sh" "$@"
. "$(dirname "$0")/broker.sh"
start_broker
add_agent n1 agent-stream-1.0.0
image=$bin/agent-stream-2.0.0.bin size=$(stat -c %s "$bin/agent-stream-2.0.0.bin") md5=$(md5sum "$bin/agent-stream-2.0.0.bin" | cut -d' ' -f1)
job() { printf '{"ota_job_id":"%s","url":"x","stream_id":"%s","file_size":%s,"file_md5":"%s"}' "$1" "$2" "$size" "${3:-$md5}"; }
run_node n1 fast
expect 'node/n1/otafetch {"node_id":"n1","fw_version":"1.0.0"}'

# Nobody serves it: three attempts, each after its silences; then a document without what a stream needs
tell node/n1/otaurl '{"ota_job_id":"J0","url":"x"}'
expect '{"ota_job_id":"J0","status":"failed","additional_info":"Aborted. Stream ID not found in JSON"'
tell node/n1/otaurl '{"ota_job_id":"J1","url":"x","stream_id":"s"}'
expect '"J1","status":"failed","additional_info":"OTA Attempt 3/3 failed: Missing stream_id or filesize for MQTT OTA"'

# A server that refuses once, then loses every 50th block
spawn "$bin/tests/stream_server" "$plain" "$image" 50 1 >"$work/server.out" 2>&1 &
server=$!; pids+=($!)
tell node/n1/otaurl "$(job J2 S2 "${md5/[0-9a-f]/g}")"
expect '"J2","status":"failed","additional_info":"OTA Attempt 1/3 failed: OTA failed: the server refuses the stream"'
expect '"J2","status":"in-progress","additional_info":"Downloading Firmware Image"' 120
grep -q 'S2/get/cbor: 1 blocks of 289 from 0' "$work/server.out" || die "no header was asked for"
grep -q 'S2/get/cbor: 16 blocks of 4096 from 0' "$work/server.out" || die "no blocks were asked for"

# The power goes in the middle of it.  The same file in another job goes on where it was.
halfway() { [ "$(grep -c 'S2/get/cbor: 16 blocks' "$work/server.out")" -ge 4 ]; }
wait_for 120 halfway || die "the download did not get far"
for pid in "${pids[@]}"; do [ "$(cat /proc/$pid/comm 2>/dev/null)" = vesp ] && pkill -KILL -P "$pid"; done
again() { [ "$(times 'otafetch {"node_id":"n1","fw_version":"1.0.0"}')" -ge 2 ]; }
wait_for 60 again || die "no fetch after the power cut"
tell node/n1/otaurl "$(job J2 S3 "${md5/[0-9a-f]/g}")"
resumed() { grep -q "Resuming at block" "$work/n1.log"; }
wait_for 60 resumed || die "the download began anew"
# ... and the broker goes, too
kill "$broker"; wait "$broker" 2>/dev/null || true
kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true
run_broker; listen
spawn "$bin/tests/stream_server" "$plain" "$image" >"$work/server2.out" 2>&1 &
pids+=($!)
expect '"J2","status":"success","additional_info":"OTA Upgrade finished and verified successfully"' 200
expect '"fw_version":"2.0.0"'
! grep -q 'blocks of 4096 from 0$' "$work/server2.out" || die "the download began anew after the reconnect"

# What came is not what the job names
add_agent n2 agent-stream-1.0.0
run_node n2 fast
expect 'node/n2/otafetch {"node_id":"n2","fw_version":"1.0.0"}'
tell node/n2/otaurl "$(job J4 S4 00000000000000000000000000000000)"
expect '"J4","status":"failed","additional_info":"OTA Attempt 1/3 failed: File MD5 mismatch"' 120
expect '"J4","status":"failed","additional_info":"OTA Attempt 3/3 failed: File MD5 mismatch"' 120
echo "an update in blocks"
