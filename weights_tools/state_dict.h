// Finds the named tensors in what a pickle holds: a state dict as it is, or inside "model", "state_dict", "ema", ...,
// with nested dictionaries joined by dots.
#pragma once

#include <string>
#include <vector>

#include "weights_tools/foreign_file.h"
#include "weights_tools/pickle_value.h"

namespace tessera {

struct StateDict {
  std::string container;               // dotted keys it stood under, "" for the root
  std::vector<ForeignTensor> tensors;  // in the order of their storages
  std::vector<std::string> others;
};

// key: where the tensors are, dotted; empty: searched. source: the file, named in errors. file_bytes bounds what the
// tensors may add up to. Throws Error(weights) when there are no named tensors, a name comes twice or is not UTF-8.
StateDict find_state_dict(const PickleContent& content, const PickleValue& root, const std::string& key,
                          const std::string& source, uint64_t file_bytes);

}  // namespace tessera
