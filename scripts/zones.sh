#!/usr/bin/env bash
# Writes src/rmaker/rmaker_zones.c from the time zone database of this machine (package tzdata).
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
table=src/rmaker/rmaker_zones.c
rows=$(cd /usr/share/zoneinfo && find [A-Z]*/ UTC ! -type d | grep -v '^Etc/\|^SystemV/' | LC_ALL=C sort | while read -r zone; do
  posix=$(tail -n 1 "$zone" | tr -d '\0')
  [[ $posix =~ ^[A-Z\<][^[:cntrl:]]{2,62}$ ]] && printf '    "%s\\0%s\\0"\n' "$zone" "$posix"
done)
rows=$rows awk '/clang-format off/ {print; print ENVIRON["rows"]; skip = 1} /clang-format on/ {skip = 0} !skip' "$table" >"$table.new"
mv "$table.new" "$table"
