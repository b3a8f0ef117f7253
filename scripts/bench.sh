#!/usr/bin/env bash
# Figures for people: memory, start-up, throughput, each beside a yardstick measured in the same run.
#   bench.sh BUILD-FOLDER [image]        everything, or the verifier alone
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/lib.sh"
bin=$(readlink -f "$1")
work=$(mktemp -d "${TMPDIR:-/tmp}/pluvio-bench.XXXXXX")
export PLUVIO_SESSION=$work/session.json
pid=''
median() { sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }

# A 16 MB image verified by a fresh `pluvio`, and `openssl dgst` over the same file, in turns.
bench_image() {
  (printf '\177ELF'; head -c $((16 * 1024 * 1024 - 8192)) /dev/urandom) >"$work/elf"
  "$bin/pluvio" image pack "$work/elf" --project bench --version 1 --output "$work/image.bin" --quiet
  local from round
  for round in $(seq 25); do
    from=$(now_us); "$bin/pluvio" image inspect --json "$work/image.bin" >/dev/null; echo $(($(now_us) - from)) >>"$work/ours"
    from=$(now_us); openssl dgst -sha256 "$work/image.bin" >/dev/null; echo $(($(now_us) - from)) >>"$work/theirs"
  done
  local ours theirs memory
  ours=$(median <"$work/ours") theirs=$(median <"$work/theirs")
  memory=$(/usr/bin/time -f %M "$bin/pluvio" image inspect "$work/image.bin" 2>&1 >/dev/null)
  echo "verify a 16 MB image        $ours us, openssl dgst -sha256 $theirs us: speed $(awk "BEGIN { printf \"%.2f\", $theirs / $ours }") of openssl's   [limit 0.9]"
  echo "memory while verifying      $memory kB at its peak, program and libraries included   [limit 8192 kB]"
}

trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT

https=$(free_port 28443) http=$(free_port 28080) node=$(free_port 28500) mqtt=$(free_port 28883)
now_us() { local t=$EPOCHREALTIME; echo "${t/[.,]/}"; }
answers() { exec 3<>"/dev/tcp/127.0.0.1/$http" && printf 'GET /healthz HTTP/1.0\r\n\r\n' >&3 && read -r line <&3 && [[ $line == *200* ]]; }

start() {  # prints the milliseconds from start to the first answer
  local from; from=$(now_us)
  "$bin/pluviod" --data "$work/data" --https-port "$https" --http-port "$http" --node-port "$node" --mqtt-port "$mqtt" --log-level error 2>>"$work/log" &
  pid=$!
  until (answers) 2>/dev/null; do sleep 0.002; done
  ms=$((($(now_us) - from) / 1000))
}
stop() { kill "$pid"; wait "$pid" || true; pid=''; }
kb() { awk -v key="$1:" '$1 == key { print $2 }' "/proc/$pid/status"; }

if [ "${2:-}" = image ]; then bench_image; exit 0; fi

start; first=$ms; stop
best=99999 worst=0
for _ in 1 2 3 4 5; do start; [ "$ms" -ge "$best" ] || best=$ms; [ "$ms" -le "$worst" ] || worst=$ms; stop; done
echo "start to first answer       first start $first ms (makes keys and the administrator), later $best to $worst ms   [limit 300 ms]"

start
"$bin/pluvio" login --server "http://127.0.0.1:$http" --password-file "$work/data/admin-password" >/dev/null
sleep 1
echo "memory, idle after a login  $(kb VmRSS) kB resident (anonymous $(kb RssAnon) kB), $(kb Threads) threads   [limit 25600 kB]"

"$bin/pluvio" image upload "$bin/blinky-1.1.0.bin" >/dev/null
token=$(jq -r .access "$PLUVIO_SESSION")
from=$(now_us)
for _ in $(seq 50); do curl -s -o /dev/null "http://127.0.0.1:$http/healthz"; done
health=$((($(now_us) - from) / 50))
from=$(now_us)
for _ in $(seq 50); do curl -s -o /dev/null -H "Authorization: $token" "http://127.0.0.1:$http/v1/admin/otaimage"; done
list=$((($(now_us) - from) / 50))
from=$(now_us)
for _ in $(seq 50); do curl --version >/dev/null; done
curl_alone=$((($(now_us) - from) / 50))
echo "one request, with curl      health $health us, image list $list us; curl alone $curl_alone us"
url=$(curl -s -H "Authorization: $token" "http://127.0.0.1:$http/v1/admin/otaimage" | jq -r '.ota_images[0].image_url')
size=$(stat -c %s "$bin/blinky-1.1.0.bin")
from=$(now_us)
for _ in $(seq 20); do curl -s --cacert "$work/data/keys/ca.crt" -o /dev/null "$url"; done
echo "one download over TLS       $((($(now_us) - from) / 20)) us for $size bytes, handshake and curl included"
bench_image
stop
