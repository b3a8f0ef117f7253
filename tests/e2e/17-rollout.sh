#!/usr/bin/env bash
# Goal: a job goes out phase by phase, is paused, asked about and resumed; a bad one stops by itself, and goes on without who
# fails; a dry run tells before.
. "$(dirname "$0")/lib.sh" "$@"
start_server
login
for name in n1 n2 n3; do add_node "$name"; run_node "$name" fast; done
for name in n1 n2 n3; do wait_for 60 is_online "$name" || die "$name did not connect"; done
upload blinky-1.1.0
upload blinky-1.2.0
pluvio() { "$bin/pluvio" "$@"; }

# Before: who it is for, and how it would go
pluvio group add lab --query 'platform = linux and not id = n3' >/dev/null
pluvio group list | grep -q 'lab.*platform = linux' || die "the group is not listed"
plan=$(pluvio job plan --image blinky-1.1.0 --query 'id in (n1, n2)' --rollout 'phase 50%; phase 100%' --json)
[ "$(jq -r .nodes <<<"$plan")" = 2 ] && [ "$(jq -r .success <<<"$plan")" = 2 ] || die "the plan says $plan"
pluvio job plan --image blinky-1.1.0 --all | grep -q 'nothing stops the job' || die "no risk is told"
! pluvio job plan --image blinky-1.1.0 --all --rollout 'faze 1%' 2>"$work/error" || die "a plan that cannot be read was taken"
grep -q 'rollout: phase, rate, abort' "$work/error" && grep -q 'at column 1' "$work/error" || die "the error is $(cat "$work/error")"

# One node first; the rest waits and says so
job=$(start_job --image blinky-1.1.0 --all --force-push --rollout 'phase 1 nodes ended 100% soak 1000h; phase 100%')
one_done() { [ "$(job_field "$job" success_count)" = 1 ]; }
wait_for 120 one_done || die "nobody was updated"
[ "$(job_field "$job" phase.number)" = 1 ] || die "phase $(job_field "$job" phase.number)"
late=''
for name in n1 n2 n3; do [ "$(state "$job" "$name")" = success ] || late=$name; done
pluvio job why "$job" "$late" | grep -q 'Phase 1 of 2 lets 1 of 3 nodes begin, 1 have (phase); next at' || die "why: $(pluvio job why "$job" "$late")"
pluvio job pause "$job" "a look at it" >/dev/null
pluvio job why "$job" "$late" | grep -q 'The job is paused: a look at it' || die "why: $(pluvio job why "$job" "$late")"
pluvio job edit "$job" --rollout 'in-flight 1' --priority 4 --json | jq -e '.rollout == "in-flight 1" and .priority == 4' >/dev/null || die "the job cannot be changed"
! pluvio job edit "$job" --priority high 2>"$work/error" || die "a priority that is no number was taken"
pluvio job resume "$job" >/dev/null
wait_for 240 is_finished "$job" || die "the job did not finish"
[ "$(job_field "$job" success_count)" = 3 ] || die "$(job_field "$job" success_count) nodes were updated"

# A bad image: the first rollback stops it
bad=$(start_job --image blinky-1.2.0 --all --force-push --rollout 'in-flight 1; abort rolled-back 1% min 1 pause')
stopped() { [ "$(job_field "$bad" paused)" = true ]; }
wait_for 240 stopped || die "the bad job goes on: $(rest GET "/v1/admin/otajob?ota_job_id=$bad")"
job_field "$bad" stop_reason | grep -q '1 of 1 nodes that ended are rolled-back' || die "it stopped because $(job_field "$bad" stop_reason)"
[ "$(job_field "$bad" 'states["rolled-back"]')" = 1 ] && [ "$(job_field "$bad" rejected_count)" = 1 ] || die "RainMaker's word for a rollback is missing"
! pluvio job resume "$bad" 2>"$work/error" || die "it was resumed with its limit crossed"
grep -q 'would stop again at once' "$work/error" || die "the error is $(cat "$work/error")"
pluvio job clusters "$bad" | grep -q '1 nodes  rolled-back' || die "no cluster: $(pluvio job clusters "$bad")"
pluvio job exclude "$bad" 'id ~ "n*"' >/dev/null
wait_for 30 is_finished "$bad" || die "nobody is left, and the job goes on"
[ "$(job_field "$bad" other_count)" = "$(job_field "$bad" total_count)" ] || die "states: $(job_field "$bad" states)"
! pluvio job start --image blinky-1.1.0 --query 'colour = red' 2>"$work/error" || die "a query that cannot be read was taken"
grep -q 'there is no field "colour", at column 1' "$work/error" || die "the error is $(cat "$work/error")"
echo "phases, limits, reasons"
