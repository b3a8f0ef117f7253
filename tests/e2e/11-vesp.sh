#!/usr/bin/env bash
# Goal: vesp as a tool: many nodes under one, reset, power cuts now and in flash operations, log, flash dump and load,
# signed images, anti-rollback, another chip's rules.
. "$(dirname "$0")/lib.sh" "$@"
cd "$work"
export XDG_RUNTIME_DIR=$work
printf 'nvs,data,nvs,0x9000,0x4000\notadata,data,ota,0xd000,0x2000\nfactory,app,factory,0x10000,3M\nota_0,app,ota_0,0x310000,3M\nota_1,app,ota_1,0x610000,3M\n' >t.csv
new() { local name=$1; shift; "$bin/vesp" new "$name.flash" --partitions t.csv --size 10M --app "$bin/download.bin" "$@"; }
says() { grep -q "$2" "$1.flash.log"; }

# many nodes under one
for i in 1 2 3 4 5; do new "m$i"; done
"$bin/vesp" run m?.flash >many.log 2>&1 &
pids+=($!)
idle() { local n; for n in 1 2 3 4 5; do says "m$n" '^idle' || return 1; done; }
wait_for 60 idle || die "five nodes did not boot"
[ "$("$bin/vesp" ps | grep -c running)" -eq 5 ] || die "vesp ps does not list five nodes: $("$bin/vesp" ps)"
"$bin/vesp" reset m1.flash | grep -q "was reset" || die "reset said nothing"
wait_for 20 says m1 "the node was reset" || die "m1 was not reset"
"$bin/vesp" cut m2.flash | grep -q "lost power" || die "cut said nothing"
wait_for 20 says m2 "power was lost" || die "m2 did not lose its power"
"$bin/vesp" log m2.flash | grep -q "booting factory: download" || die "vesp log shows no boot"
! "$bin/vesp" reset nowhere.flash 2>err || die "a node that does not run was reset"
! "$bin/vesp" show m3.flash 2>err || die "a running node's flash was opened"
grep -q "in use by another vesp" err || die "the error does not say why: $(cat err)"

# power goes inside a flash operation of a download, again and again, and the update succeeds all the same
cp "$bin/download.bin" image.bin
spawn python3 -m http.server "$http" --bind 127.0.0.1 >http.log 2>&1 &
pids+=($!)
wait_for 20 curl -sf "http://127.0.0.1:$http/image.bin" -o /dev/null || die "the server did not start"
new cut
DOWNLOAD_URL="http://127.0.0.1:$http/image.bin" DOWNLOAD_ROUNDS=1 "$bin/vesp" run --cut-after 50 cut.flash >cut.log 2>&1 &
pids+=($!)
wait_for 60 says cut "download ESP_OK" || die "the update after a cut did not succeed: $(cat cut.log)"
says cut "power was lost" || die "the power was not cut"
kill "${pids[-1]}"; wait "${pids[-1]}" || true

# flash from outside
"$bin/vesp" flash dump cut.flash dump.bin
cmp -s cut.flash dump.bin || die "a dump is not the flash"
"$bin/vesp" flash dump cut.flash factory.bin --partition factory
head -c "$(stat -c %s "$bin/download.bin")" factory.bin | cmp - "$bin/download.bin" || die "a partition's dump is not its content"
"$bin/vesp" flash load cut.flash "$bin/download.bin" --partition ota_1
"$bin/vesp" flash show cut.flash | grep ota_1 | grep -q "download 1.0.0" || die "what was loaded is not there"
"$bin/vesp" flash load cut.flash /dev/null --partition otadata
"$bin/vesp" flash show cut.flash | grep -q "0  blank" || die "otadata was not erased"
! "$bin/vesp" flash load cut.flash dump.bin --partition otadata 2>err || die "too much was loaded"

# secure boot: a signature by the trusted key, or nothing boots
openssl ecparam -genkey -name prime256v1 -noout -out good.pem
openssl ecparam -genkey -name prime256v1 -noout -out other.pem
"$bin/pluvio" sign image --key good.pem "$bin/download.bin" --output signed.bin >/dev/null
"$bin/pluvio" sign image --key other.pem "$bin/download.bin" --output foreign.bin >/dev/null
! "$bin/vesp" new s.flash --partitions t.csv --size 10M --app "$bin/download.bin" --trust good.pem 2>err || die "an unsigned image was taken"
! "$bin/vesp" new s.flash --partitions t.csv --size 10M --app foreign.bin --trust good.pem 2>err || die "a foreign signature was taken"
"$bin/vesp" new s.flash --partitions t.csv --size 10M --app signed.bin --trust good.pem
"$bin/vesp" run s.flash >s.log 2>&1 &
pids+=($!)
wait_for 60 says s '^idle' || die "the signed image does not boot"

# anti-rollback: what is below the eFuse does not boot, what is not does
"$bin/vesp" new b.flash --partitions t.csv --size 10M --anti-rollback --secure-version 3
"$bin/vesp" flash show b.flash | grep -q "secure version 3 or higher" || die "the eFuse was not burnt"
"$bin/vesp" flash load b.flash "$bin/download.bin" --partition factory
! "$bin/vesp" run --once b.flash >b.log 2>&1 || die "an image below the floor booted"
grep -q "no partition holds an image that may run" b.log || die "the error does not say why: $(cat b.log)"

# another chip's rules
! "$bin/vesp" new c.flash --partitions t.csv --size 10M --chip esp32c3 --app "$bin/download.bin" 2>err || die "a Linux image was taken for an ESP32-C3"
grep -q "ESP32-C3" err || die "the error names no chip: $(cat err)"
"$bin/pluvio" image pack "$bin/download.elf" --project download --version 1.0.0 --chip esp32c3 --output c3.bin --quiet
"$bin/vesp" new c.flash --partitions t.csv --size 10M --chip esp32c3 --app c3.bin || die "an image for that chip was not taken"
"$bin/vesp" run c.flash >c.log 2>&1 &
pids+=($!)
wait_for 60 says c '^idle' || die "the node that stands for an ESP32-C3 does not run: $(cat c.log)"
echo "vesp does what it says"
