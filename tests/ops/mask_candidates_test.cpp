#include "engine/ops/mask_candidates.h"

#include <gtest/gtest.h>

#include <limits>

#include "engine/core/rng.h"
#include "tests/ops/op_check.h"
#include "tests/reference/mask_candidates.h"

namespace tessera {
namespace {

using testing_support::for_each_backend;

template <typename T>
Tensor tensor(Context& context, const std::vector<T>& values) {
  return Tensor::from_host<T>(context, {static_cast<int64_t>(values.size())}, values);
}

struct Scores {
  std::vector<float> scores;
  std::vector<int32_t> rows, labels;

  // Few different values, so that every rule for equal ones is met; some are no numbers.
  explicit Scores(size_t count) {
    Rng rng(4, RandomPurpose::test, 0, count);
    for (size_t i = 0; i < count; ++i) {
      scores.push_back(rng.below(20) == 0 ? std::numeric_limits<float>::quiet_NaN()
                                          : 0.25f * static_cast<float>(rng.below(6)) - 0.25f);
      rows.push_back(static_cast<int32_t>(rng.below(3)));
      labels.push_back(static_cast<int32_t>(rng.below(2)));
    }
  }
};

// Sizes around a block of the device kernel, capacities below and above what is there.
TEST(MaskCandidates, RanksAreATotalOrder) {
  for (const size_t count : {size_t{1}, size_t{7}, size_t{255}, size_t{256}, size_t{700}}) {
    const Scores made(count);
    for (const size_t capacity : {size_t{1}, size_t{40}, size_t{900}}) {
      for (const bool ties : {false, true}) {
        const size_t valid = ties ? count : count / 2;
        for_each_backend([&](Context& context) {
          const RankedPlaces order =
              rank_scores(context, tensor(context, made.scores), ties ? tensor(context, made.rows) : Tensor(),
                          ties ? tensor(context, made.labels) : Tensor(),
                          ties ? Tensor() : tensor(context, std::vector<int32_t>{static_cast<int32_t>(valid)}),
                          {.capacity = static_cast<int64_t>(capacity), .least = 0.25f});
          const std::vector<int32_t> none;
          std::vector<int32_t> expected = reference::rank_scores(made.scores, ties ? made.rows : none,
                                                                 ties ? made.labels : none, valid, capacity, 0.25f);
          EXPECT_EQ(order.kept.to_host<int32_t>(context).at(0), static_cast<int32_t>(expected.size()));
          expected.resize(capacity, 0);
          EXPECT_EQ(order.places.to_host<int32_t>(context), expected) << count << " " << capacity << " " << ties;
        });
      }
    }
  }
}

TEST(MaskCandidates, NothingTakesPart) {
  for_each_backend([&](Context& context) {
    const Tensor scores = tensor(context, std::vector<float>{-1, -1, -1});
    const RankedPlaces order = rank_scores(context, scores, {}, {}, {}, {.capacity = 2});
    EXPECT_EQ(order.kept.to_host<int32_t>(context), std::vector<int32_t>{0});
    EXPECT_EQ(order.places.to_host<int32_t>(context), (std::vector<int32_t>{0, 0}));
    EXPECT_EQ(take_rows(context, scores, order).to_host<float>(context), (std::vector<float>{0, 0}));
    const RankedPlaces none = rank_scores(context, Tensor::empty(context, {0}), {}, {}, {}, {.capacity = 2});
    EXPECT_EQ(none.kept.to_host<int32_t>(context), std::vector<int32_t>{0});
  });
}

TEST(MaskCandidates, RowsOfEveryWidthAreTaken) {
  for_each_backend([&](Context& context) {
    const RankedPlaces order{tensor(context, std::vector<int32_t>{2, 0, 0}), tensor(context, std::vector<int32_t>{2})};
    const std::vector<int64_t> words = {1, int64_t{1} << 40, 3, 4, -5, 6};
    const Tensor wide = Tensor::from_host<int64_t>(context, {3, 2}, words);
    EXPECT_EQ(take_rows(context, wide, order).to_host<int64_t>(context),
              (std::vector<int64_t>{-5, 6, 1, int64_t{1} << 40, 0, 0}));
    const Tensor numbers = tensor(context, std::vector<int32_t>{7, 8, 9});
    EXPECT_EQ(take_rows(context, numbers, order).to_host<int32_t>(context), (std::vector<int32_t>{9, 7, 0}));
  });
}

TEST(MaskCandidates, SmallMasksAreNoCandidates) {
  for_each_backend([&](Context& context) {
    const Tensor weighed =
        weigh_masks(context, tensor(context, std::vector<float>{0.5f, 0.5f, 0.25f}),
                    tensor(context, std::vector<float>{0.5f, 1.0f, 0.75f}),
                    tensor(context, std::vector<int32_t>{9, 8, 0}), tensor(context, std::vector<int32_t>{8, 8, 0}));
    EXPECT_EQ(weighed.to_host<float>(context), (std::vector<float>{0.25f, -1.0f, -1.0f}));
    const Tensor kept = keep_scores(context, tensor(context, std::vector<float>{0.5f, 0.25f}),
                                    tensor(context, std::vector<uint8_t>{0, 1}));
    EXPECT_EQ(kept.to_host<float>(context), (std::vector<float>{-1.0f, 0.25f}));
  });
}

}  // namespace
}  // namespace tessera
