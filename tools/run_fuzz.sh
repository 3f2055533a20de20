#!/usr/bin/env bash
# Runs the fuzzers of a build folder, each for FUZZ_SECONDS (60), FUZZ_JOBS (all cores) at a time, only those whose name
# contains FUZZ. A corpus grows in FOLDER/NAME/corpus from run to run; inputs that are findings stay in FOLDER/NAME and
# make the exit code 9: run FOLDER/NAME_fuzz with one of them to see it again.
#   tools/run_fuzz.sh FOLDER      tools/run_fuzz.sh --check: is there a compiler that can build them?
set -euo pipefail
if [[ $1 == --check ]]; then
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  printf '%s\n' 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }' >"$scratch/a.cpp"
  if ! command -v clang++ >/dev/null; then
    printf 'error: make fuzz needs clang: g++ has no libFuzzer\n  try: apt-get install clang libclang-rt-dev || apt-get install clang\n' >&2
    exit 2
  fi
  if ! clang++ -fsanitize=fuzzer,address,undefined "$scratch/a.cpp" -o "$scratch/a" 2>"$scratch/said"; then
    version=$(clang++ -dumpversion)
    cat "$scratch/said" >&2
    printf "error: clang++ has no libFuzzer\n  try: apt-get install libclang-rt-%s-dev\n" "${version%%.*}" >&2
    exit 2
  fi
  exit 0
fi
folder=$1 seconds=${FUZZ_SECONDS:-60} jobs=${FUZZ_JOBS:-$(nproc)}
data=${TESSERA_DATA:-../shared/data}

# Files of other programs that a parser begins with beside its own seeds.
more_seeds() {
  case $1 in
    safetensors | foreign_weights) printf '%s\n' "$data/ckpt" "$data/bad/ckpt" ;;
    coco_json) printf '%s\n' "$data/bad/json" ;;
    jpeg | png | bmp_gif | cityscapes) printf '%s\n' "$data/bad/img" ;;
  esac
}

fuzz_one() {
  local name=$1 log=$folder/$1/log status=0 begin more=()
  mkdir -p "$folder/$name/corpus" "$folder/$name/seeds"
  "$folder/${name}_fuzz" --write-seeds "$folder/$name/seeds"
  while IFS= read -r begin; do [[ ! -d $begin ]] || more+=("$begin"); done < <(more_seeds "$name")
  # Inputs stay small: a large picture that takes its time says nothing. The time-out is generous, for it is of the clock
  # on the wall and other programs run as well.
  "$folder/${name}_fuzz" -max_total_time="$seconds" -timeout=60 -rss_limit_mb=2048 -max_len=16384 -print_final_stats=1 \
    -artifact_prefix="$folder/$name/" "$folder/$name/corpus" "$folder/$name/seeds" "${more[@]}" >"$log" 2>&1 || status=$?
  # A time-out counts when the input takes its time alone as well: a machine that paused is no fault of the parser.
  local slow
  slow=$(sed -nE 's/.*Test unit written to (.*timeout-.*)/\1/p' "$log")
  if [[ -n $slow ]] && "$folder/${name}_fuzz" -timeout=60 "$slow" >>"$log" 2>&1; then
    rm "$slow"
    status=0
  fi
  awk -v name="$name" -v status="$status" '
    / cov: / { for (i = 1; i < NF; ++i) if ($i == "cov:") covered = $(i + 1) }
    /^stat::number_of_executed_units/ { runs = $2 }
    END { printf "%-16s %10d executions  %5d edges  %s\n", name, runs, covered, status == 0 ? "no finding" : "FINDING" }' "$log"
  if [[ $status -ne 0 ]]; then
    grep -m1 -E '^SUMMARY|ERROR: ' "$log" | sed 's/^/    /' || true
    echo "    $log"
    touch "$folder/findings"
  fi
}

rm -f "$folder/findings"
for binary in "$folder"/*"${FUZZ:-}"*_fuzz; do
  if [[ ! -x $binary ]]; then
    printf "error: no fuzzer is named like '%s'\n  try: ls tests/fuzz\n" "${FUZZ:-}" >&2
    exit 2
  fi
  while [[ $(jobs -rp | wc -l) -ge $jobs ]]; do wait -n || true; done
  name=$(basename "$binary" _fuzz)
  fuzz_one "$name" &
done
wait
[[ ! -e $folder/findings ]] || exit 9
