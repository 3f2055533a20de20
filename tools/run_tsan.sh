#!/usr/bin/env bash
# The parts of the project that make threads of their own, under ThreadSanitizer. OpenMP loops are left out: libgomp is
# not instrumented, so its barriers look like races.    tools/run_tsan.sh BINARY
set -euo pipefail
OMP_NUM_THREADS=1 TSAN_OPTIONS=halt_on_error=1 "$1" --gtest_brief=1 --gtest_filter='Loader*:BatchOrder*:Allocator*'
