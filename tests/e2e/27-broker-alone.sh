#!/usr/bin/env bash
# Goal: the broker without its server acknowledges nothing that nodes say; as soon as the server listens, it does.
. "$(dirname "$0")/lib.sh" "$@"
start_server
login
add_node n1
config=$(tr '\0' '\n' <"/proc/$(pgrep -P "$server_pid" mosquitto)/cmdline" | grep 'conf$')
folder=$(dirname "$config")
kill -TERM "$server_pid"; wait "$server_pid" || true

spawn mosquitto -c "$config" >>"$work/broker.log" 2>&1 &
pids+=($!)
wait_for 30 test -S "$folder/mqtt.sock" || die "the broker did not start"
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$mqtt") 2>/dev/null; }
wait_for 30 listens || die "the broker does not listen for nodes"
# Answers with the result of one try: the broker must hang up, not take the message.
say() { timeout 5 mosquitto_pub -h localhost -p "$mqtt" --cafile "$work/n1/ca.crt" --cert "$work/n1/node.crt" --key "$work/n1/node.key" \
  -i n1 -q 1 -t "$1" -m "$2" >/dev/null 2>&1; }
! say node/n1/otastatus lost || die "the broker took a report that nobody would read"
! say '$aws/rules/esp_node_otastatus/node/n1/otastatus' lost || die "the broker took a report by its other topic"

# A listener to something else does not open it; the server's last subscription does
mosquitto_sub --unix "$folder/mqtt.sock" -t 'node/+/otastatus' -q 1 >"$work/heard" &
pids+=($!)
! say node/n1/otastatus lost || die "any local subscription opens the broker"
mosquitto_sub --unix "$folder/mqtt.sock" -t 'pluvio/presence/+/+' -q 1 >/dev/null &
pids+=($!)
wait_for 30 say node/n1/otastatus kept || die "the broker does not open"
wait_for 30 grep -q kept "$work/heard" || die "the report reached nobody"
! grep -q lost "$work/heard" || die "a refused report came through"
