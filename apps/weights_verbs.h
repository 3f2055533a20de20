// The verbs for other people's weights; see apps/verbs.h.
#pragma once

#include "apps/verbs.h"

namespace tessera {

struct ConvertOptions {
  std::string input, output;
  std::string from = "auto";           // raw, or a source of the name tables
  std::string key;                     // entry of the file that holds the tensors; empty: found
  bool partial = false;                // a backbone, or other parts of a larger model, to start training from
  bool ignore_checksums = false;       // of zip entries
  std::vector<std::string> overrides;  // key=value, model.* and input.*
};
int run_convert(const CommonOptions& common, const ConvertOptions& options);

struct ModelCompareOptions {
  std::string weights;
  std::string dump;           // activations of another implementation, with its "input"
  std::string from = "auto";  // whose names the dump uses
  double tolerance = 1e-4;    // of the greatest value of an activation
};
int run_model_compare(const CommonOptions& common, const ModelCompareOptions& options);

}  // namespace tessera
