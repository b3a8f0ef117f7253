#!/usr/bin/env bash
# Goal: a list command shows everything, also what the server gives in more than one page.
. "$(dirname "$0")/lib.sh" "$@"
more_than_a_page=105
start_server
login
upload blinky-1.1.0
for ((i = 0; i < more_than_a_page; i++)); do
  rest POST /v1/admin/nodes -d "{\"node_id\":\"n$i\"}" >"$work/answer"
  [ "$(jq -r .node_id "$work/answer")" = "n$i" ] || die "node n$i: $(cat "$work/answer")"
done
image=$("$bin/pluvio" image list --json | jq -r '.ota_images[0].ota_image_id')
for ((i = 0; i < more_than_a_page; i++)); do
  rest POST /v1/admin/otajob -d "{\"ota_job_name\":\"j$i\",\"ota_image_id\":\"$image\",\"nodes\":[\"n$i\"]}" >"$work/answer"
  jq -e .ota_job_id "$work/answer" >/dev/null || die "job j$i: $(cat "$work/answer")"
done
for noun in node job; do
  lines=$("$bin/pluvio" $noun list | tail -n +2 | awk '{print $1}' | sort -u | wc -l)
  [ "$lines" = $more_than_a_page ] || die "$noun list shows $lines of $more_than_a_page"
done
[ "$("$bin/pluvio" job list --all --json | jq -s 'map(.ota_jobs[]) | length')" = $more_than_a_page ] || die "job list --json"
[ "$("$bin/pluvio" image list --all | wc -l)" = 2 ] || die "image list --all"
