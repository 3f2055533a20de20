#!/usr/bin/env bash
# Prints the folder of a CUDA toolkit that can compile for this program, nothing when there is none. The answer of the
# test compile is kept in build/.    tools/find_cuda.sh [COMPILER]
set -euo pipefail
cd "$(dirname "$0")/.."
nvcc=${CUDA_PATH:+$CUDA_PATH/bin/nvcc}
[[ -n $nvcc ]] || nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
[[ -x $nvcc ]] || exit 0
home=$(dirname "$(dirname "$(readlink -f "$nvcc")")")
[[ -f $home/include/cuda_runtime.h ]] || home=$(dirname "$(dirname "$nvcc")")
answer=build/cuda_toolkit
key="$nvcc $(stat -L -c %Y "$nvcc") ${1:-}"
if [[ ! -f $answer || $(head -n 1 "$answer") != "$key" ]]; then
  mkdir -p build
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  printf '#include <cuda_bf16.h>\n__global__ void kernel(float* x) { *x = 1.0f; }\n' >"$folder/try.cu"
  found=""
  if "$nvcc" -std=c++20 -arch=sm_86 -c "$folder/try.cu" -o "$folder/try.o" >/dev/null 2>&1; then found=$home; fi
  printf '%s\n%s\n' "$key" "$found" >"$answer"
fi
tail -n 1 "$answer"
