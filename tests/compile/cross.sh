#!/usr/bin/env bash
# Goal: what runs on a node compiles for 32-bit RISC-V and Arm, where uint32_t is another type than on Linux.
#   cross.sh SOURCE-FOLDER
set -euo pipefail
root=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rooms="base codec image flash nvs boot wire ota"
compile() {  # compile NAME COMPILER OPTION...
  local name=$1; shift
  command -v "$1" >/dev/null || { echo "$1 is not installed: skipped"; return 0; }
  local count=0 room file
  for room in $rooms; do
    for file in "$root"/src/"$room"/*.c; do
      # cJSON's header comes from the host, behind everything of the target's own
      "$@" -std=c17 -D_GNU_SOURCE -Os -Wall -Wextra -Werror -I"$root/src" -idirafter /usr/include -c "$file" -o "$work/one.o" || return 1
      count=$((count + 1))
    done
  done
  echo "$count files of the node's rooms compile for $name"
}
compile "32-bit RISC-V" riscv64-unknown-elf-gcc -march=rv32imc -mabi=ilp32 --specs=picolibc.specs
compile "Arm Cortex-M3" arm-none-eabi-gcc -mcpu=cortex-m3 -mthumb --specs=picolibc.specs
