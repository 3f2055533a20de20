// Whether what a file holds fills a model of ours: all of it, or for --init whole parts of it.
#pragma once

#include <string>
#include <vector>

#include "weights_tools/convert.h"

namespace tessera {

// What a model of ours wants.
struct TargetTensor {
  std::string name;
  std::vector<int64_t> shape;
};

// The number of targets that are filled. Throws Error(weights) with one table of all that is wrong: targets that are
// missing or have another shape, tensors that the model does not want, tensors that no rule knows.
// partial (--init): other parts of the model may be missing and other tensors are kept, but a backbone or a pyramid of
// which the file has any is there as a whole.
int64_t check_fit(const ForeignFile& file, const MappedModel& mapped, const std::vector<TargetTensor>& targets,
                  bool partial, const ConvertCommand& again = {});

}  // namespace tessera
