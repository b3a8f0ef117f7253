#!/usr/bin/env bash
# Goal: nodes with certificates of their maker's own authority come in once it is known, over MQTT and HTTPS; a node that is
# deactivated is thrown out and stays out until it is let in again.
. "$(dirname "$0")/lib.sh" "$@"
start_server
login
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/maker.key" -out "$work/maker.crt" -days 30 -subj '/CN=Maker of lamps' \
  -addext basicConstraints=critical,CA:TRUE 2>/dev/null
for name in lamp1 lamp2; do
  openssl req -newkey rsa:2048 -nodes -keyout "$work/$name.key" -out "$work/$name.csr" -subj "/CN=$name" 2>/dev/null
  openssl x509 -req -in "$work/$name.csr" -CA "$work/maker.crt" -CAkey "$work/maker.key" -CAcreateserial -days 30 -out "$work/$name.crt" 2>/dev/null
done
announced=$(rest GET '/v1/admin/node_certificates/register?file_name=list.csv')
{ echo 'node_id,certs,qrcode'; for name in lamp1 lamp2; do printf '%s,"%s",\n' "$name" "$(cat "$work/$name.crt")"; done; } >"$work/list.csv"
curl -s -X PUT --data-binary "@$work/list.csv" "$(jq -r .url <<<"$announced")"
rest POST /v1/admin/node_certificates/register -d "{\"request_id\":\"$(jq -r .request_id <<<"$announced")\",\"file_md5\":\"$(md5sum "$work/list.csv" | cut -d' ' -f1)\"}" |
  jq -e '.node_count == 2' >/dev/null || die "the list is not registered"

speak() {  # speak NODE: describes itself; the broker acknowledges
  timeout 20 mosquitto_pub -h localhost -p "$mqtt" --cafile "$work/data/keys/ca.crt" --cert "$work/$1.crt" --key "$work/$1.key" -q 1 \
    -t "node/$1/config" -m "{\"node_id\":\"$1\",\"info\":{\"fw_version\":\"$2\",\"type\":\"t\",\"model\":\"m\"}}" 2>/dev/null
}
status() { curl -s -o "$work/answer" -w '%{http_code}' --cacert "$work/data/keys/ca.crt" --cert "$work/$1.crt" --key "$work/$1.key" "https://localhost:$node_port/v1/node/otafetch"; }
! speak lamp1 1.0 || die "an unknown authority's node came in"
[ "$(status lamp1)" = 401 ] || die "an unknown authority's node came in by HTTPS: $(cat "$work/answer")"
! rest POST /v1/admin/authorities -d "$(jq -n --rawfile pem "$work/lamp1.crt" '{certificate:$pem}')" | jq -e '.status == "success"' >/dev/null || die "a node's certificate became an authority"
authority=$(rest POST /v1/admin/authorities -d "$(jq -n --rawfile pem "$work/maker.crt" '{certificate:$pem}')" | jq -r .authority_id)
rest GET /v1/admin/authorities | jq -e '.authorities | length == 1 and (.[0].subject | test("Maker of lamps"))' >/dev/null || die "the authority is not listed"
renew_broker HUP
wait_for 20 speak lamp1 1.0 || die "the maker's node is not let in"
wait_for 20 runs lamp1 1.0 || die "it was not heard"
answered() { [ "$(status "$1")" = "$2" ]; }
wait_for 10 answered lamp1 400 || die "by HTTPS it is answered $(cat "$work/answer")" # 400: nothing for this node

# Deactivated while it listens
speak lamp2 1.0
mosquitto_sub -h localhost -p "$mqtt" --cafile "$work/data/keys/ca.crt" --cert "$work/lamp2.crt" --key "$work/lamp2.key" -t node/lamp2/otaurl >/dev/null 2>&1 &
listener=$!
pids+=("$listener")
wait_for 20 is_online lamp2 || die "lamp2 is not online"
rest PUT '/v1/admin/nodes?node_id=lamp2,lamp1&activate=false' | jq -e '.status == "success"' >/dev/null || die "not deactivated"
[ "$(node_field lamp2 node_status)" = deactivated ] || die "its status is $(node_field lamp2 node_status)"
gone() { [ "$(rest GET '/v1/admin/nodes?node_id=lamp2' | jq -r .status.connectivity.connected)" = false ]; }
wait_for 20 gone || die "it is connected still"
[ "$(status lamp2)" = 401 ] || die "by HTTPS it is let in"
heard() { speak lamp2 6.6; runs lamp2 6.6; }
! wait_for 2 heard || die "a deactivated node is heard"
rest PUT '/v1/admin/nodes?node_id=lamp2&activate=true' | jq -e '.status == "success"' >/dev/null || die "not activated"
wait_for 20 heard || die "it is not heard again"
[ "$(status lamp1)" = 401 ] || die "the other one came in with it"

# It survives a restart; without the authority all of its nodes are out
kill "$server_pid"; wait "$server_pid" || true
start_server
[ "$(status lamp1)" = 401 ] && wait_for 20 answered lamp2 400 || die "the gate has forgotten"
rest DELETE "/v1/admin/authorities?authority_id=$authority" | jq -e '.status == "success"' >/dev/null || die "the authority stays"
wait_for 10 answered lamp2 401 || die "by HTTPS it is let in without its authority"
renew_broker TERM
out() { ! speak lamp2 1.0; }
wait_for 20 out || die "it is let in without its authority"
echo "authorities, and who is out"
