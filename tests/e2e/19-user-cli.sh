#!/usr/bin/env bash
# Goal: what RainMaker's two command lines ask, in their order and their bodies: a user, claiming, mapping, parameters,
# groups, an update by `otaupgrade`; and a maker's list of nodes.
. "$(dirname "$0")/lib.sh" "$@"
export PLUVIO_MAIL=$work/mail
start_server --sign-up open --mail-program "$root/tests/tools/keep_mail.sh"
base=http://127.0.0.1:$http
access='' ; refresh='' ; user=''
ask() {  # ask METHOD PATH [JSON]: as the command lines do, the token raw
  curl -s -X "$1" -H "Authorization: $access" -H 'Content-Type: application/json' ${3:+-d "$3"} "$base$2"
}
sign_in() {
  local answer=$(ask POST /v1/login2 "{\"user_name\":\"$1\",\"password\":\"$2\"}")
  access=$(jq -r .accesstoken <<<"$answer") refresh=$(jq -r .refreshtoken <<<"$answer")
  jq -e '.status == "success" and .idtoken' <<<"$answer" >/dev/null || die "login: $answer"
  user=$(ask GET /v1/user | jq -r .user_id)
}

# signup, with the code from the letter; login; refresh
ask POST /v1/user2 '{"user_name":"ann@x.org","password":"Passw0rd"}' | jq -e '.status == "success"' >/dev/null || die "no sign-up"
wait_for 10 test -s "$work/mail" || die "no letter came"
code=$(grep -oE 'is [0-9]{6}' "$work/mail" | cut -c4-)
ask POST /v1/user2 "{\"user_name\":\"ann@x.org\",\"verification_code\":\"$code\"}" | jq -e '.status == "success"' >/dev/null || die "the code $code is not taken"
! grep -qF "$code" "$work/pluviod.log" || die "a code stands in the log"
sign_in ann@x.org Passw0rd
curl -s "$base/apiversions" | jq -e '.supported_versions == ["v1"]' >/dev/null || die "apiversions"
access=$(ask POST /v1/login2 "{\"refreshtoken\":\"$refresh\"}" | jq -r .accesstoken)
ask GET /v1/user/nodes | jq -e '.nodes == [] and (has("next_id") | not)' >/dev/null || die "nodes of a new user"

# claim: initiate, a request for a certificate, verify; then the node connects
curl -s "$base/mqtt_host" | jq -e .mqtt_host >/dev/null || die "no MQTT host"
id=$(ask POST /claim/initiate '{"mac_addr":"AABBCC112233","platform":"esp32c3"}' | jq -r .node_id)
openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$work/node.key" 2>/dev/null
openssl req -new -key "$work/node.key" -subj "/CN=$id" -out "$work/node.csr" 2>/dev/null
ask POST '/claim/verify?matter=False' "$(jq -n --rawfile csr "$work/node.csr" '{csr:$csr}')" | jq -r .certificate >"$work/node.crt"
openssl x509 -in "$work/node.crt" -noout -subject | grep -qF "$id" || die "no certificate for $id"
"$bin/pluvio" node fctry --output "$work/fctry.bin" --node-id "$id" --cert "$work/node.crt" --key "$work/node.key" --mqtt-host "localhost:$mqtt" >/dev/null
"$bin/vesp" new "$work/n1.flash" --size 16M --app "$bin/agent-params-1.0.0.bin" --fctry "$work/fctry.bin" --ca-bundle "$work/data/keys/ca.crt"
run_node n1 fast

# mapping: asked for, not confirmed by a wrong secret, then by the node
other=$(ask POST /claim/initiate '{"mac_addr":"AABBCC112244","platform":"esp32c3"}' | jq -r .node_id)
openssl req -new -key "$work/node.key" -subj "/CN=$other" -out "$work/other.csr" 2>/dev/null
ask POST '/claim/verify?matter=False' "$(jq -n --rawfile csr "$work/other.csr" '{csr:$csr}')" | jq -r .certificate >"$work/other.crt"
request=$(ask PUT /v1/user/nodes/mapping "{\"user_id\":\"$user\",\"node_id\":\"$other\",\"secret_key\":\"s3\",\"operation\":\"add\"}" | jq -r .request_id)
say() {
  timeout 20 mosquitto_pub -h localhost -p "$mqtt" --cafile "$work/data/keys/ca.crt" --cert "$work/other.crt" --key "$work/node.key" -q 1 \
    -t "\$aws/rules/esp_user_node_mapping/node/$other/user/mapping" -m "{\"node_id\":\"$other\",\"user_id\":\"$user\",\"secret_key\":\"$1\"}"
}
mapping() { [ "$(ask GET "/v1/user/nodes/mapping?&request_id=$request" | jq -r .request_status)" = "$1" ]; }
say wrong
mapping requested || die "a wrong secret was taken"
say s3
wait_for 20 mapping confirmed || die "the mapping is $(ask GET "/v1/user/nodes/mapping?&request_id=$request")"
ask GET /v1/user/nodes | jq -e ".nodes == [\"$other\"]" >/dev/null || die "getnodes"
ask PUT /v1/user/nodes/mapping "{\"user_id\":\"$user\",\"node_id\":\"$other\",\"secret_key\":\"\",\"operation\":\"remove\"}" | jq -e '.status == "success"' >/dev/null || die "removenode"

# an administrator maps the one that runs; then its config, status, parameters
login
rest PUT "/v1/admin/users/$user/nodes/$id/mapping" | jq -e '.status == "success"' >/dev/null || die "no mapping by the administrator"
is_there() { ask GET "/v1/user/nodes/status?nodeid=$id" | jq -e '.connectivity.connected == true'; }
wait_for 60 is_there || die "the claimed node did not connect"
has_service() { ask GET "/v1/user/nodes/config?nodeid=$id" | jq -e '.services | map(select(.type == "esp.service.ota")) | length == 1'; }
wait_for 20 has_service || die "getnodeconfig: $(ask GET "/v1/user/nodes/config?nodeid=$id")"
has_param() { ask GET "/v1/user/nodes/params?nodeid=$id" | jq -e "$1"; }
wait_for 20 has_param '.Light.Hue == 180 and .OTA.Status == ""' || die "getparams: $(ask GET "/v1/user/nodes/params?nodeid=$id")"
ask PUT /v1/user/nodes/params "[{\"node_id\":\"$id\",\"payload\":{\"Light\":{\"Hue\":20}}}]" | jq -e '.[0].status == "success"' >/dev/null || die "setparams"
wait_for 20 has_param '.Light.Hue == 20 and .Light.Mode == "day"' || die "the node did not take it: $(ask GET "/v1/user/nodes/params?nodeid=$id")"
ask PUT "/v1/user/nodes?node_id=$id" '{"tags":["room:hall"]}' | jq -e '.status == "success"' >/dev/null || die "tags"
ask PUT "/v1/user/nodes?node_id=$id" '{"metadata":{"note":"by the door"}}' | jq -e '.status == "success"' >/dev/null || die "metadata"
ask GET "/v1/user/nodes?node_details=true&node_id=$id" | jq -e '.node_details[0] | .tags == ["room:hall"] and .metadata.note == "by the door" and .params.Light.Hue == 20 and .config.config_version' >/dev/null || die "getnodedetails"
group=$(ask POST /v1/user/node_group '{"group_name":"hall","is_matter":true,"mutually_exclusive":false}' | jq -r .group_id)
ask PUT "/v1/user/node_group?group_id=$group" "{\"nodes\":[\"$id\"],\"operation\":\"add\"}" | jq -e '.status == "success"' >/dev/null || die "add-nodes"
ask GET "/v1/user/node_group?group_id=$group&node_list=true" | jq -e ".groups[0].nodes == [\"$id\"]" >/dev/null || die "list-nodes"

# automations: when Hue goes above 100, Mode becomes night; once, until it was below
one=$(ask POST /v1/user/node_automation "{\"name\":\"dim\",\"node_id\":\"$id\",\"event_type\":\"node_params\",\"events\":[{\"params\":{\"Light\":{\"Hue\":100}},\"check\":\">\"}],\"actions\":[{\"node_id\":\"$id\",\"params\":{\"Light\":{\"Mode\":\"night\"}}}]}" | jq -r .automation_id)
ask GET /v1/user/node_automation | jq -e --arg one "$one" '.automation_trigger_actions[0] | .automation_id == $one and .name == "dim"' >/dev/null || die "automations"
set_light() { ask PUT /v1/user/nodes/params "[{\"node_id\":\"$id\",\"payload\":{\"Light\":$1}}]" >/dev/null; wait_for 20 has_param "$2" || die "$1: $(ask GET "/v1/user/nodes/params?nodeid=$id")"; }
set_light '{"Hue":150}' '.Light.Hue == 150 and .Light.Mode == "night"'
set_light '{"Mode":"day"}' '.Light.Mode == "day"'
set_light '{"Hue":160}' '.Light.Hue == 160 and .Light.Mode == "day"'
set_light '{"Hue":20}' '.Light.Hue == 20'
set_light '{"Hue":170}' '.Light.Mode == "night"'
ask DELETE "/v1/user/node_automation?automation_id=$one" | jq -e '.status == "success"' >/dev/null || die "automation delete"
set_light '{"Hue":20,"Mode":"day"}' '.Light.Hue == 20 and .Light.Mode == "day"'

# sharing: asked, accepted by the other, who may then set parameters and not share on
rest POST /v1/admin/users -d '{"user_name":"bo@x.org","password":"Passw0rd2","role":"user"}' | jq -e '.status == "success"' >/dev/null || die "no second user"
owner=$access
sign_in bo@x.org Passw0rd2
guest=$access
as() { access=$1; shift; ask "$@"; }
request=$(as "$owner" PUT /v1/user/nodes/sharing "{\"nodes\":[\"$id\"],\"user_name\":\"bo@x.org\"}" | jq -r .request_id)
as "$guest" GET /v1/user/nodes/sharing/requests?primary_user=false | jq -e --arg r "$request" '.sharing_requests[0] | .request_id == $r and .request_status == "pending"' >/dev/null || die "the request does not arrive"
as "$guest" PUT /v1/user/nodes/sharing/requests "{\"request_id\":\"$request\",\"accept\":true}" | jq -e '.status == "success"' >/dev/null || die "accept"
as "$guest" GET "/v1/user/nodes/sharing?node_id=$id" | jq -e '.node_sharing[0].users | .primary == ["ann@x.org"] and .secondary == ["bo@x.org"]' >/dev/null || die "who has the node"
as "$guest" PUT /v1/user/nodes/params "[{\"node_id\":\"$id\",\"payload\":{\"Light\":{\"Hue\":30}}}]" | jq -e '.[0].status == "success"' >/dev/null || die "the guest may not set"
as "$guest" PUT /v1/user/nodes/sharing "{\"nodes\":[\"$id\"],\"user_name\":\"ann@x.org\"}" | jq -e '.error_code == 103020' >/dev/null || die "the guest shares on"
as "$owner" DELETE "/v1/user/nodes/sharing?nodes=$id&user_name=bo@x.org" | jq -e '.status == "success"' >/dev/null || die "taking back"
as "$guest" GET /v1/user/nodes | jq -e '.nodes == []' >/dev/null || die "the guest still has the node"
access=$owner

# create_cmd_request: it waits for a node that is away, which polls when it comes, and answers
user=$(ask GET /v1/user | jq -r .user_id)
rest PUT "/v1/admin/users/$user/nodes/$other/mapping" >/dev/null
request=$(ask POST /v1/user/nodes/cmd "{\"node_ids\":[\"$other\"],\"cmd\":258,\"data\":\"hello\",\"timeout\":300}" | jq -r .request_id)
command_is() { ask GET "/v1/user/nodes/cmd?request_id=$request" | jq -e "$1"; }
command_is '.requests[0].status == "requested"' >/dev/null || die "the command: $(ask GET "/v1/user/nodes/cmd?request_id=$request")"
as_node=(-h localhost -p "$mqtt" --cafile "$work/data/keys/ca.crt" --cert "$work/other.crt" --key "$work/node.key" -q 1)
message=$(printf '\001\000\003\001\000\005\002\000\000' | timeout 60 mosquitto_rr "${as_node[@]}" -i "$other" -V 5 -t "node/$other/from-node" -e "node/$other/to-node" -s -F %x)
grep -qE '05020201060568656c6c6f$' <<<"$message" || die "the message is $message"
command_is '.requests[0].status == "in_progress"' >/dev/null || die "the command was not sent"
{ printf "\\001\\$(printf '%03o' "${#request}")%s" "$request"; printf '\003\001\000\005\002\002\001\006\002ok'; } |
  timeout 20 mosquitto_pub "${as_node[@]}" -i "$other" -t "\$aws/rules/esp_cmd_resp/node/$other/from-node" -s
wait_for 20 command_is '.requests[0] | .status == "success" and .device_status == 0 and .response_data == "ok"' || die "the answer: $(ask GET "/v1/user/nodes/cmd?request_id=$request")"

# otaupgrade
service=OTA
base64 -w0 "$bin/agent-params-2.0.0.bin" >"$work/image.b64"
answer=$(jq -n --rawfile image "$work/image.b64" '{image_name:"agent",base64_fwimage:$image}' | curl -s -X POST -H "Authorization: $access" -d @- "$base/v1/user/otaimage")
jq -e '.status | test("success")' <<<"$answer" >/dev/null || die "user image: $answer"
ask PUT "/v1/user/nodes/params?nodeid=$id" "{\"$service\":{\"URL\":\"$(jq -r .image_url <<<"$answer")\"}}" | jq -e '.status == "success"' >/dev/null || die "the URL is not taken"
wait_for 120 has_param '.OTA.Status == "success"' || die "otaupgrade: $(ask GET "/v1/user/nodes/params?nodeid=$id")"
[ "$(node_field "$id" fw_version)" = 2.0.0 ] || die "it runs $(node_field "$id" fw_version)"

# The maker's list, of certificates of the server's own authority
rest GET /v1/admin/mqtt_host | jq -e '.mqtt_host and .mqtt_cred_host' >/dev/null || die "admin mqtt_host"
request=$(rest POST /v1/admin/node_ids -d '{"node_count":5}' | jq -r .request_id)
[ "$(curl -s "$(rest GET "/v1/admin/node_ids?request_id=$request" | jq -r .url)" | tr ',' '\n' | grep -c '^[A-Za-z0-9]\{22\}$')" -ge 4 ] || die "node ids"
announced=$(rest GET '/v1/admin/node_certificates/register?file_name=node_certs.csv')
{ printf 'node_id,certs,qrcode\r\n'; printf '%s,"%s","{""ver"":""v1""}"\r\n' "$other" "$(cat "$work/other.crt")"; } >"$work/node_certs.csv"
[ "$(curl -s -o /dev/null -w '%{http_code}' -X PUT -H 'Content-type: application/octet-stream' --data-binary "@$work/node_certs.csv" "$(jq -r .url <<<"$announced")")" = 200 ] || die "the list is not taken"
register() {
  rest POST /v1/admin/node_certificates/register -d "{\"file_name\":\"node_certs.csv\",\"file_md5\":\"$(md5sum "$work/node_certs.csv" | cut -d' ' -f1)\",\"refresh_token\":\"\",\"group_name\":\"made\",\"type\":\"Light\",\"model\":\"L\",\"parent_group_id\":\"\",\"parent_group_name\":\"\",\"subtype\":\"\",\"tags\":\"batch:7\",\"force\":$1,\"update_nodes\":false,\"request_id\":\"$(jq -r .request_id <<<"$announced")\",\"node_policies\":\"\"}"
}
register true | jq -e '.status == "success" and .request_id' >/dev/null || die "the list is not registered"
rest GET "/v1/admin/node_certificates/register?request_id=$(jq -r .request_id <<<"$announced")" | jq -e '.status == "success" and .description == "1 nodes registered"' >/dev/null || die "getcertstatus"
[ "$(node_field "$other" 'tags[0]')" = batch:7 ] || die "its tag is missing"

# All of it stands in the audit log, which is whole
rest GET /v1/admin/audit | jq -e '[.entries[].entry.what] | contains(["node.claim","node.map","node.params","image.upload","node.register"])' >/dev/null || die "the audit log: $(rest GET /v1/admin/audit)"
rest GET /v1/admin/audit/verify | jq -e '.whole' >/dev/null || die "the audit log is broken"
! grep -qE 'Passw0rd|BEGIN .*PRIVATE' "$work/pluviod.log" || die "a secret stands in the log"
echo "a user, a claimed node, an update"
