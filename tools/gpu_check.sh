#!/usr/bin/env bash
# Everything that waits for a GPU, in one call of at most ten minutes:
#   tools/gpu_check.sh [--out FOLDER] [--deadline SECONDS] [--python PYTHON] [--stages LIST] [--dry-run]
#
#   probe        the card, the driver, the toolkit, PyTorch, cuDNN and NCCL; copies, products and launches as ceilings
#   binaries     build/carry (tools/carry.sh) where it lies, else a build from source
#   conformance  every wrapper of a hardware instruction: bits in, bits out, recorded for the emulator to replay
#   tests        every operation on cuda beside cpu, against the double-precision oracles
#   graph        detections of a replayed CUDA graph against those of direct runs, to the bit
#   ops          convolutions and all other operations beside PyTorch and cuDNN, without and with --tuning, in turns
#   infer        weights of one formula: activations against PyTorch's, then networks beside six modes of it, batch 1 and 16
#   train        one training step beside PyTorch's, batch 8
#   start        from the start of the program to its end without work; first_mask: with weights and a picture, to the masks
#   memcheck, synccheck, racecheck, initcheck    compute-sanitizer over small cases
#
# --deadline   seconds for all of it, 540 when absent; a stage without time is "left out" or "cut off", never "passed".
#              Each stage has a most of its own, so that none takes the time of those behind it; results are written as
#              they come.
# --python     an interpreter that has PyTorch and torchvision, python3 when absent
# --stages     only these, joined by commas; probe and binaries run always
# --dry-run    without a GPU: the same stages on the emulated device and the CPU, tiny sizes; proves the script
#
# cuDNN and NCCL are looked for in CUDNN_ROOT, NCCL_ROOT and in Python packages; the program finds them there.
# Writes FOLDER/gpu_check.json and a log per stage (FOLDER: out/gpu_check), prints tables and the goals. Commit the JSON
# under benchmarks/ and conformance_vectors.txt as tests/emulator/conformance_vectors.txt.
# Exit: 0 everything passed, or was left out for want of time or because it is not here; 1 a stage failed, 2 usage, 6 no GPU.

# Stages are functions that `bash -c` calls under timeout.
# shellcheck disable=SC2317
set -uo pipefail
called="tools/gpu_check.sh $*"
cd "$(dirname "$0")/.." || exit 1
out=out/gpu_check deadline=540 dry=0 python=python3 stages=""
usage() { echo "error: $1" >&2; echo "  try: tools/gpu_check.sh --help" >&2; exit 2; }
while [[ $# -gt 0 ]]; do
  case $1 in
    --out | --deadline | --python | --stages)
      [[ $# -ge 2 ]] || usage "$1 wants a value"
      case $1 in --out) out=$2 ;; --deadline) deadline=$2 ;; --python) python=$2 ;; --stages) stages=$2 ;; esac
      shift 2 ;;
    --dry-run) dry=1; shift ;;
    -h | --help) sed -n '2,/^$/p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
    *) usage "unknown option '$1'" ;;
  esac
done
[[ $deadline =~ ^[1-9][0-9]*$ ]] || usage "--deadline wants whole seconds, not '$deadline'"
command -v "$python" >/dev/null || usage "no interpreter '$python': it writes the JSON"
all_stages=" conformance tests graph ops infer train start first_mask memcheck synccheck racecheck initcheck "
for name in ${stages//,/ }; do [[ $all_stages == *" $name "* ]] || usage "--stages: no stage '$name'; there are$all_stages"; done

device=cuda size=512
if ((dry)); then
  device=emulated size=48
elif ! nvidia-smi -L >/dev/null 2>&1; then
  echo "error: no GPU: nvidia-smi finds none" >&2
  echo "  try: tools/gpu_check.sh --dry-run" >&2
  exit 6
fi
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 1
rm -rf "$out"/*.log "$out"/*.json "$out"/*.safetensors "$out"/stages.tsv "$out"/predict_* "$out"/first_mask

failed=0
left() { echo $((deadline - SECONDS)); }
# stage NAME LEAST MOST COMMAND...: runs when LEAST seconds are left, for MOST at most, notes how it went. `allowed` is what
# the command may take.
stage() {
  local name=$1 least=$2 most=$3 begin=$SECONDS verdict code
  shift 3
  [[ -z $stages || ,$stages,probe,binaries, == *",$name,"* ]] || return 0
  if (($(left) < least)); then
    verdict="left out"
  else
    allowed=$(($(left) < most ? $(left) : most))
    export allowed
    timeout -k 5 "$allowed" "$@" >"$out/$name.log" 2>&1
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
  case $verdict in
    failed) tail -n 15 "$out/$name.log" | sed 's/^/    /' ;;
    "not here") tail -n 1 "$out/$name.log" | sed 's/^/    /' ;;
  esac
}

binaries() {
  if [[ -x build/carry/tessera ]]; then
    echo "carried, of $(cat build/carry/commit)"
  elif ((dry)); then
    [[ -x ${TESSERA_BINARY:-build/tessera} ]] || make -j"$(nproc)" --no-print-directory build/tessera
  else
    local capability cudnn
    capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)
    # A package holds the headers beside the library.
    cudnn=${CUDNN_ROOT:-$(tr : '\n' <<<"$libraries" | grep '/cudnn/lib$' | sed 's|/lib$||')}
    make -j"$(nproc)" --no-print-directory CUDA=yes "CUDA_ARCH=$capability" ${cudnn:+"CUDNN_ROOT=$cudnn"} build/tessera build/release/kernel_tests
  fi
}
# Programs of ours see the libraries that were found; PyTorch has its own.
wrap() {
  mkdir -p "$out/bin"
  {
    echo '#!/bin/sh'
    # shellcheck disable=SC2016
    [[ -z $2 ]] || printf 'export LD_LIBRARY_PATH="%s${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"\n' "$2"
    printf 'exec "%s" "$@"\n' "$1"
  } >"$out/bin/${1##*/}"
  chmod +x "$out/bin/${1##*/}"
}
have_tests() { [[ -n $kernel_tests ]] || { echo "no kernel_tests: make build/release/kernel_tests"; return 125; }; }
conformance() {
  have_tests || return
  ((dry)) || export TESSERA_RECORD_CONFORMANCE=$out/conformance_vectors.txt
  "$kernel_tests" --gtest_filter='Conformance.*' --gtest_brief=1
}
device_tests() {
  have_tests || return
  if ((dry)); then
    "$kernel_tests" --gtest_filter='Relu*:MaxPool*' --gtest_brief=1
  else
    tools/run_tests.sh "$kernel_tests" --gtest_filter='-Emulator*:Planted*'
  fi
}
sanitizer() {
  have_tests || return
  command -v compute-sanitizer >/dev/null || { echo "compute-sanitizer is not installed"; return 125; }
  local small='GroupNorm.*:MaxPool.*:GridBinarize.*:Nms.*:AxialAttention.*:MultiHeadAttentionDevice.Small*:SelectTopK.*'
  small+=':Conv2d.AgreesWithOracle:Conv2dDevice.SmallMap*:Conv2dDevice.ManyMaps*:Conv2dBranches.SmallMaps*:Conv2dGroupNorm.AgreesWithOracle'
  compute-sanitizer --target-processes all --tool "$1" --error-exitcode 1 --print-limit 5 "$kernel_tests" --gtest_brief=1 --gtest_filter="$small"
}
ops() {
  if ((dry)); then
    "$tessera" bench ops --device emulated --check-only --filter relu || return
    "$python" tools/gpu_check.py operations --device emulated --small --ours "$tessera" --seconds $((allowed - 5)) --out "$out/ops.json"
  else
    "$python" tools/gpu_check.py operations --device cuda --ours "$tessera" --seconds $((allowed - 5)) --out "$out/ops.json"
  fi
}
# networks | steps RESULT. The emulator is no device for networks: a dry run has our CPU backend there.
beside() {
  local how=(--device cuda)
  ((dry)) && how=(--device cpu --small --rounds 1 --calls 1)
  "$python" tools/gpu_check.py "$1" "${how[@]}" --ours "$tessera" --seconds $((allowed - 5)) --out "$out/$2"
}
# The detections of pictures of equal size are the same files, recorded or not: the third and later ones are replays.
graph() {
  local graph
  "$tessera" data generate -o "$out/scenes" --count 5 --size "$size" -q || return 1
  # Random weights give low scores: everything is a detection.
  if grep -q '"fcos": {' "$detector"; then
    sed 's/"fcos": {/& "score_threshold": 0,/' "$detector" >"$out/scenes/config.json"
  else
    sed '0,/"system"/s//"fcos": { "score_threshold": 0 }, &/' "$detector" >"$out/scenes/config.json"
  fi
  for graph in off on; do
    "$tessera" predict "$out/scenes/config.json" "$out/scenes/images" --weights random --device "$device" --graph "$graph" --score 0 \
      --save json -o "$out/predict_$graph" -q || return 1
  done
  cmp "$out/predict_off/results.json" "$out/predict_on/results.json" && (($(wc -c <"$out/predict_on/results.json") > 1000))
}
start() {
  local TIMEFORMAT=%R
  for _ in 1 2 3 4 5; do time "$tessera" doctor --device "$device" -q >/dev/null || return 1; done
}
first_mask() {
  local TIMEFORMAT=%R on=$device picture
  [[ -f $out/gridmask_r50.weights.safetensors ]] || { echo "no weights: they are made by the stage infer"; return 125; }
  ((dry)) && on=cpu
  "$tessera" data generate -o "$out/picture" --count 1 --size "$((dry ? 64 : 800))" -q || return 1
  picture=$(find "$out/picture/images" -type f | head -n 1)
  for _ in $( ((dry)) && echo 1 || echo 1 2 3); do
    time "$tessera" predict "$out/gridmask_r50.weights.safetensors" "$picture" --device "$on" --size "$((dry ? 64 : 800))" --save json -o "$out/first_mask" -q || return 1
  done
}

detector=configs/gridmask_fcos_r50_1x.json
((dry)) && detector=configs/gridmask_fcos_tiny_shapes.json
export device size dry out python detector
export -f binaries have_tests conformance device_tests sanitizer ops beside graph start first_mask
libraries=$("$python" tools/gpu_check.py libraries)
export libraries
echo "gpu_check: $deadline s at most, on $device; libraries in ${libraries:-no folder of their own}"
probed=(--device "$([[ $device == cuda ]] && echo cuda || echo cpu)")
stage probe 5 60 "$python" tools/gpu_check.py probe "${probed[@]}" --seconds 45 --out "$out/probe.json"
stage binaries 20 $((deadline - 200 > 60 ? deadline - 200 : 60)) bash -c binaries
tessera=$PWD/${TESSERA_BINARY:-build/tessera} kernel_tests=$PWD/build/release/kernel_tests
# A dry run may have the whole suite, which holds the same tests.
((dry)) && [[ ! -x $kernel_tests ]] && kernel_tests=$PWD/build/release/tessera_tests
[[ ${TESSERA_BINARY:-} == /* ]] && tessera=$TESSERA_BINARY
if [[ -x build/carry/tessera ]]; then
  tessera=$PWD/build/carry/tessera kernel_tests=$PWD/build/carry/kernel_tests libraries=$PWD/build/carry/lib${libraries:+:$libraries}
fi
wrap "$tessera" "$libraries" && tessera=$out/bin/${tessera##*/}
if [[ -x $kernel_tests ]]; then
  wrap "$kernel_tests" "$libraries" && kernel_tests=$out/bin/${kernel_tests##*/}
else
  kernel_tests=
fi
export TESSERA_BACKENDS=cpu,$device
export tessera kernel_tests
stage conformance 10 30 bash -c conformance
stage tests 30 120 bash -c device_tests
stage graph 10 $((dry ? 150 : 40)) bash -c graph
stage ops 40 170 bash -c ops
stage infer 30 160 bash -c 'beside networks infer.json'
stage train 30 70 bash -c 'beside steps train.json'
stage start 5 20 bash -c start
stage first_mask 5 20 bash -c first_mask
for tool in memcheck synccheck racecheck initcheck; do stage "$tool" 15 45 bash -c "sanitizer $tool"; done
"$python" tools/gpu_check.py report --folder "$out" --dry-run "$dry" --command "$called" || failed=1
exit "$failed"
