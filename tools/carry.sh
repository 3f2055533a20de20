#!/usr/bin/env bash
# A build that runs on a machine with a GPU and nothing of ours: binaries and the libraries they need, in build/carry.
#   tools/carry.sh [ARCHITECTURES=86;90]      (about 40 MiB; needs a CUDA toolkit here, none there)
# tools/gpu_check.sh uses it where it finds it. Its objects are in build/carry_build: its flags are others than those of
# the daily build, which stays as it is.
set -euo pipefail
cd "$(dirname "$0")/.."
architectures=${1:-86;90} build=build/carry_build
# Older processors than this one's are likely there: AVX2 is what the CPU backend wants.
make -j"$(nproc)" --no-print-directory "BUILD=$build" "BINARY=$build/tessera" CUDA=yes "CUDA_ARCH=$architectures" ARCH=x86-64-v3 \
  BATCHED="library apps tests cuda" "$build/tessera" "$build/kernel_tests"
rm -rf build/carry
mkdir -p build/carry/lib
for binary in "$build/tessera" "$build/kernel_tests"; do
  strip -o "build/carry/${binary##*/}" "$binary"
  # The C library and the driver are the machine's own.
  ldd "$binary" | awk '$3 ~ /^\// { print $3 }' |
    { grep -vE '/(libc|libm|libdl|librt|libpthread|libcuda)\.so' || true; } | xargs -I{} cp -Lu {} build/carry/lib/
done
cp -r configs build/carry/
echo "$(git rev-parse HEAD)$(git diff --quiet HEAD || echo " and changes")" >build/carry/commit
du -sh build/carry
kilobytes=$(du -sk build/carry | cut -f1)
((kilobytes <= 64 * 1024)) || { echo "error: build/carry is larger than 64 MiB" >&2; echo "  try: tools/carry.sh 90" >&2; exit 2; }
