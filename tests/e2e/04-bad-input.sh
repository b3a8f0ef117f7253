#!/usr/bin/env bash
# Goal: malformed, foreign, expired and oversized input gets a clear error or one log line; nothing is lost, nothing dies.
. "$(dirname "$0")/lib.sh" "$@"
server_options=(--log-level info)
far_redirect=no # the URLs here are to be ours
start_server
login
add_node n1; add_node n2; run_node n1 fast
wait_for 60 is_online n1 || die "n1 did not connect"
upload blinky-1.1.0

# The dashboard comes with its policy, and from nowhere but here
curl -sI --cacert "$work/data/keys/ca.crt" "https://localhost:$https/" >"$work/head"
grep -qi '^content-type: text/html; charset=utf-8' "$work/head" || die "the page's type: $(cat "$work/head")"
grep -qi "^content-security-policy: default-src 'none'" "$work/head" || die "the page has no policy"
curl -sf --cacert "$work/data/keys/ca.crt" "https://localhost:$https/" >"$work/index.html"
cmp -s "$work/index.html" "$root/build/web/dist/index.html" || die "the page differs from what was built"
for file in /icon.svg $(grep -o '/assets/[^"]*' "$work/index.html"); do
  curl -sf --cacert "$work/data/keys/ca.crt" "https://localhost:$https$file" | cmp -s - "$root/build/web/dist$file" || die "$file differs"
  curl -sf --compressed --cacert "$work/data/keys/ca.crt" "https://localhost:$https$file" | cmp -s - "$root/build/web/dist$file" || die "$file differs, packed"
done
grep -nE 'https?://' "$work/index.html" && die "the page asks elsewhere"

# REST: malformed JSON on every path that takes a body
for path in /v1/login2 /v1/admin/otaimage /v1/admin/otaimage/upload_confirm /v1/admin/otajob /v1/admin/otajob/retrigger /v1/admin/nodes; do
  answer=$(rest POST $path -d '{"broken":')
  [ "$(jq -r .error_code <<<"$answer")" = 100006 ] || die "POST $path: $answer"
done
[ "$(rest PUT /v1/admin/otajob -d 'x' | jq -r .error_code)" = 100006 ] || die "PUT otajob"

# A body over the limit: announced and unannounced
head -c 200000 /dev/zero | tr '\0' ' ' >"$work/big"
[ "$(rest POST /v1/admin/otajob --data-binary @"$work/big" -o /dev/null -w '%{http_code}')" = 413 ] || die "a big body was taken"
[ "$(rest POST /v1/admin/otajob -H 'Transfer-Encoding: chunked' --data-binary @"$work/big" -o /dev/null -w '%{http_code}')" = 413 ] || die "a big chunked body was taken"

# Signed URLs: altered, expired, unsigned
url=$(rest GET /v1/admin/otaimage | jq -r '.ota_images[0].image_url')
ca=$work/data/keys/ca.crt
get() { curl -s -o "$work/got" -w '%{http_code}' --cacert "$ca" "$@"; }
[ "$(get "$url")" = 200 ] && cmp -s "$work/got" "$bin/blinky-1.1.0.bin" || die "the download differs"
[ "$(get -H 'Range: bytes=100-199' "$url")" = 206 ] && cmp -s "$work/got" <(tail -c +101 "$bin/blinky-1.1.0.bin" | head -c 100) || die "the range differs"
[ "$(get -H 'Range: bytes=99999999-' "$url")" = 416 ] || die "a range past the end"
[ "$(get "${url%?}A")" = 403 ] || [ "$(get "${url%?}B")" = 403 ] || die "an altered signature was taken"
[ "$(get "$(sed 's/e=[0-9]*/e=1000000000/' <<<"$url")")" = 403 ] || die "an altered end was taken"
[ "$(get "${url%%\?*}")" = 403 ] || die "an unsigned URL was taken"
jq -e '.description | length > 10' "$work/got" >/dev/null || die "no reason was given"

# MQTT as a node: own topics with rubbish, other nodes' topics, notices
mq() { mosquitto_pub -h localhost -p "$mqtt" --cafile "$ca" --cert "$work/n2/node.crt" --key "$work/n2/node.key" -i any -q 1 "$@"; }
job=$(start_job --image blinky-1.1.0 n2 --name for-n2)
for topic in config otafetch otastatus params/local user/mapping from-node; do
  for payload in '{' '[]' 'null' '{"ota_job_id":7}' '{"info":[]}'; do
    mq -t "node/n2/$topic" -m "$payload"
    mq -t "\$aws/rules/esp_node/node/n2/$topic" -m "$payload"
  done
done
mq -t node/n2/otastatus -m '{"ota_job_id":"none","status":"success","additional_info":"","ts":1}'
mq -t node/n1/otastatus -m "{\"ota_job_id\":\"$job\",\"status\":\"success\",\"additional_info\":\"forged\"}"
mq -t "\$aws/rules/x/node/n1/otastatus" -m "{\"ota_job_id\":\"$job\",\"status\":\"success\"}"
mq -t pluvio/presence/n1/disconnected -m ''
# an otastatus that an old node cut at 199 bytes
long=$(printf '{"ota_job_id":"%s","status":"in-progress","additional_info":"%0200d","ts":1760000000}' "$job" 0)
mq -t node/n2/otastatus -m "${long:0:199}"
wait_for 40 in_state "$job" n2 in-progress || die "the cut report was not understood: $(state "$job" n2)"
is_online n1 || die "a forged notice was believed"
[ "$(job_field "$job" success_count)" = 0 ] || die "a forged report was believed"
grep -q "cut off; job and status were recovered" "$work/pluviod.log" || die "the salvage was not logged"

# a certificate cannot take another's name; a connection without certificate is refused
mosquitto_pub -h localhost -p "$mqtt" --cafile "$ca" -t node/n1/config -m x -q 1 2>/dev/null && die "a stranger got in"
mosquitto_sub -h localhost -p "$mqtt" --cafile "$ca" --cert "$work/n2/node.crt" --key "$work/n2/node.key" -i n1 -t '#' -W 2 2>/dev/null >"$work/heard" || true
is_online n1 || die "n2's certificate threw n1 out"
[ ! -s "$work/heard" ] || die "n2 heard others: $(cat "$work/heard")"

# nodes' HTTPS: with certificate, without, with another authority's
nodes() { curl -s --cacert "$ca" "https://localhost:$node_port$1" "${@:2}"; }
[ "$(nodes /v1/node/otafetch | jq -r .message)" = Unauthorized ] || die "a stranger fetched"
[ "$(nodes /v1/node/otafetch --cert "$work/n1/node.crt" --key "$work/n1/node.key" | jq -r .error_code)" = 105061 ] || die "n1 was offered n2's job"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=n1 -keyout "$work/f.key" -out "$work/f.crt" -days 2 2>/dev/null
[ "$(nodes /v1/node/otafetch --cert "$work/f.crt" --key "$work/f.key" | jq -r .message)" = Unauthorized ] || die "a forged certificate fetched"

# and all of it left the server whole
job=$(start_job --image blinky-1.1.0 n1 --force-push)
wait_for 120 is_finished "$job" || die "the server does not work any more"
[ "$(state "$job" n1)" = success ] || die "n1 ended as $(state "$job" n1)"
echo "bad input did no harm"
