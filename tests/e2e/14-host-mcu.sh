#!/usr/bin/env bash
# Goal: a job for the processor beside the node: downloaded, verified, handed over whole; nothing of a bad one gets there.
. "$(dirname "$0")/lib.sh" "$@"
. "$(dirname "$0")/broker.sh"
start_broker
serve_files
cat >"$work/table.csv" <<'CSV'
nvs,      data, nvs,     0x9000,   0x6000
otadata,  data, ota,     0xf000,   0x2000
factory,  app,  factory, 0x20000,  0x400000
ota_0,    app,  ota_0,   0x420000, 0x400000
ota_1,    app,  ota_1,   0x820000, 0x400000
mcu,      data, 0x40,    0xc20000, 0x40000
staging,  data, 0x41,    0xc60000, 0x40000
fctry,    data, nvs,     0xff0000, 0x6000
CSV
add_agent n1 host-mcu-1.0.0 --partitions "$work/table.csv"
head -c 150001 /dev/urandom >"$work/www/host.bin"
sha=$(sha256sum "$work/www/host.bin" | cut -d' ' -f1) md5=$(md5sum "$work/www/host.bin" | cut -d' ' -f1)
job() { printf '{"ota_job_id":"%s","url":"https:\\/\\/localhost:%s\\/%s","file_size":%s,"fw_version":"7","file_md5":"%s","file_sha256":"%s","metadata":{"esp.ota.target":"%s"}}' "$1" "$files" "$2" "$3" "$4" "$5" "$6"; }
run_node n1 real
expect 'node/n1/otafetch {"node_id":"n1","fw_version":"1.0.0"}'
tell node/n1/otaurl "$(job J0 host.bin 150001 "$md5" "$sha" another_mcu)"
expect '"J0","status":"rejected","additional_info":"No handler for this esp.ota.target"'
tell node/n1/otaurl "$(job J1 host.bin 150001 "$md5" "${sha/[0-8]/9}" host_mcu)"
expect '"J1","status":"failed","additional_info":"OTA Attempt 3/3 failed: File SHA-256 mismatch"'
tell node/n1/otaurl "$(job J2 host.bin 150000 "$md5" "$sha" host_mcu)"
expect '"J2","status":"failed","additional_info":"OTA Attempt 3/3 failed: File size mismatch: 150001 instead of 150000 bytes"'
! grep -q "Resetting the other processor" "$work/n1.log" || die "a file that was not verified got there"
# Power goes in the middle; it goes on from there, on condition that the file is the same
tell node/n1/otaurl "$(job J3 host.bin 150001 "$md5" "$sha" host_mcu)"
expect '"J3","status":"in-progress","additional_info":"Downloading Firmware Image"'
"$bin/vesp" cut "$work/n1.flash" 400 # past the first 64 KiB
again() { [ "$(times 'otafetch {"node_id":"n1","fw_version":"1.0.0"}')" -ge 2 ]; }
wait_for 60 again || die "no fetch after the power cut"
tell node/n1/otaurl "$(job J3 host.bin 150001 "$md5" "$sha" host_mcu)"
expect '"J3","status":"success","additional_info":"HTTPS OTA Upgrade finished successfully (after 1 attempt)"'
grep -q 'host.bin from [1-9][0-9]* if "' "$work/files.log" || die "the download did not go on: $(cat "$work/files.log")"
tell node/n1/otaurl "$(job J3 host.bin 150001 "$md5" "$sha" host_mcu)"
repeated() { [ "$(times '"J3","status":"success"')" -ge 2 ]; }
wait_for 30 repeated || die "the job that is over was not answered"
[ "$(grep -c "Resetting the other processor" "$work/n1.log")" = 1 ] || die "the job that is over was done again"
kill "${pids[-1]}"; wait "${pids[-1]}" 2>/dev/null || true
"$bin/vesp" flash dump "$work/n1.flash" "$work/dump.bin" >/dev/null
cmp -n 150001 -i $((0xc20000)):0 "$work/dump.bin" "$work/www/host.bin" || die "the other processor has other bytes"
echo "the other processor has its update"
