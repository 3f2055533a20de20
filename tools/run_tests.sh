#!/usr/bin/env bash
# Runs a gtest binary on all cores, SHARDS_PER_CORE=8 shards for each so that none waits for another's long test, and closes
# with one line: N passed, N failed, N skipped. A process that ends without its results counts as failed.
#   tools/run_tests.sh BINARY [GTEST ARGUMENTS ...]
set -euo pipefail
binary=$1
shift
cores=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)
shards=$((cores * ${SHARDS_PER_CORE:-8}))
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
run_shard() {  # run_shard INDEX GTEST-ARGUMENTS...
  local shard=$1
  shift
  GTEST_TOTAL_SHARDS=$shards GTEST_SHARD_INDEX=$shard OMP_NUM_THREADS=1 GOMP_SPINCOUNT=20000 \
    "$binary" --gtest_brief=1 "--gtest_output=json:$results/$shard.json" "$@" >"$results/$shard.log" 2>&1 ||
    [[ -s $results/$shard.json ]] || touch "$results/$shard.crashed"
}
for ((shard = 0; shard < shards; shard++)); do
  while [[ $(jobs -rp | wc -l) -ge $cores ]]; do wait -n || true; done
  run_shard "$shard" "$@" &
done
wait
for ((shard = 0; shard < shards; shard++)); do cat "$results/$shard.log"; done
# The second awk reads to the end: head would leave sort with a broken pipe, and that would be this script's exit.
awk -F'"' '$2 == "name" { name = $4 } $2 == "time" { time = $4 } $2 == "classname" { print time + 0, $4 "." name }' \
  "$results"/*.json 2>/dev/null | sort -rn | awk 'NR == 1 { printf "slowest, in seconds:" } NR <= 8 { printf "  %.0f %s", $1, $2 } END { print "" }'
count() { cat "$results"/*.json 2>/dev/null | grep -c "$1" || true; }
run=$(count '"status": "RUN"')
skipped=$(count '"result": "SKIPPED"')
failed=$(count '"failures": \[')
crashed=$(find "$results" -name '*.crashed' | wc -l)
passed=$((run - skipped - failed))
failed=$((failed + crashed))
echo "$passed passed, $failed failed, $skipped skipped"
[[ $failed -eq 0 && $passed -gt 0 ]]
