#!/usr/bin/env bash
# Goal: an installation moves from SQLite and a folder to PostgreSQL and an object store, and back, and nothing is lost.
. "$(dirname "$(readlink -f "$0")")/lib.sh"
export AWS_ACCESS_KEY_ID=test:tester AWS_SECRET_ACCESS_KEY=testing
stop_services() { local status=$?; "$root/scripts/postgres.sh" stop "$work/pg" 2>/dev/null || true; "$root/scripts/s3.sh" stop "$work/s3" 2>/dev/null || true; (exit $status); cleanup; }
trap stop_services EXIT
pg=$("$root/scripts/postgres.sh" start "$work/pg")/postgres
s3=$("$root/scripts/s3.sh" start "$work/s3" </dev/null 2>"$work/s3.log")
stop_server() { kill "$server_pid"; wait "$server_pid" || true; server_pid=''; }

# --- something of everything
start_server
login
upload blinky-1.1.0
add_node n1
add_node n2
run_node n1
wait_for 60 is_online n1 || die "the node does not come"
first=$(start_job --image blinky-1.1.0 n1 --force-push)
wait_for 120 is_finished "$first" || die "the first update does not end"
"$bin/pluvio" user add ann@example.org --role operator --password Ann-Passw0rd1 >/dev/null 2>&1 || { echo 'Ann-Passw0rd1' >"$work/ann"; "$bin/pluvio" user add ann@example.org --role operator --password-file "$work/ann" >/dev/null; }
rest POST /v1/admin/node_group -H 'Content-Type: application/json' -d '{"group_name":"gr\u00fc\u00df \\ tab\there","nodes":["n1","n2"]}' >/dev/null
rest PUT '/v1/admin/nodes?node_id=n2' -H 'Content-Type: application/json' -d '{"tags":["site:north"]}' >/dev/null
"$bin/pluvio" key add maker >/dev/null 2>&1 || true
second=$(start_job --image blinky-1.1.0 n2) # it is there, and waits
stop_server

# What a database holds, table by table, in an order of its own.
dump() {
  python3 - "$1" <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.text_factory = bytes
for (table,) in sorted(db.execute("SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite%'")):
    table = table.decode()
    columns = [c[1].decode() for c in db.execute('PRAGMA table_info("%s")' % table)]
    has_rowid = table in ('images', 'jobs')
    for row in sorted(db.execute('SELECT %s%s FROM "%s"' % ('rowid,' if has_rowid else '', ','.join('"%s"' % c for c in columns), table)), key=repr):
        print(table, [b'' if v is None else v for v in row])
PY
}
"$bin/pluviod" migrate --help | grep -q 'IMAGES-FROM' || die "it does not say how"
dump "$work/data/pluvio.db" >"$work/before"
[ "$(wc -l <"$work/before")" -gt 40 ] || die "there is little to move"

# --- there
"$bin/pluviod" migrate "$work/data" "$pg" "$work/data/images" "$s3" >"$work/moved" || { cat "$work/moved"; die "it does not move"; }
grep -q ' 2 nodes, 1 images, 2 jobs, ' "$work/moved" || die "$(cat "$work/moved")"
"$bin/pluviod" migrate "$work/data" "$pg" 2>"$work/refused" && die "it writes into a database that is not empty"
grep -q 'is not empty' "$work/refused" || die "$(cat "$work/refused")"

# --- it goes on there: the same people, nodes, jobs; the node that had to wait is updated from the object store
mv "$work/data/images" "$work/images-that-are-gone"; mkdir "$work/data/images"
server_options=(--store "$pg" --blob "$s3")
start_server
[ "$(rest GET /v1/admin/nodes | jq .total)" = 2 ] || die "its session, or its nodes, are gone"
"$bin/pluviod" migrate "$pg" "$work/no.db" 2>"$work/refused" && die "it moves what a server works with"
grep -q 'stop them first' "$work/refused" || die "$(cat "$work/refused")"
run_node n2
wait_for 120 is_finished "$second" || die "the job that was moved does not end"
runs n2 1.1.0 || die "the node was not updated"
stop_server

# --- and back
mkdir "$work/data2"
cp -r "$work/data/keys" "$work/data2/keys"
"$bin/pluviod" migrate "$pg" "$work/data2" "$s3" "$work/data2/images" >"$work/moved" || die "it does not move back"
server_options=()
mv "$work/data" "$work/data-of-before"; mv "$work/data2" "$work/data"
dump "$work/data/pluvio.db" >"$work/after"
start_server
[ "$(job_field "$second" status)" = finished ] && [ "$(state "$first" n1)" = success ] || die "jobs are not as they were"
rest GET /v1/admin/node_group | jq -r '.groups[].group_name' | grep -qF 'grüß \ tab	here' || die "a name has changed: $(rest GET /v1/admin/node_group | jq -c .)"
sum() { python3 - "$1" <<'PY'
import hashlib, os, sys
print(sorted(hashlib.sha256(open(os.path.join(sys.argv[1], f), 'rb').read()).hexdigest() for f in os.listdir(sys.argv[1])))
PY
}
[ "$(sum "$work/data/images")" = "$(sum "$work/images-that-are-gone")" ] || die "image bytes have changed"
stop_server

# --- there and back without anybody in between: every row of every table is the same
psql -qAt "$pg" -c "DROP SCHEMA public CASCADE" -c "CREATE SCHEMA public" >/dev/null
dump "$work/data/pluvio.db" >"$work/one"
mkdir "$work/again"
"$bin/pluviod" migrate "$work/data" "$pg" >/dev/null && "$bin/pluviod" migrate "$pg" "$work/again" >/dev/null || die "the second journey fails"
dump "$work/again/pluvio.db" >"$work/two"
diff "$work/one" "$work/two" >"$work/differs" || { head -5 "$work/differs"; die "rows differ"; }
echo "passed: $(wc -l <"$work/one") rows there and back"
