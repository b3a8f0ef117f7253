#!/usr/bin/env bash
# Goal: real applications are explained and taken, bootloaders and corrupt files are refused with what is wrong.
. "$(dirname "$0")/lib.sh" "$@"
fixtures=$root/../shared/fixtures
[ -d "$fixtures" ] || { echo "golden files are not there: skipped"; exit 77; }
start_server
login
for file in "$fixtures"/images/*.bin; do
  name=$(basename "$file" .bin)
  "$bin/pluvio" image inspect "$file" >"$work/told" || die "inspect $name"
  grep -q 'kind' "$work/told" || die "$name was not explained"
  if [[ $name == *bootloader* ]]; then
    "$bin/pluvio" image upload "$file" 2>"$work/why" && die "$name was taken"
    grep -q bootloader "$work/why" || die "$name: $(cat "$work/why")"
  else
    "$bin/pluvio" image upload "$file" >/dev/null || die "$name was refused"
  fi
done
refused() { ! "$bin/pluvio" image upload "$fixtures/corrupt/$1.bin" 2>"$work/why" && grep -qi "$2" "$work/why" || die "$1: $(cat "$work/why")"; }
refused esp32c3-17-segments "17 segments"
refused esp32c3-claims-esp32s3 "SHA-256"
refused esp32c3-flip-checksum checksum
refused esp32c3-flip-sha "SHA-256"
refused esp32c3-no-app-desc "app descriptor"
refused esp32c3-truncated-half "cut off"
"$bin/pluvio" image upload "$fixtures/corrupt/esp32c3-trailing-ff.bin" >/dev/null || die "trailing 0xff was refused"
# The server itself refuses what a client did not check
request=$(rest GET "/v1/admin/otaimage/upload_request?image_name=sneaky")
curl -s -T "$fixtures/corrupt/esp32c3-flip-sha.bin" "$(jq -r .upload_url <<<"$request")" >/dev/null
answer=$(rest POST /v1/admin/otaimage/upload_confirm -d "{\"ota_image_id\":\"$(jq -r .ota_image_id <<<"$request")\"}")
[ "$(jq -r .error_code <<<"$answer")" = 104003 ] || die "the server took a corrupt file: $answer"
[ -z "$(ls "$work/data/uploads")" ] || die "refused uploads stay behind: $(ls "$work/data/uploads")"
echo "golden files have their verdicts"
