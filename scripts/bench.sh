#!/usr/bin/env bash
# Figures for people: memory, start-up, throughput, each beside a yardstick measured in the same run.
#   bench.sh BUILD-FOLDER [image|node|size|minds|fleet|rest|ui|scale|overload|campaigns]   everything, or one of them
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

# A virtual node downloads 12 MB into a slot and verifies them; `curl | sha256sum` does so to a file, from the same server,
# in turns.  What the idle node keeps to itself is measured beside it.
bench_node() {
  local port folder=$work/node round from app server node
  mkdir -p "$folder/www"
  (printf '\177ELF'; head -c 12000000 /dev/urandom) >"$folder/elf"
  "$bin/pluvio" image pack "$folder/elf" --project download --version 2 --output "$folder/www/image.bin" --quiet
  printf 'nvs,data,nvs,0x9000,0x6000\notadata,data,ota,0xf000,0x2000\nfactory,app,factory,0x20000,2M\nota_0,app,ota_0,0x220000,12M\nota_1,app,ota_1,0xe20000,12M\n' >"$folder/table.csv"
  "$bin/vesp" new "$folder/n.flash" --partitions "$folder/table.csv" --size 32M --app "$bin/download.bin"
  port=$(free_port 28999)
  python3 -m http.server "$port" --bind 127.0.0.1 --directory "$folder/www" >/dev/null 2>&1 &
  server=$!
  until curl -sf -o /dev/null "http://127.0.0.1:$port/"; do :; done
  : >"$folder/ours"
  DOWNLOAD_URL="http://127.0.0.1:$port/image.bin" DOWNLOAD_ROUNDS=15 "$bin/vesp" run "$folder/n.flash" >"$folder/out" 2>&1 &
  node=$!
  until grep -q '^idle' "$folder/out"; do
    from=$(now_us); curl -s "http://127.0.0.1:$port/image.bin" | sha256sum >"$folder/sum"; echo $(($(now_us) - from)) >>"$folder/theirs"
  done
  for round in 1 2 3 4 5 6 7; do from=$(now_us); curl -s "http://127.0.0.1:$port/image.bin" | sha256sum >"$folder/sum"; echo $(($(now_us) - from)) >>"$folder/alone"; done
  sleep 1 # the node has come to rest
  awk '$1 == "download" && $2 == "ESP_OK" { print $3 }' "$folder/out" >"$folder/ours"
  local ours theirs
  ours=$(median <"$folder/ours") theirs=$(cat "$folder/theirs" "$folder/alone" | median)
  app=$(pgrep -P "$node" | head -1)
  echo "download 12 MB to a slot    $ours us, verified; curl | sha256sum $theirs us: speed $(awk "BEGIN { printf \"%.2f\", $theirs / $ours }") of theirs   [limit 0.9]"
  echo "memory of an idle node      $(awk '/^Private_Dirty/ { print $2 }' "/proc/$app/smaps_rollup") kB private and dirty   [limit 4096 kB]"
  kill "$node" "$server"; wait "$node" "$server" 2>/dev/null || true
}

# A thousand nodes under one vesp, booted and idle: the sum of what they and vesp use, shared pages counted once.
bench_thousand() {
  local folder=$work/many i from vesp count=1000
  mkdir -p "$folder"
  printf 'nvs,data,nvs,0x9000,0x4000\notadata,data,ota,0xd000,0x2000\nfactory,app,factory,0x10000,256K\nota_0,app,ota_0,0x50000,256K\nota_1,app,ota_1,0x90000,256K\n' >"$folder/table.csv"
  "$bin/vesp" new "$folder/0.flash" --partitions "$folder/table.csv" --size 832K --app "$bin/download.bin"
  for i in $(seq 1 $((count - 1))); do cp "$folder/0.flash" "$folder/$i.flash"; cp "$folder/0.flash.ini" "$folder/$i.flash.ini"; done
  from=$(now_us)
  "$bin/vesp" run "$folder"/*.flash >"$folder/out" 2>&1 &
  vesp=$!
  until [ "$(cat "$folder"/*.log 2>/dev/null | grep -c '^idle')" -ge $count ]; do :; done
  local took=$((($(now_us) - from) / 1000))
  local kb; kb=$(for i in "$vesp" $(pgrep -P "$vesp"); do awk '/^Pss:/ { print $2 }' "/proc/$i/smaps_rollup"; done | awk '{ sum += $1 } END { print sum }')
  echo "a thousand nodes            $kb kB in all, booted in $took ms   [limit 4194304 kB]"
  kill "$vesp"; wait "$vesp" 2>/dev/null || true
}

# The server's mind: a database of a million nodes, a job for all of them, and pluviod started over it; pushes through
# mosquitto; a simulated campaign.
bench_fleet() {
  local nodes=${FLEET_NODES:-1000000} db=$work/data/pluvio.db token total from broker sub folder=$work/push
  start
  "$bin/pluvio" login --server "http://127.0.0.1:$http" --password-file "$work/data/admin-password" >/dev/null
  stop
  "$bin/fleet_bench" fill "$db" "$nodes"
  "$bin/fleet_bench" job "$db"
  "$bin/fleet_bench" fetch "$db" "$nodes" "$nodes"
  "$bin/fleet_bench" report "$db" "$nodes"
  token=$(jq -r .access "$PLUVIO_SESSION")
  from=$(now_us)
  start
  total=$(curl -s -H "Authorization: $token" "http://127.0.0.1:$http/v1/admin/otajob" | jq -r '.ota_jobs[0] | "\(.total_count) nodes, \(.started_count + .in_progress_count) at work"')
  echo "restart                     first correct answer ($total) after $((($(now_us) - from) / 1000)) ms   [limit 3000]"
  curl -s -o "$work/page" -H "Authorization: $token" "http://127.0.0.1:$http/v1/admin/nodes?num_records=100"
  curl -s -o "$work/page" -H "Authorization: $token" "http://127.0.0.1:$http/v1/admin/nodes?query=fw_version%20%3E%201.5"
  echo "memory, $nodes nodes     $(kb VmRSS) kB resident (anonymous $(kb RssAnon) kB), after a query over all of them   [limit 300000 kB]"
  stop
  mkdir -p "$folder"
  chmod 777 "$folder"
  printf 'listener 0 %s\nallow_anonymous true\nlog_type error\nmax_queued_messages 0\nuser %s\n' "$folder/socket" "$(id -un)" >"$folder/conf"
  mosquitto -c "$folder/conf" 2>/dev/null &
  broker=$!
  until [ -S "$folder/socket" ]; do sleep 0.01; done
  mosquitto_sub --unix "$folder/socket" -q 1 -t 'node/+/otaurl' >"$folder/heard" & # the nodes, as one
  sub=$!
  "$bin/fleet_bench" fill "$folder/db" 50000 >/dev/null
  "$bin/fleet_bench" job "$folder/db" >/dev/null
  "$bin/fleet_bench" push "$folder/db" 50000 "$folder/socket"
  kill -KILL "$sub"; kill "$broker"; wait "$sub" "$broker" 2>/dev/null || true # mosquitto_sub does not end without its broker
  from=$(now_us)
  "$bin/pluvio-fleet" simulate --nodes 100000 >"$work/campaign" || { cat "$work/campaign"; return 1; }
  echo "simulated campaign          100000 nodes through their whole update in $((($(now_us) - from) / 1000000)) s, $(sed -n 's/.*h, \([0-9]*\) steps, \([0-9]*\) messages.*/\1 steps, \2 messages/p' "$work/campaign")   [limit 60 s]"
  from=$(now_us)
  "$bin/pluvio-fleet" simulate --nodes 20000 --bad 20 --plan "abort rolled-back 5% min 50" >"$work/campaign" || { cat "$work/campaign"; return 1; }
  echo "threshold to last offer     $(sed -n 's/.*stopped: //p' "$work/campaign"); offers after that: 0, or the run would have ended"
}

# The dashboard in Chromium: what a first load costs, a list of a million nodes, and how soon events are seen.
bench_ui() {
  local js=node token job
  [ ! -x "$here/../build/node/node_modules/node/bin/node" ] || js=$here/../build/node/node_modules/node/bin/node
  start
  export PLUVIO_URL=http://127.0.0.1:$http PLUVIO_PASSWORD
  PLUVIO_PASSWORD=$(tail -n 1 "$work/data/admin-password")
  "$js" "$here/../web/tests/bench.mjs" load
  "$bin/pluvio" login --server "$PLUVIO_URL" --password-file "$work/data/admin-password" >/dev/null
  "$bin/pluvio" image upload "$bin/blinky-1.1.0.bin" --quiet >/dev/null 2>&1 || "$bin/pluvio" image upload "$bin/blinky-1.1.0.bin" >/dev/null
  token=$(jq -r .access "$PLUVIO_SESSION")
  curl -sf -X POST -H "Authorization: $token" -d '{"node_count":20000,"run":true,"project_name":"blinky","platform":"linux","fw_version":"1.0.0"}' "$PLUVIO_URL/v1/admin/simulators" >/dev/null
  until [ "$(curl -s -H "Authorization: $token" "$PLUVIO_URL/v1/admin/overview" | jq .online)" = 20000 ]; do sleep 1; done
  job=$(curl -s -X POST -H "Authorization: $token" -d "{\"ota_job_name\":\"bench\",\"ota_image_id\":\"$("$bin/pluvio" image list --json | jq -r '.ota_images[0].ota_image_id')\",\"groups\":[\"FFFF-FFFF\"],\"rollout\":\"rate ${UI_RATE:-9000}/min\"}" "$PLUVIO_URL/v1/admin/otajob?force_push=true" | jq -r .ota_job_id)
  PLUVIO_JOB=$job "$js" "$here/../web/tests/bench.mjs" events
  stop
  rm -rf "$work/data"
  start; stop
  "$bin/fleet_bench" fill "$work/data/pluvio.db" "${FLEET_NODES:-1000000}" >/dev/null
  start
  PLUVIO_PASSWORD=$(tail -n 1 "$work/data/admin-password")
  "$js" "$here/../web/tests/bench.mjs" list
  stop
}

# REST beside nginx, by the same tool, in turns, two workers each: small answers, files, TLS, event streams.
bench_rest() {
  local folder=$work/rest n_http n_https round id token url name
  n_http=$(free_port 28700) n_https=$(free_port 28710)
  mkdir -p "$folder/www"
  start
  "$bin/pluvio" login --server "http://127.0.0.1:$http" --password-file "$work/data/admin-password" >/dev/null
  token=$("$bin/pluvio" token add bench)
  (printf '\177ELF'; head -c 1500000 /dev/urandom) >"$folder/elf"
  "$bin/pluvio" image pack "$folder/elf" --project bench --version 1 --output "$folder/www/image.bin" --quiet
  "$bin/pluvio" image upload "$folder/www/image.bin" >/dev/null
  url=$(curl -s -H "Authorization: $token" "http://127.0.0.1:$http/v1/admin/otaimage" | jq -r '.ota_images[0].image_url')
  cat >"$folder/nginx.conf" <<NGINX
user root; worker_processes 2; daemon off; pid $folder/nginx.pid; error_log $folder/error.log;
events { worker_connections 8192; }
http { access_log off; sendfile on; tcp_nopush on; root $folder/www; types { application/octet-stream bin; }
  client_body_temp_path $folder/a; proxy_temp_path $folder/b; fastcgi_temp_path $folder/c; uwsgi_temp_path $folder/d; scgi_temp_path $folder/e;
  server { listen 127.0.0.1:$n_http; location = /small { default_type application/json; return 200 '$(curl -s -H "Authorization: $token" "http://127.0.0.1:$http/v1/user")'; } }
  server { listen 127.0.0.1:$n_https ssl; ssl_certificate $work/data/keys/server.crt; ssl_certificate_key $work/data/keys/server.key;
    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:s:10m; ssl_session_tickets on; } }
NGINX
  nginx -p "$folder" -c "$folder/nginx.conf" 2>/dev/null &
  local nginx=$!
  until curl -sf -o /dev/null "http://127.0.0.1:$n_http/small"; do :; done
  rate() { wrk -t1 -c"$1" -d4s "${@:2}" | awk '/^Requests\/sec/ { print $2 }'; }
  handshakes() { openssl s_time -connect "127.0.0.1:$1" "$2" -time 3 2>/dev/null | awk '/connections in .* real/ { n = $1; s = $4 } END { print n / s }'; }
  for round in 1 2 3; do
    rate 32 -H "Authorization: $token" "http://127.0.0.1:$http/v1/user" >>"$folder/small.ours"
    rate 32 "http://127.0.0.1:$n_http/small" >>"$folder/small.theirs"
    rate 8 "http://127.0.0.1:$http/${url#*//*/}" >>"$folder/file.ours"
    rate 8 "http://127.0.0.1:$n_http/image.bin" >>"$folder/file.theirs"
    rate 8 "$url" >>"$folder/tls.ours"
    rate 8 "https://localhost:$n_https/image.bin" >>"$folder/tls.theirs"
    handshakes "$https" -new >>"$folder/full.ours"; handshakes "$n_https" -new >>"$folder/full.theirs"
    handshakes "$https" -reuse >>"$folder/again.ours"; handshakes "$n_https" -reuse >>"$folder/again.theirs"
  done
  line() { local a b; a=$(median <"$folder/$1.ours") b=$(median <"$folder/$1.theirs"); printf '%-27s %.0f/s, nginx %.0f/s: %s   [limit %s]\n' "$2" "$a" "$b" "$(awk "BEGIN { printf \"%.2f\", $a / $b }")" "$3"; }
  line small "small GET with a token" 0.5
  line file "1.5 MB over HTTP" 0.8
  line tls "1.5 MB over TLS" 1.0
  line full "full TLS handshakes" 0.4
  line again "resumed TLS handshakes" 0.8
  kill "$nginx"; wait "$nginx" 2>/dev/null || true
  local before; before=$(kb VmRSS)
  TOKEN=$token python3 "$here/streams.py" 127.0.0.1 "$http" 5000 >"$folder/streams" &
  local streams=$!
  until grep -q ready "$folder/streams" 2>/dev/null || ! kill -0 "$streams" 2>/dev/null; do sleep 0.1; done
  echo "5000 event streams          $(($(kb VmRSS) / 1024)) MB resident, $((before / 1024)) MB before them; $(cat "$folder/streams")   [limit 100 MB]"
  kill "$streams" 2>/dev/null; wait "$streams" 2>/dev/null || true
  stop
}

trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; if declare -F scale_down >/dev/null; then scale_down; fi; wait 2>/dev/null || true; rm -rf "$work"' EXIT

https=$(free_port 28443) http=$(free_port 28080) node=$(free_port 28500) mqtt=$(free_port 28883)
now_us() { local t=$EPOCHREALTIME; echo "${t/[.,]/}"; }
answers() { exec 3<>"/dev/tcp/127.0.0.1/$http" && printf 'GET /healthz HTTP/1.0\r\n\r\n' >&3 && read -r line <&3 && [[ $line == *200* ]]; }

start() {  # prints the milliseconds from start to the first answer
  local from; from=$(now_us)
  "$bin/pluviod" --data "$work/data" --https-port "$https" --http-port "$http" --node-port "$node" --mqtt-port "$mqtt" --max-requests 0 --max-logins 0 --log-level error 2>>"$work/log" &
  pid=$!
  until (answers) 2>/dev/null; do sleep 0.002; done
  ms=$((($(now_us) - from) / 1000))
}
stop() { kill "$pid"; wait "$pid" || true; pid=''; }
kb() { awk -v key="$1:" '$1 == key { print $2 }' "/proc/$pid/status"; }

# --- beyond one machine ---

# A PostgreSQL, an object store and a mosquitto beside the servers; each server with a folder of its own.
scale_up() {  # scale_up [MESSAGES]: that the broker may keep for a server
  pg=$("$here/postgres.sh" start "$work/pg")/postgres
  s3=$("$here/s3.sh" start "$work/s3" </dev/null 2>"$work/s3.log")
  export AWS_ACCESS_KEY_ID=test:tester AWS_SECRET_ACCESS_KEY=testing
  scale_mqtt=$(free_port 28883); scale_door=$(free_port $((scale_mqtt + 1)))
  scale_broker=$("$bin/pluviod" --data "$work/files" --keys "$work/keys" --store "$pg" --write-broker "$work/broker" --mqtt-port "$scale_mqtt" --broker-port "$scale_door" 2>/dev/null)
  [ -z "${1:-}" ] || sed -i "s/^max_queued_messages.*/max_queued_messages $1/" "$work/broker/mosquitto.conf"
  mosquitto -c "$work/broker/mosquitto.conf" >"$work/broker.log" 2>&1 &
  scale_pids=($!)
}
scale_server() {  # scale_server NUMBER
  "$bin/pluviod" --data "$work/server$1" --keys "$work/keys" --store "$pg" --blob "$s3" --broker "$scale_broker" --mqtt-host "localhost:$scale_mqtt" --https-port $((28440 + $1)) \
    --http-port $((28080 + $1)) --node-port 0 --max-requests 0 --max-logins 0 --log-level error >>"$work/server$1.log" 2>&1 &
  scale_pids+=($!)
  eval "scale_server_$1=$!"
  wait_for 60 curl -sf "http://127.0.0.1:$((28080 + $1))/readyz" || { cat "$work/server$1.log"; return 1; }
}
scale_pids=()
scale_down() {
  [ ${#scale_pids[@]} -gt 0 ] || return 0
  kill "${scale_pids[@]}" 2>/dev/null || true; wait "${scale_pids[@]}" 2>/dev/null || true
  "$here/postgres.sh" stop "$work/pg" || true; "$here/s3.sh" stop "$work/s3" || true
  scale_pids=()
  rm -rf "$work/pg" "$work/s3" "$work/broker" "$work"/server? "$work/keys" "$work/files"
}
scale_ask() { curl -s -H "Authorization: $token" "http://127.0.0.1:28081$1"; }
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }

# Nodes of a few simulators through a whole job, with so many servers.
scale_campaign() {  # scale_campaign SERVERS NODES
  local servers=$1 nodes=$2 i from job
  unset PLUVIO_TOKEN
  scale_up
  for i in $(seq "$servers"); do scale_server "$i"; done
  "$bin/pluvio" login --server http://127.0.0.1:28081 --password-file "$work"/server*/admin-password >/dev/null
  token=$(jq -r .access "$PLUVIO_SESSION")
  (printf '\177ELF'; head -c 60000 /dev/urandom) >"$work/elf"
  "$bin/pluvio" image pack "$work/elf" --project app --version 2.0 --chip esp32c3 --output "$work/two.bin" --quiet
  "$bin/pluvio" image upload "$work/two.bin" >/dev/null
  for i in 1 2; do
    "$bin/pluvio" simulator add $((nodes / 2)) --out "$work/sim$i" >/dev/null
    "$bin/pluvio-fleet" gateway "$work/sim$i" --rate 5000 --speed 1000000 --quiet & scale_pids+=($!)
  done
  scale_online() { [ "$(psql -qAt "$pg" -c "SELECT count(*) FROM nodes, facts WHERE facts.name='epoch' AND nodes.epoch=facts.value")" = "$nodes" ]; }
  wait_for 400 scale_online || { echo "only a part of $nodes simulated nodes came"; scale_down; return 1; }
  from=$(now_us)
  job=$("$bin/pluvio" job start --json --image two --all --force-push | jq -r .ota_job_id)
  scale_ended() { [ "$(psql -qAt "$pg" -c "SELECT count(*) FROM executions WHERE job_id='$job' AND state=9")" = "$nodes" ]; }
  wait_for 900 scale_ended || echo "(only $(psql -qAt "$pg" -c "SELECT count(*) FROM executions WHERE job_id='$job' AND state=9") ended)"
  echo "campaign, $servers server(s)      $nodes simulated nodes from the job's start to the last success in $((($(now_us) - from) / 1000000)) s"
  rm -rf "$work/sim1" "$work/sim2"
  scale_down
}

# Full and resumed handshakes with certificates on both sides: mosquitto, and nginx as the yardstick.
scale_handshakes() {
  local kind ours theirs conf=$work/nginx-mtls
  mkdir -p "$conf"
  cat >"$conf/nginx.conf" <<CONF
worker_processes 1; pid $conf/pid; error_log /dev/null; events { worker_connections 2000; }
http { access_log off; server { listen 127.0.0.1:28999 ssl; ssl_certificate $work/broker/server.crt; ssl_certificate_key $work/broker/server.key; ssl_client_certificate $work/broker/ca.crt; ssl_verify_client on;
ssl_session_cache shared:s:10m; ssl_session_tickets on; location / { return 200; } } }
CONF
  nginx -c "$conf/nginx.conf" -p "$conf" 2>/dev/null
  for kind in new reuse; do
    ours=$(openssl s_time -connect "localhost:$scale_mqtt" -cert "$work/lamp/node.crt" -key "$work/lamp/node.key" -$kind -time 4 2>/dev/null | sed -n 's/^\([0-9]*\) connections in \([0-9.]*\) real.*/\1 \2/p' | tail -1 | awk '{ printf "%.0f", $1 / $2 }')
    theirs=$(openssl s_time -connect localhost:28999 -cert "$work/lamp/node.crt" -key "$work/lamp/node.key" -$kind -time 4 2>/dev/null | sed -n 's/^\([0-9]*\) connections in \([0-9.]*\) real.*/\1 \2/p' | tail -1 | awk '{ printf "%.0f", $1 / $2 }')
    echo "TLS connects, $kind          mosquitto ${ours:-0}/s, nginx with client certificates ${theirs:-0}/s, one client: $(awk "BEGIN { printf \"%.2f\", ${ours:-0} / (${theirs:-0} ? ${theirs:-1} : 1) }") of it"
  done
  kill "$(cat "$conf/pid")" 2>/dev/null || true
}

# Real connections: what one costs in the server and in the broker.
scale_connections() {  # scale_connections NODES
  local nodes=$1 server_before broker_before server_after broker_after load
  scale_up
  scale_server 1
  "$bin/pluvio" login --server http://127.0.0.1:28081 --password-file "$work/server1/admin-password" >/dev/null
  token=$(jq -r .access "$PLUVIO_SESSION")
  export PLUVIO_TOKEN; PLUVIO_TOKEN=$("$bin/pluvio" token add bench --role admin --days 1 --json | jq -r .token)
  "$bin/pluvio" node add lamp --out "$work/lamp" >/dev/null
  scale_handshakes
  server_before=$(rss "$scale_server_1") broker_before=$(rss "${scale_pids[0]}")
  "$bin/pluvio-fleet" load --server http://127.0.0.1:28081 --nodes "$nodes" --rate 400 --folder "$work/load" --seconds $((nodes / 250 + 110)) >"$work/load.log" 2>&1 & load=$!
  scale_online() { [ "$(psql -qAt "$pg" -c "SELECT count(*) FROM nodes, facts WHERE facts.name='epoch' AND nodes.epoch=facts.value")" -ge "$nodes" ]; }
  wait_for $((nodes / 250 + 110)) scale_online || echo "(not all came: $(tail -1 "$work/load.log"))"
  server_after=$(rss "$scale_server_1") broker_after=$(rss "${scale_pids[0]}")
  echo "memory, connected nodes     $nodes real connections: $(((server_after - server_before) * 1024 / nodes)) bytes each in pluviod, $(((broker_after - broker_before) * 1024 / nodes)) in mosquitto"
  wait "$load" || true
  grep '^{' "$work/load.log" | jq -r '"connects                    \(.connects) with TLS and a certificate, median \(.connect_ms.median) ms, 99th percentile \(.connect_ms.p99) ms; PUBACK \(.puback_ms.median) and \(.puback_ms.p99) ms"'
  scale_down
}

# A server and its database may have so many hundredths of a core from now on; 0: all they want.  Wants root's control
# groups; false without them.
scale_hold() {
  local part=$1 group pid
  if [ -d /sys/fs/cgroup/cpu ]; then group=/sys/fs/cgroup/cpu/pluvio-bench; else group=/sys/fs/cgroup/pluvio-bench; fi
  mkdir -p "$group" 2>/dev/null || return 1
  if [ -f "$group/cpu.cfs_quota_us" ]; then
    echo 20000 >"$group/cpu.cfs_period_us"
    if [ "$part" -gt 0 ]; then echo $((part * 200)) >"$group/cpu.cfs_quota_us"; else echo -1 >"$group/cpu.cfs_quota_us"; fi
  else
    if [ "$part" -gt 0 ]; then echo "$((part * 200)) 20000" >"$group/cpu.max"; else echo "max 20000" >"$group/cpu.max"; fi
  fi 2>/dev/null || return 1
  for pid in "$scale_server_1" "$(head -1 "$work/pg/data/postmaster.pid")" $(pgrep -P "$(head -1 "$work/pg/data/postmaster.pid")"); do
    echo "$pid" >"$group/cgroup.procs" 2>/dev/null || return 1
  done
}

# More check-ins than can be taken, for a minute: the server and its database are held to a small part of a core, so that
# the broker can bring twenty times what they take.  5,000 nodes check in over and over; a job is there for them, and for
# 2,000 others, which download and report meanwhile.  Then the minute is over, the hold too, and the 5,000 do their update.
scale_overload() {
  local seconds=${FLOOD_SECONDS:-60} part=${FLOOD_PART:-6} folder=$work/overload flood job from before rate held
  held="held to $part% of a core"
  unset PLUVIO_TOKEN # of a server that is gone
  mkdir -p "$folder"
  scale_up 5000000
  scale_server 1
  "$bin/pluvio" login --server http://127.0.0.1:28081 --password-file "$work/server1/admin-password" >/dev/null
  token=$(jq -r .access "$PLUVIO_SESSION")
  (printf '\177ELF'; head -c 60000 /dev/urandom) >"$work/elf"
  "$bin/pluvio" image pack "$work/elf" --project app --version 2.0 --chip esp32c3 --output "$work/two.bin" --quiet
  "$bin/pluvio" image upload "$work/two.bin" >/dev/null
  "$bin/pluvio" simulator add 5000 --out "$work/sim1" >/dev/null
  "$bin/pluvio" simulator add 2000 --out "$work/sim2" >/dev/null
  taken() { scale_ask /metrics | awk '/^pluvio_messages_total/ { n = $2 } END { print n + 0 }'; }
  in_state() { psql -qAt "$pg" -c "SELECT count(*) FROM executions WHERE job_id='$job' AND state IN ($1)"; }
  scale_online() { [ "$(psql -qAt "$pg" -c "SELECT count(*) FROM nodes, facts WHERE facts.name='epoch' AND nodes.epoch=facts.value")" -ge 2000 ]; }
  "$bin/pluvio-fleet" gateway "$work/sim2" --rate 1000 --speed 5000 --quiet & scale_pids+=($!)
  wait_for 60 scale_online || { echo "the nodes do not come"; scale_down; return 1; }
  job=$("$bin/pluvio" job start --json --image two --all --force-push | jq -r .ota_job_id)
  scale_hold "$part" || { held="not held back: that wants root and control groups"; }
  # What is taken while there is always more, after the first offers were made
  "$bin/flood" "$work/sim1" localhost "$scale_mqtt" 5000 40 4000 >"$folder/probe" & flood=$!
  sleep 25; before=$(taken); from=$(now_us); sleep 10
  rate=$((($(taken) - before) * 1000000 / ($(now_us) - from)))
  wait "$flood"
  before=$(taken)
  from=$(now_us)
  "$bin/flood" "$work/sim1" localhost "$scale_mqtt" 5000 "$seconds" $((rate * 20)) >"$folder/sent" & flood=$!
  : >"$folder/latencies"
  local page pages=(/v1/admin/overview "/v1/admin/nodes?num_records=50" "/v1/admin/otajob?ota_job_id=$job") i=0
  while kill -0 "$flood" 2>/dev/null; do
    page=${pages[$((i++ % 3))]}
    curl -s -o /dev/null -w "%{time_total} $page\n" -H "Authorization: $token" "http://127.0.0.1:28081$page" >>"$folder/latencies"; sleep 0.1
  done
  local sent ratio; sent=$(cut -d' ' -f1 "$folder/sent")
  before=$(($(taken) - before))
  ratio=$(awk "BEGIN { printf \"%.0f\", $sent / ($before > 0 ? $before : 1) }")
  echo "overload                    $sent check-ins in $seconds s by a server that took $before ($held; $rate/s before): $ratio times what it takes   [aim 20]"
  echo "the dashboard meanwhile     overview, nodes and job in turns: median $(cut -d' ' -f1 "$folder/latencies" | median) s, 99th percentile $(sort -n "$folder/latencies" | awk '{ a[NR] = $1; p[NR] = $2 } END { print a[int(NR * 0.99)] " s, longest " a[NR - 1] " and " a[NR] " s (" p[NR] ")" }'), $(wc -l <"$folder/latencies") requests   [limit 0.5]"
  scale_hold 0 || true
  from=$(now_us)
  scale_last=-1
  scale_quiet() { local now; now=$(taken); [ "$now" = "$scale_last" ] && return 0; scale_last=$now; sleep 2; return 1; }
  wait_for 900 scale_quiet || echo "(still not taken)"
  echo "the rest of them            taken $((($(now_us) - from) / 1000000)) s after the minute, not held back any more; mosquitto $(($(rss "${scale_pids[0]}") / 1024)) MB"
  "$bin/pluvio-fleet" gateway "$work/sim1" --rate 1000 --speed 1000000 --quiet & scale_pids+=($!)
  scale_ended() { [ "$(in_state 9)" = 7000 ]; }
  wait_for 600 scale_ended || true
  echo "the job after it            $(in_state 9) of 7000 nodes with success, $((($(now_us) - from) / 1000000)) s after the minute; $(in_state 7,10,11,12,13) marked failed   [limit 0]"
  rm -rf "$work/sim1" "$work/sim2"
  scale_down
  rmdir /sys/fs/cgroup/cpu/pluvio-bench /sys/fs/cgroup/pluvio-bench 2>/dev/null || true # nobody is in it any more
}

bench_scale() {
  chmod 755 "$work" # PostgreSQL and mosquitto run as users of their own
  local nodes=${SCALE_NODES:-100000} reports=${SCALE_REPORTS:-100000} connections=${SCALE_CONNECTIONS:-15000} folder=$work/push broker sub url
  url=$("$here/postgres.sh" start "$work/pg")/postgres
  echo "PostgreSQL, nothing else:"
  "$bin/fleet_bench" fill "$url" "$reports"
  "$bin/fleet_bench" job "$url"
  "$bin/fleet_bench" fetch "$url" "$reports" "$reports"
  "$bin/fleet_bench" report "$url" "$reports"
  mkdir -p "$folder"; chmod 777 "$folder"
  printf 'listener 0 %s\nallow_anonymous true\nlog_type error\nmax_queued_messages 0\nuser %s\n' "$folder/socket" "$(id -un)" >"$folder/conf"
  mosquitto -c "$folder/conf" 2>/dev/null & broker=$!
  until [ -S "$folder/socket" ]; do sleep 0.01; done
  mosquitto_sub --unix "$folder/socket" -q 1 -t 'node/+/otaurl' >"$folder/heard" & sub=$!
  psql -qAt "$url" -c 'SET client_min_messages = warning' -c 'DROP SCHEMA public CASCADE' -c 'CREATE SCHEMA public' >/dev/null
  "$bin/fleet_bench" fill "$url" 50000 >/dev/null
  "$bin/fleet_bench" job "$url" >/dev/null
  "$bin/fleet_bench" push "$url" 50000 "$folder/socket"
  kill -KILL "$sub"; kill "$broker"; wait "$sub" "$broker" 2>/dev/null || true
  "$here/postgres.sh" stop "$work/pg"; rm -rf "$work/pg"
  echo "Servers over PostgreSQL, an object store and a mosquitto:"
  [ "$connections" -eq 0 ] || scale_connections "$connections"
  scale_overload
  scale_campaign 1 "$nodes"
  scale_campaign 2 "$nodes"
  [ "${SCALE_KILLS:-yes}" = yes ] || return 0
  echo "Three servers, killed and cut off, with $connections nodes connected:"
  REPLICA_NODES=$connections "$here/../tests/e2e/30-replicas.sh" "$bin" "$here/.." 33 || echo "FAILED"
}

if [ "${2:-}" = image ]; then bench_image; exit 0; fi
if [ "${2:-}" = size ]; then exec "$here/size.sh" "$here/.."; fi
if [ "${2:-}" = minds ]; then exec "$bin/minds"; fi
if [ "${2:-}" = fleet ]; then bench_fleet; exit 0; fi
if [ "${2:-}" = rest ]; then bench_rest; exit 0; fi
if [ "${2:-}" = ui ]; then bench_ui; exit 0; fi
if [ "${2:-}" = scale ]; then bench_scale; exit 0; fi
if [ "${2:-}" = overload ]; then chmod 755 "$work"; scale_overload; exit 0; fi
if [ "${2:-}" = campaigns ]; then chmod 755 "$work"; scale_campaign 1 "${SCALE_NODES:-100000}"; scale_campaign 2 "${SCALE_NODES:-100000}"; exit 0; fi
if [ "${2:-}" = node ]; then bench_node; bench_thousand; exit 0; fi

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
bench_node
bench_thousand
"$bin/minds"
"$here/size.sh" "$here/.."
stop
rm -rf "$work/data"
bench_fleet
rm -rf "$work/data"
bench_rest
stop
rm -rf "$work/data"
bench_ui
stop
rm -rf "$work/data"
bench_scale
