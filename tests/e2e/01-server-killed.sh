#!/usr/bin/env bash
# Goal: the server is killed in the middle of a job; started again, it brings the job to its end with the right counts.
. "$(dirname "$0")/lib.sh" "$@"
start_server
login
for n in n1 n2 n3; do add_node $n; run_node $n; done
for n in n1 n2 n3; do wait_for 60 is_online $n || die "$n did not connect"; done
upload blinky-1.1.0
job=$(start_job --image blinky-1.1.0 --all --force-push)
wait_for 40 in_state "$job" n1 in-progress || die "n1 did not begin"
kill -KILL "$server_pid"; wait "$server_pid" 2>/dev/null || true
start_server
for n in n1 n2 n3; do wait_for 60 is_online $n || die "$n did not come back"; done
wait_for 180 is_finished "$job" || die "the job did not finish: $(rest GET "/v1/admin/otajob/status?ota_job_id=$job")"
[ "$(job_field "$job" success_count)/$(job_field "$job" total_count)" = 3/3 ] || die "wrong counts: $(rest GET "/v1/admin/otajob?ota_job_id=$job")"
for n in n1 n2 n3; do wait_for 40 runs $n 1.1.0 || die "$n does not run 1.1.0"; done
echo "3 of 3 succeeded although the server was killed"
