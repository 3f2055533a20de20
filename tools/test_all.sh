#!/usr/bin/env bash
# Everything CI holds against a change: lint, the suite in release, races of the kernels, the suite under ASan+UBSan.
# Closes with one line over all of it: N passed, N failed, N skipped.    tools/test_all.sh [JOBS]
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
jobs=${1:-$(nproc)}
passed=0 failed=0 skipped=0
stage() { printf '== %s (%s s)\n' "$1" "$SECONDS"; }
suite() {  # suite NAME MAKE-ARGUMENTS...
  stage "$1"
  local log closing
  log=$(mktemp)
  if ! make -j"$jobs" --no-print-directory "${@:2}" >"$log" 2>&1; then
    tail -n 60 "$log"
    grep -aE ': Failure$|^\[  FAILED  \]|ERROR: AddressSanitizer|WARNING: ThreadSanitizer|runtime error' "$log" | sort -u | head -n 40 || true
  fi
  closing=$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$log" | tail -n 1)
  grep -E '^slowest' "$log"
  grep -E 'SKIPPED|Skipped' "$log" | sort | uniq -c | head -n 20
  if [[ -z $closing ]]; then
    echo "$1: did not finish"
    failed=$((failed + 1))
  else
    echo "$1: $closing"
    read -r p f s < <(sed -E 's/([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped/\1 \2 \3/' <<<"$closing")
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  fi
  rm -f "$log"
}
stage lint
if tools/lint.sh; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
# Ops are tested on the CPU and, as CUDA kernels, on the emulator; with a toolkit nvcc compiles them too.
export TESSERA_BACKENDS=cpu,emulated
# Without line numbers, which a build of one's own adds to what a sanitizer reports: a fifth of the compile time.
export DEBUG_INFO=-g0
release=(CUDA_ARCH=86 BATCHED="library apps tests cuda")
suite "release" "${release[@]}" test
tools/check_kernel_budgets.sh build/release
case $? in
  0) passed=$((passed + 1)) ;;
  125) skipped=$((skipped + 1)) ;;  # no toolkit
  *) failed=$((failed + 1)) ;;
esac
suite "races" "${release[@]}" races  # of the same objects, but for what runs on the emulator
suite "asan+ubsan" VARIANT=asan test
stage "total"
echo "$passed passed, $failed failed, $skipped skipped"
[[ $failed -eq 0 ]]
