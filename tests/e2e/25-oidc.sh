#!/usr/bin/env bash
# Goal: people sign in by a real OpenID Connect provider (glewlwyd), for the dashboard and for the command line; what is not
# that provider's word, or another browser's sign-in, opens nothing.
. "$(dirname "$0")/lib.sh" "$@"
[ -x /usr/bin/glewlwyd ] || { echo "glewlwyd is not here"; exit 77; }
provider_port=$(free_port $((base + 16)))
provider=http://localhost:$provider_port

# The provider: a database of its own, one client, two people
zcat /usr/share/doc/glewlwyd/database/init.sqlite3.sql.gz >"$work/init.sql"
/usr/bin/python3 -c 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(open(sys.argv[2]).read())' "$work/g.db" "$work/init.sql"
zcat /usr/share/doc/glewlwyd/glewlwyd.conf.sample.gz >"$work/glewlwyd.conf"
sed -i -e "s#^external_url=.*#external_url=\"$provider\"#; s#^port=.*#port=$provider_port#; s#path = \".*db\"#path = \"$work/g.db\"#; s#^cookie_secure=.*#cookie_secure=0#" "$work/glewlwyd.conf"
spawn glewlwyd --config-file="$work/glewlwyd.conf" >"$work/glewlwyd.log" 2>&1 &
pids+=($!)
wait_for 30 curl -sf "$provider/config" || die "the provider did not start: $(tail -3 "$work/glewlwyd.log")"
as() {  # as COOKIES METHOD PATH [JSON]
  curl -sf -b "$work/$1" -c "$work/$1" -X "$2" -H 'Content-Type: application/json' "$provider/api$3" ${4:+-d "$4"} || die "the provider refuses $2 $3"
}
as admin POST /auth/ '{"username":"admin","password":"password"}'
openssl genrsa 2048 2>/dev/null >"$work/rsa.pem"
openssl rsa -in "$work/rsa.pem" -pubout 2>/dev/null >"$work/rsa.pub"
as admin POST /mod/plugin/ "$(jq -n --rawfile k "$work/rsa.pem" --rawfile p "$work/rsa.pub" --arg iss "$provider/api/oidc" '{module:"oidc",name:"oidc",display_name:"OIDC",
  parameters:{iss:$iss,"jwt-type":"rsa","jwt-key-size":"256",key:$k,cert:$p,"access-token-duration":3600,"refresh-token-duration":3600,"code-duration":600,
  "refresh-token-rolling":true,"allow-non-oidc":false,"auth-type-code-enabled":true,"auth-type-id-token-enabled":true,"auth-type-client-enabled":false,
  "auth-type-token-enabled":false,"auth-type-password-enabled":false,"auth-type-refresh-enabled":true,"auth-type-none-enabled":false,"email-claim":"mandatory",
  "jwks-show":true,"pkce-allowed":true,"pkce-method-plain-allowed":false}}')"
as admin POST /scope/ '{"name":"email","display_name":"mail","password_required":false,"scheme":{}}'
as admin POST /client/ "{\"client_id\":\"pluvio\",\"name\":\"Pluvio\",\"password\":\"client-secret-1\",\"confidential\":true,\"enabled\":true,\"redirect_uri\":[\"http://127.0.0.1:$http/v1/oidc/callback\"],\"authorization_type\":[\"code\"],\"token_endpoint_auth_method\":[\"client_secret_basic\"],\"scope\":[]}"
for who in ann bob; do
  as admin POST /user/ "{\"username\":\"$who\",\"password\":\"${who}password\",\"email\":\"$who@x.org\",\"enabled\":true,\"scope\":[\"openid\",\"email\",\"g_profile\"]}"
  as $who POST /auth/ "{\"username\":\"$who\",\"password\":\"${who}password\"}"
  as $who PUT /auth/grant/pluvio '{"scope":"openid email"}'
done

echo 'client-secret-1' >"$work/client-secret"
start_server --oidc-issuer "$provider/api/oidc" --oidc-client pluvio --oidc-secret-file "$work/client-secret" --oidc-new-users no
login
rest POST /v1/admin/users -d '{"user_name":"ann@x.org","password":"Passw0rd","role":"operator"}' | jq -e '.status == "success"' >/dev/null || die "no user"

curl -s "http://127.0.0.1:$http/v1/oidc" | jq -e --arg p "$provider/api/oidc" '.issuer == $p' >/dev/null || die "who is the provider"

# The browser: away, and back
away() { curl -s -o "$work/answer" -c "$work/browser" -w '%{redirect_url}' "http://127.0.0.1:$http/v1/oidc/login$1"; }
# What its page does when somebody has signed in and granted: it goes on, with g_continue.
back() { curl -s -o "$work/answer" -b "$work/$1" -w "%{redirect_url}" "$2&g_continue"; }
home() { curl -s -o "$work/answer" -b "$work/browser" -w '%{http_code} %{redirect_url}' "$1"; }
away '' >"$work/away"
grep -q "^$provider/api/oidc/auth?response_type=code&client_id=pluvio&.*code_challenge_method=S256" "$work/away" || die "the browser is sent to $(cat "$work/away"): $(cat "$work/answer")"
back ann "$(cat "$work/away")" >"$work/back"
grep -q "^http://127.0.0.1:$http/v1/oidc/callback?" "$work/back" || die "the provider sends the browser to $(cat "$work/back")"
landed=$(home "$(cat "$work/back")")
code=${landed##*#oidc=}
[ "${landed%%#*}" = "302 http://127.0.0.1:$http/" ] && [ ${#code} = 64 ] || die "it lands at $landed: $(cat "$work/answer")"
session() { curl -s -X POST -d "{\"oidc_code\":\"$1\"}" "http://127.0.0.1:$http/v1/login2"; }
access=$(session "$code" | jq -r .accesstoken)
[ "$(curl -s -H "Authorization: $access" "http://127.0.0.1:$http/v1/user" | jq -r '.user_name + " " + .role')" = 'ann@x.org operator' ] || die "who is it"
session "$code" | jq -e '.error_code == 101009' >/dev/null || die "the code opens twice"
[ "$(home "$(cat "$work/back")")" = '401 ' ] || die "the provider's code is taken twice"

# Another browser, an altered state, somebody who has no user here
away '' >"$work/away"; back ann "$(cat "$work/away")" >"$work/back"
curl -s "$(cat "$work/back")" | grep -q 'another browser' || die "a sign-in without the cookie is taken"
home "$(sed 's/state=../state=zz/' "$work/back")" >/dev/null; grep -q 'did not begin here' "$work/answer" || die "an altered state is taken: $(cat "$work/answer")"
away '' >"$work/away"; back bob "$(cat "$work/away")" >"$work/back"
home "$(cat "$work/back")" >/dev/null; grep -q 'no user bob@x.org here' "$work/answer" || die "bob: $(cat "$work/answer")"

# The command line: the code is read off the page
away '?show_code=true' >"$work/away"; back ann "$(cat "$work/away")" >"$work/back"
home "$(cat "$work/back")" >/dev/null
tail -1 "$work/answer" | PLUVIO_SESSION=$work/ann.json "$bin/pluvio" login --server "http://127.0.0.1:$http" --oidc >"$work/said" || die "pluvio login --oidc: $(cat "$work/said")"
grep -q "/v1/oidc/login?show_code=true" "$work/said" || die "it does not say where to go: $(cat "$work/said")"
[ "$(PLUVIO_SESSION=$work/ann.json "$bin/pluvio" whoami)" = ann@x.org ] || die "whoami"

# Users made at their first sign-in; a password never opens them
kill "$server_pid"; wait "$server_pid" || true
start_server --oidc-issuer "$provider/api/oidc" --oidc-client pluvio --oidc-secret-file "$work/client-secret" --oidc-new-users viewer
away '' >"$work/away"; back bob "$(cat "$work/away")" >"$work/back"; landed=$(home "$(cat "$work/back")")
access=$(session "${landed##*#oidc=}" | jq -r .accesstoken)
[ "$(curl -s -H "Authorization: $access" "http://127.0.0.1:$http/v1/user" | jq -r .role)" = viewer ] || die "bob has no user: $(cat "$work/answer")"
curl -s -X POST -d '{"user_name":"bob@x.org","password":"*"}' "http://127.0.0.1:$http/v1/login2" | jq -e '.error_code == 101009' >/dev/null || die "a password opens bob's account"
! grep -qF 'client-secret-1' "$work/pluviod.log" || die "the client's secret stands in the log"
echo "signed in by $provider"
