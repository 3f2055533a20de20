#!/usr/bin/env bash
# Style that a machine can check: formatting, direction of includes (ARCHITECTURE: a file includes only from its own
# floor or from floors below), pragma once, shell scripts.   tools/lint.sh [--fix]
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t sources < <(find . \( -path ./build -o -path ./out -o -path ./runs -o -path ./.git \) -prune -o -type f \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' \) -print | sed 's|^\./||' | sort)
if [[ ${1:-} == --fix ]]; then
  clang-format -i "${sources[@]}"
  exit 0
fi
failed=0
problem() { echo "lint: $*" >&2; failed=1; }

# Kernels are written in the port's words, which the emulator has too; the hardware's own stand behind it, in these files.
behind_the_port='^kernels/cuda/(language|async_copy|tensor_core|grid_sync)\.h$'
while IFS= read -r file; do
  [[ $file =~ $behind_the_port ]] && continue
  while IFS= read -r line; do problem "$file:$line: not a word of kernels/cuda/port.h"; done < <(
    sed 's|//.*||' "$file" | grep -nE '<<<|>>>\(|\b(asm|__asm__|__shared__|__constant__|__activemask|cooperative_groups)\b' || true)
done < <(printf '%s\n' "${sources[@]}" | grep -E '^(kernels/(cuda|lab)/.*\.(cu|h)|tests/.*\.cu)$')

declare -A below=(
  [kernels]="kernels"
  [engine]="engine kernels"
  [layers]="layers engine kernels"
  [models]="models layers engine kernels data/annotations"
  [data]="data engine kernels"
  [weights_tools]="weights_tools engine kernels"
  [apps]="apps models data layers weights_tools engine kernels"
  [tools]="tools"
  [tests]="tests apps models data layers weights_tools engine kernels"
)
for file in "${sources[@]}"; do
  room=${file%%/*}
  while IFS= read -r include; do
    allowed=0
    for floor in ${below[$room]}; do [[ $include == "$floor"/* ]] && allowed=1; done
    [[ $allowed -eq 1 ]] || problem "$file includes \"$include\": not on its floor or below (allowed: ${below[$room]})"
  done < <(sed -nE 's/^#include "([^"]+)".*/\1/p' "$file")
  [[ $file != *.h ]] || grep -q '^#pragma once' "$file" || problem "$file: no #pragma once"
done

# CONTRIBUTING: oracle and tests of an op are found by its name. Not ops: what ops share. Without arithmetic, or made of
# two ops: no oracle of their own.
for header in engine/ops/*.h; do
  op=$(basename "$header" .h)
  case $op in candidate_args | candidates | loss_record | normalise_rows | row_moments) continue ;; esac
  [[ -f tests/ops/${op}_test.cpp ]] || problem "$header: no tests/ops/${op}_test.cpp"
  case $op in conv2d_group_norm | pyramid | reshape) continue ;; esac
  [[ -f tests/reference/$op.h ]] || problem "$header: no oracle tests/reference/$op.h"
done

if command -v clang-format >/dev/null; then
  clang-format --dry-run -Werror "${sources[@]}" || problem "formatting: run make format"
else
  problem "clang-format is not installed: apt-get install clang-format"
fi
if command -v shellcheck >/dev/null; then
  shellcheck run.sh .ci/run tools/*.sh benchmarks/*.sh || problem "shellcheck"
else
  problem "shellcheck is not installed: apt-get install shellcheck"
fi
[[ $failed -eq 0 ]] && echo "lint: clean"
exit "$failed"
