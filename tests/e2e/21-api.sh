#!/usr/bin/env bash
# Goal: docs/api/openapi.yaml is what the server does: the same operations and rights, answers that fit its schemas; and what
# is not as it says ends in a clear refusal, ten thousand times, without the server growing.
. "$(dirname "$0")/lib.sh" "$@"
/usr/bin/python3 -c 'import yaml, jsonschema' 2>/dev/null || { echo "python3-yaml and python3-jsonschema are not here"; exit 77; }
check() { PYTHONWARNINGS=ignore /usr/bin/python3 "$root/tests/tools/api_check.py" "$root/docs/api/openapi.yaml" "$@"; }
"$bin/pluviod" --routes >"$work/routes"
check --routes "$work/routes" || die "document and route table differ"
export PLUVIO_MAIL=$work/mail
far_redirect=no # the URLs here are to be ours
start_server --sign-up open --self-claim yes --mail-program "$root/tests/tools/keep_mail.sh"
login
user=$(rest GET /v1/user | jq -r .user_id)
check --url "http://127.0.0.1:$http" --token "$(token)" --user "$user" --letters "$work/mail" --examples "$bin/blinky-1.1.0.bin" || die "an example"
rss() { awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/$server_pid/status"; }
bad() { check --url "http://127.0.0.1:$http" --token "$(token)" --bad "$1" --seed "$2" || die "a wrong request"; }
bad 2000 7
before=$(rss)
bad "${PLUVIO_BAD_REQUESTS:-8000}" "${PLUVIO_SEED:-1}"
after=$(rss)
echo "resident: $before MB, and $after MB afterwards"
curl -sf "http://127.0.0.1:$http/healthz" >/dev/null || die "the server is not well"
