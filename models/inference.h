// Pictures of the host to detections, again and again. With `graph`, the launches of the whole network and its
// post-processing are recorded for sizes that come back, and repeated with one call (engine/core/capture.h):
//     1st picture of its sizes   runs directly
//     2nd                        runs directly on memory that is kept, then its launches are recorded
//     later ones                 upload, replay, download
// The detections are the same, to the bit.
#pragma once

#include <list>
#include <memory>
#include <span>
#include <vector>

#include "engine/core/capture.h"
#include "models/system.h"

namespace tessera {

struct InferenceOptions {
  bool graph = false;
  size_t most_graphs = 8;  // the ones used last stay; all share their memory
};

class Inference {
 public:
  // Both outlive this. Throws Error(usage) where launches of the device cannot be recorded and shall be. Weights may
  // change their values between two calls, settings of the context too.
  Inference(Context& context, const System& system, const InferenceOptions& options = {});
  ~Inference();
  Inference(const Inference&) = delete;
  Inference& operator=(const Inference&) = delete;

  // images: [N, H, W, 3] as System::detect wants them. Where memory for a recording is wanting, nothing is recorded
  // from then on.
  std::vector<std::vector<Detection>> detect(std::span<const float> images, const Shape& shape,
                                             const std::vector<ImageGeometry>& geometry);

  Context& context() const { return context_; }
  size_t graphs() const;
  int64_t launches() const { return launches_; }  // in the graph that the last call replayed; 0: it ran directly
  size_t kept_bytes() const { return pool_->bytes(); }

 private:
  struct Entry;

  Entry& entry_of(const Shape& shape, const std::vector<ImageGeometry>& geometry);
  void forget_oldest();
  std::vector<std::vector<Detection>> direct(std::span<const float> images, const Shape& shape,
                                             const std::vector<ImageGeometry>& geometry);
  std::vector<std::vector<Detection>> record(Entry& entry, std::span<const float> images);

  Context& context_;
  const System& system_;
  InferenceOptions options_;
  std::shared_ptr<BlockPool> pool_;
  std::list<Entry> entries_;  // the one used last is the first
  int64_t launches_ = 0;
};

}  // namespace tessera
