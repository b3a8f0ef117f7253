#!/usr/bin/env bash
# Goal: what a broker sees of a node beside its jobs: description, parameters both ways, time zone, mapping, presence; and
# an update by a URL that is written to a parameter.
. "$(dirname "$0")/lib.sh" "$@"
. "$(dirname "$0")/broker.sh"
start_broker
serve_files
add_agent n1 agent-params-1.0.0
run_node n1 fast
expect '$aws/rules/esp_node_config/node/n1/config {"node_id":"n1","config_version":"2020-03-20","info":{"name":"Agent","fw_version":"1.0.0","type":"esp.device.lightbulb","model":"agent","project_name":"agent","platform":"linux"}'
config=$(grep -aF 'node/n1/config' "$work/heard" | head -1 | cut -d' ' -f2-)
jq -e '.attributes == [{"name":"site","value":"roof"},{"name":"cmd-resp","value":"1"}]' <<<"$config" >/dev/null || die "attributes: $config"
jq -e '.devices[0] | .name == "Light" and .primary == "Power" and .attributes == [{"name":"serial","value":"0001"}]' <<<"$config" >/dev/null || die "devices: $config"
jq -e '.devices[0].params | map(.name) == ["Name","Power","Hue","Mode","Scene"]' <<<"$config" >/dev/null || die "parameters: $config"
jq -e '.devices[0].params[2] == {"name":"Hue","type":"esp.param.hue","data_type":"int","properties":["read","write"],"bounds":{"min":0,"max":360,"step":1},"ui_type":"esp.ui.hue-slider"}' <<<"$config" >/dev/null || die "hue: $config"
jq -e '.devices[0].params[3].valid_strs == ["day","night"]' <<<"$config" >/dev/null || die "mode: $config"
jq -e '.services | map(.type) == ["esp.service.time","esp.service.system","esp.service.ota"]' <<<"$config" >/dev/null || die "services: $config"
jq -e '.services[2].params | map([.name,.type,.data_type,.properties]) == [["Status","esp.param.ota_status","string",["read"]],["Info","esp.param.ota_info","string",["read"]],["URL","esp.param.ota_url","string",["write"]]]' <<<"$config" >/dev/null || die "OTA service: $config"
expect 'node/n1/params/local/init {"Light":{"Name":"Light","Power":true,"Hue":180,"Mode":"day","Scene":{"a":1}},"Time":{"TZ":"","TZ-POSIX":""},"System":{"Reboot":false},"OTA":{"Status":"","Info":""}}'
expect '$aws/rules/esp_user_node_mapping/node/n1/user/mapping {"node_id":"n1","user_id":"u1","secret_key":"s3cret"}'
expect '{"Connectivity":{"Connected":true}}'
expect '$aws/rules/esp_cmd_resp/node/n1/from-node'
order=$(grep -naE 'node/n1/(from-node|config|params/local/init) ' "$work/heard" | cut -d: -f1 | tr '\n' ' ')
[ "$order" = "$(tr ' ' '\n' <<<"$order" | sort -n | xargs) " ] || die "the order of the start: $order"
! heard otafetch || die "a fetch in params mode"

# Writes: taken over, refused with an alert, of a wrong type, of several at once, in broken messages
tell node/n1/params/remote '{"Light":{"Power":false,"Hue":12,"Name":"Lamp","Scene":{"b":[2,"x"]}}}'
expect 'node/n1/params/local {"Light":{"Power":false}}'
expect '{"Light":{"Hue":12}}'
expect '{"Light":{"Name":"Lamp"}}'
expect '{"Light":{"Scene":{"b":[2,"x"]}}}'
tell node/n1/params/remote '{"Light":{"Hue":13,"Power":"yes","Nothing":1},"Other":{}}'
expect '$aws/rules/esp_node_alert/node/n1/alert {"esp.alert.str":"Hue 13 was asked for"}'
tell node/n1/params/remote '{"Light":{"Hue":'
tell node/n1/params/remote '[1,2]'
tell node/n1/params/remote '{"Time":{"TZ":"Europe/Berlin"}}'
expect '{"Time":{"TZ":"Europe/Berlin"}}'
expect '{"Time":{"TZ-POSIX":"CET-1CEST,M3.5.0,M10.5.0/3"}}'
tell node/n1/params/remote '{"Time":{"TZ":"Europe/Nowhere"}}'

# OTA: the text first, the status after it; nothing for a second URL meanwhile
cp "$bin/agent-params-2.0.0.bin" "$work/www/"
tell node/n1/params/remote "{\"OTA\":{\"URL\":\"https://localhost:$files/nothing.bin\"}}"
expect '{"OTA":{"Info":"OTA Attempt 3/3 failed: OTA Begin failed: '
expect '{"OTA":{"Status":"failed"}}'
: >"$work/heard"
tell node/n1/params/remote "{\"OTA\":{\"URL\":\"https://localhost:$files/agent-params-2.0.0.bin\"}}"
expect '{"OTA":{"Info":"Rebooting into new firmware (after 1 HTTPS attempt)"}}'
expect '{"OTA":{"Info":"OTA Upgrade finished and verified successfully"}}' 60
expect '{"OTA":{"Status":"success"}}'
expect '"fw_version":"2.0.0"'
expect '"Light":{"Name":"Lamp"' # it persisted
expect '"Time":{"TZ":"Europe/Berlin","TZ-POSIX":"CET-1CEST,M3.5.0,M10.5.0/3"}'
! heard otastatus || die "a report in params mode"
[ "$(grep -aF '"OTA":{' "$work/heard" | grep -vF init | grep -oE '"(Info|Status)"' | paste -sd' ' | sed 's/"Info" "Status"//g; s/ //g')" = "" ] || die "Info and Status do not alternate"
# Its broker goes, it comes back by itself; it goes, and the broker says so
kill "$broker"; wait "$broker" 2>/dev/null || true
: >"$work/heard"
run_broker; listen
expect '{"Connectivity":{"Connected":true}}' 150
for pid in "${pids[@]}"; do [ "$(cat /proc/$pid/comm 2>/dev/null)" = vesp ] && { pkill -KILL -P "$pid" || true; kill -KILL "$pid"; wait "$pid" 2>/dev/null || true; }; done
expect 'node/n1/params/local {"Connectivity":{"Connected":false}}'
echo "a node and its parameters"
