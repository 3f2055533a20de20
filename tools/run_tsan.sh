#!/usr/bin/env bash
# Under ThreadSanitizer: the parts of the project that make threads of their own, and the CUDA kernels on the emulator,
# each CUDA thread a thread of its own (docs/kernels/emulator.md). OpenMP loops are left out: libgomp is not
# instrumented, so its barriers look like races.    tools/run_tsan.sh BINARY [MORE:TESTS*]
# The large cases of the op tests would take minutes here and hold no other race than the small ones.
set -euo pipefail
filter='Loader*:BatchOrder*:Allocator*:PlantedBug*:PlantedRace*:DeviceLanguage*:Conformance*'
ops='Relu*:GroupNorm.AgreesWithOracleOnMaps:GroupNorm.AgreesWithOraclePerImage*:BatchNorm*:LayerNorm*:Sigmoid*:Add.*'
ops+=':Scale*:Concat*:ChannelAffine*:RowGather*:PatchGather*:Resize*:MaxPool*:FocalLoss*:IouLoss*:BinaryCross*'
ops+=':DiceLoss*:Softmax*:SelectTopK*:FcosDecode*:Nms*:Gelu*:LeakyRelu*:GatedSum*:PositionAdd*'
ops+=':ChannelPool.AgreesWithOracle:ChannelGate.AgreesWithOracle:Spatial*:RoiAlign.Maps*:MaskRle.ByHand:MaskBinarize*'
ops+=':MaskOverlap*:MatrixNms*:GreedyNms*:PointNms*'
OMP_NUM_THREADS=1 TSAN_OPTIONS='halt_on_error=1 exitcode=66 atexit_sleep_ms=0' TESSERA_BACKENDS=emulated \
  TESSERA_EMULATOR=shuffled "$1" --gtest_brief=1 --gtest_filter="$filter:$ops:${2:-}-*ThreadCount*:*NumberOfThreads*" 2>&1 |
  grep -v -e ': Skipped' -e 'not written for CUDA yet' -e 'not recorded on a GPU yet'
