#!/usr/bin/env bash
# An S3 server of our own, for tests and measurements: OpenStack Swift with its S3 interface, one disk, one machine.
#   s3.sh start FOLDER     makes it if need be, starts it, makes the bucket "firmware"; prints a URL for pluviod --blob
#   s3.sh stop FOLDER      ends it
# Access key test:tester, secret testing.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/lib.sh"
verb=$1 folder=$2

make() {
  local port=$1 user; user=$(id -un)
  mkdir -p "$folder/disks/one" "$folder/log"
  cat >"$folder/swift.conf" <<CONF
[swift-hash]
swift_hash_path_prefix = pluvio
swift_hash_path_suffix = pluvio
[storage-policy:0]
name = one
default = yes
CONF
  local kind number=1
  for kind in account container object; do
    cat >"$folder/$kind.conf" <<CONF
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $((port + number))
swift_dir = $folder
devices = $folder/disks
mount_check = false
user = $user
workers = 0
log_level = ERROR
log_address = $folder/no-log
[pipeline:main]
pipeline = $kind-server
[app:$kind-server]
use = egg:swift#$kind
CONF
    (cd "$folder"; swift-ring-builder $kind.builder create 2 1 0; swift-ring-builder $kind.builder add --region 1 --zone 1 --ip 127.0.0.1 --port $((port + number)) --device one --weight 1
     swift-ring-builder $kind.builder rebalance) >"$folder/ring.log" 2>&1 || { [ -f "$folder/$kind.ring.gz" ] || { cat "$folder/ring.log" >&2; exit 1; }; }
    number=$((number + 1))
  done
  cat >"$folder/proxy.conf" <<CONF
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $port
swift_dir = $folder
user = $user
workers = 0
log_level = ERROR
log_address = $folder/no-log
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache listing_formats s3api tempauth bulk slo dlo copy proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:s3api]
use = egg:swift#s3api
s3_acl = false
check_bucket_owner = false
min_segment_size = 1048576
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:$((port + 4))
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
[filter:copy]
use = egg:swift#copy
CONF
  echo "$port" >"$folder/port"
}

# The bucket, by a signed request of curl's own making.
make_bucket() {
  curl -sf -o /dev/null --aws-sigv4 aws:amz:us-east-1:s3 --user test:tester:testing -H "x-amz-content-sha256: UNSIGNED-PAYLOAD" -X PUT "http://127.0.0.1:$1/firmware" 2>/dev/null && return 0
  python3 - "$1" <<'PY'
import datetime, hashlib, hmac, sys, urllib.request
port, key, secret = sys.argv[1], 'test:tester', 'testing'
now = datetime.datetime.utcnow().strftime('%Y%m%dT%H%M%SZ')
host, empty = '127.0.0.1:' + port, hashlib.sha256(b'').hexdigest()
names = 'host;x-amz-content-sha256;x-amz-date'
text = 'PUT\n/firmware\n\nhost:%s\nx-amz-content-sha256:%s\nx-amz-date:%s\n\n%s\n%s' % (host, empty, now, names, empty)
scope = now[:8] + '/us-east-1/s3/aws4_request'
sign = ('AWS4' + secret).encode()
for part in scope.split('/'):
    sign = hmac.new(sign, part.encode(), hashlib.sha256).digest()
text = 'AWS4-HMAC-SHA256\n%s\n%s\n%s' % (now, scope, hashlib.sha256(text.encode()).hexdigest())
signature = hmac.new(sign, text.encode(), hashlib.sha256).hexdigest()
request = urllib.request.Request('http://%s/firmware' % host, method='PUT', headers={
    'x-amz-date': now, 'x-amz-content-sha256': empty,
    'Authorization': 'AWS4-HMAC-SHA256 Credential=%s/%s,SignedHeaders=%s,Signature=%s' % (key, scope, names, signature)})
urllib.request.urlopen(request)
PY
}

start() {
  command -v swift-proxy-server >/dev/null || { echo "Swift is not installed: ./dev setup" >&2; exit 1; }
  local port kind
  [ -f "$folder/port" ] || make "$(free_port 26000)"
  port=$(cat "$folder/port")
  : >"$folder/pids"
  memcached -u "$(id -un)" -l 127.0.0.1 -p $((port + 4)) >>"$folder/log/memcached" 2>&1 &
  echo $! >>"$folder/pids"
  for kind in account container object proxy; do
    swift-$kind-server "$folder/$kind.conf" >>"$folder/log/$kind" 2>&1 &
    echo $! >>"$folder/pids"
  done
  wait_for 30 curl -sf "http://127.0.0.1:$port/healthcheck" || { tail -n 20 "$folder"/log/* >&2; exit 1; }
  wait_for 30 make_bucket "$port" || { make_bucket "$port"; exit 1; }
  echo "s3+http://127.0.0.1:$port/firmware"
}

case "$verb" in
  start) start ;;
  stop) kill $(cat "$folder/pids") 2>/dev/null || true; for pid in $(cat "$folder/pids"); do while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done; done ;;
  *) echo "usage: s3.sh start|stop FOLDER" >&2; exit 64 ;;
esac
