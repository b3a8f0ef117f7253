#!/usr/bin/env bash
# Checks every include of src/ against the arrow list in ARCHITECTURE.md: down or along the list, never up, never round.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
awk '
  /^```arrows$/ { inside = 1; next }
  inside && /^```$/ { inside = 0 }
  inside {
    split($0, half, ":"); room = half[1]; known[room] = 1; order[room] = ++count
    n = split(half[2], uses, " ")
    for (i = 1; i <= n; i++) {
      if (!(uses[i] in known)) { print "ARCHITECTURE.md: " room " uses " uses[i] ", which stands below it or nowhere"; bad = 1 }
      may[room " " uses[i]] = 1
    }
  }
  FILENAME ~ /^src\// && /^#include "[a-z]+\// {
    split(FILENAME, part, "/"); from = part[2]
    match($0, /"[^"]*"/); path = substr($0, RSTART + 1, RLENGTH - 2); split(path, step, "/"); to = step[1]
    if (from == to || !(to in seen_room)) { if (from == to) next }
    if (to == "freertos") next
    used[from " " to] = 1
    if (!(from in known)) { print FILENAME ": the room " from " is not in ARCHITECTURE.md"; bad = 1 }
    else if (!((from " " to) in may)) { print FILENAME ": " from " must not include " path; bad = 1 }
  }
  END {
    for (arrow in may) if (!(arrow in used)) { split(arrow, a, " "); if (a[1] in known && system("test -d src/" a[1]) == 0) unused = unused " " a[1] "->" a[2] }
    if (unused != "") { print "arrows that nothing uses:" unused; bad = 1 }
    exit bad
  }
' ARCHITECTURE.md $(git ls-files --cached --others --exclude-standard 'src/*.[ch]')
# Rooms whose APIs have no handle keep one named context each; no other room has mutable file-scope state.
stray=$(grep -nE '^static [a-z_ ]+\*?[a-z_]+(\[[^]]*\])?( = [^(]*)?;' $(git ls-files --cached --others --exclude-standard 'src/*.c') |
  grep -vE 'static const|static const char|const struct|src/(esp|rmaker)/|src/broker/plugin.c|\* *const ' || true)
[ -z "$stray" ] || { echo "mutable file-scope state:"; echo "$stray"; exit 1; }
# The dashboard's floors: lib, ui, pages.
upward=$(grep -rnE "from '\.\./(ui|pages)/" web/src/lib; grep -rnE "from '\.\./pages/" web/src/ui) || true
[ -z "$upward" ] || { echo "imports that go upwards:"; echo "$upward"; exit 1; }
echo "the include arrows agree with ARCHITECTURE.md"
