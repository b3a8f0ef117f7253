#!/usr/bin/env bash
# Goal: nodes that download over MQTT get their image from the server itself, in CBOR; others may ask in JSON; who is not
# offered a job reads nothing.
. "$(dirname "$0")/lib.sh" "$@"
start_server
login
for name in n1 n2; do
  "$bin/pluvio" node add "$name" --out "$work/$name" >/dev/null
  "$bin/vesp" new "$work/$name.flash" --size 16M --app "$bin/agent-stream-1.0.0.bin" --fctry "$work/$name/fctry.bin" --ca-bundle "$work/$name/ca.crt"
  run_node "$name" fast
done
wait_for 60 is_online n1 || die "n1 did not connect"
wait_for 60 is_online n2 || die "n2 did not connect"
upload agent-stream-2.0.0
job=$(start_job --image agent-stream-2.0.0 --all --force-push)
wait_for 300 is_finished "$job" || die "the job did not finish: $(state "$job" n1), $(state "$job" n2)"
for name in n1 n2; do
  [ "$(state "$job" "$name")" = success ] || die "$name ended as $(state "$job" "$name")"
  wait_for 40 runs "$name" 2.0.0 || die "$name does not run 2.0.0"
done
timeline() { rest GET "/v1/admin/otajob/timeline?ota_job_id=$job&node_id=n1"; }
timeline | grep -q 'after 1 MQTT attempt' || die "it was not over MQTT: $(timeline)"

# A client with n1's certificate, in JSON: nothing of a job that is over, and a file of another job block by block
"$bin/pluvio" node add n3 --out "$work/n3" >/dev/null
talk() {  # talk STREAM KIND REQUEST: one connection that listens, asks, and prints one answer
  python3 - "$mqtt" "$work/n3" "$1" "$2" "$3" <<'PY'
import json, socket, ssl, struct, sys
port, folder, stream, kind, request = int(sys.argv[1]), *sys.argv[2:]
context = ssl.create_default_context(cafile=folder + "/ca.crt")
context.load_cert_chain(folder + "/node.crt", folder + "/node.key")
s = context.wrap_socket(socket.create_connection(("localhost", port)), server_hostname="localhost")
s.settimeout(20)
text = lambda t: struct.pack(">H", len(t)) + t.encode()
def packet(kind, body):
    n, length = len(body), b""
    while True:
        n, digit = divmod(n, 128)
        length += bytes([digit | (128 if n else 0)])
        if not n: break
    s.sendall(bytes([kind]) + length + body)
def receive():
    def exactly(n):
        data = b""
        while len(data) < n: data += s.recv(n - len(data)) or sys.exit("closed")
        return data
    head, length, shift = exactly(1)[0], 0, 0
    while True:
        digit = exactly(1)[0]
        length |= (digit & 127) << shift
        shift += 7
        if digit < 128: break
    return head, exactly(length)
packet(0x10, text("MQTT") + bytes([4, 2, 0, 60]) + text("n3"))
receive()
topic = "$aws/things/n3/streams/%s/" % stream
packet(0x82, b"\0\1" + text(topic + kind + "/json") + b"\0")
receive()
packet(0x32, text(topic + "get/json") + b"\0\2" + request.encode())
while True:
    head, body = receive()
    if head >> 4 == 3:
        print(body[2 + struct.unpack(">H", body[:2])[0]:].decode())
        break
PY
}
talk "$job" rejected '{"f":1,"l":256,"o":0,"n":1}' | grep -q RejectedRequest || die "a job that is over is readable"
upload agent-stream-1.0.0
other=$(start_job --image agent-stream-1.0.0 n3)
talk "$other" rejected '{"f":1,"l":256,"o":0,"n":1}' | grep -q RejectedRequest || die "a job that was not offered is readable"
curl -s --cacert "$work/n3/ca.crt" --cert "$work/n3/node.crt" --key "$work/n3/node.key" "https://localhost:$node_port/v1/node/otafetch" | grep -q "$other" || die "n3 was not offered the job"
answer=$(talk "$other" data '{"f":1,"l":300,"o":2,"b":"Ag==","n":2}')
[ "$(jq -r .i <<<"$answer")" = 3 ] && [ "$(jq -r .l <<<"$answer")" = 300 ] || die "another block came: ${answer:0:80}"
cmp <(jq -r .p <<<"$answer" | base64 -d) <(tail -c +901 "$bin/agent-stream-1.0.0.bin" | head -c 300) || die "other bytes came"
talk "$other" rejected '{"f":2,"l":300,"o":0,"n":1}' | grep -q RejectedRequest || die "file 2 is there"
talk "$other" rejected '{"f":1,"l":131073,"o":0,"n":1}' | grep -q RejectedRequest || die "blocks of any size are sent"
echo "images in blocks"
