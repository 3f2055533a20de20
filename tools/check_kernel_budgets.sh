#!/usr/bin/env bash
# What ptxas said of the CUDA kernels, against kernels/cuda/budgets.txt: registers, stack frame, spilled bytes and static
# shared memory of each on sm_86. A kernel beyond its line or without one fails, and so does a line without its kernel, and
# a row of kernels/cuda/occupancy.inc whose registers or static shared memory are no longer the compiler's. Code for
# other architectures may neither spill nor have a stack frame beyond the line.
#   tools/check_kernel_budgets.sh [BUILD] [--table] [--update]     BUILD: build/release when absent
#   --table      print all kernels       --update     write the budgets and the occupancy rows anew
#   --budgets FILE, --occupancy FILE     instead of those in kernels/cuda
# Exit: 0 within the budgets, 1 beyond, 2 usage, 125 nothing to check: nvcc compiled no kernel in BUILD.
set -euo pipefail
cd "$(dirname "$0")/.."
build=build/release table=0 update=0 budgets=kernels/cuda/budgets.txt occupancy=kernels/cuda/occupancy.inc
while [[ $# -gt 0 ]]; do
  case $1 in
    --table) table=1 ;;
    --update) update=1 ;;
    --budgets | --occupancy)
      [[ $# -ge 2 ]] || { echo "error: $1 wants a file" >&2; echo "  try: $0 $1 kernels/cuda/budgets.txt" >&2; exit 2; }
      if [[ $1 == --budgets ]]; then budgets=$2; else occupancy=$2; fi
      shift ;;
    -*) echo "error: unknown option '$1'" >&2; echo "  try: $0 --update" >&2; exit 2 ;;
    *) build=$1 ;;
  esac
  shift
done
# Reports of a build with other batches may lie beside the latest: those older than one of their sources say nothing.
reports=() old=0
while IFS= read -r report; do
  fresh=1
  if [[ -f ${report%.ptxas}.d ]]; then
    while IFS= read -r source; do
      [[ $source == /* || ! $source -nt $report ]] || { fresh=0; break; }
    done < <(sed -n '1,/^$/{s/^[^:]*://;s/\\$//;p}' "${report%.ptxas}.d" | tr -s ' ' '\n')
  fi
  if ((fresh)); then reports+=("$report"); else old=$((old + 1)); fi
done < <(find "$build/obj/kernels" -name '*.ptxas' 2>/dev/null | sort)
if [[ ${#reports[@]} -eq 0 ]]; then
  echo "kernel budgets: not checked, nvcc compiled no kernel in $build$( ((old)) && echo " since the sources changed")"
  exit 125
fi
command -v c++filt >/dev/null || { echo "error: c++filt is missing" >&2; echo "  try: apt-get install binutils" >&2; exit 2; }
# One line per kernel and architecture: architecture, registers, stack, spilled, static shared bytes, name. The name is
# that in the source with its template arguments, and with its parameters where several kernels have it; nothing of the
# file that it was compiled in, which changes with the batches. Of equal names the greatest counts.
awk '
  /Compiling entry function/ { split($0, quoted, "\047"); kernel = quoted[2]; arch = quoted[4]; stack = spill = 0 }
  /bytes stack frame/ { stack = $1; spill = $5 + $9 }
  /Used [0-9]+ registers/ {
    registers = shared = 0
    for (i = 1; i < NF; ++i) {
      if ($i == "Used") registers = $(i + 1)
      if ($(i + 1) == "bytes" && $(i + 2) ~ /^smem/) shared = $i
    }
    if (kernel != "") print arch, registers, stack, spill, shared, kernel
    kernel = ""
  }' "${reports[@]}" | c++filt |
  sed -E 's/tessera:://g; s/\(anonymous namespace\):://g; s/_GLOBAL__N__[0-9a-zA-Z_]*:://g; s/^(([^ ]+ ){5})void /\1/' |
  awk '
    function after(line, fields) { while (fields-- > 0) sub(/^[^ ]+ /, "", line); return line }
    function greatest(key, i, value) { if (!((key, i) in most) || value > most[key, i]) most[key, i] = value }
    {
      signature = after($0, 5)
      # The parameters begin behind the first bracket that no template argument, such as (ConvMath)0, holds.
      depth = 0
      for (at = 1; at <= length(signature); ++at) {
        letter = substr(signature, at, 1)
        if (letter == "<") ++depth
        if (letter == ">") --depth
        if (letter == "(" && depth == 0) break
      }
      name = substr(signature, 1, at - 1)
      key = $1 SUBSEP signature
      if (!(key in name_of)) { name_of[key] = name; ++of_name[$1, name]; signature_of[key] = signature; arch_of[key] = $1 }
      for (i = 2; i <= 5; ++i) greatest(key, i, $i + 0)
    }
    END {
      for (key in name_of)
        print arch_of[key], most[key, 2], most[key, 3], most[key, 4], most[key, 5], (of_name[arch_of[key], name_of[key]] > 1 ? signature_of[key] : name_of[key])
    }' | LC_ALL=C sort -k6 -k1,1 >"$build/kernel_resources.txt"
nvcc=$(tools/find_cuda.sh)/bin/nvcc
release=$("$nvcc" --version 2>/dev/null | sed -nE 's/.*release ([0-9.]+).*/\1/p') || true

if ((update)); then
  {
    echo "# What each CUDA kernel may use on sm_86, as nvcc ${release:-of unknown release} compiles it: tools/check_kernel_budgets.sh fails beyond it."
    echo "# After a change that is worth more: make CUDA=yes, tools/check_kernel_budgets.sh --update, and the reason in the commit."
    echo "# registers, bytes of stack, bytes spilled, bytes of static shared memory, kernel"
    sed -n 's/^sm_86 //p' "$build/kernel_resources.txt"
  } >"$budgets.new"
  mv "$budgets.new" "$budgets"
  awk -F'"' -v OFS='"' '
    function after(line, fields) { while (fields-- > 0) sub(/^[^ ]+ /, "", line); return line }
    NR == FNR { if (/^sm_86 /) { split($0, of, " "); name = after($0, 5); registers[name] = of[2]; shared[name] = of[5] } next }
    /^RESOURCES\("/ && $2 in registers { split($3, of, ", "); $3 = ", " registers[$2] ", " shared[$2] ", " of[4] ", " of[5] }
    { print }' "$build/kernel_resources.txt" "$occupancy" >"$occupancy.new"
  mv "$occupancy.new" "$occupancy"
fi

awk -v table="$table" -v budgets="$budgets" -v occupancy="$occupancy" -v release="$release" '
  function after(line, fields) { while (fields-- > 0) sub(/^[^ ]+ /, "", line); return line }
  function fail(text) { print "kernel budgets: " text; failed = 1 }
  function past(what, value, line, i) { if (value > allowed[line, i]) beyond = beyond sprintf(", %d %s (allowed %d)", value, what, allowed[line, i]) }
  BEGIN {
    while ((getline line < budgets) > 0) {
      if (line ~ /^# .* as nvcc [0-9.]+ compiles it/) { split(line, word, "as nvcc "); split(word[2], word, " "); written = word[1] }
      if (line ~ /^#/ || split(line, field, " ") < 5) continue
      line = after(line, 4)
      for (i = 1; i <= 4; ++i) allowed[line, i] = field[i]
      budget[line] = 1
    }
    # Another release allots registers otherwise, for no fault of the kernel.
    registers_count = written == release || release == "" || written == ""
    if (table) printf "%-56s %-6s %9s %6s %6s %7s  %s\n", "kernel", "arch", "registers", "stack", "spill", "shared", "warps of 48 by registers"
  }
  {
    name = after($0, 5)
    warps = int(65536 / (int(($2 * 32 + 255) / 256) * 256)); if (warps > 48) warps = 48
    if (table) printf "%-56s %-6s %9d %6d %6d %7d  %d\n", substr(name, 1, 56), $1, $2, $3, $4, $5, warps
    ++kernels
    if (!(name in budget)) {
      if ($1 == "sm_86" || $3 + $4 > 0) fail(name " on " $1 " has no line in " budgets)
      next
    }
    beyond = ""
    if ($1 == "sm_86") {
      seen[name] = 1
      registers[name] = $2; shared[name] = $5
      sm_86 = 1
      if (registers_count) past("registers", $2, name, 1)
      past("bytes of static shared memory", $5, name, 4)
    }
    past("bytes of stack", $3, name, 2)
    past("bytes spilled", $4, name, 3)
    if (beyond != "") fail(name " on " $1 ": " substr(beyond, 3))
  }
  END {
    if (sm_86) {
      for (name in budget) if (!(name in seen)) fail(budgets " has a line for " name ", which is no kernel of this build")
      while ((getline line < occupancy) > 0) {
        if (line !~ /^RESOURCES\("/) continue
        split(line, quoted, "\""); split(quoted[3], of, ", "); name = quoted[2]
        if (!(name in registers)) fail(occupancy ": no kernel " name)
        else if (shared[name] != of[3] || (registers_count && registers[name] != of[2]))
          fail(occupancy ": " name " has " registers[name] " registers and " shared[name] " bytes of static shared memory, not " of[2] " and " of[3])
      }
    }
    if (failed) {
      print "  try: a kernel that uses less, or, where it is worth it, tools/check_kernel_budgets.sh --update and the reason in the commit"
    } else {
      printf "kernel budgets: %d kernels, none beyond its budget%s%s\n", kernels, sm_86 ? "" : " (no code for sm_86: spills and stack alone)", registers_count ? "" : sprintf(" (nvcc %s; registers are of %s, not compared)", release, written)
    }
    exit failed
  }' "$build/kernel_resources.txt"
