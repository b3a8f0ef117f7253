#!/usr/bin/env bash
# Goal: the command line's words for people, tokens, tags, the audit log, and what RainMaker's users know by name.
. "$(dirname "$0")/lib.sh" "$@"
start_server
login
pluvio() { "$bin/pluvio" "$@"; }
refused() { local why=$1; shift; ! "$@" >"$work/out" 2>"$work/error" || die "$* was taken"; grep -q "$why" "$work/error" || die "$*: $(cat "$work/error")"; }
[ "$(pluvio whoami)" = admin@localhost ] || die "whoami"
echo Passw0rd >"$work/password"
pluvio user add op@x.org --role operator --password-file "$work/password" | grep -q 'User op@x.org added' || die "user add"
refused 'a password has 8' pluvio user add weak@x.org --password-file <(echo weak)
refused 'role must be one of' pluvio user edit op@x.org --role king
echo Passw0rd | PLUVIO_SESSION=$work/op.json "$bin/pluvio" login --server "http://127.0.0.1:$http" --user op@x.org --password-file - >/dev/null || die "login from standard input"
pluvio user list | grep -q 'op@x.org  *operator' || die "user list: $(pluvio user list)"
token=$(pluvio token add ci --role viewer --days 30)
pluvio token list | grep -q 'viewer .*ci' || die "token list: $(pluvio token list)"
! pluvio token list --json | grep -qF "$token" || die "the token is kept"
with_token() { PLUVIO_SERVER=http://127.0.0.1:$http PLUVIO_TOKEN=$token PLUVIO_SESSION=$work/none "$bin/pluvio" "$@"; }
with_token node list | grep -q NODE || die "the token does not open"
refused 'not for the role viewer' with_token group add g
add_node n1
run_node n1 fast
wait_for 60 is_online n1 || die "n1 did not connect"
pluvio node tag n1 site:roof rack:3 | grep -q n1 || die "tag"
[ "$(pluvio node show n1 | jq -c .tags)" = '["site:roof","rack:3"]' ] || die "tags: $(pluvio node show n1)"
pluvio node untag n1 rack:3 >/dev/null
pluvio node deactivate n1 >/dev/null
pluvio node list | grep -q 'n1 .*deactivated' || die "not deactivated: $(pluvio node list)"
pluvio node activate n1 >/dev/null
pluvio why n1 | grep -q 'No job is under way' || die "why: $(pluvio why n1)"
upload blinky-1.1.0
# Another node keeps the job open, whenever n1 comes back and hears that it is left out
pluvio node add spare --out "$work/spare" >/dev/null
start_job --image blinky-1.1.0 --name held --all --exclude 'id = n1' >/dev/null
pluvio why n1 | grep -q 'held: .*exclude' || die "why: $(pluvio why n1)"
pluvio audit list | grep -q 'admin@localhost .*node.edit .*n1' || die "audit: $(pluvio audit list)"
pluvio node add gone --out "$work/gone" >/dev/null
pluvio node delete gone | grep -q 'gone is gone' || die "node delete"
! pluvio node list | grep -q '^gone' || die "it is still there"
refused 'no node gone' pluvio node delete gone
pluvio audit list | grep -q 'node.delete .*gone' || die "audit: $(pluvio audit list | tail -2)"
pluvio audit verify | grep -q 'as they were written' || die "audit verify"

# What RainMaker's users know
pluvio getnodes | grep -q 'No node is yours' || die "getnodes"
"$bin/pluvio" node add n2 --out "$work/n2" >/dev/null
"$bin/vesp" new "$work/n2.flash" --size 16M --app "$bin/agent-params-1.0.0.bin" --fctry "$work/n2/fctry.bin" --ca-bundle "$work/n2/ca.crt"
run_node n2 fast
wait_for 60 is_online n2 || die "n2 did not connect"
rest PUT "/v1/admin/users/$(rest GET /v1/user | jq -r .user_id)/nodes/n2/mapping" >/dev/null
[ "$(pluvio getnodes)" = '1. n2' ] || die "getnodes: $(pluvio getnodes)"
pluvio getnodeconfig n2 | jq -e .services >/dev/null || die "getnodeconfig"
pluvio getnodestatus n2 | jq -e .connectivity.connected >/dev/null || die "getnodestatus"
pluvio setparams n2 --data '{"Light":{"Hue":33}}' | grep -q 'n2: ' || die "setparams"
hue() { [ "$(pluvio getparams n2 | jq .Light.Hue)" = 33 ]; }
wait_for 20 hue || die "getparams: $(pluvio getparams n2)"
refused 'wrong' pluvio setparams n2 --data '{"Light":'
refused 'no OTA service' pluvio otaupgrade n1 "$bin/agent-params-2.0.0.bin"
pluvio otaupgrade n2 "$bin/agent-params-2.0.0.bin" >"$work/upgrade" || die "otaupgrade: $(cat "$work/upgrade")"
grep -q 'in-progress: Downloaded' "$work/upgrade" || grep -q 'in-progress' "$work/upgrade" || die "no progress: $(cat "$work/upgrade")"
tail -1 "$work/upgrade" | grep -q '^success: ' || die "its end: $(cat "$work/upgrade")"
pluvio removenode n2 | grep -q 'not yours any more' || die "removenode"
secret=$(pluvio webhook add https://192.0.2.1/x --events '["job"]')
[ ${#secret} = 64 ] || die "webhook add: $secret"
hook=$(pluvio webhook list --json | jq -r '.webhooks[0].webhook_id')
pluvio webhook list | grep -q "$hook .*https://192.0.2.1/x" || die "webhook list"
pluvio webhook deliveries "$hook" | jq -e .deliveries >/dev/null || die "deliveries"
pluvio webhook delete "$hook" >/dev/null

# A key that stays on the server, an image signed with it
digest=$(pluvio key add release --key-spec ECC_NIST_P256)
pluvio key list | grep -q "release .*$digest" || die "key list: $(pluvio key list)"
signed=$(pluvio image sign "$(rest GET '/v1/admin/otaimage?image_name=blinky-1.1.0' | jq -r '.ota_images[0].ota_image_id')" release)
curl -s --cacert "$work/data/keys/ca.crt" -o "$work/signed.bin" "$(rest GET "/v1/admin/otaimage?ota_image_id=$signed" | jq -r .image_url)"
pluvio sign info "$work/signed.bin" --json | grep -q "$digest" || die "the signature: $(pluvio sign info "$work/signed.bin")"
refused 'no key named' pluvio image sign "$signed" other
pluvio key add spare --key-spec ECC_NIST_P256 >/dev/null && pluvio key delete spare | grep -q 'spare is gone' || die "key delete"
refused 'no key named spare' pluvio key delete spare

# An organisation of its own, and a user who looks after some nodes
org=$(pluvio org add Others)
pluvio org list | grep -q "$org  *Others" || die "org list"
PLUVIO_ORGANISATION=$org pluvio user add other@x.org --role admin --password-file "$work/password" >/dev/null
other() { PLUVIO_SESSION=$work/other.json "$bin/pluvio" "$@"; }
other login --server "http://127.0.0.1:$http" --user other@x.org --password-file "$work/password" >/dev/null
[ "$(other node list | wc -l)" = 1 ] || die "the others see: $(other node list)"
refused 'concerns the whole server' other org list
! other image list | grep -q blinky || die "the others see images"
PLUVIO_ORGANISATION=$org pluvio node add theirs --out "$work/theirs" >/dev/null
[ "$(other node list | tail -n +2 | cut -d' ' -f1)" = theirs ] || die "their node: $(other node list)"
! pluvio node list | grep -q theirs || die "the house sees the others' node"
pluvio user edit op@x.org --scope "tag = 'site:roof'" >/dev/null
[ "$(PLUVIO_SESSION=$work/op.json "$bin/pluvio" node list | tail -n +2 | cut -d' ' -f1 | xargs)" = n1 ] || die "scope"
refused 'still has' pluvio org delete "$org"

# A package, and a file that belongs to an image
mkdir "$work/package" && cp "$bin/blinky-1.1.0.bin" "$work/package/blinky.bin" && cp "$bin/blinky-1.0.0.bin" "$work/package/bootloader.bin"
(cd "$work/package" && zip -q ../blinky_1.1.0.zip blinky.bin bootloader.bin)
pluvio image upload "$work/blinky_1.1.0.zip" | grep -q 'blinky_1.1.0 uploaded: blinky 1.1.0' || die "package"
echo 'all good' >"$work/qa.txt"
pluvio image attach blinky_1.1.0 "$work/qa.txt" --type qa_report | grep -q 'qa.txt attached' || die "attach"
[ "$(pluvio image files --output csv | cut -d, -f2,3 | sort | xargs)" = 'bootloader.bin,bootloader file_name,file_type qa.txt,qa_report' ] || die "csv: $(pluvio image files --output csv)"
pluvio image files | grep -q 'qa.txt  *qa_report' || die "files"
# Nine megabytes go in pieces
head -c 9000000 /dev/urandom >"$work/big.txt"
pluvio image attach blinky_1.1.0 "$work/big.txt" >/dev/null
curl -s --cacert "$work/data/keys/ca.crt" "$(rest GET '/v1/admin/file?file_name=big.txt' | jq -r '.file_details[0].file_url')" | cmp - "$work/big.txt" || die "the pieces do not fit together"
start_job --image blinky_1.1.0 --name chosen --query 'id = none' --sign auto >/dev/null || die "auto key"

# The shells' completions come from the table of commands; so does the manual
bash -n <(pluvio completion bash) || die "the completion is no bash"
complete_words() { bash -c 'source <("$1" completion bash); shift; COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _pluvio pluvio "${COMP_WORDS[-1]}"; echo "${COMPREPLY[*]}"' - "$bin/pluvio" "$@"; }
[ "$(complete_words pluvio webh)" = webhook ] || die "completion: $(complete_words pluvio webh)"
[ "$(complete_words pluvio job pa)" = pause ] || die "completion: $(complete_words pluvio job pa)"
shows() { "${@:2}" >"$work/shown"; grep -q -- "$1" "$work/shown"; } # whole, so that nobody writes to a closed pipe
shows "pause:Offer a job" pluvio completion zsh || die "zsh"
shows "from job' -a pause" pluvio completion fish || die "fish"
refused 'goes with bash' pluvio completion tcsh
shows '^.B pluvio job pause' pluvio manual || die "no manual"
grep -q '^.B .*rollout=ROLLOUT' "$work/shown" || die "the manual lacks options"
pluvio user delete op@x.org >/dev/null
pluvio logout >/dev/null
refused 'logged out' pluvio node list
echo "commands"
