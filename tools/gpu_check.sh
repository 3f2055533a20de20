#!/usr/bin/env bash
# Everything that waits for a GPU, in one call of at most ten minutes:
#   tools/gpu_check.sh [--out FOLDER] [--deadline SECONDS] [--model CONFIG] [--dry-run]
#
#   probe        the card, the driver, the toolkit, PyTorch
#   binaries     build/carry (tools/carry.sh) where it lies, else a build from source
#   tests        every operation on cuda beside cpu, against the double-precision oracles
#   conformance  every wrapper of a hardware instruction: bits in, bits out, recorded for the emulator to replay
#   sanitizer    compute-sanitizer memcheck and racecheck over small cases
#   ops          convolutions of ours and of PyTorch (cuDNN) on the same shapes, rounds in turn
#   infer        the whole network and its detections, batch 1 and 16, launch by launch and as one CUDA graph (ours alone)
#   graph        detections of a replayed CUDA graph against those of direct runs, to the bit
#   train        one training step, batch 8 (ours alone)
#   start        from the start of the program to its end without work
#
# --deadline   seconds for all of it, 540 when absent; a stage without time is "left out" or "cut off", never "passed"
# --model      configs/gridmask_fcos_r50_1x.json when absent
# --dry-run    without a GPU: the same stages on the emulated device and PyTorch on the CPU, tiny sizes; proves the script
#
# Writes FOLDER/gpu_check.json and a log per stage (FOLDER: out/gpu_check), prints a table. Commit the JSON under benchmarks/
# and conformance_vectors.txt as tests/emulator/conformance_vectors.txt.
# Exit: 0 everything passed or was left out for want of time, 1 a stage failed, 2 usage, 6 no GPU.

# Stages are functions that `bash -c` calls under timeout.
# shellcheck disable=SC2317
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
out=out/gpu_check deadline=540 model=configs/gridmask_fcos_r50_1x.json dry=0
usage() { echo "error: $1" >&2; echo "  try: tools/gpu_check.sh --help" >&2; exit 2; }
while [[ $# -gt 0 ]]; do
  case $1 in
    --out | --deadline | --model)
      [[ $# -ge 2 ]] || usage "$1 wants a value"
      case $1 in --out) out=$2 ;; --deadline) deadline=$2 ;; --model) model=$2 ;; esac
      shift 2 ;;
    --dry-run) dry=1; shift ;;
    -h | --help) sed -n '2,23p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
    *) usage "unknown option '$1'" ;;
  esac
done
[[ $deadline =~ ^[1-9][0-9]*$ ]] || usage "--deadline wants whole seconds, not '$deadline'"
[[ -e $model ]] || usage "no config '$model'"
command -v python3 >/dev/null || usage "python3 is missing: it writes the JSON"

device=cuda size=800x1344
if ((dry)); then
  device=emulated size=64x64
elif ! nvidia-smi -L >/dev/null 2>&1; then
  echo "error: no GPU: nvidia-smi finds none" >&2
  echo "  try: tools/gpu_check.sh --dry-run" >&2
  exit 6
fi
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 1
rm -f "$out"/*.log "$out"/*.json "$out"/stages.tsv

failed=0
left() { echo $((deadline - SECONDS)); }
# stage NAME LEAST COMMAND...: runs when LEAST seconds are left, stops it at the deadline, notes how it went.
stage() {
  local name=$1 least=$2 begin=$SECONDS verdict code
  shift 2
  if (($(left) < least)); then
    verdict="left out"
  else
    timeout -k 5 "$(left)" "$@" >"$out/$name.log" 2>&1
    code=$?
    case $code in
      0) verdict=passed ;;
      124 | 137) verdict="cut off" ;;
      125) verdict="not here" ;;  # our own: what the stage needs is not on this machine
      *) verdict=failed; failed=1 ;;
    esac
  fi
  printf '%s\t%s\t%s\n' "$name" "$verdict" $((SECONDS - begin)) >>"$out/stages.tsv"
  printf '  %-12s %-9s %4s s\n' "$name" "$verdict" $((SECONDS - begin))
  [[ $verdict != failed ]] || tail -n 15 "$out/$name.log" | sed 's/^/    /'
}

binaries() {
  if [[ -x build/carry/tessera ]]; then
    echo "carried, of $(cat build/carry/commit)"
  elif ((dry)); then
    [[ -x build/tessera && -x build/release/kernel_tests ]] ||
      make -j"$(nproc)" --no-print-directory build/tessera build/release/kernel_tests
  else
    local capability
    capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)
    make -j"$(nproc)" --no-print-directory CUDA=yes "CUDA_ARCH=$capability" build/tessera build/release/kernel_tests
  fi
}
conformance() {
  if ((dry)); then
    "$kernel_tests" --gtest_filter='Conformance.*' --gtest_brief=1
  else
    TESSERA_RECORD_CONFORMANCE="$out/conformance_vectors.txt" "$kernel_tests" --gtest_filter='Conformance.*' --gtest_brief=1
  fi
}
device_tests() {
  local filter='*'
  ((dry)) && filter='GroupNorm*:Relu*:MaxPool*'
  "$kernel_tests" --gtest_filter="$filter:-Emulator*:PlantedBugs*" --gtest_brief=1
}
sanitizer() {
  command -v compute-sanitizer >/dev/null || { echo "compute-sanitizer is not installed"; return 125; }
  local tool
  for tool in memcheck racecheck; do
    compute-sanitizer --tool "$tool" --error-exitcode 1 --print-limit 5 "$kernel_tests" --gtest_brief=1 \
      --gtest_filter='GroupNorm.*:MaxPool.*:GridBinarize.*:Nms.*:AxialAttention.*:MultiHeadAttentionDevice.Small*:SelectTopK.*' || return 1
  done
}
ops() {
  if ((dry)); then
    "$tessera" bench ops --device emulated --check-only || return 1
    python3 tools/gpu_check.py convolutions --device cpu --rounds 1 --small --out "$out/ops.json"
  else
    python3 tools/gpu_check.py convolutions --device cuda --rounds 3 --ours "$tessera" --out "$out/ops.json"
  fi
}
infer() {
  local batch graph
  for batch in 1 $( ((dry)) || echo 16); do
    for graph in off on; do
      "$tessera" bench infer "$infer_model" --device "$device" --size "$size" --batch "$batch" --weights random \
        --graph "$graph" --rounds "$rounds" --json >"$out/infer_batch${batch}_graph_$graph.json" || return 1
    done
  done
}
# The detections of pictures of equal size are the same files, recorded or not: the third and later ones are replays.
graph() {
  local graph
  "$tessera" data generate -o "$out/scenes" --count 5 --size $((dry ? 48 : 512)) -q || return 1
  # Random weights give low scores: everything is a detection.
  if grep -q '"fcos": {' "$infer_model"; then
    sed 's/"fcos": {/& "score_threshold": 0,/' "$infer_model" >"$out/scenes/config.json"
  else
    sed '0,/"system"/s//"fcos": { "score_threshold": 0 }, &/' "$infer_model" >"$out/scenes/config.json"
  fi
  for graph in off on; do
    "$tessera" predict "$out/scenes/config.json" "$out/scenes/images" --weights random --device "$device" --graph "$graph" --score 0 \
      --save json -o "$out/predict_$graph" -q || return 1
  done
  cmp "$out/predict_off/results.json" "$out/predict_on/results.json" && (($(wc -c <"$out/predict_on/results.json") > 1000))
}
train() {
  "$tessera" bench train "$infer_model" --device "$device" --size "$size" --batch $((dry ? 1 : 8)) --weights random \
    --rounds "$rounds" --json >"$out/train.json"
}
start() {
  local TIMEFORMAT=%R
  for _ in 1 2 3 4 5; do time "$tessera" doctor --device "$device" -q >/dev/null || return 1; done
}

rounds=$((dry ? 1 : 20))
infer_model=$model
((dry)) && infer_model=configs/gridmask_fcos_tiny_shapes.json
export device size dry out rounds infer_model
export -f binaries conformance device_tests sanitizer ops graph infer train start
echo "gpu_check: $deadline s at most, on $device"
stage probe 5 python3 tools/gpu_check.py probe --out "$out/probe.json"
stage binaries 20 bash -c binaries
tessera=build/tessera kernel_tests=build/release/kernel_tests
if [[ -x build/carry/tessera ]]; then
  tessera=build/carry/tessera kernel_tests=build/carry/kernel_tests
  export LD_LIBRARY_PATH=$PWD/build/carry/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
fi
export TESSERA_BACKENDS=cpu,$device
export tessera kernel_tests
stage tests 60 bash -c device_tests
stage conformance 10 bash -c conformance
stage ops 60 bash -c ops
stage graph 30 bash -c graph
stage infer 30 bash -c infer
stage train 30 bash -c train
stage start 5 bash -c start
stage sanitizer 40 bash -c sanitizer
python3 tools/gpu_check.py report --folder "$out" --dry-run "$dry" || failed=1
exit "$failed"
