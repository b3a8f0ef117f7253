#!/usr/bin/env bash
# Goal: every header that firmware includes compiles alone as C99, C17 and C++, the C in STYLE.md compiles, and the sample
# programs compile unchanged.
#   headers.sh SOURCE-FOLDER
set -euo pipefail
root=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags=(-D_GNU_SOURCE -I"$root/src/esp/include" -I"$root/src/rmaker/include" -I"$root/src" -Wall -Wextra -Werror -fsyntax-only)
count=0
for header in $(cd "$root/src" && find esp/include rmaker/include -name '*.h' | sort); do
  name=${header#*/include/}
  printf '#include "%s"\nint unused_%s;\n' "$name" "$count" >"$work/one.c"
  cp "$work/one.c" "$work/one.cpp"
  for std in gnu99 gnu17; do gcc -std=$std "${flags[@]}" "$work/one.c" || { echo "$name does not compile as $std"; exit 1; }; done
  g++ -std=gnu++11 "${flags[@]}" "$work/one.cpp" || { echo "$name does not compile as C++"; exit 1; }
  count=$((count + 1))
done
echo "$count headers compile as C99, C17 and C++"
{ printf '#include "flash/partition.h"\n'; awk '/^```c$/ { inside = 1; next } /^```$/ { inside = 0 } inside' "$root/STYLE.md"; } >"$work/fence.c"
[ "$(wc -l <"$work/fence.c")" -gt 5 ] || { echo "STYLE.md has no C in it any more"; exit 1; }
gcc -std=c17 "${flags[@]}" -Wno-unused-function "$work/fence.c" || { echo "the C in STYLE.md does not compile"; exit 1; }
samples=$root/../shared/samples
if [ -d "$samples" ]; then
  for sample in "$samples"/*.c; do gcc -std=gnu17 "${flags[@]}" "$sample" || { echo "$(basename "$sample") does not compile unchanged"; exit 1; }; done
  echo "the sample programs compile unchanged"
else
  echo "the sample programs are not there: skipped"
fi
