#include "data/pipeline/loader.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/core/error.h"

namespace tessera {

Loader::Loader(const TrainingSet& set, LoaderOptions options)
    : set_(set),
      options_(std::move(options)),
      order_(set.is_wide(), options_.batch_size, set.options().seed),
      next_(options_.first_iteration),
      next_to_make_(options_.first_iteration),
      next_to_take_(options_.first_iteration) {
  options_.batches_ahead = std::max(1, options_.batches_ahead);
  for (int i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { work(); });
}

Loader::~Loader() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  has_room_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

Batch Loader::next() {
  const auto start = std::chrono::steady_clock::now();
  Slot slot = take(next_);
  seconds_waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (slot.error) std::rethrow_exception(slot.error);
  ++next_;
  count_skipped(slot.batch);
  if (options_.on_remark)
    for (const std::string& remark : slot.batch.remarks) options_.on_remark(remark);
  return std::move(slot.batch);
}

Loader::Slot Loader::take(uint64_t iteration) {
  if (threads_.empty()) return {make_batch(iteration), nullptr};
  Slot slot;
  {
    std::unique_lock lock(mutex_);
    is_ready_.wait(lock, [&] { return ready_.contains(iteration); });
    if (ready_.at(iteration).error) return {{}, ready_.at(iteration).error};  // stays: asked again, it fails again
    slot = std::move(ready_.at(iteration));
    ready_.erase(iteration);
    next_to_take_ = iteration + 1;
  }
  has_room_.notify_all();
  return slot;
}

void Loader::count_skipped(const Batch& batch) {
  for (const Batch::Skipped& skipped : batch.skipped)
    if (corrupt_.insert(skipped.index).second && options_.on_warning)
      options_.on_warning(fmt::format("{} (skipped; another picture takes its place)", skipped.reason));
  if (double(corrupt_.size()) > options_.corrupt_quota * set_.size())
    throw Error(ExitCode::data,
                fmt::format("{} of {} pictures cannot be read, more than the quota of {:g} %; the last: {}",
                            corrupt_.size(), set_.size(), options_.corrupt_quota * 100, batch.skipped.back().reason),
                options_.hint);
}

void Loader::work() {
  for (;;) {
    uint64_t iteration = 0;
    {
      std::unique_lock lock(mutex_);
      has_room_.wait(lock,
                     [&] { return is_stopping_ || next_to_make_ < next_to_take_ + uint64_t(options_.batches_ahead); });
      if (is_stopping_) return;
      iteration = next_to_make_++;
    }
    Slot slot;
    try {
      slot.batch = make_batch(iteration);
    } catch (...) {
      slot.error = std::current_exception();
    }
    {
      const std::lock_guard lock(mutex_);
      ready_.emplace(iteration, std::move(slot));
    }
    is_ready_.notify_all();
  }
}

Batch Loader::make_batch(uint64_t iteration) const {
  const Preprocessing& preprocessing = set_.options().preprocessing;
  Batch batch;
  batch.iteration = iteration;
  std::vector<TrainingSample> samples;
  for (SampleKey key : order_.batch(iteration)) {
    for (int tries = 0;; ++tries) {
      try {
        samples.push_back(set_.sample(key));
        if (!samples.back().remarks.empty())
          batch.remarks.push_back(set_.name(key.index) + ": " + samples.back().remarks);
        break;
      } catch (const Error& error) {
        if (error.code() != ExitCode::data || tries + 1 == set_.size()) throw;
        batch.skipped.push_back({key.index, error.what()});
        key.index = (key.index + 1) % set_.size();
      }
    }
  }
  batch.count = int(samples.size());
  for (const TrainingSample& sample : samples) {
    batch.height = std::max(batch.height, padded_side(preprocessing, sample.image.height));
    batch.width = std::max(batch.width, padded_side(preprocessing, sample.image.width));
  }
  const size_t image_values = size_t(batch.height) * batch.width * 3;
  batch.images.assign(image_values * samples.size(), 0.f);
  for (size_t i = 0; i < samples.size(); ++i) {
    normalize_into(samples[i].image, preprocessing, samples[i].color, &batch.images[i * image_values], batch.width);
    batch.targets.push_back(std::move(samples[i].targets));
    batch.geometry.push_back(samples[i].geometry);
    batch.dropped_objects += samples[i].dropped_objects;
  }
  return batch;
}

}  // namespace tessera
