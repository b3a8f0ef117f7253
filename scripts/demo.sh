#!/usr/bin/env bash
# The demo: a server, five virtual nodes, an update that succeeds and one that rolls back.
#   demo.sh BUILD-FOLDER [--once]
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/lib.sh"
bin=$(readlink -f "$1"); shift
once=no
for option in "$@"; do
  case "$option" in
    --once) once=yes ;;
    *) echo "Usage: ./dev demo [--once]" >&2; exit 64 ;;
  esac
done

bold=$'\033[1m' dim=$'\033[2m' green=$'\033[32m' red=$'\033[31m' off=$'\033[0m'
[ -t 1 ] || bold='' dim='' green='' red='' off=''
step() { printf '\n%s▸ %s%s\n' "$bold" "$*" "$off"; }

work=$(mktemp -d "${TMPDIR:-/tmp}/pluvio-demo.XXXXXX")
export PLUVIO_SESSION=$work/session.json
pids=()
finish() {
  local status=$?
  trap - EXIT INT TERM
  [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$work"
  exit $status
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
  printf '%s✗ %s%s\n' "$red" "$1" "$off" >&2
  echo "--- the server's last lines" >&2; tail -n 15 "$work/pluviod.log" >&2
  [ -z "${2:-}" ] || { echo "--- the node's last lines" >&2; tail -n 25 "$2" >&2; }
  exit 1
}

https=$(free_port 8443) http=$(free_port 8080) node=$(free_port $((https + 1))) mqtt=$(free_port 8883)

step "Starting pluviod"
spawn "$bin/pluviod" --data "$work/data" --https-port "$https" --http-port "$http" --node-port "$node" --mqtt-port "$mqtt" >"$work/pluviod.log" 2>&1 &
pids+=($!)
wait_for 40 curl -sf "http://127.0.0.1:$http/healthz" || fail "pluviod did not start"
"$bin/pluvio" login --server "http://127.0.0.1:$http" --password-file "$work/data/admin-password"

step "Five virtual nodes, blinky 1.0.0"
for i in 1 2 3 4 5; do
  "$bin/pluvio" node add "lamp-$i" --out "$work/lamp-$i" >/dev/null
  "$bin/vesp" new "$work/lamp-$i.flash" --size 16M --app "$bin/blinky-1.0.0.bin" --fctry "$work/lamp-$i/fctry.bin" --ca-bundle "$work/lamp-$i/ca.crt"
  spawn "$bin/vesp" run "$work/lamp-$i.flash" --flash-speed real >"$work/lamp-$i.log" 2>&1 &
  pids+=($!)
done
online() { [ "$("$bin/pluvio" node list --json | jq '[.node_info[] | select(.node_status == "online")] | length')" = "$1" ]; }
wait_for 60 online 5 || fail "the nodes did not connect" "$work/lamp-1.log"
"$bin/pluvio" node list

step "Uploading blinky 1.1.0 and pushing it to all five"
"$bin/pluvio" image upload "$bin/blinky-1.1.0.bin"
"$bin/pluvio" job start --image blinky-1.1.0 --name "Blinky 1.1.0" --all --force-push --watch || fail "the update did not succeed everywhere" "$work/lamp-1.log"

version() { "$bin/pluvio" node list --json | jq -r "[.node_info[] | select(.fw_version == \"$1\" and .node_status == \"online\")] | length"; }
all_on() { [ "$(version 1.1.0)" = 5 ]; }
wait_for 40 all_on || fail "the nodes did not come back on 1.1.0" "$work/lamp-1.log"
"$bin/pluvio" node list
printf '%s✓ All five nodes run blinky 1.1.0.%s\n' "$green" "$off"

step "Pushing blinky 1.2.0, whose self-test fails, to lamp-1"
"$bin/pluvio" image upload "$bin/blinky-1.2.0.bin"
if "$bin/pluvio" job start --image blinky-1.2.0 --name "Blinky 1.2.0" lamp-1 --force-push --watch; then fail "the bad image was not noticed"; fi
reason=$("$bin/pluvio" job list --json | jq -r '.ota_jobs[0] | "\(.states."rolled-back") \(.status)"')
[ "$reason" = "1 finished" ] || fail "the rollback was not reported ($reason)" "$work/lamp-1.log"
wait_for 40 all_on || fail "lamp-1 did not come back on 1.1.0" "$work/lamp-1.log"
grep -h "Self-test" "$work/lamp-1.log" | tail -n 1 | sed "s/^/$dim  lamp-1: /; s/\$/$off/"
printf '%s✓ lamp-1 tried 1.2.0, found itself wanting, and runs 1.1.0 again.%s\n' "$green" "$off"

[ "$once" = no ] || exit 0

step "The dashboard"
echo "  https://localhost:$https   (its certificate is signed by this installation's own authority)"
echo "  http://127.0.0.1:$http     (the same, on this machine only)"
echo "  user:     $(sed -n 1p "$work/data/admin-password")"
echo "  password: $(sed -n 2p "$work/data/admin-password")"
echo
echo "  The nodes go on blinking. In another terminal: PLUVIO_SESSION=$PLUVIO_SESSION $bin/pluvio node list"
echo "  Ctrl-C stops everything."
while :; do wait -n || true; kill -0 "${pids[0]}" 2>/dev/null || fail "pluviod ended"; done
