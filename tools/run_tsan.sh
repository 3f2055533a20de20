#!/usr/bin/env bash
# Under ThreadSanitizer: the parts of the project that make threads of their own, and the CUDA kernels on the emulator,
# each CUDA thread a thread of its own (docs/kernels/emulator.md). OpenMP loops are left out: libgomp is not
# instrumented, so its barriers look like races.    tools/run_tsan.sh BINARY [MORE:TESTS*]
# The large cases of the op tests would take minutes here and hold no other race than the small ones. Every launch in
# kernels/cuda/ must have been reached, or the run fails.
set -euo pipefail
cd "$(dirname "$0")/.."
binary=$1
filter='Loader*:BatchOrder*:Allocator*:PlantedBug*:PlantedRace*:DeviceLanguage*:Conformance*'
ops='Relu*:GroupNorm.AgreesWithOracleOnMaps:GroupNorm.AgreesWithOraclePerImage*:BatchNorm*:LayerNorm*:Sigmoid*:Add.*'
ops+=':Scale*:Concat*:ChannelAffine*:RowGather*:PatchGather*:Resize*:MaxPool*:FocalLoss*:IouLoss*:BinaryCross*'
ops+=':DiceLoss*:Softmax*:SelectTopK*:FcosDecode*:Nms*:Gelu*:LeakyRelu*:GatedSum*:PositionAdd*'
ops+=':ChannelPool.AgreesWithOracle:ChannelGate.AgreesWithOracle:Spatial*:RoiAlign.Maps*:MaskRle.ByHand:MaskBinarize*'
ops+=':MaskOverlap*:MatrixNms*:GreedyNms*:PointNms*'
ops+=':Conv2dDevice.SmallMap*:Conv2dDevice.ChannelSums*:Conv2dBranches.SmallMaps*:RowMoments.OfASmall*'
ops+=':Conv2dGroupNorm.AgreesWithTheTwoOps:Linear*'
ops+=':MultiHeadAttention.AgreesWithOracle:MultiHeadAttentionDevice.Small*'
ops+=':AxialAttention.AgreesWithOracle:AxialAttention.OfOneKey*:GridBinarize.SmallMaps*:GridSegmentationLoss.Small*'
ops+=':DynamicConv.AgreesWithOracle:MaskBinaryCross*:MaskCandidates*:MaskEnlarge*:FrozenBatchNorm*:Distance*'
ops+=':Sgd.TwoSteps*:AdamW.*Hand*:FiniteCheck*:Philox*'
launches=$(mktemp -d)
trap 'rm -rf "$launches"' EXIT
# Some tests of ops call the CPU backend with threads of their own.
printf 'race:%s\n' tessera::parallel_for tessera::parallel_chunks libgomp.so >"$launches/suppressions"
shards=$(nproc)
pids=()
for ((shard = 0; shard < shards; shard++)); do
  GTEST_TOTAL_SHARDS=$shards GTEST_SHARD_INDEX=$shard OMP_NUM_THREADS=1 TESSERA_BACKENDS=emulated \
    TESSERA_EMULATOR=shuffled TESSERA_LAUNCHES=$launches/$shard.places \
    TSAN_OPTIONS="halt_on_error=1 exitcode=66 atexit_sleep_ms=0 suppressions=$launches/suppressions" \
    "$binary" --gtest_brief=1 --gtest_filter="$filter:$ops:${2:-}-*ThreadCount*:*NumberOfThreads*" \
    >"$launches/$shard.log" 2>&1 &
  pids+=($!)
done
failed=0
for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
grep -hv -e ': Skipped' -e 'not written for CUDA yet' -e 'not recorded on a GPU yet' "$launches"/*.log || true

mapfile -t sources < <(find kernels/cuda -name '*.cu' -o -name '*.h' ! -name language.h ! -name port.h | sort)
# Statements that launch, from their first to their last line, none of whose lines was launched from. Launches from a
# site that a caller passes on are the caller's.
awk '
  FILENAME ~ /\.places$/ { sub(/^\.\//, ""); reached[$0] = 1; next }
  FNR == 1 { begin = exempt = 0 }
  /\/\/ Not on the emulator/ { exempt = FNR + 1 }
  begin == 0 && /(^|[^_[:alnum:]:])launch(_cooperative)?\(/ && !/^ *\/\// { begin = FNR; text = "" }
  begin > 0 {
    text = text $0
    if (/;[[:space:]]*$/) {
      for (line = begin; line <= FNR; line++) if ((FILENAME ":" line) in reached) begin = 0
      if (begin > 0 && begin != exempt && text !~ /[(, ]site[,)]/) { printf "no race check: %s:%d: launch was not reached\n", FILENAME, begin; missing = 1 }
      begin = 0
    }
  }
  END { exit missing }
' "$launches"/*.places "${sources[@]}" || failed=1
if [[ $failed -eq 0 ]]; then echo "race checker: no race, every launch in kernels/cuda reached"; fi
exit "$failed"
