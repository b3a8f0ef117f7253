#!/usr/bin/env bash
# Code size and worst stack of the node's rooms, as cross compilers make them: `./dev bench size`.
#   size.sh SOURCE-FOLDER
set -euo pipefail
root=$1
work=$(mktemp -d "${TMPDIR:-/tmp}/pluvio-size.XXXXXX")
trap 'rm -rf "$work"' EXIT

# What a node calls: the mind, a download in blocks, the choice of a slot and its verification.
cat >"$work/node.c" <<'C'
#include "boot/boot.h"
#include "boot/slot.h"
#include "ota/ota.h"
#include "ota/stream.h"
int main(void);
int main(void)
{
    static void *const calls[] = {(void *)ota_init, (void *)ota_step, (void *)ota_next_ms, (void *)ota_report_write, (void *)ota_set_zone,
        (void *)ota_terms_read, (void *)ota_row_pack, (void *)ota_row_unpack, (void *)ota_is_busy, (void *)ota_stream_begin,
        (void *)ota_stream_request, (void *)ota_stream_take, (void *)ota_stream_tick, (void *)ota_stream_accept_header,
        (void *)ota_stream_resume_block, (void *)boot_select, (void *)slot_verify};
    for (unsigned i = 0; i < sizeof calls / sizeof calls[0]; i++)
        ((void (*)(void))(uintptr_t)calls[i])();
}
C

measure() {  # measure NAME COMPILER OPTION...
  local name=$1 compiler=$2; shift
  command -v "$compiler" >/dev/null || { echo "$compiler is not installed: skipped"; return 0; }
  local folder=$work/$name room file; mkdir -p "$folder"
  for room in base codec image flash boot wire ota; do
    for file in "$root/src/$room"/*.c; do
      case "$(basename "$file")" in nor.c | guess.c) continue ;; esac # the flash of the tests; texts for people
      (cd "$folder" && "$@" -std=c17 -D_GNU_SOURCE -DNDEBUG -Os -ffunction-sections -fdata-sections -fcallgraph-info=su -I"$root/src" -idirafter /usr/include \
        -c "$file" -o "$room-$(basename "$file" .c).o")
    done
  done
  (cd "$folder" && "$@" -std=c17 -Os -Wno-pedantic -I"$root/src" -c "$work/node.c" -o node.o &&
    "$@" -nostartfiles -Wl,-e,main -Wl,--gc-sections -Wl,--unresolved-symbols=ignore-all -Wl,-Map=map -o node ./*.o 2>/dev/null)
  # Sections that stayed: " .text.name  0xADDRESS  0xSIZE  room-file.o", on one line or two.
  python3 - "$folder/map" "$name" <<'PY'
import re, sys
text = open(sys.argv[1]).read().split("Linker script and memory map")[1]
text = re.sub(r"\n( \.\S+)\n\s+", r"\n\1 ", text)
sizes = {}
for kind, size, room in re.findall(r"\n \.(text|rodata|srodata|data\.rel\.ro)\S*\s+0x[0-9a-f]+\s+0x([0-9a-f]+)\s+\./([a-z]+)-\S+\.o", text):
    sizes[room] = sizes.get(room, 0) + int(size, 16)
mind = sum(sizes.get(room, 0) for room in ("ota", "boot", "image"))
print("%-16s %s" % (sys.argv[2], ", ".join("%s %d" % (room, sizes[room]) for room in sorted(sizes))))
print("%-16s ota + boot + image: %d bytes as linked into a node   [limit 24576]" % ("", mind))
PY
}
echo "text and constants, -Os, what a node does not call left out"
measure rv32imc riscv64-unknown-elf-gcc -march=rv32imc -mabi=ilp32 --specs=picolibc.specs
measure rv32imc-short riscv64-unknown-elf-gcc -march=rv32imc -mabi=ilp32 -msave-restore -fshort-enums --specs=picolibc.specs # CONFIG_COMPILER_SAVE_RESTORE_LIBCALLS
measure cortex-m3 arm-none-eabi-gcc -mcpu=cortex-m3 -mthumb --specs=picolibc.specs
echo "worst stack, without the C library's own"
for chip in rv32imc cortex-m3; do
  [ -d "$work/$chip" ] || continue
  python3 "$root/scripts/stack.py" "$chip" "$work/$chip" ota_step ota_report_write ota_terms_read ota_stream_take job_offer_read boot_select slot_verify
done
