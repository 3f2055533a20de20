#include "data/pipeline/batch_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "engine/core/error.h"

namespace tessera {
namespace {

std::vector<bool> alternating(int count) {
  std::vector<bool> wide;
  for (int i = 0; i < count; ++i) wide.push_back(i % 3 != 0);
  return wide;
}

TEST(BatchOrder, EachEpochShowsEveryPictureAtMostOnceInFullBatches) {
  for (int count : {1, 2, 7, 8, 9, 50})
    for (int batch_size : {1, 2, 4, 8, 9}) {
      const std::vector<bool> wide = alternating(count);
      const BatchOrder order(wide, batch_size, 5);
      const int repeats = (batch_size + count - 1) / count;
      EXPECT_EQ(order.batches_per_epoch(), uint64_t(count * repeats / batch_size));
      for (uint64_t epoch = 0; epoch < 3; ++epoch) {
        std::map<int, int> seen;
        std::set<uint64_t> samples;
        int mixed = 0;
        for (uint64_t i = 0; i < order.batches_per_epoch(); ++i) {
          const auto batch = order.batch(epoch * order.batches_per_epoch() + i);
          ASSERT_EQ(batch.size(), size_t(batch_size));
          for (const SampleKey& key : batch) {
            EXPECT_EQ(key.epoch, epoch);
            EXPECT_TRUE(samples.insert(key.sample).second);
            EXPECT_LE(++seen[key.index], repeats);
          }
          mixed += std::any_of(batch.begin(), batch.end(),
                               [&](const SampleKey& key) { return wide[key.index] != wide[batch[0].index]; });
        }
        EXPECT_LE(mixed, 1) << "only the rests of the two groups may meet";
      }
    }
}

TEST(BatchOrder, IsAFunctionOfSeedAndIteration) {
  const BatchOrder a(alternating(40), 4, 1), b(alternating(40), 4, 1), other(alternating(40), 4, 2);
  const auto indices = [](const BatchOrder& order, uint64_t iteration) {
    std::vector<int> result;
    for (const SampleKey& key : order.batch(iteration)) result.push_back(key.index);
    return result;
  };
  std::vector<std::vector<int>> forward;
  for (uint64_t i = 0; i < 35; ++i) forward.push_back(indices(a, i));
  for (uint64_t i = 35; i-- > 0;) EXPECT_EQ(indices(b, i), forward[i]);
  EXPECT_NE(indices(other, 0), forward[0]);
  EXPECT_NE(forward[10], forward[0]) << "the second epoch has an order of its own";
}

TEST(BatchOrder, RefusesNothingToOrder) {
  EXPECT_THROW(BatchOrder({}, 4, 1), Error);
  EXPECT_THROW(BatchOrder({true}, 0, 1), Error);
}

}  // namespace
}  // namespace tessera
