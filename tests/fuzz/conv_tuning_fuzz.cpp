// Measured choices of convolution kernels, a file that people copy between machines.
#include "engine/core/conv_tuning.h"

#include "tests/fuzz/memory_file.h"

namespace tessera::fuzz {
namespace {

bool parse(Bytes bytes) {
  const MemoryFile memory(bytes);
  return accepts(ExitCode::usage, [&] { const ConvTuningFile choices(memory.path(), "GPU"); });
}

std::vector<std::string> seeds() {
  return {
      R"({"format": "tessera conv choices 2", "GPU": {"forward tf32 256->256 3x3 stride 1 padding 1 groups 1 of 1x100x168 branches 1":)"
      R"( {"tile": "128x64", "splits": 1, "microseconds": 512.0}}})",
      R"({"format": "tessera conv choices 2", "another": {"weight fp32 8->9 1x1 stride 1 padding 0 groups 1 of 1x1x1 branches 1 epilogue":)"
      R"( {"tile": "16x64", "splits": 65536, "microseconds": 1, "source": "cudnn"}}})"};
}

}  // namespace
}  // namespace tessera::fuzz

TESSERA_FUZZ_TARGET(ConvTuning, tessera::fuzz::parse, tessera::fuzz::seeds)
