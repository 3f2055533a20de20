// Which pictures form which batch: a pure function of (seed, iteration), so that a run can be taken up anywhere and any
// number of loader threads sees the same batches. Wide and tall pictures are kept apart as far as possible
// (detectron2's aspect ratio groups), because a batch is padded to its largest sides.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace tessera {

struct SampleKey {
  int index = 0;        // of the picture in the set
  uint64_t epoch = 0;   // with `sample` the key of all random choices for this picture in this epoch
  uint64_t sample = 0;  // the index, but for sets smaller than a batch, whose pictures appear more than once
};

class BatchOrder {
 public:
  // is_wide: one entry a picture, width >= height. Throws Error(data) without pictures, Error(usage) for a batch
  // below 1.
  BatchOrder(std::vector<bool> is_wide, int batch_size, uint64_t seed);

  // Every epoch has as many batches as fill completely; the pictures left over are others in each epoch. A set smaller
  // than a batch is repeated until it fills one.
  uint64_t batches_per_epoch() const { return batches_per_epoch_; }
  // Thread-safe.
  std::vector<SampleKey> batch(uint64_t iteration) const;

 private:
  using Plan = std::vector<SampleKey>;  // batches_per_epoch * batch_size
  std::shared_ptr<const Plan> plan(uint64_t epoch) const;
  Plan make_plan(uint64_t epoch) const;

  std::vector<bool> is_wide_;
  int batch_size_;
  uint64_t seed_;
  uint64_t repeats_ = 1;
  uint64_t batches_per_epoch_ = 0;
  // The two epochs that prefetching threads may be in at once.
  mutable std::mutex mutex_;
  mutable std::shared_ptr<const Plan> plans_[2];
  mutable uint64_t plan_epochs_[2] = {};
};

}  // namespace tessera
