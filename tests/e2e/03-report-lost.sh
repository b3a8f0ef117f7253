#!/usr/bin/env bash
# Goal: the broker took the final report, the server died before it wrote it; the node's next fetch brings the truth.
. "$(dirname "$0")/lib.sh" "$@"
start_server --fault finished_and_verified_no_such_text
login
add_node n1; run_node n1 fast
wait_for 60 is_online n1 || die "n1 did not connect"
upload blinky-1.1.0
kill "$server_pid"; wait "$server_pid" 2>/dev/null || true
start_server --fault "verified successfully"
wait_for 60 is_online n1 || die "n1 did not come back"
job=$(start_job --image blinky-1.1.0 n1 --force-push)
is_dead() { ! kill -0 "$server_pid" 2>/dev/null; }
wait_for 120 is_dead || die "the server never met the report"
wait "$server_pid" 2>/dev/null || true
start_server
[ "$(state "$job" n1)" = rebooting ] || die "the report was written: $(state "$job" n1)"
wait_for 180 is_finished "$job" || die "the job did not finish: $(state "$job" n1)"
[ "$(state "$job" n1)" = success ] || die "n1 ended as $(state "$job" n1)"
echo "the lost success was found"
