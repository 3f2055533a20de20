#!/usr/bin/env bash
# The race checker: the CUDA kernels on the emulator under ThreadSanitizer, each CUDA thread a thread of its own
# (docs/kernels/emulator.md), each kernel on small cases: large ones would take minutes and hold no other race. Closes
# like run_tests.sh, with every launch in kernels/cuda/ that no test has reached counted as failed.
#   tools/run_races.sh BINARY [MORE:TESTS*]
set -euo pipefail
cd "$(dirname "$0")/.."
binary=$1
filter='PlantedBug*:PlantedRace*:DeviceLanguage*:Conformance*'
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
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
touch "$work/launches"
# Few processes, because each makes emulated threads of its own, a millisecond each. No thread of OpenMP, whose barriers
# ThreadSanitizer does not see.
SHARDS_PER_CORE=4 OMP_THREAD_LIMIT=1 TESSERA_BACKENDS=emulated TESSERA_EMULATOR=shuffled TESSERA_LAUNCHES=$work/launches \
  TSAN_OPTIONS="halt_on_error=1 exitcode=66 atexit_sleep_ms=0" \
  tools/run_tests.sh "$binary" "--gtest_filter=$filter:$ops:${2:-}-*ThreadCount*:*NumberOfThreads*" >"$work/log" || true
grep -v -e ': Skipped' -e 'not written for CUDA yet' -e 'not recorded on a GPU yet' <(sed '$d' "$work/log") || true
closing=$(tail -n 1 "$work/log")
[[ $closing =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]] || { echo "$closing"; exit 1; }
passed=${BASH_REMATCH[1]} failed=${BASH_REMATCH[2]} skipped=${BASH_REMATCH[3]}

mapfile -t sources < <(find kernels/cuda -name '*.cu' -o -name '*.h' ! -name language.h ! -name port.h | sort)
# Statements that launch, from their first to their last line, none of whose lines was launched from. Launches from a
# site that a caller passes on are the caller's.
unreached=$(awk -v launches="$work/launches" '
  FILENAME == launches { sub(/^\.\//, ""); reached[$0] = 1; next }
  FNR == 1 { begin = exempt = 0 }
  /\/\/ Not on the emulator/ { exempt = FNR + 1 }
  begin == 0 && /(^|[^_[:alnum:]:])launch(_cooperative)?\(/ && !/^ *\/\// { begin = FNR; text = "" }
  begin > 0 {
    text = text $0
    if (/;[[:space:]]*$/) {
      for (line = begin; line <= FNR; line++) if ((FILENAME ":" line) in reached) begin = 0
      if (begin > 0 && begin != exempt && text !~ /[(, ]site[,)]/) { printf "no race check: %s:%d: launch was not reached\n", FILENAME, begin }
      begin = 0
    }
  }
' "$work/launches" "${sources[@]}")
if [[ -n $unreached ]]; then
  echo "$unreached"
  failed=$((failed + $(wc -l <<<"$unreached")))
fi
echo "$passed passed, $failed failed, $skipped skipped"
[[ $failed -eq 0 && $passed -gt 0 ]]
