// Batches for training, prepared ahead by threads of their own. Batch number i is a function of the training set and of
// (seed, i): the same bits for any number of threads, and from whichever iteration a run is taken up.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "data/annotations/annotations.h"
#include "data/pipeline/batch_order.h"
#include "data/pipeline/training_set.h"

namespace tessera {

struct Batch {
  uint64_t iteration = 0;
  int count = 0, height = 0, width = 0;  // sides: multiples of the size divisor
  std::vector<float> images;             // [count, height, width, 3], normalised, 0 on the right and below
  std::vector<ImageTargets> targets;     // count
  std::vector<ImageGeometry> geometry;   // count
  int dropped_objects = 0;               // cropped away, or too small to own a pixel

  // Pictures that could not be read, each replaced by the next one of the set.
  struct Skipped {
    int index;
    std::string reason;
  };
  std::vector<Skipped> skipped;

  // On files decoded for this batch: "FILE: " and remarks_on().
  std::vector<std::string> remarks;
};

struct LoaderOptions {
  int batch_size = 8;
  int threads = 2;        // 0: batches are made when they are asked for
  int batches_ahead = 4;  // kept ready at most
  uint64_t first_iteration = 0;
  double corrupt_quota = 0.01;  // share of the set that may be unreadable
  // Called from next(), once for every unreadable picture.
  std::function<void(const std::string&)> on_warning;
  // Called from next() with every remark, again and again for pictures that stay in no cache.
  std::function<void(const std::string&)> on_remark;
  std::string hint;  // what to try where the quota is exceeded
};

class Loader {
 public:
  // Refers to `set`, which must outlive it. The order's seed is that of the set.
  Loader(const TrainingSet& set, LoaderOptions options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  // Batch first_iteration, then the one after it, without end. Throws Error(data) when more pictures than the quota
  // allows have turned out unreadable; any other failure of a thread is thrown at the batch it belongs to.
  Batch next();

  uint64_t batches_per_epoch() const { return order_.batches_per_epoch(); }
  int corrupt_pictures() const { return int(corrupt_.size()); }  // met so far
  double seconds_waited() const { return seconds_waited_; }      // inside next(), since construction

 private:
  struct Slot {
    Batch batch;
    std::exception_ptr error;
  };
  Batch make_batch(uint64_t iteration) const;
  Slot take(uint64_t iteration);
  void count_skipped(const Batch& batch);
  void work();

  const TrainingSet& set_;
  LoaderOptions options_;
  BatchOrder order_;
  uint64_t next_;  // to be handed out
  std::set<int> corrupt_;
  double seconds_waited_ = 0;

  std::mutex mutex_;
  std::condition_variable has_room_, is_ready_;
  uint64_t next_to_make_, next_to_take_;
  std::map<uint64_t, Slot> ready_;
  bool is_stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace tessera
