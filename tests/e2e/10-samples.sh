#!/usr/bin/env bash
# Goal: the sample programs, compiled unchanged, update themselves over HTTPS: the simple way, the step-by-step way, and
# back again when the self-test fails or the new image hangs.
. "$(dirname "$0")/lib.sh" "$@"
samples=$root/../shared/samples
[ -f "$samples/partitions.csv" ] || { echo "the sample programs are not there: skipped"; exit 77; }
mkdir "$work/www"
cp "$bin/sample-2.0.0.bin" "$bin/sample-3.0.0.bin" "$work/www/"
spawn python3 "$root/tests/firmware/https_files.py" "$work/www" "$https" "$bin/sample_server.crt" "$bin/sample_server.key" >"$work/https.log" 2>&1 &
pids+=($!)
wait_for 20 curl -sfk "https://127.0.0.1:$https/" -o /dev/null || die "the HTTPS server did not start"
"$bin/vesp" new "$work/n1.flash" --partitions "$samples/partitions.csv" --app "$bin/sample-1.0.0.bin" ||
  die "the sample does not fit its own partition table"

run_sample() {  # run_sample TARGET WAITED-FOR [NAME=VALUE]
  env SAMPLE_URL="https://127.0.0.1:$https/sample-$1.bin" SAMPLE_TARGET="$1" ${3:-} "$bin/vesp" run "$work/n1.flash" >"$work/n1.log" 2>&1 &
  vesp=$!
  wait_for 60 grep -q "$2" "$work/n1.log" || die "waited for \"$2\" in vain"
  kill "$vesp"
  wait "$vesp" || true
}

run_sample 2.0.0 "sample runs 2.0.0"
grep -q "OTA succeeded, rebooting" "$work/n1.log" || die "start_ota() did not say that it succeeded"
grep -q "OTA firmware validated" "$work/n1.log" || die "the self-test was not run"
grep -q "booting ota_0: sample 2.0.0" "$work/n1.log" || die "the first update did not go to ota_0"
"$bin/vesp" flash show "$work/n1.flash" | grep -q "0  seq 1 -> ota_0, valid, CRC good, sealed  (active)" || die "otadata is not valid"

# the same node takes an image that hangs: the watchdog resets it, and the image that asked for it runs again
cp "$bin/hang.bin" "$work/www/sample-4.0.0.bin"
cp "$work/n1.flash" "$work/n2.flash"
env SAMPLE_URL="https://127.0.0.1:$https/sample-4.0.0.bin" SAMPLE_TARGET=4.0.0 "$bin/vesp" run "$work/n2.flash" >"$work/n2.log" 2>&1 &
vesp=$!
came_back() { sed -n '/sample 4.0.0/,$p' "$work/n2.log" | grep -q "sample runs 2.0.0"; }
wait_for 60 came_back || die "the image that hangs was not rolled back: $(cat "$work/n2.log")"
grep -q "the task watchdog reset the node" "$work/n2.log" || die "it was not the watchdog"
kill "$vesp"
wait "$vesp" || true
"$bin/vesp" flash show "$work/n2.flash" | grep -q "ota_1, aborted" || die "the image that hung is not aborted"

rolled_back() { sed -n '/Self-test failed, rolling back!/,$p' "$work/n1.log" | grep -q "sample runs 2.0.0"; }
env SAMPLE_URL="https://127.0.0.1:$https/sample-3.0.0.bin" SAMPLE_TARGET=3.0.0 SAMPLE_PROGRESS=1 "$bin/vesp" run "$work/n1.flash" >"$work/n1.log" 2>&1 &
vesp=$!
wait_for 60 rolled_back || die "the bad image was not rolled back"
kill "$vesp"
wait "$vesp" || true
grep -q "OTA progress: .*%)" "$work/n1.log" || die "there was no progress"
grep -q "OTA complete, rebooting" "$work/n1.log" || die "start_ota_with_progress() did not say that it was complete"
grep -q "booting ota_1: sample 3.0.0" "$work/n1.log" || die "the second update did not go to ota_1"
"$bin/vesp" flash show "$work/n1.flash" | grep -q "1  seq 2 -> ota_1, invalid" || die "the bad image is not invalid"
echo "the samples update and roll back"
