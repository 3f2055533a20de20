#include "engine/ops/nms.h"

#include "engine/core/dispatch.h"
#include "engine/ops/candidate_args.h"
#include "kernels/nms.h"

namespace tessera {

Candidates nms(Context& context, const Candidates& candidates, const NmsOptions& options) {
  TESSERA_CHECK(options.capacity >= 1, "capacity {}", options.capacity);
  const Candidates kept = Candidates::empty(context, candidates.images(), options.capacity);
  dispatch(context, [&](auto& backend) {
    nms(backend, NmsArgs{candidate_args(candidates), candidate_args(kept), options.iou_threshold, options.class_aware});
  });
  return kept;
}

}  // namespace tessera
