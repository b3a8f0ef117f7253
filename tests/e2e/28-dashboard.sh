#!/usr/bin/env bash
# Goal: the dashboard in a real browser: images, jobs with every option, a rollback's story, an end user's yes, groups, keys,
# roles, a cut stream, a restarted server; by keyboard alone; no rule of accessibility broken.  Leaves screenshots in
# build/screenshots.
. "$(dirname "$0")/lib.sh" "$@"
CHROMIUM=$(command -v chromium) || { echo "chromium is not here"; exit 77; }
export CHROMIUM
[ -d "$root/web/node_modules/playwright-core" ] || { echo "playwright-core is not here"; exit 77; }
node=node
[ ! -x "$root/build/node/node_modules/node/bin/node" ] || node=$root/build/node/node_modules/node/bin/node
start_server
login
export PLUVIO_URL=http://127.0.0.1:$http PLUVIO_PASSWORD PLUVIO_IMAGES=$bin PLUVIO_ASK=$work/ask PLUVIO_SHOTS=$root/build/screenshots
PLUVIO_PASSWORD=$(tail -n 1 "$work/data/admin-password")

nodes() {
  local n
  for n in n1 n2 n3; do
    add_node "$n"; run_node "$n" fast
    wait_for 60 is_online "$n" || die "$n did not connect"
  done
}
# What the browser's side asks for: a word in a file, which goes when it is done.
answer() {
  case "$(cat "$work/ask")" in
    nodes) nodes ;;
    stop) kill -TERM "$server_pid"; wait "$server_pid" || true ;;
    start) start_server ;;
  esac
  rm "$work/ask"
}
"$node" --test --test-reporter=spec "$root/web/tests/dashboard.test.mjs" >"$work/browser.log" 2>&1 &
browser=$!
pids+=($browser)
while kill -0 $browser 2>/dev/null; do
  [ ! -s "$work/ask" ] || answer
  sleep 0.05
done
wait $browser || { cat "$work/browser.log"; die "the dashboard"; }
grep -E "^(ℹ|#) (pass|fail)" "$work/browser.log"
