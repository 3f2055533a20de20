#include "data/pipeline/batch_order.h"

#include <algorithm>
#include <utility>

#include "engine/core/error.h"
#include "engine/core/rng.h"

namespace tessera {
namespace {

template <typename Element>
void shuffle(std::vector<Element>& elements, Rng& rng) {
  for (size_t i = elements.size(); i > 1; --i) std::swap(elements[i - 1], elements[rng.below(uint32_t(i))]);
}

}  // namespace

BatchOrder::BatchOrder(std::vector<bool> is_wide, int batch_size, uint64_t seed)
    : is_wide_(std::move(is_wide)), batch_size_(batch_size), seed_(seed) {
  if (batch_size < 1) throw Error(ExitCode::usage, fmt::format("a batch of {} pictures", batch_size), "use 1 or more");
  if (is_wide_.empty())
    throw Error(ExitCode::data, "the data set has no picture to train on", "tessera data check FILE");
  repeats_ = (uint64_t(batch_size) + is_wide_.size() - 1) / is_wide_.size();
  batches_per_epoch_ = is_wide_.size() * repeats_ / uint64_t(batch_size);
}

BatchOrder::Plan BatchOrder::make_plan(uint64_t epoch) const {
  const uint64_t count = is_wide_.size();
  Rng rng(seed_, RandomPurpose::shuffle, epoch);
  std::vector<SampleKey> groups[2];
  for (uint64_t repeat = 0; repeat < repeats_; ++repeat) {
    std::vector<SampleKey> keys(count);
    for (uint64_t i = 0; i < count; ++i) keys[i] = {int(i), epoch, repeat * count + i};
    shuffle(keys, rng);
    for (const SampleKey& key : keys) groups[is_wide_[key.index]].push_back(key);
  }
  // Full batches of each group, then the rests of both together as long as they fill one.
  std::vector<Plan> batches;
  Plan rest;
  for (const auto& group : groups) {
    const size_t full = group.size() / batch_size_ * batch_size_;
    for (size_t start = 0; start < full; start += batch_size_)
      batches.emplace_back(group.begin() + start, group.begin() + start + batch_size_);
    rest.insert(rest.end(), group.begin() + full, group.end());
  }
  if (rest.size() >= size_t(batch_size_)) batches.emplace_back(rest.begin(), rest.begin() + batch_size_);
  TESSERA_CHECK(batches.size() == batches_per_epoch_, "{} batches of {}", batches.size(), batches_per_epoch_);
  shuffle(batches, rng);
  Plan plan;
  for (const Plan& batch : batches) plan.insert(plan.end(), batch.begin(), batch.end());
  return plan;
}

std::shared_ptr<const BatchOrder::Plan> BatchOrder::plan(uint64_t epoch) const {
  const std::lock_guard lock(mutex_);
  const int slot = int(epoch & 1);
  if (!plans_[slot] || plan_epochs_[slot] != epoch) {
    plans_[slot] = std::make_shared<const Plan>(make_plan(epoch));
    plan_epochs_[slot] = epoch;
  }
  return plans_[slot];
}

std::vector<SampleKey> BatchOrder::batch(uint64_t iteration) const {
  const auto keys = plan(iteration / batches_per_epoch_);
  const size_t start = size_t(iteration % batches_per_epoch_) * batch_size_;
  return {keys->begin() + start, keys->begin() + start + batch_size_};
}

}  // namespace tessera
