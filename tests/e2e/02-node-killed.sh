#!/usr/bin/env bash
# Goal: a node loses power in the middle of its download; it starts again by itself, goes on and succeeds.
. "$(dirname "$0")/lib.sh" "$@"
start_server
login
add_node n1; run_node n1
wait_for 60 is_online n1 || die "n1 did not connect"
upload blinky-1.1.0
job=$(start_job --image blinky-1.1.0 n1 --force-push)
halfway() { [ "$(rest GET "/v1/admin/otajob/status?ota_job_id=$job&node_id=n1" | jq '.node_ota_status[0].percent // 0')" -ge 50 ]; }
wait_for 120 halfway || die "the download did not get far"
pkill -KILL -P "${pids[0]}" || die "there was no application to kill"
wait_for 180 is_finished "$job" || die "the job did not finish: $(state "$job" n1)"
[ "$(state "$job" n1)" = success ] || die "n1 ended as $(state "$job" n1)"
grep -q "power was lost" "$work/n1.log" || die "the application was not killed"
grep -q "Resuming at" "$work/n1.log" || die "the download began anew instead of going on"
wait_for 40 runs n1 1.1.0 || die "n1 does not run 1.1.0"
echo "the node went on after its power cut"
