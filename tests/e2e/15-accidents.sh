#!/usr/bin/env bash
# Goal: an update through everything that can happen on its way: the broker restarts, it is away when the new image boots,
# power goes in each state, two jobs come at once, a job is cancelled, the clock is not set.
. "$(dirname "$0")/lib.sh" "$@"
start_server
login
add() { "$bin/pluvio" node add "$1" --out "$work/$1" >/dev/null
  "$bin/vesp" new "$work/$1.flash" --size 16M --app "$bin/agent-1.0.0.bin" --fctry "$work/$1/fctry.bin" --ca-bundle "$work/$1/ca.crt"; }
says() { grep -aqF -- "$2" "$work/$1.log"; }
power_cut() { pkill -KILL -P "$1" || die "there was no application to kill"; }
upload_agent() { "$bin/pluvio" image upload "$bin/agent-2.0.0.bin" >/dev/null; }
upload_agent

# The broker restarts in the middle of the download
add n1; run_node n1 real
wait_for 60 is_online n1 || die "n1 did not connect"
job=$(start_job --image agent-2.0.0 n1 --force-push)
wait_for 60 says n1 "Reporting in-progress: Downloading Firmware Image" || die "no download"
kill_broker
wait_for 200 is_finished "$job" || die "the job did not finish: $(state "$job" n1)"
[ "$(state "$job" n1)" = success ] || die "n1 ended as $(state "$job" n1)"
wait_for 60 runs n1 2.0.0 || die "n1 does not run 2.0.0"

# The broker is away when the new image boots: it rolls back at its timer, and the old one says so when it can
add n2; run_node n2 fast
wait_for 60 is_online n2 || die "n2 did not connect"
job=$(start_job --image agent-2.0.0 n2 --force-push)
wait_for 60 says n2 "Reporting in-progress: Rebooting into new firmware" || die "no reboot"
stop_server_and_broker
rolled_back() { [ "$(grep -ac "booting factory: agent 1.0.0" "$work/n2.log")" -ge 2 ]; }
wait_for 90 rolled_back || die "n2 did not roll back"
says n2 "booting ota_0: agent 2.0.0" || die "n2 never tried the new image"
[ ${#far_pids[@]} -eq 0 ] || start_far_broker
start_server
wait_for 200 is_finished "$job" || die "the job did not finish: $(state "$job" n2)"
[ "$(state "$job" n2)" = rolled-back ] || die "n2 ended as $(state "$job" n2)"

# Power goes in each state; wherever it was, the job ends truly
begin() {  # begin NODE
  add "$1"; run_node "$1" real
  wait_for 60 is_online "$1" || die "$1 did not connect"
  jobs[${1#n}]=$(start_job --image agent-2.0.0 "$1" --force-push)
}
cut_at() {  # cut_at NODE TEXT
  begin "$1"
  wait_for 60 says "$1" "$2" || die "$1 never said: $2"
  power_cut "${pids[-1]}"
}
jobs=()
cut_at n3 "Upgrade Handler got"
cut_at n4 "Reporting in-progress: Downloading Firmware Image"
cut_at n5 "Reporting in-progress: Firmware Image download complete"
cut_at n6 "Reporting in-progress: Rebooting into new firmware"
cut_at n7 "Reporting success: OTA Upgrade finished and verified"
for n in 3 4 5 6 7; do
  wait_for 200 is_finished "${jobs[$n]}" || die "n$n: the job did not finish: $(state "${jobs[$n]}" "n$n")"
  [ "$(state "${jobs[$n]}" "n$n")" = success ] || die "n$n ended as $(state "${jobs[$n]}" "n$n")"
done
# On trial: a reset is a rollback
add n8; run_node n8 real
wait_for 60 is_online n8 || die "n8 did not connect"
job=$(start_job --image agent-2.0.0 n8 --force-push)
wait_for 60 says n8 "booting ota_0: agent 2.0.0" || die "n8 did not boot the new image"
power_cut "${pids[-1]}"
wait_for 200 is_finished "$job" || die "the job did not finish: $(state "$job" n8)"
case "$(state "$job" n8)" in
  rolled-back) says n8 "booting factory: agent 1.0.0" || die "n8 says it rolled back" ;;
  success) wait_for 60 runs n8 2.0.0 || die "n8 says success" ;;
  *) die "n8 ended as $(state "$job" n8)" ;;
esac

# Two jobs at once: the second waits, and is served when the first is over
add n9; run_node n9 real
wait_for 60 is_online n9 || die "n9 did not connect"
first=$(start_job --image agent-2.0.0 n9 --force-push)
second=$(start_job --image agent-2.0.0 n9 --force-push) # the same version: rejected, in its turn
wait_for 200 is_finished "$first" || die "the first job did not finish: $(state "$first" n9)"
wait_for 200 is_finished "$second" || die "the second job did not finish: $(state "$second" n9)"
[ "$(state "$first" n9)" = success ] || die "the first job ended as $(state "$first" n9)"

# A cancelled job is not served again
add n10
job=$(start_job --image agent-2.0.0 n10)
"$bin/pluvio" job cancel "$job" >/dev/null || die "the job was not cancelled"
run_node n10 fast
wait_for 60 is_online n10 || die "n10 did not connect"
wait_for 60 says n10 "Fetching OTA details" || die "n10 did not ask"
[ "$(job_field "$job" status)" = cancelled ] || die "the job is $(job_field "$job" status)"
! says n10 "Upgrade Handler got" || die "a cancelled job was served"

# A clock that is not set: what has a time in it waits, what has none goes on
add n11
VESP_CLOCK=unset run_node n11 fast
wait_for 60 is_online n11 || die "n11 did not connect"
job=$(start_job --image agent-2.0.0 n11 --force-push --metadata '{"validity":{"start":1,"end":4000000000}}')
wait_for 60 says n11 "Reporting delayed: No time information available yet." || die "n11 did not wait"
delayed() { [ "$(state "$job" n11)" = delayed ]; }
wait_for 20 delayed || die "the server thinks n11 is $(state "$job" n11)"
"$bin/pluvio" job cancel "$job" >/dev/null
job=$(start_job --image agent-2.0.0 n11 --force-push)
wait_for 200 is_finished "$job" || die "the job did not finish: $(state "$job" n11)"
[ "$(state "$job" n11)" = success ] || die "n11 ended as $(state "$job" n11)"
echo "accidents, and what became of them"
