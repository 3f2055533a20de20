// Whole files of other programs, recognised by their content: the zip of PyTorch, its older form, numpy pickles,
// safetensors. Checksums of zip entries are ignored, which the fuzzer would never get past.
#include "tests/fuzz/memory_file.h"
#include "tests/weights_tools/file_builders.h"
#include "weights_tools/pickle_globals.h"

namespace tessera::fuzz {
namespace {

using namespace testing_support;

bool parse(Bytes bytes) {
  const MemoryFile memory(bytes);
  return accepts(ExitCode::weights, [&] {
    const std::unique_ptr<ForeignFile> file = open_foreign_file(memory.path(), {.ignore_checksums = true});
    for (const ForeignTensor& tensor : file->tensors()) {
      const auto element_bytes = static_cast<size_t>(foreign_dtype_bytes(tensor.dtype));
      accepts(ExitCode::weights, [&] { read_tensor(*file, tensor, element_bytes); });
    }
  });
}

std::vector<std::string> seeds() {
  const std::vector<NamedFloats> tensors = {{"w", {2, 2}, {1, 2, 3, 4}}, {"b", {3}, {1, 2, 3}}};
  return {zip_pth(tensors, "model"), zip_pth(tensors, "", 4), legacy_pth(), numpy_pickle(2), numpy_pickle(4)};
}

}  // namespace
}  // namespace tessera::fuzz

TESSERA_FUZZ_TARGET(ForeignWeights, tessera::fuzz::parse, tessera::fuzz::seeds)
