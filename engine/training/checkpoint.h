// Checkpoints of a run folder: checkpoint_00001234.safetensors holds weights and momentum after iteration 1234 - the
// next iteration to do is 1234, counted from 0 - and LATEST the name of the newest. A crash at any moment leaves the
// previous checkpoints loadable.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/autograd/parameter_store.h"
#include "engine/io/safetensors.h"

namespace tessera {

// Creates the folder where absent, and checks before hours of work that it can be written to and has room for
// bytes_needed. Throws WriteError or Error(usage).
void prepare_run_folder(const std::filesystem::path& folder, uint64_t bytes_needed);

class CheckpointFolder {
 public:
  // keep: newest checkpoints that stay, at least 1. Removes what killed writers left; one run writes to a folder.
  CheckpointFolder(std::filesystem::path folder, int keep);

  // iterations: finished ones. Writes the checkpoint, then LATEST, then removes the oldest; returns its file. Throws
  // WriteError (all older checkpoints are intact, the run may go on) and, before anything is written, Error(non_finite)
  // when a parameter is NaN or infinite.
  std::filesystem::path save(Context& context, const ParameterStore& store, int64_t iterations,
                             const Metadata& metadata) const;

  struct Resumed {
    int64_t iterations = 0;  // finished ones
    Metadata metadata;
    std::filesystem::path file;
  };
  // Loads the newest checkpoint that is whole into the store; damaged ones are reported to `warn` and passed over.
  // nullopt when the folder holds none. Throws Error(weights) when all are damaged, or when the newest whole one does
  // not fit the model.
  std::optional<Resumed> resume(Context& context, ParameterStore& store,
                                const std::function<void(const std::string&)>& warn) const;

  // Checkpoints by iteration, newest first; they may be damaged.
  std::vector<std::filesystem::path> files() const;

 private:
  std::filesystem::path folder_;
  int keep_;
};

}  // namespace tessera
