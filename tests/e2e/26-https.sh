#!/usr/bin/env bash
# Goal: what listens speaks TLS 1.2 and 1.3 and nothing older; pages and answers over HTTPS carry the headers that keep a
# browser out of trouble; keys on the disk are their owner's alone.
. "$(dirname "$0")/lib.sh" "$@"
start_server
login
"$bin/pluvio" node add n1 --out "$work/n1" >/dev/null
shakes_hands() {  # shakes_hands PORT VERSION
  openssl s_client -connect "127.0.0.1:$1" "-$2" -cipher 'ALL:@SECLEVEL=0' -CAfile "$work/data/keys/ca.crt" -cert "$work/n1/node.crt" -key "$work/n1/node.key" </dev/null >"$work/hands" 2>&1 && grep -qE '^ *Protocol *: *TLSv1|^New, TLSv1' "$work/hands" && ! grep -q 'Cipher is (NONE)' "$work/hands"
}
for port in "$https" "$node_port" "$mqtt"; do
  for version in tls1_2 tls1_3; do
    shakes_hands "$port" "$version" || die "port $port refuses $version: $(tail -5 "$work/hands")"
  done
  for version in tls1 tls1_1; do
    ! shakes_hands "$port" "$version" || die "port $port takes $version"
    # It is the server that refuses, not our own client that cannot.
    ! grep -qE 'no protocols available|unknown option' "$work/hands" || echo "the client here has no $version"
  done
done
headers() { curl -s --cacert "$work/data/keys/ca.crt" -o /dev/null -D - "https://localhost:$https$1" | tr -d '\r' | tr 'A-Z' 'a-z'; }
for path in / /healthz /v1/admin/nodes /nothing; do
  headers "$path" >"$work/headers"
  for wanted in 'strict-transport-security: max-age=' 'x-content-type-options: nosniff' "content-security-policy: default-src 'none'"; do
    grep -qF "$wanted" "$work/headers" || die "$path lacks $wanted: $(cat "$work/headers")"
  done
done
headers / | grep -qF "script-src 'self'" || die "the page's policy: $(headers /)"
! headers / | grep -qE "unsafe-|script-src [^;]*http" || die "the page's policy is soft"
[ -z "$(find "$work/data/keys" -type f \( -name '*.key' -o -name 'token*' \) -perm /077)" ] || die "a key is not its owner's alone: $(ls -l "$work/data/keys")"
[ "$(stat -c %a "$work/data/keys")" = 700 ] || die "the folder of keys has mode $(stat -c %a "$work/data/keys")"
[ -z "$(find "$work/data" -name '*.db*' -perm /077)" ] || die "the database is not its owner's alone"
echo "TLS 1.2 and 1.3, headers, modes"
