#!/usr/bin/env bash
# Runs a gtest binary in as many shards as there are cores and closes with one line: N passed, N failed, N skipped.
#   tools/run_tests.sh BINARY [GTEST ARGUMENTS ...]
set -euo pipefail
binary=$1
shift
cores=$(nproc)
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
pids=()
for ((shard = 0; shard < cores; shard++)); do
  GTEST_TOTAL_SHARDS=$cores GTEST_SHARD_INDEX=$shard OMP_NUM_THREADS=1 GOMP_SPINCOUNT=20000 \
    "$binary" --gtest_brief=1 "--gtest_output=json:$results/$shard.json" "$@" >"$results/$shard.log" 2>&1 &
  pids+=($!)
done
crashed=0
for ((shard = 0; shard < cores; shard++)); do
  wait "${pids[$shard]}" || [[ -s $results/$shard.json ]] || crashed=$((crashed + 1))
  cat "$results/$shard.log"
done
count() { cat "$results"/*.json 2>/dev/null | grep -c "$1" || true; }
run=$(count '"status": "RUN"')
skipped=$(count '"result": "SKIPPED"')
failed=$(cat "$results"/*.json 2>/dev/null | grep -c '"failures": \[' || true)
passed=$((run - skipped - failed))
failed=$((failed + crashed))
echo "$passed passed, $failed failed, $skipped skipped"
[[ $failed -eq 0 && $passed -gt 0 ]]
