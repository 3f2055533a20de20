// Weight files and checkpoints: header, checksums, every tensor, and what the metadata says about the network.
#include "apps/model_metadata.h"
#include "apps/run_config.h"
#include "engine/io/safetensors.h"
#include "models/config_keys.h"
#include "tests/engine/io/temporary_folder.h"
#include "tests/fuzz/memory_file.h"
#include "tests/weights_tools/file_builders.h"

namespace tessera::fuzz {
namespace {

bool parse(Bytes bytes) {
  const MemoryFile memory(bytes);
  return accepts(ExitCode::weights, [&] {
    const SafetensorsFile file(memory.path());
    for (const SafetensorsEntry& entry : file.entries()) {
      std::vector<std::byte> content(entry.bytes());
      file.read(entry, content.data());
      accepts(ExitCode::weights, [&] { file.read_f32(entry); });
    }
    accepts(ExitCode::weights, [&] { categories_of(file.metadata(), file.path()); });
    accepts(ExitCode::weights, [&] {
      const Config config = config_of(file.metadata(), file.path());
      accepts(ExitCode::usage, [&] { model_config_from(config); });
    });
  });
}

std::vector<std::string> seeds() {
  const testing_support::TemporaryFolder folder;
  const float values[6] = {1, 2, 3, 4, 5, 6};
  const std::filesystem::path file = folder.path() / "a.safetensors";
  const Config config(run_config_table());
  write_safetensors(file, {{"a.weight", {2, 3}, values}, {"momentum/a.weight", {6}, values}},
                    model_metadata(config, {{1, "one"}, {7, "seven"}}));
  const std::string header = R"({"x":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]},"y":{"dtype":"I64",)"
                             R"("shape":[],"data_offsets":[4,12]},"__metadata__":{"format":"pt"}})";
  return {testing_support::slurp(file),
          testing_support::little(uint64_t{header.size()}) + header + std::string(12, '\x3f')};
}

}  // namespace
}  // namespace tessera::fuzz

TESSERA_FUZZ_TARGET(Safetensors, tessera::fuzz::parse, tessera::fuzz::seeds)
