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
      R"({"format": "tessera conv choices 1", "GPU": {"gather tf32 rows 16800 columns 256 groups 1 depth 2304 taps 9":)"
      R"( {"tile": "128x64", "splits": 1, "microseconds": 512.0}}})",
      R"({"format": "tessera conv choices 1", "another": {"weight fp32 rows 9 columns 8 groups 1 depth 1 taps 1":)"
      R"( {"tile": "16x64", "splits": 65536, "microseconds": 1, "source": "cudnn"}}})"};
}

}  // namespace
}  // namespace tessera::fuzz

TESSERA_FUZZ_TARGET(ConvTuning, tessera::fuzz::parse, tessera::fuzz::seeds)
