#!/usr/bin/env bash
# What ptxas said of the CUDA kernels: a kernel that spills registers or keeps locals in memory (a stack frame) fails,
# unless kernels/cuda/budgets.txt allows it.    tools/check_kernel_budgets.sh [BUILD] [--table]
set -euo pipefail
cd "$(dirname "$0")/.."
build=build/release table=0
for argument in "$@"; do
  if [[ $argument == --table ]]; then table=1; else build=$argument; fi
done
mapfile -t reports < <(find "$build/obj/kernels" -name '*.ptxas' 2>/dev/null | sort)
if [[ ${#reports[@]} -eq 0 ]]; then
  echo "kernel budgets: no kernel was compiled by nvcc in $build"
  exit 0
fi
demangle=(cat)
command -v c++filt >/dev/null && demangle=(c++filt -p)
# One line per kernel and architecture: name, architecture, registers, shared bytes, stack, spilled bytes.
awk '
  /Compiling entry function/ { split($0, quoted, "\047"); kernel = quoted[2]; arch = quoted[4]; stack = spill = 0 }
  /bytes stack frame/ { stack = $1; spill = $5 + $9 }
  /Used [0-9]+ registers/ {
    registers = shared = 0
    for (i = 1; i < NF; ++i) {
      if ($i == "Used") registers = $(i + 1)
      if ($(i + 1) == "bytes" && $(i + 2) ~ /^smem/) shared = $i
    }
    if (kernel != "") print kernel, arch, registers, shared, stack, spill
    kernel = ""
  }' "${reports[@]}" | "${demangle[@]}" | sed 's/tessera:://g; s/(anonymous namespace):://g; s/_GLOBAL__N__[0-9a-zA-Z_]*:://g' | sort -u >"$build/kernel_resources.txt"
awk -v table="$table" -v budgets=kernels/cuda/budgets.txt '
  BEGIN {
    while ((getline line < budgets) > 0) {
      sub(/#.*/, "", line)
      if (split(line, field, " ") >= 4) { pattern[++count] = field[1]; stack_of[count] = field[2]; spill_of[count] = field[3]; registers_of[count] = field[4] }
    }
    if (table) printf "%-56s %-6s %9s %7s %6s %6s  %s\n", "kernel", "arch", "registers", "shared", "stack", "spill", "warps of 48 by registers"
  }
  {
    spill = $NF; stack = $(NF - 1); shared = $(NF - 2); registers = $(NF - 3); arch = $(NF - 4)
    name = $0; sub(/ sm_[0-9a-z]+ [0-9]+ [0-9]+ [0-9]+ [0-9]+$/, "", name)
    allowed_stack = allowed_spill = 0; allowed_registers = 255
    for (i = 1; i <= count; ++i) if (index(name, pattern[i]) == 1) { allowed_stack = stack_of[i]; allowed_spill = spill_of[i]; allowed_registers = registers_of[i] }
    warps = int(65536 / (int((registers * 32 + 255) / 256) * 256)); if (warps > 48) warps = 48
    if (table) printf "%-56s %-6s %9d %7d %6d %6d  %d\n", substr(name, 1, 56), arch, registers, shared, stack, spill, warps
    if (stack > allowed_stack || spill > allowed_spill || registers > allowed_registers) {
      printf "kernel budgets: %s on %s: %d registers, %d bytes of stack, %d bytes spilled (allowed %d, %d, %d)\n", name, arch, registers, stack, spill, allowed_registers, allowed_stack, allowed_spill
      failed = 1
    }
    ++kernels
  }
  END { if (!failed) printf "kernel budgets: %d kernels, none beyond its budget\n", kernels; exit failed }
' "$build/kernel_resources.txt"
# Registers that the occupancy table of `tessera doctor` gives, and the compiler no longer reports.
while IFS=$'\t' read -r name registers; do
  found=$(awk -v name="$name" 'index($0, name) == 1 && / sm_86 / { print $(NF - 3); exit }' "$build/kernel_resources.txt")
  if [[ -n $found && $found != "$registers" ]]; then
    echo "kernel budgets: note: kernels/cuda/occupancy.inc: $name has $found registers, not $registers"
  fi
done < <(sed -nE 's/^RESOURCES\("(.*)", ([0-9]+), [0-9]+, [0-9]+\)$/\1\t\2/p' kernels/cuda/occupancy.inc)
