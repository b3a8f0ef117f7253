#!/usr/bin/env bash
# Builds the dashboard into build/web, for the server to embed: web.sh.  Does nothing when nothing of it has changed.
# All build folders share the result; whoever comes second waits.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
mkdir -p build/web
exec 9>build/web/lock
flock 9

# Vite needs Node 20.19; where the system's is older, npm brings a newer one.
is_new_enough() { "$1" -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' 2>/dev/null; }
if ! is_new_enough node; then
  [ -x build/node/node_modules/node/bin/node ] || npm install --silent --no-audit --no-fund --prefix build/node node@22.23.1
  PATH=$PWD/build/node/node_modules/node/bin:$PATH
fi

sources=$( (cd web && find . -path ./node_modules -prune -o -type f -print0 | sort -z | xargs -0 sha256sum; sha256sum ../scripts/web.sh) | sha256sum)
outputs=(build/web/web.S build/web/web_pages.c)
if [ "$(cat build/web/stamp 2>/dev/null)" = "$sources" ] && [ -f "${outputs[0]}" ] && [ -f "${outputs[1]}" ]; then
  touch "${outputs[@]}"
  exit 0
fi
lock=$(sha256sum web/package-lock.json)
if [ "$(cat web/node_modules/.installed 2>/dev/null)" != "$lock" ]; then
  # Not `npm ci`: it demands optional packages of foreign platforms that the lock file cannot have where a registry
  # lacks them.  Versions and digests come from the lock file all the same.
  npm install --no-save --prefix web --loglevel error --no-audit --no-fund >&2
  echo "$lock" >web/node_modules/.installed
fi
(cd web && PLUVIO_WEB_OUT=$PWD/../build/web/dist node node_modules/vite/bin/vite.js build --logLevel warn)
node web/embed.mjs build/web/dist build/web
echo "$sources" >build/web/stamp
